/* seqmodel-run.c: a recording through a model.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/io/load.h"
#include "src/live/stream.h"
#include "tools/hints.h"
#include "tools/media.h"
#include "tools/seqmodel.h"

#include <gst/gst.h>
#include <string.h>
#include <unistd.h>

#define BLOCK 16384 /* frames between two looks at the clock */

/* "0.5,0.2" into the stream's conditioning. */
static gboolean
set_params (SeqStream *stream, const char *text, guint n, GError **error)
{
  g_auto (GStrv) parts = g_strsplit (text, ",", -1);

  if (g_strv_length (parts) != n) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE,
        "--params has %u values where the model has %u", g_strv_length (parts),
        n);
    return FALSE;
  }
  for (guint i = 0; i < n; i++)
    seq_stream_set_knob (stream, i, g_ascii_strtod (parts[i], NULL), 1);
  return TRUE;
}

/* Runs all frames; a bar on a terminal. out: [n][outputs]. */
static float *
run (SeqStream *stream, const float *x, gsize n_frames)
{
  guint channels = seq_stream_n_channels (stream);
  guint outputs_n = seq_stream_n_outputs (stream);
  float *y = g_new (float, n_frames *outputs_n + 1);
  g_autofree gpointer *in_at = g_new (gpointer, channels);
  g_autofree gpointer *out_at = g_new (gpointer, outputs_n);
  SeqSignal in = { SEQ_FORMAT_F32, in_at, channels };
  SeqSignal out = { SEQ_FORMAT_F32, out_at, outputs_n };
  const SeqSignal *outputs[SEQ_N_OUTPUTS] = { NULL, &out, NULL, NULL };
  gboolean bar = isatty (STDERR_FILENO);

  for (gsize at = 0; at < n_frames; at += BLOCK) {
    for (guint c = 0; c < channels; c++)
      in_at[c] = (gpointer) (x + at * channels + c);
    for (guint o = 0; o < outputs_n; o++)
      out_at[o] = y + at * outputs_n + o;
    seq_stream_process (
        stream, &in, outputs, MIN (BLOCK, n_frames - at), 1, 1, 0);
    if (bar) {
      guint done = (guint) (40 * MIN (at + BLOCK, n_frames) / n_frames);

      g_printerr ("\r[%.*s%.*s]", done,
          "########################################", 40 - done,
          "                                        ");
    }
  }
  if (bar)
    g_printerr ("\n");
  return y;
}

/* Raw floats, or a WAV by way of GStreamer. */
static gboolean
write_out (const char *path, const float *y, gsize n_frames, guint channels,
    double rate, GError **error)
{
  gsize size = n_frames * channels * sizeof (float);
  g_autoptr (GstElement) pipeline = NULL;
  g_autoptr (GstElement) source = NULL, sink = NULL;
  g_autoptr (GstBus) bus = NULL;
  g_autoptr (GstMessage) message = NULL;
  g_autoptr (GstCaps) caps = NULL;
  GstFlowReturn flow;

  if (g_str_has_suffix (path, ".f32")) {
    g_autofree guint32 *words = g_memdup2 (y, size);
    g_autoptr (GBytes) bytes = g_bytes_new_static (words, size);

    for (gsize i = 0; i < size / 4; i++)
      words[i] = GUINT32_TO_LE (words[i]);
    return seq_save_bytes (path, bytes, error);
  }
  pipeline = gst_parse_launch (
      "appsrc name=source format=time ! wavenc ! filesink name=sink", error);
  if (!pipeline)
    return FALSE;
  source = gst_bin_get_by_name (GST_BIN (pipeline), "source");
  sink = gst_bin_get_by_name (GST_BIN (pipeline), "sink");
  caps = gst_caps_new_simple ("audio/x-raw", "format", G_TYPE_STRING,
      G_BYTE_ORDER == G_LITTLE_ENDIAN ? "F32LE" : "F32BE", "rate", G_TYPE_INT,
      (int) (rate + 0.5), "channels", G_TYPE_INT, (int) channels, "layout",
      G_TYPE_STRING, "interleaved", NULL);
  if (channels > 2)
    gst_caps_set_simple (
        caps, "channel-mask", GST_TYPE_BITMASK, (guint64) 0, NULL);
  g_object_set (source, "caps", caps, NULL);
  g_object_set (sink, "location", path, NULL);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  for (gsize at = 0; at < n_frames; at += BLOCK) {
    gsize n = MIN (BLOCK, n_frames - at) * channels * sizeof (float);
    GstBuffer *buffer = gst_buffer_new_memdup (y + at * channels, n);

    GST_BUFFER_PTS (buffer) =
        gst_util_uint64_scale (at, GST_SECOND, (guint64) (rate + 0.5));
    g_signal_emit_by_name (source, "push-buffer", buffer, &flow);
    gst_buffer_unref (buffer);
    if (flow != GST_FLOW_OK)
      break;
  }
  g_signal_emit_by_name (source, "end-of-stream", &flow);
  bus = gst_element_get_bus (pipeline);
  message = gst_bus_timed_pop_filtered (
      bus, GST_CLOCK_TIME_NONE, GST_MESSAGE_ERROR | GST_MESSAGE_EOS);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR) {
    gst_message_parse_error (message, error, NULL);
    g_prefix_error (error, "%s: ", path);
    return FALSE;
  }
  return TRUE;
}

int
seqmodel_run (int argc, char **argv)
{
  int channels = 0;
  double rate = 0;
  g_autofree char *params = NULL;
  g_auto (GStrv) hints = NULL;
  const GOptionEntry entries[] = {
    { "channels", 'c', 0, G_OPTION_ARG_INT, &channels,
        "of raw input (.f32), or to convert to", "N" },
    { "rate", 'r', 0, G_OPTION_ARG_DOUBLE, &rate,
        "of raw input, or to convert to (default: the model's)", "HZ" },
    { "params", 'p', 0, G_OPTION_ARG_STRING, &params, "conditioning, 0..1 each",
        "P1,P2,..." },
    { "option", 'o', 0, G_OPTION_ARG_STRING_ARRAY, &hints,
        "what the model file cannot say, see seqmodel info --help",
        "KEY=VALUE" },
    { NULL },
  };
  g_autoptr (GOptionContext) context = g_option_context_new ("MODEL IN OUT");
  g_autoptr (GError) error = NULL;
  g_autoptr (SeqModel) model = NULL;
  g_autoptr (GVariant) given = NULL;
  g_autoptr (SeqRecording) recording = NULL;
  g_autoptr (SeqStream) stream = NULL;
  g_autofree float *y = NULL;
  SeqStreamConfig config = { .learning_rate = 1e-3, .window = 64 };
  gboolean raw;

  g_option_context_set_summary (context,
      "Runs a recording through a model. IN is any media file, or raw "
      "little-endian\nfloat32 (.f32); OUT is a WAV, or raw (.f32).");
  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, &argc, &argv, &error))
    return seqmodel_usage_error ("run", "%s", error->message);
  if (argc != 4)
    return seqmodel_usage_error ("run", "MODEL, IN and OUT are needed");
  if (!g_str_has_suffix (argv[3], ".f32")
      && !g_str_has_suffix (argv[3], ".wav"))
    return seqmodel_usage_error (
        "run", "%s ends in neither .wav nor .f32", argv[3]);
  raw = g_str_has_suffix (argv[2], ".f32");
  if (channels < 0 || channels > 4096 || rate < 0 || rate > 1e7
      || (raw && channels == 0))
    return seqmodel_usage_error (
        "run", raw && channels == 0 ? "raw input needs --channels"
                                    : "--channels or --rate is out of range");
  given = hints_parse (hints, &error);
  if (!given)
    return seqmodel_usage_error ("run", "%s", error->message);

  model = seq_model_load (argv[1], given, &error);
  if (!model)
    return seqmodel_refused ("run", error);
  if (rate == 0)
    rate = model->rate > 0 ? model->rate : raw ? 48000 : 0;
  recording = media_read (argv[2], rate, (guint) channels, &error);
  if (!recording)
    return seqmodel_refused ("run", error);
  config.horizon = model->horizon;
  stream = seq_stream_new (model, recording->n_channels, &config, &error);
  if (!stream
      || (params
          && !set_params (
              stream, params, model->n_in - model->n_signal, &error)))
    return error->domain == G_OPTION_ERROR
               ? seqmodel_usage_error ("run", "%s", error->message)
               : seqmodel_refused ("run", error);
  y = run (stream, recording->samples, recording->n_frames);
  if (!write_out (argv[3], y, recording->n_frames,
          seq_stream_n_outputs (stream), recording->rate, &error))
    return seqmodel_refused ("run", error);
  return SEQMODEL_DONE;
}
