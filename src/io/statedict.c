/* statedict.c: PyTorch's state_dict: what its names and shapes say, and the
 * formats that hold one and nothing else.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A recurrent module P has P weight_ih_l{k}, weight_hh_l{k}, bias_ih_l{k},
 * bias_hh_l{k}, weight_hr_l{k} (projection); the Cell classes have no _l{k}.
 * The class follows from the rows and columns of weight_hh. Other matrices are
 * the head. Hints say what a state_dict cannot (relu, residual, activations).
 */
#include "src/io/statedict.h"
#include "src/io/json.h"
#include "src/model-facts.h"

#include <string.h>

const char *const seq_state_dict_hints[] = { "nonlinearity", "head",
  "head_activation", NULL };

/* PyTorch's classes, by how many times more rows than columns weight_hh has. */
static const char *const kind_of_gates[] = {
  [1] = "rnn", [3] = "gru", [4] = "lstm"
};

/* One recurrent module. */
typedef struct {
  char *path;    /* "lstm." */
  gboolean cell; /* of a Cell class */
  guint n_layers;
} Module;

static void
module_free (gpointer data)
{
  Module *module = data;

  g_free (module->path);
  g_free (module);
}

static const SeqArray *
find (GPtrArray *arrays, const char *path, const char *name)
{
  gsize n = strlen (path);

  for (guint i = 0; i < arrays->len; i++) {
    const SeqArray *a = arrays->pdata[i];

    if (strncmp (a->name, path, n) == 0 && strcmp (a->name + n, name) == 0)
      return a;
  }
  return NULL;
}

static const SeqArray *
find_layer (GPtrArray *arrays, const Module *module, const char *what, guint k)
{
  char name[64];

  if (module->cell)
    return find (arrays, module->path, what);
  g_snprintf (name, sizeof name, "%s_l%u", what, k);
  return find (arrays, module->path, name);
}

/* "stack2.lstm10" after "stack2.lstm9": digits count as numbers. */
static gint
natural (const char *a, const char *b)
{
  while (*a && *b) {
    if (g_ascii_isdigit (*a) && g_ascii_isdigit (*b)) {
      guint64 x = g_ascii_strtoull (a, (char **) &a, 10);
      guint64 y = g_ascii_strtoull (b, (char **) &b, 10);

      if (x != y)
        return x < y ? -1 : 1;
    } else if (*a != *b) {
      return (guchar) *a < (guchar) *b ? -1 : 1;
    } else {
      a++;
      b++;
    }
  }
  return (*a != 0) - (*b != 0);
}

static gint
by_path (gconstpointer a, gconstpointer b)
{
  return natural ((*(Module *const *) a)->path, (*(Module *const *) b)->path);
}

static gint
by_name (gconstpointer a, gconstpointer b)
{
  return natural (
      (*(SeqArray *const *) a)->name, (*(SeqArray *const *) b)->name);
}

/* Why a tensor cannot be run, by its name; NULL if it can. */
static const char *
why_not (const char *name)
{
  if (strstr (name, "_reverse"))
    return "bidirectional modules cannot run on a stream";
  if (strstr (name, "parametrizations.") || g_str_has_suffix (name, "_g")
      || g_str_has_suffix (name, "_v"))
    return "weight_norm and parametrizations must be removed before saving";
  if (strstr (name, "_packed_params"))
    return "quantised modules cannot be read";
  return NULL;
}

static gboolean
is_recurrent (const char *name)
{
  return strstr (name, "weight_ih") || strstr (name, "weight_hh")
         || strstr (name, "bias_ih") || strstr (name, "bias_hh")
         || strstr (name, "weight_hr");
}

static GPtrArray *
find_modules (GPtrArray *arrays, GError **error)
{
  g_autoptr (GPtrArray) modules = g_ptr_array_new_with_free_func (module_free);

  for (guint i = 0; i < arrays->len; i++) {
    const SeqArray *a = arrays->pdata[i];
    const char *why = why_not (a->name), *at = strstr (a->name, "weight_hh");
    Module *module;

    if (why) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED, "tensor '%s': %s",
          a->name, why);
      return NULL;
    }
    if (!at || (strcmp (at, "weight_hh_l0") && strcmp (at, "weight_hh")))
      continue;
    module = g_new0 (Module, 1);
    module->path = g_strndup (a->name, (gsize) (at - a->name));
    module->cell = strcmp (at, "weight_hh") == 0;
    g_ptr_array_add (modules, module);
  }
  /* every other recurrent tensor must belong to one of them */
  for (guint i = 0; i < arrays->len; i++) {
    const SeqArray *a = arrays->pdata[i];
    gboolean belongs = !is_recurrent (a->name);

    for (guint m = 0; m < modules->len && !belongs; m++)
      belongs =
          g_str_has_prefix (a->name, ((Module *) modules->pdata[m])->path);
    if (!belongs) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
          "tensor '%s' is alone; expected weight_hh_l0 beside it", a->name);
      return NULL;
    }
  }
  if (modules->len == 0) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "no tensor is called ...weight_hh_l0; expected one of a recurrent "
        "module");
    return NULL;
  }
  g_ptr_array_sort (modules, by_path);
  return g_steal_pointer (&modules);
}

static gboolean
set (SeqBuilder *builder, guint layer, const char *tensor, const SeqArray *a,
    const SeqLayout *layout, GError **error)
{
  /* a 1 x 1 convolution's weight is a matrix too */
  gboolean matrix = a->rank == 2 || (a->rank == 3 && a->shape[2] == 1);

  if (!matrix && a->rank != 1) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "tensor '%s' has rank %u; expected 1 or 2", a->name, a->rank);
    return FALSE;
  }
  return seq_builder_set (builder, layer, tensor, a->name, a->values,
      (gsize) a->shape[0], matrix ? (gsize) a->shape[1] : 1, layout, error);
}

/* The two biases of a GRU: they add up for r and z, and stay separate for n. */
static gboolean
set_gru_biases (SeqBuilder *builder, guint layer, const SeqArray *ih,
    const SeqArray *hh, gsize h, GError **error)
{
  static const SeqLayout add = { .add = TRUE };
  g_autofree double *rz = NULL;

  if (ih->n_values != 3 * h || hh->n_values != 3 * h) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "tensors '%s' and '%s' have %zu and %zu values; expected %zu each",
        ih->name, hh->name, ih->n_values, hh->n_values, 3 * h);
    return FALSE;
  }
  rz = g_memdup2 (hh->values, 3 * h * sizeof (double));
  memset (rz + 2 * h, 0, h * sizeof (double));
  return set (builder, layer, "bias", ih, NULL, error)
         && seq_builder_set (
             builder, layer, "bias", hh->name, rz, 3 * h, 1, &add, error)
         && seq_builder_set (builder, layer, "bias_hn", hh->name,
             hh->values + 2 * h, h, 1, NULL, error);
}

/* Adds layer k of a module. Returns its output width, or 0. */
static guint
add_layer (SeqBuilder *builder, GPtrArray *arrays, const Module *module,
    guint k, guint n_in, GVariant *hints, GError **error)
{
  static const SeqLayout add = { .add = TRUE };
  const SeqArray *ih = find_layer (arrays, module, "weight_ih", k);
  const SeqArray *hh = find_layer (arrays, module, "weight_hh", k);
  const SeqArray *b_ih = find_layer (arrays, module, "bias_ih", k);
  const SeqArray *b_hh = find_layer (arrays, module, "bias_hh", k);
  const SeqArray *hr = find_layer (arrays, module, "weight_hr", k);
  const char *nonlinearity = "tanh", *kind, *before;
  guint64 rows, h, gates;
  GVariantDict config;
  gint layer;

  if (!ih || !hh || !b_ih != !b_hh) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "module '%s': layer %u has no %s", module->path, k,
        !ih     ? "weight_ih"
        : !hh   ? "weight_hh"
        : !b_ih ? "bias_ih, but a bias_hh"
                : "bias_hh, but a bias_ih");
    return 0;
  }
  if (hh->rank != 2 || ih->rank != 2 || (hr && hr->rank != 2)
      || ih->shape[0] != hh->shape[0]) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "tensors '%s' and '%s' have ranks %u and %u and %" G_GUINT64_FORMAT
        " and %" G_GUINT64_FORMAT
        " rows; expected matrices with the same number of rows",
        ih->name, hh->name, ih->rank, hh->rank, ih->shape[0], hh->shape[0]);
    return 0;
  }
  rows = hh->shape[0];
  h = hr ? hr->shape[1] : hh->shape[1];
  gates = h ? rows / h : 0;
  if (h < 1 || h > SEQ_MAX_UNITS || rows % h
      || gates >= G_N_ELEMENTS (kind_of_gates) || !kind_of_gates[gates]
      || (hr && gates != 4)) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "tensor '%s' has %" G_GUINT64_FORMAT " rows for %" G_GUINT64_FORMAT
        " units of at most %u; expected 1 (RNN), 3 (GRU) or 4 (LSTM) times as "
        "many",
        hh->name, rows, h, SEQ_MAX_UNITS);
    return 0;
  }
  if (ih->shape[1] != n_in) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "tensor '%s' has %" G_GUINT64_FORMAT
        " columns; expected %u, the inputs of its layer",
        ih->name, ih->shape[1], n_in);
    return 0;
  }
  kind = kind_of_gates[gates];
  before = k ? seq_builder_layer (builder, seq_builder_n_layers (builder) - 1)
                   ->klass->kind.name
             : kind;
  if (!g_str_equal (kind, before)) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "module '%s': layer %u is %s; expected %s, as the one before it",
        module->path, k, kind, before);
    return 0;
  }
  g_variant_dict_init (&config, NULL);
  g_variant_dict_insert (&config, "hidden_size", "u", (guint) h);
  if (hr)
    g_variant_dict_insert (&config, "proj_size", "u", (guint) hr->shape[0]);
  if (gates == 1) {
    g_variant_lookup (hints, "nonlinearity", "&s", &nonlinearity);
    g_variant_dict_insert (&config, "nonlinearity", "s", nonlinearity);
  }
  layer = seq_builder_add (builder, kind, g_variant_dict_end (&config), error);
  if (layer < 0 || !set (builder, (guint) layer, "weight_ih", ih, NULL, error)
      || !set (builder, (guint) layer, "weight_hh", hh, NULL, error)
      || (hr && !set (builder, (guint) layer, "weight_hr", hr, NULL, error)))
    return 0;
  if (b_ih
      && !(gates == 3 ? set_gru_biases (
               builder, (guint) layer, b_ih, b_hh, (gsize) h, error)
                      : set (builder, (guint) layer, "bias", b_ih, NULL, error)
                            && set (builder, (guint) layer, "bias", b_hh, &add,
                                error)))
    return 0;
  return seq_builder_layer (builder, (guint) layer)->n_out;
}

/* Counts the layers of a module: consecutive k from 0. */
static gboolean
count_layers (GPtrArray *arrays, Module *module, GError **error)
{
  guint n = 0, highest = 0;

  while (!module->cell && find_layer (arrays, module, "weight_hh", n))
    n++;
  module->n_layers = module->cell ? 1 : n;
  for (guint i = 0; i < arrays->len && !module->cell; i++) {
    const SeqArray *a = arrays->pdata[i];
    const char *at = strstr (a->name, "_l");

    if (g_str_has_prefix (a->name, module->path)
        && is_recurrent (a->name + strlen (module->path)) && at)
      highest = MAX (highest, (guint) g_ascii_strtoull (at + 2, NULL, 10));
  }
  if (!module->cell && highest >= n) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "module '%s': there is a layer %u, but no layer %u; expected all up to "
        "the last",
        module->path, highest, n);
    return FALSE;
  }
  return TRUE;
}

static guint
width_of (GPtrArray *arrays, const Module *module)
{
  const SeqArray *ih = find_layer (arrays, module, "weight_ih", 0);

  return ih && ih->rank == 2 ? (guint) MIN (ih->shape[1], SEQ_MAX_WIDTH + 1)
                             : 0;
}

static guint
out_width_of (GPtrArray *arrays, const Module *module)
{
  guint last = module->n_layers - 1;
  const SeqArray *hr = find_layer (arrays, module, "weight_hr", last);
  const SeqArray *hh = find_layer (arrays, module, "weight_hh", last);

  return (guint) (hr ? hr->shape[0] : hh->rank == 2 ? hh->shape[1] : 0);
}

/* Puts modules into the one order in which their widths fit; if several do,
 * the order of their names must be one of them. */
static gboolean
order_modules (GPtrArray *arrays, GPtrArray *modules, GError **error)
{
  gboolean fits = TRUE;

  for (guint i = 1; i < modules->len; i++)
    fits &= out_width_of (arrays, modules->pdata[i - 1])
            == width_of (arrays, modules->pdata[i]);
  if (fits)
    return TRUE;
  if (modules->len == 2
      && out_width_of (arrays, modules->pdata[1])
             == width_of (arrays, modules->pdata[0])) {
    gpointer first = modules->pdata[0];

    modules->pdata[0] = modules->pdata[1];
    modules->pdata[1] = first;
    return TRUE;
  }
  g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
      "there are %u recurrent modules whose widths do not fit in the order of "
      "their names; expected the outputs of each to be the inputs of the next",
      modules->len);
  return FALSE;
}

/* The head: matrices of no recurrent module, in the order of their names. */
static gboolean
add_head (SeqBuilder *builder, GPtrArray *arrays, guint width, GVariant *hints,
    GError **error)
{
  g_autoptr (GPtrArray) weights = g_ptr_array_new ();
  const char *wanted = NULL, *activation = NULL;

  g_variant_lookup (hints, "head", "&s", &wanted);
  g_variant_lookup (hints, "head_activation", "&s", &activation);
  for (guint i = 0; i < arrays->len; i++) {
    SeqArray *a = arrays->pdata[i];

    if (is_recurrent (a->name) || !g_str_has_suffix (a->name, "weight")
        || (a->rank != 2 && !(a->rank == 3 && a->shape[2] == 1)))
      continue;
    if (wanted && !g_str_has_prefix (a->name, wanted))
      continue;
    g_ptr_array_add (weights, a);
  }
  if (wanted && weights->len == 0) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_HINT,
        "option head is '%s'; expected the beginning of a matrix' name: none "
        "is called that",
        wanted);
    return FALSE;
  }
  g_ptr_array_sort (weights, by_name);
  if (weights->len > 1) {
    guint w = width;
    gboolean chain = TRUE;

    for (guint i = 0; i < weights->len; i++) {
      const SeqArray *a = weights->pdata[i];

      chain &= a->shape[1] == w;
      w = (guint) a->shape[0];
    }
    if (!chain || !activation) {
      const SeqArray *a = weights->pdata[0], *b = weights->pdata[1];

      g_set_error (error, SEQ_ERROR, SEQ_ERROR_HINT,
          "tensors '%s' and '%s' can both be the head: set option %s", a->name,
          b->name,
          chain ? "head_activation to what is between them (tanh, relu, "
                  "sigmoid, ...), or option head to the one of them that it is"
                : "head to the one that it is");
      return FALSE;
    }
  }
  for (guint i = 0; i < weights->len; i++) {
    const SeqArray *weight = weights->pdata[i], *bias;
    g_autofree char *path =
        g_strndup (weight->name, strlen (weight->name) - strlen ("weight"));
    gint layer;

    bias = find (arrays, path, "bias");
    if (weight->shape[1] != width) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
          "tensor '%s' has %" G_GUINT64_FORMAT
          " columns; expected %u, the outputs of the layers before it",
          weight->name, weight->shape[1], width);
      return FALSE;
    }
    if (i > 0
        && seq_builder_add (builder, "activation",
               g_variant_new_parsed ("{'activation': <%s>}", activation), error)
               < 0)
      return FALSE;
    layer = seq_builder_add (builder, "dense",
        g_variant_new_parsed ("{'out_features': <%u>, 'bias': <%u>}",
            (guint) MIN (weight->shape[0], SEQ_MAX_WIDTH + 1), bias != NULL),
        error);
    if (layer < 0
        || !set (builder, (guint) layer, "weight", weight, NULL, error)
        || (bias && !set (builder, (guint) layer, "bias", bias, NULL, error)))
      return FALSE;
    width = (guint) weight->shape[0];
  }
  return TRUE;
}

SeqBuilder *
seq_state_dict_build (GPtrArray *arrays, const SeqFile *file, GError **error)
{
  g_autoptr (GPtrArray) modules = find_modules (arrays, error);
  g_autoptr (SeqBuilder) builder = NULL;
  gsize size = 0;
  guint n_in, width;

  if (!modules)
    return NULL;
  for (guint i = 0; i < arrays->len; i++)
    size += ((SeqArray *) arrays->pdata[i])->n_values;
  for (guint m = 0; m < modules->len; m++)
    if (!count_layers (arrays, modules->pdata[m], error))
      return NULL;
  if (!order_modules (arrays, modules, error))
    return NULL;
  n_in = width = width_of (arrays, modules->pdata[0]);
  builder = seq_reader_builder (n_in, size);
  for (guint m = 0; m < modules->len; m++) {
    const Module *module = modules->pdata[m];

    for (guint k = 0; k < module->n_layers; k++) {
      width = add_layer (builder, arrays, module, k, width, file->hints, error);
      if (width == 0)
        return NULL;
    }
  }
  if (!add_head (builder, arrays, width, file->hints, error))
    return NULL;
  return g_steal_pointer (&builder);
}

GPtrArray *
seq_arrays_new (void)
{
  return g_ptr_array_new_with_free_func ((GDestroyNotify) seq_array_free);
}

/* --- files that hold a state_dict and nothing else ---------------------------
 */

static gboolean
add_tensors (GPtrArray *arrays, const SeqSafetensors *file, GError **error)
{
  for (guint i = 0; i < file->tensors->len; i++) {
    const SeqTensorData *t = &g_array_index (file->tensors, SeqTensorData, i);
    SeqArray *array;

    /* counters and the like are not weights; a weight of a wrong type is an
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
      return FALSE;
  }
  return TRUE;
}

static gboolean
add_lists (GPtrArray *arrays, json_t *root, GError **error)
{
  const char *key;
  json_t *value;

  json_object_foreach (root, key, value)
  {
    SeqArray *array;

    if (!json_is_array (value)) /* not a tensor */
      continue;
    array = seq_json_array (value, key, key, error);
    if (!array)
      return FALSE;
    g_ptr_array_add (arrays, array);
  }
  return TRUE;
}

/* A JSON object with tensors at the top level, or any safetensors file that is
 * not our own. */
static gboolean
sniff (const SeqFile *file)
{
  const char *key;
  json_t *value;

  json_object_foreach (file->json, key, value)
  {
    if (strstr (key, "weight_hh"))
      return TRUE;
  }
  return file->tensors
         && !g_hash_table_contains (file->tensors->metadata, SEQ_MODEL_KEY);
}

static SeqModel *
read_model (const SeqFile *file, GError **error)
{
  g_autoptr (GPtrArray) arrays = seq_arrays_new ();
  g_autoptr (SeqBuilder) builder = NULL;
  GHashTableIter iter;
  gpointer key, value;

  if (file->json ? add_lists (arrays, file->json, error)
                 : add_tensors (arrays, file->tensors, error))
    builder = seq_state_dict_build (arrays, file, error);
  if (!builder)
    return NULL;
  if (file->tensors) {
    g_hash_table_iter_init (&iter, file->tensors->metadata);
    while (g_hash_table_iter_next (&iter, &key, &value))
      if (!g_str_equal (key, "format"))
        seq_builder_set_metadata (builder, key, value);
  }
  return seq_reader_finish (builder, file, error);
}

const SeqFileFormat seq_format_statedict = {
  .name = "state_dict",
  .mark = "...weight_hh...",
  .hints = seq_state_dict_hints,
  .sniff = sniff,
  .read = read_model,
};
