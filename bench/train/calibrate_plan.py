#!/usr/bin/env python3
"""Holds `borealis plan` against this machine: calibrates a machine file on four small runs and on what
doctor measures of its links, predicts ten others (other depth, width, sequence, vocabulary, recompute,
accumulation, ranks), and compares.

    calibrate_plan.py [--borealis build/release/borealis] [--output FOLDER] [--steps 10] [--repeat 2]
                      [--dtype bf16] [--tolerance 0.1]

Prints predicted and measured tokens/s, and ends with 1 if one of the ten is off by more than the
tolerance. Without an MPI library those of two ranks are left out. The machine should do nothing else meanwhile; every run is made --repeat times, all of
them in turn, and the fastest median of a configuration counts.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

# layers, hidden, heads, kv heads, ffn, vocabulary, sequence, micro batch, more flags; ranks, ZeRO stage
CALIBRATION = {
    "wide": (4, 1024, 16, 4, 2816, 32000, 1024, 1, ()),
    "deep": (8, 512, 8, 4, 1408, 8192, 512, 4, ()),
    "narrow": (4, 256, 4, 2, 704, 4096, 512, 8, ()),
    "long": (4, 512, 8, 4, 1408, 8192, 4096, 1, ()),
}
PREDICTION = {
    "shallow": (2, 512, 8, 4, 1408, 8192, 512, 4, ()),
    "deeper": (12, 512, 8, 4, 1408, 8192, 512, 4, ()),
    "between": (4, 768, 12, 4, 2048, 8192, 512, 4, ()),
    "longer": (4, 512, 8, 4, 1408, 8192, 2048, 2, ()),
    "recompute": (8, 512, 8, 4, 1408, 8192, 512, 4, ("--checkpoint-activations",)),
    "accumulate": (6, 512, 8, 4, 1408, 8192, 512, 2, ("--grad-acc-steps", "4")),
    "vocabulary": (4, 384, 6, 2, 1024, 32000, 512, 4, ()),
    "wider": (6, 1024, 8, 4, 2816, 32000, 2048, 1, ()),
    "ranks": (4, 768, 12, 4, 2048, 8192, 512, 4, (), 2, 0),
    "sharded": (8, 512, 8, 4, 1408, 8192, 512, 4, (), 2, 3),
}
SIZES = ("--num-layers", "--hidden-size", "--num-attention-heads", "--num-key-value-heads",
         "--ffn-hidden-size", "--vocab-size", "--seq-length", "--micro-batch-size")


def flags_of(shape, dtype):
    flags = [text for name, size in zip(SIZES, shape) for text in (name, str(size))]
    return flags + list(shape[len(SIZES)]) + ["--dtype", dtype, "--mock-data"]


def ranks_of(shape):
    return shape[len(SIZES) + 1] if len(shape) > len(SIZES) + 1 else 1


def settings_of(shape):
    return {"ZERO_STAGE": str(shape[-1])} if ranks_of(shape) > 1 else {}


def step_ms(run):
    return json.loads((run / "summary.json").read_text())["step_ms"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--borealis", default="build/release/borealis")
    parser.add_argument("--output", help="where the runs go (default: a temporary folder)")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--dtype", default="bf16")
    parser.add_argument("--tolerance", type=float, default=0.1)
    arguments = parser.parse_args()
    borealis = str(pathlib.Path(arguments.borealis).resolve())
    kept = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "DEVICE": "cpu"}
    launchers = any(shutil.which(name) for name in ("mpirun", "mpiexec"))
    predicted = {name: shape for name, shape in PREDICTION.items() if launchers or ranks_of(shape) == 1}

    def call(*words, **settings):
        result = subprocess.run([borealis, *words], env=kept | settings, capture_output=True, text=True)
        if result.returncode != 0:
            sys.exit(f"borealis {' '.join(words)}\n{result.stdout}{result.stderr}")
        return result.stdout

    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(arguments.output or temporary).resolve()
        best = {}
        for repeat in range(arguments.repeat):
            for name, shape in (CALIBRATION | predicted).items():
                run = folder / f"{name}-{repeat}"
                if not (run / "report.html").exists():
                    ranks = ranks_of(shape)
                    call(*(["launch"] if ranks > 1 else []), "train", *flags_of(shape, arguments.dtype), "--train-iters",
                         str(arguments.steps), "--eval-interval", "0", "--split", "1,0,0", "--no-save",
                         "--no-load", "--no-progress", "--run-dir", str(run), NGPU_PER_HOST=str(ranks), **settings_of(shape))
                if name not in best or step_ms(run) < step_ms(best[name]):
                    best[name] = run
        machine = folder / "this-machine.json"
        links = []
        if launchers:
            links = [str(folder / "links.json")]
            pathlib.Path(links[0]).write_text(call("launch", "doctor", "--mock-data", "--json", NGPU_PER_HOST="2"))
        print(call("plan", "--calibrate", *(str(best[name]) for name in CALIBRATION), *links, "--output",
                   str(machine)))
        worst = 0
        for name, shape in predicted.items():
            plan = json.loads(call("plan", "--machine", str(machine), "--ranks-per-host", str(ranks_of(shape)), "--json",
                                   *flags_of(shape, arguments.dtype), **settings_of(shape)))
            point = plan["points"][0]
            measured = step_ms(best[name])
            error = 1000 * point["step_time_s"] / measured - 1
            worst = max(worst, abs(error))
            print(f"{name:<12} measured {measured:8.1f} ms  predicted {1000 * point['step_time_s']:8.1f} ms"
                  f"  {100 * error:+6.1f} %  (2 sd {200 * point['relative_standard_deviation']:.1f} %)")
        print(f"largest error {100 * worst:.1f} %, allowed {100 * arguments.tolerance:.0f} %")
        return int(worst > arguments.tolerance)


if __name__ == "__main__":
    sys.exit(main())
