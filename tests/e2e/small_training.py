"""A small training run that tests kill, starve of disk space and start again: how it is started, what is compared, and
faults of the disk by number or by place (tests/support/disk_faults.c)."""

import json
import os
import pathlib
import re
import signal
import struct
import subprocess

BOREALIS = os.environ["BOREALIS"]
DISK_FAULTS = os.environ["DISK_FAULTS"]
ITERATIONS, SAVE_INTERVAL, VALIDATION_INTERVAL = 14, 4, 5
TIMEOUT_S = 120  # a run takes a second; on a busy machine, some
SHAPE = ["--num-layers", "2", "--hidden-size", "64", "--num-attention-heads", "4", "--num-key-value-heads", "2",
         "--ffn-hidden-size", "96", "--seq-length", "32", "--micro-batch-size", "1"]
# What a step computed; times and rates differ from run to run.
COMPUTED = ["iteration", "consumed_samples", "consumed_tokens", "learning_rate", "global_batch_size", "lm_loss", "grad_norm",
            "skipped_iterations"]


def write_dataset(prefix, count=160, salt=0):
    """A Megatron data set of u16 tokens in documents of different lengths."""
    documents = [[(7 * i + j * j + salt) % 256 for j in range(11 + 17 * i % 60)] for i in range(count)]
    lengths = [len(document) for document in documents]
    offsets = [2 * sum(lengths[:i]) for i in range(len(lengths))]
    n = len(lengths)
    pathlib.Path(f"{prefix}.bin").write_bytes(b"".join(struct.pack(f"<{len(d)}H", *d) for d in documents))
    pathlib.Path(f"{prefix}.idx").write_bytes(
        b"MMIDIDX\0\0" + struct.pack("<QBQQ", 1, 8, n, n + 1) + struct.pack(f"<{n}i", *lengths) +
        struct.pack(f"<{n}q", *offsets) + struct.pack(f"<{n + 1}q", *range(n + 1)))


class Training:
    """One configuration in a folder of its own: the same command every time."""

    def __init__(self, folder, dtype, mock, run_dir=None, vocab_size=256, options=(), variables=None):
        self.variables = variables or {}
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True)
        self.checkpoints = self.folder / "ckpt"
        self.run_dir = run_dir
        if not mock:
            write_dataset(self.folder / "set")
            (self.folder / "list.txt").write_text("1.0 set corpus\n")
        data = ["--mock-data"] if mock else ["--data-file-list", "list.txt", "--split", "80,15,5"]
        self.command = [BOREALIS, "train", *SHAPE, *data, "--vocab-size", str(vocab_size), "--dtype", dtype, "--train-iters", str(ITERATIONS),
                        "--eval-interval", str(VALIDATION_INTERVAL), "--eval-iters", "2", "--log-interval", "1", "--save-interval", str(SAVE_INTERVAL),
                        "--no-progress", *(["--run-dir", run_dir] if run_dir else []), *options]

    def environment(self, faults=None):
        kept = {name: os.environ[name] for name in ("PATH", "OMP_NUM_THREADS") if name in os.environ}
        environment = {**kept, "HOME": str(self.folder), "CKPT_DIR": "ckpt", "GRAD_ACC_STEPS": "2", "OMP_WAIT_POLICY": "passive", **self.variables}
        return environment | ({"LD_PRELOAD": DISK_FAULTS} | faults if faults else {})

    def start(self, faults=None):
        return subprocess.Popen(self.command, cwd=self.folder, env=self.environment(faults), text=True, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)

    def run(self, faults=None, signal_after_s=None, signal_number=signal.SIGKILL):
        """The run to its end, which a signal may hasten. A hang is a failure."""
        process = self.start(faults)
        try:
            if signal_after_s is not None:
                try:
                    process.wait(signal_after_s)
                except subprocess.TimeoutExpired:
                    process.send_signal(signal_number)
            out, err = process.communicate(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(f"no end after {TIMEOUT_S} s:\n{out[-2000:]}{err[-2000:]}") from None
        return subprocess.CompletedProcess(self.command, process.returncode, out, err)

    def last_run_dir(self):
        if self.run_dir:
            return self.folder / self.run_dir
        log = (self.folder / "logs/latest").read_text().splitlines()[-1]
        return (self.folder / log).parent

    def saved_iteration(self):
        """That of the newest checkpoint, 0 if there is none."""
        latest = self.checkpoints / "latest"
        return int(latest.read_text().removeprefix("global_step")) if latest.exists() else 0

    def leftovers(self):
        """Half-written files among the checkpoints, and in the folder of the last run."""
        return sorted(str(path.relative_to(self.folder)) for folder in (self.checkpoints, self.last_run_dir()) for path in folder.rglob("*")
                      if re.search(r"\.(partial|old)\.", path.name))


def step_numbers(run_dir):
    steps = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return [{name: step[name] for name in COMPUTED} for step in steps]


def results_of(training):
    """Everything that must be the same in any history of kills: numbers, and the bytes of every checkpoint."""
    run_dir = training.last_run_dir()
    numbers = {"steps": step_numbers(run_dir)}
    for name in ("validation.jsonl", "test.jsonl"):
        path = run_dir / name
        numbers[name] = path.read_text() if path.exists() else None
    return numbers | {"checkpoints": checkpoint_contents(training.checkpoints)}


def checkpoint_contents(folder):
    """Every file below the checkpoints' folder; of what a run says of itself, only what must not differ."""
    contents = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or ".cache" in path.parts:
            continue
        content = path.read_bytes()
        if path.name == "state.json":
            state = json.loads(content.replace(str(folder.parent).encode(), b"."))
            del state["run"]  # its folder, the time
            content = json.dumps(state).encode()
        elif path.name == "checksums.xxh128":
            content = b"".join(line for line in content.splitlines(True) if b"state.json" not in line)
        contents[str(path.relative_to(folder))] = content
    return contents


def differences(expected, got):
    """Where two results differ, in a few words each."""
    found = []
    for part in expected:
        if expected[part] == got[part]:
            continue
        if part == "checkpoints":
            names = sorted(name for name in expected[part] | got[part] if expected[part].get(name) != got[part].get(name))
            found.append(f"files differ: {names}")
        elif part == "steps":
            iterations = [step["iteration"] for step in got[part]]
            whole = [step["iteration"] for step in expected[part]]
            pairs = [(a, b) for a, b in zip(expected[part], got[part]) if a != b]
            found.append(f"steps {iterations} for {whole}; first difference {pairs[:1]}")
        else:
            found.append(f"{part}: {got[part]!r} for {expected[part]!r}")
    return found


def calls_of(training, path, calls, faults=None):
    """The calls that a whole run makes in files whose path contains `path`, as (call, path) in their order."""
    log = training.folder.parent / f"{training.folder.name}.calls"
    log.unlink(missing_ok=True)
    result = training.run({"FAULT_PATH": path, "FAULT_CALL": calls, "FAULT_LOG": str(log), **(faults or {})})
    lines = log.read_text().splitlines() if log.exists() else []
    return result, [tuple(line.split(" ", 2)[1:]) for line in lines]
