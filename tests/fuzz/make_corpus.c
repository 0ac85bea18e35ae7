/* make_corpus.c: first inputs for fuzzers, and a dictionary.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * usage: make_corpus FOLDER MODELS...
 *
 * FOLDER/model/: a model of each kind in every format that holds it, and all
 * small files below MODELS that are of a known format. FOLDER/state/: a state
 * of each kind with each learner. FOLDER/dictionary: words of all of them.
 */
#include "src/io/format.h"
#include "src/io/load.h"
#include "src/live/snapshot.h"
#include "src/layer.h"
#include "src/model-facts.h"

#include <glib/gstdio.h>
#include <string.h>

#define LARGEST 20000 /* bytes */

static void
put (const char *folder, const char *what, const char *name, GBytes *bytes)
{
  g_autofree char *path = g_build_filename (folder, what, name, NULL);
  g_autoptr (GError) error = NULL;

  if (!seq_save_bytes (path, bytes, &error))
    g_error ("%s", error->message);
}

static SeqModel *
make_model (const SeqKind *kind, gboolean readout)
{
  g_autoptr (GError) error = NULL;
  SeqModel *model = seq_model_new_untrained (kind->name,
      g_variant_new_parsed ("{'hidden_size': <3>, 'order': <3>, 'states': <5>, "
                            "'history': <16>, 'neighbours': <2>}"),
      2, 2, readout, TRUE, 1, &error);

  if (!model)
    g_error ("%s", error->message);
  return model;
}

static void
write_models (const char *folder, const SeqKind *kind)
{
  const SeqFileFormat *const *formats = seq_file_formats ();
  g_autoptr (SeqModel) model = make_model (kind, FALSE);

  for (guint i = 0; formats[i]; i++) {
    g_autoptr (GBytes) bytes =
        formats[i]->write ? formats[i]->write (model, NULL) : NULL;
    g_autofree char *name =
        g_strdup_printf ("%s-%s", formats[i]->name, kind->name);

    if (bytes)
      put (folder, "model", name, bytes);
  }
}

static void
write_state (const char *folder, const SeqKind *kind, SeqLearn learn)
{
  SeqStreamConfig config = { .learn = learn,
    .learning_rate = 1e-3,
    .window = 4,
    .horizon = 2,
    .channel_mode = SEQ_CHANNELS_AUTO };
  g_autoptr (GError) error = NULL;
  g_autoptr (SeqModel) model = make_model (kind, learn >= SEQ_LEARN_READOUT);
  g_autoptr (SeqStream) stream = seq_stream_new (model, 2, &config, &error);
  g_autofree char *name = g_strdup_printf ("%s-%u", kind->name, learn);
  g_autofree gpointer state = NULL;
  g_autoptr (GBytes) bytes = NULL;
  gsize size;

  if (!stream)
    g_error ("%s", error->message);
  size = seq_stream_state_size (stream);
  state = g_malloc (size);
  seq_stream_get_state (stream, state);
  bytes = seq_snapshot_save (model, &config, 2, state, size);
  put (folder, "state", name, bytes);
}

static void
add_words (GString *text, const char *const *words)
{
  for (; words && *words; words++)
    g_string_append_printf (text, "\"%s\"\n", *words);
}

/* Names of kinds and of their options, and hints. */
static void
write_dictionary (const char *folder)
{
  const char *const *kinds = seq_layer_kinds ();
  const SeqFileFormat *const *formats = seq_file_formats ();
  g_autoptr (GString) text = g_string_new ("\"" SEQ_SNAPSHOT_KEY "\"\n");
  g_autoptr (GBytes) bytes = NULL;

  add_words (text, kinds);
  for (guint k = 0; kinds[k]; k++)
    add_words (text, seq_kind_find (kinds[k])->options);
  for (guint i = 0; formats[i]; i++)
    add_words (text, formats[i]->hints);
  bytes = g_bytes_new (text->str, text->len);
  put (folder, "", "dictionary", bytes);
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
      put (folder, "model", name, bytes);
  }
}

int
main (int argc, char **argv)
{
  const SeqKind *const *kind = seq_kind_choices ();

  if (argc < 2) {
    g_printerr ("make_corpus FOLDER MODELS...\n");
    return 2;
  }
  for (guint i = 0; i < 2; i++) {
    g_autofree char *path =
        g_build_filename (argv[1], i == 0 ? "model" : "state", NULL);

    g_mkdir_with_parents (path, 0777);
  }
  for (; *kind; kind++) {
    write_models (argv[1], *kind);
    write_state (argv[1], *kind, SEQ_LEARN_GRADIENT);
    if ((*kind)->flags & SEQ_KIND_TRAINS) {
      write_state (argv[1], *kind, SEQ_LEARN_READOUT);
      write_state (argv[1], *kind, SEQ_LEARN_BOTH);
    }
  }
  write_dictionary (argv[1]);
  for (int i = 2; i < argc; i++) {
    g_autofree char *name = g_path_get_basename (argv[i]);

    copy_models (argv[1], argv[i], name);
  }
  return 0;
}
