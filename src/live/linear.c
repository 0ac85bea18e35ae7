/* linear.c: the linear forecaster around which a net stands.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/live/linear.h"

#include <math.h>
#include <string.h>

#define MIX_MEMORY 200.0 /* frames */
#define SHARPNESS 3      /* the eighth power */
#define SURPRISE 40.0    /* times the RMS of what is left */
#define FIRST 16         /* frames before anything is a surprise */
#define MOST 8.0         /* of a number that the net sees or says */
#define STEP 64.0        /* a square counts for no more than so many means */
#define TINY 1e-150      /* there is nothing to forecast */

static double
follow_power (double power, double value, double n)
{
  double square = value * value;

  if (n > FIRST && power > 0)
    square = MIN (square, STEP * power);
  return power + (square - power) / n;
}

static double
in_units (double value, double unit)
{
  return unit > TINY ? CLAMP (value / unit, -MOST, MOST) : 0;
}

/* The net's input at a frame. to_come: p[t] - x[t]. */
static void
fill_features (const SeqLinear *l, double x, double left, double change,
    double to_come, real *in)
{
  double unit_left = sqrt (l->power_left);
  double unit_change = sqrt (l->power_change);

  in[0] = (real) CLAMP (x, -MOST, MOST);
  in[1] = (real) in_units (left, unit_left);
  in[2] = (real) in_units (l->left[0], unit_left);
  in[3] = (real) in_units (l->left[1], unit_left);
  in[4] = (real) in_units (change, unit_change);
  in[5] = (real) in_units (l->change[0], unit_change);
  in[6] = (real) in_units (l->change[1], unit_change);
  in[7] = (real) in_units (to_come, unit_change);
}

/* Goes over frame t; returns whether the net can learn from its target. */
static gboolean
feed_frame (SeqLinear *l, const SeqLinearBlock *b, guint t)
{
  double x = b->x[t], p = b->p[t * b->p_stride];
  double before = t > 0 ? b->p[(t - 1) * b->p_stride] : l->p;
  double left = l->begun ? x - before : 0, change = l->begun ? x - l->last : 0;
  gboolean surprise = !b->valid
                      || (l->n > FIRST && l->power_left > 0
                          && fabs (left) > SURPRISE * sqrt (l->power_left));

  l->calm = surprise ? 0 : MIN (l->calm + 1, SEQ_LINEAR_CALM);
  b->target[t * b->target_stride] =
      (real) in_units (b->slow ? change : left, l->unit);
  /* digital silence is not what the signal is like */
  if (b->learns && b->valid && l->begun && (left != 0 || change != 0)) {
    l->n = MIN (l->n + 1, SEQ_LINEAR_MEMORY);
    l->power_left = follow_power (l->power_left, left, l->n);
    l->power_change = follow_power (l->power_change, change, l->n);
  }
  fill_features (l, (x - b->shift[t]) * b->scale[t], left, change, p - x,
      b->in + t * b->in_stride);
  l->left[1] = l->left[0];
  l->left[0] = left;
  l->change[1] = l->change[0];
  l->change[0] = change;
  l->last = x;
  l->unit = sqrt (b->slow ? l->power_change : l->power_left);
  b->unit[t] = l->calm < SEQ_LINEAR_CALM ? 0 : l->unit;
  surprise |= !l->begun;
  l->begun = 1;
  return !surprise;
}

void
seq_linear_set_units (SeqLinear *linear, double left, double change)
{
  linear->power_left = left * left;
  linear->power_change = change * change;
  linear->n = SEQ_LINEAR_MEMORY;
}

double
seq_linear_unit (const SeqLinear *linear, gboolean change)
{
  double unit = sqrt (change ? linear->power_change : linear->power_left);

  return unit > TINY ? unit : 1;
}

void
seq_linear_feed (SeqLinear *linear, const SeqLinearBlock *block)
{
  for (guint t = 0; t < block->n_frames; t++)
    if (!feed_frame (linear, block, t))
      block->judged[t * block->judged_stride] = 0;
}

/* By how well p and q did; a net that has not been judged is believed: a new
 * one is silent. */
static double
weight_of_net (const SeqLinear *l)
{
  double ratio = (l->missed[0] + TINY) / (l->missed[1] + TINY);

  if (l->n_judged == 0)
    return 1;
  ratio = CLAMP (ratio, 1e-6, 1e6);
  for (guint i = 0; i < SHARPNESS; i++)
    ratio *= ratio;
  return ratio / (1 + ratio);
}

static void
judge (SeqLinear *l, double x)
{
  double rate, errors[] = { x - l->p, x - l->q };

  l->n_judged = MIN (l->n_judged + 1, 0x1p50);
  rate = MAX (4 / (l->n_judged + 3), 1 / MIX_MEMORY);
  for (guint i = 0; i < 2; i++)
    l->missed[i] += rate * (errors[i] * errors[i] - l->missed[i]);
}

void
seq_linear_mix (SeqLinear *linear, const SeqLinearBlock *block, const real *out,
    gsize out_stride, double *y)
{
  for (guint t = 0; t < block->n_frames; t++) {
    double p = block->p[t * block->p_stride], q = p;
    double said = CLAMP ((double) out[t * out_stride], -MOST, MOST);

    if (block->learns && block->judged[t * block->judged_stride])
      judge (linear, block->x[t]);
    if (block->unit[t] > TINY && isfinite (said))
      q = (block->slow ? block->x[t] : p) + block->unit[t] * said;
    linear->p = p;
    linear->q = q;
    y[t] = p + weight_of_net (linear) * (q - p);
  }
}

void
seq_linear_rewind (SeqLinear *linear)
{
  linear->begun = 0;
}

gboolean
seq_linear_check (const SeqLinear *linear)
{
  const double *numbers = (const double *) linear;

  for (gsize i = 0; i < sizeof *linear / sizeof (double); i++)
    if (!isfinite (numbers[i]))
      return FALSE;
  return linear->n >= 0 && linear->n <= SEQ_LINEAR_MEMORY
         && linear->power_left >= 0 && linear->power_change >= 0
         && linear->unit >= 0 && linear->calm >= 0 && linear->n_judged >= 0
         && linear->missed[0] >= 0 && linear->missed[1] >= 0;
}
