/* model.c: models, and the builder that binds tensors by name.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/builder.h"

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
  seq_chain_free ((SeqChain *) model->chain);
  seq_model_unref (model->linear);
  seq_free ((real *) model->weights);
  g_free ((double *) model->in_scale);
  g_free ((double *) model->in_shift);
  g_free ((double *) model->out_scale);
  g_free ((double *) model->out_shift);
  g_free ((char *) model->format);
  g_hash_table_unref (model->metadata);
  g_free (model);
}

SeqLayerFacts
seq_model_layer (const SeqModel *model, guint layer)
{
  const SeqLayer *l = model->chain->layers[layer];
  SeqLayerFacts facts = { .kind = &l->klass->kind,
    .n_in = l->n_in,
    .n_out = l->n_out,
    .config = l->config,
    .precision = seq_layer_precision (l) };

  for (guint i = 0; i < l->n_tensors; i++)
    facts.n_weights +=
        (guint64) l->tensors[i].gates * l->tensors[i].rows * l->tensors[i].cols;
  return facts;
}

/* --- models that were made rather than loaded ----------------------------- */

/* The read-out of a net that is new. */
#define HEAD "dense"
/* What a net stands around, and the options that are handed on to it. */
#define LINEAR "ar"
static const char *const linear_options[] = { "order", "sensor", "cascade" };

/* The entries of options that a kind reads. */
static GVariant *
options_of (const SeqKind *kind, GVariant *options)
{
  g_auto (GVariantBuilder) dict =
      G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("a{sv}"));
  GVariantIter iter;
  const char *key;
  GVariant *value;

  g_variant_iter_init (&iter, options);
  while (g_variant_iter_next (&iter, "{&sv}", &key, &value)) {
    if (seq_kind_has_option (kind, key))
      g_variant_builder_add (&dict, "{sv}", key, value);
    g_variant_unref (value);
  }
  return g_variant_builder_end (&dict);
}

/* The same for a read-out of n_out features. */
static GVariant *
head_options (const SeqKind *kind, GVariant *options, guint n_out)
{
  g_autoptr (GVariant) read = g_variant_ref_sink (options_of (kind, options));
  GVariantDict dict;

  g_variant_dict_init (&dict, read);
  g_variant_dict_insert (&dict, "out_features", "u", n_out);
  return g_variant_dict_end (&dict);
}

static gboolean
add_head (SeqBuilder *builder, const SeqKind *kind, GVariant *options,
    guint n_out, GError **error)
{
  return seq_builder_add (
             builder, kind->name, head_options (kind, options, n_out), error)
         >= 0;
}

static const SeqKind *
twin_of (const SeqKind *kind)
{
  return seq_kind_find (kind->twin);
}

gboolean
seq_model_linear_reads (const char *option)
{
  for (guint i = 0; i < G_N_ELEMENTS (linear_options); i++)
    if (g_str_equal (option, linear_options[i]))
      return TRUE;
  return FALSE;
}

SeqModel *
seq_model_new_linear (GVariant *options, GError **error)
{
  static const guint32 cascade[] = { 256, 32 };
  GVariantDict dict;

  g_variant_dict_init (&dict, NULL);
  g_variant_dict_insert_value (&dict, "cascade",
      g_variant_new_fixed_array (
          G_VARIANT_TYPE_UINT32, cascade, 2, sizeof *cascade));
  for (guint i = 0; i < G_N_ELEMENTS (linear_options); i++) {
    g_autoptr (GVariant) value =
        g_variant_lookup_value (options, linear_options[i], NULL);

    if (value)
      g_variant_dict_insert_value (&dict, linear_options[i], value);
  }
  return seq_model_new_untrained (
      LINEAR, g_variant_dict_end (&dict), 1, 1, FALSE, FALSE, 0, error);
}

SeqModel *
seq_model_new_untrained (const char *name, GVariant *options, guint n_signal,
    guint n_layers, gboolean readout, gboolean skip, guint64 seed,
    GError **error)
{
  g_autoptr (GVariant) dict =
      g_variant_ref_sink (options ? options : g_variant_new ("a{sv}", NULL));
  const SeqKind *kind = seq_kind_find (name), *head = seq_kind_find (HEAD);
  gboolean alone = kind && kind->flags & SEQ_KIND_LEARNS;
  guint horizon = 1;
  double linear = 0;
  g_autoptr (SeqBuilder) builder = NULL;
  g_autoptr (SeqModel) core = NULL;

  seq_config_number (dict, "linear", &linear);
  if (linear != 0 && !alone && !(core = seq_model_new_linear (dict, error)))
    return NULL;
  builder = seq_builder_new (n_signal * (core ? SEQ_LINEAR_FEATURES : 1));
  if (core) {
    seq_builder_set_linear (builder, core);
    seq_builder_set_n_signal (builder, n_signal);
  }
  for (guint i = 0; i < (alone ? 1 : n_layers); i++)
    if (seq_builder_add (
            builder, name, kind ? options_of (kind, dict) : NULL, error)
        < 0)
      return NULL;
  /* with a skip or a linear forecaster a silent read-out is the best first
   * guess: nothing is to be added */
  skip |= core != NULL;
  if (skip && !alone)
    seq_builder_seed (builder, seed);
  if (!alone
      && !add_head (
          builder, readout ? twin_of (head) : head, dict, n_signal, error))
    return NULL;
  if (!skip || alone)
    seq_builder_seed (builder, seed);
  seq_builder_set_skip (builder, skip && !alone && !core ? n_signal : 0);
  g_variant_lookup (dict, "horizon", "u", &horizon);
  seq_builder_set_horizon (builder, horizon);
  return seq_builder_finish (builder, error);
}

/* A builder with the facts of a model and its layers but the last. weights:
 * [chain->n_weights] */
static SeqBuilder *
builder_without_last (
    const SeqModel *model, const real *weights, GError **error)
{
  const SeqChain *chain = model->chain;
  g_autoptr (SeqBuilder) builder = seq_builder_new (chain->n_in);

  for (guint i = 0; i + 1 < chain->n_layers; i++) {
    const SeqLayer *layer = chain->layers[i];

    if (seq_builder_add (builder, layer->klass->kind.name, layer->config, error)
        < 0)
      return NULL;
    seq_builder_copy (builder, i, layer, weights + chain->weights_at[i]);
  }
  return g_steal_pointer (&builder);
}

SeqModel *
seq_model_with_readout (
    const SeqModel *model, GVariant *options, GError **error)
{
  const SeqChain *chain = model->chain;
  guint last = chain->n_layers - 1;
  const SeqLayer *layer = chain->layers[last];
  const SeqKind *kind = &layer->klass->kind;
  g_autoptr (GVariant) dict = g_variant_ref_sink (options);
  g_autoptr (SeqBuilder) builder = NULL;

  if (!kind->twin || kind->flags & SEQ_KIND_LEARNS) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "learn=readout: the model's last layer is %s; expected " HEAD,
        kind->name);
    return NULL;
  }
  builder = builder_without_last (model, model->weights, error);
  if (!builder
      || !add_head (builder, twin_of (kind), dict, layer->n_out, error))
    return NULL;
  seq_builder_copy (
      builder, last, layer, model->weights + chain->weights_at[last]);
  seq_builder_copy_facts (builder, model);
  return seq_builder_finish (builder, error);
}

/* The weights of a last layer from the state of a lane. */
static real *
export_last (const SeqModel *model, const real *weights, const real *state)
{
  const SeqChain *chain = model->chain;
  guint last = chain->n_layers - 1;
  const SeqLayer *layer = chain->layers[last];
  real *learnt = seq_alloc (layer->n_weights);
  real *start = NULL;

  if (layer->klass->export_weights && !state) {
    state = start = seq_alloc (chain->n_state);
    seq_chain_start (chain, weights, start);
  }
  if (layer->klass->export_weights)
    layer->klass->export_weights (layer, state + chain->state_at[last], learnt);
  else
    memcpy (learnt, weights + chain->weights_at[last],
        layer->n_weights * sizeof (real));
  seq_free (start);
  return learnt;
}

SeqModel *
seq_model_with_learnt (const SeqModel *model, const real *weights,
    const real *state, GError **error)
{
  const SeqChain *chain = model->chain;
  guint last = chain->n_layers - 1;
  const SeqLayer *layer = chain->layers[last];
  const SeqKind *kind = &layer->klass->kind;
  g_autoptr (SeqBuilder) builder = NULL;
  gboolean added;
  real *learnt;

  if (!weights)
    weights = model->weights;
  builder = builder_without_last (model, weights, error);
  if (!builder)
    return NULL;
  if (kind->twin && kind->flags & SEQ_KIND_LEARNS)
    added =
        add_head (builder, twin_of (kind), layer->config, layer->n_out, error);
  else
    added = seq_builder_add (builder, kind->name, layer->config, error) >= 0;
  if (!added)
    return NULL;
  learnt = export_last (model, weights, state);
  seq_builder_copy (builder, last, layer, learnt);
  seq_free (learnt);
  seq_builder_copy_facts (builder, model);
  return seq_builder_finish (builder, error);
}

/* --- precision ------------------------------------------------------------ */

static gboolean
has_precision (const SeqLayer *layer)
{
  return seq_kind_has_option (&layer->klass->kind, "precision");
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
    if (seq_builder_add (builder, layer->klass->kind.name,
            g_variant_dict_end (&config), error)
        < 0)
      return NULL;
    seq_builder_copy (builder, i, layer, model->weights + chain->weights_at[i]);
  }
  if (n_found == 0 && !g_str_equal (precision, "float")) {
    g_autofree char *kinds = seq_kinds_with_option ("precision");

    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "precision=%s: the model has no layer to quantise; expected one of %s",
        precision, kinds);
    return NULL;
  }
  seq_builder_copy_facts (builder, model);
  return seq_builder_finish (builder, error);
}
