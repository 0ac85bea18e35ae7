#!/bin/sh
# models.sh: prints the models that seqfilter makes, one a line.
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# They are the values of its property `model`, each by its first name.
gst-inspect-1.0 seqfilter | awk '
  /^  [a-z]/ { here = $1 == "model" }
  here && /^ *\([0-9]+\): / && !seen[$1]++ { print $2 }
  END { exit !length (seen) }'
