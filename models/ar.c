/* ar.c: autoregressive: linear in the last samples, or in chosen lags.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 *   y[t] = sum over lags l of W_l x[t + 1 - l]     forecast of x[t + horizon]
 *
 * so that with horizon 1 a lag is the distance to what is forecast. Several
 * features make it a vector autoregression. Learns W by recursive least
 * squares (src/simd/rls.h); it begins at "the next is as this one". Without a
 * target the coefficients stay as they are.
 *
 * Tensors: weight [n_in][lag, feature]. State, in doubles: [0] frames since the
 * start, [1] place of the newest frame in the ring; the ring of past frames
 * [n_ring][n_in]; a regressor; the memory of rls.h. Before the first frame all
 * was as the first frame is.
 */
#include "src/simd/rls.h"

#define MAX_LAGS 1024
#define MAX_WEIGHTS 2048 /* lags times features: the square is kept */

typedef struct {
  SeqLayer base;
  guint horizon, n_lags, n_ring;
  guint lags[MAX_LAGS];
  Rls rls;
} Ar;

enum { WEIGHT };
enum { N_FRAMES, NEWEST, HEAD = 16 };

static const char *const options[] = { "order", "lags", "horizon", "forgetting",
  "regularization", NULL };

static gboolean
ar_init (SeqLayer *layer, GVariant *config, GError **error)
{
  Ar *self = (Ar *) layer;
  double forgetting, regularization;
  guint order, furthest = 0;

  if (!seq_config_uint (layer, config, "order", 1, MAX_LAGS, 32, &order, error)
      || !seq_config_uints (layer, config, "lags", 1, 1 << 20, self->lags,
          &self->n_lags, MAX_LAGS, error)
      || !seq_config_uint (
          layer, config, "horizon", 1, 1 << 20, 1, &self->horizon, error)
      || !seq_config_double (
          layer, config, "forgetting", 0.5, 1, 0.9998, &forgetting, error)
      || !seq_config_double (layer, config, "regularization", 1e-12, 1e12, 1e-6,
          &regularization, error))
    return FALSE;
  if (self->n_lags == 0)
    for (; self->n_lags < order; self->n_lags++)
      self->lags[self->n_lags] = self->n_lags + 1;
  if ((guint64) self->n_lags * layer->n_in > MAX_WEIGHTS) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "ar: number of weights is %" G_GUINT64_FORMAT
        ", %u lags of %u inputs; expected at most %u",
        (guint64) self->n_lags * layer->n_in, self->n_lags, layer->n_in,
        MAX_WEIGHTS);
    return FALSE;
  }
  for (guint i = 0; i < self->n_lags; i++)
    furthest = MAX (furthest, self->lags[i]);
  self->n_ring = furthest + self->horizon;
  self->rls = rls_init (
      self->n_lags * layer->n_in, layer->n_in, forgetting, 1 / regularization);
  layer->n_out = layer->n_in;
  seq_layer_add_tensor (
      layer, "weight", 1, layer->n_out, self->n_lags * layer->n_in);
  layer->n_state =
      SEQ_DOUBLES (HEAD + ((gsize) self->n_ring * layer->n_in + 7) / 8 * 8
                   + self->rls.stride + rls_size (&self->rls));
  return TRUE;
}

static double *
ar_get_regressor (const Ar *self, const real *state)
{
  return (double *) state + HEAD
         + ((gsize) self->n_ring * self->base.n_in + 7) / 8 * 8;
}

static double *
ar_get_memory (const Ar *self, const real *state)
{
  return ar_get_regressor (self, state) + self->rls.stride;
}

static void
ar_seed (const SeqLayer *layer, GRand *rand, real *weights)
{
  const Ar *self = (const Ar *) layer;
  guint nearest = 0;

  for (guint i = 0; i < self->n_lags; i++)
    if (self->lags[i] < self->lags[nearest])
      nearest = i;
  for (guint k = 0; k < layer->n_in; k++)
    weights[seq_tensor_index (
        &layer->tensors[WEIGHT], 0, k, nearest * layer->n_in + k)] = 1;
}

static void
ar_start (const SeqLayer *layer, const real *weights, real *state)
{
  const Ar *self = (const Ar *) layer;

  memset (state, 0, layer->n_state * sizeof (real));
  rls_start (&self->rls, ar_get_memory (self, state), layer, weights);
}

static void
ar_rewind (const SeqLayer *layer, const real *weights, real *state)
{
  ((double *) state)[N_FRAMES] = 0;
}

/* The regressor as it was `back` frames ago. */
static double *
ar_gather_lags (const Ar *self, const real *state, guint newest, guint back)
{
  const double *ring = (const double *) state + HEAD;
  double *a = ar_get_regressor (self, state);
  guint n_in = self->base.n_in;

  for (guint i = 0; i < self->n_lags; i++) {
    guint age = back + self->lags[i] - 1;
    guint at = newest >= age ? newest - age : newest + self->n_ring - age;

    for (guint k = 0; k < n_in; k++)
      a[i * n_in + k] = ring[(gsize) at * n_in + k];
  }
  return a;
}

static void
ar_run (const SeqLayer *layer, const SeqBlock *block)
{
  const Ar *self = (const Ar *) layer;
  guint n_in = layer->n_in;

  for (guint lane = 0; lane < block->n_lanes; lane++) {
    real *state = block->state + lane * block->state_stride;
    double *head = (double *) state, *ring = head + HEAD;
    double *memory = ar_get_memory (self, state);

    for (guint t = 0; t < block->n_frames; t++) {
      gsize row = (gsize) t * block->n_lanes + lane;
      const real *in = block->in + row * block->in_stride;
      guint newest = (guint) head[NEWEST];
      const double *a;

      if (block->target && head[N_FRAMES] >= self->n_ring
          && (!block->valid || block->valid[row])) {
        a = ar_gather_lags (self, state, newest, self->horizon - 1);
        rls_update (
            &self->rls, memory, a, block->target + row * block->target_stride);
      }
      newest = newest + 1 == self->n_ring ? 0 : newest + 1;
      head[NEWEST] = newest;
      for (guint i = 0; i < (head[N_FRAMES] == 0 ? self->n_ring : 1); i++)
        for (guint k = 0; k < n_in; k++)
          ring[(gsize) (head[N_FRAMES] == 0 ? i : newest) * n_in + k] = in[k];
      head[N_FRAMES] = MIN (head[N_FRAMES] + 1, self->n_ring);

      a = ar_gather_lags (self, state, newest, 0);
      for (guint o = 0; o < layer->n_out; o++)
        block->out[row * block->out_stride + o] =
            (real) rls_predict (&self->rls, memory, a, o);
    }
  }
}

static gboolean
ar_check_state (const SeqLayer *layer, const real *state)
{
  const Ar *self = (const Ar *) layer;
  const double *head = (const double *) state;

  return is_place (head[N_FRAMES], self->n_ring)
         && is_place (head[NEWEST], self->n_ring - 1)
         && rls_check (&self->rls, ar_get_memory (self, state));
}

static void
ar_export_weights (const SeqLayer *layer, const real *state, real *weights)
{
  const Ar *self = (const Ar *) layer;

  rls_export (&self->rls, ar_get_memory (self, state), layer, weights);
}

const SeqLayerClass SEQ_CLASS (ar) = {
  .kind = { .name = "ar",
      .title = "Linear in the last samples (recursive least squares)",
      .aliases = (const char *const[]){ "autoregressive", NULL },
      .flags = SEQ_KIND_LEARNS,
      .options = options },
  .instance_size = sizeof (Ar),
  .init = ar_init,
  .seed = ar_seed,
  .start = ar_start,
  .rewind = ar_rewind,
  .run = ar_run,
  .check_state = ar_check_state,
  .export_weights = ar_export_weights,
};
