/* snapshots.c: a snapshot that one machine wrote is resumed by another.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * usage: snapshots write|read FOLDER
 *
 * write: leaves in FOLDER, for each model and learner, a snapshot taken in the
 * middle of a signal, the rest of the signal, and what was predicted of it.
 * read: resumes each snapshot and compares its predictions with those.
 * Machines with and without fused multiply-add round differently, so they
 * agree within TOLERANCE of the signal (RMS), not to the bit. Beside integer
 * weights a state is rounded to 14 bits, and may be so either way: there the
 * tolerance is TOLERANCE_INT8. snapshots.sh runs both.
 */
#include "src/live/snapshot.h"

#include <math.h>
#include <string.h>

#define BEFORE 1003 /* in the middle of a window */
#define AFTER 600
#define CHANNELS 2
#define TOLERANCE 2e-5
#define TOLERANCE_INT8 1e-4

typedef struct {
  char *name;
  const SeqKind *kind;
  SeqLearn learn;
  const char *precision; /* of recurrent weights */
  gboolean linear;       /* around a linear forecaster */
} Case;

static void
add_case (GArray *cases, const SeqKind *kind, SeqLearn learn,
    const char *learner, const char *precision, gboolean linear)
{
  Case c = { g_strjoin ("-", kind->name, learner, precision,
                 linear ? "linear" : NULL, NULL),
    kind, learn, precision, linear };

  g_array_append_val (cases, c);
}

/* Each kind that users choose, with each learner, and with small weights. */
static GArray *
cases_new (void)
{
  GArray *cases = g_array_new (FALSE, FALSE, sizeof (Case));

  for (const SeqKind *const *k = seq_kind_choices (); *k; k++) {
    add_case (cases, *k, SEQ_LEARN_GRADIENT, "on", "float", FALSE);
    if ((*k)->flags & SEQ_KIND_TRAINS) {
      add_case (cases, *k, SEQ_LEARN_READOUT, "readout", "float", FALSE);
      add_case (cases, *k, SEQ_LEARN_BOTH, "both", "float", FALSE);
      add_case (cases, *k, SEQ_LEARN_BOTH, "both", "float", TRUE);
    }
    if (seq_kind_has_option (*k, "precision"))
      add_case (cases, *k, SEQ_LEARN_READOUT, "readout", "int8", FALSE);
  }
  return cases;
}

static SeqStream *
make (const Case *c)
{
  SeqStreamConfig config = { .learn = c->learn,
    .learning_rate = 3e-3,
    .window = 48,
    .horizon = 1,
    .channel_mode = SEQ_CHANNELS_INDEPENDENT };
  const char *options = c->linear ? "{'hidden_size': <9>, 'linear': <1>}"
                                  : "{'hidden_size': <9>, 'history': <700>}";
  g_autoptr (GError) error = NULL;
  g_autoptr (SeqModel) model =
      seq_model_new_untrained (c->kind->name, g_variant_new_parsed (options), 1,
          1, c->learn >= SEQ_LEARN_READOUT, TRUE, 7, &error);
  g_autoptr (SeqModel) small =
      model && !g_str_equal (c->precision, "float")
          ? seq_model_with_precision (model, c->precision, &error)
          : NULL;
  SeqStream *stream =
      error ? NULL
            : seq_stream_new (small ? small : model, CHANNELS, &config, &error);

  if (!stream)
    g_error ("%s: %s", c->name, error->message);
  return stream;
}

static void
run (SeqStream *stream, float *x, float *y, guint n)
{
  gpointer in_channel[CHANNELS], out_channel[CHANNELS];
  SeqSignal in = { SEQ_FORMAT_F32, in_channel, CHANNELS };
  SeqSignal out = { SEQ_FORMAT_F32, out_channel, CHANNELS };
  const SeqSignal *outputs[SEQ_N_OUTPUTS] = { [SEQ_OUTPUT_PREDICTION] = &out };

  for (guint c = 0; c < CHANNELS; c++) {
    in_channel[c] = x + c;
    out_channel[c] = y + c;
  }
  seq_stream_process (stream, &in, outputs, n, 1, 1, 0);
}

static char *
path_of (const char *folder, const Case *c, const char *suffix)
{
  g_autofree char *name = g_strconcat (c->name, suffix, NULL);

  return g_build_filename (folder, name, NULL);
}

static void
put (char *path, gconstpointer data, gsize size)
{
  g_autoptr (GError) error = NULL;

  if (!g_file_set_contents (path, data, (gssize) size, &error))
    g_error ("%s", error->message);
  g_free (path);
}

static GBytes *
get (char *path)
{
  g_autoptr (GError) error = NULL;
  char *data;
  gsize size;

  if (!g_file_get_contents (path, &data, &size, &error))
    g_error ("%s", error->message);
  g_free (path);
  return g_bytes_new_take (data, size);
}

static void
write_case (const char *folder, const Case *c)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (3);
  g_autoptr (SeqStream) stream = make (c);
  gsize size = seq_stream_state_size (stream);
  g_autofree gpointer state = g_malloc (size);
  g_autoptr (GBytes) snapshot = NULL;
  float x[(BEFORE + AFTER) * CHANNELS], y[G_N_ELEMENTS (x)];
  float *rest = x + BEFORE * CHANNELS, *predicted = y + BEFORE * CHANNELS;
  gsize rest_size = AFTER * CHANNELS * sizeof (float);

  for (guint t = 0; t < BEFORE + AFTER; t++)
    for (guint k = 0; k < CHANNELS; k++)
      x[t * CHANNELS + k] = (float) (0.4 * sin (0.05 * t + sin (0.003 * t) + k)
                                     + 0.1 * g_rand_double_range (rand, -1, 1));
  run (stream, x, y, BEFORE);
  seq_stream_get_state (stream, state);
  snapshot = seq_snapshot_save (seq_stream_model (stream),
      seq_stream_config (stream), CHANNELS, state, size);
  run (stream, rest, predicted, AFTER);
  put (path_of (folder, c, ".snapshot"), g_bytes_get_data (snapshot, NULL),
      g_bytes_get_size (snapshot));
  put (path_of (folder, c, ".signal"), rest, rest_size);
  put (path_of (folder, c, ".predicted"), predicted, rest_size);
}

/* Whether it predicts as the writer did. */
static gboolean
read_case (const char *folder, const Case *c)
{
  g_autoptr (GBytes) snapshot = get (path_of (folder, c, ".snapshot"));
  g_autoptr (GBytes) signal = get (path_of (folder, c, ".signal"));
  g_autoptr (GBytes) predicted = get (path_of (folder, c, ".predicted"));
  const float *x = g_bytes_get_data (signal, NULL);
  const float *theirs = g_bytes_get_data (predicted, NULL);
  float ours[AFTER * CHANNELS];
  g_autoptr (GError) error = NULL;
  g_autoptr (SeqStream) stream = seq_snapshot_load (snapshot, 0, &error);
  double power = 0, difference = 0;

  if (!stream)
    g_error ("%s: %s", c->name, error->message);
  g_assert_cmpuint (g_bytes_get_size (signal), ==, sizeof ours);
  g_assert_cmpuint (g_bytes_get_size (predicted), ==, sizeof ours);
  run (stream, (float *) x, ours, AFTER);
  for (guint k = 0; k < AFTER * CHANNELS; k++) {
    power += (double) x[k] * x[k];
    difference += pow ((double) ours[k] - theirs[k], 2);
  }
  difference = sqrt (difference / power);
  g_print ("%s: differs by %.1e of the signal\n", c->name, difference);
  return difference
         <= (g_str_equal (c->precision, "int8") ? TOLERANCE_INT8 : TOLERANCE);
}

int
main (int argc, char **argv)
{
  g_autoptr (GArray) cases = cases_new ();
  gboolean good = TRUE;

  if (argc != 3)
    return 2;
  for (guint i = 0; i < cases->len; i++) {
    Case *c = &g_array_index (cases, Case, i);

    if (g_str_equal (argv[1], "write"))
      write_case (argv[2], c);
    else
      good &= read_case (argv[2], c);
    g_free (c->name);
  }
  return !good;
}
