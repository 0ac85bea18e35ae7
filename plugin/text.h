/* text.h: what decoders and encoders of text share.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "src/text/text.h"

#include <gst/gst.h>

G_BEGIN_DECLS

/* The name of an element's type: GstSeqCsvDec, of csv and Dec. */
char *gst_seq_text_type_name (const SeqTextFormat *format, const char *end);

GType gst_seq_text_header_get_type (void);

/* A property that is one sign, or the word tab: 0 for NULL, '"' (which no
 * reader or writer takes) for anything else. */
char gst_seq_text_sign (const char *text);

/* Sets a string member; nothing and "" are NULL. */
void gst_seq_text_set_string (char **string, const GValue *value);

G_END_DECLS
