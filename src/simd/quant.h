/* quant.h: products of tensors with rows in integers, for weights that are
 * stored as 16 or 8 bits and rows that lie in -1..1, as a net's own output.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 *   sum over k of w[row][k] x[k] = scale[row] * sum of int (w / scale)[k] X[k]
 *
 * X is x in units of 1 / QUANT_ONE. The scale of a row is such that neither a
 * weight leaves its 16 or 8 bits nor a sum its 32: sums are exact, and the same
 * on every instruction set.
 *
 * Packed, behind the tensors of a layer's params: integers [tile][pair of
 * columns][gate][row % SEQ_TILE][2], then scales [tile][gate][row % SEQ_TILE].
 */
#pragma once

#include "src/simd/product.h"

#define QUANT_ONE 8192 /* 1 in X */

enum { QUANT_NONE, QUANT_INT16, QUANT_INT8 };

/* A packed tensor: where it is in the params of its layer, in reals. */
typedef struct {
  gsize weights, scales;
} Quant;

/* What a recurrent layer packs. Its input is quantised, too, where it lies in
 * -1..1. */
typedef struct {
  guint precision;
  guint bounded_input;
  Quant ih, hh;
} QuantCell;

#define QUANT_OPTIONS "precision", "bounded_input"

/* X of one row, padded to whole vectors, for as many columns as a layer that
 * is quantised may have. */
typedef gint16 QuantRow[4096 + SEQ_ALIGN / 2]
    __attribute__ ((aligned (SEQ_ALIGN)));

/* Rows of one lane: the input, and the state of this frame and the next. */
typedef struct {
  QuantRow x, h[2];
} QuantRows;

SEQ_INLINE guint
quant_pairs (const SeqTensor *t)
{
  return (t->cols + 1) / 2;
}

/* Integers from one tile to the next. */
SEQ_INLINE gsize
quant_tile (const SeqTensor *t)
{
  return (gsize) quant_pairs (t) * t->gates * SEQ_TILE * 2;
}

/* For init(): makes room for a tensor, packed. */
SEQ_INLINE void
quant_add (SeqLayer *layer, const SeqTensor *t, guint precision, Quant *q)
{
  gsize tiles = SEQ_PAD (t->rows) / SEQ_TILE;
  gsize bytes = tiles * quant_tile (t) * (precision == QUANT_INT8 ? 1 : 2);

  q->weights = layer->n_params;
  q->scales = q->weights + SEQ_PAD (bytes / sizeof (real));
  layer->n_params = q->scales + tiles * t->gates * SEQ_TILE;
}

/* For init(), when the tensors are there: reads the options, and makes room. */
SEQ_INLINE gboolean
quant_init (SeqLayer *layer, GVariant *config, const SeqTensor *ih,
    const SeqTensor *hh, QuantCell *q, GError **error)
{
  static const char *const words[] = { "float", "int16", "int8", NULL };

  if (!seq_config_word (
          layer, config, "precision", words, QUANT_NONE, &q->precision, error)
      || !seq_config_uint (layer, config, "bounded_input", 0,
          layer->n_in <= 4096, 0, &q->bounded_input, error))
    return FALSE;
  layer->quantised = q->precision != QUANT_NONE;
  if (layer->quantised)
    quant_add (layer, hh, q->precision, &q->hh);
  if (layer->quantised && q->bounded_input)
    quant_add (layer, ih, q->precision, &q->ih);
  return TRUE;
}

/* Packs a tensor of params. Control thread. */
SEQ_INLINE void
quant_pack (const SeqTensor *t, guint precision, const Quant *q, real *params)
{
  gint8 *bytes = (gint8 *) (params + q->weights);
  gint16 *words = (gint16 *) (params + q->weights);
  double most = precision == QUANT_INT8 ? G_MAXINT8 : G_MAXINT16;
  double most_sum = 2147483648. / QUANT_ONE - t->cols;

  for (guint gate = 0; gate < t->gates; gate++)
    for (guint row = 0; row < t->rows; row++) {
      gsize tile = row / SEQ_TILE, at = row % SEQ_TILE;
      double peak = 0, sum = 0, scale;

      for (guint col = 0; col < t->cols; col++) {
        double w = fabs (params[seq_tensor_index (t, gate, row, col)]);

        peak = MAX (peak, w);
        sum += w;
      }
      scale = MAX (peak / most, sum / most_sum);
      params[q->scales + (tile * t->gates + gate) * SEQ_TILE + at] =
          (real) (scale / QUANT_ONE);
      for (guint col = 0; col < t->cols && scale > 0; col++) {
        long w = lrint (params[seq_tensor_index (t, gate, row, col)] / scale);
        gsize i = tile * quant_tile (t)
                  + ((gsize) (col / 2 * t->gates + gate) * SEQ_TILE + at) * 2
                  + col % 2;

        if (precision == QUANT_INT8)
          bytes[i] = (gint8) w;
        else
          words[i] = (gint16) w;
      }
    }
}

SEQ_INLINE void
quant_pack_cell (
    const QuantCell *q, const SeqTensor *ih, const SeqTensor *hh, real *params)
{
  if (q->precision != QUANT_NONE)
    quant_pack (hh, q->precision, &q->hh, params);
  if (q->precision != QUANT_NONE && q->bounded_input)
    quant_pack (ih, q->precision, &q->ih, params);
}

/* X of a vector of values; outside -1..1 it stays at the ends. Adding 1.5 *
 * 2^23 rounds to a whole number and leaves it in the low bits. */
SEQ_INLINE void
quant_store (gint16 *to, vec x)
{
  typedef gint16 narrow __attribute__ ((vector_size (SEQ_VEC * 2)));
  narrow X;

#ifdef SEQ_DOUBLE
  const real magic = 6755399441055744.0;
#else
  const real magic = 12582912.0f;
#endif
  X = __builtin_convertvector(
      (ivec) (vec_clamp (x, -1, 1) * QUANT_ONE + magic), narrow);
  memcpy (to, &X, sizeof X);
}

/* n values, of which those behind the last are finite or not there; X is padded
 * with zeros to a whole pair. */
SEQ_INLINE void
quant_row (gint16 *to, const real *x, guint n)
{
  for (guint k = 0; k < n; k += SEQ_VEC)
    quant_store (to + k, vec_load (x + k));
  to[n] = 0;
}

typedef gint32 sums __attribute__ ((vector_size (SEQ_VEC * 4)));

/* sum[i] + w[i][0] * x[0] + w[i][1] * x[1] for SEQ_VEC rows of weights at w. */
SEQ_INLINE sums
quant_pair (sums sum, guint precision, gconstpointer w, const gint16 *x)
{
#if !defined(SEQ_DOUBLE) && defined(__SSE2__)
  gint32 pair;

  memcpy (&pair, x, sizeof pair);
#endif
#if !defined(SEQ_DOUBLE) && defined(__AVX512BW__)
  __m512i v = precision == QUANT_INT8
                  ? _mm512_cvtepi8_epi16 (*(const __m256i *) w)
                  : *(const __m512i *) w;

  return sum + (sums) _mm512_madd_epi16 (v, _mm512_set1_epi32 (pair));
#elif !defined(SEQ_DOUBLE) && defined(__AVX2__)
  __m256i v = precision == QUANT_INT8
                  ? _mm256_cvtepi8_epi16 (*(const __m128i *) w)
                  : *(const __m256i *) w;

  return sum + (sums) _mm256_madd_epi16 (v, _mm256_set1_epi32 (pair));
#elif !defined(SEQ_DOUBLE) && defined(__SSE2__)
  __m128i v;

  if (precision == QUANT_INT8) {
    v = _mm_loadl_epi64 (w);
    v = _mm_srai_epi16 (_mm_unpacklo_epi8 (v, v), 8);
  } else {
    v = *(const __m128i *) w;
  }
  return sum + (sums) _mm_madd_epi16 (v, _mm_set1_epi32 (pair));
#else
  const gint8 *bytes = w;
  const gint16 *words = w;

  for (guint i = 0; i < 2 * SEQ_VEC; i++)
    sum[i / 2] += (precision == QUANT_INT8 ? bytes[i] : words[i]) * x[i % 2];
  return sum;
#endif
}

/* acc[g] += the product of strip `strip` of a packed tensor with x, for its
 * n_gates gates (a constant, as precision). */
SEQ_INLINE void
quant_product (vec *acc, guint n_gates, const SeqTensor *t, guint precision,
    const Quant *q, const real *params, guint strip, const gint16 *x)
{
  gsize size = precision == QUANT_INT8 ? 1 : 2;
  guint tile = strip * SEQ_VEC / SEQ_TILE, at = strip * SEQ_VEC % SEQ_TILE;
  const char *w = (const char *) (params + q->weights)
                  + (tile * quant_tile (t) + at * 2) * size;
  const real *scale = params + q->scales + tile * n_gates * SEQ_TILE + at;
  sums sum[4] = { { 0 } };

  for (guint k = 0; k < t->cols; k += 2, w += n_gates * SEQ_TILE * 2 * size)
    for (guint g = 0; g < n_gates; g++)
      sum[g] =
          quant_pair (sum[g], precision, w + g * SEQ_TILE * 2 * size, x + k);
  for (guint g = 0; g < n_gates; g++)
    acc[g] +=
        vec_load (scale + g * SEQ_TILE) * __builtin_convertvector(sum[g], vec);
}
