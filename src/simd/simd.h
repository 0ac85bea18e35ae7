/* simd.h: vectors of reals, and the functions that layers need of them.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * GCC and Clang vector types at the width of the instruction set that a file
 * of models/ is being compiled for. In the double build the functions are
 * libm's, element by element: the reference.
 *
 * A lane must give the same bits however it is run, and so must instruction
 * sets that fuse a product with a sum. Compilers may not choose, therefore:
 * a * b + c is two operations everywhere (-ffp-contract=off), and what is to be
 * fused where the machine can says vec_fma() or real_fma().
 */
#pragma once

#include "src/layer.h"

#include <math.h>
#include <string.h>
#if defined(__SSE__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

/* The one symbol of a file of models/:
 * const SeqLayerClass SEQ_CLASS (lstm) = { ... };  is  seq_lstm_avx2, say */
#define SEQ_CLASS(kind) SEQ_CLASS_ (kind, SEQ_ISA)
#define SEQ_CLASS_(kind, isa) SEQ_CLASS__ (kind, isa)
#define SEQ_CLASS__(kind, isa) seq_##kind##_##isa

#if defined(SEQ_DOUBLE)
#define SEQ_VEC 4
#elif defined(__AVX512F__)
#define SEQ_VEC 16
#elif defined(__AVX__)
#define SEQ_VEC 8
#else
#define SEQ_VEC 4
#endif

typedef real vec
    __attribute__ ((vector_size (SEQ_VEC * sizeof (real)), may_alias));
/* the same at any address */
typedef real uvec __attribute__ ((
    vector_size (SEQ_VEC * sizeof (real)), aligned (sizeof (real)), may_alias));
#ifdef SEQ_DOUBLE
typedef gint64 ivec __attribute__ ((vector_size (SEQ_VEC * sizeof (gint64))));
#else
typedef gint32 ivec __attribute__ ((vector_size (SEQ_VEC * sizeof (gint32))));
#endif

#define SEQ_INLINE static inline __attribute__ ((always_inline, unused))

/* Marks an argument that every caller must give as a number known to the
 * compiler. The functions that have one are inlined, so that loops over it are
 * unrolled and their sums kept in registers, and branches on it vanish. */
#define CONSTANT const

/* A loop over registers, whose number is a constant. (Unrolled, a sanitizer's
 * checks take the compiler minutes.) */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define UNROLL(i, n) for (guint i = 0; i < (n); i++)
#else
#define UNROLL(i, n) _Pragma ("GCC unroll 32") for (guint i = 0; i < (n); i++)
#endif

SEQ_INLINE vec
vec_load (const real *p) /* aligned to a vector */
{
  return *(const vec *) p;
}

SEQ_INLINE vec
vec_loadu (const real *p)
{
  return (vec) * (const uvec *) p;
}

SEQ_INLINE void
vec_store (real *p, vec v) /* aligned to a vector */
{
  *(vec *) p = v;
}

/* The first n elements, of which there may be more than SEQ_VEC; to any
 * address. */
SEQ_INLINE void
vec_store_part (real *p, vec v, guint n)
{
  if (n >= SEQ_VEC) {
    *(uvec *) p = v;
    return;
  }
#if !defined(SEQ_DOUBLE) && defined(__AVX512F__)
  _mm512_mask_storeu_ps (p, (__mmask16) ((1u << n) - 1), (__m512) v);
#else
  for (guint i = 0; i < n; i++)
    p[i] = v[i];
#endif
}

SEQ_INLINE vec
vec_splat (real x)
{
  return (vec){ 0 } + x;
}

/* a * b + c: one operation, rounded once, on machines that have it */
SEQ_INLINE vec
vec_fma (vec a, vec b, vec c)
{
#if !defined(SEQ_DOUBLE) && defined(__AVX512F__)
  return (vec) _mm512_fmadd_ps ((__m512) a, (__m512) b, (__m512) c);
#elif !defined(SEQ_DOUBLE) && defined(__FMA__)
  return (vec) _mm256_fmadd_ps ((__m256) a, (__m256) b, (__m256) c);
#elif !defined(SEQ_DOUBLE) && defined(__aarch64__)
  return (vec) vfmaq_f32 ((float32x4_t) c, (float32x4_t) a, (float32x4_t) b);
#else
  return a * b + c;
#endif
}

/* c - a * b, likewise */
SEQ_INLINE vec
vec_fnma (vec a, vec b, vec c)
{
  return vec_fma (-a, b, c);
}

SEQ_INLINE real
real_fma (real a, real b, real c)
{
#if !defined(SEQ_DOUBLE) && (defined(__FMA__) || defined(__aarch64__))
  return __builtin_fmaf (a, b, c);
#else
  return a * b + c;
#endif
}

SEQ_INLINE double
double_fma (double a, double b, double c)
{
#if !defined(SEQ_DOUBLE) && (defined(__FMA__) || defined(__aarch64__))
  return __builtin_fma (a, b, c);
#else
  return a * b + c;
#endif
}

/* mask: all ones or all zeros an element, as comparisons give */
SEQ_INLINE vec
vec_select (ivec mask, vec yes, vec no)
{
  return (vec) (((ivec) yes & mask) | ((ivec) no & ~mask));
}

/* One bit an element of a mask. */
SEQ_INLINE guint
vec_bits (ivec mask)
{
#if !defined(SEQ_DOUBLE) && defined(__AVX512DQ__)
  return (guint) _mm512_movepi32_mask ((__m512i) mask);
#elif !defined(SEQ_DOUBLE) && defined(__AVX__)
  return (guint) _mm256_movemask_ps ((__m256) mask);
#elif !defined(SEQ_DOUBLE) && defined(__SSE__)
  return (guint) _mm_movemask_ps ((__m128) mask);
#elif !defined(SEQ_DOUBLE) && defined(__aarch64__)
  return vaddvq_u32 ((uint32x4_t) mask & (uint32x4_t){ 1, 2, 4, 8 });
#else
  guint bits = 0;

  for (guint i = 0; i < SEQ_VEC; i++)
    bits |= (guint) (mask[i] != 0) << i;
  return bits;
#endif
}

/* NaN stays NaN */
SEQ_INLINE vec
vec_clamp (vec x, real low, real high)
{
#if !defined(SEQ_DOUBLE) && defined(__AVX512F__)
  x = (vec) _mm512_max_ps ((__m512) vec_splat (low), (__m512) x);
  return (vec) _mm512_min_ps ((__m512) vec_splat (high), (__m512) x);
#elif !defined(SEQ_DOUBLE) && defined(__AVX__)
  x = (vec) _mm256_max_ps ((__m256) vec_splat (low), (__m256) x);
  return (vec) _mm256_min_ps ((__m256) vec_splat (high), (__m256) x);
#else
  x = vec_select (x < low, vec_splat (low), x);
  return vec_select (x > high, vec_splat (high), x);
#endif
}

#ifdef SEQ_DOUBLE

#define SEQ_EACH(v, f)                                                         \
  vec r;                                                                       \
  for (int i = 0; i < SEQ_VEC; i++)                                            \
    r[i] = f (v[i]);                                                           \
  return r

SEQ_INLINE vec
vec_exp (vec x)
{
  SEQ_EACH (x, exp);
}

SEQ_INLINE vec
vec_expm1 (vec x)
{
  SEQ_EACH (x, expm1);
}

SEQ_INLINE vec
vec_tanh_parts (vec *x, CONSTANT real scale, vec *below)
{
  *below = vec_splat (1);
  for (int i = 0; i < SEQ_VEC; i++)
    (*x)[i] = tanh (scale * (*x)[i]);
  return vec_splat (1);
}

#else

/* e^x = 2^n e^r with |r| <= ln 2 / 2. Adding 1.5 * 2^23 rounds to a whole
 * number and leaves it in the low bits, from where a shift makes it an
 * exponent. The polynomial is Cephes' expf (Moshier); its error is 1e-7 of
 * e^r. */
SEQ_INLINE vec
vec_expm1_reduced (vec x, vec *power)
{
  const real magic = 12582912.0f;
  vec shifted =
      vec_fma (x, vec_splat (1.44269504088896341f), vec_splat (magic));
  vec n = shifted - magic;
  vec r = vec_fma (n, vec_splat (-0.693359375f), x);
  vec p;

  r = vec_fma (n, vec_splat (2.12194440e-4f), r);
  p = vec_fma (r, vec_splat (1.9875691500e-4f), vec_splat (1.3981999507e-3f));
  p = vec_fma (p, r, vec_splat (8.3334519073e-3f));
  p = vec_fma (p, r, vec_splat (4.1665795894e-2f));
  p = vec_fma (p, r, vec_splat (1.6666665459e-1f));
  p = vec_fma (p, r, vec_splat (5.0000001201e-1f));
  *power = (vec) ((((ivec) shifted) << 23) + (127 << 23));
  return vec_fma (p, r * r, r);
}

/* -87 to 88; outside it stays at the ends */
SEQ_INLINE vec
vec_exp (vec x)
{
  vec power, p = vec_expm1_reduced (vec_clamp (x, -87, 88), &power);

  return vec_fma (p, power, power);
}

/* e^x - 1 without cancellation near 0 */
SEQ_INLINE vec
vec_expm1 (vec x)
{
  vec power, p = vec_expm1_reduced (vec_clamp (x, -87, 88), &power);

  return vec_fma (p, power, power - 1);
}

/* tanh (scale x) = x P / Q: bounds x, and returns P, with Q in below. scale is
 * a power of two.
 *
 * A minimax fit of x P (x^2) / Q (x^2) to |x| <= 9.02, from where on tanh is 1
 * in float32: within 2.1e-8 of tanh, 3e-7 with the rounding of its evaluation.
 * The bound is such that there x P and Q round to the same, with and without
 * fused multiply-adds, and the ratio is exactly 1. */
SEQ_INLINE vec
vec_tanh_parts (vec *x, CONSTANT real scale, vec *below)
{
  const real bound = 9.020195f / scale, s = scale * scale;
  vec u, u2, p, q;

  *x = vec_clamp (*x, -bound, bound);
  u = *x * *x;
  u2 = u * u;
  p = vec_fma (u, vec_splat (2.0583453e-05f * scale * s * s * s),
      vec_splat (0.0034940331f * scale * s * s));
  p = vec_fma (u2, vec_splat (1.331903e-08f * scale * s * s * s * s), p);
  p = vec_fma (u2, p,
      vec_fma (u, vec_splat (0.13379717f * scale * s), vec_splat (scale)));
  q = vec_fma (u, vec_splat (0.00032830902f * s * s * s),
      vec_splat (0.025871068f * s * s));
  q = vec_fma (u2, vec_splat (7.762003e-07f * s * s * s * s), q);
  *below =
      vec_fma (u2, q, vec_fma (u, vec_splat (0.46713033f * s), vec_splat (1)));
  return p;
}

#endif

/* tanh (x) and 1 / (1 + e^-x) = (1 + tanh (x / 2)) / 2 as above / below, of
 * which above is returned: so that a product of several costs one division. The
 * latter is within 2e-7, also where it is less. */
SEQ_INLINE vec
vec_tanh_ratio (vec x, vec *below)
{
  vec p = vec_tanh_parts (&x, 1, below);

  return x * p;
}

SEQ_INLINE vec
vec_sigmoid_ratio (vec x, vec *below)
{
  vec q, p = vec_tanh_parts (&x, (real) 0.5, &q);

  *below = q + q;
  return vec_fma (x, p, q);
}

SEQ_INLINE vec
vec_tanh (vec x)
{
  vec below, above = vec_tanh_ratio (x, &below);

  return above / below;
}

SEQ_INLINE vec
vec_sigmoid (vec x)
{
  vec below, above = vec_sigmoid_ratio (x, &below);

  return above / below;
}

/* The slope of tanh where it is y: 1 - y^2. */
SEQ_INLINE vec
tanh_slope (vec y)
{
  return vec_fnma (y, y, vec_splat (1));
}
