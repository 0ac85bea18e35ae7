/* fuzz_state.c: saved states, thrown at who resumes them.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What loads runs for a while, is saved and loads again. The mutator takes the
 * container apart, changes one tensor or the facts of the model, and puts it
 * together again, so that what is inside gets tried, not the container, which
 * fuzz_model.c tries.
 */
#include "src/io/safetensors.h"
#include "src/live/snapshot.h"
#include "src/model-facts.h"
#include "tests/fuzz/fuzz.h"

#include <math.h>
#include <string.h>

#define FRAMES 200
#define MAX_CHANNELS 8
#define MAX_STATE (1 << 20) /* bytes: larger ones show nothing else */

static void
run (SeqStream *stream)
{
  guint n = seq_stream_n_channels (stream);
  guint n_out = seq_stream_n_outputs (stream);
  g_autofree float *x = g_new (float, FRAMES *n);
  g_autofree float *y = g_new (float, FRAMES *n_out);
  gpointer in_channel[MAX_CHANNELS], out_channel[MAX_CHANNELS];
  SeqSignal in = { SEQ_FORMAT_F32, in_channel, n };
  SeqSignal out = { SEQ_FORMAT_F32, out_channel, n_out };
  const SeqSignal *outputs[SEQ_N_OUTPUTS] = { [SEQ_OUTPUT_PREDICTION] = &out };

  for (guint i = 0; i < FRAMES * n; i++)
    x[i] = (float) (i % 23) / 23 - 0.5f;
  for (guint c = 0; c < n; c++)
    in_channel[c] = x + c;
  for (guint c = 0; c < n_out; c++)
    out_channel[c] = y + c;
  seq_stream_process (stream, &in, outputs, FRAMES, 1, 1, 0);
  for (guint i = 0; i < FRAMES * n_out; i++)
    if (!isfinite (y[i]))
      g_error ("output %u is %g", i, y[i]);
}

static void
save_and_load (SeqStream *stream)
{
  gsize size = seq_stream_state_size (stream);
  g_autofree gpointer state = g_malloc (size);
  g_autoptr (GBytes) bytes = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (SeqStream) again = NULL;

  seq_stream_get_state (stream, state);
  bytes = seq_snapshot_save (seq_stream_model (stream),
      seq_stream_config (stream), seq_stream_n_channels (stream), state, size);
  again = seq_snapshot_load (bytes, 0, &error);
  if (!again)
    g_error ("what was saved does not load: %s", error->message);
}

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  g_autoptr (GBytes) bytes = g_bytes_new (data, size);
  g_autoptr (GError) error = NULL;
  g_autoptr (SeqStream) stream = seq_snapshot_load (bytes, 0, &error);

  if (!stream != !!error)
    g_error ("neither a stream nor an error");
  if (!stream || seq_stream_state_size (stream) > MAX_STATE
      || seq_stream_n_channels (stream) > MAX_CHANNELS
      || seq_stream_n_outputs (stream) > MAX_CHANNELS)
    return 0;
  run (stream);
  save_and_load (stream);
  return 0;
}

#ifdef SEQ_FUZZ
/* A number of the kind that breaks things, somewhere in the data. */
static void
put_number (guint8 *data, gsize size, GRand *rand)
{
  static const double doubles[] = { 0, -1, 1e-300, 1e30, -1e300, HUGE_VAL, NAN,
    G_MAXUINT32, 1e5 };
  double d =
      doubles[(guint) g_rand_int_range (rand, 0, G_N_ELEMENTS (doubles))];
  float f = (float) d;
  guint32 u = (guint32) g_rand_int (rand) >> (g_rand_int (rand) & 31);
  const void *number[] = { &d, &f, &u };
  const gsize widths[] = { sizeof d, sizeof f, sizeof u };
  guint i = (guint) g_rand_int_range (rand, 0, 3);
  gsize places = size / widths[i];

  if (places > 0)
    memcpy (
        data + (gsize) g_rand_int_range (rand, 0, (gint32) places) * widths[i],
        number[i], widths[i]);
}

/* Changes data in place, and keeps its size. */
static void
change_data (guint8 *data, gsize size, GRand *rand)
{
  if (g_rand_boolean (rand))
    put_number (data, size, rand);
  else
    LLVMFuzzerMutate (data, size, size);
}

static char *
change_text (const char *text)
{
  gsize size = strlen (text), room = size + 64;
  char *changed = g_malloc0 (room + 1);

  memcpy (changed, text, size);
  changed[LLVMFuzzerMutate ((guint8 *) changed, size, room)] = 0;
  return changed;
}

gsize
LLVMFuzzerCustomMutator (guint8 *data, gsize size, gsize max_size, guint seed)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (seed);
  g_autoptr (GBytes) bytes = g_bytes_new (data, size);
  g_autoptr (SeqSafetensors) file = seq_safetensors_parse (bytes, NULL);
  const char *facts =
      file ? g_hash_table_lookup (file->metadata, SEQ_SNAPSHOT_KEY) : NULL;
  g_autoptr (GBytes) changed = NULL;
  g_autofree guint8 *copy = NULL;

  if (!facts || file->tensors->len == 0 || seed % 16 == 0)
    return LLVMFuzzerMutate (data, size, max_size);
  if (seed % 4 == 1) {
    char *text = change_text (facts);

    if (g_utf8_validate (text, -1, NULL))
      g_hash_table_insert (file->metadata, g_strdup (SEQ_SNAPSHOT_KEY), text);
    else
      g_free (text);
  } else {
    SeqTensorData *tensor = &g_array_index (file->tensors, SeqTensorData,
        (guint) g_rand_int_range (rand, 0, (gint32) file->tensors->len));

    copy = g_memdup2 (tensor->data, tensor->size);
    if (copy) {
      change_data (copy, tensor->size, rand);
      tensor->data = copy;
    }
  }
  changed = seq_safetensors_write ((SeqTensorData *) file->tensors->data,
      file->tensors->len, file->metadata);
  if (g_bytes_get_size (changed) > max_size)
    return LLVMFuzzerMutate (data, size, max_size);
  memcpy (data, g_bytes_get_data (changed, NULL), g_bytes_get_size (changed));
  return g_bytes_get_size (changed);
}
#endif
