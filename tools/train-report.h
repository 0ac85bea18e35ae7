/* train-report.h: what seqmodel train prints.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Words go to standard error, JSON lines to standard output.
 */
#pragma once

#include "src/train/trainer.h"

G_BEGIN_DECLS

typedef struct {
  gboolean json, quiet;
  gboolean terminal; /* standard error can redraw a line */
  guint max_epochs;
  /* set by report_begin() */
  guint first_epoch;
  gint64 began; /* microseconds */
} Report;

/* A line, unless quiet. */
void report_say (const Report *report, const char *format, ...)
    G_GNUC_PRINTF (2, 3);

/* Training starts, or resumes after r->epoch epochs. */
void report_begin (Report *report, const SeqTrainerReport *r);
/* After each mini-batch, after each epoch, and after the last. */
void report_batch (const Report *report, const SeqTrainerReport *r);
void report_epoch (const Report *report, const SeqTrainerReport *r);
void report_end (const Report *report);

typedef struct {
  const char *path; /* of the saved model */
  SeqEvaluation evaluation;
  const char *end;    /* why training stopped */
  const char *reason; /* the likely one, if the model has not learnt */
} Outcome;

/* Whether the error is small enough to say that the model has learnt. */
gboolean report_has_learnt (const SeqEvaluation *evaluation);
void report_outcome (const Report *report, const Outcome *outcome);

G_END_DECLS
