/* speed.c: nanoseconds a sample of every kind that learns by gradient, by size,
 * beside the floor that the machine's own peaks give (tools/bench.h) and the
 * error against float64; then of several channels, and of each precision.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One input, a dense read-out, blocks of 64 frames: the net as it runs in the
 * element. Precisions are also compared with float over the reference cases,
 * where they are present (SEQ_SHARED).
 *
 *   bench_speed [--plot FILE.png] [KIND [SIZE]]
 */
#include "bench/stream_cost.h"
#include "src/builder.h"
#include "src/chain.h"
#include "src/cpu.h"
#include "src/io/load.h"
#include "tests/reference.h"
#include "tools/bench.h"

#include <cairo.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const guint sizes[] = { 8, 16, 20, 24, 32, 40, 64, 80, 128, 256 };
static const guint channels[] = { 1, 2, 4, 8, 16, 32, 64 };
static const guint histories[] = { 256, 1024, 4096, 16384, 65536 };

/* What a kind costs, ns; 0 where it was not measured. */
typedef struct {
  const SeqKind *kind;
  double by_size[G_N_ELEMENTS (sizes)];
  double by_channels[G_N_ELEMENTS (channels)]; /* a channel */
  double by_history[G_N_ELEMENTS (histories)];
} Cost;

static BenchPeaks peaks;
static guint only_size; /* 0: all */

static SeqModel *
net (const SeqKind *kind, guint size)
{
  return seq_model_new_untrained (kind->name,
      g_variant_new_parsed ("{'hidden_size': <%u>}", size), 1, 1, FALSE, FALSE,
      1, NULL);
}

/* [gates * H][cols] of a layer's tensor; zeros if it has none of that name. */
static double *
tensor_values (const SeqModel *model, const char *name, guint n_values)
{
  const SeqLayer *layer = model->chain->layers[0];
  double *values = g_new0 (double, n_values), *at = values;

  for (guint i = 0; i < layer->n_tensors; i++) {
    const SeqTensor *t = &layer->tensors[i];

    if (g_str_equal (t->name, name))
      for (guint gate = 0; gate < t->gates; gate++)
        for (guint row = 0; row < t->rows; row++)
          for (guint col = 0; col < t->cols; col++)
            *at++ = seq_model_get (model, 0, i, gate, row, col);
  }
  return values;
}

/* The largest difference from the textbook cell in double over 2000 frames; NAN
 * if there is no textbook cell of that kind. */
static double
error_of (const SeqModel *model)
{
  const SeqLayer *layer = model->chain->layers[0];
  const char *kind = layer->klass->kind.name;
  guint h = layer->n_out, gates = layer->tensors[0].gates;
  g_autoptr (SeqWork) work = seq_work_new (model->chain, 1, 1, FALSE);
  real *memory = seq_alloc (model->chain->n_state);
  SeqPass pass = { .n_frames = 1, .weights = model->weights, .state = memory };
  g_autofree double *w_ih = tensor_values (model, "weight_ih", gates * h);
  g_autofree double *w_hh = tensor_values (model, "weight_hh", gates * h * h);
  g_autofree double *b_ih = tensor_values (model, "bias", gates * h);
  g_autofree double *b_hn = tensor_values (model, "bias_hn", h);
  g_autofree double *b_hh = g_new0 (double, gates *h);
  g_autofree double *carried = g_new0 (double, 2 * h);
  const RefCell cell = { 1, h, w_ih, w_hh, b_ih, b_hh };
  double worst = 0;

  memcpy (b_hh + (gates - 1) * h, b_hn, h * sizeof (double));
  for (guint t = 0; t < 2000; t++) {
    double x = work->in[0] = (real) sin (.3 * t);

    if (!ref_step (kind, &cell, &x, carried)) {
      worst = NAN;
      break;
    }
    seq_chain_run (model->chain, work, &pass);
    for (guint u = 0; u < h; u++)
      worst = MAX (worst, fabs (work->rows[0][u] - carried[u]));
  }
  seq_free (memory);
  return worst;
}

static void
bench_sizes (Cost *cost)
{
  for (guint s = 0; s < G_N_ELEMENTS (sizes); s++) {
    g_autoptr (SeqModel) model = NULL;
    double ns, floor;

    if (only_size && only_size != sizes[s])
      continue;
    model = net (cost->kind, sizes[s]);
    ns = cost->by_size[s] = bench_model (model, 1, BENCH_FRAMES);
    floor = bench_floor (&peaks, model, 1);
    g_print ("%-8s %4u %9.1f %9.1f %6.2f %9.1e %12.2fx\n", cost->kind->name,
        sizes[s], ns, floor, ns / floor, error_of (model),
        bench_model (model, 2, BENCH_FRAMES) / ns);
  }
}

static void
bench_channels (Cost *cost)
{
  g_autoptr (SeqModel) model = net (cost->kind, 32);

  for (guint i = 0; i < G_N_ELEMENTS (channels); i++) {
    guint n = channels[i];
    double ns = bench_model (model, n, BENCH_FRAMES);

    cost->by_channels[i] = ns / n;
    g_print ("%-8s %8u %9.1f %12.1f %13.0f%%\n", cost->kind->name, n, ns,
        ns / n,
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
      g_autoptr (SeqModel) model = net (seq_kind_find ("rnn"), 8);
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
bench_precisions (Cost *cost)
{
  static const guint large[] = { 64, 128, 256, 512 };

  for (guint s = 0; s < G_N_ELEMENTS (large); s++) {
    g_autoptr (SeqModel) model = net (cost->kind, large[s]);
    g_autoptr (SeqModel) words =
        seq_model_with_precision (model, "int16", NULL);
    g_autoptr (SeqModel) bytes = seq_model_with_precision (model, "int8", NULL);
    double ns = bench_model (model, 1, BENCH_FRAMES);
    double ns16 = bench_model (words, 1, BENCH_FRAMES);
    double ns8 = bench_model (bytes, 1, BENCH_FRAMES);

    g_print ("%-8s %4u %9.1f %9.1f %6.2f %9.1f %6.2f\n", cost->kind->name,
        large[s], ns, ns16, ns16 / ns, ns8, ns8 / ns);
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

/* A kind with a history looks for what it hears among all that it has heard. */
static void
bench_histories (Cost *cost)
{
  for (guint i = 0; i < G_N_ELEMENTS (histories); i++) {
    g_autoptr (SeqModel) model = seq_model_new_untrained (cost->kind->name,
        g_variant_new_parsed ("{'history': <%u>}", histories[i]), 1, 1, FALSE,
        FALSE, 1, NULL);

    cost->by_history[i] =
        stream_cost (model, SEQ_LEARN_GRADIENT, histories[i], 4096);
    g_print ("%-8s %8u %9.1f\n", cost->kind->name, histories[i],
        cost->by_history[i]);
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
    { .2, .55, .25 }, { .55, .24, .6 }, { .45, .45, .45 } };
  const double *c = colours[which % G_N_ELEMENTS (colours)];
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

/* The curves of all kinds whose costs at `offset` in Cost were measured. */
static void
panel_curves (
    const Panel *p, const GArray *costs, gsize offset, const guint *x, guint n)
{
  guint n_curves = 0;

  for (guint i = 0; i < costs->len; i++) {
    const Cost *cost = &g_array_index (costs, Cost, i);
    const double *ns = G_STRUCT_MEMBER_P (cost, offset);

    if (ns[0] > 0)
      panel_curve (p, n_curves++, cost->kind->name, x, ns, n);
  }
}

static gboolean
plot (const char *path, const GArray *costs)
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
  panel_curves (
      &p, costs, G_STRUCT_OFFSET (Cost, by_size), sizes, G_N_ELEMENTS (sizes));
  p = panel_begin (cr, 1, "32 units: ns a sample and channel, by channels",
      channels, G_N_ELEMENTS (channels), 10, 100);
  panel_curves (&p, costs, G_STRUCT_OFFSET (Cost, by_channels), channels,
      G_N_ELEMENTS (channels));
  p = panel_begin (cr, 2, "ns a sample, by history", histories,
      G_N_ELEMENTS (histories), 100, 1000000);
  panel_curves (&p, costs, G_STRUCT_OFFSET (Cost, by_history), histories,
      G_N_ELEMENTS (histories));
  done = cairo_surface_write_to_png (page, path) == CAIRO_STATUS_SUCCESS;
  cairo_destroy (cr);
  cairo_surface_destroy (page);
  return done;
}

/* The kinds to be benched: those that users choose, or the one of that name. */
static GArray *
costs_new (const char *only)
{
  GArray *costs = g_array_new (FALSE, TRUE, sizeof (Cost));

  for (const SeqKind *const *k = seq_kind_choices (); *k; k++) {
    Cost cost = { *k };

    if (!only || g_str_equal (only, (*k)->name))
      g_array_append_val (costs, cost);
  }
  return costs;
}

/* Benches each kind that has the option. */
static void
bench_kinds (const GArray *costs, const char *option, void (*bench) (Cost *))
{
  for (guint i = 0; i < costs->len; i++) {
    Cost *cost = &g_array_index (costs, Cost, i);

    if (seq_kind_has_option (cost->kind, option))
      bench (cost);
  }
}

int
main (int argc, char **argv)
{
  g_autoptr (GArray) costs = NULL;
  const char *picture = NULL;

  if (argc > 2 && g_str_equal (argv[1], "--plot")) {
    picture = argv[2];
    argv += 2;
    argc -= 2;
  }
  costs = costs_new (argc > 1 ? argv[1] : NULL);
  only_size = argc > 2 ? (guint) atoi (argv[2]) : 0;
  bench_peaks (&peaks);
  g_print ("instruction set %s; %.0f multiply-adds a ns; bytes a ns from each "
           "level of cache %.0f, %.0f, %.0f\n",
      seq_isa_name (seq_cpu_isa ()), peaks.multiply_adds, peaks.bytes[0],
      peaks.bytes[1], peaks.bytes[2]);

  g_print ("\n%-8s %4s %9s %9s %6s %9s %13s\n", "kind", "size", "ns/sample",
      "floor", "ratio", "error", "two channels");
  bench_kinds (costs, "hidden_size", bench_sizes);
  if (argc > 1)
    return 0;
  g_print ("\n32 units %8s %9s %12s %14s\n", "channels", "ns/frame",
      "ns/channel", "share of peak");
  bench_kinds (costs, "hidden_size", bench_channels);
  bench_streams ();
  g_print ("\n%-8s %8s %9s\n", "kind", "history", "ns/sample");
  bench_kinds (costs, "history", bench_histories);
  g_print ("\n%-8s %4s %9s %9s %6s %9s %6s   (int16, int8: of float)\n", "kind",
      "size", "float", "int16", "ratio", "int8", "ratio");
  bench_kinds (costs, "precision", bench_precisions);
  bench_cases ();
  return picture && !plot (picture, costs);
}
