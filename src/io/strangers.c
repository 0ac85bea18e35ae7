/* strangers.c: files that people try, and that are no models: see strangers.h.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/io/strangers.h"

#include <string.h>

static gboolean
holds (const SeqFile *file, const char *text)
{
  return memmem (file->data, file->size, text, strlen (text)) != NULL;
}

static gboolean
is_empty (const SeqFile *file)
{
  return file->size == 0;
}

/* Whether the first character after white space and a byte order mark is `c`.
 */
static gboolean
begins_with (const SeqFile *file, char c)
{
  gsize i = 0;

  while (i < file->size && file->data[i]
         && strchr (" \t\r\n\xef\xbb\xbf", file->data[i]))
    i++;
  return i < file->size && file->data[i] == c;
}

static gboolean
is_web_page (const SeqFile *file)
{
  return begins_with (file, '<');
}

static gboolean
is_list (const SeqFile *file)
{
  return begins_with (file, '[');
}

static gboolean
is_utf16 (const SeqFile *file)
{
  return file->size >= 2
         && (memcmp (file->data, "\xff\xfe", 2) == 0
             || memcmp (file->data, "\xfe\xff", 2) == 0
             || memcmp (file->data, "{\0", 2) == 0
             || memcmp (file->data, "\0{", 2) == 0);
}

static gboolean
is_zip (const SeqFile *file)
{
  return file->size >= 4 && memcmp (file->data, "PK\3\4", 4) == 0;
}

static gboolean
is_keras_zip (const SeqFile *file)
{
  return is_zip (file) && holds (file, "model.weights.h5");
}

static gboolean
is_torch_zip (const SeqFile *file)
{
  return is_zip (file) && holds (file, "data.pkl");
}

static gboolean
is_pickle (const SeqFile *file)
{
  return file->size >= 2 && file->data[0] == 0x80 && file->data[1] >= 2
         && file->data[1] <= 5;
}

static gboolean
is_keras_json (const SeqFile *file)
{
  return file->json && json_object_get (file->json, "class_name")
         && json_object_get (file->json, "config");
}

static gboolean
is_snapshot (const SeqFile *file)
{
  return file->tensors
         && g_hash_table_contains (
             file->tensors->metadata, "seqfilter.snapshot");
}

static gboolean
is_checkpoint (const SeqFile *file)
{
  return file->tensors
         && g_strcmp0 (g_hash_table_lookup (file->tensors->metadata, "format"),
                "seqmodel-checkpoint")
                == 0;
}

#define TORCH                                                                  \
  "write its weights as safetensors: python3 -c \"import sys, torch; from "    \
  "safetensors.torch import save_file; m = torch.load (sys.argv[1], 'cpu'); "  \
  "m = m.state_dict () if hasattr (m, 'state_dict') else m.get "               \
  "('state_dict', m); save_file (m, sys.argv[2])\" FILE model.safetensors"
#define KERAS                                                                  \
  "convert it: python3 docs/examples/keras-to-rtneural.py FILE model.json"

/* The first match counts, so special cases come before general ones. */
static const struct {
  const char *what;   /* "FILE: this is a web page; expected a model file" */
  const char *advice; /* what to do; FILE is replaced by its name */
  gboolean (*sniff) (const SeqFile *file); /* or */
  const char *magic;                       /* at the beginning, or */
  gsize at;                                /* there */
  gboolean parsed; /* for JSON and safetensors files; the other rows look at raw
                    * bytes, and apply to no such file */
} strangers[] = {
  { "an empty file", "download or write it again", is_empty },
  { "a Git LFS pointer", "fetch what it points to: git lfs pull",
      .magic = "version https://git-lfs.github.com/spec/" },
  { "a web page or XML", "download the file itself, not the page that shows it",
      is_web_page },
  { "UTF-16 text", "make it UTF-8: iconv -f UTF-16 -t UTF-8 FILE > model.json",
      is_utf16 },
  { "a JSON list", "a model is an object, { ... }", is_list },
  { "the architecture of a Keras model, without weights",
      "save the whole model and " KERAS, is_keras_json, .parsed = TRUE },
  { "a saved state of seqfilter",
      "set it as state-file; the action save-model makes a model of it",
      is_snapshot, .parsed = TRUE },
  { "a training checkpoint of seqmodel",
      "the model is the file beside it, without .checkpoint; seqmodel train "
      "--resume goes on from here",
      is_checkpoint, .parsed = TRUE },
  { "a Keras file (.keras)", KERAS, is_keras_zip },
  { "a PyTorch file (.pt, .pth, .ckpt)", TORCH, is_torch_zip },
  { "a zip archive", "unpack it: unzip FILE", is_zip },
  { "an HDF5 file (.h5), as Keras 2 wrote it", KERAS, .magic = "\x89HDF" },
  { "a Python pickle, as older PyTorch wrote (.pt)", TORCH, is_pickle },
  { "compressed by gzip", "unpack it: gunzip FILE", .magic = "\x1f\x8b" },
  { "compressed by bzip2", "unpack it: bunzip2 FILE", .magic = "BZh" },
  { "compressed by xz", "unpack it: unxz FILE",
      .magic = "\xfd"
               "7zXZ" },
  { "compressed by zstd", "unpack it: unzstd FILE",
      .magic = "\x28\xb5\x2f\xfd" },
  { "a 7z archive", "unpack it: 7z x FILE", .magic = "7z\xbc\xaf" },
  { "a tar archive", "unpack it: tar xf FILE", .magic = "ustar", .at = 257 },
  { "a TensorFlow Lite file",
      "export the network it was made from, for example as ONNX",
      .magic = "TFL3", .at = 4 },
  { "a NumPy file", "write the weights as safetensors with their names",
      .magic = "\x93NUMPY" },
  { "a GGUF file", "export the network as safetensors or ONNX",
      .magic = "GGUF" },
  { "a sound or video file", "a model is what runs on it", .magic = "RIFF" },
};

static gboolean
fits (guint i, const SeqFile *file)
{
  gsize n = strangers[i].magic ? strlen (strangers[i].magic) : 0;

  if (strangers[i].parsed != (file->json || file->tensors))
    return FALSE;
  if (strangers[i].sniff)
    return strangers[i].sniff (file);
  return file->size >= strangers[i].at + n
         && memcmp (file->data + strangers[i].at, strangers[i].magic, n) == 0;
}

gboolean
seq_stranger_refuse (const SeqFile *file, const char *name, GError **error)
{
  for (guint i = 0; i < G_N_ELEMENTS (strangers); i++)
    if (fits (i, file)) {
      g_autoptr (GString) advice = g_string_new (strangers[i].advice);
      g_autofree char *quoted = g_shell_quote (name);

      g_string_replace (advice, "FILE", quoted, 0);
      g_set_error (error, SEQ_ERROR, SEQ_ERROR_FORMAT,
          "%s: this is %s; expected a model file: %s", name, strangers[i].what,
          advice->str);
      return TRUE;
    }
  return FALSE;
}
