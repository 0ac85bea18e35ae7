/* test_told.c: what goes wrong is said by the element, also where GStreamer
 * alone would say "not negotiated", "delayed linking failed" or nothing.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "tests/gst/filter.h"

#include <glib/gstdio.h>
#include <string.h>

#include "src/builder.h"
#include "src/io/load.h"

static char *folder;

static void
set_up (void)
{
  folder = g_dir_make_tmp ("seqfilter-XXXXXX", NULL);
}

static void
tear_down (void)
{
  static const char *const names[] = { "a", "b", "sound.wav", NULL };

  for (guint i = 0; names[i]; i++) {
    g_autofree char *path = g_build_filename (folder, names[i], NULL);

    g_remove (path);
  }
  g_rmdir (folder);
  g_free (folder);
}

/* Writes an effect of that rate; returns its path. */
static char *
make_file (const char *name, double rate, guint n_in, guint n_signal)
{
  g_autoptr (SeqBuilder) builder = seq_builder_new (n_in);
  g_autoptr (SeqModel) model = NULL;
  g_autoptr (GError) error = NULL;
  char *path = g_build_filename (folder, name, NULL);

  seq_builder_add (builder, "lstm", NULL, NULL);
  seq_builder_add (builder, "dense", NULL, NULL);
  seq_builder_seed (builder, 1);
  seq_builder_set_rate (builder, rate);
  seq_builder_set_n_signal (builder, n_signal);
  model = seq_builder_finish (builder, &error);
  seq_model_save (model, path, "safetensors", &error);
  g_assert_no_error (error);
  return path;
}

/* Runs a pipeline. Returns whether it came to its end; *said: all errors and
 * warnings. */
static gboolean
run (const char *launch, char **said)
{
  g_autoptr (GError) parse_error = NULL;
  g_autoptr (GstElement) pipeline = gst_parse_launch (launch, &parse_error);
  g_autoptr (GstBus) bus = NULL;
  GString *all = g_string_new (NULL);
  gboolean ended = FALSE;
  GstMessage *message;

  g_assert_no_error (parse_error);
  bus = gst_element_get_bus (pipeline);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  message = gst_bus_timed_pop_filtered (bus, 10 * GST_SECOND,
      GST_MESSAGE_EOS | GST_MESSAGE_ERROR | GST_MESSAGE_WARNING);
  while (message) {
    g_autoptr (GError) error = NULL;

    if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_EOS)
      ended = TRUE;
    else if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR)
      gst_message_parse_error (message, &error, NULL);
    else
      gst_message_parse_warning (message, &error, NULL);
    if (error)
      g_string_append_printf (all, "%s\n", error->message);
    gst_message_unref (message);
    /* errors come in company */
    message = gst_bus_timed_pop_filtered (bus, ended ? 0 : GST_SECOND,
        GST_MESSAGE_EOS | GST_MESSAGE_ERROR | GST_MESSAGE_WARNING);
  }
  gst_element_set_state (pipeline, GST_STATE_NULL);
  *said = g_string_free (all, FALSE);
  return ended;
}

/* The wrong rate, wherever it comes from. */
GST_START_TEST (rate)
{
  g_autofree char *a = make_file ("a", 44100, 1, 1);
  g_autofree char *b = make_file ("b", 48000, 1, 1);
  g_autofree char *wav = g_build_filename (folder, "sound.wav", NULL);
  g_autofree char *make = g_strdup_printf (
      "audiotestsrc num-buffers=5 ! audio/x-raw,rate=48000 ! wavenc ! filesink "
      "location=%s",
      wav);
  g_autofree char *converted = g_strdup_printf (
      "filesrc location=%s ! wavparse ! queue ! audioconvert ! seqfilter "
      "model-file=%s ! fakesink",
      wav, a);
  g_autofree char *parsed = g_strdup_printf (
      "filesrc location=%s ! wavparse ! seqfilter model-file=%s ! fakesink",
      wav, a);
  g_autofree char *two = g_strdup_printf (
      "audiotestsrc num-buffers=5 ! audio/x-raw,rate=44100 ! seqfilter "
      "model-file=%s ! seqfilter model-file=%s ! fakesink",
      a, b);
  g_autofree char *right = g_strdup_printf (
      "filesrc location=%s ! decodebin ! audioconvert ! audioresample ! "
      "seqfilter model-file=%s ! audioresample ! seqfilter model-file=%s ! "
      "fakesink",
      wav, a, b);
  const char *const wrong[] = { converted, parsed, two };
  g_autofree char *nothing = NULL, *quiet = NULL;

  fail_unless (run (make, &nothing));
  for (guint i = 0; i < G_N_ELEMENTS (wrong); i++) {
    g_autofree char *said = NULL;

    fail_if (run (wrong[i], &said), "%s", wrong[i]);
    fail_unless (strstr (said, "44100 Hz") && strstr (said, "48000 Hz")
                     && strstr (said, "audioresample"),
        "%s: %s", wrong[i], said);
  }
  fail_unless (run (right, &quiet), "%s", quiet);
  fail_unless_equals_string (quiet, "");
}
GST_END_TEST

/* Three channels and more need a mask. */
GST_START_TEST (mask)
{
  GstHarness *h = gst_harness_new ("seqfilter");
  g_autoptr (GstElement) element = filter_element (h);
  g_autoptr (GstBus) bus = gst_bus_new ();
  g_autoptr (GstMessage) message = NULL;
  g_autoptr (GError) error = NULL;

  gst_element_set_bus (element, bus);
  gst_harness_set_src_caps_str (h,
      "audio/x-raw,format=" GST_AUDIO_NE (F32) ",rate=100,channels=6,"
                                               "layout=interleaved");
  message = gst_bus_pop_filtered (bus, GST_MESSAGE_ERROR);
  fail_unless (message != NULL);
  gst_message_parse_error (message, &error, NULL);
  fail_unless (strstr (error->message, "6 channels and no channel-mask")
                   && strstr (error->message, "channel-mask=(bitmask)0"),
      "%s", error->message);
  gst_element_set_bus (element, NULL);
  gst_harness_teardown (h);
}
GST_END_TEST

/* params without so many knobs, once. */
GST_START_TEST (params)
{
  static const struct {
    guint n_in;
    const char *params, *says;
  } all[] = { { 1, "<0.5>", "1 value; expected at most 0" },
    { 3, "<1,1,1>", "3 values; expected at most 2" }, { 3, "<1,1>", NULL } };

  for (guint i = 0; i < G_N_ELEMENTS (all); i++) {
    g_autofree char *path = make_file ("a", 0, all[i].n_in, 1);
    g_autofree char *launch =
        g_strdup_printf ("audiotestsrc num-buffers=5 ! seqfilter "
                         "model-file=%s params=%s ! fakesink",
            path, all[i].params);
    g_autofree char *said = NULL;

    fail_unless (run (launch, &said), "%s", said);
    if (all[i].says)
      fail_unless (strstr (said, all[i].says) != NULL
                       && strchr (said, '\n') == strrchr (said, '\n'),
          "%s", said);
    else
      fail_unless_equals_string (said, "");
  }
}
GST_END_TEST

/* How a sequence to one is read, once. */
GST_START_TEST (sequence)
{
  const char *shared = g_getenv ("SEQ_SHARED");
  g_autofree char *path = g_build_filename (shared ? shared : "",
      "cases/faults/onnx-sequence-to-one/final-state.onnx", NULL);
  g_autofree char *launch = g_strdup_printf (
      "audiotestsrc num-buffers=2 ! audio/x-raw,channels=2 ! seqfilter "
      "name=net model-file=%s channel-mode=joint ! fakesink",
      path);
  g_autoptr (GstElement) pipeline = NULL;
  g_autoptr (GstBus) bus = NULL;
  GstMessage *message;
  guint n_said = 0;

  if (!g_file_test (path, G_FILE_TEST_EXISTS)) {
    g_printerr ("SKIPPED: no reference cases in %s\n", path);
    return;
  }
  pipeline = gst_parse_launch (launch, NULL);
  bus = gst_element_get_bus (pipeline);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  message = gst_bus_timed_pop_filtered (
      bus, 10 * GST_SECOND, GST_MESSAGE_EOS | GST_MESSAGE_INFO);
  while (message && GST_MESSAGE_TYPE (message) == GST_MESSAGE_INFO) {
    g_autoptr (GError) info = NULL;

    gst_message_parse_info (message, &info, NULL);
    fail_unless (
        strstr (info->message, "window=30") != NULL, "%s", info->message);
    n_said++;
    gst_message_unref (message);
    message = gst_bus_timed_pop_filtered (
        bus, 10 * GST_SECOND, GST_MESSAGE_EOS | GST_MESSAGE_INFO);
  }
  fail_unless (message != NULL);
  gst_message_unref (message);
  fail_unless_equals_int (n_said, 1);
  gst_element_set_state (pipeline, GST_STATE_NULL);
}
GST_END_TEST

static Suite *
told_suite (void)
{
  Suite *s = suite_create ("told");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, set_up, tear_down);
  tcase_add_test (tc, rate);
  tcase_add_test (tc, mask);
  tcase_add_test (tc, params);
  tcase_add_test (tc, sequence);
  return s;
}

GST_CHECK_MAIN (told)
