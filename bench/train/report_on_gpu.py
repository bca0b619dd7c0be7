#!/usr/bin/env python3
"""What report_on_gpu.sh measured, as rows.jsonl (every field), log.txt (the lines that the figures come from) and table.md (beside
the original report's figures), in the folder that it is given."""

import json
import pathlib
import runpy
import statistics
import sys

BESIDE = pathlib.Path(__file__).resolve().parents[2] / "docs/results/aurora-gpt-small/beside.py"
LOGGED = ("start: ", "GEMM rate: ", " iteration=", " tokens/s, ", "accelerator")
HEAD = ("model-arch", "nlayers", "size (B)", "deterministic", "recompute", "tpgps", "TFLOPs", "of GEMM rate", "planned (GiB)",
        "peak (GiB)", "first step done (s)", "card", "report: tpgps", "report: TFLOPs")


def points(output):
    """(point as sweep.json has it, folder of its run), in the order in which they ran."""
    for state in sorted(output.glob("points/*/sweep.json"), key=lambda path: path.stat().st_mtime):
        for point in json.loads(state.read_text())["points"]:
            yield point, state.parent / "points" / point["name"] / "1"


def row_of(folder):
    summary, config = (json.loads((folder / name).read_text()) for name in ("summary.json", "config.json"))
    steps = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    behind = steps[1:]  # the first is for warming up
    median = {name: statistics.median(step[name] for step in behind)
              for name in ("tokens_per_gpu_per_second", "tflops", "elapsed_ms")}
    recompute, deterministic = config["recompute"]["enabled"], config["machine"]["deterministic"]
    return {"arch": config["model"]["name"].split("-nLayers")[0], "layers": summary["num_hidden_layers"],
            "env": f"DEVICE=cuda DETERMINISTIC={deterministic:d} RC={recompute:d}", "command": summary["command"],
            "version": summary["version"], "params": summary["parameters"], "tps": median["tokens_per_gpu_per_second"],
            "tflops": median["tflops"], "gemm": summary["gemm_tflops"],
            "share": summary["gemm_tflops"] and median["tflops"] / summary["gemm_tflops"],
            "planned": summary["planned_memory_bytes"], "peak": summary["peak_memory_bytes"],
            "first": summary["time_to_first_step_s"] + steps[0]["elapsed_ms"] / 1e3, "step_ms": median["elapsed_ms"],
            "isa": summary["isa"], "acc": summary["accelerator"], "loss": [steps[0]["lm_loss"], steps[-1]["lm_loss"]],
            "steps": len(steps), "deterministic": deterministic, "recompute": recompute}


def cells(row, original):
    rate, tflops = original.get((row["arch"].split("-")[0], row["layers"]), (None, None))
    return (row["arch"].split("-")[0], row["layers"], f"{row['params'] * 1e-9:.2f}", *("yes" if row[name] else "no" for name in
            ("deterministic", "recompute")), f"{row['tps']:.0f}", f"{row['tflops']:.1f}", f"{100 * row['share']:.1f} %" if row["share"] else "-",
            f"{row['planned'] / 2**30:.2f}", f"{row['peak'] / 2**30:.2f}", f"{row['first']:.2f}", row["acc"], rate or "-", tflops or "-")


def main():
    output = pathlib.Path(sys.argv[1])
    original = {(family, layers): (rate, tflops) for family, rows in runpy.run_path(str(BESIDE))["ORIGINAL"].items()
                for layers, _, rate, tflops in rows}
    rows, table, log = [], [HEAD, (":---", "---:", "---:", ":---", ":---", *("---:",) * 6, ":---", "---:", "---:")], []
    for point, folder in points(output):
        if point["state"] != "done":
            log.append(f"{point['name']}: {point['state']}: {point['reason']}")
            continue
        rows.append(row_of(folder))
        table.append(cells(rows[-1], original))
        log += [f"{point['name']}: {rows[-1]['command']}"]
        log += [line for line in (folder / "output.log").read_text().splitlines() if any(text in line for text in LOGGED)]
    (output / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (output / "log.txt").write_text("\n".join(log) + "\n")
    (output / "table.md").write_text("\n".join(f"| {' | '.join(map(str, line))} |" for line in table) + "\n")
    print((output / "table.md").read_text(), end="")


if __name__ == "__main__":
    main()
