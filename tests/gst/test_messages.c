/* test_messages.c: the messages on the bus, the stats, and mix.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "tests/gst/filter.h"

#include <gst/controller/gstdirectcontrolbinding.h>
#include <gst/controller/gstinterpolationcontrolsource.h>
#include <math.h>
#include <string.h>

#define PREDICTION (1 << SEQ_OUTPUT_PREDICTION)

/* A harness whose element posts on a bus of its own. */
typedef struct {
  GstHarness *h;
  GstElement *element;
  GstBus *bus;
} Watched;

static Watched
watched_new (const char *properties, const Kind *kind)
{
  Watched w = { filter_new (properties, kind) };

  w.element = filter_element (w.h);
  w.bus = gst_bus_new ();
  gst_element_set_bus (w.element, w.bus);
  return w;
}

static void
watched_free (Watched *w)
{
  gst_element_set_bus (w->element, NULL);
  gst_object_unref (w->bus);
  gst_object_unref (w->element);
  gst_harness_teardown (w->h);
}

/* The next message, or NULL. */
static GstStructure *
next_message (Watched *w)
{
  g_autoptr (GstMessage) message =
      gst_bus_pop_filtered (w->bus, GST_MESSAGE_ELEMENT);

  return message ? gst_structure_copy (gst_message_get_structure (message))
                 : NULL;
}

static guint64
get_time (const GstStructure *s, const char *field)
{
  guint64 time = 0;

  fail_unless (gst_structure_get_uint64 (s, field, &time), field);
  return time;
}

static double
get_double (const GstStructure *s, const char *field, guint i)
{
  const GValue *array = gst_structure_get_value (s, field);

  fail_unless (array && GST_VALUE_HOLDS_ARRAY (array), field);
  return g_value_get_double (gst_value_array_get_value (array, i));
}

/* One message an interval, with level's fields, for buffers of any size. */
GST_START_TEST (intervals)
{
  static const guint cuts[] = { 1, 7, 480, 48000 };
  static const char *const times[] = { "timestamp", "stream-time",
    "running-time" };
  g_autofree char *first = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (cuts); i++) {
    Watched w = watched_new ("model=ar order=8 post-messages=true", &f32_mono);
    GString *all = g_string_new (NULL);
    GstStructure *s;
    guint n = 0;

    push (w.h, &f32_mono, 0, 24000, cuts[i], 0, 0);
    for (; (s = next_message (&w)); n++) {
      g_autofree char *text = NULL;

      fail_unless (gst_structure_has_name (s, "seqfilter"));
      /* a nanosecond goes where a timestamp was rounded */
      for (guint k = 0; k < G_N_ELEMENTS (times); k++)
        fail_unless (
            get_time (s, times[k]) + 1 - n * 100 * GST_MSECOND <= 1, times[k]);
      fail_unless_equals_uint64 (get_time (s, "endtime"),
          get_time (s, "stream-time") + 100 * GST_MSECOND);
      fail_unless_equals_uint64 (get_time (s, "duration"), 100 * GST_MSECOND);
      gst_structure_remove_fields (
          s, "timestamp", "stream-time", "running-time", "endtime", NULL);
      text = gst_structure_to_string (s);
      g_string_append (all, text);
      gst_structure_free (s);
    }
    fail_unless_equals_int (n, 5);
    if (!first)
      first = g_strdup (all->str);
    fail_unless_equals_string (all->str, first);
    g_string_free (all, TRUE);
    watched_free (&w);
  }
}
GST_END_TEST

/* The figures are those of the output: gain over the signal's
 * power about its mean, RMS of the residual; per channel. */
GST_START_TEST (figures)
{
  const Kind kind = { GST_AUDIO_FORMAT_F64, GST_AUDIO_LAYOUT_INTERLEAVED, 1000,
    2 };
  Watched w =
      watched_new ("model=ar order=8 post-messages=true interval=1000000000 "
                   "emit=input+residual",
          &kind);
  g_autoptr (GBytes) out = NULL;
  GstStructure *s;

  push (w.h, &kind, 0, 2000, 100, 0, 0);
  out = pull (w.h);
  gst_structure_free (next_message (&w));
  s = next_message (&w);
  for (guint c = 0; c < 2; c++) {
    const double *y = (const double *) g_bytes_get_data (out, NULL) + 4000;
    double mean = 0, signal = 0, residual = 0;

    for (guint t = 0; t < 1000; t++)
      mean += y[t * 4 + c] / 1000;
    for (guint t = 0; t < 1000; t++) {
      signal += pow (y[t * 4 + c] - mean, 2) / 1000;
      residual += pow (y[t * 4 + 2 + c], 2) / 1000;
    }
    fail_unless (fabs (get_double (s, "prediction-gain", c)
                       - 10 * log10 (signal / residual))
                 < 1e-6);
    fail_unless (
        fabs (get_double (s, "residual-rms", c) / sqrt (residual) - 1) < 1e-6);
  }
  gst_structure_free (s);
  watched_free (&w);
}
GST_END_TEST

/* The rest of an interval is posted at EOS, before the EOS, and before a hole;
 * a flush throws it away. */
GST_START_TEST (rest_of_an_interval)
{
  Watched w = watched_new ("model=ar post-messages=true", &f32_mono);
  GstStructure *s;

  push (w.h, &f32_mono, 0, 480, 480, 0, 0);
  fail_unless (next_message (&w) == NULL);
  push (w.h, &f32_mono, 480, 480, 480, GST_SECOND, 0); /* a hole */
  s = next_message (&w);
  fail_unless_equals_uint64 (get_time (s, "duration"), 10 * GST_MSECOND);
  gst_structure_free (s);

  flush (w.h);
  push (w.h, &f32_mono, 0, 960, 960, 0, 0);
  fail_unless (next_message (&w) == NULL);
  gst_harness_push_event (w.h, gst_event_new_eos ());
  s = next_message (&w);
  fail_unless_equals_uint64 (get_time (s, "duration"), 20 * GST_MSECOND);
  gst_structure_free (s);
  fail_unless (next_message (&w) == NULL);
  watched_free (&w);
}
GST_END_TEST

/* Without being asked, nothing is posted. */
GST_START_TEST (silent)
{
  Watched w = watched_new ("model=ar", &f32_mono);

  push (w.h, &f32_mono, 0, 48000, 4800, 0, 0);
  gst_harness_push_event (w.h, gst_event_new_eos ());
  fail_unless (next_message (&w) == NULL);
  watched_free (&w);
}
GST_END_TEST

/* At 1 Hz the interval is one frame, not zero. Without timestamps, frames are
 * counted. */
GST_START_TEST (slow_and_untimed)
{
  const Kind kind = { GST_AUDIO_FORMAT_F32, GST_AUDIO_LAYOUT_INTERLEAVED, 1,
    1 };
  Watched w = watched_new ("model=ar post-messages=true", &kind);
  GstStructure *s;

  for (guint i = 0; i < 3; i++) {
    GstBuffer *buffer = buffer_new (&kind, i, 1);

    GST_BUFFER_PTS (buffer) = GST_CLOCK_TIME_NONE;
    gst_harness_push (w.h, buffer);
    s = next_message (&w);
    fail_unless_equals_uint64 (get_time (s, "timestamp"), i * GST_SECOND);
    fail_unless_equals_uint64 (
        get_time (s, "stream-time"), GST_CLOCK_TIME_NONE);
    gst_structure_free (s);
  }
  watched_free (&w);
}
GST_END_TEST

/* stats count frames and say what messages say, without them. */
GST_START_TEST (stats)
{
  Watched w = watched_new ("model=ar order=8", &f32_mono);
  GstStructure *s;

  g_object_get (w.element, "stats", &s, NULL);
  fail_unless_equals_uint64 (get_time (s, "frames"), 0);
  gst_structure_free (s);
  push (w.h, &f32_mono, 0, 4800, 480, 0, 0);
  g_object_get (w.element, "stats", &s, NULL);
  fail_unless_equals_uint64 (get_time (s, "frames"), 4800);
  fail_unless (get_double (s, "prediction-gain", 0) > 6);
  fail_unless (get_double (s, "residual-rms", 0) > 0);
  fail_unless (get_time (s, "state-bytes") > 0);
  gst_structure_free (s);
  watched_free (&w);
}
GST_END_TEST

/* mix=0 is the input, mix=1 the forecast, between a line. */
GST_START_TEST (mix)
{
  g_autoptr (GBytes) x = signal_new (&f32_mono, 0, 480);
  g_autoptr (SeqStream) reference = reference_new (&settings[1], &f32_mono);
  g_autoptr (GBytes) y =
      reference_run (reference, &f32_mono, PREDICTION, 0, 480, 0);

  for (guint i = 0; i <= 4; i++) {
    g_autofree char *properties =
        g_strdup_printf ("model=ar order=8 mix=0.%u", i * 25);
    Watched w =
        watched_new (i == 4 ? "model=ar order=8" : properties, &f32_mono);
    g_autoptr (GBytes) out = NULL;

    push (w.h, &f32_mono, 0, 480, 480, 0, 0);
    out = pull (w.h);
    for (guint t = 0; t < 480; t++) {
      double a = ((float *) g_bytes_get_data (x, NULL))[t];
      double b = ((float *) g_bytes_get_data (y, NULL))[t];
      double share = i == 1 ? 0.25 : i == 2 ? 0.5 : i == 3 ? 0.75 : i / 4.0;

      fail_unless (fabs (((float *) g_bytes_get_data (out, NULL))[t]
                         - (share * b + (1 - share) * a))
                   < 1e-6);
    }
    watched_free (&w);
  }
}
GST_END_TEST

/* A controller moves mix within a buffer: sample t of a fade over 480 frames
 * has its own share, however the stream is cut. */
GST_START_TEST (mix_controlled)
{
  static const guint cuts[] = { 480, 48, 1 };
  g_autoptr (GBytes) x = signal_new (&f32_mono, 0, 480);
  g_autoptr (SeqStream) reference = reference_new (&settings[1], &f32_mono);
  g_autoptr (GBytes) y =
      reference_run (reference, &f32_mono, PREDICTION, 0, 480, 0);

  for (guint i = 0; i < G_N_ELEMENTS (cuts); i++) {
    Watched w = watched_new ("model=ar order=8", &f32_mono);
    GstControlSource *source = gst_interpolation_control_source_new ();
    g_autoptr (GBytes) out = NULL;

    g_object_set (source, "mode", GST_INTERPOLATION_MODE_LINEAR, NULL);
    gst_timed_value_control_source_set (
        GST_TIMED_VALUE_CONTROL_SOURCE (source), 0, 0.0);
    gst_timed_value_control_source_set (
        GST_TIMED_VALUE_CONTROL_SOURCE (source), 10 * GST_MSECOND, 1.0);
    gst_object_add_control_binding (GST_OBJECT (w.element),
        gst_direct_control_binding_new (GST_OBJECT (w.element), "mix", source));
    gst_object_unref (source);
    push (w.h, &f32_mono, 0, 480, cuts[i], 0, 0);
    out = pull (w.h);
    for (guint t = 0; t < 480; t++) {
      double a = ((float *) g_bytes_get_data (x, NULL))[t];
      double b = ((float *) g_bytes_get_data (y, NULL))[t];

      fail_unless (fabs (((float *) g_bytes_get_data (out, NULL))[t]
                         - (t / 480.0 * b + (1 - t / 480.0) * a))
                       < 1e-5,
          "cut %u, frame %u", cuts[i], t);
    }
    watched_free (&w);
  }
}
GST_END_TEST

static Suite *
messages_suite (void)
{
  Suite *s = suite_create ("messages");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_test (tc, intervals);
  tcase_add_test (tc, figures);
  tcase_add_test (tc, rest_of_an_interval);
  tcase_add_test (tc, silent);
  tcase_add_test (tc, slow_and_untimed);
  tcase_add_test (tc, stats);
  tcase_add_test (tc, mix);
  tcase_add_test (tc, mix_controlled);
  return s;
}

GST_CHECK_MAIN (messages)
