/* text.c: what decoders and encoders of text share.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "plugin/text.h"

#include <string.h>

char *
gst_seq_text_type_name (const SeqTextFormat *format, const char *end)
{
  const char *name = seq_text_format_name (format);

  return g_strdup_printf (
      "GstSeq%c%s%s", g_ascii_toupper (name[0]), name + 1, end);
}

GType
gst_seq_text_header_get_type (void)
{
  static const GEnumValue values[] = {
    { SEQ_TEXT_HEADER_AUTO, "As the text has it", "auto" },
    { SEQ_TEXT_HEADER_NO, "There is none", "no" },
    { SEQ_TEXT_HEADER_YES, "The first line has names", "yes" },
    { 0, NULL, NULL },
  };
  static gsize type = 0;

  if (g_once_init_enter (&type))
    g_once_init_leave (
        &type, g_enum_register_static ("GstSeqTextHeader", values));
  return type;
}

char
gst_seq_text_sign (const char *text)
{
  if (!text)
    return 0;
  if (g_str_equal (text, "tab"))
    return '\t';
  return strlen (text) == 1 ? text[0] : '"';
}

void
gst_seq_text_set_string (char **string, const GValue *value)
{
  const char *text = g_value_get_string (value);

  g_free (*string);
  *string = text && *text ? g_strdup (text) : NULL;
}
