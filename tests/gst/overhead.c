/* overhead.c: pushes buffers of one frame through a row of elements, or frames
 * through as many streams of the core: overhead.py counts the instructions.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * usage: overhead element|core N_ELEMENTS N_BUFFERS
 */
#include "tests/gst/filter.h"

#include <stdlib.h>
#include <string.h>

static const Setting setting = { "model=naive order=1 history=16", "naive" };

static GstPadProbeReturn
drop (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  return GST_PAD_PROBE_DROP;
}

static void
run_elements (guint n_elements, guint n_buffers)
{
  GString *launch = g_string_new (NULL);
  GstHarness *h;

  for (guint i = 0; i < n_elements; i++)
    g_string_append_printf (
        launch, "%sseqfilter %s", i ? " ! " : "", setting.properties);
  h = gst_harness_new_parse (launch->str);
  set_caps (h, &f32_mono);
  gst_pad_add_probe (h->sinkpad, GST_PAD_PROBE_TYPE_BUFFER, drop, NULL, NULL);
  for (guint i = 0; i < n_buffers; i++)
    gst_harness_push (h, buffer_new (&f32_mono, i, 1));
  gst_harness_teardown (h);
  g_string_free (launch, TRUE);
}

/* The same frames through the same row: each stream hears the one before. */
static void
run_core (guint n_elements, guint n_buffers)
{
  g_autofree SeqStream **streams = g_new (SeqStream *, n_elements);
  GstMapInfo map;
  SeqSignal signal = { SEQ_FORMAT_F32, (gpointer *) &map.data, 1 };
  const SeqSignal *outputs[SEQ_N_OUTPUTS] = { [SEQ_OUTPUT_PREDICTION] =
                                                  &signal };

  for (guint k = 0; k < n_elements; k++)
    streams[k] = reference_new (&setting, &f32_mono);
  for (guint i = 0; i < n_buffers; i++) {
    GstBuffer *buffer = buffer_new (&f32_mono, i, 1);

    gst_buffer_map (buffer, &map, GST_MAP_READWRITE);
    for (guint k = 0; k < n_elements; k++)
      seq_stream_process (streams[k], &signal, outputs, 1, 1, 1, 0);
    gst_buffer_unmap (buffer, &map);
    gst_buffer_unref (buffer);
  }
  for (guint k = 0; k < n_elements; k++)
    seq_stream_free (streams[k]);
}

int
main (int argc, char **argv)
{
  gst_init (&argc, &argv);
  if (argc != 4)
    return 2;
  (g_str_equal (argv[1], "core") ? run_core : run_elements) (
      (guint) atoi (argv[2]), (guint) atoi (argv[3]));
  return 0;
}
