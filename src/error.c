/* error.c: the quark of this domain.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "src/error.h"

GQuark
seq_error_quark (void)
{
  return g_quark_from_static_string ("seq-error-quark");
}
