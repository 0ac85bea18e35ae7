/* forecaster.h: the linear forecaster of one channel, in stages.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 *   z = x - anchor                the first sample; moves only with the guard
 *   experts                       a lattice bank on z; with `sensor` another on
 *                                 the centred change of z; persistence; drifts:
 *                                 the mean change of 16, 128, 1024 frames
 *   softmax                       of the experts, by their recent errors
 *   cascade                       least mean squares on what that leaves
 *   softmax                       of the first one and the cascade's sums
 *   guard                         around all of it
 *
 * Forecasts are distances to the latest sample, in units of a power of two that
 * follows the signal's power, so that offset and scale do not matter; what
 * adds up (anchor, latest sample, range) is double.
 *
 * No forecast is further from the latest sample than 1.5 times the largest step
 * heard of late, nor outside the range heard by more than a tenth of it, or by
 * 1.25 of a change that is as the one before: a ramp goes on.
 *
 * With `sensor` the guard thinks twice (fork): after a large innovation a copy
 * goes on from the forecast in place of the sample, and the next sample decides
 * which of the two pasts holds: it returned (the copy), it is shifted (the
 * copy, with its anchor moved), or it was as it was. What is forecast meanwhile
 * is that it is shifted, unless of late returning was by far the nearer guess.
 * And after such a shock persistence is forecast until the stages are better
 * again.
 *
 * Memory: Forecaster, then two parts of the same size: the one that forecasts
 * and the copy. A part is Part, then lattices, softmaxes and cascades.
 */
#pragma once

#include "src/simd/cascade.h"
#include "src/simd/guard.h"
#include "src/simd/lattice.h"
#include "src/simd/softmax.h"

#define FORECASTER_MAX_CASCADES 4
#define FORECASTER_DRIFTS 3
#define FORECASTER_MEAN 4096.0     /* frames of the mean change */
#define FORECASTER_STEP_FADE 1e-5  /* a frame, of the largest step */
#define FORECASTER_CASCADE_FROM 64 /* frames before the cascade begins */
#define FORECASTER_SHOCK 32        /* frames after a large innovation */
#define FORECASTER_CALM 1000
#define FORECASTER_END_RATE 0.4  /* of the errors of both guesses */
#define FORECASTER_END_START 0.5 /* of the error of returning */
#define FORECASTER_END_RATIO 0.2 /* from there on returning is the guess */
#define FORECASTER_FLOOR 1e-5    /* of the power, in the cascades */

/* What is fixed: made in init(). */
typedef struct {
  gboolean sensor;
  LatticeShape lattice;
  Softmax experts, stages;
  guint n_cascades;
  CascadeShape cascades[FORECASTER_MAX_CASCADES];
  /* places in a part, reals */
  gsize differences_at, experts_at, stages_at, cascades_at;
  gsize part; /* size */
} ForecasterShape;

/* What a copy goes on with, too; followed by what has a size of its own. */
typedef struct {
  double n; /* frames, to 2^50 */
  double anchor;
  double last;      /* z */
  double low, high; /* of z */
  double step;      /* largest |change| of late */
  double change;    /* the latest */
  double steady;    /* 1: it was as the one before, within a quarter */
  double mean;      /* change */
  double drift[FORECASTER_DRIFTS];
  double unit;     /* multiplies: a power of two */
  double mixed;    /* forecast of the next change by the first softmax */
  double forecast; /* by all of it; both in the signal's units */
  double unused;
} Part;

typedef struct {
  Guard guard;
  double forked;              /* 0 or 1: the copy is there */
  double surprise;            /* the innovation that it was made at */
  double calm_s;              /* guard.s before that */
  double shock;               /* frames since the last large innovation */
  double missed, missed_last; /* errors since, of the forecast and of
                               * persistence, halved each frame */
  double shift_error;         /* running mean squares of what is missed by */
  double return_error; /* either guess after a surprise, in units of it */
  double fresh;        /* 1: the next sample has nothing before it */
  double output;       /* forecast of the next sample, as it is given */
} Forecaster;

#define FORECASTER_HEAD SEQ_DOUBLES (sizeof (Forecaster) / sizeof (double))

/* order 1 to LATTICE_MAX_ORDER; forgetting NULL: the usual eight; cascades:
 * lengths, at most FORECASTER_MAX_CASCADES. */
static inline ForecasterShape
forecaster_shape (guint order, const double *forgetting, gboolean sensor,
    const guint *cascades, guint n_cascades, double memory)
{
  ForecasterShape shape = { .sensor = sensor,
    .lattice = lattice_shape (order, forgetting),
    .n_cascades = n_cascades };
  guint n_banks = sensor ? 2 : 1;
  gsize at = sizeof (Part) / sizeof (real);

  shape.experts = softmax_init (
      n_banks * shape.lattice.n_taken * EIGHT + 2 + FORECASTER_DRIFTS, 3,
      memory);
  shape.stages = softmax_init (1 + n_cascades, 3, memory);
  at = SEQ_PAD (at) + lattice_size (&shape.lattice);
  shape.differences_at = at;
  if (sensor)
    at += lattice_size (&shape.lattice);
  shape.experts_at = at;
  at += softmax_size (&shape.experts);
  shape.stages_at = at;
  at += softmax_size (&shape.stages);
  shape.cascades_at = at = SEQ_PAD (at);
  for (guint i = 0; i < n_cascades; i++) {
    shape.cascades[i] = cascade_shape (cascades[i]);
    at += cascade_size (&shape.cascades[i]);
  }
  shape.part = SEQ_PAD (at);
  return shape;
}

/* reals, a multiple of SEQ_TILE */
static inline gsize
forecaster_size (const ForecasterShape *shape)
{
  return FORECASTER_HEAD + (shape->sensor ? 2 : 1) * shape->part;
}

static inline Part *
forecaster_part (const ForecasterShape *shape, Forecaster *memory, guint i)
{
  return (Part *) ((real *) memory + FORECASTER_HEAD + i * shape->part);
}

#define AT(type, part, place) ((type *) ((real *) (part) + (place)))

static inline Lattice *
part_values (Part *part)
{
  return AT (Lattice, part, SEQ_PAD (sizeof (Part) / sizeof (real)));
}

/* --- one part --------------------------------------------------------------
 */

/* Bounds of the next change, in units. */
static inline void
part_bounds (const Part *part, real *low, real *high)
{
  double range = part->high - part->low;
  double room =
      MAX (0.1 * range, part->steady > 0 ? 1.25 * fabs (part->change) : 0);
  double most = 1.5 * part->step;

  *low = (real) (part->unit * MAX (part->low - room - part->last, -most));
  *high = (real) (part->unit * MIN (part->high + room - part->last, most));
}

static inline real
part_clamp (real x, real low, real high)
{
  x = x >= low ? x : low;
  return x <= high ? x : high;
}

/* A lattice's forecasts, times its scale, as changes in units; base: what they
 * add to, less the latest sample. */
static inline void
part_convert (const Lattice *lattice, guint n, double unit, double base,
    eight low, eight high, eight *forecasts)
{
  real factor = lattice->scale > 0 ? (real) (unit / lattice->scale) : 0;
  real add = (real) (unit * base);

  for (guint i = 0; i < n; i++)
    forecasts[i] = eight_clamp (
        eight_fma (forecasts[i], eight_splat (factor), eight_splat (add)), low,
        high);
}

/* Keeps the unit near the signal's. */
static inline void
part_rescale (const ForecasterShape *shape, Part *part)
{
  const Lattice *values = part_values (part);
  double rms = sqrt ((double) values->power) / values->scale;
  int exponent;
  double unit;
  real factor;
  real *at = AT (real, part, shape->cascades_at);

  if (values->n == 0 || !(rms > 0)
      || (rms * part->unit < 0x1p15 && rms * part->unit > 0x1p-15))
    return;
  frexp (rms, &exponent);
  unit = ldexp (1, CLAMP (-exponent, -1000, 1000));
  factor = (real) CLAMP (unit / part->unit, 0x1p-60, 0x1p60);
  part->unit *= (double) factor;
  softmax_scale (&shape->experts, AT (eight, part, shape->experts_at), factor);
  softmax_scale (&shape->stages, AT (eight, part, shape->stages_at), factor);
  for (guint i = 0; i < shape->n_cascades; i++) {
    cascade_scale (&shape->cascades[i], (Cascade *) at, factor);
    at += cascade_size (&shape->cascades[i]);
  }
}

/* Takes z in, learning from it with `weight` (0: not at all), an innovation
 * counting as `limit` at most; and forecasts the next. other: the change that
 * somebody else forecasts. */
static inline void
part_step (const ForecasterShape *shape, Part *part, double z, double weight,
    double limit, double other)
{
  Lattice *values = part_values (part);
  Lattice *differences = AT (Lattice, part, shape->differences_at);
  eight *experts = AT (eight, part, shape->experts_at);
  eight *stages = AT (eight, part, shape->stages_at);
  eight *forecasts = softmax_forecasts (&shape->experts, experts), *f;
  real *sums = (real *) softmax_forecasts (&shape->stages, stages);
  real *at = AT (real, part, shape->cascades_at);
  guint n_taken = shape->lattice.n_taken;
  double change = part->n > 0 ? z - part->last : 0, excess;
  real u, cap, left, low, high, mixed, floor;
  eight lows, highs;

  /* judge what was forecast */
  if (weight > 0) {
    u = (real) (change * part->unit);
    cap = (real) MIN (limit * part->unit, 1e15);
    softmax_update (&shape->experts, experts, u, cap * cap, part->n + 1);
    if (shape->n_cascades)
      softmax_update (&shape->stages, stages, u, cap * cap, part->n + 1);
  }
  /* take it in; drifts and range first, as the bounds need them */
  if (part->n == 0)
    part->low = part->high = z;
  excess = CLAMP (change - part->mixed, -limit, limit);
  if (weight > 0 && part->n > 0) {
    static const double lengths[] = { 16, 128, 1024 };

    for (guint i = 0; i < FORECASTER_DRIFTS; i++)
      part->drift[i] += MAX (1 / part->n, 1 / lengths[i])
                        * CLAMP (change - part->drift[i], -limit, limit);
  }
  if (weight > 0)
    lattice_learn (&shape->lattice, values, z, (real) weight, forecasts);
  else
    lattice_shift (&shape->lattice, values, z, forecasts);
  if (shape->sensor && part->n > 0) {
    f = forecasts + n_taken;
    if (weight > 0) {
      lattice_learn (
          &shape->lattice, differences, change - part->mean, (real) weight, f);
      part->mean += weight * MAX (1 / part->n, 1 / FORECASTER_MEAN)
                    * (change - part->mean);
    } else
      lattice_shift (&shape->lattice, differences, change - part->mean, f);
  }
  part->steady = fabs (change - part->change) <= 0.25 * fabs (change);
  part->change = change;
  part->low = MIN (part->low, z);
  part->high = MAX (part->high, z);
  part->step = MAX (part->step * (1 - FORECASTER_STEP_FADE), fabs (change));
  part->last = z;
  part->n = MIN (part->n + 1, 0x1p50);
  part_rescale (shape, part);

  /* forecast */
  part_bounds (part, &low, &high);
  lows = eight_splat (low);
  highs = eight_splat (high);
  part_convert (values, n_taken, part->unit, -z, lows, highs, forecasts);
  f = forecasts + n_taken;
  if (shape->sensor) {
    part_convert (differences, n_taken, part->unit, part->mean, lows, highs, f);
    f += n_taken;
  }
  *f = (eight){ 0, (real) (part->unit * part->drift[0]),
    (real) (part->unit * part->drift[1]), (real) (part->unit * part->drift[2]),
    (real) (part->unit * other) };
  *f = eight_clamp (*f, lows, highs);
  mixed = softmax_mix (&shape->experts, experts);

  left = (real) (excess * part->unit);
  part->mixed = (double) mixed / part->unit;
  sums[0] = mixed;
  if (shape->n_cascades) {
    gboolean run = part->n > FORECASTER_CASCADE_FROM;

    floor = 0; /* in silence from the start on */
    if (values->n > 0)
      floor = (real) FORECASTER_FLOOR * values->power
              * (real) pow (part->unit / values->scale, 2);
    for (guint i = 0; i < shape->n_cascades; i++) {
      Cascade *cascade = (Cascade *) at;
      real before = cascade->given, sum;

      if (run) {
        cascade_step (&shape->cascades[i], cascade, left, weight > 0, floor);
        left -= before;
      }
      sum = part_clamp (sums[i] + cascade->forecast, low, high);
      cascade->given = sum - sums[i];
      sums[i + 1] = sum;
      at += cascade_size (&shape->cascades[i]);
    }
    mixed = softmax_mix (&shape->stages, stages);
  }
  part->forecast = (double) mixed / part->unit;
}

static inline gboolean
part_check (const ForecasterShape *shape, Part *part)
{
  const double *numbers = (const double *) part;
  real *at = AT (real, part, shape->cascades_at);

  for (gsize i = 0; i < sizeof *part / sizeof (double); i++)
    if (!isfinite (numbers[i]))
      return FALSE;
  for (guint i = 0; i < shape->n_cascades; i++) {
    if (!cascade_check (&shape->cascades[i], (Cascade *) at))
      return FALSE;
    at += cascade_size (&shape->cascades[i]);
  }
  return part->n >= 0 && part->n <= 0x1p50 && part->unit > 0
         && lattice_check (&shape->lattice, part_values (part))
         && (!shape->sensor
             || lattice_check (
                 &shape->lattice, AT (Lattice, part, shape->differences_at)))
         && softmax_check (&shape->experts, AT (eight, part, shape->experts_at))
         && softmax_check (&shape->stages, AT (eight, part, shape->stages_at));
}

/* --- with the guard around it -----------------------------------------------
 */

static inline void
forecaster_start (const ForecasterShape *shape, Forecaster *memory)
{
  memset (memory, 0, forecaster_size (shape) * sizeof (real));
  memory->guard.wide = 1;
  memory->shock = FORECASTER_CALM;
  memory->return_error = FORECASTER_END_START;
  for (guint i = 0; i < (shape->sensor ? 2 : 1); i++)
    forecaster_part (shape, memory, i)->unit = 1;
}

static inline gboolean
forecaster_check (const ForecasterShape *shape, Forecaster *memory)
{
  for (guint i = 0; i < (shape->sensor ? 2 : 1); i++)
    if (!part_check (shape, forecaster_part (shape, memory, i)))
      return FALSE;
  return guard_check (&memory->guard) && isfinite (memory->surprise)
         && isfinite (memory->calm_s) && isfinite (memory->shock)
         && isfinite (memory->missed) && isfinite (memory->missed_last)
         && isfinite (memory->output) && memory->shift_error >= 0
         && memory->shift_error <= 4 && memory->return_error >= 0
         && memory->return_error <= 4
         && (memory->fresh == 0 || memory->fresh == 1)
         && (memory->forked == 0 || memory->forked == 1);
}

static inline gboolean
forecaster_has_learnt (const ForecasterShape *shape, Forecaster *memory)
{
  return forecaster_part (shape, memory, 0)->n > 0;
}

static inline double
forecaster_anchor (const ForecasterShape *shape, Forecaster *memory)
{
  return forecaster_part (shape, memory, 0)->anchor;
}

static inline void
forecaster_copy (const ForecasterShape *shape, Part *to, const Part *from)
{
  memcpy (to, from, shape->part * sizeof (real));
}

static inline double
forecaster_follow_guess (const Forecaster *memory, double error, double missed)
{
  double ratio = missed / memory->surprise;

  return error + FORECASTER_END_RATE * (MIN (ratio * ratio, 4) - error);
}

/* x is the next sample after a fork: which past holds? */
static inline void
forecaster_decide (const ForecasterShape *shape, Forecaster *memory, double x,
    double e, GuardTaking *taking)
{
  Part *part = forecaster_part (shape, memory, 0);
  Part *copy = forecaster_part (shape, memory, 1);
  double returned = x - copy->anchor - (copy->last + copy->forecast);
  double shifted = returned - memory->surprise;
  gboolean is_shifted = fabs (shifted) < fabs (returned)
                        && fabs (shifted) < fabs (e)
                        && fabs (shifted) < 4 * memory->calm_s;

  memory->shift_error =
      forecaster_follow_guess (memory, memory->shift_error, shifted);
  memory->return_error =
      forecaster_follow_guess (memory, memory->return_error, returned);
  memory->forked = 0;
  if (!is_shifted && !(fabs (returned) < fabs (e)))
    return;
  forecaster_copy (shape, part, copy);
  taking->weight = 1;
  if (is_shifted) {
    part->anchor += memory->surprise;
    guard_revise (&memory->guard, memory->calm_s, 0);
    memory->shock = FORECASTER_CALM;
  } else {
    guard_revise (&memory->guard, memory->calm_s, returned);
  }
}

/* What is given as the forecast: after a shock, persistence until the stages
 * have been better. */
static inline double
forecaster_output (const ForecasterShape *shape, Forecaster *memory)
{
  Part *part = forecaster_part (shape, memory, 0);
  double change = part->forecast;

  if (shape->sensor && memory->forked) {
    Part *copy = forecaster_part (shape, memory, 1);

    gboolean returns =
        memory->return_error < FORECASTER_END_RATIO * memory->shift_error;

    return copy->anchor + copy->last + copy->forecast
           + (returns ? 0 : memory->surprise);
  }
  if (memory->guard.refill > 0
      || (shape->sensor && memory->shock < FORECASTER_SHOCK
          && memory->missed_last <= memory->missed))
    change = 0;
  return part->anchor + (part->last + change);
}

/* What was carried is of the past; what was learnt stays. */
static inline void
forecaster_rewind (Forecaster *memory)
{
  memory->fresh = 1;
  memory->forked = 0;
  memory->shock = FORECASTER_CALM;
  memory->guard.n_suspects = memory->guard.parked = memory->guard.missing = 0;
}

/* x has come (NaN: nothing has): forecasts the next. learn: whether to learn
 * from it. other: the change that somebody else forecasts to come after x, or
 * 0. Before the first sample there is no forecast: it is 0. */
static inline double
forecaster_step (const ForecasterShape *shape, Forecaster *memory, double x,
    double other, gboolean learn)
{
  Guard *guard = &memory->guard;
  Part *part = forecaster_part (shape, memory, 0);
  Part *copy = forecaster_part (shape, memory, 1);
  double z, e, moved, size, n = part->n;
  GuardTaking taking;

  if (!isfinite (x)) {
    if (n == 0)
      return 0;
    guard_miss (guard);
    memory->forked = 0;
    part_step (shape, part, part->last + part->forecast, 0, INFINITY, other);
    return memory->output = forecaster_output (shape, memory);
  }
  if (n == 0)
    part->anchor = x;
  z = x - part->anchor;
  if (memory->fresh && n > 0) {
    guard->refill = shape->lattice.order;
    part->last = z;
  }
  if (!learn || (memory->fresh && n > 0)) {
    memory->forked = memory->fresh = 0;
    part_step (shape, part, z, 0, INFINITY, other);
    return memory->output = forecaster_output (shape, memory);
  }
  memory->fresh = 0;
  e = n > 0 ? z - part->last - part->forecast : 0;
  switch (guard_judge (
      guard, z, e, part->low, part->high, n, shape->lattice.order, &moved)) {
    case GUARD_REPLACE:
      memory->forked = 0;
      part_step (shape, part, part->last + part->forecast, 0, INFINITY, other);
      return memory->output = forecaster_output (shape, memory);
    case GUARD_PARKED:
      return memory->output = x;
    case GUARD_TAKE:
      break;
  }
  part->anchor += moved;
  z -= moved;
  e -= moved;
  memory->calm_s = memory->forked ? memory->calm_s : guard->s;
  taking = guard_take (guard, e, n, shape->sensor ? 1 / 1024. : 1 / 4096.);
  size = fabs (e);
  if (shape->sensor) {
    gboolean shock = taking.large && guard->hold <= 0;

    memory->shock = shock ? 0 : MIN (memory->shock + 1, FORECASTER_CALM);
    if (memory->shock == FORECASTER_CALM) {
      memory->missed = 1e-9;
      memory->missed_last = 0;
    } else {
      memory->missed = 0.5 * memory->missed + size;
      memory->missed_last = 0.5 * memory->missed_last + fabs (z - part->last);
    }
    if (shock && !memory->forked) {
      memory->missed = 1e-9 * size;
      memory->missed_last = 0;
    }
    if (memory->forked) {
      forecaster_decide (shape, memory, x, e, &taking);
      z = x - part->anchor;
    } else if (shock) {
      forecaster_copy (shape, copy, part);
      part_step (shape, copy, part->last + part->forecast, 0, INFINITY, other);
      memory->forked = 1;
      memory->surprise = e;
    }
  }
  part_step (shape, part, z, taking.weight, taking.limit, other);
  return memory->output = forecaster_output (shape, memory);
}

/* What the experts' forecast is linear in: z' = sum over i < order of w[i]
 * times z of i frames ago, by what each lattice answers to an impulse. w: that
 * of the other forecaster on entry. Control thread: it allocates. */
static inline void
forecaster_export (const ForecasterShape *shape, Forecaster *memory, double *w)
{
  Part *part = forecaster_part (shape, memory, 0);
  guint order = shape->lattice.order, n_taken = shape->lattice.n_taken;
  const eight *errors = AT (eight, part, shape->experts_at);
  gsize n = shape->experts.n;
  g_autofree double *weights = g_new (double, n);
  g_autofree double *sum = g_new0 (double, order + 1);
  real *scratch = seq_alloc (SEQ_PAD (lattice_size (&shape->lattice)));
  Lattice *lattice = (Lattice *) scratch;

  softmax_weights (&shape->experts, errors, weights);
  for (guint bank = 0; bank < (shape->sensor ? 2 : 1); bank++) {
    const double *of = weights + bank * n_taken * EIGHT;
    double before = 0, all = 0;

    memcpy (scratch,
        bank ? AT (real, part, shape->differences_at)
             : (const real *) part_values (part),
        lattice_size (&shape->lattice) * sizeof (real));
    lattice->scale = 1;
    for (guint m = 0; m < order; m++)
      lattice->stages[m].b = (eight){ 0 };
    for (guint t = 0; t < order; t++) {
      eight answers[LATTICE_MAX_TAKEN];
      double answer = 0;

      lattice_shift (&shape->lattice, lattice, t == 0, answers);
      for (guint k = 0; k < n_taken * EIGHT; k++)
        answer += of[k] * (double) answers[k / EIGHT][k % EIGHT];
      sum[t] += bank ? answer - before : answer;
      before = answer;
    }
    for (guint k = 0; bank && k < n_taken * EIGHT; k++)
      all += of[k];
    sum[0] += all;
  }
  /* persistence and the drifts, whose part in the change is left out */
  for (guint i = 0; i < 1 + FORECASTER_DRIFTS; i++)
    sum[0] += weights[n - 2 - i];
  for (guint i = 0; i < order; i++)
    w[i] = w[i] * weights[n - 1] + sum[i];
  seq_free (scratch);
}
