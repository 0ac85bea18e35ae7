/* gstseqfilter.c: the element seqfilter: a sequence model in a pipeline.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The streaming thread copies Settings once a buffer, locks the slot that
 * holds the stream, and runs. Whatever shapes the model is built by the thread
 * that asks for it, under the build lock, and handed over (engine.h).
 *
 * Locks are taken in the order build, slot, object. Messages are posted
 * outside all of them.
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

#include "plugin/gstseqfilter.h"

#include <math.h>
#include <string.h>

#include "plugin/engine.h"
#include "plugin/modelfile.h"
#include "src/cpu.h"
#include "src/io/load.h"
#include "src/snapshot.h"

GST_DEBUG_CATEGORY_STATIC (gst_seq_filter_debug);
#define GST_CAT_DEFAULT gst_seq_filter_debug

#define HOLE (40 * GST_MSECOND)  /* timestamps may jitter by this */
#define MIX_BLOCK 64             /* frames between points of a mix curve */
#define FADE (10 * GST_MSECOND)  /* from one model file to the next */
#define GLIDE (20 * GST_MSECOND) /* of a knob to its new value */
#define MAX_PARAMS 64            /* values of `params` */
#define N_KNOBS 4                /* param1 ... */
#define WRONG_RATE                                                             \
  "%s is for %d Hz, the stream has %d: put audioresample before the "          \
  "element, or set rate-mode=ignore"
#define NOTHING_LEAVES                                                         \
  "emit is empty; at least one of input, prediction, residual, score "         \
  "must leave"

/* --- enumerations --------------------------------------------------------- */

typedef enum { NAIVE, AR, MARKOV, RNN, LSTM, GRU } GstSeqFilterModel;

/* The first nick of a value is the core's name of the kind. */
static const GEnumValue models[] = {
  { NAIVE, "Nearest neighbours in everything heard so far", "naive" },
  { AR, "Linear in the last samples (recursive least squares)", "ar" },
  { MARKOV, "Transitions between quantised levels", "markov" },
  { RNN, "Elman's recurrent network", "rnn" },
  { LSTM, "Long short-term memory", "lstm" },
  { GRU, "Gated recurrent unit", "gru" },
  { AR, "The same as ar", "autoregressive" },
  { RNN, "The same as rnn", "elman" },
  { 0, NULL, NULL },
};

typedef enum {
  LEARN_AUTO,
  LEARN_OFF,
  LEARN_GRADIENT,
  LEARN_READOUT,
  LEARN_BOTH,
  LEARN_ON
} Learn;

static const GEnumValue learns[] = {
  { LEARN_AUTO, "On, but off for a model from a file", "auto" },
  { LEARN_OFF, "Nothing is learnt; what was learnt stays", "off" },
  { LEARN_GRADIENT, "Truncated back-propagation through time", "gradient" },
  { LEARN_READOUT, "The read-out alone, by recursive least squares",
      "readout" },
  { LEARN_BOTH,
      "The read-out by recursive least squares, the layers before it by "
      "gradient",
      "both" },
  { LEARN_ON, "What measured best for the model", "on" },
  { 0, NULL, NULL },
};

typedef enum { SWITCH_AUTO, SWITCH_OFF, SWITCH_ON } Switch;

static const GEnumValue switches[] = {
  { SWITCH_AUTO, "What measured best for the model", "auto" },
  { SWITCH_OFF, "Off", "off" },
  { SWITCH_ON, "On", "on" },
  { 0, NULL, NULL },
};

static const GEnumValue channel_modes[] = {
  { SEQ_CHANNELS_AUTO, "Joint if the model was made for so many channels",
      "auto" },
  { SEQ_CHANNELS_INDEPENDENT, "Each channel has a state of its own",
      "independent" },
  { SEQ_CHANNELS_JOINT, "All channels are one input vector", "joint" },
  { 0, NULL, NULL },
};

typedef enum { RATE_MODEL, RATE_IGNORE } RateMode;

static const GEnumValue rate_modes[] = {
  { RATE_MODEL, "The stream has the rate that the model was made for",
      "model" },
  { RATE_IGNORE, "The model runs at any rate", "ignore" },
  { 0, NULL, NULL },
};

static const GFlagsValue emits[] = {
  { 1 << SEQ_OUTPUT_INPUT, "The input, bit for bit", "input" },
  { 1 << SEQ_OUTPUT_PREDICTION, "What the model forecasts", "prediction" },
  { 1 << SEQ_OUTPUT_RESIDUAL, "The input less the forecast made for it",
      "residual" },
  { 1 << SEQ_OUTPUT_SCORE,
      "Surprise: the residual's size over its running RMS, or for markov "
      "-log2 of the probability of what came (integer formats: / 256)",
      "score" },
  { 0, NULL, NULL },
};

static GType
enum_type (const char *name, const GEnumValue *values)
{
  GType type = g_enum_register_static (name, values);

  gst_type_mark_as_plugin_api (type, 0);
  return type;
}

static GType
emit_type (void)
{
  GType type = g_flags_register_static ("GstSeqFilterEmit", emits);

  gst_type_mark_as_plugin_api (type, 0);
  return type;
}

/* --- the element ---------------------------------------------------------- */

enum {
  PROP_0,
  PROP_MODEL,
  PROP_MODEL_FILE,
  PROP_MODEL_OPTIONS,
  PROP_RATE_MODE,
  PROP_PARAMS,
  PROP_PARAM1,
  PROP_HIDDEN_SIZE = PROP_PARAM1 + N_KNOBS,
  PROP_LAYERS,
  PROP_ORDER,
  PROP_LAGS,
  PROP_STATES,
  PROP_HISTORY,
  PROP_HORIZON,
  PROP_LEARN,
  PROP_LEARNING_RATE,
  PROP_WINDOW,
  PROP_FORGETTING,
  PROP_SEED,
  PROP_RESIDUAL_CONNECTION,
  PROP_CHANNEL_MODE,
  PROP_EMIT,
  PROP_POST_MESSAGES,
  PROP_INTERVAL,
  PROP_MIX,
  PROP_STATE,
  PROP_STATE_FILE,
  PROP_STATS,
  N_PROPS
};
static GParamSpec *props[N_PROPS];

enum { SIGNAL_RESET, SIGNAL_SAVE, SIGNAL_SAVE_MODEL, N_SIGNALS };
static guint signals[N_SIGNALS];

/* What the streaming thread reads. */
typedef struct {
  guint emit; /* flags, 1 << SeqOutput */
  gboolean learning;
  gboolean post_messages;
  GstClockTime interval;
  double mix;
} Settings;

/* What streams are built from. 0: the model's own default. */
typedef struct {
  guint model, hidden_size, layers, order, states, history, horizon, window;
  guint learner; /* Learn, but never off */
  guint residual, channel_mode;
  GVariant *lags; /* au, or NULL */
  double learning_rate, forgetting;
  guint64 seed;
} Shape;

static const Settings default_settings = {
  .emit = 1 << SEQ_OUTPUT_PREDICTION,
  .learning = TRUE,
  .interval = 100 * GST_MSECOND,
  .mix = 1,
};

static const Shape default_shape = {
  .model = LSTM,
  .hidden_size = 20,
  .layers = 1,
  .horizon = 1,
  .window = 64,
  .learning_rate = 3e-3,
};

/* What of a shape the layers read, by the core's name. */
static const struct {
  const char *key;
  guint id;
  gsize offset;
  gboolean is_double;
} options[] = {
  { "hidden_size", PROP_HIDDEN_SIZE, G_STRUCT_OFFSET (Shape, hidden_size) },
  { "order", PROP_ORDER, G_STRUCT_OFFSET (Shape, order) },
  { "states", PROP_STATES, G_STRUCT_OFFSET (Shape, states) },
  { "history", PROP_HISTORY, G_STRUCT_OFFSET (Shape, history) },
  { "horizon", PROP_HORIZON, G_STRUCT_OFFSET (Shape, horizon) },
  { "forgetting", PROP_FORGETTING, G_STRUCT_OFFSET (Shape, forgetting), TRUE },
};

#define BIT(id) ((guint64) 1 << (id))

/* What caps depend on. */
typedef struct {
  guint n_signal, n_in, n_out; /* of the model; 0: as the stream */
  gint rate;                   /* Hz; 0: any */
} Layout;

/* What a setter found changed. */
enum { STALE_STREAM = 1 << 0, STALE_MODEL = 1 << 1, STALE_FILE = 1 << 2 };

struct _GstSeqFilter {
  GstAudioFilter parent;

  /* under the object lock */
  Settings settings;
  Shape shape;
  guint stale;
  gboolean shaped; /* the user has said what the model is to be */
  guint64 said;    /* BIT (id) of the properties that said it */
  char *model_file, *state_file;
  guint file_serial; /* how often model-file was set */
  GstStructure *model_options;
  guint rate_mode;
  double params[MAX_PARAMS];
  guint n_params; /* that were ever set */
  /* of the model from a file, or from a state */
  Shape held;
  guint64 holds; /* BIT (id) of what it says */
  Layout layout;

  GMutex build_lock; /* control threads take turns; guards: */
  GstAudioInfo info; /* of the streams that are built; invalid: none yet */
  gboolean started;
  GstSeqModelFile *file; /* in use, or NULL */
  guint n_outputs;       /* channels of a prediction, with the caps in force;
                          * the streaming thread writes it */
  SeqModel *model;       /* one that came with a state; NULL: from the file, or
                          * the shape */
  gboolean caps_wait;    /* the model is not for the caps that there are */
  guint64 n_failures;    /* files that did not load while data flowed */
  SeqStream *restored;   /* waits for caps */
  GError *refused;       /* a state that was set and is none */
  gboolean has_learner;  /* streams are built able to learn */

  GstSeqSlot slot;

  /* streaming thread */
  Settings now; /* the settings of this buffer */
  double now_params[MAX_PARAMS];
  guint n_now_params;
  gboolean controlled; /* some property has a control binding */
  GstAudioInfo out_info;
  guint emit; /* of the caps in force */
  double mix; /* at the end of the last buffer */
  GstClockTime next_pts;
  guint8 *part; /* bytes of a frame that isn't whole yet */
  gsize n_part;
  /* the stretch that the next message is about */
  guint64 n_frames, n_measured;
  GstClockTime measured_from;
};

/* A preset is settings: not who the element is, nor what it has learnt. */
static char **
get_property_names (GstPreset *preset)
{
  GstSeqFilter *self = GST_SEQ_FILTER (preset);
  GPtrArray *names = g_ptr_array_new ();
  gboolean has_options;

  GST_OBJECT_LOCK (self);
  has_options = self->model_options != NULL;
  GST_OBJECT_UNLOCK (self);
  for (guint i = PROP_0 + 1; i < N_PROPS; i++)
    if (i != PROP_STATE && i != PROP_STATE_FILE && i != PROP_STATS
        && !(i >= PROP_PARAM1 && i < PROP_PARAM1 + N_KNOBS) /* see params */
        && !(i == PROP_MODEL_OPTIONS && !has_options))
      g_ptr_array_add (names, g_strdup (props[i]->name));
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

/* --- building (control threads; the build lock is held) ------------------- */

static gboolean
is_net (guint model)
{
  return model >= RNN;
}

static void
get_lags (const Shape *shape, GValue *value)
{
  gsize n = 0;
  const guint32 *lags = shape->lags ? g_variant_get_fixed_array (
                            shape->lags, &n, sizeof (guint32))
                                    : NULL;
  GValue lag = G_VALUE_INIT;

  for (gsize i = 0; i < n; i++) {
    g_value_init (&lag, G_TYPE_INT);
    g_value_set_int (&lag, (gint) lags[i]);
    gst_value_array_append_and_take_value (value, &lag);
    lag = (GValue) G_VALUE_INIT;
  }
}

/* The member that a plain number of the shape lives in, and what goes stale
 * with it; NULL for other properties. */
static gpointer
shape_member (Shape *shape, guint id, guint *stale)
{
  *stale = STALE_STREAM | STALE_MODEL;
  switch (id) {
    case PROP_MODEL:
      return &shape->model;
    case PROP_HIDDEN_SIZE:
      return &shape->hidden_size;
    case PROP_LAYERS:
      return &shape->layers;
    case PROP_ORDER:
      return &shape->order;
    case PROP_STATES:
      return &shape->states;
    case PROP_HISTORY:
      return &shape->history;
    case PROP_HORIZON:
      return &shape->horizon;
    case PROP_FORGETTING:
      return &shape->forgetting;
    case PROP_SEED:
      return &shape->seed;
    case PROP_RESIDUAL_CONNECTION:
      return &shape->residual;
    case PROP_CHANNEL_MODE:
      return &shape->channel_mode;
    case PROP_WINDOW:
      *stale = STALE_STREAM;
      return &shape->window;
    case PROP_LEARNING_RATE:
      *stale = STALE_STREAM;
      return &shape->learning_rate;
    default:
      *stale = 0;
      return NULL;
  }
}

static void
get_number (gconstpointer number, GValue *value)
{
  if (G_VALUE_HOLDS_DOUBLE (value))
    g_value_set_double (value, *(const double *) number);
  else if (G_VALUE_HOLDS_UINT64 (value))
    g_value_set_uint64 (value, *(const guint64 *) number);
  else if (G_VALUE_HOLDS_ENUM (value))
    g_value_set_enum (value, (gint) * (const guint *) number);
  else
    g_value_set_uint (value, *(const guint *) number);
}

/* The value that a property of the shape has in it. */
static void
get_shape (Shape *shape, guint id, GValue *value)
{
  guint stale;

  if (id == PROP_LAGS)
    get_lags (shape, value);
  else
    get_number (shape_member (shape, id, &stale), value);
}

/* 0, auto and no lags leave it to the model. */
static gboolean
is_nothing (const GValue *value)
{
  return G_VALUE_HOLDS_UINT (value)      ? g_value_get_uint (value) == 0
         : G_VALUE_HOLDS_ENUM (value)    ? g_value_get_enum (value) == 0
         : G_VALUE_HOLDS_DOUBLE (value)  ? g_value_get_double (value) == 0
         : GST_VALUE_HOLDS_ARRAY (value) ? gst_value_array_get_size (value) == 0
                                         : FALSE;
}

/* What auto means: of the ways of a net, the one that gains most on speech
 * (the bench `learning`); the other models have one way. */
static SeqLearn
resolve_learner (const Shape *shape)
{
  if (!is_net (shape->model) || shape->learner == LEARN_GRADIENT)
    return SEQ_LEARN_GRADIENT;
  return shape->learner == LEARN_READOUT ? SEQ_LEARN_READOUT : SEQ_LEARN_BOTH;
}

static SeqModel *
model_new (const Shape *shape, guint n_channels, GError **error)
{
  GVariantDict dict;
  guint n_signal = shape->channel_mode == SEQ_CHANNELS_JOINT ? n_channels : 1;

  g_variant_dict_init (&dict, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (options); i++) {
    gpointer at = G_STRUCT_MEMBER_P (shape, options[i].offset);

    if (options[i].is_double && *(double *) at != 0)
      g_variant_dict_insert (&dict, options[i].key, "d", *(double *) at);
    else if (!options[i].is_double && *(guint *) at != 0)
      g_variant_dict_insert (&dict, options[i].key, "u", *(guint *) at);
  }
  if (shape->lags)
    g_variant_dict_insert_value (&dict, "lags", shape->lags);
  return seq_model_new_untrained (models[shape->model].value_nick,
      g_variant_dict_end (&dict), n_signal, shape->layers,
      resolve_learner (shape) != SEQ_LEARN_GRADIENT,
      shape->residual != SWITCH_OFF, shape->seed, error);
}

static void
copy_settings (GstSeqFilter *self, Settings *settings, Shape *shape)
{
  GST_OBJECT_LOCK (self);
  *settings = self->settings;
  *shape = self->shape;
  if (shape->lags)
    g_variant_ref (shape->lags);
  GST_OBJECT_UNLOCK (self);
}

static gboolean
read_number (GVariant *dict, const char *key, double *number)
{
  g_autoptr (GVariant) value = g_variant_lookup_value (dict, key, NULL);

  if (!value)
    return FALSE;
  if (g_variant_is_of_type (value, G_VARIANT_TYPE_UINT32))
    *number = g_variant_get_uint32 (value);
  else if (g_variant_is_of_type (value, G_VARIANT_TYPE_INT32))
    *number = g_variant_get_int32 (value);
  else if (g_variant_is_of_type (value, G_VARIANT_TYPE_DOUBLE))
    *number = g_variant_get_double (value);
  else
    return FALSE;
  return TRUE;
}

/* Writes what a model says of itself into shape (whose lags are owned), and
 * returns BIT (id) of the properties that it speaks of. */
static guint64
describe (const SeqModel *model, Shape *shape)
{
  const SeqChain *chain = model->chain;
  const SeqLayer *first = NULL;
  guint64 holds = 0;

  shape->horizon = model->horizon;
  holds |= model->horizon > 0 ? BIT (PROP_HORIZON) : 0;
  for (guint l = 0; l < chain->n_layers && !first; l++)
    for (guint i = 0; models[i].value_name; i++)
      if (g_str_equal (models[i].value_nick, chain->layers[l]->klass->name)) {
        first = chain->layers[l];
        shape->model = (guint) models[i].value;
        holds |= BIT (PROP_MODEL);
      }
  if (!first)
    return holds; /* dense layers, convolutions */
  shape->layers = is_net (shape->model) ? 0 : 1;
  for (guint l = 0; l < chain->n_layers; l++)
    for (guint i = 0; models[i].value_name; i++)
      shape->layers +=
          is_net ((guint) models[i].value)
          && g_str_equal (models[i].value_nick, chain->layers[l]->klass->name);
  shape->residual = chain->residual ? SWITCH_ON : SWITCH_OFF;
  if (is_net (shape->model))
    holds |= BIT (PROP_LAYERS) | BIT (PROP_RESIDUAL_CONNECTION);
  for (guint i = 0; i < G_N_ELEMENTS (options); i++) {
    gpointer at = G_STRUCT_MEMBER_P (shape, options[i].offset);
    double number;

    if (!read_number (first->config, options[i].key, &number))
      continue;
    holds |= BIT (options[i].id);
    if (options[i].is_double)
      *(double *) at = number;
    else
      *(guint *) at = (guint) number;
  }
  g_clear_pointer (&shape->lags, g_variant_unref);
  shape->lags =
      g_variant_lookup_value (first->config, "lags", G_VARIANT_TYPE ("au"));
  if (shape->lags)
    holds |= BIT (PROP_LAGS);
  return holds;
}

/* Properties that were set must say what the file says, where it says it. */
static gboolean
check_said (GstSeqFilter *self, const GstSeqModelFile *file, GError **error)
{
  Shape held = { 0 };
  guint64 both = describe (file->model, &held);
  gboolean agree = TRUE;

  GST_OBJECT_LOCK (self);
  both &= self->said;
  for (guint id = PROP_0 + 1; agree && id < N_PROPS; id++) {
    g_auto (GValue) a = G_VALUE_INIT, b = G_VALUE_INIT;
    g_autofree char *said = NULL, *holds = NULL;

    if (!(both & BIT (id)))
      continue;
    g_value_init (&a, props[id]->value_type);
    g_value_init (&b, props[id]->value_type);
    get_shape (&self->shape, id, &a);
    get_shape (&held, id, &b);
    if (gst_value_compare (&a, &b) == GST_VALUE_EQUAL
        || (id != PROP_MODEL && is_nothing (&a)))
      continue;
    agree = FALSE;
    said = gst_value_serialize (&a);
    holds = gst_value_serialize (&b);
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "%s is set to %s, but %s holds %s", props[id]->name, said, file->path,
        holds);
  }
  GST_OBJECT_UNLOCK (self);
  g_clear_pointer (&held.lags, g_variant_unref);
  return agree;
}

/* How a model from a file learns; auto: not at all. */
static SeqLearn
resolve_file_learner (const Shape *shape, const SeqModel *model)
{
  const SeqChain *chain = model->chain;
  const SeqLayer *last = chain->layers[chain->n_layers - 1];

  switch (shape->learner) {
    case LEARN_AUTO:
      return SEQ_LEARN_OFF;
    case LEARN_GRADIENT:
      return SEQ_LEARN_GRADIENT;
    case LEARN_READOUT:
      return SEQ_LEARN_READOUT;
    case LEARN_BOTH:
      return SEQ_LEARN_BOTH;
    default:
      return g_str_equal (last->klass->name, "dense") ? SEQ_LEARN_BOTH
                                                      : SEQ_LEARN_GRADIENT;
  }
}

/* The file's model, made able to learn in that way. */
static SeqModel *
learning_model (const GstSeqModelFile *file, const Shape *shape,
    SeqLearn *learn, guint horizon, GError **error)
{
  SeqModel *model = file->model;
  GVariantDict dict;

  if (*learn != SEQ_LEARN_OFF && horizon == 0) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "%s holds an effect (horizon 0), which can't learn from the stream "
        "alone: leave learn at auto, or set horizon if it does forecast",
        file->path);
    return NULL;
  }
  if (seq_chain_learns (model->chain) && *learn != SEQ_LEARN_OFF)
    *learn = SEQ_LEARN_GRADIENT; /* it has a way of its own */
  if (*learn != SEQ_LEARN_READOUT && *learn != SEQ_LEARN_BOTH)
    return seq_model_ref (model);
  g_variant_dict_init (&dict, NULL);
  g_variant_dict_insert (&dict, "horizon", "u", horizon);
  if (shape->forgetting != 0)
    g_variant_dict_insert (&dict, "forgetting", "d", shape->forgetting);
  return seq_model_with_readout (model, g_variant_dict_end (&dict), error);
}

/* The model that there is to be, and how it is to run. file: or NULL. */
static SeqModel *
choose_model (GstSeqFilter *self, const GstSeqModelFile *file, guint n_channels,
    SeqStreamConfig *config, GError **error)
{
  Settings settings;
  Shape shape;
  gboolean said_horizon;
  SeqModel *model = NULL;

  copy_settings (self, &settings, &shape);
  GST_OBJECT_LOCK (self);
  said_horizon = (self->said & BIT (PROP_HORIZON)) && shape.horizon > 0;
  GST_OBJECT_UNLOCK (self);
  if (self->model)
    file = NULL;
  *config = (SeqStreamConfig){
    .learn = file ? resolve_file_learner (&shape, file->model)
                  : resolve_learner (&shape),
    .learning_rate = shape.learning_rate,
    .window = shape.window,
    .horizon = shape.horizon,
    .channel_mode = shape.channel_mode,
  };
  if (!self->has_learner && !settings.learning)
    config->learn = SEQ_LEARN_OFF;
  if (file && (file->model->horizon > 0 || !said_horizon))
    config->horizon = file->model->horizon;

  if (self->model)
    model = seq_model_ref (self->model);
  else if (!file && shape.horizon == 0)
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "horizon is 0, which is for a model file that is an effect: it must "
        "be 1 or more where the model learns from the stream");
  else if (!file)
    model = model_new (&shape, n_channels, error);
  else if (check_said (self, file, error))
    model =
        learning_model (file, &shape, &config->learn, config->horizon, error);
  g_clear_pointer (&shape.lags, g_variant_unref);
  return model;
}

/* An engine for self->info. */
static GstSeqEngine *
build (GstSeqFilter *self, const GstSeqModelFile *file, GError **error)
{
  guint n_channels = GST_AUDIO_INFO_CHANNELS (&self->info);
  SeqStreamConfig config;
  g_autoptr (SeqModel) model =
      choose_model (self, file, n_channels, &config, error);
  g_autoptr (SeqStream) stream =
      model ? seq_stream_new (model, n_channels, &config, error) : NULL;

  if (!stream) {
    if (model && file)
      g_prefix_error (error, "%s: ", file->path);
    return NULL;
  }
  self->has_learner |= config.learn != SEQ_LEARN_OFF;
  if (self->restored) {
    if (!seq_stream_adopt (stream, self->restored)) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE,
          "what was saved is of %s on %u channels, and does not fit %s on %u "
          "with the settings there are; set the properties as they were, or "
          "set another state or state-file",
          seq_stream_model (self->restored)->chain->layers[0]->klass->name,
          seq_stream_n_channels (self->restored),
          model->chain->layers[0]->klass->name, n_channels);
      return NULL;
    }
    g_clear_pointer (&self->restored, seq_stream_free);
  }
  return gst_seq_engine_new (g_steal_pointer (&stream));
}

/* Whether there is a model at all, before caps are known. */
static gboolean
check_model (GstSeqFilter *self, GError **error)
{
  SeqStreamConfig config;
  g_autoptr (SeqModel) model =
      choose_model (self, self->file, 1, &config, error);
  guint emit;

  GST_OBJECT_LOCK (self);
  emit = self->settings.emit;
  GST_OBJECT_UNLOCK (self);
  if (model && !emit) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG, NOTHING_LEAVES);
    return FALSE;
  }
  return model != NULL;
}

/* Properties and caps speak of the model that is in use: one from a file, or,
 * as far as caps go, from a state. */
static void
follow_model (GstSeqFilter *self)
{
  const SeqModel *model = self->model;
  Shape held = default_shape;
  guint64 holds = 0;
  Layout layout = { 0 };

  if (!model && self->file) {
    model = self->file->model;
    holds = describe (model, &held) | BIT (PROP_HORIZON);
    layout.rate = (gint) rint (model->rate);
  }
  if (model) {
    layout.n_signal = model->n_signal;
    layout.n_in = model->chain->n_in;
    layout.n_out = model->chain->n_out;
  }
  GST_OBJECT_LOCK (self);
  g_clear_pointer (&self->held.lags, g_variant_unref);
  self->held = held;
  self->holds = holds;
  self->layout = layout;
  GST_OBJECT_UNLOCK (self);
}

/* Hz that caps must have; 0: any. */
static gint
needed_rate (GstSeqFilter *self)
{
  gint rate;

  GST_OBJECT_LOCK (self);
  rate = self->rate_mode == RATE_MODEL ? self->layout.rate : 0;
  GST_OBJECT_UNLOCK (self);
  return rate;
}

/* Whether what is upstream could give that rate. */
static gboolean
rate_can_be (GstSeqFilter *self, gint rate)
{
  g_autoptr (GstCaps) caps =
      gst_caps_new_simple ("audio/x-raw", "rate", G_TYPE_INT, rate, NULL);
  g_autoptr (GstCaps) there =
      gst_pad_peer_query_caps (GST_BASE_TRANSFORM_SINK_PAD (self), caps);

  return !gst_caps_is_empty (there);
}

/* The file that the properties name; NULL without an error: none. serial: of
 * its setting. Not under the build lock: reading takes its time. */
static GstSeqModelFile *
open_file (GstSeqFilter *self, guint *serial, GError **error)
{
  g_autofree char *path = NULL;
  g_autoptr (GstStructure) given = NULL;

  GST_OBJECT_LOCK (self);
  *serial = self->file_serial;
  path = g_strdup (self->model_file);
  if (self->model_options)
    given = gst_structure_copy (self->model_options);
  GST_OBJECT_UNLOCK (self);
  return path && *path ? gst_seq_model_file_open (path, given, error) : NULL;
}

/* Offers what was built, if it is for the caps that there are; or else they
 * change first, and setup() builds. */
static void
offer (GstSeqFilter *self, GstSeqEngine *engine)
{
  gint rate = needed_rate (self);

  self->caps_wait = (rate != 0 && rate != GST_AUDIO_INFO_RATE (&self->info))
                    || seq_stream_n_outputs (engine->stream) != self->n_outputs;
  if (self->caps_wait)
    gst_seq_engine_free (engine);
  else
    gst_seq_slot_offer (&self->slot, engine);
}

/* Replaces the file in use, if it can be run where the stream is; else all is
 * as it was. Takes the file. */
static gboolean
use_file (GstSeqFilter *self, GstSeqModelFile *file, GError **error)
{
  gboolean flows = GST_AUDIO_INFO_IS_VALID (&self->info), fits = TRUE;
  g_autoptr (SeqModel) of_state = g_steal_pointer (&self->model);
  g_autoptr (SeqModel) model = NULL;
  GstSeqEngine *engine = NULL;
  SeqStreamConfig config;
  guint rate_mode;

  GST_OBJECT_LOCK (self);
  rate_mode = self->rate_mode;
  GST_OBJECT_UNLOCK (self);
  if (flows && file && file->model->rate > 0 && rate_mode == RATE_MODEL) {
    gint rate = (gint) rint (file->model->rate);

    fits =
        rate == GST_AUDIO_INFO_RATE (&self->info) || rate_can_be (self, rate);
    if (!fits)
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE, WRONG_RATE, file->path,
          rate, GST_AUDIO_INFO_RATE (&self->info));
  }
  if (fits && flows)
    engine = build (self, file, error);
  else if (fits)
    model = choose_model (self, file, 1, &config, error);
  if (!engine && !model) {
    gst_seq_model_file_close (file);
    self->model = g_steal_pointer (&of_state);
    return FALSE;
  }
  gst_seq_model_file_close (self->file);
  self->file = file;
  g_clear_pointer (&self->restored, seq_stream_free);
  follow_model (self);
  if (engine) {
    engine->n_fade =
        MAX (1, (guint) gst_util_uint64_scale_int (
                    FADE, GST_AUDIO_INFO_RATE (&self->info), GST_SECOND));
    offer (self, engine);
  }
  return TRUE;
}

/* Properties have changed, perhaps while a stream runs. */
static void
rebuild (GstSeqFilter *self, guint stale)
{
  g_autoptr (GError) error = NULL;
  GstSeqModelFile *file = NULL;
  gboolean caps_wait;
  guint serial = 0;

  g_mutex_lock (&self->build_lock);
  if (!self->started)
    stale &= ~STALE_FILE; /* start() opens it */
  g_mutex_unlock (&self->build_lock);
  if (stale & STALE_FILE)
    file = open_file (self, &serial, &error);

  g_mutex_lock (&self->build_lock);
  if (stale & STALE_FILE) {
    gboolean outrun;

    GST_OBJECT_LOCK (self);
    outrun = serial != self->file_serial; /* who set it since will do this */
    GST_OBJECT_UNLOCK (self);
    if (outrun || !self->started) {
      gst_seq_model_file_close (file);
      g_clear_error (&error);
    } else if (error || !use_file (self, file, &error))
      self->n_failures++;
  } else {
    if (stale & STALE_MODEL) {
      g_clear_pointer (&self->model, seq_model_unref);
      g_clear_pointer (&self->restored, seq_stream_free);
      follow_model (self);
    }
    if (GST_AUDIO_INFO_IS_VALID (&self->info) && !self->caps_wait) {
      GstSeqEngine *engine = build (self, self->file, &error);

      if (engine)
        offer (self, engine);
    }
  }
  caps_wait = self->caps_wait;
  g_mutex_unlock (&self->build_lock);
  if (caps_wait) {
    gst_base_transform_reconfigure_sink (GST_BASE_TRANSFORM (self));
    gst_base_transform_reconfigure_src (GST_BASE_TRANSFORM (self));
  }
  if (error)
    gst_seq_post_error (GST_ELEMENT (self), GST_MESSAGE_WARNING, error,
        g_strdup ("the former model goes on"));
}

/* --- state ---------------------------------------------------------------- */

/* Everything learnt and carried; NULL if there is no stream yet. */
static GBytes *
get_state (GstSeqFilter *self)
{
  g_autoptr (SeqModel) model = NULL;
  SeqStreamConfig config;
  gpointer state = NULL;
  gsize size = 0;
  guint n_channels = 0;
  GBytes *bytes = NULL;

  g_mutex_lock (&self->build_lock);
  for (gboolean done = FALSE; !done;) {
    GstSeqEngine *engine;
    SeqStream *stream;
    gsize needed;

    /* the streaming thread may be waiting: allocate outside the lock */
    g_mutex_lock (&self->slot.lock);
    engine = gst_seq_slot_settle (&self->slot);
    stream = engine ? engine->stream : self->restored;
    needed = stream ? seq_stream_state_size (stream) : 0;
    done = needed == size;
    if (stream && done) {
      seq_stream_get_state (stream, state);
      model = seq_model_ref (seq_stream_model (stream));
      config = *seq_stream_config (stream);
      n_channels = seq_stream_n_channels (stream);
    }
    g_mutex_unlock (&self->slot.lock);
    if (!done) {
      g_free (state);
      size = needed;
      state = g_malloc (size);
    }
  }
  gst_seq_slot_sweep (&self->slot);
  g_mutex_unlock (&self->build_lock);
  if (model)
    bytes = seq_snapshot_save (model, &config, n_channels, state, size);
  g_free (state);
  return bytes;
}

/* A stream that comes from outside is able to learn as it did. */
static void
follow_learner (GstSeqFilter *self, SeqStream *stream)
{
  static const guint learners[] = { [SEQ_LEARN_GRADIENT] = LEARN_GRADIENT,
    [SEQ_LEARN_READOUT] = LEARN_READOUT,
    [SEQ_LEARN_BOTH] = LEARN_BOTH };
  SeqLearn learn = seq_stream_config (stream)->learn;

  self->has_learner = learn != SEQ_LEARN_OFF;
  if (self->has_learner)
    self->shape.learner = learners[learn];
}

/* Settings take the values of a stream that comes with its model. */
static void
follow_stream (GstSeqFilter *self, SeqStream *stream)
{
  const SeqStreamConfig *config = seq_stream_config (stream);
  Shape *shape = &self->shape;

  GST_OBJECT_LOCK (self);
  describe (seq_stream_model (stream), shape);
  shape->channel_mode = config->channel_mode;
  shape->learning_rate = config->learning_rate;
  shape->window = config->window;
  shape->horizon = config->horizon;
  self->settings.learning = config->learn != SEQ_LEARN_OFF;
  follow_learner (self, stream);
  self->shaped = FALSE;
  self->said = 0;
  self->stale = 0;
  GST_OBJECT_UNLOCK (self);
}

/* Goes on from a snapshot, now or as soon as there are caps. */
static gboolean
set_state (GstSeqFilter *self, GBytes *bytes, GError **error)
{
  g_autoptr (SeqStream) stream = seq_snapshot_load (bytes, error);
  guint n_channels;

  if (!stream)
    return FALSE;
  g_mutex_lock (&self->build_lock);
  n_channels = GST_AUDIO_INFO_CHANNELS (&self->info);
  if (GST_AUDIO_INFO_IS_VALID (&self->info)
      && seq_stream_n_channels (stream) != n_channels) {
    g_mutex_unlock (&self->build_lock);
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE,
        "the state is of %u channels, the stream has %u",
        seq_stream_n_channels (stream), n_channels);
    return FALSE;
  }
  if (GST_AUDIO_INFO_IS_VALID (&self->info)
      && seq_stream_n_outputs (stream) != self->n_outputs) {
    g_mutex_unlock (&self->build_lock);
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE,
        "the state's model gives %u channels, the one that runs %u",
        seq_stream_n_outputs (stream), self->n_outputs);
    return FALSE;
  }
  follow_stream (self, stream);
  g_clear_error (&self->refused);
  g_clear_pointer (&self->restored, seq_stream_free);
  g_clear_pointer (&self->model, seq_model_unref);
  self->model = seq_model_ref (seq_stream_model (stream));
  follow_model (self);
  if (GST_AUDIO_INFO_IS_VALID (&self->info)) {
    GstSeqEngine *engine = gst_seq_engine_new (g_steal_pointer (&stream));

    engine->restored = TRUE;
    g_mutex_lock (&self->slot.lock);
    gst_seq_slot_cut (&self->slot);
    g_mutex_unlock (&self->slot.lock);
    gst_seq_slot_offer (&self->slot, engine);
  } else {
    self->restored = g_steal_pointer (&stream);
  }
  g_mutex_unlock (&self->build_lock);
  return TRUE;
}

static char *
get_state_file (GstSeqFilter *self)
{
  char *file;

  GST_OBJECT_LOCK (self);
  file = g_strdup (self->state_file);
  GST_OBJECT_UNLOCK (self);
  return file;
}

/* The action signal; also at EOS and in stop(). */
static gboolean
save (GstSeqFilter *self)
{
  g_autofree char *file = get_state_file (self);
  g_autoptr (GBytes) bytes = file ? get_state (self) : NULL;
  g_autoptr (GError) error = NULL;
  gsize size;
  const char *data;

  if (!bytes)
    return FALSE;
  data = g_bytes_get_data (bytes, &size);
  if (!g_file_set_contents_full (file, data, (gssize) size,
          G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0666,
          &error)) {
    GST_ELEMENT_WARNING (self, RESOURCE, WRITE,
        ("state-file %s: %s", file, error->message), (NULL));
    return FALSE;
  }
  return TRUE;
}

/* The action signal: what the first lane has learnt, as a model file. */
static gboolean
save_model (GstSeqFilter *self, const char *path)
{
  g_autoptr (GBytes) bytes = path ? get_state (self) : NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (SeqStream) stream = NULL;
  g_autoptr (SeqModel) model = NULL;

  if (!bytes)
    return FALSE;
  stream = seq_snapshot_load (bytes, &error);
  if (stream)
    model = seq_stream_learnt_model (stream, 0, &error);
  if (!model || !seq_model_save (model, path, "safetensors", &error)) {
    GST_ELEMENT_WARNING (self, RESOURCE, WRITE,
        ("save-model %s: %s", path, error->message), (NULL));
    return FALSE;
  }
  return TRUE;
}

/* A file that isn't there yet is a first run. */
static gboolean
load_state_file (GstSeqFilter *self)
{
  g_autofree char *file = get_state_file (self), *data = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) bytes = NULL;
  SeqStream *stream;
  gsize size;
  gboolean shaped;

  if (!file || self->restored)
    return TRUE;
  if (!g_file_get_contents (file, &data, &size, &error)) {
    if (g_error_matches (error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
      return TRUE;
    GST_ELEMENT_ERROR (self, RESOURCE, OPEN_READ,
        ("state-file %s: %s", file, error->message), (NULL));
    return FALSE;
  }
  bytes = g_bytes_new_take (g_steal_pointer (&data), size);
  GST_OBJECT_LOCK (self);
  shaped = self->shaped;
  GST_OBJECT_UNLOCK (self);
  /* what the user said of the model holds, and must fit; else the file's */
  if (!shaped && set_state (self, bytes, &error))
    return TRUE;
  stream = error ? NULL : seq_snapshot_load (bytes, &error);
  if (!stream) {
    GST_ELEMENT_ERROR (self, STREAM, DECODE,
        ("state-file %s: %s", file, error->message), (NULL));
    return FALSE;
  }
  g_mutex_lock (&self->build_lock);
  GST_OBJECT_LOCK (self);
  if (!self->settings.learning)
    follow_learner (self, stream);
  GST_OBJECT_UNLOCK (self);
  self->restored = stream;
  g_mutex_unlock (&self->build_lock);
  return TRUE;
}

static void
reset (GstSeqFilter *self)
{
  g_atomic_int_set (&self->slot.restart, TRUE);
}

/* --- messages ------------------------------------------------------------- */

static double
decibel (double signal, double residual)
{
  return 10 * log10 ((signal + 1e-30) / (residual + 1e-30));
}

static void
add_array (GstStructure *s, const char *field, const double *values, guint n)
{
  GValue array = G_VALUE_INIT, value = G_VALUE_INIT;

  gst_value_array_init (&array, n);
  for (guint i = 0; i < n; i++) {
    g_value_init (&value, G_TYPE_DOUBLE);
    g_value_set_double (&value, values[i]);
    gst_value_array_append_and_take_value (&array, &value);
    value = (GValue) G_VALUE_INIT;
  }
  gst_structure_take_value (s, field, &array);
}

/* Turns the powers of stats into what people read. */
static void
add_stats (GstStructure *s, SeqStreamStats *stats, guint n_channels)
{
  for (guint c = 0; c < n_channels; c++) {
    stats->signal_power[c] =
        decibel (stats->signal_power[c], stats->residual_power[c]);
    stats->residual_power[c] = sqrt (stats->residual_power[c]);
  }
  add_array (s, "prediction-gain", stats->signal_power, n_channels);
  add_array (s, "residual-rms", stats->residual_power, n_channels);
  add_array (s, "score-peak", stats->score_peak, n_channels);
}

/* The message about the stretch measured last, and the next one begins. Called
 * with the slot's lock held; posted outside. */
static GstMessage *
take_message (GstSeqFilter *self, GstSeqEngine *engine)
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

  g_mutex_lock (&self->slot.lock);
  if (self->n_measured > 0 && self->slot.engine)
    message = take_message (self, self->slot.engine);
  g_mutex_unlock (&self->slot.lock);
  if (message)
    gst_element_post_message (GST_ELEMENT (self), message);
}

/* What runs: strings of the model and numbers of it. */
static void
add_model (GstStructure *s, const SeqModel *model)
{
  const SeqChain *chain = model->chain;
  g_autoptr (GString) layers = g_string_new (NULL);
  guint64 n_parameters = 0;

  for (guint i = 0; i < chain->n_layers; i++) {
    const SeqLayer *layer = chain->layers[i];

    g_string_append_printf (
        layers, "%s%s %u", i ? ", " : "", layer->klass->name, layer->n_out);
    for (guint k = 0; k < layer->n_tensors; k++)
      n_parameters += (guint64) layer->tensors[k].gates * layer->tensors[k].rows
                      * layer->tensors[k].cols;
  }
  gst_structure_set (s, "format", G_TYPE_STRING, model->format, "layers",
      G_TYPE_STRING, layers->str, "parameters", G_TYPE_UINT64, n_parameters,
      "rate", G_TYPE_DOUBLE, model->rate, NULL);
}

static GstStructure *
get_stats (GstSeqFilter *self)
{
  GstStructure *s = gst_structure_new ("application/x-seqfilter-stats", "isa",
      G_TYPE_STRING, seq_isa_name (seq_cpu_isa ()), NULL);
  g_autoptr (SeqModel) model = NULL;
  SeqStreamStats stats = { 0 };
  GstSeqEngine *engine;
  guint64 n_fades, n_failures;
  guint n = 0;
  gsize state_size = 0;

  /* under the build lock the number of channels stays */
  g_mutex_lock (&self->build_lock);
  if (GST_AUDIO_INFO_IS_VALID (&self->info)) {
    n = GST_AUDIO_INFO_CHANNELS (&self->info);
    stats.signal_power = g_new0 (double, n);
    stats.residual_power = g_new0 (double, n);
    stats.score_peak = g_new0 (double, n);
  }
  g_mutex_lock (&self->slot.lock);
  engine = self->slot.engine;
  if (engine) {
    seq_stream_stats (engine->stream, FALSE, &stats);
    state_size = seq_stream_state_size (engine->stream);
    model = seq_model_ref (seq_stream_model (engine->stream));
  }
  n_fades = self->slot.n_fades;
  g_mutex_unlock (&self->slot.lock);
  gst_seq_slot_sweep (&self->slot);
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
  g_free (stats.signal_power);
  g_free (stats.residual_power);
  g_free (stats.score_peak);
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
  gint rate = needed_rate (self);
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
  gint rate = needed_rate (self), found, channels;
  const GstStructure *s = gst_caps_get_structure (caps, 0);
  Scale scales[2];
  guint n = get_scales (self, GST_PAD_SINK, scales);
  g_autofree char *path = NULL;

  GST_OBJECT_LOCK (self);
  path = g_strdup (self->model_file);
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
  GstSeqEngine *engine;

  g_mutex_lock (&self->build_lock);
  if (GST_AUDIO_INFO_IS_VALID (&self->info) && !self->caps_wait
      && gst_audio_info_is_equal (&self->info, info)) {
    g_mutex_unlock (&self->build_lock);
    return TRUE; /* what leaves has changed, not what comes */
  }
  self->info = *info;
  self->caps_wait = FALSE;
  engine = build (self, self->file, &error);
  if (engine) {
    gboolean going_on = self->slot.engine != NULL;

    self->n_outputs = seq_stream_n_outputs (engine->stream);
    gst_seq_slot_offer (&self->slot, engine);
    g_mutex_lock (&self->slot.lock);
    gst_seq_slot_cut (&self->slot);
    engine = gst_seq_slot_settle (&self->slot);
    if (going_on)
      seq_stream_rewind (engine->stream);
    g_mutex_unlock (&self->slot.lock);
    gst_seq_slot_sweep (&self->slot);
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
turn_knobs (
    GstSeqFilter *self, GstSeqEngine *engine, const Work *work, gsize at)
{
  guint n = seq_stream_n_params (engine->stream);
  guint glide = MAX (1, (guint) gst_util_uint64_scale_int (
                            GLIDE, GST_AUDIO_FILTER_RATE (self), GST_SECOND));

  for (guint i = 0; i < n; i++) {
    GstControlBinding *curve = i < N_KNOBS ? work->knob_curves[i] : NULL;
    double value = i < self->n_now_params ? self->now_params[i] : 0;

    if (curve)
      seq_stream_set_param (
          engine->stream, i, curve_at (self, work, curve, at, value), 1);
    else
      seq_stream_set_param (engine->stream, i, value, glide);
  }
}

static void
take_curves (GstSeqFilter *self, Work *work)
{
  work->mix_curve = gst_object_get_control_binding (GST_OBJECT (self), "mix");
  for (guint i = 0; i < N_KNOBS; i++) {
    work->knob_curves[i] = gst_object_get_control_binding (
        GST_OBJECT (self), props[PROP_PARAM1 + i]->name);
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
run (GstSeqFilter *self, GstSeqEngine *engine, Work *work, gsize from, gsize n)
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
  if (seq_stream_n_params (engine->stream) > 0)
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
  GstSeqEngine *engine;
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
    g_mutex_lock (&self->slot.lock);
    engine = gst_seq_slot_settle (&self->slot);
    seq_stream_rewind (engine->stream);
  } else {
    g_mutex_lock (&self->slot.lock);
    engine = gst_seq_slot_settle (&self->slot);
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
  g_mutex_unlock (&self->slot.lock);

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
  g_mutex_unlock (&self->slot.lock);
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
      g_mutex_lock (&self->slot.lock);
      if (gst_seq_slot_settle (&self->slot)) {
        seq_stream_rewind (self->slot.engine->stream);
        seq_stream_stats (
            self->slot.engine->stream, TRUE, &self->slot.engine->stats);
      }
      g_mutex_unlock (&self->slot.lock);
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
      save (self);
      break;
    default:
      break;
  }
  return parent_class->sink_event (trans, event);
}

/* No stream and no model any more. */
static void
close_model (GstSeqFilter *self)
{
  g_mutex_lock (&self->build_lock);
  gst_seq_slot_empty (&self->slot);
  gst_audio_info_init (&self->info);
  g_clear_pointer (&self->restored, seq_stream_free);
  g_clear_pointer (&self->model, seq_model_unref);
  g_clear_pointer (&self->file, gst_seq_model_file_close);
  self->started = self->has_learner = self->caps_wait = FALSE;
  self->n_failures = 0;
  follow_model (self);
  g_mutex_unlock (&self->build_lock);
}

/* Opens the file and sees whether there is a model at all; posts why not. */
static gboolean
open_model (GstSeqFilter *self)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *path = NULL;
  guint serial;
  GstSeqModelFile *file;

  GST_OBJECT_LOCK (self);
  path = g_strdup_printf (
      "model-file %s", self->model_file ? self->model_file : "unset");
  GST_OBJECT_UNLOCK (self);
  file = open_file (self, &serial, &error);
  if (!error) {
    g_mutex_lock (&self->build_lock);
    self->file = file;
    self->started = TRUE;
    check_model (self, &error);
    follow_model (self);
    g_mutex_unlock (&self->build_lock);
  }
  if (error)
    gst_seq_post_error (
        GST_ELEMENT (self), GST_MESSAGE_ERROR, error, g_steal_pointer (&path));
  return !error;
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
  if (!open_model (self) || !load_state_file (self)) {
    close_model (self);
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

  save (self);
  close_model (self);
  g_clear_pointer (&self->part, g_free);
  self->n_part = 0;
  return TRUE;
}

/* --- properties ----------------------------------------------------------- */

static void
set_lags (Shape *shape, const GValue *value)
{
  guint n = gst_value_array_get_size (value);
  GVariantBuilder builder;

  g_clear_pointer (&shape->lags, g_variant_unref);
  if (n == 0)
    return;
  g_variant_builder_init (&builder, G_VARIANT_TYPE ("au"));
  for (guint i = 0; i < n; i++)
    g_variant_builder_add (&builder, "u",
        (guint) g_value_get_int (gst_value_array_get_value (value, i)));
  shape->lags = g_variant_ref_sink (g_variant_builder_end (&builder));
}

static void
set_learn (GstSeqFilter *self, guint learn)
{
  SeqLearn before = resolve_learner (&self->shape);

  self->settings.learning = learn != LEARN_OFF;
  if (learn == LEARN_OFF)
    return; /* what was learnt stays */
  self->shape.learner = learn;
  self->stale |= STALE_STREAM;
  if (resolve_learner (&self->shape) != before) {
    self->stale |= STALE_MODEL;
    self->shaped = TRUE;
  }
}

static void
set_params (GstSeqFilter *self, const GValue *value)
{
  guint n = gst_value_array_get_size (value);

  if (n > MAX_PARAMS)
    g_warning ("params: the first %u of %u values are taken", MAX_PARAMS, n);
  self->n_params = MAX (self->n_params, MIN (n, MAX_PARAMS));
  for (guint i = 0; i < self->n_params; i++)
    self->params[i] =
        i < n ? g_value_get_double (gst_value_array_get_value (value, i)) : 0;
}

static void
get_params (const GstSeqFilter *self, GValue *value)
{
  for (guint i = 0; i < self->n_params; i++) {
    GValue param = G_VALUE_INIT;

    g_value_init (&param, G_TYPE_DOUBLE);
    g_value_set_double (&param, self->params[i]);
    gst_value_array_append_and_take_value (value, &param);
  }
}

/* Numbers of the shape are guint (enums too), guint64 or double. */
static gboolean
set_number (gpointer number, const GValue *value)
{
  guint u;

  if (G_VALUE_HOLDS_DOUBLE (value)) {
    double before = *(double *) number;

    return (*(double *) number = g_value_get_double (value)) != before;
  }
  if (G_VALUE_HOLDS_UINT64 (value)) {
    guint64 before = *(guint64 *) number;

    return (*(guint64 *) number = g_value_get_uint64 (value)) != before;
  }
  u = *(guint *) number;
  *(guint *) number = G_VALUE_HOLDS_ENUM (value)
                          ? (guint) g_value_get_enum (value)
                          : g_value_get_uint (value);
  return *(guint *) number != u;
}

/* Before caps a state that is none is remembered, and refused by start(). */
static void
set_state_property (GstSeqFilter *self, GBytes *bytes)
{
  g_autoptr (GError) error = NULL;
  gboolean running;

  if (!bytes || set_state (self, bytes, &error)) {
    g_mutex_lock (&self->build_lock);
    g_clear_error (&self->refused);
    g_mutex_unlock (&self->build_lock);
    return;
  }
  g_mutex_lock (&self->build_lock);
  running = GST_AUDIO_INFO_IS_VALID (&self->info);
  if (!running) {
    g_clear_error (&self->refused);
    self->refused = g_error_copy (error);
  }
  g_mutex_unlock (&self->build_lock);
  if (running)
    GST_ELEMENT_WARNING (self, STREAM, DECODE, ("state: %s", error->message),
        ("what ran before goes on"));
}

static void
set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstSeqFilter *self = GST_SEQ_FILTER (object);
  Settings *settings = &self->settings;
  guint emit, rate_mode, stale;
  gpointer member;

  if (id == PROP_STATE) {
    set_state_property (self, g_value_get_boxed (value));
    return;
  }
  GST_OBJECT_LOCK (self);
  emit = settings->emit;
  rate_mode = self->rate_mode;
  member = shape_member (&self->shape, id, &stale);
  if (member && set_number (member, value))
    self->stale |= stale;
  if (stale & STALE_MODEL) {
    self->shaped = TRUE;
    self->said |= BIT (id);
  }
  switch (id) {
    case PROP_LAGS:
      set_lags (&self->shape, value);
      self->stale |= STALE_MODEL;
      self->said |= BIT (id);
      self->shaped = TRUE;
      break;
    case PROP_MODEL_FILE:
      g_free (self->model_file);
      self->model_file = g_value_dup_string (value);
      self->file_serial++;
      self->stale |= STALE_FILE;
      self->shaped |= self->model_file && *self->model_file;
      break;
    case PROP_MODEL_OPTIONS:
      g_clear_pointer (&self->model_options, gst_structure_free);
      self->model_options = g_value_dup_boxed (value);
      self->file_serial++;
      self->stale |= STALE_FILE;
      break;
    case PROP_RATE_MODE:
      self->rate_mode = (guint) g_value_get_enum (value);
      break;
    case PROP_PARAMS:
      set_params (self, value);
      break;
    case PROP_LEARN:
      set_learn (self, (guint) g_value_get_enum (value));
      break;
    case PROP_EMIT:
      settings->emit = g_value_get_flags (value);
      break;
    case PROP_POST_MESSAGES:
      settings->post_messages = g_value_get_boolean (value);
      break;
    case PROP_INTERVAL:
      settings->interval = g_value_get_uint64 (value);
      break;
    case PROP_MIX:
      settings->mix = g_value_get_double (value);
      break;
    case PROP_STATE_FILE:
      g_free (self->state_file);
      self->state_file = g_value_dup_string (value);
      break;
    default:
      if (id >= PROP_PARAM1 && id < PROP_PARAM1 + N_KNOBS) {
        self->params[id - PROP_PARAM1] = g_value_get_double (value);
        self->n_params = MAX (self->n_params, id - PROP_PARAM1 + 1);
      } else if (!member) {
        G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
      }
      break;
  }
  emit ^= settings->emit;
  rate_mode ^= self->rate_mode;
  GST_OBJECT_UNLOCK (self);
  if (rate_mode)
    gst_base_transform_reconfigure_sink (GST_BASE_TRANSFORM (self));
  if (emit)
    gst_base_transform_reconfigure_src (GST_BASE_TRANSFORM (self));
}

static void
get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  GstSeqFilter *self = GST_SEQ_FILTER (object);
  const Settings *settings = &self->settings;
  Shape *shape;
  guint stale;
  gpointer member;

  if (id == PROP_STATE) {
    g_value_take_boxed (value, get_state (self));
    return;
  }
  if (id == PROP_STATS) {
    g_value_take_boxed (value, get_stats (self));
    return;
  }
  GST_OBJECT_LOCK (self);
  shape = self->holds & ~self->said & BIT (id) ? &self->held : &self->shape;
  member = shape_member (shape, id, &stale);
  if (member)
    get_number (member, value);
  switch (id) {
    case PROP_LAGS:
      get_lags (shape, value);
      break;
    case PROP_MODEL_FILE:
      g_value_set_string (value, self->model_file);
      break;
    case PROP_MODEL_OPTIONS:
      g_value_set_boxed (value, self->model_options);
      break;
    case PROP_RATE_MODE:
      g_value_set_enum (value, (gint) self->rate_mode);
      break;
    case PROP_PARAMS:
      get_params (self, value);
      break;
    case PROP_LEARN:
      g_value_set_enum (
          value, settings->learning ? (gint) self->shape.learner : LEARN_OFF);
      break;
    case PROP_EMIT:
      g_value_set_flags (value, settings->emit);
      break;
    case PROP_POST_MESSAGES:
      g_value_set_boolean (value, settings->post_messages);
      break;
    case PROP_INTERVAL:
      g_value_set_uint64 (value, settings->interval);
      break;
    case PROP_MIX:
      g_value_set_double (value, settings->mix);
      break;
    case PROP_STATE_FILE:
      g_value_set_string (value, self->state_file);
      break;
    default:
      if (id >= PROP_PARAM1 && id < PROP_PARAM1 + N_KNOBS)
        g_value_set_double (value, self->params[id - PROP_PARAM1]);
      else if (!member)
        G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
      break;
  }
  GST_OBJECT_UNLOCK (self);
}

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
    rebuild (self, stale);
}

static void
gst_seq_filter_finalize (GObject *object)
{
  GstSeqFilter *self = GST_SEQ_FILTER (object);

  gst_seq_slot_clear (&self->slot);
  g_clear_pointer (&self->shape.lags, g_variant_unref);
  g_clear_pointer (&self->restored, seq_stream_free);
  g_clear_pointer (&self->model, seq_model_unref);
  g_clear_pointer (&self->file, gst_seq_model_file_close);
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
  self->settings = default_settings;
  self->shape = default_shape;
  g_mutex_init (&self->build_lock);
  gst_seq_slot_init (&self->slot);
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
install_properties (GObjectClass *klass)
{
  const GParamFlags flags =
      G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING;
  const Settings *settings = &default_settings;
  const Shape *shape = &default_shape;
  /* g_strjoinv() does not change them */
  g_autofree char *formats = g_strjoinv (", ", (char **) seq_model_formats ());
  g_autofree char *about_files = g_strdup_printf (
      "Trained model to run: %s; found by content. It says what the model is: "
      "properties that say so too must agree. Set again it is read again; "
      "while data flows the new model fades in within 10 ms, and one that does "
      "not load leaves the old one running",
      formats);

  props[PROP_MODEL] = g_param_spec_enum ("model", "Model",
      "The model that predicts. What it had learnt goes when another comes",
      enum_type ("GstSeqFilterModel", models), (gint) shape->model, flags);
  props[PROP_MODEL_FILE] = g_param_spec_string ("model-file", "Model file",
      about_files, NULL, flags & ~G_PARAM_STATIC_BLURB);
  props[PROP_MODEL_OPTIONS] = g_param_spec_boxed ("model-options",
      "Model options",
      "What the model file can't say, as fields: nonlinearity (tanh, relu), "
      "residual (0, 1 or n inputs), output_activation, head_activation, head, "
      "rate (Hz): options,nonlinearity=relu,residual=1",
      GST_TYPE_STRUCTURE, flags);
  props[PROP_RATE_MODE] = g_param_spec_enum ("rate-mode", "Rate mode",
      "Whether caps have the sample rate that the model file names",
      enum_type ("GstSeqFilterRateMode", rate_modes), RATE_MODEL, flags);
  props[PROP_PARAMS] = gst_param_spec_array ("params", "Params",
      "Knobs of a conditioned model file, 0 to 1 each (0 where there is no "
      "value). A knob that is set goes there in a line of 20 ms",
      g_param_spec_double ("param", "Param", "A knob", 0, 1, 0,
          G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS),
      flags);
  for (guint i = 0; i < N_KNOBS; i++) {
    char *name = g_strdup_printf ("param%u", i + 1);
    char *nick = g_strdup_printf ("Param %u", i + 1);
    char *blurb = g_strdup_printf ("Value %u of params, for a controller: a "
                                   "knob follows its curve frame by frame",
        i + 1);

    props[PROP_PARAM1 + i] = g_param_spec_double (name, nick, blurb, 0, 1, 0,
        (flags & ~G_PARAM_STATIC_STRINGS) | GST_PARAM_CONTROLLABLE);
    g_free (name);
    g_free (nick);
    g_free (blurb);
  }
  props[PROP_HIDDEN_SIZE] = g_param_spec_uint ("hidden-size", "Hidden size",
      "Units of each recurrent layer (rnn, lstm, gru)", 1, 4096,
      shape->hidden_size, flags);
  props[PROP_LAYERS] = g_param_spec_uint ("layers", "Layers",
      "Recurrent layers, each on top of the one before (rnn, lstm, gru)", 1, 64,
      shape->layers, flags);
  props[PROP_ORDER] = g_param_spec_uint ("order", "Order",
      "Latest samples that a forecast looks at: ar's regressors, or the "
      "stretch that naive compares with the past (0 = 32 for ar, 16 for naive)",
      0, 4096, shape->order, flags);
  props[PROP_LAGS] = gst_param_spec_array ("lags", "Lags",
      "Samples that ar looks at instead of the last `order`, counted back "
      "from the one to be forecast less horizon - 1: <1,2,24> (empty = the "
      "last `order`)",
      g_param_spec_int ("lag", "Lag", "A lag in frames", 1, G_MAXINT, 1,
          G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS),
      flags);
  props[PROP_STATES] = g_param_spec_uint ("states", "States",
      "Levels that markov quantises to (0 = 64)", 0, 4096, shape->states,
      flags);
  props[PROP_HISTORY] = g_param_spec_uint ("history", "History",
      "Frames of the past that naive keeps and searches (0 = 16384)", 0,
      G_MAXINT, shape->history, flags);
  props[PROP_HORIZON] = g_param_spec_uint ("horizon", "Horizon",
      "Frames that a forecast looks ahead. Timestamps stay those of the frame "
      "it was made at. 0 = a model file that is an effect",
      0, 65536, shape->horizon, flags);
  props[PROP_LEARN] = g_param_spec_enum ("learn", "Learn",
      "How the model learns while the stream goes by. naive, ar and markov "
      "have one way, and take any but off. Off keeps what was learnt. A model "
      "file learns if told to, and if it forecasts",
      enum_type ("GstSeqFilterLearn", learns), LEARN_AUTO, flags);
  props[PROP_LEARNING_RATE] =
      g_param_spec_double ("learning-rate", "Learning rate",
          "Adam's step (learn=gradient)", 1e-9, 1, shape->learning_rate, flags);
  props[PROP_WINDOW] = g_param_spec_uint ("window", "Window",
      "Frames that an update looks back over (learn=gradient: truncated "
      "back-propagation through time)",
      1, 4096, shape->window, flags);
  props[PROP_FORGETTING] = g_param_spec_double ("forgetting", "Forgetting",
      "What the past still counts a frame later; 1 = nothing is forgotten "
      "(ar, markov, learn=readout and both; 0 = the model's own: ar 0.9998, "
      "markov 1)",
      0, 1, shape->forgetting, flags);
  props[PROP_SEED] = g_param_spec_uint64 ("seed", "Seed",
      "Of the random start of the weights; the same seed and stream give the "
      "same bits",
      0, G_MAXUINT64, shape->seed, flags);
  props[PROP_RESIDUAL_CONNECTION] =
      g_param_spec_enum ("residual-connection", "Residual connection",
          "A net predicts the change from the sample before (rnn, lstm, gru)",
          enum_type ("GstSeqFilterSwitch", switches), (gint) shape->residual,
          flags);
  props[PROP_CHANNEL_MODE] = g_param_spec_enum ("channel-mode", "Channel mode",
      "Whether channels are modelled each alone, or as one vector. Auto: "
      "alone, unless a model was made for so many",
      enum_type ("GstSeqFilterChannelMode", channel_modes),
      (gint) shape->channel_mode, flags);
  props[PROP_EMIT] = g_param_spec_flags ("emit", "Emit",
      "What leaves, as groups of channels in this order. `input` alone is "
      "true passthrough, and the model listens",
      emit_type (), settings->emit, flags);
  props[PROP_POST_MESSAGES] = g_param_spec_boolean ("post-messages",
      "Post messages",
      "Post an element message `seqfilter` with prediction gain and residual "
      "each interval",
      settings->post_messages, flags);
  props[PROP_INTERVAL] = g_param_spec_uint64 ("interval", "Interval",
      "Time between messages, in nanoseconds; at least a frame", 1, G_MAXUINT64,
      settings->interval, flags);
  props[PROP_MIX] = g_param_spec_double ("mix", "Mix",
      "Share of the forecast in the prediction that leaves; the rest is input",
      0, 1, settings->mix, flags | GST_PARAM_CONTROLLABLE);
  props[PROP_STATE] = g_param_spec_boxed ("state", "State",
      "Everything learnt and carried, and the model: written to another "
      "seqfilter it goes on there to the bit (NULL = nothing yet)",
      G_TYPE_BYTES, flags);
  props[PROP_STATE_FILE] = g_param_spec_string ("state-file", "State file",
      "File that the state is read from at start, if it exists, and written "
      "to at EOS, at stop and by the action `save`. If properties say what "
      "the model is, they must fit; else the file brings it",
      NULL, flags);
  props[PROP_STATS] = g_param_spec_boxed ("stats", "Statistics",
      "What runs: isa, model-file, format, layers, parameters, rate (Hz, 0 = "
      "any), state-bytes. Since the start: frames, non-finite samples, "
      "rewinds, updates, rollbacks, swaps of model files, load-failures. Since "
      "the last message or flush, per channel: prediction-gain (dB), "
      "residual-rms, score-peak",
      GST_TYPE_STRUCTURE, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  g_object_class_install_properties (klass, N_PROPS, props);
}

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

  object_class->set_property = set_property;
  object_class->get_property = get_property;
  object_class->dispatch_properties_changed = dispatch_properties_changed;
  object_class->finalize = gst_seq_filter_finalize;
  install_properties (object_class);

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
      G_CALLBACK (save), NULL, NULL, NULL, G_TYPE_BOOLEAN, 0);

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
  signals[SIGNAL_SAVE_MODEL] =
      g_signal_new_class_handler ("save-model", G_TYPE_FROM_CLASS (klass),
          G_SIGNAL_RUN_LAST | G_SIGNAL_ACTION, G_CALLBACK (save_model), NULL,
          NULL, NULL, G_TYPE_BOOLEAN, 1, G_TYPE_STRING);

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
