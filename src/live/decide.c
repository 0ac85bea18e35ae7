/* decide.c: which model runs on a stream, and how.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The model comes from a state, a file or the settings, in this order.
 */
#include "src/live/decide.h"
#include "src/layer.h"

#include <math.h>

#define SENSOR_RATE 1000 /* Hz; a slower signal is a sensor's, not sound */

/* --- what a model says of itself ------------------------------------------ */

static gboolean
is_net (const SeqKind *kind)
{
  return kind->title && !(kind->flags & SEQ_KIND_LEARNS);
}

/* Reads the settings that are options of the layer. */
static void
describe_options (GVariant *config, SeqSettings *description)
{
  for (SeqSetting id = 0; id < SEQ_N_SETTINGS; id++) {
    const SeqSettingInfo *info = &seq_setting_infos[id];
    gpointer value = G_STRUCT_MEMBER_P (description, info->offset);
    double number;

    if (!info->option)
      continue;
    if (info->type == SEQ_TYPE_UINTS) {
      GVariant *array =
          g_variant_lookup_value (config, info->option, G_VARIANT_TYPE ("au"));

      g_clear_pointer ((GVariant **) value, g_variant_unref);
      *(GVariant **) value = array;
      description->given |= array ? SEQ_BIT (id) : 0;
    } else if (seq_config_number (config, info->option, &number)) {
      if (info->type == SEQ_TYPE_DOUBLE)
        *(double *) value = number;
      else
        *(guint *) value = (guint) number;
      description->given |= SEQ_BIT (id);
    }
  }
}

void
seq_describe (const SeqModel *model, SeqSettings *description)
{
  SeqLayerFacts first = { NULL };
  guint n_net_layers = 0;

  description->given = 0;
  description->horizon = model->horizon;
  if (model->horizon > 0)
    description->given |= SEQ_BIT (SEQ_SETTING_HORIZON);
  for (guint i = 0; i < model->n_layers; i++) {
    SeqLayerFacts layer = seq_model_layer (model, i);

    if (layer.kind->title && !first.kind)
      first = layer;
    n_net_layers += is_net (layer.kind);
  }
  if (!first.kind)
    return; /* dense layers, convolutions */
  description->model = first.kind->name;
  description->layers = n_net_layers;
  description->skip = model->skip     ? SEQ_SKIP_ON
                      : model->linear ? SEQ_SKIP_AUTO
                                      : SEQ_SKIP_OFF;
  description->linear = model->linear ? SEQ_LINEAR_ON : SEQ_LINEAR_OFF;
  description->given |= SEQ_BIT (SEQ_SETTING_MODEL);
  if (is_net (first.kind))
    description->given |= SEQ_BIT (SEQ_SETTING_LAYERS)
                          | SEQ_BIT (SEQ_SETTING_RESIDUAL_CONNECTION)
                          | SEQ_BIT (SEQ_SETTING_LINEAR);
  else
    description->layers++;
  describe_options (first.config, description);
}

/* --- what a stream must have ---------------------------------------------- */

SeqNeeds
seq_find_needs (const SeqModel *model, const SeqSettings *settings)
{
  SeqNeeds needs = { .channel_mode = settings->channel_mode };

  if (model) {
    needs.n_signal = model->n_signal;
    needs.n_in = model->n_in;
    needs.n_out = model->n_out;
    if (settings->rate_mode == SEQ_RATE_MODEL)
      needs.rate = (guint) rint (model->rate);
  }
  return needs;
}

gboolean
seq_check_needs (const SeqNeeds *needs, const char *whose, guint n_channels,
    guint rate, GError **error)
{
  if (needs->rate > 0 && rate > 0 && rate != needs->rate) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE,
        "%s: the sample rate is %u Hz; expected %u Hz, the rate of the model: "
        "resample the stream (audioresample), or set rate-mode=ignore",
        whose, rate, needs->rate);
    return FALSE;
  }
  if (needs->n_signal > 0 && n_channels > 0
      && seq_stream_channels_per_lane (needs->n_signal, needs->n_in,
             needs->channel_mode, n_channels, error)
             == 0) {
    g_prefix_error (error, "%s: ", whose);
    return FALSE;
  }
  return TRUE;
}

/* --- a model that is built from the settings ------------------------------ */

/* Whether the model reads all of `model-options`. */
static gboolean
check_options (const SeqKind *kind, GVariant *options, GError **error)
{
  const SeqKind *readout = seq_kind_find ("readout");
  GVariantIter iter;
  const char *key;

  g_variant_iter_init (&iter, options);
  while (g_variant_iter_next (&iter, "{&sv}", &key, NULL))
    if (!seq_kind_has_option (kind, key)
        && !(is_net (kind)
             && (seq_kind_has_option (readout, key)
                 || seq_model_linear_reads (key)))) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
          "model-options: %s has no option '%s'", kind->name, key);
      return FALSE;
    }
  return TRUE;
}

/* Whether a net is to stand around a linear forecaster. */
static gboolean
wants_linear (const SeqSettings *settings)
{
  if (settings->linear == SEQ_LINEAR_AUTO)
    return settings->horizon == 1 && settings->skip == SEQ_SKIP_AUTO;
  return settings->linear == SEQ_LINEAR_ON;
}

/* `model-options` with the settings that are options, too, above them. rate: of
 * the stream, or 0. */
static GVariant *
collect_options (const SeqSettings *settings, guint rate)
{
  GVariantDict dict;

  g_variant_dict_init (&dict, settings->options);
  for (SeqSetting id = 0; id < SEQ_N_SETTINGS; id++) {
    const SeqSettingInfo *info = &seq_setting_infos[id];
    gconstpointer value = G_STRUCT_MEMBER_P (settings, info->offset);

    if (!info->option || seq_settings_is_default (settings, id))
      continue;
    if (info->type == SEQ_TYPE_UINTS)
      g_variant_dict_insert_value (
          &dict, info->option, *(GVariant *const *) value);
    else if (info->type == SEQ_TYPE_DOUBLE)
      g_variant_dict_insert (&dict, info->option, "d", *(const double *) value);
    else
      g_variant_dict_insert (&dict, info->option, "u", *(const guint *) value);
  }
  if (rate > 0 && rate < SENSOR_RATE
      && !g_variant_dict_contains (&dict, "sensor"))
    g_variant_dict_insert (&dict, "sensor", "u", 1);
  if (wants_linear (settings))
    g_variant_dict_insert (&dict, "linear", "u", 1);
  return g_variant_dict_end (&dict);
}

static SeqModel *
build_model (
    const SeqSettings *settings, guint n_channels, guint rate, GError **error)
{
  guint n_signal =
      settings->channel_mode == SEQ_CHANNELS_JOINT ? n_channels : 1;

  if (settings->horizon == 0) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "horizon is 0; expected 1 or more without a model file: 0 is for a "
        "file that is an effect");
    return NULL;
  }
  if (settings->options
      && !check_options (
          seq_kind_find (settings->model), settings->options, error))
    return NULL;
  return seq_model_new_untrained (settings->model,
      collect_options (settings, rate), n_signal, settings->layers,
      seq_settings_way_to_learn (settings) != SEQ_LEARN_GRADIENT,
      settings->skip != SEQ_SKIP_OFF, settings->seed, error);
}

/* --- a model from a file -------------------------------------------------- */

/* Settings must agree with what the file says. */
static gboolean
check_agreement (
    const SeqSettings *settings, const SeqModelFile *file, GError **error)
{
  g_auto (SeqSettings) of_file = { 0 };

  seq_describe (file->model, &of_file);
  for (SeqSetting id = 0; id < SEQ_N_SETTINGS; id++) {
    g_autofree char *is = NULL, *expected = NULL;

    if (!(settings->given & of_file.given & SEQ_BIT (id))
        || seq_settings_is_default (settings, id))
      continue;
    is = seq_settings_print (settings, id);
    expected = seq_settings_print (&of_file, id);
    if (g_str_equal (is, expected))
      continue;
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "%s is %s; expected %s, as in %s, or leave it unset",
        seq_setting_infos[id].name, is, expected, file->path);
    return FALSE;
  }
  return TRUE;
}

/* auto: not at all. */
static SeqLearn
way_to_learn_file (const SeqSettings *settings, const SeqModel *model)
{
  const SeqKind *last = seq_model_layer (model, model->n_layers - 1).kind;

  switch (settings->learn) {
    case SEQ_LEARN_AUTO:
      return SEQ_LEARN_OFF;
    case SEQ_LEARN_ON:
      return g_str_equal (last->name, "dense") ? SEQ_LEARN_BOTH
                                               : SEQ_LEARN_GRADIENT;
    default:
      return settings->learn;
  }
}

/* The file's model, able to learn in the way of config, which becomes
 * the model's own if it has one. */
static SeqModel *
adapt_model (const SeqModelFile *file, const SeqSettings *settings,
    SeqStreamConfig *config, GError **error)
{
  SeqModel *model = file->model;
  const SeqKind *last = seq_model_layer (model, model->n_layers - 1).kind;
  GVariantDict options;

  if (config->learn != SEQ_LEARN_OFF && config->horizon == 0) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "%s: horizon is 0, so it is an effect; expected 1 or more to learn "
        "from the stream: leave learn at auto, or set horizon if the model "
        "forecasts",
        file->path);
    return NULL;
  }
  if (config->learn != SEQ_LEARN_OFF && last->flags & SEQ_KIND_LEARNS)
    config->learn = SEQ_LEARN_GRADIENT;
  if (config->learn != SEQ_LEARN_READOUT && config->learn != SEQ_LEARN_BOTH)
    return seq_model_ref (model);
  g_variant_dict_init (&options, NULL);
  g_variant_dict_insert (&options, "horizon", "u", config->horizon);
  if (settings->forgetting != 0)
    g_variant_dict_insert (&options, "forgetting", "d", settings->forgetting);
  return seq_model_with_readout (model, g_variant_dict_end (&options), error);
}

/* --- the decision --------------------------------------------------------- */

static SeqModel *
convert_precision (SeqModel *model, const SeqSettings *settings, GError **error)
{
  g_autofree char *precision =
      seq_settings_print (settings, SEQ_SETTING_PRECISION);
  g_autoptr (SeqModel) exact = model;

  if (!model || settings->precision == 0)
    return g_steal_pointer (&exact);
  return seq_model_with_precision (exact, precision, error);
}

SeqModel *
seq_decide (
    const SeqQuestion *question, SeqStreamConfig *config, GError **error)
{
  const SeqSettings *settings = question->settings;
  const SeqModelFile *file = question->saved_model ? NULL : question->file;
  SeqModel *found = file ? file->model : question->saved_model;
  SeqNeeds needs = seq_find_needs (found, settings);

  if (!seq_check_needs (&needs, file ? file->path : "the state",
          question->n_channels, question->rate, error))
    return NULL;
  *config = (SeqStreamConfig){
    .learn = file ? way_to_learn_file (settings, file->model)
                  : seq_settings_way_to_learn (settings),
    .learning_rate = settings->learning_rate,
    .window = settings->window,
    .horizon = settings->horizon,
    .channel_mode = settings->channel_mode,
    .max_memory = settings->max_memory,
  };
  if (!settings->learning && !question->keeps_learner)
    config->learn = SEQ_LEARN_OFF;
  /* 0 in a file may mean that the format cannot say it */
  if (file
      && (file->model->horizon > 0
          || !(settings->given & SEQ_BIT (SEQ_SETTING_HORIZON))))
    config->horizon = file->model->horizon;
  config->clamp = settings->clamp == SEQ_CLAMP_AUTO
                      ? config->horizon > 0
                      : settings->clamp == SEQ_CLAMP_ON;
  if (question->saved_model)
    return seq_model_ref (question->saved_model);
  if (!file)
    return convert_precision (
        build_model (
            settings, MAX (question->n_channels, 1), question->rate, error),
        settings, error);
  if (!check_agreement (settings, file, error))
    return NULL;
  return convert_precision (
      adapt_model (file, settings, config, error), settings, error);
}
