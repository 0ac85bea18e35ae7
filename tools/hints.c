/* hints.c: hints of src/io/load.h from a command line.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "tools/hints.h"

#include <string.h>

GVariant *
hints_parse (char **texts, GError **error)
{
  GVariantDict dict;

  g_variant_dict_init (&dict, NULL);
  for (guint i = 0; texts && texts[i]; i++) {
    g_auto (GStrv) parts = g_strsplit (texts[i], "=", 2);
    guint64 number;

    if (!parts[0] || !parts[1]) {
      g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
          "'%s' where KEY=VALUE is needed", texts[i]);
      g_variant_dict_clear (&dict);
      return NULL;
    }
    if (g_str_equal (parts[0], "residual")) {
      if (!g_ascii_string_to_unsigned (
              parts[1], 10, 0, 65536, &number, error)) {
        g_variant_dict_clear (&dict);
        return NULL;
      }
      g_variant_dict_insert (&dict, parts[0], "u", (guint) number);
    } else if (g_str_equal (parts[0], "rate")) {
      g_variant_dict_insert (
          &dict, parts[0], "d", g_ascii_strtod (parts[1], NULL));
    } else {
      g_variant_dict_insert (&dict, parts[0], "s", parts[1]);
    }
  }
  return g_variant_ref_sink (g_variant_dict_end (&dict));
}
