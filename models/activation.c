/* activation.c: elementwise activations, and softmax over the features.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * No weights and no state. The gradient follows from the output alone.
 */
#include "src/simd/simd.h"

typedef struct {
  SeqLayer base;
  guint activation;
} Activation;

enum { TANH, RELU, SIGMOID, SOFTMAX, ELU };

static const char *const options[] = { "activation", NULL };

static gboolean
activation_init (SeqLayer *layer, GVariant *config, GError **error)
{
  static const char *const words[] = { "tanh", "relu", "sigmoid", "softmax",
    "elu", NULL };
  Activation *self = (Activation *) layer;

  layer->n_out = layer->n_in;
  return seq_config_word (
      layer, config, "activation", words, TANH, &self->activation, error);
}

SEQ_INLINE vec
activation_apply (guint activation, vec x)
{
  switch (activation) {
    case TANH:
      return vec_tanh (x);
    case RELU:
      return vec_select (x < 0, vec_splat (0), x);
    case SIGMOID:
      return 1 / (1 + vec_exp (-x)); /* relative precision, too */
    default:                         /* elu, alpha = 1 */
      return vec_select (
          x < 0, vec_expm1 (vec_select (x < 0, x, vec_splat (0))), x);
  }
}

static void
activation_apply_softmax (const real *x, real *y, guint n)
{
  real most = x[0], sum = 0;
  guint i;

  for (i = 1; i < n; i++)
    most = MAX (most, x[i]);
  for (i = 0; i < n; i += SEQ_VEC)
    vec_store (y + i, vec_exp (vec_loadu (x + i) - most));
  for (i = 0; i < n; i++)
    sum += y[i];
  for (i = 0; i < n; i++)
    y[i] /= sum;
  for (; i % SEQ_VEC; i++) /* what stands behind the features */
    y[i] = 0;
}

static void
activation_run (const SeqLayer *layer, const SeqBlock *block)
{
  const Activation *self = (const Activation *) layer;

  for (gsize r = 0; r < (gsize) block->n_frames * block->n_lanes; r++) {
    const real *x = block->in + r * block->in_stride;
    real *y = block->out + r * block->out_stride;

    if (self->activation == SOFTMAX)
      activation_apply_softmax (x, y, layer->n_in);
    else
      for (guint i = 0; i < layer->n_in; i += SEQ_VEC)
        vec_store (
            y + i, activation_apply (self->activation, vec_loadu (x + i)));
  }
}

static void
activation_grad (const SeqLayer *layer, const SeqBlock *block, const SeqGrad *g)
{
  const Activation *self = (const Activation *) layer;

  for (gsize r = 0; r < (gsize) block->n_frames * block->n_lanes; r++) {
    const real *y = block->out + r * block->out_stride;
    const real *d = g->d_out + r * block->out_stride;
    real *d_in = g->d_in ? g->d_in + r * g->d_in_stride : NULL, dot = 0;

    if (!d_in)
      return;
    if (self->activation == SOFTMAX)
      for (guint i = 0; i < layer->n_in; i++)
        dot = real_fma (d[i], y[i], dot);
    for (guint i = 0; i < g->d_in_stride; i++) {
      real slope;

      if (i >= layer->n_in) {
        d_in[i] = 0;
        continue;
      }
      switch (self->activation) {
        case TANH:
          slope = real_fma (-y[i], y[i], 1);
          break;
        case RELU:
          slope = y[i] > 0;
          break;
        case SIGMOID:
          slope = y[i] * (1 - y[i]);
          break;
        case SOFTMAX:
          slope = y[i];
          break;
        default:
          slope = y[i] < 0 ? y[i] + 1 : 1;
          break;
      }
      d_in[i] = slope * (d[i] - dot);
    }
  }
}

const SeqLayerClass SEQ_CLASS (activation) = {
  .kind = { .name = "activation",
      .flags = SEQ_KIND_TRAINS,
      .options = options },
  .instance_size = sizeof (Activation),
  .init = activation_init,
  .run = activation_run,
  .grad = activation_grad,
};
