/* mingru.c: minimal gated recurrent unit (Feng et al. 2024, "Were RNNs all we
 * needed?"): the gate and the candidate see the input alone.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 *   z = sigmoid (W_z x + b_z)                              update gate
 *   n = g (W_n x + b_n)                                    candidate
 *   h = (1 - z) h + z n                                    the output
 *
 * candidate = linear: g (a) = a, their section 3.1
 *             positive: g (a) = a + 1/2 where a >= 0, else sigmoid (a), their
 *                       appendix B
 *             tanh: g (a) = tanh (a), bounded
 *
 * State: h, padded. Tape: z, n; grad() leaves the gradients before the
 * activations in their place. What groups of lanes keep is lanes.h's business.
 */
#include "src/simd/cell.h"

typedef struct {
  Cell cell;
  guint candidate;
} Mingru;

enum { WEIGHT_IH, BIAS };
enum { Z, N, N_GATES };
enum { LINEAR, POSITIVE, TANH };

#define SIZES                                                                  \
  {                                                                            \
    .n_states = 1, .n_kept = N_GATES, .n_gates = N_GATES,                      \
    .n_in_gates = N_GATES                                                      \
  }

static const CellKind mingru_kind;

static const char *const options[] = { CELL_OPTIONS, "chrono", "candidate",
  NULL };

static gboolean
mingru_init (SeqLayer *layer, GVariant *config, GError **error)
{
  static const char *const words[] = { "linear", "positive", "tanh", NULL };
  Mingru *self = (Mingru *) layer;
  guint n;

  if (!cell_init (layer, (GroupSizes) SIZES, config, error)
      || !seq_config_word (
          layer, config, "candidate", words, LINEAR, &self->candidate, error))
    return FALSE;
  n = layer->n_out;
  self->cell.fan_in = layer->n_in;
  seq_layer_add_tensor (layer, "weight_ih", N_GATES, n, layer->n_in);
  seq_layer_add_tensor (layer, "bias", N_GATES, n, 1);
  cell_add_state (layer, N_GATES);
  self->cell.scratch_alone =
      transpose_size (&layer->tensors[WEIGHT_IH]) + SEQ_PAD (n);
  return TRUE;
}

static void
mingru_seed (const SeqLayer *layer, GRand *rand, real *weights)
{
  const Cell *cell = (const Cell *) layer;

  cell_seed (layer, rand, weights);
  for (guint u = 0; cell_has_chrono (cell) && u < layer->n_out; u++)
    weights[seq_tensor_index (&layer->tensors[BIAS], Z, u, 0)] =
        -chrono_bias (cell, rand);
}

SEQ_INLINE vec
mingru_activate (const Mingru *self, vec a)
{
  switch (self->candidate) {
    case LINEAR:
      return a;
    case POSITIVE:
      return vec_select (a >= 0, a + (real) 0.5, vec_sigmoid (a));
    default:
      return vec_tanh (a);
  }
}

/* The candidate's slope where it is n. */
SEQ_INLINE vec
mingru_slope (const Mingru *self, vec n)
{
  switch (self->candidate) {
    case LINEAR:
      return vec_splat (1);
    case POSITIVE:
      return vec_select (n >= (real) 0.5, vec_splat (1), n * (1 - n));
    default:
      return tanh_slope (n);
  }
}

SEQ_INLINE vec
mingru_update (vec z, vec n, vec h)
{
  return vec_fma (z, n - h, h);
}

SEQ_INLINE void
mingru_strip (const Cell *cell, Few *few, guint strip, guint first,
    CONSTANT guint n, CONSTANT guint precision, CONSTANT gboolean keep)
{
  const SeqTensor *tensors = cell->base.tensors;
  const CellLane *lanes = &few->lanes[first];
  const real *weights = lanes->weights, *x[2];
  gsize u = strip * SEQ_VEC;
  vec a[2 * N_GATES];

  for (guint l = 0; l < n; l++) {
    x[l] = lanes[l].x;
    for (guint g = Z; g <= N; g++)
      a[N_GATES * l + g] =
          vec_load (weights + strip_at (&tensors[BIAS], strip) + g * SEQ_TILE);
  }
  add_strip_products (a, n, N_GATES,
      weights + strip_at (&tensors[WEIGHT_IH], strip), N_GATES * SEQ_TILE, x,
      cell->base.n_in);
  for (guint l = 0; l < n; l++) {
    vec z = vec_sigmoid (a[N_GATES * l + Z]);
    vec new = mingru_activate ((const Mingru *) cell, a[N_GATES * l + N]);

    vec_store (
        lanes[l].y + u, mingru_update (z, new, vec_load (lanes[l].h + u)));
    if (keep) {
      vec_store (lanes[l].tape + Z * cell->rows + u, z);
      vec_store (lanes[l].tape + N * cell->rows + u, new);
    }
  }
}

static void
mingru_grad_alone (
    const SeqLayer *layer, const SeqBlock *block, const SeqGrad *g, guint lane)
{
  const Mingru *self = (const Mingru *) layer;
  const SeqTensor *ih = &layer->tensors[WEIGHT_IH];
  gsize rows = SEQ_PAD (layer->n_out);
  real *ih_t = g->scratch, *dh = ih_t + transpose_size (ih);
  Alone a = alone_of (block, g, lane);
  Gradients d = { a.tape, a.tape_step, rows, block->n_frames };

  if (g->d_in)
    transpose_tensor (ih, a.weights, ih_t);
  memcpy (dh, a.d_state, rows * sizeof (real));
  for (guint t = block->n_frames; t-- > 0;) {
    gsize row = (gsize) t * block->n_lanes + lane;
    const real *d_out = g->d_out + row * block->out_stride;
    const real *before = row_at (&a.h, (gint) t - 1);
    real *tape = a.tape + t * a.tape_step;

    for (gsize u = 0; u < rows; u += SEQ_VEC) {
      vec z = vec_load (tape + Z * rows + u);
      vec n = vec_load (tape + N * rows + u);
      vec dy = vec_load (dh + u) + vec_load (d_out + u);

      vec_store (
          tape + Z * rows + u, dy * (n - vec_load (before + u)) * z * (1 - z));
      vec_store (tape + N * rows + u, dy * z * mingru_slope (self, n));
      vec_store (dh + u, dy * (1 - z));
    }
    if (g->d_in)
      multiply_transposed (
          ih, 0, N_GATES, ih_t, tape, g->d_in + row * g->d_in_stride, FALSE);
  }
  memcpy (a.d_state, dh, rows * sizeof (real));
  add_tensor_gradient (ih, 0, N_GATES, g->d_weights, &d, &a.in, 0);
  add_tensor_gradient (
      &layer->tensors[BIAS], 0, N_GATES, g->d_weights, &d, NULL, 0);
}

SEQ_INLINE void
mingru_step_group (const SeqLayer *layer, const real *weights,
    CONSTANT guint vecs, real *frame, real *next, CONSTANT gboolean keep)
{
  const SeqTensor *t = layer->tensors;
  GroupTile tile = group_tile (N_GATES, vecs);
  guint lanes = vecs * SEQ_VEC, n = tile.units * vecs;
  GroupPlaces at = group_places (layer, &mingru_kind.group.sizes, vecs);

  for (guint u = 0; u < at.rows; u += tile.units) {
    vec a[GROUP_SUMS];

    group_set_bias (a, tile, weights + seq_tensor_index (&t[BIAS], 0, u, 0));
    group_add_product (a, tile,
        weights + seq_tensor_index (&t[WEIGHT_IH], 0, u, 0), N_GATES * SEQ_TILE,
        frame, layer->n_in);
    UNROLL (k, n)
    {
      gsize row = at.h + u * lanes + k * SEQ_VEC;
      vec z = vec_sigmoid (a[Z * n + k]);
      vec new = mingru_activate ((const Mingru *) layer, a[N * n + k]);

      vec_store (next + row, mingru_update (z, new, vec_load (frame + row)));
      if (keep) {
        real *to =
            frame
            + group_kept (&mingru_kind.group.sizes, &at, u + k / vecs, vecs)
            + k % vecs * SEQ_VEC;

        vec_store (to + Z * lanes, z);
        vec_store (to + N * lanes, new);
      }
    }
  }
}

SEQ_INLINE void
mingru_back_group (const SeqLayer *layer, const real *weights,
    CONSTANT guint vecs, const GroupBack *b)
{
  guint lanes = vecs * SEQ_VEC;
  GroupPlaces at = group_places (layer, &mingru_kind.group.sizes, vecs);
  gsize gate = at.rows * GROUP_STEP;

  for (guint u = 0; u < at.rows; u++) {
    group_prefetch (&mingru_kind.group.sizes, &at, b->before, u, vecs);
    UNROLL (v, vecs)
    {
      gsize row = u * lanes + v * SEQ_VEC;
      const real *kept = b->frame
                         + group_kept (&mingru_kind.group.sizes, &at, u, vecs)
                         + v * SEQ_VEC;
      real *to = b->d + u * GROUP_STEP + v * SEQ_VEC;
      vec z = vec_load (kept + Z * lanes), n = vec_load (kept + N * lanes);
      vec dy = vec_load (b->d_states + row) + vec_load (b->d_out + row);

      vec_store (to + Z * gate,
          dy * (n - vec_load (b->frame + at.h + row)) * z * (1 - z));
      vec_store (
          to + N * gate, dy * z * mingru_slope ((const Mingru *) layer, n));
      vec_store (b->d_states + row, dy * (1 - z));
    }
  }
}

SEQ_INLINE void
mingru_gradient_group (
    const SeqLayer *layer, real *d_weights, const GroupRows *rows)
{
  const SeqTensor *t = layer->tensors;
  gsize gate = GROUP_PAD (layer->n_out) * GROUP_STEP;

  for (guint g = Z; g <= N; g++)
    group_add_gradient (d_weights,
        (GroupColumns[]){
            { &t[BIAS], g, rows->ones }, { &t[WEIGHT_IH], g, rows->x } },
        2, rows->d + g * gate, rows->n);
}

static const CellKind mingru_kind = {
  .group = { .sizes = SIZES,
      .step = mingru_step_group,
      .back = mingru_back_group,
      .gradient = mingru_gradient_group },
  .swept = WEIGHT_IH,
  .strip = mingru_strip,
  .grad_alone = mingru_grad_alone,
};

CELL_APART
mingru_run_few (
    const SeqLayer *layer, const SeqBlock *block, guint first, guint n)
{
  few_run_all (layer, &mingru_kind, block, first, n);
}

static void
mingru_run (const SeqLayer *layer, const SeqBlock *block)
{
  cell_run (layer, &mingru_kind, block, mingru_run_few);
}

static void
mingru_grad (const SeqLayer *layer, const SeqBlock *block, const SeqGrad *g)
{
  cell_grad (layer, &mingru_kind, block, g);
}

const SeqLayerClass SEQ_CLASS (mingru) = {
  .kind = { .name = "mingru",
      .title = "Minimal gated recurrent unit",
      .flags = SEQ_KIND_TRAINS,
      .options = options },
  .instance_size = sizeof (Mingru),
  .init = mingru_init,
  .seed = mingru_seed,
  .start = cell_start,
  .run = mingru_run,
  .grad = mingru_grad,
  .n_scratch = cell_scratch,
};
