#!/usr/bin/env python3
"""Borealis beside the `tokenizers` package: the same texts, short lines and whole documents, are encoded by both in turn, so that
both see the same noise of the machine. Every round is a new process that loads the tokenizer and has not seen the texts; the ids
of both must be the same. The peer runs encode_batch_fast, which computes no offsets.

Texts are what the machine has: the King James Bible (Debian's `bible`) verse by verse, Python's library and the licences in
/usr/share/common-licenses file by file."""

import argparse
import datetime
import json
import os
import pathlib
import re
import shutil
import statistics
import struct
import subprocess
import sys
import sysconfig
import tempfile

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
PEER = pathlib.Path(__file__).resolve().with_name("tokenizers_peer.py")
CORES = len(os.sched_getaffinity(0))


def parse_arguments():
    peers = pathlib.Path(os.environ.get("BOREALIS_PEERS", REPOSITORY / "build/peers"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=REPOSITORY / "build/release", metavar="FOLDER",
                        help="has bench/encode_texts and borealis [build/release]")
    parser.add_argument("--python", type=pathlib.Path, default=peers / "bin/python", metavar="PATH",
                        help="a Python with tokenizers [$BOREALIS_PEERS/bin/python or build/peers/bin/python]")
    parser.add_argument("--tokenizers", type=pathlib.Path, nargs="*", default=[], metavar="FOLDER",
                        help="folders with a tokenizer.json [none]")
    parser.add_argument("--train", type=int, default=50257, metavar="ENTRIES", help="train one more on the texts; 0: none [50257]")
    parser.add_argument("--threads", default="1", help="numbers, separated by commas [1]")
    parser.add_argument("--rounds", type=int, default=3, help="the second runs in the opposite order, and so on [3]")
    parser.add_argument("--megabytes", type=float, default=10, help="of text [10]")
    parser.add_argument("--output", type=pathlib.Path, metavar="FILE", help="write FILE.json and FILE.md")
    args = parser.parse_args()
    args.threads = [int(number) for number in args.threads.split(",")]
    for option, path in (("--build", args.build / "bench/encode_texts"), ("--build", args.build / "borealis"), ("--python", args.python)):
        if not os.access(path, os.X_OK):
            parser.error(f"{option}: there is no program {path}")
    for folder in args.tokenizers:
        if not (folder / "tokenizer.json").exists():
            parser.error(f"--tokenizers: there is no {folder}/tokenizer.json")
    if args.rounds < 1:
        parser.error("--rounds: at least 1")
    return args


def texts(limit):
    """About `limit` bytes: up to half of them verses, then files."""
    used = 0
    if shutil.which("bible"):
        command = ["bible", "-f", "Gen1:1-Rev22:21"]
        for verse in subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stdout.splitlines():
            if used > limit / 2:
                break
            used += len(verse)
            yield verse.encode()
    for folder, pattern in ((pathlib.Path("/usr/share/common-licenses"), "*"), (pathlib.Path(sysconfig.get_paths()["stdlib"]), "*.py")):
        for path in sorted(folder.rglob(pattern)):
            if used > limit:
                return
            if path.is_file() and "site-packages" not in path.parts:
                text = path.read_text(encoding="utf-8", errors="replace").encode()
                used += len(text)
                yield text


def train(args, folder, documents):
    corpus = folder / "texts.jsonl"
    corpus.write_text("".join(json.dumps({"text": text.decode()}) + "\n" for text in documents))
    target = folder / "trained"
    subprocess.run([args.build / "borealis", "tokenizer", "train", "--input", corpus, "--vocab-size", str(args.train), "--output", target],
                   check=True, stdout=subprocess.DEVNULL)
    return target


def encode(args, who, tokenizer, file, threads):
    if who == "borealis":
        command, environment = [args.build / "bench/encode_texts", tokenizer, file, str(threads), "1"], {}
    else:
        command = [args.python, PEER, tokenizer / "tokenizer.json", file, "1"]
        environment = {"RAYON_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "true" if threads > 1 else "false"}
    result = subprocess.run(command, env=os.environ | environment, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(result.stdout)


def measure(args, tokenizer, threads, file, size):
    rates, loads, results = {}, {}, []
    for number in range(args.rounds):
        order = ["borealis", "tokenizers"]
        for who in order if number % 2 == 0 else reversed(order):
            result = encode(args, who, tokenizer, file, threads)
            rates.setdefault(who, []).append(size / 1e6 / result["round_s"][0])
            loads.setdefault(who, []).append(result["load_s"])
            results.append(result)
            print(f"{tokenizer.name}, {threads} threads: {who} {rates[who][-1]:.1f} MB/s, loaded in {loads[who][-1]:.2f} s", file=sys.stderr)
    if len({(result["tokens"], result["checksum"]) for result in results}) != 1:
        sys.exit(f"{tokenizer}: the ids of the two differ")
    version = next(result["version"] for result in results if "version" in result)
    ratios = [ours / theirs for ours, theirs in zip(rates["borealis"], rates["tokenizers"])]
    return {"tokenizer": tokenizer.name, "threads": threads, "tokens": results[0]["tokens"], "version": version, "ratio": spread(ratios),
            **{f"{who}_mb_per_s": spread(values) for who, values in rates.items()},
            **{f"{who}_load_s": spread(values) for who, values in loads.items()}}


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def markdown(report):
    def cell(value, digits):
        return f"{value['median']:.{digits}f} ({value['min']:.{digits}f} to {value['max']:.{digits}f})"

    lines = [f"# Borealis beside tokenizers {report['version']}", "",
             f"{report['cpu']}, {report['cores']} cores; {report['texts']} texts of {report['bytes'] / 1e6:.1f} MB; {report['date']}. Median (min to max) of "
             f"{report['rounds']} rounds, each a new process; the ids are the same.", "",
             "| tokenizer | threads | tokens | Borealis MB/s | tokenizers MB/s | ratio | Borealis loads in s | tokenizers loads in s |",
             "|---|---|---|---|---|---|---|---|"]
    for row in report["rows"]:
        lines.append(f"| {row['tokenizer']} | {row['threads']} | {row['tokens']} | {cell(row['borealis_mb_per_s'], 1)} | "
                     f"{cell(row['tokenizers_mb_per_s'], 2)} | {cell(row['ratio'], 1)} | {cell(row['borealis_load_s'], 2)} | "
                     f"{cell(row['tokenizers_load_s'], 2)} |")
    return "\n".join(lines) + "\n"


def main():
    args = parse_arguments()
    documents = list(texts(args.megabytes * 1e6))
    size = sum(map(len, documents))
    cpu = re.search(r"^model name\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    report = {"cpu": cpu[1] if cpu else "unknown", "cores": CORES, "texts": len(documents), "bytes": size, "rounds": args.rounds,
              "date": datetime.date.today().isoformat(), "rows": []}
    with tempfile.TemporaryDirectory() as name:
        file = pathlib.Path(name) / "texts"
        file.write_bytes(b"".join(struct.pack("<I", len(text)) + text for text in documents))
        tokenizers = list(args.tokenizers)
        if args.train:
            tokenizers.append(train(args, pathlib.Path(name), documents))
        for tokenizer in tokenizers:
            for threads in args.threads:
                report["rows"].append(measure(args, tokenizer, threads, file, size))
                report["version"] = report["rows"][-1]["version"]
                if args.output:  # after each measurement: it outlives an interruption
                    args.output.with_name(args.output.name + ".json").write_text(json.dumps(report, indent=2) + "\n")
                    args.output.with_name(args.output.name + ".md").write_text(markdown(report))
    print(markdown(report) if report["rows"] else "nothing to compare")


if __name__ == "__main__":
    main()
