/* kind.h: what a kind of layer says of itself to users and to other code.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Each file of models/ fills in one SeqKind. Every list of kinds (the element's
 * property `model`, `seqmodel train --model`, tests, benches) is made from
 * these; the order of kinds means nothing.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef enum {
  SEQ_KIND_TRAINS = 1 << 0,     /* by gradient: it has grad() */
  SEQ_KIND_LEARNS = 1 << 1,     /* in its state, while it is given a target:
                                 * predicts its target `horizon` frames on.
                                 * It stands alone or comes last in a chain */
  SEQ_KIND_SCORES = 1 << 2,     /* fills SeqBlock.score */
  SEQ_KIND_LIVE_ONLY = 1 << 3,  /* learns in a stream, not from a recording
                                 * beforehand: seqmodel train refuses it */
  SEQ_KIND_TORCH_CELL = 1 << 4, /* a recurrent cell that PyTorch has too:
                                 * weight_ih, weight_hh, bias (the sum of its
                                 * two) and perhaps bias_hn, weight_hr bear
                                 * PyTorch's names and its order of gates */
} SeqKindFlags;

typedef struct {
  const char *name;  /* "lstm": as users and files say */
  const char *title; /* one line for people, where they choose a kind by
                      * name (model=lstm): "Long short-term memory".
                      * NULL: not chosen, but a part of models (dense) */
  const char *const *aliases; /* other names to choose it by, NULL-terminated;
                               * NULL: none */
  SeqKindFlags flags;
  const char *const *options; /* config keys that it reads, NULL-terminated */
  const char *twin; /* the kind with the same tensors that learns the other
                     * way: "readout" (in its state) for "dense" (by
                     * gradient), and back. NULL: none */
} SeqKind;

/* The kind of that name, or NULL. Any thread. */
const SeqKind *seq_kind_find (const char *name);
/* The kinds that users choose by name (those with a title), NULL-terminated,
 * static. Any thread. */
const SeqKind *const *seq_kind_choices (void);
/* The choice of that name or alias, or NULL. Any thread. */
const SeqKind *seq_kind_choose (const char *word);
/* Whether config may have that key. */
gboolean seq_kind_has_option (const SeqKind *kind, const char *option);
/* Names of the choices that have it, for people: "gru, lstm, rnn". Free with
 * g_free(). */
char *seq_kinds_with_option (const char *option);

G_END_DECLS
