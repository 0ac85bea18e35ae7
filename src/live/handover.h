/* handover.h: a stream with the memory it needs to run, and its hand-over from
 * the threads that build to the thread that streams.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Control threads offer an engine; the streaming thread takes it up at its
 * next buffer, carries over what was learnt, and lays the old one, once it has
 * faded out, on a pile that control threads clear. It neither frees nor
 * allocates. It waits only while another thread holds the lock, which is for
 * one copy of the state.
 */
#pragma once

#include <glib.h>
#include "src/live/stream.h"

G_BEGIN_DECLS

typedef struct _GstSeqEngine GstSeqEngine;
struct _GstSeqEngine {
  SeqStream *stream;
  gboolean restored;    /* holds its own past: take over from nobody */
  guint n_fade;         /* frames to come in over; 0: at once. What takes over
                         * another's past needs none */
  GstSeqEngine *before; /* fades out */
  gpointer *in, *out;   /* first sample of each channel that comes, leaves */
  SeqStreamStats stats; /* with room for each channel */
  GstSeqEngine *next;   /* on the pile */
};

/* Takes the stream. Control thread, as is free. */
GstSeqEngine *gst_seq_engine_new (SeqStream *stream);
void gst_seq_engine_free (GstSeqEngine *engine);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (GstSeqEngine, gst_seq_engine_free)

typedef struct {
  GMutex lock;           /* the streaming thread holds it during a buffer */
  GstSeqEngine *engine;  /* under the lock; NULL before caps */
  GstSeqEngine *offered; /* atomic */
  GstSeqEngine *pile;    /* atomic; linked by next */
  gint restart;          /* atomic: forget everything */
  guint64 n_fades;       /* under the lock: engines that came in so */
} GstSeqSlot;

void gst_seq_slot_init (GstSeqSlot *slot);
/* Frees all engines; the slot can be used again. No thread streams. */
void gst_seq_slot_empty (GstSeqSlot *slot);
void gst_seq_slot_clear (GstSeqSlot *slot);

/* Takes the engine; one that still waits is replaced, and if it was restored
 * its past goes on in the new one. Callers of this and the next take turns
 * (the element's build lock). */
void gst_seq_slot_offer (GstSeqSlot *slot, GstSeqEngine *engine);
/* Frees what the streaming thread has done with. */
void gst_seq_slot_sweep (GstSeqSlot *slot);
/* Takes up what was offered, unless one still fades in, and a restart that was
 * asked for. Called with the lock held, by any thread. Real-time safe. Returns
 * slot->engine. */
GstSeqEngine *gst_seq_slot_settle (GstSeqSlot *slot);
/* Ends a fade; likewise. */
void gst_seq_slot_cut (GstSeqSlot *slot);

G_END_DECLS
