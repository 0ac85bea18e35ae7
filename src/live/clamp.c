/* clamp.c: a forecast never leaves what was heard.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/live/clamp.h"

#include <math.h>

#define FADE 1e-5 /* a frame, towards the latest sample */
#define BEYOND 0.2
#define STEPS 1.5

static void
hear (SeqRange *range, double x)
{
  if (!range->begun)
    range->low = range->high = range->last = x;
  range->step =
      MAX (range->step * (1 - FADE), MIN (fabs (x - range->last), G_MAXDOUBLE));
  range->begun = 1;
  range->low = MIN (range->low + FADE * (x - range->low), x);
  range->high = MAX (range->high + FADE * (x - range->high), x);
  range->last = x;
}

void
seq_range_clamp (
    SeqRange *range, const double *x, guint n, guint horizon, double *y)
{
  for (guint t = 0; t < n; t++) {
    double room;

    hear (range, x[t]);
    room = MAX (
        BEYOND * (range->high - range->low), STEPS * horizon * range->step);
    y[t] = CLAMP (y[t], range->low - room, range->high + room);
  }
}

gboolean
seq_range_check (const SeqRange *range)
{
  return range->low <= range->high && range->step >= 0 && isfinite (range->low)
         && isfinite (range->high) && isfinite (range->step)
         && isfinite (range->last) && (range->begun == 0 || range->begun == 1);
}
