/* splits.h: a recording divided by time into training, validation and test.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef enum { SEQ_TRAIN, SEQ_VALIDATION, SEQ_TEST, SEQ_N_SPLITS } SeqSplit;

/* "training", "validation", "test": for messages. */
const char *seq_split_name (SeqSplit split);

/* Split i is frames [at[i], at[i + 1]). */
typedef struct {
  gsize at[SEQ_N_SPLITS + 1];
} SeqSplits;

/* Divides n_frames in the proportion of `parts` (>= 0, in any unit, not all
 * zero), at whole multiples of `unit` frames. */
SeqSplits seq_splits_divide (
    const double parts[SEQ_N_SPLITS], gsize n_frames, gsize unit);

static inline gsize
seq_splits_length (const SeqSplits *splits, SeqSplit split)
{
  return splits->at[split + 1] - splits->at[split];
}

G_END_DECLS
