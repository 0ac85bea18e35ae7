/* layer.h: what a layer is; the contract between the core and models/.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A model is a chain of layers. A layer has three blocks of numbers:
 *
 *   weights  what was trained or loaded: immutable while it runs, shared by
 *           every lane (or one copy a lane, see SeqBlock.weights_stride)
 *   state   one a lane, carried from frame to frame: a flat block of n_state
 *           reals that can be copied away and put back bit for bit. What a
 *           classical model learns (ar, markov, naive, readout) is state too.
 *   tape    one row a lane and frame: what grad() needs of run(). Inference
 *           gives a stride of 0: the rows of one frame serve again and again.
 *
 * Lanes are independent sequences side by side: the channels of a stream or
 * the sequences of a mini-batch. All data is [frame][lane][feature].
 *
 * The arithmetic of one lane's frame must not depend on how many frames or
 * lanes a block has: any split of a stream gives the same bits.
 *
 * Each file of models/ is compiled once per instruction set and once in
 * double precision (the reference that tests compare with), so a layer says
 * `real`, never float, and takes its vectors from src/simd/.
 */
#pragma once

#include "src/error.h"
#include "src/kind.h"
#include "src/real.h"

G_BEGIN_DECLS

/* Every block of weights, state, tape and every row of layer output is padded
 * to a multiple of SEQ_TILE reals and aligned to SEQ_ALIGN bytes, on every
 * instruction set: so files, states and snapshots move between machines. */
#define SEQ_TILE 16
#define SEQ_ALIGN 128
#define SEQ_PAD(n) (((gsize) (n) + SEQ_TILE - 1) / SEQ_TILE * SEQ_TILE)
#define SEQ_PAD_BYTES(n) (((gsize) (n) + SEQ_ALIGN - 1) / SEQ_ALIGN * SEQ_ALIGN)
/* reals that hold n doubles, for layers that keep doubles in their state */
#define SEQ_DOUBLES(n) SEQ_PAD ((n) * sizeof (double) / sizeof (real))

#define SEQ_MAX_WIDTH 16384 /* features between two layers */
#define SEQ_MAX_UNITS 4096  /* of a recurrent layer; channels of a conv1d */
/* Frames of a block that SeqLayer.n_undo can take back. */
#define SEQ_UNDO_FRAMES 64

/* One tensor of a layer, as PyTorch names and shapes it: [gates * rows, cols],
 * gates in PyTorch's order. In memory it is cut into tiles of `tile` rows:
 *
 *   [row / tile][col][gate][row % tile]
 *
 * so that one step down a column feeds all gates of a tile of units, and a
 * vector holds neighbouring units. Rows past the last are zero and stay zero.
 * tile_stride (reals from one tile to the next) may be larger than
 * cols * gates * tile, when tensors share a block column by column. */
typedef struct {
  char *name; /* "weight_ih", "bias", ...; the layer's */
  guint gates, rows, cols;
  guint taps; /* of a convolution: columns go by tap, then by input, where
               * PyTorch and files go by input, then by tap; else 1 */
  guint tile; /* rows a tile, a divisor of SEQ_TILE or 16 n */
  gsize tile_stride; /* reals */
  gsize offset;      /* of gate 0, row 0, col 0 in the weights */
} SeqTensor;

static inline gsize
seq_tensor_index (const SeqTensor *t, guint gate, guint row, guint col)
{
  return t->offset + row / t->tile * t->tile_stride
         + ((gsize) col * t->gates + gate) * t->tile + row % t->tile;
}

typedef struct _SeqLayer SeqLayer;
typedef struct _SeqLayerClass SeqLayerClass;

/* A stretch of frames to run, and where its numbers are. Strides are in
 * reals. in: lane l of frame t is at in + (t * n_lanes + l) * in_stride;
 * likewise out, target and tape. Pointers do not overlap. */
typedef struct {
  guint n_frames, n_lanes;
  const real *weights;  /* of this layer */
  gsize weights_stride; /* from lane to lane; 0: all lanes share */
  real *state;          /* [lane][state_stride], this layer's part */
  gsize state_stride;
  const real *in; /* n_in features a row, in_stride >= n_in */
  gsize in_stride;
  const double *exact; /* [frame][lane][n_in]: what in was rounded from, for
                        * a layer that is `exact`. NULL: in is all */
  double *exact_out;   /* [frame][lane][n_out]: likewise, written. May be
                        * NULL */
  real *out;           /* out_stride >= SEQ_PAD (n_out); run() may
                        * write the padding, finite values only */
  gsize out_stride;
  real *tape;        /* SEQ_PAD (n_tape) a row; what a row holds is the
                      * layer's own business, and may be shared out among
                      * the lanes of a frame */
  gsize tape_stride; /* from row to row; 0: keep nothing: then there are
                      * SEQ_PAD (n_lanes) rows to work in, for all frames */
  /* For layers that learn in their state; NULL target: learn nothing. */
  const real *target; /* the signal at each frame: what a forecast
                       * made `horizon` frames ago should have hit */
  gsize target_stride;
  const guint8 *valid; /* [frame][lane]: 0 where the signal was
                        * missing and in and target are filled in:
                        * do not learn from it. NULL: all valid */
  real *score;         /* [frame][lane], -log2 of the probability
                        * that the model gave to this frame before it
                        * came, if the class has SEQ_KIND_SCORES; 0
                        * while there is no forecast. May be NULL */
} SeqBlock;

/* The backward pass over a block that run() has just gone over, with its tape
 * kept. Here block->state is the state as it was before run(). */
typedef struct {
  const real *d_out;  /* gradient by out, laid out as out; the
                       * padding is zero */
  real *d_in;         /* gradient by in, laid out as in with
                       * d_in_stride; overwritten; NULL: not needed */
  gsize d_in_stride;  /* >= SEQ_PAD (n_in); padding gets zero */
  real *d_weights;    /* added to; shared by all lanes */
  real *d_state;      /* [lane][state_stride]: gradient by the state
                       * after the block; overwritten by that by the
                       * state before it */
  const real *learnt; /* [lane][state_stride]: the state as it is now, for
                       * layers that learn in it: their grad() goes back
                       * through what they know by now; no d_weights */
  real *scratch;      /* n_scratch (n_frames, n_lanes) reals */
} SeqGrad;

struct _SeqLayerClass {
  SeqKind kind;
  gsize instance_size; /* of the struct that begins with SeqLayer */

  /* Reads config (a{sv}; missing keys mean defaults) with n_in set; sets
   * n_out, tensors (offsets and all), n_weights, n_state, n_tape. Checks every
   * size before it multiplies. Control thread. */
  gboolean (*init) (SeqLayer *layer, GVariant *config, GError **error);
  /* Frees what init() allocated, also where it failed half way. NULL: nothing
   */
  void (*clear) (SeqLayer *layer);
  /* Fills weights (given as zeros) with the usual random start. NULL: zeros */
  void (*seed) (const SeqLayer *layer, GRand *rand, real *weights);
  /* Fills what weights hold beside the tensors (quantised weights), once the
   * tensors are there. Control thread. NULL: nothing */
  void (*pack) (const SeqLayer *layer, real *weights);
  /* Fills the state of one lane for the very start. NULL: zeros */
  void (*start) (const SeqLayer *layer, const real *weights, real *state);
  /* Puts what is carried from frame to frame back to the start and keeps what
   * was learnt. Real-time safe. NULL: as start */
  void (*rewind) (const SeqLayer *layer, const real *weights, real *state);
  /* Goes over a block. Real-time safe: no allocation, lock or I/O. */
  void (*run) (const SeqLayer *layer, const SeqBlock *block);
  /* Backward pass; only for SEQ_KIND_TRAINS. Real-time safe. */
  void (*grad) (
      const SeqLayer *layer, const SeqBlock *block, const SeqGrad *grad);
  gsize (*n_scratch) (const SeqLayer *layer, guint n_frames, guint n_lanes);
  /* Whether a state that came from outside (a file) can be run: counts and
   * places within their ranges, numbers finite. NULL: all is to be finite. */
  gboolean (*check_state) (const SeqLayer *layer, const real *state);
  /* Writes what the state of a lane has learnt into weights, so that start()
   * with these weights goes on from there. Only for SEQ_KIND_LEARNS. */
  void (*export_weights) (
      const SeqLayer *layer, const real *state, real *weights);
  /* The offsets, [n_in], that these weights see their input less. NULL: 0 */
  void (*export_offset) (
      const SeqLayer *layer, const real *state, double *offset);
};

struct _SeqLayer {
  const SeqLayerClass *klass;
  GVariant *config;   /* owned; complete enough to build it again */
  guint n_in, n_out;  /* features */
  gboolean exact;     /* reads SeqBlock.exact, and takes signals of any scale
                       * and offset as they are; set by init() */
  gboolean quantised; /* runs from packed weights, without grad() */
  gsize n_weights;    /* reals, a multiple of SEQ_TILE */
  gsize n_state;      /* reals a lane, a multiple of SEQ_TILE */
  gsize n_tape;       /* reals a lane and frame, likewise */
  gsize n_undo;       /* reals at the beginning of a state that, put back, undo
                       * a block of up to SEQ_UNDO_FRAMES frames; n_state, unless
                       * init() says less */
  guint n_tensors;
  SeqTensor *tensors; /* [n_tensors], owned */
};

/**
 * seq_layer_new:
 * @kind: a name in the table of models/models.c
 * @config: (nullable): a{sv}, sunk if floating
 * @n_in: features a frame
 *
 * Chooses the instruction set (cpu.h), checks that every key of @config is
 * one that the kind reads, and lets the kind check the rest.
 *
 * Returns: (transfer full): the layer, or NULL with SEQ_ERROR_CONFIG
 */
SeqLayer *seq_layer_new (
    const char *kind, GVariant *config, guint n_in, GError **error);
void seq_layer_free (SeqLayer *layer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SeqLayer, seq_layer_free)

/* Lookup by kind for the instruction set in use; defined by models/models.c,
 * the only file that knows every kind. NULL: no such kind. */
const SeqLayerClass *seq_layer_class (const char *kind);
/* Names of all kinds, NULL-terminated. */
const char *const *seq_layer_kinds (void);
/* The precision that a layer runs in: "float", "int16" or "int8". */
const char *seq_layer_precision (const SeqLayer *layer);

/* For init(): reads one number of config (any of GVariant's number types),
 * checks min <= value <= max and that it is whole where uint is asked for.
 * A missing key gives fallback. Errors name kind, key, value and range. */
gboolean seq_config_uint (const SeqLayer *layer, GVariant *config,
    const char *key, guint min, guint max, guint fallback, guint *value,
    GError **error);
gboolean seq_config_double (const SeqLayer *layer, GVariant *config,
    const char *key, double min, double max, double fallback, double *value,
    GError **error);
/* The same for those who are not a layer, unchecked. FALSE: the key is missing,
 * or not a number. */
gboolean seq_config_number (GVariant *config, const char *key, double *value);
/* Reads a word and gives its place in `words` (NULL-terminated); likewise
 * fallback. */
gboolean seq_config_word (const SeqLayer *layer, GVariant *config,
    const char *key, const char *const *words, guint fallback, guint *value,
    GError **error);
/* Reads an array of whole numbers ("au", "ai" or "ad"); missing: *n = 0. */
gboolean seq_config_uints (const SeqLayer *layer, GVariant *config,
    const char *key, guint min, guint max, guint *values, guint *n, guint n_max,
    GError **error);

/* For init(): adds a tensor of its own after those there are, and grows
 * n_weights; tile = SEQ_TILE. Returns its place in layer->tensors. */
guint seq_layer_add_tensor (
    SeqLayer *layer, const char *name, guint gates, guint rows, guint cols);

/* For seed(): every value of every tensor uniform in +-bound, in PyTorch's
 * order (tensor, gate, row, column). */
void seq_seed_uniform (
    const SeqLayer *layer, GRand *rand, double bound, real *weights);

/* Zeroed, aligned to SEQ_ALIGN; aborts when out of memory, as g_malloc does.
 * Free with seq_free(). */
real *seq_alloc (gsize n_reals);
void seq_free (gpointer reals);

G_END_DECLS
