/* gstseqtextenc.c: a stream to text: an element for each format.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Elements are made from the table of formats (src/text/formats.c). All is done
 * in the streaming thread.
 */

/* clang-format off */
/**
 * SECTION:element-seqcsvenc
 * @title: seqcsvenc, seqinfluxenc, seqndjsonenc
 *
 * Writes a stream of float64 as text: CSV, InfluxDB line protocol, NDJSON. A
 * frame is a line (of several series: a line each). Values have the fewest
 * digits that read back as the same float64; NaN is an empty cell, or no field.
 *
 * Names, units, types, tags and timestamps are those that seqcsvdec,
 * seqinfluxdec or seqndjsondec has found: see there. What seqfilter adds is
 * called by its group: `temperature.forecast`, `temperature.residual`,
 * `temperature.score`. In a stream that has no names, channels are `channel1`,
 * `channel2`, ..., and times are the buffers' timestamps in seconds.
 *
 * Each buffer's text leaves at once. A header comes before the first line, and
 * again when the columns have changed.
 *
 * ## Example launch lines
 * |[
 * gst-launch-1.0 audiotestsrc num-buffers=1 samplesperbuffer=20 ! audio/x-raw,format=F64LE ! seqcsvenc ! fdsink
 * ]| The samples of a tone.
 */
/* clang-format on */

#include "plugin/gstseqtextenc.h"

#include "plugin/columns.h"
#include "plugin/errors.h"
#include "plugin/text.h"

#include <gst/audio/audio.h>

GST_DEBUG_CATEGORY_STATIC (gst_seq_text_enc_debug);
#define GST_CAT_DEFAULT gst_seq_text_enc_debug

enum {
  PROP_0,
  PROP_DELIMITER,
  PROP_DECIMAL,
  PROP_HEADER,
  PROP_MEASUREMENT,
};

typedef struct {
  GstElement parent;

  GstPad *sink, *src;

  /* under the object lock; taken up with the first row */
  char *delimiter, *decimal, *measurement;
  guint header;

  /* streaming thread */
  GstAudioInfo info;
  GstSeqColumns columns; /* of the event; no table: there was none */
  SeqTextWriter *writer; /* NULL: caps or columns have changed */
  gboolean has_caps;     /* the source pad's */
  GString *text;         /* of one buffer */
  GString *written;      /* the latest header */
} GstSeqTextEnc;

typedef struct {
  GstElementClass parent;
  const SeqTextFormat *format;
} GstSeqTextEncClass;

#define GST_SEQ_TEXT_ENC_GET_CLASS(self)                                       \
  ((GstSeqTextEncClass *) G_OBJECT_GET_CLASS (self))

GType gst_seq_text_enc_get_type (void);
G_DEFINE_ABSTRACT_TYPE (GstSeqTextEnc, gst_seq_text_enc, GST_TYPE_ELEMENT)

/* --- what text is written with -------------------------------------------- */

/* Names for channels that have none. */
static SeqTextTable *
number_channels (guint n_channels, gboolean has_time)
{
  SeqTextTable *table = seq_text_table_new ();

  table->time_name = has_time ? g_strdup ("time") : NULL;
  for (guint i = 0; i < n_channels; i++) {
    g_autofree char *name = g_strdup_printf ("channel%u", i + 1);

    seq_text_table_add (table, name, NULL, NULL, SEQ_TEXT_FLOAT);
  }
  return table;
}

/* Whether the names are those of the channels that there are. */
static gboolean
has_names (GstSeqTextEnc *self)
{
  guint n_channels = (guint) GST_AUDIO_INFO_CHANNELS (&self->info), n;

  if (!self->columns.table)
    return FALSE;
  n = self->columns.table->columns->len
      * g_strv_length (self->columns.suffixes);
  if (n != n_channels)
    GST_ELEMENT_WARNING (self, STREAM, FORMAT,
        ("The stream has %u channels and names for %u; channels are numbered",
            n_channels, n),
        (NULL));
  return n == n_channels;
}

static gboolean
make_writer (GstSeqTextEnc *self, gboolean has_pts)
{
  static const char *const no_suffix[] = { "", NULL };
  gboolean named = has_names (self);
  g_autoptr (SeqTextTable) table =
      named ? seq_text_table_ref (self->columns.table)
            : number_channels (
                (guint) GST_AUDIO_INFO_CHANNELS (&self->info), has_pts);
  g_autoptr (GError) error = NULL;
  g_autoptr (GString) header = g_string_new (NULL);

  GST_OBJECT_LOCK (self);
  self->writer = seq_text_writer_new (GST_SEQ_TEXT_ENC_GET_CLASS (self)->format,
      table, named ? (const char *const *) self->columns.suffixes : no_suffix,
      &(SeqTextWriteOptions){
          .delimiter = gst_seq_text_sign (self->delimiter),
          .decimal = gst_seq_text_sign (self->decimal),
          .header = self->header,
          .measurement = self->measurement,
      },
      &error);
  GST_OBJECT_UNLOCK (self);
  if (!self->writer) {
    gst_seq_post_error (GST_ELEMENT (self), GST_MESSAGE_ERROR, error, NULL);
    return FALSE;
  }
  seq_text_writer_write_header (self->writer, header);
  if (!g_string_equal (header, self->written)) {
    g_string_assign (self->written, header->str);
    g_string_append_len (self->text, header->str, (gssize) header->len);
  }
  return TRUE;
}

/* The next stream has other names. */
static void
forget (GstSeqTextEnc *self)
{
  g_clear_pointer (&self->writer, seq_text_writer_free);
  gst_seq_columns_clear (&self->columns);
  gst_audio_info_init (&self->info);
  self->has_caps = FALSE;
  g_string_truncate (self->written, 0);
}

/* --- buffers to rows ------------------------------------------------------ */

/* When the frame at pts was: as the meta says, or the event, or the PTS. */
static SeqTime
find_time (GstSeqTextEnc *self, GstBuffer *buffer)
{
  GstClockTime pts = GST_BUFFER_PTS (buffer);
  SeqTime time = { 0 };

  if (gst_seq_columns_get_time (buffer, &time)
      || !GST_CLOCK_TIME_IS_VALID (pts))
    return time;
  if (!self->columns.table)
    return seq_time_from_ns ((gint64) MIN (pts, G_MAXINT64));
  if (!self->columns.has_base)
    return time;
  time = self->columns.base;
  time.ns = (gint64) ((guint64) time.ns + pts);
  return time;
}

static void
write_rows (GstSeqTextEnc *self, GstBuffer *buffer, const double *values)
{
  guint n_channels = (guint) GST_AUDIO_INFO_CHANNELS (&self->info);
  guint n = (guint) (gst_buffer_get_size (buffer)
                     / (gsize) GST_AUDIO_INFO_BPF (&self->info));
  const SeqTime first = find_time (self, buffer);
  GstClockTime duration = GST_BUFFER_DURATION (buffer);
  guint64 step_of = n;

  if (!GST_CLOCK_TIME_IS_VALID (duration) || !self->columns.table) {
    duration = GST_SECOND;
    step_of = (guint64) GST_AUDIO_INFO_RATE (&self->info);
  }
  for (guint i = 0; i < n; i++) {
    SeqTime time = first;

    if (i > 0) {
      time.ns = (gint64) ((guint64) first.ns
                          + gst_util_uint64_scale (duration, i, step_of));
      if (!self->columns.table && time.style)
        time = seq_time_from_ns (time.ns);
    }
    seq_text_writer_write_row (
        self->writer, time, values + i * n_channels, self->text);
  }
}

static void
push_caps (GstSeqTextEnc *self)
{
  g_autoptr (GstCaps) caps = gst_caps_new_empty_simple (
      seq_text_format_media_type (GST_SEQ_TEXT_ENC_GET_CLASS (self)->format));

  gst_pad_push_event (self->src, gst_event_new_caps (caps));
  self->has_caps = TRUE;
}

static GstFlowReturn
chain (GstPad *pad, GstObject *parent, GstBuffer *buffer)
{
  GstSeqTextEnc *self = (GstSeqTextEnc *) parent;
  GstBuffer *out;
  GstMapInfo map;

  if (!GST_AUDIO_INFO_IS_VALID (&self->info)) {
    gst_buffer_unref (buffer);
    GST_ELEMENT_ERROR (self, CORE, NEGOTIATION,
        ("There are no caps; expected audio/x-raw"), (NULL));
    return GST_FLOW_NOT_NEGOTIATED;
  }
  g_string_truncate (self->text, 0);
  if (!self->writer && !make_writer (self, GST_BUFFER_PTS_IS_VALID (buffer))) {
    gst_buffer_unref (buffer);
    return GST_FLOW_ERROR;
  }
  if (gst_buffer_map (buffer, &map, GST_MAP_READ)) {
    write_rows (self, buffer, (const double *) (gpointer) map.data);
    gst_buffer_unmap (buffer, &map);
  }
  if (self->text->len == 0) {
    gst_buffer_unref (buffer);
    return GST_FLOW_OK;
  }
  out = gst_buffer_new_memdup (self->text->str, self->text->len);
  gst_buffer_copy_into (out, buffer, GST_BUFFER_COPY_TIMESTAMPS, 0, -1);
  gst_buffer_unref (buffer);
  return gst_pad_push (self->src, out);
}

static gboolean
set_caps (GstSeqTextEnc *self, GstEvent *event)
{
  GstAudioInfo info;
  GstCaps *caps;

  gst_event_parse_caps (event, &caps);
  if (!gst_audio_info_from_caps (&info, caps)) {
    GST_ELEMENT_ERROR (self, STREAM, FORMAT,
        ("The caps are not audio: expected audio/x-raw with a channel-mask, "
         "channel-mask=(bitmask)0 for more than two channels"),
        ("%" GST_PTR_FORMAT, caps));
    return FALSE;
  }
  if (!gst_audio_info_is_equal (&info, &self->info))
    g_clear_pointer (&self->writer, seq_text_writer_free);
  self->info = info;
  if (!self->has_caps)
    push_caps (self);
  return TRUE;
}

/* A change of the base alone changes no name. */
static void
set_columns (GstSeqTextEnc *self, GstEvent *event)
{
  GstSeqColumns columns;

  g_clear_pointer (&self->writer, seq_text_writer_free);
  gst_seq_columns_clear (&self->columns);
  if (gst_seq_columns_from_event (event, &columns))
    self->columns = columns;
  else
    GST_WARNING_OBJECT (self, "%" GST_PTR_FORMAT " makes no sense", event);
}

static gboolean
sink_event (GstPad *pad, GstObject *parent, GstEvent *event)
{
  GstSeqTextEnc *self = (GstSeqTextEnc *) parent;
  gboolean good = TRUE;

  if (GST_EVENT_TYPE (event) == GST_EVENT_CAPS)
    good = set_caps (self, event);
  else if (gst_seq_columns_is_event (event))
    set_columns (self, event);
  else
    return gst_pad_event_default (pad, parent, event);
  gst_event_unref (event);
  return good;
}

static GstStateChangeReturn
change_state (GstElement *element, GstStateChange transition)
{
  GstStateChangeReturn result =
      GST_ELEMENT_CLASS (gst_seq_text_enc_parent_class)
          ->change_state (element, transition);

  if (transition == GST_STATE_CHANGE_PAUSED_TO_READY)
    forget ((GstSeqTextEnc *) element);
  return result;
}

/* --- properties and classes ----------------------------------------------- */

static void
set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstSeqTextEnc *self = (GstSeqTextEnc *) object;

  GST_OBJECT_LOCK (self);
  switch (id) {
    case PROP_DELIMITER:
      gst_seq_text_set_string (&self->delimiter, value);
      break;
    case PROP_DECIMAL:
      gst_seq_text_set_string (&self->decimal, value);
      break;
    case PROP_HEADER:
      self->header = (guint) g_value_get_enum (value);
      break;
    case PROP_MEASUREMENT:
      gst_seq_text_set_string (&self->measurement, value);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
      break;
  }
  GST_OBJECT_UNLOCK (self);
}

static void
get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  GstSeqTextEnc *self = (GstSeqTextEnc *) object;

  GST_OBJECT_LOCK (self);
  switch (id) {
    case PROP_DELIMITER:
      g_value_set_string (value, self->delimiter);
      break;
    case PROP_DECIMAL:
      g_value_set_string (value, self->decimal);
      break;
    case PROP_HEADER:
      g_value_set_enum (value, (gint) self->header);
      break;
    case PROP_MEASUREMENT:
      g_value_set_string (value, self->measurement);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
      break;
  }
  GST_OBJECT_UNLOCK (self);
}

static void
finalize (GObject *object)
{
  GstSeqTextEnc *self = (GstSeqTextEnc *) object;

  forget (self);
  g_string_free (self->text, TRUE);
  g_string_free (self->written, TRUE);
  g_free (self->delimiter);
  g_free (self->decimal);
  g_free (self->measurement);
  G_OBJECT_CLASS (gst_seq_text_enc_parent_class)->finalize (object);
}

static void
gst_seq_text_enc_init (GstSeqTextEnc *self)
{
  gst_audio_info_init (&self->info);
  self->text = g_string_new (NULL);
  self->written = g_string_new (NULL);
}

static void
init_instance (GTypeInstance *instance, gpointer klass)
{
  GstSeqTextEnc *self = (GstSeqTextEnc *) instance;

  self->sink = gst_pad_new_from_template (
      gst_element_class_get_pad_template (klass, "sink"), "sink");
  gst_pad_set_chain_function (self->sink, chain);
  gst_pad_set_event_function (self->sink, sink_event);
  gst_element_add_pad (GST_ELEMENT (self), self->sink);
  self->src = gst_pad_new_from_template (
      gst_element_class_get_pad_template (klass, "src"), "src");
  gst_pad_use_fixed_caps (self->src);
  gst_element_add_pad (GST_ELEMENT (self), self->src);
}

static void
gst_seq_text_enc_class_init (GstSeqTextEncClass *klass)
{
  static GstStaticPadTemplate sink =
      GST_STATIC_PAD_TEMPLATE ("sink", GST_PAD_SINK, GST_PAD_ALWAYS,
          GST_STATIC_CAPS ("audio/x-raw, format = " GST_AUDIO_NE (
              F64) ", rate = [1, max], channels = [1, max], "
                   "layout = interleaved"));
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);

  GST_DEBUG_CATEGORY_INIT (
      gst_seq_text_enc_debug, "seqtextenc", 0, "a stream to text");
  object_class->set_property = set_property;
  object_class->get_property = get_property;
  object_class->finalize = finalize;
  element_class->change_state = change_state;
  gst_element_class_add_static_pad_template (element_class, &sink);
  gst_type_mark_as_plugin_api (G_TYPE_FROM_CLASS (klass), 0);
}

static void
install_dialect (GObjectClass *klass, GParamFlags flags)
{
  g_object_class_install_property (klass, PROP_DELIMITER,
      g_param_spec_string ("delimiter", "Delimiter",
          "What separates cells: a sign, or tab (NULL = as it was, or a comma)",
          NULL, flags));
  g_object_class_install_property (klass, PROP_DECIMAL,
      g_param_spec_string ("decimal", "Decimal mark",
          "A point or a comma (NULL = as it was, or a point)", NULL, flags));
  g_object_class_install_property (klass, PROP_HEADER,
      g_param_spec_enum ("header", "Header", "Whether the first line has names",
          gst_seq_text_header_get_type (), SEQ_TEXT_HEADER_AUTO, flags));
}

static void
init_class (gpointer klass, gpointer data)
{
  const SeqTextFormat *format = data;
  SeqTextOptionFlags options = seq_text_format_options (format);
  const char *title = seq_text_format_title (format);
  g_autofree char *name = g_strdup_printf ("%s encoder", title);
  g_autofree char *about =
      g_strdup_printf ("Writes series of numbers as %s", title);
  GParamFlags flags =
      G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY;
  g_autoptr (GstCaps) caps =
      gst_caps_new_empty_simple (seq_text_format_media_type (format));

  ((GstSeqTextEncClass *) klass)->format = format;
  /* a class's own properties need a setter and getter of its own */
  G_OBJECT_CLASS (klass)->set_property = set_property;
  G_OBJECT_CLASS (klass)->get_property = get_property;
  gst_element_class_add_pad_template (
      klass, gst_pad_template_new ("src", GST_PAD_SRC, GST_PAD_ALWAYS, caps));
  gst_element_class_set_metadata (
      klass, name, "Codec/Encoder/Audio", about, "seqfilter contributors");
  if (options & SEQ_TEXT_HAS_DIALECT)
    install_dialect (klass, flags);
  if (options & SEQ_TEXT_HAS_MEASUREMENT)
    g_object_class_install_property (klass, PROP_MEASUREMENT,
        g_param_spec_string ("measurement", "Measurement",
            "Of columns that have none (NULL = seqfilter)", NULL, flags));
}

gboolean
gst_seq_text_enc_register (GstPlugin *plugin)
{
  gboolean good = TRUE;

  for (const SeqTextFormat *const *f = seq_text_formats (); *f; f++) {
    const GTypeInfo info = { .class_size = sizeof (GstSeqTextEncClass),
      .class_init = init_class,
      .class_data = *f,
      .instance_size = sizeof (GstSeqTextEnc),
      .instance_init = init_instance };
    g_autofree char *element =
        g_strdup_printf ("seq%senc", seq_text_format_name (*f));
    g_autofree char *type = gst_seq_text_type_name (*f, "Enc");

    good &= gst_element_register (plugin, element, GST_RANK_NONE,
        g_type_register_static (gst_seq_text_enc_get_type (), type, &info, 0));
  }
  return good;
}
