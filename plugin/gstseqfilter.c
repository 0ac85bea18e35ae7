/* gstseqfilter.c: the element seqfilter: a sequence model in a pipeline.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Here: the class, its documentation, start and stop, events and actions. Which
 * model runs is decided by the core (src/live/host.h).
 */

/* clang-format off */
/**
 * SECTION:element-seqfilter
 * @title: seqfilter
 *
 * Runs a sequence model on audio or sensor data, one step a frame, and learns
 * while the stream goes by. The buffer that carries x[t] comes out with the
 * forecast of x[t + #GstSeqFilter:horizon] in its place, and with its own
 * timestamp. The residual at t is x[t] less the forecast that was made for t.
 * Latency is 0.
 *
 * The output is the same to the bit however the stream is cut into buffers.
 *
 * ## Output
 *
 * #GstSeqFilter:emit names groups of channels, in the order input, prediction,
 * residual, score. One group is written in place. `input` alone touches
 * nothing: the element listens, for messages, stats and state. Several groups
 * make a stream of that many times the channels, unpositioned if more than two,
 * in buffers of its own that the base class allocates.
 *
 * ## Models from files
 *
 * #GstSeqFilter:model-file names a trained model in any known format, found by
 * content. The file says what the model is, how far it looks ahead and at what
 * rate it runs. Properties read what the file says; those that were set must
 * agree with it. Caps are fixed to the model's rate (see
 * #GstSeqFilter:rate-mode), so that an audioresample upstream adapts.
 * #GstSeqFilter:model-options says what a file cannot say. A model whose output
 * is for the same frame is an effect, with a horizon of 0; its output is the
 * prediction. A model that forecasts goes on learning if #GstSeqFilter:learn is
 * on, gradient, readout or both; with auto it stays as it is.
 *
 * A model of one signal runs on each channel; one of n signals on each n
 * channels, and with #GstSeqFilter:channel-mode joint on exactly n. It may have
 * more or fewer outputs than inputs: then the output is unpositioned if it has
 * more than two channels.
 *
 * Inputs beyond the signal are knobs, #GstSeqFilter:params, the same for all
 * channels. A knob glides to a new value in 20 ms; at the start of a stream, or
 * after a flush, it is where it was set. Under a controller,
 * #GstSeqFilter:param1 to `param4` follow their curves frame by frame. With
 * channel-mode=joint and as many channels as the model has inputs, the knobs
 * come as channels.
 *
 * The file is opened from READY to PAUSED, or when the property is set after
 * that, by the thread that sets it. While data flows the new model begins at
 * the first frame of a buffer, in its own initial state, and fades in over
 * 10 ms, during which both run; whatever is set meanwhile waits until the fade
 * is over. Where caps must change they do so first, and there is no fade. Of a
 * file that cannot be used a warning says why, and the old model goes on.
 * Setting the same path again reads the file again. Elements on one file share
 * one copy of the model.
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
 * | larger ones: holes, dropped buffers, loops      | reset        | kept    |
 * | playback in reverse: each buffer is a jump      | reset        | kept    |
 * | flush, and so a flushing seek                   | reset        | kept    |
 * | new rate, format or layout                      | reset        | kept    |
 * | another number of channels, another model, or a | reset        | reset   |
 * | property that makes the model another           |              |         |
 * | #GstSeqFilter::rewind                           | reset        | kept    |
 * | #GstSeqFilter::reset, READY                     | reset        | reset   |
 * | EOS, and data after it                          | by timestamp | kept    |
 *
 * A reset goes back to zeros, or to the state that the model file brings. An
 * effect whose file says so goes where a long silence leads to, with the knobs
 * as they are set: so it gives no thump. GuitarML, AIDA-X, RTNeural and what
 * `seqmodel train` makes as an effect are such; `start` in
 * #GstSeqFilter:model-options says it of others, or says `zeros`. That state is
 * computed by the thread that loads the model or sets a knob; a controller's
 * curve does not move it.
 *
 * At EOS, at READY and every #GstSeqFilter:state-interval what was learnt is
 * saved in #GstSeqFilter:state-file.
 *
 * Properties set in one g_object_set() take effect together, at a buffer
 * boundary; the streaming thread does not wait for the new model. What cannot
 * be is refused whole, once the element has started: a warning says why, and
 * the properties read as before.
 *
 * Buffers flagged GAP are filler: the model runs on them and does not learn
 * from them; where a forecast is written, the flag is removed. GAP events pass;
 * the hole that follows them shows in the timestamps. Bytes after the last
 * whole frame of a buffer belong to the first frame of the next buffer. A
 * sample that is not finite is counted in #GstSeqFilter:stats, replaced by the
 * forecast that was made for it, and not learnt from. Buffers that `qos` or a
 * segment drops are holes.
 *
 * ## Messages
 *
 * With #GstSeqFilter:post-messages, an element message named `seqfilter` is
 * posted for every #GstSeqFilter:interval, at EOS and before a hole, with
 *
 * * #guint64 `timestamp`, `stream-time`, `running-time`, `duration`, `endtime`:
 *   where the measured stretch lies, as in `level`. Without timestamps on the
 *   buffers, `timestamp` counts frames since the start, and the two others are
 *   GST_CLOCK_TIME_NONE.
 * * #GST_TYPE_ARRAY of #gdouble `prediction-gain`: per channel, power of the
 *   signal (about its mean) over power of the residual, in dB
 * * `residual-rms`: root mean square of the residual, per channel
 * * `score-peak`: the greatest score, per channel
 *
 * ## Example launch lines
 * |[
 * gst-launch-1.0 filesrc location=speech.wav ! wavparse ! seqfilter model=lstm emit=residual ! wavenc ! filesink location=residual.wav
 * ]| What an LSTM that learns as it goes cannot foresee in speech.
 * |[
 * gst-launch-1.0 filesrc location=guitar.wav ! wavparse ! audioconvert ! audioresample ! seqfilter model-file=amp.json ! audioconvert ! autoaudiosink
 * ]| An amplifier captured with GuitarML, AIDA-X or NAM.
 * |[
 * gst-launch-1.0 -m filesrc location=imu.f32 ! "audio/x-raw,format=F32LE,rate=100,channels=6,channel-mask=(bitmask)0,layout=interleaved" ! seqfilter model=ar order=8 emit=input post-messages=true ! fakesink
 * ]| Six sensor axes at 100 Hz, watched, with a message every interval.
 */
/* clang-format on */

#include "plugin/columns.h"
#include "plugin/filter.h"

#include "src/io/file.h"

GST_DEBUG_CATEGORY (gst_seq_filter_debug);

enum { SIGNAL_RESET, SIGNAL_REWIND, SIGNAL_SAVE, SIGNAL_SAVE_MODEL, N_SIGNALS };
static guint signals[N_SIGNALS];

static void
preset_init (gpointer iface, gpointer data)
{
  ((GstPresetInterface *) iface)->get_property_names =
      gst_seq_filter_get_preset_names;
}

G_DEFINE_FINAL_TYPE_WITH_CODE (GstSeqFilter, gst_seq_filter,
    GST_TYPE_AUDIO_FILTER, G_IMPLEMENT_INTERFACE (GST_TYPE_PRESET, preset_init))
GST_ELEMENT_REGISTER_DEFINE (
    seqfilter, "seqfilter", GST_RANK_NONE, GST_TYPE_SEQ_FILTER)

#define parent_class ((GstBaseTransformClass *) gst_seq_filter_parent_class)

/* --- actions -------------------------------------------------------------- */

static void
reset (GstSeqFilter *self)
{
  seq_handover_begin_again (self->live.handover, SEQ_AGAIN_RESTART);
}

static void
rewind_stream (GstSeqFilter *self)
{
  seq_handover_begin_again (self->live.handover, SEQ_AGAIN_REWIND);
}

/* --- start and stop ------------------------------------------------------- */

/* Opens the host with what is set. The build lock is taken and given back. */
static gboolean
open_host (GstSeqFilter *self, GError **error)
{
  SeqHost *host = self->build.host;
  g_auto (SeqSettings) model = { 0 };
  g_autoptr (SeqModelFile) file = NULL;
  g_autofree char *state_file = gst_seq_filter_get_state_file (self);
  g_autoptr (GError) local = NULL;
  gboolean opened = FALSE;

  gst_seq_filter_lock_build (self, TRUE, &model, &file, &local);
  if (!local && self->build.state_error)
    local = g_error_copy (self->build.state_error);
  if (!local)
    opened = seq_host_carry_out (
        host, seq_host_plan_open (host, &model, file, &local));
  if (opened && state_file
      && seq_host_carry_out (
          host, seq_host_plan_state_file (host, state_file, &local)))
    gst_seq_filter_follow_settings (self);
  if (opened && local) /* there was no other state: that file was read */
    seq_host_close (host);
  gst_seq_filter_follow_host (self);
  g_mutex_unlock (&self->build.lock);
  if (local)
    g_propagate_error (error, g_steal_pointer (&local));
  return !error || !*error;
}

/* Better now than at the end, when all that was learnt would be lost. */
static void
warn_of_state_file (GstSeqFilter *self)
{
  g_autofree char *path = gst_seq_filter_get_state_file (self);
  g_autoptr (GError) error = NULL;

  if (path && !seq_can_save (path, &error))
    GST_ELEMENT_WARNING (self, RESOURCE, OPEN_WRITE,
        ("state-file %s: what is learnt cannot be saved", error->message),
        (NULL));
}

static gboolean
start (GstBaseTransform *trans)
{
  GstSeqFilter *self = GST_SEQ_FILTER (trans);
  g_autoptr (GError) error = NULL;
  guint emit;

  GST_OBJECT_LOCK (self);
  emit = self->settings.buffer.emit;
  self->live.mix = self->settings.buffer.mix;
  GST_OBJECT_UNLOCK (self);
  if (!emit) {
    GST_ELEMENT_ERROR (self, LIBRARY, SETTINGS, (EMIT_IS_EMPTY), (NULL));
    return FALSE;
  }
  if (!open_host (self, &error)) {
    gst_seq_post_error (GST_ELEMENT (self), GST_MESSAGE_ERROR, error, NULL);
    return FALSE;
  }
  warn_of_state_file (self);
  self->live.n_frames = self->live.n_measured = 0;
  self->live.emit = 0;
  gst_seq_filter_forget_position (self);
  gst_seq_filter_set_saving (self, TRUE);
  return TRUE;
}

static gboolean
stop (GstBaseTransform *trans)
{
  GstSeqFilter *self = GST_SEQ_FILTER (trans);

  gst_seq_filter_set_saving (self, FALSE);
  gst_seq_filter_save (self);
  g_mutex_lock (&self->build.lock);
  if (seq_host_is_open (self->build.host)) /* comes after a failed start, too */
    seq_host_close (self->build.host);
  self->build.n_load_failures = 0;
  gst_seq_filter_follow_host (self);
  g_mutex_unlock (&self->build.lock);
  g_clear_pointer (&self->live.part, g_free);
  gst_clear_event (&self->live.names);
  gst_seq_filter_forget_position (self);
  return TRUE;
}

/* --- events --------------------------------------------------------------- */

static void
flush (GstSeqFilter *self)
{
  SeqHandover *handover = self->live.handover;
  SeqEngine *engine;

  g_mutex_lock (&handover->lock);
  engine = seq_handover_adopt_pending (handover);
  if (engine) {
    seq_stream_rewind (engine->stream);
    seq_stream_stats (engine->stream, TRUE, &engine->stats);
  }
  g_mutex_unlock (&handover->lock);
  self->live.n_measured = 0;
  gst_seq_filter_forget_position (self);
}

void
gst_seq_filter_push_names (GstSeqFilter *self)
{
  const char *groups[SEQ_N_OUTPUTS + 1];
  guint n = 0;

  if (!self->live.names || !self->live.emit) /* later, with the caps */
    return;
  for (const GFlagsValue *v = gst_seq_filter_emits; v->value_nick; v++)
    if (self->live.emit & v->value)
      groups[n++] = v->value_nick;
  groups[n] = NULL;
  gst_pad_push_event (GST_BASE_TRANSFORM_SRC_PAD (self),
      gst_seq_columns_add_groups (self->live.names, groups));
}

static gboolean
sink_event (GstBaseTransform *trans, GstEvent *event)
{
  GstSeqFilter *self = GST_SEQ_FILTER (trans);
  gboolean post;
  GstCaps *caps;

  if (gst_seq_columns_is_event (event)) {
    gst_event_take (&self->live.names, event);
    gst_seq_filter_push_names (self);
    return TRUE;
  }
  switch (GST_EVENT_TYPE (event)) {
    case GST_EVENT_CAPS:
      gst_event_parse_caps (event, &caps);
      if (!gst_seq_filter_check_caps (self, caps)) {
        gst_event_unref (event);
        return FALSE;
      }
      break;
    case GST_EVENT_FLUSH_STOP:
      flush (self);
      break;
    case GST_EVENT_EOS:
      GST_OBJECT_LOCK (self);
      post = self->settings.buffer.post_messages;
      GST_OBJECT_UNLOCK (self);
      if (post)
        gst_seq_filter_post_rest (self);
      gst_seq_filter_save (self);
      break;
    default:
      break;
  }
  return parent_class->sink_event (trans, event);
}

/* --- the class ------------------------------------------------------------ */

static void
gst_seq_filter_finalize (GObject *object)
{
  GstSeqFilter *self = GST_SEQ_FILTER (object);

  seq_host_free (self->build.host);
  g_clear_error (&self->build.state_error);
  g_clear_pointer (&self->build.model_options, gst_structure_free);
  g_mutex_clear (&self->build.lock);
  g_mutex_clear (&self->saving.lock);
  g_free (self->saving.last);
  gst_seq_filter_clear_settings (self);
  g_free (self->live.part);
  G_OBJECT_CLASS (gst_seq_filter_parent_class)->finalize (object);
}

static void
gst_seq_filter_init (GstSeqFilter *self)
{
  gst_seq_filter_init_settings (self);
  g_mutex_init (&self->build.lock);
  g_mutex_init (&self->saving.lock);
  self->build.host = seq_host_new (gst_seq_filter_can_have_rate, self);
  self->live.handover = seq_host_handover (self->build.host);
  gst_audio_info_init (&self->live.out_info);
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
   * GstSeqFilter::rewind:
   *
   * What is carried from frame to frame goes back to its start at the next
   * buffer; what was learnt stays.
   */
  signals[SIGNAL_REWIND] = g_signal_new_class_handler ("rewind",
      G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST | G_SIGNAL_ACTION,
      G_CALLBACK (rewind_stream), NULL, NULL, NULL, G_TYPE_NONE, 0);
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
   * the first one's. If it cannot be written a warning says why.
   *
   * Returns: whether it was written
   */
  signals[SIGNAL_SAVE_MODEL] = g_signal_new_class_handler ("save-model",
      G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST | G_SIGNAL_ACTION,
      G_CALLBACK (gst_seq_filter_save_model), NULL, NULL, NULL, G_TYPE_BOOLEAN,
      1, G_TYPE_STRING);

  gst_element_class_set_static_metadata (element_class, "Sequence model",
      "Filter/Effect/Analyzer/Audio",
      "Predicts audio or sensor streams with a sequence model that learns as "
      "they go by",
      "The seqfilter authors");
  gst_audio_filter_class_add_pad_templates (filter_class, caps);

  trans_class->start = start;
  trans_class->stop = stop;
  trans_class->sink_event = sink_event;
  gst_seq_filter_init_caps (trans_class);
  gst_seq_filter_init_data (trans_class);
}
