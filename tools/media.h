/* media.h: decodes what GStreamer decodes, for the command.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "src/train/recording.h"

G_BEGIN_DECLS

/* Reads the first audio stream of a file (any media that GStreamer decodes)
 * to its end. A name that ends in .f32 is raw little-endian float32,
 * interleaved, and needs rate and channels; for others they are 0 (the file's
 * own), or what the stream is converted to. gst_init() has been called.
 * Errors name the file. */
SeqRecording *media_read (
    const char *path, double rate, guint n_channels, GError **error);

G_END_DECLS
