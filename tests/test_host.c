/* test_host.c: which model runs, and that what is refused is as if never asked.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/builder.h"
#include "src/io/load.h"
#include "src/live/host.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#define N 500

/* The input, of up to two channels. */
static void
make_signal (float *x, guint n_channels)
{
  for (guint t = 0; t < N; t++)
    for (guint c = 0; c < n_channels; c++)
      x[t * n_channels + c] =
          (float) (0.4 * sin (0.05 * t + c) + 0.1 * sin (0.9 * t));
}

/* Prediction of N frames by the host's stream. */
static void
run (SeqHost *host, float *y)
{
  SeqHandover *handover = seq_host_handover (host);
  float x[2 * N];
  SeqSignal in = { SEQ_FORMAT_F32 }, out = { SEQ_FORMAT_F32 };
  SeqEngine *engine;

  g_mutex_lock (&handover->lock);
  engine = seq_handover_adopt_pending (handover);
  in.channel = engine->in;
  in.stride = seq_stream_n_channels (engine->stream);
  out.channel = engine->out;
  out.stride = seq_stream_n_outputs (engine->stream);
  make_signal (x, (guint) in.stride);
  for (guint c = 0; c < in.stride; c++)
    engine->in[c] = x + c;
  for (guint o = 0; o < out.stride; o++)
    engine->out[o] = y + o;
  seq_stream_process (engine->stream, &in,
      (const SeqSignal *[SEQ_N_OUTPUTS]){ [SEQ_OUTPUT_PREDICTION] = &out }, N,
      1, 1, 0);
  g_mutex_unlock (&handover->lock);
}

/* Settings of a model with everything else at its default. */
static SeqSettings
settings_of (const char *model)
{
  SeqSettings settings;

  seq_settings_copy (&settings, &seq_default_settings);
  settings.model = model;
  settings.given = SEQ_BIT (SEQ_SETTING_MODEL);
  return settings;
}

/* The plan is one, and is carried out; the function has a GError *error. */
#define CARRY_OUT(host, plan)                                                  \
  do {                                                                         \
    SeqPlan *made = (plan);                                                    \
                                                                               \
    g_assert_no_error (error);                                                 \
    g_assert_true (seq_host_carry_out ((host), made));                         \
  } while (0)

/* A host with a stream of that model that has heard something. */
static SeqHost *
host_new (const SeqSettings *settings, SeqModelFile *file, guint n_channels)
{
  SeqHost *host = seq_host_new (NULL, NULL);
  GError *error = NULL;
  float y[2 * N];

  CARRY_OUT (host, seq_host_plan_open (host, settings, file, &error));
  g_assert_cmpuint (seq_host_n_channels (host), ==, 0);
  CARRY_OUT (host, seq_host_plan_stream (host, n_channels, 100, &error));
  run (host, y);
  return host;
}

static void
assert_refused (SeqPlan *plan, GError **error, const char *says)
{
  g_assert_null (plan);
  g_assert_nonnull (*error);
  if (!strstr ((*error)->message, says))
    g_error ("%s; expected something of %s", (*error)->message, says);
  g_clear_error (error);
}

/* After a refusal state, settings and output are the same to the bit. */
static void
test_refused (void)
{
  g_auto (SeqSettings) ar = settings_of ("ar");
  g_auto (SeqSettings) joint = settings_of ("ar");
  g_auto (SeqSettings) bad = settings_of ("markov");
  g_autoptr (SeqHost) host = host_new (&ar, NULL, 2);
  g_autoptr (SeqHost) other = host_new (&ar, NULL, 2);
  g_autoptr (SeqHost) mono = host_new (&ar, NULL, 1);
  g_autoptr (GBytes) before = seq_host_get_state (host), after = NULL;
  g_autoptr (GBytes) of_mono = seq_host_get_state (mono);
  g_autoptr (GBytes) rubbish = g_bytes_new_static ("rubbish", 7);
  g_autoptr (GError) error = NULL;
  float y[2 * N], expected[2 * N];

  bad.states = 1;
  assert_refused (
      seq_host_plan_settings (host, &bad, NULL, &error), &error, "states");
  assert_refused (
      seq_host_plan_state (host, rubbish, &error), &error, "safetensors");
  assert_refused (
      seq_host_plan_state (host, of_mono, &error), &error, "is 1; expected 2");
  assert_refused (
      seq_host_plan_state_file (host, "/", &error), &error, "state-file /");
  g_assert_null (seq_host_plan_state_file (host, "/nowhere", &error));
  g_assert_no_error (error);

  g_assert_cmpstr (seq_host_settings (host)->model, ==, "ar");
  after = seq_host_get_state (host);
  g_assert_true (g_bytes_equal (before, after));
  run (host, y);
  run (other, expected);
  g_assert_cmpmem (y, sizeof y, expected, sizeof expected);

  /* a state that was saved for other settings stops the stream it would be
   * for, and waits for the right one */
  {
    g_autoptr (SeqHost) waiting = seq_host_new (NULL, NULL);

    CARRY_OUT (waiting, seq_host_plan_open (waiting, &ar, NULL, &error));
    CARRY_OUT (waiting, seq_host_plan_state (waiting, of_mono, &error));
    assert_refused (
        seq_host_plan_stream (waiting, 2, 100, &error), &error, "1 channel;");
    g_assert_cmpuint (seq_host_n_channels (waiting), ==, 0);
    CARRY_OUT (waiting, seq_host_plan_stream (waiting, 1, 100, &error));
    g_clear_pointer (&after, g_bytes_unref);
    after = seq_host_get_state (waiting);
    g_assert_true (g_bytes_equal (after, of_mono));
  }
}

/* A plan that is dropped changes nothing. */
static void
test_dropped (void)
{
  g_auto (SeqSettings) ar = settings_of ("ar"), lstm = settings_of ("lstm");
  g_autoptr (SeqHost) host = host_new (&ar, NULL, 2);
  g_autoptr (GBytes) before = seq_host_get_state (host), after = NULL;
  g_autoptr (GError) error = NULL;

  seq_plan_free (seq_host_plan_settings (host, &lstm, NULL, &error));
  seq_plan_free (seq_host_plan_stream (host, 1, 8000, &error));
  seq_plan_free (seq_host_plan_state (host, before, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (seq_host_n_channels (host), ==, 2);
  g_assert_cmpstr (seq_host_settings (host)->model, ==, "ar");
  after = seq_host_get_state (host);
  g_assert_true (g_bytes_equal (before, after));
}

/* A state brings its model and its settings, until another model is asked for;
 * or it must fit. */
static void
test_state (void)
{
  g_auto (SeqSettings) ar = settings_of ("ar"), lstm = settings_of ("lstm");
  g_auto (SeqSettings) nothing = settings_of ("lstm");
  g_auto (SeqSettings) other = { 0 };
  g_autoptr (SeqHost) host = NULL, from = NULL;
  g_autoptr (GBytes) state = NULL, after = NULL;
  g_autofree char *path = NULL;
  g_autoptr (GError) error = NULL;

  nothing.given = 0;
  ar.order = 7;
  ar.given |= SEQ_BIT (SEQ_SETTING_ORDER);
  from = host_new (&ar, NULL, 2);
  state = seq_host_get_state (from);

  host = host_new (&lstm, NULL, 2);
  CARRY_OUT (host, seq_host_plan_state (host, state, &error));
  g_assert_cmpstr (seq_host_settings (host)->model, ==, "ar");
  g_assert_cmpuint (seq_host_settings (host)->order, ==, 7);
  after = seq_host_get_state (host);
  g_assert_true (g_bytes_equal (state, after));
  seq_settings_copy (&other, seq_host_settings (host));
  other.model = "naive";
  CARRY_OUT (host, seq_host_plan_settings (host, &other, NULL, &error));
  g_clear_pointer (&after, g_bytes_unref);
  after = seq_host_get_state (host);
  g_assert_false (g_bytes_equal (state, after));
  g_clear_pointer (&host, seq_host_free);

  close (g_file_open_tmp (NULL, &path, NULL));
  g_assert_true (seq_save_bytes (path, state, &error));
  host = seq_host_new (NULL, NULL);
  CARRY_OUT (host, seq_host_plan_open (host, &nothing, NULL, &error));
  CARRY_OUT (host, seq_host_plan_state_file (host, path, &error));
  g_assert_cmpstr (seq_host_settings (host)->model, ==, "ar");
  g_clear_pointer (&host, seq_host_free);

  host = seq_host_new (NULL, NULL);
  CARRY_OUT (host, seq_host_plan_open (host, &lstm, NULL, &error));
  CARRY_OUT (host, seq_host_plan_state_file (host, path, &error));
  g_assert_cmpstr (seq_host_settings (host)->model, ==, "lstm");
  assert_refused (
      seq_host_plan_stream (host, 2, 100, &error), &error, "expected lstm");
  g_remove (path);
}

static gboolean
only_8000 (guint rate, gpointer data)
{
  return rate == 8000;
}

/* An lstm in a file. */
static SeqModelFile *
make_file (const char *path, double rate, guint n_out)
{
  g_autoptr (SeqBuilder) builder = seq_builder_new (1);
  g_autoptr (SeqModel) model = NULL;
  g_autoptr (GError) error = NULL;
  SeqModelFile *file;

  seq_builder_add (builder, "lstm", NULL, &error);
  seq_builder_add (builder, "dense",
      g_variant_new_parsed ("{'out_features': <%u>}", n_out), &error);
  seq_builder_set_rate (builder, rate);
  seq_builder_seed (builder, 1);
  model = seq_builder_finish (builder, &error);
  g_assert_no_error (error);
  seq_model_save (model, path, "safetensors", &error);
  g_assert_no_error (error);
  file = seq_model_file_open (path, NULL, &error);
  g_assert_no_error (error);
  return file;
}

/* A file for another rate, or with other outputs, awaits its stream if that can
 * come, and is refused if not; the model before it goes on. */
static void
test_file (void)
{
  static const struct {
    double rate;
    guint n_out;
    gboolean awaits;
    const char *says; /* NULL: it is not refused */
  } cases[] = { { 0, 1, FALSE, NULL }, { 100, 1, FALSE, NULL },
    { 0, 3, TRUE, NULL }, { 8000, 1, TRUE, NULL },
    { 96000, 1, FALSE, "96000" } };
  g_autofree char *path = NULL;

  close (g_file_open_tmp (NULL, &path, NULL));
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (SeqModelFile) file =
        make_file (path, cases[i].rate, cases[i].n_out);
    g_autoptr (SeqHost) host = seq_host_new (only_8000, NULL);
    g_auto (SeqSettings) settings = settings_of ("ar");
    g_auto (SeqSettings) description = { 0 };
    g_autoptr (GError) error = NULL;
    float y[2 * N];
    SeqPlan *plan;

    settings.given = 0;
    CARRY_OUT (host, seq_host_plan_open (host, &settings, NULL, &error));
    CARRY_OUT (host, seq_host_plan_stream (host, 1, 100, &error));
    run (host, y);
    settings.model_file = g_strdup (path);
    settings.n_file_settings++;
    plan = seq_host_plan_settings (host, &settings, file, &error);
    if (cases[i].says) {
      assert_refused (plan, &error, cases[i].says);
      g_assert_null (seq_host_settings (host)->model_file);
      continue;
    }
    CARRY_OUT (host, plan);
    g_assert_cmpint (seq_host_awaits_stream (host), ==, cases[i].awaits);
    seq_host_describe_file (host, &description);
    g_assert_cmpstr (description.model, ==, "lstm");
    g_assert_cmpuint (seq_host_needs (host).n_out, ==, cases[i].n_out);
    g_assert_cmpuint (seq_host_needs (host).rate, ==, (guint) cases[i].rate);
    run (host, y);
    CARRY_OUT (
        host, seq_host_plan_stream (host, 1,
                  cases[i].rate > 0 ? (guint) cases[i].rate : 100, &error));
    g_assert_false (seq_host_awaits_stream (host));
    g_assert_cmpuint (seq_host_n_outputs (host), ==, cases[i].n_out);
  }
  g_remove (path);
}

/* The table of settings: every value prints, and another one is a change. */
static void
test_settings (void)
{
  g_auto (SeqSettings) settings = settings_of ("lstm");

  for (SeqSetting id = 0; id < SEQ_N_SETTINGS; id++) {
    const SeqSettingInfo *info = &seq_setting_infos[id];
    g_auto (SeqSettings) other = settings_of ("lstm");
    gpointer at = G_STRUCT_MEMBER_P (&other, info->offset);
    g_autofree char *before = seq_settings_print (&settings, id);
    g_autofree char *about = seq_setting_about (id), *after = NULL;

    g_assert_cmpuint (strlen (about), >, 10);
    switch (info->type) {
      case SEQ_TYPE_KIND:
        *(const char **) at = "naive";
        break;
      case SEQ_TYPE_UINT:
        *(guint *) at = (guint) info->max;
        break;
      case SEQ_TYPE_UINT64:
        *(guint64 *) at = G_MAXUINT64;
        break;
      case SEQ_TYPE_DOUBLE:
        *(double *) at = info->max;
        break;
      case SEQ_TYPE_CHOICE:
        *(guint *) at = info->choices[1].value;
        break;
      case SEQ_TYPE_UINTS:
        *(GVariant **) at =
            g_variant_ref_sink (g_variant_new_parsed ("[@u 1, 2, 24]"));
        break;
    }
    after = seq_settings_print (&other, id);
    g_assert_cmpstr (before, !=, after);
    g_assert_cmpint (
        seq_settings_compare (&settings, &other), >=, info->change);
    g_assert_cmpint (
        seq_settings_compare (&settings, &settings), ==, SEQ_CHANGE_NOTHING);
  }
}

/* Every kind that can be chosen runs by its name alone. */
static void
test_kinds (void)
{
  const SeqKind *const *kinds = seq_kind_choices ();

  for (guint i = 0; kinds[i]; i++) {
    g_auto (SeqSettings) settings = settings_of (kinds[i]->name);
    g_autoptr (SeqHost) host = host_new (&settings, NULL, 2);
    g_auto (SeqHostStats) stats = { NULL };

    seq_host_get_stats (host, &stats);
    g_assert_cmpuint (stats.stream.n_frames, ==, N);
    g_assert_cmpstr (
        seq_model_layer (stats.model, 0).kind->name, ==, kinds[i]->name);
    seq_host_close (host);
    g_assert_null (seq_host_get_state (host));
  }
}

/* The rest that was found when a model was loaded serves the streams that come
 * later, also of a model that each plan makes with another precision; a moved
 * knob asks for another. */
static void
test_rest (void)
{
  g_autofree char *path = NULL;
  gint fd = g_file_open_tmp ("seqfilter-XXXXXX", &path, NULL);
  SeqModelFile *file = make_file (path, 0, 1);
  g_autoptr (GError) error = NULL;
  g_autoptr (SeqModel) int8 =
      seq_model_with_precision (file->model, "int8", &error);
  g_autoptr (SeqModel) again =
      seq_model_with_precision (file->model, "int8", &error);
  const double knobs[] = { 0.25, 0.5 }, moved[] = { 0.25, 0.75 };
  g_autoptr (SeqRest) none = seq_rest_new (int8, NULL, 0);
  g_autoptr (SeqBuilder) builder = seq_builder_new (3);
  g_autoptr (SeqModel) knobbed = NULL;
  g_autoptr (SeqRest) two = NULL;

  g_assert_no_error (error);
  g_assert_true (none->is_still);
  g_assert_true (seq_rest_suits (none, again, NULL, 0));
  g_assert_false (seq_rest_suits (none, file->model, NULL, 0));
  seq_builder_add (builder, "lstm", NULL, NULL);
  seq_builder_seed (builder, 2);
  knobbed = seq_builder_finish (builder, &error);
  g_assert_no_error (error);
  two = seq_rest_new (knobbed, knobs, 2);
  g_assert_true (seq_rest_suits (two, knobbed, knobs, 2));
  g_assert_false (seq_rest_suits (two, knobbed, moved, 2));
  g_assert_false (seq_rest_suits (two, knobbed, NULL, 0));
  seq_model_file_unref (file);
  close (fd);
  g_unlink (path);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/host/refused", test_refused);
  g_test_add_func ("/host/dropped", test_dropped);
  g_test_add_func ("/host/state", test_state);
  g_test_add_func ("/host/file", test_file);
  g_test_add_func ("/host/settings", test_settings);
  g_test_add_func ("/host/kinds", test_kinds);
  g_test_add_func ("/host/rest", test_rest);
  return g_test_run ();
}
