/* hints.h: hints of src/io/hints.h from a command line.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* The option of a command that loads a model: texts is a char **. */
#define HINTS_OPTION(texts)                                                    \
  {                                                                            \
    "option", 'o', 0, G_OPTION_ARG_STRING_ARRAY, texts,                        \
        "what the file cannot say, see below", "KEY=VALUE"                     \
  }

/* Adds the list of hints to the end of --help. */
void hints_describe (GOptionContext *context);

/* "residual=1", "nonlinearity=relu", ...; NULL: none. Returns a{sv}, full, or
 * NULL with a G_OPTION_ERROR. */
GVariant *hints_parse (char **texts, GError **error);

G_END_DECLS
