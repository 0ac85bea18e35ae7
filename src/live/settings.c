/* settings.c: what a model is asked to be, and how it is to run and learn.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/live/settings.h"
#include "src/layer.h"

const SeqSettings seq_default_settings = {
  .model = "lstm",
  .hidden_size = 20,
  .layers = 1,
  .horizon = 1,
  .window = 64,
  .learning_rate = 3e-3,
  .learn = SEQ_LEARN_AUTO,
  .learning = TRUE,
};

/* --- the table ------------------------------------------------------------ */

static const SeqChoice learn_choices[] = {
  { SEQ_LEARN_AUTO, "auto", "On, but off for a model from a file" },
  { SEQ_LEARN_OFF, "off", "Learn nothing, and keep what was learnt" },
  { SEQ_LEARN_GRADIENT, "gradient", "Truncated back-propagation through time" },
  { SEQ_LEARN_READOUT, "readout",
      "The read-out alone, by recursive least squares" },
  { SEQ_LEARN_BOTH, "both",
      "The read-out by recursive least squares, the layers before it by "
      "gradient" },
  { SEQ_LEARN_ON, "on", "The way that measured best for the model" },
  { 0, NULL, NULL },
};

static const SeqChoice skip_choices[] = {
  { SEQ_SKIP_AUTO, "auto", "The setting that measured best for the model" },
  { SEQ_SKIP_OFF, "off", "Off" },
  { SEQ_SKIP_ON, "on", "On" },
  { 0, NULL, NULL },
};

static const SeqChoice linear_choices[] = {
  { SEQ_LINEAR_AUTO, "auto",
      "On, if the horizon is 1 and residual-connection is auto" },
  { SEQ_LINEAR_OFF, "off", "The net alone" },
  { SEQ_LINEAR_ON, "on", "On" },
  { 0, NULL, NULL },
};

static const SeqChoice clamp_choices[] = {
  { SEQ_CLAMP_AUTO, "auto", "On for forecasts, off for effects" },
  { SEQ_CLAMP_OFF, "off", "Off" },
  { SEQ_CLAMP_ON, "on", "On" },
  { 0, NULL, NULL },
};

static const SeqChoice channel_mode_choices[] = {
  { SEQ_CHANNELS_AUTO, "auto", "Joint if the model has that many inputs" },
  { SEQ_CHANNELS_INDEPENDENT, "independent",
      "Each channel has a state of its own" },
  { SEQ_CHANNELS_JOINT, "joint", "All channels are one input vector" },
  { 0, NULL, NULL },
};

static const SeqChoice precision_choices[] = {
  { 0, "float", "Weights are 32-bit floats" },
  { 1, "int16", "Recurrent weights are 16-bit integers, with a scale a row" },
  { 2, "int8", "Recurrent weights are 8-bit integers, with a scale a row" },
  { 0, NULL, NULL },
};

static const SeqChoice rate_mode_choices[] = {
  { SEQ_RATE_MODEL, "model", "The stream has the rate that the file names" },
  { SEQ_RATE_IGNORE, "ignore", "The model runs at any rate" },
  { 0, NULL, NULL },
};

#define AT(member) .offset = G_STRUCT_OFFSET (SeqSettings, member)

const SeqSettingInfo seq_setting_infos[SEQ_N_SETTINGS] = {
  [SEQ_SETTING_MODEL] = { "model", "Model", SEQ_TYPE_KIND, AT (model),
      .change = SEQ_CHANGE_MODEL,
      .about = "The model that predicts. Another model forgets what the one "
               "before it had learnt" },
  [SEQ_SETTING_HIDDEN_SIZE] = { "hidden-size", "Hidden size", SEQ_TYPE_UINT,
      AT (hidden_size), 1, SEQ_MAX_UNITS, .option = "hidden_size",
      .change = SEQ_CHANGE_MODEL, .about = "Units of each recurrent layer" },
  [SEQ_SETTING_LAYERS] = { "layers", "Layers", SEQ_TYPE_UINT, AT (layers), 1,
      64, .change = SEQ_CHANGE_MODEL,
      .about = "Recurrent layers, each on top of the one before; models that "
               "are not recurrent have one" },
  [SEQ_SETTING_ORDER] = { "order", "Order", SEQ_TYPE_UINT, AT (order), 0, 4096,
      .option = "order", .change = SEQ_CHANGE_MODEL,
      .about = "Latest samples that a forecast looks at (0 = the model's "
               "default)" },
  [SEQ_SETTING_LAGS] = { "lags", "Lags", SEQ_TYPE_UINTS, AT (lags), 1, G_MAXINT,
      .option = "lags", .change = SEQ_CHANGE_MODEL,
      .about = "Samples to look at instead of the last `order`, counted back "
               "from the one to be forecast less horizon - 1: <1,2,24> (empty "
               "= the last `order`)" },
  [SEQ_SETTING_STATES] = { "states", "States", SEQ_TYPE_UINT, AT (states), 0,
      4096, .option = "states", .change = SEQ_CHANGE_MODEL,
      .about = "Levels to quantise to (0 = the model's default)" },
  [SEQ_SETTING_HISTORY] = { "history", "History", SEQ_TYPE_UINT, AT (history),
      0, G_MAXINT, .option = "history", .change = SEQ_CHANGE_MODEL,
      .about = "Frames of the past to keep and search (0 = the model's "
               "default)" },
  [SEQ_SETTING_HORIZON] = { "horizon", "Horizon", SEQ_TYPE_UINT, AT (horizon),
      0, 65536, .option = "horizon", .change = SEQ_CHANGE_MODEL,
      .about = "Frames that a forecast looks ahead. Timestamps stay those of "
               "the frame it was made at. 0 = a model file that is an effect" },
  [SEQ_SETTING_LEARN] = { "learn", "Learn", SEQ_TYPE_CHOICE, AT (learn),
      .choices = learn_choices, .change = SEQ_CHANGE_STREAM,
      .about = "How the model learns while the stream goes by. Models that "
               "are not recurrent have one way, and take any value but off. "
               "Off keeps what was learnt. A model from a file learns only if "
               "told to, and only if it forecasts" },
  [SEQ_SETTING_LEARNING_RATE] = { "learning-rate", "Learning rate",
      SEQ_TYPE_DOUBLE, AT (learning_rate), 1e-9, 1, .change = SEQ_CHANGE_STREAM,
      .about = "Adam's step, with learn=gradient and both" },
  [SEQ_SETTING_WINDOW] = { "window", "Window", SEQ_TYPE_UINT, AT (window), 1,
      SEQ_MAX_WINDOW, .change = SEQ_CHANGE_STREAM,
      .about = "Frames that an update looks back over, with learn=gradient and "
               "both (truncated back-propagation through time)" },
  [SEQ_SETTING_FORGETTING] = { "forgetting", "Forgetting", SEQ_TYPE_DOUBLE,
      AT (forgetting), 0, 1, .option = "forgetting", .change = SEQ_CHANGE_MODEL,
      .about = "Weight of the past, a frame later: 1 = nothing is "
               "forgotten, 0 = the model's default. Also of the read-out, with "
               "learn=readout and both" },
  [SEQ_SETTING_SEED] = { "seed", "Seed", SEQ_TYPE_UINT64, AT (seed),
      .change = SEQ_CHANGE_MODEL,
      .about = "Seed of the random weights; the same seed and stream give the "
               "same bits" },
  [SEQ_SETTING_RESIDUAL_CONNECTION] = { "residual-connection",
      "Residual connection", SEQ_TYPE_CHOICE, AT (skip),
      .choices = skip_choices, .change = SEQ_CHANGE_MODEL,
      .about = "Whether a recurrent model predicts the change from the sample "
               "before" },
  [SEQ_SETTING_LINEAR] = { "linear", "Linear", SEQ_TYPE_CHOICE, AT (linear),
      .choices = linear_choices, .change = SEQ_CHANGE_MODEL,
      .about = "Whether a recurrent model stands around a linear forecaster, "
               "that of model=ar, and forecasts what that leaves" },
  [SEQ_SETTING_CLAMP] = { "clamp", "Clamp", SEQ_TYPE_CHOICE, AT (clamp),
      .choices = clamp_choices, .change = SEQ_CHANGE_STREAM,
      .about = "Whether predictions stay within what was heard on their "
               "channel: no further outside its range than a fifth of it, or "
               "one and a half of the largest step a frame ahead" },
  [SEQ_SETTING_CHANNEL_MODE] = { "channel-mode", "Channel mode",
      SEQ_TYPE_CHOICE, AT (channel_mode), .choices = channel_mode_choices,
      .change = SEQ_CHANGE_MODEL,
      .about = "Whether each channel is modelled alone, or all as one vector. "
               "Auto: alone, unless the model has that many inputs" },
  [SEQ_SETTING_PRECISION] = { "precision", "Precision", SEQ_TYPE_CHOICE,
      AT (precision), .choices = precision_choices, .change = SEQ_CHANGE_MODEL,
      .about = "How recurrent weights are stored. Integers read fewer bytes, "
               "which pays from 64 units on, and do not learn by gradient" },
  [SEQ_SETTING_RATE_MODE] = { "rate-mode", "Rate mode", SEQ_TYPE_CHOICE,
      AT (rate_mode), .choices = rate_mode_choices, .change = SEQ_CHANGE_STREAM,
      .about = "Whether the stream must have the sample rate that the model "
               "file names" },
  [SEQ_SETTING_MAX_MEMORY] = { "max-memory", "Max memory", SEQ_TYPE_UINT64,
      AT (max_memory), .change = SEQ_CHANGE_STREAM,
      .about = "Most bytes that model and stream may take; what would take "
               "more is refused (0 = half of what there is: of the machine, "
               "the control group and the process the least)" },
};

/* The option by which kinds show that they have a setting; NULL: all do. */
static const char *
option_of_kinds (SeqSetting id)
{
  switch (id) {
    case SEQ_SETTING_HORIZON: /* of others it is their read-out's */
      return NULL;
    case SEQ_SETTING_PRECISION: /* a trained model is converted to it */
      return "precision";
    default:
      return seq_setting_infos[id].option;
  }
}

char *
seq_setting_about (SeqSetting id)
{
  const char *option = option_of_kinds (id);
  const char *about = seq_setting_infos[id].about;
  g_autofree char *kinds = option ? seq_kinds_with_option (option) : NULL;

  return kinds ? g_strdup_printf ("%s (%s)", about, kinds) : g_strdup (about);
}

gboolean
seq_setting_is_of_model (SeqSetting id)
{
  return id == SEQ_SETTING_MODEL || id == SEQ_SETTING_LAYERS
         || id == SEQ_SETTING_RESIDUAL_CONNECTION || id == SEQ_SETTING_LINEAR
         || seq_setting_infos[id].option;
}

static gconstpointer
value_at (const SeqSettings *settings, SeqSetting id)
{
  return G_STRUCT_MEMBER_P (settings, seq_setting_infos[id].offset);
}

static char *
print_uints (GVariant *array)
{
  GString *text = g_string_new ("<");
  gsize n = 0;
  const guint32 *values =
      array ? g_variant_get_fixed_array (array, &n, sizeof (guint32)) : NULL;

  for (gsize i = 0; i < n; i++)
    g_string_append_printf (text, "%s%u", i ? "," : "", values[i]);
  g_string_append_c (text, '>');
  return g_string_free (text, FALSE);
}

char *
seq_settings_print (const SeqSettings *settings, SeqSetting id)
{
  const SeqSettingInfo *info = &seq_setting_infos[id];
  gconstpointer value = value_at (settings, id);
  char number[G_ASCII_DTOSTR_BUF_SIZE];

  switch (info->type) {
    case SEQ_TYPE_KIND:
      return g_strdup (*(const char *const *) value);
    case SEQ_TYPE_UINT:
      return g_strdup_printf ("%u", *(const guint *) value);
    case SEQ_TYPE_UINT64:
      return g_strdup_printf ("%" G_GUINT64_FORMAT, *(const guint64 *) value);
    case SEQ_TYPE_DOUBLE:
      return g_strdup (
          g_ascii_dtostr (number, sizeof number, *(const double *) value));
    case SEQ_TYPE_CHOICE:
      for (const SeqChoice *c = info->choices; c->name; c++)
        if (c->value == *(const guint *) value)
          return g_strdup (c->name);
      break;
    case SEQ_TYPE_UINTS:
      return print_uints (*(GVariant *const *) value);
  }
  g_return_val_if_reached (NULL);
}

gboolean
seq_settings_is_default (const SeqSettings *settings, SeqSetting id)
{
  gconstpointer value = value_at (settings, id);

  switch (seq_setting_infos[id].type) {
    case SEQ_TYPE_UINT:
    case SEQ_TYPE_CHOICE:
      return *(const guint *) value == 0;
    case SEQ_TYPE_DOUBLE:
      return *(const double *) value == 0;
    case SEQ_TYPE_UINTS:
      return *(GVariant *const *) value == NULL;
    default:
      return FALSE;
  }
}

/* --- settings --------------------------------------------------------------
 */

void
seq_settings_copy (SeqSettings *to, const SeqSettings *from)
{
  *to = *from;
  to->model_file = g_strdup (from->model_file);
  if (to->lags)
    g_variant_ref (to->lags);
  if (to->options)
    g_variant_ref (to->options);
}

void
seq_settings_clear (SeqSettings *settings)
{
  g_clear_pointer (&settings->lags, g_variant_unref);
  g_clear_pointer (&settings->options, g_variant_unref);
  g_clear_pointer (&settings->model_file, g_free);
}

SeqLearn
seq_settings_way_to_learn (const SeqSettings *settings)
{
  const SeqKind *kind = seq_kind_find (settings->model);

  if (kind->flags & SEQ_KIND_LEARNS || settings->learn == SEQ_LEARN_GRADIENT)
    return SEQ_LEARN_GRADIENT;
  /* auto and on: what gains most on speech (the bench `learning`) */
  return settings->learn == SEQ_LEARN_READOUT ? SEQ_LEARN_READOUT
                                              : SEQ_LEARN_BOTH;
}

SeqChange
seq_settings_compare (const SeqSettings *a, const SeqSettings *b)
{
  SeqChange change = SEQ_CHANGE_NOTHING;

  for (SeqSetting id = 0; id < SEQ_N_SETTINGS; id++) {
    g_autofree char *before = seq_settings_print (a, id);
    g_autofree char *after = seq_settings_print (b, id);

    if (!g_str_equal (before, after))
      change = MAX (change, seq_setting_infos[id].change);
  }
  if (b->learning && !a->learning)
    change = MAX (change, SEQ_CHANGE_STREAM);
  if (seq_settings_way_to_learn (a) != seq_settings_way_to_learn (b))
    change = SEQ_CHANGE_MODEL;
  return change;
}

gboolean
seq_settings_name_model (const SeqSettings *settings)
{
  SeqSettings automatic = *settings;

  automatic.learn = SEQ_LEARN_AUTO;
  return settings->given || (settings->model_file && *settings->model_file)
         || seq_settings_way_to_learn (settings)
                != seq_settings_way_to_learn (&automatic);
}
