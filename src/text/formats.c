/* formats.c: the table of formats, and what several of them ask.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/text/format.h"

#include <string.h>

/* A format is one file, and one line here. The one that any text could be
 * comes last. */
static const SeqTextFormat *const formats[] = {
  &seq_text_ndjson,
  &seq_text_influx,
  &seq_text_csv,
  NULL,
};

const SeqTextFormat *const *
seq_text_formats (void)
{
  return formats;
}

const SeqTextFormat *
seq_text_format (const char *name)
{
  for (guint i = 0; formats[i]; i++)
    if (g_str_equal (formats[i]->name, name))
      return formats[i];
  return NULL;
}

const char *
seq_text_format_name (const SeqTextFormat *format)
{
  return format->name;
}

const char *
seq_text_format_title (const SeqTextFormat *format)
{
  return format->title;
}

const char *
seq_text_format_media_type (const SeqTextFormat *format)
{
  return format->media_type;
}

const char *
seq_text_format_extensions (const SeqTextFormat *format)
{
  return format->extensions;
}

SeqTextOptionFlags
seq_text_format_options (const SeqTextFormat *format)
{
  return format->options;
}

guint
seq_text_sniff (
    const SeqTextFormat *format, const char *text, gsize size, gboolean whole)
{
  if (size >= 3 && memcmp (text, "\xef\xbb\xbf", 3) == 0) {
    text += 3;
    size -= 3;
  }
  if (!whole) {
    const char *last = memrchr (text, '\n', size);

    size = last ? (gsize) (last + 1 - text) : 0;
  }
  for (gsize i = 0; i < size; i++)
    if ((guint8) text[i] < ' ' && !strchr ("\t\n\r", text[i]))
      return 0;
  return size == 0 || memchr (text, 0, size) ? 0 : format->sniff (text, size);
}

gboolean
seq_text_parse_boolean (const char *text, gsize size, double *value)
{
  *value = size == 4;
  return (size == 4 && g_ascii_strncasecmp (text, "true", 4) == 0)
         || (size == 5 && g_ascii_strncasecmp (text, "false", 5) == 0);
}

gboolean
seq_text_is_time_name (const char *name, gsize size, SeqTimeUnit *unit)
{
  static const char *const names[] = { "time", "timestamp", "@timestamp",
    "_time", "ts", "t", "date", "datetime", "date_time", "date time", "epoch",
    "unix", "unixtime", "unix_time", "utc", "zeit", "zeitstempel", "datum" };
  static const char *const units[] = { "", "s", "ms", "us", "ns" };
  gsize n = size;

  *unit = SEQ_TIME_UNIT_AUTO;
  for (guint i = SEQ_TIME_UNIT_S; i <= SEQ_TIME_UNIT_NS; i++) {
    gsize n_unit = strlen (units[i]);

    if (size > n_unit + 1 && name[size - n_unit - 1] == '_'
        && memcmp (name + size - n_unit, units[i], n_unit) == 0) {
      *unit = i;
      n = size - n_unit - 1;
    }
  }
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    if (strlen (names[i]) == n && g_ascii_strncasecmp (names[i], name, n) == 0)
      return TRUE;
  return FALSE;
}
