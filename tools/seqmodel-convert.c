/* seqmodel-convert.c: a model file into another format.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/io/load.h"
#include "tools/hints.h"
#include "tools/seqmodel.h"

static const struct {
  const char *name, *suffix;
} formats[] = {
  { "safetensors", ".safetensors" },
  { "rtneural", ".json" },
  { "onnx", ".onnx" },
};

static gboolean
is_known (const char *format)
{
  for (guint i = 0; i < G_N_ELEMENTS (formats); i++)
    if (g_str_equal (format, formats[i].name))
      return TRUE;
  return FALSE;
}

int
seqmodel_convert (int argc, char **argv)
{
  g_autofree char *format = NULL;
  g_auto (GStrv) hints = NULL;
  const GOptionEntry entries[] = {
    { "format", 'f', 0, G_OPTION_ARG_STRING, &format,
        "safetensors, rtneural or onnx (default: by OUT's suffix, "
        ".safetensors, .json or .onnx)",
        "FORMAT" },
    { "option", 'o', 0, G_OPTION_ARG_STRING_ARRAY, &hints,
        "what the file cannot say, see seqmodel info --help", "KEY=VALUE" },
    { NULL },
  };
  g_autoptr (GOptionContext) context = g_option_context_new ("IN OUT");
  g_autoptr (GError) error = NULL;
  g_autoptr (SeqModel) model = NULL;
  g_autoptr (GVariant) given = NULL;

  g_option_context_set_summary (
      context, "Reads a model of any format and writes it in another.");
  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, &argc, &argv, &error))
    return seqmodel_usage_error ("convert", "%s", error->message);
  if (argc != 3)
    return seqmodel_usage_error ("convert", "IN and OUT are needed");
  for (guint i = 0; !format && i < G_N_ELEMENTS (formats); i++)
    if (g_str_has_suffix (argv[2], formats[i].suffix))
      format = g_strdup (formats[i].name);
  if (!format)
    return seqmodel_usage_error (
        "convert", "%s ends in none of .safetensors, .json and .onnx", argv[2]);
  if (!is_known (format))
    return seqmodel_usage_error ("convert",
        "--format %s where safetensors, rtneural or onnx can be written",
        format);
  given = hints_parse (hints, &error);
  if (!given)
    return seqmodel_usage_error ("convert", "%s", error->message);
  model = seq_model_load (argv[1], given, &error);
  if (!model || !seq_model_save (model, argv[2], format, &error))
    return seqmodel_refused ("convert", error);
  return SEQMODEL_DONE;
}
