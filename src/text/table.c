/* table.c: what the columns of a text are.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Tables share their columns, so that one more column costs pointers only.
 */
#include "src/text/format.h"

#include <string.h>

typedef struct {
  SeqTextTable table;
  gint n_refs;
} Shared;

static void
clear_column (gpointer data)
{
  SeqTextColumn *column = data;

  g_free (column->name);
  g_free (column->unit);
  g_strfreev (column->tags);
}

static void
unref_column (gpointer data)
{
  g_atomic_rc_box_release_full (data, clear_column);
}

SeqTextTable *
seq_text_table_new (void)
{
  Shared *shared = g_new0 (Shared, 1);

  shared->n_refs = 1;
  shared->table.columns = g_ptr_array_new_with_free_func (unref_column);
  return &shared->table;
}

SeqTextTable *
seq_text_table_ref (SeqTextTable *table)
{
  g_atomic_int_inc (&((Shared *) table)->n_refs);
  return table;
}

void
seq_text_table_unref (SeqTextTable *table)
{
  if (!g_atomic_int_dec_and_test (&((Shared *) table)->n_refs))
    return;
  g_ptr_array_unref (table->columns);
  g_free (table->time_name);
  g_free (table);
}

gboolean
seq_text_table_is_shared (const SeqTextTable *table)
{
  return g_atomic_int_get (&((const Shared *) table)->n_refs) > 1;
}

SeqTextTable *
seq_text_table_copy (const SeqTextTable *table)
{
  SeqTextTable *copy = seq_text_table_new ();
  GPtrArray *columns = copy->columns;

  *copy = *table;
  copy->columns = columns;
  copy->time_name = g_strdup (table->time_name);
  for (guint i = 0; i < table->columns->len; i++)
    g_ptr_array_add (
        columns, g_atomic_rc_box_acquire (table->columns->pdata[i]));
  return copy;
}

void
seq_text_table_add (SeqTextTable *table, const char *name, const char *unit,
    const char *const *tags, SeqTextType type)
{
  SeqTextColumn *column = g_atomic_rc_box_new0 (SeqTextColumn);

  column->name = g_strdup (name);
  column->unit = g_strdup (unit);
  column->tags = g_strdupv ((char **) tags);
  column->type = type;
  g_ptr_array_add (table->columns, column);
}

const SeqTextColumn *
seq_text_table_column (const SeqTextTable *table, guint i)
{
  return table->columns->pdata[i];
}

char *
seq_text_suffix (const char *group)
{
  static const struct {
    const char *group, *suffix;
  } others[] = { { "input", "" }, { "prediction", ".forecast" } };

  for (guint i = 0; i < G_N_ELEMENTS (others); i++)
    if (g_str_equal (group, others[i].group))
      return g_strdup (others[i].suffix);
  return g_strconcat (".", group, NULL);
}

char *
seq_text_utf8 (const char *text, gsize size)
{
  GString *latin;

  if (g_utf8_validate_len (text, size, NULL))
    return g_strndup (text, size);
  latin = g_string_new (NULL);
  for (gsize i = 0; i < size; i++)
    g_string_append_unichar (latin, (guint8) text[i]);
  return g_string_free (latin, FALSE);
}
