#!/bin/sh
# check.sh: sets up and passes the tests.
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The tests as users run them, and then again where other faults show: on an
# emulated old processor, on aarch64, without optimisation, and under the
# sanitizers of addresses, undefined behaviour and threads.
. "$(dirname "$0")/setup.sh"

n_passed=0
n_failed=0

# The last line is the result, however the run ends. A step that fails before
# it has counted anything counts as one failure.
finish () {
  if [ $? != 0 ] && [ "$n_failed" = 0 ]; then
    n_failed=1
  fi
  rm -f "$log"
  echo "$n_passed passed, $n_failed failed"
}
trap finish EXIT

# tests BUILD [meson test option...]: runs tests, adds them to the totals, lists
# what was skipped because it cannot run here, and exits when one fails.
tests () {
  dir=$1
  shift
  status=0
  rm -f "$dir"/meson-logs/check*.txt
  meson test -C "$dir" --no-rebuild --print-errorlogs --logbase check "$@" \
    || status=$?
  logged 's/^ok .*# SKIP \(NOT RUN.*\)/  \1/p' | sort | uniq -c
  n_passed=$((n_passed + $(logged 's/^Ok: *//p')))
  n_failed=$((n_failed + $(logged 's/^Fail: *//p') \
    + $(logged 's/^Timeout: *//p')))
  [ $status = 0 ] || exit 1
}

# Lines from the log of the tests just run; meson extends its name.
logged () {
  sed -n "$1" "$dir"/meson-logs/check*.txt
}

build_packages
packages clang-format libasan8 libubsan1 libtsan2 locales valgrind python3-gi \
  python3-gst-1.0 gir1.2-gst-plugins-base-1.0 python3-h5py

step "format: clang-format agrees with every C file"
quietly clang-format --dry-run --Werror \
  $(find bench models plugin src tests tools -name '*.[ch]')

step "build in build-check/, warnings are errors"
build build-check -Dwerror=true
step "test"
tests build-check --suite main

if [ "$(dpkg --print-architecture)" = amd64 ]; then
  packages qemu-user
  step "test on an emulated processor without AVX, and on one without AVX-512"
  tests build-check --wrapper 'qemu-x86_64 -cpu Nehalem' -t 10 \
    --test-args='-x /stream/damaged' layers-avx512 stream-avx512 io-avx512
  RUN_BY='qemu-x86_64 -cpu Nehalem' tests build-check -t 10 'gst messages'
  tests build-check --wrapper 'qemu-x86_64 -cpu Haswell' -t 10 layers-avx512

  step "build in build-aarch64/, the core for aarch64"
  if (packages gcc-aarch64-linux-gnu libc6-dev-arm64-cross \
      libglib2.0-dev:arm64 libjansson-dev:arm64 libprotobuf-c-dev:arm64); then
    build build-aarch64 --cross-file tools/aarch64.ini -Dwerror=true \
      -Dgstreamer=disabled -Ddouble=false
    step "test on an emulated aarch64, and carry snapshots there and back"
    tests build-aarch64 -t 10 --test-args='-x /stream/damaged' \
      layers-c stream-c io-c
    quietly sh tests/snapshots.sh build-check/tests/snapshots \
      'qemu-aarch64 build-aarch64/tests/snapshots'
  else
    step "SKIPPED: aarch64, for the reason above"
  fi
fi

step "build in build-debug/, without optimisation"
build build-debug -Dwerror=true -Dbuildtype=debug -Dgstreamer=disabled \
  -Ddouble=false
step "test without optimisation"
tests build-debug --suite main --no-suite slow

# GCC gives false warnings under the sanitizers, so they are not errors here.
# UBSan leaves to AddressSanitizer what both would find: that halves the time to
# compile.
step "build in build-sanitize/, with AddressSanitizer and UBSan"
build build-sanitize -Db_sanitize=address,undefined -Db_lundef=false \
  -Doptimization=1 -Ddouble=false \
  "-Dc_args=-fno-var-tracking -fno-sanitize=null,object-size,pointer-overflow"
step "test under the sanitizers"
export LSAN_OPTIONS="suppressions=$PWD/tests/lsan.supp:print_suppressions=0"
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
tests build-sanitize --suite main --no-suite slow

step "build in build-threads/, with ThreadSanitizer"
configure build-threads -Db_sanitize=thread -Db_lundef=false -Doptimization=1 \
  -Ddouble=false
quietly ninja -C build-threads plugin/libgstseqfilter.so \
  tests/gst/gst-state tests/gst/gst-modelfile
step "test the element's threads"
export TSAN_OPTIONS=ignore_noninstrumented_modules=1
tests build-threads -t 10 'gst state' 'gst modelfile'
