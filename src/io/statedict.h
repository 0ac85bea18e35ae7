/* statedict.h: PyTorch's state_dict, in whatever container it comes.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "src/io/reader.h"

G_BEGIN_DECLS

/* Hints that a state_dict leaves open, for SeqFileFormat.hints. */
extern const char *const seq_state_dict_hints[];

/* A builder with all layers of a state_dict, [SeqArray]; the caller adds what
 * else the file says and calls seq_reader_finish(). */
SeqBuilder *seq_state_dict_build (
    GPtrArray *arrays, const SeqFile *file, GError **error);

/* An array of such arrays. */
GPtrArray *seq_arrays_new (void);

G_END_DECLS
