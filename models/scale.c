/* scale.c: y = a x + b of each feature: batch normalisation at inference, with
 * its statistics folded in.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/simd/simd.h"

enum { WEIGHT, BIAS };

static const char *const options[] = { NULL };

static gboolean
scale_init (SeqLayer *layer, GVariant *config, GError **error)
{
  layer->n_out = layer->n_in;
  seq_layer_add_tensor (layer, "weight", 1, layer->n_in, 1);
  seq_layer_add_tensor (layer, "bias", 1, layer->n_in, 1);
  return TRUE;
}

static void
scale_seed (const SeqLayer *layer, GRand *rand, real *weights)
{
  for (guint i = 0; i < layer->n_in; i++)
    weights[i] = 1;
}

static void
scale_run (const SeqLayer *layer, const SeqBlock *block)
{
  for (gsize r = 0; r < (gsize) block->n_frames * block->n_lanes; r++) {
    const real *a = block->weights + r % block->n_lanes * block->weights_stride;
    const real *b = a + layer->tensors[BIAS].offset;
    const real *x = block->in + r * block->in_stride;

    for (guint i = 0; i < layer->n_in; i++)
      block->out[r * block->out_stride + i] = real_fma (a[i], x[i], b[i]);
  }
}

static void
scale_grad (const SeqLayer *layer, const SeqBlock *block, const SeqGrad *g)
{
  for (gsize r = 0; r < (gsize) block->n_frames * block->n_lanes; r++) {
    const real *a = block->weights + r % block->n_lanes * block->weights_stride;
    const real *x = block->in + r * block->in_stride;
    const real *d = g->d_out + r * block->out_stride;
    real *d_in = g->d_in ? g->d_in + r * g->d_in_stride : NULL;

    if (d_in)
      memset (d_in, 0, g->d_in_stride * sizeof (real));
    for (guint i = 0; i < layer->n_in; i++) {
      if (d_in)
        d_in[i] = a[i] * d[i];
      g->d_weights[i] = real_fma (d[i], x[i], g->d_weights[i]);
      g->d_weights[layer->tensors[BIAS].offset + i] += d[i];
    }
  }
}

const SeqLayerClass SEQ_CLASS (scale) = {
  .kind = { .name = "scale", .flags = SEQ_KIND_TRAINS, .options = options },
  .instance_size = sizeof (SeqLayer),
  .init = scale_init,
  .seed = scale_seed,
  .run = scale_run,
  .grad = scale_grad,
};
