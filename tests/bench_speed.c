/* bench_speed.c: nanoseconds a sample of every recurrent kind and size, beside
 * the floor that the machine's own peaks give, and the error against float64.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One lane, one input, a dense read-out, blocks of 64 frames: the net as it
 * runs in the element. The floor is the greater of multiply-adds at the peak
 * measured here, and weights at the bandwidth measured here from the level of
 * cache that holds them; activations and the serial chain come on top of it.
 *
 *   bench_speed [KIND [SIZE]]
 */
#include "src/cpu.h"
#include "src/model.h"
#include "tests/reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FRAMES 64

static double
now (void)
{
  return g_get_monotonic_time () * 1e3;
}

/* Best of several: ns of one call. */
static double
best (void (*call) (gpointer), gpointer data)
{
  double least = INFINITY;

  for (guint i = 0; i < 15; i++) {
    guint n = 1;
    double start = now (), ns;

    do
      for (guint k = 0; k < 16; k++, n++)
        call (data);
    while ((ns = now () - start) < 4e6);
    least = MIN (least, ns / (n - 1));
  }
  return least;
}

/* --- peaks
 * -------------------------------------------------------------------- */

static const float *volatile sink;

typedef struct {
  const float *at;
  gsize n;
} Region;

typedef float wide __attribute__ ((vector_size (64), aligned (4)));

#ifdef __x86_64__
__attribute__ ((target_clones ("default", "avx2", "avx512f")))
#endif
static void
region_read (gpointer data)
{
  const Region *r = data;
  wide sum[4] = { { 0 } };

  for (gsize i = 0; i < r->n; i += 64)
    for (guint k = 0; k < 4; k++)
      sum[k] += *(const wide *) (r->at + i + 16 * k);
  sum[0] += sum[1] + sum[2] + sum[3];
  if (sum[0][0] == 0.123f)
    sink = r->at;
}

/* Bytes a ns when reading over and over from a region of that size. */
static double
bandwidth (gsize bytes)
{
  Region r = { (float *) seq_alloc (bytes / sizeof (real)),
    bytes / sizeof (float) };
  double ns = best (region_read, &r);

  seq_free ((gpointer) r.at);
  return bytes / ns;
}

/* Multiply-adds a ns, from registers. */
#ifdef __x86_64__
__attribute__ ((target_clones ("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#endif
static void
multiply_add (gpointer data)
{
  wide acc[10], x = { 0 };

  for (guint k = 0; k < 10; k++)
    acc[k] = x + (float) k;
  x += *(float *) data;
  for (guint i = 0; i < 1000; i++)
    for (guint k = 0; k < 10; k++)
      acc[k] = acc[k] * x + x;
  for (guint k = 1; k < 10; k++)
    acc[0] += acc[k];
  if (acc[0][0] == 0.123f)
    sink = data;
}

/* --- nets
 * ----------------------------------------------------------------------- */

typedef struct {
  SeqModel *model;
  SeqWork *work;
  real *state;
} Net;

static void
net_run (gpointer data)
{
  Net *net = data;
  SeqPass pass = {
    .n_frames = FRAMES, .params = net->model->params, .state = net->state
  };

  seq_chain_run (net->model->chain, net->work, &pass);
}

/* The largest difference from the textbook cell in double over 2000 frames. */
static double
error_of (Net *net, const char *kind)
{
  const SeqLayer *layer = net->model->chain->layers[0];
  guint h = layer->n_out, gates = layer->tensors[0].gates;
  double *w[4];
  g_autofree double *state = g_new0 (double, h), *cell = g_new0 (double, h);
  RefCell ref = { .n_in = 1, .hidden_size = h };
  double worst = 0;

  for (guint i = 0; i < 4; i++)
    w[i] = g_new0 (double, (gsize) gates *h *(i == 1 ? h : 1));
  for (guint i = 0; i < layer->n_tensors; i++) {
    const SeqTensor *t = &layer->tensors[i];
    guint first = i == 3 ? 2 : 0;

    for (guint g = 0; g < t->gates; g++)
      for (guint r = 0; r < h; r++)
        for (guint c = 0; c < t->cols; c++)
          w[i][((first + g) * h + r) * t->cols + c] =
              seq_model_get (net->model, 0, i, g, r, c);
  }
  ref.w_ih = w[0];
  ref.w_hh = w[1];
  ref.b_ih = w[2];
  ref.b_hh = w[3];
  memset (net->state, 0, net->model->chain->n_state * sizeof (real));
  for (guint at = 0; at < 2000; at += FRAMES) {
    for (guint t = 0; t < FRAMES; t++)
      net->work->in[t * net->work->in_stride] = (real) sin (.3 * (at + t));
    net_run (net);
    for (guint t = 0; t < FRAMES; t++) {
      double x = net->work->in[t * net->work->in_stride];
      const real *y = net->work->rows[0] + t * SEQ_PAD (h);

      if (g_str_equal (kind, "lstm"))
        ref_lstm (&ref, &x, state, cell);
      else if (g_str_equal (kind, "gru"))
        ref_gru (&ref, TRUE, &x, state);
      else
        ref_rnn (&ref, FALSE, &x, state);
      for (guint u = 0; u < h; u++)
        worst = MAX (worst, fabs (y[u] - state[u]));
    }
  }
  for (guint i = 0; i < 4; i++)
    g_free (w[i]);
  return worst;
}

int
main (int argc, char **argv)
{
  static const guint sizes[] = { 8, 16, 20, 24, 32, 40, 64, 80, 128, 256 };
  static const char *const kinds[] = { "rnn", "lstm", "gru" };
  float one = 1;
  double peak = 160000 / best (multiply_add, &one);
  double l1 = bandwidth (16 << 10), l2 = bandwidth (512 << 10);
  double l3 = bandwidth (8 << 20);
  guint64 ftz = seq_ftz_begin ();

  g_print ("instruction set %s; %.0f multiply-adds a ns; bytes a ns from 16 "
           "KiB %.0f, 512 KiB %.0f, 8 MiB %.0f\n",
      seq_isa_name (seq_cpu_isa ()), peak, l1, l2, l3);
  g_print ("%-5s %4s %9s %9s %6s %9s\n", "kind", "size", "ns/sample", "floor",
      "ratio", "error");
  for (guint k = 0; k < G_N_ELEMENTS (kinds); k++)
    for (guint s = 0; s < G_N_ELEMENTS (sizes); s++) {
      Net net = { 0 };
      double ns, floor, bytes;

      if ((argc > 1 && !g_str_equal (argv[1], kinds[k]))
          || (argc > 2 && atoi (argv[2]) != (int) sizes[s]))
        continue;
      net.model = seq_model_new_untrained (kinds[k],
          g_variant_new_parsed ("{'hidden_size': <%u>}", sizes[s]), 1, 1, FALSE,
          FALSE, 1, NULL);
      net.work = seq_work_new (net.model->chain, FRAMES, 1, FALSE);
      net.state = seq_alloc (net.model->chain->n_state);
      for (guint t = 0; t < FRAMES; t++)
        net.work->in[t * net.work->in_stride] = (real) sin (.3 * t);
      ns = best (net_run, &net) / FRAMES;
      bytes = net.model->chain->n_params * sizeof (real);
      floor =
          MAX (bytes / sizeof (real) / peak, bytes
                                                 / (bytes <= 32 << 10   ? l1
                                                     : bytes <= 1 << 20 ? l2
                                                                        : l3));
      g_print ("%-5s %4u %9.1f %9.1f %6.2f %9.1e\n", kinds[k], sizes[s], ns,
          floor, ns / floor, error_of (&net, kinds[k]));
      seq_work_free (net.work);
      seq_free (net.state);
      seq_model_unref (net.model);
    }
  seq_ftz_end (ftz);
  return 0;
}
