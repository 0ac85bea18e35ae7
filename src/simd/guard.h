/* guard.h: what a forecaster may believe of a sample that has come.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * s is the running mean of |innovation|, R the range of what was accepted.
 *
 *   impossible  further than 8 R outside the range: the sample is replaced by
 *               its forecast. The eighth in a row is accepted; if the eight
 *               innovations agree, the anchor moves by their median. One that
 *               repeats exactly is a sentinel, and parks the forecaster
 *   large       |innovation| above bar = 40 m s: counts as the bar, and it and
 *               the next 32 frames teach less
 *   m           widens by a quarter at each large one, and falls back slowly:
 *               what comes often is the signal
 *   crowd       8 large ones close together lift the guard for 64 frames
 *
 * State: Guard, doubles only. Nothing here depends on the units of the signal.
 */
#pragma once

#include "src/layer.h"

#include <math.h>

#define GUARD_BAR 40.0      /* times s */
#define GUARD_BEYOND 8.0    /* times R */
#define GUARD_RECENT 32     /* frames that a large one is remembered */
#define GUARD_PATIENCE 8    /* impossible ones until they are believed */
#define GUARD_HOLD 64       /* frames without a guard */
#define GUARD_PARK 1024     /* frames that a sentinel is waited out */
#define GUARD_FIRST 16      /* frames before there is a guard at all */
#define GUARD_MOST_WIDE 1e3 /* of m */
#define GUARD_LEAST 0.1     /* weight of a large sample */

typedef struct {
  double n;       /* innovations in s, to 128 */
  double s;       /* mean |innovation| */
  double wide;    /* m, from 1 up */
  double crowd;   /* large ones of late */
  double hold;    /* frames left without a guard */
  double missing; /* frames without a sample, in a row */
  double refill;  /* frames that fill the past again and teach nothing */
  double n_suspects;
  double suspects[GUARD_PATIENCE]; /* innovations of impossible samples */
  double suspect;                  /* the latest of them, as it came */
  double parked;                   /* frames */
  double calm;                     /* frames since a large one */
  double recent[GUARD_RECENT];     /* |innovation| of large ones, by frame */
  double at;                       /* place in recent */
} Guard;

typedef enum {
  GUARD_TAKE,    /* learn from it: see weight and limit */
  GUARD_REPLACE, /* go on with the forecast in its place */
  GUARD_PARKED,  /* do nothing: the same impossible value again */
} GuardVerdict;

typedef struct {
  gboolean large;
  double bar;    /* what was large; INFINITY: no guard */
  double weight; /* in learning, 0: only take it in */
  double limit;  /* an innovation counts as no more than that */
} GuardTaking;

/* The middle of n <= GUARD_PATIENCE values, which it sorts. */
static inline double
guard_median (double *values, guint n)
{
  for (guint i = 1; i < n; i++)
    for (guint k = i; k > 0 && values[k] < values[k - 1]; k--) {
      double x = values[k];

      values[k] = values[k - 1];
      values[k - 1] = x;
    }
  return values[n / 2];
}

/* No sample came, or none that is a number. */
static inline void
guard_miss (Guard *guard)
{
  guard->missing = MIN (guard->missing + 1, 1e9);
}

/* z: a sample, with the innovation e, outside or inside low..high of what was
 * accepted before; order: samples of the past that a forecast needs. moved: by
 * how much the anchor is to move if it is taken. */
static inline GuardVerdict
guard_judge (Guard *guard, double z, double e, double low, double high,
    double n_frames, guint order, double *moved)
{
  double range = high - low, distance;
  double sorted[GUARD_PATIENCE], middle;
  guint n = (guint) guard->n_suspects;

  *moved = 0;
  if (guard->missing > order)
    guard->refill = order;
  guard->missing = 0;
  distance = GUARD_BEYOND * range;
  if (n_frames <= GUARD_FIRST || !(range > 0)
      || (z <= high + distance && z >= low - distance)) {
    guard->n_suspects = 0;
    if (guard->parked > 0)
      guard->refill = order;
    guard->parked = 0;
    return GUARD_TAKE;
  }
  if (n < GUARD_PATIENCE - 1) {
    guard->suspects[n] = e;
    guard->n_suspects = n + 1;
    guard->suspect = z;
    return GUARD_REPLACE;
  }
  if (z == guard->suspect && guard->parked < GUARD_PARK) {
    guard->parked++;
    return GUARD_PARKED;
  }
  for (guint i = 0; i < n; i++)
    sorted[i] = guard->suspects[i];
  middle = guard_median (sorted, n);
  for (guint i = 0; i < n; i++)
    sorted[i] = fabs (guard->suspects[i] - middle);
  if (guard_median (sorted, n) < 0.25 * fabs (middle))
    *moved = middle;
  else
    guard->hold = GUARD_HOLD;
  guard->n_suspects = guard->parked = 0;
  return GUARD_TAKE;
}

/* How to learn from a sample with the innovation e that is taken. fall: by how
 * much of a quarter m falls back a frame. */
static inline GuardTaking
guard_take (Guard *guard, double e, double n_frames, double fall)
{
  GuardTaking taking = { .weight = 1, .limit = INFINITY, .bar = INFINITY };
  double size = fabs (e), most = 0;
  gboolean watch = n_frames > GUARD_FIRST;

  guard->wide = MAX (guard->wide * (1 - 0.25 * fall), 1);
  if (watch)
    taking.bar = GUARD_BAR * guard->wide * guard->s;
  taking.large = watch && size > taking.bar;
  if (taking.large) {
    guard->wide = MIN (guard->wide * 1.25, GUARD_MOST_WIDE);
    guard->crowd++;
    if (guard->crowd >= GUARD_PATIENCE) {
      guard->hold = GUARD_HOLD;
      guard->crowd = 0;
    }
  } else if (guard->crowd > 0) {
    guard->crowd = MAX (guard->crowd - 1.0 / 8, 0);
  }
  guard->at = guard->at + 1 == GUARD_RECENT ? 0 : guard->at + 1;
  if (guard->hold > 0) {
    guard->hold--;
    guard->s += (size - guard->s) / 16;
    guard->calm = GUARD_RECENT;
    for (guint i = 0; i < GUARD_RECENT; i++)
      guard->recent[i] = 0;
    taking.bar = INFINITY;
  } else {
    guard->recent[(guint) guard->at] = taking.large ? size : 0;
    guard->calm = taking.large ? 0 : MIN (guard->calm + 1, GUARD_RECENT);
    if (watch)
      taking.limit = GUARD_BAR * guard->wide * guard->s;
    if (guard->calm < GUARD_RECENT) {
      for (guint i = 0; i < GUARD_RECENT; i++)
        most = MAX (most, guard->recent[i]);
      taking.weight = MIN (taking.limit / most, 1);
      taking.weight = MAX (taking.weight * taking.weight, GUARD_LEAST);
    }
    guard->n = MIN (guard->n + 1, 128);
    guard->s += (MIN (size, watch ? 4 * guard->s : size) - guard->s) / guard->n;
    guard->s = MAX (guard->s, 1e-300);
  }
  if (guard->refill > 0) {
    guard->refill--;
    taking.weight = 0;
  }
  return taking;
}

/* The large sample before the latest has been taken back, and with it what it
 * did to s: seen so, the latest had the innovation e. Returns whether that is
 * large. */
static inline gboolean
guard_revise (Guard *guard, double s, double e)
{
  guint at = (guint) guard->at;
  gboolean large = fabs (e) > GUARD_BAR * s;

  guard->s = s;
  guard->recent[at == 0 ? GUARD_RECENT - 1 : at - 1] = 0;
  guard->recent[at] = large ? fabs (e) : 0;
  return large;
}

static inline gboolean
guard_check (const Guard *guard)
{
  const double *numbers = (const double *) guard;

  for (gsize i = 0; i < sizeof *guard / sizeof (double); i++)
    if (!isfinite (numbers[i]))
      return FALSE;
  return guard->n >= 0 && guard->n <= 128 && guard->s >= 0 && guard->wide >= 0
         && guard->n_suspects >= 0 && guard->n_suspects < GUARD_PATIENCE
         && guard->n_suspects == floor (guard->n_suspects) && guard->at >= 0
         && guard->at < GUARD_RECENT && guard->at == floor (guard->at);
}
