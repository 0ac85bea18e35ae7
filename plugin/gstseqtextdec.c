/* gstseqtextdec.c: text of sensors to a stream: an element for each format.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Elements are made from the table of formats (src/text/formats.c): a format
 * there is an element here. All is done in the streaming thread.
 */

/* clang-format off */
/**
 * SECTION:element-seqcsvdec
 * @title: seqcsvdec, seqinfluxdec, seqndjsondec
 *
 * Reads series of numbers as a stream that seqfilter understands: CSV, InfluxDB
 * line protocol, NDJSON. A column is a channel, a line (or all lines of one
 * time) a frame of float64; NaN is a missing value.
 *
 * ## Time
 *
 * Timestamps of the text make the PTS: 0 is the first row. `rate` is a label
 * that caps need, unless the text has no timestamps: then rows come `rate` times
 * a second. The moment itself travels as a #GstReferenceTimestampMeta with the
 * caps `timestamp/x-unix`. A row that is older than the first one begins a new
 * segment.
 *
 * A buffer has one frame, or several whose timestamps are a constant time
 * apart: then #GstBuffer.duration is that many times this distance, so that the
 * time of frame i of n is pts + i duration / n. The duration of one frame is
 * the distance to the frame before.
 *
 * Rows leave as soon as their lines are whole: nothing is held back in a pipe
 * that never ends. A row that several lines make (of series that tags tell apart)
 * leaves with the line that gives it all values that the row before had, and at
 * the latest with the first line of another time.
 *
 * ## Names
 *
 * A sticky custom event, `seq-columns`, has names, units, types and tags of the
 * columns and how the timestamps were written. Elements pass it on, and
 * seqcsvenc, seqinfluxenc and seqndjsonenc write names, units and timestamps
 * back as they were.
 *
 * When a series or field comes up that was not there before, channels are added
 * at the end, and caps change.
 *
 * ## Errors
 *
 * A malformed line is skipped with a warning that names line and column; more
 * than #GstSeqTextDec:max-errors are an error.
 *
 * ## Example launch lines
 * |[
 * gst-launch-1.0 -m filesrc location=machine.csv ! seqcsvdec ! seqfilter emit=input+prediction+score ! seqcsvenc ! filesink location=scored.csv
 * ]| Forecasts and scores beside the values of a CSV file.
 * |[
 * mosquitto_sub -t sensors | gst-launch-1.0 -q fdsrc ! seqndjsondec ! seqfilter emit=input+score ! seqndjsonenc ! fdsink
 * ]| Scores of what comes by MQTT, line by line.
 */
/* clang-format on */

#include "plugin/gstseqtextdec.h"

#include "plugin/columns.h"
#include "plugin/errors.h"
#include "plugin/text.h"

#include <gst/audio/audio.h>

#include <string.h>

GST_DEBUG_CATEGORY_STATIC (gst_seq_text_dec_debug);
#define GST_CAT_DEFAULT gst_seq_text_dec_debug

#define SNIFF 4096 /* bytes that a typefinder looks at */

enum {
  PROP_0,
  PROP_TIME,
  PROP_TIME_UNIT,
  PROP_COLUMNS,
  PROP_TAGS,
  PROP_DELIMITER,
  PROP_DECIMAL,
  PROP_HEADER,
  PROP_RATE,
  PROP_MAX_ERRORS,
  PROP_STATS,
};

typedef struct {
  GstElement parent;

  GstPad *sink, *src;

  /* under the object lock; taken up when a text begins */
  char *time, *delimiter, *decimal;
  char **columns, **tags;
  guint time_unit, header;
  gint rate, max_errors;
  guint64 n_rows, n_errors; /* so far */

  /* streaming thread */
  SeqTextReader *reader;   /* NULL: none since the last text ended */
  GstSeqColumns announced; /* the table of the caps and event in force */
  gint now_rate;           /* of the caps in force */
  gboolean needs_segment, needs_event, needs_discont;
  GstClockTime next_pts; /* of a row without a timestamp */
  guint64 n_untimed;     /* such rows since untimed_from */
  GstClockTime untimed_from;
  SeqTime last;              /* of the last row with a timestamp */
  GstClockTime spacing;      /* of the last two of these; or NONE */
  GstClockTime segment_base; /* running time of the segment's start */
  guint32 style;
  GstCaps *time_caps; /* of the meta, for this style */
} GstSeqTextDec;

typedef struct {
  GstElementClass parent;
  const SeqTextFormat *format;
} GstSeqTextDecClass;

#define GST_SEQ_TEXT_DEC_GET_CLASS(self)                                       \
  ((GstSeqTextDecClass *) G_OBJECT_GET_CLASS (self))

GType gst_seq_text_dec_get_type (void);
G_DEFINE_ABSTRACT_TYPE (GstSeqTextDec, gst_seq_text_dec, GST_TYPE_ELEMENT)

static const GEnumValue time_units[] = {
  { SEQ_TIME_UNIT_AUTO, "By their size", "auto" },
  { SEQ_TIME_UNIT_S, "Seconds", "s" },
  { SEQ_TIME_UNIT_MS, "Milliseconds", "ms" },
  { SEQ_TIME_UNIT_US, "Microseconds", "us" },
  { SEQ_TIME_UNIT_NS, "Nanoseconds", "ns" },
  { 0, NULL, NULL },
};

/* --- what a text is read with --------------------------------------------- */

/* The reader of the text that begins; NULL: what options say cannot be, which
 * has been posted. */
static SeqTextReader *
make_reader (GstSeqTextDec *self)
{
  g_autoptr (GError) error = NULL;
  SeqTextReader *reader;

  GST_OBJECT_LOCK (self);
  reader = seq_text_reader_new (GST_SEQ_TEXT_DEC_GET_CLASS (self)->format,
      &(SeqTextReadOptions){
          .time = self->time,
          .time_unit = self->time_unit,
          .columns = (const char *const *) self->columns,
          .tags = (const char *const *) self->tags,
          .delimiter = gst_seq_text_sign (self->delimiter),
          .decimal = gst_seq_text_sign (self->decimal),
          .header = self->header,
          .max_errors = self->max_errors,
      },
      &error);
  self->now_rate = self->rate;
  GST_OBJECT_UNLOCK (self);
  if (!reader)
    gst_seq_post_error (GST_ELEMENT (self), GST_MESSAGE_ERROR, error, NULL);
  return reader;
}

/* A text begins: nothing is known of it. */
static void
forget (GstSeqTextDec *self)
{
  g_clear_pointer (&self->reader, seq_text_reader_free);
  gst_seq_columns_clear (&self->announced);
  self->needs_segment = TRUE;
  self->needs_discont = TRUE;
  self->next_pts = 0;
  self->untimed_from = GST_CLOCK_TIME_NONE;
  self->spacing = GST_CLOCK_TIME_NONE;
  self->segment_base = 0;
}

/* --- rows to buffers ------------------------------------------------------ */

/* ns from a to b, which is later: up to twice what a gint64 holds. */
static guint64
distance (SeqTime a, SeqTime b)
{
  return (guint64) b.ns - (guint64) a.ns;
}

/* Where the row at this time lies; a row before the first begins a segment. */
static GstClockTime
place_row (GstSeqTextDec *self, SeqTime time)
{
  GstSeqColumns *columns = &self->announced;

  if (time.style == 0) {
    if (!GST_CLOCK_TIME_IS_VALID (self->untimed_from)) {
      self->untimed_from = self->next_pts;
      self->n_untimed = 0;
    }
    return self->untimed_from
           + gst_util_uint64_scale_int (
               self->n_untimed, GST_SECOND, self->now_rate);
  }
  self->untimed_from = GST_CLOCK_TIME_NONE;
  if (columns->has_base && time.ns < columns->base.ns) {
    self->segment_base += self->next_pts;
    self->next_pts = 0;
    self->needs_segment = TRUE;
    columns->has_base = FALSE;
  }
  if (!columns->has_base) {
    columns->has_base = TRUE;
    columns->base = time;
    columns->base.ns = (gint64) ((guint64) time.ns - self->next_pts);
    self->spacing = GST_CLOCK_TIME_NONE;
    self->needs_event = TRUE;
    self->needs_discont = TRUE;
    self->last = time;
  }
  return distance (columns->base, time);
}

/* How many rows from `from` on are a constant time apart. */
static guint
count_regular (const SeqTextRows *rows, guint from)
{
  const SeqTime *t = rows->times + from;
  guint n = rows->n_rows - from, i = 1;
  guint64 step;

  if (t->style == 0) {
    while (i < n && t[i].style == 0)
      i++;
    return i;
  }
  if (n < 2 || t[1].ns <= t[0].ns)
    return 1;
  step = distance (t[0], t[1]);
  n = (guint) MIN (n, G_MAXINT64 / step); /* their duration can be told */
  while (i < n && t[i].style == t->style && t[i].ns > t[i - 1].ns
         && distance (t[i - 1], t[i]) == step)
    i++;
  return i;
}

/* The duration of n rows from pts on; the last of them has been placed. */
static GstClockTime
measure_rows (
    GstSeqTextDec *self, const SeqTime *times, guint n, GstClockTime pts)
{
  if (times->style == 0) {
    self->n_untimed += n;
    return self->untimed_from
           + gst_util_uint64_scale_int (
               self->n_untimed, GST_SECOND, self->now_rate)
           - pts;
  }
  if (n > 1)
    self->spacing = distance (times[0], times[1]);
  else if (times->ns > self->last.ns)
    self->spacing = distance (self->last, times[0]);
  self->last = times[n - 1];
  return GST_CLOCK_TIME_IS_VALID (self->spacing) ? n * self->spacing
                                                 : GST_CLOCK_TIME_NONE;
}

static void
push_caps (GstSeqTextDec *self, guint n_channels)
{
  GstCaps *caps = gst_caps_new_simple ("audio/x-raw", "format", G_TYPE_STRING,
      GST_AUDIO_NE (F64), "rate", G_TYPE_INT, self->now_rate, "channels",
      G_TYPE_INT, (gint) n_channels, "layout", G_TYPE_STRING, "interleaved",
      NULL);

  if (n_channels > 1) /* no places in a room */
    gst_caps_set_simple (
        caps, "channel-mask", GST_TYPE_BITMASK, (guint64) 0, NULL);
  gst_pad_push_event (self->src, gst_event_new_caps (caps));
  gst_caps_unref (caps);
}

static void
push_segment (GstSeqTextDec *self)
{
  GstSegment segment;

  gst_segment_init (&segment, GST_FORMAT_TIME);
  segment.base = self->segment_base;
  gst_pad_push_event (self->src, gst_event_new_segment (&segment));
  self->needs_segment = FALSE;
}

/* What must be known before a buffer of this table. */
static void
announce (GstSeqTextDec *self, const SeqTextTable *table)
{
  GstSeqColumns *columns = &self->announced;

  if (columns->table != table) {
    if (!columns->table || columns->table->columns->len != table->columns->len)
      push_caps (self, table->columns->len);
    gst_seq_columns_set_table (columns, table);
    self->needs_event = TRUE;
  }
  if (self->needs_segment)
    push_segment (self);
  if (self->needs_event)
    gst_pad_push_event (self->src, gst_seq_columns_to_event (columns));
  self->needs_event = FALSE;
}

static GstFlowReturn
push_rows (GstSeqTextDec *self, const SeqTextRows *rows)
{
  gsize row_size = rows->table->columns->len * sizeof (double);
  GstFlowReturn flow = GST_FLOW_OK;

  for (guint i = 0, n; i < rows->n_rows && flow == GST_FLOW_OK; i += n) {
    GstClockTime pts = place_row (self, rows->times[i]);
    GstBuffer *buffer;

    n = count_regular (rows, i);
    announce (self, rows->table);
    buffer = gst_buffer_new_allocate (NULL, n * row_size, NULL);
    gst_buffer_fill (
        buffer, 0, rows->values + i * rows->table->columns->len, n * row_size);
    GST_BUFFER_PTS (buffer) = pts;
    GST_BUFFER_DURATION (buffer) = measure_rows (self, rows->times + i, n, pts);
    self->next_pts = pts
                     + (GST_BUFFER_DURATION_IS_VALID (buffer)
                             ? GST_BUFFER_DURATION (buffer)
                             : GST_SECOND / (guint64) self->now_rate);
    if (self->needs_discont)
      GST_BUFFER_FLAG_SET (buffer, GST_BUFFER_FLAG_DISCONT);
    self->needs_discont = FALSE;
    gst_seq_columns_add_time (
        buffer, rows->times[i], &self->style, &self->time_caps);
    flow = gst_pad_push (self->src, buffer);
  }
  return flow;
}

/* A warning for all malformed lines that have come since the last one. */
static void
post_warning (GstSeqTextDec *self)
{
  g_autofree char *warning = seq_text_reader_take_warning (self->reader);
  guint64 n = seq_text_reader_n_errors (self->reader);

  if (warning)
    GST_ELEMENT_WARNING (self, STREAM, DECODE, ("%s", warning),
        ("%" G_GUINT64_FORMAT " malformed lines so far", n));
}

/* Pushes all rows that are whole. */
static GstFlowReturn
drain (GstSeqTextDec *self)
{
  GstFlowReturn flow = GST_FLOW_OK;
  g_autoptr (GError) error = NULL;
  const SeqTextRows *rows;

  while (flow == GST_FLOW_OK
         && (rows = seq_text_reader_pull (self->reader, &error)))
    flow = push_rows (self, rows);
  GST_OBJECT_LOCK (self);
  self->n_rows = seq_text_reader_n_rows (self->reader);
  self->n_errors = seq_text_reader_n_errors (self->reader);
  GST_OBJECT_UNLOCK (self);
  if (error) {
    gst_seq_post_error (GST_ELEMENT (self), GST_MESSAGE_ERROR, error, NULL);
    return GST_FLOW_ERROR;
  }
  post_warning (self);
  return flow;
}

/* --- pads ----------------------------------------------------------------- */

static GstFlowReturn
chain (GstPad *pad, GstObject *parent, GstBuffer *buffer)
{
  GstSeqTextDec *self = (GstSeqTextDec *) parent;
  GstMapInfo map;

  if (!self->reader && !(self->reader = make_reader (self))) {
    gst_buffer_unref (buffer);
    return GST_FLOW_ERROR;
  }
  if (gst_buffer_map (buffer, &map, GST_MAP_READ)) {
    seq_text_reader_push (self->reader, (const char *) map.data, map.size);
    gst_buffer_unmap (buffer, &map);
  }
  gst_buffer_unref (buffer);
  return drain (self);
}

static gboolean
sink_event (GstPad *pad, GstObject *parent, GstEvent *event)
{
  GstSeqTextDec *self = (GstSeqTextDec *) parent;

  switch (GST_EVENT_TYPE (event)) {
    case GST_EVENT_CAPS: /* of bytes; rows have their own */
    case GST_EVENT_SEGMENT:
      gst_event_unref (event);
      return TRUE;
    case GST_EVENT_FLUSH_STOP:
      forget (self);
      break;
    case GST_EVENT_EOS:
      if (self->reader) {
        seq_text_reader_end (self->reader);
        drain (self);
      }
      forget (self);
      break;
    default:
      break;
  }
  return gst_pad_event_default (pad, parent, event);
}

static GstStateChangeReturn
change_state (GstElement *element, GstStateChange transition)
{
  GstSeqTextDec *self = (GstSeqTextDec *) element;
  GstStateChangeReturn result;

  if (transition == GST_STATE_CHANGE_READY_TO_PAUSED) {
    forget (self);
    self->reader = make_reader (self);
    if (!self->reader)
      return GST_STATE_CHANGE_FAILURE;
  }
  result = GST_ELEMENT_CLASS (gst_seq_text_dec_parent_class)
               ->change_state (element, transition);
  if (transition == GST_STATE_CHANGE_PAUSED_TO_READY)
    forget (self);
  return result;
}

/* --- properties ----------------------------------------------------------- */

static char **
get_strings (const GValue *array)
{
  guint n = gst_value_array_get_size (array);
  char **strings = g_new0 (char *, n + 1);

  for (guint i = 0; i < n; i++)
    strings[i] = g_value_dup_string (gst_value_array_get_value (array, i));
  if (n == 0)
    g_clear_pointer (&strings, g_strfreev);
  return strings;
}

static void
set_strings (GValue *array, char **strings)
{
  for (; strings && *strings; strings++) {
    GValue value = G_VALUE_INIT;

    g_value_init (&value, G_TYPE_STRING);
    g_value_set_string (&value, *strings);
    gst_value_array_append_and_take_value (array, &value);
  }
}

static void
set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstSeqTextDec *self = (GstSeqTextDec *) object;

  GST_OBJECT_LOCK (self);
  switch (id) {
    case PROP_TIME:
      gst_seq_text_set_string (&self->time, value);
      break;
    case PROP_TIME_UNIT:
      self->time_unit = (guint) g_value_get_enum (value);
      break;
    case PROP_COLUMNS:
      g_strfreev (self->columns);
      self->columns = get_strings (value);
      break;
    case PROP_TAGS:
      g_strfreev (self->tags);
      self->tags = get_strings (value);
      break;
    case PROP_DELIMITER:
      gst_seq_text_set_string (&self->delimiter, value);
      break;
    case PROP_DECIMAL:
      gst_seq_text_set_string (&self->decimal, value);
      break;
    case PROP_HEADER:
      self->header = (guint) g_value_get_enum (value);
      break;
    case PROP_RATE:
      self->rate = g_value_get_int (value);
      break;
    case PROP_MAX_ERRORS:
      self->max_errors = g_value_get_int (value);
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
  GstSeqTextDec *self = (GstSeqTextDec *) object;

  GST_OBJECT_LOCK (self);
  switch (id) {
    case PROP_TIME:
      g_value_set_string (value, self->time);
      break;
    case PROP_TIME_UNIT:
      g_value_set_enum (value, (gint) self->time_unit);
      break;
    case PROP_COLUMNS:
      set_strings (value, self->columns);
      break;
    case PROP_TAGS:
      set_strings (value, self->tags);
      break;
    case PROP_DELIMITER:
      g_value_set_string (value, self->delimiter);
      break;
    case PROP_DECIMAL:
      g_value_set_string (value, self->decimal);
      break;
    case PROP_HEADER:
      g_value_set_enum (value, (gint) self->header);
      break;
    case PROP_RATE:
      g_value_set_int (value, self->rate);
      break;
    case PROP_MAX_ERRORS:
      g_value_set_int (value, self->max_errors);
      break;
    case PROP_STATS:
      g_value_take_boxed (
          value, gst_structure_new ("application/x-seqtext-stats", "rows",
                     G_TYPE_UINT64, self->n_rows, "errors", G_TYPE_UINT64,
                     self->n_errors, NULL));
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
      break;
  }
  GST_OBJECT_UNLOCK (self);
}

/* --- classes -------------------------------------------------------------- */

static void
finalize (GObject *object)
{
  GstSeqTextDec *self = (GstSeqTextDec *) object;

  forget (self);
  gst_clear_caps (&self->time_caps);
  g_free (self->time);
  g_free (self->delimiter);
  g_free (self->decimal);
  g_strfreev (self->columns);
  g_strfreev (self->tags);
  G_OBJECT_CLASS (gst_seq_text_dec_parent_class)->finalize (object);
}

static void
gst_seq_text_dec_init (GstSeqTextDec *self)
{
  self->rate = 1;
  self->max_errors = -1;
}

static void
init_instance (GTypeInstance *instance, gpointer klass)
{
  GstSeqTextDec *self = (GstSeqTextDec *) instance;

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
gst_seq_text_dec_class_init (GstSeqTextDecClass *klass)
{
  static GstStaticPadTemplate src =
      GST_STATIC_PAD_TEMPLATE ("src", GST_PAD_SRC, GST_PAD_ALWAYS,
          GST_STATIC_CAPS ("audio/x-raw, format = " GST_AUDIO_NE (
              F64) ", rate = [1, max], channels = [1, max], "
                   "layout = interleaved"));
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);
  GParamFlags flags =
      G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY;
  GType unit = g_enum_register_static ("GstSeqTimeUnit", time_units);

  GST_DEBUG_CATEGORY_INIT (
      gst_seq_text_dec_debug, "seqtextdec", 0, "text of sensors to a stream");
  object_class->set_property = set_property;
  object_class->get_property = get_property;
  object_class->finalize = finalize;
  element_class->change_state = change_state;
  gst_element_class_add_static_pad_template (element_class, &src);

  /**
   * GstSeqTextDec:time-unit:
   *
   * In what timestamps that are numbers count. By their size they are seconds
   * below 1e10, milliseconds below 1e13, microseconds below 1e16, else
   * nanoseconds; the first that is not 0 decides.
   */
  g_object_class_install_property (object_class, PROP_TIME_UNIT,
      g_param_spec_enum ("time-unit", "Time unit",
          "In what timestamps that are numbers count", unit, SEQ_TIME_UNIT_AUTO,
          flags));
  /**
   * GstSeqTextDec:columns:
   *
   * Which columns, fields or keys to read, by name; in CSV by number from 1,
   * too, and in this order. Empty: all that are numbers.
   */
  g_object_class_install_property (object_class, PROP_COLUMNS,
      gst_param_spec_array ("columns", "Columns",
          "Which columns to read, by name or (CSV) number; none: all numbers",
          g_param_spec_string ("column", "Column", "One of them", NULL, flags),
          flags));
  /**
   * GstSeqTextDec:rate:
   *
   * The rate in the caps: a label, where rows have timestamps.
   */
  g_object_class_install_property (object_class, PROP_RATE,
      g_param_spec_int ("rate", "Rate",
          "Rate in the caps, and rows a second if they have no timestamps", 1,
          G_MAXINT, 1, flags));
  g_object_class_install_property (object_class, PROP_MAX_ERRORS,
      g_param_spec_int ("max-errors", "Max errors",
          "Malformed lines to skip; more are an error (-1 = any)", -1, G_MAXINT,
          -1, flags));
  /**
   * GstSeqTextDec:stats:
   *
   * Rows read and malformed lines skipped: `rows` and `errors`, #guint64.
   */
  g_object_class_install_property (object_class, PROP_STATS,
      g_param_spec_boxed ("stats", "Statistics", "Rows read, lines skipped",
          GST_TYPE_STRUCTURE, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS));
  gst_type_mark_as_plugin_api (unit, 0);
  gst_type_mark_as_plugin_api (G_TYPE_FROM_CLASS (klass), 0);
}

static void
install_dialect (GObjectClass *klass, GParamFlags flags)
{
  g_object_class_install_property (klass, PROP_DELIMITER,
      g_param_spec_string ("delimiter", "Delimiter",
          "What separates cells: a sign, or tab (NULL = found)", NULL, flags));
  g_object_class_install_property (klass, PROP_DECIMAL,
      g_param_spec_string ("decimal", "Decimal mark",
          "A point or a comma (NULL = both, unless a comma separates cells)",
          NULL, flags));
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
  g_autofree char *name = g_strdup_printf ("%s decoder", title);
  g_autofree char *about =
      g_strdup_printf ("Reads series of numbers from %s", title);
  GParamFlags flags =
      G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY;
  g_autoptr (GstCaps) caps =
      gst_caps_new_empty_simple (seq_text_format_media_type (format));

  ((GstSeqTextDecClass *) klass)->format = format;
  /* a class's own properties need a setter and getter of its own */
  G_OBJECT_CLASS (klass)->set_property = set_property;
  G_OBJECT_CLASS (klass)->get_property = get_property;
  gst_element_class_add_pad_template (
      klass, gst_pad_template_new ("sink", GST_PAD_SINK, GST_PAD_ALWAYS, caps));
  gst_element_class_set_metadata (
      klass, name, "Codec/Decoder/Audio", about, "seqfilter contributors");
  if (options & SEQ_TEXT_HAS_TIME)
    g_object_class_install_property (klass, PROP_TIME,
        g_param_spec_string ("time", "Time",
            "Column of the timestamp, by name or (CSV) number; none (NULL = "
            "found)",
            NULL, flags));
  if (options & SEQ_TEXT_HAS_TAGS)
    g_object_class_install_property (klass, PROP_TAGS,
        gst_param_spec_array ("tags", "Tags",
            "Columns that tell several series apart",
            g_param_spec_string ("tag", "Tag", "One of them", NULL, flags),
            flags));
  if (options & SEQ_TEXT_HAS_DIALECT)
    install_dialect (klass, flags);
}

/* --- finding types -------------------------------------------------------- */

static void
find_type (GstTypeFind *find, gpointer data)
{
  const SeqTextFormat *format = data;
  guint64 length = gst_type_find_get_length (find); /* 0: not known */
  guint size = length > 0 ? (guint) MIN (length, SNIFF) : SNIFF;
  const guint8 *text;
  guint sure;

  while (!(text = gst_type_find_peek (find, 0, size)) && size > 16)
    size /= 2;
  if (!text)
    return;
  for (guint more = size / 2; more > 0 && size < SNIFF; more /= 2) {
    const guint8 *longer = gst_type_find_peek (find, 0, size + more);

    if (longer) {
      text = longer;
      size += more;
    }
  }
  sure = seq_text_sniff (format, (const char *) text, size, length == size);
  if (sure >= GST_TYPE_FIND_POSSIBLE)
    gst_type_find_suggest_empty_simple (
        find, sure, seq_text_format_media_type (format));
}

gboolean
gst_seq_text_dec_register (GstPlugin *plugin)
{
  gboolean good = TRUE;

  for (const SeqTextFormat *const *f = seq_text_formats (); *f; f++) {
    const GTypeInfo info = { .class_size = sizeof (GstSeqTextDecClass),
      .class_init = init_class,
      .class_data = *f,
      .instance_size = sizeof (GstSeqTextDec),
      .instance_init = init_instance };
    const char *name = seq_text_format_name (*f);
    g_autofree char *element = g_strdup_printf ("seq%sdec", name);
    g_autofree char *type = gst_seq_text_type_name (*f, "Dec");
    g_autoptr (GstCaps) caps =
        gst_caps_new_empty_simple (seq_text_format_media_type (*f));

    good &= gst_element_register (plugin, element, GST_RANK_SECONDARY,
        g_type_register_static (gst_seq_text_dec_get_type (), type, &info, 0));
    good &= gst_type_find_register (plugin, seq_text_format_media_type (*f),
        GST_RANK_SECONDARY, find_type, seq_text_format_extensions (*f), caps,
        (gpointer) *f, NULL);
  }
  return good;
}
