/* recording.h: a recording in memory, and what can be wrong with one.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct {
  char *name;  /* for messages: the file's path */
  double rate; /* Hz; 0: unknown */
  guint n_channels;
  gsize n_frames;
  float *samples; /* [n_frames][n_channels] */
} SeqRecording;

/* Takes samples. */
SeqRecording *seq_recording_new (const char *name, double rate,
    guint n_channels, gsize n_frames, float *samples);
void seq_recording_free (SeqRecording *recording);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SeqRecording, seq_recording_free)

/* Only this channel stays. SEQ_ERROR_CONFIG if there is none such. */
gboolean seq_recording_pick (
    SeqRecording *recording, guint channel, GError **error);
/* TRUE if every channel is the first one again. */
gboolean seq_recording_is_mono (const SeqRecording *recording);

/* What cannot be trained from is an error (SEQ_ERROR_SHAPE): no frames, NaN or
 * infinity, silence. What looks wrong is added to notes as a sentence: fewer
 * than short_frames, clipping, an offset. */
gboolean seq_recording_check (const SeqRecording *recording, gsize short_frames,
    gboolean audio, GPtrArray *notes, GError **error);

/* How wet lies to dry, from the first channel of each. */
typedef struct {
  gint64 delay;     /* frames by which wet comes later */
  gboolean flipped; /* wet has the opposite polarity */
  double clarity;   /* the correlation's peak over its RMS: about 5 where the
                     * two have nothing in common */
} SeqAlignment;

/* Looks for delays of up to max_delay frames either way. */
SeqAlignment seq_recording_align (
    const SeqRecording *dry, const SeqRecording *wet, gsize max_delay);

/* Cuts both so that frame t of one belongs to frame t of the other: the first
 * `delay` frames of wet go (or of dry, when negative), and what is longer at
 * the end. */
void seq_recording_match (SeqRecording *dry, SeqRecording *wet, gint64 delay);

G_END_DECLS
