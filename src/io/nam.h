/* nam.h: nets of convolutions, between readers of files that hold them.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "src/io/json.h"

G_BEGIN_DECLS

#define SEQ_NET_DEPTH 4 /* of a condition of a condition */

/* Values for the tensors of a layer, in their order. */
typedef struct {
  GArray *values; /* double; owned */
  double scale;   /* of the head of array `scaled`, folded into it */
  guint scaled;
} SeqNetPart;

/* A layer of the kind wavenet, as a file has it. */
typedef struct {
  guint n_in, n_out;
  GVariant *config; /* owned */
  GVariant *whole;  /* of the layer that the values are of, where config's is a
                     * part of it; owned; NULL: config's own */
  guint n_parts;    /* the net's own, its condition's, ... */
  SeqNetPart parts[SEQ_NET_DEPTH + 1];
} SeqNet;

void seq_net_clear (SeqNet *net);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (SeqNet, seq_net_clear)

/* Adds the layer, and binds its values. Errors: SEQ_ERROR_DAMAGED where they
 * are too many or too few; those of SeqBuilder. */
gboolean seq_net_add (const SeqNet *net, SeqBuilder *builder, GError **error);

/* Whether a .nam file can be run in several sizes. */
gboolean seq_nam_has_sizes (json_t *model);
/* The model in a .nam file that is to be run: of a SlimmableContainer that of
 * `size`, 0 to 1, or the last where size is negative; else the file's own.
 * Borrowed. NULL: SEQ_ERROR_DAMAGED. */
json_t *seq_nam_choose (json_t *model, double size, GError **error);

/* Reads a WaveNet, ConvNet or Linear. size: of a WaveNet that can be run
 * narrower; negative: whole. */
gboolean seq_nam_read_net (
    json_t *model, double size, SeqNet *net, GError **error);

G_END_DECLS
