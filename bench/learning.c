/* learning.c: what each model and learner gains as it goes.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One pass over each signal, learning from it; prints the prediction gain in
 * dB (power of the signal over power of the residual) over the whole and over
 * the last third, and nanoseconds a sample. Persistence (y = x) is beside it.
 *
 *   bench_learning [--only TEXT] [--seconds S] [key=value ...] [FILE.wav ...]
 *
 * key=value (window, rate, hidden_size, residual, ...) tries other settings.
 */
#include "src/live/stream.h"
#include "src/cpu.h"
#include "tests/signals.h"
#include "tools/bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static GVariantDict options;
static double rate = 3e-3;
static guint window = 64, layers = 1, seed = 0;
static gboolean residual = TRUE;

static double
gain (double signal, double left)
{
  return 10 * log10 (signal / MAX (left, 1e-300));
}

static void
print (const char *name, const TestSignal *s, const float *r, double ns)
{
  double mean = 0, p[2] = { 0 }, e[2] = { 0 };

  for (guint i = 0; i < s->n_frames; i++)
    mean += s->x[i] / s->n_frames;
  for (guint i = 0; i < s->n_frames; i++)
    for (int part = 0; part < 2; part++)
      if (part == 0 || i >= s->n_frames / 3 * 2) {
        p[part] += (s->x[i] - mean) * (s->x[i] - mean);
        e[part] += (double) r[i] * r[i];
      }
  g_print ("%-8s %-14s %8.2f %8.2f %9.1f\n", s->name, name, gain (p[0], e[0]),
      gain (p[1], e[1]), ns);
}

static void
bench (
    const SeqKind *kind, SeqLearn learn, const char *name, const TestSignal *s)
{
  SeqStreamConfig config = {
    .learn = learn, .learning_rate = rate, .window = window, .horizon = 1
  };
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) dict =
      g_variant_ref_sink (g_variant_dict_end (&options));
  g_autoptr (SeqModel) model = NULL;
  g_autoptr (SeqStream) stream = NULL;
  g_autofree float *r = g_new0 (float, s->n_frames);
  SeqSignal in = { SEQ_FORMAT_F32, (gpointer[]){ s->x }, 1 };
  SeqSignal out = { SEQ_FORMAT_F32, (gpointer[]){ r }, 1 };
  const SeqSignal *outputs[SEQ_N_OUTPUTS] = { NULL, NULL, &out, NULL };
  SeqStreamStats stats = { .channels = (SeqChannelStats[1]){ { 0 } } };
  double start, ns;

  g_variant_dict_init (&options, dict);
  model = seq_model_new_untrained (kind->name, g_variant_ref (dict), 1, layers,
      learn >= SEQ_LEARN_READOUT, residual, seed, &error);
  if (model)
    stream = seq_stream_new (model, 1, &config, &error);
  if (!stream) {
    g_print ("%-8s %-14s %s\n", s->name, name, error->message);
    return;
  }
  start = bench_now ();
  seq_stream_process (stream, &in, outputs, s->n_frames, 1, 1, 0);
  ns = (bench_now () - start) / s->n_frames;
  print (name, s, r, ns);
  seq_stream_stats (stream, FALSE, &stats);
  if (stats.n_rollbacks)
    g_print ("         %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT
             " updates were rolled back\n",
        stats.n_rollbacks, stats.n_updates);
}

/* Each model that users choose, and each way that it can learn. */
static void
bench_kinds (const TestSignal *s, const char *only)
{
  static const struct {
    const char *name;
    SeqLearn learn;
  } learners[] = { { " gradient", SEQ_LEARN_GRADIENT },
    { " both", SEQ_LEARN_BOTH }, { " readout", SEQ_LEARN_READOUT } };

  for (const SeqKind *const *k = seq_kind_choices (); *k; k++) {
    gboolean trains = ((*k)->flags & SEQ_KIND_TRAINS) != 0;

    for (guint i = 0; i < (trains ? G_N_ELEMENTS (learners) : 1); i++) {
      g_autofree char *name =
          g_strconcat ((*k)->name, trains ? learners[i].name : "", NULL);

      if (strstr (name, only))
        bench (*k, learners[i].learn, name, s);
    }
  }
}

int
main (int argc, char **argv)
{
  g_autoptr (GArray) signals = g_array_new (FALSE, FALSE, sizeof (TestSignal));
  const char *only = "";
  double seconds = 30;
  TestSignal s;

  g_variant_dict_init (&options, NULL);
  for (int i = 1; i < argc; i++) {
    char *value = strchr (argv[i], '=');

    if (g_str_equal (argv[i], "--only") && i + 1 < argc) {
      only = argv[++i];
    } else if (g_str_equal (argv[i], "--seconds") && i + 1 < argc) {
      seconds = atof (argv[++i]);
    } else if (value) {
      *value++ = '\0';
      if (g_str_equal (argv[i], "rate"))
        rate = atof (value);
      else if (g_str_equal (argv[i], "window"))
        window = (guint) atoi (value);
      else if (g_str_equal (argv[i], "layers"))
        layers = (guint) atoi (value);
      else if (g_str_equal (argv[i], "seed"))
        seed = (guint) atoi (value);
      else if (g_str_equal (argv[i], "residual"))
        residual = atoi (value);
      else
        g_variant_dict_insert (&options, argv[i], "d", atof (value));
    } else {
      s = test_signal_wav (argv[i], (guint) (seconds * 48000));
      if (s.x)
        g_array_append_val (signals, s);
    }
  }
  if (signals->len == 0) {
    s = test_signal_speech ();
    if (s.x)
      g_array_append_val (signals, s);
    s = test_signal_sine ();
    g_array_append_val (signals, s);
    s = test_signal_sensor ();
    g_array_append_val (signals, s);
  }

  g_print ("instruction set %s\n%-8s %-14s %8s %8s %9s\n",
      seq_isa_name (seq_cpu_isa ()), "signal", "model", "whole", "last 1/3",
      "ns/sample");
  for (guint i = 0; i < signals->len; i++) {
    g_autofree float *r = NULL;

    s = g_array_index (signals, TestSignal, i);
    r = g_new0 (float, s.n_frames);
    for (guint t = 1; t < s.n_frames; t++)
      r[t] = s.x[t] - s.x[t - 1];
    print ("persistence", &s, r, 0);
    bench_kinds (&s, only);
    test_signal_clear (&s);
  }
  g_variant_dict_clear (&options);
  return 0;
}
