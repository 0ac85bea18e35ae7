/* stream_cost.h: what a sample costs in a stream that learns as it goes.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "src/live/stream.h"

/* ns of CPU time a sample over n_timed frames, after `before` others, of a
 * model of one channel. The signal is low-passed noise, on which the naive
 * model's search can stop early least often. */
double stream_cost (
    SeqModel *model, SeqLearn learn, guint before, guint n_timed);
