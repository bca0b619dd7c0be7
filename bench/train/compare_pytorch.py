#!/usr/bin/env python3
"""Borealis beside PyTorch, whole training steps: each workload of bench/inputs/train_shapes.txt is trained by
`borealis train --mock-data` and by variants of pytorch_peer.py in turn, so that both see the same noise of the machine.

Variants of the peer:
    tuned      jemalloc that keeps memory and uses huge pages, a thread for each core
    blockwise  tuned, with attention as matrix products by blocks instead of scaled_dot_product_attention
    compiled   tuned, with torch.compile and an empty cache of compiled code
    installed  none of it; memory that goes back to the kernel makes it slow: one round of few steps"""

import argparse
import datetime
import json
import os
import pathlib
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
SHAPES = REPOSITORY / "bench/inputs/train_shapes.txt"
PEER = pathlib.Path(__file__).resolve().with_name("pytorch_peer.py")
COLUMNS = ("name", "layers", "hidden", "heads", "kv_heads", "ffn", "vocab", "seq", "micro_batch", "steps")
JEMALLOC = pathlib.Path("/usr/lib/x86_64-linux-gnu/libjemalloc.so.2")
CORES = len(os.sched_getaffinity(0))
TUNED = {
    "LD_PRELOAD": str(JEMALLOC),
    "MALLOC_CONF": "oversize_threshold:1,background_thread:false,metadata_thp:auto,thp:always,dirty_decay_ms:-1,"
                   "muzzy_decay_ms:-1",
    "OMP_NUM_THREADS": str(CORES),
}
VARIANTS = {  # environment, arguments
    "tuned": (TUNED, []),
    "blockwise": (TUNED, ["--attention", "blockwise"]),
    "compiled": (TUNED, ["--compile"]),
    "installed": ({}, []),
}
INSTALLED_STEPS = 3
RUN_LIMIT_S = 3600


class RunFailed(Exception):
    pass


def parse_arguments():
    peers = pathlib.Path(os.environ.get("BOREALIS_PEERS", REPOSITORY / "build/peers"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--borealis", type=pathlib.Path, default=REPOSITORY / "build/release/borealis", metavar="PATH")
    parser.add_argument("--python", type=pathlib.Path, default=peers / "bin/python", metavar="PATH",
                        help="a Python with torch [$BOREALIS_PEERS/bin/python or build/peers/bin/python]")
    parser.add_argument("--workloads", default="S,M,A,V", help="names, separated by commas [S,M,A,V]")
    parser.add_argument("--variants", default=",".join(VARIANTS), help="names, separated by commas; '' for Borealis alone [all]")
    parser.add_argument("--rounds", type=int, default=2, help="the second runs in the opposite order, and so on [2]")
    parser.add_argument("--dtype", choices=("bf16", "fp32"), default="bf16")
    parser.add_argument("--output", type=pathlib.Path, metavar="FILE", help="write FILE.json and FILE.md")
    parser.add_argument("--dry-run", action="store_true", help="print the commands and run nothing")
    args = parser.parse_args()
    known = read_workloads()
    args.workloads = [known.get(name) or parser.error(f"--workloads: '{name}' is none of {', '.join(known)}")
                      for name in args.workloads.split(",")]
    args.variants = [name for name in args.variants.split(",") if name]
    for name in args.variants:
        if name not in VARIANTS:
            parser.error(f"--variants: '{name}' is none of {', '.join(VARIANTS)}")
    if args.rounds < 1:
        parser.error("--rounds: at least 1")
    if not args.dry_run:
        check_files(parser, args)
    return args


def check_files(parser, args):
    programs = [("--borealis", args.borealis)] + [("--python", args.python)] * bool(args.variants)
    for option, path in programs:
        if not os.access(path, os.X_OK):
            parser.error(f"{option}: there is no program {path}")
    if set(args.variants) - {"installed"} and not JEMALLOC.exists():
        parser.error(f"the tuned peer needs {JEMALLOC}: install libjemalloc2")
    if args.output:
        args.output.parent.mkdir(parents=True, exist_ok=True)


def read_workloads():
    rows = (line.split() for line in SHAPES.read_text().splitlines() if not line.startswith("#"))
    return {row[0]: dict(zip(COLUMNS, [row[0], *map(int, row[1:])], strict=True)) for row in rows if row}


class Run:
    """One training of a workload; `variant` is "borealis" or a name in VARIANTS."""

    kept_variables = ("PATH", "HOME")  # of the caller's no others: both programs read some
    limit_s = RUN_LIMIT_S

    def __init__(self, args, workload, variant, round_number):
        self.args, self.workload, self.variant, self.round = args, workload, variant, round_number

    def environment(self, folder):
        kept = {name: os.environ[name] for name in self.kept_variables if name in os.environ}
        return kept | self.added_environment(folder)

    def added_environment(self, folder):
        if self.variant == "borealis":
            return {}
        cache = {"TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor")} if self.variant == "compiled" else {}
        return VARIANTS[self.variant][0] | cache

    def command(self, folder):
        w = self.workload
        if self.variant == "borealis":
            options = {"num-layers": w["layers"], "hidden-size": w["hidden"], "num-attention-heads": w["heads"],
                       "num-key-value-heads": w["kv_heads"], "ffn-hidden-size": w["ffn"], "vocab-size": w["vocab"],
                       "seq-length": w["seq"], "micro-batch-size": w["micro_batch"], "train-iters": w["steps"],
                       "eval-interval": 0, "run-dir": folder / "run", "dtype": self.args.dtype}
            start = [self.args.borealis.absolute(), "train", "--mock-data", "--no-save", "--no-progress", "--json"]
        else:
            options = {name.replace("_", "-"): w[name] for name in COLUMNS[1:]}
            options |= {"dtype": self.args.dtype, "threads": CORES, "json": folder / "peer.json"}
            if self.variant == "installed":
                options["steps"] = min(w["steps"], INSTALLED_STEPS)
            start = [self.args.python.absolute(), PEER, *VARIANTS[self.variant][1]]
        return [str(part) for part in start] + [str(part) for name, value in options.items() for part in (f"--{name}", value)]

    def measure(self):
        """The run's record; one that failed has "error" instead of numbers."""
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="borealis-compare-") as name:
            folder = pathlib.Path(name)
            record = {"workload": self.workload["name"], "variant": self.variant, "round": self.round,
                      "environment": self.added_environment(folder), "command": self.command(folder)}
            try:
                record |= self.numbers(folder, self.output(folder))
            except RunFailed as failure:
                record["error"] = str(failure)
        record["wall_s"] = time.monotonic() - started
        return record

    def output(self, folder):
        try:
            result = subprocess.run(self.command(folder), env=self.environment(folder), cwd=folder, capture_output=True,
                                    text=True, timeout=self.limit_s)
        except subprocess.TimeoutExpired:
            raise RunFailed(f"not done after {self.limit_s:.0f} s") from None
        if result.returncode < 0:
            raise RunFailed(f"killed by signal {-result.returncode}" + " (out of memory?)" * (result.returncode == -9))
        if result.returncode > 0:
            lines = result.stderr.strip().splitlines() or [f"exit code {result.returncode}, no message"]
            raise RunFailed(next((line for line in lines if line.startswith("borealis: ")), lines[-1]))
        return result.stdout

    def numbers(self, folder, output):
        if self.variant != "borealis":
            details = json.loads((folder / "peer.json").read_text())
            fields = ("tokens_per_s", "tflops", "peak_memory_bytes", "first_step_done_s", "step_ms", "losses")
            return {name: details.pop(name) for name in fields} | {"details": details}
        summary = json.loads(output)
        steps = [json.loads(line) for line in (folder / "run/metrics.jsonl").read_text().splitlines()]
        step_ms = [step["elapsed_ms"] for step in steps]
        return {
            "tokens_per_s": summary["tokens_per_gpu_per_second"],
            "tflops": summary["tflops"],
            "peak_memory_bytes": summary["peak_memory_bytes"],
            "first_step_done_s": summary["time_to_first_step_s"] + step_ms[0] / 1e3,
            "step_ms": step_ms,
            "losses": [step["lm_loss"] for step in steps],
            "gemm_tflops": summary["gemm_tflops"],
            "details": {name: summary[name] for name in ("version", "isa", "gemm_measurement", "planned_memory_bytes")},
        }


def planned_runs(args):
    for workload in args.workloads:
        for round_number in range(1, args.rounds + 1):
            order = ["borealis", *(name for name in args.variants if name != "installed" or round_number == 1)]
            for variant in order if round_number % 2 else reversed(order):
                yield Run(args, workload, variant, round_number)


def measure_all(runs):
    for number, run in enumerate(runs, 1):
        label = f"[{number}/{len(runs)}] {run.workload['name']}, round {run.round}: {run.variant}"
        print(label, "...", file=sys.stderr, flush=True)
        record = run.measure()
        outcome = record.get("error") or f"{record['tokens_per_s']:.0f} tokens/s"
        print(f"{label}: {outcome} ({record['wall_s']:.0f} s)", file=sys.stderr, flush=True)
        yield record


def add_gemm_shares(records):
    """A peer's share is of the rate that Borealis measured of the same workload in the same round."""
    rates = {(r["workload"], r["round"]): r["gemm_tflops"] for r in records if "gemm_tflops" in r}
    for r in records:
        rate = rates.get((r["workload"], r["round"]))
        if "error" not in r and rate:
            r["gemm_share"] = r["tflops"] / rate


def ratios(records):
    """Borealis over each variant, round by round, of everything that the comparison is about."""
    succeeded = {(r["workload"], r["variant"], r["round"]): r for r in records if "error" not in r}
    result = {}
    for (workload, variant, round_number), peer in succeeded.items():
        borealis = succeeded.get((workload, "borealis", round_number))
        if variant == "borealis" or not borealis:
            continue
        row = result.setdefault((workload, variant), {"workload": workload, "variant": variant})
        for name in ("tokens_per_s", "peak_memory_bytes", "first_step_done_s"):
            row.setdefault(name, []).append(borealis[name] / peer[name])
    return [{name: spread(value) if isinstance(value, list) else value for name, value in row.items()}
            for row in result.values()]


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def write_report(output, report, text):
    """output.json and output.md."""
    output.with_name(output.name + ".json").write_text(json.dumps(report, indent=2) + "\n")
    output.with_name(output.name + ".md").write_text(text)


def machine(records):
    cpu = pathlib.Path("/proc/cpuinfo").read_text()

    def of_cpu(name):
        found = re.search(rf"^{name}\s*: (.*)$", cpu, re.MULTILINE)
        return found[1] if found else "unknown"

    memory_kib = int(re.search(r"MemTotal:\s*(\d+)", pathlib.Path("/proc/meminfo").read_text())[1])
    found = {}
    for record in records:
        found |= record.get("details", {})
    return {
        "cpu": f"{of_cpu('model name')} (family {of_cpu('cpu family')}, model {of_cpu('model')})",
        "cores": CORES,
        "memory_bytes": memory_kib * 1024,
        "borealis": found.get("version", "unknown"),
        "isa": found.get("isa", "unknown"),
        "torch": found.get("torch", "unknown"),
        "date": datetime.date.today().isoformat(),
    }


def make_report(args, records):
    add_gemm_shares(records)
    return {"machine": machine(records), "dtype": args.dtype, "rounds": args.rounds, "ratios": ratios(records),
            "runs": records}


def markdown(report):
    m = report["machine"]
    lines = [
        f"# Borealis beside PyTorch: {report['dtype']}", "",
        f"{m['cpu']}, {m['cores']} cores, {m['memory_bytes'] / 2**30:.1f} GiB; Borealis {m['borealis']}: {m['isa']}; "
        f"torch {m['torch']}; {m['date']}.", "",
        "Medians over the rounds. TFLOPs count the full square of attention; the GEMM rate is what Borealis measured in the "
        "same round.", "",
        "| workload | run | rounds | tokens/s | TFLOPs | of GEMM rate | peak memory GiB | first step done s |",
        "|---|---|---|---|---|---|---|---|",
        *measurement_rows(report["runs"]), "",
        f"Borealis / peer in the same round, median (min to max); the as-installed peer runs one round of {INSTALLED_STEPS} "
        "steps.", "",
        "| workload | peer | tokens/s | peak memory | first step done |", "|---|---|---|---|---|",
    ]
    for row in report["ratios"]:
        cells = [f"{row[name]['median']:.2f} ({row[name]['min']:.2f} to {row[name]['max']:.2f})"
                 for name in ("tokens_per_s", "peak_memory_bytes", "first_step_done_s")]
        lines.append(f"| {row['workload']} | {row['variant']} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def measurement_rows(records):
    groups = {}
    for record in records:
        groups.setdefault((record["workload"], record["variant"]), []).append(record)
    for (workload, variant), group in groups.items():
        good = [r for r in group if "error" not in r]
        for error in sorted({r["error"] for r in group if "error" in r}):
            yield f"| {workload} | {variant} | failed: {error.replace('|', '/')} | | | | | |"
        if good:
            def median(name):
                return statistics.median(r[name] for r in good)

            share = f"{median('gemm_share'):.0%}" if all("gemm_share" in r for r in good) else "-"
            yield (f"| {workload} | {variant} | {len(good)} | {median('tokens_per_s'):.0f} | {median('tflops'):.3f} | {share} "
                   f"| {median('peak_memory_bytes') / 2**30:.2f} | {median('first_step_done_s'):.1f} |")


def main():
    args = parse_arguments()
    runs = list(planned_runs(args))
    if args.dry_run:
        folder = pathlib.Path("TMP")
        for run in runs:
            assignments = [f"{name}={value}" for name, value in run.added_environment(folder).items()]
            print(shlex.join([*(["env", *assignments] if assignments else []), *run.command(folder)]))
        return
    records = []
    for record in measure_all(runs):
        records.append(record)
        report = make_report(args, records)
        if args.output:  # after each run: what is measured outlives an interruption
            write_report(args.output, report, markdown(report))
    print(markdown(report))


if __name__ == "__main__":
    main()
