/* prepare.c: makes a model ready to learn from a recording.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/train/prepare.h"
#include "src/builder.h"
#include "src/chain.h"

/* Standard deviations of an effect that are left alone, and what others are
 * scaled to. */
#define LOWEST 0.01
#define HIGHEST 1
#define USUAL 0.1

static gboolean
check_horizon (const SeqModel *model, guint horizon, GError **error)
{
  const SeqChain *chain = model->chain;

  if (!seq_chain_learns (chain) || model->horizon == horizon)
    return TRUE;
  if (horizon == 0)
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "%s predicts; expected one recording, not two",
        seq_model_layer (model, 0).kind->name);
  else
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "the horizon is %u; expected %u, which this %s was made for", horizon,
        model->horizon, seq_model_layer (model, 0).kind->name);
  return FALSE;
}

SeqModel *
seq_prepare_model (
    const SeqModel *model, double rate, guint horizon, GError **error)
{
  const SeqChain *chain = model->chain;
  g_autoptr (SeqModel) changed = NULL;
  g_autoptr (SeqBuilder) builder = NULL;

  if (model->rate > 0 && rate > 0 && model->rate != rate) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE,
        "the recording has %g Hz; expected %g, the model's rate: resample it",
        rate, model->rate);
    return NULL;
  }
  if (model->window) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "the model's window is %u; expected 0: training carries the state on",
        model->window);
    return NULL;
  }
  if (chain->n_layers > 1 && seq_chain_learns (chain)) {
    changed = seq_model_with_learnt (model, NULL, NULL, error);
    if (!changed)
      return NULL;
    model = changed;
  }
  if (!check_horizon (model, horizon, error))
    return NULL;
  builder = seq_builder_new_from (model);
  seq_builder_set_horizon (builder, horizon);
  seq_builder_set_start (
      builder, horizon == 0 ? SEQ_START_SILENCE : SEQ_START_ZEROS);
  if (model->rate == 0)
    seq_builder_set_rate (builder, rate);
  return seq_builder_finish (builder, error);
}

static gboolean
check_sound (
    const SeqMoments *moments, const char *what, gsize n_frames, GError **error)
{
  if (moments->deviation > 0)
    return TRUE;
  g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE,
      "the %s is silent in frames 0 to %" G_GSIZE_FORMAT
      ", those for %s; expected a signal",
      what, n_frames, seq_split_name (SEQ_TRAIN));
  return FALSE;
}

SeqModel *
seq_prepare_scales (SeqModel *model, const SeqTrainerData *data,
    const double parts[SEQ_N_SPLITS], gboolean always, GError **error)
{
  gboolean predicts = data->horizon > 0, changed = predicts;
  const float *target = predicts ? data->in : data->target;
  guint n_in = model->n_in, n_out = model->n_out;
  gsize n_frames = seq_splits_divide (parts, data->n_frames + data->horizon, 1)
                       .at[SEQ_TRAIN + 1];
  g_autofree double *in_scale = g_new (double, n_in);
  g_autofree double *in_shift = g_new0 (double, n_in);
  g_autofree double *out_scale = g_new (double, n_out);
  g_autofree double *out_shift = g_new0 (double, n_out);
  g_autoptr (SeqBuilder) builder = NULL;

  for (guint k = 0; k < n_in; k++) {
    SeqMoments m =
        seq_moments_measure (data->in, n_frames, data->n_in, k, n_in);
    gboolean odd = always || m.deviation < LOWEST || m.deviation > HIGHEST;

    if (!check_sound (&m, "input", n_frames, error))
      return NULL;
    in_scale[k] = predicts ? 1 / m.deviation : odd ? USUAL / m.deviation : 1;
    in_shift[k] = predicts ? m.mean : 0;
    changed |= odd;
  }
  for (guint k = 0; k < n_out; k++) {
    SeqMoments m =
        seq_moments_measure (target, n_frames, data->n_out, k, n_out);
    gboolean odd = always || m.deviation < LOWEST || m.deviation > HIGHEST;

    if (!check_sound (&m, "target", n_frames, error))
      return NULL;
    out_scale[k] = predicts ? m.deviation : odd ? m.deviation / USUAL : 1;
    out_shift[k] = predicts ? m.mean : 0;
    changed |= odd;
  }
  if (!changed)
    return seq_model_ref (model);
  builder = seq_builder_new_from (model);
  seq_builder_set_scales (builder, in_scale, in_shift, out_scale, out_shift);
  return seq_builder_finish (builder, error);
}
