/* linear.h: the linear forecaster around which a net stands. It forecasts
 * first; the net sees what that left, and forecasts what it will leave, or the
 * change of the signal; and both are mixed by how well they did of late.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 *   p[t]  the linear forecast of x[t + 1]
 *   left  x[t] - p[t - 1], and the change x[t] - x[t - 1]; each in units of
 *         its running RMS
 *   the net's input: x, normalised; the latest three left; the latest three
 *   changes; p[t] - x[t]
 *   q[t]  p[t] + what the net says will be left; of a slow signal x[t] + what
 *         it says will be the change
 *   y[t]  p and q, weighed by (least error / error)^8, over 200 frames
 *
 * A surprise of 40 times the usual one, and the 32 frames after it, are for the
 * linear forecaster alone: its guard knows what to do.
 */
#pragma once

#include "src/model.h"

G_BEGIN_DECLS

/* Of these the first is x, from SEQ_LINEAR_LEFT on are residuals, and from
 * SEQ_LINEAR_CHANGE on changes. */
enum { SEQ_LINEAR_LEFT = 1, SEQ_LINEAR_CHANGE = 4 };

#define SEQ_LINEAR_MEMORY 2048 /* frames of the powers */
#define SEQ_LINEAR_CALM 32     /* frames that a surprise is remembered */

/* Carried for a channel, beside the state of the linear model; zeros at the
 * start. */
typedef struct {
  double begun;      /* 0: the next frame has nothing before it */
  double n;          /* frames in the powers, to SEQ_LINEAR_MEMORY */
  double last;       /* x */
  double left[2];    /* of the latest two frames */
  double change[2];  /* likewise */
  double power_left; /* running mean squares */
  double power_change;
  double unit;      /* of what the net was asked for */
  double calm;      /* frames since the last surprise, to SEQ_LINEAR_CALM */
  double p, q;      /* forecasts of the next frame */
  double n_judged;  /* frames in missed, to 2^50 */
  double missed[2]; /* running mean squares of the errors of p and q */
} SeqLinear;

/* A channel's frames on their way round the net. Arrays are [n_frames], with a
 * stride of 1 where there is none beside. */
typedef struct {
  guint n_frames;
  gboolean learns;
  gboolean valid; /* x came; FALSE only for a single frame */
  gboolean slow;  /* the net forecasts the change */
  const double *x;
  const double *shift, *scale; /* that normalise x */
  const double *p;             /* of this frame on the next */
  gsize p_stride;
  double *unit; /* of what the net forecasts; 0: it is not to be believed */
  real *in;     /* the net's input: [SEQ_LINEAR_FEATURES] a frame; written */
  gsize in_stride;
  real *target; /* what the net should have said the frame before; written */
  gsize target_stride;
  guint8 *judged; /* cleared where there is nothing to learn from target */
  gsize judged_stride;
} SeqLinearBlock;

/* For a net that knows its scales: unit of the residuals, unit of the changes.
 * Real-time safe. */
void seq_linear_set_units (SeqLinear *linear, double left, double change);
/* The unit of the residuals or of the changes; 1 where there is none yet. */
double seq_linear_unit (const SeqLinear *linear, gboolean change);
/* What the net is to see, and what it should have said. Real-time safe. */
void seq_linear_feed (SeqLinear *linear, const SeqLinearBlock *block);
/* After that the net has said `out`, a value a frame: forecasts y of the next
 * frames. Real-time safe. */
void seq_linear_mix (SeqLinear *linear, const SeqLinearBlock *block,
    const real *out, gsize out_stride, double *y);
/* The next frame has nothing before it. Real-time safe. */
void seq_linear_rewind (SeqLinear *linear);
/* Whether one that was written from outside can be used. */
gboolean seq_linear_check (const SeqLinear *linear);

G_END_DECLS
