#!/usr/bin/env python3
"""recordings.py SEQMODEL DATA [NAME...]: what training reaches, and how fast.

DATA has the folders klon_g50 and nam_rhythm (input.flac, target.flac). Prints
Markdown tables, seconds being those of one core that the process used, so that
what else runs on the machine shows little. Names, all by default:

  klon   LSTM 20 and GRU 8 on klon_g50: 425 segments of 13230 frames, each a
         piece of its own: 340 for training, 42 for validation, 43 for test
  nam    LSTM 20 and 40 on nam_rhythm: 120 s, 96 for training, 12 and 12
  tried  LSTM 20 on both, 32 and 20 epochs, with one option other than by
         default each: test ESR, mean and range over three seeds, and the
         seconds of a run on both
  torch  LSTM 20 on klon_g50 beside PyTorch, if it can be imported: the same
         segments, batches, updates, loss, clipping, Adam, averaged weights, and
         start of forget gate and read-out; EPOCHS epochs (environment, 3), three
         seeds
"""
import json
import os
import resource
import subprocess
import sys
import tempfile

SEGMENT, WARMUP, BATCH, RATE = 13230, 2205, 50, 5e-3
EPOCHS = int(os.environ.get("EPOCHS", "3"))
KLON = ["--independent-segments", f"--segment={SEGMENT}", f"--warmup={WARMUP}",
        "--split=340:42:43"]
NAM = ["--split=96:12:12"]
TRIED = [[], ["--batch=32"], ["--batch=32", "--update=250"],
         ["--update=250"], ["--update=1000"],
         ["--learning-rate=0.01"], ["--learning-rate=0.04"], ["--clip=0.3"],
         ["--clip=0"], ["--no-residual"], ["--pre-emphasis=0"],
         ["--weight-decay=0.01"]]
seqmodel, data = sys.argv[1:3]
names = sys.argv[3:] or ["klon", "nam", "tried", "torch"]
folder = tempfile.TemporaryDirectory()


def train(name, *args):
    """The last epoch, the result, and the seconds of one core."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    out = subprocess.run(
        [seqmodel, "train", "--json", "--quiet", "--threads=1", *args,
         os.path.join(data, name, "input.flac"),
         os.path.join(data, name, "target.flac"),
         "-o", os.path.join(folder.name, "m.safetensors")],
        stdout=subprocess.PIPE, text=True, check=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    lines = [json.loads(line) for line in out.splitlines()]
    return (lines[-2], lines[-1],
            after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def table(title, *columns):
    print(f"\n{title}\n\n| {' | '.join(columns)} |")
    print(f"| --- |{' ---: |' * (len(columns) - 1)}", flush=True)


def row(*cells):
    print(f"| {' | '.join(cells)} |", flush=True)


def reached(name, configurations, common=()):
    table(name, "options", "epochs", "validation ESR", "test ESR", "seconds")
    for options in configurations:
        epoch, result, seconds = train(name, *common, *options)
        row(f"`{' '.join(options)}`", str(epoch["epoch"]),
            f"{100 * epoch['best_esr']:.2f} %", f"{100 * result['esr']:.2f} %",
            f"{seconds:.0f}")


def tried():
    table("LSTM 20, test ESR in percent: mean (lowest to highest of 3 seeds)",
          "options", "klon_g50", "nam_rhythm", "seconds")
    for options in TRIED:
        cells, spent = [], 0.0
        for name, common, epochs in (("klon_g50", KLON, 32),
                                     ("nam_rhythm", NAM, 20)):
            esr = []
            for seed in range(3):
                _, result, seconds = train(
                    name, *common, f"--epochs={epochs}", f"--seed={seed}",
                    *options)
                esr.append(100 * result["esr"])
                spent += seconds
            cells.append(f"{sum(esr) / 3:.3g} ({min(esr):.3g} to "
                         f"{max(esr):.3g})")
        row(f"`{' '.join(options)}`" if options else "by default", *cells,
            f"{spent / 3:.0f}")


def torch_trains(torch, x, y, seed):
    """Test ESR at the best validation, and seconds of training."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    lstm = torch.nn.LSTM(1, 20, batch_first=True)
    linear = torch.nn.Linear(20, 1)
    torch.nn.init.zeros_(linear.weight)
    torch.nn.init.zeros_(linear.bias)
    with torch.no_grad():
        lstm.bias_ih_l0[20:40] += 1  # forget gates begin open
    params = [*lstm.parameters(), *linear.parameters()]
    adam = torch.optim.Adam(params, RATE)
    average = [p.detach().clone() for p in params]  # as seqmodel does
    n_updates = 0

    def run(part, state=None):
        h, state = lstm(part, state)
        return part + linear(h), state

    def emphasis(e, last):
        return e - 0.85 * torch.cat([last, e[:, :-1]], 1)

    def esr(first, end):
        with torch.no_grad():
            v = y[first:end, WARMUP:]
            e = run(x[first:end])[0][:, WARMUP:] - v
            return (e.square().sum() / v.square().sum()).item()

    def seconds():
        used = resource.getrusage(resource.RUSAGE_SELF)
        return used.ru_utime + used.ru_stime

    best, spent = (1e9, 1e9), 0.0
    for _ in range(EPOCHS):
        begin = seconds()
        order = torch.randperm(340)
        for b in range(340 // BATCH):
            rows = order[b * BATCH:(b + 1) * BATCH]
            with torch.no_grad():
                out, state = run(x[rows, :WARMUP])
                last = out[:, -1:] - y[rows, WARMUP - 1:WARMUP]
            last_v = y[rows, WARMUP - 1:WARMUP]
            for i in range(11):  # updates, about 1000 frames apart
                at, end = (WARMUP + (SEGMENT - WARMUP) * k // 11
                           for k in (i, i + 1))
                state = tuple(s.detach() for s in state)
                v = y[rows, at:end]
                out, state = run(x[rows, at:end], state)
                e = out - v
                loss = (emphasis(e, last).square().sum()
                        / emphasis(v, last_v).square().sum()
                        + e.mean(1).square().mean() / v.square().mean())
                adam.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(params, 1)
                adam.step()
                n_updates += 1
                part = 1 / min(100, 1 + n_updates // 10)
                with torch.no_grad():
                    for a, p in zip(average, params):
                        a += part * (p - a)
                last, last_v = e[:, -1:].detach(), v[:, -1:]
        spent += seconds() - begin
        with torch.no_grad():
            now = [p.clone() for p in params]
            for p, a in zip(params, average):
                p.copy_(a)
            best = min(best, (esr(340, 382), esr(382, 425)))
            for p, at in zip(params, now):
                p.copy_(at)
    return best[1], spent


def beside_torch():
    try:
        import torch
    except ImportError:
        print("\nPyTorch cannot be imported: not compared")
        return
    signals = []
    for which in ("input", "target"):
        raw = os.path.join(folder.name, "raw.f32")
        subprocess.run(
            ["gst-launch-1.0", "-q", "filesrc",
             f"location={os.path.join(data, 'klon_g50', which + '.flac')}",
             "!", "decodebin", "!", "audioconvert", "!",
             "audio/x-raw,format=F32LE", "!", "filesink", f"location={raw}"],
            check=True)
        with open(raw, "rb") as f:
            flat = torch.frombuffer(bytearray(f.read()), dtype=torch.float32)
        signals.append(flat.reshape(425, SEGMENT, 1))
    n = EPOCHS * (340 // BATCH) * BATCH * (SEGMENT - WARMUP) / 1e6
    table(f"LSTM 20 on klon_g50, {EPOCHS} epochs, beside PyTorch "
          f"{torch.__version__}", "seed", "seqmodel: test ESR", "M samples/s",
          "PyTorch: test ESR", "M samples/s", "ratio")
    for seed in range(3):
        _, ours, seconds = train(
            "klon_g50", *KLON, f"--batch={BATCH}", f"--learning-rate={RATE}",
            "--update=1000", "--patience=1000", f"--epochs={EPOCHS}",
            f"--seed={seed}")
        esr, theirs = torch_trains(torch, *signals, seed)
        row(str(seed), f"{100 * ours['esr']:.2f} %", f"{n / seconds:.2f}",
            f"{100 * esr:.2f} %", f"{n / theirs:.3f}",
            f"{theirs / seconds:.1f}")


if "klon" in names:
    reached("klon_g50", [
        ["--model=lstm", "--hidden-size=20", "--target-esr=0.005"],
        ["--model=lstm", "--hidden-size=20", "--epochs=80"],
        ["--model=gru", "--hidden-size=8", "--target-esr=0.0034"]], KLON)
if "nam" in names:
    reached("nam_rhythm", [
        ["--model=lstm", "--hidden-size=20", "--epochs=40"],
        ["--model=lstm", "--hidden-size=40", "--epochs=40"]],
        NAM)
if "tried" in names:
    tried()
if "torch" in names:
    beside_torch()
