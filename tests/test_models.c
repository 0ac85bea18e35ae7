/* test_models.c: for each model a stream where it is the right choice, and
 * what learning in the stream must reach.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/builder.h"
#include "src/live/stream.h"
#include "tests/signals.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

/* The gain in dB of a model over the frames from `from` on, learning. With
 * state, the first lane's chain state at the end is exported into weights. */
static double
gain (const char *kind, SeqLearn learn, const char *options, const float *x,
    guint n, guint from, SeqModel **learnt)
{
  SeqStreamConfig config = {
    .learn = learn, .learning_rate = 3e-3, .window = 64, .horizon = 1
  };
  g_autoptr (GError) error = NULL;
  g_autoptr (SeqModel) model =
      seq_model_new_untrained (kind, g_variant_new_parsed (options), 1, 1,
          learn >= SEQ_LEARN_READOUT, TRUE, 0, &error);
  g_autoptr (SeqStream) stream = NULL;
  g_autofree float *r = g_new0 (float, n);
  SeqSignal in = { SEQ_FORMAT_F32, (gpointer[]){ (float *) x }, 1 };
  SeqSignal out = { SEQ_FORMAT_F32, (gpointer[]){ r }, 1 };
  const SeqSignal *outputs[SEQ_N_OUTPUTS] = { NULL, NULL, &out, NULL };
  double mean = 0, signal = 0, residual = 0;

  g_assert_no_error (error);
  stream = seq_stream_new (model, 1, &config, &error);
  g_assert_no_error (error);
  seq_stream_process (stream, &in, outputs, n, 1, 1, 0);
  for (guint t = from; t < n; t++)
    mean += x[t] / (double) (n - from);
  for (guint t = from; t < n; t++) {
    signal += (x[t] - mean) * (x[t] - mean);
    residual += (double) r[t] * r[t];
  }
  if (learnt)
    *learnt = seq_stream_learnt_model (stream, 0, NULL);
  return 10 * log10 (signal / residual);
}

static double
normal (GRand *rand)
{
  return sqrt (-2 * log (1 - g_rand_double (rand)))
         * cos (2 * G_PI * g_rand_double (rand));
}

/* A signal that jumps between four levels by a transition matrix: markov's
 * matrix is the true one within four standard deviations of its sampling, and
 * its gain beats ar's, which knows no levels. */
static void
test_markov (void)
{
  static const double true_matrix[4][4] = { { .1, .7, .1, .1 },
    { .05, .05, .1, .8 }, { .8, .1, .05, .05 }, { .1, .1, .7, .1 } };
  static const float level[4] = { -1.0f, 0.3f, 0.8f, -0.2f };
  g_autoptr (GRand) rand = g_rand_new_with_seed (4);
  guint n = 40000, state = 0, bins[4];
  g_autofree float *x = g_new (float, n);
  g_autoptr (SeqModel) learnt = NULL;
  double markov, ar;

  for (guint t = 0; t < n; t++) {
    double p = g_rand_double (rand);
    guint next = 0;

    while (next < 3 && (p -= true_matrix[state][next]) > 0)
      next++;
    state = next;
    x[t] = level[state];
  }
  markov = gain (
      "markov", SEQ_LEARN_GRADIENT, "{'states': <32>}", x, n, n / 2, &learnt);
  ar = gain ("ar", SEQ_LEARN_GRADIENT, "@a{sv} {}", x, n, n / 2, NULL);
  g_test_message ("gain: markov %.2f dB, ar %.2f dB", markov, ar);
  g_assert_cmpfloat (markov, >, ar + 1);

  /* the four bins that values fell into: those with the most transitions */
  for (guint l = 0; l < 4; l++) {
    double best = INFINITY;

    for (guint s = 0; s < 32; s++) {
      double row = 0, distance;

      for (guint j = 0; j < 32; j++)
        row += seq_model_get (learnt, 0, 0, 0, s, j);
      if (row < n / 40.0)
        continue;
      /* levels are kept normalised: compare ranks by distance of rows */
      distance =
          fabs ((seq_model_get (learnt, 0, 1, 0, 0, s) / learnt->in_scale[0]
                    + learnt->in_shift[0])
                - level[l]);
      if (distance < best) {
        best = distance;
        bins[l] = s;
      }
    }
    g_assert_cmpfloat (best, <, 0.05);
  }
  for (guint i = 0; i < 4; i++) {
    double row = 0;

    for (guint j = 0; j < 32; j++)
      row += seq_model_get (learnt, 0, 0, 0, bins[i], j);
    for (guint j = 0; j < 4; j++) {
      double p = seq_model_get (learnt, 0, 0, 0, bins[i], bins[j]) / row;
      double q = true_matrix[i][j];

      g_test_message ("P(%u|%u) = %.3f, true %.2f", j, i, p, q);
      /* a few early transitions fell into other bins while the scale settled */
      g_assert_cmpfloat (fabs (p - q), <, 4 * sqrt (q * (1 - q) / row) + 0.01);
    }
  }
}

/* A motif of noise that returns after thousands of samples: only a model that
 * remembers all of it can foresee it. */
static void
test_naive (void)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (6);
  guint period = 5000, n = 3 * period;
  g_autofree float *x = g_new (float, n);
  double naive, ar, lstm;

  for (guint t = 0; t < n; t++)
    x[t] = t < period ? (float) normal (rand) : x[t - period];
  naive =
      gain ("naive", SEQ_LEARN_GRADIENT, "@a{sv} {}", x, n, period + 100, NULL);
  ar = gain ("ar", SEQ_LEARN_GRADIENT, "@a{sv} {}", x, n, period + 100, NULL);
  lstm = gain ("lstm", SEQ_LEARN_BOTH, "@a{sv} {}", x, n, period + 100, NULL);
  g_test_message (
      "gain: naive %.1f dB, ar %.1f dB, lstm %.1f dB", naive, ar, lstm);
  g_assert_cmpfloat (naive, >, 25);
  g_assert_cmpfloat (ar, <, 3);
  g_assert_cmpfloat (lstm, <, 3);
}

/* A sum of sines in noise: the best a forecast can leave is the noise. With
 * order p and forgetting f least squares leave about 1 + p (1 - f) / 2 of it
 * more, and three sines in p lags 1 + 6 / p; together within 1 dB here. */
static void
test_ar (void)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (8);
  guint n = 60000;
  g_autofree float *x = g_new (float, n);
  double noise = 0.05, power = 0, optimum, ar, markov;

  for (guint t = 0; t < n; t++) {
    double s = sin (.11 * t) + .7 * sin (.53 * t + 1) + .4 * sin (1.7 * t);

    x[t] = (float) (s + noise * normal (rand));
    power += (double) x[t] * x[t] / n;
  }
  optimum = 10 * log10 (power / (noise * noise));
  ar = gain ("ar", SEQ_LEARN_GRADIENT,
      "{'order': <64>, 'forgetting': <0.9999>}", x, n, n / 2, NULL);
  markov = gain ("markov", SEQ_LEARN_GRADIENT, "@a{sv} {}", x, n, n / 2, NULL);
  g_test_message (
      "gain: ar %.2f dB, markov %.2f dB, the noise alone leaves %.2f dB", ar,
      markov, optimum);
  g_assert_cmpfloat (ar, >, optimum - 1);
  g_assert_cmpfloat (ar, <, optimum + 0.3);
}

/* A mark, then a pause longer than ar's order, then what the mark said: the
 * past must be carried across. The mark's sign and the pulse are all there is
 * to foresee; ar leaves nearly all of the pulse. */
static void
test_memory (gconstpointer cell)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (2);
  guint n = 300000, pause = 20;
  g_autofree float *x = g_new0 (float, n);
  double net, ar;

  for (guint t = 0; t + 2 * pause < n; t += 2 * pause) {
    float sign = g_rand_boolean (rand) ? 1.0f : -1.0f;

    x[t] = sign;
    /* the pulse that answers is eight times as strong as the mark */
    for (guint i = 0; i < 4; i++)
      x[t + pause + i] = 2 * sign;
  }
  net = gain (cell, SEQ_LEARN_BOTH, "{'chrono': <40>}", x, n, n / 3 * 2, NULL);
  ar =
      gain ("ar", SEQ_LEARN_GRADIENT, "{'order': <16>}", x, n, n / 3 * 2, NULL);
  g_test_message ("gain: %s %.2f dB, ar %.2f dB", (const char *) cell, net, ar);
  g_assert_cmpfloat (net, >, ar + 3);
}

/* RLS keeps its head over hours: decaying, constant, then loud input, 10^8
 * frames in all; in the end it foresees the loud input as well as it did when
 * it came first. A sine takes two lags, and its distance to the anchor a third.
 */
static void
test_ar_endures (void)
{
  SeqStreamConfig config = { .learn = SEQ_LEARN_GRADIENT,
    .learning_rate = 1e-3,
    .window = 64,
    .horizon = 1 };
  g_autoptr (SeqModel) model = seq_model_new_untrained ("ar",
      g_variant_new_parsed ("{'order': <3>}"), 1, 1, FALSE, FALSE, 0, NULL);
  g_autoptr (SeqStream) stream = seq_stream_new (model, 1, &config, NULL);
  enum { BLOCK = 10000, TOTAL = 100000000 };
  g_autofree float *x = g_new (float, BLOCK), *r = g_new (float, BLOCK);
  SeqSignal in = { SEQ_FORMAT_F32, (gpointer[]){ x }, 1 };
  SeqSignal out = { SEQ_FORMAT_F32, (gpointer[]){ r }, 1 };
  const SeqSignal *outputs[SEQ_N_OUTPUTS] = { NULL, NULL, &out, NULL };
  double phase = 0, left = 0, power = 0;

  for (guint64 at = 0; at < TOTAL; at += BLOCK) {
    double part = (double) at / TOTAL, level;

    level = part < .4   ? pow (10, -80 * part) /* down to 1e-32 */
            : part < .7 ? 0
                        : 1000;
    for (guint i = 0; i < BLOCK; i++) {
      phase += .1;
      x[i] = (float) (level * sin (phase) + (part >= .4 && part < .7));
    }
    phase = fmod (phase, 2 * G_PI);
    seq_stream_process (stream, &in, outputs, BLOCK, 1, 1, 0);
    for (guint i = 0; i < BLOCK; i++) {
      g_assert_true (isfinite (r[i]));
      if (part > .99) {
        left += (double) r[i] * r[i];
        power += (double) x[i] * x[i];
      }
    }
  }
  g_test_message ("gain at the end: %.1f dB", 10 * log10 (power / left));
  g_assert_cmpfloat (10 * log10 (power / left), >, 60);
}

/* On thirty seconds of a distorted guitar the LSTM leaves at most 9 % of the
 * energy, where ar of order 32 leaves a third. */
static void
test_guitar (void)
{
  g_autofree char *path =
      g_build_filename (g_getenv ("SEQ_SHARED") ? g_getenv ("SEQ_SHARED") : "",
          "training", "nam_rhythm", "target.flac", NULL);
  g_autofree char *wav = NULL, *command = NULL;
  int fd = g_file_open_tmp ("guitar-XXXXXX.f32", &wav, NULL);
  g_autofree char *bytes = NULL;
  gsize size = 0;
  double both, gradient, ar;

  g_close (fd, NULL);
  command = g_strdup_printf (
      "gst-launch-1.0 -q filesrc location=\"%s\" ! flacparse ! flacdec "
      "! audioconvert ! audio/x-raw,format=F32LE ! filesink location=\"%s\"",
      path, wav);
  if (!g_file_test (path, G_FILE_TEST_EXISTS)
      || !g_spawn_command_line_sync (command, NULL, NULL, NULL, NULL)
      || !g_file_get_contents (wav, &bytes, &size, NULL)
      || size < 30 * 48000 * sizeof (float)) {
    g_unlink (wav);
    g_test_skip ("NOT RUN: ../shared/training/nam_rhythm or flacdec is absent");
    return;
  }
  g_unlink (wav);
  both = gain ("lstm", SEQ_LEARN_BOTH, "@a{sv} {}", (float *) bytes, 30 * 48000,
      0, NULL);
  gradient = gain ("lstm", SEQ_LEARN_GRADIENT, "@a{sv} {}", (float *) bytes,
      30 * 48000, 0, NULL);
  ar = gain ("ar", SEQ_LEARN_GRADIENT, "{'forgetting': <0.99995>}",
      (float *) bytes, 30 * 48000, 0, NULL);
  g_test_message ("left: lstm %.1f %% (all by gradient %.1f %%), ar %.1f %%",
      100 * pow (10, -both / 10), 100 * pow (10, -gradient / 10),
      100 * pow (10, -ar / 10));
  g_assert_cmpfloat (pow (10, -both / 10), <, 0.09);
  g_assert_cmpfloat (pow (10, -gradient / 10), <, 0.09);
}

/* Out of the box, on speech, a sine and a slow sensor around 1000, every model
 * but markov beats "the next is as this one". */
static void
test_defaults (void)
{
  TestSignal signals[3] = { test_signal_speech (), test_signal_sine (),
    test_signal_sensor () };
  static const char *const kinds[] = { "naive", "ar", "rnn", "lstm", "gru" };

  for (guint i = 0; i < 3; i++) {
    const TestSignal *s = &signals[i];
    double mean = 0, power = 0, moved = 0, persistence;

    if (!s->x) {
      g_test_message ("NOT RUN on %s: its recordings are absent", s->name);
      continue;
    }
    for (guint t = 0; t < s->n_frames; t++)
      mean += s->x[t] / s->n_frames;
    for (guint t = 1; t < s->n_frames; t++) {
      power += (s->x[t] - mean) * (s->x[t] - mean);
      moved += pow (s->x[t] - s->x[t - 1], 2);
    }
    persistence = 10 * log10 (power / moved);
    for (guint k = 0; k < G_N_ELEMENTS (kinds); k++) {
      double g = gain (kinds[k], k < 2 ? SEQ_LEARN_GRADIENT : SEQ_LEARN_BOTH,
          "@a{sv} {}", s->x, s->n_frames, 1, NULL);

      g_test_message ("%s on %s: %.2f dB, persistence %.2f dB", kinds[k],
          s->name, g, persistence);
      g_assert_cmpfloat (g, >, persistence);
    }
    test_signal_clear (&signals[i]);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/models/markov/levels", test_markov);
  g_test_add_func ("/models/naive/motif", test_naive);
  g_test_add_func ("/models/ar/sines-in-noise", test_ar);
  g_test_add_data_func ("/models/lstm/memory", "lstm", test_memory);
  g_test_add_data_func ("/models/gru/memory", "gru", test_memory);
  g_test_add_func ("/models/defaults", test_defaults);
  g_test_add_func ("/models/guitar", test_guitar);
  g_test_add_func ("/models/ar/endures", test_ar_endures);
  return g_test_run ();
}
