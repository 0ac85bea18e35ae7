/* format.h: what a format of model files is.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A format is a file src/io/<format>.c (or a folder) that defines
 * seq_format_<format>, and a line in meson.build. Whatever names formats is
 * made from these rows: the loader, the command, errors, fuzzer and tests.
 */
#pragma once

#include "src/model.h"

G_BEGIN_DECLS

typedef struct _SeqFile SeqFile; /* see reader.h */

typedef struct {
  const char *name;   /* for people, errors and SeqModel.format: "GuitarML".
                       * To choose a format by name case doesn't matter */
  const char *mark;   /* what its files are known by, for the error that lists
                       * the formats: "key model_data". NULL: by what its
                       * container is, and the name says that */
  const char *suffix; /* of files that are written; NULL: without write */
  const char *const *hints; /* that it takes beside the general ones, NULL-
                             * terminated; NULL: none, the file says it all */

  /* Whether a file is of this format: just one may say so. Looks at little,
   * and checks nothing that read() checks. */
  gboolean (*sniff) (const SeqFile *file);
  /* The model in it. Errors begin with the place in the file; the name of the
   * file and of the format are put before them. */
  SeqModel *(*read) (const SeqFile *file, GError **error);
  /* A model as a file. SEQ_ERROR_UNSUPPORTED for what the format cannot hold.
   * NULL: the format is only read. */
  GBytes *(*write) (const SeqModel *model, GError **error);
  /* Runs the recording that a file embeds, from the model's start: see
   * seq_model_self_test(). NULL: its files embed none. */
  gboolean (*self_test) (const SeqFile *file, const SeqModel *model,
      double *worst, gsize *n, GError **error);
} SeqFileFormat;

/* All formats, NULL-terminated, in the order of meson.build, which means
 * nothing. Any thread. */
const SeqFileFormat *const *seq_file_formats (void);

/* The format of a file's content. NULL: SEQ_ERROR_FORMAT, which says what it is
 * instead where that is known, or SEQ_ERROR_DAMAGED. `name` is for messages. */
const SeqFileFormat *seq_file_format_of (
    GBytes *bytes, const char *name, GError **error);

G_END_DECLS
