/* json.h: JSON, as readers of model files need it.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "src/io/reader.h"

G_BEGIN_DECLS

/* Whether these bytes begin as a JSON object does. */
gboolean seq_json_begins (const guint8 *data, gsize size);

/* Parses an object; the locale does not matter. Refuses deep nesting, duplicate
 * keys and numbers that overflow. NaN and Infinity, which Python writes, become
 * "": an error where a number is needed, and harmless elsewhere. Returns NULL
 * with SEQ_ERROR_DAMAGED. */
json_t *seq_json_parse (const guint8 *data, gsize size, GError **error);

/* Reads nested lists of numbers as one array called `name`. Refuses ragged
 * lists and anything but finite numbers. `place` is for messages. */
SeqArray *seq_json_array (
    json_t *value, const char *name, const char *place, GError **error);

/* Reads a number, or text that is a number, from an object; a missing key or
 * null gives the fallback. Errors: SEQ_ERROR_DAMAGED. */
gboolean seq_json_uint (json_t *object, const char *key, guint max,
    guint fallback, guint *value, GError **error);
gboolean seq_json_double (json_t *object, const char *key, double fallback,
    double *value, GError **error);

G_END_DECLS
