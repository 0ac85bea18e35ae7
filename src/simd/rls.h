/* rls.h: recursive least squares with exponential forgetting, in double.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The inverse covariance P = U diag (d) U' is kept as its factors, U unit upper
 * triangular (Bierman 1977, chapter 5): d stays positive by construction, so
 * that, unlike with P itself, hours of poorly exciting input do no harm. Three
 * guards more: nothing is learnt from a regressor below a power floor; no d
 * grows above the one it began with, which bounds P where the input excites
 * nothing and forgetting alone would blow it up; factors that are not finite
 * start again. Several outputs share the regressor and so the factors.
 *
 * Memory: a block of doubles, zeroed, aligned to SEQ_ALIGN:
 * U by columns [n][stride], d, f, b, alpha [stride] each, weights
 * [n_out][stride]. A regressor has stride values too, zeros behind n.
 */
#pragma once

#include "src/simd/simd.h"

#define RLS_FLOOR 1e-20 /* mean square of a regressor worth learning */

typedef struct {
  guint n, n_out, stride;
  double forgetting; /* 0.5..1 */
  double start;      /* d at the start: variance of a weight before
                      * anything is known, in the units of target
                      * over regressor, squared */
} Rls;

/* Vectors of doubles as wide as the instruction set has them. */
#if !defined(SEQ_DOUBLE) && defined(__AVX512F__)
#define DVEC 8
#elif !defined(SEQ_DOUBLE) && defined(__AVX__)
#define DVEC 4
#else
#define DVEC 2
#endif
typedef double dvec
    __attribute__ ((vector_size (DVEC * sizeof (double)), may_alias));

/* as vec_fma() */
SEQ_INLINE dvec
dvec_fma (dvec a, dvec b, dvec c)
{
#if !defined(SEQ_DOUBLE) && defined(__AVX512F__)
  return (dvec) _mm512_fmadd_pd ((__m512d) a, (__m512d) b, (__m512d) c);
#elif !defined(SEQ_DOUBLE) && defined(__FMA__)
  return (dvec) _mm256_fmadd_pd ((__m256d) a, (__m256d) b, (__m256d) c);
#elif !defined(SEQ_DOUBLE) && defined(__aarch64__)
  return (dvec) vfmaq_f64 ((float64x2_t) c, (float64x2_t) a, (float64x2_t) b);
#else
  return a * b + c;
#endif
}

SEQ_INLINE dvec *
dvec_at (double *p) /* aligned to a vector */
{
  return (dvec *) p;
}

static inline Rls
rls_init (guint n, guint n_out, double forgetting, double start)
{
  return (Rls){ .n = n,
    .n_out = n_out,
    .stride = (n + 7) / 8 * 8,
    .forgetting = forgetting,
    .start = start };
}

/* doubles */
static inline gsize
rls_size (const Rls *rls)
{
  return (gsize) (rls->n + 4 + rls->n_out) * rls->stride;
}

static inline double *
rls_weights (const Rls *rls, double *memory, guint output)
{
  return memory + (gsize) (rls->n + 4 + output) * rls->stride;
}

/* Forgets the covariance, not the weights. */
static inline void
rls_restart (const Rls *rls, double *memory)
{
  double *d = memory + (gsize) rls->n * rls->stride;

  memset (memory, 0, (gsize) rls->n * rls->stride * sizeof (double));
  for (guint j = 0; j < rls->n; j++)
    d[j] = rls->start;
}

/* The start: nothing is known but the weights of a layer whose tensors are
 * `weight` and perhaps `bias`, that of the last regressor. */
static inline void
rls_start (
    const Rls *rls, double *memory, const SeqLayer *layer, const real *weights)
{
  const SeqTensor *t = layer->tensors;

  rls_restart (rls, memory);
  for (guint o = 0; o < rls->n_out; o++) {
    double *w = rls_weights (rls, memory, o);

    for (guint i = 0; i < t[0].cols; i++)
      w[i] = weights[seq_tensor_index (&t[0], 0, o, i)];
    if (layer->n_tensors > 1)
      w[t[0].cols] = weights[seq_tensor_index (&t[1], 0, o, 0)];
  }
}

/* And back: what was learnt, into the tensors of such a layer. */
static inline void
rls_export (
    const Rls *rls, double *memory, const SeqLayer *layer, real *weights)
{
  const SeqTensor *t = layer->tensors;

  for (guint o = 0; o < rls->n_out; o++) {
    const double *w = rls_weights (rls, memory, o);

    for (guint i = 0; i < t[0].cols; i++)
      weights[seq_tensor_index (&t[0], 0, o, i)] = (real) w[i];
    if (layer->n_tensors > 1)
      weights[seq_tensor_index (&t[1], 0, o, 0)] = (real) w[t[0].cols];
  }
}

/* Whether memory from outside can be gone on from. */
static inline gboolean
rls_check (const Rls *rls, const double *memory)
{
  gsize size = rls_size (rls);

  for (gsize i = 0; i < size; i++)
    if (!isfinite (memory[i]))
      return FALSE;
  for (guint i = 0; i < rls->n; i++) /* d */
    if (memory[(gsize) rls->n * rls->stride + i] < 0)
      return FALSE;
  return TRUE;
}

/* Whether a number from outside is whole and in 0..max. */
static inline gboolean
is_place (double x, guint max)
{
  return x >= 0 && x <= max && x == floor (x);
}

/* Eight sums side by side, on vectors of any width. */
static inline double
rls_dot (const double *a, const double *b, guint stride)
{
  dvec parts[8 / DVEC] = { { 0 } };
  double sum[8];

  for (guint i = 0; i < stride; i += 8)
    for (guint j = 0; j < 8; j += DVEC)
      parts[j / DVEC] = dvec_fma (*(const dvec *) (a + i + j),
          *(const dvec *) (b + i + j), parts[j / DVEC]);
  memcpy (sum, parts, sizeof sum);
  return ((sum[0] + sum[4]) + (sum[2] + sum[6]))
         + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
}

static inline double
rls_predict (const Rls *rls, double *memory, const double *a, guint output)
{
  return rls_dot (a, rls_weights (rls, memory, output), rls->stride);
}

/* Learns that regressor a led to target [n_out]. */
static inline void
rls_update (const Rls *rls, double *memory, const double *a, const real *target)
{
  guint n = rls->n, stride = rls->stride;
  double *d = memory + (gsize) n * stride, *f = d + stride;
  double *b = f + stride, *alpha = b + stride;
  double before = rls->forgetting, keep = 1 / rls->forgetting, total;

  if (rls_dot (a, a, stride) <= RLS_FLOOR * n)
    return;
  /* f = U' a */
  for (guint j = 0; j < n; j++)
    f[j] = a[j] + rls_dot (memory + (gsize) j * stride, a, (j + 7) / 8 * 8);
  total = before;
  for (guint j = 0; j < n; j++) {
    total = double_fma (d[j] * f[j], f[j], total);
    alpha[j] = total;
  }
  if (!isfinite (total)) {
    rls_restart (rls, memory);
    return;
  }
  for (guint j = 0; j < n; j++) {
    double *restrict u = memory + (gsize) j * stride, *restrict gain = b;
    double v = d[j] * f[j], inverse = 1 / alpha[j];
    double p = -f[j] / before;
    guint i = 0;

    /* columns are zero from their diagonal on: whole vectors do no harm */
    for (; i < j; i += DVEC) {
      dvec old = *dvec_at (u + i), g = *dvec_at (gain + i);

      *dvec_at (u + i) = dvec_fma (g, (dvec){ 0 } + p, old);
      *dvec_at (gain + i) = dvec_fma (old, (dvec){ 0 } + v, g);
    }
    for (i = j; i < (j + 7) / 8 * 8; i++)
      u[i] = 0;
    gain[j] = v;
    d[j] = MIN (d[j] * before * inverse * keep, rls->start);
    before = alpha[j];
  }
  for (guint j = n; j < stride; j++)
    b[j] = 0;
  for (guint o = 0; o < rls->n_out; o++) {
    double *w = rls_weights (rls, memory, o);
    double e = (target[o] - rls_predict (rls, memory, a, o)) / total;

    if (isfinite (e))
      for (guint i = 0; i < stride; i += DVEC)
        *dvec_at (w + i) =
            dvec_fma (*dvec_at (b + i), (dvec){ 0 } + e, *dvec_at (w + i));
  }
}
