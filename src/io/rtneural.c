/* rtneural.c: RTNeural's JSON ("Keras style").
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Layers are listed in the order they run; matrices are [in][gates * out]; the
 * gates are Keras': i, f, c, o of an LSTM and z, r, h of a GRU. We also read
 * what AIDA-X adds (in_skip, in_gain, out_gain), and write "samplerate",
 * "knobs", "horizon", "start" and "window", which RTNeural ignores.
 */
#include "src/io/rtneural.h"
#include "src/model-facts.h"

#include <math.h>
#include <string.h>

static const SeqLayout transposed = { .transposed = TRUE };
static const guint8 zrh[] = { 1, 0, 2 }; /* r, z, n among z, r, h */
static const SeqLayout gru_transposed = { .transposed = TRUE, .gates = zrh };

static gsize
count_weights (json_t *layer)
{
  return json_array_size (json_object_get (layer, "weights"));
}

/* Entry i of weights as an array of that rank. */
static SeqArray *
read_weights (json_t *layer, guint i, guint rank, GError **error)
{
  json_t *value = json_array_get (json_object_get (layer, "weights"), i);
  g_autofree char *place = g_strdup_printf ("weights[%u]", i);
  g_autoptr (SeqArray) array = NULL;

  if (!json_is_array (value)) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "%s is %s; expected a list of numbers", place,
        value ? "something else" : "missing");
    return NULL;
  }
  array = seq_json_array (value, place, place, error);
  if (array && array->rank != rank) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "%s has rank %u; expected %u", place, array->rank, rank);
    return NULL;
  }
  return g_steal_pointer (&array);
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
  g_autoptr (SeqArray) kernel = read_weights (object, 0, 2, error);
  g_autoptr (SeqArray) bias = NULL;
  gint layer;

  if (!kernel
      || (count_weights (object) > 1
          && !(bias = read_weights (object, 1, 1, error))))
    return FALSE;
  layer = add (builder, "dense", "out_features", kernel->shape[1], error);
  return layer >= 0
         && set (builder, (guint) layer, "weight", kernel, &transposed, error)
         && (!bias || set (builder, (guint) layer, "bias", bias, NULL, error));
}

static gboolean
read_lstm (SeqBuilder *builder, json_t *object, GError **error)
{
  g_autoptr (SeqArray) k = read_weights (object, 0, 2, error);
  g_autoptr (SeqArray) u = k ? read_weights (object, 1, 2, error) : NULL;
  g_autoptr (SeqArray) b = NULL;
  gint layer;

  if (!u
      || (count_weights (object) > 2
          && !(b = read_weights (object, 2, 1, error))))
    return FALSE;
  layer = add (builder, "lstm", "hidden_size", u->shape[0], error);
  return layer >= 0
         && set (builder, (guint) layer, "weight_ih", k, &transposed, error)
         && set (builder, (guint) layer, "weight_hh", u, &transposed, error)
         && (!b || set (builder, (guint) layer, "bias", b, NULL, error));
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
        "%s has %" G_GUINT64_FORMAT " x %" G_GUINT64_FORMAT
        " values; expected 2 x %" G_GSIZE_FORMAT,
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
  g_autoptr (SeqArray) k = NULL, u = NULL, b = NULL;
  gint layer;

  if (bias && !json_is_array (json_array_get (bias, 0))) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "weights[2] is a flat list, of a GRU with reset_after=False; expected "
        "2 x 3 H values, as reset_after=True gives");
    return FALSE;
  }
  k = read_weights (object, 0, 2, error);
  u = k ? read_weights (object, 1, 2, error) : NULL;
  if (!u || (bias && !(b = read_weights (object, 2, 2, error))))
    return FALSE;
  layer = add (builder, "gru", "hidden_size", u->shape[0], error);
  return layer >= 0
         && set (builder, (guint) layer, "weight_ih", k, &gru_transposed, error)
         && set (builder, (guint) layer, "weight_hh", u, &gru_transposed, error)
         && (!b
             || set_gru_bias (
                 builder, (guint) layer, b, (gsize) u->shape[0], error));
}

/* A number, or the first of a list. */
static guint
first_of (json_t *value)
{
  if (json_is_array (value))
    value = json_array_get (value, 0);
  return (guint) CLAMP (json_integer_value (value), 0, G_MAXINT);
}

/* K is [kernel][in / groups][out]. */
static gboolean
read_conv1d (SeqBuilder *builder, json_t *object, GError **error)
{
  json_t *size = json_object_get (object, "kernel_size");
  json_t *dilation = json_object_get (object, "dilation");
  g_autoptr (SeqArray) k = read_weights (object, 0, 3, error), b = NULL;
  GVariantDict dict;
  guint groups;
  gint layer;

  if (!k
      || (count_weights (object) > 1
          && !(b = read_weights (object, 1, 1, error)))
      || !seq_json_uint (object, "groups", SEQ_MAX_UNITS, 1, &groups, error))
    return FALSE;
  if (size && first_of (size) != k->shape[0]) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "kernel_size is %u; expected %" G_GUINT64_FORMAT
        ", as weights[0] has it",
        first_of (size), k->shape[0]);
    return FALSE;
  }
  g_variant_dict_init (&dict, NULL);
  g_variant_dict_insert (
      &dict, "out_channels", "u", (guint) MIN (k->shape[2], G_MAXUINT));
  g_variant_dict_insert (
      &dict, "kernel_size", "u", (guint) MIN (k->shape[0], G_MAXUINT));
  g_variant_dict_insert (
      &dict, "dilation", "u", dilation ? first_of (dilation) : 1);
  g_variant_dict_insert (&dict, "groups", "u", groups);
  layer =
      seq_builder_add (builder, "conv1d", g_variant_dict_end (&dict), error);
  /* [kernel, in][out]: ours, transposed */
  return layer >= 0
         && seq_builder_set (builder, (guint) layer, "weight", k->name,
             k->values, (gsize) (k->shape[0] * k->shape[1]),
             (gsize) k->shape[2], &transposed, error)
         && (!b || set (builder, (guint) layer, "bias", b, NULL, error));
}

static gboolean
read_prelu (SeqBuilder *builder, json_t *object, GError **error)
{
  json_t *w = json_array_get (json_object_get (object, "weights"), 0);
  g_autoptr (SeqArray) a = read_weights (
      object, 0, json_is_array (json_array_get (w, 0)) ? 2 : 1, error);
  gint layer;

  if (!a)
    return FALSE;
  layer = add (builder, "prelu", "shared", a->n_values == 1, error);
  return layer >= 0
         && seq_builder_set (builder, (guint) layer, "alpha", a->name,
             a->values, a->n_values, 1, NULL, error);
}

/* [gamma, beta, mean, variance] or [mean, variance], folded into a x + b */
static gboolean
read_batchnorm (SeqBuilder *builder, json_t *object, GError **error)
{
  gsize n = count_weights (object), width;
  g_autoptr (SeqArray) gamma = NULL, beta = NULL, mean = NULL, variance = NULL;
  SeqArray **const arrays[] = { &gamma, &beta, &mean, &variance };
  g_autofree double *a = NULL, *b = NULL;
  double epsilon;
  gint layer;

  if (n != 2 && n != 4) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "weights has %" G_GSIZE_FORMAT " lists; expected 2 or 4", n);
    return FALSE;
  }
  if (!seq_json_double (object, "epsilon", 1e-3, &epsilon, error))
    return FALSE;
  for (guint i = 0; i < n; i++) {
    SeqArray *array = read_weights (object, i, 1, error);

    *arrays[i + 4 - n] = array;
    if (!array)
      return FALSE;
    if (array->n_values != (*arrays[4 - n])->n_values) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
          "%s has %" G_GSIZE_FORMAT " values; expected %" G_GSIZE_FORMAT
          ", as weights[0]",
          array->name, array->n_values, (*arrays[4 - n])->n_values);
      return FALSE;
    }
  }
  width = mean->n_values;
  a = g_new (double, width + 1);
  b = g_new (double, width + 1);
  for (gsize i = 0; i < width; i++) {
    a[i] =
        (gamma ? gamma->values[i] : 1) / sqrt (variance->values[i] + epsilon);
    b[i] = (beta ? beta->values[i] : 0) - a[i] * mean->values[i];
  }
  layer = seq_builder_add (builder, "scale", NULL, error);
  return layer >= 0
         && seq_builder_set (builder, (guint) layer, "weight", "gamma", a,
             width, 1, NULL, error)
         && seq_builder_set (
             builder, (guint) layer, "bias", "beta", b, width, 1, NULL, error);
}

/* --- writing layers --------------------------------------------------------
 */

/* gates of a tensor, transposed: [cols][gates * rows], gate g from gates[g] */
static json_t *
write_matrix (
    const SeqModel *model, guint layer, guint tensor, const guint8 *gates)
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

/* Column 0 of a tensor, as a flat list. */
static json_t *
write_vector (
    const SeqModel *model, guint layer, guint tensor, const guint8 *gates)
{
  json_t *rows = write_matrix (model, layer, tensor, gates);
  json_t *row = json_incref (json_array_get (rows, 0));

  json_decref (rows);
  return row;
}

static json_t *
write_zeros (guint n)
{
  json_t *zeros = json_array ();

  for (guint i = 0; i < n; i++)
    json_array_append_new (zeros, json_real (0));
  return zeros;
}

static json_t *
write_dense (const SeqModel *model, guint i)
{
  const SeqLayer *layer = model->chain->layers[i];

  return json_pack ("[o, o]", write_matrix (model, i, 0, NULL),
      layer->n_tensors > 1 ? write_vector (model, i, 1, NULL)
                           : write_zeros (layer->n_out));
}

static json_t *
write_lstm (const SeqModel *model, guint i)
{
  if (model->chain->layers[i]->n_tensors != 3) /* a projection, a start */
    return NULL;
  return json_pack ("[o, o, o]", write_matrix (model, i, 0, NULL),
      write_matrix (model, i, 1, NULL), write_vector (model, i, 2, NULL));
}

/* Our bias is that of the input; the recurrent one is [0, 0, bias_hn]. */
static json_t *
write_gru (const SeqModel *model, guint i)
{
  const SeqLayer *layer = model->chain->layers[i];
  json_t *recurrent, *hn;
  guint reset_after;

  if (layer->n_tensors != 4
      || !seq_config_uint (
          layer, layer->config, "reset_after", 0, 1, 1, &reset_after, NULL)
      || !reset_after)
    return NULL;
  recurrent = write_zeros (2 * layer->n_out);
  hn = write_vector (model, i, 3, NULL);
  json_array_extend (recurrent, hn);
  json_decref (hn);
  return json_pack ("[o, o, [o, o]]", write_matrix (model, i, 0, zrh),
      write_matrix (model, i, 1, zrh), write_vector (model, i, 2, zrh),
      recurrent);
}

static json_t *
write_nothing (const SeqModel *model, guint i)
{
  return json_array ();
}

/* --- the types of layers -----------------------------------------------------
 */

static const struct {
  const char *type;
  gboolean (*read) (SeqBuilder *builder, json_t *object, GError **error);
  guint most;         /* lists of weights */
  gboolean activates; /* has the key activation */
  /* Writes the weights of a layer of the kind with this name. NULL: the layer
   * has options that cannot be stored */
  json_t *(*write) (const SeqModel *model, guint layer);
} types[] = {
  { "activation", NULL, 0, TRUE, write_nothing },
  { "batchnorm", read_batchnorm, 4 },
  { "conv1d", read_conv1d, 2, TRUE },
  { "dense", read_dense, 2, TRUE, write_dense },
  { "gru", read_gru, 3, FALSE, write_gru },
  { "lstm", read_lstm, 3, FALSE, write_lstm },
  { "prelu", read_prelu, 1 },
  { "time-distributed-dense", read_dense, 2, TRUE },
};

/* Whether a layer changes nothing when a model runs. RTNeural's exporter writes
 * "unknown" for any layer it does not know. If that is the first and has no
 * weights, it is Keras 3's input layer; elsewhere it can be anything. */
static gboolean
changes_nothing (const char *type, json_t *object, guint nth)
{
  static const char *const types_of_input[] = { "unknown", "input",
    "inputlayer", "input_layer", NULL };

  return type && count_weights (object) == 0
         && (g_ascii_strcasecmp (type, "dropout") == 0
             || (nth == 0 && g_strv_contains (types_of_input, type)));
}

static char *
list_types (void)
{
  GString *list = g_string_new (NULL);

  for (guint i = 0; i < G_N_ELEMENTS (types); i++)
    g_string_append_printf (list, "%s%s", i ? ", " : "", types[i].type);
  return g_string_free (list, FALSE);
}

/* Reads the last entry of a shape; 0: no shape. */
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
        "the last entry of %s is %" JSON_INTEGER_FORMAT
        "; expected a width of 1 to %u",
        key, json_integer_value (last), SEQ_MAX_WIDTH);
    return FALSE;
  }
  *width = (guint) json_integer_value (last);
  return TRUE;
}

static gboolean
read_layer (SeqBuilder *builder, json_t *object, guint nth, GError **error)
{
  const char *type = json_string_value (json_object_get (object, "type"));
  const char *activation =
      json_string_value (json_object_get (object, "activation"));
  g_autofree char *known = NULL;
  guint i = 0, n, width;

  while (i < G_N_ELEMENTS (types) && g_strcmp0 (type, types[i].type) != 0)
    i++;
  if (i == G_N_ELEMENTS (types)) {
    if (changes_nothing (type, object, nth))
      return TRUE;
    known = list_types ();
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "type is '%s'; expected one of %s", type ? type : "missing", known);
    return FALSE;
  }
  if (count_weights (object) > types[i].most) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "weights has %" G_GSIZE_FORMAT " lists; expected at most %u of %s",
        count_weights (object), types[i].most, type);
    return FALSE;
  }
  if (types[i].read && !types[i].read (builder, object, error))
    return FALSE;
  if (types[i].activates && activation && *activation
      && strcmp (activation, "linear") != 0
      && seq_builder_add (builder, "activation",
             g_variant_new_parsed ("{'activation': <%s>}", activation), error)
             < 0)
    return FALSE;
  if (!last_of_shape (object, "shape", &width, error))
    return FALSE;
  n = seq_builder_n_layers (builder);
  if (width && n && seq_builder_layer (builder, n - 1)->n_out != width) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "shape says %u outputs; expected %u, as the weights make", width,
        seq_builder_layer (builder, n - 1)->n_out);
    return FALSE;
  }
  return TRUE;
}

/* --- the whole ---------------------------------------------------------------
 */

/* A gain in dB, as a factor; -90 dB and less are nothing. */
static gboolean
read_gain (json_t *root, const char *key, double *gain, GError **error)
{
  double db;

  if (!seq_json_double (root, key, 0, &db, error))
    return FALSE;
  *gain = db <= -90 ? 0 : pow (10, db / 20);
  return TRUE;
}

/* Those who train with RTNeural make effects. */
static SeqStart
read_start (json_t *root, guint horizon)
{
  json_t *start = json_object_get (root, "start");

  if (start || horizon > 0)
    return seq_start_find (json_string_value (start));
  return SEQ_START_SILENCE;
}

/* u = in_gain x, y = out_gain (net (u) + in_skip u) */
static gboolean
read_facts (SeqBuilder *builder, json_t *root, GError **error)
{
  guint n_in = seq_builder_layer (builder, 0)->n_in;
  guint n_out =
      seq_builder_layer (builder, seq_builder_n_layers (builder) - 1)->n_out;
  guint skip, knobs, horizon, window;
  double in_gain, out_gain;
  g_autofree double *scales = g_new0 (double, 2 * (n_in + n_out));

  if (!seq_json_uint (root, "in_skip", G_MAXUINT, 0, &skip, error)
      || !read_gain (root, "in_gain", &in_gain, error)
      || !read_gain (root, "out_gain", &out_gain, error)
      || !seq_json_uint (root, "knobs", n_in - 1, 0, &knobs, error)
      || !seq_json_uint (root, "horizon", SEQ_MAX_HORIZON, 0, &horizon, error)
      || !seq_json_uint (
          root, "window", SEQ_MAX_READ_WINDOW, 0, &window, error))
    return FALSE;
  if (skip > 1) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "in_skip is %u; expected 0 or 1", skip);
    return FALSE;
  }
  seq_builder_set_skip (builder, skip);
  seq_builder_set_n_signal (builder, n_in - knobs);
  seq_builder_set_horizon (builder, horizon);
  seq_builder_set_window (builder, window);
  seq_builder_set_start (builder, read_start (root, horizon));
  if (in_gain != 1 || out_gain != 1) {
    for (guint i = 0; i < n_in; i++)
      scales[i] = i == 0 ? in_gain : 1; /* knobs are not amplified */
    for (guint o = 0; o < n_out; o++)
      scales[2 * n_in + o] = out_gain;
    seq_builder_set_scales (builder, scales, scales + n_in, scales + 2 * n_in,
        scales + 2 * n_in + n_out);
  }
  return TRUE;
}

/* Counts all numbers: the layers must not need more. */
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

SeqBuilder *
seq_rtneural_build (const SeqFile *file, GError **error)
{
  json_t *layers = json_object_get (file->json, "layers"), *object;
  g_autoptr (SeqBuilder) builder = NULL;
  guint n_in;
  gsize i;

  if (!last_of_shape (file->json, "in_shape", &n_in, error))
    return NULL;
  if (!n_in || !json_is_array (layers)) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "%s; expected in_shape, with a width at its end, and a list of layers",
        n_in ? "layers is not a list" : "in_shape is missing");
    return NULL;
  }
  builder = seq_reader_builder (n_in, count_numbers (layers));
  json_array_foreach (layers, i, object)
  {
    if (!read_layer (builder, object, (guint) i, error)) {
      g_prefix_error (error, "layer %zu: ", i);
      return NULL;
    }
  }
  if (seq_builder_n_layers (builder) == 0) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "there is no layer that computes something; expected at least 1");
    return NULL;
  }
  return read_facts (builder, file->json, error) ? g_steal_pointer (&builder)
                                                 : NULL;
}

gboolean
seq_rtneural_is_layers (json_t *root)
{
  return json_object_get (root, "layers") != NULL;
}

gboolean
seq_rtneural_is_aidax (json_t *root)
{
  return json_object_get (root, "metadata")
         || json_object_get (root, "samplerate")
         || json_object_get (root, "output_batch");
}

static gboolean
sniff (const SeqFile *file)
{
  return seq_rtneural_is_layers (file->json)
         && !seq_rtneural_is_aidax (file->json);
}

static SeqModel *
read_model (const SeqFile *file, GError **error)
{
  g_autoptr (SeqBuilder) builder = seq_rtneural_build (file, error);

  return builder ? seq_reader_finish (builder, file, error) : NULL;
}

/* Refuses facts that the format cannot store. */
static gboolean
check_facts (const SeqModel *model, GError **error)
{
  const SeqChain *chain = model->chain;

  if (chain->skip > 1 || (chain->skip && chain->n_out > 1)) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "a residual of %u features onto %u outputs cannot be stored; expected "
        "one onto one",
        chain->skip, chain->n_out);
    return FALSE;
  }
  for (guint k = 0; k < chain->n_in + chain->n_out; k++) {
    gboolean in = k < chain->n_in;
    guint o = k - chain->n_in;

    if (in ? model->in_scale[k] != 1 || model->in_shift[k] != 0
           : model->out_scale[o] != 1 || model->out_shift[o] != 0) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
          "scaling of inputs and outputs cannot be stored");
      return FALSE;
    }
  }
  return TRUE;
}

static json_t *
write_layer (const SeqModel *model, guint i, GError **error)
{
  const SeqLayer *layer = model->chain->layers[i];
  const char *kind = layer->klass->kind.name, *word = "";
  json_t *weights = NULL;

  for (guint k = 0; k < G_N_ELEMENTS (types); k++)
    if (types[k].write && g_str_equal (kind, types[k].type))
      weights = types[k].write (model, i);
  if (!weights) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "layer %u: %s with these options cannot be stored", i, kind);
    return NULL;
  }
  if (g_str_equal (kind, "activation")
      && !g_variant_lookup (layer->config, "activation", "&s", &word))
    word = "tanh";
  return json_pack ("{s:s, s:s, s:[n, n, i], s:o}", "type", kind, "activation",
      word, "shape", (int) layer->n_out, "weights", weights);
}

static GBytes *
write_model (const SeqModel *model, GError **error)
{
  const SeqChain *chain = model->chain;
  json_t *layers, *root;
  char *text;

  if (!check_facts (model, error))
    return NULL;
  layers = json_array ();
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
  if (chain->n_in > 1)
    json_object_set_new (
        root, "knobs", json_integer (chain->n_in - model->n_signal));
  if (model->horizon)
    json_object_set_new (root, "horizon", json_integer (model->horizon));
  json_object_set_new (
      root, "start", json_string (seq_start_name (model->start)));
  if (model->window)
    json_object_set_new (root, "window", json_integer (model->window));
  text = json_dumps (root, JSON_COMPACT | JSON_REAL_PRECISION (9));
  json_decref (root);
  return g_bytes_new_with_free_func (text, strlen (text), free, text);
}

const SeqFileFormat seq_format_rtneural = {
  .name = "RTNeural",
  .mark = "layers",
  .suffix = ".json",
  .sniff = sniff,
  .read = read_model,
  .write = write_model,
};
