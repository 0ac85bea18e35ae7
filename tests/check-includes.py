#!/usr/bin/env python3
"""check-includes.py ROOT: holds every #include against a list of what is allowed.

What the table says of a folder is all that its files may include, and all of
this repository that they may reach through other headers. Includes are written
from the repository root, so that each line shows what it depends on.
"""
# SPDX-License-Identifier: LGPL-2.1-or-later
import fnmatch
import os
import re
import sys

# The C library and GLib: for everyone.
COMMON = """<complex.h> <errno.h> <fcntl.h> <float.h> <glib.h> <glib/gstdio.h>
  <locale.h> <math.h> <signal.h> <stdarg.h> <stdio.h> <stdlib.h> <string.h>
  <sys/stat.h> <tgmath.h> <time.h> <unistd.h>"""

# What each folder may include beside COMMON. The longest name counts.
ALLOWED = {
    "models/": """models/kinds.h src/cpu.h src/error.h src/kind.h src/layer.h
      src/real.h src/simd/*.h""",
    "src/simd/": """src/cpu.h src/error.h src/kind.h src/layer.h src/real.h
      src/simd/*.h <immintrin.h> <arm_neon.h>""",
    "src/": "src/*.h <sys/mman.h> <sys/resource.h> <xmmintrin.h>",
    "src/io/": "src/*.h src/io/*.h <jansson.h> <sys/file.h>",
    "src/io/onnx/": "src/*.h src/io/*.h src/io/onnx/onnx.h onnx.pb-c.h",
    "src/live/": """src/*.h src/live/*.h src/io/safetensors.h src/io/load.h
      src/io/hints.h src/io/file.h""",
    "src/text/": "src/error.h src/text/*.h <jansson.h>",
    "src/train/": "src/*.h src/train/*.h src/io/safetensors.h",
    "plugin/": """plugin/*.h src/cpu.h src/error.h src/kind.h src/model.h src/real.h
      src/live/*.h src/io/load.h src/io/hints.h src/io/file.h
      src/text/text.h src/text/time.h <gst/*>""",
    "tools/": """tools/*.h src/*.h src/live/*.h src/io/*.h src/train/*.h <gst/*>
      <cairo.h> <cairo-svg.h> <jansson.h>""",
    "bench/": """bench/*.h tests/*.h tests/gst/filter.h tools/bench.h src/*.h src/live/*.h src/io/*.h
      src/text/*.h src/train/*.h <cairo.h> <jansson.h> <sys/resource.h> <gst/*>""",
    "tests/": """tests/*.h tests/fuzz/*.h src/*.h src/live/*.h src/io/*.h src/text/*.h src/train/*.h
      onnx.pb-c.h <jansson.h> <malloc.h> <sys/file.h> <sys/resource.h>
      <sys/wait.h>""",
    "tests/gst/": """tests/gst/*.h plugin/*.h src/*.h src/live/*.h src/io/*.h
      src/text/*.h
      <gst/*> <dlfcn.h> <jansson.h> <linux/futex.h> <pthread.h>
      <sanitizer/tsan_interface.h> <sys/syscall.h>""",
}

INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|(<[^>]+>))')


def includes_of(path):
    """(line number, name) of each #include; a system header keeps its <>."""
    found = []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if match := INCLUDE.match(line):
                found.append((number, match[1] or match[2]))
    return found


def matches(name, pattern):
    """As in a shell, where * is never a slash; but <gst/*> is a whole tree."""
    return fnmatch.fnmatchcase(name, pattern) and (
        name.count("/") == pattern.count("/") or pattern.startswith("<"))


def folder_of(path):
    return max((f for f in ALLOWED if path.startswith(f)), key=len)


def allowed(path, name):
    """Whether a file may include this, be it itself or through a header."""
    patterns = (COMMON + " " + ALLOWED[folder_of(path)]).split()
    return any(matches(name, pattern) for pattern in patterns)


os.chdir(sys.argv[1])
graph = {}
for top in sorted({folder.split("/")[0] for folder in ALLOWED}):
    for parent, _, names in os.walk(top):
        for name in names:
            if name.endswith((".c", ".h")):
                path = os.path.join(parent, name)
                graph[path] = includes_of(path)

faults = []
for path in sorted(graph):
    todo = [(number, name, "") for number, name in graph[path]]
    seen = set()
    while todo:
        number, name, through = todo.pop(0)
        if name in seen:
            continue
        seen.add(name)
        if not allowed(path, name):
            faults.append(f"{path}:{number}: {name}{through} is not allowed in "
                          f"{folder_of(path)}")
            continue
        # what a header may not include itself is told of the header alone
        todo += [(number, inner, f" (through {name})")
                 for _, inner in graph.get(name, [])
                 if inner in graph and allowed(name, inner)]
print(*faults, sep="\n")
print(f"{len(graph)} files, {len(faults)} includes that are not allowed")
sys.exit(bool(faults) or not graph)
