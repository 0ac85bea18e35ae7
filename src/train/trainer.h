/* trainer.h: trains a chain by truncated back-propagation through time.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A recording is cut by time into training, validation and test, and those
 * into pieces that are run side by side as lanes. The same seed gives the same
 * bits whatever the number of threads, and whether training was stopped and
 * resumed or not. Control threads; a trainer is used by one at a time.
 */
#pragma once

#include "src/model.h"

G_BEGIN_DECLS

typedef enum { SEQ_LOSS_ESR, SEQ_LOSS_MSE, SEQ_LOSS_HUBER } SeqLoss;
typedef enum { SEQ_TRAIN, SEQ_VALIDATION, SEQ_TEST, SEQ_N_SPLITS } SeqSplit;

typedef struct {
  guint segment;        /* frames of a piece, warm-up included */
  guint warmup;         /* frames run before a piece counts */
  gboolean independent; /* the recording is segments, each a piece of its own */
  guint update;         /* frames from one update to the next */
  guint batch;          /* pieces side by side */
  guint threads;
  guint max_epochs;
  guint patience; /* validations without a gain before the rate falls */
  guint early;    /* and before training stops */
  SeqLoss loss;
  double pre_emphasis; /* a of e[t] - a e[t-1], for ESR */
  double dc;           /* weight of the mean's error, for ESR */
  double rate, min_rate, decay, clip;
  double target_esr;
  double parts[SEQ_N_SPLITS]; /* of the recording, in this order */
  guint64 seed;
} SeqTrainerConfig;

/* What to learn: in is the model's input, target what its output should be,
 * both unscaled (the model scales). With n_in and n_out of the model less than
 * the channels, channels are recordings of their own. */
typedef struct {
  gsize n_frames;
  guint n_in, n_out;   /* channels */
  const float *in;     /* [n_frames][n_in] */
  const float *target; /* [n_frames][n_out] */
} SeqTrainerData;

typedef struct _SeqTrainer SeqTrainer;

/* Starts from model's weights. data is borrowed and must outlive the trainer.
 * Errors: SEQ_ERROR_CONFIG (the model has a layer that cannot be trained),
 * SEQ_ERROR_SHAPE (too little data for these settings). */
SeqTrainer *seq_trainer_new (SeqModel *model, const SeqTrainerData *data,
    const SeqTrainerConfig *config, GError **error);
void seq_trainer_free (SeqTrainer *trainer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SeqTrainer, seq_trainer_free)

typedef enum {
  SEQ_TRAINER_GOES_ON,
  SEQ_TRAINER_TARGET,  /* target_esr is reached */
  SEQ_TRAINER_STALLED, /* no gain for `early` validations */
  SEQ_TRAINER_EPOCHS,  /* max_epochs are done */
  SEQ_TRAINER_BROKEN,  /* every update of an epoch was non-finite */
} SeqTrainerEnd;

typedef struct {
  guint epoch;            /* complete ones */
  guint batch, n_batches; /* done, and in an epoch */
  double train_esr;       /* of the last complete epoch, while it learnt */
  double train_loss;
  double validation_esr, best_esr;
  guint best_epoch;
  double rate, norm; /* norm: the gradient's, mean of the last epoch */
  guint64 n_updates, n_skipped; /* skipped: gradient not finite */
  guint threads;                /* that an update has work for: one takes 16
                                 * pieces */
  gsize epoch_frames;           /* trained in an epoch, warm-up not counted */
  SeqTrainerEnd end;
} SeqTrainerReport;

/* Trains a mini-batch. TRUE when that was the last of an epoch: then the
 * validation has been run and the report is new. */
gboolean seq_trainer_batch (SeqTrainer *trainer);
const SeqTrainerReport *seq_trainer_report (const SeqTrainer *trainer);

/* What the epochs gave, [report's epoch]; borrowed until the next one. */
typedef struct {
  double train_esr, validation_esr;
} SeqTrainerEpoch;
const SeqTrainerEpoch *seq_trainer_history (const SeqTrainer *trainer);

/* The model with the weights, averaged over the last updates, that did best in
 * validation (the first ones before the first epoch is over). */
SeqModel *seq_trainer_best (SeqTrainer *trainer);
/* Error-to-signal ratio of those over a split, about the target's mean. */
double seq_trainer_esr (SeqTrainer *trainer, SeqSplit split);
/* Where a split begins and how long it is. */
void seq_trainer_split (
    const SeqTrainer *trainer, SeqSplit split, gsize *start, gsize *n_frames);

/* Everything that training goes on from, as it was when the last epoch was
 * over, and back. Resuming needs the same model, data and settings, but for
 * threads, max_epochs and target_esr: SEQ_ERROR_SHAPE says what differs. */
GBytes *seq_trainer_checkpoint (SeqTrainer *trainer);
gboolean seq_trainer_resume (
    SeqTrainer *trainer, GBytes *checkpoint, GError **error);

G_END_DECLS
