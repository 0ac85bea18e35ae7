/* cell.h: what recurrent kinds have in common: options, state at the start, and
 * the way from a block of lanes to a kind's own arithmetic.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A kind's instance begins with a Cell, and a CellKind says what it computes;
 * alone, few and group are explained in lanes.h. Tensor 0 is the input's, the
 * last are h0 (and c0) with `initial_state`. The state of a lane is n_states of
 * n_out numbers each, padded, h first.
 */
#pragma once

#include "src/simd/lanes.h"
#include "src/simd/product.h"

#define CELL_OPTIONS "hidden_size", "initial_state" /* and perhaps "chrono" */

typedef struct {
  SeqLayer base;
  GroupSizes sizes; /* the kind's */
  guint units;      /* hidden_size; n_out may be less */
  guint fan_in;     /* weights at the start are within 1 / sqrt (fan_in) */
  gsize rows;       /* units, padded */
  guint initial_state, chrono;
  guint turns;         /* lanes that take turns, 1 to LANES_FEW */
  gsize scratch_alone; /* reals that grad_alone() takes, */
  gsize scratch_frame; /* and more for each frame */
  QuantCell quant;
} Cell;

/* Where one lane's numbers of a frame are. */
typedef struct {
  const real *weights, *x;
  const real *h; /* of the frame before */
  real *state;   /* of the layer */
  real *y;       /* where the units' output goes: out, if that is the layer's */
  real *out, *tape;
} CellLane;

/* A few lanes at one frame. */
typedef struct {
  guint t; /* in the block */
  CellLane lanes[LANES_FEW];
  QuantRows q[LANES_FEW]; /* with a precision: x and h in integers */
} Few;

/* All that is inlined into a kind's run() and grad(): constant, and not to be
 * pointed to from elsewhere, lest it be compiled once more without constants.
 */
typedef struct {
  GroupKind group;
  guint swept;    /* tensor whose size says how strips are gone over */
  gboolean packs; /* has a precision: tensors 0 and 1 are weight_ih and
                   * weight_hh */

  /* One strip of n lanes with the same weights, from `first` on. precision:
   * QUANT_NONE or, for one lane, that of the packed weights */
  void (*strip) (const Cell *cell, Few *few, guint strip, guint first,
      CONSTANT guint n, CONSTANT guint precision, CONSTANT gboolean keep);
  /* One frame of n lanes. share: two at a time share the weights. NULL: strip
   * by strip */
  void (*frame) (const Cell *cell, Few *few, CONSTANT guint n,
      CONSTANT guint precision, CONSTANT gboolean keep,
      CONSTANT gboolean share);
  /* Whether a layer's options allow groups. NULL: always */
  gboolean (*grouped) (const SeqLayer *layer);
  /* The gradient of one lane */
  void (*grad_alone) (const SeqLayer *layer, const SeqBlock *block,
      const SeqGrad *g, guint lane);
} CellKind;

/* --- making ------------------------------------------------------------------
 */

/* For init(), first: reads CELL_OPTIONS. */
static inline gboolean
cell_init (SeqLayer *layer, GroupSizes sizes, GVariant *config, GError **error)
{
  Cell *cell = (Cell *) layer;

  if (!seq_config_uint (layer, config, "hidden_size", 1, SEQ_MAX_UNITS, 20,
          &cell->units, error)
      || !seq_config_uint (
          layer, config, "initial_state", 0, 1, 0, &cell->initial_state, error)
      || !seq_config_uint (
          layer, config, "chrono", 0, 1 << 30, 0, &cell->chrono, error))
    return FALSE;
  cell->sizes = sizes;
  cell->fan_in = cell->units;
  cell->rows = SEQ_PAD (cell->units);
  cell->turns = LANES_FEW;
  layer->n_out = cell->units;
  return TRUE;
}

/* For init(), once the kind's own tensors are there: adds those of the initial
 * state, and sets the sizes of state and tape. n_taped: numbers of a unit and
 * frame that grad_alone() needs */
static inline void
cell_add_state (SeqLayer *layer, guint n_taped)
{
  static const char *const names[] = { "h0", "c0" };
  const Cell *cell = (const Cell *) layer;

  for (guint s = 0; s < cell->sizes.n_states; s++) {
    guint rows = s ? cell->units : layer->n_out;

    if (cell->initial_state)
      seq_layer_add_tensor (layer, names[s], 1, rows, 1);
    layer->n_state += SEQ_PAD (rows);
  }
  layer->n_tape = MAX (n_taped * cell->rows, group_tape (layer, &cell->sizes));
}

/* For init(), last: reads QUANT_OPTIONS. */
static inline gboolean
cell_init_precision (SeqLayer *layer, GVariant *config, GError **error)
{
  return quant_init (layer, config, &layer->tensors[0], &layer->tensors[1],
      &((Cell *) layer)->quant, error);
}

static inline void
cell_pack (const SeqLayer *layer, real *weights)
{
  quant_pack_cell (&((const Cell *) layer)->quant, &layer->tensors[0],
      &layer->tensors[1], weights);
}

/* The tensor of the initial state s. */
static inline const SeqTensor *
initial_tensor (const SeqLayer *layer, guint s)
{
  guint n_states = ((const Cell *) layer)->sizes.n_states;

  return &layer->tensors[layer->n_tensors - n_states + s];
}

/* PyTorch's start: all uniform; but an initial state begins at zero. */
static inline void
cell_seed (const SeqLayer *layer, GRand *rand, real *weights)
{
  const Cell *cell = (const Cell *) layer;

  seq_seed_uniform (layer, rand, 1 / sqrt (cell->fan_in), weights);
  for (guint s = 0; cell->initial_state && s < cell->sizes.n_states; s++)
    memset (weights + initial_tensor (layer, s)->offset, 0,
        SEQ_PAD (initial_tensor (layer, s)->rows) * sizeof (real));
}

/* With `chrono` above 2 a unit begins with a memory of 1 to `chrono` frames
 * (Tallec and Ollivier 2018, equation 16): the bias of the gate that keeps its
 * state. */
static inline gboolean
cell_has_chrono (const Cell *cell)
{
  return cell->chrono > 2;
}

static inline real
chrono_bias (const Cell *cell, GRand *rand)
{
  return (real) log (g_rand_double_range (rand, 1, cell->chrono - 1));
}

static inline void
cell_start (const SeqLayer *layer, const real *weights, real *state)
{
  const Cell *cell = (const Cell *) layer;

  memset (state, 0, layer->n_state * sizeof (real));
  for (guint s = 0; cell->initial_state && s < cell->sizes.n_states; s++) {
    const SeqTensor *t = initial_tensor (layer, s);

    memcpy (state + s * SEQ_PAD (layer->n_out), weights + t->offset,
        t->rows * sizeof (real));
  }
}

static inline gsize
cell_scratch (const SeqLayer *layer, guint n_frames, guint n_lanes)
{
  const Cell *cell = (const Cell *) layer;

  return MAX (group_scratch (layer, &cell->sizes, n_lanes),
      cell->scratch_alone + n_frames * cell->scratch_frame);
}

/* --- a few lanes
 * --------------------------------------------------------------
 */

/* One frame strip by strip: the weights are met again in the first cache, and
 * one lane's activations hide behind another's product. */
SEQ_INLINE void
few_strips (const Cell *cell, const CellKind *kind, Few *few, CONSTANT guint n,
    CONSTANT guint precision, CONSTANT gboolean keep, CONSTANT gboolean share)
{
  guint n_strips = SEQ_STRIPS (cell->units);
  gboolean backward =
      strips_backward (&cell->base.tensors[kind->swept], few->t);

  for (guint k = 0; k < n_strips; k++) {
    guint s = backward ? n_strips - 1 - k : k, l = 0;

    for (; share && l + 2 <= n; l += 2)
      kind->strip (cell, few, s, l, 2, QUANT_NONE, keep);
    for (; l < n; l++)
      kind->strip (cell, few, s, l, 1, precision, keep);
  }
}

SEQ_INLINE void
few_frame (const Cell *cell, const CellKind *kind, Few *few, CONSTANT guint n,
    CONSTANT guint precision, CONSTANT gboolean keep, CONSTANT gboolean share)
{
  if (kind->frame)
    kind->frame (cell, few, n, precision, keep, share);
  else
    few_strips (cell, kind, few, n, precision, keep, share);
}

/* All frames of n lanes from `first` on. */
SEQ_INLINE void
few_run (const Cell *cell, const CellKind *kind, const SeqBlock *block,
    guint first, CONSTANT guint n, CONSTANT guint precision, gboolean share)
{
  const SeqLayer *layer = &cell->base;
  gboolean keep = block->tape_stride > 0;
  Few few;

  for (guint l = 0; l < n; l++) {
    real *state = block->state + (first + l) * block->state_stride;

    few.lanes[l] = (CellLane){
      .weights = block->weights + (first + l) * block->weights_stride,
      .h = state,
      .state = state,
    };
    if (precision != QUANT_NONE)
      quant_row (&few.q[l].h[0], precision, state, layer->n_out);
  }
  for (guint t = 0; t < block->n_frames; t++) {
    few.t = t;
    for (guint l = 0; l < n; l++) {
      gsize row = (gsize) t * block->n_lanes + first + l;
      CellLane *lane = &few.lanes[l];

      lane->x = block->in + row * block->in_stride;
      lane->y = lane->out = block->out + row * block->out_stride;
      lane->tape = block->tape + row * block->tape_stride;
      if (precision != QUANT_NONE && cell->quant.bounded_input)
        quant_row (&few.q[l].x, precision, lane->x, layer->n_in);
    }
    if (keep)
      few_frame (cell, kind, &few, n, precision, TRUE, FALSE);
    else if (precision == QUANT_NONE && share)
      few_frame (cell, kind, &few, n, precision, FALSE, TRUE);
    else
      few_frame (cell, kind, &few, n, precision, FALSE, FALSE);
    for (guint l = 0; l < n; l++)
      few.lanes[l].h = few.lanes[l].out;
  }
  for (guint l = 0; l < n && block->n_frames; l++)
    memcpy (few.lanes[l].state, few.lanes[l].h,
        SEQ_STRIPS (layer->n_out) * SEQ_VEC * sizeof (real));
}

/* n lanes, as many at a time as take turns or share the weights. A kind makes a
 * function of its own of it: CELL_APART. */
SEQ_INLINE void
few_run_all (const SeqLayer *layer, const CellKind *kind, const SeqBlock *block,
    guint first, guint n)
{
  const Cell *cell = (const Cell *) layer;
  gboolean share = n > 1 && !layer->quantised
                   && strips_shared (block, &layer->tensors[kind->swept]);
  guint turns = share ? n : MIN (n, cell->turns);

  for (guint lane = first, some; lane < first + n; lane += some) {
    some = MIN (turns, first + n - lane);
    if (kind->packs && layer->quantised)
      QUANT_WITH (cell->quant.precision,
          few_run (cell, kind, block, lane, some, precision, FALSE))
    else if (some == 1)
      few_run (cell, kind, block, lane, 1, QUANT_NONE, FALSE);
    else
      few_run (cell, kind, block, lane, some, QUANT_NONE, share);
  }
}

/* --- a lane alone
 * --------------------------------------------------------------
 */

/* What the gradient of one lane goes over. */
typedef struct {
  const real *weights, *state; /* as it was before the block */
  real *d_state;
  real *tape; /* of frame t: at tape + t * tape_step */
  gsize tape_step;
  SeqRows in, h; /* h[-1] is the state's */
} Alone;

SEQ_INLINE Alone
alone_of (const SeqBlock *block, const SeqGrad *g, guint lane)
{
  const real *state = block->state + lane * block->state_stride;

  return (Alone){
    .weights = block->weights + lane * block->weights_stride,
    .state = state,
    .d_state = g->d_state + lane * block->state_stride,
    .tape = block->tape + lane * block->tape_stride,
    .tape_step = block->n_lanes * block->tape_stride,
    .in = { block->in + lane * block->in_stride,
        block->n_lanes * block->in_stride, NULL },
    .h = { block->out + lane * block->out_stride,
        block->n_lanes * block->out_stride, state },
  };
}

/* --- a block
 * -------------------------------------------------------------------
 */

SEQ_INLINE gboolean
cell_grouped (const SeqLayer *layer, const CellKind *kind)
{
  return !layer->quantised && (!kind->grouped || kind->grouped (layer));
}

/* A kind's function that runs n lanes from `first` on with few_run_all(). */
typedef void (*FewRun) (
    const SeqLayer *layer, const SeqBlock *block, guint first, guint n);

/* Keeps it a function: in one with the groups' loops there would be so many
 * that the compiler no longer keeps their sums in registers. */
#define CELL_APART static __attribute__ ((noinline)) void

/* run() of a kind: groups where its options and the number of lanes allow them,
 * the other lanes a few at a time. */
SEQ_INLINE void
cell_run (const SeqLayer *layer, const CellKind *kind, const SeqBlock *block,
    FewRun run_few)
{
  const GroupKind *group = &kind->group;
  gboolean grouped = cell_grouped (layer, kind);
  gboolean keep = block->tape_stride > 0;

  for (guint lane = 0, vecs, n; lane < block->n_lanes; lane += n) {
    vecs = grouped ? group_vecs (layer, block, lane) : 0;
    n = vecs ? vecs * SEQ_VEC : MIN (block->n_lanes - lane, LANES_FEW);
    if (vecs == 0)
      run_few (layer, block, lane, n);
    else if (vecs == 1 && keep)
      group_run (layer, group, block, lane, 1, TRUE);
    else if (vecs == 1)
      group_run (layer, group, block, lane, 1, FALSE);
    else if (vecs == 2 && keep)
      group_run (layer, group, block, lane, 2, TRUE);
    else if (vecs == 2)
      group_run (layer, group, block, lane, 2, FALSE);
    else if (keep)
      group_run (layer, group, block, lane, 3, TRUE);
    else
      group_run (layer, group, block, lane, 3, FALSE);
  }
}

/* grad() of a kind, likewise; lanes that are in no group go alone. */
SEQ_INLINE void
cell_grad (const SeqLayer *layer, const CellKind *kind, const SeqBlock *block,
    const SeqGrad *g)
{
  gboolean grouped = cell_grouped (layer, kind);

  for (guint lane = 0, vecs; lane < block->n_lanes;
       lane += MAX (vecs * SEQ_VEC, 1)) {
    vecs = grouped ? group_vecs (layer, block, lane) : 0;
    if (vecs == 0)
      kind->grad_alone (layer, block, g, lane);
    else if (vecs == 1)
      group_grad (layer, &kind->group, block, g, lane, 1);
    else if (vecs == 2)
      group_grad (layer, &kind->group, block, g, lane, 2);
    else
      group_grad (layer, &kind->group, block, g, lane, 3);
  }
}
