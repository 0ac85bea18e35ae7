/* data.c: what a model learns from.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/train/data.h"
#include "src/error.h"

#include <math.h>

gboolean
seq_trainer_data_init (SeqTrainerData *data, const SeqRecording *dry,
    const SeqRecording *wet, guint horizon, GError **error)
{
  gsize n_channels = dry->n_channels;

  if (!wet && dry->n_frames <= horizon) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE,
        "%s: it has %" G_GSIZE_FORMAT
        " frames; expected more than the horizon of %u",
        dry->name, dry->n_frames, horizon);
    return FALSE;
  }
  *data = (SeqTrainerData){ .n_in = dry->n_channels,
    .n_out = dry->n_channels,
    .n_frames = dry->n_frames,
    .in = dry->samples };
  if (wet) {
    data->target = wet->samples;
    return TRUE;
  }
  data->horizon = horizon;
  data->n_frames -= horizon;
  data->target = dry->samples + horizon * n_channels;
  return TRUE;
}

SeqMoments
seq_moments_measure (
    const float *x, gsize n_frames, guint n_channels, guint first, guint step)
{
  double sum = 0, squares = 0, count = 0;
  SeqMoments moments;

  for (guint c = first; c < n_channels; c += step)
    for (gsize t = 0; t < n_frames; t++, count++)
      sum += x[t * n_channels + c];
  moments.mean = sum / count;
  for (guint c = first; c < n_channels; c += step)
    for (gsize t = 0; t < n_frames; t++)
      squares += pow (x[t * n_channels + c] - moments.mean, 2);
  moments.deviation = sqrt (squares / count);
  return moments;
}
