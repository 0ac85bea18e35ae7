/* seqmodel-bench.c: what a model file costs here, in each precision and for
 * several channels.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/cpu.h"
#include "src/io/load.h"
#include "tools/bench.h"
#include "tools/hints.h"
#include "tools/seqmodel.h"

static void
print_line (const char *name, guint n_lanes, const SeqModel *model,
    const BenchPeaks *peaks, const SeqModel *exact)
{
  double ns = bench_model (model, n_lanes, BENCH_FRAMES);
  double floor = bench_floor (peaks, model, n_lanes);

  g_print ("%-9s %8u %11.1f %9.1f %6.2f", name, n_lanes, ns, floor, ns / floor);
  if (exact)
    g_print (" %9.1f", bench_distance (exact, model, 48000));
  g_print ("\n");
}

static void
print_costs (const SeqModel *model)
{
  BenchPeaks peaks;

  bench_peaks (&peaks);
  g_print ("instruction set %s; %.0f multiply-adds a ns; bytes a ns from each "
           "level of cache %.0f, %.0f, %.0f\n",
      seq_isa_name (seq_cpu_isa ()), peaks.multiply_adds, peaks.bytes[0],
      peaks.bytes[1], peaks.bytes[2]);
  g_print ("%-9s %8s %11s %9s %6s %9s\n", "precision", "channels", "ns/frame",
      "floor", "ratio", "SNR, dB");
  for (guint lanes = 1; lanes <= 64; lanes *= 2)
    print_line ("float", lanes, model, &peaks, NULL);
  for (guint i = 0; i < 2; i++) {
    const char *name = i ? "int8" : "int16";
    g_autoptr (GError) error = NULL;
    g_autoptr (SeqModel) small = seq_model_with_precision (model, name, &error);

    if (small)
      print_line (name, 1, small, &peaks, model);
    else
      g_print ("%-9s %s\n", name, error->message);
  }
}

int
seqmodel_bench (int argc, char **argv)
{
  g_auto (GStrv) hints = NULL;
  const GOptionEntry entries[] = {
    HINTS_OPTION (&hints),
    { NULL },
  };
  g_autoptr (GOptionContext) context = g_option_context_new ("FILE");
  g_autoptr (SeqModel) model = NULL;
  g_autoptr (GVariant) given = NULL;
  g_autoptr (GError) error = NULL;

  g_option_context_set_summary (context,
      "Measures what a frame of the model costs on this machine, beside the "
      "least that the\nmachine's peaks allow, and how far int16 and int8 "
      "weights are from float.");
  hints_describe (context);
  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, &argc, &argv, &error))
    return seqmodel_usage_error ("bench", "%s", error->message);
  if (argc != 2)
    return seqmodel_usage_error ("bench", "one FILE is needed");
  given = hints_parse (hints, &error);
  if (!given)
    return seqmodel_usage_error ("bench", "%s", error->message);
  model = seq_model_load (argv[1], given, &error);
  if (!model)
    return seqmodel_refused ("bench", error);
  print_costs (model);
  return SEQMODEL_DONE;
}
