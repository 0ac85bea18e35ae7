/* recording.h: a recording in memory, checks of it, and the delay between two.
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

/* Takes ownership of samples. */
SeqRecording *seq_recording_new (const char *name, double rate,
    guint n_channels, gsize n_frames, float *samples);
void seq_recording_free (SeqRecording *recording);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SeqRecording, seq_recording_free)

/* Drops all channels but one. SEQ_ERROR_CONFIG if it does not exist. */
gboolean seq_recording_pick (
    SeqRecording *recording, guint channel, GError **error);
/* TRUE if all channels are equal. */
gboolean seq_recording_is_mono (const SeqRecording *recording);

/* Fails with SEQ_ERROR_SHAPE for what cannot be trained from: no frames, NaN,
 * infinity, silence. Adds a sentence to notes for what looks wrong: fewer than
 * short_frames frames and, if it is audio, clipping, an offset, a low level. */
gboolean seq_recording_check (const SeqRecording *recording, gsize short_frames,
    gboolean audio, GPtrArray *notes, GError **error);

typedef struct {
  gint64 delay;     /* frames by which wet is later */
  gboolean flipped; /* wet has the opposite polarity */
  double clarity;   /* the correlation's peak over its RMS: about 5 where the
                     * two have nothing in common */
} SeqAlignment;

/* Compares the first channels, for delays of up to max_delay frames either
 * way. */
SeqAlignment seq_recording_align (
    const SeqRecording *dry, const SeqRecording *wet, gsize max_delay);

/* Cuts both so that frame t of one belongs to frame t of the other: drops the
 * first `delay` frames of wet (or of dry, if negative), and the end of the
 * longer one. */
void seq_recording_match (SeqRecording *dry, SeqRecording *wet, gint64 delay);

G_END_DECLS
