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
  char type;                /* GVariant type of its value: s, u or d */
  double min, max;          /* range of a number, inclusive */
  const char *const *words; /* allowed words, NULL-terminated; NULL: any */
  gboolean general; /* every format takes it; otherwise SeqFileFormat.hints says
                     * which do */
  const char *sentence; /* meaning, for users */
} SeqHint;

/* All hints; the last has no name. */
extern const SeqHint seq_hints[];

/* Finds a hint by name. Returns NULL with SEQ_ERROR_CONFIG, which lists all. */
const SeqHint *seq_hint_find (const char *name, GError **error);

/* Parses the value of a hint ("1", "relu"). Returns NULL with SEQ_ERROR_CONFIG.
 */
GVariant *seq_hint_parse (
    const SeqHint *hint, const char *text, GError **error);

/* Checks hints (a{sv}, sunk if floating; NULL: none) and converts each number
 * to the type of its hint. Returns NULL with SEQ_ERROR_CONFIG. */
GVariant *seq_hints_check (GVariant *hints, GError **error);

/* All hints as text: "nonlinearity (of an RNN in a state_dict: tanh or relu),
 * ...". Free with g_free(). */
char *seq_hints_help (void);

G_END_DECLS
