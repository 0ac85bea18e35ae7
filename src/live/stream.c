/* stream.c: a model at work on a stream of channels.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Everything that is learnt or carried lies in one block of memory:
 *
 *   Carried | Channel [n_channels] | Knob [n_knobs]
 *   | forecasts [n_outputs][horizon] | past inputs [horizon][n_channels]
 *   | one part a lane | states of the linear forecasters [n_channels]
 *
 * where a lane's part is its chain state, or its learner's memory; of a model
 * with a window of n frames n chain states, of runs that began a frame apart,
 * frame f's at f % n. So a
 * snapshot is one copy, and a stream adopts from another of the same
 * fingerprint by exchanging pointers.
 *
 * Frames go through in blocks: each step reads what the steps before it left
 * in a Block. A model that forecasts and came without scales of its own gets
 * running normalisation (normalise.h). Effects are not scaled, nor are models
 * from a file, which know what they were trained on.
 */
#include "src/live/stream.h"
#include "src/builder.h"
#include "src/cpu.h"
#include "src/live/clamp.h"
#include "src/live/learner.h"
#include "src/live/linear.h"
#include "src/live/normalise.h"
#include "src/memory.h"

#include <math.h>
#include <string.h>

#define BLOCK 64           /* frames that go through the chain at once */
#define LIMIT 1e4          /* of a normalised input */
#define MAX_RUNS (1 << 20) /* of models with a window */

/* One channel's share of what is carried. */
typedef struct {
  SeqNormaliser normaliser;
  SeqSurprise surprise;
  SeqRange range;
  SeqLinear linear;    /* of a net around a linear forecaster */
  SeqChannelSums sums; /* since statistics were last taken */
} Channel;

/* As it was in version 1 of snapshots: nothing was clamped, no net stood around
 * a linear forecaster. */
typedef struct {
  SeqNormaliser normaliser;
  SeqSurprise surprise;
  SeqChannelSums sums;
} Channel1;

typedef struct {
  double value, target;
  guint64 left; /* frames until it is there */
} Knob;

typedef struct {
  guint64 n_frames; /* since the state was at its start */
  guint64 n_total, n_non_finite, n_rewinds;
} Carried;

/* A few frames in hand. [channel][frame] is a row of BLOCK frames for each
 * channel, [frame][lane] is as layers have it. */
typedef struct {
  guint n;                   /* frames, at most BLOCK */
  gboolean learns;           /* from them */
  gboolean owned;            /* in and out are its own, not the work's */
  guint8 *valid;             /* [channel]: is finite. A frame that is
                              * not is a block of its own */
  double *x;                 /* [channel][frame]: the input */
  double *shift, *scale;     /* likewise: u = (x - shift) * scale */
  real *in, *target, *out;   /* [frame][lane], padded */
  guint8 *lane_valid;        /* [frame][lane]: target may be learnt */
  real *bits;                /* [frame][lane]: SeqBlock.score */
  double *exact, *exact_out; /* [frame][channel]: SeqBlock.exact, or NULL */
  double *unit; /* [channel][frame]: of what a net around a linear forecaster
                 * says; or NULL */
  double *y;    /* [output][frame]: forecast or output */
  double *residual, *score; /* [channel][frame] */
} Block;

struct _SeqStream {
  SeqModel *model;
  SeqStreamConfig config;
  char *fingerprint; /* the same for streams that can exchange memory */
  guint n_channels, n_outputs, n_lanes;
  guint n_signal;        /* channels a lane */
  guint n_knobs;         /* inputs of the model past those */
  guint n_runs;          /* of a lane at a time: the model's window, or 1 */
  guint horizon;         /* of the rings; at least 1 */
  SeqWork *linear;       /* of the linear forecasters, a lane a channel; NULL:
                          * there are none */
  gboolean slow;         /* they are for slow signals */
  gboolean exact;        /* the model takes signals as they are */
  gboolean normalises;   /* as it goes */
  gboolean comparable;   /* outputs are forecasts of the inputs */
  gboolean descends;     /* by gradient: there are */
  SeqLearner **learners; /* one a lane; or else */
  SeqWork *work;         /* of all lanes, and */
  real *saved;           /* for seq_chain_run_safely() */
  Block block;           /* the frames in hand; memory reserved for them */
  SeqRest *rest;         /* where it begins, or NULL: as its layers do */
  SeqStream *before;     /* fades out, or NULL */
  guint n_fade, n_faded; /* frames */
  /* carried */
  gpointer memory;
  gsize memory_size;
  Carried *carried;
  Channel *channels;
  Knob *knobs;
  double *forecasts; /* [n_outputs][horizon]: that for frame f at f % horizon */
  double *past;      /* [horizon][n_channels]: normalised inputs, likewise */
  guint8 *lanes;
  gsize lane_size;
  real *linear_states;
};

/* --- building ------------------------------------------------------------- */

static real *
lane_state (SeqStream *stream, guint lane)
{
  return stream->learners ? stream->learners[lane]->state
                          : (real *) (stream->lanes + lane * stream->lane_size);
}

static real *
linear_state (SeqStream *stream, guint channel)
{
  return stream->linear_states
         + channel * stream->model->linear->chain->n_state;
}

static void
set_memory (SeqStream *stream, gpointer memory)
{
  guint8 *at = memory;

  stream->memory = memory;
  stream->carried = (Carried *) at;
  at += SEQ_PAD_BYTES (sizeof (Carried));
  stream->channels = (Channel *) at;
  at += SEQ_PAD_BYTES (stream->n_channels * sizeof (Channel));
  stream->knobs = (Knob *) at;
  at += SEQ_PAD_BYTES (stream->n_knobs * sizeof (Knob));
  stream->forecasts = (double *) at;
  at += SEQ_PAD_BYTES (
      (gsize) stream->horizon * stream->n_outputs * sizeof (double));
  stream->past = (double *) at;
  at += SEQ_PAD_BYTES (
      (gsize) stream->horizon * stream->n_channels * sizeof (double));
  stream->lanes = at;
  if (stream->learners)
    for (guint l = 0; l < stream->n_lanes; l++)
      if (stream->learners[l])
        seq_learner_set_memory (
            stream->learners[l], stream->lanes + l * stream->lane_size);
  stream->linear_states =
      (real *) (at + SEQ_PAD_BYTES (stream->n_lanes * stream->lane_size));
}

/* Reals of a channel's linear forecaster. */
static gsize
linear_state_size (const SeqStream *stream)
{
  return stream->model->linear ? stream->model->linear->chain->n_state : 0;
}

static gsize
count_memory (const SeqStream *stream)
{
  gsize horizon = stream->horizon; /* below 2^32, as all these numbers */

  return SEQ_PAD_BYTES (sizeof (Carried))
         + SEQ_PAD_BYTES (stream->n_channels * sizeof (Channel))
         + SEQ_PAD_BYTES (stream->n_knobs * sizeof (Knob))
         + SEQ_PAD_BYTES (horizon * stream->n_outputs * sizeof (double))
         + SEQ_PAD_BYTES (horizon * stream->n_channels * sizeof (double))
         + SEQ_PAD_BYTES (stream->n_lanes * stream->lane_size)
         + stream->n_channels * linear_state_size (stream) * sizeof (real);
}

static int
compare_keys (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

/* The options of a layer, sorted: a dictionary has them in any order. */
static void
append_options (GString *text, GVariant *config)
{
  g_autoptr (GPtrArray) keys = g_ptr_array_new ();
  GVariantIter iter;
  const char *key;

  g_variant_iter_init (&iter, config);
  while (g_variant_iter_next (&iter, "{&sv}", &key, NULL))
    g_ptr_array_add (keys, (gpointer) key);
  g_ptr_array_sort (keys, compare_keys);
  for (guint i = 0; i < keys->len; i++) {
    g_autoptr (GVariant) value =
        g_variant_lookup_value (config, g_ptr_array_index (keys, i), NULL);
    g_autofree char *printed = g_variant_print (value, TRUE);

    g_string_append_printf (
        text, "%s=%s ", (char *) g_ptr_array_index (keys, i), printed);
  }
}

static void
append_layers (GString *text, const SeqChain *chain)
{
  for (guint i = 0; i < chain->n_layers; i++) {
    g_string_append_printf (text, "%s ", chain->layers[i]->klass->kind.name);
    append_options (text, chain->layers[i]->config);
  }
}

/* All that two streams must have in common to exchange memory. */
static char *
make_fingerprint (const SeqStream *stream)
{
  const SeqChain *chain = stream->model->chain;
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);
  GString *text = g_string_new (NULL);

  append_layers (text, chain);
  if (stream->model->linear) {
    g_string_append (text, "around ");
    append_layers (text, stream->model->linear->chain);
  }
  g_checksum_update (
      sum, (guchar *) stream->model->weights, chain->n_weights * sizeof (real));
  g_string_append_printf (text,
      "%s skip %u channels %u lanes %u runs %u learner %d window %u horizon %u",
      g_checksum_get_string (sum), chain->skip, stream->n_channels,
      stream->n_lanes, stream->n_runs, stream->learners != NULL,
      stream->learners ? stream->config.window : 0, stream->config.horizon);
  return g_string_free (text, FALSE);
}

guint
seq_stream_channels_per_lane (guint n_signal, guint n_in, SeqChannelMode mode,
    guint n_channels, GError **error)
{
  gboolean joint = mode == SEQ_CHANNELS_JOINT
                   || (mode == SEQ_CHANNELS_AUTO && n_channels == n_signal);

  if (mode == SEQ_CHANNELS_JOINT && n_channels == n_in)
    return n_in;
  if (joint ? n_channels == n_signal : n_channels % n_signal == 0)
    return n_signal;
  if (!joint)
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE,
        "the number of channels is %u; expected a multiple of %u, the signal "
        "inputs of the model",
        n_channels, n_signal);
  else if (n_in > n_signal)
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE,
        "the number of channels is %u; expected %u, the signal inputs of the "
        "model, or %u, with its knobs",
        n_channels, n_signal, n_in);
  else
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE,
        "the number of channels is %u; expected %u, the inputs of the model",
        n_channels, n_signal);
  return 0;
}

static gboolean
learns_by_gradient (const SeqStreamConfig *config)
{
  return config->learn == SEQ_LEARN_GRADIENT || config->learn == SEQ_LEARN_BOTH;
}

/* Whether gradient descent has anything to do: a single layer that learns in
 * its state has nothing before it. */
static gboolean
descends (const SeqChain *chain, const SeqStreamConfig *config)
{
  return learns_by_gradient (config)
         && !(chain->n_layers == 1 && seq_chain_learns (chain));
}

/* Whether the model can learn in that way. n_signal: channels a lane. */
static gboolean
check_learn (const SeqModel *model, guint n_signal,
    const SeqStreamConfig *config, GError **error)
{
  const SeqChain *chain = model->chain;
  static const char *const names[] = { "off", "gradient", "readout", "both" };
  const char *learn = names[config->learn];

  for (guint i = 0; descends (chain, config) && i < chain->n_layers; i++) {
    const SeqLayer *layer = chain->layers[i];

    if (!(layer->klass->kind.flags & SEQ_KIND_TRAINS)) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
          "learn is %s; expected off, as layer %u (%s) has no gradient", learn,
          i, layer->klass->kind.name);
      return FALSE;
    }
    if (layer->quantised) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
          "learn is %s; expected off or readout, as layer %u (%s) has %s "
          "weights, which no gradient can move",
          learn, i, layer->klass->kind.name, seq_layer_precision (layer));
      return FALSE;
    }
  }
  if ((config->learn == SEQ_LEARN_READOUT || config->learn == SEQ_LEARN_BOTH)
      && !seq_chain_learns (chain)) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "learn is %s; expected off or gradient, as the model does not end in "
        "a readout",
        learn);
    return FALSE;
  }
  if (config->learn != SEQ_LEARN_OFF && model->window) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "learn is %s; expected off with the model's window of %u frames", learn,
        model->window);
    return FALSE;
  }
  if (config->learn != SEQ_LEARN_OFF && config->horizon < 1) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "horizon is 0; expected 1 or more with learn=%s: only a forecast can "
        "be learnt from the stream alone",
        learn);
    return FALSE;
  }
  if (config->learn != SEQ_LEARN_OFF && chain->n_out != n_signal) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "the number of outputs is %u; expected %u with learn=%s: only a "
        "forecast of the input can be learnt from the stream alone",
        chain->n_out, n_signal, learn);
    return FALSE;
  }
  return TRUE;
}

/* Bytes of the frames in hand. */
static gsize
count_block (const SeqStream *stream)
{
  const SeqChain *chain = stream->model->chain;
  gsize of_channel = 5 * BLOCK * sizeof (double) + 1;
  gsize of_output = BLOCK * sizeof (double);
  gsize of_lane = SEQ_PAD (chain->n_out) + 1;

  if (stream->exact || stream->model->linear) {
    of_channel += BLOCK * sizeof (double);
    of_output += BLOCK * sizeof (double);
  }
  if (stream->model->linear)
    of_channel += BLOCK * sizeof (double);
  if (stream->descends || stream->model->window)
    of_lane += SEQ_PAD (chain->n_in) + SEQ_PAD (chain->n_out);
  return of_channel * stream->n_channels + of_output * stream->n_outputs
         + BLOCK * (of_lane * sizeof (real) + 1) * stream->n_lanes;
}

/* Memory for the frames in hand. */
static void
init_block (SeqStream *stream)
{
  const SeqChain *chain = stream->model->chain;
  gsize rows = (gsize) BLOCK * stream->n_channels;
  gsize lane_rows = (gsize) BLOCK * stream->n_lanes;
  Block *b = &stream->block;

  b->valid = g_new0 (guint8, stream->n_channels);
  b->x = g_new0 (double, rows);
  b->shift = g_new0 (double, rows);
  b->scale = g_new0 (double, rows);
  b->residual = g_new0 (double, rows);
  b->score = g_new0 (double, rows);
  b->y = g_new0 (double, (gsize) BLOCK * stream->n_outputs);
  if (stream->exact || stream->linear) {
    b->exact = g_new0 (double, rows);
    b->exact_out = g_new0 (double, (gsize) BLOCK * stream->n_outputs);
  }
  if (stream->linear)
    b->unit = g_new0 (double, rows);
  b->owned = stream->learners || stream->model->window;
  if (b->owned) {
    b->in = seq_alloc (lane_rows * SEQ_PAD (chain->n_in));
    b->out = seq_alloc (lane_rows * SEQ_PAD (chain->n_out));
  } else {
    b->in = stream->work->in;
    b->out = stream->work->out;
  }
  b->target = seq_alloc (lane_rows * SEQ_PAD (chain->n_out));
  b->lane_valid = g_new0 (guint8, lane_rows);
  b->bits = seq_alloc (lane_rows);
}

static void
clear_block (SeqStream *stream)
{
  Block *b = &stream->block;

  if (b->owned) {
    seq_free (b->in);
    seq_free (b->out);
  }
  g_free (b->valid);
  g_free (b->x);
  g_free (b->shift);
  g_free (b->scale);
  g_free (b->residual);
  g_free (b->score);
  g_free (b->y);
  g_free (b->exact);
  g_free (b->exact_out);
  g_free (b->unit);
  seq_free (b->target);
  g_free (b->lane_valid);
  seq_free (b->bits);
}

static SeqLearnerConfig
learner_config (const SeqStreamConfig *config)
{
  return (SeqLearnerConfig){ .rate = config->learning_rate,
    .window = config->window,
    .horizon = config->horizon };
}

/* Finds out all that a stream is, without its memory. */
static gboolean
init_shape (SeqStream *stream, SeqModel *model, guint n_channels,
    const SeqStreamConfig *config, GError **error)
{
  const SeqChain *chain = model->chain;
  SeqLearnerConfig of_learner = learner_config (config);
  guint n_signal;

  if (n_channels < 1 || n_channels > SEQ_MAX_CHANNELS) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE,
        "the number of channels is %u; expected 1 to %u", n_channels,
        SEQ_MAX_CHANNELS);
    return FALSE;
  }
  n_signal = seq_stream_channels_per_lane (
      model->n_signal, model->n_in, config->channel_mode, n_channels, error);
  if (n_signal == 0 || !check_learn (model, n_signal, config, error))
    return FALSE;
  if (model->linear && (config->horizon != 1 || chain->n_out != n_signal)) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "horizon is %u, outputs are %u of %u channels; expected a horizon of 1 "
        "and an output for each around a linear forecaster: set linear=off",
        config->horizon, chain->n_out, n_signal);
    return FALSE;
  }

  if ((guint64) model->window * (n_channels / n_signal) > MAX_RUNS) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "the model's window is %u frames on %u lanes; expected at most %u in "
        "all",
        model->window, n_channels / n_signal, MAX_RUNS);
    return FALSE;
  }
  *stream = (SeqStream){ .model = model,
    .config = *config,
    .n_channels = n_channels,
    .n_signal = n_signal,
    .n_knobs = model->n_in - n_signal,
    .n_lanes = n_channels / n_signal,
    .n_runs = MAX (model->window, 1),
    .n_outputs = n_channels / n_signal * chain->n_out,
    .comparable = chain->n_out == n_signal,
    .horizon = MAX (config->horizon, 1),
    .exact = seq_chain_exact (chain),
    .normalises = config->horizon > 0 && !model->normalised
                  && !seq_chain_exact (chain)
                  && g_str_equal (model->format, "untrained"),
    .descends = descends (chain, config) };
  stream->lane_size = stream->descends
                          ? seq_learner_carried (chain, &of_learner)
                          : stream->n_runs * chain->n_state * sizeof (real);
  stream->memory_size = count_memory (stream);
  return TRUE;
}

gboolean
seq_stream_measure (const SeqModel *model, guint n_channels,
    const SeqStreamConfig *config, SeqStreamMemory *memory, GError **error)
{
  const SeqChain *chain = model->chain;
  SeqLearnerConfig of_learner = learner_config (config);
  SeqStream stream;
  gsize work;
  guint n_runs;

  if (!init_shape (&stream, (SeqModel *) model, n_channels, config, error))
    return FALSE;
  n_runs = stream.n_lanes * stream.n_runs;
  if (stream.descends)
    work = seq_size_multiply (
        stream.n_lanes, seq_learner_work (chain, &of_learner));
  else
    work = seq_size_multiply (sizeof (real),
        seq_size_add (
            seq_work_size (chain, model->window ? 1 : BLOCK, n_runs, FALSE),
            seq_chain_saved (chain, n_runs)));
  if (model->linear)
    work = seq_size_add (work,
        seq_size_multiply (sizeof (real),
            seq_work_size (model->linear->chain, BLOCK, n_channels, FALSE)));
  *memory = (SeqStreamMemory){ .weights = chain->n_weights * sizeof (real),
    .state = stream.memory_size,
    .work = seq_size_add (work, count_block (&stream)) };
  return TRUE;
}

/* "the stream (2 channels, lstm, horizon 1: weights 3.1 kB, state 9.2 MB, work
 * 120.0 kB)" */
static char *
describe_memory (const SeqModel *model, guint n_channels,
    const SeqStreamConfig *config, const SeqStreamMemory *memory)
{
  g_autofree char *weights = seq_memory_format (memory->weights);
  g_autofree char *state = seq_memory_format (memory->state);
  g_autofree char *work = seq_memory_format (memory->work);

  return g_strdup_printf (
      "the stream (%u channel%s, %s, horizon %u: weights %s, state %s, work "
      "%s)",
      n_channels, n_channels == 1 ? "" : "s",
      model->chain->layers[0]->klass->kind.name, config->horizon, weights,
      state, work);
}

static gboolean
check_memory_limit (const SeqModel *model, guint n_channels,
    const SeqStreamConfig *config, GError **error)
{
  SeqStreamMemory memory;
  g_autofree char *what = NULL;

  if (!seq_stream_measure (model, n_channels, config, &memory, error))
    return FALSE;
  what = describe_memory (model, n_channels, config, &memory);
  return seq_memory_check (
      seq_size_add (memory.weights, seq_size_add (memory.state, memory.work)),
      config->max_memory, what, error);
}

SeqStream *
seq_stream_new (SeqModel *model, guint n_channels,
    const SeqStreamConfig *config, GError **error)
{
  const SeqChain *chain = model->chain;
  SeqLearnerConfig of_learner = learner_config (config);
  SeqStream *stream;
  double slow = 0;

  if (!check_memory_limit (model, n_channels, config, error))
    return NULL;
  stream = g_new0 (SeqStream, 1);
  init_shape (stream, seq_model_ref (model), n_channels, config, NULL);
  if (stream->descends) {
    stream->learners = g_new0 (SeqLearner *, stream->n_lanes);
  } else {
    guint n = stream->n_lanes * stream->n_runs;

    stream->work = seq_work_new (chain, model->window ? 1 : BLOCK, n, FALSE);
    stream->saved = seq_alloc (seq_chain_saved (chain, n));
  }
  if (model->linear) {
    stream->linear =
        seq_work_new (model->linear->chain, BLOCK, n_channels, FALSE);
    seq_config_number (
        model->linear->chain->layers[0]->config, "sensor", &slow);
    stream->slow = slow != 0;
  }
  set_memory (stream, seq_alloc (stream->memory_size / sizeof (real)));
  for (guint l = 0; stream->learners && l < stream->n_lanes; l++)
    stream->learners[l] = seq_learner_new (
        chain, &of_learner, stream->lanes + l * stream->lane_size);
  stream->fingerprint = make_fingerprint (stream);
  init_block (stream);
  seq_stream_restart (stream);
  return stream;
}

void
seq_stream_free (SeqStream *stream)
{
  if (!stream)
    return;
  clear_block (stream);
  for (guint l = 0; stream->learners && l < stream->n_lanes; l++)
    seq_learner_free (stream->learners[l]);
  g_free (stream->learners);
  seq_work_free (stream->work);
  seq_work_free (stream->linear);
  seq_free (stream->saved);
  seq_rest_unref (stream->rest);
  seq_model_unref (stream->model);
  g_free (stream->fingerprint);
  seq_free (stream->memory);
  g_free (stream);
}

SeqModel *
seq_stream_model (SeqStream *stream)
{
  return stream->model;
}

const SeqStreamConfig *
seq_stream_config (SeqStream *stream)
{
  return &stream->config;
}

guint
seq_stream_n_channels (SeqStream *stream)
{
  return stream->n_channels;
}

guint
seq_stream_n_outputs (SeqStream *stream)
{
  return stream->n_outputs;
}

guint
seq_stream_n_knobs (SeqStream *stream)
{
  return stream->n_knobs;
}

/* --- what is carried ------------------------------------------------------ */

static void
finish_turn (Knob *knob)
{
  knob->value = knob->target;
  knob->left = 0;
}

void
seq_stream_set_knob (SeqStream *stream, guint i, double value, guint n_frames)
{
  Knob *knob;

  g_return_if_fail (i < stream->n_knobs);
  knob = &stream->knobs[i];
  value = CLAMP (value, 0, 1);
  if (value == knob->target)
    return;
  knob->target = value;
  knob->left = n_frames;
  if (stream->carried->n_frames == 0)
    finish_turn (knob);
}

void
seq_stream_fade (SeqStream *stream, SeqStream *before, guint n_frames)
{
  g_return_if_fail (stream->n_channels == before->n_channels
                    && stream->n_outputs == before->n_outputs);
  stream->before = n_frames > 0 ? before : NULL;
  stream->n_fade = n_frames;
  stream->n_faded = 0;
}

gboolean
seq_stream_fading (SeqStream *stream)
{
  return stream->before != NULL;
}

/* What is carried goes to its start, in all lanes. */
static void
rewind_lanes (SeqStream *stream)
{
  const SeqChain *chain = stream->model->chain;

  for (guint l = 0; l < stream->n_lanes; l++)
    if (stream->learners)
      seq_learner_rewind (stream->learners[l]);
    else if (stream->rest)
      memcpy (lane_state (stream, l), stream->rest->state,
          chain->n_state * sizeof (real));
    else
      for (guint k = 0; k < stream->n_runs; k++)
        seq_chain_rewind (chain, stream->model->weights,
            lane_state (stream, l) + k * chain->n_state);
}

SeqRest *
seq_stream_set_rest (SeqStream *stream, SeqRest *rest)
{
  SeqRest *before = stream->rest;

  g_return_val_if_fail (!rest || rest->n_knobs == stream->n_knobs, rest);
  stream->rest = rest;
  if (stream->carried->n_frames == 0)
    rewind_lanes (stream);
  return before;
}

void
seq_stream_rewind (SeqStream *stream)
{
  rewind_lanes (stream);
  for (guint c = 0; stream->linear && c < stream->n_channels; c++) {
    seq_chain_rewind (stream->model->linear->chain,
        stream->model->linear->weights, linear_state (stream, c));
    seq_linear_rewind (&stream->channels[c].linear);
  }
  for (guint c = 0; c < stream->n_channels; c++)
    stream->channels[c].range = (SeqRange){ 0 };
  for (guint k = 0; k < stream->n_knobs; k++)
    finish_turn (&stream->knobs[k]);
  stream->before = NULL;
  stream->carried->n_frames = 0;
  stream->carried->n_rewinds++;
}

void
seq_stream_restart (SeqStream *stream)
{
  const SeqModel *model = stream->model;

  memset (stream->carried, 0, sizeof (Carried));
  memset (stream->channels, 0, stream->n_channels * sizeof (Channel));
  for (guint k = 0; k < stream->n_knobs; k++)
    finish_turn (&stream->knobs[k]);
  stream->before = NULL;
  for (guint l = 0; l < stream->n_lanes; l++)
    if (stream->learners)
      seq_learner_start (stream->learners[l], model->weights);
    else
      for (guint k = 0; k < stream->n_runs; k++)
        seq_chain_start (model->chain, model->weights,
            lane_state (stream, l) + k * model->chain->n_state);
  if (stream->rest)
    rewind_lanes (stream);
  for (guint c = 0; stream->linear && c < stream->n_channels; c++) {
    const double *scale =
        model->in_scale + c % stream->n_signal * SEQ_LINEAR_FEATURES;

    seq_chain_start (
        model->linear->chain, model->linear->weights, linear_state (stream, c));
    if (model->normalised)
      seq_linear_set_units (&stream->channels[c].linear,
          1 / scale[SEQ_LINEAR_LEFT], 1 / scale[SEQ_LINEAR_CHANGE]);
  }
}

gboolean
seq_stream_can_adopt (SeqStream *stream, SeqStream *from)
{
  return g_str_equal (stream->fingerprint, from->fingerprint);
}

gboolean
seq_stream_adopt (SeqStream *stream, SeqStream *from)
{
  gpointer memory = stream->memory;

  if (!seq_stream_can_adopt (stream, from))
    return FALSE;
  set_memory (stream, from->memory);
  set_memory (from, memory);
  for (guint l = 0; stream->learners && l < stream->n_lanes; l++)
    seq_learner_resume (stream->learners[l]);
  return TRUE;
}

gsize
seq_stream_state_size (SeqStream *stream)
{
  return stream->memory_size;
}

void
seq_stream_get_state (SeqStream *stream, gpointer bytes)
{
  memcpy (bytes, stream->memory, stream->memory_size);
}

static gboolean
all_finite (const double *values, gsize n)
{
  for (gsize i = 0; i < n; i++)
    if (!isfinite (values[i]))
      return FALSE;
  return TRUE;
}

static gboolean
in_unit (double value)
{
  return value >= 0 && value <= 1;
}

/* Whether memory from outside can be run. */
static gboolean
check_memory (SeqStream *stream)
{
  const SeqChain *chain = stream->model->chain;
  gsize horizon = stream->horizon;

  for (guint c = 0; c < stream->n_channels; c++)
    if (!seq_normaliser_check (&stream->channels[c].normaliser)
        || !seq_surprise_check (&stream->channels[c].surprise)
        || !seq_range_check (&stream->channels[c].range)
        || !seq_linear_check (&stream->channels[c].linear)
        || (stream->linear
            && !seq_chain_check_state (
                stream->model->linear->chain, linear_state (stream, c))))
      return FALSE;
  if (!all_finite (stream->forecasts, horizon * stream->n_outputs)
      || !all_finite (stream->past, horizon * stream->n_channels))
    return FALSE;
  for (guint k = 0; k < stream->n_knobs; k++)
    if (!in_unit (stream->knobs[k].value) || !in_unit (stream->knobs[k].target))
      return FALSE;
  for (guint l = 0; l < stream->n_lanes; l++)
    if (stream->learners && !seq_learner_check (stream->learners[l]))
      return FALSE;
  for (guint l = 0; l < stream->n_lanes; l++)
    for (guint k = 0; k < stream->n_runs; k++)
      if (!seq_chain_check_state (
              chain, lane_state (stream, l) + k * chain->n_state))
        return FALSE;
  return TRUE;
}

/* Goes on from memory that was written from outside. */
static gboolean
resume (SeqStream *stream)
{
  if (!check_memory (stream)) {
    seq_stream_restart (stream);
    return FALSE;
  }
  /* sums may have overflown on the way, and then are figures of nothing */
  for (guint c = 0; c < stream->n_channels; c++)
    if (!seq_channel_sums_check (&stream->channels[c].sums))
      stream->channels[c].sums = (SeqChannelSums){ 0 };
  for (guint l = 0; stream->learners && l < stream->n_lanes; l++)
    seq_learner_resume (stream->learners[l]);
  return TRUE;
}

gboolean
seq_stream_set_state (SeqStream *stream, gconstpointer bytes)
{
  memcpy (stream->memory, bytes, stream->memory_size);
  return resume (stream);
}

gsize
seq_stream_state_size_1 (guint n_channels, gsize size)
{
  return size - SEQ_PAD_BYTES (n_channels * sizeof (Channel))
         + SEQ_PAD_BYTES (n_channels * sizeof (Channel1));
}

gboolean
seq_stream_set_state_1 (SeqStream *stream, gconstpointer bytes)
{
  const guint8 *from = bytes;
  guint8 *end = (guint8 *) stream->memory + stream->memory_size;
  const Channel1 *channels;

  memcpy (stream->carried, from, SEQ_PAD_BYTES (sizeof (Carried)));
  from += SEQ_PAD_BYTES (sizeof (Carried));
  channels = (const Channel1 *) from;
  for (guint c = 0; c < stream->n_channels; c++) {
    Channel1 old;

    memcpy (&old, &channels[c], sizeof old);
    stream->channels[c] = (Channel){
      .normaliser = old.normaliser, .surprise = old.surprise, .sums = old.sums
    };
  }
  from += SEQ_PAD_BYTES (stream->n_channels * sizeof (Channel1));
  memcpy (stream->knobs, from, (gsize) (end - (guint8 *) stream->knobs));
  for (guint l = 0; stream->learners && l < stream->n_lanes; l++)
    seq_learner_convert_1 (stream->learners[l]);
  return resume (stream);
}

/* A model that takes signals as they are, as its state has learnt it: what it
 * knows is of distances to an offset. */
static SeqModel *
learnt_exact (const SeqModel *model, const real *state, GError **error)
{
  const SeqLayer *layer = model->chain->layers[0];
  g_autoptr (SeqModel) learnt =
      seq_model_with_learnt (model, NULL, state, error);
  g_autoptr (SeqBuilder) builder = NULL;
  double offset = 0;

  if (!learnt || model->normalised || !layer->klass->export_offset)
    return g_steal_pointer (&learnt);
  layer->klass->export_offset (layer, state, &offset);
  builder = seq_builder_new_from (learnt);
  seq_builder_set_scales (builder, NULL, &offset, NULL, &offset);
  return seq_builder_finish (builder, error);
}

/* Scales that channels have arrived at. */
typedef struct {
  double *in_scale, *in_shift, *out_scale, *out_shift;
} Scales;

static void
get_scale (SeqStream *stream, guint channel, double *shift, double *scale)
{
  guint k = channel % stream->n_signal;

  if (stream->normalises) {
    seq_normaliser_get (&stream->channels[channel].normaliser, shift, scale);
    return;
  }
  if (stream->linear)
    k *= SEQ_LINEAR_FEATURES;
  *shift = stream->model->in_shift[k];
  *scale = stream->model->in_scale[k];
}

/* Of input k and output k. */
static void
set_scales (SeqStream *stream, guint lane, guint k, const Scales *scales)
{
  guint channel = lane * stream->n_signal + k;
  double shift = 0, scale = 1; /* of knobs */

  if (k < stream->n_signal)
    get_scale (stream, channel, &shift, &scale);
  if (k < stream->model->chain->n_in) {
    scales->in_scale[k] = scale;
    scales->in_shift[k] = shift;
  }
  if (k < stream->model->n_out) {
    scales->out_scale[k] = 1 / scale;
    scales->out_shift[k] = shift;
  }
}

/* Of the only channel of a net around a linear forecaster. */
static void
set_scales_of_net (SeqStream *stream, guint lane, const Scales *scales)
{
  const SeqLinear *linear = &stream->channels[lane].linear;

  for (guint i = 1; i < SEQ_LINEAR_FEATURES; i++)
    scales->in_scale[i] = 1 / seq_linear_unit (linear, i >= SEQ_LINEAR_CHANGE);
  get_scale (stream, lane, &scales->in_shift[0], &scales->in_scale[0]);
  scales->out_scale[0] = seq_linear_unit (linear, stream->slow);
}

SeqModel *
seq_stream_learnt_model (SeqStream *stream, guint lane, GError **error)
{
  const SeqModel *model = stream->model;
  guint n_in = model->chain->n_in, n_out = model->n_out;
  g_autoptr (SeqModel) learnt = NULL, linear = NULL;
  g_autoptr (SeqBuilder) builder = NULL;
  g_autofree double *values = g_new0 (double, 2 * (n_in + n_out));
  Scales scales = { values, values + n_in, values + 2 * n_in,
    values + 2 * n_in + n_out };

  if (stream->exact)
    return learnt_exact (model, lane_state (stream, lane), error);
  if (stream->linear && stream->n_signal > 1) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "the net stands around %u linear forecasters; expected 1, which is all "
        "that a file can hold: save its state, or set linear=off",
        stream->n_signal);
    return NULL;
  }
  learnt = seq_model_with_learnt (model,
      stream->learners ? stream->learners[lane]->weights : NULL,
      lane_state (stream, lane), error);
  if (!learnt || !(stream->normalises || stream->linear))
    return g_steal_pointer (&learnt);
  builder = seq_builder_new_from (learnt);
  if (stream->linear) {
    linear = learnt_exact (model->linear, linear_state (stream, lane), error);
    if (!linear)
      return NULL;
    seq_builder_set_linear (builder, linear);
    set_scales_of_net (stream, lane, &scales);
  } else {
    for (guint k = 0; k < MAX (n_in, n_out); k++)
      set_scales (stream, lane, k, &scales);
  }
  seq_builder_set_scales (builder, scales.in_scale, scales.in_shift,
      scales.out_scale, scales.out_shift);
  return seq_builder_finish (builder, error);
}

/* --- processing: the steps of a block, in their order --------------------- */

/* How many of the next n frames no forecast was made for. */
static guint
count_without_forecast (const SeqStream *stream, guint n)
{
  guint64 frame = stream->carried->n_frames;
  guint horizon = stream->config.horizon;

  if (!stream->comparable)
    return n;
  return frame < horizon ? (guint) MIN (horizon - frame, n) : 0;
}

/* Puts the forecast, or else the mean, in the place of samples of the first
 * frame that are not finite. */
static void
fill_in (SeqStream *stream, Block *b)
{
  guint h = stream->config.horizon;

  for (guint c = 0; c < stream->n_channels; c++) {
    double *x = b->x + c * BLOCK;

    b->valid[c] = isfinite (*x) != 0;
    if (b->valid[c])
      continue;
    if (h > 0 && !count_without_forecast (stream, 1))
      *x = stream->forecasts[(gsize) c * h + stream->carried->n_frames % h];
    else
      *x = stream->channels[c].normaliser.mean;
    stream->carried->n_non_finite++;
  }
}

/* Reads b->n frames from `from` on, or fewer: up to one that is not finite,
 * which has to wait for the forecast of the frame before it. */
static void
read_frames (SeqStream *stream, Block *b, const SeqSignal *in, gsize from)
{
  guint n_finite = b->n;

  for (guint c = 0; c < stream->n_channels; c++) {
    double *x = b->x + c * BLOCK;
    guint t = 0;

    seq_samples_read (in, c, from, b->n, x);
    while (t < n_finite && isfinite (x[t]))
      t++;
    n_finite = t;
    b->valid[c] = TRUE;
  }
  b->n = n_finite;
  if (G_UNLIKELY (n_finite == 0)) {
    b->n = 1;
    fill_in (stream, b);
  }
}

/* How each frame of a channel is scaled. */
static void
choose_scale (SeqStream *stream, Block *b, guint c)
{
  SeqNormaliser *normaliser = &stream->channels[c].normaliser;
  double *shift = b->shift + c * BLOCK, *scale = b->scale + c * BLOCK;

  if (b->learns && stream->normalises && b->valid[c]) {
    seq_normaliser_learn (normaliser, b->x + c * BLOCK, b->n, shift, scale);
    return;
  }
  get_scale (stream, c, shift, scale);
  for (guint t = 1; t < b->n; t++) {
    shift[t] = shift[0];
    scale[t] = scale[0];
  }
}

/* One frame of a straight line to the target. */
static double
turn (Knob *knob)
{
  if (knob->left == 1)
    finish_turn (knob);
  else if (knob->left > 0)
    knob->value += (knob->target - knob->value) / (double) knob->left--;
  return knob->value;
}

/* The inputs of the chain, from samples and knobs. */
static void
scale_inputs (SeqStream *stream, Block *b)
{
  guint n_signal = stream->n_signal;
  gsize stride = SEQ_PAD (stream->model->chain->n_in);
  gsize next = stream->n_lanes * stride;

  for (guint c = 0; c < stream->n_channels; c++) {
    const double *x = b->x + c * BLOCK;
    const double *shift = b->shift + c * BLOCK, *scale = b->scale + c * BLOCK;
    real *u = b->in + c / n_signal * stride + c % n_signal;

    choose_scale (stream, b, c);
    for (guint t = 0; t < b->n; t++)
      u[t * next] = (real) CLAMP ((x[t] - shift[t]) * scale[t], -LIMIT, LIMIT);
    for (guint t = 0; stream->exact && t < b->n; t++)
      b->exact[t * stream->n_channels + c] = (x[t] - shift[t]) * scale[t];
  }
  for (guint i = 0; i < stream->n_knobs; i++) {
    guint k = n_signal + i;
    double shift = stream->model->in_shift[k];
    double scale = stream->model->in_scale[k];

    for (guint t = 0; t < b->n; t++) {
      double u = (turn (&stream->knobs[i]) - shift) * scale;

      for (guint lane = 0; lane < stream->n_lanes; lane++)
        b->in[t * next + lane * stride + k] = (real) u;
    }
  }
}

/* The right forecast of each frame: the signal, or with a skip connection its
 * change since a horizon before. A layer that learns in its state does not
 * learn from frames that have no frame a horizon before them. */
static void
set_targets (SeqStream *stream, Block *b)
{
  const SeqChain *chain = stream->model->chain;
  guint n_signal = stream->n_signal, channels = stream->n_channels;
  guint n_lanes = stream->n_lanes, h = stream->horizon;
  guint skip = chain->skip;
  guint64 frame = stream->carried->n_frames;
  guint at = (guint) (frame % h);

  for (guint t = 0; t < b->n; t++, at = at + 1 < h ? at + 1 : 0)
    for (guint lane = 0; lane < n_lanes; lane++) {
      gsize row = (gsize) t * n_lanes + lane;
      const real *u = b->in + row * SEQ_PAD (chain->n_in);
      double *past = stream->past + (gsize) at * channels + lane * n_signal;
      real *target = b->target + row * SEQ_PAD (chain->n_out);
      guint8 *valid = &b->lane_valid[row];

      for (guint k = 0; k < MIN (n_signal, chain->n_out); k++)
        target[k] = (real) (u[k]
                            - (skip == 1   ? past[0]
                                : k < skip ? past[k]
                                           : 0));
      *valid = !(skip && seq_chain_learns (chain)) || frame + t >= h;
      for (guint k = 0; k < n_signal; k++) {
        past[k] = u[k];
        *valid &= b->valid[lane * n_signal + k];
      }
    }
}

/* A channel on its way round the net. */
static SeqLinearBlock
linear_block (SeqStream *stream, Block *b, guint c)
{
  const SeqChain *chain = stream->model->chain;
  guint lane = c / stream->n_signal, k = c % stream->n_signal;
  gsize in_stride = SEQ_PAD (chain->n_in), out_stride = SEQ_PAD (chain->n_out);

  return (SeqLinearBlock){
    .n_frames = b->n,
    .learns = b->learns,
    .valid = b->valid[c],
    .slow = stream->slow,
    .x = b->x + c * BLOCK,
    .shift = b->shift + c * BLOCK,
    .scale = b->scale + c * BLOCK,
    .p = b->exact_out + c,
    .p_stride = stream->n_channels,
    .unit = b->unit + c * BLOCK,
    .in = b->in + lane * in_stride + k * SEQ_LINEAR_FEATURES,
    .in_stride = stream->n_lanes * in_stride,
    .target = b->target + lane * out_stride + k,
    .target_stride = stream->n_lanes * out_stride,
    .judged = b->lane_valid + lane,
    .judged_stride = stream->n_lanes,
  };
}

/* The linear forecasts, and from what they leave the inputs and targets of the
 * nets around them. */
static void
run_linear (SeqStream *stream, Block *b)
{
  const SeqModel *linear = stream->model->linear;
  SeqPass pass = { .n_frames = b->n,
    .weights = linear->weights,
    .state = stream->linear_states,
    .target = b->learns ? b->target : NULL,
    .valid = b->n == 1 ? b->valid : NULL, /* of more all are */
    .exact = b->exact,
    .exact_out = b->exact_out };

  for (guint c = 0; c < stream->n_channels; c++)
    for (guint t = 0; t < b->n; t++)
      b->exact[t * stream->n_channels + c] =
          (b->x[c * BLOCK + t] - linear->in_shift[0]) * linear->in_scale[0];
  seq_chain_run (linear->chain, stream->linear, &pass);
  for (guint i = 0; i < b->n * stream->n_channels; i++)
    b->exact_out[i] =
        b->exact_out[i] * linear->out_scale[0] + linear->out_shift[0];
  memset (b->lane_valid, 1, (gsize) b->n * stream->n_lanes);
  for (guint c = 0; c < stream->n_channels; c++) {
    SeqLinearBlock block = linear_block (stream, b, c);

    choose_scale (stream, b, c);
    seq_linear_feed (&stream->channels[c].linear, &block);
  }
}

static void
mix_linear (SeqStream *stream, Block *b)
{
  const SeqChain *chain = stream->model->chain;
  gsize stride = SEQ_PAD (chain->n_out), next = stream->n_lanes * stride;

  for (guint c = 0; c < stream->n_channels; c++) {
    SeqLinearBlock block = linear_block (stream, b, c);
    const real *out =
        b->out + c / stream->n_signal * stride + c % stream->n_signal;

    seq_linear_mix (
        &stream->channels[c].linear, &block, out, next, b->y + c * BLOCK);
  }
}

static void
run_learners (SeqStream *stream, Block *b)
{
  const SeqChain *chain = stream->model->chain;
  guint lanes = stream->n_lanes;
  gsize in_stride = SEQ_PAD (chain->n_in), out_stride = SEQ_PAD (chain->n_out);

  for (guint l = 0; l < lanes; l++)
    seq_learner_run (stream->learners[l],
        &(SeqLearnerBlock){ .n_frames = b->n,
            .in = b->in + l * in_stride,
            .in_stride = lanes * in_stride,
            .target = b->target + l * out_stride,
            .target_stride = lanes * out_stride,
            .valid = b->lane_valid + l,
            .valid_stride = lanes,
            .out = b->out + l * out_stride,
            .out_stride = lanes * out_stride },
        b->learns);
}

static void
run_chain (SeqStream *stream, Block *b)
{
  const SeqChain *chain = stream->model->chain;
  SeqPass pass = { .n_frames = b->n,
    .weights = stream->model->weights,
    .state = (real *) stream->lanes,
    .target = b->learns ? b->target : NULL,
    .target_stride = SEQ_PAD (chain->n_out),
    .valid = b->lane_valid,
    .score = b->bits,
    .exact = stream->exact ? b->exact : NULL,
    .exact_out = stream->exact ? b->exact_out : NULL };

  seq_chain_run_safely (chain, stream->work, &pass, stream->saved);
}

/* A model with a window: one run begins at each frame, all go on by it, and the
 * oldest gives its output and ends. */
static void
run_windows (SeqStream *stream, Block *b)
{
  const SeqChain *chain = stream->model->chain;
  SeqWork *work = stream->work;
  guint n = stream->n_runs, lanes = stream->n_lanes;
  gsize in_stride = work->in_stride, out_stride = work->out_stride;
  SeqPass pass = { .n_frames = 1,
    .weights = stream->model->weights,
    .state = (real *) stream->lanes };

  for (guint t = 0; t < b->n; t++) {
    guint64 frame = stream->carried->n_frames + t;
    guint first = (guint) (frame % n);
    guint oldest = frame < n ? 0 : (first + 1) % n;

    for (guint l = 0; l < lanes; l++) {
      const real *x = b->in + ((gsize) t * lanes + l) * in_stride;

      seq_chain_rewind (chain, stream->model->weights,
          lane_state (stream, l) + first * chain->n_state);
      for (guint k = 0; k < n; k++)
        memcpy (work->in + ((gsize) l * n + k) * in_stride, x,
            chain->n_in * sizeof (real));
    }
    seq_chain_run_safely (chain, work, &pass, stream->saved);
    for (guint l = 0; l < lanes; l++)
      memcpy (b->out + ((gsize) t * lanes + l) * out_stride,
          work->out + ((gsize) l * n + oldest) * out_stride,
          chain->n_out * sizeof (real));
  }
}

/* Forecasts or outputs in the stream's own units. */
static void
unscale_outputs (SeqStream *stream, Block *b)
{
  const SeqModel *model = stream->model;
  guint n_out = model->chain->n_out;
  gsize stride = SEQ_PAD (n_out), next = stream->n_lanes * stride;

  for (guint o = 0; o < stream->n_outputs; o++) {
    const real *u = b->out + o / n_out * stride + o % n_out;
    double *y = b->y + o * BLOCK;

    /* a layer that learns in its state may have come to anything */
    for (guint t = 0; t < b->n; t++) {
      y[t] =
          stream->exact ? b->exact_out[t * stream->n_outputs + o] : u[t * next];
      y[t] = isfinite (y[t]) ? y[t] : 0;
    }
    if (stream->normalises && stream->comparable) {
      const double *shift = b->shift + o * BLOCK, *scale = b->scale + o * BLOCK;

      for (guint t = 0; t < b->n; t++)
        y[t] = y[t] / scale[t] + shift[t];
    } else {
      double shift = model->out_shift[o % n_out];
      double scale = model->out_scale[o % n_out];

      for (guint t = 0; t < b->n; t++)
        y[t] = y[t] * scale + shift;
    }
  }
}

/* Residuals of a channel, 0 for the frames before `first`; then the forecasts
 * of this block take their place in the ring. */
static void
compare (SeqStream *stream, Block *b, guint c, guint first)
{
  guint n = b->n, h = stream->config.horizon;
  const double *x = b->x + c * BLOCK, *y = b->y + c * BLOCK;
  double *r = b->residual + c * BLOCK,
         *ring = stream->forecasts + (gsize) c * h;
  guint at = h ? (guint) (stream->carried->n_frames % h) : 0;

  if (stream->comparable) {
    for (guint t = 0; t < MIN (h, n); t++)
      r[t] = x[t] - ring[at + t < h ? at + t : at + t - h];
    for (guint t = h; t < n; t++)
      r[t] = x[t] - y[t - h];
    for (guint t = n > h ? n - h : 0; t < n && h > 0; t++)
      ring[(at + t) % h] = y[t];
  }
  for (guint t = 0; t < first; t++)
    r[t] = 0;
}

/* Scores of a channel, and statistics, over the frames from `first` on, which
 * have a residual. */
static void
judge (SeqStream *stream, Block *b, guint c, guint first)
{
  const SeqChain *chain = stream->model->chain;
  Channel *channel = &stream->channels[c];
  const double *x = b->x + c * BLOCK + first;
  const double *r = b->residual + c * BLOCK + first;
  double *score = b->score + c * BLOCK;
  guint n = b->n - first;

  for (guint t = 0; t < first; t++)
    score[t] = 0;
  if (n == 0)
    return;
  score += first;
  seq_surprise_learn (&channel->surprise, r, n, score);
  if (chain->layers[chain->n_layers - 1]->klass->kind.flags & SEQ_KIND_SCORES)
    for (guint t = 0; t < n; t++)
      score[t] = b->bits[(first + t) * stream->n_lanes + c / stream->n_signal];
  else
    seq_surprise_score (r, n, score);
  seq_channel_sums_add (&channel->sums, x, r, score, n);
}

/* The output cross-fades linearly from that of `from`. */
static void
fade (SeqStream *stream, Block *b, const Block *from)
{
  for (guint t = 0; t < b->n && stream->n_faded < stream->n_fade; t++) {
    double w = ++stream->n_faded / (stream->n_fade + 1.0);

    for (guint i = t; i < stream->n_outputs * BLOCK; i += BLOCK)
      b->y[i] += (1 - w) * (from->y[i] - b->y[i]);
    for (guint i = t; i < stream->n_channels * BLOCK; i += BLOCK) {
      b->residual[i] += (1 - w) * (from->residual[i] - b->residual[i]);
      b->score[i] += (1 - w) * (from->score[i] - b->score[i]);
    }
  }
  if (stream->n_faded == stream->n_fade)
    stream->before = NULL;
}

/* Goes over n frames, at most BLOCK, or fewer; returns them with all that they
 * gave. */
static Block *
run_frames (
    SeqStream *stream, const SeqSignal *in, gsize from, guint n, gboolean learn)
{
  Block *b = &stream->block;

  b->n = n;
  b->learns = learn;
  read_frames (stream, b, in, from);
  if (stream->linear) {
    run_linear (stream, b);
  } else {
    scale_inputs (stream, b);
    if (learn || seq_chain_learns (stream->model->chain))
      set_targets (stream, b);
  }
  if (stream->learners)
    run_learners (stream, b);
  else if (stream->model->window)
    run_windows (stream, b);
  else
    run_chain (stream, b);
  if (stream->linear)
    mix_linear (stream, b);
  else
    unscale_outputs (stream, b);
  if (stream->config.clamp && stream->comparable)
    for (guint c = 0; c < stream->n_channels; c++)
      seq_range_clamp (&stream->channels[c].range, b->x + c * BLOCK, b->n,
          stream->horizon, b->y + c * BLOCK);
  for (guint c = 0; c < stream->n_channels; c++) {
    guint first = b->valid[c] ? count_without_forecast (stream, b->n) : b->n;

    compare (stream, b, c, first);
    judge (stream, b, c, first);
  }
  stream->carried->n_frames += b->n;
  stream->carried->n_total += b->n;
  if (G_UNLIKELY (stream->before))
    /* the input decides where a block stops: this one stops there, too */
    fade (stream, b, run_frames (stream->before, in, from, b->n, FALSE));
  return b;
}

/* --- output --------------------------------------------------------------- */

/* A channel of the prediction, mixed with the input that it replaces. */
static void
write_prediction (const SeqStream *stream, Block *b, const SeqSignal *signal,
    guint o, gsize from, double mix_from, double mix_step)
{
  double *y = b->y + o * BLOCK;
  const double *x = b->x + o * BLOCK;

  if (mix_from != 1 || mix_step != 0)
    for (guint t = 0; t < b->n; t++) {
      double mix = mix_from + mix_step * (double) (from + t);

      y[t] = y[t] * mix + (stream->comparable ? (1 - mix) * x[t] : 0);
    }
  seq_samples_write (signal, o, from, b->n, y);
}

static void
write_score (Block *b, const SeqSignal *signal, guint c, gsize from)
{
  double *score = b->score + c * BLOCK;
  double unit = signal->format <= SEQ_FORMAT_S32 ? 1 / 256.0 : 1;

  for (guint t = 0; t < b->n; t++)
    score[t] *= unit;
  seq_samples_write (signal, c, from, b->n, score);
}

void
seq_stream_process (SeqStream *stream, const SeqSignal *in,
    const SeqSignal *const outputs[SEQ_N_OUTPUTS], gsize n_frames,
    double mix_from, double mix_to, SeqProcessFlags flags)
{
  gboolean learn = stream->config.learn != SEQ_LEARN_OFF
                   && !(flags & SEQ_PROCESS_NO_LEARNING);
  double mix_step = n_frames ? (mix_to - mix_from) / (double) n_frames : 0;
  const SeqSignal *input = outputs[SEQ_OUTPUT_INPUT];
  const SeqSignal *prediction = outputs[SEQ_OUTPUT_PREDICTION];
  const SeqSignal *residual = outputs[SEQ_OUTPUT_RESIDUAL];
  const SeqSignal *score = outputs[SEQ_OUTPUT_SCORE];
  guint64 ftz = seq_ftz_begin ();

  for (gsize from = 0; from < n_frames;) {
    Block *b = run_frames (
        stream, in, from, (guint) MIN (BLOCK, n_frames - from), learn);

    for (guint c = 0; c < stream->n_channels; c++) {
      if (input)
        seq_samples_copy (input, in, c, from, b->n);
      if (residual)
        seq_samples_write (residual, c, from, b->n, b->residual + c * BLOCK);
      if (score)
        write_score (b, score, c, from);
    }
    for (guint o = 0; prediction && o < stream->n_outputs; o++)
      write_prediction (stream, b, prediction, o, from, mix_from, mix_step);
    from += b->n;
  }
  seq_ftz_end (ftz);
}

void
seq_stream_stats (SeqStream *stream, gboolean restart, SeqStreamStats *stats)
{
  Carried *carried = stream->carried;

  stats->n_frames = carried->n_total;
  stats->n_non_finite = carried->n_non_finite;
  stats->n_rewinds = carried->n_rewinds;
  stats->n_updates = stats->n_rollbacks = 0;
  for (guint l = 0; stream->learners && l < stream->n_lanes; l++) {
    stats->n_updates += stream->learners[l]->numbers->n_updates;
    stats->n_rollbacks += stream->learners[l]->numbers->n_rollbacks;
  }
  for (guint c = 0; c < stream->n_channels; c++) {
    SeqChannelSums *sums = &stream->channels[c].sums;

    stats->channels[c] = seq_channel_sums_stats (sums);
    if (restart)
      *sums = (SeqChannelSums){ 0 };
  }
}
