/* chain.c: layers one after another, run and differentiated as one.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/chain.h"
#include "src/memory.h"

#include <string.h>

SeqChain *
seq_chain_new (SeqLayer **layers, guint n_layers, guint skip, GError **error)
{
  g_autoptr (SeqChain) chain = g_new0 (SeqChain, 1);

  g_assert (n_layers > 0);
  chain->n_layers = n_layers;
  chain->layers = layers;
  chain->weights_at = g_new0 (gsize, n_layers);
  chain->state_at = g_new0 (gsize, n_layers);
  chain->n_in = layers[0]->n_in;
  chain->n_out = layers[n_layers - 1]->n_out;
  chain->skip = skip;
  for (guint i = 0; i < n_layers; i++) {
    g_assert (i == 0 || layers[i]->n_in == layers[i - 1]->n_out);
    chain->weights_at[i] = chain->n_weights;
    chain->state_at[i] = chain->n_state;
    chain->n_weights += layers[i]->n_weights;
    chain->n_state += layers[i]->n_state;
  }
  if (skip > 1 && (skip > chain->n_in || skip > chain->n_out)) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
        "model: residual connection is over %u features; expected at most the "
        "%u inputs and %u outputs",
        skip, chain->n_in, chain->n_out);
    return NULL;
  }
  return g_steal_pointer (&chain);
}

void
seq_chain_free (SeqChain *chain)
{
  if (!chain)
    return;
  for (guint i = 0; i < chain->n_layers; i++)
    seq_layer_free (chain->layers[i]);
  g_free (chain->layers);
  g_free (chain->weights_at);
  g_free (chain->state_at);
  g_free (chain);
}

gboolean
seq_chain_learns (const SeqChain *chain)
{
  return chain->layers[chain->n_layers - 1]->klass->kind.flags
         & SEQ_KIND_LEARNS;
}

gboolean
seq_chain_exact (const SeqChain *chain)
{
  return chain->n_layers == 1 && chain->layers[0]->exact && !chain->skip;
}

void
seq_chain_pack (const SeqChain *chain, real *weights)
{
  for (guint i = 0; i < chain->n_layers; i++)
    if (chain->layers[i]->klass->pack)
      chain->layers[i]->klass->pack (
          chain->layers[i], weights + chain->weights_at[i]);
}

void
seq_chain_start (const SeqChain *chain, const real *weights, real *state)
{
  memset (state, 0, chain->n_state * sizeof (real));
  for (guint i = 0; i < chain->n_layers; i++)
    if (chain->layers[i]->klass->start)
      chain->layers[i]->klass->start (chain->layers[i],
          weights + chain->weights_at[i], state + chain->state_at[i]);
}

static void
rewind_layer (const SeqChain *chain, const real *weights, real *state, guint i)
{
  const SeqLayer *layer = chain->layers[i];
  const real *p = weights + chain->weights_at[i];
  real *s = state + chain->state_at[i];

  if (layer->klass->rewind) {
    layer->klass->rewind (layer, p, s);
  } else {
    memset (s, 0, layer->n_state * sizeof (real));
    if (layer->klass->start)
      layer->klass->start (layer, p, s);
  }
}

void
seq_chain_rewind (const SeqChain *chain, const real *weights, real *state)
{
  for (guint i = 0; i < chain->n_layers; i++)
    rewind_layer (chain, weights, state, i);
}

static gboolean
all_finite (const real *rows, gsize n_rows, guint n, gsize stride)
{
  gboolean finite = TRUE; /* a sum of differences would be slower */

  for (gsize r = 0; r < n_rows; r++, rows += stride)
    for (guint k = 0; k < n; k++)
      finite &= rows[k] - rows[k] == 0;
  return finite;
}

gboolean
seq_chain_check_state (const SeqChain *chain, const real *state)
{
  for (guint i = 0; i < chain->n_layers; i++) {
    const SeqLayer *layer = chain->layers[i];
    const real *s = state + chain->state_at[i];

    if (layer->klass->check_state ? !layer->klass->check_state (layer, s)
                                  : !all_finite (s, layer->n_state, 1, 1))
      return FALSE;
  }
  return TRUE;
}

/* The widest rows that gradients go through. */
static gsize
find_widest (const SeqChain *chain)
{
  gsize widest = SEQ_PAD (chain->n_in);

  for (guint i = 0; i < chain->n_layers; i++)
    widest = MAX (widest, SEQ_PAD (chain->layers[i]->n_out));
  return widest;
}

gsize
seq_work_size (
    const SeqChain *chain, guint max_frames, guint n_lanes, gboolean keep)
{
  gsize rows = seq_size_multiply (max_frames, n_lanes), n_scratch = 0;
  gsize tapes = keep ? rows : SEQ_PAD (n_lanes);
  gsize total = seq_size_multiply (rows, SEQ_PAD (chain->n_in));

  if (chain->skip)
    total =
        seq_size_add (total, seq_size_multiply (rows, SEQ_PAD (chain->n_out)));
  for (guint i = 0; i < chain->n_layers; i++) {
    const SeqLayer *layer = chain->layers[i];

    total =
        seq_size_add (total, seq_size_multiply (rows, SEQ_PAD (layer->n_out)));
    total = seq_size_add (
        total, seq_size_multiply (tapes, SEQ_PAD (layer->n_tape)));
    if (keep && layer->klass->n_scratch)
      n_scratch = MAX (n_scratch,
          SEQ_PAD (layer->klass->n_scratch (layer, max_frames, n_lanes)));
  }
  if (keep)
    total = seq_size_add (seq_size_add (total, n_scratch),
        seq_size_multiply (2 * find_widest (chain), rows));
  return total;
}

SeqWork *
seq_work_new (
    const SeqChain *chain, guint max_frames, guint n_lanes, gboolean keep)
{
  SeqWork *work = g_new0 (SeqWork, 1);
  gsize rows = (gsize) max_frames * n_lanes;
  gsize widest = find_widest (chain), at;
  gsize total = seq_work_size (chain, max_frames, n_lanes, keep);

  work->max_frames = max_frames;
  work->n_lanes = n_lanes;
  work->keep = keep;
  work->in_stride = SEQ_PAD (chain->n_in);
  work->out_stride = SEQ_PAD (chain->n_out);
  work->rows = g_new0 (real *, chain->n_layers);
  work->tapes = g_new0 (real *, chain->n_layers);

  work->memory = seq_alloc (total);
  at = rows * work->in_stride;
  work->in = work->memory;
  for (guint i = 0; i < chain->n_layers; i++) {
    const SeqLayer *layer = chain->layers[i];

    work->rows[i] = work->memory + at;
    at += rows * SEQ_PAD (layer->n_out);
    work->tapes[i] = work->memory + at;
    at += (keep ? rows : SEQ_PAD (n_lanes)) * SEQ_PAD (layer->n_tape);
  }
  /* with a skip the sum has rows of its own: the gradient of the last
   * layer may want that layer's own output */
  work->out = work->rows[chain->n_layers - 1];
  if (chain->skip) {
    work->out = work->memory + at;
    at += rows * work->out_stride;
  }
  if (keep) {
    work->d_rows[0] = work->memory + at;
    work->d_rows[1] = work->memory + at + rows * widest;
    work->scratch = work->memory + at + 2 * rows * widest;
    at += 2 * rows * widest;
  }
  g_assert (at <= total);
  return work;
}

void
seq_work_free (SeqWork *work)
{
  if (!work)
    return;
  seq_free (work->memory);
  g_free (work->rows);
  g_free (work->tapes);
  g_free (work);
}

/* The block of layer i for a pass: everything but target, valid and score. */
static SeqBlock
block_of (
    const SeqChain *chain, const SeqWork *work, const SeqPass *pass, guint i)
{
  const SeqLayer *layer = chain->layers[i];
  gsize row = (gsize) pass->at * work->n_lanes;
  gsize in_stride = SEQ_PAD (layer->n_in), out_stride = SEQ_PAD (layer->n_out);
  gsize tape_stride = work->keep ? SEQ_PAD (layer->n_tape) : 0;
  const real *in = i == 0 ? work->in : work->rows[i - 1];

  return (SeqBlock){
    .n_frames = pass->n_frames,
    .n_lanes = work->n_lanes,
    .weights = pass->weights + chain->weights_at[i],
    .weights_stride = pass->weights_stride,
    .state = pass->state + chain->state_at[i],
    .state_stride = chain->n_state,
    .in = in + row * in_stride,
    .in_stride = in_stride,
    .out = work->rows[i] + row * out_stride,
    .out_stride = out_stride,
    .tape = work->tapes[i] + row * tape_stride,
    .tape_stride = tape_stride,
  };
}

static void
run_layers (const SeqChain *chain, SeqWork *work, const SeqPass *pass,
    guint from, guint to)
{
  g_assert (pass->at + pass->n_frames <= work->max_frames);
  for (guint i = from; i < to; i++) {
    SeqBlock block = block_of (chain, work, pass, i);

    if (i == chain->n_layers - 1) {
      block.target = pass->target;
      block.target_stride = pass->target_stride;
      block.valid = pass->valid;
      block.score = pass->score;
      block.exact = pass->exact;
      block.exact_out = pass->exact_out;
    }
    chain->layers[i]->klass->run (chain->layers[i], &block);
  }
}

static void
add_skip (const SeqChain *chain, SeqWork *work, const SeqPass *pass)
{
  gsize row = (gsize) pass->at * work->n_lanes;
  const real *in = work->in + row * work->in_stride;
  const real *y = work->rows[chain->n_layers - 1] + row * work->out_stride;
  real *out = work->out + row * work->out_stride;
  guint s = chain->skip;

  for (gsize r = (gsize) pass->n_frames * work->n_lanes; r > 0; r--) {
    for (guint k = 0; k < chain->n_out; k++)
      out[k] = y[k] + (s == 1 ? in[0] : k < s ? in[k] : 0);
    in += work->in_stride;
    y += work->out_stride;
    out += work->out_stride;
  }
}

void
seq_chain_run (const SeqChain *chain, SeqWork *work, const SeqPass *pass)
{
  run_layers (chain, work, pass, 0, chain->n_layers);
  if (chain->skip)
    add_skip (chain, work, pass);
}

/* Layers before one that learns in its state, and the state they have. */
static guint
n_fixed (const SeqChain *chain)
{
  return seq_chain_learns (chain) ? chain->n_layers - 1 : chain->n_layers;
}

/* Reals of a lane's state that undo a block of the fixed layers. */
static gsize
undo_size (const SeqChain *chain)
{
  gsize n = 0;

  for (guint i = 0; i < n_fixed (chain); i++)
    n += chain->layers[i]->n_undo;
  return n;
}

gsize
seq_chain_saved (const SeqChain *chain, guint n_lanes)
{
  return n_lanes * undo_size (chain);
}

static void
save_states (const SeqChain *chain, const real *state, guint lanes, real *saved)
{
  for (guint lane = 0; lane < lanes; lane++, state += chain->n_state)
    for (guint i = 0; i < n_fixed (chain); i++) {
      gsize n = chain->layers[i]->n_undo;

      memcpy (saved, state + chain->state_at[i], n * sizeof (real));
      saved += n;
    }
}

static void
undo_states (const SeqChain *chain, const real *saved, guint lanes, real *state)
{
  for (guint lane = 0; lane < lanes; lane++, state += chain->n_state)
    for (guint i = 0; i < n_fixed (chain); i++) {
      gsize n = chain->layers[i]->n_undo;

      memcpy (state + chain->state_at[i], saved, n * sizeof (real));
      saved += n;
    }
}

/* One frame of the fixed layers; lanes whose numbers are not finite start
 * again. */
static void
run_frame_safely (const SeqChain *chain, SeqWork *work, const SeqPass *pass)
{
  guint n = n_fixed (chain), width = chain->layers[n - 1]->n_out;
  gsize stride = SEQ_PAD (width);
  real *row = work->rows[n - 1] + (gsize) pass->at * work->n_lanes * stride;

  run_layers (chain, work, pass, 0, n);
  for (guint lane = 0; lane < work->n_lanes; lane++, row += stride) {
    real *state = pass->state + lane * chain->n_state;

    if (all_finite (row, 1, width, stride))
      continue;
    memset (row, 0, stride * sizeof (real));
    for (guint i = 0; i < n; i++)
      rewind_layer (
          chain, pass->weights + lane * pass->weights_stride, state, i);
  }
}

/* The fixed layers over at most SEQ_UNDO_FRAMES frames. */
static void
run_fixed_safely (
    const SeqChain *chain, SeqWork *work, const SeqPass *pass, real *saved)
{
  guint n = n_fixed (chain), lanes = work->n_lanes;
  guint width = chain->layers[n - 1]->n_out;
  gsize stride = SEQ_PAD (width);

  save_states (chain, pass->state, lanes, saved);
  run_layers (chain, work, pass, 0, n);
  if (G_LIKELY (
          all_finite (work->rows[n - 1] + (gsize) pass->at * lanes * stride,
              (gsize) pass->n_frames * lanes, width, stride)))
    return;
  undo_states (chain, saved, lanes, pass->state);
  for (guint t = 0; t < pass->n_frames; t++) {
    SeqPass frame = *pass;

    frame.at += t;
    frame.n_frames = 1;
    run_frame_safely (chain, work, &frame);
  }
}

void
seq_chain_run_safely (
    const SeqChain *chain, SeqWork *work, const SeqPass *pass, real *saved)
{
  guint n = n_fixed (chain);
  SeqPass part = *pass;

  for (guint t = 0; n > 0 && t < pass->n_frames; t += part.n_frames) {
    part.at = pass->at + t;
    part.n_frames = MIN (SEQ_UNDO_FRAMES, pass->n_frames - t);
    run_fixed_safely (chain, work, &part, saved);
  }
  run_layers (chain, work, pass, n, chain->n_layers);
  if (chain->skip)
    add_skip (chain, work, pass);
}

void
seq_chain_grad (const SeqChain *chain, SeqWork *work, const SeqPass *pass,
    real *d_out, real *d_weights, real *d_in, real *d_state)
{
  const real *d_row = d_out;

  g_assert (work->keep);
  for (guint i = chain->n_layers; i-- > 0;) {
    const SeqLayer *layer = chain->layers[i];
    SeqBlock block = block_of (chain, work, pass, i);
    SeqGrad grad = {
      .d_out = d_row,
      .d_in = i > 0 ? work->d_rows[i % 2] : d_in,
      .d_in_stride = SEQ_PAD (layer->n_in),
      .d_weights = d_weights + chain->weights_at[i],
      .d_state = d_state + chain->state_at[i],
      .learnt = pass->learnt ? pass->learnt + chain->state_at[i] : NULL,
      .scratch = work->scratch,
    };

    layer->klass->grad (layer, &block, &grad);
    d_row = grad.d_in;
  }

  if (chain->skip && d_in) {
    guint s = chain->skip;

    for (gsize r = (gsize) pass->n_frames * work->n_lanes; r > 0; r--) {
      for (guint k = 0; k < chain->n_out; k++)
        if (s == 1 || k < s)
          d_in[s == 1 ? 0 : k] += d_out[k];
      d_in += work->in_stride;
      d_out += work->out_stride;
    }
  }
}
