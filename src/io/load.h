/* load.h: from a model file of any known format to a model, and back.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The format is found by content, never by suffix. A reader only parses; what
 * it finds goes through SeqBuilder, which checks every shape. Errors name
 * file, format, field, what was found and what is needed. Control threads.
 */
#pragma once

#include "src/model.h"

G_BEGIN_DECLS

/* What a file cannot say, from the user: a{sv}, NULL for none. Keys:
 *   nonlinearity       s  tanh or relu, of an rnn
 *   residual           u  see SeqChain.skip
 *   output_activation  s  an activation after the last layer
 *   head_activation    s  between the layers of a head of several
 *   head               s  module path of the head, of several; of an ONNX
 *                         graph, the name of the output to run
 *   rate               d  Hz
 * An unknown key is an error. */

/* Loads a file. Errors: G_FILE_ERROR, SEQ_ERROR (SEQ_ERROR_HINT when a key
 * above is needed; the message names it). */
SeqModel *seq_model_load (const char *path, GVariant *hints, GError **error);

/* The same from memory. name: for messages. folder: where data outside the
 * file may lie (ONNX), or NULL for nowhere. */
SeqModel *seq_model_load_bytes (GBytes *bytes, const char *name,
    const char *folder, GVariant *hints, GError **error);

/* Formats that can be read; NULL ends. For messages and the fuzzer. */
const char *const *seq_model_formats (void);

/* Runs the batch that an AIDA-X file embeds (input_batch, output_batch) from
 * the model's start, knobs at 0. worst: the largest error of n samples. Errors:
 * SEQ_ERROR_UNSUPPORTED where there is none. */
gboolean seq_model_self_test (const char *path, const SeqModel *model,
    double *worst, gsize *n, GError **error);

/* A model as the bytes of a file; format: "safetensors" (everything, and
 * PyTorch loads the weights), "rtneural" (layers that RTNeural knows) or "onnx"
 * (nets).
 * Errors: SEQ_ERROR_UNSUPPORTED. */
GBytes *seq_model_write (SeqModel *model, const char *format, GError **error);

/* Writes them by way of a temporary file in the same folder, synced and
 * renamed: no half-written file is ever seen. Errors: G_FILE_ERROR too. */
gboolean seq_model_save (
    SeqModel *model, const char *path, const char *format, GError **error);

/* Writes bytes in that way. */
gboolean seq_save_bytes (const char *path, GBytes *bytes, GError **error);

G_END_DECLS
