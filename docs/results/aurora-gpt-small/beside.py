#!/usr/bin/env python3
"""The original report's rows, what the planner says of them, what has been measured of them on an H100 (../h100/rows.jsonl: the
fastest run without recompute), and the rows measured here, as a Markdown table.

    beside.py report.csv plan-llama3.json plan-smollm3.json"""

import csv
import json
import pathlib
import sys

# Table of "AuroraGPT-v1 (Small)": layers, billions of parameters, tokens per GPU and second, TFLOPs.
ORIGINAL = {
    "llama3": [(4, 1.98, 8018, 66.75), (6, 2.18, 6786, 68.76), (8, 2.38, 5874, 70.37), (10, 2.58, 5179, 71.36), (12, 2.78, 4646, 72.34),
               (14, 2.98, 4202, 73.15), (16, None, None, None)],
    "smollm3": [(8, 1.67, 7316, 61.59), (10, 1.83, 6448, 62.72), (12, 1.99, 5780, 64.09), (14, 2.14, 5238, 64.82), (16, 2.30, 4734, 64.77),
                (18, 2.45, 4363, 65.38), (20, None, None, None)]}


def planned(document):
    return {row["num_hidden_layers"]: row for row in document["points"]}


def on_h100():
    best = {}
    for line in (pathlib.Path(__file__).parent / "../h100/rows.jsonl").read_text().splitlines():
        row = json.loads(line)
        key = row["arch"].split("-")[0], row["layers"]
        if "RC=0" in row["env"] and row["tps"] > best.get(key, row | {"tps": 0})["tps"]:
            best[key] = row
    return best


def main():
    measured = on_h100()
    ours = {(line["model_arch"].split("-")[0], int(line["nlayers"])): line for line in csv.DictReader(open(sys.argv[1]))}
    plans = {"llama3": planned(json.load(open(sys.argv[2]))), "smollm3": planned(json.load(open(sys.argv[3])))}
    print("| model-arch | nlayers | report: tpgps | report: TFLOPs | planned: tpgps | planned: TFLOPs | planned memory (GiB) "
          "| one H100: tpgps | TFLOPs | ours, scaled down: size (M) | tpgps | TFLOPs | of GEMM rate | peak memory (MiB) |")
    print("| :--- |" + " ---: |" * 13)
    for family, rows in ORIGINAL.items():
        for layers, _, rate, tflops in rows:
            plan, line = plans[family][layers], ours.get((family, layers), {})
            cells = [family, layers, rate or "out of memory", tflops or "-"]
            cells += [f"{plan['tokens_per_gpu_per_second']:.0f}", f"{plan['tflops']:.2f}"] if plan["fits"] else ["does not fit", "-"]
            cells += [f"{plan['memory']['total_bytes'] / 2 ** 30:.1f}"]
            row = measured.get((family, layers))
            cells += [f"{row['tps']:.0f}", f"{row['tflops']:.1f}"] if row else ["not measured", "-"]
            if line.get("state") == "done":
                cells += [f"{int(line['parameters']) * 1e-6:.1f}", f"{float(line['tokens_per_gpu_per_second']):.0f}", f"{float(line['tflops']):.3f}",
                          f"{100 * float(line['gemm_share']):.0f} %", f"{int(line['peak_memory_bytes']) / 2 ** 20:.0f}"]
            else:
                cells += ["-", "out of memory" if line else "-", "-", "-", "-"]
            print("| " + " | ".join(map(str, cells)) + " |")


if __name__ == "__main__":
    main()
