/* plot.c: the picture that seqmodel train --plot draws: the error of each
 * epoch, and a stretch of target against output.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "tools/plot.h"

#include "src/io/load.h"
#include "src/live/stream.h"

#include <cairo-svg.h>
#include <math.h>

#define WIDTH 960
#define HEIGHT 640
#define WARMUP                                                                 \
  65536 /* frames that the model has heard, where there are any                \
         */

enum { TRAINING, VALIDATION };
enum { TARGET, OUTPUT };

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

static void draw_text (cairo_t *cr, double x, double y, double align,
    const char *format, ...) G_GNUC_PRINTF (5, 6);

static void
draw_text (
    cairo_t *cr, double x, double y, double align, const char *format, ...)
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
draw_frame (cairo_t *cr, const Axes *a)
{
  cairo_set_source_rgb (cr, .5, .5, .5);
  cairo_set_line_width (cr, 1);
  cairo_rectangle (cr, a->x, a->y, a->width, a->height);
  cairo_stroke (cr);
}

static void
draw_legend (cairo_t *cr, const Axes *a, guint which, const char *name)
{
  const double *c = colours[which];

  cairo_set_source_rgb (cr, c[0], c[1], c[2]);
  draw_text (cr, a->x + a->width - 8, a->y + 18 + 16 * which, 1, "%s", name);
}

static double
esr_of (const SeqTrainerEpoch *epoch, guint which)
{
  return which == TRAINING ? epoch->train_esr : epoch->validation_esr;
}

static void
draw_curve (cairo_t *cr, const Axes *a, guint which, const Plot *p)
{
  const double *c = colours[which];

  cairo_set_source_rgb (cr, c[0], c[1], c[2]);
  cairo_set_line_width (cr, 1.5);
  cairo_new_path (cr); /* text has left a point */
  for (guint i = 0; i < p->n_epochs; i++) {
    double esr = esr_of (&p->epochs[i], which);

    if (isfinite (esr) && esr > 0)
      cairo_line_to (cr, to_x (a, i + 1), to_y (a, log10 (esr)));
  }
  cairo_stroke (cr);
}

static void
draw_epochs (cairo_t *cr, const Plot *p)
{
  Axes a = { 70, 50, WIDTH - 90, 240, 1, MAX (2, p->n_epochs), 0, 0 };
  double low = INFINITY, high = -INFINITY;

  for (guint i = 0; i < 2 * p->n_epochs; i++) {
    double esr = esr_of (&p->epochs[i / 2], i % 2);

    if (isfinite (esr) && esr > 0) {
      low = MIN (low, log10 (esr));
      high = MAX (high, log10 (esr));
    }
  }
  a.y0 = isfinite (low) ? floor (low) : -1;
  a.y1 = isfinite (high) ? MAX (ceil (high), a.y0 + 1) : 0;
  draw_frame (cr, &a);
  for (double decade = a.y0; decade <= a.y1; decade++) {
    cairo_set_source_rgb (cr, .85, .85, .85);
    cairo_move_to (cr, a.x, to_y (&a, decade));
    cairo_line_to (cr, a.x + a.width, to_y (&a, decade));
    cairo_stroke (cr);
    cairo_set_source_rgb (cr, .2, .2, .2);
    draw_text (cr, a.x - 6, to_y (&a, decade) + 4, 1, "%g", pow (10, decade));
  }
  draw_text (cr, a.x, a.y + a.height + 18, 0, "1");
  draw_text (
      cr, a.x + a.width, a.y + a.height + 18, 1, "%u epochs", p->n_epochs);
  draw_text (cr, a.x, a.y - 8, 0, "error-to-signal ratio");
  draw_curve (cr, &a, TRAINING, p);
  draw_curve (cr, &a, VALIDATION, p);
  draw_legend (cr, &a, TRAINING, "training, while it learnt");
  draw_legend (cr, &a, VALIDATION, "validation");
}

static void
draw_wave (cairo_t *cr, const Axes *a, guint which, const float *x, guint n)
{
  const double *c = colours[which];

  cairo_set_source_rgb (cr, c[0], c[1], c[2]);
  cairo_set_line_width (cr, which == TARGET ? 2.5 : 1);
  cairo_new_path (cr);
  for (guint i = 0; i < n; i++)
    cairo_line_to (cr, to_x (a, i), to_y (a, (double) x[i]));
  cairo_stroke (cr);
}

/* target and output: [n], of one channel. */
static void
draw_stretch (
    cairo_t *cr, const float *target, const float *output, guint n, double rate)
{
  Axes a = { 70, 350, WIDTH - 90, 240, 0, MAX (2, n) - 1, 0, 0 };
  double low = INFINITY, high = -INFINITY;

  for (guint i = 0; i < n; i++) {
    low = MIN (low, MIN (target[i], output[i]));
    high = MAX (high, MAX (target[i], output[i]));
  }
  if (!(high > low))
    high = low + 1;
  a.y0 = low - 0.05 * (high - low);
  a.y1 = high + 0.05 * (high - low);
  draw_frame (cr, &a);
  cairo_set_source_rgb (cr, .2, .2, .2);
  draw_text (cr, a.x - 6, to_y (&a, high) + 4, 1, "%.3g", high);
  draw_text (cr, a.x - 6, to_y (&a, low) + 4, 1, "%.3g", low);
  if (rate > 0)
    draw_text (
        cr, a.x + a.width, a.y + a.height + 18, 1, "%.3g ms", 1e3 * n / rate);
  else
    draw_text (cr, a.x + a.width, a.y + a.height + 18, 1, "%u samples", n);
  draw_text (cr, a.x, a.y - 8, 0, "the loudest part");
  draw_wave (cr, &a, TARGET, target, n);
  draw_wave (cr, &a, OUTPUT, output, n);
  draw_legend (cr, &a, TARGET, "target");
  draw_legend (cr, &a, OUTPUT, "output");
}

/* Where the frames to show are loudest in the target's channel 0, among places
 * that far apart. */
static gsize
find_loudest (const Plot *p)
{
  const SeqTrainerData *d = p->data;
  gsize best = p->start, end = p->start + p->n_frames;
  double most = -1;

  for (gsize at = p->start; at + p->shown <= end; at += p->shown) {
    double power = 0;

    for (guint t = 0; t < p->shown; t++)
      power += pow (d->target[(at + t) * d->n_out], 2);
    if (power > most) {
      most = power;
      best = at;
    }
  }
  return best;
}

/* The model's output as seqfilter would give it for frames [start, + n) of the
 * input: channel 0, [n]. NULL with an error. */
static float *
run_model (const Plot *p, gsize start, gsize n, GError **error)
{
  const SeqTrainerData *d = p->data;
  SeqStreamConfig config = {
    .learning_rate = 1e-3, .window = 64, .horizon = p->model->horizon
  };
  g_autoptr (SeqStream) stream =
      seq_stream_new (p->model, d->n_in, &config, error);
  g_autofree gpointer *in_at = g_new (gpointer, d->n_in);
  g_autofree gpointer *out_at = g_new (gpointer, d->n_out);
  g_autofree float *all = g_new (float, n * d->n_out);
  SeqSignal in = { SEQ_FORMAT_F32, in_at, d->n_in };
  SeqSignal out = { SEQ_FORMAT_F32, out_at, d->n_out };
  const SeqSignal *outputs[SEQ_N_OUTPUTS] = { [SEQ_OUTPUT_PREDICTION] = &out };
  float *first;

  if (!stream)
    return NULL;
  for (guint c = 0; c < d->n_in; c++)
    in_at[c] = (gpointer) (d->in + start * d->n_in + c);
  for (guint c = 0; c < d->n_out; c++)
    out_at[c] = all + c;
  seq_stream_process (stream, &in, outputs, n, 1, 1, 0);
  first = g_new (float, n);
  for (gsize t = 0; t < n; t++)
    first[t] = all[t * d->n_out];
  return first;
}

/* --- the page ------------------------------------------------------------- */

static cairo_status_t
append (void *bytes, const guint8 *data, guint n)
{
  g_byte_array_append (bytes, data, n);
  return CAIRO_STATUS_SUCCESS;
}

gboolean
plot_write (const Plot *plot, const char *path, GError **error)
{
  gsize at = find_loudest (plot), before = MIN (at - plot->start, WARMUP);
  const SeqTrainerData *d = plot->data;
  g_autofree float *target = g_new (float, plot->shown);
  g_autofree float *output =
      run_model (plot, at - before, before + plot->shown, error);
  gboolean svg = g_str_has_suffix (path, ".svg");
  g_autoptr (GByteArray) file = g_byte_array_new ();
  g_autoptr (GBytes) bytes = NULL;
  cairo_surface_t *page;
  cairo_status_t status;
  cairo_t *cr;

  if (!output)
    return FALSE;
  for (guint t = 0; t < plot->shown; t++)
    target[t] = d->target[(at + t) * d->n_out];

  page = svg ? cairo_svg_surface_create_for_stream (append, file, WIDTH, HEIGHT)
             : cairo_image_surface_create (CAIRO_FORMAT_RGB24, WIDTH, HEIGHT);
  cr = cairo_create (page);
  cairo_set_source_rgb (cr, 1, 1, 1);
  cairo_paint (cr);
  cairo_select_font_face (
      cr, "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
  cairo_set_font_size (cr, 14);
  cairo_set_source_rgb (cr, 0, 0, 0);
  draw_text (cr, 70, 24, 0, "%s", plot->title);
  cairo_set_font_size (cr, 12);
  if (plot->n_epochs > 0)
    draw_epochs (cr, plot);
  draw_stretch (cr, target, output + before, plot->shown, plot->rate);
  cairo_destroy (cr);
  if (svg)
    cairo_surface_finish (page); /* writes it */
  status = svg ? cairo_surface_status (page)
               : cairo_surface_write_to_png_stream (page, append, file);
  cairo_surface_destroy (page);
  if (status != CAIRO_STATUS_SUCCESS) {
    g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "%s: %s", path,
        cairo_status_to_string (status));
    return FALSE;
  }
  bytes = g_byte_array_free_to_bytes (g_steal_pointer (&file));
  return seq_save_bytes (path, bytes, error);
}
