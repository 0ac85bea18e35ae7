/* influx.c: InfluxDB line protocol, which Telegraf speaks.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 *   measurement[,tag=value]... field=value[,field=value]... [timestamp]
 *
 * A line is one moment of one series, which its measurement and tags name.
 * Backslashes escape commas, equals signs and spaces in names. Values are
 * floats, integers (1i), unsigned (1u), booleans (t, true, F, ...) or quoted
 * strings, which are no values here. Timestamps are whole numbers, mostly ns.
 */
#include "src/text/format.h"
#include "src/text/number.h"

#include <math.h>
#include <string.h>

typedef struct {
  GString *name; /* without escapes */
  SeqTextType type;
  double value;
} Field;

typedef struct {
  GArray *fields; /* Field: of one line; those past n_fields are spare */
  guint n_fields;
} Influx;

/* --- reading -------------------------------------------------------------- */

/* The first of `ends` from p on that no backslash escapes; or end. */
static const char *
find_end (const char *p, const char *end, const char *ends)
{
  for (; p < end; p++)
    if (*p == '\\' && p + 1 < end)
      p++;
    else if (strchr (ends, *p))
      break;
  return p;
}

/* Backslashes before one of `escaped` go. */
static void
unescape (GString *name, const char *p, const char *end)
{
  g_string_truncate (name, 0);
  for (; p < end; p++) {
    if (*p == '\\' && p + 1 < end && strchr (", =", p[1]))
      p++;
    g_string_append_c (name, *p);
  }
}

/* A quoted string at p; returns what follows it, or NULL. */
static const char *
skip_string (const char *p, const char *end)
{
  for (p++; p < end; p++)
    if (*p == '\\')
      p++;
    else if (*p == '"')
      return p + 1;
  return NULL;
}

static gboolean
read_boolean (const char *p, gsize size, double *value)
{
  if (size == 1 && strchr ("tTfF", *p)) {
    *value = *p == 't' || *p == 'T';
    return TRUE;
  }
  return seq_text_parse_boolean (p, size, value);
}

/* The value from p to stop. */
static gboolean
read_value (const char *p, const char *stop, Field *field)
{
  gsize size = (gsize) (stop - p);
  gsize n = seq_number_parse (p, size, SEQ_MARK_POINT, &field->value);

  field->type = SEQ_TEXT_FLOAT;
  if (n > 0 && n == size)
    return isfinite (field->value);
  if (n > 0 && n + 1 == size && (p[n] == 'i' || p[n] == 'u')) {
    field->type = p[n] == 'i' ? SEQ_TEXT_INTEGER : SEQ_TEXT_UNSIGNED;
    return strspn (p + (*p == '-'), "0123456789") + (*p == '-') == n;
  }
  field->type = SEQ_TEXT_BOOLEAN;
  return size > 0 && read_boolean (p, size, &field->value);
}

static Field *
add_field (Influx *influx)
{
  if (influx->n_fields == influx->fields->len) {
    Field field = { .name = g_string_new (NULL) };

    g_array_append_val (influx->fields, field);
  }
  return &g_array_index (influx->fields, Field, influx->n_fields++);
}

/* The fields from p on; returns what follows them, or NULL. */
static const char *
read_fields (SeqTextReader *reader, const char *p, const char *end)
{
  Influx *influx = seq_text_reader_state (reader);

  influx->n_fields = 0;
  for (;; p++) {
    const char *equals = find_end (p, end, "= "), *stop;
    Field *field;

    if (equals == end || *equals != '=' || equals == p) {
      seq_text_reader_fault (reader, p, "\"%.*s\" is not field=value",
          (gint) MIN (equals - p, 40), p);
      return NULL;
    }
    if (equals + 1 < end && equals[1] == '"') {
      stop = skip_string (equals + 1, end);
      if (!stop || (stop < end && *stop != ',' && *stop != ' ')) {
        seq_text_reader_fault (reader, equals + 1,
            stop ? "text follows a string" : "a quote is not closed");
        return NULL;
      }
    } else {
      stop = find_end (equals, end, ", ");
      field = add_field (influx);
      unescape (field->name, p, equals);
      if (!read_value (equals + 1, stop, field)) {
        seq_text_reader_fault (reader, equals + 1,
            "%s is %.*s; expected a number, true, false or a string",
            field->name->str, (gint) MIN (stop - equals - 1, 40), equals + 1);
        return NULL;
      }
    }
    p = stop;
    if (p == end || *p == ' ')
      return p;
  }
}

typedef struct {
  char *key, *value;
} Tag;

static gint
compare_tags (gconstpointer a, gconstpointer b)
{
  return strcmp (((const Tag *) a)->key, ((const Tag *) b)->key);
}

static char *
unescaped (const char *p, const char *end)
{
  g_autoptr (GString) text = g_string_new (NULL);

  unescape (text, p, end);
  return seq_text_utf8 (text->str, text->len);
}

/* The tags of a series from its text; they come sorted but for the
 * measurement. Returns NULL after a fault. */
static char **
read_tags (SeqTextReader *reader, const char *p, const char *end)
{
  g_autoptr (GArray) tags = g_array_new (FALSE, FALSE, sizeof (Tag));
  const char *stop = find_end (p, end, ",");
  Tag tag = { g_strdup ("measurement"), unescaped (p, stop) };
  GStrvBuilder *builder;
  char **strings;
  gboolean good = TRUE;

  g_array_append_val (tags, tag);
  for (p = stop; p < end && good; p = stop) {
    const char *equals = find_end (++p, end, "=,");

    stop = find_end (equals, end, ",");
    good = equals < end && *equals == '=' && equals > p && stop > equals + 1;
    if (!good)
      seq_text_reader_fault (
          reader, p, "\"%.*s\" is not tag=value", (gint) MIN (stop - p, 40), p);
    tag = (Tag){ unescaped (p, equals),
      unescaped (MIN (equals + 1, stop), stop) };
    g_array_append_val (tags, tag);
  }
  qsort (
      &g_array_index (tags, Tag, 1), tags->len - 1, sizeof (Tag), compare_tags);
  builder = g_strv_builder_new ();
  for (guint i = 0; i < tags->len; i++) {
    Tag *t = &g_array_index (tags, Tag, i);

    g_strv_builder_add_many (builder, t->key, t->value, NULL);
    g_free (t->key);
    g_free (t->value);
  }
  strings = g_strv_builder_end (builder);
  g_strv_builder_unref (builder);
  if (!good)
    g_clear_pointer (&strings, g_strfreev);
  return strings;
}

/* The series that the text from p to end names: as it stands there, or with
 * its tags in another order. Returns -1 after a fault. */
static gint
find_series (SeqTextReader *reader, const char *p, const char *end)
{
  gint series = seq_text_reader_find_series (reader, p, (gsize) (end - p));
  char **tags;
  g_autofree char *sorted = NULL;

  if (series >= 0)
    return series;
  tags = read_tags (reader, p, end);
  if (!tags)
    return -1;
  sorted = g_strjoinv ("\x1f", tags); /* in no series as it stands */
  series = seq_text_reader_find_series (reader, sorted, strlen (sorted));
  if (series >= 0) {
    g_strfreev (tags);
    return series;
  }
  series = seq_text_reader_add_series (reader, sorted, strlen (sorted), tags);
  if (series < 0)
    seq_text_reader_fault_too_many (reader);
  else
    seq_text_reader_alias_series (reader, p, (gsize) (end - p), series);
  return series;
}

static gboolean
is_whole (const char *p, const char *end)
{
  for (p += *p == '-'; p < end; p++)
    if (!g_ascii_isdigit (*p))
      return FALSE;
  return TRUE;
}

static gboolean
read_record (SeqTextReader *reader, const char *text, gsize size)
{
  Influx *influx = seq_text_reader_state (reader);
  const char *p = text, *end = text + size, *key_end;
  SeqTime time = { 0 };
  gint series;

  while (end > p && end[-1] == ' ')
    end--;
  while (*p == ' ')
    p++;
  text = p;
  key_end = find_end (p, end, " ");
  if (key_end == end || key_end == p || *p == ',')
    return seq_text_reader_fault (reader, p,
        "no field=value; expected measurement[,tag=value] field=value [time]");
  for (p = key_end; *p == ' '; p++)
    ;
  p = read_fields (reader, p, end);
  if (!p)
    return FALSE;
  while (p < end && *p == ' ')
    p++;
  if (p < end
      && (!is_whole (p, end)
          || !seq_text_reader_parse_time (reader, p, (gsize) (end - p), &time)))
    return seq_text_reader_fault (reader, p,
        "the timestamp is %.*s; expected a whole number",
        (gint) MIN (end - p, 40), p);
  if (time.style)
    time = seq_time_from_protocol (time);
  series = find_series (reader, text, key_end);
  if (series < 0)
    return FALSE;
  for (guint i = 0; i < influx->n_fields; i++) {
    const Field *field = &g_array_index (influx->fields, Field, i);

    if (seq_text_reader_wants (reader, field->name->str, field->name->len)
        && !seq_text_reader_set (reader, (guint) series, field->name->str,
            field->name->len, NULL, field->type, field->value))
      return seq_text_reader_fault_too_many (reader);
  }
  seq_text_reader_merge (reader, time, FALSE);
  return TRUE;
}

static void
clear_field (gpointer data)
{
  g_string_free (((Field *) data)->name, TRUE);
}

static gboolean
start (SeqTextReader *reader)
{
  Influx *influx = seq_text_reader_state (reader);

  influx->fields = g_array_new (FALSE, FALSE, sizeof (Field));
  g_array_set_clear_func (influx->fields, clear_field);
  seq_text_reader_change_table (reader)->time_name = g_strdup ("time");
  return TRUE;
}

static void
finish (SeqTextReader *reader)
{
  g_array_unref (((Influx *) seq_text_reader_state (reader))->fields);
}

/* The first line: names, then something that equals something. */
static guint
sniff (const char *text, gsize size)
{
  const char *end = text + size, *p, *equals, *stop;
  Field field = { 0 };

  while (text < end && *text == '#') {
    text = memchr (text, '\n', (gsize) (end - text));
    text = text ? text + 1 : end;
  }
  stop = memchr (text, '\n', (gsize) (end - text));
  end = stop ? stop : end;
  while (end > text && strchr ("\r ", end[-1]))
    end--;
  p = find_end (text, end, " ");
  if (p == text || p == end || memchr (text, '{', (gsize) (p - text)))
    return 0;
  equals = find_end (++p, end, "= ");
  if (equals == p || equals == end || *equals != '=')
    return 0;
  if (equals + 1 < end && equals[1] == '"') {
    stop = skip_string (equals + 1, end);
    return stop && (stop == end || *stop == ',' || *stop == ' ') ? 90 : 0;
  }
  return read_value (equals + 1, find_end (equals, end, ", "), &field) ? 90 : 0;
}

/* --- writing -------------------------------------------------------------- */

/* A name; what line protocol has no way to say becomes _: an empty one, line
 * ends, and a backslash before what is escaped or at the end. */
static void
append_escaped (const char *name, const char *escaped, GString *text)
{
  if (!*name)
    g_string_append_c (text, '_');
  for (const char *p = name; *p; p++)
    if (strchr ("\n\r", *p) || (*p == '\\' && strchr (", =", p[1])))
      g_string_append_c (text, '_');
    else {
      if (strchr (escaped, *p))
        g_string_append_c (text, '\\');
      g_string_append_c (text, *p);
    }
}

static void
write_key (const SeqTextWriter *writer, const SeqTextColumn *column,
    const char *suffix, GString *text)
{
  g_autofree char *name = g_strconcat (column->name, suffix, NULL);

  append_escaped (name, ",= ", text);
  g_string_append_c (text, '=');
}

static void
write_value (const SeqTextWriter *writer, guint group, guint column,
    double value, GString *text)
{
  SeqTextType type = seq_text_table_column (writer->table, column)->type;
  gboolean whole = value == rint (value) && fabs (value) < 0x1p63;

  if (group == 0 && whole
      && (type == SEQ_TEXT_INTEGER
          || (type == SEQ_TEXT_UNSIGNED && value >= 0))) {
    g_string_append_printf (text, "%" G_GINT64_FORMAT "%c", (gint64) value,
        type == SEQ_TEXT_INTEGER ? 'i' : 'u');
    return;
  }
  seq_text_writer_append_value (writer, group, column, value, text);
}

static void
write_tags (const SeqTextWriter *writer, char **tags, GString *text)
{
  const char *measurement = writer->measurement;

  if (tags && tags[0] && g_str_equal (tags[0], "measurement")) {
    measurement = tags[1];
    tags += 2;
  }
  if (measurement[0] == '#') {
    g_string_append_c (text, '_');
    measurement++;
  }
  append_escaped (measurement, ", ", text);
  for (; tags && tags[0]; tags += 2) {
    g_string_append_c (text, ',');
    append_escaped (tags[0], ",= ", text);
    g_string_append_c (text, '=');
    append_escaped (tags[1], ",= ", text);
  }
}

static void
write_row (const SeqTextWriter *writer, SeqTime time, const double *values,
    GString *text)
{
  for (guint i = 0; i < writer->n_series; i++) {
    const SeqTextSeries *series = &writer->series[i];
    gsize start = text->len;
    guint n = 0;

    if (!seq_text_writer_has_series (writer, series, values))
      continue;
    write_tags (writer, series->tags, text);
    for (guint k = 0; k < series->n_columns; k++)
      for (guint g = 0; g < writer->n_groups; g++) {
        guint column = series->columns[k], at = g * writer->n_columns + column;

        if (!isfinite (values[at])) /* cannot be written */
          continue;
        g_string_append_c (text, n++ ? ',' : ' ');
        g_string_append (text, writer->keys[at]);
        write_value (writer, g, column, values[at], text);
      }
    if (n == 0) {
      g_string_truncate (text, start);
      continue;
    }
    if (time.style) {
      g_string_append_c (text, ' ');
      seq_text_writer_append_time (seq_time_to_protocol (time), text);
    }
    g_string_append_c (text, '\n');
  }
}

const SeqTextFormat seq_text_influx = {
  .name = "influx",
  .title = "InfluxDB line protocol",
  .media_type = "text/x-influx-line-protocol",
  .extensions = "influx,lp",
  .options = SEQ_TEXT_HAS_MEASUREMENT,
  .sniff = sniff,
  .state_size = sizeof (Influx),
  .start = start,
  .finish = finish,
  .read = read_record,
  .write_key = write_key,
  .write_row = write_row,
};
