/* seqmodel-train.c: seqmodel train: recordings to a model.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 *   seqmodel train [OPTION...] DRY WET -o MODEL    learns an effect
 *   seqmodel train [OPTION...] SIGNAL -o MODEL     learns to predict
 *
 * Reads and checks the recordings, builds the model, hands both to the trainer
 * (src/train/), shows how it goes, and saves what did best in validation.
 */
#include "src/io/load.h"
#include "src/train/fit.h"
#include "src/train/trainer.h"
#include "tools/media.h"
#include "tools/plot.h"
#include "tools/seqmodel.h"

#include <glib/gstdio.h>
#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define COMMAND "train"
#define AUDIO_RATE 4000 /* from here on a recording is taken for sound */

typedef struct {
  char *kind, *output, *loss, *split, *delay, *from, *plot, *export;
  char *channel_mode, *normalize, *lags, *quantizer, **files;
  int hidden_size, layers, order, states, horizon, segment, warmup, update;
  int batch, threads, epochs, patience, stop_after, seed, channel, channels;
  double pre_emphasis, dc, rate_of_learning, min_rate, decay, clip, target_esr;
  double forgetting, rate;
  gboolean residual, no_residual, independent, resume, json, quiet;
} Args;

/* What is being trained, and how it went. */
typedef struct {
  Args args;
  char *command;
  SeqRecording *in, *target; /* target NULL: a predictor */
  gboolean predicts, audio;
  guint n; /* inputs and outputs of the model */
  SeqAlignment alignment;
  SeqModel *model; /* the start, then the result */
  SeqTrainerData data;
  SeqTrainerConfig config;
  float *shifted;             /* a predictor's target: the signal, horizon on */
  char *checkpoint;           /* path */
  GArray *train, *validation; /* ESR of each epoch: double */
  gint64 began;
} Session;

static volatile sig_atomic_t interrupted;

static void
interrupt (int number)
{
  interrupted = 1;
}

/* --- words ---------------------------------------------------------------- */

static void say (const Session *s, const char *format, ...)
    G_GNUC_PRINTF (2, 3);

static void
say (const Session *s, const char *format, ...)
{
  g_autofree char *text = NULL;
  va_list args;

  if (s->args.quiet)
    return;
  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  g_printerr ("%s\n", text);
}

static void
say_notes (const Session *s, const GPtrArray *notes)
{
  for (guint i = 0; i < notes->len; i++)
    say (s, "note: %s", (char *) g_ptr_array_index (notes, i));
}

static const char *
verdict (double esr)
{
  return esr < 0.01    ? "great"
         : esr < 0.035 ? "not bad"
         : esr < 0.1   ? "might do"
                       : "it has not learnt this";
}

/* --- options -------------------------------------------------------------- */

static gboolean
parse (Args *a, int *argc, char ***argv, GError **error)
{
#define INT(name, short, field, what, arg)                                     \
  {                                                                            \
    name, short, 0, G_OPTION_ARG_INT, &a->field, what, arg                     \
  }
#define REAL(name, field, what, arg)                                           \
  {                                                                            \
    name, 0, 0, G_OPTION_ARG_DOUBLE, &a->field, what, arg                      \
  }
#define TEXT(name, short, field, what, arg)                                    \
  {                                                                            \
    name, short, 0, G_OPTION_ARG_STRING, &a->field, what, arg                  \
  }
#define FLAG(name, field, what)                                                \
  {                                                                            \
    name, 0, 0, G_OPTION_ARG_NONE, &a->field, what, NULL                       \
  }
  const GOptionEntry model[] = {
    { "output", 'o', 0, G_OPTION_ARG_FILENAME, &a->output,
        "Where the model goes (safetensors)", "FILE" },
    TEXT ("model", 'm', kind, "lstm (default), gru, rnn, ar or markov", "KIND"),
    INT ("hidden-size", 'H', hidden_size, "Units a layer (20)", "N"),
    INT ("layers", 0, layers, "Recurrent layers (1)", "N"),
    FLAG ("residual", residual,
        "The net learns what is to be added to its input (default)"),
    FLAG ("no-residual", no_residual, "It learns the output itself"),
    INT ("horizon", 0, horizon, "Frames that a predictor looks ahead (1)", "N"),
    INT ("order", 0, order, "ar: frames that it looks back", "N"),
    TEXT ("lags", 0, lags, "ar: chosen distances instead, as 1,2,24", "LIST"),
    INT ("states", 0, states, "markov: levels", "N"),
    TEXT ("quantizer", 0, quantizer, "markov: uniform or mu-law", "WORD"),
    REAL ("forgetting", forgetting,
        "ar, markov: 1 (default) weighs all of the recording alike", "X"),
    { "from", 0, 0, G_OPTION_ARG_FILENAME, &a->from,
        "Go on from a model that loads (fine-tune)", "MODEL" },
    TEXT ("normalize", 0, normalize,
        "auto (default: predictors, and effects at odd levels), on, off",
        "WHEN"),
    TEXT ("export", 0, export,
        "Write that format too, beside the model: rtneural", "FORMAT"),
    { NULL },
  };
  const GOptionEntry data[] = {
    INT ("channel", 0, channel, "Take only this channel, from 0", "N"),
    TEXT ("channel-mode", 0, channel_mode,
        "independent: one model for each channel alike; joint: one for all "
        "together; auto: joint for predictors",
        "MODE"),
    REAL ("rate", rate, "Resample to this; of raw .f32: its rate, Hz", "HZ"),
    INT ("channels", 0, channels, "Of raw .f32 files", "N"),
    TEXT ("delay", 0, delay,
        "Frames that WET comes after DRY; auto (default) measures", "N"),
    TEXT ("split", 0, split,
        "Parts for training, validation, test (80:10:10), by time", "A:B:C"),
    INT ("segment", 0, segment, "Frames of a piece, warm-up included (0.5 s)",
        "N"),
    INT ("warmup", 0, warmup, "Frames that come before it counts (1000)", "N"),
    FLAG ("independent-segments", independent,
        "The recording is segments, each a piece of its own"),
    { NULL },
  };
  const GOptionEntry method[] = {
    INT ("update", 0, update, "Frames from update to update (1000)", "N"),
    INT ("batch", 0, batch, "Pieces side by side (48)", "N"),
    INT ("epochs", 0, epochs, "At most that many (1000)", "N"),
    REAL ("learning-rate", rate_of_learning, "Adam's, to begin with (0.005)",
        "X"),
    REAL ("min-learning-rate", min_rate, "It falls no further (1e-5)", "X"),
    INT ("patience", 0, patience,
        "Epochs without a gain before the rate is halved (8)", "N"),
    INT ("stop-after", 0, stop_after,
        "Epochs without a gain before training stops (40)", "N"),
    REAL ("target-esr", target_esr, "Stop when validation reaches this", "X"),
    TEXT ("loss", 0, loss, "esr (default for effects), mse, huber", "LOSS"),
    REAL ("pre-emphasis", pre_emphasis,
        "a of the high-pass 1 - a/z before the ESR (0.85; 0: none)", "A"),
    REAL ("dc", dc, "Weight of the offset's error beside ESR (1)", "X"),
    REAL ("weight-decay", decay, "Decoupled, as AdamW (0)", "X"),
    REAL ("clip", clip, "Greatest norm of a gradient (1; 0: any)", "X"),
    INT ("seed", 0, seed, "Of the weights and the order of pieces (0)", "N"),
    INT ("threads", 'j', threads, "All cores by default; the same bits", "N"),
    { NULL },
  };
  const GOptionEntry show[] = {
    FLAG ("json", json, "One JSON object an epoch on standard output"),
    FLAG ("quiet", quiet, "Say nothing but errors and what --json prints"),
    { "plot", 0, 0, G_OPTION_ARG_FILENAME, &a->plot,
        "Curves and a stretch of target against output, PNG or SVG", "FILE" },
    FLAG ("resume", resume, "Go on from the checkpoint, MODEL.checkpoint"),
    { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &a->files, NULL,
        NULL },
    { NULL },
  };
  const struct {
    const char *name, *title;
    const GOptionEntry *entries;
  } groups[] = { { "data", "Recordings:", data },
    { "method", "Method:", method } };
  g_autoptr (GOptionContext) context =
      g_option_context_new ("DRY WET | SIGNAL");

  g_option_context_set_summary (context,
      "Learns an effect from a dry and a wet recording, or to predict one "
      "signal.");
  g_option_context_set_description (context,
      "Ctrl-C saves the best model so far; --resume goes on to the same bits.");
  g_option_context_add_main_entries (context, model, NULL);
  g_option_context_add_main_entries (context, show, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (groups); i++) {
    g_autofree char *help =
        g_strconcat ("Show options: ", groups[i].title, NULL);
    GOptionGroup *group =
        g_option_group_new (groups[i].name, groups[i].title, help, NULL, NULL);

    g_option_group_add_entries (group, groups[i].entries);
    g_option_context_add_group (context, group);
  }
  return g_option_context_parse (context, argc, argv, error);
}

static gboolean usage (GError **error, const char *format, ...)
    G_GNUC_PRINTF (2, 3);

static gboolean
usage (GError **error, const char *format, ...)
{
  g_autofree char *text = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error_literal (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, text);
  return FALSE;
}

/* Whether the options make sense together. */
static gboolean
check_args (const Args *a, GError **error)
{
  const struct {
    const char *name;
    int value, min;
  } ints[] = { { "hidden-size", a->hidden_size, 1 }, { "layers", a->layers, 1 },
    { "horizon", a->horizon, 1 }, { "update", a->update, 1 },
    { "batch", a->batch, 1 }, { "epochs", a->epochs, 0 },
    { "patience", a->patience, 1 }, { "stop-after", a->stop_after, 1 },
    { "threads", a->threads, 1 } };

  if (!a->files || !a->files[0] || (a->files[1] && a->files[2]))
    return usage (error, "one recording is needed, or two: dry and wet");
  if (!a->output)
    return usage (error, "where shall the model go? -o FILE");
  for (guint i = 0; i < G_N_ELEMENTS (ints); i++)
    if (ints[i].value < ints[i].min)
      return usage (error, "--%s=%d: at least %d is needed", ints[i].name,
          ints[i].value, ints[i].min);
  if (a->export && !g_str_equal (a->export, "rtneural"))
    return usage (error, "--export=%s: only rtneural is known", a->export);
  if (a->rate_of_learning <= 0 || a->min_rate < 0 || a->decay < 0 || a->clip < 0
      || a->pre_emphasis < 0 || a->pre_emphasis >= 1)
    return usage (error,
        "learning rates must be greater than 0, weight decay and clip not "
        "less, pre-emphasis from 0 to less than 1");
  if (a->plot && !g_str_has_suffix (a->plot, ".png")
      && !g_str_has_suffix (a->plot, ".svg"))
    return usage (
        error, "--plot=%s: a name in .png or .svg is needed", a->plot);
  return TRUE;
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
    if (s->args.channel >= 0) {
      if (!seq_recording_pick (both[i], (guint) s->args.channel, error))
        return FALSE;
    } else if (seq_recording_is_mono (both[i])) {
      say (s, "note: %s: its %u channels are the same; one is taken",
          both[i]->name, both[i]->n_channels);
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

/* Finds and takes out the delay between dry and wet. */
static gboolean
match_times (Session *s, GError **error)
{
  const Args *a = &s->args;
  gsize longer = MAX (s->in->n_frames, s->target->n_frames);
  gsize shorter = MIN (s->in->n_frames, s->target->n_frames);
  gint64 delay = 0;

  if (shorter * 2 < longer) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE,
        "%s has %" G_GSIZE_FORMAT " frames and %s %" G_GSIZE_FORMAT
        ": these are hardly the same performance",
        s->in->name, s->in->n_frames, s->target->name, s->target->n_frames);
    return FALSE;
  }
  if (longer - shorter > longer / 1000)
    say (s,
        "note: the recordings are %" G_GSIZE_FORMAT " and %" G_GSIZE_FORMAT
        " frames long; what is longer is cut at its end",
        s->in->n_frames, s->target->n_frames);

  if (g_str_equal (a->delay, "auto")) {
    gsize reach = s->in->rate > 0 ? (gsize) s->in->rate : 48000;

    s->alignment = seq_recording_align (s->in, s->target, reach);
    delay = s->alignment.delay;
    if (s->alignment.correlation < 0.05) {
      say (s,
          "note: dry and wet hardly correlate (%.3f at best): no delay is "
          "taken out; is this the same performance?",
          s->alignment.correlation);
      delay = 0;
    } else if (a->independent && delay != 0) {
      say (s,
          "note: wet seems to lie %" G_GINT64_FORMAT
          " frames behind dry; with independent segments that stays",
          delay);
      delay = 0;
    } else {
      say (s, "delay: wet lies %" G_GINT64_FORMAT " frames%s dry (%.2f ms); %s",
          ABS (delay), delay < 0 ? " before" : " behind",
          s->in->rate > 0 ? 1e3 * (double) ABS (delay) / s->in->rate : 0,
          delay ? "taken out" : "nothing to do");
    }
    if (s->alignment.flipped && s->alignment.correlation >= 0.05)
      say (s, "note: wet has the opposite polarity of dry; the model learns "
              "that too");
  } else {
    char *end;

    delay = g_ascii_strtoll (a->delay, &end, 10);
    if (*end || end == a->delay)
      return usage (error, "--delay=%s: auto or a number of frames", a->delay);
    s->alignment.correlation = NAN;
  }
  if ((gsize) ABS (delay) >= shorter) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE,
        "a delay of %" G_GINT64_FORMAT
        " frames leaves nothing of %" G_GSIZE_FORMAT,
        delay, shorter);
    return FALSE;
  }
  seq_recording_match (s->in, s->target, delay);
  return TRUE;
}

static gboolean
read_recordings (Session *s, GError **error)
{
  const Args *a = &s->args;
  g_autoptr (GPtrArray) notes = g_ptr_array_new_with_free_func (g_free);
  guint channels = (guint) MAX (0, a->channels);

  s->in = media_read (a->files[0], a->rate, channels, error);
  if (!s->in)
    return FALSE;
  s->predicts = !a->files[1];
  s->audio = s->in->rate >= AUDIO_RATE;
  if (!s->predicts) {
    s->target = media_read (a->files[1], a->rate, channels, error);
    if (!s->target)
      return FALSE;
    if (s->target->rate != s->in->rate) {
      say (s, "note: %s has %g Hz and %s %g Hz: the second is resampled",
          s->in->name, s->in->rate, s->target->name, s->target->rate);
      seq_recording_free (s->target);
      s->target = media_read (a->files[1], s->in->rate, channels, error);
      if (!s->target)
        return FALSE;
    }
  }
  if (!match_channels (s, error))
    return FALSE;
  for (guint i = 0; i < (s->predicts ? 1 : 2); i++)
    if (!seq_recording_check (i ? s->target : s->in,
            s->audio ? (gsize) (20 * s->in->rate) : 2000, s->audio, notes,
            error))
      return FALSE;
  say_notes (s, notes);
  return s->predicts || match_times (s, error);
}

/* --- the model ------------------------------------------------------------ */

static GVariant *
model_options (const Args *a, GError **error)
{
  GVariantDict dict;

  g_variant_dict_init (&dict, NULL);
  g_variant_dict_insert (&dict, "hidden_size", "u", a->hidden_size);
  g_variant_dict_insert (&dict, "horizon", "u", a->horizon);
  g_variant_dict_insert (&dict, "forgetting", "d", a->forgetting);
  if (a->order > 0)
    g_variant_dict_insert (&dict, "order", "u", a->order);
  if (a->states > 0)
    g_variant_dict_insert (&dict, "states", "u", a->states);
  if (a->quantizer)
    g_variant_dict_insert (&dict, "quantizer", "s", a->quantizer);
  if (a->lags) {
    g_auto (GStrv) words = g_strsplit (a->lags, ",", -1);
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

/* Sets the scales of a model that is still ours alone. A predictor sees
 * deviations from the mean; an effect keeps its zero, and its level too
 * unless that is odd, for Adam is at home with numbers about 1. */
static void
normalise (Session *s, gsize n_frames)
{
  SeqModel *m = s->model;
  gboolean always = g_str_equal (s->args.normalize, "on");

  if (g_str_equal (s->args.normalize, "off"))
    return;
  for (guint k = 0; k < s->n; k++) {
    double mean, deviation;

    measure (s->in, n_frames, k, s->n, &mean, &deviation);
    if (s->predicts) {
      m->in_shift[k] = m->out_shift[k] = mean;
      m->in_scale[k] = 1 / deviation;
      m->out_scale[k] = deviation;
      m->normalised = TRUE;
      continue;
    }
    if (always || deviation < 0.01 || deviation > 1) {
      m->in_scale[k] = 0.1 / deviation;
      m->normalised = TRUE;
    }
    measure (s->target, n_frames, k, s->n, &mean, &deviation);
    if (always || deviation < 0.01 || deviation > 1) {
      m->out_scale[k] = deviation / 0.1;
      m->normalised = TRUE;
    }
  }
}

static gboolean
make_model (Session *s, GError **error)
{
  const Args *a = &s->args;
  guint channels = s->in->n_channels;
  gboolean joint = g_str_equal (a->channel_mode, "joint")
                   || (g_str_equal (a->channel_mode, "auto") && s->predicts);
  const SeqLayerClass *klass;
  GVariant *options;

  s->n = joint ? channels : 1;
  if (a->from) {
    s->model = seq_model_load (a->from, NULL, error);
    if (!s->model)
      return FALSE;
    s->n = s->model->chain->n_in;
    if (s->model->rate > 0 && s->in->rate > 0
        && s->model->rate != s->in->rate) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE,
          "%s is a model for %g Hz and the recording has %g Hz: --rate=%g "
          "resamples it",
          a->from, s->model->rate, s->in->rate, s->model->rate);
      return FALSE;
    }
    return TRUE;
  }
  klass = seq_layer_class (a->kind);
  if (!klass
      || !(klass->export_params
           || g_strv_contains (klass->options, "hidden_size")))
    return usage (
        error, "--model=%s: lstm, gru, rnn, ar or markov is needed", a->kind);
  if (klass->export_params && !s->predicts)
    return usage (
        error, "--model=%s predicts: it learns from one recording", a->kind);
  options = model_options (a, error);
  s->model = seq_model_new_untrained (a->kind, options, s->n, (guint) a->layers,
      FALSE, !a->no_residual, (guint64) a->seed, error);
  if (!s->model)
    return FALSE;
  s->model->rate = s->in->rate;
  s->model->horizon = s->predicts ? (guint) a->horizon : 0;
  return TRUE;
}

/* Fills in what the options leave open, from the recording. */
static gboolean
configure (Session *s, GError **error)
{
  const Args *a = &s->args;
  SeqTrainerConfig *c = &s->config;
  gsize n_frames = s->data.n_frames, most;
  static const char *const losses[] = { "esr", "mse", "huber", NULL };
  const char *loss = a->loss ? a->loss : s->predicts ? "mse" : "esr";

  *c = (SeqTrainerConfig){
    .independent = a->independent,
    .update = (guint) a->update,
    .batch = (guint) a->batch,
    .threads = (guint) a->threads,
    .max_epochs = (guint) a->epochs,
    .patience = (guint) a->patience,
    .early = (guint) a->stop_after,
    .pre_emphasis = a->pre_emphasis,
    .dc = a->dc,
    .rate = a->rate_of_learning,
    .min_rate = a->min_rate,
    .decay = a->decay,
    .clip = a->clip,
    .target_esr = a->target_esr,
    .seed = (guint64) a->seed,
  };
  if (!g_strv_contains (losses, loss))
    return usage (error, "--loss=%s: esr, mse or huber is needed", loss);
  while (!g_str_equal (losses[c->loss], loss))
    c->loss++;
  for (guint i = 0; i < SEQ_N_SPLITS; i++) {
    g_auto (GStrv) parts = g_strsplit (a->split, ":", -1);

    if (g_strv_length (parts) != SEQ_N_SPLITS)
      return usage (error, "--split=%s: three numbers, as 80:10:10", a->split);
    c->parts[i] = g_ascii_strtod (parts[i], NULL);
    if (!(c->parts[i] >= 0))
      return usage (error, "--split=%s: three numbers, as 80:10:10", a->split);
  }
  /* half a second, but no fewer than 32 pieces */
  most = (gsize) (0.8 * (double) n_frames / 32);
  c->segment = a->segment > 0
                   ? (guint) a->segment
                   : (guint) MAX (64,
                       MIN (s->audio ? (gsize) (s->in->rate / 2) : 4096, most));
  c->warmup = a->warmup >= 0 ? (guint) a->warmup : MIN (1000, c->segment / 4);
  return TRUE;
}

/* --- while it runs -------------------------------------------------------- */

static void
bar (const Session *s, const SeqTrainerReport *r, gboolean terminal)
{
  double seconds = (double) (g_get_monotonic_time () - s->began) / 1e6;
  double done = (s->train->len + (double) r->batch / r->n_batches);
  double rate = (double) r->epoch_frames * done / seconds;
  double left = done > 0 && s->config.max_epochs > r->epoch
                    ? seconds / done
                          * (s->config.max_epochs - r->epoch
                              - (double) r->batch / r->n_batches)
                    : 0;
  guint filled = 20 * r->batch / r->n_batches;

  if (s->args.json || s->args.quiet || !terminal)
    return;
  g_printerr ("\repoch %u/%u [%.*s%.*s] %um%02us left at most  train %.4f  "
              "validation %.4f  best %.4f  %.2f M/s\033[K",
      r->epoch + 1, s->config.max_epochs, filled, "####################",
      20 - filled, "....................", (guint) left / 60, (guint) left % 60,
      r->train_esr, r->validation_esr, r->best_esr, rate / 1e6);
}

static void
print_epoch (const Session *s, const SeqTrainerReport *r, gboolean terminal)
{
  double seconds = (double) (g_get_monotonic_time () - s->began) / 1e6;
  double rate = (double) r->epoch_frames * s->train->len / seconds;

  if (s->args.json) {
    json_t *line = json_pack ("{s:i, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}",
        "epoch", (int) r->epoch, "train_esr", r->train_esr, "train_loss",
        r->train_loss, "validation_esr", r->validation_esr, "best_esr",
        r->best_esr, "learning_rate", r->rate, "gradient_norm", r->norm,
        "seconds", seconds, "samples_per_second", rate);

    if (line) {
      json_dumpf (line, stdout, JSON_COMPACT | JSON_REAL_PRECISION (9));
      printf ("\n");
      fflush (stdout);
      json_decref (line);
    }
  } else if (!s->args.quiet && !terminal) {
    g_printerr ("epoch %u  train %.5f  validation %.5f  best %.5f  rate %.2g  "
                "%.2f M samples/s\n",
        r->epoch, r->train_esr, r->validation_esr, r->best_esr, r->rate,
        rate / 1e6);
  }
}

/* Writes the checkpoint; a full disk is a warning, for training goes on. */
static void
keep_checkpoint (const Session *s, GBytes *bytes)
{
  g_autoptr (GError) error = NULL;

  if (!seq_save_bytes (s->checkpoint, bytes, &error))
    say (s, "note: no checkpoint: %s", error->message);
}

static gboolean
train (Session *s, SeqTrainer *trainer)
{
  const SeqTrainerReport *r = seq_trainer_report (trainer);
  gboolean terminal = isatty (STDERR_FILENO);
  gint64 kept = g_get_monotonic_time ();
  g_autoptr (GBytes) checkpoint = NULL;
  struct sigaction on = { .sa_handler = interrupt, .sa_flags = SA_RESETHAND };

  sigaction (SIGINT, &on, NULL);
  sigaction (SIGTERM, &on, NULL);
  s->began = kept;
  if (s->config.max_epochs <= r->epoch)
    return TRUE;
  while (r->end == SEQ_TRAINER_GOES_ON && !interrupted) {
    if (seq_trainer_batch (trainer)) {
      double esr[2] = { r->train_esr, r->validation_esr };

      g_array_append_val (s->train, esr[0]);
      g_array_append_val (s->validation, esr[1]);
      print_epoch (s, r, terminal);
      g_clear_pointer (&checkpoint, g_bytes_unref);
      checkpoint = seq_trainer_checkpoint (trainer);
      if (g_get_monotonic_time () - kept > 5 * G_USEC_PER_SEC) {
        keep_checkpoint (s, checkpoint);
        kept = g_get_monotonic_time ();
      }
    }
    bar (s, r, terminal);
  }
  if (terminal && !s->args.json && !s->args.quiet)
    g_printerr ("\n");
  /* what ended by itself needs no going on */
  if (interrupted || r->end == SEQ_TRAINER_EPOCHS) {
    if (checkpoint)
      keep_checkpoint (s, checkpoint);
  } else {
    g_unlink (s->checkpoint);
  }
  return r->end != SEQ_TRAINER_BROKEN;
}

/* --- at the end ----------------------------------------------------------- */

/* The likeliest reason that it did not learn. */
static const char *
reason (const Session *s, const SeqTrainerReport *r)
{
  if (!s->predicts && s->alignment.correlation < 0.05)
    return "dry and wet hardly correlate: another performance, a wrong delay, "
           "or an effect that moves in time";
  if (r->n_skipped > 0)
    return "gradients were not finite: lower --learning-rate";
  if (r->train_esr < r->best_esr / 3)
    return "it does well on the training part only: the recording is too "
           "short, or its end differs from its beginning";
  if (r->end == SEQ_TRAINER_EPOCHS || interrupted)
    return "it was still learning: give it more --epochs";
  return s->predicts
             ? "there may be little to predict at this horizon; or try a "
               "greater --hidden-size"
             : "the effect may remember longer than the net (reverb, delay), "
               "or the target may hold noise; or try a greater --hidden-size";
}

static void
put (SeqModel *model, const char *key, char *value)
{
  g_hash_table_replace (model->metadata, g_strdup (key), value);
}

static char *
number (double value)
{
  char text[G_ASCII_DTOSTR_BUF_SIZE];

  return g_strdup (g_ascii_formatd (text, sizeof text, "%.6g", value));
}

/* Saves the model, its export and the plot. */
static gboolean
save (Session *s, double validation, double test, GError **error)
{
  const Args *a = &s->args;

  put (s->model, "trained_by", g_strdup ("seqmodel train"));
  put (s->model, "command", g_strdup (s->command));
  put (s->model, "sample_rate", number (s->in->rate));
  if (isfinite (validation))
    put (s->model, "validation_esr", number (validation));
  if (isfinite (test))
    put (s->model, "test_esr", number (test));
  if (!seq_model_save (s->model, a->output, "safetensors", error))
    return FALSE;
  if (a->export) {
    g_autofree char *path = g_strconcat (a->output, ".json", NULL);

    if (g_str_has_suffix (a->output, ".safetensors")) {
      g_free (path);
      path = g_strdup_printf ("%.*s.json",
          (int) (strlen (a->output) - strlen (".safetensors")), a->output);
    }
    if (!seq_model_save (s->model, path, a->export, error))
      return FALSE;
    say (s, "exported to %s", path);
  }
  return TRUE;
}

static gboolean
draw (Session *s, SeqTrainer *trainer, double test, GError **error)
{
  gsize start, n_frames, n;
  guint n_out = s->n, shown;
  g_autofree float *output = NULL, *target = NULL;
  g_autofree char *title = NULL;
  Plot plot;

  seq_trainer_split (trainer, SEQ_TEST, &start, &n_frames);
  if (n_frames == 0)
    seq_trainer_split (trainer, SEQ_VALIDATION, &start, &n_frames);
  /* 20 ms, or 200 samples, behind enough to warm up, inside one segment */
  n = s->config.independent ? s->config.segment
                            : MIN (n_frames, 4 * s->config.segment);
  shown = (guint) MIN (n, s->audio ? (gsize) (s->in->rate / 50) : 200);
  output = g_new (float, n *n_out);
  target = g_new (float, shown);
  seq_trainer_output (trainer, start, n, output);
  for (gsize t = 0; t < shown; t++) {
    gsize frame = n - shown + t;

    output[t] = output[frame * n_out];
    target[t] = s->data.target[(start + frame) * s->data.n_out];
  }
  title = g_strdup_printf ("%s: test ESR %.4f", s->args.output, test);
  plot = (Plot){ .title = title,
    .n_epochs = s->train->len,
    .train = (double *) s->train->data,
    .validation = (double *) s->validation->data,
    .n_frames = shown,
    .target = target,
    .output = output,
    .rate = s->in->rate };
  return plot_write (&plot, s->args.plot, error);
}

static void
print_result (const Session *s, double test, const char *why)
{
  if (s->args.json) {
    json_t *line = json_pack ("{s:s, s:f, s:s}", "model", s->args.output,
        "test_esr", isfinite (test) ? test : -1., "verdict", verdict (test));

    if (line) {
      json_dumpf (line, stdout, JSON_COMPACT | JSON_REAL_PRECISION (9));
      printf ("\n");
      fflush (stdout);
      json_decref (line);
    }
  }
  say (s, "%s: test ESR %.5f (%.2f %%, %.1f dB): %s", s->args.output, test,
      100 * test, 10 * log10 (test), verdict (test));
  if (!(test < 0.1))
    say (s, "likeliest reason: %s", why);
}

/* ar, markov: one pass. */
static gboolean
fit (Session *s, GError **error)
{
  guint channels = s->in->n_channels;
  gsize n = s->in->n_frames, at[2];
  SeqModel *fitted;
  double esr[2], sum = 0;

  for (guint i = 0; i < SEQ_N_SPLITS; i++)
    sum += s->config.parts[i];
  at[0] = (gsize) ((double) n * s->config.parts[0] / sum);
  at[1] = (gsize) ((double) n * (s->config.parts[0] + s->config.parts[1]) / sum
                   * (1 + 1e-12));
  if (at[0] == 0 || at[0] >= at[1]) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE,
        "%s: %" G_GSIZE_FORMAT " frames are too few to fit and to judge",
        s->in->name, n);
    return FALSE;
  }
  fitted = seq_fit (s->model, s->in->samples, at[0], channels, error);
  if (!fitted)
    return FALSE;
  seq_model_unref (s->model);
  s->model = fitted;
  for (guint i = 0; i < 2; i++) {
    gsize warmup = MIN (at[i], 4096), end = i ? n : at[1];

    esr[i] = seq_fit_esr (fitted, s->in->samples + (at[i] - warmup) * channels,
        end - at[i] + warmup, channels, warmup);
  }
  if (!save (s, esr[0], esr[1], error))
    return FALSE;
  print_result (s, isfinite (esr[1]) ? esr[1] : esr[0],
      "this kind of model may not fit the signal; try lstm or gru");
  return TRUE;
}

static gboolean
descend (Session *s, GError **error)
{
  const SeqTrainerReport *r;
  g_autoptr (SeqTrainer) trainer =
      seq_trainer_new (s->model, &s->data, &s->config, error);
  double test;

  if (!trainer)
    return FALSE;
  r = seq_trainer_report (trainer);
  if (s->args.resume) {
    g_autofree char *bytes = NULL;
    g_autoptr (GBytes) checkpoint = NULL;
    gsize size;

    if (!g_file_get_contents (s->checkpoint, &bytes, &size, error))
      return FALSE;
    checkpoint = g_bytes_new_take (g_steal_pointer (&bytes), size);
    if (!seq_trainer_resume (trainer, checkpoint, error)) {
      g_prefix_error (error, "%s: ", s->checkpoint);
      return FALSE;
    }
    say (s, "resumed after epoch %u", r->epoch);
  }
  say (s,
      "training %" G_GSIZE_FORMAT " frames an epoch, %u pieces of %u side "
      "by side, updates every %u, %u thread%s",
      r->epoch_frames, s->config.batch, s->config.segment, s->config.update,
      s->config.threads, s->config.threads == 1 ? "" : "s");
  if (!train (s, trainer)) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE,
        "no update of epoch %u was finite: lower --learning-rate; nothing is "
        "saved",
        r->epoch);
    return FALSE;
  }
  seq_model_unref (s->model);
  s->model = seq_trainer_best (trainer);
  test = seq_trainer_esr (trainer, SEQ_TEST);
  if (!isfinite (test))
    test = r->best_esr;
  put (s->model, "epochs", number (r->best_epoch));
  if (!save (s, r->best_esr, test, error))
    return FALSE;
  if (interrupted)
    say (s, "interrupted: the best so far is saved; --resume goes on");
  else
    say (s, "%s after %u epochs, %.1f s; best was epoch %u",
        r->end == SEQ_TRAINER_TARGET    ? "target reached"
        : r->end == SEQ_TRAINER_STALLED ? "no more gain"
                                        : "done",
        r->epoch, (double) (g_get_monotonic_time () - s->began) / 1e6,
        r->best_epoch);
  print_result (s, test, reason (s, r));
  return !s->args.plot || draw (s, trainer, test, error);
}

static gboolean
go (Session *s, GError **error)
{
  guint channels;
  gsize n;

  if (!read_recordings (s, error) || !make_model (s, error))
    return FALSE;
  channels = s->in->n_channels;
  n = s->in->n_frames;
  s->data = (SeqTrainerData){ .n_frames = n,
    .n_in = channels,
    .n_out = channels,
    .in = s->in->samples,
    .target = s->target ? s->target->samples : NULL };
  if (s->predicts) {
    gsize horizon = MAX (1, s->model->horizon);

    if (n <= horizon) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE,
          "%s: %" G_GSIZE_FORMAT
          " frames leave nothing to predict %" G_GSIZE_FORMAT " ahead",
          s->in->name, n, horizon);
      return FALSE;
    }
    s->data.n_frames = n - horizon;
    s->data.target = s->in->samples + horizon * channels;
  }
  if (!configure (s, error))
    return FALSE;
  if (!s->args.from)
    normalise (s, MAX (1, (gsize) ((double) n * s->config.parts[0]
                                   / (s->config.parts[0] + s->config.parts[1]
                                       + s->config.parts[2]))));
  return seq_chain_learns (s->model->chain) ? fit (s, error)
                                            : descend (s, error);
}

static void
session_clear (Session *s)
{
  Args *a = &s->args;
  char *texts[] = { a->kind, a->output, a->loss, a->split, a->delay, a->from,
    a->plot, a->export, a->channel_mode, a->normalize, a->lags, a->quantizer,
    s->command, s->checkpoint };

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    g_free (texts[i]);
  g_strfreev (a->files);
  seq_recording_free (s->in);
  seq_recording_free (s->target);
  seq_model_unref (s->model);
  g_array_unref (s->train);
  g_array_unref (s->validation);
}

int
seqmodel_train (int argc, char **argv)
{
  Session s = {
    .args = { .kind = g_strdup ("lstm"),
        .hidden_size = 20,
        .layers = 1,
        .horizon = 1,
        .warmup = -1,
        .update = 1000,
        .batch = 48,
        .threads = (int) g_get_num_processors (),
        .epochs = 1000,
        .patience = 8,
        .stop_after = 40,
        .channel = -1,
        .delay = g_strdup ("auto"),
        .split = g_strdup ("80:10:10"),
        .channel_mode = g_strdup ("auto"),
        .normalize = g_strdup ("auto"),
        .pre_emphasis = 0.85,
        .dc = 1,
        .rate_of_learning = 5e-3,
        .min_rate = 1e-5,
        .clip = 1,
        .forgetting = 1 },
    .train = g_array_new (FALSE, FALSE, sizeof (double)),
    .validation = g_array_new (FALSE, FALSE, sizeof (double)),
  };
  g_autoptr (GError) error = NULL;
  int code = SEQMODEL_DONE;

  s.command = g_strjoinv (" ", argv);
  s.command = g_strconcat ("seqmodel ", s.command, NULL);
  if (parse (&s.args, &argc, &argv, &error) && check_args (&s.args, &error)) {
    s.checkpoint = g_strconcat (s.args.output, ".checkpoint", NULL);
    go (&s, &error);
  }
  if (error)
    code = error->domain == G_OPTION_ERROR
               ? seqmodel_usage_error (COMMAND, "%s", error->message)
               : seqmodel_refused (COMMAND, error);
  session_clear (&s);
  return code;
}
