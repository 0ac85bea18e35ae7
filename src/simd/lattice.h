/* lattice.h: least squares forecasts of every order from 1 up, at eight speeds
 * of forgetting at once: the a-priori lattice with error feedback.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Source: Haykin, Adaptive Filter Theory, chapter 16 of the fourth edition
 * (recursive least squares lattice using a-priori errors with error feedback).
 * With f_0 = b_0 = x[t], and a primed letter for what it was a frame ago,
 *
 *   f_{m+1} = f_m + kf_m b'_m        forward and backward errors, made with
 *   b_{m+1} = b'_m + kb_m f_m        the coefficients of the frame before
 *   kf_m   -= gain (b'_m) f_{m+1}    then each coefficient follows its error
 *   kb_m   -= gain (f_m) b_{m+1}
 *   forecast of order M of x[t + 1] = - sum over m < M of kf_m b_m
 *
 * gain (b'_m) = c_m b'_m / B_m, where B_m = forgetting B_m + c_m b'_m^2 and c_m
 * is the conversion factor, c_{m+1} = c_m - c_m^2 b'_m^2 / B_m. Written so,
 * each stage waits for the division of the one before. In its inverse g = 1 /
 * c,
 *
 *   D = forgetting B_m + floor,   g_{m+1} = g_m + b'_m^2 / D,
 *   gain (b'_m) = b'_m / (g_m D + b'_m^2),   c_{m+1} = D / (g_m D + b'_m^2)
 *
 * is the same, cancels nothing, and leaves a sum as all that is carried from
 * stage to stage.
 *
 * Memory of one lattice: Lattice, then a LatticeStage an order. Numbers of any
 * scale go in: inside they are multiplied by a power of two that keeps their
 * power near 1, so that squares of squares stay within the range of real.
 */
#pragma once

#include "src/simd/eight.h"

#define LATTICE_MAX_ORDER 1024
#define LATTICE_MAX_TAKEN 5

/* What is fixed: made in init(). */
typedef struct {
  ueight forgetting;
  ueight forget; /* 1 - forgetting */
  guint order;
  guint taken[LATTICE_MAX_TAKEN], n_taken; /* orders whose forecasts are given,
                                            * rising; the last is `order` */
} LatticeShape;

/* What is carried. */
typedef struct {
  eight kf, kb; /* of order m + 1 */
  eight F, B;   /* energies of the errors of order m */
  eight b;      /* backward error of order m at the latest frame */
} LatticeStage;

typedef struct {
  real n;       /* frames learnt from, to LATTICE_MEMORY; 0: not begun */
  real power;   /* mean square of the last LATTICE_MEMORY, times scale^2 */
  double scale; /* a power of two */
  real unused[2 * EIGHT - 2 - sizeof (double) / sizeof (real)];
  LatticeStage stages[];
} Lattice;

#define LATTICE_MEMORY 10000
#define LATTICE_START ((real) 1e-3) /* first energies, of the first square */
#define LATTICE_FLOOR ((real) 1e-6) /* of the power: energies stay above */
#define LATTICE_TINY ((real) 1e-15) /* and above that */
#define LATTICE_RANGE                                                          \
  ((real) (1 << 20))                /* of power, either way, and of inputs */
#define LATTICE_MOST_G ((real) 1e4) /* conversion factors stay above 1e-4 */

/* forgetting NULL: the usual eight. */
static inline LatticeShape
lattice_shape (guint order, const double *forgetting)
{
  static const double usual[EIGHT] = { .98, .99, .995, .998, .999, .9995, .9998,
    .99995 };
  static const guint low[] = { 2, 8, 16, 32 };
  LatticeShape shape = { .order = order };

  for (guint i = 0; i < EIGHT; i++) {
    double f = forgetting ? *forgetting : usual[i];

    shape.forgetting[i] = (real) f;
    shape.forget[i] = (real) (1 - f);
  }
  for (guint i = 0; i < G_N_ELEMENTS (low) && low[i] < order; i++)
    shape.taken[shape.n_taken++] = low[i];
  shape.taken[shape.n_taken++] = order;
  return shape;
}

/* reals */
static inline gsize
lattice_size (const LatticeShape *shape)
{
  return (sizeof (Lattice) + shape->order * sizeof (LatticeStage))
         / sizeof (real);
}

static inline gboolean
lattice_check (const LatticeShape *shape, const Lattice *lattice)
{
  const real *numbers = (const real *) lattice;

  for (gsize i = 0; i < lattice_size (shape); i++)
    if (!isfinite (numbers[i]))
      return FALSE;
  if (!(lattice->n >= 0 && lattice->n <= LATTICE_MEMORY && lattice->power >= 0
          && (lattice->n == 0 || lattice->scale > 0)))
    return FALSE;
  for (guint m = 0; m < shape->order; m++)
    for (guint i = 0; i < EIGHT; i++)
      if (!(lattice->stages[m].F[i] >= 0 && lattice->stages[m].B[i] >= 0))
        return FALSE;
  return TRUE;
}

/* Scales are within 2^-1000 to 2^1000. */
static inline double
lattice_scale_for (int exponent)
{
  return ldexp (1, CLAMP (-exponent, -1000, 1000));
}

static inline void
lattice_begin (const LatticeShape *shape, Lattice *lattice, double x)
{
  int exponent;
  real u;

  frexp (x, &exponent);
  lattice->scale = lattice_scale_for (exponent);
  u = (real) (x * lattice->scale);
  lattice->power = u * u;
  for (guint m = 0; m < shape->order; m++)
    lattice->stages[m].F = lattice->stages[m].B =
        eight_splat (LATTICE_START * u * u);
}

/* Another scale: what depends on it follows exactly. */
static inline void
lattice_rescale (const LatticeShape *shape, Lattice *lattice, double scale)
{
  real factor = (real) (scale / lattice->scale), square = factor * factor;

  lattice->scale = scale;
  lattice->power *= square;
  for (guint m = 0; m < shape->order; m++) {
    LatticeStage *s = &lattice->stages[m];

    s->b *= factor;
    s->F *= square;
    s->B *= square;
  }
}

/* x times scale, after that has been brought near the signal's. */
static inline real
lattice_input (
    const LatticeShape *shape, Lattice *lattice, double x, real weight)
{
  int exponent;
  real u;

  if (G_UNLIKELY (!(fabs (x * lattice->scale) < LATTICE_RANGE))) {
    frexp (x, &exponent);
    lattice_rescale (shape, lattice, lattice_scale_for (exponent));
  }
  u = (real) (x * lattice->scale);
  lattice->n = MIN (lattice->n + 1, LATTICE_MEMORY);
  lattice->power += weight / lattice->n * (u * u - lattice->power);
  if (G_UNLIKELY (!(lattice->power < LATTICE_RANGE
                      && lattice->power * LATTICE_RANGE > 1)
                  && lattice->power > 0)) {
    int of_scale;

    frexp ((double) lattice->power, &exponent);
    frexp (lattice->scale, &of_scale);
    lattice_rescale (
        shape, lattice, lattice_scale_for (exponent / 2 - of_scale + 1));
    u = (real) (x * lattice->scale);
  }
  return u;
}

/* Takes x in and learns from it with `weight`, 0.1 to 1, and writes the
 * forecasts of what comes next, [n_taken], times scale. */
static inline void
lattice_learn (const LatticeShape *shape, Lattice *lattice, double x,
    real weight, eight *forecasts)
{
  const eight forgetting = (eight) shape->forgetting;
  eight f, b, forecast = { 0 }, floor, most;
  eight g = eight_splat (1 / weight), c = eight_splat (weight);
  guint m = 0;

  if (lattice->n == 0) {
    for (guint i = 0; i < shape->n_taken; i++)
      forecasts[i] = (eight){ 0 };
    if (x == 0)
      return;
    lattice_begin (shape, lattice, x);
  }
  f = b = eight_splat (lattice_input (shape, lattice, x, weight));
  floor =
      (eight) shape->forget * (LATTICE_FLOOR * lattice->power + LATTICE_TINY);
  most = g * LATTICE_MOST_G;

  for (guint i = 0; i < shape->n_taken; i++) {
    for (; m < shape->taken[i]; m++) {
      LatticeStage *s = &lattice->stages[m];
      eight old = s->b, kf = s->kf, kb = s->kb;
      eight f1 = eight_fma (kf, old, f), b1 = eight_fma (kb, f, old);
      eight old2 = old * old, f2 = f * f;
      eight D = eight_fma (forgetting, s->B, floor);
      eight E = eight_fma (forgetting, s->F, floor);
      eight p = eight_fma (g, D, old2), q = eight_fma (g, E, f2);
      /* one division for two quotients */
      eight r = 1 / (p * q), by_p = r * q, by_q = r * p;

      s->B = eight_fma (c, old2, D);
      s->F = eight_fma (c, f2, E);
      kf = eight_fnma (old * by_p, f1, kf);
      kb = eight_fnma (f * by_q, b1, kb);
      s->kf = kf;
      s->kb = kb;
      s->b = b;
      forecast = eight_fnma (kf, b, forecast);
      g = eight_min (g + old2 / D, most);
      c = D * by_p;
      f = f1;
      b = b1;
    }
    forecasts[i] = forecast;
  }
}

/* Takes x in and learns nothing. */
static inline void
lattice_shift (
    const LatticeShape *shape, Lattice *lattice, double x, eight *forecasts)
{
  eight f = eight_splat ((real) (x * lattice->scale)), b = f;
  eight forecast = { 0 };
  guint m = 0;

  for (guint i = 0; i < shape->n_taken; i++) {
    for (; m < shape->taken[i]; m++) {
      LatticeStage *s = &lattice->stages[m];
      eight old = s->b;

      s->b = b;
      forecast = eight_fnma (s->kf, b, forecast);
      b = eight_fma (s->kb, f, old);
      f = eight_fma (s->kf, old, f);
    }
    forecasts[i] = forecast;
  }
}
