/* load.c: from a model file of any known format to a model, and back: the table
 * of formats, and who gets a file.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/io/load.h"
#include "src/io/formats.h"
#include "src/io/json.h"
#include "src/io/strangers.h"

#include <string.h>

#define FILE_MAX (1u << 30) /* bytes; the largest useful file is a few MB */

#define DECLARE(format) extern const SeqFileFormat seq_format_##format;
#define ADDRESS(format) &seq_format_##format,

SEQ_FORMATS (DECLARE)
static const SeqFileFormat *const formats[] = { SEQ_FORMATS (ADDRESS) NULL };

const SeqFileFormat *const *
seq_file_formats (void)
{
  return formats;
}

/* --- which format ------------------------------------------------------------
 */

static void
file_clear (SeqFile *file)
{
  json_decref (file->json);
  seq_safetensors_free (file->tensors);
  g_clear_pointer (&file->hints, g_variant_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (SeqFile, file_clear)

/* Parses the containers that several formats share. */
static gboolean
file_init (SeqFile *file, GBytes *bytes, const char *name, GError **error)
{
  *file = (SeqFile){ .bytes = bytes };
  file->data = g_bytes_get_data (bytes, &file->size);
  /* first, since its length can look like the beginning of anything */
  if (seq_safetensors_begins (file->data, file->size)) {
    file->tensors = seq_safetensors_parse (bytes, error);
    if (!file->tensors)
      g_prefix_error (error, "%s: ", name);
    return file->tensors != NULL;
  }
  if (seq_json_begins (file->data, file->size)) {
    file->json = seq_json_parse (file->data, file->size, error);
    if (!file->json)
      g_prefix_error (error, "%s: JSON: ", name);
    return file->json != NULL;
  }
  return TRUE;
}

/* "safetensors, ONNX, ...", or of JSON formats, "model_data (GuitarML), ...".
 */
static char *
list_formats (gboolean json)
{
  GString *list = g_string_new (NULL);

  for (guint i = 0; formats[i]; i++) {
    const SeqFileFormat *f = formats[i];

    if (json && f->mark)
      g_string_append_printf (
          list, "%s%s (%s)", list->len ? ", " : "", f->mark, f->name);
    else if (!json)
      g_string_append_printf (list, "%s%s", list->len ? ", " : "", f->name);
  }
  return g_string_free (list, FALSE);
}

/* The first bytes of a file, for messages. */
static char *
beginning_of (const SeqFile *file)
{
  gsize n = MIN (file->size, 16);
  GString *hex = g_string_new ("the bytes");
  gboolean text = TRUE;

  for (gsize i = 0; i < n; i++) {
    text &= g_ascii_isprint (file->data[i]) || g_ascii_isspace (file->data[i]);
    g_string_append_printf (hex, " %02x", file->data[i]);
  }
  if (text) {
    g_autofree char *start = g_strndup ((const char *) file->data, n);
    g_autofree char *escaped = g_strescape (start, NULL);

    g_string_printf (hex, "'%s'", escaped);
  }
  return g_string_free (hex, FALSE);
}

static const SeqFileFormat *
choose_format (const SeqFile *file, const char *name, GError **error)
{
  g_autofree char *list = NULL, *found = NULL;

  if (seq_stranger_refuse (file, name, error))
    return NULL;
  for (guint i = 0; formats[i]; i++)
    if (formats[i]->sniff (file))
      return formats[i];
  list = list_formats (file->json != NULL);
  found = file->json ? NULL : beginning_of (file);
  if (file->json)
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_FORMAT,
        "%s: JSON: not a known model; expected one of %s", name, list);
  else
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_FORMAT,
        "%s: not a known model file, it begins with %s; expected one of %s",
        name, found, list);
  return NULL;
}

const SeqFileFormat *
seq_file_format_of (GBytes *bytes, const char *name, GError **error)
{
  g_auto (SeqFile) file = { NULL };

  return file_init (&file, bytes, name, error)
             ? choose_format (&file, name, error)
             : NULL;
}

/* --- reading -----------------------------------------------------------------
 */

/* Refuses hints that the format does not take. */
static gboolean
check_hints (const SeqFile *file, GError **error)
{
  for (const SeqHint *h = seq_hints; h->name; h++) {
    gboolean takes = h->general
                     || (file->format->hints
                         && g_strv_contains (file->format->hints, h->name));

    if (!takes && g_variant_lookup (file->hints, h->name, "*", NULL)) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
          "option %s is set; expected without it: this format has no such "
          "choice, or its files say it",
          h->name);
      return FALSE;
    }
  }
  return TRUE;
}

SeqModel *
seq_model_load_bytes (GBytes *bytes, const char *name, const char *folder,
    GVariant *hints, GError **error)
{
  g_autoptr (GVariant) given = seq_hints_check (hints, error);
  g_auto (SeqFile) file = { NULL };
  SeqModel *model = NULL;

  if (!given || !file_init (&file, bytes, name, error))
    return NULL;
  file.format = choose_format (&file, name, error);
  if (!file.format)
    return NULL;
  file.folder = folder;
  file.hints = g_steal_pointer (&given);
  if (check_hints (&file, error))
    model = file.format->read (&file, error);
  if (!model)
    g_prefix_error (error, "%s: %s: ", name, file.format->name);
  return model;
}

SeqModel *
seq_model_load (const char *path, GVariant *hints, GError **error)
{
  g_autoptr (GVariant) given = hints ? g_variant_ref_sink (hints) : NULL;
  g_autoptr (GBytes) bytes = seq_read_bytes (path, FILE_MAX, error);
  g_autofree char *name = g_path_get_basename (path);
  g_autofree char *folder = g_path_get_dirname (path);

  return bytes ? seq_model_load_bytes (bytes, name, folder, given, error)
               : NULL;
}

gboolean
seq_model_self_test (const char *path, const SeqModel *model, double *worst,
    gsize *n, GError **error)
{
  g_autoptr (GBytes) bytes = seq_read_bytes (path, FILE_MAX, error);
  g_autofree char *name = g_path_get_basename (path);
  g_auto (SeqFile) file = { NULL };
  gboolean ok = FALSE;

  if (!bytes || !file_init (&file, bytes, name, error))
    return FALSE;
  file.format = choose_format (&file, name, error);
  if (!file.format)
    return FALSE;
  if (file.format->self_test)
    ok = file.format->self_test (&file, model, worst, n, error);
  else
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "files of this format embed no recording to test with");
  if (!ok)
    g_prefix_error (error, "%s: %s: ", name, file.format->name);
  return ok;
}

/* --- writing -----------------------------------------------------------------
 */

static const char *const *
list_names (gboolean written)
{
  GPtrArray *names = g_ptr_array_new ();

  for (guint i = 0; formats[i]; i++)
    if (!written || formats[i]->write)
      g_ptr_array_add (names, (gpointer) formats[i]->name);
  g_ptr_array_add (names, NULL);
  return (const char *const *) g_ptr_array_free (names, FALSE);
}

static gpointer
list_all (gpointer unused)
{
  return (gpointer) list_names (FALSE);
}

static gpointer
list_written (gpointer unused)
{
  return (gpointer) list_names (TRUE);
}

const char *const *
seq_model_formats (void)
{
  static GOnce once = G_ONCE_INIT;

  return g_once (&once, list_all, NULL);
}

const char *const *
seq_model_written_formats (void)
{
  static GOnce once = G_ONCE_INIT;

  return g_once (&once, list_written, NULL);
}

SeqModel *
seq_model_load_linear (gconstpointer bytes, gsize size, GError **error)
{
  g_autoptr (GBytes) copy = g_bytes_new (bytes, size);
  g_autoptr (SeqSafetensors) file = seq_safetensors_parse (copy, error);

  if (!file) {
    g_prefix_error (error, SEQ_LINEAR_TENSOR ": ");
    return NULL;
  }
  if (seq_safetensors_find (file, SEQ_LINEAR_TENSOR)) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        SEQ_LINEAR_TENSOR ": there is a linear forecaster within; expected "
                          "none around a linear forecaster");
    return NULL;
  }
  return seq_model_load_bytes (copy, SEQ_LINEAR_TENSOR, NULL, NULL, error);
}

const char *
seq_model_format_by_suffix (const char *path)
{
  for (guint i = 0; formats[i]; i++)
    if (formats[i]->write && g_str_has_suffix (path, formats[i]->suffix))
      return formats[i]->name;
  return NULL;
}

static const SeqFileFormat *
find_written (const char *name)
{
  for (guint i = 0; formats[i]; i++)
    if (formats[i]->write && g_ascii_strcasecmp (name, formats[i]->name) == 0)
      return formats[i];
  return NULL;
}

gboolean
seq_model_is_written (const char *format)
{
  return find_written (format) != NULL;
}

GBytes *
seq_model_write (const SeqModel *model, const char *format, GError **error)
{
  const SeqFileFormat *row = find_written (format);
  g_autofree char *known = NULL;
  GBytes *bytes;

  if (!row) {
    known = g_strjoinv (", ", (char **) seq_model_written_formats ());
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "format is %s; expected one of %s", format, known);
    return NULL;
  }
  if (model->linear && row != &seq_format_safetensors_model) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "%s: a net around a linear forecaster cannot be stored; expected a net "
        "alone (linear=off), or the format safetensors",
        row->name);
    return NULL;
  }
  bytes = row->write (model, error);
  if (!bytes)
    g_prefix_error (error, "%s: ", row->name);
  return bytes;
}

gboolean
seq_model_save (
    const SeqModel *model, const char *path, const char *format, GError **error)
{
  g_autoptr (GBytes) bytes = seq_model_write (model, format, error);

  return bytes && seq_save_bytes (path, bytes, error);
}
