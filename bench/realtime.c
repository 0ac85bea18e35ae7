/* realtime.c: how long buffers stay in the element, and the worst of it.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * usage: bench_realtime [SECONDS [paced]]
 *
 * SECONDS (600) of 48 kHz stereo in buffers of 64 frames go through an LSTM of
 * 40 units loaded from a file, and by turns through an element that does
 * nothing for as long: what that takes beyond its time is the machine's own
 * jitter (interrupts, other processes, a hypervisor). Then the same again while
 * another thread loads the model file over and over and gives the element a
 * new one every 20 s of stream. While a new model fades in, for 10 ms, both
 * run: less often than the one buffer in a thousand that the table looks at.
 *
 * Without `paced` a buffer follows at once on the one before: minutes of stream
 * in seconds, warm caches; what is long then is the code's or the machine's.
 * With it one comes every 1.33 ms, as a sound card asks: takes SECONDS twice
 * and adds the cold start after each sleep. Under `chrt -f 10` it has the
 * priority that sound servers run at.
 *
 * A buffer is preempted if the kernel took the processor away meanwhile; the
 * last two columns leave those out: the worst of the others, and how many of
 * them took longer than a tenth of their duration and the jitter, which is what
 * the idle element's worst such buffer took beyond its median.
 */
#include "src/io/load.h"
#include "src/cpu.h"
#include "tests/gst/filter.h"

#include <math.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#define FRAMES 64
#define RATE 48000
#define BUFFER_US (FRAMES * 1e6 / RATE)
#define LIMIT_US (BUFFER_US / 10)
#define WARM_UP 2000     /* buffers */
#define SWAP (20 * RATE) /* frames from one new model to the next */

static const Kind stereo = { GST_AUDIO_FORMAT_F32, GST_AUDIO_LAYOUT_INTERLEAVED,
  RATE, 2 };

static double
now_us (void)
{
  struct timespec t;

  clock_gettime (CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e6 + t.tv_nsec * 1e-3;
}

/* Times that this thread was made to give up its processor. */
static long
n_preempted (void)
{
  struct rusage usage;

  getrusage (RUSAGE_THREAD, &usage);
  return usage.ru_nivcsw;
}

/* --- an element that does nothing for a while -------------------------------
 */

typedef GstAudioFilter Idle;
typedef GstAudioFilterClass IdleClass;

static double idle_us;

static GType idle_get_type (void);
G_DEFINE_TYPE (Idle, idle, GST_TYPE_AUDIO_FILTER)

static GstFlowReturn
idle (GstBaseTransform *trans, GstBuffer *buffer)
{
  double end = now_us () + idle_us;

  while (now_us () < end)
    ;
  return GST_FLOW_OK;
}

static void
idle_class_init (IdleClass *klass)
{
  g_autoptr (GstCaps) caps = gst_caps_new_empty_simple ("audio/x-raw");

  gst_audio_filter_class_add_pad_templates (klass, caps);
  gst_element_class_set_static_metadata (
      GST_ELEMENT_CLASS (klass), "Idle", "Filter", "Waits", "seqfilter");
  GST_BASE_TRANSFORM_CLASS (klass)->transform_ip = idle;
}

static void
idle_init (Idle *self)
{
}

/* --- measuring --------------------------------------------------------------
 */

typedef struct {
  GstHarness *h;
  double begun, took; /* us */
  float *us;          /* [n] */
  guint n;
  float *kept_us; /* [n_kept]: those of buffers that were not preempted */
  guint n_kept;
} Bench;

static GstPadProbeReturn
begin (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  ((Bench *) data)->begun = now_us ();
  return GST_PAD_PROBE_OK;
}

static GstPadProbeReturn
end (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  Bench *bench = data;

  bench->took = now_us () - bench->begun;
  return GST_PAD_PROBE_DROP;
}

static Bench
bench_new (GstElement *element, guint n)
{
  Bench bench = { gst_harness_new_with_element (element, "sink", "src") };

  gst_harness_use_systemclock (bench.h);
  set_caps (bench.h, &stereo);
  bench.us = g_new (float, n);
  bench.kept_us = g_new (float, n);
  gst_object_unref (element);
  return bench;
}

static void
bench_clear (Bench *bench)
{
  gst_harness_teardown (bench->h);
  g_free (bench->us);
  g_free (bench->kept_us);
}

static void
bench_attach (Bench *bench)
{
  g_autoptr (GstPad) sink =
      gst_element_get_static_pad (bench->h->element, "sink");
  g_autoptr (GstPad) src =
      gst_element_get_static_pad (bench->h->element, "src");

  gst_pad_add_probe (sink, GST_PAD_PROBE_TYPE_BUFFER, begin, bench, NULL);
  gst_pad_add_probe (src, GST_PAD_PROBE_TYPE_BUFFER, end, bench, NULL);
}

static void
bench_push (Bench *bench, guint at)
{
  GstBuffer *buffer = buffer_new (&stereo, at * FRAMES, FRAMES);
  long before = n_preempted ();

  if (gst_harness_push (bench->h, buffer) != GST_FLOW_OK)
    g_error ("a buffer was refused");
  bench->us[bench->n++] = (float) bench->took;
  if (n_preempted () == before)
    bench->kept_us[bench->n_kept++] = (float) bench->took;
}

static int
by_value (gconstpointer a, gconstpointer b)
{
  float x = *(const float *) a, y = *(const float *) b;

  return (x > y) - (x < y);
}

static double
quantile (float *us, guint n, double q)
{
  qsort (us, n, sizeof *us, by_value);
  return us[(gsize) (q * (n - 1))];
}

static void
print_row (const char *name, Bench *bench, double jitter_us)
{
  guint n_long = 0;

  for (guint i = 0; i < bench->n_kept; i++)
    n_long += bench->kept_us[i] > LIMIT_US + jitter_us;
  g_print ("| %s | %.1f | %.1f | %.1f | %u | %.1f | %u |\n", name,
      quantile (bench->us, bench->n, 0.5),
      quantile (bench->us, bench->n, 0.999), quantile (bench->us, bench->n, 1),
      bench->n - bench->n_kept, quantile (bench->kept_us, bench->n_kept, 1),
      n_long);
}

/* --- the thread that loads --------------------------------------------------
 */

typedef struct {
  GstElement *element;
  const char *path;
  gint at; /* atomic: buffers pushed; -1: done */
} Loader;

static gpointer
load (gpointer data)
{
  Loader *loader = data;
  gint at, next = 0;

  while ((at = g_atomic_int_get (&loader->at)) >= 0) {
    g_autoptr (GError) error = NULL;
    g_autoptr (SeqModel) model = seq_model_load (loader->path, NULL, &error);

    g_assert_no_error (error);
    if (at >= next) {
      g_object_set (loader->element, "model-file", loader->path, NULL);
      next = at + SWAP / FRAMES;
    }
  }
  return NULL;
}

static void
pace (double start_us, guint at)
{
  double due = start_us + at * BUFFER_US;
  struct timespec t = { (time_t) (due / 1e6), (long) (fmod (due, 1e6) * 1e3) };

  clock_nanosleep (CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static void
run (const char *path, const char *name, guint n, gboolean paced,
    gboolean loading)
{
  GstElement *filter = gst_element_factory_make ("seqfilter", NULL);
  g_autoptr (GThread) thread = NULL;
  g_autofree char *idle_name = g_strdup_printf ("idle beside %s", name);
  Bench bench, beside;
  double start, jitter;
  Loader loader = { filter, path };

  g_object_set (filter, "model-file", path, "learn", 1 /* off */, NULL);
  bench = bench_new (filter, n);
  beside = bench_new (g_object_new (idle_get_type (), NULL), n);
  bench_attach (&bench);
  bench_attach (&beside);
  for (guint i = 0; i < WARM_UP; i++)
    bench_push (&bench, i);
  idle_us = quantile (bench.us, bench.n, 0.5);
  for (guint i = 0; i < WARM_UP; i++)
    bench_push (&beside, i);
  bench.n = beside.n = bench.n_kept = beside.n_kept = 0;

  if (loading)
    thread = g_thread_new ("load", load, &loader);
  start = now_us ();
  for (guint i = 0; i < n; i++) {
    if (paced)
      pace (start, i);
    bench_push (&bench, WARM_UP + i);
    bench_push (&beside, WARM_UP + i);
    g_atomic_int_set (&loader.at, (gint) i);
  }
  g_atomic_int_set (&loader.at, -1);
  if (thread)
    g_thread_join (g_steal_pointer (&thread));
  jitter = quantile (beside.kept_us, beside.n_kept, 1)
           - quantile (beside.kept_us, beside.n_kept, 0.5);
  print_row (name, &bench, jitter);
  print_row (idle_name, &beside, jitter);
  bench_clear (&bench);
  bench_clear (&beside);
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SeqModel) model = seq_model_new_untrained ("lstm",
      g_variant_new_parsed ("{'hidden_size': <40>}"), 1, 1, FALSE, FALSE, 1,
      &error);
  g_autofree char *folder = g_dir_make_tmp (NULL, &error);
  g_autofree char *path = g_build_filename (folder, "lstm.safetensors", NULL);
  guint n = (guint) ((argc > 1 ? atof (argv[1]) : 600) * RATE / FRAMES);
  gboolean paced = argc > 2 && g_str_equal (argv[2], "paced");

  gst_init (&argc, &argv);
  if (!seq_model_save (model, path, "safetensors", &error))
    g_error ("%s", error->message);
  g_print ("%u buffers of %d frames, %.0f us each, stereo, LSTM 40, isa %s, ",
      n, FRAMES, BUFFER_US, seq_isa_name (seq_cpu_isa ()));
  g_print (paced ? "paced\n\n" : "one right after the other\n\n");
  g_print ("| us in the element | median | 99.9 %% | worst | preempted "
           "| worst of the others | over %.0f us and jitter |\n"
           "| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n",
      LIMIT_US);
  run (path, "seqfilter", n, paced, FALSE);
  run (path, "seqfilter, while models load", n, paced, TRUE);
  g_unlink (path);
  g_rmdir (folder);
  return 0;
}
