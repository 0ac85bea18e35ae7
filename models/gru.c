/* gru.c: gated recurrent unit (Cho et al. 2014), in both published variants.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 *   r = sigmoid (W_ir x + W_hr h + b_r)                    reset gate
 *   z = sigmoid (W_iz x + W_hz h + b_z)                    update gate
 *   n = tanh (W_in x + b_n + r * (W_hn h + b_hn))          reset_after = 1:
 *                                     PyTorch's nn.GRU, Keras' reset_after
 *   n = tanh (W_in x + b_n + W_hn (r * h) + b_hn)          reset_after = 0:
 *                                     Cho et al.'s version 1, ONNX's default
 *   h = (1 - z) n + z h                                    the output
 *
 * bias holds b_r, b_z (the sums of PyTorch's two) and b_n (its input bias);
 * bias_hn is the recurrent bias of n. State: h, padded. Tape: r, z, n, two
 * free, then W_hn h + b_hn or r * h; grad() leaves there the gradients that
 * belong to W_ih (first three) and to W_hh (last three). What groups of lanes
 * keep is lanes.h's business; with reset_after = 0 lanes go one by one.
 */
#include "src/simd/lanes.h"
#include "src/simd/product.h"
#include "src/simd/quant.h"

typedef struct {
  SeqLayer base;
  guint reset_after, initial_state, chrono;
  gsize rows; /* hidden_size, padded */
  QuantCell quant;
} Gru;

enum { WEIGHT_IH, WEIGHT_HH, BIAS, BIAS_HN, H0 };
enum { R, Z, N, HR, HZ, HN, N_TAPE };
enum { GROUP_HN = N + 1, N_KEPT }; /* in what groups of lanes keep: W_hn h */

static const LaneCell lane_cell;

static const char *const options[] = { "hidden_size", "reset_after",
  "initial_state", "chrono", QUANT_OPTIONS, NULL };

static gboolean
init (SeqLayer *layer, GVariant *config, GError **error)
{
  Gru *self = (Gru *) layer;

  if (!seq_config_uint (
          layer, config, "hidden_size", 1, 4096, 20, &layer->n_out, error)
      || !seq_config_uint (
          layer, config, "reset_after", 0, 1, 1, &self->reset_after, error)
      || !seq_config_uint (
          layer, config, "initial_state", 0, 1, 0, &self->initial_state, error)
      || !seq_config_uint (
          layer, config, "chrono", 0, 1 << 30, 0, &self->chrono, error))
    return FALSE;
  self->rows = SEQ_PAD (layer->n_out);
  seq_layer_add_tensor (layer, "weight_ih", 3, layer->n_out, layer->n_in);
  seq_layer_add_tensor (layer, "weight_hh", 3, layer->n_out, layer->n_out);
  seq_layer_add_tensor (layer, "bias", 3, layer->n_out, 1);
  seq_layer_add_tensor (layer, "bias_hn", 1, layer->n_out, 1);
  if (self->initial_state)
    seq_layer_add_tensor (layer, "h0", 1, layer->n_out, 1);
  if (!quant_init (layer, config, &layer->tensors[WEIGHT_IH],
          &layer->tensors[WEIGHT_HH], &self->quant, error))
    return FALSE;
  if (layer->quantised && !self->reset_after) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "gru: precision is float where reset_after is 0");
    return FALSE;
  }
  layer->n_state = self->rows;
  layer->n_tape = MAX (N_TAPE * self->rows, lane_tape (layer, &lane_cell));
  return TRUE;
}

/* PyTorch's start; with chrono the update gate, which keeps the old state,
 * remembers for 1 to `chrono` frames (Tallec and Ollivier 2018). */
static void
seed (const SeqLayer *layer, GRand *rand, real *weights)
{
  const Gru *self = (const Gru *) layer;

  seq_seed_uniform (layer, rand, 1 / sqrt (layer->n_out), weights);
  if (self->chrono > 2)
    for (guint u = 0; u < layer->n_out; u++)
      weights[seq_tensor_index (&layer->tensors[BIAS], Z, u, 0)] =
          (real) log (g_rand_double_range (rand, 1, self->chrono - 1));
  if (self->initial_state)
    memset (weights + layer->tensors[H0].offset, 0, self->rows * sizeof (real));
}

static void
pack (const SeqLayer *layer, real *weights)
{
  quant_pack_cell (&((const Gru *) layer)->quant, &layer->tensors[WEIGHT_IH],
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

/* Bias and W_ih x of one strip's gates [from, to). */
SEQ_INLINE void
gates (const SeqLayer *layer, const real *weights, guint s, guint from,
    guint to, const real *x, vec *a)
{
  const real *bias = weights + strip_at (&layer->tensors[BIAS], s);
  const real *ih = weights + strip_at (&layer->tensors[WEIGHT_IH], s);

  for (guint g = from; g < to; g++)
    a[g - from] = vec_load (bias + g * SEQ_TILE);
  strip_product (
      a, to - from, ih + from * SEQ_TILE, 3 * SEQ_TILE, x, layer->n_in);
}

/* Where one lane's numbers of a frame are. */
typedef struct {
  const real *weights, *x, *h;
  real *out, *tape;
} Lane;

/* Strip s of frame t of n_lanes lanes (a constant) with the same weights,
 * reset_after. With a precision (a constant), h is in q as well, and x where it
 * is bounded. */
SEQ_INLINE void
strip_after (const Gru *self, guint precision, guint t, guint s,
    const Lane *lanes, QuantRows *q, guint n_lanes, gboolean keep)
{
  const SeqTensor *tensors = self->base.tensors;
  const SeqTensor *ih = &tensors[WEIGHT_IH], *hh = &tensors[WEIGHT_HH];
  const real *weights = lanes->weights, *x[2], *h[2];
  vec a[2 * 3], in[2], r, z, n, y;
  gsize u = s * SEQ_VEC;

  for (guint l = 0; l < n_lanes; l++) {
    x[l] = lanes[l].x;
    h[l] = lanes[l].h;
    for (guint g = R; g <= N; g++)
      a[3 * l + g] =
          vec_load (weights + strip_at (&tensors[BIAS], s) + g * SEQ_TILE);
  }
  gate_products (a, n_lanes, 3, ih, precision, self->quant.bounded_input != 0,
      &self->quant.ih, weights, s, x, &q->x);
  for (guint l = 0; l < n_lanes; l++) {
    in[l] = a[3 * l + N];
    a[3 * l + N] = vec_load (weights + strip_at (&tensors[BIAS_HN], s));
  }
  gate_products (a, n_lanes, 3, hh, precision, TRUE, &self->quant.hh, weights,
      s, h, &q->h[t % 2]);
  for (guint l = 0; l < n_lanes; l++) {
    real *tape = lanes[l].tape;

    r = vec_sigmoid (a[3 * l + R]);
    z = vec_sigmoid (a[3 * l + Z]);
    n = vec_tanh (vec_fma (r, a[3 * l + N], in[l]));
    y = vec_fma (n, 1 - z, z * vec_load (h[l] + u));
    vec_store (lanes[l].out + u, y);
    if (precision != QUANT_NONE)
      quant_store (&q->h[(t + 1) % 2], precision, u, y);
    if (keep) {
      vec_store (tape + R * self->rows + u, r);
      vec_store (tape + Z * self->rows + u, z);
      vec_store (tape + N * self->rows + u, n);
      vec_store (tape + HN * self->rows + u, a[3 * l + N]);
    }
  }
}

/* Frame t of n lanes, reset_after: by turns or in pairs, as those of an lstm.
 */
SEQ_INLINE void
step_after (const Gru *self, guint precision, guint t, const Lane *lanes,
    QuantRows *q, guint n, gboolean keep, gboolean share)
{
  const SeqTensor *hh = &self->base.tensors[WEIGHT_HH];
  guint n_strips = SEQ_STRIPS (self->base.n_out);
  gboolean backward = strips_backward (hh, t);

  for (guint k = 0; k < n_strips; k++) {
    guint s = backward ? n_strips - 1 - k : k, l = 0;

    for (; share && l + 2 <= n; l += 2)
      strip_after (self, QUANT_NONE, t, s, lanes + l, NULL, 2, keep);
    for (; l < n; l++)
      strip_after (self, precision, t, s, lanes + l, q + l, 1, keep);
  }
}

/* One frame of one lane, reset before. reset: room for r * h and z. */
SEQ_INLINE void
step_before (const Gru *self, const Lane *lane, real *reset, gboolean keep)
{
  const real *weights = lane->weights, *x = lane->x, *h = lane->h;
  real *out = lane->out, *tape = lane->tape;
  const SeqLayer *layer = &self->base;
  const SeqTensor *hh = &layer->tensors[WEIGHT_HH];
  gsize rows = self->rows;

  for (gsize s = 0, u = 0; s < SEQ_STRIPS (layer->n_out); s++, u += SEQ_VEC) {
    vec a[2], r;

    gates (layer, weights, s, R, N, x, a);
    strip_product (
        a, 2, weights + strip_at (hh, s), 3 * SEQ_TILE, h, layer->n_out);
    r = vec_sigmoid (a[R]);
    vec_store (reset + u, r * vec_load (h + u));
    vec_store (reset + rows + u, vec_sigmoid (a[Z]));
    if (keep)
      vec_store (tape + R * rows + u, r);
  }
  for (gsize s = 0, u = 0; s < SEQ_STRIPS (layer->n_out); s++, u += SEQ_VEC) {
    vec hn = vec_load (weights + strip_at (&layer->tensors[BIAS_HN], s));
    vec z = vec_load (reset + rows + u), n;

    gates (layer, weights, s, N, N + 1, x, &n);
    strip_product (&hn, 1, weights + strip_at (hh, s) + N * SEQ_TILE,
        3 * SEQ_TILE, reset, layer->n_out);
    n = vec_tanh (n + hn);
    vec_store (out + u, vec_fma (n, 1 - z, z * vec_load (h + u)));
    if (keep) {
      vec_store (tape + Z * rows + u, z);
      vec_store (tape + N * rows + u, n);
      vec_store (tape + HN * rows + u, vec_load (reset + u));
    }
  }
}

/* All frames of n lanes from `first` on. */
SEQ_INLINE void
run_lanes (const Gru *self, guint precision, const SeqBlock *block, guint first,
    guint n)
{
  const SeqLayer *layer = &self->base;
  real reset[2 * 4096] __attribute__ ((aligned (SEQ_ALIGN)));
  gboolean keep = block->tape_stride > 0;
  Lane lanes[LANES_FEW];
  QuantRows q[LANES_FEW];
  gboolean share = n > 1 && strips_shared (block, &layer->tensors[WEIGHT_HH]);

  for (guint l = 0; l < n; l++) {
    lanes[l].weights = block->weights + (first + l) * block->weights_stride;
    lanes[l].h = block->state + (first + l) * block->state_stride;
    if (precision != QUANT_NONE)
      quant_row (&q[l].h[0], precision, lanes[l].h, layer->n_out);
  }
  for (guint t = 0; t < block->n_frames; t++) {
    for (guint l = 0; l < n; l++) {
      gsize row = (gsize) t * block->n_lanes + first + l;

      lanes[l].x = block->in + row * block->in_stride;
      lanes[l].out = block->out + row * block->out_stride;
      lanes[l].tape = block->tape + row * block->tape_stride;
      if (precision != QUANT_NONE && self->quant.bounded_input)
        quant_row (&q[l].x, precision, lanes[l].x, layer->n_in);
    }
    if (!self->reset_after)
      for (guint l = 0; l < n; l++)
        step_before (self, &lanes[l], reset, keep);
    else if (keep)
      step_after (self, precision, t, lanes, q, n, TRUE, FALSE);
    else if (precision == QUANT_NONE && share)
      step_after (self, precision, t, lanes, q, n, FALSE, TRUE);
    else
      step_after (self, precision, t, lanes, q, n, FALSE, FALSE);
    for (guint l = 0; l < n; l++)
      lanes[l].h = lanes[l].out;
  }
  for (guint l = 0; l < n && block->n_frames; l++)
    memcpy (block->state + (first + l) * block->state_stride, lanes[l].h,
        SEQ_STRIPS (layer->n_out) * SEQ_VEC * sizeof (real));
}

/* A lane alone, or a few. */
static void
run_few (const SeqLayer *layer, const SeqBlock *block, guint lane, guint n)
{
  const Gru *self = (const Gru *) layer;

  if (layer->quantised)
    QUANT_WITH (
        self->quant.precision, run_lanes (self, precision, block, lane, n))
  else if (n == 1)
    run_lanes (self, QUANT_NONE, block, lane, 1);
  else
    run_lanes (self, QUANT_NONE, block, lane, n);
}

static void
grad_lane (
    const SeqLayer *layer, const SeqBlock *block, const SeqGrad *g, guint lane)
{
  const Gru *self = (const Gru *) layer;
  const SeqTensor *ih = &layer->tensors[WEIGHT_IH];
  const SeqTensor *hh = &layer->tensors[WEIGHT_HH];
  gsize rows = self->rows;
  gsize tape_step = block->n_lanes * block->tape_stride;
  gsize out_step = block->n_lanes * block->out_stride;
  real *ih_t = g->scratch, *hh_t = ih_t + transpose_size (ih);
  real *dh = hh_t + transpose_size (hh), *d_reset = dh + rows;

  const real *weights = block->weights + lane * block->weights_stride;
  const real *state = block->state + lane * block->state_stride;
  real *d_state = g->d_state + lane * block->state_stride;
  real *tapes = block->tape + lane * block->tape_stride;
  const real *outs = block->out + lane * block->out_stride;
  SeqRows in = { block->in + lane * block->in_stride,
    block->n_lanes * block->in_stride, NULL };
  SeqRows h = { outs, out_step, state };

  if (g->d_in)
    transpose (ih, weights, ih_t);
  transpose (hh, weights, hh_t);
  memcpy (dh, d_state, rows * sizeof (real));
  for (guint t = block->n_frames; t-- > 0;) {
    gsize row = (gsize) t * block->n_lanes + lane;
    const real *d_out = g->d_out + row * block->out_stride;
    const real *h_before = row_at (&h, (gint) t - 1);
    real *tape = tapes + t * tape_step;
    gboolean after = self->reset_after;

    for (gsize u = 0; u < rows; u += SEQ_VEC) {
      vec r = vec_load (tape + R * rows + u);
      vec z = vec_load (tape + Z * rows + u);
      vec n = vec_load (tape + N * rows + u);
      vec before = vec_load (h_before + u);
      vec d = vec_load (dh + u) + vec_load (d_out + u);
      vec dn = d * (1 - z) * tanh_slope (n);
      vec dz = d * (before - n) * z * (1 - z);

      vec_store (tape + Z * rows + u, dz);
      vec_store (tape + HZ * rows + u, dz);
      vec_store (tape + N * rows + u, dn);
      if (after) {
        vec dr = dn * vec_load (tape + HN * rows + u) * r * (1 - r);

        vec_store (tape + R * rows + u, dr);
        vec_store (tape + HR * rows + u, dr);
        vec_store (tape + HN * rows + u, dn * r);
      }
      vec_store (dh + u, d * z);
    }
    if (!after) {
      /* r * h stays in HN for W_hn's gradient; dn stands in N */
      transposed_product (hh, N, N + 1, hh_t, tape, d_reset, FALSE);
      for (gsize u = 0; u < rows; u += SEQ_VEC) {
        vec r = vec_load (tape + R * rows + u);
        vec d = vec_load (d_reset + u);
        vec dr = d * vec_load (h_before + u) * r * (1 - r);

        vec_store (tape + R * rows + u, dr);
        vec_store (tape + HR * rows + u, dr);
        vec_store (dh + u, vec_fma (d, r, vec_load (dh + u)));
      }
    }
    transposed_product (
        hh, R, after ? N + 1 : N, hh_t, tape + HR * rows, dh, TRUE);
    if (g->d_in)
      transposed_product (
          ih, 0, 3, ih_t, tape, g->d_in + row * g->d_in_stride, FALSE);
  }
  memcpy (d_state, dh, rows * sizeof (real));

  tensor_gradient (
      ih, 0, 3, g->d_weights, tapes, tape_step, rows, &in, 0, block->n_frames);
  tensor_gradient (&layer->tensors[BIAS], 0, 3, g->d_weights, tapes, tape_step,
      rows, NULL, 0, block->n_frames);
  tensor_gradient (hh, R, self->reset_after ? N + 1 : N, g->d_weights,
      tapes + HR * rows, tape_step, rows, &h, 1, block->n_frames);
  if (!self->reset_after) {
    SeqRows reset = { tapes + HN * rows, tape_step, NULL };

    tensor_gradient (hh, N, N + 1, g->d_weights, tapes, tape_step, rows, &reset,
        0, block->n_frames);
  }
  tensor_gradient (&layer->tensors[BIAS_HN], 0, 1, g->d_weights,
      tapes + (self->reset_after ? HN : N) * rows, tape_step, rows, NULL, 0,
      block->n_frames);
}

/* --- groups of lanes, reset_after -------------------------------------------
 */

SEQ_INLINE void
step_lanes (const SeqLayer *layer, const real *weights, guint vecs, real *frame,
    real *next, gboolean keep)
{
  const SeqTensor *t = layer->tensors;
  guint lanes = vecs * SEQ_VEC, units = lane_units (3, vecs), n = units * vecs;
  LanePlaces at = lane_places (layer, &lane_cell, vecs);

  for (guint u = 0; u < at.rows; u += units) {
    vec a[LANE_SUMS], in[LANE_SUMS];

    lanes_bias (
        a, 3, units, vecs, weights + seq_tensor_index (&t[BIAS], 0, u, 0));
    lanes_product (a, 3, units, vecs,
        weights + seq_tensor_index (&t[WEIGHT_IH], 0, u, 0), 3 * SEQ_TILE,
        frame, layer->n_in);
    LANE_FOR (k, n)
      in[k] = a[N * n + k];
    lanes_bias (a + N * n, 1, units, vecs,
        weights + seq_tensor_index (&t[BIAS_HN], 0, u, 0));
    lanes_product (a, 3, units, vecs,
        weights + seq_tensor_index (&t[WEIGHT_HH], 0, u, 0), 3 * SEQ_TILE,
        frame + at.h, layer->n_out);
    LANE_FOR (k, n) {
      gsize row = u * lanes + k * SEQ_VEC;
      vec hn = a[N * n + k], r = vec_sigmoid (a[R * n + k]);
      vec z = vec_sigmoid (a[Z * n + k]),
          new = vec_tanh (vec_fma (r, hn, in[k]));

      vec_store (next + at.h + row,
          vec_fma (new, 1 - z, z * vec_load (frame + at.h + row)));
      if (keep) {
        real *to = frame + lane_kept (&lane_cell, &at, u + k / vecs, vecs)
                   + k % vecs * SEQ_VEC;

        vec_store (to + R * lanes, r);
        vec_store (to + Z * lanes, z);
        vec_store (to + N * lanes, new);
        vec_store (to + GROUP_HN * lanes, hn);
      }
    }
  }
}

SEQ_INLINE void
back_lanes (const SeqLayer *layer, const real *weights, guint vecs,
    const real *frame, const real *before, const real *d_out, real *dh, real *d)
{
  const SeqTensor *hh = &layer->tensors[WEIGHT_HH];
  guint lanes = vecs * SEQ_VEC;
  LanePlaces at = lane_places (layer, &lane_cell, vecs);
  gsize gate = at.rows * LANE_STEP;

  for (guint u = 0; u < at.rows; u++) {
    lanes_prefetch (&lane_cell, &at, before, u, vecs);
    LANE_FOR (v, vecs) {
      gsize row = u * lanes + v * SEQ_VEC;
      const real *kept =
          frame + lane_kept (&lane_cell, &at, u, vecs) + v * SEQ_VEC;
      real *to = d + u * LANE_STEP + v * SEQ_VEC;
      vec r = vec_load (kept + R * lanes), z = vec_load (kept + Z * lanes);
      vec n = vec_load (kept + N * lanes);
      vec dy = vec_load (dh + row) + vec_load (d_out + row);
      vec dn = dy * (1 - z) * tanh_slope (n);

      vec_store (
          to + R * gate, dn * vec_load (kept + GROUP_HN * lanes) * r * (1 - r));
      vec_store (to + Z * gate,
          dy * (vec_load (frame + at.h + row) - n) * z * (1 - z));
      vec_store (to + N * gate, dn);
      vec_store (to + GROUP_HN * gate, dn * r);
      vec_store (dh + row, dy * z);
    }
  }
  lanes_back (hh, weights, R, N, d, at.rows, vecs, dh, TRUE);
  lanes_back (hh, weights, N, N + 1, d + gate, at.rows, vecs, dh, TRUE);
}

SEQ_INLINE void
gradient_lanes (const SeqLayer *layer, real *d_weights, const real *d,
    const real *ones, const real *x, const real *h, gsize n)
{
  const SeqTensor *t = layer->tensors;
  guint rows = LANE_PAD (layer->n_out);
  gsize gate = rows * LANE_STEP;

  for (guint g = R; g < N; g++)
    lanes_gradient (d_weights,
        (LaneColumns[]){ { &t[BIAS], g, ones }, { &t[WEIGHT_IH], g, x },
            { &t[WEIGHT_HH], g, h } },
        3, d + g * gate, rows, n);
  lanes_gradient (d_weights,
      (LaneColumns[]){ { &t[BIAS], N, ones }, { &t[WEIGHT_IH], N, x } }, 2,
      d + N * gate, rows, n);
  lanes_gradient (d_weights,
      (LaneColumns[]){ { &t[BIAS_HN], 0, ones }, { &t[WEIGHT_HH], N, h } }, 2,
      d + GROUP_HN * gate, rows, n);
}

static const LaneCell lane_cell = { .n_states = 1,
  .n_kept = N_KEPT,
  .n_gates = 4,
  .n_in_gates = 3,
  .step = step_lanes,
  .back = back_lanes,
  .gradient = gradient_lanes };

static gboolean
grouped (const SeqLayer *layer)
{
  return ((const Gru *) layer)->reset_after && !layer->quantised;
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
  gsize of_lane = transpose_size (&layer->tensors[WEIGHT_IH])
                  + transpose_size (&layer->tensors[WEIGHT_HH])
                  + 2 * SEQ_PAD (layer->n_out);

  return MAX (of_lane, lane_scratch (layer, &lane_cell, n_lanes));
}

const SeqLayerClass SEQ_CLASS (gru) = {
  .kind = { .name = "gru",
      .title = "Gated recurrent unit",
      .flags = SEQ_KIND_TRAINS | SEQ_KIND_TORCH_CELL,
      .options = options },
  .instance_size = sizeof (Gru),
  .init = init,
  .seed = seed,
  .pack = pack,
  .start = start,
  .run = run,
  .grad = grad,
  .n_scratch = n_scratch,
};
