"""Threads that the environment binds to cores (OMP_PROC_BIND, as job scripts of clusters set it) are as many as without,
and compute the same losses. Under a binding the main thread sees one core only."""

import json
import os
import pathlib
import subprocess
import tempfile
import time

BOREALIS = os.environ["BOREALIS"]
OPTIONS = ["--mock-data", "--no-save", "--no-progress", "--eval-interval", "0", "--num-layers", "1", "--hidden-size", "64",
           "--num-attention-heads", "2", "--ffn-hidden-size", "128", "--vocab-size", "512", "--seq-length", "64",
           "--train-iters", "2", "--device", "cpu"]


def run(folder, binding):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    result = subprocess.run([BOREALIS, "train", *OPTIONS, "--run-dir", folder], env=environment | binding,
                            capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


def train(folder, binding):
    run(folder, binding)
    steps = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    losses = [step["lm_loss"] for step in steps if "lm_loss" in step]
    assert len(losses) == 2, steps
    return losses, json.loads((folder / "summary.json").read_text())["machine"]["cores"]


def masks_of_threads(folder, binding):
    """The cores that each thread of a run may use, while it makes steps."""
    options = [option if option != "2" or OPTIONS[i - 1] != "--train-iters" else "100000" for i, option in enumerate(OPTIONS)]
    with subprocess.Popen([BOREALIS, "train", *options, "--run-dir", folder], env=os.environ | binding, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as run:
        metrics = folder / "metrics.jsonl"
        while run.poll() is None and not (metrics.exists() and metrics.read_text().count("\n") > 2):
            time.sleep(0.05)
        assert run.poll() is None, run.stderr.read()
        masks = []
        for task in pathlib.Path(f"/proc/{run.pid}/task").iterdir():
            try:
                masks.append(len(os.sched_getaffinity(int(task.name))))
            except ProcessLookupError:
                pass  # it has just ended
        run.terminate()
        assert run.wait(60) in (0, 128 + 15), run.stderr.read()
    return sorted(masks)


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
        # Places of fewer cores than the process has: threads beyond those would wait for each other.
        first = min(os.sched_getaffinity(0))
        single, _ = train(folder / "single", {"OMP_NUM_THREADS": "1"})
        for name, narrow in (("places", {"OMP_PROC_BIND": "close", "OMP_PLACES": f"{{{first}}}"}), ("affinity", {"GOMP_CPU_AFFINITY": str(first)})):
            assert train(folder / name, narrow) == (single, 1), name
            told = run(folder / f"{name}-2", {**narrow, "OMP_NUM_THREADS": "2"})
            assert "2 threads share the 1 core of OpenMP's places" in told, told
            assert "OpenMP's places" not in run(folder / f"{name}-1", {**narrow, "OMP_NUM_THREADS": "1"}), name
        # Each thread of the team has a core, and so has the one that waits for signals; those that work beside it (data, records) have all cores, of which the first is as
        # busy as any.
        masks = masks_of_threads(folder / "masks", {"OMP_PROC_BIND": "close", "OMP_PLACES": "threads", "OMP_NUM_THREADS": str(cores)})
        if cores > 1:
            assert masks[:cores + 1] == [1] * (cores + 1) and len(masks) > cores + 1 and set(masks[cores + 1:]) == {cores}, masks


main()
