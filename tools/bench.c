/* bench.c: what a model costs on this machine, and what it could cost at least.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "tools/bench.h"
#include "src/chain.h"

#include "src/cpu.h"

#include <math.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define READINGS 150
#define READING 2e5 /* ns: the clock takes some 100 of them */

double
bench_now (void)
{
  struct timespec t;

  clock_gettime (CLOCK_THREAD_CPUTIME_ID, &t);
  return (double) t.tv_sec * 1e9 + (double) t.tv_nsec;
}

static double
time_calls (void (*call) (gpointer), gpointer data, guint n)
{
  double start = bench_now ();

  for (guint i = 0; i < n; i++)
    call (data);
  return bench_now () - start;
}

double
bench_best (void (*call) (gpointer), gpointer data)
{
  guint n = 1;
  double least;

  while ((least = time_calls (call, data, n)) < READING)
    n *= 2;
  for (guint i = 0; i < READINGS; i++)
    least = MIN (least, time_calls (call, data, n));
  return least / n;
}

/* --- peaks ---------------------------------------------------------------- */

#define SUMS 10     /* enough to hide a latency of four cycles twice */
#define ROUNDS 1000 /* of them in one call */
#define UNROLL _Pragma ("GCC unroll 10")

typedef struct {
  const float *at;
  gsize n; /* a multiple of SUMS vectors */
} Region;

static volatile float sink;

/* For one instruction set: a chain of multiply-adds in each of SUMS registers,
 * and the sum of a region. */
#define KERNELS(isa, size, target)                                             \
  typedef float isa##_vec __attribute__ ((vector_size (size)));                \
                                                                               \
  target static void isa##_multiply_add (gpointer data)                        \
  {                                                                            \
    isa##_vec acc[SUMS], x = { 0 };                                            \
                                                                               \
    x += *(float *) data;                                                      \
    UNROLL for (guint k = 0; k < SUMS; k++) acc[k] = x + (float) k;            \
    for (guint i = 0; i < ROUNDS; i++)                                         \
      UNROLL for (guint k = 0; k < SUMS; k++) acc[k] = acc[k] * x + x;         \
    UNROLL for (guint k = 1; k < SUMS; k++) acc[0] += acc[k];                  \
    sink = acc[0][0];                                                          \
  }                                                                            \
                                                                               \
  target static void isa##_read (gpointer data)                                \
  {                                                                            \
    const Region *r = data;                                                    \
    const isa##_vec *at = (const isa##_vec *) r->at;                           \
    isa##_vec sum[SUMS] = { { 0 } };                                           \
                                                                               \
    for (gsize i = 0; i < r->n * sizeof (float) / size; i += SUMS)             \
      UNROLL for (guint k = 0; k < SUMS; k++) sum[k] += at[i + k];             \
    UNROLL for (guint k = 1; k < SUMS; k++) sum[0] += sum[k];                  \
    sink = sum[0][0];                                                          \
  }

KERNELS (c, 16, )
#ifdef __x86_64__
KERNELS (avx2, 32, __attribute__ ((target ("arch=x86-64-v3"))))
KERNELS (avx512, 64,
    __attribute__ ((target ("arch=x86-64-v4,prefer-vector-width=512"))))
#endif

static const struct {
  void (*multiply_add) (gpointer), (*read) (gpointer);
  guint width; /* floats */
} kernels[SEQ_N_ISAS] = {
  { c_multiply_add, c_read, 4 },
#ifdef __x86_64__
  { avx2_multiply_add, avx2_read, 8 },
  { avx512_multiply_add, avx512_read, 16 },
  { avx512_multiply_add, avx512_read, 16 },
#endif
};

void
bench_peaks (BenchPeaks *peaks)
{
  guint isa = seq_cpu_isa ();
  glong l1 = sysconf (_SC_LEVEL1_DCACHE_SIZE);
  glong l2 = sysconf (_SC_LEVEL2_CACHE_SIZE);
  float half = 0.5f;

  peaks->size[0] = l1 > 0 ? (gsize) l1 : 32 << 10;
  peaks->size[1] = l2 > 0 ? (gsize) l2 : 1 << 20;
  peaks->size[2] = G_MAXSIZE;
  peaks->multiply_adds = kernels[isa].width * SUMS * ROUNDS
                         / bench_best (kernels[isa].multiply_add, &half);
  for (guint i = 0; i < BENCH_LEVELS; i++) {
    gsize bytes = i < 2 ? peaks->size[i] / 2 : 4 * peaks->size[1];
    gsize unit = kernels[isa].width * SUMS;
    Region r = { .n = bytes / sizeof (float) / unit * unit };
    real *memory = seq_alloc (r.n);

    r.at = (const float *) memory;
    peaks->bytes[i] = r.n * sizeof (float) / bench_best (kernels[isa].read, &r);
    seq_free (memory);
  }
}

/* --- models --------------------------------------------------------------- */

typedef struct {
  const SeqModel *model;
  SeqWork *work;
  real *state;
  guint n_frames;
} Net;

static void
net_init (Net *net, const SeqModel *model, guint n_lanes, guint n_frames)
{
  const SeqChain *chain = model->chain;

  net->model = model;
  net->n_frames = n_frames;
  net->work = seq_work_new (chain, n_frames, n_lanes, FALSE);
  net->state = seq_alloc (n_lanes * chain->n_state);
  for (guint lane = 0; lane < n_lanes; lane++)
    seq_chain_start (chain, model->weights, net->state + lane * chain->n_state);
}

static void
net_clear (Net *net)
{
  seq_work_free (net->work);
  seq_free (net->state);
}

static void
net_run (gpointer data)
{
  Net *net = data;
  SeqPass pass = { .n_frames = net->n_frames,
    .weights = net->model->weights,
    .state = net->state };

  seq_chain_run (net->model->chain, net->work, &pass);
}

double
bench_model (const SeqModel *model, guint n_lanes, guint n_frames)
{
  Net net;
  double ns;
  guint64 ftz = seq_ftz_begin ();

  net_init (&net, model, n_lanes, n_frames);
  for (gsize row = 0; row < (gsize) n_frames * n_lanes; row++)
    for (guint k = 0; k < model->chain->n_in; k++)
      net.work->in[row * net.work->in_stride + k] = (real) sin (.3 * row + k);
  ns = bench_best (net_run, &net) / n_frames;
  net_clear (&net);
  seq_ftz_end (ftz);
  return ns;
}

/* Values of tensors, and the bytes that a frame reads of them. */
static void
weights_of (const SeqModel *model, double *values, double *bytes)
{
  const SeqChain *chain = model->chain;

  *values = *bytes = 0;
  for (guint i = 0; i < chain->n_layers; i++)
    for (guint j = 0; j < chain->layers[i]->n_tensors; j++) {
      const SeqLayer *layer = chain->layers[i];
      const SeqTensor *t = &layer->tensors[j];
      double n = (double) t->gates * t->rows * t->cols;
      gboolean packed = layer->quantised && g_str_equal (t->name, "weight_hh");

      *values += n;
      *bytes += n
                * (!packed                                              ? 4
                    : g_str_equal (seq_layer_precision (layer), "int8") ? 1
                                                                        : 2);
    }
}

double
bench_multiply_adds (const SeqModel *model)
{
  double values, bytes;

  weights_of (model, &values, &bytes);
  return values;
}

double
bench_floor (const BenchPeaks *peaks, const SeqModel *model, guint n_lanes)
{
  double values, bytes, read = 0;

  weights_of (model, &values, &bytes);
  for (guint i = 0; i < BENCH_LEVELS && bytes > 0; i++) {
    double held = i ? (double) peaks->size[i] - peaks->size[i - 1]
                    : (double) peaks->size[i];

    read += MIN (bytes, held) / peaks->bytes[i];
    bytes -= held;
  }
  return MAX (values * n_lanes / peaks->multiply_adds, read);
}

double
bench_distance (const SeqModel *model, const SeqModel *other, guint n_frames)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);
  double power = 0, error = 0, x = 0;
  guint64 ftz = seq_ftz_begin ();
  Net nets[2];

  net_init (&nets[0], model, 1, BENCH_FRAMES);
  net_init (&nets[1], other, 1, BENCH_FRAMES);
  for (guint at = 0; at < n_frames; at += BENCH_FRAMES) {
    for (guint t = 0; t < BENCH_FRAMES; t++)
      for (guint k = 0; k < model->chain->n_in; k++) {
        x = .9 * x + .3 * g_rand_double_range (rand, -1, 1);
        for (guint i = 0; i < 2; i++)
          nets[i].work->in[t * nets[i].work->in_stride + k] = (real) x;
      }
    net_run (&nets[0]);
    net_run (&nets[1]);
    for (guint t = 0; t < BENCH_FRAMES; t++)
      for (guint k = 0; k < model->chain->n_out; k++) {
        gsize i = t * nets[0].work->out_stride + k;
        double y = nets[0].work->out[i], d = y - nets[1].work->out[i];

        power += y * y;
        error += d * d;
      }
  }
  net_clear (&nets[0]);
  net_clear (&nets[1]);
  seq_ftz_end (ftz);
  return 10 * log10 (power / error);
}
