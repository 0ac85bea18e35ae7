/* fit.c: fits models whose last layer learns in its state, in one pass.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/train/fit.h"
#include "src/chain.h"

#include <math.h>
#include <string.h>

#define BLOCK 256
#define WARMUP 4096 /* frames before a split that it is judged on */

/* As many channels as the model takes, out of n_channels. */
typedef struct {
  const float *x;
  gsize n_frames;
  guint n_channels;
} Group;

/* Writes frames [at, at + n) of the group into a work's input. */
static void
fill (
    const SeqModel *model, const Group *group, gsize at, guint n, SeqWork *work)
{
  const float *x = group->x + at * group->n_channels;

  for (guint t = 0; t < n; t++, x += group->n_channels)
    for (guint k = 0; k < model->chain->n_in; k++)
      work->in[t * work->in_stride + k] =
          (real) ((x[k] - model->in_shift[k]) * model->in_scale[k]);
}

static void
learn (const SeqModel *model, const Group *group, SeqWork *work, real *state)
{
  for (gsize t = 0; t < group->n_frames; t += BLOCK) {
    SeqPass pass = { .n_frames = (guint) MIN (BLOCK, group->n_frames - t),
      .weights = model->weights,
      .state = state,
      .target = work->in,
      .target_stride = work->in_stride };

    fill (model, group, t, pass.n_frames, work);
    seq_chain_run (model->chain, work, &pass);
  }
}

SeqModel *
seq_fit_model (const SeqModel *model, const float *x, gsize n_frames,
    guint n_channels, GError **error)
{
  const SeqChain *chain = model->chain;
  const SeqLayerClass *last = chain->layers[chain->n_layers - 1]->klass;
  g_autoptr (SeqWork) work = NULL;
  SeqModel *fitted;
  real *state;

  if (!(last->kind.flags & SEQ_KIND_LEARNS)
      || (last->kind.flags & SEQ_KIND_LIVE_ONLY) || !last->export_weights) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "the model ends in %s; expected a kind that one pass can fit",
        last->kind.name);
    return NULL;
  }
  if (n_channels % chain->n_in || chain->n_in != chain->n_out) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE,
        "the recording has %u channels; expected a multiple of %u, the "
        "model's inputs",
        n_channels, chain->n_in);
    return NULL;
  }
  work = seq_work_new (chain, BLOCK, 1, FALSE);
  state = seq_alloc (chain->n_state);
  seq_chain_start (chain, model->weights, state);
  for (guint c = 0; c < n_channels; c += chain->n_in) {
    Group group = { x + c, n_frames, n_channels };

    seq_chain_rewind (chain, model->weights, state);
    learn (model, &group, work, state);
  }
  fitted = seq_model_with_learnt (model, model->weights, state, error);
  seq_free (state);
  return fitted;
}

/* Adds up the squares of the forecasts' errors and of the signal, from frame
 * `warmup` on. */
static void
add_errors (const SeqModel *model, const Group *group, gsize warmup,
    SeqWork *work, real *state, double *error, double *power)
{
  guint n = model->chain->n_in, horizon = model->horizon;
  /* forecasts of the frames to come, a ring */
  g_autofree double *ring = g_new0 (double, (gsize) horizon *n);

  for (gsize t = 0; t < group->n_frames; t += BLOCK) {
    SeqPass pass = { .n_frames = (guint) MIN (BLOCK, group->n_frames - t),
      .weights = model->weights,
      .state = state };

    fill (model, group, t, pass.n_frames, work);
    seq_chain_run (model->chain, work, &pass);
    for (guint f = 0; f < pass.n_frames; f++)
      for (guint k = 0; k < n; k++) {
        double *forecast = &ring[(t + f) % horizon * n + k];
        float x = group->x[(t + f) * group->n_channels + k];
        double value = (x - model->out_shift[k]) / model->out_scale[k];

        if (t + f >= MAX (warmup, horizon)) {
          *error += (value - *forecast) * (value - *forecast);
          *power += value * value;
        }
        *forecast = work->out[f * work->out_stride + k];
      }
  }
}

double
seq_fit_esr (const SeqModel *model, const float *x, gsize n_frames,
    guint n_channels, gsize warmup)
{
  const SeqChain *chain = model->chain;
  g_autoptr (SeqWork) work = seq_work_new (chain, BLOCK, 1, FALSE);
  real *state = seq_alloc (chain->n_state);
  double error = 0, power = 0;

  for (guint c = 0; c < n_channels; c += chain->n_in) {
    Group group = { x + c, n_frames, n_channels };

    seq_chain_start (chain, model->weights, state);
    add_errors (model, &group, warmup, work, state, &error, &power);
  }
  seq_free (state);
  return power > 0 ? error / power : NAN;
}

/* seq_fit_esr() of a split, warmed up by the frames before it; NAN if it is
 * empty. */
static double
split_esr (const SeqModel *model, const SeqTrainerData *data,
    const SeqSplits *splits, SeqSplit split)
{
  gsize start = splits->at[split], warmup = MIN (start, WARMUP);

  return seq_fit_esr (model, data->in + (start - warmup) * data->n_in,
      splits->at[split + 1] - start + warmup, data->n_in, warmup);
}

SeqModel *
seq_fit_split (const SeqModel *model, const SeqTrainerData *data,
    const double parts[SEQ_N_SPLITS], SeqEvaluation *evaluation, GError **error)
{
  gsize n_frames = data->n_frames + data->horizon;
  SeqSplits splits = seq_splits_divide (parts, n_frames, 1);
  SeqModel *fitted;
  SeqEvaluation e = { .split = SEQ_TEST };

  for (guint i = 0; i < SEQ_N_SPLITS; i++)
    if ((i != SEQ_TEST || parts[i] > 0)
        && seq_splits_length (&splits, i) <= data->horizon) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE,
          "%" G_GSIZE_FORMAT " of %" G_GSIZE_FORMAT
          " frames are for %s; expected more than the horizon of %u: take a "
          "longer recording",
          seq_splits_length (&splits, i), n_frames, seq_split_name (i),
          data->horizon);
      return NULL;
    }
  fitted = seq_fit_model (
      model, data->in, splits.at[SEQ_VALIDATION], data->n_in, error);
  if (!fitted)
    return NULL;
  e.validation_esr = split_esr (fitted, data, &splits, SEQ_VALIDATION);
  e.esr = split_esr (fitted, data, &splits, SEQ_TEST);
  if (!isfinite (e.esr)) {
    e.split = SEQ_VALIDATION;
    e.esr = e.validation_esr;
  }
  e.start = splits.at[e.split];
  e.n_frames = seq_splits_length (&splits, e.split) - data->horizon;
  e.persistence = seq_evaluate_persistence (fitted, data, e.start, e.n_frames);
  *evaluation = e;
  return fitted;
}
