#!/usr/bin/env python3
"""forecasts.py BENCH_FORECASTS [DATA [WORD...]]: how well models foresee.

Makes or finds the material, runs bench_forecasts on it, and prints Markdown
tables, with what is asked for beside what was measured. WORDs choose the tables
whose titles have one of them. What is not there is said and left out:

  speech   the recordings of alsa-utils, joined
  guitar   30 s of DATA/training/nam_rhythm/input.flac
  music    five recordings of Debian's sonic-pi-samples, joined, from
           /usr/share/sonic-pi/samples or DATA/sonic-pi
  ETT      DATA/ETTh1.csv, ETTh2.csv (Zhou et al. 2021)
  NAB      DATA/nab/data (Lavin and Ahmad 2015)
  laser    DATA/laser.txt, one value a line (Santa Fe competition, series A)

With OLD, another bench_forecasts, in the environment (this file's program built
on the sources of then), each model is also compared with the better of its ar
and persistence.
"""
import array
import csv
import glob
import math
import os
import random
import subprocess
import sys
import tempfile
import wave

bench = sys.argv[1]
data = sys.argv[2] if len(sys.argv) > 2 else os.environ.get("SEQ_SHARED", "")
words = sys.argv[3:]
folder = tempfile.TemporaryDirectory()
missing = []


def save(name, values):
    path = os.path.join(folder.name, name)
    with open(path, "wb") as f:
        array.array("d", values).tofile(f)
    return path


def load(path):
    values = array.array("d")
    with open(path, "rb") as f:
        values.frombytes(f.read())
    return values


def flac(path, seconds=None):
    """The first channel, in units of full scale."""
    raw = os.path.join(folder.name, "raw")
    with open(path, "rb") as f:
        channels = (f.read(21)[20] >> 1 & 7) + 1
    subprocess.run(["gst-launch-1.0", "-q", "filesrc", f"location={path}", "!",
                    "flacparse", "!", "flacdec", "!", "audioconvert", "!",
                    "audio/x-raw,format=S16LE", "!", "filesink",
                    f"location={raw}"], check=True)
    values = array.array("h")
    with open(raw, "rb") as f:
        values.frombytes(f.read())
    values = values[::channels]
    return [v / 32768 for v in values[:seconds and seconds * 48000]]


def speech():
    values = []
    for name in ("Front_Center", "Front_Left", "Front_Right", "Rear_Center",
                 "Rear_Left", "Rear_Right", "Side_Left", "Side_Right"):
        with wave.open(f"/usr/share/sounds/alsa/{name}.wav") as w:
            part = array.array("h")
            part.frombytes(w.readframes(w.getnframes()))
            values += [v / 32768 for v in part[::w.getnchannels()]]
    return values


def guitar():
    return flac(os.path.join(data, "training/nam_rhythm/input.flac"), 30)


def music():
    where = "/usr/share/sonic-pi/samples"
    if not os.path.isdir(where):
        where = os.path.join(data, "sonic-pi")
    values = []
    for name in ("guit_em9", "loop_amen_full", "ambi_piano", "loop_tabla",
                 "loop_garzul"):
        values += flac(os.path.join(where, name + ".flac"))
    return values


def ett(name):
    """Scaled as the published figures are: by the first 2880 rows."""
    with open(os.path.join(data, name + ".csv")) as f:
        rows = [[float(v) for v in row[1:]] for row in list(csv.reader(f))[1:]]
    rows = rows[:14400]
    columns = []
    for c in range(7):
        x = [row[c] for row in rows]
        mean = sum(x[:2880]) / 2880
        sigma = math.sqrt(sum((v - mean) ** 2 for v in x[:2880]) / 2880)
        columns.append([(v - mean) / sigma for v in x])
    return [v for row in zip(*columns) for v in row]


def nab(name):
    path, = glob.glob(os.path.join(data, "nab/data/*", name + ".csv"))
    with open(path) as f:
        return [float(row["value"]) for row in csv.DictReader(f)]


def laser():
    with open(os.path.join(data, "laser.txt")) as f:
        return [float(line) for line in f]


def mackey_glass():
    """tau 17, a step of 1 by 10 of Runge and Kutta, with noise of 0.001."""
    rand = random.Random(1)
    step, past, x, values = 0.1, [1.2] * 170, 1.2, []

    def slope(x, late):
        return 0.2 * late / (1 + late ** 10) - 0.1 * x

    for t in range(100000 + 10000):
        late, late1 = past[0], past[1]
        middle = (late + late1) / 2
        k1 = slope(x, late)
        k2 = slope(x + step / 2 * k1, middle)
        k3 = slope(x + step / 2 * k2, middle)
        k4 = slope(x + step * k3, late1)
        past = past[1:] + [x]
        x += step / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        if t >= 10000 and t % 10 == 0:
            values.append(x + rand.gauss(0, 0.001))
    return values


def made(f, n=10000, seed=1):
    rand = random.Random(seed)
    return [f(t, rand) for t in range(n)]


material = {}


def path_of(name, make):
    if name not in material:
        try:
            material[name] = save(name, make())
        except (OSError, ValueError, IndexError):
            material[name] = None
            missing.append(name)
    return material[name]


def run(path, *keys, residual=False, bench=bench):
    """dB whole, dB last third, mean square, ns; or the residual."""
    to = os.path.join(folder.name, "residual")
    keys = [*keys, f"residual={to}"] if residual else keys
    line = subprocess.run([bench, *keys, path], check=True, text=True,
                          stdout=subprocess.PIPE).stdout
    return load(to) if residual else [float(v) for v in line.split()[-4:]]


def persistence(path):
    x = load(path)
    mean = sum(x) / len(x)

    def gain(first):
        signal = sum((v - mean) ** 2 for v in x[first:])
        left = sum((a - b) ** 2 for a, b in zip(x[first:], x[first - 1:]))
        return 10 * math.log10(signal / max(left, 1e-300))

    return gain(1), gain(len(x) // 3 * 2)


def table(title, *columns):
    if words and not any(word in title for word in words):
        return False
    print(f"\n{title}\n\n| {' | '.join(columns)} |")
    print(f"| --- |{' --- |' * (len(columns) - 1)}", flush=True)
    return True


def row(*cells):
    print(f"| {' | '.join(cells)} |", flush=True)


def both(result):
    return f"{result[0]:.2f} / {result[1]:.2f}"


AUDIO = [("speech", speech, "37.6 / 34.0", "37.7 / 34.1", None),
         ("guitar", guitar, "40.9 / 41.9", "43.0 / 42.7", "43.7 / 43.1"),
         ("music", music, "14.3 / 19.1", "15.2 / 19.2", "15.3 / 19.2")]
SERIES = [("laser", laser), ("Mackey-Glass", mackey_glass)] + [
    (name, lambda name=name: nab(name)) for name in (
        "machine_temperature_system_failure", "ec2_cpu_utilization_5f5533",
        "occupancy_t4013", "Twitter_volume_GOOG", "TravelTime_387",
        "ec2_cpu_utilization_825cc2", "exchange-2_cpm_results",
        "rds_cpu_utilization_cc0c53")]
SENSOR = "sensor=1"
NETS = ("rnn", "lstm", "gru", "mingru")
AROUND = "linear=1"


def audio():
    if not table("audio: dB whole / last third (ns a sample)", "", "asked of ar",
                 "ar", "with cascade 256, 32", "with cascade 1024, 256, 32",
                 "asked of nets", *NETS, "asked with 1024", "lstm, 1024"):
        return

    def cell(path, *keys):
        result = run(path, *keys)
        return f"{both(result)} ({result[3]:.0f})"

    for name, make, of_ar, of_nets, of_long in AUDIO:
        path = path_of(name, make)
        if path:
            row(name, of_ar, *[cell(path, *keys) for keys in (
                    [], ["cascade=256,32"], ["cascade=1024,256,32"])],
                of_nets, *[cell(path, f"model={net}", AROUND) for net in NETS],
                of_long or "",
                cell(path, "model=lstm", AROUND, "cascade=1024,256,32"))


def series():
    if not table("series: dB whole / last third", "", "persistence", "ar",
                 *NETS):
        return
    for name, make in SERIES:
        path = path_of(name, make)
        if path:
            row(name, both(persistence(path)), both(run(path, SENSOR)),
                *[both(run(path, SENSOR, f"model={net}", AROUND))
                  for net in NETS])


def floor():
    old = os.environ.get("OLD")
    if not old or not table("never below: dB above the better of OLD's ar and "
                            "persistence, whole / last third; asked: -0.25", "",
                            "OLD's ar", "persistence", "ar", *NETS):
        return
    named = [(name, make, ()) for name, make, *_ in AUDIO]
    named += [(name, make, (SENSOR,)) for name, make in SERIES]
    named += [(name, lambda name=name: nab(name), (SENSOR,)) for name in sorted(
        os.path.basename(path)[:-4] for path in
        glob.glob(os.path.join(data, "nab/data/*/*.csv")))
        if name not in [name for name, _ in SERIES]]
    for name, make, keys in named:
        path = path_of(name, make)
        if not path:
            continue
        then, last = run(path, bench=old), persistence(path)
        best = [max(a, b) for a, b in zip(then, last)]
        row(name, both(then), both(last), *[
            both([a - b for a, b in zip(run(path, *keys, *more), best)])
            for more in [()] + [(f"model={net}", AROUND) for net in NETS]])


def streaming():
    if not table("ETT, one hour ahead: mean square", "", "asked", "last value",
                 "ar"):
        return
    for name, asked in (("ETTh1", ".223"), ("ETTh2", ".335")):
        path = path_of(name, lambda name=name: ett(name))
        if path:
            x = load(path)
            last = sum((x[i] - x[i - 7]) ** 2 for i in range(3600 * 7, len(x)))
            row(name, asked, f"{last / (len(x) - 3600 * 7):.4f}",
                f"{run(path, SENSOR, 'channels=7', 'from=3600')[2]:.4f}")


def rms(values):
    return math.sqrt(sum(v * v for v in values) / len(values))


def sensors():
    if not table("series made: RMS of the error", "", "unit", "asked",
                 "frames 190 to 210", "second half"):
        return
    def counter(t, rand, sum=[0]):
        sum[0] = 0 if t == 0 else sum[0] + rand.uniform(38, 42)
        return sum[0]

    for name, unit, asked, f in (
            ("ramp 3 t", 3, ".001 at 200", lambda t, rand: 3.0 * t),
            ("clean sine + 20", .16, ".001 at 200",
             lambda t, rand: 20 + math.sin(2 * math.pi * t / 25)),
            ("counter 40 +- 2", 2 / math.sqrt(3), "1.05", counter),
            ("ramp 3 t + noise .1, offset 1e9", .1, "1.10",
             lambda t, rand: 1e9 + 3.0 * t + rand.gauss(0, .1)),
            ("sine .3 + noise .01, offset 1e9", .01, "",
             lambda t, rand: 1e9 + .3 * math.sin(2 * math.pi * t / 50)
             + rand.gauss(0, .01)),
            ("white noise + 5", 1, "", lambda t, rand: 5 + rand.gauss(0, 1))):
        early, late = [], []
        for seed in range(4):
            e = run(save("made", made(f, seed=seed)), SENSOR, residual=True)
            early.append(rms(e[190:210]) / unit)
            late.append(rms(e[len(e) // 2:]) / unit)
        row(name, f"{unit:.3g}", asked, f"{rms(early):.4f}", f"{rms(late):.4f}")


def outliers():
    if not table("sine .3 + noise .01, then an event: RMS of the error over "
                 "what it is without", "", "asked", "frame 1", "2 to 8",
                 "9 to 32", "33 to 256"):
        return
    base = made(lambda t, rand: .3 * math.sin(2 * math.pi * t / 50)
                + rand.gauss(0, .01), 6000)
    floor = rms(run(save("made", base), SENSOR, residual=True)[4000:5000])
    at = 4000
    for name, asked, change in (
            ("one of 5", "1.2 from 2 on", lambda x: x[:at] + [5] + x[at + 1:]),
            ("one of -999", "1.2", lambda x: x[:at] + [-999] + x[at + 1:]),
            ("one of 65535", "1.2", lambda x: x[:at] + [65535] + x[at + 1:]),
            ("one of 1e9", "1.2", lambda x: x[:at] + [1e9] + x[at + 1:]),
            ("one of 1e30", "1.2", lambda x: x[:at] + [1e30] + x[at + 1:]),
            ("one NaN", "1.2", lambda x: x[:at] + [math.nan] + x[at + 1:]),
            ("five of -999", "1.2", lambda x: x[:at] + 5 * [-999] + x[at + 5:]),
            ("five of 1e9", "1.2", lambda x: x[:at] + 5 * [1e9] + x[at + 5:]),
            ("40 of -999", "", lambda x: x[:at] + 40 * [-999] + x[at + 40:]),
            ("400 NaN", "", lambda x: x[:at] + 400 * [math.nan] + x[at + 400:]),
            ("step of 50 sigma", "4 wrong",
             lambda x: x[:at] + [v + .5 for v in x[at:]]),
            ("step of 1000 sigma", "10 wrong",
             lambda x: x[:at] + [v + 10 for v in x[at:]])):
        x = change(base)
        e = run(save("made", x), SENSOR, residual=True)
        n = next((i for i in range(at, len(x)) if x[i] == base[i]), at + 1)
        row(name, asked, *[f"{rms(e[n + a:n + b]) / floor:.3g}" for a, b in
                           ((0, 1), (1, 8), (8, 32), (32, 256))])


for each in (audio, series, floor, streaming, sensors, outliers):
    each()
if missing:
    print("\nnot there: " + ", ".join(missing))
