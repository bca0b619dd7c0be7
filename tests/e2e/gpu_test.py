#!/usr/bin/env python3
"""A GPU that is asked for and is not there is one line and exit code 8; without asking nobody hears of it. What a GPU would
hold can be planned for anywhere."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

BOREALIS = os.environ["BOREALIS"]
SOURCE = os.environ["BOREALIS_SOURCE_DIR"]
DEVICE_FAILS = 8
TINY = ["--mock-data", "--num-layers", "1", "--hidden-size", "32", "--num-attention-heads", "2", "--seq-length", "16", "--vocab-size",
        "64", "--train-iters", "2", "--no-save"]


def run(arguments, folder, **variables):
    environment = {**os.environ, "BOREALIS_HOME": SOURCE, "CUDA_VISIBLE_DEVICES": "", **variables}
    return subprocess.run([BOREALIS, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def require(condition, what, done):
    if not condition:
        sys.exit(f"{what}\nrc {done.returncode}\n{done.stdout}\n{done.stderr}")


def missing_gpu(folder):
    commands = {"train": ["train", *TINY, "--run-dir", "run"], "plan": ["plan", *TINY]}
    for name, command in commands.items():
        done = run(command, folder, DEVICE="cuda")
        lines = done.stderr.strip().splitlines()
        require(done.returncode == DEVICE_FAILS and len(lines) == 1, f"{name} with DEVICE=cuda and no GPU", done)
        require(lines[0].startswith("borealis: device: ") and "DEVICE=cpu" in lines[0], f"{name} does not say what to do", done)
    require(not (pathlib.Path(folder) / "run").exists(), "a run that cannot begin left a folder", done)
    done = run(["train", *TINY, "--run-dir", "auto"], folder)
    require(done.returncode == 0, "DEVICE=auto without a GPU", done)
    done = run(["train", *TINY, "--run-dir", "no"], folder, DEVICE="tpu")
    require(done.returncode == 2 and "DEVICE" in done.stderr, "DEVICE=tpu", done)
    done = run(["generate", "--model", "none", "--prompt", "x"], folder, DEVICE="tpu")
    require(done.returncode == 2 and "DEVICE=tpu is no device" in done.stderr, "generate with DEVICE=tpu", done)


# Peaks as measured on the card (docs/results/h100), in bytes.
def planned_gpu(folder):
    for layers, deterministic, peak in ((4, "1", 39282606080), (4, "0", 36162043904), (14, "0", 57311821824)):
        done = run(["plan", "--machine", "h100-80g", "--arch", "llama3-3B", "--nlayers", str(layers), "--ranks-per-host", "1",
                    "--json"], folder, DETERMINISTIC=deterministic, GRAD_ACC_STEPS="2", MICRO_BATCH="1")
        require(done.returncode == 0, "plan --machine h100-80g", done)
        (point,) = json.loads(done.stdout)["points"]
        planned = point["memory"]["total_bytes"]
        require(abs(planned / peak - 1) < 0.02, f"{layers} layers: {planned} planned, {peak} measured", done)


with tempfile.TemporaryDirectory() as work:
    missing_gpu(work)
    planned_gpu(work)
