#!/usr/bin/env python3
"""The loss curve of Borealis beside PyTorch's: both train from the same weights (bf16), on the same batches of a real corpus, at
the same learning rates. Borealis writes the weights (its own initial ones, through a Hugging Face folder) and the batches
(`borealis data batches`); pytorch_gpu_peer.py reads them.

What shapes the run is `borealis train`'s own environment and flags, as in

    MODEL_ARCH=llama3-3B NLAYERS=4 DATA_FILE_LIST=books.txt TOKENIZER_MODEL=... \
      build/peers/bin/python bench/train/loss_curves.py --steps 200 --runs borealis:bf16,pytorch:bf16 --device cuda ...

(without any: the default small model on the default corpus). Python is one with torch, numpy and safetensors. Writes into --output: losses.svg and losses.json; the
standard output has a table. Tied embeddings and scaled RoPE are not for the peer."""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys

import numpy

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
PEER = pathlib.Path(__file__).resolve().with_name("pytorch_gpu_peer.py")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--borealis", type=pathlib.Path, default=REPOSITORY / "build/release/borealis", metavar="PATH")
    parser.add_argument("--runs", default="borealis:bf16,pytorch:bf16,borealis:fp32,pytorch:fp32",
                        help="PROGRAM:DTYPE, separated by commas; the first is Borealis' [%(default)s]")
    parser.add_argument("--steps", type=int, default=300, help="[300]")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cpu")
    parser.add_argument("--work", type=pathlib.Path, required=True, metavar="DIR", help="for runs, weights and batches; emptied")
    parser.add_argument("--output", type=pathlib.Path, required=True, metavar="DIR")
    parser.add_argument("train", nargs="*", metavar="-- FLAG", help="for borealis train besides")
    args = parser.parse_args()
    args.borealis, args.work, args.output = args.borealis.absolute(), args.work.absolute(), args.output.absolute()
    args.runs = [tuple(run.split(":")) for run in args.runs.split(",")]
    known = {(program, dtype) for program in ("borealis", "pytorch") for dtype in ("bf16", "fp32")}
    if not set(args.runs) <= known or args.runs[0][0] != "borealis":
        parser.error("--runs: borealis or pytorch, bf16 or fp32, Borealis first")
    if not os.access(args.borealis, os.X_OK):
        parser.error(f"--borealis: there is no program {args.borealis}")
    return args


class Curves:
    def __init__(self, args):
        self.args, self.work = args, args.work
        self.reference = self.work / "-".join(args.runs[0])  # whose rates and batches PyTorch's runs have
        self.environment = os.environ | {"TRAIN_ITERS": str(args.steps), "DEVICE": args.device, "EVAL_INTERVAL": "0"}

    def borealis(self, *words, **more):
        return subprocess.run([self.args.borealis, *map(str, words)], env=self.environment, cwd=REPOSITORY, check=True, **more)

    def make_weights(self):
        """The initial weights of the run: those behind a step whose learning rate is 0."""
        run = self.work / "start"
        self.borealis("train", *self.args.train, "--dtype", "bf16", "--lr", "1e-30", "--min-lr", "0", "--exit-interval", 1, "--no-load",
                      "--run-dir", run, "--save", self.work / "start-checkpoints", "--no-progress")
        self.borealis("checkpoint", "export", "--from", self.work / "start-checkpoints", "--output", self.work / "weights")

    def make_tokens(self):
        printed = self.borealis("data", "batches", *self.args.train, "--steps", self.args.steps, stdout=subprocess.PIPE, text=True)
        steps = [json.loads(line)["tokens"] for line in printed.stdout.splitlines()]
        rows = numpy.array([row for step in steps for row in step], dtype="int32")
        numpy.save(self.work / "tokens.npy", rows)

    def train_borealis(self, folder, dtype):
        self.borealis("train", *self.args.train, "--dtype", dtype, "--load", self.work / "weights", "--finetune", "--no-save",
                      "--run-dir", folder, "--no-progress")

    def train_pytorch(self, folder, dtype):
        """Its figures as a run's folder, which `borealis report` reads."""
        steps, config = metrics_of(self.reference), json.loads((self.reference / "config.json").read_text())
        rates, output = self.work / "rates.json", self.work / "peer.json"
        rates.write_text(json.dumps([step["learning_rate"] for step in steps]))
        batch = config["batch"]
        options = {"weights": self.work / "weights", "tokens": self.work / "tokens.npy", "lr-values": rates, "json": output,
                   "seq": batch["seq_length"], "steps": self.args.steps, "micro-batch": batch["micro_batch_size"],
                   "grad-acc": batch["grad_accum_steps"], "dtype": dtype, "device": self.args.device}
        words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
        subprocess.run([sys.executable, PEER, *words], check=True)
        peer = json.loads(output.read_text())
        shutil.copytree(self.reference, folder)
        for step, loss, norm, ms in zip(steps, peer["losses"], peer["grad_norms"], peer["step_ms"], strict=True):
            step |= {"lm_loss": loss, "grad_norm": norm, "elapsed_ms": ms}
        (folder / "metrics.jsonl").write_text("".join(json.dumps(step) + "\n" for step in steps))

    def make(self):
        self.make_weights()
        self.make_tokens()
        losses = {}
        for program, dtype in self.args.runs:
            name = f"{program}-{dtype}"
            train = self.train_borealis if program == "borealis" else self.train_pytorch
            train(self.work / name, dtype)
            losses[name] = [step["lm_loss"] for step in metrics_of(self.work / name)]
            print(f"loss_curves: {name}: {losses[name][0]:.4f} -> {losses[name][-1]:.4f}", file=sys.stderr, flush=True)
        first, *others = (self.work / name for name in losses)
        self.borealis("report", first, *(["--with", *others] if others else []))
        return losses


def metrics_of(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def table(losses, last):
    """Each run beside each run before it: the losses' relative difference."""
    yield f"| run | beside | last loss | mean of the last {last} | largest difference | mean difference | of the last {last} means |"
    yield "|---|---|---|---|---|---|---|"
    names = list(losses)
    for i, name in enumerate(names):
        tail = statistics.fmean(losses[name][-last:])
        for other in names[:i] or [""]:
            cells = ["-"] * 3
            if other:
                apart = [abs(a / b - 1) for a, b in zip(losses[name], losses[other], strict=True)]
                ends = abs(tail / statistics.fmean(losses[other][-last:]) - 1)
                cells = [f"{100 * x:.3f} %" for x in (max(apart), statistics.fmean(apart), ends)]
            yield f"| {name} | {other or '-'} | {losses[name][-1]:.4f} | {tail:.4f} | {' | '.join(cells)} |"


def main():
    args = parse_arguments()
    shutil.rmtree(args.work, ignore_errors=True)
    args.work.mkdir(parents=True)
    args.output.mkdir(parents=True, exist_ok=True)
    try:
        losses = Curves(args).make()
    except subprocess.CalledProcessError as failure:
        sys.exit(f"loss_curves: a command failed with exit code {failure.returncode}: {' '.join(map(str, failure.cmd))}")
    (args.output / "losses.json").write_text(json.dumps(losses, indent=1) + "\n")
    shutil.copy(args.work / f"{'-'.join(args.runs[0])}/loss.svg", args.output / "losses.svg")
    print("\n".join(table(losses, min(50, args.steps))))


if __name__ == "__main__":
    main()
