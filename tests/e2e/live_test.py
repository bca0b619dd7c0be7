"""What a run shows on a terminal: a header, aligned lines and a progress line; the reference's lines are in output.log."""

import fcntl
import os
import pathlib
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios

from small_training import ITERATIONS, TIMEOUT_S, Training

REFERENCE = re.compile(r" iteration= *\d+/ *\d+ \|")
ERASE_LINE = "\r\x1b[2K"
failures = []


def check(name, condition, *details):
    if not condition:
        failures.append(f"{name}: {' '.join(str(detail)[-1500:] for detail in details)}")


def on_terminal(training, columns):
    """What the run writes to a terminal of so many columns, and its exit code."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    process = subprocess.Popen(training.command, cwd=training.folder, env=training.environment(), stdin=its, stdout=its, stderr=its)
    os.close(its)
    written = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # how Linux tells that nobody has the other end any more
            break
        if not part:
            break
        written += part
    os.close(ours)
    return written.decode(), process.wait(timeout=TIMEOUT_S)


def settled(text):
    """The lines that stay on the screen: what is erased is not among them."""
    return [line.rpartition(ERASE_LINE)[2] for line in text.replace("\r\n", "\n").split("\n")]


def step_lines(lines):
    return [line for line in lines if re.match(rf" *\d+/{ITERATIONS} ", line)]


def check_log_file(name, training):
    log = (training.last_run_dir() / "output.log").read_text()
    check(name, len(REFERENCE.findall(log)) == ITERATIONS, "output.log lacks lines of the reference", log)
    check(name, "(min, max) time across ranks (ms):" in log, "output.log lacks timers")
    check(name, "grad norm" not in log and "\x1b" not in log and "[====" not in log, "output.log has what is for a terminal", log)
    odd = [line for line in log.splitlines() if line and not line.startswith(("[20", " ", "-"))]
    check(name, not odd, "output.log has lines in another form", odd[:3])


def training_in(folder, *options, progress=True, **arguments):
    training = Training(folder, "fp32", True, options=options, **arguments)
    if progress:
        training.command.remove("--no-progress")
    return training


def short_on_a_terminal(folder):
    for columns in (50, 80, 200):
        name = f"terminal of {columns} columns"
        training = training_in(folder / str(columns), variables={"TERM": "xterm"})
        text, exit_code = on_terminal(training, columns)
        check(name, exit_code == 0, "exit code", exit_code, text)
        lines = settled(text)
        headers = [line for line in lines if line.lstrip().startswith("iteration ") and "tokens/s" in line]
        steps = step_lines(lines)
        check(name, len(headers) == 1, "headers", headers, text)
        check(name, len(steps) == ITERATIONS, "lines of steps", len(steps), text)
        check(name, {len(line) for line in steps} == {len(headers[0])} and len(headers[0]) < columns, "not aligned", *headers, *steps)
        check(name, not REFERENCE.search(text) and "time across ranks" not in text, "has the reference's lines", text)
        check(name, "[I][" not in text, "has the reference's prefix", text)
        check(name, "validation loss at iteration 5" in text and any(line.startswith("saved ") for line in lines), "events", text)
        check(name, ERASE_LINE in text, "no progress line")
        check(name, not any(" left" in line for line in lines), "the progress line stayed", lines)
        check_log_file(name, training)
    for kind in ({"TERM": "dumb"}, {}):
        text, exit_code = on_terminal(training_in(folder / kind.get("TERM", "none"), variables=kind), 80)
        check(f"terminal {kind}", exit_code == 0 and ERASE_LINE not in text, "escapes", exit_code, text)


def reference_where_asked_for(folder):
    cases = {"variable": ((), {"LOG_FORMAT": "reference"}), "flag": (("--log-format", "reference"), {}),
             "timers": ((), {"TIMING_LOG_LEVEL": "1"})}
    for name, (options, variables) in cases.items():
        training = training_in(folder / name, *options, variables=variables, progress=False)
        text, exit_code = on_terminal(training, 100)
        check(name, exit_code == 0 and len(REFERENCE.findall(text)) == ITERATIONS, exit_code, text)
        check(name, "time across ranks" in text and "grad norm" not in text, text)
        check_log_file(name, training)


def on_a_pipe(folder):
    for name, options in (("pipe", ()), ("short on a pipe", ("--log-format", "short"))):
        training = training_in(folder / name.replace(" ", "_"), *options, progress=False)
        process = training.start()
        out, err = process.communicate(timeout=TIMEOUT_S)
        check(name, process.returncode == 0, process.returncode, err)
        short, reference = len(step_lines(out.splitlines())), len(REFERENCE.findall(out))
        check(name, (short, reference) == ((ITERATIONS, 0) if options else (0, ITERATIONS)), short, reference, out)
        check_log_file(name, training)


def warnings_stay(folder):
    """At LOG_LEVEL=WARNING neither form has lines of steps, and a warning is behind its word."""
    training = training_in(folder / "quiet", variables={"LOG_LEVEL": "WARNING"}, progress=False)
    text, exit_code = on_terminal(training, 100)
    lines = settled(text)
    check("warnings", exit_code == 0 and not step_lines(lines) and not any("grad norm" in line for line in lines), exit_code, text)
    training = training_in(folder / "misspelt", variables={"LOG_LEVEL": "WARNING", "LOG_INTERVALS": "3"}, progress=False)
    text, exit_code = on_terminal(training, 100)
    check("warnings", exit_code == 0 and "warning: " in text and "LOG_INTERVALS" in text, exit_code, text)


def main():
    with tempfile.TemporaryDirectory() as folder:
        for test in (short_on_a_terminal, reference_where_asked_for, on_a_pipe, warnings_stay):
            (pathlib.Path(folder) / test.__name__).mkdir()
            test(pathlib.Path(folder) / test.__name__)
    for failure in failures:
        print(failure)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
