/* model-facts.c: the structure of a model, for files of our own: see
 * model-facts.h.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/model-facts.h"

#include <string.h>

#define MAX_LAYERS 1024

void
seq_model_facts_add (GVariantBuilder *tuple, const SeqModel *model)
{
  const SeqChain *chain = model->chain;

  g_variant_builder_open (tuple, G_VARIANT_TYPE ("a(sa{sv})"));
  for (guint i = 0; i < chain->n_layers; i++)
    g_variant_builder_add (tuple, "(s@a{sv})",
        chain->layers[i]->klass->kind.name, chain->layers[i]->config);
  g_variant_builder_close (tuple);
  g_variant_builder_add (tuple, "u", chain->n_in);
  g_variant_builder_add (tuple, "u", chain->skip);
  g_variant_builder_add (tuple, "u", model->n_signal);
  g_variant_builder_add (tuple, "u", model->horizon);
  g_variant_builder_add (tuple, "d", model->rate);
}

SeqBuilder *
seq_model_facts_build (
    GVariant *tuple, guint first, gsize max_weights, GError **error)
{
  g_autoptr (GVariant) layers = g_variant_get_child_value (tuple, first);
  gsize n_layers = g_variant_n_children (layers);
  g_autoptr (SeqBuilder) builder = NULL;
  guint n_in, skip, n_signal, horizon;
  double rate;

  g_variant_get_child (tuple, first + 1, "u", &n_in);
  g_variant_get_child (tuple, first + 2, "u", &skip);
  g_variant_get_child (tuple, first + 3, "u", &n_signal);
  g_variant_get_child (tuple, first + 4, "u", &horizon);
  g_variant_get_child (tuple, first + 5, "d", &rate);
  if (n_layers < 1 || n_layers > MAX_LAYERS
      || !(rate >= 0 && rate <= SEQ_MAX_RATE) || horizon > SEQ_MAX_HORIZON) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "the model has %" G_GSIZE_FORMAT " layers, %g Hz and a horizon of %u; "
        "expected 1 to %u layers, 0 to %g Hz and a horizon up to %u",
        n_layers, rate, horizon, MAX_LAYERS, SEQ_MAX_RATE, SEQ_MAX_HORIZON);
    return NULL;
  }
  builder = seq_builder_new (n_in);
  seq_builder_set_limit (builder, max_weights);
  for (gsize i = 0; i < n_layers; i++) {
    g_autoptr (GVariant) config = NULL;
    const char *kind;

    g_variant_get_child (layers, i, "(&s@a{sv})", &kind, &config);
    if (seq_builder_add (builder, kind, config, error) < 0)
      return NULL;
  }
  seq_builder_set_skip (builder, skip);
  seq_builder_set_n_signal (builder, n_signal);
  seq_builder_set_horizon (builder, horizon);
  seq_builder_set_rate (builder, rate);
  return g_steal_pointer (&builder);
}

const char *
seq_start_name (SeqStart start)
{
  return start == SEQ_START_SILENCE ? "silence" : "zeros";
}

SeqStart
seq_start_find (const char *name)
{
  return name && g_str_equal (name, seq_start_name (SEQ_START_SILENCE))
             ? SEQ_START_SILENCE
             : SEQ_START_ZEROS;
}

guint
seq_window_parse (const char *text)
{
  guint64 window = text ? g_ascii_strtoull (text, NULL, 10) : 0;

  return window <= SEQ_MAX_READ_WINDOW ? (guint) window : 0;
}

void
seq_model_facts_put (GHashTable *metadata, const SeqModel *model)
{
  if (model->start != SEQ_START_ZEROS)
    g_hash_table_replace (metadata, g_strdup (SEQ_START_KEY),
        g_strdup (seq_start_name (model->start)));
  if (model->window)
    g_hash_table_replace (metadata, g_strdup (SEQ_WINDOW_KEY),
        g_strdup_printf ("%u", model->window));
}

void
seq_model_facts_take (SeqBuilder *builder, GHashTable *metadata)
{
  seq_builder_set_start (
      builder, seq_start_find (g_hash_table_lookup (metadata, SEQ_START_KEY)));
  seq_builder_set_window (builder,
      seq_window_parse (g_hash_table_lookup (metadata, SEQ_WINDOW_KEY)));
}

double *
seq_model_facts_scales (const SeqModel *model, gsize *n)
{
  const SeqChain *chain = model->chain;
  const double *all[] = { model->in_scale, model->in_shift, model->out_scale,
    model->out_shift };
  double *scales, *at;

  *n = 2 * ((gsize) chain->n_in + chain->n_out);
  scales = at = g_new (double, *n);
  for (guint i = 0; i < G_N_ELEMENTS (all); i++) {
    guint width = i < 2 ? chain->n_in : chain->n_out;

    memcpy (at, all[i], width * sizeof (double));
    at += width;
  }
  return scales;
}

gboolean
seq_model_facts_set_scales (
    SeqBuilder *builder, const double *scales, gsize n, GError **error)
{
  guint last = seq_builder_n_layers (builder) - 1;
  gsize n_in = seq_builder_layer (builder, 0)->n_in;
  gsize n_out = seq_builder_layer (builder, last)->n_out;

  if (n != 2 * (n_in + n_out)) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "there are %" G_GSIZE_FORMAT " scales; expected %" G_GSIZE_FORMAT, n,
        2 * (n_in + n_out));
    return FALSE;
  }
  seq_builder_set_scales (builder, scales, scales + n_in, scales + 2 * n_in,
      scales + 2 * n_in + n_out);
  return TRUE;
}
