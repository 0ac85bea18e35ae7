/* recording.c: a recording in memory, checks of it, and the delay between two.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The delay between dry and wet: their cross-correlation, divided by the power
 * spectrum of dry, is the response of what lies between them; the tone of a
 * guitar itself, which correlates over many frames, becomes a pulse. If the
 * response rises to its peak no slower than that pulse, the peak is the delay.
 * Otherwise the delay is where the rise begins: a filter smears a signal to
 * later frames, and a net can wait for a frame but cannot foresee one.
 */
#include "src/train/recording.h"
#include "src/error.h"

#include <complex.h>
#include <math.h>
#include <string.h>

SeqRecording *
seq_recording_new (const char *name, double rate, guint n_channels,
    gsize n_frames, float *samples)
{
  SeqRecording *recording = g_new0 (SeqRecording, 1);

  recording->name = g_strdup (name);
  recording->rate = rate;
  recording->n_channels = n_channels;
  recording->n_frames = n_frames;
  recording->samples = samples;
  return recording;
}

void
seq_recording_free (SeqRecording *recording)
{
  if (!recording)
    return;
  g_free (recording->name);
  g_free (recording->samples);
  g_free (recording);
}

gboolean
seq_recording_pick (SeqRecording *recording, guint channel, GError **error)
{
  if (channel >= recording->n_channels) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "%s: channel is %u; expected 0 to %u", recording->name, channel,
        recording->n_channels - 1);
    return FALSE;
  }
  for (gsize t = 0; t < recording->n_frames; t++)
    recording->samples[t] =
        recording->samples[t * recording->n_channels + channel];
  recording->n_channels = 1;
  return TRUE;
}

gboolean
seq_recording_is_mono (const SeqRecording *recording)
{
  const float *x = recording->samples;

  for (gsize t = 0; t < recording->n_frames; t++, x += recording->n_channels)
    for (guint c = 1; c < recording->n_channels; c++)
      if (x[c] != x[0])
        return FALSE;
  return TRUE;
}

static void note (GPtrArray *notes, const char *format, ...)
    G_GNUC_PRINTF (2, 3);

static void
note (GPtrArray *notes, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  g_ptr_array_add (notes, g_strdup_vprintf (format, args));
  va_end (args);
}

/* "channel 1 " where there are several. */
static void
name_channel (const SeqRecording *recording, guint c, char *text, gsize size)
{
  text[0] = '\0';
  if (recording->n_channels > 1)
    g_snprintf (text, size, "channel %u ", c);
}

/* Frames that lie in runs of three or more at the greatest magnitude: a peak
 * that was only normalised touches it once. */
static gsize
clipped_frames (const float *x, gsize n, guint step, float peak)
{
  gsize clipped = 0, run = 0;

  for (gsize t = 0; t <= n; t++) {
    if (t < n && fabsf (x[t * step]) >= 0.9999f * peak) {
      run++;
    } else {
      if (run >= 3)
        clipped += run;
      run = 0;
    }
  }
  return clipped;
}

gboolean
seq_recording_check (const SeqRecording *recording, gsize short_frames,
    gboolean audio, GPtrArray *notes, GError **error)
{
  gsize n = recording->n_frames;
  guint step = recording->n_channels;
  const char *name = recording->name;
  char which[32];

  if (n == 0) {
    g_set_error (
        error, SEQ_ERROR, SEQ_ERROR_SHAPE, "%s: contains no samples", name);
    return FALSE;
  }
  for (gsize i = 0; i < n * step; i++)
    if (!isfinite (recording->samples[i])) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE,
          "%s: sample %" G_GSIZE_FORMAT " is %g; expected a finite number",
          name, i / step, recording->samples[i]);
      return FALSE;
    }

  for (guint c = 0; c < step; c++) {
    const float *x = recording->samples + c;
    double mean = 0, power = 0, rms;
    float peak = 0;
    gsize clipped;

    for (gsize t = 0; t < n; t++) {
      mean += x[t * step];
      peak = MAX (peak, fabsf (x[t * step]));
    }
    mean /= (double) n;
    for (gsize t = 0; t < n; t++)
      power += (x[t * step] - mean) * (x[t * step] - mean);
    rms = sqrt (power / (double) n);
    name_channel (recording, c, which, sizeof which);
    if (rms <= 1e-6 * MAX (1, fabs (mean)) || (audio && rms < 3e-6)) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE,
          "%s: %sis %s (RMS %.1g about its mean of %.3g); expected a signal",
          name, which, fabs (mean) > 1e-6 ? "constant" : "silent", rms, mean);
      return FALSE;
    }
    if (!audio)
      continue;
    clipped = clipped_frames (x, n, step, peak);
    if (clipped > 2 && (double) clipped > 1e-5 * (double) n)
      note (notes,
          "%s: %slooks clipped: %" G_GSIZE_FORMAT
          " samples are flat at its peak of %.3f; the model learns that too",
          name, which, clipped, peak);
    if (fabs (mean) > 0.01 && fabs (mean) > 0.05 * rms)
      note (notes, "%s: %shas an offset (DC) of %.3f at an RMS of %.3f", name,
          which, mean, rms);
    if (rms < 1e-3)
      note (notes, "%s: %sis very quiet: its RMS is %.1f dB below full scale",
          name, which, -20 * log10 (rms));
  }
  if (n < short_frames && recording->rate > 0)
    note (notes, "%s: is short, %.1f s; the model will know only what is in it",
        name, (double) n / recording->rate);
  else if (n < short_frames)
    note (notes,
        "%s: is short, %" G_GSIZE_FORMAT
        " samples; the model will know only what is in it",
        name, n);
  return TRUE;
}

/* In place, n a power of two; turn: [n / 2], turns of the unit circle.
 * Backward is without the 1/n. */
static void
fft (double complex *x, gsize n, const double complex *turn, gboolean backward)
{
  for (gsize i = 1, j = 0; i < n; i++) {
    gsize bit = n >> 1;

    for (; j & bit; bit >>= 1)
      j ^= bit;
    j ^= bit;
    if (i < j) {
      double complex swap = x[i];

      x[i] = x[j];
      x[j] = swap;
    }
  }
  for (gsize half = 1; half < n; half *= 2)
    for (gsize i = 0; i < n; i += 2 * half)
      for (gsize k = 0; k < half; k++) {
        double complex w = turn[k * (n / 2 / half)];
        double complex odd = x[i + k + half] * (backward ? conj (w) : w);

        x[i + k + half] = x[i + k] - odd;
        x[i + k] += odd;
      }
}

/* Of used frames from start on, faded in and out (a cut would be a click at the
 * same place of both), with zeros behind them. */
static double complex *
spectrum (const SeqRecording *recording, gsize start, gsize used, gsize n,
    const double complex *turn)
{
  double complex *x = g_new0 (double complex, n);

  for (gsize t = 0; t < used; t++)
    x[t] = recording->samples[(start + t) * recording->n_channels]
           * pow (sin (G_PI * ((double) t + 0.5) / (double) used), 2);
  fft (x, n, turn, FALSE);
  return x;
}

/* Where `used` frames are loudest, among places half of that apart. */
static gsize
loudest (const SeqRecording *recording, gsize n_frames, gsize used)
{
  gsize best = 0;
  double most = -1;

  for (gsize start = 0; start + used <= n_frames; start += (used + 1) / 2) {
    double power = 0;

    for (gsize t = start; t < start + used; t++)
      power += pow (recording->samples[t * recording->n_channels], 2);
    if (power > most) {
      most = power;
      best = start;
    }
  }
  return best;
}

/* The spectrum of what makes wet of dry, bins of it where dry is weak held
 * down: they say nothing. */
static void
divide (double complex *wet, const double complex *dry, gsize n)
{
  double floor = 0;

  for (gsize k = 0; k < n; k++)
    floor += creal (dry[k] * conj (dry[k])) / (double) n;
  floor *= 1e-4;
  for (gsize k = 0; k < n; k++)
    wet[k] *= conj (dry[k]) / (creal (dry[k] * conj (dry[k])) + floor);
}

/* |h| at a delay, h being periodic. */
static double
at (const double complex *h, gsize n, gint64 delay)
{
  return fabs (creal (h[delay < 0 ? n - (gsize) -delay : (gsize) delay]));
}

/* How many frames before a peak h is already a third of its height. */
static gint64
rise (const double complex *h, gsize n, gint64 peak, gint64 reach)
{
  gint64 earliest = MAX (peak - 48, -reach), d = earliest;

  while (d < peak && at (h, n, d) < at (h, n, peak) / 3)
    d++;
  return peak - d;
}

SeqAlignment
seq_recording_align (
    const SeqRecording *dry, const SeqRecording *wet, gsize max_delay)
{
  /* 2^18 frames are 5.5 s at 48 kHz: enough for a sharp peak */
  gsize n_frames = MIN (dry->n_frames, wet->n_frames);
  gsize used = MIN (n_frames, 1 << 18), n = 2, start;
  g_autofree double complex *x = NULL, *y = NULL, *pulse = NULL, *turn = NULL;
  double power = 0;
  gint64 peak = 0, reach, early, of_pulse;
  SeqAlignment found = { 0 };

  while (n < 2 * used)
    n *= 2;
  turn = g_new (double complex, n / 2);
  for (gsize k = 0; k < n / 2; k++)
    turn[k] = cexp (-2 * I * G_PI * (double) k / (double) n);
  reach = (gint64) MIN (max_delay, n / 2 - 1);
  start = loudest (wet, n_frames, used);
  x = spectrum (dry, start, used, n, turn);
  y = spectrum (wet, start, used, n, turn);
  pulse = g_memdup2 (x, n * sizeof *x); /* what a mere delay would look like */
  divide (y, x, n);
  divide (pulse, x, n);
  fft (y, n, turn, TRUE);
  fft (pulse, n, turn, TRUE);

  for (gint64 d = -reach; d <= reach; d++) {
    power += pow (at (y, n, d), 2) / (double) (2 * reach + 1);
    if (at (y, n, d) > at (y, n, peak))
      peak = d;
  }
  early = rise (y, n, peak, reach);
  of_pulse = rise (pulse, n, 0, reach);
  found.delay = 2 * early > 3 * of_pulse ? peak - early : peak;
  found.flipped = creal (y[peak < 0 ? n - (gsize) -peak : (gsize) peak]) < 0;
  found.clarity = power > 0 ? at (y, n, peak) / sqrt (power) : 0;
  return found;
}

static void
drop (SeqRecording *recording, gsize n_frames)
{
  n_frames = MIN (n_frames, recording->n_frames);
  recording->n_frames -= n_frames;
  memmove (recording->samples,
      recording->samples + n_frames * recording->n_channels,
      recording->n_frames * recording->n_channels * sizeof (float));
}

void
seq_recording_match (SeqRecording *dry, SeqRecording *wet, gint64 delay)
{
  if (delay > 0)
    drop (wet, (gsize) delay);
  else
    drop (dry, (gsize) -delay);
  dry->n_frames = wet->n_frames = MIN (dry->n_frames, wet->n_frames);
}
