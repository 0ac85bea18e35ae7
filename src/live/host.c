/* host.c: which model runs on a stream, and everything that changes it.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/live/host.h"

#include "src/cpu.h"
#include "src/io/file.h"
#include "src/live/snapshot.h"
#include "src/model-facts.h"

#define FADES_A_SECOND 100   /* from one model file to the next: 10 ms */
#define STATE_MAX (1u << 31) /* bytes of a file */

/* All that was asked for. */
typedef struct {
  SeqSettings settings;
  SeqModelFile *file;    /* or NULL */
  SeqModel *saved_model; /* of a state that brings its model, or NULL */
  guint n_channels;      /* of the stream; 0: there is none */
  guint rate;
} Request;

struct _SeqHost {
  SeqHostRateFunc can_have_rate;
  gpointer data;
  SeqHandover handover;
  Request request; /* in force */
  double *knobs;   /* [n_knobs], likewise */
  guint n_knobs;
  SeqRest *rest; /* where the latest stream begins, or NULL */
  gboolean is_open;
  SeqStream *saved;       /* a state that waits for a stream, or NULL */
  SeqStreamConfig config; /* of the latest stream, or of the saved one */
  guint n_outputs;        /* channels of a prediction of the stream */
  gboolean awaits_stream;
};

/* A change: all that will be in force, and how to get there. */
struct _SeqPlan {
  Request request;
  gboolean opens;
  SeqStream *saved;     /* a state to wait for a stream, or to be adopted by
                         * the engine; NULL: that of the host, */
  gboolean drops_saved; /* unless it goes */
  SeqEngine *engine;    /* to be published, or NULL */
  SeqRest *rest;        /* where its stream begins, or NULL */
  SeqStreamConfig config;
  gboolean awaits_stream;
  gboolean at_once; /* adopt the engine now, with the state at its start */
  gboolean ends_fade;
};

/* --- requests and plans --------------------------------------------------- */

static void
copy_request (Request *to, const Request *from)
{
  *to = *from;
  seq_settings_copy (&to->settings, &from->settings);
  if (to->file)
    seq_model_file_ref (to->file);
  if (to->saved_model)
    seq_model_ref (to->saved_model);
}

static void
clear_request (Request *request)
{
  seq_settings_clear (&request->settings);
  g_clear_pointer (&request->file, seq_model_file_unref);
  g_clear_pointer (&request->saved_model, seq_model_unref);
}

static void
set_settings (Request *request, const SeqSettings *settings)
{
  seq_settings_clear (&request->settings);
  seq_settings_copy (&request->settings, settings);
}

static void
set_file (Request *request, SeqModelFile *file)
{
  g_clear_pointer (&request->file, seq_model_file_unref);
  request->file = file ? seq_model_file_ref (file) : NULL;
}

/* A plan that changes nothing. */
static SeqPlan *
plan_new (const SeqHost *host)
{
  SeqPlan *plan = g_new0 (SeqPlan, 1);

  copy_request (&plan->request, &host->request);
  plan->opens = host->is_open;
  plan->config = host->config;
  plan->awaits_stream = host->awaits_stream;
  return plan;
}

void
seq_plan_free (SeqPlan *plan)
{
  if (!plan)
    return;
  clear_request (&plan->request);
  seq_stream_free (plan->saved);
  seq_engine_free (plan->engine);
  seq_rest_unref (plan->rest);
  g_free (plan);
}

guint
seq_plan_n_outputs (const SeqPlan *plan)
{
  return plan->engine ? seq_stream_n_outputs (plan->engine->stream) : 0;
}

/* A model that is there before the stream, or NULL. */
static const SeqModel *
found_model (const Request *request)
{
  if (request->saved_model)
    return request->saved_model;
  return request->file ? request->file->model : NULL;
}

/* The state that the engine of a plan goes on from, or NULL. */
static SeqStream *
saved_of (const SeqHost *host, const SeqPlan *plan)
{
  return plan->saved ? plan->saved : plan->drops_saved ? NULL : host->saved;
}

static const char *
kind_of (SeqStream *stream)
{
  return seq_model_layer (seq_stream_model (stream), 0).kind->name;
}

static void
set_saved_error (SeqStream *saved, SeqStream *stream, GError **error)
{
  guint n_saved = seq_stream_n_channels (saved);
  guint n = seq_stream_n_channels (stream);

  g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE,
      "the saved state is for %s with %u channel%s; expected %s with %u "
      "channel%s, built as the settings say: set the properties as they were "
      "when it was saved, or use another state",
      kind_of (saved), n_saved, n_saved == 1 ? "" : "s", kind_of (stream), n,
      n == 1 ? "" : "s");
}

/* Where a stream of this model begins; NULL: as its layers do. */
static SeqRest *
find_rest (const SeqHost *host, SeqModel *model, guint horizon, guint n_knobs)
{
  g_autofree double *knobs = g_new0 (double, n_knobs + 1);

  if (!seq_rest_is_start (model, horizon))
    return NULL;
  for (guint k = 0; k < MIN (n_knobs, host->n_knobs); k++)
    knobs[k] = CLAMP (host->knobs[k], 0, 1);
  if (host->rest && seq_rest_suits (host->rest, model, knobs, n_knobs))
    return seq_rest_ref (host->rest);
  return seq_rest_new (model, knobs, n_knobs);
}

/* Gives the plan's stream, which no other thread has yet, its start. */
static void
plan_rest (const SeqHost *host, SeqPlan *plan, SeqStream *stream)
{
  plan->rest = find_rest (host, seq_stream_model (stream),
      seq_stream_config (stream)->horizon, seq_stream_n_knobs (stream));
  if (plan->rest)
    seq_stream_set_rest (stream, seq_rest_ref (plan->rest));
}

/* Decides on the plan's model, and builds its engine if there is a stream.
 * rate: that the stream will have; 0: not known. */
static gboolean
build (const SeqHost *host, SeqPlan *plan, guint rate, GError **error)
{
  const Request *request = &plan->request;
  SeqStream *saved = saved_of (host, plan);
  SeqLearn before =
      saved ? seq_stream_config (saved)->learn : host->config.learn;
  SeqQuestion question = { .settings = &request->settings,
    .file = request->file,
    .saved_model = request->saved_model,
    .keeps_learner = before != SEQ_LEARN_OFF,
    .n_channels = request->n_channels,
    .rate = rate };
  SeqStreamConfig config;
  g_autoptr (SeqModel) model = seq_decide (&question, &config, error);
  g_autoptr (SeqStream) stream = NULL;

  if (!model)
    return FALSE;
  if (request->n_channels == 0) { /* no more can be said without a stream */
    plan->rest =
        find_rest (host, model, config.horizon, model->n_in - model->n_signal);
    return TRUE;
  }
  stream = seq_stream_new (model, request->n_channels, &config, error);
  if (!stream) {
    if (request->file && !request->saved_model)
      g_prefix_error (error, "%s: ", request->file->path);
    return FALSE;
  }
  if (saved && !seq_stream_can_adopt (stream, saved)) {
    set_saved_error (saved, stream, error);
    return FALSE;
  }
  plan_rest (host, plan, stream);
  plan->config = config;
  plan->engine = seq_engine_new (g_steal_pointer (&stream));
  return TRUE;
}

SeqPlan *
seq_host_plan_open (SeqHost *host, const SeqSettings *settings,
    SeqModelFile *file, GError **error)
{
  g_autoptr (SeqPlan) plan = plan_new (host);

  plan->opens = TRUE;
  set_settings (&plan->request, settings);
  set_file (&plan->request, file);
  return build (host, plan, 0, error) ? g_steal_pointer (&plan) : NULL;
}

SeqPlan *
seq_host_plan_settings (SeqHost *host, const SeqSettings *settings,
    SeqModelFile *file, GError **error)
{
  const SeqSettings *before = &host->request.settings;
  SeqChange change = seq_settings_compare (before, settings);
  gboolean new_file =
      host->is_open && settings->n_file_settings != before->n_file_settings;
  g_autoptr (SeqPlan) plan = plan_new (host);
  Request *request = &plan->request;
  guint rate = request->rate, needed;

  set_settings (request, settings);
  if (new_file)
    set_file (request, file);
  if (new_file || change == SEQ_CHANGE_MODEL) {
    g_clear_pointer (&request->saved_model, seq_model_unref);
    plan->drops_saved = TRUE;
  }
  if (!host->is_open || (change == SEQ_CHANGE_NOTHING && !new_file))
    return g_steal_pointer (&plan);

  plan->awaits_stream = FALSE;
  needed = seq_find_needs (found_model (request), settings).rate;
  if (rate > 0 && needed > 0 && rate != needed && host->can_have_rate
      && host->can_have_rate (needed, host->data)) {
    plan->awaits_stream = TRUE;
    rate = 0;
  }
  if (!build (host, plan, rate, error))
    return NULL;
  if (plan->engine
      && seq_stream_n_outputs (plan->engine->stream) != host->n_outputs)
    plan->awaits_stream = TRUE;
  if (plan->awaits_stream) {
    g_clear_pointer (&plan->engine, seq_engine_free);
    plan->config = host->config;
  } else if (plan->engine && new_file) {
    plan->engine->n_fade = MAX (1, request->rate / FADES_A_SECOND);
  }
  return g_steal_pointer (&plan);
}

SeqPlan *
seq_host_plan_stream (
    SeqHost *host, guint n_channels, guint rate, GError **error)
{
  g_autoptr (SeqPlan) plan = plan_new (host);

  plan->request.n_channels = n_channels;
  plan->request.rate = rate;
  plan->awaits_stream = FALSE;
  plan->at_once = TRUE;
  return build (host, plan, rate, error) ? g_steal_pointer (&plan) : NULL;
}

/* --- saved states --------------------------------------------------------- */

/* Whether a state with its model can run on the stream that there is. */
static gboolean
check_state (const SeqHost *host, SeqStream *saved, GError **error)
{
  SeqNeeds needs =
      seq_find_needs (seq_stream_model (saved), &host->request.settings);

  if (seq_stream_n_channels (saved) != host->request.n_channels)
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE,
        "the number of channels of the state is %u; expected %u, as the stream "
        "has",
        seq_stream_n_channels (saved), host->request.n_channels);
  else if (seq_stream_n_outputs (saved) != host->n_outputs)
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE,
        "the number of outputs of the state is %u; expected %u, as the model "
        "that runs has",
        seq_stream_n_outputs (saved), host->n_outputs);
  else
    return seq_check_needs (&needs, "the state", 0, host->request.rate, error);
  return FALSE;
}

/* The settings that the stream of a state was built from. */
static void
follow_state (SeqSettings *settings, SeqStream *saved)
{
  const SeqStreamConfig *config = seq_stream_config (saved);

  seq_describe (seq_stream_model (saved), settings);
  settings->given = 0;
  settings->channel_mode = config->channel_mode;
  settings->learning_rate = config->learning_rate;
  settings->window = config->window;
  settings->horizon = config->horizon;
  settings->clamp = config->clamp == (config->horizon > 0) ? SEQ_CLAMP_AUTO
                    : config->clamp                        ? SEQ_CLAMP_ON
                                                           : SEQ_CLAMP_OFF;
  settings->learning = config->learn != SEQ_LEARN_OFF;
  if (settings->learning)
    settings->learn = config->learn;
}

SeqPlan *
seq_host_plan_state (SeqHost *host, GBytes *state, GError **error)
{
  g_autoptr (SeqStream) saved =
      seq_snapshot_load (state, host->request.settings.max_memory, error);
  g_autoptr (SeqPlan) plan = NULL;

  if (!saved
      || (host->request.n_channels > 0 && !check_state (host, saved, error)))
    return NULL;
  plan = plan_new (host);
  follow_state (&plan->request.settings, saved);
  g_clear_pointer (&plan->request.saved_model, seq_model_unref);
  plan->request.saved_model = seq_model_ref (seq_stream_model (saved));
  plan->config = *seq_stream_config (saved);
  plan->awaits_stream = FALSE;
  if (host->request.n_channels > 0) {
    plan_rest (host, plan, saved);
    plan->engine = seq_engine_new (g_steal_pointer (&saved));
    plan->engine->has_past = TRUE;
    plan->drops_saved = plan->ends_fade = TRUE;
  } else {
    plan->saved = g_steal_pointer (&saved);
  }
  return g_steal_pointer (&plan);
}

/* To go on from a state with the model that the settings name. */
static SeqPlan *
plan_fitting_state (SeqHost *host, GBytes *state, GError **error)
{
  g_autoptr (SeqPlan) plan = plan_new (host);
  SeqSettings *settings = &plan->request.settings;
  SeqLearn learn;

  plan->saved = seq_snapshot_load (state, settings->max_memory, error);
  if (!plan->saved)
    return NULL;
  learn = seq_stream_config (plan->saved)->learn;
  if (!settings->learning && learn != SEQ_LEARN_OFF)
    settings->learn = learn; /* it is able to go on learning in its way */
  if (host->request.n_channels > 0
      && !build (host, plan, host->request.rate, error))
    return NULL;
  return g_steal_pointer (&plan);
}

SeqPlan *
seq_host_plan_state_file (SeqHost *host, const char *path, GError **error)
{
  g_autoptr (GError) local = NULL;
  g_autoptr (GBytes) state = NULL;
  SeqPlan *plan;

  if (host->saved) /* one that was set is newer */
    return NULL;
  state = seq_read_bytes (path, STATE_MAX, &local);
  if (!state) {
    if (!g_error_matches (local, G_FILE_ERROR, G_FILE_ERROR_NOENT))
      g_propagate_prefixed_error (
          error, g_steal_pointer (&local), "state-file ");
    return NULL; /* without an error: the first run */
  }
  plan = seq_settings_name_model (&host->request.settings)
             ? plan_fitting_state (host, state, error)
             : seq_host_plan_state (host, state, error);
  if (!plan)
    g_prefix_error (error, "state-file %s: ", path);
  return plan;
}

/* --- carrying out -----------------------------------------------------------
 */

gboolean
seq_host_carry_out (SeqHost *host, SeqPlan *plan_to_take)
{
  g_autoptr (SeqPlan) plan = plan_to_take;
  SeqHandover *handover = &host->handover;

  if (!plan)
    return FALSE;
  clear_request (&host->request);
  copy_request (&host->request, &plan->request);
  host->is_open = plan->opens;
  host->config = plan->config;
  host->awaits_stream = plan->awaits_stream;
  if (plan->saved || plan->drops_saved) {
    seq_stream_free (host->saved);
    host->saved = g_steal_pointer (&plan->saved);
  }
  if (plan->rest) {
    seq_rest_unref (host->rest);
    host->rest = g_steal_pointer (&plan->rest);
  }
  if (!plan->engine)
    return TRUE;
  if (host->saved) {
    seq_stream_adopt (plan->engine->stream, host->saved);
    g_clear_pointer (&host->saved, seq_stream_free);
    plan->engine->has_past = TRUE;
  }
  if (plan->at_once) {
    gboolean rewinds = handover->active && !plan->engine->has_past;

    host->n_outputs = seq_stream_n_outputs (plan->engine->stream);
    seq_handover_cut_over (handover, g_steal_pointer (&plan->engine), rewinds);
    return TRUE;
  }
  if (plan->ends_fade) {
    g_mutex_lock (&handover->lock);
    seq_handover_end_fade (handover);
    g_mutex_unlock (&handover->lock);
  }
  seq_handover_publish (handover, g_steal_pointer (&plan->engine));
  return TRUE;
}

/* The stream that runs, or will; the lock is held. */
static SeqStream *
latest_stream (SeqHandover *handover)
{
  SeqEngine *active = seq_handover_adopt_pending (handover);
  SeqEngine *pending = g_atomic_pointer_get (&handover->pending);
  SeqEngine *engine = pending ? pending : active;

  return engine ? engine->stream : NULL;
}

void
seq_host_set_knobs (SeqHost *host, const double *knobs, guint n_knobs)
{
  SeqHandover *handover = &host->handover;
  g_autoptr (SeqRest) rest = NULL;
  SeqStream *stream;

  g_free (host->knobs);
  host->knobs = g_memdup2 (knobs, n_knobs * sizeof *knobs);
  host->n_knobs = n_knobs;
  g_mutex_lock (&handover->lock);
  stream = latest_stream (handover);
  g_mutex_unlock (&handover->lock);
  /* which is freed by control threads alone */
  if (stream)
    rest = find_rest (host, seq_stream_model (stream),
        seq_stream_config (stream)->horizon, seq_stream_n_knobs (stream));
  if (!rest || rest == host->rest)
    return;
  seq_rest_unref (host->rest);
  host->rest = seq_rest_ref (rest);
  g_mutex_lock (&handover->lock);
  rest = seq_stream_set_rest (stream, rest);
  g_mutex_unlock (&handover->lock);
}

guint
seq_host_n_knobs (SeqHost *host)
{
  SeqStream *stream;

  g_mutex_lock (&host->handover.lock);
  stream = latest_stream (&host->handover);
  g_mutex_unlock (&host->handover.lock);
  return stream ? seq_stream_n_knobs (stream) : 0;
}

const char *
seq_host_sequence_to_one (SeqHost *host)
{
  const SeqModel *model = found_model (&host->request);

  return model ? g_hash_table_lookup (model->metadata, SEQ_SEQUENCE_KEY) : NULL;
}

gboolean
seq_host_rests (SeqHost *host)
{
  return !host->rest || host->rest->is_still;
}

void
seq_host_close (SeqHost *host)
{
  g_clear_pointer (&host->rest, seq_rest_unref);
  seq_handover_reset (&host->handover);
  g_clear_pointer (&host->saved, seq_stream_free);
  g_clear_pointer (&host->request.file, seq_model_file_unref);
  g_clear_pointer (&host->request.saved_model, seq_model_unref);
  host->request.n_channels = host->request.rate = host->n_outputs = 0;
  host->config = (SeqStreamConfig){ 0 };
  host->is_open = host->awaits_stream = FALSE;
}

SeqHost *
seq_host_new (SeqHostRateFunc can_have_rate, gpointer data)
{
  SeqHost *host = g_new0 (SeqHost, 1);

  host->can_have_rate = can_have_rate;
  host->data = data;
  seq_settings_copy (&host->request.settings, &seq_default_settings);
  seq_handover_init (&host->handover);
  return host;
}

void
seq_host_free (SeqHost *host)
{
  if (!host)
    return;
  seq_host_close (host);
  clear_request (&host->request);
  seq_handover_clear (&host->handover);
  g_free (host->knobs);
  g_free (host);
}

/* --- what is in force -------------------------------------------------------
 */

gboolean
seq_host_is_open (SeqHost *host)
{
  return host->is_open;
}

guint
seq_host_n_channels (SeqHost *host)
{
  return host->request.n_channels;
}

guint
seq_host_n_outputs (SeqHost *host)
{
  return host->n_outputs;
}

gboolean
seq_host_awaits_stream (SeqHost *host)
{
  return host->awaits_stream;
}

const SeqSettings *
seq_host_settings (SeqHost *host)
{
  return &host->request.settings;
}

void
seq_host_describe_file (SeqHost *host, SeqSettings *description)
{
  const Request *request = &host->request;

  description->given = 0;
  if (!request->file || request->saved_model)
    return;
  seq_describe (request->file->model, description);
  description->given |= SEQ_BIT (SEQ_SETTING_HORIZON);
}

SeqNeeds
seq_host_needs (SeqHost *host)
{
  return seq_find_needs (found_model (&host->request), &host->request.settings);
}

SeqHandover *
seq_host_handover (SeqHost *host)
{
  return &host->handover;
}

GBytes *
seq_host_get_state (SeqHost *host)
{
  SeqHandover *handover = &host->handover;
  g_autoptr (SeqModel) model = NULL;
  g_autofree gpointer state = NULL;
  SeqStreamConfig config;
  guint n_channels = 0;
  gsize size = 0;

  for (gboolean done = FALSE; !done;) {
    SeqEngine *engine;
    SeqStream *stream;
    gsize needed;

    /* the streaming thread may be waiting: allocate outside the lock */
    g_mutex_lock (&handover->lock);
    engine = seq_handover_adopt_pending (handover);
    stream = engine ? engine->stream : host->saved;
    needed = stream ? seq_stream_state_size (stream) : 0;
    done = needed == size;
    if (stream && done) {
      seq_stream_get_state (stream, state);
      model = seq_model_ref (seq_stream_model (stream));
      config = *seq_stream_config (stream);
      n_channels = seq_stream_n_channels (stream);
    }
    g_mutex_unlock (&handover->lock);
    if (!done) {
      g_free (state);
      size = needed;
      state = g_malloc (size);
    }
  }
  seq_handover_free_retired (handover);
  return model ? seq_snapshot_save (model, &config, n_channels, state, size)
               : NULL;
}

void
seq_host_get_stats (SeqHost *host, SeqHostStats *stats)
{
  SeqHandover *handover = &host->handover;
  const SeqModelFile *file = host->request.file;
  SeqEngine *engine;

  *stats = (SeqHostStats){ .isa = seq_isa_name (seq_cpu_isa ()),
    .model_file = file ? g_strdup (file->path) : NULL,
    .n_channels = host->request.n_channels };
  stats->stream.channels = g_new0 (SeqChannelStats, stats->n_channels);
  g_mutex_lock (&handover->lock);
  engine = handover->active;
  if (engine) {
    seq_stream_stats (engine->stream, FALSE, &stats->stream);
    stats->state_size = seq_stream_state_size (engine->stream);
    stats->model = seq_model_ref (seq_stream_model (engine->stream));
  }
  stats->n_swaps = handover->n_swaps;
  g_mutex_unlock (&handover->lock);
  seq_handover_free_retired (handover);
}

void
seq_host_stats_clear (SeqHostStats *stats)
{
  g_clear_pointer (&stats->model_file, g_free);
  g_clear_pointer (&stats->model, seq_model_unref);
  g_clear_pointer (&stats->stream.channels, g_free);
}
