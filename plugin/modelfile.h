/* modelfile.h: model files, each loaded once for all elements that use it.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>
#include "src/model.h"

G_BEGIN_DECLS

/* A file that is in use. The same path, time, size and options give the same
 * one, as long as anybody holds it. */
typedef struct {
  char *path;
  SeqModel *model;
  /* the cache's own */
  char *key;
  guint n_users;
} GstSeqModelFile;

/* The fields of `model-options` as a{sv}, keys as the core spells them; NULL:
 * none. */
GVariant *gst_seq_options (const GstStructure *options);

/* options: the hints of src/io/load.h, as fields; NULL: none. Errors are those
 * of seq_model_load(). Any control thread; who asks for a file that another
 * loads waits for it. */
GstSeqModelFile *gst_seq_model_file_open (
    const char *path, const GstStructure *options, GError **error);
void gst_seq_model_file_close (GstSeqModelFile *file);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (GstSeqModelFile, gst_seq_model_file_close)

/* Posts an error, or a warning, in the domain of GStreamer that fits. debug is
 * taken. */
void gst_seq_post_error (
    GstElement *element, GstMessageType type, const GError *error, char *debug);

G_END_DECLS
