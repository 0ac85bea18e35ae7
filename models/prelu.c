/* prelu.c: y = x where x >= 0, else alpha x (He et al. 2015); alpha of each
 * feature, or shared by all.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/simd/simd.h"

typedef struct {
  SeqLayer base;
  guint shared;
} Prelu;

static const char *const options[] = { "shared", NULL };

static gboolean
prelu_init (SeqLayer *layer, GVariant *config, GError **error)
{
  Prelu *self = (Prelu *) layer;

  if (!seq_config_uint (layer, config, "shared", 0, 1, 0, &self->shared, error))
    return FALSE;
  layer->n_out = layer->n_in;
  seq_layer_add_tensor (layer, "alpha", 1, self->shared ? 1 : layer->n_in, 1);
  return TRUE;
}

/* PyTorch's */
static void
prelu_seed (const SeqLayer *layer, GRand *rand, real *weights)
{
  for (guint i = 0; i < layer->tensors[0].rows; i++)
    weights[i] = (real) 0.25;
}

static void
prelu_run (const SeqLayer *layer, const SeqBlock *block)
{
  const Prelu *self = (const Prelu *) layer;

  for (gsize r = 0; r < (gsize) block->n_frames * block->n_lanes; r++) {
    const real *alpha =
        block->weights + r % block->n_lanes * block->weights_stride;
    const real *x = block->in + r * block->in_stride;
    real *y = block->out + r * block->out_stride;

    for (guint i = 0; i < layer->n_in; i++)
      y[i] = x[i] >= 0 ? x[i] : x[i] * alpha[self->shared ? 0 : i];
  }
}

static void
prelu_grad (const SeqLayer *layer, const SeqBlock *block, const SeqGrad *g)
{
  const Prelu *self = (const Prelu *) layer;

  for (gsize r = 0; r < (gsize) block->n_frames * block->n_lanes; r++) {
    const real *alpha =
        block->weights + r % block->n_lanes * block->weights_stride;
    const real *x = block->in + r * block->in_stride;
    const real *d = g->d_out + r * block->out_stride;
    real *d_in = g->d_in ? g->d_in + r * g->d_in_stride : NULL;

    if (d_in)
      memset (d_in, 0, g->d_in_stride * sizeof (real));
    for (guint i = 0; i < layer->n_in; i++) {
      guint a = self->shared ? 0 : i;

      if (d_in)
        d_in[i] = x[i] >= 0 ? d[i] : d[i] * alpha[a];
      if (x[i] < 0)
        g->d_weights[a] = real_fma (d[i], x[i], g->d_weights[a]);
    }
  }
}

const SeqLayerClass SEQ_CLASS (prelu) = {
  .kind = { .name = "prelu", .flags = SEQ_KIND_TRAINS, .options = options },
  .instance_size = sizeof (Prelu),
  .init = prelu_init,
  .seed = prelu_seed,
  .run = prelu_run,
  .grad = prelu_grad,
};
