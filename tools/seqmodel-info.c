/* seqmodel-info.c: what is in a model file.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/cpu.h"
#include "src/chain.h"
#include "src/io/load.h"
#include "tools/bench.h"
#include "tools/hints.h"
#include "tools/seqmodel.h"

#include <string.h>

static void
print_metadata (gpointer key, gpointer value, gpointer data)
{
  g_print ("  %s: %s\n", (char *) key, (char *) value);
}

static void
print_model (SeqModel *model, const char *path)
{
  const SeqChain *chain = model->chain;
  gsize n_values = 0;

  g_print ("%s\nformat: %s\n", path, model->format);
  g_print ("inputs: %u", model->n_signal);
  if (chain->n_in > model->n_signal)
    g_print (" and %u of conditioning (0..1)", chain->n_in - model->n_signal);
  g_print ("\n");
  for (guint i = 0; i < chain->n_layers; i++) {
    const SeqLayer *layer = chain->layers[i];
    g_autofree char *config = g_variant_print (layer->config, FALSE);

    g_print ("layer %u: %s, %u -> %u%s%s\n", i, layer->klass->kind.name,
        layer->n_in, layer->n_out, strlen (config) > 2 ? " " : "",
        strlen (config) > 2 ? config : "");
    for (guint k = 0; k < layer->n_tensors; k++) {
      const SeqTensor *t = &layer->tensors[k];

      g_print ("  %-10s %u x %u\n", t->name, t->gates * t->rows, t->cols);
      n_values += (gsize) t->gates * t->rows * t->cols;
    }
  }
  if (chain->skip)
    g_print ("residual: of %u feature%s\n", chain->skip,
        chain->skip == 1 ? ", onto every output" : "s");
  if (model->normalised)
    for (guint i = 0; i < model->n_signal; i++)
      g_print ("input %u: times %g after %+g\n", i, model->in_scale[i],
          -model->in_shift[i]);
  if (model->horizon)
    g_print ("horizon: forecasts %u frame%s ahead\n", model->horizon,
        model->horizon == 1 ? "" : "s");
  if (model->rate > 0)
    g_print ("sample rate: %g Hz\n", model->rate);
  else
    g_print ("sample rate: not said\n");
  g_print ("parameters: %" G_GSIZE_FORMAT "\n", n_values);
  g_print ("memory: %" G_GSIZE_FORMAT " bytes of parameters, %" G_GSIZE_FORMAT
           " a channel of state\n",
      chain->n_weights * sizeof (real), chain->n_state * sizeof (real));
  g_print ("cost: %.0f ns a sample here (%s)\n",
      bench_model (model, 1, BENCH_FRAMES), seq_isa_name (seq_cpu_isa ()));
  if (g_hash_table_size (model->metadata)) {
    g_print ("metadata:\n");
    g_hash_table_foreach (model->metadata, print_metadata, NULL);
  }
}

int
seqmodel_info (int argc, char **argv)
{
  gboolean self_test = FALSE;
  g_auto (GStrv) hints = NULL;
  const GOptionEntry entries[] = {
    { "self-test", 0, 0, G_OPTION_ARG_NONE, &self_test,
        "run the batch that AIDA-X embeds and print the largest error", NULL },
    { "option", 'o', 0, G_OPTION_ARG_STRING_ARRAY, &hints,
        "what the file cannot say: nonlinearity, residual, "
        "output_activation, head_activation, head, rate",
        "KEY=VALUE" },
    { NULL },
  };
  g_autoptr (GOptionContext) context = g_option_context_new ("FILE");
  g_autoptr (GError) error = NULL;
  g_autoptr (SeqModel) model = NULL;
  g_autoptr (GVariant) given = NULL;

  g_option_context_set_summary (context, "Prints what is in a model file.");
  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, &argc, &argv, &error))
    return seqmodel_usage_error ("info", "%s", error->message);
  if (argc != 2)
    return seqmodel_usage_error ("info", "one FILE is needed");
  given = hints_parse (hints, &error);
  if (!given)
    return seqmodel_usage_error ("info", "%s", error->message);
  model = seq_model_load (argv[1], given, &error);
  if (!model)
    return seqmodel_refused ("info", error);
  print_model (model, argv[1]);
  if (self_test) {
    double worst;
    gsize n;

    if (!seq_model_self_test (argv[1], model, &worst, &n, &error))
      return seqmodel_refused ("info", error);
    g_print ("self-test: %" G_GSIZE_FORMAT " samples, largest error %.2g\n", n,
        worst);
  }
  return SEQMODEL_DONE;
}
