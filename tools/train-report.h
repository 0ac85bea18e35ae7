/* train-report.h: what seqmodel train says.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Words go to standard error, JSON lines to standard output.
 */
#pragma once

#include "src/train/trainer.h"

G_BEGIN_DECLS

typedef struct {
  gboolean json, quiet;
  gboolean terminal; /* a bar can be drawn over and over */
  guint max_epochs;
  /* set by report_begin() */
  guint first_epoch;
  gint64 began; /* microseconds */
} Report;

/* A line, unless quiet. */
void report_say (const Report *report, const char *format, ...)
    G_GNUC_PRINTF (2, 3);

/* Training starts, or goes on after r->epoch epochs. */
void report_begin (Report *report, const SeqTrainerReport *r);
/* After each mini-batch, after each epoch, and after the last. */
void report_batch (const Report *report, const SeqTrainerReport *r);
void report_epoch (const Report *report, const SeqTrainerReport *r);
void report_end (const Report *report);

typedef struct {
  const char *model; /* its path */
  const char *split; /* what esr was measured on */
  double esr;
  double persistence; /* a predictor's: ESR of repeating the last value; else
                       * NAN */
  const char *end;    /* why training stopped */
  const char *reason; /* the likeliest one, if it did not learn */
} Outcome;

/* Whether that much error is worth the word "learnt". */
gboolean report_learnt (const Outcome *outcome);
void report_outcome (const Report *report, const Outcome *outcome);

G_END_DECLS
