/* rtneural.h: what RTNeural's JSON and AIDA-X, a dialect of it, share.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "src/io/json.h"

G_BEGIN_DECLS

/* Whether the object has layers; whether it has the keys of AIDA-X. */
gboolean seq_rtneural_is_layers (json_t *root);
gboolean seq_rtneural_is_aidax (json_t *root);

/* A builder with all layers, and with skip, gains, knobs and horizon if the
 * file has them; the caller adds the rest. */
SeqBuilder *seq_rtneural_build (const SeqFile *file, GError **error);

G_END_DECLS
