/* lstm.c: long short-term memory (Hochreiter and Schmidhuber 1997; with the
 * forget gate of Gers et al. 2000), as PyTorch's nn.LSTM.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 *   i = sigmoid (W_ii x + W_hi h + b_i)     input gate
 *   f = sigmoid (W_if x + W_hf h + b_f)     forget gate
 *   g = tanh    (W_ig x + W_hg h + b_g)     candidate
 *   o = sigmoid (W_io x + W_ho h + b_o)     output gate
 *   c = f c + i g                           cell state
 *   m = o tanh (c)
 *   h = m, or W_hr m with a projection      hidden state, the output
 *
 * bias is the sum of PyTorch's two. State: h [proj or H] then c [H], padded.
 * Tape: i, f, g, o, c, tanh (c) and, with a projection, m, each [H], padded;
 * grad() leaves the gates' gradients in place of the gates. What groups of
 * lanes keep is lanes.h's business.
 */
#include "src/simd/lanes.h"
#include "src/simd/product.h"
#include "src/simd/quant.h"

typedef struct {
  SeqLayer base;
  guint hidden_size, proj_size, initial_state, chrono;
  gsize rows; /* hidden_size, padded */
  QuantCell quant;
} Lstm;

enum { WEIGHT_IH, WEIGHT_HH, BIAS, FIRST_OPTIONAL };
enum { I, F, G, O, C, TANH_C, M, N_OUT };
enum { TANH = O + 1, N_KEPT }; /* what groups of lanes keep */

static const LaneCell lane_cell;

static const char *const options[] = { "hidden_size", "proj_size",
  "initial_state", "chrono", QUANT_OPTIONS, NULL };

static gboolean
init (SeqLayer *layer, GVariant *config, GError **error)
{
  Lstm *self = (Lstm *) layer;
  guint n_h;

  if (!seq_config_uint (
          layer, config, "hidden_size", 1, 4096, 20, &self->hidden_size, error)
      || !seq_config_uint (layer, config, "proj_size", 0, self->hidden_size - 1,
          0, &self->proj_size, error)
      || !seq_config_uint (
          layer, config, "initial_state", 0, 1, 0, &self->initial_state, error)
      || !seq_config_uint (
          layer, config, "chrono", 0, 1 << 30, 0, &self->chrono, error))
    return FALSE;
  self->rows = SEQ_PAD (self->hidden_size);
  n_h = self->proj_size ? self->proj_size : self->hidden_size;
  layer->n_out = n_h;
  seq_layer_add_tensor (layer, "weight_ih", 4, self->hidden_size, layer->n_in);
  seq_layer_add_tensor (layer, "weight_hh", 4, self->hidden_size, n_h);
  seq_layer_add_tensor (layer, "bias", 4, self->hidden_size, 1);
  if (self->proj_size)
    seq_layer_add_tensor (
        layer, "weight_hr", 1, self->proj_size, self->hidden_size);
  if (self->initial_state) {
    seq_layer_add_tensor (layer, "h0", 1, n_h, 1);
    seq_layer_add_tensor (layer, "c0", 1, self->hidden_size, 1);
  }
  layer->n_state = SEQ_PAD (n_h) + self->rows;
  if (!quant_init (layer, config, &layer->tensors[WEIGHT_IH],
          &layer->tensors[WEIGHT_HH], &self->quant, error))
    return FALSE;
  if (layer->quantised && self->proj_size) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "lstm: precision is float where proj_size is %u: what is projected "
        "has no bounds",
        self->proj_size);
    return FALSE;
  }
  layer->n_tape = (self->proj_size ? 7 : 6) * self->rows;
  layer->n_tape = MAX (layer->n_tape, lane_tape (layer, &lane_cell));
  return TRUE;
}

/* PyTorch's start, but for the gates' biases: the forget gate begins open, or,
 * with chrono, remembers for 1 to `chrono` frames (Tallec and Ollivier 2018,
 * equation 16). An initial state begins at zero. */
static void
seed (const SeqLayer *layer, GRand *rand, real *weights)
{
  const Lstm *self = (const Lstm *) layer;
  const SeqTensor *bias = &layer->tensors[BIAS];

  seq_seed_uniform (layer, rand, 1 / sqrt (self->hidden_size), weights);
  for (guint u = 0; u < self->hidden_size; u++) {
    real *forget = &weights[seq_tensor_index (bias, F, u, 0)];

    if (self->chrono > 2) {
      *forget = (real) log (g_rand_double_range (rand, 1, self->chrono - 1));
      weights[seq_tensor_index (bias, I, u, 0)] = -*forget;
    } else {
      *forget += 1;
    }
  }
  if (self->initial_state)
    for (guint i = layer->n_tensors - 2; i < layer->n_tensors; i++)
      memset (weights + layer->tensors[i].offset, 0,
          SEQ_PAD (layer->tensors[i].rows) * sizeof (real));
}

static void
pack (const SeqLayer *layer, real *weights)
{
  quant_pack_cell (&((const Lstm *) layer)->quant, &layer->tensors[WEIGHT_IH],
      &layer->tensors[WEIGHT_HH], weights);
}

static void
start (const SeqLayer *layer, const real *weights, real *state)
{
  const Lstm *self = (const Lstm *) layer;
  const SeqTensor *t = &layer->tensors[layer->n_tensors - 2];

  memset (state, 0, layer->n_state * sizeof (real));
  if (self->initial_state) {
    memcpy (state, weights + t[0].offset, t[0].rows * sizeof (real));
    memcpy (state + SEQ_PAD (layer->n_out), weights + t[1].offset,
        t[1].rows * sizeof (real));
  }
}

/* The cell of a vector of units from the gates' pre-activations and the cell
 * state before: fills out[I] to out[M], tape and results in one. Products of
 * gates share a division; the forget gate has its own, so that what it keeps
 * for ever (f = 1) does not creep. */
SEQ_INLINE void
cell (const vec a[4], vec c, vec out[N_OUT])
{
  vec qi, qf, qg, qo, qc;
  vec pi = vec_tanh_ratio (a[I], (real) 0.5, &qi);
  vec pf = vec_tanh_ratio (a[F], (real) 0.5, &qf);
  vec pg = vec_tanh_ratio (a[G], 1, &qg);
  vec po = vec_tanh_ratio (a[O], (real) 0.5, &qo), pc;

  out[F] = (qf + pf) / (qf + qf);
  out[C] = vec_fma (out[F], c, (qi + pi) * pg / ((qi + qi) * qg));
  pc = vec_tanh_ratio (out[C], 1, &qc);
  out[M] = (qo + po) * pc / ((qo + qo) * qc);
  out[I] = (qi + pi) / (qi + qi);
  out[G] = pg / qg;
  out[O] = (qo + po) / (qo + qo);
  out[TANH_C] = pc / qc;
}

/* Where one lane's numbers of a frame are. m: where o tanh (c) goes. */
typedef struct {
  const real *weights, *x, *h;
  real *c, *m, *tape;
} Lane;

/* Strip s of frame t of n lanes (a constant) with the same weights. With a
 * precision (a constant), h is in q, and x where it is bounded. */
SEQ_INLINE void
strip (const Lstm *self, guint precision, guint t, guint s, const Lane *lanes,
    QuantRows *q, guint n, gboolean keep)
{
  const SeqTensor *ih = &self->base.tensors[WEIGHT_IH];
  const SeqTensor *hh = &self->base.tensors[WEIGHT_HH];
  const SeqTensor *bias = &self->base.tensors[BIAS];
  const real *weights = lanes->weights, *x[2], *h[2];
  gsize u = s * SEQ_VEC;
  vec a[2 * 4], out[N_OUT];

  for (guint l = 0; l < n; l++) {
    x[l] = lanes[l].x;
    h[l] = lanes[l].h;
    for (guint gate = 0; gate < 4; gate++)
      a[4 * l + gate] =
          vec_load (weights + strip_at (bias, s) + gate * SEQ_TILE);
  }
  gate_products (a, n, 4, ih, precision, self->quant.bounded_input != 0,
      &self->quant.ih, weights, s, x, &q->x);
  gate_products (a, n, 4, hh, precision, TRUE, &self->quant.hh, weights, s, h,
      &q->h[t % 2]);
  for (guint l = 0; l < n; l++) {
    cell (a + 4 * l, vec_load (lanes[l].c + u), out);
    vec_store (lanes[l].c + u, out[C]);
    vec_store (lanes[l].m + u, out[M]);
    if (precision != QUANT_NONE)
      quant_store (&q->h[(t + 1) % 2], precision, u, out[M]);
    for (guint i = I; keep && i < M; i++)
      vec_store (lanes[l].tape + i * self->rows + u, out[i]);
  }
}

/* Frame t of n lanes. They take turns strip by strip: the weights are met again
 * in the first cache, and one lane's activations hide behind another's product.
 * With share (a constant) two at a time share the weights. */
SEQ_INLINE void
step (const Lstm *self, guint precision, guint t, const Lane *lanes,
    QuantRows *q, guint n, gboolean keep, gboolean share)
{
  const SeqTensor *hh = &self->base.tensors[WEIGHT_HH];
  guint n_strips = SEQ_STRIPS (self->hidden_size);
  gboolean backward = strips_backward (hh, t);

  for (guint k = 0; k < n_strips; k++) {
    guint s = backward ? n_strips - 1 - k : k, l = 0;

    for (; share && l + 2 <= n; l += 2)
      strip (self, QUANT_NONE, t, s, lanes + l, NULL, 2, keep);
    for (; l < n; l++)
      strip (self, precision, t, s, lanes + l, q + l, 1, keep);
  }
}

/* out = W_hr m, and m to the tape. */
static void
project (const Lstm *self, const Lane *lane, real *out, gboolean keep)
{
  const SeqTensor *hr = &self->base.tensors[FIRST_OPTIONAL];

  for (guint s = 0; s < SEQ_STRIPS (self->base.n_out); s++)
    vec_store (out + s * SEQ_VEC,
        row_product ((vec){ 0 }, lane->weights + strip_at (hr, s), lane->m,
            self->hidden_size));
  if (keep)
    memcpy (lane->tape + M * self->rows, lane->m, self->rows * sizeof (real));
}

/* All frames of n lanes from `first` on. */
SEQ_INLINE void
run_lanes (const Lstm *self, guint precision, const SeqBlock *block,
    guint first, guint n)
{
  const SeqLayer *layer = &self->base;
  gsize n_h = SEQ_PAD (layer->n_out);
  real m_row[LANES_FEW][4096] __attribute__ ((aligned (SEQ_ALIGN)));
  gboolean keep = block->tape_stride > 0;
  Lane lanes[LANES_FEW];
  QuantRows q[LANES_FEW];
  gboolean share = n > 1 && strips_shared (block, &layer->tensors[WEIGHT_HH]);

  for (guint l = 0; l < n; l++) {
    real *h = block->state + (first + l) * block->state_stride;

    lanes[l] = (Lane){
      .weights = block->weights + (first + l) * block->weights_stride,
      .h = h,
      .c = h + n_h,
    };
    if (precision != QUANT_NONE)
      quant_row (&q[l].h[0], precision, h, layer->n_out);
  }
  for (guint t = 0; t < block->n_frames; t++) {
    gsize row = (gsize) t * block->n_lanes + first;
    real *out = block->out + row * block->out_stride;

    for (guint l = 0; l < n; l++) {
      lanes[l].x = block->in + (row + l) * block->in_stride;
      lanes[l].tape = block->tape + (row + l) * block->tape_stride;
      lanes[l].m = self->proj_size ? m_row[l] : out + l * block->out_stride;
      if (precision != QUANT_NONE && self->quant.bounded_input)
        quant_row (&q[l].x, precision, lanes[l].x, layer->n_in);
    }
    if (keep)
      step (self, precision, t, lanes, q, n, TRUE, FALSE);
    else if (precision == QUANT_NONE && share)
      step (self, precision, t, lanes, q, n, FALSE, TRUE);
    else
      step (self, precision, t, lanes, q, n, FALSE, FALSE);
    for (guint l = 0; l < n; l++, out += block->out_stride) {
      if (self->proj_size)
        project (self, &lanes[l], out, keep);
      lanes[l].h = out;
    }
  }
  for (guint l = 0; l < n && block->n_frames; l++)
    memcpy (block->state + (first + l) * block->state_stride, lanes[l].h,
        SEQ_STRIPS (layer->n_out) * SEQ_VEC * sizeof (real));
}

/* A lane alone, or a few. */
static void
run_few (const SeqLayer *layer, const SeqBlock *block, guint lane, guint n)
{
  const Lstm *self = (const Lstm *) layer;

  if (layer->quantised)
    QUANT_WITH (
        self->quant.precision, run_lanes (self, precision, block, lane, n))
  else if (n == 1)
    run_lanes (self, QUANT_NONE, block, lane, 1);
  else
    run_lanes (self, QUANT_NONE, block, lane, n);
}

/* For one lane: transposes; then dh, dm and, with a projection, dh of every
 * frame. */
static gsize
n_scratch_lane (const SeqLayer *layer, guint n_frames)
{
  const Lstm *self = (const Lstm *) layer;

  return transpose_size (&layer->tensors[WEIGHT_IH])
         + transpose_size (&layer->tensors[WEIGHT_HH])
         + (self->proj_size ? transpose_size (&layer->tensors[FIRST_OPTIONAL])
                                  + n_frames * SEQ_PAD (layer->n_out)
                            : 0)
         + SEQ_PAD (layer->n_out) + self->rows;
}

static void
grad_lane (
    const SeqLayer *layer, const SeqBlock *block, const SeqGrad *g, guint lane)
{
  const Lstm *self = (const Lstm *) layer;
  const SeqTensor *ih = &layer->tensors[WEIGHT_IH];
  const SeqTensor *hh = &layer->tensors[WEIGHT_HH];
  const SeqTensor *hr =
      self->proj_size ? &layer->tensors[FIRST_OPTIONAL] : NULL;
  gsize n_h = SEQ_PAD (layer->n_out), rows = self->rows;
  gsize tape_step = block->n_lanes * block->tape_stride;
  gsize out_step = block->n_lanes * block->out_stride;
  real *ih_t = g->scratch, *hh_t = ih_t + transpose_size (ih);
  real *dh = hh_t + transpose_size (hh), *dm = dh + n_h;
  real *hr_t = dm + rows, *dhs = hr ? hr_t + transpose_size (hr) : NULL;

  const real *weights = block->weights + lane * block->weights_stride;
  const real *state = block->state + lane * block->state_stride;
  real *d_state = g->d_state + lane * block->state_stride;
  real *dc = d_state + n_h;
  real *tapes = block->tape + lane * block->tape_stride;
  SeqRows in = { block->in + lane * block->in_stride,
    block->n_lanes * block->in_stride, NULL };
  SeqRows h = { block->out + lane * block->out_stride, out_step, state };

  if (g->d_in)
    transpose (ih, weights, ih_t);
  transpose (hh, weights, hh_t);
  if (hr)
    transpose (hr, weights, hr_t);
  memcpy (dh, d_state, n_h * sizeof (real));
  for (guint t = block->n_frames; t-- > 0;) {
    gsize row = (gsize) t * block->n_lanes + lane;
    const real *d_out = g->d_out + row * block->out_stride;
    real *tape = tapes + t * tape_step;
    const real *c_before = t > 0 ? tape - tape_step + C * rows : state + n_h;
    const real *d = dm;

    for (gsize u = 0; u < n_h; u += SEQ_VEC)
      vec_store (dh + u, vec_load (dh + u) + vec_load (d_out + u));
    if (hr) {
      memcpy (dhs + t * n_h, dh, n_h * sizeof (real));
      transposed_product (hr, 0, 1, hr_t, dh, dm, FALSE);
    } else {
      d = dh;
    }
    for (gsize u = 0; u < rows; u += SEQ_VEC) {
      vec i = vec_load (tape + I * rows + u);
      vec f = vec_load (tape + F * rows + u);
      vec gg = vec_load (tape + G * rows + u);
      vec o = vec_load (tape + O * rows + u);
      vec tanh_c = vec_load (tape + TANH_C * rows + u);
      vec dy = vec_load (d + u);
      vec dcell = vec_fma (dy * o, tanh_slope (tanh_c), vec_load (dc + u));

      vec_store (tape + I * rows + u, dcell * gg * i * (1 - i));
      vec_store (
          tape + F * rows + u, dcell * vec_load (c_before + u) * f * (1 - f));
      vec_store (tape + G * rows + u, dcell * i * tanh_slope (gg));
      vec_store (tape + O * rows + u, dy * tanh_c * o * (1 - o));
      vec_store (dc + u, dcell * f);
    }
    transposed_product (hh, 0, 4, hh_t, tape, dh, FALSE);
    if (g->d_in)
      transposed_product (
          ih, 0, 4, ih_t, tape, g->d_in + row * g->d_in_stride, FALSE);
  }
  memcpy (d_state, dh, n_h * sizeof (real));

  tensor_gradient (
      ih, 0, 4, g->d_weights, tapes, tape_step, rows, &in, 0, block->n_frames);
  tensor_gradient (
      hh, 0, 4, g->d_weights, tapes, tape_step, rows, &h, 1, block->n_frames);
  tensor_gradient (&layer->tensors[BIAS], 0, 4, g->d_weights, tapes, tape_step,
      rows, NULL, 0, block->n_frames);
  if (hr) {
    SeqRows m = { tapes + M * rows, tape_step, NULL };

    tensor_gradient (
        hr, 0, 1, g->d_weights, dhs, n_h, n_h, &m, 0, block->n_frames);
  }
}

/* --- groups of lanes --------------------------------------------------------
 */

SEQ_INLINE void
step_lanes (const SeqLayer *layer, const real *weights, guint vecs, real *frame,
    real *next, gboolean keep)
{
  const SeqTensor *t = layer->tensors;
  guint lanes = vecs * SEQ_VEC, units = lane_units (4, vecs), n = units * vecs;
  LanePlaces at = lane_places (layer, &lane_cell, vecs);

  for (guint u = 0; u < at.rows; u += units) {
    vec a[LANE_SUMS];

    lanes_bias (
        a, 4, units, vecs, weights + seq_tensor_index (&t[BIAS], 0, u, 0));
    lanes_product (a, 4, units, vecs,
        weights + seq_tensor_index (&t[WEIGHT_IH], 0, u, 0), 4 * SEQ_TILE,
        frame, layer->n_in);
    lanes_product (a, 4, units, vecs,
        weights + seq_tensor_index (&t[WEIGHT_HH], 0, u, 0), 4 * SEQ_TILE,
        frame + at.h, layer->n_out);
    LANE_FOR (k, n) {
      gsize row = u * lanes + k * SEQ_VEC;
      vec gates[4] = { a[I * n + k], a[F * n + k], a[G * n + k], a[O * n + k] };
      vec out[N_OUT];

      cell (gates, vec_load (frame + at.c + row), out);
      vec_store (next + at.c + row, out[C]);
      vec_store (next + at.h + row, out[M]);
      if (keep) {
        real *to = frame + lane_kept (&lane_cell, &at, u + k / vecs, vecs)
                   + k % vecs * SEQ_VEC;

        LANE_FOR (g, 4)
          vec_store (to + g * lanes, out[g]);
        vec_store (to + TANH * lanes, out[TANH_C]);
      }
    }
  }
}

SEQ_INLINE void
back_lanes (const SeqLayer *layer, const real *weights, guint vecs,
    const real *frame, const real *before, const real *d_out, real *d_states,
    real *d)
{
  guint lanes = vecs * SEQ_VEC;
  LanePlaces at = lane_places (layer, &lane_cell, vecs);
  gsize gate = at.rows * LANE_STEP;
  real *dh = d_states, *dc = dh + at.rows * lanes;

  for (guint u = 0; u < at.rows; u++) {
    lanes_prefetch (&lane_cell, &at, before, u, vecs);
    LANE_FOR (v, vecs) {
      gsize row = u * lanes + v * SEQ_VEC;
      const real *kept =
          frame + lane_kept (&lane_cell, &at, u, vecs) + v * SEQ_VEC;
      real *to = d + u * LANE_STEP + v * SEQ_VEC;
      vec i = vec_load (kept + I * lanes), f = vec_load (kept + F * lanes);
      vec g = vec_load (kept + G * lanes), o = vec_load (kept + O * lanes);
      vec tanh_c = vec_load (kept + TANH * lanes);
      vec dy = vec_load (dh + row) + vec_load (d_out + row);
      vec dcell = vec_fma (dy * o, tanh_slope (tanh_c), vec_load (dc + row));

      vec_store (to + I * gate, dcell * g * i * (1 - i));
      vec_store (
          to + F * gate, dcell * vec_load (frame + at.c + row) * f * (1 - f));
      vec_store (to + G * gate, dcell * i * tanh_slope (g));
      vec_store (to + O * gate, dy * tanh_c * o * (1 - o));
      vec_store (dc + row, dcell * f);
    }
  }
  lanes_back (
      &layer->tensors[WEIGHT_HH], weights, 0, 4, d, at.rows, vecs, dh, FALSE);
}

SEQ_INLINE void
gradient_lanes (const SeqLayer *layer, real *d_weights, const real *d,
    const real *ones, const real *x, const real *h, gsize n)
{
  const SeqTensor *t = layer->tensors;
  guint rows = LANE_PAD (layer->n_out);

  for (guint gate = 0; gate < 4; gate++)
    lanes_gradient (d_weights,
        (LaneColumns[]){ { &t[BIAS], gate, ones }, { &t[WEIGHT_IH], gate, x },
            { &t[WEIGHT_HH], gate, h } },
        3, d + gate * rows * LANE_STEP, rows, n);
}

/* i, f, g, o and tanh (c) are kept. */
static const LaneCell lane_cell = { .n_states = 2,
  .n_kept = N_KEPT,
  .n_gates = 4,
  .n_in_gates = 4,
  .step = step_lanes,
  .back = back_lanes,
  .gradient = gradient_lanes };

static gboolean
grouped (const SeqLayer *layer)
{
  return ((const Lstm *) layer)->proj_size == 0 && !layer->quantised;
}

static void
run (const SeqLayer *layer, const SeqBlock *block)
{
  lanes_run (layer, &lane_cell, grouped (layer), block, run_few);
}

static void
grad (const SeqLayer *layer, const SeqBlock *block, const SeqGrad *g)
{
  lanes_grad (layer, &lane_cell, grouped (layer), block, g, grad_lane);
}

static gsize
n_scratch (const SeqLayer *layer, guint n_frames, guint n_lanes)
{
  return MAX (lane_scratch (layer, &lane_cell, n_lanes),
      n_scratch_lane (layer, n_frames));
}

const SeqLayerClass SEQ_CLASS (lstm) = {
  .kind = { .name = "lstm",
      .title = "Long short-term memory",
      .flags = SEQ_KIND_TRAINS | SEQ_KIND_TORCH_CELL,
      .options = options },
  .instance_size = sizeof (Lstm),
  .init = init,
  .seed = seed,
  .pack = pack,
  .start = start,
  .run = run,
  .grad = grad,
  .n_scratch = n_scratch,
};
