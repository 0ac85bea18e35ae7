/* stream.h: a model at work on a stream of channels: scaling, lanes, online
 * learning, forecasts and their residuals.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A stream belongs to one thread at a time. seq_stream_process() and the
 * functions marked real-time safe neither allocate nor lock nor print.
 */
#pragma once

#include "src/live/rest.h"
#include "src/live/samples.h"
#include "src/live/score.h"
#include "src/model.h"

G_BEGIN_DECLS

/* How a stream learns as it goes. Kinds that learn in their state have one way
 * of their own, which any but off means. */
typedef enum {
  SEQ_LEARN_OFF,
  SEQ_LEARN_GRADIENT, /* truncated BPTT with Adam moves all layers */
  SEQ_LEARN_READOUT,  /* the layers before a readout stay as they are; the
                       * read-out follows by recursive least squares */
  SEQ_LEARN_BOTH      /* the read-out so, the layers before it by gradient */
} SeqLearn;

#define SEQ_MAX_WINDOW 4096    /* frames */
#define SEQ_MAX_CHANNELS 65536 /* of a stream */

typedef enum {
  SEQ_CHANNELS_AUTO, /* joint if the model has that many signal inputs */
  SEQ_CHANNELS_INDEPENDENT,
  SEQ_CHANNELS_JOINT
} SeqChannelMode;

typedef struct {
  SeqLearn learn;
  double learning_rate; /* Adam's step; > 0 */
  guint window;         /* frames of truncated BPTT, 1..SEQ_MAX_WINDOW */
  guint horizon;        /* frames a forecast looks ahead, >= 1; 0: the
                         * model does not forecast, residuals are taken
                         * against the same frame */
  SeqChannelMode channel_mode;
  gboolean clamp; /* forecasts stay within what was heard (clamp.h), if there
                   * is one for each channel */
  guint64 max_memory; /* bytes, of model and stream; 0: half of what there is */
} SeqStreamConfig;

typedef struct _SeqStream SeqStream;

/* What a stream takes, in bytes; G_MAXSIZE: more than can be counted. */
typedef struct {
  gsize weights; /* of the model, which streams share */
  gsize state;   /* all that is learnt and carried: seq_stream_state_size() */
  gsize work;    /* the rest */
} SeqStreamMemory;

/* Finds that out, and whether the stream can be; allocates nothing. Errors: as
 * seq_stream_new(). Any thread. */
gboolean seq_stream_measure (const SeqModel *model, guint n_channels,
    const SeqStreamConfig *config, SeqStreamMemory *memory, GError **error);

/* Takes a reference on the model. Errors: SEQ_ERROR_SHAPE if the channels do
 * not suit the model, SEQ_ERROR_CONFIG, SEQ_ERROR_MEMORY if it would take more
 * than config allows. Control thread. */
SeqStream *seq_stream_new (SeqModel *model, guint n_channels,
    const SeqStreamConfig *config, GError **error);
void seq_stream_free (SeqStream *stream);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SeqStream, seq_stream_free)

/* Of n_channels, how many are the signal of one lane, for a model of n_in
 * inputs, n_signal of them signal. Joint channels may bring the model's knobs
 * with them: then they are n_in. Returns 0 with SEQ_ERROR_SHAPE if the channels
 * do not suit the model. */
guint seq_stream_channels_per_lane (guint n_signal, guint n_in,
    SeqChannelMode mode, guint n_channels, GError **error);

SeqModel *seq_stream_model (SeqStream *stream); /* borrowed */
const SeqStreamConfig *seq_stream_config (SeqStream *stream);
guint seq_stream_n_channels (SeqStream *stream); /* in */
guint seq_stream_n_outputs (SeqStream *stream);  /* channels of a prediction */
guint seq_stream_n_knobs (SeqStream *stream);

typedef enum {
  SEQ_OUTPUT_INPUT,      /* the input, bit for bit */
  SEQ_OUTPUT_PREDICTION, /* mix * prediction + (1 - mix) * input */
  SEQ_OUTPUT_RESIDUAL,   /* x[t] less the forecast that was made for t;
                          * 0 while there was none */
  SEQ_OUTPUT_SCORE,      /* surprise: |residual| over its running RMS;
                          * for kinds that know it, -log2 of the
                          * probability of what came. Integer formats
                          * hold score / 256 of full scale */
  SEQ_N_OUTPUTS
} SeqOutput;

typedef enum {
  SEQ_PROCESS_NO_LEARNING = 1 << 0, /* samples are filler (GAP) */
} SeqProcessFlags;

/* Goes over n_frames. outputs[i] NULL: not wanted; it may lie in the same
 * memory as `in` when that is the only one. mix_from and mix_to: mix at the
 * first frame and after the last, linear between. Non-finite input samples
 * are replaced by the forecast made for them, not learnt from, and counted.
 * Real-time safe. */
void seq_stream_process (SeqStream *stream, const SeqSignal *in,
    const SeqSignal *const outputs[SEQ_N_OUTPUTS], gsize n_frames,
    double mix_from, double mix_to, SeqProcessFlags flags);

/* Knob i < n_knobs, 0..1, 0 to begin with. It goes to a new value in a
 * straight line of n_frames > 0 frames, however the stream is cut; at the start
 * of a stream it is there at once. Real-time safe. */
void seq_stream_set_knob (
    SeqStream *stream, guint i, double value, guint n_frames);

/* For the next n_frames frames the output cross-fades linearly from that of
 * `before`, which runs along and no longer learns. It must have the same
 * numbers of channels and outputs, and live for as long as the stream is
 * fading; a rewind or a restart ends that. n_frames 0 ends it, too. Both are
 * real-time safe. */
void seq_stream_fade (SeqStream *stream, SeqStream *before, guint n_frames);
gboolean seq_stream_fading (SeqStream *stream);

/* The carried state goes back to its start; what was learnt stays. Real-time
 * safe. */
void seq_stream_rewind (SeqStream *stream);
/* Forgets everything learnt, too. Real-time safe. */
void seq_stream_restart (SeqStream *stream);

/* The stream begins here from now on, at once if no frame has gone by since it
 * last began; NULL: as the layers do. The rest must be for its model and its
 * number of knobs. Takes it, and returns the one before, for a control thread
 * to give back. Real-time safe. */
SeqRest *seq_stream_set_rest (SeqStream *stream, SeqRest *rest);

/* Takes everything that was learnt and carried from another stream, if model
 * and shapes agree, and leaves it its own; returns whether they agree.
 * Real-time safe. */
gboolean seq_stream_adopt (SeqStream *stream, SeqStream *from);
/* Whether seq_stream_adopt() would. */
gboolean seq_stream_can_adopt (SeqStream *stream, SeqStream *from);

/* Figures of the frames that were processed: counts from the very start, and
 * channels[n_channels], the caller's array, since the last call with restart.
 */
typedef struct {
  guint64 n_frames, n_non_finite, n_rewinds, n_updates, n_rollbacks;
  SeqChannelStats *channels;
} SeqStreamStats;
/* Real-time safe. */
void seq_stream_stats (
    SeqStream *stream, gboolean restart, SeqStreamStats *stats);

/* The model as lane `lane` has learnt it so far, with the normalisation that
 * the lane's channels have arrived at. Control thread, while no thread streams.
 */
SeqModel *seq_stream_learnt_model (
    SeqStream *stream, guint lane, GError **error);

/* --- everything learnt and carried, as bytes ---------------------------- */

/* Size of the copy below, bytes. */
gsize seq_stream_state_size (SeqStream *stream);
/* Real-time safe: one memcpy. */
void seq_stream_get_state (SeqStream *stream, gpointer bytes);
/* Puts back what get_state() of a stream of the same model, config and number
 * of channels gave. Returns FALSE, and restarts, if these bytes cannot be such.
 */
gboolean seq_stream_set_state (SeqStream *stream, gconstpointer bytes);
/* The same of bytes from snapshots of version 1; and their size, where today's
 * would be `size`. */
gboolean seq_stream_set_state_1 (SeqStream *stream, gconstpointer bytes);
gsize seq_stream_state_size_1 (guint n_channels, gsize size);

G_END_DECLS
