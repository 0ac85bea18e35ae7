#!/bin/sh
# check.sh: sets up and passes the tests.
# SPDX-License-Identifier: LGPL-2.1-or-later
. "$(dirname "$0")/setup.sh"

build_packages
packages clang-format libasan8 libubsan1 valgrind python3-gi python3-gst-1.0 \
  gir1.2-gst-plugins-base-1.0 locales

step "format: clang-format agrees with every C file"
quietly clang-format --dry-run --Werror $(git ls-files '*.c' '*.h')

step "build in build-check/, warnings are errors"
build build-check -Dwerror=true
step "test"
meson test -C build-check --no-rebuild --print-errorlogs --suite main \
  || exit 1

step "build in build-sanitize/, with AddressSanitizer and UBSan"
build build-sanitize -Dwerror=true -Db_sanitize=address,undefined \
  -Db_lundef=false -Dbuildtype=debugoptimized
step "test under the sanitizers"
export LSAN_OPTIONS="suppressions=$PWD/tests/lsan.supp:print_suppressions=0"
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
meson test -C build-sanitize --no-rebuild --print-errorlogs --suite main \
  --no-suite slow || exit 1
step "all passed"
