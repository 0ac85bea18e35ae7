/* normalise.h: running mean and scale of a channel, for models that came
 * without a scale of their own.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Mean and variance are over all samples it has learnt from (Welford 1962).
 * Outliers are clipped; repeated outliers shorten the memory.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Part of a stream's state; zeros at the start. */
typedef struct {
  double n_seen, mean, variance, last;
} SeqNormaliser;

/* u = (x - shift) * scale. The rest is real-time safe. */
void seq_normaliser_get (
    const SeqNormaliser *normaliser, double *shift, double *scale);
/* Learns n samples, and gives for each how it is to be scaled. */
void seq_normaliser_learn (SeqNormaliser *normaliser, const double *x, guint n,
    double *shift, double *scale);
/* Whether one that was written from outside can be used. */
gboolean seq_normaliser_check (const SeqNormaliser *normaliser);

G_END_DECLS
