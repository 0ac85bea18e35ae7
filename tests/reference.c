/* reference.c: textbook cells in double, plain loops.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "tests/reference.h"

#include <math.h>
#include <string.h>

static double
sigmoid (double x)
{
  return 1 / (1 + exp (-x));
}

/* Row r of W_ih x + b_ih, and of W_hh h + b_hh. */
static double
of_x (const RefCell *cell, guint r, const double *x)
{
  double sum = cell->b_ih ? cell->b_ih[r] : 0;

  for (guint i = 0; i < cell->n_in; i++)
    sum += cell->w_ih[r * cell->n_in + i] * x[i];
  return sum;
}

static double
of_h (const RefCell *cell, guint r, const double *h)
{
  double sum = cell->b_hh ? cell->b_hh[r] : 0;

  for (guint j = 0; j < cell->hidden_size; j++)
    sum += cell->w_hh[r * cell->hidden_size + j] * h[j];
  return sum;
}

void
ref_rnn (const RefCell *cell, gboolean relu, const double *x, double *h)
{
  guint n = cell->hidden_size;
  g_autofree double *next = g_new (double, n);

  for (guint u = 0; u < n; u++) {
    double a = of_x (cell, u, x) + of_h (cell, u, h);

    next[u] = relu ? MAX (a, 0) : tanh (a);
  }
  memcpy (h, next, n * sizeof (double));
}

void
ref_lstm (const RefCell *cell, const double *x, double *h, double *c)
{
  guint n = cell->hidden_size;
  g_autofree double *next = g_new (double, n);

  for (guint u = 0; u < n; u++) {
    double i = sigmoid (of_x (cell, u, x) + of_h (cell, u, h));
    double f = sigmoid (of_x (cell, n + u, x) + of_h (cell, n + u, h));
    double g = tanh (of_x (cell, 2 * n + u, x) + of_h (cell, 2 * n + u, h));
    double o = sigmoid (of_x (cell, 3 * n + u, x) + of_h (cell, 3 * n + u, h));

    c[u] = f * c[u] + i * g;
    next[u] = o * tanh (c[u]);
  }
  memcpy (h, next, n * sizeof (double));
}

void
ref_gru (const RefCell *cell, gboolean reset_after, const double *x, double *h)
{
  guint n = cell->hidden_size;
  g_autofree double *next = g_new (double, n);
  g_autofree double *reset = g_new (double, n);

  for (guint u = 0; u < n; u++)
    reset[u] = h[u] * sigmoid (of_x (cell, u, x) + of_h (cell, u, h));
  for (guint u = 0; u < n; u++) {
    double r = sigmoid (of_x (cell, u, x) + of_h (cell, u, h));
    double z = sigmoid (of_x (cell, n + u, x) + of_h (cell, n + u, h));
    double a = of_x (cell, 2 * n + u, x)
               + (reset_after ? r * of_h (cell, 2 * n + u, h)
                              : of_h (cell, 2 * n + u, reset));

    next[u] = (1 - z) * tanh (a) + z * h[u];
  }
  memcpy (h, next, n * sizeof (double));
}

void
ref_mingru (
    const RefCell *cell, const char *candidate, const double *x, double *h)
{
  guint n = cell->hidden_size;

  for (guint u = 0; u < n; u++) {
    double z = sigmoid (of_x (cell, u, x)), a = of_x (cell, n + u, x);

    if (g_str_equal (candidate, "positive"))
      a = a >= 0 ? a + 0.5 : sigmoid (a);
    else if (g_str_equal (candidate, "tanh"))
      a = tanh (a);
    h[u] = (1 - z) * h[u] + z * a;
  }
}

gboolean
ref_step (
    const char *kind, const RefCell *cell, const double *x, double *carried)
{
  if (g_str_equal (kind, "lstm"))
    ref_lstm (cell, x, carried, carried + cell->hidden_size);
  else if (g_str_equal (kind, "gru"))
    ref_gru (cell, TRUE, x, carried);
  else if (g_str_equal (kind, "mingru"))
    ref_mingru (cell, "linear", x, carried);
  else if (g_str_equal (kind, "rnn"))
    ref_rnn (cell, FALSE, x, carried);
  else
    return FALSE;
  return TRUE;
}
