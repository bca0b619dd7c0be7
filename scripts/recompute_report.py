#!/usr/bin/env python3
"""Recomputes a performance report from the raw data in it, and compares.

    recompute_report.py FOLDER    of report.json, report.csv and report.md; exit 1 if a figure differs

Written against docs/reports.md alone: nothing is shared with the program that makes reports."""

import csv
import io
import json
import math
import pathlib
import re
import statistics
import sys

TOLERANCE = 1e-9  # of figures in full; those of the table are compared as they are rounded


def flops_per_token(model, seq):
    layers, h, heads, kv = (model[key] for key in ("num_hidden_layers", "hidden_size", "num_attention_heads", "num_key_value_heads"))
    d, f, vocab = model["head_dim"], model["intermediate_size"], model["vocab_size"]
    layer = 2 * h * heads * d + 2 * h * kv * d + 3 * h * f
    parameters = vocab * h * (1 if model["tie_word_embeddings"] else 2) + layers * (layer + 2 * h) + h
    attention = 12 * layers * heads * d * seq
    products = 6 * (layers * layer + vocab * h)
    ds = 6 * (layers * ((2 + 2 // max(1, heads // kv)) * h * h + 2 * h * seq + 3 * f * h) + vocab * h)
    return parameters, {"lm": products + attention, "ds": ds, "causal": products + attention / 2, "6n": 6 * parameters,
                        "6n_attention": 6 * parameters + attention}


def finite(values):
    return [value for value in values if value is not None and math.isfinite(value)]


class Checker:
    def __init__(self):
        self.checks, self.wrong = 0, []

    def equal(self, what, shown, value, tolerance=TOLERANCE):
        self.checks += 1
        if shown is None or not math.isclose(shown, value, rel_tol=tolerance, abs_tol=1e-12):
            self.wrong.append(f"{what}: {shown} in the report, {value} from the raw data")

    def fault(self, text):
        self.checks += 1
        self.wrong.append(text)

    def rounded(self, what, text, value):
        """A figure of a table: the value, rounded to as many digits as it has."""
        self.checks += 1
        if not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text):
            self.wrong.append(f"{what}: {text} in the table, {value} from the raw data")
            return
        decimals = len(text.split(".")[1]) if "." in text else 0
        if abs(float(text) - value) > 0.5000001 * 10 ** -decimals:
            self.wrong.append(f"{what}: {text} in the table, {value} from the raw data")


def check_row(check, report, row):
    name = f"{row['model_arch']} x {row['nlayers']} {row['variant']}".strip()
    runs = [report["runs"][index] for index in row["runs"]]
    for quantity, column in (("step_ms", "elapsed_ms"), ("tokens_per_gpu_per_second", "tokens_per_gpu_per_second"), ("tflops", "tflops")):
        values = [finite(run["steps"][column]) for run in runs]
        check.equal(f"{name}: {quantity}", row[quantity]["median"], statistics.median([statistics.median(one) for one in values]))
        check.equal(f"{name}: {quantity}, least", row[quantity]["min"], min(map(min, values)))
        check.equal(f"{name}: {quantity}, most", row[quantity]["max"], max(map(max, values)))
    parameters, formulas = flops_per_token(runs[0]["model"], runs[0]["seq_length"])
    check.equal(f"{name}: parameters", row["parameters"], parameters)
    rate = row["tokens_per_gpu_per_second"]["median"]
    for key, flops in formulas.items():
        check.equal(f"{name}: TFLOPs by {key}", row["tflops_by_formula"][key], rate * flops * 1e-12)
    # Steps are rates by the clock: what a step trained on, over its time and the ranks.
    for run in runs:
        steps = run["steps"]
        for step, batch, milliseconds, shown in zip(steps["iteration"], steps["global_batch_size"], steps["elapsed_ms"], steps["tokens_per_gpu_per_second"]):
            if milliseconds is None or milliseconds <= 0:
                check.fault(f"{run['source']}: step {step} took {milliseconds} ms, from which no rate follows")
                continue
            check.equal(f"{run['source']}: a step's rate", shown, batch * run["seq_length"] / (milliseconds * 1e-3) / run["world_size"], 1e-3)
    rates = finite([run["gemm_tflops"] or None for run in runs])
    if rates:
        check.equal(f"{name}: share of the GEMM rate", row["gemm_share"], row["tflops"]["median"] / statistics.median(rates))
    check.equal(f"{name}: peak memory", row["peak_memory_bytes"], max(run["peak_memory_bytes"] for run in runs))


def cells_of(line):
    """Of a row in Markdown, in which \\| is no end of a cell."""
    cells = re.findall(r"((?:\\.|[^|\\])*)\|", line.strip().removeprefix("|"))
    return [re.sub(r"\\(.)", r"\1", cell).strip() for cell in cells]


def table_of(text):
    """The rows below the header that has tpgps."""
    rows, inside = [], False
    for line in text.split("\n"):
        cells = cells_of(line)
        if not line.startswith("|"):
            inside = False
        elif "tpgps" in cells:
            inside = True
        elif inside and not cells[1].startswith((":", "-")):
            rows.append(cells)
    return rows


def read(folder):
    """The report, the lines of report.csv that have figures, and the rows of report.md's table."""
    report = json.loads((folder / "report.json").read_bytes())
    lines = list(csv.DictReader(io.StringIO((folder / "report.csv").read_bytes().decode(), newline="")))
    return report, [line for line in lines if line["state"] == "done"], table_of((folder / "report.md").read_bytes().decode())


def compare(report, lines, table):
    check = Checker()
    if not len(lines) == len(table) == len(report["rows"]) > 0:
        sys.exit(f"recompute_report.py: {len(report['rows'])} rows in report.json, {len(lines)} in report.csv, {len(table)} in report.md")
    for row, line, cells in zip(report["rows"], lines, table):
        check_row(check, report, row)
        name = f"{row['model_arch']} x {row['nlayers']}"
        for quantity in ("step_ms", "tokens_per_gpu_per_second", "tflops"):
            for suffix, which in (("", "median"), ("_min", "min"), ("_max", "max")):
                check.equal(f"{name}: {quantity}{suffix} of report.csv", float(line[quantity + suffix]), row[quantity][which])
        check.rounded(f"{name}: model size", cells[2], row["parameters"] * 1e-9)
        check.rounded(f"{name}: tpgps", cells[3], row["tokens_per_gpu_per_second"]["median"])
        check.rounded(f"{name}: TFLOPs", cells[4], row["tflops"]["median"])
    return check


def main():
    if len(sys.argv) != 2:
        sys.exit("recompute_report.py: name the folder of a performance report")
    folder = pathlib.Path(sys.argv[1])
    try:
        check = compare(*read(folder))
    except OSError as error:
        sys.exit(f"recompute_report.py: {error.filename}: {error.strerror}; name the folder of a performance report")
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        # What is no report of this version, or a damaged one.
        sys.exit(f"recompute_report.py: the report in {folder} is not whole: {type(error).__name__}: {error}")
    for text in check.wrong:
        print(text)
    print(f"{check.checks} figures recomputed from the raw data, {len(check.wrong)} differ")
    return 1 if check.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
