/* filter-saving.c: what was learnt, on its way to a file.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * `state-file` is written at EOS, at stop, by the action `save`, and every
 * `state-interval`. For the last, a timer of the system clock asks GStreamer's
 * thread pool for a save; the streaming thread has no part in it but for the
 * copy of the state.
 */
#include "plugin/filter.h"

#include "src/io/file.h"
#include "src/live/snapshot.h"

static GBytes *
get_state (GstSeqFilter *self)
{
  GBytes *state;

  g_mutex_lock (&self->build.lock);
  state = seq_host_get_state (self->build.host);
  g_mutex_unlock (&self->build.lock);
  return state;
}

char *
gst_seq_filter_get_state_file (GstSeqFilter *self)
{
  char *path;

  GST_OBJECT_LOCK (self);
  path = g_strdup (self->settings.state_file);
  GST_OBJECT_UNLOCK (self);
  return path;
}

/* One save at a time, each of the state as it is by then: the latest state is
 * the last one to be written. unless_saved: nothing to do if it is the state
 * that was saved last. */
static gboolean
save (GstSeqFilter *self, gboolean unless_saved)
{
  g_autofree char *path = gst_seq_filter_get_state_file (self);
  g_autofree char *sum = NULL, *what = NULL;
  g_autoptr (GBytes) state = NULL;
  g_autoptr (GError) error = NULL;
  Saving *saving = &self->saving;
  gboolean saved = FALSE;

  if (!path)
    return FALSE;
  g_mutex_lock (&saving->lock);
  state = get_state (self);
  if (state) {
    sum = g_compute_checksum_for_bytes (G_CHECKSUM_SHA256, state);
    what = g_strconcat (sum, " ", path, NULL);
    saved = (unless_saved && g_strcmp0 (what, saving->last) == 0)
            || seq_save_bytes (path, state, &error);
    g_free (saving->last);
    saving->last = saved ? g_steal_pointer (&what) : NULL;
  }
  g_mutex_unlock (&saving->lock);
  if (error)
    GST_ELEMENT_WARNING (
        self, RESOURCE, WRITE, ("state-file %s", error->message), (NULL));
  return saved;
}

gboolean
gst_seq_filter_save (GstSeqFilter *self)
{
  return save (self, FALSE);
}

gboolean
gst_seq_filter_save_model (GstSeqFilter *self, const char *path)
{
  g_autoptr (GBytes) state = path ? get_state (self) : NULL;
  g_autoptr (GError) error = NULL;

  if (!state)
    return FALSE;
  if (!seq_snapshot_save_model (state, path, &error)) {
    GST_ELEMENT_WARNING (
        self, RESOURCE, WRITE, ("save-model: %s", error->message), (NULL));
    return FALSE;
  }
  return TRUE;
}

/* --- now and then --------------------------------------------------------- */

/* In a thread of GStreamer's pool. */
static void
save_what_changed (GstElement *element, gpointer unused)
{
  GstSeqFilter *self = GST_SEQ_FILTER (element);

  g_atomic_int_set (&self->saving.is_asked_for, FALSE);
  save (self, TRUE);
}

/* In the clock's thread, where other timers wait. */
static gboolean
ask_for_save (GstClock *clock, GstClockTime time, GstClockID id, gpointer data)
{
  GstSeqFilter *self = data;

  /* a disk may be slower than the interval */
  if (g_atomic_int_compare_and_exchange (
          &self->saving.is_asked_for, FALSE, TRUE))
    gst_element_call_async (GST_ELEMENT (self), save_what_changed, NULL, NULL);
  return TRUE;
}

void
gst_seq_filter_follow_interval (GstSeqFilter *self)
{
  g_autoptr (GstClock) clock = gst_system_clock_obtain ();
  Saving *saving = &self->saving;
  GstClockID before, timer = NULL;
  GstClockTime interval;

  GST_OBJECT_LOCK (self);
  interval = self->settings.state_interval;
  if (saving->runs && interval > 0)
    timer = gst_clock_new_periodic_id (
        clock, gst_clock_get_time (clock) + interval, interval);
  before = saving->timer;
  saving->timer = timer ? gst_clock_id_ref (timer) : NULL;
  GST_OBJECT_UNLOCK (self);
  if (before) {
    gst_clock_id_unschedule (before);
    gst_clock_id_unref (before);
  }
  if (timer) {
    gst_clock_id_wait_async (
        timer, ask_for_save, gst_object_ref (self), gst_object_unref);
    gst_clock_id_unref (timer);
  }
}

void
gst_seq_filter_set_saving (GstSeqFilter *self, gboolean runs)
{
  GST_OBJECT_LOCK (self);
  self->saving.runs = runs;
  GST_OBJECT_UNLOCK (self);
  gst_seq_filter_follow_interval (self);
}
