#!/usr/bin/python3
"""Changes the model of a running pipeline, and back, without a gap or a click.

usage: swap.py SINK
"""
import os
import sys

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst

here = os.path.dirname(os.path.abspath(__file__))
models = [os.path.join(here, name) for name in ("soft.json", "hard.json")]

Gst.init(None)
pipeline = Gst.parse_launch(
    "audiotestsrc is-live=true freq=110 ! audioconvert ! audioresample "
    "! seqfilter name=amp ! audioconvert ! audioresample "
    f"! {sys.argv[1]} sync=true")
amp = pipeline.get_by_name("amp")
amp.set_property("model-file", models[0])
pipeline.set_state(Gst.State.PLAYING)

loop = GLib.MainLoop()
swaps = 0


def swap():
    global swaps
    swaps += 1
    if swaps > 4:
        loop.quit()
        return False
    amp.set_property("model-file", models[swaps % 2])
    return True


GLib.timeout_add(400, swap)
loop.run()
stats = amp.get_property("stats")
pipeline.set_state(Gst.State.NULL)
print(f"{stats.get_uint64('swaps')[1]} swaps, "
      f"{stats.get_uint64('load-failures')[1]} failures, "
      f"{stats.get_string('layers')} in {os.path.basename(stats.get_string('model-file'))}")
sys.exit(stats.get_uint64("swaps")[1] != 4)
