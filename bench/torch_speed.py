#!/usr/bin/python3
"""PyTorch beside bench_speed: ns a sample, one thread, in blocks of 1, 64 and
4800 samples, and how many times what the filter takes.

  torch_speed.py BENCH_SPEED
"""
# SPDX-License-Identifier: LGPL-2.1-or-later
import subprocess
import sys
import time

try:
    import torch
except ImportError:
    print("NOT RUN: python3-torch is absent")
    sys.exit(77)

BLOCKS = 1, 64, 4800


class Net(torch.nn.Module):
    def __init__(self, kind, size):
        super().__init__()
        self.rnn = getattr(torch.nn, kind.upper())(1, size)
        self.head = torch.nn.Linear(size, 1)

    def forward(self, x, state):
        h, state = self.rnn(x, state)
        return self.head(h), state


def cost(net, block):
    """Best of several, ns a sample."""
    x = torch.sin(.3 * torch.arange(block)).reshape(block, 1, 1)
    y, state = net(x, None)
    best = float("inf")
    for _ in range(10):
        start, n = time.perf_counter(), 0
        while time.perf_counter() - start < .02:
            y, state = net(x, state)
            n += block
        best = min(best, (time.perf_counter() - start) * 1e9 / n)
    return best


torch.set_num_threads(1)
torch.set_grad_enabled(False)
print(f"PyTorch {torch.__version__}, ns a sample in blocks of 1, 64, 4800; "
      "times seqfilter's in blocks of 64")
for kind in "lstm", "gru":
    for size in 16, 32, 64, 128:
        lines = subprocess.run([sys.argv[1], kind, str(size)], check=True,
                               capture_output=True, text=True).stdout
        ours = next(float(f[2]) for f in map(str.split, lines.splitlines())
                    if f[:2] == [kind, str(size)])
        costs = [cost(Net(kind, size), block) for block in BLOCKS]
        print(f"{kind:4} {size:4} {ours:8.0f}",
              *(f"{c:9.0f} ({c / ours:.0f})" for c in costs), flush=True)
