/* reader.c: what readers of formats share: see reader.h.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/io/reader.h"

#include "src/model-facts.h"

SeqArray *
seq_array_new (const char *name)
{
  SeqArray *array = g_new0 (SeqArray, 1);

  array->name = g_strdup (name);
  return array;
}

void
seq_array_free (SeqArray *array)
{
  if (!array)
    return;
  g_free (array->name);
  g_free (array->values);
  g_free (array);
}

gsize
seq_reader_limit (gsize size)
{
  /* a number takes a byte at least; rows are padded to a tile */
  return MAX (size, 1 << 16) * SEQ_TILE;
}

SeqBuilder *
seq_reader_builder (guint n_in, gsize size)
{
  SeqBuilder *builder = seq_builder_new (n_in);

  seq_builder_set_limit (builder, seq_reader_limit (size));
  return builder;
}

SeqModel *
seq_reader_finish (SeqBuilder *builder, const SeqFile *file, GError **error)
{
  const char *activation, *start;
  guint skip, knobs, window;
  double rate;

  if (g_variant_lookup (file->hints, "output_activation", "&s", &activation)
      && seq_builder_add (builder, "activation",
             g_variant_new_parsed ("{'activation': <%s>}", activation), error)
             < 0) {
    g_prefix_error (error, "option output_activation: ");
    return NULL;
  }
  if (g_variant_lookup (file->hints, "residual", "u", &skip))
    seq_builder_set_skip (builder, skip);
  if (g_variant_lookup (file->hints, "knobs", "u", &knobs)) {
    guint n_in = seq_builder_layer (builder, 0)->n_in;

    if (knobs >= n_in) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
          "option knobs is %u; expected less than the model's %u inputs", knobs,
          n_in);
      return NULL;
    }
    seq_builder_set_n_signal (builder, n_in - knobs);
  }
  if (g_variant_lookup (file->hints, "start", "&s", &start)) {
    seq_builder_set_start (builder, seq_start_find (start));
    if (seq_builder_horizon (builder) > 0
        && seq_start_find (start) == SEQ_START_SILENCE) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
          "option start is silence; expected zeros, as the model forecasts %u "
          "frames ahead and is not an effect",
          seq_builder_horizon (builder));
      return NULL;
    }
  }
  if (g_variant_lookup (file->hints, "window", "u", &window))
    seq_builder_set_window (builder, window);
  if (g_variant_lookup (file->hints, "rate", "d", &rate))
    seq_builder_set_rate (builder, rate);
  seq_builder_set_format (builder, file->format->name);
  return seq_builder_finish (builder, error);
}
