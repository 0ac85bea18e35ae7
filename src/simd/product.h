/* product.h: products of tensors with rows, for layers whose tensors lie in
 * tiles (SeqTensor).
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A strip is SEQ_VEC neighbouring rows of all gates of a tensor; column after
 * column it lies at a fixed step. A sum runs in several parts, so that even one
 * strip keeps enough additions in flight; its order depends on nothing but its
 * length.
 */
#pragma once

#include "src/simd/quant.h"

/* Strips that hold at least one of n rows. */
#define SEQ_STRIPS(n) (((n) + SEQ_VEC - 1) / SEQ_VEC)

/* First value of a strip of a tensor whose tiles are SEQ_TILE rows: gate 0, row
 * strip * SEQ_VEC, column 0. */
SEQ_INLINE gsize
strip_at (const SeqTensor *t, guint strip)
{
  return t->offset + strip * SEQ_VEC / SEQ_TILE * t->tile_stride
         + strip * SEQ_VEC % SEQ_TILE;
}

/* acc[r * n_gates + g] += sum over k < n of w[k][g] * x[r][k], for rows
 * r < n_rows and gates g < n_gates of the `step` reals wide columns at w, in
 * two partial sums: even columns, then odd ones; an odd number's last column
 * comes after both. */
SEQ_INLINE void
add_strip_products (vec *acc, CONSTANT guint n_rows, CONSTANT guint n_gates,
    const real *w, gsize step, const real *const *x, guint n)
{
  vec odd[2 * 4] = { { 0 } };
  guint k = 0;

  for (; k + 2 <= n; k += 2, w += 2 * step)
    UNROLL (g, n_gates)
    {
      vec even_w = vec_load (w + g * SEQ_TILE);
      vec odd_w = vec_load (w + step + g * SEQ_TILE);

      UNROLL (r, n_rows)
      {
        guint i = r * n_gates + g;

        acc[i] = vec_fma (even_w, vec_splat (x[r][k]), acc[i]);
        odd[i] = vec_fma (odd_w, vec_splat (x[r][k + 1]), odd[i]);
      }
    }
  UNROLL (i, n_rows * n_gates)
  acc[i] += odd[i];
  if (k < n)
    UNROLL (i, n_rows * n_gates)
  acc[i] = vec_fma (vec_load (w + i % n_gates * SEQ_TILE),
      vec_splat (x[i / n_gates][k]), acc[i]);
}

/* The same for a single row. */
SEQ_INLINE void
add_strip_product (vec *acc, CONSTANT guint n_gates, const real *w, gsize step,
    const real *x, guint n)
{
  add_strip_products (acc, 1, n_gates, w, step, &x, n);
}

/* Whether a recurrent tensor overflows the smallest first cache (32 KiB). */
SEQ_INLINE gboolean
strips_large (const SeqTensor *t)
{
  return SEQ_PAD (t->rows) * t->gates * t->cols * sizeof (real) > 32 << 10;
}

/* Whether frame t goes over the strips backwards: there and back meets again
 * first what was touched last. */
SEQ_INLINE gboolean
strips_backward (const SeqTensor *t, guint frame)
{
  return frame % 2 && strips_large (t);
}

/* Whether pairs of lanes share the weights of a strip rather than take turns:
 * where loading them costs more than what turns hide, and registers hold two
 * lanes' sums. */
SEQ_INLINE gboolean
strips_shared (const SeqBlock *block, const SeqTensor *t)
{
  return SEQ_VEC == 16 && strips_large (t) && block->weights_stride == 0;
}

/* Strips of one gate that share one pass over x, times rows that share one over
 * the strips: as many as registers allow. */
#define ROW_STRIPS (SEQ_VEC == 16 ? 4 : 2)

/* acc[r * n_strips + s] += sum over k < n of strip s of w * x[r][k], for n_rows
 * rows and n_strips strips of one gate, whose first values are at w[s]. Column
 * k is added to part k % 4, of which part 0 starts from acc, and the sum is (0
 * + 1) + (2 + 3). */
SEQ_INLINE void
add_row_products (vec *acc, CONSTANT guint n_rows, CONSTANT guint n_strips,
    const real *const *w, const real *const *x, guint n)
{
  vec part[4][ROW_STRIPS];
  guint k = 0, n_sums = n_rows * n_strips;

  for (guint i = 0; i < n_sums; i++) {
    part[0][i] = acc[i];
    part[1][i] = part[2][i] = part[3][i] = (vec){ 0 };
  }
  for (; k + 4 <= n; k += 4)
    for (guint j = 0; j < 4; j++)
      for (guint i = 0; i < n_sums; i++)
        part[j][i] = vec_fma (vec_load (w[i % n_strips] + (k + j) * SEQ_TILE),
            vec_splat (x[i / n_strips][k + j]), part[j][i]);
  for (guint j = 0; j < 3; j++)
    for (guint i = 0; i < n_sums && k + j < n; i++)
      part[j][i] = vec_fma (vec_load (w[i % n_strips] + (k + j) * SEQ_TILE),
          vec_splat (x[i / n_strips][k + j]), part[j][i]);
  for (guint i = 0; i < n_sums; i++)
    acc[i] = (part[0][i] + part[1][i]) + (part[2][i] + part[3][i]);
}

/* The same for a single row and strip, at w. */
SEQ_INLINE vec
add_row_product (vec acc, const real *w, const real *x, guint n)
{
  add_row_products (&acc, 1, 1, &w, &x, n);
  return acc;
}

/* acc[l * n_gates + g] += the product of gate g of a strip for n_lanes lanes,
 * in floats; or, with a precision and a packed tensor, in integers for one. */
SEQ_INLINE void
add_gate_products (vec *acc, CONSTANT guint n_lanes, CONSTANT guint n_gates,
    CONSTANT guint precision, guint strip, const Operands *o)
{
  if (precision != QUANT_NONE && o->packed)
    quant_add_products (acc, 1, n_gates, precision, strip, o);
  else
    add_strip_products (acc, n_lanes, n_gates,
        o->weights + strip_at (o->tensor, strip), n_gates * SEQ_TILE, o->x,
        o->tensor->cols);
}

/* acc[l * n_strips + s] += the product of strip `strip` + s of a tensor of one
 * gate, likewise. */
SEQ_INLINE void
add_one_gate_products (vec *acc, CONSTANT guint n_lanes,
    CONSTANT guint n_strips, CONSTANT guint precision, guint strip,
    const Operands *o)
{
  const real *w[ROW_STRIPS];

  if (precision != QUANT_NONE && o->packed) {
    quant_add_products (acc, n_strips, 1, precision, strip, o);
    return;
  }
  for (guint s = 0; s < n_strips; s++)
    w[s] = o->weights + strip_at (o->tensor, strip + s);
  add_row_products (acc, n_lanes, n_strips, w, o->x, o->tensor->cols);
}

/* Rows without a recurrence between them share the weights: this many. */
#define SHARED_ROWS 8

/* acc[r] += sum over k < n of the strip at w * x[r][k], column after column,
 * for n_rows rows. */
SEQ_INLINE void
add_shared_products (vec *acc, CONSTANT guint n_rows, const real *w,
    const real *const *x, guint n)
{
  vec sum[SHARED_ROWS];

  for (guint r = 0; r < n_rows; r++)
    sum[r] = acc[r];
  for (guint k = 0; k < n; k++) {
    vec column = vec_load (w + k * SEQ_TILE);

    for (guint r = 0; r < n_rows; r++)
      sum[r] = vec_fma (column, vec_splat (x[r][k]), sum[r]);
  }
  for (guint r = 0; r < n_rows; r++)
    acc[r] = sum[r];
}

/* A tensor's transpose, for gradients by its input: [strip of columns][gate *
 * padded rows + row][SEQ_VEC], padding zero. Reals that it takes: */
SEQ_INLINE gsize
transpose_size (const SeqTensor *t)
{
  return SEQ_PAD (t->cols) * t->gates * SEQ_PAD (t->rows);
}

SEQ_INLINE void
transpose_tensor (const SeqTensor *t, const real *weights, real *to)
{
  gsize rows = SEQ_PAD (t->rows), height = t->gates * rows;

  memset (to, 0, transpose_size (t) * sizeof (real));
  for (guint col = 0; col < t->cols; col++)
    for (guint gate = 0; gate < t->gates; gate++)
      for (guint row = 0; row < t->rows; row++)
        to[(col / SEQ_VEC * height + gate * rows + row) * SEQ_VEC
            + col % SEQ_VEC] = weights[seq_tensor_index (t, gate, row, col)];
}

/* out[col] (+)= sum over gates in [from, to) and rows of
 * tensor[gate][row][col] * d[gate * padded rows + row]; out is written up to
 * its padding. */
SEQ_INLINE void
multiply_transposed (const SeqTensor *t, guint from, guint to,
    const real *transposed, const real *d, real *out, CONSTANT gboolean add)
{
  gsize rows = SEQ_PAD (t->rows), height = t->gates * rows;
  guint strips = SEQ_PAD (t->cols) / SEQ_VEC;

  for (guint s = 0; s < strips; s++) {
    vec acc = add ? vec_load (out + s * SEQ_VEC) : (vec){ 0 };

    if (s < SEQ_STRIPS (t->cols))
      for (guint g = from; g < to; g++) {
        const real *w = transposed + (s * height + g * rows) * SEQ_VEC;
        const real *x = d + g * rows;
        vec part[4] = { { 0 } };
        guint k = 0;

        for (; k + 4 <= t->rows; k += 4)
          for (guint j = 0; j < 4; j++)
            part[j] = vec_fma (vec_load (w + (k + j) * SEQ_VEC),
                vec_splat (x[k + j]), part[j]);
        for (; k < t->rows; k++)
          part[0] =
              vec_fma (vec_load (w + k * SEQ_VEC), vec_splat (x[k]), part[0]);
        acc += (part[0] + part[1]) + (part[2] + part[3]);
      }
    vec_store (out + s * SEQ_VEC, acc);
  }
}

/* Where the vectors of a lane's frames lie: frame t at first + t * step, and,
 * where a product looks one frame back, frame -1 at before. */
typedef struct {
  const real *first;
  gsize step;
  const real *before;
} SeqRows;

SEQ_INLINE const real *
row_at (const SeqRows *rows, gint t)
{
  return t < 0 ? rows->before : rows->first + (gsize) t * rows->step;
}

/* The gradients of a stretch of frames: frame f's are at d + f * step, gate
 * after gate `rows` apart. */
typedef struct {
  const real *d;
  gsize step, rows;
  guint n_frames;
} Gradients;

/* d_tensor[gate][row][col] += sum over frames f of d[f][gate][row] * x[f -
 * back][col], for gates in [from, to), summed in registers. x NULL: ones (a
 * bias). */
SEQ_INLINE void
add_tensor_gradient (const SeqTensor *t, guint from, guint to, real *d_weights,
    const Gradients *g, const SeqRows *x, gint back)
{
  for (guint s = 0; s < SEQ_STRIPS (t->rows); s++) {
    real *w = d_weights + strip_at (t, s);
    gsize step = (gsize) t->gates * t->tile;

    for (guint gate = from; gate < to; gate++) {
      const real *d = g->d + gate * g->rows + s * SEQ_VEC;

      for (guint col = 0; col < t->cols; col += 4) {
        guint n = MIN (t->cols - col, 4);
        vec acc[4] = { { 0 } };

        if (!x) {
          for (guint f = 0; f < g->n_frames; f++)
            acc[0] += vec_load (d + f * g->step);
        } else if (n == 4) {
          for (guint f = 0; f < g->n_frames; f++) {
            const real *v = row_at (x, (gint) f - back) + col;
            vec e = vec_load (d + f * g->step);

            for (guint j = 0; j < 4; j++)
              acc[j] = vec_fma (e, vec_splat (v[j]), acc[j]);
          }
        } else {
          for (guint f = 0; f < g->n_frames; f++) {
            const real *v = row_at (x, (gint) f - back) + col;
            vec e = vec_load (d + f * g->step);

            for (guint j = 0; j < n; j++)
              acc[j] = vec_fma (e, vec_splat (v[j]), acc[j]);
          }
        }
        for (guint j = 0; j < n; j++) {
          real *at = w + (col + j) * step + gate * t->tile;

          vec_store (at, vec_load (at) + acc[j]);
        }
      }
    }
  }
}
