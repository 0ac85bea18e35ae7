/* model.c: models, and the builder that binds tensors by name.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/model.h"

#include <math.h>
#include <string.h>

SeqModel *
seq_model_ref (SeqModel *model)
{
  g_atomic_int_inc (&model->ref_count);
  return model;
}

void
seq_model_unref (SeqModel *model)
{
  if (!model || !g_atomic_int_dec_and_test (&model->ref_count))
    return;
  seq_chain_free (model->chain);
  seq_free (model->weights);
  g_free (model->in_scale);
  g_free (model->in_shift);
  g_free (model->out_scale);
  g_free (model->out_shift);
  g_free (model->format);
  g_hash_table_unref (model->metadata);
  g_free (model);
}

/* --- the builder ---------------------------------------------------------- */

struct _SeqBuilder {
  guint n_in;
  gsize n_weights, max_weights;
  GPtrArray *layers;  /* SeqLayer */
  GPtrArray *weights; /* real *, one a layer */
  guint skip, n_signal, horizon;
  double rate;
  double *scales[4]; /* in_scale, in_shift, out_scale, out_shift */
  char *format;
  GHashTable *metadata;
};

SeqBuilder *
seq_builder_new (guint n_in)
{
  SeqBuilder *builder = g_new0 (SeqBuilder, 1);

  builder->n_in = n_in;
  builder->max_weights = G_MAXSIZE;
  builder->layers =
      g_ptr_array_new_with_free_func ((GDestroyNotify) seq_layer_free);
  builder->weights = g_ptr_array_new_with_free_func (seq_free);
  builder->n_signal = n_in;
  builder->metadata =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  return builder;
}

void
seq_builder_free (SeqBuilder *builder)
{
  if (!builder)
    return;
  g_ptr_array_unref (builder->layers);
  g_ptr_array_unref (builder->weights);
  for (guint i = 0; i < G_N_ELEMENTS (builder->scales); i++)
    g_free (builder->scales[i]);
  g_free (builder->format);
  g_hash_table_unref (builder->metadata);
  g_free (builder);
}

const SeqLayer *
seq_builder_layer (SeqBuilder *builder, guint layer)
{
  g_return_val_if_fail (layer < builder->layers->len, NULL);
  return g_ptr_array_index (builder->layers, layer);
}

void
seq_builder_set_limit (SeqBuilder *builder, gsize max_weights)
{
  builder->max_weights = max_weights;
}

gint
seq_builder_add (
    SeqBuilder *builder, const char *kind, GVariant *config, GError **error)
{
  guint n = builder->layers->len;
  guint n_in = n ? seq_builder_layer (builder, n - 1)->n_out : builder->n_in;
  SeqLayer *layer = seq_layer_new (kind, config, n_in, error);

  if (!layer)
    return -1;
  if (layer->n_weights > builder->max_weights - builder->n_weights) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "layer %u, %s, needs %" G_GSIZE_FORMAT
        " values where the file can hold "
        "%" G_GSIZE_FORMAT " more",
        n, kind, layer->n_weights, builder->max_weights - builder->n_weights);
    seq_layer_free (layer);
    return -1;
  }
  builder->n_weights += layer->n_weights;
  g_ptr_array_add (builder->layers, layer);
  g_ptr_array_add (builder->weights, seq_alloc (layer->n_weights));
  return (gint) n;
}

gboolean
seq_builder_set (SeqBuilder *builder, guint layer, const char *tensor,
    const char *as, const double *values, gsize n_rows, gsize n_cols,
    const SeqLayout *layout, GError **error)
{
  static const SeqLayout plain = { 0 };
  const SeqLayer *l = seq_builder_layer (builder, layer);
  real *weights = g_ptr_array_index (builder->weights, layer);
  const SeqTensor *t = NULL;
  gsize rows, cols;

  if (!layout)
    layout = &plain;
  for (guint i = 0; i < l->n_tensors; i++)
    if (g_str_equal (l->tensors[i].name, tensor))
      t = &l->tensors[i];
  if (!t) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "%s: layer %u, %s, has no tensor '%s'", as, layer, l->klass->name,
        tensor);
    return FALSE;
  }
  rows = (gsize) t->gates * t->rows;
  cols = t->cols;
  if (n_rows != (layout->transposed ? cols : rows)
      || n_cols != (layout->transposed ? rows : cols)) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "%s: %" G_GSIZE_FORMAT " x %" G_GSIZE_FORMAT " values where %s of "
        "layer %u, %s, needs %" G_GSIZE_FORMAT " x %" G_GSIZE_FORMAT,
        as, n_rows, n_cols, tensor, layer, l->klass->name,
        layout->transposed ? cols : rows, layout->transposed ? rows : cols);
    return FALSE;
  }

  for (guint gate = 0; gate < t->gates; gate++) {
    guint block = layout->gates ? layout->gates[gate] : gate;

    for (guint row = 0; row < t->rows; row++)
      for (guint col = 0; col < t->cols; col++) {
        gsize r = (gsize) block * t->rows + row;
        gsize at = layout->transposed ? col * rows + r : r * cols + col;
        real *p = &weights[seq_tensor_index (t, gate, row, col)];
        real value = (real) (values[at] + (layout->add ? *p : 0));

        if (!isfinite (value)) {
          g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
              "%s: value %" G_GSIZE_FORMAT " is %g where a finite number is "
              "needed",
              as, at, values[at]);
          return FALSE;
        }
        *p = value;
      }
  }
  return TRUE;
}

void
seq_builder_set_skip (SeqBuilder *builder, guint skip)
{
  builder->skip = skip;
}

void
seq_builder_set_n_signal (SeqBuilder *builder, guint n_signal)
{
  builder->n_signal = n_signal;
}

void
seq_builder_set_rate (SeqBuilder *builder, double rate)
{
  builder->rate = rate;
}

void
seq_builder_set_horizon (SeqBuilder *builder, guint horizon)
{
  builder->horizon = horizon;
}

void
seq_builder_set_scales (SeqBuilder *builder, const double *in_scale,
    const double *in_shift, const double *out_scale, const double *out_shift)
{
  const double *given[4] = { in_scale, in_shift, out_scale, out_shift };
  guint n_layers = builder->layers->len;
  guint n_out = seq_builder_layer (builder, n_layers - 1)->n_out;

  for (guint i = 0; i < 4; i++) {
    g_free (builder->scales[i]);
    builder->scales[i] =
        g_memdup2 (given[i], (i < 2 ? builder->n_in : n_out) * sizeof (double));
  }
}

void
seq_builder_set_format (SeqBuilder *builder, const char *format)
{
  g_free (builder->format);
  builder->format = g_strdup (format);
}

void
seq_builder_set_metadata (
    SeqBuilder *builder, const char *key, const char *value)
{
  g_hash_table_replace (builder->metadata, g_strdup (key), g_strdup (value));
}

void
seq_builder_seed (SeqBuilder *builder, guint64 seed)
{
  guint32 words[2] = { (guint32) seed, (guint32) (seed >> 32) };
  g_autoptr (GRand) rand = g_rand_new_with_seed_array (words, 2);

  for (guint i = 0; i < builder->layers->len; i++) {
    const SeqLayer *layer = g_ptr_array_index (builder->layers, i);

    if (layer->klass->seed)
      layer->klass->seed (layer, rand, g_ptr_array_index (builder->weights, i));
  }
}

static double *
constant (guint n, double value)
{
  double *values = g_new (double, n);

  for (guint i = 0; i < n; i++)
    values[i] = value;
  return values;
}

SeqModel *
seq_builder_finish (SeqBuilder *builder, GError **error)
{
  g_autoptr (SeqModel) model = NULL;
  guint n_layers = builder->layers->len;
  guint n_signal = builder->n_signal;
  SeqChain *chain;
  SeqLayer **layers;

  if (n_layers == 0) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED, "there are no layers");
    return NULL;
  }
  if (n_signal < 1 || n_signal > builder->n_in) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "%u of the %u inputs are signal where 1 to %u can be", n_signal,
        builder->n_in, builder->n_in);
    return NULL;
  }
  layers = (SeqLayer **) g_ptr_array_steal (builder->layers, NULL);
  chain = seq_chain_new (layers, n_layers, builder->skip, error);
  if (!chain)
    return NULL;

  model = g_new0 (SeqModel, 1);
  model->ref_count = 1;
  model->chain = chain;
  model->weights = seq_alloc (chain->n_weights);
  for (guint i = 0; i < n_layers; i++) {
    real *weights = model->weights + chain->weights_at[i];

    memcpy (weights, g_ptr_array_index (builder->weights, i),
        layers[i]->n_weights * sizeof (real));
  }
  seq_chain_pack (chain, model->weights);
  model->n_signal = n_signal;
  model->rate = builder->rate;
  model->horizon = builder->horizon;
  for (guint i = 0; i < 4; i++) {
    double **scale = (double **[]){ &model->in_scale, &model->in_shift,
      &model->out_scale, &model->out_shift }[i];

    model->normalised |= builder->scales[i] != NULL;
    *scale = builder->scales[i]
                 ? g_steal_pointer (&builder->scales[i])
                 : constant (i < 2 ? chain->n_in : chain->n_out, i % 2 == 0);
  }
  model->format = builder->format ? g_steal_pointer (&builder->format)
                                  : g_strdup ("untrained");
  model->metadata = g_hash_table_ref (builder->metadata);
  return g_steal_pointer (&model);
}

/* --- models that were made rather than loaded ----------------------------- */

/* The entries of options that a kind reads. */
static GVariant *
options_of (const char *kind, GVariant *options)
{
  const SeqLayerClass *klass = seq_layer_class (kind);
  g_auto (GVariantBuilder) dict =
      G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("a{sv}"));
  GVariantIter iter;
  const char *key;
  GVariant *value;

  g_variant_iter_init (&iter, options);
  while (g_variant_iter_next (&iter, "{&sv}", &key, &value)) {
    if (klass && g_strv_contains (klass->options, key))
      g_variant_builder_add (&dict, "{sv}", key, value);
    g_variant_unref (value);
  }
  return g_variant_builder_end (&dict);
}

/* options with out_features set, for a read-out of that kind */
static GVariant *
head_options (const char *kind, GVariant *options, guint n_out)
{
  g_autoptr (GVariant) read = g_variant_ref_sink (options_of (kind, options));
  GVariantDict dict;

  g_variant_dict_init (&dict, read);
  g_variant_dict_insert (&dict, "out_features", "u", n_out);
  return g_variant_dict_end (&dict);
}

SeqModel *
seq_model_new_untrained (const char *kind, GVariant *options, guint n_signal,
    guint n_layers, gboolean readout, gboolean skip, guint64 seed,
    GError **error)
{
  g_autoptr (SeqBuilder) builder = seq_builder_new (n_signal);
  g_autoptr (GVariant) dict =
      g_variant_ref_sink (options ? options : g_variant_new ("a{sv}", NULL));
  const SeqLayerClass *klass = seq_layer_class (kind);
  gboolean alone = klass && (klass->flags & SEQ_LAYER_LEARNS);
  guint horizon = 1;

  for (guint i = 0; i < (alone ? 1 : n_layers); i++)
    if (seq_builder_add (builder, kind, options_of (kind, dict), error) < 0)
      return NULL;
  if (!alone) {
    const char *head = readout ? "readout" : "dense";

    if (seq_builder_add (
            builder, head, head_options (head, dict, n_signal), error)
        < 0)
      return NULL;
    seq_builder_set_skip (builder, skip ? n_signal : 0);
  }
  g_variant_lookup (dict, "horizon", "u", &horizon);
  seq_builder_set_horizon (builder, horizon);
  seq_builder_seed (builder, seed);
  /* with a residual connection a silent read-out is the best first guess:
   * the next value is as this one */
  if (!alone && skip)
    memset (g_ptr_array_index (builder->weights, n_layers), 0,
        seq_builder_layer (builder, n_layers)->n_weights * sizeof (real));
  return seq_builder_finish (builder, error);
}

/* The facts of a model that are not layers. */
static void
copy_facts (SeqBuilder *builder, const SeqModel *model)
{
  GHashTableIter iter;
  gpointer key, value;

  builder->skip = model->chain->skip;
  builder->n_signal = model->n_signal;
  builder->rate = model->rate;
  builder->horizon = model->horizon;
  if (model->normalised)
    seq_builder_set_scales (builder, model->in_scale, model->in_shift,
        model->out_scale, model->out_shift);
  seq_builder_set_format (builder, model->format);
  g_hash_table_iter_init (&iter, model->metadata);
  while (g_hash_table_iter_next (&iter, &key, &value))
    seq_builder_set_metadata (builder, key, value);
}

/* A builder with the layers and facts of model, but its last layer given. */
static SeqBuilder *
builder_from (const SeqModel *model, const char *last_kind,
    GVariant *last_config, GError **error)
{
  const SeqChain *chain = model->chain;
  g_autoptr (SeqBuilder) builder = seq_builder_new (chain->n_in);

  for (guint i = 0; i < chain->n_layers; i++) {
    const SeqLayer *layer = chain->layers[i];
    gboolean last = i == chain->n_layers - 1;

    if (seq_builder_add (builder, last ? last_kind : layer->klass->name,
            last ? last_config : layer->config, error)
        < 0)
      return NULL;
    if (!last)
      memcpy (g_ptr_array_index (builder->weights, i),
          model->weights + chain->weights_at[i],
          layer->n_weights * sizeof (real));
  }
  copy_facts (builder, model);
  return g_steal_pointer (&builder);
}

/* Copies every tensor that both layers have, by name and value: dense and
 * readout name and shape theirs alike, and may lay them out differently. */
static void
copy_tensors (const SeqLayer *to, real *to_params, const SeqLayer *from,
    const real *from_params)
{
  for (guint i = 0; i < to->n_tensors; i++)
    for (guint j = 0; j < from->n_tensors; j++) {
      const SeqTensor *t = &to->tensors[i], *f = &from->tensors[j];

      if (!g_str_equal (t->name, f->name))
        continue;
      g_assert (
          t->gates == f->gates && t->rows == f->rows && t->cols == f->cols);
      for (guint gate = 0; gate < t->gates; gate++)
        for (guint row = 0; row < t->rows; row++)
          for (guint col = 0; col < t->cols; col++)
            to_params[seq_tensor_index (t, gate, row, col)] =
                from_params[seq_tensor_index (f, gate, row, col)];
    }
}

SeqModel *
seq_model_with_readout (
    const SeqModel *model, GVariant *options, GError **error)
{
  const SeqChain *chain = model->chain;
  guint last = chain->n_layers - 1;
  const SeqLayer *layer = chain->layers[last];
  g_autoptr (GVariant) dict = g_variant_ref_sink (options);
  g_autoptr (SeqBuilder) builder = NULL;

  if (!g_str_equal (layer->klass->name, "dense")) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "learn=readout needs a model that ends in a dense layer; this one "
        "ends in %s",
        layer->klass->name);
    return NULL;
  }
  builder = builder_from (
      model, "readout", head_options ("readout", dict, layer->n_out), error);
  if (!builder)
    return NULL;
  copy_tensors (seq_builder_layer (builder, last),
      g_ptr_array_index (builder->weights, last), layer,
      model->weights + chain->weights_at[last]);
  return seq_builder_finish (builder, error);
}

SeqModel *
seq_model_with_learnt (const SeqModel *model, const real *weights,
    const real *state, GError **error)
{
  const SeqChain *chain = model->chain;
  guint last = chain->n_layers - 1;
  const SeqLayer *layer = chain->layers[last];
  gboolean readout = g_str_equal (layer->klass->name, "readout");
  g_autoptr (SeqBuilder) builder =
      builder_from (model, readout ? "dense" : layer->klass->name,
          readout ? head_options ("dense", layer->config, layer->n_out)
                  : layer->config,
          error);
  real *learnt;

  if (!builder)
    return NULL;
  for (guint i = 0; i < last; i++)
    memcpy (g_ptr_array_index (builder->weights, i),
        weights + chain->weights_at[i],
        chain->layers[i]->n_weights * sizeof (real));
  learnt = seq_alloc (layer->n_weights);
  if (layer->klass->export_weights)
    layer->klass->export_weights (layer, state + chain->state_at[last], learnt);
  else
    memcpy (learnt, weights + chain->weights_at[last],
        layer->n_weights * sizeof (real));
  copy_tensors (seq_builder_layer (builder, last),
      g_ptr_array_index (builder->weights, last), layer, learnt);
  seq_free (learnt);
  return seq_builder_finish (builder, error);
}

/* --- precision ------------------------------------------------------------ */

const char *
seq_layer_precision (const SeqLayer *layer)
{
  const char *precision = "float";

  g_variant_lookup (layer->config, "precision", "&s", &precision);
  return precision;
}

static gboolean
has_precision (const SeqLayer *layer)
{
  return g_strv_contains (layer->klass->options, "precision");
}

SeqModel *
seq_model_with_precision (
    const SeqModel *model, const char *precision, GError **error)
{
  const SeqChain *chain = model->chain;
  g_autoptr (SeqBuilder) builder = seq_builder_new (chain->n_in);
  guint n_found = 0;

  for (guint i = 0; i < chain->n_layers; i++) {
    const SeqLayer *layer = chain->layers[i];
    GVariantDict config;

    g_variant_dict_init (&config, layer->config);
    if (has_precision (layer)) {
      g_variant_dict_insert (&config, "precision", "s", precision);
      g_variant_dict_insert (&config, "bounded_input", "u",
          i > 0 && has_precision (chain->layers[i - 1]));
      n_found++;
    }
    if (seq_builder_add (
            builder, layer->klass->name, g_variant_dict_end (&config), error)
        < 0)
      return NULL;
    copy_tensors (seq_builder_layer (builder, i),
        g_ptr_array_index (builder->weights, i), layer,
        model->weights + chain->weights_at[i]);
  }
  if (n_found == 0 && !g_str_equal (precision, "float")) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "precision=%s: the model has no rnn, lstm or gru to quantise",
        precision);
    return NULL;
  }
  copy_facts (builder, model);
  return seq_builder_finish (builder, error);
}
