/* signals.h: signals that tests and benches learn from.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct {
  const char *name;
  double rate; /* Hz */
  guint n_frames;
  float *x; /* [n_frames], one channel */
} TestSignal;

/* The voice recordings that alsa-utils installs, joined: some 11 s of speech
 * at 48 kHz. x is NULL where they are not installed. */
TestSignal test_signal_speech (void);
/* 440 Hz at 48 kHz, 4 s */
TestSignal test_signal_sine (void);
/* 10 Hz: a slow swing, a faster one and noise with memory; offset 1000,
 * spread 2; 20 minutes */
TestSignal test_signal_sensor (void);
/* A mono WAV file of 16 bit samples; x is NULL if it can't be read. */
TestSignal test_signal_wav (const char *path, guint max_frames);
void test_signal_clear (TestSignal *signal);

G_END_DECLS
