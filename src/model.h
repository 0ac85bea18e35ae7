/* model.h: a model: a chain with its weights, and what a file says of it.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 *   u = in_scale * (x - in_shift)                       per input
 *   y = out_scale * (chain (u) + skip of u) + out_shift   per output
 *
 * Immutable once built and reference-counted (atomically), so that any number
 * of streams in any thread share it.
 */
#pragma once

#include "src/chain.h"

G_BEGIN_DECLS

typedef struct {
  gint ref_count; /* atomic */
  SeqChain *chain;
  real *weights;                 /* [chain->n_weights] */
  guint n_signal;                /* the first inputs are signal; the rest of
                                  * chain->n_in are conditioning, 0..1 */
  double rate;                   /* Hz; 0: any */
  guint horizon;                 /* frames that a forecast looks ahead; 0: an
                                  * effect (output for the same frame), or
                                  * unknown */
  gboolean normalised;           /* in_/out_ are the file's; else 1 and 0 */
  double *in_scale, *in_shift;   /* [chain->n_in] */
  double *out_scale, *out_shift; /* [chain->n_out] */
  char *format;                  /* where it came from: "safetensors", "NAM",
                                  * ..., or "untrained" */
  GHashTable *metadata;          /* char * -> char *, as the file has it */
} SeqModel;

SeqModel *seq_model_ref (SeqModel *model);
void seq_model_unref (SeqModel *model);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SeqModel, seq_model_unref)

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

/* --- building --------------------------------------------------------- */

/* Builds a model layer by layer and binds tensors by name: the one place that
 * checks shapes and knows gate orders, transposes and doubled biases. Once a
 * call has failed the builder is only good for freeing. Control thread. */
typedef struct _SeqBuilder SeqBuilder;

SeqBuilder *seq_builder_new (guint n_in);
void seq_builder_free (SeqBuilder *builder);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SeqBuilder, seq_builder_free)

/* The layers together may take at most that many reals of weights: what a file
 * can hold, so that nothing is allocated that it merely claims. */
void seq_builder_set_limit (SeqBuilder *builder, gsize max_weights);
/* Appends a layer; its n_in is the width so far. config is sunk. Returns the
 * layer's number, or -1. */
gint seq_builder_add (
    SeqBuilder *builder, const char *kind, GVariant *config, GError **error);
/* The layer added last (borrowed), to read n_out and tensors from. */
const SeqLayer *seq_builder_layer (SeqBuilder *builder, guint layer);

/* How the values of a file lie. */
typedef struct {
  gboolean transposed; /* [cols, gates * rows] instead */
  const guint8 *gates; /* canonical gate g is the file's block
                        * gates[g]; NULL: the same order */
  gboolean add;        /* add to what is there (second bias) */
} SeqLayout;

/* Binds values (row-major, n_rows x n_cols as the file has them) to a tensor.
 * Refuses a wrong shape ("lstm.weight_hh of layer 0: 20 x 5 where 32 x 8 is
 * needed") and non-finite values. `as` is the file's name for it. */
gboolean seq_builder_set (SeqBuilder *builder, guint layer, const char *tensor,
    const char *as, const double *values, gsize n_rows, gsize n_cols,
    const SeqLayout *layout, GError **error);

/* What is not a tensor; all have the defaults of an untouched file. */
void seq_builder_set_skip (SeqBuilder *builder, guint skip);
void seq_builder_set_n_signal (SeqBuilder *builder, guint n_signal);
void seq_builder_set_rate (SeqBuilder *builder, double rate);
void seq_builder_set_horizon (SeqBuilder *builder, guint horizon);
/* [n_in] and [n_out]; NULL: 1 and 0 */
void seq_builder_set_scales (SeqBuilder *builder, const double *in_scale,
    const double *in_shift, const double *out_scale, const double *out_shift);
void seq_builder_set_format (SeqBuilder *builder, const char *format);
void seq_builder_set_metadata (
    SeqBuilder *builder, const char *key, const char *value);

/* Fills all tensors with the kinds' random start. */
void seq_builder_seed (SeqBuilder *builder, guint64 seed);
/* Checks skip and widths. Tensors that were never set are zero, unless
 * seq_builder_require() below. The builder is spent. */
SeqModel *seq_builder_finish (SeqBuilder *builder, GError **error);

/* A model that has learnt nothing yet, for n_signal features:
 * kinds that learn in their state stand alone; for others, `n_layers` of the
 * kind and a dense read-out, or with readout a read-out that learns by RLS.
 * options (a{sv}, sunk): keys that the kind or the read-out reads are handed
 * on, others are ignored, so that one set of settings serves every kind.
 * Errors: SEQ_ERROR_CONFIG. */
SeqModel *seq_model_new_untrained (const char *kind, GVariant *options,
    guint n_signal, guint n_layers, gboolean readout, gboolean skip,
    guint64 seed, GError **error);

/* The same model with its last layer, a dense one, replaced by a readout that
 * starts from the dense layer's weights (readout TRUE), or the other way
 * round with the weights from `state`, a lane's chain state (readout FALSE).
 * Other layers that learn in their state get their weights from it likewise. */
SeqModel *seq_model_with_readout (
    const SeqModel *model, GVariant *options, GError **error);
SeqModel *seq_model_with_learnt (const SeqModel *model, const real *weights,
    const real *state, GError **error);

/* The same model with the recurrent weights of its rnn, lstm and gru layers in
 * `precision` ("float", "int16" or "int8"), and their input weights where the
 * input is the output of another such layer. Quantised layers cannot learn by
 * gradient. Errors: SEQ_ERROR_CONFIG, where no layer can be quantised, or one
 * of the kind has outputs without bounds. */
SeqModel *seq_model_with_precision (
    const SeqModel *model, const char *precision, GError **error);
/* The precision that a layer runs in: "float", "int16" or "int8". */
const char *seq_layer_precision (const SeqLayer *layer);

G_END_DECLS
