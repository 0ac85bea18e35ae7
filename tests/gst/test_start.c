/* test_start.c: where an effect begins, and begins again.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Silence in, silence out: from the first frame on the output is what a long
 * silence leads to.
 */
#include "tests/gst/filter.h"

#include <glib/gstdio.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#define NEAR 1e-3 /* of the resting output */

enum { GUITARML, AIDAX, RTNEURAL, N_FORMATS };
static const char *const names[] = { "GuitarML", "AIDA-X", "RTNeural" };
static const guint sizes[] = { 8, 20, 64 };

static char *path; /* of the model */

static void
set_up (void)
{
  gint fd = g_file_open_tmp ("seqfilter-XXXXXX.json", &path, NULL);

  fail_unless (fd >= 0);
  g_close (fd, NULL);
}

static void
tear_down (void)
{
  g_remove (path);
  g_free (path);
}

/* --- models ----------------------------------------------------------------
 */

static json_t *
list (GRand *rand, guint n, double bound)
{
  json_t *values = json_array ();

  for (guint i = 0; i < n; i++)
    json_array_append_new (
        values, json_real (g_rand_double_range (rand, -bound, bound)));
  return values;
}

static json_t *
matrix (GRand *rand, guint rows, guint cols, double bound)
{
  json_t *values = json_array ();

  for (guint i = 0; i < rows; i++)
    json_array_append_new (values, list (rand, cols, bound));
  return values;
}

static json_t *
guitarml (GRand *rand, guint n_in, guint n)
{
  double bound = 2 / sqrt (n);

  return json_pack ("{s:{s:s, s:i, s:i, s:i, s:s, s:i, s:i, s:b},"
                    " s:{s:o, s:o, s:o, s:o, s:o, s:o}}",
      "model_data", "model", "SimpleRNN", "input_size", (int) n_in, "skip", 1,
      "output_size", 1, "unit_type", "LSTM", "num_layers", 1, "hidden_size",
      (int) n, "bias_fl", 1, "state_dict", "rec.weight_ih_l0",
      matrix (rand, 4 * n, n_in, bound), "rec.weight_hh_l0",
      matrix (rand, 4 * n, n, bound), "rec.bias_ih_l0",
      list (rand, 4 * n, bound), "rec.bias_hh_l0", list (rand, 4 * n, bound),
      "lin.weight", matrix (rand, 1, n, bound), "lin.bias",
      list (rand, 1, bound));
}

static json_t *
keras (GRand *rand, guint n)
{
  double bound = 2 / sqrt (n);
  json_t *gru = json_pack ("[o, o, o]", matrix (rand, 1, 3 * n, bound),
      matrix (rand, n, 3 * n, bound), matrix (rand, 2, 3 * n, bound));
  json_t *dense =
      json_pack ("[o, o]", matrix (rand, n, 1, bound), list (rand, 1, bound));

  return json_pack ("{s:[n, n, i], s:[{s:s, s:[n, n, i], s:o},"
                    " {s:s, s:s, s:[n, n, i], s:o}]}",
      "in_shape", 1, "layers", "type", "gru", "shape", (int) n, "weights", gru,
      "type", "dense", "activation", "", "shape", 1, "weights", dense);
}

/* Writes a model with n_in inputs, of which GuitarML's past the first are
 * knobs. Returns its rate. */
static gint
write_model (guint format, guint n_in, guint n)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (format * 100 + n);
  json_t *root =
      format == GUITARML ? guitarml (rand, n_in, n) : keras (rand, n);

  if (format == AIDAX)
    json_object_set_new (root, "metadata", json_pack ("{s:s}", "name", "amp"));
  fail_unless (json_dump_file (root, path, 0) == 0);
  json_decref (root);
  return format == GUITARML ? 44100 : 48000;
}

static GstHarness *
harness_new (const char *more, gint rate)
{
  Kind kind = f32_mono;
  g_autofree char *properties =
      g_strdup_printf ("model-file=\"%s\" %s", path, more);

  kind.rate = rate;
  return filter_new (properties, &kind);
}

/* --- sounds ----------------------------------------------------------------
 */

/* Pushes n frames of silence, or of a square wave, from frame `from` on, and
 * gives what comes out. */
static GBytes *
run (GstHarness *h, gint rate, guint from, guint n, double amplitude)
{
  float *x = g_new (float, n);
  GstBuffer *buffer;

  for (guint t = 0; t < n; t++)
    x[t] = (float) (t / 50 % 2 ? amplitude : -amplitude);
  buffer = gst_buffer_new_wrapped (x, n * sizeof (float));
  GST_BUFFER_PTS (buffer) = gst_util_uint64_scale_int (from, GST_SECOND, rate);
  fail_unless_equals_int (gst_harness_push (h, buffer), GST_FLOW_OK);
  return pull (h);
}

/* The largest distance of the first 100 ms from `rest`. */
static double
distance (GBytes *out, gint rate, double rest)
{
  const float *y = g_bytes_get_data (out, NULL);
  double worst = 0;

  for (gint t = 0; t < rate / 10; t++)
    worst = MAX (worst, fabs (y[t] - rest));
  return worst;
}

/* What two seconds of silence come to. */
static double
find_rest (gint rate, const char *more)
{
  g_autofree char *properties =
      g_strdup_printf ("model-options=\"options,start=zeros\" %s", more);
  GstHarness *h = harness_new (properties, rate);
  guint n = 2 * (guint) rate;
  g_autoptr (GBytes) out = run (h, rate, 0, n, 0);
  double rest = ((const float *) g_bytes_get_data (out, NULL))[n - 1];

  fail_unless (distance (out, rate, rest) > NEAR, "the model has no thump");
  gst_harness_teardown (h);
  return rest;
}

static void
assert_rests (
    GstHarness *h, gint rate, guint from, double rest, const char *after)
{
  g_autoptr (GBytes) out = run (h, rate, from, (guint) rate / 5, 0);
  double off = distance (out, rate, rest);

  fail_unless (off <= NEAR, "after %s: %g off", after, off);
}

static void
play (GstHarness *h, gint rate, guint from)
{
  g_bytes_unref (run (h, rate, from, (guint) rate / 5, 0.5));
}

/* --- tests -----------------------------------------------------------------
 */

GST_START_TEST (silence)
{
  guint format = (guint) __i__ % N_FORMATS, n = sizes[__i__ / N_FORMATS];
  gint rate = write_model (format, 1, n);
  double rest = find_rest (rate, "");
  GstHarness *h = harness_new ("", rate);
  g_autoptr (GstElement) element = filter_element (h);
  guint fifth = (guint) rate / 5;
  g_autofree char *what = g_strdup_printf ("%s of %u units", names[format], n);

  assert_rests (h, rate, 0, rest, what);
  play (h, rate, fifth);
  flush (h);
  assert_rests (h, rate, 0, rest, "a flush");
  play (h, rate, fifth);
  assert_rests (h, rate, 9 * fifth, rest, "a hole");
  play (h, rate, 10 * fifth);
  assert_rests (h, rate, 0, rest, "a turn of a loop");
  for (guint i = 4; i > 0; i--) {
    play (h, rate, (2 * i + 20) * fifth);
    assert_rests (h, rate, 2 * i * fifth, rest, "a buffer in reverse");
  }
  play (h, rate, 3 * fifth);
  g_signal_emit_by_name (element, "rewind");
  assert_rests (h, rate, 4 * fifth, rest, "rewind");
  play (h, rate, 5 * fifth);
  g_signal_emit_by_name (element, "reset");
  assert_rests (h, rate, 6 * fifth, rest, "reset");
  gst_harness_teardown (h);
}
GST_END_TEST

/* The rest is that at the knobs' present values. */
GST_START_TEST (knobs)
{
  gint rate = write_model (GUITARML, 3, 20);
  double at_0 = find_rest (rate, ""), at_1 = find_rest (rate, "params=<1,0.5>");
  GstHarness *h = harness_new ("params=<1,0.5>", rate);
  g_autoptr (GstElement) element = filter_element (h);
  guint fifth = (guint) rate / 5;

  fail_unless (fabs (at_0 - at_1) > NEAR);
  assert_rests (h, rate, 0, at_1, "the start");
  gst_util_set_object_arg (G_OBJECT (element), "params", "<0,0>");
  play (h, rate, fifth);
  flush (h);
  assert_rests (h, rate, 0, at_0, "a knob was set");
  g_object_set (element, "param1", 1.0, "param2", 0.5, NULL);
  flush (h);
  assert_rests (h, rate, 0, at_1, "param1 and 2 were set");
  gst_harness_teardown (h);
}
GST_END_TEST

/* A state that is set on another element brings its start. */
GST_START_TEST (state)
{
  gint rate = write_model (GUITARML, 1, 20);
  double rest = find_rest (rate, "");
  GstHarness *h = harness_new ("", rate);
  g_autoptr (GstElement) element = filter_element (h), other = NULL;
  g_autoptr (GBytes) bytes = NULL;
  Kind kind = f32_mono;

  play (h, rate, 0);
  g_object_get (element, "state", &bytes, NULL);
  gst_harness_teardown (h);
  kind.rate = rate;
  h = filter_new ("model=lstm", &kind);
  other = filter_element (h);
  g_object_set (other, "state", bytes, NULL);
  play (h, rate, 0);
  flush (h);
  assert_rests (h, rate, 0, rest, "a state");
  gst_harness_teardown (h);
}
GST_END_TEST

/* A model that hums for ever says so once, and runs. */
GST_START_TEST (restless)
{
  /* h0 and h1 turn each other: a rotation that relu does not stop, its sign
   * carried by two units each */
  static const char hum[] =
      "{\"in_shape\": [null, null, 1], \"layers\": ["
      "{\"type\": \"lstm\", \"shape\": [null, null, 2], \"weights\": ["
      "[[0, 0, 0, 0, 0, 0, 0, 0]],"
      "[[0, 0, 0, 0, 8, -8, 0, 0], [0, 0, 0, 0, 8, 8, 0, 0]],"
      "[2, 2, -1, -1, 0.1, 0, 9, 9]]},"
      "{\"type\": \"dense\", \"activation\": \"\", \"shape\": [null, null, 1],"
      " \"weights\": [[[1], [0]], [0]]}]}";
  GstHarness *h;
  g_autoptr (GstElement) element = NULL;
  g_autoptr (GstBus) bus = gst_bus_new ();
  GstMessage *message;
  guint n_said = 0;

  fail_unless (g_file_set_contents (path, hum, -1, NULL));
  element = gst_object_ref_sink (gst_element_factory_make ("seqfilter", NULL));
  gst_element_set_bus (element, bus);
  g_object_set (element, "model-file", path, NULL);
  h = gst_harness_new_with_element (element, "sink", "src");
  set_caps (h, &f32_mono);
  play (h, 48000, 0);
  flush (h);
  play (h, 48000, 0);
  while ((message = gst_bus_pop (bus))) {
    if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_WARNING) {
      g_autoptr (GError) error = NULL;

      gst_message_parse_warning (message, &error, NULL);
      fail_unless (strstr (error->message, "does not come to rest") != NULL,
          "%s", error->message);
      n_said++;
    }
    gst_message_unref (message);
  }
  fail_unless_equals_int (n_said, 1);
  gst_element_set_bus (element, NULL);
  gst_harness_teardown (h);
}
GST_END_TEST

static Suite *
start_suite (void)
{
  Suite *s = suite_create ("start");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, set_up, tear_down);
  tcase_add_loop_test (tc, silence, 0, N_FORMATS * G_N_ELEMENTS (sizes));
  tcase_add_test (tc, knobs);
  tcase_add_test (tc, state);
  tcase_add_test (tc, restless);
  return s;
}

GST_CHECK_MAIN (start)
