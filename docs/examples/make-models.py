#!/usr/bin/python3
"""Writes the small model files of this folder, by hand: no training, no framework.

soft.json, hard.json: GuitarML files. An LSTM whose gates stand open and which
forgets at once is tanh (tanh (drive * x)): a clipper, made for 44100 Hz.

forecast.safetensors: a PyTorch state_dict of nn.RNN (1, 4, nonlinearity="relu")
and nn.Linear (4, 1). Its units hold the positive and the negative part of this
sample and of the one before; the linear layer goes on in a straight line:
x[t + 1] = 2 x[t] - x[t - 1].
"""
import json
import os
import struct

here = os.path.dirname(os.path.abspath(__file__))
OPEN, SHUT = 20.0, -20.0


def clipper(drive):
    gates = [OPEN, SHUT, 0.0, OPEN]  # input, forget, candidate, output
    return {
        "model_data": {
            "model": "SimpleRNN", "unit_type": "LSTM", "input_size": 1,
            "output_size": 1, "hidden_size": 1, "num_layers": 1, "skip": 0,
            "bias_fl": True},
        "sample_rate": 44100,
        "state_dict": {
            "rec.weight_ih_l0": [[0.0], [0.0], [drive], [0.0]],
            "rec.weight_hh_l0": [[0.0]] * 4,
            "rec.bias_ih_l0": gates,
            "rec.bias_hh_l0": [0.0] * 4,
            "lin.weight": [[1.0]],
            "lin.bias": [0.0]}}


def safetensors(tensors):
    header, data = {}, b""
    for name, (shape, values) in tensors.items():
        packed = struct.pack(f"<{len(values)}f", *values)
        header[name] = {"dtype": "F32", "shape": shape,
                        "data_offsets": [len(data), len(data) + len(packed)]}
        data += packed
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


for name, drive in (("soft", 2.0), ("hard", 20.0)):
    with open(os.path.join(here, name + ".json"), "w") as file:
        json.dump(clipper(drive), file, indent=1)
        file.write("\n")
with open(os.path.join(here, "forecast.safetensors"), "wb") as file:
    file.write(safetensors({
        "rnn.weight_ih_l0": ([4, 1], [1, -1, 0, 0]),
        "rnn.weight_hh_l0": ([4, 4], [0, 0, 0, 0, 0, 0, 0, 0,
                                      1, 0, 0, 0, 0, 1, 0, 0]),
        "rnn.bias_ih_l0": ([4], [0] * 4),
        "rnn.bias_hh_l0": ([4], [0] * 4),
        "linear.weight": ([1, 4], [2, -2, -1, 1]),
        "linear.bias": ([1], [0])}))
