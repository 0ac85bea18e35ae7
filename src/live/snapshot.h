/* snapshot.h: everything a stream has learnt and carries, as bytes.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A safetensors container that holds the model, the stream's config and its
 * state, so that it can be resumed, to the bit, where nothing else is known.
 */
#pragma once

#include "src/live/stream.h"

G_BEGIN_DECLS

/* state: size bytes from seq_stream_get_state() of a stream of this model,
 * config and number of channels. Control thread. */
GBytes *seq_snapshot_save (SeqModel *model, const SeqStreamConfig *config,
    guint n_channels, gconstpointer state, gsize size);

/* A stream that goes on where the snapshot was taken. max_memory: as in
 * SeqStreamConfig. Control thread. Errors: SEQ_ERROR_FORMAT (no snapshot),
 * SEQ_ERROR_DAMAGED, SEQ_ERROR_CONFIG, SEQ_ERROR_MEMORY. */
SeqStream *seq_snapshot_load (
    GBytes *bytes, guint64 max_memory, GError **error);

/* Writes the model, as the first lane has learnt it, as a safetensors file.
 * Control thread. Errors: as of loading, G_FILE_ERROR, SEQ_ERROR_UNSUPPORTED.
 */
gboolean seq_snapshot_save_model (
    GBytes *bytes, const char *path, GError **error);

G_END_DECLS
