/* writer.c: from rows to text: what all formats share.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * All that names need (escapes, suffixes, which columns are of one series) is
 * done once, when the writer is made.
 */
#include "src/text/format.h"
#include "src/text/number.h"

#include <math.h>
#include <string.h>

static gboolean
equal_tags (char **a, char **b)
{
  return a == b
         || (a && b
             && g_strv_equal (
                 (const char *const *) a, (const char *const *) b));
}

static guint
hash_tags (gconstpointer data)
{
  guint h = 0;

  for (char **tag = (char **) data; tag && *tag; tag++)
    h = h * 31 + g_str_hash (*tag);
  return h;
}

static gboolean
equal_keys (gconstpointer a, gconstpointer b)
{
  return equal_tags ((char **) a, (char **) b);
}

static void
find_series (SeqTextWriter *writer)
{
  static char *no_tags[] = { NULL };
  g_autoptr (GHashTable) numbers =
      g_hash_table_new (hash_tags, equal_keys); /* tags -> number + 1 */

  writer->series = g_new0 (SeqTextSeries, MAX (writer->n_columns, 1));
  for (guint c = 0; c < writer->n_columns; c++) {
    char **tags = seq_text_table_column (writer->table, c)->tags;
    gpointer key = tags ? tags : no_tags;
    guint i = GPOINTER_TO_UINT (g_hash_table_lookup (numbers, key));
    SeqTextSeries *series;

    if (i == 0) {
      i = ++writer->n_series;
      writer->series[i - 1].tags = tags;
      g_hash_table_insert (numbers, key, GUINT_TO_POINTER (i));
    }
    series = &writer->series[i - 1];
    series->columns = g_renew (guint, series->columns, series->n_columns + 1);
    series->columns[series->n_columns++] = c;
  }
}

/* Keys of tags and names of columns, each once. */
static void
find_fields (SeqTextWriter *writer)
{
  g_autoptr (GHashTable) fields = g_hash_table_new (g_str_hash, g_str_equal);
  g_autoptr (GHashTable) keys = g_hash_table_new (g_str_hash, g_str_equal);
  g_autoptr (GPtrArray) tag_keys = g_ptr_array_new ();

  writer->fields = g_new (guint, MAX (writer->n_columns, 1));
  writer->field_of = g_new (guint, MAX (writer->n_columns, 1));
  for (guint c = 0; c < writer->n_columns; c++) {
    const char *name = seq_text_table_column (writer->table, c)->name;
    gpointer number; /* + 1 */

    number = g_hash_table_lookup (fields, name);
    if (!number) {
      writer->fields[writer->n_fields++] = c;
      number = GUINT_TO_POINTER (writer->n_fields);
      g_hash_table_insert (fields, (gpointer) name, number);
    }
    writer->field_of[c] = GPOINTER_TO_UINT (number) - 1;
  }
  for (guint i = 0; i < writer->n_series; i++)
    for (char **tag = writer->series[i].tags; tag && *tag; tag += 2)
      if (g_hash_table_add (keys, *tag))
        g_ptr_array_add (tag_keys, g_strdup (*tag));
  g_ptr_array_add (tag_keys, NULL);
  writer->tag_keys = (char **) g_ptr_array_steal (tag_keys, NULL);
  writer->places = g_new (guint, MAX (writer->n_fields, 1));
}

SeqTextWriter *
seq_text_writer_new (const SeqTextFormat *format, SeqTextTable *table,
    const char *const *suffixes, const SeqTextWriteOptions *options,
    GError **error)
{
  SeqTextWriter *writer;

  if (!seq_text_check_dialect (options->delimiter, options->decimal, error))
    return NULL;
  writer = g_new0 (SeqTextWriter, 1);
  writer->format = format;
  writer->table = seq_text_table_ref (table);
  writer->suffixes = g_strdupv ((char **) suffixes);
  writer->n_groups = g_strv_length (writer->suffixes);
  writer->n_columns = table->columns->len;
  writer->delimiter = options->delimiter ? options->delimiter
                      : table->delimiter ? table->delimiter
                                         : ',';
  writer->decimal = '.';
  if (format->options & SEQ_TEXT_HAS_DIALECT)
    writer->decimal = options->decimal ? options->decimal
                      : table->decimal ? table->decimal
                                       : '.';
  writer->header = options->header == SEQ_TEXT_HEADER_AUTO
                       ? !table->no_header
                       : options->header == SEQ_TEXT_HEADER_YES;
  writer->measurement =
      g_strdup (options->measurement ? options->measurement : "seqfilter");
  find_series (writer);
  find_fields (writer);
  writer->keys = g_new0 (char *, writer->n_groups * writer->n_columns + 1);
  for (guint g = 0; g < writer->n_groups; g++)
    for (guint c = 0; c < writer->n_columns; c++) {
      GString *key = g_string_new (NULL);

      format->write_key (
          writer, seq_text_table_column (table, c), writer->suffixes[g], key);
      writer->keys[g * writer->n_columns + c] = g_string_free (key, FALSE);
    }
  return writer;
}

void
seq_text_writer_free (SeqTextWriter *writer)
{
  for (guint i = 0; i < writer->n_series; i++)
    g_free (writer->series[i].columns);
  g_strfreev (writer->tag_keys);
  g_free (writer->fields);
  g_free (writer->field_of);
  g_free (writer->places);
  g_free (writer->series);
  g_strfreev (writer->keys);
  g_strfreev (writer->suffixes);
  g_free (writer->measurement);
  seq_text_table_unref (writer->table);
  g_free (writer);
}

void
seq_text_writer_write_header (SeqTextWriter *writer, GString *text)
{
  if (writer->format->write_header)
    writer->format->write_header (writer, text);
}

void
seq_text_writer_write_row (
    SeqTextWriter *writer, SeqTime time, const double *values, GString *text)
{
  writer->format->write_row (writer, time, values, text);
}

gboolean
seq_text_writer_has_series (const SeqTextWriter *writer,
    const SeqTextSeries *series, const double *values)
{
  for (guint i = 0; i < series->n_columns; i++)
    if (!isnan (values[series->columns[i]]))
      return TRUE;
  return !series->tags;
}

/* Room for n more bytes; returns where they begin. */
static inline char *
reserve (GString *text, gsize n)
{
  gsize at = text->len;

  if (G_UNLIKELY (at + n >= text->allocated_len)) {
    g_string_set_size (text, at + n);
    text->len = at;
  }
  return text->str + at;
}

static inline void
finish (GString *text, char *end)
{
  *end = 0;
  text->len = (gsize) (end - text->str);
}

void
seq_text_writer_append_value (const SeqTextWriter *writer, guint group,
    guint column, double value, GString *text)
{
  char *p;

  if (group == 0 && (value == 0 || value == 1)
      && seq_text_table_column (writer->table, column)->type
             == SEQ_TEXT_BOOLEAN) {
    g_string_append (text, value == 1 ? "true" : "false");
    return;
  }
  p = reserve (text, SEQ_NUMBER_SIZE);
  finish (text, p + seq_number_print (value, writer->decimal, p));
}

void
seq_text_writer_append_time (SeqTime time, GString *text)
{
  char *p = reserve (text, SEQ_TIME_SIZE);

  finish (text, p + seq_time_print (time, p));
}
