#!/bin/sh
# launch.sh: what people type at gst-launch-1.0 and gst-inspect-1.0 works.
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# usage: launch.sh GST-LAUNCH GST-INSPECT; GST_PLUGIN_PATH_1_0 finds the plugin.
set -eu
launch=$1
inspect=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

run ()
{
  "$launch" "$@" >"$folder/log" 2>&1 || { cat "$folder/log"; exit 1; }
  ! grep -E 'CRITICAL|WARNING' "$folder/log"
}

echo "gst-inspect-1.0 --exists says yes, without a version"
"$inspect" --exists seqfilter

echo "gst-inspect-1.0 reads like a manual"
"$inspect" seqfilter >"$folder/manual"
for word in 'Sensor watch' 'save-model' 'channel-mode' 'changeable in NULL' \
  'non-interleaved' 'controllable' 'Nearest neighbours'; do
  grep -q -- "$word" "$folder/manual" || { echo "no '$word'"; exit 1; }
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

echo "behind a tee, both branches have what is theirs"
run audiotestsrc num-buffers=20 ! audio/x-raw,format=F32LE \
  ! tee name=t ! queue ! seqfilter model=ar emit=prediction \
  ! filesink location="$folder/a" t. ! queue ! filesink location="$folder/b"
run audiotestsrc num-buffers=20 ! audio/x-raw,format=F32LE \
  ! filesink location="$folder/c"
cmp "$folder/b" "$folder/c"
! cmp -s "$folder/a" "$folder/b"

echo "a state goes on on a machine with another instruction set"
for model in naive ar markov rnn lstm gru; do
  rm -f "$folder/state"
  SEQ_ISA=c run audiotestsrc num-buffers=20 \
    ! seqfilter model=$model state-file="$folder/state" ! fakesink
  run audiotestsrc num-buffers=20 \
    ! seqfilter model=$model state-file="$folder/state" ! fakesink
done
