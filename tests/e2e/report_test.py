"""`borealis report` of many runs: a sweep until memory ends, its report's four files, their figures recomputed from the raw data in
them, the report's own check, comparison, and what is wrong with what it is given."""

import csv
import html.parser
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

BOREALIS = os.environ["BOREALIS"]
RECOMPUTE = pathlib.Path(os.environ["BOREALIS_SOURCE_DIR"]) / "scripts/recompute_report.py"
USAGE, FILE, DATA = 1, 3, 4
SHAPE = ["--num-attention-heads", "2", "--num-key-value-heads", "1", "--ffn-hidden-size", "64", "--seq-length", "16", "--mock-data",
         "--vocab-size", "128", "--hidden-size", "512"]
failures = []


def check(name, condition, *details):
    if not condition:
        failures.append(f"{name}: {' '.join(str(detail)[-800:] for detail in details)}")


def run(folder, *arguments, **environment):
    kept = {name: os.environ[name] for name in ("PATH", "OMP_NUM_THREADS") if name in os.environ}
    return subprocess.run([BOREALIS, *map(str, arguments)], cwd=folder, text=True, capture_output=True, timeout=300,
                          env={**kept, "HOME": str(folder), "OMP_WAIT_POLICY": "passive", "DTYPE": "fp32", **environment})


def report(name, folder, *arguments, code=0):
    result = run(folder, "report", *arguments)
    check(name, result.returncode == code, result)
    return result


class Page(html.parser.HTMLParser):
    """A page that needs nothing from elsewhere: what it names lies beside it."""

    def __init__(self, text):
        super().__init__()
        self.links, self.ids, self.scripts, self.open = [], [], 0, []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.links += [values[key] for key in ("href", "src") if key in values]
        self.ids += [values["id"]] if "id" in values else []
        self.scripts += tag == "script"
        if tag not in ("meta", "path", "rect", "circle", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in ("path", "rect", "circle", "br"):
            check("page", self.open and self.open.pop() == tag, tag)


def sweep_until_memory_ends(folder):
    options = ["sweep", "--arch", "llama3-3B,smollm3-3B", "--nlayers", "2:8:2", "--repeat", "2", "--steps", "5", "--output", "swept"]
    planned = [point["planned_bytes"] for point in json.loads(run(folder, *options, "--dry-run", "--json", "--", *SHAPE).stdout)["points"]]
    result = run(folder, *options, "--", *SHAPE, MEMORY_LIMIT=str((planned[1] + planned[2]) // 2))
    check("sweep", result.returncode == 0 and "report: swept/report.html" in result.stdout, result)


def files_of_a_sweep(folder):
    swept = folder / "swept"
    made = {name: (swept / name).read_bytes() for name in ("report.md", "report.html", "report.csv", "report.json")}
    result = report("sweep's report", folder, "swept")
    check("same report", all((swept / name).read_bytes() == text for name, text in made.items()), "the sweep made another")
    check("memory's end", "Out of memory: llama3-3B at 6 layers (refused by the plan" in result.stdout and "smollm3 at 6 layers" in result.stdout, result.stdout)
    recomputed = subprocess.run([sys.executable, RECOMPUTE, swept], text=True, capture_output=True)
    check("recomputed", recomputed.returncode == 0 and re.search(r"[0-9]{3} figures recomputed from the raw data, 0 differ", recomputed.stdout), recomputed)

    document = json.loads(made["report.json"])
    check("rows", [(row["model_arch"], row["nlayers"], len(row["runs"])) for row in document["rows"]] ==
          [("llama3-3B", 2, 2), ("llama3-3B", 4, 2), ("smollm3", 2, 2), ("smollm3", 4, 2)], document["rows"])
    check("ends", [end["kind"] for end in document["out_of_memory"]] == 2 * ["does_not_fit", "beyond_memory"], document["out_of_memory"])
    check("window", all(run_["warmup_steps"] == 2 and run_["steps"]["iteration"] == [3, 4, 5] for run_ in document["runs"]), "steps")
    check("agreement", document["disagreements"] == [] and document["checks"] == 8 * 5 + 4, document["disagreements"])
    summary = json.loads((swept / "points/llama3-3B_nlayers2/1/summary.json").read_text())
    check("parameters", document["rows"][0]["parameters"] == summary["parameters"], summary["parameters"])
    lines = list(csv.DictReader(made["report.csv"].decode().splitlines()))
    check("csv", [line["state"] for line in lines] == 4 * ["done"] + 2 * ["does_not_fit", "beyond_memory"], lines)

    page = Page(made["report.html"].decode())
    check("page", page.scripts == 2 and not page.open and len(set(page.ids)) == len(page.ids), page.open, page.ids)  # values of a plot, and what shows them
    check("page", all((swept / link).is_file() for link in page.links), page.links)
    images = re.findall(r"\]\(([a-z]+\.svg)\)", made["report.md"].decode())
    check("images", images == ["tflops.svg", "rate.svg", "memory.svg", "losses.svg"] and all((swept / image).is_file() for image in images), images)

    # Its own check finds nothing, unless a last step stands out, as it may on a busy machine.
    checked = run(folder, "report", "--check", "swept/report.md", "--json")
    findings = [finding for finding in json.loads(checked.stdout)["findings"] if finding["kind"] != "last_step"]
    check("checked", findings == [], findings)
    tampered = folder / "tampered.md"
    line = next(line for line in made["report.md"].decode().splitlines() if line.startswith("| llama3-3B | 2 "))
    cells = line.split(" | ")
    tampered.write_text(made["report.md"].decode().replace(line, " | ".join([*cells[:3], "1" + cells[3], *cells[4:]])))
    check("tampered", run(folder, "report", "--check", tampered).returncode == DATA, "not noticed")


def sources(folder):
    """Runs, sweeps, folders of them and reports, in any mixture; a run that is named twice counts once."""
    shutil.copytree(folder / "swept/points/llama3-3B_nlayers2/1", folder / "logs/a/1")
    shutil.copytree(folder / "swept/points/smollm3-3B_nlayers4/2", folder / "logs/b/2")

    def rows(name, *arguments):
        document = json.loads(report(name, folder, *arguments, "--output", "joint", "--json").stdout)
        check(name, all((folder / document[key]).is_file() for key in ("report_md", "report_html", "report_csv", "report_json")), document)
        return [(row["model_arch"], row["nlayers"], len(row["runs"])) for row in document["rows"]]

    both = [("llama3-3B", 2, 1), ("smollm3", 4, 1)]
    check("tree", rows("tree", "logs") == both, rows("tree", "logs"))
    check("runs", rows("runs", "logs/b/2", "logs/a/1", "logs/a/1") == both[::-1], "order")
    check("report.json", rows("report.json", "swept/report.json", "logs") == [(family, layers, 2) for family in ("llama3-3B", "smollm3") for layers in (2, 4)],
          "a run in two forms counts once")
    report("default folder", folder, "logs")
    check("default folder", (folder / "logs/report/report.html").is_file(), "logs/report")
    check("itself", rows("itself", "logs") == both, "the report in logs was taken for a run")
    check("a report's folder", rows("a report's folder", "logs/report") == both, "not taken")
    check("warm-up", json.loads(report("warm-up", folder, "logs", "--warmup", "4", "--json").stdout)["rows"][0]["step_ms"]["min"] ==
          json.loads((folder / "logs/a/1/metrics.jsonl").read_text().splitlines()[-1])["elapsed_ms"], "steps behind the warm-up")
    peak = json.loads(report("peak", folder, "logs", "--peak-tflops", "2", "--json").stdout)["rows"][0]
    check("peak", abs(peak["mfu"] - peak["tflops"]["median"] / 2) < 1e-12, peak)
    single = report("single", folder, "logs/a/1")
    check("single", "| llama3-3B-nLayers2 | 2 |" in single.stdout and (folder / "logs/a/1/report.html").is_file(), single.stdout)

    (folder / "logs/b/2/metrics.jsonl").write_text("{\n{\n")
    result = report("left out", folder, "logs", "--output", "joint")
    check("left out", "left out: logs/b/2/metrics.jsonl" in result.stderr and "smollm3" not in result.stdout, result)
    result = report("named", folder, "logs/a/1", "logs/b/2", code=DATA)
    check("named", result.stderr.startswith("borealis: data: logs/b/2/metrics.jsonl"), result.stderr)


def unfinished_and_cut(folder):
    """A run that was killed has the figures of its steps; one that lost steps is told of."""
    shutil.copytree(folder / "logs/a/1", folder / "killed")
    whole = json.loads((folder / "killed/summary.json").read_text())
    unknown = {"stopped_by": "", "steps": 0, "tokens_per_gpu_per_second": 0, "tflops": 0, "step_ms": 0, "peak_memory_bytes": 0}
    (folder / "killed/summary.json").write_text(json.dumps(whole | unknown))
    told = json.loads(report("killed", folder, "killed", "--json").stdout)["runs"][0]["summary"]
    check("killed", all(told[key] == whole[key] for key in ("steps", "tokens_per_gpu_per_second", "tflops", "step_ms")), told)
    rate = whole["tokens_per_gpu_per_second"]  # below 1000 on a busy machine
    check("killed", f"| {rate:.{0 if rate >= 1000 else 2}f} |" in report("killed", folder, "killed").stdout, "not in the table")

    shutil.copytree(folder / "logs/a/1", folder / "cut")
    lines = (folder / "cut/metrics.jsonl").read_text().splitlines(keepends=True)
    (folder / "cut/metrics.jsonl").write_text("".join(lines[:3]))
    for arguments in (["cut"], ["cut", "--output", "joint"]):
        result = report("cut", folder, *arguments)
        check("cut", "cut: metrics.jsonl has 3 of the 5 steps that summary.json tells of" in result.stderr, result.stderr)


def configurations(folder):
    """Rows that differ in more than depth: the report's own check finds nothing, and finds what is changed in it."""
    small = [*SHAPE[:-1], "64"]
    for name, values in (("types", "DTYPE=bf16,fp32"), ("batches", "GRAD_ACC_STEPS=1,3")):
        result = run(folder, "sweep", "--nlayers", "1,2", "--set", values, "--steps", "4", "--output", name, "--", *small)
        check(name, result.returncode == 0, result)
        checked = report(name, folder, "--check", f"{name}/report.md")
        check(name, "nothing contradicts anything" in checked.stdout, checked.stdout)
    document = json.loads((folder / "types/report.json").read_text())
    for one in document["runs"]:
        one["machine"]["cpu_model"] = "Another | CPU"
    (folder / "another").mkdir()
    (folder / "another/report.json").write_text(json.dumps(document))
    report("machines", folder, "types", "another/report.json", "--output", "machines")
    checked = report("machines", folder, "--check", "machines/report.md")
    check("machines", "8 rows, 32 raw values\n  nothing contradicts anything" in checked.stdout, checked.stdout)
    text = (folder / "types/report.md").read_text()
    for old, new, word in (("4 configurations", "7 configurations", "count"), ("WORLD_SIZE: 1", "WORLD_SIZE: 8", "configuration"),
                           ("Together that is 8 steps", "Together that is 99 steps", "count")):
        (folder / "tampered.md").write_text(text.replace(old, new))
        checked = report("tampered", folder, "--check", "tampered.md", code=DATA)
        check("tampered", checked.stdout.count("\n") == 2 and f"  {word}: " in checked.stdout, old, checked.stdout)


def recomputed(folder):
    """What scripts/recompute_report.py says of other reports, and of what is none."""
    def said(place):
        result = subprocess.run([sys.executable, RECOMPUTE, place], text=True, capture_output=True)
        check("recomputed", "Traceback" not in result.stderr, result.stderr)
        return result.returncode, result.stdout + result.stderr

    code, text = said(folder / "machines")
    check("recomputed", code == 0 and ", 0 differ" in text, text)
    code, text = said(folder / "nowhere")
    check("recomputed", code == 1 and text.count("\n") == 1 and "nowhere/report.json: No such file" in text, text)
    document = json.loads((folder / "types/report.json").read_text())
    for one in document["runs"]:
        one["model_arch"] = "a|b\nc_d"
    (folder / "named").mkdir()
    (folder / "named/source.json").write_text(json.dumps(document))
    report("named", folder, "named/source.json", "--output", "named")
    code, text = said(folder / "named")
    check("recomputed", code == 0 and ", 0 differ" in text, text)
    document["runs"][0]["steps"]["elapsed_ms"][0] = 0
    (folder / "named/source.json").write_text(json.dumps(document))
    result = report("no time", folder, "named/source.json", "--output", "named")
    check("no time", "inf by the step's time" in result.stdout, result.stdout)
    code, text = said(folder / "named")
    check("recomputed", code == 1 and "ms, from which no rate follows" in text, text)


def comparisons(folder):
    same = report("same", folder, "--compare", "swept", "swept/report.json")
    check("same", same.stdout.count("within noise") == 4, same.stdout)
    even, slow = folder / "even", folder / "slow"
    for copy, rate in ((even, 1000), (slow, 100)):
        shutil.copytree(folder / "swept", copy)
        for metrics in copy.glob("points/llama3-3B_*/*/metrics.jsonl"):
            steps = [json.loads(line) for line in metrics.read_text().splitlines()]
            for number, step in enumerate(steps):
                step["tokens_per_gpu_per_second"] = rate * (1 + 0.001 * number)
            metrics.write_text("".join(json.dumps(step) + "\n" for step in steps))
    shutil.rmtree(slow / "points/smollm3-3B_nlayers4")
    document = json.loads(report("slower", folder, "--compare", "even", "slow", "--json").stdout)
    check("slower", [(row["verdict"], round(row["change"], 9)) for row in document["rows"][:2]] == 2 * [("slower", -0.9)], document["rows"])
    check("only before", document["only_before"] == ["smollm3, 4 layers"] and document["only_after"] == [], document)
    disagreeing = report("disagreement", folder, "slow", "--output", "joint")
    check("disagreement", "tokens per GPU and second of step 3" in disagreeing.stdout, disagreeing.stdout)


def bad_input(folder):
    def refused(name, code, *words, arguments):
        result = run(folder, "report", *arguments)
        check(name, result.returncode == code and result.stderr.startswith("borealis: ") and result.stderr.count("\n") == 1, result)
        check(name, all(word in result.stderr for word in words), result.stderr)

    (folder / "empty").mkdir()
    (folder / "note.txt").write_text("x")
    (folder / "broken.json").write_text("{}\0")
    (folder / "other.json").write_text("{}")
    refused("no folder", FILE, "nowhere", arguments=["nowhere"])
    refused("nothing there", FILE, "no run (summary.json) beneath empty", arguments=["empty"])
    refused("no report", DATA, "note.txt is neither a report.json nor a log", arguments=["note.txt"])
    refused("a NUL", DATA, "broken.json has a NUL", arguments=["broken.json"])
    refused("another document", DATA, "other.json is not a performance report", arguments=["other.json"])
    refused("nothing", USAGE, "SOURCE", arguments=[])
    refused("two things", USAGE, "--compare", arguments=["swept", "--compare", "swept", "swept"])
    refused("one to compare", USAGE, "--compare", arguments=["--compare", "swept"])
    refused("no warm-up", USAGE, "--warmup", arguments=["swept", "--warmup", "-1"])
    refused("no peak", USAGE, "--peak-tflops", arguments=["swept", "--peak-tflops", "0"])
    result = run(folder, "report", "swept", "--warmup", "5", "--output", "none")
    check("all warm-up", result.returncode == DATA and "no run with steps that count" in result.stderr and not (folder / "none").exists(), result)
    refused("a run's folder", USAGE, "logs/a/1 is the folder of a run", arguments=["swept", "--output", "logs/a/1"])
    refused("a sweep's folder", USAGE, "swept is the folder of a sweep", arguments=["logs", "--output", "swept"])
    for option, *others in (["--warmup", "2", "logs/a/1"], ["--peak-tflops", "1", "logs/a/1"], ["--threshold", "1", "swept", "--output", "none"],
                            ["--output", "none", "--compare", "swept", "swept"], ["--warmup", "2", "--check", "swept/report.md"]):
        refused(f"useless {option}", USAGE, f"{option} changes nothing", arguments=[option, *others])
    check("nothing written", not (folder / "none").exists(), "none")
    (folder / "file").write_text("x")
    refused("a file for a folder", FILE, "file", arguments=["swept", "--output", "file"])


with tempfile.TemporaryDirectory(prefix="borealis-report-") as name:
    place = pathlib.Path(name)
    for part in (sweep_until_memory_ends, files_of_a_sweep, sources, unfinished_and_cut, configurations, recomputed, comparisons, bad_input):
        part(place)
for failure in failures:
    print("FAILED", failure)
print(f"{len(failures)} failures")
sys.exit(1 if failures else 0)
