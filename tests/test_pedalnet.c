/* test_pedalnet.c: PedalNet's JSON against plain loops in double.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The file is made here, with values as text, as GuitarML's program writes it.
 */
#include "src/chain.h"
#include "src/io/load.h"

#include <math.h>
#include <string.h>

enum { C = 3, TAPS = 2, LAYERS = 3, SILENCE = 40, LENGTH = 100 };
static const guint dilations[LAYERS] = { 1, 2, 9 };

/* All variables, in PyTorch's order: [output][input][tap]. */
typedef struct {
  double in_w[C], in_b[C];
  double w[LAYERS][2 * C][C][TAPS], b[LAYERS][2 * C];
  double out_w[LAYERS][C][C], out_b[LAYERS][C];
  double mix_w[LAYERS][C], mix_b;
} Weights;

static void
add_variable (GString *json, gint layer, const char *name, const double *v,
    guint n_out, guint n_in, guint n_taps)
{
  g_string_append_printf (json,
      "%s{\"layer_idx\": %d, \"name\": \"%s\", \"data\": [",
      g_str_has_suffix (json->str, "[") ? "" : ", ", layer, name);
  for (guint k = 0; k < n_taps; k++)
    for (guint i = 0; i < n_in; i++)
      for (guint o = 0; o < n_out; o++) {
        char text[G_ASCII_DTOSTR_BUF_SIZE];

        g_string_append_printf (json, "%s\"%s\"", k + i + o ? ", " : "",
            g_ascii_dtostr (text, sizeof text, v[(o * n_in + i) * n_taps + k]));
      }
  g_string_append (json, "]}");
}

static GBytes *
write_file (const Weights *w, const char *activation, guint n_z)
{
  GString *json = g_string_new (NULL);

  g_string_append_printf (json,
      "{\"activation\": \"%s\", \"output_channels\": 1, \"input_channels\": 1, "
      "\"residual_channels\": %u, \"filter_width\": %u, \"level_adjust\": 0.5, "
      "\"dilations\": [1, 2, 9], \"variables\": [",
      activation, C, TAPS);
  add_variable (json, -1, "W", w->in_w, C, 1, 1);
  add_variable (json, -1, "b", w->in_b, C, 1, 1);
  for (guint l = 0; l < LAYERS; l++) {
    add_variable (json, (gint) l, "W_conv", w->w[l][0][0], n_z, C, TAPS);
    add_variable (json, (gint) l, "b_conv", w->b[l], n_z, 1, 1);
    add_variable (json, (gint) l, "W_out", w->out_w[l][0], C, C, 1);
    add_variable (json, (gint) l, "b_out", w->out_b[l], C, 1, 1);
  }
  add_variable (json, LAYERS, "W", w->mix_w[0], 1, LAYERS * C, 1);
  add_variable (json, LAYERS, "b", &w->mix_b, 1, 1, 1);
  g_string_append (json, "]}");
  return g_string_free_to_bytes (json);
}

/* After silence; y [LENGTH] */
static void
ref_run (const Weights *w, gboolean gated, const float *in, double *y)
{
  static double x[C][SILENCE + LENGTH], a[C][SILENCE + LENGTH];

  for (guint c = 0; c < C; c++)
    for (guint t = 0; t < SILENCE + LENGTH; t++)
      x[c][t] = w->in_b[c] + w->in_w[c] * (t < SILENCE ? 0 : in[t - SILENCE]);
  for (guint t = 0; t < LENGTH; t++)
    y[t] = w->mix_b;
  for (guint l = 0; l < LAYERS; l++) {
    for (guint t = 0; t < SILENCE + LENGTH; t++)
      for (guint c = 0; c < C; c++) {
        double z[2];

        for (guint h = 0; h < 1 + (guint) gated; h++) {
          guint o = h * C + c;

          z[h] = w->b[l][o];
          for (guint k = 0; k < TAPS; k++)
            for (guint i = 0; i < C; i++) {
              guint back = (TAPS - 1 - k) * dilations[l];

              z[h] += w->w[l][o][i][k] * (t >= back ? x[i][t - back] : 0);
            }
        }
        a[c][t] = tanh (z[0]) * (gated ? 1 / (1 + exp (-z[1])) : 1);
        if (t >= SILENCE)
          y[t - SILENCE] += w->mix_w[l][c] * a[c][t];
      }
    for (guint t = 0; t < SILENCE + LENGTH; t++)
      for (guint c = 0; c < C; c++) {
        x[c][t] += w->out_b[l][c];
        for (guint i = 0; i < C; i++)
          x[c][t] += w->out_w[l][c][i] * a[i][t];
      }
  }
  for (guint t = 0; t < LENGTH; t++)
    y[t] *= 0.5;
}

static void
test_reference (gconstpointer data)
{
  gboolean gated = g_str_equal (data, "gated");
  g_autoptr (GRand) rand = g_rand_new_with_seed (gated);
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) file = NULL;
  g_autoptr (SeqModel) model = NULL;
  g_autoptr (SeqWork) work = NULL;
  double y[LENGTH], worst = 0;
  float in[LENGTH];
  real *state;
  Weights w;

  for (gsize i = 0; i < sizeof w / sizeof (double); i++)
    ((double *) &w)[i] = (float) g_rand_double_range (rand, -0.7, 0.7);
  file = write_file (&w, data, gated ? 2 * C : C);
  model = seq_model_load_bytes (file, "file", NULL, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (model->format, ==, "PedalNet");
  g_assert_cmpfloat (model->rate, ==, 44100);
  for (guint t = 0; t < LENGTH; t++)
    in[t] = (float) g_rand_double_range (rand, -1, 1);
  ref_run (&w, gated, in, y);

  work = seq_work_new (model->chain, LENGTH, 1, FALSE);
  state = seq_alloc (model->chain->n_state);
  seq_chain_start (model->chain, model->weights, state);
  for (guint t = 0; t < LENGTH; t++)
    work->in[t * work->in_stride] = in[t];
  seq_chain_run (model->chain, work,
      &(SeqPass){
          .n_frames = LENGTH, .weights = model->weights, .state = state });
  for (guint t = 0; t < LENGTH; t++)
    worst = MAX (worst, fabs (work->out[t * work->out_stride] - y[t]));
  g_test_message ("largest error %.1e", worst);
  g_assert_cmpfloat (worst, <=, 2e-6);
  seq_free (state);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func ("/pedalnet/gated", "gated", test_reference);
  g_test_add_data_func ("/pedalnet/tanh", "tanh", test_reference);
  return g_test_run ();
}
