/* score.c: how surprising the frames of a channel were, and figures of it.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/live/score.h"

#include <float.h>
#include <math.h>

#define MEMORY 1024 /* frames of the running power */
#define LIMIT 1e6

void
seq_surprise_learn (
    SeqSurprise *surprise, const double *residual, guint n, double *power)
{
  SeqSurprise s = *surprise;
  double rate = 1.0 / MEMORY;

  for (guint t = 0; t < n; t++) {
    power[t] = s.n_residuals ? s.residual_power : INFINITY;
    if (s.n_residuals < MEMORY)
      rate = 1 / (double) ++s.n_residuals;
    /* an outlier whose square is infinite is forgotten again, too */
    s.residual_power = (1 - rate) * s.residual_power
                       + rate * MIN (residual[t] * residual[t], DBL_MAX);
  }
  *surprise = s;
}

gboolean
seq_surprise_check (const SeqSurprise *s)
{
  return s->residual_power >= 0 && isfinite (s->residual_power);
}

void
seq_surprise_score (const double *residual, guint n, double *power)
{
  for (guint t = 0; t < n; t++) {
    double s = fabs (residual[t]) / MAX (sqrt (power[t]), DBL_MIN);

    power[t] = MIN (s, LIMIT);
  }
}

void
seq_channel_sums_add (SeqChannelSums *sums, const double *x,
    const double *residual, const double *score, guint n)
{
  SeqChannelSums s = *sums;

  if (s.n == 0 && n > 0)
    s.first = x[0];
  s.n += n;
  for (guint t = 0; t < n; t++) {
    double d = x[t] - s.first;

    s.sum += d;
    s.sum_squares += d * d;
    s.residual_squares += residual[t] * residual[t];
    s.score_peak = MAX (s.score_peak, score[t]);
  }
  *sums = s;
}

gboolean
seq_channel_sums_check (const SeqChannelSums *s)
{
  return isfinite (s->first) && isfinite (s->sum) && isfinite (s->sum_squares)
         && isfinite (s->residual_squares) && isfinite (s->score_peak)
         && s->sum_squares >= 0 && s->residual_squares >= 0;
}

SeqChannelStats
seq_channel_sums_stats (const SeqChannelSums *sums)
{
  double n = (double) MAX (sums->n, 1), mean = sums->sum / n;

  return (SeqChannelStats){
    .signal_power = MAX (sums->sum_squares / n - mean * mean, 0),
    .residual_power = sums->residual_squares / n,
    .score_peak = sums->score_peak,
  };
}
