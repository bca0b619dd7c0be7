"""What a run's folders are to other runs, how a run ends, and what a report says of one that has not ended by itself."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from small_training import BOREALIS, Training, step_numbers

CONFIG, FILE, DATA, MEMORY, NUMERICS = 2, 3, 4, 5, 6
failures = []


def check(name, condition, *details):
    if not condition:
        failures.append(f"{name}: {' '.join(str(detail)[-600:] for detail in details)}")


def long_run(folder, *options, mock=True, **arguments):
    """One that goes on until it is stopped."""
    training = Training(folder, "fp32", mock, options=options, **arguments)
    at = training.command.index("--train-iters")
    training.command[at + 1] = "1000000"
    return training


def wait_for_step(training, process, steps=3):
    for _ in range(1200):
        metrics = training.last_run_dir() / "metrics.jsonl" if (training.run_dir or (training.folder / "logs/latest").exists()) else None
        if metrics and metrics.exists() and metrics.read_text().count("\n") >= steps:
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    raise AssertionError("no step")


def report(training, folder=None):
    result = subprocess.run([BOREALIS, "report", str(folder or training.last_run_dir())], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return (pathlib.Path(folder or training.last_run_dir()) / "report.md").read_text()


def signals(folder):
    """Each saves where it is, and tells the caller that the run is not done."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        training = long_run(folder / number.name)
        process = training.start()
        wait_for_step(training, process)
        process.send_signal(number)
        out, err = process.communicate(timeout=300)
        check(number.name, process.returncode == 128 + number, process.returncode, err)
        check(number.name, training.saved_iteration() >= 3, "saved", training.saved_iteration())
        check(number.name, f"stopped by {number.name}" in report(training), "report")
        check(number.name, f"stopped by {number.name} after " in out, "the log does not say it", out)
    training = long_run(folder / "nohup", "--exit-interval", "100")
    training.command = ["nohup", *training.command]
    process = training.start()
    wait_for_step(training, process)
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=300)
    check("SIGHUP under nohup", process.returncode == 0, process.returncode)


def streams(folder):
    """What cannot be written is told; a run goes on without its log's reader."""
    for name, shell in (("full", '"$@" >/dev/full'), ("closed", '"$@" >&-'), ("gone", '"$@" | true; exit ${PIPESTATUS[0]}')):
        training = Training(folder / name, "fp32", True, run_dir="run")
        training.command = ["bash", "-c", shell, "bash", *training.command]
        result = training.run()
        check(f"train, output {name}", result.returncode == FILE and "standard output" in result.stderr, result)
        check(f"train, output {name}", (folder / name / "run/summary.json").exists() and training.saved_iteration() == 14, "is not done")
        for command in (["plan", "--mock-data", "--vocab-size", "128"], ["--version"], ["train", "--help"]):
            if name == "gone":
                continue  # SIGPIPE, as any program
            result = subprocess.run(["bash", "-c", shell, "bash", BOREALIS, *command], capture_output=True, text=True)
            check(f"{command}, output {name}", result.returncode == FILE and "standard output" in result.stderr, result)


def limits(folder):
    training = Training(folder / "fsize", "fp32", True)
    training.command = ["bash", "-c", 'ulimit -f 100; exec "$@"', "bash", *training.command]
    result = training.run()
    check("ulimit -f", result.returncode == FILE and "File too large" in result.stderr, result)
    for kilobytes in (100_000, 200_000, 300_000, 400_000):
        training = Training(folder / f"address{kilobytes}", "bf16", True, vocab_size=30_000)
        training.command = ["bash", "-c", f'ulimit -v {kilobytes}; exec "$@"', "bash", *training.command]
        result = training.run()
        told = result.returncode == MEMORY and result.stderr.startswith("borealis: memory:")
        check(f"ulimit -v {kilobytes}", result.returncode == 0 or told, result.returncode, result.stderr)


def folders(folder):
    first = long_run(folder / "two", run_dir="run")
    process = first.start()
    wait_for_step(first, process)
    second = subprocess.run([*first.command, "--no-save", "--no-load"], cwd=first.folder, env=first.environment(), capture_output=True, text=True)
    check("two in one run folder", second.returncode == FILE and "another run is writing to run" in second.stderr, second)
    other = [word if word != "run" else "other" for word in first.command]
    second = subprocess.run(other, cwd=first.folder, env=first.environment(), capture_output=True, text=True)
    check("two in one folder of checkpoints", second.returncode == FILE and "another run is writing to ckpt" in second.stderr, second)
    check("running", "This run goes on" in report(first), "report")
    process.kill()
    process.communicate()
    text = report(first)
    check("killed", "cut off" in text and "| tpgps |" in text and "nan" not in text, text[:1500])

    done = Training(folder / "again", "fp32", True, run_dir="run")
    assert done.run().returncode == 0
    metrics = (done.folder / "run/metrics.jsonl").read_bytes()
    result = done.run()
    check("the same run again", result.returncode == 0 and (done.folder / "run/metrics.jsonl").read_bytes() == metrics, result)
    done.command += ["--no-load", "--no-save"]
    result = done.run()
    check("another run in its folder", result.returncode == CONFIG and "holds the records of another run" in result.stderr, result)
    check("another run in its folder", (done.folder / "run/metrics.jsonl").read_bytes() == metrics, "its records changed")

    cut = Training(folder / "cut", "fp32", True, run_dir="run", options=("--no-save",))
    result = cut.run({"FAULT_PATH": "metrics.jsonl", "FAULT_CALL": "write", "FAULT_AT": "5", "FAULT_KILL": "1"})
    check("cut off", result.returncode == -signal.SIGKILL, result)
    check("begun again in its folder", cut.run().returncode == 0, "")

    # Lustre without flock: nothing keeps another run out, and the run says so.
    unlocked = Training(folder / "unlocked", "fp32", True, run_dir="run")
    result = unlocked.run({"FAULT_PATH": "unlocked/", "FAULT_CALL": "flock", "FAULT_STICKY": "1", "FAULT_ERRNO": "ENOSYS"})
    check("no locks", result.returncode == 0 and all(f"the file system of {name} has no locks (Function not implemented)" in result.stdout for name in ("run", "ckpt")), result)
    check("locks", "has no locks" not in done.run().stdout, "told without reason")

    readonly = long_run(folder / "readonly")
    result = readonly.run({"FAULT_PATH": "/ckpt/writable", "FAULT_CALL": "create", "FAULT_ERRNO": "EROFS"})
    check("read-only folder of checkpoints", result.returncode == FILE and "Read-only" in result.stderr and "iteration=" not in result.stdout, result)


def disk_space(folder):
    disk = folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=5m", "tmpfs", disk]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        print("SKIPPED by name: disk_space (needs root and tmpfs)")
        return
    try:
        small = Training(folder / "some", "fp32", True, vocab_size=512, options=("--save", disk / "c"))
        small.command = [str(word) for word in small.command]
        result = small.run()
        check("room for some", result.returncode == 0 or "No space left" in result.stderr, result)
        check("room for some", "has room for" in result.stdout and "--keep-last" in result.stdout, result.stdout)
        large = long_run(folder / "none", "--save", str(disk / "d"), vocab_size=20_000)
        result = large.run()
        check("room for none", result.returncode == FILE and "a checkpoint takes" in result.stderr and "iteration=" not in result.stdout, result)
        for name in ("c", "d"):
            shutil.rmtree(disk / name, ignore_errors=True)
        (disk / "filler").write_bytes(b"x" * (os.statvfs(disk).f_bavail * 4096 - 400_000))
        full = long_run(folder / "records", "--save", folder / "saved", run_dir=str(disk / "run"))
        full.command = [str(word) for word in full.command]
        ended = full.run()
        check("records on a full disk", ended.returncode == FILE and "No space left" in ended.stderr, ended)
        summary = json.loads((disk / "run/summary.json").read_text())
        check("records on a full disk", summary["stopped_by"] == "error" and "No space left" in summary["failure"], summary)
        check("records on a full disk", (disk / "run/metrics.jsonl").read_bytes().endswith(b"}\n"), "half a record")
    finally:
        subprocess.run(["umount", disk], check=True)


def failed(folder):
    training = long_run(folder / "diverged", "--lr", "1e30", "--max-skipped-steps", "3", "--clip-grad", "0")
    result = training.run()
    check("diverged", result.returncode == NUMERICS, result.returncode, result.stderr)
    text = (training.last_run_dir() / "report.md").read_text()
    check("diverged", "This run failed: numerics: loss or gradient norm was not finite" in text, text[:800])
    summary = json.loads((training.last_run_dir() / "summary.json").read_text())
    check("diverged", summary["stopped_by"] == "error" and "3 steps in a row" in summary["failure"], summary)


def run_with_foreign_token(folder, part, is_meant):
    """A run on data with a token that no vocabulary has, somewhere in `part` of them, such that it ends as is meant."""
    for place in range(20):
        training = Training(folder / f"at-{place}", "fp32", False, options=["--save-interval", "0"])
        tokens = bytearray((training.folder / "set.bin").read_bytes())
        at = int(len(tokens) * (part[0] + (part[1] - part[0]) * place / 20)) // 2 * 2
        tokens[at:at + 2] = b"\xff\xff"
        (training.folder / "set.bin").write_bytes(tokens)
        result = training.run()
        made = len(step_numbers(training.last_run_dir()))
        if result.returncode != 0 and is_meant(made):
            break
    return training, result, made


def unusable_data(folder):
    """A token that no vocabulary has costs no step before it, and is passed over where that is asked for."""
    training, result, made = run_with_foreign_token(folder / "valid", (0.82, 0.94), lambda made: made == 5)
    check("unusable validation data", result.returncode == DATA and "the token id 65535" in result.stderr, result.returncode, result.stderr)
    check("unusable validation data", training.saved_iteration() == made == 5, "saved", training.saved_iteration(), "of", made)
    check("unusable validation data", "--train-range-to-skip" not in result.stdout, "advises to pass over training data")
    training, result, made = run_with_foreign_token(folder / "train", (0, 0.8), lambda made: made >= 2)
    check("unusable data", result.returncode == DATA and "the token id 65535" in result.stderr, result.returncode, result.stderr)
    check("unusable data", training.saved_iteration() == made, "saved", training.saved_iteration(), "of", made)
    told = f"with --train-range-to-skip {made + 1} {made + 1} the same command passes over it"
    check("unusable data", told in result.stdout + result.stderr, result.stdout)
    summary = json.loads((training.last_run_dir() / "summary.json").read_text())
    check("unusable data", summary["stopped_by"] == "error" and "65535" in summary["failure"], summary)
    check("unusable data", summary["checkpoint"].endswith(f"global_step{made}"), summary["checkpoint"])
    training.command += ["--train-range-to-skip", str(made + 1), str(made + 1)]
    result = training.run()
    check("unusable data, passed over", result.returncode == 0 and training.saved_iteration() == 14, result.returncode, result.stderr)


def lost_data(folder):
    """A data set that is cut short under a run: it saves what it has, tells which file, and goes on once that is back."""
    for cut, told, code in ((".bin", "set.bin was cut short while it was read", DATA), (".idx", "set.idx was cut short while it was read", FILE)):
        training = long_run(folder / cut[1:], "--save-interval", "0", mock=False)
        process = training.start()
        wait_for_step(training, process)
        file = training.folder / f"set{cut}"
        whole = file.read_bytes()
        os.truncate(file, 0)
        out, err = process.communicate(timeout=300)
        check(f"lost {cut}", process.returncode == code and told in err and err.count("\n") == 1, process.returncode, err)
        if cut != ".bin":
            continue
        made = len(step_numbers(training.last_run_dir()))
        check(f"lost {cut}", training.saved_iteration() == made >= 3, "saved", training.saved_iteration(), "of", made)
        file.write_bytes(whole)
        training.command += ["--exit-interval", str(made + 2)]
        result = training.run()
        check(f"lost {cut}, put back", result.returncode == 0 and training.saved_iteration() == made + 2, result.returncode, result.stderr)


def main():
    with tempfile.TemporaryDirectory(prefix="borealis-test-") as folder:
        for part in (signals, streams, limits, folders, disk_space, failed, unusable_data, lost_data):
            (pathlib.Path(folder) / part.__name__).mkdir()
            part(pathlib.Path(folder) / part.__name__)
    for failure in failures:
        print(failure)
    sys.exit(1 if failures else 0)


main()
