/* test_text.c: what text means, and that it comes out again.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a reader made of a text is shown as a line for each table, "= a b", and
 * one for each row: its timestamp as written, and its values; "-" is none.
 */
#include "src/text/number.h"
#include "src/text/text.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- numbers -------------------------------------------------------------- */

static double
random_double (GRand *rand)
{
  guint64 bits = (guint64) g_rand_int (rand) << 32 | g_rand_int (rand);
  double value;

  memcpy (&value, &bits, sizeof value);
  return value;
}

/* The same value, bit for bit; all NaNs are one. */
static gboolean
is_same (double a, double b)
{
  return memcmp (&a, &b, sizeof a) == 0 || (isnan (a) && isnan (b));
}

static void
assert_parses (const char *text, SeqTextMarks marks, gsize n, double value)
{
  double found = -1;

  if (seq_number_parse (text, strlen (text), marks, &found) != n
      || (n > 0 && !is_same (found, value)))
    g_error ("%s: %.17g; expected %.17g from %zu bytes", text, found, value, n);
}

static void
test_numbers (void)
{
  static const struct {
    const char *text;
    gsize n;
    double value;
  } cases[] = {
    { "0", 1, 0 },
    { "-0", 2, -0. },
    { "+35", 3, 35 },
    { "1.", 2, 1 },
    { ".5", 2, .5 },
    { "1e3x", 3, 1000 },
    { "1e", 1, 1 },
    { "1e+", 1, 1 },
    { "1.5.2", 3, 1.5 },
    { "-Inf", 4, -INFINITY },
    { "infinity", 8, INFINITY },
    { "NaN", 3, NAN },
    { "1e999999999999", 14, INFINITY },
    { "1e-999999999999", 15, 0 },
    { "0e999999999999", 14, 0 },
    { "9007199254740993", 16, 9007199254740992. }, /* a tie, to even */
    { "9007199254740993.0000000000000000001", 36, 9007199254740994. },
    { "18446744073709551616", 20, 0x1p64 }, /* 0 in 64 bits */
    { "5e-324", 6, 0x1p-1074 },
    { "2.4703282292062327e-324", 23, 0 }, /* below half of that */
    { "2.4703282292062328e-324", 23, 0x1p-1074 },
    { "", 0, 0 },
    { "-", 0, 0 },
    { ".", 0, 0 },
    { "e5", 0, 0 },
    { " 1", 0, 0 },
    { "0x10", 1, 0 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    assert_parses (cases[i].text, SEQ_MARK_POINT, cases[i].n, cases[i].value);
  assert_parses ("1,5", SEQ_MARK_POINT, 1, 1);
  assert_parses ("1,5", SEQ_MARK_COMMA, 3, 1.5);
  assert_parses ("1.5", SEQ_MARK_COMMA, 1, 1);
  assert_parses (
      "12345678901234567,891", SEQ_MARK_COMMA, 21, 12345678901234567.891);
  assert_parses ("1234567890123456789012,5e-3", SEQ_MARK_COMMA, 27,
      1234567890123456789.0125);
}

/* strtod is the reference; digits in number and exponents of every size. */
static void
test_numbers_at_random (void)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);

  for (guint i = 0; i < 300000; i++) {
    g_autoptr (GString) text = g_string_new (NULL);
    guint n = (guint) g_rand_int_range (rand, 1, 26);
    guint point = (guint) g_rand_int_range (rand, 0, (gint32) n + 1);

    for (guint k = 0; k < n; k++) {
      if (k == point)
        g_string_append_c (text, '.');
      g_string_append_c (text, (char) g_rand_int_range (rand, '0', '9' + 1));
    }
    if (i % 3 == 0)
      g_string_append_printf (text, "e%d", g_rand_int_range (rand, -330, 330));
    else if (i % 3 == 1)
      g_string_append_printf (text, "e%d", g_rand_int_range (rand, -40, 40));
    assert_parses (
        text->str, SEQ_MARK_POINT, text->len, g_ascii_strtod (text->str, NULL));
  }
}

static guint
n_significant (const char *number)
{
  guint n = 0, zeros = 0;

  for (; *number && *number != 'e'; number++)
    if (g_ascii_isdigit (*number) && (n > 0 || *number != '0')) {
      n++;
      zeros = *number == '0' ? zeros + 1 : 0;
    }
  return n - zeros;
}

/* What is printed reads back as the same bits, and no shorter number does. */
static void
test_printing (void)
{
  static const struct {
    double value;
    const char *text;
  } cases[] = { { 35, "35" }, { .1, "0.1" }, { -100.25, "-100.25" },
    { 1e-4, "0.0001" }, { 1e-5, "1e-05" }, { 1e15, "1000000000000000" },
    { 1e16, "1e+16" }, { 123456789012345680., "1.2345678901234568e+17" },
    { 0x1p-1074, "5e-324" }, { -0., "-0" }, { 1e300, "1e+300" },
    { .1 + .2, "0.30000000000000004" }, { INFINITY, "inf" }, { NAN, "nan" },
    { 9007199254740993., "9007199254740992" }, { 1 / 3., "0.3333333333333333" },
    { 0x1p-25, "2.9802322387695312e-08" } };
  g_autoptr (GRand) rand = g_rand_new_with_seed (2);

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    char text[SEQ_NUMBER_SIZE + 1];

    text[seq_number_print (cases[i].value, '.', text)] = 0;
    g_assert_cmpstr (text, ==, cases[i].text);
  }
  for (guint i = 0; i < 200000; i++) {
    char text[SEQ_NUMBER_SIZE + 1], shorter[64];
    double x = i % 2 ? random_double (rand)
                     : g_rand_double_range (rand, -1, 1)
                           * pow (10, g_rand_int_range (rand, -12, 18));
    double back;
    gsize n;
    guint digits;

    if (!isfinite (x))
      continue;
    n = seq_number_print (x, '.', text);
    g_assert_cmpuint (n, <=, SEQ_NUMBER_SIZE);
    text[n] = 0;
    back = g_ascii_strtod (text, NULL);
    if (!is_same (back, x))
      g_error ("%.17g: %s", x, text);
    assert_parses (text, SEQ_MARK_POINT, n, x);
    digits = n_significant (text);
    if (digits > 1) {
      g_autofree char *format = g_strdup_printf ("%%.%ue", digits - 2);

      g_ascii_formatd (shorter, sizeof shorter, format, x);
      if (g_ascii_strtod (shorter, NULL) == x)
        g_error ("%.17g: %s, but %s would do", x, text, shorter);
    }
  }
}

/* --- times ---------------------------------------------------------------- */

static void
test_times (void)
{
  static const struct {
    const char *text;
    gint64 seconds, ns;
  } cases[] = {
    { "1970-01-01T00:00:00Z", 0, 0 },
    { "2015-02-26 21:42:53", 1424986973, 0 },
    { "2015-02-26T21:42:53.5Z", 1424986973, 500000000 },
    { "2015-02-26T21:42:53.123456789+01:00", 1424983373, 123456789 },
    { "2015-02-26t21:42:53,120z", 1424986973, 120000000 },
    { "2015/02/26 21:42", 1424986920, 0 },
    { "2015-02-26T21:42-0530", 1425006720, 0 },
    { "2015-02-26T21:42:53+05", 1424968973, 0 },
    { "2015-02-26T21:42:53-00:00", 1424986973, 0 },
    { "20150226T214253Z", 1424986973, 0 },
    { "20150226T214253.25", 1424986973, 250000000 },
    { "2015-02-26", 1424908800, 0 },
    { "2016-02-29", 1456704000, 0 },
    { "2000-02-29T23:59:59", 951868799, 0 },
    { "1969-12-31T23:59:59.75Z", -1, 750000000 },
    { "1900-03-01", -2203891200, 0 },
    { "1678-01-01", -9214560000, 0 },
    { "2261-12-31T23:59:59.999999999", 9214646399, 999999999 },
    { "0", 0, 0 },
    { "0.005", 0, 5000000 },
    { "1424986973", 1424986973, 0 },
    { "1424986973.123456", 1424986973, 123456000 },
    { "1424986973.10", 1424986973, 100000000 },
    { "1424986973123", 1424986973, 123000000 },
    { "1424986973123.5", 1424986973, 123500000 },
    { "1424986973123456", 1424986973, 123456000 },
    { "1424986973123456789", 1424986973, 123456789 },
    { "-1.5", -2, 500000000 },
  };
  static const char *const refused[] = { "", "x", "2015-02-29", "2015-13-01",
    "2015-02-26T24:00:00", "2015-02-26T21:60:00", "2015-02-26 21:42:53 x",
    "2015-02-26T21:42:53.", "2015-02-26T", "2015-2-26", "1500-01-01",
    "2262-01-01", "1e9", "1.", "99999999999999999999", "12:30:00", "26.02.2015",
    "2015-02/26", "20150226 214253", "2015-02-26T21:42:53+1", "- 1", "1 2" };
  char text[SEQ_TIME_SIZE + 1];

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    SeqTimeUnit unit = SEQ_TIME_UNIT_AUTO;
    SeqTime time;

    if (!seq_time_parse (cases[i].text, strlen (cases[i].text), &unit, &time))
      g_error ("%s is not read", cases[i].text);
    g_assert_cmpint (time.ns, ==, cases[i].seconds * 1000000000 + cases[i].ns);
    text[seq_time_print (time, text)] = 0;
    g_assert_cmpstr (text, ==, cases[i].text);
  }
  for (guint i = 0; i < G_N_ELEMENTS (refused); i++) {
    SeqTimeUnit unit = SEQ_TIME_UNIT_AUTO;
    SeqTime time;

    if (seq_time_parse (refused[i], strlen (refused[i]), &unit, &time))
      g_error ("%s is read", refused[i]);
  }
}

/* Every day that can be said, against GLib's calendar. */
static void
test_days (void)
{
  GDate date;
  gint64 day = -106650; /* 1678-01-01 */

  g_date_set_dmy (&date, 1, G_DATE_JANUARY, 1678);
  for (; g_date_get_year (&date) < 2262; g_date_add_days (&date, 1), day++) {
    g_autofree char *text =
        g_strdup_printf ("%04d-%02d-%02d", g_date_get_year (&date),
            g_date_get_month (&date), g_date_get_day (&date));
    char again[SEQ_TIME_SIZE + 1];
    SeqTime time;

    g_assert_true (seq_time_parse (text, strlen (text), NULL, &time));
    g_assert_cmpint (time.ns, ==, day * 86400 * 1000000000);
    again[seq_time_print (time, again)] = 0;
    g_assert_cmpstr (again, ==, text);
  }
}

/* The unit is found by the first number that is not 0, and stays. */
static void
test_time_units (void)
{
  SeqTimeUnit unit = SEQ_TIME_UNIT_AUTO;
  SeqTime time;

  g_assert_true (seq_time_parse ("0", 1, &unit, &time));
  g_assert_cmpint (unit, ==, SEQ_TIME_UNIT_AUTO);
  g_assert_true (seq_time_parse ("1424986973123", 13, &unit, &time));
  g_assert_cmpint (unit, ==, SEQ_TIME_UNIT_MS);
  g_assert_true (seq_time_parse ("5", 1, &unit, &time));
  g_assert_cmpint (time.ns, ==, 5000000);
  unit = SEQ_TIME_UNIT_NS;
  g_assert_true (seq_time_parse ("100", 3, &unit, &time));
  g_assert_cmpint (time.ns, ==, 100);
  g_assert_false (seq_time_parse ("100", 3, NULL, &time));
}

/* --- reading -------------------------------------------------------------- */

static void
show_table (const SeqTextTable *table, GString *out)
{
  static const char types[] = "fiub";

  g_string_append_c (out, '=');
  for (guint i = 0; i < table->columns->len; i++) {
    const SeqTextColumn *column = seq_text_table_column (table, i);

    g_string_append_printf (out, " %s", column->name);
    if (column->unit)
      g_string_append_printf (out, "[%s]", column->unit);
    if (column->type != SEQ_TEXT_FLOAT)
      g_string_append_printf (out, ":%c", types[column->type]);
    for (char **tag = column->tags; tag && *tag; tag += 2)
      g_string_append_printf (out, "{%s=%s}", tag[0], tag[1]);
  }
  g_string_append_c (out, '\n');
}

static void
show_rows (const SeqTextRows *rows, GString *out)
{
  guint n = rows->table->columns->len;
  char text[MAX (SEQ_TIME_SIZE, SEQ_NUMBER_SIZE) + 1];

  for (guint i = 0; i < rows->n_rows; i++) {
    text[seq_time_print (rows->times[i], text)] = 0;
    g_string_append (out, *text ? text : "-");
    for (guint k = 0; k < n; k++) {
      double value = rows->values[i * n + k];

      text[seq_number_print (value, '.', text)] = 0;
      g_string_append_printf (out, " %s", isnan (value) ? "-" : text);
    }
    g_string_append_c (out, '\n');
  }
}

/* Pulls what there is; FALSE after an error. */
static gboolean
show_all (SeqTextReader *reader, SeqTextTable **table, GString *out)
{
  g_autoptr (GError) error = NULL;
  const SeqTextRows *rows;

  while ((rows = seq_text_reader_pull (reader, &error))) {
    if (*table != rows->table
        && (!*table || (*table)->columns->len != rows->table->columns->len))
      show_table (rows->table, out);
    g_clear_pointer (table, seq_text_table_unref);
    *table = seq_text_table_ref ((SeqTextTable *) rows->table);
    g_assert_cmpuint (rows->n_rows, >, 0);
    show_rows (rows, out);
  }
  if (error)
    g_string_append_printf (out, "! %s\n", error->message);
  return !error;
}

/* What a text means, given in pieces of up to `cut` bytes (0: of all at
 * once; < 0: of random sizes). */
static char *
show (const char *format, const SeqTextReadOptions *options, const char *text,
    gsize size, gint cut)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GRand) rand = g_rand_new_with_seed ((guint32) -cut);
  SeqTextReader *reader = seq_text_reader_new (
      format ? seq_text_format (format) : NULL, options, &error);
  GString *out = g_string_new (NULL);
  SeqTextTable *table = NULL;
  gboolean good = TRUE;

  g_assert_no_error (error);
  for (gsize at = 0; at < size && good;) {
    gsize n = cut > 0   ? (gsize) cut
              : cut < 0 ? (gsize) g_rand_int_range (rand, 1, 40)
                        : size;

    n = MIN (n, size - at);
    seq_text_reader_push (reader, text + at, n);
    good = show_all (reader, &table, out);
    at += n;
  }
  seq_text_reader_end (reader);
  if (good)
    good = show_all (reader, &table, out);
  if (good && seq_text_reader_n_errors (reader) > 0)
    g_string_append_printf (
        out, "? %" G_GUINT64_FORMAT "\n", seq_text_reader_n_errors (reader));
  g_clear_pointer (&table, seq_text_table_unref);
  seq_text_reader_free (reader);
  return g_string_free (out, FALSE);
}

/* As show(), and the same in any cuts. */
static char *
show_in_cuts (const char *format, const SeqTextReadOptions *options,
    const char *text, gsize size)
{
  char *whole = show (format, options, text, size, 0);

  for (gint cut = -20; cut <= 5; cut++) {
    g_autofree char *other = show (format, options, text, size, cut);

    if (!g_str_equal (whole, other))
      g_error ("cut %d of\n%s\nis\n%s\nand not\n%s", cut, text, other, whole);
  }
  return whole;
}

typedef struct {
  const char *name, *format; /* NULL: found */
  const char *text, *shown;
  SeqTextReadOptions options;
} Case;

#define STRINGS(...)                                                           \
  (const char *const[])                                                        \
  {                                                                            \
    __VA_ARGS__, NULL                                                          \
  }

static const Case cases[] = {
  /* what CSV is */
  { "csv", NULL,
      "timestamp,value\n2015-02-26 21:42:53,35\n"
      "2015-02-26 21:47:53,41.5\n",
      "= value\n2015-02-26 21:42:53 35\n2015-02-26 21:47:53 41.5\n", { 0 } },
  { "csv-no-final-newline", NULL, "t,a\n1,2\n2,3", "= a\n1 2\n2 3\n", { 0 } },
  { "csv-crlf-bom", NULL, "\xef\xbb\xbft,a\r\n1,2\r\n\r\n2,3\r\n",
      "= a\n1 2\n2 3\n", { 0 } },
  { "csv-semicolon-decimal-comma", NULL,
      "Datum;Temperatur (°C);Druck [hPa]\n2024-01-01;21,5;1013\n"
      "2024-01-02;-0,25;1012.5\n",
      "= Temperatur[°C] Druck[hPa]\n2024-01-01 21.5 1013\n"
      "2024-01-02 -0.25 1012.5\n",
      { 0 } },
  { "csv-tab", NULL, "t\ta\tb\n1\t2\t3\n2\t\t4\n", "= a b\n1 2 3\n2 - 4\n",
      { 0 } },
  { "csv-bar", NULL, "t|a\n1|2\n", "= a\n1 2\n", { 0 } },
  { "csv-sep-line", NULL, "sep=;\nt;a\n1;2,5\n", "= a\n1 2.5\n", { 0 } },
  { "csv-quotes", NULL,
      "\"time\",\"a \"\"big\"\"\nname\",\"b,c\"\n\"1\",\"2\",\"3\"\n"
      "2 , \"4\" ,5\n",
      "= a \"big\"\nname b,c\n1 2 3\n2 4 5\n", { 0 } },
  { "csv-stray-quotes", NULL, "t,a\n1,5\n2,5\" pipe\n3,7\n",
      "= a\n1 5\n3 7\n? 1\n", { 0 } },
  { "csv-open-quote", NULL, "t,a\n1,5\n2,\"6\n3,7\n4,8\n",
      "= a\n1 5\n3 7\n4 8\n? 1\n", { 0 } },
  { "csv-comments-blanks", NULL,
      "# made by \"hand\ntime,a\n\n1,2\n  \n# more\n2,3\n,\n",
      "= a\n1 2\n2 3\n", { 0 } },
  { "csv-spaces", NULL, "t, a ,b\n1,  2, 3\n 2 ,4 ,5\n",
      "= a b\n1 2 3\n2 4 5\n", { 0 } },
  { "csv-missing", NULL,
      "t,a,b,c\n1,,NaN,1\n2,NA,null,2\n3,-,n/a,3\n4,?,None,4\n5,1,2,\n",
      "= a b c\n1 - - 1\n2 - - 2\n3 - - 3\n4 - - 4\n5 1 2 -\n", { 0 } },
  { "csv-inf-bool", NULL, "t,a,b\n1,inf,true\n2,-Infinity,FALSE\n",
      "= a b:b\n1 inf 1\n2 -inf 0\n", { 0 } },
  { "csv-last-delimiter", NULL, "t,a,\n1,2,\n2,3,\n", "= a\n1 2\n2 3\n",
      { 0 } },
  { "csv-last-delimiter-in-rows", NULL, "t,a\n1,2,\n2,3,\n", "= a\n1 2\n2 3\n",
      { 0 } },
  { "csv-text-columns", NULL, "t,place,a\n1,cellar,2\n2,attic,3\n",
      "= a\n1 2\n2 3\n", { 0 } },
  { "csv-empty-then-text", NULL, "t,note,a\n1,,2\n2,door open,3\n3,7,4\n",
      "= note a\n1 - 2\n2 - 3\n3 - 4\n", { 0 } },
  { "csv-empty-then-number", NULL, "t,a,b\n1,,2\n2,5,3\n3,x,4\n4,6,4\n",
      "= a b\n1 - 2\n2 5 3\n4 6 4\n? 1\n", { 0 } },
  { "csv-header-again", NULL, "t,a\n1,2\nt,a\n2,3\n", "= a\n1 2\n2 3\n",
      { 0 } },
  { "csv-same-names", NULL, "t,a,a,\n1,2,3,4\n", "= a a.2 column4\n1 2 3 4\n",
      { 0 } },
  { "csv-latin1", NULL,
      "t,gr\xf6\xdf"
      "e\n1,2\n",
      "= größe\n1 2\n", { 0 } },

  /* headers */
  { "csv-no-header", NULL, "2015-02-26T21:42:53Z,1,2\n",
      "= column2 column3\n2015-02-26T21:42:53Z 1 2\n", { 0 } },
  { "csv-no-header-epoch", NULL, "1424986973,1\n1424986974,2\n",
      "= column2\n1424986973 1\n1424986974 2\n", { 0 } },
  { "csv-numbers-alone", "csv", "1\n2.5\n", "= column1\n- 1\n- 2.5\n", { 0 } },
  { "csv-one-column", "csv", "power\n1\n\"\"\n2\n", "= power\n- 1\n- -\n- 2\n",
      { 0 } },
  { "csv-numbers-as-names", NULL, "time,400,500\n1,2,3\n", "= 400 500\n1 2 3\n",
      { 0 } },
  { "csv-header-no", "csv", "kitchen,1\nattic,2\n", "= column2\n- 1\n- 2\n",
      { .header = SEQ_TEXT_HEADER_NO } },
  { "csv-header-yes", "csv", "1,2\n3,4\n", "= 1 2\n- 3 4\n",
      { .header = SEQ_TEXT_HEADER_YES } },

  /* the timestamp */
  { "csv-time-by-content", NULL, "a,when\n1,2024-01-01\n2,2024-01-02\n",
      "= a\n2024-01-01 1\n2024-01-02 2\n", { 0 } },
  { "csv-time-by-name", NULL, "a,Timestamp\n1,5\n2,6\n", "= a\n5 1\n6 2\n",
      { 0 } },
  { "csv-time-ms", NULL, "time_ms,a\n5,1\n10,2\n", "= a\n5 1\n10 2\n", { 0 } },
  { "csv-time-option", NULL, "time,a,b\n1,2,3\n", "= time b\n2 1 3\n",
      { .time = "a" } },
  { "csv-time-number", NULL, "time,a,b\n1,2,3\n", "= time a\n3 1 2\n",
      { .time = "3" } },
  { "csv-time-none", NULL, "time,a\n1,2\n", "= time a\n- 1 2\n",
      { .time = "none" } },
  { "csv-no-time", NULL, "a,b\n1,2\n3,4\n", "= a b\n- 1 2\n- 3 4\n", { 0 } },

  /* options */
  { "csv-columns", NULL, "t,a,b,c\n1,2,3,4\n", "= c a\n1 4 2\n",
      { .columns = STRINGS ("c", "2") } },
  { "csv-columns-by-heading", NULL, "t (s),a [V],b\n1,2,3\n", "= a[V]\n1 2\n",
      { .columns = STRINGS ("a [V]"), .time = "t (s)" } },
  { "csv-delimiter", NULL, "t:a\n1:2,5\n", "= a\n1 2.5\n",
      { .delimiter = ':' } },
  { "csv-decimal", NULL, "t,a\n1,\"2,5\"\n2,3\n3,\"1.5\"\n",
      "= a\n1 2.5\n2 3\n? 1\n", { .decimal = ',' } },
  { "csv-no-such-column", NULL, "t,a\n1,2\n",
      "! columns is \"x\"; expected a column's name, or its number from 1 to "
      "2: "
      "t, a\n",
      { .columns = STRINGS ("x") } },
  { "csv-no-such-time", NULL, "t,a\n1,2\n",
      "! time is \"3\"; expected a column's name, or its number from 1 to 2: "
      "t, "
      "a\n",
      { .time = "3" } },

  /* malformed lines */
  { "csv-too-few", NULL, "t,a,b\n1,2,3\n2,3\n3,4,5\n",
      "= a b\n1 2 3\n3 4 5\n? 1\n", { .max_errors = 1 } },
  { "csv-too-many", NULL, "t,a\n1,2\n2,3,4\n3,4\n",
      "= a\n1 2\n! line 3, column 4: the line has more than 2 cells; expected "
      "2; this is malformed line 1, expected at most 0 (max-errors)\n",
      { .max_errors = 0 } },
  { "csv-bad-number", NULL, "t,ä,b\n1,2,3\n2,\"ä\",x\n",
      "= ä b\n1 2 3\n! line 3, column 3: ä is \"ä\"; expected a number; this "
      "is "
      "malformed line 1, expected at most 0 (max-errors)\n",
      { .max_errors = 0 } },
  { "csv-bad-time", NULL, "t,a\n2024-01-01,2\n2024-13-01,3\n2024-01-03,4\n",
      "= a\n2024-01-01 2\n2024-01-03 4\n? 1\n", { .max_errors = -1 } },
  { "csv-after-quote", NULL, "t,a\n1,2\n\"2\"x,3\n",
      "= a\n1 2\n! line 3, column 4: text follows a closed quote; this is "
      "malformed line 1, expected at most 0 (max-errors)\n",
      { .max_errors = 0 } },
  { "csv-nothing-good", "csv", "t,a\n1,2,3\n",
      "! no line is CSV; line 2, column 1: the line has more than 2 cells; "
      "expected 2\n",
      { .max_errors = -1 } },
  { "csv-no-number", "csv", "t,a\nx,y\n",
      "! no line is CSV; line 2, column 1: no cell is a number\n",
      { .max_errors = -1 } },
  { "utf-16", NULL, "\xff\xfet\1a",
      "! the text is UTF-16; expected UTF-8: try iconv -f utf-16 -t utf-8\n",
      { 0 } },
  { "binary", NULL, "\1\2\3\n",
      "! line 1: not text; expected CSV, line protocol or NDJSON\n", { 0 } },

  /* series in CSV */
  { "csv-tags", NULL,
      "time,sensor,t "
      "(C),h\n1,a,10,50\n1,b,20,60\n2,a,11,51\n2,b,21,\n3,b,22,62\n"
      "4,a,12,52\n",
      "= t[C]{sensor=a} h{sensor=a} t[C]{sensor=b} h{sensor=b}\n"
      "1 10 50 20 60\n2 11 51 21 -\n3 - - 22 62\n4 12 52 - -\n",
      { .tags = STRINGS ("sensor") } },
  { "csv-tags-grow", NULL, "time,sensor,t\n1,a,10\n2,a,11\n3,a,12\n3,b,22\n",
      "= t{sensor=a}\n1 10\n2 11\n3 12\n= t{sensor=a} t{sensor=b}\n3 - 22\n",
      { .tags = STRINGS ("sensor") } },

  /* line protocol */
  { "influx", NULL,
      "cpu,host=a usage=0.5,n=3i,up=t,name=\"x, y=1\" 1424986973000000000\n"
      "cpu,host=b usage=1,n=4u,up=FALSE 1424986973000000000\n"
      "cpu,host=a usage=0.25,n=5i,up=f 1424986983000000000\n",
      "= usage{measurement=cpu}{host=a} n:i{measurement=cpu}{host=a} "
      "up:b{measurement=cpu}{host=a} usage{measurement=cpu}{host=b} "
      "n:u{measurement=cpu}{host=b} up:b{measurement=cpu}{host=b}\n"
      "1424986973000000000 0.5 3 1 1 4 0\n"
      "1424986983000000000 0.25 5 0 - - -\n",
      { 0 } },
  { "influx-order-of-tags", NULL, "m,b=2,a=1 x=1 1\nm,a=1,b=2 x=2 2\n",
      "= x{measurement=m}{a=1}{b=2}\n1 1\n2 2\n", { 0 } },
  { "influx-escapes", NULL,
      "my\\ m\\,x,ta\\ g=a\\=b\\,\\ c fie\\ ld\\==1,s=\"a\\\" b\" 1\n",
      "= fie ld={measurement=my m,x}{ta g=a=b, c}\n1 1\n", { 0 } },
  { "influx-no-time", NULL, "m x=1\nm x=2\n", "= x{measurement=m}\n- 1\n- 2\n",
      { 0 } },
  { "influx-same-time-twice", NULL, "m x=1 1\nm x=2 1\nm x=3 2\n",
      "= x{measurement=m}\n1 1\n1 2\n2 3\n", { 0 } },
  { "influx-columns", NULL, "m x=1,y=2 1\nn z=1,y=3 1\n",
      "= y{measurement=m} y{measurement=n}\n1 2 3\n",
      { .columns = STRINGS ("y") } },
  { "influx-malformed", NULL,
      "m x=1 1\nm x= 2\nm 2\nm x=1i5 2\nm x=\"a 2\nm x=1 2024-01-01\n,m x=1 2\n"
      "m,a x=1 2\nm,a= x=1 2\nm x=0x1 2\nm x=1,=2 2\nm x=1.5i 2\nm x=2 3\n",
      "= x{measurement=m}\n1 1\n3 2\n? 11\n", { .max_errors = -1 } },

  /* NDJSON */
  { "ndjson", NULL,
      "{\"time\":\"2015-02-26T21:42:53Z\",\"a\":1.5,\"up\":true,\"s\":\"x\","
      "\"o\":{\"b\":1}}\n"
      "{\"time\":\"2015-02-26T21:43:53Z\",\"a\":null,\"up\":false}\r\n\n"
      "{\"time\":\"2015-02-26T21:44:53Z\",\"a\":2}\n",
      "= a up:b\n2015-02-26T21:42:53Z 1.5 1\n2015-02-26T21:43:53Z - 0\n"
      "2015-02-26T21:44:53Z 2 -\n",
      { 0 } },
  { "ndjson-grows", NULL, "{\"t\":1,\"a\":2}\n{\"t\":2,\"b\":3}\n",
      "= a\n1 2\n= a b\n2 - 3\n", { 0 } },
  { "ndjson-numbers-as-times", NULL,
      "{\"ts\":1424986973.123,\"a\":1}\n{\"ts\":1424986974,\"a\":2}\n",
      "= a\n1424986973.123 1\n1424986974 2\n", { 0 } },
  { "ndjson-time-by-content", NULL, "{\"a\":1,\"when\":\"2024-01-01\"}\n",
      "= a\n2024-01-01 1\n", { 0 } },
  { "ndjson-time-none", NULL, "{\"a\":1,\"t\":2}\n", "= a t\n- 1 2\n",
      { .time = "none" } },
  { "ndjson-tags", NULL,
      "{\"t\":1,\"id\":7,\"v\":2}\n{\"t\":1,\"id\":8,\"v\":3}\n"
      "{\"t\":2,\"id\":7,\"v\":4}\n",
      "= v{id=7} v{id=8}\n1 2 3\n2 4 -\n", { .tags = STRINGS ("id") } },
  { "ndjson-malformed", NULL,
      "{\"t\":1,\"a\":2}\n{\"t\":2,\"a\":}\n[1]\n{\"a\":1}\n{\"t\":\"x\",\"a\":"
      "1}\n"
      "{\"t\":1,\"t\":2}\n{\"t\":3,\"a\":4}\n",
      "= a\n1 2\n3 4\n? 5\n", { .max_errors = -1 } },
  { "ndjson-column", NULL, "{\"t\":1,\"a\":2}\n{\"t\":2,\"a\":x}\n",
      "= a\n1 2\n! line 2, column 12: invalid token near 'x'; this is "
      "malformed "
      "line 1, expected at most 0 (max-errors)\n",
      { .max_errors = 0 } },
};

static void
test_case (gconstpointer data)
{
  const Case *c = data;
  SeqTextReadOptions options = c->options;
  g_autofree char *shown = NULL;

  if (!strchr (c->shown, '!'))
    options.max_errors = -1;
  shown = show_in_cuts (c->format, &options, c->text, strlen (c->text));
  g_assert_cmpstr (shown, ==, c->shown);
}

/* What typefinding sees: at least 50 of 100 for one format, at most 1 for the
 * others. */
static void
test_sniff (void)
{
  static const struct {
    const char *format, *text; /* NULL: none */
  } texts[] = {
    { "csv", "timestamp,value\n2015-02-26 21:42:53,35\n" },
    { "csv", "\xef\xbb\xbf"
             "a;b\r\n1,5;2\r\n3;\r\n" },
    { "csv", "# made by hand\n1\t2\n3\t4\n" },
    { "csv", "\"a,b\",c\n\"1\",2\n" },
    { "csv", "power\n1\n2.5\n3\n" },
    { "csv", "name,t\nkitchen,1\nattic,2\n" },
    { "influx", "cpu,host=a usage=0.5 1424986973000000000\n" },
    { "influx", "# Telegraf\nm\\ 1 s=\"x y\",n=1i\n" },
    { "ndjson", "{\"t\":1}\n{\"t\":2}\n" },
    { NULL, "" },
    { NULL, "Dear reader,\nthese are words, with commas.\n" },
    { NULL, "a,b\n" }, /* one line says nothing */
    { NULL, "a,b\n1,2,3\n" },
    { NULL, "{\n  \"a\": 1\n}\n" },
    { NULL, "[1,2]\n[3,4]\n" },
    { NULL, "<?xml version=\"1.0\"?>\n<a b=\"1\">\n" },
    { NULL, "1\n00:00:01,000 --> 00:00:04,000\nHello, you 2\n\n2\n" },
    { NULL, "key=value\nother=1\n" },
    { NULL, "[section]\nkey = 1\n" },
    { NULL, "t,a\n1,\x01\n" },
  };
  const SeqTextFormat *const *formats = seq_text_formats ();

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    for (guint k = 0; formats[k]; k++) {
      const char *name = seq_text_format_name (formats[k]);
      gsize n = strlen (texts[i].text);
      guint sure = seq_text_sniff (formats[k], texts[i].text, n, TRUE);

      if (g_strcmp0 (name, texts[i].format) == 0 ? sure < 50 : sure > 1)
        g_error ("%u of 100 for %s: %s", sure, name, texts[i].text);
      /* a last line that is cut is not looked at */
      if (n > 0)
        g_assert_cmpuint (
            seq_text_sniff (formats[k], texts[i].text, n - 1, TRUE), <=, 95);
    }
}

/* Lines are held up to a megabyte; a longer one is malformed, however it comes,
 * and what follows it is read. */
static void
test_long_lines (void)
{
  const SeqTextReadOptions options = { .max_errors = -1 };
  static const gsize sizes[] = { SEQ_TEXT_MAX_RECORD - 1, SEQ_TEXT_MAX_RECORD,
    SEQ_TEXT_MAX_RECORD + 1, 3 * SEQ_TEXT_MAX_RECORD };

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++) {
    g_autoptr (GString) text = g_string_new ("t,a\n1,2\n2,");
    g_autofree char *whole = NULL, *cut = NULL;

    for (gsize n = strlen ("2,") + strlen ("3\n"); n < sizes[i]; n++)
      g_string_append_c (text, '0');
    g_string_append (text, "3\n3,4\n");
    whole = show ("csv", &options, text->str, text->len, 0);
    cut = show ("csv", &options, text->str, text->len, 65536);
    g_assert_cmpstr (whole, ==,
        sizes[i] <= SEQ_TEXT_MAX_RECORD ? "= a\n1 2\n2 3\n3 4\n"
                                        : "= a\n1 2\n3 4\n? 1\n");
    g_assert_cmpstr (cut, ==, whole);
  }
}

/* A line of a megabyte that comes byte by byte is looked through once. */
static void
test_byte_by_byte (void)
{
  const SeqTextReadOptions options = { .max_errors = -1 };
  g_autoptr (GString) text = g_string_new ("t,a\n1,2\n2,\"");
  g_autofree char *shown = NULL;

  for (guint i = 0; i < 1000000; i++)
    g_string_append_c (text, '0');
  g_string_append (text, "3\"\n");
  shown = show ("csv", &options, text->str, text->len, 1);
  g_assert_cmpstr (shown, ==, "= a\n1 2\n2 3\n");
}

/* Ten thousand malformed lines make one warning each time somebody asks. */
static void
test_warnings (void)
{
  const SeqTextReadOptions options = { .max_errors = -1 };
  SeqTextReader *reader =
      seq_text_reader_new (seq_text_format ("csv"), &options, NULL);
  g_autofree char *warning = NULL;

  seq_text_reader_push (reader, "t,a\n1,2\n", 8);
  g_assert_nonnull (seq_text_reader_pull (reader, NULL));
  g_assert_null (seq_text_reader_take_warning (reader));
  for (guint i = 0; i < 10000; i++)
    seq_text_reader_push (reader, "2,x\n", 4);
  g_assert_null (seq_text_reader_pull (reader, NULL));
  warning = seq_text_reader_take_warning (reader);
  g_assert_cmpstr (
      warning, ==, "line 10002, column 3: a is \"x\"; expected a number");
  g_assert_null (seq_text_reader_take_warning (reader));
  g_assert_cmpuint (seq_text_reader_n_errors (reader), ==, 10000);
  g_assert_cmpuint (seq_text_reader_n_rows (reader), ==, 1);
  seq_text_reader_free (reader);
}

/* Each line's row is there as soon as the line is. */
static void
test_at_once (void)
{
  static const struct {
    const char *format, *first, *line; /* first gives no row, line does */
  } formats[] = {
    { "csv", "t,a\n", "2024-01-01,1\n" },
    { "csv", "", "2024-01-01,1\n" },
    { "ndjson", "", "{\"t\":1,\"a\":2}\n" },
    /* the second time on, a row is whole when it has what the first had */
    { "influx", "m,h=a x=1 1\nm,h=b x=1 1\n", "m,h=a x=1 2\n" },
    { "influx", "m,h=a x=1 1\nm,h=b x=1 1\nm,h=b x=1 2\n", "m,h=a x=1 2\n" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (formats); i++) {
    const SeqTextReadOptions options = { 0 };
    SeqTextReader *reader = seq_text_reader_new (
        seq_text_format (formats[i].format), &options, NULL);
    const SeqTextRows *rows;

    seq_text_reader_push (reader, formats[i].first, strlen (formats[i].first));
    while ((rows = seq_text_reader_pull (reader, NULL)))
      ;
    seq_text_reader_push (reader, formats[i].line, strlen (formats[i].line));
    rows = seq_text_reader_pull (reader, NULL);
    g_assert_nonnull (rows);
    g_assert_cmpuint (rows->n_rows, ==, 1);
    seq_text_reader_free (reader);
  }
}

/* More columns than there may be are refused; what was there goes on. */
static void
test_too_many_columns (void)
{
  const SeqTextReadOptions options = { .max_errors = -1 };
  SeqTextReader *reader =
      seq_text_reader_new (seq_text_format ("influx"), &options, NULL);
  g_autoptr (GString) text = g_string_new (NULL);
  const SeqTextRows *rows;
  g_autofree char *warning = NULL;

  for (guint i = 0; i < SEQ_TEXT_MAX_COLUMNS + 10; i++)
    g_string_append_printf (text, "m,h=%u x=1 1\n", i);
  g_string_append (text, "m,h=1 x=2 2\nm,h=2 x=2 3\n");
  seq_text_reader_push (reader, text->str, text->len);
  seq_text_reader_end (reader);
  rows = seq_text_reader_pull (reader, NULL);
  g_assert_nonnull (rows);
  g_assert_cmpuint (rows->table->columns->len, ==, SEQ_TEXT_MAX_COLUMNS);
  for (guint n = rows->n_rows; n < 3; n += rows->n_rows)
    rows = seq_text_reader_pull (reader, NULL);
  g_assert_null (seq_text_reader_pull (reader, NULL));
  g_assert_cmpuint (seq_text_reader_n_errors (reader), ==, 10);
  warning = seq_text_reader_take_warning (reader);
  g_assert_nonnull (strstr (warning, "expected at most 16384"));
  seq_text_reader_free (reader);
}

static void
test_refusals (void)
{
  static const struct {
    SeqTextReadOptions options;
    const char *message;
  } cases[] = {
    { { .delimiter = 'a' },
        "delimiter is 'a'; expected a tab or a sign such as ; , |" },
    { { .delimiter = '"' },
        "delimiter is '\"'; expected a tab or a sign such as ; , |" },
    { { .decimal = ';' }, "decimal is ';'; expected '.' or ','" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    const SeqTextWriteOptions write = { .delimiter = cases[i].options.delimiter,
      .decimal = cases[i].options.decimal };
    g_autoptr (GError) error = NULL, other = NULL;
    g_autoptr (SeqTextTable) table = seq_text_table_new ();

    g_assert_null (seq_text_reader_new (NULL, &cases[i].options, &error));
    g_assert_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG);
    g_assert_cmpstr (error->message, ==, cases[i].message);
    g_assert_null (seq_text_writer_new (
        seq_text_format ("csv"), table, STRINGS (""), &write, &other));
    g_assert_cmpstr (other->message, ==, cases[i].message);
  }
}

/* --- writing -------------------------------------------------------------- */

/* Reads a text of one format and writes it in another; values of each suffix
 * after the first are the first's plus 1, 2, ... */
static char *
rewrite (const char *from, const SeqTextReadOptions *options, const char *text,
    const char *to, const char *const *suffixes,
    const SeqTextWriteOptions *write)
{
  SeqTextReader *reader =
      seq_text_reader_new (seq_text_format (from), options, NULL);
  g_autoptr (SeqTextTable) table = NULL;
  g_autoptr (GError) error = NULL;
  SeqTextWriter *writer = NULL;
  GString *out = g_string_new (NULL);
  guint n_groups = g_strv_length ((char **) suffixes);
  const SeqTextRows *rows;

  seq_text_reader_push (reader, text, strlen (text));
  seq_text_reader_end (reader);
  while ((rows = seq_text_reader_pull (reader, &error))) {
    guint n = rows->table->columns->len;
    g_autofree double *values = g_new (double, n *n_groups);

    if (table != rows->table) {
      g_clear_pointer (&table, seq_text_table_unref);
      g_clear_pointer (&writer, seq_text_writer_free);
      table = seq_text_table_ref ((SeqTextTable *) rows->table);
      writer = seq_text_writer_new (
          seq_text_format (to), table, suffixes, write, &error);
      g_assert_no_error (error);
      seq_text_writer_write_header (writer, out);
    }
    for (guint i = 0; i < rows->n_rows; i++) {
      for (guint k = 0; k < n * n_groups; k++)
        values[k] = rows->values[i * n + k % n] + k / n;
      seq_text_writer_write_row (writer, rows->times[i], values, out);
    }
  }
  g_assert_no_error (error);
  g_clear_pointer (&writer, seq_text_writer_free);
  seq_text_reader_free (reader);
  return g_string_free (out, FALSE);
}

typedef struct {
  const char *name, *from, *text, *to, *written; /* NULL: as it was */
  SeqTextReadOptions read;
  const char *const *suffixes;
  SeqTextWriteOptions write;
} Rewrite;

static const Rewrite rewrites[] = {
  { "csv", "csv", "timestamp,value\n2015-02-26 21:42:53,35\n", "csv", NULL },
  { "csv-dialect", "csv",
      "Zeit (ms);Druck [hPa];\"a;b\"\r\n5;-1013,25;\r\n10;1;2\r\n", "csv",
      NULL },
  { "csv-tab", "csv", "t\ta (s)\n0.50\t1\n1.00\t2\n", "csv", NULL },
  { "csv-no-header", "csv", "2024-01-01T00:00+01:00,1,,true\n", "csv", NULL },
  { "csv-no-time", "csv", "a,b\n1,2\n,\n3,inf\n", "csv", NULL },
  { "csv-one-column", "csv", "a\n1\n\"\"\n2\n", "csv", NULL },
  { "csv-groups", "csv", "t,a [V],b\n1,2,\n", "csv",
      "t,a [V],a.forecast [V],a.score [V],b,b.forecast,b.score\n1,2,3,4,,,\n",
      .suffixes = STRINGS ("", ".forecast", ".score") },
  { "csv-options", "csv", "t,a\n1,2.5\n", "csv", "1;2,5\n",
      .suffixes = STRINGS (""),
      .write = { .delimiter = ';',
          .decimal = ',',
          .header = SEQ_TEXT_HEADER_NO } },
  { "csv-decimal-delimits", "csv", "t,\"a,\"\" \"\n1,2.5\n", "csv",
      "t,\"a,\"\" \"\n1,\"2,5\"\n", .suffixes = STRINGS (""),
      .write = { .decimal = ',' } },
  { "csv-tags", "csv",
      "time,sensor,place,t [C],h\n1,a,x,10,50\n1,b,,20,60\n2,a,x,11,51\n",
      "csv", NULL, { .tags = STRINGS ("sensor", "place") } },
  { "csv-influx", "csv", "time,a b,c\n2024-01-01,2,3\n2024-01-02,,4\n",
      "influx",
      "seqfilter a\\ b=2,c=3 1704067200000000000\n"
      "seqfilter c=4 1704153600000000000\n" },
  { "csv-influx-epoch", "csv", "time,a\n5,2\n6,inf\n", "influx",
      "x\\ y a=2 5000000000\n", .suffixes = STRINGS (""),
      .write = { .measurement = "x y" } },
  { "csv-ndjson", "csv", "time,a \"\"b,c\n2024-01-01,2,3\n2024-01-02,,4\n",
      "ndjson",
      "{\"time\":\"2024-01-01\",\"a \\\"\\\"b\":2,\"c\":3}\n"
      "{\"time\":\"2024-01-02\",\"c\":4}\n" },
  { "influx", "influx",
      "cpu,host=a,z=b usage=0.5,n=3i,m=4u,up=true 1424986973000000000\n"
      "my\\ m\\,x,ta\\ g=a\\=b\\,\\ c fie\\ ld\\==1 1424986973000000000\n",
      "influx", NULL },
  { "influx-no-time", "influx", "m x=1\nm x=2\n", "influx", NULL },
  { "influx-groups", "influx", "m,h=a x=1i,y=2 1\nm,h=b x=3 1\nm,h=a x=5i 2\n",
      "influx",
      "m,h=a x=1i,x.forecast=2,y=2,y.forecast=3 1\n"
      "m,h=b x=3,x.forecast=4 1\nm,h=a x=5i,x.forecast=6 2\n",
      .suffixes = STRINGS ("", ".forecast") },
  { "influx-csv", "influx", "m,h=a x=1,y=2 1\nn x=3 1\nm,h=a x=4,y=5 2\n",
      "csv", "time,measurement,h,x,y\n1,m,a,1,2\n1,n,,3,\n2,m,a,4,5\n" },
  { "influx-ndjson", "influx", "m,h=a x=1,y=2 1\nn x=3 1\n", "ndjson",
      "{\"time\":1,\"measurement\":\"m\",\"h\":\"a\",\"x\":1,\"y\":2}\n"
      "{\"time\":1,\"measurement\":\"n\",\"x\":3}\n" },
  { "ndjson", "ndjson",
      "{\"time\":\"2015-02-26T21:42:53Z\",\"a\":1.5,\"up\":true}\n"
      "{\"time\":\"2015-02-26T21:43:53Z\",\"up\":false}\n",
      "ndjson", NULL },
  { "ndjson-influx", "ndjson",
      "{\"t\":1.5,\"measurement\":\"m\",\"h\":\"a\",\"v\":1}\n", "influx",
      "m,h=a v=1 1500000000\n", { .tags = STRINGS ("measurement", "h") } },
  { "ndjson-csv", "ndjson", "{\"t\":1,\"a,b\":2}\n", "csv",
      "t,\"a,b\"\n1,2\n" },
};

static void
test_rewrite (gconstpointer data)
{
  const Rewrite *r = data;
  const char *const *suffixes = r->suffixes ? r->suffixes : STRINGS ("");
  g_autofree char *written =
      rewrite (r->from, &r->read, r->text, r->to, suffixes, &r->write);

  g_assert_cmpstr (written, ==, r->written ? r->written : r->text);
}

static void
test_suffixes (void)
{
  static const char *const cases[][2] = { { "input", "" },
    { "prediction", ".forecast" }, { "residual", ".residual" },
    { "lower", ".lower" }, { "upper", ".upper" }, { "score", ".score" },
    { "alarm", ".alarm" } };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *suffix = seq_text_suffix (cases[i][0]);

    g_assert_cmpstr (suffix, ==, cases[i][1]);
  }
}

/* Any float64 comes back from any format with its bits. */
static void
test_exact (gconstpointer data)
{
  const char *format = data;
  const SeqTextReadOptions options = { 0 };
  const SeqTextWriteOptions write = { 0 };
  g_autoptr (GRand) rand = g_rand_new_with_seed (3);
  g_autoptr (SeqTextTable) table = seq_text_table_new ();
  g_autoptr (GString) text = g_string_new (NULL);
  SeqTextReader *reader =
      seq_text_reader_new (seq_text_format (format), &options, NULL);
  SeqTextWriter *writer;
  double values[1000][3];
  const SeqTextRows *rows;
  guint at = 0;

  table->time_name = g_strdup ("time");
  for (guint c = 0; c < 3; c++)
    seq_text_table_add (table, (const char *[]){ "a", "b", "c" }[c], NULL, NULL,
        SEQ_TEXT_FLOAT);
  writer = seq_text_writer_new (
      seq_text_format (format), table, STRINGS (""), &write, NULL);
  seq_text_writer_write_header (writer, text);
  for (guint i = 0; i < G_N_ELEMENTS (values); i++) {
    for (guint c = 0; c < 3; c++)
      do
        values[i][c] = random_double (rand);
      while (!isfinite (values[i][c]));
    seq_text_writer_write_row (writer,
        seq_time_from_ns (
            1424986973000000000 + i * G_GINT64_CONSTANT (250000000)),
        values[i], text);
  }
  seq_text_writer_free (writer);
  seq_text_reader_push (reader, text->str, text->len);
  seq_text_reader_end (reader);
  while ((rows = seq_text_reader_pull (reader, NULL)))
    for (guint i = 0; i < rows->n_rows; i++, at++) {
      g_assert_cmpint (
          rows->times[i].ns / 250000000, ==, 1424986973 * 4ll + at);
      for (guint c = 0; c < 3; c++)
        g_assert_true (is_same (rows->values[i * 3 + c], values[at][c]));
    }
  g_assert_cmpuint (at, ==, G_N_ELEMENTS (values));
  seq_text_reader_free (reader);
}

/* The files of a public benchmark come out as they are, but for zeros at the
 * end of numbers. */
static void
test_benchmark_files (void)
{
  const char *shared = g_getenv ("SEQ_SHARED");
  g_autofree char *top =
      g_build_filename (shared ? shared : "", "nab/data", NULL);
  g_autoptr (GDir) folders = g_dir_open (top, 0, NULL);
  const char *folder, *name;
  guint n = 0;

  if (!folders) {
    g_test_skip ("NOT RUN: there is no ../shared/nab");
    return;
  }
  while ((folder = g_dir_read_name (folders))) {
    g_autofree char *path = g_build_filename (top, folder, NULL);
    g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);

    while (dir && (name = g_dir_read_name (dir))) {
      g_autofree char *file = g_build_filename (path, name, NULL);
      g_autofree char *text = NULL, *written = NULL;
      g_auto (GStrv) before = NULL, after = NULL;
      const SeqTextReadOptions options = { 0 };
      const SeqTextWriteOptions write = { 0 };

      if (!g_file_get_contents (file, &text, NULL, NULL))
        continue;
      written = rewrite ("csv", &options, text, "csv", STRINGS (""), &write);
      before = g_strsplit_set (g_strchomp (text), "\r\n", -1);
      after = g_strsplit_set (g_strchomp (written), "\r\n", -1);
      for (guint i = 0, k = 0; before[i]; i++) {
        const char *comma = strchr (before[i], ',');

        if (!*before[i])
          continue;
        for (; after[k] && !*after[k]; k++)
          ;
        g_assert_nonnull (after[k]);
        if (strncmp (before[i], after[k], (gsize) (comma + 1 - before[i])) != 0
            || (i > 0
                && g_ascii_strtod (comma + 1, NULL)
                       != g_ascii_strtod (strchr (after[k], ',') + 1, NULL)))
          g_error ("%s: %s became %s", name, before[i], after[k]);
        k++;
      }
      n++;
    }
  }
  g_test_message ("%u files", n);
  g_assert_cmpuint (n, >, 0);
}

/* Where numbers have a decimal comma, text does not. */
static void
test_locale (void)
{
  const SeqTextReadOptions options = { 0 };
  g_autofree char *shown = NULL;

  if (!setlocale (LC_ALL, "de_DE.UTF-8")) {
    g_test_skip ("NOT RUN: there is no locale de_DE.UTF-8");
    return;
  }
  shown = show ("csv", &options, "t,a,b\n0.5,1.5,1e-300\n", 21, 0);
  setlocale (LC_ALL, "C");
  g_assert_cmpstr (shown, ==, "= a b\n0.5 1.5 1e-300\n");
}

int
main (int argc, char **argv)
{
  const SeqTextFormat *const *formats = seq_text_formats ();

  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/text/number/parse", test_numbers);
  g_test_add_func ("/text/number/parse-random", test_numbers_at_random);
  g_test_add_func ("/text/number/print", test_printing);
  g_test_add_func ("/text/time/parse-print", test_times);
  g_test_add_func ("/text/time/days", test_days);
  g_test_add_func ("/text/time/units", test_time_units);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *path = g_strdup_printf ("/text/read/%s", cases[i].name);

    g_test_add_data_func (path, &cases[i], test_case);
  }
  g_test_add_func ("/text/read/sniff", test_sniff);
  g_test_add_func ("/text/read/long-lines", test_long_lines);
  g_test_add_func ("/text/read/byte-by-byte", test_byte_by_byte);
  g_test_add_func ("/text/read/warnings", test_warnings);
  g_test_add_func ("/text/read/at-once", test_at_once);
  g_test_add_func ("/text/read/too-many-columns", test_too_many_columns);
  g_test_add_func ("/text/read/locale", test_locale);
  g_test_add_func ("/text/refusals", test_refusals);
  for (guint i = 0; i < G_N_ELEMENTS (rewrites); i++) {
    g_autofree char *path =
        g_strdup_printf ("/text/write/%s", rewrites[i].name);

    g_test_add_data_func (path, &rewrites[i], test_rewrite);
  }
  g_test_add_func ("/text/write/suffixes", test_suffixes);
  for (guint i = 0; formats[i]; i++) {
    const char *name = seq_text_format_name (formats[i]);
    g_autofree char *path = g_strdup_printf ("/text/exact/%s", name);

    g_test_add_data_func (path, name, test_exact);
  }
  g_test_add_func ("/text/exact/benchmark-files", test_benchmark_files);
  return g_test_run ();
}
