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
#include "src/simd/cell.h"

typedef struct {
  Cell cell;
  guint proj_size;
} Lstm;

enum { WEIGHT_IH, WEIGHT_HH, BIAS, WEIGHT_HR };
enum { I, F, G, O, C, TANH_C, M, N_OUT };
enum { TANH = O + 1, N_KEPT }; /* what groups keep */

#define SIZES                                                                  \
  {                                                                            \
    .n_states = 2, .n_kept = N_KEPT, .n_gates = 4, .n_in_gates = 4             \
  }

static const CellKind lstm_kind;

static const char *const options[] = { CELL_OPTIONS, "chrono", "proj_size",
  QUANT_OPTIONS, NULL };

static gboolean
lstm_init (SeqLayer *layer, GVariant *config, GError **error)
{
  Lstm *self = (Lstm *) layer;
  guint n;

  if (!cell_init (layer, (GroupSizes) SIZES, config, error)
      || !seq_config_uint (layer, config, "proj_size", 0, self->cell.units - 1,
          0, &self->proj_size, error))
    return FALSE;
  n = self->cell.units;
  if (self->proj_size)
    layer->n_out = self->proj_size;
  seq_layer_add_tensor (layer, "weight_ih", 4, n, layer->n_in);
  seq_layer_add_tensor (layer, "weight_hh", 4, n, layer->n_out);
  seq_layer_add_tensor (layer, "bias", 4, n, 1);
  if (self->proj_size)
    seq_layer_add_tensor (layer, "weight_hr", 1, self->proj_size, n);
  cell_add_state (layer, self->proj_size ? M + 1 : M);
  self->cell.scratch_alone = transpose_size (&layer->tensors[WEIGHT_IH])
                             + transpose_size (&layer->tensors[WEIGHT_HH])
                             + SEQ_PAD (layer->n_out) + SEQ_PAD (n);
  if (self->proj_size) {
    self->cell.scratch_alone += transpose_size (&layer->tensors[WEIGHT_HR]);
    self->cell.scratch_frame = SEQ_PAD (layer->n_out);
  }
  if (!cell_init_precision (layer, config, error))
    return FALSE;
  if (layer->quantised && self->proj_size) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "lstm: precision is %s where proj_size is %u; expected float: what is "
        "projected has no bounds",
        seq_layer_precision (layer), self->proj_size);
    return FALSE;
  }
  return TRUE;
}

/* The forget gate begins open or, with chrono, as long a memory needs it. */
static void
lstm_seed (const SeqLayer *layer, GRand *rand, real *weights)
{
  const Lstm *self = (const Lstm *) layer;
  const SeqTensor *bias = &layer->tensors[BIAS];

  cell_seed (layer, rand, weights);
  for (guint u = 0; u < self->cell.units; u++) {
    real *forget = &weights[seq_tensor_index (bias, F, u, 0)];

    if (cell_has_chrono (&self->cell)) {
      *forget = chrono_bias (&self->cell, rand);
      weights[seq_tensor_index (bias, I, u, 0)] = -*forget;
    } else {
      *forget += 1;
    }
  }
}

/* A vector of units from the gates' pre-activations and the cell state before:
 * fills out[I] to out[M], tape and results in one. Products of gates share a
 * division; the forget gate has its own, so that what it keeps for ever (f = 1)
 * does not creep. */
SEQ_INLINE void
lstm_activate (const vec a[4], vec c, vec out[N_OUT])
{
  vec qi, qf, qg, qo, qc;
  vec pi = vec_sigmoid_ratio (a[I], &qi), pf = vec_sigmoid_ratio (a[F], &qf);
  vec pg = vec_tanh_ratio (a[G], &qg), po = vec_sigmoid_ratio (a[O], &qo), pc;

  out[F] = pf / qf;
  out[C] = vec_fma (out[F], c, pi * pg / (qi * qg));
  pc = vec_tanh_ratio (out[C], &qc);
  out[M] = po * pc / (qo * qc);
  out[I] = pi / qi;
  out[G] = pg / qg;
  out[O] = po / qo;
  out[TANH_C] = pc / qc;
}

SEQ_INLINE void
lstm_strip (const Cell *cell, Few *few, guint strip, guint first,
    CONSTANT guint n, CONSTANT guint precision, CONSTANT gboolean keep)
{
  const SeqTensor *tensors = cell->base.tensors;
  const CellLane *lanes = &few->lanes[first];
  const real *weights = lanes->weights, *x[2], *h[2];
  QuantRows *q = &few->q[first];
  gsize u = strip * SEQ_VEC, n_h = SEQ_PAD (cell->base.n_out);
  vec a[2 * 4], out[N_OUT];

  for (guint l = 0; l < n; l++) {
    x[l] = lanes[l].x;
    h[l] = lanes[l].h;
    for (guint gate = 0; gate < 4; gate++)
      a[4 * l + gate] = vec_load (
          weights + strip_at (&tensors[BIAS], strip) + gate * SEQ_TILE);
  }
  add_gate_products (a, n, 4, precision, strip,
      &(Operands){ &tensors[WEIGHT_IH], weights,
          cell->quant.bounded_input ? &cell->quant.ih : NULL, x, &q->x });
  add_gate_products (a, n, 4, precision, strip,
      &(Operands){ &tensors[WEIGHT_HH], weights, &cell->quant.hh, h,
          &q->h[few->t % 2] });
  for (guint l = 0; l < n; l++) {
    real *c = lanes[l].state + n_h + u;

    lstm_activate (a + 4 * l, vec_load (c), out);
    vec_store (c, out[C]);
    vec_store (lanes[l].y + u, out[M]);
    if (precision != QUANT_NONE)
      quant_store (&q->h[(few->t + 1) % 2], precision, u, out[M]);
    for (guint i = I; keep && i < M; i++)
      vec_store (lanes[l].tape + i * cell->rows + u, out[i]);
  }
}

/* out = W_hr m */
static void
lstm_project (const Lstm *self, const real *weights, const real *m, real *out)
{
  const SeqTensor *hr = &self->cell.base.tensors[WEIGHT_HR];

  for (guint s = 0; s < SEQ_STRIPS (self->proj_size); s++)
    vec_store (out + s * SEQ_VEC,
        add_row_product (
            (vec){ 0 }, weights + strip_at (hr, s), m, self->cell.units));
}

SEQ_INLINE void
lstm_frame (const Cell *cell, Few *few, CONSTANT guint n,
    CONSTANT guint precision, CONSTANT gboolean keep, CONSTANT gboolean share)
{
  const Lstm *self = (const Lstm *) cell;
  real m[LANES_FEW][SEQ_MAX_UNITS] __attribute__ ((aligned (SEQ_ALIGN)));

  for (guint l = 0; self->proj_size && l < n; l++)
    few->lanes[l].y = m[l];
  few_strips (cell, &lstm_kind, few, n, precision, keep, share);
  for (guint l = 0; self->proj_size && l < n; l++) {
    CellLane *lane = &few->lanes[l];

    lstm_project (self, lane->weights, m[l], lane->out);
    if (keep)
      memcpy (lane->tape + M * cell->rows, m[l], cell->rows * sizeof (real));
  }
}

static void
lstm_grad_alone (
    const SeqLayer *layer, const SeqBlock *block, const SeqGrad *g, guint lane)
{
  const Lstm *self = (const Lstm *) layer;
  const SeqTensor *ih = &layer->tensors[WEIGHT_IH];
  const SeqTensor *hh = &layer->tensors[WEIGHT_HH];
  const SeqTensor *hr = self->proj_size ? &layer->tensors[WEIGHT_HR] : NULL;
  gsize n_h = SEQ_PAD (layer->n_out), rows = self->cell.rows;
  real *ih_t = g->scratch, *hh_t = ih_t + transpose_size (ih);
  real *dh = hh_t + transpose_size (hh), *dm = dh + n_h;
  real *hr_t = dm + rows, *dhs = hr ? hr_t + transpose_size (hr) : NULL;
  Alone a = alone_of (block, g, lane);
  real *dc = a.d_state + n_h;
  Gradients d = { a.tape, a.tape_step, rows, block->n_frames };

  if (g->d_in)
    transpose_tensor (ih, a.weights, ih_t);
  transpose_tensor (hh, a.weights, hh_t);
  if (hr)
    transpose_tensor (hr, a.weights, hr_t);
  memcpy (dh, a.d_state, n_h * sizeof (real));
  for (guint t = block->n_frames; t-- > 0;) {
    gsize row = (gsize) t * block->n_lanes + lane;
    const real *d_out = g->d_out + row * block->out_stride;
    real *tape = a.tape + t * a.tape_step;
    const real *c_before =
        t > 0 ? tape - a.tape_step + C * rows : a.state + n_h;
    const real *d_m = dm;

    for (gsize u = 0; u < n_h; u += SEQ_VEC)
      vec_store (dh + u, vec_load (dh + u) + vec_load (d_out + u));
    if (hr) {
      memcpy (dhs + t * n_h, dh, n_h * sizeof (real));
      multiply_transposed (hr, 0, 1, hr_t, dh, dm, FALSE);
    } else {
      d_m = dh;
    }
    for (gsize u = 0; u < rows; u += SEQ_VEC) {
      vec i = vec_load (tape + I * rows + u);
      vec f = vec_load (tape + F * rows + u);
      vec gg = vec_load (tape + G * rows + u);
      vec o = vec_load (tape + O * rows + u);
      vec tanh_c = vec_load (tape + TANH_C * rows + u);
      vec dy = vec_load (d_m + u);
      vec dcell = vec_fma (dy * o, tanh_slope (tanh_c), vec_load (dc + u));

      vec_store (tape + I * rows + u, dcell * gg * i * (1 - i));
      vec_store (
          tape + F * rows + u, dcell * vec_load (c_before + u) * f * (1 - f));
      vec_store (tape + G * rows + u, dcell * i * tanh_slope (gg));
      vec_store (tape + O * rows + u, dy * tanh_c * o * (1 - o));
      vec_store (dc + u, dcell * f);
    }
    multiply_transposed (hh, 0, 4, hh_t, tape, dh, FALSE);
    if (g->d_in)
      multiply_transposed (
          ih, 0, 4, ih_t, tape, g->d_in + row * g->d_in_stride, FALSE);
  }
  memcpy (a.d_state, dh, n_h * sizeof (real));

  add_tensor_gradient (ih, 0, 4, g->d_weights, &d, &a.in, 0);
  add_tensor_gradient (hh, 0, 4, g->d_weights, &d, &a.h, 1);
  add_tensor_gradient (&layer->tensors[BIAS], 0, 4, g->d_weights, &d, NULL, 0);
  if (hr) {
    SeqRows m = { a.tape + M * rows, a.tape_step, NULL };
    Gradients by_h = { dhs, n_h, n_h, block->n_frames };

    add_tensor_gradient (hr, 0, 1, g->d_weights, &by_h, &m, 0);
  }
}

SEQ_INLINE void
lstm_step_group (const SeqLayer *layer, const real *weights,
    CONSTANT guint vecs, real *frame, real *next, CONSTANT gboolean keep)
{
  const SeqTensor *t = layer->tensors;
  GroupTile tile = group_tile (4, vecs);
  guint lanes = vecs * SEQ_VEC, n = tile.units * vecs;
  GroupPlaces at = group_places (layer, &lstm_kind.group.sizes, vecs);

  for (guint u = 0; u < at.rows; u += tile.units) {
    vec a[GROUP_SUMS];

    group_set_bias (a, tile, weights + seq_tensor_index (&t[BIAS], 0, u, 0));
    group_add_product (a, tile,
        weights + seq_tensor_index (&t[WEIGHT_IH], 0, u, 0), 4 * SEQ_TILE,
        frame, layer->n_in);
    group_add_product (a, tile,
        weights + seq_tensor_index (&t[WEIGHT_HH], 0, u, 0), 4 * SEQ_TILE,
        frame + at.h, layer->n_out);
    UNROLL (k, n)
    {
      gsize row = u * lanes + k * SEQ_VEC;
      vec gates[4] = { a[I * n + k], a[F * n + k], a[G * n + k], a[O * n + k] };
      vec out[N_OUT];

      lstm_activate (gates, vec_load (frame + at.c + row), out);
      vec_store (next + at.c + row, out[C]);
      vec_store (next + at.h + row, out[M]);
      if (keep) {
        real *to =
            frame + group_kept (&lstm_kind.group.sizes, &at, u + k / vecs, vecs)
            + k % vecs * SEQ_VEC;

        UNROLL (g, 4)
        vec_store (to + g * lanes, out[g]);
        vec_store (to + TANH * lanes, out[TANH_C]);
      }
    }
  }
}

SEQ_INLINE void
lstm_back_group (const SeqLayer *layer, const real *weights,
    CONSTANT guint vecs, const GroupBack *b)
{
  guint lanes = vecs * SEQ_VEC;
  GroupPlaces at = group_places (layer, &lstm_kind.group.sizes, vecs);
  gsize gate = at.rows * GROUP_STEP;
  real *dh = b->d_states, *dc = dh + at.rows * lanes;

  for (guint u = 0; u < at.rows; u++) {
    group_prefetch (&lstm_kind.group.sizes, &at, b->before, u, vecs);
    UNROLL (v, vecs)
    {
      gsize row = u * lanes + v * SEQ_VEC;
      const real *kept = b->frame
                         + group_kept (&lstm_kind.group.sizes, &at, u, vecs)
                         + v * SEQ_VEC;
      real *to = b->d + u * GROUP_STEP + v * SEQ_VEC;
      vec i = vec_load (kept + I * lanes), f = vec_load (kept + F * lanes);
      vec g = vec_load (kept + G * lanes), o = vec_load (kept + O * lanes);
      vec tanh_c = vec_load (kept + TANH * lanes);
      vec dy = vec_load (dh + row) + vec_load (b->d_out + row);
      vec dcell = vec_fma (dy * o, tanh_slope (tanh_c), vec_load (dc + row));

      vec_store (to + I * gate, dcell * g * i * (1 - i));
      vec_store (to + F * gate,
          dcell * vec_load (b->frame + at.c + row) * f * (1 - f));
      vec_store (to + G * gate, dcell * i * tanh_slope (g));
      vec_store (to + O * gate, dy * tanh_c * o * (1 - o));
      vec_store (dc + row, dcell * f);
    }
  }
  group_multiply_transposed (
      (GroupTransposed){ .tensor = &layer->tensors[WEIGHT_HH],
          .weights = weights,
          .to = 4,
          .d = b->d,
          .out = dh },
      vecs);
}

SEQ_INLINE void
lstm_gradient_group (
    const SeqLayer *layer, real *d_weights, const GroupRows *rows)
{
  const SeqTensor *t = layer->tensors;
  gsize gate = GROUP_PAD (layer->n_out) * GROUP_STEP;

  for (guint g = 0; g < 4; g++)
    group_add_gradient (d_weights,
        (GroupColumns[]){ { &t[BIAS], g, rows->ones },
            { &t[WEIGHT_IH], g, rows->x }, { &t[WEIGHT_HH], g, rows->h } },
        3, rows->d + g * gate, rows->n);
}

static gboolean
lstm_grouped (const SeqLayer *layer)
{
  return ((const Lstm *) layer)->proj_size == 0;
}

static const CellKind lstm_kind = {
  .group = { .sizes = SIZES,
      .step = lstm_step_group,
      .back = lstm_back_group,
      .gradient = lstm_gradient_group },
  .swept = WEIGHT_HH,
  .packs = TRUE,
  .strip = lstm_strip,
  .frame = lstm_frame,
  .grouped = lstm_grouped,
  .grad_alone = lstm_grad_alone,
};

CELL_APART
lstm_run_few (
    const SeqLayer *layer, const SeqBlock *block, guint first, guint n)
{
  few_run_all (layer, &lstm_kind, block, first, n);
}

static void
lstm_run (const SeqLayer *layer, const SeqBlock *block)
{
  cell_run (layer, &lstm_kind, block, lstm_run_few);
}

static void
lstm_grad (const SeqLayer *layer, const SeqBlock *block, const SeqGrad *g)
{
  cell_grad (layer, &lstm_kind, block, g);
}

const SeqLayerClass SEQ_CLASS (lstm) = {
  .kind = { .name = "lstm",
      .title = "Long short-term memory",
      .flags = SEQ_KIND_TRAINS | SEQ_KIND_TORCH_CELL,
      .options = options },
  .instance_size = sizeof (Lstm),
  .init = lstm_init,
  .seed = lstm_seed,
  .pack = cell_pack,
  .start = cell_start,
  .run = lstm_run,
  .grad = lstm_grad,
  .n_scratch = cell_scratch,
};
