/* stream.c: a model at work on a stream of channels.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Everything that is learnt or carried lies in one block of memory:
 *
 *   Carried | Channel [n_channels] | Knob [n_knobs]
 *   | forecasts [n_outputs][horizon] | past inputs [horizon][n_channels]
 *   | one part a lane
 *
 * where a lane's part is its chain state, or its learner's memory. So a
 * snapshot is one copy, and a stream of the same shape takes over from another
 * by exchanging pointers.
 *
 * A model that looks ahead and came without scales of its own gets running
 * normalisation: mean and variance of each channel over all it has learnt
 * from (Welford 1962), with outliers clipped and, when they keep coming,
 * believed: then older samples count for less. Effects are not scaled, nor
 * are models from a file, which know what they were trained on.
 */
#include "src/live/stream.h"
#include "src/builder.h"
#include "src/cpu.h"
#include "src/live/learner.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define BLOCK 64             /* frames that go through the chain at once */
#define MEMORY_MAX (1 << 20) /* frames that the normalisation looks back */
#define OUTLIER 8.0          /* standard deviations */
#define LIMIT 1e4            /* of a normalised input */
#define SCORE_MEMORY 1024    /* frames of the residual's running RMS */
#define SCORE_LIMIT 1e6

/* One channel's share of what is carried. */
typedef struct {
  double n_seen, mean, variance, last; /* normalisation */
  double residual_power;               /* running, for the score */
  guint64 n_residuals;
  /* statistics since they were last taken, over frames with a forecast;
   * sums are of the distance to the first sample, against cancellation */
  guint64 n_stat;
  double first, sum, sum_squares, residual_squares, score_peak;
} Channel;

/* A conditioning input on its way. */
typedef struct {
  double value, target;
  guint64 left; /* frames until it arrives */
} Knob;

typedef struct {
  guint64 n_frames; /* since the state was at its start */
  guint64 n_total, n_non_finite, n_rewinds;
} Carried;

struct _SeqStream {
  SeqModel *model;
  SeqStreamConfig config;
  char *shape; /* equal for streams that can swap memory */
  guint n_channels, n_outputs, n_lanes;
  guint n_signal;                 /* channels a lane */
  guint n_knobs;                  /* inputs of the model past those */
  guint horizon;                  /* of the rings; at least 1 */
  gboolean running;               /* normalisation */
  gboolean predicts;              /* outputs can be compared with inputs */
  SeqWork *work;                  /* all lanes; not with a gradient learner */
  real *saved;                    /* for seq_chain_run_safely() with it */
  SeqLearner **learners;          /* one a lane, or NULL */
  real *learner_in, *learner_out; /* [BLOCK][lane][padded width] */
  SeqStream *before;              /* fades out, or NULL */
  guint n_fade, faded;            /* frames */
  /* scratch of one block: a row of BLOCK frames a channel or output */
  double *x, *y, *r, *score, *shift, *scale;
  /* and by frames, as layers want it: [BLOCK][lane] */
  real *target, *bits;
  gsize target_stride;
  guint8 *lane_valid;
  guint8 *valid; /* [n_channels]; a frame that isn't is a block of its own */
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
};

static gsize
padded (gsize bytes)
{
  return (bytes + SEQ_ALIGN - 1) / SEQ_ALIGN * SEQ_ALIGN;
}

static real *
lane_state (SeqStream *stream, guint lane)
{
  return stream->learners ? stream->learners[lane]->state
                          : (real *) (stream->lanes + lane * stream->lane_size);
}

static void
set_memory (SeqStream *stream, gpointer memory)
{
  guint8 *at = memory;

  stream->memory = memory;
  stream->carried = (Carried *) at;
  at += padded (sizeof (Carried));
  stream->channels = (Channel *) at;
  at += padded (stream->n_channels * sizeof (Channel));
  stream->knobs = (Knob *) at;
  at += padded (stream->n_knobs * sizeof (Knob));
  stream->forecasts = (double *) at;
  at += padded ((gsize) stream->horizon * stream->n_outputs * sizeof (double));
  stream->past = (double *) at;
  at += padded ((gsize) stream->horizon * stream->n_channels * sizeof (double));
  stream->lanes = at;
  if (stream->learners)
    for (guint l = 0; l < stream->n_lanes; l++)
      if (stream->learners[l])
        seq_learner_set_memory (
            stream->learners[l], stream->lanes + l * stream->lane_size);
}

/* What two streams must have in common to take over from each other. */
static char *
describe_shape (const SeqStream *stream)
{
  const SeqChain *chain = stream->model->chain;
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < chain->n_layers; i++) {
    g_autofree char *config = g_variant_print (chain->layers[i]->config, TRUE);

    g_string_append_printf (
        text, "%s %s; ", chain->layers[i]->klass->kind.name, config);
  }
  g_checksum_update (
      sum, (guchar *) stream->model->weights, chain->n_weights * sizeof (real));
  g_string_append_printf (text,
      "%s residual %u channels %u lanes %u learner %d window %u horizon %u",
      g_checksum_get_string (sum), chain->skip, stream->n_channels,
      stream->n_lanes, stream->learners != NULL,
      stream->learners ? stream->config.window : 0, stream->config.horizon);
  return g_string_free (text, FALSE);
}

/* Whether gradient descent has anything to do: a single layer that learns in
 * its state (ar, markov, naive) has nothing before it. */
static gboolean
descends (const SeqModel *model, const SeqStreamConfig *config)
{
  return (config->learn == SEQ_LEARN_GRADIENT
             || config->learn == SEQ_LEARN_BOTH)
         && !(model->chain->n_layers == 1 && seq_chain_learns (model->chain));
}

SeqStream *
seq_stream_new (SeqModel *model, guint n_channels,
    const SeqStreamConfig *config, GError **error)
{
  const SeqChain *chain = model->chain;
  g_autoptr (SeqStream) stream = NULL;
  SeqChannelMode mode = config->channel_mode;
  guint n_signal = model->n_signal;
  gsize rows;
  SeqLearnerConfig learner_config = { .rate = config->learning_rate,
    .window = config->window,
    .horizon = config->horizon };

  g_return_val_if_fail (n_channels > 0, NULL);
  if (mode == SEQ_CHANNELS_AUTO)
    mode =
        n_signal == n_channels ? SEQ_CHANNELS_JOINT : SEQ_CHANNELS_INDEPENDENT;
  if (mode == SEQ_CHANNELS_JOINT && n_channels == chain->n_in)
    n_signal = chain->n_in;
  if (mode == SEQ_CHANNELS_JOINT ? n_channels != n_signal
                                 : n_channels % n_signal != 0) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE,
        "the model wants %u channels%s, the stream has %u", n_signal,
        mode == SEQ_CHANNELS_JOINT ? "" : " or a multiple of it", n_channels);
    return NULL;
  }
  if (descends (model, config))
    for (guint i = 0; i < chain->n_layers; i++) {
      const SeqLayerClass *klass = chain->layers[i]->klass;

      if (!(klass->kind.flags & SEQ_KIND_TRAINS)) {
        g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
            "the layer %s has no gradient to learn by", klass->kind.name);
        return NULL;
      }
      if (chain->layers[i]->quantised) {
        g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
            "layer %u, %s, has its weights in %s and cannot learn by gradient",
            i, klass->kind.name, seq_layer_precision (chain->layers[i]));
        return NULL;
      }
    }
  if ((config->learn == SEQ_LEARN_READOUT || config->learn == SEQ_LEARN_BOTH)
      && !seq_chain_learns (chain)) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "learn=readout: the model does not end in a readout");
    return NULL;
  }
  if (config->learn != SEQ_LEARN_OFF
      && (config->horizon < 1 || chain->n_out != n_signal)) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "to learn from the stream alone a model must forecast its own input: "
        "horizon is %u where 1 or more is needed, outputs are %u where %u are "
        "needed",
        config->horizon, chain->n_out, n_signal);
    return NULL;
  }

  stream = g_new0 (SeqStream, 1);
  stream->model = seq_model_ref (model);
  stream->config = *config;
  stream->n_channels = n_channels;
  stream->n_signal = n_signal;
  stream->n_knobs = chain->n_in - n_signal;
  stream->n_lanes = n_channels / n_signal;
  stream->n_outputs = stream->n_lanes * chain->n_out;
  stream->predicts = stream->n_outputs == n_channels;
  stream->horizon = MAX (config->horizon, 1);
  stream->running = config->horizon > 0 && !model->normalised
                    && g_str_equal (model->format, "untrained");
  if (descends (model, config)) {
    stream->learners = g_new0 (SeqLearner *, stream->n_lanes);
    stream->lane_size = seq_learner_carried (chain, &learner_config);
  } else {
    stream->lane_size = chain->n_state * sizeof (real);
    stream->work = seq_work_new (chain, BLOCK, stream->n_lanes, FALSE);
    stream->saved = seq_alloc (seq_chain_saved (chain, stream->n_lanes));
  }

  stream->memory_size =
      padded (sizeof (Carried)) + padded (n_channels * sizeof (Channel))
      + padded (stream->n_knobs * sizeof (Knob))
      + padded ((gsize) stream->horizon * stream->n_outputs * sizeof (double))
      + padded ((gsize) stream->horizon * n_channels * sizeof (double))
      + padded (stream->n_lanes * stream->lane_size);
  set_memory (stream, seq_alloc (stream->memory_size / sizeof (real)));
  if (stream->learners) {
    for (guint l = 0; l < stream->n_lanes; l++)
      stream->learners[l] = seq_learner_new (
          chain, &learner_config, stream->lanes + l * stream->lane_size);
    stream->learner_in =
        seq_alloc (BLOCK * stream->n_lanes * SEQ_PAD (chain->n_in));
    stream->learner_out =
        seq_alloc (BLOCK * stream->n_lanes * SEQ_PAD (chain->n_out));
  }
  stream->shape = describe_shape (stream);

  rows = (gsize) BLOCK * n_channels;
  stream->x = g_new0 (double, rows);
  stream->r = g_new0 (double, rows);
  stream->score = g_new0 (double, rows);
  stream->shift = g_new0 (double, rows);
  stream->scale = g_new0 (double, rows);
  stream->y = g_new0 (double, (gsize) BLOCK * stream->n_outputs);
  stream->target_stride = SEQ_PAD (chain->n_out);
  stream->target = seq_alloc (BLOCK * stream->n_lanes * stream->target_stride);
  stream->bits = seq_alloc (BLOCK * stream->n_lanes);
  stream->valid = g_new0 (guint8, n_channels);
  stream->lane_valid = g_new0 (guint8, (gsize) BLOCK * stream->n_lanes);
  seq_stream_restart (stream);
  return g_steal_pointer (&stream);
}

void
seq_stream_free (SeqStream *stream)
{
  if (!stream)
    return;
  for (guint l = 0; stream->learners && l < stream->n_lanes; l++)
    seq_learner_free (stream->learners[l]);
  g_free (stream->learners);
  seq_free (stream->learner_in);
  seq_free (stream->learner_out);
  seq_work_free (stream->work);
  seq_free (stream->saved);
  seq_model_unref (stream->model);
  g_free (stream->shape);
  g_free (stream->x);
  g_free (stream->y);
  g_free (stream->r);
  g_free (stream->score);
  g_free (stream->shift);
  g_free (stream->scale);
  seq_free (stream->target);
  seq_free (stream->bits);
  g_free (stream->valid);
  g_free (stream->lane_valid);
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
seq_stream_n_lanes (SeqStream *stream)
{
  return stream->n_lanes;
}

static void
arrive (Knob *p)
{
  p->value = p->target;
  p->left = 0;
}

guint
seq_stream_n_knobs (SeqStream *stream)
{
  return stream->n_knobs;
}

void
seq_stream_set_knob (SeqStream *stream, guint i, double value, guint n_frames)
{
  Knob *p;

  g_return_if_fail (i < stream->n_knobs);
  p = &stream->knobs[i];
  value = CLAMP (value, 0, 1);
  if (value == p->target)
    return;
  p->target = value;
  p->left = n_frames;
  if (stream->carried->n_frames == 0)
    arrive (p);
}

void
seq_stream_fade (SeqStream *stream, SeqStream *before, guint n_frames)
{
  g_return_if_fail (stream->n_channels == before->n_channels
                    && stream->n_outputs == before->n_outputs);
  stream->before = n_frames > 0 ? before : NULL;
  stream->n_fade = n_frames;
  stream->faded = 0;
}

gboolean
seq_stream_fading (SeqStream *stream)
{
  return stream->before != NULL;
}

void
seq_stream_rewind (SeqStream *stream)
{
  const SeqChain *chain = stream->model->chain;

  for (guint l = 0; l < stream->n_lanes; l++)
    if (stream->learners)
      seq_learner_rewind (stream->learners[l]);
    else
      seq_chain_rewind (chain, stream->model->weights, lane_state (stream, l));
  for (guint k = 0; k < stream->n_knobs; k++)
    arrive (&stream->knobs[k]);
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
    arrive (&stream->knobs[k]);
  stream->before = NULL;
  for (guint l = 0; l < stream->n_lanes; l++)
    if (stream->learners)
      seq_learner_start (stream->learners[l], model->weights);
    else
      seq_chain_start (model->chain, model->weights, lane_state (stream, l));
}

gboolean
seq_stream_adopt (SeqStream *stream, SeqStream *from)
{
  gpointer memory = stream->memory;

  if (!g_str_equal (stream->shape, from->shape))
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

/* Whether memory from outside can be run. */
static gboolean
check_memory (SeqStream *stream)
{
  const SeqChain *chain = stream->model->chain;

  for (guint c = 0; c < stream->n_channels; c++) {
    const Channel *channel = &stream->channels[c];

    if (!(channel->n_seen >= 0 && channel->n_seen <= MEMORY_MAX)
        || !isfinite (channel->mean) || !(channel->variance >= 0)
        || !isfinite (channel->variance) || !(channel->residual_power >= 0))
      return FALSE;
  }
  for (gsize i = 0; i < (gsize) stream->horizon * stream->n_outputs; i++)
    if (!isfinite (stream->forecasts[i]))
      return FALSE;
  for (gsize i = 0; i < (gsize) stream->horizon * stream->n_channels; i++)
    if (!isfinite (stream->past[i]))
      return FALSE;
  for (guint k = 0; k < stream->n_knobs; k++)
    if (!(stream->knobs[k].value >= 0 && stream->knobs[k].value <= 1
            && stream->knobs[k].target >= 0 && stream->knobs[k].target <= 1))
      return FALSE;
  for (guint l = 0; l < stream->n_lanes; l++)
    if ((stream->learners && !seq_learner_check (stream->learners[l]))
        || !seq_chain_check_state (chain, lane_state (stream, l)))
      return FALSE;
  return TRUE;
}

gboolean
seq_stream_set_state (SeqStream *stream, gconstpointer bytes)
{
  memcpy (stream->memory, bytes, stream->memory_size);
  if (!check_memory (stream)) {
    seq_stream_restart (stream);
    return FALSE;
  }
  for (guint l = 0; stream->learners && l < stream->n_lanes; l++)
    seq_learner_resume (stream->learners[l]);
  return TRUE;
}

static double
scale_of (const Channel *c)
{
  /* never below what a double can tell apart at that mean */
  return MAX (sqrt (c->variance), fabs (c->mean) * 1e-12 + 1e-30);
}

/* How a channel is scaled at this moment: u = (x - shift) * scale. */
static void
in_scale (const SeqStream *stream, guint channel, double *shift, double *scale)
{
  const Channel *c = &stream->channels[channel];
  guint i = channel % stream->n_signal;

  if (stream->running) {
    *shift = c->mean;
    *scale = c->n_seen < 2 ? 1 : 1 / scale_of (c);
  } else {
    *shift = stream->model->in_shift[i];
    *scale = stream->model->in_scale[i];
  }
}

SeqModel *
seq_stream_learnt_model (SeqStream *stream, guint lane, GError **error)
{
  g_autoptr (SeqModel) learnt = seq_model_with_learnt (stream->model,
      stream->learners ? stream->learners[lane]->weights : NULL,
      lane_state (stream, lane), error);
  guint n = stream->n_signal;
  g_autofree double *values = g_new (double, 4 * n);
  double *shift = values, *scale = shift + n, *inverse = scale + n;
  g_autoptr (SeqBuilder) builder = NULL;

  if (!learnt || !stream->running)
    return g_steal_pointer (&learnt);
  for (guint k = 0; k < n; k++) {
    in_scale (stream, lane * n + k, &shift[k], &scale[k]);
    inverse[k] = 1 / scale[k];
  }
  builder = seq_builder_new_from (learnt);
  seq_builder_set_scales (builder, scale, shift, inverse, shift);
  return seq_builder_finish (builder, error);
}

/* --- samples ---------------------------------------------------------------
 */

/* n samples of a channel from frame `from` on: the statement is done for each,
 * v[t * stride], t < n. */
#define EACH_SAMPLE(type, statement)                                           \
  {                                                                            \
    type *v = (type *) signal->channel[channel] + from * stride;               \
                                                                               \
    for (guint t = 0; t < n; t++)                                              \
      statement;                                                               \
    break;                                                                     \
  }

static void
get_samples (
    const SeqSignal *signal, guint channel, gsize from, guint n, double *x)
{
  gsize stride = signal->stride;

  switch (signal->format) {
    case SEQ_FORMAT_S16:
      EACH_SAMPLE (const gint16, x[t] = v[t * stride] / 32768.0);
    case SEQ_FORMAT_S32:
      EACH_SAMPLE (const gint32, x[t] = v[t * stride] / 2147483648.0);
    case SEQ_FORMAT_F32:
      EACH_SAMPLE (const float, x[t] = v[t * stride]);
    case SEQ_FORMAT_F64:
      EACH_SAMPLE (const double, x[t] = v[t * stride]);
  }
}

static void
put_samples (const SeqSignal *signal, guint channel, gsize from, guint n,
    const double *x)
{
  gsize stride = signal->stride;

  switch (signal->format) {
    case SEQ_FORMAT_S16:
      EACH_SAMPLE (gint16, v[t * stride] = (gint16) lrint (
                               CLAMP (x[t] * 32768.0, -32768.0, 32767.0)));
    case SEQ_FORMAT_S32:
      EACH_SAMPLE (gint32,
          v[t * stride] = (gint32) lrint (
              CLAMP (x[t] * 2147483648.0, -2147483648.0, 2147483647.0)));
    case SEQ_FORMAT_F32:
      EACH_SAMPLE (
          float, v[t * stride] = (float) CLAMP (x[t], -FLT_MAX, FLT_MAX));
    case SEQ_FORMAT_F64:
      EACH_SAMPLE (double, v[t * stride] = x[t]);
  }
}

/* Samples of a channel as they are, bit for bit. */
static void
copy_samples (const SeqSignal *signal, const SeqSignal *input, guint channel,
    gsize from, guint n)
{
  gsize stride = signal->stride, skip = input->stride;
  gconstpointer in = input->channel[channel];

  switch (signal->format) {
    case SEQ_FORMAT_S16:
      EACH_SAMPLE (
          gint16, v[t * stride] = ((const gint16 *) in)[(from + t) * skip]);
    case SEQ_FORMAT_S32:
    case SEQ_FORMAT_F32:
      EACH_SAMPLE (
          gint32, v[t * stride] = ((const gint32 *) in)[(from + t) * skip]);
    case SEQ_FORMAT_F64:
      EACH_SAMPLE (
          gint64, v[t * stride] = ((const gint64 *) in)[(from + t) * skip]);
  }
}

/* --- scaling ---------------------------------------------------------------
 */

static void
learn_scale (Channel *c, double x)
{
  double deviation, clipped, rate;

  if (c->n_seen > 0 && x == c->last)
    return; /* a stuck sensor or digital silence says nothing of the scale */
  c->last = x;
  if (c->n_seen > 16) {
    double most = OUTLIER * scale_of (c);

    deviation = x - c->mean;
    clipped = CLAMP (deviation, -most, most);
    if (clipped != deviation)
      c->n_seen = MAX (c->n_seen / 2, 16);
    x = c->mean + clipped;
  }
  c->n_seen = MIN (c->n_seen + 1, MEMORY_MAX);
  rate = 1 / c->n_seen;
  deviation = x - c->mean;
  c->mean += rate * deviation;
  c->variance += rate * ((1 - rate) * deviation * deviation - c->variance);
}

/* --- processing --------------------------------------------------------------
 */

/* How many of the next n frames no forecast was made for. */
static guint
without_forecast (const SeqStream *stream, guint n)
{
  guint64 frame = stream->carried->n_frames;
  guint horizon = stream->config.horizon;

  if (!stream->predicts)
    return n;
  return frame < horizon ? (guint) MIN (horizon - frame, n) : 0;
}

/* Reads frames from `from` on, up to one that must wait for the forecast of
 * the one before it because it is not finite. Returns how many. */
static guint
read_block (SeqStream *stream, const SeqSignal *in, gsize from, guint n)
{
  guint channels = stream->n_channels, n_finite = n;
  guint h = stream->config.horizon;

  for (guint c = 0; c < channels; c++) {
    double *x = stream->x + c * BLOCK;
    guint t = 0;

    get_samples (in, c, from, n, x);
    while (t < n_finite && isfinite (x[t]))
      t++;
    n_finite = t;
    stream->valid[c] = TRUE;
  }
  if (G_LIKELY (n_finite > 0))
    return n_finite;

  for (guint c = 0; c < channels; c++) {
    double *x = stream->x + c * BLOCK;

    stream->valid[c] = isfinite (*x) != 0;
    if (stream->valid[c])
      continue;
    if (h > 0 && !without_forecast (stream, 1))
      *x = stream->forecasts[c * h + stream->carried->n_frames % h];
    else
      *x = stream->channels[c].mean;
    stream->carried->n_non_finite++;
  }
  return 1;
}

/* A straight line to the target, frame by frame. */
static double
next_value (Knob *p)
{
  if (p->left == 1)
    arrive (p);
  else if (p->left > 0)
    p->value += (p->target - p->value) / (double) p->left--;
  return p->value;
}

/* Normalised rows [n][lane][n_in] into `rows`. */
static void
scale_block (
    SeqStream *stream, real *rows, gsize stride, guint n, gboolean learn)
{
  guint n_signal = stream->n_signal;
  gsize next = stream->n_lanes * stride;

  for (guint c = 0; c < stream->n_channels; c++) {
    const double *x = stream->x + c * BLOCK;
    double *shift = stream->shift + c * BLOCK;
    double *scale = stream->scale + c * BLOCK;
    real *u = rows + c / n_signal * stride + c % n_signal;

    if (learn && stream->running && stream->valid[c]) {
      for (guint t = 0; t < n; t++) {
        learn_scale (&stream->channels[c], x[t]);
        in_scale (stream, c, &shift[t], &scale[t]);
      }
    } else {
      in_scale (stream, c, shift, scale);
      for (guint t = 1; t < n; t++) {
        shift[t] = shift[0];
        scale[t] = scale[0];
      }
    }
    for (guint t = 0; t < n; t++)
      u[t * next] = (real) CLAMP ((x[t] - shift[t]) * scale[t], -LIMIT, LIMIT);
  }
  for (guint p = 0; p < stream->n_knobs; p++) {
    guint k = n_signal + p;
    double shift = stream->model->in_shift[k];
    double scale = stream->model->in_scale[k];

    for (guint t = 0; t < n; t++) {
      double u = (next_value (&stream->knobs[p]) - shift) * scale;

      for (guint lane = 0; lane < stream->n_lanes; lane++)
        rows[t * next + lane * stride + k] = (real) u;
    }
  }
}

/* What a layer that learns in its state should have forecast for each frame:
 * the signal, or with a residual what is to be added to that of a horizon
 * before, so that a frame without one before it is no example. */
static void
set_targets (SeqStream *stream, const real *rows, gsize stride, guint n)
{
  const SeqChain *chain = stream->model->chain;
  guint n_signal = stream->n_signal, channels = stream->n_channels;
  guint n_lanes = stream->n_lanes, h = stream->horizon;
  guint residual = seq_chain_learns (chain) ? chain->skip : 0;
  guint64 frame = stream->carried->n_frames;
  guint at = (guint) (frame % h);

  for (guint t = 0; t < n; t++, at = at + 1 < h ? at + 1 : 0)
    for (guint lane = 0; lane < n_lanes; lane++) {
      gsize row = (gsize) t * n_lanes + lane;
      const real *u = rows + row * stride;
      double *past = stream->past + at * channels + lane * n_signal;
      real *target = stream->target + row * stream->target_stride;
      guint8 *valid = &stream->lane_valid[row];

      for (guint k = 0; k < MIN (n_signal, chain->n_out); k++)
        target[k] = (real) (u[k]
                            - (residual == 1   ? past[0]
                                : k < residual ? past[k]
                                               : 0));
      *valid = !residual || frame + t >= h;
      for (guint k = 0; k < n_signal; k++) {
        past[k] = u[k];
        *valid &= stream->valid[lane * n_signal + k];
      }
    }
}

/* Forecasts or outputs in the stream's own units. */
static void
unscale_block (SeqStream *stream, const real *out, gsize stride, guint n)
{
  const SeqModel *model = stream->model;
  guint n_out = model->chain->n_out;
  gsize next = stream->n_lanes * stride;

  for (guint o = 0; o < stream->n_outputs; o++) {
    const real *u = out + o / n_out * stride + o % n_out;
    const double *shift = stream->shift + o * BLOCK;
    const double *scale = stream->scale + o * BLOCK;
    double *y = stream->y + o * BLOCK;
    double out_shift = model->out_shift[o % n_out];
    double out_scale = model->out_scale[o % n_out];

    /* what a layer that learns in its state may have come to */
    for (guint t = 0; t < n; t++)
      y[t] = isfinite (u[t * next]) ? u[t * next] : 0;
    if (stream->running && stream->predicts)
      for (guint t = 0; t < n; t++)
        y[t] = y[t] / scale[t] + shift[t];
    else
      for (guint t = 0; t < n; t++)
        y[t] = y[t] * out_scale + out_shift;
  }
}

/* Runs the model over rows, learning if it may. Returns its output rows. */
static real *
run_block (SeqStream *stream, guint n, gboolean learn)
{
  const SeqChain *chain = stream->model->chain;
  guint lanes = stream->n_lanes;
  gsize in_stride = SEQ_PAD (chain->n_in), out_stride = SEQ_PAD (chain->n_out);
  real *out = stream->learners ? stream->learner_out : stream->work->out;

  if (stream->learners) {
    for (guint l = 0; l < lanes; l++)
      seq_learner_run (stream->learners[l],
          &(SeqLearnerBlock){ .n_frames = n,
              .in = stream->learner_in + l * in_stride,
              .in_stride = lanes * in_stride,
              .target = stream->target + l * stream->target_stride,
              .target_stride = lanes * stream->target_stride,
              .valid = stream->lane_valid + l,
              .valid_stride = lanes,
              .out = out + l * out_stride,
              .out_stride = lanes * out_stride },
          learn);
  } else {
    SeqPass pass = { .n_frames = n,
      .weights = stream->model->weights,
      .state = (real *) stream->lanes,
      .target = learn ? stream->target : NULL,
      .target_stride = stream->target_stride,
      .valid = stream->lane_valid,
      .score = stream->bits };

    seq_chain_run_safely (chain, stream->work, &pass, stream->saved);
  }
  return out;
}

/* Residuals of a channel, 0 for the frames before `first`; then the forecasts
 * of this block take their place in the ring. */
static void
compare (SeqStream *stream, guint c, guint first, guint n)
{
  guint h = stream->config.horizon;
  const double *x = stream->x + c * BLOCK, *y = stream->y + c * BLOCK;
  double *r = stream->r + c * BLOCK, *ring = stream->forecasts + c * h;
  guint at = h ? (guint) (stream->carried->n_frames % h) : 0;

  if (stream->predicts) {
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
judge (SeqStream *stream, guint c, guint first, guint n)
{
  const SeqChain *chain = stream->model->chain;
  Channel channel = stream->channels[c];
  const double *x = stream->x + c * BLOCK, *r = stream->r + c * BLOCK;
  double *score = stream->score + c * BLOCK;
  double rate = 1.0 / SCORE_MEMORY;

  for (guint t = 0; t < first; t++)
    score[t] = 0;
  if (first == n)
    return;

  for (guint t = first; t < n; t++) {
    /* no residual before the first: this one is no surprise */
    score[t] = channel.n_residuals ? channel.residual_power : INFINITY;
    if (channel.n_residuals < SCORE_MEMORY)
      rate = 1 / (double) ++channel.n_residuals;
    /* an outlier whose square is infinite is forgotten again, too */
    channel.residual_power =
        (1 - rate) * channel.residual_power + rate * MIN (r[t] * r[t], DBL_MAX);
  }
  if (chain->layers[chain->n_layers - 1]->klass->kind.flags & SEQ_KIND_SCORES)
    for (guint t = first; t < n; t++)
      score[t] = stream->bits[t * stream->n_lanes + c / stream->n_signal];
  else
    for (guint t = first; t < n; t++) {
      double s = fabs (r[t]) / MAX (sqrt (score[t]), DBL_MIN);

      score[t] = MIN (s, SCORE_LIMIT);
    }

  if (channel.n_stat == 0)
    channel.first = x[first];
  channel.n_stat += n - first;
  for (guint t = first; t < n; t++) {
    double d = x[t] - channel.first;

    channel.sum += d;
    channel.sum_squares += d * d;
    channel.residual_squares += r[t] * r[t];
    channel.score_peak = MAX (channel.score_peak, score[t]);
  }
  stream->channels[c] = channel;
}

/* What leaves goes over from one stream to the other, in a line. */
static void
fade (SeqStream *stream, guint n)
{
  SeqStream *before = stream->before;

  for (guint t = 0; t < n && stream->faded < stream->n_fade; t++) {
    double w = ++stream->faded / (stream->n_fade + 1.0);

    for (guint i = t; i < stream->n_outputs * BLOCK; i += BLOCK)
      stream->y[i] += (1 - w) * (before->y[i] - stream->y[i]);
    for (guint i = t; i < stream->n_channels * BLOCK; i += BLOCK) {
      stream->r[i] += (1 - w) * (before->r[i] - stream->r[i]);
      stream->score[i] += (1 - w) * (before->score[i] - stream->score[i]);
    }
  }
  if (stream->faded == stream->n_fade)
    stream->before = NULL;
}

/* Goes over n frames or fewer, and leaves what each gave in y, r and score.
 * Returns how many. */
static guint
run_frames (
    SeqStream *stream, const SeqSignal *in, gsize from, guint n, gboolean learn)
{
  const SeqChain *chain = stream->model->chain;
  real *in_rows = stream->learners ? stream->learner_in : stream->work->in;
  gsize in_stride = SEQ_PAD (chain->n_in);
  const real *out;

  n = read_block (stream, in, from, n);
  scale_block (stream, in_rows, in_stride, n, learn);
  if (learn || seq_chain_learns (chain))
    set_targets (stream, in_rows, in_stride, n);
  out = run_block (stream, n, learn);
  unscale_block (stream, out, SEQ_PAD (chain->n_out), n);
  for (guint c = 0; c < stream->n_channels; c++) {
    guint first = stream->valid[c] ? without_forecast (stream, n) : n;

    compare (stream, c, first, n);
    judge (stream, c, first, n);
  }
  stream->carried->n_frames += n;
  stream->carried->n_total += n;
  if (G_UNLIKELY (stream->before)) {
    /* what stops a block is in the input: this one stops there, too */
    run_frames (stream->before, in, from, n, FALSE);
    fade (stream, n);
  }
  return n;
}

/* Puts a prediction's channel, mixed with the input it replaces. */
static void
put_prediction (SeqStream *stream, const SeqSignal *signal, guint o, gsize from,
    guint n, double mix_from, double mix_step)
{
  double *y = stream->y + o * BLOCK;
  const double *x = stream->x + o * BLOCK;

  if (mix_from != 1 || mix_step != 0)
    for (guint t = 0; t < n; t++) {
      double mix = mix_from + mix_step * (double) (from + t);

      y[t] = y[t] * mix + (stream->predicts ? (1 - mix) * x[t] : 0);
    }
  put_samples (signal, o, from, n, y);
}

void
seq_stream_process (SeqStream *stream, const SeqSignal *in,
    const SeqSignal *const outputs[SEQ_N_OUTPUTS], gsize n_frames,
    double mix_from, double mix_to, SeqProcessFlags flags)
{
  gboolean learn = stream->config.learn != SEQ_LEARN_OFF
                   && !(flags & SEQ_PROCESS_NO_LEARNING);
  double mix_step = n_frames ? (mix_to - mix_from) / (double) n_frames : 0;
  double score_unit = in->format <= SEQ_FORMAT_S32 ? 1 / 256.0 : 1;
  guint64 ftz = seq_ftz_begin ();

  for (gsize from = 0; from < n_frames;) {
    guint n = run_frames (
        stream, in, from, (guint) MIN (BLOCK, n_frames - from), learn);

    for (guint c = 0; c < stream->n_channels; c++) {
      double *score = stream->score + c * BLOCK;

      if (outputs[SEQ_OUTPUT_INPUT])
        copy_samples (outputs[SEQ_OUTPUT_INPUT], in, c, from, n);
      if (outputs[SEQ_OUTPUT_RESIDUAL])
        put_samples (
            outputs[SEQ_OUTPUT_RESIDUAL], c, from, n, stream->r + c * BLOCK);
      if (outputs[SEQ_OUTPUT_SCORE]) {
        for (guint t = 0; t < n; t++)
          score[t] *= score_unit;
        put_samples (outputs[SEQ_OUTPUT_SCORE], c, from, n, score);
      }
    }
    for (guint o = 0; outputs[SEQ_OUTPUT_PREDICTION] && o < stream->n_outputs;
         o++)
      put_prediction (stream, outputs[SEQ_OUTPUT_PREDICTION], o, from, n,
          mix_from, mix_step);
    from += n;
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
    Channel *channel = &stream->channels[c];
    double n = (double) MAX (channel->n_stat, 1), mean = channel->sum / n;

    stats->signal_power[c] = MAX (channel->sum_squares / n - mean * mean, 0);
    stats->residual_power[c] = channel->residual_squares / n;
    stats->score_peak[c] = channel->score_peak;
    if (restart) {
      channel->n_stat = 0;
      channel->first = channel->sum = channel->sum_squares = 0;
      channel->residual_squares = channel->score_peak = 0;
    }
  }
}
