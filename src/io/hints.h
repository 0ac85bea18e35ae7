/* hints.h: what a model file cannot say, and the user can.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Hints are declared here once: the loader, the element's model-options, the
 * command's --option and every message about them are made from this table.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct {
  const char *name;         /* "residual" */
  char type;                /* of its value, as GVariant has it: s, u or d */
  double min, max;          /* of a number, both included */
  const char *const *words; /* that it may be, NULL-terminated; NULL: any */
  gboolean general;     /* every format takes it; else SeqFileFormat.hints says
                         * which do */
  const char *sentence; /* what it means, for people */
} SeqHint;

/* All hints; the last has no name. */
extern const SeqHint seq_hints[];

/* The hint of that name; NULL with SEQ_ERROR_CONFIG, which lists them all. */
const SeqHint *seq_hint_find (const char *name, GError **error);

/* The value of a hint from text ("1", "relu"). NULL: SEQ_ERROR_CONFIG. */
GVariant *seq_hint_parse (
    const SeqHint *hint, const char *text, GError **error);

/* Hints (a{sv}, sunk if floating; NULL: none) with each number of its hint's
 * type, whatever type of number it came in. NULL: SEQ_ERROR_CONFIG. */
GVariant *seq_hints_check (GVariant *hints, GError **error);

/* "nonlinearity (of an RNN in a state_dict: tanh or relu), ...": all of them
 * for a line of help, or for a list with another separator than ", ". Free with
 * g_free(). */
char *seq_hints_help (const char *separator);

G_END_DECLS
