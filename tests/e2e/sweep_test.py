"""`borealis sweep`: a tiny family until memory ends, killed and gone on with, both ways of running out of memory, and what a
changed setting repeats."""

import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

BOREALIS = os.environ["BOREALIS"]
USAGE, CONFIG, FILE, DATA = 1, 2, 3, 4
SHAPE = ["--num-attention-heads", "2", "--num-key-value-heads", "1", "--ffn-hidden-size", "64", "--seq-length", "16", "--mock-data",
         "--vocab-size", "128"]
SMALL = {"HIDDEN": "32", "DTYPE": "fp32"}
LONG = "1500"  # steps of a run that is to be caught alive
failures = []


def check(name, condition, *details):
    if not condition:
        failures.append(f"{name}: {' '.join(str(detail)[-800:] for detail in details)}")


class Sweep:
    """One command in a folder of its own."""

    def __init__(self, folder, *options, limit=None, flags=(), environment=SMALL):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.dir = self.folder / "logs/sweep"
        self.command = [BOREALIS, "sweep", *options, "--", *SHAPE, *flags]
        kept = {name: os.environ[name] for name in ("PATH", "OMP_NUM_THREADS") if name in os.environ}
        self.environment = {**kept, "HOME": str(folder), "OMP_WAIT_POLICY": "passive", **environment}
        if limit:
            self.environment["MEMORY_LIMIT"] = str(limit)

    def start(self):
        return subprocess.Popen(self.command, cwd=self.folder, env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run(self, *options):
        command = [*self.command[:2], *options, *self.command[2:]]
        return subprocess.run(command, cwd=self.folder, env=self.environment, text=True, capture_output=True, timeout=300)

    def state(self):
        return json.loads((self.dir / "sweep.json").read_text())

    def states(self):
        return {point["name"]: point["state"] for point in self.state()["points"]}

    def planned_bytes(self):
        result = self.run("--dry-run", "--json")
        return [point["planned_bytes"] for point in json.loads(result.stdout)["points"]]

    def started_at(self):
        """When each run that is recorded began: a run that is repeated has another time."""
        runs = [run for point in self.state()["points"] for run in point["runs"]]
        return {run: (self.dir / run / "metrics.jsonl").stat().st_mtime_ns for run in runs}


def wait_for_steps(sweep, run, process, steps=2):
    for _ in range(2400):
        metrics = sweep.dir / run / "metrics.jsonl"
        if metrics.exists() and metrics.read_text().count("\n") >= steps:
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    raise AssertionError(f"{run} makes no step")


def children_of(pid):
    return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_alive(pid):
    """A zombie is none: whoever adopted it need not have looked."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def until_memory_ends(folder):
    """Refused by the plan: recorded as such, and the larger ones are not tried."""
    wide = {"HIDDEN": "512", "DTYPE": "fp32"}  # megabytes a layer
    options = ["--nlayers", "2:10:2", "--set", "GRAD_ACC_STEPS=1,2"]
    sweep = Sweep(folder, *options, environment=wide)
    planned = sweep.planned_bytes()
    check("dry run", len(planned) == 10 and planned == sorted(planned[:5]) + planned[5:] and not sweep.dir.exists(), planned)
    limit = (planned[1] + planned[2]) // 2
    sweep = Sweep(folder, *options, limit=limit, environment=wide)
    result = sweep.run("--dry-run")
    check("dry run", result.returncode == 0 and "10 points, 4 fit" in result.stdout and not sweep.dir.exists(), result.stdout)
    result = sweep.run()
    check("sweep", result.returncode == 0, result)
    expected = ["done", "done", "does_not_fit", "beyond_memory", "beyond_memory"]
    check("states", list(sweep.states().values()) == 2 * expected, sweep.states())
    state = sweep.state()
    refused = state["points"][2]
    check("reason", refused["reason"].startswith("borealis: memory:") and "\n" not in refused["reason"], refused)
    check("bytes", refused["planned_bytes"] > refused["limit_bytes"] == limit, refused)
    check("header", state["version"] == 1 and state["warmup_steps"] == 2 and state["repeats"] == 1, state)
    check("runs", state["points"][0]["runs"] == ["points/nlayers2_grad_acc_steps1/1"], state["points"][0])
    for point in (state["points"][0], state["points"][5]):
        summary = json.loads((sweep.dir / point["runs"][0] / "summary.json").read_text())
        check("settings", summary["num_hidden_layers"] == 2 and summary["steps"] == 10, summary["steps"])
        check("settings", summary["configuration"]["GRAD_ACC_STEPS"] == point["settings"]["GRAD_ACC_STEPS"], point)
        check("saves nothing", summary["checkpoint"] == "" and not (folder / "checkpoints").exists(), summary["checkpoint"])
    lines = result.stdout.splitlines()
    check("lines", lines[0].startswith("[1/10] nlayers2_grad_acc_steps1  done  ") and " tokens/s/GPU  " in lines[0], lines)
    check("end", "memory ends at nlayers6_grad_acc_steps1, which does not fit" in result.stdout, result.stdout)
    rows = [line.split() for line in lines if line.startswith("nlayers4_grad_acc_steps2 ")]
    steps = [json.loads(line) for line in (sweep.dir / "points/nlayers4_grad_acc_steps2/1/metrics.jsonl").read_text().splitlines()]
    rates = sorted(step["tokens_per_gpu_per_second"] for step in steps if step["iteration"] > 2)
    check("median", len(rates) == 8 and rows[0][3] == f"{(rates[3] + rates[4]) / 2:.0f}", rows, rates)

    before = sweep.started_at()
    result = sweep.run("--json")
    check("again", result.returncode == 0 and sweep.started_at() == before, "runs were repeated")
    check("--json", json.loads(result.stdout) == sweep.state(), result.stdout)
    more = Sweep(folder, *options, "--all", limit=limit, environment=wide)
    check("--all", more.run().returncode == 0 and list(more.states().values()) == 2 * (2 * ["done"] + 3 * ["does_not_fit"]), more.states())
    check("--all", more.started_at() == before, "runs were repeated")


def kills(folder):
    """A killed child is a point that memory ended; a killed sweep loses at most the run in progress."""
    sweep = Sweep(folder / "child", "--nlayers", "2:4", "--steps", LONG)
    process = sweep.start()
    wait_for_steps(sweep, "points/nlayers3/1", process)
    [child] = children_of(process.pid)
    check("first to end", pathlib.Path(f"/proc/{child}/oom_score_adj").read_text().strip() == "1000", "oom_score_adj")
    os.kill(child, signal.SIGKILL)
    out, err = process.communicate(timeout=300)
    check("killed child", process.returncode == 0, process.returncode, err)
    check("killed child", list(sweep.states().values()) == ["done", "killed", "beyond_memory"], sweep.states())
    check("killed child", "killed by SIGKILL after" in sweep.state()["points"][1]["reason"], sweep.state()["points"][1])
    check("killed child", "memory ends at nlayers3, which was killed" in out, out)
    before = sweep.started_at()
    check("killed, again", sweep.run().returncode == 0 and sweep.states()["nlayers3"] == "killed", sweep.states())
    shutil.rmtree(sweep.dir / "points/nlayers3")  # have it tried again
    check("killed, removed", sweep.run().returncode == 0 and set(sweep.states().values()) == {"done"}, sweep.states())
    check("killed, removed", before.items() <= sweep.started_at().items(), "what was done was repeated")

    sweep = Sweep(folder / "sweep", "--nlayers", "2:3", "--steps", LONG, "--repeat", "2")
    process = sweep.start()
    wait_for_steps(sweep, "points/nlayers2/2", process)
    [child] = children_of(process.pid)
    other = sweep.run()
    check("two sweeps", other.returncode == FILE and "another sweep is writing to logs/sweep" in other.stderr, other)
    process.kill()
    process.communicate()
    for _ in range(500):
        if not is_alive(child):
            break
        time.sleep(0.01)
    check("killed sweep", not is_alive(child), "its child lives on")
    check("killed sweep", sweep.states()["nlayers2"] == "pending", sweep.states())
    before = sweep.started_at()
    check("killed sweep", list(before) == ["points/nlayers2/1"], before)
    result = sweep.run()
    after = sweep.started_at()
    check("gone on", result.returncode == 0 and set(sweep.states().values()) == {"done"} and len(after) == 4, result, sweep.states())
    check("gone on", before.items() <= after.items(), "what was done was repeated")
    check("leftovers", not list(sweep.dir.rglob("*.partial.*")) and not list(sweep.dir.rglob("*.stderr")), list(sweep.dir.rglob("*.stderr")))


def killed_at_any_moment(folder):
    """What sweep.json once recorded is never lost, and the same command comes to the end."""
    sweep = Sweep(folder, "--nlayers", "1:3", "--repeat", "2")
    moments = random.Random(7)
    known = {}
    for _ in range(8):
        process = sweep.start()
        try:
            process.wait(moments.uniform(0.02, 1.2))
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()
        if (sweep.dir / "sweep.json").exists():
            now = sweep.started_at()
            check("any moment", known.items() <= now.items(), known, now)
            known = now
    result = sweep.run()
    check("any moment", result.returncode == 0 and set(sweep.states().values()) == {"done"}, result)
    check("any moment", known.items() <= sweep.started_at().items() and len(sweep.started_at()) == 6, sweep.states())
    check("any moment", not list(sweep.dir.rglob("*.partial.*")), list(sweep.dir.rglob("*.partial.*")))


def signals(folder):
    for number in (signal.SIGINT, signal.SIGTERM):
        sweep = Sweep(folder / number.name, "--nlayers", "2,3", "--steps", LONG)
        process = sweep.start()
        wait_for_steps(sweep, "points/nlayers3/1", process)
        [child] = children_of(process.pid)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
        check(number.name, process.returncode == 128 + number and f"stopped by {number.name}" in err, process.returncode, err)
        check(number.name, not is_alive(child), "its child lives on")
        check(number.name, sweep.states() == {"nlayers2": "done", "nlayers3": "pending"}, sweep.states())
        if number == signal.SIGTERM:
            continue
        before = sweep.started_at()
        check(number.name, sweep.run().returncode == 0 and before.items() <= sweep.started_at().items(), sweep.states())


def changes(folder):
    """Only what changed is measured again; what a grid no longer has stays."""
    sweep = Sweep(folder, "--nlayers", "2,3", "--set", "LR=1e-4,2e-4")
    check("first", sweep.run().returncode == 0, sweep.states())
    first = sweep.started_at()
    grown = Sweep(folder, "--nlayers", "2:4", "--set", "LR=1e-4,2e-4")
    check("grown", grown.run().returncode == 0 and first.items() <= grown.started_at().items() and len(grown.states()) == 6, grown.states())
    other = Sweep(folder, "--nlayers", "2,3", "--set", "LR=1e-4", environment={**SMALL, "CLIP_GRAD": "2"})
    check("changed", other.run().returncode == 0, other.states())
    after = other.started_at()
    repeated = {run for run in first if first[run] != after.get(run)}
    check("changed", repeated == {"points/nlayers2_lr1e-4/1", "points/nlayers3_lr1e-4/1"}, repeated)
    check("changed", set(other.states()) == set(grown.states()) and set(other.states().values()) == {"done"}, other.states())
    warmer = Sweep(folder, "--nlayers", "2,3", "--set", "LR=1e-4", "--warmup", "5", environment={**SMALL, "CLIP_GRAD": "2"})
    result = warmer.run()
    check("warm-up", result.returncode == 0 and warmer.started_at() == after and "after the first 5" in result.stdout, result.stdout)
    state = other.state()
    state["points"][0]["key"]["version"] = "another"
    (other.dir / "sweep.json").write_text(json.dumps(state))
    name = state["points"][0]["runs"][0]
    check("version", other.run().returncode == 0 and [run for run, at in other.started_at().items() if at != after[run]] == [name], name)


def failed_points(folder):
    """One that fails does not hold the others up; the sweep's exit code is its."""
    sweep = Sweep(folder, "--nlayers", "2,3")
    (sweep.dir / "points").mkdir(parents=True)
    (sweep.dir / "points/nlayers2").write_text("a file where a folder should be")
    result = sweep.run()
    check("no folder", result.returncode == FILE and result.stderr.startswith("borealis: file:"), result)
    os.remove(sweep.dir / "points/nlayers2")
    sweep = Sweep(folder, "--nlayers", "2,3", flags=["--exit-interval", "5"])
    result = sweep.run()
    check("cut off", result.returncode == 1 and set(sweep.states().values()) == {"failed"}, result)
    check("cut off", "nlayers2 failed: ended after 5 of 10 steps" in result.stdout, result.stdout)
    sweep = Sweep(folder, "--nlayers", "2,3")
    check("after the failure", sweep.run().returncode == 0 and set(sweep.states().values()) == {"done"}, sweep.states())
    (sweep.dir / "sweep.json").write_text("{")
    result = sweep.run()
    check("broken state", result.returncode == DATA and "sweep.json is not the state of a sweep" in result.stderr, result)


def launchers(folder):
    """What starts a run may be a job's launcher: its exit code is the run's."""
    launcher = folder / "launcher"
    folder.mkdir(parents=True, exist_ok=True)
    launcher.write_text('#!/bin/sh\necho "$@" >> launched\nshift\nexec "$@"\n')
    launcher.chmod(0o755)
    sweep = Sweep(folder, "--nlayers", "2,3", "--launch", f"'{launcher}' two' 'words")
    result = sweep.run()
    check("launched", result.returncode == 0 and set(sweep.states().values()) == {"done"}, result)
    lines = (folder / "launched").read_text().splitlines()
    check("launched", len(lines) == 2 and all(line.startswith("two words /") and " train " in line for line in lines), lines)
    missing = Sweep(folder / "missing", "--nlayers", "2", "--launch", "no-such-launcher")
    result = missing.run()
    check("no launcher", result.returncode == 127 and "no-such-launcher cannot be run (--launch)" in result.stdout, result)
    killed = Sweep(folder / "killed", "--nlayers", "2", "--launch", "sh -c 'exit 137'")
    silent = Sweep(folder / "silent", "--nlayers", "2", "--launch", "sh -c 'exit 5'")
    check("memory without a word", silent.run().returncode == 5 and set(silent.states().values()) == {"failed"}, silent.states())
    check("killed by the job", killed.run().returncode == 0 and set(killed.states().values()) == {"killed"}, killed.states())


def bad_input(folder):
    def refused(name, code, *words, options=(), **arguments):
        sweep = Sweep(folder / name, *options, **arguments)
        result = sweep.run()
        check(name, result.returncode == code and result.stderr.startswith("borealis: "), result)
        check(name, all(word in result.stderr for word in words) and not sweep.dir.exists(), result.stderr)

    refused("nothing", USAGE, "nothing to sweep over")
    refused("all at once", CONFIG, "HIDEN is not a variable", "FIRST:LAST:STEP", options=["--nlayers", "4:2", "--set", "HIDEN=2"])
    refused("values", CONFIG, "foo_nlayers2_dtypefp16 and 3 more: DTYPE=fp16", "MODEL_ARCH=foo is not a known", "NLAYERS=0 is too small",
            options=["--arch", "foo,2B", "--nlayers", "2,0", "--set", "DTYPE=fp16"])
    refused("flags", CONFIG, "--num-layers would set NLAYERS", "--train-iters is not for a sweep", options=["--nlayers", "2"],
            flags=["--num-layers", "3", "--train-iters", "4"])
    refused("warm-up", USAGE, "--warmup 3 leaves none of the 3 steps", options=["--nlayers", "2", "--steps", "3", "--warmup", "3"])
    refused("saving", CONFIG, "--save-interval is not for a sweep: a sweep's points save nothing", "CKPT_DIR cannot vary",
            options=["--nlayers", "2", "--set", "CKPT_DIR=a,b"], flags=["--save-interval", "1"])
    refused("quote", USAGE, "has a quote or a brace that does not end", options=["--nlayers", "2", "--launch", "env 'FOO=a b"])
    refused("shell", USAGE, "needs a shell", options=["--nlayers", "2", "--launch", "srun | tee log"])
    refused("no file", FILE, "grid.yaml", options=["--file", "grid.yaml"])
    (folder / "a run").mkdir()
    (folder / "a run/summary.json").write_text("{}")
    refused("a run's folder", USAGE, "is the folder of a run", options=["--nlayers", "2", "--output", str(folder / "a run")])
    grid = folder / "grid.json"
    grid.write_text('[{"NLAYERS": ["2:3", 5], "LR": 1e-4}, {"NLAYERS": 2}]')
    result = Sweep(folder / "file", "--file", str(grid), "--set", "GRAD_ACC_STEPS=2").run("--dry-run")
    names = [line.split()[0] for line in result.stdout.splitlines()[1:-1]]
    check("file", sorted(names) == ["nlayers2_grad_acc_steps2", *(f"nlayers{n}_grad_acc_steps2_lr1e-4" for n in (2, 3, 5))], names)


def main():
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        for part in (until_memory_ends, kills, killed_at_any_moment, signals, changes, failed_points, launchers, bad_input):
            part(folder / part.__name__)
    print("\n".join(failures) if failures else "sweep: all is well")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
