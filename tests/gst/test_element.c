/* test_element.c: input and output of seqfilter: caps, formats, layouts,
 * groups of channels, buffers, properties, presets, errors.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "tests/gst/filter.h"
#include "src/model.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

enum {
  INPUT = 1 << SEQ_OUTPUT_INPUT,
  PREDICTION = 1 << SEQ_OUTPUT_PREDICTION,
  RESIDUAL = 1 << SEQ_OUTPUT_RESIDUAL,
  SCORE = 1 << SEQ_OUTPUT_SCORE,
};

#define ALL_EMITS "emit=input+prediction+residual+score"

/* Every format and layout, some rates and channel counts. */
static const Kind kinds[] = {
  { GST_AUDIO_FORMAT_S16, GST_AUDIO_LAYOUT_INTERLEAVED, 48000, 1 },
  { GST_AUDIO_FORMAT_S32, GST_AUDIO_LAYOUT_INTERLEAVED, 44100, 2 },
  { GST_AUDIO_FORMAT_F32, GST_AUDIO_LAYOUT_INTERLEAVED, 8000, 3 },
  { GST_AUDIO_FORMAT_F64, GST_AUDIO_LAYOUT_INTERLEAVED, 10, 6 },
  { GST_AUDIO_FORMAT_S16, GST_AUDIO_LAYOUT_NON_INTERLEAVED, 48000, 2 },
  { GST_AUDIO_FORMAT_S32, GST_AUDIO_LAYOUT_NON_INTERLEAVED, 48000, 3 },
  { GST_AUDIO_FORMAT_F32, GST_AUDIO_LAYOUT_NON_INTERLEAVED, 1, 1 },
  { GST_AUDIO_FORMAT_F64, GST_AUDIO_LAYOUT_NON_INTERLEAVED, 200, 9 },
};

static const Setting ar = { "model=ar order=8", "ar" };

/* The core's bits come out, in every format and layout, in place and as
 * groups of channels. */
GST_START_TEST (formats_and_layouts)
{
  const Kind *kind = &kinds[__i__];
  static const struct {
    const char *properties;
    guint emit;
  } emits[] = { { "emit=prediction", PREDICTION },
    { "emit=residual", RESIDUAL }, { "emit=score", SCORE },
    { "emit=input", INPUT },
    { ALL_EMITS, INPUT | PREDICTION | RESIDUAL | SCORE },
    { "emit=input+score", INPUT | SCORE } };

  for (guint i = 0; i < G_N_ELEMENTS (emits); i++) {
    g_autofree char *properties =
        g_strdup_printf ("model=ar order=8 %s", emits[i].properties);
    GstHarness *h = filter_new (properties, kind);
    g_autoptr (SeqStream) reference = reference_new (&ar, kind);

    /* planar buffers are compared one by one */
    for (guint from = 0; from < 1000; from += 250) {
      g_autoptr (GBytes) expected =
          reference_run (reference, kind, emits[i].emit, from, 250, 0);
      g_autoptr (GBytes) got = NULL;

      push (h, kind, from, 250, 250, 0, 0);
      got = pull (h);
      assert_same_bits (got, expected, properties);
    }
    gst_harness_teardown (h);
  }
}
GST_END_TEST

/* Non-interleaved buffers without GstAudioMeta hold their planes packed; with
 * it, planes lie where it says. */
GST_START_TEST (planes)
{
  const Kind kind = { GST_AUDIO_FORMAT_F32, GST_AUDIO_LAYOUT_NON_INTERLEAVED,
    8000, 2 };
  GstHarness *h[3];
  GBytes *out[3];

  for (guint i = 0; i < 3; i++) {
    GstBuffer *buffer = buffer_new (&kind, 0, 100);
    GstAudioMeta *meta = gst_buffer_get_audio_meta (buffer);

    h[i] = filter_new ("model=ar order=8", &kind);
    if (i == 1)
      gst_buffer_remove_meta (buffer, (GstMeta *) meta);
    if (i == 2) { /* the planes the other way round, a gap between */
      GstBuffer *apart = gst_buffer_new_allocate (NULL, 1000, NULL);
      gsize offsets[2] = { 600, 40 };
      GstMapInfo map;

      gst_buffer_map (buffer, &map, GST_MAP_READ);
      gst_buffer_fill (apart, offsets[0], map.data, 400);
      gst_buffer_fill (apart, offsets[1], map.data + 400, 400);
      gst_buffer_unmap (buffer, &map);
      gst_buffer_add_audio_meta (apart, &meta->info, 100, offsets);
      gst_buffer_unref (buffer);
      buffer = apart;
    }
    fail_unless_equals_int (gst_harness_push (h[i], buffer), GST_FLOW_OK);
    out[i] = pull (h[i]);
  }
  assert_same_bits (out[1], out[0], "no meta");
  fail_unless (!memcmp ((guint8 *) g_bytes_get_data (out[2], NULL) + 600,
      g_bytes_get_data (out[0], NULL), 400));
  fail_unless (!memcmp ((guint8 *) g_bytes_get_data (out[2], NULL) + 40,
      (guint8 *) g_bytes_get_data (out[0], NULL) + 400, 400));
  for (guint i = 0; i < 3; i++) {
    g_bytes_unref (out[i]);
    gst_harness_teardown (h[i]);
  }
}
GST_END_TEST

/* A meta that points outside the buffer, or says more frames than there is
 * room for, is an error and no crash; in place and in groups. */
GST_START_TEST (planes_that_do_not_fit)
{
  const Kind kind = { GST_AUDIO_FORMAT_F32, GST_AUDIO_LAYOUT_NON_INTERLEAVED,
    8000, 2 };
  GstHarness *h = filter_new (
      __i__ / 2 ? "model=ar emit=input+prediction" : "model=ar", &kind);
  GstBuffer *buffer = buffer_new (&kind, 0, 100);
  GstAudioMeta *meta = gst_buffer_get_audio_meta (buffer);

  if (__i__ % 2) {
    meta->offsets[1] = 0;
    meta->samples = 200;
  } else {
    meta->offsets[1] = 404;
  }
  fail_unless_equals_int (gst_harness_push (h, buffer), GST_FLOW_ERROR);
  gst_harness_teardown (h);
}
GST_END_TEST

/* The stream cut in any way gives the same bits: every model. */
GST_START_TEST (any_cut)
{
  static const guint cuts[] = { 1, 7, 480, 4096 };
  g_autofree char *properties =
      g_strdup_printf ("%s " ALL_EMITS, settings[__i__].properties);
  g_autoptr (SeqStream) reference = reference_new (&settings[__i__], &f32_mono);
  g_autoptr (GBytes) expected = reference_run (
      reference, &f32_mono, INPUT | PREDICTION | RESIDUAL | SCORE, 0, 6000, 0);

  for (guint i = 0; i < G_N_ELEMENTS (cuts); i++) {
    GstHarness *h = filter_new (properties, &f32_mono);
    g_autoptr (GBytes) got = NULL;

    push (h, &f32_mono, 0, 6000, cuts[i], 0, 0);
    got = pull (h);
    assert_same_bits (got, expected, properties);
    gst_harness_teardown (h);
  }
}
GST_END_TEST

/* Independent channels give the bits that they would give alone. */
GST_START_TEST (channels_alone)
{
  const Kind two = { GST_AUDIO_FORMAT_F32, GST_AUDIO_LAYOUT_NON_INTERLEAVED,
    48000, 2 };
  GstHarness *both = filter_new (settings[__i__].properties, &two);
  GstHarness *one = filter_new (settings[__i__].properties, &f32_mono);
  g_autoptr (GBytes) out_both = NULL, out_one = NULL, first = NULL;

  push (both, &two, 0, 1000, 1000, 0, 0);
  push (one, &f32_mono, 0, 1000, 1000, 0, 0);
  out_both = pull (both);
  out_one = pull (one);
  first = g_bytes_new_from_bytes (out_both, 0, 4000);
  assert_same_bits (first, out_one, settings[__i__].properties);
  gst_harness_teardown (both);
  gst_harness_teardown (one);
}
GST_END_TEST

/* joint: all channels are one input of the model. */
GST_START_TEST (channels_joint)
{
  const Kind kind = { GST_AUDIO_FORMAT_F32, GST_AUDIO_LAYOUT_INTERLEAVED, 100,
    3 };
  g_autofree char *properties =
      g_strdup_printf ("%s channel-mode=joint", settings[__i__].properties);
  const Setting joint = { properties, settings[__i__].model };
  GstHarness *h = filter_new (properties, &kind);
  g_autoptr (SeqStream) reference = reference_new (&joint, &kind);
  g_autoptr (GBytes) expected =
      reference_run (reference, &kind, PREDICTION, 0, 500, 0);
  g_autoptr (GBytes) got = NULL;

  fail_unless_equals_int (seq_stream_model (reference)->n_signal, 3);
  push (h, &kind, 0, 500, 100, 0, 0);
  got = pull (h);
  assert_same_bits (got, expected, properties);
  gst_harness_teardown (h);
}
GST_END_TEST

/* Sensors: many channels, slow, no audioconvert in the way. */
GST_START_TEST (many_channels)
{
  static const Kind many[] = {
    { GST_AUDIO_FORMAT_F64, GST_AUDIO_LAYOUT_INTERLEAVED, 1, 200 },
    { GST_AUDIO_FORMAT_F32, GST_AUDIO_LAYOUT_INTERLEAVED, 1000, 4096 },
  };
  const Kind *kind = &many[__i__];
  GstHarness *h = filter_new ("model=ar order=2", kind);

  push (h, kind, 0, 20, 1, 0, 0);
  fail_unless_equals_int (gst_harness_buffers_received (h), 20);
  gst_harness_teardown (h);

  /* four groups of 200 channels leave as 800 */
  if (kind->channels == 200) {
    g_autoptr (GstCaps) caps = NULL;
    int channels;

    h = filter_new ("model=ar order=2 " ALL_EMITS, kind);
    push (h, kind, 0, 20, 1, 0, 0);
    caps = gst_pad_get_current_caps (h->sinkpad);
    gst_structure_get_int (
        gst_caps_get_structure (caps, 0), "channels", &channels);
    fail_unless_equals_int (channels, 800);
    gst_harness_teardown (h);
  }
}
GST_END_TEST

/* Groups multiply channels; more than two are unpositioned. */
GST_START_TEST (groups_of_channels)
{
  static const struct {
    const char *emit;
    int in, out;
    gboolean unpositioned;
  } cases[] = { { "input", 2, 2, FALSE }, { "prediction", 6, 6, TRUE },
    { "input+prediction", 1, 2, FALSE }, { "input+prediction", 2, 4, TRUE },
    { "prediction+residual+score", 1, 3, TRUE } };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    const Kind kind = { GST_AUDIO_FORMAT_F32, GST_AUDIO_LAYOUT_INTERLEAVED,
      8000, cases[i].in };
    g_autofree char *properties =
        g_strdup_printf ("model=ar emit=%s", cases[i].emit);
    GstHarness *h = filter_new (properties, &kind);
    g_autoptr (GstCaps) caps = NULL;
    GstStructure *s;
    guint64 mask = 1;
    int channels;

    push (h, &kind, 0, 8, 8, 0, 0);
    caps = gst_pad_get_current_caps (h->sinkpad);
    s = gst_caps_get_structure (caps, 0);
    fail_unless (gst_structure_get_int (s, "channels", &channels));
    fail_unless_equals_int (channels, cases[i].out);
    if (cases[i].unpositioned) {
      fail_unless (
          gst_structure_get (s, "channel-mask", GST_TYPE_BITMASK, &mask, NULL));
      fail_unless_equals_uint64 (mask, 0);
    }
    gst_harness_teardown (h);
  }
}
GST_END_TEST

/* Downstream's channels show upstream, divided by the number of groups. */
GST_START_TEST (caps_upstream)
{
  g_autoptr (GstElement) filter = gst_element_factory_make ("seqfilter", NULL);
  g_autoptr (GstPad) sink = NULL;
  g_autoptr (GstCaps) caps = NULL, expected = NULL;
  g_autoptr (GstElement) bin = NULL;
  GstElement *wanted = gst_element_factory_make ("capsfilter", NULL);

  gst_object_ref_sink (filter);
  bin = gst_object_ref_sink (gst_bin_new (NULL));
  gst_util_set_object_arg (G_OBJECT (filter), "emit", "input+prediction");
  gst_util_set_object_arg (
      G_OBJECT (wanted), "caps", "audio/x-raw,channels=[3,8]");
  gst_bin_add_many (GST_BIN (bin), filter, wanted, NULL);
  fail_unless (gst_element_link (filter, wanted));
  sink = gst_element_get_static_pad (filter, "sink");
  caps = gst_pad_query_caps (sink, NULL);
  expected = gst_caps_from_string ("audio/x-raw,channels=[2,4]");
  fail_unless (gst_caps_is_subset (caps, expected));
  fail_unless (gst_caps_can_intersect (caps, expected));
}
GST_END_TEST

/* One group is written where the input was; a shared buffer is not touched;
 * input alone passes the very buffer on, and the model still listens. */
GST_START_TEST (memory)
{
  GstHarness *h = filter_new ("model=ar order=8", &f32_mono);
  GstHarness *listens = filter_new ("model=ar order=8 emit=input", &f32_mono);
  g_autoptr (GBytes) before = signal_new (&f32_mono, 0, 480);
  g_autoptr (GBytes) after = NULL;
  g_autoptr (GstElement) element = filter_element (listens);
  g_autoptr (GstStructure) stats = NULL;
  GstBuffer *buffer = buffer_new (&f32_mono, 0, 480), *out;
  GstMemory *memory = gst_buffer_peek_memory (buffer, 0);
  guint64 frames;
  GstMapInfo map;

  fail_unless_equals_int (gst_harness_push (h, buffer), GST_FLOW_OK);
  out = gst_harness_pull (h);
  fail_unless (gst_buffer_peek_memory (out, 0) == memory);
  gst_buffer_unref (out);

  /* as behind a tee */
  buffer = buffer_new (&f32_mono, 0, 480);
  fail_unless_equals_int (
      gst_harness_push (h, gst_buffer_ref (buffer)), GST_FLOW_OK);
  gst_buffer_unref (gst_harness_pull (h));
  gst_buffer_map (buffer, &map, GST_MAP_READ);
  after = g_bytes_new (map.data, map.size);
  gst_buffer_unmap (buffer, &map);
  assert_same_bits (after, before, "shared buffer");
  gst_buffer_unref (buffer);
  gst_harness_teardown (h);

  buffer = buffer_new (&f32_mono, 0, 480);
  fail_unless_equals_int (
      gst_harness_push (listens, gst_buffer_ref (buffer)), GST_FLOW_OK);
  out = gst_harness_pull (listens);
  fail_unless (out == buffer);
  gst_buffer_unref (out);
  gst_buffer_unref (buffer);
  g_object_get (element, "stats", &stats, NULL);
  fail_unless (gst_structure_get_uint64 (stats, "frames", &frames));
  fail_unless_equals_uint64 (frames, 480);
  gst_harness_teardown (listens);
}
GST_END_TEST

/* emit can change while data flows: caps follow, and the model goes on. */
GST_START_TEST (emit_changes)
{
  static const struct {
    const char *name;
    guint emit;
  } steps[] = { { "prediction", PREDICTION }, { "residual", RESIDUAL },
    { "input", INPUT },
    { "input+prediction+residual", INPUT | PREDICTION | RESIDUAL },
    { "score", SCORE }, { "input+score", INPUT | SCORE } };
  const Kind kind = { GST_AUDIO_FORMAT_F32, GST_AUDIO_LAYOUT_INTERLEAVED, 8000,
    2 };
  GstHarness *h = filter_new ("model=ar order=8", &kind);
  g_autoptr (GstElement) element = filter_element (h);
  g_autoptr (SeqStream) reference = reference_new (&ar, &kind);

  for (guint i = 0; i < G_N_ELEMENTS (steps); i++) {
    g_autoptr (GBytes) got = NULL;
    g_autoptr (GBytes) expected =
        reference_run (reference, &kind, steps[i].emit, i * 500, 500, 0);

    gst_util_set_object_arg (G_OBJECT (element), "emit", steps[i].name);
    push (h, &kind, i * 500, 500, 100, 0, 0);
    got = pull (h);
    assert_same_bits (got, expected, steps[i].name);
  }
  gst_harness_teardown (h);
}
GST_END_TEST

GST_START_TEST (latency_is_zero)
{
  GstHarness *h = filter_new ("model=ar horizon=16", &f32_mono);

  push (h, &f32_mono, 0, 10, 10, 0, 0);
  gst_harness_set_upstream_latency (h, 5 * GST_MSECOND);
  fail_unless_equals_uint64 (gst_harness_query_latency (h), 5 * GST_MSECOND);
  gst_harness_teardown (h);
}
GST_END_TEST

/* A seek is answered by what is upstream; timestamps pass unchanged. */
GST_START_TEST (timestamps_pass)
{
  GstHarness *h = filter_new ("model=ar emit=input+prediction", &f32_mono);

  for (guint i = 0; i < 5; i++) {
    GstBuffer *buffer = buffer_new (&f32_mono, i * 480, 480);
    GstClockTime pts = GST_BUFFER_PTS (buffer);

    fail_unless_equals_int (gst_harness_push (h, buffer), GST_FLOW_OK);
    buffer = gst_harness_pull (h);
    fail_unless_equals_uint64 (GST_BUFFER_PTS (buffer), pts);
    fail_unless_equals_uint64 (GST_BUFFER_DURATION (buffer), 10 * GST_MSECOND);
    gst_buffer_unref (buffer);
  }
  gst_harness_teardown (h);
}
GST_END_TEST

/* NaN and infinity are counted, and neither come out nor stay. */
GST_START_TEST (not_finite)
{
  GstHarness *h = filter_new (settings[__i__].properties, &f32_mono);
  g_autoptr (GstElement) element = filter_element (h);
  g_autoptr (GstStructure) stats = NULL;
  g_autoptr (GBytes) out = NULL;
  GstBuffer *buffer = buffer_new (&f32_mono, 0, 1000);
  const float *y;
  guint64 n;
  GstMapInfo map;

  gst_buffer_map (buffer, &map, GST_MAP_WRITE);
  ((float *) map.data)[0] = NAN;
  ((float *) map.data)[500] = INFINITY;
  ((float *) map.data)[501] = -INFINITY;
  gst_buffer_unmap (buffer, &map);
  fail_unless_equals_int (gst_harness_push (h, buffer), GST_FLOW_OK);
  push (h, &f32_mono, 1000, 1000, 1000, 0, 0);
  out = pull (h);
  y = g_bytes_get_data (out, NULL);
  for (guint i = 0; i < 2000; i++)
    fail_unless (isfinite (y[i]), "%s: frame %u", settings[__i__].model, i);
  g_object_get (element, "stats", &stats, NULL);
  fail_unless (gst_structure_get_uint64 (stats, "non-finite", &n));
  fail_unless_equals_uint64 (n, 3);
  gst_harness_teardown (h);
}
GST_END_TEST

/* Denormals come in and nothing but numbers goes out; the thread's own
 * arithmetic keeps them. */
GST_START_TEST (denormals)
{
  GstHarness *h = filter_new (settings[__i__].properties, &f32_mono);
  GstBuffer *buffer = buffer_new (&f32_mono, 0, 1000);
  g_autoptr (GBytes) out = NULL;
  volatile double tiny = 1e-310;
  GstMapInfo map;

  gst_buffer_map (buffer, &map, GST_MAP_WRITE);
  for (guint i = 0; i < 1000; i++)
    ((float *) map.data)[i] = i % 2 ? 1e-40f : -1e-40f;
  gst_buffer_unmap (buffer, &map);
  fail_unless_equals_int (gst_harness_push (h, buffer), GST_FLOW_OK);
  out = pull (h);
  for (guint i = 0; i < 1000; i++)
    fail_unless (isfinite (((float *) g_bytes_get_data (out, NULL))[i]));
  fail_unless (tiny * 0.5 != 0);
  gst_harness_teardown (h);
}
GST_END_TEST

/* --- properties ----------------------------------------------------------- */

/* The defaults that gst-inspect prints are those of an instance; each property
 * says what it does and when it may change. */
GST_START_TEST (properties_read_like_a_manual)
{
  g_autoptr (GstElement) element =
      gst_object_ref_sink (gst_element_factory_make ("seqfilter", NULL));
  guint n;
  g_autofree GParamSpec **specs =
      g_object_class_list_properties (G_OBJECT_GET_CLASS (element), &n);

  for (guint i = 0; i < n; i++) {
    GParamSpec *spec = specs[i];
    GValue value = G_VALUE_INIT;

    if (spec->owner_type != G_OBJECT_TYPE (element))
      continue;
    fail_unless (strlen (g_param_spec_get_blurb (spec)) > 10, spec->name);
    if (!(spec->flags & G_PARAM_WRITABLE))
      continue;
    fail_unless (spec->flags & GST_PARAM_MUTABLE_PLAYING, spec->name);
    g_value_init (&value, spec->value_type);
    g_object_get_property (G_OBJECT (element), spec->name, &value);
    fail_unless (GST_IS_PARAM_SPEC_ARRAY_LIST (spec)
                     || g_param_value_defaults (spec, &value),
        spec->name);
    g_value_unset (&value);
  }
}
GST_END_TEST

/* A property reads back as it was set. */
GST_START_TEST (properties_round_trip)
{
  static const char *const values[][2] = { { "model", "gru" },
    { "hidden-size", "33" }, { "layers", "2" }, { "order", "7" },
    { "lags", "< 1, 2, 24 >" }, { "states", "12" }, { "history", "999" },
    { "horizon", "5" }, { "learn", "readout" }, { "learn", "both" },
    { "learn", "off" }, { "learning-rate", "0.25" }, { "window", "17" },
    { "forgetting", "0.5" }, { "seed", "18446744073709551615" },
    { "residual-connection", "off" }, { "channel-mode", "joint" },
    { "emit", "input+score" }, { "post-messages", "true" },
    { "interval", "12345" }, { "mix", "0.5" }, { "state-file", "x" },
    { "model-file", "y" }, { "model-options", "options, residual=(int)1;" },
    { "rate-mode", "ignore" }, { "params", "< 0.5, 0.25 >" },
    { "param4", "0.125" }, { "learn", "on" } };
  g_autoptr (GstElement) element =
      gst_object_ref_sink (gst_element_factory_make ("seqfilter", NULL));

  for (guint i = 0; i < G_N_ELEMENTS (values); i++) {
    GParamSpec *spec = g_object_class_find_property (
        G_OBJECT_GET_CLASS (element), values[i][0]);
    g_auto (GValue) wanted = G_VALUE_INIT, got = G_VALUE_INIT;

    gst_util_set_object_arg (G_OBJECT (element), values[i][0], values[i][1]);
    g_value_init (&wanted, spec->value_type);
    g_value_init (&got, spec->value_type);
    fail_unless (
        gst_value_deserialize_with_pspec (&wanted, values[i][1], spec));
    g_object_get_property (G_OBJECT (element), values[i][0], &got);
    fail_unless_equals_int (gst_value_compare (&wanted, &got), GST_VALUE_EQUAL);
  }
}
GST_END_TEST

/* naive, ar and markov have one way to learn, whichever is asked for. */
GST_START_TEST (one_way_to_learn)
{
  static const char *const ways[] = { "on", "gradient", "readout", "both" };
  const Setting *setting = &settings[__i__];
  g_autoptr (SeqStream) reference = reference_new (setting, &f32_mono);
  g_autoptr (GBytes) expected =
      reference_run (reference, &f32_mono, PREDICTION, 0, 1000, 0);

  for (guint i = 0; i < G_N_ELEMENTS (ways); i++) {
    g_autofree char *properties =
        g_strdup_printf ("%s learn=%s", setting->properties, ways[i]);
    GstHarness *h = filter_new (properties, &f32_mono);
    g_autoptr (GBytes) got = NULL;

    push (h, &f32_mono, 0, 1000, 100, 0, 0);
    got = pull (h);
    assert_same_bits (got, expected, properties);
    gst_harness_teardown (h);
  }
}
GST_END_TEST

/* Two words may say the same model. */
GST_START_TEST (aliases)
{
  g_autoptr (GstElement) element =
      gst_object_ref_sink (gst_element_factory_make ("seqfilter", NULL));
  int a, b;

  gst_util_set_object_arg (G_OBJECT (element), "model", "ar");
  g_object_get (element, "model", &a, NULL);
  gst_util_set_object_arg (G_OBJECT (element), "model", "elman");
  gst_util_set_object_arg (G_OBJECT (element), "model", "autoregressive");
  g_object_get (element, "model", &b, NULL);
  fail_unless_equals_int (a, b);
}
GST_END_TEST

/* Each preset that is installed loads, and makes an element that runs. */
GST_START_TEST (presets)
{
  g_autoptr (GstElement) list =
      gst_object_ref_sink (gst_element_factory_make ("seqfilter", NULL));
  g_auto (GStrv) names = gst_preset_get_preset_names (GST_PRESET (list));
  guint n = 0;

  for (; names && names[n]; n++) {
    GstHarness *h = filter_new ("", &f32_mono);
    g_autoptr (GstElement) element = filter_element (h);

    fail_unless (
        gst_preset_load_preset (GST_PRESET (element), names[n]), names[n]);
    push (h, &f32_mono, 0, 480, 480, 0, 0);
    gst_harness_teardown (h);
  }
  fail_unless (n >= 3, "%u presets", n);
}
GST_END_TEST

/* A preset that a user saves holds settings and loads again; it does not hold
 * what was learnt. */
GST_START_TEST (preset_of_ones_own)
{
  g_autoptr (GstElement) element =
      gst_object_ref_sink (gst_element_factory_make ("seqfilter", NULL));
  g_auto (GStrv) names = gst_preset_get_property_names (GST_PRESET (element));
  g_autofree char *at = g_build_filename (g_get_user_data_dir (),
      "gstreamer-1.0", "presets", "GstSeqFilter.prs", NULL);
  guint order;

  fail_if (g_file_test (at, G_FILE_TEST_EXISTS), "%s is in the way", at);
  fail_unless (g_strv_contains ((const char **) names, "order"));
  fail_if (g_strv_contains ((const char **) names, "state"));
  fail_if (g_strv_contains ((const char **) names, "state-file"));
  gst_util_set_object_arg (G_OBJECT (element), "emit", "input+score");
  g_object_set (element, "order", 77, NULL);
  fail_unless (gst_preset_save_preset (GST_PRESET (element), "mine"));
  gst_util_set_object_arg (G_OBJECT (element), "emit", "input");
  g_object_set (element, "order", 5, NULL);
  fail_unless (gst_preset_load_preset (GST_PRESET (element), "mine"));
  g_object_get (element, "order", &order, NULL);
  fail_unless_equals_int (order, 77);
  fail_unless_equals_int (g_remove (at), 0);
}
GST_END_TEST

/* --- errors --------------------------------------------------------------- */

/* The first error or warning on a bus, which this takes. */
static GError *
first_error (GstBus *bus, GstMessageType type)
{
  GError *error = NULL;
  g_autoptr (GstMessage) message =
      gst_bus_timed_pop_filtered (bus, 5 * GST_SECOND, type | GST_MESSAGE_EOS);

  if (message && GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR)
    gst_message_parse_error (message, &error, NULL);
  else if (message && GST_MESSAGE_TYPE (message) == GST_MESSAGE_WARNING)
    gst_message_parse_warning (message, &error, NULL);
  return error;
}

/* model-options set options of a model that have no property; setting the
 * default changes nothing. */
GST_START_TEST (options_of_kinds)
{
  static const struct {
    const char *model, *same, *other;
  } cases[] = {
    { "rnn", "nonlinearity=tanh", "nonlinearity=relu" },
    { "gru", "reset-after=1", "reset-after=0" },
    { "markov", "quantizer=uniform", "quantizer=mu-law" },
    { "naive", "neighbours=4", "neighbours=1" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    const char *options[] = { NULL, cases[i].same, cases[i].other };
    GBytes *out[3];

    for (guint k = 0; k < 3; k++) {
      g_autofree char *set =
          options[k] ? g_strdup_printf (
              "model=%s model-options=options,%s", cases[i].model, options[k])
                     : g_strdup_printf ("model=%s", cases[i].model);
      GstHarness *h = filter_new (set, &f32_mono);

      push (h, &f32_mono, 0, 2000, 500, 0, 0);
      out[k] = pull (h);
      gst_harness_teardown (h);
    }
    assert_same_bits (out[0], out[1], cases[i].same);
    fail_if (g_bytes_equal (out[0], out[2]), "%s", cases[i].other);
    for (guint k = 0; k < 3; k++)
      g_clear_pointer (&out[k], g_bytes_unref);
  }
}
GST_END_TEST

/* Settings that cannot work are an error that says why, before data flows. */
GST_START_TEST (settings_that_make_no_sense)
{
  static const struct {
    const char *properties;
    GQuark (*domain) (void);
    int code;
    const char *says;
  } cases[] = {
    { "emit=0", gst_library_error_quark, GST_LIBRARY_ERROR_SETTINGS,
        "emit is empty" },
    { "model=markov states=1", gst_library_error_quark,
        GST_LIBRARY_ERROR_SETTINGS, "states" },
    { "model=ar lags=<1,2000000>", gst_library_error_quark,
        GST_LIBRARY_ERROR_SETTINGS, "lags" },
    { "model=naive history=3", gst_library_error_quark,
        GST_LIBRARY_ERROR_SETTINGS, "history" },
    { "horizon=0", gst_library_error_quark, GST_LIBRARY_ERROR_SETTINGS,
        "horizon is 0" },
    { "model=lstm model-options=options,nonlinearity=relu",
        gst_library_error_quark, GST_LIBRARY_ERROR_SETTINGS,
        "lstm has no option 'nonlinearity'" },
    { "model=rnn model-options=options,nonlinearity=tan",
        gst_library_error_quark, GST_LIBRARY_ERROR_SETTINGS, "'tan'" },
    { "model=lstm forgetting=0.1", gst_library_error_quark,
        GST_LIBRARY_ERROR_SETTINGS, "forgetting" },
    { "state-file=/", gst_resource_error_quark, GST_RESOURCE_ERROR_OPEN_READ,
        "state-file /" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *launch =
        g_strdup_printf ("audiotestsrc num-buffers=3 ! seqfilter %s ! fakesink",
            cases[i].properties);
    g_autoptr (GstElement) pipeline = gst_parse_launch (launch, NULL);
    g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
    g_autoptr (GError) error = NULL;

    gst_element_set_state (pipeline, GST_STATE_PLAYING);
    error = first_error (bus, GST_MESSAGE_ERROR);
    fail_unless (error != NULL, "%s: no error", cases[i].properties);
    fail_unless (g_error_matches (error, cases[i].domain (), cases[i].code),
        "%s: %s", cases[i].properties, error->message);
    fail_unless (strstr (error->message, cases[i].says), "%s: %s",
        cases[i].properties, error->message);
    gst_element_set_state (pipeline, GST_STATE_NULL);
  }
}
GST_END_TEST

/* While data flows, the model that runs goes on, and a warning says why. */
GST_START_TEST (bad_setting_while_playing)
{
  GstHarness *h = filter_new ("model=markov states=16", &f32_mono);
  g_autoptr (GstElement) element = filter_element (h);
  g_autoptr (GstBus) bus = gst_bus_new ();
  g_autoptr (SeqStream) reference = reference_new (&settings[2], &f32_mono);
  g_autoptr (GBytes) expected =
      reference_run (reference, &f32_mono, PREDICTION, 0, 1000, 0);
  g_autoptr (GBytes) got = NULL;
  g_autoptr (GError) error = NULL;

  gst_element_set_bus (element, bus);
  push (h, &f32_mono, 0, 500, 100, 0, 0);
  g_object_set (element, "states", 1, NULL);
  error = first_error (bus, GST_MESSAGE_WARNING);
  fail_unless (
      g_error_matches (error, GST_LIBRARY_ERROR, GST_LIBRARY_ERROR_SETTINGS));
  push (h, &f32_mono, 500, 500, 100, 0, 0);
  got = pull (h);
  assert_same_bits (got, expected, "the former model");
  gst_element_set_bus (element, NULL);
  gst_harness_teardown (h);
}
GST_END_TEST

/* Caps of other formats are refused. */
GST_START_TEST (bad_caps)
{
  static const char *const bad[] = { "audio/x-raw,format=S24LE",
    "audio/x-raw,format=U8", "audio/x-raw,rate=0", "audio/x-raw,channels=0",
    "other/tensors" };
  g_autoptr (GstElement) element =
      gst_object_ref_sink (gst_element_factory_make ("seqfilter", NULL));
  g_autoptr (GstPad) sink = gst_element_get_static_pad (element, "sink");

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (GstCaps) caps = gst_caps_from_string (bad[i]);
    g_autoptr (GstCaps) allowed = gst_pad_query_caps (sink, caps);

    fail_unless (gst_caps_is_empty (allowed), bad[i]);
  }
}
GST_END_TEST

static Suite *
element_suite (void)
{
  Suite *s = suite_create ("element");
  TCase *tc = tcase_create ("general");
  int n = G_N_ELEMENTS (settings);

  suite_add_tcase (s, tc);
  tcase_add_loop_test (tc, formats_and_layouts, 0, G_N_ELEMENTS (kinds));
  tcase_add_test (tc, planes);
  tcase_add_loop_test (tc, planes_that_do_not_fit, 0, 4);
  tcase_add_loop_test (tc, any_cut, 0, n);
  tcase_add_loop_test (tc, channels_alone, 0, n);
  tcase_add_loop_test (tc, channels_joint, 0, n);
  tcase_add_loop_test (tc, many_channels, 0, 2);
  tcase_add_test (tc, groups_of_channels);
  tcase_add_test (tc, caps_upstream);
  tcase_add_test (tc, memory);
  tcase_add_test (tc, emit_changes);
  tcase_add_test (tc, latency_is_zero);
  tcase_add_test (tc, timestamps_pass);
  tcase_add_loop_test (tc, not_finite, 0, n);
  tcase_add_loop_test (tc, denormals, 0, n);
  tcase_add_test (tc, properties_read_like_a_manual);
  tcase_add_test (tc, properties_round_trip);
  tcase_add_loop_test (tc, one_way_to_learn, 0, 3);
  tcase_add_test (tc, aliases);
  tcase_add_test (tc, presets);
  tcase_add_test (tc, preset_of_ones_own);
  tcase_add_test (tc, options_of_kinds);
  tcase_add_test (tc, settings_that_make_no_sense);
  tcase_add_test (tc, bad_setting_while_playing);
  tcase_add_test (tc, bad_caps);
  return s;
}

GST_CHECK_MAIN (element)
