/* test_state.c: state taken out, put back and kept in a file; models that
 * change while data flows.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "tests/gst/filter.h"

#include <glib/gstdio.h>
#include <gst/check/gsttestclock.h>
#include <string.h>
#include <unistd.h>

#define PREDICTION (1 << SEQ_OUTPUT_PREDICTION)
#define HALF 1700 /* not a multiple of a learner's window */
#define END 3000

static GBytes *
get_state (GstHarness *h)
{
  g_autoptr (GstElement) element = filter_element (h);
  GBytes *state = NULL;

  g_object_get (element, "state", &state, NULL);
  return state;
}

static GBytes *
second_half (GstHarness *h)
{
  push (h, &f32_mono, HALF, END - HALF, 480, 0, 0);
  return pull (h);
}

static GBytes *
reference_second_half (const Setting *setting)
{
  g_autoptr (SeqStream) reference = reference_new (setting, &f32_mono);

  g_bytes_unref (reference_run (reference, &f32_mono, PREDICTION, 0, HALF, 0));
  return reference_run (reference, &f32_mono, PREDICTION, HALF, END - HALF, 0);
}

/* "model=ar order=8" is what the element's properties say. */
static void
assert_properties (GstElement *element, const char *properties)
{
  g_auto (GStrv) words = g_strsplit_set (properties, " =", -1);

  for (guint i = 0; words[i]; i += 2) {
    GParamSpec *spec =
        g_object_class_find_property (G_OBJECT_GET_CLASS (element), words[i]);
    g_auto (GValue) wanted = G_VALUE_INIT, got = G_VALUE_INIT;

    g_value_init (&wanted, spec->value_type);
    g_value_init (&got, spec->value_type);
    fail_unless (gst_value_deserialize (&wanted, words[i + 1]));
    g_object_get_property (G_OBJECT (element), words[i], &got);
    fail_unless_equals_int (gst_value_compare (&wanted, &got), GST_VALUE_EQUAL);
  }
}

/* Set before caps, or while other data flows; with the same properties, or
 * without any: the state brings its model. */
GST_START_TEST (state_resumes)
{
  const Setting *setting = &settings[__i__];
  g_autoptr (GBytes) expected = reference_second_half (setting), state = NULL;
  GstHarness *h = filter_new (setting->properties, &f32_mono);

  push (h, &f32_mono, 0, HALF, 480, 0, 0);
  state = get_state (h);
  fail_unless (state != NULL);
  gst_harness_teardown (h);

  for (guint i = 0; i < 4; i++) {
    gboolean before_caps = i % 2 == 0;
    g_autoptr (GstElement) element = NULL;
    g_autoptr (GBytes) got = NULL, again = NULL;

    h = gst_harness_new ("seqfilter");
    element = filter_element (h);
    if (i >= 2) {
      g_auto (GStrv) words = g_strsplit_set (setting->properties, " =", -1);

      for (guint k = 0; words[k]; k += 2)
        gst_util_set_object_arg (G_OBJECT (element), words[k], words[k + 1]);
    }
    if (before_caps)
      g_object_set (element, "state", state, NULL);
    set_caps (h, &f32_mono);
    if (!before_caps) {
      push (h, &f32_mono, 0, 777, 100, 0, 0);
      g_bytes_unref (pull (h));
      g_object_set (element, "state", state, NULL);
    }
    again = get_state (h);
    assert_same_bits (again, state, "read back at once");
    assert_properties (element, setting->properties);
    if (!before_caps) {
      /* the other data's timestamps must not rewind it */
      push (h, &f32_mono, HALF, END - HALF, 480,
          gst_util_uint64_scale (777, GST_SECOND, 48000)
              - gst_util_uint64_scale (HALF, GST_SECOND, 48000),
          0);
      got = pull (h);
    } else {
      got = second_half (h);
    }
    assert_same_bits (got, expected, setting->model);
    gst_harness_teardown (h);
  }
}
GST_END_TEST

/* A property that is set after a state, to the same value, keeps the state;
 * learn=off freezes it. */
GST_START_TEST (state_then_properties)
{
  const Setting *setting = &settings[__i__];
  g_autoptr (GBytes) state = NULL, expected = NULL, got = NULL;
  g_autoptr (SeqStream) reference = reference_new (setting, &f32_mono);
  GstHarness *h = filter_new (setting->properties, &f32_mono);
  g_autoptr (GstElement) element = NULL;

  push (h, &f32_mono, 0, HALF, 480, 0, 0);
  state = get_state (h);
  gst_harness_teardown (h);

  g_bytes_unref (reference_run (reference, &f32_mono, PREDICTION, 0, HALF, 0));
  expected = reference_run (reference, &f32_mono, PREDICTION, HALF, END - HALF,
      SEQ_PROCESS_NO_LEARNING);
  h = gst_harness_new ("seqfilter");
  element = filter_element (h);
  g_object_set (element, "state", state, NULL);
  g_object_set (element, "horizon", 1, "learning-rate", 3e-3, NULL);
  gst_util_set_object_arg (G_OBJECT (element), "learn", "off");
  set_caps (h, &f32_mono);
  got = second_half (h);
  assert_same_bits (got, expected, setting->model);
  gst_harness_teardown (h);
}
GST_END_TEST

/* Before caps there is no state. */
GST_START_TEST (no_state_yet)
{
  g_autoptr (GstElement) element =
      gst_object_ref_sink (gst_element_factory_make ("seqfilter", NULL));
  GBytes *state = (GBytes *) 1;

  g_object_get (element, "state", &state, NULL);
  fail_unless (state == NULL);
  g_object_set (element, "state", NULL, NULL);
}
GST_END_TEST

static void
assert_message (GstBus *bus, GstMessageType type, const char *says)
{
  g_autoptr (GstMessage) message = gst_bus_pop_filtered (bus, type);
  g_autoptr (GError) error = NULL;

  fail_unless (message != NULL, "no message that says %s", says);
  if (type == GST_MESSAGE_ERROR)
    gst_message_parse_error (message, &error, NULL);
  else
    gst_message_parse_warning (message, &error, NULL);
  fail_unless (
      strstr (error->message, says), "%s where %s", error->message, says);
}

/* Bytes that are not a state are an error at start; while data flows they are a
 * warning, and the model before goes on. */
GST_START_TEST (bad_state)
{
  g_autoptr (GBytes) bad =
      g_bytes_new_static ("no state at all, but long enough "
                          "to hold a header or two of it",
          61);
  g_autoptr (GBytes) expected = reference_second_half (&settings[1]);
  g_autoptr (GBytes) got = NULL;
  g_autoptr (GstBus) bus = gst_bus_new ();
  GstElement *element = gst_element_factory_make ("seqfilter", NULL);
  GstHarness *h;

  gst_element_set_bus (element, bus);
  g_object_set (element, "state", bad, NULL);
  gst_element_set_state (element, GST_STATE_PAUSED);
  assert_message (bus, GST_MESSAGE_ERROR, "state");
  gst_element_set_state (element, GST_STATE_NULL);
  gst_element_set_bus (element, NULL);
  gst_object_unref (element);

  h = filter_new (settings[1].properties, &f32_mono);
  element = filter_element (h);
  gst_element_set_bus (element, bus);
  push (h, &f32_mono, 0, HALF, 480, 0, 0);
  g_bytes_unref (pull (h));
  g_object_set (element, "state", bad, NULL);
  assert_message (bus, GST_MESSAGE_WARNING, "state");
  got = second_half (h);
  assert_same_bits (got, expected, "after a bad state");
  gst_element_set_bus (element, NULL);
  gst_object_unref (element);
  gst_harness_teardown (h);
}
GST_END_TEST

/* A state for another number of channels is an error that says so. */
GST_START_TEST (state_of_other_channels)
{
  const Kind two = { GST_AUDIO_FORMAT_F32, GST_AUDIO_LAYOUT_INTERLEAVED, 48000,
    2 };
  GstHarness *h = filter_new ("model=ar", &f32_mono);
  g_autoptr (GstBus) bus = gst_bus_new ();
  g_autoptr (GstElement) element = NULL;
  g_autoptr (GBytes) state = NULL;

  push (h, &f32_mono, 0, 480, 480, 0, 0);
  state = get_state (h);
  gst_harness_teardown (h);

  h = gst_harness_new ("seqfilter");
  element = filter_element (h);
  gst_element_set_bus (element, bus);
  g_object_set (element, "state", state, NULL);
  set_caps (h, &two);
  fail_unless_equals_int (
      gst_harness_push (h, buffer_new (&two, 0, 10)), GST_FLOW_NOT_NEGOTIATED);
  assert_message (bus, GST_MESSAGE_ERROR, "ar with 1 channel;");
  gst_element_set_bus (element, NULL);
  gst_harness_teardown (h);
}
GST_END_TEST

/* --- state-file ----------------------------------------------------------- */

static char *
file_name (void)
{
  g_autofree char *dir = g_dir_make_tmp ("seqfilter-XXXXXX", NULL);

  return g_build_filename (dir, "state", NULL);
}

static void
remove_file (const char *file)
{
  g_autofree char *dir = g_path_get_dirname (file);

  g_remove (file);
  g_rmdir (dir);
}

typedef enum { AT_EOS, AT_STOP, BY_ACTION } When;

/* Written at EOS, at stop and by the action; read at start. */
GST_START_TEST (state_file)
{
  const Setting *setting = &settings[__i__];
  g_autoptr (GBytes) expected = reference_second_half (setting);

  for (When when = AT_EOS; when <= BY_ACTION; when++) {
    g_autofree char *file = file_name ();
    g_autofree char *properties =
        g_strdup_printf ("%s state-file=%s", setting->properties, file);
    GstHarness *h = filter_new (properties, &f32_mono);
    g_autoptr (GstElement) element = filter_element (h);
    g_autoptr (GBytes) got = NULL;
    gboolean saved = FALSE;

    push (h, &f32_mono, 0, HALF, 480, 0, 0);
    fail_if (g_file_test (file, G_FILE_TEST_EXISTS));
    if (when == AT_EOS) {
      fail_unless (gst_harness_push_event (h, gst_event_new_eos ()));
    } else if (when == BY_ACTION) {
      g_signal_emit_by_name (element, "save", &saved);
      fail_unless (saved);
    }
    if (when != AT_STOP)
      fail_unless (g_file_test (file, G_FILE_TEST_EXISTS));
    gst_harness_teardown (h);
    fail_unless (g_file_test (file, G_FILE_TEST_EXISTS));

    h = filter_new (properties, &f32_mono);
    got = second_half (h);
    assert_same_bits (got, expected, setting->model);
    gst_harness_teardown (h);
    remove_file (file);
  }
}
GST_END_TEST

static void
await_file (const char *file)
{
  while (!g_file_test (file, G_FILE_TEST_EXISTS))
    g_usleep (1000);
}

static void
assert_file_holds (const char *file, GBytes *state)
{
  char *data;
  gsize size;
  g_autoptr (GBytes) bytes = NULL;

  fail_unless (g_file_get_contents (file, &data, &size, NULL));
  bytes = g_bytes_new_take (data, size);
  assert_same_bits (bytes, state, file);
}

/* At each interval the state of that moment is saved, by another thread than
 * the one that streams; none is saved after READY. */
GST_START_TEST (state_interval)
{
  GstClock *clock = gst_test_clock_new ();
  GstTestClock *time = GST_TEST_CLOCK (clock);
  g_autofree char *file = file_name ();
  g_autofree char *properties = g_strdup_printf (
      "model=ar order=8 state-interval=1000000000 state-file=%s", file);
  GstElement *element;
  GstHarness *h;

  gst_system_clock_set_default (clock);
  h = filter_new (properties, &f32_mono);
  element = filter_element (h);
  push (h, &f32_mono, 0, HALF, 480, 0, 0);
  fail_if (g_file_test (file, G_FILE_TEST_EXISTS));
  for (guint i = 0; i < 3; i++) {
    g_autoptr (GBytes) state = get_state (h);

    fail_unless (gst_test_clock_crank (time));
    await_file (file);
    assert_file_holds (file, state);
    g_remove (file);
    push (h, &f32_mono, HALF + i * 100, 100, 100, 0, 0);
  }
  gst_element_set_state (element, GST_STATE_READY);
  fail_unless (g_file_test (file, G_FILE_TEST_EXISTS)); /* at READY, too */
  fail_unless_equals_int (gst_test_clock_peek_id_count (time), 0);
  gst_object_unref (element);
  gst_harness_teardown (h);
  gst_system_clock_set_default (NULL);
  gst_object_unref (clock);
  remove_file (file);
}
GST_END_TEST

/* With nothing said of the model, the file brings it. */
GST_START_TEST (state_file_brings_the_model)
{
  g_autofree char *file = file_name ();
  g_autofree char *first =
      g_strdup_printf ("%s state-file=%s", settings[1].properties, file);
  g_autofree char *second = g_strdup_printf ("state-file=%s", file);
  GstHarness *h = filter_new (first, &f32_mono);
  g_autoptr (GBytes) expected = reference_second_half (&settings[1]);
  g_autoptr (GBytes) got = NULL;

  push (h, &f32_mono, 0, HALF, 480, 0, 0);
  gst_harness_teardown (h);
  h = filter_new (second, &f32_mono);
  got = second_half (h);
  assert_same_bits (got, expected, "ar from the file");
  gst_harness_teardown (h);
  remove_file (file);
}
GST_END_TEST

/* What was learnt in one run works in the next, which does not learn. */
GST_START_TEST (state_file_frozen)
{
  const Setting *setting = &settings[__i__];
  static const char *const learners[] = { "auto", "gradient" };

  for (guint i = 0; i < G_N_ELEMENTS (learners); i++) {
    g_autofree char *file = file_name ();
    g_autofree char *learns = g_strdup_printf (
        "%s learn=%s state-file=%s", setting->properties, learners[i], file);
    g_autofree char *frozen = g_strdup_printf (
        "%s learn=off state-file=%s", setting->properties, file);
    g_autofree char *off =
        g_strdup_printf ("%s learn=%s", setting->properties, learners[i]);
    g_autoptr (GBytes) expected = NULL, got = NULL;
    g_autoptr (GstElement) element = NULL;
    GstHarness *h = filter_new (learns, &f32_mono);

    push (h, &f32_mono, 0, HALF, 480, 0, 0);
    gst_harness_teardown (h);

    h = filter_new (off, &f32_mono);
    element = filter_element (h);
    push (h, &f32_mono, 0, HALF, 480, 0, 0);
    g_bytes_unref (pull (h));
    gst_util_set_object_arg (G_OBJECT (element), "learn", "off");
    expected = second_half (h);
    gst_harness_teardown (h);

    h = filter_new (frozen, &f32_mono);
    got = second_half (h);
    assert_same_bits (got, expected, learns);
    gst_harness_teardown (h);
    remove_file (file);
  }
}
GST_END_TEST

/* Contradictions and rubbish stop the pipeline with a reason. */
GST_START_TEST (bad_state_file)
{
  g_autofree char *file = file_name ();
  g_autofree char *properties =
      g_strdup_printf ("model=ar order=8 state-file=%s", file);
  GstHarness *h = filter_new (properties, &f32_mono);
  g_autoptr (GstBus) bus = gst_bus_new ();
  GstElement *element;

  push (h, &f32_mono, 0, HALF, 480, 0, 0);
  gst_harness_teardown (h);

  /* the file is of another order */
  h = gst_harness_new ("seqfilter");
  element = filter_element (h);
  gst_element_set_bus (element, bus);
  gst_element_set_state (element, GST_STATE_NULL);
  g_object_set (element, "state-file", file, "order", 9, NULL);
  gst_util_set_object_arg (G_OBJECT (element), "model", "ar");
  gst_element_set_state (element, GST_STATE_PLAYING);
  set_caps (h, &f32_mono);
  gst_harness_push (h, buffer_new (&f32_mono, 0, 10));
  assert_message (bus, GST_MESSAGE_ERROR, "saved state");
  g_object_set (element, "state-file", NULL, NULL);
  gst_element_set_bus (element, NULL);
  gst_object_unref (element);
  gst_harness_teardown (h);

  gst_bus_set_flushing (bus, TRUE); /* it was said more than once */
  gst_bus_set_flushing (bus, FALSE);

  /* the file is not a state */
  fail_unless (g_file_set_contents (file, "rubbish", -1, NULL));
  element = gst_element_factory_make ("seqfilter", NULL);
  gst_element_set_bus (element, bus);
  g_object_set (element, "state-file", file, NULL);
  gst_element_set_state (element, GST_STATE_PAUSED);
  assert_message (bus, GST_MESSAGE_ERROR, file);
  gst_element_set_state (element, GST_STATE_NULL);
  gst_element_set_bus (element, NULL);
  gst_object_unref (element);
  remove_file (file);
}
GST_END_TEST

/* A file that cannot be written is a warning, and save() returns FALSE. */
GST_START_TEST (state_file_that_cannot_be_written)
{
  GstHarness *h = filter_new ("model=ar state-file=/nowhere/at/all", &f32_mono);
  g_autoptr (GstElement) element = filter_element (h);
  g_autoptr (GstBus) bus = gst_bus_new ();
  gboolean saved = TRUE;

  gst_element_set_bus (element, bus);
  push (h, &f32_mono, 0, 480, 480, 0, 0);
  g_signal_emit_by_name (element, "save", &saved);
  fail_if (saved);
  assert_message (bus, GST_MESSAGE_WARNING, "/nowhere/at/all");
  gst_element_set_bus (element, NULL);
  gst_harness_teardown (h);
}
GST_END_TEST

/* The element says so when it starts, not only when it saves. */
GST_START_TEST (state_file_in_no_folder)
{
  g_autoptr (GstElement) element =
      gst_object_ref_sink (gst_element_factory_make ("seqfilter", NULL));
  g_autoptr (GstBus) bus = gst_bus_new ();

  gst_element_set_bus (element, bus);
  g_object_set (element, "state-file", "/nowhere/at/all", NULL);
  gst_element_set_state (element, GST_STATE_PAUSED);
  assert_message (bus, GST_MESSAGE_WARNING, "what is learnt cannot be saved");
  gst_element_set_state (element, GST_STATE_NULL);
  gst_element_set_bus (element, NULL);
}
GST_END_TEST

/* --- while data flows ----------------------------------------------------- */

/* Another model begins at the next buffer, as if it had just been built;
 * properties set at once are taken up at once. */
GST_START_TEST (another_model)
{
  const Setting *from = &settings[__i__], *to = &settings[(__i__ + 1) % 6];
  GstHarness *h = filter_new (from->properties, &f32_mono);
  g_autoptr (GstElement) element = filter_element (h);
  g_autoptr (SeqStream) reference = reference_new (to, &f32_mono);
  g_autoptr (GBytes) expected =
      reference_run (reference, &f32_mono, PREDICTION, HALF, END - HALF, 0);
  g_autoptr (GBytes) got = NULL;
  g_auto (GStrv) words = g_strsplit_set (to->properties, " =", -1);

  push (h, &f32_mono, 0, HALF, 480, 0, 0);
  g_bytes_unref (pull (h));
  g_object_freeze_notify (G_OBJECT (element));
  /* what the first had set must not reach the second */
  g_object_set (element, "order", 0, "states", 0, "history", 0, "hidden-size",
      20, "layers", 1, "window", 64, NULL);
  for (guint k = 0; words[k]; k += 2)
    gst_util_set_object_arg (G_OBJECT (element), words[k], words[k + 1]);
  g_object_thaw_notify (G_OBJECT (element));
  got = second_half (h);
  assert_same_bits (got, expected, to->model);
  gst_harness_teardown (h);
}
GST_END_TEST

/* A property that keeps the shape keeps everything learnt and carried. */
GST_START_TEST (another_learning_rate)
{
  const Setting *setting = &settings[__i__];
  g_autofree char *faster =
      g_strdup_printf ("%s learning-rate=0.01", setting->properties);
  const Setting after = { faster, setting->model };
  GstHarness *h = filter_new (setting->properties, &f32_mono);
  g_autoptr (GstElement) element = filter_element (h);
  g_autoptr (SeqStream) first = reference_new (setting, &f32_mono);
  g_autoptr (SeqStream) second = reference_new (&after, &f32_mono);
  g_autoptr (GBytes) expected = NULL, got = NULL;

  g_bytes_unref (reference_run (first, &f32_mono, PREDICTION, 0, HALF, 0));
  fail_unless (seq_stream_adopt (second, first));
  expected = reference_run (second, &f32_mono, PREDICTION, HALF, END - HALF, 0);
  push (h, &f32_mono, 0, HALF, 480, 0, 0);
  g_bytes_unref (pull (h));
  g_object_set (element, "learning-rate", 0.01, NULL);
  got = second_half (h);
  assert_same_bits (got, expected, setting->model);
  gst_harness_teardown (h);
}
GST_END_TEST

/* learn=off keeps what was learnt and learns no more. */
GST_START_TEST (learn_off)
{
  const Setting *setting = &settings[__i__];
  GstHarness *h = filter_new (setting->properties, &f32_mono);
  g_autoptr (GstElement) element = filter_element (h);
  g_autoptr (SeqStream) reference = reference_new (setting, &f32_mono);
  g_autoptr (GBytes) expected = NULL, got = NULL;

  g_bytes_unref (reference_run (reference, &f32_mono, PREDICTION, 0, HALF, 0));
  expected = reference_run (reference, &f32_mono, PREDICTION, HALF, END - HALF,
      SEQ_PROCESS_NO_LEARNING);
  push (h, &f32_mono, 0, HALF, 480, 0, 0);
  g_bytes_unref (pull (h));
  gst_util_set_object_arg (G_OBJECT (element), "learn", "off");
  got = second_half (h);
  assert_same_bits (got, expected, setting->model);
  gst_harness_teardown (h);
}
GST_END_TEST

typedef struct {
  GstElement *element;
  gint done; /* atomic */
} Meddler;

/* Everything a control thread can do, over and over. */
static gpointer
meddle (gpointer data)
{
  Meddler *m = data;
  GObject *object = G_OBJECT (m->element);

  for (guint i = 0; !g_atomic_int_get (&m->done); i++) {
    g_autoptr (GBytes) state = NULL;
    g_autoptr (GstStructure) stats = NULL;

    g_object_set (object, "hidden-size", 4 + i % 5, "mix", i % 10 / 10.0, NULL);
    gst_util_set_object_arg (object, "model", settings[i / 7 % 6].model);
    g_object_set (object, "learning-rate", 1e-3 * (1 + i % 3), NULL);
    gst_util_set_object_arg (object, "emit",
        i % 3 == 0   ? "input"
        : i % 3 == 1 ? "prediction"
                     : "input+score");
    gst_util_set_object_arg (object, "learn", i % 5 ? "auto" : "off");
    g_object_get (object, "state", &state, "stats", &stats, NULL);
    if (i % 4 == 0)
      g_signal_emit_by_name (object, "reset");
    if (i % 6 == 0 && state)
      g_object_set (object, "state", state, NULL);
    g_usleep (200);
  }
  return NULL;
}

/* Control threads may do anything at any time. */
GST_START_TEST (many_threads)
{
  GstHarness *h = filter_new ("model=ar post-messages=true", &f32_mono);
  Meddler m = { .element = filter_element (h) };
  GThread *threads[2];

  for (guint i = 0; i < 2; i++)
    threads[i] = g_thread_new ("meddler", meddle, &m);
  for (guint i = 0; i < 1500; i++) {
    push (h, &f32_mono, i * 64, 64, 64, 0, 0);
    g_bytes_unref (pull (h));
  }
  g_atomic_int_set (&m.done, TRUE);
  for (guint i = 0; i < 2; i++)
    g_thread_join (threads[i]);
  gst_object_unref (m.element);
  gst_harness_teardown (h);
}
GST_END_TEST

static Suite *
state_suite (void)
{
  Suite *s = suite_create ("state");
  TCase *tc = tcase_create ("general");
  int n = G_N_ELEMENTS (settings);

  suite_add_tcase (s, tc);
  tcase_add_loop_test (tc, state_resumes, 0, n);
  tcase_add_loop_test (tc, state_then_properties, 0, n);
  tcase_add_test (tc, no_state_yet);
  tcase_add_test (tc, bad_state);
  tcase_add_test (tc, state_of_other_channels);
  tcase_add_loop_test (tc, state_file, 0, n);
  tcase_add_test (tc, state_interval);
  tcase_add_test (tc, state_file_brings_the_model);
  tcase_add_loop_test (tc, state_file_frozen, 0, n);
  tcase_add_test (tc, bad_state_file);
  tcase_add_test (tc, state_file_that_cannot_be_written);
  tcase_add_test (tc, state_file_in_no_folder);
  tcase_add_loop_test (tc, another_model, 0, n);
  tcase_add_loop_test (tc, another_learning_rate, 0, n);
  tcase_add_loop_test (tc, learn_off, 0, n);
  tcase_add_test (tc, many_threads);
  return s;
}

GST_CHECK_MAIN (state)
