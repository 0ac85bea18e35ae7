/* reader.h: what a reader of one format is; between load.c and the readers.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "src/builder.h"

#include <jansson.h>

G_BEGIN_DECLS

/* A named array of numbers, row-major, as a file holds it. */
typedef struct {
  char *name;
  guint rank;
  guint64 shape[8];
  double *values;
  gsize n_values;
} SeqArray;

SeqArray *seq_array_new (const char *name);
void seq_array_free (SeqArray *array);

/* Readers of files; each is given the whole file, hints (a{sv}, never NULL)
 * and the folder for outside data (or NULL). */
SeqModel *seq_read_safetensors (
    GBytes *bytes, const char *folder, GVariant *hints, GError **error);
SeqModel *seq_read_onnx (
    GBytes *bytes, const char *folder, GVariant *hints, GError **error);
SeqModel *seq_read_json (
    GBytes *bytes, const char *folder, GVariant *hints, GError **error);

/* Readers of one JSON object, tried by seq_read_json() by their keys. */
SeqModel *seq_read_guitarml (json_t *root, GVariant *hints, GError **error);
SeqModel *seq_read_nam (json_t *root, GVariant *hints, GError **error);
SeqModel *seq_read_rtneural (json_t *root, GVariant *hints, GError **error);

/* Parses nested lists of numbers; refuses what is ragged, no number or not
 * finite. `place` is for messages. Adds one SeqArray called `name`. */
SeqArray *seq_json_array (
    json_t *value, const char *name, const char *place, GError **error);
/* A whole number, number or text of an object, or the fallback if the key is
 * missing; an error if it is something else. */
gboolean seq_json_uint (json_t *object, const char *key, guint max,
    guint fallback, guint *value, GError **error);
gboolean seq_json_double (json_t *object, const char *key, double fallback,
    double *value, GError **error);

/* A PyTorch state_dict, [SeqArray], as a model; format: its name for the
 * model. n_signal: 0 for all inputs. */
SeqModel *seq_read_state_dict (GPtrArray *arrays, guint n_signal,
    const char *format, GVariant *hints, GError **error);
/* A SeqBuilder for n_in inputs that knows hints rate and residual, and never
 * holds more values than size bytes of file can mean. */
SeqBuilder *seq_reader_builder (guint n_in, gsize size);
/* Refuses hints of the given keys (NULL ends), which the file itself answers.
 */
gboolean seq_reader_refuse_hints (
    GVariant *hints, const char *const *keys, GError **error);
/* Ends a model with what hints say: output_activation, residual, rate. */
SeqModel *seq_reader_finish (
    SeqBuilder *builder, const char *format, GVariant *hints, GError **error);

/* Writers: a whole file. */
GBytes *seq_write_safetensors (const SeqModel *model);
GBytes *seq_write_rtneural (const SeqModel *model, GError **error);
GBytes *seq_write_onnx (const SeqModel *model, GError **error);

G_END_DECLS
