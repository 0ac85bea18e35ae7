/* trainer.c: trains a chain by truncated back-propagation through time.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * As Wright, Damskagg, Juvela and Valimaki (2020) do it: a mini-batch is
 * `batch` pieces of the recording, run side by side from rest. After `warmup`
 * frames that do not count, it goes stretch by stretch of about `update`
 * frames; after each, the gradient goes back to the stretch's beginning and
 * Adam makes a step. The state runs on. A running mean of the weights is what
 * is judged, kept and given away.
 */
#include "src/train/trainer.h"
#include "src/adam.h"
#include "src/chain.h"
#include "src/train/batch.h"
#include "src/train/checkpoint.h"

#include <math.h>
#include <string.h>

#define SHORTEST 4096 /* frames of a piece that validation judges on */
#define AVERAGED 100  /* updates that the judged weights look back */

struct _SeqTrainer {
  SeqModel *model;
  SeqTrainerConfig config;
  SeqTrainerData data;
  SeqPairs *pairs;
  SeqSplits splits;
  double power; /* mean square of a target, in the training split */
  char *fingerprint;
  SeqProgress progress;

  GArray *pieces; /* SeqPiece of training, in this epoch's order */
  /* over this epoch */
  SeqSums sums;
  double sum_norm;
  guint64 n_skipped_before;

  SeqWorkers *workers;
  SeqBatch *batch;
  real *gradient;
};

/* --- updates -------------------------------------------------------------- */

/* A high rate finds more, and leaves the weights jumping about what it found;
 * their running mean is there already. It begins as the weights themselves and
 * its memory grows slowly, since the first weights are not worth keeping. */
static void
average (SeqProgress *p)
{
  real part = (real) 1 / MIN (AVERAGED, 1 + p->report.n_updates / 10);

  for (gsize i = 0; i < p->n_weights; i++)
    p->average[i] += part * (p->weights[i] - p->average[i]);
}

/* Runs frames [from, from + n) of the mini-batch and makes a step of Adam. */
static void
update (SeqTrainer *self, guint from, guint n)
{
  const SeqTrainerConfig *c = &self->config;
  SeqProgress *p = &self->progress;
  SeqStretchLoss loss = { .loss = c->loss,
    .pre_emphasis = c->pre_emphasis,
    .dc = c->dc,
    .typical_power = self->power,
    .n_frames = n };
  double norm;

  seq_batch_differentiate (
      self->batch, from, &loss, p->weights, self->gradient, &self->sums);
  norm = seq_norm (self->gradient, p->n_weights);
  if (!isfinite (norm)) {
    p->report.n_skipped++;
    seq_batch_rest (self->batch, p->weights);
    return;
  }
  self->sum_norm += norm;
  if (c->decay > 0)
    for (gsize i = 0; i < p->n_weights; i++)
      p->weights[i] *= (real) (1 - p->report.rate * c->decay);
  seq_adam (p->weights, p->moment1, p->moment2, self->gradient, p->n_weights,
      c->clip > 0 && norm > c->clip ? c->clip / norm : 1, p->report.rate,
      ++p->report.n_updates);
  average (p);
}

/* --- evaluation ----------------------------------------------------------- */

/* ESR of weights over a split. A continuous recording is run as a stream, with
 * the frames before the split to warm up; for validation it is cut in up to
 * SEQ_SHARD pieces, each warmed up by what comes before it: nearly the same
 * figure in a fraction of the time. */
static double
evaluate (SeqTrainer *self, const real *weights, SeqSplit split, gboolean whole)
{
  const SeqTrainerConfig *c = &self->config;
  gsize start = self->splits.at[split], end = self->splits.at[split + 1];
  gsize warmup = MIN (c->warmup, start), n = end - start;
  gsize length = n / (whole ? 1 : MIN (SEQ_SHARD, 1 + n / SHORTEST));
  g_autoptr (GArray) pieces = NULL;
  SeqPieceSet set = { .chain = self->model->chain, .pairs = self->pairs };

  if (start >= end)
    return NAN;
  if (c->independent) {
    set.length = c->segment;
    set.warmup = c->warmup;
    pieces = seq_pairs_cut (self->pairs, start, end, c->segment, c->segment);
  } else {
    set.length = warmup + length;
    set.warmup = warmup;
    pieces =
        seq_pairs_cut (self->pairs, start - warmup, end, set.length, length);
  }
  set.pieces = pieces;
  return seq_evaluate_pieces (&set, weights, self->workers);
}

SeqEvaluation
seq_trainer_evaluate (SeqTrainer *self)
{
  const SeqProgress *p = &self->progress;
  SeqEvaluation e = { .validation_esr = p->report.best_esr,
    .split = SEQ_TEST,
    .esr = evaluate (self, p->best, SEQ_TEST, TRUE) };

  if (!isfinite (e.esr)) {
    e.split = SEQ_VALIDATION;
    e.esr = e.validation_esr;
  }
  e.start = self->splits.at[e.split];
  e.n_frames = seq_splits_length (&self->splits, e.split);
  e.persistence =
      seq_evaluate_persistence (self->model, &self->data, e.start, e.n_frames);
  return e;
}

/* --- epochs --------------------------------------------------------------- */

/* Deals the pieces of an epoch: moved by a random offset where the recording is
 * continuous, then shuffled. Depends on seed and epoch alone. */
static void
deal (SeqTrainer *self)
{
  const SeqTrainerConfig *c = &self->config;
  guint32 words[3] = { (guint32) c->seed, (guint32) (c->seed >> 32),
    self->progress.report.epoch };
  g_autoptr (GRand) rand = g_rand_new_with_seed_array (words, 3);
  gsize start = self->splits.at[SEQ_TRAIN],
        end = self->splits.at[SEQ_TRAIN + 1];
  gsize step = c->independent ? c->segment : c->segment - c->warmup;
  gsize slack = 0;

  if (!c->independent)
    slack = MIN ((end - start - c->segment) % step, G_MAXINT32 - 1);
  if (slack > 0)
    start += (gsize) g_rand_int_range (rand, 0, (gint32) slack + 1);
  g_clear_pointer (&self->pieces, g_array_unref);
  self->pieces = seq_pairs_cut (self->pairs, start, end, c->segment, step);
  for (guint i = self->pieces->len; i > 1; i--) {
    SeqPiece *p = (SeqPiece *) self->pieces->data;
    guint j = (guint) g_rand_int_range (rand, 0, (gint32) i);
    SeqPiece swap = p[i - 1];

    p[i - 1] = p[j];
    p[j] = swap;
  }
}

static void
begin_epoch (SeqTrainer *self)
{
  self->progress.report.batch = 0;
  self->sums = (SeqSums){ 0 };
  self->sum_norm = 0;
  self->n_skipped_before = self->progress.report.n_skipped;
  deal (self);
}

/* Updates of a mini-batch. */
static guint
count_stretches (const SeqTrainerConfig *c)
{
  guint counted = c->segment - c->warmup;

  return MAX (1, (counted + c->update / 2) / c->update);
}

/* Whether training is over, by what the last epochs gave. */
static SeqTrainerEnd
find_end (const SeqTrainer *self)
{
  const SeqTrainerConfig *c = &self->config;
  const SeqTrainerReport *report = &self->progress.report;

  return report->best_esr <= c->target_esr  ? SEQ_TRAINER_TARGET
         : self->progress.stale >= c->early ? SEQ_TRAINER_STALLED
         : report->epoch >= c->max_epochs   ? SEQ_TRAINER_EPOCHS
                                            : SEQ_TRAINER_GOES_ON;
}

/* Keeps the averaged weights if they are the best so far; on a plateau lowers
 * the rate and goes back to the best. Any gain is kept, but only one of a
 * hundredth ends a plateau. */
static void
judge (SeqProgress *p, const SeqTrainerConfig *c)
{
  SeqTrainerReport *report = &p->report;
  gsize size = p->n_weights * sizeof (real);

  /* not a < b: the first weights may have given NAN */
  if (isfinite (report->validation_esr)
      && !(report->validation_esr >= report->best_esr)) {
    report->best_esr = report->validation_esr;
    report->best_epoch = report->epoch;
    memcpy (p->best, p->average, size);
  }
  if (report->best_esr < 0.99 * p->mark || !isfinite (p->mark)) {
    p->mark = report->best_esr;
    p->stale = 0;
    return;
  }
  p->stale++;
  if (p->stale % c->patience == 0 && report->rate > c->min_rate) {
    report->rate = MAX (report->rate / 2, c->min_rate);
    memcpy (p->weights, p->best, size);
    memcpy (p->average, p->best, size);
    memset (p->moment1, 0, size);
  }
}

static void
end_epoch (SeqTrainer *self)
{
  SeqProgress *p = &self->progress;
  SeqTrainerReport *report = &p->report;
  guint n_updates = report->n_batches * count_stretches (&self->config);
  guint n_skipped = (guint) (report->n_skipped - self->n_skipped_before);

  report->epoch++;
  report->train_esr = self->sums.error / MAX (self->sums.power, 1e-300);
  report->train_loss = self->sums.loss / n_updates;
  report->norm = self->sum_norm / MAX (1, n_updates - n_skipped);
  report->validation_esr = evaluate (self, p->average, SEQ_VALIDATION, FALSE);
  g_array_append_vals (p->history,
      &(SeqTrainerEpoch){ report->train_esr, report->validation_esr }, 1);
  judge (p, &self->config);
  report->end = n_skipped == n_updates ? SEQ_TRAINER_BROKEN : find_end (self);
  begin_epoch (self);
}

gboolean
seq_trainer_batch (SeqTrainer *self)
{
  const SeqTrainerConfig *c = &self->config;
  SeqTrainerReport *report = &self->progress.report;
  const SeqPiece *pieces = (const SeqPiece *) self->pieces->data;
  guint n_stretches = count_stretches (c);
  guint counted = c->segment - c->warmup;
  guint n = MIN (c->batch, self->pieces->len);

  seq_batch_begin (self->batch, pieces + (gsize) report->batch * n,
      self->progress.weights, c->warmup);
  for (guint i = 0; i < n_stretches; i++) {
    guint from = c->warmup + (guint) ((guint64) counted * i / n_stretches);
    guint to = c->warmup + (guint) ((guint64) counted * (i + 1) / n_stretches);

    update (self, from, to - from);
  }
  if (++report->batch < report->n_batches)
    return FALSE;
  end_epoch (self);
  return TRUE;
}

const SeqTrainerReport *
seq_trainer_report (const SeqTrainer *self)
{
  return &self->progress.report;
}

SeqModel *
seq_trainer_best (const SeqTrainer *self)
{
  /* no layer learns in its state: this copies the model with other weights */
  return seq_model_with_learnt (self->model, self->progress.best, NULL, NULL);
}

const SeqTrainerEpoch *
seq_trainer_history (const SeqTrainer *self)
{
  return (const SeqTrainerEpoch *) (gpointer) self->progress.history->data;
}

GBytes *
seq_trainer_checkpoint (const SeqTrainer *self)
{
  g_return_val_if_fail (self->progress.report.batch == 0, NULL);
  return seq_checkpoint_write (&self->progress, self->fingerprint);
}

gboolean
seq_trainer_resume (SeqTrainer *self, GBytes *checkpoint, GError **error)
{
  if (!seq_checkpoint_read (
          &self->progress, checkpoint, self->fingerprint, error))
    return FALSE;
  self->progress.report.end = find_end (self);
  begin_epoch (self);
  return TRUE;
}

/* --- making one ----------------------------------------------------------- */

/* Whether a layer has a gradient. */
static gboolean
check_layer (const SeqLayer *layer, guint i, GError **error)
{
  const SeqKind *kind = &layer->klass->kind;

  if ((kind->flags & (SEQ_KIND_TRAINS | SEQ_KIND_LEARNS)) != SEQ_KIND_TRAINS) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "layer %u is %s; expected a kind that is trained by gradient", i,
        kind->name);
    return FALSE;
  }
  if (layer->quantised) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "layer %u, %s: its precision is %s; expected float, since quantised "
        "weights cannot be trained",
        i, kind->name, seq_layer_precision (layer));
    return FALSE;
  }
  return TRUE;
}

static gboolean
check_config (const SeqTrainerConfig *c, GError **error)
{
  const struct {
    const char *name;
    guint value, min;
  } counts[] = { { "segment", c->segment, c->warmup + 1 },
    { "update", c->update, 1 }, { "batch", c->batch, 1 },
    { "patience", c->patience, 1 } };

  for (guint i = 0; i < G_N_ELEMENTS (counts); i++)
    if (counts[i].value < counts[i].min) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
          "%s is %u; expected at least %u%s", counts[i].name, counts[i].value,
          counts[i].min, i ? "" : ", one more than the warm-up");
      return FALSE;
    }
  for (guint i = 0; i < SEQ_N_SPLITS; i++)
    if (!(i == SEQ_TEST ? c->parts[i] >= 0 : c->parts[i] > 0)) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
          "the %s part is %g; expected %s 0", seq_split_name (i), c->parts[i],
          i == SEQ_TEST ? "at least" : "more than");
      return FALSE;
    }
  return TRUE;
}

static gboolean
check (const SeqModel *model, const SeqTrainerData *data,
    const SeqTrainerConfig *config, GError **error)
{
  const SeqChain *chain = model->chain;

  for (guint i = 0; i < chain->n_layers; i++)
    if (!check_layer (chain->layers[i], i, error))
      return FALSE;
  if (data->n_in % chain->n_in || data->n_out % chain->n_out
      || data->n_in / chain->n_in != data->n_out / chain->n_out) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE,
        "the channels of input and target are %u and %u; expected the same "
        "multiple of %u and %u, the inputs and outputs of the model",
        data->n_in, data->n_out, chain->n_in, chain->n_out);
    return FALSE;
  }
  return check_config (config, error);
}

/* Divides the recording; every split that is asked for must hold a piece, and
 * the targets of the first two must not be silent. */
static gboolean
divide (SeqTrainer *self, GError **error)
{
  const SeqTrainerConfig *c = &self->config;

  self->splits = seq_splits_divide (
      c->parts, self->pairs->n_frames, c->independent ? c->segment : 1);
  for (guint i = 0; i < SEQ_N_SPLITS; i++) {
    gsize need = c->independent || i == SEQ_TRAIN ? c->segment : 1;
    gsize length = seq_splits_length (&self->splits, i);

    if (c->parts[i] > 0 && length < need) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE,
          "%" G_GSIZE_FORMAT " of %" G_GSIZE_FORMAT
          " frames are for %s; expected at least %" G_GSIZE_FORMAT
          ": take a longer recording or shorter segments",
          length, self->pairs->n_frames, seq_split_name (i), need);
      return FALSE;
    }
  }
  for (guint i = SEQ_TRAIN; i <= SEQ_VALIDATION; i++)
    if (!(seq_pairs_power (
              self->pairs, self->splits.at[i], self->splits.at[i + 1])
            > 0)) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE,
          "the target is silent in frames %" G_GSIZE_FORMAT
          " to %" G_GSIZE_FORMAT ", those for %s; expected a signal",
          self->splits.at[i], self->splits.at[i + 1], seq_split_name (i));
      return FALSE;
    }
  self->power =
      seq_pairs_power (self->pairs, 0, self->splits.at[SEQ_VALIDATION]);
  return TRUE;
}

/* What two trainings must share for one to resume from the other's checkpoint.
 */
static char *
make_fingerprint (const SeqTrainer *self)
{
  const SeqTrainerConfig *c = &self->config;
  const SeqTrainerData *data = &self->data;
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
  SeqTrainerReport *report;
  guint n_pieces, counted, n_stretches;

  if (!check (model, data, config, error))
    return NULL;
  self = g_new0 (SeqTrainer, 1);
  self->model = seq_model_ref (model);
  self->config = *config;
  self->data = *data;
  self->pairs = seq_pairs_new (model, data);
  if (!divide (self, error))
    return NULL;
  self->fingerprint = make_fingerprint (self);
  seq_progress_init (&self->progress, model->weights, chain->n_weights);
  begin_epoch (self);

  n_pieces = MIN (config->batch, self->pieces->len);
  counted = config->segment - config->warmup;
  n_stretches = count_stretches (config);
  self->workers = seq_workers_new (config->threads);
  self->batch = seq_batch_new (chain, self->pairs, self->workers, n_pieces,
      (counted + n_stretches - 1) / n_stretches);
  self->gradient = seq_alloc (chain->n_weights);

  report = &self->progress.report;
  report->threads = MIN (MAX (config->threads, 1), seq_n_shards (n_pieces));
  report->n_batches = MAX (1, self->pieces->len / config->batch);
  report->epoch_frames = (gsize) report->n_batches * n_pieces * counted;
  report->rate = config->rate;
  report->best_esr = report->validation_esr =
      evaluate (self, self->progress.best, SEQ_VALIDATION, FALSE);
  self->progress.mark = report->best_esr;
  return g_steal_pointer (&self);
}

void
seq_trainer_free (SeqTrainer *self)
{
  if (!self)
    return;
  seq_batch_free (self->batch);
  seq_workers_free (self->workers);
  seq_free (self->gradient);
  g_clear_pointer (&self->pieces, g_array_unref);
  seq_progress_clear (&self->progress);
  seq_pairs_free (self->pairs);
  g_free (self->fingerprint);
  seq_model_unref (self->model);
  g_free (self);
}
