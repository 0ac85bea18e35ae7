/* test_refused.c: what is refused is as if never asked.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Between two halves of a signal something is asked of the element that cannot
 * be. Afterwards state, statistics, properties and output are the same, to the
 * bit, as if nobody had asked.
 */
#include "tests/gst/filter.h"

#include <glib/gstdio.h>
#include <string.h>

#define PREDICTION (1 << SEQ_OUTPUT_PREDICTION)
#define HALF 150
#define END 300

/* 34 channels of 100 samples each are more regressors than ar takes. */
static const Setting joint = { "model=ar channel-mode=joint order=100", "ar" };
static const Kind f32_34 = { GST_AUDIO_FORMAT_F32, GST_AUDIO_LAYOUT_INTERLEAVED,
  48000, 34 };
static const Kind f32_stereo = { GST_AUDIO_FORMAT_F32,
  GST_AUDIO_LAYOUT_INTERLEAVED, 48000, 2 };

static char *
corpus_file (const char *name)
{
  return g_build_filename (
      g_getenv ("SEQ_SOURCE"), "tests", "fuzz", "corpus", name, NULL);
}

/* Everything that can be read of the element, as text, and its state. */
typedef struct {
  char *properties;
  GBytes *state;
} Sight;

static Sight
look_at (GstElement *element)
{
  guint n;
  g_autofree GParamSpec **specs =
      g_object_class_list_properties (G_OBJECT_GET_CLASS (element), &n);
  GString *text = g_string_new (NULL);
  Sight sight = { NULL };

  g_object_get (element, "state", &sight.state, NULL);
  for (guint i = 0; i < n; i++) {
    g_auto (GValue) value = G_VALUE_INIT;
    g_autofree char *printed = NULL;

    if (specs[i]->owner_type != G_OBJECT_TYPE (element)
        || g_str_equal (specs[i]->name, "state"))
      continue;
    g_object_get_property (G_OBJECT (element), specs[i]->name, &value);
    if (G_VALUE_HOLDS (&value, GST_TYPE_STRUCTURE))
      printed = g_value_get_boxed (&value)
                    ? gst_structure_to_string (g_value_get_boxed (&value))
                    : NULL;
    else
      printed = gst_value_serialize (&value);
    g_string_append_printf (
        text, "%s=%s\n", specs[i]->name, printed ? printed : "nothing");
  }
  sight.properties = g_string_free (text, FALSE);
  return sight;
}

static void
assert_same_sight (Sight *before, Sight *after, const char *what)
{
  fail_unless_equals_string (before->properties, after->properties);
  fail_unless_equals_int (before->state != NULL, after->state != NULL);
  if (before->state)
    assert_same_bits (before->state, after->state, what);
}

static void
sight_clear (Sight *sight)
{
  g_free (sight->properties);
  g_clear_pointer (&sight->state, g_bytes_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Sight, sight_clear)

/* --- what cannot be --------------------------------------------------------
 */

static void
other_caps (GstHarness *h, GstElement *element)
{
  set_caps (h, &f32_34);
}

static void
other_caps_and_a_buffer (GstHarness *h, GstElement *element)
{
  set_caps (h, &f32_34);
  fail_unless_equals_int (gst_harness_push (h, buffer_new (&f32_34, 0, 10)),
      GST_FLOW_NOT_NEGOTIATED);
}

static void
a_million_channels (GstHarness *h, GstElement *element)
{
  gst_harness_set_src_caps_str (h,
      "audio/x-raw, format=F32LE, layout=interleaved, rate=48000, "
      "channels=1000000, channel-mask=(bitmask)0");
}

static void
as_many_channels_as_can_be (GstHarness *h, GstElement *element)
{
  gst_harness_set_src_caps_str (h,
      "audio/x-raw, format=F64LE, layout=interleaved, rate=48000, "
      "channels=2147483647, channel-mask=(bitmask)0");
}

static void
too_little_memory (GstHarness *h, GstElement *element)
{
  g_object_set (element, "max-memory", (guint64) 10000, NULL);
}

static void
not_a_state (GstHarness *h, GstElement *element)
{
  g_autoptr (GBytes) bytes = g_bytes_new_static ("rubbish", 7);

  g_object_set (element, "state", bytes, NULL);
}

static void
state_of_two_channels (GstHarness *h, GstElement *element)
{
  GstHarness *other = filter_new ("model=ar order=8", &f32_stereo);
  g_autoptr (GstElement) of_other = filter_element (other);
  g_autoptr (GBytes) state = NULL;

  g_object_get (of_other, "state", &state, NULL);
  g_object_set (element, "state", state, NULL);
  gst_harness_teardown (other);
}

static void
no_such_file (GstHarness *h, GstElement *element)
{
  g_object_set (element, "model-file", "/nowhere/at/all", NULL);
}

static void
not_a_file (GstHarness *h, GstElement *element)
{
  g_object_set (element, "model-file", "/dev/zero", NULL);
}

static void
contradiction (GstHarness *h, GstElement *element)
{
  g_autofree char *path = corpus_file ("rtneural.json");

  g_object_set (element, "model-file", path, "hidden-size", 77, NULL);
}

static void
value_out_of_range (GstHarness *h, GstElement *element)
{
  g_object_set (element, "states", 1, NULL);
  gst_util_set_object_arg (G_OBJECT (element), "model", "markov");
  g_object_set (element, "states", 0, NULL);
  gst_util_set_object_arg (G_OBJECT (element), "model", "ar");
}

static void
option_of_another_model (GstHarness *h, GstElement *element)
{
  g_autoptr (GstStructure) options =
      gst_structure_new ("options", "reset-after", G_TYPE_INT, 0, NULL);

  g_object_set (element, "model-options", options, NULL);
}

static void
save_without_a_path (GstHarness *h, GstElement *element)
{
  gboolean saved = TRUE;

  g_signal_emit_by_name (element, "save", &saved);
  fail_if (saved);
}

static void
save_model_to_nowhere (GstHarness *h, GstElement *element)
{
  gboolean saved = TRUE;

  g_signal_emit_by_name (element, "save-model", "/nowhere/at/all", &saved);
  fail_if (saved);
}

static const struct {
  const char *what;
  void (*ask) (GstHarness *h, GstElement *element);
} refusals[] = {
  { "caps", other_caps },
  { "caps and a buffer", other_caps_and_a_buffer },
  { "a million channels", a_million_channels },
  { "the most channels", as_many_channels_as_can_be },
  { "too little memory", too_little_memory },
  { "a state that is none", not_a_state },
  { "a state of other channels", state_of_two_channels },
  { "a file that is not there", no_such_file },
  { "a device", not_a_file },
  { "a file and a property against it", contradiction },
  { "an option of another model", option_of_another_model },
  { "save", save_without_a_path },
  { "save-model", save_model_to_nowhere },
};

/* Statistics count what was refused, which is all that may change. */
static void
forget_counts (Sight *sight)
{
  char *count = strstr (sight->properties, "load-failures=(guint64)");

  if (count)
    count[strlen ("load-failures=(guint64)")] = '0';
}

/* The emit makes buffers of another size, so that anything that is taken from
 * the refused caps writes past them. */
GST_START_TEST (refused)
{
  static const char *const emits[] = { "prediction", "input",
    "input+prediction+residual" };
  const guint flags[] = { PREDICTION, 1, 7 };

  for (guint i = 0; i < G_N_ELEMENTS (emits); i++) {
    g_autofree char *properties =
        g_strdup_printf ("%s emit=%s", joint.properties, emits[i]);
    GstHarness *h = filter_new (properties, &f32_mono);
    g_autoptr (GstElement) element = filter_element (h);
    g_autoptr (SeqStream) reference = reference_new (&joint, &f32_mono);
    g_autoptr (GBytes) expected = NULL, got = NULL;
    g_auto (Sight) before = { NULL }, after = { NULL };

    g_bytes_unref (reference_run (reference, &f32_mono, flags[i], 0, HALF, 0));
    expected =
        reference_run (reference, &f32_mono, flags[i], HALF, END - HALF, 0);
    push (h, &f32_mono, 0, HALF, 64, 0, 0);
    g_bytes_unref (pull (h));

    before = look_at (element);
    refusals[__i__].ask (h, element);
    after = look_at (element);
    forget_counts (&before);
    forget_counts (&after);
    assert_same_sight (&before, &after, refusals[__i__].what);

    set_caps (h, &f32_mono);
    push (h, &f32_mono, HALF, END - HALF, 64, 0, 0);
    got = pull (h);
    assert_same_bits (got, expected, refusals[__i__].what);
    gst_harness_teardown (h);
  }
}
GST_END_TEST

/* The same before there is a stream. */
GST_START_TEST (refused_before_caps)
{
  GstHarness *h =
      gst_harness_new_parse ("seqfilter model=ar channel-mode=joint order=100");
  g_autoptr (GstElement) element = filter_element (h);
  g_autoptr (SeqStream) reference = reference_new (&joint, &f32_mono);
  g_autoptr (GBytes) got = NULL, expected = NULL;
  g_auto (Sight) before = look_at (element), after = { NULL };

  fail_unless (before.state == NULL);
  set_caps (h, &f32_34);
  after = look_at (element);
  assert_same_sight (&before, &after, "caps");
  set_caps (h, &f32_mono);
  push (h, &f32_mono, 0, HALF, 64, 0, 0);
  got = pull (h);
  expected = reference_run (reference, &f32_mono, PREDICTION, 0, HALF, 0);
  assert_same_bits (got, expected, "after caps");
  gst_harness_teardown (h);
}
GST_END_TEST

/* A start that fails keeps the state that waits for it. */
GST_START_TEST (refused_start)
{
  GstHarness *h = filter_new ("model=ar order=8", &f32_mono);
  g_autoptr (GstElement) element = filter_element (h);
  g_autoptr (GBytes) state = NULL, after = NULL;

  push (h, &f32_mono, 0, HALF, 64, 0, 0);
  g_object_get (element, "state", &state, NULL);
  gst_harness_teardown (h);
  g_clear_object (&element);

  element = gst_object_ref_sink (gst_element_factory_make ("seqfilter", NULL));
  g_object_set (element, "state", state, "model-file", "/nowhere/at/all", NULL);
  fail_unless_equals_int (gst_element_set_state (element, GST_STATE_PAUSED),
      GST_STATE_CHANGE_FAILURE);
  gst_element_set_state (element, GST_STATE_NULL);
  g_object_get (element, "state", &after, NULL);
  assert_same_bits (after, state, "after a start that failed");
  g_object_set (element, "model-file", NULL, "state", state, NULL);
  fail_unless (gst_element_set_state (element, GST_STATE_PAUSED)
               != GST_STATE_CHANGE_FAILURE);
  gst_element_set_state (element, GST_STATE_NULL);
}
GST_END_TEST

/* Of several properties that are set at once all are taken, or none. */
GST_START_TEST (refused_whole)
{
  GstHarness *h = filter_new ("model=ar order=8", &f32_mono);
  g_autoptr (GstElement) element = filter_element (h);
  g_auto (Sight) before = { NULL }, after = { NULL };

  push (h, &f32_mono, 0, HALF, 64, 0, 0);
  before = look_at (element);
  g_object_freeze_notify (G_OBJECT (element));
  value_out_of_range (h, element);
  g_object_set (element, "window", 7, "states", 1, NULL);
  gst_util_set_object_arg (G_OBJECT (element), "model", "markov");
  g_object_thaw_notify (G_OBJECT (element));
  after = look_at (element);
  assert_same_sight (&before, &after, "three properties");
  gst_harness_teardown (h);
}
GST_END_TEST

/* --- there is a stream, or there is none ----------------------------------
 */

/* A model file is on its way in, and before the next buffer there are caps of
 * other channels: no fade can be between the two. */
GST_START_TEST (fade_across_caps)
{
  g_autofree char *path = corpus_file ("rtneural.json");
  GstHarness *h = filter_new ("rate-mode=ignore", &f32_mono);
  g_autoptr (GstElement) element = filter_element (h);
  g_autofree char *properties =
      g_strdup_printf ("rate-mode=ignore model-file=%s", path);
  GstHarness *fresh = filter_new (properties, &f32_stereo);
  g_autoptr (GBytes) got = NULL, expected = NULL;

  push (h, &f32_mono, 0, HALF, 64, 0, 0);
  g_bytes_unref (pull (h));
  g_object_set (element, "model-file", path, NULL);
  set_caps (h, &f32_stereo);
  push (h, &f32_stereo, HALF, END - HALF, 64, 0, 0);
  got = pull (h);
  push (fresh, &f32_stereo, HALF, END - HALF, 64, 0, 0);
  expected = pull (fresh);
  assert_same_bits (got, expected, "two channels of the file's model");
  gst_harness_teardown (fresh);
  gst_harness_teardown (h);
}
GST_END_TEST

/* After READY the caps of the run before count no more: a buffer without caps
 * is refused, in passthrough, too, where the base class looks at none. */
GST_START_TEST (no_caps_in_the_second_run)
{
  GstHarness *h = filter_new ("model=ar emit=input", &f32_mono);
  g_autoptr (GstElement) element = filter_element (h);
  GstSegment segment;

  push (h, &f32_mono, 0, 480, 480, 0, 0);
  gst_element_set_state (element, GST_STATE_READY);
  gst_harness_teardown (h);

  h = gst_harness_new_with_element (element, "sink", "src");
  gst_harness_play (h);
  fail_unless (gst_harness_push_event (h, gst_event_new_stream_start ("2")));
  gst_segment_init (&segment, GST_FORMAT_TIME);
  fail_unless (gst_harness_push_event (h, gst_event_new_segment (&segment)));
  for (gsize size = 40; size < 44; size++) /* whole frames, and not */
    fail_unless_equals_int (
        gst_harness_push (h, gst_buffer_new_allocate (NULL, size, NULL)),
        GST_FLOW_NOT_NEGOTIATED);
  gst_harness_teardown (h);
}
GST_END_TEST

typedef enum {
  IS_NEW,
  AT_READY,
  BEFORE_CAPS,
  AFTER_REFUSED_CAPS,
  BEFORE_DATA,
  AMID_DATA,
  AFTER_FLUSH,
  AFTER_EOS,
  AT_READY_AGAIN,
  N_MOMENTS
} Moment;

/* Goes on to the next moment. */
static void
go_to (GstHarness *h, GstElement *element, Moment moment)
{
  switch (moment) {
    case IS_NEW:
      gst_element_set_state (element, GST_STATE_NULL);
      break;
    case AT_READY:
    case AT_READY_AGAIN:
      gst_element_set_state (element, GST_STATE_READY);
      break;
    case BEFORE_CAPS:
      gst_harness_play (h);
      break;
    case AFTER_REFUSED_CAPS:
      set_caps (h, &f32_34);
      break;
    case BEFORE_DATA:
      set_caps (h, &f32_mono);
      break;
    case AMID_DATA:
      push (h, &f32_mono, 0, HALF, 64, 0, 0);
      break;
    case AFTER_FLUSH:
      flush (h);
      break;
    case AFTER_EOS:
      fail_unless (gst_harness_push_event (h, gst_event_new_eos ()));
      break;
    case N_MOMENTS:
      break;
  }
}

static guint
count_channels (const GstStructure *stats)
{
  return gst_value_array_get_size (
      gst_structure_get_value (stats, "residual-rms"));
}

/* stats, state and save agree on whether there is a stream, at each moment, and
 * asking in any order changes nothing. */
GST_START_TEST (asked_at_any_moment)
{
  g_autofree char *dir = g_dir_make_tmp ("seqfilter-XXXXXX", NULL);
  g_autofree char *file = g_build_filename (dir, "state", NULL);
  GstHarness *h = gst_harness_new_parse ("seqfilter");
  g_autoptr (GstElement) element = filter_element (h);

  gst_util_set_object_arg (G_OBJECT (element), "model", "ar");
  gst_util_set_object_arg (G_OBJECT (element), "channel-mode", "joint");
  g_object_set (element, "order", 100, NULL);
  for (Moment moment = IS_NEW; moment < N_MOMENTS; moment++) {
    gboolean runs = moment >= BEFORE_DATA && moment < AT_READY_AGAIN;

    go_to (h, element, moment);
    for (guint k = 0; k < 3 * 3; k++) {
      g_autoptr (GstStructure) stats = NULL;
      g_autoptr (GBytes) state = NULL;
      gboolean saved = FALSE;

      switch ((k + k / 3) % 3) {
        case 0:
          g_object_get (element, "stats", &stats, NULL);
          fail_unless_equals_int (count_channels (stats), runs);
          fail_unless_equals_int (
              gst_structure_has_field (stats, "layers"), runs);
          break;
        case 1:
          g_object_get (element, "state", &state, NULL);
          fail_unless_equals_int (state != NULL, runs);
          break;
        default:
          g_object_set (element, "state-file", file, NULL);
          g_signal_emit_by_name (element, "save", &saved);
          g_object_set (element, "state-file", NULL, NULL);
          fail_unless_equals_int (saved, runs);
          break;
      }
    }
  }
  gst_harness_teardown (h);
  fail_unless_equals_int (g_remove (file), 0);
  fail_unless_equals_int (g_rmdir (dir), 0);
}
GST_END_TEST

static Suite *
refused_suite (void)
{
  Suite *s = suite_create ("refused");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_loop_test (tc, refused, 0, G_N_ELEMENTS (refusals));
  tcase_add_test (tc, refused_before_caps);
  tcase_add_test (tc, refused_start);
  tcase_add_test (tc, refused_whole);
  tcase_add_test (tc, fade_across_caps);
  tcase_add_test (tc, no_caps_in_the_second_run);
  tcase_add_test (tc, asked_at_any_moment);
  return s;
}

GST_CHECK_MAIN (refused)
