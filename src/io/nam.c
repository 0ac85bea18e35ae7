/* nam.c: Neural Amp Modeler: which model of a file, and the LSTM architecture.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * An LSTM's weights are a flat list: per layer W [4 H][in + H] (weight_ih
 * beside weight_hh), b [4 H], h0 [H], c0 [H]; then the head's weight [out][H]
 * and bias [out].
 */
#include "src/io/nam.h"

#include <string.h>

#define RATE 48000 /* Hz, if the file does not say */

typedef struct {
  guint n_layers, hidden_size, n_in, n_out;
} Facts;

static gboolean
read_facts (json_t *root, Facts *f, GError **error)
{
  json_t *config = json_object_get (root, "config");

  if (!json_is_object (config)) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "config is %s; expected an object",
        config ? "something else" : "missing");
    return FALSE;
  }
  if (!seq_json_uint (config, "num_layers", 64, 0, &f->n_layers, error)
      || !seq_json_uint (
          config, "hidden_size", SEQ_MAX_UNITS, 0, &f->hidden_size, error)
      || !seq_json_uint (
          config, "input_size", SEQ_MAX_UNITS, 1, &f->n_in, error)
      || !seq_json_uint (
          config, "out_channels", SEQ_MAX_UNITS, 1, &f->n_out, error))
    return FALSE;
  if (f->n_layers >= 1 && f->hidden_size >= 1 && f->n_in >= 1 && f->n_out >= 1)
    return TRUE;
  g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
      "config has %u layers of %u units, %u inputs and %u outputs; expected at "
      "least 1 of each",
      f->n_layers, f->hidden_size, f->n_in, f->n_out);
  return FALSE;
}

static SeqArray *
read_weights (json_t *weights, const Facts *f, GError **error)
{
  guint64 needed = 0;

  for (guint64 k = 0, h = f->hidden_size; k < f->n_layers; k++)
    needed += 4 * h * ((k ? h : f->n_in) + h) + 4 * h + 2 * h;
  needed += (guint64) f->n_out * f->hidden_size + f->n_out;
  if (!json_is_array (weights) || json_array_size (weights) != needed) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "weights has %" G_GSIZE_FORMAT " values; expected %" G_GUINT64_FORMAT
        " for %u layers of %u units",
        json_array_size (weights), needed, f->n_layers, f->hidden_size);
    return NULL;
  }
  if (!json_is_array (json_array_get (weights, 0)))
    return seq_json_array (weights, "weights", "weights", error);
  g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
      "weights is a list of lists; expected a list of numbers");
  return NULL;
}

/* The next rows x cols values of the list, from column `from` of `width`. */
static gboolean
set (SeqBuilder *builder, guint layer, const char *tensor, const double *at,
    gsize rows, gsize cols, gsize from, gsize width, GError **error)
{
  g_autofree double *values = g_new (double, rows *cols + 1);

  for (gsize r = 0; r < rows; r++)
    memcpy (values + r * cols, at + r * width + from, cols * sizeof (double));
  return seq_builder_set (
      builder, layer, tensor, "weights", values, rows, cols, NULL, error);
}

/* Adds layer k, whose values begin at *at, and advances *at. */
static gboolean
add_layer (SeqBuilder *builder, guint k, const Facts *f, const double **at,
    GError **error)
{
  gsize h = f->hidden_size, in = k ? h : f->n_in;
  const double *w = *at, *b = w + 4 * h * (in + h);

  *at = b + 6 * h;
  return seq_builder_add (builder, "lstm",
             g_variant_new_parsed (
                 "{'hidden_size': <%u>, 'initial_state': <1>}", f->hidden_size),
             error)
             >= 0
         && set (builder, k, "weight_ih", w, 4 * h, in, 0, in + h, error)
         && set (builder, k, "weight_hh", w, 4 * h, h, in, in + h, error)
         && set (builder, k, "bias", b, 4 * h, 1, 0, 1, error)
         && set (builder, k, "h0", b + 4 * h, h, 1, 0, 1, error)
         && set (builder, k, "c0", b + 5 * h, h, 1, 0, 1, error);
}

static gboolean
add_head (SeqBuilder *builder, const Facts *f, const double *at, GError **error)
{
  gsize h = f->hidden_size;

  return seq_builder_add (builder, "dense",
             g_variant_new_parsed ("{'out_features': <%u>}", f->n_out), error)
             >= 0
         && set (builder, f->n_layers, "weight", at, f->n_out, h, 0, h, error)
         && set (builder, f->n_layers, "bias", at + f->n_out * h, f->n_out, 1,
             0, 1, error);
}

static gboolean
sniff (const SeqFile *file)
{
  return json_object_get (file->json, "architecture") != NULL;
}

static SeqBuilder *
build_lstm (json_t *root, GError **error)
{
  g_autoptr (SeqBuilder) builder = NULL;
  g_autoptr (SeqArray) array = NULL;
  const double *at;
  Facts f;

  if (!read_facts (root, &f, error))
    return NULL;
  array = read_weights (json_object_get (root, "weights"), &f, error);
  if (!array)
    return NULL;
  builder = seq_reader_builder (f.n_in, array->n_values);
  at = array->values;
  for (guint k = 0; k < f.n_layers; k++)
    if (!add_layer (builder, k, &f, &at, error))
      return NULL;
  if (!add_head (builder, &f, at, error))
    return NULL;
  return g_steal_pointer (&builder);
}

static SeqBuilder *
build_net (json_t *root, double size, GError **error)
{
  g_autoptr (SeqBuilder) builder = NULL;
  g_auto (SeqNet) net = { 0 };
  gsize n_values = 0;

  if (!seq_nam_read_net (root, size, &net, error))
    return NULL;
  for (guint i = 0; i < net.n_parts; i++)
    n_values += net.parts[i].values->len;
  builder = seq_reader_builder (net.n_in, n_values);
  return seq_net_add (&net, builder, error) ? g_steal_pointer (&builder) : NULL;
}

static SeqModel *
read_model (const SeqFile *file, GError **error)
{
  g_autoptr (SeqBuilder) builder = NULL;
  const char *architecture;
  json_t *root;
  double rate, size = -1;

  if (g_variant_lookup (file->hints, "size", "d", &size)
      && !seq_nam_has_sizes (file->json)) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "option size is %g; expected none, since the file holds a single size",
        size);
    return NULL;
  }
  root = seq_nam_choose (file->json, size, error);
  if (!root || !seq_json_double (root, "sample_rate", RATE, &rate, error))
    return NULL;
  architecture = json_string_value (json_object_get (root, "architecture"));
  builder = g_strcmp0 (architecture, "LSTM") == 0
                ? build_lstm (root, error)
                : build_net (root, size, error);
  if (!builder)
    return NULL;
  seq_builder_set_rate (builder, rate);
  return seq_reader_finish (builder, file, error);
}

static const char *const hints[] = { "size", NULL };

const SeqFileFormat seq_format_nam = {
  .name = "NAM",
  .mark = "architecture",
  .hints = hints,
  .sniff = sniff,
  .read = read_model,
};
