/* memory.c: how much memory there may be.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/memory.h"
#include "src/error.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define SMALL (1 << 20) /* bytes that are there if anything is */

char *
seq_memory_format (guint64 bytes)
{
  static const char *const units[] = { "bytes", "kB", "MB", "GB", "TB", "PB",
    "EB" };
  double value = (double) bytes;
  guint unit = 0;

  for (; value >= 1000 && unit + 1 < G_N_ELEMENTS (units); unit++)
    value /= 1000;
  return g_strdup_printf ("%.*f %s", unit ? 1 : 0, value, units[unit]);
}

/* The number in a file of the kernel; "max", or no such file: no limit. */
static guint64
read_limit (const char *folder, const char *name)
{
  g_autofree char *path = g_build_filename (folder, name, NULL);
  g_autofree char *text = NULL;

  if (!g_file_get_contents (path, &text, NULL, NULL)
      || !g_ascii_isdigit (*text))
    return G_MAXUINT64;
  return g_ascii_strtoull (text, NULL, 10);
}

/* The least limit of a control group and those above it. */
static guint64
least_limit (const char *root, const char *group, const char *name)
{
  g_autofree char *folder = g_build_filename (root, group, NULL);
  guint64 least = G_MAXUINT64;

  while (g_str_has_prefix (folder, root)) {
    char *above = g_path_get_dirname (folder);

    least = MIN (least, read_limit (folder, name));
    g_free (folder);
    folder = above;
  }
  return least;
}

/* Lines of /proc/self/cgroup: "0::/group" of version 2, "4:memory:/group" of
 * version 1. */
static guint64
cgroup_limit (void)
{
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;
  guint64 limit = G_MAXUINT64;

  if (!g_file_get_contents ("/proc/self/cgroup", &text, NULL, NULL))
    return limit;
  lines = g_strsplit (text, "\n", -1);
  for (guint i = 0; lines[i]; i++) {
    g_auto (GStrv) parts = g_strsplit (lines[i], ":", 3);

    if (g_strv_length (parts) < 3)
      continue;
    if (*parts[1] == '\0')
      limit =
          MIN (limit, least_limit ("/sys/fs/cgroup", parts[2], "memory.max"));
    else if (g_str_equal (parts[1], "memory"))
      limit = MIN (limit, least_limit ("/sys/fs/cgroup/memory", parts[2],
                              "memory.limit_in_bytes"));
  }
  return limit;
}

static guint64
find_total (void)
{
  struct rlimit address_space;
  guint64 total = G_MAXSIZE;
  long pages = sysconf (_SC_PHYS_PAGES), size = sysconf (_SC_PAGESIZE);

  if (pages > 0 && size > 0)
    total = MIN (total, (guint64) pages * (guint64) size);
  if (getrlimit (RLIMIT_AS, &address_space) == 0)
    total = MIN (total, (guint64) address_space.rlim_cur);
  return MIN (total, cgroup_limit ());
}

gsize
seq_memory_total (void)
{
  static gsize total;

  if (g_once_init_enter (&total))
    g_once_init_leave (&total, (gsize) MAX (find_total (), 1));
  return total;
}

/* Whether the system would give so much now. Nothing is written to it, which is
 * when the machine would really have to have it. */
static gboolean
can_be_had (gsize bytes)
{
  gpointer probe = mmap (
      NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

  return probe != MAP_FAILED && munmap (probe, bytes) == 0;
}

gboolean
seq_memory_check (gsize bytes, guint64 limit, const char *what, GError **error)
{
  guint64 most = limit > 0 ? limit : seq_memory_total () / 2;
  g_autofree char *needed = seq_memory_format (bytes);
  g_autofree char *expected = seq_memory_format (most);

  if (bytes > most) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_MEMORY,
        "the memory of %s is %s; expected at most %s, %s", what, needed,
        expected,
        limit > 0 ? "the limit that is set (max-memory)"
                  : "half of what there is: max-memory sets another limit");
    return FALSE;
  }
  if (bytes < SMALL || can_be_had (bytes))
    return TRUE;
  g_set_error (error, SEQ_ERROR, SEQ_ERROR_MEMORY,
      "the memory of %s is %s; expected less, the system does not give so "
      "much at present",
      what, needed);
  return FALSE;
}
