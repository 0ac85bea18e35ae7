/* model-cache.h: model files, each loaded once for all who use it.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "src/model.h"

G_BEGIN_DECLS

/* A file in use. The same path, time, size and options give the same one for
 * as long as anyone uses it. */
typedef struct {
  char *path;
  SeqModel *model;
  /* the cache's own */
  char *key;
  guint n_users;
} SeqModelFile;

/* options: as seq_model_load() takes them; NULL: none. Errors are those of
 * seq_model_load(). Any control thread; if another thread is loading the file,
 * this one waits for it. */
SeqModelFile *seq_model_file_open (
    const char *path, GVariant *options, GError **error);
SeqModelFile *seq_model_file_ref (SeqModelFile *file);
void seq_model_file_unref (SeqModelFile *file);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SeqModelFile, seq_model_file_unref)

G_END_DECLS
