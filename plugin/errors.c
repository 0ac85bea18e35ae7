/* errors.c: errors of the core as messages on the bus.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "plugin/errors.h"

#include "src/error.h"

void
gst_seq_post_error (
    GstElement *element, GstMessageType type, const GError *error, char *debug)
{
  static const struct {
    gint code; /* of SEQ_ERROR */
    GQuark (*domain) (void);
    gint gst_code;
  } table[] = {
    { SEQ_ERROR_CONFIG, gst_library_error_quark, GST_LIBRARY_ERROR_SETTINGS },
    { SEQ_ERROR_FORMAT, gst_stream_error_quark, GST_STREAM_ERROR_WRONG_TYPE },
    { SEQ_ERROR_DAMAGED, gst_stream_error_quark, GST_STREAM_ERROR_DECODE },
    { SEQ_ERROR_UNSUPPORTED, gst_stream_error_quark,
        GST_STREAM_ERROR_NOT_IMPLEMENTED },
    { SEQ_ERROR_SHAPE, gst_stream_error_quark, GST_STREAM_ERROR_FORMAT },
    { SEQ_ERROR_HINT, gst_library_error_quark, GST_LIBRARY_ERROR_SETTINGS },
    { SEQ_ERROR_MEMORY, gst_resource_error_quark,
        GST_RESOURCE_ERROR_NO_SPACE_LEFT },
  };
  GQuark domain = GST_STREAM_ERROR;
  gint code = GST_STREAM_ERROR_DECODE;

  if (error->domain == G_FILE_ERROR) {
    domain = GST_RESOURCE_ERROR;
    code = error->code == G_FILE_ERROR_NOENT ? GST_RESOURCE_ERROR_NOT_FOUND
                                             : GST_RESOURCE_ERROR_OPEN_READ;
  }
  for (guint i = 0; i < G_N_ELEMENTS (table); i++)
    if (g_error_matches (error, SEQ_ERROR, table[i].code)) {
      domain = table[i].domain ();
      code = table[i].gst_code;
    }
  gst_element_message_full (element, type, domain, code,
      g_strdup (error->message), debug, __FILE__, G_STRFUNC, __LINE__);
}
