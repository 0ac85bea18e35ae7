/* train-recordings.h: the recordings that seqmodel train learns from.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "src/train/recording.h"
#include "tools/train-options.h"
#include "tools/train-report.h"

G_BEGIN_DECLS

typedef struct {
  SeqRecording *in, *target; /* target NULL: `in` is to be predicted */
  gboolean audio;            /* at a rate of sound */
  gboolean unrelated;        /* target has nothing in common with in */
} TrainRecordings;

/* Reads what the options name, checks it, and makes channels and times agree.
 * What looks wrong but can be trained from is reported. */
gboolean train_recordings_read (TrainRecordings *recordings,
    const TrainOptions *options, const Report *report, GError **error);
void train_recordings_clear (TrainRecordings *recordings);

G_END_DECLS
