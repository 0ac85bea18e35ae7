/* json.c: JSON, as readers of model files need it: see json.h.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/io/json.h"

#include <math.h>
#include <string.h>

/* Returns where the text begins, after a byte order mark. */
static gsize
skip_mark (const guint8 *data, gsize size)
{
  return size >= 3 && memcmp (data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

gboolean
seq_json_begins (const guint8 *data, gsize size)
{
  gsize i = skip_mark (data, size);

  while (i < size && data[i] && strchr (" \t\r\n", data[i]))
    i++;
  return i < size && data[i] == '{';
}

/* Replaces NaN, Infinity and -Infinity outside strings by "" and spaces, so
 * that lines and columns do not change. */
static void
blank_specials (char *text, gsize size)
{
  static const char *const words[] = { "-Infinity", "Infinity", "NaN" };
  gboolean quoted = FALSE;

  for (gsize i = 0; i < size; i++) {
    if (text[i] == '"')
      quoted = !quoted;
    else if (quoted && text[i] == '\\')
      i++;
    for (guint w = 0; w < G_N_ELEMENTS (words) && !quoted; w++) {
      gsize n = strlen (words[w]);

      if (size - i < n || memcmp (text + i, words[w], n) != 0)
        continue;
      memset (text + i, ' ', n);
      memcpy (text + i, "\"\"", 2);
      i += n - 1;
      break;
    }
  }
}

json_t *
seq_json_parse (const guint8 *data, gsize size, GError **error)
{
  gsize skip = skip_mark (data, size);
  const char *text = (const char *) data + skip;
  g_autofree char *copy = NULL;
  json_error_t json_error;
  json_t *root;

  size -= skip;
  if (memmem (text, size, "NaN", 3) || memmem (text, size, "Infinity", 8)) {
    text = copy = g_memdup2 (text, size);
    blank_specials (copy, size);
  }
  root = json_loadb (text, size, JSON_REJECT_DUPLICATES, &json_error);
  if (!root)
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED, "line %d, column %d: %s",
        json_error.line, json_error.column, json_error.text);
  return root;
}

static gboolean
add_values (SeqArray *array, json_t *value, guint depth, const char *place,
    gsize *allocated, GError **error)
{
  gsize n = json_array_size (value);
  double x;

  if (!json_is_array (value)) {
    x = json_number_value (value);
    if (!json_is_number (value) || !isfinite (x)) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
          "%s: value %" G_GSIZE_FORMAT " is %s; expected a finite number",
          place, array->n_values,
          json_is_string (value) ? "text, NaN or infinite" : "something else");
      return FALSE;
    }
    if (depth != array->rank) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
          "%s: value %" G_GSIZE_FORMAT
          " is a number; expected a list, as before it",
          place, array->n_values);
      return FALSE;
    }
    if (array->n_values == *allocated) {
      *allocated = *allocated * 2 + 64;
      array->values = g_renew (double, array->values, *allocated);
    }
    array->values[array->n_values++] = x;
    return TRUE;
  }
  if (depth >= array->rank) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "%s: value %" G_GSIZE_FORMAT " is a list; expected a number", place,
        array->n_values);
    return FALSE;
  }
  if (n != array->shape[depth]) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "%s: a list has %" G_GSIZE_FORMAT
        " entries; expected %" G_GUINT64_FORMAT ", as the first",
        place, n, array->shape[depth]);
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
    if (array->rank == SEQ_ARRAY_RANK) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
          "%s: lists are nested more than %u deep; expected at most that",
          place, SEQ_ARRAY_RANK);
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
  char *end;

  *value = fallback;
  if (!v || json_is_null (v))
    return TRUE;
  if (json_is_number (v) || json_is_boolean (v)) {
    *value = json_is_number (v) ? json_number_value (v) : json_is_true (v);
    return TRUE;
  }
  if (json_is_string (v)) {
    *value = g_ascii_strtod (json_string_value (v), &end);
    if (end != json_string_value (v) && !*end && isfinite (*value))
      return TRUE;
  }
  g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
      "%s is %s; expected a number", key,
      json_is_string (v) ? "text" : "a list or an object");
  return FALSE;
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
        "%s is %g; expected a whole number from 0 to %u", key, d, max);
    return FALSE;
  }
  *value = (guint) d;
  return TRUE;
}
