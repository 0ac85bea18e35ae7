/* test_wavenet.c: the kind wavenet against plain loops in double.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Over recordings that are longer than a block and than all that it looks back
 * on, from a start that is as after silence.
 */
#include "src/layer.h"

#include <math.h>
#include <string.h>

#define LENGTH 700 /* frames: blocks, a rest, and rings that go round */
#define TOLERANCE 2e-6

typedef struct {
  guint channels, bottleneck, head, head_taps, n_layers;
  guint taps[4], dilations[4];
  gboolean gated;
  double slope; /* of a leaky ReLU; 0: tanh */
} Array;

typedef struct {
  const char *name, *config;
  guint n_in, n_arrays;
  Array arrays[2];
} Case;

static const Case cases[] = {
  { "two-arrays",
      "{'arrays': <[{'channels': <[6]>, 'dilations': <[1, 2, 40]>,"
      " 'head_channels': <3>, 'head_bias': <0>}, {'channels': <[3]>,"
      " 'dilations': <[64, 1]>}]>}",
      1, 2,
      { { 6, 6, 3, 1, 3, { 3, 3, 3 }, { 1, 2, 40 } },
          { 3, 3, 1, 1, 2, { 3, 3 }, { 64, 1 } } } },
  { "wide",
      "{'arrays': <[{'channels': <[37]>, 'dilations': <[1, 7]>,"
      " 'kernel_sizes': <[2, 5]>, 'bottleneck': <20>}]>}",
      2, 1, { { 37, 20, 1, 1, 2, { 2, 5 }, { 1, 7 } } } },
  { "gated",
      "{'arrays': <[{'channels': <[5]>, 'dilations': <[3]>, 'gating': <[1]>,"
      " 'bottleneck': <2>, 'head_kernel_size': <9>, 'head_channels': <2>}]>}",
      1, 1, { { 5, 2, 2, 9, 1, { 3 }, { 3 }, TRUE } } },
  { "leaky",
      "{'arrays': <[{'channels': <[8]>, 'dilations': <[1, 13, 29]>,"
      " 'kernel_sizes': <[6, 15, 6]>, 'head_kernel_size': <16>,"
      " 'activations': <[('leaky-relu', [0.01])]>}]>}",
      1, 1, { { 8, 8, 1, 16, 3, { 6, 15, 6 }, { 1, 13, 29 }, FALSE, 0.01 } } },
};

/* --- plain loops: rows of `length` frames, silence before the first --------
 */

typedef struct {
  const SeqLayer *layer;
  const real *weights;
  guint tensor, length;
} Ref;

/* y [rows] += the next tensor times x [n_in]; and its bias, if it has one. */
static void
ref_convolve (Ref *ref, const double *x, guint n_in, guint dilation,
    gboolean bias, double *y)
{
  const SeqTensor *w = &ref->layer->tensors[ref->tensor++];

  g_assert_cmpuint (w->cols, ==, n_in * w->taps);
  for (guint row = 0; row < w->rows; row++)
    for (guint t = 0; t < ref->length; t++)
      for (guint k = 0; k < w->taps; k++) {
        guint back = (w->taps - 1 - k) * dilation;

        for (guint i = 0; i < n_in && back <= t; i++)
          y[row * ref->length + t] +=
              (double) ref->weights[seq_tensor_index (w, 0, row, k * n_in + i)]
              * x[i * ref->length + t - back];
      }
  if (!bias)
    return;
  for (guint row = 0; row < w->rows; row++)
    for (guint t = 0; t < ref->length; t++)
      y[row * ref->length + t] += (double) ref->weights[seq_tensor_index (
          &ref->layer->tensors[ref->tensor], 0, row, 0)];
  ref->tensor++;
}

static double *
rows (const Ref *ref, guint n)
{
  return g_new0 (double, n * ref->length);
}

/* a [bottleneck] of z */
static void
ref_activate (const Ref *ref, const Array *array, const double *z, double *a)
{
  guint n = array->bottleneck * ref->length;

  for (guint i = 0; i < n; i++)
    if (array->slope > 0)
      a[i] = z[i] > 0 ? z[i] : array->slope * z[i];
    else
      a[i] = tanh (z[i]) * (array->gated ? 1 / (1 + exp (-z[n + i])) : 1);
}

/* x and sum of the array before, which is freed, become this one's. */
static void
ref_array (Ref *ref, const Array *array, const double *in, guint n_in,
    double **x, guint n_x, double **sum)
{
  guint c = array->channels, b = array->bottleneck, n = ref->length;
  double *next = rows (ref, c), *out = rows (ref, array->head);

  ref_convolve (ref, *x, n_x, 1, FALSE, next);
  g_free (*x);
  *x = next;
  if (!*sum)
    *sum = rows (ref, b);
  for (guint l = 0; l < array->n_layers; l++) {
    g_autofree double *z = rows (ref, 2 * b), *a = rows (ref, b);
    g_autofree double *r = rows (ref, c);

    g_assert_cmpuint (
        ref->layer->tensors[ref->tensor].taps, ==, array->taps[l]);
    ref_convolve (ref, *x, c, array->dilations[l], TRUE, z);
    ref_convolve (ref, in, n_in, 1, FALSE, z);
    ref_activate (ref, array, z, a);
    ref_convolve (ref, a, b, 1, TRUE, r);
    for (guint i = 0; i < b * n; i++)
      (*sum)[i] += a[i];
    for (guint i = 0; i < c * n; i++)
      (*x)[i] += r[i];
  }
  ref_convolve (ref, *sum, b, 1,
      ref->tensor + 1 < ref->layer->n_tensors
          && g_str_has_suffix (
              ref->layer->tensors[ref->tensor + 1].name, "head.bias"),
      out);
  g_free (*sum);
  *sum = out;
}

/* in [LENGTH][n_in]; returns [LENGTH][n_out] */
static double *
ref_run (const Case *c, const SeqLayer *layer, const real *weights,
    const real *in, gsize in_stride)
{
  enum { SILENCE = 600 };
  Ref ref = { layer, weights, 0, SILENCE + LENGTH };
  g_autofree double *u = rows (&ref, c->n_in), *sum = NULL;
  double *x = rows (&ref, c->n_in);
  double *out = g_new (double, LENGTH * layer->n_out);
  guint n_x = c->n_in;

  for (guint i = 0; i < c->n_in; i++)
    for (guint t = 0; t < LENGTH; t++)
      u[i * ref.length + SILENCE + t] = in[t * in_stride + i];
  memcpy (x, u, c->n_in * ref.length * sizeof (double));
  for (guint i = 0; i < c->n_arrays; i++) {
    ref_array (&ref, &c->arrays[i], u, c->n_in, &x, n_x, &sum);
    n_x = c->arrays[i].channels;
  }
  g_free (x);
  g_assert_cmpuint (ref.tensor, ==, layer->n_tensors);
  for (guint t = 0; t < LENGTH; t++)
    for (guint o = 0; o < layer->n_out; o++)
      out[t * layer->n_out + o] = sum[o * ref.length + SILENCE + t];
  return out;
}

/* --- the kind ------------------------------------------------------------- */

typedef struct {
  SeqLayer *layer;
  real *weights, *state, *in, *out, *tape;
  gsize in_stride, out_stride;
} Bed;

static void
bed_init (Bed *bed, const Case *c)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (c->n_in);
  g_autoptr (GError) error = NULL;

  bed->layer = seq_layer_new (
      "wavenet", g_variant_new_parsed (c->config), c->n_in, &error);
  g_assert_no_error (error);
  bed->in_stride = SEQ_PAD (c->n_in);
  bed->out_stride = SEQ_PAD (bed->layer->n_out);
  bed->weights = seq_alloc (bed->layer->n_weights);
  bed->state = seq_alloc (bed->layer->n_state);
  bed->in = seq_alloc (LENGTH * bed->in_stride);
  bed->out = seq_alloc (LENGTH * bed->out_stride);
  bed->tape = seq_alloc (SEQ_TILE * bed->layer->n_tape);
  bed->layer->klass->seed (bed->layer, rand, bed->weights);
  for (guint t = 0; t < LENGTH; t++)
    for (guint i = 0; i < c->n_in; i++)
      bed->in[t * bed->in_stride + i] =
          (real) g_rand_double_range (rand, -1, 1);
}

static void
bed_clear (Bed *bed)
{
  seq_layer_free (bed->layer);
  seq_free (bed->weights);
  seq_free (bed->state);
  seq_free (bed->in);
  seq_free (bed->out);
  seq_free (bed->tape);
}

/* From the start, in pieces of the given lengths, again and again. */
static void
run_pieces (Bed *bed, const guint *lengths)
{
  const SeqLayer *layer = bed->layer;

  memset (bed->state, 0, layer->n_state * sizeof (real));
  layer->klass->start (layer, bed->weights, bed->state);
  for (guint t = 0, i = 0, n; t < LENGTH; t += n) {
    n = MIN (lengths[i], LENGTH - t);
    i = lengths[i + 1] ? i + 1 : 0;
    layer->klass->run (layer, &(SeqBlock){ .n_frames = n,
                                  .n_lanes = 1,
                                  .weights = bed->weights,
                                  .state = bed->state,
                                  .in = bed->in + t * bed->in_stride,
                                  .in_stride = bed->in_stride,
                                  .out = bed->out + t * bed->out_stride,
                                  .out_stride = bed->out_stride,
                                  .tape = bed->tape });
  }
}

static void
test_reference (gconstpointer data)
{
  const Case *c = data;
  g_autofree double *expected = NULL;
  double worst = 0;
  Bed bed;

  bed_init (&bed, c);
  expected = ref_run (c, bed.layer, bed.weights, bed.in, bed.in_stride);
  run_pieces (&bed, (guint[]){ LENGTH, 0 });
  for (guint t = 0; t < LENGTH; t++)
    for (guint o = 0; o < bed.layer->n_out; o++)
      worst = MAX (worst, fabs (bed.out[t * bed.out_stride + o]
                                - expected[t * bed.layer->n_out + o]));
  g_test_message ("largest error %.1e", worst);
  g_assert_cmpfloat (worst, <=, TOLERANCE);
  bed_clear (&bed);
}

/* However the stream is cut, output and state have the same bits. */
static void
test_cuts (gconstpointer data)
{
  static const guint cuts[][8] = { { 1 }, { 2, 3, 4, 5 }, { 64 }, { 63, 1, 65 },
    { 17, 31, 100, 1 }, { 3 }, { 4 } };
  gsize n_out, n_state;
  real *out, *state;
  Bed bed;

  bed_init (&bed, data);
  run_pieces (&bed, (guint[]){ LENGTH, 0 });
  n_out = LENGTH * bed.out_stride * sizeof (real);
  n_state = bed.layer->n_state * sizeof (real);
  out = g_memdup2 (bed.out, n_out);
  state = g_memdup2 (bed.state, n_state);
  for (guint i = 0; i < G_N_ELEMENTS (cuts); i++) {
    memset (bed.out, 0, n_out);
    run_pieces (&bed, cuts[i]);
    g_assert_cmpmem (bed.out, n_out, out, n_out);
    g_assert_cmpmem (bed.state, n_state, state, n_state);
  }
  g_free (out);
  g_free (state);
  bed_clear (&bed);
}

/* The first part of a state undoes a block. */
static void
test_undo (gconstpointer data)
{
  enum { AT = 500 };
  Bed bed;
  gsize n_undo;
  real *saved, *out;
  SeqBlock block;

  bed_init (&bed, data);
  n_undo = bed.layer->n_undo * sizeof (real);
  g_assert_cmpuint (bed.layer->n_undo, <, bed.layer->n_state);
  run_pieces (&bed, (guint[]){ 64, 0 });
  saved = g_memdup2 (bed.state, n_undo);
  block = (SeqBlock){ .n_frames = SEQ_UNDO_FRAMES,
    .n_lanes = 1,
    .weights = bed.weights,
    .state = bed.state,
    .in = bed.in,
    .in_stride = bed.in_stride,
    .out = bed.out,
    .out_stride = bed.out_stride,
    .tape = bed.tape };
  bed.layer->klass->run (bed.layer, &block);
  out = g_memdup2 (bed.out, SEQ_UNDO_FRAMES * bed.out_stride * sizeof (real));
  memcpy (bed.state, saved, n_undo);
  for (guint t = 0; t < SEQ_UNDO_FRAMES; t++) {
    SeqBlock one = block;

    one.n_frames = 1;
    one.in += t * bed.in_stride;
    one.out += t * bed.out_stride;
    bed.layer->klass->run (bed.layer, &one);
  }
  g_assert_cmpmem (bed.out, SEQ_UNDO_FRAMES * bed.out_stride * sizeof (real),
      out, SEQ_UNDO_FRAMES * bed.out_stride * sizeof (real));
  g_free (saved);
  g_free (out);
  bed_clear (&bed);
}

int
main (int argc, char **argv)
{
  static const struct {
    const char *name;
    GTestDataFunc func;
  } tests[] = { { "reference", test_reference }, { "cuts", test_cuts },
    { "undo", test_undo } };

  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (tests); i++)
    for (guint c = 0; c < G_N_ELEMENTS (cases); c++) {
      g_autofree char *path =
          g_strdup_printf ("/wavenet/%s/%s", tests[i].name, cases[c].name);

      g_test_add_data_func (path, &cases[c], tests[i].func);
    }
  return g_test_run ();
}
