/* cascade.h: one stage of a cascade of normalised least mean squares, which
 * forecasts what the stage before it has left.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 *   q = sum over i < n of w_i r[t - i]          forecast of r[t + 1]
 *   w_i += rate e r[t - i] / (power of r over the stage)
 *
 * The power is the larger of that of all n values and that of the latest few,
 * so that an onset does not overstep.
 *
 * Memory of one: Cascade, weights [n], r [2][n + SEQ_TILE], newest first and
 * written twice, so that the latest n + 1 lie in one piece.
 */
#pragma once

#include "src/simd/simd.h"

typedef struct {
  guint n;   /* a multiple of 2 SEQ_TILE */
  real rate; /* of the error that an update takes away */
} CascadeShape;

typedef struct {
  real place;  /* of the newest value, 0..n - 1 */
  real recent; /* mean square of the latest values */
  real power;  /* sum of the squares of the last n */
  real forecast;
  real given; /* what the owner made of it: the next stage has the rest */
  real unused[SEQ_TILE - 5];
  real numbers[];
} Cascade;

#define CASCADE_RECENT ((real) (1 / 16.0))

static inline CascadeShape
cascade_shape (guint n)
{
  n = (n + 2 * SEQ_TILE - 1) / (2 * SEQ_TILE) * (2 * SEQ_TILE);
  return (CascadeShape){ .n = n,
    .rate = (real) (n >= 1024  ? .1
                    : n >= 128 ? .12
                               : .06) };
}

/* reals */
static inline gsize
cascade_size (const CascadeShape *shape)
{
  return sizeof (Cascade) / sizeof (real) + 3 * (gsize) shape->n + 2 * SEQ_TILE;
}

static inline gboolean
cascade_check (const CascadeShape *shape, const Cascade *cascade)
{
  const real *numbers = (const real *) cascade;

  for (gsize i = 0; i < cascade_size (shape); i++)
    if (!isfinite (numbers[i]))
      return FALSE;
  return cascade->place >= 0 && cascade->place < shape->n + SEQ_TILE
         && cascade->place == (real) (guint) cascade->place
         && cascade->recent >= 0 && cascade->power >= 0;
}

static inline void
cascade_scale (const CascadeShape *shape, Cascade *cascade, real factor)
{
  cascade->recent *= factor * factor;
  cascade->power *= factor * factor;
  cascade->forecast *= factor;
  cascade->given *= factor;
  for (guint i = 0; i < 2 * (shape->n + SEQ_TILE); i++)
    cascade->numbers[shape->n + i] *= factor;
}

/* r has come: learns from the error of its forecast, unless learn is 0 (1
 * otherwise), and forecasts the next. floor: added to the power of a value. */
static inline real
cascade_step (
    const CascadeShape *shape, Cascade *cascade, real r, real learn, real floor)
{
  guint n = shape->n, ring = n + SEQ_TILE, place = (guint) cascade->place;
  real *w = cascade->numbers, *past = w + n;
  const real *before = past + place, *now;
  real power = MAX (cascade->power, cascade->recent * (real) n);
  real step = learn * shape->rate * (r - cascade->forecast)
              / (power + (floor + (real) 1e-35) * (real) n);
  vec sum = { 0 }, sum1 = { 0 }, squares = { 0 }, squares1 = { 0 };
  real forecast = 0;

  place = place == 0 ? ring - 1 : place - 1;
  past[place] = past[place + ring] = r;
  now = past + place;
  for (guint i = 0; i < n; i += 2 * SEQ_VEC) {
    vec w0 =
        vec_fma (vec_splat (step), vec_loadu (before + i), vec_load (w + i));
    vec w1 = vec_fma (vec_splat (step), vec_loadu (before + i + SEQ_VEC),
        vec_load (w + i + SEQ_VEC));
    vec x0 = vec_loadu (now + i), x1 = vec_loadu (now + i + SEQ_VEC);

    vec_store (w + i, w0);
    vec_store (w + i + SEQ_VEC, w1);
    sum = vec_fma (w0, x0, sum);
    sum1 = vec_fma (w1, x1, sum1);
    squares = vec_fma (x0, x0, squares);
    squares1 = vec_fma (x1, x1, squares1);
  }
  sum += sum1;
  squares += squares1;
  power = 0;
  for (guint i = 0; i < SEQ_VEC; i++) {
    forecast += sum[i];
    power += squares[i];
  }
  cascade->place = (real) place;
  cascade->recent += CASCADE_RECENT * (r * r - cascade->recent);
  cascade->power = power;
  return cascade->forecast = forecast;
}
