/* format.h: what a format of model files is.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A format is a file src/io/<format>.c (or a folder) that defines
 * seq_format_<format>, and a line in meson.build. The loader, the command's
 * help, errors, the fuzzer and the tests all get their lists of formats from
 * these rows.
 */
#pragma once

#include "src/model.h"

G_BEGIN_DECLS

typedef struct _SeqFile SeqFile; /* see reader.h */

typedef struct {
  const char *name;   /* for users, errors and SeqModel.format: "GuitarML". Case
                       * does not matter when a format is chosen by name */
  const char *mark;   /* of JSON formats: the key that tells them apart, for the
                       * error that lists them. NULL: not JSON */
  const char *suffix; /* of the files it writes; NULL if it writes none */
  const char *const *hints; /* that it takes besides the general ones,
                             * NULL-terminated; NULL: none */

  /* Whether a file is of this format. Exactly one format may say so for each
   * file. A quick look: read() does the checks. */
  gboolean (*sniff) (const SeqFile *file);
  /* Reads the model. Errors begin with the place in the file; the caller adds
   * the names of the file and of the format. */
  SeqModel *(*read) (const SeqFile *file, GError **error);
  /* Writes a model. SEQ_ERROR_UNSUPPORTED if the format cannot store it. NULL:
   * the format can only be read. */
  GBytes *(*write) (const SeqModel *model, GError **error);
  /* Runs the test recording inside a file: see seq_model_self_test(). NULL: the
   * format has none. */
  gboolean (*self_test) (const SeqFile *file, const SeqModel *model,
      double *worst, gsize *n, GError **error);
} SeqFileFormat;

/* All formats, NULL-terminated, in the order of meson.build, which has no
 * meaning. Any thread. */
const SeqFileFormat *const *seq_file_formats (void);

/* Finds the format of a file by its content. Returns NULL with
 * SEQ_ERROR_FORMAT, which says what the file is if that is known, or with
 * SEQ_ERROR_DAMAGED. `name` is for messages. */
const SeqFileFormat *seq_file_format_of (
    GBytes *bytes, const char *name, GError **error);

G_END_DECLS
