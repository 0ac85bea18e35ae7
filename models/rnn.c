/* rnn.c: Elman's network (1990), as PyTorch's nn.RNN.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 *   h = act (W_ih x + W_hh h + b),  act = tanh or relu;  the output is h
 *
 * bias is the sum of PyTorch's two. State: h, padded. Tape: h of the frame,
 * in place of which grad() leaves the gradient before the activation. What
 * groups of lanes keep is lanes.h's business.
 */
#include "src/simd/cell.h"

typedef struct {
  Cell cell;
  guint nonlinearity;
} Rnn;

enum { WEIGHT_IH, WEIGHT_HH, BIAS };
enum { TANH, RELU };

#define SIZES                                                                  \
  {                                                                            \
    .n_states = 1, .n_kept = 1, .n_gates = 1, .n_in_gates = 1                  \
  }

static const CellKind rnn_kind;

static const char *const options[] = { CELL_OPTIONS, "nonlinearity",
  QUANT_OPTIONS, NULL };

/* Units up to which lanes take turns, so that one's activation hides behind
 * another's product; larger nets would take each other's place in the first
 * cache. */
#define SMALL 48

static gboolean
rnn_init (SeqLayer *layer, GVariant *config, GError **error)
{
  static const char *const words[] = { "tanh", "relu", NULL };
  Rnn *self = (Rnn *) layer;
  guint n;

  if (!cell_init (layer, (GroupSizes) SIZES, config, error)
      || !seq_config_word (layer, config, "nonlinearity", words, TANH,
          &self->nonlinearity, error))
    return FALSE;
  n = layer->n_out;
  if (n > SMALL)
    self->cell.turns = 1;
  seq_layer_add_tensor (layer, "weight_ih", 1, n, layer->n_in);
  seq_layer_add_tensor (layer, "weight_hh", 1, n, n);
  seq_layer_add_tensor (layer, "bias", 1, n, 1);
  cell_add_state (layer, 1);
  self->cell.scratch_alone = transpose_size (&layer->tensors[WEIGHT_IH])
                             + transpose_size (&layer->tensors[WEIGHT_HH])
                             + SEQ_PAD (n);
  if (!cell_init_precision (layer, config, error))
    return FALSE;
  if (layer->quantised && self->nonlinearity == RELU) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "rnn: precision is %s where nonlinearity is relu; expected float: its "
        "state has no bounds",
        seq_layer_precision (layer));
    return FALSE;
  }
  return TRUE;
}

SEQ_INLINE vec
rnn_activate (const Rnn *self, vec a)
{
  if (self->nonlinearity == TANH)
    return vec_tanh (a);
  return vec_select (a < 0, vec_splat (0), a);
}

/* d times the activation's slope where it gave y. */
SEQ_INLINE vec
rnn_slope_times (const Rnn *self, vec y, vec d)
{
  if (self->nonlinearity == TANH)
    return d * tanh_slope (y);
  return vec_select (y > 0, d, vec_splat (0));
}

/* n_strips strips of n lanes with the same weights, from strip and lane `first`
 * on. */
SEQ_INLINE void
rnn_strips (const Cell *cell, Few *few, guint strip, guint first,
    CONSTANT guint n_strips, CONSTANT guint n, CONSTANT guint precision)
{
  const SeqTensor *tensors = cell->base.tensors;
  const CellLane *lanes = &few->lanes[first];
  const real *weights = lanes->weights, *x[2], *h[2];
  QuantRows *q = &few->q[first];
  vec a[ROW_STRIPS];

  for (guint l = 0; l < n; l++) {
    x[l] = lanes[l].x;
    h[l] = lanes[l].h;
    for (guint s = 0; s < n_strips; s++)
      a[l * n_strips + s] =
          vec_load (weights + strip_at (&tensors[BIAS], strip + s));
  }
  add_one_gate_products (a, n, n_strips, precision, strip,
      &(Operands){ &tensors[WEIGHT_IH], weights,
          cell->quant.bounded_input ? &cell->quant.ih : NULL, x, &q->x });
  add_one_gate_products (a, n, n_strips, precision, strip,
      &(Operands){ &tensors[WEIGHT_HH], weights, &cell->quant.hh, h,
          &q->h[few->t % 2] });
  for (guint i = 0; i < n * n_strips; i++) {
    gsize u = (strip + i % n_strips) * SEQ_VEC;
    vec y = rnn_activate ((const Rnn *) cell, a[i]);

    vec_store (lanes[i / n_strips].y + u, y);
    if (precision != QUANT_NONE)
      quant_store (&q->h[(few->t + 1) % 2], precision, u, y);
  }
}

/* All strips of n lanes, as many at a time as registers hold. */
SEQ_INLINE void
rnn_sweep (const Cell *cell, Few *few, guint first, CONSTANT guint n,
    CONSTANT guint precision)
{
  guint n_strips = SEQ_STRIPS (cell->units), at_once = ROW_STRIPS / n;
  gboolean backward = strips_backward (&cell->base.tensors[WEIGHT_HH], few->t);

  for (guint s = 0, some; s < n_strips; s += some) {
    some = n_strips - s >= at_once ? at_once : 1;
    if (some > 1)
      rnn_strips (cell, few, backward ? n_strips - s - some : s, first,
          ROW_STRIPS / n, n, precision);
    else
      rnn_strips (
          cell, few, backward ? n_strips - s - 1 : s, first, 1, n, precision);
  }
}

SEQ_INLINE void
rnn_frame (const Cell *cell, Few *few, CONSTANT guint n,
    CONSTANT guint precision, CONSTANT gboolean keep, CONSTANT gboolean share)
{
  guint l = 0;

  for (; share && l + 2 <= n; l += 2)
    rnn_sweep (cell, few, l, 2, QUANT_NONE);
  for (; l < n; l++)
    rnn_sweep (cell, few, l, 1, precision);
  for (l = 0; keep && l < n; l++)
    memcpy (few->lanes[l].tape, few->lanes[l].out,
        SEQ_STRIPS (cell->units) * SEQ_VEC * sizeof (real));
}

static void
rnn_grad_alone (
    const SeqLayer *layer, const SeqBlock *block, const SeqGrad *g, guint lane)
{
  const Rnn *self = (const Rnn *) layer;
  const SeqTensor *ih = &layer->tensors[WEIGHT_IH];
  const SeqTensor *hh = &layer->tensors[WEIGHT_HH];
  gsize rows = SEQ_PAD (layer->n_out);
  real *ih_t = g->scratch, *hh_t = ih_t + transpose_size (ih);
  real *dh = hh_t + transpose_size (hh);
  Alone a = alone_of (block, g, lane);
  Gradients d = { a.tape, a.tape_step, rows, block->n_frames };

  if (g->d_in)
    transpose_tensor (ih, a.weights, ih_t);
  transpose_tensor (hh, a.weights, hh_t);
  memcpy (dh, a.d_state, rows * sizeof (real));
  for (guint t = block->n_frames; t-- > 0;) {
    gsize row = (gsize) t * block->n_lanes + lane;
    const real *d_out = g->d_out + row * block->out_stride;
    real *tape = a.tape + t * a.tape_step;

    for (gsize u = 0; u < rows; u += SEQ_VEC)
      vec_store (tape + u, rnn_slope_times (self, vec_load (tape + u),
                               vec_load (dh + u) + vec_load (d_out + u)));
    multiply_transposed (hh, 0, 1, hh_t, tape, dh, FALSE);
    if (g->d_in)
      multiply_transposed (
          ih, 0, 1, ih_t, tape, g->d_in + row * g->d_in_stride, FALSE);
  }
  memcpy (a.d_state, dh, rows * sizeof (real));
  add_tensor_gradient (ih, 0, 1, g->d_weights, &d, &a.in, 0);
  add_tensor_gradient (hh, 0, 1, g->d_weights, &d, &a.h, 1);
  add_tensor_gradient (&layer->tensors[BIAS], 0, 1, g->d_weights, &d, NULL, 0);
}

SEQ_INLINE void
rnn_units_group (const SeqLayer *layer, const real *weights,
    CONSTANT GroupTile tile, guint first, real *frame, real *next,
    CONSTANT gboolean keep)
{
  const SeqTensor *t = layer->tensors;
  GroupPlaces at = group_places (layer, &rnn_kind.group.sizes, tile.vecs);
  vec a[GROUP_SUMS];

  group_set_bias (a, tile, weights + seq_tensor_index (&t[BIAS], 0, first, 0));
  group_add_row_product (a, tile,
      weights + seq_tensor_index (&t[WEIGHT_IH], 0, first, 0), frame,
      layer->n_in);
  group_add_row_product (a, tile,
      weights + seq_tensor_index (&t[WEIGHT_HH], 0, first, 0), frame + at.h,
      layer->n_out);
  UNROLL (k, tile.units * tile.vecs)
  {
    gsize row = first * tile.vecs * SEQ_VEC + k * SEQ_VEC;
    vec h = rnn_activate ((const Rnn *) layer, a[k]);

    vec_store (next + at.h + row, h);
    if (keep)
      vec_store (frame + at.kept + row, h);
  }
}

SEQ_INLINE void
rnn_step_group (const SeqLayer *layer, const real *weights, CONSTANT guint vecs,
    real *frame, real *next, CONSTANT gboolean keep)
{
  guint rows = GROUP_PAD (layer->n_out), u = 0;

  if (8 * vecs <= GROUP_SUMS)
    for (; u + 8 <= rows; u += 8)
      rnn_units_group (
          layer, weights, (GroupTile){ 1, 8, vecs }, u, frame, next, keep);
  for (; u < rows; u += 4)
    rnn_units_group (
        layer, weights, (GroupTile){ 1, 4, vecs }, u, frame, next, keep);
}

SEQ_INLINE void
rnn_back_group (const SeqLayer *layer, const real *weights, CONSTANT guint vecs,
    const GroupBack *b)
{
  guint lanes = vecs * SEQ_VEC;
  GroupPlaces at = group_places (layer, &rnn_kind.group.sizes, vecs);

  for (guint u = 0; u < at.rows; u++) {
    group_prefetch (&rnn_kind.group.sizes, &at, b->before, u, vecs);
    UNROLL (v, vecs)
    {
      gsize row = u * lanes + v * SEQ_VEC;

      vec_store (b->d + u * GROUP_STEP + v * SEQ_VEC,
          rnn_slope_times ((const Rnn *) layer,
              vec_load (b->frame + at.kept + row),
              vec_load (b->d_states + row) + vec_load (b->d_out + row)));
    }
  }
  group_multiply_transposed (
      (GroupTransposed){ .tensor = &layer->tensors[WEIGHT_HH],
          .weights = weights,
          .to = 1,
          .d = b->d,
          .out = b->d_states },
      vecs);
}

SEQ_INLINE void
rnn_gradient_group (
    const SeqLayer *layer, real *d_weights, const GroupRows *rows)
{
  const SeqTensor *t = layer->tensors;

  group_add_gradient (d_weights,
      (GroupColumns[]){ { &t[BIAS], 0, rows->ones },
          { &t[WEIGHT_IH], 0, rows->x }, { &t[WEIGHT_HH], 0, rows->h } },
      3, rows->d, rows->n);
}

static const CellKind rnn_kind = {
  .group = { .sizes = SIZES,
      .step = rnn_step_group,
      .back = rnn_back_group,
      .gradient = rnn_gradient_group },
  .swept = WEIGHT_HH,
  .packs = TRUE,
  .frame = rnn_frame,
  .grad_alone = rnn_grad_alone,
};

CELL_APART
rnn_run_few (const SeqLayer *layer, const SeqBlock *block, guint first, guint n)
{
  few_run_all (layer, &rnn_kind, block, first, n);
}

static void
rnn_run (const SeqLayer *layer, const SeqBlock *block)
{
  cell_run (layer, &rnn_kind, block, rnn_run_few);
}

static void
rnn_grad (const SeqLayer *layer, const SeqBlock *block, const SeqGrad *g)
{
  cell_grad (layer, &rnn_kind, block, g);
}

const SeqLayerClass SEQ_CLASS (rnn) = {
  .kind = { .name = "rnn",
      .title = "Elman's recurrent network",
      .aliases = (const char *const[]){ "elman", NULL },
      .flags = SEQ_KIND_TRAINS | SEQ_KIND_TORCH_CELL,
      .options = options },
  .instance_size = sizeof (Rnn),
  .init = rnn_init,
  .seed = cell_seed,
  .pack = cell_pack,
  .start = cell_start,
  .run = rnn_run,
  .grad = rnn_grad,
  .n_scratch = cell_scratch,
};
