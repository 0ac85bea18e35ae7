/* media.c: reads the recordings that GStreamer can decode.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 *   uridecodebin ! audioconvert ! audioresample ! appsink (F32LE, interleaved)
 */
#include "tools/media.h"

#include <gst/app/gstappsink.h>
#include <gst/audio/audio.h>
#include <string.h>

static SeqRecording *
read_raw (const char *path, double rate, guint n_channels, GError **error)
{
  gsize size, frame;
  char *bytes;

  if (rate <= 0 || n_channels == 0) {
    g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
        "%s: the format of raw samples is unknown; expected --rate and "
        "--channels",
        path);
    return NULL;
  }
  if (!g_file_get_contents (path, &bytes, &size, error))
    return NULL;
  frame = n_channels * sizeof (float);
  if (size == 0 || size % frame) {
    g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
        "%s: the size is %" G_GSIZE_FORMAT
        " bytes; expected a multiple of %" G_GSIZE_FORMAT
        ", a frame of %u float%s",
        path, size, frame, n_channels, n_channels == 1 ? "" : "s");
    g_free (bytes);
    return NULL;
  }
#if G_BYTE_ORDER == G_BIG_ENDIAN
  for (gsize i = 0; i < size / 4; i++)
    ((guint32 *) bytes)[i] = GUINT32_FROM_LE (((guint32 *) bytes)[i]);
#endif
  return seq_recording_new (
      path, rate, n_channels, size / frame, (float *) bytes);
}

/* The next sample; NULL at the end, or with error set. A pipeline that cannot
 * even start never reaches its end: only its bus has the error. */
static GstSample *
pull (GstElement *pipeline, GstAppSink *sink, const char *path, GError **error)
{
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);

  for (;;) {
    GstSample *sample = gst_app_sink_try_pull_sample (sink, GST_SECOND / 10);
    g_autoptr (GstMessage) message = NULL;
    g_autoptr (GError) found = NULL;

    if (sample)
      return sample;
    message = gst_bus_pop_filtered (bus, GST_MESSAGE_ERROR);
    if (message) {
      gst_message_parse_error (message, &found, NULL);
      g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "%s: %s", path,
          found->message);
      return NULL;
    }
    if (gst_app_sink_is_eos (sink))
      return NULL;
  }
}

/* Appends a sample, which must have the format of those before. */
static gboolean
append (GByteArray *samples, GstSample *sample, GstAudioInfo *info,
    const char *path, GError **error)
{
  GstBuffer *buffer = gst_sample_get_buffer (sample);
  gsize size = gst_buffer_get_size (buffer);
  GstAudioInfo now;

  if (!gst_audio_info_from_caps (&now, gst_sample_get_caps (sample))
      || (info->finfo && !gst_audio_info_is_equal (info, &now))) {
    g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
        "%s: the format changes in the middle", path);
    return FALSE;
  }
  *info = now;
  if (samples->len + size > G_MAXUINT / 2) {
    g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_NOMEM,
        "%s: too long; expected at most %u MiB of samples", path,
        G_MAXUINT / 2 >> 20);
    return FALSE;
  }
  g_byte_array_set_size (samples, samples->len + (guint) size);
  gst_buffer_extract (buffer, 0, samples->data + samples->len - size, size);
  return TRUE;
}

SeqRecording *
media_read (const char *path, double rate, guint n_channels, GError **error)
{
  g_autofree char *uri = NULL;
  g_autoptr (GstElement) pipeline = NULL;
  g_autoptr (GstElement) source = NULL, sink = NULL;
  g_autoptr (GByteArray) samples = g_byte_array_new ();
  g_autoptr (GstCaps) caps = NULL;
  GstAudioInfo info = { 0 };
  GstSample *sample;
  GError *failure = NULL;
  gsize n_frames;

  if (!g_file_test (path, G_FILE_TEST_IS_REGULAR)) {
    g_set_error (
        error, G_FILE_ERROR, G_FILE_ERROR_NOENT, "%s: no such file", path);
    return NULL;
  }
  if (g_str_has_suffix (path, ".f32"))
    return read_raw (path, rate, n_channels, error);

  uri = gst_filename_to_uri (path, error);
  if (!uri)
    return NULL;
  pipeline = gst_parse_launch (
      "uridecodebin name=source caps=audio/x-raw ! audioconvert ! "
      "audioresample quality=10 ! appsink name=sink sync=false max-buffers=64",
      error);
  if (!pipeline)
    return NULL;
  source = gst_bin_get_by_name (GST_BIN (pipeline), "source");
  sink = gst_bin_get_by_name (GST_BIN (pipeline), "sink");
  caps = gst_caps_new_simple ("audio/x-raw", "format", G_TYPE_STRING, "F32LE",
      "layout", G_TYPE_STRING, "interleaved", NULL);
  if (rate > 0)
    gst_caps_set_simple (caps, "rate", G_TYPE_INT, (gint) rate, NULL);
  if (n_channels > 0)
    gst_caps_set_simple (caps, "channels", G_TYPE_INT, (gint) n_channels, NULL);
  g_object_set (source, "uri", uri, NULL);
  g_object_set (sink, "caps", caps, NULL);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);

  while (!failure
         && (sample = pull (pipeline, GST_APP_SINK (sink), path, &failure))) {
    append (samples, sample, &info, path, &failure);
    gst_sample_unref (sample);
  }
  gst_element_set_state (pipeline, GST_STATE_NULL);
  if (!failure && samples->len == 0)
    g_set_error (&failure, G_FILE_ERROR, G_FILE_ERROR_FAILED,
        "%s: contains no samples", path);
  if (failure) {
    g_propagate_error (error, failure);
    return NULL;
  }
  n_frames = samples->len / (guint) GST_AUDIO_INFO_BPF (&info);
  return seq_recording_new (path, GST_AUDIO_INFO_RATE (&info),
      (guint) GST_AUDIO_INFO_CHANNELS (&info), n_frames,
      (float *) g_byte_array_free (g_steal_pointer (&samples), FALSE));
}
