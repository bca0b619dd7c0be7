"""What a run leaves for TensorBoard and Weights & Biases, where something goes wrong: a disk that is full where they write stops
neither the run nor the other, a signal's exit code is in the record, and a sweep's runs have records of their own. Reads no more
than bytes; tracking_peer_test.py reads with the programs themselves."""

import os
import pathlib
import signal
import subprocess
import tempfile

from small_training import BOREALIS, SHAPE, Training, results_of

WANDB = {"WB_PROJECT": "project"}
# The exit record's bytes: field 18, of the exit code (1) and the runtime (2).
EXIT = {0: b"\x92\x01\x04\x08\x00\x10", 143: b"\x92\x01\x05\x08\x8f\x01\x10"}
FINAL, FOOTER = b"\xa2\x01\x00", b"\xb2\x01\x00"


def wandb_logs(run_dir):
    return sorted(pathlib.Path(run_dir).glob("wandb/offline-run-*/run-*.wandb"))


def event_files(run_dir):
    return sorted(pathlib.Path(run_dir).glob("tensorboard/events.out.tfevents.*"))


def check_full_disk(folder):
    """Every write to one tracker's file fails, from the first on or from a later one."""
    whole = Training(folder / "whole", "fp32", True, "run")
    assert whole.run().returncode == 0
    expected = results_of(whole)
    for name, place, other in (("TensorBoard events", "/tensorboard/", wandb_logs), ("the Weights & Biases run", "/wandb/", event_files)):
        for number in (1, 2, 9):
            training = Training(folder / f"{place.strip('/')}-{number}", "fp32", True, "run", variables=WANDB)
            result = training.run({"FAULT_PATH": place, "FAULT_CALL": "write", "FAULT_AT": str(number), "FAULT_ERRNO": "ENOSPC", "FAULT_STICKY": "1"})
            assert result.returncode == 0, result.stdout + result.stderr
            warnings = [line for line in result.stdout.splitlines() if ", the run goes on" in line]
            assert len(warnings) == 1 and name in warnings[0] and "No space left on device" in warnings[0], warnings
            assert results_of(training) == expected, (name, number)
            assert [path.stat().st_size > 3000 for path in other(training.folder / "run")] == [True]


def check_signal(folder):
    training = Training(folder / "signal", "fp32", True, "run", options=("--train-iters", "1000000", "--eval-interval", "0"), variables=WANDB)
    process = training.start()
    metrics = training.folder / "run/metrics.jsonl"
    while process.poll() is None and not (metrics.exists() and metrics.stat().st_size > 2000):
        pass
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 143, process.returncode
    log = wandb_logs(training.folder / "run")[0].read_bytes()
    assert EXIT[143] in log and FINAL in log[-200:] and log.endswith(FOOTER)


def check_failed_start(folder):
    """A run that cannot begin leaves no record of one; nor does one that is asked for none."""
    training = Training(folder / "none", "fp32", True, "run", variables=WANDB | {"WANDB_MODE": "disabled", "NO_TENSORBOARD": "1"})
    assert training.run().returncode == 0
    assert not (training.folder / "run/wandb").exists() and not (training.folder / "run/tensorboard").exists()
    training = Training(folder / "memory", "fp32", True, "run", options=("--memory-limit", "1MiB"), variables=WANDB)
    assert training.run().returncode == 5
    assert not (training.folder / "run/wandb").exists()


def check_sweep(folder):
    folder.mkdir()
    environment = {name: os.environ[name] for name in ("PATH", "OMP_NUM_THREADS") if name in os.environ} | WANDB
    command = [BOREALIS, "sweep", "--nlayers", "1,2", "--output", "sweep", "--steps", "3", "--", "--mock-data", *SHAPE[2:], "--vocab-size", "256"]
    result = subprocess.run(command, cwd=folder, env=environment | {"HOME": str(folder)}, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    logs = [log for run in folder.rglob("metrics.jsonl") for log in wandb_logs(run.parent)]
    assert len(logs) == 2 and len({log.name for log in logs}) == 2, logs
    for log in logs:
        assert EXIT[0] in log.read_bytes()


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        check_full_disk(folder / "full")
        check_signal(folder)
        check_failed_start(folder)
        check_sweep(folder / "sweep")
    print("a full disk, a signal, a failed start, a sweep: all fine")


if __name__ == "__main__":
    main()
