/* nam.c: Neural Amp Modeler, the LSTM architecture.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A flat list: per layer W [4 H][in + H] (weight_ih beside weight_hh), b [4 H],
 * h0 [H], c0 [H]; then the head's weight [out][H] and bias [out].
 */
#include "src/io/reader.h"

#include <string.h>

#define RATE 48000 /* Hz, where the file says nothing */

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

SeqModel *
seq_read_nam (json_t *root, GVariant *hints, GError **error)
{
  const char *architecture =
      json_string_value (json_object_get (root, "architecture"));
  json_t *config = json_object_get (root, "config");
  json_t *weights = json_object_get (root, "weights");
  g_autoptr (SeqBuilder) builder = NULL;
  SeqArray *array = NULL;
  SeqModel *model = NULL;
  guint n_layers, hidden_size, n_in, n_out;
  guint64 needed = 0;
  double rate;
  const double *at;

  if (!architecture || strcmp (architecture, "LSTM") != 0) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "NAM: architecture is '%s' where LSTM can be run",
        architecture ? architecture : "missing");
    return NULL;
  }
  if (!json_is_object (config) || !json_is_array (weights)) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "NAM: config and weights are needed");
    return NULL;
  }
  if (!seq_reader_refuse_hints (hints,
          (const char *const[]){
              "nonlinearity", "head", "head_activation", NULL },
          error)
      || !seq_json_uint (config, "num_layers", 64, 0, &n_layers, error)
      || !seq_json_uint (config, "hidden_size", 4096, 0, &hidden_size, error)
      || !seq_json_uint (config, "input_size", 4096, 1, &n_in, error)
      || !seq_json_uint (config, "out_channels", 4096, 1, &n_out, error)
      || !seq_json_double (root, "sample_rate", RATE, &rate, error))
    goto done;
  for (guint64 k = 0, h = hidden_size; k < n_layers; k++)
    needed += 4 * h * ((k ? h : n_in) + h) + 4 * h + 2 * h;
  needed += (guint64) n_out * hidden_size + n_out;
  if (n_layers < 1 || hidden_size < 1 || n_in < 1 || n_out < 1
      || json_array_size (weights) != needed) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "weights: %zu values where %u layers of %u units need "
        "%" G_GUINT64_FORMAT,
        json_array_size (weights), n_layers, hidden_size, needed);
    goto done;
  }
  array = seq_json_array (weights, "weights", "weights", error);
  if (!array || array->n_values != needed)
    goto done;

  builder = seq_reader_builder (n_in, array->n_values);
  at = array->values;
  for (guint k = 0; k < n_layers; k++) {
    gsize h = hidden_size, in = k ? h : n_in;

    if (seq_builder_add (builder, "lstm",
            g_variant_new_parsed (
                "{'hidden_size': <%u>, 'initial_state': <1>}", hidden_size),
            error)
            < 0
        || !set (builder, k, "weight_ih", at, 4 * h, in, 0, in + h, error)
        || !set (builder, k, "weight_hh", at, 4 * h, h, in, in + h, error))
      goto done;
    at += 4 * h * (in + h);
    if (!set (builder, k, "bias", at, 4 * h, 1, 0, 1, error)
        || !set (builder, k, "h0", at + 4 * h, h, 1, 0, 1, error)
        || !set (builder, k, "c0", at + 5 * h, h, 1, 0, 1, error))
      goto done;
    at += 6 * h;
  }
  if (seq_builder_add (builder, "dense",
          g_variant_new_parsed ("{'out_features': <%u>}", n_out), error)
          < 0
      || !set (builder, n_layers, "weight", at, n_out, hidden_size, 0,
          hidden_size, error)
      || !set (builder, n_layers, "bias", at + (gsize) n_out * hidden_size,
          n_out, 1, 0, 1, error))
    goto done;
  seq_builder_set_rate (builder, rate);
  model = seq_reader_finish (builder, "NAM", hints, error);

done:
  seq_array_free (array);
  if (!model)
    g_prefix_error (error, "NAM: ");
  return model;
}
