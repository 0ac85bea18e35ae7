/* models.c: what a sample costs a model that learns as it goes, by what it is
 * sized by (order, states, history, hidden size), and by how much it has heard.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 *   bench_models [KIND]
 */
#include "bench/stream_cost.h"
#include "src/cpu.h"

#define TIMED 20000 /* frames */

/* What a kind can be sized by. */
static const struct {
  const char *option;
  guint n, values[10];
} sizes[] = {
  { "history", 5, { 1024, 4096, 16384, 65536, 262144 } },
  { "order", 5, { 4, 8, 16, 32, 64 } },
  { "states", 4, { 16, 64, 256, 1024 } },
  { "hidden_size", 6, { 8, 16, 20, 32, 64, 128 } },
};

static const guint heard[] = { 1024, 16384, 262144 };

static void
bench (const SeqKind *kind, const char *option, guint value, guint before)
{
  SeqLearn learn =
      kind->flags & SEQ_KIND_TRAINS ? SEQ_LEARN_BOTH : SEQ_LEARN_GRADIENT;
  GVariantDict options;
  g_autoptr (SeqModel) model = NULL;

  g_variant_dict_init (&options, NULL);
  if (option)
    g_variant_dict_insert (&options, option, "u", value);
  model = seq_model_new_untrained (kind->name, g_variant_dict_end (&options), 1,
      1, learn >= SEQ_LEARN_READOUT, TRUE, 0, NULL);
  g_print ("%-8s %-12s %7u %9.0f\n", kind->name, option ? option : "heard",
      option ? value : before, stream_cost (model, learn, before, TIMED));
}

int
main (int argc, char **argv)
{
  g_print ("instruction set %s; ns a sample, learning\n",
      seq_isa_name (seq_cpu_isa ()));
  for (const SeqKind *const *k = seq_kind_choices (); *k; k++) {
    if (argc > 1 && !g_str_equal (argv[1], (*k)->name))
      continue;
    for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
      for (guint j = 0; j < sizes[i].n; j++)
        if (seq_kind_has_option (*k, sizes[i].option))
          bench (*k, sizes[i].option, sizes[i].values[j],
              MAX (10000, sizes[i].values[j]));
    for (guint i = 0; i < G_N_ELEMENTS (heard); i++)
      bench (*k, NULL, 0, heard[i]);
  }
  return 0;
}
