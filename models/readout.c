/* readout.c: a linear read-out that learns in its state, by recursive least
 * squares: y = W x + b, as dense, for a core that need not learn (an echo
 * state network: Jaeger 2001) or that learns by gradient through it.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * State, in doubles: [0] frames since the start (as far as it matters), then
 * the features of the last `horizon` frames, each with a 1 for the bias, then
 * the memory of src/simd/rls.h. Params: the weights to begin with.
 */
#include "src/simd/rls.h"
#include "src/simd/simd.h"

typedef struct {
  SeqLayer base;
  guint horizon;
  Rls rls;
} Readout;

enum { WEIGHT, BIAS };
#define HEAD 16 /* doubles before the features */

static const char *const options[] = { "out_features", "horizon", "forgetting",
  "regularization", NULL };

static gboolean
init (SeqLayer *layer, GVariant *config, GError **error)
{
  Readout *self = (Readout *) layer;
  double forgetting, regularization;

  if (!seq_config_uint (
          layer, config, "out_features", 1, 4096, 1, &layer->n_out, error)
      || !seq_config_uint (
          layer, config, "horizon", 1, 1 << 20, 1, &self->horizon, error)
      || !seq_config_double (
          layer, config, "forgetting", 0.5, 1, 0.9998, &forgetting, error)
      || !seq_config_double (layer, config, "regularization", 1e-12, 1e12, 1e-4,
          &regularization, error))
    return FALSE;
  if (layer->n_in > 4096) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "readout: %u inputs where 1 to 4096 can be", layer->n_in);
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
memory_of (const Readout *self, real *state)
{
  return (double *) state + HEAD + (gsize) self->horizon * self->rls.stride;
}

static void
seed (const SeqLayer *layer, GRand *rand, real *weights)
{
  seq_seed_uniform (layer, rand, 1 / sqrt (layer->n_in), weights);
}

static void
start (const SeqLayer *layer, const real *weights, real *state)
{
  const Readout *self = (const Readout *) layer;
  double *memory = memory_of (self, state);

  memset (state, 0, layer->n_state * sizeof (real));
  rls_restart (&self->rls, memory);
  for (guint o = 0; o < layer->n_out; o++) {
    double *w = rls_weights (&self->rls, memory, o);

    for (guint i = 0; i < layer->n_in; i++)
      w[i] = weights[seq_tensor_index (&layer->tensors[WEIGHT], 0, o, i)];
    w[layer->n_in] = weights[seq_tensor_index (&layer->tensors[BIAS], 0, o, 0)];
  }
}

static void
rewind_state (const SeqLayer *layer, const real *weights, real *state)
{
  *(double *) state = 0;
}

static void
run (const SeqLayer *layer, const SeqBlock *block)
{
  const Readout *self = (const Readout *) layer;
  guint stride = self->rls.stride;

  for (guint lane = 0; lane < block->n_lanes; lane++) {
    double *n_frames = (double *) (block->state + lane * block->state_stride);
    double *memory = memory_of (self, (real *) n_frames);

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
grad (const SeqLayer *layer, const SeqBlock *block, const SeqGrad *g)
{
  const Readout *self = (const Readout *) layer;

  if (!g->d_in)
    return;
  for (guint lane = 0; lane < block->n_lanes; lane++) {
    double *memory =
        memory_of (self, (real *) g->learnt + lane * block->state_stride);

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
check_state (const SeqLayer *layer, const real *state)
{
  const Readout *self = (const Readout *) layer;

  return is_place (*(const double *) state, 2 * self->horizon)
         && rls_check (&self->rls, memory_of (self, (real *) state));
}

static void
export_weights (const SeqLayer *layer, const real *state, real *weights)
{
  const Readout *self = (const Readout *) layer;
  double *memory = memory_of (self, (real *) state);

  for (guint o = 0; o < layer->n_out; o++) {
    const double *w = rls_weights (&self->rls, memory, o);

    for (guint i = 0; i < layer->n_in; i++)
      weights[seq_tensor_index (&layer->tensors[WEIGHT], 0, o, i)] =
          (real) w[i];
    weights[seq_tensor_index (&layer->tensors[BIAS], 0, o, 0)] =
        (real) w[layer->n_in];
  }
}

const SeqLayerClass SEQ_CLASS (readout) = {
  .kind = { .name = "readout",
      .flags = SEQ_KIND_LEARNS | SEQ_KIND_TRAINS,
      .options = options,
      .twin = "dense" },
  .instance_size = sizeof (Readout),
  .init = init,
  .seed = seed,
  .start = start,
  .rewind = rewind_state,
  .run = run,
  .grad = grad,
  .check_state = check_state,
  .export_weights = export_weights,
};
