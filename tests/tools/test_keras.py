#!/usr/bin/env python3
"""test_keras.py SEQMODEL CONVERT: docs/examples/keras-to-rtneural.py on files
made by hand in Keras' two layouts, and what they should give by Keras'
equations. Exits with 77, which skips, where there is no h5py."""
import io
import json
import os
import subprocess
import sys
import tempfile
import zipfile

try:
    import h5py
    import numpy as np
except ImportError:
    print("NOT RUN: python3-h5py is not installed", file=sys.stderr)
    sys.exit(77)

SEQMODEL, CONVERT = sys.argv[1:3]
rand = np.random.RandomState(1)
UNITS = 6
LAYERS = [
    ("InputLayer", {"name": "in"}, []),
    ("GRU", {"name": "gru_7", "activation": "tanh", "units": UNITS,
             "recurrent_activation": "sigmoid", "reset_after": True},
     [(2, 3 * UNITS), (UNITS, 3 * UNITS), (2, 3 * UNITS)]),
    ("Dropout", {"name": "drop"}, []),
    ("LSTM", {"name": "lstm_7", "activation": "tanh", "units": UNITS,
              "recurrent_activation": "sigmoid"},
     [(UNITS, 4 * UNITS), (UNITS, 4 * UNITS), (4 * UNITS,)]),
    ("Dense", {"name": "dense_7", "activation": "relu"}, [(UNITS, 4), (4,)]),
    ("Dense", {"name": "dense_8", "activation": "linear"}, [(4, 1), (1,)]),
]
CONFIG = {"class_name": "Sequential", "config": {"layers": [
    {"class_name": kind, "config": config} for kind, config, _ in LAYERS]}}
WEIGHTS = [[rand.uniform(-1, 1, shape).astype("<f4") for shape in shapes]
           for _, _, shapes in LAYERS]


def write_keras3(path):
    data, seen = io.BytesIO(), {}
    with h5py.File(data, "w") as f:
        for (kind, _, _), arrays in zip(LAYERS, WEIGHTS):
            kind = kind.lower()
            n = seen[kind] = seen.get(kind, -1) + 1
            group = f.create_group("layers/%s%s" % (kind, "_%d" % n if n else ""))
            group = group.create_group(
                "cell/vars" if kind in ("gru", "lstm") else "vars")
            for i, array in enumerate(arrays):
                group[str(i)] = array
    with zipfile.ZipFile(path, "w") as z:
        z.writestr("config.json", json.dumps(CONFIG))
        z.writestr("metadata.json", "{}")
        z.writestr("model.weights.h5", data.getvalue())


def write_keras2(path):
    names = ("kernel:0", "recurrent_kernel:0", "bias:0")
    with h5py.File(path, "w") as f:
        f.attrs["model_config"] = json.dumps(CONFIG)
        for (kind, config, _), arrays in zip(LAYERS, WEIGHTS):
            group = f.create_group("model_weights/" + config["name"])
            inner = config["name"] + "/"
            inner += kind.lower() + "_cell/" if len(arrays) == 3 else ""
            own = names if len(arrays) == 3 else names[::2]
            group.attrs["weight_names"] = [
                (inner + n).encode() for n in own[:len(arrays)]]
            for name, array in zip(own, arrays):
                group[inner + name] = array


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def gru(x, kernel, recurrent, bias):
    h, out = np.zeros(UNITS), []
    for row in x:
        a, b = row @ kernel + bias[0], h @ recurrent + bias[1]
        z, r = (sigmoid(a[i:i + UNITS] + b[i:i + UNITS]) for i in (0, UNITS))
        h = z * h + (1 - z) * np.tanh(a[2 * UNITS:] + r * b[2 * UNITS:])
        out.append(h)
    return np.array(out)


def lstm(x, kernel, recurrent, bias):
    h, c, out = np.zeros(UNITS), np.zeros(UNITS), []
    for row in x:
        i, f, g, o = np.split(row @ kernel + h @ recurrent + bias, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        out.append(h)
    return np.array(out)


def main():
    x = rand.uniform(-1, 1, (500, 2)).astype("<f4")
    w = [[a.astype("f8") for a in arrays] for arrays in WEIGHTS]
    y = lstm(gru(x, *w[1]), *w[3])
    y = np.maximum(y @ w[4][0] + w[4][1], 0) @ w[5][0] + w[5][1]
    good = True
    with tempfile.TemporaryDirectory() as folder:
        def at(name):
            return os.path.join(folder, name)
        x.tofile(at("in.f32"))
        for name, write in (("a.keras", write_keras3), ("b.h5", write_keras2)):
            write(at(name))
            subprocess.run([sys.executable, CONVERT, at(name), at("m.json")],
                           check=True)
            subprocess.run([SEQMODEL, "run", "-c", "2", at("m.json"),
                            at("in.f32"), at("out.f32")], check=True)
            worst = abs(np.fromfile(at("out.f32"), "<f4") - y[:, 0]).max()
            print("%s: largest difference %.1e" % (name, worst))
            good &= worst < 2e-6
            with open(at("m.json")) as f:
                good &= json.load(f)["start"] == "zeros"
        with h5py.File(at("weights.h5"), "w") as f:
            f["dense/kernel"] = WEIGHTS[-1][0]
        with zipfile.ZipFile(at("other.zip"), "w") as z:
            z.writestr("config.json", "{}")
        with open(at("text.h5"), "w") as f:
            f.write("no model")
        for name, says in (("weights.h5", "weights alone"),
                           ("other.zip", "model.weights.h5"),
                           ("text.h5", "expected a .keras"),
                           ("absent.h5", "expected a .keras")):
            run = subprocess.run([sys.executable, CONVERT, at(name), at("m")],
                                 capture_output=True, text=True)
            ok = run.returncode == 1 and says in run.stderr \
                and "Traceback" not in run.stderr
            print("%s: %s" % (name, run.stderr.strip()))
            good &= ok
    return not good


sys.exit(main())
