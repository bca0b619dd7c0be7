#!/usr/bin/env python3
"""What train_alcf.sh does before the program begins, with stand-ins for what it calls: when it prepares data, where it works, and
what it installs. And two builds of one folder at once, one by a user who may not write there."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(__file__).resolve().parents[2]
failures = []


def check(what, condition, *details):
    if not condition:
        failures.append(f"{what}: " + " ".join(map(str, details)))


def script(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/usr/bin/env bash\n" + text)
    path.chmod(0o755)


def make_checkout(folder):
    shutil.copy(SOURCE / "train_alcf.sh", folder)
    for name in ("install_packages.sh", "build.sh", "prepare_default_corpus.sh", "tokenize_default_corpus.sh"):
        script(folder / "scripts" / name, f'echo "{name} $*" >>"$CALLS"\n')
    script(folder / "build/release/borealis", 'echo "in $PWD: $*" >>"$CALLS"\n')


def run(checkout, *flags, cwd, program=None, **variables):
    calls = checkout.parent / "calls"
    calls.unlink(missing_ok=True)
    environment = {"PATH": os.environ["PATH"], "CALLS": str(calls), "HOME": str(checkout.parent / "home")} | variables
    result = subprocess.run(["bash", str(program or checkout / "train_alcf.sh"), *flags], cwd=cwd, env=environment, capture_output=True, text=True)
    return result, calls.read_text().splitlines() if calls.exists() else []


def job_script(folder):
    checkout, elsewhere, home = folder / "a check out", folder / "elsewhere", folder / "home"
    for path in (checkout, elsewhere, home):
        path.mkdir()
    make_checkout(checkout)
    result, calls = run(checkout, cwd=elsewhere)
    check("default", result.returncode == 0 and "prepare_default_corpus.sh " in calls and calls[-1] == f"in {elsewhere}: launch train", result, calls)
    for flags in (["--mock-data"], ["--data-path", "x"], ["--data-path=x"], ["--data-file-list", "books.txt"]):
        _, calls = run(checkout, *flags, cwd=elsewhere)
        check("data by flag", not any("corpus" in call for call in calls) and calls[-1].endswith(" ".join(["launch train", *flags])), flags, calls)
    _, calls = run(checkout, cwd=elsewhere, DATA_PATH="x")
    check("data by variable", not any("corpus" in call for call in calls), calls)
    # A batch job of PBS begins in the home directory; who has gone elsewhere since stays there.
    _, calls = run(checkout, cwd=home, PBS_O_WORKDIR=str(elsewhere))
    check("PBS", calls[-1].startswith(f"in {elsewhere}:"), calls)
    for variable in ("PBS_O_WORKDIR", "SLURM_SUBMIT_DIR"):
        _, calls = run(checkout, cwd=elsewhere, **{variable: str(home)})
        check("stays", calls[-1].startswith(f"in {elsewhere}:"), variable, calls)
    # Schedulers run a copy.
    copy = folder / "spool" / "job123"
    copy.parent.mkdir()
    shutil.copy(checkout / "train_alcf.sh", copy)
    for variable in ("SLURM_SUBMIT_DIR", "PBS_O_WORKDIR", "BOREALIS_HOME"):
        result, calls = run(checkout, cwd=elsewhere, program=copy, **{variable: str(checkout)})
        check("copy", result.returncode == 0 and "build.sh release" in calls, variable, result)
    result, calls = run(checkout, cwd=elsewhere, program=copy, SLURM_SUBMIT_DIR=str(home))
    check("no checkout", result.returncode == 3 and "is no checkout of Borealis: submit from the checkout" in result.stderr and not calls, result)
    result, calls = run(checkout, cwd=folder, CDPATH=f".:{folder}", program="a check out/train_alcf.sh")
    check("CDPATH", result.returncode == 0, result)
    if not pathlib.Path("/dev/nvidia1").exists():
        _, calls = run(checkout, cwd=elsewhere)
        check("one rank", "install_packages.sh mpi" not in calls, calls)


def build_folder(folder):
    checkout = folder / "theirs"
    shutil.copytree(SOURCE / "scripts", checkout / "scripts")
    shutil.copy(SOURCE / "CMakePresets.json", checkout)
    programs = folder / "programs"
    script(programs / "cmake", '[ "$1" = --preset ] && exit\necho begin >>"$CALLS"; sleep 3; echo end >>"$CALLS"\n')
    calls = folder / "calls"
    calls.unlink(missing_ok=True)
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", "CALLS": str(calls), "HOME": str(folder)}
    command = ["bash", str(checkout / "scripts/build.sh"), "release"]
    both = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [one.communicate()[0] for one in both]
    check("at once", calls.read_text().split() == ["begin", "end"] * 2 and all(one.returncode == 0 for one in both), said)
    check("waits", sum("waiting for another build" in text for text in said) == 1, said)
    if os.geteuid() != 0:
        return print("skipped: another user's build, which needs root")
    folder.chmod(0o755)

    def as_nobody():
        return subprocess.run(["setpriv", "--reuid=65534", "--clear-groups", *command], env=environment, capture_output=True, text=True)

    result = as_nobody()
    check("nothing there", result.returncode == 3 and "which is root's: build in a checkout of your own" in result.stderr, result)
    script(checkout / "build/release/borealis", "true\n")
    result = as_nobody()
    check("as it is", result.returncode == 0 and "as it is: it is root's" in result.stdout, result)


def main():
    for test in (job_script, build_folder):
        with tempfile.TemporaryDirectory() as name:
            test(pathlib.Path(name))
    for failure in failures:
        print(failure)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
