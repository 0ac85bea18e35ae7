/* media.h: reads the recordings that GStreamer can decode.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "src/train/recording.h"

G_BEGIN_DECLS

#define MEDIA_MAX_CHANNELS 4096

/* Reads the first audio stream of a file to its end, and converts it to this
 * rate and number of channels; 0: those of the file. A name that ends in .f32
 * is raw float32, little-endian and interleaved, and needs both. gst_init() has
 * been called. Errors name the file. */
SeqRecording *media_read (
    const char *path, double rate, guint n_channels, GError **error);

G_END_DECLS
