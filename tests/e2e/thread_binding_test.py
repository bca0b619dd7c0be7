"""Threads that the environment binds to cores (OMP_PROC_BIND, as job scripts of clusters set it) are as many as without,
and compute the same losses. Under a binding the main thread sees one core only."""

import json
import os
import pathlib
import subprocess
import tempfile

BOREALIS = os.environ["BOREALIS"]
OPTIONS = ["--mock-data", "--no-save", "--no-progress", "--eval-interval", "0", "--num-layers", "1", "--hidden-size", "64",
           "--num-attention-heads", "2", "--ffn-hidden-size", "128", "--vocab-size", "512", "--seq-length", "64",
           "--train-iters", "2"]


def train(folder, binding):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    result = subprocess.run([BOREALIS, "train", *OPTIONS, "--run-dir", folder], env=environment | binding,
                            capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    steps = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    losses = [step["lm_loss"] for step in steps if "lm_loss" in step]
    assert len(losses) == 2, steps
    return losses, json.loads((folder / "summary.json").read_text())["machine"]["cores"]


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        losses, cores = train(folder / "free", {})
        assert cores == len(os.sched_getaffinity(0)), cores
        for places in ("threads", "cores"):
            bound = train(folder / places, {"OMP_PROC_BIND": "close", "OMP_PLACES": places})
            assert bound == (losses, cores), (places, bound, losses, cores)
            # A launcher, and the ranks that it starts, have them all as well.
            command = [BOREALIS, "launch", "--dry-run", "train", *OPTIONS]
            settings = {"NGPU_PER_HOST": "2", "OMP_PROC_BIND": "close", "OMP_PLACES": places}
            told = [subprocess.run(command, env=os.environ | given, capture_output=True, text=True) for given in (settings, {"NGPU_PER_HOST": "2"})]
            assert told[0].stdout == told[1].stdout and told[0].returncode == told[1].returncode, told


main()
