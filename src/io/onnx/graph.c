/* graph.c: ONNX graphs of RNN, LSTM and GRU with dense heads, activations and a
 * residual connection, as PyTorch, keras2onnx and tf2onnx write them.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Nodes come after the nodes they need. One pass gives every name a value: a
 * constant (folded as far as possible), a signal, or the reason why it cannot
 * run, which matters only if the output depends on it. A signal points to the
 * signal it was made from: followed back from the output to the graph's input,
 * these are the chain of layers.
 *
 * A stream has one batch and no fixed length. So each axis of a signal records
 * which axes of the graph's input it contains: recurrent nodes must all run
 * along the axis of time, after any Transpose, Squeeze and Reshape, and
 * nothing may split time or mix it with features. Lengths that exporters wrote
 * into the graph are not compared.
 */
#include "src/io/onnx/onnx.h"
#include "src/model-facts.h"

#include <math.h>
#include <string.h>

#define OPSET_FIRST 7
#define OPSET_LAST 22
#define MAX_INPUTS 64 /* of a graph, without initializers */
#define MAX_LAYERS 1024
#define MAX_NODE_INPUTS 256
#define MAX_NAMES (1 << 15) /* bounds the cost of colliding names */
#define MAX_PLACES 500      /* bytes of an error; a longer one gets no place */

/* --- values ------------------------------------------------------------------
 */

static void
value_free (gpointer data)
{
  SeqOnnxValue *value = data;

  seq_array_free (value->constant);
  g_free (value);
}

static SeqOnnxValue *
value_new (SeqOnnxReader *reader, const char *name)
{
  SeqOnnxValue *value = g_new0 (SeqOnnxValue, 1);

  value->skip = -1;
  g_ptr_array_add (reader->owned, value);
  g_hash_table_insert (reader->values, (gpointer) name, value);
  return value;
}

static const SeqOnnxValue *
refuse (SeqOnnxReader *reader, SeqOnnxValue *value, GError *why)
{
  g_ptr_array_add (reader->errors, why);
  value->refused = why;
  return value;
}

/* Returns the value of a name; initializers are read on first use. */
static const SeqOnnxValue *
value_of (SeqOnnxReader *reader, const char *name)
{
  SeqOnnxValue *value = g_hash_table_lookup (reader->values, name);
  const Onnx__Tensor *tensor;
  GError *why = NULL;

  if (value)
    return value;
  value = value_new (reader, name);
  tensor = g_hash_table_lookup (reader->initializers, name);
  if (tensor) {
    value->constant = seq_onnx_tensor (tensor, &reader->source, &why);
  } else {
    g_autofree char *clipped = seq_onnx_clip (name);

    why = g_error_new (SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "'%s' is not known here; expected the output of an earlier node, an "
        "input or an initializer",
        clipped);
  }
  return why ? refuse (reader, value, why) : value;
}

const SeqOnnxValue *
seq_onnx_input (SeqOnnxReader *reader, const Onnx__Node *node, guint i)
{
  return i < node->n_input && *node->input[i]
             ? value_of (reader, node->input[i])
             : NULL;
}

/* Adds a place to an error, unless it is long enough: places nest as deep as
 * the graph. */
static void
name_place (GError **error, const char *place)
{
  if (error && strlen ((*error)->message) < MAX_PLACES)
    g_prefix_error (error, "%s: ", place);
}

const SeqArray *
seq_onnx_constant (SeqOnnxReader *reader, const Onnx__Node *node, guint i,
    const char *what, GError **error)
{
  const SeqOnnxValue *value = seq_onnx_input (reader, node, i);
  g_autofree char *name = NULL;

  if (!value || value->constant)
    return value ? value->constant : NULL;
  if (value->refused) {
    if (error)
      *error = g_error_copy (value->refused);
    name_place (error, what);
    return NULL;
  }
  name = seq_onnx_clip (node->input[i]);
  g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
      "%s, '%s', comes from a graph input; expected a constant", what, name);
  return NULL;
}

static SeqOnnxAxis *
last_axis (SeqOnnxValue *value)
{
  return &value->axes[value->rank - 1];
}

gboolean
seq_onnx_layer (SeqOnnxValue *y, guint64 n_in, guint64 n_out, GError **error)
{
  SeqOnnxAxis *axis = y->rank ? last_axis (y) : NULL;

  if (y->skip >= 0) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "it comes after a residual connection; expected that last");
    return FALSE;
  }
  if (!axis || seq_onnx_is_time (y, axis)) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "its last axis is time or nothing; expected the features");
    return FALSE;
  }
  if (y->sliced || axis->of & (axis->of - 1)) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        y->sliced ? "it takes some of the input's features; expected all"
                  : "its features are mixed with another axis; expected them "
                    "apart");
    return FALSE;
  }
  if (n_in && axis->size && axis->size != n_in) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "it takes %" G_GUINT64_FORMAT " features; expected %" G_GUINT64_FORMAT
        ", as the node before it gives",
        n_in, axis->size);
    return FALSE;
  }
  if (++y->n_layers > MAX_LAYERS) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "there are more than %u layers; expected at most that", MAX_LAYERS);
    return FALSE;
  }
  y->n_in = n_in;
  if (n_out)
    *axis = (SeqOnnxAxis){ SEQ_ONNX_FEATURES, n_out };
  return TRUE;
}

/* --- the pass over the nodes -------------------------------------------------
 */

/* The lengths of a signal's axes, as far as the graph tells. */
static SeqArray *
shape_of_signal (SeqOnnxReader *reader, const Onnx__Node *node,
    const SeqOnnxValue *x, GError **error)
{
  gint64 start = seq_onnx_int (node, "start", 0);
  gint64 end = seq_onnx_int (node, "end", x->rank);
  guint64 n;
  SeqArray *y;

  start = CLAMP (start + (start < 0 ? x->rank : 0), 0, x->rank);
  end = CLAMP (end + (end < 0 ? x->rank : 0), start, x->rank);
  n = (guint64) (end - start);
  y = seq_onnx_array (&n, 1, &reader->source, error);
  for (guint64 i = 0; y && i < n; i++) {
    const SeqOnnxAxis *a = &x->axes[start + (gint64) i];

    y->values[i] = seq_onnx_is_unit (a) ? 1
                   : a->of & SEQ_ONNX_FEATURES
                       ? (double) a->size
                       : SEQ_ONNX_LENGTH (g_bit_nth_lsf (a->of, -1));
  }
  return y;
}

/* Makes y from the signal x, input `port` of the node. */
static gboolean
trace (SeqOnnxReader *reader, const Onnx__Node *node, guint port,
    const SeqOnnxValue *x, SeqOnnxValue *y, GError **error)
{
  const SeqOnnxOp *const tables[] = { seq_onnx_recurrent_ops,
    seq_onnx_dense_ops, seq_onnx_axes_ops };

  if (x->refused) {
    y->refused = x->refused;
    return TRUE;
  }
  for (guint i = 0; i < G_N_ELEMENTS (tables); i++)
    for (const SeqOnnxOp *op = tables[i]; op->type; op++)
      if (seq_onnx_is (node, op->type)) {
        *y = *x;
        y->from = x;
        y->node = node;
        y->op = op;
        y->n_in = 0;
        return op->trace (reader, node, port, x, y, error);
      }
  g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
      "this operator cannot run on a signal; docs/formats.md lists those that "
      "can");
  return FALSE;
}

/* Y_h is the last frame of Y, whose axis of time it has not. */
static gboolean
take_last_state (
    const Onnx__Node *node, const SeqOnnxValue *y, SeqOnnxValue *y_h)
{
  guint time = seq_onnx_int (node, "layout", 0) == 1;

  *y_h = *y;
  if (seq_onnx_is_time (y, &y->axes[time]))
    seq_onnx_take_last (y_h, time);
  return seq_onnx_drop_axis (y_h, time, NULL);
}

/* Adds the outputs after the first. */
static void
add_outputs (
    SeqOnnxReader *reader, const Onnx__Node *node, const SeqOnnxValue *first)
{
  for (gsize i = 1; i < node->n_output; i++) {
    SeqOnnxValue *value;

    if (!*node->output[i]
        || g_hash_table_contains (reader->values, node->output[i]))
      continue;
    value = value_new (reader, node->output[i]);
    value->inputs = first->inputs;
    if (first->refused) {
      value->refused = first->refused;
    } else if (i != 1 || !seq_onnx_cell_of_node (node) || first->rank != 4
               || !take_last_state (node, first, value)) {
      g_autofree char *label = seq_onnx_label (node);

      refuse (reader, value,
          g_error_new (SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
              seq_onnx_cell_of_node (node)
                  ? "%s: output %zu is a state after the last frame; expected "
                    "Y or Y_h"
                  : "%s: output %zu is not known; expected the first output",
              label, i));
    }
  }
}

static void
evaluate (SeqOnnxReader *reader, const Onnx__Node *node)
{
  const SeqArray *constants[MAX_NODE_INPUTS + 8] = { NULL };
  const SeqOnnxValue *signal = NULL;
  SeqOnnxValue *y = NULL;
  GError *why = NULL;
  guint port = 0, n = (guint) MIN (node->n_input, MAX_NODE_INPUTS);
  guint64 inputs = 0;
  gboolean recurrent = FALSE;
  gboolean known =
      !node->domain || !*node->domain || strcmp (node->domain, "ai.onnx") == 0;

  if (node->n_output == 0
      || (*node->output[0]
          && g_hash_table_contains (reader->values, node->output[0])))
    return; /* the first node that computes a name wins */
  for (guint i = 0; i < n; i++) {
    const SeqOnnxValue *value = seq_onnx_input (reader, node, i);

    constants[i] = value ? value->constant : NULL;
    if (!value || value->constant)
      continue;
    if (!signal) {
      signal = value;
      port = i;
    }
    if (!seq_onnx_cell_of_node (node) || i == 0) {
      inputs |= value->inputs;
      recurrent |= value->recurrent;
    }
  }
  y = value_new (reader, node->output[0]);
  if (!known || n < node->n_input)
    g_set_error (&why, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        known ? "it has more than %u inputs; expected at most that"
              : "its domain is not ONNX's own; expected '' or ai.onnx",
        MAX_NODE_INPUTS);
  else if (!signal)
    y->constant = seq_onnx_fold (node, constants, &reader->source, &why);
  else if (seq_onnx_is (node, "Shape") && !signal->refused)
    y->constant = shape_of_signal (reader, node, signal, &why);
  else
    trace (reader, node, port, signal, y, &why);
  y->inputs = inputs;
  y->recurrent |= recurrent || (seq_onnx_cell_of_node (node) && signal);
  if (why) {
    g_autofree char *label = seq_onnx_label (node);

    name_place (&why, label);
    refuse (reader, y, why);
  }
  add_outputs (reader, node, y);
}

/* --- from graph to model -----------------------------------------------------
 */

/* Adds the graph's inputs that have no initializer. */
static gboolean
add_inputs (SeqOnnxReader *reader, GError **error)
{
  guint n = 0;

  for (gsize i = 0; i < reader->graph->n_input; i++) {
    const Onnx__ValueInfo *info = reader->graph->input[i];
    const Onnx__TensorType *type = info->type ? info->type->tensor_type : NULL;
    SeqOnnxValue *value;

    if (!info->name || g_hash_table_contains (reader->initializers, info->name)
        || g_hash_table_contains (reader->values, info->name))
      continue;
    if (n == MAX_INPUTS) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
          "the graph has more than %u inputs; expected at most that",
          MAX_INPUTS);
      return FALSE;
    }
    value = value_new (reader, info->name);
    value->inputs = (guint64) 1 << n++;
    if (!type || !type->shape || type->shape->n_dim >= SEQ_ONNX_RANK) {
      g_autofree char *name = seq_onnx_clip (info->name);

      refuse (reader, value,
          g_error_new (SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
              "graph input '%s' has no rank or a large one; expected a tensor "
              "of "
              "rank below %u",
              name, SEQ_ONNX_RANK));
      continue;
    }
    value->rank = (guint) type->shape->n_dim;
    for (guint k = 0; k < value->rank; k++) {
      gint64 size = type->shape->dim[k]->dim_value;

      value->axes[k] =
          (SeqOnnxAxis){ (guint8) (1u << k), size > 0 ? (guint64) size : 0 };
    }
  }
  return TRUE;
}

/* Chooses the output to run: the one that the hint `head` names, or the first
 * that depends on the output of a recurrent node, or the first of a layer. */
static const SeqOnnxValue *
choose_output (SeqOnnxReader *reader, GVariant *hints, GError **error)
{
  const SeqOnnxValue *best = NULL;
  const char *wanted = NULL;
  guint best_rank = 0;

  g_variant_lookup (hints, "head", "&s", &wanted);
  for (gsize i = 0; i < reader->graph->n_output; i++) {
    const char *name = reader->graph->output[i]->name;
    const SeqOnnxValue *value;
    guint rank;

    if (!name || !*name || (wanted && strcmp (name, wanted) != 0))
      continue;
    value = value_of (reader, name);
    rank = value->recurrent ? 3 : value->n_layers ? 2 : value->refused ? 1 : 0;
    if (rank > best_rank) {
      best_rank = rank;
      best = value;
    }
  }
  if (!best)
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        wanted ? "option head is '%s'; expected the name of an output that "
                 "layers compute"
               : "no output is computed by layers; expected one%s",
        wanted ? wanted : "");
  else if (best->refused)
    g_set_error_literal (
        error, SEQ_ERROR, best->refused->code, best->refused->message);
  return best && !best->refused ? best : NULL;
}

/* The signals on the way from the graph's input to the output that become
 * layers. */
static GPtrArray *
line_of (const SeqOnnxValue *output)
{
  GPtrArray *line = g_ptr_array_new ();

  for (const SeqOnnxValue *v = output; v->from; v = v->from)
    if (v->op && v->op->add)
      g_ptr_array_insert (line, 0, (gpointer) v);
  return line;
}

/* Features of the graph's input: as many as the first layer with a fixed width
 * takes. */
static guint64
n_in_of (GPtrArray *line)
{
  const SeqOnnxValue *first = line->pdata[0], *input = first->from;

  for (guint i = 0; i < line->len; i++)
    if (((const SeqOnnxValue *) line->pdata[i])->n_in)
      return ((const SeqOnnxValue *) line->pdata[i])->n_in;
  return input->rank ? input->axes[input->rank - 1].size : 0;
}

/* Reads the facts that write.c stores in the metadata. */
static void
set_facts (SeqBuilder *builder, guint n_in, const Onnx__Model *file)
{
  for (gsize i = 0; i < file->n_metadata_props; i++) {
    const Onnx__StringStringEntry *e = file->metadata_props[i];
    g_autofree char *key = e->key ? g_utf8_make_valid (e->key, -1) : NULL;
    g_autofree char *value = e->value ? g_utf8_make_valid (e->value, -1) : NULL;
    double number;

    if (!key || !value)
      continue;
    number = g_ascii_strtod (value, NULL);
    if (strcmp (key, "sample_rate") == 0 && number > 0
        && number <= SEQ_MAX_RATE)
      seq_builder_set_rate (builder, number);
    else if (strcmp (key, "knobs") == 0 && number > 0 && number < n_in)
      seq_builder_set_n_signal (builder, n_in - (guint) number);
    else if (strcmp (key, "horizon") == 0 && number > 0
             && number <= SEQ_MAX_HORIZON)
      seq_builder_set_horizon (builder, (guint) number);
    else if (strcmp (key, "window") == 0)
      seq_builder_set_window (builder, seq_window_parse (value));
    else if (strcmp (key, "start") == 0)
      seq_builder_set_start (builder, seq_start_find (value));
    else
      seq_builder_set_metadata (builder, key, value);
  }
}

/* A graph that ends in the last frame of a sequence, on a stream. */
static void
say_how_it_reads (SeqBuilder *builder, guint64 length)
{
  g_autofree char *text =
      length
          ? g_strdup_printf ("the output of each frame is for the sequence "
                             "up to it; window=%" G_GUINT64_FORMAT
                             " runs the net as it was exported",
              length)
          : g_strdup ("the output of each frame is for the sequence up to it; "
                      "window=n runs the net on the last n frames alone");

  seq_builder_set_metadata (builder, SEQ_SEQUENCE_KEY, text);
}

static SeqModel *
build (SeqOnnxReader *reader, const Onnx__Model *parts,
    const SeqOnnxValue *output, const SeqFile *file, GError **error)
{
  g_autoptr (GPtrArray) line = line_of (output);
  guint64 n_in = n_in_of (line);
  g_autoptr (SeqBuilder) builder = NULL;
  SeqOnnxChain chain = { .reader = reader, .dense = -1 };

  if (n_in < 1 || n_in > SEQ_MAX_WIDTH) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "the graph's input has %" G_GUINT64_FORMAT
        " features; expected 1 to %u",
        n_in, SEQ_MAX_WIDTH);
    return NULL;
  }
  chain.builder = builder =
      seq_reader_builder ((guint) n_in, file->size + reader->source.outside);
  for (guint i = 0; i < line->len; i++) {
    const SeqOnnxValue *v = line->pdata[i];
    gint dense = chain.dense;

    if (!v->op->add (&chain, v, error)) {
      g_autofree char *label = seq_onnx_label (v->node);

      g_prefix_error (error, "%s: ", label);
      return NULL;
    }
    if (chain.dense == dense)
      chain.dense = -1; /* only the next node can be its bias */
  }
  if (output->skip >= 0)
    seq_builder_set_skip (
        builder, (guint) (output->skip ? output->skip : (gint64) n_in));
  if (output->last)
    say_how_it_reads (builder, output->length);
  set_facts (builder, (guint) n_in, parts);
  return seq_reader_finish (builder, file, error);
}

static gboolean
check_size (const Onnx__Graph *graph, GError **error)
{
  gsize n = graph->n_initializer + graph->n_input + graph->n_output;

  for (gsize i = 0; i < graph->n_node; i++)
    n += graph->node[i]->n_input + graph->node[i]->n_output + 1;
  if (n <= MAX_NAMES)
    return TRUE;
  g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
      "the graph has %zu nodes and names; expected at most %u", n, MAX_NAMES);
  return FALSE;
}

static gboolean
check_opset (const Onnx__Model *file, gint64 *opset, GError **error)
{
  *opset = 0;
  for (gsize i = 0; i < file->n_opset_import; i++) {
    const Onnx__OperatorSet *set = file->opset_import[i];

    if (!set->domain || !*set->domain || strcmp (set->domain, "ai.onnx") == 0)
      *opset = set->version;
  }
  if (*opset >= OPSET_FIRST && *opset <= OPSET_LAST)
    return TRUE;
  g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
      "opset_import is %" G_GINT64_FORMAT "; expected %u to %u", *opset,
      OPSET_FIRST, OPSET_LAST);
  return FALSE;
}

static SeqModel *
read_graph (
    const Onnx__Model *parts, gint64 opset, const SeqFile *file, GError **error)
{
  const Onnx__Graph *graph = parts->graph;
  SeqOnnxReader reader = { .graph = graph,
    .opset = opset,
    .values = g_hash_table_new (g_str_hash, g_str_equal),
    .owned = g_ptr_array_new_with_free_func (value_free),
    .initializers = g_hash_table_new (g_str_hash, g_str_equal),
    .errors = g_ptr_array_new_with_free_func ((GDestroyNotify) g_error_free),
    .source = { .folder = file->folder,
        .budget = SEQ_ONNX_BUDGET * file->size + (1 << 20) } };
  const SeqOnnxValue *output;
  SeqModel *model = NULL;

  for (gsize i = 0; i < graph->n_initializer; i++)
    if (graph->initializer[i]->name)
      g_hash_table_insert (reader.initializers, graph->initializer[i]->name,
          graph->initializer[i]);
  if (add_inputs (&reader, error)) {
    for (gsize i = 0; i < graph->n_node; i++)
      evaluate (&reader, graph->node[i]);
    output = choose_output (&reader, file->hints, error);
    if (output)
      model = build (&reader, parts, output, file, error);
  }
  g_hash_table_unref (reader.values);
  g_ptr_array_unref (reader.owned);
  g_hash_table_unref (reader.initializers);
  g_ptr_array_unref (reader.errors);
  return model;
}

/* The first field is ir_version, a small number. A safetensors file can begin
 * with the same bytes. */
static gboolean
sniff (const SeqFile *file)
{
  return !file->tensors && file->size > 0 && file->data[0] == 0x08
         && (file->size == 1 || (file->data[1] > 0 && file->data[1] < 0x80));
}

static SeqModel *
read_model (const SeqFile *file, GError **error)
{
  Onnx__Model *parts = onnx__model__unpack (NULL, file->size, file->data);
  SeqModel *model = NULL;
  gint64 opset;

  if (!parts)
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "this is not a whole protocol buffer; expected ONNX' ModelProto: the "
        "file may be cut short");
  else if (!parts->graph)
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED, "graph is missing");
  else if (check_opset (parts, &opset, error)
           && check_size (parts->graph, error))
    model = read_graph (parts, opset, file, error);
  if (parts)
    onnx__model__free_unpacked (parts, NULL);
  return model;
}

static const char *const hints[] = { "head", NULL };

const SeqFileFormat seq_format_onnx = {
  .name = "ONNX",
  .suffix = ".onnx",
  .hints = hints,
  .sniff = sniff,
  .read = read_model,
  .write = seq_onnx_write,
};
