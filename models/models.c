/* models.c: the table of all kinds of layers, for each instruction set.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The list of kinds comes from meson.build: a new kind is one line there.
 */
#include "src/cpu.h"
#include "src/layer.h"
#include "models/kinds.h"

#define DECLARE(kind, isa) extern const SeqLayerClass seq_##kind##_##isa;
#define ADDRESS(kind, isa) &seq_##kind##_##isa,
#define NAME(kind, isa) #kind,

static const char *const names[] = { SEQ_KINDS (NAME, ) NULL };

SEQ_KINDS (DECLARE, c)
static const SeqLayerClass *const classes_c[] = { SEQ_KINDS (ADDRESS, c) };

#if defined(__x86_64__) && !defined(SEQ_DOUBLE)
SEQ_KINDS (DECLARE, avx2)
static const SeqLayerClass *const classes_avx2[] = { SEQ_KINDS (
    ADDRESS, avx2) };
SEQ_KINDS (DECLARE, avx512)
static const SeqLayerClass *const classes_avx512[] = { SEQ_KINDS (
    ADDRESS, avx512) };
#endif

const SeqLayerClass *
seq_layer_class (const char *kind)
{
  const SeqLayerClass *const *classes = classes_c;

#if defined(__x86_64__) && !defined(SEQ_DOUBLE)
  if (seq_cpu_isa () >= SEQ_ISA_AVX2)
    classes = classes_avx2;
  if (seq_cpu_isa () >= SEQ_ISA_AVX512)
    classes = classes_avx512;
#endif

  for (guint i = 0; names[i]; i++)
    if (g_str_equal (names[i], kind))
      return classes[i];
  return NULL;
}

const char *const *
seq_layer_kinds (void)
{
  return names;
}
