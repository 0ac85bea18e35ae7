/* test_storm.c: storms of buffers, events, caps, properties and states.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * environment: SEQ_STORMS="SEED STORMS STEPS", as far as they are given
 *
 * Of each seed there are two storms. In the first everything comes from one
 * thread, to two elements: one has the signal in whole buffers, the other in
 * pieces, and output, state and statistics are the same to the bit. In the
 * second, threads set and read properties and change the element's state while
 * another one streams: that nothing is read or written at the same time is for
 * ThreadSanitizer to say.
 */
#include "tests/gst/filter.h"

#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST 700 /* frames of a buffer */

static char *model_file, *state_file;

/* --- what can be asked for -------------------------------------------------
 */

/* Not mix: it glides to a new value in one buffer, of whatever length. */
static const struct {
  const char *property;
  const char *values[8];
} choices[] = {
  { "model", { "ar", "naive", "markov", "rnn", "lstm", "gru" } },
  { "hidden-size", { "3", "8", "5" } },
  { "order", { "0", "4", "9" } },
  { "states", { "0", "5", "1" /* refused by markov */ } },
  { "history", { "200", "500" } },
  { "horizon", { "1", "3", "0" /* refused */ } },
  { "learn", { "auto", "off", "gradient", "both" } },
  { "learning-rate", { "0.001", "0.01" } },
  { "window", { "7", "64", "33" } },
  { "residual-connection", { "auto", "off", "on" } },
  { "channel-mode", { "auto", "independent", "joint" } },
  { "precision", { "float", "int8" } },
  { "emit", { "input", "prediction", "residual+score",
                "input+prediction+residual" } },
  { "post-messages", { "true", "false" } },
  { "interval", { "1000000", "77", "10000000" } },
  { "params", { "<0.5>", "<>" } },
  { "max-memory", { "0", "1" /* refused */ } },
};

static const Kind kinds[] = {
  { GST_AUDIO_FORMAT_F32, GST_AUDIO_LAYOUT_INTERLEAVED, 48000, 1 },
  { GST_AUDIO_FORMAT_F32, GST_AUDIO_LAYOUT_INTERLEAVED, 48000, 2 },
  { GST_AUDIO_FORMAT_S16, GST_AUDIO_LAYOUT_INTERLEAVED, 8000, 1 },
  { GST_AUDIO_FORMAT_F64, GST_AUDIO_LAYOUT_INTERLEAVED, 100, 3 },
  { GST_AUDIO_FORMAT_S32, GST_AUDIO_LAYOUT_INTERLEAVED, 44100, 2 },
};

/* No model is for so many channels. */
static const Kind refused = { GST_AUDIO_FORMAT_F32,
  GST_AUDIO_LAYOUT_INTERLEAVED, 48000, 70000 };

static guint
pick (GRand *rand, guint n)
{
  return (guint) g_rand_int_range (rand, 0, (gint32) n);
}

static void
set_something (GRand *rand, GstElement *elements[], guint n)
{
  guint i = pick (rand, G_N_ELEMENTS (choices)), n_values = 0;
  const char *value;

  while (n_values < G_N_ELEMENTS (choices[i].values)
         && choices[i].values[n_values])
    n_values++;
  value = choices[i].values[pick (rand, n_values)];
  for (guint k = 0; k < n; k++)
    gst_util_set_object_arg (
        G_OBJECT (elements[k]), choices[i].property, value);
}

static void
send_caps (GstHarness *h, const Kind *kind)
{
  g_autofree char *text = g_strdup_printf (
      "audio/x-raw, format=%s, layout=interleaved, rate=%d, channels=%d%s",
      gst_audio_format_to_string (kind->format), kind->rate, kind->channels,
      kind->channels > 2 ? ", channel-mask=(bitmask)0" : "");
  g_autoptr (GstCaps) caps = gst_caps_from_string (text);

  gst_harness_push_event (h, gst_event_new_caps (caps));
}

static void
send_start (GstHarness *h, const Kind *kind)
{
  GstSegment segment;

  gst_harness_push_event (h, gst_event_new_stream_start ("storm"));
  send_caps (h, kind);
  gst_segment_init (&segment, GST_FORMAT_TIME);
  gst_harness_push_event (h, gst_event_new_segment (&segment));
}

static void
send_flush (GstHarness *h)
{
  GstSegment segment;

  gst_harness_push_event (h, gst_event_new_flush_start ());
  gst_harness_push_event (h, gst_event_new_flush_stop (TRUE));
  gst_segment_init (&segment, GST_FORMAT_TIME);
  gst_harness_push_event (h, gst_event_new_segment (&segment));
}

/* --- whole and in pieces ---------------------------------------------------
 */

enum { WHOLE, PIECES, N_ELEMENTS };

typedef struct {
  GRand *rand, *cuts;
  GstHarness *h[N_ELEMENTS];
  GstElement *element[N_ELEMENTS];
  const Kind *kind;
  guint at;         /* frame of the signal */
  GstClockTime pts; /* of that frame */
} Storm;

/* A sample that nobody wants. */
static void
spoil (Storm *storm, GstBuffer *buffer)
{
  static const float odd[] = { 1e30f, -3e38f, (float) (0.0 / 0.0), 1e-40f };
  float value = odd[pick (storm->rand, G_N_ELEMENTS (odd))];
  gsize n = gst_buffer_get_size (buffer) / sizeof value;

  gst_buffer_fill (buffer, pick (storm->rand, (guint) n) * sizeof value, &value,
      sizeof value);
}

static void
push_whole_and_pieces (Storm *storm, guint n, GstBufferFlags flags)
{
  GstBuffer *whole = buffer_new (storm->kind, storm->at, n);
  gsize bpf = gst_buffer_get_size (whole) / n;
  GstFlowReturn expected;

  if (storm->kind->format == GST_AUDIO_FORMAT_F32 && pick (storm->rand, 8) == 0)
    spoil (storm, whole);
  GST_BUFFER_PTS (whole) = storm->pts;
  GST_BUFFER_FLAG_SET (whole, flags);
  expected = gst_harness_push (storm->h[WHOLE], gst_buffer_copy_deep (whole));
  for (guint from = 0, size; from < n; from += size) {
    GstBuffer *piece;

    size = 1 + pick (storm->cuts, 200);
    size = MIN (size, n - from);
    piece = gst_buffer_copy_region (whole,
        GST_BUFFER_COPY_ALL | GST_BUFFER_COPY_DEEP, from * bpf, size * bpf);
    GST_BUFFER_PTS (piece) =
        storm->pts
        + gst_util_uint64_scale_int (from, GST_SECOND, storm->kind->rate);
    GST_BUFFER_FLAG_SET (piece, flags & GST_BUFFER_FLAG_GAP);
    fail_unless_equals_int (
        gst_harness_push (storm->h[PIECES], piece), expected);
  }
  gst_buffer_unref (whole);
  storm->at += n;
  storm->pts += gst_util_uint64_scale_int (n, GST_SECOND, storm->kind->rate);
}

static void
assert_same_output (Storm *storm, guint step)
{
  g_autofree char *what = g_strdup_printf ("step %u", step);
  g_autoptr (GBytes) whole = pull (storm->h[WHOLE]);
  g_autoptr (GBytes) pieces = pull (storm->h[PIECES]);

  assert_same_bits (whole, pieces, what);
}

static void
assert_same_state (Storm *storm, guint step)
{
  GBytes *states[N_ELEMENTS];
  char *stats[N_ELEMENTS];

  for (guint i = 0; i < N_ELEMENTS; i++) {
    g_autoptr (GstStructure) structure = NULL;

    g_object_get (
        storm->element[i], "state", &states[i], "stats", &structure, NULL);
    stats[i] = gst_structure_to_string (structure);
  }
  fail_unless_equals_string (stats[WHOLE], stats[PIECES]);
  fail_unless (!states[WHOLE] == !states[PIECES]);
  if (states[WHOLE])
    assert_same_bits (states[WHOLE], states[PIECES], "state");
  /* and back, perhaps from a stream of other channels, on both */
  for (guint i = 0; i < N_ELEMENTS && step % 3 == 0; i++)
    g_object_set (storm->element[i], "state", states[WHOLE], NULL);
  for (guint i = 0; i < N_ELEMENTS; i++) {
    g_clear_pointer (&states[i], g_bytes_unref);
    g_free (stats[i]);
  }
}

/* One step to both elements. */
static void
take_step (Storm *storm, guint step)
{
  GRand *rand = storm->rand;
  guint what = pick (rand, 24);
  guint n = 1 + pick (rand, MOST);
  gboolean fades = FALSE;

  if (what == 0)
    storm->kind = &kinds[pick (rand, G_N_ELEMENTS (kinds))];
  if (what == 1)
    storm->pts += GST_SECOND; /* a hole */
  for (guint i = 0; i < N_ELEMENTS; i++) {
    GstHarness *h = storm->h[i];
    GstElement *element = storm->element[i];
    gboolean saved;

    switch (what) {
      case 0:
        send_caps (h, storm->kind);
        break;
      case 2:
        send_flush (h);
        break;
      case 3:
        gst_harness_push_event (
            h, gst_event_new_gap (storm->pts, 10 * GST_MSECOND));
        break;
      case 4: /* refused, and the old ones again */
        send_caps (h, &refused);
        send_caps (h, storm->kind);
        break;
      case 5: /* refused */
        g_object_set (element, "model-file", "/nowhere/at/all", NULL);
        break;
      case 6:
        g_object_set (element, "rate-mode", 1, "model-file",
            step % 2 ? model_file : NULL, NULL);
        fades = TRUE;
        break;
      case 7:
        g_signal_emit_by_name (element, "reset");
        break;
      case 8:
        g_object_set (element, "state-file", state_file, NULL);
        g_signal_emit_by_name (element, "save", &saved);
        g_object_set (element, "state-file", NULL, NULL);
        break;
      case 9:
        gst_harness_push_event (h, gst_event_new_eos ());
        send_flush (h);
        break;
      case 10:
        gst_element_set_state (element, GST_STATE_READY);
        gst_element_set_state (element, GST_STATE_PLAYING);
        send_start (h, storm->kind);
        break;
      default:
        break;
    }
  }
  if (what == 11)
    assert_same_state (storm, step);
  if (what > 11 && what < 16)
    set_something (rand, storm->element, N_ELEMENTS);
  /* what is set while a model fades in waits for the end of a buffer */
  push_whole_and_pieces (storm, fades ? MOST : n,
      what == 16   ? GST_BUFFER_FLAG_GAP
      : what == 17 ? GST_BUFFER_FLAG_DISCONT
                   : 0);
  if (fades)
    push_whole_and_pieces (storm, MOST, 0);
  assert_same_output (storm, step);
}

static void
storm_of (guint seed, guint n_steps)
{
  Storm storm = { .rand = g_rand_new_with_seed (seed),
    .cuts = g_rand_new_with_seed (seed + 1),
    .kind = &kinds[0] };

  for (guint i = 0; i < N_ELEMENTS; i++) {
    storm.h[i] = gst_harness_new_parse ("seqfilter hidden-size=4");
    storm.element[i] = filter_element (storm.h[i]);
    gst_harness_play (storm.h[i]);
    send_start (storm.h[i], storm.kind);
  }
  for (guint step = 0; step < n_steps; step++)
    take_step (&storm, step);
  for (guint i = 0; i < N_ELEMENTS; i++) {
    gst_object_unref (storm.element[i]);
    gst_harness_teardown (storm.h[i]);
  }
  g_rand_free (storm.rand);
  g_rand_free (storm.cuts);
}

/* --- from many threads -----------------------------------------------------
 */

typedef struct {
  GstElement *element;
  guint seed;
  gint done; /* atomic */
} Weather;

static gpointer
set_properties (gpointer data)
{
  Weather *weather = data;
  GRand *rand = g_rand_new_with_seed (weather->seed);
  GObject *object = G_OBJECT (weather->element);

  for (guint i = 0; !g_atomic_int_get (&weather->done); i++) {
    set_something (rand, &weather->element, 1);
    if (i % 9 == 0)
      g_object_set (object, "rate-mode", 1, "model-file",
          i % 2 ? model_file : NULL, NULL);
    g_object_set (object, "state-file", i % 7 ? state_file : NULL, "mix",
        i % 5 / 4.0, NULL);
    g_usleep (100);
  }
  g_rand_free (rand);
  return NULL;
}

static gpointer
read_properties (gpointer data)
{
  Weather *weather = data;
  GObject *object = G_OBJECT (weather->element);

  for (guint i = 0; !g_atomic_int_get (&weather->done); i++) {
    g_autoptr (GBytes) state = NULL;
    g_autoptr (GstStructure) stats = NULL;
    g_autofree char *file = NULL;
    gboolean saved;

    g_object_get (
        object, "state", &state, "stats", &stats, "model-file", &file, NULL);
    if (i % 4 == 0)
      g_signal_emit_by_name (object, "save", &saved);
    if (i % 5 == 0 && state)
      g_object_set (object, "state", state, NULL);
    if (i % 7 == 0)
      g_signal_emit_by_name (object, "reset");
    g_usleep (300);
  }
  return NULL;
}

static gpointer
change_state (gpointer data)
{
  static const GstState states[] = { GST_STATE_PAUSED, GST_STATE_PLAYING,
    GST_STATE_READY, GST_STATE_PLAYING, GST_STATE_NULL, GST_STATE_PLAYING };
  Weather *weather = data;

  for (guint i = 0; !g_atomic_int_get (&weather->done); i++) {
    gst_element_set_state (weather->element, states[i % G_N_ELEMENTS (states)]);
    g_usleep (5000);
  }
  gst_element_set_state (weather->element, GST_STATE_PLAYING);
  return NULL;
}

static void
weather_of (guint seed, guint n_steps)
{
  static GThreadFunc const threads[] = { set_properties, read_properties,
    change_state };
  GstHarness *h =
      gst_harness_new_parse ("seqfilter hidden-size=4 state-interval=3000000");
  Weather weather = { .element = filter_element (h), .seed = seed };
  GRand *rand = g_rand_new_with_seed (seed);
  GThread *running[G_N_ELEMENTS (threads)];
  guint n_passed = 0;

  gst_harness_play (h);
  send_start (h, &kinds[0]);
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    running[i] = g_thread_new (NULL, threads[i], &weather);
  for (guint step = 0; step < n_steps; step++) {
    guint n = 1 + pick (rand, 100);
    GstFlowReturn flow =
        gst_harness_push (h, buffer_new (&kinds[0], step * 100, n));

    n_passed += flow == GST_FLOW_OK;
    /* after READY, or what was refused */
    if (flow != GST_FLOW_OK || step % 50 == 0)
      send_start (h, &kinds[0]);
    if (step % 31 == 0)
      send_flush (h);
    g_bytes_unref (pull (h));
  }
  g_atomic_int_set (&weather.done, TRUE);
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (running[i]);
  g_print ("seed %u: %u of %u buffers passed\n", seed, n_passed, n_steps);
  /* and then the sun shines */
  gst_element_set_state (weather.element, GST_STATE_NULL);
  g_object_set (weather.element, "model-file", NULL, "max-memory", (guint64) 0,
      "states", 0, "horizon", 1, "state", NULL, "state-file", NULL, NULL);
  gst_util_set_object_arg (G_OBJECT (weather.element), "model", "ar");
  gst_util_set_object_arg (G_OBJECT (weather.element), "precision", "float");
  gst_element_set_state (weather.element, GST_STATE_PLAYING);
  send_start (h, &kinds[0]);
  push (h, &kinds[0], 0, 1000, 100, 0, 0);
  gst_object_unref (weather.element);
  gst_harness_teardown (h);
  g_rand_free (rand);
}

/* --- seeds ----------------------------------------------------------------
 */

static guint n_steps = 100;

static void
set_up (void)
{
  g_autofree char *folder = g_dir_make_tmp ("seqfilter-XXXXXX", NULL);

  state_file = g_build_filename (folder, "state", NULL);
  model_file = g_build_filename (g_getenv ("SEQ_SOURCE"), "tests", "fuzz",
      "corpus", "rtneural.json", NULL);
}

static void
tear_down (void)
{
  g_autofree char *folder = g_path_get_dirname (state_file);

  g_remove (state_file);
  g_rmdir (folder);
  g_clear_pointer (&state_file, g_free);
  g_clear_pointer (&model_file, g_free);
}

GST_START_TEST (whole_and_in_pieces)
{
  storm_of ((guint) __i__, n_steps);
}
GST_END_TEST

GST_START_TEST (many_threads)
{
  weather_of ((guint) __i__, n_steps);
}
GST_END_TEST

static Suite *
storm_suite (void)
{
  const char *environment = g_getenv ("SEQ_STORMS");
  g_auto (GStrv) words = g_strsplit (environment ? environment : "", " ", 3);
  guint n = g_strv_length (words);
  int seed = n > 0 ? atoi (words[0]) : 1;
  int n_storms = n > 1 ? atoi (words[1]) : 3;
  Suite *s = suite_create ("storm");
  TCase *tc = tcase_create ("seeds");

  n_steps = n > 2 ? (guint) atoi (words[2]) : n_steps;
  suite_add_tcase (s, tc);
  tcase_set_timeout (tc, 600); /* sanitizers are slow */
  tcase_add_checked_fixture (tc, set_up, tear_down);
  tcase_add_loop_test (tc, whole_and_in_pieces, seed, seed + n_storms);
  tcase_add_loop_test (tc, many_threads, seed, seed + n_storms);
  return s;
}

GST_CHECK_MAIN (storm)
