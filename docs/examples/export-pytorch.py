#!/usr/bin/env python3
"""export-pytorch.py FOLDER [SEQMODEL]: a PyTorch network in three formats.

Builds an LSTM and a GRU with a linear head (untrained: put your own in their
place) and writes each to FOLDER as safetensors, ONNX and RTNeural's JSON, with
an input and what PyTorch makes of it. Given SEQMODEL, the command of this
project, it runs every file and compares.

Needs python3-torch; python3-safetensors and python3-onnx are not needed.
"""
import json
import os
import struct
import subprocess
import sys

import torch
from torch import nn


class Net(nn.Module):
    """What this project runs: recurrent layers, then a linear head."""

    def __init__(self, kind, hidden_size, num_layers):
        super().__init__()
        self.rec = getattr(nn, kind)(1, hidden_size, num_layers,
                                     batch_first=True)
        self.lin = nn.Linear(hidden_size, 1)

    def forward(self, x):  # [batch, time, 1]
        return self.lin(self.rec(x)[0])


def write_safetensors(path, tensors):
    """safetensors.torch.save_file (tensors, path), without the package."""
    header, data = {}, b""
    for name, t in tensors.items():
        raw = t.detach().cpu().float().contiguous().numpy().tobytes()
        header[name] = {"dtype": "F32", "shape": list(t.shape),
                        "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


def write_onnx(path, net):
    """PyTorch 2.9 and later write model.onnx and model.onnx.data: keep both."""
    torch.onnx.export(net, torch.zeros(1, 16, 1), path,
                      input_names=["input"], output_names=["output"],
                      opset_version=14, dynamic_axes={"input": {1: "time"}})


def keras_gates(rows, kind):
    """PyTorch's gates in Keras' order: a GRU's r, z, n as z, r, n."""
    if kind == "LSTM":
        return rows
    r, z, n = rows.chunk(3)
    return torch.cat([z, r, n])


def write_rtneural(path, net, kind):
    """RTNeural's JSON: matrices transposed, a GRU with both biases."""
    layers = []
    for k in range(net.rec.num_layers):
        w_ih, w_hh, b_ih, b_hh = (
            keras_gates(getattr(net.rec, "%s_l%d" % (name, k)), kind)
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        bias = b_ih + b_hh if kind == "LSTM" else torch.stack([b_ih, b_hh])
        layers.append({"type": kind.lower(), "activation": "",
                       "shape": [None, None, net.rec.hidden_size],
                       "weights": [w_ih.t().tolist(), w_hh.t().tolist(),
                                   bias.tolist()]})
    layers.append({"type": "dense", "activation": "", "shape": [None, None, 1],
                   "weights": [net.lin.weight.t().tolist(),
                               net.lin.bias.tolist()]})
    with open(path, "w") as f:
        json.dump({"in_shape": [None, None, 1], "layers": layers,
                   "start": "zeros"}, f)


def write_floats(path, tensor):
    with open(path, "wb") as f:
        f.write(tensor.detach().reshape(-1).float().numpy().tobytes())


def compare(seqmodel, folder, name):
    """The largest difference between seqmodel's output and PyTorch's."""
    out = os.path.join(folder, "out.f32")
    subprocess.run([seqmodel, "run", "--channels", "1", "--rate", "48000",
                    os.path.join(folder, name),
                    os.path.join(folder, "input.f32"), out], check=True)
    with open(out, "rb") as f:
        y = torch.frombuffer(bytearray(f.read()), dtype=torch.float32)
    stem = name.split(".")[0]
    with open(os.path.join(folder, stem + ".expected.f32"), "rb") as f:
        expected = torch.frombuffer(bytearray(f.read()), dtype=torch.float32)
    return (y - expected).abs().max().item()


def main():
    folder = sys.argv[1]
    seqmodel = sys.argv[2] if len(sys.argv) > 2 else None
    os.makedirs(folder, exist_ok=True)
    torch.manual_seed(1)
    x = torch.randn(1, 4000, 1) * 0.5
    write_floats(os.path.join(folder, "input.f32"), x)
    bad = 0
    for kind in ("LSTM", "GRU"):
        net = Net(kind, hidden_size=16, num_layers=2).eval()
        stem = os.path.join(folder, kind.lower())
        write_safetensors(stem + ".safetensors", net.state_dict())
        write_onnx(stem + ".onnx", net)
        write_rtneural(stem + ".json", net, kind)
        with torch.no_grad():
            write_floats(stem + ".expected.f32", net(x))
        for suffix in (".safetensors", ".onnx", ".json"):
            name = kind.lower() + suffix
            if not seqmodel:
                print("wrote", os.path.join(folder, name))
                continue
            error = compare(seqmodel, folder, name)
            bad += not error < 1e-5
            print("%-17s largest difference from PyTorch: %.1e"
                  % (name, error))
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
