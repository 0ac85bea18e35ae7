/* checkpoint.h: the progress of training, and the file to resume it from.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "src/train/trainer.h"

G_BEGIN_DECLS

/* Everything that changes in the course of training, as it is between two
 * epochs. */
typedef struct {
  gsize n_weights;
  real *weights;           /* [n_weights], as all of these */
  real *average;           /* running mean of weights: what is judged */
  real *best;              /* the average that did best in validation */
  real *moment1, *moment2; /* Adam's */
  guint stale;             /* validations without a gain */
  double mark;             /* what a gain is measured from */
  GArray *history;         /* SeqTrainerEpoch */
  SeqTrainerReport report; /* kept: epoch, n_updates, n_skipped, best_epoch,
                            * best_esr, rate, and the last epoch's ESR */
} SeqProgress;

void seq_progress_init (
    SeqProgress *progress, const real *weights, gsize n_weights);
void seq_progress_clear (SeqProgress *progress);

/* The fingerprint, "ITEM, ITEM, ...", tells trainings apart. */
GBytes *seq_checkpoint_write (
    const SeqProgress *progress, const char *fingerprint);
/* Puts progress back to where it was. On failure it stays as it is: SEQ_ERROR_
 * FORMAT and DAMAGED, or SHAPE if the file is of another training. */
gboolean seq_checkpoint_read (SeqProgress *progress, GBytes *checkpoint,
    const char *fingerprint, GError **error);

G_END_DECLS
