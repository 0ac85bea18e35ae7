/* dense.c: a linear layer, y = W x + b (PyTorch's nn.Linear).
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * No state. The tape is not needed either: the gradient wants in alone.
 */
#include "src/simd/simd.h"

typedef struct {
  SeqLayer base;
  guint bias;
} Dense;

enum { WEIGHT, BIAS };

static gboolean
init (SeqLayer *layer, GVariant *config, GError **error)
{
  Dense *self = (Dense *) layer;

  if (!seq_config_uint (layer, config, "out_features", 1, SEQ_MAX_WIDTH, 1,
          &layer->n_out, error)
      || !seq_config_uint (layer, config, "bias", 0, 1, 1, &self->bias, error))
    return FALSE;
  seq_layer_add_tensor (layer, "weight", 1, layer->n_out, layer->n_in);
  if (self->bias)
    seq_layer_add_tensor (layer, "bias", 1, layer->n_out, 1);
  return TRUE;
}

/* PyTorch's: uniform in +-1/sqrt (n_in) */
static void
seed (const SeqLayer *layer, GRand *rand, real *params)
{
  seq_seed_uniform (layer, rand, 1 / sqrt (layer->n_in), params);
}
