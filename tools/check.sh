#!/bin/sh
# check.sh: sets up and passes the tests.
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# usage: check.sh [JOB...]
#
# The tests as users run them, and then again where other faults show: on an
# emulated old processor, on aarch64, without optimisation, and under the
# sanitizers of addresses, undefined behaviour and threads: some 20 minutes on
# two cores. What takes longer is left to `check.sh long`: other compilers,
# another Debian, fuzzers. JOB is one of
short="format test processors aarch64 debug sanitize threads"
long="compilers debian fuzz"
. "$(dirname "$0")/setup.sh"

n_passed=0
n_failed=0
times=

# The last line is the result, however the run ends. A step that fails before
# it has counted anything counts as one failure.
finish () {
  if [ $? != 0 ] && [ "$n_failed" = 0 ]; then
    n_failed=1
  fi
  rm -f "$log"
  [ -z "$times" ] || echo "minutes and seconds:$times"
  echo "$n_passed passed, $n_failed failed"
}
trap finish EXIT

# tests BUILD [meson test option...]: runs tests, and exits when one fails.
tests () {
  dir=$1
  shift
  status=0
  rm -f "$dir"/meson-logs/check*.txt
  meson test -C "$dir" --no-rebuild --print-errorlogs --logbase check "$@" \
    || status=$?
  count "$dir"
  [ $status = 0 ] || exit 1
}

# count BUILD: adds the tests that just ran to the totals, and lists what was
# skipped because it cannot run here.
count () {
  dir=$1
  logged 's/^ok .*# SKIP \(NOT RUN.*\)/  \1/p' | sort | uniq -c
  n_passed=$((n_passed + $(logged 's/^Ok: *//p')))
  n_failed=$((n_failed + $(logged 's/^Fail: *//p') \
    + $(logged 's/^Timeout: *//p')))
}

# Lines from the log of the tests just run; meson extends its name.
logged () {
  sed -n "$1" "$dir"/meson-logs/check*.txt
}

# compare FILE FILE: the bits of two builds, one test.
compare () {
  if diff -u "$1" "$2"; then
    n_passed=$((n_passed + 1))
  else
    n_failed=$((n_failed + 1))
    exit 1
  fi
}

job_format () {
  step "format: clang-format agrees with every C file"
  packages clang-format
  quietly clang-format --dry-run --Werror \
    $(find bench models plugin src tests tools -name '*.[ch]')
}

# What the other jobs compare with, too.
build_check () {
  step "build in build-check/, warnings are errors"
  build build-check -Dwerror=true
}

job_test () {
  build_check
  step "test"
  tests build-check --suite main
}

job_processors () {
  [ "$(dpkg --print-architecture)" = amd64 ] || return 0
  packages qemu-user
  build_check
  step "test on an emulated processor without AVX, and on one without AVX-512"
  tests build-check --wrapper 'qemu-x86_64 -cpu Nehalem' -t 10 \
    --test-args='-x /stream/damaged' layers-avx512 stream-avx512 io-avx512
  RUN_BY='qemu-x86_64 -cpu Nehalem' tests build-check -t 10 'gst messages'
  tests build-check --wrapper 'qemu-x86_64 -cpu Haswell' -t 10 layers-avx512
}

job_aarch64 () {
  [ "$(dpkg --print-architecture)" = amd64 ] || return 0
  step "build in build-aarch64/, the core for aarch64"
  (packages qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross \
      libglib2.0-dev:arm64 libjansson-dev:arm64 libprotobuf-c-dev:arm64) || {
    step "SKIPPED: aarch64, for the reason above"
    return 0
  }
  build build-aarch64 --cross-file tools/aarch64.ini -Dwerror=true \
    -Dgstreamer=disabled -Ddouble=false
  build_check
  step "test on an emulated aarch64, and carry snapshots there and back"
  tests build-aarch64 -t 10 --test-args='-x /stream/damaged' \
    layers-c stream-c io-c
  quietly sh tests/snapshots.sh build-check/tests/snapshots \
    'qemu-aarch64 build-aarch64/tests/snapshots'
}

job_debug () {
  step "build in build-debug/, without optimisation"
  build build-debug -Dwerror=true -Dbuildtype=debug -Dgstreamer=disabled \
    -Ddouble=false
  step "test without optimisation"
  tests build-debug --suite main --no-suite slow
}

# GCC gives false warnings under the sanitizers, so they are not errors here.
# UBSan leaves to AddressSanitizer what both would find: that halves the time to
# compile.
job_sanitize () (
  step "build in build-sanitize/, with AddressSanitizer and UBSan"
  build build-sanitize -Db_sanitize=address,undefined -Db_lundef=false \
    -Doptimization=1 -Ddouble=false \
    "-Dc_args=-fno-var-tracking -fno-sanitize=null,object-size,pointer-overflow"
  step "test under the sanitizers"
  export LSAN_OPTIONS="suppressions=$PWD/tests/lsan.supp:print_suppressions=0"
  export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
  tests build-sanitize --suite main --no-suite slow
)

job_threads () {
  step "build in build-threads/, with ThreadSanitizer"
  configure build-threads -Db_sanitize=thread -Db_lundef=false \
    -Doptimization=1 -Ddouble=false
  quietly ninja -C build-threads plugin/libgstseqfilter.so \
    tests/gst/gst-state tests/gst/gst-modelfile tests/gst/gst-storm
  step "test the element's threads"
  export TSAN_OPTIONS=ignore_noninstrumented_modules=1
  tests build-threads -t 10 'gst state' 'gst modelfile' 'gst storm'
}

# bits NAME COMPILER [meson option...]: builds the core in build-bits-NAME/ and
# compares its bits with those of build-check/.
bits () {
  name=build-bits-$1
  export CC="$2"
  shift 2
  step "the bits of $name/: $CC $*"
  configure "$name" -Dgstreamer=disabled -Ddouble=false "$@"
  unset CC
  quietly ninja -C "$name" tests/bits
  sh tests/bits.sh "$name/tests/bits" >"$name/bits.txt"
  compare build-check/bits.txt "$name/bits.txt"
}

# Each compiler, optimisation and Debian gives the same bits on each instruction
# set of this machine.
job_compilers () {
  build_check
  packages clang
  sh tests/bits.sh build-check/tests/bits >build-check/bits.txt
  bits O1 gcc -Doptimization=1
  bits O2 'sh -c "exec gcc \"$@\" -O2" gcc'
  bits lto gcc -Db_lto=true
  bits clang clang
  bits clang-O1 clang -Doptimization=1
}

# debian SUITE: runs the tests there, and compares the bits.
debian () {
  build_check
  sh tests/bits.sh build-check/tests/bits >build-check/bits.txt
  status=0
  sh tools/debian.sh "$1" sh -c 'sh tools/check.sh test \
    && sh tests/bits.sh build-check/tests/bits >build-check/bits.txt' \
    || status=$?
  case $status in
    0) ;;
    77) return 0 ;;
    *) exit 1 ;;
  esac
  count "build-$1/src/seqfilter/build-check"
  compare build-check/bits.txt "build-$1/src/seqfilter/build-check/bits.txt"
}

# GStreamer 1.26, GCC 14
job_debian () {
  debian trixie
}

job_fuzz () {
  step "fuzz, a minute each"
  quietly sh tools/fuzz.sh 1
}

[ "$*" != long ] || set -- $long
[ $# != 0 ] || set -- $short
for job in "$@"; do
  case " $short $long " in
    *" $job "*) ;;
    *) echo "no job $job; expected long or some of $short $long" >&2; exit 2 ;;
  esac
done

build_packages
packages libasan8 libubsan1 libtsan2 locales valgrind python3-gi \
  python3-gst-1.0 gir1.2-gst-plugins-base-1.0 python3-h5py
for job in "$@"; do
  before=$(date +%s)
  job_$job
  seconds=$(($(date +%s) - before))
  times="$times $job $(printf %d:%02d $((seconds / 60)) $((seconds % 60)))"
done
