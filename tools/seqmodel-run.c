/* seqmodel-run.c: a recording through a model.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/io/file.h"
#include "src/live/host.h"
#include "tools/hints.h"
#include "tools/media.h"
#include "tools/seqmodel.h"

#include <gst/gst.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#define BLOCK 16384 /* frames between two looks at the clock */

/* "0.5,0.2" as the stream's knobs. */
static gboolean
set_knobs (SeqHost *host, const char *text, GError **error)
{
  SeqStream *stream = seq_host_handover (host)->active->stream;
  g_auto (GStrv) parts = g_strsplit (text, ",", -1);
  guint n = seq_stream_n_knobs (stream);
  g_autofree double *values = g_new (double, n + 1);

  if (g_strv_length (parts) != n) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE,
        "--params: the number of values is %u; expected %u, the knobs of the "
        "model",
        g_strv_length (parts), n);
    return FALSE;
  }
  for (guint i = 0; i < n; i++) {
    char *end;
    double value = values[i] = g_ascii_strtod (parts[i], &end);

    if (end == parts[i] || *end || !(value >= 0 && value <= 1)) {
      g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
          "--params: value %u is '%s'; expected a number from 0 to 1", i + 1,
          parts[i]);
      return FALSE;
    }
    seq_stream_set_knob (stream, i, value, 1);
  }
  seq_host_set_knobs (host, values, n);
  return TRUE;
}

/* Opens the host with the file, for a stream of so many channels. */
static SeqEngine *
open_engine (SeqHost *host, const SeqSettings *settings, SeqModelFile *file,
    const SeqRecording *recording, GError **error)
{
  if (!seq_host_carry_out (
          host, seq_host_plan_open (host, settings, file, error))
      || !seq_host_carry_out (
          host, seq_host_plan_stream (host, recording->n_channels,
                    (guint) rint (recording->rate), error)))
    return NULL;
  return seq_host_handover (host)->active;
}

static void
print_bar (gsize done, gsize all)
{
  int n = (int) (40 * done / all);

  g_printerr ("\r[%.*s%.*s]", n, "########################################",
      40 - n, "                                        ");
}

/* Runs all frames. Returns the prediction, [n_frames][outputs]. */
static float *
run (SeqEngine *engine, const SeqRecording *recording)
{
  guint n_in = recording->n_channels;
  guint n_out = seq_stream_n_outputs (engine->stream);
  gsize n_frames = recording->n_frames;
  float *y = g_new (float, n_frames *n_out + 1);
  SeqSignal in = { SEQ_FORMAT_F32, engine->in, n_in };
  SeqSignal out = { SEQ_FORMAT_F32, engine->out, n_out };
  const SeqSignal *outputs[SEQ_N_OUTPUTS] = { [SEQ_OUTPUT_PREDICTION] = &out };
  gboolean bar = isatty (STDERR_FILENO);

  for (gsize at = 0; at < n_frames; at += BLOCK) {
    gsize n = MIN (BLOCK, n_frames - at);

    for (guint c = 0; c < n_in; c++)
      engine->in[c] = recording->samples + at * n_in + c;
    for (guint o = 0; o < n_out; o++)
      engine->out[o] = y + at * n_out + o;
    seq_stream_process (engine->stream, &in, outputs, n, 1, 1, 0);
    if (bar)
      print_bar (at + n, n_frames);
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

typedef struct {
  const char *model, *in, *out;
  int n_channels;
  double rate; /* 0: the model's, or else the recording's */
  const char *params;
  gint64 max_memory; /* bytes; 0: half of what there is */
  char **hints;
} Options;

/* Fails with a G_OPTION_ERROR. */
static gboolean
check_options (const Options *o, GError **error)
{
  gboolean raw = g_str_has_suffix (o->in, ".f32");
  const char *fault = NULL;

  if (!g_str_has_suffix (o->out, ".f32") && !g_str_has_suffix (o->out, ".wav"))
    fault = "OUT must end in .wav or .f32";
  else if (raw && o->n_channels == 0)
    fault = "raw input needs --channels";
  else if (o->n_channels < 0 || o->n_channels > MEDIA_MAX_CHANNELS)
    fault = "--channels is out of range; expected 1 to " G_STRINGIFY (
        MEDIA_MAX_CHANNELS);
  else if (!(o->rate >= 0 && o->rate <= 1e7))
    fault = "--rate is out of range; expected up to 10000000 Hz";
  else if (o->max_memory < 0)
    fault = "--max-memory is out of range; expected bytes";
  if (fault)
    g_set_error_literal (
        error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, fault);
  return !fault;
}

static gboolean
run_file (const Options *o, GError **error)
{
  gboolean raw = g_str_has_suffix (o->in, ".f32");
  double rate = o->rate;
  g_auto (SeqSettings) settings = { 0 };
  g_autoptr (SeqModelFile) file = NULL;
  g_autoptr (SeqRecording) recording = NULL;
  g_autoptr (SeqHost) host = seq_host_new (NULL, NULL);
  g_autofree float *y = NULL;
  SeqEngine *engine;

  seq_settings_copy (&settings, &seq_default_settings);
  settings.model_file = g_strdup (o->model);
  settings.max_memory = (guint64) o->max_memory;
  settings.rate_mode = rate > 0 ? SEQ_RATE_IGNORE : SEQ_RATE_MODEL;
  settings.options = hints_parse (o->hints, error);
  if (!settings.options)
    return FALSE;
  file = seq_model_file_open (settings.model_file, settings.options, error);
  if (!file)
    return FALSE;
  if (rate == 0)
    rate = file->model->rate > 0 ? file->model->rate : raw ? 48000 : 0;
  recording = media_read (o->in, rate, (guint) o->n_channels, error);
  if (!recording)
    return FALSE;
  engine = open_engine (host, &settings, file, recording, error);
  if (!engine || (o->params && !set_knobs (host, o->params, error)))
    return FALSE;
  if (seq_host_sequence_to_one (host))
    g_printerr ("seqmodel run: a sequence to one: %s\n",
        seq_host_sequence_to_one (host));
  y = run (engine, recording);
  return write_out (o->out, y, recording->n_frames,
      seq_stream_n_outputs (engine->stream), recording->rate, error);
}

int
seqmodel_run (int argc, char **argv)
{
  Options o = { NULL };
  g_autofree char *params = NULL;
  g_auto (GStrv) hints = NULL;
  const GOptionEntry entries[] = {
    { "channels", 'c', 0, G_OPTION_ARG_INT, &o.n_channels,
        "channels of raw input (.f32), or to convert to", "N" },
    { "rate", 'r', 0, G_OPTION_ARG_DOUBLE, &o.rate,
        "sample rate of raw input, or to convert to (default: the model's)",
        "HZ" },
    { "params", 'p', 0, G_OPTION_ARG_STRING, &params,
        "the model's knobs, 0..1 each", "P1,P2,..." },
    { "max-memory", 0, 0, G_OPTION_ARG_INT64, &o.max_memory,
        "most memory that the model may take (default: half of what there is)",
        "BYTES" },
    HINTS_OPTION (&hints),
    { NULL },
  };
  g_autoptr (GOptionContext) context = g_option_context_new ("MODEL IN OUT");
  g_autoptr (GError) error = NULL;
  gboolean done = FALSE;

  g_option_context_set_summary (context,
      "Runs a recording through a model. IN is any media file, or raw "
      "little-endian\nfloat32 (.f32); OUT is a WAV, or raw (.f32).");
  hints_describe (context);
  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, &argc, &argv, &error))
    return seqmodel_usage_error ("run", "%s", error->message);
  if (argc != 4)
    return seqmodel_usage_error ("run", "expected MODEL, IN and OUT");
  o.model = argv[1];
  o.in = argv[2];
  o.out = argv[3];
  o.params = params;
  o.hints = hints;
  if (check_options (&o, &error))
    done = run_file (&o, &error);
  if (done)
    return SEQMODEL_DONE;
  return error->domain == G_OPTION_ERROR
             ? seqmodel_usage_error ("run", "%s", error->message)
             : seqmodel_refused ("run", error);
}
