/* rest.h: the state that a long silence leads a model to.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * An effect that begins from zeros puts out a thump while it settles. It begins
 * from its rest instead, if its model says so (SeqModel.start).
 */
#pragma once

#include "src/model.h"

G_BEGIN_DECLS

/* Immutable once made, and reference-counted atomically. */
typedef struct {
  gint ref_count;
  SeqModel *model;
  guint n_knobs;
  double *knobs;     /* [n_knobs]: what the rest is for */
  gboolean is_still; /* FALSE: the model never rests on silence, and this is
                      * where it had come to */
  real *state;       /* [chain->n_state] of one lane */
} SeqRest;

/* Whether a stream of this model begins at rest: an effect that says so. */
gboolean seq_rest_is_start (const SeqModel *model, guint horizon);

/* Runs the model on silence, with its knobs at these values, until its layers'
 * outputs stand still, for 65536 frames at most (fewer, if the model is so
 * large that this would take long). Silence is 0 at the first n_in - n_knobs
 * inputs. Control thread: takes milliseconds to seconds. */
SeqRest *seq_rest_new (SeqModel *model, const double *knobs, guint n_knobs);
SeqRest *seq_rest_ref (SeqRest *rest);
void seq_rest_unref (SeqRest *rest);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SeqRest, seq_rest_unref)
/* Whether it is what seq_rest_new() would give. */
gboolean seq_rest_suits (const SeqRest *rest, const SeqModel *model,
    const double *knobs, guint n_knobs);

G_END_DECLS
