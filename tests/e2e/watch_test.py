"""`borealis watch`: snapshots as text and JSON, and the screen on a pseudo terminal: keys, other sizes, signals, and runs that begin,
end and are killed while they are watched."""

import contextlib
import fcntl
import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time

from small_training import BOREALIS, TIMEOUT_S, Training

ENTER_SCREEN, LEAVE_SCREEN = "\x1b[?1049h", "\x1b[?1049l"
KILLED = "killed: its process is gone"
failures = []


def check(name, condition, *details):
    if not condition:
        failures.append(f"{name}: {' '.join(str(detail)[-1500:] for detail in details)}")


def environment(**variables):
    kept = {name: os.environ[name] for name in ("PATH", "TERMINFO", "TERMINFO_DIRS") if name in os.environ}
    return {**kept, "LC_ALL": "C.UTF-8", **variables}


def once(*arguments, **variables):
    return subprocess.run([BOREALIS, "watch", *map(str, arguments)], env=environment(**variables), stdin=subprocess.DEVNULL, text=True,
                          capture_output=True, timeout=TIMEOUT_S)


class Terminal:
    """`borealis watch` on a terminal of its own; what it wrote, and the settings of the terminal before it."""

    def __init__(self, *arguments, columns=80, rows=30, terminal="xterm-256color", interval="0.2", **variables):
        self.ours, self.its = pty.openpty()
        self.resize(columns, rows)
        self.before = termios.tcgetattr(self.its)
        self.written = ""
        if terminal is not None:
            variables["TERM"] = terminal
        self.process = subprocess.Popen([BOREALIS, "watch", *map(str, arguments), "--interval", interval], env=environment(**variables),
                                        stdin=self.its, stdout=self.its, stderr=self.its, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))

    def resize(self, columns, rows):
        fcntl.ioctl(self.its, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, seconds):
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and select.select([self.ours], [], [], left)[0]:
            self.written += os.read(self.ours, 65536).decode(errors="replace")

    def wait_for(self, text, since=0, seconds=30):
        """True once the text was written behind `since` characters."""
        end = time.monotonic() + seconds
        while text not in self.written[since:]:
            if time.monotonic() > end or (self.process.poll() is not None and not select.select([self.ours], [], [], 0)[0]):
                return False
            self.read(0.05)
        return True

    def press(self, keys):
        """Types, and says what was written before."""
        self.read(0.3)
        before = len(self.written)
        os.write(self.ours, keys.encode())
        return before

    def whole_screen(self):
        """All of the screen, as text: at another size it is written anew."""
        self.read(0.3)
        before = len(self.written)
        rows, columns = struct.unpack("HHHH", fcntl.ioctl(self.its, termios.TIOCGWINSZ, b"\0" * 8))[:2]
        self.resize(columns, rows + 1)
        self.wait_for("q quit", before)
        self.read(0.3)
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\([B0]", " ", self.written[before:])

    def end(self):
        """The exit code, once it has ended."""
        end = time.monotonic() + 30
        while self.process.poll() is None and time.monotonic() < end:
            self.read(0.05)
        self.read(0.1)
        if self.process.poll() is None:
            self.process.kill()
        code = self.process.wait(timeout=TIMEOUT_S)
        self.after = termios.tcgetattr(self.its)
        os.close(self.ours)
        os.close(self.its)
        return code

    def is_restored(self):
        return (self.before == self.after and self.written.count(ENTER_SCREEN) == self.written.count(LEAVE_SCREEN) > 0 and
                self.written.rindex(LEAVE_SCREEN) > self.written.rindex(ENTER_SCREEN) and
                self.written.rfind("\x1b[?25l") < max(self.written.rfind("\x1b[?25h"), self.written.rfind("\x1b[?12l\x1b[?25h")))


@contextlib.contextmanager
def long_training(folder, iterations=100000):
    """A run that goes on until its test is done with it."""
    training = Training(folder, "fp32", True, run_dir="run", options=("--train-iters", str(iterations), "--eval-interval", "1000", "--no-save"),
                        variables={"BOREALIS_REPORT_INTERVAL": "0"})
    process = subprocess.Popen(training.command, cwd=training.folder, env=training.environment(), stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    try:
        metrics = training.folder / "run/metrics.jsonl"
        end = time.monotonic() + TIMEOUT_S
        while (not metrics.exists() or metrics.stat().st_size == 0) and time.monotonic() < end:
            time.sleep(0.02)
        training.process = process
        yield training
    finally:
        process.kill()
        process.wait()


def states(folder):
    return [json.loads(line)["state"] for line in once(folder, "--once", "--json").stdout.splitlines()]


def snapshots(folder, done):
    result = once(done, "--once")
    check("once", result.returncode == 0 and not result.stderr, result)
    for part in ("finished", "14/14", "grad norm", "tokens/s", "planned", "validation", "global_step14", "⠈"):
        check("once", part in result.stdout, part, result.stdout)
    check("once", "\x1b" not in result.stdout and "q quit" not in result.stdout, result.stdout)
    check("no terminal", once(done).stdout == result.stdout, once(done))
    plain = once(done, "--once", LC_ALL="C").stdout
    check("ASCII", plain.isascii() and "finished" in plain, plain)
    run = json.loads(once(done, "--once", "--json").stdout)
    check("json", run["state"] == "finished" and run["iteration"] == run["train_iters"] == 14 and run["lm_loss"] > 0, run)
    check("json", run["checkpoint"].endswith("global_step14") and run["validation_iteration"] == 14, run)
    # Half a line, and lines that are none.
    broken = folder / "broken"
    shutil.copytree(done, broken)
    with open(broken / "metrics.jsonl", "a") as file:
        file.write('no record\n{"iteration": 15, "consu')
    result = once(broken, "--once")
    check("broken", result.returncode == 0 and "14/14" in result.stdout and "1 line of metrics.jsonl cannot" in result.stdout, result)
    # Runs as a table, the newest first.
    shutil.copytree(done, folder / "newer")
    os.utime(folder / "newer/config.json")
    result = once(folder, "--once")
    check("table", result.returncode == 0 and "loss curve" in result.stdout, result)
    check("table", result.stdout.index("newer") < result.stdout.index("broken"), result.stdout)


def refusals(folder, done):
    (folder / "empty").mkdir()
    (folder / "file").write_text("x")
    cases = [((folder / "none",), 3, ("file: ", "none does not exist", "logs/")),
             ((folder / "empty",), 3, ("file: ", "there is no run in", "or it has not begun")),
             ((folder / "file",), 3, ("file: ", "is no folder")),
             ((done, folder / "none"), 3, ("none does not exist",)),
             ((), 1, ("usage: ", "DIR")),
             ((done, "--json"), 1, ("usage: ", "--once")),
             *(((done, "--interval", value), 1, ("--interval",)) for value in ("0", "-1", "nan", "soon", "1e9", ""))]
    for arguments, code, words in cases:
        result = once(*arguments)
        check("refusal", result.returncode == code and not result.stdout and result.stderr.count("\n") == 1, arguments, result)
        check("refusal", all(word in result.stderr for word in words), arguments, words, result.stderr)
    for terminal, words in (("dumb", "TERM=dumb"), (None, "TERM is empty or not set"), ("no-such-terminal", "TERM=no-such-terminal")):
        screen = Terminal(done, terminal=terminal)
        code = screen.end()
        check("terminal", code == 2 and words in screen.written and "--once" in screen.written and screen.written.count("\n") == 1,
              terminal, code, screen.written)
        check("terminal", screen.before == screen.after, terminal, "settings were changed")
    check("help", "--once" in once("--help").stdout and "no terminal" in re.sub(r"\s+", " ", once("--help").stdout), once("--help").stdout)


def keys_and_sizes(_, done):
    for terminal in ("xterm-256color", "tmux-256color", "screen"):
        if subprocess.run(["infocmp", terminal], capture_output=True).returncode != 0:
            print(f"skipped: {terminal} is not known here")
            continue
        screen = Terminal(done, terminal=terminal)
        check(terminal, screen.wait_for("q quit"), screen.written)
        for part in ("borealis watch", "finished", "14/14", "loss", "checkpoint"):
            check(terminal, part in screen.written, part, screen.written)
        before = screen.press("?")
        check(terminal, screen.wait_for("Ctrl-C", before), screen.written[before:])
        before = screen.press("?")
        check(terminal, screen.wait_for("14/14", before), screen.written[before:])
        for columns, rows in ((40, 10), (20, 5), (1, 1), (200, 50)):
            before = len(screen.written)
            screen.resize(columns, rows)
            screen.read(0.5)
        check(terminal, screen.wait_for("planned", before), screen.written[before:])
        screen.press("q")
        check(terminal, screen.end() == 0, screen.process.returncode, screen.written)
        check(terminal, terminal == "screen" or screen.is_restored(), screen.written)
        check(terminal, screen.before == screen.after, "settings were changed")


def colors(_, done):
    colored = re.compile(r"\x1b\[[0-9;]*(3[0-7]|38;5)[0-9;]*m")
    for variables, expected in (({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True)):
        screen = Terminal(done, **variables)
        screen.wait_for("q quit")
        screen.press("q")
        screen.end()
        check("colors", bool(colored.search(screen.written)) == expected, variables, screen.written)
    screen = Terminal(done, LC_ALL="C")
    screen.wait_for("q quit")
    screen.press("q")
    screen.end()
    check("ASCII", screen.written.isascii(), screen.written)


def signals(_, done):
    for number, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)):
        screen = Terminal(done)
        screen.wait_for("q quit")
        screen.process.send_signal(number)
        check(number.name, screen.end() == code and screen.is_restored(), screen.process.returncode, screen.written)
    screen = Terminal(done, interval="3600")
    screen.wait_for("q quit")
    screen.press("\x03")  # Ctrl-C
    check("Ctrl-C", screen.end() == 130 and screen.is_restored(), screen.process.returncode, screen.written)
    screen = Terminal(done)
    screen.wait_for("q quit")
    screen.press("\x1c")  # Ctrl-backslash
    check("Ctrl-backslash", screen.end() == 143 and screen.is_restored(), screen.process.returncode, screen.written)
    # Its terminal disappears.
    screen = Terminal(done)
    screen.wait_for("q quit")
    os.close(screen.its)
    os.close(screen.ours)
    try:
        screen.process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        screen.process.kill()
        check("a terminal that is gone", False)


def one_that_goes_on(folder, _):
    """Its steps are seen as they come, and that it was killed."""
    with long_training(folder / "going") as training:
        run = training.folder / "run"
        first = second = json.loads(once(run, "--once", "--json").stdout)
        end = time.monotonic() + 30
        while second["state"] == "running" and second["iteration"] <= first["iteration"] and time.monotonic() < end:
            second = json.loads(once(run, "--once", "--json").stdout)
        check("going", first["state"] == second["state"] == "running" and 0 < first["iteration"] < second["iteration"], first, second)
        check("going", first["seconds_left"] > 0, first)
        screen = Terminal(run)
        check("going", screen.wait_for("running"), screen.written)
        check("going", screen.wait_for("left"), screen.written)
        end = time.monotonic() + 30
        while not (run / "system.jsonl").exists() and time.monotonic() < end:
            time.sleep(0.1)
        check("memory", json.loads(once(run, "--once", "--json").stdout)["resident_bytes"] > 1 << 20)
        check("memory", re.search(r"memory +[\d.]+ MiB", screen.whole_screen()), screen.written)
        before = len(screen.written)
        training.process.kill()  # and is not waited for: it is dead all the same
        check("killed", screen.wait_for("killed", before), screen.written[before:])
        check("killed", KILLED in once(run, "--once").stdout, once(run, "--once").stdout)
        training.process.wait()
        # The same command in the same folder begins again while it is watched.
        before = len(screen.written)
        training.process = subprocess.Popen(training.command, cwd=training.folder, env=training.environment(), stdout=subprocess.DEVNULL,
                                            stderr=subprocess.DEVNULL)
        check("again", screen.wait_for("unning", before), screen.written[before:])
        training.process.send_signal(signal.SIGTERM)
        check("stopped", screen.wait_for("stopped by SIGTERM", before), screen.written[before:])
        training.process.wait()
        screen.press("q")
        check("going", screen.end() == 0 and screen.is_restored(), screen.written)
        check("states", states(run) == ["stopped"], states(run))


def goes_on_elsewhere(folder, _):
    """Killed, the same command goes on in a folder of its own: both are shown, the newer first."""
    training = Training(folder / "chain", "fp32", True, options=("--train-iters", "100000", "--save-interval", "50", "--keep-last", "2"))
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(training.command, cwd=training.folder, env=training.environment(), **quiet)
    logs = training.folder / "logs"
    try:
        end = time.monotonic() + TIMEOUT_S
        while not list(logs.glob("*/*/checkpoints.jsonl")) and time.monotonic() < end:
            time.sleep(0.05)
        screen = Terminal(logs, columns=120, rows=40)
        check("elsewhere", screen.wait_for("running"), screen.written)
        process.kill()
        process.wait()
        check("elsewhere", screen.wait_for("killed"), screen.written)
        process = subprocess.Popen(training.command, cwd=training.folder, env=training.environment(), **quiet)
        check("elsewhere", screen.wait_for("resumed at"), screen.written)
        screen.press("q")
        check("elsewhere", screen.end() == 0 and screen.is_restored(), screen.written)
        check("elsewhere", states(logs) == ["running", "killed"], states(logs))
        runs = [json.loads(line) for line in once(logs, "--once", "--json").stdout.splitlines()]
        check("elsewhere", all(re.search(r"global_step\d+$", run["checkpoint"]) for run in runs), runs)
    finally:
        process.kill()
        process.wait()


def several(folder, done):
    """Side by side or as a table; one that begins in the folder appears."""
    runs = folder / "runs"
    for name in ("first", "second"):
        shutil.copytree(done, runs / name)
    screen = Terminal(runs, columns=120, rows=40)
    check("several", screen.wait_for("q quit"), screen.written)
    check("several", "2 runs" in screen.written and "│" in screen.written and "first" in screen.written and "second" in screen.written,
          screen.written)
    before = len(screen.written)
    screen.resize(70, 40)
    check("table", screen.wait_for("iteration", before), screen.written[before:])
    before = screen.press("\t\r")
    check("whole", screen.wait_for("checkpoint", before), screen.written[before:])
    before = screen.press("\x1b")
    check("table", screen.wait_for("state", before), screen.written[before:])
    shutil.copytree(done, runs / "third")
    check("new run", screen.wait_for("third", before), screen.written[before:])
    shutil.rmtree(runs / "first")
    screen.read(0.6)
    check("removed", screen.process.poll() is None, screen.written)
    screen.press("q")
    check("several", screen.end() == 0 and screen.is_restored(), screen.written)


def failed_start(folder, _):
    """What ends a run before its first step is told."""
    training = Training(folder / "failed", "fp32", False, run_dir="run")
    tokens = training.folder / "set.bin"
    tokens.write_bytes(b"\xff" * tokens.stat().st_size)  # of no vocabulary, which the first batch finds
    result = training.run()
    run = training.folder / "run"
    check("failed", result.returncode == 4 and not (run / "metrics.jsonl").read_bytes(), result)
    shown = once(run, "--once").stdout
    check("failed", states(run) == ["failed"] and "has the token id 65535" in " ".join(shown.split()), shown)


def lock_is_free(folder, _):
    """Watching never holds what a run that starts needs."""
    training = Training(folder / "locks", "fp32", True, run_dir="run")
    check("locks", training.run().returncode == 0)
    screen = Terminal(training.folder / "run", interval="0.1")
    check("locks", screen.wait_for("q quit"), screen.written)
    for _ in range(3):
        shutil.rmtree(training.folder / "ckpt", ignore_errors=True)
        (training.folder / "run/summary.json").unlink()
        result = training.run()
        check("locks", result.returncode == 0, result)
    screen.press("q")
    check("locks", screen.end() == 0, screen.written)


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        training = Training(folder / "done", "fp32", True, run_dir="run")
        result = training.run()
        check("training", result.returncode == 0, result)
        for test in (snapshots, refusals, keys_and_sizes, colors, signals, one_that_goes_on, goes_on_elsewhere, several, failed_start, lock_is_free):
            place = folder / test.__name__
            place.mkdir()
            test(place, training.folder / "run")
    for failure in failures:
        print(failure)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
