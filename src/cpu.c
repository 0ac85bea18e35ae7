/* cpu.c: which instruction set runs, and flush-to-zero.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/cpu.h"

#ifdef __SSE2__
#include <xmmintrin.h>
#endif

static const char *const names[SEQ_N_ISAS] = { "c", "avx2", "avx512",
  "avx512vnni" };

const char *
seq_isa_name (SeqIsa isa)
{
  return names[isa];
}

static SeqIsa
detect (void)
{
  const char *wanted = g_getenv ("SEQ_ISA");
  SeqIsa best = SEQ_ISA_C;

#ifdef __x86_64__
  if (__builtin_cpu_supports ("avx2") && __builtin_cpu_supports ("fma")
      && __builtin_cpu_supports ("bmi2"))
    best = SEQ_ISA_AVX2;
  if (best == SEQ_ISA_AVX2 && __builtin_cpu_supports ("avx512f")
      && __builtin_cpu_supports ("avx512bw")
      && __builtin_cpu_supports ("avx512cd")
      && __builtin_cpu_supports ("avx512dq")
      && __builtin_cpu_supports ("avx512vl"))
    best = SEQ_ISA_AVX512;
  if (best == SEQ_ISA_AVX512 && __builtin_cpu_supports ("avx512vnni"))
    best = SEQ_ISA_AVX512VNNI;
#endif
  if (!wanted || !*wanted)
    return best;
  for (guint i = 0; i < SEQ_N_ISAS; i++)
    if (g_str_equal (wanted, names[i]))
      return MIN (i, best);
  g_error (
      "SEQ_ISA=%s: no such instruction set; c, avx2, avx512 and avx512vnni "
      "are known",
      wanted);
}

SeqIsa
seq_cpu_isa (void)
{
  static gsize chosen; /* isa + 1 */

  if (g_once_init_enter (&chosen))
    g_once_init_leave (&chosen, (gsize) detect () + 1);
  return (SeqIsa) (chosen - 1);
}

guint64
seq_ftz_begin (void)
{
#ifdef __SSE2__
  guint saved = _mm_getcsr ();

  _mm_setcsr (saved | 0x8040); /* FTZ and DAZ */
  return saved;
#elif defined(__aarch64__)
  guint64 saved;

  __asm__ volatile("mrs %0, fpcr" : "=r"(saved));
  __asm__ volatile("msr fpcr, %0" : : "r"(saved | (1ull << 24)));
  return saved;
#else
  return 0;
#endif
}

void
seq_ftz_end (guint64 saved)
{
#ifdef __SSE2__
  _mm_setcsr ((guint) saved);
#elif defined(__aarch64__)
  __asm__ volatile("msr fpcr, %0" : : "r"(saved));
#endif
}
