/* evaluate.h: how far a model's output is from the target.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The error-to-signal ratio (ESR) is the power of the error over the power of
 * the target about the model's mean; NAN where there is no power.
 */
#pragma once

#include "src/train/pieces.h"
#include "src/train/splits.h"
#include "src/train/workers.h"

G_BEGIN_DECLS

/* How a model does at the end of training. */
typedef struct {
  double validation_esr;
  SeqSplit split;        /* judged on: the test split if there is one, else
                          * that of validation */
  gsize start, n_frames; /* of that split */
  double esr;            /* on it */
  double persistence;    /* of a prediction: the ESR of repeating the last
                          * value there; of an effect: NAN */
} SeqEvaluation;

/* ESR of a chain over pieces (SeqPiece) of `length` frames, of which the first
 * `warmup` do not count. */
typedef struct {
  const SeqChain *chain;
  const SeqPairs *pairs;
  const GArray *pieces;
  gsize length, warmup;
} SeqPieceSet;
double seq_evaluate_pieces (
    const SeqPieceSet *set, const real *weights, SeqWorkers *workers);

/* ESR of forecasting the last value, over the pairs in [start, + n_frames);
 * NAN for an effect. */
double seq_evaluate_persistence (const SeqModel *model,
    const SeqTrainerData *data, gsize start, gsize n_frames);

G_END_DECLS
