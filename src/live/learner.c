/* learner.c: online gradient descent for one lane.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The loss is the mean square error over the window, divided by the power that
 * the net itself has to produce in it, so that the step does not depend on the
 * level of the signal; the gradient's norm is clipped to 1 (Pascanu et al.
 * 2013).
 *
 * The guard: an update whose gradient is not finite is not made; when the
 * running error is far above both its best and that of a silent net, the best
 * weights come back and the rate is halved.
 */
#include "src/live/learner.h"
#include "src/adam.h"
#include "src/memory.h"

#include <math.h>
#include <string.h>

#define CLIP 1.0
#define POWER_RATE 1e-4 /* a frame */
#define ERROR_RATE 0.1  /* a window */
#define EXPLODED 4.0    /* times the best, and times a silent net's */
#define QUIET 0.1       /* of the running power */
#define SILENCE 1e-8    /* of the running power: nothing to learn */

static gsize
count_bytes (gsize n_reals)
{
  return SEQ_PAD_BYTES (n_reals * sizeof (real));
}

/* Bytes of an array of so many reals, added to others. */
static gsize
add_array (gsize bytes, gsize n_reals)
{
  return seq_size_add (seq_size_add (bytes, SEQ_ALIGN),
      seq_size_multiply (n_reals, sizeof (real)));
}

static guint
rows_of (const SeqLearnerConfig *config)
{
  return MAX (config->window, config->horizon) + config->horizon;
}

gsize
seq_learner_carried (const SeqChain *chain, const SeqLearnerConfig *config)
{
  gsize n_rows = rows_of (config);

  return SEQ_PAD_BYTES (sizeof (SeqLearnerNumbers))
         + 4 * count_bytes (chain->n_weights) + 3 * count_bytes (chain->n_state)
         + count_bytes (n_rows * SEQ_PAD (chain->n_in))
         + count_bytes (n_rows * SEQ_PAD (chain->n_out))
         + SEQ_PAD_BYTES (n_rows);
}

gsize
seq_learner_work (const SeqChain *chain, const SeqLearnerConfig *config)
{
  guint n_rows = rows_of (config);
  gsize bytes = sizeof (SeqLearner);

  bytes = add_array (bytes, seq_work_size (chain, n_rows, 1, TRUE));
  bytes = add_array (bytes, chain->n_weights);
  bytes = add_array (bytes, n_rows * SEQ_PAD (chain->n_out));
  bytes = add_array (bytes, chain->n_state);
  return add_array (bytes, seq_chain_saved (chain, 1));
}

void
seq_learner_set_memory (SeqLearner *learner, gpointer memory)
{
  const SeqChain *chain = learner->chain;
  guint8 *at = memory;

  learner->numbers = (SeqLearnerNumbers *) at;
  at += SEQ_PAD_BYTES (sizeof (SeqLearnerNumbers));
  for (guint i = 0; i < 4; i++) {
    *(real * *[]){ &learner->weights, &learner->moment1, &learner->moment2,
      &learner->good }[i] = (real *) at;
    at += count_bytes (chain->n_weights);
  }
  for (guint i = 0; i < 3; i++) {
    *(real * *[]){ &learner->state, &learner->state0, &learner->state_w }[i] =
        (real *) at;
    at += count_bytes (chain->n_state);
  }
  learner->rows = (real *) at;
  at += count_bytes (learner->n_rows * learner->work->in_stride);
  learner->targets = (real *) at;
  at += count_bytes (learner->n_rows * learner->work->out_stride);
  learner->valid = at;
}

SeqLearner *
seq_learner_new (
    const SeqChain *chain, const SeqLearnerConfig *config, gpointer memory)
{
  SeqLearner *learner = g_new0 (SeqLearner, 1);

  learner->chain = chain;
  learner->config = *config;
  /* a window shorter than the horizon would run frames again and again */
  learner->config.window = MAX (config->window, config->horizon);
  learner->n_rows = rows_of (config);
  learner->work = seq_work_new (chain, learner->n_rows, 1, TRUE);
  learner->d_weights = seq_alloc (chain->n_weights);
  learner->d_out = seq_alloc (learner->n_rows * learner->work->out_stride);
  learner->d_state = seq_alloc (chain->n_state);
  learner->saved = seq_alloc (seq_chain_saved (chain, 1));
  seq_learner_set_memory (learner, memory);
  return learner;
}

void
seq_learner_free (SeqLearner *learner)
{
  if (!learner)
    return;
  seq_work_free (learner->work);
  seq_free (learner->d_weights);
  seq_free (learner->d_out);
  seq_free (learner->d_state);
  seq_free (learner->saved);
  g_free (learner);
}

static void
copy (real *to, const real *from, gsize n)
{
  memcpy (to, from, n * sizeof (real));
}

void
seq_learner_start (SeqLearner *learner, const real *weights)
{
  const SeqChain *chain = learner->chain;

  memset (learner->numbers, 0, sizeof *learner->numbers);
  learner->numbers->slow_down = 1;
  copy (learner->weights, weights, chain->n_weights);
  copy (learner->good, weights, chain->n_weights);
  memset (learner->moment1, 0, chain->n_weights * sizeof (real));
  memset (learner->moment2, 0, chain->n_weights * sizeof (real));
  seq_chain_start (chain, learner->weights, learner->state);
}

void
seq_learner_rewind (SeqLearner *learner)
{
  learner->numbers->filled = 0;
  seq_chain_rewind (learner->chain, learner->weights, learner->state);
}

/* Runs rows [from, from + n) of the window on the present weights. */
static void
run_rows (SeqLearner *learner, guint from, guint n, gboolean learn)
{
  SeqPass pass = { .at = from,
    .n_frames = n,
    .weights = learner->weights,
    .state = learner->state,
    .target = learner->targets + from * learner->work->out_stride,
    .target_stride = learner->work->out_stride,
    .valid = learner->valid + from };

  if (!learn || !seq_chain_learns (learner->chain))
    pass.target = NULL;
  if (n > 0)
    seq_chain_run_safely (learner->chain, learner->work, &pass, learner->saved);
}

/* Runs rows [from, from + n), and keeps the states that an update needs. */
static void
advance (SeqLearner *learner, guint from, guint n, gboolean learn)
{
  guint window = learner->config.window;
  gsize n_state = learner->chain->n_state;
  guint before = from < window ? MIN (n, window - from) : 0;

  if (!learn) {
    run_rows (learner, from, n, FALSE);
    return;
  }
  if (from == 0)
    copy (learner->state0, learner->state, n_state);
  run_rows (learner, from, before, TRUE);
  if (from + before == window && before > 0)
    copy (learner->state_w, learner->state, n_state);
  run_rows (learner, from + before, n - before, TRUE);
}

gboolean
seq_learner_check (const SeqLearner *learner)
{
  const SeqLearnerNumbers *n = learner->numbers;
  const SeqChain *chain = learner->chain;

  for (gsize i = 0; i < chain->n_weights; i++)
    if (!isfinite (learner->weights[i]) || !isfinite (learner->good[i])
        || !isfinite (learner->moment1[i]) || !isfinite (learner->moment2[i])
        || learner->moment2[i] < 0)
      return FALSE;
  for (gsize i = 0; i < learner->n_rows * learner->work->in_stride; i++)
    if (!isfinite (learner->rows[i]))
      return FALSE;
  for (gsize i = 0; i < learner->n_rows * learner->work->out_stride; i++)
    if (!isfinite (learner->targets[i]))
      return FALSE;
  return n->filled < learner->n_rows && n->power >= 0 && isfinite (n->power)
         && n->error >= 0 && isfinite (n->error) && n->good_error >= 0
         && isfinite (n->good_error) && n->slow_down > 0 && n->slow_down <= 1
         && seq_chain_check_state (chain, learner->state0)
         && seq_chain_check_state (chain, learner->state_w);
}

void
seq_learner_convert_1 (SeqLearner *learner)
{
  const SeqChain *chain = learner->chain;
  gsize in_stride = learner->work->in_stride;
  gsize out_stride = learner->work->out_stride;
  guint skip = seq_chain_learns (chain) ? 0 : chain->skip;

  for (guint t = learner->config.horizon; skip && t < learner->n_rows; t++) {
    const real *u = learner->rows + (t - learner->config.horizon) * in_stride;
    real *target = learner->targets + t * out_stride;

    for (guint k = 0; k < chain->n_out; k++)
      target[k] -= skip == 1 ? u[0] : k < skip ? u[k] : 0;
  }
}

void
seq_learner_resume (SeqLearner *learner)
{
  const SeqChain *chain = learner->chain;
  guint filled = learner->numbers->filled;

  if (filled == 0)
    return;
  copy (learner->work->in, learner->rows,
      learner->n_rows * learner->work->in_stride);
  copy (learner->state, learner->state0, chain->n_state);
  advance (learner, 0, filled, TRUE);
}

/* Back to the best weights there were, more slowly. */
static void
roll_back (SeqLearner *learner)
{
  SeqLearnerNumbers *n = learner->numbers;
  gsize n_weights = learner->chain->n_weights;

  copy (learner->weights, learner->good, n_weights);
  memset (learner->moment1, 0, n_weights * sizeof (real));
  memset (learner->moment2, 0, n_weights * sizeof (real));
  n->n_adam = 0;
  n->error = n->good_error;
  n->slow_down = MAX (n->slow_down / 2, 1.0 / 1024);
  n->n_rollbacks++;
}

/* Adam. Steps of the read-out are in proportion to what it has to produce:
 * with a skip connection that may be a thousandth of the signal. */
static void
step (SeqLearner *learner, double scale)
{
  const SeqChain *chain = learner->chain;
  SeqLearnerNumbers *n = learner->numbers;
  double rate = learner->config.rate * n->slow_down;
  gsize at = 0, end = chain->weights_at[chain->n_layers - 1];

  n->n_adam += n->n_adam < G_MAXUINT32; /* which is long past its start */
  for (guint part = 0; part < 2; part++) {
    seq_adam (learner->weights + at, learner->moment1 + at,
        learner->moment2 + at, learner->d_weights + at, end - at, scale, rate,
        n->n_adam);
    at = end;
    end = chain->n_weights;
    rate *= MIN (sqrt (n->power), 1);
  }
}

/* The outputs of a window against its targets, in squares. */
typedef struct {
  guint n_valid;         /* frames that count */
  double wanted, missed; /* what the net had to produce, and its error */
} Comparison;

/* Writes the error of each output to d_out. */
static Comparison
compare_window (SeqLearner *learner)
{
  const SeqChain *chain = learner->chain;
  const SeqWork *work = learner->work;
  guint window = learner->config.window, horizon = learner->config.horizon;
  guint skip = chain->skip;
  Comparison c = { 0 };

  for (guint t = 0; t < window; t++) {
    const real *u = work->in + t * work->in_stride;
    const real *target = learner->targets + (t + horizon) * work->out_stride;
    const real *y = work->out + t * work->out_stride;
    real *d = learner->d_out + t * work->out_stride;
    gboolean valid = learner->valid[t] && learner->valid[t + horizon];

    for (guint k = 0; k < chain->n_out; k++) {
      real base = skip == 1 ? u[0] : k < skip ? u[k] : 0;
      real e = valid ? y[k] - base - target[k] : 0;

      d[k] = e;
      c.missed += (double) e * e;
      if (valid)
        c.wanted += (double) target[k] * target[k];
    }
    c.n_valid += valid;
  }
  return c;
}

/* Follows power and error. Returns whether the weights are still good. */
static gboolean
follow_error (SeqLearner *learner, const Comparison *c, double *level)
{
  SeqLearnerNumbers *n = learner->numbers;
  double n_values = (double) c->n_valid * learner->chain->n_out;
  double rate =
      MAX (1.0 / (n->n_updates + 1), POWER_RATE * learner->config.window);

  n->power += MIN (rate, 1) * (c->wanted / n_values - n->power);
  n->n_updates++;
  /* loud windows are measured by themselves, quiet ones by the power */
  *level = c->wanted + QUIET * c->n_valid * learner->chain->n_out * n->power;
  n->error +=
      MAX (ERROR_RATE, 1.0 / n->n_updates) * (c->missed / *level - n->error);
  return isfinite (n->error)
         && !(n->error > EXPLODED && n->error > EXPLODED * n->good_error);
}

/* All targets of the window are there: one step of descent. */
static void
update (SeqLearner *learner)
{
  const SeqChain *chain = learner->chain;
  SeqLearnerNumbers *n = learner->numbers;
  SeqWork *work = learner->work;
  guint window = learner->config.window;
  Comparison c = compare_window (learner);
  SeqPass pass = { .n_frames = window,
    .weights = learner->weights,
    .state = learner->state0,
    .learnt = learner->state };
  double level, norm;

  if (c.n_valid == 0
      || c.wanted <= SILENCE * n->power * c.n_valid * chain->n_out)
    return;
  if (!follow_error (learner, &c, &level)) {
    roll_back (learner);
    return;
  }
  if (n->n_updates == 1 || n->error <= n->good_error) {
    n->good_error = n->error;
    copy (learner->good, learner->weights, chain->n_weights);
  }

  for (gsize i = 0; i < window * work->out_stride; i++)
    learner->d_out[i] *= (real) (2 / level);
  memset (learner->d_weights, 0, chain->n_weights * sizeof (real));
  memset (learner->d_state, 0, chain->n_state * sizeof (real));
  seq_chain_grad (chain, work, &pass, learner->d_out, learner->d_weights, NULL,
      learner->d_state);
  norm = seq_norm (learner->d_weights, chain->n_weights);
  if (!isfinite (norm)) {
    roll_back (learner);
    return;
  }
  step (learner, norm > CLIP ? CLIP / norm : 1);
}

/* The window has been learnt from: what came after it begins the next one,
 * run again on the new weights. The newest row has not been run yet. */
static void
begin_next (SeqLearner *learner)
{
  guint window = learner->config.window, horizon = learner->config.horizon;
  gsize in_stride = learner->work->in_stride;
  gsize out_stride = learner->work->out_stride;

  copy (learner->rows, learner->rows + window * in_stride, horizon * in_stride);
  copy (learner->work->in, learner->rows, horizon * in_stride);
  copy (learner->targets, learner->targets + window * out_stride,
      horizon * out_stride);
  memcpy (learner->valid, learner->valid + window, horizon);
  copy (learner->state, learner->state_w, learner->chain->n_state);
  advance (learner, 0, horizon - 1, TRUE);
  learner->numbers->filled = horizon - 1;
}

/* Frames [from, from + n) of the block become rows [at, at + n). They are
 * carried only to learn from them, so that what is carried does not depend on
 * how the stream was cut. */
static void
put_rows (SeqLearner *learner, guint at, const SeqLearnerBlock *block,
    guint from, guint n, gboolean learn)
{
  const SeqChain *chain = learner->chain;

  for (guint i = 0; i < n; i++) {
    const real *in = block->in + (from + i) * block->in_stride;
    gsize row = (at + i) * learner->work->in_stride;

    copy (learner->work->in + row, in, chain->n_in);
    if (!learn)
      continue;
    copy (learner->rows + row, in, chain->n_in);
    copy (learner->targets + (at + i) * learner->work->out_stride,
        block->target + (from + i) * block->target_stride, chain->n_out);
    learner->valid[at + i] = block->valid[(from + i) * block->valid_stride];
  }
}

void
seq_learner_run (
    SeqLearner *learner, const SeqLearnerBlock *block, gboolean learn)
{
  SeqLearnerNumbers *numbers = learner->numbers;
  SeqWork *work = learner->work;
  guint last = learner->n_rows - 1; /* this row is a target only */

  if (!learn)
    numbers->filled = 0;
  for (guint from = 0; from < block->n_frames;) {
    guint at = numbers->filled, n;

    if (at == last) {
      put_rows (learner, last, block, from, 1, TRUE);
      update (learner);
      begin_next (learner);
      at = numbers->filled;
    }
    n = MIN (block->n_frames - from, last - at);
    put_rows (learner, at, block, from, n, learn);
    advance (learner, at, n, learn);
    for (guint i = 0; i < n; i++)
      copy (block->out + (from + i) * block->out_stride,
          work->out + (at + i) * work->out_stride, learner->chain->n_out);
    numbers->filled = learn ? at + n : 0;
    from += n;
  }
}
