/* reference.h: textbook cells in double, plain loops: what tests compare with.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Weights as PyTorch has them: w_ih [gates * H][I], w_hh [gates * H][H], b_ih
 * and b_hh [gates * H] (bias NULL: zero); h (and c) [H] are carried. A mingru's
 * gates are z and n; it has neither w_hh nor b_hh.
 */
#pragma once

#include <glib.h>

typedef struct {
  guint n_in, hidden_size;
  const double *w_ih, *w_hh, *b_ih, *b_hh;
} RefCell;

void ref_rnn (const RefCell *cell, gboolean relu, const double *x, double *h);
void ref_lstm (const RefCell *cell, const double *x, double *h, double *c);
void ref_gru (
    const RefCell *cell, gboolean reset_after, const double *x, double *h);
/* candidate: "linear", "positive" or "tanh" */
void ref_mingru (
    const RefCell *cell, const char *candidate, const double *x, double *h);
/* One step of a kind's cell at its default options. carried: [2 * hidden_size],
 * the output in its first half. FALSE: there is no textbook cell of that kind.
 */
gboolean ref_step (
    const char *kind, const RefCell *cell, const double *x, double *carried);
