/* json.c: model files in JSON: parsing with limits, and which format it is.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * jansson refuses what is nested too deeply, NaN and numbers that overflow, and
 * reads numbers whatever the locale.
 */
#include "src/io/reader.h"

#include <math.h>
#include <string.h>

/* A bare state_dict: names of tensors on top. */
static gboolean
has_state_dict (json_t *root)
{
  const char *key;
  json_t *value;

  json_object_foreach (root, key, value)
  {
    if (strstr (key, "weight_hh"))
      return TRUE;
  }
  return FALSE;
}

static SeqModel *
read_state_dict_json (json_t *root, GVariant *hints, GError **error)
{
  g_autoptr (GPtrArray) arrays =
      g_ptr_array_new_with_free_func ((GDestroyNotify) seq_array_free);
  const char *key;
  json_t *value;

  json_object_foreach (root, key, value)
  {
    SeqArray *array;

    if (!json_is_array (value)) /* a fact beside the tensors */
      continue;
    array = seq_json_array (value, key, key, error);
    if (!array)
      return NULL;
    g_ptr_array_add (arrays, array);
  }
  return seq_read_state_dict (arrays, 0, "state_dict JSON", hints, error);
}

SeqModel *
seq_read_json (
    GBytes *bytes, const char *folder, GVariant *hints, GError **error)
{
  gsize size;
  const char *text = g_bytes_get_data (bytes, &size);
  gsize skip = size >= 3 && memcmp (text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
  json_error_t json_error;
  json_t *root = json_loadb (
      text + skip, size - skip, JSON_REJECT_DUPLICATES, &json_error);
  SeqModel *model = NULL;

  if (!root) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "JSON: line %d, column %d: %s", json_error.line, json_error.column,
        json_error.text);
    return NULL;
  }
  if (json_object_get (root, "model_data"))
    model = seq_read_guitarml (root, hints, error);
  else if (json_object_get (root, "architecture"))
    model = seq_read_nam (root, hints, error);
  else if (json_object_get (root, "layers"))
    model = seq_read_rtneural (root, hints, error);
  else if (has_state_dict (root))
    model = read_state_dict_json (root, hints, error);
  else
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_FORMAT,
        "JSON: none of the keys model_data (GuitarML), architecture (NAM), "
        "layers (RTNeural, AIDA-X) or ...weight_hh... (state_dict)");
  json_decref (root);
  return model;
}

static gboolean
add_values (SeqArray *array, json_t *value, guint depth, const char *place,
    gsize *allocated, GError **error)
{
  gsize n = json_array_size (value);
  double x;

  if (!json_is_array (value)) {
    x = json_number_value (value);
    if (!json_is_number (value) || depth != array->rank || !isfinite (x)) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
          "%s: value %" G_GSIZE_FORMAT " is not a finite number%s", place,
          array->n_values,
          depth != array->rank ? ", or the list is ragged" : "");
      return FALSE;
    }
    if (array->n_values == *allocated) {
      *allocated = *allocated * 2 + 64;
      array->values = g_renew (double, array->values, *allocated);
    }
    array->values[array->n_values++] = x;
    return TRUE;
  }
  if (depth >= array->rank || n != array->shape[depth]) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "%s: the list is ragged: %" G_GSIZE_FORMAT
        " entries where %" G_GUINT64_FORMAT " are needed",
        place, n, depth >= array->rank ? 0 : array->shape[depth]);
    return FALSE;
  }
  for (gsize i = 0; i < n; i++)
    if (!add_values (array, json_array_get (value, i), depth + 1, place,
            allocated, error))
      return FALSE;
  return TRUE;
}

SeqArray *
seq_json_array (
    json_t *value, const char *name, const char *place, GError **error)
{
  SeqArray *array = seq_array_new (name);
  gsize allocated = 0;

  for (json_t *v = value; json_is_array (v); v = json_array_get (v, 0)) {
    if (array->rank == G_N_ELEMENTS (array->shape)) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
          "%s: lists in lists, more than %u deep", place, array->rank);
      seq_array_free (array);
      return NULL;
    }
    array->shape[array->rank++] = json_array_size (v);
  }
  if (!add_values (array, value, 0, place, &allocated, error)) {
    seq_array_free (array);
    return NULL;
  }
  return array;
}

gboolean
seq_json_double (json_t *object, const char *key, double fallback,
    double *value, GError **error)
{
  json_t *v = json_object_get (object, key);

  *value = fallback;
  if (!v || json_is_null (v))
    return TRUE;
  if (json_is_boolean (v)) {
    *value = json_is_true (v);
    return TRUE;
  }
  if (json_is_string (v)) {
    char *end;

    *value = g_ascii_strtod (json_string_value (v), &end);
    if (end != json_string_value (v) && !*end && isfinite (*value))
      return TRUE;
  }
  if (!json_is_number (v)) {
    g_set_error (
        error, SEQ_ERROR, SEQ_ERROR_DAMAGED, "%s is not a number", key);
    return FALSE;
  }
  *value = json_number_value (v);
  return TRUE;
}

gboolean
seq_json_uint (json_t *object, const char *key, guint max, guint fallback,
    guint *value, GError **error)
{
  double d;

  if (!seq_json_double (object, key, fallback, &d, error))
    return FALSE;
  if (!(d >= 0 && d <= max) || d != floor (d)) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "%s is %g where a whole number of at most %u is needed", key, d, max);
    return FALSE;
  }
  *value = (guint) d;
  return TRUE;
}
