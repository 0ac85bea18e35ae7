/* hints.c: what a model file cannot say, and the user can: see hints.h.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/io/hints.h"
#include "src/layer.h"
#include "src/model-facts.h"

#include <math.h>

static const char *const nonlinearities[] = { "tanh", "relu", NULL };

static const char *const starts[] = { "zeros", "silence", NULL };

const SeqHint seq_hints[] = {
  { "nonlinearity", 's', .words = nonlinearities,
      .sentence = "of an RNN in a state_dict: tanh or relu" },
  { "head", 's',
      .sentence = "which of several matrices is the head, by its module path; "
                  "of an ONNX graph, the name of the output to run" },
  { "head_activation", 's',
      .sentence = "between the layers of a head of several: tanh, relu, "
                  "sigmoid, softmax or elu" },
  { "modules", 's',
      .sentence = "of a state_dict: the modules that run, in their order and "
                  "with the activations between them, as in "
                  "conv:2,relu,lstm,leaky_relu,fc (:2 is a dilation; a "
                  "convolution looks back alone); others are left out" },
  { "size", 'd', 0, 1,
      .sentence = "of a NAM file that holds one model in several sizes: 0 for "
                  "the smallest, 1 for the best, which is the default" },
  { "output_activation", 's', .general = TRUE,
      .sentence = "after the last layer: tanh, relu, sigmoid, softmax or elu" },
  { "residual", 'u', 0, SEQ_MAX_WIDTH, .general = TRUE,
      .sentence = "1: the first input is added to every output; n: the first n "
                  "inputs to the first n outputs; 0: none" },
  { "knobs", 'u', 0, SEQ_MAX_WIDTH, .general = TRUE,
      .sentence = "how many inputs, the last ones, are knobs from 0 to 1" },
  { "window", 'u', 0, SEQ_MAX_READ_WINDOW, .general = TRUE,
      .sentence = "frames: each output is that of a run from the start over "
                  "the last so many, as a sequence to one is trained, at that "
                  "many times the cost; 0: the state goes on" },
  { "start", 's', .words = starts, .general = TRUE,
      .sentence = "of an effect: silence to begin where a long silence leads "
                  "to, which is the default of GuitarML, AIDA-X, RTNeural and "
                  "what seqmodel train makes; zeros to begin as PyTorch does, "
                  "or with the state in the file" },
  { "rate", 'd', 1, SEQ_MAX_RATE, .general = TRUE,
      .sentence = "the sample rate that the model was made for, in Hz" },
  { NULL },
};

const SeqHint *
seq_hint_find (const char *name, GError **error)
{
  g_autoptr (GString) names = g_string_new (NULL);

  for (const SeqHint *h = seq_hints; h->name; h++) {
    if (g_str_equal (h->name, name))
      return h;
    g_string_append_printf (names, "%s%s", names->len ? ", " : "", h->name);
  }
  g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
      "option %s is unknown; expected one of %s", name, names->str);
  return NULL;
}

/* Says what is wrong with a value; `given` is its text. */
static void
refuse (const SeqHint *hint, const char *given, GError **error)
{
  g_autofree char *words =
      hint->words ? g_strjoinv (" or ", (char **) hint->words) : NULL;
  g_autofree char *range =
      hint->type == 's'
          ? NULL
          : g_strdup_printf ("%s number from %g to %.10g",
              hint->type == 'u' ? "a whole" : "a", hint->min, hint->max);

  g_set_error (error, SEQ_ERROR, SEQ_ERROR_CONFIG,
      "option %s is %s; expected %s", hint->name, given,
      range   ? range
      : words ? words
              : "text");
}

/* Returns x as the hint's type, or NULL if it is out of range. */
static GVariant *
number (const SeqHint *hint, double x)
{
  if (!(x >= hint->min && x <= hint->max)
      || (hint->type == 'u' && x != floor (x)))
    return NULL;
  return hint->type == 'u' ? g_variant_new_uint32 ((guint32) x)
                           : g_variant_new_double (x);
}

/* Returns NULL if the hint does not take that word. */
static GVariant *
word (const SeqHint *hint, const char *text)
{
  return !hint->words || g_strv_contains (hint->words, text)
             ? g_variant_new_string (text)
             : NULL;
}

GVariant *
seq_hint_parse (const SeqHint *hint, const char *text, GError **error)
{
  GVariant *value = NULL;
  char *end;

  if (hint->type == 's') {
    value = word (hint, text);
  } else {
    double x = g_ascii_strtod (text, &end);

    if (end != text && !*end)
      value = number (hint, x);
  }
  if (!value)
    refuse (hint, text, error);
  return value;
}

static GVariant *
check (const SeqHint *hint, GVariant *given, GError **error)
{
  GVariant *value = NULL;

  if (hint->type == 's' && g_variant_is_of_type (given, G_VARIANT_TYPE_STRING))
    value = word (hint, g_variant_get_string (given, NULL));
  else if (hint->type != 's'
           && g_variant_is_of_type (given, G_VARIANT_TYPE ("u")))
    value = number (hint, g_variant_get_uint32 (given));
  else if (hint->type != 's'
           && g_variant_is_of_type (given, G_VARIANT_TYPE ("i")))
    value = number (hint, g_variant_get_int32 (given));
  else if (hint->type != 's'
           && g_variant_is_of_type (given, G_VARIANT_TYPE ("d")))
    value = number (hint, g_variant_get_double (given));
  if (!value) {
    g_autofree char *text = g_variant_print (given, FALSE);

    refuse (hint, text, error);
  }
  return value;
}

GVariant *
seq_hints_check (GVariant *hints, GError **error)
{
  g_autoptr (GVariant) given =
      g_variant_ref_sink (hints ? hints : g_variant_new ("a{sv}", NULL));
  GVariantDict dict;
  GVariantIter iter;
  const char *name;
  GVariant *value;

  g_variant_dict_init (&dict, NULL);
  g_variant_iter_init (&iter, given);
  while (g_variant_iter_next (&iter, "{&sv}", &name, &value)) {
    const SeqHint *hint = seq_hint_find (name, error);
    GVariant *checked = hint ? check (hint, value, error) : NULL;

    g_variant_unref (value);
    if (!checked) {
      g_variant_dict_clear (&dict);
      return NULL;
    }
    g_variant_dict_insert_value (&dict, name, checked);
  }
  return g_variant_ref_sink (g_variant_dict_end (&dict));
}

char *
seq_hints_help (void)
{
  GString *text = g_string_new (NULL);

  for (const SeqHint *h = seq_hints; h->name; h++)
    g_string_append_printf (
        text, "%s%s (%s)", text->len ? ", " : "", h->name, h->sentence);
  return g_string_free (text, FALSE);
}
