/* filter-caps.c: caps, and what they say of the stream.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "plugin/filter.h"

static GstBaseTransformClass *parent_class;

/* --- channels --------------------------------------------------------------
 */

/* How channels become those of the other pad: k * from become k * to, for k
 * from 1 to max. */
typedef struct {
  gint64 from, to, max;
} Scale;

static gboolean
scale_number (gint64 n, const Scale *scale, gint64 *scaled)
{
  gint64 max = MIN (scale->max, G_MAXINT / scale->to);

  *scaled = n / scale->from * scale->to;
  return n % scale->from == 0 && n / scale->from <= max;
}

static gboolean
scale_range (const GValue *from, GValue *to, const Scale *scale)
{
  gint64 min = gst_value_get_int_range_min (from);
  gint64 max = gst_value_get_int_range_max (from);

  min = (min + scale->from - 1) / scale->from;
  max = MIN (max / scale->from, MIN (scale->max, G_MAXINT / scale->to));
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

/* Numbers of channels: one, a range or a list. FALSE: none is left. */
static gboolean
scale_channels (const GValue *from, GValue *to, const Scale *scale)
{
  gint64 scaled;

  if (G_VALUE_HOLDS_INT (from)) {
    if (!scale_number (g_value_get_int (from), scale, &scaled))
      return FALSE;
    g_value_init (to, G_TYPE_INT);
    g_value_set_int (to, (gint) scaled);
    return TRUE;
  }
  if (GST_VALUE_HOLDS_INT_RANGE (from))
    return scale_range (from, to, scale);
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

static guint
count_groups (guint emit)
{
  return MAX (1, (guint) __builtin_popcount (emit));
}

/* The ways from channels of one pad to those of the other; returns how many. */
static guint
find_scales (GstSeqFilter *self, GstPadDirection direction, Scale scales[2])
{
  gboolean predicts, joint;
  gint64 others; /* groups that have the channels of the input */
  SeqNeeds needs;
  guint n = 1;

  GST_OBJECT_LOCK (self);
  predicts = (self->settings.buffer.emit & EMIT_PREDICTION) != 0;
  others = count_groups (self->settings.buffer.emit) - predicts;
  needs = self->settings.needs;
  GST_OBJECT_UNLOCK (self);

  joint = needs.channel_mode == SEQ_CHANNELS_JOINT;
  if (needs.n_signal == 0)
    scales[0] = (Scale){ 1, others + predicts, G_MAXINT };
  else
    scales[0] = (Scale){ needs.n_signal,
      others * needs.n_signal + predicts * needs.n_out, joint ? 1 : G_MAXINT };
  if (joint && needs.n_in > needs.n_signal) /* knobs may come as channels */
    scales[n++] =
        (Scale){ needs.n_in, others * needs.n_in + predicts * needs.n_out, 1 };
  for (guint i = 0; i < n && direction == GST_PAD_SRC; i++)
    scales[i] = (Scale){ scales[i].to, scales[i].from, scales[i].max };
  return n;
}

/* --- the sample rate -------------------------------------------------------
 */

/* Hz that caps must have; 0: any. */
static guint
get_needed_rate (GstSeqFilter *self)
{
  guint rate;

  GST_OBJECT_LOCK (self);
  rate = self->settings.needs.rate;
  GST_OBJECT_UNLOCK (self);
  return rate;
}

static GstCaps *
caps_of_rate (guint rate)
{
  return gst_caps_new_simple (
      "audio/x-raw", "rate", G_TYPE_INT, (gint) rate, NULL);
}

gboolean
gst_seq_filter_can_have_rate (guint rate, gpointer self)
{
  g_autoptr (GstCaps) caps = caps_of_rate (rate);
  g_autoptr (GstCaps) possible =
      gst_pad_peer_query_caps (GST_BASE_TRANSFORM_SINK_PAD (self), caps);

  return !gst_caps_is_empty (possible);
}

/* --- negotiation -----------------------------------------------------------
 */

/* One structure with its channels scaled; NULL: it cannot be. */
static GstStructure *
transform_structure (const GstStructure *structure, GstPadDirection direction,
    const Scale *scale)
{
  GstStructure *s = gst_structure_copy (structure);
  const GValue *channels = gst_structure_get_value (s, "channels");
  GValue scaled = G_VALUE_INIT;
  gint fixed = 0;

  if (channels && !scale_channels (channels, &scaled, scale)) {
    gst_structure_free (s);
    return NULL;
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
  return s;
}

static GstCaps *
transform_caps (GstBaseTransform *trans, GstPadDirection direction,
    GstCaps *caps, GstCaps *filter)
{
  GstSeqFilter *self = GST_SEQ_FILTER (trans);
  g_autoptr (GstCaps) result = gst_caps_new_empty ();
  guint rate = get_needed_rate (self);
  Scale scales[2];
  guint n = find_scales (self, direction, scales);

  for (guint i = 0; i < gst_caps_get_size (caps); i++)
    for (guint k = 0; k < n; k++) {
      GstStructure *s = transform_structure (
          gst_caps_get_structure (caps, i), direction, &scales[k]);

      if (s)
        gst_caps_append_structure (result, s);
    }
  if (rate > 0) {
    g_autoptr (GstCaps) all = g_steal_pointer (&result);
    g_autoptr (GstCaps) of_rate = caps_of_rate (rate);

    result = gst_caps_intersect_full (all, of_rate, GST_CAPS_INTERSECT_FIRST);
  }
  return filter ? gst_caps_intersect_full (
             filter, result, GST_CAPS_INTERSECT_FIRST)
                : g_steal_pointer (&result);
}

/* Caps that the model cannot take are accepted here, and refused with a reason
 * when they come: see gst_seq_filter_check_caps() and set_caps(). */
static gboolean
accept_caps (GstBaseTransform *trans, GstPadDirection direction, GstCaps *caps)
{
  g_autoptr (GstCaps) template = NULL;

  if (direction == GST_PAD_SRC)
    return parent_class->accept_caps (trans, direction, caps);
  template = gst_pad_get_pad_template_caps (trans->sinkpad);
  return gst_caps_can_intersect (caps, template);
}

/* Whether the stream can have that; if not, `error` says it of the model. */
static gboolean
check_stream (GstSeqFilter *self, guint n_channels, guint rate, GError **error)
{
  g_autofree char *whose = NULL;
  SeqNeeds needs;

  GST_OBJECT_LOCK (self);
  needs = self->settings.needs;
  whose = g_strdup (self->settings.model.model_file);
  GST_OBJECT_UNLOCK (self);
  return seq_check_needs (
      &needs, whose && *whose ? whose : "the state", n_channels, rate, error);
}

/* A peer that asks for caps of another rate, and for those alone, gives up
 * without a word of why: say it for the peer, once. */
static void
warn_of_rate (GstSeqFilter *self, GstCaps *asked, GstCaps *possible)
{
  g_autoptr (GstCaps) template = NULL;
  g_autoptr (GError) error = NULL;
  gint rate = 0;
  gboolean says;

  if (!asked || !gst_caps_is_empty (possible) || gst_caps_is_empty (asked)
      || gst_caps_is_any (asked)
      || !gst_structure_get_int (
          gst_caps_get_structure (asked, 0), "rate", &rate))
    return;
  template = gst_pad_get_pad_template_caps (GST_BASE_TRANSFORM_SINK_PAD (self));
  if (!gst_caps_can_intersect (asked, template)
      || check_stream (self, 0, (guint) rate, &error))
    return;
  GST_OBJECT_LOCK (self);
  says = self->settings.said_rate != rate;
  self->settings.said_rate = rate;
  GST_OBJECT_UNLOCK (self);
  if (says)
    gst_seq_post_error (GST_ELEMENT (self), GST_MESSAGE_WARNING, error, NULL);
}

static gboolean
query (GstBaseTransform *trans, GstPadDirection direction, GstQuery *query)
{
  GstSeqFilter *self = GST_SEQ_FILTER (trans);
  gboolean done = parent_class->query (trans, direction, query);
  GstCaps *asked, *possible;

  if (!done || direction != GST_PAD_SINK
      || GST_QUERY_TYPE (query) != GST_QUERY_CAPS
      || get_needed_rate (self) == 0)
    return done;
  gst_query_parse_caps (query, &asked);
  gst_query_parse_caps_result (query, &possible);
  if (asked && possible)
    warn_of_rate (self, asked, possible);
  return done;
}

gboolean
gst_seq_filter_check_caps (GstSeqFilter *self, GstCaps *caps)
{
  const GstStructure *s = gst_caps_get_structure (caps, 0);
  gint rate = 0, channels = 0;
  g_autoptr (GError) error = NULL;

  gst_structure_get_int (s, "rate", &rate);
  gst_structure_get_int (s, "channels", &channels);
  if (channels > 2 && !gst_structure_has_field (s, "channel-mask")) {
    GST_ELEMENT_ERROR (self, STREAM, FORMAT,
        ("the caps have %d channels and no channel-mask; expected one: "
         "channel-mask=(bitmask)0 for channels that are not speakers",
            channels),
        (NULL));
    return FALSE;
  }
  if (check_stream (self, (guint) channels, (guint) rate, &error))
    return TRUE;
  gst_seq_post_error (GST_ELEMENT (self), GST_MESSAGE_ERROR, error, NULL);
  return FALSE;
}

/* --- new caps --------------------------------------------------------------
 */

/* What caps ask for, before anything changes. */
typedef struct {
  GstAudioInfo in, out;
  SeqPlan *plan; /* NULL: the stream goes on */
  guint n_outputs;
  guint emit; /* of so many channels; 0: none is */
} NewCaps;

static guint
count_channels (guint emit, const GstAudioInfo *in, guint n_outputs)
{
  guint predicts = (emit & EMIT_PREDICTION) != 0;

  return (count_groups (emit) - predicts) * (guint) GST_AUDIO_INFO_CHANNELS (in)
         + predicts * n_outputs;
}

/* `emit` may have changed since the caps were agreed on: until they are again,
 * anything of that many channels. */
static guint
find_emit (const NewCaps *caps, guint wanted)
{
  guint n_out = (guint) GST_AUDIO_INFO_CHANNELS (&caps->out);

  if (wanted && count_channels (wanted, &caps->in, caps->n_outputs) == n_out)
    return wanted;
  if (caps->n_outputs == n_out)
    return EMIT_PREDICTION;
  for (guint emit = 1; emit < 1 << SEQ_N_OUTPUTS; emit++)
    if (count_channels (emit, &caps->in, caps->n_outputs) == n_out)
      return emit;
  return 0;
}

static void
use_emit (GstSeqFilter *self, guint emit)
{
  GstBaseTransform *trans = GST_BASE_TRANSFORM (self);
  gint n_out = GST_AUDIO_INFO_CHANNELS (&self->live.out_info);

  if (emit != self->live.emit) {
    self->live.emit = emit;
    gst_seq_filter_push_names (self);
  }
  gst_base_transform_set_passthrough (trans, emit == 1 << SEQ_OUTPUT_INPUT);
  gst_base_transform_set_in_place (trans,
      count_groups (emit) == 1 && n_out == GST_AUDIO_FILTER_CHANNELS (self));
}

gboolean
gst_seq_filter_follow_emit (GstSeqFilter *self, guint emit)
{
  guint n_out = (guint) GST_AUDIO_INFO_CHANNELS (&self->live.out_info);

  if (!emit
      || n_out
             != count_channels (
                 emit, GST_AUDIO_FILTER_INFO (self), self->live.n_outputs))
    return FALSE;
  use_emit (self, emit);
  return TRUE;
}

/* Finds out all that new caps lead to, and changes nothing. The build lock is
 * held. */
static gboolean
plan_caps (GstSeqFilter *self, NewCaps *caps, guint emit, GError **error)
{
  SeqHost *host = self->build.host;

  caps->n_outputs = seq_host_n_outputs (host);
  if (seq_host_n_channels (host) == 0 || seq_host_awaits_stream (host)
      || !gst_audio_info_is_equal (GST_AUDIO_FILTER_INFO (self), &caps->in)) {
    caps->plan =
        seq_host_plan_stream (host, (guint) GST_AUDIO_INFO_CHANNELS (&caps->in),
            (guint) GST_AUDIO_INFO_RATE (&caps->in), error);
    if (!caps->plan)
      return FALSE;
    caps->n_outputs = seq_plan_n_outputs (caps->plan);
  }
  caps->emit = find_emit (caps, emit);
  return TRUE;
}

/* New caps. If they are refused, all is as it was. */
static gboolean
set_caps (GstBaseTransform *trans, GstCaps *in, GstCaps *out)
{
  GstSeqFilter *self = GST_SEQ_FILTER (trans);
  Live *live = &self->live;
  NewCaps caps = { .plan = NULL };
  GstMessage *rest = NULL;
  g_autoptr (GError) error = NULL;
  gboolean post, new_stream;
  guint emit;

  if (!gst_audio_info_from_caps (&caps.in, in)
      || !gst_audio_info_from_caps (&caps.out, out))
    return FALSE;
  GST_OBJECT_LOCK (self);
  emit = self->settings.buffer.emit;
  post = self->settings.buffer.post_messages;
  GST_OBJECT_UNLOCK (self);

  g_mutex_lock (&self->build.lock);
  if (plan_caps (self, &caps, emit, &error) && post)
    rest = gst_seq_filter_take_rest (self);
  new_stream = seq_host_carry_out (self->build.host, caps.plan);
  g_mutex_unlock (&self->build.lock);
  if (error) {
    gst_seq_post_error (GST_ELEMENT (self), GST_MESSAGE_ERROR, error, NULL);
    return FALSE;
  }
  if (rest)
    gst_element_post_message (GST_ELEMENT (self), rest);

  parent_class->set_caps (trans, in, out); /* keeps the info */
  live->out_info = caps.out;
  live->n_outputs = caps.n_outputs;
  use_emit (self, caps.emit);
  if (caps.emit == 0) /* the model is another since the caps were agreed on */
    gst_base_transform_reconfigure_src (trans);
  if (new_stream) {
    gst_seq_filter_warn_of_model (self);
    g_free (live->part);
    live->part = g_malloc (GST_AUDIO_INFO_BPF (&caps.in));
    live->n_measured = 0;
    gst_seq_filter_forget_position (self);
  }
  return TRUE;
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

void
gst_seq_filter_init_caps (GstBaseTransformClass *klass)
{
  parent_class = g_type_class_peek_parent (klass);
  klass->transform_caps = transform_caps;
  klass->accept_caps = accept_caps;
  klass->query = query;
  klass->set_caps = set_caps;
  klass->transform_size = transform_size;
}
