/* gstseqfilter.c: the element seqfilter: a sequence model in a pipeline.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The streaming thread copies Settings once a buffer, locks the slot that
 * holds the stream, and runs. Whatever shapes the model is built by the thread
 * that asks for it, under the build lock, and handed over (engine.h).
 */

/* clang-format off */
/**
 * SECTION:element-seqfilter
 * @title: seqfilter
 *
 * Runs a sequence model on audio or sensor data, one step a frame, and learns
 * while the stream goes by. In the buffer that carries x[t], and with its
 * timestamp, leaves the forecast of x[t + #GstSeqFilter:horizon]. The residual
 * at t is x[t] less the forecast that was made for t. Latency is 0.
 *
 * The output is the same to the bit however the stream is cut into buffers.
 *
 * ## What leaves
 *
 * #GstSeqFilter:emit names groups of channels, in the order input, prediction,
 * residual, score. One group is written in place. `input` alone touches
 * nothing: the element listens, for messages, stats and state. Several groups
 * make a stream of that many times the channels, unpositioned if more than two,
 * in buffers of its own that the base class allocates.
 *
 * ## Models from files
 *
 * #GstSeqFilter:model-file names a trained model in any format that is known;
 * it is found by content. The file says what the model is, how far it looks
 * ahead and at what rate it runs: the properties read so, those that were set
 * must agree, and caps are fixed to the rate (see #GstSeqFilter:rate-mode), so
 * that an audioresample upstream adapts. What a file can't say,
 * #GstSeqFilter:model-options does. A model whose output is of the same frame
 * is an effect, with a horizon of 0; its output is the prediction. A model that
 * forecasts learns on if #GstSeqFilter:learn is set to on, gradient, readout or
 * both; auto leaves it as it is.
 *
 * A model of one signal runs on each channel; one of n on each n of them, and
 * with #GstSeqFilter:channel-mode joint on just these n. It may give another
 * number of channels than it takes: those are unpositioned if more than two.
 *
 * Inputs past the signal are knobs, #GstSeqFilter:params, the same for all
 * channels. A new value is reached in a straight line of 20 ms; at the start of
 * a stream, or after a flush, knobs are where they are set. Under a controller,
 * #GstSeqFilter:param1 to `param4` follow their curves frame by frame. With
 * channel-mode=joint and as many channels as the model has inputs, the knobs
 * come as channels.
 *
 * The file is opened at READY to PAUSED, or when the property is set after
 * that, by the thread that sets it. While data flows the new model begins at a
 * buffer's first frame, at its own start, and fades in over 10 ms in which both
 * run; what is set in the meantime waits till the fade is over. Where caps must
 * change they do first, and there is no fade. A file that can't be used leaves
 * the old model running, and a warning says why. The same path set again is
 * read again. Elements on one file share one copy of the model.
 *
 * ## What is remembered, and how long
 *
 * What the model carries from frame to frame (hidden state, cell state, the
 * last samples) and what it has learnt are two things:
 *
 * | event                                           | carried      | learnt  |
 * | ----------------------------------------------- | ------------ | ------- |
 * | buffers of any size, PAUSED, a segment          | kept         | kept    |
 * | DISCONT on timestamps that are contiguous       | kept         | kept    |
 * | no timestamps: they count as contiguous         | kept         | kept    |
 * | gaps and overlaps up to 40 ms or 1.5 frames     | kept         | kept    |
 * | larger ones: holes, dropped buffers, loops      | starts anew  | kept    |
 * | playback in reverse: each buffer is a jump      | starts anew  | kept    |
 * | flush, and so a flushing seek                   | starts anew  | kept    |
 * | new rate, format or layout                      | starts anew  | kept    |
 * | new channels, or a property, that change the    | starts anew  | starts  |
 * | model's shape; another model                    |              | anew    |
 * | #GstSeqFilter::reset, READY                     | starts anew  | starts  |
 * |                                                 |              | anew    |
 * | EOS, and data after it                          | by timestamp | kept    |
 *
 * At EOS what was learnt is saved in #GstSeqFilter:state-file.
 *
 * Properties set in one g_object_set() are taken up together, at a buffer
 * boundary; the streaming thread does not wait for the new model.
 *
 * Buffers flagged GAP are filler: run through the model, not learnt from; the
 * flag goes where a forecast was written. GAP events pass; the hole that
 * follows them is seen in the timestamps. Bytes past the last whole frame of a
 * buffer belong to the next buffer's first frame. A sample that is not finite
 * counts in #GstSeqFilter:stats, is replaced by the forecast that was made for
 * it, and not learnt from. Buffers that `qos` or a segment drops are holes.
 *
 * ## Messages
 *
 * With #GstSeqFilter:post-messages, an element message named `seqfilter` for
 * every #GstSeqFilter:interval, at EOS and before a hole, with
 *
 * * #guint64 `timestamp`, `stream-time`, `running-time`, `duration`, `endtime`:
 *   where the measured stretch lies, as in `level`. Without timestamps on the
 *   buffers, `timestamp` counts frames since the start and the two others are
 *   none.
 * * #GST_TYPE_ARRAY of #gdouble `prediction-gain`: per channel, power of the
 *   signal (about its mean) over power of the residual, in dB
 * * `residual-rms`: root mean square of the residual, per channel
 * * `score-peak`: the greatest score, per channel
 *
 * ## Example launch lines
 * |[
 * gst-launch-1.0 filesrc location=speech.wav ! wavparse ! seqfilter model=lstm emit=residual ! wavenc ! filesink location=residual.wav
 * ]| What an LSTM that learns as it goes can't foresee in speech.
 * |[
 * gst-launch-1.0 filesrc location=guitar.wav ! wavparse ! audioconvert ! audioresample ! seqfilter model-file=amp.json ! audioconvert ! autoaudiosink
 * ]| An amplifier that was captured with GuitarML, AIDA-X or NAM.
 * |[
 * gst-launch-1.0 -m filesrc location=imu.f32 ! "audio/x-raw,format=F32LE,rate=100,channels=6,channel-mask=(bitmask)0,layout=interleaved" ! seqfilter model=ar order=8 emit=input post-messages=true ! fakesink
 * ]| Six sensor axes at 100 Hz, watched; a message every interval.
 */
/* clang-format on */

#include "plugin/filter.h"

#include <math.h>
#include <string.h>

#include "src/cpu.h"
#include "src/model.h"

GST_DEBUG_CATEGORY_STATIC (gst_seq_filter_debug);
#define GST_CAT_DEFAULT gst_seq_filter_debug

#define HOLE (40 * GST_MSECOND)  /* timestamps may jitter by this */
#define MIX_BLOCK 64             /* frames between points of a mix curve */
#define GLIDE (20 * GST_MSECOND) /* of a knob to its new value */

enum { SIGNAL_RESET, SIGNAL_SAVE, SIGNAL_SAVE_MODEL, N_SIGNALS };
static guint signals[N_SIGNALS];

/* Whether a model file says it. */
static gboolean
is_of_file (guint id)
{
  return id == PROP_MODEL || id == PROP_RESIDUAL_CONNECTION
         || (id >= PROP_HIDDEN_SIZE && id <= PROP_HORIZON);
}

/* A preset is settings: not who the element is, nor what it has learnt; nor
 * what a model file says, which would stand against the next one. */
static char **
get_property_names (GstPreset *preset)
{
  GstSeqFilter *self = GST_SEQ_FILTER (preset);
  GPtrArray *names = g_ptr_array_new ();
  gboolean has_options, has_file;
  guint64 said;

  GST_OBJECT_LOCK (self);
  has_options = self->model_options != NULL;
  has_file = self->model_file != NULL;
  said = self->said;
  GST_OBJECT_UNLOCK (self);
  for (guint i = PROP_0 + 1; i < N_PROPS; i++)
    if (i != PROP_STATE && i != PROP_STATE_FILE && i != PROP_STATS
        && !(i >= PROP_PARAM1 && i < PROP_PARAM1 + N_KNOBS) /* see params */
        && !(i == PROP_MODEL_OPTIONS && !has_options)
        && !(has_file && is_of_file (i) && !(said & BIT (i))))
      g_ptr_array_add (names, g_strdup (gst_seq_filter_props[i]->name));
  g_ptr_array_add (names, NULL);
  return (char **) g_ptr_array_free (names, FALSE);
}

static void
preset_init (gpointer iface, gpointer data)
{
  ((GstPresetInterface *) iface)->get_property_names = get_property_names;
}

G_DEFINE_FINAL_TYPE_WITH_CODE (GstSeqFilter, gst_seq_filter,
    GST_TYPE_AUDIO_FILTER, G_IMPLEMENT_INTERFACE (GST_TYPE_PRESET, preset_init))
GST_ELEMENT_REGISTER_DEFINE (
    seqfilter, "seqfilter", GST_RANK_NONE, GST_TYPE_SEQ_FILTER)

#define parent_class ((GstBaseTransformClass *) gst_seq_filter_parent_class)

static guint
n_groups (guint emit)
{
  return MAX (1, (guint) __builtin_popcount (emit));
}

static void
reset (GstSeqFilter *self)
{
  seq_handover_restart (&self->handover);
}

/* --- messages ------------------------------------------------------------- */

static double
gain_of (const SeqChannelStats *stats)
{
  return 10
         * log10 (
             (stats->signal_power + 1e-30) / (stats->residual_power + 1e-30));
}

static double
rms_of (const SeqChannelStats *stats)
{
  return sqrt (stats->residual_power);
}

static double
peak_of (const SeqChannelStats *stats)
{
  return stats->score_peak;
}

/* A figure of each channel. */
static void
add_figure (GstStructure *s, const char *field, const SeqStreamStats *stats,
    guint n_channels, double (*figure) (const SeqChannelStats *stats))
{
  GValue array = G_VALUE_INIT, value = G_VALUE_INIT;

  gst_value_array_init (&array, n_channels);
  for (guint c = 0; c < n_channels; c++) {
    g_value_init (&value, G_TYPE_DOUBLE);
    g_value_set_double (&value, figure (&stats->channels[c]));
    gst_value_array_append_and_take_value (&array, &value);
    value = (GValue) G_VALUE_INIT;
  }
  gst_structure_take_value (s, field, &array);
}

static void
add_stats (GstStructure *s, const SeqStreamStats *stats, guint n_channels)
{
  add_figure (s, "prediction-gain", stats, n_channels, gain_of);
  add_figure (s, "residual-rms", stats, n_channels, rms_of);
  add_figure (s, "score-peak", stats, n_channels, peak_of);
}

/* The message about the stretch measured last, and the next one begins. Called
 * with the slot's lock held; posted outside. */
static GstMessage *
take_message (GstSeqFilter *self, SeqEngine *engine)
{
  const GstSegment *segment = &GST_BASE_TRANSFORM (self)->segment;
  GstClockTime duration = gst_util_uint64_scale_int (
      self->n_measured, GST_SECOND, GST_AUDIO_FILTER_RATE (self));
  GstClockTime timestamp = self->measured_from;
  guint64 stream_time = GST_CLOCK_TIME_NONE, running_time = stream_time;
  GstClockTime endtime = GST_CLOCK_TIME_NONE;
  GstStructure *s;

  if (!GST_CLOCK_TIME_IS_VALID (timestamp)) {
    timestamp = gst_util_uint64_scale_int (self->n_frames - self->n_measured,
        GST_SECOND, GST_AUDIO_FILTER_RATE (self));
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
  add_stats (s, &engine->stats, seq_stream_n_channels (engine->stream));
  self->n_measured = 0;
  return gst_message_new_element (GST_OBJECT (self), s);
}

/* The stretch ends here, whole or not. */
static void
post_rest (GstSeqFilter *self)
{
  GstMessage *message = NULL;

  g_mutex_lock (&self->handover.lock);
  if (self->n_measured > 0 && self->handover.active)
    message = take_message (self, self->handover.active);
  g_mutex_unlock (&self->handover.lock);
  if (message)
    gst_element_post_message (GST_ELEMENT (self), message);
}

/* What runs: strings of the model and numbers of it. */
static void
add_model (GstStructure *s, const SeqModel *model)
{
  g_autoptr (GString) layers = g_string_new (NULL);
  const char *precision = "float";
  guint64 n_parameters = 0;

  for (guint i = 0; i < model->n_layers; i++) {
    SeqLayerFacts layer = seq_model_layer (model, i);

    g_string_append_printf (
        layers, "%s%s %u", i ? ", " : "", layer.kind->name, layer.n_out);
    if (!g_str_equal (layer.precision, "float"))
      precision = layer.precision;
    n_parameters += layer.n_weights;
  }
  gst_structure_set (s, "format", G_TYPE_STRING, model->format, "layers",
      G_TYPE_STRING, layers->str, "parameters", G_TYPE_UINT64, n_parameters,
      "rate", G_TYPE_DOUBLE, model->rate, "precision", G_TYPE_STRING, precision,
      NULL);
}

GstStructure *
gst_seq_filter_get_stats (GstSeqFilter *self)
{
  GstStructure *s = gst_structure_new ("application/x-seqfilter-stats", "isa",
      G_TYPE_STRING, seq_isa_name (seq_cpu_isa ()), NULL);
  g_autoptr (SeqModel) model = NULL;
  SeqStreamStats stats = { 0 };
  SeqEngine *engine;
  guint64 n_fades, n_failures;
  guint n = 0;
  gsize state_size = 0;

  /* under the build lock the number of channels stays */
  g_mutex_lock (&self->build_lock);
  if (GST_AUDIO_INFO_IS_VALID (&self->info)) {
    n = GST_AUDIO_INFO_CHANNELS (&self->info);
    stats.channels = g_new0 (SeqChannelStats, n);
  }
  g_mutex_lock (&self->handover.lock);
  engine = self->handover.active;
  if (engine) {
    seq_stream_stats (engine->stream, FALSE, &stats);
    state_size = seq_stream_state_size (engine->stream);
    model = seq_model_ref (seq_stream_model (engine->stream));
  }
  n_fades = self->handover.n_swaps;
  g_mutex_unlock (&self->handover.lock);
  seq_handover_free_retired (&self->handover);
  n_failures = self->n_failures;
  if (self->file)
    gst_structure_set (s, "model-file", G_TYPE_STRING, self->file->path, NULL);
  g_mutex_unlock (&self->build_lock);

  if (model)
    add_model (s, model);
  gst_structure_set (s, "frames", G_TYPE_UINT64, stats.n_frames, "non-finite",
      G_TYPE_UINT64, stats.n_non_finite, "rewinds", G_TYPE_UINT64,
      stats.n_rewinds, "updates", G_TYPE_UINT64, stats.n_updates, "rollbacks",
      G_TYPE_UINT64, stats.n_rollbacks, "state-bytes", G_TYPE_UINT64,
      (guint64) state_size, "swaps", G_TYPE_UINT64, n_fades, "load-failures",
      G_TYPE_UINT64, n_failures, NULL);
  add_stats (s, &stats, n);
  g_free (stats.channels);
  return s;
}

/* --- caps ----------------------------------------------------------------- */

/* Channels go from `from` to `to` a unit, in one to max units. */
typedef struct {
  gint64 from, to, max;
} Scale;

/* FALSE if none is left */
static gboolean
scale_channels (const GValue *from, GValue *to, const Scale *scale)
{
  gint64 most = MIN (scale->max, G_MAXINT / scale->to);

  if (G_VALUE_HOLDS_INT (from)) {
    gint64 c = g_value_get_int (from);

    if (c % scale->from != 0 || c / scale->from > most)
      return FALSE;
    g_value_init (to, G_TYPE_INT);
    g_value_set_int (to, (gint) (c / scale->from * scale->to));
    return TRUE;
  }
  if (GST_VALUE_HOLDS_INT_RANGE (from)) {
    gint64 min = gst_value_get_int_range_min (from);
    gint64 max = gst_value_get_int_range_max (from);

    min = (min + scale->from - 1) / scale->from;
    max = MIN (max / scale->from, most);
    if (min > max)
      return FALSE;
    if (min == max) {
      g_value_init (to, G_TYPE_INT);
      g_value_set_int (to, (gint) (min * scale->to));
    } else {
      g_value_init (to, GST_TYPE_INT_RANGE);
      gst_value_set_int_range_step (to, (gint) (min * scale->to),
          (gint) (max * scale->to), (gint) scale->to);
    }
    return TRUE;
  }
  if (GST_VALUE_HOLDS_LIST (from)) {
    g_value_init (to, GST_TYPE_LIST);
    for (guint i = 0; i < gst_value_list_get_size (from); i++) {
      GValue one = G_VALUE_INIT;

      if (scale_channels (gst_value_list_get_value (from, i), &one, scale))
        gst_value_list_append_and_take_value (to, &one);
    }
    if (gst_value_list_get_size (to) > 0)
      return TRUE;
    g_value_unset (to);
  }
  return FALSE;
}

/* How channels go from one pad to the other; returns how many ways there are.
 */
static guint
get_scales (GstSeqFilter *self, GstPadDirection direction, Scale scales[2])
{
  gboolean forecasts, joint;
  gint64 others;
  Layout l;
  guint n = 1;

  GST_OBJECT_LOCK (self);
  forecasts = (self->settings.emit & 1 << SEQ_OUTPUT_PREDICTION) != 0;
  others = n_groups (self->settings.emit) - forecasts;
  joint = self->shape.channel_mode == SEQ_CHANNELS_JOINT;
  l = self->layout;
  GST_OBJECT_UNLOCK (self);

  if (l.n_signal == 0)
    scales[0] = (Scale){ 1, others + forecasts, G_MAXINT };
  else
    scales[0] = (Scale){ l.n_signal, others * l.n_signal + forecasts * l.n_out,
      joint ? 1 : G_MAXINT };
  if (joint && l.n_in > l.n_signal) /* the knobs may come with the signal */
    scales[n++] = (Scale){ l.n_in, others * l.n_in + forecasts * l.n_out, 1 };
  for (guint i = 0; i < n && direction == GST_PAD_SRC; i++)
    scales[i] = (Scale){ scales[i].to, scales[i].from, scales[i].max };
  return n;
}

static GstCaps *
transform_caps (GstBaseTransform *trans, GstPadDirection direction,
    GstCaps *caps, GstCaps *filter)
{
  GstSeqFilter *self = GST_SEQ_FILTER (trans);
  g_autoptr (GstCaps) result = gst_caps_new_empty ();
  gint rate = gst_seq_filter_needed_rate (self);
  Scale scales[2];
  guint n = get_scales (self, direction, scales);

  for (guint i = 0; i < gst_caps_get_size (caps) * n; i++) {
    const Scale *scale = &scales[i % n];
    GstStructure *s = gst_structure_copy (gst_caps_get_structure (caps, i / n));
    const GValue *channels = gst_structure_get_value (s, "channels");
    GValue scaled = G_VALUE_INIT;
    gint fixed = 0;

    if (channels && !scale_channels (channels, &scaled, scale)) {
      gst_structure_free (s);
      continue;
    }
    if (channels)
      gst_structure_take_value (s, "channels", &scaled);
    if (scale->from != scale->to) {
      gst_structure_remove_field (s, "channel-mask");
      if (direction == GST_PAD_SINK
          && gst_structure_get_int (s, "channels", &fixed) && fixed > 2)
        gst_structure_set (
            s, "channel-mask", GST_TYPE_BITMASK, G_GUINT64_CONSTANT (0), NULL);
    }
    gst_caps_append_structure (result, s);
  }
  if (rate > 0) {
    g_autoptr (GstCaps) fixed =
        gst_caps_new_simple ("audio/x-raw", "rate", G_TYPE_INT, rate, NULL);
    GstCaps *both =
        gst_caps_intersect_full (result, fixed, GST_CAPS_INTERSECT_FIRST);

    gst_caps_unref (result);
    result = both;
  }
  return filter ? gst_caps_intersect_full (
             filter, result, GST_CAPS_INTERSECT_FIRST)
                : g_steal_pointer (&result);
}

/* What the model can't take is refused with a reason once it comes, not here:
 * see sink_event() and setup(). */
static gboolean
accept_caps (GstBaseTransform *trans, GstPadDirection direction, GstCaps *caps)
{
  g_autoptr (GstCaps) template = NULL;

  if (direction == GST_PAD_SRC)
    return parent_class->accept_caps (trans, direction, caps);
  template = gst_pad_get_pad_template_caps (trans->sinkpad);
  return gst_caps_can_intersect (caps, template);
}

/* Posts why a model can't take caps, if so. */
static gboolean
check_caps (GstSeqFilter *self, GstCaps *caps)
{
  gint rate = gst_seq_filter_needed_rate (self), found, channels;
  const GstStructure *s = gst_caps_get_structure (caps, 0);
  Scale scales[2];
  guint n = get_scales (self, GST_PAD_SINK, scales);
  g_autofree char *path = NULL;

  GST_OBJECT_LOCK (self);
  path = g_strdup (self->model_file ? self->model_file : "the state");
  GST_OBJECT_UNLOCK (self);
  if (rate > 0 && gst_structure_get_int (s, "rate", &found) && found != rate) {
    GST_ELEMENT_ERROR (
        self, STREAM, FORMAT, (WRONG_RATE, path, rate, found), (NULL));
    return FALSE;
  }
  if (!gst_structure_get_int (s, "channels", &channels))
    return TRUE; /* refused by others */
  for (guint i = 0; i < n; i++)
    if (channels % scales[i].from == 0
        && channels / scales[i].from
               <= MIN (scales[i].max, G_MAXINT / scales[i].to))
      return TRUE;
  GST_ELEMENT_ERROR (self, STREAM, FORMAT,
      ("the model wants %d channels%s, the stream has %d",
          (gint) scales[0].from,
          n == 2               ? ", or one for each of its inputs"
          : scales[0].max == 1 ? ""
                               : " or a multiple of it",
          channels),
      ("model-file %s", path));
  return FALSE;
}

/* New input caps; self->info holds the last. */
static gboolean
setup (GstAudioFilter *filter, const GstAudioInfo *info)
{
  GstSeqFilter *self = GST_SEQ_FILTER (filter);
  g_autoptr (GError) error = NULL;
  SeqEngine *engine;

  g_mutex_lock (&self->build_lock);
  if (GST_AUDIO_INFO_IS_VALID (&self->info) && !self->caps_wait
      && gst_audio_info_is_equal (&self->info, info)) {
    g_mutex_unlock (&self->build_lock);
    return TRUE; /* what leaves has changed, not what comes */
  }
  self->info = *info;
  self->caps_wait = FALSE;
  engine = gst_seq_filter_build (self, self->file, &error);
  if (engine) {
    gboolean going_on = self->handover.active != NULL;

    self->n_outputs = seq_stream_n_outputs (engine->stream);
    seq_handover_publish (&self->handover, engine);
    g_mutex_lock (&self->handover.lock);
    seq_handover_end_fade (&self->handover);
    engine = seq_handover_adopt_pending (&self->handover);
    if (going_on)
      seq_stream_rewind (engine->stream);
    g_mutex_unlock (&self->handover.lock);
    seq_handover_free_retired (&self->handover);
  } else {
    gst_audio_info_init (&self->info);
  }
  g_mutex_unlock (&self->build_lock);
  if (error) {
    gst_seq_post_error (GST_ELEMENT (self), GST_MESSAGE_ERROR, error, NULL);
    return FALSE;
  }

  g_free (self->part);
  self->part = g_malloc (GST_AUDIO_INFO_BPF (info));
  self->n_part = 0;
  self->n_measured = 0;
  self->next_pts = GST_CLOCK_TIME_NONE;
  return TRUE;
}

/* Channels that leave. */
static gint
n_channels_out (GstSeqFilter *self, guint emit)
{
  gint forecasts = (emit & 1 << SEQ_OUTPUT_PREDICTION) != 0;

  return ((gint) n_groups (emit) - forecasts) * GST_AUDIO_FILTER_CHANNELS (self)
         + forecasts * (gint) self->n_outputs;
}

/* Follows `emit` within the number of channels that was agreed on; FALSE if
 * it needs another: then a renegotiation is on its way. */
static gboolean
follow_emit (GstSeqFilter *self, guint emit)
{
  GstBaseTransform *trans = GST_BASE_TRANSFORM (self);
  gint n_out = GST_AUDIO_INFO_CHANNELS (&self->out_info);

  if (!emit || n_out != n_channels_out (self, emit))
    return FALSE;
  self->emit = emit;
  gst_base_transform_set_passthrough (trans, emit == 1 << SEQ_OUTPUT_INPUT);
  gst_base_transform_set_in_place (
      trans, n_groups (emit) == 1 && n_out == GST_AUDIO_FILTER_CHANNELS (self));
  return TRUE;
}

static gboolean
set_caps (GstBaseTransform *trans, GstCaps *in, GstCaps *out)
{
  GstSeqFilter *self = GST_SEQ_FILTER (trans);
  GstAudioInfo info;
  gboolean post;
  guint emit;

  if (!gst_audio_info_from_caps (&info, out))
    return FALSE;
  GST_OBJECT_LOCK (self);
  emit = self->settings.emit;
  post = self->settings.post_messages;
  GST_OBJECT_UNLOCK (self);
  if (post)
    post_rest (self);
  self->out_info = info;
  if (!parent_class->set_caps (trans, in, out))
    return FALSE;

  /* `emit` may have moved since the caps were agreed on: till they are again,
   * anything of that many channels */
  if (follow_emit (self, emit)
      || follow_emit (self, 1 << SEQ_OUTPUT_PREDICTION))
    return TRUE;
  for (emit = 1; emit < 1 << SEQ_N_OUTPUTS; emit++)
    if (follow_emit (self, emit))
      return TRUE;
  return FALSE;
}

static gboolean
transform_size (GstBaseTransform *trans, GstPadDirection direction,
    GstCaps *caps, gsize size, GstCaps *other_caps, gsize *other_size)
{
  gsize unit, other_unit;

  if (!parent_class->get_unit_size (trans, caps, &unit)
      || !parent_class->get_unit_size (trans, other_caps, &other_unit))
    return FALSE;
  *other_size = size / unit * other_unit;
  return TRUE;
}

/* --- data ----------------------------------------------------------------- */

static gboolean
is_hole (GstSeqFilter *self, GstClockTime pts)
{
  gint rate = GST_AUDIO_FILTER_RATE (self);
  GstClockTimeDiff off;

  if (!GST_CLOCK_TIME_IS_VALID (pts)
      || !GST_CLOCK_TIME_IS_VALID (self->next_pts))
    return FALSE;
  off = GST_CLOCK_DIFF (self->next_pts, pts);
  return ABS (off) > (GstClockTimeDiff) MAX (HOLE, GST_SECOND * 3 / 2 / rate);
}

/* The whole frames of what is left from before and of this buffer; NULL if
 * there is none yet. Takes the buffer. */
static GstBuffer *
whole_frames (GstSeqFilter *self, GstBuffer *buffer)
{
  gsize bpf = (gsize) GST_AUDIO_FILTER_BPF (self);
  gsize size = gst_buffer_get_size (buffer);
  gsize whole = (self->n_part + size) / bpf * bpf, taken;
  GstBuffer *frames;

  if (whole == 0) {
    gst_buffer_extract (buffer, 0, self->part + self->n_part, size);
    self->n_part += size;
    gst_buffer_unref (buffer);
    return NULL;
  }
  taken = whole - self->n_part;
  frames = gst_buffer_new_allocate (NULL, self->n_part, NULL);
  gst_buffer_fill (frames, 0, self->part, self->n_part);
  gst_buffer_copy_into (
      frames, buffer, GST_BUFFER_COPY_FLAGS | GST_BUFFER_COPY_TIMESTAMPS, 0, 0);
  gst_buffer_copy_into (frames, buffer,
      GST_BUFFER_COPY_MEMORY | GST_BUFFER_COPY_DEEP | GST_BUFFER_COPY_META, 0,
      taken);
  GST_BUFFER_OFFSET (frames) = GST_BUFFER_OFFSET_END (frames) =
      GST_BUFFER_OFFSET_NONE;
  self->n_part = gst_buffer_extract (buffer, taken, self->part, bpf);
  gst_buffer_unref (buffer);
  return frames;
}

/* Comes before the base class decides what memory the output takes. (Casts are
 * unchecked where they happen once a buffer.) */
static GstFlowReturn
submit_input_buffer (
    GstBaseTransform *trans, gboolean is_discont, GstBuffer *buffer)
{
  GstSeqFilter *self = (GstSeqFilter *) trans;
  const GstAudioInfo *info = GST_AUDIO_FILTER_INFO (self);
  GstFlowReturn ret;

  if (GST_AUDIO_INFO_IS_VALID (info)
      && info->layout == GST_AUDIO_LAYOUT_INTERLEAVED) {
    if (self->n_part > 0
        && (GST_BUFFER_IS_DISCONT (buffer)
            || is_hole (self, GST_BUFFER_PTS (buffer))))
      self->n_part = 0;
    if (self->n_part > 0
        || gst_buffer_get_size (buffer) % (gsize) info->bpf != 0) {
      buffer = whole_frames (self, buffer);
      if (!buffer)
        return GST_FLOW_OK;
    }
  }
  ret = parent_class->submit_input_buffer (trans, is_discont, buffer);

  GST_OBJECT_LOCK (self);
  self->now = self->settings;
  self->controlled = GST_OBJECT_CAST (self)->control_bindings != NULL;
  self->n_now_params = self->n_params;
  memcpy (self->now_params, self->params, self->n_params * sizeof (double));
  GST_OBJECT_UNLOCK (self);
  if (G_UNLIKELY (self->now.emit == 0)) {
    GST_ELEMENT_ERROR (self, LIBRARY, SETTINGS, (NOTHING_LEAVES), (NULL));
    return GST_FLOW_ERROR;
  }
  if (G_UNLIKELY (self->now.emit != self->emit) && ret == GST_FLOW_OK)
    follow_emit (self, self->now.emit);
  return ret;
}

/* Where each channel's first sample lies. FALSE if the planes don't fit. */
static gboolean
locate (const GstAudioInfo *info, GstBuffer *buffer, const GstMapInfo *map,
    gpointer *channel, gsize *n_frames)
{
  guint n = GST_AUDIO_INFO_CHANNELS (info);
  gsize bps = GST_AUDIO_INFO_WIDTH (info) / 8;
  gsize bpf = GST_AUDIO_INFO_BPF (info);
  GstAudioMeta *meta;

  if (GST_AUDIO_INFO_LAYOUT (info) == GST_AUDIO_LAYOUT_INTERLEAVED) {
    *n_frames = map->size / bpf;
    for (guint c = 0; c < n; c++)
      channel[c] = map->data + c * bps;
    return TRUE;
  }
  meta = gst_buffer_get_audio_meta (buffer);
  *n_frames = meta ? meta->samples : map->size / bpf;
  if (*n_frames > map->size / bpf)
    return FALSE;
  for (guint c = 0; c < n; c++) {
    gsize at = meta ? meta->offsets[c] : c * *n_frames * bps;

    if (at > map->size || (map->size - at) / bps < *n_frames)
      return FALSE;
    channel[c] = map->data + at;
  }
  return TRUE;
}

static void
advance (gpointer *channel, guint n, gsize bytes)
{
  for (guint c = 0; c < n; c++)
    channel[c] = (guint8 *) channel[c] + bytes;
}

static SeqFormat
seq_format (const GstAudioInfo *info)
{
  if (GST_AUDIO_INFO_IS_FLOAT (info))
    return GST_AUDIO_INFO_WIDTH (info) == 32 ? SEQ_FORMAT_F32 : SEQ_FORMAT_F64;
  return GST_AUDIO_INFO_WIDTH (info) == 16 ? SEQ_FORMAT_S16 : SEQ_FORMAT_S32;
}

/* One buffer in hand. */
typedef struct {
  GstControlBinding *mix_curve;            /* or NULL */
  GstControlBinding *knob_curves[N_KNOBS]; /* each or NULL */
  gboolean knobs_turn;                     /* by a curve */
  GstClockTime pts;
  SeqProcessFlags flags;
  SeqSignal in, out[SEQ_N_OUTPUTS];
  const SeqSignal *outputs[SEQ_N_OUTPUTS];
  guint n_out; /* channels of a buffer of its own; 0: in place, nothing */
  gsize out_stride;
  double mix;      /* at the next frame */
  GList *messages; /* to be posted once the lock is free */
} Work;

/* Frames to the end of the stretch that a message is about. */
static guint64
frames_to_message (GstSeqFilter *self)
{
  guint64 interval = MAX (1, gst_util_uint64_scale_round (self->now.interval,
                                 GST_AUDIO_FILTER_RATE (self), GST_SECOND));

  return interval > self->n_measured ? interval - self->n_measured : 1;
}

/* The value of a curve, 0..1, at frame `at` of the buffer. */
static double
curve_at (GstSeqFilter *self, const Work *work, GstControlBinding *curve,
    gsize at, double fallback)
{
  double value;
  GstClockTime time = gst_segment_to_stream_time (
      &GST_BASE_TRANSFORM (self)->segment, GST_FORMAT_TIME,
      work->pts
          + gst_util_uint64_scale_int (
              at, GST_SECOND, GST_AUDIO_FILTER_RATE (self)));

  if (!gst_control_binding_get_value_array (curve, time, GST_SECOND, 1, &value)
      || !isfinite (value))
    return fallback;
  return CLAMP (value, 0, 1);
}

/* Sets the model's knobs for the frames from `at` on. */
static void
turn_knobs (GstSeqFilter *self, SeqEngine *engine, const Work *work, gsize at)
{
  guint n = seq_stream_n_knobs (engine->stream);
  guint glide = MAX (1, (guint) gst_util_uint64_scale_int (
                            GLIDE, GST_AUDIO_FILTER_RATE (self), GST_SECOND));

  for (guint i = 0; i < n; i++) {
    GstControlBinding *curve = i < N_KNOBS ? work->knob_curves[i] : NULL;
    double value = i < self->n_now_params ? self->now_params[i] : 0;

    if (curve)
      seq_stream_set_knob (
          engine->stream, i, curve_at (self, work, curve, at, value), 1);
    else
      seq_stream_set_knob (engine->stream, i, value, glide);
  }
}

static void
take_curves (GstSeqFilter *self, Work *work)
{
  work->mix_curve = gst_object_get_control_binding (GST_OBJECT (self), "mix");
  for (guint i = 0; i < N_KNOBS; i++) {
    work->knob_curves[i] = gst_object_get_control_binding (
        GST_OBJECT (self), gst_seq_filter_props[PROP_PARAM1 + i]->name);
    work->knobs_turn |= work->knob_curves[i] != NULL;
  }
}

static void
drop_curves (Work *work)
{
  g_clear_object (&work->mix_curve);
  for (guint i = 0; i < N_KNOBS; i++)
    g_clear_object (&work->knob_curves[i]);
}

/* Runs frames from `from` on, n of them or fewer; returns how many. The lock
 * is held. */
static gsize
run (GstSeqFilter *self, SeqEngine *engine, Work *work, gsize from, gsize n)
{
  gint rate = GST_AUDIO_FILTER_RATE (self);
  gsize bps = (gsize) GST_AUDIO_FILTER_BPS (self);
  guint64 rest = G_MAXUINT64;
  double mix = self->now.mix;

  if (self->now.post_messages) {
    rest = frames_to_message (self);
    n = MIN (n, rest);
  }
  if (G_UNLIKELY (work->knobs_turn))
    n = 1;
  if (seq_stream_n_knobs (engine->stream) > 0)
    turn_knobs (self, engine, work, from);
  if (G_UNLIKELY (work->mix_curve)) {
    n = MIN (n, MIX_BLOCK);
    mix = curve_at (self, work, work->mix_curve, from + n, mix);
  }
  seq_stream_process (
      engine->stream, &work->in, work->outputs, n, work->mix, mix, work->flags);
  work->mix = mix;
  advance (engine->in, (guint) GST_AUDIO_FILTER_CHANNELS (self),
      n * work->in.stride * bps);
  if (work->n_out > 0)
    advance (engine->out, work->n_out, n * work->out_stride * bps);

  if (self->n_measured == 0)
    self->measured_from =
        GST_CLOCK_TIME_IS_VALID (work->pts)
            ? work->pts + gst_util_uint64_scale_int (from, GST_SECOND, rate)
            : GST_CLOCK_TIME_NONE;
  self->n_measured += n;
  self->n_frames += n;
  if (n == rest)
    work->messages =
        g_list_prepend (work->messages, take_message (self, engine));
  return n;
}

/* Listens to inbuf, and writes what `emit` says to outbuf: NULL if that is
 * nothing, inbuf if in place. */
static GstFlowReturn
process (GstSeqFilter *self, GstBuffer *inbuf, GstBuffer *outbuf)
{
  GstBaseTransform *trans = GST_BASE_TRANSFORM_CAST (self);
  const GstAudioInfo *info = GST_AUDIO_FILTER_INFO (self);
  const GstAudioInfo *out_info = &self->out_info;
  gboolean in_place = outbuf == inbuf, located;
  GstMapInfo in_map, out_map;
  SeqEngine *engine;
  Work work = { .pts = GST_BUFFER_PTS (inbuf) };
  gsize n_frames, n_out_frames;

  if (G_UNLIKELY (self->controlled) && GST_CLOCK_TIME_IS_VALID (work.pts)
      && trans->segment.format == GST_FORMAT_TIME)
    take_curves (self, &work);
  if (!self->now.learning
      || GST_BUFFER_FLAG_IS_SET (inbuf, GST_BUFFER_FLAG_GAP))
    work.flags |= SEQ_PROCESS_NO_LEARNING;

  if (is_hole (self, work.pts)) {
    GST_DEBUG_OBJECT (self,
        "%" GST_TIME_FORMAT " where %" GST_TIME_FORMAT " was due: starts anew",
        GST_TIME_ARGS (work.pts), GST_TIME_ARGS (self->next_pts));
    if (self->now.post_messages)
      post_rest (self);
    g_mutex_lock (&self->handover.lock);
    engine = seq_handover_adopt_pending (&self->handover);
    seq_stream_rewind (engine->stream);
  } else {
    g_mutex_lock (&self->handover.lock);
    engine = seq_handover_adopt_pending (&self->handover);
  }

  if (!gst_buffer_map (
          inbuf, &in_map, in_place ? GST_MAP_READWRITE : GST_MAP_READ))
    goto no_map;
  located = locate (info, inbuf, &in_map, engine->in, &n_frames);
  work.in = (SeqSignal){ seq_format (info), engine->in,
    info->layout == GST_AUDIO_LAYOUT_INTERLEAVED ? (gsize) info->channels : 1 };
  if (in_place && located) {
    work.outputs[g_bit_nth_lsf (self->emit, -1)] = &work.in;
  } else if (outbuf && located) {
    guint at = 0;

    work.n_out = (guint) GST_AUDIO_INFO_CHANNELS (out_info);
    gst_buffer_set_size (
        outbuf, (gssize) (n_frames * GST_AUDIO_INFO_BPF (out_info)));
    if (out_info->layout == GST_AUDIO_LAYOUT_NON_INTERLEAVED)
      gst_buffer_add_audio_meta (outbuf, out_info, n_frames, NULL);
    if (!gst_buffer_map (outbuf, &out_map, GST_MAP_WRITE)) {
      gst_buffer_unmap (inbuf, &in_map);
      goto no_map;
    }
    locate (out_info, outbuf, &out_map, engine->out, &n_out_frames);
    work.out_stride =
        out_info->layout == GST_AUDIO_LAYOUT_INTERLEAVED ? work.n_out : 1;
    for (guint i = 0; i < SEQ_N_OUTPUTS; i++)
      if (self->emit & 1 << i) {
        work.out[i] =
            (SeqSignal){ work.in.format, engine->out + at, work.out_stride };
        work.outputs[i] = &work.out[i];
        at += i == SEQ_OUTPUT_PREDICTION ? self->n_outputs
                                         : (guint) info->channels;
      }
  }

  if (located) {
    work.mix = work.mix_curve
                   ? curve_at (self, &work, work.mix_curve, 0, self->now.mix)
                   : self->mix;
    for (gsize from = 0; from < n_frames;)
      from += run (self, engine, &work, from, n_frames - from);
    self->mix = work.mix;
    self->next_pts =
        GST_CLOCK_TIME_IS_VALID (work.pts) ? work.pts : self->next_pts;
    if (GST_CLOCK_TIME_IS_VALID (self->next_pts))
      self->next_pts +=
          gst_util_uint64_scale_int (n_frames, GST_SECOND, info->rate);
  }
  if (work.n_out > 0)
    gst_buffer_unmap (outbuf, &out_map);
  gst_buffer_unmap (inbuf, &in_map);
  g_mutex_unlock (&self->handover.lock);

  drop_curves (&work);
  if (outbuf)
    GST_BUFFER_FLAG_UNSET (outbuf, GST_BUFFER_FLAG_GAP);
  work.messages = g_list_reverse (work.messages);
  for (GList *l = work.messages; l; l = l->next)
    gst_element_post_message (GST_ELEMENT (self), l->data);
  g_list_free (work.messages);
  if (!located) {
    GST_ELEMENT_ERROR (self, STREAM, FORMAT,
        ("the planes of a non-interleaved buffer reach past its end"),
        ("%" G_GSIZE_FORMAT " frames in %" G_GSIZE_FORMAT " bytes", n_frames,
            gst_buffer_get_size (inbuf)));
    return GST_FLOW_ERROR;
  }
  return GST_FLOW_OK;

no_map:
  g_mutex_unlock (&self->handover.lock);
  drop_curves (&work);
  GST_ELEMENT_ERROR (
      self, RESOURCE, FAILED, ("a buffer can't be mapped"), (NULL));
  return GST_FLOW_ERROR;
}

static GstFlowReturn
transform_ip (GstBaseTransform *trans, GstBuffer *buffer)
{
  GstSeqFilter *self = (GstSeqFilter *) trans;

  return process (
      self, buffer, self->emit == 1 << SEQ_OUTPUT_INPUT ? NULL : buffer);
}

static GstFlowReturn
transform (GstBaseTransform *trans, GstBuffer *inbuf, GstBuffer *outbuf)
{
  return process ((GstSeqFilter *) trans, inbuf, outbuf);
}

static gboolean
sink_event (GstBaseTransform *trans, GstEvent *event)
{
  GstSeqFilter *self = GST_SEQ_FILTER (trans);
  gboolean post;

  switch (GST_EVENT_TYPE (event)) {
    case GST_EVENT_CAPS: {
      GstCaps *caps;

      gst_event_parse_caps (event, &caps);
      if (!check_caps (self, caps)) {
        gst_event_unref (event);
        return FALSE;
      }
      break;
    }
    case GST_EVENT_FLUSH_STOP:
      g_mutex_lock (&self->handover.lock);
      if (seq_handover_adopt_pending (&self->handover)) {
        seq_stream_rewind (self->handover.active->stream);
        seq_stream_stats (
            self->handover.active->stream, TRUE, &self->handover.active->stats);
      }
      g_mutex_unlock (&self->handover.lock);
      self->n_part = 0;
      self->n_measured = 0;
      self->next_pts = GST_CLOCK_TIME_NONE;
      break;
    case GST_EVENT_EOS:
      GST_OBJECT_LOCK (self);
      post = self->settings.post_messages;
      GST_OBJECT_UNLOCK (self);
      if (post)
        post_rest (self);
      gst_seq_filter_save (self);
      break;
    default:
      break;
  }
  return parent_class->sink_event (trans, event);
}

static gboolean
start (GstBaseTransform *trans)
{
  GstSeqFilter *self = GST_SEQ_FILTER (trans);
  g_autoptr (GError) error = NULL;

  g_mutex_lock (&self->build_lock);
  error = self->refused ? g_error_copy (self->refused) : NULL;
  g_mutex_unlock (&self->build_lock);
  if (error) {
    GST_ELEMENT_ERROR (
        self, STREAM, DECODE, ("state: %s", error->message), (NULL));
    return FALSE;
  }
  if (!gst_seq_filter_open_model (self)
      || !gst_seq_filter_load_state_file (self)) {
    gst_seq_filter_close_model (self);
    return FALSE;
  }
  self->next_pts = GST_CLOCK_TIME_NONE;
  self->n_frames = self->n_measured = 0;
  self->emit = 0;
  GST_OBJECT_LOCK (self);
  self->mix = self->settings.mix;
  GST_OBJECT_UNLOCK (self);
  return TRUE;
}

static gboolean
stop (GstBaseTransform *trans)
{
  GstSeqFilter *self = GST_SEQ_FILTER (trans);

  gst_seq_filter_save (self);
  gst_seq_filter_close_model (self);
  g_clear_pointer (&self->part, g_free);
  self->n_part = 0;
  return TRUE;
}

/* --- the class ------------------------------------------------------------ */

/* Comes once for all properties of one g_object_set(). */
static void
dispatch_properties_changed (GObject *object, guint n, GParamSpec **pspecs)
{
  GstSeqFilter *self = GST_SEQ_FILTER (object);
  guint stale;

  G_OBJECT_CLASS (gst_seq_filter_parent_class)
      ->dispatch_properties_changed (object, n, pspecs);
  GST_OBJECT_LOCK (self);
  stale = self->stale;
  self->stale = 0;
  GST_OBJECT_UNLOCK (self);
  if (stale)
    gst_seq_filter_rebuild (self, stale);
}

static void
gst_seq_filter_finalize (GObject *object)
{
  GstSeqFilter *self = GST_SEQ_FILTER (object);

  seq_handover_clear (&self->handover);
  g_clear_pointer (&self->shape.lags, g_variant_unref);
  g_clear_pointer (&self->restored, seq_stream_free);
  g_clear_pointer (&self->model, seq_model_unref);
  g_clear_pointer (&self->file, seq_model_file_unref);
  g_clear_pointer (&self->held.lags, g_variant_unref);
  g_clear_pointer (&self->model_options, gst_structure_free);
  g_clear_error (&self->refused);
  g_free (self->model_file);
  g_free (self->state_file);
  g_free (self->part);
  g_mutex_clear (&self->build_lock);
  G_OBJECT_CLASS (gst_seq_filter_parent_class)->finalize (object);
}

static void
gst_seq_filter_init (GstSeqFilter *self)
{
  self->settings = gst_seq_default_settings;
  self->shape = gst_seq_default_shape;
  g_mutex_init (&self->build_lock);
  seq_handover_init (&self->handover);
  gst_audio_info_init (&self->info);
  gst_audio_info_init (&self->out_info);
}

/* clang-format off */
#define CAPS \
  "audio/x-raw, " \
  "format = (string) { " GST_AUDIO_NE (S16) ", " GST_AUDIO_NE (S32) ", " \
      GST_AUDIO_NE (F32) ", " GST_AUDIO_NE (F64) " }, " \
  "rate = (int) [ 1, max ], channels = (int) [ 1, max ], " \
  "layout = (string) { interleaved, non-interleaved }"
/* clang-format on */

static void
gst_seq_filter_class_init (GstSeqFilterClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);
  GstBaseTransformClass *trans_class = GST_BASE_TRANSFORM_CLASS (klass);
  GstAudioFilterClass *filter_class = GST_AUDIO_FILTER_CLASS (klass);
  g_autoptr (GstCaps) caps = gst_caps_from_string (CAPS);

  GST_DEBUG_CATEGORY_INIT (
      gst_seq_filter_debug, "seqfilter", 0, "sequence models");

  object_class->set_property = gst_seq_filter_set_property;
  object_class->get_property = gst_seq_filter_get_property;
  object_class->dispatch_properties_changed = dispatch_properties_changed;
  object_class->finalize = gst_seq_filter_finalize;
  gst_seq_filter_install_properties (object_class);

  /**
   * GstSeqFilter::reset:
   *
   * Forgets everything, learnt and carried, at the next buffer.
   */
  signals[SIGNAL_RESET] = g_signal_new_class_handler ("reset",
      G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST | G_SIGNAL_ACTION,
      G_CALLBACK (reset), NULL, NULL, NULL, G_TYPE_NONE, 0);
  /**
   * GstSeqFilter::save:
   *
   * Writes #GstSeqFilter:state-file now.
   *
   * Returns: whether it was written
   */
  signals[SIGNAL_SAVE] = g_signal_new_class_handler ("save",
      G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST | G_SIGNAL_ACTION,
      G_CALLBACK (gst_seq_filter_save), NULL, NULL, NULL, G_TYPE_BOOLEAN, 0);

  /**
   * GstSeqFilter::save-model:
   * @path: (type filename): where to
   *
   * Writes the model, as it has learnt by now, as safetensors: for
   * #GstSeqFilter:model-file, and for PyTorch. Of independent channels it is
   * the first one's. A warning says why it can't be written.
   *
   * Returns: whether it was written
   */
  signals[SIGNAL_SAVE_MODEL] = g_signal_new_class_handler ("save-model",
      G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST | G_SIGNAL_ACTION,
      G_CALLBACK (gst_seq_filter_save_model), NULL, NULL, NULL, G_TYPE_BOOLEAN,
      1, G_TYPE_STRING);

  gst_element_class_set_static_metadata (element_class, "Sequence model",
      "Filter/Effect/Analyzer/Audio",
      "Predicts audio or sensor streams with a sequence model (nearest "
      "neighbours, autoregression, Markov chain, RNN, LSTM, GRU) that learns "
      "as they go by",
      "The seqfilter authors");
  gst_audio_filter_class_add_pad_templates (filter_class, caps);

  trans_class->start = start;
  trans_class->stop = stop;
  trans_class->transform_caps = transform_caps;
  trans_class->accept_caps = accept_caps;
  trans_class->set_caps = set_caps;
  trans_class->transform_size = transform_size;
  trans_class->sink_event = sink_event;
  trans_class->submit_input_buffer = submit_input_buffer;
  trans_class->transform = transform;
  trans_class->transform_ip = transform_ip;
  filter_class->setup = setup;
}
