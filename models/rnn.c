/* rnn.c: Elman's network (1990), as PyTorch's nn.RNN.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 *   h = act (W_ih x + W_hh h + b),  act = tanh or relu;  the output is h
 *
 * bias is the sum of PyTorch's two. State: h, padded. Tape: h of the frame,
 * in place of which grad() leaves the gradient before the activation. What
 * groups of lanes keep is lanes.h's business.
 */
#include "src/simd/lanes.h"
#include "src/simd/product.h"
#include "src/simd/quant.h"

typedef struct {
  SeqLayer base;
  guint nonlinearity, initial_state;
  QuantCell quant;
} Rnn;

enum { WEIGHT_IH, WEIGHT_HH, BIAS, H0 };
enum { TANH, RELU };

static const LaneCell lane_cell;

static const char *const options[] = { "hidden_size", "nonlinearity",
  "initial_state", QUANT_OPTIONS, NULL };

static gboolean
init (SeqLayer *layer, GVariant *config, GError **error)
{
  static const char *const words[] = { "tanh", "relu", NULL };
  Rnn *self = (Rnn *) layer;

  if (!seq_config_uint (
          layer, config, "hidden_size", 1, 4096, 20, &layer->n_out, error)
      || !seq_config_word (layer, config, "nonlinearity", words, TANH,
          &self->nonlinearity, error)
      || !seq_config_uint (
          layer, config, "initial_state", 0, 1, 0, &self->initial_state, error))
    return FALSE;
  seq_layer_add_tensor (layer, "weight_ih", 1, layer->n_out, layer->n_in);
  seq_layer_add_tensor (layer, "weight_hh", 1, layer->n_out, layer->n_out);
  seq_layer_add_tensor (layer, "bias", 1, layer->n_out, 1);
  if (self->initial_state)
    seq_layer_add_tensor (layer, "h0", 1, layer->n_out, 1);
  if (!quant_init (layer, config, &layer->tensors[WEIGHT_IH],
          &layer->tensors[WEIGHT_HH], &self->quant, error))
    return FALSE;
  if (layer->quantised && self->nonlinearity == RELU) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "rnn: precision is float where nonlinearity is relu: its state has no "
        "bounds");
    return FALSE;
  }
  layer->n_state = SEQ_PAD (layer->n_out);
  layer->n_tape = lane_tape (layer, &lane_cell);
  return TRUE;
}

static void
seed (const SeqLayer *layer, GRand *rand, real *weights)
{
  seq_seed_uniform (layer, rand, 1 / sqrt (layer->n_out), weights);
  if (layer->n_tensors > H0)
    memset (weights + layer->tensors[H0].offset, 0,
        SEQ_PAD (layer->n_out) * sizeof (real));
}

static void
pack (const SeqLayer *layer, real *weights)
{
  quant_pack_cell (&((const Rnn *) layer)->quant, &layer->tensors[WEIGHT_IH],
      &layer->tensors[WEIGHT_HH], weights);
}

static void
start (const SeqLayer *layer, const real *weights, real *state)
{
  memset (state, 0, layer->n_state * sizeof (real));
  if (layer->n_tensors > H0)
    memcpy (state, weights + layer->tensors[H0].offset,
        layer->n_out * sizeof (real));
}

SEQ_INLINE vec
activate (const Rnn *self, vec a)
{
  if (self->nonlinearity == TANH)
    return vec_tanh (a);
  return vec_select (a < 0, vec_splat (0), a);
}

/* d times the activation's slope where it gave y. */
SEQ_INLINE vec
slope_times (const Rnn *self, vec y, vec d)
{
  if (self->nonlinearity == TANH)
    return d * tanh_slope (y);
  return vec_select (y > 0, d, vec_splat (0));
}

/* Where one lane's numbers of a frame are. */
typedef struct {
  const real *weights, *x, *h;
  real *out;
} Lane;

/* n strips of frame t, from strip `first` on, of n_lanes lanes (constants) with
 * the same weights. With a precision (a constant), h is in q, and x where it is
 * bounded. */
SEQ_INLINE void
strips (const Rnn *self, guint precision, guint t, guint first, guint n,
    const Lane *lanes, QuantRows *q, guint n_lanes)
{
  const SeqTensor *tensors = self->base.tensors;
  const real *ih[ROW_STRIPS], *hh[ROW_STRIPS], *x[2], *h[2];
  const real *weights = lanes->weights;
  vec a[ROW_STRIPS];

  for (guint s = 0; s < n; s++) {
    ih[s] = weights + strip_at (&tensors[WEIGHT_IH], first + s);
    hh[s] = weights + strip_at (&tensors[WEIGHT_HH], first + s);
  }
  for (guint l = 0; l < n_lanes; l++) {
    x[l] = lanes[l].x;
    h[l] = lanes[l].h;
    for (guint s = 0; s < n; s++)
      a[l * n + s] = vec_load (weights + strip_at (&tensors[BIAS], first + s));
  }
  if (precision != QUANT_NONE && self->quant.bounded_input)
    quant_product (a, n, 1, &tensors[WEIGHT_IH], precision, &self->quant.ih,
        weights, first, &q->x);
  else
    row_products (a, n_lanes, n, ih, x, self->base.n_in);
  if (precision != QUANT_NONE)
    quant_product (a, n, 1, &tensors[WEIGHT_HH], precision, &self->quant.hh,
        weights, first, &q->h[t % 2]);
  else
    row_products (a, n_lanes, n, hh, h, self->base.n_out);
  for (guint i = 0; i < n_lanes * n; i++) {
    gsize u = (first + i % n) * SEQ_VEC;
    vec y = activate (self, a[i]);

    vec_store (lanes[i / n].out + u, y);
    if (precision != QUANT_NONE)
      quant_store (&q->h[(t + 1) % 2], precision, u, y);
  }
}

/* Frame t of n_lanes lanes (a constant) with the same weights. */
SEQ_INLINE void
step (const Rnn *self, guint precision, guint t, const Lane *lanes,
    QuantRows *q, guint n_lanes)
{
  guint n = SEQ_STRIPS (self->base.n_out), at_once = ROW_STRIPS / n_lanes;
  gboolean backward = strips_backward (&self->base.tensors[WEIGHT_HH], t);

  for (guint s = 0, some; s < n; s += some) {
    some = n - s >= at_once ? at_once : 1;
    if (some > 1)
      strips (self, precision, t, backward ? n - s - some : s, at_once, lanes,
          q, n_lanes);
    else
      strips (
          self, precision, t, backward ? n - s - 1 : s, 1, lanes, q, n_lanes);
  }
}

/* All frames of n lanes from `first` on: by turns, or with share (a constant)
 * two at a time. */
SEQ_INLINE void
run_lanes (const Rnn *self, guint precision, const SeqBlock *block, guint first,
    guint n, gboolean share)
{
  const SeqLayer *layer = &self->base;
  gsize size = SEQ_STRIPS (layer->n_out) * SEQ_VEC * sizeof (real);
  Lane lanes[LANES_FEW];
  QuantRows q[LANES_FEW];

  for (guint l = 0; l < n; l++) {
    lanes[l] = (Lane){
      .weights = block->weights + (first + l) * block->weights_stride,
      .h = block->state + (first + l) * block->state_stride,
    };
    if (precision != QUANT_NONE)
      quant_row (&q[l].h[0], precision, lanes[l].h, layer->n_out);
  }
  for (guint t = 0; t < block->n_frames; t++) {
    gsize row = (gsize) t * block->n_lanes + first;
    guint l = 0;

    for (l = 0; l < n; l++) {
      lanes[l].x = block->in + (row + l) * block->in_stride;
      lanes[l].out = block->out + (row + l) * block->out_stride;
      if (precision != QUANT_NONE && self->quant.bounded_input)
        quant_row (&q[l].x, precision, lanes[l].x, layer->n_in);
    }
    for (l = 0; share && l + 2 <= n; l += 2)
      step (self, QUANT_NONE, t, lanes + l, NULL, 2);
    for (; l < n; l++)
      step (self, precision, t, lanes + l, q + l, 1);
    for (l = 0; l < n; l++) {
      if (block->tape_stride)
        memcpy (
            block->tape + (row + l) * block->tape_stride, lanes[l].out, size);
      lanes[l].h = lanes[l].out;
    }
  }
  for (guint l = 0; l < n && block->n_frames; l++)
    memcpy (block->state + (first + l) * block->state_stride, lanes[l].h, size);
}

/* A lane alone, or a few. Small nets take turns, so that one's activation hides
 * behind another's product; with others lanes would take each other's place in
 * the first cache. */
static void
run_few (const SeqLayer *layer, const SeqBlock *block, guint first, guint n)
{
  const Rnn *self = (const Rnn *) layer;
  gboolean share = n > 1 && strips_shared (block, &layer->tensors[WEIGHT_HH]);
  guint turns = layer->n_out <= 48 ? n : 1;

  if (share && !layer->quantised) {
    run_lanes (self, QUANT_NONE, block, first, n, TRUE);
    return;
  }
  for (guint lane = first; lane < first + n; lane += turns)
    if (layer->quantised)
      QUANT_WITH (self->quant.precision,
          run_lanes (self, precision, block, lane, turns, FALSE))
    else if (turns == 1)
      run_lanes (self, QUANT_NONE, block, lane, 1, FALSE);
    else
      run_lanes (self, QUANT_NONE, block, lane, turns, FALSE);
}

static void
grad_lane (
    const SeqLayer *layer, const SeqBlock *block, const SeqGrad *g, guint lane)
{
  const Rnn *self = (const Rnn *) layer;
  const SeqTensor *ih = &layer->tensors[WEIGHT_IH];
  const SeqTensor *hh = &layer->tensors[WEIGHT_HH];
  gsize rows = SEQ_PAD (layer->n_out);
  gsize tape_step = block->n_lanes * block->tape_stride;
  real *ih_t = g->scratch, *hh_t = ih_t + transpose_size (ih);
  real *dh = hh_t + transpose_size (hh);

  const real *weights = block->weights + lane * block->weights_stride;
  real *d_state = g->d_state + lane * block->state_stride;
  real *tapes = block->tape + lane * block->tape_stride;
  SeqRows in = { block->in + lane * block->in_stride,
    block->n_lanes * block->in_stride, NULL };
  SeqRows h = { block->out + lane * block->out_stride,
    block->n_lanes * block->out_stride,
    block->state + lane * block->state_stride };

  if (g->d_in)
    transpose (ih, weights, ih_t);
  transpose (hh, weights, hh_t);
  memcpy (dh, d_state, rows * sizeof (real));
  for (guint t = block->n_frames; t-- > 0;) {
    gsize row = (gsize) t * block->n_lanes + lane;
    const real *d_out = g->d_out + row * block->out_stride;
    real *tape = tapes + t * tape_step;

    for (gsize u = 0; u < rows; u += SEQ_VEC) {
      vec d = vec_load (dh + u) + vec_load (d_out + u);

      vec_store (tape + u, slope_times (self, vec_load (tape + u), d));
    }
    transposed_product (hh, 0, 1, hh_t, tape, dh, FALSE);
    if (g->d_in)
      transposed_product (
          ih, 0, 1, ih_t, tape, g->d_in + row * g->d_in_stride, FALSE);
  }
  memcpy (d_state, dh, rows * sizeof (real));
  tensor_gradient (
      ih, 0, 1, g->d_weights, tapes, tape_step, rows, &in, 0, block->n_frames);
  tensor_gradient (
      hh, 0, 1, g->d_weights, tapes, tape_step, rows, &h, 1, block->n_frames);
  tensor_gradient (&layer->tensors[BIAS], 0, 1, g->d_weights, tapes, tape_step,
      rows, NULL, 0, block->n_frames);
}

/* --- groups of lanes --------------------------------------------------------
 */

SEQ_INLINE void
units_lanes (const SeqLayer *layer, const real *weights, guint vecs,
    guint first, guint units, real *frame, real *next, gboolean keep)
{
  const SeqTensor *t = layer->tensors;
  guint lanes = vecs * SEQ_VEC;
  LanePlaces at = lane_places (layer, &lane_cell, vecs);
  vec a[LANE_SUMS];

  lanes_bias (
      a, 1, units, vecs, weights + seq_tensor_index (&t[BIAS], 0, first, 0));
  lanes_row_product (a, units, vecs,
      weights + seq_tensor_index (&t[WEIGHT_IH], 0, first, 0), frame,
      layer->n_in);
  lanes_row_product (a, units, vecs,
      weights + seq_tensor_index (&t[WEIGHT_HH], 0, first, 0), frame + at.h,
      layer->n_out);
  LANE_FOR (k, units * vecs) {
    gsize row = first * lanes + k * SEQ_VEC;
    vec h = activate ((const Rnn *) layer, a[k]);

    vec_store (next + at.h + row, h);
    if (keep)
      vec_store (frame + at.kept + row, h);
  }
}

SEQ_INLINE void
step_lanes (const SeqLayer *layer, const real *weights, guint vecs, real *frame,
    real *next, gboolean keep)
{
  guint rows = LANE_PAD (layer->n_out), u = 0;

  if (8 * vecs <= LANE_SUMS)
    for (; u + 8 <= rows; u += 8)
      units_lanes (layer, weights, vecs, u, 8, frame, next, keep);
  for (; u < rows; u += 4)
    units_lanes (layer, weights, vecs, u, 4, frame, next, keep);
}

SEQ_INLINE void
back_lanes (const SeqLayer *layer, const real *weights, guint vecs,
    const real *frame, const real *before, const real *d_out, real *dh, real *d)
{
  guint lanes = vecs * SEQ_VEC;
  LanePlaces at = lane_places (layer, &lane_cell, vecs);

  for (guint u = 0; u < at.rows; u++) {
    lanes_prefetch (&lane_cell, &at, before, u, vecs);
    LANE_FOR (v, vecs) {
      gsize row = u * lanes + v * SEQ_VEC;

      vec_store (d + u * LANE_STEP + v * SEQ_VEC,
          slope_times ((const Rnn *) layer, vec_load (frame + at.kept + row),
              vec_load (dh + row) + vec_load (d_out + row)));
    }
  }
  lanes_back (
      &layer->tensors[WEIGHT_HH], weights, 0, 1, d, at.rows, vecs, dh, FALSE);
}

SEQ_INLINE void
gradient_lanes (const SeqLayer *layer, real *d_weights, const real *d,
    const real *ones, const real *x, const real *h, gsize n)
{
  const SeqTensor *t = layer->tensors;

  lanes_gradient (d_weights,
      (LaneColumns[]){ { &t[BIAS], 0, ones }, { &t[WEIGHT_IH], 0, x },
          { &t[WEIGHT_HH], 0, h } },
      3, d, LANE_PAD (layer->n_out), n);
}

static const LaneCell lane_cell = { .n_states = 1,
  .n_kept = 1,
  .n_gates = 1,
  .n_in_gates = 1,
  .step = step_lanes,
  .back = back_lanes,
  .gradient = gradient_lanes };

static void
run (const SeqLayer *layer, const SeqBlock *block)
{
  lanes_run (layer, &lane_cell, !layer->quantised, block, run_few);
}

static void
grad (const SeqLayer *layer, const SeqBlock *block, const SeqGrad *g)
{
  lanes_grad (layer, &lane_cell, TRUE, block, g, grad_lane);
}

static gsize
n_scratch (const SeqLayer *layer, guint n_frames, guint n_lanes)
{
  gsize of_lane = transpose_size (&layer->tensors[WEIGHT_IH])
                  + transpose_size (&layer->tensors[WEIGHT_HH])
                  + SEQ_PAD (layer->n_out);

  return MAX (of_lane, lane_scratch (layer, &lane_cell, n_lanes));
}

const SeqLayerClass SEQ_CLASS (rnn) = {
  .kind = { .name = "rnn",
      .title = "Elman's recurrent network",
      .aliases = (const char *const[]){ "elman", NULL },
      .flags = SEQ_KIND_TRAINS | SEQ_KIND_TORCH_CELL,
      .options = options },
  .instance_size = sizeof (Rnn),
  .init = init,
  .seed = seed,
  .pack = pack,
  .start = start,
  .run = run,
  .grad = grad,
  .n_scratch = n_scratch,
};
