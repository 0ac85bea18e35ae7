/* text.c: how fast text of each format is read and written, in MB a second of
 * CPU time.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Text comes in pieces of 64 KiB, as from a file. What is written is what was
 * read, in the same format.
 *
 *   bench_text
 */
#include "src/text/text.h"
#include "tools/bench.h"

#include <string.h>

#define SIZE (2u << 20) /* bytes of each text */
#define PIECE 65536

typedef struct {
  const char *name, *format;
  const char *header;
  void (*write_line) (guint i, GRand *rand, GString *text);
} Text;

static double
uniform (GRand *rand)
{
  return g_rand_double_range (rand, -1, 1);
}

/* A value every five minutes. */
static void
write_slow (guint i, GRand *rand, GString *text)
{
  g_autoptr (GDateTime) time =
      g_date_time_new_from_unix_utc (1424986973 + i * (gint64) 300);
  g_autofree char *stamp = g_date_time_format (time, "%Y-%m-%d %H:%M:%S");

  g_string_append_printf (text, "%s,%.3f\n", stamp, 20 + uniform (rand));
}

/* Six axes at 200 Hz. */
static void
write_axes (guint i, GRand *rand, GString *text)
{
  g_string_append_printf (
      text, "%" G_GINT64_FORMAT, 1424986973000 + i * (gint64) 5);
  for (guint k = 0; k < 6; k++)
    g_string_append_printf (text, ",%.4f", uniform (rand));
  g_string_append_c (text, '\n');
}

/* Doubles as Python writes them. */
static void
write_digits (guint i, GRand *rand, GString *text)
{
  g_string_append_printf (
      text, "%" G_GINT64_FORMAT, 1424986973000 + i * (gint64) 5);
  for (guint k = 0; k < 6; k++)
    g_string_append_printf (text, ",%.17g", uniform (rand));
  g_string_append_c (text, '\n');
}

static void
write_german (guint i, GRand *rand, GString *text)
{
  gint number = g_rand_int_range (rand, -999, 999);

  g_string_append_printf (text, "%u;\"%d,25\";%d,5\r\n", i, number, number);
}

/* 200 columns at 1 kHz. */
static void
write_wide (guint i, GRand *rand, GString *text)
{
  g_string_append_printf (text, "%u.%03u", i / 1000, i % 1000);
  for (guint k = 0; k < 200; k++)
    g_string_append_printf (text, ",%d", g_rand_int_range (rand, -2000, 2000));
  g_string_append_c (text, '\n');
}

static void
write_metrics (guint i, GRand *rand, GString *text)
{
  g_string_append_printf (text,
      "cpu,cpu=cpu%u,host=server usage_idle=%.3f,usage_user=%.3f,n=%ui "
      "%" G_GINT64_FORMAT "\n",
      i % 8, 90 + uniform (rand), 5 + uniform (rand), i,
      (1424986973 + i / 8 * (gint64) 10) * 1000000000);
}

static void
write_objects (guint i, GRand *rand, GString *text)
{
  g_string_append_printf (text,
      "{\"time\":%" G_GINT64_FORMAT ",\"sensor\":\"kitchen\","
      "\"temperature\":%.3f,\"humidity\":%.1f,\"open\":%s}\n",
      1424986973 + i * (gint64) 10, 20 + uniform (rand), 50 + uniform (rand),
      i % 7 ? "false" : "true");
}

static const Text texts[] = {
  { "a date and a value", "csv", "timestamp,value\n", write_slow },
  { "6 values of 4 digits", "csv", "time,ax,ay,az,gx,gy,gz\n", write_axes },
  { "6 values of 17 digits", "csv", "time,a,b,c,d,e,f\n", write_digits },
  { "quotes, decimal comma", "csv", "time;a;b\r\n", write_german },
  { "200 whole numbers", "csv", "", write_wide },
  { "Telegraf's cpu", "influx", "", write_metrics },
  { "objects of 3 values", "ndjson", "", write_objects },
};

typedef struct {
  const SeqTextFormat *format;
  GString *text, *written;
  SeqTextTable *table;
  GArray *times, *values; /* of all rows */
} Pass;

static void
read_text (gpointer data)
{
  Pass *pass = data;
  const SeqTextReadOptions options = { 0 };
  SeqTextReader *reader = seq_text_reader_new (pass->format, &options, NULL);
  const SeqTextRows *rows;

  g_array_set_size (pass->times, 0);
  g_array_set_size (pass->values, 0);
  for (gsize at = 0; at < pass->text->len; at += PIECE) {
    seq_text_reader_push (
        reader, pass->text->str + at, MIN (PIECE, pass->text->len - at));
    while ((rows = seq_text_reader_pull (reader, NULL))) {
      g_clear_pointer (&pass->table, seq_text_table_unref);
      pass->table = seq_text_table_ref ((SeqTextTable *) rows->table);
      g_array_append_vals (pass->times, rows->times, rows->n_rows);
      g_array_append_vals (
          pass->values, rows->values, rows->n_rows * rows->table->columns->len);
    }
  }
  seq_text_reader_free (reader);
}

static void
write_text (gpointer data)
{
  static const char *const suffixes[] = { "", NULL };
  Pass *pass = data;
  const SeqTextWriteOptions options = { 0 };
  guint n = pass->table->columns->len;
  SeqTextWriter *writer =
      seq_text_writer_new (pass->format, pass->table, suffixes, &options, NULL);

  g_string_truncate (pass->written, 0);
  for (guint i = 0; i < pass->times->len; i++)
    seq_text_writer_write_row (writer, g_array_index (pass->times, SeqTime, i),
        &g_array_index (pass->values, double, i *n), pass->written);
  seq_text_writer_free (writer);
}

static void
bench (const Text *text)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);
  Pass pass = { seq_text_format (text->format), g_string_new (text->header),
    g_string_new (NULL), NULL, g_array_new (FALSE, FALSE, sizeof (SeqTime)),
    g_array_new (FALSE, FALSE, sizeof (double)) };
  double read, write;

  for (guint i = 0; pass.text->len < SIZE; i++)
    text->write_line (i, rand, pass.text);
  read = bench_best (read_text, &pass);
  write = bench_best (write_text, &pass);
  g_print ("%-24s %10.0f %10.0f\n", text->name,
      (double) pass.text->len * 1e3 / read,
      (double) pass.written->len * 1e3 / write);
  g_string_free (pass.text, TRUE);
  g_string_free (pass.written, TRUE);
  seq_text_table_unref (pass.table);
  g_array_unref (pass.times);
  g_array_unref (pass.values);
}

int
main (void)
{
  g_print ("%-24s %10s %10s\n", "MB/s of one core", "read", "write");
  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    bench (&texts[i]);
  return 0;
}
