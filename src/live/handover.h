/* handover.h: a stream with the memory it needs to run, and its way from the
 * threads that build to the thread that streams.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A control thread publishes an engine. The streaming thread adopts it at its
 * next buffer and carries over what was learnt. The engine before it is
 * retired, at once or when it has faded out, and a control thread frees it.
 *
 * The streaming thread neither allocates nor frees. It waits only while
 * another thread holds the lock, which is for one copy of the state.
 */
#pragma once

#include "src/live/stream.h"

G_BEGIN_DECLS

typedef struct _SeqEngine SeqEngine;
struct _SeqEngine {
  SeqStream *stream;
  gboolean has_past;    /* its own, from a state: it inherits nothing */
  guint n_fade;         /* frames to fade in over, if it inherits nothing;
                         * 0: it takes over at once */
  gpointer *in, *out;   /* first sample of each channel in and out */
  SeqStreamStats stats; /* with room for each channel */
  /* the hand-over's own */
  SeqEngine *fading_out; /* the engine before it, for as long as it is heard */
  SeqEngine *next_retired;
};

/* Takes the stream. Control thread, like seq_engine_free(). */
SeqEngine *seq_engine_new (SeqStream *stream);
void seq_engine_free (SeqEngine *engine);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SeqEngine, seq_engine_free)

typedef enum {
  SEQ_AGAIN_NOT,
  SEQ_AGAIN_REWIND, /* what is carried goes back to its start */
  SEQ_AGAIN_RESTART /* it forgets what it has learnt, too */
} SeqAgain;

typedef struct {
  GMutex lock;        /* the streaming thread holds it during a buffer */
  SeqEngine *active;  /* guarded by lock; NULL until one is adopted */
  SeqEngine *pending; /* atomic */
  SeqEngine *retired; /* atomic; a list by next_retired */
  gint again;         /* atomic, SeqAgain: how the active stream is to begin
                       * again */
  guint64 n_swaps;    /* guarded by lock: engines adopted with a fade */
} SeqHandover;

void seq_handover_init (SeqHandover *handover);
void seq_handover_clear (SeqHandover *handover);
/* Frees all engines; more can be published. No thread may be streaming. */
void seq_handover_reset (SeqHandover *handover);

/* Takes the engine. One that is still pending is replaced; if that had a past
 * from a state, the new engine inherits it. One thread at a time calls this
 * and the next two. */
void seq_handover_publish (SeqHandover *handover, SeqEngine *engine);
/* The same for an engine that goes to work now, without a fade: the frames that
 * come have other caps. rewinds: with the carried state at its start. No thread
 * may be streaming. */
void seq_handover_cut_over (
    SeqHandover *handover, SeqEngine *engine, gboolean rewinds);
/* Frees retired engines. */
void seq_handover_free_retired (SeqHandover *handover);
/* The active stream begins again at the next buffer. Any thread. */
void seq_handover_begin_again (SeqHandover *handover, SeqAgain how);

/* The rest is for any thread that holds the lock, and real-time safe. */

/* Adopts a pending engine, unless one is still fading in, and begins again if
 * that was asked for. Returns the active engine. */
SeqEngine *seq_handover_adopt_pending (SeqHandover *handover);
/* Ends a fade: the engine that was fading in is heard alone. */
void seq_handover_end_fade (SeqHandover *handover);

G_END_DECLS
