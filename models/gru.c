/* gru.c: gated recurrent unit (Cho et al. 2014), in both published variants.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 *   r = sigmoid (W_ir x + W_hr h + b_r)                    reset gate
 *   z = sigmoid (W_iz x + W_hz h + b_z)                    update gate
 *   n = tanh (W_in x + b_n + r * (W_hn h + b_hn))          reset_after = 1:
 *                                     PyTorch's nn.GRU, Keras' reset_after
 *   n = tanh (W_in x + b_n + W_hn (r * h) + b_hn)          reset_after = 0:
 *                                     Cho et al.'s version 1, ONNX's default
 *   h = (1 - z) n + z h                                    the output
 *
 * bias holds b_r, b_z (the sums of PyTorch's two) and b_n (its input bias);
 * bias_hn is the recurrent bias of n. State: h, padded. Tape: r, z, n, two
 * free, then W_hn h + b_hn or r * h; grad() leaves there the gradients that
 * belong to W_ih (first three) and to W_hh (last three). What groups of lanes
 * keep is lanes.h's business; with reset_after = 0 lanes go one by one.
 */
#include "src/simd/cell.h"

typedef struct {
  Cell cell;
  guint reset_after;
} Gru;

enum { WEIGHT_IH, WEIGHT_HH, BIAS, BIAS_HN };
enum { R, Z, N, HR, HZ, HN, N_TAPED };
enum { GROUP_HN = N + 1, N_KEPT }; /* in what groups keep: W_hn h */

#define SIZES                                                                  \
  {                                                                            \
    .n_states = 1, .n_kept = N_KEPT, .n_gates = 4, .n_in_gates = 3             \
  }

static const CellKind gru_kind;

static const char *const options[] = { CELL_OPTIONS, "chrono", "reset_after",
  QUANT_OPTIONS, NULL };

static gboolean
gru_init (SeqLayer *layer, GVariant *config, GError **error)
{
  Gru *self = (Gru *) layer;
  guint n;

  if (!cell_init (layer, (GroupSizes) SIZES, config, error)
      || !seq_config_uint (
          layer, config, "reset_after", 0, 1, 1, &self->reset_after, error))
    return FALSE;
  n = layer->n_out;
  seq_layer_add_tensor (layer, "weight_ih", 3, n, layer->n_in);
  seq_layer_add_tensor (layer, "weight_hh", 3, n, n);
  seq_layer_add_tensor (layer, "bias", 3, n, 1);
  seq_layer_add_tensor (layer, "bias_hn", 1, n, 1);
  cell_add_state (layer, N_TAPED);
  self->cell.scratch_alone = transpose_size (&layer->tensors[WEIGHT_IH])
                             + transpose_size (&layer->tensors[WEIGHT_HH])
                             + 2 * SEQ_PAD (n);
  if (!cell_init_precision (layer, config, error))
    return FALSE;
  if (layer->quantised && !self->reset_after) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "gru: precision is %s where reset_after is 0; expected float",
        seq_layer_precision (layer));
    return FALSE;
  }
  return TRUE;
}

/* With chrono it is the update gate, which keeps the old state. */
static void
gru_seed (const SeqLayer *layer, GRand *rand, real *weights)
{
  const Cell *cell = (const Cell *) layer;

  cell_seed (layer, rand, weights);
  for (guint u = 0; cell_has_chrono (cell) && u < layer->n_out; u++)
    weights[seq_tensor_index (&layer->tensors[BIAS], Z, u, 0)] =
        chrono_bias (cell, rand);
}

/* One strip with reset_after. */
SEQ_INLINE void
gru_strip (const Cell *cell, Few *few, guint strip, guint first,
    CONSTANT guint n, CONSTANT guint precision, CONSTANT gboolean keep)
{
  const SeqTensor *tensors = cell->base.tensors;
  const CellLane *lanes = &few->lanes[first];
  const real *weights = lanes->weights, *x[2], *h[2];
  QuantRows *q = &few->q[first];
  gsize u = strip * SEQ_VEC, rows = cell->rows;
  vec a[2 * 3], in[2];

  for (guint l = 0; l < n; l++) {
    x[l] = lanes[l].x;
    h[l] = lanes[l].h;
    for (guint g = R; g <= N; g++)
      a[3 * l + g] =
          vec_load (weights + strip_at (&tensors[BIAS], strip) + g * SEQ_TILE);
  }
  add_gate_products (a, n, 3, precision, strip,
      &(Operands){ &tensors[WEIGHT_IH], weights,
          cell->quant.bounded_input ? &cell->quant.ih : NULL, x, &q->x });
  for (guint l = 0; l < n; l++) {
    in[l] = a[3 * l + N];
    a[3 * l + N] = vec_load (weights + strip_at (&tensors[BIAS_HN], strip));
  }
  add_gate_products (a, n, 3, precision, strip,
      &(Operands){ &tensors[WEIGHT_HH], weights, &cell->quant.hh, h,
          &q->h[few->t % 2] });
  for (guint l = 0; l < n; l++) {
    vec hn = a[3 * l + N], r = vec_sigmoid (a[3 * l + R]);
    vec z = vec_sigmoid (a[3 * l + Z]), new = vec_tanh (vec_fma (r, hn, in[l]));
    vec y = vec_fma (new, 1 - z, z * vec_load (h[l] + u));
    real *tape = lanes[l].tape + u;

    vec_store (lanes[l].y + u, y);
    if (precision != QUANT_NONE)
      quant_store (&q->h[(few->t + 1) % 2], precision, u, y);
    if (keep) {
      vec_store (tape + R * rows, r);
      vec_store (tape + Z * rows, z);
      vec_store (tape + N * rows, new);
      vec_store (tape + HN * rows, hn);
    }
  }
}

/* Bias and W_ih x of one strip's gates [from, to). */
SEQ_INLINE void
gru_input_gates (const SeqLayer *layer, const CellLane *lane, guint strip,
    CONSTANT guint from, CONSTANT guint to, vec *a)
{
  const real *bias = lane->weights + strip_at (&layer->tensors[BIAS], strip);
  const real *ih = lane->weights + strip_at (&layer->tensors[WEIGHT_IH], strip);

  for (guint g = from; g < to; g++)
    a[g - from] = vec_load (bias + g * SEQ_TILE);
  add_strip_product (
      a, to - from, ih + from * SEQ_TILE, 3 * SEQ_TILE, lane->x, layer->n_in);
}

/* One frame of one lane, reset before. */
SEQ_INLINE void
gru_frame_before (
    const Cell *cell, const CellLane *lane, CONSTANT gboolean keep)
{
  real reset[SEQ_MAX_UNITS] __attribute__ ((aligned (SEQ_ALIGN)));
  real update[SEQ_MAX_UNITS] __attribute__ ((aligned (SEQ_ALIGN)));
  const SeqLayer *layer = &cell->base;
  const SeqTensor *hh = &layer->tensors[WEIGHT_HH];
  const SeqTensor *bias_hn = &layer->tensors[BIAS_HN];
  const real *weights = lane->weights, *h = lane->h;
  real *tape = lane->tape;
  gsize rows = cell->rows;

  for (gsize s = 0, u = 0; s < SEQ_STRIPS (layer->n_out); s++, u += SEQ_VEC) {
    vec a[2], r;

    gru_input_gates (layer, lane, s, R, N, a);
    add_strip_product (
        a, 2, weights + strip_at (hh, s), 3 * SEQ_TILE, h, layer->n_out);
    r = vec_sigmoid (a[R]);
    vec_store (reset + u, r * vec_load (h + u));
    vec_store (update + u, vec_sigmoid (a[Z]));
    if (keep)
      vec_store (tape + R * rows + u, r);
  }
  for (gsize s = 0, u = 0; s < SEQ_STRIPS (layer->n_out); s++, u += SEQ_VEC) {
    vec hn = vec_load (weights + strip_at (bias_hn, s));
    vec z = vec_load (update + u), n;

    gru_input_gates (layer, lane, s, N, N + 1, &n);
    add_strip_product (&hn, 1, weights + strip_at (hh, s) + N * SEQ_TILE,
        3 * SEQ_TILE, reset, layer->n_out);
    n = vec_tanh (n + hn);
    vec_store (lane->out + u, vec_fma (n, 1 - z, z * vec_load (h + u)));
    if (keep) {
      vec_store (tape + Z * rows + u, z);
      vec_store (tape + N * rows + u, n);
      vec_store (tape + HN * rows + u, vec_load (reset + u));
    }
  }
}

SEQ_INLINE void
gru_frame (const Cell *cell, Few *few, CONSTANT guint n,
    CONSTANT guint precision, CONSTANT gboolean keep, CONSTANT gboolean share)
{
  if (((const Gru *) cell)->reset_after)
    few_strips (cell, &gru_kind, few, n, precision, keep, share);
  else
    for (guint l = 0; l < n; l++)
      gru_frame_before (cell, &few->lanes[l], keep);
}

static void
gru_grad_alone (
    const SeqLayer *layer, const SeqBlock *block, const SeqGrad *g, guint lane)
{
  gboolean after = ((const Gru *) layer)->reset_after;
  const SeqTensor *ih = &layer->tensors[WEIGHT_IH];
  const SeqTensor *hh = &layer->tensors[WEIGHT_HH];
  gsize rows = SEQ_PAD (layer->n_out);
  real *ih_t = g->scratch, *hh_t = ih_t + transpose_size (ih);
  real *dh = hh_t + transpose_size (hh), *d_reset = dh + rows;
  Alone a = alone_of (block, g, lane);
  Gradients by_x = { a.tape, a.tape_step, rows, block->n_frames }, by_h = by_x;
  Gradients by_hn = by_x;

  by_h.d += HR * rows;
  by_hn.d += (after ? HN : N) * rows;
  if (g->d_in)
    transpose_tensor (ih, a.weights, ih_t);
  transpose_tensor (hh, a.weights, hh_t);
  memcpy (dh, a.d_state, rows * sizeof (real));
  for (guint t = block->n_frames; t-- > 0;) {
    gsize row = (gsize) t * block->n_lanes + lane;
    const real *d_out = g->d_out + row * block->out_stride;
    const real *h_before = row_at (&a.h, (gint) t - 1);
    real *tape = a.tape + t * a.tape_step;

    for (gsize u = 0; u < rows; u += SEQ_VEC) {
      vec r = vec_load (tape + R * rows + u);
      vec z = vec_load (tape + Z * rows + u);
      vec n = vec_load (tape + N * rows + u);
      vec before = vec_load (h_before + u);
      vec d = vec_load (dh + u) + vec_load (d_out + u);
      vec dn = d * (1 - z) * tanh_slope (n);
      vec dz = d * (before - n) * z * (1 - z);

      vec_store (tape + Z * rows + u, dz);
      vec_store (tape + HZ * rows + u, dz);
      vec_store (tape + N * rows + u, dn);
      if (after) {
        vec dr = dn * vec_load (tape + HN * rows + u) * r * (1 - r);

        vec_store (tape + R * rows + u, dr);
        vec_store (tape + HR * rows + u, dr);
        vec_store (tape + HN * rows + u, dn * r);
      }
      vec_store (dh + u, d * z);
    }
    if (!after) {
      /* r * h stays in HN for W_hn's gradient; dn stands in N */
      multiply_transposed (hh, N, N + 1, hh_t, tape, d_reset, FALSE);
      for (gsize u = 0; u < rows; u += SEQ_VEC) {
        vec r = vec_load (tape + R * rows + u);
        vec d = vec_load (d_reset + u);
        vec dr = d * vec_load (h_before + u) * r * (1 - r);

        vec_store (tape + R * rows + u, dr);
        vec_store (tape + HR * rows + u, dr);
        vec_store (dh + u, vec_fma (d, r, vec_load (dh + u)));
      }
    }
    multiply_transposed (
        hh, R, after ? N + 1 : N, hh_t, tape + HR * rows, dh, TRUE);
    if (g->d_in)
      multiply_transposed (
          ih, 0, 3, ih_t, tape, g->d_in + row * g->d_in_stride, FALSE);
  }
  memcpy (a.d_state, dh, rows * sizeof (real));

  add_tensor_gradient (ih, 0, 3, g->d_weights, &by_x, &a.in, 0);
  add_tensor_gradient (
      &layer->tensors[BIAS], 0, 3, g->d_weights, &by_x, NULL, 0);
  add_tensor_gradient (hh, R, after ? N + 1 : N, g->d_weights, &by_h, &a.h, 1);
  if (!after) {
    SeqRows reset = { a.tape + HN * rows, a.tape_step, NULL };

    add_tensor_gradient (hh, N, N + 1, g->d_weights, &by_x, &reset, 0);
  }
  add_tensor_gradient (
      &layer->tensors[BIAS_HN], 0, 1, g->d_weights, &by_hn, NULL, 0);
}

/* --- groups, reset_after ----------------------------------------------------
 */

SEQ_INLINE void
gru_step_group (const SeqLayer *layer, const real *weights, CONSTANT guint vecs,
    real *frame, real *next, CONSTANT gboolean keep)
{
  const SeqTensor *t = layer->tensors;
  GroupTile tile = group_tile (3, vecs), one = { 1, tile.units, vecs };
  guint lanes = vecs * SEQ_VEC, n = tile.units * vecs;
  GroupPlaces at = group_places (layer, &gru_kind.group.sizes, vecs);

  for (guint u = 0; u < at.rows; u += tile.units) {
    vec a[GROUP_SUMS], in[GROUP_SUMS];

    group_set_bias (a, tile, weights + seq_tensor_index (&t[BIAS], 0, u, 0));
    group_add_product (a, tile,
        weights + seq_tensor_index (&t[WEIGHT_IH], 0, u, 0), 3 * SEQ_TILE,
        frame, layer->n_in);
    UNROLL (k, n)
    in[k] = a[N * n + k];
    group_set_bias (
        a + N * n, one, weights + seq_tensor_index (&t[BIAS_HN], 0, u, 0));
    group_add_product (a, tile,
        weights + seq_tensor_index (&t[WEIGHT_HH], 0, u, 0), 3 * SEQ_TILE,
        frame + at.h, layer->n_out);
    UNROLL (k, n)
    {
      gsize row = u * lanes + k * SEQ_VEC;
      vec hn = a[N * n + k], r = vec_sigmoid (a[R * n + k]);
      vec z = vec_sigmoid (a[Z * n + k]),
          new = vec_tanh (vec_fma (r, hn, in[k]));

      vec_store (next + at.h + row,
          vec_fma (new, 1 - z, z * vec_load (frame + at.h + row)));
      if (keep) {
        real *to = frame
                   + group_kept (&gru_kind.group.sizes, &at, u + k / vecs, vecs)
                   + k % vecs * SEQ_VEC;

        vec_store (to + R * lanes, r);
        vec_store (to + Z * lanes, z);
        vec_store (to + N * lanes, new);
        vec_store (to + GROUP_HN * lanes, hn);
      }
    }
  }
}

SEQ_INLINE void
gru_back_group (const SeqLayer *layer, const real *weights, CONSTANT guint vecs,
    const GroupBack *b)
{
  guint lanes = vecs * SEQ_VEC;
  GroupPlaces at = group_places (layer, &gru_kind.group.sizes, vecs);
  gsize gate = at.rows * GROUP_STEP;
  GroupTransposed by_rz = { .tensor = &layer->tensors[WEIGHT_HH],
    .weights = weights,
    .from = R,
    .to = N,
    .d = b->d,
    .out = b->d_states,
    .add = TRUE };
  GroupTransposed by_n = by_rz;

  for (guint u = 0; u < at.rows; u++) {
    group_prefetch (&gru_kind.group.sizes, &at, b->before, u, vecs);
    UNROLL (v, vecs)
    {
      gsize row = u * lanes + v * SEQ_VEC;
      const real *kept = b->frame
                         + group_kept (&gru_kind.group.sizes, &at, u, vecs)
                         + v * SEQ_VEC;
      real *to = b->d + u * GROUP_STEP + v * SEQ_VEC;
      vec r = vec_load (kept + R * lanes), z = vec_load (kept + Z * lanes);
      vec n = vec_load (kept + N * lanes);
      vec dy = vec_load (b->d_states + row) + vec_load (b->d_out + row);
      vec dn = dy * (1 - z) * tanh_slope (n);

      vec_store (
          to + R * gate, dn * vec_load (kept + GROUP_HN * lanes) * r * (1 - r));
      vec_store (to + Z * gate,
          dy * (vec_load (b->frame + at.h + row) - n) * z * (1 - z));
      vec_store (to + N * gate, dn);
      vec_store (to + GROUP_HN * gate, dn * r);
      vec_store (b->d_states + row, dy * z);
    }
  }
  group_multiply_transposed (by_rz, vecs);
  by_n.from = N;
  by_n.to = N + 1;
  by_n.d += gate; /* those of W_hn h come behind those of n */
  group_multiply_transposed (by_n, vecs);
}

SEQ_INLINE void
gru_gradient_group (
    const SeqLayer *layer, real *d_weights, const GroupRows *rows)
{
  const SeqTensor *t = layer->tensors;
  const real *d = rows->d;
  gsize gate = GROUP_PAD (layer->n_out) * GROUP_STEP;

  for (guint g = R; g < N; g++)
    group_add_gradient (d_weights,
        (GroupColumns[]){ { &t[BIAS], g, rows->ones },
            { &t[WEIGHT_IH], g, rows->x }, { &t[WEIGHT_HH], g, rows->h } },
        3, d + g * gate, rows->n);
  group_add_gradient (d_weights,
      (GroupColumns[]){
          { &t[BIAS], N, rows->ones }, { &t[WEIGHT_IH], N, rows->x } },
      2, d + N * gate, rows->n);
  group_add_gradient (d_weights,
      (GroupColumns[]){
          { &t[BIAS_HN], 0, rows->ones }, { &t[WEIGHT_HH], N, rows->h } },
      2, d + GROUP_HN * gate, rows->n);
}

static gboolean
gru_grouped (const SeqLayer *layer)
{
  return ((const Gru *) layer)->reset_after;
}

static const CellKind gru_kind = {
  .group = { .sizes = SIZES,
      .step = gru_step_group,
      .back = gru_back_group,
      .gradient = gru_gradient_group },
  .swept = WEIGHT_HH,
  .packs = TRUE,
  .strip = gru_strip,
  .frame = gru_frame,
  .grouped = gru_grouped,
  .grad_alone = gru_grad_alone,
};

CELL_APART
gru_run_few (const SeqLayer *layer, const SeqBlock *block, guint first, guint n)
{
  few_run_all (layer, &gru_kind, block, first, n);
}

static void
gru_run (const SeqLayer *layer, const SeqBlock *block)
{
  cell_run (layer, &gru_kind, block, gru_run_few);
}

static void
gru_grad (const SeqLayer *layer, const SeqBlock *block, const SeqGrad *g)
{
  cell_grad (layer, &gru_kind, block, g);
}

const SeqLayerClass SEQ_CLASS (gru) = {
  .kind = { .name = "gru",
      .title = "Gated recurrent unit",
      .flags = SEQ_KIND_TRAINS | SEQ_KIND_TORCH_CELL,
      .options = options },
  .instance_size = sizeof (Gru),
  .init = gru_init,
  .seed = gru_seed,
  .pack = cell_pack,
  .start = cell_start,
  .run = gru_run,
  .grad = gru_grad,
  .n_scratch = cell_scratch,
};
