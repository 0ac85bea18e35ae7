/* seqmodel-convert.c: a model file into another format.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/io/load.h"
#include "tools/hints.h"
#include "tools/seqmodel.h"

#include <sys/stat.h>

/* Whether writing OUT would replace IN. */
static gboolean
is_same_file (const char *in, const char *out)
{
  struct stat a, b;

  return stat (in, &a) == 0 && stat (out, &b) == 0 && a.st_dev == b.st_dev
         && a.st_ino == b.st_ino;
}

int
seqmodel_convert (int argc, char **argv)
{
  g_autofree char *format = NULL;
  g_auto (GStrv) hints = NULL;
  g_autofree char *formats =
      g_strjoinv (", ", (char **) seq_model_written_formats ());
  g_autofree char *about_format =
      g_strdup_printf ("%s (default: by OUT's suffix)", formats);
  gboolean force = FALSE;
  const GOptionEntry entries[] = {
    { "format", 'f', 0, G_OPTION_ARG_STRING, &format, about_format, "FORMAT" },
    { "force", 0, 0, G_OPTION_ARG_NONE, &force, "let OUT replace IN", NULL },
    HINTS_OPTION (&hints),
    { NULL },
  };
  g_autoptr (GOptionContext) context = g_option_context_new ("IN OUT");
  g_autoptr (GError) error = NULL;
  g_autoptr (SeqModel) model = NULL;
  g_autoptr (GVariant) given = NULL;

  g_option_context_set_summary (
      context, "Reads a model of any format and writes it in another.");
  g_option_context_add_main_entries (context, entries, NULL);
  hints_describe (context);
  if (!g_option_context_parse (context, &argc, &argv, &error))
    return seqmodel_usage_error ("convert", "%s", error->message);
  if (argc != 3)
    return seqmodel_usage_error ("convert", "expected IN and OUT");
  if (!format)
    format = g_strdup (seq_model_format_by_suffix (argv[2]));
  if (!format)
    return seqmodel_usage_error ("convert",
        "%s has no suffix of a format that can be written; set --format to one "
        "of %s",
        argv[2], formats);
  if (!seq_model_is_written (format))
    return seqmodel_usage_error (
        "convert", "--format is %s; expected one of %s", format, formats);
  if (!force && is_same_file (argv[1], argv[2]))
    return seqmodel_usage_error (
        "convert", "OUT is the same file as IN; expected another, or --force");
  given = hints_parse (hints, &error);
  if (!given)
    return seqmodel_usage_error ("convert", "%s", error->message);
  model = seq_model_load (argv[1], given, &error);
  if (!model || !seq_model_save (model, argv[2], format, &error))
    return seqmodel_refused ("convert", error);
  return SEQMODEL_DONE;
}
