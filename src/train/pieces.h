/* pieces.h: pairs of input and target as a chain sees them, cut into pieces
 * that are run side by side as lanes.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "src/chain.h"
#include "src/model.h"
#include "src/train/data.h"

G_BEGIN_DECLS

/* All pairs, scaled as the model scales them. A group is as many channels as
 * the model takes: a recording of its own. */
typedef struct {
  gsize n_frames;
  guint n_groups;
  guint n_in, n_out; /* of the model */
  real *in;          /* [n_frames][n_groups][n_in] */
  real *target;      /* [n_frames][n_groups][n_out] */
} SeqPairs;

SeqPairs *seq_pairs_new (const SeqModel *model, const SeqTrainerData *data);
void seq_pairs_free (SeqPairs *pairs);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SeqPairs, seq_pairs_free)

/* Mean square of the targets in frames [start, end). */
double seq_pairs_power (const SeqPairs *pairs, gsize start, gsize end);

/* A stretch of one group; its length stands elsewhere. */
typedef struct {
  gsize start; /* frame of the pairs */
  guint group;
} SeqPiece;

/* The target [n_out] of a piece's frame; that of the next frame is
 * n_groups * n_out reals on. */
static inline const real *
seq_pairs_target (const SeqPairs *pairs, const SeqPiece *piece, gsize frame)
{
  return pairs->target
         + ((piece->start + frame) * pairs->n_groups + piece->group)
               * pairs->n_out;
}

/* Every group's pieces of `length` frames, one each `step` frames, within
 * frames [start, end). Returns SeqPiece. */
GArray *seq_pairs_cut (
    const SeqPairs *pairs, gsize start, gsize end, gsize length, gsize step);

/* Pieces are dealt out to shards of that many lanes, with any number of
 * threads; a thread takes whole shards. */
#define SEQ_SHARD 16

/* The pieces of a shard, a lane each; lanes that are left over repeat the
 * first piece and do not count. */
typedef struct {
  SeqPiece pieces[SEQ_SHARD];
  guint n_used;
} SeqShard;

static inline guint
seq_n_shards (guint n_pieces)
{
  return (n_pieces + SEQ_SHARD - 1) / SEQ_SHARD;
}

/* Sets shard i of n_pieces pieces. */
void seq_shard_deal (
    SeqShard *shard, const SeqPiece *pieces, guint n_pieces, guint i);

/* Writes frames [from, from + n) of the shard's pieces, as many as there are
 * lanes, into a work's input. */
void seq_shard_fill (const SeqShard *shard, const SeqPairs *pairs, gsize from,
    guint n, SeqWork *work);

G_END_DECLS
