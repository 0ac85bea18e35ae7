/* test_io.c: model files: reference cases, damaged and hostile files, and what
 * is written reads back.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Cases lie in folders and are found there, never listed: each has a case.json,
 * an input and the output that is expected.
 */
#include "onnx.pb-c.h"
#include "src/io/load.h"
#include "src/io/reader.h"
#include "src/io/safetensors.h"

#include <glib/gstdio.h>
#include <jansson.h>
#include <locale.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TOLERANCE 5e-6 /* where a case says nothing */

/* Output of a model for in [n][channels], from its start. */
static float *
run_model (const SeqModel *model, const float *in, gsize n, guint *n_out)
{
  const SeqChain *chain = model->chain;
  g_autoptr (SeqWork) work = seq_work_new (chain, 64, 1, FALSE);
  real *state = seq_alloc (chain->n_state);
  float *out = g_new (float, n * chain->n_out + 1);

  *n_out = chain->n_out;
  seq_chain_start (chain, model->weights, state);
  for (gsize at = 0; at < n; at += 64) {
    guint m = (guint) MIN (n - at, 64);
    SeqPass pass = { .n_frames = m, .weights = model->weights, .state = state };

    for (guint t = 0; t < m; t++)
      for (guint k = 0; k < chain->n_in; k++)
        work->in[t * work->in_stride + k] =
            (real) ((in[(at + t) * chain->n_in + k] - model->in_shift[k])
                    * model->in_scale[k]);
    seq_chain_run (chain, work, &pass);
    for (guint t = 0; t < m; t++)
      for (guint o = 0; o < chain->n_out; o++)
        out[(at + t) * chain->n_out + o] =
            (float) (work->out[t * work->out_stride + o] * model->out_scale[o]
                     + model->out_shift[o]);
  }
  seq_free (state);
  return out;
}

static const char *
text_of (json_t *object, const char *key, const char *fallback)
{
  const char *text = json_string_value (json_object_get (object, key));

  return text ? text : fallback;
}

/* The hints that a case requires. */
static GVariant *
hints_of (json_t *requires)
{
  GVariantDict dict;
  const char *key;
  json_t *value;

  g_variant_dict_init (&dict, NULL);
  json_object_foreach (requires, key, value)
  {
    if (json_is_string (value))
      g_variant_dict_insert (&dict, key, "s", json_string_value (value));
    else
      g_variant_dict_insert (
          &dict, key, "u", (guint) json_integer_value (value));
  }
  return g_variant_dict_end (&dict);
}

static void
test_case (gconstpointer data)
{
  const char *folder = data;
  g_autofree char *about = g_build_filename (folder, "case.json", NULL);
  json_t *object = json_load_file (about, 0, NULL);
  const char *category = text_of (object, "category", "core");
  g_autofree char *path = g_build_filename (
      folder, text_of (object, "model", "model.safetensors"), NULL);
  g_autofree char *in_path =
      g_build_filename (folder, text_of (object, "input", "input.f32"), NULL);
  g_autofree char *out_path = g_build_filename (
      folder, text_of (object, "expected", "expected.f32"), NULL);
  g_autofree char *in = NULL, *expected = NULL;
  g_autofree float *out = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (SeqModel) model = seq_model_load (
      path, hints_of (json_object_get (object, "requires")), &error);
  gboolean onnx = g_str_has_suffix (path, ".onnx");
  double tolerance = json_number_value (
             json_object_get (object, "suggested_tolerance")),
         worst = 0;
  gsize n_in, n_expected, n;
  guint n_out;

  if (onnx && !g_strv_contains (seq_model_formats (), "ONNX")) {
    g_test_skip ("NOT RUN: this build does not read ONNX");
    goto done;
  }
  if (!(tolerance > 0))
    tolerance = TOLERANCE;
  if (g_str_equal (category, "reject")) {
    g_assert_null (model);
    g_test_message ("refused: %s", error->message);
    goto done;
  }
  if (!model
      && (g_str_equal (category, "optional")
          || g_str_equal (category, "ambiguous"))) {
    g_assert_cmpuint (strlen (error->message), >, 20);
    g_test_message ("refused, as it may be: %s", error->message);
    goto done;
  }
  g_assert_no_error (error);

  g_assert_true (g_file_get_contents (in_path, &in, &n_in, NULL));
  g_assert_true (g_file_get_contents (out_path, &expected, &n_expected, NULL));
  n = n_in / sizeof (float) / model->chain->n_in;
  out = run_model (model, (float *) in, n, &n_out);
  g_assert_cmpuint (n * n_out * sizeof (float), ==, n_expected);
  for (gsize i = 0; i < n * n_out; i++)
    worst = MAX (worst, fabs (out[i] - ((float *) expected)[i]));
  g_test_message ("%s, %s: largest error %.1e of %.1e", model->format, category,
      worst, tolerance);
  if (g_str_equal (category, "ambiguous"))
    goto done;
  g_assert_cmpfloat (worst, <=, tolerance);
  /* what AIDA-X's own trainer wrote beside the weights */
  if (seq_model_self_test (path, model, &worst, &n, NULL)) {
    g_test_message ("embedded batch of %zu: largest error %.1e", n, worst);
    g_assert_cmpfloat (worst, <=, tolerance);
  }

done:
  json_decref (object);
}

/* A file that must be refused, loaded, or either; and in no case crash. */
static void
check_bad (const char *path, const char *must)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SeqModel) model = seq_model_load (path, NULL, &error);
  g_autofree char *name = g_path_get_basename (path);

  if (model) {
    g_test_message ("%s: loads (%s)", name, must);
    if (!g_str_has_prefix (must, "load") && !strstr (must, "-or-load"))
      g_error ("%s: loads where it must be refused", name);
  } else {
    g_test_message ("%s", error->message);
    if (g_str_equal (must, "load"))
      g_error ("%s: refused where it must load: %s", name, error->message);
    g_assert_nonnull (strstr (error->message, name));
    g_assert_cmpuint (strlen (error->message), >, strlen (name) + 10);
  }
}

static void
test_bad (gconstpointer data)
{
  const char *folder = data;
  g_autofree char *about = g_build_filename (folder, "bad.json", NULL);
  json_t *list = json_load_file (about, 0, NULL), *entry;
  gsize i;

  g_assert_nonnull (list);
  if (g_str_has_suffix (folder, "onnx")
      && !g_strv_contains (seq_model_formats (), "ONNX")) {
    g_test_skip ("NOT RUN: this build does not read ONNX");
    json_decref (list);
    return;
  }
  json_array_foreach (list, i, entry)
  {
    g_autofree char *path =
        g_build_filename (folder, text_of (entry, "file", ""), NULL);

    check_bad (path, text_of (entry, "must", "refuse"));
  }
  json_decref (list);
}

/* --- files of our own -------------------------------------------------------
 */

static const struct {
  const char *name, *kind, *options;
  guint n_signal, n_layers;
} own[] = {
  { "lstm", "lstm", "{'hidden_size': <9>}", 1, 2 },
  { "lstm-proj", "lstm", "{'hidden_size': <9>, 'proj_size': <3>}", 2, 1 },
  { "lstm-state", "lstm", "{'hidden_size': <5>, 'initial_state': <1>}", 1, 1 },
  { "gru", "gru", "{'hidden_size': <20>}", 2, 3 },
  { "gru-before", "gru", "{'hidden_size': <4>, 'reset_after': <0>}", 1, 1 },
  { "rnn-relu", "rnn", "{'hidden_size': <6>, 'nonlinearity': <'relu'>}", 1, 2 },
  { "ar", "ar", "{'lags': <[1, 2, 24]>}", 3, 1 },
  { "markov", "markov", "{'states': <7>}", 1, 1 },
  { "naive", "naive", "{'history': <64>, 'order': <4>}", 2, 1 },
};

static SeqModel *
make_own (guint i)
{
  g_autoptr (GError) error = NULL;
  SeqModel *model = seq_model_new_untrained (own[i].kind,
      g_variant_new_parsed (own[i].options), own[i].n_signal, own[i].n_layers,
      FALSE, FALSE, i + 1, &error);

  g_assert_no_error (error);
  return model;
}

static double *
filled (guint n, double value)
{
  double *values = g_new (double, n);

  for (guint i = 0; i < n; i++)
    values[i] = value;
  return values;
}

/* What is written reads back as it was: every kind, every bit. */
static void
test_identity (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (own); i++) {
    g_autoptr (SeqModel) plain = make_own (i), model = NULL, back = NULL;
    g_autoptr (SeqBuilder) builder = seq_builder_new_from (plain);
    g_autofree double *third = filled (plain->n_in, 1 / 3.0);
    g_autofree double *least = filled (plain->n_out, 1e-300);
    g_autoptr (GError) error = NULL;
    g_autoptr (GBytes) bytes = NULL;

    seq_builder_set_rate (builder, 44100);
    seq_builder_set_scales (builder, third, NULL, NULL, least);
    seq_builder_set_metadata (builder, "author", "a \"name\"\n");
    model = seq_builder_finish (builder, NULL);
    bytes = seq_write_safetensors (model);
    back = seq_model_load_bytes (bytes, own[i].name, NULL, NULL, &error);
    g_assert_no_error (error);
    g_assert_cmpuint (back->chain->n_layers, ==, model->chain->n_layers);
    g_assert_cmpuint (back->chain->skip, ==, model->chain->skip);
    g_assert_cmpmem (back->weights, back->chain->n_weights * sizeof (real),
        model->weights, model->chain->n_weights * sizeof (real));
    g_assert_cmpfloat (back->rate, ==, 44100);
    g_assert_cmpfloat (back->in_scale[0], ==, 1 / 3.0);
    g_assert_cmpfloat (back->out_shift[0], ==, 1e-300);
    g_assert_cmpuint (back->horizon, ==, model->horizon);
    g_assert_cmpstr (
        g_hash_table_lookup (back->metadata, "author"), ==, "a \"name\"\n");
  }
}

/* PyTorch finds its own names and shapes in what we write. */
static void
test_pytorch_names (void)
{
  static const struct {
    const char *name;
    guint rank, rows, cols;
  } wanted[] = { { "lstm.weight_ih_l0", 2, 36, 1 },
    { "lstm.weight_hh_l0", 2, 36, 9 }, { "lstm.bias_ih_l0", 1, 36, 1 },
    { "lstm.bias_hh_l0", 1, 36, 1 }, { "lstm.weight_ih_l1", 2, 36, 9 },
    { "lstm.weight_hh_l1", 2, 36, 9 }, { "lstm.bias_ih_l1", 1, 36, 1 },
    { "lstm.bias_hh_l1", 1, 36, 1 }, { "dense.weight", 2, 1, 9 },
    { "dense.bias", 1, 1, 1 } };
  g_autoptr (SeqModel) model = make_own (0);
  g_autoptr (GBytes) bytes = seq_write_safetensors (model);
  g_autoptr (SeqSafetensors) file = seq_safetensors_parse (bytes, NULL);

  g_assert_cmpuint (file->tensors->len, ==, G_N_ELEMENTS (wanted));
  for (guint i = 0; i < G_N_ELEMENTS (wanted); i++) {
    const SeqTensorData *t = seq_safetensors_find (file, wanted[i].name);

    g_assert_nonnull (t);
    g_assert_cmpuint (t->rank, ==, wanted[i].rank);
    g_assert_cmpuint (t->shape[0], ==, wanted[i].rows);
    if (t->rank == 2)
      g_assert_cmpuint (t->shape[1], ==, wanted[i].cols);
  }
}

/* Two models give the same output, to a tolerance. */
static void
compare (const SeqModel *model, const SeqModel *back, double tolerance)
{
  float in[200];
  guint n = 200 / model->chain->n_in, n_out;
  g_autofree float *a = NULL, *b = NULL;

  for (guint t = 0; t < 200; t++)
    in[t] = (float) sin (0.1 * t);
  g_assert_cmpuint (back->chain->n_in, ==, model->chain->n_in);
  a = run_model (model, in, n, &n_out);
  b = run_model (back, in, n, &n_out);
  for (guint i = 0; i < n * n_out; i++)
    g_assert_cmpfloat (fabs (a[i] - b[i]), <=, tolerance);
}

/* The same weights without our metadata are a state_dict, and sound alike. */
static void
test_state_dict (void)
{
  for (guint i = 0; i < 5; i++) {
    g_autoptr (SeqModel) model = make_own (i), back = NULL;
    g_autoptr (GBytes) bytes = seq_write_safetensors (model), plain = NULL;
    g_autoptr (SeqSafetensors) file = seq_safetensors_parse (bytes, NULL);
    g_autoptr (GError) error = NULL;

    if (strstr (own[i].options, "initial_state")
        || strstr (own[i].options, "reset_after"))
      continue; /* which a state_dict can't say */
    plain = seq_safetensors_write (
        (SeqTensorData *) file->tensors->data, file->tensors->len, NULL);
    back = seq_model_load_bytes (plain, "plain", NULL, NULL, &error);
    g_assert_no_error (error);
    compare (model, back, 0);
  }
}

/* RTNeural's JSON of ours reads back with the same output, to the bit. */
static void
test_rtneural (void)
{
  static const guint which[] = { 0, 3 };

  for (guint i = 0; i < G_N_ELEMENTS (which); i++) {
    g_autoptr (SeqModel) model = make_own (which[i]), back = NULL;
    g_autoptr (GError) error = NULL;
    g_autoptr (GBytes) bytes = seq_write_rtneural (model, &error);

    g_assert_no_error (error);
    back = seq_model_load_bytes (bytes, "ours", NULL, NULL, &error);
    g_assert_no_error (error);
    compare (model, back, 0);
  }
  {
    g_autoptr (SeqModel) before = make_own (4); /* reset_after = 0 */
    g_autoptr (GError) error = NULL;

    g_assert_null (seq_write_rtneural (before, &error));
    g_assert_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED);
  }
}

/* So does ONNX of ours, whatever stands around the net; what the format has no
 * word for is refused. */
static void
test_onnx (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (own); i++)
    for (guint variant = 0; variant < 4; variant++) {
      gboolean residual = variant & 1, scaled = variant & 2;
      g_autoptr (SeqModel) plain = make_own (i), model = NULL, back = NULL;
      g_autoptr (SeqBuilder) builder = seq_builder_new_from (plain);
      g_autofree double *third = filled (plain->n_in, 1 / 3.0);
      g_autofree double *three = filled (plain->n_out, 3);
      g_autofree double *shift = filled (MAX (plain->n_in, plain->n_out), 0.25);
      g_autoptr (GError) error = NULL;
      g_autoptr (GBytes) bytes = NULL;

      seq_builder_set_skip (builder, residual ? own[i].n_signal : 0);
      seq_builder_set_rate (builder, 44100);
      if (scaled)
        seq_builder_set_scales (builder, third, shift, three, shift);
      model = seq_builder_finish (builder, NULL);
      bytes = seq_write_onnx (model, &error);
      if (strstr (own[i].options, "proj_size") || i > 5) {
        g_assert_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED);
        continue;
      }
      g_assert_no_error (error);
      back = seq_model_load_bytes (bytes, own[i].name, NULL, NULL, &error);
      g_assert_no_error (error);
      g_assert_cmpfloat (back->rate, ==, 44100);
      compare (model, back, scaled ? 2e-6 : 0);
    }
}

/* --- damage ------------------------------------------------------------------
 */

/* A small good file of each format. */
enum { SAFETENSORS, RTNEURAL, ONNX, NAM, GUITARML, N_FORMATS };

static GBytes *
good_file (guint format)
{
  g_autoptr (SeqModel) model = seq_model_new_untrained ("lstm",
      g_variant_new_parsed ("{'hidden_size': <2>}"), 1, 1, FALSE, FALSE, 1,
      NULL);

  switch (format) {
    case SAFETENSORS:
      return seq_write_safetensors (model);
    case RTNEURAL:
      return seq_write_rtneural (model, NULL);
    case ONNX:
      return seq_write_onnx (model, NULL);
    case NAM: {
      static const char nam[] =
          "{\"version\":\"0.5.1\",\"architecture\":"
          "\"LSTM\",\"config\":{\"num_layers\":1,\"hidden_size\":1,"
          "\"input_size\":1},\"weights\":[1e-1,2,3,4,5,6,7,8,9,10,11,12,0,0,"
          "1.5,-2],\"sample_rate\":48000}";

      return g_bytes_new_static (nam, strlen (nam));
    }
    default: {
      static const char gml[] =
          "{\"model_data\":{\"model\":\"SimpleRNN\","
          "\"input_size\":1,\"skip\":1,\"output_size\":1,\"unit_type\":\"GRU\","
          "\"num_layers\":1,\"hidden_size\":1,\"bias_fl\":true},"
          "\"state_dict\":{\"rec.weight_ih_l0\":[[1],[2],[3]],"
          "\"rec.weight_hh_l0\":[[1],[2],[3]],\"rec.bias_ih_l0\":[1,2,3],"
          "\"rec.bias_hh_l0\":[1,2,3],\"lin.weight\":[[0.5]],"
          "\"lin.bias\":[0.25]}}";

      return g_bytes_new_static (gml, strlen (gml));
    }
  }
}

/* What the user adds works with every format, or is refused. */
static void
test_hints (void)
{
  for (guint format = 0; format < N_FORMATS; format++) {
    g_autoptr (GBytes) file = good_file (format);
    g_autoptr (SeqModel) plain =
        seq_model_load_bytes (file, "plain", NULL, NULL, NULL);
    g_autoptr (SeqModel) model = NULL;
    g_autoptr (GError) error = NULL;
    float in[8] = { 0.5f, -0.5f };
    g_autofree float *a = NULL, *b = NULL;
    guint n_out;

    model = seq_model_load_bytes (file, "hinted", NULL,
        g_variant_new_parsed ("{'rate': <32000.0>, 'residual': <uint32 1>, "
                              "'output_activation': <'sigmoid'>}"),
        &error);
    g_assert_no_error (error);
    g_assert_cmpfloat (model->rate, ==, 32000);
    a = run_model (plain, in, 8, &n_out);
    b = run_model (model, in, 8, &n_out);
    for (guint t = 0; t < 8; t++) {
      float net = a[t] - (plain->chain->skip ? in[t] : 0);

      g_assert_cmpfloat_with_epsilon (b[t], 1 / (1 + exp (-net)) + in[t], 1e-5);
    }
    if (format == GUITARML) /* a state_dict, which takes them */
      continue;
    g_assert_null (seq_model_load_bytes (file, "hinted", NULL,
        g_variant_new_parsed ("{'nonlinearity': <'relu'>}"), &error));
    g_assert_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG);
  }
}

/* Every truncation is an error; every flipped byte an error or a model that
 * runs. Never a crash. */
static void
test_damage (gconstpointer data)
{
  guint format = GPOINTER_TO_UINT (data);
  g_autoptr (GBytes) good = good_file (format);
  g_autoptr (GError) error = NULL;
  g_autoptr (SeqModel) model =
      seq_model_load_bytes (good, "good", NULL, NULL, &error);
  gsize n;
  const guint8 *bytes = g_bytes_get_data (good, &n);

  g_assert_no_error (error);
  for (gsize i = 0; i < n; i++) {
    g_autoptr (GBytes) cut = g_bytes_new_from_bytes (good, 0, i);
    g_autoptr (GError) why = NULL;

    g_assert_null (seq_model_load_bytes (cut, "cut", NULL, NULL, &why));
    g_assert_nonnull (why);
  }
  for (gsize i = 0; i < n; i++)
    for (guint bit = 0; bit < 8; bit++) {
      g_autofree guint8 *flipped = g_memdup2 (bytes, n);
      g_autoptr (GBytes) other = NULL;
      g_autoptr (SeqModel) odd = NULL;
      float in[64] = { 0.5f };
      guint n_out;

      flipped[i] ^= 1 << bit;
      other = g_bytes_new_take (g_steal_pointer (&flipped), n);
      odd = seq_model_load_bytes (other, "odd", NULL, NULL, NULL);
      if (odd && odd->chain->n_in <= 8)
        g_free (run_model (odd, in, 8, &n_out));
    }
}

/* Claims are refused before anything is allocated for them. */
static void
test_claims (void)
{
  static const char *const headers[] = {
    "{\"lstm.weight_hh_l0\":{\"dtype\":\"F32\",\"shape\":[400000000000,"
    "1000000000000],\"data_offsets\":[0,16]}}",
    "{\"a\":{\"dtype\":\"F32\",\"shape\":[1099511627776],\"data_offsets\":[0,"
    "4398046511104]}}",
    "{\"__metadata__\":{\"seqfilter.model\":\"(1, [('lstm', {'hidden_size': "
    "<4096>}), ('lstm', {'hidden_size': <4096>}), ('lstm', {'hidden_size': "
    "<4096>})], 16384, 0, 1, 0, 0.0, @ad [])\"}}",
  };

  for (guint i = 0; i < G_N_ELEMENTS (headers); i++) {
    g_autoptr (GByteArray) file = g_byte_array_new ();
    g_autoptr (GBytes) bytes = NULL;
    g_autoptr (GError) error = NULL;
    guint64 n = GUINT64_TO_LE (strlen (headers[i]));
    guint8 zeros[16] = { 0 };

    g_byte_array_append (file, (guint8 *) &n, 8);
    g_byte_array_append (
        file, (const guint8 *) headers[i], (guint) strlen (headers[i]));
    if (i == 0)
      g_byte_array_append (file, zeros, 16);
    bytes = g_bytes_new (file->data, file->len);
    g_assert_null (seq_model_load_bytes (bytes, "claims", NULL, NULL, &error));
    g_test_message ("%s", error->message);
  }
}

static void
remove_tree (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *name;

  while (dir && (name = g_dir_read_name (dir))) {
    g_autofree char *entry = g_build_filename (path, name, NULL);

    remove_tree (entry);
  }
  g_remove (path);
}

/* --- hostile ONNX -----------------------------------------------------------
 */

/* A small LSTM, taken apart. Free with onnx__model__free_unpacked(). */
static Onnx__Model *
onnx_parts (void)
{
  g_autoptr (GBytes) file = good_file (ONNX);
  gsize size;
  const guint8 *data = g_bytes_get_data (file, &size);

  return onnx__model__unpack (NULL, size, data);
}

static GBytes *
onnx_whole (const Onnx__Model *parts)
{
  gsize size = onnx__model__get_packed_size (parts);
  guint8 *bytes = g_malloc (size);

  onnx__model__pack (parts, bytes);
  return g_bytes_new_take (bytes, size);
}

static void
add_entry (Onnx__Tensor *t, const char *key, const char *value)
{
  Onnx__StringStringEntry *e = g_new0 (Onnx__StringStringEntry, 1);

  onnx__string_string_entry__init (e);
  e->key = g_strdup (key);
  e->value = g_strdup (value);
  t->external_data = g_renew (
      Onnx__StringStringEntry *, t->external_data, t->n_external_data + 1);
  t->external_data[t->n_external_data++] = e;
}

/* The model with the weights W outside, where it says. */
static GBytes *
with_outside (const char *location, const char *offset, const char *length)
{
  Onnx__Model *parts = onnx_parts ();
  Onnx__Tensor *w = parts->graph->initializer[0];
  GBytes *whole;

  g_clear_pointer (&w->raw_data.data, g_free);
  w->raw_data.len = 0;
  w->has_raw_data = FALSE;
  w->has_data_location = TRUE;
  w->data_location = 1;
  add_entry (w, "location", location);
  if (offset)
    add_entry (w, "offset", offset);
  if (length)
    add_entry (w, "length", length);
  whole = onnx_whole (parts);
  onnx__model__free_unpacked (parts, NULL);
  return whole;
}

/* Data outside the file: inside its folder, and only there. W of the model has
 * 8 floats. */
static void
test_onnx_outside (void)
{
  static const struct {
    const char *location, *offset, *length;
  } hostile[] = { { "../secret", NULL, NULL },
    { "in/../../secret", NULL, NULL }, { "/etc/passwd", NULL, NULL },
    { "out", NULL, NULL }, { "", NULL, NULL }, { "missing", NULL, NULL },
    { "pipe", NULL, NULL }, { ".", NULL, NULL }, { "data", "5", NULL },
    { "data", "-4", NULL }, { "data", "18446744073709551612", NULL },
    { "data", "4", "1099511627776" }, { "data", "4", "31" },
    { "data", "four", NULL }, { "empty", NULL, NULL } };
  g_autofree char *top = g_dir_make_tmp ("seq-XXXXXX", NULL);
  g_autofree char *folder = g_build_filename (top, "model", NULL);
  g_autofree char *data = g_build_filename (folder, "data", NULL);
  g_autofree char *empty = g_build_filename (folder, "empty", NULL);
  g_autofree char *pipe = g_build_filename (folder, "pipe", NULL);
  g_autofree char *out = g_build_filename (folder, "out", NULL);
  g_autofree char *in = g_build_filename (folder, "in", NULL);
  g_autofree char *secret = g_build_filename (top, "secret", NULL);
  g_autoptr (GBytes) whole = good_file (ONNX), outside = NULL;
  g_autoptr (SeqModel) model =
      seq_model_load_bytes (whole, "whole", NULL, NULL, NULL);
  g_autoptr (SeqModel) back = NULL;
  g_autoptr (GError) error = NULL;
  Onnx__Model *parts = onnx_parts ();
  g_autofree char *bytes = g_malloc0 (36);

  memcpy (bytes + 4, parts->graph->initializer[0]->raw_data.data, 32);
  onnx__model__free_unpacked (parts, NULL);
  g_mkdir (folder, 0700);
  g_mkdir (in, 0700);
  g_assert_true (g_file_set_contents (data, bytes, 36, NULL)
                 && g_file_set_contents (secret, bytes, 36, NULL)
                 && g_file_set_contents (empty, "", 0, NULL));
  g_assert_cmpint (symlink ("../secret", out), ==, 0);
  g_assert_cmpint (mkfifo (pipe, 0600), ==, 0);

  outside = with_outside ("data", "4", "32");
  back = seq_model_load_bytes (outside, "outside", folder, NULL, &error);
  g_assert_no_error (error);
  compare (model, back, 0);
  g_assert_null (seq_model_load_bytes (outside, "nowhere", NULL, NULL, NULL));
  for (guint i = 0; i < G_N_ELEMENTS (hostile); i++) {
    g_autoptr (GBytes) file = with_outside (
        hostile[i].location, hostile[i].offset, hostile[i].length);
    g_autoptr (GError) why = NULL;

    g_assert_null (seq_model_load_bytes (file, "hostile", folder, NULL, &why));
    g_test_message ("%s", why->message);
    g_assert_nonnull (strstr (why->message, "external data"));
  }
  remove_tree (top);
}

/* A node before all others. */
static Onnx__Node *
put_node (Onnx__Graph *graph, const char *op, const char *in1, const char *in2,
    const char *out)
{
  Onnx__Node *node = g_new0 (Onnx__Node, 1);

  onnx__node__init (node);
  node->op_type = g_strdup (op);
  node->n_input = in2 ? 2 : 1;
  node->input = g_new0 (char *, 2);
  node->input[0] = g_strdup (in1);
  node->input[1] = g_strdup (in2);
  node->n_output = 1;
  node->output = g_new0 (char *, 1);
  node->output[0] = g_strdup (out);
  graph->node = g_renew (Onnx__Node *, graph->node, graph->n_node + 1);
  memmove (
      graph->node + 1, graph->node, graph->n_node++ * sizeof (Onnx__Node *));
  graph->node[0] = node;
  return node;
}

/* What takes little room in the file and would take much in memory, and graphs
 * that go in circles. W, input 1 of the LSTM, is what they compute. */
static void
test_onnx_claims (void)
{
  static const char *const tricks[] = { "dims", "ConstantOfShape", "Expand",
    "Concat", "circle", "Transpose" };

  for (guint i = 0; i < G_N_ELEMENTS (tricks); i++) {
    Onnx__Model *parts = onnx_parts ();
    Onnx__Graph *graph = parts->graph;
    Onnx__Tensor *w = graph->initializer[0];
    Onnx__Node *lstm = graph->node[1];
    g_autoptr (GBytes) file = NULL;
    g_autoptr (GError) error = NULL;

    g_assert_cmpstr (lstm->op_type, ==, "LSTM");
    if (i == 0) {
      w->dims[1] = (gint64) 1 << 40;
    } else {
      g_free (lstm->input[1]);
      lstm->input[1] = g_strdup ("trick");
    }
    if (i == 1 || i == 2) { /* a shape of 2^40 x 4, in raw_data */
      gint64 shape[4] = { GINT64_TO_LE ((gint64) 1 << 40), GINT64_TO_LE (4), 1,
        1 };

      memcpy (w->raw_data.data, shape, sizeof shape);
      w->data_type = 7;
      w->n_dims = 1;
      w->dims[0] = 4;
      put_node (graph, tricks[i], i == 1 ? w->name : lstm->input[2],
          i == 1 ? NULL : w->name, "trick");
    } else if (i == 3) { /* 60 times twice as much */
      g_autofree char *out = g_strdup ("trick");

      for (guint k = 60; k > 0; k--) {
        g_autofree char *in =
            k > 1 ? g_strdup_printf ("c%u", k) : g_strdup (w->name);

        put_node (graph, "Concat", in, in, out);
        g_free (out);
        out = g_strdup (in);
      }
    } else if (i == 4) {
      put_node (graph, "Identity", "trick", NULL, "circle");
      put_node (graph, "Identity", "circle", NULL, "trick");
    } else if (i == 5) { /* no values, 2^40 times */
      w->dims[0] = (gint64) 1 << 40;
      w->dims[1] = 0;
      w->raw_data.len = 0;
      put_node (graph, "Transpose", w->name, NULL, "trick");
    }
    file = onnx_whole (parts);
    onnx__model__free_unpacked (parts, NULL);
    g_assert_null (seq_model_load_bytes (file, tricks[i], NULL, NULL, &error));
    g_test_message ("%s", error->message);
  }
}

static void
put_list (Onnx__Node *node, const char *name, gint64 value)
{
  Onnx__Attribute *a = g_new0 (Onnx__Attribute, 1);

  onnx__attribute__init (a);
  a->name = g_strdup (name);
  a->n_ints = 1;
  a->ints = g_new (int64_t, 1);
  a->ints[0] = value;
  node->attribute =
      g_renew (Onnx__Attribute *, node->attribute, node->n_attribute + 1);
  node->attribute[node->n_attribute++] = a;
}

/* A Slice of the input, [batch][time][features]: all of it or nothing runs. */
static void
test_onnx_slice (void)
{
  static const struct {
    gint64 axis, start, end;
    gboolean runs;
  } slices[] = { { 1, 0, G_MAXINT64, TRUE }, { -2, 0, G_MAXINT32, TRUE },
    { 2, 0, 1, TRUE }, { 0, 0, 1, TRUE }, { 1, 0, -1, FALSE },
    { 1, 0, -2, FALSE }, { 1, 0, -3, FALSE }, { 1, 0, G_MININT64, FALSE },
    { 1, -1, G_MAXINT64, FALSE }, { 1, 1, G_MAXINT64, FALSE },
    { 1, 0, 16, FALSE }, { 3, 0, G_MAXINT64, FALSE } };

  for (guint i = 0; i < G_N_ELEMENTS (slices); i++) {
    Onnx__Model *parts = onnx_parts ();
    Onnx__Node *first = parts->graph->node[0], *slice;
    g_autoptr (GBytes) file = NULL;
    g_autoptr (SeqModel) model = NULL;
    g_autoptr (GError) error = NULL;

    g_free (first->input[0]);
    first->input[0] = g_strdup ("slice");
    slice = put_node (parts->graph, "Slice", "input", NULL, "slice");
    put_list (slice, "starts", slices[i].start);
    put_list (slice, "ends", slices[i].end);
    put_list (slice, "axes", slices[i].axis);
    file = onnx_whole (parts);
    onnx__model__free_unpacked (parts, NULL);
    model = seq_model_load_bytes (file, "slice", NULL, NULL, &error);
    if (error)
      g_test_message ("%s", error->message);
    g_assert_cmpint (model != NULL, ==, slices[i].runs);
  }
}

static void
test_nesting (void)
{
  gsize n = 1000000;
  g_autofree char *text = g_malloc (n + 8);
  g_autoptr (GBytes) bytes = NULL;
  g_autoptr (GError) error = NULL;

  memcpy (text, "{\"a\":", 5);
  memset (text + 5, '[', n);
  bytes = g_bytes_new (text, n + 5);
  g_assert_null (seq_model_load_bytes (bytes, "deep", NULL, NULL, &error));
  g_test_message ("%s", error->message);
}

/* Into a locale with a decimal comma: one that is installed, or one made here
 * below `folder`. */
static gboolean
enter_comma_locale (const char *folder)
{
  g_autofree char *path = g_build_filename (folder, "de_DE.UTF-8", NULL);
  const char *make[] = { "localedef", "-i", "de_DE", "-f", "UTF-8", path,
    NULL };

  if (setlocale (LC_ALL, "de_DE.UTF-8") || setlocale (LC_ALL, "fr_FR.UTF-8"))
    return TRUE;
  g_spawn_sync (NULL, (char **) make, NULL,
      G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL
          | G_SPAWN_STDERR_TO_DEV_NULL,
      NULL, NULL, NULL, NULL, NULL, NULL);
  g_setenv ("LOCPATH", folder, TRUE);
  return setlocale (LC_ALL, "de_DE.UTF-8") != NULL;
}

/* A locale with a decimal comma changes nothing, in reading or in writing. */
static void
test_locale (void)
{
  g_autofree char *folder = g_dir_make_tmp ("seq-XXXXXX", NULL);

  for (guint format = 0; format < N_FORMATS; format++) {
    g_autoptr (GBytes) file = good_file (format), again = NULL;
    g_autoptr (SeqModel) a = seq_model_load_bytes (file, "c", NULL, NULL, NULL);
    g_autoptr (SeqModel) b = NULL;

    g_assert_nonnull (a);
    if (!enter_comma_locale (folder)) {
      g_test_skip ("NOT RUN: there is no de_DE.UTF-8, and without Debian's "
                   "`locales` none can be made");
      break;
    }
    g_assert_cmpstr (localeconv ()->decimal_point, ==, ",");
    b = seq_model_load_bytes (file, "comma", NULL, NULL, NULL);
    again = good_file (format);
    setlocale (LC_ALL, "C");
    g_assert_nonnull (b);
    g_assert_cmpmem (a->weights, a->chain->n_weights * sizeof (real),
        b->weights, b->chain->n_weights * sizeof (real));
    g_assert_true (g_bytes_equal (file, again));
  }
  remove_tree (folder);
}

/* A file is there whole or not at all. */
static void
test_save (void)
{
  g_autofree char *folder = g_dir_make_tmp ("seq-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder, "a.safetensors", NULL);
  g_autoptr (SeqModel) model = make_own (0), back = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_true (seq_model_save (model, path, "safetensors", &error));
  back = seq_model_load (path, NULL, &error);
  g_assert_no_error (error);
  g_assert_false (
      seq_model_save (model, "/nowhere/a.safetensors", "safetensors", &error));
  g_assert_nonnull (strstr (error->message, "/nowhere/a.safetensors"));
  g_unlink (path);
  g_assert_cmpint (g_rmdir (folder), ==, 0); /* nothing else was left there */
}

/* What isn't a model says what it is, and what to do. */
static void
test_strangers (void)
{
  static const struct {
    const char *bytes, *word;
  } files[] = { { "PK\3\4abcdefgh", "safetensors" },
    { "\x89HDF\r\n\x1a\n", "HDF5" }, { "hello", "no model" },
    { "", "no model" } };

  for (guint i = 0; i < G_N_ELEMENTS (files); i++) {
    g_autoptr (GBytes) bytes =
        g_bytes_new (files[i].bytes, strlen (files[i].bytes));
    g_autoptr (GError) error = NULL;

    g_assert_null (seq_model_load_bytes (bytes, "file", NULL, NULL, &error));
    g_assert_nonnull (strstr (error->message, files[i].word));
  }
}

/* Adds a test for each folder below `path` that holds `file`. */
static guint
add_folders (
    const char *path, const char *file, const char *name, GTestDataFunc func)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *entry;
  guint n = 0;

  while (dir && (entry = g_dir_read_name (dir))) {
    g_autofree char *folder = g_build_filename (path, entry, NULL);
    g_autofree char *about = g_build_filename (folder, file, NULL);
    g_autofree char *label = g_strdup_printf ("%s/%s", name, entry);

    if (!g_file_test (folder, G_FILE_TEST_IS_DIR))
      continue;
    if (g_file_test (about, G_FILE_TEST_EXISTS)) {
      g_test_add_data_func_full (label, g_strdup (folder), func, g_free);
      n++;
    } else {
      n += add_folders (folder, file, label, func);
    }
  }
  return n;
}

static void
test_absent (void)
{
  g_test_skip ("NOT RUN: the reference cases of ../shared are absent");
}

int
main (int argc, char **argv)
{
  static const char *const formats[N_FORMATS] = { "safetensors", "rtneural",
    "onnx", "nam", "guitarml" };
  const char *shared = g_getenv ("SEQ_SHARED");
  g_autofree char *cases =
      g_build_filename (shared ? shared : "", "cases", NULL);

  g_test_init (&argc, &argv, NULL);
  if (add_folders (cases, "case.json", "/io/case", test_case)
          + add_folders (cases, "bad.json", "/io/bad", test_bad)
      == 0)
    g_test_add_func ("/io/case", test_absent);
  for (guint i = 0; i < G_N_ELEMENTS (formats); i++) {
    g_autofree char *name = g_strdup_printf ("/io/damage/%s", formats[i]);

    g_test_add_data_func (name, GUINT_TO_POINTER (i), test_damage);
  }
  g_test_add_func ("/io/identity", test_identity);
  g_test_add_func ("/io/pytorch-names", test_pytorch_names);
  g_test_add_func ("/io/state-dict", test_state_dict);
  g_test_add_func ("/io/rtneural", test_rtneural);
  g_test_add_func ("/io/onnx", test_onnx);
  g_test_add_func ("/io/hints", test_hints);
  g_test_add_func ("/io/claims", test_claims);
  g_test_add_func ("/io/onnx-outside", test_onnx_outside);
  g_test_add_func ("/io/onnx-claims", test_onnx_claims);
  g_test_add_func ("/io/onnx-slice", test_onnx_slice);
  g_test_add_func ("/io/nesting", test_nesting);
  g_test_add_func ("/io/locale", test_locale);
  g_test_add_func ("/io/save", test_save);
  g_test_add_func ("/io/strangers", test_strangers);
  return g_test_run ();
}
