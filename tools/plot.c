/* plot.c: the picture of a training: the loss curve, and a stretch of target
 * against output.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "tools/plot.h"

#include <cairo-svg.h>
#include <glib.h>
#include <math.h>

#define WIDTH 960
#define HEIGHT 640

typedef struct {
  double x, y, width, height; /* on the page */
  double x0, x1, y0, y1;      /* what that shows; y1 on top */
} Axes;

static const double colours[][3] = { { .13, .36, .63 }, { .84, .37, .05 } };

static double
to_x (const Axes *a, double x)
{
  return a->x + a->width * (x - a->x0) / (a->x1 - a->x0);
}

static double
to_y (const Axes *a, double y)
{
  return a->y + a->height * (a->y1 - y) / (a->y1 - a->y0);
}

static void text (cairo_t *cr, double x, double y, double align,
    const char *format, ...) G_GNUC_PRINTF (5, 6);

static void
text (cairo_t *cr, double x, double y, double align, const char *format, ...)
{
  g_autofree char *string = NULL;
  cairo_text_extents_t extents;
  va_list args;

  va_start (args, format);
  string = g_strdup_vprintf (format, args);
  va_end (args);
  cairo_text_extents (cr, string, &extents);
  cairo_move_to (cr, x - align * extents.x_advance, y);
  cairo_show_text (cr, string);
}

static void
frame (cairo_t *cr, const Axes *a)
{
  cairo_set_source_rgb (cr, .5, .5, .5);
  cairo_set_line_width (cr, 1);
  cairo_rectangle (cr, a->x, a->y, a->width, a->height);
  cairo_stroke (cr);
}

static void
legend (cairo_t *cr, const Axes *a, guint which, const char *name)
{
  const double *c = colours[which];

  cairo_set_source_rgb (cr, c[0], c[1], c[2]);
  text (cr, a->x + a->width - 8, a->y + 18 + 16 * which, 1, "%s", name);
}

static void
curve (cairo_t *cr, const Axes *a, guint which, const double *y, guint n)
{
  const double *c = colours[which];

  cairo_set_source_rgb (cr, c[0], c[1], c[2]);
  cairo_set_line_width (cr, 1.5);
  cairo_new_path (cr); /* text has left a point */
  for (guint i = 0; i < n; i++)
    if (isfinite (y[i]) && y[i] > 0)
      cairo_line_to (cr, to_x (a, i + 1), to_y (a, log10 (y[i])));
  cairo_stroke (cr);
}

static void
losses (cairo_t *cr, const Plot *p)
{
  Axes a = { 70, 50, WIDTH - 90, 240, 1, MAX (2, p->n_epochs), 0, 0 };
  double low = INFINITY, high = -INFINITY;

  for (guint i = 0; i < 2 * p->n_epochs; i++) {
    double esr = i % 2 ? p->train[i / 2] : p->validation[i / 2];

    if (isfinite (esr) && esr > 0) {
      low = MIN (low, log10 (esr));
      high = MAX (high, log10 (esr));
    }
  }
  a.y0 = isfinite (low) ? floor (low) : -1;
  a.y1 = isfinite (high) ? MAX (ceil (high), a.y0 + 1) : 0;
  frame (cr, &a);
  for (double decade = a.y0; decade <= a.y1; decade++) {
    cairo_set_source_rgb (cr, .85, .85, .85);
    cairo_move_to (cr, a.x, to_y (&a, decade));
    cairo_line_to (cr, a.x + a.width, to_y (&a, decade));
    cairo_stroke (cr);
    cairo_set_source_rgb (cr, .2, .2, .2);
    text (cr, a.x - 6, to_y (&a, decade) + 4, 1, "%g", pow (10, decade));
  }
  text (cr, a.x, a.y + a.height + 18, 0, "1");
  text (cr, a.x + a.width, a.y + a.height + 18, 1, "%u epochs", p->n_epochs);
  text (cr, a.x, a.y - 8, 0, "error-to-signal ratio");
  curve (cr, &a, 0, p->train, p->n_epochs);
  curve (cr, &a, 1, p->validation, p->n_epochs);
  legend (cr, &a, 0, "training, while it learnt");
  legend (cr, &a, 1, "validation");
}

static void
wave (cairo_t *cr, const Axes *a, guint which, const float *x, guint n)
{
  const double *c = colours[which];

  cairo_set_source_rgb (cr, c[0], c[1], c[2]);
  cairo_set_line_width (cr, which == 0 ? 2.5 : 1);
  cairo_new_path (cr);
  for (guint i = 0; i < n; i++)
    cairo_line_to (cr, to_x (a, i), to_y (a, (double) x[i]));
  cairo_stroke (cr);
}

static void
stretch (cairo_t *cr, const Plot *p)
{
  Axes a = { 70, 350, WIDTH - 90, 240, 0, MAX (2, p->n_frames) - 1, 0, 0 };
  double low = INFINITY, high = -INFINITY;

  for (guint i = 0; i < p->n_frames; i++) {
    low = MIN (low, MIN (p->target[i], p->output[i]));
    high = MAX (high, MAX (p->target[i], p->output[i]));
  }
  if (!(high > low))
    high = low + 1;
  a.y0 = low - 0.05 * (high - low);
  a.y1 = high + 0.05 * (high - low);
  frame (cr, &a);
  cairo_set_source_rgb (cr, .2, .2, .2);
  text (cr, a.x - 6, to_y (&a, high) + 4, 1, "%.3g", high);
  text (cr, a.x - 6, to_y (&a, low) + 4, 1, "%.3g", low);
  if (p->rate > 0)
    text (cr, a.x + a.width, a.y + a.height + 18, 1, "%.3g ms",
        1e3 * p->n_frames / p->rate);
  else
    text (cr, a.x + a.width, a.y + a.height + 18, 1, "%u samples", p->n_frames);
  text (cr, a.x, a.y - 8, 0, "a stretch of it");
  wave (cr, &a, 0, p->target, p->n_frames);
  wave (cr, &a, 1, p->output, p->n_frames);
  legend (cr, &a, 0, "target");
  legend (cr, &a, 1, "output");
}

gboolean
plot_write (const Plot *plot, const char *path, GError **error)
{
  gboolean svg = g_str_has_suffix (path, ".svg");
  cairo_surface_t *page =
      svg ? cairo_svg_surface_create (path, WIDTH, HEIGHT)
          : cairo_image_surface_create (CAIRO_FORMAT_RGB24, WIDTH, HEIGHT);
  cairo_t *cr = cairo_create (page);
  cairo_status_t status;

  cairo_set_source_rgb (cr, 1, 1, 1);
  cairo_paint (cr);
  cairo_select_font_face (
      cr, "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
  cairo_set_font_size (cr, 14);
  cairo_set_source_rgb (cr, 0, 0, 0);
  text (cr, 70, 24, 0, "%s", plot->title);
  cairo_set_font_size (cr, 12);
  if (plot->n_epochs > 0)
    losses (cr, plot);
  stretch (cr, plot);
  cairo_destroy (cr);
  if (svg)
    cairo_surface_finish (page); /* writes it */
  status = svg ? cairo_surface_status (page)
               : cairo_surface_write_to_png (page, path);
  cairo_surface_destroy (page);
  if (status == CAIRO_STATUS_SUCCESS)
    return TRUE;
  g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "%s: %s", path,
      cairo_status_to_string (status));
  return FALSE;
}
