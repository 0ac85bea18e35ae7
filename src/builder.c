/* builder.c: models, layer by layer.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/builder.h"
#include "src/memory.h"

#include <math.h>
#include <string.h>

struct _SeqBuilder {
  guint n_in;
  gsize n_weights, max_weights;
  GPtrArray *layers;  /* SeqLayer */
  GPtrArray *weights; /* real *, one a layer; NULL: zeros so far */
  guint skip, n_signal, horizon;
  SeqStart start;
  guint window;
  SeqModel *linear;
  double rate;
  double *scales[4]; /* in_scale, in_shift, out_scale, out_shift */
  char *format;
  GHashTable *metadata;
};

SeqBuilder *
seq_builder_new (guint n_in)
{
  SeqBuilder *builder = g_new0 (SeqBuilder, 1);

  builder->n_in = n_in;
  builder->max_weights = G_MAXSIZE;
  builder->layers =
      g_ptr_array_new_with_free_func ((GDestroyNotify) seq_layer_free);
  builder->weights = g_ptr_array_new_with_free_func (seq_free);
  builder->n_signal = n_in;
  builder->metadata =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  return builder;
}

void
seq_builder_free (SeqBuilder *builder)
{
  if (!builder)
    return;
  g_ptr_array_unref (builder->layers);
  g_ptr_array_unref (builder->weights);
  for (guint i = 0; i < G_N_ELEMENTS (builder->scales); i++)
    g_free (builder->scales[i]);
  seq_model_unref (builder->linear);
  g_free (builder->format);
  g_hash_table_unref (builder->metadata);
  g_free (builder);
}

guint
seq_builder_n_layers (const SeqBuilder *builder)
{
  return builder->layers->len;
}

const SeqLayer *
seq_builder_layer (const SeqBuilder *builder, guint layer)
{
  g_return_val_if_fail (layer < builder->layers->len, NULL);
  return g_ptr_array_index (builder->layers, layer);
}

/* Memory comes when it is written to: by then all layers are accepted. */
static real *
weights_of (SeqBuilder *builder, guint layer)
{
  gpointer *weights = &g_ptr_array_index (builder->weights, layer);

  if (!*weights)
    *weights = seq_alloc (seq_builder_layer (builder, layer)->n_weights);
  return *weights;
}

void
seq_builder_set_limit (SeqBuilder *builder, gsize max_weights)
{
  builder->max_weights = max_weights;
}

gint
seq_builder_add (
    SeqBuilder *builder, const char *kind, GVariant *config, GError **error)
{
  guint n = builder->layers->len;
  guint n_in = n ? seq_builder_layer (builder, n - 1)->n_out : builder->n_in;
  SeqLayer *layer = seq_layer_new (kind, config, n_in, error);

  if (!layer)
    return -1;
  if (layer->n_weights > builder->max_weights - builder->n_weights) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "layer %u, %s: number of weights is %" G_GSIZE_FORMAT
        "; expected at most %" G_GSIZE_FORMAT ", which is what is left of the "
        "file",
        n, kind, layer->n_weights, builder->max_weights - builder->n_weights);
    seq_layer_free (layer);
    return -1;
  }
  /* the builder's, and those of the model that it becomes */
  if (!seq_memory_check (seq_size_multiply (seq_size_add (builder->n_weights,
                                                layer->n_weights),
                             2 * sizeof (real)),
          seq_memory_total (), "the weights", error)) {
    g_prefix_error (error, "layer %u, %s: ", n, kind);
    seq_layer_free (layer);
    return -1;
  }
  builder->n_weights += layer->n_weights;
  g_ptr_array_add (builder->layers, layer);
  g_ptr_array_add (builder->weights, NULL);
  return (gint) n;
}

gboolean
seq_builder_set (SeqBuilder *builder, guint layer, const char *tensor,
    const char *as, const double *values, gsize n_rows, gsize n_cols,
    const SeqLayout *layout, GError **error)
{
  static const SeqLayout plain = { 0 };
  const SeqLayer *l = seq_builder_layer (builder, layer);
  real *weights = weights_of (builder, layer);
  const SeqTensor *t = NULL;
  gsize rows, cols;

  if (!layout)
    layout = &plain;
  for (guint i = 0; i < l->n_tensors; i++)
    if (g_str_equal (l->tensors[i].name, tensor))
      t = &l->tensors[i];
  if (!t) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "%s: layer %u, %s, does not have a tensor '%s'", as, layer,
        l->klass->kind.name, tensor);
    return FALSE;
  }
  rows = (gsize) t->gates * t->rows;
  cols = t->cols;
  if (n_rows != (layout->transposed ? cols : rows)
      || n_cols != (layout->transposed ? rows : cols)) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "%s: shape is %" G_GSIZE_FORMAT " x %" G_GSIZE_FORMAT
        "; expected %" G_GSIZE_FORMAT " x %" G_GSIZE_FORMAT
        " for %s of layer %u, %s",
        as, n_rows, n_cols, layout->transposed ? cols : rows,
        layout->transposed ? rows : cols, tensor, layer, l->klass->kind.name);
    return FALSE;
  }

  for (guint gate = 0; gate < t->gates; gate++) {
    guint block = layout->gates ? layout->gates[gate] : gate;

    for (guint row = 0; row < t->rows; row++)
      for (guint col = 0; col < t->cols; col++) {
        gsize r = (gsize) block * t->rows + row;
        gsize at = layout->transposed ? col * rows + r : r * cols + col;
        real *p = &weights[seq_tensor_index (t, gate, row, col)];
        real value = (real) (values[at] + (layout->add ? *p : 0));

        if (!isfinite (value)) {
          g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
              "%s: value %" G_GSIZE_FORMAT " is %g; expected a finite number",
              as, at, values[at]);
          return FALSE;
        }
        *p = value;
      }
  }
  return TRUE;
}

void
seq_builder_set_skip (SeqBuilder *builder, guint skip)
{
  builder->skip = skip;
}

void
seq_builder_set_n_signal (SeqBuilder *builder, guint n_signal)
{
  builder->n_signal = n_signal;
}

void
seq_builder_set_linear (SeqBuilder *builder, SeqModel *linear)
{
  if (linear)
    seq_model_ref (linear);
  seq_model_unref (builder->linear);
  builder->linear = linear;
}

void
seq_builder_set_rate (SeqBuilder *builder, double rate)
{
  builder->rate = rate;
}

void
seq_builder_set_horizon (SeqBuilder *builder, guint horizon)
{
  builder->horizon = horizon;
}

guint
seq_builder_horizon (const SeqBuilder *builder)
{
  return builder->horizon;
}

void
seq_builder_set_start (SeqBuilder *builder, SeqStart start)
{
  builder->start = start;
}

void
seq_builder_set_window (SeqBuilder *builder, guint window)
{
  builder->window = window;
}

void
seq_builder_set_scales (SeqBuilder *builder, const double *in_scale,
    const double *in_shift, const double *out_scale, const double *out_shift)
{
  const double *given[4] = { in_scale, in_shift, out_scale, out_shift };
  guint n_layers = builder->layers->len;
  guint n_out = seq_builder_layer (builder, n_layers - 1)->n_out;

  for (guint i = 0; i < 4; i++) {
    g_free (builder->scales[i]);
    builder->scales[i] =
        g_memdup2 (given[i], (i < 2 ? builder->n_in : n_out) * sizeof (double));
  }
}

void
seq_builder_set_format (SeqBuilder *builder, const char *format)
{
  g_free (builder->format);
  builder->format = g_strdup (format);
}

void
seq_builder_set_metadata (
    SeqBuilder *builder, const char *key, const char *value)
{
  g_hash_table_replace (builder->metadata, g_strdup (key), g_strdup (value));
}

void
seq_builder_seed (SeqBuilder *builder, guint64 seed)
{
  guint32 words[2] = { (guint32) seed, (guint32) (seed >> 32) };
  g_autoptr (GRand) rand = g_rand_new_with_seed_array (words, 2);

  for (guint i = 0; i < builder->layers->len; i++) {
    const SeqLayer *layer = g_ptr_array_index (builder->layers, i);

    if (layer->klass->seed)
      layer->klass->seed (layer, rand, weights_of (builder, i));
  }
}

void
seq_builder_copy (
    SeqBuilder *builder, guint layer, const SeqLayer *from, const real *weights)
{
  const SeqLayer *to = seq_builder_layer (builder, layer);
  real *to_weights = weights_of (builder, layer);

  for (guint i = 0; i < to->n_tensors; i++)
    for (guint j = 0; j < from->n_tensors; j++) {
      const SeqTensor *t = &to->tensors[i], *f = &from->tensors[j];

      if (!g_str_equal (t->name, f->name))
        continue;
      g_assert (t->gates == f->gates && t->rows == f->rows && t->cols == f->cols
                && t->tile == f->tile && t->tile_stride == f->tile_stride);
      memcpy (to_weights + t->offset, weights + f->offset,
          (t->rows + t->tile - 1) / t->tile * t->tile_stride * sizeof (real));
    }
}

gsize
seq_builder_n_weights (const SeqBuilder *builder)
{
  return builder->n_weights;
}

void
seq_builder_set_weights (SeqBuilder *builder, const real *weights)
{
  for (guint i = 0; i < builder->layers->len; i++) {
    gsize n_layer = seq_builder_layer (builder, i)->n_weights;

    memcpy (weights_of (builder, i), weights, n_layer * sizeof (real));
    weights += n_layer;
  }
}

void
seq_builder_copy_facts (SeqBuilder *builder, const SeqModel *model)
{
  GHashTableIter iter;
  gpointer key, value;

  builder->skip = model->skip;
  builder->n_signal = model->n_signal;
  seq_builder_set_linear (builder, model->linear);
  builder->rate = model->rate;
  builder->horizon = model->horizon;
  builder->start = model->start;
  builder->window = model->window;
  if (model->normalised)
    seq_builder_set_scales (builder, model->in_scale, model->in_shift,
        model->out_scale, model->out_shift);
  seq_builder_set_format (builder, model->format);
  g_hash_table_iter_init (&iter, model->metadata);
  while (g_hash_table_iter_next (&iter, &key, &value))
    seq_builder_set_metadata (builder, key, value);
}

SeqBuilder *
seq_builder_new_from (const SeqModel *model)
{
  SeqBuilder *builder = seq_builder_new (model->chain->n_in);

  for (guint i = 0; i < model->n_layers; i++) {
    const SeqLayer *layer = model->chain->layers[i];
    gint n =
        seq_builder_add (builder, layer->klass->kind.name, layer->config, NULL);

    g_assert (n == (gint) i); /* a model's config has been accepted before */
  }
  seq_builder_set_weights (builder, model->weights);
  seq_builder_copy_facts (builder, model);
  return builder;
}

/* Takes n values, or makes them. */
static double *
values_or (double **values, guint n, double fallback)
{
  double *made = g_steal_pointer (values);

  if (made)
    return made;
  made = g_new (double, n);
  for (guint i = 0; i < n; i++)
    made[i] = fallback;
  return made;
}

/* Whether a net can stand around it. */
static gboolean
is_linear (const SeqModel *model)
{
  return seq_chain_exact (model->chain) && model->n_in == 1 && model->n_out == 1
         && model->horizon == 1 && !model->linear;
}

SeqModel *
seq_builder_finish (SeqBuilder *builder, GError **error)
{
  guint n_layers = builder->layers->len, n_signal = builder->n_signal;
  gboolean normalised = FALSE;
  SeqChain *chain;
  real *weights;

  if (n_layers == 0) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "model: there are 0 layers; expected 1 or more");
    return NULL;
  }
  if (n_signal < 1 || n_signal > builder->n_in) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "model: n_signal is %u; expected 1 to %u, the number of inputs",
        n_signal, builder->n_in);
    return NULL;
  }
  if (builder->linear && !is_linear (builder->linear)) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "model: the linear forecaster is %s of %u inputs with a horizon of %u; "
        "expected ar of 1, without lags, with a horizon of 1",
        builder->linear->chain->layers[0]->klass->kind.name,
        builder->linear->n_in, builder->linear->horizon);
    return NULL;
  }
  if (builder->linear
      && builder->n_in != (guint64) n_signal * SEQ_LINEAR_FEATURES) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "model: there are %u inputs around a linear forecaster; expected %u "
        "for each of %u channels",
        builder->n_in, SEQ_LINEAR_FEATURES, n_signal);
    return NULL;
  }
  chain =
      seq_chain_new ((SeqLayer **) g_ptr_array_steal (builder->layers, NULL),
          n_layers, builder->skip, error);
  if (!chain)
    return NULL;

  weights = seq_alloc (chain->n_weights);
  for (guint i = 0; i < n_layers; i++)
    if (g_ptr_array_index (builder->weights, i))
      memcpy (weights + chain->weights_at[i],
          g_ptr_array_index (builder->weights, i),
          chain->layers[i]->n_weights * sizeof (real));
  seq_chain_pack (chain, weights);
  for (guint i = 0; i < G_N_ELEMENTS (builder->scales); i++)
    normalised |= builder->scales[i] != NULL;
  return g_memdup2 (
      &(SeqModel){
          .ref_count = 1,
          .chain = chain,
          .weights = weights,
          .n_layers = n_layers,
          .n_in = builder->linear ? n_signal : chain->n_in,
          .n_out = chain->n_out,
          .n_signal = n_signal,
          .skip = chain->skip,
          .linear = g_steal_pointer (&builder->linear),
          .rate = builder->rate,
          .horizon = builder->horizon,
          .start = builder->start,
          .window = builder->window,
          .normalised = normalised,
          .in_scale = values_or (&builder->scales[0], chain->n_in, 1),
          .in_shift = values_or (&builder->scales[1], chain->n_in, 0),
          .out_scale = values_or (&builder->scales[2], chain->n_out, 1),
          .out_shift = values_or (&builder->scales[3], chain->n_out, 0),
          .format = builder->format ? g_steal_pointer (&builder->format)
                                    : g_strdup ("untrained"),
          .metadata = g_hash_table_ref (builder->metadata),
      },
      sizeof (SeqModel));
}
