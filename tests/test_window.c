/* test_window.c: nets that are trained on a sequence to one, on a stream: each
 * output is that of a run from the start over the last frames.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/builder.h"
#include "src/io/load.h"
#include "src/live/snapshot.h"
#include "src/live/stream.h"

#include <math.h>
#include <string.h>

#define N 200 /* frames */

static SeqModel *
make (guint n_in, guint n_out, guint window)
{
  g_autoptr (SeqBuilder) builder = seq_builder_new (n_in);
  g_autoptr (GError) error = NULL;
  SeqModel *model;

  seq_builder_add (
      builder, "gru", g_variant_new_parsed ("{'hidden_size': <7>}"), &error);
  seq_builder_add (builder, "dense",
      g_variant_new_parsed ("{'out_features': <%u>}", n_out), &error);
  seq_builder_seed (builder, 3);
  seq_builder_set_window (builder, window);
  model = seq_builder_finish (builder, &error);
  g_assert_no_error (error);
  return model;
}

static void
make_signal (float *x, guint n_channels)
{
  for (guint t = 0; t < N; t++)
    for (guint c = 0; c < n_channels; c++)
      x[t * n_channels + c] =
          (float) (0.5 * sin (0.11 * t + c) + 0.3 * sin (1.3 * t * (c + 1)));
}

/* The output at frame t of one lane, whose channels are n_in from `first` on: a
 * run over at most `window` frames. */
static void
reference (const SeqModel *model, guint window, const float *x,
    guint n_channels, guint first, guint t, real *y)
{
  const SeqChain *chain = model->chain;
  g_autoptr (SeqWork) work = seq_work_new (chain, 1, 1, FALSE);
  real *state = seq_alloc (chain->n_state);
  SeqPass pass = { .n_frames = 1, .weights = model->weights, .state = state };

  seq_chain_start (chain, model->weights, state);
  for (guint k = t + 1 < window ? 0 : t + 1 - window; k <= t; k++) {
    for (guint i = 0; i < model->n_in; i++)
      work->in[i] = x[k * n_channels + first + i];
    seq_chain_run (chain, work, &pass);
  }
  memcpy (y, work->out, model->n_out * sizeof (real));
  seq_free (state);
}

/* Frames [from, from + n) through a stream. */
static void
process (SeqStream *stream, float *x, float *y, guint from, guint n)
{
  guint n_in = seq_stream_n_channels (stream);
  guint n_out = seq_stream_n_outputs (stream);
  gpointer in[8], out[8];
  SeqSignal input = { SEQ_FORMAT_F32, in, n_in };
  SeqSignal output = { SEQ_FORMAT_F32, out, n_out };

  for (guint c = 0; c < n_in; c++)
    in[c] = x + from * n_in + c;
  for (guint o = 0; o < n_out; o++)
    out[o] = y + from * n_out + o;
  seq_stream_process (stream, &input,
      (const SeqSignal *[SEQ_N_OUTPUTS]){ [SEQ_OUTPUT_PREDICTION] = &output },
      n, 1, 1, 0);
}

static SeqStream *
stream_new (SeqModel *model, guint n_channels)
{
  const SeqStreamConfig config = { .learning_rate = 1e-3, .window = 1 };
  g_autoptr (GError) error = NULL;
  SeqStream *stream = seq_stream_new (model, n_channels, &config, &error);

  g_assert_no_error (error);
  return stream;
}

/* Windows of any length, on one lane and several, in any buffers. */
static void
test_exact (void)
{
  static const guint windows[] = { 1, 2, 7, 30, 64, 100 };
  static const guint cuts[] = { N, 1, 13, 64 };

  for (guint w = 0; w < G_N_ELEMENTS (windows); w++)
    for (guint lanes = 1; lanes <= 3; lanes += 2) {
      g_autoptr (SeqModel) model = make (2, 1, windows[w]);
      float x[6 * N], first[3 * N];

      make_signal (x, 2 * lanes);
      for (guint c = 0; c < G_N_ELEMENTS (cuts); c++) {
        g_autoptr (SeqStream) stream = stream_new (model, 2 * lanes);
        float y[3 * N];

        for (guint t = 0; t < N; t += cuts[c])
          process (stream, x, y, t, MIN (cuts[c], N - t));
        if (c == 0)
          memcpy (first, y, sizeof y);
        g_assert_cmpmem (
            first, lanes * N * sizeof (float), y, lanes * N * sizeof (float));
      }
      for (guint t = 0; t < N; t += 3)
        for (guint l = 0; l < lanes; l++) {
          real y;

          reference (model, windows[w], x, 2 * lanes, 2 * l, t, &y);
          g_assert_cmpfloat_with_epsilon (
              first[t * lanes + l], (float) y, 1e-6);
        }
    }
}

/* After a rewind it begins again, and a state goes on to the bit. */
static void
test_state (void)
{
  g_autoptr (SeqModel) model = make (1, 1, 12);
  g_autoptr (SeqStream) stream = stream_new (model, 1);
  g_autoptr (SeqStream) other = NULL;
  g_autoptr (GBytes) bytes = NULL;
  g_autoptr (GError) error = NULL;
  gsize size = seq_stream_state_size (stream);
  g_autofree gpointer state = g_malloc (size);
  float x[N], y[N], again[N];

  make_signal (x, 1);
  process (stream, x, y, 0, N);
  seq_stream_rewind (stream);
  process (stream, x, again, 0, 50);
  g_assert_cmpmem (y, 50 * sizeof (float), again, 50 * sizeof (float));
  seq_stream_get_state (stream, state);
  bytes = seq_snapshot_save (model, seq_stream_config (stream), 1, state, size);
  other = seq_snapshot_load (bytes, 0, &error);
  g_assert_no_error (error);
  process (other, x, again, 50, N - 50);
  g_assert_cmpmem (y, sizeof y, again, sizeof again);
}

/* Formats keep it, and a stream that would learn refuses it. */
static void
test_facts (void)
{
  const SeqStreamConfig learns = { .learn = SEQ_LEARN_GRADIENT,
    .learning_rate = 1e-3,
    .window = 8,
    .horizon = 1 };
  g_autoptr (SeqModel) model = make (1, 1, 12);
  const char *const *formats = seq_model_written_formats ();
  g_autoptr (GError) error = NULL;

  for (guint i = 0; formats[i]; i++) {
    g_autoptr (GBytes) bytes = seq_model_write (model, formats[i], &error);
    g_autoptr (SeqModel) back = NULL, other = NULL;

    g_assert_no_error (error);
    back = seq_model_load_bytes (bytes, formats[i], NULL, NULL, &error);
    g_assert_no_error (error);
    g_assert_cmpuint (back->window, ==, 12);
    other = seq_model_load_bytes (bytes, formats[i], NULL,
        g_variant_new_parsed ("{'window': <0>}"), &error);
    g_assert_no_error (error);
    g_assert_cmpuint (other->window, ==, 0);
  }
  g_assert_null (seq_stream_new (model, 1, &learns, &error));
  g_assert_nonnull (strstr (error->message, "window of 12 frames"));
}

/* Graphs that end in the last step, by Gather and by Y_h: both readings against
 * runs of their LSTM and head. */
static void
test_graphs (void)
{
  static const char *const names[] = { "last-step-gather.onnx",
    "final-state.onnx" };
  const char *shared = g_getenv ("SEQ_SHARED");

  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    for (guint window = 0; window <= 30; window += 30) {
      g_autofree char *path = g_build_filename (shared ? shared : "",
          "cases/faults/onnx-sequence-to-one", names[i], NULL);
      g_autoptr (GError) error = NULL;
      g_autoptr (SeqModel) model = NULL;
      g_autoptr (SeqStream) stream = NULL;
      float x[2 * N], y[N];

      if (!g_file_test (path, G_FILE_TEST_EXISTS)) {
        g_test_skip ("NOT RUN: the cases of ../shared are absent");
        return;
      }
      model = seq_model_load (
          path, g_variant_new_parsed ("{'window': <%u>}", window), &error);
      g_assert_no_error (error);
      g_assert_cmpuint (model->n_in, ==, 2);
      g_assert_nonnull (
          g_hash_table_lookup (model->metadata, "sequence to one"));
      stream = stream_new (model, 2);
      make_signal (x, 2);
      process (stream, x, y, 0, N);
      for (guint t = 0; t < N; t += 7) {
        real expected;

        reference (model, window ? window : N, x, 2, 0, t, &expected);
        g_assert_cmpfloat_with_epsilon (y[t], (float) expected, 1e-6);
      }
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/window/exact", test_exact);
  g_test_add_func ("/window/state", test_state);
  g_test_add_func ("/window/facts", test_facts);
  g_test_add_func ("/window/graphs", test_graphs);
  return g_test_run ();
}
