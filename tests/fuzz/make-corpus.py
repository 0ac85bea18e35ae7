#!/usr/bin/env python3
"""make-corpus.py FOLDER CASES...: small good files as a fuzzer's first inputs.

Copies every file below 20 kB of the given folders (a model each) into FOLDER,
under names that do not clash.
"""
import os
import shutil
import sys

target, folders = sys.argv[1], sys.argv[2:]
os.makedirs(target, exist_ok=True)
for folder in folders:
    for path, _, files in os.walk(folder):
        for name in files:
            source = os.path.join(path, name)
            if name.endswith((".safetensors", ".json", ".nam", ".onnx", ".aidax")) \
                    and name not in ("case.json", "bad.json") \
                    and os.path.getsize(source) < 20000:
                flat = os.path.relpath(source, folder).replace(os.sep, "_")
                shutil.copyfile(source, os.path.join(target, flat))
