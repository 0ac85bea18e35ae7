/* onnx.h: what the parts of the ONNX reader share: attributes, tensors, and
 * the folding of constants.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A constant is a SeqArray; its numbers are doubles, of whatever type they
 * were. In a shape that is computed from a signal's, a length that is known
 * only at run time is SEQ_ONNX_LENGTH (axis of the graph's input).
 */
#pragma once

#include "onnx.pb-c.h"
#include "src/io/reader.h"

G_BEGIN_DECLS

#define SEQ_ONNX_RANK SEQ_ARRAY_RANK /* at most */
#define SEQ_ONNX_LENGTH(axis) (-0x1p40 - (axis))

enum { /* TensorProto.DataType */
  SEQ_ONNX_FLOAT = 1,
  SEQ_ONNX_INT32 = 6,
  SEQ_ONNX_INT64 = 7,
  SEQ_ONNX_BOOL = 9,
  SEQ_ONNX_FLOAT16 = 10,
  SEQ_ONNX_DOUBLE = 11,
  SEQ_ONNX_BFLOAT16 = 16
};

/* Numbers that folding may make for each byte of the file: Slice, Concat,
 * Unsqueeze and Transpose each copy a weight (of two bytes or more) once. */
#define SEQ_ONNX_BUDGET 2

/* Where constants come from, and how many more may be made. */
typedef struct {
  const char *folder; /* for external data; NULL: none */
  gsize budget;       /* numbers that folding may still make */
  gsize outside;      /* bytes read from outside the file */
} SeqOnnxSource;

/* --- nodes ---------------------------------------------------------------- */

/* "node 'head' (MatMul)", for messages; free with g_free(). */
char *seq_onnx_label (const Onnx__Node *node);
/* A name from the file, clipped and valid UTF-8, for messages. */
char *seq_onnx_clip (const char *name);
gboolean seq_onnx_is (const Onnx__Node *node, const char *op);
const Onnx__Attribute *seq_onnx_attribute (
    const Onnx__Node *node, const char *name);
gint64 seq_onnx_int (const Onnx__Node *node, const char *name, gint64 fallback);
double seq_onnx_float (
    const Onnx__Node *node, const char *name, double fallback);
/* A number of a constant as a whole number; NaN is 0. */
static inline gint64
seq_onnx_whole (double x)
{
  return x != x ? 0 : (gint64) CLAMP (x, -0x1p62, 0x1p62);
}

/* Whole numbers that are an attribute in older opsets and an input in newer
 * ones; *n = 0 if both are missing. values: [SEQ_ONNX_RANK]. */
gboolean seq_onnx_ints (const Onnx__Node *node, const char *name,
    const SeqArray *input, gint64 *values, guint *n, GError **error);
/* Converts a negative axis, which counts from the end; checks the range. */
gboolean seq_onnx_axis (gint64 *axis, guint rank, GError **error);

/* --- constants ------------------------------------------------------------ */

/* Reads a tensor from the file or its external data. Errors: SEQ_ERROR. */
SeqArray *seq_onnx_tensor (
    const Onnx__Tensor *tensor, SeqOnnxSource *source, GError **error);

/* A new array of zeros, counted against the budget. */
SeqArray *seq_onnx_array (
    const guint64 *shape, guint rank, SeqOnnxSource *source, GError **error);

/* Computes the output of a node whose inputs are all constant (NULL: absent).
 */
SeqArray *seq_onnx_fold (const Onnx__Node *node, const SeqArray *const *in,
    SeqOnnxSource *source, GError **error);

/* --- signals -------------------------------------------------------------- */

/* A recurrent node and the kind of layer it is. */
typedef struct {
  const char *op, *kind;
  guint n_gates;
  guint8 gates[4];            /* our gate g is ONNX' block gates[g] */
  gboolean resets;            /* has linear_before_reset: our reset_after */
  gboolean carries_cell;      /* has initial_c and peepholes */
  const char *activations[4]; /* those that can run, NULL-terminated */
} SeqOnnxCell;

/* NULL: another node, or kind. */
const SeqOnnxCell *seq_onnx_cell_of_node (const Onnx__Node *node);
const SeqOnnxCell *seq_onnx_cell_of_kind (const char *kind);

#define SEQ_ONNX_FEATURES 0x80u /* in SeqOnnxAxis.of: a layer's outputs */

typedef struct {
  guint8 of;    /* a bit for each axis of the graph's input; 0: none */
  guint64 size; /* 0: unknown, or any */
} SeqOnnxAxis;

typedef struct _SeqOnnxValue SeqOnnxValue;
typedef struct _SeqOnnxOp SeqOnnxOp;

struct _SeqOnnxValue {
  SeqArray *constant;       /* a constant, owned; else */
  const GError *refused;    /* why it cannot run; else a signal: */
  guint64 inputs;           /* bits: the graph's inputs it depends on */
  gboolean recurrent;       /* it depends on a recurrent node */
  const SeqOnnxValue *from; /* NULL: an input of the graph */
  const Onnx__Node *node;   /* and what made it from that */
  const SeqOnnxOp *op;
  guint n_layers; /* up to here */
  guint64 n_in;   /* features that the node takes; 0: any */
  guint rank;
  SeqOnnxAxis axes[SEQ_ONNX_RANK];
  gboolean timed; /* a recurrent node has shown which axis is time: */
  guint8 time;
  gboolean last;   /* it is the last frame of a sequence; */
  guint64 length;  /* whose length the graph fixes, or 0 */
  gboolean sliced; /* it is the first features of the input */
  gint64 skip;     /* features of the input added to it; -1: none,
                    * 0: all of the input */
};

typedef struct {
  const Onnx__Graph *graph;
  gint64 opset;
  GHashTable *values;       /* char * -> SeqOnnxValue */
  GPtrArray *owned;         /* SeqOnnxValue */
  GHashTable *initializers; /* char * -> Onnx__Tensor */
  GPtrArray *errors;        /* GError, owned */
  SeqOnnxSource source;
} SeqOnnxReader;

/* A chain that is being built. */
typedef struct {
  SeqOnnxReader *reader;
  SeqBuilder *builder;
  gint dense; /* a layer whose bias an Add can set; -1: none */
} SeqOnnxChain;

struct _SeqOnnxOp {
  const char *type;
  /* Makes y, given as a copy of x with `from` set, from the signal x, input
   * `port` of the node. */
  gboolean (*trace) (SeqOnnxReader *reader, const Onnx__Node *node, guint port,
      const SeqOnnxValue *x, SeqOnnxValue *y, GError **error);
  gboolean (*add) (SeqOnnxChain *chain, const SeqOnnxValue *v, GError **error);
};

/* Whether a number in a shape or a Slice is the length of an axis of the
 * graph's input. */
static inline gboolean
seq_onnx_is_length (gint64 number, guint8 of)
{
  for (guint i = 0; i < SEQ_ONNX_RANK; i++)
    if (number == SEQ_ONNX_LENGTH (i))
      return of >> i & 1;
  return FALSE;
}

static inline gboolean
seq_onnx_is_unit (const SeqOnnxAxis *axis)
{
  return axis->size == 1 || axis->of == 0;
}

static inline gboolean
seq_onnx_is_time (const SeqOnnxValue *x, const SeqOnnxAxis *axis)
{
  return x->timed && !seq_onnx_is_unit (axis) && (axis->of & x->time);
}

/* Input i of a node; NULL: absent. */
const SeqOnnxValue *seq_onnx_input (
    SeqOnnxReader *reader, const Onnx__Node *node, guint i);
/* The same as a constant; NULL without an error: absent. */
const SeqArray *seq_onnx_constant (SeqOnnxReader *reader,
    const Onnx__Node *node, guint i, const char *what, GError **error);
/* Makes y the output of a layer along the last axis, with n_in inputs and n_out
 * outputs (0: as many as there are). */
gboolean seq_onnx_layer (
    SeqOnnxValue *y, guint64 n_in, guint64 n_out, GError **error);
/* The last frame of a sequence: on a stream each frame is, of what came so far.
 * The axis of time has one entry from here on. */
void seq_onnx_take_last (SeqOnnxValue *y, guint axis);
/* Drops an axis, which must have one entry. */
gboolean seq_onnx_drop_axis (SeqOnnxValue *y, guint axis, GError **error);

/* The operators that run on signals; the last has no type. */
extern const SeqOnnxOp seq_onnx_recurrent_ops[]; /* RNN, LSTM, GRU */
extern const SeqOnnxOp seq_onnx_dense_ops[];     /* and elementwise ones */
extern const SeqOnnxOp seq_onnx_axes_ops[];      /* that only move axes */

/* --- writing -------------------------------------------------------------- */

/* SeqFileFormat.write */
GBytes *seq_onnx_write (const SeqModel *model, GError **error);

G_END_DECLS
