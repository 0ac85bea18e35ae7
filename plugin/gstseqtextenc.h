/* gstseqtextenc.h: a stream to text: seqcsvenc, seqinfluxenc, seqndjsonenc.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/* Registers an element for each format of text. */
gboolean gst_seq_text_enc_register (GstPlugin *plugin);

G_END_DECLS
