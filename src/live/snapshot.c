/* snapshot.c: everything a stream has learnt and carries, as bytes.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Tensors "seqfilter.params" (the model's, as they lie), "seqfilter.scales"
 * (in_scale, in_shift, out_scale, out_shift) and "seqfilter.state"; metadata
 * "seqfilter.snapshot": a GVariant of type FACTS in text form.
 */
#include "src/live/snapshot.h"
#include "src/builder.h"
#include "src/io/safetensors.h"

#include <string.h>

#define VERSION 1
#define KEY "seqfilter.snapshot"
/* version, layers (kind, options), n_in, skip, n_signal, horizon, rate,
 * normalised, format; learn, learning_rate, window, horizon, channel_mode,
 * n_channels */
#define FACTS "(ua(sa{sv})uuuudbsuduuuu)"

static GVariant *
facts_of (
    const SeqModel *model, const SeqStreamConfig *config, guint n_channels)
{
  const SeqChain *chain = model->chain;
  GVariantBuilder layers =
      G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("a(sa{sv})"));

  for (guint i = 0; i < chain->n_layers; i++)
    g_variant_builder_add (&layers, "(s@a{sv})",
        chain->layers[i]->klass->kind.name, chain->layers[i]->config);
  return g_variant_new (FACTS, VERSION, &layers, chain->n_in, chain->skip,
      model->n_signal, model->horizon, model->rate, model->normalised,
      model->format, config->learn, config->learning_rate, config->window,
      config->horizon, config->channel_mode, n_channels);
}

GBytes *
seq_snapshot_save (SeqModel *model, const SeqStreamConfig *config,
    guint n_channels, gconstpointer state, gsize size)
{
  const SeqChain *chain = model->chain;
  guint n_scales = 2 * (chain->n_in + chain->n_out);
  g_autoptr (GVariant) facts =
      g_variant_ref_sink (facts_of (model, config, n_channels));
  g_autoptr (GHashTable) metadata =
      g_hash_table_new_full (g_str_hash, g_str_equal, NULL, g_free);
  g_autofree double *scales = g_new (double, n_scales);
  double *at = scales;
  SeqTensorData tensors[] = {
    { "seqfilter.scales", SEQ_DTYPE_F64, 1, { n_scales }, scales,
        n_scales * sizeof (double) },
    { "seqfilter.params", sizeof (real) == 4 ? SEQ_DTYPE_F32 : SEQ_DTYPE_F64, 1,
        { chain->n_weights }, model->weights,
        chain->n_weights * sizeof (real) },
    { "seqfilter.state", SEQ_DTYPE_U8, 1, { size }, state, size },
  };

  for (guint i = 0; i < 4; i++) {
    const double *scale = ((const double *[]){ model->in_scale, model->in_shift,
        model->out_scale, model->out_shift })[i];
    guint n = i < 2 ? chain->n_in : chain->n_out;

    memcpy (at, scale, n * sizeof (double));
    at += n;
  }
  g_hash_table_insert (
      metadata, (gpointer) KEY, g_variant_print (facts, FALSE));
  return seq_safetensors_write (tensors, G_N_ELEMENTS (tensors), metadata);
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

static SeqModel *
load_model (const SeqSafetensors *file, GVariant *facts, GError **error)
{
  g_autoptr (GVariant) layers = g_variant_get_child_value (facts, 1);
  g_autoptr (SeqBuilder) builder = NULL;
  g_autofree double *scales = NULL;
  guint n_in, skip, n_signal, horizon, n_scales;
  gboolean normalised;
  const char *format;
  const void *bytes;
  double rate;

  g_variant_get_child (facts, 2, "u", &n_in);
  g_variant_get_child (facts, 3, "u", &skip);
  g_variant_get_child (facts, 4, "u", &n_signal);
  g_variant_get_child (facts, 5, "u", &horizon);
  g_variant_get_child (facts, 6, "d", &rate);
  g_variant_get_child (facts, 7, "b", &normalised);
  g_variant_get_child (facts, 8, "&s", &format);
  builder = seq_builder_new (n_in);
  seq_builder_set_limit (
      builder, g_bytes_get_size (file->bytes) / sizeof (real));
  for (gsize i = 0; i < g_variant_n_children (layers); i++) {
    const char *kind;
    g_autoptr (GVariant) config = NULL;

    g_variant_get_child (layers, i, "(&s@a{sv})", &kind, &config);
    if (seq_builder_add (builder, kind, config, error) < 0)
      return NULL;
  }
  seq_builder_set_skip (builder, skip);
  seq_builder_set_n_signal (builder, n_signal);
  seq_builder_set_horizon (builder, horizon);
  seq_builder_set_rate (builder, rate);
  seq_builder_set_format (builder, format);
  if (normalised && g_variant_n_children (layers) > 0) {
    guint n_out =
        seq_builder_layer (builder, (guint) g_variant_n_children (layers) - 1)
            ->n_out;

    n_scales = 2 * (n_in + n_out);
    bytes = find (file, "seqfilter.scales", n_scales * sizeof (double), error);
    if (!bytes)
      return NULL;
    scales = g_memdup2 (bytes, n_scales * sizeof (double));
    seq_builder_set_scales (builder, scales, scales + n_in, scales + 2 * n_in,
        scales + 2 * n_in + n_out);
  }
  bytes = find (file, "seqfilter.params",
      seq_builder_n_weights (builder) * sizeof (real), error);
  if (!bytes)
    return NULL;
  /* what was packed is packed again: another machine packs otherwise */
  seq_builder_set_weights (builder, bytes);
  return seq_builder_finish (builder, error);
}

/* Whether the file can hold the states that it claims: one a lane. */
static gboolean
check_size (const SeqModel *model, const SeqStreamConfig *config,
    guint n_channels, gsize size, GError **error)
{
  const SeqChain *chain = model->chain;
  guint n_signal = seq_stream_channels_per_lane (
      model->n_signal, chain->n_in, config->channel_mode, n_channels, error);
  gsize needed;

  if (n_signal == 0)
    return FALSE;
  needed = n_channels / n_signal * chain->n_state * sizeof (real);
  if (needed > size) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "the size is %" G_GSIZE_FORMAT " bytes; expected %" G_GSIZE_FORMAT
        " or more for %u channels",
        size, needed, n_channels);
    return FALSE;
  }
  return TRUE;
}

SeqStream *
seq_snapshot_load (GBytes *bytes, GError **error)
{
  g_autoptr (SeqSafetensors) file = seq_safetensors_parse (bytes, error);
  g_autoptr (GVariant) facts = NULL;
  g_autoptr (SeqModel) model = NULL;
  g_autoptr (SeqStream) stream = NULL;
  SeqStreamConfig config = { 0 };
  guint version, learn, channel_mode, n_channels;
  const void *state;
  const char *text;

  if (!file)
    return NULL;
  text = g_hash_table_lookup (file->metadata, KEY);
  if (!text) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_FORMAT,
        "not a saved state: its metadata has no '%s'", KEY);
    return NULL;
  }
  facts = g_variant_parse (G_VARIANT_TYPE (FACTS), text, NULL, NULL, error);
  if (!facts) {
    g_prefix_error (error, "saved state: metadata '%s': ", KEY);
    return NULL;
  }
  g_variant_get_child (facts, 0, "u", &version);
  g_variant_get_child (facts, 9, "u", &learn);
  g_variant_get_child (facts, 10, "d", &config.learning_rate);
  g_variant_get_child (facts, 11, "u", &config.window);
  g_variant_get_child (facts, 12, "u", &config.horizon);
  g_variant_get_child (facts, 13, "u", &channel_mode);
  g_variant_get_child (facts, 14, "u", &n_channels);
  if (version != VERSION || learn > SEQ_LEARN_BOTH
      || channel_mode > SEQ_CHANNELS_JOINT || n_channels < 1
      || n_channels > 65536 || config.window < 1 || config.window > 4096
      || !(config.learning_rate > 0 && config.learning_rate <= 10)
      || config.horizon > 1 << 20) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "saved state: metadata '%s' is out of range: %s", KEY, text);
    return NULL;
  }
  config.learn = learn;
  config.channel_mode = channel_mode;
  model = load_model (file, facts, error);
  if (model
      && check_size (
          model, &config, n_channels, g_bytes_get_size (bytes), error))
    stream = seq_stream_new (model, n_channels, &config, error);
  state = stream ? find (
              file, "seqfilter.state", seq_stream_state_size (stream), error)
                 : NULL;
  if (!state) {
    g_prefix_error (error, "saved state: ");
    return NULL;
  }
  if (!seq_stream_set_state (stream, state)) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "saved state: seqfilter.state has numbers that are not finite or out "
        "of range");
    return NULL;
  }
  return g_steal_pointer (&stream);
}
