/* softmax.h: one forecast of many, each weighed by how well it did of late.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 *   weight_k = (least error / error_k)^sharpness
 *
 * where an error is a running mean of squares. Errors begin with the means of
 * the first few frames, discounted quickly, so that the start does not choose.
 *
 * Memory of one: errors [n_vectors], forecasts [n_vectors], eight each. The
 * forecasts are written by the owner, and are what the next update judges.
 */
#pragma once

#include "src/simd/eight.h"

#define SOFTMAX_TINY ((real) 1e-35)

typedef struct {
  guint n; /* forecasts */
  guint n_vectors;
  guint squarings; /* the sharpness is 2^squarings */
  real memory;     /* frames */
  ueight rest;     /* added to the errors of what fills the last vector */
} Softmax;

static inline Softmax
softmax_init (guint n, guint squarings, double memory)
{
  Softmax softmax = { .n = n,
    .n_vectors = (n + EIGHT - 1) / EIGHT,
    .squarings = squarings,
    .memory = (real) memory };

  for (guint i = 0; i < EIGHT; i++)
    softmax.rest[i] = (softmax.n_vectors - 1) * EIGHT + i < n ? 0 : (real) 1e36;
  return softmax;
}

/* reals */
static inline gsize
softmax_size (const Softmax *softmax)
{
  return 2 * (gsize) softmax->n_vectors * EIGHT;
}

SEQ_INLINE eight *
softmax_forecasts (const Softmax *softmax, eight *memory)
{
  return memory + softmax->n_vectors;
}

/* x has come, the n-th (from 1 on); no square counts for more than `cap`. */
static inline void
softmax_update (
    const Softmax *softmax, eight *memory, real x, real cap, double n)
{
  const eight *forecasts = softmax_forecasts (softmax, memory);
  real rate = (real) MAX (4 / (n + 3), 1 / softmax->memory);
  eight most = eight_splat (cap);

  for (guint i = 0; i < softmax->n_vectors; i++) {
    eight e = x - forecasts[i];

    memory[i] = eight_fma (
        eight_splat (rate), eight_min (e * e, most) - memory[i], memory[i]);
  }
}

static inline real
softmax_mix (const Softmax *softmax, const eight *memory)
{
  const eight *forecasts = memory + softmax->n_vectors;
  guint last = softmax->n_vectors - 1;
  eight least = memory[last] + (eight) softmax->rest, weights = { 0 },
        sum = { 0 };

  for (guint i = 0; i < last; i++)
    least = eight_min (least, memory[i]);
  least = eight_splat (eight_least (least) + SOFTMAX_TINY);
  for (guint i = 0; i <= last; i++) {
    eight error = memory[i] + SOFTMAX_TINY;
    eight w;

    if (i == last)
      error += (eight) softmax->rest;
    w = least / error;
    for (guint k = 0; k < softmax->squarings; k++)
      w *= w;
    weights += w;
    sum = eight_fma (w, forecasts[i], sum);
  }
  return eight_sum (sum) / eight_sum (weights);
}

/* The weights as they are, [n]; they add up to 1. */
static inline void
softmax_weights (const Softmax *softmax, const eight *memory, double *weights)
{
  const real *errors = (const real *) memory;
  double least = INFINITY, sum = 0;

  for (guint i = 0; i < softmax->n; i++)
    least = MIN (least, (double) errors[i]);
  for (guint i = 0; i < softmax->n; i++) {
    weights[i] = pow ((least + (double) SOFTMAX_TINY)
                          / ((double) errors[i] + (double) SOFTMAX_TINY),
        1 << softmax->squarings);
    sum += weights[i];
  }
  for (guint i = 0; i < softmax->n; i++)
    weights[i] /= sum;
}

static inline gboolean
softmax_check (const Softmax *softmax, const eight *memory)
{
  const real *numbers = (const real *) memory;

  for (gsize i = 0; i < softmax_size (softmax); i++)
    if (!isfinite (numbers[i])
        || (i < softmax->n_vectors * EIGHT && numbers[i] < 0))
      return FALSE;
  return TRUE;
}

static inline void
softmax_scale (const Softmax *softmax, eight *memory, real factor)
{
  for (guint i = 0; i < softmax->n_vectors; i++) {
    memory[i] *= factor * factor;
    memory[softmax->n_vectors + i] *= factor;
  }
}
