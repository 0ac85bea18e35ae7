/* pieces.c: pairs of input and target, cut into pieces.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/train/pieces.h"

/* What a model's chain is given for x. */
static real *
scale_inputs (const SeqModel *model, const float *x, gsize n_frames, guint n)
{
  gsize n_values = n_frames * n;
  real *to = seq_alloc (n_values);

  for (gsize i = 0; i < n_values; i++) {
    guint k = (guint) (i % n % model->chain->n_in);

    to[i] = (real) ((x[i] - model->in_shift[k]) * model->in_scale[k]);
  }
  return to;
}

/* What a model's chain has to give for its output to be y. */
static real *
unscale_outputs (const SeqModel *model, const float *y, gsize n_frames, guint n)
{
  gsize n_values = n_frames * n;
  real *to = seq_alloc (n_values);

  for (gsize i = 0; i < n_values; i++) {
    guint k = (guint) (i % n % model->chain->n_out);

    to[i] = (real) ((y[i] - model->out_shift[k]) / model->out_scale[k]);
  }
  return to;
}

SeqPairs *
seq_pairs_new (const SeqModel *model, const SeqTrainerData *data)
{
  SeqPairs *pairs = g_new0 (SeqPairs, 1);

  pairs->n_frames = data->n_frames;
  pairs->n_in = model->chain->n_in;
  pairs->n_out = model->chain->n_out;
  pairs->n_groups = data->n_in / pairs->n_in;
  pairs->in = scale_inputs (model, data->in, data->n_frames, data->n_in);
  pairs->target =
      unscale_outputs (model, data->target, data->n_frames, data->n_out);
  return pairs;
}

void
seq_pairs_free (SeqPairs *pairs)
{
  if (!pairs)
    return;
  seq_free (pairs->in);
  seq_free (pairs->target);
  g_free (pairs);
}

double
seq_pairs_power (const SeqPairs *pairs, gsize start, gsize end)
{
  gsize width = (gsize) pairs->n_groups * pairs->n_out;
  double sum = 0;

  for (gsize i = start * width; i < end * width; i++)
    sum += (double) pairs->target[i] * pairs->target[i];
  return sum / (double) ((end - start) * width);
}

GArray *
seq_pairs_cut (
    const SeqPairs *pairs, gsize start, gsize end, gsize length, gsize step)
{
  GArray *pieces = g_array_new (FALSE, FALSE, sizeof (SeqPiece));

  for (gsize at = start; at + length <= end; at += step)
    for (guint group = 0; group < pairs->n_groups; group++) {
      SeqPiece piece = { at, group };

      g_array_append_val (pieces, piece);
    }
  return pieces;
}

void
seq_shard_deal (
    SeqShard *shard, const SeqPiece *pieces, guint n_pieces, guint i)
{
  pieces += (gsize) i * SEQ_SHARD;
  shard->n_used = MIN (SEQ_SHARD, n_pieces - i * SEQ_SHARD);
  for (guint lane = 0; lane < SEQ_SHARD; lane++)
    shard->pieces[lane] = pieces[lane < shard->n_used ? lane : 0];
}

void
seq_shard_fill (const SeqShard *shard, const SeqPairs *pairs, gsize from,
    guint n, SeqWork *work)
{
  gsize step = (gsize) pairs->n_groups * pairs->n_in;

  for (guint lane = 0; lane < work->n_lanes; lane++) {
    const SeqPiece *piece = &shard->pieces[lane];
    const real *x = pairs->in + (piece->start + from) * step
                    + (gsize) piece->group * pairs->n_in;
    real *to = work->in + lane * work->in_stride;

    for (guint t = 0; t < n; t++) {
      for (guint k = 0; k < pairs->n_in; k++)
        to[k] = x[k];
      x += step;
      to += work->n_lanes * work->in_stride;
    }
  }
}
