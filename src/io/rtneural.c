/* rtneural.c: RTNeural's JSON ("Keras style"), and AIDA-X, which adds gains, a
 * residual and facts to it.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Layers in the order they run; matrices are [in][gates * out]; Keras' gates
 * are i, f, c, o of an LSTM and z, r, h of a GRU.
 */
#include "src/io/load.h"
#include "src/io/reader.h"

#include <math.h>
#include <string.h>

#define AIDAX_RATE 48000 /* Hz, where an AIDA-X file says nothing */

static const SeqLayout transposed = { .transposed = TRUE };
static const guint8 zrh[] = { 1, 0, 2 }; /* r, z, n among z, r, h */
static const SeqLayout gru_transposed = { .transposed = TRUE, .gates = zrh };

/* Entry i of weights as an array of that rank. */
static SeqArray *
weights_of (json_t *layer, guint i, guint rank, GError **error)
{
  json_t *value = json_array_get (json_object_get (layer, "weights"), i);
  g_autofree char *place = g_strdup_printf ("weights[%u]", i);
  SeqArray *array;

  if (!json_is_array (value)) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "%s: a list of numbers is needed", place);
    return NULL;
  }
  array = seq_json_array (value, place, place, error);
  if (array && array->rank != rank) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "%s has rank %u where %u is needed", place, array->rank, rank);
    g_clear_pointer (&array, seq_array_free);
  }
  return array;
}

static gboolean
set (SeqBuilder *builder, guint layer, const char *tensor, const SeqArray *a,
    const SeqLayout *layout, GError **error)
{
  return seq_builder_set (builder, layer, tensor, a->name, a->values,
      (gsize) a->shape[0], a->rank > 1 ? (gsize) a->shape[1] : 1, layout,
      error);
}

static gint
add (SeqBuilder *builder, const char *kind, const char *key, guint64 value,
    GError **error)
{
  GVariantDict dict;

  g_variant_dict_init (&dict, NULL);
  g_variant_dict_insert (&dict, key, "u", (guint) MIN (value, G_MAXUINT));
  return seq_builder_add (builder, kind, g_variant_dict_end (&dict), error);
}

static gboolean
read_dense (SeqBuilder *builder, json_t *object, GError **error)
{
  gsize n = json_array_size (json_object_get (object, "weights"));
  SeqArray *kernel = weights_of (object, 0, 2, error), *bias = NULL;
  gboolean ok = FALSE;
  gint layer;

  if (kernel && (n < 2 || (bias = weights_of (object, 1, 1, error)))) {
    layer = add (builder, "dense", "out_features", kernel->shape[1], error);
    ok = layer >= 0
         && set (builder, (guint) layer, "weight", kernel, &transposed, error)
         && (!bias || set (builder, (guint) layer, "bias", bias, NULL, error));
  }
  seq_array_free (kernel);
  seq_array_free (bias);
  return ok;
}

static gboolean
read_lstm (SeqBuilder *builder, json_t *object, GError **error)
{
  gsize n = json_array_size (json_object_get (object, "weights"));
  SeqArray *k = weights_of (object, 0, 2, error), *u = NULL, *b = NULL;
  gboolean ok = FALSE;
  gint layer;

  if (k && (u = weights_of (object, 1, 2, error))
      && (n < 3 || (b = weights_of (object, 2, 1, error)))) {
    layer = add (builder, "lstm", "hidden_size", u->shape[0], error);
    ok = layer >= 0
         && set (builder, (guint) layer, "weight_ih", k, &transposed, error)
         && set (builder, (guint) layer, "weight_hh", u, &transposed, error)
         && (!b || set (builder, (guint) layer, "bias", b, NULL, error));
  }
  seq_array_free (k);
  seq_array_free (u);
  seq_array_free (b);
  return ok;
}

/* B is [2][3 H]: the input's, then the recurrent one. */
static gboolean
set_gru_bias (SeqBuilder *builder, guint layer, const SeqArray *b, gsize h,
    GError **error)
{
  static const SeqLayout first = { .gates = zrh };
  static const SeqLayout second = { .gates = zrh, .add = TRUE };
  g_autofree double *zr = NULL;

  if (b->shape[0] != 2 || b->shape[1] != 3 * h) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "%s: %" G_GUINT64_FORMAT " x %" G_GUINT64_FORMAT
        " values where 2 x %zu are needed",
        b->name, b->shape[0], b->shape[1], 3 * h);
    return FALSE;
  }
  zr = g_memdup2 (b->values + 3 * h, 3 * h * sizeof (double));
  memset (zr + 2 * h, 0, h * sizeof (double));
  return seq_builder_set (builder, layer, "bias", b->name, b->values, 3 * h, 1,
             &first, error)
         && seq_builder_set (
             builder, layer, "bias", b->name, zr, 3 * h, 1, &second, error)
         && seq_builder_set (builder, layer, "bias_hn", b->name,
             b->values + 5 * h, h, 1, NULL, error);
}

static gboolean
read_gru (SeqBuilder *builder, json_t *object, GError **error)
{
  json_t *bias = json_array_get (json_object_get (object, "weights"), 2);
  SeqArray *k, *u = NULL, *b = NULL;
  gboolean ok = FALSE;
  gint layer;

  if (bias && !json_is_array (json_array_get (bias, 0))) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "weights[2] is a flat list, Keras' reset_after = False: 2 x 3 H values "
        "are needed");
    return FALSE;
  }
  k = weights_of (object, 0, 2, error);
  if (k && (u = weights_of (object, 1, 2, error))
      && (!bias || (b = weights_of (object, 2, 2, error)))) {
    layer = add (builder, "gru", "hidden_size", u->shape[0], error);
    ok = layer >= 0
         && set (builder, (guint) layer, "weight_ih", k, &gru_transposed, error)
         && set (builder, (guint) layer, "weight_hh", u, &gru_transposed, error)
         && (!b
             || set_gru_bias (
                 builder, (guint) layer, b, (gsize) u->shape[0], error));
  }
  seq_array_free (k);
  seq_array_free (u);
  seq_array_free (b);
  return ok;
}

/* K is [kernel][in / groups][out]. */
static gboolean
read_conv1d (SeqBuilder *builder, json_t *object, GError **error)
{
  gsize n = json_array_size (json_object_get (object, "weights"));
  json_t *size = json_object_get (object, "kernel_size");
  json_t *dilation = json_object_get (object, "dilation");
  SeqArray *k = weights_of (object, 0, 3, error), *b = NULL;
  guint groups, d = (guint) json_integer_value (json_array_get (dilation, 0));
  gboolean ok = FALSE;
  GVariantDict dict;
  gint layer;

  if (json_is_integer (dilation))
    d = (guint) json_integer_value (dilation);
  if (k && (n < 2 || (b = weights_of (object, 1, 1, error)))
      && seq_json_uint (object, "groups", 4096, 1, &groups, error)) {
    json_int_t said = json_is_integer (size)
                          ? json_integer_value (size)
                          : json_integer_value (json_array_get (size, 0));

    if (size && (guint64) said != k->shape[0]) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
          "kernel_size is %" JSON_INTEGER_FORMAT
          " where weights[0] has %" G_GUINT64_FORMAT,
          said, k->shape[0]);
    } else {
      g_variant_dict_init (&dict, NULL);
      g_variant_dict_insert (
          &dict, "out_channels", "u", (guint) MIN (k->shape[2], G_MAXUINT));
      g_variant_dict_insert (
          &dict, "kernel_size", "u", (guint) MIN (k->shape[0], G_MAXUINT));
      g_variant_dict_insert (&dict, "dilation", "u", dilation ? d : 1);
      g_variant_dict_insert (&dict, "groups", "u", groups);
      layer = seq_builder_add (
          builder, "conv1d", g_variant_dict_end (&dict), error);
      /* [kernel, in][out]: ours, transposed */
      ok = layer >= 0
           && seq_builder_set (builder, (guint) layer, "weight", k->name,
               k->values, (gsize) (k->shape[0] * k->shape[1]),
               (gsize) k->shape[2], &transposed, error)
           && (!b || set (builder, (guint) layer, "bias", b, NULL, error));
    }
  }
  seq_array_free (k);
  seq_array_free (b);
  return ok;
}

static gboolean
read_prelu (SeqBuilder *builder, json_t *object, GError **error)
{
  json_t *w = json_array_get (json_object_get (object, "weights"), 0);
  SeqArray *a = weights_of (
      object, 0, json_is_array (json_array_get (w, 0)) ? 2 : 1, error);
  gint layer = -1;
  gboolean ok = FALSE;

  if (a) {
    layer = add (builder, "prelu", "shared", a->n_values == 1, error);
    ok = layer >= 0
         && seq_builder_set (builder, (guint) layer, "alpha", a->name,
             a->values, a->n_values, 1, NULL, error);
  }
  seq_array_free (a);
  return ok;
}

/* [gamma, beta, mean, variance] or [mean, variance], folded into a x + b */
static gboolean
read_batchnorm (SeqBuilder *builder, json_t *object, GError **error)
{
  gsize n = json_array_size (json_object_get (object, "weights")), width = 0;
  SeqArray *w[4] = { NULL };
  guint first = n == 2 ? 2 : 0;
  gboolean ok = n == 2 || n == 4;
  double epsilon;
  gint layer;

  if (!ok)
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "%zu lists of weights where 2 or 4 are needed", n);
  ok = ok && seq_json_double (object, "epsilon", 1e-3, &epsilon, error);
  for (guint i = first; i < 4 && ok; i++) {
    w[i] = weights_of (object, i - first, 1, error);
    ok = w[i] != NULL;
    if (ok && i > first && w[i]->n_values != width) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
          "%s: %zu values where %zu are needed", w[i]->name, w[i]->n_values,
          width);
      ok = FALSE;
    }
    width = ok ? w[i]->n_values : 0;
  }
  if (ok) {
    g_autofree double *a = g_new (double, width + 1);
    g_autofree double *b = g_new (double, width + 1);

    for (gsize i = 0; i < width; i++) {
      a[i] = (w[0] ? w[0]->values[i] : 1) / sqrt (w[3]->values[i] + epsilon);
      b[i] = (w[1] ? w[1]->values[i] : 0) - a[i] * w[2]->values[i];
    }
    layer = seq_builder_add (builder, "scale", NULL, error);
    ok = layer >= 0
         && seq_builder_set (builder, (guint) layer, "weight", "gamma", a,
             width, 1, NULL, error)
         && seq_builder_set (
             builder, (guint) layer, "bias", "beta", b, width, 1, NULL, error);
  }
  for (guint i = 0; i < 4; i++)
    seq_array_free (w[i]);
  return ok;
}

static const struct {
  const char *type;
  gboolean (*read) (SeqBuilder *builder, json_t *object, GError **error);
  gboolean activates; /* obeys the key activation */
} types[] = {
  { "dense", read_dense, TRUE },
  { "time-distributed-dense", read_dense, TRUE },
  { "lstm", read_lstm, FALSE },
  { "gru", read_gru, FALSE },
  { "conv1d", read_conv1d, TRUE },
  { "prelu", read_prelu, FALSE },
  { "batchnorm", read_batchnorm, FALSE },
  { "activation", NULL, TRUE },
};

/* The width that a layer's or the model's shape ends in; 0: not said. */
static gboolean
last_of_shape (json_t *object, const char *key, guint *width, GError **error)
{
  json_t *shape = json_object_get (object, key);
  json_t *last = json_array_get (shape, json_array_size (shape) - 1);

  *width = 0;
  if (!last)
    return TRUE;
  if (!json_is_integer (last) || json_integer_value (last) < 1
      || json_integer_value (last) > SEQ_MAX_WIDTH) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "%s: the last entry is no width of 1 to %u", key, SEQ_MAX_WIDTH);
    return FALSE;
  }
  *width = (guint) json_integer_value (last);
  return TRUE;
}

static gboolean
read_layer (
    SeqBuilder *builder, json_t *object, guint *n_layers, GError **error)
{
  const char *type = json_string_value (json_object_get (object, "type"));
  const char *activation =
      json_string_value (json_object_get (object, "activation"));
  json_t *weights = json_object_get (object, "weights");
  guint width;

  for (guint i = 0; i < G_N_ELEMENTS (types); i++) {
    if (!type || strcmp (type, types[i].type) != 0)
      continue;
    if (types[i].read && !types[i].read (builder, object, error))
      return FALSE;
    *n_layers += types[i].read != NULL;
    if (types[i].activates && activation && *activation
        && strcmp (activation, "linear") != 0) {
      if (seq_builder_add (builder, "activation",
              g_variant_new_parsed ("{'activation': <%s>}", activation), error)
          < 0)
        return FALSE;
      ++*n_layers;
    }
    if (!last_of_shape (object, "shape", &width, error))
      return FALSE;
    if (width && *n_layers
        && seq_builder_layer (builder, *n_layers - 1)->n_out != width) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
          "shape says %u outputs, the weights make %u", width,
          seq_builder_layer (builder, *n_layers - 1)->n_out);
      return FALSE;
    }
    return TRUE;
  }
  if (json_array_size (weights) == 0) /* Keras 3's InputLayer, Dropout, ... */
    return TRUE;
  g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
      "type is '%s' where dense, time-distributed-dense, lstm, gru, conv1d, "
      "prelu, batchnorm or activation can be run",
      type ? type : "missing");
  return FALSE;
}

/* A gain in dB, as a factor; -90 dB and less are nothing. */
static gboolean
gain_of (json_t *root, const char *key, double *gain, GError **error)
{
  double db;

  if (!seq_json_double (root, key, 0, &db, error))
    return FALSE;
  *gain = db <= -90 ? 0 : pow (10, db / 20);
  return TRUE;
}

/* Facts of AIDA-X: u = in_gain x, y = out_gain (net (u) + in_skip u). */
static gboolean
read_aidax (
    SeqBuilder *builder, json_t *root, guint n_in, guint n_out, GError **error)
{
  json_t *facts = json_object_get (root, "metadata");
  const char *key;
  json_t *value;
  guint skip;
  double in_gain, out_gain, rate;
  g_autofree double *scales = g_new0 (double, 2 * (n_in + n_out));

  if (!seq_json_uint (root, "in_skip", G_MAXUINT, 0, &skip, error)
      || !gain_of (root, "in_gain", &in_gain, error)
      || !gain_of (root, "out_gain", &out_gain, error))
    return FALSE;
  if (skip > 1) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "in_skip is %u where 0 or 1 can be", skip);
    return FALSE;
  }
  if (skip)
    seq_builder_set_skip (builder, 1);
  if (in_gain != 1 || out_gain != 1) {
    for (guint i = 0; i < n_in; i++)
      scales[i] = i == 0 ? in_gain : 1; /* knobs are not amplified */
    for (guint o = 0; o < n_out; o++)
      scales[2 * n_in + o] = out_gain;
    seq_builder_set_scales (builder, scales, scales + n_in, scales + 2 * n_in,
        scales + 2 * n_in + n_out);
  }
  if (!json_is_object (facts) && !json_object_get (root, "samplerate")
      && !json_object_get (root, "output_batch"))
    return TRUE; /* plain RTNeural: it knows no rate */
  if (!seq_json_double (json_object_get (facts, "samplerate") ? facts : root,
          "samplerate", AIDAX_RATE, &rate, error))
    return FALSE;
  seq_builder_set_rate (builder, rate);
  seq_builder_set_format (builder, "AIDA-X");
  json_object_foreach (facts, key, value)
  {
    if (json_is_string (value))
      seq_builder_set_metadata (builder, key, json_string_value (value));
  }
  return TRUE;
}

/* How many numbers there are in all: what layers claim must not exceed it. */
static gsize
count_numbers (json_t *value)
{
  gsize n = json_is_number (value), i;
  json_t *entry;
  const char *key;

  json_array_foreach (value, i, entry)
  {
    n += count_numbers (entry);
  }
  json_object_foreach (value, key, entry)
  {
    n += count_numbers (entry);
  }
  return n;
}

SeqModel *
seq_read_rtneural (json_t *root, GVariant *hints, GError **error)
{
  json_t *layers = json_object_get (root, "layers"), *object;
  g_autoptr (SeqBuilder) builder = NULL;
  guint n_in, n_layers = 0, n_out;
  gsize i;
  gboolean aidax = json_object_get (root, "metadata") != NULL
                   || json_object_get (root, "samplerate") != NULL
                   || json_object_get (root, "output_batch") != NULL;
  SeqModel *model;

  if (!seq_reader_refuse_hints (hints,
          (const char *const[]){
              "nonlinearity", "head", "head_activation", NULL },
          error)
      || !last_of_shape (root, "in_shape", &n_in, error)) {
    g_prefix_error (error, "RTNeural: ");
    return NULL;
  }
  if (!n_in || !json_is_array (layers)) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "RTNeural: in_shape, with a width at its end, and a list of layers "
        "are needed");
    return NULL;
  }
  builder = seq_reader_builder (n_in, count_numbers (layers));
  json_array_foreach (layers, i, object)
  {
    if (!read_layer (builder, object, &n_layers, error)) {
      g_prefix_error (error, "RTNeural: layer %zu: ", i);
      return NULL;
    }
  }
  if (n_layers == 0) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "RTNeural: there is no layer with weights");
    return NULL;
  }
  n_out = seq_builder_layer (builder, n_layers - 1)->n_out;
  if (!read_aidax (builder, root, n_in, n_out, error)) {
    g_prefix_error (error, "AIDA-X: ");
    return NULL;
  }
  /* AIDA-X: one channel of sound, the rest are knobs */
  if (aidax)
    seq_builder_set_n_signal (builder, 1);
  model =
      seq_reader_finish (builder, aidax ? "AIDA-X" : "RTNeural", hints, error);
  if (!model)
    g_prefix_error (error, "RTNeural: ");
  return model;
}

/* --- the embedded batch ------------------------------------------------------
 */

static double
test_batch (const SeqModel *model, const SeqArray *in, const SeqArray *out)
{
  const SeqChain *chain = model->chain;
  g_autoptr (SeqWork) work = seq_work_new (chain, 1, 1, FALSE);
  real *state = seq_alloc (chain->n_state);
  SeqPass pass = { .n_frames = 1, .weights = model->weights, .state = state };
  double worst = 0;

  seq_chain_start (chain, model->weights, state);
  for (gsize t = 0; t < in->n_values; t++) {
    work->in[0] = (real) (in->values[t] * model->in_scale[0]);
    seq_chain_run (chain, work, &pass);
    worst =
        MAX (worst, fabs (work->out[0] * model->out_scale[0] - out->values[t]));
  }
  seq_free (state);
  return worst;
}

gboolean
seq_model_self_test (const char *path, const SeqModel *model, double *worst,
    gsize *n, GError **error)
{
  json_t *root = json_load_file (path, JSON_REJECT_DUPLICATES, NULL);
  SeqArray *in = NULL, *out = NULL;
  gboolean ok = FALSE;

  if (!json_is_array (json_object_get (root, "input_batch"))
      || !json_is_array (json_object_get (root, "output_batch"))) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "%s: there is no input_batch and output_batch to test with", path);
  } else if ((in = seq_json_array (json_object_get (root, "input_batch"),
                  "input_batch", "input_batch", error))
             && (out = seq_json_array (json_object_get (root, "output_batch"),
                     "output_batch", "output_batch", error))) {
    ok = in->n_values == out->n_values && in->n_values > 0;
    if (ok) {
      *n = in->n_values;
      *worst = test_batch (model, in, out);
    } else {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
          "%s: input_batch has %zu values, output_batch %zu", path,
          in->n_values, out->n_values);
    }
  }
  seq_array_free (in);
  seq_array_free (out);
  json_decref (root);
  return ok;
}

/* --- writing -----------------------------------------------------------------
 */

/* gates of a tensor, transposed: [cols][gates * rows], gate g from gates[g] */
static json_t *
matrix (const SeqModel *model, guint layer, guint tensor, const guint8 *gates)
{
  const SeqTensor *t = &model->chain->layers[layer]->tensors[tensor];
  json_t *rows = json_array ();

  for (guint col = 0; col < t->cols; col++) {
    json_t *row = json_array ();

    for (guint g = 0; g < t->gates; g++)
      for (guint r = 0; r < t->rows; r++)
        json_array_append_new (row, json_real (seq_model_get (model, layer,
                                        tensor, gates ? gates[g] : g, r, col)));
    json_array_append_new (rows, row);
  }
  return rows;
}

/* Column 0 of a tensor, as a flat list; n zeros where there is none. */
static json_t *
vector (const SeqModel *model, guint layer, guint tensor, const guint8 *gates,
    guint n)
{
  if (tensor < model->chain->layers[layer]->n_tensors) {
    json_t *rows = matrix (model, layer, tensor, gates);
    json_t *row = json_incref (json_array_get (rows, 0));

    json_decref (rows);
    return row;
  } else {
    json_t *row = json_array ();

    for (guint i = 0; i < n; i++)
      json_array_append_new (row, json_real (0));
    return row;
  }
}

/* The GRU's two biases: ours of the input, then [0, 0, bias_hn]. */
static json_t *
gru_biases (const SeqModel *model, guint layer, guint h)
{
  json_t *recurrent = json_array (), *hn = vector (model, layer, 3, NULL, h);

  for (guint i = 0; i < 2 * h; i++)
    json_array_append_new (recurrent, json_real (0));
  json_array_extend (recurrent, hn);
  json_decref (hn);
  return json_pack ("[o, o]", vector (model, layer, 2, zrh, 3 * h), recurrent);
}

static json_t *
write_layer (const SeqModel *model, guint i, GError **error)
{
  const SeqLayer *layer = model->chain->layers[i];
  const char *kind = layer->klass->kind.name, *word = "";
  json_t *shape = json_pack ("[n, n, i]", (int) layer->n_out), *weights = NULL;
  guint reset_after;

  if (g_str_equal (kind, "dense")) {
    weights = json_pack ("[o, o]", matrix (model, i, 0, NULL),
        vector (model, i, 1, NULL, layer->n_out));
  } else if (g_str_equal (kind, "lstm") && layer->n_tensors == 3) {
    weights = json_pack ("[o, o, o]", matrix (model, i, 0, NULL),
        matrix (model, i, 1, NULL), vector (model, i, 2, NULL, 0));
  } else if (g_str_equal (kind, "gru") && layer->n_tensors == 4
             && seq_config_uint (layer, layer->config, "reset_after", 0, 1, 1,
                 &reset_after, NULL)
             && reset_after) {
    weights = json_pack ("[o, o, o]", matrix (model, i, 0, zrh),
        matrix (model, i, 1, zrh), gru_biases (model, i, layer->n_out));
  } else if (g_str_equal (kind, "activation")) {
    weights = json_array ();
    word = "tanh";
    g_variant_lookup (layer->config, "activation", "&s", &word);
  } else {
    json_decref (shape);
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "RTNeural: layer %u, %s, with these options has no place in that "
        "format",
        i, kind);
    return NULL;
  }
  return json_pack ("{s:s, s:s, s:o, s:o}", "type", kind, "activation", word,
      "shape", shape, "weights", weights);
}

GBytes *
seq_write_rtneural (const SeqModel *model, GError **error)
{
  const SeqChain *chain = model->chain;
  json_t *layers = json_array (), *root;
  char *text;

  if (chain->skip > 1 || (chain->skip && chain->n_out > 1)) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "RTNeural: a residual of %u features can't be said in that format",
        chain->skip);
    json_decref (layers);
    return NULL;
  }
  for (guint k = 0; k < chain->n_in + chain->n_out; k++) {
    gboolean in = k < chain->n_in;
    guint o = k - chain->n_in;

    if (in ? model->in_scale[k] != 1 || model->in_shift[k] != 0
           : model->out_scale[o] != 1 || model->out_shift[o] != 0) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
          "RTNeural: a normalised model can't be said in that format");
      json_decref (layers);
      return NULL;
    }
  }
  for (guint i = 0; i < chain->n_layers; i++) {
    json_t *layer = write_layer (model, i, error);

    if (!layer) {
      json_decref (layers);
      return NULL;
    }
    json_array_append_new (layers, layer);
  }
  root = json_pack (
      "{s:[n, n, i], s:o}", "in_shape", (int) chain->n_in, "layers", layers);
  if (chain->skip)
    json_object_set_new (root, "in_skip", json_integer (1));
  if (model->rate > 0)
    json_object_set_new (root, "samplerate", json_real (model->rate));
  text = json_dumps (root, JSON_COMPACT | JSON_REAL_PRECISION (9));
  json_decref (root);
  return g_bytes_new_with_free_func (text, strlen (text), free, text);
}
