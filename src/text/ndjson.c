/* ndjson.c: rows as JSON objects, one a line.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 *   {"time": "2015-02-26T21:42:53Z", "sensor": "kitchen", "temperature": 21.5}
 *
 * Numbers and booleans are values, null is a missing one. Strings, arrays and
 * objects inside are none, unless a string is the timestamp or a tag.
 */
#include "src/text/format.h"
#include "src/text/number.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

typedef struct {
  char *time; /* the timestamp's key, or NULL */
  gboolean has_keys;
  GString *series; /* tags of one record */
} Ndjson;

/* --- reading -------------------------------------------------------------- */

/* The text of a timestamp: a string, or a number as it was written. */
static gsize
time_text (json_t *value, char number[SEQ_NUMBER_SIZE], const char **text)
{
  gint64 whole = json_integer_value (value);
  gsize sign = whole < 0;

  *text = number;
  if (json_is_string (value)) {
    *text = json_string_value (value);
    return json_string_length (value);
  }
  if (json_is_integer (value)) {
    number[0] = '-';
    return sign
           + seq_number_print_whole (
               sign ? -(guint64) whole : (guint64) whole, number + sign);
  }
  return json_is_real (value)
             ? seq_number_print (json_real_value (value), '.', number)
             : 0;
}

static gboolean
read_time (SeqTextReader *reader, json_t *value, SeqTime *time)
{
  char number[SEQ_NUMBER_SIZE];
  const char *text;
  gsize n = time_text (value, number, &text);

  return seq_text_reader_parse_time (reader, text, n, time);
}

/* The key of the timestamp in the first object: one that is called so, or else
 * the first text that is one. */
static const char *
find_time (SeqTextReader *reader, json_t *object)
{
  const char *key;
  json_t *value;

  json_object_foreach (object, key, value)
  {
    char number[SEQ_NUMBER_SIZE];
    const char *text;
    gsize n = time_text (value, number, &text);
    SeqTimeUnit unit;
    SeqTime time;

    if (seq_text_is_time_name (key, strlen (key), &unit)
        && seq_time_parse (text, n, &unit, &time)) {
      seq_text_reader_set_time_unit (reader, unit);
      return key;
    }
  }
  json_object_foreach (object, key, value)
  {
    SeqTime time;

    if (json_is_string (value)
        && seq_time_parse (
            json_string_value (value), json_string_length (value), NULL, &time))
      return key;
  }
  return NULL;
}

static void
find_keys (SeqTextReader *reader, json_t *object)
{
  Ndjson *ndjson = seq_text_reader_state (reader);
  const char *time = seq_text_reader_options (reader)->time;

  if (!time)
    time = find_time (reader, object);
  else if (g_str_equal (time, "none"))
    time = NULL;
  ndjson->time = g_strdup (time);
  seq_text_reader_change_table (reader)->time_name = g_strdup (time);
  ndjson->has_keys = TRUE;
}

static gboolean
is_tag (SeqTextReader *reader, const char *key)
{
  const char *const *tags = seq_text_reader_options (reader)->tags;

  return tags && g_strv_contains (tags, key);
}

/* The series that an object's tags name, or -1. */
static gint
find_series (SeqTextReader *reader, json_t *object)
{
  Ndjson *ndjson = seq_text_reader_state (reader);
  const char *const *tags = seq_text_reader_options (reader)->tags;
  GStrvBuilder *builder = g_strv_builder_new ();
  char **strings;
  gint series;

  g_string_truncate (ndjson->series, 0);
  for (guint i = 0; tags && tags[i]; i++) {
    json_t *value = json_object_get (object, tags[i]);
    char number[SEQ_NUMBER_SIZE + 1];
    const char *text;
    gsize n = time_text (value, number, &text);

    if (n > 0) {
      number[MIN (n, SEQ_NUMBER_SIZE)] = 0;
      g_strv_builder_add_many (builder, tags[i], text, NULL);
    }
    g_string_append_len (ndjson->series, text, (gssize) n);
    g_string_append_c (ndjson->series, '\x1f');
  }
  strings = g_strv_builder_end (builder);
  g_strv_builder_unref (builder);
  series = seq_text_reader_find_series (
      reader, ndjson->series->str, ndjson->series->len);
  if (series < 0)
    return seq_text_reader_add_series (reader, ndjson->series->str,
        ndjson->series->len, tags ? strings : (g_strfreev (strings), NULL));
  g_strfreev (strings);
  return series;
}

static gboolean
read_object (SeqTextReader *reader, json_t *object, const char *record)
{
  Ndjson *ndjson = seq_text_reader_state (reader);
  SeqTime time = { 0 };
  json_t *value;
  const char *key;
  gint series;

  if (!ndjson->has_keys)
    find_keys (reader, object);
  if (ndjson->time
      && !read_time (reader, json_object_get (object, ndjson->time), &time))
    return seq_text_reader_fault (reader, record,
        json_object_get (object, ndjson->time) ? "%s is not a time"
                                               : "%s is missing",
        ndjson->time);
  series = find_series (reader, object);
  if (series < 0)
    return seq_text_reader_fault_too_many (reader);
  json_object_foreach (object, key, value)
  {
    gboolean boolean = json_is_boolean (value);

    if (!(json_is_number (value) || boolean || json_is_null (value))
        || (ndjson->time && g_str_equal (key, ndjson->time))
        || is_tag (reader, key)
        || !seq_text_reader_wants (reader, key, strlen (key)))
      continue;
    if (!seq_text_reader_set (reader, (guint) series, key, strlen (key), NULL,
            boolean ? SEQ_TEXT_BOOLEAN : SEQ_TEXT_FLOAT,
            boolean                ? json_is_true (value)
            : json_is_null (value) ? NAN
                                   : json_number_value (value)))
      return seq_text_reader_fault_too_many (reader);
  }
  seq_text_reader_merge (
      reader, time, seq_text_reader_options (reader)->tags == NULL);
  return TRUE;
}

static gboolean
read_record (SeqTextReader *reader, const char *text, gsize size)
{
  json_error_t error;
  json_t *root = json_loadb (text, size, JSON_REJECT_DUPLICATES, &error);
  gboolean good;

  if (!root)
    return seq_text_reader_fault (reader,
        text + CLAMP (error.position - 1, 0, (gint) size - 1), "%s",
        error.text);
  if (json_is_object (root))
    good = read_object (reader, root, text);
  else
    good = seq_text_reader_fault (reader, text, "expected an object");
  json_decref (root);
  return good;
}

static gboolean
start (SeqTextReader *reader)
{
  ((Ndjson *) seq_text_reader_state (reader))->series = g_string_new (NULL);
  return TRUE;
}

static void
finish (SeqTextReader *reader)
{
  Ndjson *ndjson = seq_text_reader_state (reader);

  g_free (ndjson->time);
  g_string_free (ndjson->series, TRUE);
}

/* The first line is an object. */
static guint
sniff (const char *text, gsize size)
{
  const char *end = memchr (text, '\n', size);
  json_t *root = NULL;
  guint sure;

  if (*text == '{')
    root = json_loadb (text, end ? (gsize) (end - text) : size, 0, NULL);
  sure = json_is_object (root) ? 95 : 0;
  json_decref (root);
  return sure;
}

/* --- writing -------------------------------------------------------------- */

static void
append_string (const char *string, GString *text)
{
  g_string_append_c (text, '"');
  for (; *string; string++)
    if (*string == '"' || *string == '\\')
      g_string_append_printf (text, "\\%c", *string);
    else if ((guint8) *string < ' ')
      g_string_append_printf (text, "\\u%04x", *string);
    else
      g_string_append_c (text, *string);
  g_string_append_c (text, '"');
}

static void
write_key (const SeqTextWriter *writer, const SeqTextColumn *column,
    const char *suffix, GString *text)
{
  g_autofree char *key = g_strconcat (column->name, suffix, NULL);

  append_string (key, text);
  g_string_append_c (text, ':');
}

/* "key":, after a comma unless it is the first. */
static void
append_key (const char *key, GString *text)
{
  if (text->str[text->len - 1] != '{')
    g_string_append_c (text, ',');
  append_string (key, text);
  g_string_append_c (text, ':');
}

static void
append_time (const SeqTextWriter *writer, SeqTime time, GString *text)
{
  gboolean bare = seq_time_is_number (time);

  append_key (
      writer->table->time_name ? writer->table->time_name : "time", text);
  if (!bare)
    g_string_append_c (text, '"');
  seq_text_writer_append_time (time, text);
  if (!bare)
    g_string_append_c (text, '"');
}

static void
write_row (const SeqTextWriter *writer, SeqTime time, const double *values,
    GString *text)
{
  for (guint i = 0; i < writer->n_series; i++) {
    const SeqTextSeries *series = &writer->series[i];

    if (!seq_text_writer_has_series (writer, series, values))
      continue;
    g_string_append_c (text, '{');
    if (time.style)
      append_time (writer, time, text);
    for (char **tag = series->tags; tag && *tag; tag += 2) {
      append_key (tag[0], text);
      append_string (tag[1], text);
    }
    for (guint k = 0; k < series->n_columns; k++)
      for (guint g = 0; g < writer->n_groups; g++) {
        guint column = series->columns[k], at = g * writer->n_columns + column;

        if (!isfinite (values[at])) /* cannot be written */
          continue;
        if (text->str[text->len - 1] != '{')
          g_string_append_c (text, ',');
        g_string_append (text, writer->keys[at]);
        seq_text_writer_append_value (writer, g, column, values[at], text);
      }
    g_string_append (text, "}\n");
  }
}

const SeqTextFormat seq_text_ndjson = {
  .name = "ndjson",
  .title = "NDJSON",
  .media_type = "application/x-ndjson",
  .extensions = "ndjson,jsonl",
  .options = SEQ_TEXT_HAS_TIME | SEQ_TEXT_HAS_TAGS,
  .sniff = sniff,
  .state_size = sizeof (Ndjson),
  .start = start,
  .finish = finish,
  .read = read_record,
  .write_key = write_key,
  .write_row = write_row,
};
