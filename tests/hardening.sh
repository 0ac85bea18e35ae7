#!/bin/sh
# hardening.sh: what was built has what makes an overflow hard to use.
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# usage: hardening.sh fortified|plain FILE...
set -u
fortified=$1
shift
status=0

# missing WHAT: counts as a failure.
missing () {
  echo "$file: missing: $*"
  status=1
}

# has TEXT WHAT: what readelf says has a line with TEXT, or WHAT is missing.
has () {
  echo "$headers" | grep -Eq "$1" || missing "$2"
}

for file in "$@"; do
  headers=$(readelf --wide --program-headers --dynamic --dyn-syms "$file") \
    || exit 1
  has '^ +GNU_RELRO ' "a part that is read-only once relocated (-z relro)"
  has '\(FLAGS_1\).* NOW' "binding before it starts (-z now)"
  has '^ +GNU_STACK .* RW +0x' "a stack that is not executable"
  has ' UND __stack_chk_fail' "-fstack-protector-strong"
  has 'Elf file type is DYN' "position-independent code"
  [ "$fortified" = plain ] || has ' UND __[a-z]+_chk[@ ]' "_FORTIFY_SOURCE"
  if echo "$headers" | grep -q '(TEXTREL)'; then
    missing "code that no relocation writes to"
  fi
  case $file in
    *.so)
      exported=$(echo "$headers" | awk '$1 ~ /^[0-9]+:$/ && $7 != "UND" \
        { print $8 }' | sort | tr '\n' ' ')
      expected="gst_plugin_seqfilter_get_desc gst_plugin_seqfilter_register "
      [ "$exported" = "$expected" ] \
        || missing "hidden symbols; it exports $exported"
      ;;
  esac
done
exit $status
