#!/usr/bin/env python3
"""test_pytorch.py SEQMODEL EXPORT: what goes between PyTorch and this project.

Runs the example EXPORT (docs/examples/export-pytorch.py) with its comparisons;
then loads what SEQMODEL wrote as safetensors back into PyTorch's modules and
compares outputs; what it wrote as ONNX goes through onnx' own checker, where
that is installed. Exits with 77, which skips, where there is no PyTorch.
"""
import json
import os
import struct
import subprocess
import sys
import tempfile

try:
    import torch
    from torch import nn
except ImportError:
    print("NOT RUN: python3-torch is not installed", file=sys.stderr)
    sys.exit(77)
try:
    import onnx
except ImportError:
    onnx = None
    print("NOT RUN: the check of ONNX files: python3-onnx is not installed",
          file=sys.stderr)

SEQMODEL, EXPORT = sys.argv[1:3]


def seqmodel(*args):
    subprocess.run([SEQMODEL, *args], check=True)


def read_safetensors(path):
    """safetensors.torch.load_file, without the package."""
    with open(path, "rb") as f:
        data = f.read()
    size, = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + size])
    tensors = {}
    for name, about in header.items():
        if name == "__metadata__":
            continue
        begin, end = (8 + size + at for at in about["data_offsets"])
        tensors[name] = torch.frombuffer(
            bytearray(data[begin:end]), dtype=torch.float32
        ).reshape(about["shape"])
    return tensors


def write_floats(path, tensor):
    with open(path, "wb") as f:
        f.write(tensor.reshape(-1).float().numpy().tobytes())


def read_floats(path):
    with open(path, "rb") as f:
        return torch.frombuffer(bytearray(f.read()), dtype=torch.float32)


def check(kind, num_layers, n_in, folder):
    """From PyTorch to a file of ours, back into PyTorch, and both the same."""
    rec = getattr(nn, kind)(n_in, 12, num_layers)
    lin = nn.Linear(12, n_in)
    source, own, graph, raw, out = (
        os.path.join(folder, name) for name in
        ("net.json", "own.safetensors", "net.onnx", "in.f32", "out.f32"))
    state = {"rec." + k: v.tolist() for k, v in rec.state_dict().items()}
    state.update({"lin." + k: v.tolist() for k, v in lin.state_dict().items()})
    with open(source, "w") as f:
        json.dump(state, f)
    seqmodel("convert", source, own)
    seqmodel("convert", own, graph)
    if onnx:
        onnx.checker.check_model(onnx.load(graph), full_check=True)

    tensors = read_safetensors(own)
    again = getattr(nn, kind)(n_in, 12, num_layers)
    head = nn.Linear(12, n_in)
    for prefix, module in ((kind.lower() + ".", again), ("dense.", head)):
        module.load_state_dict(
            {k[len(prefix):]: v for k, v in tensors.items()
             if k.startswith(prefix)}, strict=True)
    x = torch.randn(1000, n_in) * 0.5
    write_floats(raw, x)
    seqmodel("run", "-c", str(n_in), "-r", "48000", own, raw, out)
    with torch.no_grad():
        y = head(again(x.unsqueeze(1))[0].squeeze(1))
        first = lin(rec(x.unsqueeze(1))[0].squeeze(1))
    ours = read_floats(out).reshape(y.shape)
    worst = max((ours - y).abs().max().item(), (first - y).abs().max().item())
    print("%s, %u layers, %u inputs: largest difference %.1e"
          % (kind, num_layers, n_in, worst))
    return worst < 2e-6


def main():
    torch.manual_seed(1)
    with tempfile.TemporaryDirectory() as folder:
        good = subprocess.run(
            [sys.executable, "-W", "ignore", EXPORT, folder, SEQMODEL]
        ).returncode == 0
        for kind in ("RNN", "LSTM", "GRU"):
            for num_layers in (1, 2):
                for n_in in (1, 3):
                    good &= check(kind, num_layers, n_in, folder)
    return not good


sys.exit(main())
