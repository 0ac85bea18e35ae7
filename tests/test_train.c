/* test_train.c: training from recordings: gradients of the whole chain and its
 * losses, the same bits whatever the threads and the stops, systems that must
 * be recovered, and what is found wrong with recordings.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Built in single and in double precision; the gradients are checked in the
 * latter alone.
 */
#include "src/builder.h"
#include "src/chain.h"
#include "src/io/safetensors.h"
#include "src/train/fit.h"
#include "src/train/prepare.h"
#include "src/train/recording.h"
#include "src/train/trainer.h"

#include <math.h>
#include <string.h>

/* --- what is learnt from -------------------------------------------------- */

typedef struct {
  SeqTrainerData data;
  float *in, *target;
} Pair;

/* Noise with some memory, and the same through a saturating one-pole filter. */
static Pair
effect (gsize n)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (3);
  Pair p = { .in = g_new (float, n), .target = g_new (float, n) };
  double x = 0, y = 0;

  for (gsize t = 0; t < n; t++) {
    x = 0.7 * x + 0.2 * g_rand_double_range (rand, -1, 1);
    y = 0.6 * y + 0.4 * tanh (3 * x);
    p.in[t] = (float) x;
    p.target[t] = (float) (0.8 * y + 0.02);
  }
  p.data = (SeqTrainerData){
    .n_frames = n, .n_in = 1, .n_out = 1, .in = p.in, .target = p.target
  };
  return p;
}

static void
pair_clear (Pair *p)
{
  g_free (p->in);
  g_free (p->target);
}

static SeqModel *
net (const char *kind, guint hidden_size, guint n_layers, gboolean skip,
    guint64 seed)
{
  GVariantDict options;
  g_autoptr (GError) error = NULL;
  SeqModel *model;

  g_variant_dict_init (&options, NULL);
  g_variant_dict_insert (&options, "hidden_size", "u", hidden_size);
  model = seq_model_new_untrained (kind, g_variant_dict_end (&options), 1,
      n_layers, FALSE, skip, seed, &error);
  g_assert_no_error (error);
  return model;
}

static const SeqTrainerConfig usual = { .segment = 300,
  .warmup = 60,
  .update = 80,
  .batch = 40,
  .threads = 1,
  .max_epochs = 6,
  .patience = 2,
  .early = 100,
  .loss = SEQ_LOSS_ESR,
  .pre_emphasis = 0.85,
  .dc = 1,
  .rate = 5e-3,
  .min_rate = 1e-5,
  .clip = 1,
  .parts = { 80, 10, 10 },
  .seed = 5 };

static SeqTrainer *
trainer_new (SeqModel *model, const Pair *p, const SeqTrainerConfig *config)
{
  g_autoptr (GError) error = NULL;
  SeqTrainer *trainer = seq_trainer_new (model, &p->data, config, &error);

  g_assert_no_error (error);
  return trainer;
}

/* --- gradients -------------------------------------------------------------
 */

#ifdef SEQ_DOUBLE

typedef struct {
  const char *kind;
  guint n_layers;
  gboolean skip;
  SeqLoss loss;
} Chain;

/* A trainer whose epoch is one update from rest, over pieces in two shards. */
static SeqTrainer *
one_update (SeqModel *model, const Pair *p, SeqLoss loss)
{
  SeqTrainerConfig config = usual;

  config.segment = config.update = 40;
  config.warmup = 0;
  config.independent = TRUE;
  config.batch = 18;
  config.loss = loss;
  config.clip = 0;
  config.patience = 100;
  config.parts[SEQ_TRAIN] = 18;
  config.parts[SEQ_VALIDATION] = config.parts[SEQ_TEST] = 1;
  return trainer_new (model, p, &config);
}

static double
loss_of (SeqModel *model, const Pair *p, SeqLoss loss)
{
  SeqTrainer *trainer = one_update (model, p, loss);
  double value;

  g_assert_true (seq_trainer_batch (trainer));
  value = seq_trainer_report (trainer)->train_loss;
  seq_trainer_free (trainer);
  return value;
}

/* Adam's first moment after one update is a tenth of the gradient. */
static void
test_gradient (gconstpointer user_data)
{
  const Chain *c = user_data;
  Pair p = effect (20 * 40);
  g_autoptr (SeqModel) model = net (c->kind, 3, c->n_layers, c->skip, 1);
  SeqTrainer *trainer;
  g_autoptr (GBytes) bytes = NULL;
  g_autoptr (SeqSafetensors) file = NULL;
  real *weights = (real *) model->weights; /* nobody else has the model */
  const double *moment;
  double worst = 0, greatest = 0;
  guint n = 0;

  /* the silent read-out that a net with a skip connection begins with hides the
   * net */
  for (gsize i = 0; c->skip && i < 3; i++)
    weights[model->chain->weights_at[c->n_layers]
            + seq_tensor_index (&model->chain->layers[c->n_layers]->tensors[0],
                0, 0, (guint) i)] = 0.3 - 0.2 * (double) i;
  trainer = one_update (model, &p, c->loss);
  g_assert_true (seq_trainer_batch (trainer));
  bytes = seq_trainer_checkpoint (trainer);
  file = seq_safetensors_parse (bytes, NULL);
  moment = seq_safetensors_find (file, "moment1")->data;
  for (guint l = 0; l < model->chain->n_layers; l++)
    for (guint k = 0; k < model->chain->layers[l]->n_tensors; k++) {
      const SeqTensor *t = &model->chain->layers[l]->tensors[k];

      for (guint i = 0; i < t->gates * t->rows * t->cols; i++, n++) {
        gsize at = model->chain->weights_at[l]
                   + seq_tensor_index (t, i / (t->rows * t->cols),
                       i / t->cols % t->rows, i % t->cols);
        double kept = weights[at], difference;

        weights[at] = kept + 1e-5;
        difference = loss_of (model, &p, c->loss);
        weights[at] = kept - 1e-5;
        difference -= loss_of (model, &p, c->loss);
        weights[at] = kept;
        difference /= 2e-5;
        worst = MAX (worst, fabs (10 * moment[at] - difference));
        greatest = MAX (greatest, fabs (difference));
      }
    }
  g_test_message ("%u weights: worst difference %.1e, greatest gradient %.1e",
      n, worst, greatest);
  g_assert_cmpfloat (greatest, >, 1e-3);
  g_assert_cmpfloat (worst, <=, 1e-8 * greatest);
  seq_trainer_free (trainer);
  pair_clear (&p);
}

static void
add_gradient_test (
    const char *kind, guint n_layers, gboolean skip, SeqLoss loss)
{
  static const char *const losses[] = { "esr", "mse", "huber" };
  Chain chain = { kind, n_layers, skip, loss };
  g_autofree char *path = g_strdup_printf ("/train/gradient/%s-%u%s/%s", kind,
      n_layers, skip ? "-skip" : "", losses[loss]);

  g_test_add_data_func_full (
      path, g_memdup2 (&chain, sizeof chain), test_gradient, g_free);
}

#else

/* Trains for n epochs, or until it is over. */
static void
epochs (SeqTrainer *trainer, guint n)
{
  const SeqTrainerReport *r = seq_trainer_report (trainer);
  guint end = r->epoch + n;

  while (r->epoch < end && r->end == SEQ_TRAINER_GOES_ON)
    seq_trainer_batch (trainer);
}

/* --- the same bits ---------------------------------------------------------
 */

/* Everything that a training leaves is in its checkpoint. */
static void
assert_same (SeqTrainer *a, SeqTrainer *b)
{
  g_autoptr (GBytes) first = seq_trainer_checkpoint (a);
  g_autoptr (GBytes) second = seq_trainer_checkpoint (b);

  g_assert_true (g_bytes_equal (first, second));
}

static void
test_threads (void)
{
  Pair p = effect (40000);
  g_autoptr (SeqModel) model = net ("lstm", 8, 1, TRUE, 1);
  SeqTrainer *one = trainer_new (model, &p, &usual);

  epochs (one, 4);
  for (guint threads = 2; threads <= 5; threads++) {
    SeqTrainerConfig config = usual;
    SeqTrainer *many;

    config.threads = threads;
    many = trainer_new (model, &p, &config);
    epochs (many, 4);
    assert_same (one, many);
    seq_trainer_free (many);
  }
  seq_trainer_free (one);
  pair_clear (&p);
}

static void
test_resume (void)
{
  Pair p = effect (40000);
  g_autoptr (SeqModel) model = net ("gru", 8, 2, TRUE, 1);
  SeqTrainer *whole = trainer_new (model, &p, &usual);

  epochs (whole, 6);
  for (guint stop = 1; stop < 6; stop++) {
    SeqTrainer *first = trainer_new (model, &p, &usual), *second;
    SeqTrainerConfig config = usual;
    g_autoptr (GBytes) checkpoint = NULL;
    g_autoptr (GError) error = NULL;

    epochs (first, stop);
    checkpoint = seq_trainer_checkpoint (first);
    seq_trainer_free (first);
    config.threads = 2;
    second = trainer_new (model, &p, &config);
    g_assert_true (seq_trainer_resume (second, checkpoint, &error));
    g_assert_no_error (error);
    epochs (second, 100);
    assert_same (whole, second);
    g_assert_cmpint (seq_trainer_report (second)->end, ==, SEQ_TRAINER_EPOCHS);
    seq_trainer_free (second);
  }
  seq_trainer_free (whole);
  pair_clear (&p);
}

/* What was over stays over. */
static void
test_resume_after_the_end (void)
{
  Pair p = effect (40000);
  g_autoptr (SeqModel) model = net ("rnn", 4, 1, TRUE, 1);
  SeqTrainerConfig config = usual;
  SeqTrainer *first, *second;
  g_autoptr (GBytes) checkpoint = NULL;

  config.target_esr = 0.9;
  first = trainer_new (model, &p, &config);
  epochs (first, 6);
  g_assert_cmpint (seq_trainer_report (first)->end, ==, SEQ_TRAINER_TARGET);
  checkpoint = seq_trainer_checkpoint (first);
  second = trainer_new (model, &p, &config);
  g_assert_true (seq_trainer_resume (second, checkpoint, NULL));
  g_assert_cmpint (seq_trainer_report (second)->end, ==, SEQ_TRAINER_TARGET);
  seq_trainer_free (first);
  seq_trainer_free (second);
  pair_clear (&p);
}

static void
test_foreign_checkpoints (void)
{
  Pair p = effect (40000);
  g_autoptr (SeqModel) model = net ("lstm", 4, 1, TRUE, 1);
  SeqTrainer *trainer = trainer_new (model, &p, &usual), *other;
  SeqTrainerConfig config = usual;
  g_autoptr (GBytes) checkpoint = NULL;
  g_autoptr (GError) error = NULL;

  epochs (trainer, 1);
  checkpoint = seq_trainer_checkpoint (trainer);
  config.rate = 1e-3;
  other = trainer_new (model, &p, &config);
  g_assert_false (seq_trainer_resume (other, checkpoint, &error));
  g_assert_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE);
  g_test_message ("%s", error->message);
  g_assert_nonnull (
      strstr (error->message, "has 'rate 0.005'; expected 'rate 0.001'"));
  seq_trainer_free (other);
  seq_trainer_free (trainer);
  pair_clear (&p);
}

/* A checkpoint with one number of its facts, or the size of a tensor, changed.
 */
static GBytes *
spoil (GBytes *checkpoint, guint fact, double value, const char *shortened)
{
  g_autoptr (SeqSafetensors) file = seq_safetensors_parse (checkpoint, NULL);
  double facts[8];

  for (guint i = 0; i < file->tensors->len; i++) {
    SeqTensorData *t = &g_array_index (file->tensors, SeqTensorData, i);

    if (g_str_equal (t->name, "facts")) {
      g_assert_cmpuint (t->size, ==, sizeof facts);
      memcpy (facts, t->data, sizeof facts);
      facts[fact] = value;
      t->data = facts;
    }
    if (g_strcmp0 (t->name, shortened) == 0) {
      t->shape[0]--;
      t->size = t->size / (t->shape[0] + 1) * t->shape[0];
    }
  }
  return seq_safetensors_write ((const SeqTensorData *) file->tensors->data,
      file->tensors->len, file->metadata);
}

/* What is refused leaves the trainer as it was. */
static void
test_damaged_checkpoints (void)
{
  static const struct {
    guint fact;
    double value;
  } bad[] = { { 0, 0 }, { 0, 1.5 }, { 0, 1e300 }, { 0, NAN }, { 0, 3 },
    { 1, -1 }, { 2, INFINITY }, { 3, 3 }, { 4, 3 }, { 7, 0 }, { 7, NAN } };
  static const char *const tensors[] = { "facts", "history", "params",
    "average", "best", "moment1", "moment2" };
  Pair p = effect (40000);
  g_autoptr (SeqModel) model = net ("lstm", 4, 1, TRUE, 1);
  SeqTrainer *trainer = trainer_new (model, &p, &usual);
  SeqTrainer *untouched = trainer_new (model, &p, &usual);
  g_autoptr (GBytes) checkpoint = NULL;

  epochs (trainer, 2);
  epochs (untouched, 2);
  checkpoint = seq_trainer_checkpoint (trainer);
  for (gsize cut = 0; cut < g_bytes_get_size (checkpoint); cut += 97) {
    g_autoptr (GBytes) part = g_bytes_new_from_bytes (checkpoint, 0, cut);

    g_assert_false (seq_trainer_resume (trainer, part, NULL));
  }
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (GBytes) spoilt =
        spoil (checkpoint, bad[i].fact, bad[i].value, NULL);
    g_autoptr (GError) error = NULL;

    g_assert_false (seq_trainer_resume (trainer, spoilt, &error));
    g_assert_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED);
  }
  for (guint i = 1; i < G_N_ELEMENTS (tensors); i++) {
    g_autoptr (GBytes) spoilt = spoil (checkpoint, 0, 2, tensors[i]);
    g_autoptr (GError) error = NULL;

    g_assert_false (seq_trainer_resume (trainer, spoilt, &error));
    g_assert_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED);
    g_test_message ("%s", error->message);
  }
  epochs (trainer, 2);
  epochs (untouched, 2);
  assert_same (trainer, untouched);
  seq_trainer_free (trainer);
  seq_trainer_free (untouched);
  pair_clear (&p);
}

/* --- what must be learnt ----------------------------------------------------
 */

/* A net learns what another net does. */
static void
test_teacher (void)
{
  Pair p = effect (60000);
  g_autoptr (SeqModel) teacher = net ("lstm", 3, 1, FALSE, 11);
  g_autoptr (SeqModel) student = net ("lstm", 6, 1, FALSE, 12);
  const SeqChain *chain = teacher->chain;
  real *weights = (real *) teacher->weights; /* nobody else has the model */
  g_autoptr (SeqWork) work = seq_work_new (chain, 100, 1, FALSE);
  real *state = seq_alloc (chain->n_state);
  SeqTrainerConfig config = usual;
  SeqEvaluation evaluation;
  SeqTrainer *trainer;

  /* strong weights, and no bias of the output that would be learnt at once */
  for (gsize i = 0; i < chain->n_weights; i++)
    weights[i] *= 2;
  weights[chain->weights_at[1]
          + seq_tensor_index (&chain->layers[1]->tensors[1], 0, 0, 0)] = 0;
  for (gsize t = 0; t < p.data.n_frames; t += 100) {
    SeqPass pass = {
      .n_frames = 100, .weights = teacher->weights, .state = state
    };

    for (guint f = 0; f < 100; f++)
      work->in[f * work->in_stride] = p.in[t + f];
    seq_chain_run (chain, work, &pass);
    for (guint f = 0; f < 100; f++)
      p.target[t + f] = work->out[f * work->out_stride];
  }
  seq_free (state);
  config.rate = 0.02;
  config.max_epochs = 120;
  config.patience = 3;
  config.target_esr = 2e-5;
  trainer = trainer_new (student, &p, &config);
  epochs (trainer, config.max_epochs);
  evaluation = seq_trainer_evaluate (trainer);
  g_assert_cmpint (evaluation.split, ==, SEQ_TEST);
  g_test_message ("test ESR %.2g after %u epochs", evaluation.esr,
      seq_trainer_report (trainer)->epoch);
  g_assert_cmpfloat (evaluation.esr, <=, 4e-5);
  seq_trainer_free (trainer);
  pair_clear (&p);
}

/* Three coefficients, an offset and a scale; and two channels of it are two
 * recordings. */
static SeqModel *
fit_ar (const float *x, gsize n, guint n_channels)
{
  const double half = 0.5, two = 2, five = 5;
  GVariantDict options;
  g_autoptr (GError) error = NULL;
  g_autoptr (SeqModel) model = NULL, scaled = NULL;
  g_autoptr (SeqBuilder) builder = NULL;
  SeqModel *fitted;

  g_variant_dict_init (&options, NULL);
  g_variant_dict_insert_value (
      &options, "lags", g_variant_new_parsed ("[@u 1, 2, 3]"));
  g_variant_dict_insert (&options, "forgetting", "d", 1.);
  model = seq_model_new_untrained (
      "ar", g_variant_dict_end (&options), 1, 1, FALSE, FALSE, 0, &error);
  g_assert_no_error (error);
  builder = seq_builder_new_from (model);
  seq_builder_set_scales (builder, &half, &five, &two, &five);
  scaled = seq_builder_finish (builder, &error);
  g_assert_no_error (error);
  fitted = seq_fit_model (scaled, x, n, n_channels, &error);
  g_assert_no_error (error);
  return fitted;
}

/* Least squares over x - 5 by the normal equations, in double precision. */
static void
normal_equations (const float *x, gsize n, double w[3])
{
  double a[3][4] = { 0 };

  for (gsize t = 3; t < n; t++)
    for (guint i = 0; i < 3; i++)
      for (guint j = 0; j < 4; j++)
        a[i][j] += (x[t - 1 - i] - 5.) * (x[j < 3 ? t - 1 - j : t] - 5.);
  for (guint i = 0; i < 3; i++)
    for (guint r = 0; r < 3; r++) {
      double factor = a[r][i] / a[i][i];

      for (guint j = 0; r != i && j < 4; j++)
        a[r][j] -= factor * a[i][j];
    }
  for (guint i = 0; i < 3; i++)
    w[i] = a[i][3] / a[i][i];
}

static void
test_ar_is_least_squares (void)
{
  static const double truth[] = { 1.2, -0.6, 0.2 };
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);
  gsize n = 20000;
  g_autofree float *x = g_new (float, n), *two = g_new (float, 2 * n);
  g_autoptr (SeqModel) fitted = NULL, of_two = NULL;
  double w[3], noise = 0, power = 0;

  x[0] = x[1] = x[2] = 5;
  for (gsize t = 3; t < n; t++) {
    double e = g_rand_double_range (rand, -0.1, 0.1);

    noise += e * e;
    for (guint i = 0; i < 3; i++)
      e += truth[i] * (x[t - 1 - i] - 5);
    x[t] = (float) (e + 5);
    power += e * e;
  }
  normal_equations (x, n, w);
  fitted = fit_ar (x, n, 1);
  for (guint i = 0; i < 3; i++) {
    g_assert_cmpfloat (fabs (w[i] - truth[i]), <=, 0.03);
    g_assert_cmpfloat (
        fabs (seq_model_get (fitted, 0, 0, 0, 0, i) - w[i]), <=, 2e-5);
  }
  g_assert_cmpfloat (fabs (seq_fit_esr (fitted, x, n, 1, 100) - noise / power),
      <=, 0.02 * noise / power);
  for (gsize t = 0; t < 2 * n; t++)
    two[t] = x[t / 2];
  of_two = fit_ar (two, n, 2);
  for (guint i = 0; i < 3; i++)
    g_assert_cmpfloat (
        fabs (seq_model_get (of_two, 0, 0, 0, 0, i) - w[i]), <=, 1e-4);
}

static void
test_markov_counts (void)
{
  static const float levels[] = { -1, 0, 1 }; /* round and round */
  g_autoptr (GError) error = NULL;
  g_autoptr (SeqModel) model = NULL, fitted = NULL;
  GVariantDict options;
  float x[4000];

  for (guint t = 0; t < G_N_ELEMENTS (x); t++)
    x[t] = levels[t % 3];
  g_variant_dict_init (&options, NULL);
  g_variant_dict_insert (&options, "states", "u", 3);
  g_variant_dict_insert (&options, "range", "d", 1.);
  model = seq_model_new_untrained (
      "markov", g_variant_dict_end (&options), 1, 1, FALSE, FALSE, 0, &error);
  g_assert_no_error (error);
  fitted = seq_fit_model (model, x, G_N_ELEMENTS (x), 1, &error);
  g_assert_no_error (error);
  g_assert_cmpfloat (seq_fit_esr (fitted, x, G_N_ELEMENTS (x), 1, 8), <=, 1e-3);
}

/* Fitted to the first part, judged on the last, beside repeating the last
 * value. */
static void
test_fit_split (void)
{
  const double parts[SEQ_N_SPLITS] = { 70, 20, 10 };
  const double no_test[SEQ_N_SPLITS] = { 80, 20, 0 };
  Pair p = effect (20003);
  g_autoptr (SeqRecording) recording = seq_recording_new (
      "x.wav", 0, 1, 20003, g_memdup2 (p.target, 20003 * sizeof (float)));
  g_autoptr (SeqModel) model = NULL, fitted = NULL, by_hand = NULL;
  g_autoptr (GError) error = NULL;
  SeqTrainerData data;
  SeqEvaluation e;
  double squares = 0, power = 0;

  model = seq_model_new_untrained ("ar", NULL, 1, 1, FALSE, FALSE, 0, &error);
  g_assert_no_error (error);
  g_assert_true (seq_trainer_data_init (&data, recording, NULL, 1, &error));
  fitted = seq_fit_split (model, &data, parts, &e, &error);
  g_assert_no_error (error);
  by_hand = seq_fit_model (model, p.target, 14002, 1, &error);
  g_assert_cmpmem (fitted->weights, fitted->chain->n_weights * sizeof (real),
      by_hand->weights, by_hand->chain->n_weights * sizeof (real));
  g_assert_cmpint (e.split, ==, SEQ_TEST);
  g_assert_cmpuint (e.start, ==, 18002);
  g_assert_cmpuint (e.n_frames, ==, 2000);
  g_assert_cmpfloat (e.esr, ==,
      seq_fit_esr (by_hand, p.target + 18002 - 4096, 2001 + 4096, 1, 4096));
  for (gsize t = 18002; t < 20002; t++) {
    squares += pow ((double) p.target[t + 1] - p.target[t], 2);
    power += pow (p.target[t + 1], 2);
  }
  g_assert_cmpfloat (fabs (e.persistence - squares / power), <=, 1e-12);
  g_assert_cmpfloat (e.esr, <, e.persistence);

  g_clear_pointer (&fitted, seq_model_unref);
  fitted = seq_fit_split (model, &data, no_test, &e, &error);
  g_assert_no_error (error);
  g_assert_cmpint (e.split, ==, SEQ_VALIDATION);
  g_assert_cmpfloat (e.esr, ==, e.validation_esr);
  data.n_frames = 8; /* the test part is no longer than the horizon */
  g_assert_null (seq_fit_split (model, &data, parts, &e, &error));
  g_assert_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE);
  pair_clear (&p);
}

/* --- before training --------------------------------------------------------
 */

static void
test_splits (void)
{
  static const struct {
    double parts[SEQ_N_SPLITS];
    gsize n_frames, unit, at[SEQ_N_SPLITS + 1];
  } cases[] = { { { 80, 10, 10 }, 1000, 1, { 0, 800, 900, 1000 } },
    { { 0.8, 0.1, 0.1 }, 1000, 1, { 0, 800, 900, 1000 } },
    { { 340, 42, 43 }, 425 * 7 + 3, 7, { 0, 340 * 7, 382 * 7, 425 * 7 } },
    { { 2, 1, 0 }, 10, 1, { 0, 6, 10, 10 } },
    { { 1, 1, 1 }, 5, 2, { 0, 0, 2, 4 } } };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    SeqSplits splits =
        seq_splits_divide (cases[i].parts, cases[i].n_frames, cases[i].unit);

    for (guint k = 0; k <= SEQ_N_SPLITS; k++)
      g_assert_cmpuint (splits.at[k], ==, cases[i].at[k]);
  }
}

/* Two channels whose mean and standard deviation over the first 800 of 1000
 * frames are known; after them everything is different. */
static SeqRecording *
two_channels (double mean0, double deviation0, double mean1, double deviation1)
{
  float *x = g_new (float, 2000);

  for (guint t = 0; t < 1000; t++) {
    double sign = t >= 800 ? 50 : t % 2 ? -1 : 1;

    x[2 * t] = (float) (mean0 + sign * deviation0);
    x[2 * t + 1] = (float) (mean1 + sign * deviation1);
  }
  return seq_recording_new ("x.wav", 0, 2, 1000, x);
}

static void
test_scales (void)
{
  const double parts[SEQ_N_SPLITS] = { 80, 10, 10 };
  g_autoptr (SeqRecording) usual_level = two_channels (0.5, 0.125, 0, 0.25);
  g_autoptr (SeqRecording) odd_level = two_channels (0.5, 0.125, 0, 16);
  g_autoptr (SeqRecording) silent = two_channels (0.5, 0.125, 3, 0);
  g_autoptr (SeqModel) model = NULL, scaled = NULL;
  g_autoptr (GError) error = NULL;
  SeqTrainerData data;

  model = seq_model_new_untrained ("gru", NULL, 2, 1, FALSE, FALSE, 0, &error);
  g_assert_no_error (error);

  /* a prediction: deviations from the mean, by the training part alone */
  seq_trainer_data_init (&data, usual_level, NULL, 1, &error);
  scaled = seq_prepare_scales (model, &data, parts, FALSE, &error);
  g_assert_no_error (error);
  g_assert_cmpfloat (scaled->in_shift[0], ==, 0.5);
  g_assert_cmpfloat (scaled->in_scale[1], ==, 4);
  g_assert_cmpfloat (scaled->out_shift[0], ==, 0.5);
  g_assert_cmpfloat (scaled->out_scale[0], ==, 0.125);
  g_assert_false (model->normalised);
  g_clear_pointer (&scaled, seq_model_unref);

  /* an effect at a usual level: as it is */
  seq_trainer_data_init (&data, usual_level, usual_level, 0, &error);
  scaled = seq_prepare_scales (model, &data, parts, FALSE, &error);
  g_assert_true (scaled == model);
  g_clear_pointer (&scaled, seq_model_unref);
  scaled = seq_prepare_scales (model, &data, parts, TRUE, &error);
  g_assert_cmpfloat (scaled->in_scale[0], ==, 0.8);
  g_assert_cmpfloat (scaled->in_shift[0], ==, 0);
  g_clear_pointer (&scaled, seq_model_unref);

  /* only what is odd is scaled */
  seq_trainer_data_init (&data, usual_level, odd_level, 0, &error);
  scaled = seq_prepare_scales (model, &data, parts, FALSE, &error);
  g_assert_cmpfloat (scaled->in_scale[1], ==, 1);
  g_assert_cmpfloat (scaled->out_scale[0], ==, 1);
  g_assert_cmpfloat (scaled->out_scale[1], ==, 160);
  g_clear_pointer (&scaled, seq_model_unref);

  seq_trainer_data_init (&data, silent, NULL, 1, &error);
  g_assert_null (seq_prepare_scales (model, &data, parts, FALSE, &error));
  g_assert_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE);
}

static void
test_prepare (void)
{
  g_autoptr (SeqModel) learner =
      seq_model_new_untrained ("lstm", NULL, 1, 1, TRUE, FALSE, 1, NULL);
  g_autoptr (SeqModel) ar =
      seq_model_new_untrained ("ar", NULL, 1, 1, FALSE, FALSE, 0, NULL);
  g_autoptr (SeqModel) model = NULL, same = NULL;
  g_autoptr (GError) error = NULL;
  Pair p = effect (20000);

  /* one that learnt in its state can be trained by gradient afterwards */
  model = seq_prepare_model (learner, 48000, 0, &error);
  g_assert_no_error (error);
  g_assert_cmpfloat (model->rate, ==, 48000);
  g_assert_cmpuint (model->horizon, ==, 0);
  seq_trainer_free (trainer_new (model, &p, &usual));
  g_assert_cmpfloat (learner->rate, ==, 0);

  g_assert_null (seq_prepare_model (model, 44100, 0, &error));
  g_assert_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE);
  g_clear_error (&error);
  same = seq_prepare_model (model, 0, 3, &error);
  g_assert_no_error (error);
  g_assert_cmpfloat (same->rate, ==, 48000);
  g_assert_cmpuint (same->horizon, ==, 3);

  /* the horizon of a model that learns in its state is built in */
  g_clear_pointer (&same, seq_model_unref);
  same = seq_prepare_model (ar, 48000, 1, &error);
  g_assert_no_error (error);
  for (guint horizon = 0; horizon <= 2; horizon += 2) {
    g_assert_null (seq_prepare_model (ar, 48000, horizon, &error));
    g_assert_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG);
    g_test_message ("%s", error->message);
    g_clear_error (&error);
  }
  pair_clear (&p);
}

/* --- what can't be trained --------------------------------------------------
 */

static void
refused (SeqModel *model, const SeqTrainerData *data,
    const SeqTrainerConfig *config, SeqError code, const char *word)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (seq_trainer_new (model, data, config, &error));
  g_assert_error (error, SEQ_ERROR, (gint) code);
  g_test_message ("%s", error->message);
  g_assert_nonnull (strstr (error->message, word));
}

static void
test_refused (void)
{
  Pair p = effect (20000);
  g_autoptr (SeqModel) model = net ("lstm", 4, 1, TRUE, 1);
  g_autoptr (SeqModel) naive =
      seq_model_new_untrained ("naive", NULL, 1, 1, FALSE, FALSE, 0, NULL);
  g_autoptr (SeqModel) readout =
      seq_model_new_untrained ("lstm", NULL, 1, 1, TRUE, FALSE, 0, NULL);
  g_autoptr (GError) error = NULL;
  SeqTrainerConfig config = usual;
  SeqTrainerData wide = p.data;

  refused (naive, &p.data, &usual, SEQ_ERROR_CONFIG, "naive");
  refused (readout, &p.data, &usual, SEQ_ERROR_CONFIG, "readout");
  g_assert_null (seq_fit_model (model, p.in, p.data.n_frames, 1, &error));
  g_assert_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG);
  g_clear_error (&error);
  g_assert_null (seq_fit_model (naive, p.in, p.data.n_frames, 1, &error));
  g_assert_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG);

  wide.n_out = 2;
  wide.n_frames /= 2;
  refused (model, &wide, &usual, SEQ_ERROR_SHAPE, "are 1 and 2");
  config.segment = 17000;
  refused (model, &p.data, &config, SEQ_ERROR_SHAPE, "for training");
  config.segment = config.warmup;
  refused (model, &p.data, &config, SEQ_ERROR_CONFIG, "segment is 60");
  config = usual;
  config.parts[SEQ_VALIDATION] = 0;
  refused (model, &p.data, &config, SEQ_ERROR_CONFIG, "validation");
  memset (p.target + 16000, 0, 2000 * sizeof (float));
  refused (model, &p.data, &usual, SEQ_ERROR_SHAPE,
      "16000 to 18000, those for validation");
  memset (p.target, 0, 16000 * sizeof (float));
  refused (model, &p.data, &usual, SEQ_ERROR_SHAPE, "those for training");
  pair_clear (&p);
}

/* A rate that breaks everything is seen, and the start is kept. */
static void
test_broken (void)
{
  Pair p = effect (20000);
  g_autoptr (SeqModel) model = net ("rnn", 4, 1, TRUE, 1);
  g_autoptr (SeqModel) best = NULL;
  SeqTrainerConfig config = usual;
  SeqTrainer *trainer;

  for (guint i = 0; i < model->chain->layers[0]->n_out; i++)
    ((real *) model->weights)[i] = NAN;
  trainer = trainer_new (model, &p, &config);
  epochs (trainer, 6);
  g_assert_cmpint (seq_trainer_report (trainer)->end, ==, SEQ_TRAINER_BROKEN);
  g_assert_cmpuint (seq_trainer_report (trainer)->epoch, ==, 1);
  g_assert_cmpuint (seq_trainer_report (trainer)->best_epoch, ==, 0);
  seq_trainer_free (trainer);
  pair_clear (&p);
}

/* --- recordings -------------------------------------------------------------
 */

/* A copy of p's input (or target), moved: frame t comes at t + delay. */
static SeqRecording *
moved (const float *x, gsize n, gint64 delay, float scale)
{
  float *samples = g_new0 (float, n);

  for (gint64 t = 0; t < (gint64) n; t++)
    if (t - delay >= 0 && t - delay < (gint64) n)
      samples[t] = scale * x[t - delay];
  return seq_recording_new ("moved", 48000, 1, n, samples);
}

static void
test_align (void)
{
  static const gint64 delays[] = { 0, 1, 37, 12345, -1, -100, -20000 };
  Pair p = effect (300000);
  gsize n = p.data.n_frames;
  g_autoptr (SeqRecording) dry = moved (p.in, n, 0, 1);

  for (guint i = 0; i < G_N_ELEMENTS (delays); i++)
    for (guint k = 0; k < 4; k++) {
      gboolean flip = k % 2;
      g_autoptr (SeqRecording) wet =
          moved (k < 2 ? p.in : p.target, n, delays[i], flip ? -0.3f : 0.3f);
      SeqAlignment found = seq_recording_align (dry, wet, 48000);

      g_assert_cmpint (found.delay, ==, delays[i]);
      g_assert_true (found.flipped == flip);
      g_assert_cmpfloat (found.clarity, >, 30);
    }
  pair_clear (&p);
}

/* A dull recording tells its delay too; strangers have none. */
static void
test_align_dull_and_strange (void)
{
  Pair p = effect (300000);
  gsize n = p.data.n_frames;
  g_autoptr (GRand) rand = g_rand_new_with_seed (8);
  g_autoptr (SeqRecording) dry = NULL, wet = NULL, stranger = NULL;

  for (guint pass = 0; pass < 3; pass++)
    for (gsize t = 1; t < n; t++)
      p.in[t] = 0.1f * p.in[t] + 0.9f * p.in[t - 1];
  for (gsize t = 0; t < n; t++)
    p.target[t] = (float) g_rand_double_range (rand, -1, 1);
  dry = moved (p.in, n, 0, 1);
  wet = moved (p.in, n, 11, 1);
  stranger = moved (p.target, n, 0, 1);
  g_assert_cmpint (seq_recording_align (dry, wet, 48000).delay, ==, 11);
  g_assert_cmpfloat (seq_recording_align (dry, stranger, 48000).clarity, <, 7);
  pair_clear (&p);
}

static void
test_match (void)
{
  Pair p = effect (1000);
  g_autoptr (SeqRecording) dry = moved (p.in, 1000, 0, 1);
  g_autoptr (SeqRecording) wet = moved (p.in, 900, 20, 1);

  seq_recording_match (dry, wet, 20);
  g_assert_cmpuint (dry->n_frames, ==, 880);
  g_assert_cmpuint (wet->n_frames, ==, 880);
  g_assert_cmpmem (
      dry->samples, 880 * sizeof (float), wet->samples, 880 * sizeof (float));
  seq_recording_match (dry, wet, -5);
  g_assert_cmpuint (dry->n_frames, ==, 875);
  g_assert_cmpfloat (dry->samples[0], ==, wet->samples[5]);
  pair_clear (&p);
}

/* Notes of a mono recording at 48 kHz, joined; NULL with an error. */
static char *
notes_of (float *x, gsize n, GError **error)
{
  g_autoptr (GPtrArray) notes = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (SeqRecording) r =
      seq_recording_new ("x.wav", 48000, 1, n, g_memdup2 (x, n * sizeof *x));
  gboolean fine = seq_recording_check (r, 5000, TRUE, notes, error);

  g_ptr_array_add (notes, NULL);
  return fine ? g_strjoinv ("\n", (char **) notes->pdata) : NULL;
}

static void
noted (float *x, gsize n, const char *word)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *notes = notes_of (x, n, &error);

  g_assert_no_error (error);
  g_test_message ("%s", notes);
  if (word)
    g_assert_nonnull (strstr (notes, word));
  else
    g_assert_cmpstr (notes, ==, "");
}

static void
test_check (void)
{
  Pair p = effect (20000);
  gsize n = p.data.n_frames;
  g_autofree float *x = g_new (float, n);
  float peak = 0;

#define EACH(value)                                                            \
  for (gsize t = 0; t < n; t++)                                                \
  x[t] = (float) (value)
  for (gsize t = 0; t < n; t++)
    peak = MAX (peak, fabsf (p.in[t]));
  EACH (p.in[t]);
  noted (x, n, NULL);
  EACH (p.in[t] / peak); /* peak-normalised is not clipped */
  noted (x, n, NULL);
  EACH (round (p.in[t] / peak * 32767) / 32768); /* nor in 16 bits */
  noted (x, n, NULL);
  EACH (CLAMP (p.in[t], -0.2, 0.2));
  noted (x, n, "clipped");
  EACH (p.in[t] + 0.1);
  noted (x, n, "offset");
  EACH (p.in[t] * 1e-3);
  noted (x, n, "quiet");
  EACH (p.in[t]);
  noted (x, 4000, "short");
  pair_clear (&p);
}

static void
unusable (float *x, gsize n, const char *word)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *notes = notes_of (x, n, &error);

  g_assert_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE);
  g_test_message ("%s", error->message);
  g_assert_nonnull (strstr (error->message, word));
}

static void
test_check_refuses (void)
{
  Pair p = effect (6000);

  unusable (p.in, 0, "no samples");
  p.in[77] = NAN;
  unusable (p.in, 6000, "sample 77 is nan");
  p.in[77] = INFINITY;
  unusable (p.in, 6000, "sample 77 is inf");
  memset (p.in, 0, 6000 * sizeof (float));
  unusable (p.in, 6000, "silent");
  for (guint t = 0; t < 6000; t++)
    p.in[t] = 0.25f;
  unusable (p.in, 6000, "constant");
  pair_clear (&p);
}

#endif

int
main (int argc, char **argv)
{
#ifdef SEQ_DOUBLE
  SeqLoss loss = SEQ_LOSS_MSE;

  g_test_init (&argc, &argv, NULL);
  for (const SeqKind *const *k = seq_kind_choices (); *k; k++)
    if ((*k)->flags & SEQ_KIND_TRAINS) {
      add_gradient_test ((*k)->name, 1, FALSE, SEQ_LOSS_ESR);
      add_gradient_test ((*k)->name, 2, TRUE, SEQ_LOSS_ESR);
      /* the other losses, which know no kind, with the first two */
      if (loss <= SEQ_LOSS_HUBER)
        add_gradient_test ((*k)->name, 1, TRUE, loss++);
    }
#else
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/train/threads-same-bits", test_threads);
  g_test_add_func ("/train/resume-same-bits", test_resume);
  g_test_add_func ("/train/resume-after-the-end", test_resume_after_the_end);
  g_test_add_func ("/train/foreign-checkpoints", test_foreign_checkpoints);
  g_test_add_func ("/train/damaged-checkpoints", test_damaged_checkpoints);
  g_test_add_func ("/train/learns-a-teacher", test_teacher);
  g_test_add_func ("/train/ar-is-least-squares", test_ar_is_least_squares);
  g_test_add_func ("/train/markov-counts", test_markov_counts);
  g_test_add_func ("/train/fit-split", test_fit_split);
  g_test_add_func ("/train/splits", test_splits);
  g_test_add_func ("/train/scales", test_scales);
  g_test_add_func ("/train/prepare", test_prepare);
  g_test_add_func ("/train/refused", test_refused);
  g_test_add_func ("/train/broken", test_broken);
  g_test_add_func ("/recording/align", test_align);
  g_test_add_func (
      "/recording/align-dull-and-strange", test_align_dull_and_strange);
  g_test_add_func ("/recording/match", test_match);
  g_test_add_func ("/recording/check", test_check);
  g_test_add_func ("/recording/check-refuses", test_check_refuses);
#endif
  return g_test_run ();
}
