#!/usr/bin/env python3
"""What an element costs beside its model: instructions a buffer of one frame.

usage: overhead.py PROGRAM

Counted by valgrind's callgrind as a difference of differences, so that
start-up, the harness and the model fall out. Exits with 77 (skip) where there
is no valgrind, 1 above the limit.
"""
import os
import re
import shutil
import subprocess
import sys

LIMIT = 2500
if not shutil.which("valgrind"):
    print("SKIPPED: valgrind is not installed")
    sys.exit(77)


def instructions(*args):
    out = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
         sys.argv[1], *map(str, args)],
        env={**os.environ, "SEQ_ISA": "c"}, stderr=subprocess.PIPE, text=True)
    if out.returncode:
        sys.exit(out.stderr)
    return int(re.search(r"Collected : (\d+)", out.stderr)[1])


def a_buffer(what):
    def slope(n):
        return instructions(what, n, 1500) - instructions(what, n, 500)
    return (slope(5) - slope(1)) / 4 / 1000


subprocess.run([sys.argv[1], "element", "1", "1"], check=True)  # fills the registry
element, core = a_buffer("element"), a_buffer("core")
print(f"element {element:.0f} instructions a buffer, of them model {core:.0f}: "
      f"overhead {element - core:.0f}, at most {LIMIT}")
sys.exit(element - core > LIMIT)
