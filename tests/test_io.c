/* test_io.c: model files: reference cases, damaged and hostile files, and what
 * is written reads back.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Formats come from their table, kinds from theirs, and files from folders:
 * what is added is tested here by being there. Reference cases have a
 * case.json, an input and the output that is expected. A format that is only
 * read needs a small file in tests/fuzz/corpus.
 */
#include "onnx.pb-c.h"
#include "src/io/format.h"
#include "src/io/json.h"
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
  if (json_is_string (requires)) { /* in words */
    const char *size = strstr (json_string_value (requires), "size ");

    if (size)
      g_variant_dict_insert (
          &dict, "size", "d", g_ascii_strtod (size + 5, NULL));
  }
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
  double tolerance = json_number_value (
             json_object_get (object, "suggested_tolerance")),
         worst = 0;
  gsize n_in, n_expected, n;
  guint n_out;

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
  json_array_foreach (list, i, entry)
  {
    g_autofree char *path =
        g_build_filename (folder, text_of (entry, "file", ""), NULL);

    check_bad (path, text_of (entry, "must", "refuse"));
  }
  json_decref (list);
}

/* --- models to write --------------------------------------------------------
 */

/* A model of layers of one kind, and a dense head unless the kind learns. */
typedef struct {
  const char *name, *kind, *options;
  guint n_in, n_layers;
} Spec;

/* Beside one of each kind that there is. */
static const Spec special[] = {
  { "lstm-two", "lstm", "{'hidden_size': <9>}", 1, 2 },
  { "lstm-proj", "lstm", "{'hidden_size': <9>, 'proj_size': <3>}", 2, 1 },
  { "lstm-start", "lstm", "{'hidden_size': <5>, 'initial_state': <1>}", 1, 1 },
  { "gru-three", "gru", "{'hidden_size': <20>}", 2, 3 },
  { "gru-before", "gru", "{'hidden_size': <4>, 'reset_after': <0>}", 1, 1 },
  { "rnn-relu", "rnn", "{'hidden_size': <6>, 'nonlinearity': <'relu'>}", 1, 2 },
  { "ar-lags", "ar", "{'lags': <[1, 2, 24]>}", 3, 1 },
};

/* What a model says beside its layers, a bit each. */
enum { SKIP = 1, SCALES = 2, KNOBS = 4, RATE = 8, N_VARIANTS = 16 };

/* Any number of 0.1 to 0.9 in every tensor. */
static void
fill (SeqBuilder *builder, guint layer, GRand *rand)
{
  const SeqLayer *l = seq_builder_layer (builder, layer);

  for (guint i = 0; i < l->n_tensors; i++) {
    const SeqTensor *t = &l->tensors[i];
    gsize rows = (gsize) t->gates * t->rows, n = rows * t->cols;
    g_autofree double *values = g_new (double, n + 1);

    for (gsize k = 0; k < n; k++)
      values[k] = (float) g_rand_double_range (rand, 0.1, 0.9);
    g_assert_true (seq_builder_set (
        builder, layer, t->name, t->name, values, rows, t->cols, NULL, NULL));
  }
}

/* Options of which a kind takes those that it reads. */
static GVariant *
options_for (const char *kind, const char *given)
{
  g_autoptr (GVariant) all = g_variant_ref_sink (g_variant_new_parsed (
      given ? given
            : "{'hidden_size': <5>, 'out_features': <2>, 'out_channels': <2>, "
              "'kernel_size': <3>, 'states': <7>, 'history': <64>, "
              "'order': <4>}"));
  GVariantDict dict;
  GVariantIter iter;
  const char *key;
  GVariant *value;

  g_variant_dict_init (&dict, NULL);
  g_variant_iter_init (&iter, all);
  while (g_variant_iter_next (&iter, "{&sv}", &key, &value)) {
    if (seq_kind_has_option (seq_kind_find (kind), key))
      g_variant_dict_insert_value (&dict, key, value);
    g_variant_unref (value);
  }
  return g_variant_dict_end (&dict);
}

static SeqModel *
make (const Spec *spec, guint variant)
{
  g_autoptr (SeqBuilder) builder = seq_builder_new (spec->n_in);
  g_autoptr (GRand) rand = g_rand_new_with_seed (variant + 1);
  g_autoptr (GError) error = NULL;
  guint last, n_out;
  SeqModel *model;

  for (guint i = 0; i < spec->n_layers; i++)
    seq_builder_add (
        builder, spec->kind, options_for (spec->kind, spec->options), &error);
  if (!(seq_kind_find (spec->kind)->flags & SEQ_KIND_LEARNS))
    seq_builder_add (builder, "dense",
        g_variant_new_parsed ("{'out_features': <%u>}", spec->n_in), &error);
  g_assert_no_error (error);
  last = seq_builder_n_layers (builder) - 1;
  n_out = seq_builder_layer (builder, last)->n_out;
  for (guint i = 0; i <= last; i++)
    fill (builder, i, rand);
  if (variant & RATE)
    seq_builder_set_rate (builder, 44100);
  if (variant & SKIP && n_out == spec->n_in)
    seq_builder_set_skip (builder, spec->n_in);
  if (variant & KNOBS && spec->n_in > 1)
    seq_builder_set_n_signal (builder, spec->n_in - 1);
  else
    seq_builder_set_horizon (builder, 3);
  if (variant & SCALES) {
    g_autofree double *ones = g_new (double, spec->n_in + n_out);
    g_autofree double *shifts = g_new (double, spec->n_in + n_out);

    for (guint k = 0; k < spec->n_in + n_out; k++) {
      ones[k] = k < spec->n_in ? 1 / 3.0 : 3;
      shifts[k] = 0.25;
    }
    seq_builder_set_scales (
        builder, ones, shifts, ones + spec->n_in, shifts + spec->n_in);
  }
  seq_builder_set_metadata (builder, "author", "a \"name\"\n");
  model = seq_builder_finish (builder, &error);
  g_assert_no_error (error);
  return model;
}

static const Spec *
find_special (const char *name)
{
  guint i = 0;

  while (!g_str_equal (special[i].name, name))
    i++;
  return &special[i];
}

/* The models of `special`, and one of each kind. Free with g_array_unref(). */
static GArray *
list_specs (void)
{
  GArray *specs = g_array_new (FALSE, FALSE, sizeof (Spec));
  const char *const *kinds = seq_layer_kinds ();

  g_array_append_vals (specs, special, G_N_ELEMENTS (special));
  for (guint i = 0; kinds[i]; i++) {
    Spec one = { kinds[i], kinds[i], NULL, 2, 1 };

    g_array_append_val (specs, one);
  }
  return specs;
}

/* Two models give the same output, to a tolerance (of 1, or of a larger
 * output). */
static void
compare (const SeqModel *model, const SeqModel *back, double tolerance)
{
  float in[200];
  guint n = 200 / model->chain->n_in, n_out;
  g_autofree float *a = NULL, *b = NULL;

  for (guint t = 0; t < 200; t++)
    in[t] = (float) sin (0.1 * t);
  g_assert_cmpuint (back->chain->n_in, ==, model->chain->n_in);
  g_assert_cmpuint (back->chain->n_out, ==, model->chain->n_out);
  a = run_model (model, in, n, &n_out);
  b = run_model (back, in, n, &n_out);
  for (guint i = 0; i < n * n_out; i++)
    /* with any weights some explode, both alike */
    if (isfinite (a[i]) || isfinite (b[i]))
      g_assert_cmpfloat (
          fabs (a[i] - b[i]), <=, tolerance * MAX (1, fabs (a[i])));
}

/* --- what is written reads back ----------------------------------------------
 */

static void
compare_facts (const SeqModel *model, const SeqModel *back)
{
  g_assert_cmpfloat (back->rate, ==, model->rate);
  g_assert_cmpuint (back->n_signal, ==, model->n_signal);
  g_assert_cmpuint (back->horizon, ==, model->horizon);
  g_assert_cmpuint (back->chain->skip, ==, model->chain->skip);
}

/* A format holds a model, or refuses it: nothing is lost in silence. Scales may
 * become layers, so that products and sums are fused otherwise. */
static void
test_round_trip (gconstpointer data)
{
  const SeqFileFormat *format = data;
  g_autoptr (GArray) specs = list_specs ();
  guint n_held = 0, n_refused = 0;

  for (guint i = 0; i < specs->len; i++)
    for (guint variant = 0; variant < N_VARIANTS; variant++) {
      const Spec *spec = &g_array_index (specs, Spec, i);
      g_autoptr (SeqModel) model = make (spec, variant), back = NULL;
      g_autoptr (GError) error = NULL;
      g_autoptr (GBytes) bytes = seq_model_write (model, format->name, &error);

      if (!bytes) {
        g_assert_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED);
        if (variant == 0)
          g_test_message ("%s: %s", spec->name, error->message);
        n_refused++;
        continue;
      }
      n_held++;
      back = seq_model_load_bytes (bytes, spec->name, NULL, NULL, &error);
      g_assert_no_error (error);
      compare_facts (model, back);
      compare (model, back, TOLERANCE);
    }
  g_test_message ("%u held, %u refused", n_held, n_refused);
  g_assert_cmpuint (n_held, >, 0);
}

/* Our own format holds everything, every bit. */
static void
test_identity (void)
{
  g_autoptr (GArray) specs = list_specs ();

  for (guint i = 0; i < specs->len; i++)
    for (guint variant = 0; variant < N_VARIANTS; variant++) {
      const Spec *spec = &g_array_index (specs, Spec, i);
      g_autoptr (SeqModel) model = make (spec, variant), back = NULL;
      g_autoptr (GError) error = NULL;
      g_autoptr (GBytes) bytes = seq_model_write (model, "safetensors", &error);

      g_assert_no_error (error);
      back = seq_model_load_bytes (bytes, spec->name, NULL, NULL, &error);
      g_assert_no_error (error);
      compare_facts (model, back);
      g_assert_cmpuint (back->chain->n_layers, ==, model->chain->n_layers);
      for (guint k = 0; k < model->chain->n_layers; k++) {
        const SeqLayer *a = model->chain->layers[k];
        const SeqLayer *b = back->chain->layers[k];

        g_assert_true (a->klass == b->klass);
        g_assert_true (g_variant_equal (a->config, b->config));
      }
      g_assert_cmpmem (back->weights, back->chain->n_weights * sizeof (real),
          model->weights, model->chain->n_weights * sizeof (real));
      for (guint k = 0; k < spec->n_in; k++) {
        g_assert_cmpfloat (back->in_scale[k], ==, model->in_scale[k]);
        g_assert_cmpfloat (back->out_shift[k], ==, model->out_shift[k]);
      }
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
  g_autoptr (SeqModel) model = make (find_special ("lstm-two"), 0);
  g_autoptr (GBytes) bytes = seq_model_write (model, "safetensors", NULL);
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

/* The same weights without our metadata are a state_dict, and sound alike. */
static void
test_state_dict (void)
{
  static const char *const names[] = { "lstm-two", "lstm-proj", "gru-three",
    "rnn-relu" };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autoptr (SeqModel) model = make (find_special (names[i]), 0), back = NULL;
    g_autoptr (GBytes) bytes = seq_model_write (model, "safetensors", NULL);
    g_autoptr (GBytes) plain = NULL;
    g_autoptr (SeqSafetensors) file = seq_safetensors_parse (bytes, NULL);
    g_autoptr (GError) error = NULL;

    plain = seq_safetensors_write (
        (SeqTensorData *) file->tensors->data, file->tensors->len, NULL);
    back = seq_model_load_bytes (plain, "plain", NULL,
        i == 3 ? g_variant_new_parsed ("{'nonlinearity': <'relu'>}") : NULL,
        &error);
    g_assert_no_error (error);
    compare (model, back, 0);
  }
}

/* --- good files of each format -----------------------------------------------
 */

#define SMALL                                                                  \
  2000 /* bytes; larger files take too long to damage at each bit              \
        */

/* A file of tests/fuzz/corpus, or NULL. */
static GBytes *
read_corpus (const char *folder, const char *name)
{
  g_autofree char *path = g_build_filename (folder, name, NULL);

  return seq_read_bytes (path, 1 << 20, NULL);
}

/* Small files of a format, [GBytes]: an lstm, if it can write one, and what
 * lies in tests/fuzz/corpus. */
static GPtrArray *
list_good (const SeqFileFormat *format)
{
  static const Spec smallest = { "smallest", "lstm", "{'hidden_size': <2>}", 1,
    1 };
  GPtrArray *files =
      g_ptr_array_new_with_free_func ((GDestroyNotify) g_bytes_unref);
  g_autofree char *folder =
      g_build_filename (g_getenv ("SEQ_SOURCE"), "tests/fuzz/corpus", NULL);
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  g_autoptr (SeqModel) model = make (&smallest, 0);
  GBytes *written =
      format->write ? seq_model_write (model, format->name, NULL) : NULL;
  const char *name;

  if (written)
    g_ptr_array_add (files, written);
  while (dir && (name = g_dir_read_name (dir))) {
    GBytes *bytes = read_corpus (folder, name);

    if (bytes && g_bytes_get_size (bytes) < SMALL
        && seq_file_format_of (bytes, name, NULL) == format)
      g_ptr_array_add (files, bytes);
    else
      g_bytes_unref (bytes);
  }
  if (files->len == 0)
    g_error ("%s: no small file in tests/fuzz/corpus, and it writes no lstm",
        format->name);
  return files;
}

static GBytes *
good_file (const char *format)
{
  const SeqFileFormat *const *all = seq_file_formats ();
  g_autoptr (GPtrArray) files = NULL;

  while (!g_str_equal ((*all)->name, format))
    all++;
  files = list_good (*all);
  return g_bytes_ref (files->pdata[0]);
}

/* A value that a hint takes. */
static GVariant *
value_of (const SeqHint *hint)
{
  return hint->type == 's'
             ? g_variant_new_string (hint->words ? hint->words[0] : "tanh")
         : hint->type == 'u' ? g_variant_new_uint32 ((guint32) hint->min)
                             : g_variant_new_double (hint->min);
}

/* What the user adds works with every format that leaves it open, and is
 * refused by the others. */
static void
check_hints (const SeqFileFormat *format, GBytes *file)
{
  g_autoptr (SeqModel) plain =
      seq_model_load_bytes (file, "plain", NULL, NULL, NULL);
  g_autoptr (SeqModel) model = NULL;
  g_autoptr (GError) error = NULL;
  float in[8] = { 0.5f, -0.5f };
  g_autofree float *a = NULL, *b = NULL;
  guint n_in = plain->chain->n_in, n_out;

  for (const SeqHint *h = seq_hints; h->name; h++) {
    GVariantDict dict;
    g_autoptr (GError) why = NULL;
    g_autoptr (SeqModel) odd = NULL;

    if (h->general
        || (format->hints && g_strv_contains (format->hints, h->name)))
      continue;
    g_variant_dict_init (&dict, NULL);
    g_variant_dict_insert_value (&dict, h->name, value_of (h));
    odd = seq_model_load_bytes (
        file, "hinted", NULL, g_variant_dict_end (&dict), &why);
    g_assert_error (why, SEQ_ERROR, SEQ_ERROR_CONFIG);
    g_assert_nonnull (strstr (why->message, h->name));
  }
  if (plain->normalised || plain->chain->n_out > 1)
    return;
  model = seq_model_load_bytes (file, "hinted", NULL,
      g_variant_new_parsed ("{'rate': <32000.0>, 'residual': <uint32 1>, "
                            "'knobs': <%u>, 'output_activation': <'sigmoid'>}",
          n_in - 1),
      &error);
  g_assert_no_error (error);
  g_assert_cmpfloat (model->rate, ==, 32000);
  g_assert_cmpuint (model->n_signal, ==, 1);
  a = run_model (plain, in, 8 / n_in, &n_out);
  b = run_model (model, in, 8 / n_in, &n_out);
  for (guint t = 0; t < 8 / n_in; t++) {
    float net = a[t] - (plain->chain->skip ? in[t * n_in] : 0);

    g_assert_cmpfloat_with_epsilon (
        b[t], 1 / (1 + exp (-net)) + in[t * n_in], 1e-5);
  }
}

static void
test_hints (gconstpointer data)
{
  g_autoptr (GPtrArray) files = list_good (data);

  for (guint i = 0; i < files->len; i++)
    check_hints (data, files->pdata[i]);
}

/* Every truncation is an error, but for the last end of line; every
 * flipped bit an error or a model that runs. Never a crash. */
static void
check_damage (GBytes *good)
{
  gsize n;
  const guint8 *bytes = g_bytes_get_data (good, &n);

  for (gsize i = 0; i < n; i++) {
    g_autoptr (GBytes) cut = g_bytes_new_from_bytes (good, 0, i);
    g_autoptr (GError) why = NULL;
    g_autoptr (SeqModel) model =
        seq_model_load_bytes (cut, "cut", NULL, NULL, &why);

    g_assert_true (!model == !!why);
    g_assert_true (!model || (i == n - 1 && bytes[i] == '\n'));
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

static void
test_damage (gconstpointer data)
{
  g_autoptr (GPtrArray) files = list_good (data);

  for (guint i = 0; i < files->len; i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (SeqModel) model =
        seq_model_load_bytes (files->pdata[i], "good", NULL, NULL, &error);

    g_assert_no_error (error);
    g_assert_cmpstr (model->format, ==, ((const SeqFileFormat *) data)->name);
    check_damage (files->pdata[i]);
  }
}

/* Just one format says that a file is its own: their order means nothing. */
static void
test_sniff (void)
{
  const SeqFileFormat *const *all = seq_file_formats ();

  for (guint i = 0; all[i]; i++) {
    g_autoptr (GPtrArray) files = list_good (all[i]);

    for (guint k = 0; k < files->len; k++) {
      SeqFile file = { .bytes = files->pdata[k] };

      file.data = g_bytes_get_data (file.bytes, &file.size);
      if (seq_safetensors_begins (file.data, file.size))
        file.tensors = seq_safetensors_parse (file.bytes, NULL);
      else if (seq_json_begins (file.data, file.size))
        file.json = seq_json_parse (file.data, file.size, NULL);
      for (guint j = 0; all[j]; j++)
        if (all[j]->sniff (&file) != (i == j))
          g_error ("a file of %s: sniff() of %s is wrong", all[i]->name,
              all[j]->name);
      json_decref (file.json);
      seq_safetensors_free (file.tensors);
    }
  }
}

/* docs/formats.md names every format and every hint. */
static void
test_documented (void)
{
  g_autofree char *path =
      g_build_filename (g_getenv ("SEQ_SOURCE"), "docs/formats.md", NULL);
  g_autofree char *text = NULL;
  const char *const *names = seq_model_formats ();

  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  for (guint i = 0; names[i]; i++) {
    g_autofree char *row = g_strdup_printf ("| %s |", names[i]);

    if (!strstr (text, row))
      g_error ("docs/formats.md: no row begins with '%s'", row);
  }
  for (const SeqHint *h = seq_hints; h->name; h++) {
    g_autofree char *row = g_strdup_printf ("| `%s` |", h->name);

    if (!strstr (text, row))
      g_error ("docs/formats.md: no row begins with '%s'", row);
  }
}

/* --- hints -------------------------------------------------------------------
 */

/* Values out of range and of another type are refused by what is expected. */
static void
test_hint_values (void)
{
  static const struct {
    const char *hints, *says[2];
  } all[] = {
    { "{'colour': <'red'>}", { "colour is unknown", "nonlinearity, head" } },
    { "{'nonlinearity': <'sine'>}", { "is 'sine'", "expected tanh or relu" } },
    { "{'nonlinearity': <1>}", { "is 1", "expected tanh or relu" } },
    { "{'residual': <-1>}", { "is -1", "expected a whole number from 0" } },
    { "{'residual': <1.5>}", { "is 1.5", "expected a whole number" } },
    { "{'residual': <true>}", { "is true", "expected a whole number" } },
    { "{'rate': <0.0>}", { "is 0", "expected a number from 1" } },
    { "{'rate': <'fast'>}", { "is 'fast'", "expected a number" } },
    { "{'head': <1>}", { "is 1", "expected text" } },
  };
  g_autoptr (GVariant) good = seq_hints_check (
      g_variant_new_parsed ("{'rate': <uint32 48000>, 'residual': <1.0>}"),
      NULL);
  double rate;
  guint residual;

  for (guint i = 0; i < G_N_ELEMENTS (all); i++) {
    g_autoptr (GError) error = NULL;

    g_assert_null (
        seq_hints_check (g_variant_new_parsed (all[i].hints), &error));
    g_assert_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG);
    for (guint k = 0; k < 2; k++)
      if (!strstr (error->message, all[i].says[k]))
        g_error ("'%s' does not say '%s'", error->message, all[i].says[k]);
  }
  g_assert_true (g_variant_lookup (good, "rate", "d", &rate));
  g_assert_true (g_variant_lookup (good, "residual", "u", &residual));
  g_assert_cmpfloat (rate, ==, 48000);
  g_assert_cmpuint (residual, ==, 1);
}

/* --- claims ------------------------------------------------------------------
 */

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
  g_autoptr (GBytes) file = good_file ("ONNX");
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
  g_autoptr (GBytes) whole = good_file ("ONNX"), outside = NULL;
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
    "Concat", "circle", "Transpose", "nan" };

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
    if (i == 6) { /* a shape of floats that are not numbers */
      memset (w->raw_data.data, 0xff, w->raw_data.len);
      w->n_dims = 1;
      w->dims[0] = (gint64) w->raw_data.len / 4;
      put_node (graph, "ConstantOfShape", w->name, NULL, "trick");
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
test_locale (gconstpointer data)
{
  const SeqFileFormat *format = data;
  g_autofree char *folder = g_dir_make_tmp ("seq-XXXXXX", NULL);
  g_autoptr (GPtrArray) files = list_good (format);

  if (!enter_comma_locale (folder)) {
    g_test_skip ("NOT RUN: there is no de_DE.UTF-8, and without Debian's "
                 "`locales` none can be made");
    remove_tree (folder);
    return;
  }
  for (guint i = 0; i < files->len; i++) {
    GBytes *file = files->pdata[i];
    g_autoptr (SeqModel) a = NULL, b = NULL;
    g_autoptr (GBytes) here = NULL, there = NULL;

    g_assert_cmpstr (localeconv ()->decimal_point, ==, ",");
    b = seq_model_load_bytes (file, "comma", NULL, NULL, NULL);
    there = format->write ? format->write (b, NULL) : NULL;
    setlocale (LC_ALL, "C");
    a = seq_model_load_bytes (file, "c", NULL, NULL, NULL);
    here = format->write ? format->write (a, NULL) : NULL;
    g_assert_true (enter_comma_locale (folder));
    g_assert_cmpmem (a->weights, a->chain->n_weights * sizeof (real),
        b->weights, b->chain->n_weights * sizeof (real));
    g_assert_true (here == there || g_bytes_equal (here, there));
  }
  setlocale (LC_ALL, "C");
  remove_tree (folder);
}

/* What isn't a model says what it is, and what to do. */
static void
test_strangers (void)
{
#define ZIP(name)                                                              \
  "PK\3\4"                                                                     \
  "0123456789012345678901234567" name
  static const struct {
    const char *bytes, *says[2];
    gsize size; /* 0: of the text */
  } files[] = {
    { "", { "an empty file" } },
    { "<!DOCTYPE html><html><body>404</body></html>",
        { "a web page", "download the file itself" } },
    { "\xef\xbb\xbf\n <?xml version=\"1.0\"?>", { "a web page or XML" } },
    { "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\n",
        { "a Git LFS pointer", "git lfs pull" } },
    { "\xff\xfe{\0}\0", { "UTF-16 text", "iconv -f UTF-16" }, 6 },
    { "\0{\0}", { "UTF-16 text" }, 4 },
    { "\n[1, 2]", { "a JSON list" } },
    { "{\"class_name\": \"Sequential\", \"config\": {}}",
        { "Keras model, without weights", "keras-to-rtneural.py" } },
    { "{\"a\": 1}", { "not a known model", "model_data (GuitarML)" } },
    { ZIP ("archive/data.pkl"),
        { "a PyTorch file",
            "save_file (m, sys.argv[2])\" 'my file.x' model" } },
    { ZIP ("model.weights.h5"),
        { "a Keras file", "keras-to-rtneural.py 'my file.x' model.json" } },
    { ZIP ("readme.txt"), { "a zip archive", "unzip 'my file.x'" } },
    { "\x89HDF\r\n\x1a\n", { "HDF5", "keras-to-rtneural.py" } },
    { "\x80\2\x8a\nl\xfc\x9c", { "a Python pickle", "safetensors" } },
    { "\x1f\x8b\x08", { "gzip", "gunzip" } },
    { "BZh91AY&SY", { "bzip2" } },
    { "\xfd"
      "7zXZ",
        { "compressed by xz" } },
    { "\x28\xb5\x2f\xfd", { "compressed by zstd" } },
    { "\x1c\0\0\0TFL3", { "TensorFlow Lite", "ONNX" }, 8 },
    { "\x93NUMPY\1", { "a NumPy file" } },
    { "GGUF", { "a GGUF file" } },
    { "RIFF....WAVEfmt ", { "a sound or video file" } },
    { "hello\n", { "it begins with 'hello\\n'", "expected one of " } },
    { "\1\2\3", { "it begins with the bytes 01 02 03", "safetensors" } },
  };

  for (guint i = 0; i < G_N_ELEMENTS (files); i++) {
    g_autoptr (GBytes) bytes = g_bytes_new (files[i].bytes,
        files[i].size ? files[i].size : strlen (files[i].bytes));
    g_autoptr (GError) error = NULL;

    g_assert_null (
        seq_model_load_bytes (bytes, "my file.x", NULL, NULL, &error));
    g_assert_error (error, SEQ_ERROR, SEQ_ERROR_FORMAT);
    g_assert_true (g_str_has_prefix (error->message, "my file.x: "));
    for (guint k = 0; k < 2 && files[i].says[k]; k++)
      if (!strstr (error->message, files[i].says[k]))
        g_error ("'%s' does not say '%s'", error->message, files[i].says[k]);
  }
}

/* Our own files that are no models: states and checkpoints, by their metadata.
 */
static void
test_own_strangers (void)
{
  static const struct {
    const char *key, *value, *says;
  } all[] = {
    { "seqfilter.snapshot", "(1, ...)", "state-file" },
    { "format", "seqmodel-checkpoint", "--resume" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (all); i++) {
    g_autoptr (GHashTable) metadata =
        g_hash_table_new (g_str_hash, g_str_equal);
    g_autoptr (GBytes) bytes = NULL;
    g_autoptr (GError) error = NULL;

    g_hash_table_insert (
        metadata, (gpointer) all[i].key, (gpointer) all[i].value);
    bytes = seq_safetensors_write (NULL, 0, metadata);
    g_assert_null (seq_model_load_bytes (bytes, "own", NULL, NULL, &error));
    g_assert_error (error, SEQ_ERROR, SEQ_ERROR_FORMAT);
    g_assert_nonnull (strstr (error->message, all[i].says));
  }
}

/* The length that safetensors begins with can look like anything: whatever its
 * last byte is, the file is what it is. */
static void
test_header_lengths (void)
{
  g_autoptr (GBytes) good = good_file ("safetensors");
  gsize size;
  const guint8 *data = g_bytes_get_data (good, &size);
  guint64 n;

  memcpy (&n, data, 8);
  n = GUINT64_FROM_LE (n);
  for (guint more = 0; more < 256; more++) {
    g_autoptr (GByteArray) longer = g_byte_array_new ();
    g_autoptr (GBytes) bytes = NULL;
    g_autoptr (SeqModel) model = NULL;
    g_autoptr (GError) error = NULL;
    guint64 length = GUINT64_TO_LE (n + more);

    g_byte_array_append (longer, (const guint8 *) &length, 8);
    g_byte_array_append (longer, data + 8, (guint) n);
    for (guint i = 0; i < more; i++)
      g_byte_array_append (longer, (const guint8 *) " ", 1);
    g_byte_array_append (longer, data + 8 + n, (guint) (size - 8 - n));
    bytes = g_bytes_new (longer->data, longer->len);
    model = seq_model_load_bytes (bytes, "longer", NULL, NULL, &error);
    g_assert_no_error (error);
  }
}

/* NaN and Infinity pass where nobody needs a number, and nowhere else. */
static void
test_nan (void)
{
  static const char good[] =
      "{\"version\": \"0.5.1\", \"architecture\": \"LSTM\", \"config\": "
      "{\"num_layers\": 1, \"hidden_size\": 1, \"input_size\": 1}, "
      "\"metadata\": "
      "{\"loudness\": NaN, \"gain\": -Infinity, \"name\": \"a \\\" NaN\"}, "
      "\"weights\": [0.1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 0, 1, 2]}";
  g_autoptr (GString) bad = g_string_new (good);
  g_autoptr (GBytes) file = g_bytes_new_static (good, strlen (good));
  g_autoptr (GBytes) bad_file = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (SeqModel) model =
      seq_model_load_bytes (file, "nan", NULL, NULL, &error);

  g_assert_no_error (error);
  g_assert_nonnull (model);
  g_string_replace (bad, "[0.1", "[NaN", 1);
  bad_file = g_bytes_new_static (bad->str, bad->len);
  g_assert_null (seq_model_load_bytes (bad_file, "nan", NULL, NULL, &error));
  g_assert_nonnull (strstr (error->message, "weights: value 0 is text, NaN"));
}

/* A type of RTNeural's that we do not know is left out only where it cannot
 * change anything. */
static void
test_unknown_layers (void)
{
  static const struct {
    const char *first, *middle;
    gboolean loads;
  } all[] = {
    { "input", "dropout", TRUE },
    { "unknown", "dropout", TRUE },
    { "dropout", "unknown", FALSE },
    { "unknown", "leaky_relu", FALSE },
    { "leaky_relu", "dropout", FALSE },
  };

  for (guint i = 0; i < G_N_ELEMENTS (all); i++) {
    g_autofree char *text = g_strdup_printf (
        "{\"in_shape\": [null, null, 1], \"layers\": [{\"type\": \"%s\", "
        "\"weights\": []}, {\"type\": \"dense\", \"weights\": [[[2]], [0]]}, "
        "{\"type\": \"%s\", \"weights\": []}]}",
        all[i].first, all[i].middle);
    g_autoptr (GBytes) bytes = g_bytes_new_static (text, strlen (text));
    g_autoptr (GError) error = NULL;
    g_autoptr (SeqModel) model =
        seq_model_load_bytes (bytes, "layers", NULL, NULL, &error);

    g_assert_cmpint (model != NULL, ==, all[i].loads);
    if (error)
      g_test_message ("%s", error->message);
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

/* A test of every format, or of every one that is written. */
static void
add_of_formats (const char *name, GTestDataFunc func, gboolean written)
{
  const SeqFileFormat *const *all = seq_file_formats ();

  for (guint i = 0; all[i]; i++) {
    g_autofree char *path = g_strdup_printf ("/io/%s/%s", name, all[i]->name);

    if (!written || all[i]->write)
      g_test_add_data_func (path, all[i], func);
  }
}

int
main (int argc, char **argv)
{
  const char *shared = g_getenv ("SEQ_SHARED");
  g_autofree char *cases =
      g_build_filename (shared ? shared : "", "cases", NULL);
  g_autofree char *nam =
      g_build_filename (shared ? shared : "", "cases-nam", NULL);

  g_test_init (&argc, &argv, NULL);
  if (add_folders (cases, "case.json", "/io/case", test_case)
          + add_folders (cases, "bad.json", "/io/bad", test_bad)
          + add_folders (nam, "case.json", "/io/case", test_case)
          + add_folders (nam, "bad.json", "/io/bad", test_bad)
      == 0)
    g_test_add_func ("/io/case", test_absent);
  add_of_formats ("damage", test_damage, FALSE);
  add_of_formats ("hints", test_hints, FALSE);
  add_of_formats ("locale", test_locale, FALSE);
  add_of_formats ("round-trip", test_round_trip, TRUE);
  g_test_add_func ("/io/identity", test_identity);
  g_test_add_func ("/io/sniff", test_sniff);
  g_test_add_func ("/io/documented", test_documented);
  g_test_add_func ("/io/pytorch-names", test_pytorch_names);
  g_test_add_func ("/io/state-dict", test_state_dict);
  g_test_add_func ("/io/hint-values", test_hint_values);
  g_test_add_func ("/io/claims", test_claims);
  g_test_add_func ("/io/onnx-outside", test_onnx_outside);
  g_test_add_func ("/io/onnx-claims", test_onnx_claims);
  g_test_add_func ("/io/onnx-slice", test_onnx_slice);
  g_test_add_func ("/io/nesting", test_nesting);
  g_test_add_func ("/io/header-lengths", test_header_lengths);
  g_test_add_func ("/io/nan", test_nan);
  g_test_add_func ("/io/unknown-layers", test_unknown_layers);
  g_test_add_func ("/io/strangers", test_strangers);
  g_test_add_func ("/io/own-strangers", test_own_strangers);
  return g_test_run ();
}
