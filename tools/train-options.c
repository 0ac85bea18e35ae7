/* train-options.c: the command line of seqmodel train.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "tools/train-options.h"
#include "tools/media.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_KIND "lstm"
#define SUFFIX ".safetensors" /* of the model */
#define SENSOR_PIECE 4096     /* frames; of sound, half a second */
#define DEFAULT_ORDER 32      /* of ar */

static const char *const losses[] = { "esr", "mse", "huber", NULL };

/* --- kinds ---------------------------------------------------------------- */

/* The kinds that can be trained, have these flags and, unless it is NULL, read
 * this option: "gru, lstm, rnn". */
static char *
list_kinds (SeqKindFlags flags, const char *option)
{
  GString *text = g_string_new (NULL);

  for (const SeqKind *const *k = seq_kind_choices (); *k; k++)
    if (!((*k)->flags & SEQ_KIND_LIVE_ONLY) && ((*k)->flags & flags) == flags
        && (!option || seq_kind_has_option (*k, option)))
      g_string_append_printf (text, "%s%s", text->len ? ", " : "", (*k)->name);
  return g_string_free (text, FALSE);
}

char *
train_options_kinds (SeqKindFlags flags)
{
  return list_kinds (flags, NULL);
}

/* A line for each kind that can be trained. */
static char *
describe_kinds (void)
{
  GString *text = g_string_new ("Kinds of model:\n");

  for (const SeqKind *const *k = seq_kind_choices (); *k; k++)
    if (!((*k)->flags & SEQ_KIND_LIVE_ONLY))
      g_string_append_printf (text, "  %-8s %s%s\n", (*k)->name, (*k)->title,
          (*k)->flags & SEQ_KIND_LEARNS ? "; for prediction only" : "");
  return g_string_free (text, FALSE);
}

/* The help of an option that some kinds read: "ar: text". */
static const char *
for_kinds (GStringChunk *texts, const char *option, const char *text)
{
  g_autofree char *kinds = list_kinds (0, option);
  g_autofree char *help = g_strdup_printf ("%s: %s", kinds, text);

  return g_string_chunk_insert (texts, help);
}

/* --- formats -------------------------------------------------------------- */

/* Whether a model can be exported to it: written, and not the format that it is
 * saved in anyway. */
static gboolean
is_export (const SeqFileFormat *format)
{
  return format->write && !g_str_equal (format->suffix, SUFFIX);
}

static char *
list_exports (void)
{
  GString *text = g_string_new (NULL);

  for (const SeqFileFormat *const *f = seq_file_formats (); *f; f++)
    if (is_export (*f))
      g_string_append_printf (text, "%s%s", text->len ? ", " : "", (*f)->name);
  return g_string_free (text, FALSE);
}

/* --- reading -------------------------------------------------------------- */

static gboolean
read_command_line (TrainOptions *o, int *argc, char ***argv, GError **error)
{
#define INT(name, short, field, what, arg)                                     \
  { name, short, 0, G_OPTION_ARG_INT, &o->field, what, arg }
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
  g_autoptr (GStringChunk) texts = g_string_chunk_new (1024);
  g_autofree char *kinds = describe_kinds ();
  g_autofree char *exports = list_exports ();
  g_autofree char *about_export =
      g_strconcat ("Also save the model in another format: ", exports, NULL);
  g_autofree char *description = g_strconcat (kinds,
      "\nCtrl-C or SIGTERM saves the best model so far; --resume continues to "
      "the\nsame bits. --help-all shows every option.",
      NULL);
  const GOptionEntry model[] = {
    FILE_NAME (
        "output", 'o', output, "Save the model here (safetensors)", "FILE"),
    TEXT ("model", 'm', kind,
        "Kind of model, see below (default: " DEFAULT_KIND ")", "KIND"),
    INT ("hidden-size", 'H', hidden_size,
        for_kinds (texts, "hidden_size", "units per layer (default: 20)"), "N"),
    INT ("layers", 0, layers,
        "Layers before the read-out, of kinds trained by gradient "
        "(default: 1)",
        "N"),
    FLAG ("no-residual", no_residual,
        "Learn the output itself rather than its difference from the input"),
    INT ("horizon", 0, horizon, "Frames to predict ahead (default: 1)", "N"),
    INT ("order", 0, order,
        for_kinds (texts, "order", "number of past frames used"), "N"),
    TEXT ("lags", 0, lags,
        for_kinds (
            texts, "lags", "use these past frames instead, for example 1,2,24"),
        "LIST"),
    INT ("states", 0, states, for_kinds (texts, "states", "number of levels"),
        "N"),
    TEXT ("quantizer", 0, quantizer,
        for_kinds (texts, "quantizer", "uniform or mu-law"), "WORD"),
    REAL ("forgetting", forgetting,
        for_kinds (texts, "forgetting",
            "1 (default) weighs the whole recording equally"),
        "X"),
    FILE_NAME ("from", 0, from,
        "Start from this model instead of a new one (fine-tune)", "MODEL"),
    { "option", 0, 0, G_OPTION_ARG_STRING_ARRAY, &o->hints,
        "What that file does not say, see seqmodel info --help", "KEY=VALUE" },
    TEXT ("normalize", 0, normalize,
        "Scale input and output: on, off or auto (default: predictions, and "
        "effects at unusual levels)",
        "WHEN"),
    TEXT ("export", 0, export, about_export, "FORMAT"),
    { NULL },
  };
  const GOptionEntry data[] = {
    INT ("channel", 0, channel, "Use only this channel, counted from 0", "N"),
    TEXT ("channel-mode", 0, channel_mode,
        "independent: each channel by itself through the same model; joint: "
        "all channels together; auto (default): joint for predictions",
        "MODE"),
    REAL ("rate", rate, "Resample to this rate; the rate of raw .f32 files",
        "HZ"),
    INT ("channels", 0, channels,
        "Convert to this number of channels; the channels of raw .f32 files",
        "N"),
    TEXT ("delay", 0, delay,
        "Frames by which WET lags behind DRY (default: auto, measured)", "N"),
    TEXT ("split", 0, split,
        "Shares for training, validation and test, by time (default: "
        "80:10:10)",
        "A:B:C"),
    INT ("segment", 0, segment,
        "Frames of a piece, warm-up included (default: 0.5 s)", "N"),
    INT ("warmup", 0, warmup,
        "Frames of a piece before its error counts (default: 1000)", "N"),
    FLAG ("independent-segments", independent,
        "The recording is a row of unrelated segments, each one a piece"),
    { NULL },
  };
  const GOptionEntry method[] = {
    INT ("update", 0, update,
        "Frames between updates (default: 500; fewer for short recordings)",
        "N"),
    INT ("batch", 0, batch,
        "Pieces trained side by side (default: 16); each 16 can use a thread",
        "N"),
    INT ("epochs", 0, epochs, "Stop after this many epochs (default: 1000)",
        "N"),
    REAL ("learning-rate", learning_rate,
        "Adam's learning rate at the start (default: 0.02)", "X"),
    REAL ("min-learning-rate", min_learning_rate,
        "The lowest learning rate (default: 1e-5)", "X"),
    INT ("patience", 0, patience,
        "Epochs without a gain before the rate is halved (default: 8)", "N"),
    INT ("stop-after", 0, stop_after,
        "Epochs without a gain before training stops (default: 40)", "N"),
    REAL ("target-esr", target_esr,
        "Stop when the validation ESR reaches this (default: 0)", "X"),
    TEXT ("loss", 0, loss,
        "esr (default for effects), mse (default for predictions) or huber",
        "LOSS"),
    REAL ("pre-emphasis", pre_emphasis,
        "a of the high-pass 1 - a/z before the ESR; 0: none (default: 0.85)",
        "A"),
    REAL ("dc", dc, "Weight of the offset's error in the ESR loss (default: 1)",
        "X"),
    REAL ("weight-decay", decay,
        "Decoupled weight decay, as in AdamW "
        "(default: 0)",
        "X"),
    REAL ("clip", clip, "Largest norm of a gradient; 0: unlimited (default: 1)",
        "X"),
    INT ("seed", 0, seed,
        "Seed of the random weights and of the order of pieces (default: 0)",
        "N"),
    INT ("threads", 'j', threads,
        "Number of threads (default: one a core); the result is the same", "N"),
    { NULL },
  };
  const GOptionEntry show[] = {
    FLAG ("json", json, "Print a JSON object for each epoch and the result"),
    FLAG ("quiet", quiet, "Print nothing but errors and what --json prints"),
    FILE_NAME ("plot", 0, plot,
        "Draw the error of each epoch, and target and output (PNG or SVG)",
        "FILE"),
    FLAG ("resume", resume, "Continue from the checkpoint beside the model"),
    { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &o->files, NULL,
        NULL },
    { NULL },
  };
  const struct {
    const char *name, *title, *help;
    const GOptionEntry *entries;
  } groups[] = { { "data", "Recordings:", "Show options for recordings", data },
    { "method", "Training:", "Show options for training", method } };
  g_autoptr (GOptionContext) context =
      g_option_context_new ("DRY WET | SIGNAL");

  g_option_context_set_summary (context,
      "Learns an effect from a dry and a wet recording, or to predict one "
      "signal.");
  g_option_context_set_description (context, description);
  g_option_context_add_main_entries (context, model, NULL);
  g_option_context_add_main_entries (context, show, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (groups); i++) {
    GOptionGroup *group = g_option_group_new (
        groups[i].name, groups[i].title, groups[i].help, NULL, NULL);

    g_option_group_add_entries (group, groups[i].entries);
    g_option_context_add_group (context, group);
  }
  return g_option_context_parse (context, argc, argv, error);
}

/* --- checking ------------------------------------------------------------- */

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
    { "channel", o->channel, -1, MEDIA_MAX_CHANNELS - 1 },
    { "channels", o->channels, 0, MEDIA_MAX_CHANNELS },
    { "segment", o->segment, 0, 1 << 24 }, { "warmup", o->warmup, -1, 1 << 24 },
    { "update", o->update, 0, 1 << 16 }, { "batch", o->batch, 0, 1 << 16 },
    { "epochs", o->epochs, 1, G_MAXINT },
    { "patience", o->patience, 1, G_MAXINT },
    { "stop-after", o->stop_after, 1, G_MAXINT },
    { "threads", o->threads, 1, 1024 } };

  for (guint i = 0; i < G_N_ELEMENTS (ints); i++)
    if (ints[i].value < ints[i].min || ints[i].value > ints[i].max)
      return refuse (error, "--%s=%d: must be %d to %d", ints[i].name,
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
      return refuse (error, "--%s=%g: must be %g to %g", reals[i].name,
          reals[i].value, reals[i].min, reals[i].max);
  return TRUE;
}

static gboolean
check_word (const char *name, const char *value, const char *const *words,
    GError **error)
{
  g_autofree char *known = NULL;

  if (!value || g_strv_contains (words, value))
    return TRUE;
  known = g_strjoinv (", ", (char **) words);
  return refuse (error, "--%s=%s: must be one of %s", name, value, known);
}

static gboolean
check_words (const TrainOptions *o, GError **error)
{
  static const char *const when[] = { "auto", "on", "off", NULL };
  static const char *const modes[] = { "auto", "independent", "joint", NULL };

  if (!check_word ("loss", o->loss, losses, error)
      || !check_word ("normalize", o->normalize, when, error)
      || !check_word ("channel-mode", o->channel_mode, modes, error))
    return FALSE;
  if (!g_str_equal (o->delay, "auto")
      && !g_ascii_string_to_signed (
          o->delay, 10, -(1 << 24), 1 << 24, NULL, NULL))
    return refuse (
        error, "--delay=%s: must be auto or a number of frames", o->delay);
  if (o->plot && !g_str_has_suffix (o->plot, ".png")
      && !g_str_has_suffix (o->plot, ".svg"))
    return refuse (error, "--plot=%s: must end in .png or .svg", o->plot);
  return TRUE;
}

/* Finds the format, in any case. */
static gboolean
check_export (TrainOptions *o, GError **error)
{
  g_autofree char *known = NULL;

  if (!o->export)
    return TRUE;
  for (const SeqFileFormat *const *f = seq_file_formats (); *f; f++)
    if (is_export (*f) && g_ascii_strcasecmp ((*f)->name, o->export) == 0) {
      o->export_format = *f;
      return TRUE;
    }
  known = list_exports ();
  return refuse (error, "--export=%s: must be one of %s", o->export, known);
}

static gboolean
check_lists (const TrainOptions *o, GError **error)
{
  g_auto (GStrv) parts = g_strsplit (o->split, ":", -1);
  g_auto (GStrv) lags = g_strsplit (o->lags ? o->lags : "1", ",", -1);
  gboolean valid = g_strv_length (parts) == SEQ_N_SPLITS;

  for (guint i = 0; parts[i]; i++) {
    char *end;
    double part = g_ascii_strtod (parts[i], &end);

    valid = valid && end != parts[i] && !*end && part >= 0 && part < 1e9
            && (i == SEQ_TEST || part > 0);
  }
  if (!valid)
    return refuse (error,
        "--split=%s: must be three numbers such as 80:10:10, of which only the "
        "last may be 0",
        o->split);
  for (char **lag = lags; *lag; lag++)
    if (!g_ascii_string_to_unsigned (*lag, 10, 1, G_MAXINT32, NULL, NULL))
      return refuse (error,
          "--lags=%s: must be a list of whole numbers such as 1,2,24", o->lags);
  return TRUE;
}

/* Finds the kind, by name or alias. */
static gboolean
check_kind (TrainOptions *o, GError **error)
{
  const SeqKind *kind = seq_kind_choose (o->kind);

  if (!kind || (kind->flags & SEQ_KIND_LIVE_ONLY)) {
    g_autofree char *known = train_options_kinds (0);

    return refuse (error, "--model=%s: must be one of %s", o->kind, known);
  }
  if (o->files[1] && !o->from && (kind->flags & SEQ_KIND_LEARNS))
    return refuse (error,
        "--model=%s: predicts a signal; expected one recording, not two",
        o->kind);
  g_free (o->kind);
  o->kind = g_strdup (kind->name);
  return TRUE;
}

/* Whether a file can be written there without replacing a recording: better
 * known now than after an hour. */
static gboolean
check_place (const TrainOptions *o, const char *path, GError **error)
{
  g_autofree char *folder = g_path_get_dirname (path);
  GStatBuf there, recording;

  if (g_access (folder, W_OK) != 0 || g_file_test (path, G_FILE_TEST_IS_DIR))
    return refuse (error, "%s: cannot be written", path);
  for (char **file = o->files; *file; file++)
    if (g_stat (path, &there) == 0 && g_stat (*file, &recording) == 0
        && there.st_dev == recording.st_dev && there.st_ino == recording.st_ino)
      return refuse (
          error, "%s: is one of the recordings; choose another name", path);
  return TRUE;
}

gboolean
train_options_parse (TrainOptions *o, int *argc, char ***argv, GError **error)
{
  const struct {
    char **text;
    const char *word;
  } defaults[] = { { &o->kind, DEFAULT_KIND }, { &o->normalize, "auto" },
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
    return refuse (error, "expected one recording, or two: dry and wet");
  if (!o->output)
    return refuse (error, "no output file; expected -o FILE");
  return check_ints (o, error) && check_reals (o, error)
         && check_words (o, error) && check_lists (o, error)
         && check_kind (o, error) && check_export (o, error)
         && check_place (o, o->output, error)
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

/* --- results -------------------------------------------------------------- */

/* What ar is fitted with: always chosen lags, one filter and not a bank. */
static GVariant *
make_lags (const TrainOptions *o)
{
  g_auto (GStrv) words = g_strsplit (o->lags ? o->lags : "", ",", -1);
  GVariantBuilder lags = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("au"));
  gint order = o->order > 0 ? o->order : DEFAULT_ORDER;

  for (char **word = words; *word; word++)
    g_variant_builder_add (
        &lags, "u", (guint) g_ascii_strtoull (*word, NULL, 10));
  for (gint lag = 1; !o->lags && lag <= order; lag++)
    g_variant_builder_add (&lags, "u", lag);
  return g_variant_builder_end (&lags);
}

GVariant *
train_options_model (const TrainOptions *o)
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
  g_variant_dict_insert_value (&dict, "lags", make_lags (o));
  return g_variant_dict_end (&dict);
}

/* Sets what depends on the length of the training part: pieces of half a
 * second or SENSOR_PIECE frames, but at least 32; and at least 32 updates an
 * epoch, since an epoch that hardly moves the weights judges nothing. */
static void
fit_to_length (SeqTrainerConfig *c, int warmup, double n_train, double longest)
{
  double pieces, counted;

  if (c->segment == 0)
    c->segment = (guint) MAX (64, MIN (longest, n_train / 32));
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
  gsize n_train;

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
    c->parts[i] = g_ascii_strtod (parts[i], NULL);
  n_train = seq_splits_divide (c->parts, n_frames, 1).at[SEQ_TRAIN + 1];
  fit_to_length (
      c, o->warmup, (double) n_train, audio ? rate / 2 : SENSOR_PIECE);
}

char *
train_options_beside (const TrainOptions *o, const char *suffix)
{
  gsize length = strlen (o->output);

  if (g_str_has_suffix (o->output, SUFFIX))
    length -= strlen (SUFFIX);
  return g_strdup_printf ("%.*s%s", (int) length, o->output, suffix);
}
