/* filter-messages.c: messages on the bus, and stats.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "plugin/filter.h"

#include <math.h>

/* --- figures of each channel ---------------------------------------------- */

static double
find_gain (const SeqChannelStats *stats)
{
  double signal = stats->signal_power, residual = stats->residual_power;

  return 10 * log10 ((signal + 1e-30) / (residual + 1e-30));
}

static double
find_rms (const SeqChannelStats *stats)
{
  return sqrt (stats->residual_power);
}

static double
find_peak (const SeqChannelStats *stats)
{
  return stats->score_peak;
}

static void
add_figure (GstStructure *s, const char *field, const SeqStreamStats *stats,
    guint n_channels, double (*find) (const SeqChannelStats *stats))
{
  GValue array = G_VALUE_INIT;

  gst_value_array_init (&array, n_channels);
  for (guint c = 0; c < n_channels; c++) {
    GValue value = G_VALUE_INIT;

    g_value_init (&value, G_TYPE_DOUBLE);
    g_value_set_double (&value, find (&stats->channels[c]));
    gst_value_array_append_and_take_value (&array, &value);
  }
  gst_structure_take_value (s, field, &array);
}

static void
add_figures (GstStructure *s, const SeqStreamStats *stats, guint n_channels)
{
  add_figure (s, "prediction-gain", stats, n_channels, find_gain);
  add_figure (s, "residual-rms", stats, n_channels, find_rms);
  add_figure (s, "score-peak", stats, n_channels, find_peak);
}

/* --- messages ------------------------------------------------------------- */

guint64
gst_seq_filter_frames_to_message (GstSeqFilter *self)
{
  const Live *live = &self->live;
  guint64 interval = MAX (1, gst_util_uint64_scale_round (live->now.interval,
                                 GST_AUDIO_FILTER_RATE (self), GST_SECOND));

  return interval > live->n_measured ? interval - live->n_measured : 1;
}

GstMessage *
gst_seq_filter_take_message (GstSeqFilter *self, SeqEngine *engine)
{
  const GstSegment *segment = &GST_BASE_TRANSFORM (self)->segment;
  gint rate = GST_AUDIO_FILTER_RATE (self);
  Live *live = &self->live;
  GstClockTime duration =
      gst_util_uint64_scale_int (live->n_measured, GST_SECOND, rate);
  GstClockTime timestamp = live->measured_from;
  guint64 stream_time = GST_CLOCK_TIME_NONE, running_time = stream_time;
  GstClockTime endtime = GST_CLOCK_TIME_NONE;
  GstStructure *s;

  if (!GST_CLOCK_TIME_IS_VALID (timestamp)) {
    timestamp = gst_util_uint64_scale_int (
        live->n_frames - live->n_measured, GST_SECOND, rate);
  } else if (segment->format == GST_FORMAT_TIME) {
    stream_time =
        gst_segment_to_stream_time (segment, GST_FORMAT_TIME, timestamp);
    running_time =
        gst_segment_to_running_time (segment, GST_FORMAT_TIME, timestamp);
    if (GST_CLOCK_TIME_IS_VALID (stream_time))
      endtime = stream_time + duration;
  }
  s = gst_structure_new ("seqfilter", "endtime", GST_TYPE_CLOCK_TIME, endtime,
      "timestamp", G_TYPE_UINT64, timestamp, "stream-time", G_TYPE_UINT64,
      stream_time, "running-time", G_TYPE_UINT64, running_time, "duration",
      G_TYPE_UINT64, duration, NULL);
  seq_stream_stats (engine->stream, TRUE, &engine->stats);
  add_figures (s, &engine->stats, seq_stream_n_channels (engine->stream));
  live->n_measured = 0;
  return gst_message_new_element (GST_OBJECT (self), s);
}

GstMessage *
gst_seq_filter_take_rest (GstSeqFilter *self)
{
  SeqHandover *handover = self->live.handover;
  GstMessage *message = NULL;

  g_mutex_lock (&handover->lock);
  if (self->live.n_measured > 0 && handover->active)
    message = gst_seq_filter_take_message (self, handover->active);
  g_mutex_unlock (&handover->lock);
  return message;
}

void
gst_seq_filter_post_rest (GstSeqFilter *self)
{
  GstMessage *message = gst_seq_filter_take_rest (self);

  if (message)
    gst_element_post_message (GST_ELEMENT (self), message);
}

/* --- stats ---------------------------------------------------------------- */

static void
add_model (GstStructure *s, const SeqModel *model)
{
  g_autoptr (GString) layers = g_string_new (NULL);
  const char *precision = "float";
  guint64 n_weights = 0;

  for (guint i = 0; i < model->n_layers; i++) {
    SeqLayerFacts layer = seq_model_layer (model, i);

    g_string_append_printf (
        layers, "%s%s %u", i ? ", " : "", layer.kind->name, layer.n_out);
    if (!g_str_equal (layer.precision, "float"))
      precision = layer.precision;
    n_weights += layer.n_weights;
  }
  gst_structure_set (s, "format", G_TYPE_STRING, model->format, "layers",
      G_TYPE_STRING, layers->str, "parameters", G_TYPE_UINT64, n_weights,
      "rate", G_TYPE_DOUBLE, model->rate, "precision", G_TYPE_STRING, precision,
      NULL);
}

GstStructure *
gst_seq_filter_get_stats (GstSeqFilter *self)
{
  g_auto (SeqHostStats) stats = { NULL };
  guint64 n_load_failures;
  GstStructure *s;

  g_mutex_lock (&self->build.lock);
  seq_host_get_stats (self->build.host, &stats);
  n_load_failures = self->build.n_load_failures;
  g_mutex_unlock (&self->build.lock);

  s = gst_structure_new ("application/x-seqfilter-stats", "isa", G_TYPE_STRING,
      stats.isa, "frames", G_TYPE_UINT64, stats.stream.n_frames, "non-finite",
      G_TYPE_UINT64, stats.stream.n_non_finite, "rewinds", G_TYPE_UINT64,
      stats.stream.n_rewinds, "updates", G_TYPE_UINT64, stats.stream.n_updates,
      "rollbacks", G_TYPE_UINT64, stats.stream.n_rollbacks, "state-bytes",
      G_TYPE_UINT64, (guint64) stats.state_size, "swaps", G_TYPE_UINT64,
      stats.n_swaps, "load-failures", G_TYPE_UINT64, n_load_failures, NULL);
  if (stats.model_file)
    gst_structure_set (s, "model-file", G_TYPE_STRING, stats.model_file, NULL);
  if (stats.model)
    add_model (s, stats.model);
  add_figures (s, &stats.stream, stats.n_channels);
  return s;
}
