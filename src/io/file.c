/* file.c: whole files, read and saved so that nothing else can spoil them.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A save holds a lock on its temporary file until the file has its final name.
 * A temporary file that can be locked was left by a save that was killed.
 */
#include "src/io/file.h"
#include "src/error.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define TEMPORARY ".seqfilter-" /* and 6 letters or digits */
#define MAX_LINKS 40            /* as the kernel follows */

static gboolean
fail (const char *path, const char *what, GError **error)
{
  int number = errno;

  g_set_error (error, G_FILE_ERROR, g_file_error_from_errno (number),
      "%s: %s: %s", path, what, g_strerror (number));
  return FALSE;
}

static gboolean
check_regular (const char *path, const struct stat *about, GError **error)
{
  static const struct {
    mode_t type;
    GFileError code;
    const char *name;
  } others[] = {
    { S_IFDIR, G_FILE_ERROR_ISDIR, "a folder" },
    { S_IFIFO, G_FILE_ERROR_INVAL, "a FIFO" },
    { S_IFCHR, G_FILE_ERROR_INVAL, "a device" },
    { S_IFBLK, G_FILE_ERROR_INVAL, "a device" },
    { S_IFSOCK, G_FILE_ERROR_INVAL, "a socket" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (others); i++)
    if ((about->st_mode & S_IFMT) == others[i].type) {
      g_set_error (error, G_FILE_ERROR, others[i].code,
          "%s: this is %s; expected a file", path, others[i].name);
      return FALSE;
    }
  return TRUE;
}

int
seq_open_regular (const char *path, struct stat *about, GError **error)
{
  int fd;

  /* before and after: opening a device can have effects, and between the two
   * calls another file can take the name */
  if (stat (path, about) < 0) {
    fail (path, "cannot be read", error);
    return -1;
  }
  if (!check_regular (path, about, error))
    return -1;
  fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0 || fstat (fd, about) < 0) {
    fail (path, "cannot be read", error);
    if (fd >= 0)
      close (fd);
    return -1;
  }
  if (check_regular (path, about, error))
    return fd;
  close (fd);
  return -1;
}

GBytes *
seq_read_bytes (const char *path, gsize max, GError **error)
{
  struct stat about;
  int fd = seq_open_regular (path, &about, error);
  g_autofree guint8 *data = NULL;
  gsize size, done = 0;

  if (fd < 0)
    return NULL;
  size = (gsize) about.st_size;
  if (size <= max)
    data = g_try_malloc (size + 1);
  if (!data) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "%s: the file is %" G_GSIZE_FORMAT " bytes; expected at most "
        "%" G_GSIZE_FORMAT "%s",
        path, size, max, size <= max ? ", and the memory for it" : "");
    close (fd);
    return NULL;
  }
  while (done < size) {
    gssize n = read (fd, data + done, size - done);

    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0) {
      fail (path, "cannot be read", error);
      close (fd);
      return NULL;
    }
    if (n == 0) /* it was truncated meanwhile */
      break;
    done += (gsize) n;
  }
  close (fd);
  return g_bytes_new_take (g_steal_pointer (&data), done);
}

/* --- saving ------------------------------------------------------------------
 */

/* Where the links of a path lead. */
static char *
follow_links (const char *path, GError **error)
{
  g_autofree char *target = g_strdup (path);

  for (guint i = 0; i < MAX_LINKS; i++) {
    g_autofree char *link = g_file_read_link (target, NULL), *folder = NULL;

    if (!link)
      return g_steal_pointer (&target);
    folder = g_path_get_dirname (target);
    g_free (target);
    target = g_path_is_absolute (link) ? g_strdup (link)
                                       : g_build_filename (folder, link, NULL);
  }
  errno = ELOOP;
  fail (path, "cannot be written", error);
  return NULL;
}

static void
remove_leftovers (const char *folder)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;

  while (dir && (name = g_dir_read_name (dir))) {
    g_autofree char *path = NULL;
    struct stat about;
    int fd;

    if (!g_str_has_prefix (name, TEMPORARY)
        || strlen (name) != strlen (TEMPORARY) + 6)
      continue;
    path = g_build_filename (folder, name, NULL);
    fd = open (path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
      continue;
    if (fstat (fd, &about) == 0 && S_ISREG (about.st_mode)
        && flock (fd, LOCK_EX | LOCK_NB) == 0)
      g_unlink (path);
    close (fd);
  }
}

/* A new temporary file, locked; or -1 and errno. */
static int
open_temporary (const char *folder, char **path)
{
  for (;;) {
    struct stat about;
    int fd;

    *path = g_build_filename (folder, TEMPORARY "XXXXXX", NULL);
    fd = g_mkstemp_full (*path, O_WRONLY | O_CLOEXEC, 0666);
    if (fd < 0)
      return -1;
    /* before the lock, another save may have removed it as a leftover. Where
     * files cannot be locked, none are removed */
    flock (fd, LOCK_EX);
    if (fstat (fd, &about) < 0 || about.st_nlink > 0)
      return fd;
    close (fd);
    g_clear_pointer (path, g_free);
  }
}

/* Mode and owner of the file that will be replaced. */
static gboolean
take_mode (int fd, const struct stat *old)
{
  mode_t mode = old->st_mode & 0777;

  if (fchown (fd, old->st_uid, old->st_gid) < 0
      && fchown (fd, (uid_t) -1, old->st_gid) < 0)
    mode &= ~(mode_t) 0070; /* another group would get these permissions */
  return fchmod (fd, mode) == 0;
}

static gboolean
write_all (int fd, const guint8 *data, gsize size)
{
  while (size > 0) {
    gssize n = write (fd, data, size);

    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return FALSE;
    data += n;
    size -= (gsize) n;
  }
  return TRUE;
}

/* Makes a rename durable. Some file systems cannot sync a folder, and a folder
 * may be writable but not readable: neither is an error. */
static gboolean
sync_folder (const char *folder)
{
  int fd = open (folder, O_RDONLY | O_CLOEXEC | O_DIRECTORY);
  gboolean ok;

  if (fd < 0)
    return TRUE;
  ok = fsync (fd) == 0 || errno == EINVAL || errno == ENOTSUP;
  if (!ok) {
    int number = errno;

    close (fd);
    errno = number;
    return FALSE;
  }
  close (fd);
  return TRUE;
}

gboolean
seq_save_bytes (const char *path, GBytes *bytes, GError **error)
{
  g_autofree char *target = follow_links (path, error);
  g_autofree char *folder = NULL, *temporary = NULL;
  struct stat old;
  gboolean replaces, renamed = FALSE;
  gsize size;
  const guint8 *data = g_bytes_get_data (bytes, &size);
  int fd;

  if (!target)
    return FALSE;
  replaces = stat (target, &old) == 0;
  if (replaces && !check_regular (path, &old, error))
    return FALSE;
  folder = g_path_get_dirname (target);
  remove_leftovers (folder);
  fd = open_temporary (folder, &temporary);
  if (fd < 0)
    return fail (path, "cannot be written", error);
  if ((replaces && !take_mode (fd, &old)) || !write_all (fd, data, size)
      || fsync (fd) < 0)
    fail (path, "cannot be written", error);
  else if (!(renamed = g_rename (temporary, target) == 0))
    fail (path, "cannot be replaced", error);
  if (!renamed)
    g_unlink (temporary);
  /* only now: the lock says that the file is in use */
  close (fd);
  if (renamed && !sync_folder (folder))
    return fail (path, "is saved, but its folder cannot be synced", error);
  return renamed;
}

gboolean
seq_can_save (const char *path, GError **error)
{
  g_autofree char *target = follow_links (path, error), *folder = NULL;
  struct stat old;

  if (!target
      || (stat (target, &old) == 0 && !check_regular (path, &old, error)))
    return FALSE;
  folder = g_path_get_dirname (target);
  return access (folder, W_OK | X_OK) == 0
         || fail (path, "cannot be written", error);
}
