/* test_files.c: files are read and saved whole, or an error says why not.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/io/file.h"
#include "src/error.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static gint fsyncs_until_failure = -1; /* -1: they work */

/* In place of the C library's. */
int
fsync (int fd)
{
  if (fsyncs_until_failure < 0 || fsyncs_until_failure-- > 0)
    return fdatasync (fd);
  fsyncs_until_failure = -1;
  errno = EIO;
  return -1;
}

/* Each test has a folder of its own. */
typedef struct {
  char *folder, *path;
} Place;

static void
set_up (Place *place, gconstpointer unused)
{
  place->folder = g_dir_make_tmp ("seq-XXXXXX", NULL);
  place->path = g_build_filename (place->folder, "file", NULL);
}

static GPtrArray *
list (const char *folder)
{
  GPtrArray *names = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;

  while ((name = g_dir_read_name (dir)))
    g_ptr_array_add (names, g_strdup (name));
  return names;
}

/* What is in the folder goes, and with it the folder: a test that leaves a
 * folder in it fails here. */
static void
tear_down (Place *place, gconstpointer unused)
{
  g_autoptr (GPtrArray) names = list (place->folder);

  for (guint i = 0; i < names->len; i++) {
    g_autofree char *path =
        g_build_filename (place->folder, names->pdata[i], NULL);

    g_remove (path);
  }
  g_assert_cmpint (g_rmdir (place->folder), ==, 0);
  g_free (place->folder);
  g_free (place->path);
}

static void
write_text (const char *path, const char *text)
{
  g_assert_true (g_file_set_contents (path, text, -1, NULL));
}

static void
assert_text (const char *path, const char *text)
{
  g_autofree char *found = NULL;

  g_assert_true (g_file_get_contents (path, &found, NULL, NULL));
  g_assert_cmpstr (found, ==, text);
}

static GBytes *
bytes_of (const char *text)
{
  return g_bytes_new_static (text, strlen (text));
}

static void
save_text (const char *path, const char *text)
{
  g_autoptr (GBytes) bytes = bytes_of (text);
  g_autoptr (GError) error = NULL;

  seq_save_bytes (path, bytes, &error);
  g_assert_no_error (error);
}

static guint
count_descriptors (void)
{
  g_autoptr (GPtrArray) open = list ("/proc/self/fd");

  return open->len;
}

/* --- reading -----------------------------------------------------------------
 */

static void
test_read (Place *place, gconstpointer unused)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) bytes = NULL, empty = NULL;

  write_text (place->path, "hello");
  bytes = seq_read_bytes (place->path, 5, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (g_bytes_get_size (bytes), ==, 5);
  /* a copy: what happens to the file later does nothing */
  g_assert_cmpint (truncate (place->path, 0), ==, 0);
  g_assert_cmpmem (g_bytes_get_data (bytes, NULL), 5, "hello", 5);
  empty = seq_read_bytes (place->path, 5, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (g_bytes_get_size (empty), ==, 0);
}

/* Larger than it may be: refused with both figures, before anything is read. */
static void
test_too_large (Place *place, gconstpointer unused)
{
  g_autoptr (GError) error = NULL;

  write_text (place->path, "");
  g_assert_cmpint (truncate (place->path, (off_t) 1 << 40), ==, 0);
  g_assert_null (seq_read_bytes (place->path, 1000, &error));
  g_assert_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED);
  g_assert_nonnull (
      strstr (error->message, "is 1099511627776 bytes; expected at most 1000"));
}

/* Nothing waits for what is not a regular file, and nothing opens it. */
static void
test_not_regular (Place *place, gconstpointer unused)
{
  g_autofree char *link = g_build_filename (place->folder, "link", NULL);
  const struct {
    const char *path, *says;
  } all[] = {
    { place->folder, "this is a folder; expected a file" },
    { place->path, "this is a FIFO; expected a file" },
    { link, "this is a FIFO; expected a file" },
    { "/dev/null", "this is a device; expected a file" },
    { "/nowhere/file", "No such file" },
  };

  g_assert_cmpint (mkfifo (place->path, 0600), ==, 0);
  g_assert_cmpint (symlink ("file", link), ==, 0);
  for (guint i = 0; i < G_N_ELEMENTS (all); i++) {
    g_autoptr (GBytes) bytes = bytes_of ("new");
    g_autoptr (GError) error = NULL, why = NULL;
    guint n = count_descriptors ();

    g_assert_null (seq_read_bytes (all[i].path, 100, &error));
    g_assert_false (seq_save_bytes (all[i].path, bytes, &why));
    g_assert_true (error->domain == G_FILE_ERROR);
    g_assert_true (why->domain == G_FILE_ERROR);
    g_assert_true (g_str_has_prefix (error->message, all[i].path));
    g_assert_nonnull (strstr (error->message, all[i].says));
    g_assert_nonnull (strstr (why->message, all[i].says));
    g_assert_cmpuint (count_descriptors (), ==, n);
  }
  g_assert_true (g_file_test (place->path, G_FILE_TEST_EXISTS));
}

/* --- saving ------------------------------------------------------------------
 */

static void
test_save (Place *place, gconstpointer unused)
{
  g_autoptr (GPtrArray) names = NULL;
  struct stat s;
  mode_t mask = umask (027);

  save_text (place->path, "one");
  umask (mask);
  assert_text (place->path, "one");
  g_assert_cmpint (stat (place->path, &s), ==, 0);
  g_assert_cmpint (s.st_mode & 07777, ==, 0640);
  save_text (place->path, "");
  assert_text (place->path, "");
  names = list (place->folder);
  g_assert_cmpuint (names->len, ==, 1);
}

/* What is replaced keeps its mode and owner. */
static void
test_mode (Place *place, gconstpointer unused)
{
  static const mode_t modes[] = { 0600, 0400, 0664, 0777 };
  gboolean root = geteuid () == 0;
  struct stat s;

  for (guint i = 0; i < G_N_ELEMENTS (modes); i++) {
    write_text (place->path, "old");
    g_assert_cmpint (chmod (place->path, modes[i]), ==, 0);
    if (root)
      g_assert_cmpint (chown (place->path, 1234, 4321), ==, 0);
    save_text (place->path, "new");
    assert_text (place->path, "new");
    g_assert_cmpint (stat (place->path, &s), ==, 0);
    g_assert_cmpint (s.st_mode & 07777, ==, modes[i]);
    g_assert_cmpint (s.st_uid, ==, root ? 1234 : geteuid ());
    if (root)
      g_assert_cmpint (s.st_gid, ==, 4321);
  }
  if (!root)
    g_test_message ("not root: that another's file keeps its owner is not "
                    "tried");
}

/* A link stays a link; what it leads to is replaced, or made. */
static void
test_links (Place *place, gconstpointer unused)
{
  static const char *const names[] = { "a", "b", "c" };
  g_autofree char *far = g_dir_make_tmp ("seq-far-XXXXXX", NULL);
  g_autofree char *target = g_build_filename (far, "target", NULL);
  g_autofree char *loop = g_build_filename (place->folder, "loop", NULL);
  g_autoptr (GBytes) bytes = bytes_of ("x");
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree char *link = g_build_filename (place->folder, names[i], NULL);
    g_autofree char *next = NULL;

    g_assert_cmpint (symlink (i ? names[i - 1] : target, link), ==, 0);
    save_text (link, names[i]);
    assert_text (target, names[i]);
    next = g_file_read_link (link, NULL);
    g_assert_cmpstr (next, ==, i ? names[i - 1] : target);
  }
  g_assert_cmpint (symlink ("loop", loop), ==, 0);
  g_assert_false (seq_save_bytes (loop, bytes, &error));
  g_assert_error (error, G_FILE_ERROR, G_FILE_ERROR_LOOP);
  g_remove (target);
  g_assert_cmpint (g_rmdir (far), ==, 0);
}

/* A save that fails leaves the old file, nothing beside it, and no descriptor
 * open, wherever it fails. */
static void
test_failures (Place *place, gconstpointer unused)
{
  guint n = count_descriptors ();

  write_text (place->path, "old");
  for (gint i = 0; i < 20; i++) {
    g_autoptr (GBytes) bytes = bytes_of ("new");
    g_autoptr (GError) error = NULL;
    g_autoptr (GPtrArray) names = NULL;

    fsyncs_until_failure = 0;
    g_assert_false (seq_save_bytes (place->path, bytes, &error));
    g_assert_error (error, G_FILE_ERROR, G_FILE_ERROR_IO);
    g_assert_nonnull (strstr (error->message, place->path));
    assert_text (place->path, "old");
    names = list (place->folder);
    g_assert_cmpuint (names->len, ==, 1);
  }
  g_assert_cmpuint (count_descriptors (), ==, n);
  /* that of the folder comes last, when the file is there */
  for (gint i = 0; i < 20; i++) {
    g_autoptr (GBytes) bytes = bytes_of ("new");
    g_autoptr (GError) error = NULL;

    fsyncs_until_failure = 1;
    g_assert_false (seq_save_bytes (place->path, bytes, &error));
    g_assert_nonnull (strstr (error->message, "is saved"));
    assert_text (place->path, "new");
  }
  g_assert_cmpuint (count_descriptors (), ==, n);
}

/* Where the disk takes no more, as where a file may not grow, the old file
 * stays and nothing is left beside it. */
static void
test_full (Place *place, gconstpointer unused)
{
  g_autofree char *text = g_strnfill (1 << 16, 'x');
  g_autoptr (GBytes) bytes = bytes_of (text);
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) names = NULL;
  void (*before) (int) = signal (SIGXFSZ, SIG_IGN);
  struct rlimit limit, low;
  gboolean saved;

  write_text (place->path, "old");
  g_assert_cmpint (getrlimit (RLIMIT_FSIZE, &limit), ==, 0);
  low = (struct rlimit){ 1 << 15, limit.rlim_max };
  g_assert_cmpint (setrlimit (RLIMIT_FSIZE, &low), ==, 0);
  saved = seq_save_bytes (place->path, bytes, &error);
  g_assert_cmpint (setrlimit (RLIMIT_FSIZE, &limit), ==, 0);
  signal (SIGXFSZ, before);
  g_assert_false (saved);
  g_assert_cmpint (error->domain, ==, G_FILE_ERROR);
  g_assert_nonnull (strstr (error->message, place->path));
  assert_text (place->path, "old");
  names = list (place->folder);
  g_assert_cmpuint (names->len, ==, 1);
}

/* --- kills -------------------------------------------------------------------
 */

/* What killed saves left goes at the next save; what is in use, or anyone
 * else's, stays. */
static void
test_leftovers (Place *place, gconstpointer unused)
{
  static const struct {
    const char *name;
    gboolean stays;
  } all[] = {
    { ".seqfilter-a1B2c3", FALSE },
    { ".seqfilter-zzzzzz", FALSE },
    { ".seqfilter-locked", TRUE },
    { ".seqfilter-longer1", TRUE },
    { ".seqfilter-", TRUE },
    { "seqfilter-a1B2c3", TRUE },
    { "file.a1B2c3", TRUE },
  };
  g_autofree char *locked =
      g_build_filename (place->folder, ".seqfilter-locked", NULL);
  int fd;

  for (guint i = 0; i < G_N_ELEMENTS (all); i++) {
    g_autofree char *path = g_build_filename (place->folder, all[i].name, NULL);

    write_text (path, "half");
  }
  fd = open (locked, O_RDONLY);
  g_assert_cmpint (flock (fd, LOCK_EX), ==, 0);
  save_text (place->path, "whole");
  for (guint i = 0; i < G_N_ELEMENTS (all); i++) {
    g_autofree char *path = g_build_filename (place->folder, all[i].name, NULL);

    g_assert_cmpint (g_file_test (path, G_FILE_TEST_EXISTS), ==, all[i].stays);
  }
  close (fd);
  save_text (place->path, "whole");
  g_assert_false (g_file_test (locked, G_FILE_TEST_EXISTS));
}

#define LARGE 200000 /* bytes, all of one letter in a whole file */

static void
assert_whole (const char *path)
{
  g_autofree char *text = NULL;
  gsize size;

  g_assert_true (g_file_get_contents (path, &text, &size, NULL));
  g_assert_cmpuint (size, ==, LARGE);
  for (gsize i = 1; i < size; i++)
    g_assert_cmpint (text[i], ==, text[0]);
}

static void
save_letter (const char *path, char letter)
{
  g_autofree char *text = g_malloc (LARGE);
  g_autoptr (GBytes) bytes = NULL;

  memset (text, letter, LARGE);
  bytes = g_bytes_new_static (text, LARGE);
  if (!seq_save_bytes (path, bytes, NULL))
    _exit (1);
}

/* Two processes that save to one path over and over are killed at any moment:
 * a whole file is always there, and in the end nothing else. */
static void
test_kills (Place *place, gconstpointer unused)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);
  guint n_left = 0;

  save_letter (place->path, 'a');
  for (guint i = 0; i < 100; i++) {
    pid_t children[2];
    g_autoptr (GPtrArray) names = NULL;

    for (guint k = 0; k < 2; k++) {
      children[k] = fork ();
      if (children[k] == 0)
        for (char letter = 'a';; letter = letter == 'z' ? 'a' : letter + 1)
          save_letter (place->path, letter);
    }
    g_usleep ((gulong) g_rand_int_range (rand, 0, 5000));
    for (guint k = 0; k < 2; k++) {
      int status;

      g_assert_cmpint (kill (children[k], SIGKILL), ==, 0);
      g_assert_cmpint (waitpid (children[k], &status, 0), ==, children[k]);
      g_assert_true (WIFSIGNALED (status)); /* no save had failed */
    }
    assert_whole (place->path);
    names = list (place->folder);
    n_left += names->len - 1;
  }
  g_test_message ("%u files were left by 200 kills", n_left);
  save_letter (place->path, 'a');
  {
    g_autoptr (GPtrArray) names = list (place->folder);

    g_assert_cmpuint (names->len, ==, 1);
  }
}

int
main (int argc, char **argv)
{
  static const struct {
    const char *name;
    void (*run) (Place *place, gconstpointer unused);
  } tests[] = {
    { "/files/read", test_read },
    { "/files/too-large", test_too_large },
    { "/files/not-regular", test_not_regular },
    { "/files/save", test_save },
    { "/files/mode", test_mode },
    { "/files/links", test_links },
    { "/files/failures", test_failures },
    { "/files/full", test_full },
    { "/files/leftovers", test_leftovers },
    { "/files/kills", test_kills },
  };

  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (tests); i++)
    g_test_add (tests[i].name, Place, NULL, set_up, tests[i].run, tear_down);
  return g_test_run ();
}
