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
SCRIPT = pathlib.Path(os.environ["BOREALIS_SOURCE_DIR"]) / "bench/train/compare_pytorch.py"
VOCAB = 512


def has_torch():
    return subprocess.run([sys.executable, "-c", "import torch"], capture_output=True).returncode == 0


def compare(folder, *options):
    command = [sys.executable, SCRIPT, "--borealis", BOREALIS, "--python", sys.executable, "--output", folder / "out",
               "--rounds", "1", *options]
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
    variants = ["installed"] if has_torch() else []
    if not variants:
        print("skipped: the Python package 'torch' is not installed; Borealis runs alone")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        result = compare(folder, "--workloads", "smoke", "--variants", ",".join(variants))
        assert result.returncode == 0, result.stderr
        check_runs(json.loads((folder / "out.json").read_text()), ["borealis", *variants])
        assert "| smoke | borealis | 1 |" in (folder / "out.md").read_text()
        refused = compare(folder, "--workloads", "smoke,nothing")
        assert refused.returncode == 2 and "'nothing' is none of S, M, A, V, smoke" in refused.stderr, refused.stderr


if __name__ == "__main__":
    main()
