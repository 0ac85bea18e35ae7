/* safetensors.c: the container: named tensors and string metadata.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/io/safetensors.h"
#include "src/layer.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#define HEADER_MAX 100000000 /* bytes, as the reference implementation */

static const struct {
  const char *name;
  guint size; /* bytes */
} dtypes[] = {
  [SEQ_DTYPE_F64] = { "F64", 8 },
  [SEQ_DTYPE_F32] = { "F32", 4 },
  [SEQ_DTYPE_F16] = { "F16", 2 },
  [SEQ_DTYPE_BF16] = { "BF16", 2 },
  [SEQ_DTYPE_I64] = { "I64", 8 },
  [SEQ_DTYPE_U64] = { "U64", 8 },
  [SEQ_DTYPE_I32] = { "I32", 4 },
  [SEQ_DTYPE_U32] = { "U32", 4 },
  [SEQ_DTYPE_U8] = { "U8", 1 },
};

/* dtypes that are legal and never hold weights */
static const struct {
  const char *name;
  guint size;
} others[] = { { "BOOL", 1 }, { "I8", 1 }, { "I16", 2 }, { "U16", 2 },
  { "F8_E4M3", 1 }, { "F8_E5M2", 1 }, { "C64", 8 } };

void
seq_safetensors_free (SeqSafetensors *file)
{
  if (!file)
    return;
  g_array_unref (file->tensors);
  g_hash_table_unref (file->metadata);
  g_bytes_unref (file->bytes);
  json_decref (file->header);
  g_free (file);
}

static gboolean
parse_metadata (json_t *object, GHashTable *metadata, GError **error)
{
  const char *key;
  json_t *value;

  if (!json_is_object (object)) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "__metadata__ is not an object; expected one of texts");
    return FALSE;
  }
  json_object_foreach (object, key, value)
  {
    if (!json_is_string (value)) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
          "__metadata__: '%s' is not a text; expected one", key);
      return FALSE;
    }
    g_hash_table_replace (
        metadata, g_strdup (key), g_strdup (json_string_value (value)));
  }
  return TRUE;
}

static gboolean
parse_tensor (const char *name, json_t *object, const guint8 *data,
    gsize n_data, SeqTensorData *tensor, GError **error)
{
  json_t *dtype = json_object_get (object, "dtype");
  json_t *shape = json_object_get (object, "shape");
  json_t *offsets = json_object_get (object, "data_offsets");
  const char *word = json_string_value (dtype);
  guint64 size = 0;
  json_int_t begin, end;

  if (!word || !json_is_array (shape) || json_array_size (offsets) != 2
      || !json_is_integer (json_array_get (offsets, 0))
      || !json_is_integer (json_array_get (offsets, 1))) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "tensor '%s' has no dtype, shape or data_offsets; expected a text, a "
        "list and two numbers",
        name);
    return FALSE;
  }
  *tensor = (SeqTensorData){ .name = name, .dtype = SEQ_DTYPE_OTHER };
  for (guint i = 0; i < G_N_ELEMENTS (dtypes); i++)
    if (g_str_equal (word, dtypes[i].name)) {
      tensor->dtype = i;
      size = dtypes[i].size;
    }
  for (guint i = 0; i < G_N_ELEMENTS (others); i++)
    if (g_str_equal (word, others[i].name))
      size = others[i].size;
  if (size == 0) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "tensor '%s': dtype is '%s'; expected F32, F64, F16, BF16 or another "
        "one of safetensors",
        name, word);
    return FALSE;
  }

  if (json_array_size (shape) > SEQ_MAX_RANK) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "tensor '%s' has rank %zu; expected at most %u", name,
        json_array_size (shape), SEQ_MAX_RANK);
    return FALSE;
  }
  tensor->rank = (guint) json_array_size (shape);
  for (guint i = 0; i < tensor->rank; i++) {
    json_t *dim = json_array_get (shape, i);

    if (!json_is_integer (dim) || json_integer_value (dim) < 0
        || !g_uint64_checked_mul (
            &size, size, (guint64) json_integer_value (dim))) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
          "tensor '%s': dimension %u of its shape is not a size; expected a "
          "whole number that a file can hold",
          name, i);
      return FALSE;
    }
    tensor->shape[i] = (guint64) json_integer_value (dim);
  }

  begin = json_integer_value (json_array_get (offsets, 0));
  end = json_integer_value (json_array_get (offsets, 1));
  if (begin < 0 || end < begin || (guint64) end > n_data) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "tensor '%s': data_offsets are %" JSON_INTEGER_FORMAT
        " to %" JSON_INTEGER_FORMAT "; expected 0 to %" G_GSIZE_FORMAT
        ", the bytes of data",
        name, begin, end, n_data);
    return FALSE;
  }
  if ((guint64) (end - begin) != size) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "tensor '%s' has %" JSON_INTEGER_FORMAT
        " bytes; expected %" G_GUINT64_FORMAT " for its shape and dtype",
        name, end - begin, size);
    return FALSE;
  }
  tensor->data = data + begin;
  tensor->size = (gsize) size;
  return TRUE;
}

static gint
by_place (gconstpointer a, gconstpointer b)
{
  const SeqTensorData *const *x = a, *const *y = b;

  if ((*x)->data != (*y)->data)
    return (*x)->data < (*y)->data ? -1 : 1;
  return (*x)->size < (*y)->size ? -1 : (*x)->size > (*y)->size;
}

/* No holes, no overlaps, no tail. */
static gboolean
check_tiling (GArray *tensors, const guint8 *data, gsize n_data, GError **error)
{
  g_autoptr (GPtrArray) sorted = g_ptr_array_new ();
  const guint8 *at = data;

  for (guint i = 0; i < tensors->len; i++)
    g_ptr_array_add (sorted, &g_array_index (tensors, SeqTensorData, i));
  g_ptr_array_sort (sorted, by_place);
  for (guint i = 0; i < sorted->len; i++) {
    const SeqTensorData *tensor = sorted->pdata[i];

    if (tensor->data != at) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
          "tensor '%s' begins at byte %zu of the data; expected %zu, the next",
          tensor->name, (gsize) ((const guint8 *) tensor->data - data),
          (gsize) (at - data));
      return FALSE;
    }
    at += tensor->size;
  }
  if (at != data + n_data) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "there are %zu bytes of data; expected %zu, as the tensors take",
        n_data, (gsize) (at - data));
    return FALSE;
  }
  return TRUE;
}

gboolean
seq_safetensors_begins (const guint8 *data, gsize size)
{
  guint64 n;

  if (size < 8)
    return FALSE;
  memcpy (&n, data, 8);
  return GUINT64_FROM_LE (n) <= HEADER_MAX && (size == 8 || data[8] == '{');
}

SeqSafetensors *
seq_safetensors_parse (GBytes *bytes, GError **error)
{
  gsize size;
  const guint8 *all = g_bytes_get_data (bytes, &size);
  g_autoptr (SeqSafetensors) file = NULL;
  guint64 n_header;
  json_error_t json_error;
  const char *key;
  json_t *value, *header;

  if (size < 8) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_FORMAT,
        "safetensors: there are %zu bytes; expected at least 8", size);
    return NULL;
  }
  memcpy (&n_header, all, 8);
  n_header = GUINT64_FROM_LE (n_header);
  if (n_header > HEADER_MAX || n_header > size - 8) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "safetensors: the header has %" G_GUINT64_FORMAT
        " bytes; expected at most the %zu that follow: the file may be cut "
        "short",
        n_header, size - 8);
    return NULL;
  }
  if (n_header == 0 || all[8] != '{') {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_FORMAT,
        "safetensors: the header does not begin with {; expected JSON");
    return NULL;
  }
  header = json_loadb ((const char *) all + 8, (gsize) n_header,
      JSON_REJECT_DUPLICATES, &json_error);
  if (!header) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "safetensors: header: byte %d: %s", json_error.position,
        json_error.text);
    return NULL;
  }

  file = g_new0 (SeqSafetensors, 1);
  file->header = header;
  file->bytes = g_bytes_ref (bytes);
  file->tensors = g_array_new (FALSE, FALSE, sizeof (SeqTensorData));
  file->metadata =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  json_object_foreach (header, key, value)
  {
    SeqTensorData tensor;

    if (g_str_equal (key, "__metadata__")) {
      if (!parse_metadata (value, file->metadata, error))
        goto bad;
      continue;
    }
    if (!parse_tensor (key, value, all + 8 + n_header,
            (gsize) (size - 8 - n_header), &tensor, error))
      goto bad;
    g_array_append_val (file->tensors, tensor);
  }
  if (!check_tiling (file->tensors, all + 8 + n_header,
          (gsize) (size - 8 - n_header), error))
    goto bad;
  return g_steal_pointer (&file);

bad:
  g_prefix_error (error, "safetensors: ");
  return NULL;
}

const SeqTensorData *
seq_safetensors_find (const SeqSafetensors *file, const char *name)
{
  for (guint i = 0; i < file->tensors->len; i++) {
    const SeqTensorData *t = &g_array_index (file->tensors, SeqTensorData, i);

    if (g_str_equal (t->name, name))
      return t;
  }
  return NULL;
}

static double
from_half (guint16 h)
{
  gint exponent = h >> 10 & 31, mantissa = h & 1023;
  double x = exponent == 31 ? (mantissa ? NAN : INFINITY)
             : exponent     ? ldexp (1024 + mantissa, exponent - 25)
                            : ldexp (mantissa, -24);

  return h & 0x8000 ? -x : x;
}

double *
seq_tensor_data_to_doubles (
    const SeqTensorData *tensor, gsize *n, GError **error)
{
  const guint8 *at = tensor->data;
  guint step;
  double *values;

  if (tensor->dtype > SEQ_DTYPE_BF16) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "tensor '%s' has another dtype; expected F64, F32, F16 or BF16",
        tensor->name);
    return NULL;
  }
  step = dtypes[tensor->dtype].size;
  *n = tensor->size / step;
  values = g_new (double, *n + 1);
  for (gsize i = 0; i < *n; i++, at += step) {
    guint64 u64;
    guint32 u32;
    guint16 u16;
    float f;

    switch (tensor->dtype) {
      case SEQ_DTYPE_F64:
        memcpy (&u64, at, 8);
        u64 = GUINT64_FROM_LE (u64);
        memcpy (&values[i], &u64, 8);
        break;
      case SEQ_DTYPE_F32:
        memcpy (&u32, at, 4);
        u32 = GUINT32_FROM_LE (u32);
        memcpy (&f, &u32, 4);
        values[i] = f;
        break;
      case SEQ_DTYPE_F16:
        memcpy (&u16, at, 2);
        values[i] = from_half (GUINT16_FROM_LE (u16));
        break;
      default: /* BF16: the upper half of a float */
        memcpy (&u16, at, 2);
        u32 = (guint32) GUINT16_FROM_LE (u16) << 16;
        memcpy (&f, &u32, 4);
        values[i] = f;
        break;
    }
  }
  return values;
}

GBytes *
seq_safetensors_write (
    const SeqTensorData *tensors, guint n_tensors, GHashTable *metadata)
{
  json_t *header = json_object ();
  GByteArray *out = g_byte_array_new ();
  guint64 length, at = 0;
  char *text;

  if (metadata && g_hash_table_size (metadata)) {
    json_t *object = json_object ();
    GHashTableIter iter;
    gpointer key, value;

    g_hash_table_iter_init (&iter, metadata);
    while (g_hash_table_iter_next (&iter, &key, &value))
      json_object_set_new (object, key, json_string (value));
    json_object_set_new (header, "__metadata__", object);
  }
  /* widest first: then every tensor is aligned to its own width */
  for (guint width = 8; width > 0; width /= 2)
    for (guint i = 0; i < n_tensors; i++) {
      json_t *shape;

      if (dtypes[tensors[i].dtype].size != width)
        continue;
      shape = json_array ();
      for (guint d = 0; d < tensors[i].rank; d++)
        json_array_append_new (
            shape, json_integer ((json_int_t) tensors[i].shape[d]));
      json_object_set_new (header, tensors[i].name,
          json_pack ("{s:s, s:o, s:[I, I]}", "dtype",
              dtypes[tensors[i].dtype].name, "shape", shape, "data_offsets",
              (json_int_t) at, (json_int_t) (at + tensors[i].size)));
      at += tensors[i].size;
    }
  text = json_dumps (header, JSON_COMPACT);
  length = (strlen (text) + 7) / 8 * 8;
  length = GUINT64_TO_LE (length);
  g_byte_array_append (out, (const guint8 *) &length, 8);
  g_byte_array_append (out, (const guint8 *) text, (guint) strlen (text));
  while (out->len % 8)
    g_byte_array_append (out, (const guint8 *) " ", 1);
  for (guint width = 8; width > 0; width /= 2)
    for (guint i = 0; i < n_tensors; i++)
      if (dtypes[tensors[i].dtype].size == width)
        g_byte_array_append (out, tensors[i].data, (guint) tensors[i].size);
  free (text);
  json_decref (header);
  return g_byte_array_free_to_bytes (out);
}
