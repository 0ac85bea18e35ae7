/* speed.c: nanoseconds a sample of every recurrent kind and size beside
 * the floor that the machine's own peaks give (tools/bench.h) and the error
 * against float64; then of several channels, and of each precision.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One input, a dense read-out, blocks of 64 frames: the net as it runs in the
 * element. Precisions are also held against float over the reference cases,
 * where they are (SEQ_SHARED).
 *
 *   bench_speed [--plot FILE.png] [KIND [SIZE]]
 */
#include "src/builder.h"
#include "src/cpu.h"
#include "src/io/load.h"
#include "tests/reference.h"
#include "bench/stream_cost.h"
#include "tools/bench.h"

#include <cairo.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const kinds[] = { "rnn", "lstm", "gru" };
static const guint sizes[] = { 8, 16, 20, 24, 32, 40, 64, 80, 128, 256 };
static const guint channels[] = { 1, 2, 4, 8, 16, 32, 64 };
static const guint histories[] = { 256, 1024, 4096, 16384, 65536 };

/* What is plotted: ns, by kind and size, by channels, by history. */
static double by_size[G_N_ELEMENTS (kinds)][G_N_ELEMENTS (sizes)];
static double by_channels[G_N_ELEMENTS (channels)];
static double by_history[G_N_ELEMENTS (histories)];

static BenchPeaks peaks;

static SeqModel *
net (const char *kind, guint size)
{
  return seq_model_new_untrained (kind,
      g_variant_new_parsed ("{'hidden_size': <%u>}", size), 1, 1, FALSE, FALSE,
      1, NULL);
}

/* The largest difference from the textbook cell in double over 2000 frames. */
static double
error_of (const SeqModel *model, const char *kind)
{
  const SeqLayer *layer = model->chain->layers[0];
  guint h = layer->n_out, gates = layer->tensors[0].gates;
  g_autoptr (SeqWork) work = seq_work_new (model->chain, 1, 1, FALSE);
  real *memory = seq_alloc (model->chain->n_state);
  SeqPass pass = { .n_frames = 1, .weights = model->weights, .state = memory };
  double *w[4], worst = 0;
  g_autofree double *state = g_new0 (double, h), *cell = g_new0 (double, h);
  RefCell ref = { .n_in = 1, .hidden_size = h };

  for (guint i = 0; i < 4; i++)
    w[i] = g_new0 (double, (gsize) gates *h *(i == 1 ? h : 1));
  for (guint i = 0; i < layer->n_tensors; i++) {
    const SeqTensor *t = &layer->tensors[i];
    guint first = i == 3 ? 2 : 0; /* bias_hn, of a gru's third gate */

    for (guint g = 0; g < t->gates; g++)
      for (guint r = 0; r < h; r++)
        for (guint c = 0; c < t->cols; c++)
          w[i][((first + g) * h + r) * t->cols + c] =
              seq_model_get (model, 0, i, g, r, c);
  }
  ref.w_ih = w[0];
  ref.w_hh = w[1];
  ref.b_ih = w[2];
  ref.b_hh = w[3];
  for (guint t = 0; t < 2000; t++) {
    double x = work->in[0] = (real) sin (.3 * t);

    seq_chain_run (model->chain, work, &pass);
    if (g_str_equal (kind, "lstm"))
      ref_lstm (&ref, &x, state, cell);
    else if (g_str_equal (kind, "gru"))
      ref_gru (&ref, TRUE, &x, state);
    else
      ref_rnn (&ref, FALSE, &x, state);
    for (guint u = 0; u < h; u++)
      worst = MAX (worst, fabs (work->rows[0][u] - state[u]));
  }
  for (guint i = 0; i < 4; i++)
    g_free (w[i]);
  seq_free (memory);
  return worst;
}

static void
bench_sizes (const char *kind, guint size)
{
  g_print ("\n%-5s %4s %9s %9s %6s %9s %13s\n", "kind", "size", "ns/sample",
      "floor", "ratio", "error", "two channels");
  for (guint k = 0; k < G_N_ELEMENTS (kinds); k++)
    for (guint s = 0; s < G_N_ELEMENTS (sizes); s++) {
      g_autoptr (SeqModel) model = NULL;
      double ns, floor;

      if ((kind && !g_str_equal (kind, kinds[k])) || (size && size != sizes[s]))
        continue;
      model = net (kinds[k], sizes[s]);
      ns = by_size[k][s] = bench_model (model, 1, BENCH_FRAMES);
      floor = bench_floor (&peaks, model, 1);
      g_print ("%-5s %4u %9.1f %9.1f %6.2f %9.1e %12.2fx\n", kinds[k], sizes[s],
          ns, floor, ns / floor, error_of (model, kinds[k]),
          bench_model (model, 2, BENCH_FRAMES) / ns);
    }
}

static void
bench_channels (void)
{
  g_autoptr (SeqModel) model = net ("lstm", 32);

  g_print ("\nlstm 32: %8s %9s %12s %14s\n", "channels", "ns/frame",
      "ns/channel", "share of peak");
  for (guint i = 0; i < G_N_ELEMENTS (channels); i++) {
    guint n = channels[i];
    double ns = bench_model (model, n, BENCH_FRAMES);

    by_channels[i] = ns / n;
    g_print ("         %8u %9.1f %12.1f %13.0f%%\n", n, ns, ns / n,
        100 * bench_multiply_adds (model) * n / ns / peaks.multiply_adds);
  }
}

typedef struct {
  SeqStream *stream;
  SeqSignal signal;
} Streaming;

static void
stream_block (gpointer data)
{
  Streaming *s = data;
  const SeqSignal *outputs[SEQ_N_OUTPUTS] = { [SEQ_OUTPUT_PREDICTION] =
                                                  &s->signal };

  seq_stream_process (s->stream, &s->signal, outputs, BENCH_FRAMES, 1, 1, 0);
}

/* What a stream adds to its net: samples read, scaled, written, residuals and
 * scores. */
static void
bench_streams (void)
{
  static const guint n_channels[] = { 1, 2, 16 };

  g_print ("\nrnn 8:    %8s %9s %9s %12s\n", "channels", "stream", "net",
      "difference");
  for (guint horizon = 0; horizon < 2; horizon++)
    for (guint i = 0; i < G_N_ELEMENTS (n_channels); i++) {
      guint n = n_channels[i];
      const SeqStreamConfig config = {
        .learning_rate = 3e-3, .window = 64, .horizon = horizon
      };
      g_autoptr (SeqModel) model = net ("rnn", 8);
      g_autoptr (SeqStream) stream = seq_stream_new (model, n, &config, NULL);
      g_autofree float *x = g_new (float, (gsize) BENCH_FRAMES *n);
      g_autofree gpointer *at = g_new (gpointer, n);
      Streaming s = { stream, { SEQ_FORMAT_F32, at, n } };
      double net, whole;

      for (guint k = 0; k < BENCH_FRAMES * n; k++)
        x[k] = sinf (.3f * (float) k);
      for (guint c = 0; c < n; c++)
        at[c] = x + c;
      whole = bench_best (stream_block, &s) / BENCH_FRAMES / n;
      net = bench_model (model, n, BENCH_FRAMES) / n;
      g_print ("%-9s %8u %9.1f %9.1f %12.1f\n",
          horizon ? "predictor" : "effect", n, whole, net, whole - net);
    }
}

static void
bench_precisions (void)
{
  static const guint large[] = { 64, 128, 256, 512 };

  g_print ("\n%-5s %4s %9s %9s %6s %9s %6s   (int16, int8: of float)\n", "kind",
      "size", "float", "int16", "ratio", "int8", "ratio");
  for (guint k = 0; k < G_N_ELEMENTS (kinds); k++)
    for (guint s = 0; s < G_N_ELEMENTS (large); s++) {
      g_autoptr (SeqModel) model = net (kinds[k], large[s]);
      g_autoptr (SeqModel) words =
          seq_model_with_precision (model, "int16", NULL);
      g_autoptr (SeqModel) bytes =
          seq_model_with_precision (model, "int8", NULL);
      double ns = bench_model (model, 1, BENCH_FRAMES);
      double ns16 = bench_model (words, 1, BENCH_FRAMES);
      double ns8 = bench_model (bytes, 1, BENCH_FRAMES);

      g_print ("%-5s %4u %9.1f %9.1f %6.2f %9.1f %6.2f\n", kinds[k], large[s],
          ns, ns16, ns16 / ns, ns8, ns8 / ns);
    }
}

/* How far precisions are from float over one reference case, in dB. One that
 * needs hints is not what its file alone says, and is left out. */
static void
bench_case (const char *folder, const char *label, double worst[2])
{
  g_autofree char *description = g_build_filename (folder, "case.json", NULL);
  json_t *about = json_load_file (description, 0, NULL);
  gboolean hinted = json_object_size (json_object_get (about, "requires")) > 0;
  g_autoptr (GDir) dir = hinted ? NULL : g_dir_open (folder, 0, NULL);
  const char *name;

  json_decref (about);
  while (dir && (name = g_dir_read_name (dir))) {
    g_autofree char *path = g_build_filename (folder, name, NULL);
    g_autoptr (SeqModel) model = NULL;
    double snr[2];
    guint i;

    if (!g_str_has_prefix (name, "model."))
      continue;
    model = seq_model_load (path, NULL, NULL);
    for (i = 0; model && i < 2; i++) {
      g_autoptr (SeqModel) small =
          seq_model_with_precision (model, i ? "int8" : "int16", NULL);

      if (!small)
        break;
      snr[i] = bench_distance (model, small, 48000);
      worst[i] = MIN (worst[i], snr[i]);
    }
    if (i == 2)
      g_print ("%-40s %8.1f %8.1f\n", label, snr[0], snr[1]);
  }
}

static void
bench_cases (void)
{
  static const char *const groups[] = { "json", "safetensors", "third-party" };
  const char *shared = g_getenv ("SEQ_SHARED");
  double worst[2] = { INFINITY, INFINITY };

  if (!shared) {
    g_print ("\nNOT RUN: precision over the reference cases (SEQ_SHARED)\n");
    return;
  }
  g_print ("\n%-40s %8s %8s\n", "signal over error, dB", "int16", "int8");
  for (guint g = 0; g < G_N_ELEMENTS (groups); g++) {
    g_autofree char *group =
        g_build_filename (shared, "cases", groups[g], NULL);
    g_autoptr (GDir) dir = g_dir_open (group, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name (dir))) {
      g_autofree char *folder = g_build_filename (group, name, NULL);
      g_autofree char *label = g_build_filename (groups[g], name, NULL);

      bench_case (folder, label, worst);
    }
  }
  g_print ("%-40s %8.1f %8.1f\n", "the least", worst[0], worst[1]);
}

/* A naive model looks for what it hears among all that it has heard. */
static void
bench_histories (void)
{
  g_print ("\nnaive: %8s %9s\n", "history", "ns/sample");
  for (guint i = 0; i < G_N_ELEMENTS (histories); i++) {
    g_autoptr (SeqModel) model = seq_model_new_untrained ("naive",
        g_variant_new_parsed ("{'history': <%u>}", histories[i]), 1, 1, FALSE,
        FALSE, 1, NULL);

    by_history[i] = stream_cost (model, SEQ_LEARN_GRADIENT, histories[i], 4096);
    g_print ("       %8u %9.1f\n", histories[i], by_history[i]);
  }
}

/* --- the plot ------------------------------------------------------------- */

#define PANEL 320
#define MARGIN 48

typedef struct {
  cairo_t *cr;
  double x, x0, x1, y0, y1; /* left edge on the page; what is shown, log10 */
} Panel;

static void
panel_point (const Panel *p, double x, double y, double *to_x, double *to_y)
{
  *to_x = p->x + MARGIN
          + (PANEL - 1.7 * MARGIN) * (log10 (x) - p->x0) / (p->x1 - p->x0);
  *to_y = PANEL - MARGIN
          - (PANEL - 2 * MARGIN) * (log10 (y) - p->y0) / (p->y1 - p->y0);
}

static void
panel_text (const Panel *p, double x, double y, const char *text)
{
  cairo_move_to (p->cr, x, y);
  cairo_show_text (p->cr, text);
}

static Panel
panel_begin (cairo_t *cr, guint i, const char *title, const guint *x, guint n,
    double from, double to)
{
  Panel p = { cr, i * PANEL, log10 (x[0]), log10 (x[n - 1]), log10 (from),
    log10 (to) };
  double at, y;

  cairo_set_source_rgb (cr, 0, 0, 0);
  panel_text (&p, p.x + MARGIN, MARGIN - 16, title);
  for (guint k = 0; k < n; k++) {
    g_autofree char *label = g_strdup_printf ("%u", x[k]);

    panel_point (&p, x[k], from, &at, &y);
    if (k == 0 || k == n - 1 || x[k] % 64 == 0)
      panel_text (&p, at - 8, y + 16, label);
  }
  for (double v = from; v <= to * 1.01; v *= 10) {
    g_autofree char *label = g_strdup_printf ("%g", v);

    panel_point (&p, x[0], v, &at, &y);
    panel_text (&p, at - MARGIN + 6, y + 4, label);
    cairo_set_line_width (cr, .4);
    cairo_move_to (cr, at, y);
    panel_point (&p, x[n - 1], v, &at, &y);
    cairo_line_to (cr, at, y);
    cairo_stroke (cr);
  }
  return p;
}

static void
panel_curve (const Panel *p, guint which, const char *name, const guint *x,
    const double *ns, guint n)
{
  static const double colours[][3] = { { .13, .36, .63 }, { .84, .37, .05 },
    { .2, .55, .25 } };
  const double *c = colours[which];
  double at, y;

  cairo_set_source_rgb (p->cr, c[0], c[1], c[2]);
  cairo_set_line_width (p->cr, 1.5);
  cairo_new_path (p->cr); /* text has left a point */
  for (guint k = 0; k < n; k++) {
    panel_point (p, x[k], ns[k], &at, &y);
    cairo_line_to (p->cr, at, y);
  }
  cairo_stroke (p->cr);
  panel_text (p, p->x + MARGIN + 8, MARGIN + 12 + 14 * which, name);
}

static gboolean
plot (const char *path)
{
  cairo_surface_t *page =
      cairo_image_surface_create (CAIRO_FORMAT_RGB24, 3 * PANEL, PANEL);
  cairo_t *cr = cairo_create (page);
  gboolean done;
  Panel p;

  cairo_set_source_rgb (cr, 1, 1, 1);
  cairo_paint (cr);
  cairo_set_font_size (cr, 11);
  p = panel_begin (cr, 0, "ns a sample, by hidden size", sizes,
      G_N_ELEMENTS (sizes), 10, 10000);
  for (guint k = 0; k < G_N_ELEMENTS (kinds); k++)
    panel_curve (&p, k, kinds[k], sizes, by_size[k], G_N_ELEMENTS (sizes));
  p = panel_begin (cr, 1, "ns a sample and channel, by channels", channels,
      G_N_ELEMENTS (channels), 10, 100);
  panel_curve (
      &p, 1, "lstm 32", channels, by_channels, G_N_ELEMENTS (channels));
  p = panel_begin (cr, 2, "ns a sample, by history", histories,
      G_N_ELEMENTS (histories), 100, 1000000);
  panel_curve (&p, 0, "naive", histories, by_history, G_N_ELEMENTS (histories));
  done = cairo_surface_write_to_png (page, path) == CAIRO_STATUS_SUCCESS;
  cairo_destroy (cr);
  cairo_surface_destroy (page);
  return done;
}

int
main (int argc, char **argv)
{
  const char *picture = NULL;

  if (argc > 2 && g_str_equal (argv[1], "--plot")) {
    picture = argv[2];
    argv += 2;
    argc -= 2;
  }
  bench_peaks (&peaks);
  g_print ("instruction set %s; %.0f multiply-adds a ns; bytes a ns from each "
           "level of cache %.0f, %.0f, %.0f\n",
      seq_isa_name (seq_cpu_isa ()), peaks.multiply_adds, peaks.bytes[0],
      peaks.bytes[1], peaks.bytes[2]);
  bench_sizes (argc > 1 ? argv[1] : NULL, argc > 2 ? atoi (argv[2]) : 0);
  if (argc > 1)
    return 0;
  bench_channels ();
  bench_streams ();
  bench_histories ();
  bench_precisions ();
  bench_cases ();
  return picture && !plot (picture);
}
