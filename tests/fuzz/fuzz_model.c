/* fuzz_model.c: model files of any format, thrown at the loader.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One target for all formats, since the loader finds them by content. What
 * loads is run for a few frames, and written and read again in every format
 * that holds it.
 */
#include "src/io/format.h"
#include "src/io/load.h"
#include "src/chain.h"
#include "src/live/stream.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static void
run_model (const SeqModel *model)
{
  const SeqChain *chain = model->chain;
  g_autoptr (SeqWork) work = seq_work_new (chain, 8, 1, FALSE);
  real *state = seq_alloc (chain->n_state);
  SeqPass pass = { .n_frames = 8, .weights = model->weights, .state = state };

  seq_chain_start (chain, model->weights, state);
  work->in[0] = 1;
  seq_chain_run (chain, work, &pass);
  seq_free (state);
}

static void
write_and_read (const SeqModel *model, const SeqFileFormat *format)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) bytes = seq_model_write (model, format->name, &error);
  g_autoptr (SeqModel) back = NULL;

  if (!bytes) {
    if (!error)
      g_error ("neither %s nor an error", format->name);
    return;
  }
  back = seq_model_load_bytes (bytes, "again", NULL, NULL, &error);
  if (!back)
    g_error ("what was written as %s does not load: %s", format->name,
        error->message);
}

/* A few frames on a stream, from the start that the model wants. */
static void
run_stream (SeqModel *model)
{
  const SeqStreamConfig config = {
    .learning_rate = 1e-3, .window = 1, .horizon = model->horizon
  };
  guint n = model->n_signal, n_out = model->n_out;
  g_autofree gpointer *at = g_new (gpointer, n + n_out);
  g_autofree float *samples = g_new0 (float, 8 * (n + n_out));
  g_autoptr (SeqStream) stream = seq_stream_new (model, n, &config, NULL);
  SeqSignal in = { SEQ_FORMAT_F32, at, n };
  SeqSignal out = { SEQ_FORMAT_F32, at + n, n_out };

  if (!stream)
    return;
  if (seq_rest_is_start (model, model->horizon)) {
    g_autofree double *knobs = g_new0 (double, model->n_in - n + 1);

    seq_rest_unref (seq_stream_set_rest (
        stream, seq_rest_new (model, knobs, model->n_in - n)));
  }
  for (guint c = 0; c < n; c++)
    at[c] = samples + c;
  for (guint o = 0; o < n_out; o++)
    at[n + o] = samples + 8 * n + o;
  seq_stream_process (stream, &in,
      (const SeqSignal *[SEQ_N_OUTPUTS]){ [SEQ_OUTPUT_PREDICTION] = &out }, 8,
      1, 1, 0);
}

/* The file with an option that stands in itself: "modules=...". */
static void
load_with_modules (GBytes *bytes)
{
  gsize size;
  const char *data = g_bytes_get_data (bytes, &size), *end;
  const char *at = memmem (data, size, "modules=", 8);
  g_autofree char *text = NULL;
  g_autoptr (SeqModel) model = NULL;
  GVariantDict hints;

  end = at ? memchr (at, '"', size - (gsize) (at - data)) : NULL;
  if (!end || !g_utf8_validate (at, end - at, NULL))
    return;
  text = g_strndup (at + 8, (gsize) (end - at) - 8);
  g_variant_dict_init (&hints, NULL);
  g_variant_dict_insert (&hints, "modules", "s", text);
  model = seq_model_load_bytes (
      bytes, "modules", NULL, g_variant_dict_end (&hints), NULL);
  if (model && model->chain->n_state <= 1 << 20)
    run_model (model);
}

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  const SeqFileFormat *const *formats = seq_file_formats ();
  g_autoptr (GBytes) bytes = g_bytes_new (data, size);
  g_autoptr (GError) error = NULL;
  g_autoptr (SeqModel) model =
      seq_model_load_bytes (bytes, "fuzz", NULL, NULL, &error);

  if (!model != !!error)
    g_error ("neither a model nor an error");
  load_with_modules (bytes);
  if (!model || model->chain->n_weights > 1 << 20
      || model->chain->n_state > 1 << 20)
    return 0;
  run_model (model);
  if (model->chain->n_weights <= 1 << 12 && model->chain->n_state <= 1 << 12
      && model->window <= 64)
    run_stream (model);
  for (guint i = 0; formats[i]; i++)
    if (formats[i]->write)
      write_and_read (model, formats[i]);
  return 0;
}
