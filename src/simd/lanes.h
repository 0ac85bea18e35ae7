/* lanes.h: groups of lanes, one lane an element of a vector.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Recurrent kinds run lanes in three ways, and names of functions say in which:
 *
 *   alone  one lane: the gradient of a lane that is in no group (cell.h)
 *   few    1 to LANES_FEW lanes that take turns, strip by strip of their units,
 *          one unit an element of a vector (cell.h, product.h)
 *   group  1 to GROUP_VECS vectors of neighbouring lanes, one lane an element:
 *          this file
 *
 * The numbers of a group lie in rows [row][lanes], one row a unit or feature;
 * weights are broadcast, so that one pass over them serves every lane, and are
 * read where they lie. What is at the edges, [lane][feature], is transposed on
 * the way in and out.
 *
 * Sums of a run go in the order of product.h, so that a lane has the bits that
 * it has alone; those of a gradient go as the registers like it.
 *
 * Rows come in fours: `rows` of a layer is its units rounded up to GROUP_ROWS;
 * those behind the last unit have zero weights and stay zero.
 */
#pragma once

#include "src/simd/simd.h"

#define LANES_FEW 4
#define GROUP_VECS 3
#define GROUP_ROWS 4
#define GROUP_PAD(n) (((n) + GROUP_ROWS - 1) / GROUP_ROWS * GROUP_ROWS)

/* Sums that registers hold beside what is being multiplied. */
#if defined(__AVX512F__) || defined(__aarch64__)
#define GROUP_SUMS 24
#else
#define GROUP_SUMS 12
#endif

/* Vectors of the group that begins with a lane; 0: none, it is one of a few. A
 * vector that is partly filled is used when fewer elements stay idle in it than
 * in strips of units; there is no room for it in a tape. */
SEQ_INLINE guint
group_vecs (const SeqLayer *layer, const SeqBlock *block, guint lane)
{
  guint left = block->n_lanes - lane, vecs = left / SEQ_VEC;
  guint units = (layer->n_out + SEQ_VEC - 1) / SEQ_VEC * SEQ_VEC;

  if (block->weights_stride)
    return 0;
  if (vecs == 0)
    return !block->tape_stride && left * units > SEQ_VEC * layer->n_out;
  return vecs == 4 ? 2 : MIN (vecs, GROUP_VECS);
}

/* The sums that are formed at a time: [gate][unit][vec] of vectors in
 * registers, at most GROUP_SUMS. */
typedef struct {
  guint gates, units, vecs;
} GroupTile;

/* As many units as there is room for. */
SEQ_INLINE GroupTile
group_tile (CONSTANT guint gates, CONSTANT guint vecs)
{
  return (GroupTile){ gates,
    4 * gates * vecs <= GROUP_SUMS   ? 4
    : 2 * gates * vecs <= GROUP_SUMS ? 2
                                     : 1,
    vecs };
}

/* --- edges -----------------------------------------------------------------
 */

/* Element j of a pair of vectors a, b in which the blocks of s elements off the
 * diagonal have changed places. */
#define PAIR_LOW(s, j) ((j) & (s) ? SEQ_VEC + ((j) ^ (s)) : (j))
#define PAIR_HIGH(s, j) ((j) & (s) ? SEQ_VEC + (j) : ((j) ^ (s)))
#define PAIR_4(F, s, j) F (s, j), F (s, j + 1), F (s, j + 2), F (s, j + 3)
#if SEQ_VEC == 16
#define PAIR_EACH(F, s)                                                        \
  PAIR_4 (F, s, 0), PAIR_4 (F, s, 4), PAIR_4 (F, s, 8), PAIR_4 (F, s, 12)
#elif SEQ_VEC == 8
#define PAIR_EACH(F, s) PAIR_4 (F, s, 0), PAIR_4 (F, s, 4)
#else
#define PAIR_EACH(F, s) PAIR_4 (F, s, 0)
#endif
#define PAIR_SHUFFLE(F, a, b, s)                                               \
  __builtin_shufflevector (a, b, PAIR_EACH (F, s))

#define PAIR_SWAP(tile, s)                                                     \
  UNROLL (i, SEQ_VEC)                                                          \
  if (!(i & (s))) {                                                            \
    vec low = PAIR_SHUFFLE (PAIR_LOW, tile[i], tile[i + (s)], s);              \
                                                                               \
    tile[i + (s)] = PAIR_SHUFFLE (PAIR_HIGH, tile[i], tile[i + (s)], s);       \
    tile[i] = low;                                                             \
  }

/* Transposes SEQ_VEC vectors. */
SEQ_INLINE void
tile_transpose (vec *tile)
{
  PAIR_SWAP (tile, 1)
  PAIR_SWAP (tile, 2)
#if SEQ_VEC > 4
  PAIR_SWAP (tile, 4)
#endif
#if SEQ_VEC > 8
  PAIR_SWAP (tile, 8)
#endif
}

#define PAIR_FOLD(v, s)                                                        \
  UNROLL (i, SEQ_VEC / (2 * (s)))                                              \
  v[2 * (s) *i] =                                                              \
      PAIR_SHUFFLE (PAIR_LOW, v[2 * (s) *i], v[(2 * i + 1) * (s)], s)          \
      + PAIR_SHUFFLE (PAIR_HIGH, v[2 * (s) *i], v[(2 * i + 1) * (s)], s);

/* Element i of the result is the sum of v[i]; v is used up. */
SEQ_INLINE vec
vec_sums (vec *v)
{
  PAIR_FOLD (v, 1)
  PAIR_FOLD (v, 2)
#if SEQ_VEC > 4
  PAIR_FOLD (v, 4)
#endif
#if SEQ_VEC > 8
  PAIR_FOLD (v, 8)
#endif
  return v[0];
}

/* to[k][lane] = from[lane * stride + k] for k < n; zeros for lanes from n_used
 * on and for k in [n, n_rows). */
SEQ_INLINE void
group_read (real *to, guint lanes, const real *from, gsize stride, guint n,
    guint n_rows, guint n_used)
{
  guint k = 0;

  /* a row of `stride` reals may be read to its end */
  for (; n - k > 2 && k + SEQ_VEC <= stride && k < n; k += SEQ_VEC)
    for (guint l = 0; l < lanes; l += SEQ_VEC) {
      guint last = MIN (n - k, SEQ_VEC);
      vec tile[SEQ_VEC];

      UNROLL (i, SEQ_VEC)
      tile[i] =
          l + i < n_used ? vec_loadu (from + (l + i) * stride + k) : (vec){ 0 };
      tile_transpose (tile);
      UNROLL (i, SEQ_VEC)
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
group_write (real *to, gsize stride, const real *from, guint lanes, guint n,
    guint n_used)
{
  for (guint l = 0; l < n_used; l += SEQ_VEC)
    for (guint k = 0; k < SEQ_PAD (n); k += SEQ_VEC) {
      vec tile[SEQ_VEC];

      UNROLL (i, SEQ_VEC)
      tile[i] = k + i < n ? vec_load (from + (k + i) * lanes + l) : (vec){ 0 };
      tile_transpose (tile);
      UNROLL (i, SEQ_VEC)
      if (l + i < n_used)
        vec_store (to + (l + i) * stride + k, tile[i]);
    }
}

/* --- forwards ---------------------------------------------------------------
 */

/* acc += sum over columns k = 0, by, 2 by ... < n of w[k][gate][unit] *
 * x[k][vec]. w: the first unit's weight of the first gate and column; columns
 * are `step` reals apart. */
SEQ_INLINE void
group_add_pass (vec *acc, CONSTANT GroupTile tile, const real *w, gsize step,
    const real *x, guint n, CONSTANT guint by)
{
  guint vecs = tile.vecs;

  for (guint k = 0; k < n; k += by, w += by * step, x += by * vecs * SEQ_VEC) {
    vec row[GROUP_VECS];

    UNROLL (v, vecs)
    row[v] = vec_load (x + v * SEQ_VEC);
    UNROLL (i, tile.gates * tile.units)
    {
      vec weight = vec_splat (w[i / tile.units * SEQ_TILE + i % tile.units]);

      UNROLL (v, vecs)
      acc[i * vecs + v] = vec_fma (row[v], weight, acc[i * vecs + v]);
    }
  }
}

/* acc = the bias at b, all lanes alike. */
SEQ_INLINE void
group_set_bias (vec *acc, CONSTANT GroupTile tile, const real *b)
{
  guint gate = tile.units * tile.vecs;

  UNROLL (i, tile.gates * gate)
  acc[i] = vec_splat (b[i / gate * SEQ_TILE + i / tile.vecs % tile.units]);
}

/* acc += the product in two parts, as add_strip_product() forms it. */
SEQ_INLINE void
group_add_product (vec *acc, CONSTANT GroupTile tile, const real *w, gsize step,
    const real *x, guint n)
{
  gsize lanes = tile.vecs * SEQ_VEC;
  guint even = n / 2 * 2, n_sums = tile.gates * tile.units * tile.vecs;

  group_add_pass (acc, tile, w, step, x, even, 2);
  if (even) {
    vec odd[GROUP_SUMS];

    UNROLL (i, n_sums)
    odd[i] = (vec){ 0 };
    group_add_pass (odd, tile, w + step, step, x + lanes, even - 1, 2);
    UNROLL (i, n_sums)
    acc[i] += odd[i];
  }
  group_add_pass (
      acc, tile, w + even * step, step, x + even * lanes, n - even, 1);
}

/* acc += the product of one gate in four parts, as add_row_product() forms it.
 */
SEQ_INLINE void
group_add_row_product (
    vec *acc, CONSTANT GroupTile tile, const real *w, const real *x, guint n)
{
  guint n_sums = tile.units * tile.vecs;
  vec part[3][GROUP_SUMS];

  group_add_pass (acc, tile, w, SEQ_TILE, x, n, 4);
  for (guint p = 0; p < 3; p++) {
    UNROLL (i, n_sums)
    part[p][i] = (vec){ 0 };
    if (n > p + 1)
      group_add_pass (part[p], tile, w + (p + 1) * SEQ_TILE, SEQ_TILE,
          x + (p + 1) * tile.vecs * SEQ_VEC, n - p - 1, 4);
  }
  UNROLL (i, n_sums)
  acc[i] = (acc[i] + part[0][i]) + (part[1][i] + part[2][i]);
}

/* --- backwards --------------------------------------------------------------
 */

/* Frames whose gradients are gathered before they are multiplied into those of
 * the weights, and reals from row to row of what is gathered: a line more than
 * they fill, lest all rows fall into the same set of the cache. */
#define GROUP_BLOCK 512
#define GROUP_STEP (GROUP_BLOCK + SEQ_TILE)

/* A product of a tensor's transpose: out[col][vec] (+)= sum over gates in
 * [from, to) and rows of tensor[gate][row][col] * d[gate * rows + row][vec]. */
typedef struct {
  const SeqTensor *tensor;
  const real *weights; /* of the layer */
  guint from, to;
  const real *d; /* rows GROUP_STEP apart */
  real *out;
  gboolean add; /* to what is in out */
} GroupTransposed;

/* n_cols of its columns from c0 on. */
SEQ_INLINE void
group_multiply_tile (CONSTANT GroupTransposed p, CONSTANT guint vecs, guint c0,
    CONSTANT guint n_cols)
{
  const SeqTensor *t = p.tensor;
  gsize step = t->gates * SEQ_TILE, rows = GROUP_PAD (t->rows);
  real *out = p.out + c0 * vecs * SEQ_VEC;
  vec acc[GROUP_SUMS];

  UNROLL (i, n_cols * vecs)
  acc[i] = p.add ? vec_load (out + i * SEQ_VEC) : (vec){ 0 };
  for (guint g = p.from; g < p.to; g++)
    for (guint r0 = 0; r0 < t->rows; r0 += SEQ_TILE) {
      const real *w = p.weights + seq_tensor_index (t, g, r0, c0);
      const real *x = p.d + (g * rows + r0) * GROUP_STEP;
      guint n = MIN (t->rows - r0, SEQ_TILE);

      for (guint r = 0; r < n; r++, w++, x += GROUP_STEP) {
        vec row[GROUP_VECS];

        UNROLL (v, vecs)
        row[v] = vec_load (x + v * SEQ_VEC);
        UNROLL (j, n_cols)
        {
          vec weight = vec_splat (w[j * step]);

          UNROLL (v, vecs)
          acc[j * vecs + v] = vec_fma (row[v], weight, acc[j * vecs + v]);
        }
      }
    }
  UNROLL (i, n_cols * vecs)
  vec_store (out + i * SEQ_VEC, acc[i]);
}

SEQ_INLINE void
group_multiply_transposed (CONSTANT GroupTransposed p, CONSTANT guint vecs)
{
  guint c = 0;

  if (8 * vecs <= GROUP_SUMS)
    for (; c + 8 <= p.tensor->cols; c += 8)
      group_multiply_tile (p, vecs, c, 8);
  for (; c + 4 <= p.tensor->cols; c += 4)
    group_multiply_tile (p, vecs, c, 4);
  for (; c < p.tensor->cols; c++)
    group_multiply_tile (p, vecs, c, 1);
}

/* Columns of one tensor's gate, and the rows that they were multiplied with. */
typedef struct {
  const SeqTensor *tensor;
  guint gate;
  const real *x; /* rows GROUP_STEP apart */
} GroupColumns;

/* Sums at a time: GROUP_ROWS rows by as many columns. */
#define GROUP_COLUMNS (SEQ_VEC < 8 ? 2 : SEQ_VEC / GROUP_ROWS)

/* d_tensor[gate][row][col] += sum over n reals of d[row] * x[col], for one gate
 * of tensors side by side that share their rows d, GROUP_STEP apart. */
SEQ_INLINE void
group_add_gradient (real *d_weights, const GroupColumns *sets, guint n_sets,
    const real *d, gsize n)
{
  guint rows = GROUP_PAD (sets->tensor->rows);

  for (guint u = 0; u < rows; u += GROUP_ROWS, d += GROUP_ROWS * GROUP_STEP) {
    guint set = 0, col = 0;

    while (set < n_sets) {
      const real *x[GROUP_COLUMNS];
      real *to[GROUP_COLUMNS], sums[GROUP_ROWS * GROUP_COLUMNS];
      vec acc[GROUP_ROWS * GROUP_COLUMNS] = { { 0 } };
      guint n_cols = 0;

      for (; n_cols < GROUP_COLUMNS && set < n_sets; n_cols++) {
        const SeqTensor *t = sets[set].tensor;

        x[n_cols] = sets[set].x + col * GROUP_STEP;
        to[n_cols] = d_weights + seq_tensor_index (t, sets[set].gate, u, col);
        if (++col == t->cols) {
          set++;
          col = 0;
        }
      }
      for (guint j = n_cols; j < GROUP_COLUMNS; j++)
        x[j] = x[0];
      for (gsize i = 0; i < n; i += SEQ_VEC) {
        vec e[GROUP_ROWS];

        UNROLL (r, GROUP_ROWS)
        e[r] = vec_load (d + r * GROUP_STEP + i);
        UNROLL (j, GROUP_COLUMNS)
        {
          vec value = vec_load (x[j] + i);

          UNROLL (r, GROUP_ROWS)
          acc[j * GROUP_ROWS + r] =
              vec_fma (e[r], value, acc[j * GROUP_ROWS + r]);
        }
      }
      UNROLL (i, GROUP_ROWS * GROUP_COLUMNS / SEQ_VEC)
      {
        vec s = vec_sums (acc + i * SEQ_VEC);

        memcpy (sums + i * SEQ_VEC, &s, sizeof s);
      }
      for (guint j = 0; j < n_cols; j++)
        for (guint r = 0; r < GROUP_ROWS; r++)
          to[j][r] += sums[j * GROUP_ROWS + r];
    }
  }
}

/* n rows from `from`, neighbours, to rows GROUP_STEP apart. */
SEQ_INLINE void
group_gather (real *to, const real *from, guint n, guint lanes)
{
  for (guint k = 0; k < n; k++)
    for (guint l = 0; l < lanes; l += SEQ_VEC)
      vec_store (to + k * GROUP_STEP + l, vec_load (from + k * lanes + l));
}

/* --- frames of a group
 * --------------------------------------------------------
 */

/* One frame of the way back. */
typedef struct {
  const real *frame;  /* of the tape */
  const real *before; /* that which comes next, to be fetched early */
  const real *d_out;  /* [unit][lanes] */
  real *d_states;     /* [state][unit][lanes]: from after the frame to before */
  real *d;            /* to be written: [gate * rows + row], GROUP_STEP apart */
} GroupBack;

/* What gradients of weights are made of: rows of n reals (lanes of several
 * frames), GROUP_STEP apart. */
typedef struct {
  const real *d; /* as GroupBack.d */
  const real *ones, *x, *h;
  gsize n;
} GroupRows;

/* What a kind has of each unit. */
typedef struct {
  guint n_states;
  guint n_kept;     /* rows that step() leaves for back() */
  guint n_gates;    /* rows of gradients */
  guint n_in_gates; /* of which the first are tensor 0's */
} GroupSizes;

/* What a kind must provide to run in groups. The state of a lane is n_states of
 * n_out numbers each, SEQ_PAD (n_out) apart, the output h first.
 *
 * The frame of a group in the tape is rows of x; of each state from before the
 * frame; then, unit by unit, n_kept rows. Behind them is room for the states
 * after the last frame. Without a tape two frames take turns. */
typedef struct {
  GroupSizes sizes;
  /* One frame: states go to `next`. keep: leave what is kept */
  void (*step) (const SeqLayer *layer, const real *weights, CONSTANT guint vecs,
      real *frame, real *next, CONSTANT gboolean keep);
  void (*back) (const SeqLayer *layer, const real *weights, CONSTANT guint vecs,
      const GroupBack *b);
  /* Adds to the gradients of all weights */
  void (*gradient) (
      const SeqLayer *layer, real *d_weights, const GroupRows *rows);
} GroupKind;

/* Where rows lie in a frame, reals. */
typedef struct {
  guint rows; /* of a state */
  gsize h, c; /* the states */
  gsize kept, next;
} GroupPlaces;

SEQ_INLINE GroupPlaces
group_places (
    const SeqLayer *layer, const GroupSizes *sizes, CONSTANT guint vecs)
{
  guint rows = GROUP_PAD (layer->n_out);
  gsize lanes = vecs * SEQ_VEC, n = rows * lanes, h = layer->n_in * lanes;
  gsize kept = h + sizes->n_states * n;

  return (GroupPlaces){ rows, h, h + n, kept, kept + sizes->n_kept * n };
}

/* A unit's first kept row. */
SEQ_INLINE gsize
group_kept (const GroupSizes *sizes, const GroupPlaces *at, guint unit,
    CONSTANT guint vecs)
{
  return at->kept + unit * sizes->n_kept * vecs * SEQ_VEC;
}

/* Reals a lane and frame that the tape must have for groups. */
SEQ_INLINE gsize
group_tape (const SeqLayer *layer, const GroupSizes *sizes)
{
  return SEQ_PAD (
      2 * layer->n_in
      + (2 * sizes->n_states + sizes->n_kept) * GROUP_PAD (layer->n_out));
}

/* Reals of scratch that the gradient of groups takes. */
SEQ_INLINE gsize
group_scratch (const SeqLayer *layer, const GroupSizes *sizes, guint n_lanes)
{
  gsize rows = GROUP_PAD (layer->n_out);

  if (n_lanes < SEQ_VEC)
    return 0;
  return (sizes->n_gates * rows + 1 + layer->n_in + rows) * GROUP_STEP
         + ((sizes->n_states + 1) * rows + layer->n_in) * GROUP_VECS * SEQ_VEC;
}

/* Fetches a unit's part of a frame: the tape is larger than the caches, and
 * nobody else sees that it is read backwards. */
SEQ_INLINE void
group_prefetch (const GroupSizes *sizes, const GroupPlaces *at,
    const real *frame, guint unit, CONSTANT guint vecs)
{
  gsize lanes = vecs * SEQ_VEC;

  UNROLL (i, sizes->n_kept * vecs)
  __builtin_prefetch (frame + group_kept (sizes, at, unit, vecs) + i * SEQ_VEC);
  UNROLL (s, sizes->n_states)
  UNROLL (v, vecs)
  __builtin_prefetch (
      frame + at->h + (s * at->rows + unit) * lanes + v * SEQ_VEC);
}

SEQ_INLINE void
group_run (const SeqLayer *layer, const GroupKind *kind, const SeqBlock *block,
    guint lane, CONSTANT guint vecs, CONSTANT gboolean keep)
{
  guint lanes = vecs * SEQ_VEC, n_used = MIN (lanes, block->n_lanes - lane);
  GroupPlaces at = group_places (layer, &kind->sizes, vecs);
  real *state = block->state + lane * block->state_stride;
  real *frame = block->tape + lane * block->tape_stride, *next;
  gsize n_state = SEQ_PAD (layer->n_out);

  for (guint s = 0; s < kind->sizes.n_states; s++)
    group_read (frame + at.h + s * at.rows * lanes, lanes, state + s * n_state,
        block->state_stride, layer->n_out, at.rows, n_used);
  for (guint t = 0; t < block->n_frames; t++) {
    gsize row = (gsize) t * block->n_lanes + lane;

    if (!keep)
      next = block->tape + (t % 2 ? 0 : at.next);
    else if (t + 1 < block->n_frames)
      next = frame + block->n_lanes * block->tape_stride;
    else
      next = frame + at.next - at.h;
    group_read (frame, lanes, block->in + row * block->in_stride,
        block->in_stride, layer->n_in, layer->n_in, n_used);
    kind->step (layer, block->weights, vecs, frame, next, keep);
    group_write (block->out + row * block->out_stride, block->out_stride,
        next + at.h, lanes, layer->n_out, n_used);
    frame = next;
  }
  for (guint s = 0; s < kind->sizes.n_states; s++)
    group_write (state + s * n_state, block->state_stride,
        frame + at.h + s * at.rows * lanes, lanes, layer->n_out, n_used);
}

SEQ_INLINE void
group_grad (const SeqLayer *layer, const GroupKind *kind, const SeqBlock *block,
    const SeqGrad *g, guint lane, CONSTANT guint vecs)
{
  guint lanes = vecs * SEQ_VEC, n_in = layer->n_in, n_out = layer->n_out;
  GroupPlaces at = group_places (layer, &kind->sizes, vecs);
  gsize n_state = SEQ_PAD (n_out), step = block->n_lanes * block->tape_stride;
  real *d_state = g->d_state + lane * block->state_stride;
  real *d = g->scratch, *ones = d + kind->sizes.n_gates * at.rows * GROUP_STEP;
  real *x = ones + GROUP_STEP, *h = x + n_in * GROUP_STEP;
  real *d_states = h + at.rows * GROUP_STEP;
  real *d_out = d_states + kind->sizes.n_states * at.rows * lanes;
  real *d_in = d_out + at.rows * lanes;

  for (gsize i = 0; i < GROUP_BLOCK; i++)
    ones[i] = 1;
  for (guint s = 0; s < kind->sizes.n_states; s++)
    group_read (d_states + s * at.rows * lanes, lanes, d_state + s * n_state,
        block->state_stride, n_out, at.rows, lanes);
  for (guint end = block->n_frames, n; end > 0; end -= n) {
    n = MIN (end, GROUP_BLOCK / lanes);
    for (guint k = n; k-- > 0;) {
      guint t = end - n + k;
      gsize row = (gsize) t * block->n_lanes + lane;
      const real *frame = block->tape + row * block->tape_stride;

      group_read (d_out, lanes, g->d_out + row * block->out_stride,
          block->out_stride, n_out, at.rows, lanes);
      kind->back (layer, block->weights, vecs,
          &(GroupBack){ .frame = frame,
              .before = t > 0 ? frame - step : frame,
              .d_out = d_out,
              .d_states = d_states,
              .d = d + k * lanes });
      if (g->d_in) {
        group_multiply_transposed (
            (GroupTransposed){ .tensor = &layer->tensors[0],
                .weights = block->weights,
                .to = kind->sizes.n_in_gates,
                .d = d + k * lanes,
                .out = d_in },
            vecs);
        group_write (g->d_in + row * g->d_in_stride, g->d_in_stride, d_in,
            lanes, n_in, lanes);
      }
      group_gather (x + k * lanes, frame, n_in + n_out, lanes);
    }
    kind->gradient (
        layer, g->d_weights, &(GroupRows){ d, ones, x, h, n * lanes });
  }
  for (guint s = 0; s < kind->sizes.n_states; s++)
    group_write (d_state + s * n_state, block->state_stride,
        d_states + s * at.rows * lanes, lanes, n_out, lanes);
}
