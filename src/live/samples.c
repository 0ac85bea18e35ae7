/* samples.c: samples of a buffer, in any format and place, as doubles.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/live/samples.h"

#include <float.h>
#include <math.h>

#define S16_SCALE 32768.0
#define S32_SCALE 2147483648.0

/* Statement for each sample: v is the channel at frame `from`, v[t * stride]
 * its sample t. */
#define FOR_EACH_SAMPLE(type, statement)                                       \
  do {                                                                         \
    type *v = (type *) signal->channel[channel] + from * stride;               \
                                                                               \
    for (guint t = 0; t < n; t++)                                              \
      statement;                                                               \
  } while (0)

void
seq_samples_read (
    const SeqSignal *signal, guint channel, gsize from, guint n, double *x)
{
  gsize stride = signal->stride;

  switch (signal->format) {
    case SEQ_FORMAT_S16:
      FOR_EACH_SAMPLE (const gint16, x[t] = v[t * stride] / S16_SCALE);
      break;
    case SEQ_FORMAT_S32:
      FOR_EACH_SAMPLE (const gint32, x[t] = v[t * stride] / S32_SCALE);
      break;
    case SEQ_FORMAT_F32:
      FOR_EACH_SAMPLE (const float, x[t] = v[t * stride]);
      break;
    case SEQ_FORMAT_F64:
      FOR_EACH_SAMPLE (const double, x[t] = v[t * stride]);
      break;
  }
}

/* The nearest integer that the format has. */
static inline long
to_integer (double x, double scale)
{
  return lrint (CLAMP (x * scale, -scale, scale - 1));
}

void
seq_samples_write (const SeqSignal *signal, guint channel, gsize from, guint n,
    const double *x)
{
  gsize stride = signal->stride;

  switch (signal->format) {
    case SEQ_FORMAT_S16:
      FOR_EACH_SAMPLE (
          gint16, v[t * stride] = (gint16) to_integer (x[t], S16_SCALE));
      break;
    case SEQ_FORMAT_S32:
      FOR_EACH_SAMPLE (
          gint32, v[t * stride] = (gint32) to_integer (x[t], S32_SCALE));
      break;
    case SEQ_FORMAT_F32:
      FOR_EACH_SAMPLE (
          float, v[t * stride] = (float) CLAMP (x[t], -FLT_MAX, FLT_MAX));
      break;
    case SEQ_FORMAT_F64:
      FOR_EACH_SAMPLE (double, v[t * stride] = x[t]);
      break;
  }
}

void
seq_samples_copy (const SeqSignal *to, const SeqSignal *signal, guint channel,
    gsize from, guint n)
{
  gsize stride = signal->stride, to_stride = to->stride;
  gpointer copy = to->channel[channel];

  switch (signal->format) {
    case SEQ_FORMAT_S16:
      FOR_EACH_SAMPLE (const gint16,
          ((gint16 *) copy)[(from + t) * to_stride] = v[t * stride]);
      break;
    case SEQ_FORMAT_S32:
    case SEQ_FORMAT_F32:
      FOR_EACH_SAMPLE (const gint32,
          ((gint32 *) copy)[(from + t) * to_stride] = v[t * stride]);
      break;
    case SEQ_FORMAT_F64:
      FOR_EACH_SAMPLE (const gint64,
          ((gint64 *) copy)[(from + t) * to_stride] = v[t * stride]);
      break;
  }
}
