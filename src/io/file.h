/* file.h: whole files, read and saved so that nothing else can spoil them.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Other processes may write to a file while it is read, and a process may be
 * killed while it saves. Control threads. Errors name the path.
 */
#pragma once

#include <glib.h>
#include <sys/stat.h>

G_BEGIN_DECLS

/* Opens a regular file for reading, following links; `about` gets its fstat().
 * Refuses folders, FIFOs and devices at once, without waiting for them. Returns
 * a descriptor, or -1 with G_FILE_ERROR. */
int seq_open_regular (const char *path, struct stat *about, GError **error);

/* Reads a regular file of at most max bytes into memory. The result is a copy
 * and never changes, even if the file does. Errors: G_FILE_ERROR, SEQ_ERROR. */
GBytes *seq_read_bytes (const char *path, gsize max, GError **error);

/* Replaces a whole file by a whole file, or leaves it as it was: writes a
 * temporary file beside it, syncs and renames it, and syncs the folder.
 *
 * A link is followed to its target, which need not exist yet; a target that is
 * not a regular file is refused. A file that is replaced keeps its mode, and
 * its owner and group as far as the process may set them (where the group
 * cannot be kept, it gets no permissions); a new one gets what the umask leaves
 * of 0666. Temporary files of saves that were killed are removed from the
 * folder. Any number of threads and processes may save to one path: the last
 * one stays. Errors: G_FILE_ERROR. */
gboolean seq_save_bytes (const char *path, GBytes *bytes, GError **error);

/* Whether seq_save_bytes() could write there now, as far as can be told without
 * trying. Errors: G_FILE_ERROR. */
gboolean seq_can_save (const char *path, GError **error);

G_END_DECLS
