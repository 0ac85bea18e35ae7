/* stream.h: a model at work on a stream of channels: scaling, lanes, online
 * learning, forecasts and their residuals.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A stream belongs to one thread at a time. seq_stream_process() and the
 * functions marked real-time safe neither allocate nor lock nor print.
 */
#pragma once

#include "src/model.h"

G_BEGIN_DECLS

/* How a stream learns as it goes. ar, markov and naive have one way of their
 * own, which any but off means. */
typedef enum {
  SEQ_LEARN_OFF,
  SEQ_LEARN_GRADIENT, /* truncated BPTT with Adam moves all layers */
  SEQ_LEARN_READOUT,  /* the layers before a readout stay as they are; the
                       * read-out follows by recursive least squares */
  SEQ_LEARN_BOTH      /* the read-out so, the layers before it by gradient */
} SeqLearn;
typedef enum {
  SEQ_CHANNELS_AUTO,
  SEQ_CHANNELS_INDEPENDENT,
  SEQ_CHANNELS_JOINT
} SeqChannelMode;

typedef struct {
  SeqLearn learn;
  double learning_rate; /* Adam's step; > 0 */
  guint window;         /* frames of truncated BPTT, 1..4096 */
  guint horizon;        /* frames a forecast looks ahead, >= 1; 0: the
                         * model is no predictor, residuals are taken
                         * against the same frame */
  SeqChannelMode channel_mode;
} SeqStreamConfig;

typedef struct _SeqStream SeqStream;

/* Takes a reference on the model. Jointly, as many channels as the model has
 * inputs bring its conditioning with them. Fails with SEQ_ERROR_SHAPE ("the
 * model wants 6 channels, the stream has 2") or SEQ_ERROR_CONFIG. Control
 * thread. */
SeqStream *seq_stream_new (SeqModel *model, guint n_channels,
    const SeqStreamConfig *config, GError **error);
void seq_stream_free (SeqStream *stream);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SeqStream, seq_stream_free)

SeqModel *seq_stream_model (SeqStream *stream); /* borrowed */
const SeqStreamConfig *seq_stream_config (SeqStream *stream);
guint seq_stream_n_channels (SeqStream *stream); /* in */
guint seq_stream_n_outputs (SeqStream *stream);  /* channels of a prediction */
guint seq_stream_n_lanes (SeqStream *stream);
guint seq_stream_n_knobs (SeqStream *stream); /* conditioning inputs */

typedef enum {
  SEQ_FORMAT_S16,
  SEQ_FORMAT_S32,
  SEQ_FORMAT_F32,
  SEQ_FORMAT_F64
} SeqFormat;

/* Where samples lie in a buffer. Integers are -1..1 of full scale. */
typedef struct {
  SeqFormat format;
  gpointer *channel; /* first sample of each channel */
  gsize stride;      /* samples from one frame to the next */
} SeqSignal;

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

/* Conditioning input i < n_knobs, 0..1, 0 to begin with. It goes to a new
 * value in a straight line of n_frames > 0 frames, however the stream is cut;
 * at the start of a stream it is there at once. Real-time safe. */
void seq_stream_set_knob (
    SeqStream *stream, guint i, double value, guint n_frames);

/* For the next n_frames frames what leaves goes over, in a line, from what
 * `before` gives, which runs along and learns no more. It must have the same
 * numbers of channels and outputs, and live until nothing fades; a rewind or a
 * restart ends it. Both are real-time safe. */
void seq_stream_fade (SeqStream *stream, SeqStream *before, guint n_frames);
gboolean seq_stream_fading (SeqStream *stream);

/* What is carried from frame to frame goes back to the start; what was learnt
 * stays. Real-time safe. */
void seq_stream_rewind (SeqStream *stream);
/* Forgets everything learnt, too. Real-time safe. */
void seq_stream_restart (SeqStream *stream);

/* Takes over everything that was learnt and carried where model and shapes
 * agree; returns whether they did. Real-time safe. */
gboolean seq_stream_adopt (SeqStream *stream, SeqStream *from);

/* What process() counts. Counts are from the very start; powers are means
 * over the frames that had a forecast, and the peak over the same, since the
 * last call with restart. Channel arrays, [n_channels], are the caller's. */
typedef struct {
  guint64 n_frames, n_non_finite, n_rewinds, n_updates, n_rollbacks;
  double *signal_power;   /* mean square about the mean */
  double *residual_power; /* mean square */
  double *score_peak;
} SeqStreamStats;
/* Real-time safe. */
void seq_stream_stats (
    SeqStream *stream, gboolean restart, SeqStreamStats *stats);

/* The model as lane `lane` has learnt it so far, with the normalisation that
 * the lane's channels have arrived at. Control thread, while nobody streams. */
SeqModel *seq_stream_learnt_model (
    SeqStream *stream, guint lane, GError **error);

/* --- everything learnt and carried, as bytes ---------------------------- */

/* Size of the copy below, bytes. */
gsize seq_stream_state_size (SeqStream *stream);
/* Real-time safe: one memcpy. */
void seq_stream_get_state (SeqStream *stream, gpointer bytes);
/* Puts back what get_state() of a stream of the same model, config and number
 * of channels gave. Returns FALSE, and begins anew, if these bytes can't be
 * such. */
gboolean seq_stream_set_state (SeqStream *stream, gconstpointer bytes);

G_END_DECLS
