#!/usr/bin/env python3
"""A rank that is killed, stopped, cut off from the others, cannot start or has a full disk ends the job on all ranks, leaves no process behind and
the last checkpoint whole; the same command then goes on with the losses of an undisturbed run of the same ranks, to the last bit.

Under each MPI library that the build found. BOREALIS_RANK_FAILURES=100 for as many random ones (killed, stopped, cut off, full disks), BOREALIS_KILL_SEED for others."""

import glob
import os
import pathlib
import random
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import ranks_test
from mpi_launchers import LAUNCHERS, RANK, found_libraries
from ranks_test import BOREALIS, ENVIRONMENT, GLOBAL_BATCH, SHAPE, TIMEOUT_S, Lab, check, close, losses, told_by
from two_hosts import TwoHosts, missing

RANKS, STEPS, SAVE_INTERVAL = 3, 60, 10
ENDS_WITHIN_S, GONE_WITHIN_S = 30, 3
SHORT_LIMIT = ("--distributed-timeout-minutes", "0.05")
FAILURES, SEED = int(os.environ.get("BOREALIS_RANK_FAILURES", "0")), os.environ.get("BOREALIS_KILL_SEED", "1")
DISK_FAULTS = pathlib.Path(os.environ["DISK_FAULTS"]).resolve()


# All of them share each sequence.
SHARED = ("--ds-sequence-parallel-size", "3", "--num-attention-heads", "6", "--num-key-value-heads", "3", "--kv-channels", "8", "--seq-length", "48")


def options(stage, name, more=()):
    return [*more, "--train-iters", str(STEPS), "--eval-interval", "0", "--save-interval", str(SAVE_INTERVAL), "--keep-last", "2", "--zero-stage", str(stage),
            "--save", f"{name}-ckpt", "--run-dir", name]


def rank_processes(job):
    """Of this launcher's job, by rank."""
    found = {}
    for folder in glob.glob("/proc/[0-9]*"):
        try:
            if os.readlink(folder + "/exe") != str(BOREALIS):
                continue
            variables = dict(pair.split("=", 1) for pair in pathlib.Path(folder, "environ").read_text().split("\0") if "=" in pair)
        except OSError:
            continue
        for name in RANK.values():
            if name in variables and variables.get("HOME") == str(job):
                found[int(variables[name])] = int(folder.split("/")[-1])
    return found


def none_left(lab):
    deadline = time.monotonic() + GONE_WITHIN_S
    while (left := rank_processes(lab.folder)) and time.monotonic() < deadline:
        time.sleep(0.05)
    for process in left.values():
        os.kill(process, signal.SIGKILL)
    return not left


def on_rank(lab, rank, **variables):
    """In front of the program: that rank has these variables."""
    settings = " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())
    return ["bash", "-c", f'[ "${RANK[lab.library]}" = {rank} ] && export {settings}; exec "$@"', "bash"]


def disk_fault(lab, rank, step=2 * SAVE_INTERVAL, **faults):
    """Of that rank while it saves that step."""
    return on_rank(lab, rank, LD_PRELOAD=str(DISK_FAULTS), FAULT_PATH=f"global_step{step}", **faults)


def undisturbed(lab, stage, ranks=RANKS, more=()):
    name = f"whole{stage}-{ranks}" + ("-shared" if more else "")
    if not (lab.folder / name).exists():
        result = lab.run(ranks, *options(stage, name, more))
        assert result.returncode == 0, result.stderr
    return losses(lab.metrics(name))


def latest_step(lab, name):
    latest = lab.folder / f"{name}-ckpt" / "latest"
    return int(latest.read_text().strip().removeprefix("global_step")) if latest.exists() else 0


def goes_on(lab, what, stage, name, expected, ranks=RANKS, more=()):
    """From the newest checkpoint that there is, with the same losses."""
    saved = latest_step(lab, name)
    result = lab.run(ranks, *options(stage, name, more))
    resumed = f"resumed from {name}-ckpt/global_step{saved}" in result.stdout
    check(result.returncode == 0 and (saved == 0 or resumed), f"{what}: goes on from step {saved}", result.stdout[-1500:] + result.stderr)
    if result.returncode == 0:
        got = losses(lab.metrics(name))
        check(got == expected, f"{what}: with the losses of an undisturbed run", f"{got} {expected}")


def kill(lab, what, stage, name, victim, moment, says=False, more=()):
    """Starts a job and kills a rank of it once moment(job) has returned; whether it was there to be killed."""
    job = lab.start(RANKS, *options(stage, name, more))
    moment(job)
    process = rank_processes(lab.folder).get(victim)
    if process:
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            process = None
    try:
        _, errors = job.communicate(timeout=ENDS_WITHIN_S if process else TIMEOUT_S)
        check(not process or job.returncode != 0, f"{what}: ends the job, code {job.returncode}", errors)
        lines = [line for line in errors.splitlines() if line.startswith("borealis:")]
        # MPICH's launcher kills the others in the same moment; they have no time to say anything.
        if process and lab.library == "openmpi" and says:
            check(len(lines) >= 1 and all(f"rank {victim} on " in line and f"has ended (process {process}), in " in line for line in lines), f"{what}: is told", errors)
    except subprocess.TimeoutExpired:
        os.killpg(job.pid, signal.SIGKILL)
        job.communicate()
        check(False, f"{what}: ends the job", f"it still ran after {ENDS_WITHIN_S} s")
    check(none_left(lab), f"{what}: leaves no process")
    return process is not None


def killed_in_a_step(lab):
    for victim, stage, more in ((1, 0, ()), (0, 2, ()), (2, 3, ()), (1, 1, SHARED)):
        shared = ", SP=3" if more else ""
        name, what = f"step{stage}", f"{lab.library}, ZeRO {stage}{shared}: kill -9 of rank {victim} in a step"
        expected = undisturbed(lab, stage, more=more)

        def saved_once(job):
            deadline = time.monotonic() + TIMEOUT_S
            while latest_step(lab, name) == 0 and job.poll() is None and time.monotonic() < deadline:
                time.sleep(0.005)

        check(kill(lab, what, stage, name, victim, saved_once, says=True, more=more), f"{what}: it was there")
        if stage == 0:
            shutil.copytree(lab.folder / f"{name}-ckpt", lab.folder / "fewer-ckpt")
        goes_on(lab, what, stage, name, expected, more=more)
        if stage == 0:
            result = lab.run(RANKS - 1, *options(stage, "fewer"))
            check(result.returncode == 0 and close(losses(lab.metrics("fewer"))[:40], expected[:40]), f"{what}: two ranks go on where three were", result.stdout[-1500:] + result.stderr)


def fails_while_saving(lab):
    """A rank is killed at the first and at a later call to the disk of its second save; its disk is full there."""
    for victim, stage in ((1, 1), (2, 3)):
        expected = undisturbed(lab, stage)
        for at in ("1", "3"):
            name, what = f"saving{stage}-{at}", f"{lab.library}, ZeRO {stage}: kill -9 of rank {victim} while it saves, call {at}"
            result = lab.run(RANKS, *options(stage, name), prefix=disk_fault(lab, victim, FAULT_CALL="change", FAULT_AT=at, FAULT_KILL="1"))
            check(result.returncode != 0, f"{what}: ends the job, code {result.returncode}", result.stdout[-1000:])
            check(none_left(lab), f"{what}: leaves no process")
            check(latest_step(lab, name) == SAVE_INTERVAL, f"{what}: the checkpoint before is there", latest_step(lab, name))
            goes_on(lab, what, stage, name, expected)
        name, what = f"full{stage}", f"{lab.library}, ZeRO {stage}: a full disk of rank {victim}"
        result = lab.run(RANKS, *options(stage, name), prefix=disk_fault(lab, victim, FAULT_CALL="write", FAULT_STICKY="1", FAULT_ERRNO="ENOSPC"))
        told = told_by(result)
        check(result.returncode == 3 and len(told) == 1 and f"file: rank {victim}: " in told[0] and "No space left" in told[0],
              f"{what}: is told once, with the rank", (result.returncode, told))
        check(none_left(lab), f"{what}: leaves no process")
        goes_on(lab, what, stage, name, expected)


def stops(lab):
    """A rank that answers no more, and is not dead."""
    what = f"{lab.library}: SIGSTOP of a rank"
    job = lab.start(RANKS, "--train-iters", "1000000", "--eval-interval", "0", "--no-save", "--zero-stage", "1", "--run-dir", "stops", *SHORT_LIMIT)
    wait_for_steps(lab, "stops", job)
    processes = rank_processes(lab.folder)
    os.kill(processes[2], signal.SIGSTOP)
    begun = time.monotonic()
    try:
        _, errors = job.communicate(timeout=ENDS_WITHIN_S)
    except subprocess.TimeoutExpired:
        os.killpg(job.pid, signal.SIGKILL)
        _, errors = job.communicate()
    lines = [line for line in errors.splitlines() if line.startswith("borealis:")]
    check(job.returncode == 7 and 1 <= len(lines) <= 2 and all("no answer for 3 s in step " in line and f"rank 2 on {os.uname().nodename} is stopped (process {processes[2]})" in line for line in lines),
          f"{what}: is told after {time.monotonic() - begun:.1f} s", (job.returncode, errors))
    check(none_left(lab), f"{what}: leaves no process")


def cannot_start(lab):
    """What is wrong with one host's program, or with all of them, before MPI is there."""
    copy = lab.folder / "copy"
    copy.mkdir()
    shutil.copy(BOREALIS, copy / "borealis")
    module = f"borealis_mpi_{lab.library}.so"
    whole = (BOREALIS.parent / module).read_bytes()
    (copy / module).write_bytes(whole[:len(whole) // 2])
    train = [str(copy / "borealis"), "train", *SHAPE, "--train-iters", "3", "--no-save"]

    def run(command, ranks=3):
        return subprocess.run([*LAUNCHERS[lab.library], "-n", str(ranks), *command], cwd=lab.folder, env=ENVIRONMENT | {"HOME": str(lab.folder)}, capture_output=True, text=True,
                              timeout=TIMEOUT_S, stdin=subprocess.DEVNULL)

    result = run(train)
    check(result.returncode == 7 and told_by(result) == [f"borealis: ranks: {copy / module} is cut off; build again"], f"{lab.library}: a module that is cut off is told once", result)
    (copy / module).unlink()
    result = run(train)
    check(result.returncode == 7 and len(told_by(result)) == 1 and f"install lib{lab.library}-dev" in result.stderr, f"{lab.library}: a missing module is told once", result)
    shutil.copy(BOREALIS.parent / module, copy / module)
    with open(copy / "borealis", "ab") as program:
        program.write(b"another build")
    other = ["bash", "-c", f'[ "${RANK[lab.library]}" = 1 ] && shift && exec "{copy}/borealis" "$@"; exec "$@"', "bash", str(BOREALIS), *train[1:]]
    result = run(other)
    check(result.returncode == 2 and len(told_by(result)) == 1 and "rank 1: program's content is " in result.stderr, f"{lab.library}: a rank with another program is named", result)
    result = run([*on_rank(lab, 1, BOREALIS_CPU_ISA="sse4"), str(BOREALIS), *train[1:]])
    check(result.returncode == 2 and len(told_by(result)) == 1 and "rank 1: " in result.stderr, f"{lab.library}: a rank with other instructions is named", result)
    result = run([str(BOREALIS), "plan", *SHAPE], ranks=2)
    check(result.returncode == 1 and len(told_by(result)) == 1 and "'plan' runs in one process" in result.stderr and result.stdout == "", f"{lab.library}: other commands are of one process", result)


def loses_a_host(lab):
    """The cable between two hosts is pulled: both end, each with its line, and the launcher too."""
    what = f"{lab.library}: a host that disappears"
    if lab.library == "mpich":
        return  # its UCX sees that both are one machine, and needs no cable
    if lacks := missing():
        print(f"SKIPPED {what}: needs {lacks}")
        return
    with TwoHosts() as hosts:
        command = [*hosts.launcher(lab.library), "--oversubscribe", "--bind-to", "none", "--host", ",".join(f"{name}:2" for name in hosts.names), "-n", "4", str(BOREALIS), "train", *SHAPE,
                   "--global-batch-size", "12", "--micro-batch-size", "1", "--train-iters", "1000000", "--eval-interval", "0", "--save-interval", "100", "--keep-last", "2", "--save", "ckpt",
                   *SHORT_LIMIT, "--run-dir", "run"]
        job = subprocess.Popen(hosts.on(0, command), cwd=lab.folder, env=ENVIRONMENT | {"HOME": str(lab.folder)}, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                               stdin=subprocess.DEVNULL)
        latest = lab.folder / "ckpt" / "latest"
        deadline = time.monotonic() + TIMEOUT_S
        while not latest.exists() and job.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        hosts.disconnect()
        begun = time.monotonic()
        _, errors = job.communicate(timeout=2 * ENDS_WITHIN_S)
        lines = [line for line in errors.splitlines() if line.startswith("borealis:")]
        check(job.returncode != 0 and 1 <= len(lines) <= 2 and "Segmentation" not in errors and
              all("no answer for 3 s in step " in line and (f"on {hosts.names[1]}" in line or "waited for: other ranks" in line) for line in lines),
              f"{what}: is told, and all is over after {time.monotonic() - begun:.0f} s", (job.returncode, errors))
        deadline = time.monotonic() + ENDS_WITHIN_S
        while any(hosts.processes(name) for name in hosts.names) and time.monotonic() < deadline:
            time.sleep(0.2)
        check(not any(hosts.processes(name) for name in hosts.names), f"{what}: leaves no process on either")
    saved = latest.read_text().strip()
    verified = subprocess.run([str(BOREALIS), "checkpoint", "verify", f"ckpt/{saved}"], cwd=lab.folder, capture_output=True, text=True)
    check(verified.returncode == 0, f"{what}: the last checkpoint is whole", verified.stderr)


def random_kill(lab, what, stage, name, generator, seconds):
    kill(lab, what, stage, name, generator.randrange(RANKS), lambda job, pause=generator.uniform(0, seconds): time.sleep(pause))
    return RANKS


def wait_for_steps(lab, name, job):
    """Or for its end: starting MPI has a limit of its own, of ten minutes."""
    metrics = lab.folder / name / "metrics.jsonl"
    deadline = time.monotonic() + TIMEOUT_S
    while not (metrics.exists() and metrics.stat().st_size) and job.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)


def random_stop(lab, what, stage, name, generator, seconds):
    job = lab.start(RANKS, *options(stage, name), *SHORT_LIMIT)
    wait_for_steps(lab, name, job)
    time.sleep(generator.uniform(0, seconds / 2))
    stopped = rank_processes(lab.folder).get(generator.randrange(RANKS))
    if stopped:
        try:
            os.kill(stopped, signal.SIGSTOP)
        except ProcessLookupError:
            stopped = None
    try:
        job.communicate(timeout=ENDS_WITHIN_S)
        check(job.returncode != 0 or not stopped, f"{what}: ends the job, code {job.returncode}")
    except subprocess.TimeoutExpired:
        alone = list(rank_processes(lab.folder).values()) == [stopped]  # and all of them were done: the launcher waits for a process, not for a rank
        os.killpg(job.pid, signal.SIGKILL)
        job.communicate()
        check(alone and len(lab.metrics(name)) == STEPS, f"{what}: ends the job", f"it still ran after {ENDS_WITHIN_S} s")
    check(none_left(lab), f"{what}: leaves no process")
    return RANKS


def random_disk(lab, what, stage, name, generator, seconds):
    """Full from some write of some checkpoint on, of one rank: the others are anywhere then, and all end together."""
    victim, step = generator.randrange(RANKS), SAVE_INTERVAL * generator.randrange(1, STEPS // SAVE_INTERVAL + 1)
    full = disk_fault(lab, victim, step, FAULT_CALL="write", FAULT_AT=str(generator.randrange(1, 4)), FAULT_STICKY="1", FAULT_ERRNO="ENOSPC")
    try:
        result = lab.run(RANKS, *options(stage, name), prefix=full)
    except subprocess.TimeoutExpired:
        check(False, f"{what}: ends the job", f"it still ran after {TIMEOUT_S} s")
    else:
        told = told_by(result)
        fails = result.returncode == 3 and len(told) == 1 and "No space left" in told[0]  # else that rank had not that much to write
        check(fails or result.returncode == 0 and not told, f"{what}: ends the job, code {result.returncode}", told)
    check(none_left(lab), f"{what}: leaves no process")
    return RANKS


def random_cable(lab, what, stage, name, generator, seconds):
    ranks = 4
    with TwoHosts() as hosts:
        command = [*hosts.launcher(lab.library), "--oversubscribe", "--bind-to", "none", "--host", ",".join(f"{host}:2" for host in hosts.names), "-n", str(ranks), str(BOREALIS), "train",
                   *SHAPE, "--global-batch-size", str(GLOBAL_BATCH), "--micro-batch-size", "1", *options(stage, name), *SHORT_LIMIT]
        job = subprocess.Popen(hosts.on(0, command), cwd=lab.folder, env=ENVIRONMENT | {"HOME": str(lab.folder)}, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               stdin=subprocess.DEVNULL)
        wait_for_steps(lab, name, job)
        time.sleep(generator.uniform(0, seconds / 2))
        hosts.disconnect()
        try:
            _, errors = job.communicate(timeout=2 * ENDS_WITHIN_S)
            done = (lab.folder / name / "metrics.jsonl").exists() and len(lab.metrics(name)) == STEPS
            check((job.returncode != 0 or done) and "Segmentation" not in errors, f"{what}: ends the job, code {job.returncode}", errors)
        except subprocess.TimeoutExpired:
            job.kill()
            check(False, f"{what}: ends the job", f"it still ran after {2 * ENDS_WITHIN_S} s")
        deadline = time.monotonic() + ENDS_WITHIN_S
        while any(hosts.processes(host) for host in hosts.names) and time.monotonic() < deadline:
            time.sleep(0.1)
        check(not any(hosts.processes(host) for host in hosts.names), f"{what}: leaves no process on either host")
    return ranks


def fails_at_random(lab):
    generator = random.Random(f"{SEED}/{lab.library}")
    kinds = [random_kill, random_kill, random_stop, random_disk]
    if lab.library == "openmpi" and not missing():  # MPICH's: see loses_a_host
        kinds.append(random_cable)
    whole = {}
    for number in range(FAILURES):
        fails, stage, name = generator.choice(kinds), generator.randrange(4), f"random{number}"
        begun = time.monotonic()
        if stage not in whole:
            undisturbed(lab, stage)
            whole[stage] = time.monotonic() - begun
        what = f"{lab.library}, ZeRO {stage}: {number}: {fails.__name__.replace('_', ' ')}"
        ranks = fails(lab, what, stage, name, generator, whole[stage])
        goes_on(lab, what, stage, name, undisturbed(lab, stage, ranks), ranks)
        shutil.rmtree(lab.folder / f"{name}-ckpt", ignore_errors=True)


def main():
    for library in found_libraries():
        for part in (fails_at_random,) if FAILURES else (cannot_start, stops, loses_a_host, killed_in_a_step, fails_while_saving):
            with tempfile.TemporaryDirectory(prefix="borealis-rank-failures-") as folder:
                part(Lab(library, folder))
    sys.exit(1 if ranks_test.failures else 0)


if __name__ == "__main__":
    main()
