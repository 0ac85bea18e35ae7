/* safetensors.h: the container: named tensors and string metadata.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Format: a length of 8 bytes, little-endian; a JSON header; the data. What
 * the tensors mean is not known here.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef enum {
  SEQ_DTYPE_F64,
  SEQ_DTYPE_F32,
  SEQ_DTYPE_F16,
  SEQ_DTYPE_BF16,
  SEQ_DTYPE_I64,
  SEQ_DTYPE_U64,
  SEQ_DTYPE_I32,
  SEQ_DTYPE_U32,
  SEQ_DTYPE_U8,
  SEQ_DTYPE_OTHER, /* legal in the container, not readable as numbers */
} SeqDtype;

#define SEQ_MAX_RANK 8

typedef struct {
  const char *name;
  SeqDtype dtype;
  guint rank;
  guint64 shape[SEQ_MAX_RANK];
  const void *data; /* little endian, any alignment */
  gsize size;       /* bytes */
} SeqTensorData;

typedef struct {
  GArray *tensors;      /* SeqTensorData, in the order of the header */
  GHashTable *metadata; /* char * -> char * */
  GBytes *bytes;        /* what data points into */
  gpointer header;      /* what names point into */
} SeqSafetensors;

/* Whether these bytes begin as such a file, whole or cut short. */
gboolean seq_safetensors_begins (const guint8 *data, gsize size);

/* Checks everything that the format promises: the tensors fill the data
 * exactly, sizes follow from shapes, names are unique. Allocates nothing that
 * the file merely claims. Errors: SEQ_ERROR_FORMAT if the bytes are something
 * else, SEQ_ERROR_DAMAGED. */
SeqSafetensors *seq_safetensors_parse (GBytes *bytes, GError **error);
void seq_safetensors_free (SeqSafetensors *file);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SeqSafetensors, seq_safetensors_free)

const SeqTensorData *seq_safetensors_find (
    const SeqSafetensors *file, const char *name);

/* All numbers of a tensor as doubles, [n]; NULL with SEQ_ERROR_UNSUPPORTED if
 * its dtype is not F64, F32, F16 or BF16. Free with g_free(). */
double *seq_tensor_data_to_doubles (
    const SeqTensorData *tensor, gsize *n, GError **error);

/* Writes the tensors, the widest types first, so that each is aligned to its
 * type. metadata: char * -> char *, may be NULL. */
GBytes *seq_safetensors_write (
    const SeqTensorData *tensors, guint n_tensors, GHashTable *metadata);

G_END_DECLS
