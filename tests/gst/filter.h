/* filter.h: a seqfilter in a harness, and the core beside it to compare with.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A test says what should come out by running a SeqStream itself: what the
 * element adds must not change a bit.
 */
#pragma once

#include <gst/audio/audio.h>
#include <gst/check/gstcheck.h>
#include <gst/check/gstharness.h>

#include "src/live/stream.h"

/* The input: everything that the element's caps can say. */
typedef struct {
  GstAudioFormat format;
  GstAudioLayout layout;
  gint rate, channels;
} Kind;

extern const Kind f32_mono; /* at 48000 Hz */

/* "model=ar order=8": how a seqfilter is set, and a stream like its own. */
typedef struct {
  const char *properties, *model;
} Setting;

/* All six models, small. */
extern const Setting settings[6];

/* A harness around "seqfilter <properties>", with caps of this kind. */
GstHarness *filter_new (const char *properties, const Kind *kind);
GstElement *filter_element (GstHarness *h); /* transfer full */
void set_caps (GstHarness *h, const Kind *kind);

/* frames [from, from + n) of a test signal: tones, a slow drift, and noise of
 * a different seed a channel. Laid out as kind says; packed planes. */
GBytes *signal_new (const Kind *kind, guint from, guint n);

/* A buffer of it, with timestamp; planar: with meta unless no_meta. */
GstBuffer *buffer_new (const Kind *kind, guint from, guint n);

/* Pushes [from, from + n) in buffers of `cut` frames; timestamps are shifted,
 * flags set on the first buffer. Fails the test unless the flow is ok. */
void push (GstHarness *h, const Kind *kind, guint from, guint n, guint cut,
    GstClockTimeDiff shift, GstBufferFlags flags);

/* Flush start, flush stop and a segment, as a flushing seek sends them. */
void flush (GstHarness *h);

/* Everything that has come out, one after the other (interleaved only). */
GBytes *pull (GstHarness *h);

void assert_same_bits (GBytes *a, GBytes *b, const char *what);
/* first frames of a, last frames of b, in bytes */
GBytes *join (GBytes *a, GBytes *b);

/* The core: a stream as the element builds it for these settings. */
SeqStream *reference_new (const Setting *setting, const Kind *kind);
/* Runs frames [from, from + n) of the signal; emit: 1 << SeqOutput flags. */
GBytes *reference_run (SeqStream *stream, const Kind *kind, guint emit,
    guint from, guint n, SeqProcessFlags flags);
