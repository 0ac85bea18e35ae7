/* dense.c: ONNX' nodes that become layers without a state, or the residual
 * connection.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/io/onnx/onnx.h"

#include <string.h>

static const SeqArray *
weight_of (
    SeqOnnxReader *reader, const Onnx__Node *node, guint port, GError **error)
{
  const SeqArray *w;

  if (port != 0 || !seq_onnx_input (reader, node, 1)) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "the signal is not its first input; expected the signal, then a "
        "weight");
    return NULL;
  }
  w = seq_onnx_constant (reader, node, 1, "the weight", error);
  if (w && (w->rank != 2 || !w->shape[0] || !w->shape[1])) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "the weight has rank %u; expected a matrix", w->rank);
    return NULL;
  }
  return w;
}

static gboolean
trace_matmul (SeqOnnxReader *reader, const Onnx__Node *node, guint port,
    const SeqOnnxValue *x, SeqOnnxValue *y, GError **error)
{
  const SeqArray *w = weight_of (reader, node, port, error);
  gboolean rows_out = seq_onnx_int (node, "transB", 0) != 0;

  if (!w)
    return FALSE;
  if (seq_onnx_int (node, "transA", 0)) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "transA is %" G_GINT64_FORMAT "; expected 0",
        seq_onnx_int (node, "transA", 0));
    return FALSE;
  }
  return seq_onnx_layer (y, w->shape[rows_out], w->shape[!rows_out], error);
}

/* Spreads a constant over n features: one value for all or one for each, times
 * a factor. */
static double *
spread (const SeqArray *a, gsize n, double factor, GError **error)
{
  double *values;

  if (a->n_values != 1
      && (a->n_values != n || !a->rank || a->shape[a->rank - 1] != n)) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "the constant has %zu values; expected 1 or %zu, one for each feature",
        a->n_values, n);
    return NULL;
  }
  values = g_new (double, n);
  for (gsize i = 0; i < n; i++)
    values[i] = factor * a->values[a->n_values == 1 ? 0 : i];
  return values;
}

static gboolean
set_dense_bias (SeqOnnxChain *chain, guint layer, const SeqArray *b,
    double factor, GError **error)
{
  gsize n = seq_builder_layer (chain->builder, layer)->n_out;
  g_autofree double *values = spread (b, n, factor, error);

  return values
         && seq_builder_set (
             chain->builder, layer, "bias", "bias", values, n, 1, NULL, error);
}

/* MatMul, and Gemm: alpha x W + beta C. */
static gboolean
add_matmul (SeqOnnxChain *chain, const SeqOnnxValue *v, GError **error)
{
  const Onnx__Node *node = v->node;
  gboolean gemm = seq_onnx_is (node, "Gemm");
  const SeqLayout layout = { .transposed = !seq_onnx_int (node, "transB", 0) };
  const SeqArray *w =
      seq_onnx_constant (chain->reader, node, 1, "the weight", NULL);
  double alpha = gemm ? seq_onnx_float (node, "alpha", 1) : 1;
  g_autofree double *scaled =
      g_memdup2 (w->values, w->n_values * sizeof (double));
  GError *why = NULL;
  const SeqArray *c = NULL;
  gint layer;

  for (gsize i = 0; i < w->n_values; i++)
    scaled[i] *= alpha;
  layer = seq_builder_add (chain->builder, "dense",
      g_variant_new_parsed ("{'out_features': <%u>}",
          (guint) MIN (w->shape[layout.transposed], G_MAXUINT)),
      error);
  if (layer < 0
      || !seq_builder_set (chain->builder, (guint) layer, "weight",
          "the weight", scaled, (gsize) w->shape[0], (gsize) w->shape[1],
          &layout, error))
    return FALSE;
  if (gemm)
    c = seq_onnx_constant (chain->reader, node, 2, "C", &why);
  if (why) {
    g_propagate_error (error, why);
    return FALSE;
  }
  if (!c)
    chain->dense = layer;
  return !c
         || set_dense_bias (
             chain, (guint) layer, c, seq_onnx_float (node, "beta", 1), error);
}

/* The other input of a node with two. */
static const SeqOnnxValue *
other_of (SeqOnnxReader *reader, const Onnx__Node *node, guint port)
{
  return node->n_input == 2 ? seq_onnx_input (reader, node, !port) : NULL;
}

/* The position of time, counted from the last axis; -1: none. */
static gint
place_of_time (const SeqOnnxValue *x, guint8 time)
{
  for (guint i = 0; i < x->rank; i++)
    if (x->axes[i].of & time)
      return (gint) (x->rank - i);
  return -1;
}

/* Size of the last axis, or 1 if that is time; 0: unknown. */
static guint64
features_of (const SeqOnnxValue *x, guint8 time)
{
  return x->rank && !(x->axes[x->rank - 1].of & time)
             ? x->axes[x->rank - 1].size
             : 1;
}

/* y = signal + input, or the first features of the input. */
static gboolean
trace_residual (const SeqOnnxValue *a, const SeqOnnxValue *b, SeqOnnxValue *y,
    GError **error)
{
  const SeqOnnxValue *net = a->n_layers ? a : b, *input = a->n_layers ? b : a;
  guint64 n_out, n;

  if (input->n_layers || !net->n_layers || net->skip >= 0 || input->skip >= 0
      || input->inputs != net->inputs) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "it adds two signals; expected the graph's input, once, and the output "
        "of the layers");
    return FALSE;
  }
  n_out = features_of (net, net->time);
  n = features_of (input, net->time);
  if (place_of_time (net, net->time) != place_of_time (input, net->time)
      || (n > 1 && n != n_out)) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "it adds %" G_GUINT64_FORMAT
        " features of the input to %" G_GUINT64_FORMAT
        " of the output; expected 1 or as many, along the same axes",
        n, n_out);
    return FALSE;
  }
  *y = *net;
  y->skip = (gint64) n;
  y->n_in = 0;
  return TRUE;
}

/* Add, Sub, Mul, Div: a layer if one input is constant; Add of two signals is
 * the residual connection. */
static gboolean
trace_arithmetic (SeqOnnxReader *reader, const Onnx__Node *node, guint port,
    const SeqOnnxValue *x, SeqOnnxValue *y, GError **error)
{
  const SeqOnnxValue *other = other_of (reader, node, port);
  gboolean commutes = seq_onnx_is (node, "Add") || seq_onnx_is (node, "Mul");

  if (!other || (!commutes && port == 1)) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "its inputs are not a signal and a constant; expected these, in this "
        "order");
    return FALSE;
  }
  if (other->constant) {
    guint64 n = other->constant->n_values;

    return seq_onnx_layer (y, n > 1 ? n : 0, 0, error);
  }
  if (other->refused) {
    g_set_error_literal (
        error, SEQ_ERROR, other->refused->code, other->refused->message);
    return FALSE;
  }
  if (!seq_onnx_is (node, "Add")) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "both its inputs are signals; expected one constant");
    return FALSE;
  }
  if (!trace_residual (x, other, y, error))
    return FALSE;
  y->from = x->n_layers ? x : other;
  y->op = NULL;
  return TRUE;
}

static gboolean
add_arithmetic (SeqOnnxChain *chain, const SeqOnnxValue *v, GError **error)
{
  const Onnx__Node *node = v->node;
  SeqOnnxReader *reader = chain->reader;
  guint port = seq_onnx_input (reader, node, 0)->constant ? 1 : 0;
  const SeqArray *c = other_of (reader, node, port)->constant;
  gboolean adds = seq_onnx_is (node, "Add");
  gboolean shifts = adds || seq_onnx_is (node, "Sub");
  g_autofree double *a = NULL, *b = NULL;
  gint layer;
  gsize n;

  if (adds && chain->dense >= 0)
    return set_dense_bias (chain, (guint) chain->dense, c, 1, error);
  layer = seq_builder_add (chain->builder, "scale", NULL, error);
  if (layer < 0)
    return FALSE;
  n = seq_builder_layer (chain->builder, (guint) layer)->n_out;
  b = spread (c, n, shifts ? (adds ? 1 : -1) : 0, error);
  a = b ? spread (c, n, 1, error) : NULL;
  for (gsize i = 0; a && i < n; i++)
    a[i] = shifts ? 1 : seq_onnx_is (node, "Div") ? 1 / a[i] : a[i];
  return a
         && seq_builder_set (chain->builder, (guint) layer, "weight",
             "the constant", a, n, 1, NULL, error)
         && seq_builder_set (chain->builder, (guint) layer, "bias",
             "the constant", b, n, 1, NULL, error);
}

static gboolean
trace_activation (SeqOnnxReader *reader, const Onnx__Node *node, guint port,
    const SeqOnnxValue *x, SeqOnnxValue *y, GError **error)
{
  gint64 axis = seq_onnx_int (node, "axis", reader->opset < 13 ? 1 : -1);

  if (seq_onnx_is (node, "Softmax")) {
    if (!seq_onnx_axis (&axis, x->rank, error))
      return FALSE;
    if (axis != (gint64) x->rank - 1) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
          "axis is %" G_GINT64_FORMAT "; expected %u, the last", axis,
          x->rank - 1);
      return FALSE;
    }
  }
  if (seq_onnx_is (node, "Elu") && seq_onnx_float (node, "alpha", 1) != 1) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "alpha is %g; expected 1", seq_onnx_float (node, "alpha", 1));
    return FALSE;
  }
  return seq_onnx_layer (y, 0, 0, error);
}

static gboolean
add_activation (SeqOnnxChain *chain, const SeqOnnxValue *v, GError **error)
{
  g_autofree char *word = g_ascii_strdown (v->node->op_type, -1);

  return seq_builder_add (chain->builder, "activation",
             g_variant_new_parsed ("{'activation': <%s>}", word), error)
         >= 0;
}

/* LeakyRelu and PRelu: x where it is positive, else alpha x. */
static gboolean
trace_prelu (SeqOnnxReader *reader, const Onnx__Node *node, guint port,
    const SeqOnnxValue *x, SeqOnnxValue *y, GError **error)
{
  const SeqArray *alpha = NULL;

  if (seq_onnx_is (node, "PRelu")) {
    alpha = port == 0 ? seq_onnx_constant (reader, node, 1, "the slope", error)
                      : NULL;
    if (!alpha || !alpha->n_values
        || (alpha->n_values > 1
            && alpha->shape[alpha->rank - 1] != alpha->n_values)) {
      if (!*error)
        g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
            "the slope is not one constant per feature; expected one for all, "
            "or one each");
      return FALSE;
    }
  }
  return seq_onnx_layer (
      y, alpha && alpha->n_values > 1 ? alpha->n_values : 0, 0, error);
}

static gboolean
add_prelu (SeqOnnxChain *chain, const SeqOnnxValue *v, GError **error)
{
  const SeqArray *given = seq_onnx_is (v->node, "PRelu") ? seq_onnx_constant (
                              chain->reader, v->node, 1, "the slope", NULL)
                                                         : NULL;
  double leak = seq_onnx_float (v->node, "alpha", 0.01);
  gboolean shared = !given || given->n_values == 1;
  gint layer = seq_builder_add (chain->builder, "prelu",
      g_variant_new_parsed ("{'shared': <%u>}", (guint) shared), error);

  return layer >= 0
         && seq_builder_set (chain->builder, (guint) layer, "alpha",
             "the slope", given ? given->values : &leak,
             given ? given->n_values : 1, 1, NULL, error);
}

const SeqOnnxOp seq_onnx_dense_ops[] = {
  { "Add", trace_arithmetic, add_arithmetic },
  { "Div", trace_arithmetic, add_arithmetic },
  { "Elu", trace_activation, add_activation },
  { "Gemm", trace_matmul, add_matmul },
  { "LeakyRelu", trace_prelu, add_prelu },
  { "MatMul", trace_matmul, add_matmul },
  { "Mul", trace_arithmetic, add_arithmetic },
  { "PRelu", trace_prelu, add_prelu },
  { "Relu", trace_activation, add_activation },
  { "Sigmoid", trace_activation, add_activation },
  { "Softmax", trace_activation, add_activation },
  { "Sub", trace_arithmetic, add_arithmetic },
  { "Tanh", trace_activation, add_activation },
  { NULL },
};
