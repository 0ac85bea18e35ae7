/* hints.c: hints of src/io/load.h from a command line.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "tools/hints.h"

#include <math.h>
#include <string.h>

static const struct {
  const char *key;
  char type; /* as GVariant has it */
} known[] = {
  { "nonlinearity", 's' },
  { "residual", 'u' },
  { "output_activation", 's' },
  { "head_activation", 's' },
  { "head", 's' },
  { "rate", 'd' },
};

/* The value of a hint; NULL if it can't be one. */
static GVariant *
value_of (const char *key, const char *text)
{
  guint64 number;
  double rate;
  char *end;

  for (guint i = 0; i < G_N_ELEMENTS (known); i++) {
    if (strcmp (key, known[i].key) != 0)
      continue;
    switch (known[i].type) {
      case 'u':
        return g_ascii_string_to_unsigned (text, 10, 0, 65536, &number, NULL)
                   ? g_variant_new_uint32 ((guint32) number)
                   : NULL;
      case 'd':
        rate = g_ascii_strtod (text, &end);
        return end != text && !*end && isfinite (rate) && rate > 0
                   ? g_variant_new_double (rate)
                   : NULL;
      default:
        return g_variant_new_string (text);
    }
  }
  return NULL;
}

GVariant *
hints_parse (char **texts, GError **error)
{
  GVariantDict dict;

  g_variant_dict_init (&dict, NULL);
  for (guint i = 0; texts && texts[i]; i++) {
    g_auto (GStrv) parts = g_strsplit (texts[i], "=", 2);
    GVariant *value =
        parts[0] && parts[1] ? value_of (parts[0], parts[1]) : NULL;

    if (!value) {
      g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
          "--option '%s' where nonlinearity=, output_activation=, "
          "head_activation=, head= (a word), residual= (features) or rate= "
          "(Hz) is needed",
          texts[i]);
      g_variant_dict_clear (&dict);
      return NULL;
    }
    g_variant_dict_insert_value (&dict, parts[0], value);
  }
  return g_variant_ref_sink (g_variant_dict_end (&dict));
}
