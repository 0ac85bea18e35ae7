/* strangers.h: files that people try, and that are no models.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "src/io/reader.h"

G_BEGIN_DECLS

/* Whether a file is known not to be a model. If so, the error,
 * SEQ_ERROR_FORMAT, says what it is and what to do. `name` is for messages. */
gboolean seq_stranger_refuse (
    const SeqFile *file, const char *name, GError **error);

G_END_DECLS
