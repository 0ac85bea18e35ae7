/* plot.h: the picture that seqmodel train --plot draws.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "src/train/trainer.h"

G_BEGIN_DECLS

typedef struct {
  const char *title;
  const SeqTrainerEpoch *epochs; /* [n_epochs]; their curves */
  guint n_epochs;                /* 0: no curves */
  SeqModel *model;               /* whose output is drawn over the target */
  const SeqTrainerData *data;
  gsize start, n_frames; /* of data: the loudest `shown` frames in there are
                          * drawn; the model starts from rest at `start`, or a
                          * little later */
  guint shown;
  double rate; /* Hz; 0: the axis counts samples */
} Plot;

/* Writes PNG or SVG, by the suffix of path. */
gboolean plot_write (const Plot *plot, const char *path, GError **error);

G_END_DECLS
