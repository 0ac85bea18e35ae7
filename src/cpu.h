/* cpu.h: which instruction set runs, and flush-to-zero.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef enum {
  SEQ_ISA_C,          /* what every machine of the architecture has */
  SEQ_ISA_AVX2,       /* x86-64-v3: AVX2, FMA */
  SEQ_ISA_AVX512,     /* x86-64-v4: AVX-512 F, BW, CD, DQ, VL */
  SEQ_ISA_AVX512VNNI, /* and VNNI, for weights of 8 bits */
  SEQ_N_ISAS
} SeqIsa;

/* The best set that was built, that the machine has and that SEQ_ISA in the
 * environment (by the names below) allows. An unknown name there aborts
 * with a message. Decided once, thread-safe. */
SeqIsa seq_cpu_isa (void);
/* "c", "avx2", "avx512", "avx512vnni" */
const char *seq_isa_name (SeqIsa isa);

/* Flush-to-zero and denormals-are-zero around processing: denormals cost a
 * hundred times a normal number and are silence. Restore with what begin
 * returned. Real-time safe. */
guint64 seq_ftz_begin (void);
void seq_ftz_end (guint64 saved);

G_END_DECLS
