/* normalise.c: running mean and scale of a channel.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/live/normalise.h"

#include <math.h>

#define MEMORY_MAX (1 << 20) /* samples that it looks back over */
#define MEMORY_MIN 16        /* samples before outliers are clipped */
#define OUTLIER 8.0          /* standard deviations */

static double
deviation_of (const SeqNormaliser *s)
{
  /* never below what a double can tell apart at that mean */
  return MAX (sqrt (s->variance), fabs (s->mean) * 1e-12 + 1e-30);
}

void
seq_normaliser_get (const SeqNormaliser *s, double *shift, double *scale)
{
  *shift = s->mean;
  *scale = s->n_seen < 2 ? 1 : 1 / deviation_of (s);
}

static void
learn_sample (SeqNormaliser *s, double x)
{
  double deviation, rate;

  if (s->n_seen > 0 && x == s->last)
    return; /* a stuck sensor or digital silence says nothing of the scale */
  s->last = x;
  if (s->n_seen > MEMORY_MIN) {
    double most = OUTLIER * deviation_of (s), clipped;

    deviation = x - s->mean;
    clipped = CLAMP (deviation, -most, most);
    if (clipped != deviation)
      s->n_seen = MAX (s->n_seen / 2, MEMORY_MIN);
    x = s->mean + clipped;
  }
  s->n_seen = MIN (s->n_seen + 1, MEMORY_MAX);
  rate = 1 / s->n_seen;
  deviation = x - s->mean;
  s->mean += rate * deviation;
  s->variance += rate * ((1 - rate) * deviation * deviation - s->variance);
}

void
seq_normaliser_learn (SeqNormaliser *normaliser, const double *x, guint n,
    double *shift, double *scale)
{
  SeqNormaliser s = *normaliser;

  for (guint t = 0; t < n; t++) {
    learn_sample (&s, x[t]);
    seq_normaliser_get (&s, &shift[t], &scale[t]);
  }
  *normaliser = s;
}

gboolean
seq_normaliser_check (const SeqNormaliser *s)
{
  return s->n_seen >= 0 && s->n_seen <= MEMORY_MAX && isfinite (s->mean)
         && isfinite (s->last) && s->variance >= 0 && isfinite (s->variance);
}
