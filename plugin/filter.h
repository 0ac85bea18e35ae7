/* filter.h: the element's parts, shared by its files.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 *   gstseqfilter.c       the class, its documentation, start and stop, events
 *   filter-properties.c  properties, and what follows when they are set
 *   filter-caps.c        caps, and what they say of the stream
 *   filter-data.c        buffers
 *   filter-messages.c    messages on the bus, and stats
 *   filter-saving.c      what was learnt, on its way to a file
 *   errors.c             errors of the core as messages
 *
 * Locks are taken in this order: the saving lock, the build lock, the
 * hand-over's, the object lock. Messages are posted outside all of them.
 */
#pragma once

#include "plugin/errors.h"
#include "plugin/gstseqfilter.h"

#include "src/live/host.h"

G_BEGIN_DECLS

#define MAX_KNOBS 64   /* values of `params` */
#define N_KNOB_PROPS 4 /* param1 ... */
#define EMIT_PREDICTION (1 << SEQ_OUTPUT_PREDICTION)
#define EMIT_IS_EMPTY                                                          \
  "emit is empty; expected one or more of input, prediction, residual, score"

enum {
  PROP_0,
  /* 1 + SeqSetting, and then */
  PROP_MODEL_FILE = 1 + SEQ_N_SETTINGS,
  PROP_MODEL_OPTIONS,
  PROP_PARAMS,
  PROP_PARAM1,
  PROP_EMIT = PROP_PARAM1 + N_KNOB_PROPS,
  PROP_POST_MESSAGES,
  PROP_INTERVAL,
  PROP_MIX,
  PROP_STATE,
  PROP_STATE_FILE,
  PROP_STATE_INTERVAL,
  PROP_STATS,
  N_PROPS
};

/* Copied by the streaming thread once a buffer. */
typedef struct {
  guint emit; /* flags, 1 << SeqOutput */
  gboolean post_messages;
  GstClockTime interval;
  double mix;
  guint n_knobs; /* that were ever set */
  double knobs[MAX_KNOBS];
} BufferSettings;

/* Guarded by the object lock. */
typedef struct {
  SeqSettings model;    /* as set: the host may not have heard of it yet */
  guint n_changes;      /* of that */
  gboolean is_pending;  /* the host is to hear of a change */
  gboolean knobs_moved; /* likewise, of the knobs */
  SeqSettings of_file; /* what the model file says: read where nothing is set */
  SeqNeeds needs;      /* of the model in force, for caps */
  gint said_rate;      /* Hz, that a peer asked for in vain; 0: none */
  GstStructure *model_options; /* as set */
  char *state_file;
  GstClockTime state_interval; /* 0: never */
  BufferSettings buffer;
} Settings;

/* Guarded by the build lock: threads that change which model runs take turns.
 */
typedef struct {
  GMutex lock;
  SeqHost *host;
  GstStructure *model_options; /* that the host has */
  GError *state_error;         /* of a state that was set before the start */
  /* said of the model that runs, see gst_seq_filter_warn_of_model() */
  gboolean said_restless, said_sequence;
  guint said_params;
  guint64 n_load_failures; /* model files that were refused */
} Build;

/* How the state comes into its file. */
typedef struct {
  GMutex lock;       /* held by who saves */
  char *last;        /* guarded by lock: what was saved last, and where to */
  gboolean runs;     /* guarded by the object lock: the element does */
  GstClockID timer;  /* likewise; NULL: none */
  gint is_asked_for; /* atomic: a save is on its way */
} Saving;

/* The streaming thread's own; start() and stop() run while there is none. */
typedef struct {
  SeqHandover *handover; /* the host's */
  BufferSettings now;    /* for this buffer */
  gboolean learning;     /* likewise */
  gboolean controlled;   /* a property has a control binding */
  GstAudioInfo out_info;
  guint n_outputs; /* channels of a prediction */
  guint emit;      /* with the caps in force; 0: there are none that fit */
  GstEvent *names; /* of the input's channels (columns.h), or NULL */
  double mix;      /* at the end of the last buffer */
  GstClockTime next_pts;
  guint8 *part; /* bytes of a frame that is not whole yet */
  gsize n_part;
  guint64 n_frames; /* since the start */
  /* the stretch that the next message is about */
  guint64 n_measured;
  GstClockTime measured_from;
} Live;

struct _GstSeqFilter {
  GstAudioFilter parent;

  Settings settings;
  Build build;
  Saving saving;
  Live live;
};

/* --- filter-properties.c -------------------------------------------------- */

extern GParamSpec *gst_seq_filter_props[N_PROPS];
/* Groups of output channels, in their order. */
extern const GFlagsValue gst_seq_filter_emits[];

void gst_seq_filter_init_settings (GstSeqFilter *self);
void gst_seq_filter_clear_settings (GstSeqFilter *self);
void gst_seq_filter_install_properties (GObjectClass *klass);
/* Of a preset: free with g_strfreev(). */
char **gst_seq_filter_get_preset_names (GstPreset *preset);
/* Takes the build lock with the latest settings, in `model` (which holds
 * settings or nothing), and the file that they name, if the host is to be given
 * one: at the start, or when it was set again. Errors are those of opening it.
 * Returns how many changes the settings have. */
guint gst_seq_filter_lock_build (GstSeqFilter *self, gboolean starts,
    SeqSettings *model, SeqModelFile **file, GError **error);
/* Properties and caps speak of what is in force. The build lock is held. */
void gst_seq_filter_follow_host (GstSeqFilter *self);
/* Says once of a model that it never rests on silence, that it has fewer knobs
 * than `params` has values, and how a sequence to one is read. No lock is held.
 */
void gst_seq_filter_warn_of_model (GstSeqFilter *self);
/* Properties of the model take the values that are in force. Likewise. */
void gst_seq_filter_follow_settings (GstSeqFilter *self);

/* --- filter-caps.c -------------------------------------------------------- */

void gst_seq_filter_init_caps (GstBaseTransformClass *klass);
/* Posts why a model cannot take caps, if so. */
gboolean gst_seq_filter_check_caps (GstSeqFilter *self, GstCaps *caps);
/* Follows `emit` as far as the number of channels that was agreed on lets it;
 * FALSE: a renegotiation is on its way. Streaming thread. */
gboolean gst_seq_filter_follow_emit (GstSeqFilter *self, guint emit);
/* Whether upstream could give that rate: a SeqHostRateFunc. */
gboolean gst_seq_filter_can_have_rate (guint rate, gpointer self);

/* --- filter-data.c -------------------------------------------------------- */

void gst_seq_filter_init_data (GstBaseTransformClass *klass);
/* Forgets the bytes of a frame that is not whole, and where the next buffer is
 * due. */
void gst_seq_filter_forget_position (GstSeqFilter *self);

/* --- filter-messages.c; streaming thread, but for the stats --------------- */

/* Frames to the end of the stretch that the next message is about. */
guint64 gst_seq_filter_frames_to_message (GstSeqFilter *self);
/* The message about the stretch so far; the next one begins. The hand-over's
 * lock is held; to be posted outside of it. */
GstMessage *gst_seq_filter_take_message (GstSeqFilter *self, SeqEngine *engine);
/* The message about the stretch so far; NULL: there is none. */
GstMessage *gst_seq_filter_take_rest (GstSeqFilter *self);
/* Posts it, if there is one. */
void gst_seq_filter_post_rest (GstSeqFilter *self);
GstStructure *gst_seq_filter_get_stats (GstSeqFilter *self);

/* --- gstseqfilter.c ------------------------------------------------------- */

/* Says what the channels of the output are called, if those of the input have
 * names. Streaming thread. */
void gst_seq_filter_push_names (GstSeqFilter *self);

/* --- filter-saving.c ------------------------------------------------------ */

/* The action signals; save() also at EOS and at the end. */
gboolean gst_seq_filter_save (GstSeqFilter *self);
gboolean gst_seq_filter_save_model (GstSeqFilter *self, const char *path);
/* Free with g_free(). */
char *gst_seq_filter_get_state_file (GstSeqFilter *self);
/* Whether the element runs: while it does, it saves at each interval. A save
 * that is on its way comes to its end. */
void gst_seq_filter_set_saving (GstSeqFilter *self, gboolean runs);
/* The interval is another. Any thread. */
void gst_seq_filter_follow_interval (GstSeqFilter *self);

G_END_DECLS
