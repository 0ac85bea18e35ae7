/* handover.c: hand-over of streams between threads: see handover.h.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/live/handover.h"

GstSeqEngine *
gst_seq_engine_new (SeqStream *stream)
{
  GstSeqEngine *engine = g_new0 (GstSeqEngine, 1);
  guint n = seq_stream_n_channels (stream);

  engine->stream = stream;
  engine->in = g_new0 (gpointer, n);
  engine->out = g_new0 (gpointer,
      (gsize) n * (SEQ_N_OUTPUTS - 1) + seq_stream_n_outputs (stream));
  engine->stats.signal_power = g_new0 (double, n);
  engine->stats.residual_power = g_new0 (double, n);
  engine->stats.score_peak = g_new0 (double, n);
  return engine;
}

void
gst_seq_engine_free (GstSeqEngine *engine)
{
  if (!engine)
    return;
  gst_seq_engine_free (engine->before);
  seq_stream_free (engine->stream);
  g_free (engine->in);
  g_free (engine->out);
  g_free (engine->stats.signal_power);
  g_free (engine->stats.residual_power);
  g_free (engine->stats.score_peak);
  g_free (engine);
}

void
gst_seq_slot_init (GstSeqSlot *slot)
{
  g_mutex_init (&slot->lock);
}

void
gst_seq_slot_empty (GstSeqSlot *slot)
{
  g_clear_pointer (&slot->engine, gst_seq_engine_free);
  g_clear_pointer (&slot->offered, gst_seq_engine_free);
  gst_seq_slot_sweep (slot);
  g_atomic_int_set (&slot->restart, FALSE);
  slot->n_fades = 0;
}

void
gst_seq_slot_clear (GstSeqSlot *slot)
{
  gst_seq_slot_empty (slot);
  g_mutex_clear (&slot->lock);
}

void
gst_seq_slot_offer (GstSeqSlot *slot, GstSeqEngine *engine)
{
  g_autoptr (GstSeqEngine) waiting =
      g_atomic_pointer_exchange (&slot->offered, NULL);

  if (engine->restored) /* newer than a restart that waits */
    g_atomic_int_set (&slot->restart, FALSE);
  else if (waiting && waiting->restored)
    engine->restored = seq_stream_adopt (engine->stream, waiting->stream);
  if (waiting)
    engine->n_fade = MAX (engine->n_fade, waiting->n_fade);
  g_atomic_pointer_set (&slot->offered, engine);
  gst_seq_slot_sweep (slot);
}

void
gst_seq_slot_sweep (GstSeqSlot *slot)
{
  GstSeqEngine *engine = g_atomic_pointer_exchange (&slot->pile, NULL);

  while (engine) {
    GstSeqEngine *next = engine->next;

    gst_seq_engine_free (engine);
    engine = next;
  }
}

static void
lay_on_pile (GstSeqSlot *slot, GstSeqEngine *engine)
{
  do
    engine->next = g_atomic_pointer_get (&slot->pile);
  while (!g_atomic_pointer_compare_and_exchange (
      &slot->pile, engine->next, engine));
}

/* The lock is held. */
static void
take_up (GstSeqSlot *slot, GstSeqEngine *engine)
{
  GstSeqEngine *old = slot->engine;
  gboolean adopted = old && !engine->restored
                     && seq_stream_adopt (engine->stream, old->stream);

  slot->engine = engine;
  slot->n_fades += engine->n_fade > 0;
  if (!old)
    return;
  if (engine->n_fade > 0 && !engine->restored && !adopted) {
    engine->before = old;
    seq_stream_fade (engine->stream, old->stream, engine->n_fade);
  } else {
    lay_on_pile (slot, old);
  }
}

GstSeqEngine *
gst_seq_slot_settle (GstSeqSlot *slot)
{
  GstSeqEngine *engine = slot->engine;

  if (G_UNLIKELY (engine && engine->before)
      && !seq_stream_fading (engine->stream))
    lay_on_pile (slot, g_steal_pointer (&engine->before));
  if (G_UNLIKELY (g_atomic_pointer_get (&slot->offered))
      && !(engine && engine->before)) {
    engine = g_atomic_pointer_exchange (&slot->offered, NULL);
    if (engine)
      take_up (slot, engine);
  }
  if (G_UNLIKELY (g_atomic_int_get (&slot->restart))) {
    g_atomic_int_set (&slot->restart, FALSE);
    if (slot->engine)
      seq_stream_restart (slot->engine->stream);
  }
  return slot->engine;
}

void
gst_seq_slot_cut (GstSeqSlot *slot)
{
  GstSeqEngine *engine = slot->engine;

  if (!engine || !engine->before)
    return;
  seq_stream_fade (engine->stream, engine->before->stream, 0);
  lay_on_pile (slot, g_steal_pointer (&engine->before));
}
