/* train-report.c: what seqmodel train says.
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
report_learnt (const Outcome *o)
{
  return o->esr < 0.1 && !(o->esr >= o->persistence);
}

static const char *
verdict (const Outcome *o)
{
  if (o->esr >= o->persistence)
    return "no better than repeating the last value";
  return o->esr < 0.01    ? "great"
         : o->esr < 0.035 ? "not bad"
         : o->esr < 0.1   ? "might do"
                          : "it has not learnt this";
}

void
report_outcome (const Report *report, const Outcome *o)
{
  if (report->json) {
    json_t *line = json_object ();

    json_object_set_new (line, "model", json_string (o->model));
    json_object_set_new (line, "end", json_string (o->end));
    json_object_set_new (line, "split", json_string (o->split));
    add_number (line, "esr", o->esr);
    if (isfinite (o->persistence))
      add_number (line, "persistence_esr", o->persistence);
    json_object_set_new (line, "verdict", json_string (verdict (o)));
    if (o->reason)
      json_object_set_new (line, "reason", json_string (o->reason));
    print_json (line);
  }
  if (isfinite (o->persistence))
    report_say (report,
        "repeating the last value has an ESR of %.4g on the %s part",
        o->persistence, o->split);
  report_say (report, "%s: %s ESR %.4g (%.3g %%, %.1f dB): %s", o->model,
      o->split, o->esr, 100 * o->esr, 10 * log10 (o->esr), verdict (o));
  if (o->reason)
    report_say (report, "likeliest reason: %s", o->reason);
}
