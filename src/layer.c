/* layer.c: making layers, and reading their options.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/layer.h"

#include <stdlib.h>
#include <math.h>
#include <string.h>

SeqLayer *
seq_layer_new (const char *kind, GVariant *config, guint n_in, GError **error)
{
  const SeqLayerClass *klass = seq_layer_class (kind);
  g_autoptr (GVariant) dict =
      g_variant_ref_sink (config ? config : g_variant_new ("a{sv}", NULL));
  g_autoptr (SeqLayer) layer = NULL;
  GVariantIter iter;
  const char *key;

  if (!klass) {
    g_autofree char *known = g_strjoinv (", ", (char **) seq_layer_kinds ());

    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "layer: kind is '%s'; expected one of %s", kind, known);
    return NULL;
  }
  if (n_in < 1 || n_in > SEQ_MAX_WIDTH) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "%s: number of inputs is %u; expected 1 to %u", kind, n_in,
        SEQ_MAX_WIDTH);
    return NULL;
  }
  g_variant_iter_init (&iter, dict);
  while (g_variant_iter_next (&iter, "{&sv}", &key, NULL))
    if (!seq_kind_has_option (&klass->kind, key)) {
      g_autofree char *known = g_strjoinv (", ", (char **) klass->kind.options);

      g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
          "%s: option is '%s'; expected one of: %s", kind, key, known);
      return NULL;
    }

  layer = g_malloc0 (klass->instance_size);
  layer->klass = klass;
  layer->config = g_steal_pointer (&dict);
  layer->n_in = n_in;
  layer->n_undo = G_MAXSIZE;
  if (!klass->init (layer, layer->config, error))
    return NULL;
  layer->n_undo = MIN (layer->n_undo, layer->n_state);
  g_assert (layer->n_weights % SEQ_TILE == 0 && layer->n_state % SEQ_TILE == 0
            && layer->n_tape % SEQ_TILE == 0);
  return g_steal_pointer (&layer);
}

const char *
seq_layer_precision (const SeqLayer *layer)
{
  const char *precision = "float";

  g_variant_lookup (layer->config, "precision", "&s", &precision);
  return precision;
}

void
seq_layer_free (SeqLayer *layer)
{
  if (!layer)
    return;
  if (layer->klass->clear)
    layer->klass->clear (layer);
  for (guint i = 0; i < layer->n_tensors; i++)
    g_free (layer->tensors[i].name);
  g_free (layer->tensors);
  g_variant_unref (layer->config);
  g_free (layer);
}

/* Any of GVariant's number types as a double. */
static gboolean
number (GVariant *value, double *out)
{
  switch (g_variant_classify (value)) {
    case G_VARIANT_CLASS_BOOLEAN:
      *out = g_variant_get_boolean (value);
      return TRUE;
    case G_VARIANT_CLASS_BYTE:
      *out = g_variant_get_byte (value);
      return TRUE;
    case G_VARIANT_CLASS_INT32:
      *out = g_variant_get_int32 (value);
      return TRUE;
    case G_VARIANT_CLASS_UINT32:
      *out = g_variant_get_uint32 (value);
      return TRUE;
    case G_VARIANT_CLASS_INT64:
      *out = (double) g_variant_get_int64 (value);
      return TRUE;
    case G_VARIANT_CLASS_UINT64:
      *out = (double) g_variant_get_uint64 (value);
      return TRUE;
    case G_VARIANT_CLASS_DOUBLE:
      *out = g_variant_get_double (value);
      return TRUE;
    default:
      return FALSE;
  }
}

gboolean
seq_config_number (GVariant *config, const char *key, double *value)
{
  g_autoptr (GVariant) v = g_variant_lookup_value (config, key, NULL);

  return v && number (v, value);
}

gboolean
seq_config_double (const SeqLayer *layer, GVariant *config, const char *key,
    double min, double max, double fallback, double *value, GError **error)
{
  g_autoptr (GVariant) v = g_variant_lookup_value (config, key, NULL);

  *value = fallback;
  if (!v)
    return TRUE;
  if (!number (v, value)) {
    g_autofree char *found = g_variant_print (v, FALSE);

    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "%s: %s is %s; expected %.10g to %.10g", layer->klass->kind.name, key,
        found, min, max);
    return FALSE;
  }
  /* written so that a NaN fails */
  if (!(*value >= min && *value <= max)) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "%s: %s is %.10g; expected %.10g to %.10g", layer->klass->kind.name,
        key, *value, min, max);
    return FALSE;
  }
  return TRUE;
}

gboolean
seq_config_uint (const SeqLayer *layer, GVariant *config, const char *key,
    guint min, guint max, guint fallback, guint *value, GError **error)
{
  double d;

  if (!seq_config_double (layer, config, key, min, max, fallback, &d, error))
    return FALSE;
  if (d != floor (d)) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "%s: %s is %g; expected a whole number", layer->klass->kind.name, key,
        d);
    return FALSE;
  }
  *value = (guint) d;
  return TRUE;
}

gboolean
seq_config_word (const SeqLayer *layer, GVariant *config, const char *key,
    const char *const *words, guint fallback, guint *value, GError **error)
{
  g_autoptr (GVariant) v = g_variant_lookup_value (config, key, NULL);
  g_autofree char *known = NULL, *found = NULL;

  *value = fallback;
  if (!v)
    return TRUE;
  for (*value = 0; words[*value]; ++*value)
    if (g_variant_is_of_type (v, G_VARIANT_TYPE_STRING)
        && g_str_equal (words[*value], g_variant_get_string (v, NULL)))
      return TRUE;
  known = g_strjoinv (", ", (char **) words);
  found = g_variant_print (v, FALSE);
  g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
      "%s: %s is %s; expected one of %s", layer->klass->kind.name, key, found,
      known);
  return FALSE;
}

gboolean
seq_config_uints (const SeqLayer *layer, GVariant *config, const char *key,
    guint min, guint max, guint *values, guint *n, guint n_max, GError **error)
{
  g_autoptr (GVariant) v = g_variant_lookup_value (config, key, NULL);
  gsize n_children;

  *n = 0;
  if (!v)
    return TRUE;
  if (!g_variant_is_of_type (v, G_VARIANT_TYPE_ARRAY)) {
    g_autofree char *found = g_variant_print (v, FALSE);

    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "%s: %s is %s; expected a list of numbers", layer->klass->kind.name,
        key, found);
    return FALSE;
  }
  n_children = g_variant_n_children (v);
  if (n_children > n_max) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "%s: %s is a list of %" G_GSIZE_FORMAT " numbers; expected at most %u",
        layer->klass->kind.name, key, n_children, n_max);
    return FALSE;
  }
  for (gsize i = 0; i < n_children; i++) {
    g_autoptr (GVariant) child = g_variant_get_child_value (v, i);
    double d;

    if (!number (child, &d) || !(d >= min && d <= max) || d != floor (d)) {
      g_autofree char *found = g_variant_print (child, FALSE);

      g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
          "%s: entry %" G_GSIZE_FORMAT
          " of %s is %s; expected a whole number from %u to %u",
          layer->klass->kind.name, i, key, found, min, max);
      return FALSE;
    }
    values[i] = (guint) d;
  }
  *n = (guint) n_children;
  return TRUE;
}

guint
seq_layer_add_tensor (
    SeqLayer *layer, const char *name, guint gates, guint rows, guint cols)
{
  SeqTensor *t;

  layer->tensors = g_renew (SeqTensor, layer->tensors, layer->n_tensors + 1);
  t = &layer->tensors[layer->n_tensors];
  *t = (SeqTensor){ .name = g_strdup (name),
    .gates = gates,
    .rows = rows,
    .cols = cols,
    .taps = 1,
    .tile = SEQ_TILE,
    .tile_stride = (gsize) cols * gates * SEQ_TILE,
    .offset = layer->n_weights };
  layer->n_weights += SEQ_PAD (rows) / SEQ_TILE * t->tile_stride;
  return layer->n_tensors++;
}

void
seq_seed_uniform (
    const SeqLayer *layer, GRand *rand, double bound, real *weights)
{
  for (guint i = 0; i < layer->n_tensors; i++) {
    const SeqTensor *t = &layer->tensors[i];

    for (guint gate = 0; gate < t->gates; gate++)
      for (guint row = 0; row < t->rows; row++)
        for (guint col = 0; col < t->cols; col++)
          weights[seq_tensor_index (t, gate, row, col)] =
              (real) g_rand_double_range (rand, -bound, bound);
  }
}

real *
seq_alloc (gsize n_reals)
{
  gsize bytes = (n_reals * sizeof (real) + SEQ_ALIGN) / SEQ_ALIGN * SEQ_ALIGN;
  real *reals;

  g_assert (n_reals < G_MAXSIZE / 2 / sizeof (real));
  reals = aligned_alloc (SEQ_ALIGN, bytes);
  if (!reals)
    g_error ("out of memory: %" G_GSIZE_FORMAT " bytes", bytes);
  memset (reals, 0, bytes);
  return reals;
}

void
seq_free (gpointer reals)
{
  free (reals);
}
