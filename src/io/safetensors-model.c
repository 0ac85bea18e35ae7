/* safetensors-model.c: models in safetensors, of our own: the metadata says
 * what the tensors cannot. (Others' safetensors are state_dicts: see
 * statedict.c.) SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Recurrent cells that PyTorch has get its names and shapes
 * ("lstm.weight_ih_l0"); consecutive layers of the same kind and config are
 * one module. Other kinds get "<kind>.<tensor>": "dense.weight" is that of
 * nn.Linear. A second module of a kind is "lstm2." and so on. Our bias is
 * bias_ih; bias_hh is zero, except a GRU's n. The metadata "seqfilter.model"
 * is a GVariant of type FACTS as text. The linear forecaster of a net is a
 * tensor of bytes, SEQ_LINEAR_TENSOR: a file of its own.
 */
#include "src/io/load.h"
#include "src/io/reader.h"
#include "src/model-facts.h"

#include <string.h>

#define VERSION 1
/* version, the model, scales (or none) */
#define FACTS "(u" SEQ_MODEL_FACTS "ad)"

/* The name of a layer's tensors: module path, and number in the module. */
typedef struct {
  char path[32];
  guint k;
} Place;

static gboolean
has_tensor (const SeqLayer *layer, const char *name)
{
  for (guint i = 0; i < layer->n_tensors; i++)
    if (g_str_equal (layer->tensors[i].name, name))
      return TRUE;
  return FALSE;
}

/* Whether PyTorch has a module with these tensors. */
static gboolean
is_recurrent (const SeqLayer *layer)
{
  return (layer->klass->kind.flags & SEQ_KIND_TORCH_CELL) != 0;
}

/* Places of all layers of a chain. */
static Place *
places_of (const SeqLayer *const *layers, guint n_layers)
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

/* The name of a tensor in the file. */
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

/* Adds a tensor, which owns its name and values. */
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
    /* PyTorch needs both biases of every recurrent layer */
    if (is_recurrent (layer) && g_str_equal (t->name, "bias")
        && !has_tensor (layer, "bias_hn"))
      add_tensor (tensors, name_of (layer, place, "bias_hh"), 1,
          (gsize) t->gates * t->rows, 1);
  }
}

static char *
facts_of (const SeqModel *model)
{
  GVariantBuilder tuple = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE (FACTS));
  g_autofree double *scales = NULL;
  g_autoptr (GVariant) facts = NULL;
  gsize n = 0;

  g_variant_builder_add (&tuple, "u", VERSION);
  seq_model_facts_add (&tuple, model);
  if (model->normalised)
    scales = seq_model_facts_scales (model, &n);
  g_variant_builder_add_value (
      &tuple, g_variant_new_fixed_array (
                  G_VARIANT_TYPE_DOUBLE, scales, n, sizeof (double)));
  facts = g_variant_ref_sink (g_variant_builder_end (&tuple));
  return g_variant_print (facts, TRUE);
}

static GBytes *
write_model (const SeqModel *model, GError **error)
{
  const SeqChain *chain = model->chain;
  g_autofree Place *places =
      places_of ((const SeqLayer *const *) chain->layers, chain->n_layers);
  g_autoptr (GArray) tensors =
      g_array_new (FALSE, FALSE, sizeof (SeqTensorData));
  g_autoptr (GHashTable) metadata =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  GHashTableIter iter;
  gpointer key, value;
  g_autoptr (GBytes) linear = NULL;

  g_array_set_clear_func (tensors, tensor_clear);
  for (guint i = 0; i < chain->n_layers; i++)
    add_layer (tensors, chain->layers[i], &places[i],
        model->weights + chain->weights_at[i]);
  if (model->linear) {
    gsize size;

    linear = write_model (model->linear, error);
    if (!linear)
      return NULL;
    g_bytes_get_data (linear, &size);
    g_array_append_vals (tensors,
        &(SeqTensorData){ .name = g_strdup (SEQ_LINEAR_TENSOR),
            .dtype = SEQ_DTYPE_U8,
            .rank = 1,
            .shape = { size },
            .data = g_memdup2 (g_bytes_get_data (linear, NULL), size),
            .size = size },
        1);
  }
  g_hash_table_iter_init (&iter, model->metadata);
  while (g_hash_table_iter_next (&iter, &key, &value))
    g_hash_table_replace (metadata, g_strdup (key), g_strdup (value));
  g_hash_table_replace (metadata, g_strdup ("format"), g_strdup ("pt"));
  g_hash_table_replace (metadata, g_strdup (SEQ_MODEL_KEY), facts_of (model));
  seq_model_facts_put (metadata, model);
  return seq_safetensors_write (
      (SeqTensorData *) tensors->data, tensors->len, metadata);
}

/* --- reading -----------------------------------------------------------------
 */

static gboolean
sniff (const SeqFile *file)
{
  return file->tensors
         && g_hash_table_contains (file->tensors->metadata, SEQ_MODEL_KEY);
}

/* A tensor of the file, as doubles; NULL without an error: there is none. */
static double *
read_tensor (const SeqSafetensors *file, const char *name, gsize n_expected,
    GHashTable *used, GError **error)
{
  const SeqTensorData *data = seq_safetensors_find (file, name);
  g_autofree double *values = NULL;
  gsize n;

  if (!data)
    return NULL;
  g_hash_table_add (used, (gpointer) data);
  values = seq_tensor_data_to_doubles (data, &n, error);
  if (values && n != n_expected) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "tensor '%s' has %" G_GSIZE_FORMAT " values; expected %" G_GSIZE_FORMAT,
        name, n, n_expected);
    return NULL;
  }
  return g_steal_pointer (&values);
}

static gboolean
bind (SeqBuilder *builder, guint layer, const SeqTensor *t,
    const SeqSafetensors *file, const char *name, guint first_gate,
    guint n_gates, GHashTable *used, GError **error)
{
  gsize gate = (gsize) t->rows * t->cols;
  g_autoptr (GError) local = NULL;
  g_autofree double *values =
      read_tensor (file, name, n_gates * gate, used, &local);

  if (!values) {
    if (local)
      g_propagate_error (error, g_steal_pointer (&local));
    else
      g_set_error (
          error, SEQ_ERROR, SEQ_ERROR_DAMAGED, "tensor '%s' is missing", name);
    return FALSE;
  }
  return seq_builder_set (builder, layer, t->name, name,
      values + first_gate * gate, (gsize) t->gates * t->rows, t->cols, NULL,
      error);
}

/* PyTorch's second bias, which is zero in what we write, but not after a
 * training there: it adds to ours, except the n of a GRU, which is a tensor of
 * its own. */
static gboolean
add_second_bias (SeqBuilder *builder, guint i, const Place *place,
    const SeqSafetensors *file, GHashTable *used, GError **error)
{
  static const SeqLayout add = { .add = TRUE };
  const SeqLayer *layer = seq_builder_layer (builder, i);
  g_autofree char *name = name_of (layer, place, "bias_hh");
  g_autoptr (GError) local = NULL;
  g_autofree double *values = NULL;
  gsize n = 0;

  for (guint j = 0; j < layer->n_tensors; j++)
    if (g_str_equal (layer->tensors[j].name, "bias"))
      n = (gsize) layer->tensors[j].gates * layer->tensors[j].rows;
  values = n ? read_tensor (file, name, n, used, &local) : NULL;
  if (values && has_tensor (layer, "bias_hn"))
    memset (values + n / 3 * 2, 0, n / 3 * sizeof *values);
  if (local) {
    g_propagate_error (error, g_steal_pointer (&local));
    return FALSE;
  }
  return !values
         || seq_builder_set (
             builder, i, "bias", name, values, n, 1, &add, error);
}

static gboolean
check_used (const SeqSafetensors *file, GHashTable *used, GError **error)
{
  for (guint i = 0; i < file->tensors->len; i++) {
    const SeqTensorData *t = &g_array_index (file->tensors, SeqTensorData, i);

    if (g_hash_table_contains (used, t))
      continue;
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "tensor '%s' is not part of the model that " SEQ_MODEL_KEY " describes",
        t->name);
    return FALSE;
  }
  return TRUE;
}

static gboolean
bind_linear (SeqBuilder *builder, const SeqSafetensors *file, GHashTable *used,
    GError **error)
{
  const SeqTensorData *data = seq_safetensors_find (file, SEQ_LINEAR_TENSOR);
  g_autoptr (SeqModel) linear = NULL;

  if (!data)
    return TRUE;
  g_hash_table_add (used, (gpointer) data);
  linear = seq_model_load_linear (data->data, data->size, error);
  if (linear)
    seq_builder_set_linear (builder, linear);
  return linear != NULL;
}

static gboolean
bind_all (SeqBuilder *builder, const SeqSafetensors *file, GError **error)
{
  g_autoptr (GHashTable) used = g_hash_table_new (NULL, NULL);
  guint n_layers = seq_builder_n_layers (builder);
  g_autofree const SeqLayer **layers = g_new (const SeqLayer *, n_layers);
  g_autofree Place *places = NULL;

  for (guint i = 0; i < n_layers; i++)
    layers[i] = seq_builder_layer (builder, i);
  places = places_of (layers, n_layers);
  for (guint i = 0; i < n_layers; i++) {
    for (guint j = 0; j < layers[i]->n_tensors; j++) {
      const SeqTensor *t = &layers[i]->tensors[j];
      gboolean hn =
          is_recurrent (layers[i]) && g_str_equal (t->name, "bias_hn");
      g_autofree char *name =
          name_of (layers[i], &places[i], hn ? "bias_hh" : t->name);

      if (!bind (builder, i, t, file, name, hn ? 2 : 0, hn ? 3 : t->gates, used,
              error))
        return FALSE;
    }
    if (is_recurrent (layers[i])
        && !add_second_bias (builder, i, &places[i], file, used, error))
      return FALSE;
  }
  return bind_linear (builder, file, used, error)
         && check_used (file, used, error);
}

static SeqModel *
read_model (const SeqFile *file, GError **error)
{
  GHashTable *metadata = file->tensors->metadata;
  g_autoptr (GVariant) facts = g_variant_parse (G_VARIANT_TYPE (FACTS),
      g_hash_table_lookup (metadata, SEQ_MODEL_KEY), NULL, NULL, error);
  g_autoptr (GVariant) scales = NULL;
  g_autoptr (SeqBuilder) builder = NULL;
  GHashTableIter iter;
  gpointer key, value;
  const double *values;
  guint version = 0;
  gsize n;

  if (facts)
    g_variant_get_child (facts, 0, "u", &version);
  if (facts && version != VERSION)
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "the version is %u; expected %u: a newer seqfilter wrote it", version,
        VERSION);
  else if (facts)
    builder =
        seq_model_facts_build (facts, 1, seq_reader_limit (file->size), error);
  if (!builder) {
    g_prefix_error (error, SEQ_MODEL_KEY ": ");
    return NULL;
  }
  if (!bind_all (builder, file->tensors, error))
    return NULL;
  seq_model_facts_take (builder, metadata);
  scales = g_variant_get_child_value (facts, 1 + SEQ_N_MODEL_FACTS);
  values = g_variant_get_fixed_array (scales, &n, sizeof (double));
  if (n && !seq_model_facts_set_scales (builder, values, n, error)) {
    g_prefix_error (error, SEQ_MODEL_KEY ": ");
    return NULL;
  }
  g_hash_table_iter_init (&iter, metadata);
  while (g_hash_table_iter_next (&iter, &key, &value))
    if (!g_str_has_prefix (key, "seqfilter.") && !g_str_equal (key, "format"))
      seq_builder_set_metadata (builder, key, value);
  return seq_reader_finish (builder, file, error);
}

const SeqFileFormat seq_format_safetensors_model = {
  .name = "safetensors",
  .suffix = ".safetensors",
  .sniff = sniff,
  .read = read_model,
  .write = write_model,
};
