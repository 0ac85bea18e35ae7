/* forecasts.c: how well a model foresees a recording, as it learns from it.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 *   bench_forecasts [key=value ...] FILE ...
 *
 * A FILE holds doubles as this machine has them, frame by frame. Prints a line
 * for each: its name, the prediction gain in dB (power of the signal about its
 * mean over power of the residual) of the whole and of the last third, the mean
 * square of the residual from frame `from` on, and ns of CPU time a frame.
 *
 * Keys: model (ar), learn (off, gradient, readout, both; by default what suits
 * the model), channels (1), joint (0), from (0), window, rate (of Adam), seed,
 * residual (a file to write it to, likewise); any other is an option of the
 * model. Without options models are as the element makes them, but that it adds
 * sensor=1 to slow signals. forecasts.py prints the tables of docs/forecasts.md
 * with this.
 */
#include "src/live/stream.h"
#include "tools/bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  const char *model, *residual;
  SeqLearn learn;
  guint n_channels, joint, from, window, seed;
  double rate;
  GVariant *options;
} Settings;

/* Powers of the signal about its mean, and of the residual, over all channels
 * from frame `from` on; the first frame has no forecast. */
static void
add_powers (const double *x, const double *r, gsize n_frames, guint n_channels,
    gsize from, double *signal, double *residual)
{
  *signal = *residual = 0;
  for (guint c = 0; c < n_channels; c++) {
    double mean = 0;

    for (gsize t = 0; t < n_frames; t++)
      mean += x[t * n_channels + c] / (double) n_frames;
    for (gsize t = MAX (from, 1); t < n_frames; t++) {
      double d = x[t * n_channels + c] - mean, e = r[t * n_channels + c];

      *signal += d * d;
      *residual += e * e;
    }
  }
}

static double
decibels (double signal, double residual)
{
  return 10 * log10 (signal / MAX (residual, 1e-300));
}

static gboolean
bench (const Settings *s, const char *path, GError **error)
{
  guint n = s->n_channels, horizon = 1;
  g_autofree char *bytes = NULL, *name = g_path_get_basename (path);
  g_autofree double *r = NULL;
  g_autofree gpointer *in_channel = g_new (gpointer, n);
  g_autofree gpointer *out_channel = g_new (gpointer, n);
  SeqSignal in = { SEQ_FORMAT_F64, in_channel, n };
  SeqSignal out = { SEQ_FORMAT_F64, out_channel, n };
  const SeqSignal *outputs[SEQ_N_OUTPUTS] = { [SEQ_OUTPUT_RESIDUAL] = &out };
  gsize size, n_frames;
  g_autoptr (SeqModel) model = seq_model_new_untrained (s->model,
      g_variant_ref (s->options), s->joint ? n : 1, 1,
      s->learn >= SEQ_LEARN_READOUT, TRUE, s->seed, error);
  g_autoptr (SeqStream) stream = NULL;
  double signal[2], residual[2], unused, square, start, ns;

  if (!model || !g_file_get_contents (path, &bytes, &size, error))
    return FALSE;
  g_variant_lookup (s->options, "horizon", "u", &horizon);
  stream = seq_stream_new (model, n,
      &(SeqStreamConfig){ .learn = s->learn,
          .learning_rate = s->rate,
          .window = s->window,
          .horizon = horizon },
      error);
  if (!stream)
    return FALSE;
  n_frames = size / sizeof (double) / n;
  r = g_new0 (double, n_frames *n);
  for (guint c = 0; c < n; c++) {
    in_channel[c] = (double *) bytes + c;
    out_channel[c] = r + c;
  }
  start = bench_now ();
  seq_stream_process (stream, &in, outputs, n_frames, 1, 1, 0);
  ns = (bench_now () - start) / (double) n_frames;
  add_powers (
      (double *) bytes, r, n_frames, n, horizon, &signal[0], &residual[0]);
  add_powers ((double *) bytes, r, n_frames, n, n_frames / 3 * 2, &signal[1],
      &residual[1]);
  add_powers ((double *) bytes, r, n_frames, n, s->from, &unused, &square);
  g_print ("%s %.3f %.3f %.6g %.0f\n", name, decibels (signal[0], residual[0]),
      decibels (signal[1], residual[1]),
      square / (double) ((n_frames - s->from) * n), ns);
  return !s->residual
         || g_file_set_contents (s->residual, (char *) r,
             (gssize) (n_frames * n * sizeof (double)), error);
}

/* A number, or an array of whole numbers. */
static GVariant *
parse_value (const char *text)
{
  g_auto (GStrv) words = g_strsplit (text, ",", -1);
  GVariantBuilder builder = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("au"));

  if (!words[1] && strchr (text, '.'))
    return g_variant_new_double (atof (text));
  if (!words[1] && *text != '<')
    return g_variant_new_uint32 ((guint) atoi (text));
  for (guint i = 0; words[i]; i++)
    g_variant_builder_add (
        &builder, "u", (guint) atoi (words[i] + (*words[i] == '<')));
  return g_variant_builder_end (&builder);
}

int
main (int argc, char **argv)
{
  static const char *const learners[] = { "off", "gradient", "readout",
    "both" };
  Settings s = { .model = "ar",
    .learn = SEQ_LEARN_GRADIENT,
    .n_channels = 1,
    .window = 64,
    .rate = 3e-3 };
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) options = NULL;
  gboolean chosen = FALSE;
  GVariantDict dict;
  int n_files = 0;

  g_variant_dict_init (&dict, NULL);
  for (int i = 1; i < argc; i++) {
    char *value = strchr (argv[i], '=');
    const char *key = argv[i];

    if (!value) {
      argv[n_files++] = argv[i];
      continue;
    }
    *value++ = '\0';
    if (g_str_equal (key, "model"))
      s.model = value;
    else if (g_str_equal (key, "residual"))
      s.residual = value;
    else if (g_str_equal (key, "channels"))
      s.n_channels = (guint) atoi (value);
    else if (g_str_equal (key, "joint"))
      s.joint = (guint) atoi (value);
    else if (g_str_equal (key, "from"))
      s.from = (guint) atoi (value);
    else if (g_str_equal (key, "window"))
      s.window = (guint) atoi (value);
    else if (g_str_equal (key, "seed"))
      s.seed = (guint) atoi (value);
    else if (g_str_equal (key, "rate"))
      s.rate = atof (value);
    else if (g_str_equal (key, "learn"))
      for (guint k = 0; k < G_N_ELEMENTS (learners); k++) {
        if (g_str_equal (value, learners[k]))
          s.learn = (SeqLearn) k;
        chosen = TRUE;
      }
    else
      g_variant_dict_insert_value (&dict, key, parse_value (value));
  }
  options = s.options = g_variant_ref_sink (g_variant_dict_end (&dict));
  if (!chosen && seq_kind_find (s.model)
      && !(seq_kind_find (s.model)->flags & SEQ_KIND_LEARNS))
    s.learn = SEQ_LEARN_BOTH;
  for (int i = 0; i < n_files; i++)
    if (!bench (&s, argv[i], &error)) {
      g_printerr ("%s: %s\n", argv[i], error->message);
      return 1;
    }
  return 0;
}
