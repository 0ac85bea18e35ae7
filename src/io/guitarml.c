/* guitarml.c: GuitarML and CoreAudioML (NeuralPi, Proteus, ...): a state_dict
 * and a few facts about it.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/io/json.h"
#include "src/io/statedict.h"

#include <string.h>

#define RATE 44100 /* Hz, by convention, if the file does not say */

/* The contents of model_data. */
typedef struct {
  const char *unit;
  guint n_in, n_out, hidden_size, n_layers, skip;
  double rate;
} Facts;

static gboolean
read_facts (json_t *root, Facts *f, GError **error)
{
  json_t *data = json_object_get (root, "model_data");
  const char *name = json_string_value (json_object_get (data, "model"));

  f->unit = json_string_value (json_object_get (data, "unit_type"));
  if (g_strcmp0 (name, "SimpleRNN") != 0) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "model is '%s'; expected SimpleRNN", name ? name : "missing");
    return FALSE;
  }
  if (g_strcmp0 (f->unit, "LSTM") && g_strcmp0 (f->unit, "GRU")
      && g_strcmp0 (f->unit, "RNN")) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "unit_type is '%s'; expected LSTM, GRU or RNN",
        f->unit ? f->unit : "missing");
    return FALSE;
  }
  return seq_json_uint (data, "input_size", SEQ_MAX_WIDTH, 1, &f->n_in, error)
         && seq_json_uint (
             data, "output_size", SEQ_MAX_WIDTH, 1, &f->n_out, error)
         && seq_json_uint (
             data, "hidden_size", SEQ_MAX_UNITS, 0, &f->hidden_size, error)
         && seq_json_uint (data, "num_layers", 64, 1, &f->n_layers, error)
         && seq_json_uint (data, "skip", SEQ_MAX_WIDTH, 0, &f->skip, error)
         && seq_json_double (root, "sample_rate", RATE, &f->rate, error);
}

static gboolean
add_tensors (GPtrArray *arrays, json_t *state, GError **error)
{
  const char *key;
  json_t *value;

  if (!json_is_object (state)) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "state_dict is %s; expected an object of tensors: a config without "
        "weights cannot run",
        state ? "something else" : "missing");
    return FALSE;
  }
  json_object_foreach (state, key, value)
  {
    g_autofree char *place = g_strdup_printf ("state_dict.%s", key);
    SeqArray *array = seq_json_array (value, key, place, error);

    if (!array)
      return FALSE;
    g_ptr_array_add (arrays, array);
  }
  return TRUE;
}

/* Checks the tensors against model_data: the number, kind and size of the
 * recurrent layers, and that a head follows. */
static gboolean
check_layers (const SeqBuilder *builder, const Facts *f, GError **error)
{
  guint n = seq_builder_n_layers (builder), n_same = 0;
  const SeqLayer *first = seq_builder_layer (builder, 0);

  while (
      n_same < n && seq_builder_layer (builder, n_same)->klass == first->klass)
    n_same++;
  if (g_ascii_strcasecmp (first->klass->kind.name, f->unit) == 0
      && first->n_in == f->n_in && first->n_out == f->hidden_size
      && n_same == f->n_layers && n > n_same
      && seq_builder_layer (builder, n - 1)->n_out == f->n_out)
    return TRUE;
  g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
      "state_dict is %u layers of %s %u with %u inputs and %u outputs; "
      "expected "
      "%u of %s %u with %u and %u, as model_data says",
      n_same, first->klass->kind.name, first->n_out, first->n_in,
      seq_builder_layer (builder, n - 1)->n_out, f->n_layers, f->unit,
      f->hidden_size, f->n_in, f->n_out);
  return FALSE;
}

static gboolean
sniff (const SeqFile *file)
{
  return json_object_get (file->json, "model_data") != NULL;
}

static SeqModel *
read_model (const SeqFile *file, GError **error)
{
  g_autoptr (GPtrArray) arrays = seq_arrays_new ();
  g_autoptr (SeqBuilder) builder = NULL;
  Facts facts;

  if (!read_facts (file->json, &facts, error)
      || !add_tensors (
          arrays, json_object_get (file->json, "state_dict"), error))
    return NULL;
  builder = seq_state_dict_build (arrays, file, error);
  if (!builder || !check_layers (builder, &facts, error))
    return NULL;
  seq_builder_set_n_signal (builder, 1);
  seq_builder_set_start (builder, SEQ_START_SILENCE);
  seq_builder_set_skip (builder, facts.skip);
  seq_builder_set_rate (builder, facts.rate);
  return seq_reader_finish (builder, file, error);
}

const SeqFileFormat seq_format_guitarml = {
  .name = "GuitarML",
  .mark = "model_data",
  .hints = seq_state_dict_hints,
  .sniff = sniff,
  .read = read_model,
};
