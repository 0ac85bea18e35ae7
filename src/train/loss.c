/* loss.c: the loss of a stretch of frames, and its gradient.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/train/loss.h"

#include <math.h>

void
seq_loss_add_target (
    SeqStretchLoss *loss, const real *target, gsize step, real last)
{
  real a = (real) loss->pre_emphasis;
  double power = loss->power, emphasised = loss->emphasised;

  for (guint t = 0; t < loss->n_frames; t++) {
    real p = target[t * step] - a * last;

    last = target[t * step];
    power += (double) last * last;
    emphasised += (double) p * p;
  }
  loss->power = power;
  loss->emphasised = emphasised;
  loss->n_targets++;
}

void
seq_loss_set_weights (SeqStretchLoss *loss)
{
  real a = (real) loss->pre_emphasis;
  double n_values = (double) loss->n_targets * loss->n_frames;
  double floor = 1e-3 * loss->typical_power * n_values;

  if (loss->loss == SEQ_LOSS_ESR) {
    loss->error_weight = 1 / (loss->emphasised + (1 - a) * (1 - a) * floor);
    loss->mean_weight = loss->dc * loss->n_frames / (loss->power + floor);
  } else {
    loss->error_weight = 1 / n_values;
  }
}

static double
differentiate_esr (const SeqStretchLoss *loss, real *d, gsize step, real last,
    double *loss_sum)
{
  real a = (real) loss->pre_emphasis, next = 0;
  double sum = 0, emphasised = 0, mean = 0;
  real of_mean;

  for (guint t = 0; t < loss->n_frames; t++) {
    sum += (double) d[t * step] * d[t * step];
    mean += d[t * step];
  }
  mean /= loss->n_frames;
  of_mean = (real) (2 * loss->mean_weight * mean / loss->n_frames);
  for (guint t = loss->n_frames; t-- > 0;) {
    real p = d[t * step] - a * (t > 0 ? d[(t - 1) * step] : last);

    emphasised += (double) p * p;
    d[t * step] = (real) (2 * loss->error_weight) * (p - a * next) + of_mean;
    next = p;
  }
  *loss_sum +=
      emphasised * loss->error_weight + mean * mean * loss->mean_weight;
  return sum;
}

static double
differentiate_mse (
    const SeqStretchLoss *loss, real *d, gsize step, double *loss_sum)
{
  real weight = (real) loss->error_weight;
  double sum = 0;

  for (guint t = 0; t < loss->n_frames; t++) {
    real e = d[t * step];

    sum += (double) e * e;
    *loss_sum += (double) weight * e * e;
    d[t * step] = 2 * weight * e;
  }
  return sum;
}

static double
differentiate_huber (
    const SeqStretchLoss *loss, real *d, gsize step, double *loss_sum)
{
  real weight = (real) loss->error_weight;
  double sum = 0;

  for (guint t = 0; t < loss->n_frames; t++) {
    real e = d[t * step];

    sum += (double) e * e;
    *loss_sum += weight * (fabs (e) <= 1 ? (double) e * e / 2 : fabs (e) - 0.5);
    d[t * step] = weight * CLAMP (e, -1, 1);
  }
  return sum;
}

double
seq_loss_differentiate (const SeqStretchLoss *loss, real *errors, gsize step,
    real last, double *sum)
{
  switch (loss->loss) {
    case SEQ_LOSS_MSE:
      return differentiate_mse (loss, errors, step, sum);
    case SEQ_LOSS_HUBER:
      return differentiate_huber (loss, errors, step, sum);
    default:
      return differentiate_esr (loss, errors, step, last, sum);
  }
}
