#!/usr/bin/env python3
"""`borealis train` on a CPU takes the memory that it planned: no allocation that the plan does not know, and none that grows with the steps.

The sizes are those at which 5 % are more than what libraries and the system do differently from one machine to another."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

BOREALIS = pathlib.Path(os.environ["BOREALIS"]).resolve()
SHAPE = ["--num-layers", "4", "--hidden-size", "512", "--num-attention-heads", "8", "--num-key-value-heads", "2", "--ffn-hidden-size", "1024",
         "--vocab-size", "8192", "--seq-length", "256", "--micro-batch-size", "4", "--mock-data", "--tokenizer-type", "NullTokenizer"]
CASES = {
    "bf16": ["--no-save"],
    "fp32": ["--no-save", "--dtype", "fp32"],
    "recompute, accumulated": ["--no-save", "--checkpoint-activations", "--global-batch-size", "8"],
    "saves in the background": ["--save", "saved", "--save-interval", "2"],
}
TOLERANCE = 0.05  # the project's promise

failures = []
for name, options in CASES.items():
    with tempfile.TemporaryDirectory(prefix="borealis-memory-") as folder:
        environment = {"PATH": os.environ["PATH"], "HOME": folder, "OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "passive", "NO_TENSORBOARD": "1", "DEVICE": "cpu"}
        run = subprocess.run([BOREALIS, "train", *SHAPE, *options, "--train-iters", "6", "--split", "1,0,0", "--run-dir", "run", "--no-progress"], cwd=folder,
                             env=environment, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)
        if run.returncode != 0:
            failures.append(f"{name}: {run.stderr}")
            continue
        if ("written in the background" in run.stdout) != ("--save-interval" in options):
            failures.append(f"{name}: is not saved as it is meant")
        summary = json.loads((pathlib.Path(folder) / "run/summary.json").read_text())
        planned, peak = summary["planned_memory_bytes"], summary["peak_memory_bytes"]
        print(f"{name}: peak {peak / 2**20:.1f} MiB of {planned / 2**20:.1f} MiB planned, {100 * (peak / planned - 1):+.1f} %")
        if abs(peak - planned) > TOLERANCE * planned:
            failures.append(f"{name}: peak {peak}, planned {planned}")
for failure in failures:
    print("FAILED", failure)
sys.exit(1 if failures else 0)
