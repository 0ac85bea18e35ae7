/* train-options.h: what seqmodel train is told.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "src/train/trainer.h"

G_BEGIN_DECLS

typedef struct {
  char **files; /* dry and wet, or one signal */
  /* the model */
  char *output, *kind, *from, *export, *normalize, *lags, *quantizer, **hints;
  int hidden_size, layers, horizon, order, states;
  double forgetting;
  gboolean no_residual;
  /* the recordings */
  char *channel_mode, *split, *delay;
  int channel, channels, segment, warmup;
  double rate;
  gboolean independent;
  /* the method */
  char *loss;
  int update, batch, epochs, patience, stop_after, seed, threads;
  double learning_rate, min_learning_rate, target_esr, pre_emphasis, dc, decay,
      clip;
  /* what is seen */
  char *plot;
  gboolean json, quiet, resume;
} TrainOptions;

/* Reads the command line over the defaults, and checks what can be checked
 * without the recordings. Errors: G_OPTION_ERROR. */
gboolean train_options_parse (
    TrainOptions *options, int *argc, char ***argv, GError **error);
void train_options_clear (TrainOptions *options);

/* What the trainer is to do, for a recording of n_frames; audio: at a rate of
 * sound. */
void train_options_config (const TrainOptions *options, gsize n_frames,
    double rate, gboolean predicts, gboolean audio, SeqTrainerConfig *config);
/* The path of a file that belongs to the model's: its name with `suffix` in
 * place of ".safetensors". */
char *train_options_beside (const TrainOptions *options, const char *suffix);

G_END_DECLS
