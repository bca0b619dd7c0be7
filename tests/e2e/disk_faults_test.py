"""A disk that fails while a run saves: full, read-only, slow to take what it is given, broken, at every phase of a save. The
run says so in one line and ends; the checkpoint before is whole, and the same command goes on from it to the end of a run
that nothing happened to. Then damage: a bit in every file of the newest checkpoint in turn, files cut short and gone."""

import json
import os
import pathlib
import random
import re
import shutil
import sys
import tempfile

from small_training import ITERATIONS, SAVE_INTERVAL, VALIDATION_INTERVAL, Training, calls_of, checkpoint_contents, differences, results_of

FILE_ERROR = 3  # the exit code
FIRST, SECOND = SAVE_INTERVAL, 2 * SAVE_INTERVAL
TEXTS = {"ENOSPC": "No space left on device", "EIO": "Input/output error", "EROFS": "Read-only file system"}
ERRORS_OF_CALL = {"create": ["ENOSPC", "EROFS"], "mkdir": ["ENOSPC", "EROFS"], "write": ["ENOSPC", "EIO"], "fsync": ["EIO"],
                  "rename": ["EIO", "ENOSPC"], "ftruncate": ["EIO"]}

failures = []
count = 0


def report(name, problems, details=""):
    global count
    count += 1
    if problems:
        failures.append(f"{name}: {'; '.join(problems)}\n  {details.strip()[-800:]}")


def message_problems(result, *words):
    """One line that says what, where and what to do, and the exit code of files."""
    problems = [f"exit code {result.returncode}, not {FILE_ERROR}"] if result.returncode != FILE_ERROR else []
    lines = result.stderr.strip().splitlines()
    problems += [f"{len(lines)} lines on stderr"] if len(lines) != 1 else []
    line = lines[-1] if lines else ""
    problems += [f"does not say {word!r}" for word in ("borealis: file: cannot ", "; ", *words) if word not in line]
    return problems


def whole_run_problems(training, whole):
    result = training.run()
    if result.returncode != 0:
        return [f"the rerun ends with {result.returncode}: {result.stderr.strip()[-300:]}"]
    problems = differences(whole, results_of(training))
    return problems + [f"left behind: {training.leftovers()}" for _ in training.leftovers()[:1]]


def without_process(path):
    return re.sub(r"\.(partial|old)\.[^/]*", "", path)


def phases_of_save(folder):
    """The calls that save for the second time, each by its number of that kind in the run: (call, number, place)."""
    training = Training(folder / "calls", "bf16", True)
    phases = []
    result, calls = calls_of(training, "/ckpt/", "change")
    assert result.returncode == 0, result.stderr
    saved = [number for number, (call, path) in enumerate(calls) if call == "rename" and path.endswith("/latest_checkpointed_iteration.txt")]
    numbers = {}
    for at, (call, path) in enumerate(calls):
        numbers[call] = numbers.get(call, 0) + 1
        if saved[0] + 1 < at <= saved[1] and call in ERRORS_OF_CALL:
            phases.append((call, numbers[call], without_process(path).partition("/ckpt/")[2]))
    return phases


def order_problems(calls):
    """What a power cut could take from a name that a file or folder has already: content that was not flushed before it got the name, an
    entry of a folder that was not flushed with it, or a name whose folder was not flushed before the next one was given."""
    problems, unflushed, named = [], set(), set()
    for call, path in calls:
        if call == "rename" and path != without_process(path):
            continue  # aside, to be removed
        path = without_process(path)
        parent = path.rpartition("/")[0]
        if call in ("create", "mkdir"):
            unflushed |= {path, parent}
        elif call in ("write", "ftruncate"):
            unflushed.add(path)
        elif call == "fsync":
            unflushed.discard(path)
            named.discard(path)
        elif call == "unlink":
            unflushed.discard(path)
        elif call == "rename":
            problems += [f"{lost} is not flushed before {path} has its name" for lost in unflushed if lost == path or lost.startswith(path + "/")]
            problems += [f"{folder} is not flushed before {path} has its name" for folder in named]
            named.add(parent)
    return problems + [f"{folder} is not flushed at the end" for folder in named]


def flushes(folder):
    """A killed process leaves what it wrote to the system, a power cut what is on the disk: the order of the calls must be right."""
    for name, options in (("one", []), ("kept", ["--keep-last", "1"])):
        training = Training(folder / name, "bf16", True, options=options)
        result, calls = calls_of(training, "/ckpt", "change")
        saves = [path for call, path in calls if call == "rename" and path.endswith("/latest")]
        report(f"flushes, {name}", order_problems(calls) + ([] if len(saves) == 4 else [f"{len(saves)} saves"]), result.stderr)


def failing_saves(folder, whole):
    """Every phase of the second save with an error that it may meet; with BOREALIS_ALL_FAULTS=1 with all of them."""
    first_save = {name: content for name, content in whole["checkpoints"].items() if name.startswith(f"global_step{FIRST}/")}
    for call, number, place in phases_of_save(folder):
        errors = ERRORS_OF_CALL[call]
        for error in errors if os.environ.get("BOREALIS_ALL_FAULTS") else errors[number % len(errors):][:1]:
            name = f"{error} at {call} {number} of {place}"
            training = Training(folder / f"{error}-{call}-{number}", "bf16", True, run_dir="run")
            result = training.run({"FAULT_PATH": "/ckpt/", "FAULT_CALL": call, "FAULT_AT": str(number), "FAULT_ERRNO": error})
            problems = message_problems(result, TEXTS[error], pathlib.Path(place).name)
            if training.saved_iteration() not in (FIRST, SECOND):
                problems.append(f"latest is {training.saved_iteration()}")
            kept = checkpoint_contents(training.checkpoints)
            problems += [f"{path} of the first save is not what it was" for path in first_save if kept.get(path) != first_save[path]]
            problems += [f"left behind: {training.leftovers()}" for _ in training.leftovers()[:1]]
            report(name, problems + whole_run_problems(training, whole), result.stderr)
            shutil.rmtree(training.folder)


def lasting_faults(folder, whole):
    """A disk that is full, or read-only, from some moment on; and one that takes half of every write."""
    numbers = range(1, len(phases_of_save(folder / "lasting")) + 20, 17)
    for error, calls in (("ENOSPC", "create,mkdir,write"), ("EROFS", "change")):
        for number in numbers:
            training = Training(folder / f"{error}-from-{number}", "bf16", True, run_dir="run")
            result = training.run({"FAULT_PATH": "/ckpt", "FAULT_CALL": calls, "FAULT_AT": str(number), "FAULT_ERRNO": error,
                                   "FAULT_STICKY": "1"})
            problems = message_problems(result, TEXTS[error], "ckpt")
            report(f"{error} from {number} on", problems + whole_run_problems(training, whole), result.stderr)
            shutil.rmtree(training.folder)
    training = Training(folder / "half", "bf16", True, run_dir="run")
    result = training.run({"FAULT_PATH": f"{training.folder}/", "FAULT_CALL": "write,read", "FAULT_SHORT": "1", "FAULT_STICKY": "1"})
    problems = [f"exit code {result.returncode}"] if result.returncode != 0 else differences(whole, results_of(training))
    report("half of every write and read", problems, result.stderr)


LOST_WITH = {"metrics.jsonl": 1, "validation.jsonl": VALIDATION_INTERVAL}  # the iteration whose record is the file's first


def without_record(whole, training, file):
    """What a run comes to that could not write the first record of the file, and saved in its stead."""
    if file not in LOST_WITH:
        return whole
    step = f"global_step{LOST_WITH[file]}/"
    added = {name: content for name, content in checkpoint_contents(training.checkpoints).items() if name.startswith(step)}
    expected = whole | {"checkpoints": whole["checkpoints"] | added}
    if file == "metrics.jsonl":
        return expected | {"steps": whole["steps"][1:]}
    return expected | {file: "".join(whole[file].splitlines(keepends=True)[1:])}


def faults_of_the_run_folder(folder, whole):
    for file in ("config.json", "metrics.jsonl", "validation.jsonl", "summary.json", "report.md", "report.html"):
        training = Training(folder / f"run-{file}", "bf16", True, run_dir="run")
        # The first summary is written beside the run, so one that fails is a warning; the last has to be there.
        sticky = {"FAULT_STICKY": "1"} if file == "summary.json" else {}
        result = training.run({"FAULT_PATH": f"/run/{file}", "FAULT_CALL": "write", "FAULT_ERRNO": "ENOSPC", **sticky})
        # Before it ends for want of a record the run saves: nothing but that record is lost.
        saved = training.saved_iteration()
        problems = message_problems(result, TEXTS["ENOSPC"], file)
        if file in LOST_WITH:
            problems += [] if saved == LOST_WITH[file] else [f"saved at {saved}"]
        if file.startswith("report."):  # behind the training, which stays what it was: ended
            stopped_by = json.loads((training.folder / "run" / "summary.json").read_text())["stopped_by"]
            problems += [] if stopped_by == "train_iters" else [f"the summary says {stopped_by}"]
        problems += whole_run_problems(training, without_record(whole, training, file))
        told = [line for line in (result.stdout + result.stderr).splitlines() if TEXTS["ENOSPC"] in line]
        report(f"full at {file}", problems + ([f"told {len(told)} times: {told}"] if len(told) > 1 else []), result.stderr)

    training = Training(folder / "run-first-summary", "bf16", True, run_dir="run")
    result = training.run({"FAULT_PATH": "/run/summary.json", "FAULT_CALL": "write", "FAULT_ERRNO": "ENOSPC"})
    problems = [f"exit code {result.returncode}"] if result.returncode != 0 else differences(whole, results_of(training))
    told = "the run's folder had no summary until now" in result.stdout + result.stderr and TEXTS["ENOSPC"] in result.stdout + result.stderr
    report("full at the first summary.json", problems + ([] if told else ["no warning"]), result.stderr)


def stopped_training(folder, name):
    """Two saves, killed when the third begins."""
    training = Training(folder / name, "bf16", True, run_dir="run")
    result = training.run({"FAULT_PATH": f"global_step{3 * SAVE_INTERVAL}", "FAULT_CALL": "mkdir", "FAULT_KILL": "1"})
    assert result.returncode == -9 and training.saved_iteration() == SECOND, (result.returncode, result.stderr)
    return training


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    generator = random.Random(path.name)
    content[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
    path.write_bytes(content)


def cut_in_half(path):
    os.truncate(path, path.stat().st_size // 2)


def went_on_from(result, iteration, *words):
    """What is wrong with a run that has to warn of a newer checkpoint, by these words, and to go on from this one."""
    warnings = [line for line in result.stdout.splitlines() if "[W]" in line]
    problems = [f"exit code {result.returncode}"] if result.returncode != 0 else []
    if words and not any(all(word in line for word in words) for line in warnings):
        problems.append(f"no warning has {words}: {warnings}")
    resumed = re.findall(r"resumed from \S*global_step(\d+)", result.stdout)
    return problems + ([f"resumed from {resumed}"] if resumed[-1:] != [str(iteration)] else [])


def unreadable_checkpoints(folder, whole):
    """The newest checkpoint cannot be read, at each call of a run that resumes from it: the one before is as good."""
    original = stopped_training(folder, "original")
    faults = {"FAULT_PATH": f"/ckpt/global_step{SECOND}/", "FAULT_CALL": "open,read,mmap"}
    copy = Training(folder / "calls", "bf16", True, run_dir="run")
    shutil.copytree(original.checkpoints, copy.checkpoints)
    _, calls = calls_of(copy, faults["FAULT_PATH"], faults["FAULT_CALL"])
    assert len(calls) > 10, calls
    for number, (call, path) in enumerate(calls, 1):
        training = Training(folder / str(number), "bf16", True, run_dir="run")
        shutil.copytree(original.checkpoints, training.checkpoints)
        result = training.run(faults | {"FAULT_AT": str(number), "FAULT_ERRNO": "EIO"})
        problems = went_on_from(result, FIRST, f"global_step{SECOND}", pathlib.Path(path).name, "Input/output error")
        report(f"EIO at {call} of {path}", problems or differences(whole, results_of(training)), result.stderr)
        shutil.rmtree(training.folder)


def damaged_checkpoints(folder, whole):
    """The newest checkpoint is damaged: the run names the file, and goes on from the one before."""
    original = stopped_training(folder, "original")
    newest = original.checkpoints / f"global_step{SECOND}"
    files = sorted(str(path.relative_to(newest)) for path in newest.rglob("*") if path.is_file())
    for damage in (flip_a_bit, cut_in_half, pathlib.Path.unlink):
        for file in files:
            training = Training(folder / f"{damage.__name__}-{file.replace('/', '-')}", "bf16", True, run_dir="run")
            shutil.copytree(original.checkpoints, training.checkpoints)
            damage(training.checkpoints / f"global_step{SECOND}" / file)
            result = training.run()
            problems = went_on_from(result, FIRST, f"global_step{SECOND}", pathlib.Path(file).name)
            report(f"{damage.__name__} {file}", problems or differences(whole, results_of(training)), result.stderr)
            shutil.rmtree(training.folder)


def damaged_pointers(folder, whole):
    """The text files that name the newest checkpoint are broken or gone: the newest whole one is used all the same."""
    for file in ("latest", "latest_checkpointed_iteration.txt"):
        for content in (None, b"", b"global_step99999", b"\0\xff../x", f"global_step{FIRST}\n".encode()):
            training = stopped_training(folder, f"{file}-{content!r}".replace("/", "-").replace("\\", "-"))
            path = training.checkpoints / file
            path.unlink() if content is None else path.write_bytes(content)
            result = training.run()
            chosen = FIRST if file == "latest" and content and content.startswith(f"global_step{FIRST}".encode()) else SECOND
            problems = went_on_from(result, chosen)
            report(f"{file} with {content}", problems or differences(whole, results_of(training)), result.stderr)
            shutil.rmtree(training.folder)


def main():
    with tempfile.TemporaryDirectory(prefix="borealis-faults-") as name:
        folder = pathlib.Path(name)
        training = Training(folder / "whole", "bf16", True, run_dir="run")
        result = training.run()
        assert result.returncode == 0, result.stderr
        whole = results_of(training)
        assert len(whole["steps"]) == ITERATIONS
        flushes(folder / "flushes")
        for cases in (failing_saves, lasting_faults, faults_of_the_run_folder, unreadable_checkpoints, damaged_checkpoints,
                      damaged_pointers):
            cases(folder / cases.__name__, whole)
    for failure in failures:
        print(f"FAILED {failure}")
    print(f"{count} faults, {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
