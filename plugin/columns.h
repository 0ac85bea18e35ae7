/* columns.h: what the channels of a stream are called: a sticky event.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A custom sticky event named `seq-columns`, that any element passes on. It has
 *
 *   names     array of string    of columns: "temperature"
 *   units     array of string    "°C", or ""
 *   types     array of string    float, integer, unsigned, boolean
 *   tags      array of array of string   what tells series apart: key, value,
 *                                key, value, ...
 *   suffixes  array of string    of groups of channels: "", ".forecast"
 *   time      string             the name of the timestamp; missing: none
 *   time-base int64              ns from 1970 to the PTS of 0; missing: not
 *                                known
 *   time-style uint              opaque: how timestamps were written
 *   csv       structure          how CSV was written: delimiter, decimal,
 *                                unit-open, crlf, header
 *
 * The stream has as many channels as there are columns and groups, group by
 * group. Threads: any.
 */
#pragma once

#include "src/text/text.h"

#include <gst/gst.h>

G_BEGIN_DECLS

typedef struct {
  SeqTextTable *table;
  char **suffixes; /* NULL-terminated */
  gboolean has_base;
  SeqTime base; /* of PTS 0 */
} GstSeqColumns;

/* Whether it is the event. */
gboolean gst_seq_columns_is_event (GstEvent *event);
GstEvent *gst_seq_columns_to_event (const GstSeqColumns *columns);
/* FALSE, and nothing in columns, if the event makes no sense. */
gboolean gst_seq_columns_from_event (GstEvent *event, GstSeqColumns *columns);
void gst_seq_columns_clear (GstSeqColumns *columns);

/* Takes a reference; one group of channels, without a suffix. */
void gst_seq_columns_set_table (
    GstSeqColumns *columns, const SeqTextTable *table);

/* The event after an element that gives groups of channels for each group that
 * comes, by their names (seq_text_suffix()); the event is not taken. */
GstEvent *gst_seq_columns_add_groups (
    GstEvent *event, const char *const *groups);

/* The moment of a buffer's first frame, as a GstReferenceTimestampMeta with the
 * caps timestamp/x-unix; *caps is kept from call to call, and freed by the
 * caller. Moments before 1970 have no such meta. */
void gst_seq_columns_add_time (
    GstBuffer *buffer, SeqTime time, guint32 *style, GstCaps **caps);
/* The same back; FALSE if the buffer has none. */
gboolean gst_seq_columns_get_time (GstBuffer *buffer, SeqTime *time);

G_END_DECLS
