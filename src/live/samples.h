/* samples.h: samples of a buffer, in any format and place, as doubles.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * All of it is real-time safe.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef enum {
  SEQ_FORMAT_S16,
  SEQ_FORMAT_S32,
  SEQ_FORMAT_F32,
  SEQ_FORMAT_F64
} SeqFormat;

/* Where samples lie in a buffer. Integers are -1..1 of full scale. */
typedef struct {
  SeqFormat format;
  gpointer *channel; /* first sample of each channel */
  gsize stride;      /* samples from one frame to the next */
} SeqSignal;

/* n samples of a channel from frame `from` on. */
void seq_samples_read (
    const SeqSignal *signal, guint channel, gsize from, guint n, double *x);
/* Integers are rounded and saturate; F32 saturates. */
void seq_samples_write (const SeqSignal *signal, guint channel, gsize from,
    guint n, const double *x);
/* As they are, bit for bit; both signals have one format. */
void seq_samples_copy (const SeqSignal *to, const SeqSignal *signal,
    guint channel, gsize from, guint n);

G_END_DECLS
