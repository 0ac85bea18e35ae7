/* memory.h: how much memory there may be, and sums of sizes.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Whoever allocates as much as a file, a state, caps or a property ask for sums
 * it up first and has the sum checked, so that too much is an error.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* A sum or product that would wrap stays at G_MAXSIZE. */
static inline gsize
seq_size_add (gsize a, gsize b)
{
  return a > G_MAXSIZE - b ? G_MAXSIZE : a + b;
}

static inline gsize
seq_size_multiply (gsize a, gsize b)
{
  return b > 0 && a > G_MAXSIZE / b ? G_MAXSIZE : a * b;
}

/* Bytes that the process may have: of the machine, its control groups (1 and
 * 2) and RLIMIT_AS the least, as they were at the first call. Any thread. */
gsize seq_memory_total (void);

/* Whether so many bytes are within the limit, and can be had at present. limit
 * 0: half of seq_memory_total(). what: for the error, "the stream". Errors:
 * SEQ_ERROR_MEMORY. */
gboolean seq_memory_check (
    gsize bytes, guint64 limit, const char *what, GError **error);

/* "12.3 MB". Free with g_free(). */
char *seq_memory_format (guint64 bytes);

G_END_DECLS
