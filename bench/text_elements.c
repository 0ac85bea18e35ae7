/* text_elements.c: what decoder and encoder cost together, by how rows come.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * CSV of six values a row, in buffers of 64 KiB, through seqcsvdec and
 * seqcsvenc; and how much memory the process has gained by the end of it.
 *
 *   bench_text_elements [MB]
 */
#include "tools/bench.h"

#include <gst/check/gstharness.h>

#include <stdlib.h>
#include <string.h>

#define PIECE 65536

typedef struct {
  const char *name;
  guint jitter;      /* ms; 0: rows are a constant time apart */
  const char *value; /* how one is written */
} Stream;

static const Stream streams[] = {
  { "every 5 ms, 4 digits", 0, "%.4f" },
  { "every 5 ms, 17 digits", 0, "%.17g" },
  { "with jitter, 4 digits", 3, "%.4f" },
};

/* kB that the process holds. */
static gulong
resident (void)
{
  g_autofree char *text = NULL;
  const char *at;

  g_file_get_contents ("/proc/self/status", &text, NULL, NULL);
  at = text ? strstr (text, "VmRSS:") : NULL;
  return at ? strtoul (at + strlen ("VmRSS:"), NULL, 10) : 0;
}

static void
append_row (const Stream *stream, guint64 i, GRand *rand, GString *text)
{
  guint64 ms = 1424986973000 + i * 5;

  if (stream->jitter)
    ms += (guint64) g_rand_int_range (rand, 0, (gint32) stream->jitter);
  g_string_append_printf (text, "%" G_GUINT64_FORMAT, ms);
  for (guint k = 0; k < 6; k++) {
    char number[64];

    g_ascii_formatd (number, sizeof number, stream->value,
        g_rand_double_range (rand, -1, 1));
    g_string_append_printf (text, ",%s", number);
  }
  g_string_append_c (text, '\n');
}

static void
bench (const Stream *stream, guint64 size)
{
  GstHarness *h = gst_harness_new_parse ("seqcsvdec ! seqcsvenc");
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);
  g_autoptr (GString) text = g_string_new ("time,a,b,c,d,e,f\n");
  guint64 n_bytes = 0, n_rows = 0;
  gulong before = 0;
  double spent = 0;

  gst_harness_set_src_caps_str (h, "text/csv");
  while (n_bytes < size) {
    GstBuffer *buffer;
    double start;

    while (text->len < PIECE)
      append_row (stream, n_rows++, rand, text);
    buffer = gst_buffer_new_memdup (text->str, PIECE);
    g_string_erase (text, 0, PIECE);
    n_bytes += PIECE;
    start = bench_now ();
    gst_harness_push (h, buffer);
    while ((buffer = gst_harness_try_pull (h)))
      gst_buffer_unref (buffer);
    spent += bench_now () - start;
    if (!before)
      before = resident ();
  }
  g_print ("%-24s %8.0f MB/s %8.0f ns a row %8ld kB more\n", stream->name,
      (double) n_bytes * 1e3 / spent, spent / (double) n_rows,
      (glong) resident () - (glong) before);
  gst_harness_teardown (h);
}

int
main (int argc, char **argv)
{
  guint64 size =
      (argc > 1 ? g_ascii_strtoull (argv[1], NULL, 10) : 100) * 1000000;

  gst_init (&argc, &argv);
  for (guint i = 0; i < G_N_ELEMENTS (streams); i++)
    bench (&streams[i], size);
  return 0;
}
