#!/bin/sh
# leaks.sh: after pipelines have run, no GStreamer object is left alive.
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# usage: leaks.sh GST-LAUNCH; GST_PLUGIN_PATH_1_0 finds the plugin.
state=$(mktemp)
rm "$state"
trap 'rm -f "$state"' EXIT

check ()
{
  echo "$*"
  GST_TRACERS=leaks GST_DEBUG=GST_TRACER:7 GST_DEBUG_NO_COLOR=1 \
    "$launch" -q "$@" >/dev/null 2>"$state.log" ||
    { cat "$state.log"; rm "$state.log"; exit 1; }
  grep -E 'alive, type-name=.string.Gst|Leaks detected' "$state.log" && status=1
  rm "$state.log"
}

launch=$1
status=0
for model in naive ar markov rnn lstm gru; do
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
models=$(dirname "$0")/../../docs/examples
check audiotestsrc num-buffers=5 ! audioresample \
  ! seqfilter model-file="$models/soft.json" params='<0.5>' ! fakesink
check audiotestsrc num-buffers=5 ! audio/x-raw,channels=2 \
  ! seqfilter model-file="$models/forecast.safetensors" horizon=1 learn=on \
  model-options=options,nonlinearity=relu emit=input+prediction ! fakesink
exit $status
