"""`borealis data batches` against the slow re-statement of the reference's sampling in tests/data/reference_sampling.py: random lists of documents,
weights, splits, epochs, seeds, ranks; and the cache files in both directions.

Skipped where NumPy is not installed."""

import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile

try:
    import numpy as np
except ImportError:
    print("skipped: the Python package 'numpy' is not installed")
    sys.exit(77)

BOREALIS = os.environ["BOREALIS"]
SOURCE = pathlib.Path(os.environ["BOREALIS_SOURCE_DIR"])
sys.path.insert(0, str(SOURCE / "tests/data"))
import reference_sampling as reference  # noqa: E402

CASES = int(os.environ.get("SAMPLING_CASES", "200"))
FIRST_CASE = int(os.environ.get("SAMPLING_FIRST_CASE", "0"))  # another one for other cases
DTYPES = [np.uint16, np.int32, np.int64]


def random_file(generator, number, label):
    documents = []
    for _ in range(generator.choice([1, 2, 3, 30, 60])):
        length = 0 if generator.random() < 0.1 else generator.randrange(1, generator.choice([4, 40]))
        documents.append([generator.randrange(60000) for _ in range(length)])
    weight = 0.0 if generator.random() < 0.05 else generator.choice([1.0, 0.25, 3.0, round(generator.random(), 3) + 0.001, 1e-3])
    return reference.File(weight, f"{generator.choice(['', './', 'sub/'])}file{number}", label, documents)


def random_run(generator):
    """A list of 1 to 14 files in 1 to 11 corpora, and everything else that batches depend on."""
    labels = generator.sample(["web", "code", "Books", "a", "b", "c", "d", "ähre", "zz", "10", "9"], generator.choice([1, 2, 3, 11]))
    files = [random_file(generator, i, generator.choice(labels)) for i in range(generator.choice([1, 2, 3, 5, 14]))]
    if all(file.weight == 0 for file in files):
        files[0].weight = 1.0
    return reference.Run(files=files, seq_length=generator.randrange(2, 24), split=generator.choice(["8,2,1", "1,1,1", "990,10,0", "1,0,0", "5, 3,2"]),
                         seed=generator.randrange(2**31), train_iters=generator.randrange(1, 60), eval_interval=generator.randrange(1, 30),
                         eval_iters=generator.randrange(1, 6), micro_batch=generator.randrange(1, 4), accumulation=generator.randrange(1, 4),
                         world=generator.randrange(1, 5), blend_in_corpus=generator.random() < 0.5, shuffle_in_corpus=generator.random() < 0.7)


def enough(run, kind, file):
    first, last = reference.split_range(run, kind, len(file.documents))
    return last > first and sum(len(document) for document in file.documents[first:last]) >= 2


def give_documents(run, kind, generator):
    """Most cases should reach a batch: longer files where the split leaves nothing."""
    for file in run.files:
        while not enough(run, kind, file):
            file.documents.append([generator.randrange(60000) for _ in range(generator.randrange(5))])


def write_list(run, folder, generator):
    (folder / "sub").mkdir()
    lines = []
    for file in run.files:
        reference.write_dataset(folder / file.prefix, file.documents, generator.choice(DTYPES))
        lines.append(f"{file.weight!r} {file.prefix}{generator.choice(['', '.bin'])}\t{file.corpus}\n{generator.choice(['', chr(10)])}")
    (folder / "list.txt").write_text("".join(lines))


def command(run, folder, kind, consumed, steps):
    flags = {"--data-file-list": folder / "list.txt", "--data-cache-path": folder / "cache", "--seq-length": run.seq_length,
             "--micro-batch-size": run.micro_batch, "--grad-acc-steps": run.accumulation, "--train-iters": run.train_iters,
             "--eval-interval": run.eval_interval, "--eval-iters": run.eval_iters, "--seed": run.seed, "--world-size": run.world, "--steps": steps,
             "--consumed-samples": consumed}
    switches = [f"--blend-sample-in-corpus={int(run.blend_in_corpus)}", f"--shuffle-sample-in-corpus={int(run.shuffle_in_corpus)}",
                "--split", run.split, "--split", kind]
    return [BOREALIS, "data", "batches", *(str(part) for pair in flags.items() for part in pair), *switches]


def execute(run, folder, kind, consumed, steps):
    environment = {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "2"}
    done = subprocess.run(command(run, folder, kind, consumed, steps), capture_output=True, text=True, cwd=folder, env=environment)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def without_samples(run):
    """Corpora of weight 0 only: the reference fails where its rule draws from them, and we pass over them."""
    return any(all(run.files[n].weight == 0 for n in numbers) for _, numbers in reference.corpora_of(run))


def unopened(run):
    """Files of weight 0 that we do not open, and the reference does."""
    return [n for n, file in enumerate(run.files) if file.weight == 0]


def check_batches(run, folder, kind, consumed, steps):
    expected, failure = reference.expected_batches(run, kind, consumed, steps)
    code, lines, log = execute(run, folder, kind, consumed, steps)
    if failure is None:
        assert code == 0, log
        assert lines == expected
        return "agrees"
    if failure == "the blend draws more of a corpus than it has":
        assert without_samples(run), "only corpora without samples may end the reference"
        return "ends in the reference"
    if failure == "nothing in the split" and (unopened(run) or kind != "train") and code == 0:
        return "ends in the reference"  # in a file that gives no sample
    assert code in (2, 4), f"{failure}: exit {code}: {log}"
    assert lines == expected[:len(lines)]
    return failure


def check_cache(run, folder, kind):
    """Our files, as numpy.load reads them, hold what the re-statement says."""
    cache = folder / "cache"
    checked = 0
    for number, (name, text, arrays) in enumerate(reference.index_files(run, kind)):
        if run.files[number].weight == 0 and not (cache / f"{name}.dsc").exists():
            continue
        assert (cache / f"{name}.dsc").read_text() == text
        for suffix, array in arrays.items():
            ours = np.load(cache / f"{name}{suffix}.npy", mmap_mode="r")
            assert ours.dtype == array.dtype and np.array_equal(ours, array), f"{name}{suffix}"
        checked += 1
    if run.blend_in_corpus or run.shuffle_in_corpus:
        for name, arrays in reference.corpus_files(run, kind):
            for suffix, array in arrays.items():
                if len(array) == 0:
                    continue
                ours = np.load(cache / f"{name}{suffix}.npy")
                assert ours.dtype == array.dtype and np.array_equal(ours, array), f"{name}{suffix}"
    return checked


def fill_cache(run, folder, kind, change=None):
    """What the reference would have left."""
    cache = folder / "cache"
    cache.mkdir()
    for name, text, arrays in reference.index_files(run, kind):
        (cache / f"{name}.dsc").write_text(text)
        for suffix, array in arrays.items():
            np.save(cache / f"{name}{suffix}.npy", change(suffix, array) if change else array)
    for name, arrays in reference.corpus_files(run, kind):
        for suffix, array in arrays.items():
            np.save(cache / f"{name}{suffix}.npy", array)
    return {path.name: path.stat().st_mtime_ns for path in cache.iterdir()}


def random_cases():
    outcomes, case, agreeing = {}, -1, 0
    while agreeing < CASES:  # the others end in an error, which is compared, too
        case += 1
        generator = random.Random(FIRST_CASE + case)
        run = random_run(generator)
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            kind = generator.choice(["train", "valid", "test"] if run.split != "1,0,0" and "0" not in run.split else ["train"])
            if generator.random() < 0.02:
                kind = "test"
            elif generator.random() < 0.9:
                give_documents(run, kind, generator)
            write_list(run, folder, generator)
            available = reference.targets(run)[kind]
            consumed = generator.choice([0, 0, run.global_batch, generator.randrange(available + 3)])
            steps = generator.randrange(1, 12)
            if generator.random() < 0.9:
                steps = max(1, min(steps, (available - consumed) // run.global_batch))
            try:
                before = fill_cache(run, folder, kind) if case % 3 == 0 else None
            except reference.Failure:
                before = None
            try:
                outcome = check_batches(run, folder, kind, consumed, steps)
                if outcome == "agrees":
                    check_cache(run, folder, kind)
                if outcome == "agrees" and before is not None:
                    for file, time in before.items():
                        assert (folder / "cache" / file).stat().st_mtime_ns == time, f"{file} was written again"
                    outcome = "agrees, from the re-statement's cache"
            except AssertionError:
                print(f"FAILED: case {case}: {kind}, consumed {consumed}, steps {steps}: {run}"[:3000])
                raise
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
            agreeing += outcome.startswith("agrees")
    print(f"{case + 1} random cases: {outcomes}")


def fixed_run():
    documents = [[100 * i + j for j in range(7 + 3 * i)] for i in range(20)]
    files = [reference.File(1.0, "x", "web", documents), reference.File(2.0, "y", "code", [[9000 + t for t in d] for d in documents])]
    return reference.Run(files=files, seq_length=8, split="1,0,0", train_iters=40, micro_batch=2)


def reversed_shuffle(suffix, array):
    return array[::-1].copy() if suffix == "_shuffle_idx" else array


def a_cache_is_read():
    """An order that no seed gives: whoever shows it has read it."""
    run = fixed_run()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_list(run, folder, random.Random(1))
        fill_cache(run, folder, "train", reversed_shuffle)
        indices = [reference.file_index(run, number, "train") for number in range(2)]
        for index in indices:
            index.order = index.order[::-1]
        expected = [reference.sample_of(run.files[f], indices[f], n, run.seq_length) for f, n in reference.places(run, "train")]
        code, lines, log = execute(run, folder, "train", 0, 40)
        assert code == 0 and "built" not in log, log
        assert [sample for line in lines for sample in line["tokens"]] == expected[:80]


def overwrite(position, data):
    def damage(path):
        content = bytearray(path.read_bytes())
        content[position:position + len(data)] = data
        path.write_bytes(bytes(content))
    return damage


def resave(change):
    return lambda path: np.save(path, change(np.load(path)))


DAMAGES = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-5]),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"x"),
    "empty": lambda path: path.write_bytes(b""),
    "within the header": lambda path: path.write_bytes(path.read_bytes()[:40]),
    "not .npy": overwrite(0, b"PK\x03\x04"),
    "unknown version": overwrite(6, b"\x09"),
    "header length": overwrite(8, b"\xff\xff"),
    "header text": overwrite(10, b"{{{{"),
    "other type": resave(lambda array: array.astype(np.float64)),
    "other width": resave(lambda array: array.astype(np.int16)),
    "other shape": resave(lambda array: array[:-1]),
    "other dimensions": resave(lambda array: array.reshape(1, -1)),
    "Fortran order": resave(lambda array: np.asfortranarray(np.stack([array] * 2, axis=-1))),
    "a value too large": overwrite(-4, b"\xff\xff\xff\x7f"),
    "a directory": lambda path: (path.unlink(), path.mkdir()),
}


def damaged_files_are_rebuilt():
    run = fixed_run()
    run.files = run.files[:1]
    expected, _ = reference.expected_batches(run, "train", 0, 5)
    cases = 0
    for suffix in ("_doc_idx", "_sample_idx", "_shuffle_idx", "_index", "_sample_index"):
        for damage, spoil in DAMAGES.items():
            with tempfile.TemporaryDirectory() as name:
                folder = pathlib.Path(name)
                write_list(run, folder, random.Random(1))
                assert execute(run, folder, "train", 0, 5)[0] == 0
                for path in list((folder / "cache").glob(f"*{suffix}.npy")):
                    before = path.read_bytes() if path.is_file() else b""
                    if damage == "a value too large" and suffix == "_doc_idx":
                        overwrite(len(before) - 4, b"\xff\xff\xff\x7f")(path)
                    elif damage == "a value too large":
                        overwrite(len(before) - (4 if suffix == "_shuffle_idx" else 8), b"\xff\xff\xff\x7f")(path)
                    else:
                        spoil(path)
                code, lines, log = execute(run, folder, "train", 0, 5)
                if damage == "a directory":
                    assert code == 0 and lines == expected, f"{suffix}: {damage}: {log}"
                    continue
                warnings = [line for line in log.splitlines() if "made again" in line]
                assert code == 0 and lines == expected, f"{suffix}: {damage}: {log}"
                assert len(warnings) == 1, f"{suffix}: {damage}: {log}"
                check_cache(run, folder, "train")
                log = execute(run, folder, "train", 0, 5)[2]
                assert "made again" not in log and "built" not in log, log
                cases += 1
    print(f"{cases} kinds of damage are repaired")


def an_incomplete_set_is_rebuilt():
    run = fixed_run()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_list(run, folder, random.Random(1))
        expected = execute(run, folder, "train", 0, 5)[1]
        for suffix in (".dsc", "_doc_idx.npy", "_sample_idx.npy", "_shuffle_idx.npy"):
            next((folder / "cache").glob(f"*{suffix}")).unlink()
            code, lines, _ = execute(run, folder, "train", 0, 5)
            assert code == 0 and lines == expected
            check_cache(run, folder, "train")


def a_cache_of_other_data_is_rebuilt():
    """The hash does not know the content: documents that changed under the same name must be noticed."""
    run = fixed_run()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_list(run, folder, random.Random(1))
        assert execute(run, folder, "train", 0, 5)[0] == 0
        run.files[0].documents[3], run.files[0].documents[8] = run.files[0].documents[8], run.files[0].documents[3]
        reference.write_dataset(folder / "x", run.files[0].documents, np.int32)
        expected, _ = reference.expected_batches(run, "train", 0, 5)
        code, lines, log = execute(run, folder, "train", 0, 5)
        assert code == 0 and lines == expected and "made again" in log, log


def a_corpus_order_of_another_seed_is_not_used():
    """The reference's name of the corpus order knows neither seed nor flags."""
    run = fixed_run()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_list(run, folder, random.Random(1))
        for seed, blend in ((1, False), (2, False), (2, True), (1, False)):
            run.seed, run.blend_in_corpus = seed, blend
            expected, _ = reference.expected_batches(run, "train", 0, 5)
            code, lines, log = execute(run, folder, "train", 0, 5)
            assert code == 0 and lines == expected, log
            assert "made again" not in log, log


def the_cache_beside_the_data_comes_first():
    run = fixed_run()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_list(run, folder, random.Random(1))
        expected, _ = reference.expected_batches(run, "train", 0, 5)
        fill_cache(run, folder, "train")
        (folder / "cache").rename(folder / "index-cache")
        code, lines, log = execute(run, folder, "train", 0, 5)
        assert code == 0 and lines == expected and "built" not in log, log
        assert not list((folder / "cache").glob("*.dsc"))


def several_builders_at_once():
    run = fixed_run()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_list(run, folder, random.Random(1))
        expected, _ = reference.expected_batches(run, "train", 0, 5)
        environment = {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "2"}
        started = [subprocess.Popen(command(run, folder, "train", 0, 5), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
                   for _ in range(8)]
        outputs = [process.communicate() for process in started]
        for process, (out, log) in zip(started, outputs):
            assert process.returncode == 0 and [json.loads(line) for line in out.splitlines()] == expected, log
        assert sum("built the sample index" in log for _, log in outputs) == 1, "one builds, the others wait and read"
        assert not [path for path in (folder / "cache").iterdir() if "partial" in path.name]
        check_cache(run, folder, "train")


def an_unusable_folder_is_no_obstacle():
    run = fixed_run()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_list(run, folder, random.Random(1))
        expected, _ = reference.expected_batches(run, "train", 0, 5)
        (folder / "cache").write_text("a file in the way")
        code, lines, log = execute(run, folder, "train", 0, 5)
        assert code == 0 and lines == expected and "in memory" in log, log


def a_blend_adds_up():
    """`data blend --json` against the counts of the re-statement."""
    for case in range(30):
        generator = random.Random(1000 + case)
        run = random_run(generator)
        run.split = "1,0,0"
        for file in run.files:
            file.documents.append([1, 2, 3])
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            write_list(run, folder, generator)
            arguments = [argument for argument in command(run, folder, "train", 0, 1)]
            arguments[2] = "blend"
            for flag in ("--steps", "--consumed-samples"):
                at = arguments.index(flag)
                del arguments[at:at + 2]
            done = subprocess.run([*arguments, "--json"], capture_output=True, text=True, cwd=folder, env={"PATH": os.environ["PATH"]})
            assert done.returncode == 0, done.stderr
            train = json.loads(done.stdout)["splits"]["train"]
            asked = reference.counts(run, reference.targets(run)["train"])
            assert train["run_samples"] == reference.targets(run)["train"] and train["samples"] == sum(asked)
            for corpus, (label, numbers) in zip(train["corpora"], reference.corpora_of(run)):
                assert corpus["corpus"] == label and corpus["samples"] == sum(asked[n] for n in numbers)
                assert abs(corpus["share"] - corpus["samples"] / sum(asked)) < 1e-12
            for file in train["files"]:
                number = next(n for n, f in enumerate(run.files) if f.prefix == file["prefix"])
                assert file["samples"] == asked[number] and file["tokens"] == sum(len(d) for d in run.files[number].documents)
                assert file["index_epochs"] == reference.file_index(run, number, "train").epochs
            table = subprocess.run(arguments, capture_output=True, text=True, cwd=folder, env={"PATH": os.environ["PATH"]})
            assert table.returncode == 0 and all(file["prefix"] in table.stdout for file in train["files"]), table.stderr


for test in (random_cases, a_cache_is_read, damaged_files_are_rebuilt, an_incomplete_set_is_rebuilt, a_cache_of_other_data_is_rebuilt,
             a_corpus_order_of_another_seed_is_not_used, the_cache_beside_the_data_comes_first, several_builders_at_once,
             an_unusable_folder_is_no_obstacle, a_blend_adds_up):
    test()
    print(f"passed: {test.__name__}")
