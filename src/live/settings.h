/* settings.h: what a model is asked to be, and how it is to run and learn.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One table says what can be set: the element's properties are made from it.
 */
#pragma once

#include "src/live/stream.h"

G_BEGIN_DECLS

typedef enum {
  SEQ_SETTING_MODEL,
  SEQ_SETTING_HIDDEN_SIZE,
  SEQ_SETTING_LAYERS,
  SEQ_SETTING_ORDER,
  SEQ_SETTING_LAGS,
  SEQ_SETTING_STATES,
  SEQ_SETTING_HISTORY,
  SEQ_SETTING_HORIZON,
  SEQ_SETTING_LEARN,
  SEQ_SETTING_LEARNING_RATE,
  SEQ_SETTING_WINDOW,
  SEQ_SETTING_FORGETTING,
  SEQ_SETTING_SEED,
  SEQ_SETTING_RESIDUAL_CONNECTION,
  SEQ_SETTING_LINEAR,
  SEQ_SETTING_CLAMP,
  SEQ_SETTING_CHANNEL_MODE,
  SEQ_SETTING_PRECISION,
  SEQ_SETTING_RATE_MODE,
  SEQ_SETTING_MAX_MEMORY,
  SEQ_N_SETTINGS
} SeqSetting;

/* Values that settings have beside those of SeqLearn. */
enum { SEQ_LEARN_AUTO = SEQ_LEARN_BOTH + 1, SEQ_LEARN_ON };

typedef enum { SEQ_SKIP_AUTO, SEQ_SKIP_OFF, SEQ_SKIP_ON } SeqSkipMode;

typedef enum { SEQ_LINEAR_AUTO, SEQ_LINEAR_OFF, SEQ_LINEAR_ON } SeqLinearMode;

typedef enum { SEQ_CLAMP_AUTO, SEQ_CLAMP_OFF, SEQ_CLAMP_ON } SeqClampMode;

typedef enum { SEQ_RATE_MODEL, SEQ_RATE_IGNORE } SeqRateMode;

#define SEQ_BIT(setting) ((guint64) 1 << (setting))

/* Numbers that are 0, choices that are 0 and no lags leave it to the model. */
typedef struct {
  guint64 given;     /* SEQ_BIT of each that someone has set; in a
                      * description: that the model says */
  const char *model; /* a kind that can be chosen; static */
  guint hidden_size, layers, order, states, history, horizon, window;
  GVariant *lags; /* au, or NULL */
  double learning_rate, forgetting;
  guint64 seed;
  guint learn;           /* how to learn: SeqLearn, auto or on, but never off */
  gboolean learning;     /* whether to, at present */
  guint skip;            /* SeqSkipMode */
  guint linear;          /* SeqLinearMode */
  guint clamp;           /* SeqClampMode */
  guint channel_mode;    /* SeqChannelMode */
  guint precision;       /* a choice of this setting */
  guint rate_mode;       /* SeqRateMode */
  guint64 max_memory;    /* bytes */
  char *model_file;      /* NULL or empty: none */
  GVariant *options;     /* a{sv}: what the file or the other settings do not
                          * say; or NULL */
  guint n_file_settings; /* how often those two were set: the file is read
                          * again when they are */
} SeqSettings;

extern const SeqSettings seq_default_settings;

/* `to` holds nothing yet, or was cleared. */
void seq_settings_copy (SeqSettings *to, const SeqSettings *from);
void seq_settings_clear (SeqSettings *settings);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (SeqSettings, seq_settings_clear)

/* How far another value of a setting reaches. */
typedef enum {
  SEQ_CHANGE_NOTHING,
  SEQ_CHANGE_STREAM, /* another stream of the same model */
  SEQ_CHANGE_MODEL,  /* another model */
} SeqChange;

/* The most that differs; whether a file is to be read again is another
 * question. */
SeqChange seq_settings_compare (const SeqSettings *a, const SeqSettings *b);

/* How a stream of a model that is built from the settings learns, when it
 * does. */
SeqLearn seq_settings_way_to_learn (const SeqSettings *settings);
/* Whether they say what the model is to be; otherwise a saved state may. */
gboolean seq_settings_name_model (const SeqSettings *settings);

/* --- the table -------------------------------------------------------------
 */

typedef enum {
  SEQ_TYPE_KIND,   /* const char *: a name of seq_kind_choices() */
  SEQ_TYPE_UINT,   /* guint */
  SEQ_TYPE_UINT64, /* guint64, of any value */
  SEQ_TYPE_DOUBLE, /* double */
  SEQ_TYPE_CHOICE, /* guint: a value of the choices */
  SEQ_TYPE_UINTS,  /* GVariant *: au, each from min to max */
} SeqSettingType;

typedef struct {
  guint value;
  const char *name, *title;
} SeqChoice;

typedef struct {
  const char *name, *title; /* "hidden-size", "Hidden size" */
  SeqSettingType type;
  gsize offset; /* in SeqSettings; of learn: the way */
  double min, max;
  const SeqChoice *choices; /* ended by one without a name */
  const char *option;       /* the option of a layer that it becomes, or NULL */
  SeqChange change;         /* what another value asks for; learn: at least */
  const char *about;
} SeqSettingInfo;

extern const SeqSettingInfo seq_setting_infos[SEQ_N_SETTINGS];

/* A description for people, with the kinds that have it. Free with g_free(). */
char *seq_setting_about (SeqSetting id);
/* Whether a model that comes from elsewhere can say it of itself. */
gboolean seq_setting_is_of_model (SeqSetting id);
/* The value as people write it. Free with g_free(). */
char *seq_settings_print (const SeqSettings *settings, SeqSetting id);
/* Whether it leaves the value to the model. */
gboolean seq_settings_is_default (const SeqSettings *settings, SeqSetting id);

G_END_DECLS
