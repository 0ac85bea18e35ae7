/* pedalnet.c: GuitarML's PedalNet and SmartAmp (WaveNetVA): a WaveNet in JSON.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A list of variables, each with the number of its layer (-1: the first, one
 * past the last: the mix), a name and its values, numbers or text, in
 * TensorFlow's order: [tap][input][output]. The mix is a sum over what the
 * activations of all layers put out, layer after layer.
 */
#include "src/io/nam.h"

#include <math.h>
#include <string.h>

#define RATE 44100 /* Hz, by convention */
#define MAX_LAYERS 256
#define MOST 1024 /* channels */

typedef struct {
  guint channels, n_in, n_out, n_taps, n_layers, gating;
  guint32 dilations[MAX_LAYERS];
  const char *activation, *secondary; /* of the kind */
  double level;
} Facts;

static gboolean
read_activation (json_t *root, Facts *f, GError **error)
{
  static const struct {
    const char *theirs, *ours, *secondary;
    guint gating;
  } known[] = { { "gated", "tanh", "sigmoid", 1 },
    { "softgated", "softsign", "softsign", 1 }, { "tanh", "tanh", "", 0 },
    { "sigmoid", "sigmoid", "", 0 }, { "relu", "relu", "", 0 },
    { "softsign", "softsign", "", 0 }, { "linear", "linear", "", 0 } };
  const char *name = json_string_value (json_object_get (root, "activation"));

  for (guint i = 0; name && i < G_N_ELEMENTS (known); i++)
    if (g_str_equal (known[i].theirs, name)) {
      f->activation = known[i].ours;
      f->secondary = known[i].secondary;
      f->gating = known[i].gating;
      return TRUE;
    }
  g_set_error (error, SEQ_ERROR, SEQ_ERROR_UNSUPPORTED,
      "activation is '%s'; expected gated, softgated, tanh, sigmoid, relu, "
      "softsign or linear",
      name ? name : "missing");
  return FALSE;
}

static gboolean
read_facts (json_t *root, Facts *f, GError **error)
{
  json_t *dilations = json_object_get (root, "dilations");

  if (!seq_json_uint (root, "residual_channels", MOST, 0, &f->channels, error)
      || !seq_json_uint (root, "input_channels", MOST, 1, &f->n_in, error)
      || !seq_json_uint (root, "output_channels", MOST, 1, &f->n_out, error)
      || !seq_json_uint (root, "filter_width", 4096, 0, &f->n_taps, error)
      || !seq_json_double (root, "level_adjust", 0, &f->level, error)
      || !read_activation (root, f, error))
    return FALSE;
  if (f->level == 0) /* not given */
    f->level = 1;
  f->n_layers = (guint) json_array_size (dilations);
  if (f->n_layers < 1 || f->n_layers > MAX_LAYERS || f->channels < 1
      || f->n_in < 1 || f->n_out < 1 || f->n_taps < 1) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "it has %u layers of %u channels and %u taps, %u inputs and %u "
        "outputs; expected 1 to %u layers, and at least 1 of all others",
        f->n_layers, f->channels, f->n_taps, f->n_in, f->n_out, MAX_LAYERS);
    return FALSE;
  }
  for (guint i = 0; i < f->n_layers; i++) {
    double d = json_number_value (json_array_get (dilations, i));

    if (!(d >= 1 && d <= 1 << 20) || d != floor (d)) {
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
          "dilations: entry %u is not a whole number from 1 to %u", i, 1 << 20);
      return FALSE;
    }
    f->dilations[i] = (guint32) d;
  }
  return TRUE;
}

static gboolean
get_value (json_t *value, double *x)
{
  const char *text = json_string_value (value);
  char *end;

  *x = json_number_value (value);
  if (!text)
    return json_is_number (value);
  *x = g_ascii_strtod (text, &end);
  return end != text && !*end && isfinite (*x);
}

/* Appends the variable of a layer, [taps][inputs][outputs] in the file, as
 * [outputs][inputs][taps]. */
static gboolean
add_values (json_t *variables, gint layer, const char *name, gsize n_taps,
    gsize n_in, gsize n_out, GArray *values, GError **error)
{
  json_t *entry = NULL, *data;
  gsize i, n;

  json_array_foreach (variables, i, entry)
  {
    const char *given = json_string_value (json_object_get (entry, "name"));
    json_t *index = json_object_get (entry, "layer_idx");

    if (json_is_integer (index) && json_integer_value (index) == layer
        && g_strcmp0 (given, name) == 0)
      break;
  }
  data =
      json_object_get (i < json_array_size (variables) ? entry : NULL, "data");
  n = json_array_size (data);
  if (n != n_taps * n_in * n_out) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "variables: %s of layer %d has %zu values; expected %zu", name, layer,
        n, n_taps * n_in * n_out);
    return FALSE;
  }
  for (gsize out = 0; out < n_out; out++)
    for (gsize in = 0; in < n_in; in++)
      for (gsize tap = 0; tap < n_taps; tap++) {
        gsize at = (tap * n_in + in) * n_out + out;
        double x;

        if (!get_value (json_array_get (data, at), &x)) {
          g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
              "variables: value %zu of %s of layer %d is not a number", at,
              name, layer);
          return FALSE;
        }
        g_array_append_val (values, x);
      }
  return TRUE;
}

/* The part of the mix that a layer has: head1x1, without a bias of its own. */
static void
add_mix (GArray *values, const Facts *f, const GArray *mix, guint layer)
{
  double none = 0;

  for (guint out = 0; out < f->n_out; out++)
    for (guint c = 0; c < f->channels; c++) {
      gsize at = ((gsize) out * f->n_layers + layer) * f->channels + c;

      g_array_append_val (values, g_array_index (mix, double, at));
    }
  for (guint out = 0; out < f->n_out; out++)
    g_array_append_val (values, none);
}

/* All values in the order of the kind's tensors. */
static gboolean
read_values (json_t *variables, const Facts *f, GArray *values, GError **error)
{
  g_autoptr (GArray) mix = g_array_new (FALSE, FALSE, sizeof (double));
  guint c = f->channels, n_z = f->gating ? 2 * c : c;

  /* so that looking for each is quick, too */
  if (json_array_size (variables) > 8 * (f->n_layers + 2)) {
    g_set_error (error, SEQ_ERROR, SEQ_ERROR_DAMAGED,
        "variables has %zu entries; expected %u for %u layers",
        json_array_size (variables), 4 * (f->n_layers + 1), f->n_layers);
    return FALSE;
  }
  if (!add_values (variables, (gint) f->n_layers, "W", 1,
          (gsize) f->n_layers * c, f->n_out, mix, error)
      || !add_values (variables, -1, "W", 1, f->n_in, c, values, error)
      || !add_values (variables, -1, "b", 1, 1, c, values, error))
    return FALSE;
  for (guint i = 0; i < f->n_layers; i++) {
    gint l = (gint) i;

    if (!add_values (variables, l, "W_conv", f->n_taps, c, n_z, values, error)
        || !add_values (variables, l, "b_conv", 1, 1, n_z, values, error)
        || !add_values (variables, l, "W_out", 1, c, c, values, error)
        || !add_values (variables, l, "b_out", 1, 1, c, values, error))
      return FALSE;
    add_mix (values, f, mix, i);
  }
  for (guint out = 0; out < f->n_out; out++) /* the head hands the sum on */
    for (guint in = 0; in < f->n_out; in++) {
      double x = in == out;

      g_array_append_val (values, x);
    }
  return add_values (
      variables, (gint) f->n_layers, "b", 1, 1, f->n_out, values, error);
}

static GVariant *
config_of (const Facts *f)
{
  GVariant *array = g_variant_new_parsed (
      "{'channels': <[%u]>, 'kernel_sizes': <[%u]>, 'dilations': <%@au>,"
      " 'gating': <[%u]>, 'activations': <[(%s, @ad [])]>,"
      " 'secondary': <[(%s, @ad [])]>, 'mixin': <uint32 0>,"
      " 'rechannel_bias': <uint32 1>, 'head1x1': <%u>, 'head_channels': <%u>}",
      f->channels, f->n_taps,
      g_variant_new_fixed_array (
          G_VARIANT_TYPE_UINT32, f->dilations, f->n_layers, sizeof (guint32)),
      f->gating, f->activation, f->gating ? f->secondary : "linear", f->n_out,
      f->n_out);

  return g_variant_new_parsed ("{'arrays': <[%@a{sv}]>}", array);
}

static gboolean
sniff (const SeqFile *file)
{
  return json_object_get (file->json, "residual_channels") != NULL;
}

static SeqModel *
read_model (const SeqFile *file, GError **error)
{
  g_autoptr (SeqBuilder) builder = NULL;
  g_auto (SeqNet) net = { .n_parts = 1 };
  SeqNetPart *part = &net.parts[0];
  Facts facts;

  part->values = g_array_new (FALSE, FALSE, sizeof (double));
  if (!read_facts (file->json, &facts, error)
      || !read_values (json_object_get (file->json, "variables"), &facts,
          part->values, error))
    return NULL;
  part->scale = facts.level;
  net.n_in = facts.n_in;
  net.n_out = facts.n_out;
  net.config = g_variant_ref_sink (config_of (&facts));
  builder = seq_reader_builder (net.n_in, part->values->len);
  if (!seq_net_add (&net, builder, error))
    return NULL;
  seq_builder_set_rate (builder, RATE);
  return seq_reader_finish (builder, file, error);
}

const SeqFileFormat seq_format_pedalnet = {
  .name = "PedalNet",
  .mark = "residual_channels",
  .sniff = sniff,
  .read = read_model,
};
