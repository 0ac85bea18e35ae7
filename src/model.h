/* model.h: a model: a chain of layers with its weights, and what a file says of
 * it.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 *   u = in_scale * (x - in_shift)                       per input
 *   y = out_scale * (chain (u) + skip of u) + out_shift   per output
 *
 * Immutable once built, and reference-counted atomically, so that any number
 * of streams in any thread share it. A model that differs in something is
 * built: by seq_model_with_...() below, or by a builder that begins with it
 * (builder.h).
 *
 * The layers are opaque here: who runs or writes them includes chain.h.
 */
#pragma once

#include "src/error.h"
#include "src/kind.h"
#include "src/real.h"

G_BEGIN_DECLS

typedef struct _SeqChain SeqChain;
typedef struct _SeqModel SeqModel;

/* Where a stream begins, and begins again. */
typedef enum {
  SEQ_START_ZEROS,  /* as the layers do: zeros, or the state in the file */
  SEQ_START_SILENCE /* where a long silence leads to; of effects */
} SeqStart;

/* Inputs that a net around a linear forecaster has for each channel. */
#define SEQ_LINEAR_FEATURES 8

struct _SeqModel {
  gint ref_count; /* atomic; for ref and unref alone */
  const SeqChain *const chain;
  const real *const weights; /* [chain->n_weights] */
  const guint n_layers, n_in, n_out;
  const guint n_signal;   /* the first inputs are signal; the other
                           * n_in - n_signal are knobs, 0..1 */
  const guint skip;       /* as SeqChain.skip */
  SeqModel *const linear; /* forecasts first, one frame ahead, each channel by
                           * itself; the chain is a net around it
                           * (src/live/linear.h), which n_in does not count the
                           * inputs of. NULL: there is none */
  const double rate;      /* Hz; 0: any */
  const guint horizon;    /* frames that a forecast looks ahead; 0:
                           * an effect (output for the same frame),
                           * or unknown */
  const SeqStart start;
  const guint window; /* frames: each frame's output is that of a run from the
                       * start over the last so many; 0: state goes on */
  const gboolean normalised;           /* in_ and out_ are the file's; otherwise
                                        * 1 and 0 */
  const double *in_scale, *in_shift;   /* [n_in] */
  const double *out_scale, *out_shift; /* [n_out] */
  const char *const format;            /* where it came from: "safetensors",
                                        * "NAM", ..., or "untrained" */
  GHashTable *const metadata; /* char * -> char *, as the file has it; not to
                               * be written to */
};

SeqModel *seq_model_ref (SeqModel *model);
void seq_model_unref (SeqModel *model);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SeqModel, seq_model_unref)

/* One layer, as the outside may know it. Pointers live as long as the model. */
typedef struct {
  const SeqKind *kind;
  guint n_in, n_out;     /* features */
  GVariant *config;      /* a{sv}, borrowed: its options */
  const char *precision; /* of its weights: "float", "int16" or "int8" */
  guint64 n_weights;     /* numbers in its tensors */
} SeqLayerFacts;

/* layer < n_layers. Any thread. */
SeqLayerFacts seq_model_layer (const SeqModel *model, guint layer);

/* A model that has learnt nothing yet, for n_signal features: a kind that
 * learns in its state stands alone; of others, `n_layers` and a dense read-out,
 * or with `readout` one that learns by RLS. options (a{sv}, sunk): keys that
 * the kind or the read-out reads are handed on, others are ignored, so that one
 * set of settings serves every kind; `linear` (1): a net stands around a linear
 * forecaster, which reads `order`, `sensor` and `cascade`. Control thread.
 * Errors: SEQ_ERROR_CONFIG. */
SeqModel *seq_model_new_untrained (const char *kind, GVariant *options,
    guint n_signal, guint n_layers, gboolean readout, gboolean skip,
    guint64 seed, GError **error);

/* The linear forecaster of such a net, which has learnt nothing yet. Of options
 * (a{sv}, borrowed) it reads those named above. Control thread. Errors:
 * SEQ_ERROR_CONFIG. */
SeqModel *seq_model_new_linear (GVariant *options, GError **error);
gboolean seq_model_linear_reads (const char *option);

/* The same model with its last layer, a dense one, replaced by a read-out that
 * learns in its state and starts from the same weights. options (a{sv}, sunk):
 * as above. Control thread. Errors: SEQ_ERROR_CONFIG. */
SeqModel *seq_model_with_readout (
    const SeqModel *model, GVariant *options, GError **error);

/* The same model as a lane has learnt it: a last layer that learns in its
 * state gets its weights from there, and a read-out becomes dense again.
 * weights: [chain->n_weights], or NULL for the model's own; state: the lane's
 * chain state, or NULL for the state at the start. Control thread. */
SeqModel *seq_model_with_learnt (const SeqModel *model, const real *weights,
    const real *state, GError **error);

/* The same model with the recurrent weights of its layers in `precision`
 * ("float", "int16" or "int8"), where their kind has that option, and their
 * input weights where the input is the output of another such layer. Quantised
 * layers cannot learn by gradient. Control thread. Errors: SEQ_ERROR_CONFIG,
 * where no layer can be quantised, or one has outputs without bounds. */
SeqModel *seq_model_with_precision (
    const SeqModel *model, const char *precision, GError **error);

G_END_DECLS
