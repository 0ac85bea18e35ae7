/* aidax.c: AIDA-X: RTNeural's JSON with a rate, facts for people, and a
 * recording to test with.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One channel of sound; further inputs are knobs.
 */
#include "src/io/rtneural.h"

#include <math.h>

#define RATE 48000 /* Hz, if the file does not say */

static gboolean
sniff (const SeqFile *file)
{
  return seq_rtneural_is_layers (file->json)
         && seq_rtneural_is_aidax (file->json);
}

static SeqModel *
read_model (const SeqFile *file, GError **error)
{
  g_autoptr (SeqBuilder) builder = seq_rtneural_build (file, error);
  json_t *facts = json_object_get (file->json, "metadata");
  const char *key;
  json_t *value;
  double rate;

  /* older files have the rate at the top level */
  if (!builder
      || !seq_json_double (
          json_object_get (facts, "samplerate") ? facts : file->json,
          "samplerate", RATE, &rate, error))
    return NULL;
  seq_builder_set_rate (builder, rate);
  if (!json_object_get (file->json, "knobs"))
    seq_builder_set_n_signal (builder, 1);
  json_object_foreach (facts, key, value)
  {
    if (json_is_string (value))
      seq_builder_set_metadata (builder, key, json_string_value (value));
  }
  return seq_reader_finish (builder, file, error);
}

static double
worst_error (const SeqModel *model, const SeqArray *in, const SeqArray *out)
{
  const SeqChain *chain = model->chain;
  g_autoptr (SeqWork) work = seq_work_new (chain, 1, 1, FALSE);
  real *state = seq_alloc (chain->n_state);
  SeqPass pass = { .n_frames = 1, .weights = model->weights, .state = state };
  double worst = 0;

  seq_chain_start (chain, model->weights, state);
  for (gsize t = 0; t < in->n_values; t++) {
    work->in[0] = (real) (in->values[t] * model->in_scale[0]);
    seq_chain_run (chain, work, &pass);
    worst =
        MAX (worst, fabs (work->out[0] * model->out_scale[0] - out->values[t]));
  }
  seq_free (state);
  return worst;
}

static gboolean
self_test (const SeqFile *file, const SeqModel *model, double *worst, gsize *n,
    GError **error)
{
  static const char *const keys[] = { "input_batch", "output_batch" };
  g_autoptr (SeqArray) in = NULL, out = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
    if (!json_is_array (json_object_get (file->json, keys[i]))) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
          "%s is missing; expected the samples of a self-test", keys[i]);
      return FALSE;
    }
  in = seq_json_array (
      json_object_get (file->json, keys[0]), keys[0], keys[0], error);
  if (in)
    out = seq_json_array (
        json_object_get (file->json, keys[1]), keys[1], keys[1], error);
  if (!out)
    return FALSE;
  if (in->n_values != out->n_values || in->n_values == 0) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "input_batch has %" G_GSIZE_FORMAT " values and output_batch "
        "%" G_GSIZE_FORMAT "; expected the same number, at least 1",
        in->n_values, out->n_values);
    return FALSE;
  }
  *n = in->n_values;
  *worst = worst_error (model, in, out);
  return TRUE;
}

const SeqFileFormat seq_format_aidax = {
  .name = "AIDA-X",
  .mark = "layers and metadata",
  .sniff = sniff,
  .read = read_model,
  .self_test = self_test,
};
