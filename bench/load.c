/* load.c: how long a model file of 2 MB takes to load, by format.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * An LSTM with as many units as fill the size is written in each format and
 * loaded again; the best of fifty, CPU time.
 */
#include "src/io/load.h"
#include "tools/bench.h"

#include <glib/gstdio.h>
#include <math.h>

#define SIZE 2e6 /* bytes */

static SeqModel *
make_model (guint hidden_size)
{
  return seq_model_new_untrained ("lstm",
      g_variant_new_parsed ("{'hidden_size': <%u>}", hidden_size), 1, 1, FALSE,
      FALSE, 1, NULL);
}

/* Writes a model of about SIZE bytes; returns its size. */
static gsize
write_model (const char *path, const char *format)
{
  guint hidden_size = 8;
  GStatBuf about = { 0 };

  while (about.st_size < SIZE) {
    g_autoptr (SeqModel) model = make_model (hidden_size);

    if (!seq_model_save (model, path, format, NULL)
        || g_stat (path, &about) != 0)
      g_error ("%s: cannot be written", path);
    hidden_size += MAX (1, hidden_size / 8);
  }
  return (gsize) about.st_size;
}

int
main (int argc, char **argv)
{
  const char *const *formats = seq_model_written_formats ();
  g_autofree char *folder = g_dir_make_tmp ("seq-XXXXXX", NULL);

  for (guint i = 0; formats[i]; i++) {
    g_autofree char *path = g_build_filename (folder, formats[i], NULL);
    gsize size = write_model (path, formats[i]);
    double best = INFINITY;

    for (guint k = 0; k < 50; k++) {
      double start = bench_now ();
      SeqModel *model = seq_model_load (path, NULL, NULL);

      g_assert_nonnull (model);
      seq_model_unref (model);
      best = MIN (best, bench_now () - start);
    }
    g_print ("%-12s %5.2f MB %8.2f ms\n", formats[i], (double) size / 1e6,
        best / 1e6);
    g_unlink (path);
  }
  g_rmdir (folder);
  return 0;
}
