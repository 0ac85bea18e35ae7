/* make_corpus.c FOLDER MODELS...: a fuzzer's first inputs.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Writes a model of each kind in every format that holds it to FOLDER, and
 * copies all small files below MODELS that are of a known format there.
 */
#include "src/io/format.h"
#include "src/io/load.h"

#include <glib/gstdio.h>

#define LARGEST 20000 /* bytes */

static void
put (const char *folder, const char *name, GBytes *bytes)
{
  g_autofree char *path = g_build_filename (folder, name, NULL);
  g_autoptr (GError) error = NULL;

  if (!seq_save_bytes (path, bytes, &error))
    g_error ("%s", error->message);
}

static void
write_kinds (const char *folder)
{
  const SeqFileFormat *const *formats = seq_file_formats ();
  const SeqKind *const *kinds = seq_kind_choices ();

  for (guint k = 0; kinds[k]; k++)
    for (guint i = 0; formats[i]; i++) {
      g_autoptr (GError) error = NULL;
      g_autoptr (SeqModel) model = seq_model_new_untrained (kinds[k]->name,
          g_variant_new_parsed ("{'hidden_size': <3>, 'order': <3>, "
                                "'history': <16>, 'neighbours': <2>}"),
          2, 2, FALSE, TRUE, 1, &error);
      g_autoptr (GBytes) bytes = NULL;
      g_autofree char *name =
          g_strdup_printf ("%s-%s", formats[i]->name, kinds[k]->name);

      if (!model)
        g_error ("%s", error->message);
      bytes = formats[i]->write ? formats[i]->write (model, NULL) : NULL;
      if (bytes)
        put (folder, name, bytes);
    }
}

static void
copy_models (const char *folder, const char *from, const char *prefix)
{
  g_autoptr (GDir) dir = g_dir_open (from, 0, NULL);
  const char *entry;

  while (dir && (entry = g_dir_read_name (dir))) {
    g_autofree char *path = g_build_filename (from, entry, NULL);
    g_autofree char *name = g_strdup_printf ("%s_%s", prefix, entry);
    g_autoptr (GBytes) bytes = NULL;

    if (g_file_test (path, G_FILE_TEST_IS_DIR)) {
      copy_models (folder, path, name);
      continue;
    }
    bytes = seq_read_bytes (path, LARGEST, NULL);
    if (bytes && seq_file_format_of (bytes, entry, NULL))
      put (folder, name, bytes);
  }
}

int
main (int argc, char **argv)
{
  if (argc < 2) {
    g_printerr ("make_corpus FOLDER MODELS...\n");
    return 2;
  }
  g_mkdir_with_parents (argv[1], 0777);
  write_kinds (argv[1]);
  for (int i = 2; i < argc; i++) {
    g_autofree char *name = g_path_get_basename (argv[i]);

    copy_models (argv[1], argv[i], name);
  }
  return 0;
}
