/* train-options.c: what seqmodel train is told.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "tools/train-options.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

static const char *const losses[] = { "esr", "mse", "huber", NULL };

static gboolean
read_command_line (TrainOptions *o, int *argc, char ***argv, GError **error)
{
#define INT(name, short, field, what, arg)                                     \
  {                                                                            \
    name, short, 0, G_OPTION_ARG_INT, &o->field, what, arg                     \
  }
#define REAL(name, field, what, arg)                                           \
  {                                                                            \
    name, 0, 0, G_OPTION_ARG_DOUBLE, &o->field, what, arg                      \
  }
#define TEXT(name, short, field, what, arg)                                    \
  {                                                                            \
    name, short, 0, G_OPTION_ARG_STRING, &o->field, what, arg                  \
  }
#define FILE_NAME(name, short, field, what, arg)                               \
  {                                                                            \
    name, short, 0, G_OPTION_ARG_FILENAME, &o->field, what, arg                \
  }
#define FLAG(name, field, what)                                                \
  {                                                                            \
    name, 0, 0, G_OPTION_ARG_NONE, &o->field, what, NULL                       \
  }
  const GOptionEntry model[] = {
    FILE_NAME (
        "output", 'o', output, "Where the model goes (safetensors)", "FILE"),
    TEXT ("model", 'm', kind, "lstm (default), gru, rnn, ar or markov", "KIND"),
    INT ("hidden-size", 'H', hidden_size, "Units a layer (20)", "N"),
    INT ("layers", 0, layers, "Recurrent layers (1)", "N"),
    FLAG ("no-residual", no_residual,
        "The net learns the output itself, not what to add to its input"),
    INT ("horizon", 0, horizon, "Frames that a predictor looks ahead (1)", "N"),
    INT ("order", 0, order, "ar: frames that it looks back", "N"),
    TEXT ("lags", 0, lags, "ar: chosen distances instead, as 1,2,24", "LIST"),
    INT ("states", 0, states, "markov: levels", "N"),
    TEXT ("quantizer", 0, quantizer, "markov: uniform or mu-law", "WORD"),
    REAL ("forgetting", forgetting,
        "ar, markov: 1 (default) weighs all of the recording alike", "X"),
    FILE_NAME (
        "from", 0, from, "Go on from a model that loads (fine-tune)", "MODEL"),
    { "option", 0, 0, G_OPTION_ARG_STRING_ARRAY, &o->hints,
        "What that file cannot say, see seqmodel info --help", "KEY=VALUE" },
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
    INT ("channels", 0, channels, "Convert to so many; of raw .f32: its own",
        "N"),
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
    INT ("update", 0, update,
        "Frames from update to update (500; less for short recordings)", "N"),
    INT ("batch", 0, batch,
        "Pieces side by side (16; each 16 can have a thread)", "N"),
    INT ("epochs", 0, epochs, "At most that many (1000)", "N"),
    REAL ("learning-rate", learning_rate, "Adam's, to begin with (0.02)", "X"),
    REAL ("min-learning-rate", min_learning_rate, "It falls no further (1e-5)",
        "X"),
    INT ("patience", 0, patience,
        "Epochs without a gain before the rate is halved (8)", "N"),
    INT ("stop-after", 0, stop_after,
        "Epochs without a gain before training stops (40)", "N"),
    REAL ("target-esr", target_esr, "Stop when validation reaches this", "X"),
    TEXT ("loss", 0, loss,
        "esr (default for effects), mse (for predictors), huber", "LOSS"),
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
    FILE_NAME ("plot", 0, plot,
        "Curves and a stretch of target against output, PNG or SVG", "FILE"),
    FLAG ("resume", resume, "Go on from the checkpoint beside the model"),
    { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &o->files, NULL,
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
      "Ctrl-C saves the best model so far; --resume goes on to the same bits. "
      "--help-all\nshows every option.");
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

static gboolean refuse (GError **error, const char *format, ...)
    G_GNUC_PRINTF (2, 3);

static gboolean
refuse (GError **error, const char *format, ...)
{
  g_autofree char *text = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error_literal (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, text);
  return FALSE;
}

static gboolean
check_ints (const TrainOptions *o, GError **error)
{
  const struct {
    const char *name;
    int value, min, max;
  } ints[] = { { "hidden-size", o->hidden_size, 1, 2048 },
    { "layers", o->layers, 1, 64 }, { "horizon", o->horizon, 0, 1 << 20 },
    { "order", o->order, 0, 1 << 16 }, { "states", o->states, 0, 1 << 16 },
    { "channel", o->channel, -1, 4095 }, { "channels", o->channels, 0, 4096 },
    { "segment", o->segment, 0, 1 << 24 }, { "warmup", o->warmup, -1, 1 << 24 },
    { "update", o->update, 0, 1 << 16 }, { "batch", o->batch, 0, 1 << 16 },
    { "epochs", o->epochs, 1, G_MAXINT },
    { "patience", o->patience, 1, G_MAXINT },
    { "stop-after", o->stop_after, 1, G_MAXINT },
    { "threads", o->threads, 1, 1024 } };

  for (guint i = 0; i < G_N_ELEMENTS (ints); i++)
    if (ints[i].value < ints[i].min || ints[i].value > ints[i].max)
      return refuse (error, "--%s=%d: %d to %d is needed", ints[i].name,
          ints[i].value, ints[i].min, ints[i].max);
  return TRUE;
}

static gboolean
check_reals (const TrainOptions *o, GError **error)
{
  const struct {
    const char *name;
    double value, min, max;
  } reals[] = { { "rate", o->rate, 0, 1e7 },
    { "forgetting", o->forgetting, 0.5, 1 },
    { "learning-rate", o->learning_rate, 1e-9, 10 },
    { "min-learning-rate", o->min_learning_rate, 0, 10 },
    { "target-esr", o->target_esr, 0, 1 },
    { "pre-emphasis", o->pre_emphasis, 0, 0.999 }, { "dc", o->dc, 0, 1e6 },
    { "weight-decay", o->decay, 0, 1 }, { "clip", o->clip, 0, 1e9 } };

  for (guint i = 0; i < G_N_ELEMENTS (reals); i++)
    if (!(reals[i].value >= reals[i].min && reals[i].value <= reals[i].max))
      return refuse (error, "--%s=%g: %g to %g is needed", reals[i].name,
          reals[i].value, reals[i].min, reals[i].max);
  return TRUE;
}

static gboolean
check_words (const TrainOptions *o, GError **error)
{
  static const char *const when[] = { "auto", "on", "off", NULL };
  static const char *const modes[] = { "auto", "independent", "joint", NULL };
  static const char *const formats[] = { "rtneural", NULL };
  static const char *const kinds[] = { "lstm", "gru", "rnn", "ar", "markov",
    NULL };
  const struct {
    const char *name, *value;
    const char *const *words;
  } words[] = { { "model", o->kind, kinds }, { "loss", o->loss, losses },
    { "normalize", o->normalize, when },
    { "channel-mode", o->channel_mode, modes },
    { "export", o->export, formats } };
  double sum = 0;
  g_auto (GStrv) parts = g_strsplit (o->split, ":", -1);

  for (guint i = 0; i < G_N_ELEMENTS (words); i++)
    if (words[i].value && !g_strv_contains (words[i].words, words[i].value)) {
      g_autofree char *known = g_strjoinv (", ", (char **) words[i].words);

      return refuse (
          error, "--%s=%s: %s is needed", words[i].name, words[i].value, known);
    }
  for (guint i = 0; parts[i]; i++) {
    char *end;
    double part = g_ascii_strtod (parts[i], &end);

    if (end == parts[i] || *end || !(part >= 0 && part < 1e9)
        || (i < SEQ_TEST && part == 0))
      sum = NAN;
    sum += part;
  }
  if (g_strv_length (parts) != SEQ_N_SPLITS || !isfinite (sum))
    return refuse (error,
        "--split=%s: three numbers, as 80:10:10; only the last may be 0",
        o->split);
  if (!g_str_equal (o->delay, "auto")
      && !g_ascii_string_to_signed (
          o->delay, 10, -(1 << 24), 1 << 24, NULL, NULL))
    return refuse (error, "--delay=%s: auto or a number of frames", o->delay);
  if (o->plot && !g_str_has_suffix (o->plot, ".png")
      && !g_str_has_suffix (o->plot, ".svg"))
    return refuse (
        error, "--plot=%s: a name in .png or .svg is needed", o->plot);
  if (o->files[1] && !o->from
      && (g_str_equal (o->kind, "ar") || g_str_equal (o->kind, "markov")))
    return refuse (
        error, "--model=%s predicts: it learns from one recording", o->kind);
  if (o->export && g_str_equal (o->normalize, "on"))
    return refuse (
        error, "--export=%s cannot say what --normalize=on does", o->export);
  return TRUE;
}

/* Whether a file can be put there, and would not replace a recording: better
 * known now than after an hour. */
static gboolean
check_place (const TrainOptions *o, const char *path, GError **error)
{
  g_autofree char *folder = g_path_get_dirname (path);
  GStatBuf there, recording;

  if (g_access (folder, W_OK) != 0 || g_file_test (path, G_FILE_TEST_IS_DIR))
    return refuse (error, "%s: nothing can be written there", path);
  for (char **file = o->files; *file; file++)
    if (g_stat (path, &there) == 0 && g_stat (*file, &recording) == 0
        && there.st_dev == recording.st_dev && there.st_ino == recording.st_ino)
      return refuse (error, "%s: is a recording to learn from", path);
  return TRUE;
}

gboolean
train_options_parse (TrainOptions *o, int *argc, char ***argv, GError **error)
{
  const struct {
    char **text;
    const char *word;
  } defaults[] = { { &o->kind, "lstm" }, { &o->normalize, "auto" },
    { &o->channel_mode, "auto" }, { &o->delay, "auto" },
    { &o->split, "80:10:10" } };

  *o = (TrainOptions){ .hidden_size = 20,
    .layers = 1,
    .forgetting = 1,
    .channel = -1,
    .warmup = -1,
    .epochs = 1000,
    .patience = 8,
    .stop_after = 40,
    .threads = (int) g_get_num_processors (),
    .learning_rate = 0.02,
    .min_learning_rate = 1e-5,
    .pre_emphasis = 0.85,
    .dc = 1,
    .clip = 1 };
  if (!read_command_line (o, argc, argv, error))
    return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (defaults); i++)
    if (!*defaults[i].text)
      *defaults[i].text = g_strdup (defaults[i].word);

  if (!o->files || !o->files[0] || (o->files[1] && o->files[2]))
    return refuse (error, "one recording is needed, or two: dry and wet");
  if (!o->output)
    return refuse (error, "where shall the model go? -o FILE");
  return check_ints (o, error) && check_reals (o, error)
         && check_words (o, error) && check_place (o, o->output, error)
         && (!o->plot || check_place (o, o->plot, error));
}

void
train_options_clear (TrainOptions *o)
{
  char *texts[] = { o->output, o->kind, o->from, o->export, o->normalize,
    o->lags, o->quantizer, o->channel_mode, o->split, o->delay, o->loss,
    o->plot };

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    g_free (texts[i]);
  g_strfreev (o->files);
  g_strfreev (o->hints);
}

/* Fills in what the recording's length decides: pieces of half a second, but
 * no fewer than 32; and no fewer than 32 updates an epoch, for an epoch that
 * hardly moves anything judges nothing, down to what keeps the lanes full. */
static void
fit_to_length (
    SeqTrainerConfig *c, int warmup, double n_train, double half_a_second)
{
  double pieces, counted;

  if (c->segment == 0)
    c->segment = (guint) MAX (64, MIN (half_a_second, n_train / 32));
  c->warmup = warmup >= 0 ? (guint) warmup : MIN (1000, c->segment / 4);
  counted = MAX (1, (double) c->segment - c->warmup);
  pieces = n_train / (c->independent ? c->segment : counted);
  if (c->batch == 0)
    c->batch = 16;
  if (c->update == 0)
    c->update = (guint) CLAMP (counted * pieces / c->batch / 32, 128, 500);
}

void
train_options_config (const TrainOptions *o, gsize n_frames, double rate,
    gboolean predicts, gboolean audio, SeqTrainerConfig *c)
{
  const char *loss = o->loss ? o->loss : predicts ? "mse" : "esr";
  g_auto (GStrv) parts = g_strsplit (o->split, ":", -1);
  double sum = 0;

  *c = (SeqTrainerConfig){
    .segment = (guint) o->segment,
    .independent = o->independent,
    .update = (guint) o->update,
    .batch = (guint) o->batch,
    .threads = (guint) o->threads,
    .max_epochs = (guint) o->epochs,
    .patience = (guint) o->patience,
    .early = (guint) o->stop_after,
    .pre_emphasis = o->pre_emphasis,
    .dc = o->dc,
    .rate = o->learning_rate,
    .min_rate = o->min_learning_rate,
    .decay = o->decay,
    .clip = o->clip,
    .target_esr = o->target_esr,
    .seed = (guint64) o->seed,
  };
  while (!g_str_equal (losses[c->loss], loss))
    c->loss++;
  for (guint i = 0; i < SEQ_N_SPLITS; i++)
    sum += c->parts[i] = g_ascii_strtod (parts[i], NULL);
  fit_to_length (c, o->warmup, (double) n_frames * c->parts[SEQ_TRAIN] / sum,
      audio ? rate / 2 : 4096);
}

char *
train_options_beside (const TrainOptions *o, const char *suffix)
{
  gsize length = strlen (o->output);

  if (g_str_has_suffix (o->output, ".safetensors"))
    length -= strlen (".safetensors");
  return g_strdup_printf ("%.*s%s", (int) length, o->output, suffix);
}
