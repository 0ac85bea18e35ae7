/* engine.c: hand-over of streams between threads: see engine.h.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "plugin/engine.h"

GstSeqEngine *
gst_seq_engine_new (SeqStream *stream)
{
  GstSeqEngine *engine = g_new0 (GstSeqEngine, 1);
  guint n = seq_stream_n_channels (stream);

  engine->stream = stream;
  engine->in = g_new0 (gpointer, n);
  engine->out = g_new0 (gpointer, (gsize) n * SEQ_N_OUTPUTS);
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

GstSeqEngine *
gst_seq_slot_settle (GstSeqSlot *slot)
{
  GstSeqEngine *old = slot->engine, *engine = NULL;

  if (G_UNLIKELY (g_atomic_pointer_get (&slot->offered)))
    engine = g_atomic_pointer_exchange (&slot->offered, NULL);
  if (engine) {
    slot->engine = engine;
    if (old && !engine->restored)
      seq_stream_adopt (engine->stream, old->stream);
  }
  if (engine && old) {
    do
      old->next = g_atomic_pointer_get (&slot->pile);
    while (
        !g_atomic_pointer_compare_and_exchange (&slot->pile, old->next, old));
  }
  if (G_UNLIKELY (g_atomic_int_get (&slot->restart))) {
    g_atomic_int_set (&slot->restart, FALSE);
    if (slot->engine)
      seq_stream_restart (slot->engine->stream);
  }
  return slot->engine;
}
