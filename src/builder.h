/* builder.h: builds models layer by layer, and binds tensors by name: the one
 * place that checks shapes and knows gate orders, transposes and doubled
 * biases.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Once a call has failed, a builder is only good for freeing. Control thread.
 */
#pragma once

#include "src/chain.h"
#include "src/model.h"

G_BEGIN_DECLS

typedef struct _SeqBuilder SeqBuilder;

SeqBuilder *seq_builder_new (guint n_in);
/* With the layers, the tensors and all else of a model, to finish one that
 * differs from it in what is set before. Never fails. */
SeqBuilder *seq_builder_new_from (const SeqModel *model);
void seq_builder_free (SeqBuilder *builder);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SeqBuilder, seq_builder_free)

/* --- layers and tensors --------------------------------------------------- */

/* The layers together may take at most that many reals of weights: what a file
 * can hold, so that nothing is allocated that it merely claims. */
void seq_builder_set_limit (SeqBuilder *builder, gsize max_weights);
/* Appends a layer; its n_in is the width so far. config is sunk. Returns the
 * layer's number, or -1. */
gint seq_builder_add (
    SeqBuilder *builder, const char *kind, GVariant *config, GError **error);
guint seq_builder_n_layers (const SeqBuilder *builder);
/* A layer that was added (borrowed), to read n_out and tensors from. */
const SeqLayer *seq_builder_layer (const SeqBuilder *builder, guint layer);

/* How the values of a file lie. */
typedef struct {
  gboolean transposed; /* [cols, gates * rows] instead */
  const guint8 *gates; /* canonical gate g is the file's block
                        * gates[g]; NULL: the same order */
  gboolean add;        /* add to what is there (second bias) */
} SeqLayout;

/* Binds values (row-major, n_rows x n_cols as the file has them) to a tensor.
 * Refuses a wrong shape and numbers that are not finite. `as` is the file's
 * name for it. */
gboolean seq_builder_set (SeqBuilder *builder, guint layer, const char *tensor,
    const char *as, const double *values, gsize n_rows, gsize n_cols,
    const SeqLayout *layout, GError **error);
/* Copies the tensors that a layer has by the same names as `from`, whose
 * weights are given. Shapes must agree. */
void seq_builder_copy (SeqBuilder *builder, guint layer, const SeqLayer *from,
    const real *weights);
/* Reals of weights that the layers so far take. */
gsize seq_builder_n_weights (const SeqBuilder *builder);
/* All of them at once, as SeqModel.weights has them. */
void seq_builder_set_weights (SeqBuilder *builder, const real *weights);
/* Fills the tensors of the layers so far with their kinds' random start. */
void seq_builder_seed (SeqBuilder *builder, guint64 seed);

/* --- what is not a tensor ------------------------------------------------- */

/* All have the defaults of an untouched file. */
void seq_builder_set_skip (SeqBuilder *builder, guint skip);
void seq_builder_set_n_signal (SeqBuilder *builder, guint n_signal);
/* NULL: none. Takes a reference. */
void seq_builder_set_linear (SeqBuilder *builder, SeqModel *linear);
void seq_builder_set_rate (SeqBuilder *builder, double rate);
void seq_builder_set_horizon (SeqBuilder *builder, guint horizon);
guint seq_builder_horizon (const SeqBuilder *builder);
void seq_builder_set_start (SeqBuilder *builder, SeqStart start);
void seq_builder_set_window (SeqBuilder *builder, guint window);
/* [n_in] and [n_out], once all layers are there. NULL: 1 and 0 */
void seq_builder_set_scales (SeqBuilder *builder, const double *in_scale,
    const double *in_shift, const double *out_scale, const double *out_shift);
void seq_builder_set_format (SeqBuilder *builder, const char *format);
/* Replaces the value of a key. */
void seq_builder_set_metadata (
    SeqBuilder *builder, const char *key, const char *value);
/* All of these from a model. */
void seq_builder_copy_facts (SeqBuilder *builder, const SeqModel *model);

/* Checks skip and n_signal. Tensors that were never set are zero. The builder
 * is spent. */
SeqModel *seq_builder_finish (SeqBuilder *builder, GError **error);

/* --- the way back --------------------------------------------------------- */

/* One number of a tensor, as PyTorch would index it. */
static inline real
seq_model_get (const SeqModel *model, guint layer, guint tensor, guint gate,
    guint row, guint col)
{
  const SeqLayer *l = model->chain->layers[layer];

  return model
      ->weights[model->chain->weights_at[layer]
                + seq_tensor_index (&l->tensors[tensor], gate, row, col)];
}

G_END_DECLS
