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
 * Packed, behind the tensors of a layer's weights: integers [tile][pair of
 * columns][gate][row % SEQ_TILE][2], then scales [tile][gate][row % SEQ_TILE].
 *
 * VNNI multiplies four unsigned bytes at once by four signed ones. For it 8
 * bits are packed in fours of columns, and X + QUANT_ONE is two bytes, high and
 * low; offsets, which lie as scales do, take out what QUANT_ONE adds to a sum.
 * The sums are the same ones.
 */
#pragma once

#include "src/cpu.h"
#include "src/simd/simd.h"

#define QUANT_ONE 8192 /* 1 in X */

enum { QUANT_NONE, QUANT_INT16, QUANT_INT8, QUANT_INT8_VNNI };

#if !defined(SEQ_DOUBLE) && defined(__AVX512BW__)
#define QUANT_VNNI
#endif

/* A packed tensor: where it is in the weights of its layer, in reals. */
typedef struct {
  gsize weights, scales, offsets;
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
 * is quantised may have; or its high bytes and then its low ones. */
#define QUANT_COLS (SEQ_MAX_UNITS + SEQ_ALIGN)
typedef union {
  gint16 words[QUANT_COLS];
  guint8 bytes[2][QUANT_COLS];
} QuantRow __attribute__ ((aligned (SEQ_ALIGN)));

/* Rows of one lane: the input, and the state of this frame and the next. */
typedef struct {
  QuantRow x, h[2];
} QuantRows;

/* Integers from one tile to the next, in either layout. */
SEQ_INLINE gsize
quant_tile (const SeqTensor *t)
{
  return (gsize) (t->cols + 3) / 4 * 4 * t->gates * SEQ_TILE;
}

/* Columns that lie side by side. */
SEQ_INLINE guint
quant_group (guint precision)
{
  return precision == QUANT_INT8_VNNI ? 4 : 2;
}

SEQ_INLINE gsize
quant_size (guint precision)
{
  return precision == QUANT_INT16 ? 2 : 1;
}

/* For init(): makes room for a tensor, packed. */
static inline void
quant_add (SeqLayer *layer, const SeqTensor *t, guint precision, Quant *q)
{
  gsize tiles = SEQ_PAD (t->rows) / SEQ_TILE;
  gsize rows = tiles * t->gates * SEQ_TILE;
  gsize bytes = tiles * quant_tile (t) * quant_size (precision);

  q->weights = layer->n_weights;
  q->scales = q->weights + SEQ_PAD (bytes / sizeof (real));
  q->offsets = q->scales + rows;
  layer->n_weights = q->offsets + (precision == QUANT_INT16 ? 0 : rows);
}

/* For init(), when the tensors are there: reads the options, and makes room. */
static inline gboolean
quant_init (SeqLayer *layer, GVariant *config, const SeqTensor *ih,
    const SeqTensor *hh, QuantCell *q, GError **error)
{
  static const char *const words[] = { "float", "int16", "int8", NULL };

  if (!seq_config_word (
          layer, config, "precision", words, QUANT_NONE, &q->precision, error)
      || !seq_config_uint (layer, config, "bounded_input", 0,
          layer->n_in <= SEQ_MAX_UNITS, 0, &q->bounded_input, error))
    return FALSE;
  layer->quantised = q->precision != QUANT_NONE;
  if (layer->quantised)
    quant_add (layer, hh, q->precision, &q->hh);
  if (layer->quantised && q->bounded_input)
    quant_add (layer, ih, q->precision, &q->ih);
#ifdef QUANT_VNNI
  if (q->precision == QUANT_INT8 && seq_cpu_isa () >= SEQ_ISA_AVX512VNNI)
    q->precision = QUANT_INT8_VNNI;
#endif
  return TRUE;
}

/* Packs a tensor of weights. Control thread. */
static inline void
quant_pack (const SeqTensor *t, guint precision, const Quant *q, real *weights)
{
  gint8 *bytes = (gint8 *) (weights + q->weights);
  gint16 *words = (gint16 *) (weights + q->weights);
  gint32 *offsets = (gint32 *) (weights + q->offsets);
  double most = precision == QUANT_INT16 ? G_MAXINT16 : G_MAXINT8;
  double most_sum = 2147483648. / QUANT_ONE - t->cols;
  guint group = quant_group (precision);

  memset (bytes, 0, (q->scales - q->weights) * sizeof (real));
  for (guint gate = 0; gate < t->gates; gate++)
    for (guint row = 0; row < t->rows; row++) {
      gsize tile = row / SEQ_TILE, at = row % SEQ_TILE;
      gsize packed_row = (tile * t->gates + gate) * SEQ_TILE + at;
      double peak = 0, sum = 0, scale;
      gint32 offset = 0;

      for (guint col = 0; col < t->cols; col++) {
        double w = fabs (weights[seq_tensor_index (t, gate, row, col)]);

        peak = MAX (peak, w);
        sum += w;
      }
      scale = MAX (peak / most, sum / most_sum);
      weights[q->scales + packed_row] = (real) (scale / QUANT_ONE);
      for (guint col = 0; col < t->cols && scale > 0; col++) {
        long w = lrint (weights[seq_tensor_index (t, gate, row, col)] / scale);
        gsize i =
            tile * quant_tile (t)
            + ((gsize) (col / group * t->gates + gate) * SEQ_TILE + at) * group
            + col % group;

        if (precision == QUANT_INT16)
          words[i] = (gint16) w;
        else
          bytes[i] = (gint8) w;
        offset -= QUANT_ONE * (gint32) w;
      }
      if (precision == QUANT_INT8_VNNI)
        offsets[packed_row] = offset;
    }
}

static inline void
quant_pack_cell (
    const QuantCell *q, const SeqTensor *ih, const SeqTensor *hh, real *weights)
{
  if (q->precision != QUANT_NONE)
    quant_pack (hh, q->precision, &q->hh, weights);
  if (q->precision != QUANT_NONE && q->bounded_input)
    quant_pack (ih, q->precision, &q->ih, weights);
}

/* X of a vector of values, from column k on; outside -1..1 it stays at the
 * ends. Adding 1.5 * 2^23 rounds to a whole number and leaves it in the low
 * bits. */
SEQ_INLINE void
quant_store (QuantRow *to, CONSTANT guint precision, gsize k, vec x)
{
  typedef gint16 narrow __attribute__ ((vector_size (SEQ_VEC * 2)));
  narrow X;

#ifdef SEQ_DOUBLE
  const real magic = 6755399441055744.0;
#else
  const real magic = 12582912.0f;
#endif
  X = __builtin_convertvector((ivec) vec_fma (vec_clamp (x, -1, 1),
                                  vec_splat (QUANT_ONE), vec_splat (magic)),
      narrow);
#ifdef QUANT_VNNI
  if (precision == QUANT_INT8_VNNI) {
    __m256i U = (__m256i) (X + QUANT_ONE);

    _mm_store_si128 ((__m128i *) &to->bytes[0][k],
        _mm256_cvtepi16_epi8 (_mm256_srli_epi16 (U, 8)));
    _mm_store_si128 ((__m128i *) &to->bytes[1][k], _mm256_cvtepi16_epi8 (U));
    return;
  }
#endif
  memcpy (to->words + k, &X, sizeof X);
}

/* n values, of which those behind the last are finite or not there; X is padded
 * with anything for bytes, whose weights are 0 there. */
SEQ_INLINE void
quant_row (QuantRow *to, CONSTANT guint precision, const real *x, guint n)
{
  for (guint k = 0; k < n; k += SEQ_VEC)
    quant_store (to, precision, k, vec_load (x + k));
  if (precision != QUANT_INT8_VNNI)
    to->words[n] = 0;
}

typedef gint32 sums __attribute__ ((vector_size (SEQ_VEC * 4)));

/* sum[i] + w[i][0] * x[0] + w[i][1] * x[1] for SEQ_VEC rows of weights at w. */
SEQ_INLINE sums
quant_pair (
    sums sum, CONSTANT guint precision, gconstpointer w, const gint16 *x)
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

#ifdef QUANT_VNNI
/* sum[i] + the product of four unsigned bytes, the same for all i, with four of
 * w for each. Not an intrinsic: the rest of the file is for machines without,
 * too. */
SEQ_INLINE __m512i
quant_four (__m512i sum, const guint8 *x, gconstpointer w)
{
  gint32 four;
  __m512i fours;

  memcpy (&four, x, sizeof four);
  fours = _mm512_set1_epi32 (four);
  __asm__("vpdpbusd %2, %1, %0"
          : "+v"(sum)
          : "v"(fours), "m"(*(const __m512i *) w));
  return sum;
}
#endif

/* A tensor and what it is multiplied with. */
typedef struct {
  const SeqTensor *tensor;
  const real *weights;  /* of its layer */
  const Quant *packed;  /* NULL: the product is one of floats */
  const real *const *x; /* floats: a row of each lane */
  const QuantRow *q;    /* integers: the row of one lane */
} Operands;

/* acc[s * n_gates + g] += the product of gate g of strip `strip` + s in
 * integers. */
SEQ_INLINE void
quant_add_products (vec *acc, CONSTANT guint n_strips, CONSTANT guint n_gates,
    CONSTANT guint precision, guint strip, const Operands *o)
{
  const SeqTensor *t = o->tensor;
  const Quant *q = o->packed;
  const real *weights = o->weights;
  const QuantRow *x = o->q;
  guint group = quant_group (precision), n = n_strips * n_gates;
  gsize size = quant_size (precision);
  gsize gate = SEQ_TILE * group * size; /* bytes from gate to gate */
  gsize step = n_gates * gate;
  const char *w[4]; /* by strip: one pointer for its gates */
  gsize rows[4];
  sums sum[4] = { { 0 } };

  for (guint s = 0; s < n_strips; s++) {
    gsize first = (gsize) (strip + s) * SEQ_VEC;
    gsize tile = first / SEQ_TILE, at = first % SEQ_TILE;

    rows[s] = tile * n_gates * SEQ_TILE + at;
    w[s] = (const char *) (weights + q->weights)
           + (tile * quant_tile (t) + at * group) * size;
  }
#ifdef QUANT_VNNI
  if (precision == QUANT_INT8_VNNI) {
    __m512i high[4], low[4];

    for (guint i = 0; i < n; i++) {
      high[i] = _mm512_setzero_si512 ();
      low[i] = *(const __m512i *) (weights + q->offsets + rows[i / n_gates]
                                   + i % n_gates * SEQ_TILE);
    }
    for (guint k = 0; k < t->cols; k += 4) {
      for (guint i = 0; i < n; i++) {
        const char *four = w[i / n_gates] + i % n_gates * gate;

        high[i] = quant_four (high[i], &x->bytes[0][k], four);
        low[i] = quant_four (low[i], &x->bytes[1][k], four);
      }
      for (guint s = 0; s < n_strips; s++)
        w[s] += step;
    }
    for (guint i = 0; i < n; i++)
      sum[i] = (sums) _mm512_add_epi32 (_mm512_slli_epi32 (high[i], 8), low[i]);
  } else
#endif
    for (guint k = 0; k < t->cols; k += 2) {
      for (guint i = 0; i < n; i++)
        sum[i] = quant_pair (sum[i], precision,
            w[i / n_gates] + i % n_gates * gate, x->words + k);
      for (guint s = 0; s < n_strips; s++)
        w[s] += step;
    }
  for (guint i = 0; i < n; i++)
    acc[i] = vec_fma (vec_load (weights + q->scales + rows[i / n_gates]
                                + i % n_gates * SEQ_TILE),
        __builtin_convertvector(sum[i], vec), acc[i]);
}

/* The call, in which `precision` is a constant. */
#define QUANT_WITH(value, call)                                                \
  switch (value) {                                                             \
    QUANT_CASE (QUANT_INT16, call)                                             \
    QUANT_CASE (QUANT_INT8, call)                                              \
    QUANT_CASE_VNNI (call)                                                     \
  }
#define QUANT_CASE(value, call)                                                \
  case value: {                                                                \
    enum { precision = value };                                                \
    call;                                                                      \
    break;                                                                     \
  }
#ifdef QUANT_VNNI
#define QUANT_CASE_VNNI(call) QUANT_CASE (QUANT_INT8_VNNI, call)
#else
#define QUANT_CASE_VNNI(call)
#endif
