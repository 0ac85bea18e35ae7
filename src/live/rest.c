/* rest.c: the state that a long silence leads a model to.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Outputs are compared with those of half as many frames before: what decays
 * slowly differs more between two frames the further these are apart.
 */
#include "src/live/rest.h"

#include "src/chain.h"
#include "src/cpu.h"

#include <math.h>
#include <string.h>

#define BLOCK 64
#define FIRST 512   /* frames before the first look at the outputs */
#define MOST 65536  /* frames; a second at the usual rates */
#define FEWEST 4096 /* frames, however large the model is */
#define WORK 4e10   /* weights times frames: some seconds */
#define STILL 1e-5  /* of an output, and relative to it */

/* The outputs of all layers at the last frame of the work, one after another.
 */
static void
copy_outputs (const SeqChain *chain, const SeqWork *work, real *outputs)
{
  for (guint i = 0; i < chain->n_layers; i++) {
    guint n = chain->layers[i]->n_out;

    memcpy (
        outputs, work->rows[i] + (BLOCK - 1) * SEQ_PAD (n), n * sizeof (real));
    outputs += n;
  }
}

static gboolean
are_still (const real *now, const real *before, gsize n)
{
  for (gsize i = 0; i < n; i++)
    if (!(fabs (now[i] - before[i]) <= STILL * (1 + fabs (before[i]))))
      return FALSE;
  return TRUE;
}

static void
fill_inputs (const SeqRest *rest, SeqWork *work)
{
  const SeqModel *model = rest->model;
  guint n_signal = model->n_in - rest->n_knobs;

  for (guint k = 0; k < model->n_in; k++) {
    double x = k < n_signal ? 0 : rest->knobs[k - n_signal];
    real u = (real) ((x - model->in_shift[k]) * model->in_scale[k]);

    for (guint t = 0; t < BLOCK; t++)
      work->in[t * work->in_stride + k] = u;
  }
}

static void
settle (SeqRest *rest)
{
  const SeqModel *model = rest->model;
  const SeqChain *chain = model->chain;
  g_autoptr (SeqWork) work = seq_work_new (chain, BLOCK, 1, FALSE);
  SeqPass pass = {
    .n_frames = BLOCK, .weights = model->weights, .state = rest->state
  };
  gsize most = (gsize) CLAMP (WORK / (double) chain->n_weights, FEWEST, MOST);
  /* nothing is remembered whole for longer: a frame of it takes a tile */
  gsize reach = chain->n_state / SEQ_TILE, n_outputs = 0, next = FIRST;
  g_autofree real *now = NULL, *before = NULL;
  real *saved = seq_alloc (seq_chain_saved (chain, 1));
  guint64 ftz = seq_ftz_begin ();

  for (guint i = 0; i < chain->n_layers; i++)
    n_outputs += chain->layers[i]->n_out;
  now = g_new0 (real, n_outputs);
  before = g_new (real, n_outputs);
  fill_inputs (rest, work);
  for (gsize n = BLOCK; n <= most && !rest->is_still; n += BLOCK) {
    seq_chain_run_safely (chain, work, &pass, saved);
    if (n != next)
      continue;
    memcpy (before, now, n_outputs * sizeof (real));
    copy_outputs (chain, work, now);
    rest->is_still =
        n > FIRST && n / 2 >= reach && are_still (now, before, n_outputs);
    next = 2 * n;
  }
  seq_ftz_end (ftz);
  seq_free (saved);
}

gboolean
seq_rest_is_start (const SeqModel *model, guint horizon)
{
  return model->start == SEQ_START_SILENCE && horizon == 0 && model->window == 0
         && !seq_chain_learns (model->chain);
}

SeqRest *
seq_rest_new (SeqModel *model, const double *knobs, guint n_knobs)
{
  SeqRest *rest = g_new0 (SeqRest, 1);

  rest->ref_count = 1;
  rest->model = seq_model_ref (model);
  rest->n_knobs = n_knobs;
  rest->knobs = g_memdup2 (knobs, n_knobs * sizeof *knobs);
  rest->state = seq_alloc (model->chain->n_state);
  seq_chain_start (model->chain, model->weights, rest->state);
  settle (rest);
  return rest;
}

SeqRest *
seq_rest_ref (SeqRest *rest)
{
  g_atomic_int_inc (&rest->ref_count);
  return rest;
}

void
seq_rest_unref (SeqRest *rest)
{
  if (!rest || !g_atomic_int_dec_and_test (&rest->ref_count))
    return;
  seq_model_unref (rest->model);
  g_free (rest->knobs);
  seq_free (rest->state);
  g_free (rest);
}

/* Whether two models rest alike. With a precision, each plan makes its model
 * from the file's. */
static gboolean
are_equal (const SeqModel *a, const SeqModel *b)
{
  const SeqChain *x = a->chain, *y = b->chain;

  if (a == b)
    return TRUE;
  if (x->n_layers != y->n_layers || x->n_weights != y->n_weights
      || a->n_in != b->n_in
      || memcmp (a->weights, b->weights, x->n_weights * sizeof (real)) != 0
      || memcmp (a->in_scale, b->in_scale, a->n_in * sizeof (double)) != 0
      || memcmp (a->in_shift, b->in_shift, a->n_in * sizeof (double)) != 0)
    return FALSE;
  for (guint i = 0; i < x->n_layers; i++)
    if (x->layers[i]->klass != y->layers[i]->klass
        || !g_variant_equal (x->layers[i]->config, y->layers[i]->config))
      return FALSE;
  return TRUE;
}

gboolean
seq_rest_suits (const SeqRest *rest, const SeqModel *model, const double *knobs,
    guint n_knobs)
{
  return rest->n_knobs == n_knobs && are_equal (rest->model, model)
         && (n_knobs == 0
             || memcmp (rest->knobs, knobs, n_knobs * sizeof *knobs) == 0);
}
