#!/bin/sh
# demo.sh: sets up, builds, and runs the main job: recorded speech through
# seqfilter with each of its models, which learn as it goes by.
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Leaves in demo/: speech.wav; a WAV for each model (float; channels: input,
# prediction, residual); residual.wav (the LSTM's, to listen to) and
# prediction.png.
. "$(dirname "$0")/setup.sh"

build_packages
step "build in build/"
build build
export GST_PLUGIN_PATH="$PWD/build/plugin"
export GST_REGISTRY="$PWD/build/registry.bin"
mkdir -p demo
models=$(sh tools/models.sh)

step "speech: the voice recordings of alsa-utils, joined to demo/speech.wav"
sources=
for f in Front_Center Front_Left Front_Right Rear_Center Rear_Left Rear_Right \
    Side_Left Side_Right; do
  f=/usr/share/sounds/alsa/$f.wav
  [ -r "$f" ] || { echo "failed: $f is missing" >&2; exit 1; }
  sources="$sources filesrc location=$f ! wavparse ! speech."
done
quietly gst-launch-1.0 -q concat name=speech ! wavenc \
  ! filesink location=demo/speech.wav $sources

for model in $models; do
  step "gst-launch-1.0 filesrc location=demo/speech.wav ! wavparse" \
    "! seqfilter model=$model ! ..."
  GST_TRACERS='latency(flags=element)' GST_DEBUG=GST_TRACER:7 \
    GST_DEBUG_NO_COLOR=1 GST_DEBUG_FILE=demo/$model.trace \
    quietly gst-launch-1.0 -q filesrc location=demo/speech.wav ! wavparse \
    ! audioconvert ! audio/x-raw,format=F32LE ! queue \
    ! seqfilter name=filter model=$model emit=input+prediction+residual \
    ! wavenc ! filesink location=demo/$model.wav
done
quietly gst-launch-1.0 -q filesrc location=demo/lstm.wav ! wavparse \
  ! deinterleave name=d d.src_2 ! audioconvert ! wavenc \
  ! filesink location=demo/residual.wav

step "table and picture"
build/tools/demo-report demo $models
sed -n 's/^model name[^:]*: /times: one core of /p' /proc/cpuinfo | head -n 1
rm -f demo/*.trace
step "left in demo/: prediction.png, residual.wav, and a WAV for each model"
