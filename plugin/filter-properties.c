/* filter-properties.c: properties, and what follows when they are set.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A setting of the model (the table of settings.h) or of its file is stored,
 * and then, once for all that one g_object_set() sets, planned and carried out
 * by the host; if the host refuses, it is taken back. `state` goes to the host
 * at once. The rest is copied by the streaming thread once a buffer.
 */
#include "plugin/filter.h"

#include "src/io/load.h"

#include <string.h>

GParamSpec *gst_seq_filter_props[N_PROPS];

static const BufferSettings default_buffer_settings = {
  .emit = EMIT_PREDICTION,
  .interval = 100 * GST_MSECOND,
  .mix = 1,
};

const GFlagsValue gst_seq_filter_emits[] = {
  { 1 << SEQ_OUTPUT_INPUT, "The input, bit for bit", "input" },
  { 1 << SEQ_OUTPUT_PREDICTION, "What the model forecasts", "prediction" },
  { 1 << SEQ_OUTPUT_RESIDUAL, "The input less the forecast made for it",
      "residual" },
  { 1 << SEQ_OUTPUT_SCORE,
      "Surprise: the residual's size over its running RMS, or -log2 of the "
      "probability of what came where the model knows it (integer formats: "
      "/ 256)",
      "score" },
  { 0, NULL, NULL },
};

void
gst_seq_filter_init_settings (GstSeqFilter *self)
{
  Settings *settings = &self->settings;

  seq_settings_copy (&settings->model, &seq_default_settings);
  settings->buffer = default_buffer_settings;
}

void
gst_seq_filter_clear_settings (GstSeqFilter *self)
{
  Settings *settings = &self->settings;

  seq_settings_clear (&settings->model);
  seq_settings_clear (&settings->of_file);
  g_clear_pointer (&settings->model_options, gst_structure_free);
  g_clear_pointer (&settings->state_file, g_free);
}

static gboolean
is_setting (guint id)
{
  return id > PROP_0 && id <= SEQ_N_SETTINGS;
}

static gboolean
is_knob (guint id)
{
  return id >= PROP_PARAM1 && id < PROP_PARAM1 + N_KNOB_PROPS;
}

/* --- values ----------------------------------------------------------------
 */

/* The enum's value of a kind: its place among the choices. */
static gint
find_kind (const char *name)
{
  const SeqKind *const *kinds = seq_kind_choices ();
  gint i = 0;

  while (!g_str_equal (kinds[i]->name, name))
    i++;
  return i;
}

static void
get_uints (GVariant *array, GValue *value)
{
  gsize n = 0;
  const guint32 *uints =
      array ? g_variant_get_fixed_array (array, &n, sizeof (guint32)) : NULL;

  for (gsize i = 0; i < n; i++) {
    GValue one = G_VALUE_INIT;

    g_value_init (&one, G_TYPE_INT);
    g_value_set_int (&one, (gint) uints[i]);
    gst_value_array_append_and_take_value (value, &one);
  }
}

static GVariant *
uints_of (const GValue *value)
{
  guint n = gst_value_array_get_size (value);
  GVariantBuilder builder = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("au"));

  for (guint i = 0; i < n; i++)
    g_variant_builder_add (&builder, "u",
        (guint) g_value_get_int (gst_value_array_get_value (value, i)));
  return n ? g_variant_ref_sink (g_variant_builder_end (&builder))
           : (g_variant_builder_clear (&builder), NULL);
}

static void
set_setting (SeqSettings *settings, SeqSetting id, const GValue *value)
{
  const SeqSettingInfo *info = &seq_setting_infos[id];
  gpointer at = G_STRUCT_MEMBER_P (settings, info->offset);

  switch (info->type) {
    case SEQ_TYPE_KIND:
      *(const char **) at = seq_kind_choices ()[g_value_get_enum (value)]->name;
      break;
    case SEQ_TYPE_UINT:
      *(guint *) at = g_value_get_uint (value);
      break;
    case SEQ_TYPE_UINT64:
      *(guint64 *) at = g_value_get_uint64 (value);
      break;
    case SEQ_TYPE_DOUBLE:
      *(double *) at = g_value_get_double (value);
      break;
    case SEQ_TYPE_CHOICE:
      *(guint *) at = (guint) g_value_get_enum (value);
      break;
    case SEQ_TYPE_UINTS:
      g_clear_pointer ((GVariant **) at, g_variant_unref);
      *(GVariant **) at = uints_of (value);
      break;
  }
  if (info->change == SEQ_CHANGE_MODEL)
    settings->given |= SEQ_BIT (id);
}

/* off stops learning; how to learn stays as it was. */
static void
set_learn (SeqSettings *settings, guint learn)
{
  settings->learning = learn != SEQ_LEARN_OFF;
  if (settings->learning)
    settings->learn = learn;
}

static void
get_setting (const SeqSettings *settings, SeqSetting id, GValue *value)
{
  const SeqSettingInfo *info = &seq_setting_infos[id];
  gconstpointer at = G_STRUCT_MEMBER_P (settings, info->offset);

  switch (info->type) {
    case SEQ_TYPE_KIND:
      g_value_set_enum (value, find_kind (*(const char *const *) at));
      break;
    case SEQ_TYPE_UINT:
      g_value_set_uint (value, *(const guint *) at);
      break;
    case SEQ_TYPE_UINT64:
      g_value_set_uint64 (value, *(const guint64 *) at);
      break;
    case SEQ_TYPE_DOUBLE:
      g_value_set_double (value, *(const double *) at);
      break;
    case SEQ_TYPE_CHOICE:
      g_value_set_enum (value, (gint) * (const guint *) at);
      break;
    case SEQ_TYPE_UINTS:
      get_uints (*(GVariant *const *) at, value);
      break;
  }
}

static void
set_knobs (BufferSettings *buffer, const GValue *value)
{
  guint n = gst_value_array_get_size (value);

  if (n > MAX_KNOBS)
    g_warning ("params has %u values; expected %u or fewer: the others are "
               "ignored",
        n, MAX_KNOBS);
  buffer->n_knobs = MAX (buffer->n_knobs, MIN (n, MAX_KNOBS));
  for (guint i = 0; i < buffer->n_knobs; i++)
    buffer->knobs[i] =
        i < n ? g_value_get_double (gst_value_array_get_value (value, i)) : 0;
}

static void
get_knobs (const BufferSettings *buffer, GValue *value)
{
  for (guint i = 0; i < buffer->n_knobs; i++) {
    GValue knob = G_VALUE_INIT;

    g_value_init (&knob, G_TYPE_DOUBLE);
    g_value_set_double (&knob, buffer->knobs[i]);
    gst_value_array_append_and_take_value (value, &knob);
  }
}

/* The fields of `model-options` as a{sv}, keys as the core spells them; NULL:
 * none. The reader of an option checks its type. */
static GVariant *
options_of (const GstStructure *structure)
{
  GVariantDict dict;

  if (!structure)
    return NULL;
  g_variant_dict_init (&dict, NULL);
  for (gint i = 0; i < gst_structure_n_fields (structure); i++) {
    const char *field = gst_structure_nth_field_name (structure, (guint) i);
    const GValue *value = gst_structure_get_value (structure, field);
    g_autofree char *key = g_strdelimit (g_strdup (field), "-", '_');
    GValue number = G_VALUE_INIT;

    g_value_init (&number, G_TYPE_DOUBLE);
    if (G_VALUE_HOLDS_STRING (value)) {
      g_variant_dict_insert (&dict, key, "s", g_value_get_string (value));
    } else if (!G_VALUE_HOLDS_BOOLEAN (value)
               && g_value_transform (value, &number)) {
      double x = g_value_get_double (&number);

      if (x >= 0 && x == (guint) x)
        g_variant_dict_insert (&dict, key, "u", (guint) x);
      else
        g_variant_dict_insert (&dict, key, "d", x);
    } else {
      g_variant_dict_insert (&dict, key, "b", TRUE); /* of no option's type */
    }
    g_value_unset (&number);
  }
  return g_variant_ref_sink (g_variant_dict_end (&dict));
}

/* --- what follows ----------------------------------------------------------
 */

/* Returns how many changes it has. */
static guint
copy_model_settings (GstSeqFilter *self, SeqSettings *model)
{
  guint n_changes;

  seq_settings_clear (model);
  GST_OBJECT_LOCK (self);
  seq_settings_copy (model, &self->settings.model);
  n_changes = self->settings.n_changes;
  GST_OBJECT_UNLOCK (self);
  return n_changes;
}

static gboolean
must_read_file (GstSeqFilter *self, const SeqSettings *model)
{
  SeqHost *host = self->build.host;

  return seq_host_is_open (host)
         && model->n_file_settings != seq_host_settings (host)->n_file_settings;
}

guint
gst_seq_filter_lock_build (GstSeqFilter *self, gboolean starts,
    SeqSettings *model, SeqModelFile **file, GError **error)
{
  for (;;) {
    guint n_changes, n_file_settings;
    gboolean reads;

    /* reading a file takes its time: not under the lock */
    copy_model_settings (self, model);
    n_file_settings = model->n_file_settings;
    g_mutex_lock (&self->build.lock);
    reads = starts || must_read_file (self, model);
    g_mutex_unlock (&self->build.lock);
    if (reads && model->model_file && *model->model_file)
      *file = seq_model_file_open (model->model_file, model->options, error);

    g_mutex_lock (&self->build.lock);
    n_changes = copy_model_settings (self, model);
    if (model->n_file_settings == n_file_settings)
      return n_changes;
    /* another file was named in the meantime */
    g_mutex_unlock (&self->build.lock);
    g_clear_pointer (file, seq_model_file_unref);
    g_clear_error (error);
  }
}

void
gst_seq_filter_follow_host (GstSeqFilter *self)
{
  SeqHost *host = self->build.host;
  SeqNeeds needs = seq_host_needs (host);
  SeqSettings of_file = { 0 };

  seq_host_describe_file (host, &of_file);
  GST_OBJECT_LOCK (self);
  seq_settings_clear (&self->settings.of_file);
  self->settings.of_file = of_file;
  self->settings.needs = needs;
  self->settings.said_rate = 0;
  GST_OBJECT_UNLOCK (self);
}

void
gst_seq_filter_follow_settings (GstSeqFilter *self)
{
  Settings *settings = &self->settings;

  GST_OBJECT_LOCK (self);
  seq_settings_clear (&settings->model);
  seq_settings_copy (&settings->model, seq_host_settings (self->build.host));
  settings->is_pending = FALSE;
  GST_OBJECT_UNLOCK (self);
}

/* Keeps the options that the host was given, and gives them back when what was
 * set is refused. FALSE: more was set since. */
static gboolean
exchange_options (GstSeqFilter *self, guint n_changes, gboolean refused)
{
  GstStructure **of_host = &self->build.model_options;
  GstStructure **set = &self->settings.model_options;
  gboolean is_latest;

  GST_OBJECT_LOCK (self);
  is_latest = self->settings.n_changes == n_changes;
  if (is_latest) {
    GstStructure **from = refused ? of_host : set;
    GstStructure **to = refused ? set : of_host;

    g_clear_pointer (to, gst_structure_free);
    *to = *from ? gst_structure_copy (*from) : NULL;
  }
  GST_OBJECT_UNLOCK (self);
  return is_latest;
}

/* Has the host plan and carry out what was set. */
static void
apply_settings (GstSeqFilter *self)
{
  Build *build = &self->build;
  g_auto (SeqSettings) model = { 0 };
  g_autoptr (SeqModelFile) file = NULL;
  g_autoptr (GError) error = NULL;
  gboolean reads, awaits_stream;
  guint n_changes =
      gst_seq_filter_lock_build (self, FALSE, &model, &file, &error);

  reads = must_read_file (self, &model);
  if (!error)
    seq_host_carry_out (build->host,
        seq_host_plan_settings (build->host, &model, file, &error));
  build->n_load_failures += error && reads;
  /* refused is as if never set; what was set since is planned with it */
  if (exchange_options (self, n_changes, error != NULL) && error)
    gst_seq_filter_follow_settings (self);
  gst_seq_filter_follow_host (self);
  awaits_stream = seq_host_awaits_stream (build->host);
  g_mutex_unlock (&build->lock);
  if (awaits_stream) {
    gst_base_transform_reconfigure_sink (GST_BASE_TRANSFORM (self));
    gst_base_transform_reconfigure_src (GST_BASE_TRANSFORM (self));
  }
  gst_seq_filter_warn_of_model (self);
  if (error)
    gst_seq_post_error (GST_ELEMENT (self), GST_MESSAGE_WARNING, error,
        g_strdup ("the former model goes on"));
}

/* Tells the host where the knobs are now. */
static void
apply_knobs (GstSeqFilter *self)
{
  const BufferSettings *buffer = &self->settings.buffer;
  double knobs[MAX_KNOBS];
  guint n;

  g_mutex_lock (&self->build.lock);
  GST_OBJECT_LOCK (self);
  n = buffer->n_knobs;
  memcpy (knobs, buffer->knobs, n * sizeof *knobs);
  GST_OBJECT_UNLOCK (self);
  seq_host_set_knobs (self->build.host, knobs, n);
  g_mutex_unlock (&self->build.lock);
  gst_seq_filter_warn_of_model (self);
}

void
gst_seq_filter_warn_of_model (GstSeqFilter *self)
{
  Build *build = &self->build;
  gboolean rests, says;
  g_autofree char *sequence = NULL;
  guint n_set, n_knobs;

  g_mutex_lock (&build->lock);
  sequence = g_strdup (seq_host_sequence_to_one (build->host));
  if (build->said_sequence)
    g_clear_pointer (&sequence, g_free);
  build->said_sequence = seq_host_sequence_to_one (build->host) != NULL;
  rests = seq_host_rests (build->host);
  says = !rests && !build->said_restless;
  build->said_restless = !rests;
  n_knobs = seq_host_n_knobs (build->host);
  GST_OBJECT_LOCK (self);
  n_set = self->settings.buffer.n_knobs;
  GST_OBJECT_UNLOCK (self);
  if (seq_host_n_channels (build->host) == 0 || n_set <= n_knobs)
    n_set = 0;
  else if (n_set == build->said_params)
    n_set = 0;
  else
    build->said_params = n_set;
  g_mutex_unlock (&build->lock);
  if (says)
    GST_ELEMENT_WARNING (self, STREAM, DECODE,
        ("the model does not come to rest on silence; it begins with the state "
         "after 65536 frames of it: set start=zeros in model-options to begin "
         "from zeros"),
        (NULL));
  if (sequence)
    GST_ELEMENT_INFO (self, STREAM, DECODE,
        ("the model is made for a sequence to one: %s", sequence), (NULL));
  if (n_set)
    GST_ELEMENT_WARNING (self, LIBRARY, SETTINGS,
        ("params has %u value%s; expected at most %u, the knobs of the model: "
         "the others do nothing (knobs=n in model-options makes the last n "
         "inputs knobs)",
            n_set, n_set == 1 ? "" : "s", n_knobs),
        (NULL));
}

static void
apply_pending (GstSeqFilter *self)
{
  gboolean is_pending, knobs_moved;

  GST_OBJECT_LOCK (self);
  is_pending = self->settings.is_pending;
  knobs_moved = self->settings.knobs_moved;
  self->settings.is_pending = self->settings.knobs_moved = FALSE;
  GST_OBJECT_UNLOCK (self);
  if (knobs_moved)
    apply_knobs (self);
  if (is_pending)
    apply_settings (self);
}

/* Comes once for all properties of one g_object_set(). */
static void
dispatch_properties_changed (GObject *object, guint n, GParamSpec **pspecs)
{
  GObjectClass *parent =
      g_type_class_peek (g_type_parent (GST_TYPE_SEQ_FILTER));

  apply_pending (GST_SEQ_FILTER (object));
  parent->dispatch_properties_changed (object, n, pspecs);
}

/* A state that is set before there is a stream is refused by start(). */
static void
set_state (GstSeqFilter *self, GBytes *state)
{
  Build *build = &self->build;
  g_autoptr (GError) error = NULL;
  gboolean runs;

  apply_pending (self); /* what was set before it, in the same g_object_set() */
  g_mutex_lock (&build->lock);
  g_clear_error (&build->state_error);
  if (state
      && seq_host_carry_out (
          build->host, seq_host_plan_state (build->host, state, &error))) {
    gst_seq_filter_follow_settings (self);
    gst_seq_filter_follow_host (self);
  }
  runs = seq_host_n_channels (build->host) > 0;
  if (error) {
    g_prefix_error (&error, "state: ");
    if (!runs)
      build->state_error = g_error_copy (error);
  }
  g_mutex_unlock (&build->lock);
  if (error && runs)
    gst_seq_post_error (GST_ELEMENT (self), GST_MESSAGE_WARNING, error,
        g_strdup ("the former model goes on"));
}

/* --- set and get -----------------------------------------------------------
 */

static void
set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstSeqFilter *self = GST_SEQ_FILTER (object);
  Settings *settings = &self->settings;
  BufferSettings *buffer = &settings->buffer;
  gboolean of_model =
      is_setting (id) || id == PROP_MODEL_FILE || id == PROP_MODEL_OPTIONS;
  gboolean emit_changes;
  guint emit;

  if (id == PROP_STATE) {
    set_state (self, g_value_get_boxed (value));
    return;
  }
  GST_OBJECT_LOCK (self);
  emit = buffer->emit;
  settings->knobs_moved |= id == PROP_PARAMS || is_knob (id);
  if (of_model) {
    settings->n_changes++;
    settings->is_pending = TRUE;
  }
  switch (id) {
    case 1 + SEQ_SETTING_LEARN:
      set_learn (&settings->model, (guint) g_value_get_enum (value));
      break;
    case PROP_MODEL_FILE:
      g_free (settings->model.model_file);
      settings->model.model_file = g_value_dup_string (value);
      settings->model.n_file_settings++;
      break;
    case PROP_MODEL_OPTIONS:
      g_clear_pointer (&settings->model_options, gst_structure_free);
      g_clear_pointer (&settings->model.options, g_variant_unref);
      settings->model_options = g_value_dup_boxed (value);
      settings->model.options = options_of (settings->model_options);
      settings->model.n_file_settings++;
      break;
    case PROP_PARAMS:
      set_knobs (buffer, value);
      break;
    case PROP_EMIT:
      buffer->emit = g_value_get_flags (value);
      break;
    case PROP_POST_MESSAGES:
      buffer->post_messages = g_value_get_boolean (value);
      break;
    case PROP_INTERVAL:
      buffer->interval = g_value_get_uint64 (value);
      break;
    case PROP_MIX:
      buffer->mix = g_value_get_double (value);
      break;
    case PROP_STATE_FILE:
      g_free (settings->state_file);
      settings->state_file = g_value_dup_string (value);
      break;
    case PROP_STATE_INTERVAL:
      settings->state_interval = g_value_get_uint64 (value);
      break;
    default:
      if (is_setting (id)) {
        set_setting (&settings->model, id - 1, value);
      } else if (is_knob (id)) {
        buffer->knobs[id - PROP_PARAM1] = g_value_get_double (value);
        buffer->n_knobs = MAX (buffer->n_knobs, id - PROP_PARAM1 + 1);
      } else {
        G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
      }
      break;
  }
  emit_changes = emit != buffer->emit;
  GST_OBJECT_UNLOCK (self);
  if (emit_changes)
    gst_base_transform_reconfigure_src (GST_BASE_TRANSFORM (self));
  if (id == PROP_STATE_INTERVAL)
    gst_seq_filter_follow_interval (self);
}

static void
get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  GstSeqFilter *self = GST_SEQ_FILTER (object);
  const Settings *settings = &self->settings;
  const SeqSettings *model = &settings->model;
  const BufferSettings *buffer = &settings->buffer;

  if (id == PROP_STATE) {
    g_mutex_lock (&self->build.lock);
    g_value_take_boxed (value, seq_host_get_state (self->build.host));
    g_mutex_unlock (&self->build.lock);
    return;
  }
  if (id == PROP_STATS) {
    g_value_take_boxed (value, gst_seq_filter_get_stats (self));
    return;
  }
  GST_OBJECT_LOCK (self);
  switch (id) {
    case 1 + SEQ_SETTING_LEARN:
      g_value_set_enum (
          value, model->learning ? (gint) model->learn : SEQ_LEARN_OFF);
      break;
    case PROP_MODEL_FILE:
      g_value_set_string (value, model->model_file);
      break;
    case PROP_MODEL_OPTIONS:
      g_value_set_boxed (value, settings->model_options);
      break;
    case PROP_PARAMS:
      get_knobs (buffer, value);
      break;
    case PROP_EMIT:
      g_value_set_flags (value, buffer->emit);
      break;
    case PROP_POST_MESSAGES:
      g_value_set_boolean (value, buffer->post_messages);
      break;
    case PROP_INTERVAL:
      g_value_set_uint64 (value, buffer->interval);
      break;
    case PROP_MIX:
      g_value_set_double (value, buffer->mix);
      break;
    case PROP_STATE_FILE:
      g_value_set_string (value, settings->state_file);
      break;
    case PROP_STATE_INTERVAL:
      g_value_set_uint64 (value, settings->state_interval);
      break;
    default:
      if (is_setting (id)) {
        guint64 bit = SEQ_BIT (id - 1);
        gboolean file_says = settings->of_file.given & ~model->given & bit;

        get_setting (file_says ? &settings->of_file : model, id - 1, value);
      } else if (is_knob (id)) {
        g_value_set_double (value, buffer->knobs[id - PROP_PARAM1]);
      } else {
        G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
      }
      break;
  }
  GST_OBJECT_UNLOCK (self);
}

/* A preset holds settings: not who the element is, nor what it has learnt, nor
 * what the model file says, which would contradict another file. */
char **
gst_seq_filter_get_preset_names (GstPreset *preset)
{
  GstSeqFilter *self = GST_SEQ_FILTER (preset);
  GStrvBuilder *builder = g_strv_builder_new ();
  gboolean has_options, has_file;
  guint64 given;
  char **names;

  GST_OBJECT_LOCK (self);
  has_options = self->settings.model_options != NULL;
  has_file = self->settings.model.model_file != NULL;
  given = self->settings.model.given;
  GST_OBJECT_UNLOCK (self);
  for (guint id = PROP_0 + 1; id < N_PROPS; id++) {
    gboolean of_file = has_file && is_setting (id)
                       && seq_setting_is_of_model (id - 1)
                       && !(given & SEQ_BIT (id - 1));

    if (id != PROP_STATE && id != PROP_STATE_FILE && id != PROP_STATE_INTERVAL
        && id != PROP_STATS && !is_knob (id) /* params holds them */ && !of_file
        && (id != PROP_MODEL_OPTIONS || has_options))
      g_strv_builder_add (builder, gst_seq_filter_props[id]->name);
  }
  names = g_strv_builder_end (builder);
  g_strv_builder_unref (builder);
  return names;
}

/* --- the properties --------------------------------------------------------
 */

static GType
register_enum (const char *name, GArray *values)
{
  GType type = g_enum_register_static (
      name, (GEnumValue *) g_array_free (values, FALSE));

  gst_type_mark_as_plugin_api (type, 0);
  return type;
}

static GArray *
enum_values_new (void)
{
  return g_array_new (TRUE, TRUE, sizeof (GEnumValue));
}

static void
add_value (GArray *values, guint value, const char *title, const char *nick)
{
  GEnumValue entry = { (gint) value, title, nick };

  g_array_append_val (values, entry);
}

/* Kinds by their names, and then by the other names that they have. */
static GType
kind_type (void)
{
  const SeqKind *const *kinds = seq_kind_choices ();
  GArray *values = enum_values_new ();

  for (guint i = 0; kinds[i]; i++)
    add_value (values, i, kinds[i]->title, kinds[i]->name);
  for (guint i = 0; kinds[i]; i++)
    for (guint k = 0; kinds[i]->aliases && kinds[i]->aliases[k]; k++)
      add_value (values, i, g_strdup_printf ("The same as %s", kinds[i]->name),
          kinds[i]->aliases[k]);
  return register_enum ("GstSeqFilterModel", values);
}

static GType
choice_type (const SeqSettingInfo *info)
{
  GArray *values = enum_values_new ();
  g_auto (GStrv) words = g_strsplit (info->name, "-", -1);
  g_autoptr (GString) name = g_string_new ("GstSeqFilter");

  for (guint i = 0; words[i]; i++) {
    words[i][0] = g_ascii_toupper (words[i][0]);
    g_string_append (name, words[i]);
  }
  for (const SeqChoice *c = info->choices; c->name; c++)
    add_value (values, c->value, c->title, c->name);
  return register_enum (name->str, values);
}

static GType
emit_type (void)
{
  GType type =
      g_flags_register_static ("GstSeqFilterEmit", gst_seq_filter_emits);

  gst_type_mark_as_plugin_api (type, 0);
  return type;
}

static const GParamFlags usual =
    G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING;

static GParamSpec *
setting_spec (SeqSetting id)
{
  const SeqSettingInfo *info = &seq_setting_infos[id];
  gconstpointer at = G_STRUCT_MEMBER_P (&seq_default_settings, info->offset);
  const char *name = info->name, *title = info->title;
  GParamFlags flags = usual & ~G_PARAM_STATIC_BLURB;
  g_autofree char *about = seq_setting_about (id);

  switch (info->type) {
    case SEQ_TYPE_KIND:
      return g_param_spec_enum (name, title, about, kind_type (),
          find_kind (*(const char *const *) at), flags);
    case SEQ_TYPE_UINT:
      return g_param_spec_uint (name, title, about, (guint) info->min,
          (guint) info->max, *(const guint *) at, flags);
    case SEQ_TYPE_UINT64:
      return g_param_spec_uint64 (
          name, title, about, 0, G_MAXUINT64, *(const guint64 *) at, flags);
    case SEQ_TYPE_DOUBLE:
      return g_param_spec_double (name, title, about, info->min, info->max,
          *(const double *) at, flags);
    case SEQ_TYPE_CHOICE:
      return g_param_spec_enum (
          name, title, about, choice_type (info), *(const gint *) at, flags);
    case SEQ_TYPE_UINTS:
      return gst_param_spec_array (name, title, about,
          g_param_spec_int ("value", "Value", "One of them", (gint) info->min,
              (gint) info->max, (gint) info->min, usual),
          flags);
  }
  g_return_val_if_reached (NULL);
}

static GParamSpec *
knob_spec (guint i)
{
  g_autofree char *name = g_strdup_printf ("param%u", i + 1);
  g_autofree char *title = g_strdup_printf ("Param %u", i + 1);
  g_autofree char *about = g_strdup_printf (
      "Value %u of params, for a controller: the knob follows its curve frame "
      "by frame",
      i + 1);

  return g_param_spec_double (name, title, about, 0, 1, 0,
      (usual & ~G_PARAM_STATIC_STRINGS) | GST_PARAM_CONTROLLABLE);
}

void
gst_seq_filter_install_properties (GObjectClass *klass)
{
  const BufferSettings *buffer = &default_buffer_settings;
  GParamSpec **props = gst_seq_filter_props;
  /* g_strjoinv() does not change them */
  g_autofree char *formats = g_strjoinv (", ", (char **) seq_model_formats ());
  g_autofree char *about_files = g_strdup_printf (
      "Trained model to run: %s; found by content. Properties that are set "
      "must agree with what it says. Setting it again reads it again: while "
      "data flows the new model fades in within 10 ms, and one that does not "
      "load leaves the old one running",
      formats);
  g_autofree char *hints = seq_hints_help ();
  g_autofree char *about_options = g_strdup_printf (
      "What the model file cannot say, as fields: %s. For example: "
      "options,nonlinearity=relu,residual=1. Without a file: options of the "
      "model that no other property sets, say reset_after=0 of a gru",
      hints);

  for (SeqSetting id = 0; id < SEQ_N_SETTINGS; id++)
    props[1 + id] = setting_spec (id);
  props[PROP_MODEL_FILE] = g_param_spec_string ("model-file", "Model file",
      about_files, NULL, usual & ~G_PARAM_STATIC_BLURB);
  props[PROP_MODEL_OPTIONS] =
      g_param_spec_boxed ("model-options", "Model options", about_options,
          GST_TYPE_STRUCTURE, usual & ~G_PARAM_STATIC_BLURB);
  props[PROP_PARAMS] = gst_param_spec_array ("params", "Params",
      "Knobs of a model file that has them, 0 to 1 each (0 where there is no "
      "value). A knob glides to a new value in 20 ms",
      g_param_spec_double ("param", "Param", "A knob", 0, 1, 0, usual), usual);
  for (guint i = 0; i < N_KNOB_PROPS; i++)
    props[PROP_PARAM1 + i] = knob_spec (i);
  props[PROP_EMIT] = g_param_spec_flags ("emit", "Emit",
      "What to output, as groups of channels in this order. `input` alone is "
      "true passthrough, and the model listens",
      emit_type (), buffer->emit, usual);
  props[PROP_POST_MESSAGES] = g_param_spec_boolean ("post-messages",
      "Post messages",
      "Post an element message `seqfilter` with prediction gain and residual "
      "each interval",
      buffer->post_messages, usual);
  props[PROP_INTERVAL] = g_param_spec_uint64 ("interval", "Interval",
      "Time between messages, in nanoseconds; at least a frame", 1, G_MAXUINT64,
      buffer->interval, usual);
  props[PROP_MIX] = g_param_spec_double ("mix", "Mix",
      "Wet/dry mix of the prediction: 1 is the forecast, 0 the input", 0, 1,
      buffer->mix, usual | GST_PARAM_CONTROLLABLE);
  props[PROP_STATE] = g_param_spec_boxed ("state", "State",
      "Everything learnt and carried, with the model: set on another seqfilter "
      "it goes on there to the bit (NULL = nothing yet)",
      G_TYPE_BYTES, usual);
  props[PROP_STATE_FILE] = g_param_spec_string ("state-file", "State file",
      "File that the state is read from at start, if it exists, and written "
      "to at EOS, at stop and by the action `save`. Properties that say what "
      "the model is must fit the file; without any, the file brings its model",
      NULL, usual);
  props[PROP_STATE_INTERVAL] = g_param_spec_uint64 ("state-interval",
      "State interval",
      "Time between saves of state-file while the element runs, in nanoseconds "
      "of the system clock (0 = none), for a machine that may lose its power. "
      "Another thread saves, if there is news",
      0, G_MAXINT64, 0, usual);
  props[PROP_STATS] = g_param_spec_boxed ("stats", "Statistics",
      "Of the model that runs: isa, model-file, format, layers, precision, "
      "parameters, rate (Hz, 0 = any), state-bytes. Since the start: frames, "
      "non-finite samples, rewinds, updates, rollbacks, swaps of model files, "
      "load-failures. Since the last message or flush, per channel: "
      "prediction-gain (dB), residual-rms, score-peak",
      GST_TYPE_STRUCTURE, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);

  klass->set_property = set_property;
  klass->get_property = get_property;
  klass->dispatch_properties_changed = dispatch_properties_changed;
  g_object_class_install_properties (klass, N_PROPS, props);
}
