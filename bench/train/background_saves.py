#!/usr/bin/env python3
"""What saving in the background costs the steps beside it.

    background_saves.py [--borealis FILE] [--interval 25] [--saves 11] [--folder DIR]

Trains model M (8 layers of 1024, 2048 tokens) on made-up data with a save every INTERVAL steps and
compares each step with the quiet ones around its save: a shared machine drifts by more than saving
costs. The folder should lie on the disk that is meant; it needs some 7 GB.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
MODEL = ("--num-layers 8 --hidden-size 1024 --num-attention-heads 16 --num-key-value-heads 4 --ffn-hidden-size 2816 "
         "--vocab-size 32000 --seq-length 2048 --micro-batch-size 1 --dtype bf16").split()
POLL_SECONDS = 0.2  # often enough for steps of a second, and no load beside them


def run(borealis, interval, steps, folder):
    """The steps' milliseconds, when each of them ended, and when each save was complete, by iteration."""
    command = [borealis, "train", *MODEL, "--mock-data", "--no-progress", "--eval-interval", "0", "--train-iters", steps,
               "--run-dir", folder / "run", "--save", folder / "checkpoints", "--save-interval", interval,
               "--keep-last", "2"]
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    latest = folder / "checkpoints/latest"
    metrics = folder / "run/metrics.jsonl"
    ended, saved = {}, {}
    with open(folder / "output", "w+", encoding="utf-8") as output:
        process = subprocess.Popen([str(word) for word in command], env=environment, stdout=output, stderr=output)
        while process.poll() is None:
            time.sleep(POLL_SECONDS)
            try:
                ended.setdefault(metrics.read_bytes().count(b"\n"), time.time())
                saved.setdefault(int(latest.read_text().removeprefix("global_step")), latest.stat().st_mtime)
            except FileNotFoundError:
                pass
        if process.returncode:
            output.seek(0)
            sys.exit(output.read()[-2000:])
    records = [json.loads(line) for line in metrics.read_text().splitlines()]
    return [record["elapsed_ms"] for record in records], ended, saved


def percent(values):
    return f"median {100 * statistics.median(values):+.1f} %, above 10 %: {sum(v > 0.1 for v in values)} of {len(values)}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--borealis", type=pathlib.Path, default=REPOSITORY / "build/release/borealis")
    parser.add_argument("--interval", type=int, default=25, help="steps between saves")
    parser.add_argument("--saves", type=int, default=11)
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path.cwd())
    options = parser.parse_args()
    interval = options.interval
    folder = pathlib.Path(tempfile.mkdtemp(prefix="background-saves-", dir=options.folder))
    try:
        times, ended, saved = run(options.borealis.resolve(), interval, interval * (options.saves + 1), folder)
    finally:
        shutil.rmtree(folder)

    first, beside, quiet, seconds = [], [], [], []
    for save in range(1, options.saves + 1):
        step = save * interval  # after which it was saved; times[step] is the next step's
        if step not in ended or step not in saved:
            continue
        # Steps from the first on that began before the checkpoint was complete.
        after = next((i for i in range(step, step + interval) if ended.get(i, 0) > saved[step]), step + interval)
        around = times[step - interval // 4:step] + times[after + 1:step + interval]
        base = statistics.median(around)
        first.append(times[step] / base - 1)
        beside += [t / base - 1 for t in times[step + 1:after]]
        quiet += [t / base - 1 for t in around]
        seconds.append(saved[step] - ended[step])
    print(f"{len(first)} saves every {interval} steps of {statistics.median(times):.0f} ms, "
          f"complete after {statistics.median(seconds):.1f} s; steps against the quiet ones around their save:")
    print(f"  the first, which waits for the copy: {percent(first)}; {' '.join(f'{100 * v:+.1f}' for v in first)}")
    if beside:
        print(f"  the others beside a save: {percent(beside)}")
    print(f"  quiet steps: {percent(quiet)}")


if __name__ == "__main__":
    main()
