/* fit.c: fits models whose layer learns in its state (ar, markov).
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/train/fit.h"
#include "src/chain.h"

#include <math.h>
#include <string.h>

#define BLOCK 256

/* Runs one group of channels from rest. With errors, adds up those of the
 * forecasts and the signal's power from frame `warmup` on; else learns. */
static void
go_over (const SeqModel *model, SeqWork *work, real *state, const float *x,
    gsize n_frames, guint n_channels, gsize warmup, double *errors)
{
  const SeqChain *chain = model->chain;
  guint n = chain->n_in, horizon = model->horizon;
  /* forecasts of the frames to come, a ring */
  g_autofree double *ring = g_new0 (double, (gsize) horizon *n);

  for (gsize t = 0; t < n_frames; t += BLOCK) {
    SeqPass pass = { .n_frames = (guint) MIN (BLOCK, n_frames - t),
      .weights = model->weights,
      .state = state };

    for (guint f = 0; f < pass.n_frames; f++)
      for (guint k = 0; k < n; k++)
        work->in[f * work->in_stride + k] =
            (real) ((x[(t + f) * n_channels + k] - model->in_shift[k])
                    * model->in_scale[k]);
    if (!errors) {
      pass.target = work->in;
      pass.target_stride = work->in_stride;
    }
    seq_chain_run (chain, work, &pass);
    for (guint f = 0; errors && f < pass.n_frames; f++)
      for (guint k = 0; k < n; k++) {
        double *forecast = &ring[(t + f) % horizon * n + k];
        double value = (x[(t + f) * n_channels + k] - model->out_shift[k])
                       / model->out_scale[k];

        if (t + f >= MAX (warmup, horizon)) {
          errors[0] += (value - *forecast) * (value - *forecast);
          errors[1] += value * value;
        }
        *forecast = work->out[f * work->out_stride + k];
      }
  }
}

SeqModel *
seq_fit (SeqModel *model, const float *x, gsize n_frames, guint n_channels,
    GError **error)
{
  const SeqChain *chain = model->chain;
  const SeqLayerClass *last = chain->layers[chain->n_layers - 1]->klass;
  g_autoptr (SeqWork) work = NULL;
  SeqModel *fitted;
  real *state;

  if (!seq_chain_learns (chain) || !last->export_weights) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "a model of kind %s has nothing that one pass could fit",
        last->kind.name);
    return NULL;
  }
  if (n_channels % chain->n_in || chain->n_in != chain->n_out) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE,
        "a model of %u inputs cannot learn from %u channels", chain->n_in,
        n_channels);
    return NULL;
  }
  work = seq_work_new (chain, BLOCK, 1, FALSE);
  state = seq_alloc (chain->n_state);
  seq_chain_start (chain, model->weights, state);
  for (guint c = 0; c < n_channels; c += chain->n_in) {
    seq_chain_rewind (chain, model->weights, state);
    go_over (model, work, state, x + c, n_frames, n_channels, 0, NULL);
  }
  fitted = seq_model_with_learnt (model, model->weights, state, error);
  seq_free (state);
  return fitted;
}

double
seq_fit_esr (const SeqModel *model, const float *x, gsize n_frames,
    guint n_channels, gsize warmup)
{
  const SeqChain *chain = model->chain;
  g_autoptr (SeqWork) work = seq_work_new (chain, BLOCK, 1, FALSE);
  real *state = seq_alloc (chain->n_state);
  double errors[2] = { 0 };

  for (guint c = 0; c < n_channels; c += chain->n_in) {
    seq_chain_start (chain, model->weights, state);
    go_over (model, work, state, x + c, n_frames, n_channels, warmup, errors);
  }
  seq_free (state);
  return errors[1] > 0 ? errors[0] / errors[1] : NAN;
}
