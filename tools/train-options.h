/* train-options.h: the command line of seqmodel train.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "src/io/format.h"
#include "src/kind.h"
#include "src/train/trainer.h"

G_BEGIN_DECLS

/* 0 or NULL, where that is not a value, means the default. */
typedef struct {
  char **files; /* dry and wet, or one signal */
  /* the model */
  char *output, *kind, *from, *export, *normalize, *lags, *quantizer, **hints;
  const SeqFileFormat *export_format; /* of export's name; NULL: none */
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
  /* what is printed and drawn */
  char *plot;
  gboolean json, quiet, resume;
} TrainOptions;

/* Reads the command line over the defaults, and checks what can be checked
 * without the recordings. Errors: G_OPTION_ERROR. */
gboolean train_options_parse (
    TrainOptions *options, int *argc, char ***argv, GError **error);
void train_options_clear (TrainOptions *options);

/* Names of the kinds that can be trained and have these flags: "gru, lstm,
 * rnn". Free with g_free(). */
char *train_options_kinds (SeqKindFlags flags);
/* What a new model is made with: a{sv}, floating. */
GVariant *train_options_model (const TrainOptions *options);
/* The trainer's settings for a recording of n_frames; audio: it is sound. */
void train_options_config (const TrainOptions *options, gsize n_frames,
    double rate, gboolean predicts, gboolean audio, SeqTrainerConfig *config);
/* The path of a file that belongs to the model's: its name with `suffix` in
 * place of ".safetensors". */
char *train_options_beside (const TrainOptions *options, const char *suffix);

G_END_DECLS
