/* checkpoint.c: writes and reads the file that training resumes from.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A safetensors container with a format name and the training's fingerprint in
 * its metadata, single numbers in "facts", a row an epoch in "history", and a
 * tensor for each block of weights.
 */
#include "src/train/checkpoint.h"
#include "src/io/safetensors.h"

#include <math.h>
#include <string.h>

#define FORMAT "seqmodel-checkpoint"
#define REAL_DTYPE (sizeof (real) == 8 ? SEQ_DTYPE_F64 : SEQ_DTYPE_F32)

enum {
  EPOCH,
  N_UPDATES,
  N_SKIPPED,
  STALE,
  BEST_EPOCH,
  N_COUNTS, /* those before it are whole numbers */
  BEST_ESR = N_COUNTS,
  MARK,
  RATE,
  N_FACTS
};

#define N_BLOCKS 5
static const char *const block_names[N_BLOCKS] = { "params", "average", "best",
  "moment1", "moment2" };

/* In the order of block_names. */
static void
list_blocks (const SeqProgress *progress, real *blocks[N_BLOCKS])
{
  blocks[0] = progress->weights;
  blocks[1] = progress->average;
  blocks[2] = progress->best;
  blocks[3] = progress->moment1;
  blocks[4] = progress->moment2;
}

void
seq_progress_init (SeqProgress *progress, const real *weights, gsize n_weights)
{
  gsize size = n_weights * sizeof (real);

  *progress = (SeqProgress){ .n_weights = n_weights };
  progress->weights = seq_alloc (n_weights);
  progress->average = seq_alloc (n_weights);
  progress->best = seq_alloc (n_weights);
  progress->moment1 = seq_alloc (n_weights);
  progress->moment2 = seq_alloc (n_weights);
  progress->history = g_array_new (FALSE, FALSE, sizeof (SeqTrainerEpoch));
  memcpy (progress->weights, weights, size);
  memcpy (progress->average, weights, size);
  memcpy (progress->best, weights, size);
}

void
seq_progress_clear (SeqProgress *progress)
{
  real *blocks[N_BLOCKS];

  list_blocks (progress, blocks);
  for (guint i = 0; i < N_BLOCKS; i++)
    seq_free (blocks[i]);
  g_clear_pointer (&progress->history, g_array_unref);
}

GBytes *
seq_checkpoint_write (const SeqProgress *progress, const char *fingerprint)
{
  const SeqTrainerReport *r = &progress->report;
  double facts[N_FACTS] = { [EPOCH] = r->epoch,
    [N_UPDATES] = (double) r->n_updates,
    [N_SKIPPED] = (double) r->n_skipped,
    [STALE] = progress->stale,
    [BEST_EPOCH] = r->best_epoch,
    [BEST_ESR] = r->best_esr,
    [MARK] = progress->mark,
    [RATE] = r->rate };
  SeqTensorData tensors[2 + N_BLOCKS] = { { .name = "facts",
                                              .dtype = SEQ_DTYPE_F64,
                                              .rank = 1,
                                              .shape = { N_FACTS },
                                              .data = facts,
                                              .size = sizeof facts },
    { .name = "history",
        .dtype = SEQ_DTYPE_F64,
        .rank = 2,
        .shape = { r->epoch, 2 },
        .data = progress->history->data,
        .size = r->epoch * sizeof (SeqTrainerEpoch) } };
  g_autoptr (GHashTable) metadata = g_hash_table_new (g_str_hash, g_str_equal);
  real *blocks[N_BLOCKS];

  list_blocks (progress, blocks);
  for (guint i = 0; i < N_BLOCKS; i++)
    tensors[2 + i] = (SeqTensorData){ .name = block_names[i],
      .dtype = REAL_DTYPE,
      .rank = 1,
      .shape = { progress->n_weights },
      .data = blocks[i],
      .size = progress->n_weights * sizeof (real) };
  g_hash_table_insert (metadata, "format", FORMAT);
  g_hash_table_insert (metadata, "fingerprint", (gpointer) fingerprint);
  return seq_safetensors_write (tensors, G_N_ELEMENTS (tensors), metadata);
}

/* A tensor of that type and size in bytes; NULL with an error. */
static const SeqTensorData *
find_tensor (const SeqSafetensors *file, const char *name, SeqDtype dtype,
    gsize size, GError **error)
{
  const SeqTensorData *found = seq_safetensors_find (file, name);

  if (found && found->dtype == dtype && found->size == size)
    return found;
  g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
      "the checkpoint is damaged: %s has %" G_GSIZE_FORMAT
      " bytes; expected %" G_GSIZE_FORMAT,
      name, found ? found->size : 0, size);
  return NULL;
}

/* Whether the file is a checkpoint of the same training; tells the first thing
 * that differs. */
static gboolean
check_origin (
    const SeqSafetensors *file, const char *fingerprint, GError **error)
{
  const char *format = g_hash_table_lookup (file->metadata, "format");
  const char *other = g_hash_table_lookup (file->metadata, "fingerprint");
  g_auto (GStrv) expected = g_strsplit (fingerprint, ", ", -1);
  g_auto (GStrv) found = NULL;
  guint i = 0;

  if (g_strcmp0 (format, FORMAT) != 0 || !other) {
    g_set_error (
        error, SEQ_ERROR, SEQ_ERROR_FORMAT, "not a training checkpoint");
    return FALSE;
  }
  if (g_str_equal (other, fingerprint))
    return TRUE;
  found = g_strsplit (other, ", ", -1);
  while (found[i] && expected[i] && g_str_equal (found[i], expected[i]))
    i++;
  g_set_error (error, SEQ_ERROR, SEQ_ERROR_SHAPE,
      "the checkpoint has '%s'; expected '%s': resume with the recordings, "
      "model and options that it was made with",
      found[i] ? found[i] : "", expected[i] ? expected[i] : "");
  return FALSE;
}

static gboolean
check_facts (const double facts[N_FACTS], GError **error)
{
  gboolean valid = facts[EPOCH] >= 1 && facts[EPOCH] <= G_MAXUINT
                   && facts[STALE] <= facts[EPOCH]
                   && facts[BEST_EPOCH] <= facts[EPOCH] && facts[RATE] > 0
                   && isfinite (facts[RATE]);

  for (guint i = 0; i < N_COUNTS; i++)
    valid = valid && facts[i] >= 0 && facts[i] < 0x1p53
            && facts[i] == floor (facts[i]);
  if (!valid)
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "the checkpoint is damaged: its counts are out of range");
  return valid;
}

gboolean
seq_checkpoint_read (SeqProgress *progress, GBytes *checkpoint,
    const char *fingerprint, GError **error)
{
  g_autoptr (SeqSafetensors) file = seq_safetensors_parse (checkpoint, error);
  gsize size = progress->n_weights * sizeof (real);
  const SeqTensorData *found, *history, *data[N_BLOCKS];
  const SeqTrainerEpoch *last;
  SeqTrainerReport *r = &progress->report;
  real *blocks[N_BLOCKS];
  double facts[N_FACTS];

  if (!file || !check_origin (file, fingerprint, error))
    return FALSE;
  found = find_tensor (file, "facts", SEQ_DTYPE_F64, sizeof facts, error);
  if (!found)
    return FALSE;
  memcpy (facts, found->data, sizeof facts);
  if (!check_facts (facts, error))
    return FALSE;
  history = find_tensor (file, "history", SEQ_DTYPE_F64,
      (gsize) facts[EPOCH] * sizeof (SeqTrainerEpoch), error);
  if (!history)
    return FALSE;
  for (guint i = 0; i < N_BLOCKS; i++) {
    data[i] = find_tensor (file, block_names[i], REAL_DTYPE, size, error);
    if (!data[i])
      return FALSE;
  }

  list_blocks (progress, blocks);
  for (guint i = 0; i < N_BLOCKS; i++)
    memcpy (blocks[i], data[i]->data, size);
  g_array_set_size (progress->history, (guint) facts[EPOCH]);
  memcpy (progress->history->data, history->data, history->size);
  last = &g_array_index (
      progress->history, SeqTrainerEpoch, progress->history->len - 1);
  r->train_esr = last->train_esr;
  r->validation_esr = last->validation_esr;
  r->epoch = (guint) facts[EPOCH];
  r->n_updates = (guint64) facts[N_UPDATES];
  r->n_skipped = (guint64) facts[N_SKIPPED];
  r->best_epoch = (guint) facts[BEST_EPOCH];
  r->best_esr = facts[BEST_ESR];
  r->rate = facts[RATE];
  progress->stale = (guint) facts[STALE];
  progress->mark = facts[MARK];
  return TRUE;
}
