/* time.c: timestamps to nanoseconds and back, as they were written.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A style is 32 bits, so that it is compared and carried at no cost:
 *
 *   bit  0  kind: none, s, ms, us, ns (numbers since 1970), ISO 8601
 *        3  digits of the fraction, 0 to 9
 *        7  the fraction follows a comma
 *        8  between date and time: T, t, a space, or nothing: a date alone
 *       10  the date has slashes
 *       11  neither date nor time have separators
 *       12  no seconds
 *       13  zone: none, Z, z, +hh:mm, +hhmm, +hh
 *       16  the zone is west of Greenwich (or -00:00)
 *       17  minutes that the zone is away from UTC, 11 bits
 *       28  a whole number of line protocol
 */
#include "src/text/time.h"

#include "src/text/number.h"

#include <string.h>

#define KIND_ISO 5
#define FRACTION 3
#define COMMA (1u << 7)
#define BETWEEN 8
#define SLASHES (1u << 10)
#define COMPACT (1u << 11)
#define NO_SECONDS (1u << 12)
#define ZONE 13
#define WEST (1u << 16)
#define OFFSET 17
#define PROTOCOL (1u << 28)

enum { BETWEEN_T, BETWEEN_SMALL_T, BETWEEN_SPACE, DATE_ALONE };
enum { ZONE_NONE, ZONE_Z, ZONE_SMALL_Z, ZONE_COLON, ZONE_PLAIN, ZONE_HOURS };

#define FIRST_YEAR 1678 /* of those that lie whole within 64 bits of ns */
#define LAST_YEAR 2261
#define SECOND G_GINT64_CONSTANT (1000000000)
#define MINUTE (60 * SECOND)
#define DAY 86400

static const gint64 powers_of_10[10] = { 1, 10, 100, 1000, 10000, 100000,
  1000000, 10000000, 100000000, 1000000000 };

/* digits of a nanosecond that a unit has after its point */
static const guint unit_digits[] = { 0, 9, 6, 3, 0 };

static gboolean
is_digit (char c)
{
  return (guint8) (c - '0') < 10;
}

/* Days from 1970-01-01. Years that begin in March have their leap day last,
 * and their months before it come to 153 days in every five. */
static gint
days_of (gint year, gint month, gint day)
{
  gint y = month > 2 ? year : year - 1, m = month > 2 ? month - 3 : month + 9;

  return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 719469;
}

/* The other way. */
static void
date_of (gint days, gint *year, gint *month, gint *day)
{
  gint n = days + 719468; /* from 0000-03-01 */
  gint y = (gint) ((n + 0.75) / 365.2425), m;

  while (days_of (y, 3, 1) > days)
    y--;
  while (days_of (y + 1, 3, 1) <= days)
    y++;
  n = days - days_of (y, 3, 1);
  m = (5 * n + 2) / 153;
  *day = n - (153 * m + 2) / 5 + 1;
  *month = m < 10 ? m + 3 : m - 9;
  *year = y + (m >= 10);
}

static gboolean
is_date (gint year, gint month, gint day)
{
  static const gint days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
  gboolean leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

  return year >= FIRST_YEAR && year <= LAST_YEAR && month >= 1 && month <= 12
         && day >= 1 && day <= days[month - 1] + (month == 2 && leap);
}

/* Two digits at p, or -1. */
static inline gint
two (const char *p)
{
  return is_digit (p[0]) && is_digit (p[1]) ? (p[0] - '0') * 10 + (p[1] - '0')
                                            : -1;
}

/* The fraction of a unit of 10^n_digits ns, from its mark on: adds to *ns, and
 * to the style. Returns where it ends, or NULL if there is no digit. */
static const char *
parse_fraction (
    const char *p, const char *end, guint n_digits, gint64 *ns, guint32 *style)
{
  gint64 fraction = 0;
  guint n = 0;

  if (*p == ',')
    *style |= COMMA;
  for (p++; p < end && is_digit (*p); p++)
    if (n < n_digits) {
      fraction = fraction * 10 + (*p - '0');
      n++;
    }
  if (!is_digit (p[-1]))
    return NULL;
  *style |= n << FRACTION;
  *ns += fraction * powers_of_10[n_digits - n];
  return p;
}

/* A zone to the end of the text. minutes: east of Greenwich. */
static gboolean
parse_zone (const char *p, const char *end, gint *minutes, guint32 *style)
{
  gint hour, minute = 0, form;
  gsize n = (gsize) (end - p);

  *minutes = 0;
  if (n == 1 && (*p == 'Z' || *p == 'z')) {
    *style |= (*p == 'Z' ? ZONE_Z : ZONE_SMALL_Z) << ZONE;
    return TRUE;
  }
  if (n < 3 || (*p != '+' && *p != '-'))
    return n == 0;
  hour = two (p + 1);
  if (n == 6 && p[3] == ':') {
    form = ZONE_COLON;
    minute = two (p + 4);
  } else if (n == 5) {
    form = ZONE_PLAIN;
    minute = two (p + 3);
  } else if (n == 3)
    form = ZONE_HOURS;
  else
    return FALSE;
  if (hour < 0 || hour > 23 || minute < 0 || minute > 59)
    return FALSE;
  *minutes = hour * 60 + minute;
  *style |= (guint32) form << ZONE | (guint32) *minutes << OFFSET;
  if (*p == '-') {
    *style |= WEST;
    *minutes = -*minutes;
  }
  return TRUE;
}

/* hh:mm, hh:mm:ss or hhmmss; returns where it ends, or NULL. */
static const char *
parse_clock (const char *p, const char *end, gint *seconds, guint32 *style)
{
  gint hour, minute, second = 0;
  gboolean compact = *style & COMPACT;
  gsize n = (gsize) (end - p);

  if (n < (compact ? 6 : 5))
    return NULL;
  hour = two (p);
  p += compact ? 2 : 3;
  if (!compact && p[-1] != ':')
    return NULL;
  minute = two (p);
  p += 2;
  if (compact || (end - p >= 3 && *p == ':')) {
    p += !compact;
    second = two (p);
    p += 2;
  } else
    *style |= NO_SECONDS;
  if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0
      || second > 60)
    return NULL;
  *seconds = (hour * 60 + minute) * 60 + second;
  return p;
}

static gboolean
parse_iso (const char *p, gsize size, SeqTime *time)
{
  const char *end = p + size;
  guint32 style = KIND_ISO;
  gint year, month, day, seconds = 0, minutes;
  gint64 ns = 0;

  if (size < 10)
    return FALSE;
  year = two (p) < 0 || two (p + 2) < 0 ? -1 : two (p) * 100 + two (p + 2);
  if ((p[4] == '-' || p[4] == '/') && p[7] == p[4]) {
    style |= p[4] == '/' ? SLASHES : 0;
    month = two (p + 5);
    day = two (p + 8);
    p += 10;
  } else {
    style |= COMPACT;
    month = two (p + 4);
    day = two (p + 6);
    p += 8;
  }
  if (!is_date (year, month, day))
    return FALSE;
  if (p == end)
    style |= DATE_ALONE << BETWEEN;
  else {
    if (*p == ' ' && !(style & COMPACT))
      style |= BETWEEN_SPACE << BETWEEN;
    else if (*p == 't')
      style |= BETWEEN_SMALL_T << BETWEEN;
    else if (*p != 'T')
      return FALSE;
    p = parse_clock (p + 1, end, &seconds, &style);
    if (p && p < end && (*p == '.' || *p == ',') && !(style & NO_SECONDS))
      p = parse_fraction (p, end, 9, &ns, &style);
    if (!p || !parse_zone (p, end, &minutes, &style))
      return FALSE;
    ns -= minutes * MINUTE;
  }
  time->ns =
      ((gint64) days_of (year, month, day) * DAY + seconds) * SECOND + ns;
  time->style = style;
  return TRUE;
}

/* A number since 1970. */
static gboolean
parse_number (const char *p, gsize size, SeqTimeUnit *unit, SeqTime *time)
{
  const char *end = p + size;
  gboolean negative = p < end && *p == '-';
  guint64 whole = 0;
  gint64 ns = 0, fraction = 0;
  SeqTimeUnit found = *unit;
  guint32 style;

  p += p < end && (*p == '-' || *p == '+');
  if (p == end || !is_digit (*p))
    return FALSE;
  for (; p < end && is_digit (*p); p++) {
    if (whole > G_MAXINT64 / 10 - 1)
      return FALSE;
    whole = whole * 10 + (guint64) (*p - '0');
  }
  if (found == SEQ_TIME_UNIT_AUTO)
    found = whole < G_GUINT64_CONSTANT (10000000000)         ? SEQ_TIME_UNIT_S
            : whole < G_GUINT64_CONSTANT (10000000000000)    ? SEQ_TIME_UNIT_MS
            : whole < G_GUINT64_CONSTANT (10000000000000000) ? SEQ_TIME_UNIT_US
                                                             : SEQ_TIME_UNIT_NS;
  style = found;
  if (p < end && (*p == '.' || *p == ',')) {
    p = parse_fraction (p, end, unit_digits[found], &fraction, &style);
    if (!p)
      return FALSE;
  }
  if (p < end
      || __builtin_mul_overflow (
          (gint64) whole, powers_of_10[unit_digits[found]], &ns)
      || __builtin_add_overflow (ns, fraction, &ns))
    return FALSE;
  if (whole)
    *unit = found;
  time->ns = negative ? -ns : ns;
  time->style = style;
  return TRUE;
}

gboolean
seq_time_parse (const char *text, gsize size, SeqTimeUnit *unit, SeqTime *time)
{
  return parse_iso (text, size, time)
         || (unit && parse_number (text, size, unit, time));
}

/* n digits with zeros in front */
static char *
print_padded (char *p, guint64 value, guint n)
{
  for (guint i = n; i > 0; i--, value /= 10)
    p[i - 1] = (char) ('0' + value % 10);
  return p + n;
}

static char *
print_fraction (char *p, guint64 fraction, guint n_digits, guint32 style)
{
  guint n = style >> FRACTION & 15;

  if (n == 0)
    return p;
  *p++ = style & COMMA ? ',' : '.';
  return print_padded (p, fraction / (guint64) powers_of_10[n_digits - n], n);
}

static char *
print_zone (char *p, guint32 style)
{
  guint form = style >> ZONE & 7, minutes = style >> OFFSET & 2047;

  if (form == ZONE_NONE)
    return p;
  if (form == ZONE_Z || form == ZONE_SMALL_Z) {
    *p++ = form == ZONE_Z ? 'Z' : 'z';
    return p;
  }
  *p++ = style & WEST ? '-' : '+';
  p = print_padded (p, minutes / 60, 2);
  if (form == ZONE_COLON)
    *p++ = ':';
  return form == ZONE_HOURS ? p : print_padded (p, minutes % 60, 2);
}

static char *
print_iso (char *p, SeqTime time)
{
  gint64 minutes = time.style >> OFFSET & 2047;
  /* floors, before 1970 too; the zone moves whole seconds only */
  gint64 seconds = time.ns / SECOND - (time.ns % SECOND < 0);
  guint64 fraction = (guint64) (time.ns - seconds * SECOND);
  gboolean compact = time.style & COMPACT;
  guint between = time.style >> BETWEEN & 3;
  gint year, month, day;
  guint clock;

  seconds += (time.style & WEST ? -minutes : minutes) * 60;
  day = (gint) (seconds / DAY - (seconds % DAY < 0));
  clock = (guint) (seconds - (gint64) day * DAY);
  date_of (day, &year, &month, &day);
  p = print_padded (p, (guint64) year, 4);
  if (!compact)
    *p++ = time.style & SLASHES ? '/' : '-';
  p = print_padded (p, (guint64) month, 2);
  if (!compact)
    *p++ = time.style & SLASHES ? '/' : '-';
  p = print_padded (p, (guint64) day, 2);
  if (between == DATE_ALONE)
    return p;
  *p++ = "Tt "[between];
  p = print_padded (p, clock / 3600, 2);
  if (!compact)
    *p++ = ':';
  p = print_padded (p, clock / 60 % 60, 2);
  if (!(time.style & NO_SECONDS)) {
    if (!compact)
      *p++ = ':';
    p = print_padded (p, clock % 60, 2);
    p = print_fraction (p, fraction, 9, time.style);
  }
  return print_zone (p, time.style);
}

gsize
seq_time_print (SeqTime time, char *text)
{
  guint kind = time.style & 7;
  char *p = text;
  guint64 ns;
  gint64 scale;

  if (kind == 0)
    return 0;
  if (kind == KIND_ISO)
    return (gsize) (print_iso (text, time) - text);
  if (time.ns < 0)
    *p++ = '-';
  ns = time.ns < 0 ? -(guint64) time.ns : (guint64) time.ns;
  scale = powers_of_10[unit_digits[kind]];
  p += seq_number_print_whole (ns / (guint64) scale, p);
  p = print_fraction (p, ns % (guint64) scale, unit_digits[kind], time.style);
  return (gsize) (p - text);
}

gboolean
seq_time_is_style (guint32 style)
{
  guint kind = style & 7;

  return kind <= KIND_ISO && (style >> ZONE & 7) <= ZONE_HOURS
         && (style >> FRACTION & 15)
                <= (kind == KIND_ISO ? 9 : unit_digits[kind]);
}

gboolean
seq_time_is_number (SeqTime time)
{
  return (time.style & 7) != KIND_ISO && !(time.style & COMMA);
}

SeqTime
seq_time_from_protocol (SeqTime time)
{
  time.style |= PROTOCOL;
  return time;
}

SeqTime
seq_time_to_protocol (SeqTime time)
{
  if (!(time.style & PROTOCOL))
    time.style = SEQ_TIME_UNIT_NS | PROTOCOL;
  return time;
}

SeqTime
seq_time_from_ns (gint64 ns)
{
  guint n = 9;

  for (gint64 rest = ns; n > 0 && rest % 10 == 0; rest /= 10)
    n--;
  return (SeqTime){ ns, SEQ_TIME_UNIT_S | n << FRACTION };
}
