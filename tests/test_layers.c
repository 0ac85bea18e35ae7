/* test_layers.c: what every layer promises; kinds are found by name.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Built twice: in float for each instruction set, and in double, where grad()
 * is held against central differences.
 */
#include "src/cpu.h"
#include "src/layer.h"
#include "tests/reference.h"

#include <math.h>
#include <string.h>

#define FRAMES 12

/* One by one, a few of a vector, whole vectors, several of them, and rests. */
static const guint lane_counts[] = { 1, 2, 3, 5, 16, 17, 24, 48, 200 };

/* Options that kinds are tried with, where they read them. */
static const char *const configs[] = {
  "{}",
  "{'hidden_size': <1>, 'out_features': <3>, 'order': <3>, 'states': <5>}",
  ("{'hidden_size': <8>, 'out_features': <17>, 'nonlinearity': <'relu'>,"
   " 'reset_after': <0>, 'quantizer': <'mu-law'>, 'forgetting': <0.99>,"
   " 'activation': <'softmax'>, 'out_channels': <4>, 'kernel_size': <3>,"
   " 'dilation': <2>, 'shared': <1>, 'candidate': <'positive'>}"),
  ("{'hidden_size': <33>, 'proj_size': <5>, 'initial_state': <1>,"
   " 'bias': <0>, 'chrono': <50>, 'horizon': <3>, 'history': <64>,"
   " 'activation': <'elu'>, 'out_channels': <2>, 'kernel_size': <2>,"
   " 'candidate': <'tanh'>}"),
  ("{'activation': <'sigmoid'>, 'states': <3>, 'hidden_size': <5>,"
   " 'sensor': <1>, 'cascade': <[@u 5, 40]>, 'groups': <1>}"),
  "{'arrays': <[{'channels': <[5]>, 'dilations': <[uint32 1, 9]>}]>}",
  ("{'arrays': <[{'channels': <[uint32 17]>, 'groups': <uint32 1>,"
   " 'gating': <[uint32 1]>, 'head_channels': <3>, 'bottleneck': <2>,"
   " 'head_kernel_size': <3>}]>}"),
  "{'hidden_size': <37>, 'precision': <'int16'>}",
  "{'hidden_size': <20>, 'precision': <'int8'>, 'bounded_input': <1>}",
};

/* A layer with random weights (or its own start) and what it needs to run. */
typedef struct {
  SeqLayer *layer;
  guint n_lanes;
  gsize in_stride, out_stride;
  real *weights, *state, *state0, *in, *out, *tape;
} Bed;

static GVariant *
config_for (const char *kind, const char *text)
{
  const SeqLayerClass *klass = seq_layer_class (kind);
  g_autoptr (GVariant) all =
      g_variant_parse (G_VARIANT_TYPE ("a{sv}"), text, NULL, NULL, NULL);
  GVariantBuilder builder = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("a{sv}"));
  GVariantIter iter;
  const char *key;
  GVariant *value;

  g_variant_iter_init (&iter, all);
  while (g_variant_iter_next (&iter, "{&sv}", &key, &value)) {
    if (g_strv_contains (klass->kind.options, key))
      g_variant_builder_add (&builder, "{sv}", key, value);
    g_variant_unref (value);
  }
  return g_variant_builder_end (&builder);
}

static gboolean
bed_init (
    Bed *bed, const char *kind, const char *config, guint n_in, guint n_lanes)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (5);
  g_autoptr (GError) error = NULL;
  SeqLayer *layer =
      seq_layer_new (kind, config_for (kind, config), n_in, &error);
  gsize rows = FRAMES * n_lanes;

  memset (bed, 0, sizeof *bed);
  if (!layer) { /* a combination that the kind refuses, with a reason */
    g_assert_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG);
    return FALSE;
  }
  /* a large table or history shows nothing that a small one does not */
  if (n_lanes * layer->n_state > 1 << 21) {
    seq_layer_free (layer);
    return FALSE;
  }
  bed->layer = layer;
  bed->n_lanes = n_lanes;
  bed->in_stride = SEQ_PAD (n_in);
  bed->out_stride = SEQ_PAD (layer->n_out);
  bed->weights = seq_alloc (layer->n_weights);
  bed->state = seq_alloc (n_lanes * layer->n_state);
  bed->state0 = seq_alloc (n_lanes * layer->n_state);
  bed->in = seq_alloc (rows * bed->in_stride);
  bed->out = seq_alloc (rows * bed->out_stride);
  bed->tape = seq_alloc (rows * layer->n_tape + SEQ_TILE);
  if (layer->klass->seed)
    layer->klass->seed (layer, rand, bed->weights);
  if (layer->klass->pack)
    layer->klass->pack (layer, bed->weights);
  for (guint l = 0; l < n_lanes; l++)
    if (layer->klass->start)
      layer->klass->start (
          layer, bed->weights, bed->state0 + l * layer->n_state);
  for (gsize r = 0; r < rows; r++)
    for (guint k = 0; k < n_in; k++)
      bed->in[r * bed->in_stride + k] =
          (real) g_rand_double_range (rand, -1.5, 1.5);
  memcpy (bed->state, bed->state0, n_lanes * layer->n_state * sizeof (real));
  return TRUE;
}

static void
bed_clear (Bed *bed)
{
  seq_layer_free (bed->layer);
  seq_free (bed->weights);
  seq_free (bed->state);
  seq_free (bed->state0);
  seq_free (bed->in);
  seq_free (bed->out);
  seq_free (bed->tape);
}

/* Frames [from, from + n) of lanes [lane, lane + n_lanes) on `state`. Layers
 * that learn in their state learn from their input (their own output width of
 * it), which is what a target is. */
static SeqBlock
block_of (const Bed *bed, real *state, guint from, guint n, gboolean learn)
{
  gsize row = (gsize) from * bed->n_lanes, n_tape = bed->layer->n_tape;
  gboolean target = learn && bed->layer->klass->kind.flags & SEQ_KIND_LEARNS
                    && bed->layer->n_out <= bed->in_stride;

  return (SeqBlock){
    .n_frames = n,
    .n_lanes = bed->n_lanes,
    .weights = bed->weights,
    .state = state,
    .state_stride = bed->layer->n_state,
    .in = bed->in + row * bed->in_stride,
    .in_stride = bed->in_stride,
    .out = bed->out + row * bed->out_stride,
    .out_stride = bed->out_stride,
    .tape = bed->tape + row * n_tape,
    .tape_stride = n_tape,
    .target = target ? bed->in + row * bed->in_stride : NULL,
    .target_stride = bed->in_stride,
  };
}

static void
run (const Bed *bed, real *state, guint from, guint n, gboolean learn)
{
  SeqBlock block = block_of (bed, state, from, n, learn);

  bed->layer->klass->run (bed->layer, &block);
}

typedef void (*Check) (Bed *bed);

static void
for_all_configs (const char *kind, guint n_lanes, Check check)
{
  guint n = 0;

  for (guint c = 0; c < G_N_ELEMENTS (configs); c++)
    for (guint n_in = 1; n_in <= 3; n_in++) {
      Bed bed;

      if (!bed_init (&bed, kind, configs[c], n_in, n_lanes))
        continue;
      check (&bed);
      bed_clear (&bed);
      n++;
    }
  g_assert_cmpuint (n, >=, 3);
}

/* --- bits ------------------------------------------------------------------
 */

static void
check_split (Bed *bed)
{
  gsize n_out = FRAMES * bed->n_lanes * bed->out_stride;
  gsize n_state = bed->n_lanes * bed->layer->n_state;
  g_autofree real *out = NULL, *state = NULL;

  run (bed, bed->state, 0, FRAMES, TRUE);
  out = g_memdup2 (bed->out, n_out * sizeof (real));
  state = g_memdup2 (bed->state, n_state * sizeof (real));
  memset (bed->out, 0, n_out * sizeof (real));
  memcpy (bed->state, bed->state0, n_state * sizeof (real));
  run (bed, bed->state, 0, 1, TRUE);
  run (bed, bed->state, 1, 4, TRUE);
  run (bed, bed->state, 5, FRAMES - 5, TRUE);
  g_assert_cmpmem (bed->out, n_out * sizeof (real), out, n_out * sizeof (real));
  g_assert_cmpmem (
      bed->state, n_state * sizeof (real), state, n_state * sizeof (real));
}

/* run (a + b) = run (a), run (b), to the bit, state included. */
static void
test_split (gconstpointer kind)
{
  for_all_configs (kind, 2, check_split);
}

/* keep: with the tape. Lanes begin from states of their own. */
static void
check_alone_with (Bed *bed, gboolean keep)
{
  guint lanes = bed->n_lanes, n_out = bed->layer->n_out;
  gsize rows = FRAMES, n_state = bed->layer->n_state;
  g_autofree real *in =
      g_memdup2 (bed->in, rows * lanes * bed->in_stride * sizeof (real));
  g_autofree real *together = NULL;

  SeqBlock block = block_of (bed, bed->state, 0, FRAMES, TRUE);

  if (!keep)
    block.tape_stride = 0;
  memcpy (bed->state, bed->state0, lanes * n_state * sizeof (real));
  bed->layer->klass->run (bed->layer, &block);
  bed->layer->klass->run (bed->layer, &block);
  together =
      g_memdup2 (bed->out, rows * lanes * bed->out_stride * sizeof (real));
  bed->n_lanes = 1;
  for (guint l = 0; l < lanes; l++) {
    for (gsize t = 0; t < rows; t++)
      memcpy (bed->in + t * bed->in_stride,
          in + (t * lanes + l) * bed->in_stride,
          bed->in_stride * sizeof (real));
    memcpy (bed->state, bed->state0 + l * n_state, n_state * sizeof (real));
    run (bed, bed->state, 0, FRAMES, TRUE);
    run (bed, bed->state, 0, FRAMES, TRUE);
    for (gsize t = 0; t < rows; t++)
      g_assert_cmpmem (bed->out + t * bed->out_stride, n_out * sizeof (real),
          together + (t * lanes + l) * bed->out_stride, n_out * sizeof (real));
  }
  memcpy (bed->in, in, rows * lanes * bed->in_stride * sizeof (real));
  bed->n_lanes = lanes;
}

static void
check_alone (Bed *bed)
{
  check_alone_with (bed, TRUE);
  check_alone_with (bed, FALSE);
}

/* A lane gives the bits that it would give alone, however many run. */
static void
test_alone (gconstpointer kind)
{
  for (guint i = 0; i < G_N_ELEMENTS (lane_counts); i++)
    for_all_configs (kind, lane_counts[i], check_alone);
}

static void
check_no_tape (Bed *bed)
{
  gsize n_out = FRAMES * bed->n_lanes * bed->out_stride;
  SeqBlock block = block_of (bed, bed->state, 0, FRAMES, TRUE);
  g_autofree real *out = NULL;

  bed->layer->klass->run (bed->layer, &block);
  out = g_memdup2 (bed->out, n_out * sizeof (real));
  memcpy (bed->state, bed->state0,
      bed->n_lanes * bed->layer->n_state * sizeof (real));
  block.tape_stride = 0;
  bed->layer->klass->run (bed->layer, &block);
  g_assert_cmpmem (bed->out, n_out * sizeof (real), out, n_out * sizeof (real));
}

#ifndef SEQ_DOUBLE
/* The same of a recurrent kind where weights overflow a first cache, and lanes
 * share them. */
static void
test_alone_large (gconstpointer kind)
{
  if (!seq_kind_has_option (seq_kind_find (kind), "hidden_size")) {
    g_test_skip ("has no hidden_size");
    return;
  }
  for (guint n_lanes = 2; n_lanes <= 5; n_lanes++) {
    Bed bed;

    g_assert_true (bed_init (&bed, kind, "{'hidden_size': <97>}", 1, n_lanes));
    check_alone (&bed);
    bed_clear (&bed);
  }
}
#endif

/* Whether the tape is kept makes no difference. */
static void
test_no_tape (gconstpointer kind)
{
  for_all_configs (kind, 2, check_no_tape);
}

/* An option that a kind does not have, or that is out of range, is refused
 * with its name. */
static void
test_refuses (gconstpointer kind)
{
  const SeqLayerClass *klass = seq_layer_class (kind);
  g_autoptr (GError) error = NULL;

  g_assert_null (seq_layer_new (
      kind, g_variant_new_parsed ("{'colour': <1>}"), 1, &error));
  g_assert_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG);
  g_assert_nonnull (strstr (error->message, "colour"));
  for (guint i = 0; klass->kind.options[i]; i++) {
    GVariantBuilder builder = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("a{sv}"));

    g_clear_error (&error);
    g_variant_builder_add (&builder, "{sv}", klass->kind.options[i],
        g_variant_new_double (-1e300));
    g_assert_null (
        seq_layer_new (kind, g_variant_builder_end (&builder), 1, &error));
    g_assert_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG);
    g_assert_nonnull (strstr (error->message, klass->kind.options[i]));
  }
}

/* --- gradients (double) ------------------------------------------------------
 */

#ifdef SEQ_DOUBLE

/* Sum over all outputs of weight * out, and of weight * state at the end. */
static double
loss (const Bed *bed, const double *by_out, const double *by_state)
{
  gsize n_state = bed->n_lanes * bed->layer->n_state;
  real *state = seq_alloc (n_state);
  double sum = 0;

  memcpy (state, bed->state0, n_state * sizeof (real));
  run (bed, state, 0, FRAMES, FALSE);
  for (gsize r = 0; r < FRAMES * bed->n_lanes; r++)
    for (guint k = 0; k < bed->layer->n_out; k++)
      sum +=
          by_out[r * bed->out_stride + k] * bed->out[r * bed->out_stride + k];
  for (gsize i = 0; i < n_state; i++)
    sum += by_state[i] * state[i];
  seq_free (state);
  return sum;
}

/* The gradient by *x, and the error of `gradient` relative to scale. A step
 * that goes over a kink (relu's) is made again, shorter. */
static void
compare (const Bed *bed, const double *by_out, const double *by_state,
    double *x, double gradient, double scale, double *worst)
{
  double before = *x, at = loss (bed, by_out, by_state), up, down, slope;

  for (double step = 1e-5; step >= 1e-7; step /= 100) {
    *x = before + step;
    up = loss (bed, by_out, by_state);
    *x = before - step;
    down = loss (bed, by_out, by_state);
    *x = before;
    slope = (up - down) / (2 * step);
    if (fabs (up - 2 * at + down) < 2e-4 * step)
      break;
  }
  *worst = MAX (*worst, fabs (slope - gradient) / MAX (fabs (slope), scale));
}

static void
check_gradient (Bed *bed)
{
  const SeqLayer *layer = bed->layer;
  gboolean learns = layer->klass->kind.flags & SEQ_KIND_LEARNS;
  /* a state of numbers only, with no places among them that must be whole */
  gboolean plain = !layer->klass->check_state;
  guint lanes = bed->n_lanes;
  gsize rows = FRAMES * lanes, n_state = lanes * layer->n_state;
  g_autoptr (GRand) rand = g_rand_new_with_seed (9);
  real *d_out = seq_alloc (rows * bed->out_stride);
  real *d_in = seq_alloc (rows * bed->in_stride);
  real *d_weights = seq_alloc (layer->n_weights);
  real *d_state = seq_alloc (n_state), *by_state = seq_alloc (n_state);
  real *scratch = seq_alloc (
      layer->klass->n_scratch ? layer->klass->n_scratch (layer, FRAMES, lanes)
                              : 1);
  SeqBlock block = block_of (bed, bed->state, 0, FRAMES, FALSE);
  SeqGrad grad = { .d_out = d_out,
    .d_in = d_in,
    .d_in_stride = bed->in_stride,
    .d_weights = d_weights,
    .d_state = d_state,
    .learnt = bed->state,
    .scratch = scratch };
  double worst = 0;

  /* a state that is no longer at its start, for nets */
  if (plain)
    for (guint l = 0; l < lanes; l++)
      for (gsize i = 0; i < layer->n_state; i++)
        if (i % SEQ_TILE < 1)
          bed->state0[l * layer->n_state + i] =
              g_rand_double_range (rand, -.5, .5);
  memcpy (bed->state, bed->state0, n_state * sizeof (real));
  for (gsize r = 0; r < rows; r++)
    for (guint k = 0; k < layer->n_out; k++)
      d_out[r * bed->out_stride + k] = g_rand_double_range (rand, -1, 1);
  if (plain)
    for (guint l = 0; l < lanes; l++)
      for (gsize i = 0; i < layer->n_state; i += SEQ_TILE)
        d_state[l * layer->n_state + i] = g_rand_double_range (rand, -1, 1);
  memcpy (by_state, d_state, n_state * sizeof (real));

  layer->klass->run (layer, &block);
  block.state = bed->state0;
  layer->klass->grad (layer, &block, &grad);

  /* weights; of those that move nothing, the gradient is zero */
  for (guint i = 0; i < layer->n_tensors && !learns; i++) {
    const SeqTensor *t = &layer->tensors[i];

    if (g_str_has_suffix (t->name, "0")) /* h0, c0: begin the state */
      continue;
    for (guint n = 0; n < 40; n++) {
      gsize at = seq_tensor_index (t,
          (guint) g_rand_int_range (rand, 0, (gint) t->gates),
          (guint) g_rand_int_range (rand, 0, (gint) t->rows),
          (guint) g_rand_int_range (rand, 0, (gint) t->cols));

      compare (
          bed, d_out, by_state, &bed->weights[at], d_weights[at], 0.1, &worst);
    }
  }
  /* every lane comes up, if not at every frame: 7 divides no lane count */
  for (gsize r = 0; r<rows; r += lanes> 3 ? 7 : 1)
    for (guint k = 0; k < layer->n_in; k++)
      compare (bed, d_out, by_state, &bed->in[r * bed->in_stride + k],
          d_in[r * bed->in_stride + k], 0.1, &worst);
  for (gsize i = 0; i < n_state && plain; i += SEQ_TILE)
    compare (bed, d_out, by_state, &bed->state0[i], d_state[i], 0.1, &worst);
  /* the padding of weights has no gradient: it stays zero for ever */
  for (guint i = 0; i < layer->n_tensors; i++) {
    const SeqTensor *t = &layer->tensors[i];

    for (guint row = t->rows; row < SEQ_PAD (t->rows); row++)
      for (guint col = 0; col < t->cols; col++)
        for (guint gate = 0; gate < t->gates; gate++)
          g_assert_cmpfloat (
              d_weights[seq_tensor_index (t, gate, row, col)], ==, 0);
  }
  g_test_message ("%s, %u inputs, %u outputs: relative error %.1e",
      layer->klass->kind.name, layer->n_in, layer->n_out, worst);
  g_assert_cmpfloat (worst, <=, 1e-6);

  for (guint i = 0; i < 6; i++)
    seq_free (
        ((real *[]){ d_out, d_in, d_weights, d_state, by_state, scratch })[i]);
}

static void
check_gradient_if (Bed *bed)
{
  if (!bed->layer->quantised) /* else there is no grad() */
    check_gradient (bed);
}

/* grad() against central differences: relative error at most 1e-6. */
static void
test_gradient (gconstpointer kind)
{
  if (!(seq_layer_class (kind)->kind.flags & SEQ_KIND_TRAINS)) {
    g_test_skip ("learns in its state, not by gradient");
    return;
  }
  /* one by one, and in groups with a rest */
  for_all_configs (kind, 2, check_gradient_if);
  for_all_configs (kind, 5, check_gradient_if);
  for_all_configs (kind, 8, check_gradient_if);
  for_all_configs (kind, 12, check_gradient_if);
}

#else

/* Backward pass over lanes [lane, lane + n) of a bed of as many lanes. */
static void
gradient_of (const Bed *bed, const real *d_out, const real *d_after, guint lane,
    guint n, real *d_in, real *d_weights, real *d_state)
{
  Bed part = *bed;
  gsize rows = FRAMES * n, n_state = bed->layer->n_state;
  gsize in = bed->in_stride, out = bed->out_stride;
  const SeqLayerClass *klass = bed->layer->klass;
  real *scratch = seq_alloc (
      klass->n_scratch ? klass->n_scratch (bed->layer, FRAMES, n) : 1);
  real *d_in_part = seq_alloc (rows * in);
  real *d_out_part = seq_alloc (rows * out);
  SeqGrad grad = { .d_out = d_out_part,
    .d_in = d_in_part,
    .d_in_stride = in,
    .d_weights = d_weights,
    .d_state = d_state + lane * n_state,
    .scratch = scratch };
  SeqBlock block;

  part.n_lanes = n;
  part.in = seq_alloc (rows * in);
  for (guint t = 0; t < FRAMES; t++) {
    gsize row = t * bed->n_lanes + lane;

    memcpy (part.in + t * n * in, bed->in + row * in, n * in * sizeof (real));
    memcpy (
        d_out_part + t * n * out, d_out + row * out, n * out * sizeof (real));
  }
  part.state = bed->state + lane * n_state;
  part.state0 = bed->state0 + lane * n_state;
  memcpy (part.state, part.state0, n * n_state * sizeof (real));
  memcpy (d_state + lane * n_state, d_after + lane * n_state,
      n * n_state * sizeof (real));
  block = block_of (&part, part.state, 0, FRAMES, FALSE);
  klass->run (bed->layer, &block);
  block.state = part.state0;
  klass->grad (bed->layer, &block, &grad);
  for (guint t = 0; t < FRAMES; t++)
    memcpy (d_in + (t * bed->n_lanes + lane) * in, d_in_part + t * n * in,
        n * in * sizeof (real));
  seq_free (part.in);
  seq_free (scratch);
  seq_free (d_in_part);
  seq_free (d_out_part);
}

static void
compare_reals (const real *a, const real *b, gsize n, double bound)
{
  for (gsize i = 0; i < n; i++)
    g_assert_cmpfloat_with_epsilon (a[i], b[i], bound);
}

static void
check_together (Bed *bed)
{
  guint lanes = bed->n_lanes;
  gsize n_weights = bed->layer->n_weights,
        n_state = lanes * bed->layer->n_state;
  gsize n_out = FRAMES * lanes * bed->out_stride;
  gsize n_in = FRAMES * lanes * bed->in_stride;
  g_autoptr (GRand) rand = g_rand_new_with_seed (3);
  g_autofree real *d_out = g_new0 (real, n_out);
  real *d_after = seq_alloc (n_state), *d_in[2], *d_weights[2], *d_state[2];

  for (gsize r = 0; r < FRAMES * lanes; r++)
    for (guint k = 0; k < bed->layer->n_out; k++)
      d_out[r * bed->out_stride + k] = (real) g_rand_double_range (rand, -1, 1);
  for (gsize i = 0; i < n_state && !bed->layer->klass->check_state;
       i += SEQ_TILE)
    d_after[i] = (real) g_rand_double_range (rand, -1, 1);
  for (guint i = 0; i < 2; i++) {
    d_in[i] = seq_alloc (n_in);
    d_weights[i] = seq_alloc (n_weights);
    d_state[i] = seq_alloc (n_state);
  }
  gradient_of (
      bed, d_out, d_after, 0, lanes, d_in[0], d_weights[0], d_state[0]);
  for (guint lane = 0; lane < lanes; lane++)
    gradient_of (
        bed, d_out, d_after, lane, 1, d_in[1], d_weights[1], d_state[1]);
  compare_reals (d_in[0], d_in[1], n_in, 2e-5);
  compare_reals (d_state[0], d_state[1], n_state, 2e-5);
  compare_reals (d_weights[0], d_weights[1], n_weights, 2e-5 * lanes);
  for (guint i = 0; i < 2; i++) {
    seq_free (d_in[i]);
    seq_free (d_weights[i]);
    seq_free (d_state[i]);
  }
  seq_free (d_after);
}

static void
check_together_if (Bed *bed)
{
  if (!bed->layer->quantised)
    check_together (bed);
}

/* Gradients of lanes side by side are those of lanes one by one, but for the
 * rounding of sums. */
static void
test_together (gconstpointer kind)
{
  const SeqLayerClass *klass = seq_layer_class (kind);

  if (!(klass->kind.flags & SEQ_KIND_TRAINS)
      || klass->kind.flags & SEQ_KIND_LEARNS) {
    g_test_skip ("learns in its state, not by gradient");
    return;
  }
  for (guint i = 0; i < G_N_ELEMENTS (lane_counts); i++)
    for_all_configs (kind, lane_counts[i], check_together_if);
}

#endif

/* --- cells against the textbook ---------------------------------------------
 */

/* Float against double: what rounding leaves after a thousand frames. */
#ifdef SEQ_DOUBLE
#define BOUND 1e-13
#else
#define BOUND 2e-6
#endif

typedef struct {
  const char *name, *kind, *config;
  guint n_in, hidden_size, gates;
  double bound; /* 0: BOUND */
} CellCase;

static const CellCase cells[] = {
  { "rnn-tanh", "rnn", "{'hidden_size': <20>}", 1, 20, 1 },
  { "rnn-relu", "rnn", "{'hidden_size': <9>, 'nonlinearity': <'relu'>}", 3, 9,
      1 },
  { "lstm-1", "lstm", "{'hidden_size': <1>}", 1, 1, 4 },
  { "lstm-20", "lstm", "{'hidden_size': <20>}", 1, 20, 4 },
  { "lstm-64", "lstm", "{'hidden_size': <64>}", 2, 64, 4 },
  { "gru-after", "gru", "{'hidden_size': <20>}", 2, 20, 3 },
  { "gru-before", "gru", "{'hidden_size': <33>, 'reset_after': <0>}", 1, 33,
      3 },
  { "mingru-linear", "mingru", "{'hidden_size': <20>}", 2, 20, 2 },
  { "mingru-positive", "mingru",
      "{'hidden_size': <33>, 'candidate': <'positive'>}", 3, 33, 2 },
  { "mingru-tanh", "mingru", "{'hidden_size': <5>, 'candidate': <'tanh'>}", 1,
      5, 2 },
  { "rnn-int16", "rnn", "{'hidden_size': <64>, 'precision': <'int16'>}", 1, 64,
      1, 4e-4 },
  { "lstm-int16", "lstm", "{'hidden_size': <64>, 'precision': <'int16'>}", 1,
      64, 4, 1e-4 },
  { "gru-int16", "gru", "{'hidden_size': <64>, 'precision': <'int16'>}", 1, 64,
      3, 1e-4 },
  { "rnn-int8", "rnn", "{'hidden_size': <70>, 'precision': <'int8'>}", 1, 70, 1,
      5e-3 },
  { "lstm-int8", "lstm", "{'hidden_size': <37>, 'precision': <'int8'>}", 1, 37,
      4, 1e-3 },
  { "gru-int8", "gru", "{'hidden_size': <37>, 'precision': <'int8'>}", 1, 37, 3,
      1e-3 },
};

/* Weights uniform in +-1/sqrt (H), as PyTorch starts them. */
static double *
random_values (GRand *rand, gsize n, double bound)
{
  double *values = g_new (double, n);

  for (gsize i = 0; i < n; i++)
    values[i] = (float) g_rand_double_range (rand, -bound, bound);
  return values;
}

static void
bind (const SeqLayer *layer, const char *name, guint first_gate,
    const double *values, real *weights)
{
  for (guint i = 0; i < layer->n_tensors; i++) {
    const SeqTensor *t = &layer->tensors[i];

    if (!g_str_equal (t->name, name))
      continue;
    for (guint gate = 0; gate < t->gates; gate++)
      for (guint row = 0; row < t->rows; row++)
        for (guint col = 0; col < t->cols; col++)
          weights[seq_tensor_index (t, gate, row, col)] = (real)
              values[((gsize) (first_gate + gate) * t->rows + row) * t->cols
                     + col];
  }
}

static void
test_cell (gconstpointer data)
{
  const CellCase *c = data;
  guint n = c->hidden_size, frames = 1000;
  double bound = 1 / sqrt (n), worst = 0;
  g_autoptr (GRand) rand = g_rand_new_with_seed (n);
  g_autofree double *w_ih = random_values (rand, c->gates * n * c->n_in, bound);
  g_autofree double *w_hh = random_values (rand, c->gates * n * n, bound);
  g_autofree double *b = random_values (rand, c->gates * n, bound);
  g_autofree double *b_hn = random_values (rand, n, bound);
  g_autofree double *b_hh = g_new0 (double, c->gates *n);
  g_autofree double *h = g_new0 (double, n), *cell_state = g_new0 (double, n);
  RefCell cell = { c->n_in, n, w_ih, w_hh, b, b_hh };
  g_autoptr (SeqLayer) layer =
      seq_layer_new (c->kind, g_variant_new_parsed (c->config), c->n_in, NULL);
  real *weights = seq_alloc (layer->n_weights);
  real *state = seq_alloc (layer->n_state), *in = seq_alloc (SEQ_PAD (c->n_in));
  real *out = seq_alloc (SEQ_PAD (n)), *tape = seq_alloc (layer->n_tape);

  bind (layer, "weight_ih", 0, w_ih, weights);
  bind (layer, "weight_hh", 0, w_hh, weights);
  bind (layer, "bias", 0, b, weights);
  bind (layer, "bias_hn", 0, b_hn, weights);
  if (layer->klass->pack)
    layer->klass->pack (layer, weights);
  if (g_str_equal (c->kind, "gru"))
    memcpy (b_hh + 2 * n, b_hn, n * sizeof (double));
  for (guint t = 0; t < frames; t++) {
    double x[3];
    SeqBlock block = { .n_frames = 1,
      .n_lanes = 1,
      .weights = weights,
      .state = state,
      .state_stride = layer->n_state,
      .in = in,
      .in_stride = SEQ_PAD (c->n_in),
      .out = out,
      .out_stride = SEQ_PAD (n),
      .tape = tape };

    for (guint k = 0; k < c->n_in; k++)
      in[k] = (real) (x[k] = (float) g_rand_double_range (rand, -2, 2));
    layer->klass->run (layer, &block);
    if (g_str_equal (c->kind, "lstm"))
      ref_lstm (&cell, x, h, cell_state);
    else if (g_str_equal (c->kind, "gru"))
      ref_gru (&cell, strcmp (c->name, "gru-before") != 0, x, h);
    else if (g_str_equal (c->kind, "mingru"))
      ref_mingru (&cell, c->name + strlen ("mingru-"), x, h);
    else
      ref_rnn (&cell, g_str_equal (c->name, "rnn-relu"), x, h);
    for (guint u = 0; u < n; u++)
      worst = MAX (worst, fabs (out[u] - h[u]));
  }
  g_test_message ("%s: largest error %.1e", c->name, worst);
  g_assert_cmpfloat (worst, <=, c->bound > 0 ? c->bound : BOUND);
  for (guint i = 0; i < 5; i++)
    seq_free (((real *[]){ weights, state, in, out, tape })[i]);
}

typedef struct {
  guint n_in, n_out, kernel_size, dilation, groups; /* kernel 0: dense */
} SumCase;

/* Kernels shorter and longer than a block and than the taps that are looked up
 * at a time; outputs that do and don't fill strips; rows that do and don't fill
 * the tile that shares weights. */
static const SumCase sums[] = { { 5, 3, 0, 1, 1 }, { 20, 33, 0, 1, 1 },
  { 1, 8, 3, 1, 1 }, { 8, 17, 3, 2, 1 }, { 3, 20, 70, 1, 1 },
  { 16, 16, 3, 30, 1 }, { 20, 20, 5, 3, 20 }, { 12, 8, 3, 2, 4 } };

/* conv1d and dense are the sums of their definitions. */
static void
test_sums (gconstpointer data)
{
  const SumCase *c = data;
  guint taps = MAX (c->kernel_size, 1), n_in = c->n_in / c->groups;
  const guint lengths[] = { 1, 5, 8, 40, 3, 23 };
  enum { LANES = 3, LENGTH = 80 };
  gsize in_stride = SEQ_PAD (c->n_in), out_stride = SEQ_PAD (c->n_out);
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);
  g_autoptr (SeqLayer) layer = seq_layer_new (
      c->kernel_size ? "conv1d" : "dense",
      c->kernel_size
          ? g_variant_new_parsed ("{'out_channels': <%u>, 'kernel_size': <%u>,"
                                  " 'dilation': <%u>, 'groups': <%u>}",
              c->n_out, taps, c->dilation, c->groups)
          : g_variant_new_parsed ("{'out_features': <%u>}", c->n_out),
      c->n_in, NULL);
  const SeqTensor *weight = &layer->tensors[0], *bias = &layer->tensors[1];
  real *weights = seq_alloc (layer->n_weights);
  real *state = seq_alloc (LANES * MAX (layer->n_state, 1));
  real *in = seq_alloc (LENGTH * LANES * in_stride);
  real *out = seq_alloc (LENGTH * LANES * out_stride);
  double worst = 0;

  for (guint o = 0; o < c->n_out; o++) {
    weights[seq_tensor_index (bias, 0, o, 0)] =
        (real) g_rand_double_range (rand, -1, 1);
    for (guint k = 0; k < weight->cols; k++)
      weights[seq_tensor_index (weight, 0, o, k)] =
          (real) (g_rand_double_range (rand, -1, 1) / sqrt (weight->cols));
  }
  for (guint row = 0; row < LENGTH * LANES; row++)
    for (guint k = 0; k < c->n_in; k++)
      in[row * in_stride + k] = (real) g_rand_double_range (rand, -1, 1);
  for (guint i = 0, t = 0; t < LENGTH; t += lengths[i++])
    layer->klass->run (layer, &(SeqBlock){ .n_frames = lengths[i],
                                  .n_lanes = LANES,
                                  .weights = weights,
                                  .state = state,
                                  .state_stride = layer->n_state,
                                  .in = in + t * LANES * in_stride,
                                  .in_stride = in_stride,
                                  .out = out + t * LANES * out_stride,
                                  .out_stride = out_stride });

  for (guint t = 0; t < LENGTH; t++)
    for (guint lane = 0; lane < LANES; lane++)
      for (guint o = 0; o < c->n_out; o++) {
        guint first = o / (c->n_out / c->groups) * n_in;
        double y = weights[seq_tensor_index (bias, 0, o, 0)];

        for (guint k = 0; k < taps; k++) {
          gint from = (gint) t - (gint) ((taps - 1 - k) * c->dilation);
          const real *x = in + ((gsize) from * LANES + lane) * in_stride;

          for (guint j = 0; from >= 0 && j < n_in; j++)
            y += (double) weights[seq_tensor_index (weight, 0, o, k * n_in + j)]
                 * x[first + j];
        }
        worst =
            MAX (worst, fabs (out[(t * LANES + lane) * out_stride + o] - y));
      }
  g_test_message ("largest error %.1e", worst);
  g_assert_cmpfloat (worst, <=, BOUND);
  for (guint i = 0; i < 4; i++)
    seq_free (((real *[]){ weights, state, in, out })[i]);
}

/* Weights and a state that lose nothing by quantisation, and reach the ends of
 * their ranges: then sums are exact, whatever instructions form them, and what
 * comes out is tanh of a number that is known. */
static void
test_exact (gconstpointer precision)
{
  const guint n = 37;
  gboolean wide = g_str_equal (precision, "int16");
  gint most = wide ? 32767 : 127, rest = wide ? 6000 : 127;
  double unit = 1 / 1024.;
  g_autoptr (GRand) rand = g_rand_new_with_seed (most);
  g_autoptr (SeqLayer) layer = seq_layer_new ("rnn",
      g_variant_new_parsed ("{'hidden_size': <%u>, 'precision': <%s>}", n,
          (const char *) precision),
      1, NULL);
  const SeqTensor *hh = &layer->tensors[1];
  real *weights = seq_alloc (layer->n_weights);
  real *state = seq_alloc (layer->n_state), *in = seq_alloc (SEQ_TILE);
  real *out = seq_alloc (SEQ_PAD (n));
  double want[37] = { 0 };
  SeqBlock block = { .n_frames = 1,
    .n_lanes = 1,
    .weights = weights,
    .state = state,
    .state_stride = layer->n_state,
    .in = in,
    .in_stride = SEQ_TILE,
    .out = out,
    .out_stride = SEQ_PAD (n) };

  for (guint k = 0; k < n; k++)
    state[k] = k % 3 ? (real) (g_rand_int_range (rand, -8192, 8193) / 8192.)
                     : (real) (k % 2 ? 1 : -1);
  for (guint row = 0; row < n; row++)
    for (guint k = 0; k < n; k++) {
      gint w = k == row     ? most /* the row's scale is the unit */
               : k % 4 == 0 ? -rest
                            : g_rand_int_range (rand, -rest, rest + 1);

      weights[seq_tensor_index (hh, 0, row, k)] = (real) (w * unit);
      want[row] += w * unit * (double) state[k];
    }
  layer->klass->pack (layer, weights);
  /* small enough that tanh tells neighbours apart */
  for (guint row = 0; row < n; row++)
    weights[seq_tensor_index (&layer->tensors[2], 0, row, 0)] =
        (real) -rint (want[row]);
  layer->klass->run (layer, &block);
  for (guint row = 0; row < n; row++)
    g_assert_cmpfloat_with_epsilon (
        out[row], tanh (want[row] - rint (want[row])), wide ? 5e-5 : 3e-6);
  for (guint i = 0; i < 4; i++)
    seq_free (((real *[]){ weights, state, in, out })[i]);
}

int
main (int argc, char **argv)
{
  static const struct {
    const char *name;
    GTestDataFunc func;
  } tests[] = {
    { "split", test_split },
    { "alone", test_alone },
#ifndef SEQ_DOUBLE
    { "alone-large", test_alone_large },
#endif
    { "no-tape", test_no_tape },
    { "refuses", test_refuses },
#ifdef SEQ_DOUBLE
    { "gradient", test_gradient },
#else
    { "together", test_together },
#endif
  };
  const char *const *kinds = seq_layer_kinds ();

  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (tests); i++)
    for (guint k = 0; kinds[k]; k++) {
      g_autofree char *path =
          g_strdup_printf ("/layers/%s/%s", tests[i].name, kinds[k]);

      g_test_add_data_func (path, kinds[k], tests[i].func);
    }
  for (guint i = 0; i < G_N_ELEMENTS (cells); i++) {
    g_autofree char *path = g_strdup_printf ("/layers/cell/%s", cells[i].name);

    g_test_add_data_func (path, &cells[i], test_cell);
  }
  for (guint i = 0; i < G_N_ELEMENTS (sums); i++) {
    const SumCase *c = &sums[i];
    g_autofree char *path = g_strdup_printf ("/layers/sum/%u-%u-%u-%u-%u",
        c->n_in, c->n_out, c->kernel_size, c->dilation, c->groups);

    g_test_add_data_func (path, c, test_sums);
  }
  g_test_add_data_func ("/layers/exact/int16", "int16", test_exact);
  g_test_add_data_func ("/layers/exact/int8", "int8", test_exact);
  return g_test_run ();
}
