/* trainer.h: trains a chain by truncated back-propagation through time.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A recording is divided by time into training, validation and test, and the
 * first of these into pieces that are run side by side as lanes. The same seed
 * gives the same bits with any number of threads, and whether or not training
 * was stopped and resumed. Control threads; one at a time uses a trainer.
 */
#pragma once

#include "src/model.h"
#include "src/train/data.h"
#include "src/train/evaluate.h"
#include "src/train/loss.h"
#include "src/train/splits.h"

G_BEGIN_DECLS

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
  double pre_emphasis; /* see loss.h */
  double dc;
  double rate, min_rate, decay, clip;
  double target_esr;
  double parts[SEQ_N_SPLITS]; /* of the recording, in this order */
  guint64 seed;
} SeqTrainerConfig;

typedef struct _SeqTrainer SeqTrainer;

/* Starts from the model's weights; the trainer keeps a reference to it. The
 * samples of data are borrowed and must outlive the trainer. Errors:
 * SEQ_ERROR_CONFIG (settings, or a layer that cannot be trained),
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
/* Stays valid, and up to date, as long as the trainer. */
const SeqTrainerReport *seq_trainer_report (const SeqTrainer *trainer);

/* What the epochs gave, [report's epoch]; borrowed until the next one. */
typedef struct {
  double train_esr, validation_esr;
} SeqTrainerEpoch;
const SeqTrainerEpoch *seq_trainer_history (const SeqTrainer *trainer);

/* The model with the weights, averaged over the last updates, that did best in
 * validation (the first ones before the first epoch is over). */
SeqModel *seq_trainer_best (const SeqTrainer *trainer);
/* How they do. */
SeqEvaluation seq_trainer_evaluate (SeqTrainer *trainer);

/* Everything needed to resume training after the last complete epoch, and back.
 * Only between epochs: see seq_trainer_batch(). Resuming needs the same model,
 * data and settings, but for threads, max_epochs and target_esr:
 * SEQ_ERROR_SHAPE says what differs. A checkpoint that is refused leaves the
 * trainer as it was. */
GBytes *seq_trainer_checkpoint (const SeqTrainer *trainer);
gboolean seq_trainer_resume (
    SeqTrainer *trainer, GBytes *checkpoint, GError **error);

G_END_DECLS
