/* adam.h: one step of Adam (Kingma and Ba 2015, algorithm 1).
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "src/layer.h"

G_BEGIN_DECLS

/* weights, moment1, moment2, gradient: [n]. The gradient is multiplied by
 * scale first (clipping). n_updates: updates made, this one included, >= 1.
 * beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8. Real-time safe. */
void seq_adam (real *weights, real *moment1, real *moment2,
    const real *gradient, gsize n, double scale, double rate,
    guint64 n_updates);

/* Euclidean norm of a gradient. Real-time safe. */
double seq_norm (const real *gradient, gsize n);

G_END_DECLS
