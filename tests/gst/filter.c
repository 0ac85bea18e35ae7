/* filter.c: a seqfilter in a harness, and the core beside it: see filter.h.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "tests/gst/filter.h"

#include <math.h>
#include <string.h>

const Kind f32_mono = { GST_AUDIO_FORMAT_F32, GST_AUDIO_LAYOUT_INTERLEAVED,
  48000, 1 };

const Setting settings[6] = {
  { "model=naive order=8 history=2000", "naive" },
  { "model=ar order=8", "ar" },
  { "model=markov states=16", "markov" },
  { "model=rnn hidden-size=8", "rnn" },
  { "model=lstm hidden-size=8", "lstm" },
  { "model=gru hidden-size=8 layers=2 window=32", "gru" },
};

static void
info_of (const Kind *kind, GstAudioInfo *info)
{
  GstAudioChannelPosition unpositioned[64];

  for (guint i = 0; i < 64; i++)
    unpositioned[i] = GST_AUDIO_CHANNEL_POSITION_NONE;
  gst_audio_info_set_format (info, kind->format, kind->rate, kind->channels,
      kind->channels > 2 && kind->channels <= 64 ? unpositioned : NULL);
  info->layout = kind->layout;
}

void
set_caps (GstHarness *h, const Kind *kind)
{
  GstAudioInfo info;

  info_of (kind, &info);
  gst_harness_set_src_caps (h, gst_audio_info_to_caps (&info));
}

GstHarness *
filter_new (const char *properties, const Kind *kind)
{
  g_autofree char *launch = g_strdup_printf ("seqfilter %s", properties);
  GstHarness *h = gst_harness_new_parse (launch);

  gst_harness_use_systemclock (h);
  set_caps (h, kind);
  return h;
}

GstElement *
filter_element (GstHarness *h)
{
  return gst_harness_find_element (h, "seqfilter");
}

/* Its own noise, so that every machine hears the same. */
static double
noise (guint32 i)
{
  i = (i ^ 61) ^ (i >> 16);
  i *= 9;
  i ^= i >> 4;
  i *= 0x27d4eb2d;
  i ^= i >> 15;
  return i / 2147483648.0 - 1;
}

static double
sample (guint t, guint c)
{
  return 0.4 * sin (0.05 * t + c) + 0.2 * sin (0.31 * t * (1 + 0.1 * c))
         + 0.1 * sin (0.0007 * t) + 0.05 * noise (t * 64 + c);
}

GBytes *
signal_new (const Kind *kind, guint from, guint n)
{
  guint channels = (guint) kind->channels;
  const GstAudioFormatInfo *f = gst_audio_format_get_info (kind->format);
  gsize bps = (gsize) f->width / 8;
  guint8 *data = g_malloc (n * channels * bps + 1);

  for (guint t = 0; t < n; t++)
    for (guint c = 0; c < channels; c++) {
      gsize at = kind->layout == GST_AUDIO_LAYOUT_INTERLEAVED
                     ? (gsize) t * channels + c
                     : (gsize) c * n + t;
      double x = sample (from + t, c);

      switch (kind->format) {
        case GST_AUDIO_FORMAT_S16:
          ((gint16 *) data)[at] = (gint16) (x * 32767);
          break;
        case GST_AUDIO_FORMAT_S32:
          ((gint32 *) data)[at] = (gint32) (x * 2147483647);
          break;
        case GST_AUDIO_FORMAT_F32:
          ((float *) data)[at] = (float) x;
          break;
        default:
          ((double *) data)[at] = x;
          break;
      }
    }
  return g_bytes_new_take (data, n * channels * bps);
}

GstBuffer *
buffer_new (const Kind *kind, guint from, guint n)
{
  g_autoptr (GBytes) signal = signal_new (kind, from, n);
  GstBuffer *buffer = gst_buffer_new_wrapped_bytes (signal);
  GstBuffer *writable = gst_buffer_copy_deep (buffer);
  GstAudioInfo info;

  gst_buffer_unref (buffer);
  info_of (kind, &info);
  if (kind->layout == GST_AUDIO_LAYOUT_NON_INTERLEAVED)
    gst_buffer_add_audio_meta (writable, &info, n, NULL);
  GST_BUFFER_PTS (writable) =
      gst_util_uint64_scale_int (from, GST_SECOND, kind->rate);
  GST_BUFFER_DURATION (writable) =
      gst_util_uint64_scale_int (from + n, GST_SECOND, kind->rate)
      - GST_BUFFER_PTS (writable);
  return writable;
}

void
push (GstHarness *h, const Kind *kind, guint from, guint n, guint cut,
    GstClockTimeDiff shift, GstBufferFlags flags)
{
  for (guint end = from + n; from < end; from += cut) {
    GstBuffer *buffer = buffer_new (kind, from, MIN (cut, end - from));

    GST_BUFFER_PTS (buffer) += (GstClockTime) shift;
    GST_BUFFER_FLAG_SET (buffer, flags);
    flags = 0;
    fail_unless_equals_int (gst_harness_push (h, buffer), GST_FLOW_OK);
  }
}

void
flush (GstHarness *h)
{
  GstSegment segment;

  fail_unless (gst_harness_push_event (h, gst_event_new_flush_start ()));
  fail_unless (gst_harness_push_event (h, gst_event_new_flush_stop (TRUE)));
  gst_segment_init (&segment, GST_FORMAT_TIME);
  fail_unless (gst_harness_push_event (h, gst_event_new_segment (&segment)));
}

GBytes *
pull (GstHarness *h)
{
  GByteArray *all = g_byte_array_new ();
  GstBuffer *buffer;

  while ((buffer = gst_harness_try_pull (h))) {
    GstMapInfo map;

    fail_unless (gst_buffer_map (buffer, &map, GST_MAP_READ));
    g_byte_array_append (all, map.data, (guint) map.size);
    gst_buffer_unmap (buffer, &map);
    gst_buffer_unref (buffer);
  }
  return g_byte_array_free_to_bytes (all);
}

void
assert_same_bits (GBytes *a, GBytes *b, const char *what)
{
  gsize n_a, n_b, i = 0;
  const guint8 *x = g_bytes_get_data (a, &n_a);
  const guint8 *y = g_bytes_get_data (b, &n_b);

  while (i < MIN (n_a, n_b) && x[i] == y[i])
    i++;
  fail_unless (i == n_a && i == n_b,
      "%s: %" G_GSIZE_FORMAT " bytes and %" G_GSIZE_FORMAT
      ", differ from byte %" G_GSIZE_FORMAT " on",
      what, n_a, n_b, i);
}

GBytes *
join (GBytes *a, GBytes *b)
{
  GByteArray *both = g_byte_array_new ();

  g_byte_array_append (
      both, g_bytes_get_data (a, NULL), (guint) g_bytes_get_size (a));
  g_byte_array_append (
      both, g_bytes_get_data (b, NULL), (guint) g_bytes_get_size (b));
  return g_byte_array_free_to_bytes (both);
}

/* --- the core --------------------------------------------------------------
 */

SeqStream *
reference_new (const Setting *setting, const Kind *kind)
{
  static const char *const names[][2] = { { "order", "order" },
    { "states", "states" }, { "history", "history" },
    { "hidden-size", "hidden_size" } };
  g_autoptr (GError) error = NULL;
  g_autoptr (SeqModel) model = NULL;
  g_auto (GStrv) words = g_strsplit (setting->properties, " ", -1);
  SeqStream *stream;
  gboolean net = strstr ("rnn lstm gru", setting->model) != NULL;
  SeqStreamConfig config = { net ? SEQ_LEARN_BOTH : SEQ_LEARN_GRADIENT, 3e-3,
    64, 1, SEQ_CHANNELS_AUTO, TRUE }; /* learn=auto */
  guint layers = 1, n_signal = 1;
  GVariantDict dict;

  g_variant_dict_init (&dict, NULL);
  g_variant_dict_insert (&dict, "horizon", "u", 1);
  g_variant_dict_insert (&dict, "linear", "u", (guint) net);
  if (kind->rate < 1000)
    g_variant_dict_insert (&dict, "sensor", "u", 1);
  for (guint i = 0; words[i]; i++) {
    const char *value = strchr (words[i], '=') + 1;

    for (guint j = 0; j < G_N_ELEMENTS (names); j++)
      if (g_str_has_prefix (words[i], names[j][0]))
        g_variant_dict_insert (&dict, names[j][1], "u", (guint) atoi (value));
    if (g_str_has_prefix (words[i], "layers"))
      layers = (guint) atoi (value);
    if (g_str_equal (words[i], "channel-mode=joint"))
      n_signal = (guint) kind->channels;
    if (g_str_has_prefix (words[i], "window"))
      config.window = (guint) atoi (value);
    if (g_str_has_prefix (words[i], "learning-rate"))
      config.learning_rate = g_ascii_strtod (value, NULL);
  }
  model = seq_model_new_untrained (setting->model, g_variant_dict_end (&dict),
      n_signal, layers, net, TRUE, 0, &error);
  g_assert_no_error (error);
  stream = seq_stream_new (model, (guint) kind->channels, &config, &error);
  g_assert_no_error (error);
  return stream;
}

static SeqSignal
locate (const Kind *kind, guint8 *data, guint n, guint channels, guint all,
    gpointer *channel)
{
  const GstAudioFormatInfo *f = gst_audio_format_get_info (kind->format);
  gsize bps = (gsize) f->width / 8;
  gboolean planar = kind->layout == GST_AUDIO_LAYOUT_NON_INTERLEAVED;

  for (guint c = 0; c < channels; c++)
    channel[c] = data + c * bps * (planar ? n : 1);
  return (SeqSignal){ kind->format == GST_AUDIO_FORMAT_S16   ? SEQ_FORMAT_S16
                      : kind->format == GST_AUDIO_FORMAT_S32 ? SEQ_FORMAT_S32
                      : kind->format == GST_AUDIO_FORMAT_F32 ? SEQ_FORMAT_F32
                                                             : SEQ_FORMAT_F64,
    channel, planar ? 1 : all };
}

GBytes *
reference_run (SeqStream *stream, const Kind *kind, guint emit, guint from,
    guint n, SeqProcessFlags flags)
{
  g_autoptr (GBytes) signal = signal_new (kind, from, n);
  guint channels = (guint) kind->channels, group = 0;
  guint n_groups = (guint) __builtin_popcount (emit);
  gsize size, group_size;
  g_autofree gpointer *in_channel = g_new (gpointer, channels);
  g_autofree gpointer *out_channel = g_new (gpointer, channels * n_groups);
  guint8 *in_data = (guint8 *) g_bytes_get_data (signal, &size), *data;
  SeqSignal in = locate (kind, in_data, n, channels, channels, in_channel);
  SeqSignal out[SEQ_N_OUTPUTS];
  const SeqSignal *outputs[SEQ_N_OUTPUTS] = { NULL };

  data = g_malloc0 (size * n_groups + 1);
  group_size =
      kind->layout == GST_AUDIO_LAYOUT_NON_INTERLEAVED ? size : size / n;
  for (guint i = 0; i < SEQ_N_OUTPUTS; i++)
    if (emit & 1u << i) {
      out[i] = locate (kind, data + group * group_size, n, channels,
          channels * n_groups, out_channel + group * channels);
      outputs[i] = &out[i];
      group++;
    }
  seq_stream_process (stream, &in, outputs, n, 1, 1, flags);
  return g_bytes_new_take (data, size * n_groups);
}
