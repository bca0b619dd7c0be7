#!/usr/bin/env python3
"""Makes tests/golden/state: a checkpoint of three steps of a very small model, and golden.json with what an
independent reader (safetensors, numpy) sees in it. Run it only when the format of saved states changes; what was
committed before must load as long as its version is read.

    BOREALIS=build/ci/borealis build/peers/bin/python tests/train/make_golden_state.py
"""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import numpy
from safetensors.numpy import load_file

# tests/train/golden_state_test.cpp has the same flags.
FLAGS = """--mock-data --vocab-size 128 --num-layers 2 --hidden-size 8 --num-attention-heads 2 --num-key-value-heads 1
           --ffn-hidden-size 12 --seq-length 8 --micro-batch-size 1 --grad-acc-steps 2 --train-iters 6
           --eval-interval 2 --eval-iters 1 --lr 0.01 --lr-warmup-fraction 0.1 --split 90,10,0""".split()

golden = pathlib.Path(__file__).resolve().parents[1] / "golden/state"
program = pathlib.Path(os.environ["BOREALIS"]).resolve()
with tempfile.TemporaryDirectory() as folder:
    environment = {**os.environ, "CKPT_DIR": "checkpoints", "OMP_NUM_THREADS": "2"}
    subprocess.run([program, "train", *FLAGS, "--exit-interval", "3", "--run-dir", "run", "--no-progress"],
                   cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(golden, ignore_errors=True)
    shutil.copytree(pathlib.Path(folder) / "checkpoints/global_step3", golden / "global_step3")

seen = {}
for name, values in load_file(golden / "global_step3/state/shard-00000-of-00001.safetensors").items():
    kind, tensor, begin = name.split(":")
    assert begin == "0", name
    seen.setdefault(kind, {})[tensor] = {
        "sum": float(values.astype(numpy.float64).sum()),
        "sum_of_squares": float((values.astype(numpy.float64) ** 2).sum()),
        "elements": values.size,
    }
(golden / "golden.json").write_text(json.dumps(seen, indent=1, sort_keys=True) + "\n")
