/* train-recordings.c: the recordings that seqmodel train learns from.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "tools/train-recordings.h"
#include "src/error.h"
#include "tools/media.h"

#define AUDIO_RATE 4000 /* Hz; at or above, a recording is sound */
#define UNCLEAR 7       /* SeqAlignment.clarity below which it says nothing */

/* Picks the channel of a recording that is asked for, or one of several equal
 * ones. */
static gboolean
pick_channel (
    SeqRecording *recording, int channel, const Report *report, GError **error)
{
  if (recording->n_channels == 1)
    return TRUE;
  if (channel >= 0)
    return seq_recording_pick (recording, (guint) channel, error);
  if (seq_recording_is_mono (recording)) {
    report_say (report, "note: %s: all %u channels are equal; using one",
        recording->name, recording->n_channels);
    return seq_recording_pick (recording, 0, error);
  }
  return TRUE;
}

static gboolean
check_channels (
    const SeqRecording *in, const SeqRecording *target, GError **error)
{
  if (in->n_channels == target->n_channels)
    return TRUE;
  g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE,
      "%s: the number of channels is %u; expected %u as in %s: choose one "
      "channel with --channel",
      target->name, target->n_channels, in->n_channels, in->name);
  return FALSE;
}

static gboolean
check_lengths (const SeqRecording *in, const SeqRecording *target,
    const Report *report, GError **error)
{
  gsize longer = MAX (in->n_frames, target->n_frames);
  gsize shorter = MIN (in->n_frames, target->n_frames);

  if (shorter * 2 < longer) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE,
        "%s: the length is %" G_GSIZE_FORMAT
        " frames; expected about %" G_GSIZE_FORMAT
        " as in %s: both must record the same performance",
        target->name, target->n_frames, in->n_frames, in->name);
    return FALSE;
  }
  if (longer - shorter > longer / 1000)
    report_say (report,
        "note: the recordings have %" G_GSIZE_FORMAT " and %" G_GSIZE_FORMAT
        " frames; the longer one is cut at its end",
        in->n_frames, target->n_frames);
  return TRUE;
}

/* Measures the delay between dry and wet, reports it, and returns the frames to
 * remove. */
static gint64
measure_delay (TrainRecordings *r, gboolean independent, const Report *report)
{
  double rate = r->in->rate;
  SeqAlignment found =
      seq_recording_align (r->in, r->target, rate > 0 ? (gsize) rate : 48000);
  gint64 frames = ABS (found.delay);
  g_autofree char *text = NULL;

  if (found.clarity < UNCLEAR) {
    r->unrelated = TRUE;
    report_say (report,
        "note: dry and wet have too little in common to measure a delay "
        "(clarity %.1f), so none is removed; are they the same performance?",
        found.clarity);
    return 0;
  }
  if (found.flipped)
    report_say (report,
        "note: wet has the opposite polarity of dry; the model learns that "
        "too");
  if (frames == 0) {
    report_say (report, "delay: none");
    return 0;
  }
  text = rate > 0 ? g_strdup_printf (" (%.2f ms)", 1e3 * (double) frames / rate)
                  : g_strdup ("");
  report_say (report, "delay: wet is %" G_GINT64_FORMAT " frames %s dry%s; %s",
      frames, found.delay < 0 ? "ahead of" : "behind", text,
      independent ? "kept, since the segments are independent" : "removed");
  return independent ? 0 : found.delay;
}

static gboolean
match_times (TrainRecordings *r, const TrainOptions *options,
    const Report *report, GError **error)
{
  gint64 delay;
  gsize shorter;

  if (!check_lengths (r->in, r->target, report, error))
    return FALSE;
  delay = g_str_equal (options->delay, "auto")
              ? measure_delay (r, options->independent, report)
              : g_ascii_strtoll (options->delay, NULL, 10);
  shorter = MIN (r->in->n_frames, r->target->n_frames);
  if ((gsize) ABS (delay) >= shorter) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE,
        "the delay is %" G_GINT64_FORMAT
        " frames; expected fewer than the recordings' %" G_GSIZE_FORMAT,
        delay, shorter);
    return FALSE;
  }
  seq_recording_match (r->in, r->target, delay);
  return TRUE;
}

static gboolean
check_samples (const SeqRecording *recording, gboolean audio,
    const Report *report, GError **error)
{
  g_autoptr (GPtrArray) notes = g_ptr_array_new_with_free_func (g_free);
  gsize short_frames = audio ? (gsize) (20 * recording->rate) : 2000;

  if (!seq_recording_check (recording, short_frames, audio, notes, error))
    return FALSE;
  for (guint i = 0; i < notes->len; i++)
    report_say (report, "note: %s", (char *) g_ptr_array_index (notes, i));
  return TRUE;
}

/* Reads a recording, at `rate` if that is not its own. */
static SeqRecording *
read_target (const char *path, const TrainOptions *options,
    const SeqRecording *in, const Report *report, GError **error)
{
  guint channels = (guint) options->channels;
  SeqRecording *target = media_read (path, options->rate, channels, error);

  if (!target || target->rate == in->rate)
    return target;
  report_say (report, "note: %s is at %g Hz and %s at %g Hz; resampling %s",
      in->name, in->rate, target->name, target->rate, target->name);
  seq_recording_free (target);
  return media_read (path, in->rate, channels, error);
}

gboolean
train_recordings_read (TrainRecordings *r, const TrainOptions *options,
    const Report *report, GError **error)
{
  const char *dry = options->files[0], *wet = options->files[1];

  r->in = media_read (dry, options->rate, (guint) options->channels, error);
  if (!r->in)
    return FALSE;
  r->audio = r->in->rate >= AUDIO_RATE;
  if (wet)
    r->target = read_target (wet, options, r->in, report, error);
  if ((wet && !r->target)
      || !pick_channel (r->in, options->channel, report, error))
    return FALSE;
  if (!wet)
    return check_samples (r->in, r->audio, report, error);
  return pick_channel (r->target, options->channel, report, error)
         && check_channels (r->in, r->target, error)
         && check_samples (r->in, r->audio, report, error)
         && check_samples (r->target, r->audio, report, error)
         && match_times (r, options, report, error);
}

void
train_recordings_clear (TrainRecordings *r)
{
  seq_recording_free (r->in);
  seq_recording_free (r->target);
}
