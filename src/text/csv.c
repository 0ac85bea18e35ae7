/* csv.c: rows as lines of cells: RFC 4180, and what else people call CSV.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Cells are delimited by tabs, semicolons, commas or bars, and may be quoted,
 * with quotes doubled and line ends inside. The first record says what the
 * delimiter is and whether it is a header; the first one with values says which
 * columns are numbers and which is the timestamp. From then on a record must
 * have as many cells. A unit may follow a name in brackets: "power (kW)".
 *
 * A cell without a quote is read where it stands.
 *
 * With tags (columns of text that tell series apart) the text is long: a line
 * is of one series, and lines of one time become one row.
 */
#include "src/text/format.h"
#include "src/text/number.h"

#include <math.h>
#include <string.h>

#define QUOTE '"'
#define DELIMITERS "\t;,|" /* to be found; the first there is */

typedef struct {
  const char *text; /* without quotes and spaces around it */
  gsize size;
  gboolean quoted;
} Cell;

/* What a cell of a record is for. */
typedef enum {
  SKIPPED,
  TIME,
  VALUE,
  EMPTY, /* a value, but nothing has stood there so far */
  DEAD,  /* nothing had stood there, and then text did: missing for ever */
  TAG
} Role;

typedef struct {
  Role role, next; /* next: what an EMPTY one becomes after this record */
  guint column;    /* of the table, without tags */
  gboolean nameless;
  SeqTextType type;
  char *name; /* of the header, or made up */
  char *unit; /* or NULL */
  const char *unit_open;
} Field;

typedef struct {
  char delimiter;
  SeqTextMarks marks;
  gboolean has_header, has_roles, has_tags;
  GString *header;  /* the record, if it comes again */
  GArray *fields;   /* Field: one a cell of a record */
  GArray *cells;    /* Cell: of one of the first records */
  GPtrArray *texts; /* GString: cells that had doubled quotes */
  guint n_texts;    /* of them in use */
  GArray *values;   /* double: of one record, a field; without tags, a column */
  GPtrArray *tags;  /* GString: of one record, an option */
  GString *key;     /* of a series */
} Csv;

/* --- cells ---------------------------------------------------------------- */

static gboolean
is_space (char c)
{
  return c == ' ' || c == '\t';
}

static gboolean
delimits (char delimiter, char c)
{
  return delimiter ? c == delimiter : c && strchr (DELIMITERS, c) != NULL;
}

/* A quote counts where a cell begins; one inside of a cell is text. */
static gsize
measure (SeqTextReader *reader, const char *text, gsize size, SeqTextScan *scan)
{
  enum { CELL_START, CELL, QUOTED, COMMENT };
  char delimiter = ((Csv *) seq_text_reader_state (reader))->delimiter;

  if (scan->at == 0) {
    const char *end = memchr (text, '\n', size);

    if (end && !memchr (text, QUOTE, (gsize) (end - text)))
      return (gsize) (end + 1 - text);
    if (size > 0 && text[0] == '#')
      scan->state = COMMENT;
  }
  for (gsize i = scan->at; i < size; i++) {
    char c = text[i];

    if (scan->state == QUOTED) /* a doubled quote ends and begins it again */
      scan->state = c == QUOTE ? CELL_START : QUOTED;
    else if (c == '\n')
      return i + 1;
    else if (scan->state == COMMENT)
      continue;
    else if (delimits (delimiter, c))
      scan->state = CELL_START;
    else if (scan->state == CELL_START && c == QUOTE)
      scan->state = QUOTED;
    else if (!is_space (c))
      scan->state = CELL;
  }
  scan->at = size;
  return 0;
}

static void
free_string (gpointer string)
{
  g_string_free (string, TRUE);
}

/* A cell whose quote is at p; *next: the delimiter or end that follows it, or
 * what is wrong. */
static gboolean
read_quoted (
    Csv *csv, const char *p, const char *end, Cell *cell, const char **next)
{
  const char *start = p + 1,
             *quote = memchr (start, QUOTE, (gsize) (end - start));
  GString *text = NULL;

  for (; quote && quote + 1 < end && quote[1] == QUOTE;
       quote = memchr (start, QUOTE, (gsize) (end - start))) {
    if (!text) {
      if (csv->n_texts == csv->texts->len)
        g_ptr_array_add (csv->texts, g_string_new (NULL));
      text = csv->texts->pdata[csv->n_texts++];
      g_string_truncate (text, 0);
    }
    g_string_append_len (text, start, quote + 1 - start);
    start = quote + 2;
  }
  if (!quote) {
    *next = p;
    return FALSE;
  }
  if (text) {
    g_string_append_len (text, start, quote - start);
    *cell = (Cell){ text->str, text->len, TRUE };
  } else
    *cell = (Cell){ start, (gsize) (quote - start), TRUE };
  for (p = quote + 1; p < end && is_space (*p) && *p != csv->delimiter; p++)
    ;
  *next = p;
  return p == end || *p == csv->delimiter;
}

/* The cell at p; *next: its delimiter or the end. */
static gboolean
read_cell (
    Csv *csv, const char *p, const char *end, Cell *cell, const char **next)
{
  const char *stop;

  while (p < end && is_space (*p) && *p != csv->delimiter)
    p++;
  if (p < end && *p == QUOTE)
    return read_quoted (csv, p, end, cell, next);
  stop = memchr (p, csv->delimiter, (gsize) (end - p));
  *next = stop ? stop : end;
  for (stop = *next; stop > p && is_space (stop[-1]); stop--)
    ;
  *cell = (Cell){ p, (gsize) (stop - p), FALSE };
  return TRUE;
}

static gboolean
fault_quote (SeqTextReader *reader, const char *cell, const char *at)
{
  while (is_space (*cell))
    cell++;
  return seq_text_reader_fault (reader, at,
      at == cell ? "a quote is not closed" : "text follows a closed quote");
}

/* Cuts a record into csv->cells. */
static gboolean
split (SeqTextReader *reader, Csv *csv, const char *p, const char *end)
{
  g_array_set_size (csv->cells, 0);
  csv->n_texts = 0;
  for (;; p++) {
    Cell cell;
    const char *next;

    if (!read_cell (csv, p, end, &cell, &next))
      return fault_quote (reader, p, next);
    g_array_append_val (csv->cells, cell);
    p = next;
    if (p == end)
      return TRUE;
  }
}

static gboolean
is_missing (const Cell *cell)
{
  static const char *const words[] = { "na", "n/a", "#n/a", "nan", "null",
    "none", "nil", "-", "--", "?", "missing" };

  for (guint i = 0; i < G_N_ELEMENTS (words); i++)
    if (strlen (words[i]) == cell->size
        && g_ascii_strncasecmp (words[i], cell->text, cell->size) == 0)
      return TRUE;
  return cell->size == 0;
}

static gboolean
parse_value (const Csv *csv, const Cell *cell, double *value)
{
  gsize n = seq_number_parse (cell->text, cell->size, csv->marks, value);

  if (n == cell->size && n > 0)
    return TRUE;
  if (is_missing (cell)) {
    *value = NAN;
    return TRUE;
  }
  return seq_text_parse_boolean (cell->text, cell->size, value);
}

/* --- the first records ---------------------------------------------------- */

/* The first of DELIMITERS that stands outside of quotes. */
static char
find_delimiter (const char *text, gsize size)
{
  guint found = G_N_ELEMENTS (DELIMITERS);
  gboolean quoted = FALSE;

  for (gsize i = 0; i < size; i++) {
    const char *d = text[i] ? strchr (DELIMITERS, text[i]) : NULL;

    quoted ^= text[i] == QUOTE;
    if (d && !quoted)
      found = MIN (found, (guint) (d - DELIMITERS));
  }
  return found < strlen (DELIMITERS) ? DELIMITERS[found] : ',';
}

static SeqTextMarks
find_marks (char delimiter, char decimal)
{
  if (decimal)
    return decimal == ',' ? SEQ_MARK_COMMA : SEQ_MARK_POINT;
  return delimiter == ',' ? SEQ_MARK_POINT : SEQ_MARK_POINT | SEQ_MARK_COMMA;
}

/* A header has text, and no timestamp. */
static gboolean
is_header (const Csv *csv)
{
  gboolean has_text = FALSE;

  for (guint i = 0; i < csv->cells->len; i++) {
    const Cell *cell = &g_array_index (csv->cells, Cell, i);
    double value;
    SeqTime time;

    if (seq_time_parse (cell->text, cell->size, NULL, &time))
      return FALSE;
    has_text |= !parse_value (csv, cell, &value);
  }
  return has_text;
}

static void
clear_field (gpointer data)
{
  g_free (((Field *) data)->name);
  g_free (((Field *) data)->unit);
}

/* What a header has: name, suffix and, in brackets, unit. */
static char *
with_unit (
    const char *name, const char *suffix, const char *unit, const char *open)
{
  return unit ? g_strdup_printf ("%s%s%s%s%s", name, suffix, open, unit,
             strchr (open, '(') ? ")" : "]")
              : g_strconcat (name, suffix, NULL);
}

/* Splits "power (kW)"; returns what stood before the unit, or NULL. */
static const char *
split_unit (char *name, char **unit)
{
  static const char *const opens[] = { " (", " [", "(", "[" };
  gsize n = strlen (name);

  for (guint i = 0; i < G_N_ELEMENTS (opens); i++) {
    const char *open = opens[i];
    char *at = g_strrstr (name, open);
    gboolean round = open[strlen (open) - 1] == '(';

    if (at && at > name && n > 2 && name[n - 1] == (round ? ')' : ']')) {
      at[0] = 0;
      at += strlen (open);
      *unit = g_strndup (at, (gsize) (name + n - 1 - at));
      return open;
    }
  }
  return NULL;
}

/* A whole number from 1 on, or 0. */
static guint
parse_index (const char *text)
{
  guint64 n;

  return g_ascii_string_to_unsigned (text, 10, 1, G_MAXUINT, &n, NULL)
             ? (guint) n
             : 0;
}

/* The field that an option names, or NULL and an error. */
static Field *
find_field (SeqTextReader *reader, const char *option, const char *name)
{
  Csv *csv = seq_text_reader_state (reader);
  guint number = parse_index (name), n = csv->fields->len;
  g_autoptr (GString) names = g_string_new (NULL);

  for (guint i = 0; i < n; i++) {
    Field *field = &g_array_index (csv->fields, Field, i);
    g_autofree char *heading =
        with_unit (field->name, "", field->unit, field->unit_open);

    if (g_str_equal (field->name, name) || g_str_equal (heading, name))
      return field;
    if (names->len < 200)
      g_string_append_printf (names, "%s%s", i ? ", " : "", field->name);
  }
  if (number >= 1 && number <= n)
    return &g_array_index (csv->fields, Field, number - 1);
  seq_text_reader_fail (reader, SEQ_ERROR_CONFIG,
      "%s is \"%s\"; expected a column's name, or its number from 1 to %u: %s",
      option, name, n, names->str);
  return NULL;
}

/* Fields from the header's cells, or numbered. */
static void
name_fields (SeqTextReader *reader, Csv *csv)
{
  SeqTextTable *table = seq_text_reader_change_table (reader);
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);

  table->no_header = !csv->has_header;
  for (guint i = 0; i < csv->cells->len; i++) {
    const Cell *cell = &g_array_index (csv->cells, Cell, i);
    Field field = { .column = G_MAXUINT,
      .nameless = csv->has_header && cell->size == 0 };

    if (csv->has_header && cell->size > 0) {
      field.name = seq_text_utf8 (cell->text, cell->size);
      field.unit_open = split_unit (field.name, &field.unit);
    } else
      field.name = g_strdup_printf ("column%u", i + 1);
    for (guint k = 2; g_hash_table_contains (seen, field.name); k++) {
      char *other = g_strdup_printf ("%s.%u", field.name, k);

      g_free (field.name);
      field.name = other;
    }
    g_hash_table_add (seen, field.name);
    g_array_append_val (csv->fields, field);
  }
}

/* The first record: what the delimiter is, and the names. TRUE in *used if it
 * has no values. */
static gboolean
read_first (SeqTextReader *reader, Csv *csv, const char *text, gsize size,
    gboolean *used)
{
  const SeqTextReadOptions *options = seq_text_reader_options (reader);
  char delimiter = csv->delimiter;

  *used = TRUE;
  if (size == 5 && g_ascii_strncasecmp (text, "sep=", 4) == 0) {
    if (!options->delimiter && seq_text_check_dialect (text[4], 0, NULL))
      csv->delimiter = text[4];
    return TRUE;
  }
  if (!csv->delimiter)
    csv->delimiter = find_delimiter (text, size);
  csv->marks = find_marks (csv->delimiter, options->decimal);
  if (!split (reader, csv, text, text + size)) {
    csv->delimiter = delimiter;
    return FALSE;
  }
  if (csv->cells->len > SEQ_TEXT_MAX_COLUMNS)
    return seq_text_reader_fail (reader, SEQ_ERROR_FORMAT,
        "%u columns; expected at most %u", csv->cells->len,
        SEQ_TEXT_MAX_COLUMNS);
  csv->has_header = options->header == SEQ_TEXT_HEADER_AUTO
                        ? is_header (csv)
                        : options->header == SEQ_TEXT_HEADER_YES;
  name_fields (reader, csv);
  if (csv->has_header)
    csv->header = g_string_new_len (text, (gssize) size);
  *used = csv->has_header;
  return TRUE;
}

/* A number that is a moment of this century, by its size. */
static gboolean
is_epoch (const Cell *cell)
{
  SeqTimeUnit unit = SEQ_TIME_UNIT_AUTO;
  SeqTime time;

  return seq_time_parse (cell->text, cell->size, &unit, &time)
         && time.ns > G_GINT64_CONSTANT (978307200) * 1000000000
         && time.ns < G_GINT64_CONSTANT (4102444800) * 1000000000;
}

static gboolean
find_time (SeqTextReader *reader, Csv *csv, Field **found)
{
  const char *option = seq_text_reader_options (reader)->time;
  SeqTimeUnit unit = SEQ_TIME_UNIT_AUTO;

  *found = NULL;
  if (option && g_str_equal (option, "none"))
    return TRUE;
  if (option)
    return (*found = find_field (reader, "time", option)) != NULL;
  for (guint i = 0; i < csv->fields->len; i++) {
    const Cell *cell = &g_array_index (csv->cells, Cell, i);
    SeqTime time;

    if (seq_time_parse (cell->text, cell->size, NULL, &time)) {
      *found = &g_array_index (csv->fields, Field, i);
      return TRUE;
    }
  }
  for (guint i = 0; i < csv->fields->len && csv->has_header; i++) {
    const Cell *cell = &g_array_index (csv->cells, Cell, i);
    Field *field = &g_array_index (csv->fields, Field, i);
    SeqTime time;

    if (seq_text_is_time_name (field->name, strlen (field->name), &unit)
        && seq_time_parse (cell->text, cell->size, &unit, &time)) {
      *found = field;
      return TRUE;
    }
  }
  if (is_epoch (&g_array_index (csv->cells, Cell, 0)))
    *found = &g_array_index (csv->fields, Field, 0);
  return TRUE;
}

/* In what numbers of the timestamp's column are: "time (ms)", "time_ms". */
static SeqTimeUnit
find_time_unit (const Field *field)
{
  static const char *const units[] = { "", "s", "ms", "us", "ns" };
  SeqTimeUnit unit = SEQ_TIME_UNIT_AUTO;

  if (field->unit)
    for (guint i = SEQ_TIME_UNIT_S; i <= SEQ_TIME_UNIT_NS; i++)
      if (g_str_equal (field->unit, units[i]))
        return i;
  if (seq_text_is_time_name (field->name, strlen (field->name), &unit))
    return unit;
  return SEQ_TIME_UNIT_AUTO;
}

static gboolean
looks_like_value (const Csv *csv, guint i)
{
  const Cell *cell = &g_array_index (csv->cells, Cell, i);
  double value;

  if (cell->size == 0) /* the end of lines that a delimiter ends */
    return !g_array_index (csv->fields, Field, i).nameless;
  return parse_value (csv, cell, &value);
}

/* By the options, or what the cells look like. FALSE and *n_values of 0 if
 * none is a value; another record may have some. */
static gboolean
choose_roles (SeqTextReader *reader, Csv *csv, guint *n_values)
{
  const SeqTextReadOptions *options = seq_text_reader_options (reader);
  Field *field;

  for (guint i = 0; i < csv->fields->len; i++)
    g_array_index (csv->fields, Field, i).role = SKIPPED;
  if (!find_time (reader, csv, &field))
    return FALSE;
  if (field)
    field->role = TIME;
  for (const char *const *tag = options->tags; tag && *tag; tag++) {
    field = find_field (reader, "tags", *tag);
    if (!field)
      return FALSE;
    field->role = TAG;
    field->column = (guint) (tag - options->tags);
  }
  for (const char *const *name = options->columns; name && *name; name++) {
    field = find_field (reader, "columns", *name);
    if (!field)
      return FALSE;
    if (field->role == SKIPPED)
      field->role = VALUE;
  }
  *n_values = 0;
  for (guint i = 0; i < csv->fields->len; i++) {
    field = &g_array_index (csv->fields, Field, i);
    if (field->role == SKIPPED && !options->columns
        && looks_like_value (csv, i))
      field->role = VALUE;
    *n_values += field->role == VALUE;
  }
  return *n_values > 0;
}

/* A column whose cells are values; nothing in its first is for what comes. */
static void
add_column (SeqTextReader *reader, Csv *csv, Field *field)
{
  guint i = (guint) (field - (Field *) (gpointer) csv->fields->data);
  const Cell *cell = &g_array_index (csv->cells, Cell, i);
  SeqTextTable *table = seq_text_reader_change_table (reader);
  double value;

  field->role = is_missing (cell) ? EMPTY : VALUE;
  field->type = seq_text_parse_boolean (cell->text, cell->size, &value)
                    ? SEQ_TEXT_BOOLEAN
                    : SEQ_TEXT_FLOAT;
  field->column = csv->has_tags ? i : table->columns->len;
  if (!table->unit_open)
    table->unit_open = field->unit_open;
  if (!csv->has_tags)
    seq_text_table_add (table, field->name, field->unit, NULL, field->type);
}

/* What the first record with values says the columns are for. */
static void
make_table (SeqTextReader *reader, Csv *csv)
{
  const SeqTextReadOptions *options = seq_text_reader_options (reader);
  SeqTextTable *table = seq_text_reader_change_table (reader);

  for (const char *const *tag = options->tags; tag && *tag; tag++)
    g_ptr_array_add (csv->tags, g_string_new (NULL));
  csv->has_tags = csv->tags->len > 0;
  for (const char *const *name = options->columns; name && *name; name++) {
    Field *field = find_field (reader, "columns", *name);

    if (field->role == VALUE && field->column == G_MAXUINT)
      add_column (reader, csv, field);
  }
  for (guint i = 0; i < csv->fields->len; i++) {
    Field *field = &g_array_index (csv->fields, Field, i);

    if (field->role == VALUE && field->column == G_MAXUINT)
      add_column (reader, csv, field);
    if (field->role == TIME) {
      seq_text_reader_set_time_unit (reader, find_time_unit (field));
      table->time_name = csv->has_header ? with_unit (
                             field->name, "", field->unit, field->unit_open)
                                         : g_strdup ("time");
    }
    field->next = field->role;
  }
  g_array_set_size (
      csv->values, csv->has_tags ? csv->fields->len : table->columns->len);
  table->delimiter = csv->delimiter;
  table->decimal = options->decimal;
  if (csv->delimiter == ',' && !table->decimal)
    table->decimal = '.';
  csv->has_roles = TRUE;
}

/* The first record with values, cut into cells. */
static gboolean
find_roles (SeqTextReader *reader, Csv *csv, const char *text)
{
  guint n_values = 1;

  if (!choose_roles (reader, csv, &n_values))
    return n_values == 0
           && seq_text_reader_fault (reader, text, "no cell is a number");
  make_table (reader, csv);
  return TRUE;
}

/* --- records -------------------------------------------------------------- */

static gboolean
refuse (SeqTextReader *reader, const Field *field, const char *at,
    const Cell *cell, const char *expected)
{
  return seq_text_reader_fault (reader, at, "%s is \"%.*s\"; expected %s",
      field->name, (gint) MIN (cell->size, 40), cell->text, expected);
}

/* What an EMPTY column turns out to be. */
static double
read_empty (Csv *csv, Field *field, const Cell *cell, gboolean *changes)
{
  double value = NAN;

  if (!is_missing (cell)) {
    field->next = parse_value (csv, cell, &value) ? VALUE : DEAD;
    *changes = TRUE;
    if (field->next == DEAD)
      value = NAN;
  }
  return value;
}

static void
apply_changes (Csv *csv, gboolean good)
{
  for (guint i = 0; i < csv->fields->len; i++) {
    Field *field = &g_array_index (csv->fields, Field, i);

    if (good && field->role == EMPTY)
      field->role = field->next;
    field->next = field->role;
  }
}

/* Which decimal mark the text has, once there is one. */
static void
find_decimal (SeqTextReader *reader, const char *number, gsize size)
{
  for (gsize i = 0; i < size; i++)
    if (number[i] == '.' || number[i] == ',') {
      seq_text_reader_change_table (reader)->decimal = number[i];
      return;
    }
}

/* Whether nothing stands in any cell. */
static gboolean
is_empty (const Csv *csv, const char *text, const char *end)
{
  while (text < end
         && (is_space (*text) || *text == QUOTE || *text == csv->delimiter))
    text++;
  return text == end;
}

static gboolean
check_count (SeqTextReader *reader, const Csv *csv, const char *at, guint n)
{
  return n == csv->fields->len
         || seq_text_reader_fault (reader, at,
             "the line has %s%u cells; expected %u",
             n > csv->fields->len ? "more than " : "",
             MIN (n, csv->fields->len), csv->fields->len);
}

/* Cells, but for an empty one at the end: a line may end in a delimiter. */
static guint
n_cells (const Csv *csv)
{
  guint n = csv->cells->len;

  return n
         - (n == csv->fields->len + 1
             && g_array_index (csv->cells, Cell, n - 1).size == 0);
}

/* The cells of a record to csv->values, csv->tags and time. TRUE in *changes:
 * see apply_changes(); in *no_row: there is nothing in it. */
static gboolean
read_cells (SeqTextReader *reader, Csv *csv, const char *text, const char *end,
    SeqTime *time, gboolean *changes, gboolean *no_row)
{
  const gboolean plain = csv->delimiter != ',' || csv->marks == SEQ_MARK_POINT;
  const gboolean has_decimal = seq_text_reader_table (reader)->decimal != 0;
  double *values = (double *) (gpointer) csv->values->data;
  const char *p = text, *next;
  Cell cell;

  csv->n_texts = 0;
  for (guint i = 0; i < csv->fields->len; i++, p = next) {
    Field *field = &g_array_index (csv->fields, Field, i);

    if (i > 0 && p == end)
      return check_count (reader, csv, p, i);
    p += i > 0;
    while (p < end && *p == ' ')
      p++;
    if (field->role == VALUE && plain) {
      next = p
             + seq_number_parse (
                 p, (gsize) (end - p), csv->marks, &values[field->column]);
      if (next > p && (next == end || *next == csv->delimiter)) {
        if (!has_decimal)
          find_decimal (reader, p, (gsize) (next - p));
        continue;
      }
    }
    if (!read_cell (csv, p, end, &cell, &next))
      return fault_quote (reader, p, next);
    switch (field->role) {
      case TIME:
        if (cell.size == 0 && is_empty (csv, text, end)) {
          *no_row = TRUE;
          return TRUE;
        }
        if (!seq_text_reader_parse_time (reader, cell.text, cell.size, time))
          return refuse (reader, field, p, &cell, "a time");
        break;
      case VALUE:
        if (!parse_value (csv, &cell, &values[field->column]))
          return refuse (reader, field, p, &cell, "a number");
        break;
      case EMPTY:
        values[field->column] = read_empty (csv, field, &cell, changes);
        break;
      case DEAD:
        values[field->column] = NAN;
        break;
      case TAG: {
        GString *tag = csv->tags->pdata[field->column];

        g_string_truncate (tag, 0);
        g_string_append_len (tag, cell.text, (gssize) cell.size);
        break;
      }
      case SKIPPED:
        break;
    }
  }
  if (p + 1 < end)
    return check_count (reader, csv, p, csv->fields->len + 1);
  return TRUE;
}

/* Values of the series that the tags name. */
static gboolean
add_to_series (SeqTextReader *reader, Csv *csv, SeqTime time)
{
  const char *const *names = seq_text_reader_options (reader)->tags;
  gint series;

  g_string_truncate (csv->key, 0);
  for (guint i = 0; i < csv->tags->len; i++) {
    const GString *tag = csv->tags->pdata[i];

    g_string_append_len (csv->key, tag->str, (gssize) tag->len);
    g_string_append_c (csv->key, '\x1f');
  }
  series = seq_text_reader_find_series (reader, csv->key->str, csv->key->len);
  if (series < 0) {
    GStrvBuilder *tags = g_strv_builder_new ();

    for (guint i = 0; i < csv->tags->len; i++) {
      const GString *tag = csv->tags->pdata[i];
      g_autofree char *text = seq_text_utf8 (tag->str, tag->len);

      if (tag->len > 0)
        g_strv_builder_add_many (tags, names[i], text, NULL);
    }
    series = seq_text_reader_add_series (
        reader, csv->key->str, csv->key->len, g_strv_builder_end (tags));
    g_strv_builder_unref (tags);
  }
  for (guint i = 0; i < csv->fields->len && series >= 0; i++) {
    const Field *field = &g_array_index (csv->fields, Field, i);

    if ((field->role == VALUE || field->role == EMPTY)
        && !seq_text_reader_set (reader, (guint) series, field->name,
            strlen (field->name), field->unit, field->type,
            g_array_index (csv->values, double, field->column)))
      series = -1;
  }
  if (series < 0)
    return seq_text_reader_fault_too_many (reader);
  seq_text_reader_merge (reader, time, FALSE);
  return TRUE;
}

/* The header again, as where files were joined. */
static gboolean
is_header_again (const Csv *csv, const char *text, gsize size)
{
  return csv->header && csv->header->len == size
         && memcmp (csv->header->str, text, size) == 0;
}

static gboolean
read_record (SeqTextReader *reader, const char *text, gsize size)
{
  Csv *csv = seq_text_reader_state (reader);
  const char *end = text + size;
  gboolean used = FALSE, changes = FALSE, no_row = FALSE, good;
  SeqTime time = { 0 };

  if (csv->fields->len == 0
      && (!read_first (reader, csv, text, size, &used) || used))
    return used;
  if (!csv->has_roles) {
    if (!split (reader, csv, text, end)
        || !check_count (reader, csv, text, n_cells (csv))
        || !find_roles (reader, csv, text))
      return FALSE;
  }
  good = read_cells (reader, csv, text, end, &time, &changes, &no_row);
  if (changes)
    apply_changes (csv, good);
  if (!good)
    return is_header_again (csv, text, size);
  if (no_row)
    return TRUE;
  if (csv->has_tags)
    return add_to_series (reader, csv, time);
  seq_text_reader_add_row (
      reader, time, (const double *) (gpointer) csv->values->data);
  return TRUE;
}

static gboolean
start (SeqTextReader *reader)
{
  Csv *csv = seq_text_reader_state (reader);

  csv->delimiter = seq_text_reader_options (reader)->delimiter;
  csv->fields = g_array_new (FALSE, FALSE, sizeof (Field));
  g_array_set_clear_func (csv->fields, clear_field);
  csv->cells = g_array_new (FALSE, FALSE, sizeof (Cell));
  csv->texts = g_ptr_array_new_with_free_func (free_string);
  csv->values = g_array_new (FALSE, TRUE, sizeof (double));
  csv->tags = g_ptr_array_new_with_free_func (free_string);
  csv->key = g_string_new (NULL);
  return TRUE;
}

static void
finish (SeqTextReader *reader)
{
  Csv *csv = seq_text_reader_state (reader);

  if (csv->header)
    g_string_free (csv->header, TRUE);
  g_array_unref (csv->fields);
  g_array_unref (csv->cells);
  g_ptr_array_unref (csv->texts);
  g_array_unref (csv->values);
  g_ptr_array_unref (csv->tags);
  g_string_free (csv->key, TRUE);
}

/* Lines of as many cells, with a number or a time in each but the first. */
static guint
sniff (const char *text, gsize size)
{
  const char *end = text + size;
  guint n_lines = 0, n_cells = 0;
  Csv csv = { 0 };

  csv.cells = g_array_new (FALSE, FALSE, sizeof (Cell));
  csv.texts = g_ptr_array_new_with_free_func (free_string);
  for (const char *line = text, *stop; line < end; line = stop + 1) {
    gboolean has_number = n_lines == 0;

    stop = memchr (line, '\n', (gsize) (end - line));
    stop = stop ? stop : end;
    if (line[0] == '#' || stop - line <= (*line == '\r'))
      continue;
    if (!csv.delimiter) {
      csv.delimiter = find_delimiter (line, (gsize) (stop - line));
      csv.marks = find_marks (csv.delimiter, 0);
    }
    g_array_set_size (csv.cells, 0);
    csv.n_texts = 0;
    for (const char *p = line;; p++) {
      Cell cell;
      double value;
      SeqTime time;

      if (!read_cell (
              &csv, p, stop - (stop > p && stop[-1] == '\r'), &cell, &p))
        break;
      g_array_append_val (csv.cells, cell);
      has_number |= (cell.size > 0 && parse_value (&csv, &cell, &value))
                    || seq_time_parse (cell.text, cell.size, NULL, &time);
      if (p >= stop || *p != csv.delimiter)
        break;
    }
    if (!has_number || (n_lines > 0 && csv.cells->len != n_cells)) {
      n_lines = 0;
      break;
    }
    n_cells = csv.cells->len;
    n_lines++;
  }
  g_array_unref (csv.cells);
  g_ptr_array_unref (csv.texts);
  return n_lines < 2 ? 1 : n_cells > 1 ? 90 : n_lines > 3 ? 60 : 1;
}

/* --- writing -------------------------------------------------------------- */

/* Quotes what another delimiter could be found in, too. */
static void
append_cell (const SeqTextWriter *writer, const char *cell, GString *text)
{
  const char special[] = { writer->delimiter, QUOTE, '\n', '\r', 0 };
  gsize n = strlen (cell);

  if (!strpbrk (cell, special) && !strpbrk (cell, DELIMITERS) && cell[0] != '#'
      && (n == 0 || (!is_space (cell[0]) && !is_space (cell[n - 1])))) {
    g_string_append (text, cell);
    return;
  }
  g_string_append_c (text, QUOTE);
  for (; *cell; cell++) {
    if (*cell == QUOTE)
      g_string_append_c (text, QUOTE);
    g_string_append_c (text, *cell);
  }
  g_string_append_c (text, QUOTE);
}

/* The header's cell. */
static void
write_key (const SeqTextWriter *writer, const SeqTextColumn *column,
    const char *suffix, GString *text)
{
  const char *open = writer->table->unit_open;
  g_autofree char *cell =
      with_unit (column->name, suffix, column->unit, open ? open : " (");

  append_cell (writer, cell, text);
}

static void
end_line (const SeqTextWriter *writer, GString *text)
{
  g_string_append (text, writer->table->crlf ? "\r\n" : "\n");
}

static void
write_header (const SeqTextWriter *writer, GString *text)
{
  const char *time = writer->table->time_name;
  guint n = 0;

  if (!writer->header)
    return;
  if (time) {
    append_cell (writer, time, text);
    n++;
  }
  for (char **tag = writer->tag_keys; *tag; tag++) {
    if (n++)
      g_string_append_c (text, writer->delimiter);
    append_cell (writer, *tag, text);
  }
  for (guint f = 0; f < writer->n_fields; f++)
    for (guint g = 0; g < writer->n_groups; g++) {
      if (n++)
        g_string_append_c (text, writer->delimiter);
      g_string_append (
          text, writer->keys[g * writer->n_columns + writer->fields[f]]);
    }
  end_line (writer, text);
}

static const char *
find_tag (char **tags, const char *key)
{
  for (; tags && tags[0]; tags += 2)
    if (g_str_equal (tags[0], key))
      return tags[1];
  return "";
}

/* Quotes what has been written from `start` on if the delimiter is in it. */
static void
quote (const SeqTextWriter *writer, gsize start, GString *text)
{
  if (!memchr (text->str + start, writer->delimiter, text->len - start))
    return;
  g_string_insert_c (text, (gssize) start, QUOTE);
  g_string_append_c (text, QUOTE);
}

static void
write_series (const SeqTextWriter *writer, const SeqTextSeries *series,
    SeqTime time, const double *values, GString *text)
{
  gsize start = text->len;
  guint n = 0;

  if (writer->table->time_name) {
    seq_text_writer_append_time (time, text);
    quote (writer, start, text);
    n++;
  }
  for (char **tag = writer->tag_keys; *tag; tag++) {
    if (n++)
      g_string_append_c (text, writer->delimiter);
    append_cell (writer, find_tag (series->tags, *tag), text);
  }
  memset (writer->places, 0xff, writer->n_fields * sizeof (guint));
  for (guint i = 0; i < series->n_columns; i++)
    writer->places[writer->field_of[series->columns[i]]] = series->columns[i];
  for (guint f = 0; f < writer->n_fields; f++)
    for (guint g = 0; g < writer->n_groups; g++) {
      guint column = writer->places[f];
      gsize cell;

      if (n++)
        g_string_append_c (text, writer->delimiter);
      cell = text->len;
      if (column == G_MAXUINT || isnan (values[g * writer->n_columns + column]))
        continue;
      seq_text_writer_append_value (
          writer, g, column, values[g * writer->n_columns + column], text);
      if (writer->decimal == writer->delimiter)
        quote (writer, cell, text);
    }
  if (text->len == start) /* an empty line is not a row */
    g_string_append (text, "\"\"");
  end_line (writer, text);
}

static void
write_row (const SeqTextWriter *writer, SeqTime time, const double *values,
    GString *text)
{
  for (guint i = 0; i < writer->n_series; i++)
    if (seq_text_writer_has_series (writer, &writer->series[i], values))
      write_series (writer, &writer->series[i], time, values, text);
}

const SeqTextFormat seq_text_csv = {
  .name = "csv",
  .title = "CSV",
  .media_type = "text/csv",
  .extensions = "csv,tsv",
  .options = SEQ_TEXT_HAS_TIME | SEQ_TEXT_HAS_TAGS | SEQ_TEXT_HAS_DIALECT,
  .sniff = sniff,
  .state_size = sizeof (Csv),
  .start = start,
  .finish = finish,
  .measure = measure,
  .read = read_record,
  .write_key = write_key,
  .write_header = write_header,
  .write_row = write_row,
};
