/* write.c: models as ONNX graphs, opset 14.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 *   input [1, time, n_in] -> Transpose -> (RNN, LSTM, GRU -> Squeeze | MatMul
 * -> Add | ...) -> Transpose -> [Add of the input] -> output [1, time, n_out]
 *
 * In between, time comes first, as ONNX' recurrent nodes need it. Messages are
 * allocated as protobuf-c does, so that it can free them.
 */
#include "src/io/onnx/onnx.h"
#include "src/model-facts.h"

#include <math.h>
#include <string.h>

#define OPSET 14
#define IR_VERSION 8

typedef struct {
  const SeqModel *model;
  GPtrArray *nodes, *tensors;
  char *signal; /* the output of the last node */
} Writer;

static void
writer_clear (Writer *w)
{
  g_ptr_array_unref (w->nodes);
  g_ptr_array_unref (w->tensors);
  g_free (w->signal);
}

static void
node_free (gpointer node)
{
  onnx__node__free_unpacked (node, NULL);
}

static void
tensor_free (gpointer tensor)
{
  onnx__tensor__free_unpacked (tensor, NULL);
}

/* A new name, such as "2_W". */
static char *
fresh (Writer *w, const char *what)
{
  return g_strdup_printf ("%u_%s", w->nodes->len, what);
}

static Onnx__Tensor *
add_tensor (Writer *w, const char *what, gint32 type, guint width,
    const gint64 *dims, guint rank)
{
  Onnx__Tensor *t = g_new0 (Onnx__Tensor, 1);
  gsize n = 1;

  onnx__tensor__init (t);
  t->name = fresh (w, what);
  t->has_data_type = TRUE;
  t->data_type = type;
  t->n_dims = rank;
  t->dims = g_new (int64_t, rank + 1);
  for (guint i = 0; i < rank; i++) {
    t->dims[i] = dims[i];
    n *= (gsize) dims[i];
  }
  t->has_raw_data = TRUE;
  t->raw_data.len = n * width;
  t->raw_data.data = g_malloc0 (n * width + 1);
  g_ptr_array_add (w->tensors, t);
  return t;
}

static void
put (Onnx__Tensor *t, gsize at, double value)
{
  union {
    float f;
    guint32 u;
  } word = { .f = (float) value };

  word.u = GUINT32_TO_LE (word.u);
  memcpy (t->raw_data.data + 4 * at, &word, 4);
}

static const char *
add_floats (Writer *w, const char *what, const double *values, gint64 n)
{
  Onnx__Tensor *t = add_tensor (w, what, SEQ_ONNX_FLOAT, 4, &n, 1);

  for (gint64 i = 0; i < n; i++)
    put (t, (gsize) i, values[i]);
  return t->name;
}

static const char *
add_int (Writer *w, const char *what, gint64 value)
{
  const gint64 one = 1;
  Onnx__Tensor *t = add_tensor (w, what, SEQ_ONNX_INT64, 8, &one, 1);

  value = GINT64_TO_LE (value);
  memcpy (t->raw_data.data, &value, 8);
  return t->name;
}

/* Adds a node with the signal and more inputs (NULL-terminated). Its output is
 * the new signal. */
static Onnx__Node *
add_node (Writer *w, const char *op, const char *const *more)
{
  Onnx__Node *node = g_new0 (Onnx__Node, 1);
  guint n = more ? g_strv_length ((char **) more) : 0;

  onnx__node__init (node);
  node->op_type = g_strdup (op);
  node->name = fresh (w, op);
  node->n_input = n + 1;
  node->input = g_new0 (char *, n + 2);
  node->input[0] = g_steal_pointer (&w->signal);
  for (guint i = 0; i < n; i++)
    node->input[i + 1] = g_strdup (more[i]);
  node->n_output = 1;
  node->output = g_new0 (char *, 2);
  node->output[0] = fresh (w, "out");
  w->signal = g_strdup (node->output[0]);
  g_ptr_array_add (w->nodes, node);
  return node;
}

static Onnx__Attribute *
add_attribute (Onnx__Node *node, const char *name, gint32 type)
{
  Onnx__Attribute *a = g_new0 (Onnx__Attribute, 1);

  onnx__attribute__init (a);
  a->name = g_strdup (name);
  a->has_type = TRUE;
  a->type = type;
  node->attribute =
      g_renew (Onnx__Attribute *, node->attribute, node->n_attribute + 1);
  node->attribute[node->n_attribute++] = a;
  return a;
}

static void
set_int (Onnx__Node *node, const char *name, gint64 value)
{
  Onnx__Attribute *a = add_attribute (node, name, 2);

  a->has_i = TRUE;
  a->i = value;
}

/* [batch][time][features] to [time][batch][features], or back. */
static void
add_transpose (Writer *w)
{
  static const gint64 perm[] = { 1, 0, 2 };
  Onnx__Attribute *a =
      add_attribute (add_node (w, "Transpose", NULL), "perm", 7);

  a->n_ints = G_N_ELEMENTS (perm);
  a->ints = g_memdup2 (perm, sizeof perm);
}

/* --- layers ------------------------------------------------------------------
 */

static guint
tensor_of (const SeqLayer *layer, const char *name)
{
  guint i = 0;

  while (i < layer->n_tensors && !g_str_equal (layer->tensors[i].name, name))
    i++;
  return i;
}

/* A tensor of a layer as [1][gates * rows][cols]. */
static const char *
add_gates (Writer *w, guint layer, const char *tensor, const char *what,
    const guint8 *gates)
{
  guint k = tensor_of (w->model->chain->layers[layer], tensor);
  const SeqTensor *s = &w->model->chain->layers[layer]->tensors[k];
  gint64 dims[] = { 1, (gint64) s->gates * s->rows, s->cols };
  Onnx__Tensor *t = add_tensor (w, what, SEQ_ONNX_FLOAT, 4, dims, 3);

  for (guint g = 0; g < s->gates; g++)
    for (guint r = 0; r < s->rows; r++)
      for (guint c = 0; c < s->cols; c++)
        put (t, ((gsize) gates[g] * s->rows + r) * s->cols + c,
            seq_model_get (w->model, layer, k, g, r, c));
  return t->name;
}

/* B: [1][2 G H]; the recurrent half is zero, except a GRU's n. */
static const char *
add_biases (Writer *w, guint layer, const guint8 *gates)
{
  const SeqLayer *l = w->model->chain->layers[layer];
  guint k = tensor_of (l, "bias"), hn = tensor_of (l, "bias_hn");
  const SeqTensor *s = &l->tensors[k];
  gint64 dims[] = { 1, 2 * (gint64) s->gates * s->rows };
  Onnx__Tensor *t = add_tensor (w, "B", SEQ_ONNX_FLOAT, 4, dims, 2);

  for (guint g = 0; g < s->gates; g++)
    for (guint r = 0; r < s->rows; r++)
      put (t, (gsize) gates[g] * s->rows + r,
          seq_model_get (w->model, layer, k, g, r, 0));
  for (guint r = 0; hn < l->n_tensors && r < s->rows; r++)
    put (t, (gsize) 5 * s->rows + r,
        seq_model_get (w->model, layer, hn, 0, r, 0));
  return t->name;
}

/* h0 or c0 as [1][1][H], or "" if the layer has none. */
static const char *
add_state (Writer *w, guint layer, const char *tensor)
{
  const SeqLayer *l = w->model->chain->layers[layer];

  return tensor_of (l, tensor) < l->n_tensors
             ? add_gates (w, layer, tensor, tensor, (const guint8[]){ 0 })
             : "";
}

static gboolean
write_recurrent (Writer *w, guint layer, const SeqLayer *l, GError **error)
{
  const SeqOnnxCell *cell = seq_onnx_cell_of_kind (l->klass->kind.name);
  gboolean has_c0 = tensor_of (l, "c0") < l->n_tensors;
  const char *nonlinearity = "tanh";
  guint reset_after;
  const char *inputs[8] = { NULL }, *zero;
  Onnx__Node *node;

  if (tensor_of (l, "weight_hr") < l->n_tensors) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "layer %u: an lstm with a projection cannot be stored", layer);
    return FALSE;
  }
  inputs[0] = add_gates (w, layer, "weight_ih", "W", cell->gates);
  inputs[1] = add_gates (w, layer, "weight_hh", "R", cell->gates);
  inputs[2] = add_biases (w, layer, cell->gates);
  inputs[3] = ""; /* sequence_lens */
  inputs[4] = add_state (w, layer, "h0");
  inputs[5] = has_c0 ? add_state (w, layer, "c0") : NULL;
  node = add_node (w, cell->op, inputs);
  set_int (node, "hidden_size", l->n_out);
  if (cell->resets) {
    seq_config_uint (l, l->config, "reset_after", 0, 1, 1, &reset_after, NULL);
    set_int (node, "linear_before_reset", reset_after);
  }
  g_variant_lookup (l->config, "nonlinearity", "&s", &nonlinearity);
  if (g_str_equal (nonlinearity, "relu")) {
    Onnx__Attribute *a = add_attribute (node, "activations", 8);

    a->n_strings = 1;
    a->strings = g_new0 (ProtobufCBinaryData, 1);
    a->strings[0].len = 4;
    a->strings[0].data = (guint8 *) g_strdup ("Relu");
  }
  zero = add_int (w, "axes", 1);
  add_node (w, "Squeeze", (const char *const[]){ zero, NULL });
  return TRUE;
}

/* Column 0 of a tensor. */
static const char *
add_vector (Writer *w, guint layer, guint tensor)
{
  const SeqTensor *s = &w->model->chain->layers[layer]->tensors[tensor];
  g_autofree double *values = g_new (double, s->rows);

  for (guint r = 0; r < s->rows; r++)
    values[r] = seq_model_get (w->model, layer, tensor, 0, r, 0);
  return add_floats (w, s->name, values, s->rows);
}

static gboolean
write_dense (Writer *w, guint layer, const SeqLayer *l, GError **error)
{
  const gint64 dims[] = { l->n_in, l->n_out };
  Onnx__Tensor *t = add_tensor (w, "weight", SEQ_ONNX_FLOAT, 4, dims, 2);

  for (guint r = 0; r < l->n_out; r++)
    for (guint c = 0; c < l->n_in; c++)
      put (t, (gsize) c * l->n_out + r,
          seq_model_get (w->model, layer, 0, 0, r, c));
  add_node (w, "MatMul", (const char *const[]){ t->name, NULL });
  if (l->n_tensors > 1)
    add_node (
        w, "Add", (const char *const[]){ add_vector (w, layer, 1), NULL });
  return TRUE;
}

static gboolean
write_scale (Writer *w, guint layer, const SeqLayer *l, GError **error)
{
  add_node (w, "Mul", (const char *const[]){ add_vector (w, layer, 0), NULL });
  add_node (w, "Add", (const char *const[]){ add_vector (w, layer, 1), NULL });
  return TRUE;
}

static gboolean
write_prelu (Writer *w, guint layer, const SeqLayer *l, GError **error)
{
  add_node (
      w, "PRelu", (const char *const[]){ add_vector (w, layer, 0), NULL });
  return TRUE;
}

static gboolean
write_activation (Writer *w, guint layer, const SeqLayer *l, GError **error)
{
  const char *word = "tanh";
  g_autofree char *op = NULL;

  g_variant_lookup (l->config, "activation", "&s", &word);
  op = g_strdup (word);
  *op = g_ascii_toupper (*op);
  add_node (w, op, NULL); /* Softmax is over the last axis, from opset 13 on */
  return TRUE;
}

/* Recurrent kinds are those of SeqOnnxCell. */
static const struct {
  const char *kind;
  gboolean (*write) (Writer *w, guint layer, const SeqLayer *l, GError **error);
} kinds[] = {
  { "activation", write_activation },
  { "dense", write_dense },
  { "prelu", write_prelu },
  { "scale", write_scale },
};

static gboolean
write_layer (Writer *w, guint layer, GError **error)
{
  const SeqLayer *l = w->model->chain->layers[layer];

  if (seq_onnx_cell_of_kind (l->klass->kind.name))
    return write_recurrent (w, layer, l, error);
  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
    if (g_str_equal (l->klass->kind.name, kinds[i].kind))
      return kinds[i].write (w, layer, l, error);
  g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
      "layer %u: %s cannot be stored", layer, l->klass->kind.name);
  return FALSE;
}

/* --- what stands around the layers ------------------------------------------
 */

/* Adds the nodes that scale and then shift a signal. */
static void
write_scaling (Writer *w, const double *scale, const double *shift, guint n)
{
  add_node (w, "Mul",
      (const char *const[]){ add_floats (w, "scale", scale, n), NULL });
  add_node (w, "Add",
      (const char *const[]){ add_floats (w, "shift", shift, n), NULL });
}

/* y = out_scale (net + u) + out_shift, u = in_scale (x - in_shift), where the
 * scales cancel: y = out_scale net + out_shift - in_shift + x. */
static gboolean
write_output (Writer *w, GError **error)
{
  const SeqModel *m = w->model;
  guint skip = m->chain->skip, n_out = m->chain->n_out;
  g_autofree double *shift = g_memdup2 (m->out_shift, n_out * sizeof (double));
  const char *inputs[5] = { "input" };

  for (guint o = 0; skip && o < (skip == 1 ? n_out : skip); o++) {
    guint from = skip == 1 ? 0 : o;

    if (fabs (m->out_scale[o] * m->in_scale[from] - 1) > 1e-9) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
          "a residual connection from input %u to output %u, whose scales do "
          "not cancel, cannot be stored",
          from, o);
      return FALSE;
    }
    shift[o] -= m->in_shift[from];
  }
  if (m->normalised)
    write_scaling (w, m->out_scale, shift, n_out);
  add_transpose (w);
  if (skip && (skip < m->chain->n_in)) {
    g_autofree char *net = g_steal_pointer (&w->signal);

    w->signal = g_strdup ("input");
    inputs[0] = add_int (w, "starts", 0);
    inputs[1] = add_int (w, "ends", skip);
    inputs[2] = add_int (w, "axes", 2);
    add_node (w, "Slice", inputs);
    add_node (w, "Add", (const char *const[]){ net, NULL });
  } else if (skip) {
    add_node (w, "Add", inputs);
  }
  return TRUE;
}

static Onnx__ValueInfo *
value_info (const char *name, guint n)
{
  Onnx__ValueInfo *info = g_new0 (Onnx__ValueInfo, 1);
  Onnx__Shape *shape = g_new0 (Onnx__Shape, 1);

  onnx__value_info__init (info);
  info->name = g_strdup (name);
  info->type = g_new0 (Onnx__Type, 1);
  onnx__type__init (info->type);
  info->type->tensor_type = g_new0 (Onnx__TensorType, 1);
  onnx__tensor_type__init (info->type->tensor_type);
  info->type->tensor_type->has_elem_type = TRUE;
  info->type->tensor_type->elem_type = SEQ_ONNX_FLOAT;
  info->type->tensor_type->shape = shape;
  onnx__shape__init (shape);
  shape->n_dim = 3;
  shape->dim = g_new0 (Onnx__Dimension *, 3);
  for (guint i = 0; i < 3; i++) {
    shape->dim[i] = g_new0 (Onnx__Dimension, 1);
    onnx__dimension__init (shape->dim[i]);
    shape->dim[i]->has_dim_value = i != 1;
    shape->dim[i]->dim_value = i ? n : 1;
  }
  shape->dim[1]->dim_param = g_strdup ("time");
  return info;
}

static void
add_metadata (Onnx__Model *file, const char *key, const char *value)
{
  Onnx__StringStringEntry *e = g_new0 (Onnx__StringStringEntry, 1);

  onnx__string_string_entry__init (e);
  e->key = g_strdup (key);
  e->value = g_strdup (value);
  file->metadata_props = g_renew (Onnx__StringStringEntry *,
      file->metadata_props, file->n_metadata_props + 1);
  file->metadata_props[file->n_metadata_props++] = e;
}

/* Adds a fact that a graph cannot hold; 0: nothing. */
static void
add_number (Onnx__Model *file, const char *key, double value)
{
  char text[G_ASCII_DTOSTR_BUF_SIZE];

  if (value > 0)
    add_metadata (file, key, g_ascii_dtostr (text, sizeof text, value));
}

/* Packs a file with opset_import last: readers need it, so a truncated file is
 * never taken for a whole one. (Concatenated messages are one message.) */
static GBytes *
pack_opset_last (Onnx__Model *file)
{
  Onnx__Model last = ONNX__MODEL__INIT;
  gsize n, n_last;
  guint8 *bytes;

  last.n_opset_import = file->n_opset_import;
  last.opset_import = file->opset_import;
  file->n_opset_import = 0;
  n = onnx__model__get_packed_size (file);
  n_last = onnx__model__get_packed_size (&last);
  bytes = g_malloc (n + n_last);
  onnx__model__pack (file, bytes);
  onnx__model__pack (&last, bytes + n);
  file->n_opset_import = last.n_opset_import;
  return g_bytes_new_take (bytes, n + n_last);
}

/* Makes the file; takes the nodes and tensors. */
static GBytes *
pack (Writer *w)
{
  const SeqModel *model = w->model;
  Onnx__Model *file = g_new0 (Onnx__Model, 1);
  Onnx__Graph *graph = g_new0 (Onnx__Graph, 1);
  Onnx__OperatorSet *set = g_new0 (Onnx__OperatorSet, 1);
  GHashTableIter iter;
  gpointer key, value;
  GBytes *bytes;

  onnx__model__init (file);
  onnx__graph__init (graph);
  onnx__operator_set__init (set);
  file->has_ir_version = TRUE;
  file->ir_version = IR_VERSION;
  file->producer_name = g_strdup ("seqfilter");
  file->graph = graph;
  file->n_opset_import = 1;
  file->opset_import = g_new0 (Onnx__OperatorSet *, 1);
  file->opset_import[0] = set;
  set->domain = g_strdup ("");
  set->has_version = TRUE;
  set->version = OPSET;
  graph->name = g_strdup ("model");
  graph->n_input = graph->n_output = 1;
  graph->input = g_new0 (Onnx__ValueInfo *, 1);
  graph->output = g_new0 (Onnx__ValueInfo *, 1);
  graph->input[0] = value_info ("input", model->chain->n_in);
  graph->output[0] = value_info (w->signal, model->chain->n_out);
  graph->n_node = w->nodes->len;
  graph->node = (Onnx__Node **) g_ptr_array_steal (w->nodes, NULL);
  graph->n_initializer = w->tensors->len;
  graph->initializer = (Onnx__Tensor **) g_ptr_array_steal (w->tensors, NULL);
  g_hash_table_iter_init (&iter, model->metadata);
  while (g_hash_table_iter_next (&iter, &key, &value))
    add_metadata (file, key, value);
  add_number (file, "sample_rate", model->rate);
  add_number (file, "knobs", model->chain->n_in - model->n_signal);
  add_number (file, "horizon", model->horizon);
  add_number (file, "window", model->window);
  if (model->start != SEQ_START_ZEROS)
    add_metadata (file, "start", seq_start_name (model->start));
  bytes = pack_opset_last (file);
  onnx__model__free_unpacked (file, NULL);
  return bytes;
}

GBytes *
seq_onnx_write (const SeqModel *model, GError **error)
{
  const SeqChain *chain = model->chain;
  Writer w = { .model = model,
    .nodes = g_ptr_array_new_with_free_func (node_free),
    .tensors = g_ptr_array_new_with_free_func (tensor_free),
    .signal = g_strdup ("input") };
  GBytes *bytes = NULL;
  gboolean ok = TRUE;

  add_transpose (&w);
  if (model->normalised) {
    g_autofree double *shift = g_new (double, chain->n_in);

    for (guint i = 0; i < chain->n_in; i++)
      shift[i] = -model->in_scale[i] * model->in_shift[i];
    write_scaling (&w, model->in_scale, shift, chain->n_in);
  }
  for (guint i = 0; ok && i < chain->n_layers; i++)
    ok = write_layer (&w, i, error);
  if (ok && write_output (&w, error))
    bytes = pack (&w);
  writer_clear (&w);
  return bytes;
}
