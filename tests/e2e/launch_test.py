#!/usr/bin/env python3
"""`borealis launch` starts the ranks that variables, host files and schedulers ask for; `borealis doctor` looks at them."""

import json
import os
import pathlib
import stat
import subprocess
import sys
import tempfile

from mpi_launchers import AS_ROOT, RANK, found_libraries
from small_training import write_dataset

BOREALIS = pathlib.Path(os.environ["BOREALIS"]).resolve()
SHAPE = ["--num-layers", "2", "--hidden-size", "64", "--num-attention-heads", "4", "--num-key-value-heads", "2", "--ffn-hidden-size", "96",
         "--seq-length", "32", "--mock-data", "--vocab-size", "2048", "--dtype", "fp32", "--no-progress"]
TRAIN = ["train", *SHAPE, "--train-iters", "3", "--eval-interval", "0", "--no-save"]
LAUNCHERS = {"openmpi": "mpirun.openmpi", "mpich": "mpiexec.mpich"}
CONFIG, RANKS = 2, 7
TIMEOUT_S = 120

failures = 0


def check(holds, what, told=""):
    global failures
    print(("ok      " if holds else "FAILED  ") + what + ("" if holds else f": {told}"), flush=True)
    failures += not holds


def run(folder, *arguments, **variables):
    """Without what the shell that runs the test may know of hosts and ranks."""
    path = variables.pop("PATH", os.environ["PATH"])
    environment = {"PATH": path, "HOME": str(folder), "OMP_WAIT_POLICY": "passive", **AS_ROOT, **{name: str(value) for name, value in variables.items()}}
    return subprocess.run([str(BOREALIS), *map(str, arguments)], cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, stdin=subprocess.DEVNULL)


def script(path, text):
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def starts_ranks(folder, library):
    launcher = LAUNCHERS[library]
    result = run(folder, "launch", *TRAIN, "--run-dir", "two", NGPU_PER_HOST=2, MPIEXEC=launcher)
    check(result.returncode == 0, f"{library}: two ranks", result.stderr)
    told = [line for line in result.stderr.splitlines() if line.startswith("starting ")]
    check(len(told) == 1 and told[0].startswith(f"starting 2 ranks on 1 host (this machine, NGPU_PER_HOST=2): {launcher} "), f"{library}: says what it starts", result.stderr)
    summary, config = (json.loads((folder / "two" / name).read_text()) for name in ("summary.json", "config.json"))
    check(summary["world_size"] == 2 and config["parallel"]["hosts"] == 1, f"{library}: they are one run", summary)
    check("2 ranks on 1 host" in result.stdout, f"{library}: the log says so", result.stdout)
    phases = summary["start_phases_s"]
    check(list(phases) == ["MPI", "configuration", "looking at data", "planning", "run's folder", "weights and data"] and
          abs(sum(phases.values()) - summary["time_to_first_step_s"]) < 0.5 and "start: " in result.stdout, f"{library}: where the time before the first step went", summary)
    (folder / "two").rename(folder / "before")
    again = subprocess.run(["bash", "-c", summary["command"]], env={"PATH": f"{BOREALIS.parent}:{os.environ['PATH']}", "HOME": str(folder), "OMP_WAIT_POLICY": "passive", **AS_ROOT},
                           capture_output=True, text=True, timeout=TIMEOUT_S, stdin=subprocess.DEVNULL)
    losses = [[json.loads(line)["lm_loss"] for line in (folder / name / "metrics.jsonl").read_text().splitlines()] for name in ("before", "two")]
    check(again.returncode == 0 and losses[0] == losses[1], f"{library}: the command that is kept repeats the run", (summary["command"], again.stderr))
    result = run(folder, "launch", "--dry-run", "train", "--lr", "1e-3", WORLD_SIZE=2, MPIEXEC=f"{launcher} -v")
    check(result.returncode == 0 and result.stdout.startswith(f"{launcher} -v ") and result.stdout.endswith(f"{BOREALIS} train --lr 1e-3\n"), f"{library}: dry run", result)
    # Ranks that are launched already launch no others.
    command = [launcher, "-n", "2", str(BOREALIS), "launch", *TRAIN, "--run-dir", "by-hand"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "OMP_WAIT_POLICY": "passive", **AS_ROOT}
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, stdin=subprocess.DEVNULL)
    check(result.returncode == 0 and json.loads((folder / "by-hand/summary.json").read_text())["world_size"] == 2, f"{library}: launch within a launcher", result.stderr)
    result = run(folder, "launch", *TRAIN, "--lr", "x", NGPU_PER_HOST=2, MPIEXEC=launcher)
    lines = [line for line in result.stderr.splitlines() if line.startswith("borealis:")]
    check(result.returncode == CONFIG and len(lines) == 1 and "--lr x" in lines[0], f"{library}: the ranks' exit code and their one line", result)


def doctor(folder, library):
    launcher = LAUNCHERS[library]
    result = run(folder, "launch", "doctor", *SHAPE, "--json", NGPU_PER_HOST=3, MPIEXEC=launcher)
    check(result.returncode == 0, f"{library}: doctor", result.stderr)
    report = json.loads(result.stdout)
    check([rank["rank"] for rank in report["ranks"]] == [0, 1, 2] and all(rank["gemm_flops_per_s"] > 0 and rank["available_bytes"] > 0 for rank in report["ranks"]),
          f"{library}: doctor has all ranks", report)
    sizes = [sum["bytes"] for sum in report["all_reduce_f32"]]
    check(sizes == [4096 << 2 * i for i in range(len(sizes))] and len(sizes) >= 5 and all(s["bus_bytes_per_s"] > 0 for s in report["all_reduce_f32"]) and report["barrier_s"] > 0,
          f"{library}: doctor measures sums", report)
    check(report["faults"] == [], f"{library}: nothing is wrong", report)
    text = run(folder, "launch", "doctor", *SHAPE, NGPU_PER_HOST=2, MPIEXEC=launcher)
    check(text.returncode == 0 and "2 ranks on 1 host" in text.stdout and "256.0 MiB" in text.stdout, f"{library}: doctor for people", text)
    # A rank with other data, of as many documents and tokens, and with another setting.
    for name, seed in (("a", 1), ("b", 2)):
        (folder / name).mkdir()
        write_dataset(folder / name / "set", 60, seed)
        (folder / name / "list.txt").write_text("1.0 set corpus\n")
    other = script(folder / "other", f'if [ "${RANK[library]}" = 1 ]; then cd b; export CLIP_GRAD=0.5; else cd a; fi\nexec "$@"\n')
    shape = [option for option in SHAPE if option != "--mock-data"]
    command = [launcher, "-n", "2", str(other), str(BOREALIS)]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "OMP_WAIT_POLICY": "passive", "DATA_FILE_LIST": "list.txt", **AS_ROOT}
    result = subprocess.run([*command, "doctor", *shape, "--json"], cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, stdin=subprocess.DEVNULL)
    faults = json.loads(result.stdout)["faults"]
    check(result.returncode == RANKS and any(fault.startswith("data of rank 1: ") for fault in faults) and any("max_grad_norm is 0.5" in fault for fault in faults),
          f"{library}: doctor names what differs", result)
    environment.pop("DATA_FILE_LIST")
    script(folder / "other", f'[ "${RANK[library]}" = 1 ] && cd b || cd a\nexec "$@"\n')
    result = subprocess.run([*command, "train", *shape, "--data-file-list", "list.txt", "--train-iters", "2", "--no-save"], cwd=folder, env=environment, capture_output=True, text=True,
                            timeout=TIMEOUT_S, stdin=subprocess.DEVNULL)
    check(result.returncode == CONFIG and "rank 1: data's content is" in result.stderr, f"{library}: nor does a run begin with other data of the same counts", result)


def counts_ranks(folder, library):
    """What is planned and swept has the ranks that would be started."""
    ranks = {"NGPU_PER_HOST": 2, "MPIEXEC": LAUNCHERS[library]}
    result = run(folder, "plan", *SHAPE, **ranks)
    check(result.returncode == 0 and "ranks              2 ranks on 1 host; what follows is of one" in result.stdout, f"{library}: plan", result)
    result = run(folder, "sweep", "--nlayers", "1,2", "--steps", "3", "--warmup", "1", "--", *SHAPE[2:], **ranks)
    state = json.loads((folder / "logs/sweep/sweep.json").read_text())
    runs = [(point["planned_bytes"], json.loads((folder / "logs/sweep" / run / "summary.json").read_text())) for point in state["points"] for run in point["runs"]]
    worlds = [summary["world_size"] for _, summary in runs]
    check(result.returncode == 0 and worlds == [2, 2], f"{library}: sweep", (worlds, result.stdout, result.stderr))
    # The process that plans has no MPI, whose memory it counts all the same.
    bytes_apart = [planned - summary["planned_memory_bytes"] for planned, summary in runs]
    check(bytes_apart and all(abs(bytes) < 6 << 20 for bytes in bytes_apart), f"{library}: a sweep's plan is its runs'", bytes_apart)


def alone(folder):
    result = run(folder, "launch", *TRAIN, "--run-dir", "one", NGPU_PER_HOST=1)
    check(result.returncode == 0 and json.loads((folder / "one/summary.json").read_text())["world_size"] == 1 and "starting" not in result.stderr, "one rank needs no launcher", result)
    (folder / "here").write_text("localhost\n")
    result = run(folder, "launch", "--dry-run", "train", NGPU_PER_HOST=1, HOSTFILE="here")
    check(result.stdout == f"{BOREALIS} train\n", "nor does this machine by its name", result)
    result = run(folder, "doctor", *SHAPE)
    check(result.returncode == 0 and "1 rank on 1 host" in result.stdout and "without MPI" in result.stdout, "doctor alone", result)


def schedulers(folder):
    """Launchers that this machine does not have, by programs of their names."""
    programs = folder / "programs"
    programs.mkdir()
    script(programs / "srun", '[ "$1" = --version ] && echo slurm 22.05.8 && exit\necho "$@"\n')
    path = f"{programs}:{os.environ['PATH']}"
    job = {"SLURM_JOB_NODELIST": "nid[07-08]", "SLURM_NTASKS": 24, "SLURM_TASKS_PER_NODE": "12(x2)", "PATH": path}
    result = run(folder, "launch", "train", "--lr", "1e-3", **job)
    check(result.returncode == 0 and " --nodes=2 --ntasks=24 --ntasks-per-node=12 " in result.stdout and result.stdout.endswith("train --lr 1e-3\n"), "a job of Slurm", result)
    (programs / "srun").unlink()
    script(programs / "mpiexec", '[ "$1" = --version ] && echo "mpiexec version 1.8.0 revision 43d5fd86" && exit\necho "$@"\n')
    (folder / "nodes").write_text("x1\nx2\n")
    result = run(folder, "launch", "train", PBS_NODEFILE="nodes", NGPU_PER_HOST=12, CPU_BIND="list:1-8:9-16", PATH=path)
    built = (BOREALIS.parent / "borealis_mpi_mpich.so").exists()
    check(not built or result.returncode == 0 and "--hosts x1,x2 -n 24 --ppn 12 --cpu-bind list:1-8:9-16" in result.stdout, "a job of PBS", result)


def mistakes(folder):
    def refused(what, code, words, *arguments, **variables):
        result = run(folder, *arguments, **variables)
        lines = result.stderr.splitlines()
        check(result.returncode == code and len(lines) == 1 and lines[0].startswith("borealis: ") and all(word in lines[0] for word in words), what, result)

    (folder / "two").write_text("a\nb\n")
    (folder / "uneven").write_text("a:2\nb:4\n")
    refused("nothing to start", 1, ["launch"], "launch")
    refused("another command", 1, ["'launch plan'"], "launch", "plan")
    refused("an option of the run before its command", 1, ["--lr"], "launch", "--lr", "1", "train")
    refused("no such host file", 3, ["none"], "launch", "train", HOSTFILE="none")
    refused("hosts of different sizes", CONFIG, ["2 to 4", "NGPU_PER_HOST"], "launch", "train", HOSTFILE="uneven")
    refused("ranks that do not come out even", CONFIG, ["WORLD_SIZE=5", "2 hosts"], "launch", "train", HOSTFILE="two", WORLD_SIZE=5)
    refused("no launcher", RANKS, ["no launcher", "openmpi-bin", "MPIEXEC"], "launch", "train", NGPU_PER_HOST=2, PATH="/nonexistent")
    refused("a launcher that is not there", RANKS, ["nothing-here is not there"], "launch", "train", NGPU_PER_HOST=2, MPIEXEC="nothing-here")
    refused("a program that is no launcher", RANKS, ["/bin/ls is of no MPI library"], "launch", "train", NGPU_PER_HOST=2, MPIEXEC="/bin/ls")
    refused("ranks without a launcher", CONFIG, ["NGPU_PER_HOST=2", "borealis launch train"], *TRAIN, NGPU_PER_HOST=2)
    refused("tasks of srun without PMI", CONFIG, ["SLURM_MPI_TYPE"], *TRAIN, SLURM_PROCID=0, SLURM_STEP_NUM_TASKS=2)


def main():
    for part in (alone, schedulers, mistakes):
        with tempfile.TemporaryDirectory(prefix="borealis-launch-") as folder:
            part(pathlib.Path(folder))
    for library in found_libraries():
        for part in (starts_ranks, doctor, counts_ranks):
            with tempfile.TemporaryDirectory(prefix="borealis-launch-") as folder:
                part(pathlib.Path(folder), library)
    sys.exit(1 if failures else 0)


main()
