/* learner.h: online gradient descent for one lane.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Truncated back-propagation through time with Adam. A read-out at the end of
 * the chain that learns in its state (readout) does so frame by frame, and the
 * gradient goes back through what it knows by then. Frames are gathered in a
 * window; when the last target of a window has come, its gradient is taken,
 * the weights move, and the next window goes on from the state after the last.
 * Updates fall on fixed frame numbers, however the stream is cut into blocks.
 */
#pragma once

#include "src/chain.h"

G_BEGIN_DECLS

typedef struct {
  double rate;   /* Adam's step */
  guint window;  /* frames an update looks back over */
  guint horizon; /* >= 1: the target of frame t is the signal
                  * of frame t + horizon */
} SeqLearnerConfig;

/* Numbers that are carried; part of what a snapshot holds. */
typedef struct {
  guint64 n_updates, n_rollbacks;
  guint32 filled;           /* rows of the window that have been run */
  guint32 n_adam;           /* updates since Adam's moments were zero */
  double power;             /* running mean square of what the net itself
                             * has to produce */
  double error, good_error; /* residual over power, running; its lowest */
  double slow_down;         /* factor on the rate; halved by a rollback */
} SeqLearnerNumbers;

typedef struct {
  const SeqChain *chain;
  SeqLearnerConfig config;
  guint n_rows;  /* window + horizon */
  SeqWork *work; /* rows of the window, kept */
  real *d_weights, *d_out, *d_state, *saved;
  /* carried; in memory that the stream gives */
  SeqLearnerNumbers *numbers;
  real *weights, *moment1, *moment2, *good; /* [n_weights] */
  real *state, *state0, *state_w; /* [n_state]: now, before the window,
                                   * after its last frame */
  real *rows;    /* [n_rows][in_stride]: inputs of the window */
  real *targets; /* [n_rows][out_stride]: what should have been forecast for
                  * each, less the skip connection's part */
  guint8 *valid; /* [n_rows] */
} SeqLearner;

/* Bytes of the carried memory; a multiple of SEQ_ALIGN. */
gsize seq_learner_carried (
    const SeqChain *chain, const SeqLearnerConfig *config);
/* Bytes of all its other memory. */
gsize seq_learner_work (const SeqChain *chain, const SeqLearnerConfig *config);
/* memory: zeroed, aligned, outlives the learner. Needs seq_learner_start(). */
SeqLearner *seq_learner_new (
    const SeqChain *chain, const SeqLearnerConfig *config, gpointer memory);
void seq_learner_free (SeqLearner *learner);

/* The rest is real-time safe. */

/* Forgets everything; weights: [n_weights] to begin with. */
void seq_learner_start (SeqLearner *learner, const real *weights);
/* Puts the carried state back to the start, keeps what was learnt. */
void seq_learner_rewind (SeqLearner *learner);
/* Other memory of the same shape has come: the rest follows from it. */
void seq_learner_set_memory (SeqLearner *learner, gpointer memory);
/* Whether carried memory that was written from outside can be run. */
gboolean seq_learner_check (const SeqLearner *learner);
/* Carried memory of version 1 of snapshots, where targets of a model that does
 * not end in a read-out had the skip connection's part in them. */
void seq_learner_convert_1 (SeqLearner *learner);
/* Refills the rows from the carried memory, after it was written from
 * outside. The same bits as before come out. */
void seq_learner_resume (SeqLearner *learner);

/* Frames to run; strides in entries, from frame to frame. */
typedef struct {
  guint n_frames;
  const real *in; /* [n_in] a frame */
  gsize in_stride;
  const real *target; /* [n_out] a frame: see SeqBlock.target */
  gsize target_stride;
  const guint8 *valid; /* 0: the frame is filled in, not learnt from */
  gsize valid_stride;
  real *out; /* [n_out] a frame; written */
  gsize out_stride;
} SeqLearnerBlock;

/* learn FALSE: nothing is learnt, and a new window begins afterwards. */
void seq_learner_run (
    SeqLearner *learner, const SeqLearnerBlock *block, gboolean learn);

G_END_DECLS
