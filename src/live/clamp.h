/* clamp.h: a forecast never leaves what was heard.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The range of a channel is that of its samples, and the step the largest
 * between two of them; both fade, so that what was long ago no longer counts.
 * A forecast may be outside the range by no more than a fifth of it, or one and
 * a half of the step for each frame that it looks ahead, whichever is more: a
 * ramp goes on.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Part of a stream's state; zeros at the start: then a forecast is the sample
 * itself. */
typedef struct {
  double begun; /* 0: nothing has been heard */
  double low, high, step, last;
} SeqRange;

/* Hears x, and bounds the forecast y that was made with each sample known.
 * [n] each. horizon: frames that it looks ahead, 1 or more. Real-time safe. */
void seq_range_clamp (
    SeqRange *range, const double *x, guint n, guint horizon, double *y);
/* Whether one that was written from outside can be used. */
gboolean seq_range_check (const SeqRange *range);

G_END_DECLS
