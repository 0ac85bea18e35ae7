/* layernorm.c: each frame normalised over its features (Ba et al. 2016).
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 *   y = weight (x - m) / sqrt (v + epsilon) + bias
 *
 * with m and v the mean and the variance of x over the features. No state.
 */
#include "src/simd/simd.h"

typedef struct {
  SeqLayer base;
  double epsilon;
} LayerNorm;

enum { WEIGHT, BIAS };

static const char *const options[] = { "epsilon", NULL };

static gboolean
layernorm_init (SeqLayer *layer, GVariant *config, GError **error)
{
  LayerNorm *self = (LayerNorm *) layer;

  if (!seq_config_double (
          layer, config, "epsilon", 1e-12, 1, 1e-5, &self->epsilon, error))
    return FALSE;
  layer->n_out = layer->n_in;
  seq_layer_add_tensor (layer, "weight", 1, layer->n_in, 1);
  seq_layer_add_tensor (layer, "bias", 1, layer->n_in, 1);
  return TRUE;
}

static void
layernorm_seed (const SeqLayer *layer, GRand *rand, real *weights)
{
  for (guint i = 0; i < layer->n_in; i++)
    weights[layer->tensors[WEIGHT].offset + i] = 1;
}

/* The mean, and 1 over the deviation. */
static void
layernorm_moments (const LayerNorm *self, const real *x, real *mean, real *rate)
{
  guint n = self->base.n_in;
  double sum = 0, squares = 0;

  for (guint i = 0; i < n; i++)
    sum += x[i];
  sum /= n;
  for (guint i = 0; i < n; i++)
    squares += (x[i] - sum) * (x[i] - sum);
  *mean = (real) sum;
  *rate = (real) (1 / sqrt (squares / n + self->epsilon));
}

static void
layernorm_run (const SeqLayer *layer, const SeqBlock *block)
{
  const LayerNorm *self = (const LayerNorm *) layer;

  for (gsize r = 0; r < (gsize) block->n_frames * block->n_lanes; r++) {
    const real *weights =
        block->weights + r % block->n_lanes * block->weights_stride;
    const real *w = weights + layer->tensors[WEIGHT].offset;
    const real *b = weights + layer->tensors[BIAS].offset;
    const real *x = block->in + r * block->in_stride;
    real *y = block->out + r * block->out_stride;
    real mean, rate;

    layernorm_moments (self, x, &mean, &rate);
    for (guint i = 0; i < layer->n_in; i++)
      y[i] = w[i] * ((x[i] - mean) * rate) + b[i];
  }
}

static void
layernorm_grad (const SeqLayer *layer, const SeqBlock *block, const SeqGrad *g)
{
  const LayerNorm *self = (const LayerNorm *) layer;
  guint n = layer->n_in;

  for (gsize r = 0; r < (gsize) block->n_frames * block->n_lanes; r++) {
    const real *w = block->weights + r % block->n_lanes * block->weights_stride
                    + layer->tensors[WEIGHT].offset;
    const real *x = block->in + r * block->in_stride;
    const real *d = g->d_out + r * block->out_stride;
    real *d_w = g->d_weights + layer->tensors[WEIGHT].offset;
    real *d_b = g->d_weights + layer->tensors[BIAS].offset;
    real *d_in = g->d_in ? g->d_in + r * g->d_in_stride : NULL;
    double sum = 0, product = 0;
    real mean, rate;

    layernorm_moments (self, x, &mean, &rate);
    for (guint i = 0; i < n; i++) {
      double u = (x[i] - mean) * rate, e = d[i] * w[i];

      d_w[i] += d[i] * (real) u;
      d_b[i] += d[i];
      sum += e;
      product += e * u;
    }
    if (!d_in)
      continue;
    memset (d_in, 0, g->d_in_stride * sizeof (real));
    for (guint i = 0; i < n; i++) {
      double u = (x[i] - mean) * rate;

      d_in[i] = (real) (rate * (d[i] * w[i] - (sum + u * product) / n));
    }
  }
}

const SeqLayerClass SEQ_CLASS (layernorm) = {
  .kind = { .name = "layernorm", .flags = SEQ_KIND_TRAINS, .options = options },
  .instance_size = sizeof (LayerNorm),
  .init = layernorm_init,
  .seed = layernorm_seed,
  .run = layernorm_run,
  .grad = layernorm_grad,
};
