/* stream_cost.h: what a sample costs in a stream that learns as it goes.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "src/live/stream.h"

/* ns a sample over n_timed frames after `before` others, of a model of one
 * channel on noise with memory: of all signals the one in which the naive
 * search can give up least early. */
double stream_cost (
    SeqModel *model, SeqLearn learn, guint before, guint n_timed);
