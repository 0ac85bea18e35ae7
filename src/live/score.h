/* score.h: how surprising the frames of a channel were, and figures of it.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * All of it is real-time safe.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* The residual's running power. Part of a stream's state; zeros at the start.
 */
typedef struct {
  double residual_power;
  guint64 n_residuals;
} SeqSurprise;

/* Learns n residuals. power: the power before each of them; infinity before the
 * first, so that it is not surprising. */
void seq_surprise_learn (
    SeqSurprise *surprise, const double *residual, guint n, double *power);
/* Whether one that was written from outside can be used. */
gboolean seq_surprise_check (const SeqSurprise *surprise);
/* |residual| over the root of the power before it; in the place of power. */
void seq_surprise_score (const double *residual, guint n, double *power);

/* Figures of a channel over a stretch of frames that had a forecast. */
typedef struct {
  double signal_power;   /* mean square about the mean */
  double residual_power; /* mean square */
  double score_peak;
} SeqChannelStats;

/* Sums that they come from. Part of a stream's state; zeros at the start. */
typedef struct {
  guint64 n;
  /* of the distance to the first sample, against cancellation */
  double first, sum, sum_squares;
  double residual_squares, score_peak;
} SeqChannelSums;

void seq_channel_sums_add (SeqChannelSums *sums, const double *x,
    const double *residual, const double *score, guint n);
/* Whether they give figures that are numbers. */
gboolean seq_channel_sums_check (const SeqChannelSums *sums);
SeqChannelStats seq_channel_sums_stats (const SeqChannelSums *sums);

G_END_DECLS
