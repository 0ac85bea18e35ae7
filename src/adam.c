/* adam.c: one step of Adam.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/adam.h"

#include <tgmath.h>

#define BETA1 ((real) 0.9)
#define BETA2 ((real) 0.999)
#define EPSILON ((real) 1e-8)

void
seq_adam (real *restrict weights, real *restrict moment1,
    real *restrict moment2, const real *restrict gradient, gsize n,
    double scale, double rate, guint64 n_updates)
{
  real step = (real) (rate / (1 - pow ((double) BETA1, (double) n_updates)));
  real root = (real) (1 / sqrt (1 - pow ((double) BETA2, (double) n_updates)));
  real s = (real) scale;

  for (gsize i = 0; i < n; i++) {
    real g = gradient[i] * s;

    moment1[i] += (1 - BETA1) * (g - moment1[i]);
    moment2[i] += (1 - BETA2) * (g * g - moment2[i]);
    weights[i] -= step * moment1[i] / (sqrt (moment2[i]) * root + EPSILON);
  }
}

double
seq_norm (const real *gradient, gsize n)
{
  double sum = 0;

  for (gsize i = 0; i < n; i++)
    sum += (double) gradient[i] * gradient[i];
  return sqrt (sum);
}
