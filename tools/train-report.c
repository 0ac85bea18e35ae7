/* train-report.c: what seqmodel train prints.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "tools/train-report.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>

#define BAR 20

void
report_say (const Report *report, const char *format, ...)
{
  g_autofree char *text = NULL;
  va_list args;

  if (report->quiet)
    return;
  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  g_printerr ("%s\n", text);
}

void
report_begin (Report *report, const SeqTrainerReport *r)
{
  report->first_epoch = r->epoch;
  report->began = g_get_monotonic_time ();
}

/* Epochs done since it began, and the seconds they took. */
static double
epochs_done (const Report *report, const SeqTrainerReport *r, double *seconds)
{
  *seconds = (double) (g_get_monotonic_time () - report->began) / 1e6;
  return r->epoch - report->first_epoch + (double) r->batch / r->n_batches;
}

void
report_batch (const Report *report, const SeqTrainerReport *r)
{
  guint filled = BAR * r->batch / r->n_batches, left = 0;
  double seconds, done = epochs_done (report, r, &seconds);

  if (report->json || report->quiet || !report->terminal || done <= 0)
    return;
  if (r->end == SEQ_TRAINER_GOES_ON)
    left = (guint) MIN (360000,
        seconds / done * (report->max_epochs - report->first_epoch - done));
  g_printerr ("\repoch %u/%u [%.*s%.*s] at most %um%02us left  train %.4g  "
              "validation %.4g  best %.4g  %.2f M samples/s\033[K",
      r->epoch, report->max_epochs, filled, "####################",
      BAR - filled, "....................", left / 60, left % 60, r->train_esr,
      r->validation_esr, r->best_esr,
      (double) r->epoch_frames * done / seconds / 1e6);
}

void
report_end (const Report *report)
{
  if (report->terminal && !report->json && !report->quiet)
    g_printerr ("\n");
}

/* Takes line. */
static void
print_json (json_t *line)
{
  json_dumpf (line, stdout, JSON_COMPACT | JSON_REAL_PRECISION (9));
  printf ("\n");
  fflush (stdout);
  json_decref (line);
}

static void
add_number (json_t *line, const char *key, double value)
{
  json_object_set_new (
      line, key, isfinite (value) ? json_real (value) : json_null ());
}

void
report_epoch (const Report *report, const SeqTrainerReport *r)
{
  double seconds, done = epochs_done (report, r, &seconds);
  double speed = (double) r->epoch_frames * done / seconds;

  if (report->json) {
    json_t *line = json_object ();

    json_object_set_new (line, "epoch", json_integer (r->epoch));
    add_number (line, "train_esr", r->train_esr);
    add_number (line, "train_loss", r->train_loss);
    add_number (line, "validation_esr", r->validation_esr);
    add_number (line, "best_esr", r->best_esr);
    add_number (line, "learning_rate", r->rate);
    add_number (line, "gradient_norm", r->norm);
    add_number (line, "seconds", seconds);
    add_number (line, "samples_per_second", speed);
    print_json (line);
  } else if (!report->terminal) {
    report_say (report,
        "epoch %u  train %.4g  validation %.4g  best %.4g  rate %.2g  "
        "%.2f M samples/s",
        r->epoch, r->train_esr, r->validation_esr, r->best_esr, r->rate,
        speed / 1e6);
  }
}

gboolean
report_has_learnt (const SeqEvaluation *e)
{
  return e->esr < 0.1 && !(e->esr >= e->persistence);
}

static const char *
choose_verdict (const SeqEvaluation *e)
{
  if (e->esr >= e->persistence)
    return "no better than repeating the last value";
  return e->esr < 0.01    ? "excellent"
         : e->esr < 0.035 ? "good"
         : e->esr < 0.1   ? "fair"
                          : "not learnt";
}

void
report_outcome (const Report *report, const Outcome *o)
{
  const SeqEvaluation *e = &o->evaluation;
  const char *split = seq_split_name (e->split);

  if (report->json) {
    json_t *line = json_object ();

    json_object_set_new (line, "model", json_string (o->path));
    json_object_set_new (line, "end", json_string (o->end));
    json_object_set_new (line, "split", json_string (split));
    add_number (line, "esr", e->esr);
    if (isfinite (e->persistence))
      add_number (line, "persistence_esr", e->persistence);
    json_object_set_new (line, "verdict", json_string (choose_verdict (e)));
    if (o->reason)
      json_object_set_new (line, "reason", json_string (o->reason));
    print_json (line);
  }
  if (isfinite (e->persistence))
    report_say (report,
        "repeating the last value has an ESR of %.4g on the %s part",
        e->persistence, split);
  report_say (report, "%s: %s ESR %.4g (%.3g %%, %.1f dB): %s", o->path, split,
      e->esr, 100 * e->esr, 10 * log10 (e->esr), choose_verdict (e));
  if (o->reason)
    report_say (report, "likely reason: %s", o->reason);
}
