/* host.h: which model runs on a stream, and everything that changes it.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A host holds what is in force: settings, a model file, a saved state, the
 * stream's channels and rate, and the stream that follows from them. Every
 * change is planned first: a seq_host_plan_...() computes all of it and stores
 * nothing, so that what is refused is as if never asked. A plan is carried out
 * whole, which cannot fail.
 *
 *   open -> stream (channels and rate are known) -> ... -> close
 *
 * Settings and states may come before, between and after; files are opened by
 * the caller (model-cache.h), who may need to do that without a lock. One
 * control thread at a time calls the functions here. The thread that streams
 * uses seq_host_handover() alone.
 */
#pragma once

#include "src/live/decide.h"
#include "src/live/handover.h"

G_BEGIN_DECLS

typedef struct _SeqHost SeqHost;
typedef struct _SeqPlan SeqPlan;

/* can_have_rate: whether the stream could come at another rate, in Hz, for a
 * new model; NULL: never. */
typedef gboolean (*SeqHostRateFunc) (guint rate, gpointer data);
SeqHost *seq_host_new (SeqHostRateFunc can_have_rate, gpointer data);
void seq_host_free (SeqHost *host);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SeqHost, seq_host_free)

/* --- plans ------------------------------------------------------------------
 * Each returns NULL with an error where the change cannot be. Errors, besides
 * the named: SEQ_ERROR_CONFIG, SEQ_ERROR_SHAPE. */

/* To begin, with these settings and the file they name (NULL: none), which
 * gets a reference. */
SeqPlan *seq_host_plan_open (SeqHost *host, const SeqSettings *settings,
    SeqModelFile *file, GError **error);

/* Other settings. file: as they name it, if their n_file_settings differs from
 * that in force; otherwise it is not looked at. A new file fades in over 10 ms;
 * what was learnt goes on where the model stays the same. */
SeqPlan *seq_host_plan_settings (SeqHost *host, const SeqSettings *settings,
    SeqModelFile *file, GError **error);

/* A stream of so many channels at this rate. It takes effect at once: no other
 * thread may be streaming. The carried state goes back to its start. */
SeqPlan *seq_host_plan_stream (
    SeqHost *host, guint n_channels, guint rate, GError **error);

/* To go on from a saved state. It brings its model, which stands above file and
 * settings until another model is asked for; the settings follow it. */
SeqPlan *seq_host_plan_state (SeqHost *host, GBytes *state, GError **error);

/* To go on from a file with a saved state. If the settings say what the model
 * is to be, the state must fit it; otherwise it brings its model. NULL without
 * an error: there is no such file yet, or a state that was set is newer.
 * Errors: G_FILE_ERROR, SEQ_ERROR_FORMAT, SEQ_ERROR_DAMAGED. */
SeqPlan *seq_host_plan_state_file (
    SeqHost *host, const char *path, GError **error);

void seq_plan_free (SeqPlan *plan);
/* Channels of the prediction of the stream that it builds; 0: it builds none.
 */
guint seq_plan_n_outputs (const SeqPlan *plan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SeqPlan, seq_plan_free)

/* Takes the plan, which must be the host's latest; NULL: does nothing. Returns
 * whether there was one. */
gboolean seq_host_carry_out (SeqHost *host, SeqPlan *plan);

/* The knobs are to be at these values: an effect that begins after silence
 * begins where that leads to there. They turn with seq_stream_set_knob(). */
void seq_host_set_knobs (SeqHost *host, const double *knobs, guint n_knobs);
/* Knobs of the model that runs, or will; 0: there is none, or no stream. */
guint seq_host_n_knobs (SeqHost *host);
/* How a model that ends in the last step of a sequence is read; NULL: it is not
 * such a one. Valid until a plan is carried out. */
const char *seq_host_sequence_to_one (SeqHost *host);
/* FALSE: the model is to begin after silence, on which it never rests. */
gboolean seq_host_rests (SeqHost *host);

/* Forgets stream, file and state. No other thread may be streaming. */
void seq_host_close (SeqHost *host);

/* --- what is in force ------------------------------------------------------
 */

gboolean seq_host_is_open (SeqHost *host);
/* Channels of the stream; 0: there is none. */
guint seq_host_n_channels (SeqHost *host);
/* Channels of its prediction. */
guint seq_host_n_outputs (SeqHost *host);
/* The model that was decided on needs other channels or another rate than the
 * stream has. The one before it goes on until seq_host_plan_stream(). */
gboolean seq_host_awaits_stream (SeqHost *host);
const SeqSettings *seq_host_settings (SeqHost *host);
/* The model file's own description, as settings; `given` is 0 if its model is
 * not the one in force. */
void seq_host_describe_file (SeqHost *host, SeqSettings *description);
SeqNeeds seq_host_needs (SeqHost *host);

/* For the thread that streams: lock, adopt what is pending, process, unlock. */
SeqHandover *seq_host_handover (SeqHost *host);

/* Everything learnt and carried, with the model; NULL: there is none yet. */
GBytes *seq_host_get_state (SeqHost *host);

typedef struct {
  const char *isa;  /* instruction set in use */
  char *model_file; /* in use; NULL: none */
  SeqModel *model;  /* that runs; NULL: none yet */
  gsize state_size; /* bytes */
  guint64 n_swaps;  /* model files that faded in */
  guint n_channels;
  SeqStreamStats stream;
} SeqHostStats;

void seq_host_get_stats (SeqHost *host, SeqHostStats *stats);
void seq_host_stats_clear (SeqHostStats *stats);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (SeqHostStats, seq_host_stats_clear)

G_END_DECLS
