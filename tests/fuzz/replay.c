/* replay.c: gives all files of some folders to a fuzz target.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * usage: replay FOLDER...
 */
#include "tests/fuzz/fuzz.h"

static guint
replay (const char *folder)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;
  guint n = 0;

  while (dir && (name = g_dir_read_name (dir))) {
    g_autofree char *path = g_build_filename (folder, name, NULL);
    g_autofree char *data = NULL;
    gsize size;

    if (!g_file_get_contents (path, &data, &size, NULL))
      continue;
    g_print ("# %s\n", name);
    LLVMFuzzerTestOneInput ((const guint8 *) data, size);
    n++;
  }
  return n;
}

int
main (int argc, char **argv)
{
  guint n = 0;

  for (int i = 1; i < argc; i++)
    n += replay (argv[i]);
  g_print ("ok 1 - %u inputs replayed\n1..1\n", n);
  return n == 0;
}
