/* test_statedict.c: PyTorch's state_dicts: which modules run, in which order,
 * and that no tensor is forgotten.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What should come out is computed in double by plain loops, from PyTorch's
 * definitions of its modules.
 */
#include "src/chain.h"
#include "src/io/load.h"
#include "tests/reference.h"

#include <math.h>
#include <string.h>

#define N 300          /* frames */
#define TOLERANCE 2e-6 /* of outputs up to 2 or so, in float */

/* --- a state_dict ------------------------------------------------------------
 */

/* Tensors as a JSON object of nested lists, and their values by name. */
typedef struct {
  GString *json;
  GHashTable *values;
  GRand *rand;
} Dict;

static void
dict_init (Dict *dict, guint32 seed)
{
  dict->json = g_string_new (NULL);
  dict->values = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, g_free);
  dict->rand = g_rand_new_with_seed (seed);
}

static void
dict_clear (Dict *dict)
{
  g_string_free (dict->json, TRUE);
  g_hash_table_unref (dict->values);
  g_rand_free (dict->rand);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Dict, dict_clear)

/* A tensor of random values around `mean`; b and c are 0 below rank 2 and 3. */
static void
add (Dict *dict, const char *name, guint a, guint b, guint c, double mean)
{
  guint n = a * MAX (b, 1) * MAX (c, 1);
  double *values = g_new (double, n + 1);
  GString *json = dict->json;

  g_string_append_printf (json, "%s\"%s\": [", json->len ? ", " : "", name);
  for (guint i = 0; i < n; i++) {
    char text[G_ASCII_DTOSTR_BUF_SIZE];
    guint row = MAX (b, 1) * MAX (c, 1);

    values[i] = (float) (mean + g_rand_double_range (dict->rand, -0.6, 0.6));
    g_string_append (json, i ? ", " : "");
    if (b && i % row == 0)
      g_string_append_c (json, '[');
    if (c && i % c == 0)
      g_string_append_c (json, '[');
    g_string_append (json, g_ascii_dtostr (text, sizeof text, values[i]));
    if (c && i % c == c - 1)
      g_string_append_c (json, ']');
    if (b && i % row == row - 1)
      g_string_append_c (json, ']');
  }
  g_string_append_c (json, ']');
  g_hash_table_insert (dict->values, (gpointer) name, values);
}

static const double *
get (const Dict *dict, const char *name)
{
  const double *values = g_hash_table_lookup (dict->values, name);

  g_assert_nonnull (values);
  return values;
}

/* Loads it, with model options as text. */
static SeqModel *
load (const Dict *dict, const char *options, GError **error)
{
  g_autofree char *text = g_strdup_printf ("{%s}", dict->json->str);
  g_autoptr (GBytes) bytes = g_bytes_new (text, strlen (text));

  return seq_model_load_bytes (bytes, "net", NULL,
      options ? g_variant_new_parsed (options) : NULL, error);
}

static void
assert_refused (const Dict *dict, const char *options, const char *says)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SeqModel) model = load (dict, options, &error);

  g_assert_null (model);
  if (!strstr (error->message, says))
    g_error ("%s; expected something of %s", error->message, says);
}

static double
input (guint t, guint k)
{
  return (float) (0.6 * sin (0.07 * t + k) + 0.3 * sin (1.1 * t * (k + 1)));
}

/* Compares the model with y, [N][n_out]. */
static void
assert_output (const SeqModel *model, const double *y)
{
  const SeqChain *chain = model->chain;
  g_autoptr (SeqWork) work = seq_work_new (chain, N, 1, FALSE);
  real *state = seq_alloc (chain->n_state);
  SeqPass pass = { .n_frames = N, .weights = model->weights, .state = state };
  double spread = 0;

  seq_chain_start (chain, model->weights, state);
  for (guint t = 0; t < N; t++)
    for (guint k = 0; k < model->n_in; k++)
      work->in[t * work->in_stride + k] = (real) input (t, k);
  seq_chain_run (chain, work, &pass);
  for (guint t = 0; t < N; t++)
    for (guint o = 0; o < model->n_out; o++) {
      double expected = y[t * model->n_out + o];
      double got = work->out[t * work->out_stride + o];

      if (!(fabs (got - expected) <= TOLERANCE))
        g_error ("frame %u: %g; expected %g", t, got, expected);
      spread = MAX (spread, fabs (expected - y[o]));
    }
  g_assert_cmpfloat (spread, >, 0.01);
  seq_free (state);
}

/* --- PyTorch's modules ------------------------------------------------------
 */

static void
linear (const double *w, const double *b, guint n_in, guint n_out,
    const double *x, double *y)
{
  for (guint o = 0; o < n_out; o++) {
    y[o] = b[o];
    for (guint i = 0; i < n_in; i++)
      y[o] += w[o * n_in + i] * x[i];
  }
}

static void
layer_norm (const double *w, const double *b, guint n, double *x)
{
  double mean = 0, variance = 0;

  for (guint i = 0; i < n; i++)
    mean += x[i] / n;
  for (guint i = 0; i < n; i++)
    variance += (x[i] - mean) * (x[i] - mean) / n;
  for (guint i = 0; i < n; i++)
    x[i] = (x[i] - mean) / sqrt (variance + 1e-5) * w[i] + b[i];
}

static void
add_gru (Dict *dict, guint n_in, guint n)
{
  add (dict, "gru.weight_ih_l0", 3 * n, n_in, 0, 0);
  add (dict, "gru.weight_hh_l0", 3 * n, n, 0, 0);
  add (dict, "gru.bias_ih_l0", 3 * n, 0, 0, 0);
  add (dict, "gru.bias_hh_l0", 3 * n, 0, 0, 0);
}

static RefCell
gru_of (const Dict *dict, guint n_in, guint n)
{
  return (RefCell){ .n_in = n_in,
    .hidden_size = n,
    .w_ih = get (dict, "gru.weight_ih_l0"),
    .w_hh = get (dict, "gru.weight_hh_l0"),
    .b_ih = get (dict, "gru.bias_ih_l0"),
    .b_hh = get (dict, "gru.bias_hh_l0") };
}

/* --- tests ------------------------------------------------------------------
 */

/* conv1d (1, 4, 5, dilation) -> leaky relu -> layer norm -> GRU -> linear: in
 * the order that the option says, and not without it. */
static void
test_modules (void)
{
  static const guint dilations[] = { 1, 3 };
  g_auto (Dict) dict = { NULL };
  RefCell gru;

  dict_init (&dict, 1);
  add (&dict, "front.weight", 4, 1, 5, 0);
  add (&dict, "front.bias", 4, 0, 0, 0);
  add (&dict, "norm.weight", 4, 0, 0, 1);
  add (&dict, "norm.bias", 4, 0, 0, 0);
  add_gru (&dict, 4, 4);
  add (&dict, "out.weight", 1, 4, 0, 0);
  add (&dict, "out.bias", 1, 0, 0, 0);
  gru = gru_of (&dict, 4, 4);
  assert_refused (&dict, NULL, "front.");
  assert_refused (&dict, "{'modules': <'front,nrm,gru,out'>}", "'nrm'");
  assert_refused (&dict, "{'modules': <'front:0,norm,gru,out'>}", "dilation");
  assert_refused (&dict, "{'modules': <'front,out,gru'>}", "columns");
  for (guint d = 0; d < G_N_ELEMENTS (dilations); d++) {
    g_autofree char *options = g_strdup_printf (
        "{'modules': <'front:%u, leaky_relu, norm, gru, out'>}", dilations[d]);
    g_autoptr (GError) error = NULL;
    g_autoptr (SeqModel) model = load (&dict, options, &error);
    double y[N], h[4] = { 0 };

    g_assert_no_error (error);
    for (guint t = 0; t < N; t++) {
      double x[4];

      for (guint o = 0; o < 4; o++) {
        x[o] = get (&dict, "front.bias")[o];
        for (guint k = 0; k < 5; k++)
          if (t >= (4 - k) * dilations[d])
            x[o] += get (&dict, "front.weight")[o * 5 + k]
                    * input (t - (4 - k) * dilations[d], 0);
        x[o] = x[o] > 0 ? x[o] : 0.01 * x[o];
      }
      layer_norm (get (&dict, "norm.weight"), get (&dict, "norm.bias"), 4, x);
      ref_gru (&gru, TRUE, x, h);
      linear (
          get (&dict, "out.weight"), get (&dict, "out.bias"), 4, 1, h, &y[t]);
    }
    assert_output (model, y);
    g_assert_null (g_hash_table_lookup (model->metadata, "left out"));
  }
}

/* GRU -> batch norm -> PReLU -> linear: one order fits, and no option is
 * needed. */
static void
test_batch_norm (void)
{
  g_auto (Dict) dict = { NULL };
  g_autoptr (GError) error = NULL;
  g_autoptr (SeqModel) model = NULL, twisted = NULL;
  RefCell gru;
  double y[2 * N], h[5] = { 0 };

  dict_init (&dict, 2);
  add_gru (&dict, 3, 5);
  add (&dict, "bn.weight", 5, 0, 0, 1);
  add (&dict, "bn.bias", 5, 0, 0, 0);
  add (&dict, "bn.running_mean", 5, 0, 0, 0);
  add (&dict, "bn.running_var", 5, 0, 0, 1);
  add (&dict, "fc.weight", 2, 5, 0, 0);
  add (&dict, "fc.bias", 2, 0, 0, 0);
  model = load (&dict, NULL, &error);
  g_assert_no_error (error);
  gru = gru_of (&dict, 3, 5);
  for (guint t = 0; t < N; t++) {
    double x[3] = { input (t, 0), input (t, 1), input (t, 2) }, u[5];

    ref_gru (&gru, TRUE, x, h);
    for (guint i = 0; i < 5; i++)
      u[i] = (h[i] - get (&dict, "bn.running_mean")[i])
                 / sqrt (get (&dict, "bn.running_var")[i] + 1e-5)
                 * get (&dict, "bn.weight")[i]
             + get (&dict, "bn.bias")[i];
    linear (
        get (&dict, "fc.weight"), get (&dict, "fc.bias"), 5, 2, u, y + 2 * t);
  }
  assert_output (model, y);
  /* a PReLU as wide as the norm may stand before or after it */
  add (&dict, "act.weight", 1, 0, 0, 0.3);
  assert_refused (&dict, NULL, "more than one order");
  twisted = load (&dict, "{'modules': <'gru,bn,act,fc'>}", &error);
  g_assert_no_error (error);
  g_assert_cmpuint (twisted->n_layers, ==, 4);
}

/* A linear module before the recurrent one. */
static void
test_projection (void)
{
  g_auto (Dict) dict = { NULL };
  g_autoptr (GError) error = NULL;
  g_autoptr (SeqModel) model = NULL;
  RefCell gru;
  double y[4 * N], h[4] = { 0 };

  dict_init (&dict, 3);
  add (&dict, "proj.weight", 6, 2, 0, 0);
  add (&dict, "proj.bias", 6, 0, 0, 0);
  add_gru (&dict, 6, 4);
  model = load (&dict, NULL, &error);
  g_assert_no_error (error);
  gru = gru_of (&dict, 6, 4);
  for (guint t = 0; t < N; t++) {
    double x[2] = { input (t, 0), input (t, 1) }, u[6];

    linear (get (&dict, "proj.weight"), get (&dict, "proj.bias"), 2, 6, x, u);
    ref_gru (&gru, TRUE, u, h);
    memcpy (y + 4 * t, h, sizeof h);
  }
  assert_output (model, y);
}

static void
add_rnn (Dict *dict, const char *const names[2], guint n_in, guint n)
{
  add (dict, names[0], n, n_in, 0, 0);
  add (dict, names[1], n, n, 0, 0);
}

/* An autoencoder fits both ways round; its names tell. */
static void
test_order (void)
{
  static const char *const encoder[] = { "encoder.rnn.weight_ih_l0",
    "encoder.rnn.weight_hh_l0" };
  static const char *const decoder[] = { "decoder.rnn.weight_ih_l0",
    "decoder.rnn.weight_hh_l0" };
  static const char *const second[] = { "rnn2.weight_ih_l0",
    "rnn2.weight_hh_l0" };
  static const char *const tenth[] = { "rnn10.weight_ih_l0",
    "rnn10.weight_hh_l0" };
  static const char *const left[] = { "left.weight_ih_l0",
    "left.weight_hh_l0" };
  static const char *const right[] = { "right.weight_ih_l0",
    "right.weight_hh_l0" };
  static const struct {
    const char *const *first, *const *second;
    const char *order;
  } pairs[] = { { encoder, decoder, "encoder.rnn,decoder.rnn" },
    { second, tenth, "rnn2,rnn10" }, { left, right, NULL } };

  for (guint i = 0; i < G_N_ELEMENTS (pairs); i++) {
    g_auto (Dict) dict = { NULL };
    g_autoptr (GError) error = NULL;
    g_autoptr (SeqModel) model = NULL;

    dict_init (&dict, 4);
    add_rnn (&dict, pairs[i].second, 5, 3);
    add_rnn (&dict, pairs[i].first, 3, 5);
    if (!pairs[i].order) {
      assert_refused (&dict, NULL, "more than one order");
      model = load (&dict, "{'modules': <'left,right'>}", &error);
    } else {
      model = load (&dict, NULL, &error);
    }
    g_assert_no_error (error);
    g_assert_cmpuint (model->n_in, ==, 3);
    g_assert_cmpuint (model->n_out, ==, 3);
    g_assert_cmpstr (g_hash_table_lookup (model->metadata, "order by names"),
        ==, pairs[i].order);
  }
}

/* What no module has is refused by name, or left out on purpose and listed. */
static void
test_unused (void)
{
  g_auto (Dict) dict = { NULL };
  g_autoptr (GError) error = NULL;
  g_autoptr (SeqModel) model = NULL, aux = NULL;

  dict_init (&dict, 5);
  add_gru (&dict, 1, 3);
  add (&dict, "aux.weight", 2, 3, 4, 0);
  aux = load (&dict, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (
      g_hash_table_lookup (aux->metadata, "left out"), ==, "aux.weight");
  add (&dict, "gain", 1, 0, 0, 1);
  assert_refused (&dict, NULL, "'gain'");
  model = load (&dict, "{'modules': <'gru'>}", &error);
  g_assert_no_error (error);
  g_assert_cmpstr (g_hash_table_lookup (model->metadata, "left out"), ==,
      "aux.weight, gain");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/statedict/modules", test_modules);
  g_test_add_func ("/statedict/batch-norm", test_batch_norm);
  g_test_add_func ("/statedict/projection", test_projection);
  g_test_add_func ("/statedict/order", test_order);
  g_test_add_func ("/statedict/unused", test_unused);
  return g_test_run ();
}
