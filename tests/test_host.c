/* test_host.c: which model runs, and that what is refused is as if never asked.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/builder.h"
#include "src/io/load.h"
#include "src/live/host.h"
#include "src/live/snapshot.h"
#include "src/memory.h"

#include <glib/gstdio.h>
#include <malloc.h>
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

/* --- memory ------------------------------------------------------------------
 */

/* Bytes that malloc() has given out. */
static gsize
count_allocated (void)
{
  struct mallinfo2 info = mallinfo2 ();

  return info.uordblks + info.hblkhd;
}

/* What is summed up before a stream is built is what it then takes. */
static void
test_measure (void)
{
  static const struct {
    const char *kind;
    guint n_channels, horizon, window;
    SeqLearn learn;
  } cases[] = {
    { "ar", 1, 1, 64, SEQ_LEARN_GRADIENT },
    { "ar", 8, 100, 64, SEQ_LEARN_GRADIENT },
    { "naive", 3, 7, 64, SEQ_LEARN_GRADIENT },
    { "markov", 2, 1, 64, SEQ_LEARN_GRADIENT },
    { "lstm", 5, 1, 64, SEQ_LEARN_OFF },
    { "lstm", 5, 300, 1000, SEQ_LEARN_GRADIENT },
    { "gru", 40, 1, 64, SEQ_LEARN_GRADIENT },
    { "rnn", 1000, 1, 64, SEQ_LEARN_OFF },
  };

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  g_test_skip ("NOT RUN: a sanitizer allocates in its own way");
  return;
#endif
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    SeqStreamConfig config = { .learn = cases[i].learn,
      .learning_rate = 1e-3,
      .window = cases[i].window,
      .horizon = cases[i].horizon };
    g_autoptr (GError) error = NULL;
    g_autoptr (SeqModel) model = seq_model_new_untrained (
        cases[i].kind, NULL, 1, 1, FALSE, TRUE, 0, &error);
    gsize before = count_allocated (), taken;
    g_autoptr (SeqStream) stream =
        seq_stream_new (model, cases[i].n_channels, &config, &error);
    SeqStreamMemory sum;

    taken = count_allocated () - before;
    g_assert_no_error (error);
    g_assert_true (
        seq_stream_measure (model, cases[i].n_channels, &config, &sum, &error));
    g_test_message ("%s of %u channels: %" G_GSIZE_FORMAT
                    " summed, %" G_GSIZE_FORMAT " taken",
        cases[i].kind, cases[i].n_channels, sum.state + sum.work, taken);
    g_assert_cmpuint (sum.state, ==, seq_stream_state_size (stream));
    g_assert_cmpfloat (
        (double) taken, <=, 1.02 * (double) (sum.state + sum.work) + 16384);
    g_assert_cmpfloat (
        (double) (sum.state + sum.work), <=, 1.02 * (double) taken + 16384);
  }
}

/* Sizes add up without wrapping. */
static void
test_sizes (void)
{
  g_assert_cmpuint (seq_size_add (1, 2), ==, 3);
  g_assert_cmpuint (seq_size_add (G_MAXSIZE, 0), ==, G_MAXSIZE);
  g_assert_cmpuint (seq_size_add (G_MAXSIZE - 1, 2), ==, G_MAXSIZE);
  g_assert_cmpuint (seq_size_multiply (3, 5), ==, 15);
  g_assert_cmpuint (seq_size_multiply (G_MAXSIZE, 0), ==, 0);
  g_assert_cmpuint (seq_size_multiply (1ull << 33, 1ull << 33), ==, G_MAXSIZE);
  g_assert_cmpuint (seq_memory_total (), >, 1 << 20);
}

/* Whatever asks for too much is refused with the figure, and changes nothing;
 * a limit that is raised lets it in. */
static void
test_limit (void)
{
  g_auto (SeqSettings) ar = settings_of ("ar"), more = { 0 };
  g_autoptr (SeqHost) host = NULL;
  g_autoptr (GBytes) before = NULL, after = NULL;
  g_autoptr (GError) error = NULL;

  ar.max_memory = 4 << 20;
  host = host_new (&ar, NULL, 2);
  before = seq_host_get_state (host);

  seq_settings_copy (&more, &ar); /* by properties */
  more.model = "lstm";
  more.hidden_size = 1000;
  assert_refused (seq_host_plan_settings (host, &more, NULL, &error), &error,
      "the stream (2 channels, lstm, horizon 1: weights ");
  seq_settings_clear (&more);

  seq_settings_copy (&more, &ar); /* by a limit below what runs */
  more.max_memory = 4096;
  assert_refused (seq_host_plan_settings (host, &more, NULL, &error), &error,
      "expected at most 4.1 kB, the limit that is set (max-memory)");

  /* by caps */
  assert_refused (seq_host_plan_stream (host, 60000, 100, &error), &error,
      "60000 channels");
  assert_refused (seq_host_plan_stream (host, 1000000, 100, &error), &error,
      "the number of channels is 1000000; expected 1 to 65536");

  g_assert_cmpuint (seq_host_settings (host)->max_memory, ==, 4 << 20);
  after = seq_host_get_state (host);
  g_assert_true (g_bytes_equal (before, after));
  more.max_memory = 0;
  CARRY_OUT (host, seq_host_plan_settings (host, &more, NULL, &error));
  CARRY_OUT (host, seq_host_plan_stream (host, 1000, 100, &error));
}

/* A small file can hold a model that keeps gigabytes a channel. */
static void
test_large_model (void)
{
  g_autoptr (SeqBuilder) builder = seq_builder_new (1);
  g_autoptr (SeqModel) model = NULL;
  g_autoptr (GError) error = NULL;
  SeqStreamConfig config = { .window = 1 };
  SeqStreamMemory sum;

  for (guint i = 0; i < 150; i++)
    g_assert_cmpint (
        seq_builder_add (builder, "conv1d",
            g_variant_new_parsed ("{'out_channels': <1>, 'kernel_size': <16>, "
                                  "'dilation': <65536>}"),
            &error),
        ==, (gint) i);
  model = seq_builder_finish (builder, &error);
  g_assert_no_error (error);
  g_assert_true (seq_stream_measure (model, 60000, &config, &sum, &error));
  g_assert_cmpuint (sum.state, >, G_GUINT64_CONSTANT (10000000000000));
  g_assert_null (seq_stream_new (model, 60000, &config, &error));
  g_assert_error (error, SEQ_ERROR, SEQ_ERROR_MEMORY);
  g_test_message ("%s", error->message);
  g_assert_nonnull (strstr (error->message, "B; expected at most "));
  g_assert_nonnull (strstr (error->message, "(60000 channels, conv1d,"));
}

/* A net of the largest size in as many layers as there can be is refused
 * before its weights are there. */
static void
test_large_net (void)
{
  g_auto (SeqSettings) huge = settings_of ("lstm");
  g_autoptr (SeqHost) host = seq_host_new (NULL, NULL);
  g_autoptr (GError) error = NULL;
  gint64 begin = g_get_monotonic_time ();

  if (seq_memory_total () > (gsize) 60 << 30) {
    g_test_skip ("NOT RUN: this machine has the memory for it");
    return;
  }
  huge.hidden_size = 4096;
  huge.layers = 64;
  assert_refused (seq_host_plan_open (host, &huge, NULL, &error), &error,
      "lstm: the memory of the weights is ");
  g_assert_false (seq_host_is_open (host));
  g_test_message (
      "refused in %.3f s", (double) (g_get_monotonic_time () - begin) / 1e6);
}

/* A state of a few bytes asks for a terabyte: that does not fit the bytes that
 * there are, which is found out before any memory is. */
static void
test_large_state (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SeqModel) ar =
      seq_model_new_untrained ("ar", NULL, 1, 1, FALSE, FALSE, 0, &error);
  g_autoptr (SeqModel) lstm =
      seq_model_new_untrained ("lstm", NULL, 1, 1, FALSE, FALSE, 0, &error);
  static const guint8 few[64] = { 0 };
  const struct {
    SeqModel *model;
    SeqStreamConfig config;
  } cases[] = {
    { ar, { .learn = SEQ_LEARN_GRADIENT,
              .learning_rate = 1e-3,
              .window = 64,
              .horizon = 1 << 20 } },
    { lstm, { .learn = SEQ_LEARN_GRADIENT,
                .learning_rate = 1e-3,
                .window = SEQ_MAX_WINDOW,
                .horizon = 1 << 20 } },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GBytes) state = seq_snapshot_save (
        cases[i].model, &cases[i].config, SEQ_MAX_CHANNELS, few, sizeof few);

    g_assert_null (seq_snapshot_load (state, 0, &error));
    g_assert_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED);
    g_assert_nonnull (
        strstr (error->message, "seqfilter.state is 64 bytes; expected"));
    g_clear_error (&error);
  }
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
  g_test_add_func ("/host/memory/sizes", test_sizes);
  g_test_add_func ("/host/memory/measure", test_measure);
  g_test_add_func ("/host/memory/limit", test_limit);
  g_test_add_func ("/host/memory/large-model", test_large_model);
  g_test_add_func ("/host/memory/large-net", test_large_net);
  g_test_add_func ("/host/memory/large-state", test_large_state);
  return g_test_run ();
}
