/* models.c: what a sample costs: naive against history, ar against
 * order, markov against states, beside the latent models, whose cost does not
 * grow with the past.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Learning as they go, on noise with memory. The stream is as long as history
 * and 20000 frames more, which are timed.
 */
#include "src/cpu.h"
#include "bench/stream_cost.h"

static double
cost (const char *kind, SeqLearn learn, const char *key, guint value,
    guint before)
{
  GVariantDict options;
  g_autoptr (SeqModel) model = NULL;

  g_variant_dict_init (&options, NULL);
  if (key)
    g_variant_dict_insert (&options, key, "u", value);
  model = seq_model_new_untrained (kind, g_variant_dict_end (&options), 1, 1,
      learn >= SEQ_LEARN_READOUT, TRUE, 0, NULL);
  return stream_cost (model, learn, before, 20000);
}

int
main (void)
{
  static const guint histories[] = { 1024, 4096, 16384, 65536, 262144 };
  static const guint orders[] = { 4, 8, 16, 32, 64 };
  static const guint states[] = { 16, 64, 256 };
  static const char *const nets[] = { "rnn", "lstm", "gru" };

  g_print ("instruction set %s; ns a sample, learning\n",
      seq_isa_name (seq_cpu_isa ()));
  for (guint i = 0; i < G_N_ELEMENTS (histories); i++)
    g_print ("naive  history %-7u %9.0f\n", histories[i],
        cost ("naive", SEQ_LEARN_GRADIENT, "history", histories[i],
            histories[i]));
  for (guint i = 0; i < G_N_ELEMENTS (orders); i++)
    g_print ("ar     order   %-7u %9.0f\n", orders[i],
        cost ("ar", SEQ_LEARN_GRADIENT, "order", orders[i], 10000));
  for (guint i = 0; i < G_N_ELEMENTS (states); i++)
    g_print ("markov states  %-7u %9.0f\n", states[i],
        cost ("markov", SEQ_LEARN_GRADIENT, "states", states[i], 10000));
  for (guint i = 0; i < G_N_ELEMENTS (nets); i++)
    for (guint before = 1024; before <= 262144; before *= 16)
      g_print ("%-6s after   %-7u %9.0f\n", nets[i], before,
          cost (nets[i], SEQ_LEARN_BOTH, NULL, 0, before));
  return 0;
}
