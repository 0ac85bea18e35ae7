/* filter-data.c: buffers.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The streaming thread copies its settings once a buffer, takes the
 * hand-over's lock, and runs the stream. (Casts are unchecked where they happen
 * once a buffer.)
 */
#include "plugin/filter.h"

#include <math.h>
#include <string.h>

GST_DEBUG_CATEGORY_EXTERN (gst_seq_filter_debug);
#define GST_CAT_DEFAULT gst_seq_filter_debug

#define HOLE (40 * GST_MSECOND)  /* timestamps may jitter by this */
#define MIX_BLOCK 64             /* frames between points of a mix curve */
#define GLIDE (20 * GST_MSECOND) /* of a knob to its new value */

static GstBaseTransformClass *parent_class;

/* --- whole frames ----------------------------------------------------------
 */

void
gst_seq_filter_forget_position (GstSeqFilter *self)
{
  self->live.n_part = 0;
  self->live.next_pts = GST_CLOCK_TIME_NONE;
}

static gboolean
is_hole (GstSeqFilter *self, GstClockTime pts)
{
  gint rate = GST_AUDIO_FILTER_RATE (self);
  GstClockTimeDiff off;

  if (!GST_CLOCK_TIME_IS_VALID (pts)
      || !GST_CLOCK_TIME_IS_VALID (self->live.next_pts))
    return FALSE;
  off = GST_CLOCK_DIFF (self->live.next_pts, pts);
  return ABS (off) > (GstClockTimeDiff) MAX (HOLE, GST_SECOND * 3 / 2 / rate);
}

/* The whole frames of what is left from before and of this buffer; NULL if
 * there is none yet. Takes the buffer. */
static GstBuffer *
take_whole_frames (GstSeqFilter *self, GstBuffer *buffer)
{
  Live *live = &self->live;
  gsize bpf = (gsize) GST_AUDIO_FILTER_BPF (self);
  gsize size = gst_buffer_get_size (buffer);
  gsize whole = (live->n_part + size) / bpf * bpf, taken;
  GstBuffer *frames;

  if (whole == 0) {
    gst_buffer_extract (buffer, 0, live->part + live->n_part, size);
    live->n_part += size;
    gst_buffer_unref (buffer);
    return NULL;
  }
  taken = whole - live->n_part;
  frames = gst_buffer_new_allocate (NULL, live->n_part, NULL);
  gst_buffer_fill (frames, 0, live->part, live->n_part);
  gst_buffer_copy_into (
      frames, buffer, GST_BUFFER_COPY_FLAGS | GST_BUFFER_COPY_TIMESTAMPS, 0, 0);
  gst_buffer_copy_into (frames, buffer,
      GST_BUFFER_COPY_MEMORY | GST_BUFFER_COPY_DEEP | GST_BUFFER_COPY_META, 0,
      taken);
  GST_BUFFER_OFFSET (frames) = GST_BUFFER_OFFSET_END (frames) =
      GST_BUFFER_OFFSET_NONE;
  live->n_part = gst_buffer_extract (buffer, taken, live->part, bpf);
  gst_buffer_unref (buffer);
  return frames;
}

/* The settings for this buffer, with as many knobs as there are. */
static void
copy_settings (GstSeqFilter *self)
{
  const BufferSettings *buffer = &self->settings.buffer;

  GST_OBJECT_LOCK (self);
  memcpy (&self->live.now, buffer,
      G_STRUCT_OFFSET (BufferSettings, knobs)
          + buffer->n_knobs * sizeof *buffer->knobs);
  self->live.learning = self->settings.model.learning;
  self->live.controlled = GST_OBJECT_CAST (self)->control_bindings != NULL;
  GST_OBJECT_UNLOCK (self);
}

/* Comes before the base class decides what memory the output takes. */
static GstFlowReturn
submit_input_buffer (
    GstBaseTransform *trans, gboolean is_discont, GstBuffer *buffer)
{
  GstSeqFilter *self = (GstSeqFilter *) trans;
  Live *live = &self->live;
  const GstAudioInfo *info = GST_AUDIO_FILTER_INFO (self);
  GstFlowReturn ret;

  if (!GST_AUDIO_INFO_IS_VALID (info)) { /* GstAudioFilter leaks the buffer */
    gst_buffer_unref (buffer);
    return GST_FLOW_NOT_NEGOTIATED;
  }
  if (info->layout == GST_AUDIO_LAYOUT_INTERLEAVED) {
    if (live->n_part > 0
        && (GST_BUFFER_IS_DISCONT (buffer)
            || is_hole (self, GST_BUFFER_PTS (buffer))))
      live->n_part = 0;
    if (live->n_part > 0
        || gst_buffer_get_size (buffer) % (gsize) info->bpf != 0) {
      buffer = take_whole_frames (self, buffer);
      if (!buffer)
        return GST_FLOW_OK;
    }
  }
  ret = parent_class->submit_input_buffer (trans, is_discont, buffer);

  copy_settings (self);
  if (G_UNLIKELY (live->now.emit == 0)) {
    GST_ELEMENT_ERROR (self, LIBRARY, SETTINGS, (EMIT_IS_EMPTY), (NULL));
    ret = GST_FLOW_ERROR;
  }
  if (G_UNLIKELY (live->now.emit != live->emit) && ret == GST_FLOW_OK)
    gst_seq_filter_follow_emit (self, live->now.emit);
  if (G_UNLIKELY (live->emit == 0) && ret == GST_FLOW_OK)
    ret = GST_FLOW_NOT_NEGOTIATED;
  if (G_UNLIKELY (ret != GST_FLOW_OK))
    gst_clear_buffer (&trans->queued_buf);
  return ret;
}

/* --- a buffer in hand ------------------------------------------------------
 */

/* The frames of a mapped buffer. */
typedef struct {
  GstBuffer *buffer; /* NULL: none is mapped */
  gpointer *channel; /* [n_channels]: first sample that is not done yet */
  guint n_channels;
  gsize stride; /* samples from one frame to the next */
  gsize n_frames;
} Frames;

/* All that a buffer on its way needs; zeros, but for the maps. */
typedef struct {
  SeqEngine *engine;
  GstClockTime pts;
  SeqProcessFlags flags;
  GstControlBinding *mix_curve;                 /* or NULL */
  GstControlBinding *knob_curves[N_KNOB_PROPS]; /* each or NULL */
  gboolean has_knob_curve;
  double mix; /* at the next frame */
  Frames in, out;
  SeqSignal in_signal, out_signals[SEQ_N_OUTPUTS];
  const SeqSignal *outputs[SEQ_N_OUTPUTS];
  GList *messages; /* to be posted once the lock is free */
  GstMapInfo in_map, out_map;
} Pass;

static const char cannot_be_mapped[] = "a buffer cannot be mapped";
static const char planes_reach_past[] =
    "the planes of a non-interleaved buffer reach past its end";

/* Maps a buffer and finds the first sample of each channel. Returns NULL, or
 * why that cannot be. */
static const char *
map_frames (Frames *frames, GstMapInfo *map, const GstAudioInfo *info,
    GstBuffer *buffer, GstMapFlags flags, gpointer *channel)
{
  gsize bps = (gsize) info->finfo->width / 8, size;
  GstAudioMeta *meta;

  if (!gst_buffer_map (buffer, map, flags))
    return cannot_be_mapped;
  frames->buffer = buffer;
  frames->channel = channel;
  frames->n_channels = (guint) info->channels;
  size = map->size;
  frames->n_frames = size / (gsize) info->bpf;
  if (info->layout == GST_AUDIO_LAYOUT_INTERLEAVED) {
    frames->stride = frames->n_channels;
    for (guint c = 0; c < frames->n_channels; c++)
      channel[c] = map->data + c * bps;
    return NULL;
  }
  frames->stride = 1;
  meta = gst_buffer_get_audio_meta (buffer);
  if (meta && meta->samples > frames->n_frames)
    return planes_reach_past;
  if (meta)
    frames->n_frames = meta->samples;
  for (guint c = 0; c < frames->n_channels; c++) {
    gsize at = meta ? meta->offsets[c] : c * frames->n_frames * bps;

    if (at > size || (size - at) / bps < frames->n_frames)
      return planes_reach_past;
    channel[c] = map->data + at;
  }
  return NULL;
}

static void
unmap_frames (Frames *frames, GstMapInfo *map)
{
  if (frames->buffer)
    gst_buffer_unmap (frames->buffer, map);
}

static void
skip_frames (Frames *frames, gsize n, gsize bps)
{
  for (guint c = 0; c < frames->n_channels; c++)
    frames->channel[c] =
        (guint8 *) frames->channel[c] + n * frames->stride * bps;
}

static SeqFormat
format_of (const GstAudioInfo *info)
{
  if (GST_AUDIO_INFO_IS_FLOAT (info))
    return GST_AUDIO_INFO_WIDTH (info) == 32 ? SEQ_FORMAT_F32 : SEQ_FORMAT_F64;
  return GST_AUDIO_INFO_WIDTH (info) == 16 ? SEQ_FORMAT_S16 : SEQ_FORMAT_S32;
}

static const char *
map_input (GstSeqFilter *self, Pass *pass, GstBuffer *buffer, GstMapFlags flags)
{
  const GstAudioInfo *info = GST_AUDIO_FILTER_INFO (self);
  const char *fault = map_frames (
      &pass->in, &pass->in_map, info, buffer, flags, pass->engine->in);

  pass->in_signal =
      (SeqSignal){ format_of (info), pass->in.channel, pass->in.stride };
  return fault;
}

/* Maps a buffer with room for each group of `emit`, side by side. */
static const char *
map_output (GstSeqFilter *self, Pass *pass, GstBuffer *buffer)
{
  const GstAudioInfo *info = &self->live.out_info;
  gpointer *channel = pass->engine->out;
  gsize n_frames = pass->in.n_frames;
  const char *fault;

  gst_buffer_set_size (buffer, (gssize) (n_frames * (gsize) info->bpf));
  if (info->layout == GST_AUDIO_LAYOUT_NON_INTERLEAVED)
    gst_buffer_add_audio_meta (buffer, info, n_frames, NULL);
  fault = map_frames (
      &pass->out, &pass->out_map, info, buffer, GST_MAP_WRITE, channel);
  for (guint i = 0; i < SEQ_N_OUTPUTS && !fault; i++)
    if (self->live.emit & 1u << i) {
      pass->out_signals[i] =
          (SeqSignal){ pass->in_signal.format, channel, pass->out.stride };
      pass->outputs[i] = &pass->out_signals[i];
      channel += i == SEQ_OUTPUT_PREDICTION ? self->live.n_outputs
                                            : pass->in.n_channels;
    }
  return fault;
}

/* --- curves of a controller ------------------------------------------------
 */

static void
take_curves (GstSeqFilter *self, Pass *pass)
{
  GstObject *object = GST_OBJECT (self);

  pass->mix_curve = gst_object_get_control_binding (object, "mix");
  for (guint i = 0; i < N_KNOB_PROPS; i++) {
    pass->knob_curves[i] = gst_object_get_control_binding (
        object, gst_seq_filter_props[PROP_PARAM1 + i]->name);
    pass->has_knob_curve |= pass->knob_curves[i] != NULL;
  }
}

static void
drop_curves (Pass *pass)
{
  g_clear_object (&pass->mix_curve);
  for (guint i = 0; i < N_KNOB_PROPS; i++)
    g_clear_object (&pass->knob_curves[i]);
}

/* The value of a curve, 0..1, at frame `at` of the buffer. */
static double
read_curve (GstSeqFilter *self, const Pass *pass, GstControlBinding *curve,
    gsize at, double fallback)
{
  double value;
  GstClockTime time = gst_segment_to_stream_time (
      &GST_BASE_TRANSFORM (self)->segment, GST_FORMAT_TIME,
      pass->pts
          + gst_util_uint64_scale_int (
              at, GST_SECOND, GST_AUDIO_FILTER_RATE (self)));

  if (!gst_control_binding_get_value_array (curve, time, GST_SECOND, 1, &value)
      || !isfinite (value))
    return fallback;
  return CLAMP (value, 0, 1);
}

/* Sets the model's knobs for the frames from `at` on. */
static void
turn_knobs (GstSeqFilter *self, const Pass *pass, gsize at)
{
  const BufferSettings *now = &self->live.now;
  SeqStream *stream = pass->engine->stream;
  guint n = seq_stream_n_knobs (stream);
  guint glide = MAX (1, (guint) gst_util_uint64_scale_int (
                            GLIDE, GST_AUDIO_FILTER_RATE (self), GST_SECOND));

  for (guint i = 0; i < n; i++) {
    GstControlBinding *curve = i < N_KNOB_PROPS ? pass->knob_curves[i] : NULL;
    double value = i < now->n_knobs ? now->knobs[i] : 0;

    if (curve)
      seq_stream_set_knob (
          stream, i, read_curve (self, pass, curve, at, value), 1);
    else
      seq_stream_set_knob (stream, i, value, glide);
  }
}

/* --- running ---------------------------------------------------------------
 */

/* Takes the hand-over's lock and the engine to run. */
static void
begin_pass (GstSeqFilter *self, Pass *pass, GstBuffer *buffer)
{
  Live *live = &self->live;
  GstClockTime pts = GST_BUFFER_PTS (buffer);
  gboolean hole = is_hole (self, pts);

  memset (pass, 0, G_STRUCT_OFFSET (Pass, in_map));
  pass->pts = pts;
  if (G_UNLIKELY (live->controlled) && GST_CLOCK_TIME_IS_VALID (pts)
      && GST_BASE_TRANSFORM_CAST (self)->segment.format == GST_FORMAT_TIME)
    take_curves (self, pass);
  if (!live->learning || GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_GAP))
    pass->flags |= SEQ_PROCESS_NO_LEARNING;
  if (hole) {
    GST_DEBUG_OBJECT (self,
        "the timestamp is %" GST_TIME_FORMAT "; expected %" GST_TIME_FORMAT
        ": the stream is rewound",
        GST_TIME_ARGS (pts), GST_TIME_ARGS (live->next_pts));
    if (live->now.post_messages)
      gst_seq_filter_post_rest (self);
  }
  g_mutex_lock (&live->handover->lock);
  pass->engine = seq_handover_adopt_pending (live->handover);
  if (hole)
    seq_stream_rewind (pass->engine->stream);
}

/* Time of a frame of the buffer. */
static GstClockTime
time_of (GstSeqFilter *self, const Pass *pass, gsize frame)
{
  return GST_CLOCK_TIME_IS_VALID (pass->pts)
             ? pass->pts
                   + gst_util_uint64_scale_int (
                       frame, GST_SECOND, GST_AUDIO_FILTER_RATE (self))
             : GST_CLOCK_TIME_NONE;
}

/* Runs frames from `from` on, n of them or fewer: up to the next message, and
 * in small steps along a curve. Returns how many. */
static gsize
run_some (GstSeqFilter *self, Pass *pass, gsize from, gsize n)
{
  gsize bps = (gsize) GST_AUDIO_FILTER_BPS (self);
  Live *live = &self->live;
  SeqEngine *engine = pass->engine;
  guint64 to_message = G_MAXUINT64;
  double mix = live->now.mix;

  if (live->now.post_messages) {
    to_message = gst_seq_filter_frames_to_message (self);
    n = MIN (n, to_message);
  }
  if (G_UNLIKELY (pass->has_knob_curve))
    n = 1;
  if (seq_stream_n_knobs (engine->stream) > 0)
    turn_knobs (self, pass, from);
  if (G_UNLIKELY (pass->mix_curve)) {
    n = MIN (n, MIX_BLOCK);
    mix = read_curve (self, pass, pass->mix_curve, from + n, mix);
  }
  seq_stream_process (engine->stream, &pass->in_signal, pass->outputs, n,
      pass->mix, mix, pass->flags);
  pass->mix = mix;
  skip_frames (&pass->in, n, bps);
  skip_frames (&pass->out, n, bps);

  if (live->n_measured == 0)
    live->measured_from = time_of (self, pass, from);
  live->n_measured += n;
  live->n_frames += n;
  if (n == to_message)
    pass->messages = g_list_prepend (
        pass->messages, gst_seq_filter_take_message (self, engine));
  return n;
}

/* Runs all frames of the buffer. */
static void
run_frames (GstSeqFilter *self, Pass *pass)
{
  Live *live = &self->live;
  gsize n_frames = pass->in.n_frames;

  pass->mix = live->mix;
  if (G_UNLIKELY (pass->mix_curve))
    pass->mix = read_curve (self, pass, pass->mix_curve, 0, live->now.mix);
  for (gsize from = 0; from < n_frames;)
    from += run_some (self, pass, from, n_frames - from);
  live->mix = pass->mix;
  if (GST_CLOCK_TIME_IS_VALID (pass->pts))
    live->next_pts = pass->pts;
  if (GST_CLOCK_TIME_IS_VALID (live->next_pts))
    live->next_pts += gst_util_uint64_scale_int (
        n_frames, GST_SECOND, GST_AUDIO_FILTER_RATE (self));
}

/* Gives all back that the pass took. fault: NULL, or why it could not run. */
static GstFlowReturn
end_pass (GstSeqFilter *self, Pass *pass, const char *fault)
{
  unmap_frames (&pass->out, &pass->out_map);
  unmap_frames (&pass->in, &pass->in_map);
  g_mutex_unlock (&self->live.handover->lock);
  drop_curves (pass);

  pass->messages = g_list_reverse (pass->messages);
  for (GList *l = pass->messages; l; l = l->next)
    gst_element_post_message (GST_ELEMENT (self), l->data);
  g_list_free (pass->messages);
  if (!fault)
    return GST_FLOW_OK;
  if (fault == cannot_be_mapped)
    GST_ELEMENT_ERROR (self, RESOURCE, FAILED, ("%s", fault), (NULL));
  else
    GST_ELEMENT_ERROR (self, STREAM, FORMAT, ("%s", fault),
        ("%" G_GSIZE_FORMAT " frames in %" G_GSIZE_FORMAT " bytes",
            pass->in.n_frames, pass->in_map.size));
  return GST_FLOW_ERROR;
}

/* The model listens; the buffer passes as it is. */
static GstFlowReturn
listen (GstSeqFilter *self, GstBuffer *buffer)
{
  Pass pass;
  const char *fault;

  begin_pass (self, &pass, buffer);
  fault = map_input (self, &pass, buffer, GST_MAP_READ);
  if (!fault)
    run_frames (self, &pass);
  return end_pass (self, &pass, fault);
}

/* One group is written where the input was. */
static GstFlowReturn
replace (GstSeqFilter *self, GstBuffer *buffer)
{
  Pass pass;
  const char *fault;

  begin_pass (self, &pass, buffer);
  fault = map_input (self, &pass, buffer, GST_MAP_READWRITE);
  pass.outputs[g_bit_nth_lsf (self->live.emit, -1)] = &pass.in_signal;
  if (!fault)
    run_frames (self, &pass);
  GST_BUFFER_FLAG_UNSET (buffer, GST_BUFFER_FLAG_GAP);
  return end_pass (self, &pass, fault);
}

static GstFlowReturn
transform_ip (GstBaseTransform *trans, GstBuffer *buffer)
{
  GstSeqFilter *self = (GstSeqFilter *) trans;

  return self->live.emit == 1 << SEQ_OUTPUT_INPUT ? listen (self, buffer)
                                                  : replace (self, buffer);
}

/* Groups of channels are written to a buffer of their own. */
static GstFlowReturn
transform (GstBaseTransform *trans, GstBuffer *inbuf, GstBuffer *outbuf)
{
  GstSeqFilter *self = (GstSeqFilter *) trans;
  Pass pass;
  const char *fault;

  begin_pass (self, &pass, inbuf);
  fault = map_input (self, &pass, inbuf, GST_MAP_READ);
  if (!fault)
    fault = map_output (self, &pass, outbuf);
  if (!fault)
    run_frames (self, &pass);
  GST_BUFFER_FLAG_UNSET (outbuf, GST_BUFFER_FLAG_GAP);
  return end_pass (self, &pass, fault);
}

void
gst_seq_filter_init_data (GstBaseTransformClass *klass)
{
  parent_class = g_type_class_peek_parent (klass);
  klass->submit_input_buffer = submit_input_buffer;
  klass->transform = transform;
  klass->transform_ip = transform_ip;
}
