#!/usr/bin/env python3
"""keras-to-rtneural.py MODEL OUT.json: a Keras model as RTNeural's JSON.

MODEL is a .keras file of Keras 3, or a .h5 of Keras 2 with its architecture.
LSTM, GRU, Dense and activations, as JSON because that says activations, which
a state_dict cannot; `seqmodel convert OUT.json model.safetensors` goes on from
there. Needs python3-h5py, and no Keras.
"""
import io
import json
import sys
import zipfile

import h5py


def read_keras3(path):
    """Layers and, of each, its arrays: named by class and number, not name."""
    with zipfile.ZipFile(path) as z:
        layers = json.loads(z.read("config.json"))["config"]["layers"]
        weights = h5py.File(io.BytesIO(z.read("model.weights.h5")), "r")
    seen = {}
    for layer in layers:
        kind = layer["class_name"].lower()
        n = seen[kind] = seen.get(kind, -1) + 1
        group = weights.get("layers/" + (kind + "_%d" % n if n else kind), {})
        group = group.get("cell/vars") or group.get("vars") or {}
        yield layer, [group[k][()] for k in sorted(group)]


def read_keras2(path):
    with h5py.File(path, "r") as f:
        layers = json.loads(f.attrs["model_config"])["config"]["layers"]
        for layer in layers:
            group = f["model_weights"].get(layer["config"]["name"])
            names = group.attrs["weight_names"] if group else []
            yield layer, [group[n][()] for n in names]


def convert(layer, arrays):
    """A layer of RTNeural's, or None for one that does nothing here."""
    kind, config = layer["class_name"], layer["config"]
    activation = config.get("activation", "linear")
    if kind in ("InputLayer", "Dropout"):
        return None
    if kind in ("LSTM", "GRU"):
        if (activation, config.get("recurrent_activation")) != \
                ("tanh", "sigmoid") or config.get("go_backwards") or \
                (kind == "GRU" and not config.get("reset_after")):
            sys.exit("%s: only tanh and sigmoid, forwards, and a GRU with "
                     "reset_after can be run" % config["name"])
        activation = ""
    elif kind not in ("Dense", "Activation"):
        sys.exit("%s: a %s can't be run" % (config["name"], kind))
    return {"type": kind.lower(), "weights": [a.tolist() for a in arrays],
            "activation": "" if activation == "linear" else activation}


def main():
    source, target = sys.argv[1:3]
    read = read_keras3 if zipfile.is_zipfile(source) else read_keras2
    pairs = list(read(source))
    layers = [made for made in (convert(*p) for p in pairs) if made]
    n_in = next(len(arrays[0]) for _, arrays in pairs if arrays)
    with open(target, "w") as f:
        json.dump({"in_shape": [None, None, n_in], "layers": layers}, f)


if __name__ == "__main__":
    main()
