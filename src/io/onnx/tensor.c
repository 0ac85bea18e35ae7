/* tensor.c: tensors of an ONNX file, or of a file beside it, as numbers;
 * and the attributes of nodes.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Numbers are in raw_data, in a list by their type, or external: location,
 * offset and length of a file inside the model's folder.
 */
#include "src/io/file.h"
#include "src/io/onnx/onnx.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OUTSIDE_MAX (1u << 28) /* bytes of external data in all */

char *
seq_onnx_clip (const char *name)
{
  g_autofree char *start = g_strndup (name ? name : "", 80);

  return g_utf8_make_valid (start, -1);
}

char *
seq_onnx_label (const Onnx__Node *node)
{
  g_autofree char *op = seq_onnx_clip (node->op_type);
  g_autofree char *name = seq_onnx_clip (node->name && *node->name ? node->name
                                         : node->n_output ? node->output[0]
                                                          : NULL);

  return g_strdup_printf ("node '%s' (%s)", name, op);
}

gboolean
seq_onnx_is (const Onnx__Node *node, const char *op)
{
  return node->op_type && strcmp (node->op_type, op) == 0;
}

const Onnx__Attribute *
seq_onnx_attribute (const Onnx__Node *node, const char *name)
{
  for (gsize i = 0; i < node->n_attribute; i++)
    if (node->attribute[i]->name && !strcmp (node->attribute[i]->name, name))
      return node->attribute[i];
  return NULL;
}

gint64
seq_onnx_int (const Onnx__Node *node, const char *name, gint64 fallback)
{
  const Onnx__Attribute *a = seq_onnx_attribute (node, name);

  return a && a->has_i ? a->i : fallback;
}

double
seq_onnx_float (const Onnx__Node *node, const char *name, double fallback)
{
  const Onnx__Attribute *a = seq_onnx_attribute (node, name);

  return a && a->has_f ? a->f : fallback;
}

gboolean
seq_onnx_ints (const Onnx__Node *node, const char *name, const SeqArray *input,
    gint64 *values, guint *n, GError **error)
{
  const Onnx__Attribute *a = input ? NULL : seq_onnx_attribute (node, name);
  gsize count = input ? input->n_values : a ? a->n_ints : 0;

  if (count > SEQ_ONNX_RANK) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "%s has %zu entries; expected at most %u", name, count, SEQ_ONNX_RANK);
    return FALSE;
  }
  for (gsize i = 0; i < count; i++)
    values[i] = input ? seq_onnx_whole (input->values[i]) : a->ints[i];
  *n = (guint) count;
  return TRUE;
}

gboolean
seq_onnx_axis (gint64 *axis, guint rank, GError **error)
{
  gint64 found = *axis;

  if (*axis < 0)
    *axis += rank;
  if (*axis >= 0 && *axis < rank)
    return TRUE;
  g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
      "axis is %" G_GINT64_FORMAT "; expected less than %u, the axes there are",
      found, rank);
  return FALSE;
}

/* --- data outside the file -------------------------------------------------
 */

static const char *
entry_of (const Onnx__Tensor *tensor, const char *key)
{
  for (gsize i = 0; i < tensor->n_external_data; i++) {
    const Onnx__StringStringEntry *e = tensor->external_data[i];

    if (e->key && strcmp (e->key, key) == 0)
      return e->value ? e->value : "";
  }
  return NULL;
}

/* Opens a regular file inside the folder, also after following links; or -1. */
static int
open_beside (const char *folder, const char *location, GError **error)
{
  g_autofree char *path = g_build_filename (folder, location, NULL);
  g_autofree char *clipped = seq_onnx_clip (location);
  g_auto (GStrv) parts = g_strsplit (location, "/", -1);
  char *inside = realpath (folder, NULL), *real = realpath (path, NULL);
  gboolean lies_inside = inside && real && g_str_has_prefix (real, inside)
                         && real[strlen (inside)] == '/';
  struct stat about;
  int fd = -1;

  if (!*location || g_path_is_absolute (location)
      || g_strv_contains ((const char *const *) parts, "..")
      || (real && !lies_inside)) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "external data: location is '%s'; expected a file inside the model's "
        "folder",
        clipped);
  } else if (!real || (fd = seq_open_regular (real, &about, NULL)) < 0) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "external data: '%s' cannot be read; expected a file inside the "
        "model's folder",
        clipped);
  }
  free (inside);
  free (real);
  return fd;
}

static gboolean
number_of (const Onnx__Tensor *tensor, const char *key, guint64 fallback,
    guint64 *value, GError **error)
{
  const char *text = entry_of (tensor, key);

  *value = fallback;
  if (!text
      || g_ascii_string_to_unsigned (text, 10, 0, G_MAXINT64, value, NULL))
    return TRUE;
  g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
      "external data: %s is '%.20s'; expected a number of bytes", key,
      g_str_is_ascii (text) ? text : "?");
  return FALSE;
}

/* Reads the `size` bytes of an external tensor. */
static guint8 *
read_outside (const Onnx__Tensor *tensor, gsize size, SeqOnnxSource *source,
    GError **error)
{
  const char *location = entry_of (tensor, "location");
  g_autofree guint8 *bytes = NULL;
  guint64 offset, length;
  struct stat about;
  gsize done = 0;
  int fd;

  if (!source->folder || !location) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        !location ? "external data: location is missing"
                  : "external data: the model has no folder; expected a file "
                    "with its data beside it");
    return NULL;
  }
  if (!number_of (tensor, "offset", 0, &offset, error)
      || !number_of (tensor, "length", size, &length, error))
    return NULL;
  if (length != size) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "external data: length is %" G_GUINT64_FORMAT
        " bytes; expected %zu for the shape",
        length, size);
    return NULL;
  }
  if (size > OUTSIDE_MAX - source->outside) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "external data: all together is larger; expected at most %u bytes",
        OUTSIDE_MAX);
    return NULL;
  }
  fd = open_beside (source->folder, location, error);
  if (fd < 0)
    return NULL;
  if (fstat (fd, &about) == 0 && (guint64) about.st_size >= offset
      && (guint64) about.st_size - offset >= size) {
    bytes = g_malloc (size + 1);
    while (done < size) {
      gssize n = pread (fd, bytes + done, size - done, (off_t) (offset + done));

      if (n < 0 && errno == EINTR)
        continue;
      if (n <= 0)
        break;
      done += (gsize) n;
    }
  }
  close (fd);
  if (!bytes || done < size) {
    g_autofree char *clipped = seq_onnx_clip (location);

    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "external data: '%s' is too short; expected %zu bytes at "
        "%" G_GUINT64_FORMAT,
        clipped, size, offset);
    return NULL;
  }
  source->outside += size;
  source->budget += SEQ_ONNX_BUDGET * size;
  return g_steal_pointer (&bytes);
}

/* --- numbers ----------------------------------------------------------------
 */

static guint
width_of (gint32 type)
{
  switch (type) {
    case SEQ_ONNX_BOOL:
      return 1;
    case SEQ_ONNX_FLOAT16:
    case SEQ_ONNX_BFLOAT16:
      return 2;
    case SEQ_ONNX_FLOAT:
    case SEQ_ONNX_INT32:
      return 4;
    case SEQ_ONNX_DOUBLE:
    case SEQ_ONNX_INT64:
      return 8;
    default:
      return 0;
  }
}

/* Little-endian numbers of any type. */
static void
decode (const guint8 *raw, gint32 type, double *values, gsize n)
{
  SeqTensorData data = { .name = "raw_data",
    .data = raw,
    .size = n * width_of (type),
    .dtype = type == SEQ_ONNX_FLOAT      ? SEQ_DTYPE_F32
             : type == SEQ_ONNX_DOUBLE   ? SEQ_DTYPE_F64
             : type == SEQ_ONNX_FLOAT16  ? SEQ_DTYPE_F16
             : type == SEQ_ONNX_BFLOAT16 ? SEQ_DTYPE_BF16
                                         : SEQ_DTYPE_OTHER };
  g_autofree double *floats = NULL;
  gsize count;

  if (data.dtype != SEQ_DTYPE_OTHER) {
    floats = seq_tensor_data_to_doubles (&data, &count, NULL);
    memcpy (values, floats, n * sizeof (double));
    return;
  }
  for (gsize i = 0; i < n; i++) {
    gint64 i64;
    gint32 i32;

    if (type == SEQ_ONNX_INT64) {
      memcpy (&i64, raw + 8 * i, 8);
      values[i] = (double) GINT64_FROM_LE (i64);
    } else if (type == SEQ_ONNX_INT32) {
      memcpy (&i32, raw + 4 * i, 4);
      values[i] = GINT32_FROM_LE (i32);
    } else {
      values[i] = raw[i];
    }
  }
}

/* Reads the list for the tensor's type; FALSE if it does not have n entries. */
static gboolean
decode_list (const Onnx__Tensor *tensor, double *values, gsize n)
{
  gboolean halves = tensor->data_type == SEQ_ONNX_FLOAT16
                    || tensor->data_type == SEQ_ONNX_BFLOAT16;
  gsize found = tensor->data_type == SEQ_ONNX_FLOAT    ? tensor->n_float_data
                : tensor->data_type == SEQ_ONNX_DOUBLE ? tensor->n_double_data
                : tensor->data_type == SEQ_ONNX_INT64  ? tensor->n_int64_data
                                                       : tensor->n_int32_data;

  if (found != n)
    return FALSE;
  for (gsize i = 0; i < n; i++) {
    guint64 half; /* as wide as anything that decode() reads */

    if (tensor->data_type == SEQ_ONNX_FLOAT) {
      values[i] = tensor->float_data[i];
    } else if (tensor->data_type == SEQ_ONNX_DOUBLE) {
      values[i] = tensor->double_data[i];
    } else if (tensor->data_type == SEQ_ONNX_INT64) {
      values[i] = (double) tensor->int64_data[i];
    } else if (halves) {
      half = GUINT64_TO_LE ((guint16) tensor->int32_data[i]);
      decode ((guint8 *) &half, tensor->data_type, &values[i], 1);
    } else {
      values[i] = tensor->int32_data[i];
    }
  }
  return TRUE;
}

/* Checks the dimensions; size: bytes of the data. The file's own numbers do not
 * count against the budget of folding. */
static gboolean
measure (
    const Onnx__Tensor *tensor, SeqArray *array, gsize *size, GError **error)
{
  guint64 n = 1;

  if (!width_of (tensor->data_type)) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "data_type is %d; expected FLOAT (1), INT32 (6), INT64 (7), BOOL (9), "
        "FLOAT16 (10), DOUBLE (11) or BFLOAT16 (16)",
        tensor->data_type);
    return FALSE;
  }
  if (tensor->n_dims > SEQ_ONNX_RANK) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "there are %zu dims; expected at most %u", tensor->n_dims,
        SEQ_ONNX_RANK);
    return FALSE;
  }
  array->rank = (guint) tensor->n_dims;
  for (guint i = 0; i < array->rank; i++) {
    if (tensor->dims[i] < 0
        || !g_uint64_checked_mul (&n, n, (guint64) tensor->dims[i])
        || n > G_MAXSIZE / 16) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
          "dims[%u] is %" G_GINT64_FORMAT "; expected a size that a file can "
          "hold",
          i, tensor->dims[i]);
      return FALSE;
    }
    array->shape[i] = (guint64) tensor->dims[i];
  }
  array->n_values = (gsize) n;
  *size = (gsize) n * width_of (tensor->data_type);
  return TRUE;
}

static gboolean
fill (const Onnx__Tensor *tensor, SeqArray *array, gsize size,
    SeqOnnxSource *source, GError **error)
{
  g_autofree guint8 *outside = NULL;
  const guint8 *raw = tensor->raw_data.data;

  if (tensor->data_location == 1) {
    raw = outside = read_outside (tensor, size, source, error);
    if (!raw)
      return FALSE;
  } else if (tensor->has_raw_data && tensor->raw_data.len != size) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "raw_data has %zu bytes; expected %zu for dims and data_type",
        tensor->raw_data.len, size);
    return FALSE;
  } else if (!tensor->has_raw_data) {
    gsize most = MAX (MAX (tensor->n_float_data, tensor->n_double_data),
        MAX (tensor->n_int32_data, tensor->n_int64_data));

    raw = NULL;
    if (array->n_values > most) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
          "there are %zu numbers; expected %zu for dims", most,
          array->n_values);
      return FALSE;
    }
  }
  array->values = g_new (double, array->n_values + 1);
  if (raw)
    decode (raw, tensor->data_type, array->values, array->n_values);
  else if (!tensor->has_raw_data
           && !decode_list (tensor, array->values, array->n_values)) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "the list of numbers has another length; expected %zu for dims",
        array->n_values);
    return FALSE;
  }
  return TRUE;
}

SeqArray *
seq_onnx_tensor (
    const Onnx__Tensor *tensor, SeqOnnxSource *source, GError **error)
{
  g_autofree char *name = seq_onnx_clip (tensor->name);
  SeqArray *array = seq_array_new (name);
  gsize size;

  if (measure (tensor, array, &size, error)
      && fill (tensor, array, size, source, error))
    return array;
  g_prefix_error (error, "tensor '%s': ", name);
  seq_array_free (array);
  return NULL;
}
