/* frames.h: products over blocks of frames, for layers that look back along
 * time.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A row is the frames of one channel, one after another, and a vector holds
 * neighbouring frames: so a layer of 2 channels fills its vectors as one of 16
 * does. A tile of a few rows by a few vectors stays in registers while all that
 * it is the sum of goes by; weights are broadcast. A single frame goes the
 * other way round: then a vector holds neighbouring rows.
 *
 * Either way a frame's sum is one chain of fused multiply-adds in one order, so
 * that it has the same bits.
 */
#pragma once

#include "src/simd/simd.h"

#define BLOCK_FRAMES 64
/* What a tile has: rows and vectors. With its inputs it fills the registers. */
#define TILE_ROWS 4
#if SEQ_VEC == 16 || defined(__aarch64__)
#define TILE_VECS 4
#else
#define TILE_VECS 2
#endif

/* What is done to a sum at last; another activation is a step of its own. */
typedef enum { FRAMES_LINEAR, FRAMES_TANH, FRAMES_SLOPES } FrameActivation;

/* Rows to be multiplied: row i of tap k at frame f is
 * x[i * step + (place + k * dilation) % length + f], where rows go on past
 * `length` for a block: the oldest tap comes first. */
typedef struct {
  const real *x;
  gsize step;
  guint n_in, n_taps; /* n_in 0: nothing is added */
  guint place, dilation, length;
} FrameSource;

/* out = activation (bias + mixin condition + weight x + add), sum += out, in
 * this order. All pointers are to the first row. */
typedef struct {
  FrameSource x, condition;
  /* a tensor: input i, tap k of row q is at [(k * n_in + i) * SEQ_TILE + q] */
  const real *weight, *mixin;
  const real *bias;   /* [rows] or NULL */
  const real *slopes; /* [rows], below zero, of FRAMES_SLOPES */
  const real *add;    /* rows, or NULL; may be out */
  gsize add_step;
  real *out;
  gsize out_step, again; /* again > 0: also to out + again */
  real *sum;             /* rows, or NULL */
  gsize sum_step;
  gboolean adds; /* FALSE: sum = out */
  guint n_frames;
} FrameProduct;

SEQ_INLINE vec
frames_activate (FrameActivation activation, vec x, vec slope)
{
  if (activation == FRAMES_TANH)
    return vec_tanh (x);
  if (activation == FRAMES_SLOPES)
    return vec_select (x > 0, x, x * slope);
  return x;
}

/* sums[q][v] += the products of a tile; n_rows and n_vecs are constants. */
SEQ_INLINE void
tile_sum (vec (*sums)[TILE_VECS], guint n_rows, guint n_vecs,
    const FrameSource *source, const real *w, guint f)
{
  guint place = source->place;

  for (guint k = 0; k < source->n_taps; k++) {
    const real *x = source->x + place + f;

#pragma GCC unroll 4
    for (guint i = 0; i < source->n_in; i++) {
      vec frames[TILE_VECS];

      for (guint v = 0; v < n_vecs; v++)
        frames[v] = vec_loadu (x + v * SEQ_VEC);
      for (guint q = 0; q < n_rows; q++) {
        vec weight = vec_splat (w[q]);

        for (guint v = 0; v < n_vecs; v++)
          sums[q][v] = vec_fma (weight, frames[v], sums[q][v]);
      }
      x += source->step;
      w += SEQ_TILE;
    }
    place += source->dilation;
    place -= place >= source->length ? source->length : 0;
  }
}

/* Rows [0, n_rows) and frames [f, f + n_vecs vectors) of a product. All but p
 * and f are constants; full: there are as many frames. */
SEQ_INLINE void
tile_run (const FrameProduct *p, guint n_rows, guint n_vecs, gboolean full,
    FrameActivation activation, guint f)
{
  vec sums[TILE_ROWS][TILE_VECS];

  for (guint q = 0; q < n_rows; q++)
    for (guint v = 0; v < n_vecs; v++)
      sums[q][v] = vec_splat (p->bias ? p->bias[q] : 0);
  if (p->condition.n_in)
    tile_sum (sums, n_rows, n_vecs, &p->condition, p->mixin, f);
  tile_sum (sums, n_rows, n_vecs, &p->x, p->weight, f);
  for (guint q = 0; q < n_rows; q++) {
    vec slope =
        vec_splat (activation == FRAMES_SLOPES ? p->slopes[q] : (real) 0);

    for (guint v = 0; v < n_vecs; v++) {
      guint n = full ? SEQ_VEC : p->n_frames - f - v * SEQ_VEC;
      real *out = p->out + q * p->out_step + f + v * SEQ_VEC;
      vec y = sums[q][v];

      if (p->add)
        y += vec_loadu (p->add + q * p->add_step + f + v * SEQ_VEC);
      y = frames_activate (activation, y, slope);
      vec_store_part (out, y, n);
      if (p->again)
        vec_store_part (out + p->again, y, n);
      if (p->sum) {
        real *sum = p->sum + q * p->sum_step + f + v * SEQ_VEC;

        if (p->adds)
          y += vec_loadu (sum);
        vec_store_part (sum, y, n);
      }
    }
  }
}

SEQ_INLINE void
rows_run (const FrameProduct *p, guint n_rows, FrameActivation activation)
{
  guint f = 0;

  for (; f + TILE_VECS * SEQ_VEC <= p->n_frames; f += TILE_VECS * SEQ_VEC)
    tile_run (p, n_rows, TILE_VECS, TRUE, activation, f);
  for (; f < p->n_frames; f += SEQ_VEC)
    tile_run (p, n_rows, 1, FALSE, activation, f);
}

/* A product of n_rows <= TILE_ROWS rows; the activation is a constant. */
SEQ_INLINE void
frame_product (const FrameProduct *p, guint n_rows, FrameActivation activation)
{
  switch (n_rows) {
    case 1:
      rows_run (p, 1, activation);
      break;
    case 2:
      rows_run (p, 2, activation);
      break;
    case 3:
      rows_run (p, 3, activation);
      break;
    default:
      rows_run (p, 4, activation);
      break;
  }
}

/* acc += one frame's products of a strip of rows. */
SEQ_INLINE vec
strip_sum (vec acc, const FrameSource *source, const real *w)
{
  guint place = source->place;

  for (guint k = 0; k < source->n_taps; k++) {
    const real *x = source->x + place;

    for (guint i = 0; i < source->n_in; i++) {
      acc = vec_fma (vec_loadu (w), vec_splat (*x), acc);
      x += source->step;
      w += SEQ_TILE;
    }
    place += source->dilation;
    place -= place >= source->length ? source->length : 0;
  }
  return acc;
}

/* The same product for a single frame and n_rows <= SEQ_VEC rows that lie
 * within a tile of the tensors. Rows of the sum are neighbours. */
SEQ_INLINE void
strip_product (const FrameProduct *p, guint n_rows, FrameActivation activation)
{
  vec acc = p->bias ? vec_loadu (p->bias) : vec_splat (0);
  vec slopes =
      activation == FRAMES_SLOPES ? vec_loadu (p->slopes) : vec_splat (0);

  if (p->condition.n_in)
    acc = strip_sum (acc, &p->condition, p->mixin);
  acc = strip_sum (acc, &p->x, p->weight);
  if (p->add) {
    vec add = { 0 };

    for (guint q = 0; q < n_rows; q++)
      add[q] = p->add[q * p->add_step];
    acc += add;
  }
  acc = frames_activate (activation, acc, slopes);
  if (p->out_step == 1)
    vec_store_part (p->out, acc, n_rows);
  else
    for (guint q = 0; q < n_rows; q++)
      p->out[q * p->out_step] = acc[q];
  if (p->sum) {
    if (p->adds)
      acc += vec_loadu (p->sum);
    vec_store_part (p->sum, acc, n_rows);
  }
}
