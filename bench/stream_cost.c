/* stream_cost.c: what a sample costs in a stream that learns as it goes.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "bench/stream_cost.h"

#include "tools/bench.h"

double
stream_cost (SeqModel *model, SeqLearn learn, guint before, guint n_timed)
{
  const SeqStreamConfig config = {
    .learn = learn, .learning_rate = 3e-3, .window = 64, .horizon = 1
  };
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);
  g_autoptr (SeqStream) stream = seq_stream_new (model, 1, &config, NULL);
  guint n = before + n_timed;
  g_autofree float *x = g_new (float, n), *y = g_new (float, n);
  SeqSignal in = { SEQ_FORMAT_F32, (gpointer[]){ x }, 1 };
  SeqSignal out = { SEQ_FORMAT_F32, (gpointer[]){ y }, 1 };
  const SeqSignal *outputs[SEQ_N_OUTPUTS] = { NULL, &out, NULL, NULL };
  double memory = 0;
  double start;

  for (guint t = 0; t < n; t++)
    x[t] = (float) (memory = .9 * memory + g_rand_double_range (rand, -1, 1));
  seq_stream_process (stream, &in, outputs, before, 1, 1, 0);
  in.channel[0] = x + before;
  out.channel[0] = y + before;
  start = bench_now ();
  seq_stream_process (stream, &in, outputs, n_timed, 1, 1, 0);
  return (bench_now () - start) / n_timed;
}
