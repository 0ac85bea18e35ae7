/* time.h: timestamps to nanoseconds and back, as they were written.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Any thread; independent of locale and time zone.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef enum {
  SEQ_TIME_UNIT_AUTO, /* by size: below 1e10 s, 1e13 ms, 1e16 us, else ns */
  SEQ_TIME_UNIT_S,
  SEQ_TIME_UNIT_MS,
  SEQ_TIME_UNIT_US,
  SEQ_TIME_UNIT_NS
} SeqTimeUnit;

/* A moment between 1678 and 2262, and how it was written. */
typedef struct {
  gint64 ns;     /* since 1970-01-01 00:00 UTC */
  guint32 style; /* opaque; 0: there is no time */
} SeqTime;

/* Reads a whole text as a time: a number since 1970 (digits with or without a
 * fraction; *unit says in what, and is found if it is AUTO), or ISO 8601:
 * a date, or date and time with `T` or a space between, with or without
 * seconds, fraction and zone (Z, +hh:mm, +hhmm, +hh); 2015/02/26 and
 * 20150226T214253 too. Without a zone it is UTC. unit: NULL refuses numbers.
 * Digits past nanoseconds are dropped. Returns: FALSE if it is neither. */
gboolean seq_time_parse (
    const char *text, gsize size, SeqTimeUnit *unit, SeqTime *time);

#define SEQ_TIME_SIZE 48 /* bytes that seq_time_print() may write */

/* Writes the time in its style, without a terminator: what was read comes out
 * again, except leading zeros, a plus sign and digits past nanoseconds of a
 * number, and the 60th second of a minute. Returns: bytes written. */
gsize seq_time_print (SeqTime time, char *text);

/* Whether seq_time_print() can do with a style that comes from elsewhere. */
gboolean seq_time_is_style (guint32 style);

/* Whether the style is that of a number, so that JSON can hold it bare. */
gboolean seq_time_is_number (SeqTime time);

/* Line protocol has whole numbers in a unit that both sides know; ns if nothing
 * else was said. A number that was read from it keeps its unit, anything else
 * becomes ns. */
SeqTime seq_time_from_protocol (SeqTime time);
SeqTime seq_time_to_protocol (SeqTime time);

/* A moment that was not read from text: in seconds since 1970 with as many
 * decimals as it needs. */
SeqTime seq_time_from_ns (gint64 ns);

G_END_DECLS
