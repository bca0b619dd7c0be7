"""A training run that is killed at any moment and started again ends as the run that nothing happened to: the same numbers of
every step, the same bytes of every checkpoint, and nothing half-written left behind. Kills come at random times and at random
calls to the file system, of the saving run and of the one that resumes; some runs are ended by SIGTERM.

BOREALIS_KILLS=300 for many; BOREALIS_KILL_SEED for other ones, or to repeat those of a failure."""

import dataclasses
import json
import os
import pathlib
import random
import re
import shutil
import signal
import sys
import tempfile
import time

from small_training import ITERATIONS, SAVE_INTERVAL, Training, calls_of, differences, results_of

KILLS = int(os.environ.get("BOREALIS_KILLS", "12"))
SEED = int(os.environ.get("BOREALIS_KILL_SEED", "1"))
ENDED_BY = {0: "ended", 128 + signal.SIGTERM: "saved and ended", -signal.SIGKILL: "killed", -signal.SIGTERM: "terminated"}


@dataclasses.dataclass
class Configuration:
    name: str
    dtype: str
    mock: bool
    vocab_size: int = 256
    options: tuple = ()
    saves: str = "background"

    def training(self, folder, run_dir=None):
        return Training(folder, self.dtype, self.mock, run_dir, self.vocab_size, self.options)


# The copy of the larger vocabulary's state is so large that a limit can have room for all but it, also when the program's own
# pages are a megabyte more than they were when the limit was chosen.
CONFIGURATIONS = [Configuration("mock", "fp32", True), Configuration("corpus", "bf16", False),
                  Configuration("few", "bf16", True, 4096, ("--keep-last", "2"), "foreground")]


def leave_no_memory_for_a_copy(folder, configuration):
    training = configuration.training(folder / f"{configuration.name}-plan")
    assert training.run().returncode == 0
    classes = json.loads((training.last_run_dir() / "summary.json").read_text())["memory_classes"]
    copy = next(entry["bytes"] for entry in classes if entry["name"].startswith("second place for the state"))
    limit = sum(entry["bytes"] for entry in classes) - copy // 2
    configuration.options += ("--memory-limit", str(limit))


class Undisturbed:
    """What a run comes to that is left alone, how long it takes, and the calls it makes in its folder."""

    def __init__(self, folder, configuration):
        if configuration.saves == "foreground":
            leave_no_memory_for_a_copy(folder, configuration)
        training = configuration.training(folder / f"{configuration.name}-whole")
        start = time.monotonic()
        result = training.run()
        self.seconds = time.monotonic() - start
        assert result.returncode == 0, result.stderr
        assert f"in the {configuration.saves}" in result.stdout
        assert training.leftovers() == [], training.leftovers()
        self.results = results_of(training)
        assert [step["iteration"] for step in self.results["steps"]] == list(range(1, ITERATIONS + 1))
        again = configuration.training(folder / f"{configuration.name}-counted")
        result, self.calls = calls_of(again, "/ckpt", "change,read,mmap,open")
        assert result.returncode == 0, result.stderr
        assert differences(self.results, results_of(again)) == []


def random_end(generator, whole):
    """Arguments of Training.run, and what they are in words."""
    if generator.random() < 0.5:
        seconds = generator.uniform(0, whole.seconds)
        number = signal.SIGTERM if generator.random() < 0.25 else signal.SIGKILL
        return {"signal_after_s": seconds, "signal_number": number}, f"{number.name} after {seconds:.3f} s"
    faults = {"FAULT_PATH": "/ckpt", "FAULT_KILL": "1"}
    if generator.random() < 0.25:  # torn in the middle of a write
        writes = sum(1 for call, _ in whole.calls if call == "write")
        faults |= {"FAULT_CALL": "write", "FAULT_SHORT": "1", "FAULT_AT": str(generator.randint(1, writes))}
    else:
        faults |= {"FAULT_CALL": "change,read,mmap,open", "FAULT_AT": str(generator.randint(1, len(whole.calls)))}
    return {"faults": faults}, f"SIGKILL at {faults['FAULT_CALL']} {faults['FAULT_AT']}"


def of_common_checkpoints(expected, results):
    """A run that SIGTERM ends saves where it is: a checkpoint that the undisturbed run does not have, and that may take the place of
    one among the last that are kept. The last of all both must have."""
    folders = [{name.split("/")[0] for name in one["checkpoints"]} for one in (expected, results)]
    common = folders[0] & folders[1]
    assert f"global_step{ITERATIONS}" in common, folders
    return [one | {"checkpoints": {name: content for name, content in one["checkpoints"].items() if name.split("/")[0] in common}}
            for one in (expected, results)]


def check_resumption(training, result, saved):
    """A run that came as far as training went on from the newest checkpoint that there was."""
    resumed = re.search(r"resumed from \S*global_step(\d+)", result.stdout)
    first = re.search(r"iteration=\s*(\d+)/", result.stdout)
    if resumed:
        assert int(resumed[1]) >= saved, f"resumed from {resumed[1]}, but {saved} was saved"
    if first:
        assert saved == 0 or resumed, f"started from scratch, but {saved} was saved"
        expected = int(resumed[1]) + 1 if resumed else 1
        assert int(first[1]) == expected, f"first iteration {first[1]}, not {expected}"


def one_history(folder, number, configuration, whole):
    """Returns what happened, and how its end differs from that of the undisturbed run."""
    generator = random.Random(f"{SEED}/{number}")
    training = configuration.training(folder / f"{configuration.name}-{number}", generator.choice([None, "run"]))
    story, terminated = [], False
    try:
        for _ in range(generator.choice([1, 1, 2, 3])):
            end, words = random_end(generator, whole)
            terminated |= end.get("signal_number") == signal.SIGTERM
            saved = training.saved_iteration()
            result = training.run(**end)
            story.append(f"{words}: {ENDED_BY.get(result.returncode, result.returncode)}, saved {training.saved_iteration()}")
            assert result.returncode in ENDED_BY, result.stderr
            check_resumption(training, result, saved)
        saved = training.saved_iteration()
        result = training.run()
        assert result.returncode == 0, result.stderr
        check_resumption(training, result, saved)
        pair = whole.results, results_of(training)
        found = differences(*(of_common_checkpoints(*pair) if terminated else pair))
        assert found == [], found
        assert training.leftovers() == [], training.leftovers()
    except (AssertionError, ValueError, OSError) as fault:
        return story, f"{fault}\n  command: {' '.join(training.command)}\n  folder: {training.folder}"
    shutil.rmtree(training.folder)
    return story, None


def main():
    failures = 0
    folder = pathlib.Path(tempfile.mkdtemp(prefix="borealis-kills-"))
    wholes = [Undisturbed(folder, configuration) for configuration in CONFIGURATIONS]
    for number in range(KILLS):
        at = number % len(CONFIGURATIONS)
        story, fault = one_history(folder, number, CONFIGURATIONS[at], wholes[at])
        if fault or os.environ.get("BOREALIS_KILLS"):
            print(f"{number} {CONFIGURATIONS[at].name}: {'; '.join(story)}{f': FAILED: {fault}' if fault else ''}", flush=True)
        failures += fault is not None
    print(f"{KILLS} histories of kills (every {SAVE_INTERVAL} of {ITERATIONS} steps saved, seed {SEED}), {failures} failures")
    if failures:
        print(f"repeat: BOREALIS_KILLS={KILLS} BOREALIS_KILL_SEED={SEED}; the folders are kept in {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
