/* fit.h: fits models whose last layer learns in its state, in one pass.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "src/model.h"
#include "src/train/data.h"
#include "src/train/evaluate.h"

G_BEGIN_DECLS

/* Runs the model once over x, [n_frames][n_channels], learning, and returns it
 * with what it has learnt as its weights. With forgetting 1 that is least
 * squares over all of x for ar, and plain counts for markov: one pass is the
 * closed form. Several times as many channels as the model has inputs are
 * recordings one after another. Errors: SEQ_ERROR_CONFIG if the model's last
 * layer does not learn so, SEQ_ERROR_SHAPE if the channels do not fit. */
SeqModel *seq_fit_model (const SeqModel *model, const float *x, gsize n_frames,
    guint n_channels, GError **error);

/* Error of the forecasts that the model makes over x, without learning, over
 * the power of x about the model's mean; the first `warmup` do not count. */
double seq_fit_esr (const SeqModel *model, const float *x, gsize n_frames,
    guint n_channels, gsize warmup);

/* Fits the model to the training split of a prediction's data, and evaluates it
 * on the others. Errors as above, and SEQ_ERROR_SHAPE if a split is no longer
 * than the horizon. */
SeqModel *seq_fit_split (const SeqModel *model, const SeqTrainerData *data,
    const double parts[SEQ_N_SPLITS], SeqEvaluation *evaluation,
    GError **error);

G_END_DECLS
