/* test_forecasts.c: what the linear forecaster promises: it is least squares;
 * offset and scale do not matter; a bad value harms nothing that follows; no
 * forecast leaves what was heard.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/live/stream.h"

#include <math.h>
#include <string.h>

#define N 6000
#define AT 4000 /* where something happens */

static double
normal (GRand *rand)
{
  return sqrt (-2 * log (1 - g_rand_double (rand)))
         * cos (2 * G_PI * g_rand_double (rand));
}

/* A sine of 50 frames in noise. */
static double *
swing (void)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);
  double *x = g_new (double, N);

  for (guint t = 0; t < N; t++)
    x[t] = .3 * sin (2 * G_PI * t / 50) + .01 * normal (rand);
  return x;
}

/* Residuals, or forecasts of the frame after, of a stream that learns. */
static double *
run (const char *options, double *x, guint n, SeqOutput which)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SeqModel) model = seq_model_new_untrained (
      "ar", g_variant_new_parsed (options), 1, 1, FALSE, FALSE, 0, &error);
  g_autoptr (SeqStream) stream = NULL;
  double *y = g_new0 (double, n);
  SeqSignal in = { SEQ_FORMAT_F64, (gpointer[]){ x }, 1 };
  SeqSignal out = { SEQ_FORMAT_F64, (gpointer[]){ y }, 1 };
  const SeqSignal *outputs[SEQ_N_OUTPUTS] = { NULL };

  outputs[which] = &out;
  g_assert_no_error (error);
  stream = seq_stream_new (model, 1,
      &(SeqStreamConfig){ .learn = SEQ_LEARN_GRADIENT,
          .learning_rate = 1e-3,
          .window = 64,
          .horizon = 1 },
      &error);
  g_assert_no_error (error);
  seq_stream_process (stream, &in, outputs, n, 1, 1, 0);
  return y;
}

static double
rms (const double *x, guint from, guint to)
{
  double sum = 0;

  for (guint t = from; t < to; t++)
    sum += x[t] * x[t];
  return sqrt (sum / (to - from));
}

/* Solves a w = b in place. */
static void
solve (guint n, double a[][3])
{
  for (guint i = 0; i < n; i++)
    for (guint r = 0; r < n; r++) {
      double factor = a[r][i] / a[i][i];

      for (guint j = 0; r != i && j <= n; j++)
        a[r][j] -= factor * a[i][j];
    }
}

/* Narrowed to order 2 and one forgetting, forecasts are those of weighted least
 * squares by the normal equations, to a thousandth of the signal: persistence
 * and drifts have a weight, too. */
static void
test_least_squares (void)
{
  enum { FRAMES = 800, n = 2 };
  g_autoptr (GRand) rand = g_rand_new_with_seed (3);
  g_autofree double *forecasts = NULL;
  double x[FRAMES], worst = 0;

  for (guint t = 0; t < FRAMES; t++) {
    x[t] = normal (rand);
    if (t > 1)
      x[t] += 1.6 * x[t - 1] - .8 * x[t - 2];
    x[t] -= t == 0 ? x[0] : 0; /* where the anchor is */
  }
  forecasts = run (
      "{'order': <2>, 'forgetting': <.99>}", x, FRAMES, SEQ_OUTPUT_PREDICTION);
  for (guint t = 600; t < FRAMES; t += 7) {
    double a[2][3] = { { 0 } }, y = 0;

    for (guint s = n; s <= t; s++)
      for (guint i = 0; i < n; i++)
        for (guint j = 0; j <= n; j++)
          a[i][j] +=
              pow (.99, t - s) * x[s - 1 - i] * (j < n ? x[s - 1 - j] : x[s]);
    solve (n, a);
    for (guint i = 0; i < n; i++)
      y += a[i][n] / a[i][i] * x[t - i];
    worst = MAX (worst, fabs (forecasts[t] - y));
  }
  g_test_message ("largest difference %.1e", worst);
  g_assert_cmpfloat (worst, <, 4e-3); /* the signal's RMS is 4 */
}

/* A signal a thousand million up gives the same forecasts, up there; one of a
 * power of two times the size gives the same bits, times that. */
static void
test_offset_and_scale (void)
{
  g_autofree double *x = swing (), *up = g_new (double, N);
  g_autofree double *large = g_new (double, N), *of_x = NULL, *of_up = NULL;
  g_autofree double *of_large = NULL;

  for (guint t = 0; t < N; t++) {
    x[t] = floor (x[t] * 0x1p20) / 0x1p20; /* so that the sum is exact */
    up[t] = x[t] + 0x1p30;
    large[t] = x[t] * 0x1p40;
  }
  of_x = run ("{'sensor': <1>}", x, N, SEQ_OUTPUT_RESIDUAL);
  of_up = run ("{'sensor': <1>}", up, N, SEQ_OUTPUT_RESIDUAL);
  of_large = run ("{'sensor': <1>}", large, N, SEQ_OUTPUT_RESIDUAL);
  for (guint t = 0; t < N; t++) {
    g_assert_cmpfloat_with_epsilon (of_up[t], of_x[t], 1e-5);
    g_assert_cmpfloat (of_large[t], ==, of_x[t] * 0x1p40);
  }
}

typedef struct {
  const char *name;
  double value;  /* of the bad frames */
  guint n;       /* of them */
  guint n_wrong; /* frames after them that may be wrong */
} Event;

static const Event events[] = { { "5", 5, 1, 1 }, { "-999", -999, 1, 0 },
  { "65535", 65535, 1, 0 }, { "1e9", 1e9, 1, 0 }, { "1e30", 1e30, 1, 0 },
  { "nan", NAN, 1, 0 }, { "five -999", -999, 5, 0 },
  { "five 1e9", 1e9, 5, 0 } };

/* After bad values the error is within 1.3 times what it is without, averaged
 * over 32 frames; 1.2 is asked of many, this is one draw of the noise. */
static void
test_bad_values (gconstpointer data)
{
  const Event *e = data;
  g_autofree double *x = swing (), *calm = NULL, *r = NULL;
  guint from = AT + e->n + e->n_wrong;

  calm = run ("{'sensor': <1>}", x, N, SEQ_OUTPUT_RESIDUAL);
  for (guint t = AT; t < AT + e->n; t++)
    x[t] = e->value;
  r = run ("{'sensor': <1>}", x, N, SEQ_OUTPUT_RESIDUAL);
  g_test_message ("%s: %.2f of the calm error", e->name,
      rms (r, from, from + 32) / rms (calm, from, from + 32));
  g_assert_cmpfloat (
      rms (r, from, from + 32), <, 1.3 * rms (calm, from, from + 32));
  g_assert_cmpfloat (rms (r, from + 32, N), <, 1.05 * rms (calm, from + 32, N));
}

/* A step that lasts is followed: after 4 frames at 50 times the noise, after
 * 10 at 1000 times. */
static void
test_steps (void)
{
  static const struct {
    double step;
    guint n_wrong;
  } cases[] = { { .5, 4 }, { 10, 10 } };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree double *x = swing (), *calm = NULL, *r = NULL;
    guint from = AT + cases[i].n_wrong;

    calm = run ("{'sensor': <1>}", x, N, SEQ_OUTPUT_RESIDUAL);
    for (guint t = AT; t < N; t++)
      x[t] += cases[i].step;
    r = run ("{'sensor': <1>}", x, N, SEQ_OUTPUT_RESIDUAL);
    g_assert_cmpfloat (
        rms (r, from, from + 64), <, 1.3 * rms (calm, from, from + 64));
  }
}

/* From next to silence to full scale, sound and sensor: no forecast is above
 * 1.2 of what was heard by then. (Not so in the very first frames, since a ramp
 * goes on.) */
static void
test_onset (void)
{
  static const char *const options[] = { "@a{sv} {}",
    "{'cascade': <[@u 256, 32]>}", "{'sensor': <1>}" };
  g_autoptr (GRand) rand = g_rand_new_with_seed (5);
  double x[N];

  for (guint t = 0; t < N; t++)
    x[t] = normal (rand) * (t < AT ? 1e-5 : .3);
  for (guint i = 0; i < G_N_ELEMENTS (options); i++) {
    g_autofree double *y = run (options[i], x, N, SEQ_OUTPUT_PREDICTION);
    double most = 0;

    for (guint t = 0; t < N; t++) {
      most = MAX (most, fabs (x[t]));
      if (t >= 32)
        g_assert_cmpfloat (fabs (y[t]), <=, 1.2 * most);
    }
  }
}

/* Without noise nothing is left of a ramp, and next to nothing of a sine. */
static void
test_exact (void)
{
  g_autofree double *of_ramp = NULL, *of_sine = NULL;
  double ramp[400], sine[400];

  for (guint t = 0; t < 400; t++) {
    ramp[t] = 3. * t;
    sine[t] = 20 + sin (2 * G_PI * t / 25);
  }
  of_ramp = run ("{'sensor': <1>}", ramp, 400, SEQ_OUTPUT_RESIDUAL);
  of_sine = run ("{'sensor': <1>}", sine, 400, SEQ_OUTPUT_RESIDUAL);
  g_assert_cmpfloat (rms (of_ramp, 190, 210), <=, .001 * 3);
  g_assert_cmpfloat (rms (of_sine, 190, 210), <=, .001 * .16);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/forecasts/least-squares", test_least_squares);
  g_test_add_func ("/forecasts/offset-and-scale", test_offset_and_scale);
  for (guint i = 0; i < G_N_ELEMENTS (events); i++) {
    g_autofree char *path =
        g_strdup_printf ("/forecasts/bad-values/%s", events[i].name);

    g_test_add_data_func (path, &events[i], test_bad_values);
  }
  g_test_add_func ("/forecasts/steps", test_steps);
  g_test_add_func ("/forecasts/onset", test_onset);
  g_test_add_func ("/forecasts/exact", test_exact);
  return g_test_run ();
}
