#!/usr/bin/python3
"""Feeds numbers to seqfilter one at a time and prints its forecasts.

A sensor at 10 Hz: a slow swing around 1000. Each value goes in by appsrc; the
forecast of the next one comes out of appsink. Exits with 1 if the forecasts
at the end are no better than "the next is as this one".
"""
import math
import struct
import sys

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst

Gst.init(None)
pipeline = Gst.parse_launch(
    "appsrc name=values format=time "
    "caps=audio/x-raw,format=F64LE,rate=10,channels=1,layout=interleaved "
    "! seqfilter model=ar order=4 emit=prediction ! appsink name=forecasts sync=false"
)
values = pipeline.get_by_name("values")
forecasts = pipeline.get_by_name("forecasts")
pipeline.set_state(Gst.State.PLAYING)

forecast, missed, moved, last = None, 0.0, 0.0, None
for t in range(1000):
    x = 1000 + 2 * math.sin(2 * math.pi * t / 50)
    if t >= 500:
        missed += (x - forecast) ** 2
        moved += (x - last) ** 2
    buffer = Gst.Buffer.new_wrapped(struct.pack("<d", x))
    buffer.pts = t * Gst.SECOND // 10
    buffer.duration = Gst.SECOND // 10
    values.emit("push-buffer", buffer)
    sample = forecasts.emit("pull-sample")
    data = sample.get_buffer()
    (forecast,) = struct.unpack("<d", data.extract_dup(0, data.get_size()))
    last = x
    if t % 100 == 99:
        print(f"t = {t / 10:5.1f} s  value {x:9.4f}  next will be {forecast:9.4f}")

values.emit("end-of-stream")
pipeline.set_state(Gst.State.NULL)
print(f"error {math.sqrt(missed / 500):.2e}, of 'as before' {math.sqrt(moved / 500):.2e}")
sys.exit(missed >= moved)
