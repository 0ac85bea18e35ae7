/* naive.c: conditions on all of the past: finds the stretches most like the
 * latest samples, and predicts what followed them (Lorenz' method of analogues,
 * 1969; k nearest neighbours).
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 *   distance (j) = sum over i < order of |x[t - i] - x[j - i]|^2
 *   y = x[t] + sum over the k nearest of w_j (x[j + horizon] - x[j]),
 *   w_j = 1 / distance (j), normalised
 *
 * It is the change that is taken over, not the value: on speech at 48 kHz that
 * gains more. What must be looked at grows with the stream, up to `history`
 * frames. All of it is searched, SEQ_VEC places at a time; a vector of places
 * is left as soon as each is further off than the k-th best so far, which is
 * after a few samples mostly, since the successors of the last neighbours are
 * tried first. Of equal distances the more recent wins.
 *
 * Tensors: memory [history][n_in], oldest first, and n_filled. State, in reals:
 * a head of whole numbers; the neighbours' places; the latest `order` values of
 * each feature, newest first; the memory: for each feature a ring of `history`
 * values written twice, so that every stretch lies in one piece; likewise a
 * ring of penalties: 0 for a place that has `order` values up to it and
 * `horizon` after it with no splice between, else infinity. Only what is learnt
 * from enters the memory.
 */
#include "src/simd/simd.h"

#define MAX_INPUTS 1024
#define MAX_NEIGHBOURS 64
#define NEAREST_ZERO 1e-12 /* added to distances, so that 0 has a weight */

typedef struct {
  SeqLayer base;
  guint order, neighbours, history, horizon;
  gsize places_at, recent_at, penalties_at, rings_at; /* in the state */
  gsize ring; /* reals of one ring, both copies */
} Naive;

enum { MEMORY, N_FILLED };
/* the head of the state, gint32 each */
enum {
  NEWEST,   /* place in the ring, 0..history - 1 */
  FILLED,   /* values in the memory */
  UNBROKEN, /* values since the last splice */
  STARTED,  /* 1 once there was a frame */
  N_FOUND,  /* neighbours of the last frame */
  N_HEAD
};

static const char *const options[] = { "order", "neighbours", "history",
  "horizon", NULL };

static gboolean
naive_init (SeqLayer *layer, GVariant *config, GError **error)
{
  Naive *self = (Naive *) layer;

  if (!seq_config_uint (
          layer, config, "order", 1, 1024, 16, &self->order, error)
      || !seq_config_uint (layer, config, "neighbours", 1, MAX_NEIGHBOURS, 4,
          &self->neighbours, error)
      || !seq_config_uint (
          layer, config, "history", 16, 1 << 24, 16384, &self->history, error)
      || !seq_config_uint (
          layer, config, "horizon", 1, 1 << 20, 1, &self->horizon, error))
    return FALSE;
  self->history = (guint) SEQ_PAD (self->history);
  if (self->order + self->horizon > self->history) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "naive: history is %u; expected at least %u, order and horizon "
        "together",
        self->history, self->order + self->horizon);
    return FALSE;
  }
  if (layer->n_in > MAX_INPUTS) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "naive: number of inputs is %u; expected 1 to %u", layer->n_in,
        MAX_INPUTS);
    return FALSE;
  }
  layer->n_out = layer->n_in;
  seq_layer_add_tensor (layer, "memory", 1, self->history, layer->n_in);
  seq_layer_add_tensor (layer, "n_filled", 1, 1, 1);
  /* vectors of places may begin up to a vector before the ring */
  self->ring = SEQ_TILE + 2 * (gsize) self->history;
  self->places_at = SEQ_PAD (N_HEAD);
  self->recent_at = self->places_at + SEQ_PAD (self->neighbours);
  self->penalties_at = self->recent_at + layer->n_in * SEQ_PAD (self->order);
  self->rings_at = self->penalties_at + self->ring;
  layer->n_state = self->rings_at + layer->n_in * self->ring;
  return TRUE;
}

static gint32 *
naive_get_head (real *state)
{
  return (gint32 *) state;
}

/* Ring r, at its place 0: -1 is the penalties, then the features. */
static real *
naive_get_ring (const Naive *self, real *state, gint r)
{
  return state + self->penalties_at + (gsize) (r + 1) * self->ring + SEQ_TILE;
}

static void
naive_put (const Naive *self, real *ring, guint place, real value)
{
  ring[place] = ring[place + self->history] = value;
}

/* The value becomes the newest of the memory; whether the place `horizon`
 * before it can be a neighbour is known now. */
static void
naive_remember (const Naive *self, real *state, const real *x, gsize step)
{
  gint32 *head = naive_get_head (state);
  guint newest = ((guint) head[NEWEST] + 1) % self->history, known;

  head[NEWEST] = (gint32) newest;
  head[FILLED] = (gint32) MIN ((guint) head[FILLED] + 1, self->history);
  head[UNBROKEN] = (gint32) MIN ((guint) head[UNBROKEN] + 1, self->history);
  for (guint k = 0; k < self->base.n_in; k++)
    naive_put (
        self, naive_get_ring (self, state, (gint) k), newest, x[k * step]);
  known = newest >= self->horizon ? newest - self->horizon
                                  : newest + self->history - self->horizon;
  naive_put (self, naive_get_ring (self, state, -1), known,
      (guint) head[UNBROKEN] >= self->order + self->horizon ? 0
                                                            : (real) INFINITY);
}

static void
naive_start (const SeqLayer *layer, const real *weights, real *state)
{
  const Naive *self = (const Naive *) layer;
  const SeqTensor *memory = &layer->tensors[MEMORY];
  real filled = weights[layer->tensors[N_FILLED].offset];
  guint n = (guint) CLAMP (filled, 0, self->history);

  memset (state, 0, layer->n_state * sizeof (real));
  for (guint i = 0; i < n; i++)
    naive_remember (self, state, weights + seq_tensor_index (memory, 0, i, 0),
        memory->tile);
  naive_get_head (state)[UNBROKEN] = 0;
}

static void
naive_rewind (const SeqLayer *layer, const real *weights, real *state)
{
  gint32 *head = naive_get_head (state);

  head[UNBROKEN] = head[STARTED] = head[N_FOUND] = 0;
}

/* Squared distances of SEQ_VEC places from `first` on, given up as soon as
 * none is below the bound. */
SEQ_INLINE vec
naive_measure (
    const Naive *self, real *state, const real *recent, gsize first, real bound)
{
  vec sum = vec_loadu (naive_get_ring (self, state, -1) + first);

  for (guint k = 0; k < self->base.n_in; k++) {
    const real *x = recent + k * SEQ_PAD (self->order);
    const real *past = naive_get_ring (self, state, (gint) k) + first;
    guint i = 0;

    for (; i + 4 <= self->order; i += 4) {
      for (guint j = i; j < i + 4; j++) {
        vec d = vec_loadu (past - j) - x[j];

        sum = vec_fma (d, d, sum);
      }
      if (!vec_bits (sum < bound))
        return sum;
    }
    for (; i < self->order; i++) {
      vec d = vec_loadu (past - i) - x[i];

      sum = vec_fma (d, d, sum);
    }
  }
  return sum;
}

/* The nearest places, nearest first, of equal ones the more recent first;
 * `found` is filled with places + history. Returns how many. */
static guint
naive_search (const Naive *self, real *state, gsize *found, real *nearest)
{
  gint32 *head = naive_get_head (state),
         *places = (gint32 *) (state + self->places_at);
  const real *recent = state + self->recent_at;
  guint k = self->neighbours, n = 0, filled = (guint) head[FILLED];
  gsize newest = (gsize) head[NEWEST] + self->history, last, first;
  real bound = (real) INFINITY;

  if (filled < self->order + self->horizon)
    return 0;
  last = newest - self->horizon;
  first = newest - filled + self->order;

  /* the k-th best can't be further off than these k places are */
  if ((guint) head[N_FOUND] == k) {
    real worst = 0;

    for (guint i = 0; i < k; i++) {
      gsize place = ((gsize) places[i] + 1) % self->history + self->history;

      if (place > newest)
        place -= self->history;
      if (place < first || place > last) {
        worst = (real) INFINITY;
        break;
      }
      /* in the last element, so that nothing past the newest is read */
      worst =
          MAX (worst, naive_measure (self, state, recent, place - (SEQ_VEC - 1),
                          (real) INFINITY)[SEQ_VEC - 1]);
    }
    bound = worst + worst / 1024 + (real) 1e-30;
  }

  for (gsize end = last + 1; end > first; end -= MIN (end - first, SEQ_VEC)) {
    gsize at = end - SEQ_VEC;
    vec d = naive_measure (self, state, recent, at, bound);
    guint bits = vec_bits (d < bound);

    while (bits) {
      guint i = 31 - (guint) __builtin_clz (bits), j;
      real di = d[i];

      bits &= ~(1u << i);
      if (di >= bound || at + i < first)
        continue;
      for (j = n < k ? n++ : k - 1; j > 0 && nearest[j - 1] > di; j--) {
        nearest[j] = nearest[j - 1];
        found[j] = found[j - 1];
      }
      nearest[j] = di;
      found[j] = at + i;
      if (n == k)
        bound = MIN (bound, nearest[k - 1]);
    }
  }
  return n;
}

static void
naive_run (const SeqLayer *layer, const SeqBlock *block)
{
  const Naive *self = (const Naive *) layer;

  for (guint lane = 0; lane < block->n_lanes; lane++) {
    real *state = block->state + lane * block->state_stride;
    real *recent = state + self->recent_at;
    gint32 *head = naive_get_head (state);
    gint32 *places = (gint32 *) (state + self->places_at);

    for (guint t = 0; t < block->n_frames; t++) {
      gsize row = (gsize) t * block->n_lanes + lane;
      const real *x = block->in + row * block->in_stride;
      real *out = block->out + row * block->out_stride;
      gsize found[MAX_NEIGHBOURS];
      real nearest[MAX_NEIGHBOURS];
      double sum = 0;
      guint n;

      for (guint k = 0; k < layer->n_in; k++) {
        real *r = recent + k * SEQ_PAD (self->order);

        memmove (r + 1, r, (self->order - 1) * sizeof (real));
        for (guint i = 0; i < (head[STARTED] ? 1 : self->order); i++)
          r[i] = x[k];
      }
      head[STARTED] = 1;
      if (block->target && (!block->valid || block->valid[row]))
        naive_remember (self, state, x, 1);
      else
        head[UNBROKEN] = 0;

      n = naive_search (self, state, found, nearest);
      for (guint i = 0; i < n; i++) {
        places[i] = (gint32) (found[i] % self->history);
        sum += 1 / (nearest[i] + NEAREST_ZERO);
      }
      head[N_FOUND] = (gint32) n;
      for (guint k = 0; k < layer->n_in; k++) {
        const real *ring = naive_get_ring (self, state, (gint) k);
        double change = 0;

        for (guint i = 0; i < n; i++)
          change += (ring[found[i] + self->horizon] - ring[found[i]])
                    / (nearest[i] + NEAREST_ZERO);
        out[k] = (real) (x[k] + (n ? change / sum : 0));
      }
    }
  }
}

static gboolean
naive_check_state (const SeqLayer *layer, const real *state)
{
  const Naive *self = (const Naive *) layer;
  const gint32 *head = naive_get_head ((real *) state);
  const gint32 *places = (const gint32 *) (state + self->places_at);
  const guint max[N_HEAD] = { [NEWEST] = self->history - 1,
    [FILLED] = self->history,
    [UNBROKEN] = self->history,
    [STARTED] = 1,
    [N_FOUND] = self->neighbours };

  for (guint i = 0; i < N_HEAD; i++)
    if (head[i] < 0 || (guint) head[i] > max[i])
      return FALSE;
  for (gint i = 0; i < head[N_FOUND]; i++)
    if (places[i] < 0 || (guint) places[i] >= self->history)
      return FALSE;
  for (gsize i = self->recent_at; i < self->penalties_at; i++)
    if (!isfinite (state[i]))
      return FALSE;
  for (gsize i = self->penalties_at; i < self->rings_at; i++)
    if (state[i] != 0 && state[i] != (real) INFINITY)
      return FALSE;
  for (gsize i = self->rings_at; i < layer->n_state; i++)
    if (!isfinite (state[i]))
      return FALSE;
  return TRUE;
}

static void
naive_export_weights (const SeqLayer *layer, const real *state, real *weights)
{
  const Naive *self = (const Naive *) layer;
  const gint32 *head = naive_get_head ((real *) state);
  guint n = (guint) head[FILLED];

  weights[layer->tensors[N_FILLED].offset] = n;
  for (guint k = 0; k < layer->n_in; k++) {
    const real *ring = naive_get_ring (self, (real *) state, (gint) k);

    for (guint i = 0; i < n; i++)
      weights[seq_tensor_index (&layer->tensors[MEMORY], 0, i, k)] =
          ring[(gsize) head[NEWEST] + self->history - n + 1 + i];
  }
}

const SeqLayerClass SEQ_CLASS (naive) = {
  .kind = { .name = "naive",
      .title = "Nearest neighbours in everything heard so far",
      .flags = SEQ_KIND_LEARNS | SEQ_KIND_LIVE_ONLY,
      .options = options },
  .instance_size = sizeof (Naive),
  .init = naive_init,
  .start = naive_start,
  .rewind = naive_rewind,
  .run = naive_run,
  .check_state = naive_check_state,
  .export_weights = naive_export_weights,
};
