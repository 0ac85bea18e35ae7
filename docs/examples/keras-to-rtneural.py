#!/usr/bin/env python3
"""keras-to-rtneural.py MODEL OUT.json [--effect]: a Keras model as RTNeural's
JSON.

MODEL is a .keras file of Keras 3, or a .h5 of Keras 2 with its architecture.
LSTM, GRU, Dense and activations, as JSON because that says activations, which
a state_dict cannot; `seqmodel convert OUT.json model.safetensors` goes on from
there. Needs python3-h5py, and no Keras.

It begins from zeros, as in Keras; with --effect where a long silence leads to.
"""
import io
import json
import sys
import zipfile

try:
    import h5py
except ImportError:
    sys.exit("h5py is missing; expected it: apt install python3-h5py, or "
             "pip install h5py")


def read_keras3(path):
    """Layers and, of each, its arrays: named by class and number, not name."""
    with zipfile.ZipFile(path) as z:
        missing = {"config.json", "model.weights.h5"} - set(z.namelist())
        if missing:
            sys.exit("%s has no %s; expected a model that Keras 3 saved"
                     % (path, " and no ".join(sorted(missing))))
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
        if "model_config" not in f.attrs:
            sys.exit("%s holds weights alone; expected the architecture, too: "
                     "save it with model.save(), not save_weights()" % path)
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
    args = [a for a in sys.argv[1:] if a != "--effect"]
    if len(args) != 2:
        sys.exit(__doc__)
    source, target = args
    try:
        read = read_keras3 if zipfile.is_zipfile(source) else read_keras2
        pairs = list(read(source))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        sys.exit("%s: %s; expected a .keras of Keras 3 or a .h5 of Keras 2"
                 % (source, error))
    layers = [made for made in (convert(*p) for p in pairs) if made]
    if not layers:
        sys.exit("%s has no layer that computes something" % source)
    n_in = next(len(arrays[0]) for _, arrays in pairs if arrays)
    with open(target, "w") as f:
        json.dump({"in_shape": [None, None, n_in], "layers": layers,
                   "start": "silence" if "--effect" in sys.argv else "zeros"},
                  f)


if __name__ == "__main__":
    main()
