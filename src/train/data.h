/* data.h: what a model learns from: pairs of an input frame and the output
 * that belongs to it.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "src/train/recording.h"

G_BEGIN_DECLS

/* Values are as recorded: the model scales them. Where the model has fewer
 * inputs and outputs than there are channels, groups of channels are
 * recordings of their own. */
typedef struct {
  gsize n_frames;
  guint n_in, n_out;   /* channels */
  const float *in;     /* [n_frames][n_in] */
  const float *target; /* [n_frames][n_out] */
  guint horizon;       /* 0: an effect. Else a prediction: target is `in` that
                        * many frames later, and `in` goes on for as many
                        * frames after the last pair */
} SeqTrainerData;

/* What an effect is learnt from: dry and wet of equal length and channels. Or,
 * with wet NULL, what a prediction `horizon` >= 1 frames ahead is learnt from.
 * The samples are borrowed. Errors: SEQ_ERROR_SHAPE (too short). */
gboolean seq_trainer_data_init (SeqTrainerData *data, const SeqRecording *dry,
    const SeqRecording *wet, guint horizon, GError **error);

typedef struct {
  double mean, deviation; /* standard deviation */
} SeqMoments;

/* Moments of channels first, first + step, ... of x, [n_frames][n_channels],
 * taken together. */
SeqMoments seq_moments_measure (
    const float *x, gsize n_frames, guint n_channels, guint first, guint step);

G_END_DECLS
