/* filter-properties.c: the properties of seqfilter.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "plugin/filter.h"

#include "src/io/load.h"
#include "src/model.h"

/* The first nick of a value is the core's name of the kind. */
const GEnumValue gst_seq_filter_models[] = {
  { NAIVE, "Nearest neighbours in everything heard so far", "naive" },
  { AR, "Linear in the last samples (recursive least squares)", "ar" },
  { MARKOV, "Transitions between quantised levels", "markov" },
  { RNN, "Elman's recurrent network", "rnn" },
  { LSTM, "Long short-term memory", "lstm" },
  { GRU, "Gated recurrent unit", "gru" },
  { AR, "The same as ar", "autoregressive" },
  { RNN, "The same as rnn", "elman" },
  { 0, NULL, NULL },
};

static const GEnumValue learns[] = {
  { LEARN_AUTO, "On, but off for a model from a file", "auto" },
  { LEARN_OFF, "Nothing is learnt; what was learnt stays", "off" },
  { LEARN_GRADIENT, "Truncated back-propagation through time", "gradient" },
  { LEARN_READOUT, "The read-out alone, by recursive least squares",
      "readout" },
  { LEARN_BOTH,
      "The read-out by recursive least squares, the layers before it by "
      "gradient",
      "both" },
  { LEARN_ON, "What measured best for the model", "on" },
  { 0, NULL, NULL },
};

static const GEnumValue switches[] = {
  { SWITCH_AUTO, "What measured best for the model", "auto" },
  { SWITCH_OFF, "Off", "off" },
  { SWITCH_ON, "On", "on" },
  { 0, NULL, NULL },
};

const GEnumValue gst_seq_filter_precisions[] = {
  { 0, "Weights are 32-bit floats", "float" },
  { 1, "Recurrent weights are 16-bit integers, with a scale a row", "int16" },
  { 2, "Recurrent weights are 8-bit integers, with a scale a row", "int8" },
  { 0, NULL, NULL },
};

static const GEnumValue channel_modes[] = {
  { SEQ_CHANNELS_AUTO, "Joint if the model was made for so many channels",
      "auto" },
  { SEQ_CHANNELS_INDEPENDENT, "Each channel has a state of its own",
      "independent" },
  { SEQ_CHANNELS_JOINT, "All channels are one input vector", "joint" },
  { 0, NULL, NULL },
};

static const GEnumValue rate_modes[] = {
  { RATE_MODEL, "The stream has the rate that the model was made for",
      "model" },
  { RATE_IGNORE, "The model runs at any rate", "ignore" },
  { 0, NULL, NULL },
};

static const GFlagsValue emits[] = {
  { 1 << SEQ_OUTPUT_INPUT, "The input, bit for bit", "input" },
  { 1 << SEQ_OUTPUT_PREDICTION, "What the model forecasts", "prediction" },
  { 1 << SEQ_OUTPUT_RESIDUAL, "The input less the forecast made for it",
      "residual" },
  { 1 << SEQ_OUTPUT_SCORE,
      "Surprise: the residual's size over its running RMS, or for markov "
      "-log2 of the probability of what came (integer formats: / 256)",
      "score" },
  { 0, NULL, NULL },
};

/* Whole numbers stand for what the option wants; whether it is one at all, who
 * reads it says. */
GVariant *
gst_seq_options (const GstStructure *options)
{
  GVariantDict dict;

  g_variant_dict_init (&dict, NULL);
  for (gint i = 0; options && i < gst_structure_n_fields (options); i++) {
    const char *field = gst_structure_nth_field_name (options, (guint) i);
    const GValue *value = gst_structure_get_value (options, field);
    g_autofree char *key = g_strdelimit (g_strdup (field), "-", '_');
    GValue number = G_VALUE_INIT;

    g_value_init (&number, G_TYPE_DOUBLE);
    if (G_VALUE_HOLDS_STRING (value)) {
      g_variant_dict_insert (&dict, key, "s", g_value_get_string (value));
    } else if (!G_VALUE_HOLDS_BOOLEAN (value)
               && g_value_transform (value, &number)) {
      double x = g_value_get_double (&number);

      if (g_str_equal (key, "rate") || x < 0 || x != (guint) x)
        g_variant_dict_insert (&dict, key, "d", x);
      else
        g_variant_dict_insert (&dict, key, "u", (guint) x);
    } else {
      g_variant_dict_insert (&dict, key, "b", TRUE); /* of no option's type */
    }
    g_value_unset (&number);
  }
  return g_variant_ref_sink (g_variant_dict_end (&dict));
}

static GType
enum_type (const char *name, const GEnumValue *values)
{
  GType type = g_enum_register_static (name, values);

  gst_type_mark_as_plugin_api (type, 0);
  return type;
}

static GType
emit_type (void)
{
  GType type = g_flags_register_static ("GstSeqFilterEmit", emits);

  gst_type_mark_as_plugin_api (type, 0);
  return type;
}

GParamSpec *gst_seq_filter_props[N_PROPS];

const Settings gst_seq_default_settings = {
  .emit = 1 << SEQ_OUTPUT_PREDICTION,
  .learning = TRUE,
  .interval = 100 * GST_MSECOND,
  .mix = 1,
};

const Shape gst_seq_default_shape = {
  .model = LSTM,
  .hidden_size = 20,
  .layers = 1,
  .horizon = 1,
  .window = 64,
  .learning_rate = 3e-3,
};

static void
get_lags (const Shape *shape, GValue *value)
{
  gsize n = 0;
  const guint32 *lags = shape->lags ? g_variant_get_fixed_array (
                            shape->lags, &n, sizeof (guint32))
                                    : NULL;
  GValue lag = G_VALUE_INIT;

  for (gsize i = 0; i < n; i++) {
    g_value_init (&lag, G_TYPE_INT);
    g_value_set_int (&lag, (gint) lags[i]);
    gst_value_array_append_and_take_value (value, &lag);
    lag = (GValue) G_VALUE_INIT;
  }
}

/* The member that a plain number of the shape lives in, and what goes stale
 * with it; NULL for other properties. */
static gpointer
shape_member (Shape *shape, guint id, guint *stale)
{
  *stale = STALE_STREAM | STALE_MODEL;
  switch (id) {
    case PROP_MODEL:
      return &shape->model;
    case PROP_HIDDEN_SIZE:
      return &shape->hidden_size;
    case PROP_LAYERS:
      return &shape->layers;
    case PROP_ORDER:
      return &shape->order;
    case PROP_STATES:
      return &shape->states;
    case PROP_HISTORY:
      return &shape->history;
    case PROP_HORIZON:
      return &shape->horizon;
    case PROP_FORGETTING:
      return &shape->forgetting;
    case PROP_SEED:
      return &shape->seed;
    case PROP_RESIDUAL_CONNECTION:
      return &shape->skip;
    case PROP_CHANNEL_MODE:
      return &shape->channel_mode;
    case PROP_PRECISION:
      return &shape->precision;
    case PROP_WINDOW:
      *stale = STALE_STREAM;
      return &shape->window;
    case PROP_LEARNING_RATE:
      *stale = STALE_STREAM;
      return &shape->learning_rate;
    default:
      *stale = 0;
      return NULL;
  }
}

static void
get_number (gconstpointer number, GValue *value)
{
  if (G_VALUE_HOLDS_DOUBLE (value))
    g_value_set_double (value, *(const double *) number);
  else if (G_VALUE_HOLDS_UINT64 (value))
    g_value_set_uint64 (value, *(const guint64 *) number);
  else if (G_VALUE_HOLDS_ENUM (value))
    g_value_set_enum (value, (gint) * (const guint *) number);
  else
    g_value_set_uint (value, *(const guint *) number);
}

void
gst_seq_filter_get_shape (Shape *shape, guint id, GValue *value)
{
  guint stale;

  if (id == PROP_LAGS)
    get_lags (shape, value);
  else
    get_number (shape_member (shape, id, &stale), value);
}

gboolean
gst_seq_filter_is_nothing (const GValue *value)
{
  return G_VALUE_HOLDS_UINT (value)      ? g_value_get_uint (value) == 0
         : G_VALUE_HOLDS_ENUM (value)    ? g_value_get_enum (value) == 0
         : G_VALUE_HOLDS_DOUBLE (value)  ? g_value_get_double (value) == 0
         : GST_VALUE_HOLDS_ARRAY (value) ? gst_value_array_get_size (value) == 0
                                         : FALSE;
}

static void
set_lags (Shape *shape, const GValue *value)
{
  guint n = gst_value_array_get_size (value);
  GVariantBuilder builder;

  g_clear_pointer (&shape->lags, g_variant_unref);
  if (n == 0)
    return;
  g_variant_builder_init (&builder, G_VARIANT_TYPE ("au"));
  for (guint i = 0; i < n; i++)
    g_variant_builder_add (&builder, "u",
        (guint) g_value_get_int (gst_value_array_get_value (value, i)));
  shape->lags = g_variant_ref_sink (g_variant_builder_end (&builder));
}

static void
set_learn (GstSeqFilter *self, guint learn)
{
  SeqLearn before = gst_seq_filter_resolve_learner (&self->shape);

  self->settings.learning = learn != LEARN_OFF;
  if (learn == LEARN_OFF)
    return; /* what was learnt stays */
  self->shape.learner = learn;
  self->stale |= STALE_STREAM;
  if (gst_seq_filter_resolve_learner (&self->shape) != before) {
    self->stale |= STALE_MODEL;
    self->shaped = TRUE;
  }
}

static void
set_params (GstSeqFilter *self, const GValue *value)
{
  guint n = gst_value_array_get_size (value);

  if (n > MAX_PARAMS)
    g_warning ("params: the first %u of %u values are taken", MAX_PARAMS, n);
  self->n_params = MAX (self->n_params, MIN (n, MAX_PARAMS));
  for (guint i = 0; i < self->n_params; i++)
    self->params[i] =
        i < n ? g_value_get_double (gst_value_array_get_value (value, i)) : 0;
}

static void
get_params (const GstSeqFilter *self, GValue *value)
{
  for (guint i = 0; i < self->n_params; i++) {
    GValue param = G_VALUE_INIT;

    g_value_init (&param, G_TYPE_DOUBLE);
    g_value_set_double (&param, self->params[i]);
    gst_value_array_append_and_take_value (value, &param);
  }
}

/* Numbers of the shape are guint (enums too), guint64 or double. */
static gboolean
set_number (gpointer number, const GValue *value)
{
  guint u;

  if (G_VALUE_HOLDS_DOUBLE (value)) {
    double before = *(double *) number;

    return (*(double *) number = g_value_get_double (value)) != before;
  }
  if (G_VALUE_HOLDS_UINT64 (value)) {
    guint64 before = *(guint64 *) number;

    return (*(guint64 *) number = g_value_get_uint64 (value)) != before;
  }
  u = *(guint *) number;
  *(guint *) number = G_VALUE_HOLDS_ENUM (value)
                          ? (guint) g_value_get_enum (value)
                          : g_value_get_uint (value);
  return *(guint *) number != u;
}

/* Before caps a state that is none is remembered, and refused by start(). */
static void
set_state_property (GstSeqFilter *self, GBytes *bytes)
{
  g_autoptr (GError) error = NULL;
  gboolean running;

  if (!bytes || gst_seq_filter_set_state (self, bytes, &error)) {
    g_mutex_lock (&self->build_lock);
    g_clear_error (&self->refused);
    g_mutex_unlock (&self->build_lock);
    return;
  }
  g_mutex_lock (&self->build_lock);
  running = GST_AUDIO_INFO_IS_VALID (&self->info);
  if (!running) {
    g_clear_error (&self->refused);
    self->refused = g_error_copy (error);
  }
  g_mutex_unlock (&self->build_lock);
  if (running)
    GST_ELEMENT_WARNING (self, STREAM, DECODE, ("state: %s", error->message),
        ("what ran before goes on"));
}

void
gst_seq_filter_set_property (
    GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstSeqFilter *self = GST_SEQ_FILTER (object);
  Settings *settings = &self->settings;
  guint emit, rate_mode, stale;
  gpointer member;

  if (id == PROP_STATE) {
    set_state_property (self, g_value_get_boxed (value));
    return;
  }
  GST_OBJECT_LOCK (self);
  emit = settings->emit;
  rate_mode = self->rate_mode;
  member = shape_member (&self->shape, id, &stale);
  if (member && set_number (member, value))
    self->stale |= stale;
  if (stale & STALE_MODEL) {
    self->shaped = TRUE;
    self->said |= BIT (id);
  }
  switch (id) {
    case PROP_LAGS:
      set_lags (&self->shape, value);
      self->stale |= STALE_MODEL;
      self->said |= BIT (id);
      self->shaped = TRUE;
      break;
    case PROP_MODEL_FILE:
      g_free (self->model_file);
      self->model_file = g_value_dup_string (value);
      self->file_serial++;
      self->stale |= STALE_FILE;
      self->shaped |= self->model_file && *self->model_file;
      break;
    case PROP_MODEL_OPTIONS:
      g_clear_pointer (&self->model_options, gst_structure_free);
      self->model_options = g_value_dup_boxed (value);
      self->file_serial++;
      self->stale |= STALE_FILE;
      break;
    case PROP_RATE_MODE:
      self->rate_mode = (guint) g_value_get_enum (value);
      break;
    case PROP_PARAMS:
      set_params (self, value);
      break;
    case PROP_LEARN:
      set_learn (self, (guint) g_value_get_enum (value));
      break;
    case PROP_EMIT:
      settings->emit = g_value_get_flags (value);
      break;
    case PROP_POST_MESSAGES:
      settings->post_messages = g_value_get_boolean (value);
      break;
    case PROP_INTERVAL:
      settings->interval = g_value_get_uint64 (value);
      break;
    case PROP_MIX:
      settings->mix = g_value_get_double (value);
      break;
    case PROP_STATE_FILE:
      g_free (self->state_file);
      self->state_file = g_value_dup_string (value);
      break;
    default:
      if (id >= PROP_PARAM1 && id < PROP_PARAM1 + N_KNOBS) {
        self->params[id - PROP_PARAM1] = g_value_get_double (value);
        self->n_params = MAX (self->n_params, id - PROP_PARAM1 + 1);
      } else if (!member) {
        G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
      }
      break;
  }
  emit ^= settings->emit;
  rate_mode ^= self->rate_mode;
  GST_OBJECT_UNLOCK (self);
  if (rate_mode)
    gst_base_transform_reconfigure_sink (GST_BASE_TRANSFORM (self));
  if (emit)
    gst_base_transform_reconfigure_src (GST_BASE_TRANSFORM (self));
}

void
gst_seq_filter_get_property (
    GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  GstSeqFilter *self = GST_SEQ_FILTER (object);
  const Settings *settings = &self->settings;
  Shape *shape;
  guint stale;
  gpointer member;

  if (id == PROP_STATE) {
    g_value_take_boxed (value, gst_seq_filter_get_state (self));
    return;
  }
  if (id == PROP_STATS) {
    g_value_take_boxed (value, gst_seq_filter_get_stats (self));
    return;
  }
  GST_OBJECT_LOCK (self);
  shape = self->holds & ~self->said & BIT (id) ? &self->held : &self->shape;
  member = shape_member (shape, id, &stale);
  if (member)
    get_number (member, value);
  switch (id) {
    case PROP_LAGS:
      get_lags (shape, value);
      break;
    case PROP_MODEL_FILE:
      g_value_set_string (value, self->model_file);
      break;
    case PROP_MODEL_OPTIONS:
      g_value_set_boxed (value, self->model_options);
      break;
    case PROP_RATE_MODE:
      g_value_set_enum (value, (gint) self->rate_mode);
      break;
    case PROP_PARAMS:
      get_params (self, value);
      break;
    case PROP_LEARN:
      g_value_set_enum (
          value, settings->learning ? (gint) self->shape.learner : LEARN_OFF);
      break;
    case PROP_EMIT:
      g_value_set_flags (value, settings->emit);
      break;
    case PROP_POST_MESSAGES:
      g_value_set_boolean (value, settings->post_messages);
      break;
    case PROP_INTERVAL:
      g_value_set_uint64 (value, settings->interval);
      break;
    case PROP_MIX:
      g_value_set_double (value, settings->mix);
      break;
    case PROP_STATE_FILE:
      g_value_set_string (value, self->state_file);
      break;
    default:
      if (id >= PROP_PARAM1 && id < PROP_PARAM1 + N_KNOBS)
        g_value_set_double (value, self->params[id - PROP_PARAM1]);
      else if (!member)
        G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
      break;
  }
  GST_OBJECT_UNLOCK (self);
}

void
gst_seq_filter_install_properties (GObjectClass *klass)
{
  const GParamFlags flags =
      G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING;
  const Settings *settings = &gst_seq_default_settings;
  const Shape *shape = &gst_seq_default_shape;
  /* g_strjoinv() does not change them */
  g_autofree char *formats = g_strjoinv (", ", (char **) seq_model_formats ());
  g_autofree char *about_files = g_strdup_printf (
      "Trained model to run: %s; found by content. It says what the model is: "
      "properties that say so too must agree. Set again it is read again; "
      "while data flows the new model fades in within 10 ms, and one that does "
      "not load leaves the old one running",
      formats);
  g_autofree char *hints = seq_hints_help ();
  g_autofree char *about_options = g_strdup_printf (
      "What the model file cannot say, as fields: %s. For example: "
      "options,nonlinearity=relu,residual=1. Without a file, what the other "
      "properties don't say: nonlinearity of an rnn, reset_after (0, 1) of a "
      "gru, chrono (frames), quantizer (uniform, mu-law), range and smoothing "
      "of markov, neighbours of naive, regularization of ar and read-outs",
      hints);

  gst_seq_filter_props[PROP_MODEL] = g_param_spec_enum ("model", "Model",
      "The model that predicts. What it had learnt goes when another comes",
      enum_type ("GstSeqFilterModel", gst_seq_filter_models),
      (gint) shape->model, flags);
  gst_seq_filter_props[PROP_MODEL_FILE] = g_param_spec_string ("model-file",
      "Model file", about_files, NULL, flags & ~G_PARAM_STATIC_BLURB);
  gst_seq_filter_props[PROP_MODEL_OPTIONS] =
      g_param_spec_boxed ("model-options", "Model options", about_options,
          GST_TYPE_STRUCTURE, flags & ~G_PARAM_STATIC_BLURB);
  gst_seq_filter_props[PROP_RATE_MODE] =
      g_param_spec_enum ("rate-mode", "Rate mode",
          "Whether caps have the sample rate that the model file names",
          enum_type ("GstSeqFilterRateMode", rate_modes), RATE_MODEL, flags);
  gst_seq_filter_props[PROP_PARAMS] = gst_param_spec_array ("params", "Params",
      "Knobs of a conditioned model file, 0 to 1 each (0 where there is no "
      "value). A knob that is set goes there in a line of 20 ms",
      g_param_spec_double ("param", "Param", "A knob", 0, 1, 0,
          G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS),
      flags);
  for (guint i = 0; i < N_KNOBS; i++) {
    char *name = g_strdup_printf ("param%u", i + 1);
    char *nick = g_strdup_printf ("Param %u", i + 1);
    char *blurb = g_strdup_printf ("Value %u of params, for a controller: a "
                                   "knob follows its curve frame by frame",
        i + 1);

    gst_seq_filter_props[PROP_PARAM1 + i] =
        g_param_spec_double (name, nick, blurb, 0, 1, 0,
            (flags & ~G_PARAM_STATIC_STRINGS) | GST_PARAM_CONTROLLABLE);
    g_free (name);
    g_free (nick);
    g_free (blurb);
  }
  gst_seq_filter_props[PROP_HIDDEN_SIZE] = g_param_spec_uint ("hidden-size",
      "Hidden size", "Units of each recurrent layer (rnn, lstm, gru)", 1, 4096,
      shape->hidden_size, flags);
  gst_seq_filter_props[PROP_LAYERS] = g_param_spec_uint ("layers", "Layers",
      "Recurrent layers, each on top of the one before (rnn, lstm, gru)", 1, 64,
      shape->layers, flags);
  gst_seq_filter_props[PROP_ORDER] = g_param_spec_uint ("order", "Order",
      "Latest samples that a forecast looks at: ar's regressors, or the "
      "stretch that naive compares with the past (0 = 32 for ar, 16 for naive)",
      0, 4096, shape->order, flags);
  gst_seq_filter_props[PROP_LAGS] = gst_param_spec_array ("lags", "Lags",
      "Samples that ar looks at instead of the last `order`, counted back "
      "from the one to be forecast less horizon - 1: <1,2,24> (empty = the "
      "last `order`)",
      g_param_spec_int ("lag", "Lag", "A lag in frames", 1, G_MAXINT, 1,
          G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS),
      flags);
  gst_seq_filter_props[PROP_STATES] = g_param_spec_uint ("states", "States",
      "Levels that markov quantises to (0 = 64)", 0, 4096, shape->states,
      flags);
  gst_seq_filter_props[PROP_HISTORY] = g_param_spec_uint ("history", "History",
      "Frames of the past that naive keeps and searches (0 = 16384)", 0,
      G_MAXINT, shape->history, flags);
  gst_seq_filter_props[PROP_HORIZON] = g_param_spec_uint ("horizon", "Horizon",
      "Frames that a forecast looks ahead. Timestamps stay those of the frame "
      "it was made at. 0 = a model file that is an effect",
      0, 65536, shape->horizon, flags);
  gst_seq_filter_props[PROP_LEARN] = g_param_spec_enum ("learn", "Learn",
      "How the model learns while the stream goes by. naive, ar and markov "
      "have one way, and take any but off. Off keeps what was learnt. A model "
      "file learns if told to, and if it forecasts",
      enum_type ("GstSeqFilterLearn", learns), LEARN_AUTO, flags);
  gst_seq_filter_props[PROP_LEARNING_RATE] =
      g_param_spec_double ("learning-rate", "Learning rate",
          "Adam's step (learn=gradient)", 1e-9, 1, shape->learning_rate, flags);
  gst_seq_filter_props[PROP_WINDOW] = g_param_spec_uint ("window", "Window",
      "Frames that an update looks back over (learn=gradient: truncated "
      "back-propagation through time)",
      1, 4096, shape->window, flags);
  gst_seq_filter_props[PROP_FORGETTING] = g_param_spec_double ("forgetting",
      "Forgetting",
      "What the past still counts a frame later; 1 = nothing is forgotten "
      "(ar, markov, learn=readout and both; 0 = the model's own: ar 0.9998, "
      "markov 1)",
      0, 1, shape->forgetting, flags);
  gst_seq_filter_props[PROP_SEED] = g_param_spec_uint64 ("seed", "Seed",
      "Of the random start of the weights; the same seed and stream give the "
      "same bits",
      0, G_MAXUINT64, shape->seed, flags);
  gst_seq_filter_props[PROP_RESIDUAL_CONNECTION] = g_param_spec_enum (
      "residual-connection", "Residual connection",
      "A net predicts the change from the sample before (rnn, lstm, gru)",
      enum_type ("GstSeqFilterSwitch", switches), (gint) shape->skip, flags);
  gst_seq_filter_props[PROP_CHANNEL_MODE] =
      g_param_spec_enum ("channel-mode", "Channel mode",
          "Whether channels are modelled each alone, or as one vector. Auto: "
          "alone, unless a model was made for so many",
          enum_type ("GstSeqFilterChannelMode", channel_modes),
          (gint) shape->channel_mode, flags);
  gst_seq_filter_props[PROP_PRECISION] = g_param_spec_enum ("precision",
      "Precision",
      "How recurrent weights are stored (rnn, lstm, gru). Integers read fewer "
      "bytes, which pays from 64 units on, and do not learn by gradient",
      enum_type ("GstSeqFilterPrecision", gst_seq_filter_precisions),
      (gint) shape->precision, flags);
  gst_seq_filter_props[PROP_EMIT] = g_param_spec_flags ("emit", "Emit",
      "What leaves, as groups of channels in this order. `input` alone is "
      "true passthrough, and the model listens",
      emit_type (), settings->emit, flags);
  gst_seq_filter_props[PROP_POST_MESSAGES] = g_param_spec_boolean (
      "post-messages", "Post messages",
      "Post an element message `seqfilter` with prediction gain and residual "
      "each interval",
      settings->post_messages, flags);
  gst_seq_filter_props[PROP_INTERVAL] = g_param_spec_uint64 ("interval",
      "Interval", "Time between messages, in nanoseconds; at least a frame", 1,
      G_MAXUINT64, settings->interval, flags);
  gst_seq_filter_props[PROP_MIX] = g_param_spec_double ("mix", "Mix",
      "Share of the forecast in the prediction that leaves; the rest is input",
      0, 1, settings->mix, flags | GST_PARAM_CONTROLLABLE);
  gst_seq_filter_props[PROP_STATE] = g_param_spec_boxed ("state", "State",
      "Everything learnt and carried, and the model: written to another "
      "seqfilter it goes on there to the bit (NULL = nothing yet)",
      G_TYPE_BYTES, flags);
  gst_seq_filter_props[PROP_STATE_FILE] = g_param_spec_string ("state-file",
      "State file",
      "File that the state is read from at start, if it exists, and written "
      "to at EOS, at stop and by the action `save`. If properties say what "
      "the model is, they must fit; else the file brings it",
      NULL, flags);
  gst_seq_filter_props[PROP_STATS] = g_param_spec_boxed ("stats", "Statistics",
      "What runs: isa, model-file, format, layers, precision, parameters, rate "
      "(Hz, 0 = "
      "any), state-bytes. Since the start: frames, non-finite samples, "
      "rewinds, updates, rollbacks, swaps of model files, load-failures. Since "
      "the last message or flush, per channel: prediction-gain (dB), "
      "residual-rms, score-peak",
      GST_TYPE_STRUCTURE, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  g_object_class_install_properties (klass, N_PROPS, gst_seq_filter_props);
}
