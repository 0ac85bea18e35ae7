/* kind.c: looking up kinds.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/kind.h"
#include "src/layer.h"

const SeqKind *
seq_kind_find (const char *name)
{
  const SeqLayerClass *klass = seq_layer_class (name);

  return klass ? &klass->kind : NULL;
}

static gpointer
list_choices (gpointer unused)
{
  GPtrArray *choices = g_ptr_array_new ();
  const char *const *names = seq_layer_kinds ();

  for (guint i = 0; names[i]; i++) {
    const SeqKind *kind = seq_kind_find (names[i]);

    if (kind->title)
      g_ptr_array_add (choices, (gpointer) kind);
  }
  g_ptr_array_add (choices, NULL);
  return g_ptr_array_free (choices, FALSE);
}

const SeqKind *const *
seq_kind_choices (void)
{
  static GOnce once = G_ONCE_INIT;

  return g_once (&once, list_choices, NULL);
}

const SeqKind *
seq_kind_choose (const char *word)
{
  for (const SeqKind *const *kind = seq_kind_choices (); *kind; kind++)
    if (g_str_equal ((*kind)->name, word)
        || ((*kind)->aliases && g_strv_contains ((*kind)->aliases, word)))
      return *kind;
  return NULL;
}

gboolean
seq_kind_has_option (const SeqKind *kind, const char *option)
{
  return g_strv_contains (kind->options, option);
}

char *
seq_kinds_with_option (const char *option)
{
  GString *names = g_string_new (NULL);

  for (const SeqKind *const *kind = seq_kind_choices (); *kind; kind++)
    if (seq_kind_has_option (*kind, option))
      g_string_append_printf (
          names, "%s%s", names->len ? ", " : "", (*kind)->name);
  return g_string_free (names, FALSE);
}
