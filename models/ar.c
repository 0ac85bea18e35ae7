/* ar.c: the linear forecaster: all that is linear in the past samples.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One feature, one frame ahead: the stages of src/simd/forecaster.h, which need
 * no scaling of the input. `order` is the highest order of the bank and
 * `forgetting`, if it is set, the only one; `sensor` adds what slow signals
 * want, and `cascade` gives the lengths of the stages of least mean squares,
 * none by default, or 256 and 32 with `sensor`.
 *
 * Several features, a horizon above 1 or chosen `lags`: a vector autoregression
 *
 *   y[t] = sum over lags l of W_l x[t + 1 - l]     forecast of x[t + horizon]
 *
 * that learns W by recursive least squares (src/simd/rls.h); with horizon 1 a
 * lag is the distance to what is forecast.
 *
 * Weights: weight [n_in][lag, feature], W, "the next is as this one" at the
 * start. It is the forecast until something has been learnt, and one of the
 * bank's experts from then on. Before the first frame all was as the first
 * frame is. Without a target nothing is learnt.
 *
 * State, in doubles: [0] frames since the start, [1] place of the newest frame
 * in the ring; the ring of past frames [n_ring][n_in]; then, of the bank, W
 * [order] and the memory of src/simd/forecaster.h; of the others a regressor
 * and the memory of rls.h.
 */
#include "src/simd/forecaster.h"
#include "src/simd/rls.h"

#define MAX_LAGS 1024
#define MAX_WEIGHTS 2048 /* lags times features: the square is kept */
#define MAX_CASCADE 65536
#define FORGETTING 0.9998 /* of a vector autoregression */
#define BANK_MEMORY                                                            \
  200 /* frames that the errors of the bank's experts are                      \
       * remembered */

typedef struct {
  SeqLayer base;
  guint horizon, n_lags, n_ring;
  guint lags[MAX_LAGS];
  gboolean is_bank;
  ForecasterShape bank;
  Rls rls;
} Ar;

enum { WEIGHT };
enum { N_FRAMES, NEWEST, HEAD = 16 };

static const char *const options[] = { "order", "lags", "horizon", "forgetting",
  "regularization", "sensor", "cascade", NULL };

/* Stages of the bank. */
static gboolean
ar_init_bank (
    Ar *self, GVariant *config, guint order, double forgetting, GError **error)
{
  SeqLayer *layer = &self->base;
  guint cascades[FORECASTER_MAX_CASCADES] = { 256, 32 }, n = 0, sensor;

  if (!seq_config_uint (layer, config, "sensor", 0, 1, 0, &sensor, error)
      || !seq_config_uints (layer, config, "cascade", 1, MAX_CASCADE, cascades,
          &n, FORECASTER_MAX_CASCADES, error))
    return FALSE;
  if (n == 0 && sensor)
    n = 2;
  self->bank = forecaster_shape (order, forgetting > 0 ? &forgetting : NULL,
      sensor, cascades, n, BANK_MEMORY);
  return TRUE;
}

static gboolean
ar_init (SeqLayer *layer, GVariant *config, GError **error)
{
  Ar *self = (Ar *) layer;
  double forgetting, regularization;
  guint order, furthest = 0;

  if (!seq_config_uint (layer, config, "order", 1, MAX_LAGS, 32, &order, error)
      || !seq_config_uints (layer, config, "lags", 1, 1 << 20, self->lags,
          &self->n_lags, MAX_LAGS, error)
      || !seq_config_uint (
          layer, config, "horizon", 1, 1 << 20, 1, &self->horizon, error)
      || !seq_config_double (
          layer, config, "forgetting", 0, 1, 0, &forgetting, error)
      || !seq_config_double (layer, config, "regularization", 1e-12, 1e12, 1e-6,
          &regularization, error))
    return FALSE;
  if (forgetting > 0 && forgetting < 0.5) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "ar: forgetting is %g; expected 0.5 to 1, or 0 for a bank of several",
        forgetting);
    return FALSE;
  }
  self->is_bank = layer->n_in == 1 && self->horizon == 1 && self->n_lags == 0;
  layer->exact = self->is_bank;
  if (!ar_init_bank (self, config, order, forgetting, error))
    return FALSE;
  if (self->n_lags == 0)
    for (; self->n_lags < order; self->n_lags++)
      self->lags[self->n_lags] = self->n_lags + 1;
  if ((guint64) self->n_lags * layer->n_in > MAX_WEIGHTS) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "ar: number of weights is %" G_GUINT64_FORMAT
        ", %u lags of %u inputs; expected at most %u",
        (guint64) self->n_lags * layer->n_in, self->n_lags, layer->n_in,
        MAX_WEIGHTS);
    return FALSE;
  }
  for (guint i = 0; i < self->n_lags; i++)
    furthest = MAX (furthest, self->lags[i]);
  self->n_ring = furthest + self->horizon;
  self->rls = rls_init (self->n_lags * layer->n_in, layer->n_in,
      forgetting > 0 ? forgetting : FORGETTING, 1 / regularization);
  layer->n_out = layer->n_in;
  seq_layer_add_tensor (
      layer, "weight", 1, layer->n_out, self->n_lags * layer->n_in);
  layer->n_state =
      SEQ_DOUBLES (HEAD + ((gsize) self->n_ring * layer->n_in + 7) / 8 * 8);
  layer->n_state +=
      self->is_bank ? SEQ_DOUBLES (self->n_lags) + forecaster_size (&self->bank)
                    : SEQ_DOUBLES (self->rls.stride + rls_size (&self->rls));
  return TRUE;
}

/* What comes after the ring. */
static gpointer
ar_get_rest (const Ar *self, const real *state)
{
  return (real *) state
         + SEQ_DOUBLES (
             HEAD + ((gsize) self->n_ring * self->base.n_in + 7) / 8 * 8);
}

static Forecaster *
ar_get_forecaster (const Ar *self, const real *state)
{
  return (Forecaster *) ((real *) ar_get_rest (self, state)
                         + SEQ_DOUBLES (self->n_lags));
}

static double *
ar_get_regressor (const Ar *self, const real *state)
{
  return ar_get_rest (self, state);
}

static double *
ar_get_memory (const Ar *self, const real *state)
{
  return ar_get_regressor (self, state) + self->rls.stride;
}

static void
ar_seed (const SeqLayer *layer, GRand *rand, real *weights)
{
  const Ar *self = (const Ar *) layer;
  guint nearest = 0;

  for (guint i = 0; i < self->n_lags; i++)
    if (self->lags[i] < self->lags[nearest])
      nearest = i;
  for (guint k = 0; k < layer->n_in; k++)
    weights[seq_tensor_index (
        &layer->tensors[WEIGHT], 0, k, nearest * layer->n_in + k)] = 1;
}

static void
ar_start (const SeqLayer *layer, const real *weights, real *state)
{
  const Ar *self = (const Ar *) layer;

  memset (state, 0, layer->n_state * sizeof (real));
  if (self->is_bank) {
    double *filter = ar_get_rest (self, state);

    for (guint i = 0; i < self->n_lags; i++)
      filter[i] = weights[seq_tensor_index (&layer->tensors[WEIGHT], 0, 0, i)];
    forecaster_start (&self->bank, ar_get_forecaster (self, state));
  } else {
    rls_start (&self->rls, ar_get_memory (self, state), layer, weights);
  }
}

static void
ar_rewind (const SeqLayer *layer, const real *weights, real *state)
{
  const Ar *self = (const Ar *) layer;

  ((double *) state)[N_FRAMES] = 0;
  if (self->is_bank)
    forecaster_rewind (ar_get_forecaster (self, state));
}

/* The regressor as it was `back` frames ago. */
static double *
ar_gather_lags (const Ar *self, const real *state, guint newest, guint back)
{
  const double *ring = (const double *) state + HEAD;
  double *a = ar_get_regressor (self, state);
  guint n_in = self->base.n_in;

  for (guint i = 0; i < self->n_lags; i++) {
    guint age = back + self->lags[i] - 1;
    guint at = newest >= age ? newest - age : newest + self->n_ring - age;

    for (guint k = 0; k < n_in; k++)
      a[i * n_in + k] = ring[(gsize) at * n_in + k];
  }
  return a;
}

/* Takes a frame into the ring. */
static void
ar_push (const Ar *self, double *head, const double *x)
{
  double *ring = head + HEAD;
  guint n_in = self->base.n_in;
  guint newest = (guint) head[NEWEST] + 1;

  if (newest == self->n_ring)
    newest = 0;
  head[NEWEST] = newest;
  for (guint i = 0; i < (head[N_FRAMES] == 0 ? self->n_ring : 1); i++)
    for (guint k = 0; k < n_in; k++)
      ring[(gsize) (head[N_FRAMES] == 0 ? i : newest) * n_in + k] = x[k];
  head[N_FRAMES] = MIN (head[N_FRAMES] + 1, self->n_ring);
}

/* The change that W forecasts. */
static double
ar_filter (const Ar *self, const real *state)
{
  const double *head = (const double *) state, *ring = head + HEAD;
  const double *w = ar_get_rest (self, state);
  guint at = (guint) head[NEWEST];
  double x = ring[at], y = 0;

  for (guint i = 0; i < self->n_lags; i++) {
    y += w[i] * ring[at];
    at = at == 0 ? self->n_ring - 1 : at - 1;
  }
  return y - x;
}

static gboolean
ar_is_persistence (const Ar *self, const real *state)
{
  const double *w = ar_get_rest (self, state);
  gboolean rest = FALSE;

  for (guint i = 1; i < self->n_lags; i++)
    rest |= w[i] != 0;
  return w[0] == 1 && !rest;
}

static double
ar_read (const SeqBlock *block, const SeqLayer *layer, gsize row, guint k)
{
  return block->exact ? block->exact[row * layer->n_in + k]
                      : block->in[row * block->in_stride + k];
}

static void
ar_write (
    const SeqBlock *block, const SeqLayer *layer, gsize row, guint k, double y)
{
  block->out[row * block->out_stride + k] = (real) y;
  if (block->exact_out)
    block->exact_out[row * layer->n_out + k] = y;
}

static void
ar_run_bank (const SeqLayer *layer, const SeqBlock *block, guint lane)
{
  const Ar *self = (const Ar *) layer;
  real *state = block->state + lane * block->state_stride;
  Forecaster *memory = ar_get_forecaster (self, state);
  gboolean still = ar_is_persistence (self, state);

  for (guint t = 0; t < block->n_frames; t++) {
    gsize row = (gsize) t * block->n_lanes + lane;
    double x = ar_read (block, layer, row, 0), other;
    gboolean valid = !block->valid || block->valid[row];

    ar_push (self, (double *) state, &x);
    other = still ? 0 : ar_filter (self, state);
    if (block->target || forecaster_has_learnt (&self->bank, memory))
      x = forecaster_step (&self->bank, memory, valid ? x : (double) NAN, other,
          block->target != NULL);
    else
      x += other;
    ar_write (block, layer, row, 0, x);
  }
}

static void
ar_run_rows (const SeqLayer *layer, const SeqBlock *block, guint lane)
{
  const Ar *self = (const Ar *) layer;
  guint n_in = layer->n_in;
  real *state = block->state + lane * block->state_stride;
  double *head = (double *) state, x[MAX_WEIGHTS];
  double *memory = ar_get_memory (self, state);

  for (guint t = 0; t < block->n_frames; t++) {
    gsize row = (gsize) t * block->n_lanes + lane;
    const double *a;

    if (block->target && head[N_FRAMES] >= self->n_ring
        && (!block->valid || block->valid[row])) {
      a = ar_gather_lags (self, state, (guint) head[NEWEST], self->horizon - 1);
      rls_update (
          &self->rls, memory, a, block->target + row * block->target_stride);
    }
    for (guint k = 0; k < n_in; k++)
      x[k] = ar_read (block, layer, row, k);
    ar_push (self, head, x);
    a = ar_gather_lags (self, state, (guint) head[NEWEST], 0);
    for (guint o = 0; o < layer->n_out; o++)
      ar_write (block, layer, row, o, rls_predict (&self->rls, memory, a, o));
  }
}

static void
ar_run (const SeqLayer *layer, const SeqBlock *block)
{
  const Ar *self = (const Ar *) layer;

  for (guint lane = 0; lane < block->n_lanes; lane++)
    if (self->is_bank)
      ar_run_bank (layer, block, lane);
    else
      ar_run_rows (layer, block, lane);
}

static gboolean
ar_check_state (const SeqLayer *layer, const real *state)
{
  const Ar *self = (const Ar *) layer;
  const double *head = (const double *) state;
  gsize n_ring = (gsize) self->n_ring * layer->n_in;
  gboolean finite = TRUE;

  for (gsize i = 0; i < HEAD + n_ring; i++)
    finite &= isfinite (head[i]) != 0;
  if (!finite || !is_place (head[N_FRAMES], self->n_ring)
      || !is_place (head[NEWEST], self->n_ring - 1))
    return FALSE;
  if (!self->is_bank)
    return rls_check (&self->rls, ar_get_memory (self, state));
  for (guint i = 0; i < self->n_lags; i++)
    finite &= isfinite (((double *) ar_get_rest (self, state))[i]) != 0;
  return finite
         && forecaster_check (&self->bank, ar_get_forecaster (self, state));
}

/* What the bank's forecast is linear in, as far as its experts go: W [n_lags].
 */
static void
ar_export_bank (const Ar *self, const real *state, double *w)
{
  Forecaster *memory = ar_get_forecaster (self, state);

  memcpy (w, ar_get_rest (self, state), self->n_lags * sizeof (double));
  if (forecaster_has_learnt (&self->bank, memory))
    forecaster_export (&self->bank, memory, w);
}

static void
ar_export_weights (const SeqLayer *layer, const real *state, real *weights)
{
  const Ar *self = (const Ar *) layer;
  double w[MAX_LAGS];

  if (self->is_bank)
    ar_export_bank (self, state, w);
  for (guint o = 0; o < layer->n_out; o++) {
    const double *from = self->is_bank ? w
                                       : rls_weights (&self->rls,
                                           ar_get_memory (self, state), o);

    for (guint i = 0; i < self->n_lags * layer->n_in; i++)
      weights[seq_tensor_index (&layer->tensors[WEIGHT], 0, o, i)] =
          (real) from[i];
  }
}

static void
ar_export_offset (const SeqLayer *layer, const real *state, double *offset)
{
  const Ar *self = (const Ar *) layer;

  for (guint k = 0; k < layer->n_in; k++)
    offset[k] = self->is_bank ? forecaster_anchor (
                    &self->bank, ar_get_forecaster (self, state))
                              : 0;
}

const SeqLayerClass SEQ_CLASS (ar) = {
  .kind = { .name = "ar",
      .title = "Linear in the last samples (recursive least squares)",
      .aliases = (const char *const[]){ "autoregressive", NULL },
      .flags = SEQ_KIND_LEARNS,
      .options = options },
  .instance_size = sizeof (Ar),
  .init = ar_init,
  .seed = ar_seed,
  .start = ar_start,
  .rewind = ar_rewind,
  .run = ar_run,
  .check_state = ar_check_state,
  .export_weights = ar_export_weights,
  .export_offset = ar_export_offset,
};
