/* seqmodel-info.c: what is in a model file.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/chain.h"
#include "src/cpu.h"
#include "src/io/load.h"
#include "tools/bench.h"
#include "tools/hints.h"
#include "tools/seqmodel.h"

static void
print_metadata (gpointer key, gpointer value, gpointer data)
{
  g_print ("  %s: %s\n", (char *) key, (char *) value);
}

/* Options of a layer as people write them: " hidden_size=8 bias=1". */
static char *
describe_config (GVariant *config)
{
  GString *text = g_string_new (NULL);
  GVariantIter iter;
  const char *key;
  GVariant *value;

  g_variant_iter_init (&iter, config);
  while (g_variant_iter_next (&iter, "{&sv}", &key, &value)) {
    g_autofree char *printed =
        g_variant_is_of_type (value, G_VARIANT_TYPE_STRING)
            ? g_variant_dup_string (value, NULL)
            : g_variant_print (value, FALSE);

    g_string_append_printf (text, " %s=%s", key, printed);
    g_variant_unref (value);
  }
  return g_string_free (text, FALSE);
}

/* Returns how many values its tensors have. */
static gsize
print_layer (const SeqLayer *layer, guint nth)
{
  g_autofree char *config = describe_config (layer->config);
  gsize n_values = 0;

  g_print ("layer %u: %s, %u -> %u%s\n", nth, layer->klass->kind.name,
      layer->n_in, layer->n_out, config);
  for (guint k = 0; k < layer->n_tensors; k++) {
    const SeqTensor *t = &layer->tensors[k];

    g_print ("  %-10s %u x %u\n", t->name, t->gates * t->rows, t->cols);
    n_values += (gsize) t->gates * t->rows * t->cols;
  }
  return n_values;
}

static void
print_model (SeqModel *model, const char *path)
{
  const SeqChain *chain = model->chain;
  guint knobs = chain->n_in - model->n_signal;
  gsize n_values = 0;

  g_print ("%s\nformat: %s\n", path, model->format);
  g_print ("inputs: %u", model->n_signal);
  if (knobs)
    g_print (" and %u knob%s (0..1)", knobs, knobs == 1 ? "" : "s");
  g_print ("\n");
  for (guint i = 0; i < chain->n_layers; i++)
    n_values += print_layer (chain->layers[i], i);
  if (chain->skip == 1)
    g_print ("residual: the first input is added to every output\n");
  else if (chain->skip)
    g_print ("residual: %u inputs are added to as many outputs\n", chain->skip);
  if (model->normalised)
    for (guint i = 0; i < model->n_signal; i++)
      g_print ("input %u: minus %g, times %g\n", i, model->in_shift[i],
          model->in_scale[i]);
  if (model->horizon)
    g_print ("horizon: forecasts %u frame%s ahead\n", model->horizon,
        model->horizon == 1 ? "" : "s");
  if (model->window)
    g_print ("window: each output is of a run over the last %u frames, at %u "
             "times the cost\n",
        model->window, model->window);
  if (model->start == SEQ_START_SILENCE)
    g_print ("start: where a long silence leads to\n");
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
        "run the recording that the file embeds (AIDA-X) and print the largest "
        "error",
        NULL },
    HINTS_OPTION (&hints),
    { NULL },
  };
  g_autoptr (GOptionContext) context = g_option_context_new ("FILE");
  g_autoptr (GError) error = NULL;
  g_autoptr (SeqModel) model = NULL;
  g_autoptr (GVariant) given = NULL;

  g_option_context_set_summary (context, "Prints what is in a model file.");
  g_option_context_add_main_entries (context, entries, NULL);
  hints_describe (context);
  if (!g_option_context_parse (context, &argc, &argv, &error))
    return seqmodel_usage_error ("info", "%s", error->message);
  if (argc != 2)
    return seqmodel_usage_error ("info", "expected one FILE");
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
