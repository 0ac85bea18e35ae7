/* gstseqtextdec.h: text of sensors to a stream: seqcsvdec, seqinfluxdec,
 * seqndjsondec.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/* Registers an element and a typefinder for each format of text. */
gboolean gst_seq_text_dec_register (GstPlugin *plugin);

G_END_DECLS
