/* bench.h: what a model costs on this machine, and what it could cost at least.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The floor is the greater of two times: the multiply-adds at the rate measured
 * from registers, and the weights at the rates measured from each level of
 * cache, as much from the nearest as fits there. Activations and the serial
 * chain from frame to frame come on top of it.
 */
#pragma once

#include "src/model.h"

G_BEGIN_DECLS

#define BENCH_FRAMES 64 /* a block, as an element gets it */
#define BENCH_LEVELS 3

typedef struct {
  double multiply_adds;       /* a ns */
  double bytes[BENCH_LEVELS]; /* read a ns, of each level of cache */
  gsize size[BENCH_LEVELS];   /* bytes that a level holds; the last: no end */
} BenchPeaks;

/* Takes about a second. */
void bench_peaks (BenchPeaks *peaks);

/* ns of CPU time that the calling thread has used: other work on the machine
 * shows little in it. */
double bench_now (void);

/* ns of one call, the best of many readings of the clock with many calls each.
 */
double bench_best (void (*call) (gpointer), gpointer data);

/* ns a frame of all lanes, in blocks of n_frames. */
double bench_model (const SeqModel *model, guint n_lanes, guint n_frames);

/* The floor of the same, ns. */
double bench_floor (
    const BenchPeaks *peaks, const SeqModel *model, guint n_lanes);

/* Multiply-adds of one frame of one lane. */
double bench_multiply_adds (const SeqModel *model);

/* Power of the output of `model` over that of its difference from `other`'s, in
 * dB, over n_frames of noise through a one-pole low-pass. */
double bench_distance (
    const SeqModel *model, const SeqModel *other, guint n_frames);

G_END_DECLS
