/* test_stream.c: the promises of a stream, for every model and learner.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/builder.h"
#include "src/live/snapshot.h"
#include "src/live/stream.h"
#include "src/model.h"
#include "tests/signals.h"

#include <math.h>
#include <string.h>

#define N 3000

typedef struct {
  const char *name, *kind;
  SeqLearn learn;
  guint horizon;
  SeqChannelMode mode;
  guint linear; /* 1: around a linear forecaster */
} Case;

static const Case cases[] = {
  { "naive", "naive", SEQ_LEARN_GRADIENT, 1, SEQ_CHANNELS_INDEPENDENT },
  { "ar", "ar", SEQ_LEARN_GRADIENT, 1, SEQ_CHANNELS_INDEPENDENT },
  { "markov", "markov", SEQ_LEARN_GRADIENT, 1, SEQ_CHANNELS_INDEPENDENT },
  { "rnn-gradient", "rnn", SEQ_LEARN_GRADIENT, 1, SEQ_CHANNELS_INDEPENDENT },
  { "lstm-gradient", "lstm", SEQ_LEARN_GRADIENT, 1, SEQ_CHANNELS_INDEPENDENT },
  { "gru-gradient", "gru", SEQ_LEARN_GRADIENT, 1, SEQ_CHANNELS_INDEPENDENT },
  { "rnn-readout", "rnn", SEQ_LEARN_READOUT, 1, SEQ_CHANNELS_INDEPENDENT },
  { "lstm-readout", "lstm", SEQ_LEARN_READOUT, 1, SEQ_CHANNELS_INDEPENDENT },
  { "gru-readout", "gru", SEQ_LEARN_READOUT, 1, SEQ_CHANNELS_INDEPENDENT },
  { "rnn-both", "rnn", SEQ_LEARN_BOTH, 1, SEQ_CHANNELS_INDEPENDENT },
  { "lstm-both", "lstm", SEQ_LEARN_BOTH, 1, SEQ_CHANNELS_INDEPENDENT },
  { "gru-both", "gru", SEQ_LEARN_BOTH, 1, SEQ_CHANNELS_INDEPENDENT },
  { "lstm-both-ahead", "lstm", SEQ_LEARN_BOTH, 5, SEQ_CHANNELS_INDEPENDENT },
  { "lstm-both-joint", "lstm", SEQ_LEARN_BOTH, 1, SEQ_CHANNELS_JOINT },
  { "lstm-off", "lstm", SEQ_LEARN_OFF, 1, SEQ_CHANNELS_INDEPENDENT },
  { "naive-ahead", "naive", SEQ_LEARN_GRADIENT, 5, SEQ_CHANNELS_INDEPENDENT },
  { "ar-ahead", "ar", SEQ_LEARN_GRADIENT, 5, SEQ_CHANNELS_INDEPENDENT },
  { "markov-ahead", "markov", SEQ_LEARN_GRADIENT, 5, SEQ_CHANNELS_INDEPENDENT },
  { "lstm-ahead", "lstm", SEQ_LEARN_GRADIENT, 5, SEQ_CHANNELS_INDEPENDENT },
  { "lstm-far-ahead", "lstm", SEQ_LEARN_GRADIENT, 100,
      SEQ_CHANNELS_INDEPENDENT },
  { "gru-readout-ahead", "gru", SEQ_LEARN_READOUT, 5,
      SEQ_CHANNELS_INDEPENDENT },
  { "naive-joint", "naive", SEQ_LEARN_GRADIENT, 1, SEQ_CHANNELS_JOINT },
  { "ar-joint", "ar", SEQ_LEARN_GRADIENT, 1, SEQ_CHANNELS_JOINT },
  { "markov-joint", "markov", SEQ_LEARN_GRADIENT, 1, SEQ_CHANNELS_JOINT },
  { "lstm-joint", "lstm", SEQ_LEARN_GRADIENT, 1, SEQ_CHANNELS_JOINT },
  { "lstm-readout-joint", "lstm", SEQ_LEARN_READOUT, 1, SEQ_CHANNELS_JOINT },
  { "lstm-linear", "lstm", SEQ_LEARN_BOTH, 1, SEQ_CHANNELS_INDEPENDENT, 1 },
  { "gru-linear", "gru", SEQ_LEARN_GRADIENT, 1, SEQ_CHANNELS_INDEPENDENT, 1 },
  { "rnn-linear", "rnn", SEQ_LEARN_READOUT, 1, SEQ_CHANNELS_INDEPENDENT, 1 },
  { "lstm-linear-joint", "lstm", SEQ_LEARN_BOTH, 1, SEQ_CHANNELS_JOINT, 1 },
};

static SeqStream *
make (const Case *c, guint n_channels)
{
  SeqStreamConfig config = { .learn = c->learn,
    .learning_rate = 3e-3,
    .window = 48,
    .horizon = c->horizon,
    .channel_mode = c->mode };
  g_autoptr (GError) error = NULL;
  GVariantDict options;
  SeqStream *stream;
  g_autoptr (SeqModel) model = NULL;

  g_variant_dict_init (&options, NULL);
  g_variant_dict_insert (&options, "hidden_size", "u", 9);
  g_variant_dict_insert (&options, "order", "u", 7);
  g_variant_dict_insert (&options, "states", "u", 20);
  g_variant_dict_insert (&options, "history", "u", 700);
  g_variant_dict_insert (&options, "horizon", "u", c->horizon);
  g_variant_dict_insert (&options, "linear", "u", c->linear);
  model = seq_model_new_untrained (c->kind, g_variant_dict_end (&options),
      c->mode == SEQ_CHANNELS_JOINT ? n_channels : 1, 1,
      c->learn >= SEQ_LEARN_READOUT, TRUE, 7, &error);
  g_assert_no_error (error);
  stream = seq_stream_new (model, n_channels, &config, &error);
  g_assert_no_error (error);
  return stream;
}

/* Two channels: a wobbling tone and noise with memory. */
static float *
signal_2 (void)
{
  float *x = g_new (float, 2 * N);
  g_autoptr (GRand) rand = g_rand_new_with_seed (3);
  double noise = 0;

  for (guint t = 0; t < N; t++) {
    noise = 0.9 * noise + g_rand_double_range (rand, -1, 1);
    x[2 * t] = (float) (0.4 * sin (0.05 * t + sin (0.003 * t)) + 0.01 * noise);
    x[2 * t + 1] = (float) (20 + noise);
  }
  return x;
}

/* Frames [from, from + n) of interleaved input; y: prediction, residual and
 * score, each [N][channels], one after another. */
static void
run (SeqStream *stream, float *x, float *y, guint channels, guint from, guint n)
{
  gpointer in_channel[2], out_channel[3][2];
  SeqSignal in = { SEQ_FORMAT_F32, in_channel, channels }, out[3];
  const SeqSignal *outputs[SEQ_N_OUTPUTS] = { NULL, &out[0], &out[1], &out[2] };

  for (guint c = 0; c < channels; c++) {
    in_channel[c] = x + from * channels + c;
    for (guint i = 0; i < 3; i++)
      out_channel[i][c] = y + (i * N + from) * channels + c;
  }
  for (guint i = 0; i < 3; i++)
    out[i] = (SeqSignal){ SEQ_FORMAT_F32, out_channel[i], channels };
  seq_stream_process (stream, &in, outputs, n, 1, 1, 0);
}

static void
assert_same (const float *a, const float *b, gsize n)
{
  for (gsize i = 0; i < n; i++)
    if (memcmp (&a[i], &b[i], sizeof (float)) != 0)
      g_error ("value %zu: %.9g where %.9g was", i, a[i], b[i]);
}

/* However the stream is cut, the same bits come out. */
static void
test_split (gconstpointer data)
{
  static const guint cuts[] = { 1, 2, 63, 64, 65, 480, 7 };
  g_autofree float *x = signal_2 ();
  g_autofree float *whole = g_new0 (float, 6 * N);
  g_autofree float *parts = g_new0 (float, 6 * N);
  g_autoptr (SeqStream) a = make (data, 2), b = make (data, 2);

  run (a, x, whole, 2, 0, N);
  for (guint t = 0, i = 0; t < N; i++) {
    guint n = MIN (cuts[i % G_N_ELEMENTS (cuts)], N - t);

    run (b, x, parts, 2, t, n);
    t += n;
  }
  assert_same (parts, whole, 6 * N);
  for (guint i = 0; i < 6 * N; i++)
    g_assert_true (isfinite (whole[i]));
}

/* An independent channel gives the bits it would give alone. */
static void
test_alone (gconstpointer data)
{
  const Case *c = data;
  g_autofree float *x = signal_2 ();
  g_autofree float *both = g_new0 (float, 6 * N);
  g_autofree float *x1 = g_new0 (float, N);
  g_autofree float *y1 = g_new0 (float, 3 * N);
  g_autoptr (SeqStream) two = make (data, 2), one = make (data, 1);

  if (c->mode == SEQ_CHANNELS_JOINT) {
    g_test_skip ("the channels are one vector");
    return;
  }
  run (two, x, both, 2, 0, N);
  for (guint t = 0; t < N; t++)
    x1[t] = x[2 * t + 1];
  run (one, x1, y1, 1, 0, N);
  for (guint i = 0; i < 3 * N; i++)
    g_assert_cmpfloat (y1[i], ==, both[2 * i + 1]);
}

/* The residual at t is x[t] less the prediction emitted at t - horizon. */
static void
test_residual (gconstpointer data)
{
  const Case *c = data;
  g_autofree float *x = signal_2 ();
  g_autofree float *y = g_new0 (float, 6 * N);
  g_autoptr (SeqStream) stream = make (data, 2);
  SeqStreamStats stats = { .channels = (SeqChannelStats[2]){ { 0 } } };
  double power = 0;

  run (stream, x, y, 2, 0, N);
  for (guint i = 0; i < 2 * N; i++) {
    guint back = 2 * c->horizon;
    double r = i < back ? 0 : (double) x[i] - y[i - back];

    g_assert_cmpfloat_with_epsilon (
        y[2 * N + i], r, 1e-6 * (fabs (x[i]) + fabs (r)));
    if (i % 2 == 1)
      power += r * r / (N - c->horizon);
  }
  seq_stream_stats (stream, FALSE, &stats);
  g_assert_cmpuint (stats.n_frames, ==, N);
  g_assert_cmpfloat_with_epsilon (
      stats.channels[1].residual_power, power, 1e-4 * power);
}

/* A stream that is given all that another has learnt and carried, in the middle
 * of a window, goes on to the bit; so does one that adopts. */
static void
test_resume (gconstpointer data)
{
  g_autofree float *x = signal_2 ();
  g_autofree float *whole = g_new0 (float, 6 * N);
  g_autofree float *parts = g_new0 (float, 6 * N);
  g_autoptr (SeqStream) a = make (data, 2), b = make (data, 2);
  g_autoptr (SeqStream) c = make (data, 2), d = NULL;
  gsize size = seq_stream_state_size (a);
  g_autofree gpointer state = g_malloc (size);
  g_autoptr (GBytes) snapshot = NULL;
  g_autoptr (GError) error = NULL;

  run (a, x, whole, 2, 0, 1003);
  memcpy (parts, whole, 6 * N * sizeof (float));
  seq_stream_get_state (a, state);
  run (a, x, whole, 2, 1003, N - 1003);

  g_assert_true (seq_stream_set_state (b, state));
  run (b, x, parts, 2, 1003, 1000);
  g_assert_true (seq_stream_adopt (c, b));
  run (c, x, parts, 2, 2003, N - 2003);
  assert_same (parts, whole, 6 * N);

  /* the same by way of bytes that hold model, config and state */
  snapshot = seq_snapshot_save (
      seq_stream_model (a), seq_stream_config (a), 2, state, size);
  d = seq_snapshot_load (snapshot, 0, &error);
  g_assert_no_error (error);
  memset (parts + 2 * 1003, 0, 2 * (N - 1003) * sizeof (float));
  run (d, x, parts, 2, 1003, N - 1003);
  assert_same (parts, whole, 2 * N);
}

/* The same bytes as version 1, which had no checksum. */
static GBytes *
without_checksum (GBytes *snapshot)
{
  gsize n;
  const char *bytes = g_bytes_get_data (snapshot, &n);
  guint8 *copy = g_memdup2 (bytes, n);
  const char *version = g_strstr_len (bytes + 8, (gssize) n - 8, "\"(2, [");

  g_assert_nonnull (version);
  copy[version - bytes + 2] = '1';
  return g_bytes_new_take (copy, n);
}

/* A truncated snapshot is an error; one with a flipped byte is an error, too,
 * or, where there is no checksum, gives a stream whose output is finite. */
static void
test_damaged (gconstpointer data)
{
  g_autofree float *x = signal_2 ();
  g_autofree float *y = g_new0 (float, 6 * N);
  g_autoptr (SeqStream) a = make (data, 2);
  gsize size = seq_stream_state_size (a), n;
  g_autofree gpointer state = g_malloc (size);
  g_autoptr (GBytes) whole = NULL, snapshot = NULL;
  const guint8 *bytes;

  run (a, x, y, 2, 0, 333);
  seq_stream_get_state (a, state);
  whole = seq_snapshot_save (
      seq_stream_model (a), seq_stream_config (a), 2, state, size);
  snapshot = without_checksum (whole);
  bytes = g_bytes_get_data (snapshot, &n);
  for (gsize i = 0; i < n; i += 1 + i / 40) {
    g_autoptr (GBytes) part = g_bytes_new_from_bytes (snapshot, 0, i);
    g_autofree guint8 *flipped = g_memdup2 (bytes, n);
    g_autoptr (GBytes) other = NULL;
    g_autoptr (GError) error = NULL;
    g_autoptr (SeqStream) cut = seq_snapshot_load (part, 0, &error), odd = NULL;

    g_assert_null (cut);
    g_assert_nonnull (error);
    flipped[i] ^= 1 << i % 8;
    other = g_bytes_new (flipped, n);
    odd = seq_snapshot_load (other, 0, NULL);
    if (odd
        && seq_stream_n_channels (odd)
               == 2) { /* then it runs, and what comes out is finite */
      memset (y, 0, 6 * N * sizeof (float));
      run (odd, x, y, 2, 0, 100);
      for (guint k = 0; k < 6 * N; k++)
        g_assert_true (isfinite (y[k]));
    }
  }
}

/* A rewind forgets what was carried and keeps what was learnt; a restart
 * forgets both. */
static void
test_rewind (gconstpointer data)
{
  const Case *c = data;
  g_autofree float *x = signal_2 ();
  g_autofree float *y = g_new0 (float, 6 * N);
  g_autofree float *fresh = g_new0 (float, 6 * N);
  g_autoptr (SeqStream) stream = make (data, 2);
  guint h = c->horizon;

  run (stream, x, fresh, 2, 0, N);
  seq_stream_rewind (stream);
  run (stream, x, y, 2, 0, N);
  /* no residual until a forecast is there, and none from before */
  for (guint i = 0; i < 2 * h; i++)
    g_assert_cmpfloat (y[2 * N + i], ==, 0);
  if (c->learn != SEQ_LEARN_OFF)
    g_assert_cmpint (memcmp (y, fresh, 2 * N * sizeof (float)), !=, 0);
  seq_stream_restart (stream);
  run (stream, x, y, 2, 0, N);
  assert_same (y, fresh, 6 * N);
}

/* NaN and infinity are counted, filled in, not learnt, not spread. */
static void
test_non_finite (gconstpointer data)
{
  g_autofree float *x = signal_2 ();
  g_autofree float *y = g_new0 (float, 6 * N);
  g_autoptr (SeqStream) stream = make (data, 2);
  SeqStreamStats stats = { .channels = (SeqChannelStats[2]){ { 0 } } };

  x[0] = NAN;
  x[2 * 100 + 1] = INFINITY;
  for (guint t = 500; t < 600; t++)
    x[2 * t] = -INFINITY;
  run (stream, x, y, 2, 0, N);
  for (guint i = 0; i < 6 * N; i++)
    g_assert_true (isfinite (y[i]));
  for (guint t = 500; t < 600; t++)
    g_assert_cmpfloat (y[2 * N + 2 * t], ==, 0);
  seq_stream_stats (stream, FALSE, &stats);
  g_assert_cmpuint (stats.n_non_finite, ==, 102);
}

/* Any input gives finite output. */
static void
test_hostile (gconstpointer data)
{
  g_autofree float *x = signal_2 ();
  g_autofree float *y = g_new0 (float, 6 * N);
  g_autoptr (SeqStream) stream = make (data, 2);
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);

  for (guint i = 0; i < 2 * N; i++)
    switch (i / 500) {
      case 1:
        x[i] = 0;
        break;
      case 3:
        x[i] = 1e30f * (float) g_rand_double_range (rand, -1, 1);
        break;
      case 5:
        x[i] = 1e-40f;
        break;
      case 7:
        x[i] = i % 2 ? 3e38f : -3e38f;
        break;
    }
  run (stream, x, y, 2, 0, N);
  for (guint i = 0; i < 6 * N; i++)
    g_assert_true (isfinite (y[i]));
}

/* An absurd learning rate ends in rolled back updates, not in NaN. */
static void
test_guard (void)
{
  g_autoptr (SeqModel) model =
      seq_model_new_untrained ("rnn", NULL, 1, 1, FALSE, TRUE, 1, NULL);
  SeqStreamConfig config = {
    .learn = SEQ_LEARN_GRADIENT, .learning_rate = 3, .window = 16, .horizon = 1
  };
  g_autoptr (SeqStream) stream = seq_stream_new (model, 2, &config, NULL);
  g_autofree float *x = signal_2 ();
  g_autofree float *y = g_new0 (float, 6 * N);
  SeqStreamStats stats = { .channels = (SeqChannelStats[2]){ { 0 } } };

  run (stream, x, y, 2, 0, N);
  for (guint i = 0; i < 6 * N; i++)
    g_assert_true (isfinite (y[i]));
  seq_stream_stats (stream, FALSE, &stats);
  g_assert_cmpuint (stats.n_rollbacks, >, 0);
}

/* Integer samples are -1..1 of full scale, rounded and saturated. */
static void
test_formats (void)
{
  static const Case c = { "ar", "ar", SEQ_LEARN_GRADIENT, 1,
    SEQ_CHANNELS_INDEPENDENT };
  g_autoptr (SeqStream) f = make (&c, 1), s16 = make (&c, 1);
  g_autoptr (SeqStream) s32 = make (&c, 1), f64 = make (&c, 1);
  gint16 x16[500], y16[500], copy[500];
  gint32 x32[500], y32[500];
  float x[500], y[500];
  double x64[500], y64[500];

  for (int t = 0; t < 500; t++) {
    x16[t] = (gint16) (12000 * sin (0.1 * t));
    x32[t] = x16[t] * 65536;
    x64[t] = x[t] = x16[t] / 32768.f;
  }
#define RUN(stream, fmt, x, y, copy)                                           \
  seq_stream_process (stream, &(SeqSignal){ fmt, (gpointer[]){ x }, 1 },       \
      (const SeqSignal *[SEQ_N_OUTPUTS]){                                      \
          copy, &(SeqSignal){ fmt, (gpointer[]){ y }, 1 }, NULL, NULL },       \
      500, 1, 1, 0)
  RUN (f, SEQ_FORMAT_F32, x, y, NULL);
  RUN (f64, SEQ_FORMAT_F64, x64, y64, NULL);
  RUN (s32, SEQ_FORMAT_S32, x32, y32, NULL);
  RUN (s16, SEQ_FORMAT_S16, x16, y16,
      &((SeqSignal){ SEQ_FORMAT_S16, (gpointer[]){ copy }, 1 }));
  g_assert_cmpmem (copy, sizeof copy, x16, sizeof x16);
  for (int t = 0; t < 500; t++) {
    g_assert_cmpfloat (y[t], ==, (float) y64[t]);
    g_assert_cmpint (
        y16[t], ==, CLAMP ((int) rint (y64[t] * 32768), -32768, 32767));
    g_assert_cmpint (y32[t], ==,
        CLAMP (rint (y64[t] * 2147483648.0), -2147483648.0, 2147483647.0));
  }
}

/* In place over the input, and with mix between dry and wet. */
static void
test_in_place_and_mix (void)
{
  static const Case c = { "ar", "ar", SEQ_LEARN_GRADIENT, 1,
    SEQ_CHANNELS_INDEPENDENT };
  g_autoptr (SeqStream) a = make (&c, 1), b = make (&c, 1);
  float x[400], wet[400], dry[400];
  SeqSignal in = { SEQ_FORMAT_F32, (gpointer[]){ x }, 1 };
  SeqSignal out = { SEQ_FORMAT_F32, (gpointer[]){ wet }, 1 };
  const SeqSignal *apart[SEQ_N_OUTPUTS] = { NULL, &out, NULL, NULL };
  const SeqSignal *in_place[SEQ_N_OUTPUTS] = { NULL, &in, NULL, NULL };

  for (int t = 0; t < 400; t++)
    dry[t] = x[t] = (float) sin (0.1 * t) + (t % 3) * 0.1f;
  seq_stream_process (a, &in, apart, 400, 1, 1, 0);
  seq_stream_process (b, &in, in_place, 400, 0, 1, 0);
  for (int t = 0; t < 400; t++)
    g_assert_cmpfloat_with_epsilon (
        x[t], t / 400.0 * wet[t] + (1 - t / 400.0) * dry[t], 1e-6);
}

/* A relu rnn that doubles its state with each frame: infinite within a block.
 */
static SeqStream *
make_exploding (SeqLearn learn)
{
  static const double hh[4] = { 2, 0, 0, 2 }, ih[2] = { 1, -1 };
  SeqStreamConfig config = {
    .learn = learn, .learning_rate = 1e-3, .window = 48, .horizon = 1
  };
  g_autoptr (SeqBuilder) builder = seq_builder_new (1);
  g_autoptr (SeqModel) model = NULL;
  g_autoptr (GError) error = NULL;
  SeqStream *stream;

  seq_builder_add (builder, "rnn",
      g_variant_new_parsed ("{'hidden_size': <2>, 'nonlinearity': <'relu'>}"),
      NULL);
  seq_builder_add (
      builder, learn >= SEQ_LEARN_READOUT ? "readout" : "dense", NULL, NULL);
  seq_builder_seed (builder, 1);
  seq_builder_set (builder, 0, "weight_ih", "ih", ih, 2, 1, NULL, &error);
  seq_builder_set (builder, 0, "weight_hh", "hh", hh, 2, 2, NULL, &error);
  g_assert_no_error (error);
  model = seq_builder_finish (builder, &error);
  g_assert_no_error (error);
  stream = seq_stream_new (model, 2, &config, &error);
  g_assert_no_error (error);
  return stream;
}

/* A state that is no longer finite restarts at that very frame, in that lane,
 * however the stream is cut; what a read-out has learnt by then stays finite.
 */
static void
test_exploding (void)
{
  static const guint cuts[] = { 1, 2, 63, 64, 65, 480, 7 };

  for (SeqLearn learn = SEQ_LEARN_OFF; learn <= SEQ_LEARN_BOTH; learn++) {
    g_autofree float *x = signal_2 ();
    g_autofree float *whole = g_new0 (float, 6 * N);
    g_autofree float *parts = g_new0 (float, 6 * N);
    g_autoptr (SeqStream) a = make_exploding (learn);
    g_autoptr (SeqStream) b = make_exploding (learn);
    guint n_zero = 0;

    run (a, x, whole, 2, 0, N);
    for (guint t = 0, i = 0; t < N; i++) {
      guint n = MIN (cuts[i % G_N_ELEMENTS (cuts)], N - t);

      run (b, x, parts, 2, t, n);
      t += n;
    }
    assert_same (parts, whole, 6 * N);
    for (guint i = 0; i < 6 * N; i++)
      g_assert_true (isfinite (whole[i]));
    for (guint i = 0; i < 2 * N; i++)
      n_zero += learn == SEQ_LEARN_OFF && whole[i] == 0;
    if (learn == SEQ_LEARN_OFF)
      g_assert_cmpuint (n_zero, >, 10);
  }
}

/* An effect of one signal and two knobs. */
static SeqStream *
make_effect (guint n_channels, SeqChannelMode mode)
{
  SeqStreamConfig config = { .channel_mode = mode };
  g_autoptr (SeqBuilder) builder = seq_builder_new (3);
  g_autoptr (GError) error = NULL;
  g_autoptr (SeqModel) model = NULL;
  SeqStream *stream;

  seq_builder_add (builder, "lstm", NULL, NULL);
  seq_builder_add (builder, "dense", NULL, NULL);
  seq_builder_seed (builder, 5);
  seq_builder_set_n_signal (builder, 1);
  model = seq_builder_finish (builder, &error);
  g_assert_no_error (error);
  stream = seq_stream_new (model, n_channels, &config, &error);
  g_assert_no_error (error);
  return stream;
}

/* Prediction of a stream of any width, n frames from `from`. */
static void
predict (SeqStream *stream, float *x, float *y, guint from, guint n)
{
  guint n_in = seq_stream_n_channels (stream);
  guint n_out = seq_stream_n_outputs (stream);
  gpointer in_at[3], out_at[3];
  SeqSignal in = { SEQ_FORMAT_F32, in_at, n_in };
  SeqSignal out = { SEQ_FORMAT_F32, out_at, n_out };

  for (guint c = 0; c < n_in; c++)
    in_at[c] = x + from * n_in + c;
  for (guint o = 0; o < n_out; o++)
    out_at[o] = y + from * n_out + o;
  seq_stream_process (stream, &in,
      (const SeqSignal *[SEQ_N_OUTPUTS]){ NULL, &out, NULL, NULL }, n, 1, 1, 0);
}

/* Knobs move in a line of that many frames from where they are, however the
 * stream is cut; at the start of a stream they are where they are set. A
 * model's inputs may all come in the stream: then the knobs' curve is a
 * channel. */
static void
test_params (void)
{
  enum { SET = 100, RAMP = 150, LONG = 500 };
  static const guint cuts[] = { 500, 1, 64, 37 };
  static const double from[2] = { 0.25, 0.5 }, to[2] = { 0.75, 0.5 };
  float x[LONG], y[LONG], first[LONG], all[3 * LONG], expected[LONG];
  g_autoptr (SeqStream) joint = make_effect (3, SEQ_CHANNELS_JOINT);
  double knob = from[0];

  g_assert_cmpuint (seq_stream_n_knobs (joint), ==, 0);
  for (guint t = 0; t < LONG; t++) {
    x[t] = (float) sin (0.1 * t);
    if (t >= SET && t < SET + RAMP)
      knob = 0.25 + 0.5 * (t - SET + 1) / RAMP;
    all[3 * t] = x[t];
    all[3 * t + 1] = (float) knob;
    all[3 * t + 2] = 0.5f;
  }
  predict (joint, all, expected, 0, LONG);

  for (guint i = 0; i < G_N_ELEMENTS (cuts); i++) {
    g_autoptr (SeqStream) stream = make_effect (1, SEQ_CHANNELS_AUTO);

    g_assert_cmpuint (seq_stream_n_knobs (stream), ==, 2);
    for (guint t = 0; t < LONG;) {
      guint n = MIN (cuts[i], (t < SET ? SET : LONG) - t);

      for (guint k = 0; k < 2; k++)
        seq_stream_set_knob (stream, k, t < SET ? from[k] : to[k], RAMP);
      predict (stream, x, y, t, n);
      t += n;
    }
    for (guint t = 0; t < LONG; t++)
      g_assert_cmpfloat_with_epsilon (y[t], expected[t], 1e-6);
    if (i == 0)
      memcpy (first, y, sizeof y);
    else
      assert_same (y, first, LONG);
  }
}

/* One stream fades into another linearly, however the stream is cut. */
static void
test_fade (void)
{
  enum { FADE = 150, LONG = 500 };
  static const guint cuts[] = { 500, 1, 64, 37 };
  static const Case from = { "ar", "ar", SEQ_LEARN_OFF, 1,
    SEQ_CHANNELS_INDEPENDENT };
  static const Case to = { "lstm", "lstm", SEQ_LEARN_OFF, 1,
    SEQ_CHANNELS_INDEPENDENT };
  float x[LONG], a[LONG], b[LONG], y[LONG], first[LONG];
  g_autoptr (SeqStream) old = make (&from, 1), new = make (&to, 1);

  for (guint t = 0; t < LONG; t++)
    x[t] = (float) sin (0.1 * t);
  x[70] = NAN;
  predict (old, x, a, 0, LONG);
  predict (new, x, b, 0, LONG);
  for (guint i = 0; i < G_N_ELEMENTS (cuts); i++) {
    seq_stream_restart (old);
    seq_stream_restart (new);
    seq_stream_fade (new, old, FADE);
    for (guint t = 0; t < LONG; t += cuts[i]) {
      g_assert_cmpint (seq_stream_fading (new), ==, t < FADE);
      predict (new, x, y, t, MIN (cuts[i], LONG - t));
    }
    for (guint t = 0; t < LONG; t++) {
      double w = MIN ((t + 1) / (FADE + 1.0), 1);

      g_assert_cmpfloat_with_epsilon (y[t], w * b[t] + (1 - w) * a[t], 1e-6);
    }
    assert_same (y + FADE, b + FADE, LONG - FADE);
    if (i == 0)
      memcpy (first, y, sizeof y);
    else
      assert_same (y, first, LONG);
  }
}

/* A model taken out after gradient descent gives the same bits in a stream that
 * no longer learns; with a read-out, the same within rounding. */
static void
test_learnt (void)
{
  static const SeqLearn learners[] = { SEQ_LEARN_GRADIENT, SEQ_LEARN_BOTH };

  for (guint i = 0; i < G_N_ELEMENTS (learners); i++) {
    const Case c = { "lstm", "lstm", learners[i], 1, SEQ_CHANNELS_INDEPENDENT };
    SeqStreamConfig config = {
      .learning_rate = 1e-3, .window = 48, .horizon = 1
    };
    g_autofree float *x = signal_2 ();
    float y[N], expected[N];
    g_autoptr (SeqStream) stream = make (&c, 1), other = NULL;
    g_autoptr (GError) error = NULL;
    g_autoptr (SeqModel) model = NULL;
    SeqSignal in = { SEQ_FORMAT_F32, (gpointer[]){ x }, 1 };
    SeqSignal out = { SEQ_FORMAT_F32, (gpointer[]){ expected }, 1 };

    predict (stream, x, y, 0, N);
    model = seq_stream_learnt_model (stream, 0, &error);
    g_assert_no_error (error);
    other = seq_stream_new (model, 1, &config, &error);
    g_assert_no_error (error);
    seq_stream_rewind (stream);
    seq_stream_process (stream, &in,
        (const SeqSignal *[SEQ_N_OUTPUTS]){ NULL, &out, NULL, NULL }, N, 1, 1,
        SEQ_PROCESS_NO_LEARNING);
    predict (other, x, y, 0, N);
    if (learners[i] == SEQ_LEARN_GRADIENT)
      assert_same (y, expected, N);
    for (guint t = 0; t < N; t++)
      g_assert_cmpfloat_with_epsilon (y[t], expected[t], 1e-4);
  }
}

/* Models and streams that do not fit are refused with both numbers. */
static void
test_refusals (void)
{
  g_autoptr (SeqModel) joint =
      seq_model_new_untrained ("ar", NULL, 6, 1, FALSE, FALSE, 0, NULL);
  g_autoptr (SeqModel) lstm =
      seq_model_new_untrained ("lstm", NULL, 1, 1, FALSE, FALSE, 0, NULL);
  g_autoptr (SeqModel) small = NULL;
  SeqStreamConfig config = { .learn = SEQ_LEARN_GRADIENT,
    .learning_rate = 1e-3,
    .window = 64,
    .horizon = 1 };
  g_autoptr (GError) error = NULL;

  g_assert_null (seq_stream_new (joint, 4, &config, &error));
  g_assert_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE);
  g_assert_nonnull (strstr (error->message, "6"));
  g_assert_nonnull (strstr (error->message, "4"));
  g_clear_error (&error);
  small = seq_model_with_precision (lstm, "int8", &error);
  g_assert_no_error (error);
  g_assert_null (seq_stream_new (small, 4, &config, &error));
  g_assert_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG);
  g_assert_nonnull (strstr (error->message, "int8"));
  g_clear_error (&error);
  config.learn = SEQ_LEARN_READOUT;
  g_assert_null (seq_stream_new (lstm, 4, &config, &error));
  g_assert_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG);
}

/* Integers are for states that have bounds. */
static void
test_refuses_precision (void)
{
  static const struct {
    const char *kind, *options, *field;
  } cases[] = {
    { "rnn", "{'nonlinearity': <'relu'>}", "relu" },
    { "lstm", "{'hidden_size': <8>, 'proj_size': <3>}", "proj_size is 3" },
    { "gru", "{'reset_after': <0>}", "reset_after" },
    { "ar", NULL, "expected one of gru, lstm, rnn" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (SeqModel) model = seq_model_new_untrained (cases[i].kind,
        cases[i].options ? g_variant_new_parsed (cases[i].options) : NULL, 1, 1,
        FALSE, FALSE, 0, &error);

    g_assert_no_error (error);
    g_assert_null (seq_model_with_precision (model, "int16", &error));
    g_assert_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG);
    g_assert_nonnull (strstr (error->message, cases[i].field));
  }
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
    { "residual", test_residual },
    { "resume", test_resume },
    { "rewind", test_rewind },
    { "non-finite", test_non_finite },
    { "hostile", test_hostile },
    { "damaged", test_damaged },
  };

  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (tests); i++)
    for (guint j = 0; j < G_N_ELEMENTS (cases); j++) {
      g_autofree char *path =
          g_strdup_printf ("/stream/%s/%s", tests[i].name, cases[j].name);

      g_test_add_data_func (path, &cases[j], tests[i].func);
    }
  g_test_add_func ("/stream/guard", test_guard);
  g_test_add_func ("/stream/formats", test_formats);
  g_test_add_func ("/stream/in-place-and-mix", test_in_place_and_mix);
  g_test_add_func ("/stream/refusals", test_refusals);
  g_test_add_func ("/stream/refusals/precision", test_refuses_precision);
  g_test_add_func ("/stream/exploding", test_exploding);
  g_test_add_func ("/stream/params", test_params);
  g_test_add_func ("/stream/fade", test_fade);
  g_test_add_func ("/stream/learnt", test_learnt);
  return g_test_run ();
}
