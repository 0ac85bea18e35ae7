/* bits.c: prints digests of what is computed, to compare compilers.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * usage: bits
 *
 * A line for each kind of layer in several shapes (outputs, states and
 * gradients, a few lanes, a few cuts), and for each model that users choose
 * with each of its learners (forecasts, residuals and scores of a stream). The
 * same sources on the same instruction set must print the same, whichever
 * compiler made them, and at any optimisation. Signals are made by additions
 * and products only, so that no library of functions has a part in them.
 * bits.sh runs it for each instruction set.
 */
#include "src/cpu.h"
#include "src/layer.h"
#include "src/live/stream.h"
#include "src/model.h"

#include <string.h>

#define FRAMES 160
#define STREAM_FRAMES 1500

/* Options, of which each kind takes those that it reads. */
static const char *const configs[] = {
  "{'hidden_size': <20>, 'history': <100>}",
  ("{'hidden_size': <9>, 'out_features': <3>, 'order': <3>, 'states': <5>, "
   "'history': <64>}"),
  ("{'hidden_size': <8>, 'out_features': <17>, 'nonlinearity': <'relu'>,"
   " 'reset_after': <0>, 'quantizer': <'mu-law'>, 'forgetting': <0.99>,"
   " 'activation': <'softmax'>, 'out_channels': <4>, 'kernel_size': <3>,"
   " 'dilation': <2>, 'shared': <1>, 'candidate': <'positive'>}"),
  ("{'hidden_size': <33>, 'proj_size': <5>, 'bias': <0>, 'chrono': <50>,"
   " 'horizon': <3>, 'history': <64>, 'activation': <'elu'>,"
   " 'out_channels': <33>, 'kernel_size': <2>, 'candidate': <'tanh'>}"),
  "{'hidden_size': <24>, 'precision': <'int8'>, 'activation': <'sigmoid'>}",
  "{'hidden_size': <24>, 'precision': <'int16'>, 'activation': <'tanh'>}",
};
static const guint lane_counts[] = { 1, 3, 17 };
static const guint cuts[] = { 64, 1, 7, 65, 2, 21 }; /* their sum is FRAMES */

static const struct {
  const char *name;
  SeqLearn learn;
} learners[] = { { "off", SEQ_LEARN_OFF }, { "gradient", SEQ_LEARN_GRADIENT },
  { "readout", SEQ_LEARN_READOUT }, { "both", SEQ_LEARN_BOTH } };

static void
print_digest (const char *name, GChecksum *digest)
{
  g_print ("%s %s %.16s\n", seq_isa_name (seq_cpu_isa ()), name,
      g_checksum_get_string (digest));
}

static void
add (GChecksum *digest, const real *x, gsize n)
{
  g_checksum_update (digest, (const guchar *) x, (gssize) (n * sizeof *x));
}

/* Noise on steps. */
static double
next_sample (GRand *rand, guint t)
{
  return (t / 30 % 3 * 0.4 - 0.4) + 0.1 * g_rand_double_range (rand, -1, 1);
}

/* --- layers --------------------------------------------------------------- */

static GVariant *
config_for (const SeqKind *kind, const char *text)
{
  g_autoptr (GVariant) all = g_variant_new_parsed (text);
  GVariantBuilder builder = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("a{sv}"));
  GVariantIter iter;
  const char *key;
  GVariant *value;

  g_variant_iter_init (&iter, all);
  while (g_variant_iter_loop (&iter, "{&sv}", &key, &value))
    if (seq_kind_has_option (kind, key))
      g_variant_builder_add (&builder, "{sv}", key, value);
  return g_variant_builder_end (&builder);
}

/* Gradients of the sum of outputs, after the last n frames. */
static void
add_gradients (GChecksum *digest, const SeqLayer *layer, const SeqBlock *block)
{
  gsize rows = (gsize) block->n_frames * block->n_lanes;
  gsize in_stride = SEQ_PAD (layer->n_in);
  gsize n_state = block->n_lanes * layer->n_state;
  real *d_out = seq_alloc (rows * block->out_stride);
  real *d_in = seq_alloc (rows * in_stride);
  real *d_weights = seq_alloc (layer->n_weights);
  real *d_state = seq_alloc (n_state);
  real *scratch = seq_alloc (layer->klass->n_scratch ? layer->klass->n_scratch (
                                 layer, block->n_frames, block->n_lanes)
                                                     : 0);
  SeqGrad grad = { .d_out = d_out,
    .d_in = d_in,
    .d_in_stride = in_stride,
    .d_weights = d_weights,
    .d_state = d_state,
    .learnt = block->state,
    .scratch = scratch };

  for (gsize r = 0; r < rows; r++)
    for (guint k = 0; k < layer->n_out; k++)
      d_out[r * block->out_stride + k] = 1;
  layer->klass->grad (layer, block, &grad);
  add (digest, d_in, rows * in_stride);
  add (digest, d_weights, layer->n_weights);
  add (digest, d_state, n_state);
  seq_free (d_out);
  seq_free (d_in);
  seq_free (d_weights);
  seq_free (d_state);
  seq_free (scratch);
}

static void
add_layer (GChecksum *digest, const SeqLayer *layer, guint n_lanes)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (5);
  gsize rows = (gsize) FRAMES * n_lanes, in_stride = SEQ_PAD (layer->n_in);
  gsize out_stride = SEQ_PAD (layer->n_out), n_state = layer->n_state;
  gboolean learns = layer->klass->kind.flags & SEQ_KIND_LEARNS;
  real *weights = seq_alloc (layer->n_weights);
  real *state = seq_alloc (n_lanes * n_state);
  real *before = seq_alloc (n_lanes * n_state);
  real *in = seq_alloc (rows * in_stride);
  real *out = seq_alloc (rows * out_stride);
  real *tape = seq_alloc (rows * layer->n_tape);

  if (layer->klass->seed)
    layer->klass->seed (layer, rand, weights);
  if (layer->klass->pack)
    layer->klass->pack (layer, weights);
  for (guint l = 0; l < n_lanes && layer->klass->start; l++)
    layer->klass->start (layer, weights, state + l * n_state);
  for (gsize r = 0; r < rows; r++)
    for (guint k = 0; k < layer->n_in; k++)
      in[r * in_stride + k] = (real) next_sample (rand, (guint) r + k);
  for (guint t = 0, i = 0; t < FRAMES; t += cuts[i++]) {
    gsize row = (gsize) t * n_lanes;
    SeqBlock block = { .n_frames = cuts[i],
      .n_lanes = n_lanes,
      .weights = weights,
      .state = state,
      .state_stride = n_state,
      .in = in + row * in_stride,
      .in_stride = in_stride,
      .out = out + row * out_stride,
      .out_stride = out_stride,
      .tape = tape + row * layer->n_tape,
      .tape_stride = layer->n_tape,
      .target = learns ? in + row * in_stride : NULL,
      .target_stride = in_stride };

    memcpy (before, state, n_lanes * n_state * sizeof (real));
    layer->klass->run (layer, &block);
    block.state = before;
    if (layer->klass->grad && !layer->quantised && !learns)
      add_gradients (digest, layer, &block);
  }
  for (gsize r = 0; r < rows; r++)
    add (digest, out + r * out_stride, layer->n_out);
  if (!learns) /* what is learnt may be counts and places, and shows in out */
    add (digest, state, n_lanes * n_state);
  seq_free (weights);
  seq_free (state);
  seq_free (before);
  seq_free (in);
  seq_free (out);
  seq_free (tape);
}

/* Whether it can be run, and shows something that a smaller one does not. */
static gboolean
is_tried (const SeqLayer *layer)
{
  return layer && layer->n_state <= 1 << 14
         && (!(layer->klass->kind.flags & SEQ_KIND_LEARNS)
             || layer->n_out <= SEQ_PAD (layer->n_in)); /* has a target */
}

static void
print_layers (const char *kind)
{
  for (guint c = 0; c < G_N_ELEMENTS (configs); c++) {
    g_autoptr (GChecksum) digest = g_checksum_new (G_CHECKSUM_SHA256);
    g_autofree char *name = g_strdup_printf ("layer/%s/%u", kind, c);
    guint n_tried = 0;

    for (guint n_in = 1; n_in <= 3; n_in++) {
      g_autoptr (SeqLayer) layer = seq_layer_new (
          kind, config_for (seq_kind_find (kind), configs[c]), n_in, NULL);

      for (guint i = 0; is_tried (layer) && i < G_N_ELEMENTS (lane_counts); i++)
        add_layer (digest, layer, lane_counts[i]);
      n_tried += is_tried (layer);
    }
    if (n_tried > 0)
      print_digest (name, digest);
  }
}

/* --- streams -------------------------------------------------------------- */

static SeqStream *
make_stream (
    const SeqKind *kind, SeqLearn learn, const char *options, guint n_channels)
{
  SeqStreamConfig config = { .learn = learn,
    .learning_rate = 3e-3,
    .window = 48,
    .horizon = 1,
    .channel_mode = SEQ_CHANNELS_INDEPENDENT };
  g_autoptr (GError) error = NULL;
  g_autoptr (SeqModel) model =
      seq_model_new_untrained (kind->name, g_variant_new_parsed (options), 1, 1,
          learn >= SEQ_LEARN_READOUT, TRUE, 7, &error);
  SeqStream *stream =
      model ? seq_stream_new (model, n_channels, &config, &error) : NULL;

  if (!stream)
    g_error ("%s: %s", kind->name, error->message);
  return stream;
}

enum { CHANNELS = 3, OUTPUTS = 3 };

/* Frames [from, from + n) of x; y: prediction, residual and score. */
static void
run (SeqStream *stream, float *x, float *y, guint from, guint n)
{
  gpointer in_channel[CHANNELS], out_channel[OUTPUTS][CHANNELS];
  SeqSignal in = { SEQ_FORMAT_F32, in_channel, CHANNELS }, out[OUTPUTS];
  const SeqSignal *outputs[SEQ_N_OUTPUTS] = { [SEQ_OUTPUT_PREDICTION] = &out[0],
    [SEQ_OUTPUT_RESIDUAL] = &out[1],
    [SEQ_OUTPUT_SCORE] = &out[2] };

  for (guint i = 0; i < OUTPUTS; i++) {
    out[i] = (SeqSignal){ SEQ_FORMAT_F32, out_channel[i], CHANNELS };
    for (guint c = 0; c < CHANNELS; c++)
      out_channel[i][c] = y + (i * STREAM_FRAMES + from) * CHANNELS + c;
  }
  for (guint c = 0; c < CHANNELS; c++)
    in_channel[c] = x + from * CHANNELS + c;
  seq_stream_process (stream, &in, outputs, n, 1, 1, 0);
}

static void
print_stream (const SeqKind *kind, guint learner, const char *precision)
{
  g_autoptr (GChecksum) digest = g_checksum_new (G_CHECKSUM_SHA256);
  g_autoptr (GRand) rand = g_rand_new_with_seed (3);
  g_autofree char *name = g_strdup_printf (
      "stream/%s/%s/%s", kind->name, learners[learner].name, precision);
  g_autofree char *options = g_strdup_printf (
      "{'hidden_size': <20>, 'history': <700>, 'precision': <'%s'>}",
      precision);
  gsize n = STREAM_FRAMES * CHANNELS;
  g_autofree float *x = g_new (float, n), *y = g_new0 (float, OUTPUTS *n);

  for (guint i = 0; i < n; i++)
    x[i] = (float) next_sample (rand, i / CHANNELS + i % CHANNELS);
  for (guint k = 0; k < 2; k++) { /* whole, and cut */
    g_autoptr (SeqStream) stream =
        make_stream (kind, learners[learner].learn, options, CHANNELS);
    guint t = 0;

    for (guint i = 0; k == 1 && t < STREAM_FRAMES / 2; i++) {
      run (stream, x, y, t, cuts[i % G_N_ELEMENTS (cuts)]);
      t += cuts[i % G_N_ELEMENTS (cuts)];
    }
    run (stream, x, y, t, STREAM_FRAMES - t);
    g_checksum_update (
        digest, (guchar *) y, (gssize) (OUTPUTS * n * sizeof *y));
  }
  print_digest (name, digest);
}

static void
print_streams (const SeqKind *kind)
{
  for (guint i = 0; i < G_N_ELEMENTS (learners); i++)
    if (learners[i].learn <= SEQ_LEARN_GRADIENT
        || kind->flags & SEQ_KIND_TRAINS)
      print_stream (kind, i, "float");
  if (seq_kind_has_option (kind, "precision")) {
    print_stream (kind, 2, "int16");
    print_stream (kind, 2, "int8");
  }
}

int
main (void)
{
  for (const char *const *kind = seq_layer_kinds (); *kind; kind++)
    print_layers (*kind);
  for (const SeqKind *const *kind = seq_kind_choices (); *kind; kind++)
    print_streams (*kind);
  return 0;
}
