/* test_realtime.c: the streaming thread allocates, frees and waits for nothing
 * after the first buffer.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The allocator's functions are defined here, so every library in the process
 * calls them; so is syscall(), through which GLib's locks wait. They count
 * between a buffer's arrival at the sink pad and its departure at the source
 * pad. The environment sets G_SLICE=always-malloc.
 */
#include "tests/gst/filter.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdarg.h>
#include <sys/syscall.h>

#include "src/builder.h"
#include "src/io/load.h"

static _Thread_local gboolean counting;
static guint n_allocated, n_freed, n_waited;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1 /* the allocator is the sanitizer's */
#else
#define SANITIZED 0

void *__libc_malloc (size_t);
void *__libc_calloc (size_t, size_t);
void *__libc_realloc (void *, size_t);
void *__libc_memalign (size_t, size_t);
void __libc_free (void *);
int posix_memalign (void **, size_t, size_t);
void *aligned_alloc (size_t, size_t);

void *
malloc (size_t size)
{
  n_allocated += counting;
  return __libc_malloc (size);
}

void *
calloc (size_t n, size_t size)
{
  n_allocated += counting;
  return __libc_calloc (n, size);
}

void *
realloc (void *memory, size_t size)
{
  n_allocated += counting;
  return __libc_realloc (memory, size);
}

void *
aligned_alloc (size_t align, size_t size)
{
  n_allocated += counting;
  return __libc_memalign (align, size);
}

int
posix_memalign (void **memory, size_t align, size_t size)
{
  *memory = aligned_alloc (align, size);
  return *memory ? 0 : ENOMEM;
}

void
free (void *memory)
{
  n_freed += counting && memory;
  __libc_free (memory);
}

long
syscall (long number, ...)
{
  long a[6];
  va_list args;

  va_start (args, number);
  for (guint i = 0; i < 6; i++)
    a[i] = va_arg (args, long);
  va_end (args);
  if (number == SYS_futex && (a[1] & FUTEX_CMD_MASK) == FUTEX_WAIT)
    n_waited += counting;
#ifdef __x86_64__
  {
    register long r10 asm("r10") = a[3];
    register long r8 asm("r8") = a[4];
    register long r9 asm("r9") = a[5];
    long result;

    asm volatile("syscall"
                 : "=a"(result)
                 : "a"(number), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10),
                 "r"(r8), "r"(r9)
                 : "rcx", "r11", "memory");
    if (result < 0) {
      errno = (int) -result;
      return -1;
    }
    return result;
  }
#endif
}
#endif

static GstPadProbeReturn
begin (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  counting = TRUE;
  return GST_PAD_PROBE_OK;
}

static GstPadProbeReturn
end (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  counting = FALSE;
  return GST_PAD_PROBE_OK;
}

static void
assert_quiet (const char *what)
{
  fail_unless (n_allocated == 0 && n_freed == 0 && n_waited == 0,
      "%s: %u allocations, %u frees, %u waits", what, n_allocated, n_freed,
      n_waited);
}

static GstHarness *
counted_new (const char *properties, const Kind *kind)
{
  GstHarness *h = filter_new (properties, kind);
  g_autoptr (GstElement) element = filter_element (h);
  g_autoptr (GstPad) sink = gst_element_get_static_pad (element, "sink");
  g_autoptr (GstPad) src = gst_element_get_static_pad (element, "src");

  push (h, kind, 0, 100, 100, 0, 0);
  gst_pad_add_probe (sink, GST_PAD_PROBE_TYPE_BUFFER, begin, NULL, NULL);
  gst_pad_add_probe (src, GST_PAD_PROBE_TYPE_BUFFER, end, NULL, NULL);
  n_allocated = n_freed = n_waited = 0;
  return h;
}

/* The counting counts: a fresh copy of a shared buffer is an allocation. */
GST_START_TEST (counts)
{
  GstHarness *h;
  GstBuffer *buffer;

  if (SANITIZED)
    return;
  h = counted_new ("model=ar", &f32_mono);
  buffer = buffer_new (&f32_mono, 100, 100);
  gst_harness_push (h, gst_buffer_ref (buffer));
  gst_buffer_unref (buffer);
  fail_unless (n_allocated > 0);
  gst_harness_teardown (h);
}
GST_END_TEST

/* Every model, learning, in place and listening, over enough frames for
 * updates of every kind; through holes and flushes. */
GST_START_TEST (streaming)
{
  static const char *const emits[] = { "prediction", "residual", "input" };
  const Kind kind = { GST_AUDIO_FORMAT_F32, GST_AUDIO_LAYOUT_INTERLEAVED, 48000,
    2 };

  for (guint i = 0; i < G_N_ELEMENTS (emits); i++) {
    g_autofree char *properties =
        g_strdup_printf ("%s emit=%s", settings[__i__].properties, emits[i]);
    GstHarness *h = counted_new (properties, &kind);

    push (h, &kind, 100, 2000, 64, 0, 0);
    push (h, &kind, 2100, 2000, 64, GST_SECOND, GST_BUFFER_FLAG_DISCONT);
    flush (h);
    push (h, &kind, 0, 2000, 64, 0, 0);
    assert_quiet (properties);
    gst_harness_teardown (h);
  }
}
GST_END_TEST

/* Properties that change the model cost the streaming thread nothing. */
GST_START_TEST (hand_over)
{
  GstHarness *h = counted_new ("model=ar", &f32_mono);
  g_autoptr (GstElement) element = filter_element (h);

  for (guint i = 0; i < G_N_ELEMENTS (settings); i++) {
    gst_util_set_object_arg (G_OBJECT (element), "model", settings[i].model);
    push (h, &f32_mono, 100 + i * 500, 250, 50, 0, 0);
    g_object_set (element, "learning-rate", 1e-4 * (i + 1), NULL);
    push (h, &f32_mono, 350 + i * 500, 250, 50, 0, 0);
    assert_quiet (settings[i].model);
  }
  g_signal_emit_by_name (element, "reset");
  push (h, &f32_mono, 3100, 250, 50, 0, 0);
  assert_quiet ("reset");
  gst_harness_teardown (h);
}
GST_END_TEST

/* Nor does a model file that is swapped in: both models run while it fades, and
 * the old one is freed elsewhere. With knobs that glide; learning or not. */
GST_START_TEST (swap)
{
  static const char *const kinds[] = { "lstm", "gru" };
  g_autofree char *folder = g_dir_make_tmp ("seqfilter-XXXXXX", NULL);
  char *paths[2];
  GstHarness *h;
  g_autoptr (GstElement) element = NULL;
  g_autoptr (GstStructure) stats = NULL;
  guint64 swaps;

  for (guint i = 0; i < 2; i++) {
    g_autoptr (SeqBuilder) builder = seq_builder_new (2);
    g_autoptr (SeqModel) model = NULL;

    seq_builder_add (builder, kinds[i], NULL, NULL);
    seq_builder_add (builder, "dense", NULL, NULL);
    seq_builder_set_n_signal (builder, 1);
    seq_builder_set_horizon (builder, 1);
    seq_builder_seed (builder, i);
    model = seq_builder_finish (builder, NULL);
    paths[i] = g_build_filename (folder, kinds[i], NULL);
    fail_unless (seq_model_save (model, paths[i], "safetensors", NULL));
  }
  h = counted_new (__i__ ? "learn=on" : "learn=auto", &f32_mono);
  element = filter_element (h);
  for (guint i = 0; i < 6; i++) {
    guint from = 100 + i * 1000;

    g_object_set (element, "model-file", paths[i % 2], "param1", i / 6.0, NULL);
    push (h, &f32_mono, from, 1000, 100, 0, 0);
    assert_quiet (paths[i % 2]);
  }
  g_object_get (element, "stats", &stats, NULL);
  gst_structure_get_uint64 (stats, "swaps", &swaps);
  fail_unless_equals_uint64 (swaps, 6);
  gst_harness_teardown (h);
  for (guint i = 0; i < 2; i++) {
    g_remove (paths[i]);
    g_free (paths[i]);
  }
  g_rmdir (folder);
}
GST_END_TEST

static Suite *
realtime_suite (void)
{
  Suite *s = suite_create ("realtime");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_test (tc, counts);
  tcase_add_loop_test (tc, streaming, 0, G_N_ELEMENTS (settings));
  tcase_add_test (tc, hand_over);
  tcase_add_loop_test (tc, swap, 0, 2);
  return s;
}

GST_CHECK_MAIN (realtime)
