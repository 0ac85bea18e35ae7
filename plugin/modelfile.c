/* modelfile.c: model files and their cache: see modelfile.h.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "plugin/modelfile.h"

#include <glib/gstdio.h>
#include <string.h>

#include "src/io/load.h"

static GMutex lock;
static GCond loaded;
static GHashTable *files; /* key -> GstSeqModelFile, borrowed */

/* Whole numbers stand for what the option wants; whether it is one at all, who
 * reads it says. */
GVariant *
gst_seq_options (const GstStructure *options)
{
  GVariantDict dict;

  g_variant_dict_init (&dict, NULL);
  for (gint i = 0; options && i < gst_structure_n_fields (options); i++) {
    const char *field = gst_structure_nth_field_name (options, (guint) i);
    const GValue *value = gst_structure_get_value (options, field);
    g_autofree char *key = g_strdelimit (g_strdup (field), "-", '_');
    GValue number = G_VALUE_INIT;

    g_value_init (&number, G_TYPE_DOUBLE);
    if (G_VALUE_HOLDS_STRING (value)) {
      g_variant_dict_insert (&dict, key, "s", g_value_get_string (value));
    } else if (!G_VALUE_HOLDS_BOOLEAN (value)
               && g_value_transform (value, &number)) {
      double x = g_value_get_double (&number);

      if (g_str_equal (key, "rate") || x < 0 || x != (guint) x)
        g_variant_dict_insert (&dict, key, "d", x);
      else
        g_variant_dict_insert (&dict, key, "u", (guint) x);
    } else {
      g_variant_dict_insert (&dict, key, "b", TRUE); /* of no option's type */
    }
    g_value_unset (&number);
  }
  return g_variant_ref_sink (g_variant_dict_end (&dict));
}

/* Tells files apart, and versions of one. A file that isn't there is its own.
 */
static char *
key_of (const char *path, GVariant *hints)
{
  g_autofree char *text = g_variant_print (hints, FALSE);
  GStatBuf s = { 0 };

  if (g_stat (path, &s) < 0)
    memset (&s, 0, sizeof s);
  return g_strdup_printf ("%s %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT
                          " %" G_GINT64_FORMAT ".%09ld %s",
      path, (guint64) s.st_ino, (guint64) s.st_size, (gint64) s.st_mtim.tv_sec,
      s.st_mtim.tv_nsec, text);
}

static void
file_free (GstSeqModelFile *file)
{
  seq_model_unref (file->model);
  g_free (file->path);
  g_free (file->key);
  g_free (file);
}

/* The lock is held; NULL: the key is ours to load. */
static GstSeqModelFile *
wait_for (const char *key)
{
  GstSeqModelFile *file;

  if (!files)
    files = g_hash_table_new (g_str_hash, g_str_equal);
  while ((file = g_hash_table_lookup (files, key)) && !file->model)
    g_cond_wait (&loaded, &lock);
  return file;
}

GstSeqModelFile *
gst_seq_model_file_open (
    const char *path, const GstStructure *options, GError **error)
{
  g_autoptr (GVariant) hints = gst_seq_options (options);
  g_autofree char *key = key_of (path, hints);
  GstSeqModelFile *file;
  SeqModel *model;

  g_mutex_lock (&lock);
  file = wait_for (key);
  if (file) {
    file->n_users++;
    g_mutex_unlock (&lock);
    return file;
  }
  file = g_new0 (GstSeqModelFile, 1);
  file->path = g_strdup (path);
  file->key = g_steal_pointer (&key);
  file->n_users = 1;
  g_hash_table_insert (files, file->key, file);
  g_mutex_unlock (&lock);

  model = seq_model_load (path, hints, error);
  g_mutex_lock (&lock);
  file->model = model;
  if (!model)
    g_hash_table_remove (files, file->key);
  g_cond_broadcast (&loaded);
  g_mutex_unlock (&lock);
  if (!model)
    g_clear_pointer (&file, file_free);
  return file;
}

void
gst_seq_model_file_close (GstSeqModelFile *file)
{
  gboolean last;

  if (!file)
    return;
  g_mutex_lock (&lock);
  last = --file->n_users == 0;
  if (last)
    g_hash_table_remove (files, file->key);
  g_mutex_unlock (&lock);
  if (last)
    file_free (file);
}

void
gst_seq_post_error (
    GstElement *element, GstMessageType type, const GError *error, char *debug)
{
  static const struct {
    gint code; /* of SEQ_ERROR */
    GQuark (*domain) (void);
    gint gst_code;
  } table[] = {
    { SEQ_ERROR_CONFIG, gst_library_error_quark, GST_LIBRARY_ERROR_SETTINGS },
    { SEQ_ERROR_FORMAT, gst_stream_error_quark, GST_STREAM_ERROR_WRONG_TYPE },
    { SEQ_ERROR_DAMAGED, gst_stream_error_quark, GST_STREAM_ERROR_DECODE },
    { SEQ_ERROR_UNSUPPORTED, gst_stream_error_quark,
        GST_STREAM_ERROR_NOT_IMPLEMENTED },
    { SEQ_ERROR_SHAPE, gst_stream_error_quark, GST_STREAM_ERROR_FORMAT },
    { SEQ_ERROR_HINT, gst_library_error_quark, GST_LIBRARY_ERROR_SETTINGS },
  };
  GQuark domain = GST_STREAM_ERROR;
  gint code = GST_STREAM_ERROR_DECODE;

  if (error->domain == G_FILE_ERROR) {
    domain = GST_RESOURCE_ERROR;
    code = error->code == G_FILE_ERROR_NOENT ? GST_RESOURCE_ERROR_NOT_FOUND
                                             : GST_RESOURCE_ERROR_OPEN_READ;
  }
  for (guint i = 0; i < G_N_ELEMENTS (table); i++)
    if (g_error_matches (error, SEQ_ERROR, table[i].code)) {
      domain = table[i].domain ();
      code = table[i].gst_code;
    }
  gst_element_message_full (element, type, domain, code,
      g_strdup (error->message), debug, __FILE__, G_STRFUNC, __LINE__);
}
