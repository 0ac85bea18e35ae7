/* recurrent.c: ONNX' RNN, LSTM and GRU.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Inputs: X, W [1][G H][in], R [1][G H][H], B [1][2 G H], sequence_lens,
 * initial_h, and of an LSTM initial_c and P. Gates stand in the order i, o, f,
 * c and z, r, h.
 */
#include "src/io/onnx/onnx.h"

#include <string.h>

static const SeqOnnxCell cells[] = {
  { "RNN", "rnn", 1, { 0 }, FALSE, FALSE, { "Tanh" } },
  { "LSTM", "lstm", 4, { 0, 2, 3, 1 }, FALSE, TRUE,
      { "Sigmoid", "Tanh", "Tanh" } },
  { "GRU", "gru", 3, { 1, 0, 2 }, TRUE, FALSE, { "Sigmoid", "Tanh" } },
};

const SeqOnnxCell *
seq_onnx_cell_of_node (const Onnx__Node *node)
{
  for (guint i = 0; i < G_N_ELEMENTS (cells); i++)
    if (seq_onnx_is (node, cells[i].op))
      return &cells[i];
  return NULL;
}

const SeqOnnxCell *
seq_onnx_cell_of_kind (const char *kind)
{
  for (guint i = 0; i < G_N_ELEMENTS (cells); i++)
    if (g_str_equal (kind, cells[i].kind))
      return &cells[i];
  return NULL;
}

static gboolean
bytes_are (const ProtobufCBinaryData *bytes, const char *text)
{
  return bytes->len == strlen (text)
         && g_ascii_strncasecmp ((const char *) bytes->data, text, bytes->len)
                == 0;
}

static gboolean
is_relu (const Onnx__Node *node)
{
  const Onnx__Attribute *a = seq_onnx_attribute (node, "activations");

  return a && a->n_strings == 1 && bytes_are (&a->strings[0], "Relu");
}

static gboolean
check_activations (
    const Onnx__Node *node, const SeqOnnxCell *cell, GError **error)
{
  const Onnx__Attribute *a = seq_onnx_attribute (node, "activations");
  g_autofree char *wanted = g_strjoinv (", ", (char **) cell->activations);
  gsize n = g_strv_length ((char **) cell->activations);

  if (!a || (cell->n_gates == 1 && is_relu (node)))
    return TRUE;
  if (a->n_strings != n) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "activations has %zu entries; expected %zu: %s", a->n_strings, n,
        wanted);
    return FALSE;
  }
  for (gsize i = 0; i < n; i++) {
    g_autofree char *text = NULL, *found = NULL;

    if (bytes_are (&a->strings[i], cell->activations[i]))
      continue;
    text = g_strndup ((const char *) a->strings[i].data, a->strings[i].len);
    found = seq_onnx_clip (text);
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "activations[%zu] is '%s'; expected %s%s", i, found,
        cell->activations[i], cell->n_gates == 1 ? " or Relu" : "");
    return FALSE;
  }
  return TRUE;
}

/* Refuses attributes that change the computation. */
static gboolean
check_attributes (SeqOnnxReader *reader, const Onnx__Node *node,
    const SeqOnnxCell *cell, GError **error)
{
  const Onnx__Attribute *a = seq_onnx_attribute (node, "direction");
  const char *what = NULL;

  if (a && !bytes_are (&a->s, "forward"))
    what = "direction is not forward; expected that: a stream has no end to "
           "begin from";
  else if (seq_onnx_attribute (node, "clip"))
    what = "clip is set; expected none";
  else if (seq_onnx_int (node, "input_forget", 0))
    what = "input_forget is 1; expected 0";
  else if (cell->carries_cell && seq_onnx_input (reader, node, 7))
    what = "it has peepholes (input P); expected none";
  if (what) {
    g_set_error_literal (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED, what);
    return FALSE;
  }
  return check_activations (node, cell, error);
}

/* W or R: [1][rows][columns]; rows 0: any. */
static const SeqArray *
matrix_of (SeqOnnxReader *reader, const Onnx__Node *node, guint i,
    const char *what, guint64 rows, GError **error)
{
  GError *why = NULL;
  const SeqArray *m = seq_onnx_constant (reader, node, i, what, &why);
  g_autoptr (GString) shape = g_string_new (NULL);

  if (m && m->rank == 3 && m->shape[0] == 1 && m->shape[2]
      && (!rows || m->shape[1] == rows))
    return m;
  if (why) {
    g_propagate_error (error, why);
    return NULL;
  }
  for (guint k = 0; m && k < m->rank; k++)
    g_string_append_printf (
        shape, "%s%" G_GUINT64_FORMAT, k ? ", " : "", m->shape[k]);
  g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
      "%s %s%s%s; expected the shape [1, gates * hidden_size, ...]", what,
      m ? "has the shape [" : "is missing", shape->str, m ? "]" : "");
  return NULL;
}

/* initial_h or initial_c, [h]: a constant; or zeros if it is absent or an input
 * that the graph's caller would set. */
static double *
state_of (SeqOnnxReader *reader, const Onnx__Node *node, guint i,
    const char *what, guint64 data, gsize h, GError **error)
{
  const SeqOnnxValue *value = seq_onnx_input (reader, node, i);
  double *state = g_new0 (double, h);
  gboolean ok = TRUE;

  if (value && value->constant) {
    const SeqArray *a = value->constant;

    ok = a->n_values >= h && a->n_values % h == 0;
    for (gsize k = h; ok && k < a->n_values; k++) /* the same for each batch */
      ok = a->values[k] == a->values[k - h];
    if (ok)
      memcpy (state, a->values, h * sizeof (double));
  } else if (value) {
    ok = value->inputs && !(value->inputs & data);
  }
  if (ok)
    return state;
  g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
      "%s is not known; expected a constant of the shape [1, 1, %zu], or an "
      "input of its own%s%s",
      what, h, value->refused ? ": " : "",
      value->refused ? value->refused->message : "");
  g_free (state);
  return NULL;
}

static gboolean
trace_recurrent (SeqOnnxReader *reader, const Onnx__Node *node, guint port,
    const SeqOnnxValue *x, SeqOnnxValue *y, GError **error)
{
  const SeqOnnxCell *cell = seq_onnx_cell_of_node (node);
  gboolean batch_first = seq_onnx_int (node, "layout", 0) == 1;
  const SeqArray *w, *r;
  guint64 h;
  GError *why = NULL;
  const SeqOnnxAxis *time, *batch;

  if (!check_attributes (reader, node, cell, error)
      || !(r = matrix_of (reader, node, 2, "R", 0, error)))
    return FALSE;
  h = r->shape[2];
  w = matrix_of (reader, node, 1, "W", cell->n_gates * h, error);
  if (!w)
    return FALSE;
  if (r->shape[1] != cell->n_gates * h
      || seq_onnx_int (node, "hidden_size", (gint64) h) != (gint64) h) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "hidden_size is %" G_GINT64_FORMAT " and R has %" G_GUINT64_FORMAT
        " rows of %" G_GUINT64_FORMAT
        "; expected rows of hidden_size, %u times as many",
        seq_onnx_int (node, "hidden_size", (gint64) h), r->shape[1], h,
        cell->n_gates);
    return FALSE;
  }
  seq_onnx_constant (reader, node, 4, "sequence_lens", &why);
  if (why) {
    g_propagate_error (error, why);
    return FALSE;
  }
  if (port != 0 || x->rank != 3) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        port ? "X is a constant; expected the signal"
             : "X has rank %u; expected 3",
        x->rank);
    return FALSE;
  }
  if (x->last) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "it runs on the last frame of another sequence; expected a sequence");
    return FALSE;
  }
  time = &x->axes[batch_first ? 1 : 0];
  batch = &x->axes[batch_first ? 0 : 1];
  if (!x->timed) {
    y->timed = TRUE;
    y->time = seq_onnx_is_unit (time) ? 0 : time->of;
  }
  if ((y->time && (time->of & y->time) != y->time)
      || seq_onnx_is_time (y, batch)) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "it runs along another axis than the recurrent node before it; "
        "expected the same");
    return FALSE;
  }
  if (!seq_onnx_layer (y, w->shape[2], h, error))
    return FALSE;
  /* Y: [time][direction][batch][h], or [batch][time][direction][h] */
  y->rank = 4;
  y->axes[0] = x->axes[0];
  y->axes[1] = batch_first ? *time : (SeqOnnxAxis){ 0, 1 };
  y->axes[2] = batch_first ? (SeqOnnxAxis){ 0, 1 } : *batch;
  y->axes[3] = (SeqOnnxAxis){ SEQ_ONNX_FEATURES, h };
  y->recurrent = TRUE;
  return TRUE;
}

static gboolean
set_state (SeqOnnxChain *chain, guint layer, const char *tensor,
    const double *state, gsize h, GError **error)
{
  return seq_builder_set (
      chain->builder, layer, tensor, tensor, state, h, 1, NULL, error);
}

/* B: [1][2 G H]: the input biases, then the recurrent ones. They add up, except
 * those of a GRU's n. */
static gboolean
set_bias (SeqOnnxChain *chain, const SeqOnnxCell *cell, guint layer,
    const SeqArray *b, gsize h, GError **error)
{
  const SeqLayout first = { .gates = cell->gates };
  const SeqLayout second = { .gates = cell->gates, .add = TRUE };
  gsize n = cell->n_gates * h;
  g_autofree double *recurrent = NULL;
  gboolean hn = cell->resets; /* the recurrent bias of n is separate */

  if (b->n_values != 2 * n) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "B has %zu values; expected %zu", b->n_values, 2 * n);
    return FALSE;
  }
  recurrent = g_memdup2 (b->values + n, n * sizeof (double));
  if (hn)
    memset (recurrent + 2 * h, 0, h * sizeof (double));
  return seq_builder_set (
             chain->builder, layer, "bias", "B", b->values, n, 1, &first, error)
         && seq_builder_set (chain->builder, layer, "bias", "B", recurrent, n,
             1, &second, error)
         && (!hn
             || seq_builder_set (chain->builder, layer, "bias_hn", "B",
                 b->values + n + 2 * h, h, 1, NULL, error));
}

static gboolean
any (const double *values, gsize n)
{
  for (gsize i = 0; values && i < n; i++)
    if (values[i] != 0)
      return TRUE;
  return FALSE;
}

static gboolean
add_recurrent (SeqOnnxChain *chain, const SeqOnnxValue *v, GError **error)
{
  SeqOnnxReader *reader = chain->reader;
  const Onnx__Node *node = v->node;
  const SeqOnnxCell *cell = seq_onnx_cell_of_node (node);
  const SeqLayout layout = { .gates = cell->gates };
  const SeqArray *w = seq_onnx_constant (reader, node, 1, "W", NULL);
  const SeqArray *r = seq_onnx_constant (reader, node, 2, "R", NULL), *b;
  gsize h = (gsize) r->shape[2], rows = cell->n_gates * h;
  g_autofree double *h0 =
      state_of (reader, node, 5, "initial_h", v->inputs, h, error);
  g_autofree double *c0 = NULL;
  GError *why = NULL;
  gboolean starts;
  GVariantDict config;
  gint layer;

  if (cell->carries_cell && h0)
    c0 = state_of (reader, node, 6, "initial_c", v->inputs, h, error);
  if (!h0 || (cell->carries_cell && !c0))
    return FALSE;
  b = seq_onnx_constant (reader, node, 3, "B", &why);
  if (why) {
    g_propagate_error (error, why);
    return FALSE;
  }
  starts = any (h0, h) || any (c0, h);
  g_variant_dict_init (&config, NULL);
  g_variant_dict_insert (
      &config, "hidden_size", "u", (guint) MIN (h, G_MAXUINT));
  if (starts)
    g_variant_dict_insert (&config, "initial_state", "u", 1);
  if (is_relu (node))
    g_variant_dict_insert (&config, "nonlinearity", "s", "relu");
  if (cell->resets)
    g_variant_dict_insert (&config, "reset_after", "u",
        seq_onnx_int (node, "linear_before_reset", 0) != 0);
  layer = seq_builder_add (
      chain->builder, cell->kind, g_variant_dict_end (&config), error);
  return layer >= 0
         && seq_builder_set (chain->builder, (guint) layer, "weight_ih", "W",
             w->values, rows, (gsize) w->shape[2], &layout, error)
         && seq_builder_set (chain->builder, (guint) layer, "weight_hh", "R",
             r->values, rows, h, &layout, error)
         && (!b || set_bias (chain, cell, (guint) layer, b, h, error))
         && (!starts || set_state (chain, (guint) layer, "h0", h0, h, error))
         && (!starts || !c0
             || set_state (chain, (guint) layer, "c0", c0, h, error));
}

const SeqOnnxOp seq_onnx_recurrent_ops[] = {
  { "GRU", trace_recurrent, add_recurrent },
  { "LSTM", trace_recurrent, add_recurrent },
  { "RNN", trace_recurrent, add_recurrent },
  { NULL },
};
