/* test_events.c: the effect of each event on the carried state and on what was
 * learnt: the table of the element's documentation.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "tests/gst/filter.h"

#include <glib/gstdio.h>
#include <unistd.h>

#define PREDICTION (1 << SEQ_OUTPUT_PREDICTION)

typedef enum { KEEP, REWIND, RESTART } Effect;

/* Something that happens between frame HALF - 1 and frame HALF. */
#define HALF 1500
#define END 3000
typedef struct {
  const char *what;
  void (*happens) (GstHarness *h); /* or NULL */
  GstClockTimeDiff shift;          /* of the second half's timestamps */
  GstBufferFlags flags;            /* of its first buffer */
  Effect effect;
} Case;

static void
segment (GstHarness *h)
{
  GstSegment segment;

  gst_segment_init (&segment, GST_FORMAT_TIME);
  segment.base = 77;
  fail_unless (gst_harness_push_event (h, gst_event_new_segment (&segment)));
}

static void
tags (GstHarness *h)
{
  fail_unless (gst_harness_push_event (
      h, gst_event_new_tag (gst_tag_list_new (GST_TAG_TITLE, "x", NULL))));
}

static void
same_caps (GstHarness *h)
{
  set_caps (h, &f32_mono);
}

static void
pause_and_resume (GstHarness *h)
{
  g_autoptr (GstElement) element = filter_element (h);

  gst_element_set_state (element, GST_STATE_PAUSED);
  gst_element_set_state (element, GST_STATE_PLAYING);
}

static void
ready_and_back (GstHarness *h)
{
  g_autoptr (GstElement) element = filter_element (h);

  gst_element_set_state (element, GST_STATE_READY);
  gst_element_set_state (element, GST_STATE_PLAYING);
  gst_harness_play (h);
  fail_unless (
      gst_harness_push_event (h, gst_event_new_stream_start ("again")));
  set_caps (h, &f32_mono);
  segment (h);
}

static void
reset (GstHarness *h)
{
  g_autoptr (GstElement) element = filter_element (h);

  g_signal_emit_by_name (element, "reset");
}

static void
empty_buffer (GstHarness *h)
{
  GstBuffer *buffer = gst_buffer_new ();

  GST_BUFFER_PTS (buffer) =
      gst_util_uint64_scale (HALF, GST_SECOND, (guint64) f32_mono.rate);
  fail_unless_equals_int (gst_harness_push (h, buffer), GST_FLOW_OK);
}

static void
gap_event (GstHarness *h)
{
  GstEvent *event;

  fail_unless (gst_harness_push_event (
      h, gst_event_new_gap (
             gst_util_uint64_scale (HALF, GST_SECOND, (guint64) f32_mono.rate),
             100 * GST_MSECOND)));
  while ((event = gst_harness_try_pull_event (h))) {
    gboolean found = GST_EVENT_TYPE (event) == GST_EVENT_GAP;

    gst_event_unref (event);
    if (found)
      return;
  }
  fail ("the GAP event was not forwarded");
}

/* A buffer that the segment clips away completely: the hole is seen. */
static void
clipped (GstHarness *h)
{
  GstSegment segment;

  gst_segment_init (&segment, GST_FORMAT_TIME);
  segment.start = GST_SECOND;
  fail_unless (gst_harness_push_event (h, gst_event_new_segment (&segment)));
  push (h, &f32_mono, HALF, 4800, 4800, 0, 0);
}

/* EOS, and then the next stream goes on where this one ended. */
static void
eos (GstHarness *h)
{
  fail_unless (gst_harness_push_event (h, gst_event_new_eos ()));
  fail_unless (gst_harness_push_event (h, gst_event_new_stream_start ("next")));
  segment (h);
}

static const Case cases[] = {
  { "nothing", NULL, 0, 0, KEEP },
  { "flush", flush, 0, 0, REWIND },
  { "flushing seek, back", flush, -GST_MSECOND * 10, 0, REWIND },
  { "flushing seek, on", flush, 5 * GST_SECOND, GST_BUFFER_FLAG_DISCONT,
      REWIND },
  { "segment", segment, 0, 0, KEEP },
  { "tags", tags, 0, 0, KEEP },
  { "the same caps again", same_caps, 0, 0, KEEP },
  { "DISCONT, contiguous", NULL, 0, GST_BUFFER_FLAG_DISCONT, KEEP },
  { "jitter, late", NULL, 39 * GST_MSECOND, 0, KEEP },
  { "jitter, early: an overlap", NULL, -30 * GST_MSECOND, 0, KEEP },
  { "hole", NULL, 41 * GST_MSECOND, 0, REWIND },
  { "hole with DISCONT", NULL, GST_SECOND, GST_BUFFER_FLAG_DISCONT, REWIND },
  { "pause and resume", pause_and_resume, 0, 0, KEEP },
  { "READY and back", ready_and_back, 0, 0, RESTART },
  { "reset", reset, 0, 0, RESTART },
  { "an empty buffer", empty_buffer, 0, 0, KEEP },
  { "GAP event, then contiguous", gap_event, 0, 0, KEEP },
  { "GAP event, then the hole", gap_event, 100 * GST_MSECOND, 0, REWIND },
  { "a buffer clipped away", clipped, 2 * GST_SECOND, 0, REWIND },
  { "EOS, and data after it", eos, 0, 0, KEEP },
};

/* Every event, on every model. */
GST_START_TEST (events)
{
  const Setting *setting = &settings[__i__];

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    const Case *c = &cases[i];
    g_autofree char *what = g_strdup_printf ("%s: %s", setting->model, c->what);
    GstHarness *h = filter_new (setting->properties, &f32_mono);
    g_autoptr (SeqStream) reference = reference_new (setting, &f32_mono);
    g_autoptr (GBytes) first =
        reference_run (reference, &f32_mono, PREDICTION, 0, HALF, 0);
    g_autoptr (GBytes) second = NULL, expected = NULL, got = NULL;

    if (c->effect == REWIND)
      seq_stream_rewind (reference);
    else if (c->effect == RESTART)
      seq_stream_restart (reference);
    second =
        reference_run (reference, &f32_mono, PREDICTION, HALF, END - HALF, 0);
    expected = join (first, second);

    push (h, &f32_mono, 0, HALF, 480, 0, 0);
    if (c->happens)
      c->happens (h);
    push (h, &f32_mono, HALF, END - HALF, 480, c->shift, c->flags);
    got = pull (h);
    assert_same_bits (got, expected, what);
    gst_harness_teardown (h);
  }
}
GST_END_TEST

/* Timestamps far back are a hole as well. */
GST_START_TEST (loop_back)
{
  const Setting *setting = &settings[__i__];
  GstHarness *h = filter_new (setting->properties, &f32_mono);
  g_autoptr (SeqStream) reference = reference_new (setting, &f32_mono);
  g_autoptr (GBytes) first =
      reference_run (reference, &f32_mono, PREDICTION, 0, 4800, 0);
  g_autoptr (GBytes) second = NULL, expected = NULL, got = NULL;

  seq_stream_rewind (reference);
  second = reference_run (reference, &f32_mono, PREDICTION, 0, 4800, 0);
  expected = join (first, second);
  push (h, &f32_mono, 0, 4800, 480, 0, 0);
  push (h, &f32_mono, 0, 4800, 480, 0, 0);
  got = pull (h);
  assert_same_bits (got, expected, setting->model);
  gst_harness_teardown (h);
}
GST_END_TEST

/* In reverse, each buffer is a jump: its own frames go forward, from the start.
 */
GST_START_TEST (reverse)
{
  const Setting *setting = &settings[__i__];
  GstHarness *h = filter_new (setting->properties, &f32_mono);
  g_autoptr (SeqStream) reference = reference_new (setting, &f32_mono);
  GstSegment segment;

  gst_segment_init (&segment, GST_FORMAT_TIME);
  segment.rate = -1;
  segment.stop = GST_SECOND;
  fail_unless (gst_harness_push_event (h, gst_event_new_segment (&segment)));
  for (guint i = 0; i < 4; i++) {
    guint from = 24000 - i * 4800;
    g_autoptr (GBytes) expected = NULL, got = NULL;

    if (i > 0)
      seq_stream_rewind (reference);
    expected = reference_run (reference, &f32_mono, PREDICTION, from, 4800, 0);
    push (h, &f32_mono, from, 4800, 4800, 0, GST_BUFFER_FLAG_DISCONT);
    got = pull (h);
    assert_same_bits (got, expected, setting->model);
  }
  gst_harness_teardown (h);
}
GST_END_TEST

/* At sensor rates a frame more or less is not a hole: 1.5 frames are allowed.
 */
GST_START_TEST (slow_rates)
{
  const Kind slow = { GST_AUDIO_FORMAT_F32, GST_AUDIO_LAYOUT_INTERLEAVED, 10,
    1 };
  static const struct {
    GstClockTimeDiff shift;
    gboolean hole;
  } steps[] = { { 100 * GST_MSECOND, FALSE }, { 160 * GST_MSECOND, TRUE } };

  for (guint i = 0; i < G_N_ELEMENTS (steps); i++) {
    GstHarness *h = filter_new ("model=ar order=4", &slow);
    g_autoptr (GstElement) element = filter_element (h);
    g_autoptr (GstStructure) stats = NULL;
    guint64 rewinds;

    push (h, &slow, 0, 50, 1, 0, 0);
    push (h, &slow, 50, 50, 1, steps[i].shift, 0);
    g_object_get (element, "stats", &stats, NULL);
    fail_unless (gst_structure_get_uint64 (stats, "rewinds", &rewinds));
    fail_unless_equals_uint64 (rewinds, steps[i].hole);
    gst_harness_teardown (h);
  }
}
GST_END_TEST

/* Without timestamps, all is contiguous; a timestamp in between counts on. */
GST_START_TEST (no_timestamps)
{
  GstHarness *h = filter_new (settings[1].properties, &f32_mono);
  g_autoptr (SeqStream) reference = reference_new (&settings[1], &f32_mono);
  g_autoptr (GBytes) expected =
      reference_run (reference, &f32_mono, PREDICTION, 0, 24000, 0);
  g_autoptr (GBytes) got = NULL;

  for (guint i = 0; i < 10; i++) {
    GstBuffer *buffer = buffer_new (&f32_mono, i * 2400, 2400);

    if (i % 3 != 0)
      GST_BUFFER_PTS (buffer) = GST_CLOCK_TIME_NONE;
    fail_unless_equals_int (gst_harness_push (h, buffer), GST_FLOW_OK);
  }
  got = pull (h);
  assert_same_bits (got, expected, "no timestamps");
  gst_harness_teardown (h);
}
GST_END_TEST

/* After a flushing seek nothing of before comes out: no sample, and no
 * timestamp. */
GST_START_TEST (nothing_stale)
{
  GstHarness *h =
      filter_new ("model=ar order=8 emit=input+prediction", &f32_mono);
  GstBuffer *buffer;

  push (h, &f32_mono, 0, 4800, 100, 0, 0);
  g_bytes_unref (pull (h));
  flush (h);
  push (h, &f32_mono, 0, 100, 100, 5 * GST_SECOND, 0);
  buffer = gst_harness_pull (h);
  fail_unless_equals_uint64 (GST_BUFFER_PTS (buffer), 5 * GST_SECOND);
  gst_buffer_unref (buffer);
  fail_unless_equals_int (gst_harness_buffers_in_queue (h), 0);
  gst_harness_teardown (h);
}
GST_END_TEST

/* A GAP buffer is run through the model and not learnt from. The flag goes
 * where forecasts were written and stays where the input was passed on. */
GST_START_TEST (gap_buffers)
{
  const Setting *setting = &settings[__i__];
  static const struct {
    const char *emit;
    gboolean stays;
  } emits[] = { { "prediction", FALSE }, { "input+prediction", FALSE },
    { "input", TRUE } };

  for (guint i = 0; i < G_N_ELEMENTS (emits); i++) {
    g_autofree char *properties =
        g_strdup_printf ("%s emit=%s", setting->properties, emits[i].emit);
    GstHarness *h = filter_new (properties, &f32_mono);
    GstBuffer *buffer = buffer_new (&f32_mono, 0, 100);

    GST_BUFFER_FLAG_SET (buffer, GST_BUFFER_FLAG_GAP);
    gst_harness_push (h, buffer);
    buffer = gst_harness_pull (h);
    fail_unless_equals_int (
        GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_GAP), emits[i].stays);
    gst_buffer_unref (buffer);

    if (i == 0) {
      g_autoptr (SeqStream) reference = reference_new (setting, &f32_mono);
      g_autoptr (GBytes) gap = reference_run (
          reference, &f32_mono, PREDICTION, 0, 100, SEQ_PROCESS_NO_LEARNING);
      g_autoptr (GBytes) expected =
          reference_run (reference, &f32_mono, PREDICTION, 100, 1000, 0);
      g_autoptr (GBytes) got = NULL;

      push (h, &f32_mono, 100, 1000, 100, 0, 0);
      got = pull (h);
      assert_same_bits (got, expected, setting->model);
    }
    gst_harness_teardown (h);
  }
}
GST_END_TEST

/* Bytes past the last whole frame belong to the next buffer: nothing is lost
 * or shifted, in place and in groups. */
GST_START_TEST (partial_frames)
{
  const Kind kind = { GST_AUDIO_FORMAT_S16, GST_AUDIO_LAYOUT_INTERLEAVED, 8000,
    3 };
  static const guint sizes[] = { 1, 5, 7, 1000, 2, 13 };
  static const guint emits[] = { PREDICTION,
    1 << SEQ_OUTPUT_INPUT | PREDICTION };

  for (guint i = 0; i < G_N_ELEMENTS (emits); i++) {
    g_autoptr (GBytes) signal = signal_new (&kind, 0, 3000);
    g_autoptr (SeqStream) reference = reference_new (&settings[1], &kind);
    g_autoptr (GBytes) expected =
        reference_run (reference, &kind, emits[i], 0, 3000, 0);
    g_autoptr (GBytes) got = NULL;
    GstHarness *h = filter_new (
        i ? "model=ar order=8 emit=input+prediction" : "model=ar order=8",
        &kind);
    gsize size = g_bytes_get_size (signal), at = 0;

    for (guint k = 0; at < size; k++) {
      gsize n = MIN (size - at, sizes[k % G_N_ELEMENTS (sizes)]);
      g_autoptr (GBytes) part = g_bytes_new_from_bytes (signal, at, n);

      fail_unless_equals_int (
          gst_harness_push (h, gst_buffer_new_wrapped_bytes (part)),
          GST_FLOW_OK);
      at += n;
    }
    got = pull (h);
    assert_same_bits (got, expected, "partial frames");
    gst_harness_teardown (h);
  }
}
GST_END_TEST

/* A flush, or a DISCONT, begins with a whole frame: half of one from before
 * is thrown away. */
GST_START_TEST (partial_frame_before_a_jump)
{
  const Kind kind = { GST_AUDIO_FORMAT_S16, GST_AUDIO_LAYOUT_INTERLEAVED, 8000,
    2 };
  GstHarness *h = filter_new ("model=ar emit=input+prediction", &kind);
  GstBuffer *part = buffer_new (&kind, 0, 2), *out;
  gint16 x;
  g_autoptr (GBytes) signal = signal_new (&kind, 100, 1);

  gst_buffer_set_size (part, 5);
  gst_harness_push (h, part);
  gst_buffer_unref (gst_harness_pull (h));
  if (__i__ == 0)
    flush (h);
  push (h, &kind, 100, 10, 10, 0, __i__ ? GST_BUFFER_FLAG_DISCONT : 0);
  out = gst_harness_pull (h);
  fail_unless_equals_int (gst_buffer_get_size (out), 10 * 8);
  gst_buffer_extract (out, 0, &x, 2);
  fail_unless_equals_int (x, *(gint16 *) g_bytes_get_data (signal, NULL));
  gst_buffer_unref (out);
  gst_harness_teardown (h);
}
GST_END_TEST

/* A new rate or format resets the carried state and keeps what was learnt. A
 * new number of channels resets both. */
GST_START_TEST (caps_change)
{
  static const struct {
    Kind kind;
    Effect effect;
  } to[] = {
    { { GST_AUDIO_FORMAT_F32, GST_AUDIO_LAYOUT_INTERLEAVED, 44100, 1 },
        REWIND },
    { { GST_AUDIO_FORMAT_F64, GST_AUDIO_LAYOUT_INTERLEAVED, 48000, 1 },
        REWIND },
    { { GST_AUDIO_FORMAT_F32, GST_AUDIO_LAYOUT_INTERLEAVED, 48000, 2 },
        RESTART },
  };

  for (guint i = 0; i < G_N_ELEMENTS (to); i++) {
    const Setting *setting = &settings[__i__];
    GstHarness *h = filter_new (setting->properties, &f32_mono);
    g_autoptr (SeqStream) reference = reference_new (setting, &f32_mono);
    g_autoptr (GBytes) expected = NULL, got = NULL;

    g_bytes_unref (
        reference_run (reference, &f32_mono, PREDICTION, 0, HALF, 0));
    if (to[i].effect == RESTART) {
      seq_stream_free (reference);
      reference = reference_new (setting, &to[i].kind);
    } else {
      seq_stream_rewind (reference);
    }
    expected =
        reference_run (reference, &to[i].kind, PREDICTION, HALF, END - HALF, 0);

    push (h, &f32_mono, 0, HALF, 480, 0, 0);
    g_bytes_unref (pull (h));
    set_caps (h, &to[i].kind);
    push (h, &to[i].kind, HALF, END - HALF, 480, 0, 0);
    got = pull (h);
    assert_same_bits (got, expected, setting->model);
    gst_harness_teardown (h);
  }
}
GST_END_TEST

/* A bare filesrc: a segment in bytes, no timestamps, any block size. No
 * CRITICAL (they are fatal here), no sample lost. */
GST_START_TEST (filesrc)
{
  const Kind kind = { GST_AUDIO_FORMAT_F32, GST_AUDIO_LAYOUT_INTERLEAVED, 100,
    6 };
  g_autofree char *in = NULL, *out = NULL, *launch = NULL, *data = NULL;
  g_autoptr (GBytes) signal = signal_new (&kind, 0, 2000);
  g_autoptr (SeqStream) reference = reference_new (&settings[1], &kind);
  g_autoptr (GBytes) expected =
      reference_run (reference, &kind, PREDICTION, 0, 2000, 0);
  g_autoptr (GBytes) got = NULL;
  g_autoptr (GstElement) pipeline = NULL;
  g_autoptr (GstBus) bus = NULL;
  g_autoptr (GstMessage) message = NULL;
  gsize size;

  close (g_file_open_tmp (NULL, &in, NULL));
  close (g_file_open_tmp (NULL, &out, NULL));
  fail_unless (g_file_set_contents (in, g_bytes_get_data (signal, NULL),
      (gssize) g_bytes_get_size (signal), NULL));
  launch = g_strdup_printf (
      "filesrc location=%s blocksize=1001 ! audio/x-raw,format=F32LE,rate=100,"
      "channels=6,channel-mask=(bitmask)0,layout=interleaved ! "
      "seqfilter model=ar order=8 post-messages=true ! filesink location=%s",
      in, out);
  pipeline = gst_parse_launch (launch, NULL);
  bus = gst_element_get_bus (pipeline);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  message = gst_bus_timed_pop_filtered (
      bus, 10 * GST_SECOND, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
  fail_unless_equals_int (GST_MESSAGE_TYPE (message), GST_MESSAGE_EOS);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  fail_unless (g_file_get_contents (out, &data, &size, NULL));
  got = g_bytes_new (data, size);
  assert_same_bits (got, expected, "filesrc");
  g_remove (in);
  g_remove (out);
}
GST_END_TEST

/* Late buffers that QoS drops leave a hole, which is seen. */
GST_START_TEST (qos)
{
  GstHarness *h = filter_new ("model=ar qos=true", &f32_mono);
  g_autoptr (GstElement) element = filter_element (h);
  g_autoptr (GstStructure) stats = NULL;
  guint64 rewinds;

  push (h, &f32_mono, 0, 4800, 4800, 0, 0);
  fail_unless (gst_harness_push_upstream_event (
      h, gst_event_new_qos (GST_QOS_TYPE_UNDERFLOW, 2.0, 50 * GST_MSECOND,
             100 * GST_MSECOND)));
  push (h, &f32_mono, 4800, 4800, 4800, 0, 0);
  push (h, &f32_mono, 48000, 4800, 4800, 0, 0);
  fail_unless_equals_int (gst_harness_buffers_received (h), 2);
  g_object_get (element, "stats", &stats, NULL);
  fail_unless (gst_structure_get_uint64 (stats, "rewinds", &rewinds));
  fail_unless_equals_uint64 (rewinds, 1);
  gst_harness_teardown (h);
}
GST_END_TEST

static Suite *
events_suite (void)
{
  Suite *s = suite_create ("events");
  TCase *tc = tcase_create ("general");
  int n = G_N_ELEMENTS (settings);

  suite_add_tcase (s, tc);
  tcase_add_loop_test (tc, events, 0, n);
  tcase_add_loop_test (tc, loop_back, 0, n);
  tcase_add_loop_test (tc, reverse, 0, n);
  tcase_add_test (tc, slow_rates);
  tcase_add_test (tc, no_timestamps);
  tcase_add_test (tc, nothing_stale);
  tcase_add_loop_test (tc, gap_buffers, 0, n);
  tcase_add_test (tc, partial_frames);
  tcase_add_loop_test (tc, partial_frame_before_a_jump, 0, 2);
  tcase_add_loop_test (tc, caps_change, 0, n);
  tcase_add_test (tc, filesrc);
  tcase_add_test (tc, qos);
  return s;
}

GST_CHECK_MAIN (events)
