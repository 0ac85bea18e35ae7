#!/usr/bin/env python3
"""test_seqmodel.py SEQMODEL CORPUS: seqmodel info, convert and run as a user
meets them: exit codes, one line on standard error, files in and out.

Reference cases of SEQ_SHARED, where they are, go through `run` as raw floats.
"""
import array
import json
import math
import os
import pty
import random
import shutil
import subprocess
import sys
import tempfile
import wave

SEQMODEL, CORPUS = sys.argv[1:3]
failures = 0


def check(ok, what):
    global failures
    print("%s - %s" % ("ok" if ok else "not ok", what))
    failures += not ok


def seqmodel(*args):
    return subprocess.run([SEQMODEL, *args], capture_output=True, text=True)


def write_floats(path, values):
    with open(path, "wb") as f:
        floats = array.array("f", values)
        if sys.byteorder == "big":
            floats.byteswap()
        floats.tofile(f)


def read_floats(path):
    with open(path, "rb") as f:
        floats = array.array("f", f.read())
    if sys.byteorder == "big":
        floats.byteswap()
    return floats


def worst(a, b):
    return max(map(abs, map(lambda x, y: x - y, a, b))) if len(a) == len(b) \
        else math.inf


def matrix(rows, cols):
    return [[random.uniform(-1, 1) for _ in range(cols)] for _ in range(rows)]


def rnn_model():
    """A state_dict as JSON: an RNN of 5 units with a head."""
    return {"rec.weight_ih_l0": matrix(5, 1), "rec.weight_hh_l0": matrix(5, 5),
            "rec.bias_ih_l0": matrix(1, 5)[0],
            "rec.bias_hh_l0": matrix(1, 5)[0],
            "lin.weight": matrix(1, 5), "lin.bias": [0.25]}


def rnn_run(m, x):
    """What that network makes of a signal, in double precision."""
    h, y = [0.0] * 5, []
    for value in x:
        h = [math.tanh(m["rec.weight_ih_l0"][i][0] * value
                       + m["rec.bias_ih_l0"][i] + m["rec.bias_hh_l0"][i]
                       + sum(w * g for w, g in
                             zip(m["rec.weight_hh_l0"][i], h)))
             for i in range(5)]
        y.append(sum(w * g for w, g in zip(m["lin.weight"][0], h))
                 + m["lin.bias"][0])
    return y


def test_codes(model, raw, good, folder):
    out = os.path.join(folder, "out")
    wav = os.path.join(folder, "text.wav")
    with open(wav, "w") as f:
        f.write("no sound in here\n" * 100)
    with open(os.path.join(folder, "short.onnx"), "wb") as f:
        f.write(b"\x08\x08\x12")
    copy = os.path.join(folder, "copy")
    shutil.copyfile(model, copy)
    table = [
        (2, []), (0, ["--help"]), (0, ["--version"]), (2, ["fly"]),
        (0, ["info", "--help"]), (0, ["info", model]), (2, ["info"]),
        (2, ["info", "--bogus", model]), (2, ["info", "-o", "wings=2", model]),
        (2, ["info", "-o", "rate=fast", model]),
        (2, ["info", "-o", "residual=-1", model]),
        (0, ["info", "-o", "rate=32000", model]),
        (1, ["info", os.path.join(folder, "absent")]),
        (1, ["info", os.path.join(folder, "short.onnx")]),
        (1, ["info", "--self-test", model]),
        (2, ["convert", model]), (2, ["convert", model, out]),
        (2, ["convert", "--format", "pickle", model, out]),
        (2, ["convert", "--format", "onnx", model, model]),
        (0, ["convert", "--format", "ONNX", "--force", copy, copy]),
        (1, ["info", folder]), (1, ["info", "/dev/null"]),
        (0, ["convert", "--format", "rtneural", good, out]),
        (1, ["convert", model, "/nowhere/x.onnx"]),
        (1, ["convert", os.path.join(folder, "absent"), out + ".json"]),
        (2, ["run", model, raw]), (2, ["run", model, raw, out + ".f32"]),
        (2, ["run", "-c", "1", model, raw, out + ".mp3"]),
        (2, ["run", "-c", "-3", model, raw, out + ".f32"]),
        (2, ["run", "-c", "1", "-r", "x", model, raw, out + ".f32"]),
        (1, ["run", "-c", "1", "-p", "0.5", model, raw, out + ".f32"]),
        (1, ["run", "-c", "7", model, raw, out + ".f32"]),
        (0, ["run", "-c", "1", model, raw, out + ".f32"]),
        (1, ["run", "-c", "1", model, raw, "/nowhere/x.f32"]),
        (1, ["run", "-c", "1", model, raw, "/nowhere/x.wav"]),
        (1, ["run", model, wav, out + ".wav"]),
    ]
    for code, args in table:
        r = seqmodel(*args)
        lines = len(r.stderr.splitlines())
        check(r.returncode == code and (code != 1 or lines == 1)
              and (code != 0 or lines == 0),
              "exit %d of seqmodel %s%s" % (r.returncode, " ".join(args),
                                            ": " + r.stderr.strip()
                                            if code == 1 else ""))


def test_info(good):
    text = seqmodel("info", good).stdout
    for word in ("format:", "inputs:", "layer 0:", "weight_hh", "sample rate:",
                 "parameters:", "memory:", "cost:"):
        check(word in text, "info says %s" % word)
    for command in ("info", "convert"):
        text = seqmodel(command, "--help").stdout
        for word in ("nonlinearity", "head_activation", "knobs", "rate"):
            check(word in text, "%s --help says %s" % (command, word))


def test_run(weights, model, raw, x, folder):
    """Raw floats of two channels: each by itself through the network."""
    out = os.path.join(folder, "two.f32")
    both = os.path.join(folder, "both.f32")
    other = [-v for v in x]
    write_floats(both, [v for pair in zip(x, other) for v in pair])
    r = seqmodel("run", "--channels", "2", "--rate", "48000", model, both, out)
    y = read_floats(out)
    check(r.returncode == 0
          and worst(y[0::2], rnn_run(weights, x)) < 2e-6
          and worst(y[1::2], rnn_run(weights, other)) < 2e-6,
          "run of two raw channels is what the equations say")


def test_convert(model, raw, folder):
    out = os.path.join(folder, "y.f32")
    at = model
    seqmodel("run", "-c", "1", model, raw, out)
    first = read_floats(out)
    for name in ("a.safetensors", "b.onnx", "c.safetensors", "d.onnx"):
        to = os.path.join(folder, name)
        r = seqmodel("convert", at, to)
        seqmodel("run", "-c", "1", to, raw, out)
        check(r.returncode == 0 and read_floats(out) == first,
              "convert to %s keeps every bit" % name)
        at = to


def test_media(model, x, weights, folder):
    source, out = (os.path.join(folder, n) for n in ("in.wav", "out.wav"))
    with wave.open(source, "wb") as f:
        f.setnchannels(1)
        f.setsampwidth(2)
        f.setframerate(8000)
        f.writeframes(array.array("h", [int(v * 32767) for v in x]).tobytes())
    r = seqmodel("run", model, source, out)
    with open(out, "rb") as f:
        data = f.read()
    at = data.find(b"data") + 8
    y = array.array("f", data[at:at + 4 * len(x)])
    wanted = rnn_run(weights, [int(v * 32767) / 32768 for v in x])
    check(r.returncode == 0 and worst(y, wanted) < 2e-6,
          "run of a WAV writes a WAV of what the equations say")


def test_bar(model, raw, folder):
    main, sub = pty.openpty()
    r = subprocess.run([SEQMODEL, "run", "-c", "1", model, raw,
                        os.path.join(folder, "bar.f32")], stderr=sub)
    os.close(sub)
    shown = os.read(main, 65536)
    check(r.returncode == 0 and b"#####]" in shown, "a bar on a terminal")


def test_cases(folder):
    """The first cases of each folder that a stream can be made of."""
    top = os.path.join(os.environ.get("SEQ_SHARED", ""), "cases")
    done = {}
    for path, _, files in sorted(os.walk(top)):
        if "case.json" not in files:
            continue
        group = os.path.dirname(path)
        with open(os.path.join(path, "case.json")) as f:
            case = json.load(f)
        if case.get("category", "core") != "core" or done.get(group, 0) == 4:
            continue
        model = os.path.join(path, case.get("model", "model.safetensors"))
        options = ["-o", "start=zeros"]  # as the cases begin
        for key, value in (case.get("requires") or {}).items():
            options += ["-o", "%s=%s" % (key, value)]
        info = seqmodel("info", *options, model)
        if "knob" in info.stdout:
            continue  # its knobs are no channels of a stream
        done[group] = done.get(group, 0) + 1
        out = os.path.join(folder, "case.f32")
        r = seqmodel("run", *options, "-c", str(case["input_channels"]), model,
                     os.path.join(path, case.get("input", "input.f32")), out)
        if r.returncode != 0:
            check(False, "%s: %s" % (path, r.stderr))
            continue
        expected = read_floats(
            os.path.join(path, case.get("expected", "expected.f32")))
        error = worst(read_floats(out), expected)
        check(error <= case.get("suggested_tolerance", 5e-6),
              "%s: largest error %.1e" % (os.path.relpath(path, top), error))
    if not done:
        print("# NOT RUN: the reference cases of ../shared are absent")


def main():
    random.seed(1)
    weights = rnn_model()
    x = [math.sin(0.05 * t) * 0.7 for t in range(2000)]
    good = os.path.join(CORPUS, "lstm.safetensors")
    with tempfile.TemporaryDirectory() as folder:
        model = os.path.join(folder, "model.json")
        raw = os.path.join(folder, "in.f32")
        with open(model, "w") as f:
            json.dump(weights, f)
        write_floats(raw, x)
        test_codes(model, raw, good, folder)
        test_info(good)
        test_run(weights, model, raw, x, folder)
        test_convert(model, raw, folder)
        test_media(model, x, weights, folder)
        test_bar(model, raw, folder)
        test_cases(folder)
    return failures > 0


sys.exit(main())
