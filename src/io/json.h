/* json.h: JSON, as readers of model files need it.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "src/io/reader.h"

G_BEGIN_DECLS

/* Whether these bytes begin as a JSON object does. */
gboolean seq_json_begins (const guint8 *data, gsize size);

/* Parses an object, whatever the locale; refuses what is nested too deeply,
 * keys that stand twice and numbers that overflow. NaN and Infinity, which
 * Python writes, become "", so that they are no numbers where a number is
 * needed and harm nobody elsewhere. NULL: SEQ_ERROR_DAMAGED. */
json_t *seq_json_parse (const guint8 *data, gsize size, GError **error);

/* Nested lists of numbers as one array called `name`; refuses what is ragged,
 * not a number or not finite. `place` is for messages. */
SeqArray *seq_json_array (
    json_t *value, const char *name, const char *place, GError **error);

/* A number, or a text that is one, of an object, or the fallback if the key is
 * missing or null. Errors: SEQ_ERROR_DAMAGED. */
gboolean seq_json_uint (json_t *object, const char *key, guint max,
    guint fallback, guint *value, GError **error);
gboolean seq_json_double (json_t *object, const char *key, double fallback,
    double *value, GError **error);

G_END_DECLS
