/* plot.h: the picture of a training.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct {
  const char *title;
  guint n_epochs;
  const double *train, *validation; /* ESR of each epoch, if any */
  guint n_frames;
  const float *target, *output; /* a stretch of one channel */
  double rate;                  /* Hz; 0: the axis counts samples */
} Plot;

/* Writes PNG or SVG, by the name's suffix. */
gboolean plot_write (const Plot *plot, const char *path, GError **error);

G_END_DECLS
