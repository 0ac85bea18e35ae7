/* training.c: samples a second that the trainer learns from on one core, by
 * kind and size.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The trainer itself, as `seqmodel train` sets it: one input, a dense read-out,
 * batches of 16 pieces, an update each 500 frames. A sample is a frame that
 * counts; forward, backward and Adam are in its time. Its multiply-adds are
 * those of the matrices: once forwards, once backwards through the recurrent
 * one, once for the weights' gradient; their share is of the peak that was
 * measured in the same run.
 *
 *   bench_training [KIND [SIZE]]
 */
#include "src/chain.h"
#include "src/cpu.h"
#include "src/train/trainer.h"
#include "tools/bench.h"

#include <math.h>
#include <stdlib.h>

#define FRAMES 110000
#define BATCH 16
#define UPDATE 500
#define ROUNDS 10

/* Multiply-adds of the matrices, a sample. */
static double
multiply_adds (const SeqChain *chain)
{
  double n = 0;

  for (guint i = 0; i < chain->n_layers; i++)
    for (guint t = 0; t < chain->layers[i]->n_tensors; t++) {
      const SeqTensor *w = &chain->layers[i]->tensors[t];
      double size = (double) w->gates * w->rows * w->cols;

      if (w->cols > 1 || g_str_equal (w->name, "weight_ih"))
        n += (i == 0 && g_str_equal (w->name, "weight_ih") ? 2 : 3) * size;
    }
  return n;
}

static void
bench (const char *kind, guint size, const float *in, const float *target,
    const BenchPeaks *peaks)
{
  SeqTrainerData data = { FRAMES, 1, 1, in, target };
  SeqTrainerConfig config = { .segment = UPDATE + 1,
    .warmup = 1,
    .update = UPDATE,
    .batch = BATCH,
    .threads = 1,
    .max_epochs = 1000,
    .patience = 1000,
    .early = 1000,
    .loss = SEQ_LOSS_ESR,
    .pre_emphasis = 0.95,
    .dc = 1,
    .rate = 1e-3,
    .min_rate = 1e-4,
    .clip = 1,
    .parts = { 100, 1, 0 } };
  g_autoptr (GError) error = NULL;
  g_autoptr (SeqModel) model = seq_model_new_untrained (kind,
      g_variant_new_parsed ("{'hidden_size': <%u>}", size), 1, 1, FALSE, FALSE,
      1, &error);
  g_autoptr (SeqTrainer) trainer =
      model ? seq_trainer_new (model, &data, &config, &error) : NULL;
  double best = 0 /* a ns */, work;

  if (!trainer)
    g_error ("%s", error->message);
  for (guint i = 0; i < ROUNDS; i++) {
    double start = bench_now ();

    seq_trainer_batch (trainer);
    best = MAX (best, (double) BATCH * UPDATE / (bench_now () - start));
  }
  work = multiply_adds (model->chain) * best;
  g_print ("%-8s %5u %12.2f %14.1f %8.0f %%\n", kind, size, best * 1e3, work,
      100 * work / peaks->multiply_adds);
}

int
main (int argc, char **argv)
{
  static const guint sizes[] = { 8, 12, 16, 20, 24, 32, 40, 64, 80, 128 };
  g_autofree float *in = g_new (float, FRAMES), *target = g_new (float, FRAMES);
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);
  BenchPeaks peaks;
  double low = 0;

  for (guint i = 0; i < FRAMES; i++) {
    low += 0.1 * (g_rand_double_range (rand, -1, 1) - low);
    in[i] = (float) low;
    target[i] = (float) tanh (5 * low);
  }
  bench_peaks (&peaks);
  g_print ("instruction set %s; peak %.1f multiply-adds a ns\n"
           "%-8s %5s %12s %14s %10s\n",
      seq_isa_name (seq_cpu_isa ()), peaks.multiply_adds, "kind", "size",
      "M samples/s", "mult-adds/ns", "of peak");
  for (const SeqKind *const *k = seq_kind_choices (); *k; k++)
    for (guint s = 0; s < G_N_ELEMENTS (sizes); s++)
      if ((*k)->flags & SEQ_KIND_TRAINS
          && (argc < 2 || g_str_equal (argv[1], (*k)->name))
          && (argc < 3 || atoi (argv[2]) == (int) sizes[s]))
        bench ((*k)->name, sizes[s], in, target, &peaks);
  return 0;
}
