/* fuzz.h: what a fuzz target defines.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Each fuzz_<target>.c is built in two ways: with -Dfuzz=true and clang it is a
 * libFuzzer program, which sh tools/fuzz.sh runs; otherwise replay.c makes a
 * test of it, which goes over inputs that were worth keeping.
 */
#pragma once

#include <glib.h>

/* One input, of anything. Aborts where something that must hold does not.
 * Returns 0. */
int LLVMFuzzerTestOneInput (const guint8 *data, gsize size);

/* Only for libFuzzer: changes an input in place, of at most max_size bytes;
 * returns its new size. */
gsize LLVMFuzzerCustomMutator (
    guint8 *data, gsize size, gsize max_size, guint seed);
/* libFuzzer's own way of doing so. */
gsize LLVMFuzzerMutate (guint8 *data, gsize size, gsize max_size);
