"""bench/train/compare_pytorch.py on its smallest workload: that it runs, and that what it writes is of runs that
trained. Nothing is asserted of time. The peer takes part where torch is installed."""

import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile

BOREALIS = os.environ["BOREALIS"]
SOURCE = pathlib.Path(os.environ["BOREALIS_SOURCE_DIR"])
SCRIPT = SOURCE / "bench/train/compare_pytorch.py"
PEERS = pathlib.Path(os.environ.get("BOREALIS_PEERS", SOURCE / "build/peers"))
VOCAB = 512


def python_with_torch():
    """A Python that finds torch without the caller's variables, which the script does not pass on; or None."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    for python in (PEERS / "bin/python", pathlib.Path(sys.executable)):
        check = [python, "-c", "import torch"]
        if python.exists() and subprocess.run(check, capture_output=True, env=environment).returncode == 0:
            return python
    return None


def compare(folder, *options):
    command = [sys.executable, SCRIPT, "--borealis", BOREALIS, "--output", folder / "out", "--rounds", "1", *options]
    return subprocess.run([str(part) for part in command], capture_output=True, text=True)


def check_runs(report, variants):
    assert [run["variant"] for run in report["runs"]] == variants, report["runs"]
    for run in report["runs"]:
        assert "error" not in run, run["error"]
        assert run["tokens_per_s"] > 0 and run["peak_memory_bytes"] > 0 and run["first_step_done_s"] > 0, run
        # Random tokens and fresh weights: the loss of a uniform guess, and half the variance of the first logits.
        assert abs(run["losses"][0] - math.log(VOCAB)) < 0.5, run["losses"]
    assert len(report["ratios"]) == len(variants) - 1


def main():
    python = python_with_torch()
    variants = ["installed"] if python else []
    peer = ["--python", python] if python else []
    if not python:
        print("skipped: the Python package 'torch' is not installed; Borealis runs alone")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        result = compare(folder, "--workloads", "smoke", "--variants", ",".join(variants), *peer)
        assert result.returncode == 0, result.stderr
        check_runs(json.loads((folder / "out.json").read_text()), ["borealis", *variants])
        assert "| smoke | borealis | 1 |" in (folder / "out.md").read_text()
        refused = compare(folder, "--workloads", "smoke,nothing")
        assert refused.returncode == 2 and "'nothing' is none of S, M, A, V, smoke" in refused.stderr, refused.stderr


if __name__ == "__main__":
    main()
