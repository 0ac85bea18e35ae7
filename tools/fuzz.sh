#!/bin/sh
# fuzz.sh: builds the fuzzers and runs each for some minutes.
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# usage: fuzz.sh MINUTES [TARGET...]
#
# Targets: see tests/fuzz/meson.build. What they learn stays in
# build-fuzz/corpus/TARGET/ and the next run goes on from there; more inputs may
# be put there. What breaks is left as build-fuzz/TARGET-crash-..., -oom-... or
# -timeout-... and belongs in the folder of tests/fuzz/ that the target has, with
# the fix. Prints how many inputs were tried, and how much code they reached.
. "$(dirname "$0")/setup.sh"

minutes=$1
shift
[ $# != 0 ] || set -- model state text

build_packages
packages clang
step "build in build-fuzz/, with Clang, libFuzzer and sanitizers"
CC=clang configure build-fuzz -Dfuzz=true -Dgstreamer=disabled -Ddouble=false \
  -Doptimization=1 -Db_sanitize=address,undefined -Db_lundef=false
quietly ninja -C build-fuzz tests/fuzz/make_corpus \
  $(printf 'tests/fuzz/fuzz_%s ' "$@")
mkdir -p build-fuzz/corpus/text
quietly env ASAN_OPTIONS=detect_leaks=0 build-fuzz/tests/fuzz/make_corpus \
  build-fuzz/corpus tests/fuzz/corpus

for target in "$@"; do
  seeds=tests/fuzz/corpus-$target
  [ -d "$seeds" ] || seeds=tests/fuzz/corpus
  step "$target for $minutes minutes"
  status=0
  SEQ_ISA=c build-fuzz/tests/fuzz/fuzz_$target -max_total_time=$((minutes * 60)) \
    -max_len=16384 -rss_limit_mb=2048 -timeout=20 -print_final_stats=1 \
    -dict=build-fuzz/corpus/dictionary -artifact_prefix="build-fuzz/$target-" \
    build-fuzz/corpus/$target "$seeds" >"$log" 2>&1 || status=$?
  grep -E '^stat::number_of_executed|^#.* DONE ' "$log" || true
  [ $status = 0 ] || {
    tail -n 60 "$log" >&2
    echo "failed: $target" >&2
    exit 1
  }
done
