/* test_memory.c: long memory, end to end: the adding problem.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Hochreiter and Schmidhuber 1997, section 5.4, as Le et al. 2015 pose it:
 * sequences of T frames of two inputs, a number in 0..1 and a mark that is 1
 * at two places, one in each half; the output after the last frame is to be
 * the sum of the two marked numbers. Always answering 1 has a mean square
 * error of 1/6 = 0.167. The gates begin with chrono initialisation (Tallec
 * and Ollivier 2018).
 *
 *   test_memory              T = 100, asserts what each cell reaches
 *   test_memory T [CELL]     prints how long it takes at that T
 */
#include "src/adam.h"
#include "src/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 20
#define CLIP 1.0
#define SOLVED 0.01

typedef struct {
  SeqModel *model;
  SeqWork *work;
  real *params, *gradient, *moment1, *moment2;
  real *state, *start, *d_out, *d_in, *d_state;
  guint n_frames;
  GRand *rand;
} Task;

static Task
task_new (const char *cell, guint n_frames)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SeqBuilder) builder = seq_builder_new (2);
  const SeqLayerClass *klass = seq_layer_class (cell);
  GVariantDict options;
  Task t = { .n_frames = n_frames, .rand = g_rand_new_with_seed (42) };
  const SeqChain *chain;

  g_variant_dict_init (&options, NULL);
  g_variant_dict_insert (&options, "hidden_size", "u", 32);
  if (g_strv_contains (klass->options, "chrono"))
    g_variant_dict_insert (&options, "chrono", "u", n_frames);
  seq_builder_add (builder, cell, g_variant_dict_end (&options), &error);
  g_assert_no_error (error);
  seq_builder_add (builder, "dense", NULL, &error);
  g_assert_no_error (error);
  seq_builder_seed (builder, 1);
  t.model = seq_builder_finish (builder, &error);
  g_assert_no_error (error);
  chain = t.model->chain;
  t.work = seq_work_new (chain, n_frames, BATCH, TRUE);
  t.params = seq_alloc (chain->n_params);
  t.gradient = seq_alloc (chain->n_params);
  t.moment1 = seq_alloc (chain->n_params);
  t.moment2 = seq_alloc (chain->n_params);
  t.state = seq_alloc (BATCH * chain->n_state);
  t.start = seq_alloc (BATCH * chain->n_state);
  t.d_state = seq_alloc (BATCH * chain->n_state);
  t.d_out = seq_alloc (n_frames * BATCH * t.work->out_stride);
  t.d_in = seq_alloc (n_frames * BATCH * t.work->in_stride);
  memcpy (t.params, t.model->params, chain->n_params * sizeof (real));
  return t;
}

static void
task_clear (Task *t)
{
  real **blocks[] = { &t->params, &t->gradient, &t->moment1, &t->moment2,
    &t->state, &t->start, &t->d_state, &t->d_out, &t->d_in };

  for (guint i = 0; i < G_N_ELEMENTS (blocks); i++)
    seq_free (*blocks[i]);
  seq_work_free (t->work);
  seq_model_unref (t->model);
  g_rand_free (t->rand);
}

/* One batch: error of the answers; with learn, a step of Adam. */
static double
batch (Task *t, double rate, guint64 n_updates)
{
  const SeqChain *chain = t->model->chain;
  guint n = t->n_frames;
  real *in = t->work->in,
       *last = t->work->out + (gsize) (n - 1) * BATCH * t->work->out_stride;
  gsize in_stride = t->work->in_stride, out_stride = t->work->out_stride;
  double wanted[BATCH] = { 0 }, error = 0, norm;
  SeqPass pass = { .n_frames = n, .params = t->params, .state = t->state };

  for (guint l = 0; l < BATCH; l++) {
    gint marks[2] = { g_rand_int_range (t->rand, 0, (gint) n / 2),
      g_rand_int_range (t->rand, (gint) n / 2, (gint) n) };

    for (guint f = 0; f < n; f++) {
      real *x = in + (f * BATCH + l) * in_stride;

      x[0] = (real) g_rand_double (t->rand);
      x[1] = (gint) f == marks[0] || (gint) f == marks[1];
      wanted[l] += x[0] * x[1];
    }
    seq_chain_start (chain, t->params, t->state + l * chain->n_state);
  }
  memcpy (t->start, t->state, BATCH * chain->n_state * sizeof (real));
  seq_chain_run (chain, t->work, &pass);

  memset (t->d_out, 0, n * BATCH * out_stride * sizeof (real));
  for (guint l = 0; l < BATCH; l++) {
    double e = last[l * out_stride] - wanted[l];

    error += e * e / BATCH;
    t->d_out[((gsize) (n - 1) * BATCH + l) * out_stride] =
        (real) (2 * e / BATCH);
  }
  memset (t->gradient, 0, chain->n_params * sizeof (real));
  memset (t->d_state, 0, BATCH * chain->n_state * sizeof (real));
  pass.state = t->start;
  seq_chain_grad (
      chain, t->work, &pass, t->d_out, t->gradient, t->d_in, t->d_state);
  norm = seq_norm (t->gradient, chain->n_params);
  seq_adam (t->params, t->moment1, t->moment2, t->gradient, chain->n_params,
      norm > CLIP ? CLIP / norm : 1, rate, n_updates);
  return error;
}

/* Root of the mean square of the gradient of the error by ten inputs. */
static double
gradient_by_inputs (const Task *t, guint from)
{
  double sum = 0;

  for (gsize i = (gsize) from * BATCH; i < (gsize) (from + 10) * BATCH; i++)
    for (guint k = 0; k < 2; k++)
      sum += pow (t->d_in[i * t->work->in_stride + k], 2);
  return sqrt (sum / (20 * BATCH));
}

/* Trains until solved or max_sequences; returns the running error. */
static double
solve (const char *cell, guint n_frames, guint max_sequences)
{
  Task t = task_new (cell, n_frames);
  gint64 begin = g_get_monotonic_time ();
  double running = 0.2, rate = 5e-3;
  guint64 n = 0;

  while (n * BATCH < max_sequences && running > SOLVED) {
    double error = batch (&t, rate, ++n);

    running += (error - running) / 100;
  }
  g_print ("# T %4u  %-5s %7" G_GUINT64_FORMAT " sequences  %5.1f s  "
           "MSE %.4f  gradient by first ten inputs %.1e, last ten %.1e\n",
      n_frames, cell, n * BATCH, (g_get_monotonic_time () - begin) / 1e6,
      running, gradient_by_inputs (&t, 0),
      gradient_by_inputs (&t, n_frames - 10));
  task_clear (&t);
  return running;
}

static void
test_gated (gconstpointer cell)
{
  g_assert_cmpfloat (solve (cell, 100, 100000), <=, SOLVED);
}

static void
test_rnn_forgets (void)
{
  g_assert_cmpfloat (solve ("rnn", 100, 20000), >, 0.1);
}

int
main (int argc, char **argv)
{
  if (argc > 1 && atoi (argv[1]) > 0) {
    static const char *const cells[] = { "rnn", "gru", "lstm" };

    for (guint i = 0; i < G_N_ELEMENTS (cells); i++)
      if (argc < 3 || g_str_equal (argv[2], cells[i]))
        solve (cells[i], (guint) atoi (argv[1]), 200000);
    return 0;
  }
  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func ("/memory/adding-problem/lstm", "lstm", test_gated);
  g_test_add_data_func ("/memory/adding-problem/gru", "gru", test_gated);
  g_test_add_func ("/memory/adding-problem/rnn", test_rnn_forgets);
  return g_test_run ();
}
