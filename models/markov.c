/* markov.c: a Markov chain of first order over quantised levels: the next
 * state depends on the present one only.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 *   P (j | i) = (count[i][j] + smoothing) / (sum of row i + states smoothing)
 *   y         = sum over j of P (j | i) level[j]
 *
 * where i is the level of the present sample and level[j] the mean of what has
 * fallen into level j (its centre, before anything has). smoothing 0.5 is
 * Krichevsky and Trofimov's, 1 Laplace's. Learns by counting; with forgetting
 * below 1 a row fades each time that it is counted in. With several features
 * a state is a level of each. The score is -log2 P of the level that came.
 *
 * Tensors: counts [n][n], levels [n_in][n]. State, in doubles: [0] frames seen,
 * as far as it matters; the states of the last `horizon` frames; for each state
 * the count of values, and per feature their mean; then the rows of counts,
 * each behind its sum.
 */
#include "src/simd/simd.h"

#define MAX_STATES 4096
#define MU 255.0

typedef struct {
  SeqLayer base;
  guint horizon, n_levels, quantizer, n_states;
  double range, smoothing, forgetting;
  gsize row; /* doubles a row of counts, with its sum */
} Markov;

enum { COUNTS, LEVELS };
enum { UNIFORM, MU_LAW };

static const char *const options[] = { "states", "quantizer", "range",
  "smoothing", "forgetting", "horizon", NULL };

static gboolean
markov_init (SeqLayer *layer, GVariant *config, GError **error)
{
  static const char *const words[] = { "uniform", "mu-law", NULL };
  Markov *self = (Markov *) layer;
  guint64 n_states = 1;

  if (!seq_config_uint (
          layer, config, "states", 2, MAX_STATES, 64, &self->n_levels, error)
      || !seq_config_word (
          layer, config, "quantizer", words, UNIFORM, &self->quantizer, error)
      || !seq_config_double (
          layer, config, "range", 1e-9, 1e9, 4, &self->range, error)
      || !seq_config_double (
          layer, config, "smoothing", 1e-9, 1e9, 0.01, &self->smoothing, error)
      || !seq_config_double (
          layer, config, "forgetting", 0.5, 1, 1, &self->forgetting, error)
      || !seq_config_uint (
          layer, config, "horizon", 1, 1 << 20, 1, &self->horizon, error))
    return FALSE;
  for (guint k = 0; k < layer->n_in && n_states <= MAX_STATES; k++)
    n_states *= self->n_levels;
  if (n_states > MAX_STATES) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "markov: states is %u for each of %u inputs; expected at most %u for "
        "all of them together",
        self->n_levels, layer->n_in, MAX_STATES);
    return FALSE;
  }
  self->n_states = (guint) n_states;
  self->row = n_states + 1;
  layer->n_out = layer->n_in;
  seq_layer_add_tensor (layer, "counts", 1, self->n_states, self->n_states);
  seq_layer_add_tensor (layer, "levels", 1, layer->n_in, self->n_states);
  layer->n_state = SEQ_DOUBLES (1 + self->horizon
                                + (gsize) self->n_states * (1 + layer->n_in)
                                + self->n_states * self->row);
  return TRUE;
}

static double *
markov_get_values (const Markov *self, const real *state)
{
  return (double *) state + 1 + self->horizon;
}

static double *
markov_get_counts (const Markov *self, const real *state)
{
  return markov_get_values (self, state)
         + (gsize) self->n_states * (1 + self->base.n_in);
}

static guint
markov_find_level (const Markov *self, double x)
{
  double y = CLAMP (x / self->range, -1, 1);

  if (self->quantizer == MU_LAW)
    y = copysign (log1p (MU * fabs (y)) / log1p (MU), y);
  return MIN ((guint) ((y + 1) / 2 * self->n_levels), self->n_levels - 1);
}

static double
markov_get_centre (const Markov *self, guint level)
{
  double y = (2 * level + 1.0) / self->n_levels - 1;

  if (self->quantizer == MU_LAW)
    y = copysign (expm1 (fabs (y) * log1p (MU)) / MU, y);
  return y * self->range;
}

static void
markov_seed (const SeqLayer *layer, GRand *rand, real *weights)
{
  const Markov *self = (const Markov *) layer;

  for (guint s = 0; s < self->n_states; s++)
    for (guint k = 0, rest = s; k < layer->n_in; k++, rest /= self->n_levels)
      weights[seq_tensor_index (&layer->tensors[LEVELS], 0, k, s)] =
          (real) markov_get_centre (self, rest % self->n_levels);
}

static void
markov_start (const SeqLayer *layer, const real *weights, real *state)
{
  const Markov *self = (const Markov *) layer;
  guint n = self->n_states;
  double *values = markov_get_values (self, state),
         *counts = markov_get_counts (self, state);

  memset (state, 0, layer->n_state * sizeof (real));
  for (guint i = 0; i < n; i++)
    for (guint j = 0; j < n; j++) {
      double count =
          weights[seq_tensor_index (&layer->tensors[COUNTS], 0, i, j)];

      counts[i * self->row] += count;
      counts[i * self->row + 1 + j] = count;
      values[j * (1 + layer->n_in)] += count;
    }
  for (guint s = 0; s < n; s++)
    for (guint k = 0; k < layer->n_in; k++)
      values[s * (1 + layer->n_in) + 1 + k] =
          weights[seq_tensor_index (&layer->tensors[LEVELS], 0, k, s)];
}

static void
markov_rewind (const SeqLayer *layer, const real *weights, real *state)
{
  ((double *) state)[0] = 0;
}

static guint
markov_find_state (const Markov *self, const real *x)
{
  guint s = 0;

  for (guint k = self->base.n_in; k-- > 0;)
    s = s * self->n_levels + markov_find_level (self, x[k]);
  return s;
}

/* A transition, and the values that it led to. */
static void
markov_count (const Markov *self, double *row, double *value, guint to,
    const real *target)
{
  if (self->forgetting < 1)
    for (guint j = 0; j <= self->n_states; j++)
      row[j] *= self->forgetting;
  row[0]++;
  row[1 + to]++;
  value[0]++;
  for (guint k = 0; k < self->base.n_in; k++)
    value[1 + k] += (target[k] - value[1 + k]) / value[0];
}

static void
markov_run (const SeqLayer *layer, const SeqBlock *block)
{
  const Markov *self = (const Markov *) layer;
  guint n = self->n_states, n_in = layer->n_in;

  for (guint lane = 0; lane < block->n_lanes; lane++) {
    real *state = block->state + lane * block->state_stride;
    double *n_frames = (double *) state, *ring = n_frames + 1;
    double *values = markov_get_values (self, state);
    double *counts = markov_get_counts (self, state);

    for (guint t = 0; t < block->n_frames; t++) {
      gsize row = (gsize) t * block->n_lanes + lane;
      const real *x = block->in + row * block->in_stride;
      real *out = block->out + row * block->out_stride;
      double *past = &ring[(guint) *n_frames % self->horizon];
      const double *p;
      guint s = markov_find_state (self, x);
      double total;

      if (block->score)
        block->score[row] = 0;
      if (*n_frames >= self->horizon && (!block->valid || block->valid[row])) {
        double *from = counts + (guint) *past * self->row;

        if (block->score)
          block->score[row] =
              (real) -log2 ((from[1 + s] + self->smoothing)
                            / double_fma (n, self->smoothing, from[0]));
        if (block->target)
          markov_count (self, from, values + s * (1 + n_in), s,
              block->target + row * block->target_stride);
      }
      *past = s;
      if (++*n_frames >= 2 * self->horizon)
        *n_frames = self->horizon;

      p = counts + s * self->row;
      total = double_fma (n, self->smoothing, p[0]);
      for (guint k = 0; k < n_in; k++) {
        double y = 0;

        for (guint j = 0; j < n; j++)
          y = double_fma (
              p[1 + j] + self->smoothing, values[j * (1 + n_in) + 1 + k], y);
        out[k] = (real) (y / total);
      }
    }
  }
}

static gboolean
markov_check_state (const SeqLayer *layer, const real *state)
{
  const Markov *self = (const Markov *) layer;
  const double *head = (const double *) state;
  const double *counts = markov_get_counts (self, state);
  const double *values = markov_get_values (self, state);

  if (!(head[0] >= 0 && head[0] <= 2 * self->horizon))
    return FALSE;
  for (guint i = 1; i <= self->horizon; i++)
    if (!(head[i] >= 0 && head[i] < self->n_states))
      return FALSE;
  for (guint s = 0; s < self->n_states; s++) {
    const double *value = values + s * (1 + layer->n_in);
    const double *row = counts + s * self->row;
    double sum = 0;

    if (!(value[0] >= 0 && isfinite (value[0])))
      return FALSE;
    for (guint k = 1; k <= layer->n_in; k++)
      if (!isfinite (value[k]))
        return FALSE;
    for (guint j = 0; j <= self->n_states; j++) {
      if (!(row[j] >= 0 && isfinite (row[j])))
        return FALSE;
      sum += j > 0 ? row[j] : 0;
    }
    /* or its forecast is not a mean of values */
    if (!(fabs (sum - row[0]) <= 1e-3 * (1 + sum)))
      return FALSE;
  }
  return TRUE;
}

static void
markov_export_weights (const SeqLayer *layer, const real *state, real *weights)
{
  const Markov *self = (const Markov *) layer;
  guint n = self->n_states;
  double *values = markov_get_values (self, state),
         *counts = markov_get_counts (self, state);

  for (guint i = 0; i < n; i++)
    for (guint j = 0; j < n; j++)
      weights[seq_tensor_index (&layer->tensors[COUNTS], 0, i, j)] =
          (real) counts[i * self->row + 1 + j];
  for (guint s = 0; s < n; s++)
    for (guint k = 0; k < layer->n_in; k++)
      weights[seq_tensor_index (&layer->tensors[LEVELS], 0, k, s)] =
          (real) values[s * (1 + layer->n_in) + 1 + k];
}

const SeqLayerClass SEQ_CLASS (markov) = {
  .kind = { .name = "markov",
      .title = "Transitions between quantised levels",
      .flags = SEQ_KIND_LEARNS | SEQ_KIND_SCORES,
      .options = options },
  .instance_size = sizeof (Markov),
  .init = markov_init,
  .seed = markov_seed,
  .start = markov_start,
  .rewind = markov_rewind,
  .run = markov_run,
  .check_state = markov_check_state,
  .export_weights = markov_export_weights,
};
