/* conv1d.c: causal convolution along time (WaveNet: van den Oord et al. 2016).
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 *   y[t] = b + sum over k of W_k x[t - (kernel_size - 1 - k) dilation]
 *
 * so that the last kernel column meets the newest frame; before the start all
 * is zero. With groups, output group g sees input group g alone.
 *
 * weight is [n_out][kernel_size, n_in / groups]. State: the place of the newest
 * frame, then a ring of the frames that the kernel reaches, [n_ring][stride].
 * The gradient by the state before the block is not formed: d_state is zeroed.
 */
#include "src/simd/product.h"

typedef struct {
  SeqLayer base;
  guint kernel_size, dilation, groups, n_ring;
  gsize stride; /* of a frame in the ring */
} Conv1d;

enum { WEIGHT, BIAS };

#define MAX_RING (1 << 26) /* reals */
#define MAX_COLS (1 << 20)
#define TAPS 32 /* whose frames are looked up at a time */

static const char *const options[] = { "out_channels", "kernel_size",
  "dilation", "groups", NULL };

static gboolean
conv1d_init (SeqLayer *layer, GVariant *config, GError **error)
{
  Conv1d *self = (Conv1d *) layer;
  guint64 reach;

  if (!seq_config_uint (layer, config, "out_channels", 1, SEQ_MAX_UNITS, 1,
          &layer->n_out, error)
      || !seq_config_uint (layer, config, "kernel_size", 1, SEQ_MAX_UNITS, 1,
          &self->kernel_size, error)
      || !seq_config_uint (
          layer, config, "dilation", 1, 1 << 16, 1, &self->dilation, error)
      || !seq_config_uint (
          layer, config, "groups", 1, SEQ_MAX_UNITS, 1, &self->groups, error))
    return FALSE;
  reach = (guint64) (self->kernel_size - 1) * self->dilation + 1;
  if (layer->n_in % self->groups || layer->n_out % self->groups) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "conv1d: groups is %u; expected a divisor of %u inputs and %u outputs",
        self->groups, layer->n_in, layer->n_out);
    return FALSE;
  }
  if (reach * SEQ_PAD (layer->n_in) > MAX_RING
      || (guint64) self->kernel_size * layer->n_in > MAX_COLS) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "conv1d: kernel_size is %u with dilation %u and %u inputs; expected a "
        "reach of at most %u values, and %u of them used",
        self->kernel_size, self->dilation, layer->n_in, MAX_RING, MAX_COLS);
    return FALSE;
  }
  self->n_ring = (guint) reach;
  self->stride = SEQ_PAD (layer->n_in);
  seq_layer_add_tensor (layer, "weight", 1, layer->n_out,
      self->kernel_size * (layer->n_in / self->groups));
  seq_layer_add_tensor (layer, "bias", 1, layer->n_out, 1);
  layer->n_state = SEQ_TILE + self->n_ring * self->stride;
  return TRUE;
}

static void
conv1d_seed (const SeqLayer *layer, GRand *rand, real *weights)
{
  seq_seed_uniform (
      layer, rand, 1 / sqrt (layer->tensors[WEIGHT].cols), weights);
}

/* Where the input of a lane, t frames into the block, lies: in the block, or in
 * the ring as it was before. */
static const real *
conv1d_find_frame (
    const Conv1d *self, const SeqBlock *block, guint lane, gint t)
{
  const real *state = block->state + lane * block->state_stride;
  gint place;

  if (t >= 0)
    return block->in + ((gsize) t * block->n_lanes + lane) * block->in_stride;
  place = (gint) state[0] + 1 + t;
  if (place < 0)
    place += (gint) self->n_ring;
  return state + SEQ_TILE + (gsize) place * self->stride;
}

/* acc += a strip's product with the frames of n taps, where groups keep its
 * units to inputs of their own. */
static vec
conv1d_add_grouped (const Conv1d *self, vec acc, const real *w, guint strip,
    const real *const (*x)[SHARED_ROWS], guint row, guint n)
{
  const SeqLayer *layer = &self->base;
  guint n_in = layer->n_in / self->groups, n_out = layer->n_out / self->groups;
  guint n_units = MIN (SEQ_VEC, layer->n_out - strip * SEQ_VEC);

  if (n_in == 1 && n_out == 1) {
    for (guint k = 0; k < n; k++)
      acc = vec_fma (vec_load (w + k * SEQ_TILE),
          vec_load (x[k][row] + strip * SEQ_VEC), acc);
    return acc;
  }
  for (guint k = 0; k < n; k++, w += n_in * SEQ_TILE)
    for (guint i = 0; i < n_units; i++) {
      guint first = (strip * SEQ_VEC + i) / n_out * n_in;

      for (guint j = 0; j < n_in; j++)
        acc[i] = real_fma (w[j * SEQ_TILE + i], x[k][row][first + j], acc[i]);
    }
  return acc;
}

/* n rows from `row` on, of lanes with the same weights. */
SEQ_INLINE void
conv1d_run_rows (const Conv1d *self, const SeqBlock *block, const real *weights,
    gsize row, CONSTANT guint n)
{
  const SeqLayer *layer = &self->base;
  guint n_in = layer->n_in / self->groups;

  for (guint first = 0, taps; first < self->kernel_size; first += taps) {
    const real *x[TAPS][SHARED_ROWS];

    taps = MIN (TAPS, self->kernel_size - first);
    for (guint r = 0; r < n; r++) {
      guint lane = (guint) ((row + r) % block->n_lanes);
      gint t = (gint) ((row + r) / block->n_lanes);

      for (guint k = 0; k < taps; k++)
        x[k][r] = conv1d_find_frame (self, block, lane,
            t - (gint) ((self->kernel_size - 1 - first - k) * self->dilation));
    }
    for (guint s = 0; s < SEQ_STRIPS (layer->n_out); s++) {
      const real *w = weights + strip_at (&layer->tensors[WEIGHT], s)
                      + (gsize) first * n_in * SEQ_TILE;
      real *out = block->out + row * block->out_stride + s * SEQ_VEC;
      vec a[SHARED_ROWS];

      for (guint r = 0; r < n; r++)
        a[r] = vec_load (first ? out + r * block->out_stride
                               : weights + strip_at (&layer->tensors[BIAS], s));
      if (self->groups == 1)
        for (guint k = 0; k < taps; k++)
          add_shared_products (a, n, w + k * n_in * SEQ_TILE, x[k], n_in);
      else
        for (guint r = 0; r < n; r++)
          a[r] = conv1d_add_grouped (self, a[r], w, s, x, r, taps);
      for (guint r = 0; r < n; r++)
        vec_store (out + r * block->out_stride, a[r]);
    }
  }
}

/* Puts what the next block looks back on into a lane's ring. */
static void
conv1d_keep_frames (const Conv1d *self, const SeqBlock *block, guint lane)
{
  real *state = block->state + lane * block->state_stride;
  guint place = (guint) state[0];

  for (guint t = 0; t < block->n_frames; t++) {
    place = place + 1 == self->n_ring ? 0 : place + 1;
    if (block->n_frames - t <= self->n_ring)
      memcpy (state + SEQ_TILE + place * self->stride,
          block->in + ((gsize) t * block->n_lanes + lane) * block->in_stride,
          self->base.n_in * sizeof (real));
  }
  state[0] = (real) place;
}

static void
conv1d_run (const SeqLayer *layer, const SeqBlock *block)
{
  const Conv1d *self = (const Conv1d *) layer;
  gsize n_rows = (gsize) block->n_frames * block->n_lanes, row = 0;

  for (; !block->weights_stride && row + SHARED_ROWS <= n_rows;
       row += SHARED_ROWS)
    conv1d_run_rows (self, block, block->weights, row, SHARED_ROWS);
  for (; row < n_rows; row++)
    conv1d_run_rows (self, block,
        block->weights + row % block->n_lanes * block->weights_stride, row, 1);
  for (guint lane = 0; lane < block->n_lanes; lane++)
    conv1d_keep_frames (self, block, lane);
}

static void
conv1d_grad (const SeqLayer *layer, const SeqBlock *block, const SeqGrad *g)
{
  const Conv1d *self = (const Conv1d *) layer;
  const SeqTensor *weight = &layer->tensors[WEIGHT];
  const SeqTensor *bias = &layer->tensors[BIAS];
  guint n_group_in = layer->n_in / self->groups;
  guint n_group_out = layer->n_out / self->groups;
  gsize n_rows = (gsize) block->n_frames * block->n_lanes;

  if (g->d_in)
    memset (g->d_in, 0, n_rows * g->d_in_stride * sizeof (real));
  for (gsize row = 0; row < n_rows; row++) {
    guint lane = (guint) (row % block->n_lanes);
    gint t = (gint) (row / block->n_lanes);
    const real *weights = block->weights + lane * block->weights_stride;
    const real *d = g->d_out + row * block->out_stride;

    for (guint o = 0; o < layer->n_out; o++) {
      guint first = o / n_group_out * n_group_in;

      g->d_weights[seq_tensor_index (bias, 0, o, 0)] += d[o];
      for (guint k = 0; k < self->kernel_size; k++) {
        gint from = t - (gint) ((self->kernel_size - 1 - k) * self->dilation);
        const real *x = conv1d_find_frame (self, block, lane, from) + first;
        real *d_x =
            g->d_in && from >= 0
                ? g->d_in
                      + ((gsize) from * block->n_lanes + lane) * g->d_in_stride
                      + first
                : NULL;

        for (guint j = 0; j < n_group_in; j++) {
          gsize at = seq_tensor_index (weight, 0, o, k * n_group_in + j);

          g->d_weights[at] = real_fma (d[o], x[j], g->d_weights[at]);
          if (d_x)
            d_x[j] = real_fma (d[o], weights[at], d_x[j]);
        }
      }
    }
  }
  for (guint lane = 0; lane < block->n_lanes; lane++)
    memset (g->d_state + lane * block->state_stride, 0,
        layer->n_state * sizeof (real));
}

static gboolean
conv1d_check_state (const SeqLayer *layer, const real *state)
{
  const Conv1d *self = (const Conv1d *) layer;

  for (gsize i = 0; i < layer->n_state; i++)
    if (!isfinite (state[i]))
      return FALSE;
  return state[0] >= 0 && state[0] < self->n_ring
         && state[0] == floor (state[0]);
}

const SeqLayerClass SEQ_CLASS (conv1d) = {
  .kind = { .name = "conv1d", .flags = SEQ_KIND_TRAINS, .options = options },
  .instance_size = sizeof (Conv1d),
  .init = conv1d_init,
  .seed = conv1d_seed,
  .run = conv1d_run,
  .grad = conv1d_grad,
  .check_state = conv1d_check_state,
};
