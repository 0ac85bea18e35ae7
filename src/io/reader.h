/* reader.h: what readers of formats share.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "src/builder.h"
#include "src/io/format.h"
#include "src/io/safetensors.h"

#include <jansson.h>

G_BEGIN_DECLS

/* A file that is being read. The containers that several formats share are
 * parsed once, before sniff(). */
struct _SeqFile {
  GBytes *bytes;
  const guint8 *data; /* of bytes */
  gsize size;
  json_t *json;                /* of a JSON file; otherwise NULL */
  SeqSafetensors *tensors;     /* of a safetensors file; otherwise NULL */
  const char *folder;          /* for external data; NULL: none */
  GVariant *hints;             /* a{sv}, checked; set before read() */
  const SeqFileFormat *format; /* likewise */
};

/* --- arrays --------------------------------------------------------------- */

#define SEQ_ARRAY_RANK 8 /* at most */

/* A named array of numbers, row-major, as a file holds it. */
typedef struct {
  char *name;
  guint rank;
  guint64 shape[SEQ_ARRAY_RANK];
  double *values;
  gsize n_values;
} SeqArray;

SeqArray *seq_array_new (const char *name);
void seq_array_free (SeqArray *array);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SeqArray, seq_array_free)

/* --- building ------------------------------------------------------------- */

/* How many reals of weights a file of `size` bytes can hold at most. */
gsize seq_reader_limit (gsize size);
/* A builder for n_in inputs with that limit. */
SeqBuilder *seq_reader_builder (guint n_in, gsize size);

/* Applies the general hints and finishes the model. */
SeqModel *seq_reader_finish (
    SeqBuilder *builder, const SeqFile *file, GError **error);

G_END_DECLS
