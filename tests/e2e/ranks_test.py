#!/usr/bin/env python3
"""`mpirun -n N borealis train`: data-parallel ranks train what one rank trains, and end together when what they are given is wrong.

Under each MPI library that the build found; all ranks share this machine.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

from mpi_launchers import AS_ROOT, LAUNCHERS, RANK, found_libraries
from small_training import write_dataset

BOREALIS = pathlib.Path(os.environ["BOREALIS"]).resolve()
SHAPE = ["--num-layers", "2", "--hidden-size", "64", "--num-attention-heads", "4", "--num-key-value-heads", "2", "--ffn-hidden-size", "96",
         "--seq-length", "32", "--mock-data", "--vocab-size", "2048", "--dtype", "fp32", "--lr", "1e-3", "--no-progress", "--log-interval", "1"]
ENVIRONMENT = {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", **AS_ROOT}
GLOBAL_BATCH, TIMEOUT_S = 12, 120

failures = 0


def check(holds, what, told=""):
    global failures
    print(("ok      " if holds else "FAILED  ") + what + ("" if holds else f": {told}"), flush=True)
    failures += not holds


class Lab:
    def __init__(self, library, folder):
        self.library, self.folder = library, pathlib.Path(folder)

    def command(self, ranks, *options, prefix=(), shape=SHAPE):
        launcher = [*LAUNCHERS[self.library], "-n", str(ranks)] if ranks > 1 else []
        return [*launcher, *prefix, str(BOREALIS), "train", *shape, "--global-batch-size", str(GLOBAL_BATCH), "--micro-batch-size", "1", *options]

    def run(self, ranks, *options, prefix=(), shape=SHAPE):
        return subprocess.run(self.command(ranks, *options, prefix=prefix, shape=shape), cwd=self.folder, env=ENVIRONMENT | {"HOME": str(self.folder)}, capture_output=True, text=True,
                              timeout=TIMEOUT_S, stdin=subprocess.DEVNULL)

    def start(self, ranks, *options):
        return subprocess.Popen(self.command(ranks, *options), cwd=self.folder, env=ENVIRONMENT | {"HOME": str(self.folder)}, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, start_new_session=True)

    def metrics(self, run_dir):
        return [json.loads(line) for line in (self.folder / run_dir / "metrics.jsonl").read_text().splitlines()]


def losses(steps):
    return [step["lm_loss"] for step in steps]


def close(a, b):
    return len(a) == len(b) and all(abs(x - y) <= 1e-6 * y for x, y in zip(a, b))


def told_by(result):
    """The program's own error lines; launchers add theirs."""
    return [line for line in result.stderr.splitlines() if line.startswith("borealis:")]


def same_training(lab):
    run = ["--train-iters", "20", "--eval-interval", "10", "--eval-iters", "2"]
    result = lab.run(1, *run, "--run-dir", "one", "--no-save")
    check(result.returncode == 0, f"{lab.library}: one rank", result.stderr)
    one = lab.metrics("one")
    for ranks in (2, 3, 4):
        name = f"ranks{ranks}"
        result = lab.run(ranks, *run, "--run-dir", name, "--no-save")
        check(result.returncode == 0, f"{lab.library}, {ranks} ranks: exit code", result.stdout + result.stderr)
        many = lab.metrics(name)
        check(close(losses(many), losses(one)), f"{lab.library}, {ranks} ranks: losses of one rank", f"{losses(many)} {losses(one)}")
        check([s["consumed_samples"] for s in many] == [s["consumed_samples"] for s in one], f"{lab.library}, {ranks} ranks: samples")
        check(all(s["global_batch_size"] == GLOBAL_BATCH for s in many), f"{lab.library}, {ranks} ranks: global batch")
        summary = json.loads((lab.folder / name / "summary.json").read_text())
        check(summary["world_size"] == ranks and summary["steps"] == 20, f"{lab.library}, {ranks} ranks: summary", summary)
        lines = [line for line in result.stdout.splitlines() if f"{ranks} ranks on 1 host, " in line]
        check(len(lines) == 1, f"{lab.library}, {ranks} ranks: one rank tells", result.stdout)
    lab.run(3, *run, "--run-dir", "again", "--no-save")
    check(losses(lab.metrics("again")) == losses(lab.metrics("ranks3")), f"{lab.library}: the same bits when run twice")


def resumes(lab):
    save = ["--eval-interval", "0", "--save-interval", "5", "--save", "ckpt"]
    lab.run(1, "--train-iters", "20", "--eval-interval", "0", "--no-save", "--run-dir", "whole")
    for number, (ranks, until) in enumerate(((3, 6), (1, 13), (2, 20))):
        # Learning rates are those of the whole run's length: each part is stopped on its way.
        stop = ["--train-iters", "20", "--exit-interval", str(until)] if until < 20 else ["--train-iters", "20"]
        result = lab.run(ranks, *save, *stop, "--run-dir", f"part{number}")
        check(result.returncode == 0, f"{lab.library}: {ranks} ranks go on until {until}", result.stdout + result.stderr)
    check(close(losses(lab.metrics("part2")), losses(lab.metrics("whole"))), f"{lab.library}: resumed by other numbers of ranks")
    newest = lab.folder / "ckpt" / "global_step20"
    weights = newest / "model.safetensors"
    damaged = bytearray(weights.read_bytes())
    damaged[-5] ^= 16
    weights.write_bytes(damaged)
    result = lab.run(2, *save, "--train-iters", "22", "--run-dir", "after")
    check(result.returncode == 0 and str(newest.name) in result.stdout and losses(lab.metrics("after"))[-1] > 0 and len(lab.metrics("after")) == 22,
          f"{lab.library}: a damaged checkpoint is named and the one before it used", result.stdout + result.stderr)


def sharded(lab):
    """ZeRO stages: with one micro-batch a rank the bits of stage 0, checkpoints that any other ranks go on from, and nothing lost with a rank that saves."""
    shape = [option if before != "--micro-batch-size" else "4" for before, option in zip(["", *SHAPE], SHAPE)]
    run = ["--train-iters", "12", "--eval-interval", "6", "--eval-iters", "1", "--save-interval", "5"]
    for stage in (0, 1, 2, 3):
        name = f"stage{stage}"
        result = lab.run(3, *run, "--zero-stage", str(stage), "--micro-batch-size", "4", "--save", f"of-{name}", "--run-dir", name, shape=shape)
        check(result.returncode == 0, f"{lab.library}: ZeRO {stage}", result.stdout + result.stderr)
        steps = lab.metrics(name)
        check([(s["lm_loss"], s["grad_norm"]) for s in steps] == [(s["lm_loss"], s["grad_norm"]) for s in lab.metrics("stage0")],
              f"{lab.library}: ZeRO {stage} has the bits of stage 0", losses(steps))
        model = (lab.folder / f"of-{name}" / "global_step12" / "model.safetensors").read_bytes()
        check(model == (lab.folder / "of-stage0" / "global_step12" / "model.safetensors").read_bytes(), f"{lab.library}: ZeRO {stage} saves the same model")
        summary = json.loads((lab.folder / name / "summary.json").read_text())
        check(summary["planned_memory_bytes"] > 0 and "checkpoints are written in the " + ("foreground" if stage == 3 else "background") in result.stdout,
              f"{lab.library}: ZeRO {stage} says how it saves", result.stdout)
    go_on = ["--train-iters", "16", "--eval-interval", "0", "--no-save"]
    lab.run(1, *go_on, "--load", "of-stage0", "--run-dir", "rest")
    for ranks, stage, of in ((2, 3, 1), (4, 1, 3), (1, 0, 2)):
        name = f"rest{ranks}"
        result = lab.run(ranks, *go_on, "--zero-stage", str(stage), "--load", f"of-stage{of}", "--run-dir", name)
        check(result.returncode == 0 and close(losses(lab.metrics(name)), losses(lab.metrics("rest"))), f"{lab.library}: {ranks} ranks of stage {stage} go on from 3 of stage {of}",
              result.stdout + result.stderr)
    shard = lab.folder / "of-stage2" / "global_step12" / "state" / "shard-00001-of-00003.safetensors"
    damaged = bytearray(shard.read_bytes())
    damaged[-5] ^= 16
    shard.write_bytes(damaged)
    result = lab.run(3, *go_on, "--zero-stage", "2", "--load", "of-stage2", "--run-dir", "undamaged")
    check(result.returncode == 0 and shard.name in result.stdout and "resumed from of-stage2/global_step10" in result.stdout,
          f"{lab.library}: a rank's damaged shard is named, and the checkpoint before it used", result.stdout + result.stderr)


def secondary_shards(lab):
    """Weights that are gathered within a host are the same weights."""
    run = ["--train-iters", "12", "--eval-interval", "6", "--eval-iters", "1", "--no-save", "--zero-stage", "3"]
    for size in (1, 2, 4):
        result = lab.run(4, *run, "--run-dir", f"hpz{size}", prefix=["env", f"ZERO_HPZ_PARTITION_SIZE={size}"])
        check(result.returncode == 0, f"{lab.library}: ZERO_HPZ_PARTITION_SIZE={size}", result.stdout + result.stderr)
        with_it, without = lab.metrics(f"hpz{size}"), lab.metrics("hpz1")
        check([(s["lm_loss"], s["grad_norm"]) for s in with_it] == [(s["lm_loss"], s["grad_norm"]) for s in without],
              f"{lab.library}: ZERO_HPZ_PARTITION_SIZE={size} has the bits of 1", (losses(with_it), losses(without)))
    weights = [next(c["bytes"] for c in json.loads((lab.folder / f"hpz{size}" / "summary.json").read_text())["memory_classes"] if c["name"].startswith("weights")) for size in (1, 2, 4)]
    # A half and a quarter of the weights more.
    check(1.8 < (weights[1] - weights[0]) / (weights[2] - weights[0]) < 2.2, f"{lab.library}: the plan has the second shard", weights)
    for stage, size, said in (("2", 2, "needs ZERO_STAGE=3"), ("3", 3, "does not divide the run's 4 ranks")):
        result = lab.run(4, *run[:-1], stage, prefix=["env", f"ZERO_HPZ_PARTITION_SIZE={size}"])
        check(result.returncode == 2 and len(told_by(result)) == 1 and said in result.stderr, f"{lab.library}: ZERO_HPZ_PARTITION_SIZE={size} at stage {stage} is refused",
              (result.returncode, result.stderr))


def shared_sequences(lab):
    """SP: ranks that share sequences train what one rank trains, and go on from what other ranks left, to the last bit where they are the same."""
    data = [option for option in SHAPE if option != "--mock-data"]
    write_dataset(lab.folder / "set", 160)
    (lab.folder / "list.txt").write_text("1.0 set corpus\n")
    documents = ["--reset-attention-mask", "--reset-position-ids", "--eod-mask-loss", "--eod-token-id", "0"]
    run = ["--train-iters", "12", "--eval-interval", "6", "--eval-iters", "1", "--data-file-list", "list.txt", *documents]
    name = f"{lab.library}, SP=2"
    result = lab.run(1, *run, "--no-save", "--run-dir", "one", shape=data)
    check(result.returncode == 0, f"{name}: one rank", result.stderr)
    one = losses(lab.metrics("one"))
    for ranks, stage in ((2, "0"), (4, "3")):
        result = lab.run(ranks, *run, "--no-save", "--run-dir", f"shared{ranks}", "--ds-sequence-parallel-size", "2", "--zero-stage", stage, "--profile",
                         "--profile-step-start", "2", "--profile-step-end", "4", shape=data)
        shared = lab.metrics(f"shared{ranks}")
        check(result.returncode == 0 and close(losses(shared), one), f"{name}, {ranks} ranks: losses of one rank", result.stderr or losses(shared))
        check(all(step["global_batch_size"] == GLOBAL_BATCH for step in shared), f"{name}, {ranks} ranks: global batch")
        kernels = {kernel["name"]: kernel for kernel in json.loads((lab.folder / f"shared{ranks}" / "profile.json").read_text())["kernels"]}
        exchanged = [kernels.get(f"{what} exchanged between the parts of a sequence", {}).get("calls") for what in ("QKV", "attention")]
        # Forward and backward, of two layers, in each of the rank's micro-batches.
        check(exchanged == [4 * GLOBAL_BATCH / (ranks / 2)] * 2, f"{name}, {ranks} ranks: the profile has what is exchanged", (exchanged, list(kernels)))
    save = ["--ds-sequence-parallel-size", "2", "--zero-stage", "2", "--save-interval", "4", "--save", "shared"]
    lab.run(2, *run, *save, "--exit-interval", "7", "--run-dir", "part", shape=data)
    result = lab.run(2, *run, *save, "--run-dir", "part", shape=data)
    resumed = lab.metrics("part")
    lab.run(2, *run, *save[:4], "--no-save", "--run-dir", "whole", shape=data)
    check("resumed from shared/global_step7" in result.stdout, f"{name}: goes on", result.stdout[-1000:])
    check(result.returncode == 0 and losses(resumed) == losses(lab.metrics("whole")), f"{name}: the same bits, resumed or not", result.stderr)
    newest = lab.folder / "shared" / "global_step12"
    result = lab.run(1, *run, "--train-iters", "14", "--save", "shared", "--run-dir", "alone", shape=data)
    check(newest.is_dir() and result.returncode == 0 and lab.metrics("alone")[-1]["iteration"] == 14, f"{name}: one rank goes on", result.stderr)
    for folder in ("sound", "damaged"):
        (lab.folder / folder).mkdir()
        write_dataset(lab.folder / folder / "set", 8000)
        (lab.folder / folder / "list.txt").write_text("1.0 set corpus\n")
    tokens = bytearray((lab.folder / "damaged" / "set.bin").read_bytes())
    quarter = len(tokens) // 8 * 2
    tokens[quarter:-quarter] = b"\xff" * (len(tokens) - 2 * quarter)  # between the ends, which are compared at the start
    (lab.folder / "damaged" / "set.bin").write_bytes(tokens)
    apart = ["bash", "-c", f'[ "${RANK[lab.library]}" = 1 ] && cd damaged || cd sound; exec "$@"', "bash"]
    result = lab.run(2, "--train-iters", "400", *run[2:], "--loss-mean", "micro-batch", "--save", "found", "--save-interval", "0", "--run-dir", "run",
                     "--ds-sequence-parallel-size", "2", prefix=apart, shape=data)
    check(result.returncode == 4 and len(told_by(result)) == 1 and "65535" in result.stderr, f"{name}: what one of those that share a sequence finds in its data ends the job",
          (result.returncode, result.stderr))
    for parts, what in (("4", "NUM_KV_HEAD = 2"), ("3", "ranks, 4")):
        result = lab.run(4, *run, "--no-save", "--ds-sequence-parallel-size", parts, shape=data)
        check(result.returncode == 2 and len(told_by(result)) == 1 and what in result.stderr, f"{lab.library}, SP={parts}: told once", result.stderr)


def saves_with_less_memory(lab):
    """The copy that is saved in the background fits on one rank and not on the other."""
    shape = ["20000" if option == "2048" else option for option in SHAPE]
    run = ["--train-iters", "6", "--save-interval", "2", "--zero-stage", "1", "--device", "cpu"]
    result = lab.run(2, *run, "--save", "roomy", "--run-dir", "roomy-run", shape=shape)
    check(result.returncode == 0 and "written in the background" in result.stdout, f"{lab.library}: saves in the background", result.stdout + result.stderr)
    limit = json.loads((lab.folder / "roomy-run/summary.json").read_text())["planned_memory_bytes"] - 6_000_000
    tight = ["bash", "-c", f'[ "${RANK[lab.library]}" = 1 ] && export MEMORY_LIMIT={limit}; exec "$@"', "bash"]
    result = lab.run(2, *run, "--save", "tight", "--run-dir", "tight-run", prefix=tight, shape=shape)
    check(result.returncode == 0 and "written in the foreground: rank 1 has no memory for" in result.stdout, f"{lab.library}: all save as the rank with the least memory can",
          result.stdout + result.stderr)
    saved = [{path.name: path.read_bytes() for path in (lab.folder / save / "global_step6").rglob("*.safetensors")} for save in ("roomy", "tight")]
    check(len(saved[0]) == 3 and saved[0] == saved[1], f"{lab.library}: and save the same", [sorted(files) for files in saved])


def bad_input(lab):
    result = lab.run(3, "--train-iters", "x")
    check(result.returncode == 2 and len(told_by(result)) == 1, f"{lab.library}: a bad option is told once", (result.returncode, result.stderr))
    result = lab.run(3, "--train-iters", "4", "--save", "/proc/none")
    check(result.returncode == 3 and len(told_by(result)) == 1, f"{lab.library}: an unwritable folder is told once", (result.returncode, result.stderr))
    result = lab.run(5, "--train-iters", "4", "--no-save")
    check(result.returncode == 2 and len(told_by(result)) == 1 and "12" in result.stderr,
          f"{lab.library}: a batch that the ranks do not divide is told once", (result.returncode, result.stderr))
    other = ["bash", "-c", f'[ "${RANK[lab.library]}" = 1 ] && export CLIP_GRAD=0.5; exec "$@"', "bash"]
    result = lab.run(3, "--train-iters", "4", "--no-save", prefix=other)
    check(result.returncode == 2 and told_by(result) == ["borealis: config: rank 1: max_grad_norm is 0.5, but on rank 0 1.0; give every rank the same program, variables and files"],
          f"{lab.library}: a rank with another configuration is named", (result.returncode, result.stderr))
    for name, documents in (("a", 160), ("b", 150)):
        (lab.folder / name).mkdir()
        write_dataset(lab.folder / name / "set", documents)
        (lab.folder / name / "list.txt").write_text("1.0 set corpus\n")
    other = ["bash", "-c", f'[ "${RANK[lab.library]}" = 1 ] && cd b || cd a; exec "$@"', "bash"]
    result = lab.run(2, "--train-iters", "4", "--no-save", "--data-file-list", "list.txt", prefix=other, shape=[o for o in SHAPE if o != "--mock-data"])
    check(result.returncode == 2 and len(told_by(result)) == 1 and "rank 1: data is" in result.stderr and "150 documents" in result.stderr,
          f"{lab.library}: a rank with other data is named", (result.returncode, result.stderr))
    tokens = bytearray((lab.folder / "a" / "set.bin").read_bytes())
    tokens[4000:4002] = b"\xff\xff"
    (lab.folder / "a" / "set.bin").write_bytes(tokens)
    bad_data = {"prefix": ["bash", "-c", 'cd a; exec "$@"', "bash"], "shape": [o for o in SHAPE if o != "--mock-data"]}
    for stage in ("0", "2", "3"):
        found = f"found-{stage}"
        result = lab.run(3, "--train-iters", "400", "--zero-stage", stage, "--save", found, "--save-interval", "0", "--data-file-list", "list.txt", "--run-dir", f"run-{found}",
                         **bad_data)
        step = len(lab.metrics(f"a/run-{found}")) + 1
        name = f"{lab.library}, ZeRO {stage}: what one rank finds in its data ends the job"
        check(result.returncode == 4 and len(told_by(result)) == 1 and "borealis: data: " in result.stderr and "65535" in result.stderr, f"{name} with its code",
              (result.returncode, result.stderr))
        check((lab.folder / "a" / found / "latest").read_text() == f"global_step{step - 1}", f"{name} with a save", result.stdout[-2000:])
        check(result.stdout.count(f"with --train-range-to-skip {step} {step} the same command passes over it") == 1, f"{name} with advice", result.stdout[-2000:])
    result = lab.run(3, "--train-iters", "400", "--exit-interval", str(step + 1), "--no-save", "--data-file-list", "list.txt", "--run-dir", "passed-over",
                     "--train-range-to-skip", str(step), str(step), **bad_data)
    check(result.returncode == 0 and len(lab.metrics("a/passed-over")) == step + 1, f"{lab.library}: the step with what cannot be read is passed over", (step, result.stderr))
    result = lab.run(2, "--train-iters", "4", "--no-save", "--memory-limit", "20M")
    check(result.returncode == 5 and len(told_by(result)) == 1, f"{lab.library}: a plan that does not fit is told once", (result.returncode, result.stderr))
    result = lab.run(2, "--train-iters", "9", "--no-save", "--max-skipped-steps", "2", shape=["1e30" if o == "1e-3" else o for o in SHAPE])
    check(result.returncode == 6 and len(told_by(result)) == 1, f"{lab.library}: losses that are not finite are told once", (result.returncode, result.stderr))
    result = lab.run(2, "--help")
    check(result.returncode == 0 and result.stdout == lab.run(1, "--help").stdout, f"{lab.library}: help comes once", result.stdout[:300])


def main():
    for library in found_libraries():
        for part in (same_training, resumes, sharded, secondary_shards, shared_sequences, saves_with_less_memory, bad_input):
            with tempfile.TemporaryDirectory(prefix="borealis-ranks-") as folder:
                part(Lab(library, folder))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
