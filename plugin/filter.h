/* filter.h: the element's own parts: what gstseqfilter.c (the element and its
 * data), filter-model.c (which model is to run; its state) and
 * filter-properties.c share.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Locks are taken in the order build, slot, object. Messages are posted
 * outside all of them.
 */
#pragma once

#include "plugin/gstseqfilter.h"

#include "src/live/handover.h"
#include "src/live/model-cache.h"

G_BEGIN_DECLS

#define MAX_PARAMS 64 /* values of `params` */
#define N_KNOBS 4     /* param1 ... */
#define WRONG_RATE                                                             \
  "%s is for %d Hz, the stream has %d: put audioresample before the "          \
  "element, or set rate-mode=ignore"
#define NOTHING_LEAVES                                                         \
  "emit is empty; at least one of input, prediction, residual, score "         \
  "must leave"

typedef enum { NAIVE, AR, MARKOV, RNN, LSTM, GRU } GstSeqFilterModel;

typedef enum {
  LEARN_AUTO,
  LEARN_OFF,
  LEARN_GRADIENT,
  LEARN_READOUT,
  LEARN_BOTH,
  LEARN_ON
} Learn;

typedef enum { SWITCH_AUTO, SWITCH_OFF, SWITCH_ON } Switch;

typedef enum { RATE_MODEL, RATE_IGNORE } RateMode;

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
  PROP_PRECISION,
  PROP_EMIT,
  PROP_POST_MESSAGES,
  PROP_INTERVAL,
  PROP_MIX,
  PROP_STATE,
  PROP_STATE_FILE,
  PROP_STATS,
  N_PROPS
};

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
  guint skip, channel_mode;
  guint precision; /* float, int16, int8 */
  GVariant *lags;  /* au, or NULL */
  double learning_rate, forgetting;
  guint64 seed;
} Shape;

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
  Shape held;     /* what the model file says of itself */
  guint64 holds;  /* BIT (id) of what it does say */
  Layout layout;  /* of the model from a file, or from a state */

  GMutex build_lock; /* control threads take turns; guards: */
  GstAudioInfo info; /* of the streams that are built; invalid: none yet */
  gboolean started;
  SeqModelFile *file;   /* in use, or NULL */
  guint n_outputs;      /* channels of a prediction, with the caps in force;
                         * the streaming thread writes it */
  SeqModel *model;      /* one that came with a state; NULL: from the file, or
                         * the shape */
  gboolean caps_wait;   /* the model is not for the caps that there are */
  guint64 n_failures;   /* files that did not load while data flowed */
  SeqStream *restored;  /* waits for caps */
  GError *refused;      /* a state that was set and is none */
  gboolean has_learner; /* streams are built able to learn */

  SeqHandover handover;

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

/* --- filter-properties.c -------------------------------------------------- */

extern GParamSpec *gst_seq_filter_props[N_PROPS];
/* The first nick of a value is the core's name of the kind. */
extern const GEnumValue gst_seq_filter_models[];
extern const GEnumValue gst_seq_filter_precisions[];
extern const Settings gst_seq_default_settings;
extern const Shape gst_seq_default_shape;

void gst_seq_filter_install_properties (GObjectClass *klass);
void gst_seq_filter_set_property (
    GObject *object, guint id, const GValue *value, GParamSpec *pspec);
void gst_seq_filter_get_property (
    GObject *object, guint id, GValue *value, GParamSpec *pspec);
/* The value that a property of the shape has in it. */
void gst_seq_filter_get_shape (Shape *shape, guint id, GValue *value);
/* 0, auto and no lags leave it to the model. */
gboolean gst_seq_filter_is_nothing (const GValue *value);

/* --- filter-model.c; (b): the build lock is held -------------------------- */

/* How a model made of properties learns. */
SeqLearn gst_seq_filter_resolve_learner (const Shape *shape);
/* An engine for self->info; file: or NULL. (b) */
SeqEngine *gst_seq_filter_build (
    GstSeqFilter *self, const SeqModelFile *file, GError **error);
/* Properties have changed, perhaps while a stream runs. stale: STALE_ flags. */
void gst_seq_filter_rebuild (GstSeqFilter *self, guint stale);
/* Opens the file and sees whether there is a model at all; posts why not. */
gboolean gst_seq_filter_open_model (GstSeqFilter *self);
/* No stream and no model any more. */
void gst_seq_filter_close_model (GstSeqFilter *self);
/* Hz that caps must have; 0: any. */
gint gst_seq_filter_needed_rate (GstSeqFilter *self);
/* Everything learnt and carried; NULL if there is no stream yet. */
GBytes *gst_seq_filter_get_state (GstSeqFilter *self);
/* Goes on from a snapshot, now or as soon as there are caps. */
gboolean gst_seq_filter_set_state (
    GstSeqFilter *self, GBytes *bytes, GError **error);
/* The action signals; save() also at EOS and at the end. */
gboolean gst_seq_filter_save (GstSeqFilter *self);
gboolean gst_seq_filter_save_model (GstSeqFilter *self, const char *path);
/* A file that isn't there yet is a first run. */
gboolean gst_seq_filter_load_state_file (GstSeqFilter *self);

/* The fields of `model-options` as a{sv}, keys as the core spells them; NULL:
 * none. */
GVariant *gst_seq_options (const GstStructure *options);

/* --- errors.c --------------------------------------------------------------
 */

/* Posts an error, or a warning, in the domain of GStreamer that fits. debug is
 * taken. */
void gst_seq_post_error (
    GstElement *element, GstMessageType type, const GError *error, char *debug);

/* --- gstseqfilter.c ------------------------------------------------------- */

GstStructure *gst_seq_filter_get_stats (GstSeqFilter *self);

G_END_DECLS
