#!/bin/sh
# launch.sh: gst-launch-1.0 and gst-inspect-1.0 as people use them.
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# usage: BUILD/tests/alone launch.sh
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

run ()
{
  gst-launch-1.0 "$@" >"$folder/log" 2>&1 || { cat "$folder/log"; exit 1; }
  ! grep -E 'CRITICAL|WARNING' "$folder/log"
}

echo "gst-inspect-1.0 --exists says yes, without a version"
gst-inspect-1.0 --exists seqfilter

echo "gst-inspect-1.0 reads like a manual"
gst-inspect-1.0 seqfilter >"$folder/manual"
for word in 'Sensor watch' 'save-model' 'channel-mode' 'changeable in NULL' \
  'non-interleaved' 'controllable' 'Nearest neighbours'; do
  grep -q -- "$word" "$folder/manual" || { echo "'$word' is missing"; exit 1; }
done

echo "a preset by name"
run -m audiotestsrc num-buffers=100 ! seqfilter @preset='Sensor watch' ! fakesink
grep -q 'seqfilter, .*prediction-gain' "$folder/log"

echo "200 channels of doubles at 1 Hz from a bare file"
head -c 160000 /dev/zero >"$folder/sensors"
run filesrc location="$folder/sensors" ! audio/x-raw,format=F64LE,rate=1,\
channels=200,channel-mask='(bitmask)0',layout=interleaved \
  ! seqfilter model=ar order=2 ! filesink location="$folder/out"
test "$(wc -c <"$folder/out")" = 160000

echo "each line of a pipe that never ends has its answer at once"
mkfifo "$folder/in" "$folder/answers"
gst-launch-1.0 -q fdsrc ! seqndjsondec ! seqfilter model=naive emit=input+score \
  ! seqndjsonenc ! fdsink <"$folder/in" >"$folder/answers" 2>"$folder/log" &
exec 3>"$folder/in" 4<"$folder/answers"
for i in 1 2 3; do
  echo "{\"t\":$i,\"a\":2.5}" >&3
  read -r line <&4
  case "$line" in
    "{\"t\":$i,\"a\":2.5,\"a.score\":"*"}") ;;
    *) echo "the answer to line $i is $line"; cat "$folder/log"; exit 1 ;;
  esac
done
exec 3>&- 4<&-
wait

echo "behind a tee the filter changes its own branch and not the other"
run audiotestsrc num-buffers=20 ! audio/x-raw,format=F32LE \
  ! tee name=t ! queue ! seqfilter model=ar emit=prediction \
  ! filesink location="$folder/a" t. ! queue ! filesink location="$folder/b"
run audiotestsrc num-buffers=20 ! audio/x-raw,format=F32LE \
  ! filesink location="$folder/c"
cmp "$folder/b" "$folder/c"
if cmp -s "$folder/a" "$folder/b"; then
  echo "the filter's branch is the same as the other"
  exit 1
fi

echo "a state is resumed at another instruction set"
models=$(sh "$(dirname "$0")/../../tools/models.sh")
for model in $models; do
  rm -f "$folder/state"
  SEQ_ISA=c run audiotestsrc num-buffers=20 \
    ! seqfilter model=$model state-file="$folder/state" ! fakesink
  run audiotestsrc num-buffers=20 \
    ! seqfilter model=$model state-file="$folder/state" ! fakesink
done
