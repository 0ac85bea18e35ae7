/* fold.c: what ONNX graphs compute of constants: gates put into order by
 * Slice and Concat, transposed heads, shapes of initial states.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Most operators are one walk over the output with a stride for each axis.
 * Expand and Concat can make large constants from small ones, so every number
 * counts against a budget.
 */
#include "src/io/onnx/onnx.h"

#include <math.h>
#include <string.h>

typedef struct {
  const Onnx__Node *node;
  const SeqArray *const *in; /* NULL: absent, also after the last */
  SeqOnnxSource *source;
} Fold;

SeqArray *
seq_onnx_array (
    const guint64 *shape, guint rank, SeqOnnxSource *source, GError **error)
{
  SeqArray *array;
  guint64 n = 1;

  for (guint i = 0; i < rank; i++)
    if (!g_uint64_checked_mul (&n, n, shape[i]))
      n = G_MAXUINT64;
  if (n > source->budget) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "it makes a constant of %" G_GUINT64_FORMAT
        " values; expected at most %zu more for a file of this size",
        n, source->budget);
    return NULL;
  }
  source->budget -= (gsize) n;
  array = seq_array_new ("computed");
  array->rank = rank;
  memcpy (array->shape, shape, rank * sizeof (guint64));
  array->n_values = (gsize) n;
  array->values = g_new0 (double, array->n_values + 1);
  return array;
}

/* Row-major strides, in numbers. */
static void
strides_of (const SeqArray *a, gssize *strides)
{
  gssize step = 1;

  for (guint i = a->rank; i-- > 0; step *= (gssize) a->shape[i])
    strides[i] = step;
}

static double *
walk (double *out, const guint64 *shape, guint rank, const double *in,
    const gssize *strides)
{
  if (rank == 0) {
    *out = *in;
    return out + 1;
  }
  for (guint64 i = 0; i < shape[0]; i++, in += strides[0])
    out = walk (out, shape + 1, rank - 1, in, strides + 1);
  return out;
}

static SeqArray *
reshaped (const Fold *f, const guint64 *shape, guint rank, GError **error)
{
  SeqArray *y = seq_onnx_array (shape, rank, f->source, error);

  if (y && y->n_values == f->in[0]->n_values) {
    memcpy (y->values, f->in[0]->values, y->n_values * sizeof (double));
  } else if (y) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "the constant has %zu values; expected %zu for its new shape",
        f->in[0]->n_values, y->n_values);
    g_clear_pointer (&y, seq_array_free);
  }
  return y;
}

static SeqArray *
identity (const Fold *f, GError **error)
{
  return reshaped (f, f->in[0]->shape, f->in[0]->rank, error);
}

static SeqArray *
cast (const Fold *f, GError **error)
{
  gint64 to = seq_onnx_int (f->node, "to", SEQ_ONNX_FLOAT);
  SeqArray *y = identity (f, error);

  for (gsize i = 0;
       y && (to == SEQ_ONNX_INT32 || to == SEQ_ONNX_INT64) && i < y->n_values;
       i++)
    y->values[i] = trunc (y->values[i]);
  return y;
}

static SeqArray *
reshape (const Fold *f, GError **error)
{
  const SeqArray *x = f->in[0];
  gint64 target[SEQ_ONNX_RANK];
  guint64 shape[SEQ_ONNX_RANK], known = 1;
  gint inferred = -1;
  guint rank;

  if (!seq_onnx_ints (f->node, "shape", f->in[1], target, &rank, error))
    return NULL;
  for (guint i = 0; i < rank; i++) {
    if (target[i] == -1 && inferred < 0) {
      inferred = (gint) i;
      continue;
    }
    shape[i] = target[i] == 0 && i < x->rank ? x->shape[i]
               : target[i] < 0               ? 1
                                             : (guint64) target[i];
    if (!g_uint64_checked_mul (&known, known, shape[i]))
      known = 0;
  }
  if (inferred >= 0)
    shape[inferred] = known ? x->n_values / known : 0;
  return reshaped (f, shape, rank, error);
}

static SeqArray *
squeeze (const Fold *f, GError **error)
{
  const SeqArray *x = f->in[0];
  gint64 axes[SEQ_ONNX_RANK];
  guint64 shape[SEQ_ONNX_RANK];
  guint n, drop = 0, rank = 0;

  if (!seq_onnx_ints (f->node, "axes", f->in[1], axes, &n, error))
    return NULL;
  for (guint i = 0; i < n; i++) {
    if (!seq_onnx_axis (&axes[i], x->rank, error))
      return NULL;
    drop |= 1u << axes[i];
  }
  for (guint i = 0; i < x->rank; i++)
    if (n ? !(drop >> i & 1) : x->shape[i] != 1)
      shape[rank++] = x->shape[i];
  return reshaped (f, shape, rank, error);
}

static SeqArray *
unsqueeze (const Fold *f, GError **error)
{
  const SeqArray *x = f->in[0];
  gint64 axes[SEQ_ONNX_RANK];
  guint64 shape[SEQ_ONNX_RANK];
  guint n, rank, add = 0, from = 0;

  if (!seq_onnx_ints (f->node, "axes", f->in[1], axes, &n, error))
    return NULL;
  rank = x->rank + n;
  for (guint i = 0; i < n; i++) {
    if (!seq_onnx_axis (&axes[i], MIN (rank, SEQ_ONNX_RANK), error))
      return NULL;
    add |= 1u << axes[i];
  }
  for (guint i = 0; i < MIN (rank, SEQ_ONNX_RANK); i++)
    shape[i] = add >> i & 1 || from >= x->rank ? 1 : x->shape[from++];
  return reshaped (f, shape, MIN (rank, SEQ_ONNX_RANK), error);
}

static SeqArray *
transpose (const Fold *f, GError **error)
{
  const SeqArray *x = f->in[0];
  gint64 perm[SEQ_ONNX_RANK];
  guint64 shape[SEQ_ONNX_RANK];
  gssize from[SEQ_ONNX_RANK], strides[SEQ_ONNX_RANK];
  SeqArray *y;
  guint n, seen = 0;

  if (!seq_onnx_ints (f->node, "perm", NULL, perm, &n, error))
    return NULL;
  strides_of (x, from);
  for (guint i = 0; i < x->rank && (n == 0 || n == x->rank); i++) {
    gint64 axis = n ? perm[i] : x->rank - 1 - i;

    if (!seq_onnx_axis (&axis, x->rank, error))
      return NULL;
    seen |= 1u << axis;
    shape[i] = x->shape[axis];
    strides[i] = from[axis];
  }
  if (seen != (1u << x->rank) - 1) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "perm names an axis twice or leaves one out; expected each of %u once",
        x->rank);
    return NULL;
  }
  y = seq_onnx_array (shape, x->rank, f->source, error);
  if (y && y->n_values)
    walk (y->values, shape, x->rank, x->values, strides);
  return y;
}

static SeqArray *
slice (const Fold *f, GError **error)
{
  const SeqArray *x = f->in[0];
  gint64 starts[8], ends[8], axes[8], steps[8];
  guint64 shape[SEQ_ONNX_RANK];
  gssize strides[SEQ_ONNX_RANK], at = 0;
  guint n, n_ends, n_axes, n_steps;
  SeqArray *y;

  if (!seq_onnx_ints (f->node, "starts", f->in[1], starts, &n, error)
      || !seq_onnx_ints (
          f->node, "ends", f->in[1] ? f->in[2] : NULL, ends, &n_ends, error)
      || !seq_onnx_ints (
          f->node, "axes", f->in[1] ? f->in[3] : NULL, axes, &n_axes, error)
      || !seq_onnx_ints (
          f->node, "steps", f->in[1] ? f->in[4] : NULL, steps, &n_steps, error))
    return NULL;
  if (n != n_ends || (n_axes && n_axes != n) || (n_steps && n_steps != n)
      || n > x->rank) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "it has %u starts, %u ends, %u axes and %u steps; expected as many of "
        "each",
        n, n_ends, n_axes, n_steps);
    return NULL;
  }
  memcpy (shape, x->shape, sizeof shape);
  strides_of (x, strides);
  for (guint i = 0; i < n; i++) {
    gint64 axis = n_axes ? axes[i] : i, step = n_steps ? steps[i] : 1, size;

    if (!seq_onnx_axis (&axis, x->rank, error))
      return NULL;
    if (step < 1) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
          "a step is %" G_GINT64_FORMAT "; expected at least 1", step);
      return NULL;
    }
    size = (gint64) shape[axis];
    starts[i] = CLAMP (starts[i] + (starts[i] < 0 ? size : 0), 0, size);
    ends[i] = CLAMP (ends[i] + (ends[i] < 0 ? size : 0), starts[i], size);
    step = CLAMP (step, 1, MAX (size, 1));
    shape[axis] = (guint64) ((ends[i] - starts[i] + step - 1) / step);
    at += starts[i] * strides[axis];
    strides[axis] *= step;
  }
  y = seq_onnx_array (shape, x->rank, f->source, error);
  if (y && y->n_values)
    walk (y->values, shape, x->rank, x->values + at, strides);
  return y;
}

static SeqArray *
concat (const Fold *f, GError **error)
{
  const SeqArray *x = f->in[0];
  gint64 axis = seq_onnx_int (f->node, "axis", 0);
  guint64 shape[SEQ_ONNX_RANK], total = 0;
  gsize outer = 1, inner = 1, at = 0;
  SeqArray *y;

  if (!seq_onnx_axis (&axis, x->rank, error))
    return NULL;
  memcpy (shape, x->shape, sizeof shape);
  for (gsize i = 0; i < f->node->n_input; i++) {
    gboolean fits = f->in[i] && f->in[i]->rank == x->rank;

    for (guint k = 0; fits && k < x->rank; k++)
      fits = k == axis || f->in[i]->shape[k] == x->shape[k];
    if (!fits) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
          "input %zu has another shape; expected that of input 0 beside axis "
          "%" G_GINT64_FORMAT,
          i, axis);
      return NULL;
    }
    total += f->in[i]->shape[axis];
  }
  shape[axis] = total;
  y = seq_onnx_array (shape, x->rank, f->source, error);
  if (!y || !y->n_values)
    return y;
  for (guint k = 0; k < axis; k++)
    outer *= (gsize) x->shape[k];
  for (guint k = (guint) axis + 1; k < x->rank; k++)
    inner *= (gsize) x->shape[k];
  for (gsize o = 0; o < outer; o++)
    for (gsize i = 0; i < f->node->n_input; i++) {
      gsize n = (gsize) f->in[i]->shape[axis] * inner;

      memcpy (y->values + at, f->in[i]->values + o * n, n * sizeof (double));
      at += n;
    }
  return y;
}

static SeqArray *
gather (const Fold *f, GError **error)
{
  const SeqArray *x = f->in[0], *indices = f->in[1];
  gint64 axis = seq_onnx_int (f->node, "axis", 0);
  guint64 shape[2 * SEQ_ONNX_RANK];
  gsize outer = 1, inner = 1, at = 0;
  guint rank;
  SeqArray *y;

  if (!seq_onnx_axis (&axis, x->rank, error))
    return NULL;
  rank = x->rank - 1 + indices->rank;
  if (rank > SEQ_ONNX_RANK) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "the output has rank %u; expected at most %u", rank, SEQ_ONNX_RANK);
    return NULL;
  }
  memcpy (shape, x->shape, sizeof x->shape);
  memcpy (shape + axis, indices->shape, indices->rank * sizeof (guint64));
  memcpy (shape + axis + indices->rank, x->shape + axis + 1,
      (x->rank - (gsize) axis - 1) * sizeof (guint64));
  for (guint k = 0; k < axis; k++)
    outer *= (gsize) x->shape[k];
  for (guint k = (guint) axis + 1; k < x->rank; k++)
    inner *= (gsize) x->shape[k];
  y = seq_onnx_array (shape, rank, f->source, error);
  for (gsize o = 0; y && y->n_values && o < outer; o++)
    for (gsize i = 0; i < indices->n_values; i++) {
      gint64 index = seq_onnx_whole (indices->values[i]);

      if (!seq_onnx_axis (
              &index, (guint) MIN (x->shape[axis], G_MAXUINT), error)) {
        seq_array_free (y);
        return NULL;
      }
      memcpy (y->values + at,
          x->values + (o * x->shape[axis] + (gsize) index) * inner,
          inner * sizeof (double));
      at += inner;
    }
  return y;
}

/* Reads a computed shape. A length known only at run time is taken for the
 * batch, which is 1. */
static gboolean
shape_of (const SeqArray *numbers, guint64 *shape, guint *rank, GError **error)
{
  if (numbers->n_values > SEQ_ONNX_RANK) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "the shape has %zu entries; expected at most %u", numbers->n_values,
        SEQ_ONNX_RANK);
    return FALSE;
  }
  *rank = (guint) numbers->n_values;
  for (guint i = 0; i < *rank; i++)
    shape[i] = numbers->values[i] <= SEQ_ONNX_LENGTH (0)
                   ? 1
                   : (guint64) MAX (seq_onnx_whole (numbers->values[i]), 0);
  return TRUE;
}

/* Broadcasts x by numpy's rules. */
static SeqArray *
broadcast (const SeqArray *x, const guint64 *wanted, guint n_wanted,
    SeqOnnxSource *source, GError **error)
{
  guint rank = MAX (x->rank, n_wanted);
  guint64 shape[SEQ_ONNX_RANK];
  gssize from[SEQ_ONNX_RANK], strides[SEQ_ONNX_RANK];
  SeqArray *y;

  strides_of (x, from);
  for (guint i = 0; i < rank; i++) {
    guint before = rank - x->rank, skip = rank - n_wanted;
    guint64 own = i < before ? 1 : x->shape[i - before];
    guint64 other = i < skip ? 1 : wanted[i - skip];

    if (own != other && own != 1 && other != 1) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
          "axis %u has %" G_GUINT64_FORMAT " and %" G_GUINT64_FORMAT
          " entries; expected the same number, or 1",
          i, own, other);
      return NULL;
    }
    shape[i] = own == 1 ? other : own;
    strides[i] = own == 1 ? 0 : from[i - before];
  }
  y = seq_onnx_array (shape, rank, source, error);
  if (y && y->n_values)
    walk (y->values, shape, rank, x->values, strides);
  return y;
}

static SeqArray *
expand (const Fold *f, GError **error)
{
  guint64 shape[SEQ_ONNX_RANK];
  guint rank;

  if (!shape_of (f->in[1], shape, &rank, error))
    return NULL;
  return broadcast (f->in[0], shape, rank, f->source, error);
}

static SeqArray *
constant_of_shape (const Fold *f, GError **error)
{
  const Onnx__Attribute *value = seq_onnx_attribute (f->node, "value");
  guint64 shape[SEQ_ONNX_RANK];
  SeqArray *one = NULL, *y;
  guint rank;

  if (!shape_of (f->in[0], shape, &rank, error))
    return NULL;
  if (value && value->t
      && !(one = seq_onnx_tensor (value->t, f->source, error)))
    return NULL;
  y = seq_onnx_array (shape, rank, f->source, error);
  for (gsize i = 0; y && one && one->n_values == 1 && i < y->n_values; i++)
    y->values[i] = one->values[0];
  seq_array_free (one);
  return y;
}

static SeqArray *
list_of (const Fold *f, gsize n, gboolean scalar, GError **error)
{
  guint64 shape[1] = { n };

  return seq_onnx_array (shape, scalar ? 0 : 1, f->source, error);
}

static SeqArray *
constant (const Fold *f, GError **error)
{
  const Onnx__Attribute *a;
  SeqArray *y = NULL;

  if ((a = seq_onnx_attribute (f->node, "value")) && a->t)
    return seq_onnx_tensor (a->t, f->source, error);
  if ((a = seq_onnx_attribute (f->node, "value_float")) && a->has_f
      && (y = list_of (f, 1, TRUE, error)))
    y->values[0] = a->f;
  else if ((a = seq_onnx_attribute (f->node, "value_int")) && a->has_i
           && (y = list_of (f, 1, TRUE, error)))
    y->values[0] = (double) a->i;
  else if ((a = seq_onnx_attribute (f->node, "value_floats"))
           && (y = list_of (f, a->n_floats, FALSE, error)))
    for (gsize i = 0; i < a->n_floats; i++)
      y->values[i] = a->floats[i];
  else if ((a = seq_onnx_attribute (f->node, "value_ints"))
           && (y = list_of (f, a->n_ints, FALSE, error)))
    for (gsize i = 0; i < a->n_ints; i++)
      y->values[i] = (double) a->ints[i];
  else if (!*error)
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "value is missing; expected value, value_float(s) or value_int(s)");
  return y;
}

/* Add, Sub, Mul and Equal. */
static double
combine (const Onnx__Node *node, double a, double b)
{
  switch (*node->op_type) {
    case 'A':
      return a + b;
    case 'S':
      return a - b;
    case 'M':
      return a * b;
    default:
      return a == b;
  }
}

static SeqArray *
arithmetic (const Fold *f, GError **error)
{
  const SeqArray *x = f->in[0], *other = f->in[1];
  SeqArray *a, *b;

  a = broadcast (x, other->shape, other->rank, f->source, error);
  b = a ? broadcast (other, x->shape, x->rank, f->source, error) : NULL;
  for (gsize i = 0; b && i < a->n_values; i++)
    a->values[i] = combine (f->node, a->values[i], b->values[i]);
  if (!b)
    g_clear_pointer (&a, seq_array_free);
  seq_array_free (b);
  return a;
}

/* Where, as shapes need it: each input has the same shape or one value. */
static SeqArray *
where (const Fold *f, GError **error)
{
  const SeqArray *x = f->in[1]->n_values > 1 ? f->in[1] : f->in[2];
  SeqArray *y;

  for (guint i = 0; i < 3; i++)
    if (f->in[i]->n_values != x->n_values && f->in[i]->n_values != 1) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
          "input %u has %zu values; expected 1 or %zu", i, f->in[i]->n_values,
          x->n_values);
      return NULL;
    }
  y = seq_onnx_array (x->shape, x->rank, f->source, error);
  for (gsize i = 0; y && i < y->n_values; i++) {
    const SeqArray *from =
        f->in[f->in[0]->values[f->in[0]->n_values > 1 ? i : 0] != 0 ? 1 : 2];

    y->values[i] = from->values[from->n_values > 1 ? i : 0];
  }
  return y;
}

static SeqArray *
shape (const Fold *f, GError **error)
{
  guint64 rank = f->in[0]->rank;
  SeqArray *y = seq_onnx_array (&rank, 1, f->source, error);

  for (guint i = 0; y && i < rank; i++)
    y->values[i] = (double) f->in[0]->shape[i];
  return y;
}

/* Tile, of axes with one entry. */
static SeqArray *
tile (const Fold *f, GError **error)
{
  const SeqArray *x = f->in[0];
  guint64 repeats[SEQ_ONNX_RANK];
  guint rank;

  if (!shape_of (f->in[1], repeats, &rank, error))
    return NULL;
  for (guint i = 0; i < rank; i++) {
    if (rank != x->rank || (repeats[i] != 1 && x->shape[i] != 1)) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
          "axis %u is repeated; expected only axes of one entry to be", i);
      return NULL;
    }
  }
  return broadcast (x, repeats, rank, f->source, error);
}

/* ReduceProd, as shapes need it: over all axes of a list. */
static SeqArray *
reduce_prod (const Fold *f, GError **error)
{
  gboolean keep = seq_onnx_int (f->node, "keepdims", 1) != 0;
  SeqArray *y;

  if (f->in[0]->rank != 1) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "the constant has rank %u; expected 1", f->in[0]->rank);
    return NULL;
  }
  y = list_of (f, 1, !keep, error);
  if (!y)
    return NULL;
  y->values[0] = 1;
  for (gsize i = 0; i < f->in[0]->n_values; i++)
    y->values[0] *= f->in[0]->values[i];
  return y;
}

static const struct {
  const char *op;
  guint n_needed; /* inputs */
  SeqArray *(*fold) (const Fold *f, GError **error);
} folds[] = {
  { "Add", 2, arithmetic },
  { "Cast", 1, cast },
  { "Concat", 1, concat },
  { "Constant", 0, constant },
  { "ConstantOfShape", 1, constant_of_shape },
  { "Equal", 2, arithmetic },
  { "Expand", 2, expand },
  { "Gather", 2, gather },
  { "Identity", 1, identity },
  { "Mul", 2, arithmetic },
  { "ReduceProd", 1, reduce_prod },
  { "Reshape", 2, reshape },
  { "Shape", 1, shape },
  { "Slice", 1, slice },
  { "Squeeze", 1, squeeze },
  { "Sub", 2, arithmetic },
  { "Tile", 2, tile },
  { "Transpose", 1, transpose },
  { "Unsqueeze", 1, unsqueeze },
  { "Where", 3, where },
};

SeqArray *
seq_onnx_fold (const Onnx__Node *node, const SeqArray *const *in,
    SeqOnnxSource *source, GError **error)
{
  Fold fold = { node, in, source };

  for (guint i = 0; i < G_N_ELEMENTS (folds); i++) {
    if (!seq_onnx_is (node, folds[i].op))
      continue;
    for (guint k = 0; k < folds[i].n_needed; k++)
      if (!in[k]) {
        g_set_error (
            error, SEQ_ERROR, SEQ_ERROR_DAMAGED, "input %u is missing", k);
        return NULL;
      }
    return folds[i].fold (&fold, error);
  }
  g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
      "this operator cannot be computed of constants");
  return NULL;
}
