/* test_text.c: text to a stream and back: decoders, encoders, typefinding.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the text means is said in tests/test_text.c; here it is buffers, events,
 * caps and messages.
 */
#include "plugin/columns.h"

#include <gst/audio/audio.h>
#include <gst/base/gsttypefindhelper.h>
#include <gst/check/gstcheck.h>
#include <gst/check/gstharness.h>
#include <glib/gstdio.h>

#include <math.h>
#include <string.h>

/* The harness around elements whose sink takes text of this type. */
static GstHarness *
harness_new (const char *launch, const char *media_type)
{
  GstHarness *h = gst_harness_new_parse (launch);

  gst_harness_set_src_caps_str (h, media_type);
  return h;
}

static GstFlowReturn
push_bytes (GstHarness *h, const char *text, gsize n)
{
  return gst_harness_push (h, gst_buffer_new_memdup (text, n));
}

static void
push_text (GstHarness *h, const char *text)
{
  fail_unless_equals_int (push_bytes (h, text, strlen (text)), GST_FLOW_OK);
}

static void
push_eos (GstHarness *h)
{
  fail_unless (gst_harness_push_event (h, gst_event_new_eos ()));
}

/* All text that has come out. */
static char *
pull_text (GstHarness *h)
{
  GString *text = g_string_new (NULL);
  GstBuffer *buffer;

  while ((buffer = gst_harness_try_pull (h))) {
    GstMapInfo map;

    fail_unless (gst_buffer_map (buffer, &map, GST_MAP_READ));
    g_string_append_len (text, (const char *) map.data, (gssize) map.size);
    gst_buffer_unmap (buffer, &map);
    gst_buffer_unref (buffer);
  }
  return g_string_free (text, FALSE);
}

/* The next buffer: its timestamps (ms; -1: none), and its values. */
static void
assert_buffer (
    GstHarness *h, gint64 pts, gint64 duration, guint n, const double *values)
{
  GstBuffer *buffer = gst_harness_try_pull (h);
  GstMapInfo map;

  fail_unless (buffer != NULL, "there is no buffer");
  fail_unless_equals_uint64 (
      GST_BUFFER_PTS (buffer), (guint64) pts * GST_MSECOND);
  fail_unless_equals_uint64 (GST_BUFFER_DURATION (buffer),
      duration < 0 ? GST_CLOCK_TIME_NONE : (guint64) duration * GST_MSECOND);
  fail_unless (gst_buffer_map (buffer, &map, GST_MAP_READ));
  fail_unless_equals_uint64 (map.size, n * sizeof (double));
  for (guint i = 0; i < n; i++) {
    double value = ((const double *) (gpointer) map.data)[i];

    fail_unless (value == values[i] || (isnan (value) && isnan (values[i])),
        "value %u is %g; expected %g", i, value, values[i]);
  }
  gst_buffer_unmap (buffer, &map);
  gst_buffer_unref (buffer);
}

#define BUFFER(h, pts, duration, ...)                                          \
  assert_buffer (h, pts, duration,                                             \
      sizeof ((double[]){ __VA_ARGS__ }) / sizeof (double),                    \
      (double[]){ __VA_ARGS__ })

static void
assert_no_buffer (GstHarness *h)
{
  fail_unless_equals_uint64 (gst_harness_buffers_in_queue (h), 0);
}

/* --- decoders ------------------------------------------------------------- */

/* Caps: float64, as many channels as columns, no places in a room. */
GST_START_TEST (test_caps)
{
  static const struct {
    const char *text, *caps;
  } cases[] = {
    { "t,a\n1,2\n", "audio/x-raw, format=" GST_AUDIO_NE (
                        F64) ", rate=5, channels=1, layout=interleaved" },
    { "t,a,b\n1,2,3\n", "audio/x-raw, format=" GST_AUDIO_NE (
                            F64) ", rate=5, channels=2, layout=interleaved, "
                                 "channel-mask=(bitmask)0" },
    { "a,b,c\n1,2,3\n", "audio/x-raw, format=" GST_AUDIO_NE (
                            F64) ", rate=5, channels=3, layout=interleaved, "
                                 "channel-mask=(bitmask)0" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    GstHarness *h = harness_new ("seqcsvdec rate=5", "text/csv");
    g_autoptr (GstCaps) expected = gst_caps_from_string (cases[i].caps);
    g_autoptr (GstCaps) caps = NULL;
    GstAudioInfo info;

    push_text (h, cases[i].text);
    caps = gst_pad_get_current_caps (h->sinkpad);
    fail_unless (gst_caps_is_equal (caps, expected), "%" GST_PTR_FORMAT, caps);
    fail_unless (gst_audio_info_from_caps (&info, caps));
    gst_harness_teardown (h);
  }
}
GST_END_TEST;

/* PTS count from the first row; rows at a constant distance share a buffer, and
 * none waits for another. */
GST_START_TEST (test_times)
{
  GstHarness *h = harness_new ("seqcsvdec", "text/csv");

  push_text (h, "time,a\n2024-01-01T00:00:00Z,1\n");
  BUFFER (h, 0, -1, 1);
  push_text (h, "2024-01-01T00:05:00Z,2\n");
  BUFFER (h, 300000, 300000, 2);
  push_text (h, "2024-01-01T00:10:00Z,3\n2024-01-01T00:15:00Z,4\n"
                "2024-01-01T00:20:00Z,5\n2024-01-01T01:00:00Z,6\n"
                "2024-01-01T01:05:00Z,\n");
  BUFFER (h, 600000, 900000, 3, 4, 5);
  BUFFER (h, 3600000, 600000, 6, NAN);
  assert_no_buffer (h);
  push_text (h, "2024-01-01T00:30:00Z,7\n"); /* a clock that goes back */
  BUFFER (h, 1800000, 300000, 7);
  push_text (h, "2024-01-01T00:30:00Z,8\n"); /* and stands */
  BUFFER (h, 1800000, 300000, 8);
  gst_harness_teardown (h);
}
GST_END_TEST;

/* Without timestamps there are `rate` rows a second. */
GST_START_TEST (test_no_times)
{
  GstHarness *h = harness_new ("seqcsvdec rate=4", "text/csv");

  push_text (h, "a,b\n1,2\n3,4\n");
  BUFFER (h, 0, 500, 1, 2, 3, 4);
  push_text (h, "5,6\n");
  BUFFER (h, 500, 250, 5, 6);
  gst_harness_teardown (h);
}
GST_END_TEST;

/* The moment itself comes with each buffer. */
GST_START_TEST (test_reference_time)
{
  GstHarness *h = harness_new ("seqcsvdec", "text/csv");
  g_autoptr (GstCaps) caps = gst_caps_from_string ("timestamp/x-unix");

  push_text (h, "time,a\n1424986973.25,1\n1424986974.5,2\n");
  for (guint i = 0; i < 1; i++) {
    GstBuffer *buffer = gst_harness_pull (h);
    GstReferenceTimestampMeta *meta =
        gst_buffer_get_reference_timestamp_meta (buffer, caps);

    fail_unless (meta != NULL);
    fail_unless_equals_uint64 (
        meta->timestamp, G_GUINT64_CONSTANT (1424986973250000000));
    gst_buffer_unref (buffer);
  }
  gst_harness_teardown (h);
}
GST_END_TEST;

static GstEvent *
find_columns_event (GstHarness *h)
{
  GstEvent *event;

  for (guint i = 0; (event = gst_pad_get_sticky_event (
                         h->sinkpad, GST_EVENT_CUSTOM_DOWNSTREAM_STICKY, i));
       i++) {
    if (gst_seq_columns_is_event (event))
      return event;
    gst_event_unref (event);
  }
  return NULL;
}

/* Names, units, types and tags, and where PTS 0 lies. */
GST_START_TEST (test_names)
{
  GstHarness *h = harness_new ("seqcsvdec", "text/csv");
  g_autoptr (GstEvent) event = NULL;
  GstSeqColumns columns;
  const SeqTextColumn *column;

  push_text (h, "Zeit;Druck [hPa];offen\r\n5;-1013,25;true\r\n");
  event = find_columns_event (h);
  fail_unless (event != NULL);
  fail_unless (gst_seq_columns_from_event (event, &columns));
  fail_unless_equals_int (columns.table->columns->len, 2);
  column = seq_text_table_column (columns.table, 0);
  fail_unless_equals_string (column->name, "Druck");
  fail_unless_equals_string (column->unit, "hPa");
  fail_unless (column->tags == NULL);
  column = seq_text_table_column (columns.table, 1);
  fail_unless_equals_string (column->name, "offen");
  fail_unless (column->unit == NULL);
  fail_unless_equals_int (column->type, SEQ_TEXT_BOOLEAN);
  fail_unless_equals_string (columns.table->time_name, "Zeit");
  fail_unless_equals_string (columns.table->unit_open, " [");
  fail_unless_equals_int (columns.table->delimiter, ';');
  fail_unless_equals_int (columns.table->decimal, ',');
  fail_unless (columns.table->crlf && !columns.table->no_header);
  fail_unless (columns.has_base);
  fail_unless_equals_int64 (columns.base.ns, 5 * GST_SECOND);
  fail_unless_equals_int (g_strv_length (columns.suffixes), 1);
  gst_seq_columns_clear (&columns);
  gst_harness_teardown (h);
}
GST_END_TEST;

/* A row older than the first begins a new segment, which goes on in running
 * time where the other ended. */
GST_START_TEST (test_older_row)
{
  GstHarness *h = harness_new ("seqcsvdec", "text/csv");
  GstEvent *event;
  guint n = 0;

  push_text (h, "time,a\n100,1\n101,2\n50,3\n51,4\n");
  BUFFER (h, 0, 2000, 1, 2);
  BUFFER (h, 0, 2000, 3, 4);
  while ((event = gst_harness_try_pull_event (h))) {
    const GstSegment *segment;

    if (GST_EVENT_TYPE (event) == GST_EVENT_SEGMENT) {
      gst_event_parse_segment (event, &segment);
      fail_unless_equals_int (segment->format, GST_FORMAT_TIME);
      fail_unless_equals_uint64 (segment->base, n * 2 * GST_SECOND);
      n++;
    }
    gst_event_unref (event);
  }
  fail_unless_equals_int (n, 2);
  gst_harness_teardown (h);
}
GST_END_TEST;

/* A new key is a new channel at the end. */
GST_START_TEST (test_grows)
{
  GstHarness *h = harness_new ("seqndjsondec", "application/x-ndjson");

  push_text (h, "{\"t\":1,\"a\":2}\n{\"t\":2,\"b\":3}\n{\"t\":3,\"a\":4}\n");
  BUFFER (h, 0, -1, 2);
  BUFFER (h, 1000, 2000, NAN, 3, 4, NAN);
  gst_harness_teardown (h);
}
GST_END_TEST;

GST_START_TEST (test_wide)
{
  GstHarness *h = harness_new ("seqcsvdec", "text/csv");
  g_autoptr (GString) text = g_string_new ("1");
  GstBuffer *buffer;

  for (guint i = 1; i < 4096; i++)
    g_string_append_printf (text, ",%u", i % 7);
  g_string_append_c (text, '\n');
  push_text (h, text->str);
  buffer = gst_harness_pull (h);
  fail_unless_equals_uint64 (
      gst_buffer_get_size (buffer), 4096 * sizeof (double));
  gst_buffer_unref (buffer);
  gst_harness_teardown (h);
}
GST_END_TEST;

/* Half a line that came before a flush is forgotten. */
GST_START_TEST (test_flush)
{
  GstHarness *h = harness_new ("seqcsvdec", "text/csv");
  GstSegment segment;

  push_text (h, "t,a\n1,2\n2,3");
  BUFFER (h, 0, -1, 2);
  fail_unless (gst_harness_push_event (h, gst_event_new_flush_start ()));
  fail_unless (gst_harness_push_event (h, gst_event_new_flush_stop (TRUE)));
  gst_segment_init (&segment, GST_FORMAT_BYTES);
  fail_unless (gst_harness_push_event (h, gst_event_new_segment (&segment)));
  push_text (h, "t,b\n5,6\n");
  BUFFER (h, 0, -1, 6);
  gst_harness_teardown (h);
}
GST_END_TEST;

/* The last line needs no end; what comes after EOS is another text. */
GST_START_TEST (test_eos)
{
  GstHarness *h = harness_new ("seqcsvdec", "text/csv");

  push_text (h, "t,a\n1,2\n2,3");
  BUFFER (h, 0, -1, 2);
  assert_no_buffer (h);
  push_eos (h);
  BUFFER (h, 1000, 1000, 3);
  gst_harness_teardown (h);

  h = harness_new ("seqcsvdec", "text/csv");
  push_text (h, "t,a\n"); /* a header alone is not an error */
  push_eos (h);
  assert_no_buffer (h);
  gst_harness_teardown (h);
}
GST_END_TEST;

/* --- what is wrong -------------------------------------------------------- */

GST_START_TEST (test_malformed)
{
  GstHarness *h = harness_new ("seqcsvdec", "text/csv");
  g_autoptr (GstBus) bus = gst_bus_new ();
  g_autoptr (GstMessage) message = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GstStructure) stats = NULL;
  g_autoptr (GstElement) element = NULL;
  guint64 n_rows, n_errors;

  gst_element_set_bus (h->element, bus);
  push_text (h, "t,a\n1,2\n2,x\n3\n4,5\n");
  BUFFER (h, 0, 6000, 2, 5);
  message = gst_bus_pop_filtered (bus, GST_MESSAGE_WARNING);
  fail_unless (message != NULL);
  gst_message_parse_warning (message, &error, NULL);
  fail_unless (
      g_error_matches (error, GST_STREAM_ERROR, GST_STREAM_ERROR_DECODE));
  fail_unless_equals_string (
      error->message, "line 4, column 2: the line has 1 cells; expected 2");
  fail_unless (gst_bus_pop_filtered (bus, GST_MESSAGE_WARNING) == NULL);
  element = gst_harness_find_element (h, "seqcsvdec");
  g_object_get (element, "stats", &stats, NULL);
  fail_unless (gst_structure_get_uint64 (stats, "rows", &n_rows));
  fail_unless (gst_structure_get_uint64 (stats, "errors", &n_errors));
  fail_unless_equals_uint64 (n_rows, 2);
  fail_unless_equals_uint64 (n_errors, 2);
  gst_element_set_bus (h->element, NULL);
  gst_harness_teardown (h);
}
GST_END_TEST;

/* What ends the stream: whose fault it is, and what is said. */
GST_START_TEST (test_errors)
{
  static const struct {
    const char *launch, *text;
    GQuark (*domain) (void);
    gint code;
    const char *message;
  } cases[] = {
    { "seqcsvdec max-errors=1", "t,a\n1,2\n2,x\n3,y\n4,5\n",
        gst_stream_error_quark, GST_STREAM_ERROR_DECODE,
        "line 4, column 3: a is \"y\"; expected a number; this is malformed "
        "line 2, expected at most 1 (max-errors)" },
    { "seqcsvdec columns=<b>", "t,a\n1,2\n", gst_library_error_quark,
        GST_LIBRARY_ERROR_SETTINGS,
        "columns is \"b\"; expected a column's name, or its number from 1 to "
        "2: t, a" },
    { "seqcsvdec", "\xff\xfet\0", gst_stream_error_quark,
        GST_STREAM_ERROR_WRONG_TYPE,
        "the text is UTF-16; expected UTF-8: try iconv -f utf-16 -t utf-8" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    GstHarness *h = harness_new (cases[i].launch, "text/csv");
    g_autoptr (GstBus) bus = gst_bus_new ();
    g_autoptr (GstMessage) message = NULL;
    g_autoptr (GError) error = NULL;

    gst_element_set_bus (h->element, bus);
    fail_unless_equals_int (
        push_bytes (h, cases[i].text, strlen (cases[i].text)), GST_FLOW_ERROR);
    message = gst_bus_pop_filtered (bus, GST_MESSAGE_ERROR);
    fail_unless (message != NULL);
    gst_message_parse_error (message, &error, NULL);
    fail_unless (g_error_matches (error, cases[i].domain (), cases[i].code),
        "%s", error->message);
    fail_unless_equals_string (error->message, cases[i].message);
    gst_element_set_bus (h->element, NULL);
    gst_harness_teardown (h);
  }
}
GST_END_TEST;

/* Rows before the line that ends it all have left. */
GST_START_TEST (test_rows_before_error)
{
  GstHarness *h = harness_new ("seqcsvdec max-errors=0", "text/csv");

  fail_unless_equals_int (
      push_bytes (h, "t,a\n1,2\n2,x\n", 12), GST_FLOW_ERROR);
  BUFFER (h, 0, -1, 2);
  gst_harness_teardown (h);
}
GST_END_TEST;

/* An option that no text can be read with is an error before there is one. */
GST_START_TEST (test_bad_options)
{
  static const char *const launches[] = { "seqcsvdec delimiter=ab",
    "seqcsvdec delimiter=a", "seqcsvdec decimal=;" };

  for (guint i = 0; i < G_N_ELEMENTS (launches); i++) {
    g_autoptr (GstElement) element = gst_parse_launch (launches[i], NULL);
    g_autoptr (GstBus) bus = gst_bus_new ();
    g_autoptr (GstMessage) message = NULL;
    g_autoptr (GError) error = NULL;

    gst_element_set_bus (element, bus);
    fail_unless_equals_int (gst_element_set_state (element, GST_STATE_PAUSED),
        GST_STATE_CHANGE_FAILURE);
    message = gst_bus_pop_filtered (bus, GST_MESSAGE_ERROR);
    fail_unless (message != NULL);
    gst_message_parse_error (message, &error, NULL);
    fail_unless (
        g_error_matches (error, GST_LIBRARY_ERROR, GST_LIBRARY_ERROR_SETTINGS));
    gst_element_set_state (element, GST_STATE_NULL);
    gst_element_set_bus (element, NULL);
  }
}
GST_END_TEST;

/* --- there and back ------------------------------------------------------- */

typedef struct {
  const char *launch, *media_type, *text, *written; /* NULL: as it was */
} RoundTrip;

static const RoundTrip round_trips[] = {
  { "seqcsvdec ! seqcsvenc", "text/csv",
      "timestamp,value\n2015-02-26 21:42:53,35\n2015-02-26 21:47:53,41.5\n"
      "2015-02-26 21:52:53,\n2015-02-26 22:47:53,0.1\n",
      NULL },
  { "seqcsvdec ! seqcsvenc", "text/csv",
      "Zeit (ms);Druck [hPa];\"a;b\"\r\n5;-1013,25;\r\n10;1;2\r\n12;1;2\r\n",
      NULL },
  { "seqcsvdec ! seqcsvenc", "text/csv", "a,b\n1,2\n3,inf\n", NULL },
  { "seqcsvdec ! seqcsvenc", "text/csv", /* before 1970 */
      "time,a\n1900-01-01,1\n1900-01-02,2\n", NULL },
  { "seqcsvdec ! seqcsvenc", "text/csv", /* as far apart as can be */
      "time,a\n1678-01-01,1\n2261-12-31,2\n1700-01-01,3\n", NULL },
  { "seqcsvdec ! seqcsvenc", "text/csv", /* styles that change */
      "time,a\n2024-01-01T00:00:00Z,1\n2024-01-01T00:00:00.5Z,2\n"
      "2024-01-01T02:00:01+01:00,3\n",
      NULL },
  { "seqcsvdec ! seqcsvenc", "text/csv", /* a clock that goes back */
      "time,a\n100,1\n101,2\n50,3\n51,4\n50.5,5\n", NULL },
  { "seqcsvdec tags=<id> ! seqcsvenc", "text/csv",
      "time,id,t [C]\n1,a,10\n1,b,20\n2,a,11\n2,b,21\n3,a,12\n", NULL },
  { "seqcsvdec columns=<b,a> ! seqcsvenc delimiter=tab decimal=, header=no",
      "text/csv", "time,a,b\n1,2,3.5\n", "1\t3,5\t2\n" },
  { "seqcsvdec time=b ! seqcsvenc", "text/csv", "a,b\n2,1\n", "b,a\n1,2\n" },
  { "seqcsvdec ! seqndjsonenc", "text/csv", "time,a\n2024-01-01,2\n",
      "{\"time\":\"2024-01-01\",\"a\":2}\n" },
  { "seqcsvdec ! seqinfluxenc measurement=m", "text/csv",
      "time,a\n2024-01-01,2\n", "m a=2 1704067200000000000\n" },
  { "seqinfluxdec ! seqinfluxenc", "text/x-influx-line-protocol",
      "cpu,host=a usage=0.5,n=3i,up=true 1424986973000000000\n"
      "cpu,host=b usage=1.5,n=4i,up=false 1424986973000000000\n"
      "cpu,host=a usage=0.25,n=5i,up=true 1424986983000000000\n"
      "mem used=5u 1424986983000000000\n",
      NULL },
  { "seqinfluxdec ! seqcsvenc", "text/x-influx-line-protocol",
      "m,h=a x=1 1\nn x=2 1\nm,h=a x=3 2\n",
      "time,measurement,h,x\n1,m,a,1\n1,n,,2\n2,m,a,3\n" },
  { "seqndjsondec ! seqndjsonenc", "application/x-ndjson",
      "{\"ts\":1424986973.25,\"a\":1,\"b\":true}\n"
      "{\"ts\":1424986974.5,\"b\":false}\n"
      "{\"ts\":1424986975,\"a\":3,\"c\":4}\n",
      NULL },
  { "seqcsvdec ! seqfilter emit=input ! seqcsvenc", "text/csv",
      "time,a,b\n2024-01-01,0.1,\n2024-01-02,3,4\n2024-01-05,,5\n", NULL },
  /* through elements that know nothing of text */
  { "seqcsvdec ! queue ! volume ! identity ! capsfilter caps=audio/x-raw ! "
    "seqcsvenc",
      "text/csv",
      "time,a (V),b\n2024-01-01T00:00:00+01:00,1,2\n"
      "2024-01-01T00:01:00+01:00,3,4\n2024-01-01T00:05:00+01:00,5,6\n",
      NULL },
};

/* In any cuts; with a flow of its own where there is a queue. */
GST_START_TEST (test_round_trip)
{
  const RoundTrip *r = &round_trips[__i__];
  static const guint cuts[] = { 1000, 1, 7 };

  for (guint i = 0; i < G_N_ELEMENTS (cuts); i++) {
    GstHarness *h = harness_new (r->launch, r->media_type);
    gsize size = strlen (r->text);
    g_autofree char *written = NULL;
    GstEvent *event;
    gboolean ended = FALSE;

    for (gsize at = 0; at < size; at += cuts[i])
      fail_unless_equals_int (
          push_bytes (h, r->text + at, MIN (cuts[i], size - at)), GST_FLOW_OK);
    push_eos (h);
    while (!ended && (event = gst_harness_pull_event (h))) {
      ended = GST_EVENT_TYPE (event) == GST_EVENT_EOS;
      gst_event_unref (event);
    }
    written = pull_text (h);
    fail_unless_equals_string (written, r->written ? r->written : r->text);
    gst_harness_teardown (h);
  }
}
GST_END_TEST;

/* An answer for each line as soon as the line is there. */
GST_START_TEST (test_live)
{
  GstHarness *h = harness_new ("seqcsvdec ! seqcsvenc", "text/csv");
  static const char *const lines[] = { "t,a\n2024-01-01,1\n", "2024-01-02,2\n",
    "2024-01-03,3\n", "2024-01-05,4\n" };

  for (guint i = 0; i < G_N_ELEMENTS (lines); i++) {
    g_autofree char *written = NULL;

    push_text (h, lines[i]);
    written = pull_text (h);
    fail_unless_equals_string (written, lines[i]);
  }
  gst_harness_teardown (h);
}
GST_END_TEST;

/* --- encoders ------------------------------------------------------------- */

static GstHarness *
encoder_new (const char *launch, guint n_channels)
{
  g_autofree char *caps =
      g_strdup_printf ("audio/x-raw, format=" GST_AUDIO_NE (
                           F64) ", rate=2, channels=%u, layout=interleaved, "
                                "channel-mask=(bitmask)0",
          n_channels);
  GstHarness *h = gst_harness_new_parse (launch);

  gst_harness_set_src_caps_str (h, caps);
  return h;
}

static void
push_values (GstHarness *h, GstClockTime pts, const double *values, guint n)
{
  GstBuffer *buffer = gst_buffer_new_memdup (values, n * sizeof (double));

  GST_BUFFER_PTS (buffer) = pts;
  fail_unless_equals_int (gst_harness_push (h, buffer), GST_FLOW_OK);
}

/* A stream that has no names is numbered, and told in seconds. */
GST_START_TEST (test_without_names)
{
  static const double values[] = { 1, 2, 3, 4 };
  GstHarness *h = encoder_new ("seqcsvenc", 2);
  g_autofree char *written = NULL, *untimed = NULL;

  push_values (h, GST_SECOND / 4, values, 4);
  written = pull_text (h);
  fail_unless_equals_string (
      written, "time,channel1,channel2\n0.25,1,2\n0.75,3,4\n");
  gst_harness_teardown (h);

  h = encoder_new ("seqcsvenc", 2);
  push_values (h, GST_CLOCK_TIME_NONE, values, 2);
  untimed = pull_text (h);
  fail_unless_equals_string (untimed, "channel1,channel2\n1,2\n");
  gst_harness_teardown (h);
}
GST_END_TEST;

static GstEvent *
make_columns (const char *const *groups)
{
  GstSeqColumns columns = { .has_base = TRUE,
    .base = { 5 * GST_SECOND, SEQ_TIME_UNIT_S } };
  g_autoptr (SeqTextTable) table = seq_text_table_new ();
  GstEvent *event, *more;

  table->time_name = g_strdup ("t");
  seq_text_table_add (table, "a", "V", NULL, SEQ_TEXT_FLOAT);
  seq_text_table_add (table, "b", NULL, NULL, SEQ_TEXT_FLOAT);
  gst_seq_columns_set_table (&columns, table);
  event = gst_seq_columns_to_event (&columns);
  gst_seq_columns_clear (&columns);
  more = gst_seq_columns_add_groups (event, groups);
  gst_event_unref (event);
  return more;
}

/* Groups of channels have their names' endings; a second element's come after
 * the first one's. */
GST_START_TEST (test_groups)
{
  static const double values[] = { 1, 2, 3, 4, 5, 6, 7, 8 };
  static const char *const first[] = { "input", "prediction", NULL };
  static const char *const second[] = { "input", "score", NULL };
  GstHarness *h = encoder_new ("seqcsvenc", 4);
  GstEvent *event = make_columns (first);
  g_autofree char *written = NULL, *both = NULL;

  fail_unless (gst_harness_push_event (h, gst_event_ref (event)));
  push_values (h, 0, values, 4);
  written = pull_text (h);
  fail_unless_equals_string (
      written, "t,a (V),a.forecast (V),b,b.forecast\n5,1,3,2,4\n");
  gst_harness_teardown (h);

  h = encoder_new ("seqcsvenc", 8);
  fail_unless (
      gst_harness_push_event (h, gst_seq_columns_add_groups (event, second)));
  gst_event_unref (event);
  push_values (h, GST_SECOND, values, 8);
  both = pull_text (h);
  fail_unless_equals_string (both,
      "t,a (V),a.forecast (V),a.score (V),a.forecast.score (V),"
      "b,b.forecast,b.score,b.forecast.score\n6,1,3,5,7,2,4,6,8\n");
  gst_harness_teardown (h);
}
GST_END_TEST;

/* The first line of what a seqfilter makes of two columns. */
static char *
find_header (GstHarness *h, const char *rows)
{
  char *text;

  push_text (h, rows);
  text = pull_text (h);
  *strchrnul (text, '\n') = 0;
  return text;
}

/* seqfilter says what it adds, and says it again when that changes. */
GST_START_TEST (test_filter)
{
  static const struct {
    const char *emit, *header;
  } cases[] = {
    { "input+prediction+residual+score",
        "t,a [V],a.forecast [V],a.residual [V],a.score [V],"
        "b,b.forecast,b.residual,b.score" },
    { "prediction", "t,a.forecast [V],b.forecast" },
    { "residual", "t,a.residual [V],b.residual" }, /* as many channels */
    { "input+score", "t,a [V],a.score [V],b,b.score" },
  };
  GstHarness *h =
      harness_new ("seqcsvdec ! seqfilter name=filter ! seqcsvenc", "text/csv");
  g_autoptr (GstElement) filter =
      gst_bin_get_by_name (GST_BIN (h->element), "filter");

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *rows =
        g_strdup_printf ("%s%u,2,3\n", i == 0 ? "t,a [V],b\n" : "", i);
    g_autofree char *header = NULL;

    gst_util_set_object_arg (G_OBJECT (filter), "emit", cases[i].emit);
    header = find_header (h, rows);
    fail_unless_equals_string (header, cases[i].header);
  }
  gst_harness_teardown (h);
}
GST_END_TEST;

/* Names for another number of channels are not used, and events that make no
 * sense are as if there were none. */
GST_START_TEST (test_bad_columns)
{
  static const double values[] = { 1, 2, 3 };
  static const char *const input[] = { "input", NULL };
  static const char *const events[] = { "seq-columns",
    "seq-columns, names=(string)a, suffixes=(string)<\"\">",
    "seq-columns, names=(string)<a,b,c>, suffixes=(int)<1>",
    "seq-columns, names=(string)<a,b,c>, units=(string)<a>, suffixes=(int)<>" };
  GstHarness *h = encoder_new ("seqcsvenc", 3);
  g_autoptr (GstBus) bus = gst_bus_new ();
  g_autoptr (GstMessage) message = NULL;
  g_autofree char *written = NULL;

  gst_element_set_bus (h->element, bus);
  fail_unless (gst_harness_push_event (h, make_columns (input)));
  push_values (h, 0, values, 3);
  written = pull_text (h);
  fail_unless (g_str_has_prefix (written, "time,channel1,channel2,channel3\n"));
  message = gst_bus_pop_filtered (bus, GST_MESSAGE_WARNING);
  fail_unless (message != NULL);
  for (guint i = 0; i < G_N_ELEMENTS (events); i++) {
    g_autofree char *other = NULL;

    gst_harness_push_event (
        h, gst_event_new_custom (GST_EVENT_CUSTOM_DOWNSTREAM_STICKY,
               gst_structure_from_string (events[i], NULL)));
    push_values (h, 0, values, 3);
    other = pull_text (h);
    fail_unless_equals_string (other, "0,1,2,3\n");
  }
  gst_element_set_bus (h->element, NULL);
  gst_harness_teardown (h);
}
GST_END_TEST;

/* --- types ---------------------------------------------------------------- */

GST_START_TEST (test_typefind)
{
  static const struct {
    const char *text, *media_type; /* NULL: some other, or none */
  } cases[] = {
    { "timestamp,value\n2015-02-26 21:42:53,35\n2015-02-26 21:47:53,41.5\n",
        "text/csv" },
    { "a;b\r\n1,5;2\r\n3,5;4\r\n", "text/csv" },
    { "cpu,host=a usage=0.5 1424986973000000000\n",
        "text/x-influx-line-protocol" },
    { "{\"t\":1,\"a\":2}\n{\"t\":2,\"a\":3}\n", "application/x-ndjson" },
    { "Dear reader,\nthese are words, with commas.\n", NULL },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GstCaps) caps = gst_type_find_helper_for_data (
        NULL, (const guint8 *) cases[i].text, strlen (cases[i].text), NULL);
    const char *found =
        caps ? gst_structure_get_name (gst_caps_get_structure (caps, 0)) : "";

    if (cases[i].media_type) {
      fail_unless_equals_string (found, cases[i].media_type);
    } else {
      fail_unless (!strstr (found, "csv") && !strstr (found, "influx")
                   && !strstr (found, "json"));
    }
  }
}
GST_END_TEST;

/* decodebin makes a stream of a file, by its content alone. */
GST_START_TEST (test_decodebin)
{
  g_autofree char *path = NULL, *launch = NULL;
  g_autoptr (GstElement) pipeline = NULL, sink = NULL;
  g_autoptr (GstBus) bus = NULL;
  g_autoptr (GstMessage) message = NULL;
  g_autoptr (GstPad) pad = NULL;
  g_autoptr (GstCaps) caps = NULL;
  gint fd = g_file_open_tmp ("seq-XXXXXX", &path, NULL);

  fail_unless (fd >= 0);
  g_close (fd, NULL);
  fail_unless (g_file_set_contents (
      path, "cpu,host=a usage=0.5,n=1i 1424986973000000000\n", -1, NULL));
  launch = g_strdup_printf (
      "filesrc location=%s ! decodebin ! fakesink name=sink", path);
  pipeline = gst_parse_launch (launch, NULL);
  fail_unless (pipeline != NULL);
  bus = gst_element_get_bus (pipeline);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  message = gst_bus_timed_pop_filtered (
      bus, 20 * GST_SECOND, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
  fail_unless (message && GST_MESSAGE_TYPE (message) == GST_MESSAGE_EOS);
  sink = gst_bin_get_by_name (GST_BIN (pipeline), "sink");
  pad = gst_element_get_static_pad (sink, "sink");
  caps = gst_pad_get_current_caps (pad);
  fail_unless (
      gst_structure_has_name (gst_caps_get_structure (caps, 0), "audio/x-raw"));
  gst_element_set_state (pipeline, GST_STATE_NULL);
  g_unlink (path);
}
GST_END_TEST;

static Suite *
text_suite (void)
{
  Suite *suite = suite_create ("text");
  TCase *decode = tcase_create ("decode"), *encode = tcase_create ("encode");
  TCase *both = tcase_create ("both"), *types = tcase_create ("types");

  suite_add_tcase (suite, decode);
  tcase_add_test (decode, test_caps);
  tcase_add_test (decode, test_times);
  tcase_add_test (decode, test_no_times);
  tcase_add_test (decode, test_reference_time);
  tcase_add_test (decode, test_names);
  tcase_add_test (decode, test_older_row);
  tcase_add_test (decode, test_grows);
  tcase_add_test (decode, test_wide);
  tcase_add_test (decode, test_flush);
  tcase_add_test (decode, test_eos);
  tcase_add_test (decode, test_malformed);
  tcase_add_test (decode, test_errors);
  tcase_add_test (decode, test_rows_before_error);
  tcase_add_test (decode, test_bad_options);
  suite_add_tcase (suite, both);
  tcase_add_loop_test (both, test_round_trip, 0, G_N_ELEMENTS (round_trips));
  tcase_add_test (both, test_live);
  suite_add_tcase (suite, encode);
  tcase_add_test (encode, test_without_names);
  tcase_add_test (encode, test_groups);
  tcase_add_test (encode, test_filter);
  tcase_add_test (encode, test_bad_columns);
  suite_add_tcase (suite, types);
  tcase_add_test (types, test_typefind);
  tcase_add_test (types, test_decodebin);
  return suite;
}

GST_CHECK_MAIN (text)
