/* wavenet.c: stacks of dilated causal convolutions (WaveNet: van den Oord et
 * al. 2016), as Neural Amp Modeler has them.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * An array of layers has a stream x of `channels` rows, a sum from which its
 * head makes what it puts out, and a condition c, the layer's input:
 *
 *   x     = rechannel (x)                       1x1
 *   z     = conv (x) + mixin (c)                dilated; twice as wide if gated
 *   a     = act (z), or gated: act (z1) act2 (z2),
 *           or blended: act2 (z2) act (z1) + (1 - act2 (z2)) z1
 *   sum  += head1x1 (a), or a
 *   x    += layer1x1 (a)
 *   ...   for each layer; then
 *   out   = head (sum)                          dilated, too
 *
 * The next array goes on from x, and its sum starts from `out`. Eight places of
 * a layer may be modulated by the condition (FiLM: Perez et al. 2018), u
 * becomes u s (c) + t (c). A plain array is x = act (conv (x)), layer after
 * layer. The condition may be the output of a net of such arrays of its own.
 *
 * From the config come buffers (rows of frames) and a list of operations on
 * them, which runs over blocks of frames, so that all that passes between two
 * operations stays in the first cache. What a convolution looks back on is kept
 * in a ring a row.
 *
 * Tensors stand in the order of a .nam file. A kernel's last tap is for the
 * newest frame.
 *
 * State: the place of the next frame in each ring, then the rings. A ring's
 * first frames are repeated after its end, so that no block is broken. It
 * starts as silence for ever would leave it.
 */
#include "src/simd/frames.h"

#define MAX_LAYERS 256    /* of an array */
#define MAX_ARRAYS 32     /* of a net */
#define MAX_DEPTH 4       /* of a condition of a condition */
#define MAX_CHANNELS 1024 /* of anything */
#define MAX_REACH (1 << 20)
#define MAX_STATE (1 << 24)
#define MAX_WEIGHTS (1 << 24)
#define MAX_ROWS 8192 /* of all buffers at one time */
/* A block of so many frames or fewer goes frame by frame: then the working
 * rows of a block fit into the tape of as many. */
#define FEW_FRAMES 3

/* Rows of frames. What a convolution looks back on is in a ring in the state,
 * whose length leaves room for a block beside the past: so a block can be
 * undone by the ring's place alone. Others have working rows. */
typedef struct {
  guint n_rows;
  gint ring;         /* number of its place in the state; -1: none */
  gsize offset;      /* in the state; or the first of the working rows */
  guint length;      /* frames of the ring */
  gsize step;        /* from row to row of the ring */
  guint first, last; /* operations that need it */
} Buffer;

enum {
  LINEAR = FRAMES_LINEAR,
  TANH = FRAMES_TANH,
  PRELU = FRAMES_SLOPES, /* these three as part of a convolution, too */
  HARDTANH,
  FASTTANH,
  SIGMOID,
  SILU,
  HARDSWISH,
  LEAKY_HARDTANH,
  SOFTSIGN
};

typedef struct {
  guint kind;
  double limits[4]; /* of LEAKY_HARDTANH: low, high, and the slopes there */
  real *slopes;     /* of PRELU, below zero: [padded rows], owned */
} Activation;

enum { UNGATED, GATED, BLENDED }; /* as in the config */

/* The weights of a convolution: [n_rows][n_in / groups, n_taps], and a bias. */
typedef struct {
  gint weight, bias; /* tensors; bias -1: none; weight -1: no such kernel */
  guint n_rows, n_taps, dilation, groups;
} Kernel;

typedef struct {
  enum {
    CONVOLVE, /* to = activation of bias + other + weight from + mixin
               * condition; sum += to */
    ACTIVATE, /* to = activation of from, gated; sum += to */
    MODULATE, /* to = from * other[0, n) + other[n, 2 n), where it shifts */
    SUM,      /* to = from, or to += from */
  } kind;
  guint from, to;
  gint other, sum; /* -1: none */
  gboolean adds;   /* FALSE: sum = to, or to = from; MODULATE: it shifts */
  /* convolutions */
  Kernel kernel;
  gint mixin; /* tensor; -1: none */
  guint condition;
  /* activations */
  guint gating;
  Activation activation, secondary;
} Op;

typedef struct {
  SeqLayer base;
  GArray *buffers, *ops;
  guint n_rings;
  guint n_rows; /* working rows */
  guint out;    /* buffer */
} Wavenet;

/* Lists of the operations and what they need at hand. */
#define BUFFER(self, i) (&g_array_index ((self)->buffers, Buffer, i))
#define OP(self, i) (&g_array_index ((self)->ops, Op, i))

/* --- options -------------------------------------------------------------- */

static const char *const options[] = { "arrays", "condition", NULL };
static const char *const array_options[] = { "channels", "dilations",
  "kernel_sizes", "activations", "gating", "secondary", "bottleneck", "groups",
  "mixin", "mixin_groups", "rechannel_bias", "layer1x1_groups", "head1x1",
  "head1x1_groups", "head_channels", "head_kernel_size", "head_dilation",
  "head_bias", "head_activation", "films", "plain", NULL };

static const char *const film_names[] = { "conv_pre", "conv_post", "mixin_pre",
  "mixin_post", "activation_pre", "activation_post", "layer1x1_post",
  "head1x1_post", NULL };
enum {
  CONV_PRE,
  CONV_POST,
  MIXIN_PRE,
  MIXIN_POST,
  ACTIVATION_PRE,
  ACTIVATION_POST,
  LAYER1X1_POST,
  HEAD1X1_POST,
  N_FILMS
};

typedef struct {
  gboolean active;
  guint shift, groups;
} Film;

/* What an array's config says. */
typedef struct {
  guint n_layers;
  guint channels[MAX_LAYERS], dilations[MAX_LAYERS], kernel_sizes[MAX_LAYERS];
  guint gating[MAX_LAYERS];
  GVariant *activations, *secondary; /* a(sad), owned; NULL: the default */
  GVariant *head_activation;
  guint bottleneck, groups, mixin, mixin_groups, rechannel_bias;
  guint layer1x1_groups, head1x1, head1x1_groups;
  guint head_channels, head_kernel_size, head_dilation, head_bias;
  guint plain;
  Film films[N_FILMS];
} Shape;

static void
shape_clear (Shape *shape)
{
  g_clear_pointer (&shape->activations, g_variant_unref);
  g_clear_pointer (&shape->secondary, g_variant_unref);
  g_clear_pointer (&shape->head_activation, g_variant_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Shape, shape_clear)

static gboolean refuse (GError **error, const char *format, ...)
    G_GNUC_PRINTF (2, 3);

static gboolean
refuse (GError **error, const char *format, ...)
{
  va_list args;
  g_autofree char *text = NULL;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG, "wavenet: %s", text);
  return FALSE;
}

/* A list with an entry for each of n layers; a single one is for all. */
static gboolean
read_each (const SeqLayer *layer, GVariant *config, const char *key, guint min,
    guint max, guint fallback, guint *values, guint n, GError **error)
{
  guint n_given;

  if (!seq_config_uints (
          layer, config, key, min, max, values, &n_given, MAX_LAYERS, error))
    return FALSE;
  if (n_given > 1 && n_given != n)
    return refuse (
        error, "%s has %u entries; expected 1 or %u", key, n_given, n);
  for (guint i = n_given; i < n; i++)
    values[i] = n_given ? values[0] : fallback;
  return TRUE;
}

/* A list of activations, or of one for all of n layers. */
static gboolean
read_activations (
    GVariant *config, const char *key, guint n, GVariant **list, GError **error)
{
  *list = g_variant_lookup_value (config, key, NULL);
  if (!*list)
    return TRUE;
  if (!g_variant_is_of_type (*list, G_VARIANT_TYPE ("a(sad)")))
    return refuse (error,
        "%s is of type %s; expected a(sad): names and their numbers", key,
        g_variant_get_type_string (*list));
  if (g_variant_n_children (*list) != 1 && g_variant_n_children (*list) != n)
    return refuse (error, "%s has %zu entries; expected 1 or %u", key,
        g_variant_n_children (*list), n);
  return TRUE;
}

/* {name: (shift, groups)} */
static gboolean
read_films (GVariant *config, Film *films, GError **error)
{
  g_autoptr (GVariant) dict = g_variant_lookup_value (config, "films", NULL);
  GVariantIter iter;
  const char *name;
  guint shift, groups;

  if (!dict)
    return TRUE;
  if (!g_variant_is_of_type (dict, G_VARIANT_TYPE ("a{s(uu)}")))
    return refuse (error,
        "films is of type %s; expected a{s(uu)}: names, shift and groups",
        g_variant_get_type_string (dict));
  g_variant_iter_init (&iter, dict);
  while (g_variant_iter_next (&iter, "{&s(uu)}", &name, &shift, &groups)) {
    guint i = 0;

    while (film_names[i] && !g_str_equal (film_names[i], name))
      i++;
    if (!film_names[i] || shift > 1 || groups < 1)
      return refuse (error,
          "films: an entry is (%s, %u, %u); expected a place of a layer, shift "
          "0 "
          "or 1, and groups of at least 1",
          name, shift, groups);
    films[i] = (Film){ TRUE, shift, groups };
  }
  return TRUE;
}

static gboolean
shape_read (
    const SeqLayer *layer, GVariant *config, Shape *shape, GError **error)
{
  static const guint dilations[] = { 1, 2, 4 };
  GVariantIter iter;
  const char *key;
  guint n, m, most;

  g_variant_iter_init (&iter, config);
  while (g_variant_iter_next (&iter, "{&sv}", &key, NULL))
    if (!g_strv_contains (array_options, key))
      return refuse (error, "an array has no option '%s'", key);
  if (!seq_config_uints (layer, config, "dilations", 1, MAX_REACH,
          shape->dilations, &n, MAX_LAYERS, error))
    return FALSE;
  if (n == 0)
    memcpy (shape->dilations, dilations, sizeof dilations);
  if (n == 0)
    n = G_N_ELEMENTS (dilations);
  shape->n_layers = n;

  most = MAX_CHANNELS;
  if (!seq_config_uint (layer, config, "plain", 0, 1, 0, &shape->plain, error)
      || !read_each (
          layer, config, "channels", 1, most, 4, shape->channels, n, error)
      || !read_each (layer, config, "kernel_sizes", 1, MAX_REACH, 3,
          shape->kernel_sizes, n, error)
      || !read_activations (
          config, "activations", n, &shape->activations, error)
      || !read_activations (config, "secondary", n, &shape->secondary, error)
      || !read_activations (
          config, "head_activation", 1, &shape->head_activation, error)
      || !read_each (layer, config, "gating", UNGATED, BLENDED, UNGATED,
          shape->gating, n, error)
      || !read_films (config, shape->films, error))
    return FALSE;
  m = shape->channels[0];
  for (guint i = 0; shape->plain && i < N_FILMS; i++)
    if (shape->films[i].active)
      return refuse (error,
          "films: number of entries is not 0; expected none in a plain array");
  if (!shape->plain)
    for (guint i = 1; i < n; i++)
      if (shape->channels[i] != m)
        return refuse (error,
            "channels are %u and %u; only a plain array may change their "
            "number",
            m, shape->channels[i]);
  return seq_config_uint (
             layer, config, "bottleneck", 1, most, m, &shape->bottleneck, error)
         && seq_config_uint (
             layer, config, "groups", 1, most, 1, &shape->groups, error)
         && seq_config_uint (
             layer, config, "mixin", 0, 1, 1, &shape->mixin, error)
         && seq_config_uint (layer, config, "mixin_groups", 1, most, 1,
             &shape->mixin_groups, error)
         && seq_config_uint (layer, config, "rechannel_bias", 0, 1, 0,
             &shape->rechannel_bias, error)
         && seq_config_uint (layer, config, "layer1x1_groups", 1, most, 1,
             &shape->layer1x1_groups, error)
         && seq_config_uint (layer, config, "head1x1", 0,
             shape->plain ? 0 : most, 0, &shape->head1x1, error)
         && seq_config_uint (layer, config, "head1x1_groups", 1, most, 1,
             &shape->head1x1_groups, error)
         && seq_config_uint (layer, config, "head_channels", 1, most, 1,
             &shape->head_channels, error)
         && seq_config_uint (layer, config, "head_kernel_size", 1, MAX_REACH, 1,
             &shape->head_kernel_size, error)
         && seq_config_uint (layer, config, "head_dilation", 1, MAX_REACH, 1,
             &shape->head_dilation, error)
         && seq_config_uint (
             layer, config, "head_bias", 0, 1, 1, &shape->head_bias, error);
}

static gboolean
activation_read (GVariant *list, guint i, guint n_rows, guint fallback,
    Activation *activation, GError **error)
{
  static const struct {
    const char *name;
    guint kind, n_numbers; /* most */
    double numbers[4];
  } known[] = { { "linear", LINEAR, 0 }, { "tanh", TANH, 0 },
    { "hardtanh", HARDTANH, 0 }, { "fasttanh", FASTTANH, 0 },
    { "relu", PRELU, 0, { 0 } }, { "leaky-relu", PRELU, 1, { 0.01 } },
    { "prelu", PRELU, MAX_CHANNELS, { 0.01 } }, { "sigmoid", SIGMOID, 0 },
    { "silu", SILU, 0 }, { "hardswish", HARDSWISH, 0 },
    { "leaky-hardtanh", LEAKY_HARDTANH, 4, { -1, 1, 0.01, 0.01 } },
    { "softsign", SOFTSIGN, 0 } };
  g_autoptr (GVariant) numbers = NULL;
  const double *given;
  const char *name;
  gsize n;
  guint k = 0;

  activation->kind = fallback;
  if (!list)
    return TRUE;
  if (g_variant_n_children (list) == 1)
    i = 0;
  g_variant_get_child (list, i, "(&s@ad)", &name, &numbers);
  given = g_variant_get_fixed_array (numbers, &n, sizeof (double));
  while (k < G_N_ELEMENTS (known) && !g_str_equal (known[k].name, name))
    k++;
  if (k == G_N_ELEMENTS (known))
    return refuse (error,
        "activation is '%s'; expected linear, tanh, hardtanh, fasttanh, relu, "
        "leaky-relu, prelu, sigmoid, silu, hardswish, leaky-hardtanh or "
        "softsign",
        name);
  if (n > known[k].n_numbers)
    return refuse (error, "%s has %zu numbers; expected at most %u", name, n,
        known[k].n_numbers);
  for (gsize j = 0; j < n; j++)
    if (!(given[j] >= -1e30 && given[j] <= 1e30))
      return refuse (error, "%s: number %zu is %g; expected a finite one", name,
          j, given[j]);
  activation->kind = known[k].kind;
  if (activation->kind == LEAKY_HARDTANH)
    for (guint j = 0; j < 4; j++)
      activation->limits[j] = j < n ? given[j] : known[k].numbers[j];
  if (activation->kind == PRELU) {
    if (n > 1 && n != n_rows)
      return refuse (
          error, "%s has %zu slopes; expected 1 or %u", name, n, n_rows);
    activation->slopes = g_new0 (real, SEQ_PAD (n_rows));
    for (guint j = 0; j < n_rows; j++)
      activation->slopes[j] =
          (real) (n == 0 ? known[k].numbers[0] : given[n == 1 ? 0 : j]);
  }
  return TRUE;
}

/* --- from arrays to operations -------------------------------------------- */

/* Where the next array goes on. */
typedef struct {
  Wavenet *self;
  const char *prefix; /* of the tensors' names */
  guint x, condition;
  guint out; /* of the arrays so far */
  gint sum;  /* -1: nothing yet */
  guint array, layer;
} Builder;

static guint
n_rows_of (const Builder *b, guint buffer)
{
  return BUFFER (b->self, buffer)->n_rows;
}

static guint
add_buffer (Builder *b, guint n_rows)
{
  Buffer buffer = { .n_rows = n_rows, .ring = -1, .first = G_MAXUINT };

  g_array_append_val (b->self->buffers, buffer);
  return b->self->buffers->len - 1;
}

static Op *
add_op (Builder *b, guint kind, guint from, guint to)
{
  Op op = {
    .kind = kind, .from = from, .to = to, .other = -1, .sum = -1, .mixin = -1
  };

  g_array_append_val (b->self->ops, op);
  return OP (b->self, b->self->ops->len - 1);
}

/* Whether a convolution wrote the buffer, and nothing adds to it. */
static gboolean
is_convolved (const Builder *b, guint buffer)
{
  gboolean convolved = FALSE;

  for (guint i = 0; i < b->self->ops->len; i++) {
    const Op *op = OP (b->self, i);

    if (op->to == buffer)
      convolved = op->kind == CONVOLVE;
    if (op->sum == (gint) buffer || (op->kind == SUM && op->to == buffer))
      return FALSE;
  }
  return convolved;
}

/* The buffer, with the past that a kernel looks back on: a copy where rings
 * cannot hold the buffer itself, since only convolutions write into rings. */
static gboolean
add_past (
    Builder *b, guint n_taps, guint dilation, guint *buffer, GError **error)
{
  guint64 reach = (guint64) (n_taps - 1) * dilation;
  Buffer *ring;

  if (n_taps == 1)
    return TRUE;
  if (reach > MAX_REACH)
    return refuse (error,
        "a kernel of %u taps with dilation %u reaches back %" G_GUINT64_FORMAT
        " frames; expected at most %u",
        n_taps, dilation, reach, MAX_REACH);
  if (BUFFER (b->self, *buffer)->ring >= 0 || !is_convolved (b, *buffer)) {
    guint copy = add_buffer (b, n_rows_of (b, *buffer));

    add_op (b, SUM, *buffer, copy);
    *buffer = copy;
  }
  ring = BUFFER (b->self, *buffer);
  ring->ring = (gint) b->self->n_rings++;
  ring->length = (guint) (reach + BLOCK_FRAMES + BLOCK_FRAMES - 1)
                 / BLOCK_FRAMES * BLOCK_FRAMES;
  /* an odd number of tiles: rows start in different sets of the cache */
  ring->step = ring->length + BLOCK_FRAMES + SEQ_TILE;
  return TRUE;
}

static gboolean
add_kernel (Builder *b, Kernel *kernel, const char *name, guint n_in,
    guint n_rows, gboolean bias, guint groups, GError **error)
{
  g_autofree char *weight_name = g_strconcat (b->prefix, name, ".weight", NULL);
  g_autofree char *bias_name = g_strconcat (b->prefix, name, ".bias", NULL);
  SeqLayer *layer = &b->self->base;

  if (n_in % groups || n_rows % groups)
    return refuse (error,
        "%s: groups is %u; expected a divisor of %u inputs and %u outputs",
        name, groups, n_in, n_rows);
  if ((guint64) n_in * kernel->n_taps * SEQ_PAD (n_rows) > MAX_WEIGHTS)
    return refuse (error,
        "%s: number of weights is %u x %u x %u; expected at most %u", name,
        n_rows, n_in, kernel->n_taps, MAX_WEIGHTS);
  kernel->n_rows = n_rows;
  kernel->groups = groups;
  kernel->weight = (gint) seq_layer_add_tensor (
      layer, weight_name, 1, n_rows, n_in / groups * kernel->n_taps);
  layer->tensors[kernel->weight].taps = kernel->n_taps;
  kernel->bias =
      bias ? (gint) seq_layer_add_tensor (layer, bias_name, 1, n_rows, 1) : -1;
  return TRUE;
}

/* Appends to = bias + weight from, to a new buffer. */
static Op *
add_convolution (Builder *b, const Kernel *kernel, guint from)
{
  Op *op = add_op (b, CONVOLVE, from, add_buffer (b, kernel->n_rows));

  op->kernel = *kernel;
  return op;
}

/* All kernels of a layer, in the order of a file. */
typedef struct {
  Kernel conv, mixin, layer1x1, head1x1, films[N_FILMS];
} LayerKernels;

static gboolean
add_layer_kernels (
    Builder *b, const Shape *shape, LayerKernels *kernels, GError **error)
{
  guint l = b->layer, n = shape->plain ? shape->channels[l] : shape->bottleneck;
  guint n_z = shape->gating[l] == UNGATED ? n : 2 * n;
  guint n_x = n_rows_of (b, b->x), n_condition = n_rows_of (b, b->condition);
  guint n_films[N_FILMS] = { n_x, n_z, n_condition, n_z, n_z, n, n_x,
    shape->head1x1 };
  struct {
    Kernel *kernel;
    const char *name;
    guint n_in, n_rows;
    gboolean there, bias;
    guint groups;
  } all[] = {
    { &kernels->conv, "conv", n_x, n_z, TRUE, TRUE, shape->groups },
    { &kernels->mixin, "mixin", n_condition, n_z, shape->mixin && !shape->plain,
        FALSE, shape->mixin_groups },
    { &kernels->layer1x1, "layer1x1", n, n_x, !shape->plain, TRUE,
        shape->layer1x1_groups },
    { &kernels->head1x1, "head1x1", n, shape->head1x1, shape->head1x1 > 0, TRUE,
        shape->head1x1_groups },
  };

  for (guint i = 0; i < G_N_ELEMENTS (all); i++) {
    g_autofree char *name =
        g_strdup_printf ("array%u.layer%u.%s", b->array, l, all[i].name);

    *all[i].kernel = (Kernel){ .weight = -1, .n_taps = 1, .dilation = 1 };
    if (i == 0) {
      kernels->conv.n_taps = shape->kernel_sizes[l];
      kernels->conv.dilation = shape->dilations[l];
    }
    if (all[i].there
        && !add_kernel (b, all[i].kernel, name, all[i].n_in, all[i].n_rows,
            all[i].bias, all[i].groups, error))
      return FALSE;
  }
  for (guint i = 0; i < N_FILMS; i++) {
    const Film *film = &shape->films[i];
    g_autofree char *name =
        g_strdup_printf ("array%u.layer%u.%s_film", b->array, l, film_names[i]);

    kernels->films[i] = (Kernel){ .weight = -1, .n_taps = 1, .dilation = 1 };
    if (film->active
        && !add_kernel (b, &kernels->films[i], name, n_condition,
            film->shift ? 2 * n_films[i] : n_films[i], TRUE, film->groups,
            error))
      return FALSE;
  }
  return TRUE;
}

/* The buffer as the condition modulates it, or as it is. */
static guint
add_film (Builder *b, const Kernel *kernel, guint buffer)
{
  guint n = n_rows_of (b, buffer), modulation;
  Op *op;

  if (kernel->weight < 0)
    return buffer;
  modulation = add_convolution (b, kernel, b->condition)->to;
  op = add_op (b, MODULATE, buffer, add_buffer (b, n));
  op->other = (gint) modulation;
  op->adds = kernel->n_rows > n;
  return op->to;
}

/* to += from */
static void
add_sum (Builder *b, guint from, guint to)
{
  add_op (b, SUM, from, to)->adds = TRUE;
}

/* z of a layer: conv (x) + mixin (c). */
static gboolean
add_z (Builder *b, const LayerKernels *k, guint *z, GError **error)
{
  guint x = add_film (b, &k->films[CONV_PRE], b->x);
  gboolean plain = k->mixin.weight >= 0 && k->conv.groups == 1
                   && k->mixin.groups == 1 && k->films[CONV_POST].weight < 0
                   && k->films[MIXIN_PRE].weight < 0
                   && k->films[MIXIN_POST].weight < 0;
  Op *op;

  if (!add_past (b, k->conv.n_taps, k->conv.dilation, &x, error))
    return FALSE;
  op = add_convolution (b, &k->conv, x);
  *z = op->to;
  if (plain) { /* in one sum */
    op->mixin = k->mixin.weight;
    op->condition = b->condition;
    return TRUE;
  }
  *z = add_film (b, &k->films[CONV_POST], *z);
  if (k->mixin.weight >= 0) {
    guint c = add_film (b, &k->films[MIXIN_PRE], b->condition);
    guint mixed = add_convolution (b, &k->mixin, c)->to;

    add_sum (b, add_film (b, &k->films[MIXIN_POST], mixed), *z);
  }
  return TRUE;
}

/* The activation of a layer's z: part of the convolution that made it, where
 * nothing is between them. */
static gboolean
add_activation (Builder *b, const Shape *shape, guint *z, GError **error)
{
  guint l = b->layer, n = n_rows_of (b, *z);
  Activation activation = { 0 };
  Op *op = OP (b->self, b->self->ops->len - 1);

  if (!activation_read (shape->activations, l,
          shape->gating[l] == UNGATED ? n : n / 2, shape->plain ? LINEAR : TANH,
          &activation, error))
    return FALSE;
  if (op->kind != CONVOLVE || op->to != *z || shape->gating[l] != UNGATED
      || activation.kind > PRELU) {
    op = add_op (b, ACTIVATE, *z,
        add_buffer (b, shape->gating[l] == UNGATED ? n : n / 2));
    *z = op->to;
  }
  op->activation = activation;
  op->gating = shape->gating[l];
  return op->gating == UNGATED
         || activation_read (
             shape->secondary, l, n / 2, SIGMOID, &op->secondary, error);
}

/* sum += head1x1 (a), or a */
static gboolean
add_head_part (Builder *b, const LayerKernels *k, guint a, GError **error)
{
  gboolean first = b->sum < 0;
  Op *last;

  if (k->head1x1.weight >= 0)
    a = add_film (
        b, &k->films[HEAD1X1_POST], add_convolution (b, &k->head1x1, a)->to);
  if (first)
    b->sum = (gint) add_buffer (b, n_rows_of (b, a));
  if (n_rows_of (b, a) != n_rows_of (b, (guint) b->sum))
    return refuse (error,
        "the sum for the head has %u rows, from the array before; expected %u",
        n_rows_of (b, (guint) b->sum), n_rows_of (b, a));
  last = OP (b->self, b->self->ops->len - 1);
  if (last->to == a && (last->kind == CONVOLVE || last->kind == ACTIVATE)) {
    last->sum = b->sum;
    last->adds = !first;
  } else {
    add_op (b, SUM, a, (guint) b->sum)->adds = !first;
  }
  return TRUE;
}

static gboolean
add_layer (Builder *b, const Shape *shape, GError **error)
{
  LayerKernels k;
  guint z, a;
  Op *op;

  if (!add_layer_kernels (b, shape, &k, error) || !add_z (b, &k, &z, error))
    return FALSE;
  z = add_film (b, &k.films[ACTIVATION_PRE], z);
  a = z;
  if (!add_activation (b, shape, &a, error))
    return FALSE;
  a = add_film (b, &k.films[ACTIVATION_POST], a);
  if (shape->plain) {
    b->x = a;
    return TRUE;
  }
  if (!add_head_part (b, &k, a, error))
    return FALSE;
  op = add_convolution (b, &k.layer1x1, a);
  if (k.films[LAYER1X1_POST].weight < 0) {
    op->other = (gint) b->x;
    b->x = op->to;
  } else {
    guint r = add_film (b, &k.films[LAYER1X1_POST], op->to);

    add_sum (b, b->x, r);
    b->x = r;
  }
  return TRUE;
}

/* The head of an array, and what it puts out. */
static gboolean
add_head (Builder *b, const Shape *shape, GError **error)
{
  g_autofree char *name = g_strdup_printf ("array%u.head", b->array);
  Kernel head = { .n_taps = shape->head_kernel_size,
    .dilation = shape->head_dilation };
  guint sum = (guint) b->sum;
  Op *op;

  if (!add_kernel (b, &head, name, n_rows_of (b, sum), shape->head_channels,
          shape->head_bias, 1, error)
      || !add_past (b, head.n_taps, head.dilation, &sum, error))
    return FALSE;
  b->out = add_convolution (b, &head, sum)->to;
  b->sum = (gint) b->out;
  if (!shape->head_activation)
    return TRUE;
  op = add_op (b, ACTIVATE, b->out, add_buffer (b, shape->head_channels));
  b->out = op->to;
  return activation_read (shape->head_activation, 0, shape->head_channels,
      LINEAR, &op->activation, error);
}

static gboolean
add_array (Builder *b, GVariant *config, GError **error)
{
  g_autofree char *name = g_strdup_printf ("array%u.rechannel", b->array);
  Kernel rechannel = { .n_taps = 1, .dilation = 1 };
  g_auto (Shape) shape = { 0 };

  if (!shape_read (&b->self->base, config, &shape, error))
    return FALSE;
  if (shape.plain)
    b->x = b->out;
  else if (add_kernel (b, &rechannel, name, n_rows_of (b, b->x),
               shape.channels[0], shape.rechannel_bias, 1, error))
    b->x = add_convolution (b, &rechannel, b->x)->to;
  else
    return FALSE;
  for (b->layer = 0; b->layer < shape.n_layers; b->layer++)
    if (!add_layer (b, &shape, error))
      return FALSE;
  if (!shape.plain)
    return add_head (b, &shape, error);
  b->out = b->x;
  b->sum = -1;
  return TRUE;
}

/* The arrays of a config, and those of its condition before them. Returns what
 * they put out, or -1. */
static gint
add_net (Wavenet *self, GVariant *config, guint in, const char *prefix,
    guint depth, GError **error)
{
  g_autoptr (GVariant) list = g_variant_lookup_value (config, "arrays", NULL);
  g_autoptr (GVariant) condition =
      g_variant_lookup_value (config, "condition", NULL);
  Builder b = { .self = self,
    .prefix = prefix,
    .x = in,
    .condition = in,
    .out = in,
    .sum = -1 };
  guint n;

  if (condition) {
    g_autofree char *inner = g_strconcat (prefix, "condition.", NULL);
    gint out;

    if (!g_variant_is_of_type (condition, G_VARIANT_TYPE_VARDICT)
        || depth == MAX_DEPTH) {
      refuse (error,
          depth == MAX_DEPTH
              ? "condition: nested too deeply; expected less"
              : "condition is not a dictionary of options; expected one");
      return -1;
    }
    out = add_net (self, condition, in, inner, depth + 1, error);
    if (out < 0)
      return -1;
    b.condition = (guint) out;
  }
  if (list
      && (!g_variant_is_of_type (list, G_VARIANT_TYPE ("aa{sv}"))
          || g_variant_n_children (list) < 1
          || g_variant_n_children (list) > MAX_ARRAYS)) {
    refuse (error,
        "arrays is not a list; expected 1 to %u dictionaries of options",
        MAX_ARRAYS);
    return -1;
  }
  n = list ? (guint) g_variant_n_children (list) : 1;
  for (b.array = 0; b.array < n; b.array++) {
    g_autoptr (GVariant) array =
        list ? g_variant_get_child_value (list, b.array)
             : g_variant_ref_sink (g_variant_new ("a{sv}", NULL));

    if (!add_array (&b, array, error)) {
      g_prefix_error (error, "array %u: ", b.array);
      return -1;
    }
  }
  return (gint) b.out;
}

static void
op_clear (Op *op)
{
  g_free (op->activation.slopes);
  g_free (op->secondary.slopes);
}

/* Drops the operations that nothing comes of: x after the last layer. */
static void
drop_unused (Wavenet *self)
{
  g_autofree gboolean *used = g_new0 (gboolean, self->buffers->len);

  used[self->out] = TRUE;
  for (guint i = self->ops->len; i-- > 0;) {
    const Op *op = OP (self, i);

    if (!used[op->to] && !(op->sum >= 0 && used[op->sum])) {
      op_clear (OP (self, i));
      g_array_remove_index (self->ops, i);
      continue;
    }
    used[op->from] = TRUE;
    if (op->other >= 0)
      used[op->other] = TRUE;
    if (op->mixin >= 0)
      used[op->condition] = TRUE;
  }
}

/* Gives each buffer its working rows: those of buffers that are done. */
static gboolean
place_rows (Wavenet *self, GError **error)
{
  for (guint i = 0; i < self->ops->len; i++) {
    const Op *op = OP (self, i);
    guint used[5] = { op->from, op->to, op->from, op->from, op->from };

    if (op->other >= 0)
      used[2] = (guint) op->other;
    if (op->mixin >= 0)
      used[3] = op->condition;
    if (op->sum >= 0)
      used[4] = (guint) op->sum;
    BUFFER (self, op->to)->first = MIN (BUFFER (self, op->to)->first, i);
    BUFFER (self, used[4])->first = MIN (BUFFER (self, used[4])->first, i);
    for (guint k = 0; k < G_N_ELEMENTS (used); k++)
      BUFFER (self, used[k])->last = MAX (BUFFER (self, used[k])->last, i);
  }
  BUFFER (self, self->out)->last = self->ops->len;
  for (guint i = 0; i < self->buffers->len; i++) {
    Buffer *buffer = BUFFER (self, i);

    for (guint j = 0; buffer->ring < 0 && j < i; j++) {
      const Buffer *other = BUFFER (self, j);

      if (other->ring < 0 && other->last >= buffer->first
          && other->first <= buffer->last
          && other->offset < buffer->offset + buffer->n_rows
          && buffer->offset < other->offset + other->n_rows) {
        buffer->offset = other->offset + other->n_rows;
        j = (guint) -1; /* from the beginning */
      }
    }
    if (buffer->ring < 0)
      self->n_rows =
          MAX (self->n_rows, (guint) buffer->offset + buffer->n_rows);
  }
  if (self->n_rows > MAX_ROWS)
    return refuse (error, "%u rows at a time; expected at most %u",
        self->n_rows, MAX_ROWS);
  return TRUE;
}

static gboolean
place_rings (Wavenet *self, GError **error)
{
  SeqLayer *layer = &self->base;
  guint64 n_state = SEQ_PAD (self->n_rings);

  layer->n_undo = n_state;
  for (guint i = 0; i < self->buffers->len; i++) {
    Buffer *buffer = BUFFER (self, i);

    if (buffer->ring < 0)
      continue;
    buffer->offset = n_state;
    n_state += (guint64) buffer->step * buffer->n_rows;
    if (n_state > MAX_STATE)
      return refuse (error,
          "what it looks back on takes %" G_GUINT64_FORMAT
          " numbers and more; expected at most %u",
          n_state, MAX_STATE);
  }
  layer->n_state = n_state;
  return TRUE;
}

static gboolean
wavenet_init (SeqLayer *layer, GVariant *config, GError **error)
{
  Wavenet *self = (Wavenet *) layer;
  Buffer in = { .n_rows = layer->n_in, .ring = -1 };
  gint out;

  self->buffers = g_array_new (FALSE, FALSE, sizeof (Buffer));
  self->ops = g_array_new (FALSE, FALSE, sizeof (Op));
  g_array_append_val (self->buffers, in);
  out = add_net (self, config, 0, "", 0, error);
  if (out < 0)
    return FALSE;
  self->out = (guint) out;
  layer->n_out = BUFFER (self, out)->n_rows;
  drop_unused (self);
  if (!place_rows (self, error) || !place_rings (self, error))
    return FALSE;
  /* SEQ_TILE rows of tape are a block's working rows, read by whole vectors */
  layer->n_tape = SEQ_PAD (self->n_rows * (BLOCK_FRAMES / SEQ_TILE) + SEQ_TILE);
  return TRUE;
}

static void
wavenet_clear (SeqLayer *layer)
{
  Wavenet *self = (Wavenet *) layer;

  for (guint i = 0; i < self->ops->len; i++)
    op_clear (OP (self, i));
  g_array_unref (self->buffers);
  g_array_unref (self->ops);
}

/* PyTorch's start of each convolution, whose bias goes by the weight before. */
static void
wavenet_seed (const SeqLayer *layer, GRand *rand, real *weights)
{
  double bound = 1;

  for (guint i = 0; i < layer->n_tensors; i++) {
    const SeqTensor *t = &layer->tensors[i];

    if (g_str_has_suffix (t->name, "weight"))
      bound = 1 / sqrt (t->cols);
    for (guint row = 0; row < t->rows; row++)
      for (guint col = 0; col < t->cols; col++)
        weights[seq_tensor_index (t, 0, row, col)] =
            (real) g_rand_double_range (rand, -bound, bound);
  }
}

/* --- running -------------------------------------------------------------- */

/* A block of frames of one lane on its way through the operations. */
typedef struct {
  const Wavenet *self;
  const real *weights;
  real *state, *rows;
  gsize step;       /* from working row to working row */
  guint n_frames;   /* at most BLOCK_FRAMES */
  gboolean single;  /* one frame, and step 1 */
  gboolean settles; /* that frame has come for ever */
} Pass;

typedef struct {
  real *at;
  gsize step;
} Rows;

static inline guint
place_of (const Pass *pass, const Buffer *buffer)
{
  return (guint) (gint) pass->state[buffer->ring];
}

/* Rows of the frames in hand. */
static inline Rows
rows_of (const Pass *pass, guint i)
{
  const Buffer *buffer = BUFFER (pass->self, i);

  if (buffer->ring < 0)
    return (Rows){ pass->rows + buffer->offset * pass->step, pass->step };
  return (Rows){ pass->state + buffer->offset + place_of (pass, buffer),
    buffer->step };
}

/* The frames that were written are where the next look for them, too: those
 * past the end of a ring at its beginning, its first ones past its end. */
static void
close_ring (const Pass *pass, const Buffer *ring)
{
  guint place = place_of (pass, ring), end = place + pass->n_frames;

  for (guint r = 0; r < ring->n_rows; r++) {
    real *row = pass->state + ring->offset + r * ring->step;

    if (pass->settles)
      for (guint f = 0; f < ring->step; f++)
        row[f] = row[place];
    else if (end > ring->length)
      memcpy (row, row + ring->length, (end - ring->length) * sizeof (real));
    else if (place < BLOCK_FRAMES)
      memcpy (row + ring->length + place, row + place,
          (MIN (end, BLOCK_FRAMES) - place) * sizeof (real));
  }
}

/* A buffer for a kernel to look back on. */
static FrameSource
source_of (const Pass *pass, guint i, const Kernel *kernel)
{
  const Buffer *buffer = BUFFER (pass->self, i);
  FrameSource source = { .n_in = buffer->n_rows / kernel->groups,
    .n_taps = kernel->n_taps,
    .dilation = kernel->dilation,
    .length = 1 };

  if (kernel->n_taps > 1) {
    guint reach = (kernel->n_taps - 1) * kernel->dilation;
    guint place = place_of (pass, buffer);

    source.x = pass->state + buffer->offset;
    source.step = buffer->step;
    source.length = buffer->length;
    source.place =
        place >= reach ? place - reach : place + source.length - reach;
  } else {
    Rows rows = rows_of (pass, i);

    source.x = rows.at;
    source.step = rows.step;
  }
  return source;
}

static inline const real *
tensor_at (const Pass *pass, gint tensor, guint row)
{
  const SeqTensor *t = &pass->self->base.tensors[tensor];

  return pass->weights + t->offset + row / SEQ_TILE * t->tile_stride
         + row % SEQ_TILE;
}

/* The next n rows of a product. */
static void
run_rows (const FrameProduct *p, guint n, guint activation, gboolean single)
{
  switch (activation + (single ? 3 : 0)) {
    case LINEAR:
      frame_product (p, n, FRAMES_LINEAR);
      break;
    case TANH:
      frame_product (p, n, FRAMES_TANH);
      break;
    case PRELU:
      frame_product (p, n, FRAMES_SLOPES);
      break;
    case LINEAR + 3:
      strip_product (p, n, FRAMES_LINEAR);
      break;
    case TANH + 3:
      strip_product (p, n, FRAMES_TANH);
      break;
    default:
      strip_product (p, n, FRAMES_SLOPES);
      break;
  }
}

/* Rows of the next tile where `left` of a tensor's tile are left: tiles of one
 * size are better than full ones and a rest. */
static guint
tile_rows (guint left)
{
  static const guint8 n[SEQ_TILE + 1] = { 0, 1, 2, 3, 4, 3, 3, 4, 4, 3, 4, 4, 4,
    4, 4, 4, 4 };

  return n[left];
}

static void
run_convolution (const Pass *pass, const Op *op)
{
  static const Kernel mixin = { .n_taps = 1, .groups = 1 };
  const Kernel *kernel = &op->kernel;
  guint n_out = kernel->n_rows / kernel->groups;
  const Buffer *buffer = BUFFER (pass->self, op->to);
  Rows to = rows_of (pass, op->to);
  FrameProduct p = { .x = source_of (pass, op->from, kernel),
    .slopes = op->activation.slopes,
    .out = to.at,
    .out_step = to.step,
    .adds = op->adds,
    .n_frames = pass->n_frames };

  if (op->mixin >= 0)
    p.condition = source_of (pass, op->condition, &mixin);
  if (op->other >= 0) {
    Rows add = rows_of (pass, (guint) op->other);

    p.add = add.at;
    p.add_step = add.step;
  }
  if (op->sum >= 0) {
    Rows sum = rows_of (pass, (guint) op->sum);

    p.sum = sum.at;
    p.sum_step = sum.step;
  }
  if (buffer->ring >= 0 && pass->n_frames == BLOCK_FRAMES
      && place_of (pass, buffer) == 0)
    p.again = buffer->length;
  for (guint row = 0, in_group = n_out, n; row < kernel->n_rows; row += n) {
    n = MIN (in_group, SEQ_TILE - row % SEQ_TILE);
    n = pass->single ? MIN (n, SEQ_VEC) : tile_rows (n);
    p.weight = tensor_at (pass, kernel->weight, row);
    if (op->mixin >= 0)
      p.mixin = tensor_at (pass, op->mixin, row);
    if (kernel->bias >= 0)
      p.bias = tensor_at (pass, kernel->bias, row);
    run_rows (&p, n, op->activation.kind, pass->single);
    p.out += n * p.out_step;
    p.add += p.add ? n * p.add_step : 0;
    p.sum += p.sum ? n * p.sum_step : 0;
    p.slopes += p.slopes ? n : 0;
    in_group -= n;
    if (in_group == 0) {
      in_group = n_out;
      p.x.x += p.x.n_in * p.x.step;
    }
  }
  if (buffer->ring >= 0 && !p.again)
    close_ring (pass, buffer);
}

SEQ_INLINE vec
vec_abs (vec x)
{
  return vec_select (x < 0, -x, x);
}

/* slope: of PRELU, below zero */
SEQ_INLINE vec
activate (guint kind, const Activation *activation, vec x, vec slope)
{
  switch (kind) {
    case TANH:
      return vec_tanh (x);
    case HARDTANH:
      return vec_clamp (x, -1, 1);
    case FASTTANH: { /* the approximation that files may ask for */
      vec a = vec_abs (x), u = x * x;
      vec p = vec_fma (vec_splat ((real) 0.821226666969744), a,
          vec_splat ((real) 0.893229853513558));
      vec q = vec_fma (vec_splat ((real) 0.814642734961073) * x, a, x);

      p = vec_fma (p, u,
          vec_fma (vec_splat ((real) 2.45550750702956), a,
              vec_splat ((real) 2.45550750702956)));
      q = vec_fma (u + (real) 2.44506634652299, vec_abs (q),
          vec_splat ((real) 2.44506634652299));
      return x * p / q;
    }
    case PRELU:
      return vec_select (x > 0, x, x * slope);
    case SIGMOID:
      return vec_sigmoid (x);
    case SILU:
      return x * vec_sigmoid (x);
    case HARDSWISH:
      return x * vec_clamp (x + 3, 0, 6) * (real) (1 / 6.);
    case LEAKY_HARDTANH: {
      vec low = vec_splat ((real) activation->limits[0]);
      vec high = vec_splat ((real) activation->limits[1]);
      vec below = vec_splat ((real) activation->limits[2]);
      vec above = vec_splat ((real) activation->limits[3]);

      return vec_select (x < low, vec_fma (x - low, below, low),
          vec_select (x > high, vec_fma (x - high, above, high), x));
    }
    case SOFTSIGN:
      return x / (1 + vec_abs (x));
    default:
      return x;
  }
}

/* What an operation goes over, element by element: lines of neighbours, which
 * are the frames of a row, or the rows of a single frame. */
typedef struct {
  guint n_lines, length;
  gsize step;
} Lines;

static Lines
lines_of (const Pass *pass, guint n_rows)
{
  return pass->single ? (Lines){ 1, n_rows, 1 }
                      : (Lines){ n_rows, pass->n_frames, pass->step };
}

SEQ_INLINE vec
slope_at (const Pass *pass, const Activation *activation, guint line, guint f)
{
  if (!activation->slopes)
    return vec_splat (0);
  if (pass->single)
    return vec_loadu (activation->slopes + f);
  return vec_splat (activation->slopes[line]);
}

/* *sum += y, or = y */
SEQ_INLINE void
add_frames (real *sum, vec y, guint n, gboolean adds)
{
  if (adds)
    y += vec_loadu (sum);
  vec_store_part (sum, y, n);
}

/* kind is a constant; not for gates */
SEQ_INLINE void
activate_lines (const Pass *pass, const Op *op, guint kind)
{
  guint n_rows = BUFFER (pass->self, op->to)->n_rows;
  Lines lines = lines_of (pass, n_rows);
  real *from = rows_of (pass, op->from).at, *to = rows_of (pass, op->to).at;
  real *sum = op->sum >= 0 ? rows_of (pass, (guint) op->sum).at : NULL;

  for (guint line = 0; line < lines.n_lines; line++) {
    gsize at = line * lines.step;

    for (guint f = 0; f < lines.length; f += SEQ_VEC) {
      vec y = activate (kind, &op->activation, vec_loadu (from + at + f),
          slope_at (pass, &op->activation, line, f));
      guint n = lines.length - f;

      vec_store_part (to + at + f, y, n);
      if (sum)
        add_frames (sum + at + f, y, n, op->adds);
    }
  }
}

static void
gate_lines (const Pass *pass, const Op *op)
{
  guint n_rows = BUFFER (pass->self, op->to)->n_rows;
  Lines lines = lines_of (pass, n_rows);
  real *from = rows_of (pass, op->from).at, *to = rows_of (pass, op->to).at;
  const real *gate = from + n_rows * pass->step;
  real *sum = op->sum >= 0 ? rows_of (pass, (guint) op->sum).at : NULL;

  for (guint line = 0; line < lines.n_lines; line++) {
    gsize at = line * lines.step;

    for (guint f = 0; f < lines.length; f += SEQ_VEC) {
      vec z = vec_loadu (from + at + f);
      vec y = activate (op->activation.kind, &op->activation, z,
          slope_at (pass, &op->activation, line, f));
      vec g = activate (op->secondary.kind, &op->secondary,
          vec_loadu (gate + at + f), slope_at (pass, &op->secondary, line, f));
      guint n = lines.length - f;

      if (op->gating == GATED)
        y *= g;
      else
        y = vec_fma (g, y, (1 - g) * z);
      vec_store_part (to + at + f, y, n);
      if (sum)
        add_frames (sum + at + f, y, n, op->adds);
    }
  }
}

static void
run_activation (const Pass *pass, const Op *op)
{
  if (op->gating != UNGATED)
    gate_lines (pass, op);
  else
    switch (op->activation.kind) { /* the usual ones, each a loop of its own */
      case TANH:
        activate_lines (pass, op, TANH);
        break;
      case PRELU:
        activate_lines (pass, op, PRELU);
        break;
      default:
        activate_lines (pass, op, op->activation.kind);
        break;
    }
}

static void
run_modulation (const Pass *pass, const Op *op)
{
  guint n_rows = BUFFER (pass->self, op->to)->n_rows;
  Lines lines = lines_of (pass, n_rows);
  Rows from = rows_of (pass, op->from), to = rows_of (pass, op->to);
  const real *scale = rows_of (pass, (guint) op->other).at;
  const real *shift = scale + n_rows * pass->step;

  for (guint line = 0; line < lines.n_lines; line++)
    for (guint f = 0; f < lines.length; f += SEQ_VEC) {
      gsize at = line * lines.step + f;
      vec t = op->adds ? vec_loadu (shift + at) : vec_splat (0);

      vec_store_part (to.at + at,
          vec_fma (vec_loadu (from.at + at), vec_loadu (scale + at), t),
          lines.length - f);
    }
}

static void
run_sum (const Pass *pass, const Op *op)
{
  guint n_rows = BUFFER (pass->self, op->to)->n_rows;
  Rows from = rows_of (pass, op->from), to = rows_of (pass, op->to);

  for (guint r = 0; r < n_rows; r++)
    for (guint f = 0; f < pass->n_frames; f++) {
      real x = from.at[r * from.step + f], *y = &to.at[r * to.step + f];

      *y = op->adds ? *y + x : x;
    }
  if (BUFFER (pass->self, op->to)->ring >= 0)
    close_ring (pass, BUFFER (pass->self, op->to));
}

static void
run_ops (const Pass *pass)
{
  const Wavenet *self = pass->self;

  for (guint i = 0; i < self->ops->len; i++) {
    const Op *op = OP (self, i);

    switch (op->kind) {
      case CONVOLVE:
        run_convolution (pass, op);
        break;
      case ACTIVATE:
        run_activation (pass, op);
        break;
      case MODULATE:
        run_modulation (pass, op);
        break;
      case SUM:
        run_sum (pass, op);
        break;
    }
  }
}

static void
advance (const Pass *pass)
{
  for (guint i = 0; i < pass->self->buffers->len; i++) {
    const Buffer *buffer = BUFFER (pass->self, i);
    guint place;

    if (buffer->ring < 0)
      continue;
    place = place_of (pass, buffer) + pass->n_frames;
    pass->state[buffer->ring] =
        (real) (place >= buffer->length ? place - buffer->length : place);
  }
}

/* Frames [t, t + n) of a lane. */
static void
run_frames (const Pass *pass, const SeqBlock *block, guint lane, guint t)
{
  const SeqLayer *layer = &pass->self->base;
  gsize in_step = block->n_lanes * block->in_stride;
  gsize out_step = block->n_lanes * block->out_stride;
  const real *in = block->in + t * in_step + lane * block->in_stride;
  real *out = block->out + t * out_step + lane * block->out_stride;
  Rows rows = rows_of (pass, 0);

  for (guint i = 0; i < layer->n_in; i++)
    for (guint f = 0; f < pass->n_frames; f++)
      rows.at[i * rows.step + f] = in[f * in_step + i];
  run_ops (pass);
  rows = rows_of (pass, pass->self->out);
  for (guint i = 0; i < layer->n_out; i++)
    for (guint f = 0; f < pass->n_frames; f++)
      out[f * out_step + i] = rows.at[i * rows.step + f];
  advance (pass);
}

static void
wavenet_run (const SeqLayer *layer, const SeqBlock *block)
{
  const Wavenet *self = (const Wavenet *) layer;

  for (guint lane = 0; lane < block->n_lanes; lane++) {
    Pass pass = { .self = self,
      .weights = block->weights + lane * block->weights_stride,
      .state = block->state + lane * block->state_stride,
      .rows = block->tape };

    for (guint t = 0; t < block->n_frames; t += pass.n_frames) {
      guint left = block->n_frames - t;

      pass.single = left <= FEW_FRAMES;
      pass.n_frames = pass.single ? 1 : MIN (left, BLOCK_FRAMES);
      pass.step = pass.single ? 1 : SEQ_PAD (pass.n_frames);
      run_frames (&pass, block, lane, t);
    }
  }
}

static void
wavenet_start (const SeqLayer *layer, const real *weights, real *state)
{
  real rows[MAX_ROWS + SEQ_TILE] = { 0 }; /* whole vectors are read */
  Pass pass = { .self = (const Wavenet *) layer,
    .weights = weights,
    .state = state,
    .rows = rows,
    .step = 1,
    .n_frames = 1,
    .single = TRUE,
    .settles = TRUE };

  run_ops (&pass);
}

static gboolean
wavenet_check_state (const SeqLayer *layer, const real *state)
{
  const Wavenet *self = (const Wavenet *) layer;

  for (guint i = 0; i < self->buffers->len; i++) {
    const Buffer *buffer = BUFFER (self, i);

    if (buffer->ring >= 0
        && (!(state[buffer->ring] >= 0 && state[buffer->ring] < buffer->length)
            || state[buffer->ring] != floor (state[buffer->ring])))
      return FALSE;
  }
  for (gsize i = 0; i < layer->n_state; i++)
    if (!isfinite (state[i]))
      return FALSE;
  return TRUE;
}

const SeqLayerClass SEQ_CLASS (wavenet) = {
  .kind = { .name = "wavenet", .options = options },
  .instance_size = sizeof (Wavenet),
  .init = wavenet_init,
  .clear = wavenet_clear,
  .seed = wavenet_seed,
  .start = wavenet_start,
  .run = wavenet_run,
  .check_state = wavenet_check_state,
};
