/* lanes.h: many lanes at a time, one lane an element of a vector.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A group is 1 to LANE_VECS vectors of neighbouring lanes, `lanes` in all. Its
 * numbers lie in rows [row][lanes], one row a unit or feature; weights are
 * broadcast, so that one pass over them serves every lane, and are read where
 * they lie. What stands at the edges, [lane][feature], is transposed on the
 * way in and out.
 *
 * Sums of run() go in the order of product.h, so that a lane has the bits that
 * it has alone; those of grad() go as the registers like it.
 *
 * Rows come in fours: `rows` of a layer is its units rounded up to LANE_ROWS;
 * those behind the last unit have zero weights and stay zero.
 */
#pragma once

#include "src/simd/simd.h"

#define LANE_VECS 3
#define LANES_FEW 4 /* lanes that take turns, strip by strip */
#define LANE_ROWS 4
#define LANE_PAD(n) (((n) + LANE_ROWS - 1) / LANE_ROWS * LANE_ROWS)

/* Sums that registers hold beside what is being multiplied. */
#if defined(__AVX512F__) || defined(__aarch64__)
#define LANE_SUMS 24
#else
#define LANE_SUMS 12
#endif

/* A loop over a constant number of registers. (Unrolled, a sanitizer's checks
 * take the compiler minutes.) */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define LANE_FOR(i, n) for (guint i = 0; i < (n); i++)
#else
#define LANE_FOR(i, n) _Pragma ("GCC unroll 32") for (guint i = 0; i < (n); i++)
#endif

/* Vectors of the group that begins with a lane; 0: run that lane alone. A
 * vector that is not full pays where it wastes less than strips do that units
 * don't fill; with a tape there is no room for it. */
SEQ_INLINE guint
lane_vecs (const SeqLayer *layer, const SeqBlock *block, guint lane)
{
  guint left = block->n_lanes - lane, vecs = left / SEQ_VEC;
  guint units = (layer->n_out + SEQ_VEC - 1) / SEQ_VEC * SEQ_VEC;

  if (block->weights_stride)
    return 0;
  if (vecs == 0)
    return !block->tape_stride && left * units > SEQ_VEC * layer->n_out;
  return vecs == 4 ? 2 : MIN (vecs, LANE_VECS);
}

/* Units whose sums are formed at a time. */
SEQ_INLINE guint
lane_units (guint gates, guint vecs)
{
  return 4 * gates * vecs <= LANE_SUMS   ? 4
         : 2 * gates * vecs <= LANE_SUMS ? 2
                                         : 1;
}

/* --- edges -----------------------------------------------------------------
 */

/* Element j of a pair of vectors a, b in which the blocks of s elements off the
 * diagonal have changed places. */
#define LANE_LOW(s, j) ((j) & (s) ? SEQ_VEC + ((j) ^ (s)) : (j))
#define LANE_HIGH(s, j) ((j) & (s) ? SEQ_VEC + (j) : ((j) ^ (s)))
#define LANE_4(F, s, j) F (s, j), F (s, j + 1), F (s, j + 2), F (s, j + 3)
#if SEQ_VEC == 16
#define LANE_EACH(F, s)                                                        \
  LANE_4 (F, s, 0), LANE_4 (F, s, 4), LANE_4 (F, s, 8), LANE_4 (F, s, 12)
#elif SEQ_VEC == 8
#define LANE_EACH(F, s) LANE_4 (F, s, 0), LANE_4 (F, s, 4)
#else
#define LANE_EACH(F, s) LANE_4 (F, s, 0)
#endif
#define LANE_SHUFFLE(F, a, b, s)                                               \
  __builtin_shufflevector (a, b, LANE_EACH (F, s))

#define LANE_SWAP(tile, s)                                                     \
  LANE_FOR (i, SEQ_VEC)                                                        \
    if (!(i & (s))) {                                                          \
      vec low = LANE_SHUFFLE (LANE_LOW, tile[i], tile[i + (s)], s);            \
                                                                               \
      tile[i + (s)] = LANE_SHUFFLE (LANE_HIGH, tile[i], tile[i + (s)], s);     \
      tile[i] = low;                                                           \
    }

/* Transposes SEQ_VEC vectors. */
SEQ_INLINE void
tile_transpose (vec *tile)
{
  LANE_SWAP (tile, 1)
  LANE_SWAP (tile, 2)
#if SEQ_VEC > 4
  LANE_SWAP (tile, 4)
#endif
#if SEQ_VEC > 8
  LANE_SWAP (tile, 8)
#endif
}

#define LANE_FOLD(v, s)                                                        \
  LANE_FOR (i, SEQ_VEC / (2 * (s)))                                            \
    v[2 * (s) *i] =                                                            \
        LANE_SHUFFLE (LANE_LOW, v[2 * (s) *i], v[(2 * i + 1) * (s)], s)        \
        + LANE_SHUFFLE (LANE_HIGH, v[2 * (s) *i], v[(2 * i + 1) * (s)], s);

/* Element i of the result is the sum of v[i]; v is used up. */
SEQ_INLINE vec
vec_sums (vec *v)
{
  LANE_FOLD (v, 1)
  LANE_FOLD (v, 2)
#if SEQ_VEC > 4
  LANE_FOLD (v, 4)
#endif
#if SEQ_VEC > 8
  LANE_FOLD (v, 8)
#endif
  return v[0];
}

/* to[k][lane] = from[lane * stride + k] for k < n; zeros for lanes from n_used
 * on and for k in [n, n_rows). */
SEQ_INLINE void
lanes_in (real *to, guint lanes, const real *from, gsize stride, guint n,
    guint n_rows, guint n_used)
{
  guint k = 0;

  /* a row of `stride` reals may be read to its end */
  for (; n - k > 2 && k + SEQ_VEC <= stride && k < n; k += SEQ_VEC)
    for (guint l = 0; l < lanes; l += SEQ_VEC) {
      guint last = MIN (n - k, SEQ_VEC);
      vec tile[SEQ_VEC];

      LANE_FOR (i, SEQ_VEC)
        tile[i] = l + i < n_used ? vec_loadu (from + (l + i) * stride + k)
                                 : (vec){ 0 };
      tile_transpose (tile);
      LANE_FOR (i, SEQ_VEC)
        if (i < last)
          vec_store (to + (k + i) * lanes + l, tile[i]);
    }
  for (; k < n; k++)
    for (guint l = 0; l < lanes; l++)
      to[k * lanes + l] = l < n_used ? from[l * stride + k] : 0;
  for (k = n; k < n_rows; k++)
    for (guint l = 0; l < lanes; l += SEQ_VEC)
      vec_store (to + k * lanes + l, (vec){ 0 });
}

/* to[lane * stride + k] = from[k][lane] for k < n and zeros up to SEQ_PAD (n),
 * for lanes before n_used. */
SEQ_INLINE void
lanes_out (real *to, gsize stride, const real *from, guint lanes, guint n,
    guint n_used)
{
  for (guint l = 0; l < n_used; l += SEQ_VEC)
    for (guint k = 0; k < SEQ_PAD (n); k += SEQ_VEC) {
      vec tile[SEQ_VEC];

      LANE_FOR (i, SEQ_VEC)
        tile[i] =
            k + i < n ? vec_load (from + (k + i) * lanes + l) : (vec){ 0 };
      tile_transpose (tile);
      LANE_FOR (i, SEQ_VEC)
        if (l + i < n_used)
          vec_store (to + (l + i) * stride + k, tile[i]);
    }
}

/* --- forwards ---------------------------------------------------------------
 */

/* acc[gate][unit][vec] += sum over columns k = 0, by, 2 by ... < n of
 * w[k][gate][unit] * x[k][vec]. w: the first unit's weight of the first gate
 * and column. Counts but for n are constants; gates * units * vecs is at most
 * LANE_SUMS. */
SEQ_INLINE void
lanes_pass (vec *acc, guint gates, guint units, guint vecs, const real *w,
    gsize step, const real *x, guint n, guint by)
{
  for (guint k = 0; k < n; k += by, w += by * step, x += by * vecs * SEQ_VEC) {
    vec row[LANE_VECS];

    LANE_FOR (v, vecs)
      row[v] = vec_load (x + v * SEQ_VEC);
    LANE_FOR (i, gates * units) {
      vec weight = vec_splat (w[i / units * SEQ_TILE + i % units]);

      LANE_FOR (v, vecs)
        acc[i * vecs + v] = vec_fma (row[v], weight, acc[i * vecs + v]);
    }
  }
}

/* acc[gate][unit][vec] = the bias at b, all lanes alike. */
SEQ_INLINE void
lanes_bias (vec *acc, guint gates, guint units, guint vecs, const real *b)
{
  LANE_FOR (i, gates * units * vecs)
    acc[i] = vec_splat (b[i / (units * vecs) * SEQ_TILE + i / vecs % units]);
}

/* acc += the product in two parts, as strip_product() does it. */
SEQ_INLINE void
lanes_product (vec *acc, guint gates, guint units, guint vecs, const real *w,
    gsize step, const real *x, guint n)
{
  gsize lanes = vecs * SEQ_VEC;
  guint even = n / 2 * 2;

  lanes_pass (acc, gates, units, vecs, w, step, x, even, 2);
  if (even) {
    vec odd[LANE_SUMS];

    LANE_FOR (i, gates * units * vecs)
      odd[i] = (vec){ 0 };
    lanes_pass (
        odd, gates, units, vecs, w + step, step, x + lanes, even - 1, 2);
    LANE_FOR (i, gates * units * vecs)
      acc[i] += odd[i];
  }
  lanes_pass (acc, gates, units, vecs, w + even * step, step, x + even * lanes,
      n - even, 1);
}

/* acc += the product in four parts, as row_product() does it. */
SEQ_INLINE void
lanes_row_product (
    vec *acc, guint units, guint vecs, const real *w, const real *x, guint n)
{
  vec part[3][LANE_SUMS];

  lanes_pass (acc, 1, units, vecs, w, SEQ_TILE, x, n, 4);
  for (guint p = 0; p < 3; p++) {
    LANE_FOR (i, units * vecs)
      part[p][i] = (vec){ 0 };
    if (n > p + 1)
      lanes_pass (part[p], 1, units, vecs, w + (p + 1) * SEQ_TILE, SEQ_TILE,
          x + (p + 1) * vecs * SEQ_VEC, n - p - 1, 4);
  }
  LANE_FOR (i, units * vecs)
    acc[i] = (acc[i] + part[0][i]) + (part[1][i] + part[2][i]);
}

/* --- backwards --------------------------------------------------------------
 */

/* Frames whose gradients are gathered before they are multiplied into those of
 * the weights, and reals from row to row of what is gathered: a line more than
 * they fill, lest all rows fall into the same set of the cache. */
#define LANE_BLOCK 512
#define LANE_STEP (LANE_BLOCK + SEQ_TILE)

/* out[c0 + j][vec] (+)= sum over gates in [from, to) and rows of
 * tensor[gate][row][c0 + j] * d[gate * rows + row][vec], j < n_cols. */
SEQ_INLINE void
lanes_back_tile (const SeqTensor *t, const real *weights, guint from, guint to,
    const real *d, guint rows, guint vecs, guint c0, guint n_cols, real *out,
    gboolean add)
{
  gsize lanes = vecs * SEQ_VEC, step = t->gates * SEQ_TILE;
  vec acc[LANE_SUMS];

  out += c0 * lanes;
  LANE_FOR (i, n_cols * vecs)
    acc[i] = add ? vec_load (out + i * SEQ_VEC) : (vec){ 0 };
  for (guint g = from; g < to; g++)
    for (guint r0 = 0; r0 < t->rows; r0 += SEQ_TILE) {
      const real *w = weights + seq_tensor_index (t, g, r0, c0);
      const real *x = d + (g * rows + r0) * LANE_STEP;
      guint n = MIN (t->rows - r0, SEQ_TILE);

      for (guint r = 0; r < n; r++, w++, x += LANE_STEP) {
        vec row[LANE_VECS];

        LANE_FOR (v, vecs)
          row[v] = vec_load (x + v * SEQ_VEC);
        LANE_FOR (j, n_cols) {
          vec weight = vec_splat (w[j * step]);

          LANE_FOR (v, vecs)
            acc[j * vecs + v] = vec_fma (row[v], weight, acc[j * vecs + v]);
        }
      }
    }
  LANE_FOR (i, n_cols * vecs)
    vec_store (out + i * SEQ_VEC, acc[i]);
}

/* out[col][vec] (+)= the product of a tensor's transpose, gates in [from, to),
 * with d, rows LANE_STEP apart. */
SEQ_INLINE void
lanes_back (const SeqTensor *t, const real *weights, guint from, guint to,
    const real *d, guint rows, guint vecs, real *out, gboolean add)
{
  guint c = 0;

  if (8 * vecs <= LANE_SUMS)
    for (; c + 8 <= t->cols; c += 8)
      lanes_back_tile (t, weights, from, to, d, rows, vecs, c, 8, out, add);
  for (; c + 4 <= t->cols; c += 4)
    lanes_back_tile (t, weights, from, to, d, rows, vecs, c, 4, out, add);
  for (; c < t->cols; c++)
    lanes_back_tile (t, weights, from, to, d, rows, vecs, c, 1, out, add);
}

/* Columns of one tensor's gate, and the rows that they were multiplied with. */
typedef struct {
  const SeqTensor *tensor;
  guint gate;
  const real *x; /* rows LANE_STEP apart */
} LaneColumns;

/* Sums at a time: LANE_ROWS rows by as many columns. */
#define LANE_COLUMNS (SEQ_VEC < 8 ? 2 : SEQ_VEC / LANE_ROWS)

/* d_tensor[gate][row][col] += sum over n reals of d[row] * x[col], for one gate
 * of tensors side by side that share their d, rows LANE_STEP apart. */
SEQ_INLINE void
lanes_gradient (real *d_weights, const LaneColumns *sets, guint n_sets,
    const real *d, guint rows, gsize n)
{
  for (guint u = 0; u < rows; u += LANE_ROWS, d += LANE_ROWS * LANE_STEP) {
    guint set = 0, col = 0;

    while (set < n_sets) {
      const real *x[LANE_COLUMNS];
      real *to[LANE_COLUMNS], sums[LANE_ROWS * LANE_COLUMNS];
      vec acc[LANE_ROWS * LANE_COLUMNS] = { { 0 } };
      guint n_cols = 0;

      for (; n_cols < LANE_COLUMNS && set < n_sets; n_cols++) {
        const SeqTensor *t = sets[set].tensor;

        x[n_cols] = sets[set].x + col * LANE_STEP;
        to[n_cols] = d_weights + seq_tensor_index (t, sets[set].gate, u, col);
        if (++col == t->cols) {
          set++;
          col = 0;
        }
      }
      for (guint j = n_cols; j < LANE_COLUMNS; j++)
        x[j] = x[0];
      for (gsize i = 0; i < n; i += SEQ_VEC) {
        vec e[LANE_ROWS];

        LANE_FOR (r, LANE_ROWS)
          e[r] = vec_load (d + r * LANE_STEP + i);
        LANE_FOR (j, LANE_COLUMNS) {
          vec value = vec_load (x[j] + i);

          LANE_FOR (r, LANE_ROWS)
            acc[j * LANE_ROWS + r] =
                vec_fma (e[r], value, acc[j * LANE_ROWS + r]);
        }
      }
      LANE_FOR (i, LANE_ROWS * LANE_COLUMNS / SEQ_VEC) {
        vec s = vec_sums (acc + i * SEQ_VEC);

        memcpy (sums + i * SEQ_VEC, &s, sizeof s);
      }
      for (guint j = 0; j < n_cols; j++)
        for (guint r = 0; r < LANE_ROWS; r++)
          to[j][r] += sums[j * LANE_ROWS + r];
    }
  }
}

/* n rows from `from`, neighbours, to rows LANE_STEP apart. */
SEQ_INLINE void
lanes_gather (real *to, const real *from, guint n, guint lanes)
{
  for (guint k = 0; k < n; k++)
    for (guint l = 0; l < lanes; l += SEQ_VEC)
      vec_store (to + k * LANE_STEP + l, vec_load (from + k * lanes + l));
}

/* --- recurrent layers --------------------------------------------------------
 */

/* What a kind is to a group. Its units' states are of n_out each, SEQ_PAD
 * (n_out) apart in the state of a lane, the output h first. Tensor 0 is the
 * input's.
 *
 * The frame of a group in the tape is rows of x; of each state from before the
 * frame; then, unit by unit, n_kept rows that step() leaves for back(). Behind
 * them is room for the states after the last frame. Without a tape two frames
 * take turns. */
typedef struct {
  guint n_states, n_kept, n_gates; /* gates: rows of gradients a unit */
  guint n_in_gates;                /* of which those before are tensor 0's */
  /* One frame: states go to `next`. keep: fill what is kept */
  void (*step) (const SeqLayer *layer, const real *weights, guint vecs,
      real *frame, real *next, gboolean keep);
  /* One frame back: d_states from after the frame to before it, and d [gate *
   * rows + row], LANE_STEP apart. before: the frame that comes next. */
  void (*back) (const SeqLayer *layer, const real *weights, guint vecs,
      const real *frame, const real *before, const real *d_out, real *d_states,
      real *d);
  /* Adds to d_weights from d and the rows 1, x and h before; n reals a row */
  void (*gradient) (const SeqLayer *layer, real *d_weights, const real *d,
      const real *ones, const real *x, const real *h, gsize n);
} LaneCell;

/* Where rows lie in a frame, reals. */
typedef struct {
  guint rows; /* of a state */
  gsize h, c; /* the states */
  gsize kept, next;
} LanePlaces;

SEQ_INLINE LanePlaces
lane_places (const SeqLayer *layer, const LaneCell *cell, guint vecs)
{
  guint rows = LANE_PAD (layer->n_out);
  gsize lanes = vecs * SEQ_VEC, n = rows * lanes, h = layer->n_in * lanes;
  gsize kept = h + cell->n_states * n;

  return (LanePlaces){ rows, h, h + n, kept, kept + cell->n_kept * n };
}

/* A unit's first kept row. */
SEQ_INLINE gsize
lane_kept (const LaneCell *cell, const LanePlaces *at, guint unit, guint vecs)
{
  return at->kept + unit * cell->n_kept * vecs * SEQ_VEC;
}

/* Reals a lane and frame that the tape must have for groups. */
SEQ_INLINE gsize
lane_tape (const SeqLayer *layer, const LaneCell *cell)
{
  return SEQ_PAD (
      2 * layer->n_in
      + (2 * cell->n_states + cell->n_kept) * LANE_PAD (layer->n_out));
}

/* Reals of scratch that the gradient of groups takes. */
SEQ_INLINE gsize
lane_scratch (const SeqLayer *layer, const LaneCell *cell, guint n_lanes)
{
  gsize rows = LANE_PAD (layer->n_out);

  if (n_lanes < SEQ_VEC)
    return 0;
  return (cell->n_gates * rows + 1 + layer->n_in + rows) * LANE_STEP
         + ((cell->n_states + 1) * rows + layer->n_in) * LANE_VECS * SEQ_VEC;
}

/* Fetches a unit's part of a frame: the tape is larger than the caches, and
 * nobody else sees that it is read backwards. */
SEQ_INLINE void
lanes_prefetch (const LaneCell *cell, const LanePlaces *at, const real *frame,
    guint unit, guint vecs)
{
  gsize lanes = vecs * SEQ_VEC;

  LANE_FOR (i, cell->n_kept * vecs)
    __builtin_prefetch (frame + lane_kept (cell, at, unit, vecs) + i * SEQ_VEC);
  LANE_FOR (s, cell->n_states)
    LANE_FOR (v, vecs)
      __builtin_prefetch (
          frame + at->h + (s * at->rows + unit) * lanes + v * SEQ_VEC);
}

SEQ_INLINE void
lanes_run_group (const SeqLayer *layer, const LaneCell *cell,
    const SeqBlock *block, guint lane, guint vecs, gboolean keep)
{
  guint lanes = vecs * SEQ_VEC, n_used = MIN (lanes, block->n_lanes - lane);
  LanePlaces at = lane_places (layer, cell, vecs);
  real *state = block->state + lane * block->state_stride;
  real *frame = block->tape + lane * block->tape_stride, *next;
  gsize n_state = SEQ_PAD (layer->n_out);

  for (guint s = 0; s < cell->n_states; s++)
    lanes_in (frame + at.h + s * at.rows * lanes, lanes, state + s * n_state,
        block->state_stride, layer->n_out, at.rows, n_used);
  for (guint t = 0; t < block->n_frames; t++) {
    gsize row = (gsize) t * block->n_lanes + lane;

    if (!keep)
      next = block->tape + (t % 2 ? 0 : at.next);
    else if (t + 1 < block->n_frames)
      next = frame + block->n_lanes * block->tape_stride;
    else
      next = frame + at.next - at.h;
    lanes_in (frame, lanes, block->in + row * block->in_stride,
        block->in_stride, layer->n_in, layer->n_in, n_used);
    cell->step (layer, block->weights, vecs, frame, next, keep);
    lanes_out (block->out + row * block->out_stride, block->out_stride,
        next + at.h, lanes, layer->n_out, n_used);
    frame = next;
  }
  for (guint s = 0; s < cell->n_states; s++)
    lanes_out (state + s * n_state, block->state_stride,
        frame + at.h + s * at.rows * lanes, lanes, layer->n_out, n_used);
}

SEQ_INLINE void
lanes_grad_group (const SeqLayer *layer, const LaneCell *cell,
    const SeqBlock *block, const SeqGrad *g, guint lane, guint vecs)
{
  guint lanes = vecs * SEQ_VEC, n_in = layer->n_in, n_out = layer->n_out;
  LanePlaces at = lane_places (layer, cell, vecs);
  gsize n_state = SEQ_PAD (n_out), step = block->n_lanes * block->tape_stride;
  real *d_state = g->d_state + lane * block->state_stride;
  real *d = g->scratch, *ones = d + cell->n_gates * at.rows * LANE_STEP;
  real *x = ones + LANE_STEP, *h = x + n_in * LANE_STEP;
  real *d_states = h + at.rows * LANE_STEP;
  real *d_out = d_states + cell->n_states * at.rows * lanes;
  real *d_in = d_out + at.rows * lanes;

  for (gsize i = 0; i < LANE_BLOCK; i++)
    ones[i] = 1;
  for (guint s = 0; s < cell->n_states; s++)
    lanes_in (d_states + s * at.rows * lanes, lanes, d_state + s * n_state,
        block->state_stride, n_out, at.rows, lanes);
  for (guint end = block->n_frames, n; end > 0; end -= n) {
    n = MIN (end, LANE_BLOCK / lanes);
    for (guint k = n; k-- > 0;) {
      guint t = end - n + k;
      gsize row = (gsize) t * block->n_lanes + lane;
      const real *frame = block->tape + row * block->tape_stride;

      lanes_in (d_out, lanes, g->d_out + row * block->out_stride,
          block->out_stride, n_out, at.rows, lanes);
      cell->back (layer, block->weights, vecs, frame,
          t > 0 ? frame - step : frame, d_out, d_states, d + k * lanes);
      if (g->d_in) {
        lanes_back (&layer->tensors[0], block->weights, 0, cell->n_in_gates,
            d + k * lanes, at.rows, vecs, d_in, FALSE);
        lanes_out (g->d_in + row * g->d_in_stride, g->d_in_stride, d_in, lanes,
            n_in, lanes);
      }
      lanes_gather (x + k * lanes, frame, n_in + n_out, lanes);
    }
    cell->gradient (layer, g->d_weights, d, ones, x, h, n * lanes);
  }
  for (guint s = 0; s < cell->n_states; s++)
    lanes_out (d_state + s * n_state, block->state_stride,
        d_states + s * at.rows * lanes, lanes, n_out, lanes);
}

/* run() and grad() of a layer: groups where `grouped` and lanes allow, the
 * other lanes a few at a time. */
SEQ_INLINE void
lanes_run (const SeqLayer *layer, const LaneCell *cell, gboolean grouped,
    const SeqBlock *block,
    void (*few) (
        const SeqLayer *layer, const SeqBlock *block, guint lane, guint n))
{
  gboolean keep = block->tape_stride > 0;

  for (guint lane = 0, vecs, n; lane < block->n_lanes; lane += n) {
    vecs = grouped ? lane_vecs (layer, block, lane) : 0;
    n = vecs ? vecs * SEQ_VEC : MIN (block->n_lanes - lane, LANES_FEW);
    if (vecs == 0)
      few (layer, block, lane, n);
    else if (vecs == 1 && keep)
      lanes_run_group (layer, cell, block, lane, 1, TRUE);
    else if (vecs == 1)
      lanes_run_group (layer, cell, block, lane, 1, FALSE);
    else if (vecs == 2 && keep)
      lanes_run_group (layer, cell, block, lane, 2, TRUE);
    else if (vecs == 2)
      lanes_run_group (layer, cell, block, lane, 2, FALSE);
    else if (keep)
      lanes_run_group (layer, cell, block, lane, 3, TRUE);
    else
      lanes_run_group (layer, cell, block, lane, 3, FALSE);
  }
}

SEQ_INLINE void
lanes_grad (const SeqLayer *layer, const LaneCell *cell, gboolean grouped,
    const SeqBlock *block, const SeqGrad *g,
    void (*alone) (const SeqLayer *layer, const SeqBlock *block,
        const SeqGrad *g, guint lane))
{
  for (guint lane = 0, vecs; lane < block->n_lanes;
       lane += MAX (vecs * SEQ_VEC, 1)) {
    vecs = grouped ? lane_vecs (layer, block, lane) : 0;
    if (vecs == 0)
      alone (layer, block, g, lane);
    else if (vecs == 1)
      lanes_grad_group (layer, cell, block, g, lane, 1);
    else if (vecs == 2)
      lanes_grad_group (layer, cell, block, g, lane, 2);
    else
      lanes_grad_group (layer, cell, block, g, lane, 3);
  }
}
