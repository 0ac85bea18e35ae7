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
#include "tests/fuzz/fuzz.h"

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
  if (!model || model->chain->n_weights > 1 << 20
      || model->chain->n_state > 1 << 20)
    return 0;
  run_model (model);
  for (guint i = 0; formats[i]; i++)
    if (formats[i]->write)
      write_and_read (model, formats[i]);
  return 0;
}
