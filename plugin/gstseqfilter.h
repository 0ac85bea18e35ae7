/* gstseqfilter.h: the element seqfilter.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/audio/gstaudiofilter.h>

G_BEGIN_DECLS

#define GST_TYPE_SEQ_FILTER (gst_seq_filter_get_type ())
G_DECLARE_FINAL_TYPE (
    GstSeqFilter, gst_seq_filter, GST, SEQ_FILTER, GstAudioFilter)

GST_ELEMENT_REGISTER_DECLARE (seqfilter)

G_END_DECLS
