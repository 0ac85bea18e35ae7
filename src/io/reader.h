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
 * taken apart once, before sniff(). */
struct _SeqFile {
  GBytes *bytes;
  const guint8 *data; /* of bytes */
  gsize size;
  json_t *json;            /* the object of a JSON file; else NULL */
  SeqSafetensors *tensors; /* the content of a safetensors file; else NULL */
  const char *folder; /* where data outside the file may lie; NULL: nowhere */
  GVariant *hints;    /* a{sv}, checked; never NULL when read() is called */
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

/* Reals of weights that size bytes of file can mean. */
gsize seq_reader_limit (gsize size);
/* A SeqBuilder for n_in inputs that never holds more. */
SeqBuilder *seq_reader_builder (guint n_in, gsize size);

/* Ends a model with what the user says of it: the general hints. */
SeqModel *seq_reader_finish (
    SeqBuilder *builder, const SeqFile *file, GError **error);

G_END_DECLS
