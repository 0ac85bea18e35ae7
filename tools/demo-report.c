/* demo-report.c: the demo's table and picture, from what its pipelines wrote.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 *   demo-report FOLDER MODEL...
 *
 * Reads FOLDER/MODEL.wav (float, three channels: input, prediction, residual)
 * and FOLDER/MODEL.trace (GStreamer's latency tracer), prints a table and draws
 * the lstm in FOLDER/prediction.png.
 */
#include <cairo.h>
#include <glib.h>
#include <math.h>
#include <string.h>

typedef struct {
  guint rate, n_frames;
  const float *x; /* [n_frames][3]; in bytes */
  char *bytes;
} Recording;

static Recording
read_recording (const char *folder, const char *model)
{
  g_autofree char *path = g_strdup_printf ("%s/%s.wav", folder, model);
  g_autoptr (GError) error = NULL;
  Recording r = { 0 };
  gsize size, at = 12;

  if (!g_file_get_contents (path, &r.bytes, &size, &error))
    g_error ("%s", error->message);
  while (at + 8 <= size) {
    guint32 chunk = *(guint32 *) (r.bytes + at + 4);

    if (memcmp (r.bytes + at, "fmt ", 4) == 0)
      r.rate = *(guint32 *) (r.bytes + at + 12);
    if (memcmp (r.bytes + at, "data", 4) == 0) {
      r.x = (const float *) (r.bytes + at + 8);
      r.n_frames = (guint) (MIN (chunk, size - at - 8) / 12);
      break;
    }
    at += 8 + chunk + chunk % 2;
  }
  if (r.n_frames < 3 || r.rate == 0)
    g_error ("%s: has no samples", path);
  return r;
}

/* Nanoseconds that the element took, from the tracer's log. */
static double
read_time (const char *folder, const char *model)
{
  g_autofree char *path = g_strdup_printf ("%s/%s.trace", folder, model);
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;
  double sum = 0;

  if (!g_file_get_contents (path, &text, NULL, NULL))
    return NAN;
  lines = g_strsplit (text, "\n", -1);
  for (char **line = lines; *line; line++) {
    const char *time = strstr (*line, "time=(guint64)");

    if (time && strstr (*line, "element-latency,")
        && strstr (*line, "element=(string)filter"))
      sum += g_ascii_strtod (time + strlen ("time=(guint64)"), NULL);
  }
  return sum;
}

/* Power of the signal over power of the residual from a frame on, dB. */
static double
gain (const Recording *r, guint from, gboolean persistence)
{
  double signal = 0, residual = 0;

  for (guint t = MAX (from, 1); t < r->n_frames; t++) {
    double x = r->x[3 * t], e = r->x[3 * t + 2];

    if (persistence)
      e = x - r->x[3 * (t - 1)];
    signal += x * x;
    residual += e * e;
  }
  return 10 * log10 (signal / residual);
}

static void
curve (cairo_t *cr, const Recording *r, guint from, guint n, guint channel,
    double y0, double scale)
{
  cairo_new_path (cr);
  for (guint i = 0; i < n; i++)
    cairo_line_to (
        cr, 60 + 820.0 * i / n, y0 - scale * r->x[3 * (from + i) + channel]);
  cairo_stroke (cr);
}

/* Returns where the text ends. */
static double
label (cairo_t *cr, double x, double y, const char *text)
{
  cairo_move_to (cr, x, y);
  cairo_show_text (cr, text);
  cairo_get_current_point (cr, &x, &y);
  return x;
}

/* Where the loudest n frames of the last third begin. */
static guint
loudest (const Recording *r, guint n)
{
  guint first = r->n_frames / 3 * 2, best = first;
  double most = 0;

  for (guint start = first; start + n < r->n_frames; start += n) {
    double power = 0;

    for (guint t = start; t < start + n; t++)
      power += r->x[3 * t] * r->x[3 * t];
    if (power > most) {
      most = power;
      best = start;
    }
  }
  return best;
}

static void
draw (const Recording *r, const char *folder)
{
  g_autofree char *path = g_strdup_printf ("%s/prediction.png", folder);
  g_autofree char *magnified = NULL;
  guint n = r->rate / 50, from = loudest (r, n);
  double peak = 1e-9, residual = 1e-9, scale, x;
  guint zoom = 1;
  cairo_surface_t *surface =
      cairo_image_surface_create (CAIRO_FORMAT_RGB24, 900, 460);
  cairo_t *cr = cairo_create (surface);

  for (guint t = from; t < from + n; t++) {
    peak = MAX (peak, fabs (r->x[3 * t]));
    residual = MAX (residual, fabs (r->x[3 * t + 2]));
  }
  scale = 120 / peak;
  while (zoom < 1000 && (zoom + 1) * residual * scale <= 60)
    zoom++;
  magnified = g_strdup_printf (
      zoom > 1 ? "residual, %u times as large" : "residual, same scale", zoom);

  cairo_set_source_rgb (cr, 1, 1, 1);
  cairo_paint (cr);
  cairo_select_font_face (
      cr, "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
  cairo_set_font_size (cr, 13);
  cairo_set_line_width (cr, 1);
  for (int i = 0; i <= 4; i++) {
    g_autofree char *ms = g_strdup_printf ("%d ms", 5 * i);

    cairo_set_source_rgb (cr, .88, .88, .88);
    cairo_move_to (cr, 60.5 + 205 * i, 40);
    cairo_line_to (cr, 60.5 + 205 * i, 430);
    cairo_stroke (cr);
    cairo_set_source_rgb (cr, .4, .4, .4);
    label (cr, 46 + 200 * i, 448, ms);
  }
  cairo_set_line_width (cr, 6);
  cairo_set_source_rgb (cr, .62, .78, .96);
  curve (cr, r, from, n, 0, 180, scale);
  x = label (cr, 60, 24, "signal");
  cairo_set_line_width (cr, 1.5);
  cairo_set_source_rgb (cr, .05, .2, .5);
  curve (cr, r, from - 1, n, 1, 180, scale);
  x = label (cr, x + 30, 24, "the LSTM's prediction, made one sample before");
  cairo_set_source_rgb (cr, .75, .1, .1);
  curve (cr, r, from, n, 2, 370, scale * zoom);
  label (cr, x + 30, 24, magnified);
  cairo_destroy (cr);
  if (cairo_surface_write_to_png (surface, path) != CAIRO_STATUS_SUCCESS)
    g_error ("%s: cannot be written", path);
  cairo_surface_destroy (surface);
}

int
main (int argc, char **argv)
{
  if (argc < 3) {
    g_printerr ("usage: demo-report FOLDER MODEL...\n");
    return 2;
  }
  g_print ("\n| model | gain, whole | gain, last third | ns a sample | times "
           "real time |\n| --- | ---: | ---: | ---: | ---: |\n");
  for (int i = 2; i < argc; i++) {
    Recording r = read_recording (argv[1], argv[i]);
    double ns = read_time (argv[1], argv[i]) / r.n_frames;

    if (i == 2)
      g_print ("| persistence (y = x) | %.1f dB | %.1f dB | | |\n",
          gain (&r, 0, TRUE), gain (&r, r.n_frames / 3 * 2, TRUE));
    g_print ("| %s | %.1f dB | %.1f dB | %.0f | %.0f |\n", argv[i],
        gain (&r, 0, FALSE), gain (&r, r.n_frames / 3 * 2, FALSE), ns,
        1e9 / r.rate / ns);
    if (g_str_equal (argv[i], "lstm"))
      draw (&r, argv[1]);
    g_free (r.bytes);
  }
  g_print ("\n");
  return 0;
}
