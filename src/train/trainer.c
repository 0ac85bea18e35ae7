/* trainer.c: trains a chain by truncated back-propagation through time.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * As Wright, Damskagg, Juvela and Valimaki (2020) do it: a mini-batch is
 * `batch` pieces of the recording, run side by side as lanes, from rest;
 * `warmup` frames that do not count; then stretch after stretch of about
 * `update` frames, after each of which the gradient goes back to the stretch's
 * beginning and Adam makes a step. The state runs on. What is judged, kept and
 * given away is a running mean of the weights.
 *
 * The loss of a stretch, e = output - target, over all its lanes and frames:
 *
 *   ESR    sum (e[t] - a e[t-1])^2 / sum (v[t] - a v[t-1])^2
 *          + dc * mean over lanes of (mean e)^2 / mean v^2
 *   MSE    mean e^2              in units of the scaled target
 *   Huber  mean of e^2 / 2 where |e| <= 1, |e| - 1/2 beyond
 *
 * Lanes are dealt out to shards of SHARD lanes, whatever the number of
 * threads; a thread takes whole shards, and their gradients are added in the
 * shards' order: so neither threads nor their timing show in the bits.
 */
#include "src/train/trainer.h"
#include "src/chain.h"
#include "src/adam.h"
#include "src/cpu.h"
#include "src/io/safetensors.h"

#include <math.h>
#include <string.h>

#define SHARD 16
#define QUIET 256    /* frames at a time where nothing is learnt */
#define AVERAGED 100 /* updates that the weights which are judged go back */

typedef struct {
  gsize start; /* frame of the warm-up's first */
  guint group; /* of channels */
} Piece;

typedef struct {
  SeqWork *work, *quiet;
  real *state, *before, *d_state, *d_out, *gradient;
  real *last; /* [lane][n_out]: error of the frame before */
  Piece pieces[SHARD];
  guint n_used; /* lanes that count */
  double error; /* sum of e^2 */
  double loss;
} Shard;

/* A stretch of pieces that are evaluated side by side. */
typedef struct {
  Piece pieces[SHARD];
  guint n_used, warmup;
  gsize length; /* warm-up included */
  double error, power;
} Group;

struct _SeqTrainer {
  SeqModel *model;
  SeqTrainerConfig config;
  guint n_in, n_out; /* of the model */
  guint n_groups;    /* of channels */
  gsize n_frames;
  real *in, *target;          /* [n_frames][group][n_in], scaled; and n_out */
  double power;               /* of a target's frame, mean over training */
  gsize at[SEQ_N_SPLITS + 1]; /* where the splits begin */
  char *fingerprint;

  real *weights, *average, *best, *moment1, *moment2, *gradient;
  guint stale;     /* validations without a gain */
  double mark;     /* what a gain is measured from */
  GArray *history; /* SeqTrainerEpoch */
  SeqTrainerReport report;
  double sum_error, sum_power, sum_loss, sum_norm;
  guint64 n_skipped_before;

  GArray *pieces; /* of training, in this epoch's order */
  guint n_shards;
  Shard *shards;

  /* the stretch in hand, read by all threads */
  guint from, n; /* frames of the pieces */
  double scale_error, scale_mean;
  Group *groups;
  const real *run_weights;
  void (*job) (SeqTrainer *trainer, guint i);
  GThreadPool *pool;
  GMutex lock;
  GCond done;
  guint n_left;
};

/* --- threads -------------------------------------------------------------- */

static void
work (gpointer item, gpointer user_data)
{
  SeqTrainer *self = user_data;
  guint64 ftz = seq_ftz_begin ();

  self->job (self, GPOINTER_TO_UINT (item) - 1);
  seq_ftz_end (ftz);
  g_mutex_lock (&self->lock);
  if (--self->n_left == 0)
    g_cond_signal (&self->done);
  g_mutex_unlock (&self->lock);
}

/* job (i) for every i < n; returns when all are done. */
static void
each (SeqTrainer *self, guint n, void (*job) (SeqTrainer *self, guint i))
{
  self->job = job;
  self->n_left = n;
  if (!self->pool) {
    guint64 ftz = seq_ftz_begin ();

    for (guint i = 0; i < n; i++)
      job (self, i);
    seq_ftz_end (ftz);
    return;
  }
  for (guint i = 0; i < n; i++)
    g_thread_pool_push (self->pool, GUINT_TO_POINTER (i + 1), NULL);
  g_mutex_lock (&self->lock);
  while (self->n_left > 0)
    g_cond_wait (&self->done, &self->lock);
  g_mutex_unlock (&self->lock);
}

/* --- pieces --------------------------------------------------------------- */

static const real *
target_at (const SeqTrainer *self, const Piece *piece, gsize frame)
{
  return self->target
         + ((piece->start + frame) * self->n_groups + piece->group)
               * self->n_out;
}

/* Writes frames [from, from + n) of the pieces into a work's input. */
static void
fill (const SeqTrainer *self, SeqWork *work, const Piece *pieces, gsize from,
    guint n)
{
  gsize step = (gsize) self->n_groups * self->n_in;

  for (guint lane = 0; lane < work->n_lanes; lane++) {
    const Piece *piece = &pieces[lane];
    const real *x = self->in + (piece->start + from) * step
                    + (gsize) piece->group * self->n_in;
    real *to = work->in + lane * work->in_stride;

    for (guint t = 0; t < n; t++) {
      for (guint k = 0; k < self->n_in; k++)
        to[k] = x[k];
      x += step;
      to += work->n_lanes * work->in_stride;
    }
  }
}

static void
run (const SeqTrainer *self, SeqWork *work, const Piece *pieces, gsize from,
    guint n, const real *weights, real *state)
{
  SeqPass pass = { .n_frames = n, .weights = weights, .state = state };

  fill (self, work, pieces, from, n);
  seq_chain_run (self->model->chain, work, &pass);
}

static void
rest (const SeqTrainer *self, const real *weights, real *state, guint n_lanes)
{
  const SeqChain *chain = self->model->chain;

  for (guint lane = 0; lane < n_lanes; lane++)
    seq_chain_start (chain, weights, state + lane * chain->n_state);
}

/* --- a stretch ------------------------------------------------------------ */

/* Errors of the last frame run, which pre-emphasis looks back at. */
static void
keep_last (const SeqTrainer *self, Shard *shard, const SeqWork *work, guint n)
{
  for (guint lane = 0; lane < SHARD; lane++) {
    const real *y =
        work->out + ((gsize) (n - 1) * SHARD + lane) * work->out_stride;
    const real *v = target_at (self, &shard->pieces[lane], self->from + n - 1);

    for (guint k = 0; k < self->n_out; k++)
      shard->last[lane * self->n_out + k] = y[k] - v[k];
  }
}

/* The loss of one lane's one output, and its gradient; e and d a frame apart
 * by step. Returns sum e^2. */
static double
esr_lane (const SeqTrainer *self, real *d, gsize step, real last, double *loss)
{
  real a = (real) self->config.pre_emphasis, next = 0;
  double sum = 0, emphasised = 0, mean = 0;
  real of_mean;

  for (guint t = 0; t < self->n; t++) {
    sum += (double) d[t * step] * d[t * step];
    mean += d[t * step];
  }
  mean /= self->n;
  of_mean = (real) (2 * self->scale_mean * mean / self->n);
  for (guint t = self->n; t-- > 0;) {
    real p = d[t * step] - a * (t > 0 ? d[(t - 1) * step] : last);

    emphasised += (double) p * p;
    d[t * step] = (real) (2 * self->scale_error) * (p - a * next) + of_mean;
    next = p;
  }
  *loss += emphasised * self->scale_error + mean * mean * self->scale_mean;
  return sum;
}

static double
mean_lane (const SeqTrainer *self, real *d, gsize step, double *loss)
{
  gboolean huber = self->config.loss == SEQ_LOSS_HUBER;
  real scale = (real) self->scale_error;
  double sum = 0;

  for (guint t = 0; t < self->n; t++) {
    real e = d[t * step];

    sum += (double) e * e;
    if (huber) {
      *loss += scale * (fabs (e) <= 1 ? (double) e * e / 2 : fabs (e) - 0.5);
      d[t * step] = scale * CLAMP (e, -1, 1);
    } else {
      *loss += (double) scale * e * e;
      d[t * step] = 2 * scale * e;
    }
  }
  return sum;
}

/* Runs a shard over the stretch and leaves its gradient. */
static void
train_shard (SeqTrainer *self, guint i)
{
  Shard *shard = &self->shards[i];
  const SeqChain *chain = self->model->chain;
  SeqWork *w = shard->work;
  gsize n_state = SHARD * chain->n_state, step = SHARD * w->out_stride;
  guint n_out = self->n_out;
  SeqPass pass = { .n_frames = self->n, .weights = self->weights };

  memcpy (shard->before, shard->state, n_state * sizeof (real));
  run (
      self, w, shard->pieces, self->from, self->n, self->weights, shard->state);

  memset (shard->d_out, 0, self->n * step * sizeof (real));
  shard->error = shard->loss = 0;
  for (guint lane = 0; lane < shard->n_used; lane++) {
    const real *y = w->out + lane * w->out_stride;
    real *d = shard->d_out + lane * w->out_stride;
    gsize v_step = (gsize) self->n_groups * n_out;
    const real *v = target_at (self, &shard->pieces[lane], self->from);

    for (guint t = 0; t < self->n; t++)
      for (guint k = 0; k < n_out; k++)
        d[t * step + k] = y[t * step + k] - v[t * v_step + k];
    for (guint k = 0; k < n_out; k++)
      shard->error += self->config.loss == SEQ_LOSS_ESR
                          ? esr_lane (self, d + k, step,
                              shard->last[lane * n_out + k], &shard->loss)
                          : mean_lane (self, d + k, step, &shard->loss);
  }
  keep_last (self, shard, w, self->n);
  memset (shard->gradient, 0, chain->n_weights * sizeof (real));
  memset (shard->d_state, 0, n_state * sizeof (real));
  pass.state = shard->before;
  seq_chain_grad (
      chain, w, &pass, shard->d_out, shard->gradient, NULL, shard->d_state);
}

static void
warm_shard (SeqTrainer *self, guint i)
{
  Shard *shard = &self->shards[i];

  rest (self, self->weights, shard->state, SHARD);
  memset (shard->last, 0, SHARD * self->n_out * sizeof (real));
  for (guint t = 0; t < self->config.warmup; t += QUIET) {
    guint n = MIN (QUIET, self->config.warmup - t);

    run (self, shard->quiet, shard->pieces, t, n, self->weights, shard->state);
    if (t + n == self->config.warmup) {
      for (guint lane = 0; lane < SHARD; lane++)
        for (guint k = 0; k < self->n_out; k++)
          shard->last[lane * self->n_out + k] =
              shard->quiet->out[((gsize) (n - 1) * SHARD + lane)
                                    * shard->quiet->out_stride
                                + k]
              - target_at (self, &shard->pieces[lane], t + n - 1)[k];
    }
  }
}

/* Sets the factors of the loss from the targets of the stretch. */
static void
weigh (SeqTrainer *self)
{
  double power = 0, emphasised = 0, n_values = 0, lanes = 0;
  real a = (real) self->config.pre_emphasis;
  gsize step = (gsize) self->n_groups * self->n_out;

  for (guint s = 0; s < self->n_shards; s++)
    for (guint lane = 0; lane < self->shards[s].n_used; lane++) {
      const real *v =
          target_at (self, &self->shards[s].pieces[lane], self->from);

      lanes++;
      for (guint k = 0; k < self->n_out; k++) {
        real last = self->from > 0 ? (v - step)[k] : 0;

        for (guint t = 0; t < self->n; t++) {
          real p = v[t * step + k] - a * last;

          last = v[t * step + k];
          power += (double) last * last;
          emphasised += (double) p * p;
        }
      }
    }
  n_values = lanes * self->n * self->n_out;
  self->sum_power += power;
  if (self->config.loss == SEQ_LOSS_ESR) {
    double floor = 1e-3 * self->power * n_values; /* silence is no error */

    self->scale_error = 1 / (emphasised + (1 - a) * (1 - a) * floor);
    self->scale_mean = self->config.dc * self->n / (power + floor);
  } else {
    self->scale_error = 1 / n_values;
  }
}

/* A high rate finds more and leaves the weights jumping about what it found:
 * their running mean is there already. It begins as the weights themselves and
 * grows slowly, for the first weights are nothing to remember. */
static void
average (SeqTrainer *self)
{
  real part = (real) 1 / MIN (AVERAGED, 1 + self->report.n_updates / 10);

  for (gsize i = 0; i < self->model->chain->n_weights; i++)
    self->average[i] += part * (self->weights[i] - self->average[i]);
}

/* Runs the stretch on all shards and makes a step of Adam. */
static void
update (SeqTrainer *self)
{
  const SeqTrainerConfig *c = &self->config;
  gsize n_weights = self->model->chain->n_weights;
  SeqTrainerReport *report = &self->report;
  double norm;

  weigh (self);
  each (self, self->n_shards, train_shard);
  memset (self->gradient, 0, n_weights * sizeof (real));
  for (guint s = 0; s < self->n_shards; s++) {
    self->sum_error += self->shards[s].error;
    self->sum_loss += self->shards[s].loss;
    for (gsize i = 0; i < n_weights; i++)
      self->gradient[i] += self->shards[s].gradient[i];
  }
  norm = seq_norm (self->gradient, n_weights);
  if (!isfinite (norm)) {
    report->n_skipped++;
    for (guint s = 0; s < self->n_shards; s++)
      rest (self, self->weights, self->shards[s].state, SHARD);
    return;
  }
  self->sum_norm += norm;
  if (c->decay > 0)
    for (gsize i = 0; i < n_weights; i++)
      self->weights[i] *= (real) (1 - report->rate * c->decay);
  seq_adam (self->weights, self->moment1, self->moment2, self->gradient,
      n_weights, c->clip > 0 && norm > c->clip ? c->clip / norm : 1,
      report->rate, ++report->n_updates);
  average (self);
}

/* --- evaluation ----------------------------------------------------------- */

static void
run_group (SeqTrainer *self, guint i)
{
  const SeqChain *chain = self->model->chain;
  Group *group = &self->groups[i];
  guint n_lanes = group->n_used > 1 ? SHARD : 1;
  g_autoptr (SeqWork) work = seq_work_new (chain, QUIET, n_lanes, FALSE);
  real *state = seq_alloc (n_lanes * chain->n_state);

  rest (self, self->run_weights, state, n_lanes);
  group->error = group->power = 0;
  for (gsize t = 0; t < group->length; t += QUIET) {
    guint n = (guint) MIN (QUIET, group->length - t);

    run (self, work, group->pieces, t, n, self->run_weights, state);
    for (guint f = 0; f < n; f++)
      for (guint lane = 0; t + f >= group->warmup && lane < group->n_used;
           lane++) {
        const real *y =
            work->out + ((gsize) f * n_lanes + lane) * work->out_stride;
        const real *v = target_at (self, &group->pieces[lane], t + f);

        for (guint k = 0; k < self->n_out; k++) {
          group->error += (double) (y[k] - v[k]) * (y[k] - v[k]);
          group->power += (double) v[k] * v[k];
        }
      }
  }
  seq_free (state);
}

/* ESR over pieces of one length. */
static double
evaluate (SeqTrainer *self, const real *weights, const Piece *pieces,
    guint n_pieces, gsize length, guint warmup)
{
  guint n = (n_pieces + SHARD - 1) / SHARD;
  g_autofree Group *groups = g_new0 (Group, n);
  double error = 0, power = 0;

  for (guint g = 0; g < n; g++) {
    groups[g].n_used = MIN (SHARD, n_pieces - g * SHARD);
    groups[g].length = length;
    groups[g].warmup = warmup;
    for (guint lane = 0; lane < SHARD; lane++)
      groups[g].pieces[lane] =
          pieces[g * SHARD + (lane < groups[g].n_used ? lane : 0)];
  }
  self->groups = groups;
  self->run_weights = weights;
  each (self, n, run_group);
  for (guint g = 0; g < n; g++) {
    error += groups[g].error;
    power += groups[g].power;
  }
  return power > 0 ? error / power : NAN;
}

/* Pieces of `length` frames, one each `step` frames, from `start` up to end. */
static GArray *
cut (const SeqTrainer *self, gsize start, gsize end, gsize length, gsize step)
{
  GArray *pieces = g_array_new (FALSE, FALSE, sizeof (Piece));

  for (gsize at = start; at + length <= end; at += step)
    for (guint group = 0; group < self->n_groups; group++) {
      Piece piece = { at, group };

      g_array_append_val (pieces, piece);
    }
  return pieces;
}

static double
esr (SeqTrainer *self, const real *weights, SeqSplit split, gboolean in_one)
{
  const SeqTrainerConfig *c = &self->config;
  gsize start = self->at[split], end = self->at[split + 1];
  gsize warmup = c->warmup, length;
  g_autoptr (GArray) pieces = NULL;

  if (start >= end)
    return NAN;
  if (c->independent) {
    pieces = cut (self, start, end, c->segment, c->segment);
    return evaluate (self, weights, (Piece *) pieces->data, pieces->len,
        c->segment, c->warmup);
  }
  /* As a stream runs: in one, the frames before the split warming it up. For
   * validation that is cut in up to SHARD pieces, each warmed up by what comes
   * before it: nearly the same figure in a fraction of the time. */
  warmup = MIN (warmup, start);
  length = (end - start) / (in_one ? 1 : MIN (SHARD, 1 + (end - start) / 4096));
  pieces = cut (self, start - warmup, end, warmup + length, length);
  return evaluate (self, weights, (Piece *) pieces->data, pieces->len,
      warmup + length, (guint) warmup);
}

double
seq_trainer_esr (SeqTrainer *self, SeqSplit split)
{
  return esr (self, self->best, split, TRUE);
}

/* --- epochs --------------------------------------------------------------- */

/* The pieces of an epoch: moved by a random offset where the recording is
 * continuous, then shuffled. Depends on seed and epoch alone. */
static void
deal (SeqTrainer *self)
{
  const SeqTrainerConfig *c = &self->config;
  guint32 words[3] = { (guint32) c->seed, (guint32) (c->seed >> 32),
    self->report.epoch };
  g_autoptr (GRand) rand = g_rand_new_with_seed_array (words, 3);
  gsize start = self->at[SEQ_TRAIN], end = self->at[SEQ_TRAIN + 1];
  gsize step = c->independent ? c->segment : c->segment - c->warmup;
  gsize slack = 0;

  if (!c->independent)
    slack = MIN ((end - start - c->segment) % step, G_MAXINT32 - 1);
  if (slack > 0)
    start += (gsize) g_rand_int_range (rand, 0, (gint32) slack + 1);
  g_clear_pointer (&self->pieces, g_array_unref);
  self->pieces = cut (self, start, end, c->segment, step);
  for (guint i = self->pieces->len; i > 1; i--) {
    Piece *p = (Piece *) self->pieces->data;
    guint j = (guint) g_rand_int_range (rand, 0, (gint32) i);
    Piece swap = p[i - 1];

    p[i - 1] = p[j];
    p[j] = swap;
  }
}

static void
begin_epoch (SeqTrainer *self)
{
  self->report.batch = 0;
  self->sum_error = self->sum_power = self->sum_loss = self->sum_norm = 0;
  self->n_skipped_before = self->report.n_skipped;
  deal (self);
}

static guint
stretches (const SeqTrainerConfig *c)
{
  guint counted = c->segment - c->warmup;

  return MAX (1, (counted + c->update / 2) / c->update);
}

/* Whether training is over, by what the last epochs gave. */
static SeqTrainerEnd
end_of (const SeqTrainer *self)
{
  const SeqTrainerConfig *c = &self->config;
  const SeqTrainerReport *report = &self->report;

  return report->best_esr <= c->target_esr ? SEQ_TRAINER_TARGET
         : self->stale >= c->early         ? SEQ_TRAINER_STALLED
         : report->epoch >= c->max_epochs  ? SEQ_TRAINER_EPOCHS
                                           : SEQ_TRAINER_GOES_ON;
}

/* Keeps the averaged weights if they are the best so far; lowers the rate, and
 * goes back to the best, on a plateau. A gain of a hundredth counts against a
 * plateau, any is kept. */
static void
judge (SeqTrainer *self)
{
  const SeqTrainerConfig *c = &self->config;
  SeqTrainerReport *report = &self->report;
  gsize size = self->model->chain->n_weights * sizeof (real);

  /* not !(a >= b): the first weights may give no number at all */
  if (isfinite (report->validation_esr)
      && !(report->validation_esr >= report->best_esr)) {
    report->best_esr = report->validation_esr;
    report->best_epoch = report->epoch;
    memcpy (self->best, self->average, size);
  }
  if (report->best_esr < 0.99 * self->mark || !isfinite (self->mark)) {
    self->mark = report->best_esr;
    self->stale = 0;
    return;
  }
  self->stale++;
  if (self->stale % c->patience == 0 && report->rate > c->min_rate) {
    report->rate = MAX (report->rate / 2, c->min_rate);
    memcpy (self->weights, self->best, size);
    memcpy (self->average, self->best, size);
    memset (self->moment1, 0, size);
  }
}

static void
end_epoch (SeqTrainer *self)
{
  SeqTrainerReport *report = &self->report;
  guint n_updates = report->n_batches * stretches (&self->config);
  guint n_skipped = (guint) (report->n_skipped - self->n_skipped_before);

  report->epoch++;
  report->train_esr = self->sum_error / MAX (self->sum_power, 1e-300);
  report->train_loss = self->sum_loss / n_updates;
  report->norm = self->sum_norm / MAX (1, n_updates - n_skipped);
  report->validation_esr = esr (self, self->average, SEQ_VALIDATION, FALSE);
  g_array_append_vals (self->history,
      &(SeqTrainerEpoch){ report->train_esr, report->validation_esr }, 1);
  judge (self);
  report->end = n_skipped == n_updates ? SEQ_TRAINER_BROKEN : end_of (self);
  begin_epoch (self);
}

gboolean
seq_trainer_batch (SeqTrainer *self)
{
  const SeqTrainerConfig *c = &self->config;
  SeqTrainerReport *report = &self->report;
  const Piece *pieces = (Piece *) self->pieces->data;
  guint n_stretches = stretches (c);
  guint counted = c->segment - c->warmup;
  guint n = MIN (c->batch, self->pieces->len);

  for (guint s = 0; s < self->n_shards; s++) {
    Shard *shard = &self->shards[s];

    shard->n_used = MIN (SHARD, n - s * SHARD);
    for (guint lane = 0; lane < SHARD; lane++)
      shard->pieces[lane] = pieces[report->batch * n + s * SHARD
                                   + (lane < shard->n_used ? lane : 0)];
  }
  each (self, self->n_shards, warm_shard);
  for (guint i = 0; i < n_stretches; i++) {
    self->from = c->warmup + (guint) ((guint64) counted * i / n_stretches);
    self->n = c->warmup + (guint) ((guint64) counted * (i + 1) / n_stretches)
              - self->from;
    update (self);
  }
  if (++report->batch < report->n_batches)
    return FALSE;
  end_epoch (self);
  return TRUE;
}

const SeqTrainerReport *
seq_trainer_report (const SeqTrainer *self)
{
  return &self->report;
}

SeqModel *
seq_trainer_best (SeqTrainer *self)
{
  /* no layer learns in its state: this copies the model with other weights */
  return seq_model_with_learnt (self->model, self->best, NULL, NULL);
}

const SeqTrainerEpoch *
seq_trainer_history (const SeqTrainer *self)
{
  return (const SeqTrainerEpoch *) (gpointer) self->history->data;
}

void
seq_trainer_split (
    const SeqTrainer *self, SeqSplit split, gsize *start, gsize *n_frames)
{
  *start = self->at[split];
  *n_frames = self->at[split + 1] - self->at[split];
}

/* --- checkpoints ---------------------------------------------------------- */

enum {
  EPOCH,
  N_UPDATES,
  N_SKIPPED,
  STALE,
  BEST_EPOCH,
  BEST_ESR,
  MARK,
  RATE,
  N_FACTS
};
#define N_BLOCKS 5
#define BLOCKS(self)                                                           \
  {                                                                            \
    (self)->weights, (self)->average, (self)->best, (self)->moment1,           \
        (self)->moment2                                                        \
  }
static const char *const block_names[N_BLOCKS] = { "params", "average", "best",
  "moment1", "moment2" };
#define REAL_DTYPE (sizeof (real) == 8 ? SEQ_DTYPE_F64 : SEQ_DTYPE_F32)

GBytes *
seq_trainer_checkpoint (SeqTrainer *self)
{
  const SeqTrainerReport *r = &self->report;
  real *blocks[N_BLOCKS] = BLOCKS (self);
  double facts[N_FACTS] = { [EPOCH] = r->epoch,
    [N_UPDATES] = (double) r->n_updates,
    [N_SKIPPED] = (double) r->n_skipped,
    [STALE] = self->stale,
    [BEST_EPOCH] = r->best_epoch,
    [BEST_ESR] = r->best_esr,
    [MARK] = self->mark,
    [RATE] = r->rate };
  gsize n_weights = self->model->chain->n_weights;
  SeqTensorData tensors[N_BLOCKS + 2] = { { .name = "facts",
                                              .dtype = SEQ_DTYPE_F64,
                                              .rank = 1,
                                              .shape = { N_FACTS },
                                              .data = facts,
                                              .size = sizeof facts },
    { .name = "history",
        .dtype = SEQ_DTYPE_F64,
        .rank = 2,
        .shape = { r->epoch, 2 },
        .data = self->history->data,
        .size = r->epoch * sizeof (SeqTrainerEpoch) } };
  g_autoptr (GHashTable) metadata = g_hash_table_new (g_str_hash, g_str_equal);

  g_return_val_if_fail (r->batch == 0, NULL);
  for (guint i = 0; i < N_BLOCKS; i++)
    tensors[i + 2] = (SeqTensorData){ .name = block_names[i],
      .dtype = REAL_DTYPE,
      .rank = 1,
      .shape = { n_weights },
      .data = blocks[i],
      .size = n_weights * sizeof (real) };
  g_hash_table_insert (metadata, "format", "seqmodel-checkpoint");
  g_hash_table_insert (metadata, "fingerprint", self->fingerprint);
  return seq_safetensors_write (tensors, N_BLOCKS + 2, metadata);
}

static gboolean
damaged (GError **error)
{
  g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
      "the checkpoint lacks some of its numbers");
  return FALSE;
}

gboolean
seq_trainer_resume (SeqTrainer *self, GBytes *checkpoint, GError **error)
{
  g_autoptr (SeqSafetensors) file = seq_safetensors_parse (checkpoint, error);
  real *blocks[N_BLOCKS] = BLOCKS (self);
  gsize n_weights = self->model->chain->n_weights;
  SeqTrainerReport *r = &self->report;
  const SeqTensorData *found[N_BLOCKS];
  const SeqTensorData *facts_found, *history;
  const char *format, *fingerprint;
  double facts[N_FACTS];

  if (!file)
    return FALSE;
  format = g_hash_table_lookup (file->metadata, "format");
  fingerprint = g_hash_table_lookup (file->metadata, "fingerprint");
  if (g_strcmp0 (format, "seqmodel-checkpoint") != 0 || !fingerprint) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_FORMAT,
        "this is no checkpoint of a training");
    return FALSE;
  }
  if (!g_str_equal (fingerprint, self->fingerprint)) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE,
        "the checkpoint is of another training: it has %s, this is %s",
        fingerprint, self->fingerprint);
    return FALSE;
  }
  facts_found = seq_safetensors_find (file, "facts");
  history = seq_safetensors_find (file, "history");
  if (!facts_found || facts_found->size != sizeof facts || !history)
    return damaged (error);
  memcpy (facts, facts_found->data, sizeof facts);
  if (!(facts[EPOCH] >= 1
          && history->size == facts[EPOCH] * sizeof (SeqTrainerEpoch)))
    return damaged (error);
  for (guint i = 0; i < N_BLOCKS; i++) {
    found[i] = seq_safetensors_find (file, block_names[i]);
    if (!found[i] || found[i]->dtype != REAL_DTYPE
        || found[i]->size != n_weights * sizeof (real))
      return damaged (error);
  }
  for (guint i = 0; i < N_BLOCKS; i++)
    memcpy (blocks[i], found[i]->data, found[i]->size);
  r->epoch = (guint) facts[EPOCH];
  g_array_set_size (self->history, r->epoch);
  memcpy (self->history->data, history->data, history->size);
  r->train_esr = seq_trainer_history (self)[r->epoch - 1].train_esr;
  r->validation_esr = seq_trainer_history (self)[r->epoch - 1].validation_esr;
  r->n_updates = (guint64) facts[N_UPDATES];
  r->n_skipped = (guint64) facts[N_SKIPPED];
  r->best_epoch = (guint) facts[BEST_EPOCH];
  r->best_esr = facts[BEST_ESR];
  r->rate = facts[RATE];
  self->stale = (guint) facts[STALE];
  self->mark = facts[MARK];
  r->end = end_of (self);
  begin_epoch (self);
  return TRUE;
}

/* --- making one ----------------------------------------------------------- */

static gboolean
check (const SeqModel *model, const SeqTrainerData *data,
    const SeqTrainerConfig *c, GError **error)
{
  const SeqChain *chain = model->chain;
  double sum = 0;

  for (guint i = 0; i < chain->n_layers; i++)
    if ((chain->layers[i]->klass->kind.flags
            & (SEQ_KIND_TRAINS | SEQ_KIND_LEARNS))
        != SEQ_KIND_TRAINS) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
          "layer %u, %s, cannot be trained by gradient", i,
          chain->layers[i]->klass->kind.name);
      return FALSE;
    } else if (chain->layers[i]->quantised) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
          "layer %u, %s, has its weights in %s and cannot be trained", i,
          chain->layers[i]->klass->kind.name,
          seq_layer_precision (chain->layers[i]));
      return FALSE;
    }
  if (data->n_in % chain->n_in || data->n_out % chain->n_out
      || data->n_in / chain->n_in != data->n_out / chain->n_out) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE,
        "a model of %u inputs and %u outputs cannot learn from %u channels to "
        "%u",
        chain->n_in, chain->n_out, data->n_in, data->n_out);
    return FALSE;
  }
  for (guint i = 0; i < SEQ_N_SPLITS; i++)
    sum += c->parts[i];
  if (c->segment <= c->warmup || c->update < 1 || c->batch < 1
      || c->patience < 1 || !(sum > 0) || !(c->parts[SEQ_TRAIN] > 0)) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "segments of %u frames with %u of warm-up, updates every %u, batches "
        "of %u, patience %u: all must be at least 1 and segments longer than "
        "their warm-up",
        c->segment, c->warmup, c->update, c->batch, c->patience);
    return FALSE;
  }
  return TRUE;
}

static const char *const split_names[SEQ_N_SPLITS] = { "training", "validation",
  "test" };

static gboolean
divide (SeqTrainer *self, GError **error)
{
  const SeqTrainerConfig *c = &self->config;
  gsize unit = c->independent ? c->segment : 1, n_units = self->n_frames / unit;
  double sum = 0, part = 0;

  for (guint i = 0; i < SEQ_N_SPLITS; i++)
    sum += c->parts[i];
  for (guint i = 0; i < SEQ_N_SPLITS; i++) {
    gsize need = c->independent || i == SEQ_TRAIN ? c->segment : 1, length;

    part += c->parts[i] / sum;
    /* a nudge, for 0.8 + 0.1 is a little less than 0.9 */
    self->at[i + 1] = (gsize) ((double) n_units * part * (1 + 1e-12)) * unit;
    length = self->at[i + 1] - self->at[i];
    if (c->parts[i] > 0 && length < need) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE,
          "%" G_GSIZE_FORMAT " of %" G_GSIZE_FORMAT
          " frames are for %s, where at least %" G_GSIZE_FORMAT
          " are needed: take a longer recording or shorter segments",
          length, self->n_frames, split_names[i], need);
      return FALSE;
    }
  }
  if (self->at[SEQ_VALIDATION] == self->at[SEQ_TEST]) {
    g_set_error (
        error, SEQ_ERROR, SEQ_ERROR_CONFIG, "nothing is left for validation");
    return FALSE;
  }
  return TRUE;
}

/* Mean square of the scaled target. */
static double
power (const SeqTrainer *self, SeqSplit split)
{
  gsize width = (gsize) self->n_groups * self->n_out;
  double sum = 0;

  for (gsize i = self->at[split] * width; i < self->at[split + 1] * width; i++)
    sum += (double) self->target[i] * self->target[i];
  return sum / (double) ((self->at[split + 1] - self->at[split]) * width);
}

/* Scales a recording as the model does. */
static real *
scaled (const float *x, gsize n_frames, guint n_channels, guint n,
    const double *scale, const double *shift, gboolean back)
{
  real *to = seq_alloc (n_frames * n_channels);

  for (gsize i = 0; i < n_frames * n_channels; i++) {
    guint k = (guint) (i % n_channels % n);

    to[i] = (real) (back ? (x[i] - shift[k]) / scale[k]
                         : (x[i] - shift[k]) * scale[k]);
  }
  return to;
}

static char *
fingerprint (const SeqTrainer *self, const SeqTrainerData *data)
{
  const SeqTrainerConfig *c = &self->config;
  const SeqChain *chain = self->model->chain;
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);
  GString *text = g_string_new (NULL);

  g_checksum_update (sum, (const guchar *) data->in,
      (gssize) (data->n_frames * data->n_in * sizeof (float)));
  g_checksum_update (sum, (const guchar *) data->target,
      (gssize) (data->n_frames * data->n_out * sizeof (float)));
  g_checksum_update (sum, (const guchar *) self->model->weights,
      (gssize) (chain->n_weights * sizeof (real)));
  for (guint i = 0; i < chain->n_layers; i++)
    g_string_append_printf (text, "%s %ux%u, ",
        chain->layers[i]->klass->kind.name, chain->layers[i]->n_in,
        chain->layers[i]->n_out);
  g_string_append_printf (text,
      "residual %u, segment %u, warmup %u, independent %d, update %u, batch "
      "%u, patience %u, early %u, loss %d, pre-emphasis %g, dc %g, rate %g, "
      "min-rate %g, decay %g, clip %g, parts %g:%g:%g, seed %" G_GUINT64_FORMAT
      ", data %.16s",
      chain->skip, c->segment, c->warmup, c->independent, c->update, c->batch,
      c->patience, c->early, c->loss, c->pre_emphasis, c->dc, c->rate,
      c->min_rate, c->decay, c->clip, c->parts[0], c->parts[1], c->parts[2],
      c->seed, g_checksum_get_string (sum));
  return g_string_free (text, FALSE);
}

SeqTrainer *
seq_trainer_new (SeqModel *model, const SeqTrainerData *data,
    const SeqTrainerConfig *config, GError **error)
{
  g_autoptr (SeqTrainer) self = NULL;
  const SeqChain *chain = model->chain;
  guint n_stretches, longest;

  if (!check (model, data, config, error))
    return NULL;
  self = g_new0 (SeqTrainer, 1);
  g_mutex_init (&self->lock);
  g_cond_init (&self->done);
  self->model = seq_model_ref (model);
  self->config = *config;
  self->n_in = chain->n_in;
  self->n_out = chain->n_out;
  self->n_groups = data->n_in / chain->n_in;
  self->n_frames = data->n_frames;
  if (!divide (self, error))
    return NULL;
  self->in = scaled (data->in, data->n_frames, data->n_in, chain->n_in,
      model->in_scale, model->in_shift, FALSE);
  self->target = scaled (data->target, data->n_frames, data->n_out,
      chain->n_out, model->out_scale, model->out_shift, TRUE);
  self->fingerprint = fingerprint (self, data);
  self->power = power (self, SEQ_TRAIN);
  for (guint i = SEQ_TRAIN; i <= SEQ_VALIDATION; i++)
    if (!(power (self, i) > 0)) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE,
          "the target's frames %" G_GSIZE_FORMAT " to %" G_GSIZE_FORMAT
          ", those for %s, are silence",
          self->at[i], self->at[i + 1], split_names[i]);
      return NULL;
    }

  self->weights = seq_alloc (chain->n_weights);
  self->average = seq_alloc (chain->n_weights);
  self->best = seq_alloc (chain->n_weights);
  self->moment1 = seq_alloc (chain->n_weights);
  self->moment2 = seq_alloc (chain->n_weights);
  self->gradient = seq_alloc (chain->n_weights);
  memcpy (self->weights, model->weights, chain->n_weights * sizeof (real));
  memcpy (self->average, model->weights, chain->n_weights * sizeof (real));
  memcpy (self->best, model->weights, chain->n_weights * sizeof (real));

  begin_epoch (self);
  self->n_shards = (MIN (config->batch, self->pieces->len) + SHARD - 1) / SHARD;
  self->shards = g_new0 (Shard, self->n_shards);
  n_stretches = stretches (config);
  longest = (config->segment - config->warmup + n_stretches - 1) / n_stretches;
  for (guint s = 0; s < self->n_shards; s++) {
    Shard *shard = &self->shards[s];

    shard->work = seq_work_new (chain, longest, SHARD, TRUE);
    shard->quiet = seq_work_new (chain, QUIET, SHARD, FALSE);
    shard->state = seq_alloc (SHARD * chain->n_state);
    shard->before = seq_alloc (SHARD * chain->n_state);
    shard->d_state = seq_alloc (SHARD * chain->n_state);
    shard->d_out =
        seq_alloc ((gsize) longest * SHARD * shard->work->out_stride);
    shard->gradient = seq_alloc (chain->n_weights);
    shard->last = seq_alloc (SHARD * chain->n_out);
  }
  if (config->threads > 1)
    self->pool =
        g_thread_pool_new (work, self, (gint) config->threads, TRUE, NULL);
  self->report.threads = MIN (MAX (config->threads, 1), self->n_shards);
  self->report.n_batches = MAX (1, self->pieces->len / config->batch);
  self->report.epoch_frames = (gsize) self->report.n_batches
                              * MIN (config->batch, self->pieces->len)
                              * (config->segment - config->warmup);
  self->report.rate = config->rate;
  self->history = g_array_new (FALSE, FALSE, sizeof (SeqTrainerEpoch));
  self->mark = self->report.best_esr = self->report.validation_esr =
      esr (self, self->best, SEQ_VALIDATION, FALSE);
  return g_steal_pointer (&self);
}

void
seq_trainer_free (SeqTrainer *self)
{
  if (!self)
    return;
  if (self->pool)
    g_thread_pool_free (self->pool, FALSE, TRUE);
  for (guint s = 0; s < self->n_shards; s++) {
    Shard *shard = &self->shards[s];

    seq_work_free (shard->work);
    seq_work_free (shard->quiet);
    seq_free (shard->state);
    seq_free (shard->before);
    seq_free (shard->d_state);
    seq_free (shard->d_out);
    seq_free (shard->gradient);
    seq_free (shard->last);
  }
  g_free (self->shards);
  g_clear_pointer (&self->pieces, g_array_unref);
  g_clear_pointer (&self->history, g_array_unref);
  seq_free (self->in);
  seq_free (self->target);
  seq_free (self->weights);
  seq_free (self->average);
  seq_free (self->best);
  seq_free (self->moment1);
  seq_free (self->moment2);
  seq_free (self->gradient);
  g_free (self->fingerprint);
  seq_model_unref (self->model);
  g_mutex_clear (&self->lock);
  g_cond_clear (&self->done);
  g_free (self);
}
