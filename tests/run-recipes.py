#!/usr/bin/env python3
"""run-recipes.py ROOT: runs every ```sh block of README.md and docs/formats.md.

Each block runs as it stands, by sh, in a temporary folder that has the
repository's docs; on a machine without microphone and loudspeaker, these two
are replaced: autoaudiosrc by a test source, autoaudiosink by fakesink.
"""
import os
import re
import subprocess
import sys
import tempfile

root = os.path.abspath(sys.argv[1])
recipes = []
for page in ("README.md", "docs/formats.md"):
    with open(os.path.join(root, page), encoding="utf-8") as f:
        found = re.findall(r"^```sh\n(.*?)^```", f.read(), re.M | re.S)
    if not found:
        sys.exit(page + " has no recipes")
    recipes += found

failed = 0
with tempfile.TemporaryDirectory() as folder:
    for name in ("docs", "data", "share", "tests"):
        if os.path.exists(os.path.join(root, name)):
            os.symlink(os.path.join(root, name), os.path.join(folder, name))
    for number, recipe in enumerate(recipes, 1):
        command = recipe.replace("autoaudiosrc", "audiotestsrc num-buffers=50")
        command = command.replace("autoaudiosink", "fakesink")
        command = command.replace("python3 ", "/usr/bin/python3 ")
        run = subprocess.run(["sh", "-ec", command], cwd=folder, text=True,
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, timeout=120)
        # gst-launch-1.0 exits with 0 after some warnings that are failures here
        bad = run.returncode or "CRITICAL" in run.stdout or "WARNING" in run.stdout
        print(f"{'not ok' if bad else 'ok'} {number} - {recipe.splitlines()[0]}")
        if bad:
            failed += 1
            print(run.stdout)
print(f"{len(recipes) - failed} of {len(recipes)} recipes ran")
sys.exit(failed > 0)
