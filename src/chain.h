/* chain.h: layers one after another, run and differentiated as one.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A chain knows the shapes and where each layer's part of the weights and of
 * the state lies; it owns no numbers. SeqWork owns the rows between layers.
 */
#pragma once

#include "src/layer.h"

G_BEGIN_DECLS

typedef struct _SeqChain SeqChain;

struct _SeqChain {
  guint n_layers;
  SeqLayer **layers;            /* owned */
  gsize *weights_at, *state_at; /* where each layer's part begins, reals */
  guint n_in, n_out;            /* features of the whole */
  guint skip;                   /* 0: none; 1: feature 0 of the input is added
                                 * to every output; s: y[0:s] += u[0:s] */
  gsize n_weights, n_state;     /* reals; n_state is for one lane */
};

/* Takes the layers and the array; widths must already fit (programmer error
 * otherwise). skip is checked: SEQ_ERROR_CONFIG. */
SeqChain *seq_chain_new (
    SeqLayer **layers, guint n_layers, guint skip, GError **error);
void seq_chain_free (SeqChain *chain);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SeqChain, seq_chain_free)

/* Fills what weights hold beside the tensors (SeqLayerClass.pack): once they
 * are set, control thread. */
void seq_chain_pack (const SeqChain *chain, real *weights);

/* state: [n_state] of one lane. rewind keeps what was learnt. */
void seq_chain_start (const SeqChain *chain, const real *weights, real *state);
void seq_chain_rewind (const SeqChain *chain, const real *weights, real *state);
/* Whether a state from outside can be run (SeqLayerClass.check_state). */
gboolean seq_chain_check_state (const SeqChain *chain, const real *state);
/* TRUE if the last layer learns in its state (ar, markov, naive, readout). */
gboolean seq_chain_learns (const SeqChain *chain);

/* TRUE if it is one layer that takes signals as they are (SeqLayer.exact). */
gboolean seq_chain_exact (const SeqChain *chain);

/* Rows for up to max_frames frames of n_lanes lanes. With keep, run() fills
 * the tape and seq_chain_grad() may follow. */
typedef struct {
  guint max_frames, n_lanes;
  gboolean keep;
  real *in; /* [max_frames][n_lanes][in_stride]: the caller
             * writes the chain's input here; the padding
             * stays zero */
  gsize in_stride;
  real *out; /* [max_frames][n_lanes][out_stride] */
  gsize out_stride;
  /* the chain's own */
  real **rows; /* output of each layer; the last is out */
  real **tapes;
  real *d_rows[2], *scratch;
  real *memory;
} SeqWork;

/* Reals that it holds; G_MAXSIZE: more than can be counted. */
gsize seq_work_size (
    const SeqChain *chain, guint max_frames, guint n_lanes, gboolean keep);
SeqWork *seq_work_new (
    const SeqChain *chain, guint max_frames, guint n_lanes, gboolean keep);
void seq_work_free (SeqWork *work);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SeqWork, seq_work_free)

/* One pass over frames [at, at + n_frames) of the rows of a SeqWork. */
typedef struct {
  guint at, n_frames;
  const real *weights;  /* [n_weights], or a lane's copy each */
  gsize weights_stride; /* 0: lanes share */
  real *state;          /* [lane][n_state]; carried */
  const real *learnt;   /* for grad(): see SeqGrad. May be NULL when no layer
                         * learns in its state */
  /* as in SeqBlock; row 0 is frame `at` */
  const real *target;
  gsize target_stride;
  const guint8 *valid;
  real *score;
  const double *exact; /* NULL unless seq_chain_exact() */
  double *exact_out;
} SeqPass;

/* Runs all layers over the block. Real-time safe. */
void seq_chain_run (const SeqChain *chain, SeqWork *work, const SeqPass *pass);

/* The same for weights that are not trusted. A lane whose numbers are no
 * longer finite gives 0 at that frame and goes on from the start, in any
 * blocks. A last layer that learns in its state sees finite features only; what
 * comes out of it is not looked at. saved: seq_chain_saved() reals. */
void seq_chain_run_safely (
    const SeqChain *chain, SeqWork *work, const SeqPass *pass, real *saved);
gsize seq_chain_saved (const SeqChain *chain, guint n_lanes);

/* Backward over frames [pass->at, + n_frames), just run with work->keep.
 * pass->state: as it was before those frames; not changed.
 * d_out: [n_frames][n_lanes][out_stride], padding zero; may be overwritten.
 * d_weights: [n_weights], added to.
 * d_in: NULL, or [n_frames][n_lanes][in_stride], overwritten.
 * d_state: [lane][n_state], zeros for truncated BPTT; overwritten.
 * Real-time safe. */
void seq_chain_grad (const SeqChain *chain, SeqWork *work, const SeqPass *pass,
    real *d_out, real *d_weights, real *d_in, real *d_state);

G_END_DECLS
