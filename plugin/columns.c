/* columns.c: what the channels of a stream are called: a sticky event.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "plugin/columns.h"

#include <string.h>

#define NAME "seq-columns"

static const char *const types[] = { "float", "integer", "unsigned",
  "boolean" };

/* How a unit may be set off from a name, so that a table can point at it. */
static const char *const unit_opens[] = { " (", " [", "(", "[" };

static void
append_string (GValue *array, const char *string)
{
  GValue value = G_VALUE_INIT;

  g_value_init (&value, G_TYPE_STRING);
  g_value_set_string (&value, string);
  gst_value_array_append_and_take_value (array, &value);
}

static void
append_strings (GValue *array, char **strings)
{
  GValue value = G_VALUE_INIT;

  g_value_init (&value, GST_TYPE_ARRAY);
  for (; strings && *strings; strings++)
    append_string (&value, *strings);
  gst_value_array_append_and_take_value (array, &value);
}

static void
set_csv (GstStructure *s, const SeqTextTable *table)
{
  const char delimiter[] = { table->delimiter, 0 };
  const char decimal[] = { table->decimal, 0 };
  GstStructure *csv = gst_structure_new ("csv", "delimiter", G_TYPE_STRING,
      delimiter, "decimal", G_TYPE_STRING, decimal, "unit-open", G_TYPE_STRING,
      table->unit_open ? table->unit_open : "", "crlf", G_TYPE_BOOLEAN,
      table->crlf, "header", G_TYPE_BOOLEAN, !table->no_header, NULL);

  gst_structure_set (s, "csv", GST_TYPE_STRUCTURE, csv, NULL);
  gst_structure_free (csv);
}

GstEvent *
gst_seq_columns_to_event (const GstSeqColumns *columns)
{
  const SeqTextTable *table = columns->table;
  GValue names = G_VALUE_INIT, units = G_VALUE_INIT, tags = G_VALUE_INIT;
  GValue kinds = G_VALUE_INIT, suffixes = G_VALUE_INIT;
  GstStructure *s = gst_structure_new_empty (NAME);

  g_value_init (&names, GST_TYPE_ARRAY);
  g_value_init (&units, GST_TYPE_ARRAY);
  g_value_init (&tags, GST_TYPE_ARRAY);
  g_value_init (&kinds, GST_TYPE_ARRAY);
  g_value_init (&suffixes, GST_TYPE_ARRAY);
  for (guint i = 0; i < table->columns->len; i++) {
    const SeqTextColumn *column = seq_text_table_column (table, i);

    append_string (&names, column->name);
    append_string (&units, column->unit ? column->unit : "");
    append_strings (&tags, column->tags);
    append_string (&kinds, types[column->type]);
  }
  for (char **suffix = columns->suffixes; *suffix; suffix++)
    append_string (&suffixes, *suffix);
  gst_structure_take_value (s, "names", &names);
  gst_structure_take_value (s, "units", &units);
  gst_structure_take_value (s, "tags", &tags);
  gst_structure_take_value (s, "types", &kinds);
  gst_structure_take_value (s, "suffixes", &suffixes);
  if (table->time_name)
    gst_structure_set (s, "time", G_TYPE_STRING, table->time_name, NULL);
  if (columns->has_base)
    gst_structure_set (s, "time-base", G_TYPE_INT64, columns->base.ns,
        "time-style", G_TYPE_UINT, columns->base.style, NULL);
  set_csv (s, table);
  return gst_event_new_custom (GST_EVENT_CUSTOM_DOWNSTREAM_STICKY, s);
}

gboolean
gst_seq_columns_is_event (GstEvent *event)
{
  return GST_EVENT_TYPE (event) == GST_EVENT_CUSTOM_DOWNSTREAM_STICKY
         && gst_event_has_name (event, NAME);
}

/* An array of n entries (0: of any number) of a type, or NULL. */
static const GValue *
get_array (const GstStructure *s, const char *field, GType type, guint n)
{
  const GValue *array = gst_structure_get_value (s, field);

  if (!array || !GST_VALUE_HOLDS_ARRAY (array)
      || (n > 0 && gst_value_array_get_size (array) != n))
    return NULL;
  for (guint i = 0; i < gst_value_array_get_size (array); i++)
    if (G_VALUE_TYPE (gst_value_array_get_value (array, i)) != type)
      return NULL;
  return array;
}

static const char *
get_string (const GValue *array, guint i)
{
  const char *string =
      array ? g_value_get_string (gst_value_array_get_value (array, i)) : NULL;

  return string ? string : "";
}

/* Key, value, ... of strings, or NULL. */
static char **
get_tags (const GValue *array, guint i)
{
  const GValue *tags = array ? gst_value_array_get_value (array, i) : NULL;
  guint n = tags ? gst_value_array_get_size (tags) : 0;
  char **strings;

  if (n == 0 || n % 2 != 0)
    return NULL;
  for (guint k = 0; k < n; k++)
    if (!G_VALUE_HOLDS_STRING (gst_value_array_get_value (tags, k)))
      return NULL;
  strings = g_new0 (char *, n + 1);
  for (guint k = 0; k < n; k++)
    strings[k] = g_strdup (get_string (tags, k));
  return strings;
}

static SeqTextType
find_type (const char *name)
{
  for (guint i = 0; i < G_N_ELEMENTS (types); i++)
    if (g_str_equal (types[i], name))
      return i;
  return SEQ_TEXT_FLOAT;
}

static void
get_csv (const GstStructure *s, SeqTextTable *table)
{
  const GValue *value = gst_structure_get_value (s, "csv");
  const GstStructure *csv = value && GST_VALUE_HOLDS_STRUCTURE (value)
                                ? gst_value_get_structure (value)
                                : NULL;
  const char *delimiter, *decimal, *open;
  gboolean header = TRUE;

  if (!csv)
    return;
  delimiter = gst_structure_get_string (csv, "delimiter");
  decimal = gst_structure_get_string (csv, "decimal");
  open = gst_structure_get_string (csv, "unit-open");
  table->delimiter = delimiter ? *delimiter : 0;
  table->decimal = decimal ? *decimal : 0;
  for (guint i = 0; i < G_N_ELEMENTS (unit_opens); i++)
    if (g_strcmp0 (open, unit_opens[i]) == 0)
      table->unit_open = unit_opens[i];
  gst_structure_get_boolean (csv, "crlf", &table->crlf);
  gst_structure_get_boolean (csv, "header", &header);
  table->no_header = !header;
}

gboolean
gst_seq_columns_from_event (GstEvent *event, GstSeqColumns *columns)
{
  const GstStructure *s = gst_event_get_structure (event);
  const GValue *names = get_array (s, "names", G_TYPE_STRING, 0);
  const GValue *suffixes = get_array (s, "suffixes", G_TYPE_STRING, 0);
  guint n = names ? gst_value_array_get_size (names) : 0;
  guint n_groups = suffixes ? gst_value_array_get_size (suffixes) : 0;
  const GValue *units = get_array (s, "units", G_TYPE_STRING, n);
  const GValue *kinds = get_array (s, "types", G_TYPE_STRING, n);
  const GValue *tags = get_array (s, "tags", GST_TYPE_ARRAY, n);

  *columns = (GstSeqColumns){ 0 };
  if (n == 0 || n > SEQ_TEXT_MAX_COLUMNS || n_groups == 0)
    return FALSE;
  columns->table = seq_text_table_new ();
  columns->table->time_name = g_strdup (gst_structure_get_string (s, "time"));
  get_csv (s, columns->table);
  for (guint i = 0; i < n; i++) {
    const char *unit = get_string (units, i);
    g_auto (GStrv) strings = get_tags (tags, i);

    seq_text_table_add (columns->table, get_string (names, i),
        *unit ? unit : NULL, (const char *const *) strings,
        find_type (get_string (kinds, i)));
  }
  columns->suffixes = g_new0 (char *, n_groups + 1);
  for (guint i = 0; i < n_groups; i++)
    columns->suffixes[i] = g_strdup (get_string (suffixes, i));
  columns->has_base =
      gst_structure_get_int64 (s, "time-base", &columns->base.ns)
      && gst_structure_get_uint (s, "time-style", &columns->base.style)
      && seq_time_is_style (columns->base.style);
  return TRUE;
}

void
gst_seq_columns_clear (GstSeqColumns *columns)
{
  g_clear_pointer (&columns->table, seq_text_table_unref);
  g_clear_pointer (&columns->suffixes, g_strfreev);
  columns->has_base = FALSE;
}

void
gst_seq_columns_set_table (GstSeqColumns *columns, const SeqTextTable *table)
{
  g_clear_pointer (&columns->table, seq_text_table_unref);
  columns->table = seq_text_table_ref ((SeqTextTable *) table);
  g_strfreev (columns->suffixes);
  columns->suffixes = g_new0 (char *, 2);
  columns->suffixes[0] = g_strdup ("");
}

GstEvent *
gst_seq_columns_add_groups (GstEvent *event, const char *const *groups)
{
  const GValue *before =
      get_array (gst_event_get_structure (event), "suffixes", G_TYPE_STRING, 0);
  GstEvent *copy = gst_event_copy (event);
  GValue after = G_VALUE_INIT;

  if (!before)
    return copy;
  g_value_init (&after, GST_TYPE_ARRAY);
  for (; *groups; groups++)
    for (guint i = 0; i < gst_value_array_get_size (before); i++) {
      g_autofree char *suffix = seq_text_suffix (*groups);
      g_autofree char *both =
          g_strconcat (get_string (before, i), suffix, NULL);

      append_string (&after, both);
    }
  gst_structure_take_value (
      gst_event_writable_structure (copy), "suffixes", &after);
  return copy;
}

void
gst_seq_columns_add_time (
    GstBuffer *buffer, SeqTime time, guint32 *style, GstCaps **caps)
{
  if (time.style == 0 || time.ns < 0)
    return;
  if (!*caps || *style != time.style) {
    gst_clear_caps (caps);
    *caps = gst_caps_new_simple (
        "timestamp/x-unix", "style", G_TYPE_UINT, time.style, NULL);
    *style = time.style;
  }
  gst_buffer_add_reference_timestamp_meta (
      buffer, *caps, (GstClockTime) time.ns, GST_CLOCK_TIME_NONE);
}

gboolean
gst_seq_columns_get_time (GstBuffer *buffer, SeqTime *time)
{
  static GstStaticCaps unix_caps = GST_STATIC_CAPS ("timestamp/x-unix");
  g_autoptr (GstCaps) caps = gst_static_caps_get (&unix_caps);
  GstReferenceTimestampMeta *meta =
      gst_buffer_get_reference_timestamp_meta (buffer, caps);
  guint style;

  if (!meta || meta->timestamp > G_MAXINT64)
    return FALSE;
  *time = seq_time_from_ns ((gint64) meta->timestamp);
  if (gst_structure_get_uint (
          gst_caps_get_structure (meta->reference, 0), "style", &style)
      && style && seq_time_is_style (style))
    time->style = style;
  return TRUE;
}
