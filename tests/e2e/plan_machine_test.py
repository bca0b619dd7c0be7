"""`borealis plan --machine` and `--calibrate`: the report's table from its machine file, memory's end, a machine fitted to
runs, a sweep, a table and the report itself, and what is refused."""

import csv
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from mpi_launchers import AS_ROOT, LAUNCHERS, module_of

BOREALIS = os.environ["BOREALIS"]
SOURCE = pathlib.Path(os.environ["BOREALIS_SOURCE_DIR"])
REPORT = SOURCE.parent / "shared/reference/aurora-gpt-small.md"
STEPS = SOURCE / "tests/golden/planner/aurora_steps.csv"
USAGE, CONFIG, FILE, DATA = 1, 2, 3, 4
REPORTED = {"GRAD_ACC_STEPS": "2", "MICRO_BATCH": "1", "ZERO_STAGE": "0", "TOKENIZER_MODEL": "google/gemma-7b"}
SHAPE = ["--num-attention-heads", "2", "--num-key-value-heads", "1", "--ffn-hidden-size", "64", "--vocab-size", "128", "--mock-data"]
failures = []


def check(name, condition, *details):
    if not condition:
        failures.append(f"{name}: {' '.join(str(detail)[-800:] for detail in details)}")


def call(*words, command="plan", environment=None, folder="."):
    kept = {"PATH": os.environ["PATH"]}
    environment = {**kept, "HOME": str(folder), "BOREALIS_HOME": str(SOURCE), "OMP_WAIT_POLICY": "passive", **(environment or {})}
    return subprocess.run([BOREALIS, command, *map(str, words)], cwd=folder, env=environment, text=True, capture_output=True, timeout=300)


def plan(*words, environment=None, folder="."):
    result = call(*words, "--json", environment=environment, folder=folder)
    check(f"plan {words}", result.returncode == 0, result.stderr)
    return json.loads(result.stdout or '{"points": []}')


def check_report_table():
    """Every row of the report within 1 %, through the same settings that its runs were made with."""
    document = plan("--machine", "aurora-pvc-tile", "--arch", "llama3-3B,smollm3-3B", "--nlayers", "4:20:2", "--hosts", "2", "--tokens",
                    "300B", environment=REPORTED)
    points = {(point["model"], point["num_hidden_layers"]): point for point in document["points"]}
    check("grid", len(points) == 18, sorted(points))
    rows = [row for row in csv.DictReader(STEPS.open()) if row["grad_accum_steps"] == "2"]
    check("rows", len(rows) == 12, rows)
    for row in rows:
        model = "llama3-3B" if row["hidden_size"] == "3072" else "smollm3"
        point = points[model, int(row["num_hidden_layers"])]
        error = point["tokens_per_gpu_per_second"] / float(row["tokens_per_gpu_per_second"]) - 1
        check("within 1 %", abs(error) < 0.01 and point["fits"] and point["standing"] == "calibrated", point)
        check("ranks", point["ranks"] == 24 and point["global_batch_size"] == 48, point)
        tokens_per_s = 24 * point["tokens_per_gpu_per_second"]
        check("budget", abs(point["node_hours"] * 3600 / 2 * tokens_per_s / 300e9 - 1) < 1e-9, point)
    for model, layers in (("llama3-3B", 16), ("smollm3", 20)):
        check("out of memory", not points[model, layers]["fits"] and points[model, layers]["step_time_s"] is None, points[model, layers])
    text = call("--machine", "aurora-pvc-tile", "--arch", "llama3-3B", "--nlayers", "14,16", "--hosts", "1,2,4", environment=REPORTED).stdout
    check("text", "memory ends behind 14 layers on 24 ranks" in text and "links uncalibrated" in text and "calibrated on 13 steps" in text, text)
    check("columns", len({line.rfind("calibrated") + 10 for line in text.splitlines() if line.startswith("llama3-3B  ")}) == 1, text)
    uncalibrated = call("--machine", "h100-80g", "--arch", "llama3-3B", environment=REPORTED).stdout
    check("uncalibrated", uncalibrated.count("uncalibrated") == 2, uncalibrated)


def check_published(folder):
    """From the report itself and from its numbers: the machine that is committed."""
    committed = json.loads((SOURCE / "machines/aurora-pvc-tile.json").read_text())["calibration"]["constants"]
    for source in (STEPS, REPORT):
        if not source.exists():
            print(f"skipped: {source} is not on this machine")
            continue
        result = call("--calibrate", source, "--machine", "aurora-pvc-tile", "--output", folder / "again.json", "--json", folder=folder)
        check(f"calibrated on {source.name}", result.returncode == 0, result.stderr)
        written = json.loads((folder / "again.json").read_text())
        check("printed is written", json.loads(result.stdout) == written and written["name"] == "again", result.stdout)
        check("13 rows", len(written["calibration"]["rows"]) == 13, written)
        for name, value in committed.items():
            check(f"{source.name}: {name}", abs(written["calibration"]["constants"][name] / value - 1) < 1e-6, written)


def train(folder, name, layers, hidden, *flags, environment=None):
    result = call("--num-layers", layers, "--hidden-size", hidden, "--seq-length", 32, *SHAPE, "--train-iters", 4, "--eval-interval", 0,
                  "--split", "1,0,0", "--no-save", "--no-progress", "--run-dir", name, *flags, command="train", environment=environment, folder=folder)
    check(f"train {name}", result.returncode == 0, result.stderr)
    return name


def check_own_runs(folder):
    runs = [train(folder, "a", 2, 32), train(folder, "b", 4, 32), train(folder, "c", 2, 64, "--grad-acc-steps", "3")]
    result = call("--calibrate", *runs, "--output", "mine.json", folder=folder)
    check("calibrate", result.returncode == 0 and all(f"\n{run} " in result.stdout for run in runs), result.stdout, result.stderr)
    machine = json.loads((folder / "mine.json").read_text())
    summary = json.loads((folder / "a/summary.json").read_text())
    check("what runs say", machine["stack"] == "borealis" and machine["memory_bytes"] == summary["machine"]["memory_bytes"] and
          abs(machine["calibration"]["rows"][0]["measured_s"] * 1000 / summary["step_ms"] - 1) < 1e-12, machine)
    shape = ["--num-layers", "3", "--hidden-size", "32", "--seq-length", "32", *SHAPE]
    document = plan("--machine", "mine.json", *shape, folder=folder)
    point = document["points"][0]
    check("planned", point["standing"] == "calibrated" and point["step_time_s"] > 0 and point["ranks"] == 1, point)
    # Memory is what `plan` says of it, but for the process and data on this machine.
    own = json.loads(call(*shape, "--json", folder=folder).stdout)["memory"]["classes"]
    ours = {entry["name"]: entry["bytes"] for entry in point["memory"]["classes"]}
    for entry in own:
        known = entry["name"] in ("program and shared libraries", "sample index and batches",
                                  "second place for the state, to save it in the background")
        check("memory", known or ours.get(entry["name"]) == entry["bytes"], entry, ours)
    check("fp32", "DTYPE=fp32, but the machine mine is described for bf16" in
          call("--machine", "mine.json", *shape, "--dtype", "fp32", folder=folder).stderr)
    wide = train(folder, "wide", 2, 32, "--dtype", "fp32")
    result = call("--calibrate", "a", wide, "--output", "both.json", folder=folder)
    check("one machine", result.returncode == CONFIG and "differ in their" in result.stderr and not (folder / "both.json").exists(),
          result.stderr)
    check_edited_runs(folder)
    check_ranks(folder)


def check_edited_runs(folder):
    """Of the run a: the same again, and what went wrong."""
    shutil.copytree(folder / "a", folder / "twin")
    result = call("--calibrate", "a", "twin", folder=folder)
    check("one configuration", result.returncode == DATA and "1 configuration is too few" in result.stderr and "all 2 steps" in result.stderr, result.stderr)
    summary, metrics = folder / "twin/summary.json", folder / "twin/metrics.jsonl"
    ended = json.loads(summary.read_text())
    steps = [json.loads(line) for line in metrics.read_text().splitlines()]

    def calibrated(name, part="", metrics_text=None, **changed):
        summary.write_text(json.dumps(ended | changed))
        metrics.write_text("\n".join(map(json.dumps, steps)) + "\n" if metrics_text is None else metrics_text)
        result = call("--calibrate", "twin", "b", "--output", "twin.json", folder=folder)
        expected = DATA if part else 0
        check(name, result.returncode == expected and part in result.stderr and ("twin" in result.stderr or not part), result.returncode, result.stderr)

    calibrated("stopped by a signal", stopped_by="SIGTERM")
    calibrated("failed", "the run in twin failed: the loss is gone", stopped_by="error", failure="the loss is gone")
    calibrated("goes on", "has no finished steps", stopped_by="")
    skipped = [step | {"skipped_iterations": step["iteration"] - 1} for step in steps]
    calibrated("skipped", f"skipped {len(steps) - 1} of {len(steps)} steps", "\n".join(map(json.dumps, skipped)) + "\n")
    calibrated("corrupt", "twin/metrics.jsonl", '{"iteration": "x"}\n' + metrics.read_text())


def check_settings():
    """What the run's settings and a job's environment say of memory, device and ranks is taken or refused."""
    def points(*words, **environment):
        return plan("--machine", "h100-80g", "--arch", "llama3-3B", "--nlayers", 4, *words, environment=REPORTED | environment)["points"]

    def refused(name, part, *words, **environment):
        result = call("--machine", "h100-80g", "--arch", "llama3-3B", "--nlayers", 4, *words, environment=REPORTED | environment)
        check(name, result.returncode == CONFIG and part in result.stderr and not result.stdout, result.returncode, result.stderr, result.stdout)

    free, = points()
    check("free", free["fits"] and free["ranks"] == 8 and free["memory"]["limit_bytes"] == 85018877624, free)
    for limited in (points("--memory-limit", "1GiB"), points(MEMORY_LIMIT="1GiB"), points("--set", "MEMORY_LIMIT=1GiB,64GiB,900GiB")):
        check("limited", not limited[0]["fits"] and limited[0]["most_layers"] == 0 and limited[0]["memory"]["limit_bytes"] == 1 << 30, limited[0])
    check("limits", 0 < limited[1]["most_layers"] < limited[2]["most_layers"] == free["most_layers"], limited)
    refused("ranks that share sequences", "SP=2 on h100-80g: ranks that share sequences compute on CPUs so far", SP="2")
    refused("another device", "DEVICE=cpu, but the machine h100-80g is described as a GPU", "--device", "cpu")
    refused("another device of the environment", "described as a GPU", DEVICE="cpu")
    check("its device", points("--device", "cuda") == [free], free)
    check("ranks of a host", [point["ranks"] for point in points(NGPU_PER_HOST="6")] == [6])
    check("the flag's", [point["ranks"] for point in points("--ranks-per-host", 4, NGPU_PER_HOST="6")] == [4])
    check("the grid's", [point["ranks"] for point in points("--set", "NGPU_PER_HOST=2,6", "--hosts", "1,2")] == [2, 4, 6, 12])
    text = call("--machine", "h100-80g", environment={"NGPU_PER_HOST": "6"}).stdout
    check("told", "note: 6 ranks a host, as the environment's NGPU_PER_HOST says; h100-80g has 8" in text, text)
    refused("no number", "NGPU_PER_HOST=many is no number of ranks, 1 to 4096", NGPU_PER_HOST="many")
    refused("flag and grid", "--ranks-per-host would set NGPU_PER_HOST", "--ranks-per-host", 4, "--set", "NGPU_PER_HOST=2,6")
    refused("other ranks", "WORLD_SIZE=3, but 1 host of 8 ranks make 8; unset WORLD_SIZE: --hosts and --ranks-per-host say", WORLD_SIZE="3")
    refused("ranks of a grid", "WORLD_SIZE cannot vary: --hosts and --ranks-per-host say", "--set", "WORLD_SIZE=8,16")
    refused("hosts of a grid", "HOSTFILE cannot vary: --hosts", "--set", "HOSTFILE=a,b")
    # Inside a job: its hosts are not those that are planned for.
    check("in a job", points(WORLD_SIZE="8", PBS_NODEFILE="/nowhere", HOSTFILE="/nowhere", SLURM_JOB_NODELIST="a[1-3]", SLURM_NTASKS="99") == [free])


def check_ranks(folder):
    """Beside the runs a and b, one of two ranks and what doctor measured between them, on a machine whose ranks share its cores."""
    if not any(module_of(name).exists() and shutil.which(command[0]) for name, command in LAUNCHERS.items()):
        print("skipped: no MPI library and launcher is on this machine")
        return
    two = {"NGPU_PER_HOST": "2", "BOREALIS_HOME": str(SOURCE), **AS_ROOT}
    shape = ["--num-layers", "2", "--hidden-size", "32", "--seq-length", "32", *SHAPE]
    result = call("doctor", "--mock-data", "--json", command="launch", environment=two, folder=folder)
    check("doctor", result.returncode == 0, result.stderr)
    (folder / "links.json").write_text(result.stdout)
    result = call("train", *shape, "--train-iters", 4, "--eval-interval", 0, "--split", "1,0,0", "--no-save", "--no-progress", "--run-dir", "two",
                  command="launch", environment=two | {"ZERO_STAGE": "1"}, folder=folder)
    check("two ranks", result.returncode == 0, result.stderr)
    cores = len(os.sched_getaffinity(0))
    told = json.loads((folder / "two/summary.json").read_text())
    check("cores of both", told["machine"]["cores"] == cores, told["machine"])
    if cores >= 2 and cores % 2 == 0:
        result = call("--calibrate", "a", "b", "two", "links.json", "--output", "ranks.json", folder=folder)
        check("of one and two ranks", result.returncode == 0, result.stdout, result.stderr)
        machine = json.loads((folder / "ranks.json").read_text())
        largest = json.loads((folder / "links.json").read_text())["all_reduce_f32"][-1]
        check("what doctor measured", abs(machine["links"]["within_host_bytes_per_s"] / largest["bus_bytes_per_s"] - 1) < 1e-9 and
              machine["cores_per_host"] == cores and machine["calibration"]["ranks_per_host"] == [1, 2] and "links.json" in machine["provenance"], machine)
        one, both = (plan("--machine", "ranks.json", "--ranks-per-host", n, *shape, environment={"ZERO_STAGE": "1"}, folder=folder)["points"][0] for n in (1, 2))
        check("ranks share", both["standing"] == "calibrated" and both["step_time_s"] > one["step_time_s"] and one["communication_s"] == 0 < both["communication_s"],
              one, both)
    train(folder, "slow", 2, 32, environment={"OMP_NUM_THREADS": "1"})
    if cores > 1:
        result = call("--calibrate", "slow", "b", folder=folder)
        check("part of the cores", result.returncode == CONFIG and f"computed on 1 of its {cores} cores" in result.stderr, result.stderr)
    for words, part in ((("a", "./a"), "./a is named twice"), (("a", "b", "--tokens", "5"), "--tokens is not for --calibrate"),
                        (("a", "b", "--hosts", "2"), "--hosts is not for --calibrate")):
        result = call("--calibrate", *words, folder=folder)
        check(f"refuses {words}", result.returncode == USAGE and part in result.stderr, result.returncode, result.stderr)
    result = call("--calibrate", "a", "b", "--machine", "aurora-pvc-tile", folder=folder)
    check("another stack", result.returncode == CONFIG and "stack megatron-deepspeed" in result.stderr, result.stderr)
    shutil.copytree(folder / "a", folder / "edited")
    for file, path, value, part in (("config.json", ("batch", "seq_length"), 2.5, '"seq_length" is 2.5, which is not a whole number of 1 to'),
                                    ("config.json", ("parallel", "hosts"), 3, "1 ranks on 3 hosts"), ("summary.json", ("machine", "memory_bytes"), -1, "-1 bytes of memory")):
        json_of = json.loads((folder / "a" / file).read_text())
        json_of[path[0]][path[1]] = value
        (folder / "edited" / file).write_text(json.dumps(json_of))
        result = call("--calibrate", "edited", "b", "--output", "edited.json", folder=folder)
        check(f"edited {path}", result.returncode == DATA and part in result.stderr and f"edited/{file}" in result.stderr and not (folder / "edited.json").exists(), result.stderr)
        shutil.copy(folder / "a" / file, folder / "edited" / file)
    machine = json.loads((folder / "mine.json").read_text())
    machine["links"]["between_hosts_latency_s"] = 1e30
    (folder / "absurd.json").write_text(json.dumps(machine))
    result = call("--machine", "absurd.json", *shape, folder=folder)
    check("absurd", result.returncode == DATA and '"between_hosts_latency_s": 1e+30' in result.stderr, result.stderr)
    result = call("--machine", "mine.json", "--ranks-per-host", 0, *shape, folder=folder)
    check("names the option", result.returncode == USAGE and "--ranks-per-host" in result.stderr and "hidden-size" not in result.stderr, result.stderr)
    result = call("--calibrate", "links.json", folder=folder)
    check("links alone", result.returncode == USAGE and "has no measured steps" in result.stderr, result.stderr)


def check_sweep(folder):
    result = call("--nlayers", "1,2", "--steps", 4, "--", "--hidden-size", "32", "--seq-length", "32", *SHAPE, command="sweep", folder=folder)
    check("sweep", result.returncode == 0, result.stderr)
    result = call("--calibrate", "logs/sweep", folder=folder)
    check("of a sweep", result.returncode == 0 and "calibrated on 2 steps of sweep" in result.stdout, result.stdout, result.stderr)


def check_refusals(folder):
    (folder / "broken.json").write_text("{}")
    (folder / "broken.csv").write_text("hidden_size,speed\n")
    (folder / "empty").mkdir()
    (folder / "text.md").write_text("nothing\n")
    machine = ("--machine", "aurora-pvc-tile")
    for words, code, part in (
            (("--machine", "nosuch"), CONFIG, "known are a100-40g, a100-80g, aurora-pvc-tile, h100-80g, pvc-tile-64g"),
            (("--machine", "broken.json"), DATA, 'has no "format"'),
            (("--machine", "absent.json"), FILE, "absent.json"),
            (("--hosts", "2"), USAGE, "need --machine"),
            ((*machine, "--hosts", "0"), CONFIG, "--hosts 0: 0 is not a whole number of 1"),
            ((*machine, "--hosts", "2:1"), CONFIG, "is not a range"),
            ((*machine, "--tokens", "many"), USAGE, "--tokens many is no number of tokens"),
            ((*machine, "--tokens", "5e99"), USAGE, "--tokens 5e99"),
            ((*machine, "--nlayers", "4", "--num-layers", "8"), CONFIG, "which the grid varies"),
            ((*machine, "--nlayers", "four"), CONFIG, "four"),
            ((*machine, "--no-such-flag"), USAGE, "--no-such-flag"),
            ((*machine, "--output", "x.json"), USAGE, "--output is for --calibrate"),
            (("--output", "x.json"), USAGE, "--output is for --calibrate"),
            (("--calibrate", "empty"), FILE, "empty/config.json"),
            (("--calibrate", "nosuch"), FILE, "nosuch does not exist"),
            (("--calibrate", "broken.csv", "--output", "x.json"), USAGE, "does not say on which machine"),
            (("--calibrate", "broken.csv", *machine, "--output", "x.json"), DATA, "'speed' is no column"),
            (("--calibrate", "broken.json"), DATA, "broken.json is not what doctor prints"),
            (("--calibrate", "text.md", *machine, "--output", "x.json"), DATA, "text.md has no table"),
            (("--calibrate", STEPS, *machine, "--output", "nowhere/x.json"), FILE, "nowhere"),
            (("--calibrate", STEPS, *machine, "--seed", "3"), USAGE, "--seed is not for --calibrate")):
        result = call(*words, folder=folder)
        check(f"refuses {words}", result.returncode == code and part in result.stderr, result.returncode, result.stderr, result.stdout)
        check(f"one message for {words}", result.stderr.startswith("borealis: ") and "internal" not in result.stderr and not result.stdout,
              result.stderr, result.stdout)
    check("nothing written", not (folder / "x.json").exists() and not list(folder.glob("*.partial*")), list(folder.iterdir()))


def main():
    with tempfile.TemporaryDirectory() as temporary:
        for number, part in enumerate((lambda _: check_report_table(), lambda _: check_settings(), check_published, check_own_runs, check_sweep, check_refusals)):
            folder = pathlib.Path(temporary) / str(number)
            folder.mkdir()
            part(folder)
    for failure in failures:
        print(failure, file=sys.stderr)
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
