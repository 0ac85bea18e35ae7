/* errors.h: errors of the core as messages on the bus.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/* Posts an error, or a warning, in the domain of GStreamer that fits. debug is
 * taken. */
void gst_seq_post_error (
    GstElement *element, GstMessageType type, const GError *error, char *debug);

G_END_DECLS
