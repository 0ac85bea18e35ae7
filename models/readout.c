/* readout.c: a linear read-out that learns in its state, by recursive least
 * squares: y = W x + b, as dense, for a core that need not learn (an echo
 * state network: Jaeger 2001) or that learns by gradient through it.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * State, in doubles: [0] frames since the readout_start (as far as it matters),
 * then the features of the last `horizon` frames, each with a 1 for the bias,
 * then the memory of src/simd/rls.h. Tensors: the weights to begin with.
 */
#include "src/simd/rls.h"

typedef struct {
  SeqLayer base;
  guint horizon;
  Rls rls;
} Readout;

#define HEAD 16 /* doubles before the features */

static const char *const options[] = { "out_features", "horizon", "forgetting",
  "regularization", NULL };

static gboolean
readout_init (SeqLayer *layer, GVariant *config, GError **error)
{
  Readout *self = (Readout *) layer;
  double forgetting, regularization;

  if (!seq_config_uint (layer, config, "out_features", 1, SEQ_MAX_UNITS, 1,
          &layer->n_out, error)
      || !seq_config_uint (
          layer, config, "horizon", 1, 1 << 20, 1, &self->horizon, error)
      || !seq_config_double (
          layer, config, "forgetting", 0.5, 1, 0.9998, &forgetting, error)
      || !seq_config_double (layer, config, "regularization", 1e-12, 1e12, 1e-4,
          &regularization, error))
    return FALSE;
  if (layer->n_in > SEQ_MAX_UNITS) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "readout: number of inputs is %u; expected 1 to %u", layer->n_in,
        SEQ_MAX_UNITS);
    return FALSE;
  }
  self->rls =
      rls_init (layer->n_in + 1, layer->n_out, forgetting, 1 / regularization);
  seq_layer_add_tensor (layer, "weight", 1, layer->n_out, layer->n_in);
  seq_layer_add_tensor (layer, "bias", 1, layer->n_out, 1);
  layer->n_state = SEQ_DOUBLES (
      HEAD + (gsize) self->horizon * self->rls.stride + rls_size (&self->rls));
  return TRUE;
}

static double *
readout_get_memory (const Readout *self, real *state)
{
  return (double *) state + HEAD + (gsize) self->horizon * self->rls.stride;
}

static void
readout_seed (const SeqLayer *layer, GRand *rand, real *weights)
{
  seq_seed_uniform (layer, rand, 1 / sqrt (layer->n_in), weights);
}

static void
readout_start (const SeqLayer *layer, const real *weights, real *state)
{
  const Readout *self = (const Readout *) layer;

  memset (state, 0, layer->n_state * sizeof (real));
  rls_start (&self->rls, readout_get_memory (self, state), layer, weights);
}

static void
readout_rewind (const SeqLayer *layer, const real *weights, real *state)
{
  *(double *) state = 0;
}

static void
readout_run (const SeqLayer *layer, const SeqBlock *block)
{
  const Readout *self = (const Readout *) layer;
  guint stride = self->rls.stride;

  for (guint lane = 0; lane < block->n_lanes; lane++) {
    double *n_frames = (double *) (block->state + lane * block->state_stride);
    double *memory = readout_get_memory (self, (real *) n_frames);

    for (guint t = 0; t < block->n_frames; t++) {
      gsize row = (gsize) t * block->n_lanes + lane;
      const real *in = block->in + row * block->in_stride;
      /* frames are counted up to twice the horizon, then go on from once it */
      double *x = n_frames + HEAD + (gsize) *n_frames % self->horizon * stride;

      if (block->target && *n_frames >= self->horizon
          && (!block->valid || block->valid[row]))
        rls_update (
            &self->rls, memory, x, block->target + row * block->target_stride);
      for (guint i = 0; i < layer->n_in; i++)
        x[i] = in[i];
      x[layer->n_in] = 1;
      for (guint o = 0; o < layer->n_out; o++)
        block->out[row * block->out_stride + o] =
            (real) rls_predict (&self->rls, memory, x, o);
      if (++*n_frames >= 2 * self->horizon)
        *n_frames = self->horizon;
    }
  }
}

static void
readout_grad (const SeqLayer *layer, const SeqBlock *block, const SeqGrad *g)
{
  const Readout *self = (const Readout *) layer;

  if (!g->d_in)
    return;
  for (guint lane = 0; lane < block->n_lanes; lane++) {
    double *memory = readout_get_memory (
        self, (real *) g->learnt + lane * block->state_stride);

    for (guint t = 0; t < block->n_frames; t++) {
      gsize row = (gsize) t * block->n_lanes + lane;
      const real *d = g->d_out + row * block->out_stride;
      real *d_in = g->d_in + row * g->d_in_stride;

      memset (d_in, 0, g->d_in_stride * sizeof (real));
      for (guint o = 0; o < layer->n_out; o++) {
        const double *w = rls_weights (&self->rls, memory, o);

        for (guint i = 0; i < layer->n_in; i++)
          d_in[i] += (real) w[i] * d[o];
      }
    }
  }
}

static gboolean
readout_check_state (const SeqLayer *layer, const real *state)
{
  const Readout *self = (const Readout *) layer;
  const double *features = (const double *) state + HEAD;

  for (gsize i = 0; i < (gsize) self->horizon * self->rls.stride; i++)
    if (!isfinite (features[i]))
      return FALSE;
  return is_place (*(const double *) state, 2 * self->horizon)
         && rls_check (&self->rls, readout_get_memory (self, (real *) state));
}

static void
readout_export_weights (const SeqLayer *layer, const real *state, real *weights)
{
  const Readout *self = (const Readout *) layer;

  rls_export (
      &self->rls, readout_get_memory (self, (real *) state), layer, weights);
}

const SeqLayerClass SEQ_CLASS (readout) = {
  .kind = { .name = "readout",
      .flags = SEQ_KIND_LEARNS | SEQ_KIND_TRAINS,
      .options = options,
      .twin = "dense" },
  .instance_size = sizeof (Readout),
  .init = readout_init,
  .seed = readout_seed,
  .start = readout_start,
  .rewind = readout_rewind,
  .run = readout_run,
  .grad = readout_grad,
  .check_state = readout_check_state,
  .export_weights = readout_export_weights,
};
