/* nam-net.c: Neural Amp Modeler, the architectures that are convolutions:
 * WaveNet, ConvNet and Linear.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * All three are layers of the kind wavenet, whose tensors stand in the order of
 * a WaveNet's weights. WaveNet ends with the scale of its last head, which goes
 * into that head's weights; ConvNet's batch normalisation goes into the
 * convolution before it; Linear's first weight meets the newest frame.
 *
 * What the program that trains and the one that plays read differently is
 * refused.
 */
#include "src/io/nam.h"

#include <math.h>
#include <string.h>

#define MOST 1024 /* channels and inputs */

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
  g_set_error_literal (error, SEQ_ERROR, SEQ_ERROR_DAMAGED, text);
  return FALSE;
}

/* --- options of a net ----------------------------------------------------- */

/* A whole number of at least 1, which must be there. */
static gboolean
need_uint (
    json_t *object, const char *key, guint max, guint *value, GError **error)
{
  if (!seq_json_uint (object, key, max, 0, value, error))
    return FALSE;
  if (*value == 0)
    return refuse (error, "%s is %s; expected 1 to %u", key,
        json_object_get (object, key) ? "0" : "missing", max);
  return TRUE;
}

/* How many entries a list has, which must be n; 1 where it is not a list,
 * but a value for all. 0: SEQ_ERROR_DAMAGED. */
static gsize
count (json_t *value, gsize n, const char *key, GError **error)
{
  gsize n_given = json_array_size (value);

  if (!json_is_array (value))
    return 1;
  if (n_given == n && n > 0)
    return n;
  refuse (
      error, "%s has %zu entries; expected %zu, one a layer", key, n_given, n);
  return 0;
}

/* A number, or a list of n of them, as au. */
static gboolean
put_uints (GVariantDict *dict, const char *name, json_t *value, gsize n_layers,
    const char *key, GError **error)
{
  g_auto (GVariantBuilder) list =
      G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("au"));
  gsize n = count (value, n_layers, key, error);

  if (n == 0)
    return FALSE;
  for (gsize i = 0; i < n; i++) {
    json_t *entry = json_is_array (value) ? json_array_get (value, i) : value;
    double x = json_number_value (entry);

    if (!json_is_number (entry) || !(x >= 1 && x <= G_MAXUINT32)
        || x != floor (x))
      return refuse (error,
          "%s: entry %zu is %s; expected a whole number of at "
          "least 1",
          key, i, json_is_number (entry) ? "out of range" : "not a number");
    g_variant_builder_add (&list, "u", (guint32) x);
  }
  g_variant_dict_insert_value (dict, name, g_variant_builder_end (&list));
  return TRUE;
}

/* A truth value. */
static gboolean
get_flag (json_t *object, const char *key, gboolean fallback, GError **error,
    guint *flag)
{
  return seq_json_uint (object, key, 1, (guint) fallback, flag, error);
}

static const struct {
  const char *theirs, *ours;
  const char *keys[4]; /* of its numbers, in our order */
  double defaults[4];
} activations[] = { { "Tanh", "tanh" }, { "Hardtanh", "hardtanh" },
  { "Fasttanh", "fasttanh" }, { "ReLU", "relu" },
  { "LeakyReLU", "leaky-relu", { "negative_slope" }, { 0.01 } },
  { "PReLU", "prelu", { "negative_slope" }, { 0.01 } },
  { "Sigmoid", "sigmoid" }, { "SiLU", "silu" }, { "Hardswish", "hardswish" },
  { "LeakyHardtanh", "leaky-hardtanh",
      { "min_val", "max_val", "min_slope", "max_slope" },
      { -1, 1, 0.01, 0.01 } },
  { "LeakyHardTanh", "leaky-hardtanh",
      { "min_val", "max_val", "min_slope", "max_slope" },
      { -1, 1, 0.01, 0.01 } },
  { "Softsign", "softsign" } };

/* The slopes of a PReLU with one a channel. */
static gboolean
add_slopes (json_t *slopes, GVariantBuilder *numbers, GError **error)
{
  g_autoptr (SeqArray) array =
      seq_json_array (slopes, "negative_slopes", "negative_slopes", error);

  if (!array)
    return FALSE;
  if (array->rank != 1 || array->n_values == 0)
    return refuse (error, "negative_slopes is %s; expected a list of numbers",
        array->rank ? "empty or nested" : "a number");
  for (gsize i = 0; i < array->n_values; i++)
    g_variant_builder_add (numbers, "d", array->values[i]);
  return TRUE;
}

/* (sad): a name, or an object with a type and its numbers. */
static GVariant *
read_activation (json_t *value, GError **error)
{
  json_t *object = json_is_object (value) ? value : NULL;
  const char *name =
      json_string_value (object ? json_object_get (object, "type") : value);
  GVariantBuilder numbers = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("ad"));
  json_t *slopes = json_object_get (object, "negative_slopes");
  guint k = 0;
  double low = -1, high = 1;

  while (name && k < G_N_ELEMENTS (activations)
         && !g_str_equal (activations[k].theirs, name))
    k++;
  if (!name || k == G_N_ELEMENTS (activations)) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "activation is %s%s%s; expected Tanh, Hardtanh, Fasttanh, ReLU, "
        "LeakyReLU, PReLU, Sigmoid, SiLU, Hardswish, LeakyHardtanh or Softsign",
        name ? "'" : "", name ? name : "not a name", name ? "'" : "");
    return NULL;
  }
  if (g_str_equal (name, "Hardtanh")
      && (!seq_json_double (object, "min_val", -1, &low, error)
          || !seq_json_double (object, "max_val", 1, &high, error)))
    return NULL;
  if (low != -1 || high != 1) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "Hardtanh has limits %g and %g; expected -1 and 1, since the program "
        "that trained it obeys others and the one that plays it does not",
        low, high);
    return NULL;
  }
  if (g_str_equal (name, "PReLU") && slopes
      && !json_object_get (object, "negative_slope")) {
    if (!add_slopes (slopes, &numbers, error)) {
      g_variant_builder_clear (&numbers);
      return NULL;
    }
  } else {
    for (guint i = 0; i < 4 && activations[k].keys[i]; i++) {
      double x;

      if (!seq_json_double (object, activations[k].keys[i],
              activations[k].defaults[i], &x, error)) {
        g_variant_builder_clear (&numbers);
        return NULL;
      }
      g_variant_builder_add (&numbers, "d", x);
    }
  }
  return g_variant_new ("(sad)", activations[k].ours, &numbers);
}

/* One, or one a layer; a null is `missing`, if that is given. */
static gboolean
put_activations (GVariantDict *dict, const char *name, json_t *value,
    gsize n_layers, const char *missing, GError **error)
{
  g_auto (GVariantBuilder) list =
      G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("a(sad)"));
  gsize n = count (value, n_layers, name, error);

  if (n == 0)
    return FALSE;
  for (gsize i = 0; i < n; i++) {
    json_t *entry = json_is_array (value) ? json_array_get (value, i) : value;
    gboolean none =
        missing
        && (!entry || json_is_null (entry)
            || (json_is_string (entry) && !*json_string_value (entry)));
    GVariant *activation = none ? g_variant_new ("(sad)", missing, NULL)
                                : read_activation (entry, error);

    if (!activation) {
      g_prefix_error (error, "%s: ", name);
      return FALSE;
    }
    g_variant_builder_add_value (&list, activation);
  }
  g_variant_dict_insert_value (dict, name, g_variant_builder_end (&list));
  return TRUE;
}

/* One word or one a layer, as numbers of the kind; else the old `gated`. */
static gboolean
put_gating (GVariantDict *dict, json_t *array, gsize n_layers,
    gboolean *all_blended, GError **error)
{
  static const char *const words[] = { "none", "gated", "blended", NULL };
  json_t *mode = json_object_get (array, "gating_mode");
  g_auto (GVariantBuilder) list =
      G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("au"));
  gsize n = count (mode, n_layers, "gating_mode", error);
  guint gated;

  if (n == 0 || !get_flag (array, "gated", FALSE, error, &gated))
    return FALSE;
  *all_blended = TRUE;
  for (gsize i = 0; i < n; i++) {
    json_t *entry = json_is_array (mode) ? json_array_get (mode, i) : mode;
    const char *word = mode ? json_string_value (entry) : words[gated];
    guint k = 0;

    while (word && words[k] && !g_str_equal (words[k], word))
      k++;
    if (!word || !words[k])
      return refuse (error,
          "gating_mode is %s; expected none, gated or blended",
          word ? word : "not a word");
    *all_blended &= k == 2;
    g_variant_builder_add (&list, "u", k);
  }
  g_variant_dict_insert_value (dict, "gating", g_variant_builder_end (&list));
  return TRUE;
}

/* An object with `active`, or false, null or nothing: not there. */
static gboolean
get_part (json_t *array, const char *key, gboolean fallback, json_t **part,
    guint *active, GError **error)
{
  *part = json_object_get (array, key);
  *active = fallback && !*part;
  if (!*part || json_is_null (*part) || json_is_false (*part))
    return TRUE;
  if (!json_is_object (*part))
    return refuse (
        error, "%s is not an object; expected one, or null or false", key);
  return get_flag (*part, "active", TRUE, error, active);
}

static gboolean
put_films (GVariantDict *dict, json_t *array, gboolean layer1x1,
    gboolean head1x1, gboolean all_blended, GError **error)
{
  static const struct {
    const char *theirs, *ours;
  } films[] = { { "conv_pre_film", "conv_pre" },
    { "conv_post_film", "conv_post" }, { "input_mixin_pre_film", "mixin_pre" },
    { "input_mixin_post_film", "mixin_post" },
    { "activation_pre_film", "activation_pre" },
    { "activation_post_film", "activation_post" },
    { "layer1x1_post_film", "layer1x1_post" },
    { "head1x1_post_film", "head1x1_post" } };
  g_auto (GVariantBuilder) list =
      G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("a{s(uu)}"));

  for (guint i = 0; i < G_N_ELEMENTS (films); i++) {
    json_t *film;
    guint active, shift, groups;

    if (!get_part (array, films[i].theirs, FALSE, &film, &active, error))
      return FALSE;
    if (!active)
      continue;
    if ((i == 6 && !layer1x1) || (i == 7 && !head1x1))
      return refuse (error,
          "%s is active; expected not active, as its convolution",
          films[i].theirs);
    if (i == 6 && !all_blended) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
          "layer1x1_post_film is active in a layer that is not blended; "
          "expected "
          "not active: the program that trained it applies it and the one that "
          "plays it does "
          "not");
      return FALSE;
    }
    if (!get_flag (film, "shift", TRUE, error, &shift)
        || !seq_json_uint (film, "groups", MOST, 1, &groups, error))
      return FALSE;
    g_variant_builder_add (&list, "{s(uu)}", films[i].ours, shift, groups);
  }
  g_variant_dict_insert_value (dict, "films", g_variant_builder_end (&list));
  return TRUE;
}

/* Widths of the arrays, as the file has them and as they are to be run. */
#define MAX_ARRAYS 32

typedef struct {
  guint n_arrays, n_in, n_condition;
  guint whole[MAX_ARRAYS], run[MAX_ARRAYS];
} Widths;

/* The channels that an array of so many is run with. */
static gboolean
read_width (json_t *array, double size, guint whole, guint *run, GError **error)
{
  json_t *slimmable = json_object_get (array, "slimmable");
  json_t *allowed = json_object_get (
      json_object_get (slimmable, "kwargs"), "allowed_channels");
  const char *method =
      json_string_value (json_object_get (slimmable, "method"));
  gsize n = json_array_size (allowed), k;
  double before = 0;

  *run = whole;
  if (!slimmable || json_is_null (slimmable))
    return TRUE;
  if (g_strcmp0 (method, "slice_channels_uniform") != 0) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "slimmable: method is '%s'; expected slice_channels_uniform",
        method ? method : "missing");
    return FALSE;
  }
  for (gsize i = 0; i < n; i++) {
    double x = json_number_value (json_array_get (allowed, i));

    if (!(x > before && x <= whole) || x != floor (x))
      return refuse (error,
          "slimmable: allowed_channels is not a list of whole numbers that "
          "rise "
          "to %u; expected one",
          whole);
    before = x;
  }
  if (n > 0 && before != whole)
    return refuse (error,
        "slimmable: the last of allowed_channels is %g; expected %u", before,
        whole);
  if (size < 0)
    return TRUE;
  if (n == 0) {
    *run = (guint) MIN (floor (size * whole), whole - 1) + 1;
  } else {
    k = (gsize) MIN (floor (size * (double) n), (double) n - 1);
    *run = (guint) json_number_value (json_array_get (allowed, k));
  }
  return TRUE;
}

static gboolean
read_widths (json_t *layers, double size, Widths *w, GError **error)
{
  w->n_arrays = (guint) json_array_size (layers);
  if (w->n_arrays < 1 || w->n_arrays > MAX_ARRAYS)
    return refuse (error, "layers has %u arrays; expected 1 to %u", w->n_arrays,
        MAX_ARRAYS);
  for (guint i = 0; i < w->n_arrays; i++) {
    json_t *array = json_array_get (layers, i);

    if (!json_is_object (array))
      return refuse (
          error, "layers: array %u is not an object; expected one", i);
    if (!need_uint (array, "channels", MOST, &w->whole[i], error)
        || !read_width (array, size, w->whole[i], &w->run[i], error)) {
      g_prefix_error (error, "layers: array %u: ", i);
      return FALSE;
    }
  }
  return TRUE;
}

/* Refuses a width that must be another's. */
static gboolean
check_width (json_t *array, const char *key, guint width, const char *whose,
    GError **error)
{
  guint given;

  if (!seq_json_uint (array, key, MOST, width, &given, error))
    return FALSE;
  return given == width
         || refuse (
             error, "%s is %u; expected %u, %s", key, given, width, whose);
}

/* The head of array i: its convolution. */
static gboolean
put_head (
    GVariantDict *dict, json_t *array, const Widths *w, guint i, GError **error)
{
  json_t *head = json_object_get (array, "head");
  guint width, taps = 1, dilation = 1, bias;

  if (head && !json_is_null (head)) {
    if (!json_is_object (head))
      return refuse (error, "head is not an object; expected one, or null");
    if (!need_uint (head, "out_channels", MOST, &width, error)
        || !need_uint (head, "kernel_size", 1 << 20, &taps, error)
        || !seq_json_uint (head, "head_dilation", 1 << 20, 1, &dilation, error)
        || !get_flag (head, "bias", TRUE, error, &bias))
      return FALSE;
  } else if (!need_uint (array, "head_size", MOST, &width, error)
             || !get_flag (array, "head_bias", FALSE, error, &bias)) {
    return FALSE;
  }
  if (i + 1 < w->n_arrays) {
    if (width != w->whole[i + 1])
      return refuse (error,
          "its head has %u channels; expected %u, those of the next array",
          width, w->whole[i + 1]);
    width = w->run[i + 1];
  }
  g_variant_dict_insert (dict, "head_channels", "u", width);
  g_variant_dict_insert (dict, "head_kernel_size", "u", taps);
  g_variant_dict_insert (dict, "head_dilation", "u", dilation);
  g_variant_dict_insert (dict, "head_bias", "u", bias);
  return TRUE;
}

/* layer1x1 and head1x1, gating, and what modulates them */
static gboolean
put_parts (GVariantDict *dict, json_t *array, gsize n_layers, GError **error)
{
  json_t *layer1x1, *head1x1;
  guint with_layer, with_head, groups, width;
  gboolean all_blended;

  if (!get_part (array, "layer1x1", TRUE, &layer1x1, &with_layer, error)
      || !get_part (array, "head1x1", FALSE, &head1x1, &with_head, error)
      || !put_gating (dict, array, n_layers, &all_blended, error)
      || !put_films (dict, array, with_layer, with_head, all_blended, error))
    return FALSE;
  if (!with_layer) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "layer1x1 is not active; expected active: the program that trained it "
        "adds the activation to the layer's input and the one that plays it "
        "does not");
    return FALSE;
  }
  if (!seq_json_uint (layer1x1, "groups", MOST, 1, &groups, error))
    return FALSE;
  g_variant_dict_insert (dict, "layer1x1_groups", "u", groups);
  if (!with_head)
    return TRUE;
  if (!need_uint (head1x1, "out_channels", MOST, &width, error)
      || !seq_json_uint (head1x1, "groups", MOST, 1, &groups, error))
    return FALSE;
  g_variant_dict_insert (dict, "head1x1", "u", width);
  g_variant_dict_insert (dict, "head1x1_groups", "u", groups);
  return TRUE;
}

static gboolean
put_kernels (GVariantDict *dict, json_t *array, gsize n, GError **error)
{
  json_t *dilations = json_object_get (array, "dilations");
  json_t *size = json_object_get (array, "kernel_size");
  json_t *sizes = json_object_get (array, "kernel_sizes");

  if (!size == !sizes)
    return refuse (error,
        "there is %s of kernel_size and kernel_sizes; "
        "expected one",
        size ? "each" : "none");
  return put_uints (dict, "dilations", dilations, n, "dilations", error)
         && put_uints (dict, "kernel_sizes", size ? size : sizes, n,
             size ? "kernel_size" : "kernel_sizes", error);
}

/* Refuses to run an array narrower where channels are not all alike. */
static gboolean
check_narrow (GVariantDict *dict, GError **error)
{
  static const char *const ones[] = { "groups", "mixin_groups",
    "layer1x1_groups", "head1x1_groups", "head_kernel_size" };
  guint value = 1;

  for (guint i = 0; i < G_N_ELEMENTS (ones); i++)
    if (g_variant_dict_lookup (dict, ones[i], "u", &value) && value != 1) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
          "slimmable: %s is %u; expected 1 to run with fewer channels", ones[i],
          value);
      return FALSE;
    }
  return TRUE;
}

/* Array i of a WaveNet, as the kind has it. */
static gboolean
put_array (
    GVariantDict *dict, json_t *array, const Widths *w, guint i, GError **error)
{
  guint whole = w->whole[i], run = w->run[i], bottleneck, groups, mixin_groups;
  json_t *dilations = json_object_get (array, "dilations");
  gsize n_layers = json_array_size (dilations);

  if (n_layers == 0)
    return refuse (error, "dilations is %s; expected a number a layer",
        json_is_array (dilations) ? "empty" : "not a list");
  if (!check_width (array, "input_size", i ? w->whole[i - 1] : w->n_in,
          i ? "the channels of the array before" : "the inputs", error)
      || !check_width (array, "condition_size", w->n_condition,
          "those of the condition", error)
      || !seq_json_uint (array, "bottleneck", MOST, whole, &bottleneck, error)
      || !seq_json_uint (array, "groups_input", MOST, 1, &groups, error)
      || !seq_json_uint (
          array, "groups_input_mixin", MOST, 1, &mixin_groups, error)
      || !put_kernels (dict, array, n_layers, error)
      || !put_activations (dict, "activations",
          json_object_get (array, "activation"), n_layers, NULL, error)
      || !put_activations (dict, "secondary",
          json_object_get (array, "secondary_activation"), n_layers, "sigmoid",
          error)
      || !put_parts (dict, array, n_layers, error)
      || !put_head (dict, array, w, i, error))
    return FALSE;
  if (bottleneck && run != whole)
    bottleneck = MAX (1, bottleneck * run / whole);
  g_variant_dict_insert_value (dict, "channels",
      g_variant_new_fixed_array (G_VARIANT_TYPE_UINT32, &run, 1, sizeof run));
  g_variant_dict_insert (dict, "bottleneck", "u", bottleneck);
  g_variant_dict_insert (dict, "groups", "u", groups);
  g_variant_dict_insert (dict, "mixin_groups", "u", mixin_groups);
  return run == whole || check_narrow (dict, error);
}

/* The convolutions after the last head, each with an activation before it: the
 * first one's belongs to the last array. */
static gboolean
put_post_head (GVariantBuilder *arrays, GVariantDict *last, json_t *head,
    guint n_in, GError **error)
{
  g_auto (GVariantDict) dict = G_VARIANT_DICT_INIT (NULL);
  GVariantBuilder channels = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("au"));
  GVariantBuilder ones = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("au"));
  GVariantBuilder list = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("a(sad)"));
  json_t *sizes = json_object_get (head, "kernel_sizes");
  gsize n = json_array_size (sizes);
  g_autoptr (GVariant) activation = NULL;
  guint width = 0, out;

  if (!json_is_object (head) || n == 0)
    return refuse (error, "head: kernel_sizes is missing; expected a list");
  if (!check_width (
          head, "in_channels", n_in, "the channels of the last head", error)
      || !need_uint (head, "out_channels", MOST, &out, error)
      || (n > 1 && !need_uint (head, "channels", MOST, &width, error))
      || !put_uints (&dict, "kernel_sizes", sizes, n, "kernel_sizes", error))
    return FALSE;
  activation = read_activation (json_object_get (head, "activation"), error);
  if (!activation)
    return FALSE;
  g_variant_ref_sink (activation);
  for (gsize i = 0; i < n; i++) {
    g_variant_builder_add (&channels, "u", i + 1 < n ? width : out);
    g_variant_builder_add (&ones, "u", 1);
    g_variant_builder_add_value (&list,
        i + 1 < n ? activation : g_variant_new ("(sad)", "linear", NULL));
  }
  g_variant_dict_insert (&dict, "plain", "u", 1);
  g_variant_dict_insert (&dict, "channels", "au", &channels);
  g_variant_dict_insert (&dict, "dilations", "au", &ones);
  g_variant_dict_insert (&dict, "activations", "a(sad)", &list);
  g_variant_dict_insert_value (
      last, "head_activation", g_variant_new_array (NULL, &activation, 1));
  g_variant_builder_add_value (arrays, g_variant_dict_end (last));
  g_variant_builder_add_value (arrays, g_variant_dict_end (&dict));
  return TRUE;
}

/* --- nets with their weights ---------------------------------------------- */

void
seq_net_clear (SeqNet *net)
{
  g_clear_pointer (&net->config, g_variant_unref);
  g_clear_pointer (&net->whole, g_variant_unref);
  for (guint i = 0; i < net->n_parts; i++)
    g_clear_pointer (&net->parts[i].values, g_array_unref);
  net->n_parts = 0;
}

/* The condition that a tensor's net is of: 0 for none. */
static guint
part_of (const SeqTensor *t, const char **name)
{
  guint part = 0;

  for (*name = t->name; g_str_has_prefix (*name, "condition."); part++)
    *name += strlen ("condition.");
  return part;
}

/* Binds a tensor to the next values of its part: the first rows and columns
 * that `whole` has. */
static gboolean
bind (SeqBuilder *builder, guint layer, const SeqTensor *t,
    const SeqTensor *whole, const SeqNetPart *part, const double *at,
    GError **error)
{
  g_autofree double *values = g_new (double, (gsize) t->rows * t->cols);
  g_autofree char *head = g_strdup_printf ("array%u.head.", part->scaled);
  gsize n_in = t->cols / t->taps;
  const char *name;
  double scale;

  part_of (t, &name);
  scale = g_str_has_prefix (name, head) ? part->scale : 1;
  for (gsize row = 0; row < t->rows; row++)
    for (gsize input = 0; input < n_in; input++)
      for (gsize tap = 0; tap < t->taps; tap++)
        values[row * t->cols + tap * n_in + input] =
            at[row * whole->cols + input * t->taps + tap] * scale;
  return seq_builder_set (builder, layer, t->name, "weights", values, t->rows,
      t->cols, NULL, error);
}

gboolean
seq_net_add (const SeqNet *net, SeqBuilder *builder, GError **error)
{
  gsize needed[SEQ_NET_DEPTH + 1] = { 0 };
  g_autoptr (SeqLayer) whole = seq_layer_new (
      "wavenet", net->whole ? net->whole : net->config, net->n_in, error);
  const SeqLayer *layer;
  const char *name;
  gint n;

  if (!whole)
    return FALSE;
  for (guint i = 0; i < whole->n_tensors; i++)
    needed[part_of (&whole->tensors[i], &name)] +=
        (gsize) whole->tensors[i].rows * whole->tensors[i].cols;
  for (guint i = 0; i < net->n_parts; i++)
    if (net->parts[i].values->len != needed[i])
      return refuse (error,
          "weights%s has %u values; expected %zu, beside head_scale",
          i ? " of condition_dsp" : "", net->parts[i].values->len, needed[i]);
  n = seq_builder_add (builder, "wavenet", net->config, error);
  if (n < 0)
    return FALSE;
  memset (needed, 0, sizeof needed);
  layer = seq_builder_layer (builder, (guint) n);
  for (guint i = 0; i < layer->n_tensors; i++) {
    const SeqTensor *t = &layer->tensors[i], *w = &whole->tensors[i];
    guint k = part_of (t, &name);
    const SeqNetPart *part = &net->parts[k];

    if (!bind (builder, (guint) n, t, w, part,
            &g_array_index (part->values, double, needed[k]), error))
      return FALSE;
    needed[k] += (gsize) w->rows * w->cols;
  }
  return TRUE;
}

/* The list of weights, which may be long. */
static SeqArray *
read_weights (json_t *model, GError **error)
{
  json_t *weights = json_object_get (model, "weights");
  g_autoptr (SeqArray) array = NULL;

  if (!json_is_array (weights) || json_array_size (weights) == 0) {
    refuse (error, "weights is %s; expected a list of numbers",
        json_is_array (weights) ? "empty" : "not a list");
    return NULL;
  }
  array = seq_json_array (weights, "weights", "weights", error);
  if (array && array->rank != 1) {
    refuse (error, "weights is a list of lists; expected one of numbers");
    return NULL;
  }
  return g_steal_pointer (&array);
}

/* The part of a net at `depth`, with `n` values of its weights. */
static SeqNetPart *
add_part (SeqNet *net, guint depth, const double *values, gsize n)
{
  SeqNetPart *part = &net->parts[depth];

  net->n_parts = MAX (net->n_parts, depth + 1);
  g_clear_pointer (&part->values, g_array_unref);
  *part = (SeqNetPart){ .values = g_array_new (FALSE, FALSE, sizeof (double)),
    .scale = 1,
    .scaled = MAX_ARRAYS };
  g_array_append_vals (part->values, values, (guint) n);
  return part;
}

static GVariant *read_config (
    json_t *model, double size, guint depth, SeqNet *net, GError **error);

static gboolean
put_arrays (GVariantDict *dict, json_t *config, const Widths *w, guint *n_out,
    GError **error)
{
  json_t *layers = json_object_get (config, "layers");
  json_t *head = json_object_get (config, "head");
  GVariantBuilder arrays = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("aa{sv}"));

  for (guint i = 0; i < w->n_arrays; i++) {
    g_auto (GVariantDict) array = G_VARIANT_DICT_INIT (NULL);

    if (!put_array (&array, json_array_get (layers, i), w, i, error)) {
      g_prefix_error (error, "layers: array %u: ", i);
      g_variant_builder_clear (&arrays);
      return FALSE;
    }
    g_variant_dict_lookup (&array, "head_channels", "u", n_out);
    if (i + 1 < w->n_arrays || !head || json_is_null (head)) {
      g_variant_builder_add_value (&arrays, g_variant_dict_end (&array));
    } else if (!put_post_head (&arrays, &array, head, *n_out, error)
               || !need_uint (head, "out_channels", MOST, n_out, error)) {
      g_variant_builder_clear (&arrays);
      return FALSE;
    }
  }
  g_variant_dict_insert (dict, "arrays", "aa{sv}", &arrays);
  return TRUE;
}

/* The model that makes the condition: of the same rate and inputs. */
static gboolean
put_condition (GVariantDict *dict, json_t *model, json_t *condition, Widths *w,
    guint depth, SeqNet *net, GError **error)
{
  GVariant *config;
  double rate, expected;

  if (depth == SEQ_NET_DEPTH)
    return refuse (error, "nested more than %u deep; expected no more", depth);
  condition = seq_nam_choose (condition, -1, error);
  if (!condition
      || !seq_json_double (condition, "sample_rate", -1, &rate, error)
      || !seq_json_double (model, "sample_rate", -1, &expected, error))
    return FALSE;
  if (rate != expected)
    return refuse (error, "its sample_rate is %g; expected %g, the model's",
        rate, expected);
  config = read_config (condition, -1, depth + 1, net, error);
  if (!config)
    return FALSE;
  g_variant_dict_insert_value (dict, "condition", config);
  if (net->n_in != w->n_in)
    return refuse (error, "it has %u inputs; expected %u, the model's",
        net->n_in, w->n_in);
  w->n_condition = net->n_out;
  return TRUE;
}

static gboolean
read_wavenet (GVariantDict *dict, json_t *model, double size, guint depth,
    SeqNet *net, GError **error)
{
  json_t *config = json_object_get (model, "config");
  json_t *condition = json_object_get (config, "condition_dsp");
  g_autoptr (SeqArray) weights = read_weights (model, error);
  Widths w = { 0 };
  SeqNetPart *part;

  if (!weights
      || !seq_json_uint (config, "in_channels", MOST, 1, &w.n_in, error)
      || !read_widths (json_object_get (config, "layers"), size, &w, error))
    return FALSE;
  w.n_condition = w.n_in;
  if (condition && !json_is_null (condition)
      && !put_condition (dict, model, condition, &w, depth, net, error)) {
    g_prefix_error (error, "condition_dsp: ");
    return FALSE;
  }
  part = add_part (net, depth, weights->values, weights->n_values - 1);
  part->scale = weights->values[weights->n_values - 1];
  part->scaled = w.n_arrays - 1;
  net->n_in = w.n_in;
  return put_arrays (dict, config, &w, &net->n_out, error);
}

/* A plain array for the dictionary's list. */
static void
add_plain (GVariantBuilder *arrays, guint channels, guint n_taps,
    GVariant *dilations, GVariant *activation, guint groups)
{
  g_auto (GVariantDict) dict = G_VARIANT_DICT_INIT (NULL);

  g_variant_dict_insert (&dict, "plain", "u", 1);
  g_variant_dict_insert_value (&dict, "channels",
      g_variant_new_fixed_array (
          G_VARIANT_TYPE_UINT32, &channels, 1, sizeof channels));
  g_variant_dict_insert_value (&dict, "kernel_sizes",
      g_variant_new_fixed_array (
          G_VARIANT_TYPE_UINT32, &n_taps, 1, sizeof n_taps));
  g_variant_dict_insert_value (&dict, "dilations", dilations);
  g_variant_dict_insert (&dict, "groups", "u", groups);
  if (activation)
    g_variant_dict_insert_value (&dict, "activations", activation);
  g_variant_builder_add_value (arrays, g_variant_dict_end (&dict));
}

static GVariant *
one (guint32 value)
{
  return g_variant_new_fixed_array (
      G_VARIANT_TYPE_UINT32, &value, 1, sizeof value);
}

/* Weights of ConvNet's blocks, with the normalisation in the convolutions:
 * (y - mean) weight / sqrt (var + eps) + bias. */
static gboolean
fold_blocks (const SeqArray *weights, guint n_blocks, guint n_in,
    guint channels, guint groups, SeqNetPart *part, GError **error)
{
  const double *at = weights->values, *end = at + weights->n_values;
  gsize rows = channels;

  for (guint k = 0; k < n_blocks; k++) {
    gsize n = rows * ((k ? channels : n_in) / groups) * 2;
    const double *mean = at + n, *variance = mean + rows;
    const double *scale = variance + rows, *bias = scale + rows;

    if ((gsize) (end - at) < n + 4 * rows + 1)
      return refuse (error,
          "weights has %zu values; expected more for block "
          "%u of %u",
          weights->n_values, k, n_blocks);
    for (gsize row = 0; row < rows; row++) {
      double s = scale[row] / sqrt (variance[row] + bias[rows]);

      for (gsize i = row * n / rows; i < (row + 1) * n / rows; i++) {
        double value = at[i] * s;

        g_array_append_val (part->values, value);
      }
    }
    for (gsize row = 0; row < rows; row++) {
      double s = scale[row] / sqrt (variance[row] + bias[rows]);
      double value = bias[row] - s * mean[row];

      g_array_append_val (part->values, value);
    }
    at = bias + rows + 1;
  }
  g_array_append_vals (part->values, at, (guint) (end - at));
  return TRUE;
}

static gboolean
read_convnet (
    GVariantDict *dict, json_t *model, guint depth, SeqNet *net, GError **error)
{
  json_t *config = json_object_get (model, "config");
  json_t *dilations = json_object_get (config, "dilations");
  gsize n_blocks = json_array_size (dilations);
  g_auto (GVariantDict) lists = G_VARIANT_DICT_INIT (NULL);
  g_autoptr (SeqArray) weights = read_weights (model, error);
  g_autoptr (GVariant) reaches = NULL;
  g_autoptr (GVariant) bends = NULL;
  GVariantBuilder arrays;
  guint channels, groups, batchnorm, n_in, n_out;
  SeqNetPart *part;

  if (!weights || !need_uint (config, "channels", MOST, &channels, error)
      || !seq_json_uint (config, "groups", MOST, 1, &groups, error)
      || !get_flag (config, "batchnorm", FALSE, error, &batchnorm)
      || !seq_json_uint (config, "in_channels", MOST, 1, &n_in, error)
      || !seq_json_uint (config, "out_channels", MOST, 1, &n_out, error)
      || !put_uints (
          &lists, "dilations", dilations, n_blocks, "dilations", error)
      || !put_activations (&lists, "activations",
          json_object_get (config, "activation"), n_blocks, NULL, error))
    return FALSE;
  if (groups < 1 || n_in % groups || channels % groups || n_out < 1)
    return refuse (error,
        "groups is %u; expected a divisor of %u inputs and %u channels", groups,
        n_in, channels);
  part =
      add_part (net, depth, weights->values, batchnorm ? 0 : weights->n_values);
  if (batchnorm
      && !fold_blocks (
          weights, (guint) n_blocks, n_in, channels, groups, part, error))
    return FALSE;
  reaches = g_variant_dict_lookup_value (&lists, "dilations", NULL);
  bends = g_variant_dict_lookup_value (&lists, "activations", NULL);
  g_variant_builder_init (&arrays, G_VARIANT_TYPE ("aa{sv}"));
  add_plain (&arrays, channels, 2, reaches, bends, groups);
  add_plain (&arrays, n_out, 1, one (1), NULL, 1);
  g_variant_dict_insert (dict, "arrays", "aa{sv}", &arrays);
  net->n_in = n_in;
  net->n_out = n_out;
  return TRUE;
}

/* An impulse response, the same for each channel. */
static gboolean
read_linear (
    GVariantDict *dict, json_t *model, guint depth, SeqNet *net, GError **error)
{
  json_t *config = json_object_get (model, "config");
  g_autoptr (SeqArray) weights = read_weights (model, error);
  GVariantBuilder arrays;
  guint n, bias, n_in, n_out;
  SeqNetPart *part;

  if (!weights || !need_uint (config, "receptive_field", 1 << 20, &n, error)
      || !get_flag (config, "bias", FALSE, error, &bias)
      || !seq_json_uint (config, "in_channels", MOST, 1, &n_in, error)
      || !seq_json_uint (config, "out_channels", MOST, n_in, &n_out, error))
    return FALSE;
  if (n_in != n_out || n_in < 1)
    return refuse (error,
        "it has %u inputs and %u outputs; expected as many of both", n_in,
        n_out);
  if (weights->n_values != (gsize) n + bias)
    return refuse (error, "weights has %zu values; expected %u",
        weights->n_values, n + bias);
  part = add_part (net, depth, NULL, 0);
  for (guint channel = 0; channel < n_in; channel++)
    for (guint k = n; k-- > 0;)
      g_array_append_val (part->values, weights->values[k]);
  for (guint channel = 0; channel < n_in; channel++) {
    double value = bias ? weights->values[n] : 0;

    g_array_append_val (part->values, value);
  }
  g_variant_builder_init (&arrays, G_VARIANT_TYPE ("aa{sv}"));
  add_plain (&arrays, n_in, n, one (1), NULL, n_in);
  g_variant_dict_insert (dict, "arrays", "aa{sv}", &arrays);
  net->n_in = n_in;
  net->n_out = n_out;
  return TRUE;
}

/* Options for the net of a model. Floating. */
static GVariant *
read_config (
    json_t *model, double size, guint depth, SeqNet *net, GError **error)
{
  const char *architecture =
      json_string_value (json_object_get (model, "architecture"));
  g_auto (GVariantDict) dict = G_VARIANT_DICT_INIT (NULL);
  gboolean good = FALSE;

  if (!json_is_object (json_object_get (model, "config"))) {
    refuse (error, "config is not an object; expected one");
    return NULL;
  }
  if (g_strcmp0 (architecture, "WaveNet") == 0)
    good = read_wavenet (&dict, model, size, depth, net, error);
  else if (g_strcmp0 (architecture, "ConvNet") == 0)
    good = read_convnet (&dict, model, depth, net, error);
  else if (g_strcmp0 (architecture, "Linear") == 0)
    good = read_linear (&dict, model, depth, net, error);
  else
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
        "architecture is '%s'; expected WaveNet, ConvNet or Linear",
        architecture ? architecture : "missing");
  return good ? g_variant_dict_end (&dict) : NULL;
}

gboolean
seq_nam_read_net (json_t *model, double size, SeqNet *net, GError **error)
{
  GVariant *config = read_config (model, -1, 0, net, error);

  if (!config)
    return FALSE;
  net->config = g_variant_ref_sink (config);
  if (size < 0)
    return TRUE;
  config = read_config (model, size, 0, net, error);
  if (!config)
    return FALSE;
  net->whole = g_steal_pointer (&net->config);
  net->config = g_variant_ref_sink (config);
  return TRUE;
}

/* --- containers ----------------------------------------------------------- */

#define MAX_NESTED 4 /* containers in containers */

gboolean
seq_nam_has_sizes (json_t *model)
{
  json_t *config = json_object_get (model, "config");
  json_t *layers = json_object_get (config, "layers"), *array;
  gsize i;

  json_array_foreach (layers, i, array)
  {
    if (json_is_object (json_object_get (array, "slimmable")))
      return TRUE;
  }
  return json_object_get (config, "submodels") != NULL;
}

/* Entry i of a container, which must come after max_value *most and be of the
 * rate of the first. */
static json_t *
read_submodel (
    json_t *list, gsize i, double *most, double *rate, GError **error)
{
  json_t *entry = json_array_get (list, i);
  json_t *model = json_object_get (entry, "model");
  double before = *most, first = *rate;

  if (!json_is_object (model)) {
    refuse (error,
        "submodels: model of entry %zu is missing; expected an object", i);
    return NULL;
  }
  if (!seq_json_double (entry, "max_value", NAN, most, error)
      || !seq_json_double (model, "sample_rate", -1, rate, error))
    return NULL;
  if (!(*most > before)) {
    refuse (error,
        "submodels: max_value of entry %zu is %g; expected more than that of "
        "the entry before",
        i, *most);
    return NULL;
  }
  if (i > 0 && *rate != first) {
    refuse (error,
        "submodels: sample_rate of entry %zu is %g; expected %g, as the first",
        i, *rate, first);
    return NULL;
  }
  return model;
}

static json_t *
choose_submodel (json_t *list, double size, GError **error)
{
  json_t *model = NULL, *chosen = NULL;
  double most = -INFINITY, rate = -1;

  for (gsize i = 0; i < json_array_size (list); i++) {
    model = read_submodel (list, i, &most, &rate, error);
    if (!model)
      return NULL;
    if (!chosen && size >= 0 && size < most)
      chosen = model;
  }
  if (!model) {
    refuse (error, "submodels: there are none; expected at least 1");
    return NULL;
  }
  if (most < 1) {
    refuse (error, "submodels: the last max_value is %g; expected 1", most);
    return NULL;
  }
  return chosen ? chosen : model;
}

json_t *
seq_nam_choose (json_t *model, double size, GError **error)
{
  for (guint depth = 0; depth <= MAX_NESTED; depth++) {
    if (g_strcmp0 (json_string_value (json_object_get (model, "architecture")),
            "SlimmableContainer")
        != 0)
      return model;
    model = choose_submodel (
        json_object_get (json_object_get (model, "config"), "submodels"), size,
        error);
    if (!model)
      return NULL;
  }
  refuse (error, "submodels: nested more than %u deep; expected no more",
      MAX_NESTED);
  return NULL;
}
