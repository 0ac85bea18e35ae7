/* fit.h: fits models whose layer learns in its state (ar, markov).
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "src/model.h"

G_BEGIN_DECLS

/* Runs the model once over x, [n_frames][n_channels], learning, and returns it
 * with what it has learnt as its weights. With forgetting 1 that is least
 * squares over all of x for ar, and plain counts for markov: one pass is the
 * closed form. Several times as many channels as the model has inputs are
 * recordings one after another. SEQ_ERROR_CONFIG if the model's last layer
 * doesn't learn so, SEQ_ERROR_SHAPE if the channels don't fit. */
SeqModel *seq_fit (SeqModel *model, const float *x, gsize n_frames,
    guint n_channels, GError **error);

/* Error of the forecasts that the model makes over x, without learning, over
 * the power of x about the model's mean; the first `warmup` don't count. */
double seq_fit_esr (const SeqModel *model, const float *x, gsize n_frames,
    guint n_channels, gsize warmup);

G_END_DECLS
