/* handover.c: streams on their way from the threads that build to the thread
 * that streams.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/live/handover.h"

SeqEngine *
seq_engine_new (SeqStream *stream)
{
  SeqEngine *engine = g_new0 (SeqEngine, 1);
  guint n = seq_stream_n_channels (stream);

  engine->stream = stream;
  engine->in = g_new0 (gpointer, n);
  engine->out = g_new0 (gpointer,
      (gsize) n * (SEQ_N_OUTPUTS - 1) + seq_stream_n_outputs (stream));
  engine->stats.channels = g_new0 (SeqChannelStats, n);
  return engine;
}

void
seq_engine_free (SeqEngine *engine)
{
  if (!engine)
    return;
  seq_engine_free (engine->fading_out);
  seq_stream_free (engine->stream);
  g_free (engine->in);
  g_free (engine->out);
  g_free (engine->stats.channels);
  g_free (engine);
}

void
seq_handover_init (SeqHandover *handover)
{
  *handover = (SeqHandover){ 0 };
  g_mutex_init (&handover->lock);
}

void
seq_handover_reset (SeqHandover *handover)
{
  g_clear_pointer (&handover->active, seq_engine_free);
  g_clear_pointer (&handover->pending, seq_engine_free);
  seq_handover_free_retired (handover);
  g_atomic_int_set (&handover->again, SEQ_AGAIN_NOT);
  handover->n_swaps = 0;
}

void
seq_handover_clear (SeqHandover *handover)
{
  seq_handover_reset (handover);
  g_mutex_clear (&handover->lock);
}

/* Takes away the engine that is pending, with its past for the one that takes
 * its place. */
static SeqEngine *
replace_pending (SeqHandover *handover, SeqEngine *engine)
{
  SeqEngine *replaced = g_atomic_pointer_exchange (&handover->pending, NULL);

  if (engine->has_past) /* is newer than what was asked for */
    g_atomic_int_set (&handover->again, SEQ_AGAIN_NOT);
  else if (replaced && replaced->has_past)
    engine->has_past = seq_stream_adopt (engine->stream, replaced->stream);
  return replaced;
}

void
seq_handover_publish (SeqHandover *handover, SeqEngine *engine)
{
  g_autoptr (SeqEngine) replaced = replace_pending (handover, engine);

  if (replaced)
    engine->n_fade = MAX (engine->n_fade, replaced->n_fade);
  g_atomic_pointer_set (&handover->pending, engine);
  seq_handover_free_retired (handover);
}

void
seq_handover_free_retired (SeqHandover *handover)
{
  SeqEngine *engine = g_atomic_pointer_exchange (&handover->retired, NULL);

  while (engine) {
    SeqEngine *next = engine->next_retired;

    seq_engine_free (engine);
    engine = next;
  }
}

void
seq_handover_begin_again (SeqHandover *handover, SeqAgain how)
{
  gint before;

  do
    before = g_atomic_int_get (&handover->again);
  while (!g_atomic_int_compare_and_exchange (
      &handover->again, before, MAX (before, (gint) how)));
}

static void
retire (SeqHandover *handover, SeqEngine *engine)
{
  do
    engine->next_retired = g_atomic_pointer_get (&handover->retired);
  while (!g_atomic_pointer_compare_and_exchange (
      &handover->retired, engine->next_retired, engine));
}

static void
adopt (SeqHandover *handover, SeqEngine *engine)
{
  SeqEngine *old = handover->active;
  gboolean inherits = old && !engine->has_past
                      && seq_stream_adopt (engine->stream, old->stream);

  handover->active = engine;
  handover->n_swaps += engine->n_fade > 0;
  if (!old)
    return;
  if (engine->n_fade > 0 && !engine->has_past && !inherits) {
    engine->fading_out = old;
    seq_stream_fade (engine->stream, old->stream, engine->n_fade);
  } else {
    retire (handover, old);
  }
}

void
seq_handover_cut_over (
    SeqHandover *handover, SeqEngine *engine, gboolean rewinds)
{
  g_autoptr (SeqEngine) replaced = replace_pending (handover, engine);

  engine->n_fade = 0;
  g_mutex_lock (&handover->lock);
  seq_handover_end_fade (handover);
  adopt (handover, engine);
  if (rewinds)
    seq_stream_rewind (engine->stream);
  g_mutex_unlock (&handover->lock);
  seq_handover_free_retired (handover);
}

static void
begin_again (SeqHandover *handover)
{
  gint how = g_atomic_int_and ((guint *) &handover->again, SEQ_AGAIN_NOT);

  if (!handover->active)
    return;
  if (how == SEQ_AGAIN_RESTART)
    seq_stream_restart (handover->active->stream);
  else
    seq_stream_rewind (handover->active->stream);
}

SeqEngine *
seq_handover_adopt_pending (SeqHandover *handover)
{
  SeqEngine *engine = handover->active;

  if (G_UNLIKELY (engine && engine->fading_out)
      && !seq_stream_fading (engine->stream))
    retire (handover, g_steal_pointer (&engine->fading_out));
  if (G_UNLIKELY (g_atomic_pointer_get (&handover->pending))
      && !(engine && engine->fading_out)) {
    engine = g_atomic_pointer_exchange (&handover->pending, NULL);
    if (engine)
      adopt (handover, engine);
  }
  if (G_UNLIKELY (g_atomic_int_get (&handover->again)))
    begin_again (handover);
  return handover->active;
}

void
seq_handover_end_fade (SeqHandover *handover)
{
  SeqEngine *engine = handover->active;

  if (!engine || !engine->fading_out)
    return;
  seq_stream_fade (engine->stream, engine->fading_out->stream, 0);
  retire (handover, g_steal_pointer (&engine->fading_out));
}
