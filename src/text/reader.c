/* reader.c: from text in any cuts to rows: what all formats share.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 *   push ─> text ─> record ─> format->read() ─> row, or values of one
 *                                               │       │ merge: the row of
 *                                               │       v their time, pending
 *                                               └──> ready ─> block ─> pull
 *
 * A block is rows of one table. A row that needs another table (it has grown)
 * waits in `ready` until the block has been pulled. All that is decided here
 * depends on the order of records alone, never on where the text was cut.
 */
#include "src/text/format.h"

#include <math.h>
#include <string.h>

#define BLOCK_VALUES 8192 /* in a block of more than one row */
#define BLOCK_ROWS 1024
#define HOPELESS 100 /* malformed lines before the first row */

/* Bytes of the text that name a series, or a column in it. */
typedef struct {
  guint series; /* G_MAXUINT: names a series */
  const char *text;
  gsize size;
} Key;

typedef struct {
  guint column;
  double value;
} Value;

/* A row on its way. */
typedef struct {
  gboolean active;
  SeqTime time;
  GArray *values; /* double; columns past its end are NaN */
} Row;

struct _SeqTextReader {
  const SeqTextFormat *format; /* NULL: to be found */
  gpointer state;
  SeqTextReadOptions options;
  SeqTimeUnit time_unit; /* of numbers; found with the first */

  GString *text;
  gsize at;         /* where the next record begins in it */
  SeqTextScan scan; /* of that record */
  guint64 line;     /* of that record, from 1 */
  gboolean begun;   /* a byte order mark has been looked for */
  gboolean ended;
  gboolean skipping; /* the rest of a line that is too long */

  /* the record that is being read */
  const char *record;
  GString *fault; /* what is wrong with it */
  guint64 fault_line, fault_column;

  GError *error;        /* nothing comes after it */
  gboolean has_warning; /* the latest fault has not been asked for */
  guint64 n_errors, n_rows;

  SeqTextTable *table;
  GHashTable *keys; /* Key -> number + 1 */
  GPtrArray *tags;  /* a series: its tags */
  GArray *found;    /* Value: of the record being read */

  /* rows of several series */
  Row pending;
  gboolean pending_complete;
  GArray *filled;   /* guint8 a column: pending has it */
  GArray *expected; /* the row before had it */
  guint n_expected; /* columns of those */
  guint n_missing;  /* of those that pending does not have */

  Row ready;

  SeqTextTable *block_table;
  GArray *times;  /* SeqTime */
  GArray *values; /* double */
  SeqTextRows rows;
};

static guint
hash_key (gconstpointer data)
{
  const Key *key = data;
  guint h = 2166136261u ^ key->series;

  for (gsize i = 0; i < key->size; i++)
    h = (h ^ (guint8) key->text[i]) * 16777619u;
  return h;
}

static gboolean
equal_keys (gconstpointer a, gconstpointer b)
{
  const Key *x = a, *y = b;

  return x->series == y->series && x->size == y->size
         && memcmp (x->text, y->text, x->size) == 0;
}

/* --- options -------------------------------------------------------------- */

static gboolean
is_delimiter (char c)
{
  return c == '\t'
         || (c >= ' ' && c <= '~' && !g_ascii_isalnum (c)
             && !strchr (" \"#+-.", c));
}

gboolean
seq_text_check_dialect (char delimiter, char decimal, GError **error)
{
  if (delimiter && !is_delimiter (delimiter)) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "delimiter is '%c'; expected a tab or a sign such as ; , |", delimiter);
    return FALSE;
  }
  if (decimal && decimal != '.' && decimal != ',') {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "decimal is '%c'; expected '.' or ','", decimal);
    return FALSE;
  }
  return TRUE;
}

const SeqTextReadOptions *
seq_text_reader_options (const SeqTextReader *reader)
{
  return &reader->options;
}

gpointer
seq_text_reader_state (SeqTextReader *reader)
{
  return reader->state;
}

static gboolean
open_format (SeqTextReader *reader, const SeqTextFormat *format)
{
  reader->format = format;
  reader->state = g_malloc0 (MAX (format->state_size, 1));
  return !format->start || format->start (reader);
}

SeqTextReader *
seq_text_reader_new (const SeqTextFormat *format,
    const SeqTextReadOptions *options, GError **error)
{
  SeqTextReader *reader;

  if (!seq_text_check_dialect (options->delimiter, options->decimal, error))
    return NULL;
  reader = g_new0 (SeqTextReader, 1);
  reader->options = *options;
  reader->options.time = g_strdup (options->time);
  reader->options.columns =
      (const char *const *) g_strdupv ((char **) options->columns);
  reader->options.tags =
      (const char *const *) g_strdupv ((char **) options->tags);
  reader->time_unit = options->time_unit;
  reader->text = g_string_new (NULL);
  reader->line = 1;
  reader->fault = g_string_new (NULL);
  reader->table = seq_text_table_new ();
  reader->keys = g_hash_table_new_full (hash_key, equal_keys, g_free, NULL);
  reader->tags = g_ptr_array_new_with_free_func ((GDestroyNotify) g_strfreev);
  reader->found = g_array_new (FALSE, FALSE, sizeof (Value));
  reader->pending.values = g_array_new (FALSE, FALSE, sizeof (double));
  reader->filled = g_array_new (FALSE, TRUE, 1);
  reader->expected = g_array_new (FALSE, TRUE, 1);
  reader->ready.values = g_array_new (FALSE, FALSE, sizeof (double));
  reader->times = g_array_new (FALSE, FALSE, sizeof (SeqTime));
  reader->values = g_array_new (FALSE, FALSE, sizeof (double));
  if (format && !open_format (reader, format)) {
    g_propagate_error (error, g_steal_pointer (&reader->error));
    seq_text_reader_free (reader);
    return NULL;
  }
  return reader;
}

void
seq_text_reader_free (SeqTextReader *reader)
{
  if (reader->state && reader->format->finish)
    reader->format->finish (reader);
  g_free (reader->state);
  g_free ((char *) reader->options.time);
  g_strfreev ((char **) reader->options.columns);
  g_strfreev ((char **) reader->options.tags);
  g_string_free (reader->text, TRUE);
  g_string_free (reader->fault, TRUE);
  g_clear_error (&reader->error);
  seq_text_table_unref (reader->table);
  g_hash_table_unref (reader->keys);
  g_ptr_array_unref (reader->tags);
  g_array_unref (reader->found);
  g_array_unref (reader->pending.values);
  g_array_unref (reader->filled);
  g_array_unref (reader->expected);
  g_array_unref (reader->ready.values);
  g_clear_pointer (&reader->block_table, seq_text_table_unref);
  g_array_unref (reader->times);
  g_array_unref (reader->values);
  g_free (reader);
}

guint64
seq_text_reader_n_errors (const SeqTextReader *reader)
{
  return reader->n_errors;
}

guint64
seq_text_reader_n_rows (const SeqTextReader *reader)
{
  return reader->n_rows;
}

const SeqTextFormat *
seq_text_reader_format (const SeqTextReader *reader)
{
  return reader->format;
}

/* --- what is wrong -------------------------------------------------------- */

gboolean
seq_text_reader_fail (
    SeqTextReader *reader, SeqError code, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  if (!reader->error)
    reader->error = g_error_new_valist (SEQ_ERROR, (gint) code, format, args);
  va_end (args);
  return FALSE;
}

gboolean
seq_text_reader_fault (
    SeqTextReader *reader, const char *at, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  g_string_vprintf (reader->fault, format, args);
  va_end (args);
  reader->fault_line = reader->line;
  reader->fault_column = 1;
  for (const char *p = reader->record; p < at; p++)
    if (*p == '\n') {
      reader->fault_line++;
      reader->fault_column = 1;
    } else
      reader->fault_column += (*p & 0xc0) != 0x80; /* characters, not bytes */
  return FALSE;
}

static const char *
title (const SeqTextReader *reader)
{
  return reader->format ? reader->format->title : "text";
}

static char *
describe_fault (const SeqTextReader *reader)
{
  return g_strdup_printf ("line %" G_GUINT64_FORMAT
                          ", column %" G_GUINT64_FORMAT ": %s",
      reader->fault_line, reader->fault_column, reader->fault->str);
}

char *
seq_text_reader_take_warning (SeqTextReader *reader)
{
  if (!reader->has_warning)
    return NULL;
  reader->has_warning = FALSE;
  return describe_fault (reader);
}

static gboolean
has_rows (const SeqTextReader *reader)
{
  return reader->n_rows > 0 || reader->ready.active || reader->pending.active;
}

static void
fail_without_rows (SeqTextReader *reader, const char *which)
{
  g_autofree char *fault = describe_fault (reader);

  seq_text_reader_fail (
      reader, SEQ_ERROR_FORMAT, "%s is %s; %s", which, title (reader), fault);
}

/* The record is skipped for its fault. */
static void
count_fault (SeqTextReader *reader)
{
  gint max = reader->options.max_errors;

  reader->n_errors++;
  reader->has_warning = TRUE;
  if (max >= 0 && reader->n_errors > (guint64) max) {
    g_autofree char *fault = describe_fault (reader);

    seq_text_reader_fail (reader, SEQ_ERROR_DAMAGED,
        "%s; this is malformed line %" G_GUINT64_FORMAT
        ", expected at most %d (max-errors)",
        fault, reader->n_errors, max);
  } else if (!has_rows (reader) && reader->n_errors == HOPELESS)
    fail_without_rows (
        reader, "none of the first " G_STRINGIFY (HOPELESS) " lines");
}

/* --- times and tables ----------------------------------------------------- */

void
seq_text_reader_set_time_unit (SeqTextReader *reader, SeqTimeUnit unit)
{
  if (reader->options.time_unit == SEQ_TIME_UNIT_AUTO)
    reader->time_unit = unit;
}

gboolean
seq_text_reader_parse_time (
    SeqTextReader *reader, const char *text, gsize size, SeqTime *time)
{
  return seq_time_parse (text, size, &reader->time_unit, time);
}

const SeqTextTable *
seq_text_reader_table (const SeqTextReader *reader)
{
  return reader->table;
}

SeqTextTable *
seq_text_reader_change_table (SeqTextReader *reader)
{
  if (seq_text_table_is_shared (reader->table)) {
    SeqTextTable *copy = seq_text_table_copy (reader->table);

    seq_text_table_unref (reader->table);
    reader->table = copy;
  }
  return reader->table;
}

static gint
find_key (SeqTextReader *reader, guint series, const char *text, gsize size)
{
  const Key key = { series, text, size };

  return GPOINTER_TO_INT (g_hash_table_lookup (reader->keys, &key)) - 1;
}

static void
add_key (SeqTextReader *reader, guint series, const char *text, gsize size,
    gint number)
{
  Key *key = g_malloc (sizeof (Key) + size);

  *key = (Key){ series, (char *) (key + 1), size };
  memcpy (key + 1, text, size);
  g_hash_table_insert (reader->keys, key, GINT_TO_POINTER (number + 1));
}

gint
seq_text_reader_find_series (SeqTextReader *reader, const char *key, gsize size)
{
  return find_key (reader, G_MAXUINT, key, size);
}

gint
seq_text_reader_add_series (
    SeqTextReader *reader, const char *key, gsize size, char **tags)
{
  gint series = (gint) reader->tags->len;

  if (series == SEQ_TEXT_MAX_COLUMNS) {
    g_strfreev (tags);
    return -1;
  }
  g_ptr_array_add (reader->tags, tags);
  add_key (reader, G_MAXUINT, key, size, series);
  return series;
}

void
seq_text_reader_alias_series (
    SeqTextReader *reader, const char *key, gsize size, gint series)
{
  add_key (reader, G_MAXUINT, key, size, series);
}

gboolean
seq_text_reader_set (SeqTextReader *reader, guint series, const char *name,
    gsize size, const char *unit, SeqTextType type, double value)
{
  Value v = { (guint) find_key (reader, series, name, size), value };

  if (v.column == G_MAXUINT) {
    g_autofree char *copy = seq_text_utf8 (name, size);

    v.column = reader->table->columns->len;
    if (v.column == SEQ_TEXT_MAX_COLUMNS)
      return FALSE;
    seq_text_table_add (seq_text_reader_change_table (reader), copy, unit,
        reader->tags->pdata[series], type);
    add_key (reader, series, name, size, (gint) v.column);
  }
  g_array_append_val (reader->found, v);
  return TRUE;
}

gboolean
seq_text_reader_wants (SeqTextReader *reader, const char *name, gsize size)
{
  for (const char *const *p = reader->options.columns; p && *p; p++)
    if (strlen (*p) == size && memcmp (*p, name, size) == 0)
      return TRUE;
  return !reader->options.columns;
}

gboolean
seq_text_reader_fault_too_many (SeqTextReader *reader)
{
  return seq_text_reader_fault (reader, reader->record,
      "a column more; expected at most %u: choose some (columns)",
      SEQ_TEXT_MAX_COLUMNS);
}

/* --- rows ----------------------------------------------------------------- */

/* The row goes into the block; there is room. */
static void
append (SeqTextReader *reader, SeqTime time, const double *values, guint n)
{
  guint n_columns = reader->table->columns->len;
  const double missing = NAN;

  if (reader->times->len == 0) {
    g_clear_pointer (&reader->block_table, seq_text_table_unref);
    reader->block_table = seq_text_table_ref (reader->table);
  }
  g_array_append_val (reader->times, time);
  g_array_append_vals (reader->values, values, n);
  for (; n < n_columns; n++)
    g_array_append_val (reader->values, missing);
  reader->n_rows++;
}

static void
add_row (SeqTextReader *reader, SeqTime time, const double *values, guint n)
{
  if (reader->times->len == 0 || reader->block_table == reader->table) {
    append (reader, time, values, n);
    return;
  }
  reader->ready.active = TRUE;
  reader->ready.time = time;
  g_array_set_size (reader->ready.values, 0);
  g_array_append_vals (reader->ready.values, values, n);
}

void
seq_text_reader_add_row (
    SeqTextReader *reader, SeqTime time, const double *values)
{
  add_row (reader, time, values, reader->table->columns->len);
}

/* What pending has is what the next row is expected to have. */
static void
add_pending (SeqTextReader *reader)
{
  GArray *swap = reader->expected;

  add_row (reader, reader->pending.time,
      (const double *) (gpointer) reader->pending.values->data,
      reader->pending.values->len);
  reader->pending.active = FALSE;
  reader->pending_complete = FALSE;
  reader->expected = reader->filled;
  reader->filled = swap;
  reader->n_expected = 0;
  for (guint i = 0; i < reader->expected->len; i++)
    reader->n_expected += reader->expected->data[i] != 0;
}

static gboolean
fits_pending (const SeqTextReader *reader, SeqTime time)
{
  const SeqTime *p = &reader->pending.time;

  if (time.ns != p->ns || time.style != p->style || time.style == 0)
    return FALSE;
  for (guint i = 0; i < reader->found->len; i++) {
    guint column = g_array_index (reader->found, Value, i).column;

    if (column < reader->filled->len && reader->filled->data[column])
      return FALSE;
  }
  return TRUE;
}

void
seq_text_reader_merge (SeqTextReader *reader, SeqTime time, gboolean alone)
{
  const double missing = NAN;
  guint n_columns = reader->table->columns->len;

  if (reader->found->len == 0)
    return;
  if (reader->pending.active && !fits_pending (reader, time))
    add_pending (reader);
  if (!reader->pending.active) {
    reader->pending.active = TRUE;
    reader->pending.time = time;
    g_array_set_size (reader->pending.values, 0);
    g_array_set_size (reader->filled, 0);
    reader->n_missing = reader->n_expected;
  }
  while (reader->pending.values->len < n_columns)
    g_array_append_val (reader->pending.values, missing);
  g_array_set_size (reader->filled, n_columns);
  g_array_set_size (reader->expected, n_columns);
  for (guint i = 0; i < reader->found->len; i++) {
    Value *v = &g_array_index (reader->found, Value, i);

    g_array_index (reader->pending.values, double, v->column) = v->value;
    reader->n_missing -=
        reader->expected->data[v->column] && !reader->filled->data[v->column];
    reader->filled->data[v->column] = TRUE;
  }
  reader->pending_complete =
      alone || time.style == 0
      || (reader->n_missing == 0 && reader->n_expected > 0);
}

/* --- records -------------------------------------------------------------- */

void
seq_text_reader_push (SeqTextReader *reader, const char *text, gsize size)
{
  g_string_erase (reader->text, 0, (gssize) reader->at);
  reader->at = 0;
  g_string_append_len (reader->text, text, (gssize) size);
}

void
seq_text_reader_end (SeqTextReader *reader)
{
  reader->ended = TRUE;
}

/* Skips a byte order mark; FALSE: wait for more text. */
static gboolean
begin (SeqTextReader *reader)
{
  const char *text = reader->text->str;
  gsize size = reader->text->len;

  if (size < 3 && !reader->ended
      && memcmp (text, "\xef\xbb\xbf", size) == 0) /* or the start of one */
    return FALSE;
  if (size < 2 && !reader->ended && ((guint8) text[0] | 1) == 0xff)
    return FALSE;
  if (size >= 2
      && (memcmp (text, "\xff\xfe", 2) == 0
          || memcmp (text, "\xfe\xff", 2) == 0))
    return seq_text_reader_fail (reader, SEQ_ERROR_FORMAT,
        "the text is UTF-16; expected UTF-8: try iconv -f utf-16 -t utf-8");
  if (size >= 3 && memcmp (text, "\xef\xbb\xbf", 3) == 0)
    reader->at = 3;
  reader->begun = TRUE;
  return TRUE;
}

/* The first record that says something says what the format is. */
static gboolean
find_format (SeqTextReader *reader, const char *line, gsize size)
{
  const SeqTextFormat *best = NULL;
  guint sure = 0;

  for (guint i = 0; seq_text_formats ()[i]; i++) {
    guint n = seq_text_sniff (seq_text_formats ()[i], line, size, TRUE);

    if (n > sure) {
      sure = n;
      best = seq_text_formats ()[i];
    }
  }
  if (!best)
    return seq_text_reader_fail (reader, SEQ_ERROR_FORMAT,
        "line %" G_GUINT64_FORMAT
        ": not text; expected CSV, line protocol or NDJSON",
        reader->line);
  return open_format (reader, best);
}

/* Bytes of the next record with its line end, 0 if it has none yet. */
static gsize
measure (SeqTextReader *reader, const char *text, gsize size)
{
  const char *end;

  if (reader->format && reader->format->measure)
    return reader->format->measure (reader, text, size, &reader->scan);
  end = memchr (text + reader->scan.at, '\n', size - reader->scan.at);
  reader->scan.at = size;
  return end ? (gsize) (end + 1 - text) : 0;
}

static gsize
without_end (const char *text, gsize size)
{
  size -= size > 0 && text[size - 1] == '\n';
  return size - (size > 0 && text[size - 1] == '\r');
}

/* A comment, or blank. */
static gboolean
says_nothing (const char *text, gsize size)
{
  gsize i = 0;

  while (i < size && (text[i] == ' ' || text[i] == '\t'))
    i++;
  return i == size || text[0] == '#';
}

static gboolean
read_record (SeqTextReader *reader, const char *text, gsize size)
{
  const char *nul;

  if (says_nothing (text, size))
    return TRUE;
  nul = memchr (text, 0, size);
  if (nul)
    return seq_text_reader_fault (
        reader, nul, "the character is NUL; expected text");
  g_array_set_size (reader->found, 0);
  return reader->format->read (reader, text, size);
}

/* Reads one record; FALSE if no other is whole, or none can be. */
static gboolean
next_record (SeqTextReader *reader)
{
  const char *text, *newline;
  gsize size, n, size_without_end;
  gboolean good, too_long;

  if (reader->error || (!reader->begun && !begin (reader)))
    return FALSE;
  text = reader->text->str + reader->at;
  size = reader->text->len - reader->at;
  if (reader->skipping) {
    newline = memchr (text, '\n', size);
    reader->skipping = !newline;
    reader->at += newline ? (gsize) (newline + 1 - text) : size;
    reader->line += newline != NULL;
    return newline != NULL;
  }
  n = measure (reader, text, size);
  too_long = n > SEQ_TEXT_MAX_RECORD || (n == 0 && size > SEQ_TEXT_MAX_RECORD);
  if (n == 0 && !too_long) {
    if (!reader->ended || size == 0)
      return FALSE;
    n = size;
  }
  reader->scan = (SeqTextScan){ 0 };
  size_without_end = without_end (text, n);
  if (!reader->format && !too_long && !says_nothing (text, size_without_end))
    return find_format (reader, text, size_without_end); /* measures it again */
  reader->record = text;
  if (too_long)
    good = seq_text_reader_fault (
        reader, text, "the line is longer than %u bytes", SEQ_TEXT_MAX_RECORD);
  else
    good = read_record (reader, text, size_without_end);
  if (reader->error)
    return FALSE;
  if (reader->line == 1 && n > size_without_end + 1)
    seq_text_reader_change_table (reader)->crlf = TRUE;
  if (!good) { /* what follows the line may be good again */
    count_fault (reader);
    newline = memchr (text, '\n', too_long ? size : n);
    reader->skipping = too_long && !newline;
    n = newline ? (gsize) (newline + 1 - text) : too_long ? size : n;
  }
  for (newline = text;
       (newline = memchr (newline, '\n', (gsize) (text + n - newline)));
       newline++)
    reader->line++;
  reader->at += n;
  return !reader->error;
}

static const SeqTextRows *
take_block (SeqTextReader *reader)
{
  reader->rows = (SeqTextRows){ reader->block_table, reader->times->len,
    (const SeqTime *) (gpointer) reader->times->data,
    (const double *) (gpointer) reader->values->data };
  return &reader->rows;
}

/* Whether another row may be added to the block before it is pulled. */
static gboolean
has_room (const SeqTextReader *reader)
{
  return reader->times->len < BLOCK_ROWS && reader->values->len < BLOCK_VALUES
         && !reader->ready.active;
}

const SeqTextRows *
seq_text_reader_pull (SeqTextReader *reader, GError **error)
{
  g_array_set_size (reader->times, 0);
  g_array_set_size (reader->values, 0);
  if (reader->ready.active) {
    reader->ready.active = FALSE;
    append (reader, reader->ready.time,
        (const double *) (gpointer) reader->ready.values->data,
        reader->ready.values->len);
  }
  while (has_room (reader)) {
    if (reader->pending_complete)
      add_pending (reader);
    else if (!next_record (reader)) {
      if (!reader->ended || reader->error || !reader->pending.active)
        break;
      reader->pending_complete = TRUE;
    }
  }
  if (reader->times->len > 0)
    return take_block (reader);
  if (reader->ended && !has_rows (reader) && reader->n_errors > 0)
    fail_without_rows (reader, "no line");
  if (reader->error && error)
    *error = g_error_copy (reader->error);
  return NULL;
}
