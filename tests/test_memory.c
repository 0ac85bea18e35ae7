/* test_memory.c: long memory, end to end.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The adding problem: Hochreiter and Schmidhuber 1997, section 5.4, as Le et
 * al. 2015 pose it: sequences of T frames of two inputs, a number in 0..1 and a
 * mark that is 1 at two places, one in each half; the output after the last
 * frame is to be the sum of the two marked numbers. Always answering 1 has a
 * mean square error of 1/6 = 0.167.
 *
 * The copy task: Hochreiter and Schmidhuber 1997, section 5.1, as Arjovsky et
 * al. 2016 pose it: SYMBOLS symbols out of LETTERS, T blanks, a mark, and then
 * the symbols are to be said again; inputs and outputs are one-hot, the loss is
 * the cross entropy of the symbols said. Guessing is right once in LETTERS.
 *
 * The gates begin with chrono initialisation (Tallec and Ollivier 2018). Few
 * sequences side by side and a high rate: what copying lacks is updates. The
 * rate falls, for at a constant one the symbols in the middle, which are the
 * last to be told apart, stay at some percent.
 *
 *   test_memory         the adding problem at T = 100: asserts what is reached
 *   test_memory bench   prints the table of docs/training.md
 */
#include "src/adam.h"
#include "src/builder.h"

#include <math.h>
#include <string.h>
#include <time.h>

#define BATCH 16
#define CLIP 1.0
#define RATE 1e-2   /* to begin with */
#define ADDED 0.01  /* mean square error of a solved adding problem */
#define COPIED 0.01 /* share of wrong symbols of a solved copy task */
#define SYMBOLS 10
#define LETTERS 8
#define BLANK LETTERS
#define MARK (LETTERS + 1)

typedef struct {
  gboolean copies;
  guint T;
  SeqModel *model;
  SeqWork *work;
  real *weights, *gradient, *moment1, *moment2;
  real *state, *start, *d_out, *d_in, *d_state;
  guint n_frames;
  GRand *rand;
} Task;

static Task
task_new (const char *cell, gboolean copies, guint T)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SeqBuilder) builder = seq_builder_new (copies ? LETTERS + 2 : 2);
  const SeqLayerClass *klass = seq_layer_class (cell);
  GVariantDict options;
  guint n_frames = copies ? T + 2 * SYMBOLS : T;
  Task t = { .copies = copies,
    .T = T,
    .n_frames = n_frames,
    .rand = g_rand_new_with_seed (42) };
  const SeqChain *chain;

  g_variant_dict_init (&options, NULL);
  g_variant_dict_insert (&options, "hidden_size", "u", copies ? 128 : 32);
  if (g_strv_contains (klass->kind.options, "chrono"))
    g_variant_dict_insert (&options, "chrono", "u", T);
  seq_builder_add (builder, cell, g_variant_dict_end (&options), &error);
  g_assert_no_error (error);
  g_variant_dict_init (&options, NULL);
  g_variant_dict_insert (&options, "out_features", "u", copies ? LETTERS : 1);
  seq_builder_add (builder, "dense", g_variant_dict_end (&options), &error);
  g_assert_no_error (error);
  seq_builder_seed (builder, 1);
  t.model = seq_builder_finish (builder, &error);
  g_assert_no_error (error);
  chain = t.model->chain;
  t.work = seq_work_new (chain, n_frames, BATCH, TRUE);
  t.weights = seq_alloc (chain->n_weights);
  t.gradient = seq_alloc (chain->n_weights);
  t.moment1 = seq_alloc (chain->n_weights);
  t.moment2 = seq_alloc (chain->n_weights);
  t.state = seq_alloc (BATCH * chain->n_state);
  t.start = seq_alloc (BATCH * chain->n_state);
  t.d_state = seq_alloc (BATCH * chain->n_state);
  t.d_out = seq_alloc (n_frames * BATCH * t.work->out_stride);
  t.d_in = seq_alloc (n_frames * BATCH * t.work->in_stride);
  memcpy (t.weights, t.model->weights, chain->n_weights * sizeof (real));
  return t;
}

static void
task_clear (Task *t)
{
  real **blocks[] = { &t->weights, &t->gradient, &t->moment1, &t->moment2,
    &t->state, &t->start, &t->d_state, &t->d_out, &t->d_in };

  for (guint i = 0; i < G_N_ELEMENTS (blocks); i++)
    seq_free (*blocks[i]);
  seq_work_free (t->work);
  seq_model_unref (t->model);
  g_rand_free (t->rand);
}

/* Fills a lane with numbers to add. */
static double
pose_adding (Task *t, guint lane)
{
  guint n = t->n_frames;
  gint marks[2] = { g_rand_int_range (t->rand, 0, (gint) n / 2),
    g_rand_int_range (t->rand, (gint) n / 2, (gint) n) };
  double sum = 0;

  for (guint f = 0; f < n; f++) {
    real *x = t->work->in + (f * BATCH + lane) * t->work->in_stride;

    x[0] = (real) g_rand_double (t->rand);
    x[1] = (gint) f == marks[0] || (gint) f == marks[1];
    sum += x[0] * x[1];
  }
  return sum;
}

/* Fills a lane with symbols to copy. */
static void
pose_copying (Task *t, guint lane, guint *symbols)
{
  for (guint f = 0; f < t->n_frames; f++) {
    real *x = t->work->in + (f * BATCH + lane) * t->work->in_stride;
    guint letter = f == SYMBOLS + t->T - 1 ? MARK : BLANK;

    if (f < SYMBOLS)
      letter = symbols[f] = (guint) g_rand_int_range (t->rand, 0, LETTERS);
    memset (x, 0, (LETTERS + 2) * sizeof *x);
    x[letter] = 1;
  }
}

/* Square error of a lane's answer, and its gradient. */
static double
mark_adding (Task *t, guint lane, double wanted)
{
  gsize at = ((gsize) (t->n_frames - 1) * BATCH + lane) * t->work->out_stride;
  double e = t->work->out[at] - wanted;

  t->d_out[at] = (real) (2 * e / BATCH);
  return e * e;
}

/* Share of wrong symbols of a lane, and the gradient of their cross entropy. */
static double
mark_copying (Task *t, guint lane, const guint *symbols)
{
  guint wrong = 0;

  for (guint i = 0; i < SYMBOLS; i++) {
    gsize at =
        ((gsize) (SYMBOLS + t->T + i) * BATCH + lane) * t->work->out_stride;
    const real *y = t->work->out + at;
    double sum = 0;
    guint said = 0;

    for (guint k = 0; k < LETTERS; k++) {
      sum += exp (y[k]);
      said = y[k] > y[said] ? k : said;
    }
    for (guint k = 0; k < LETTERS; k++)
      t->d_out[at + k] =
          (real) ((exp (y[k]) / sum - (k == symbols[i])) / (SYMBOLS * BATCH));
    wrong += said != symbols[i];
  }
  return (double) wrong / SYMBOLS;
}

/* One batch and a step of Adam: mean error of the answers. */
static double
batch (Task *t, double rate, guint64 n_updates)
{
  const SeqChain *chain = t->model->chain;
  double wanted[BATCH], error = 0, norm;
  guint symbols[BATCH][SYMBOLS];
  SeqPass pass = {
    .n_frames = t->n_frames, .weights = t->weights, .state = t->state
  };

  for (guint l = 0; l < BATCH; l++) {
    if (t->copies)
      pose_copying (t, l, symbols[l]);
    else
      wanted[l] = pose_adding (t, l);
    seq_chain_start (chain, t->weights, t->state + l * chain->n_state);
  }
  memcpy (t->start, t->state, BATCH * chain->n_state * sizeof (real));
  seq_chain_run (chain, t->work, &pass);

  memset (t->d_out, 0,
      (gsize) t->n_frames * BATCH * t->work->out_stride * sizeof (real));
  for (guint l = 0; l < BATCH; l++)
    error += (t->copies ? mark_copying (t, l, symbols[l])
                        : mark_adding (t, l, wanted[l]))
             / BATCH;
  memset (t->gradient, 0, chain->n_weights * sizeof (real));
  memset (t->d_state, 0, BATCH * chain->n_state * sizeof (real));
  pass.state = t->start;
  seq_chain_grad (
      chain, t->work, &pass, t->d_out, t->gradient, t->d_in, t->d_state);
  norm = seq_norm (t->gradient, chain->n_weights);
  seq_adam (t->weights, t->moment1, t->moment2, t->gradient, chain->n_weights,
      norm > CLIP ? CLIP / norm : 1, rate, n_updates);
  return error;
}

/* Root of the mean square of the gradient of the error by ten inputs. */
static double
gradient_by_inputs (const Task *t, guint from)
{
  double sum = 0;

  for (gsize i = (gsize) from * BATCH; i < (gsize) (from + 10) * BATCH; i++)
    for (guint k = 0; k < t->model->chain->n_in; k++)
      sum += pow (t->d_in[i * t->work->in_stride + k], 2);
  return sqrt (sum / (10 * BATCH * t->model->chain->n_in));
}

/* Microseconds of this thread, so that others' work on the core is not seen. */
static double
now (void)
{
  struct timespec t;

  clock_gettime (CLOCK_THREAD_CPUTIME_ID, &t);
  return (double) t.tv_sec * 1e6 + (double) t.tv_nsec / 1e3;
}

/* Trains until solved or max_sequences, where the rate would be 0; returns the
 * running error and prints a row of a table. */
static double
solve (const char *cell, gboolean copies, guint T, guint max_sequences)
{
  Task t = task_new (cell, copies, T);
  double begin = now (), running = copies ? 1 : 0.2;
  double solved = copies ? COPIED : ADDED;
  guint64 n = 0;

  while (n * BATCH < max_sequences && running > solved) {
    double left = 1 - (double) (n * BATCH) / max_sequences;
    double error = batch (&t, RATE * left, ++n);

    running += (error - running) / 100;
  }
  g_print ("# | %s | %u | %s | %s | %" G_GUINT64_FORMAT
           " | %.1f | %.4f | %.0e, %.0e |\n",
      copies ? "copying" : "adding", T, cell, running <= solved ? "yes" : "no",
      n * BATCH, (now () - begin) / 1e6, running, gradient_by_inputs (&t, 0),
      gradient_by_inputs (&t, t.n_frames - 10));
  task_clear (&t);
  return running;
}

/* The table; T and the most sequences of each problem. */
static int
bench (void)
{
  static const char *const cells[] = { "lstm", "gru", "rnn" };
  static const struct {
    gboolean copies;
    guint T, max_sequences;
  } problems[] = { { FALSE, 100, 100000 }, { FALSE, 200, 100000 },
    { FALSE, 400, 100000 }, { FALSE, 750, 100000 }, { TRUE, 50, 200000 } };

  g_print ("# | problem | T | cell | solved | sequences | seconds | error | "
           "gradient by the first, last ten inputs |\n"
           "# | --- | ---: | --- | --- | ---: | ---: | ---: | --- |\n");
  for (guint i = 0; i < G_N_ELEMENTS (problems); i++)
    for (guint c = 0; c < G_N_ELEMENTS (cells); c++)
      solve (cells[c], problems[i].copies, problems[i].T,
          problems[i].max_sequences);
  return 0;
}

static void
test_gated (gconstpointer cell)
{
  g_assert_cmpfloat (solve (cell, FALSE, 100, 100000), <=, ADDED);
}

static void
test_rnn_forgets (void)
{
  g_assert_cmpfloat (solve ("rnn", FALSE, 100, 20000), >, 0.1);
}

int
main (int argc, char **argv)
{
  if (argc > 1 && g_str_equal (argv[1], "bench"))
    return bench ();
  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func ("/memory/adding-problem/lstm", "lstm", test_gated);
  g_test_add_data_func ("/memory/adding-problem/gru", "gru", test_gated);
  g_test_add_func ("/memory/adding-problem/rnn", test_rnn_forgets);
  return g_test_run ();
}
