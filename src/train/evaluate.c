/* evaluate.c: how far a model's output is from the target.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/train/evaluate.h"

#include <math.h>

#define BLOCK 256 /* frames at a time, at most */

/* One shard's pieces, and what was found. */
typedef struct {
  SeqShard shard;
  double error, power;
} Part;

/* What the job of each part reads. */
typedef struct {
  const SeqPieceSet *set;
  const real *weights;
  Part *parts;
} Job;

/* Adds the errors of frames [at, at + n) of the pieces, just run. */
static void
add_errors (
    const SeqPieceSet *set, Part *part, const SeqWork *work, gsize at, guint n)
{
  const SeqPairs *pairs = set->pairs;

  for (guint f = 0; f < n; f++)
    for (guint lane = 0; at + f >= set->warmup && lane < part->shard.n_used;
         lane++) {
      const real *y =
          work->out + ((gsize) f * work->n_lanes + lane) * work->out_stride;
      const real *v =
          seq_pairs_target (pairs, &part->shard.pieces[lane], at + f);

      for (guint k = 0; k < pairs->n_out; k++) {
        part->error += (double) (y[k] - v[k]) * (y[k] - v[k]);
        part->power += (double) v[k] * v[k];
      }
    }
}

static void
evaluate_part (gpointer data, guint i)
{
  const Job *job = data;
  const SeqPieceSet *set = job->set;
  const SeqChain *chain = set->chain;
  Part *part = &job->parts[i];
  guint n_lanes = part->shard.n_used > 1 ? SEQ_SHARD : 1;
  guint block = (guint) MIN (BLOCK, set->length);
  g_autoptr (SeqWork) work = seq_work_new (chain, block, n_lanes, FALSE);
  real *state = seq_alloc (n_lanes * chain->n_state);

  for (guint lane = 0; lane < n_lanes; lane++)
    seq_chain_start (chain, job->weights, state + lane * chain->n_state);
  for (gsize t = 0; t < set->length; t += block) {
    SeqPass pass = { .n_frames = (guint) MIN (block, set->length - t),
      .weights = job->weights,
      .state = state };

    seq_shard_fill (&part->shard, set->pairs, t, pass.n_frames, work);
    seq_chain_run (chain, work, &pass);
    add_errors (set, part, work, t, pass.n_frames);
  }
  seq_free (state);
}

double
seq_evaluate_pieces (
    const SeqPieceSet *set, const real *weights, SeqWorkers *workers)
{
  guint n = seq_n_shards (set->pieces->len);
  g_autofree Part *parts = g_new0 (Part, n);
  Job job = { set, weights, parts };
  double error = 0, power = 0;

  for (guint i = 0; i < n; i++)
    seq_shard_deal (&parts[i].shard, (const SeqPiece *) set->pieces->data,
        set->pieces->len, i);
  seq_workers_run (workers, n, evaluate_part, &job);
  for (guint i = 0; i < n; i++) {
    error += parts[i].error;
    power += parts[i].power;
  }
  return power > 0 ? error / power : NAN;
}

double
seq_evaluate_persistence (const SeqModel *model, const SeqTrainerData *data,
    gsize start, gsize n_frames)
{
  double error = 0, power = 0;

  if (data->horizon == 0)
    return NAN;
  for (gsize i = start * data->n_in; i < (start + n_frames) * data->n_in; i++) {
    guint k = (guint) (i % data->n_in % model->n_out);

    error += pow ((double) data->target[i] - data->in[i], 2);
    power += pow (data->target[i] - model->out_shift[k], 2);
  }
  return error / power;
}
