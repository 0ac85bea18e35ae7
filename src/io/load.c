/* load.c: from a model file of any known format to a model, and back.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/io/load.h"
#include "src/io/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#define FILE_MAX (1u << 30) /* bytes; the largest useful file is a few MB */

static gboolean
is_safetensors (const guint8 *data, gsize size)
{
  guint64 n;

  if (size < 8)
    return FALSE;
  memcpy (&n, data, 8);
  /* an impossible length still means this format, if nothing else begins so */
  return GUINT64_FROM_LE (n) <= 100000000 && (size == 8 || data[8] == '{');
}

static gboolean
is_json (const guint8 *data, gsize size)
{
  gsize i = size >= 3 && memcmp (data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;

  while (i < size && strchr (" \t\r\n", data[i]) && data[i])
    i++;
  return i < size && data[i] == '{';
}

/* Field 1, ir_version, comes first: a small number. */
static gboolean
is_onnx (const guint8 *data, gsize size)
{
  return size > 0 && data[0] == 0x08
         && (size == 1 || (data[1] > 0 && data[1] < 0x80));
}

static const struct {
  const char *name;
  gboolean (*sniff) (const guint8 *data, gsize size);
  SeqModel *(*read) (
      GBytes *bytes, const char *folder, GVariant *hints, GError **error);
} readers[] = {
  { "JSON", is_json, seq_read_json },
  { "safetensors", is_safetensors, seq_read_safetensors },
  { "ONNX", is_onnx, seq_read_onnx },
};

/* What people will try, and what to do instead. */
static const struct {
  const char *magic;
  const char *advice;
} strangers[] = {
  { "PK\3\4", "a zip archive (.pt, .pth, .keras): write the weights with "
              "safetensors.torch.save_file (model.state_dict (), path), or see "
              "docs/formats.md for Keras" },
  { "\x89HDF", "HDF5 (.h5): see docs/formats.md for a converter" },
  { "\x80", "a Python pickle: write the weights with safetensors" },
};

const char *const *
seq_model_formats (void)
{
  static const char *const names[] = { "safetensors", "RTNeural", "AIDA-X",
    "GuitarML", "NAM", "ONNX", "state_dict JSON", NULL };

  return names;
}

static gboolean
check_hints (GVariant *hints, GError **error)
{
  static const struct {
    const char *key, *type;
  } known[] = { { "nonlinearity", "s" }, { "residual", "u" },
    { "output_activation", "s" }, { "head_activation", "s" }, { "head", "s" },
    { "rate", "d" } };
  GVariantIter iter;
  const char *key;
  GVariant *value;

  g_variant_iter_init (&iter, hints);
  while (g_variant_iter_next (&iter, "{&sv}", &key, &value)) {
    gboolean fits = FALSE, there = FALSE;

    for (guint i = 0; i < G_N_ELEMENTS (known); i++)
      if (g_str_equal (known[i].key, key)) {
        there = TRUE;
        fits = g_variant_is_of_type (value, G_VARIANT_TYPE (known[i].type));
      }
    g_variant_unref (value);
    if (!fits) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
          there ? "option '%s' is of a wrong type"
                : "there is no option '%s': nonlinearity, residual, "
                  "output_activation, head_activation, head and rate are known",
          key);
      return FALSE;
    }
  }
  return TRUE;
}

SeqModel *
seq_model_load_bytes (GBytes *bytes, const char *name, const char *folder,
    GVariant *hints, GError **error)
{
  gsize size;
  const guint8 *data = g_bytes_get_data (bytes, &size);
  g_autoptr (GVariant) given =
      g_variant_ref_sink (hints ? hints : g_variant_new ("a{sv}", NULL));
  SeqModel *model = NULL;

  if (!check_hints (given, error))
    return NULL;
  for (guint i = 0; i < G_N_ELEMENTS (readers); i++)
    if (readers[i].sniff (data, size)) {
      model = readers[i].read (bytes, folder, given, error);
      if (!model)
        g_prefix_error (error, "%s: ", name);
      return model;
    }
  for (guint i = 0; i < G_N_ELEMENTS (strangers); i++)
    if (size >= strlen (strangers[i].magic)
        && memcmp (data, strangers[i].magic, strlen (strangers[i].magic))
               == 0) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_FORMAT, "%s: %s", name,
          strangers[i].advice);
      return NULL;
    }
  g_set_error (error, SEQ_ERROR, SEQ_ERROR_FORMAT,
      "%s: no model file that is known here (safetensors, JSON of RTNeural, "
      "AIDA-X, GuitarML or NAM, ONNX): it begins with %zu bytes of something "
      "else",
      name, MIN (size, 16));
  return NULL;
}

SeqModel *
seq_model_load (const char *path, GVariant *hints, GError **error)
{
  g_autoptr (GVariant) given = hints ? g_variant_ref_sink (hints) : NULL;
  g_autoptr (GMappedFile) file = g_mapped_file_new (path, FALSE, error);
  g_autofree char *name = g_path_get_basename (path);
  g_autofree char *folder = g_path_get_dirname (path);
  g_autoptr (GBytes) bytes = NULL;

  if (!file)
    return NULL;
  if (g_mapped_file_get_length (file) > FILE_MAX) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "%s: %zu bytes where a model has at most %u", name,
        g_mapped_file_get_length (file), FILE_MAX);
    return NULL;
  }
  /* a copy: the file may be cut short while it is read */
  bytes = g_bytes_new (
      g_mapped_file_get_contents (file), g_mapped_file_get_length (file));
  return seq_model_load_bytes (bytes, name, folder, given, error);
}

/* --- what readers share --------------------------------------------------- */

SeqArray *
seq_array_new (const char *name)
{
  SeqArray *array = g_new0 (SeqArray, 1);

  array->name = g_strdup (name);
  return array;
}

void
seq_array_free (SeqArray *array)
{
  if (!array)
    return;
  g_free (array->name);
  g_free (array->values);
  g_free (array);
}

SeqBuilder *
seq_reader_builder (guint n_in, gsize size)
{
  SeqBuilder *builder = seq_builder_new (n_in);

  /* A number takes a byte at least; rows are padded to a tile. */
  seq_builder_set_limit (builder, MAX (size, 1 << 16) * SEQ_TILE);
  return builder;
}

gboolean
seq_reader_refuse_hints (
    GVariant *hints, const char *const *keys, GError **error)
{
  for (guint i = 0; keys[i]; i++) {
    g_autoptr (GVariant) value = g_variant_lookup_value (hints, keys[i], NULL);

    if (value) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
          "option %s is given where the file itself says what it is", keys[i]);
      return FALSE;
    }
  }
  return TRUE;
}

SeqModel *
seq_reader_finish (
    SeqBuilder *builder, const char *format, GVariant *hints, GError **error)
{
  const char *activation;
  guint skip;
  double rate;

  if (g_variant_lookup (hints, "output_activation", "&s", &activation)) {
    GVariantDict dict;

    g_variant_dict_init (&dict, NULL);
    g_variant_dict_insert (&dict, "activation", "s", activation);
    if (seq_builder_add (
            builder, "activation", g_variant_dict_end (&dict), error)
        < 0)
      return NULL;
  }
  if (g_variant_lookup (hints, "residual", "u", &skip))
    seq_builder_set_skip (builder, skip);
  if (g_variant_lookup (hints, "rate", "d", &rate))
    seq_builder_set_rate (builder, rate);
  seq_builder_set_format (builder, format);
  return seq_builder_finish (builder, error);
}

/* --- saving -----------------------------------------------------------------
 */

static gboolean
fail (const char *path, const char *what, GError **error)
{
  int number = errno;

  g_set_error (error, G_FILE_ERROR, g_file_error_from_errno (number),
      "%s: %s: %s", path, what, g_strerror (number));
  return FALSE;
}

gboolean
seq_save_bytes (const char *path, GBytes *bytes, GError **error)
{
  g_autofree char *temporary = g_strconcat (path, ".XXXXXX", NULL);
  gsize size;
  const guint8 *data = g_bytes_get_data (bytes, &size);
  int fd = g_mkstemp_full (temporary, O_WRONLY | O_CLOEXEC, 0666);

  if (fd < 0)
    return fail (path, "can't be written", error);
  while (size > 0) {
    gssize n = write (fd, data, size);

    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0) {
      fail (path, "can't be written", error);
      close (fd);
      g_unlink (temporary);
      return FALSE;
    }
    data += n;
    size -= (gsize) n;
  }
  if (fsync (fd) < 0 || close (fd) < 0 || g_rename (temporary, path) < 0) {
    fail (path, "can't be written", error);
    g_unlink (temporary);
    return FALSE;
  }
  return TRUE;
}

GBytes *
seq_model_write (SeqModel *model, const char *format, GError **error)
{
  if (g_str_equal (format, "safetensors"))
    return seq_write_safetensors (model);
  if (g_str_equal (format, "rtneural"))
    return seq_write_rtneural (model, error);
  if (g_str_equal (format, "onnx"))
    return seq_write_onnx (model, error);
  g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
      "format '%s' where safetensors, rtneural or onnx can be written", format);
  return NULL;
}

gboolean
seq_model_save (
    SeqModel *model, const char *path, const char *format, GError **error)
{
  g_autoptr (GBytes) bytes = seq_model_write (model, format, error);

  return bytes && seq_save_bytes (path, bytes, error);
}
