/* rtneural.h: what RTNeural's JSON and AIDA-X, a dialect of it, share.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "src/io/json.h"

G_BEGIN_DECLS

/* Whether the object has a list of layers; of AIDA-X, if it has its keys. */
gboolean seq_rtneural_is_layers (json_t *root);
gboolean seq_rtneural_is_aidax (json_t *root);

/* A builder with all layers, and skip, gains, knobs and horizon where the file
 * has them; the caller adds what else it says. */
SeqBuilder *seq_rtneural_build (const SeqFile *file, GError **error);

G_END_DECLS
