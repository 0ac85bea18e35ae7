/* model-facts.h: the structure of a model, for files of our own.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Model files and snapshots are both safetensors with a GVariant tuple as text
 * in their metadata. Both tuples contain the members below, in this order; the
 * members before and after them differ.
 */
#pragma once

#include "src/builder.h"

G_BEGIN_DECLS

/* What files may claim at most. */
#define SEQ_MAX_RATE 1e9          /* Hz */
#define SEQ_MAX_HORIZON (1 << 20) /* frames */

/* keys of metadata */
#define SEQ_MODEL_KEY "seqfilter.model"
#define SEQ_SNAPSHOT_KEY "seqfilter.snapshot"
/* beside either, where they are not the default */
#define SEQ_START_KEY "seqfilter.start"
#define SEQ_WINDOW_KEY "seqfilter.window"
/* of a net that ends in the last step of a sequence: how it is read */
#define SEQ_SEQUENCE_KEY "sequence to one"
#define SEQ_MAX_READ_WINDOW 65536 /* frames */

/* layers (kind, options), n_in, skip, n_signal, horizon, rate */
#define SEQ_MODEL_FACTS "a(sa{sv})uuuud"
#define SEQ_N_MODEL_FACTS 6

/* Adds these members of a model to a tuple. */
void seq_model_facts_add (GVariantBuilder *tuple, const SeqModel *model);

/* A builder from the members beginning with number `first`, without the
 * tensors' values. The layers may take at most max_weights reals. Errors:
 * SEQ_ERROR. Control thread. */
SeqBuilder *seq_model_facts_build (
    GVariant *tuple, guint first, gsize max_weights, GError **error);

/* "zeros" or "silence"; a word in a file that is missing (NULL) or another
 * means zeros. */
/* Puts start and window into metadata (char * -> char *, owned), and reads them
 * from there. */
void seq_model_facts_put (GHashTable *metadata, const SeqModel *model);
void seq_model_facts_take (SeqBuilder *builder, GHashTable *metadata);
/* A number of frames as text; another text is 0. */
guint seq_window_parse (const char *text);
const char *seq_start_name (SeqStart start);
SeqStart seq_start_find (const char *name);

/* in_scale, in_shift, out_scale and out_shift in a row, n values. */
double *seq_model_facts_scales (const SeqModel *model, gsize *n);
/* Sets them; n is checked: SEQ_ERROR_DAMAGED. */
gboolean seq_model_facts_set_scales (
    SeqBuilder *builder, const double *scales, gsize n, GError **error);

G_END_DECLS
