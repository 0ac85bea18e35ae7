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
 * belong to W_ih (first three) and to W_hh (last three).
 */
#include "src/simd/product.h"

typedef struct {
  SeqLayer base;
  guint reset_after, initial_state, chrono;
  gsize rows; /* hidden_size, padded */
} Gru;

enum { WEIGHT_IH, WEIGHT_HH, BIAS, BIAS_HN, H0 };
enum { R, Z, N, HR, HZ, HN, N_TAPE };

static const char *const options[] = { "hidden_size", "reset_after",
  "initial_state", "chrono", NULL };

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
  layer->n_state = self->rows;
  layer->n_tape = N_TAPE * self->rows;
  return TRUE;
}

/* PyTorch's start; with chrono the update gate, which keeps the old state,
 * remembers for 1 to `chrono` frames (Tallec and Ollivier 2018). */
static void
seed (const SeqLayer *layer, GRand *rand, real *params)
{
  const Gru *self = (const Gru *) layer;

  seq_seed_uniform (layer, rand, 1 / sqrt (layer->n_out), params);
  if (self->chrono > 2)
    for (guint u = 0; u < layer->n_out; u++)
      params[seq_tensor_index (&layer->tensors[BIAS], Z, u, 0)] =
          (real) log (g_rand_double_range (rand, 1, self->chrono - 1));
  if (self->initial_state)
    memset (params + layer->tensors[H0].offset, 0, self->rows * sizeof (real));
}

static void
start (const SeqLayer *layer, const real *params, real *state)
{
  memset (state, 0, layer->n_state * sizeof (real));
  if (layer->n_tensors > H0)
    memcpy (state, params + layer->tensors[H0].offset,
        layer->n_out * sizeof (real));
}

/* One strip: gates [from, to) of the products with x (and bias) and with h. */
SEQ_INLINE void
gates (const SeqLayer *layer, const real *params, guint s, guint from, guint to,
    const real *x, const real *h, vec *a)
{
  const SeqTensor *ih = &layer->tensors[WEIGHT_IH];
  const SeqTensor *hh = &layer->tensors[WEIGHT_HH];
  gsize at = from * SEQ_TILE;

  for (guint g = from; g < to; g++)
    a[g - from] =
        vec_load (params + strip_at (&layer->tensors[BIAS], s) + g * SEQ_TILE);
  strip_product (a, to - from, params + strip_at (ih, s) + at, 3 * SEQ_TILE,
      SEQ_TILE, x, layer->n_in);
  if (h)
    strip_product (a, to - from, params + strip_at (hh, s) + at, 3 * SEQ_TILE,
        SEQ_TILE, h, layer->n_out);
}

/* One frame of one lane. reset: room for r * h and z. */
SEQ_INLINE void
step (const Gru *self, const real *params, const real *x, const real *h,
    real *out, real *reset, real *tape, gboolean keep)
{
  const SeqLayer *layer = &self->base;
  const SeqTensor *ih = &layer->tensors[WEIGHT_IH];
  const SeqTensor *hh = &layer->tensors[WEIGHT_HH];
  guint strips = SEQ_STRIPS (layer->n_out);
  gsize rows = self->rows;

  if (!self->reset_after)
    for (guint s = 0; s < strips; s++) {
      gsize u = s * SEQ_VEC;
      vec a[2], r, z;

      gates (layer, params, s, R, N, x, h, a);
      r = vec_sigmoid (a[R]);
      z = vec_sigmoid (a[Z]);
      vec_store (reset + u, r * vec_load (h + u));
      vec_store (reset + rows + u, z);
      if (keep)
        vec_store (tape + R * rows + u, r);
    }

  for (guint s = 0; s < strips; s++) {
    gsize u = s * SEQ_VEC;
    vec hn = vec_load (params + strip_at (&layer->tensors[BIAS_HN], s));
    vec z, n;

    if (self->reset_after) {
      vec a[3], r;

      for (guint g = R; g <= N; g++)
        a[g] = vec_load (
            params + strip_at (&layer->tensors[BIAS], s) + g * SEQ_TILE);
      strip_product (a, 3, params + strip_at (ih, s), 3 * SEQ_TILE, SEQ_TILE, x,
          layer->n_in);
      n = a[N];
      a[N] = hn;
      strip_product (a, 3, params + strip_at (hh, s), 3 * SEQ_TILE, SEQ_TILE, h,
          layer->n_out);
      hn = a[N];
      r = vec_sigmoid (a[R]);
      z = vec_sigmoid (a[Z]);
      n = vec_tanh (n + r * hn);
      if (keep) {
        vec_store (tape + R * rows + u, r);
        vec_store (tape + HN * rows + u, hn);
      }
    } else {
      const real *w_hn = params + strip_at (hh, s) + N * SEQ_TILE;

      gates (layer, params, s, N, N + 1, x, NULL, &n);
      strip_product (&hn, 1, w_hn, 3 * SEQ_TILE, SEQ_TILE, reset, layer->n_out);
      z = vec_load (reset + rows + u);
      n = vec_tanh (n + hn);
      if (keep)
        vec_store (tape + HN * rows + u, vec_load (reset + u));
    }
    vec_store (out + u, n * (1 - z) + z * vec_load (h + u));
    if (keep) {
      vec_store (tape + Z * rows + u, z);
      vec_store (tape + N * rows + u, n);
    }
  }
}

static void
run (const SeqLayer *layer, const SeqBlock *block)
{
  const Gru *self = (const Gru *) layer;
  real reset[2 * 4096] __attribute__ ((aligned (SEQ_ALIGN)));

  for (guint lane = 0; lane < block->n_lanes; lane++) {
    const real *params = block->params + lane * block->params_stride;
    real *h = block->state + lane * block->state_stride;
    const real *before = h;

    for (guint t = 0; t < block->n_frames; t++) {
      gsize row = (gsize) t * block->n_lanes + lane;
      const real *x = block->in + row * block->in_stride;
      real *out = block->out + row * block->out_stride;

      if (block->tape_stride)
        step (self, params, x, before, out, reset,
            block->tape + row * block->tape_stride, TRUE);
      else
        step (self, params, x, before, out, reset, NULL, FALSE);
      before = out;
    }
    if (before != h)
      memcpy (h, before, SEQ_STRIPS (layer->n_out) * SEQ_VEC * sizeof (real));
  }
}

static gsize
n_scratch (const SeqLayer *layer, guint n_frames, guint n_lanes)
{
  return transpose_size (&layer->tensors[WEIGHT_IH])
         + transpose_size (&layer->tensors[WEIGHT_HH])
         + 2 * SEQ_PAD (layer->n_out);
}

static void
grad (const SeqLayer *layer, const SeqBlock *block, const SeqGrad *g)
{
  const Gru *self = (const Gru *) layer;
  const SeqTensor *ih = &layer->tensors[WEIGHT_IH];
  const SeqTensor *hh = &layer->tensors[WEIGHT_HH];
  gsize rows = self->rows;
  gsize tape_step = block->n_lanes * block->tape_stride;
  gsize out_step = block->n_lanes * block->out_stride;
  real *ih_t = g->scratch, *hh_t = ih_t + transpose_size (ih);
  real *dh = hh_t + transpose_size (hh), *d_reset = dh + rows;

  for (guint lane = 0; lane < block->n_lanes; lane++) {
    const real *params = block->params + lane * block->params_stride;
    const real *state = block->state + lane * block->state_stride;
    real *d_state = g->d_state + lane * block->state_stride;
    real *tapes = block->tape + lane * block->tape_stride;
    const real *outs = block->out + lane * block->out_stride;
    SeqRows in = { block->in + lane * block->in_stride,
      block->n_lanes * block->in_stride, NULL };
    SeqRows h = { outs, out_step, state };

    if (lane == 0 || block->params_stride) {
      if (g->d_in)
        transpose (ih, params, ih_t);
      transpose (hh, params, hh_t);
    }
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
        vec dn = d * (1 - z) * (1 - n * n);
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
          vec_store (dh + u, vec_load (dh + u) + d * r);
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
        ih, 0, 3, g->d_params, tapes, tape_step, rows, &in, 0, block->n_frames);
    tensor_gradient (&layer->tensors[BIAS], 0, 3, g->d_params, tapes, tape_step,
        rows, NULL, 0, block->n_frames);
    tensor_gradient (hh, R, self->reset_after ? N + 1 : N, g->d_params,
        tapes + HR * rows, tape_step, rows, &h, 1, block->n_frames);
    if (!self->reset_after) {
      SeqRows reset = { tapes + HN * rows, tape_step, NULL };

      tensor_gradient (hh, N, N + 1, g->d_params, tapes, tape_step, rows,
          &reset, 0, block->n_frames);
    }
    tensor_gradient (&layer->tensors[BIAS_HN], 0, 1, g->d_params,
        tapes + (self->reset_after ? HN : N) * rows, tape_step, rows, NULL, 0,
        block->n_frames);
  }
}

const SeqLayerClass SEQ_CLASS (gru) = {
  .name = "gru",
  .instance_size = sizeof (Gru),
  .flags = SEQ_LAYER_TRAINS,
  .options = options,
  .init = init,
  .seed = seed,
  .start = start,
  .run = run,
  .grad = grad,
  .n_scratch = n_scratch,
};
