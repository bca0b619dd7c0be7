#!/usr/bin/env python3
"""Borealis beside PyTorch on one GPU, whole training steps: each row, a shape and its layers, is trained by
`borealis train --mock-data` with DEVICE=cuda and by pytorch_gpu_peer.py in turn, round by round. The cards are limited by
their power, so that only runs in turn, on a warm card, are compared.

Rates are of the median step after the first --warmup ones, on both sides. Memory is what each program says it allocated, and
the most that nvidia-smi saw in use on the card. PyTorch compiles in round 1 and finds its code in a cache after that: the end of
the first step is round 1's and a later one's. Results are written after each run; runs that would not fit into
--time-limit are left out."""

import argparse
import datetime
import json
import os
import pathlib
import shlex
import statistics
import subprocess
import sys
import tempfile
import time

from compare_pytorch import REPOSITORY, Run, ratios, write_report

SHAPES = REPOSITORY / "bench/inputs/gpu_train_shapes.txt"
PEER = pathlib.Path(__file__).resolve().with_name("pytorch_gpu_peer.py")
COLUMNS = ("name", "model_arch", "hidden", "heads", "kv_heads", "ffn", "vocab", "seq")
CARD_FIELDS = ("memory.used", "power.draw", "clocks.sm", "temperature.gpu")
RECIPE = {"MICRO_BATCH": "1", "ZERO_STAGE": "0", "OPT": "adamw", "LR_DECAY_STYLE": "constant"}  # the report's command


def parse_arguments():
    peers = pathlib.Path(os.environ.get("BOREALIS_PEERS", REPOSITORY / "build/peers"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--borealis", type=pathlib.Path, default=REPOSITORY / "build/release/borealis", metavar="PATH")
    parser.add_argument("--python", type=pathlib.Path, default=peers / "bin/python", metavar="PATH", help="a Python with torch")
    parser.add_argument("--rows", default="llama3:4,llama3:14,smollm3:18", help="SHAPE:LAYERS[+r], separated by commas; +r: both "
                        "recompute activations [llama3:4,llama3:14,smollm3:18]")
    parser.add_argument("--rounds", type=int, default=2, help="[2]")
    parser.add_argument("--steps", type=int, default=12, help="of a run [12]")
    parser.add_argument("--warmup", type=int, default=2, help="first steps that are not measured [2]")
    parser.add_argument("--grad-acc", type=int, default=2, help="micro-batches a step [2]")
    parser.add_argument("--peer-options", default="", metavar="TEXT", help="for pytorch_gpu_peer.py besides, such as '--float8'")
    parser.add_argument("--borealis-options", default="", metavar="TEXT", help="for borealis train besides")
    parser.add_argument("--only", choices=("borealis", "pytorch"), help="run one side")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu is for trying the script [cuda]")
    parser.add_argument("--time-limit", type=float, default=530, metavar="S", help="of everything together [530]")
    parser.add_argument("--output", type=pathlib.Path, metavar="FILE", help="write FILE.json and FILE.md")
    parser.add_argument("--dry-run", action="store_true", help="print the commands and run nothing")
    args = parser.parse_args()
    args.rows = [row_of(parser, text) for text in args.rows.split(",")]
    args.peer_options, args.borealis_options = shlex.split(args.peer_options), shlex.split(args.borealis_options)
    if args.rounds < 1 or not 0 < args.warmup < args.steps:
        parser.error("--rounds, --warmup and what --steps has more than that: at least 1")
    for option, path, side in (("--borealis", args.borealis, "borealis"), ("--python", args.python, "pytorch")):
        if not args.dry_run and args.only in (None, side) and not os.access(path, os.X_OK):
            parser.error(f"{option}: there is no program {path}")
    if args.output:
        args.output.parent.mkdir(parents=True, exist_ok=True)
    return args


def row_of(parser, text):
    lines = (line.split() for line in SHAPES.read_text().splitlines() if not line.startswith("#"))
    shapes = {line[0]: dict(zip(COLUMNS, line, strict=True)) for line in lines if line}
    shape, _, layers = text.removesuffix("+r").partition(":")
    if shape not in shapes or not layers.isdecimal():
        parser.error(f"--rows: '{text}' is no SHAPE:LAYERS with one of {', '.join(shapes)}")
    return shapes[shape] | {"shape": shape, "name": text, "layers": int(layers), "recompute": text.endswith("+r")}


class GpuRun(Run):
    """One training of a row; `variant` is "borealis" or "pytorch"."""

    kept_variables = ("PATH", "HOME", "PYTHONPATH", "LD_LIBRARY_PATH", "CUDA_HOME", "CUDA_VISIBLE_DEVICES", "CC")

    def __init__(self, args, row, variant, round_number, cache):
        super().__init__(args, row, variant, round_number)
        self.cache = cache  # of compiled code, which the first round fills

    def added_environment(self, folder):
        if self.variant == "pytorch":
            return {"TORCHINDUCTOR_CACHE_DIR": str(self.cache)}
        row = self.workload
        named = {} if row["model_arch"] == "-" else {"MODEL_ARCH": row["model_arch"]}
        device = {"DEVICE": "cuda"} if self.args.device == "cuda" else {}
        return device | named | {"NLAYERS": str(row["layers"]), "GRAD_ACC_STEPS": str(self.args.grad_acc),
                                 "USE_ACTIVATION_CHECKPOINTING": str(int(row["recompute"]))} | RECIPE

    def command(self, folder):
        row, args = self.workload, self.args
        if self.variant == "pytorch":
            options = {"model": row["shape"], "layers": row["layers"], "steps": args.steps, "warmup": args.warmup,
                       "grad-acc": args.grad_acc, "device": args.device, "json": folder / "peer.json"}
            start, more = [args.python.absolute(), PEER], ["--recompute"] * row["recompute"] + args.peer_options
        else:
            options = {"train-iters": args.steps, "vocab-size": row["vocab"], "eval-interval": 0, "run-dir": folder / "run"}
            if row["model_arch"] == "-":
                options |= {"hidden-size": row["hidden"], "num-attention-heads": row["heads"],
                            "num-key-value-heads": row["kv_heads"], "ffn-hidden-size": row["ffn"], "seq-length": row["seq"]}
            start = [args.borealis.absolute(), "train", "--mock-data", "--no-save", "--no-progress", "--json"]
            more = args.borealis_options
        words = [*start, *(word for name, value in options.items() for word in (f"--{name}", value)), *more]
        return [str(word) for word in words]

    def output(self, folder):
        with Card(self.args.device, folder) as card:
            result = super().output(folder)
        self.card = card.seen
        return result

    def numbers(self, folder, output):
        if self.variant == "pytorch":
            details = json.loads((folder / "peer.json").read_text())
            fields = ("tokens_per_s", "tflops", "peak_memory_bytes", "first_step_done_s", "step_ms", "losses")
            return {name: details.pop(name) for name in fields} | {"card": self.card, "details": details}
        summary = json.loads((folder / "run/summary.json").read_text())
        steps = [json.loads(line) for line in (folder / "run/metrics.jsonl").read_text().splitlines()]
        step_ms = [step["elapsed_ms"] for step in steps]
        tokens = self.args.grad_acc * int(self.workload["seq"])
        tokens_per_s = tokens / statistics.median(step_ms[self.args.warmup:]) * 1e3
        return {
            "tokens_per_s": tokens_per_s,
            "tflops": tokens_per_s * summary["flops_per_token"] * 1e-12,
            "peak_memory_bytes": summary["peak_memory_bytes"],
            "first_step_done_s": summary["time_to_first_step_s"] + step_ms[0] / 1e3,
            "step_ms": step_ms,
            "losses": [step["lm_loss"] for step in steps],
            "gemm_tflops": summary["gemm_tflops"],
            "card": self.card,
            "details": {name: value for name, value in summary.items() if name not in ("configuration", "sample_text")},
        }


class Card:
    """What nvidia-smi sees of the card while the scope lasts, every quarter of a second; `seen` is empty without it."""

    def __init__(self, device, folder):
        self.log, self.seen, self.process = folder / "card.csv", {}, None
        self.watch = device == "cuda"

    def __enter__(self):
        if self.watch:
            command = ["nvidia-smi", f"--query-gpu={','.join(CARD_FIELDS)}", "--format=csv,noheader,nounits", "-lms", "250"]
            try:
                with self.log.open("w") as log:
                    self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.DEVNULL)
            except OSError:
                pass
        return self

    def __exit__(self, *_):
        if not self.process:
            return
        self.process.terminate()
        self.process.wait()
        samples = [sample for sample in map(numbers_of, self.log.read_text().splitlines()) if sample]
        if samples:
            memory, power, clock, temperature = zip(*samples)
            working = [i for i, watts in enumerate(power) if watts > 0.8 * max(power)]
            self.seen = {"memory_bytes": int(max(memory) * 2**20), "power_w": max(power),
                         "clock_mhz": statistics.median(clock[i] for i in working), "temperature_c": max(temperature)}


def numbers_of(line):
    try:
        fields = [float(field) for field in line.split(",")]
    except ValueError:  # [N/A], or a last line that was cut
        return None
    return fields if len(fields) == len(CARD_FIELDS) else None


def planned_runs(args, cache):
    for round_number in range(1, args.rounds + 1):
        for row in args.rows:
            for variant in ("borealis", "pytorch"):
                if args.only in (None, variant):
                    yield GpuRun(args, row, variant, round_number, cache)


def measure_all(args, runs):
    deadline = time.monotonic() + args.time_limit
    longest = {}  # s, by row and variant: what the next such run may take
    for number, run in enumerate(runs, 1):
        label = f"[{number}/{len(runs)}] {run.workload['name']}, round {run.round}: {run.variant}"
        left, key = deadline - time.monotonic(), (run.workload["name"], run.variant)
        if left < longest.get(key, 5):
            print(f"{label}: left out, {max(left, 0):.0f} s are left", file=sys.stderr, flush=True)
            continue
        run.limit_s = left
        record = run.measure()
        longest[key] = max(longest.get(key, 0), record["wall_s"])
        outcome = record.get("error") or f"{record['tokens_per_s']:.0f} tokens/s, {record['tflops']:.1f} TFLOP/s"
        print(f"{label}: {outcome} ({record['wall_s']:.0f} s)", file=sys.stderr, flush=True)
        yield record


def make_report(args, records):
    good = [r for r in records if "error" not in r]
    peer = next((r["details"] for r in good if r["variant"] == "pytorch"), {})
    own = next((r["details"] for r in good if r["variant"] == "borealis"), {})
    return {"card": peer.get("card") or own.get("isa", "unknown"), "torch": peer.get("torch", "-"),
            "borealis": own.get("version", "-"), "date": datetime.date.today().isoformat(), "rounds": args.rounds,
            "steps": args.steps, "warmup": args.warmup, "peer_options": args.peer_options, "ratios": ratios(records),
            "runs": records}


def markdown(report):
    options = f" with {shlex.join(report['peer_options'])}" if report["peer_options"] else ""
    lines = [
        "# Borealis beside PyTorch on one GPU", "",
        f"{report['card']}; Borealis {report['borealis']}; torch {report['torch']}{options}; {report['date']}. {report['rounds']} "
        f"rounds in turn of {report['steps']} steps, the first {report['warmup']} not measured.", "",
        "Medians over the rounds (least to most). TFLOPs count the full square of attention. GiB: what the program allocated, and "
        "the most in use on the card.", "",
        "| row | run | rounds | tokens/s | TFLOPs | allocated GiB | on the card GiB | first step done s | W | MHz |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *measurement_rows(report["runs"]), "",
        "Borealis / PyTorch in the same round, median (least to most):", "",
        "| row | tokens/s | allocated memory | first step done |", "|---|---|---|---|",
    ]
    for row in report["ratios"]:
        cells = [f"{row[name]['median']:.3f} ({row[name]['min']:.3f} to {row[name]['max']:.3f})"
                 for name in ("tokens_per_s", "peak_memory_bytes", "first_step_done_s")]
        lines.append(f"| {row['workload']} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def measurement_rows(records):
    groups = {}
    for record in records:
        groups.setdefault((record["workload"], record["variant"]), []).append(record)
    for (row, variant), group in groups.items():
        for error in sorted({r["error"] for r in group if "error" in r}):
            yield f"| {row} | {variant} | failed: {error.replace('|', '/')} | | | | | | | |"
        good = [r for r in group if "error" not in r]
        if good:
            rates = [r["tokens_per_s"] for r in good]
            spread = f" ({min(rates):.0f} to {max(rates):.0f})" if len(rates) > 1 else ""
            yield (f"| {row} | {variant} | {len(good)} | {statistics.median(rates):.0f}{spread} | {median_of(good, 'tflops'):.1f} "
                   f"| {median_of(good, 'peak_memory_bytes') / 2**30:.2f} | {card_cell(good, 'memory_bytes', 2**30, 2)} "
                   f"| {median_of(good, 'first_step_done_s'):.1f} | {card_cell(good, 'power_w', 1, 0)} "
                   f"| {card_cell(good, 'clock_mhz', 1, 0)} |")


def median_of(records, name):
    return statistics.median(r[name] for r in records)


def card_cell(records, name, unit, digits):
    values = [r["card"][name] / unit for r in records if r["card"]]
    return f"{statistics.median(values):.{digits}f}" if values else "-"


def main():
    args = parse_arguments()
    with tempfile.TemporaryDirectory(prefix="borealis-inductor-") as cache:
        runs = list(planned_runs(args, pathlib.Path(cache)))
        if args.dry_run:
            folder = pathlib.Path("TMP")
            for run in runs:
                assignments = [f"{name}={value}" for name, value in run.added_environment(folder).items()]
                print(shlex.join(["env", *assignments, *run.command(folder)]))
            return
        records = []
        for record in measure_all(args, runs):
            records.append(record)
            report = make_report(args, records)
            if args.output:  # after each run: what is measured outlives an interruption
                write_report(args.output, report, markdown(report))
        print(markdown(make_report(args, records)))


if __name__ == "__main__":
    main()
