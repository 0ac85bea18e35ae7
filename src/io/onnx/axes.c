/* axes.c: ONNX' nodes that move, add and drop axes of a signal and change
 * no number of it. SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/io/onnx/onnx.h"

#include <string.h>

static gboolean
trace_cast (SeqOnnxReader *reader, const Onnx__Node *node, guint port,
    const SeqOnnxValue *x, SeqOnnxValue *y, GError **error)
{
  gint64 to = seq_onnx_int (node, "to", SEQ_ONNX_FLOAT);

  if (to == SEQ_ONNX_FLOAT || to == SEQ_ONNX_DOUBLE || to == SEQ_ONNX_FLOAT16
      || to == SEQ_ONNX_BFLOAT16)
    return TRUE;
  g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
      "to is %" G_GINT64_FORMAT "; expected a floating-point type", to);
  return FALSE;
}

static gboolean
trace_identity (SeqOnnxReader *reader, const Onnx__Node *node, guint port,
    const SeqOnnxValue *x, SeqOnnxValue *y, GError **error)
{
  return TRUE;
}

static gboolean
trace_transpose (SeqOnnxReader *reader, const Onnx__Node *node, guint port,
    const SeqOnnxValue *x, SeqOnnxValue *y, GError **error)
{
  gint64 perm[SEQ_ONNX_RANK];
  guint n, seen = 0;

  if (!seq_onnx_ints (node, "perm", NULL, perm, &n, error))
    return FALSE;
  for (guint i = 0; i < x->rank && (n == 0 || n == x->rank); i++) {
    gint64 axis = n ? perm[i] : x->rank - 1 - i;

    if (!seq_onnx_axis (&axis, x->rank, error))
      return FALSE;
    seen |= 1u << axis;
    y->axes[i] = x->axes[axis];
  }
  if (seen == (1u << x->rank) - 1)
    return TRUE;
  g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
      "perm names an axis twice or leaves one out; expected each of %u once",
      x->rank);
  return FALSE;
}

void
seq_onnx_take_last (SeqOnnxValue *y, guint axis)
{
  y->last = TRUE;
  y->length = y->axes[axis].size;
  y->axes[axis] = (SeqOnnxAxis){ 0, 1 };
}

gboolean
seq_onnx_drop_axis (SeqOnnxValue *y, guint axis, GError **error)
{
  const SeqOnnxAxis *a = &y->axes[axis];

  if (seq_onnx_is_time (y, a)) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "it takes one frame of the sequence; expected all, or the last");
    return FALSE;
  }
  if (!seq_onnx_is_unit (a) && a->size) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "axis %u has %" G_GUINT64_FORMAT " entries; expected 1", axis, a->size);
    return FALSE;
  }
  y->rank--;
  memmove (y->axes + axis, y->axes + axis + 1,
      (y->rank - axis) * sizeof (SeqOnnxAxis));
  return TRUE;
}

static gboolean
trace_squeeze (SeqOnnxReader *reader, const Onnx__Node *node, guint port,
    const SeqOnnxValue *x, SeqOnnxValue *y, GError **error)
{
  GError *why = NULL;
  const SeqArray *given = seq_onnx_constant (reader, node, 1, "axes", &why);
  gint64 axes[SEQ_ONNX_RANK];
  guint n, drop = 0;

  if (why) {
    g_propagate_error (error, why);
    return FALSE;
  }
  if (!seq_onnx_ints (node, "axes", given, axes, &n, error))
    return FALSE;
  for (guint i = 0; i < n; i++) {
    if (!seq_onnx_axis (&axes[i], x->rank, error))
      return FALSE;
    drop |= 1u << axes[i];
  }
  for (guint i = x->rank; i-- > 0;)
    if (n ? (drop >> i & 1) != 0 : seq_onnx_is_unit (&x->axes[i]))
      if (!seq_onnx_drop_axis (y, i, error))
        return FALSE;
  return TRUE;
}

static gboolean
trace_unsqueeze (SeqOnnxReader *reader, const Onnx__Node *node, guint port,
    const SeqOnnxValue *x, SeqOnnxValue *y, GError **error)
{
  GError *why = NULL;
  const SeqArray *given = seq_onnx_constant (reader, node, 1, "axes", &why);
  gint64 axes[SEQ_ONNX_RANK];
  guint n, add = 0, from = 0;

  if (why) {
    g_propagate_error (error, why);
    return FALSE;
  }
  if (!seq_onnx_ints (node, "axes", given, axes, &n, error))
    return FALSE;
  y->rank = x->rank + n;
  for (guint i = 0; i < n; i++) {
    if (!seq_onnx_axis (&axes[i], MIN (y->rank, SEQ_ONNX_RANK), error))
      return FALSE;
    add |= 1u << axes[i];
  }
  for (guint i = 0; i < MIN (y->rank, SEQ_ONNX_RANK); i++)
    if (add >> i & 1)
      y->axes[i] = (SeqOnnxAxis){ 0, 1 };
    else if (from < x->rank)
      y->axes[i] = x->axes[from++];
  if (from == x->rank && y->rank <= SEQ_ONNX_RANK)
    return TRUE;
  g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
      "axes names %u to add to %u; expected different ones, at most %u in all",
      n, x->rank, SEQ_ONNX_RANK);
  return FALSE;
}

/* Whether a number is the place of the last entry of an axis. */
static gboolean
is_last (gint64 at, const SeqOnnxAxis *axis)
{
  return at == -1 || (axis->size && at == (gint64) axis->size - 1)
         || seq_onnx_is_length (at + 1, axis->of);
}

/* Takes one entry of an axis, the last one of time, and drops the axis. */
static gboolean
trace_gather (SeqOnnxReader *reader, const Onnx__Node *node, guint port,
    const SeqOnnxValue *x, SeqOnnxValue *y, GError **error)
{
  gint64 axis = seq_onnx_int (node, "axis", 0);
  const SeqArray *index =
      port == 0 ? seq_onnx_constant (reader, node, 1, "indices", error) : NULL;

  if (*error || !seq_onnx_axis (&axis, x->rank, error))
    return FALSE;
  if (index && index->n_values == 1 && index->rank <= 1
      && seq_onnx_is_time (x, &x->axes[axis])
      && is_last (seq_onnx_whole (index->values[0]), &x->axes[axis])) {
    seq_onnx_take_last (y, (guint) axis);
    return index->rank == 1 || seq_onnx_drop_axis (y, (guint) axis, error);
  }
  /* an axis of unknown length may be time */
  if (!index || index->rank > 0
      || (index->values[0] != 0 && index->values[0] != -1)
      || (!x->timed && !seq_onnx_is_unit (&x->axes[axis]))) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "it takes an entry of an axis of several; expected the only entry of "
        "an axis, or the last frame of a recurrent node's output");
    return FALSE;
  }
  return seq_onnx_drop_axis (y, (guint) axis, error);
}

/* Takes all of an axis, the last frame, or the first features of the input. */
static gboolean
slice_axis (SeqOnnxValue *y, guint i, gint64 start, gint64 end, gint64 step,
    GError **error)
{
  SeqOnnxAxis *axis = &y->axes[i];
  gboolean whole = end >= G_MAXINT32
                   || (axis->size && end >= (gint64) axis->size)
                   || seq_onnx_is_length (end, axis->of);

  if (start == 0 && step == 1 && whole)
    return TRUE;
  if (is_last (start, axis) && step == 1 && whole
      && seq_onnx_is_time (y, axis)) {
    seq_onnx_take_last (y, i);
    return TRUE;
  }
  if (start == 0 && step == 1 && i == y->rank - 1 && !y->n_layers && end > 0
      && !seq_onnx_is_time (y, axis)) {
    axis->size = (guint64) end;
    y->sliced = TRUE;
    return TRUE;
  }
  g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
      "it takes %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT
      " of axis %u by steps of %" G_GINT64_FORMAT
      "; expected all of an axis, the last frame of a recurrent node's output, "
      "or the first features of the input",
      start, end, i, step);
  return FALSE;
}

static gboolean
trace_slice (SeqOnnxReader *reader, const Onnx__Node *node, guint port,
    const SeqOnnxValue *x, SeqOnnxValue *y, GError **error)
{
  static const char *const names[] = { "starts", "ends", "axes", "steps" };
  gint64 lists[4][SEQ_ONNX_RANK];
  guint n[4];

  for (guint i = 0; i < 4; i++) {
    GError *why = NULL;
    const SeqArray *given =
        seq_onnx_constant (reader, node, i + 1, names[i], &why);

    if (why) {
      g_propagate_error (error, why);
      return FALSE;
    }
    if (!seq_onnx_ints (node, names[i], given, lists[i], &n[i], error))
      return FALSE;
  }
  if (port != 0 || n[0] != n[1] || (n[2] && n[2] != n[0])
      || (n[3] && n[3] != n[0])) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "it has %u starts, %u ends, %u axes and %u steps; expected as many of "
        "each",
        n[0], n[1], n[2], n[3]);
    return FALSE;
  }
  for (guint i = 0; i < n[0]; i++) {
    gint64 axis = n[2] ? lists[2][i] : i;

    if (!seq_onnx_axis (&axis, x->rank, error)
        || !slice_axis (y, (guint) axis, lists[0][i], lists[1][i],
            n[3] ? lists[3][i] : 1, error))
      return FALSE;
  }
  return TRUE;
}

/* The axes of x that no entry of a Reshape's target has taken yet. */
typedef struct {
  guint rank;
  SeqOnnxAxis axes[SEQ_ONNX_RANK];
} Left;

/* Takes the last axis that entry `at` of the target can mean. */
static gboolean
take_axis (Left *left, gint64 entry, guint at, SeqOnnxAxis *axis)
{
  for (guint i = left->rank; i-- > 0;) {
    SeqOnnxAxis *a = &left->axes[i];

    if (seq_onnx_is_unit (a))
      continue;
    for (guint k = 0; k < SEQ_ONNX_RANK; k++)
      if (entry == SEQ_ONNX_LENGTH (k) && a->of >> k & 1
          && a->of != 1u << k) { /* out of several that were merged */
        *axis = (SeqOnnxAxis){ (guint8) (1u << k), 0 };
        *a = (SeqOnnxAxis){ (guint8) (a->of & ~(1u << k)), 0 };
        return TRUE;
      }
    if (seq_onnx_is_length (entry, a->of) || (entry == 0 && i == at)
        || (a->size && entry == (gint64) a->size)) {
      *axis = *a;
      *a = (SeqOnnxAxis){ 0, 1 };
      return TRUE;
    }
  }
  return FALSE;
}

/* Each entry of the target names an axis (by 0, its size, or a length known
 * only at run time), is 1, or stands for all axes that no other entry names. */
static gboolean
trace_reshape (SeqOnnxReader *reader, const Onnx__Node *node, guint port,
    const SeqOnnxValue *x, SeqOnnxValue *y, GError **error)
{
  const SeqArray *given =
      port == 0 ? seq_onnx_constant (reader, node, 1, "shape", error) : NULL;
  gint64 target[SEQ_ONNX_RANK];
  gboolean is_free[SEQ_ONNX_RANK] = { FALSE }, numbered = FALSE;
  Left left = { x->rank, { { 0 } } };
  SeqOnnxAxis rest = { 0, 1 };
  guint n_free = 0;

  if (!given
      || !seq_onnx_ints (node, "shape", given, target, &y->rank, error)) {
    if (!*error)
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
          "shape is missing; expected a constant");
    return FALSE;
  }
  memcpy (left.axes, x->axes, sizeof left.axes);
  for (guint i = y->rank; i-- > 0;) {
    y->axes[i] = (SeqOnnxAxis){ 0, 1 };
    if (target[i] == 1 || take_axis (&left, target[i], i, &y->axes[i]))
      continue;
    is_free[i] = target[i] != 0;
    numbered |= target[i] != -1;
    n_free += is_free[i];
  }
  for (guint i = 0; i < x->rank; i++)
    if (!seq_onnx_is_unit (&left.axes[i])) {
      rest.size = rest.of ? 0 : left.axes[i].size;
      rest.of |= left.axes[i].of;
    }
  for (guint i = 0; i < y->rank; i++)
    if (is_free[i])
      y->axes[i] = rest;
  if (rest.of & SEQ_ONNX_FEATURES
      && (n_free != 1 || numbered || rest.of != SEQ_ONNX_FEATURES)) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "it mixes features with other axes or splits them; expected them as "
        "they are");
    return FALSE;
  }
  if (n_free == 0 && x->timed && rest.of & x->time) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "its shape has no axis for time; expected one");
    return FALSE;
  }
  return TRUE;
}

const SeqOnnxOp seq_onnx_axes_ops[] = {
  { "Cast", trace_cast, NULL },
  { "Dropout", trace_identity, NULL },
  { "Gather", trace_gather, NULL },
  { "Identity", trace_identity, NULL },
  { "Reshape", trace_reshape, NULL },
  { "Slice", trace_slice, NULL },
  { "Squeeze", trace_squeeze, NULL },
  { "Transpose", trace_transpose, NULL },
  { "Unsqueeze", trace_unsqueeze, NULL },
  { NULL },
};
