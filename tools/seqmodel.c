/* seqmodel.c: the command for people: one subcommand, one file.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "tools/seqmodel.h"

#include <gst/gst.h>
#include <locale.h>
#include <stdio.h>

static const struct {
  const char *name, *what;
  int (*main) (int argc, char **argv);
} commands[] = {
  { "info", "what is in a model file", seqmodel_info },
  { "convert", "a model file into another format", seqmodel_convert },
  { "run", "a recording through a model", seqmodel_run },
  { "bench", "what a model costs on this machine", seqmodel_bench },
  { "train", "recordings to a model", seqmodel_train },
};

int
seqmodel_usage_error (const char *command, const char *format, ...)
{
  g_autofree char *text = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  g_printerr ("seqmodel %s: %s (seqmodel %s --help tells more)\n", command,
      text, command);
  return SEQMODEL_USAGE;
}

int
seqmodel_refused (const char *command, const GError *error)
{
  g_printerr ("seqmodel %s: %s\n", command, error->message);
  return SEQMODEL_REFUSED;
}

static void
print_usage (FILE *to)
{
  fprintf (to, "Usage: seqmodel COMMAND ...\n\n");
  for (guint i = 0; i < G_N_ELEMENTS (commands); i++)
    fprintf (to, "  %-8s %s\n", commands[i].name, commands[i].what);
  fprintf (to, "\nseqmodel COMMAND --help tells more.\n");
}

int
main (int argc, char **argv)
{
  setlocale (LC_ALL, "");
  gst_init (NULL, NULL);
  for (guint i = 0; argc > 1 && i < G_N_ELEMENTS (commands); i++)
    if (g_str_equal (argv[1], commands[i].name)) {
      g_autofree char *name = g_strconcat ("seqmodel ", argv[1], NULL);

      g_set_prgname (name); /* what --help calls it */
      return commands[i].main (argc - 1, argv + 1);
    }

  if (argc > 1 && g_str_equal (argv[1], "--help")) {
    print_usage (stdout);
    return SEQMODEL_DONE;
  }
  if (argc > 1 && g_str_equal (argv[1], "--version")) {
    printf ("seqmodel %s\n", PACKAGE_VERSION);
    return SEQMODEL_DONE;
  }
  if (argc > 1)
    g_printerr ("seqmodel: there is no command '%s'\n", argv[1]);
  print_usage (stderr);
  return SEQMODEL_USAGE;
}
