/* prepare.h: makes a model ready to learn from a recording.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A model is immutable: each of these returns a changed copy, or the same model
 * where nothing has to change.
 */
#pragma once

#include "src/model.h"
#include "src/train/data.h"
#include "src/train/splits.h"

G_BEGIN_DECLS

/* The same model for a recording at `rate` Hz, if it names no rate itself; for
 * prediction `horizon` frames ahead, or 0 for an effect. A last layer that
 * learnt in its state behind others becomes one that is trained by gradient and
 * starts from what it had learnt. Errors: SEQ_ERROR_SHAPE (the model is for
 * another rate), SEQ_ERROR_CONFIG (a model that learns in its state is made for
 * another horizon). */
SeqModel *seq_prepare_model (
    const SeqModel *model, double rate, guint horizon, GError **error);

/* The same model with the scales that suit the training split of data. A
 * prediction sees deviations from the mean in units of the standard deviation.
 * An effect keeps its zero; also its level, unless that is odd or `always` is
 * set, since Adam is at home with numbers about 1. Errors: SEQ_ERROR_SHAPE
 * (silence). */
SeqModel *seq_prepare_scales (SeqModel *model, const SeqTrainerData *data,
    const double parts[SEQ_N_SPLITS], gboolean always, GError **error);

G_END_DECLS
