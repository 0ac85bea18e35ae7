/* test_modelfile.c: models from files, through the element: reference cases,
 * refusals, caps, knobs, swaps while data flows, saving.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "tests/gst/filter.h"

#include <glib/gstdio.h>
#include <gst/controller/gstdirectcontrolbinding.h>
#include <gst/controller/gstinterpolationcontrolsource.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "src/io/load.h"
#include "src/io/reader.h"
#include "src/io/safetensors.h"
#include "src/live/model-cache.h"
#include "src/model.h"

#define PREDICTION (1 << SEQ_OUTPUT_PREDICTION)
#define TOLERANCE 5e-6 /* where a case says nothing */
#define FADE 480       /* 10 ms at 48 kHz */
#define GLIDE 960      /* 20 ms */

static char *folder; /* for files made here */

static char *
path_of (const char *name)
{
  return g_build_filename (folder, name, NULL);
}

static void
set_up (void)
{
  folder = g_dir_make_tmp ("seqfilter-XXXXXX", NULL);
}

static void
tear_down (void)
{
  GDir *dir = g_dir_open (folder, 0, NULL);
  const char *name;

  while ((name = g_dir_read_name (dir))) {
    g_autofree char *path = path_of (name);

    g_remove (path);
  }
  g_dir_close (dir);
  g_rmdir (folder);
  g_clear_pointer (&folder, g_free);
}

/* The model in a file that a test makes. */
typedef struct {
  const char *kind;
  guint n_in, n_signal, n_out, hidden_size, horizon;
  double rate;
  guint64 seed;
} Made;

static SeqModel *
make (const Made *made)
{
  g_autoptr (SeqBuilder) builder = seq_builder_new (made->n_in);
  g_autoptr (GError) error = NULL;
  SeqModel *model;

  seq_builder_add (builder, made->kind,
      g_variant_new_parsed ("{'hidden_size': <%u>}", made->hidden_size),
      &error);
  g_assert_no_error (error);
  seq_builder_add (builder, "dense",
      g_variant_new_parsed ("{'out_features': <%u>}", made->n_out), &error);
  g_assert_no_error (error);
  seq_builder_set_n_signal (builder, made->n_signal);
  seq_builder_set_rate (builder, made->rate);
  seq_builder_set_horizon (builder, made->horizon);
  seq_builder_seed (builder, made->seed);
  model = seq_builder_finish (builder, &error);
  g_assert_no_error (error);
  return model;
}

/* Writes it; returns the path. */
static char *
make_file (const char *name, const Made *made)
{
  g_autoptr (SeqModel) model = make (made);
  g_autoptr (GError) error = NULL;
  char *path = path_of (name);

  seq_model_save (model, path, "safetensors", &error);
  g_assert_no_error (error);
  return path;
}

static const Made amp = { "lstm", 1, 1, 1, 8, 0, 0, 1 };
static const Made amp2 = { "gru", 1, 1, 1, 6, 0, 0, 2 };
static const Made predictor = { "lstm", 1, 1, 1, 8, 1, 0, 3 };

static GstHarness *
harness_new (const char *path, const char *more, const Kind *kind)
{
  g_autofree char *properties =
      g_strdup_printf ("model-file=\"%s\" %s", path, more);

  return filter_new (properties, kind);
}

/* The core on the same model. */
static SeqStream *
stream_new (const Made *made, const Kind *kind, SeqChannelMode mode)
{
  g_autoptr (SeqModel) model = make (made);
  SeqStreamConfig config = { .learning_rate = 3e-3,
    .window = 64,
    .horizon = made->horizon,
    .channel_mode = mode,
    .clamp = made->horizon > 0 };
  g_autoptr (GError) error = NULL;
  SeqStream *stream =
      seq_stream_new (model, (guint) kind->channels, &config, &error);

  g_assert_no_error (error);
  return stream;
}

/* Interleaved F32 through the core: prediction of n frames. */
static GBytes *
run_stream (SeqStream *stream, GBytes *in)
{
  guint n_in = seq_stream_n_channels (stream);
  guint n_out = seq_stream_n_outputs (stream);
  gsize n = g_bytes_get_size (in) / sizeof (float) / n_in;
  float *x = (float *) g_bytes_get_data (in, NULL);
  float *y = g_new0 (float, n *n_out + 1);
  g_autofree gpointer *in_at = g_new (gpointer, n_in);
  g_autofree gpointer *out_at = g_new (gpointer, n_out);
  SeqSignal from = { SEQ_FORMAT_F32, in_at, n_in };
  SeqSignal to = { SEQ_FORMAT_F32, out_at, n_out };

  for (guint c = 0; c < n_in; c++)
    in_at[c] = x + c;
  for (guint o = 0; o < n_out; o++)
    out_at[o] = y + o;
  seq_stream_process (stream, &from,
      (const SeqSignal *[SEQ_N_OUTPUTS]){ NULL, &to, NULL, NULL }, n, 1, 1, 0);
  return g_bytes_new_take (y, n * n_out * sizeof (float));
}

static const float *
floats (GBytes *bytes)
{
  return g_bytes_get_data (bytes, NULL);
}

static void
assert_close (GBytes *got, GBytes *expected, double tolerance, const char *what)
{
  gsize n = g_bytes_get_size (got) / sizeof (float);

  fail_unless_equals_int (g_bytes_get_size (got), g_bytes_get_size (expected));
  for (gsize i = 0; i < n; i++)
    fail_unless (fabs (floats (got)[i] - floats (expected)[i]) <= tolerance,
        "%s: value %" G_GSIZE_FORMAT ": %g where %g", what, i, floats (got)[i],
        floats (expected)[i]);
}

/* --- reference cases ------------------------------------------------------ */

#define PARTS 8 /* the cases are shared out to so many tests */

static void
find_cases (const char *path, GPtrArray *cases)
{
  g_autofree char *about = g_build_filename (path, "case.json", NULL);
  GDir *dir = g_dir_open (path, 0, NULL);
  const char *name;

  if (g_file_test (about, G_FILE_TEST_EXISTS))
    g_ptr_array_add (cases, g_strdup (path));
  while (dir && (name = g_dir_read_name (dir))) {
    g_autofree char *inner = g_build_filename (path, name, NULL);

    if (g_file_test (inner, G_FILE_TEST_IS_DIR))
      find_cases (inner, cases);
  }
  if (dir)
    g_dir_close (dir);
}

static gint
compare (gconstpointer a, gconstpointer b)
{
  return strcmp (*(char *const *) a, *(char *const *) b);
}

static const char *
text_of (json_t *object, const char *key, const char *fallback)
{
  const char *text = json_string_value (json_object_get (object, key));

  return text ? text : fallback;
}

static GBytes *
read_file (const char *in, const char *name)
{
  g_autofree char *path = g_build_filename (in, name, NULL);
  char *data;
  gsize size;

  fail_unless (g_file_get_contents (path, &data, &size, NULL), path);
  return g_bytes_new_take (data, size);
}

/* "requires" of a case as model-options. */
static GstStructure *
options_of (json_t *requires)
{
  /* the cases begin so */
  GstStructure *options =
      gst_structure_new ("options", "start", G_TYPE_STRING, "zeros", NULL);
  const char *key;
  json_t *value;

  if (json_is_string (requires)) { /* in words: "... size 0.5 ..." */
    const char *size = strstr (json_string_value (requires), "size ");

    fail_unless (size != NULL, "%s", json_string_value (requires));
    gst_structure_set (options, "size", G_TYPE_DOUBLE,
        g_ascii_strtod (size + strlen ("size "), NULL), NULL);
  }
  json_object_foreach (requires, key, value)
  {
    if (json_is_string (value))
      gst_structure_set (
          options, key, G_TYPE_STRING, json_string_value (value), NULL);
    else
      gst_structure_set (
          options, key, G_TYPE_INT, (int) json_integer_value (value), NULL);
  }
  return options;
}

static void
push_oddly (GstHarness *h, GBytes *in, gsize bpf)
{
  static const gsize cuts[] = { 1, 7, 64, 479, 2, 65, 1000 };
  gsize size = g_bytes_get_size (in), at = 0;

  for (guint i = 0; at < size; i++) {
    gsize n = MIN (cuts[i % G_N_ELEMENTS (cuts)] * bpf, size - at);
    GstBuffer *buffer = gst_buffer_new_memdup (
        (const guint8 *) g_bytes_get_data (in, NULL) + at, n);

    fail_unless_equals_int (gst_harness_push (h, buffer), GST_FLOW_OK);
    at += n;
  }
}

static void
check_case (const char *path)
{
  g_autofree char *about = g_build_filename (path, "case.json", NULL);
  json_t *object = json_load_file (about, 0, NULL);
  const char *category = text_of (object, "category", "core");
  const char *name = text_of (object, "model", "model.safetensors");
  g_autofree char *file = g_build_filename (path, name, NULL);
  g_autoptr (GstStructure) options =
      options_of (json_object_get (object, "requires"));
  int n_in =
      (int) json_integer_value (json_object_get (object, "input_channels"));
  double tolerance =
      json_number_value (json_object_get (object, "suggested_tolerance"));
  const Kind kind = { GST_AUDIO_FORMAT_F32, GST_AUDIO_LAYOUT_INTERLEAVED, 48000,
    n_in };
  g_autoptr (GstElement) element = NULL;
  g_autoptr (GBytes) in = NULL, expected = NULL, got = NULL;
  GstHarness *h = NULL;

  if (g_str_has_suffix (file, ".onnx")
      && !g_strv_contains (seq_model_formats (), "ONNX")) {
    g_printerr ("SKIPPED %s: this build does not read ONNX\n", path);
    goto done;
  }
  element = gst_object_ref_sink (gst_element_factory_make ("seqfilter", NULL));
  g_object_set (element, "model-file", file, "model-options", options, NULL);
  gst_util_set_object_arg (G_OBJECT (element), "rate-mode", "ignore");
  if (n_in > 1)
    gst_util_set_object_arg (G_OBJECT (element), "channel-mode", "joint");
  if (gst_element_set_state (element, GST_STATE_PAUSED)
      == GST_STATE_CHANGE_FAILURE) {
    fail_if (g_str_equal (category, "core") || g_str_equal (category, "hint"),
        "%s does not load", path);
    goto done;
  }
  fail_if (g_str_equal (category, "reject"), "%s loads", path);
  if (g_str_equal (category, "ambiguous"))
    goto done;
  h = gst_harness_new_with_element (element, "sink", "src");
  set_caps (h, &kind);
  in = read_file (path, text_of (object, "input", "input.f32"));
  expected = read_file (path, text_of (object, "expected", "expected.f32"));
  push_oddly (h, in, (gsize) n_in * sizeof (float));
  got = pull (h);
  assert_close (got, expected, tolerance > 0 ? tolerance : TOLERANCE, path);

done:
  if (element)
    gst_element_set_state (element, GST_STATE_NULL);
  if (h)
    gst_harness_teardown (h);
  json_decref (object);
}

/* Every case gives its output through the element, in buffers of odd sizes;
 * knobs come as channels there. */
GST_START_TEST (cases)
{
  const char *shared = g_getenv ("SEQ_SHARED");
  g_autofree char *root =
      g_build_filename (shared ? shared : "", "cases", NULL);
  g_autofree char *nam =
      g_build_filename (shared ? shared : "", "cases-nam", NULL);
  g_autoptr (GPtrArray) all = g_ptr_array_new_with_free_func (g_free);

  find_cases (root, all);
  find_cases (nam, all);
  if (all->len == 0) {
    g_printerr ("SKIPPED: no reference cases in %s\n", root);
    return;
  }
  g_ptr_array_sort (all, compare);
  for (guint i = (guint) __i__; i < all->len; i += PARTS)
    check_case (g_ptr_array_index (all, i));
}
GST_END_TEST

/* --- what is refused ------------------------------------------------------ */

static GError *
next_error (GstBus *bus, GstMessageType type)
{
  g_autoptr (GstMessage) message = gst_bus_pop_filtered (bus, type);
  GError *error = NULL;

  if (message && type == GST_MESSAGE_ERROR)
    gst_message_parse_error (message, &error, NULL);
  else if (message)
    gst_message_parse_warning (message, &error, NULL);
  return error;
}

/* Files for what follows. */
static void
make_files (void)
{
  static const Made rnn = { "rnn", 1, 1, 1, 4, 0, 0, 1 };
  g_autoptr (SeqModel) model = make (&rnn);
  g_autoptr (GBytes) bytes = seq_model_write (model, "safetensors", NULL),
                     plain = NULL;
  g_autoptr (SeqSafetensors) file = seq_safetensors_parse (bytes, NULL);
  g_autofree char *amp_path = make_file ("amp", &amp);
  g_autofree char *forecast_path = make_file ("forecast", &predictor);
  g_autofree char *cut = path_of ("cut"), *text = path_of ("text");
  g_autofree char *dict = path_of ("dict"), *nam = path_of ("catwavenet");
  g_autofree char *heads = path_of ("heads");
  g_autoptr (GBytes) ambiguous = NULL;
  g_autofree SeqTensorData *twice =
      g_new (SeqTensorData, file->tensors->len + 1);

  plain = seq_safetensors_write (
      (SeqTensorData *) file->tensors->data, file->tensors->len, NULL);
  g_assert_true (g_file_set_contents (dict, g_bytes_get_data (plain, NULL),
      (gssize) g_bytes_get_size (plain), NULL));
  memcpy (
      twice, file->tensors->data, file->tensors->len * sizeof (SeqTensorData));
  twice[file->tensors->len] = *seq_safetensors_find (file, "dense.weight");
  twice[file->tensors->len].name = "other.weight";
  ambiguous = seq_safetensors_write (twice, file->tensors->len + 1, NULL);
  g_assert_true (g_file_set_contents (heads, g_bytes_get_data (ambiguous, NULL),
      (gssize) g_bytes_get_size (ambiguous), NULL));
  g_assert_true (g_file_set_contents (cut, g_bytes_get_data (bytes, NULL),
      (gssize) g_bytes_get_size (bytes) - 5, NULL));
  g_assert_true (g_file_set_contents (text, "no model at all", -1, NULL));
  g_assert_true (g_file_set_contents (nam,
      "{\"version\": \"0.5.1\", \"architecture\": \"CatWaveNet\", \"config\": "
      "{}, "
      "\"weights\": [1]}",
      -1, NULL));
}

/* Each has its domain, names the file and says what is wrong. */
GST_START_TEST (refusals)
{
  static const struct {
    const char *file, *properties;
    GQuark (*domain) (void);
    int code;
    const char *says[2];
  } all[] = {
    { "nowhere", "", gst_resource_error_quark, GST_RESOURCE_ERROR_NOT_FOUND,
        { "nowhere" } },
    { ".", "", gst_resource_error_quark, GST_RESOURCE_ERROR_OPEN_READ, {} },
    { "text", "", gst_stream_error_quark, GST_STREAM_ERROR_WRONG_TYPE,
        { "text", "safetensors" } },
    { "cut", "", gst_stream_error_quark, GST_STREAM_ERROR_DECODE, { "cut" } },
    { "catwavenet", "", gst_stream_error_quark,
        GST_STREAM_ERROR_NOT_IMPLEMENTED, { "catwavenet", "CatWaveNet" } },
    { "heads", "", gst_library_error_quark, GST_LIBRARY_ERROR_SETTINGS,
        { "heads", "option head" } },
    { "dict", "model-options=options,nonlinearity=sine",
        gst_library_error_quark, GST_LIBRARY_ERROR_SETTINGS, { "sine" } },
    { "dict", "model-options=options,colour=red", gst_library_error_quark,
        GST_LIBRARY_ERROR_SETTINGS, { "colour" } },
    { "dict", "model-options=options,nonlinearity=1", gst_library_error_quark,
        GST_LIBRARY_ERROR_SETTINGS, { "nonlinearity" } },
    { "amp", "model=gru", gst_library_error_quark, GST_LIBRARY_ERROR_SETTINGS,
        { "model is gru; expected lstm", "amp" } },
    { "amp", "hidden-size=9", gst_library_error_quark,
        GST_LIBRARY_ERROR_SETTINGS, { "hidden-size is 9; expected 8", "amp" } },
    { "amp", "layers=2", gst_library_error_quark, GST_LIBRARY_ERROR_SETTINGS,
        { "layers is 2; expected 1", "amp" } },
    { "amp", "residual-connection=on", gst_library_error_quark,
        GST_LIBRARY_ERROR_SETTINGS,
        { "residual-connection is on; expected off", "amp" } },
    { "forecast", "horizon=2", gst_library_error_quark,
        GST_LIBRARY_ERROR_SETTINGS,
        { "horizon is 2; expected 1", "forecast" } },
    { "amp", "learn=gradient", gst_library_error_quark,
        GST_LIBRARY_ERROR_SETTINGS, { "amp", "effect" } },
    { "amp", "learn=on", gst_library_error_quark, GST_LIBRARY_ERROR_SETTINGS,
        { "amp", "effect" } },
    { "amp", "emit=0", gst_library_error_quark, GST_LIBRARY_ERROR_SETTINGS,
        { "emit is empty" } },
  };

  make_files ();
  for (guint i = 0; i < G_N_ELEMENTS (all); i++) {
    g_autofree char *path = path_of (all[i].file);
    g_autofree char *launch =
        g_strdup_printf ("seqfilter model-file=%s %s", path, all[i].properties);
    g_autoptr (GstElement) element =
        gst_object_ref_sink (gst_parse_launch (launch, NULL));
    g_autoptr (GstBus) bus = gst_bus_new ();
    g_autoptr (GError) error = NULL;

    gst_element_set_bus (element, bus);
    fail_unless_equals_int (gst_element_set_state (element, GST_STATE_PAUSED),
        GST_STATE_CHANGE_FAILURE);
    error = next_error (bus, GST_MESSAGE_ERROR);
    fail_unless (error != NULL, "%s: no error", launch);
    fail_unless (g_error_matches (error, all[i].domain (), all[i].code),
        "%s: %s %d: %s", launch, g_quark_to_string (error->domain), error->code,
        error->message);
    for (guint k = 0; k < 2 && all[i].says[k]; k++)
      fail_unless (strstr (error->message, all[i].says[k]), "%s: %s", launch,
          error->message);
    gst_element_set_state (element, GST_STATE_NULL);
    gst_element_set_bus (element, NULL);
  }
}
GST_END_TEST

/* Options say what the file cannot; both spellings of their names. */
GST_START_TEST (options)
{
  g_autofree char *path = NULL;
  g_autoptr (GBytes) in = signal_new (&f32_mono, 0, 1000);
  g_autoptr (GBytes) tanh_out = NULL, relu_out = NULL, sigmoid_out = NULL;
  GstHarness *h;

  make_files ();
  path = path_of ("dict");
  h = harness_new (path, "model-options=options,nonlinearity=tanh", &f32_mono);
  push_oddly (h, in, 4);
  tanh_out = pull (h);
  gst_harness_teardown (h);
  h = harness_new (path, "model-options=options,nonlinearity=relu", &f32_mono);
  push_oddly (h, in, 4);
  relu_out = pull (h);
  gst_harness_teardown (h);
  h = harness_new (path,
      "model-options=options,nonlinearity=tanh,output-activation=sigmoid",
      &f32_mono);
  push_oddly (h, in, 4);
  sigmoid_out = pull (h);
  gst_harness_teardown (h);
  fail_if (g_bytes_equal (tanh_out, relu_out));
  for (guint i = 0; i < 1000; i++)
    fail_unless (
        fabs (floats (sigmoid_out)[i] - 1 / (1 + exp (-floats (tanh_out)[i])))
        < 1e-6);
}
GST_END_TEST

/* Properties read what the file holds, while it is open; an agreeing one may be
 * set. Without a file they are as they were. */
GST_START_TEST (properties_follow)
{
  g_autofree char *path = make_file ("amp", &amp2);
  g_autoptr (GstElement) element =
      gst_object_ref_sink (gst_element_factory_make ("seqfilter", NULL));
  static const Made ahead = { "gru", 1, 1, 1, 6, 5, 0, 2 };
  guint size, horizon;
  int model, gru;

  gst_util_set_object_arg (G_OBJECT (element), "model", "gru");
  g_object_get (element, "model", &gru, NULL);
  g_object_set (element, "model-file", path, NULL);
  gst_element_set_state (element, GST_STATE_PAUSED);
  g_object_get (element, "model", &model, "hidden-size", &size, "horizon",
      &horizon, NULL);
  fail_unless_equals_int (model, gru);
  fail_unless_equals_int (size, 6);
  fail_unless_equals_int (horizon, 0);
  g_free (make_file ("amp", &ahead));
  g_object_set (element, "model-file", path, NULL);
  g_object_get (element, "horizon", &horizon, NULL);
  fail_unless_equals_int (horizon, 5);
  gst_element_set_state (element, GST_STATE_NULL);
  g_object_get (element, "hidden-size", &size, "horizon", &horizon, NULL);
  fail_unless_equals_int (size, 20);
  fail_unless_equals_int (horizon, 1);
}
GST_END_TEST

/* A preset of an element with a file holds the file, and what was set; not what
 * the file says, nor defaults that would stand against it. */
GST_START_TEST (preset)
{
  g_autofree char *path = make_file ("amp", &amp2), *got = NULL;
  g_autofree char *at = g_build_filename (g_get_user_data_dir (),
      "gstreamer-1.0", "presets", "GstSeqFilter.prs", NULL);
  GstElement *elements[2];
  guint size;

  fail_if (g_file_test (at, G_FILE_TEST_EXISTS), "%s is in the way", at);
  for (guint i = 0; i < 2; i++)
    elements[i] =
        gst_object_ref_sink (gst_element_factory_make ("seqfilter", NULL));
  g_object_set (elements[0], "model-file", path, "param1", 0.5, NULL);
  gst_util_set_object_arg (
      G_OBJECT (elements[0]), "model-options", "options,rate=(int)8000");
  fail_unless (gst_preset_save_preset (GST_PRESET (elements[0]), "amp"));
  fail_unless (gst_preset_load_preset (GST_PRESET (elements[1]), "amp"));
  g_remove (at);
  g_object_get (elements[1], "model-file", &got, NULL);
  fail_unless_equals_string (got, path);
  fail_unless_equals_int (gst_element_set_state (elements[1], GST_STATE_PAUSED),
      GST_STATE_CHANGE_SUCCESS);
  g_object_get (elements[1], "hidden-size", &size, NULL);
  fail_unless_equals_int (size, 6);
  for (guint i = 0; i < 2; i++) {
    gst_element_set_state (elements[i], GST_STATE_NULL);
    gst_object_unref (elements[i]);
  }
}
GST_END_TEST

/* --- caps ----------------------------------------------------------------- */

/* Runs a pipeline to its end or error. */
static GError *
run_pipeline (const char *launch, GstElement **pipeline)
{
  g_autoptr (GError) parse_error = NULL;
  g_autoptr (GstBus) bus = NULL;
  g_autoptr (GstMessage) message = NULL;
  GError *error = NULL;

  *pipeline = gst_parse_launch (launch, &parse_error);
  g_assert_no_error (parse_error);
  bus = gst_element_get_bus (*pipeline);
  gst_element_set_state (*pipeline, GST_STATE_PLAYING);
  message = gst_bus_timed_pop_filtered (
      bus, 10 * GST_SECOND, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
  fail_unless (message != NULL, "%s does not end", launch);
  if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR)
    gst_message_parse_error (message, &error, NULL);
  return error;
}

/* The model's rate is in the caps, so that audioresample gives it; another is
 * an error that says what to do, and rate-mode=ignore does not care. */
GST_START_TEST (rate)
{
  static const Made slow = { "lstm", 1, 1, 1, 8, 0, 32000, 1 };
  static const struct {
    const char *before, *mode;
    int rate; /* 0: an error */
  } all[] = { { "audioresample !", "model", 32000 }, { "", "model", 0 },
    { "", "ignore", 48000 } };
  g_autofree char *path = make_file ("amp", &slow);

  for (guint i = 0; i < G_N_ELEMENTS (all); i++) {
    g_autofree char *launch =
        g_strdup_printf ("appsrc name=a format=time ! %s seqfilter name=f "
                         "model-file=%s rate-mode=%s ! fakesink",
            all[i].before, path, all[i].mode);
    g_autoptr (GstElement) pipeline = gst_parse_launch (launch, NULL);
    g_autoptr (GstElement) source =
        gst_bin_get_by_name (GST_BIN (pipeline), "a");
    g_autoptr (GstElement) filter =
        gst_bin_get_by_name (GST_BIN (pipeline), "f");
    g_autoptr (GstPad) pad = gst_element_get_static_pad (filter, "src");
    g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
    g_autoptr (GstMessage) message = NULL;
    g_autoptr (GstCaps) caps =
        gst_caps_from_string ("audio/x-raw,format=" GST_AUDIO_NE (
            F32) ",rate=48000,channels=1,layout=interleaved");
    g_autoptr (GError) error = NULL;
    GstFlowReturn flow;
    int rate;

    g_object_set (source, "caps", caps, NULL);
    gst_element_set_state (pipeline, GST_STATE_PLAYING);
    for (guint k = 0; k < 4; k++) {
      GstBuffer *buffer = buffer_new (&f32_mono, k * 480, 480);

      g_signal_emit_by_name (source, "push-buffer", buffer, &flow);
      gst_buffer_unref (buffer);
    }
    g_signal_emit_by_name (source, "end-of-stream", &flow);
    message = gst_bus_timed_pop_filtered (
        bus, 10 * GST_SECOND, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
    if (all[i].rate == 0) {
      fail_unless_equals_int (GST_MESSAGE_TYPE (message), GST_MESSAGE_ERROR);
      gst_message_parse_error (message, &error, NULL);
      fail_unless (
          g_error_matches (error, GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT),
          error->message);
      fail_unless (strstr (error->message, "32000")
                       && strstr (error->message, "48000")
                       && strstr (error->message, "audioresample"),
          error->message);
    } else {
      g_autoptr (GstCaps) out = gst_pad_get_current_caps (pad);

      fail_unless_equals_int (GST_MESSAGE_TYPE (message), GST_MESSAGE_EOS);
      gst_structure_get_int (gst_caps_get_structure (out, 0), "rate", &rate);
      fail_unless_equals_int (rate, all[i].rate);
    }
    gst_element_set_state (pipeline, GST_STATE_NULL);
  }
}
GST_END_TEST

/* Both pads say the rate, and what channels there can be. */
GST_START_TEST (caps_of_the_model)
{
  static const struct {
    Made made;
    const char *properties, *sink, *src;
  } all[] = {
    { { "lstm", 1, 1, 1, 4, 0, 44100, 1 }, "", "rate=44100", "rate=44100" },
    { { "lstm", 1, 1, 3, 4, 0, 0, 1 }, "channel-mode=joint", "channels=1",
        "channels=3" },
    { { "lstm", 2, 2, 5, 4, 0, 0, 1 },
        "channel-mode=joint emit=input+prediction", "channels=2",
        "channels=7" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (all); i++) {
    g_autofree char *path = make_file ("model", &all[i].made);
    g_autofree char *launch =
        g_strdup_printf ("seqfilter model-file=%s %s", path, all[i].properties);
    g_autoptr (GstElement) element =
        gst_object_ref_sink (gst_parse_launch (launch, NULL));

    gst_element_set_state (element, GST_STATE_PAUSED);
    for (guint k = 0; k < 2; k++) {
      g_autoptr (GstPad) pad =
          gst_element_get_static_pad (element, k ? "src" : "sink");
      g_autoptr (GstCaps) caps = gst_pad_query_caps (pad, NULL);
      g_autofree char *text =
          g_strdup_printf ("audio/x-raw,%s", k ? all[i].src : all[i].sink);
      g_autoptr (GstCaps) all_of = gst_caps_from_string (text);

      fail_unless (
          !gst_caps_is_empty (caps) && gst_caps_is_subset (caps, all_of),
          "%s: %s", launch, text);
    }
    gst_element_set_state (element, GST_STATE_NULL);
  }
}
GST_END_TEST

/* Models whose numbers of inputs and outputs differ: what the core gives, on so
 * many channels, unpositioned from three on. */
GST_START_TEST (channels)
{
  static const struct {
    Made made;
    const char *properties;
    int in, out;
    guint inputs; /* groups that are the input */
  } all[] = {
    { { "lstm", 1, 1, 3, 4, 0, 0, 1 }, "", 1, 3, 0 },
    { { "lstm", 1, 1, 2, 4, 0, 0, 1 }, "", 2, 4, 0 },
    { { "gru", 2, 2, 1, 4, 0, 0, 1 }, "", 2, 1, 0 },
    { { "gru", 2, 2, 1, 4, 0, 0, 1 }, "", 6, 3, 0 },
    { { "gru", 3, 3, 5, 4, 0, 0, 1 }, "channel-mode=joint", 3, 5, 0 },
    { { "gru", 2, 2, 3, 4, 0, 0, 1 }, "emit=input+prediction", 2, 5, 1 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (all); i++) {
    const Kind kind = { GST_AUDIO_FORMAT_F32, GST_AUDIO_LAYOUT_INTERLEAVED,
      48000, all[i].in };
    g_autofree char *path = make_file ("model", &all[i].made);
    g_autoptr (SeqStream) stream =
        stream_new (&all[i].made, &kind, SEQ_CHANNELS_AUTO);
    g_autoptr (GBytes) in = signal_new (&kind, 0, 1000);
    g_autoptr (GBytes) expected = run_stream (stream, in), got = NULL;
    GstHarness *h = harness_new (path, all[i].properties, &kind);
    g_autoptr (GstCaps) caps = NULL;
    GstStructure *s;
    guint64 mask = 0;
    int n, skip = all[i].in * (int) all[i].inputs;

    push_oddly (h, in, (gsize) all[i].in * 4);
    caps = gst_pad_get_current_caps (h->sinkpad);
    s = gst_caps_get_structure (caps, 0);
    gst_structure_get_int (s, "channels", &n);
    fail_unless_equals_int (n, all[i].out);
    if (n > 2) {
      fail_unless (
          gst_structure_get (s, "channel-mask", GST_TYPE_BITMASK, &mask, NULL));
      fail_unless_equals_uint64 (mask, 0);
    }
    got = pull (h);
    for (guint t = 0; t < 1000; t++)
      fail_unless (!memcmp (floats (got) + t * (guint) n + skip,
                       floats (expected) + t * (guint) (n - skip),
                       (gsize) (n - skip) * 4),
          "%u: frame %u", i, t);
    gst_harness_teardown (h);
  }
}
GST_END_TEST

/* Channels that a model cannot take are an error with both numbers. */
GST_START_TEST (wrong_channels)
{
  static const Made two = { "gru", 2, 2, 1, 4, 0, 0, 1 };
  g_autofree char *path = make_file ("model", &two);
  g_autofree char *launch =
      g_strdup_printf ("audiotestsrc num-buffers=3 ! audio/x-raw,channels=3,"
                       "channel-mask=(bitmask)7 ! identity ! seqfilter "
                       "model-file=%s ! fakesink",
          path);
  g_autoptr (GstElement) pipeline = NULL;
  g_autoptr (GError) error = NULL;
  GstHarness *h = gst_harness_new ("seqfilter");
  g_autoptr (GstElement) element = filter_element (h);
  g_autoptr (GstBus) bus = gst_bus_new ();
  const Kind three = { GST_AUDIO_FORMAT_F32, GST_AUDIO_LAYOUT_INTERLEAVED,
    48000, 3 };

  gst_element_set_bus (element, bus);
  g_object_set (element, "model-file", path, NULL);
  set_caps (h, &three);
  gst_harness_push (h, buffer_new (&three, 0, 10));
  error = next_error (bus, GST_MESSAGE_ERROR);
  fail_unless (
      g_error_matches (error, GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT));
  fail_unless (strstr (error->message, "2") && strstr (error->message, "3"),
      error->message);
  gst_element_set_bus (element, NULL);
  gst_harness_teardown (h);
  g_clear_error (&error);
  error = run_pipeline (launch, &pipeline);
  fail_unless (error != NULL);
  gst_element_set_state (pipeline, GST_STATE_NULL);
}
GST_END_TEST

/* --- knobs ---------------------------------------------------------------- */

static const Made knobs = { "lstm", 3, 1, 1, 8, 0, 0, 5 };

/* signal and two knobs as three channels, for a stream that takes all */
static GBytes *
with_knobs (guint n, double (*knob) (guint i, guint t))
{
  g_autoptr (GBytes) x = signal_new (&f32_mono, 0, n);
  float *all = g_new (float, 3 * n);

  for (guint t = 0; t < n; t++) {
    all[3 * t] = floats (x)[t];
    for (guint i = 0; i < 2; i++)
      all[3 * t + 1 + i] = (float) knob (i, t);
  }
  return g_bytes_new_take (all, 3 * n * sizeof (float));
}

#define TURN 1001
static double
glide (guint i, guint t)
{
  double share = t < TURN ? 0 : MIN ((t - TURN + 1.0) / GLIDE, 1);

  return i == 0 ? 0.25 + 0.5 * share : 0.75;
}

static double
jump (guint i, guint t)
{
  return i == 0 ? t >= 700 : MIN (t / 4800.0, 1);
}

static void
set_knobs (GstElement *element, double a, double b)
{
  char text[100];
  char one[G_ASCII_DTOSTR_BUF_SIZE], two[G_ASCII_DTOSTR_BUF_SIZE];

  g_snprintf (text, sizeof text, "<(double)%s,(double)%s>",
      g_ascii_dtostr (one, sizeof one, a), g_ascii_dtostr (two, sizeof two, b));
  gst_util_set_object_arg (G_OBJECT (element), "params", text);
}

static const Kind f32_three = { GST_AUDIO_FORMAT_F32,
  GST_AUDIO_LAYOUT_INTERLEAVED, 48000, 3 };

/* Where they are set they are from the first frame on; a new value is reached
 * in a line of 20 ms, however the stream is cut. */
GST_START_TEST (weights)
{
  static const guint cuts[] = { 4800, 1, 77 };
  g_autofree char *path = make_file ("amp", &knobs);
  g_autoptr (SeqStream) stream =
      stream_new (&knobs, &f32_three, SEQ_CHANNELS_JOINT);
  g_autoptr (GBytes) in = with_knobs (4800, glide);
  g_autoptr (GBytes) expected = run_stream (stream, in), first = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (cuts); i++) {
    GstHarness *h = harness_new (path, "params=<0.25,0.75>", &f32_mono);
    g_autoptr (GstElement) element = filter_element (h);
    g_autoptr (GBytes) got = NULL;
    double param1;

    push (h, &f32_mono, 0, TURN, cuts[i], 0, 0);
    if (i == 0)
      set_knobs (element, 0.75, 0.75);
    else
      g_object_set (element, "param1", 0.75, NULL);
    push (h, &f32_mono, TURN, 4800 - TURN, cuts[i], 0, 0);
    g_object_get (element, "param1", &param1, NULL);
    fail_unless (param1 == 0.75);
    got = pull (h);
    assert_close (got, expected, 1e-6, "params");
    if (first)
      assert_same_bits (got, first, "params, another cut");
    else
      first = g_bytes_ref (got);
    gst_harness_teardown (h);
  }
}
GST_END_TEST

/* By a controller a knob follows its curve frame by frame, jumps included. */
GST_START_TEST (params_controlled)
{
  static const guint cuts[] = { 4800, 480, 48 };
  g_autofree char *path = make_file ("amp", &knobs);
  g_autoptr (SeqStream) stream =
      stream_new (&knobs, &f32_three, SEQ_CHANNELS_JOINT);
  g_autoptr (GBytes) in = with_knobs (4800, jump);
  g_autoptr (GBytes) expected = run_stream (stream, in);

  for (guint i = 0; i < G_N_ELEMENTS (cuts); i++) {
    GstHarness *h = harness_new (path, "", &f32_mono);
    g_autoptr (GstElement) element = filter_element (h);
    g_autoptr (GBytes) got = NULL;

    for (guint k = 0; k < 2; k++) {
      GstControlSource *source = gst_interpolation_control_source_new ();
      GstTimedValueControlSource *timed =
          GST_TIMED_VALUE_CONTROL_SOURCE (source);

      g_object_set (source, "mode",
          k ? GST_INTERPOLATION_MODE_LINEAR : GST_INTERPOLATION_MODE_NONE,
          NULL);
      gst_timed_value_control_source_set (timed, 0, 0);
      gst_timed_value_control_source_set (timed,
          k ? 100 * GST_MSECOND
            : gst_util_uint64_scale (700, GST_SECOND, 48000) - 10,
          1);
      gst_object_add_control_binding (GST_OBJECT (element),
          gst_direct_control_binding_new (
              GST_OBJECT (element), k ? "param2" : "param1", source));
      gst_object_unref (source);
    }
    push (h, &f32_mono, 0, 4800, cuts[i], 0, 0);
    got = pull (h);
    assert_close (got, expected, 1e-5, "controlled");
    gst_harness_teardown (h);
  }
}
GST_END_TEST

/* --- swaps ---------------------------------------------------------------- */

#define SWAP 1500
#define END 4000

/* Another file begins at the next buffer and fades in over 10 ms: both run, and
 * the output cross-fades linearly, however the stream is cut. No sample is
 * lost, and there is no step. */
GST_START_TEST (swap)
{
  static const guint cuts[] = { END, 1, 64, 479 };
  g_autofree char *a = make_file ("a", &amp), *b = make_file ("b", &amp2);
  g_autoptr (SeqStream) old = stream_new (&amp, &f32_mono, SEQ_CHANNELS_AUTO);
  g_autoptr (SeqStream) new = stream_new (&amp2, &f32_mono, SEQ_CHANNELS_AUTO);
  g_autoptr (GBytes) x = signal_new (&f32_mono, 0, END);
  g_autoptr (GBytes) rest = signal_new (&f32_mono, SWAP, END - SWAP);
  g_autoptr (GBytes) from = run_stream (old, x), to = run_stream (new, rest);
  g_autoptr (GBytes) first = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (cuts); i++) {
    GstHarness *h = harness_new (a, "", &f32_mono);
    g_autoptr (GstElement) element = filter_element (h);
    g_autoptr (GBytes) got = NULL;
    g_autoptr (GstStructure) stats = NULL;
    double step = 0, usual = 0;
    guint64 swaps;

    push (h, &f32_mono, 0, SWAP, cuts[i], 0, 0);
    g_object_set (element, "model-file", b, NULL);
    push (h, &f32_mono, SWAP, END - SWAP, cuts[i], 0, 0);
    got = pull (h);
    fail_unless_equals_int (g_bytes_get_size (got), END * sizeof (float));
    for (guint t = 0; t < END; t++) {
      double w = t < SWAP ? 0 : MIN ((t - SWAP + 1) / (FADE + 1.0), 1);
      double y = (1 - w) * floats (from)[t]
                 + (t < SWAP ? 0 : w * floats (to)[t - SWAP]);

      fail_unless (fabs (floats (got)[t] - y) < 1e-6, "frame %u", t);
      if (t > 0) {
        double d = fabs (floats (got)[t] - floats (got)[t - 1]);

        if (t < SWAP)
          usual = MAX (usual, d);
        else if (t < SWAP + FADE)
          step = MAX (step, d);
      }
    }
    fail_unless (step <= 1.5 * usual, "a step of %g, %g before", step, usual);
    if (first)
      assert_same_bits (got, first, "swap, another cut");
    else
      first = g_bytes_ref (got);
    g_object_get (element, "stats", &stats, NULL);
    gst_structure_get_uint64 (stats, "swaps", &swaps);
    fail_unless_equals_uint64 (swaps, 1);
    fail_unless_equals_string (
        gst_structure_get_string (stats, "model-file"), b);
    fail_unless (strstr (gst_structure_get_string (stats, "layers"), "gru 6"));
    gst_harness_teardown (h);
  }
}
GST_END_TEST

/* A second swap that comes while one fades waits till it has; a flush ends a
 * fade, so that nothing stale comes out. */
GST_START_TEST (swap_upon_swap)
{
  static const Made third = { "rnn", 1, 1, 1, 4, 0, 0, 9 };
  g_autofree char *a = make_file ("a", &amp), *b = make_file ("b", &amp2);
  g_autofree char *c = make_file ("c", &third);
  GstHarness *h = harness_new (a, "", &f32_mono);
  g_autoptr (GstElement) element = filter_element (h);
  g_autoptr (SeqStream) two = stream_new (&amp2, &f32_mono, SEQ_CHANNELS_AUTO);
  g_autoptr (SeqStream) three =
      stream_new (&third, &f32_mono, SEQ_CHANNELS_AUTO);
  g_autoptr (GBytes) rest = signal_new (&f32_mono, 1000, 3000), late = NULL;
  g_autoptr (GBytes) got = NULL, from = run_stream (two, rest), to = NULL;
  g_autoptr (GBytes) flushed = NULL, expected = NULL, again = NULL;

  push (h, &f32_mono, 0, 1000, 100, 0, 0);
  g_bytes_unref (pull (h));
  g_object_set (element, "model-file", b, NULL);
  push (h, &f32_mono, 1000, 100, 100, 0, 0);
  g_object_set (element, "model-file", c, NULL);
  push (h, &f32_mono, 1100, 2900, 100, 0, 0);
  got = pull (h);
  /* the first fade takes 480 frames and ends within the fifth buffer */
  late = signal_new (&f32_mono, 1500, 2500);
  to = run_stream (three, late);
  for (guint t = 480; t < 3000; t++) {
    double w = t < 500 ? 0 : MIN ((t - 500 + 1) / (FADE + 1.0), 1);
    double y =
        (1 - w) * floats (from)[t] + (t < 500 ? 0 : w * floats (to)[t - 500]);

    fail_unless (fabs (floats (got)[t] - y) < 1e-6, "frame %u", t);
  }

  g_object_set (element, "model-file", a, NULL);
  push (h, &f32_mono, 4000, 100, 100, 0, 0);
  g_bytes_unref (pull (h));
  flush (h);
  push (h, &f32_mono, 0, 1000, 100, 0, 0);
  flushed = pull (h);
  {
    g_autoptr (SeqStream) one = stream_new (&amp, &f32_mono, SEQ_CHANNELS_AUTO);

    again = signal_new (&f32_mono, 0, 1000);
    expected = run_stream (one, again);
  }
  assert_same_bits (flushed, expected, "after a flush");
  gst_harness_teardown (h);
}
GST_END_TEST

/* From no file to a file and back, while data flows. */
GST_START_TEST (swap_from_untrained)
{
  g_autofree char *path = make_file ("forecast", &predictor);
  GstHarness *h = filter_new ("hidden-size=8", &f32_mono);
  g_autoptr (GstElement) element = filter_element (h);
  g_autoptr (GstStructure) stats = NULL;
  guint64 updates;

  g_object_set (element, "hidden-size", 8, NULL);
  push (h, &f32_mono, 0, 1000, 100, 0, 0);
  g_object_set (element, "model-file", path, NULL);
  push (h, &f32_mono, 1000, 1000, 100, 0, 0);
  g_object_get (element, "stats", &stats, NULL);
  fail_unless_equals_string (
      gst_structure_get_string (stats, "format"), "safetensors");
  gst_structure_get_uint64 (stats, "updates", &updates);
  fail_unless_equals_uint64 (updates, 0); /* learn=auto */
  g_object_set (element, "model-file", NULL, NULL);
  push (h, &f32_mono, 2000, 1000, 100, 0, 0);
  gst_structure_free (g_steal_pointer (&stats));
  g_object_get (element, "stats", &stats, NULL);
  fail_unless_equals_string (
      gst_structure_get_string (stats, "format"), "untrained");
  gst_structure_get_uint64 (stats, "updates", &updates);
  fail_unless (updates > 0);
  gst_harness_teardown (h);
}
GST_END_TEST

/* The same path again: the same file goes on as if nothing had been, another
 * one in its place is read. */
GST_START_TEST (reload)
{
  g_autofree char *path = make_file ("amp", &amp);
  GstHarness *h = harness_new (path, "", &f32_mono);
  g_autoptr (GstElement) element = filter_element (h);
  g_autoptr (SeqStream) stream =
      stream_new (&amp, &f32_mono, SEQ_CHANNELS_AUTO);
  g_autoptr (SeqStream) other =
      stream_new (&amp2, &f32_mono, SEQ_CHANNELS_AUTO);
  g_autoptr (GBytes) x = signal_new (&f32_mono, 0, END);
  g_autoptr (GBytes) rest = signal_new (&f32_mono, END, 2000);
  g_autoptr (GBytes) expected = run_stream (stream, x), got = NULL;
  g_autoptr (GBytes) expected_rest = run_stream (other, rest), got_rest = NULL;

  push (h, &f32_mono, 0, SWAP, 100, 0, 0);
  g_object_set (element, "model-file", path, NULL);
  push (h, &f32_mono, SWAP, END - SWAP, 100, 0, 0);
  got = pull (h);
  assert_same_bits (got, expected, "the same file");

  g_free (make_file ("amp", &amp2));
  g_object_set (element, "model-file", path, NULL);
  push (h, &f32_mono, END, 2000, 100, 0, 0);
  got_rest = pull (h);
  fail_unless (!memcmp (floats (got_rest) + FADE, floats (expected_rest) + FADE,
      (2000 - FADE) * sizeof (float)));
  gst_harness_teardown (h);
}
GST_END_TEST

/* If a new file is refused, for any reason, the old model goes on to the bit,
 * and a warning says why. */
GST_START_TEST (failure_keeps_the_old)
{
  static const Made wide = { "gru", 2, 2, 1, 4, 0, 0, 1 };
  static const Made fast = { "gru", 1, 1, 1, 4, 0, 96000, 1 };
  static const char *const names[] = { "nowhere", "text", "cut", "heads",
    "wide", "fast", "." };
  g_autofree char *path = NULL;
  g_autoptr (SeqStream) stream =
      stream_new (&amp, &f32_mono, SEQ_CHANNELS_AUTO);
  g_autoptr (GBytes) x = signal_new (&f32_mono, 0, 100 * 8);
  g_autoptr (GBytes) expected = run_stream (stream, x), got = NULL;
  g_autoptr (GstBus) bus = gst_bus_new ();
  g_autoptr (GstElement) element = NULL;
  g_autoptr (GstStructure) stats = NULL;
  guint64 failures, swaps;
  GstHarness *h;

  make_files ();
  g_free (make_file ("wide", &wide));
  g_free (make_file ("fast", &fast));
  path = path_of ("amp");
  h = harness_new (path, "", &f32_mono);
  element = filter_element (h);
  gst_element_set_bus (element, bus);
  push (h, &f32_mono, 0, 100, 100, 0, 0);
  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree char *bad = path_of (names[i]);
    g_autoptr (GError) error = NULL;

    g_object_set (element, "model-file", bad, NULL);
    error = next_error (bus, GST_MESSAGE_WARNING);
    fail_unless (error != NULL, "%s: no warning", names[i]);
    fail_unless (strlen (error->message) > 20);
    push (h, &f32_mono, 100 * (i + 1), 100, 100, 0, 0);
  }
  got = pull (h);
  assert_same_bits (got, expected, "the old model");
  g_object_get (element, "stats", &stats, NULL);
  gst_structure_get_uint64 (stats, "load-failures", &failures);
  gst_structure_get_uint64 (stats, "swaps", &swaps);
  fail_unless_equals_uint64 (failures, G_N_ELEMENTS (names));
  fail_unless_equals_uint64 (swaps, 0);
  fail_unless_equals_string (
      gst_structure_get_string (stats, "model-file"), path);
  gst_element_set_bus (element, NULL);
  gst_harness_teardown (h);
}
GST_END_TEST

/* A file of another rate, or with another number of outputs: caps change, and
 * the new model begins with them. */
GST_START_TEST (swap_with_caps)
{
  static const Made others[] = { { "gru", 1, 1, 3, 4, 0, 32000, 1 },
    { "gru", 1, 1, 3, 4, 0, 0, 1 }, { "gru", 1, 1, 1, 4, 0, 32000, 1 } };
  const Made *other = &others[__i__];
  g_autofree char *a = make_file ("a", &amp), *b = make_file ("b", other);
  g_autofree char *launch =
      g_strdup_printf ("audioresample ! seqfilter name=f model-file=%s", a);
  GstHarness *h = gst_harness_new_parse (launch);
  g_autoptr (GstElement) element = filter_element (h);
  g_autoptr (GstCaps) caps = NULL;
  int rate, channels;

  set_caps (h, &f32_mono);
  push (h, &f32_mono, 0, 4800, 480, 0, 0);
  g_object_set (element, "model-file", b, NULL);
  push (h, &f32_mono, 4800, 4800, 480, 0, 0);
  caps = gst_pad_get_current_caps (h->sinkpad);
  gst_structure_get_int (gst_caps_get_structure (caps, 0), "rate", &rate);
  gst_structure_get_int (
      gst_caps_get_structure (caps, 0), "channels", &channels);
  fail_unless_equals_int (rate, other->rate > 0 ? 32000 : 48000);
  fail_unless_equals_int (channels, (int) other->n_out);
  gst_harness_teardown (h);
}
GST_END_TEST

typedef struct {
  GstElement *element;
  char **paths;
  gint done; /* atomic */
} Swapper;

static gpointer
swap_files (gpointer data)
{
  Swapper *s = data;

  for (guint i = 0; !g_atomic_int_get (&s->done); i++) {
    g_autoptr (GBytes) state = NULL;
    g_autoptr (GstStructure) stats = NULL;

    g_object_set (s->element, "model-file", s->paths[i % 4], NULL);
    g_object_set (s->element, "param1", i % 10 / 10.0, NULL);
    if (i % 3 == 0)
      g_object_get (s->element, "state", &state, "stats", &stats, NULL);
    if (i % 7 == 0)
      g_signal_emit_by_name (s->element, "reset");
    g_usleep (100);
  }
  return NULL;
}

/* Files may be set by many threads while data flows. */
GST_START_TEST (many_threads)
{
  g_autofree char *a = make_file ("a", &amp), *b = make_file ("b", &amp2);
  g_autofree char *c = make_file ("c", &knobs), *d = path_of ("nowhere");
  char *paths[] = { a, b, c, d };
  GstHarness *h = harness_new (a, "", &f32_mono);
  Swapper s = { .element = filter_element (h), .paths = paths };
  GThread *threads[2];

  for (guint i = 0; i < 2; i++)
    threads[i] = g_thread_new ("swapper", swap_files, &s);
  for (guint i = 0; i < 3000; i++) {
    g_autoptr (GBytes) got = NULL;

    push (h, &f32_mono, i * 64, 64, 64, 0, 0);
    got = pull (h);
    fail_unless_equals_int (g_bytes_get_size (got), 256);
  }
  g_atomic_int_set (&s.done, TRUE);
  for (guint i = 0; i < 2; i++)
    g_thread_join (threads[i]);
  gst_object_unref (s.element);
  gst_harness_teardown (h);
}
GST_END_TEST

/* --- sharing -------------------------------------------------------------- */

static gpointer
open_in_thread (gpointer path)
{
  return seq_model_file_open (path, NULL, NULL);
}

/* One file is loaded once for all its users and freed with the last; other
 * options, or another file in its place, are another model. */
GST_START_TEST (shared)
{
  g_autofree char *path = make_file ("amp", &amp);
  SeqModelFile *first = seq_model_file_open (path, NULL, NULL);
  SeqModelFile *second = seq_model_file_open (path, NULL, NULL);
  SeqModelFile *other, *replaced;
  GThread *threads[8];
  SeqModel *model = seq_model_ref (first->model);

  fail_unless (first == second);
  seq_model_file_unref (second);
  g_free (make_file ("amp", &amp2));
  replaced = seq_model_file_open (path, NULL, NULL);
  fail_if (replaced->model == model);
  seq_model_file_unref (replaced);
  seq_model_file_unref (first);
  fail_unless_equals_int (model->ref_count, 1); /* ours is the last */
  seq_model_unref (model);

  for (guint i = 0; i < 8; i++)
    threads[i] = g_thread_new ("open", open_in_thread, path);
  first = seq_model_file_open (path, NULL, NULL);
  for (guint i = 0; i < 8; i++) {
    fail_unless (g_thread_join (threads[i]) == first);
    seq_model_file_unref (first);
  }
  seq_model_file_unref (first);
  fail_unless (seq_model_file_open ("/nowhere/at/all", NULL, NULL) == NULL);
  {
    g_autofree char *dict = NULL;
    g_autoptr (GVariant) tanh = g_variant_ref_sink (
        g_variant_new_parsed ("{'rate': <44100.0>, 'nonlinearity': <'tanh'>}"));
    g_autoptr (GVariant) relu = g_variant_ref_sink (
        g_variant_new_parsed ("{'rate': <44100.0>, 'nonlinearity': <'relu'>}"));

    make_files ();
    dict = path_of ("dict");
    first = seq_model_file_open (dict, tanh, NULL);
    other = seq_model_file_open (dict, relu, NULL);
    fail_unless (first && other && first != other);
    fail_unless (first->model->rate == 44100);
    seq_model_file_unref (first);
    seq_model_file_unref (other);
  }
}
GST_END_TEST

/* --- learning and saving -------------------------------------------------- */

/* A file that forecasts goes on learning if told to, as the core does. */
GST_START_TEST (learning)
{
  static const struct {
    const char *learn;
    SeqLearn means;
  } all[] = { { "auto", SEQ_LEARN_OFF }, { "off", SEQ_LEARN_OFF },
    { "gradient", SEQ_LEARN_GRADIENT }, { "readout", SEQ_LEARN_READOUT },
    { "both", SEQ_LEARN_BOTH }, { "on", SEQ_LEARN_BOTH } };
  g_autofree char *path = make_file ("forecast", &predictor);

  for (guint i = 0; i < G_N_ELEMENTS (all); i++) {
    g_autofree char *learn = g_strdup_printf ("learn=%s", all[i].learn);
    GstHarness *h = harness_new (path, learn, &f32_mono);
    SeqStreamConfig config = { all[i].means, 3e-3, 64, 1, SEQ_CHANNELS_AUTO,
      TRUE };
    g_autoptr (SeqModel) file = seq_model_load (path, NULL, NULL);
    g_autoptr (SeqModel) model =
        all[i].means >= SEQ_LEARN_READOUT ? seq_model_with_readout (
            file, g_variant_new_parsed ("{'horizon': <uint32 1>}"), NULL)
                                          : seq_model_ref (file);
    g_autoptr (SeqStream) stream = seq_stream_new (model, 1, &config, NULL);
    g_autoptr (GBytes) x = signal_new (&f32_mono, 0, END);
    g_autoptr (GBytes) expected = run_stream (stream, x), got = NULL;

    push (h, &f32_mono, 0, END, 480, 0, 0);
    got = pull (h);
    assert_same_bits (got, expected, learn);
    gst_harness_teardown (h);
  }
}
GST_END_TEST

/* What was learnt is saved as a model file that gives the same bits, also when
 * it is saved again. */
GST_START_TEST (save_model)
{
  static const Made others[] = { { "gru", 1, 1, 1, 8, 1, 0, 3 },
    { "rnn", 1, 1, 1, 8, 1, 0, 3 } };
  const Made *made = __i__ == 0 ? &predictor : &others[__i__ - 1];
  g_autofree char *path = make_file ("forecast", made);
  g_autofree char *learnt = path_of ("learnt"), *again = path_of ("again");
  GstHarness *h = harness_new (path, "learn=gradient", &f32_mono);
  g_autoptr (GstElement) element = filter_element (h);
  g_autoptr (GBytes) expected = NULL, got = NULL, a = NULL, b = NULL;
  gboolean saved = FALSE;

  push (h, &f32_mono, 0, END, 480, 0, 0);
  g_bytes_unref (pull (h));
  g_signal_emit_by_name (element, "save-model", learnt, &saved);
  fail_unless (saved);
  gst_util_set_object_arg (G_OBJECT (element), "learn", "off");
  flush (h);
  push (h, &f32_mono, 0, END, 480, 0, 0);
  expected = pull (h);
  g_clear_object (&element);
  gst_harness_teardown (h);

  h = harness_new (learnt, "", &f32_mono);
  element = filter_element (h);
  push (h, &f32_mono, 0, END, 480, 0, 0);
  got = pull (h);
  assert_same_bits (got, expected, "learnt, saved and loaded");
  g_signal_emit_by_name (element, "save-model", again, &saved);
  fail_unless (saved);
  a = read_file (folder, "learnt");
  b = read_file (folder, "again");
  assert_same_bits (a, b, "saved again");
  gst_harness_teardown (h);
}
GST_END_TEST

/* All six models that learnt from nothing can be saved, and run. */
GST_START_TEST (save_model_of_each_kind)
{
  const Setting *setting = &settings[__i__];
  g_autofree char *path = path_of ("learnt");
  GstHarness *h = filter_new (setting->properties, &f32_mono);
  g_autoptr (GstElement) element = filter_element (h);
  g_autoptr (GBytes) got = NULL;
  gboolean saved = FALSE;

  push (h, &f32_mono, 0, END, 480, 0, 0);
  g_signal_emit_by_name (element, "save-model", path, &saved);
  fail_unless (saved, setting->model);
  g_clear_object (&element);
  gst_harness_teardown (h);

  h = harness_new (path, "", &f32_mono);
  element = filter_element (h);
  push (h, &f32_mono, 0, END, 480, 0, 0);
  got = pull (h);
  for (guint t = 0; t < END; t++)
    fail_unless (isfinite (floats (got)[t]));
  gst_harness_teardown (h);
}
GST_END_TEST

/* Nothing to save yet, or nowhere to write: no, and why. */
GST_START_TEST (save_model_that_cannot_be)
{
  g_autoptr (GstElement) idle =
      gst_object_ref_sink (gst_element_factory_make ("seqfilter", NULL));
  GstHarness *h = filter_new ("model=ar", &f32_mono);
  g_autoptr (GstElement) element = filter_element (h);
  g_autoptr (GstBus) bus = gst_bus_new ();
  g_autoptr (GError) error = NULL;
  gboolean saved = TRUE;

  g_signal_emit_by_name (idle, "save-model", "/nowhere/at/all", &saved);
  fail_if (saved);
  gst_element_set_bus (element, bus);
  push (h, &f32_mono, 0, 480, 480, 0, 0);
  saved = TRUE;
  g_signal_emit_by_name (element, "save-model", "/nowhere/at/all", &saved);
  fail_if (saved);
  error = next_error (bus, GST_MESSAGE_WARNING);
  fail_unless (
      g_error_matches (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_WRITE));
  fail_unless (strstr (error->message, "/nowhere/at/all"));
  gst_element_set_bus (element, NULL);
  gst_harness_teardown (h);
}
GST_END_TEST

/* A state resumes an element with a file, and without it. */
GST_START_TEST (state_of_a_file)
{
  g_autofree char *path = make_file ("forecast", &predictor);
  static const char *const learners[] = { "learn=auto", "learn=on" };
  GstHarness *h = harness_new (path, learners[__i__], &f32_mono);
  g_autoptr (GstElement) element = filter_element (h);
  g_autoptr (GBytes) state = NULL, expected = NULL;

  push (h, &f32_mono, 0, SWAP, 480, 0, 0);
  g_bytes_unref (pull (h));
  g_object_get (element, "state", &state, NULL);
  push (h, &f32_mono, SWAP, END - SWAP, 480, 0, 0);
  expected = pull (h);
  g_clear_object (&element);
  gst_harness_teardown (h);

  for (guint i = 0; i < 2; i++) {
    g_autoptr (GBytes) got = NULL;

    h = gst_harness_new ("seqfilter");
    element = filter_element (h);
    if (i == 1)
      g_object_set (element, "model-file", path, NULL);
    g_object_set (element, "state", state, NULL);
    set_caps (h, &f32_mono);
    push (h, &f32_mono, SWAP, END - SWAP, 480, 0, 0);
    got = pull (h);
    assert_same_bits (got, expected, learners[__i__]);
    g_clear_object (&element);
    gst_harness_teardown (h);
  }
}
GST_END_TEST

/* A state brings its model's rate, and is refused where another one runs. */
GST_START_TEST (state_of_a_rate)
{
  static const Made slow = { "lstm", 1, 1, 1, 8, 0, 32000, 1 };
  const Kind kind = { GST_AUDIO_FORMAT_F32, GST_AUDIO_LAYOUT_INTERLEAVED, 32000,
    1 };
  g_autofree char *path = make_file ("slow", &slow);
  GstHarness *h = harness_new (path, "", &kind);
  g_autoptr (GstElement) element = filter_element (h);
  g_autoptr (GstBus) bus = gst_bus_new ();
  g_autoptr (GBytes) state = NULL;
  g_autoptr (GstPad) pad = NULL;
  g_autoptr (GstCaps) caps = NULL, wanted = NULL;
  g_autoptr (GError) error = NULL;

  push (h, &kind, 0, 100, 100, 0, 0);
  g_object_get (element, "state", &state, NULL);
  gst_harness_teardown (h);
  g_clear_object (&element);

  element = gst_object_ref_sink (gst_element_factory_make ("seqfilter", NULL));
  g_object_set (element, "state", state, NULL);
  gst_element_set_state (element, GST_STATE_PAUSED);
  pad = gst_element_get_static_pad (element, "sink");
  caps = gst_pad_query_caps (pad, NULL);
  wanted = gst_caps_from_string ("audio/x-raw,rate=32000");
  fail_unless (gst_caps_is_subset (caps, wanted));
  gst_element_set_state (element, GST_STATE_NULL);
  g_clear_object (&element);

  h = filter_new ("model=ar", &f32_mono);
  element = filter_element (h);
  gst_element_set_bus (element, bus);
  push (h, &f32_mono, 0, 100, 100, 0, 0);
  g_object_set (element, "state", state, NULL);
  error = next_error (bus, GST_MESSAGE_WARNING);
  fail_unless (error && strstr (error->message, "32000"));
  push (h, &f32_mono, 100, 100, 100, 0, 0);
  gst_element_set_bus (element, NULL);
  gst_harness_teardown (h);
}
GST_END_TEST

static Suite *
modelfile_suite (void)
{
  Suite *s = suite_create ("modelfile");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, set_up, tear_down);
  tcase_add_loop_test (tc, cases, 0, PARTS);
  tcase_add_test (tc, refusals);
  tcase_add_test (tc, options);
  tcase_add_test (tc, properties_follow);
  tcase_add_test (tc, preset);
  tcase_add_test (tc, rate);
  tcase_add_test (tc, caps_of_the_model);
  tcase_add_test (tc, channels);
  tcase_add_test (tc, wrong_channels);
  tcase_add_test (tc, weights);
  tcase_add_test (tc, params_controlled);
  tcase_add_test (tc, swap);
  tcase_add_test (tc, swap_upon_swap);
  tcase_add_test (tc, swap_from_untrained);
  tcase_add_test (tc, reload);
  tcase_add_test (tc, failure_keeps_the_old);
  tcase_add_loop_test (tc, swap_with_caps, 0, 3);
  tcase_add_test (tc, many_threads);
  tcase_add_test (tc, shared);
  tcase_add_test (tc, learning);
  tcase_add_loop_test (tc, save_model, 0, 3);
  tcase_add_loop_test (tc, save_model_of_each_kind, 0, G_N_ELEMENTS (settings));
  tcase_add_test (tc, save_model_that_cannot_be);
  tcase_add_loop_test (tc, state_of_a_file, 0, 2);
  tcase_add_test (tc, state_of_a_rate);
  return s;
}

GST_CHECK_MAIN (modelfile)
