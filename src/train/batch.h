/* batch.h: a mini-batch: pieces run side by side, and the gradient of their
 * loss, stretch after stretch.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Lanes are dealt out to shards of SEQ_SHARD lanes, and the gradients of the
 * shards are added in the shards' order: so neither the number of threads nor
 * their timing shows in the bits.
 */
#pragma once

#include "src/train/loss.h"
#include "src/train/pieces.h"
#include "src/train/workers.h"

G_BEGIN_DECLS

typedef struct _SeqBatch SeqBatch;

/* For mini-batches of n_pieces pieces and stretches of up to `longest` frames.
 * chain, pairs and workers are borrowed. */
SeqBatch *seq_batch_new (const SeqChain *chain, const SeqPairs *pairs,
    SeqWorkers *workers, guint n_pieces, guint longest);
void seq_batch_free (SeqBatch *batch);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SeqBatch, seq_batch_free)

/* Takes the pieces, [n_pieces], and brings them from rest to frame `warmup`. */
void seq_batch_begin (
    SeqBatch *batch, const SeqPiece *pieces, const real *weights, guint warmup);

/* Over many stretches. */
typedef struct {
  double error, power; /* of the squares of errors and of targets */
  double loss;
} SeqSums;

/* Runs frames [from, from + loss->n_frames) of the pieces, which follow those
 * that were run last. Sets gradient, [n_weights], to that of their loss, and
 * adds to sums. No target has been added to loss yet. */
void seq_batch_differentiate (SeqBatch *batch, guint from, SeqStretchLoss *loss,
    const real *weights, real *gradient, SeqSums *sums);

/* Puts the states of all pieces back to rest. */
void seq_batch_rest (SeqBatch *batch, const real *weights);

G_END_DECLS
