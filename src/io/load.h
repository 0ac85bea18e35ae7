/* load.h: from a model file of any known format to a model, and back.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The format is found by content, never by suffix. A reader only parses; what
 * it finds goes through SeqBuilder, which checks every shape. Errors name
 * file, format, field, what was found and what was expected. Control threads.
 */
#pragma once

#include "src/io/file.h"
#include "src/io/hints.h"
#include "src/model.h"

G_BEGIN_DECLS

/* Loads a file. hints: see hints.h, a{sv}, sunk if floating; NULL: none.
 * Errors: G_FILE_ERROR, SEQ_ERROR (SEQ_ERROR_HINT when a hint is needed; the
 * message names it). */
SeqModel *seq_model_load (const char *path, GVariant *hints, GError **error);

/* The same from memory. name: for messages. folder: where external data may be
 * (ONNX); NULL: nowhere. */
SeqModel *seq_model_load_bytes (GBytes *bytes, const char *name,
    const char *folder, GVariant *hints, GError **error);

/* The linear forecaster of a net, which files of our own hold as a tensor of
 * that name: bytes, which are a model file themselves. NULL with an error: they
 * are not, or there is another within. */
#define SEQ_LINEAR_TENSOR "seqfilter.linear"
SeqModel *seq_model_load_linear (
    gconstpointer bytes, gsize size, GError **error);

/* Names of the formats that can be read, and of those that can be written,
 * NULL-terminated, static: for messages and help. Any thread. */
const char *const *seq_model_formats (void);
const char *const *seq_model_written_formats (void);
/* Whether a format of that name can be written; case does not matter. */
gboolean seq_model_is_written (const char *format);
/* The format that a path's suffix stands for when writing; NULL: none. */
const char *seq_model_format_by_suffix (const char *path);

/* Runs the test recording inside a file (AIDA-X: input_batch, output_batch)
 * from the model's start, with knobs at 0. worst: the largest error of n
 * samples. Errors: as seq_model_load(); SEQ_ERROR_UNSUPPORTED if the file has
 * no recording. */
gboolean seq_model_self_test (const char *path, const SeqModel *model,
    double *worst, gsize *n, GError **error);

/* Writes a model in a format. "safetensors" stores everything, and PyTorch can
 * load the weights. Errors: SEQ_ERROR_UNSUPPORTED if the format cannot store
 * the model. */
GBytes *seq_model_write (
    const SeqModel *model, const char *format, GError **error);

/* The same to a file, by seq_save_bytes(). Errors: G_FILE_ERROR too. */
gboolean seq_model_save (const SeqModel *model, const char *path,
    const char *format, GError **error);

G_END_DECLS
