/* plugin.c: the GStreamer plugin and its elements.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "plugin/gstseqfilter.h"
#include "plugin/gstseqtextdec.h"
#include "plugin/gstseqtextenc.h"

static gboolean
plugin_init (GstPlugin *plugin)
{
  gboolean good = GST_ELEMENT_REGISTER (seqfilter, plugin);

  good |= gst_seq_text_dec_register (plugin);
  good |= gst_seq_text_enc_register (plugin);
  return good;
}

GST_PLUGIN_DEFINE (GST_VERSION_MAJOR, GST_VERSION_MINOR, seqfilter,
    "Sequence models that predict a stream and learn from it", plugin_init,
    PACKAGE_VERSION, "LGPL", "seqfilter", PACKAGE_ORIGIN)
