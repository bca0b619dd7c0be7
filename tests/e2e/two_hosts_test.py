#!/usr/bin/env python3
"""The report's layout: 24 ranks on two hosts (network namespaces of this machine), started by `train_alcf.sh`'s own last line."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

from mpi_launchers import AS_ROOT, found_libraries
from two_hosts import TwoHosts, skip_without

BOREALIS = pathlib.Path(os.environ["BOREALIS"]).resolve()
TRAIN = ["--num-layers", "2", "--hidden-size", "64", "--num-attention-heads", "4", "--num-key-value-heads", "2", "--ffn-hidden-size", "96", "--seq-length", "32", "--mock-data",
         "--vocab-size", "2048", "--dtype", "fp32", "--no-progress", "--train-iters", "3", "--eval-interval", "0", "--no-save"]
TIMEOUT_S = 300

failures = 0


def check(holds, what, told=""):
    global failures
    print(("ok      " if holds else "FAILED  ") + what + ("" if holds else f": {told}"), flush=True)
    failures += not holds


def run(hosts, folder, command, **variables):
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "OMP_WAIT_POLICY": "passive", **AS_ROOT, **{name: str(value) for name, value in variables.items()}}
    return subprocess.run(hosts.on(0, command), cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, stdin=subprocess.DEVNULL)


def reports_layout(hosts, folder, library):
    (folder / "nodes").write_text("".join(f"{name}\n" for name in hosts.names))
    launcher = " ".join(hosts.launcher(library))
    layout = {"PBS_NODEFILE": "nodes", "NGPU_PER_HOST": 12, "MICRO_BATCH": 1, "GRAD_ACC_STEPS": 2, "ZERO_STAGE": 1, "MPIEXEC": launcher}
    result = run(hosts, folder, [BOREALIS, "launch", "train", *TRAIN, "--run-dir", "run"], **layout)
    check(result.returncode == 0, f"{library}: 24 ranks on two hosts", result.stdout[-2000:] + result.stderr)
    check("starting 24 ranks on 2 hosts (PBS_NODEFILE=nodes, NGPU_PER_HOST=12): " in result.stderr, f"{library}: says what it starts", result.stderr)
    check("24 ranks on 2 hosts, " in result.stdout and "GLOBAL_BATCH=48" in result.stdout, f"{library}: the log", result.stdout[:3000])
    losses = [json.loads(line)["lm_loss"] for line in (folder / "run/metrics.jsonl").read_text().splitlines()]
    report = run(hosts, folder, [BOREALIS, "report", "run", "--output", "report", "--warmup", "1"])
    raw = "".join(path.read_text() for path in sorted((folder / "report").glob("*.md")))
    check(report.returncode == 0 and "[NHOST:2][MB:1][GAS:2][GB:48]" in raw and "env.NHOSTS: 2" in raw, f"{library}: the raw data", (report.stdout, report.stderr, raw[-3000:]))
    alone = {"MICRO_BATCH": 1, "GLOBAL_BATCH": 48}
    result = run(hosts, folder, [BOREALIS, "train", *TRAIN, "--run-dir", "alone"], **alone)
    expected = [json.loads(line)["lm_loss"] for line in (folder / "alone/metrics.jsonl").read_text().splitlines()]
    check(len(losses) == 3 and all(abs(a - b) <= 1e-6 * b for a, b in zip(losses, expected)), f"{library}: the losses of one rank", (losses, expected))
    result = run(hosts, folder, [BOREALIS, "launch", "doctor", *TRAIN[:-6], "--json"], **{**layout, "NGPU_PER_HOST": 2})
    ranks = json.loads(result.stdout)["ranks"]
    check(result.returncode == 0 and [rank["host"] for rank in ranks] == [name for name in hosts.names for _ in range(2)], f"{library}: doctor knows the hosts", ranks)


def same_bits_at_every_stage(hosts, folder, library):
    """With one micro-batch a step; hpZ keeps the second gathering of a step within a host."""
    (folder / "nodes").write_text("".join(f"{name}\n" for name in hosts.names))
    layout = {"PBS_NODEFILE": "nodes", "NGPU_PER_HOST": 2, "MICRO_BATCH": 1, "GRAD_ACC_STEPS": 1, "MPIEXEC": " ".join(hosts.launcher(library))}
    expected = None
    for stage, partition in ((0, 1), (1, 1), (2, 1), (3, 1), (3, 2)):
        name = f"stage{stage}-{partition}"
        result = run(hosts, folder, [BOREALIS, "launch", "train", *TRAIN, "--run-dir", name], **layout, ZERO_STAGE=stage, ZERO_HPZ_PARTITION_SIZE=partition)
        check(result.returncode == 0, f"{library}: {name}", result.stdout[-2000:] + result.stderr)
        losses = [json.loads(line)["lm_loss"] for line in (folder / name / "metrics.jsonl").read_text().splitlines()]
        expected = expected or losses
        check(len(losses) == 3 and losses == expected, f"{library}: {name} has the losses of stage 0", (losses, expected))


def main():
    skip_without()
    for library in found_libraries():
        with TwoHosts() as hosts, tempfile.TemporaryDirectory(prefix="borealis-two-hosts-") as folder:
            reports_layout(hosts, pathlib.Path(folder), library)
            same_bits_at_every_stage(hosts, pathlib.Path(folder), library)
    sys.exit(1 if failures else 0)


main()
