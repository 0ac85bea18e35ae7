/* hints.c: hints of src/io/hints.h from a command line.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "tools/hints.h"
#include "src/io/hints.h"

void
hints_describe (GOptionContext *context)
{
  g_autoptr (GString) text = g_string_new ("Options of model files:");

  for (const SeqHint *h = seq_hints; h->name; h++)
    g_string_append_printf (text, "\n  %-19s%s", h->name, h->sentence);
  g_option_context_set_description (context, text->str);
}

GVariant *
hints_parse (char **texts, GError **error)
{
  GVariantDict dict;

  g_variant_dict_init (&dict, NULL);
  for (guint i = 0; texts && texts[i]; i++) {
    g_auto (GStrv) parts = g_strsplit (texts[i], "=", 2);
    g_autoptr (GError) why = NULL;
    const SeqHint *hint = parts[0] ? seq_hint_find (parts[0], &why) : NULL;
    GVariant *value =
        hint && parts[1] ? seq_hint_parse (hint, parts[1], &why) : NULL;

    if (!value) {
      g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
          "--option '%s': %s", texts[i],
          why ? why->message : "expected KEY=VALUE");
      g_variant_dict_clear (&dict);
      return NULL;
    }
    g_variant_dict_insert_value (&dict, parts[0], value);
  }
  return g_variant_ref_sink (g_variant_dict_end (&dict));
}
