/* loss.h: the loss of a stretch of frames, and its gradient.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * With v the target, e = output - v, sums and means over all lanes, outputs
 * and frames of the stretch:
 *
 *   ESR    sum (e[t] - a e[t-1])^2 / sum (v[t] - a v[t-1])^2
 *          + dc * mean over lanes of (mean e)^2 / mean v^2
 *   MSE    mean e^2              in units of the scaled target
 *   Huber  mean of e^2 / 2 where |e| <= 1, |e| - 1/2 beyond
 *
 * First every target is measured, then the weights are set; after that each
 * output's gradient can be computed by itself, in any thread.
 */
#pragma once

#include "src/real.h"

#include <glib.h>

G_BEGIN_DECLS

typedef enum { SEQ_LOSS_ESR, SEQ_LOSS_MSE, SEQ_LOSS_HUBER } SeqLoss;

typedef struct {
  SeqLoss loss;
  double pre_emphasis;  /* a, of ESR */
  double dc;            /* of ESR */
  double typical_power; /* mean square of a target in the whole recording; of
                         * ESR: keeps silence from weighing like sound */
  guint n_frames;       /* of the stretch */
  /* sums over the targets */
  guint n_targets;
  double power, emphasised;
  /* set by seq_loss_set_weights() */
  double error_weight, mean_weight;
} SeqStretchLoss;

/* Adds one output's target: n_frames values `step` reals apart; last: the
 * value before them. */
void seq_loss_add_target (
    SeqStretchLoss *loss, const real *target, gsize step, real last);
/* Once all targets are added. */
void seq_loss_set_weights (SeqStretchLoss *loss);

/* Replaces one output's errors, n_frames values `step` reals apart, by the
 * gradient of the loss; last: the error before them. Adds the output's share
 * of the loss to *sum and returns the sum of the squared errors. */
double seq_loss_differentiate (const SeqStretchLoss *loss, real *errors,
    gsize step, real last, double *sum);

G_END_DECLS
