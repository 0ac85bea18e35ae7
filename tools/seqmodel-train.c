/* seqmodel-train.c: seqmodel train: recordings to a model.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 *   seqmodel train [OPTION...] DRY WET -o MODEL    learns an effect
 *   seqmodel train [OPTION...] SIGNAL -o MODEL     learns to predict
 *
 * Builds a model for the recordings (train-recordings.c), trains or fits it
 * (src/train/), and saves what did best in validation. Options and printing
 * are in train-options.c and train-report.c.
 */
#include "src/builder.h"
#include "src/io/load.h"
#include "src/train/fit.h"
#include "src/train/prepare.h"
#include "src/train/trainer.h"
#include "tools/hints.h"
#include "tools/plot.h"
#include "tools/seqmodel.h"
#include "tools/train-options.h"
#include "tools/train-recordings.h"
#include "tools/train-report.h"

#include <glib/gstdio.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define COMMAND "train"
#define CHECKPOINT_SECONDS 5

typedef struct {
  TrainOptions options;
  Report report;
  char *command;
  char *checkpoint; /* path */
  TrainRecordings recordings;
  SeqTrainerData data;
  SeqTrainerConfig config;
} Session;

static volatile sig_atomic_t interrupted;

static void
interrupt (int number)
{
  interrupted = 1;
}

/* Lets SIGINT and SIGTERM end the training rather than the process; a second
 * signal ends the process. */
static void
catch_signals (void)
{
  struct sigaction action = { .sa_handler = interrupt,
    .sa_flags = (int) SA_RESETHAND };

  sigaction (SIGINT, &action, NULL);
  sigaction (SIGTERM, &action, NULL);
}

/* --- the model to start from ---------------------------------------------- */

static SeqModel *
new_model (const TrainOptions *o, const TrainRecordings *r, GError **error)
{
  gboolean joint = g_str_equal (o->channel_mode, "joint")
                   || (g_str_equal (o->channel_mode, "auto") && !r->target);

  return seq_model_new_untrained (o->kind, train_options_model (o),
      joint ? r->in->n_channels : 1, (guint) o->layers, FALSE, !o->no_residual,
      (guint64) o->seed, error);
}

static SeqModel *
load_model (const TrainOptions *o, GError **error)
{
  g_autoptr (GVariant) hints = hints_parse (o->hints, error);

  return hints ? seq_model_load (o->from, hints, error) : NULL;
}

/* The model with the scales that suit the recordings, unless they are not
 * wanted or cannot be exported. */
static SeqModel *
scale_model (const Session *s, SeqModel *model, const SeqTrainerData *data,
    GError **error)
{
  const TrainOptions *o = &s->options;
  gboolean always = g_str_equal (o->normalize, "on");
  g_autoptr (SeqModel) scaled = NULL;
  g_autoptr (GBytes) bytes = NULL;

  if (g_str_equal (o->normalize, "off"))
    return seq_model_ref (model);
  scaled = seq_prepare_scales (model, data, s->config.parts, always, error);
  if (!scaled || !o->export || always)
    return g_steal_pointer (&scaled);
  bytes = seq_model_write (scaled, o->export_format->name, NULL);
  return bytes ? g_steal_pointer (&scaled) : seq_model_ref (model);
}

/* The model to start from, and what it is to learn from. */
static SeqModel *
make_model (const Session *s, SeqTrainerData *data, GError **error)
{
  const TrainOptions *o = &s->options;
  const TrainRecordings *r = &s->recordings;
  g_autoptr (SeqModel) start =
      o->from ? load_model (o, error) : new_model (o, r, error);
  g_autoptr (SeqModel) model = NULL;
  guint horizon = 0;

  if (!start)
    return NULL;
  if (!r->target)
    horizon = o->horizon ? (guint) o->horizon : MAX (1, start->horizon);
  model = seq_prepare_model (start, r->in->rate, horizon, error);
  if (!model) {
    if (o->from)
      g_prefix_error (error, "%s: ", o->from);
    return NULL;
  }
  if (!seq_trainer_data_init (data, r->in, r->target, horizon, error))
    return NULL;
  return o->from ? g_steal_pointer (&model)
                 : scale_model (s, model, data, error);
}

/* --- saving --------------------------------------------------------------- */

static void
set_number (SeqBuilder *builder, const char *key, double value)
{
  char text[G_ASCII_DTOSTR_BUF_SIZE];

  seq_builder_set_metadata (
      builder, key, g_ascii_formatd (text, sizeof text, "%.6g", value));
}

static void
set_list (SeqBuilder *builder, const char *key, const double *values, guint n)
{
  g_autoptr (GString) text = g_string_new (NULL);
  char value[G_ASCII_DTOSTR_BUF_SIZE];

  for (guint i = 0; i < n; i++)
    g_string_append_printf (text, "%s%s", i ? "," : "",
        g_ascii_formatd (value, sizeof value, "%.6g", values[i]));
  seq_builder_set_metadata (builder, key, text->str);
}

static void
set_level (SeqBuilder *builder, const char *key, const SeqRecording *r)
{
  SeqMoments m =
      seq_moments_measure (r->samples, r->n_frames, r->n_channels, 0, 1);

  set_number (builder, key, 20 * log10 (hypot (m.mean, m.deviation)));
}

/* The layers as text: "lstm 1x20, dense 20x1". */
static char *
list_layers (const SeqModel *model)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < model->n_layers; i++) {
    SeqLayerFacts layer = seq_model_layer (model, i);

    g_string_append_printf (text, "%s%s %ux%u", i ? ", " : "", layer.kind->name,
        layer.n_in, layer.n_out);
  }
  return g_string_free (text, FALSE);
}

/* The model with metadata for whoever reads the file; report NULL: it was
 * fitted, without epochs. */
static SeqModel *
describe_model (const Session *s, const SeqModel *model,
    const SeqEvaluation *evaluation, const SeqTrainerReport *report)
{
  const TrainRecordings *r = &s->recordings;
  g_autoptr (SeqBuilder) b = seq_builder_new_from (model);
  g_autofree char *layers = list_layers (model);

  seq_builder_set_metadata (b, "kind", seq_model_layer (model, 0).kind->name);
  seq_builder_set_metadata (b, "layers", layers);
  seq_builder_set_metadata (b, "task", r->target ? "effect" : "prediction");
  set_number (b, "horizon", model->horizon);
  set_number (b, "sample_rate", model->rate);
  set_number (b, "residual", model->skip);
  if (model->normalised) {
    set_list (b, "in_scale", model->in_scale, model->n_in);
    set_list (b, "in_shift", model->in_shift, model->n_in);
    set_list (b, "out_scale", model->out_scale, model->n_out);
    set_list (b, "out_shift", model->out_shift, model->n_out);
  }
  set_level (b, "in_level_db", r->in);
  if (r->target)
    set_level (b, "target_level_db", r->target);
  if (report) {
    set_number (b, "epochs", report->epoch);
    set_number (b, "best_epoch", report->best_epoch);
  }
  set_number (b, "validation_esr", evaluation->validation_esr);
  if (evaluation->split == SEQ_TEST)
    set_number (b, "test_esr", evaluation->esr);
  seq_builder_set_metadata (b, "trained_by", "seqmodel train");
  seq_builder_set_metadata (b, "command", s->command);
  return seq_builder_finish (b, NULL);
}

/* Saves the model and its export, and reports the outcome. */
static gboolean
save_model (const Session *s, SeqModel *model, const Outcome *outcome,
    const SeqTrainerReport *report, GError **error)
{
  const TrainOptions *o = &s->options;
  g_autoptr (SeqModel) described =
      describe_model (s, model, &outcome->evaluation, report);

  if (!seq_model_save (described, o->output, "safetensors", error))
    return FALSE;
  if (o->export) {
    g_autofree char *path = train_options_beside (o, o->export_format->suffix);

    if (!seq_model_save (described, path, o->export_format->name, error))
      return FALSE;
    report_say (&s->report, "exported to %s", path);
  }
  report_outcome (&s->report, outcome);
  return TRUE;
}

/* Draws --plot: the epochs, if any, and the loudest 20 ms or 200 frames of what
 * was evaluated. */
static gboolean
draw_plot (const Session *s, SeqModel *model, const SeqEvaluation *e,
    const SeqTrainer *trainer, GError **error)
{
  double rate = s->recordings.in->rate;
  gsize n = s->config.independent ? s->config.segment : e->n_frames;
  gsize most = s->recordings.audio ? (gsize) (rate / 50) : 200;
  g_autofree char *title = g_strdup_printf (
      "%s: %s ESR %.4f", s->options.output, seq_split_name (e->split), e->esr);
  Plot plot = { .title = title,
    .model = model,
    .data = &s->data,
    .start = e->start,
    .n_frames = n,
    .shown = (guint) MIN (n, most),
    .rate = rate };

  if (!s->options.plot)
    return TRUE;
  if (trainer) {
    plot.epochs = seq_trainer_history (trainer);
    plot.n_epochs = seq_trainer_report (trainer)->epoch;
  }
  return plot_write (&plot, s->options.plot, error);
}

/* --- models that one pass fits -------------------------------------------- */

static gboolean
fit (const Session *s, const SeqModel *start, GError **error)
{
  Outcome o = { .path = s->options.output, .end = "fitted" };
  g_autoptr (SeqModel) model =
      seq_fit_split (start, &s->data, s->config.parts, &o.evaluation, error);
  g_autofree char *reason = NULL;

  if (!model)
    return FALSE;
  if (!report_has_learnt (&o.evaluation)) {
    g_autofree char *others = train_options_kinds (SEQ_KIND_TRAINS);

    o.reason = reason = g_strdup_printf (
        "this kind of model may not suit the signal: try %s", others);
  }
  return save_model (s, model, &o, NULL, error)
         && draw_plot (s, model, &o.evaluation, NULL, error);
}

/* --- models that are trained by gradient ---------------------------------- */

static gboolean
resume (const Session *s, SeqTrainer *trainer, GError **error)
{
  char *bytes;
  g_autoptr (GBytes) checkpoint = NULL;
  gsize size;

  if (!g_file_get_contents (s->checkpoint, &bytes, &size, error))
    return FALSE;
  checkpoint = g_bytes_new_take (bytes, size);
  if (!seq_trainer_resume (trainer, checkpoint, error)) {
    g_prefix_error (error, "%s: ", s->checkpoint);
    return FALSE;
  }
  report_say (&s->report, "resumed after epoch %u",
      seq_trainer_report (trainer)->epoch);
  return TRUE;
}

/* Saves the checkpoint of the last epoch, if there was one. A failure does not
 * stop the training. */
static void
save_checkpoint (const Session *s, GBytes *checkpoint)
{
  g_autoptr (GError) error = NULL;

  if (checkpoint && !seq_save_bytes (s->checkpoint, checkpoint, &error))
    report_say (&s->report, "note: no checkpoint: %s", error->message);
}

/* Trains until it is over or interrupted. */
static void
train (Session *s, SeqTrainer *trainer)
{
  const SeqTrainerReport *r = seq_trainer_report (trainer);
  g_autoptr (GBytes) checkpoint = NULL;
  gint64 saved = g_get_monotonic_time ();

  report_begin (&s->report, r);
  while (r->end == SEQ_TRAINER_GOES_ON && !interrupted) {
    if (seq_trainer_batch (trainer)) {
      report_epoch (&s->report, r);
      g_clear_pointer (&checkpoint, g_bytes_unref);
      checkpoint = seq_trainer_checkpoint (trainer);
      if (g_get_monotonic_time () - saved
          > CHECKPOINT_SECONDS * G_USEC_PER_SEC) {
        save_checkpoint (s, checkpoint);
        saved = g_get_monotonic_time ();
      }
    }
    report_batch (&s->report, r);
  }
  report_end (&s->report);
  save_checkpoint (s, checkpoint);
}

/* The likely reason that a net has not learnt. */
static const char *
find_reason (const Session *s, const SeqTrainerReport *r)
{
  if (s->recordings.unrelated)
    return "dry and wet have nothing in common: another performance, a delay "
           "of more than a second, or an effect that keeps nothing of its "
           "input";
  if (r->n_skipped > 0)
    return "gradients were not finite: lower --learning-rate";
  if (r->best_epoch == 0)
    return "no epoch did better than the start: lower --learning-rate";
  if (r->train_esr < r->best_esr / 3)
    return "it does well on the training part only: the recording is too "
           "short, or its end differs from its beginning";
  if (r->end == SEQ_TRAINER_GOES_ON || r->end == SEQ_TRAINER_EPOCHS)
    return "it was still learning: raise --epochs";
  return s->recordings.target
             ? "the effect may remember longer than the net (reverb, delay), "
               "or the target may contain noise; or try a larger --hidden-size"
             : "there may be little to predict at this horizon; or try a "
               "larger --hidden-size";
}

/* Whether an epoch has left anything worth saving. */
static gboolean
check_trained (const SeqTrainerReport *r, GError **error)
{
  if (r->end == SEQ_TRAINER_BROKEN && r->best_epoch == 0)
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE,
        "no update of the first epoch was finite; nothing is saved: lower "
        "--learning-rate");
  else if (r->end == SEQ_TRAINER_GOES_ON && r->epoch == 0)
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE,
        "interrupted before the end of the first epoch; nothing is saved");
  else
    return TRUE;
  return FALSE;
}

static gboolean
descend (Session *s, SeqModel *start, GError **error)
{
  static const char *const ends[] = { [SEQ_TRAINER_GOES_ON] = "interrupted",
    [SEQ_TRAINER_TARGET] = "target reached",
    [SEQ_TRAINER_STALLED] = "no more gain",
    [SEQ_TRAINER_EPOCHS] = "all epochs done",
    [SEQ_TRAINER_BROKEN] = "no update of the last epoch was finite" };
  g_autoptr (SeqTrainer) trainer =
      seq_trainer_new (start, &s->data, &s->config, error);
  g_autoptr (SeqModel) best = NULL;
  const SeqTrainerReport *r;
  Outcome o = { .path = s->options.output };

  if (!trainer || (s->options.resume && !resume (s, trainer, error)))
    return FALSE;
  r = seq_trainer_report (trainer);
  catch_signals ();
  report_say (&s->report,
      "training: %" G_GSIZE_FORMAT " frames an epoch, %u pieces of %u frames "
      "side by side, an update every %u frames, %u thread%s",
      r->epoch_frames, s->config.batch, s->config.segment, s->config.update,
      r->threads, r->threads == 1 ? "" : "s");
  train (s, trainer);
  if (!check_trained (r, error))
    return FALSE;

  best = seq_trainer_best (trainer);
  o.evaluation = seq_trainer_evaluate (trainer);
  o.end = ends[r->end];
  if (!report_has_learnt (&o.evaluation))
    o.reason = find_reason (s, r);
  report_say (&s->report, "%s after %u epochs, %.1f s; the best was epoch %u",
      o.end, r->epoch,
      (double) (g_get_monotonic_time () - s->report.began) / 1e6,
      r->best_epoch);
  if (!save_model (s, best, &o, r, error)) {
    g_prefix_error (error, "the trained model is only in the checkpoint: ");
    return FALSE;
  }
  if (r->end == SEQ_TRAINER_TARGET || r->end == SEQ_TRAINER_STALLED)
    g_unlink (s->checkpoint); /* there is nothing to resume */
  return draw_plot (s, best, &o.evaluation, trainer, error);
}

/* -------------------------------------------------------------------------- */

static gboolean
go (Session *s, GError **error)
{
  const TrainOptions *o = &s->options;
  const TrainRecordings *r = &s->recordings;
  g_autoptr (SeqModel) start = NULL;
  SeqLayerFacts last;

  if (!train_recordings_read (&s->recordings, o, &s->report, error))
    return FALSE;
  train_options_config (
      o, r->in->n_frames, r->in->rate, !r->target, r->audio, &s->config);
  start = make_model (s, &s->data, error);
  if (!start)
    return FALSE;
  if (o->export) {
    /* to fail now rather than after training */
    g_autoptr (GBytes) bytes =
        seq_model_write (start, o->export_format->name, error);

    if (!bytes)
      return FALSE;
  }
  last = seq_model_layer (start, start->n_layers - 1);
  return last.kind->flags & SEQ_KIND_LEARNS ? fit (s, start, error)
                                            : descend (s, start, error);
}

/* The command line as a shell would take it. */
static char *
quote_command (char **argv)
{
  GString *text = g_string_new ("seqmodel");

  for (; *argv; argv++) {
    g_autofree char *quoted = g_shell_quote (*argv);
    gboolean plain = !strpbrk (*argv, " \t\n\"'\\$`*?[]<>|&;()#~!{}") && **argv;

    g_string_append_printf (text, " %s", plain ? *argv : quoted);
  }
  return g_string_free (text, FALSE);
}

int
seqmodel_train (int argc, char **argv)
{
  Session s = { .command = quote_command (argv) };
  g_autoptr (GError) error = NULL;
  int code = SEQMODEL_DONE;

  if (train_options_parse (&s.options, &argc, &argv, &error)) {
    s.report = (Report){ .json = s.options.json,
      .quiet = s.options.quiet,
      .terminal = isatty (STDERR_FILENO),
      .max_epochs = (guint) s.options.epochs };
    s.checkpoint = train_options_beside (&s.options, ".checkpoint");
    go (&s, &error);
  }
  if (error)
    code = error->domain == G_OPTION_ERROR
                   || g_error_matches (error, SEQ_ERROR, SEQ_ERROR_CONFIG)
               ? seqmodel_usage_error (COMMAND, "%s", error->message)
               : seqmodel_refused (COMMAND, error);
  train_options_clear (&s.options);
  g_free (s.command);
  g_free (s.checkpoint);
  train_recordings_clear (&s.recordings);
  return code;
}
