/* snapshot.c: everything a stream has learnt and carries, as bytes.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Tensors "seqfilter.params" (the model's, as they lie), "seqfilter.scales"
 * (in_scale, in_shift, out_scale, out_shift) and "seqfilter.state"; metadata
 * "seqfilter.snapshot": a GVariant of type FACTS in text form. For a net around
 * a linear forecaster also the tensor "seqfilter.linear": that as a model file.
 * Since version 2 also "seqfilter.checksum": SHA-256 of all other metadata,
 * sorted by key, each key and value with its final NUL, and of the bytes of
 * scales, params, state and linear.
 */
#include "src/live/snapshot.h"
#include "src/io/load.h"
#include "src/io/safetensors.h"
#include "src/model-facts.h"

#include <string.h>

#define VERSION 2
#define CHECKSUM_KEY "seqfilter.checksum"
/* version, the model, normalised, format; learn, learning_rate, window,
 * horizon, channel_mode, clamp, n_channels */
#define FACTS "(u" SEQ_MODEL_FACTS "bsuduuubu)"
#define FACTS_1 "(u" SEQ_MODEL_FACTS "bsuduuuu)"    /* without clamp: off */
#define FIRST_OF_STREAM (1 + SEQ_N_MODEL_FACTS + 2) /* learn */

static GVariant *
facts_of (
    const SeqModel *model, const SeqStreamConfig *config, guint n_channels)
{
  GVariantBuilder tuple = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE (FACTS));

  g_variant_builder_add (&tuple, "u", VERSION);
  seq_model_facts_add (&tuple, model);
  g_variant_builder_add (&tuple, "b", model->normalised);
  g_variant_builder_add (&tuple, "s", model->format);
  g_variant_builder_add (&tuple, "u", config->learn);
  g_variant_builder_add (&tuple, "d", config->learning_rate);
  g_variant_builder_add (&tuple, "u", config->window);
  g_variant_builder_add (&tuple, "u", config->horizon);
  g_variant_builder_add (&tuple, "u", config->channel_mode);
  g_variant_builder_add (&tuple, "b", config->clamp);
  g_variant_builder_add (&tuple, "u", n_channels);
  return g_variant_builder_end (&tuple);
}

static const char *const tensor_names[] = { "seqfilter.scales",
  "seqfilter.params", "seqfilter.state", SEQ_LINEAR_TENSOR };
enum { SCALES, PARAMS, STATE, LINEAR /* may be missing */, N_TENSORS };

/* Of all metadata but itself, and of the tensors, which may be NULL. Free with
 * g_free(). */
static char *
make_checksum (
    GHashTable *metadata, const SeqTensorData *const tensors[N_TENSORS])
{
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);
  g_autoptr (GList) keys =
      g_list_sort (g_hash_table_get_keys (metadata), (GCompareFunc) strcmp);

  for (GList *k = keys; k; k = k->next) {
    const char *value = g_hash_table_lookup (metadata, k->data);

    if (g_str_equal (k->data, CHECKSUM_KEY))
      continue;
    g_checksum_update (sum, k->data, (gssize) strlen (k->data) + 1);
    g_checksum_update (
        sum, (const guchar *) value, (gssize) strlen (value) + 1);
  }
  for (guint i = 0; i < N_TENSORS; i++)
    if (tensors[i])
      g_checksum_update (sum, tensors[i]->data, (gssize) tensors[i]->size);
  return g_strdup (g_checksum_get_string (sum));
}

GBytes *
seq_snapshot_save (SeqModel *model, const SeqStreamConfig *config,
    guint n_channels, gconstpointer state, gsize size)
{
  const SeqChain *chain = model->chain;
  gsize n_scales;
  g_autoptr (GVariant) facts =
      g_variant_ref_sink (facts_of (model, config, n_channels));
  g_autoptr (GHashTable) metadata =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  g_autofree double *scales = seq_model_facts_scales (model, &n_scales);
  SeqTensorData tensors[N_TENSORS] = {
    [SCALES] = { tensor_names[SCALES], SEQ_DTYPE_F64, 1, { n_scales }, scales,
        n_scales * sizeof (double) },
    [PARAMS] = { tensor_names[PARAMS],
        sizeof (real) == 4 ? SEQ_DTYPE_F32 : SEQ_DTYPE_F64, 1,
        { chain->n_weights }, model->weights,
        chain->n_weights * sizeof (real) },
    [STATE] = { tensor_names[STATE], SEQ_DTYPE_U8, 1, { size }, state, size },
    [LINEAR] = { tensor_names[LINEAR], SEQ_DTYPE_U8, 1, { 0 }, NULL, 0 },
  };
  g_autoptr (GBytes) linear =
      model->linear ? seq_model_write (model->linear, "safetensors", NULL)
                    : NULL;

  g_hash_table_insert (
      metadata, g_strdup (SEQ_SNAPSHOT_KEY), g_variant_print (facts, FALSE));
  seq_model_facts_put (metadata, model);
  if (linear) {
    tensors[LINEAR].data = g_bytes_get_data (linear, &tensors[LINEAR].size);
    tensors[LINEAR].shape[0] = tensors[LINEAR].size;
  }
  g_hash_table_insert (metadata, g_strdup (CHECKSUM_KEY),
      make_checksum (metadata,
          (const SeqTensorData *const[]){ &tensors[SCALES], &tensors[PARAMS],
              &tensors[STATE], linear ? &tensors[LINEAR] : NULL }));
  return seq_safetensors_write (tensors, linear ? N_TENSORS : LINEAR, metadata);
}

/* Whether the bytes are those that were saved. Version 1 had no checksum. */
static gboolean
check_whole (const SeqSafetensors *file, const char *text, guint64 version,
    GError **error)
{
  const char *found = g_hash_table_lookup (file->metadata, CHECKSUM_KEY);
  const SeqTensorData *tensors[N_TENSORS];
  g_autofree char *sum = NULL;

  if (version < 1 || version > VERSION) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "saved state: the version is %" G_GUINT64_FORMAT
        "; expected 1 to %u, which this seqfilter knows",
        version, VERSION);
    return FALSE;
  }
  if (version == 1)
    return TRUE;
  for (guint i = 0; i < N_TENSORS; i++)
    tensors[i] = seq_safetensors_find (file, tensor_names[i]);
  sum = make_checksum (file->metadata, tensors);
  if (found && g_str_equal (found, sum))
    return TRUE;
  g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
      "saved state: the checksum is %s; expected %s: the file is damaged", sum,
      found ? found : "one in the metadata");
  return FALSE;
}

/* The tensor of that name, if it has exactly that many bytes. */
static const void *
find (const SeqSafetensors *file, const char *name, gsize size, GError **error)
{
  const SeqTensorData *tensor = seq_safetensors_find (file, name);

  if (!tensor || tensor->size != size) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "the size of %s is %" G_GSIZE_FORMAT
        " bytes; expected %" G_GSIZE_FORMAT,
        name, tensor ? tensor->size : 0, size);
    return NULL;
  }
  return tensor->data;
}

static gboolean
load_linear (SeqBuilder *builder, const SeqSafetensors *file, GError **error)
{
  const SeqTensorData *data = seq_safetensors_find (file, SEQ_LINEAR_TENSOR);
  g_autoptr (SeqModel) linear =
      data ? seq_model_load_linear (data->data, data->size, error) : NULL;

  seq_builder_set_linear (builder, linear);
  return !data || linear;
}

static SeqModel *
load_model (const SeqSafetensors *file, GVariant *facts, GError **error)
{
  gsize size = g_bytes_get_size (file->bytes);
  g_autoptr (SeqBuilder) builder =
      seq_model_facts_build (facts, 1, size / sizeof (real), error);
  gboolean normalised;
  const char *format;
  const void *bytes;

  if (!builder || !load_linear (builder, file, error))
    return NULL;
  g_variant_get_child (facts, 1 + SEQ_N_MODEL_FACTS, "b", &normalised);
  g_variant_get_child (facts, 2 + SEQ_N_MODEL_FACTS, "&s", &format);
  seq_builder_set_format (builder, format);
  seq_model_facts_take (builder, file->metadata);
  if (normalised) {
    const SeqTensorData *tensor =
        seq_safetensors_find (file, tensor_names[SCALES]);
    gsize n = 0;
    g_autofree double *scales =
        tensor ? seq_tensor_data_to_doubles (tensor, &n, error) : NULL;

    if ((tensor && !scales)
        || !seq_model_facts_set_scales (builder, scales, n, error))
      return NULL;
  }
  bytes = find (file, tensor_names[PARAMS],
      seq_builder_n_weights (builder) * sizeof (real), error);
  if (!bytes)
    return NULL;
  /* what was packed is packed again: another machine packs otherwise */
  seq_builder_set_weights (builder, bytes);
  return seq_builder_finish (builder, error);
}

SeqStream *
seq_snapshot_load (GBytes *bytes, guint64 max_memory, GError **error)
{
  g_autoptr (SeqSafetensors) file = seq_safetensors_parse (bytes, error);
  g_autoptr (GVariant) facts = NULL;
  g_autoptr (SeqModel) model = NULL;
  g_autoptr (SeqStream) stream = NULL;
  SeqStreamConfig config = { .max_memory = max_memory };
  SeqStreamMemory memory;
  guint learn, channel_mode, n_channels;
  guint64 version;
  gboolean set;
  const void *state = NULL;
  const char *text;

  if (!file)
    return NULL;
  text = g_hash_table_lookup (file->metadata, SEQ_SNAPSHOT_KEY);
  if (!text) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_FORMAT,
        "not a saved state: its metadata has no '%s'", SEQ_SNAPSHOT_KEY);
    return NULL;
  }
  /* the first member, as every version has it */
  version = *text == '(' ? g_ascii_strtoull (text + 1, NULL, 10) : 0;
  if (!check_whole (file, text, version, error))
    return NULL;
  facts = g_variant_parse (
      version > 1 ? G_VARIANT_TYPE (FACTS) : G_VARIANT_TYPE (FACTS_1), text,
      NULL, NULL, error);
  if (!facts) {
    g_prefix_error (error, "saved state: metadata '%s': ", SEQ_SNAPSHOT_KEY);
    return NULL;
  }
  g_variant_get_child (facts, FIRST_OF_STREAM, "u", &learn);
  g_variant_get_child (facts, FIRST_OF_STREAM + 1, "d", &config.learning_rate);
  g_variant_get_child (facts, FIRST_OF_STREAM + 2, "u", &config.window);
  g_variant_get_child (facts, FIRST_OF_STREAM + 3, "u", &config.horizon);
  g_variant_get_child (facts, FIRST_OF_STREAM + 4, "u", &channel_mode);
  if (version > 1) {
    g_variant_get_child (facts, FIRST_OF_STREAM + 5, "b", &config.clamp);
    g_variant_get_child (facts, FIRST_OF_STREAM + 6, "u", &n_channels);
  } else {
    g_variant_get_child (facts, FIRST_OF_STREAM + 5, "u", &n_channels);
  }
  if (learn > SEQ_LEARN_BOTH || channel_mode > SEQ_CHANNELS_JOINT
      || n_channels < 1 || n_channels > SEQ_MAX_CHANNELS || config.window < 1
      || config.window > SEQ_MAX_WINDOW
      || !(config.learning_rate > 0 && config.learning_rate <= 10)
      || config.horizon > SEQ_MAX_HORIZON) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "saved state: metadata '%s' is out of range: %s", SEQ_SNAPSHOT_KEY,
        text);
    return NULL;
  }
  config.learn = learn;
  config.channel_mode = channel_mode;
  model = load_model (file, facts, error);
  if (model
      && seq_stream_measure (model, n_channels, &config, &memory, error)) {
    if (version == 1)
      memory.state = seq_stream_state_size_1 (n_channels, memory.state);
    state = find (file, tensor_names[STATE], memory.state, error);
  }
  stream = state ? seq_stream_new (model, n_channels, &config, error) : NULL;
  if (!stream) {
    g_prefix_error (error, "saved state%s: ",
        version < VERSION ? ", by an older seqfilter, whose models may have "
                            "kept other numbers"
                          : "");
    return NULL;
  }
  set = version == 1 ? seq_stream_set_state_1 (stream, state)
                     : seq_stream_set_state (stream, state);
  if (!set) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "saved state: seqfilter.state has numbers that are not finite or out "
        "of range");
    return NULL;
  }
  return g_steal_pointer (&stream);
}

gboolean
seq_snapshot_save_model (GBytes *bytes, const char *path, GError **error)
{
  g_autoptr (SeqStream) stream = seq_snapshot_load (bytes, 0, error);
  g_autoptr (SeqModel) model =
      stream ? seq_stream_learnt_model (stream, 0, error) : NULL;

  return model && seq_model_save (model, path, "safetensors", error);
}
