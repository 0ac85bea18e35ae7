#!/usr/bin/env python3
"""test_train.py SEQMODEL: seqmodel train as people and scripts use it.

Recordings are made here, an effect that a net of four units learns in a second.
Prints TAP.
"""
import array
import json
import math
import os
import random
import re
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
import wave

seqmodel = os.path.abspath(sys.argv[1])
RATE = 16000
count = failed = 0


def noise(n, seed=1):
    source, x, out = random.Random(seed), 0.0, []
    for _ in range(n):
        x = 0.6 * x + 0.25 * source.uniform(-1, 1)
        out.append(x)
    return out


def effect(x):
    y, out = 0.0, []
    for value in x:
        y = 0.5 * y + 0.5 * math.tanh(3 * value)
        out.append(0.8 * y)
    return out


def write(name, *channels, rate=RATE):
    with wave.open(name, "wb") as f:
        f.setnchannels(len(channels))
        f.setsampwidth(2)
        f.setframerate(rate)
        f.writeframes(array.array("h", (
            round(32767 * max(-1, min(1, v)))
            for frame in zip(*channels) for v in frame)).tobytes())


def run(*args, timeout=60, **more):
    """Exit code, standard output, standard error of seqmodel train."""
    done = subprocess.run([seqmodel, "train", *args], timeout=timeout,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, **more)
    return done.returncode, done.stdout, done.stderr


def epochs(text):
    lines = [json.loads(line) for line in text.splitlines()]
    return [line for line in lines if "epoch" in line], lines[-1]


def contents(path):
    """Metadata and weights of a safetensors file."""
    with open(path, "rb") as f:
        data = f.read()
    n = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + n])
    return header.pop("__metadata__"), (header, data[8 + n:])


def read(path):
    with open(path, "rb") as f:
        return f.read()


def test(function):
    global count, failed
    count += 1
    name = function.__name__.replace("_", "-")
    for path in os.listdir("."):
        if path.startswith("m."):
            os.unlink(path)
    try:
        function()
        print(f"ok {count} - {name}")
    except Exception as error:  # whatever it was, the others run too
        failed += 1
        print(f"not ok {count} - {name}: {type(error).__name__}: {error}")
    sys.stdout.flush()


def expect(what, found):
    if not what:
        raise AssertionError(found)


SMALL = ["--hidden-size=4", "--learning-rate=0.02", "-o", "m.safetensors"]


def learns_an_effect():
    code, out, err = run("dry.wav", "wet.wav", *SMALL, "--epochs=100", "--json",
                         "--target-esr=0.005", "--plot=m.png")
    lines, last = epochs(out)
    expect(code == 0, err)
    expect([line["epoch"] for line in lines]
           == list(range(1, len(lines) + 1)), out)
    for key in ("train_esr", "validation_esr", "best_esr", "learning_rate",
                "samples_per_second", "seconds"):
        expect(all(line[key] > 0 for line in lines), key)
    expect(last["end"] == "target reached" and last["split"] == "test", last)
    expect(last["esr"] < 0.01 and last["verdict"] == "excellent", last)
    expect("delay: none" in err and "excellent" in err, err)
    expect(read("m.png")[:8] == b"\x89PNG\r\n\x1a\n", "no PNG")
    facts, _ = contents("m.safetensors")
    expect(float(facts["sample_rate"]) == RATE and facts["kind"] == "lstm"
           and facts["residual"] == "1" and facts["task"] == "effect", facts)
    expect(math.isclose(float(facts["test_esr"]), last["esr"], rel_tol=1e-4),
           facts)
    expect(facts["command"].startswith("seqmodel train dry.wav wet.wav"), facts)
    expect(not os.path.exists("m.checkpoint"), "a checkpoint is left")


def the_saved_model_does_what_was_told():
    run("dry.wav", "wet.wav", *SMALL, "--epochs=40", "--quiet")
    facts, _ = contents("m.safetensors")
    subprocess.run([seqmodel, "run", "m.safetensors", "dry.wav", "m.f32"],
                   check=True, stderr=subprocess.DEVNULL)
    y, start = array.array("f", read("m.f32")), int(0.9 * len(wet))
    esr = (sum((a - b) ** 2 for a, b in zip(y[start:], wet[start:]))
           / sum(b * b for b in wet[start:]))
    # targets are 16 bit samples
    expect(math.isclose(esr, float(facts["test_esr"]), rel_tol=0.01),
           (esr, facts["test_esr"]))


def delay_is_taken_out():
    for wav, words in (("late.wav", "123 frames behind"),
                       ("early.wav", "77 frames ahead of"),
                       ("flipped.wav", "opposite polarity")):
        code, _, err = run("dry.wav", wav, *SMALL, "--epochs=1")
        expect(code == 0 and words in err, err)
    code, _, err = run("dry.wav", "late.wav", *SMALL, "--epochs=60",
                       "--target-esr=0.01")
    expect("target reached" in err, err)


def kinds():
    """Every kind that can be trained, as the command itself lists them."""
    code, _, err = run("wet.wav", "--model=x", *SMALL)
    expect(code == 2 and "--model=x: must be one of " in err, err)
    return re.search("must be one of ([a-z0-9, ]+)", err)[1].strip().split(", ")


def every_kind_predicts():
    for kind in kinds():
        code, out, err = run("wet.wav", "--model=" + kind, "--epochs=10",
                             "--json", "--plot=m.svg", *SMALL)
        _, last = epochs(out)
        expect(code == 0, err)
        expect(last["esr"] > 0 and last["persistence_esr"] > 0, last)
        expect(kind == "markov" or last["esr"] < last["persistence_esr"], last)
        expect(b"<svg" in read("m.svg"), "no SVG")
        facts, _ = contents("m.safetensors")
        expect(facts["horizon"] == "1" and facts["task"] == "prediction"
               and facts["kind"] == kind, facts)


def every_kind_learns_an_effect_or_says_no():
    for kind in kinds():
        code, out, err = run("dry.wav", "wet.wav", "--model=" + kind, "--json",
                             "--epochs=100", "--target-esr=0.1", *SMALL)
        if code == 2:
            expect("predicts a signal; expected one recording" in err, err)
        else:
            expect(code == 0 and epochs(out)[1]["end"] == "target reached", err)
        expect(kind not in ("lstm", "gru") or code == 0, kind)


def help_lists_every_kind():
    done = subprocess.run([seqmodel, "train", "--help"], text=True, check=True,
                          stdout=subprocess.PIPE)
    for kind in kinds():
        expect(f"  {kind} " in done.stdout, (kind, done.stdout))
    expect("seqmodel train [OPTION" in done.stdout, done.stdout)


def an_alias_names_the_kind():
    code, _, err = run("wet.wav", "--model=autoregressive", *SMALL)
    expect(code == 0 and contents("m.safetensors")[0]["kind"] == "ar", err)


def threads_give_the_same_bits():
    weights = []
    for threads in "13":
        code, _, err = run("dry.wav", "wet.wav", *SMALL, "--epochs=3",
                           "--threads=" + threads)
        expect(code == 0, err)
        weights.append(contents("m.safetensors")[1])
    expect(weights[0] == weights[1], "they differ")


def stop_and_resume_give_the_same_bits():
    args = ["dry.wav", "wet.wav", *SMALL, "--json"]
    run(*args, "--epochs=30")
    whole = contents("m.safetensors")[1]
    for path in ("m.safetensors", "m.checkpoint"):
        os.unlink(path)
    for number in (signal.SIGINT, signal.SIGTERM, None):
        more = ["--resume"] if os.path.exists("m.checkpoint") else []
        command = [seqmodel, "train", *args, "--epochs=30", *more]
        child = subprocess.Popen(command, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True)
        first = child.stdout.readline() + child.stdout.readline()
        if number:
            child.send_signal(number)
        out, err = child.communicate(timeout=60)
        lines, last = epochs(first + out)
        expect(child.returncode == 0, err)
        expect(last["end"] == ("interrupted" if number else "all epochs done"),
               last)
        expect(lines[0]["epoch"] > 1 or not more, lines[0])
    expect(contents("m.safetensors")[1] == whole, "they differ")


def signals_save_what_there_is():
    for number in (signal.SIGINT, signal.SIGTERM):
        child = subprocess.Popen(
            [seqmodel, "train", "dry.wav", "wet.wav", *SMALL, "--json"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        first = child.stdout.readline() + child.stdout.readline()
        child.send_signal(number)
        out, err = child.communicate(timeout=60)
        lines, last = epochs(first + out)
        expect(child.returncode == 0 and last["end"] == "interrupted", err)
        facts, _ = contents("m.safetensors")
        expect(int(facts["epochs"]) == len(lines) >= 2, facts)
        expect(contents("m.checkpoint")[0]["format"] == "seqmodel-checkpoint",
               "no checkpoint")
        for path in ("m.safetensors", "m.checkpoint"):
            os.unlink(path)


def a_signal_in_the_first_epoch_saves_nothing():
    for number in (signal.SIGINT, signal.SIGTERM):
        child = subprocess.Popen(
            [seqmodel, "train", "dry.wav", "wet.wav", "--hidden-size=300",
             "-o", "m.safetensors"], stderr=subprocess.PIPE, text=True)
        while "training: " not in child.stderr.readline():
            pass
        child.send_signal(number)
        _, err = child.communicate(timeout=60)
        expect(child.returncode == 1 and "nothing is saved" in err, err)
        expect(not os.path.exists("m.safetensors"), "a model was left")
        expect(not os.path.exists("m.checkpoint"), "a checkpoint was left")


def a_killed_process_leaves_whole_files():
    run("dry.wav", "wet.wav", *SMALL, "--epochs=2")
    before = read("m.safetensors")
    child = subprocess.Popen([seqmodel, "train", "dry.wav", "wet.wav", *SMALL,
                              "--json"], stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL)
    child.stdout.readline()
    child.kill()
    child.communicate()
    expect(read("m.safetensors") == before, "the model has changed")


def a_full_disk_leaves_the_old_model():
    run("dry.wav", "wet.wav", *SMALL, "--epochs=2")
    before = read("m.safetensors")
    # Python ignores SIGXFSZ; so does the child then, and write() fails
    code, _, err = run("dry.wav", "wet.wav", *SMALL, "--epochs=3",
                       restore_signals=False,
                       preexec_fn=lambda: resource.setrlimit(
                           resource.RLIMIT_FSIZE, (1000, 1000)))
    expect(code == 1 and "m.safetensors: cannot be written" in err, err)
    expect(read("m.safetensors") == before, "the model has changed")
    left = [p for p in os.listdir(".") if p.startswith("m.safetensors.")]
    expect(not left, left)


def a_plot_is_replaced_whole_or_not_at_all():
    args = ["wet.wav", "--model=ar", *SMALL]
    run(*args, "--plot=m.png")
    before = read("m.png")
    code, _, err = run(*args, "--plot=m.png", "--order=3",
                       restore_signals=False,
                       preexec_fn=lambda: resource.setrlimit(
                           resource.RLIMIT_FSIZE, (3000, 3000)))
    expect(code == 1 and "m.png: " in err, err)
    expect(read("m.png") == before, "the plot has changed")


def fine_tuning():
    run("dry.wav", "wet.wav", *SMALL, "--epochs=100", "--target-esr=0.01")
    os.rename("m.safetensors", "from.safetensors")
    code, out, err = run("dry.wav", "wet.wav", "--from=from.safetensors",
                         "--epochs=1", "--learning-rate=1e-4", "--json",
                         "-o", "m.safetensors")
    expect(code == 0 and epochs(out)[1]["esr"] < 0.05, err)
    code, _, err = run("dry.wav", "r8.wav", "--rate=8000", "-o",
                       "m.safetensors", "--from=from.safetensors")
    expect(code == 1 and "8000 Hz; expected 16000" in err, err)
    code, _, err = run("dry.wav", "wet.wav", "--from=dry.wav", *SMALL)
    expect(code == 1 and "this is a sound or video file" in err, err)
    run("wet.wav", "--model=ar", *SMALL)
    os.rename("m.safetensors", "from.safetensors")
    code, _, err = run("dry.wav", "wet.wav", "--from=from.safetensors", *SMALL)
    expect(code == 2 and "expected one recording" in err, err)
    code, _, err = run("wet.wav", "--from=from.safetensors", "--horizon=2",
                       *SMALL)
    expect(code == 2 and "expected 1, which this ar was made for" in err, err)
    code, _, err = run("wet.wav", "--from=from.safetensors", *SMALL)
    expect(code == 0, err)


def export():
    code, _, err = run("dry.wav", "wet.wav", *SMALL, "--epochs=2",
                       "--export=rtneural")
    expect(code == 0 and "exported to m.json" in err, err)
    info = subprocess.run([seqmodel, "info", "m.json"], stdout=subprocess.PIPE,
                          text=True, check=True).stdout
    expect("lstm, 1 -> 4" in info and "residual: the first" in info, info)
    code, _, err = run("dry.wav", *SMALL, "--model=ar", "--export=rtneural")
    expect(code == 1 and "RTNeural" in err, err)
    code, _, err = run("dry.wav", "wet.wav", *SMALL, "--normalize=on",
                       "--export=rtneural", "--epochs=2")
    expect(code == 1 and "RTNeural" in err, err)
    code, _, err = run("dry.wav", *SMALL, "--epochs=2", "--export=onnx")
    expect(code == 0 and "exported to m.onnx" in err, err)
    info = subprocess.run([seqmodel, "info", "m.onnx"], stdout=subprocess.PIPE,
                          text=True, check=True).stdout
    expect("lstm, 1 -> 4" in info, info)


def channels_rates_and_lengths():
    def train(*args):
        return run(*args, *SMALL, "--epochs=1")

    code, _, err = train("dry.wav", "stereo.wav")
    expect(code == 1 and "stereo.wav: the number of channels is 2" in err
           and "--channel" in err, err)
    expect(train("dry.wav", "stereo.wav", "--channel=1")[0] == 0, "channel 1")
    expect(train("dry.wav", "stereo.wav", "--channel=2")[0] == 2, "channel 2")
    code, _, err = train("dry.wav", "twice.wav")
    expect(code == 0 and "all 2 channels are equal" in err, err)
    code, _, err = train("dry.wav", "r8.wav")
    expect(code == 0 and "resampling r8.wav" in err, err)
    code, _, err = train("dry.wav", "half.wav")
    expect(code == 1 and "half.wav: the length is" in err, err)
    expect(train("stereo.wav", "stereo.wav")[0] == 0, "two by two")
    expect(train("stereo.wav")[0] == 0, "a joint predictor")


def what_cannot_be_learnt_from():
    def refused(words, *args):
        code, _, err = run(*args, "--epochs=1", *SMALL)
        expect(code == 1 and words in err, err)
        expect(not os.path.exists("m.safetensors"), "a model was left")

    refused("is silent", "dry.wav", "silence.wav")
    refused("those for training; expected a signal", "dry.wav", "late-start.wav")
    refused("those for validation; expected a signal", "dry.wav", "early-end.wav")
    refused("no samples", "empty.wav")
    refused("no such file", "missing.wav")
    refused("text", "text.wav")
    refused("no data", "nothing.wav")
    refused("sample 100 is nan", "nan.f32", "--rate=16000", "--channels=1")
    refused("expected a multiple of 4", "odd.f32", "--rate=1", "--channels=1")
    refused("expected --rate", "nan.f32")
    code, _, err = run("second.wav", "second-wet.wav", "--epochs=1", *SMALL)
    expect(code == 0 and "is short, 1.0 s" in err, err)


def the_reason_is_told():
    def reason(*args):
        code, out, err = run(*args, "--json", *SMALL)
        last = epochs(out)[1]
        expect(code == 0 and last["verdict"] == "not learnt", last)
        expect("likely reason: " in err, err)
        return last["reason"]

    expect("nothing in common" in reason("dry.wav", "other.wav", "--epochs=1"),
           "strangers")
    expect("--epochs" in reason("dry.wav", "flipped.wav", "--epochs=1"),
           "too few epochs")


def usage():
    for args in ([], ["dry.wav"], ["dry.wav", "wet.wav", "dry.wav", *SMALL],
                 ["dry.wav", "--hidden-size=0", "-o", "m.safetensors"],
                 ["dry.wav", "--split=1:2", *SMALL],
                 ["dry.wav", "--loss=mae", *SMALL],
                 ["dry.wav", "--model=naive", *SMALL],
                 ["dry.wav", "wet.wav", "--model=ar", *SMALL],
                 ["dry.wav", *SMALL, "--learning-rate=nan"],
                 ["dry.wav", "--plot=m.jpg", *SMALL],
                 ["dry.wav", "--model=ar", "--lags=1x,2", *SMALL],
                 ["dry.wav", "--model=dense", *SMALL],
                 ["dry.wav", "-o", "dry.wav"], ["dry.wav", "-o", "."],
                 ["dry.wav", "-o", "missing/m.safetensors"],
                 ["dry.wav", "--nonsense", *SMALL]):
        code, _, err = run(*args)
        expect(code == 2 and err.count("\n") == 1, (args, err[:200]))
    expect(run("dry.wav", "wet.wav", "--resume", *SMALL)[0] == 1, "resume")


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    dry = noise(6 * RATE)
    wet = effect(dry)
    write("dry.wav", dry)
    write("wet.wav", wet)
    write("late.wav", [0] * 123 + wet)
    write("early.wav", wet[77:])
    write("flipped.wav", [-v for v in wet])
    write("stereo.wav", wet, [-v for v in wet])
    write("twice.wav", wet, wet)
    write("r8.wav", wet[::2], rate=8000)
    write("half.wav", wet[:len(wet) // 3])
    write("other.wav", noise(6 * RATE, seed=9))
    write("silence.wav", [0] * len(dry))
    write("late-start.wav", [0] * int(0.85 * len(dry))
          + wet[int(0.85 * len(dry)):])
    write("early-end.wav", wet[:int(0.79 * len(dry))]
          + [0] * int(0.21 * len(dry)))
    write("empty.wav", [])
    write("second.wav", dry[:RATE])
    write("second-wet.wav", wet[:RATE])
    with open("text.wav", "w") as f:
        f.write("not a sound " * 100)
    open("nothing.wav", "w").close()
    with open("odd.f32", "wb") as f:
        f.write(b"12345")
    with open("nan.f32", "wb") as f:
        f.write(array.array("f", dry[:100] + [math.nan] + dry[:5000]).tobytes())
    for case in (learns_an_effect, the_saved_model_does_what_was_told,
                 delay_is_taken_out, every_kind_predicts,
                 every_kind_learns_an_effect_or_says_no,
                 help_lists_every_kind, an_alias_names_the_kind,
                 threads_give_the_same_bits,
                 stop_and_resume_give_the_same_bits,
                 signals_save_what_there_is,
                 a_signal_in_the_first_epoch_saves_nothing,
                 a_killed_process_leaves_whole_files,
                 a_full_disk_leaves_the_old_model,
                 a_plot_is_replaced_whole_or_not_at_all, fine_tuning, export,
                 channels_rates_and_lengths, what_cannot_be_learnt_from,
                 the_reason_is_told, usage):
        test(case)
    os.chdir("/")
print(f"1..{count}")
sys.exit(failed > 0)
