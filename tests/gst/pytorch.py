#!/usr/bin/python3
"""What `save-model` writes loads in PyTorch, bit for bit, and gives the same.

An LSTM and a GRU learn from a file that a stream passes by; PyTorch loads what
was saved by its names alone, and forecasts what the element does. Exits with 77
(skip) where python3-torch or python3-gi is missing.
"""
import ast
import json
import os
import re
import struct
import sys
import tempfile

TOLERANCE = 2e-6  # float32 on both sides

try:
    import numpy as np
    import torch
    import gi
    gi.require_version("Gst", "1.0")
    from gi.repository import Gst
except (ImportError, ValueError) as error:
    print(f"SKIPPED: {error}")
    sys.exit(77)


def read_safetensors(path):
    with open(path, "rb") as file:
        size, = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
        data = file.read()
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        assert entry["dtype"] == "F32", (name, entry)
        begin, end = entry["data_offsets"]
        tensors[name] = torch.from_numpy(np.frombuffer(
            data[begin:end], "<f4").reshape(entry["shape"]).copy())
    return tensors, metadata


def run(launch, source, after=lambda element: None):
    """Frames through a seqfilter; what comes out, and what `after` gives."""
    out = source + ".out"
    pipeline = Gst.parse_launch(
        f"filesrc location={source} ! audio/x-raw,format=F32LE,rate=8000,"
        f"channels=1,layout=interleaved ! seqfilter name=f {launch} "
        f"! filesink location={out}")
    pipeline.set_state(Gst.State.PLAYING)
    message = pipeline.get_bus().timed_pop_filtered(
        Gst.SECOND * 30, Gst.MessageType.EOS | Gst.MessageType.ERROR)
    assert message.type == Gst.MessageType.EOS, message.parse_error()
    after(pipeline.get_by_name("f"))
    pipeline.set_state(Gst.State.NULL)
    return np.fromfile(out, "<f4")


class Net(torch.nn.Module):
    def __init__(self, kind, hidden_size, residual):
        super().__init__()
        cell = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[kind]
        setattr(self, kind, cell(1, hidden_size, 2))
        self.dense = torch.nn.Linear(hidden_size, 1)
        self.kind, self.residual = kind, residual

    def forward(self, x):
        hidden, _ = getattr(self, self.kind)(x)
        return self.dense(hidden) + (x if self.residual else 0)


def check(kind, folder):
    hidden_size = 12
    x = np.sin(0.05 * np.arange(4000)) + 0.3 * np.sin(0.31 * np.arange(4000))
    source = os.path.join(folder, "x.f32")
    learnt = os.path.join(folder, kind + ".safetensors")
    x.astype("<f4").tofile(source)

    def save(element):
        assert element.emit("save-model", learnt)

    run(f"model={kind} hidden-size={hidden_size} layers=2 learn=gradient",
        source, save)
    tensors, metadata = read_safetensors(learnt)
    net = Net(kind, hidden_size, True)
    net.load_state_dict(tensors)  # strict: just these names and shapes
    for name, value in net.state_dict().items():
        assert value.numpy().tobytes() == tensors[name].numpy().tobytes(), name

    # the scales that the stream had arrived at: last in our own metadata
    scales = re.search(r", (\[[^][]*\])\)$", metadata["seqfilter.model"])[1]
    in_scale, in_shift, out_scale, out_shift = ast.literal_eval(scales)
    u = torch.from_numpy(((x.astype("f4") - in_shift) * in_scale)
                         .astype("f4")).reshape(-1, 1)
    with torch.no_grad():
        y = net(u).numpy().reshape(-1) * out_scale + out_shift
    got = run(f"model-file={learnt}", source)
    worst = np.abs(got - y).max()
    print(f"{kind}: largest difference from PyTorch {worst:.1e}, "
          f"at most {TOLERANCE:.0e}")
    assert worst <= TOLERANCE


Gst.init(None)
with tempfile.TemporaryDirectory() as folder:
    for kind in ("lstm", "gru"):
        check(kind, folder)
