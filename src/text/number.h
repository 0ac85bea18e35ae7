/* number.h: float64 to decimal text and back, exactly.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Any thread; independent of the locale.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Decimal marks that a number may have. */
typedef enum { SEQ_MARK_POINT = 1 << 0, SEQ_MARK_COMMA = 1 << 1 } SeqTextMarks;

/* Reads [+-]digits[mark digits][e[+-]digits] from the start of text, or inf,
 * infinity or nan in any case. value: the nearest float64, ties to even.
 * Returns: bytes read; 0 if text does not begin with a number. */
gsize seq_number_parse (
    const char *text, gsize size, SeqTextMarks marks, double *value);

#define SEQ_NUMBER_SIZE 32 /* bytes that seq_number_print() may write */

/* Writes the shortest decimal that reads back as value, without a terminator:
 * 35, 0.1, 1e-05, inf, nan. mark: '.' or ','. Returns: bytes written. */
gsize seq_number_print (double value, char mark, char *text);

/* Writes a whole number, without a terminator. Returns: bytes written. */
gsize seq_number_print_whole (guint64 value, char *text);

G_END_DECLS
