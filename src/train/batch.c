/* batch.c: a mini-batch: pieces run side by side, and the gradient of their
 * loss.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/train/batch.h"

#include <string.h>

#define QUIET 256 /* frames at a time in warm-up, at most */

/* A shard's pieces and the memory to learn from them. */
typedef struct {
  SeqShard shard;
  SeqWork *work, *quiet;
  real *state, *before, *d_state; /* [SEQ_SHARD][n_state] */
  real *d_out;                    /* [longest][SEQ_SHARD][out_stride] */
  real *gradient;                 /* [n_weights] */
  real *last; /* [SEQ_SHARD][n_out]: error of the frame before the stretch */
  double error, loss; /* of the stretch */
} Lanes;

struct _SeqBatch {
  const SeqChain *chain;
  const SeqPairs *pairs;
  SeqWorkers *workers;
  guint n_pieces, n_shards;
  Lanes *lanes; /* [n_shards] */
};

/* What the jobs of all shards read: frames [from, from + n) of the pieces. */
typedef struct {
  const SeqBatch *batch;
  const real *weights;
  guint from, n;
  const SeqStretchLoss *loss; /* NULL: warm-up */
} Stretch;

static void
init_lanes (Lanes *lanes, const SeqChain *chain, guint longest)
{
  lanes->work = seq_work_new (chain, longest, SEQ_SHARD, TRUE);
  lanes->quiet = seq_work_new (chain, MIN (QUIET, longest), SEQ_SHARD, FALSE);
  lanes->state = seq_alloc (SEQ_SHARD * chain->n_state);
  lanes->before = seq_alloc (SEQ_SHARD * chain->n_state);
  lanes->d_state = seq_alloc (SEQ_SHARD * chain->n_state);
  lanes->d_out =
      seq_alloc ((gsize) longest * SEQ_SHARD * lanes->work->out_stride);
  lanes->gradient = seq_alloc (chain->n_weights);
  lanes->last = seq_alloc (SEQ_SHARD * chain->n_out);
}

static void
clear_lanes (Lanes *lanes)
{
  seq_work_free (lanes->work);
  seq_work_free (lanes->quiet);
  seq_free (lanes->state);
  seq_free (lanes->before);
  seq_free (lanes->d_state);
  seq_free (lanes->d_out);
  seq_free (lanes->gradient);
  seq_free (lanes->last);
}

SeqBatch *
seq_batch_new (const SeqChain *chain, const SeqPairs *pairs,
    SeqWorkers *workers, guint n_pieces, guint longest)
{
  SeqBatch *batch = g_new0 (SeqBatch, 1);

  batch->chain = chain;
  batch->pairs = pairs;
  batch->workers = workers;
  batch->n_pieces = n_pieces;
  batch->n_shards = seq_n_shards (n_pieces);
  batch->lanes = g_new0 (Lanes, batch->n_shards);
  for (guint s = 0; s < batch->n_shards; s++)
    init_lanes (&batch->lanes[s], chain, longest);
  return batch;
}

void
seq_batch_free (SeqBatch *batch)
{
  if (!batch)
    return;
  for (guint s = 0; s < batch->n_shards; s++)
    clear_lanes (&batch->lanes[s]);
  g_free (batch->lanes);
  g_free (batch);
}

static void
rest (const SeqChain *chain, Lanes *lanes, const real *weights)
{
  for (guint lane = 0; lane < SEQ_SHARD; lane++)
    seq_chain_start (chain, weights, lanes->state + lane * chain->n_state);
}

void
seq_batch_rest (SeqBatch *batch, const real *weights)
{
  for (guint s = 0; s < batch->n_shards; s++)
    rest (batch->chain, &batch->lanes[s], weights);
}

static void
run (const Stretch *stretch, Lanes *lanes, SeqWork *work, guint from, guint n)
{
  const SeqBatch *batch = stretch->batch;
  SeqPass pass = {
    .n_frames = n, .weights = stretch->weights, .state = lanes->state
  };

  seq_shard_fill (&lanes->shard, batch->pairs, from, n, work);
  seq_chain_run (batch->chain, work, &pass);
}

/* Keeps the errors of frame `frame`, in row `row` of work: pre-emphasis looks
 * back at them. */
static void
keep_last (const SeqPairs *pairs, Lanes *lanes, const SeqWork *work, guint row,
    guint frame)
{
  for (guint lane = 0; lane < SEQ_SHARD; lane++) {
    const real *y =
        work->out + ((gsize) row * SEQ_SHARD + lane) * work->out_stride;
    const real *v = seq_pairs_target (pairs, &lanes->shard.pieces[lane], frame);

    for (guint k = 0; k < pairs->n_out; k++)
      lanes->last[lane * pairs->n_out + k] = y[k] - v[k];
  }
}

/* Job. */
static void
warm_up (gpointer data, guint i)
{
  const Stretch *stretch = data;
  const SeqBatch *batch = stretch->batch;
  Lanes *lanes = &batch->lanes[i];

  rest (batch->chain, lanes, stretch->weights);
  memset (lanes->last, 0, SEQ_SHARD * batch->pairs->n_out * sizeof (real));
  for (guint t = 0, n; t < stretch->n; t += n) {
    n = MIN (lanes->quiet->max_frames, stretch->n - t);

    run (stretch, lanes, lanes->quiet, t, n);
    if (t + n == stretch->n)
      keep_last (batch->pairs, lanes, lanes->quiet, n - 1, t + n - 1);
  }
}

void
seq_batch_begin (
    SeqBatch *batch, const SeqPiece *pieces, const real *weights, guint warmup)
{
  Stretch stretch = { .batch = batch, .weights = weights, .n = warmup };

  for (guint s = 0; s < batch->n_shards; s++)
    seq_shard_deal (&batch->lanes[s].shard, pieces, batch->n_pieces, s);
  seq_workers_run (batch->workers, batch->n_shards, warm_up, &stretch);
}

/* Sets d_out to the gradient of the stretch's loss. */
static void
differentiate_loss (const Stretch *stretch, Lanes *lanes)
{
  const SeqPairs *pairs = stretch->batch->pairs;
  const SeqWork *work = lanes->work;
  guint n_out = pairs->n_out;
  gsize step = SEQ_SHARD * work->out_stride;
  gsize v_step = (gsize) pairs->n_groups * n_out;

  memset (lanes->d_out, 0, stretch->n * step * sizeof (real));
  lanes->error = lanes->loss = 0;
  for (guint lane = 0; lane < lanes->shard.n_used; lane++) {
    const real *y = work->out + lane * work->out_stride;
    const real *v =
        seq_pairs_target (pairs, &lanes->shard.pieces[lane], stretch->from);
    real *d = lanes->d_out + lane * work->out_stride;

    for (guint t = 0; t < stretch->n; t++)
      for (guint k = 0; k < n_out; k++)
        d[t * step + k] = y[t * step + k] - v[t * v_step + k];
    for (guint k = 0; k < n_out; k++)
      lanes->error += seq_loss_differentiate (stretch->loss, d + k, step,
          lanes->last[lane * n_out + k], &lanes->loss);
  }
}

/* Job: leaves the shard's gradient. */
static void
differentiate_shard (gpointer data, guint i)
{
  const Stretch *stretch = data;
  const SeqBatch *batch = stretch->batch;
  const SeqChain *chain = batch->chain;
  Lanes *lanes = &batch->lanes[i];
  guint n = stretch->n;
  gsize state_size = SEQ_SHARD * chain->n_state * sizeof (real);
  SeqPass pass = {
    .n_frames = n, .weights = stretch->weights, .state = lanes->before
  };

  memcpy (lanes->before, lanes->state, state_size);
  run (stretch, lanes, lanes->work, stretch->from, n);
  differentiate_loss (stretch, lanes);
  keep_last (batch->pairs, lanes, lanes->work, n - 1, stretch->from + n - 1);
  memset (lanes->gradient, 0, chain->n_weights * sizeof (real));
  memset (lanes->d_state, 0, state_size);
  seq_chain_grad (chain, lanes->work, &pass, lanes->d_out, lanes->gradient,
      NULL, lanes->d_state);
}

/* Sets the weights of the loss from the targets of all pieces. */
static void
weigh_loss (const SeqBatch *batch, guint from, SeqStretchLoss *loss)
{
  const SeqPairs *pairs = batch->pairs;
  gsize step = (gsize) pairs->n_groups * pairs->n_out;

  for (guint s = 0; s < batch->n_shards; s++) {
    const SeqShard *shard = &batch->lanes[s].shard;

    for (guint lane = 0; lane < shard->n_used; lane++) {
      const real *v = seq_pairs_target (pairs, &shard->pieces[lane], from);

      for (guint k = 0; k < pairs->n_out; k++)
        seq_loss_add_target (loss, v + k, step, from > 0 ? (v - step)[k] : 0);
    }
  }
  seq_loss_set_weights (loss);
}

void
seq_batch_differentiate (SeqBatch *batch, guint from, SeqStretchLoss *loss,
    const real *weights, real *gradient, SeqSums *sums)
{
  gsize n_weights = batch->chain->n_weights;
  Stretch stretch = { batch, weights, from, loss->n_frames, loss };

  weigh_loss (batch, from, loss);
  seq_workers_run (
      batch->workers, batch->n_shards, differentiate_shard, &stretch);
  sums->power += loss->power;
  memset (gradient, 0, n_weights * sizeof (real));
  for (guint s = 0; s < batch->n_shards; s++) {
    const Lanes *lanes = &batch->lanes[s];

    sums->error += lanes->error;
    sums->loss += lanes->loss;
    for (gsize i = 0; i < n_weights; i++)
      gradient[i] += lanes->gradient[i];
  }
}
