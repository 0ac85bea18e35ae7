/* guitarml.c: GuitarML and CoreAudioML (NeuralPi, Proteus, ...): a state_dict
 * with a word on what it is of.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/io/reader.h"

#include <string.h>

#define RATE 44100 /* Hz, by convention, where the file says nothing */

SeqModel *
seq_read_guitarml (json_t *root, GVariant *hints, GError **error)
{
  json_t *data = json_object_get (root, "model_data");
  json_t *state = json_object_get (root, "state_dict");
  const char *name = json_string_value (json_object_get (data, "model"));
  const char *unit = json_string_value (json_object_get (data, "unit_type"));
  g_autoptr (GPtrArray) arrays =
      g_ptr_array_new_with_free_func ((GDestroyNotify) seq_array_free);
  guint n_in, n_out, hidden_size, n_layers, skip;
  SeqModel *model = NULL;
  GVariantDict dict;
  double rate;
  const char *key;
  json_t *value;
  const SeqLayer *first;

  g_autoptr (GVariant) all = NULL;

  if (!name || strcmp (name, "SimpleRNN") != 0) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "GuitarML: model is '%s' where SimpleRNN can be run",
        name ? name : "missing");
    return NULL;
  }
  if (!unit
      || (strcmp (unit, "LSTM") && strcmp (unit, "GRU")
          && strcmp (unit, "RNN"))) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "GuitarML: unit_type is '%s' where LSTM, GRU or RNN can be run",
        unit ? unit : "missing");
    return NULL;
  }
  if (!json_is_object (state)) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "GuitarML: there is no state_dict: a config without weights");
    return NULL;
  }
  if (!seq_json_uint (data, "input_size", SEQ_MAX_WIDTH, 1, &n_in, error)
      || !seq_json_uint (data, "output_size", SEQ_MAX_WIDTH, 1, &n_out, error)
      || !seq_json_uint (data, "hidden_size", 4096, 0, &hidden_size, error)
      || !seq_json_uint (data, "num_layers", 64, 1, &n_layers, error)
      || !seq_json_uint (data, "skip", SEQ_MAX_WIDTH, 0, &skip, error)
      || !seq_json_double (root, "sample_rate", RATE, &rate, error))
    goto done;
  json_object_foreach (state, key, value)
  {
    g_autofree char *place = g_strdup_printf ("state_dict.%s", key);
    SeqArray *array = seq_json_array (value, key, place, error);

    if (!array)
      goto done;
    g_ptr_array_add (arrays, array);
  }

  /* the file's word, unless the user's stands against it */
  g_variant_dict_init (&dict, hints);
  if (!g_variant_dict_contains (&dict, "residual"))
    g_variant_dict_insert (&dict, "residual", "u", skip);
  if (!g_variant_dict_contains (&dict, "rate"))
    g_variant_dict_insert (&dict, "rate", "d", rate);
  all = g_variant_ref_sink (g_variant_dict_end (&dict));
  model = seq_read_state_dict (arrays, 1, "GuitarML", all, error);
  if (!model)
    goto done;

  first = model->chain->layers[0];
  if (g_ascii_strcasecmp (first->klass->kind.name, unit) != 0
      || first->n_in != n_in || first->n_out != hidden_size
      || model->chain->n_out != n_out || n_layers < 1
      || model->chain->n_layers < n_layers + 1
      || !g_str_equal (model->chain->layers[n_layers - 1]->klass->kind.name,
          first->klass->kind.name)
      || g_str_equal (model->chain->layers[n_layers]->klass->kind.name,
          first->klass->kind.name)) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "GuitarML: model_data says %u layers of %s %u with %u inputs and %u "
        "outputs, the tensors of state_dict are of another shape",
        n_layers, unit, hidden_size, n_in, n_out);
    g_clear_pointer (&model, seq_model_unref);
  }

done:
  if (!model)
    g_prefix_error (error, "GuitarML: ");
  return model;
}
