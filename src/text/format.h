/* format.h: what a format is; between reader.c, writer.c and the formats.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A format reads one record (a line, in CSV perhaps several) and writes one
 * row. Cutting the text into records, counting lines, putting series together
 * and handing out rows is the reader's; see reader.c.
 */
#pragma once

#include "src/text/text.h"

G_BEGIN_DECLS

/* How far a record has been looked through that has no end yet. */
typedef struct {
  gsize at;
  guint state; /* the format's own; 0 at the record's start */
} SeqTextScan;

struct _SeqTextFormat {
  const char *name, *title, *media_type, *extensions;
  SeqTextOptionFlags options;

  /* seq_text_sniff() of whole lines. */
  guint (*sniff) (const char *text, gsize size);

  /* reading */
  gsize state_size;                          /* bytes, zeroed */
  gboolean (*start) (SeqTextReader *reader); /* or NULL; FALSE: see fail */
  void (*finish) (SeqTextReader *reader);
  /* Bytes of the first record with its line end; 0: there is none yet. NULL: a
   * record is a line. */
  gsize (*measure) (
      SeqTextReader *reader, const char *text, gsize size, SeqTextScan *scan);
  /* One record without its line end, neither empty nor a comment. Changes
   * nothing if it returns FALSE: see fault. */
  gboolean (*read) (SeqTextReader *reader, const char *record, gsize size);

  /* writing */
  void (*write_key) (const SeqTextWriter *writer, const SeqTextColumn *column,
      const char *suffix, GString *text); /* what names a value */
  void (*write_header) (
      const SeqTextWriter *writer, GString *text); /* or NULL */
  void (*write_row) (const SeqTextWriter *writer, SeqTime time,
      const double *values, GString *text);
};

extern const SeqTextFormat seq_text_csv, seq_text_influx, seq_text_ndjson;

/* An option of CSV that no text could be read or written with is an error. */
gboolean seq_text_check_dialect (char delimiter, char decimal, GError **error);
/* A copy of text that may be in Latin 1. */
char *seq_text_utf8 (const char *text, gsize size);
gboolean seq_text_table_is_shared (const SeqTextTable *table);
/* Words that mean true or false in any case. */
gboolean seq_text_parse_boolean (const char *text, gsize size, double *value);
/* Whether a name is one that timestamps usually have, perhaps with the unit of
 * numbers (time_ms): then *unit is set. */
gboolean seq_text_is_time_name (
    const char *name, gsize size, SeqTimeUnit *unit);

/* --- reading -------------------------------------------------------------- */

/* Its options; strings are its own copies. */
const SeqTextReadOptions *seq_text_reader_options (const SeqTextReader *reader);
/* The format's state. */
gpointer seq_text_reader_state (SeqTextReader *reader);
/* The table as it will be given out with the next row. */
const SeqTextTable *seq_text_reader_table (const SeqTextReader *reader);
/* The same to be changed: perhaps a copy. */
SeqTextTable *seq_text_reader_change_table (SeqTextReader *reader);
/* In what numbers are that are timestamps, unless the options say it. */
void seq_text_reader_set_time_unit (SeqTextReader *reader, SeqTimeUnit unit);
/* Reads a timestamp; the unit of numbers is found once. */
gboolean seq_text_reader_parse_time (
    SeqTextReader *reader, const char *text, gsize size, SeqTime *time);

/* Why a record is malformed, and where; returns FALSE. */
gboolean seq_text_reader_fault (SeqTextReader *reader, const char *at,
    const char *format, ...) G_GNUC_PRINTF (3, 4);
/* What no other record mends; returns FALSE. */
gboolean seq_text_reader_fail (SeqTextReader *reader, SeqError code,
    const char *format, ...) G_GNUC_PRINTF (3, 4);

/* A row of all columns of the table. */
void seq_text_reader_add_row (
    SeqTextReader *reader, SeqTime time, const double *values);

/* Series are known by bytes of the text. Find and add return their number, or
 * -1: not known; too many. tags: key, value, ... as in SeqTextColumn, taken; or
 * NULL. */
gint seq_text_reader_find_series (
    SeqTextReader *reader, const char *key, gsize size);
gint seq_text_reader_add_series (
    SeqTextReader *reader, const char *key, gsize size, char **tags);
/* The same series by other bytes. */
void seq_text_reader_alias_series (
    SeqTextReader *reader, const char *key, gsize size, gint series);
/* A value of the record: of a column that is added if it is new. FALSE: there
 * are too many. */
gboolean seq_text_reader_set (SeqTextReader *reader, guint series,
    const char *name, gsize size, const char *unit, SeqTextType type,
    double value);
/* Whether the options ask for a column of this name. */
gboolean seq_text_reader_wants (
    SeqTextReader *reader, const char *name, gsize size);
/* The fault of what would be a column or series too many; returns FALSE. */
gboolean seq_text_reader_fault_too_many (SeqTextReader *reader);
/* The values that were set go into the row of their time, with those of other
 * records; `alone`: into a row of their own. */
void seq_text_reader_merge (
    SeqTextReader *reader, SeqTime time, gboolean alone);

/* --- writing -------------------------------------------------------------- */

/* Columns with the same tags. */
typedef struct {
  char **tags; /* the columns' */
  guint *columns;
  guint n_columns;
} SeqTextSeries;

struct _SeqTextWriter {
  const SeqTextFormat *format;
  SeqTextTable *table;
  char **suffixes;
  guint n_groups, n_columns;
  char **keys;           /* [n_groups][n_columns]; from write_key() */
  SeqTextSeries *series; /* in order of their first columns */
  guint n_series;
  char **tag_keys; /* of all series */
  guint *fields;   /* names of all series: the first column of each */
  guint n_fields;
  guint *field_of; /* a column: which of these */
  guint *places; /* [n_fields]; scratch of one line: the column, or G_MAXUINT */
  char delimiter, decimal;
  gboolean header;
  char *measurement;
};

/* A value as its column's type has it, in group 0; a number in any other. */
void seq_text_writer_append_value (const SeqTextWriter *writer, guint group,
    guint column, double value, GString *text);
void seq_text_writer_append_time (SeqTime time, GString *text);
/* Whether a series is to be written: see seq_text_writer_write_row(). */
gboolean seq_text_writer_has_series (const SeqTextWriter *writer,
    const SeqTextSeries *series, const double *values);

G_END_DECLS
