/* number.c: float64 to decimal text and back, exactly.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Almost all numbers of real files have at most 19 digits and a modest
 * exponent. For them both directions are whole-number arithmetic, since
 * 10^k = 5^k 2^k and 5^27 fits in 64 bits:
 *
 *   reading   w 10^k: the product w 5^k is exact in 128 bits, and a quotient
 *             by 5^-k is exact but for its remainder, which only breaks ties
 *   printing  x = f 2^e: of all decimals between the midpoints to x's
 *             neighbours, which read back as x, the one with the fewest digits
 *
 * The rest goes to strtod and printf.
 */
#include "src/text/number.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

__extension__ typedef unsigned __int128 u128;

#define MAX_POWER 27         /* of five, in 64 bits */
#define MAX_EXACT_POWER 22   /* of ten, in a double */
#define MAX_DIGITS 19        /* in 64 bits */
#define MAX_EXPONENT 1000000 /* where a written exponent is held */

static const guint64 powers_of_5[MAX_POWER + 1] = { 1, 5, 25, 125, 625, 3125,
  15625, 78125, 390625, 1953125, 9765625, 48828125, 244140625, 1220703125,
  6103515625, 30517578125, 152587890625, 762939453125, 3814697265625,
  19073486328125, 95367431640625, 476837158203125, 2384185791015625,
  11920928955078125, 59604644775390625, 298023223876953125, 1490116119384765625,
  7450580596923828125 };

static const double powers_of_10[MAX_EXACT_POWER + 1] = { 1e0, 1e1, 1e2, 1e3,
  1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17,
  1e18, 1e19, 1e20, 1e21, 1e22 };

static const guint64 whole_powers_of_10[20] = { 1, 10, 100, 1000, 10000, 100000,
  1000000, 10000000, 100000000, 1000000000, 10000000000, 100000000000,
  1000000000000, 10000000000000, 100000000000000, 1000000000000000,
  10000000000000000, 100000000000000000, 1000000000000000000,
  10000000000000000000u };

/* --- reading -------------------------------------------------------------- */

static guint
bit_length (u128 m)
{
  guint64 high = (guint64) (m >> 64), low = (guint64) m;

  return high  ? 128u - (guint) __builtin_clzll (high)
         : low ? 64u - (guint) __builtin_clzll (low)
               : 0;
}

/* m 2^exponent, where m has more than 54 bits and `more` says that a little
 * is missing from it; the result is a normal number. */
static double
round_to_double (u128 m, gboolean more, gint exponent)
{
  guint shift = bit_length (m) - 53;
  guint64 top = (guint64) (m >> shift);
  u128 rest = m - ((u128) top << shift), half = (u128) 1 << (shift - 1);

  if (rest > half || (rest == half && (more || (top & 1))))
    top++;
  return ldexp ((double) top, exponent + (gint) shift);
}

/* w 10^exponent for w > 0; the exponent is within MAX_POWER. */
static double
scale (guint64 w, gint exponent)
{
  guint shift_w, shift_d;
  guint64 d;
  u128 n;

  if (w >> 53 == 0 && exponent >= -MAX_EXACT_POWER
      && exponent <= MAX_EXACT_POWER) /* one operation rounds once */
    return exponent < 0 ? (double) w / powers_of_10[-exponent]
                        : (double) w * powers_of_10[exponent];
  if (exponent >= 0) {
    n = (u128) w * powers_of_5[exponent];
    return bit_length (n) <= 53 ? ldexp ((double) (guint64) n, exponent)
                                : round_to_double (n, FALSE, exponent);
  }
  d = powers_of_5[-exponent];
  shift_w = (guint) __builtin_clzll (w);
  shift_d = (guint) __builtin_clzll (d);
  n = (u128) (w << shift_w) << 63; /* the quotient has 63 or 64 bits */
  d <<= shift_d;
  return round_to_double (
      n / d, n % d != 0, exponent + (gint) shift_d - (gint) shift_w - 63);
}

/* What has been found to be a number, by the C library. */
static double
parse_slowly (const char *text, gsize size)
{
  char small[128];
  char *copy = size < sizeof small ? small : g_malloc (size + 1);
  char *comma;
  double value;

  memcpy (copy, text, size);
  copy[size] = 0;
  comma = strchr (copy, ',');
  if (comma)
    *comma = '.';
  value = g_ascii_strtod (copy, NULL);
  if (copy != small)
    g_free (copy);
  return value;
}

static gsize
parse_word (const char *text, gsize size, double *value)
{
  static const struct {
    const char *word;
    double value;
  } words[] = { { "infinity", INFINITY }, { "inf", INFINITY }, { "nan", NAN } };

  for (guint i = 0; i < G_N_ELEMENTS (words); i++) {
    gsize n = strlen (words[i].word);

    if (size >= n && g_ascii_strncasecmp (text, words[i].word, n) == 0) {
      *value = words[i].value;
      return n;
    }
  }
  return 0;
}

static inline gboolean
is_digit (char c)
{
  return (guint8) (c - '0') < 10;
}

/* More than MAX_DIGITS digits after leading zeros. */
static gboolean
has_more_digits (const char *p, const char *end)
{
  gsize n = 0;

  for (; p < end; p++)
    n += is_digit (*p) && (n || *p != '0');
  return n > MAX_DIGITS;
}

gsize
seq_number_parse (
    const char *text, gsize size, SeqTextMarks marks, double *value)
{
  const char *p = text, *end = text + size, *digits;
  gboolean negative = FALSE, too_long;
  guint64 w = 0; /* wraps when there are too many digits */
  gint exponent = 0;

  if (p < end && (*p == '-' || *p == '+'))
    negative = *p++ == '-';
  for (digits = p; p < end && is_digit (*p); p++)
    w = w * 10 + (guint64) (*p - '0');
  if (p < end
      && ((*p == '.' && marks & SEQ_MARK_POINT)
          || (*p == ',' && marks & SEQ_MARK_COMMA))) {
    const char *mark = p++;

    for (; p < end && is_digit (*p); p++)
      w = w * 10 + (guint64) (*p - '0');
    if (p == mark + 1 && mark == digits) /* a mark alone */
      return 0;
    exponent = (gint) MAX (mark + 1 - p, -MAX_EXPONENT);
  }
  too_long = p - digits > MAX_DIGITS && has_more_digits (digits, p);
  if (p == digits) {
    gsize n = parse_word (p, (gsize) (end - p), value);

    if (n && negative)
      *value = -*value;
    return n ? n + (gsize) (p - text) : 0;
  }
  if (p < end && (*p == 'e' || *p == 'E')) {
    const char *q = p + 1;
    gboolean down = FALSE;
    gint e = 0;

    if (q < end && (*q == '-' || *q == '+'))
      down = *q++ == '-';
    if (q < end && is_digit (*q)) {
      for (; q < end && is_digit (*q); q++)
        e = MIN (e * 10 + (*q - '0'), MAX_EXPONENT);
      exponent += down ? -e : e;
      p = q;
    }
  }
  if (too_long || (w != 0 && ABS (exponent) > MAX_POWER)) {
    *value = parse_slowly (text, (gsize) (p - text));
    return (gsize) (p - text);
  }
  *value = w == 0 ? 0 : scale (w, exponent);
  if (negative)
    *value = -*value;
  return (gsize) (p - text);
}

/* --- printing ------------------------------------------------------------- */

static guint
count_digits (guint64 value)
{
  /* log10 (2) = 1233 / 4096, rounded down */
  guint n = (64 - (guint) __builtin_clzll (value | 1)) * 1233 >> 12;

  return n + (value >= whole_powers_of_10[n]);
}

/* The last n digits of a value, two at a time. */
static inline void
write_digits (guint64 value, guint n, char *text)
{
  static const char pairs[] =
      "00010203040506070809101112131415161718192021222324252627282930313233"
      "34353637383940414243444546474849505152535455565758596061626364656667"
      "6869707172737475767778798081828384858687888990919293949596979899";

  for (; n > 1; value /= 100) {
    n -= 2;
    memcpy (text + n, pairs + value % 100 * 2, 2);
  }
  if (n > 0)
    text[0] = (char) ('0' + value % 10);
}

gsize
seq_number_print_whole (guint64 value, char *text)
{
  guint n = MAX (count_digits (value), 1);

  write_digits (value, n, text);
  return n;
}

/* digits 10^exponent as d.ddde+xx */
static gsize
lay_out_scientific (guint64 digits, gint exponent, char mark, char *text)
{
  guint n = count_digits (digits);
  char *p = text + 1;

  write_digits (digits, n, n > 1 ? p : text);
  if (n > 1) {
    text[0] = p[0];
    p[0] = mark;
    p += n;
  }
  return (gsize) (p + sprintf (p, "e%+03d", (gint) n - 1 + exponent) - text);
}

/* Lays out digits 10^exponent as Python does: with an exponent below 1e-4 and
 * from 1e16 on. */
static gsize
lay_out (guint64 digits, gint exponent, char mark, char *text)
{
  gint n = (gint) count_digits (digits);
  gint point = n + exponent; /* digits before the mark */

  if (point > 16 || point < -3)
    return lay_out_scientific (digits, exponent, mark, text);
  if (exponent >= 0) {
    write_digits (digits, (guint) n, text);
    memset (text + n, '0', (gsize) exponent);
    return (gsize) point;
  }
  if (point <= 0) {
    memcpy (text, "0.000", 5);
    text[1] = mark;
    write_digits (digits, (guint) n, text + 2 - point);
    return (gsize) (2 - point + n);
  }
  write_digits (digits / whole_powers_of_10[-exponent], (guint) point, text);
  text[point] = mark;
  write_digits (digits, (guint) -exponent, text + point + 1);
  return (gsize) (n + 1);
}

/* A value > 0 beyond what shortest() can do. */
static gsize
print_slowly (double value, char mark, char *text)
{
  for (gint precision = value < 0x1p-1022 ? 1 : 15;; precision++) {
    char format[16], number[SEQ_NUMBER_SIZE];
    guint64 digits = 0;
    gint exponent, n_after = 0;
    char *p;

    sprintf (format, "%%.%de", precision - 1);
    g_ascii_formatd (number, sizeof number, format, value);
    if (precision < 17 && g_ascii_strtod (number, NULL) != value)
      continue;
    for (p = number; *p != 'e'; p++)
      if (*p != '.') {
        digits = digits * 10 + (guint64) (*p - '0');
        n_after += p > number;
      }
    exponent = atoi (p + 1) - n_after;
    for (; digits % 10 == 0; exponent++)
      digits /= 10;
    return lay_out (digits, exponent, mark, text);
  }
}

/* From lo to hi in units to lo to hi in units `power` = 10^n times as large, if
 * there is a whole number of these; returns n, else 0. */
static inline gint
drop_digits (guint64 *lo, guint64 *hi, guint64 *unit, guint64 power, gint n)
{
  guint64 first = (*lo + power - 1) / power, last = *hi / power;

  if (first > last)
    return 0;
  *lo = first;
  *hi = last;
  *unit *= power;
  return n;
}

/* The shortest decimal of f 2^e, f of 53 bits; FALSE if its power of five does
 * not fit. All is held in units of 10^-k, in which the value has 17 or 18
 * digits before the point, so that some whole number is always close enough. */
static gboolean
shortest (guint64 f, gint e, guint64 *digits, gint *exponent)
{
  gint k = 16 - ((e + 52) * 78913 >> 18); /* log10 (2) = 78913 / 2^18 */
  gint shift;                             /* 4 f 5^k 2^-shift: the value */
  u128 value, low, high, rest;
  guint64 lo, hi, whole, unit = 1;
  gint n_dropped = 0;
  gboolean odd = f & 1;

  if (k < 0 || k > MAX_POWER)
    return FALSE;
  shift = 2 - e - k;
  value = (u128) (4 * f) * powers_of_5[k];
  /* midpoints to the neighbours; below a power of two it is half as far */
  low = (u128) (4 * f - (f == (guint64) 1 << 52 ? 1 : 2)) * powers_of_5[k];
  high = (u128) (4 * f + 2) * powers_of_5[k];
  if (shift < 0) {
    value <<= -shift;
    low <<= -shift;
    high <<= -shift;
    shift = 0;
  }
  /* whole numbers from lo to hi read back as the value; of the midpoints
   * themselves only an even f does */
  lo = (guint64) ((low + (((u128) 1 << shift) - 1)) >> shift);
  hi = (guint64) (high >> shift);
  if (odd && (u128) lo << shift == low)
    lo++;
  if (odd && (u128) hi << shift == high)
    hi--;
  for (guint i = 0; i < 2; i++)
    n_dropped += drop_digits (&lo, &hi, &unit, 100000000, 8);
  n_dropped += drop_digits (&lo, &hi, &unit, 10000, 4);
  n_dropped += drop_digits (&lo, &hi, &unit, 100, 2);
  n_dropped += drop_digits (&lo, &hi, &unit, 10, 1);
  /* of those with as few digits the nearest: whole + rest / 2^shift, in units
   */
  whole = (guint64) (value >> shift);
  rest = value - ((u128) whole << shift);
  rest += (u128) (whole % unit) << shift;
  whole /= unit;
  if (2 * rest > (u128) unit << shift
      || (2 * rest == (u128) unit << shift && (whole & 1)))
    whole++;
  *digits = CLAMP (whole, lo, hi);
  *exponent = n_dropped - k;
  return TRUE;
}

/* A value > 0 of up to six decimals and 15 digits: no other decimal of 15
 * digits reads back as the same value. */
static gboolean
is_short (double value, guint64 *digits, gint *exponent)
{
  double scaled = value * 1e6;

  if (!(scaled < 1e15))
    return FALSE;
  *digits = (guint64) (scaled + 0.5);
  if ((double) *digits / 1e6 != value)
    return FALSE;
  for (*exponent = -6; *digits % 10 == 0; ++*exponent)
    *digits /= 10;
  return TRUE;
}

gsize
seq_number_print (double value, char mark, char *text)
{
  guint64 bits, digits;
  gint e, exponent;
  char *p = text;

  if (isnan (value)) {
    memcpy (text, "nan", 3);
    return 3;
  }
  if (signbit (value)) {
    *p++ = '-';
    value = -value;
  }
  if (isinf (value)) {
    memcpy (p, "inf", 3);
    return (gsize) (p + 3 - text);
  }
  if (value < 1e15 && value == (double) (guint64) value)
    return (gsize) (p - text) + seq_number_print_whole ((guint64) value, p);
  if (is_short (value, &digits, &exponent))
    return (gsize) (p - text) + lay_out (digits, exponent, mark, p);
  memcpy (&bits, &value, sizeof bits);
  e = (gint) (bits >> 52) - 1075;
  bits &= ((guint64) 1 << 52) - 1;
  if (e > -1075 && shortest (bits | (guint64) 1 << 52, e, &digits, &exponent))
    return (gsize) (p - text) + lay_out (digits, exponent, mark, p);
  return (gsize) (p - text) + print_slowly (value, mark, p);
}
