/* error.h: what can be wrong with a model, a file or an option.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define SEQ_ERROR (seq_error_quark ())
typedef enum {
  SEQ_ERROR_CONFIG,      /* an option or a combination of them */
  SEQ_ERROR_FORMAT,      /* not a model file, or not one we know */
  SEQ_ERROR_DAMAGED,     /* truncated, inconsistent, hostile */
  SEQ_ERROR_UNSUPPORTED, /* understood, and outside what can be run */
  SEQ_ERROR_SHAPE,       /* model and stream do not fit */
  SEQ_ERROR_HINT,        /* the file cannot say it; an option must */
  SEQ_ERROR_MEMORY,      /* more than there may be */
} SeqError;
GQuark seq_error_quark (void);

G_END_DECLS
