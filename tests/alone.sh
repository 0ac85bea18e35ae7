#!/bin/sh
# alone.sh: runs a test so that its result depends on nothing else that the
# machine has, nor on who else runs it at the same time.
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# usage: BUILD/tests/alone COMMAND...
#
# GStreamer finds the plugin of the build folder and those named here, and no
# others. Registry, presets, temporary files and home are in a folder that is
# made for the run and removed after it. RUN_BY is a command to run it by:
#
#   RUN_BY='gdb --args' build/tests/alone build/tests/gst/gst-events
#   RUN_BY='qemu-x86_64 -cpu Nehalem' meson test -C build 'gst messages'
set -u
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' HUP INT TERM

mkdir "$folder/plugins" "$folder/tmp"
for name in app audioconvert audioparsers audioresample audiotestsrc \
    coreelements coretracers equalizer flac interleave playback \
    typefindfunctions volume wavenc wavparse; do
  plugin=@pluginsdir@/libgst$name.so
  [ -e "$plugin" ] || { echo "$plugin is missing" >&2; exit 1; }
  ln -s "$plugin" "$folder/plugins"
done
ln -s @plugin@ "$folder/plugins"

export GST_PLUGIN_PATH_1_0="$folder/plugins" GST_PLUGIN_SYSTEM_PATH_1_0=
export SEQ_SOURCE=@source@ GST_PRESET_PATH=@source@/plugin/presets
export GST_REGISTRY_1_0="$folder/registry"
export GST_REGISTRY_FORK=no # a sanitized plugin loads in a sanitized process
export HOME="$folder" XDG_DATA_HOME="$folder"
export TMPDIR="$folder/tmp" TEMP="$folder/tmp" # TEMP: for gst-check
export PATH=@tools@:"$PATH"
export SEQ_SHARED="${SEQ_SHARED-@shared@}"
export GSETTINGS_BACKEND=memory CK_DEFAULT_TIMEOUT=60
export G_DEBUG=fatal-criticals G_SLICE=always-malloc
# one leak of GLib's start is known by its whole stack only
export ASAN_OPTIONS=fast_unwind_on_malloc=0

${RUN_BY-} "$@"
