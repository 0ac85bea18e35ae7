/* hints.h: hints of src/io/load.h from a command line.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* "residual=1", "nonlinearity=relu", ...; NULL: none. Returns a{sv}, full, or
 * NULL with a G_OPTION_ERROR. */
GVariant *hints_parse (char **texts, GError **error);

G_END_DECLS
