#!/bin/sh
# leaks.sh: no GStreamer object outlives its pipeline.
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# usage: BUILD/tests/alone leaks.sh
set -u
state=$(mktemp)
rm "$state"
trap 'rm -f "$state"' EXIT

check ()
{
  echo "$*"
  GST_TRACERS=leaks GST_DEBUG=GST_TRACER:7 GST_DEBUG_NO_COLOR=1 \
    gst-launch-1.0 -q "$@" >/dev/null 2>"$state.log" ||
    { cat "$state.log"; rm "$state.log"; exit 1; }
  grep -E 'alive, type-name=.string.Gst|Leaks detected' "$state.log" && status=1
  rm "$state.log"
}

status=0
root=$(dirname "$0")/../..
models=$(sh "$root/tools/models.sh") || exit 1
for model in $models; do
  check audiotestsrc num-buffers=5 ! seqfilter model=$model post-messages=true \
    ! fakesink
done
check audiotestsrc num-buffers=5 ! tee ! seqfilter model=ar \
  emit=input+prediction state-file="$state" ! fakesink
check audiotestsrc num-buffers=5 ! audio/x-raw,layout=non-interleaved,channels=2 \
  ! seqfilter model=ar lags='<1,2,5>' emit=input+score ! fakesink
check filesrc location="$0" blocksize=7 \
  ! audio/x-raw,format=S16LE,rate=10,channels=2,layout=interleaved \
  ! seqfilter model=ar emit=input ! fakesink
examples=$root/docs/examples
check audiotestsrc num-buffers=5 ! audioresample \
  ! seqfilter model-file="$examples/soft.json" params='<0.5>' ! fakesink
check audiotestsrc num-buffers=5 ! audio/x-raw,channels=2 \
  ! seqfilter model-file="$examples/forecast.safetensors" horizon=1 learn=on \
  model-options=options,nonlinearity=relu emit=input+prediction ! fakesink
exit $status
