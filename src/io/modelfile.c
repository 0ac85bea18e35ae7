/* modelfile.c: models in safetensors: PyTorch's state_dicts, and our own files,
 * whose metadata says what a state_dict cannot.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Our own: nets have PyTorch's names ("lstm.weight_ih_l0", ...,
 * "dense.weight"), other kinds "<kind>.<tensor>", a second of the same kind
 * "lstm2." and so on. Layers of one kind and one config in a row are one module
 * of several layers. Our bias is bias_ih and bias_hh is zero, but for a GRU's
 * n. Metadata "seqfilter.model" is a GVariant of type FACTS in text form. Names
 * that begin with "seqfilter." hold no weights.
 */
#include "src/io/load.h"
#include "src/io/reader.h"
#include "src/io/safetensors.h"

#include <string.h>

#define KEY "seqfilter.model"
#define VERSION 1
/* version, layers (kind, options), n_in, skip, n_signal, horizon, rate,
 * scales (in_scale, in_shift, out_scale, out_shift, or nothing) */
#define FACTS "(ua(sa{sv})uuuudad)"

/* Where the tensors of a layer are found: module path and number in it. */
typedef struct {
  char path[32];
  guint k;
} Place;

static gboolean
is_recurrent (const SeqLayer *layer)
{
  return g_str_equal (layer->klass->kind.name, "lstm")
         || g_str_equal (layer->klass->kind.name, "gru")
         || g_str_equal (layer->klass->kind.name, "rnn");
}

/* Places of all layers of a chain. */
static Place *
places_of (SeqLayer *const *layers, guint n_layers)
{
  Place *places = g_new0 (Place, n_layers);

  for (guint i = 0; i < n_layers; i++) {
    const SeqLayer *layer = layers[i];
    guint nth = 1;

    if (i > 0 && is_recurrent (layer) && layer->klass == layers[i - 1]->klass
        && layer->n_out == layers[i - 1]->n_out
        && g_variant_equal (layer->config, layers[i - 1]->config)) {
      places[i] = places[i - 1];
      places[i].k++;
      continue;
    }
    for (guint j = 0; j < i; j++)
      nth += layers[j]->klass == layer->klass && places[j].k == 0;
    if (nth == 1)
      g_snprintf (places[i].path, sizeof places[i].path, "%s.",
          layer->klass->kind.name);
    else
      g_snprintf (places[i].path, sizeof places[i].path, "%s%u.",
          layer->klass->kind.name, nth);
  }
  return places;
}

/* PyTorch's name of a tensor of ours. */
static char *
name_of (const SeqLayer *layer, const Place *place, const char *tensor)
{
  if (!is_recurrent (layer))
    return g_strconcat (place->path, tensor, NULL);
  return g_strdup_printf ("%s%s_l%u", place->path,
      g_str_equal (tensor, "bias") ? "bias_ih" : tensor, place->k);
}

/* --- writing -----------------------------------------------------------------
 */

/* A tensor to write that owns its name and its values. */
static float *
add_tensor (GArray *tensors, char *name, guint rank, gsize rows, gsize cols)
{
  gsize size = rows * cols * sizeof (float);
  SeqTensorData tensor = { .name = name,
    .dtype = SEQ_DTYPE_F32,
    .rank = rank,
    .shape = { rows, cols },
    .data = g_malloc0 (size + 1),
    .size = size };

  g_array_append_val (tensors, tensor);
  return (float *) tensor.data;
}

static void
tensor_clear (gpointer data)
{
  SeqTensorData *tensor = data;

  g_free ((gpointer) tensor->name);
  g_free ((gpointer) tensor->data);
}

static void
add_layer (GArray *tensors, const SeqLayer *layer, const Place *place,
    const real *weights)
{
  for (guint i = 0; i < layer->n_tensors; i++) {
    const SeqTensor *t = &layer->tensors[i];
    gboolean hn = is_recurrent (layer) && g_str_equal (t->name, "bias_hn");
    gboolean vector = g_str_has_prefix (t->name, "bias") && t->cols == 1;
    guint first = hn ? 2 : 0, gates = hn ? 3 : t->gates;
    float *values =
        add_tensor (tensors, name_of (layer, place, hn ? "bias_hh" : t->name),
            vector ? 1 : 2, (gsize) gates * t->rows, t->cols);

    for (guint g = 0; g < t->gates; g++)
      for (guint r = 0; r < t->rows; r++)
        for (guint c = 0; c < t->cols; c++)
          values[((gsize) (first + g) * t->rows + r) * t->cols + c] =
              (float) weights[seq_tensor_index (t, g, r, c)];
    /* PyTorch wants both biases of every recurrent layer */
    if (is_recurrent (layer) && g_str_equal (t->name, "bias")
        && !g_str_equal (layer->klass->kind.name, "gru"))
      add_tensor (tensors, name_of (layer, place, "bias_hh"), 1,
          (gsize) t->gates * t->rows, 1);
  }
}

static char *
facts_of (const SeqModel *model)
{
  const SeqChain *chain = model->chain;
  GVariantBuilder layers =
      G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("a(sa{sv})"));
  GVariantBuilder scales = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("ad"));
  const double *all[] = { model->in_scale, model->in_shift, model->out_scale,
    model->out_shift };
  g_autoptr (GVariant) facts = NULL;

  for (guint i = 0; i < chain->n_layers; i++)
    g_variant_builder_add (&layers, "(s@a{sv})",
        chain->layers[i]->klass->kind.name, chain->layers[i]->config);
  for (guint i = 0; i < 4 && model->normalised; i++)
    for (guint k = 0; k < (i < 2 ? chain->n_in : chain->n_out); k++)
      g_variant_builder_add (&scales, "d", all[i][k]);
  facts =
      g_variant_ref_sink (g_variant_new (FACTS, VERSION, &layers, chain->n_in,
          chain->skip, model->n_signal, model->horizon, model->rate, &scales));
  return g_variant_print (facts, TRUE);
}

GBytes *
seq_write_safetensors (const SeqModel *model)
{
  const SeqChain *chain = model->chain;
  g_autofree Place *places = places_of (chain->layers, chain->n_layers);
  g_autoptr (GArray) tensors =
      g_array_new (FALSE, FALSE, sizeof (SeqTensorData));
  g_autoptr (GHashTable) metadata =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  GHashTableIter iter;
  gpointer key, value;

  g_array_set_clear_func (tensors, tensor_clear);
  for (guint i = 0; i < chain->n_layers; i++)
    add_layer (tensors, chain->layers[i], &places[i],
        model->weights + chain->weights_at[i]);
  g_hash_table_iter_init (&iter, model->metadata);
  while (g_hash_table_iter_next (&iter, &key, &value))
    g_hash_table_replace (metadata, g_strdup (key), g_strdup (value));
  g_hash_table_replace (metadata, g_strdup ("format"), g_strdup ("pt"));
  g_hash_table_replace (metadata, g_strdup (KEY), facts_of (model));
  return seq_safetensors_write (
      (SeqTensorData *) tensors->data, tensors->len, metadata);
}

/* --- reading -----------------------------------------------------------------
 */

static gboolean
bind (SeqBuilder *builder, guint layer, const SeqTensor *t,
    const SeqSafetensors *file, const char *name, guint first_gate,
    guint n_gates, GError **error)
{
  const SeqTensorData *data = seq_safetensors_find (file, name);
  g_autofree double *values = NULL;
  gsize n, gate = (gsize) t->rows * t->cols;

  if (!data) {
    g_set_error (
        error, SEQ_ERROR, SEQ_ERROR_DAMAGED, "tensor '%s' is missing", name);
    return FALSE;
  }
  values = seq_tensor_data_to_doubles (data, &n, error);
  if (!values)
    return FALSE;
  if (n != n_gates * gate) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "tensor '%s': %zu values where %zu are needed", name, n,
        n_gates * gate);
    return FALSE;
  }
  return seq_builder_set (builder, layer, t->name, name,
      values + first_gate * gate, (gsize) t->gates * t->rows, t->cols, NULL,
      error);
}

static SeqModel *
read_own (const SeqSafetensors *file, const char *text, GVariant *hints,
    GError **error)
{
  g_autoptr (GVariant) facts =
      g_variant_parse (G_VARIANT_TYPE (FACTS), text, NULL, NULL, error);
  g_autoptr (GVariant) layers = NULL, scales = NULL;
  g_autoptr (SeqBuilder) builder = NULL;
  g_autoptr (GPtrArray) list = g_ptr_array_new ();
  g_autofree Place *places = NULL;
  guint version, n_in, skip, n_signal, horizon, n_layers, n_out;
  const double *s;
  gsize n_scales;
  double rate;

  if (!facts
      || !seq_reader_refuse_hints (hints,
          (const char *const[]){
              "nonlinearity", "head", "head_activation", NULL },
          error))
    return NULL;
  g_variant_get (facts, "(u@a(sa{sv})uuuud@ad)", &version, &layers, &n_in,
      &skip, &n_signal, &horizon, &rate, &scales);
  n_layers = (guint) g_variant_n_children (layers);
  if (version != VERSION || n_layers < 1 || n_layers > 1024
      || !(rate >= 0 && rate < 1e9) || horizon > 1 << 20) {
    g_set_error (
        error, SEQ_ERROR, SEQ_ERROR_DAMAGED, KEY " is out of range: %s", text);
    return NULL;
  }
  builder = seq_reader_builder (n_in, g_bytes_get_size (file->bytes));
  for (guint i = 0; i < n_layers; i++) {
    g_autoptr (GVariant) config = NULL;
    const char *kind;

    g_variant_get_child (layers, i, "(&s@a{sv})", &kind, &config);
    if (seq_builder_add (builder, kind, config, error) < 0)
      return NULL;
    g_ptr_array_add (list, (gpointer) seq_builder_layer (builder, i));
  }
  places = places_of ((SeqLayer **) list->pdata, n_layers);
  for (guint i = 0; i < n_layers; i++) {
    const SeqLayer *layer = list->pdata[i];

    for (guint j = 0; j < layer->n_tensors; j++) {
      const SeqTensor *t = &layer->tensors[j];
      gboolean hn = is_recurrent (layer) && g_str_equal (t->name, "bias_hn");
      g_autofree char *name =
          name_of (layer, &places[i], hn ? "bias_hh" : t->name);

      if (!bind (
              builder, i, t, file, name, hn ? 2 : 0, hn ? 3 : t->gates, error))
        return NULL;
    }
  }
  n_out = seq_builder_layer (builder, n_layers - 1)->n_out;
  s = g_variant_get_fixed_array (scales, &n_scales, sizeof (double));
  if (n_scales != 0 && n_scales != 2 * ((gsize) n_in + n_out)) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        KEY ": %zu scales where 0 or %u are needed", n_scales,
        2 * (n_in + n_out));
    return NULL;
  }
  if (n_scales)
    seq_builder_set_scales (
        builder, s, s + n_in, s + 2 * n_in, s + 2 * n_in + n_out);
  seq_builder_set_skip (builder, skip);
  seq_builder_set_n_signal (builder, n_signal);
  seq_builder_set_horizon (builder, horizon);
  seq_builder_set_rate (builder, rate);
  return seq_reader_finish (builder, "safetensors", hints, error);
}

static SeqModel *
read_state_dict (const SeqSafetensors *file, GVariant *hints, GError **error)
{
  g_autoptr (GPtrArray) arrays =
      g_ptr_array_new_with_free_func ((GDestroyNotify) seq_array_free);

  for (guint i = 0; i < file->tensors->len; i++) {
    const SeqTensorData *t = &g_array_index (file->tensors, SeqTensorData, i);
    SeqArray *array;

    if (g_str_has_prefix (t->name, "seqfilter."))
      continue;
    /* counters and the like are no weights; a weight of a wrong type is an
     * error where it is needed */
    if (t->dtype > SEQ_DTYPE_BF16 && !strstr (t->name, "weight")
        && !strstr (t->name, "bias"))
      continue;
    array = seq_array_new (t->name);
    g_ptr_array_add (arrays, array);
    array->rank = t->rank;
    memcpy (array->shape, t->shape, sizeof array->shape);
    array->values = seq_tensor_data_to_doubles (t, &array->n_values, error);
    if (!array->values)
      return NULL;
  }
  return seq_read_state_dict (arrays, 0, "safetensors", hints, error);
}

SeqModel *
seq_read_safetensors (
    GBytes *bytes, const char *folder, GVariant *hints, GError **error)
{
  g_autoptr (SeqSafetensors) file = seq_safetensors_parse (bytes, error);
  SeqModel *model;
  const char *facts;
  GHashTableIter iter;
  gpointer key, value;

  if (!file)
    return NULL;
  facts = g_hash_table_lookup (file->metadata, KEY);
  model = facts ? read_own (file, facts, hints, error)
                : read_state_dict (file, hints, error);
  if (!model) {
    g_prefix_error (error, "safetensors: ");
    return NULL;
  }
  g_hash_table_iter_init (&iter, file->metadata);
  while (g_hash_table_iter_next (&iter, &key, &value))
    if (!g_str_has_prefix (key, "seqfilter.") && !g_str_equal (key, "format"))
      g_hash_table_replace (model->metadata, g_strdup (key), g_strdup (value));
  return model;
}
