/* eight.h: vectors of eight reals: eight memories of a filter, or eight
 * forecasts, side by side, whatever the instruction set's own width.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "src/simd/simd.h"

#define EIGHT 8

typedef real eight
    __attribute__ ((vector_size (EIGHT * sizeof (real)), may_alias));
#ifdef SEQ_DOUBLE
typedef gint64 eight_mask
    __attribute__ ((vector_size (EIGHT * sizeof (gint64))));
#else
typedef gint32 eight_mask
    __attribute__ ((vector_size (EIGHT * sizeof (gint32))));
#endif

/* the same at any address: instances of layers are not aligned */
typedef real ueight __attribute__ ((
    vector_size (EIGHT * sizeof (real)), aligned (sizeof (real)), may_alias));

SEQ_INLINE eight
eight_splat (real x)
{
  return (eight){ 0 } + x;
}

/* a * b + c and c - a * b: rounded once on machines that have it, see simd.h */
SEQ_INLINE eight
eight_fma (eight a, eight b, eight c)
{
#if !defined(SEQ_DOUBLE) && defined(__FMA__)
  return (eight) _mm256_fmadd_ps ((__m256) a, (__m256) b, (__m256) c);
#elif !defined(SEQ_DOUBLE) && defined(__aarch64__)
  float32x4_t x[2], y[2], z[2];

  memcpy (x, &a, sizeof x);
  memcpy (y, &b, sizeof y);
  memcpy (z, &c, sizeof z);
  z[0] = vfmaq_f32 (z[0], x[0], y[0]);
  z[1] = vfmaq_f32 (z[1], x[1], y[1]);
  memcpy (&c, z, sizeof z);
  return c;
#else
  return a * b + c;
#endif
}

SEQ_INLINE eight
eight_fnma (eight a, eight b, eight c)
{
  return eight_fma (-a, b, c);
}

/* b where one of the two is NaN, as x86 has it */
SEQ_INLINE eight
eight_min (eight a, eight b)
{
#if !defined(SEQ_DOUBLE) && defined(__AVX__)
  return (eight) _mm256_min_ps ((__m256) a, (__m256) b);
#else
  eight_mask less = a < b;

  return (eight) (((eight_mask) a & less) | ((eight_mask) b & ~less));
#endif
}

SEQ_INLINE eight
eight_max (eight a, eight b)
{
#if !defined(SEQ_DOUBLE) && defined(__AVX__)
  return (eight) _mm256_max_ps ((__m256) a, (__m256) b);
#else
  eight_mask more = a > b;

  return (eight) (((eight_mask) a & more) | ((eight_mask) b & ~more));
#endif
}

/* NaN becomes low */
SEQ_INLINE eight
eight_clamp (eight x, eight low, eight high)
{
  return eight_min (eight_max (x, low), high);
}

SEQ_INLINE real
eight_sum (eight x)
{
  return ((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + (x[3] + x[7]));
}

SEQ_INLINE real
eight_least (eight x)
{
  real a = MIN (MIN (x[0], x[4]), MIN (x[2], x[6]));
  real b = MIN (MIN (x[1], x[5]), MIN (x[3], x[7]));

  return MIN (a, b);
}
