/* seqmodel.h: what the subcommands of seqmodel share.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A subcommand is tools/seqmodel-<name>.c, which defines
 * int seqmodel_<name> (int argc, char **argv), argv[0] being its name, and a
 * line in the table of seqmodel.c.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* exit codes */
enum {
  SEQMODEL_DONE,
  SEQMODEL_REFUSED, /* the model or the data; one line says why */
  SEQMODEL_USAGE,
};

/* One line on standard error; returns the exit code. */
int seqmodel_usage_error (const char *command, const char *format, ...)
    G_GNUC_PRINTF (2, 3);
int seqmodel_refused (const char *command, const GError *error);

int seqmodel_info (int argc, char **argv);
int seqmodel_convert (int argc, char **argv);
int seqmodel_run (int argc, char **argv);
int seqmodel_bench (int argc, char **argv);
int seqmodel_train (int argc, char **argv);

G_END_DECLS
