/* filter-model.c: which model is to run: from properties, a file or a state;
 * and how what it has learnt is kept.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Control threads, but for EOS, which saves.
 */
#include "plugin/filter.h"

#include <math.h>

#include "src/io/load.h"
#include "src/live/snapshot.h"
#include "src/model.h"

#define FADE (10 * GST_MSECOND) /* from one model file to the next */

/* What of a shape the layers read, by the core's name. */
static const struct {
  const char *key;
  guint id;
  gsize offset;
  gboolean is_double;
} options[] = {
  { "hidden_size", PROP_HIDDEN_SIZE, G_STRUCT_OFFSET (Shape, hidden_size) },
  { "order", PROP_ORDER, G_STRUCT_OFFSET (Shape, order) },
  { "states", PROP_STATES, G_STRUCT_OFFSET (Shape, states) },
  { "history", PROP_HISTORY, G_STRUCT_OFFSET (Shape, history) },
  { "horizon", PROP_HORIZON, G_STRUCT_OFFSET (Shape, horizon) },
  { "forgetting", PROP_FORGETTING, G_STRUCT_OFFSET (Shape, forgetting), TRUE },
};

/* --- building (control threads; the build lock is held) ------------------- */

static gboolean
is_net (guint model)
{
  return model >= RNN;
}

/* What auto means: of the ways of a net, the one that gains most on speech
 * (the bench `learning`); the other models have one way. */
SeqLearn
gst_seq_filter_resolve_learner (const Shape *shape)
{
  if (!is_net (shape->model) || shape->learner == LEARN_GRADIENT)
    return SEQ_LEARN_GRADIENT;
  return shape->learner == LEARN_READOUT ? SEQ_LEARN_READOUT : SEQ_LEARN_BOTH;
}

/* Whether a model made here reads every one of `model-options`. */
static gboolean
check_options (const char *kind, GVariant *given, GError **error)
{
  const SeqKind *about = seq_kind_find (kind);
  const SeqKind *readout = seq_kind_find ("readout");
  GVariantIter iter;
  const char *key;

  g_variant_iter_init (&iter, given);
  while (g_variant_iter_next (&iter, "{&sv}", &key, NULL))
    if (!g_strv_contains (about->options, key)
        && (about->flags & SEQ_KIND_LEARNS
            || !g_strv_contains (readout->options, key))) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
          "model-options: %s has no option '%s'", kind, key);
      return FALSE;
    }
  return TRUE;
}

/* given: `model-options`; the properties stand above them. */
static SeqModel *
model_new (
    const Shape *shape, GVariant *given, guint n_channels, GError **error)
{
  const char *kind = gst_seq_filter_models[shape->model].value_nick;
  GVariantDict dict;
  guint n_signal = shape->channel_mode == SEQ_CHANNELS_JOINT ? n_channels : 1;

  if (!check_options (kind, given, error))
    return NULL;
  g_variant_dict_init (&dict, given);
  for (guint i = 0; i < G_N_ELEMENTS (options); i++) {
    gpointer at = G_STRUCT_MEMBER_P (shape, options[i].offset);

    if (options[i].is_double && *(double *) at != 0)
      g_variant_dict_insert (&dict, options[i].key, "d", *(double *) at);
    else if (!options[i].is_double && *(guint *) at != 0)
      g_variant_dict_insert (&dict, options[i].key, "u", *(guint *) at);
  }
  if (shape->lags)
    g_variant_dict_insert_value (&dict, "lags", shape->lags);
  return seq_model_new_untrained (kind, g_variant_dict_end (&dict), n_signal,
      shape->layers,
      gst_seq_filter_resolve_learner (shape) != SEQ_LEARN_GRADIENT,
      shape->skip != SWITCH_OFF, shape->seed, error);
}

static void
copy_settings (GstSeqFilter *self, Settings *settings, Shape *shape)
{
  GST_OBJECT_LOCK (self);
  *settings = self->settings;
  *shape = self->shape;
  if (shape->lags)
    g_variant_ref (shape->lags);
  GST_OBJECT_UNLOCK (self);
}

static gboolean
read_number (GVariant *dict, const char *key, double *number)
{
  g_autoptr (GVariant) value = g_variant_lookup_value (dict, key, NULL);

  if (!value)
    return FALSE;
  if (g_variant_is_of_type (value, G_VARIANT_TYPE_UINT32))
    *number = g_variant_get_uint32 (value);
  else if (g_variant_is_of_type (value, G_VARIANT_TYPE_INT32))
    *number = g_variant_get_int32 (value);
  else if (g_variant_is_of_type (value, G_VARIANT_TYPE_DOUBLE))
    *number = g_variant_get_double (value);
  else
    return FALSE;
  return TRUE;
}

/* Writes what a model says of itself into shape (whose lags are owned), and
 * returns BIT (id) of the properties that it speaks of. */
static guint64
describe (const SeqModel *model, Shape *shape)
{
  SeqLayerFacts first = { NULL };
  guint64 holds = 0;

  shape->horizon = model->horizon;
  holds |= model->horizon > 0 ? BIT (PROP_HORIZON) : 0;
  for (guint l = 0; l < model->n_layers && !first.kind; l++)
    for (guint i = 0; gst_seq_filter_models[i].value_name; i++)
      if (g_str_equal (gst_seq_filter_models[i].value_nick,
              seq_model_layer (model, l).kind->name)) {
        first = seq_model_layer (model, l);
        shape->model = (guint) gst_seq_filter_models[i].value;
        holds |= BIT (PROP_MODEL);
      }
  if (!first.kind)
    return holds; /* dense layers, convolutions */
  shape->layers = is_net (shape->model) ? 0 : 1;
  for (guint l = 0; l < model->n_layers; l++)
    for (guint i = 0; gst_seq_filter_models[i].value_name; i++)
      shape->layers += is_net ((guint) gst_seq_filter_models[i].value)
                       && g_str_equal (gst_seq_filter_models[i].value_nick,
                           seq_model_layer (model, l).kind->name);
  shape->skip = model->skip ? SWITCH_ON : SWITCH_OFF;
  if (is_net (shape->model))
    holds |= BIT (PROP_LAYERS) | BIT (PROP_RESIDUAL_CONNECTION);
  for (guint i = 0; i < G_N_ELEMENTS (options); i++) {
    gpointer at = G_STRUCT_MEMBER_P (shape, options[i].offset);
    double number;

    if (!read_number (first.config, options[i].key, &number))
      continue;
    holds |= BIT (options[i].id);
    if (options[i].is_double)
      *(double *) at = number;
    else
      *(guint *) at = (guint) number;
  }
  g_clear_pointer (&shape->lags, g_variant_unref);
  shape->lags =
      g_variant_lookup_value (first.config, "lags", G_VARIANT_TYPE ("au"));
  if (shape->lags)
    holds |= BIT (PROP_LAGS);
  return holds;
}

/* Properties that were set must say what the file says, where it says it. said:
 * BIT (id) of those that were. */
static gboolean
check_said (
    Shape *shape, guint64 said, const SeqModelFile *file, GError **error)
{
  Shape held = { 0 };
  guint64 both = said & describe (file->model, &held);
  gboolean agree = TRUE;

  for (guint id = PROP_0 + 1; agree && id < N_PROPS; id++) {
    GType type = gst_seq_filter_props[id]->value_type;
    g_auto (GValue) a = G_VALUE_INIT, b = G_VALUE_INIT;
    g_autofree char *is = NULL, *should = NULL;

    if (!(both & BIT (id)))
      continue;
    g_value_init (&a, type);
    g_value_init (&b, type);
    gst_seq_filter_get_shape (shape, id, &a);
    gst_seq_filter_get_shape (&held, id, &b);
    if (gst_value_compare (&a, &b) == GST_VALUE_EQUAL
        || (id != PROP_MODEL && gst_seq_filter_is_nothing (&a)))
      continue;
    agree = FALSE;
    is = gst_value_serialize (&a);
    should = gst_value_serialize (&b);
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "%s is set to %s, but %s holds %s", gst_seq_filter_props[id]->name, is,
        file->path, should);
  }
  g_clear_pointer (&held.lags, g_variant_unref);
  return agree;
}

/* How a model from a file learns; auto: not at all. */
static SeqLearn
resolve_file_learner (const Shape *shape, const SeqModel *model)
{
  const SeqKind *last = seq_model_layer (model, model->n_layers - 1).kind;

  switch (shape->learner) {
    case LEARN_AUTO:
      return SEQ_LEARN_OFF;
    case LEARN_GRADIENT:
      return SEQ_LEARN_GRADIENT;
    case LEARN_READOUT:
      return SEQ_LEARN_READOUT;
    case LEARN_BOTH:
      return SEQ_LEARN_BOTH;
    default:
      return g_str_equal (last->name, "dense") ? SEQ_LEARN_BOTH
                                               : SEQ_LEARN_GRADIENT;
  }
}

/* The file's model, made able to learn in that way. */
static SeqModel *
learning_model (const SeqModelFile *file, const Shape *shape, SeqLearn *learn,
    guint horizon, GError **error)
{
  SeqModel *model = file->model;
  GVariantDict dict;

  if (*learn != SEQ_LEARN_OFF && horizon == 0) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "%s holds an effect (horizon 0), which can't learn from the stream "
        "alone: leave learn at auto, or set horizon if it does forecast",
        file->path);
    return NULL;
  }
  if (seq_model_layer (model, model->n_layers - 1).kind->flags & SEQ_KIND_LEARNS
      && *learn != SEQ_LEARN_OFF)
    *learn = SEQ_LEARN_GRADIENT; /* it has a way of its own */
  if (*learn != SEQ_LEARN_READOUT && *learn != SEQ_LEARN_BOTH)
    return seq_model_ref (model);
  g_variant_dict_init (&dict, NULL);
  g_variant_dict_insert (&dict, "horizon", "u", horizon);
  if (shape->forgetting != 0)
    g_variant_dict_insert (&dict, "forgetting", "d", shape->forgetting);
  return seq_model_with_readout (model, g_variant_dict_end (&dict), error);
}

/* The model that there is to be, and how it is to run. file: or NULL. */
static SeqModel *
choose_model (GstSeqFilter *self, const SeqModelFile *file, guint n_channels,
    SeqStreamConfig *config, GError **error)
{
  Settings settings;
  Shape shape;
  guint64 said;
  g_autoptr (GVariant) given = NULL;
  SeqModel *model = NULL;

  copy_settings (self, &settings, &shape);
  GST_OBJECT_LOCK (self);
  said = self->said;
  given = gst_seq_options (self->model_options);
  GST_OBJECT_UNLOCK (self);
  if (self->model)
    file = NULL;
  *config = (SeqStreamConfig){
    .learn = file ? resolve_file_learner (&shape, file->model)
                  : gst_seq_filter_resolve_learner (&shape),
    .learning_rate = shape.learning_rate,
    .window = shape.window,
    .horizon = shape.horizon,
    .channel_mode = shape.channel_mode,
  };
  if (!self->has_learner && !settings.learning)
    config->learn = SEQ_LEARN_OFF;
  /* 0 in a file may mean that it can't say */
  if (file && (file->model->horizon > 0 || !(said & BIT (PROP_HORIZON))))
    config->horizon = file->model->horizon;

  if (self->model)
    model = seq_model_ref (self->model);
  else if (!file && shape.horizon == 0)
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "horizon is 0, which is for a model file that is an effect: it must "
        "be 1 or more where the model learns from the stream");
  else if (!file)
    model = model_new (&shape, given, n_channels, error);
  else if (check_said (&shape, said, file, error))
    model =
        learning_model (file, &shape, &config->learn, config->horizon, error);
  g_clear_pointer (&shape.lags, g_variant_unref);
  if (model && !self->model && shape.precision) {
    g_autoptr (SeqModel) exact = g_steal_pointer (&model);

    model = seq_model_with_precision (
        exact, gst_seq_filter_precisions[shape.precision].value_nick, error);
  }
  return model;
}

SeqEngine *
gst_seq_filter_build (
    GstSeqFilter *self, const SeqModelFile *file, GError **error)
{
  guint n_channels = GST_AUDIO_INFO_CHANNELS (&self->info);
  SeqStreamConfig config;
  g_autoptr (SeqModel) model =
      choose_model (self, file, n_channels, &config, error);
  g_autoptr (SeqStream) stream =
      model ? seq_stream_new (model, n_channels, &config, error) : NULL;

  if (!stream) {
    if (model && file)
      g_prefix_error (error, "%s: ", file->path);
    return NULL;
  }
  self->has_learner |= config.learn != SEQ_LEARN_OFF;
  if (self->restored) {
    if (!seq_stream_adopt (stream, self->restored)) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE,
          "what was saved is of %s on %u channels, and does not fit %s on %u "
          "with the settings there are; set the properties as they were, or "
          "set another state or state-file",
          seq_model_layer (seq_stream_model (self->restored), 0).kind->name,
          seq_stream_n_channels (self->restored),
          seq_model_layer (model, 0).kind->name, n_channels);
      return NULL;
    }
    g_clear_pointer (&self->restored, seq_stream_free);
  }
  return seq_engine_new (g_steal_pointer (&stream));
}

/* Whether there is a model at all, before caps are known. */
static gboolean
check_model (GstSeqFilter *self, GError **error)
{
  SeqStreamConfig config;
  g_autoptr (SeqModel) model =
      choose_model (self, self->file, 1, &config, error);
  guint emit;

  GST_OBJECT_LOCK (self);
  emit = self->settings.emit;
  GST_OBJECT_UNLOCK (self);
  if (model && !emit) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG, NOTHING_LEAVES);
    return FALSE;
  }
  return model != NULL;
}

/* Properties and caps speak of the model that is in use: one from a file, or,
 * as far as caps go, from a state. */
static void
follow_model (GstSeqFilter *self)
{
  const SeqModel *model = self->model;
  Shape held = gst_seq_default_shape;
  guint64 holds = 0;
  Layout layout = { 0 };

  if (!model && self->file) {
    model = self->file->model;
    holds = describe (model, &held) | BIT (PROP_HORIZON);
  }
  if (model) {
    layout.rate = (gint) rint (model->rate);
    layout.n_signal = model->n_signal;
    layout.n_in = model->n_in;
    layout.n_out = model->n_out;
  }
  GST_OBJECT_LOCK (self);
  g_clear_pointer (&self->held.lags, g_variant_unref);
  self->held = held;
  self->holds = holds;
  self->layout = layout;
  GST_OBJECT_UNLOCK (self);
}

gint
gst_seq_filter_needed_rate (GstSeqFilter *self)
{
  gint rate;

  GST_OBJECT_LOCK (self);
  rate = self->rate_mode == RATE_MODEL ? self->layout.rate : 0;
  GST_OBJECT_UNLOCK (self);
  return rate;
}

/* Whether a model can run at the rate that the stream has. */
static gboolean
fits_rate (GstSeqFilter *self, const SeqModel *model)
{
  guint rate_mode;

  GST_OBJECT_LOCK (self);
  rate_mode = self->rate_mode;
  GST_OBJECT_UNLOCK (self);
  return model->rate == 0 || rate_mode == RATE_IGNORE
         || (gint) rint (model->rate) == GST_AUDIO_INFO_RATE (&self->info);
}

/* Whether what is upstream could give that rate. */
static gboolean
rate_can_be (GstSeqFilter *self, gint rate)
{
  g_autoptr (GstCaps) caps =
      gst_caps_new_simple ("audio/x-raw", "rate", G_TYPE_INT, rate, NULL);
  g_autoptr (GstCaps) there =
      gst_pad_peer_query_caps (GST_BASE_TRANSFORM_SINK_PAD (self), caps);

  return !gst_caps_is_empty (there);
}

/* The file that the properties name; NULL without an error: none. serial: of
 * its setting. Not under the build lock: reading takes its time. */
static SeqModelFile *
open_file (GstSeqFilter *self, guint *serial, GError **error)
{
  g_autofree char *path = NULL;
  g_autoptr (GVariant) given = NULL;

  GST_OBJECT_LOCK (self);
  *serial = self->file_serial;
  path = g_strdup (self->model_file);
  given = gst_seq_options (self->model_options);
  GST_OBJECT_UNLOCK (self);
  return path && *path ? seq_model_file_open (path, given, error) : NULL;
}

/* Offers what was built, if it is for the caps that there are; or else they
 * change first, and setup() builds. */
static void
offer (GstSeqFilter *self, SeqEngine *engine)
{
  gint rate = gst_seq_filter_needed_rate (self);

  self->caps_wait = (rate != 0 && rate != GST_AUDIO_INFO_RATE (&self->info))
                    || seq_stream_n_outputs (engine->stream) != self->n_outputs;
  if (self->caps_wait)
    seq_engine_free (engine);
  else
    seq_handover_publish (&self->handover, engine);
}

/* Replaces the file in use, if it can be run where the stream is; else all is
 * as it was. Takes the file. */
static gboolean
use_file (GstSeqFilter *self, SeqModelFile *file, GError **error)
{
  gboolean flows = GST_AUDIO_INFO_IS_VALID (&self->info), fits = TRUE;
  g_autoptr (SeqModel) of_state = g_steal_pointer (&self->model);
  g_autoptr (SeqModel) model = NULL;
  SeqEngine *engine = NULL;
  SeqStreamConfig config;

  if (flows && file && !fits_rate (self, file->model)) {
    gint rate = (gint) rint (file->model->rate);

    fits = rate_can_be (self, rate);
    if (!fits)
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE, WRONG_RATE, file->path,
          rate, GST_AUDIO_INFO_RATE (&self->info));
  }
  if (fits && flows)
    engine = gst_seq_filter_build (self, file, error);
  else if (fits)
    model = choose_model (self, file, 1, &config, error);
  if (!engine && !model) {
    seq_model_file_unref (file);
    self->model = g_steal_pointer (&of_state);
    return FALSE;
  }
  seq_model_file_unref (self->file);
  self->file = file;
  g_clear_pointer (&self->restored, seq_stream_free);
  follow_model (self);
  if (engine) {
    engine->n_fade =
        MAX (1, (guint) gst_util_uint64_scale_int (
                    FADE, GST_AUDIO_INFO_RATE (&self->info), GST_SECOND));
    offer (self, engine);
  }
  return TRUE;
}

void
gst_seq_filter_rebuild (GstSeqFilter *self, guint stale)
{
  g_autoptr (GError) error = NULL;
  SeqModelFile *file = NULL;
  gboolean caps_wait;
  guint serial = 0;

  g_mutex_lock (&self->build_lock);
  if (!self->started)
    stale &= ~STALE_FILE; /* start() opens it */
  g_mutex_unlock (&self->build_lock);
  if (stale & STALE_FILE)
    file = open_file (self, &serial, &error);

  g_mutex_lock (&self->build_lock);
  if (stale & STALE_FILE) {
    gboolean outrun;

    GST_OBJECT_LOCK (self);
    outrun = serial != self->file_serial; /* who set it since will do this */
    GST_OBJECT_UNLOCK (self);
    if (outrun || !self->started) {
      seq_model_file_unref (file);
      g_clear_error (&error);
    } else if (error || !use_file (self, file, &error))
      self->n_failures++;
  } else {
    if (stale & STALE_MODEL) {
      g_clear_pointer (&self->model, seq_model_unref);
      g_clear_pointer (&self->restored, seq_stream_free);
      follow_model (self);
    }
    if (GST_AUDIO_INFO_IS_VALID (&self->info) && !self->caps_wait) {
      SeqEngine *engine = gst_seq_filter_build (self, self->file, &error);

      if (engine)
        offer (self, engine);
    }
  }
  caps_wait = self->caps_wait;
  g_mutex_unlock (&self->build_lock);
  if (caps_wait) {
    gst_base_transform_reconfigure_sink (GST_BASE_TRANSFORM (self));
    gst_base_transform_reconfigure_src (GST_BASE_TRANSFORM (self));
  }
  if (error)
    gst_seq_post_error (GST_ELEMENT (self), GST_MESSAGE_WARNING, error,
        g_strdup ("the former model goes on"));
}

/* --- state ---------------------------------------------------------------- */

GBytes *
gst_seq_filter_get_state (GstSeqFilter *self)
{
  g_autoptr (SeqModel) model = NULL;
  SeqStreamConfig config;
  gpointer state = NULL;
  gsize size = 0;
  guint n_channels = 0;
  GBytes *bytes = NULL;

  g_mutex_lock (&self->build_lock);
  for (gboolean done = FALSE; !done;) {
    SeqEngine *engine;
    SeqStream *stream;
    gsize needed;

    /* the streaming thread may be waiting: allocate outside the lock */
    g_mutex_lock (&self->handover.lock);
    engine = seq_handover_adopt_pending (&self->handover);
    stream = engine ? engine->stream : self->restored;
    needed = stream ? seq_stream_state_size (stream) : 0;
    done = needed == size;
    if (stream && done) {
      seq_stream_get_state (stream, state);
      model = seq_model_ref (seq_stream_model (stream));
      config = *seq_stream_config (stream);
      n_channels = seq_stream_n_channels (stream);
    }
    g_mutex_unlock (&self->handover.lock);
    if (!done) {
      g_free (state);
      size = needed;
      state = g_malloc (size);
    }
  }
  seq_handover_free_retired (&self->handover);
  g_mutex_unlock (&self->build_lock);
  if (model)
    bytes = seq_snapshot_save (model, &config, n_channels, state, size);
  g_free (state);
  return bytes;
}

/* A stream that comes from outside is able to learn as it did. */
static void
follow_learner (GstSeqFilter *self, SeqStream *stream)
{
  static const guint learners[] = { [SEQ_LEARN_GRADIENT] = LEARN_GRADIENT,
    [SEQ_LEARN_READOUT] = LEARN_READOUT,
    [SEQ_LEARN_BOTH] = LEARN_BOTH };
  SeqLearn learn = seq_stream_config (stream)->learn;

  self->has_learner = learn != SEQ_LEARN_OFF;
  if (self->has_learner)
    self->shape.learner = learners[learn];
}

/* Settings take the values of a stream that comes with its model. */
static void
follow_stream (GstSeqFilter *self, SeqStream *stream)
{
  const SeqStreamConfig *config = seq_stream_config (stream);
  Shape *shape = &self->shape;

  GST_OBJECT_LOCK (self);
  describe (seq_stream_model (stream), shape);
  shape->channel_mode = config->channel_mode;
  shape->learning_rate = config->learning_rate;
  shape->window = config->window;
  shape->horizon = config->horizon;
  self->settings.learning = config->learn != SEQ_LEARN_OFF;
  follow_learner (self, stream);
  self->shaped = FALSE;
  self->said = 0;
  self->stale = 0;
  GST_OBJECT_UNLOCK (self);
}

gboolean
gst_seq_filter_set_state (GstSeqFilter *self, GBytes *bytes, GError **error)
{
  g_autoptr (SeqStream) stream = seq_snapshot_load (bytes, error);
  guint n_channels;

  if (!stream)
    return FALSE;
  g_mutex_lock (&self->build_lock);
  n_channels = GST_AUDIO_INFO_CHANNELS (&self->info);
  if (GST_AUDIO_INFO_IS_VALID (&self->info)
      && seq_stream_n_channels (stream) != n_channels) {
    g_mutex_unlock (&self->build_lock);
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE,
        "the state is of %u channels, the stream has %u",
        seq_stream_n_channels (stream), n_channels);
    return FALSE;
  }
  if (GST_AUDIO_INFO_IS_VALID (&self->info)
      && seq_stream_n_outputs (stream) != self->n_outputs) {
    g_mutex_unlock (&self->build_lock);
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE,
        "the state's model gives %u channels, the one that runs %u",
        seq_stream_n_outputs (stream), self->n_outputs);
    return FALSE;
  }
  if (GST_AUDIO_INFO_IS_VALID (&self->info)
      && !fits_rate (self, seq_stream_model (stream))) {
    g_mutex_unlock (&self->build_lock);
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE, WRONG_RATE, "the state",
        (gint) rint (seq_stream_model (stream)->rate),
        GST_AUDIO_INFO_RATE (&self->info));
    return FALSE;
  }
  follow_stream (self, stream);
  g_clear_error (&self->refused);
  g_clear_pointer (&self->restored, seq_stream_free);
  g_clear_pointer (&self->model, seq_model_unref);
  self->model = seq_model_ref (seq_stream_model (stream));
  follow_model (self);
  if (GST_AUDIO_INFO_IS_VALID (&self->info)) {
    SeqEngine *engine = seq_engine_new (g_steal_pointer (&stream));

    engine->has_past = TRUE;
    g_mutex_lock (&self->handover.lock);
    seq_handover_end_fade (&self->handover);
    g_mutex_unlock (&self->handover.lock);
    seq_handover_publish (&self->handover, engine);
  } else {
    self->restored = g_steal_pointer (&stream);
  }
  g_mutex_unlock (&self->build_lock);
  return TRUE;
}

static char *
get_state_file (GstSeqFilter *self)
{
  char *file;

  GST_OBJECT_LOCK (self);
  file = g_strdup (self->state_file);
  GST_OBJECT_UNLOCK (self);
  return file;
}

/* The action signal; also at EOS and in stop(). */
gboolean
gst_seq_filter_save (GstSeqFilter *self)
{
  g_autofree char *file = get_state_file (self);
  g_autoptr (GBytes) bytes = file ? gst_seq_filter_get_state (self) : NULL;
  g_autoptr (GError) error = NULL;
  gsize size;
  const char *data;

  if (!bytes)
    return FALSE;
  data = g_bytes_get_data (bytes, &size);
  if (!g_file_set_contents_full (file, data, (gssize) size,
          G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0666,
          &error)) {
    GST_ELEMENT_WARNING (self, RESOURCE, WRITE,
        ("state-file %s: %s", file, error->message), (NULL));
    return FALSE;
  }
  return TRUE;
}

/* The action signal: what the first lane has learnt, as a model file. */
gboolean
gst_seq_filter_save_model (GstSeqFilter *self, const char *path)
{
  g_autoptr (GBytes) bytes = path ? gst_seq_filter_get_state (self) : NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (SeqStream) stream = NULL;
  g_autoptr (SeqModel) model = NULL;

  if (!bytes)
    return FALSE;
  stream = seq_snapshot_load (bytes, &error);
  if (stream)
    model = seq_stream_learnt_model (stream, 0, &error);
  if (!model || !seq_model_save (model, path, "safetensors", &error)) {
    GST_ELEMENT_WARNING (self, RESOURCE, WRITE,
        ("save-model %s: %s", path, error->message), (NULL));
    return FALSE;
  }
  return TRUE;
}

gboolean
gst_seq_filter_load_state_file (GstSeqFilter *self)
{
  g_autofree char *file = get_state_file (self), *data = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) bytes = NULL;
  SeqStream *stream;
  gsize size;
  gboolean shaped;

  if (!file || self->restored)
    return TRUE;
  if (!g_file_get_contents (file, &data, &size, &error)) {
    if (g_error_matches (error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
      return TRUE;
    GST_ELEMENT_ERROR (self, RESOURCE, OPEN_READ,
        ("state-file %s: %s", file, error->message), (NULL));
    return FALSE;
  }
  bytes = g_bytes_new_take (g_steal_pointer (&data), size);
  GST_OBJECT_LOCK (self);
  shaped = self->shaped;
  GST_OBJECT_UNLOCK (self);
  /* what the user said of the model holds, and must fit; else the file's */
  if (!shaped && gst_seq_filter_set_state (self, bytes, &error))
    return TRUE;
  stream = error ? NULL : seq_snapshot_load (bytes, &error);
  if (!stream) {
    GST_ELEMENT_ERROR (self, STREAM, DECODE,
        ("state-file %s: %s", file, error->message), (NULL));
    return FALSE;
  }
  g_mutex_lock (&self->build_lock);
  GST_OBJECT_LOCK (self);
  if (!self->settings.learning)
    follow_learner (self, stream);
  GST_OBJECT_UNLOCK (self);
  self->restored = stream;
  g_mutex_unlock (&self->build_lock);
  return TRUE;
}

/* --- start and stop ------------------------------------------------------- */

void
gst_seq_filter_close_model (GstSeqFilter *self)
{
  g_mutex_lock (&self->build_lock);
  seq_handover_reset (&self->handover);
  gst_audio_info_init (&self->info);
  g_clear_pointer (&self->restored, seq_stream_free);
  g_clear_pointer (&self->model, seq_model_unref);
  g_clear_pointer (&self->file, seq_model_file_unref);
  self->started = self->has_learner = self->caps_wait = FALSE;
  self->n_failures = 0;
  follow_model (self);
  g_mutex_unlock (&self->build_lock);
}

gboolean
gst_seq_filter_open_model (GstSeqFilter *self)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *path = NULL;
  guint serial;
  SeqModelFile *file;

  GST_OBJECT_LOCK (self);
  path = g_strdup_printf (
      "model-file %s", self->model_file ? self->model_file : "unset");
  GST_OBJECT_UNLOCK (self);
  file = open_file (self, &serial, &error);
  if (!error) {
    g_mutex_lock (&self->build_lock);
    self->file = file;
    self->started = TRUE;
    check_model (self, &error);
    follow_model (self);
    g_mutex_unlock (&self->build_lock);
  }
  if (error)
    gst_seq_post_error (
        GST_ELEMENT (self), GST_MESSAGE_ERROR, error, g_steal_pointer (&path));
  return !error;
}
