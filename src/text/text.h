/* text.h: series of numbers as text, read and written: CSV, InfluxDB line
 * protocol, NDJSON.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Text becomes rows: a row is one moment and one float64 a column, NaN where a
 * value is missing. A column is one field of one series; what sets series of
 * the same field apart are their tags. A SeqTextTable says what the columns
 * are; it grows at its end when a series or field comes up that it lacks.
 *
 * A reader takes text in any cuts and gives the same rows to the bit. A writer
 * gives back names, units, tags, types and timestamps as they came, and values
 * in the fewest digits that read back as the same float64.
 *
 * A reader or writer belongs to one thread at a time; tables are immutable once
 * they are given out, and reference-counted for all threads. GLib only.
 */
#pragma once

#include "src/error.h"
#include "src/text/time.h"

G_BEGIN_DECLS

#define SEQ_TEXT_MAX_COLUMNS 16384
#define SEQ_TEXT_MAX_RECORD (1u << 20) /* bytes in one line */

/* --- tables --------------------------------------------------------------- */

/* What a value was written as; it is a float64 all the same. */
typedef enum {
  SEQ_TEXT_FLOAT,
  SEQ_TEXT_INTEGER,
  SEQ_TEXT_UNSIGNED,
  SEQ_TEXT_BOOLEAN
} SeqTextType;

typedef struct {
  char *name;  /* "temperature" */
  char *unit;  /* "°C", or NULL */
  char **tags; /* key, value, key, value, ..., NULL; or NULL. The measurement of
                * line protocol is a first tag with the key "measurement". */
  SeqTextType type;
} SeqTextColumn;

/* Reference-counted. Names differ within a series. */
typedef struct {
  GPtrArray *columns; /* SeqTextColumn */
  char *time_name;    /* of the timestamp's column; NULL: rows have no time */
  /* of CSV; 0 or NULL: not known, the writer's default */
  char delimiter, decimal;
  const char *unit_open; /* " (", "(", " [" or "[": before a unit */
  gboolean crlf, no_header;
} SeqTextTable;

SeqTextTable *seq_text_table_new (void);
SeqTextTable *seq_text_table_ref (SeqTextTable *table);
void seq_text_table_unref (SeqTextTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SeqTextTable, seq_text_table_unref)
/* A copy that shares the columns; the original stays. */
SeqTextTable *seq_text_table_copy (const SeqTextTable *table);
/* Before the table is given out. name is copied, unit and tags too (or NULL).
 */
void seq_text_table_add (SeqTextTable *table, const char *name,
    const char *unit, const char *const *tags, SeqTextType type);
const SeqTextColumn *seq_text_table_column (const SeqTextTable *table, guint i);

/* --- formats -------------------------------------------------------------- */

typedef struct _SeqTextFormat SeqTextFormat;

/* Which options a format follows, beside those that all do. */
typedef enum {
  SEQ_TEXT_HAS_TIME = 1 << 0,    /* time */
  SEQ_TEXT_HAS_TAGS = 1 << 1,    /* tags */
  SEQ_TEXT_HAS_DIALECT = 1 << 2, /* delimiter, decimal, header */
  SEQ_TEXT_HAS_MEASUREMENT = 1 << 3
} SeqTextOptionFlags;

/* NULL-terminated. */
const SeqTextFormat *const *seq_text_formats (void);
/* By name, or NULL. */
const SeqTextFormat *seq_text_format (const char *name);
const char *seq_text_format_name (const SeqTextFormat *format); /* "csv" */
/* For people: "CSV". */
const char *seq_text_format_title (const SeqTextFormat *format);
const char *seq_text_format_media_type (const SeqTextFormat *format);
/* "csv,tsv": names of files end so. */
const char *seq_text_format_extensions (const SeqTextFormat *format);
SeqTextOptionFlags seq_text_format_options (const SeqTextFormat *format);

/* How sure it is that text, the beginning of a file, is of the format: 0 not,
 * to 100. whole: the file ends with the text, else its last line may be cut. */
guint seq_text_sniff (
    const SeqTextFormat *format, const char *text, gsize size, gboolean whole);

/* --- reading -------------------------------------------------------------- */

typedef enum {
  SEQ_TEXT_HEADER_AUTO, /* it has text and no timestamp */
  SEQ_TEXT_HEADER_NO,
  SEQ_TEXT_HEADER_YES
} SeqTextHeader;

/* All 0: everything is found by content. Strings are the caller's. */
typedef struct {
  const char *time; /* column or key of the timestamp, by name or (CSV) number
                     * from 1; "none": there is none; NULL: found */
  SeqTimeUnit time_unit;      /* of timestamps that are numbers */
  const char *const *columns; /* to read, by name or (CSV) number, in this order
                               * (CSV); NULL: all that are numbers */
  const char *const *tags;    /* columns or keys that tell series apart */
  char delimiter;             /* 0: tab, semicolon, comma or bar, found */
  char decimal; /* '.' or ','; 0: both, a comma unless it delimits */
  SeqTextHeader header;
  gint max_errors; /* malformed lines to skip; more are an error; -1: any */
} SeqTextReadOptions;

/* Rows of one table. */
typedef struct {
  const SeqTextTable *table;
  guint n_rows;
  const SeqTime *times;
  const double *values; /* [n_rows][table->columns->len] */
} SeqTextRows;

typedef struct _SeqTextReader SeqTextReader;

/* format: NULL finds it by the first line. Errors: SEQ_ERROR_CONFIG. */
SeqTextReader *seq_text_reader_new (const SeqTextFormat *format,
    const SeqTextReadOptions *options, GError **error);
void seq_text_reader_free (SeqTextReader *reader);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SeqTextReader, seq_text_reader_free)

/* Adds text. Pull all rows before more is pushed, or it piles up. */
void seq_text_reader_push (SeqTextReader *reader, const char *text, gsize size);
/* No more text will come: the last line needs no end. */
void seq_text_reader_end (SeqTextReader *reader);

/* The next rows, of every line that is whole; valid until the next call. A row
 * of several series (tags) is whole when a line with another time or of a
 * series that it has follows, or when it has all values that the row before
 * had. Returns: NULL when more text is needed, and after the end; or with
 * error set, and then ever again. Errors: SEQ_ERROR_CONFIG, an option that the
 * text cannot follow; SEQ_ERROR_FORMAT; SEQ_ERROR_DAMAGED, more malformed lines
 * than max_errors. */
const SeqTextRows *seq_text_reader_pull (SeqTextReader *reader, GError **error);

/* What was wrong with the latest malformed line that has not been asked for,
 * "line 7, column 12: ..."; or NULL. */
char *seq_text_reader_take_warning (SeqTextReader *reader);

/* Malformed lines so far, and rows. */
guint64 seq_text_reader_n_errors (const SeqTextReader *reader);
guint64 seq_text_reader_n_rows (const SeqTextReader *reader);
/* NULL: not found yet. */
const SeqTextFormat *seq_text_reader_format (const SeqTextReader *reader);

/* --- writing -------------------------------------------------------------- */

/* The ending of a name for a group of channels that a model gives, by the
 * group's name: "" for input, ".forecast" for prediction, ".score" for score,
 * and so on for any. */
char *seq_text_suffix (const char *group);

/* All 0: as the table has it, or the format's own default. */
typedef struct {
  char delimiter; /* ',' */
  char decimal;   /* '.' */
  SeqTextHeader header;
  const char *measurement; /* of columns that have none: "seqfilter" */
} SeqTextWriteOptions;

typedef struct _SeqTextWriter SeqTextWriter;

/* suffixes: of the groups of values in a row, each as many as the table has
 * columns, group by group; NULL-terminated, at least one. Errors:
 * SEQ_ERROR_CONFIG. */
SeqTextWriter *seq_text_writer_new (const SeqTextFormat *format,
    SeqTextTable *table, const char *const *suffixes,
    const SeqTextWriteOptions *options, GError **error);
void seq_text_writer_free (SeqTextWriter *writer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SeqTextWriter, seq_text_writer_free)

/* What stands once before the rows. */
void seq_text_writer_write_header (SeqTextWriter *writer, GString *text);
/* One row; values: [n_groups][columns]. NaN is missing: an empty cell, or no
 * field; a series that has tags and none of the values of its first group is
 * left out. */
void seq_text_writer_write_row (
    SeqTextWriter *writer, SeqTime time, const double *values, GString *text);

G_END_DECLS
