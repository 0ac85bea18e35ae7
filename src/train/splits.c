/* splits.c: a recording divided by time into training, validation and test.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/train/splits.h"

const char *
seq_split_name (SeqSplit split)
{
  static const char *const names[SEQ_N_SPLITS] = { "training", "validation",
    "test" };

  return names[split];
}

SeqSplits
seq_splits_divide (const double parts[SEQ_N_SPLITS], gsize n_frames, gsize unit)
{
  SeqSplits splits = { { 0 } };
  gsize n_units = n_frames / unit;
  double sum = 0, part = 0;

  for (guint i = 0; i < SEQ_N_SPLITS; i++)
    sum += parts[i];
  for (guint i = 0; i < SEQ_N_SPLITS; i++) {
    part += parts[i] / sum;
    /* a nudge, since 0.8 + 0.1 is slightly less than 0.9 */
    splits.at[i + 1] = (gsize) ((double) n_units * part * (1 + 1e-12)) * unit;
  }
  return splits;
}
