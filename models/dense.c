/* dense.c: a linear layer, y = W x + b (PyTorch's nn.Linear).
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * No state and no tape: the gradient wants the input alone.
 *
 * Rows share the weights. A read-out of few outputs would leave most of a strip
 * idle: its weights are copied out of their tile, once a block, and multiplied
 * along the columns, four at a time, which are just the four parts of
 * add_row_product().
 */
#include "src/simd/product.h"

enum { WEIGHT, BIAS };

#define FEW_OUTPUTS 2
#define MAX_COPY 1024 /* inputs */
#define FEW_COLUMNS 4 /* vectors of them whose gradients registers hold */

static const char *const options[] = { "out_features", "bias", NULL };

static gboolean
dense_init (SeqLayer *layer, GVariant *config, GError **error)
{
  guint bias;

  if (!seq_config_uint (layer, config, "out_features", 1, SEQ_MAX_WIDTH, 1,
          &layer->n_out, error)
      || !seq_config_uint (layer, config, "bias", 0, 1, 1, &bias, error))
    return FALSE;
  seq_layer_add_tensor (layer, "weight", 1, layer->n_out, layer->n_in);
  if (bias)
    seq_layer_add_tensor (layer, "bias", 1, layer->n_out, 1);
  return TRUE;
}

static void
dense_seed (const SeqLayer *layer, GRand *rand, real *weights)
{
  seq_seed_uniform (layer, rand, 1 / sqrt (layer->n_in), weights);
}

typedef real quad __attribute__ ((vector_size (4 * sizeof (real)), may_alias));

SEQ_INLINE quad
quad_loadu (const real *p)
{
  quad q;

  memcpy (&q, p, sizeof q);
  return q;
}

/* as vec_fma() */
SEQ_INLINE quad
quad_fma (quad a, quad b, quad c)
{
#if !defined(SEQ_DOUBLE) && defined(__FMA__)
  return (quad) _mm_fmadd_ps ((__m128) a, (__m128) b, (__m128) c);
#elif !defined(SEQ_DOUBLE) && defined(__aarch64__)
  return (quad) vfmaq_f32 ((float32x4_t) c, (float32x4_t) a, (float32x4_t) b);
#else
  return a * b + c;
#endif
}

/* add_row_product() of one row of weights, in one quad. */
SEQ_INLINE real
dense_run_output (real bias, const real *w, const real *x, guint n)
{
  quad part = { bias };
  guint k = 0;

  for (; k + 4 <= n; k += 4)
    part = quad_fma (quad_loadu (w + k), quad_loadu (x + k), part);
  if (k < n) {
    real rest[4] = { 0 };

    memcpy (rest, x + k, (n - k) * sizeof (real));
    part = quad_fma (quad_loadu (w + k), quad_loadu (rest), part);
  }
  return (part[0] + part[1]) + (part[2] + part[3]);
}

static void
dense_run_few (const SeqLayer *layer, const SeqBlock *block)
{
  const SeqTensor *t = layer->tensors;
  gsize n_rows = (gsize) block->n_frames * block->n_lanes;
  real w[MAX_COPY + 4];

  for (guint o = 0; o < layer->n_out; o++) {
    real bias = layer->n_tensors > BIAS
                    ? block->weights[seq_tensor_index (&t[BIAS], 0, o, 0)]
                    : 0;

    for (guint k = 0; k < layer->n_in; k++)
      w[k] = block->weights[seq_tensor_index (&t[WEIGHT], 0, o, k)];
    memset (w + layer->n_in, 0, 4 * sizeof (real));
    for (gsize row = 0; row < n_rows; row++)
      block->out[row * block->out_stride + o] = dense_run_output (
          bias, w, block->in + row * block->in_stride, layer->n_in);
  }
}

/* n rows from `row` on, of lanes with the same weights. */
SEQ_INLINE void
dense_run_rows (const SeqLayer *layer, const SeqBlock *block,
    const real *weights, gsize row, CONSTANT guint n)
{
  const SeqTensor *weight = &layer->tensors[WEIGHT];
  const real *x[SHARED_ROWS];
  real *out = block->out + row * block->out_stride;

  for (guint r = 0; r < n; r++)
    x[r] = block->in + (row + r) * block->in_stride;
  for (guint s = 0; s < SEQ_STRIPS (layer->n_out); s++) {
    vec a[SHARED_ROWS], bias = { 0 };

    if (layer->n_tensors > BIAS)
      bias = vec_load (weights + strip_at (&layer->tensors[BIAS], s));
    for (guint r = 0; r < n; r++)
      a[r] = bias;
    if (layer->n_out <= FEW_OUTPUTS)
      a[0] = add_row_product (
          bias, weights + strip_at (weight, s), x[0], layer->n_in);
    else
      add_shared_products (
          a, n, weights + strip_at (weight, s), x, layer->n_in);
    for (guint r = 0; r < n; r++)
      vec_store (out + r * block->out_stride + s * SEQ_VEC, a[r]);
  }
}

static void
dense_run (const SeqLayer *layer, const SeqBlock *block)
{
  gsize n_rows = (gsize) block->n_frames * block->n_lanes, row = 0;
  gboolean few = layer->n_out <= FEW_OUTPUTS, shared = !block->weights_stride;

  if (few && shared && layer->n_in <= MAX_COPY && block->n_frames >= 4) {
    dense_run_few (layer, block);
    return;
  }
  for (; shared && !few && row + SHARED_ROWS <= n_rows; row += SHARED_ROWS)
    dense_run_rows (layer, block, block->weights, row, SHARED_ROWS);
  for (; row < n_rows; row++)
    dense_run_rows (layer, block,
        block->weights + row % block->n_lanes * block->weights_stride, row, 1);
}

/* The gradient where outputs are few: along the columns too. Goes once over
 * columns [first, first + n vectors) of all rows, for one output. */
SEQ_INLINE void
dense_grad_columns (const SeqLayer *layer, const SeqBlock *block,
    const SeqGrad *g, guint o, guint first, CONSTANT guint n)
{
  const SeqTensor *t = &layer->tensors[WEIGHT];
  gsize n_rows = (gsize) block->n_frames * block->n_lanes;
  guint n_cols = MIN (layer->n_in - first, n * SEQ_VEC);
  real values[FEW_COLUMNS * SEQ_VEC] = { 0 };
  vec w[FEW_COLUMNS], sum[2][FEW_COLUMNS] = { { { 0 } } };

  for (guint k = 0; k < n_cols; k++)
    values[k] = block->weights[seq_tensor_index (t, 0, o, first + k)];
  for (guint v = 0; v < n; v++)
    w[v] = vec_loadu (values + v * SEQ_VEC);
  for (gsize row = 0; row < n_rows; row++) {
    const real *x = block->in + row * block->in_stride + first;
    real d = g->d_out[row * block->out_stride + o];

    for (guint v = 0; v < n; v++)
      sum[row % 2][v] =
          vec_fma (vec_loadu (x + v * SEQ_VEC), vec_splat (d), sum[row % 2][v]);
    if (g->d_in) {
      real *d_x = g->d_in + row * g->d_in_stride + first;

      for (guint v = 0; v < n; v++)
        vec_store (d_x + v * SEQ_VEC,
            vec_fma (w[v], vec_splat (d),
                o > 0 ? vec_load (d_x + v * SEQ_VEC) : (vec){ 0 }));
    }
  }
  for (guint v = 0; v < n; v++) {
    vec both = sum[0][v] + sum[1][v];

    memcpy (values + v * SEQ_VEC, &both, sizeof both);
  }
  for (guint k = 0; k < n_cols; k++)
    g->d_weights[seq_tensor_index (t, 0, o, first + k)] += values[k];
}

static void
dense_grad_few (const SeqLayer *layer, const SeqBlock *block, const SeqGrad *g)
{
  gsize n_rows = (gsize) block->n_frames * block->n_lanes;

  for (guint o = 0; o < layer->n_out; o++) {
    for (guint k = 0; k < SEQ_PAD (layer->n_in); k += FEW_COLUMNS * SEQ_VEC)
      switch ((SEQ_PAD (layer->n_in) - k) / SEQ_VEC) {
        case 1:
          dense_grad_columns (layer, block, g, o, k, 1);
          break;
        case 2:
          dense_grad_columns (layer, block, g, o, k, 2);
          break;
        case 3:
          dense_grad_columns (layer, block, g, o, k, 3);
          break;
        default:
          dense_grad_columns (layer, block, g, o, k, 4);
      }
    if (layer->n_tensors > BIAS) {
      real sum = 0;

      for (gsize row = 0; row < n_rows; row++)
        sum += g->d_out[row * block->out_stride + o];
      g->d_weights[seq_tensor_index (&layer->tensors[BIAS], 0, o, 0)] += sum;
    }
  }
}

static gsize
dense_get_scratch (const SeqLayer *layer, guint n_frames, guint n_lanes)
{
  return transpose_size (&layer->tensors[WEIGHT]);
}

static void
dense_grad (const SeqLayer *layer, const SeqBlock *block, const SeqGrad *g)
{
  const SeqTensor *weight = &layer->tensors[WEIGHT];

  if (layer->n_out <= FEW_OUTPUTS && !block->weights_stride
      && block->in_stride >= SEQ_PAD (layer->n_in)) {
    dense_grad_few (layer, block, g);
    return;
  }
  for (guint lane = 0; lane < block->n_lanes; lane++) {
    const real *d = g->d_out + lane * block->out_stride;
    gsize d_step = block->n_lanes * block->out_stride;
    Gradients by_out = { d, d_step, 0, block->n_frames };
    SeqRows x = { block->in + lane * block->in_stride,
      block->n_lanes * block->in_stride, NULL };

    if (g->d_in) {
      if (lane == 0 || block->weights_stride)
        transpose_tensor (
            weight, block->weights + lane * block->weights_stride, g->scratch);
      for (guint t = 0; t < block->n_frames; t++)
        multiply_transposed (weight, 0, 1, g->scratch, d + t * d_step,
            g->d_in + ((gsize) t * block->n_lanes + lane) * g->d_in_stride,
            FALSE);
    }
    add_tensor_gradient (weight, 0, 1, g->d_weights, &by_out, &x, 0);
    if (layer->n_tensors > BIAS)
      add_tensor_gradient (
          &layer->tensors[BIAS], 0, 1, g->d_weights, &by_out, NULL, 0);
  }
}

const SeqLayerClass SEQ_CLASS (dense) = {
  .kind = { .name = "dense",
      .flags = SEQ_KIND_TRAINS,
      .options = options,
      .twin = "readout" },
  .instance_size = sizeof (SeqLayer),
  .init = dense_init,
  .seed = dense_seed,
  .run = dense_run,
  .grad = dense_grad,
  .n_scratch = dense_get_scratch,
};
