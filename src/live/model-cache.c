/* model-cache.c: model files, each loaded once for all who use it.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/live/model-cache.h"

#include <glib/gstdio.h>
#include <string.h>

#include "src/io/load.h"
#include "src/model.h"

static GMutex lock;
static GCond loaded;
static GHashTable *files; /* key -> SeqModelFile, borrowed; its model is NULL
                           * while it loads */

/* Tells files apart, and versions of one file. All that are missing count as
 * one version. */
static char *
make_key (const char *path, GVariant *options)
{
  g_autofree char *text = options ? g_variant_print (options, FALSE) : NULL;
  GStatBuf s = { 0 };

  if (g_stat (path, &s) < 0)
    memset (&s, 0, sizeof s);
  return g_strdup_printf ("%s %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT
                          " %" G_GINT64_FORMAT ".%09ld %s",
      path, (guint64) s.st_ino, (guint64) s.st_size, (gint64) s.st_mtim.tv_sec,
      s.st_mtim.tv_nsec, text ? text : "{}");
}

static void
free_file (SeqModelFile *file)
{
  seq_model_unref (file->model);
  g_free (file->path);
  g_free (file->key);
  g_free (file);
}

/* The lock is held. NULL: the file is not in use, the caller loads it. */
static SeqModelFile *
wait_for_file (const char *key)
{
  SeqModelFile *file;

  if (!files)
    files = g_hash_table_new (g_str_hash, g_str_equal);
  while ((file = g_hash_table_lookup (files, key)) && !file->model)
    g_cond_wait (&loaded, &lock);
  return file;
}

SeqModelFile *
seq_model_file_open (const char *path, GVariant *options, GError **error)
{
  g_autofree char *key = make_key (path, options);
  SeqModelFile *file;
  SeqModel *model;

  g_mutex_lock (&lock);
  file = wait_for_file (key);
  if (file) {
    file->n_users++;
    g_mutex_unlock (&lock);
    return file;
  }
  file = g_new0 (SeqModelFile, 1);
  file->path = g_strdup (path);
  file->key = g_steal_pointer (&key);
  file->n_users = 1;
  g_hash_table_insert (files, file->key, file);
  g_mutex_unlock (&lock);

  model = seq_model_load (path, options, error);
  g_mutex_lock (&lock);
  file->model = model;
  if (!model)
    g_hash_table_remove (files, file->key);
  g_cond_broadcast (&loaded);
  g_mutex_unlock (&lock);
  if (!model)
    g_clear_pointer (&file, free_file);
  return file;
}

SeqModelFile *
seq_model_file_ref (SeqModelFile *file)
{
  g_mutex_lock (&lock);
  file->n_users++;
  g_mutex_unlock (&lock);
  return file;
}

void
seq_model_file_unref (SeqModelFile *file)
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
    free_file (file);
}
