/* seqmodel-train.c: seqmodel train: recordings to a model.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 *   seqmodel train [OPTION...] DRY WET -o MODEL    learns an effect
 *   seqmodel train [OPTION...] SIGNAL -o MODEL     learns to predict
 *
 * Reads and checks the recordings, builds the model, hands both to the trainer
 * (src/train/), and saves what did best in validation. What it is told and
 * what it says lies in train-options.c and train-report.c.
 */
#include "src/builder.h"
#include "src/io/load.h"
#include "src/live/stream.h"
#include "src/train/fit.h"
#include "src/train/recording.h"
#include "tools/hints.h"
#include "tools/media.h"
#include "tools/plot.h"
#include "tools/seqmodel.h"
#include "tools/train-options.h"
#include "tools/train-report.h"

#include <glib/gstdio.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define COMMAND "train"
#define AUDIO_RATE 4000 /* from here on a recording is taken for sound */
#define UNCLEAR 7       /* SeqAlignment.clarity below which it says nothing */

/* What is being trained, and how it went. */
typedef struct {
  TrainOptions options;
  Report report;
  char *command;
  SeqRecording *in, *target; /* target NULL: a predictor */
  gboolean predicts, audio;
  SeqAlignment alignment;
  SeqModel *model; /* the start, then the result; ours alone */
  SeqTrainerData data;
  SeqTrainerConfig config;
  char *checkpoint; /* path */
} Session;

static volatile sig_atomic_t interrupted;

static void
interrupt (int number)
{
  interrupted = 1;
}

/* --- recordings ----------------------------------------------------------- */

/* Makes the channels of both recordings agree. */
static gboolean
match_channels (Session *s, GError **error)
{
  SeqRecording *both[2] = { s->in, s->target };

  for (guint i = 0; i < 2 && both[i]; i++) {
    if (both[i]->n_channels == 1)
      continue;
    if (s->options.channel >= 0) {
      if (!seq_recording_pick (both[i], (guint) s->options.channel, error))
        return FALSE;
    } else if (seq_recording_is_mono (both[i])) {
      report_say (&s->report,
          "note: %s: its %u channels are the same; one is taken", both[i]->name,
          both[i]->n_channels);
      seq_recording_pick (both[i], 0, NULL);
    }
  }
  if (s->target && s->in->n_channels != s->target->n_channels) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE,
        "%s has %u channels and %s %u, which differ among themselves: choose "
        "one with --channel",
        s->in->name, s->in->n_channels, s->target->name, s->target->n_channels);
    return FALSE;
  }
  return TRUE;
}

static gboolean
match_lengths (Session *s, GError **error)
{
  gsize longer = MAX (s->in->n_frames, s->target->n_frames);
  gsize shorter = MIN (s->in->n_frames, s->target->n_frames);

  if (shorter * 2 < longer) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE,
        "%s has %" G_GSIZE_FORMAT " frames and %s %" G_GSIZE_FORMAT
        ": these are hardly the same performance",
        s->in->name, s->in->n_frames, s->target->name, s->target->n_frames);
    return FALSE;
  }
  if (longer - shorter > longer / 1000)
    report_say (&s->report,
        "note: the recordings are %" G_GSIZE_FORMAT " and %" G_GSIZE_FORMAT
        " frames long; what is longer is cut at its end",
        s->in->n_frames, s->target->n_frames);
  return TRUE;
}

/* Measures the delay between dry and wet, tells it, and returns what of it is
 * to be taken out. */
static gint64
measure_delay (Session *s)
{
  gsize reach = s->in->rate > 0 ? (gsize) s->in->rate : 48000;
  const SeqAlignment *found = &s->alignment;
  gint64 frames;

  s->alignment = seq_recording_align (s->in, s->target, reach);
  frames = ABS (found->delay);
  if (found->clarity < UNCLEAR) {
    report_say (&s->report,
        "note: dry and wet have nothing in common that would tell their delay "
        "(clarity %.1f): none is taken out; is this the same performance?",
        found->clarity);
    return 0;
  }
  if (found->flipped)
    report_say (&s->report,
        "note: wet has the opposite polarity of dry; the model learns that "
        "too");
  if (s->options.independent && frames > 0) {
    report_say (&s->report,
        "note: wet seems to lie %" G_GINT64_FORMAT
        " frames behind dry; with independent segments that stays",
        found->delay);
    return 0;
  }
  report_say (&s->report,
      "delay: wet lies %" G_GINT64_FORMAT " frames%s dry (%.2f ms); %s", frames,
      found->delay < 0 ? " before" : " behind",
      s->in->rate > 0 ? 1e3 * (double) frames / s->in->rate : 0,
      frames ? "taken out" : "nothing to do");
  return found->delay;
}

static gboolean
match_times (Session *s, GError **error)
{
  gint64 delay;

  if (!match_lengths (s, error))
    return FALSE;
  delay = g_str_equal (s->options.delay, "auto")
              ? measure_delay (s)
              : g_ascii_strtoll (s->options.delay, NULL, 10);
  if ((gsize) ABS (delay) >= MIN (s->in->n_frames, s->target->n_frames)) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE,
        "a delay of %" G_GINT64_FORMAT
        " frames leaves nothing of %" G_GSIZE_FORMAT,
        delay, MIN (s->in->n_frames, s->target->n_frames));
    return FALSE;
  }
  seq_recording_match (s->in, s->target, delay);
  return TRUE;
}

static gboolean
check_recording (
    const Session *s, const SeqRecording *recording, GError **error)
{
  g_autoptr (GPtrArray) notes = g_ptr_array_new_with_free_func (g_free);
  gsize short_frames = s->audio ? (gsize) (20 * s->in->rate) : 2000;

  if (!seq_recording_check (recording, short_frames, s->audio, notes, error))
    return FALSE;
  for (guint i = 0; i < notes->len; i++)
    report_say (&s->report, "note: %s", (char *) g_ptr_array_index (notes, i));
  return TRUE;
}

static gboolean
read_recordings (Session *s, GError **error)
{
  const TrainOptions *o = &s->options;
  guint channels = (guint) o->channels;

  s->in = media_read (o->files[0], o->rate, channels, error);
  if (!s->in)
    return FALSE;
  s->predicts = !o->files[1];
  s->audio = s->in->rate >= AUDIO_RATE;
  if (!s->predicts) {
    s->target = media_read (o->files[1], o->rate, channels, error);
    if (s->target && s->target->rate != s->in->rate) {
      report_say (&s->report,
          "note: %s has %g Hz and %s %g Hz: the second is resampled",
          s->in->name, s->in->rate, s->target->name, s->target->rate);
      seq_recording_free (s->target);
      s->target = media_read (o->files[1], s->in->rate, channels, error);
    }
    if (!s->target)
      return FALSE;
  }
  return match_channels (s, error) && check_recording (s, s->in, error)
         && (s->predicts
             || (check_recording (s, s->target, error)
                 && match_times (s, error)));
}

/* --- the model ------------------------------------------------------------ */

static GVariant *
model_options (const TrainOptions *o)
{
  GVariantDict dict;

  g_variant_dict_init (&dict, NULL);
  g_variant_dict_insert (&dict, "hidden_size", "u", o->hidden_size);
  g_variant_dict_insert (&dict, "horizon", "u", MAX (1, o->horizon));
  g_variant_dict_insert (&dict, "forgetting", "d", o->forgetting);
  if (o->order > 0)
    g_variant_dict_insert (&dict, "order", "u", o->order);
  if (o->states > 0)
    g_variant_dict_insert (&dict, "states", "u", o->states);
  if (o->quantizer)
    g_variant_dict_insert (&dict, "quantizer", "s", o->quantizer);
  if (o->lags) {
    g_auto (GStrv) words = g_strsplit (o->lags, ",", -1);
    GVariantBuilder lags = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("au"));

    for (char **word = words; *word; word++)
      g_variant_builder_add (
          &lags, "u", (guint) g_ascii_strtoull (*word, NULL, 10));
    g_variant_dict_insert_value (&dict, "lags", g_variant_builder_end (&lags));
  }
  return g_variant_dict_end (&dict);
}

/* Mean and standard deviation of every k-th channel of n, over n_frames. */
static void
measure (const SeqRecording *r, gsize n_frames, guint k, guint n, double *mean,
    double *deviation)
{
  double sum = 0, squares = 0, count = 0;

  for (guint c = k; c < r->n_channels; c += n)
    for (gsize t = 0; t < n_frames; t++, count++)
      sum += r->samples[t * r->n_channels + c];
  *mean = sum / count;
  for (guint c = k; c < r->n_channels; c += n)
    for (gsize t = 0; t < n_frames; t++)
      squares += pow (r->samples[t * r->n_channels + c] - *mean, 2);
  *deviation = sqrt (squares / count);
}

/* Puts in place of the model the one that was built from it, which cannot fail:
 * no layer has changed. */
static void
replace_model (Session *s, SeqBuilder *builder)
{
  g_autoptr (SeqModel) before = s->model;

  s->model = seq_builder_finish (builder, NULL);
  g_assert (s->model);
}

/* Sets the scales of a new model from the training part. A predictor sees
 * deviations from the mean; an effect keeps its zero, and its level too
 * unless that is odd, for Adam is at home with numbers about 1. */
static gboolean
normalise (Session *s, gsize n_frames, GError **error)
{
  const TrainOptions *o = &s->options;
  guint n = s->model->n_in;
  g_autoptr (SeqBuilder) builder = seq_builder_new_from (s->model);
  g_autofree double *values = g_new0 (double, 4 * n);
  double *in_scale = values, *in_shift = in_scale + n;
  double *out_scale = in_shift + n, *out_shift = out_scale + n;
  gboolean normalised = FALSE, always = g_str_equal (o->normalize, "on");

  if (g_str_equal (o->normalize, "off") || o->export)
    return TRUE;
  for (guint k = 0; k < n; k++) {
    const SeqRecording *out = s->predicts ? s->in : s->target;
    double in_mean, in_deviation, mean, deviation;

    measure (s->in, n_frames, k, n, &in_mean, &in_deviation);
    measure (out, n_frames, k, n, &mean, &deviation);
    if (!(in_deviation > 0 && deviation > 0)) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE,
          "%s: its first %" G_GSIZE_FORMAT
          " frames, those for training, are silence",
          in_deviation > 0 ? out->name : s->in->name, n_frames);
      return FALSE;
    }
    in_scale[k] = out_scale[k] = 1;
    if (s->predicts) {
      in_shift[k] = out_shift[k] = mean;
      in_scale[k] = 1 / deviation;
      out_scale[k] = deviation;
      normalised = TRUE;
      continue;
    }
    if (always || in_deviation < 0.01 || in_deviation > 1) {
      in_scale[k] = 0.1 / in_deviation;
      normalised = TRUE;
    }
    if (always || deviation < 0.01 || deviation > 1) {
      out_scale[k] = deviation / 0.1;
      normalised = TRUE;
    }
  }
  if (normalised) {
    seq_builder_set_scales (builder, in_scale, in_shift, out_scale, out_shift);
    replace_model (s, builder);
  }
  return TRUE;
}

static gboolean
new_model (Session *s, GError **error)
{
  const TrainOptions *o = &s->options;
  gboolean joint = g_str_equal (o->channel_mode, "joint")
                   || (g_str_equal (o->channel_mode, "auto") && s->predicts);

  s->model = seq_model_new_untrained (o->kind, model_options (o),
      joint ? s->in->n_channels : 1, (guint) o->layers, FALSE, !o->no_residual,
      (guint64) o->seed, error);
  if (!s->model)
    return FALSE;
  return normalise (s,
      MAX (1, (gsize) ((double) s->data.n_frames * s->config.parts[SEQ_TRAIN]
                       / (s->config.parts[SEQ_TRAIN]
                           + s->config.parts[SEQ_VALIDATION]
                           + s->config.parts[SEQ_TEST]))),
      error);
}

static gboolean
load_model (Session *s, GError **error)
{
  const TrainOptions *o = &s->options;
  g_autoptr (GVariant) hints = hints_parse (o->hints, error);
  const SeqChain *chain;

  if (!hints)
    return FALSE;
  s->model = seq_model_load (o->from, hints, error);
  if (!s->model)
    return FALSE;
  if (s->model->rate > 0 && s->in->rate > 0 && s->model->rate != s->in->rate) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE,
        "%s is a model for %g Hz and the recording has %g Hz: --rate=%g "
        "resamples it",
        o->from, s->model->rate, s->in->rate, s->model->rate);
    return FALSE;
  }
  chain = s->model->chain;
  if (g_str_equal (
          chain->layers[chain->n_layers - 1]->klass->kind.name, "readout")) {
    /* one that learnt as it went: a dense layer with what it knew */
    SeqModel *plain = seq_model_with_learnt (s->model, NULL, NULL, error);

    seq_model_unref (s->model);
    s->model = plain;
  }
  return s->model != NULL;
}

static gboolean
make_model (Session *s, GError **error)
{
  const TrainOptions *o = &s->options;
  g_autoptr (SeqBuilder) builder = NULL;
  guint horizon;

  if (!(o->from ? load_model (s, error) : new_model (s, error)))
    return FALSE;
  horizon = o->horizon ? (guint) o->horizon : MAX (1, s->model->horizon);
  builder = seq_builder_new_from (s->model);
  seq_builder_set_horizon (builder, s->predicts ? horizon : 0);
  if (s->model->rate == 0)
    seq_builder_set_rate (builder, s->in->rate);
  replace_model (s, builder);
  if (s->predicts && s->in->n_frames <= horizon) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE,
        "%s: %" G_GSIZE_FORMAT " frames leave nothing to predict %u ahead",
        s->in->name, s->in->n_frames, horizon);
    return FALSE;
  }
  if (o->export) {
    g_autoptr (GBytes) bytes = seq_model_write (s->model, o->export, error);

    /* known now rather than after training */
    return bytes != NULL;
  }
  return TRUE;
}

/* --- at the end ----------------------------------------------------------- */

/* value: taken */
static void
put (SeqBuilder *builder, const char *key, char *value)
{
  seq_builder_set_metadata (builder, key, value);
  g_free (value);
}

static char *
number (double value)
{
  char text[G_ASCII_DTOSTR_BUF_SIZE];

  return g_strdup (g_ascii_formatd (text, sizeof text, "%.6g", value));
}

static char *
level (const SeqRecording *recording)
{
  double mean, deviation;

  measure (recording, recording->n_frames, 0, 1, &mean, &deviation);
  return number (20 * log10 (hypot (mean, deviation)));
}

static char *
list (const double *values, guint n)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < n; i++) {
    g_autofree char *value = number (values[i]);

    g_string_append_printf (text, "%s%s", i ? "," : "", value);
  }
  return g_string_free (text, FALSE);
}

/* What a reader of the file may want to know, in words; what seqfilter needs
 * is in the file anyway. */
static void
describe (Session *s, double validation, const Outcome *o)
{
  const SeqModel *m = s->model;
  g_autoptr (SeqBuilder) builder = seq_builder_new_from (m);
  const SeqChain *chain = m->chain;
  GString *layers = g_string_new (NULL);

  for (guint i = 0; i < chain->n_layers; i++)
    g_string_append_printf (layers, "%s%s %ux%u", i ? ", " : "",
        chain->layers[i]->klass->kind.name, chain->layers[i]->n_in,
        chain->layers[i]->n_out);
  put (builder, "kind", g_strdup (chain->layers[0]->klass->kind.name));
  put (builder, "layers", g_string_free (layers, FALSE));
  put (builder, "task", g_strdup (s->predicts ? "prediction" : "effect"));
  put (builder, "horizon", number (m->horizon));
  put (builder, "sample_rate", number (m->rate));
  put (builder, "residual", number (chain->skip));
  if (m->normalised) {
    put (builder, "in_scale", list (m->in_scale, chain->n_in));
    put (builder, "in_shift", list (m->in_shift, chain->n_in));
    put (builder, "out_scale", list (m->out_scale, chain->n_out));
    put (builder, "out_shift", list (m->out_shift, chain->n_out));
  }
  put (builder, "in_level_db", level (s->in));
  if (s->target)
    put (builder, "target_level_db", level (s->target));
  put (builder, "validation_esr", number (validation));
  if (g_str_equal (o->split, "test"))
    put (builder, "test_esr", number (o->esr));
  put (builder, "trained_by", g_strdup ("seqmodel train"));
  put (builder, "command", g_strdup (s->command));
  replace_model (s, builder);
}

/* Saves the model and its export, and tells how it went. */
static gboolean
save (Session *s, double validation, const Outcome *outcome, GError **error)
{
  const TrainOptions *o = &s->options;

  describe (s, validation, outcome);
  if (!seq_model_save (s->model, o->output, "safetensors", error))
    return FALSE;
  if (o->export) {
    g_autofree char *path = train_options_beside (o, ".json");

    if (!seq_model_save (s->model, path, o->export, error))
      return FALSE;
    report_say (&s->report, "exported to %s", path);
  }
  report_outcome (&s->report, outcome);
  return TRUE;
}

/* The model's output, as the element would give it, for n_frames from start:
 * [n_frames], of channel 0. */
static gboolean
output_of (
    const Session *s, gsize start, gsize n_frames, float *out, GError **error)
{
  const SeqTrainerData *d = &s->data;
  SeqStreamConfig config = {
    .learning_rate = 1e-3, .window = 64, .horizon = s->model->horizon
  };
  g_autoptr (SeqStream) stream =
      seq_stream_new (s->model, d->n_in, &config, error);
  g_autofree gpointer *in_at = g_new (gpointer, d->n_in);
  g_autofree gpointer *out_at = g_new (gpointer, d->n_out);
  g_autofree float *all = g_new (float, n_frames * d->n_out);
  SeqSignal in = { SEQ_FORMAT_F32, in_at, d->n_in };
  SeqSignal to = { SEQ_FORMAT_F32, out_at, d->n_out };
  const SeqSignal *outputs[SEQ_N_OUTPUTS] = { NULL, &to, NULL, NULL };

  if (!stream)
    return FALSE;
  for (guint c = 0; c < d->n_in; c++)
    in_at[c] = (gpointer) (d->in + start * d->n_in + c);
  for (guint c = 0; c < d->n_out; c++)
    out_at[c] = all + c;
  seq_stream_process (stream, &in, outputs, n_frames, 1, 1, 0);
  for (gsize t = 0; t < n_frames; t++)
    out[t] = all[t * d->n_out];
  return TRUE;
}

/* Where `shown` frames of the target's channel 0 are loudest in n_frames from
 * start, among places that far apart. */
static gsize
loudest (const Session *s, gsize start, gsize n_frames, guint shown)
{
  gsize best = start;
  double most = -1;

  for (gsize at = start; at + shown <= start + n_frames; at += shown) {
    double power = 0;

    for (guint t = 0; t < shown; t++)
      power += pow (s->data.target[(at + t) * s->data.n_out], 2);
    if (power > most) {
      most = power;
      best = at;
    }
  }
  return best;
}

/* Draws the epochs, and the loudest 20 ms (or 200 frames) of n_frames from
 * start. */
static gboolean
draw (Session *s, const SeqTrainerEpoch *epochs, guint n_epochs, gsize start,
    gsize n_frames, const Outcome *outcome, GError **error)
{
  gsize n = s->config.independent ? s->config.segment : n_frames;
  guint shown = (guint) MIN (n, s->audio ? (gsize) (s->in->rate / 50) : 200);
  gsize at = loudest (s, start, n, shown);
  gsize before = MIN (at - start, s->config.independent ? n : 65536);
  g_autofree float *output = g_new (float, before + shown);
  g_autofree float *target = g_new (float, shown);
  g_autofree double *train = g_new (double, n_epochs);
  g_autofree double *validation = g_new (double, n_epochs);
  g_autofree char *title = g_strdup_printf (
      "%s: %s ESR %.4f", outcome->model, outcome->split, outcome->esr);
  Plot plot = { .title = title,
    .n_epochs = n_epochs,
    .train = train,
    .validation = validation,
    .n_frames = shown,
    .target = target,
    .output = output + before,
    .rate = s->in->rate };

  if (!output_of (s, at - before, before + shown, output, error))
    return FALSE;
  for (guint t = 0; t < shown; t++)
    target[t] = s->data.target[(at + t) * s->data.n_out];
  for (guint i = 0; i < n_epochs; i++) {
    train[i] = epochs[i].train_esr;
    validation[i] = epochs[i].validation_esr;
  }
  return plot_write (&plot, s->options.plot, error);
}

/* What always forecasting the last value gives over frames [start, + n): error
 * over power about the model's mean. */
static double
persistence (const Session *s, gsize start, gsize n)
{
  const SeqTrainerData *d = &s->data;
  double error = 0, power = 0;

  if (!s->predicts)
    return NAN;
  for (gsize i = start * d->n_in; i < (start + n) * d->n_in; i++) {
    guint k = (guint) (i % d->n_in % s->model->n_out);

    error += pow ((double) d->target[i] - d->in[i], 2);
    power += pow (d->target[i] - s->model->out_shift[k], 2);
  }
  return error / power;
}

/* --- ar, markov: one pass --------------------------------------------------
 */

static gboolean
fit (Session *s, GError **error)
{
  const double *parts = s->config.parts;
  double sum = parts[SEQ_TRAIN] + parts[SEQ_VALIDATION] + parts[SEQ_TEST];
  guint channels = s->in->n_channels;
  gsize n = s->in->n_frames, at[SEQ_N_SPLITS + 1] = { 0 }, warmup, judged;
  SeqModel *fitted;
  double esr[SEQ_N_SPLITS];
  gboolean tested = parts[SEQ_TEST] > 0;
  Outcome o = { .model = s->options.output, .end = "fitted" };

  for (guint i = 0; i < SEQ_N_SPLITS; i++)
    at[i + 1] =
        i == SEQ_TEST
            ? n
            : at[i] + (gsize) ((double) n * parts[i] / sum * (1 + 1e-12));
  for (guint i = 0; i < (tested ? 3 : 2); i++)
    if (at[i + 1] - at[i] <= s->model->horizon) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE,
          "%s: %" G_GSIZE_FORMAT " frames are too few to fit and to judge",
          s->in->name, n);
      return FALSE;
    }
  fitted =
      seq_fit (s->model, s->in->samples, at[SEQ_VALIDATION], channels, error);
  if (!fitted)
    return FALSE;
  seq_model_unref (s->model);
  s->model = fitted;
  for (guint i = SEQ_VALIDATION; i < SEQ_N_SPLITS; i++) {
    warmup = MIN (at[i], 4096);
    esr[i] = seq_fit_esr (fitted, s->in->samples + (at[i] - warmup) * channels,
        at[i + 1] - at[i] + warmup, channels, warmup);
  }
  judged = isfinite (esr[SEQ_TEST]) ? SEQ_TEST : SEQ_VALIDATION;
  o.split = judged == SEQ_TEST ? "test" : "validation";
  o.esr = esr[judged];
  n = at[judged + 1] - at[judged] - s->model->horizon;
  o.persistence = persistence (s, at[judged], n);
  if (!report_learnt (&o))
    o.reason = "this kind of model may not fit the signal: try lstm or gru";
  return save (s, esr[SEQ_VALIDATION], &o, error)
         && (!s->options.plot || draw (s, NULL, 0, at[judged], n, &o, error));
}

/* --- rnn, lstm, gru: by gradient -------------------------------------------
 */

static const char *
reason (const Session *s, const SeqTrainerReport *r)
{
  if (s->alignment.clarity < UNCLEAR)
    return "dry and wet have nothing in common: another performance, a delay "
           "of more than a second, or an effect that leaves nothing of its "
           "input";
  if (r->n_skipped > 0)
    return "gradients were not finite: lower --learning-rate";
  if (r->best_epoch == 0)
    return "no epoch did better than the start: lower --learning-rate";
  if (r->train_esr < r->best_esr / 3)
    return "it does well on the training part only: the recording is too "
           "short, or its end differs from its beginning";
  if (r->end == SEQ_TRAINER_GOES_ON || r->end == SEQ_TRAINER_EPOCHS)
    return "it was still learning: give it more --epochs";
  return s->predicts
             ? "there may be little to predict at this horizon; or try a "
               "greater --hidden-size"
             : "the effect may remember longer than the net (reverb, delay), "
               "or the target may hold noise; or try a greater --hidden-size";
}

static gboolean
resume (Session *s, SeqTrainer *trainer, GError **error)
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

/* Writes the checkpoint of the last epoch. That it cannot be written is no
 * reason to stop. */
static void
keep (const Session *s, GBytes *checkpoint)
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
  /* a second Ctrl-C ends it at once */
  struct sigaction on = { .sa_handler = interrupt, .sa_flags = SA_RESETHAND };
  gint64 kept = g_get_monotonic_time ();

  sigaction (SIGINT, &on, NULL);
  sigaction (SIGTERM, &on, NULL);
  report_begin (&s->report, r);
  while (r->end == SEQ_TRAINER_GOES_ON && !interrupted) {
    if (seq_trainer_batch (trainer)) {
      report_epoch (&s->report, r);
      g_clear_pointer (&checkpoint, g_bytes_unref);
      checkpoint = seq_trainer_checkpoint (trainer);
      if (g_get_monotonic_time () - kept > 5 * G_USEC_PER_SEC) {
        keep (s, checkpoint);
        kept = g_get_monotonic_time ();
      }
    }
    report_batch (&s->report, r);
  }
  report_end (&s->report);
  keep (s, checkpoint);
}

static gboolean
descend (Session *s, GError **error)
{
  static const char *const ends[] = { [SEQ_TRAINER_GOES_ON] = "interrupted",
    [SEQ_TRAINER_TARGET] = "target reached",
    [SEQ_TRAINER_STALLED] = "no more gain",
    [SEQ_TRAINER_EPOCHS] = "all epochs done",
    [SEQ_TRAINER_BROKEN] = "no update of the last epoch was finite" };
  g_autoptr (SeqTrainer) trainer =
      seq_trainer_new (s->model, &s->data, &s->config, error);
  g_autoptr (SeqBuilder) builder = NULL;
  const SeqTrainerReport *r;
  Outcome o = { .model = s->options.output, .split = "test" };
  gsize start, n_frames;

  if (!trainer || (s->options.resume && !resume (s, trainer, error)))
    return FALSE;
  r = seq_trainer_report (trainer);
  report_say (&s->report,
      "training %" G_GSIZE_FORMAT " frames an epoch, %u pieces of %u side "
      "by side, updates every %u, %u thread%s",
      r->epoch_frames, s->config.batch, s->config.segment, s->config.update,
      r->threads, r->threads == 1 ? "" : "s");
  train (s, trainer);
  o.end = ends[r->end];
  if (r->end == SEQ_TRAINER_GOES_ON
          ? r->epoch == 0
          : r->end == SEQ_TRAINER_BROKEN && r->best_epoch == 0) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE, "%s; nothing is saved",
        r->end == SEQ_TRAINER_BROKEN
            ? "no update of the first epoch was finite: lower --learning-rate"
            : "interrupted before the first epoch was over");
    return FALSE;
  }
  seq_model_unref (s->model);
  s->model = seq_trainer_best (trainer);
  o.esr = seq_trainer_esr (trainer, SEQ_TEST);
  seq_trainer_split (trainer, SEQ_TEST, &start, &n_frames);
  if (!isfinite (o.esr)) {
    o.split = "validation";
    o.esr = r->best_esr;
    seq_trainer_split (trainer, SEQ_VALIDATION, &start, &n_frames);
  }
  o.persistence = persistence (s, start, n_frames);
  o.reason = report_learnt (&o) ? NULL : reason (s, r);
  builder = seq_builder_new_from (s->model);
  put (builder, "epochs", number (r->epoch));
  put (builder, "best_epoch", number (r->best_epoch));
  replace_model (s, builder);
  report_say (&s->report, "%s after %u epochs, %.1f s; best was epoch %u",
      o.end, r->epoch,
      (double) (g_get_monotonic_time () - s->report.began) / 1e6,
      r->best_epoch);
  if (!save (s, r->best_esr, &o, error)) {
    g_prefix_error (error, "the trained model is in the checkpoint only: ");
    return FALSE;
  }
  if (r->end == SEQ_TRAINER_TARGET || r->end == SEQ_TRAINER_STALLED)
    g_unlink (s->checkpoint); /* there is nothing to go on with */
  return !s->options.plot
         || draw (s, seq_trainer_history (trainer), r->epoch, start, n_frames,
             &o, error);
}

static gboolean
go (Session *s, GError **error)
{
  guint horizon;

  if (!read_recordings (s, error))
    return FALSE;
  s->data = (SeqTrainerData){ .n_frames = s->in->n_frames,
    .n_in = s->in->n_channels,
    .n_out = s->in->n_channels,
    .in = s->in->samples,
    .target = s->predicts ? s->in->samples : s->target->samples };
  train_options_config (&s->options, s->data.n_frames, s->in->rate, s->predicts,
      s->audio, &s->config);
  if (!make_model (s, error))
    return FALSE;
  horizon = s->model->horizon;
  s->data.n_frames -= horizon;
  s->data.target += (gsize) horizon * s->in->n_channels;
  return seq_chain_learns (s->model->chain) ? fit (s, error)
                                            : descend (s, error);
}

/* The command line as a shell would take it. */
static char *
command_line (char **argv)
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
  Session s = { .command = command_line (argv),
    .alignment.clarity = NAN /* not measured */ };
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
  seq_recording_free (s.in);
  seq_recording_free (s.target);
  seq_model_unref (s.model);
  return code;
}
