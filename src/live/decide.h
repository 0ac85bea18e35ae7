/* decide.h: which model runs on a stream, and how: functions of what is asked
 * for, without side effects.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Any control thread.
 */
#pragma once

#include "src/live/model-cache.h"
#include "src/live/settings.h"

G_BEGIN_DECLS

/* All that a decision depends on; borrowed. */
typedef struct {
  const SeqSettings *settings;
  const SeqModelFile *file; /* as the settings name it; NULL: none */
  SeqModel *saved_model;    /* of a state that brings its model, which stands
                             * above file and settings; NULL: none */
  gboolean keeps_learner;   /* a stream or a state that is to go on can learn:
                             * the new stream must, too, even with learn=off */
  guint n_channels;         /* of the stream; 0: not known yet */
  guint rate;               /* Hz; 0: not known yet */
} SeqQuestion;

/* The model, and the configuration of its stream. Errors: SEQ_ERROR_CONFIG,
 * SEQ_ERROR_SHAPE. */
SeqModel *seq_decide (
    const SeqQuestion *question, SeqStreamConfig *config, GError **error);

/* Describes a model as settings: sets those that it says something about, and
 * their bits in description->given. */
void seq_describe (const SeqModel *model, SeqSettings *description);

/* The demands of a model that was there before the stream, from a file or a
 * state. */
typedef struct {
  guint n_signal, n_in, n_out; /* of the model; 0: whatever the stream has */
  guint rate;                  /* Hz; 0: any */
  SeqChannelMode channel_mode;
} SeqNeeds;

/* model: NULL: there is none yet. */
SeqNeeds seq_find_needs (const SeqModel *model, const SeqSettings *settings);
/* Whether a stream has that; 0: not known yet. whose: for the error, which is
 * SEQ_ERROR_SHAPE. */
gboolean seq_check_needs (const SeqNeeds *needs, const char *whose,
    guint n_channels, guint rate, GError **error);

G_END_DECLS
