/* fuzz_text.c: text of any format, read in any cuts and written again.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The first byte says with which options it is read, the second how it is cut.
 * Rows must be the same in any cuts, and what is written must be read again.
 */
#include "src/text/text.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

#define MAX_VALUES (1 << 20) /* a short text may stand for many */

static const char *const tags[] = { "h", "sensor", NULL };
static const char *const columns[] = { "a", "2", NULL };

/* 0 to 127, of the first byte. */
static SeqTextReadOptions
choose_options (guint8 byte, const char **format)
{
  static const char *const names[] = { NULL, "csv", "influx", "ndjson" };

  *format = names[byte & 3];
  return (SeqTextReadOptions){
    .tags = byte & 4 ? tags : NULL,
    .columns = byte & 8 ? columns : NULL,
    .header = (byte >> 4 & 3) % 3,
    .decimal = byte & 64 ? ',' : 0,
    .time = byte & 128 ? "1" : NULL,
    .max_errors = -1,
  };
}

static SeqTextReader *
make_reader (const char *format, const SeqTextReadOptions *options)
{
  return seq_text_reader_new (
      format ? seq_text_format (format) : NULL, options, NULL);
}

/* All rows of one table: times and values as bytes. */
static void
append_rows (const SeqTextRows *rows, GString *bytes)
{
  guint n = rows->table->columns->len;

  for (guint i = 0; i < rows->n_rows; i++) {
    g_string_append_len (bytes, (const char *) &rows->times[i].ns, 8);
    g_string_append_len (bytes, (const char *) &rows->times[i].style, 4);
    g_string_append_len (bytes, (const char *) (rows->values + i * n),
        (gssize) (n * sizeof (double)));
  }
}

/* Reads what there is; FALSE after an error, or when it is enough. */
static gboolean
pull (SeqTextReader *reader, GString *bytes)
{
  g_autoptr (GError) error = NULL;
  const SeqTextRows *rows;

  while ((rows = seq_text_reader_pull (reader, &error))) {
    if (error || rows->n_rows == 0)
      g_error ("rows and an error, or neither");
    append_rows (rows, bytes);
    if (bytes->len > MAX_VALUES * sizeof (double))
      return FALSE;
  }
  g_free (seq_text_reader_take_warning (reader));
  return !error;
}

static GString *
read_cut (const char *format, const SeqTextReadOptions *options,
    const char *text, gsize size, guint cut)
{
  SeqTextReader *reader = make_reader (format, options);
  GString *bytes = g_string_new (NULL);
  gboolean goes_on = TRUE;

  for (gsize at = 0; at < size && goes_on; at += cut) {
    seq_text_reader_push (reader, text + at, MIN (cut, size - at));
    goes_on = pull (reader, bytes);
  }
  seq_text_reader_end (reader);
  if (goes_on)
    pull (reader, bytes);
  seq_text_reader_free (reader);
  return bytes;
}

/* Writes the rows of a table twice over: a second group of channels. */
static void
write_rows (const SeqTextRows *rows, const SeqTextFormat *format, GString *text)
{
  const char *const suffixes[] = { "", ".forecast", NULL };
  const SeqTextWriteOptions options = { 0 };
  guint n = rows->table->columns->len;
  g_autofree double *values = g_new (double, 2 * n + 1);
  g_autoptr (SeqTextWriter) writer = seq_text_writer_new (
      format, (SeqTextTable *) rows->table, suffixes, &options, NULL);

  seq_text_writer_write_header (writer, text);
  for (guint i = 0; i < rows->n_rows; i++) {
    memcpy (values, rows->values + i * n, n * sizeof (double));
    memcpy (values + n, rows->values + i * n, n * sizeof (double));
    seq_text_writer_write_row (writer, rows->times[i], values, text);
  }
}

/* Whether what is written of them can have no malformed line: every row has a
 * time or the table has none, and JSON is not asked for, where a name that
 * comes twice is an error. */
static gboolean
is_regular (const SeqTextRows *rows, const SeqTextFormat *format)
{
  for (guint i = 0; i < rows->n_rows; i++)
    if (!rows->times[i].style != !rows->table->time_name)
      return FALSE;
  return !rows->table->no_header
         && g_strcmp0 (rows->table->time_name, "none") != 0
         && format != seq_text_format ("ndjson");
}

/* Keys of all tags, NULL-terminated. */
static GPtrArray *
find_tags (const SeqTextTable *table)
{
  GPtrArray *keys = g_ptr_array_new ();

  for (guint i = 0; i < table->columns->len; i++)
    for (char **tag = seq_text_table_column (table, i)->tags; tag && *tag;
         tag += 2)
      if (!g_ptr_array_find_with_equal_func (keys, *tag, g_str_equal, NULL))
        g_ptr_array_add (keys, *tag);
  g_ptr_array_add (keys, NULL);
  return keys;
}

/* What was written has no malformed line. */
static void
read_again (
    const SeqTextFormat *format, const GString *text, const SeqTextRows *rows)
{
  g_autoptr (GPtrArray) keys = find_tags (rows->table);
  const SeqTextReadOptions options = { .max_errors = 0,
    .header = SEQ_TEXT_HEADER_YES,
    .time = rows->table->time_name ? rows->table->time_name : "none",
    .decimal = rows->table->decimal,
    .time_unit = SEQ_TIME_UNIT_NS, /* holds every number */
    .tags = keys->len > 1 ? (const char *const *) keys->pdata : NULL };
  g_autoptr (SeqTextReader) reader =
      seq_text_reader_new (format, &options, NULL);
  g_autoptr (GError) error = NULL;

  seq_text_reader_push (reader, text->str, text->len);
  seq_text_reader_end (reader);
  while (seq_text_reader_pull (reader, &error))
    ;
  if (error)
    g_error ("%s as it was written is not read: %s\n%s",
        seq_text_format_name (format), error->message, text->str);
}

static void
write_all (const char *format, const SeqTextReadOptions *options,
    const char *text, gsize size)
{
  const SeqTextFormat *const *formats = seq_text_formats ();
  SeqTextReader *reader = make_reader (format, options);
  const SeqTextRows *rows;

  seq_text_reader_push (reader, text, size);
  seq_text_reader_end (reader);
  for (guint i = 0; i < 8 && (rows = seq_text_reader_pull (reader, NULL)); i++)
    for (guint k = 0; formats[k]; k++) {
      g_autoptr (GString) out = g_string_new (NULL);

      if (rows->n_rows * rows->table->columns->len > 1 << 14)
        continue;
      write_rows (rows, formats[k], out);
      if (is_regular (rows, formats[k]))
        read_again (formats[k], out, rows);
    }
  seq_text_reader_free (reader);
}

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  const char *text = (const char *) data + 2, *format;
  const SeqTextFormat *const *formats = seq_text_formats ();
  SeqTextReadOptions options;
  GString *whole, *cut;

  if (size < 2)
    return 0;
  size -= 2;
  options = choose_options (data[0], &format);
  for (guint k = 0; formats[k]; k++)
    seq_text_sniff (formats[k], text, size, data[1] & 1);
  whole = read_cut (format, &options, text, size, (guint) MAX (size, 1));
  cut = read_cut (format, &options, text, size, data[1] % 64u + 1);
  if (whole->len <= MAX_VALUES * sizeof (double)
      && !g_string_equal (whole, cut))
    g_error ("cuts of %u bytes change rows", data[1] % 64u + 1);
  g_string_free (whole, TRUE);
  g_string_free (cut, TRUE);
  write_all (format, &options, text, size);
  return 0;
}
