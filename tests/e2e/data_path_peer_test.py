"""Data that is named on the command line, `borealis data batches --data-path`, against the slow re-statement of the reference's
sampling in tests/data/reference_sampling.py: random runs of one prefix with every form of split and exact epochs, and of triples and
pairs; and the other fields of a batch.

Skipped where NumPy is not installed."""

import dataclasses
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

BOREALIS = os.path.abspath(os.environ["BOREALIS"])
SOURCE = pathlib.Path(os.environ["BOREALIS_SOURCE_DIR"])
sys.path.insert(0, str(SOURCE / "tests/data"))
import reference_sampling as reference  # noqa: E402

CASES = int(os.environ.get("SAMPLING_CASES", "100"))
SPLITS = ["8,2,1", "0.9,0.1,0", "98,2", "7/2/1", "1", "0.5/0.25", "990,10,0", "6, 3.5 ,1", "969, 30, 1"]


def one_prefix_run(generator):
    documents = []
    for _ in range(generator.choice([1, 2, 3, 30, 60])):
        length = 0 if generator.random() < 0.1 else generator.randrange(1, generator.choice([4, 40]))
        documents.append([generator.randrange(60000) for _ in range(length)])
    run = reference.Run(files=[reference.File(1.0, generator.choice(["data", "./data", "sub/data"]), "", documents)], one_prefix=True,
                        seq_length=generator.randrange(2, 24), split=generator.choice(SPLITS), seed=generator.randrange(2**31),
                        train_iters=generator.randrange(1, 60), eval_interval=generator.randrange(1, 30), eval_iters=generator.randrange(1, 6),
                        micro_batch=generator.randrange(1, 4), accumulation=generator.randrange(1, 4), world=generator.randrange(1, 5),
                        blend_in_corpus=generator.random() < 0.5, shuffle_in_corpus=generator.random() < 0.7)
    if generator.random() < 0.3:
        try:  # mostly the epochs that the samples need
            run.exact_epochs = reference.file_index(run, 0, "train").epochs + generator.choice([0, 0, 0, 1, -1])
        except reference.Failure:
            pass
        if run.exact_epochs is not None and run.exact_epochs < 1:
            run.exact_epochs = 1
    return run


def execute(run, folder, kind, consumed, steps, data, *more):
    arguments = [BOREALIS, "data", "batches", *data, "--data-cache-path", folder / "cache", "--seq-length", run.seq_length, "--micro-batch-size",
                 run.micro_batch, "--grad-acc-steps", run.accumulation, "--train-iters", run.train_iters, "--eval-interval", run.eval_interval,
                 "--eval-iters", run.eval_iters, "--seed", run.seed, "--world-size", run.world, "--steps", steps, "--consumed-samples", consumed,
                 f"--blend-sample-in-corpus={int(run.blend_in_corpus)}", f"--shuffle-sample-in-corpus={int(run.shuffle_in_corpus)}", "--split", run.split,
                 "--split", kind, *more]
    if run.exact_epochs is not None:
        arguments += ["--train-data-exact-num-epochs", run.exact_epochs]
    done = subprocess.run([str(argument) for argument in arguments], capture_output=True, text=True, cwd=folder,
                          env={"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "2"})
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def check_cache(run, folder, kind):
    """The four files of the index have the names and the content of the reference's."""
    (name, text, arrays), = reference.index_files(run, kind)
    assert (folder / f"cache/{name}.dsc").read_text() == text
    for suffix, array in arrays.items():
        ours = np.load(folder / f"cache/{name}{suffix}.npy")
        assert ours.dtype == array.dtype and np.array_equal(ours, array), suffix
    assert not list((folder / "cache").glob("*_index.npy")), "one prefix has no order of a corpus"


def one_prefix():
    outcomes, rows, case = {}, 0, -1
    while outcomes.get("agrees", 0) < CASES:
        case += 1
        generator = random.Random(case)
        run = one_prefix_run(generator)
        shares = reference.split_shares(run)
        kind = generator.choice([name for name, share in zip(reference.KINDS, shares) if share > 0])
        available = reference.targets(run)[kind]
        consumed = generator.choice([0, 0, run.global_batch, generator.randrange(available + 3)])
        steps = max(1, min(generator.randrange(1, 60), (available - consumed) // run.global_batch))
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            (folder / "sub").mkdir()
            reference.write_dataset(folder / run.files[0].prefix, run.files[0].documents, generator.choice([np.uint16, np.int32, np.int64]))
            expected, failure = reference.expected_batches(run, kind, consumed, steps)
            code, lines, log = execute(run, folder, kind, consumed, steps, ["--data-path", run.files[0].prefix])
            try:
                if failure is None:
                    assert code == 0, log
                    assert lines == expected
                    check_cache(run, folder, kind)
                    rows += sum(len(line["tokens"]) for line in lines)
                else:
                    assert code in (2, 4), f"{failure}: exit {code}: {log}"
                    assert log.count("borealis: ") == 1 and lines == expected[:len(lines)]
            except (AssertionError, OSError):
                print(f"FAILED: case {case}: {kind}, consumed {consumed}, steps {steps}, {failure}: {dataclasses.replace(run, files=[])}")
                raise
        outcomes[failure or "agrees"] = outcomes.get(failure or "agrees", 0) + 1
    print(f"{case + 1} random cases of one prefix, {rows} rows: {outcomes}")


def several_prefixes():
    """Triples are a list; pairs are a list whose labels are the prefixes."""
    exact = 0
    for case in range(20):
        generator = random.Random(case)
        pairs = case % 2 == 0
        files = []
        for number in range(generator.choice([2, 3, 6])):
            documents = [[generator.randrange(60000) for _ in range(generator.randrange(1, 30))] for _ in range(20)]
            prefix = f"file{number}"
            files.append(reference.File(generator.choice([1.0, 0.25, 3.0]), prefix, prefix if pairs else generator.choice("abc"), documents))
        run = reference.Run(files=files, seq_length=8, split="8,2,1", seed=case, train_iters=30, micro_batch=2)
        needed = {reference.file_index(run, number, "train").epochs for number in range(len(files))}
        if len(needed) == 1:  # stated, they change nothing
            run.exact_epochs, = needed
            exact += 1
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            words = []
            for file in files:
                reference.write_dataset(folder / file.prefix, file.documents, np.uint16)
                words += [repr(file.weight), file.prefix] + ([] if pairs else [file.corpus])
            expected, failure = reference.expected_batches(run, "train", 0, 30)
            assert failure is None
            code, lines, log = execute(run, folder, "train", 0, 30, ["--data-path", *words])
            assert code == 0 and lines == expected, log
            # The variable says the same, and a list beside it is one too many.
            environment = {"PATH": os.environ["PATH"], "DATA_PATH": " ".join(words)}
            command = [BOREALIS, "data", "blend", "--json", "--seq-length", "8", "--train-iters", "30"]
            blend = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)
            assert blend.returncode == 0 and len(json.loads(blend.stdout)["splits"]["train"]["files"]) == len(files), blend.stderr
            both = subprocess.run(command, capture_output=True, text=True, cwd=folder, env={**environment, "DATA_FILE_LIST": "x.txt"})
            assert both.returncode == 2 and "both name the data" in both.stderr, both.stderr
    assert exact > 0


def fields_of_a_batch():
    """Stated slowly: what follows an end token has no loss, and there positions and documents start again."""
    end = 7
    generator = random.Random(5)
    documents = [[generator.choice([end, 1, 2, 3, 4]) for _ in range(generator.randrange(1, 30))] for _ in range(40)]
    run = reference.Run(files=[reference.File(1.0, "data", "", documents)], one_prefix=True, seq_length=12, split="1", train_iters=20, micro_batch=2)
    names = ["document_starts", "tokens", "position_ids", "loss_mask"]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        reference.write_dataset(folder / "data", documents, np.uint16)
        expected, _ = reference.expected_batches(run, "train", 0, 20)
        switches = ["--eod-mask-loss", "--reset-position-ids", "--reset-attention-mask", "--eod-token-id", end]
        code, lines, log = execute(run, folder, "train", 0, 20, ["--data-path", "data"], "--fields", ",".join(names), *switches)
        assert code == 0 and [line["tokens"] for line in lines] == [line["tokens"] for line in expected], log
        for line in lines:
            assert list(line) == ["split", "step", "rank", *names]
            for row, sample in enumerate(line["tokens"]):
                start = 0
                for t, token in enumerate(sample[:-1]):
                    assert line["document_starts"][row][t] == start and line["position_ids"][row][t] == t - start
                    assert line["loss_mask"][row][t] == int(token != end)
                    start = t + 1 if token == end else start
                assert len(line["loss_mask"][row]) == len(line["position_ids"][row]) == len(line["document_starts"][row]) == 12
        code, lines, log = execute(run, folder, "train", 0, 1, ["--data-path", "data"], "--fields", "loss_mask,position_ids,document_starts")
        assert code == 0 and lines[0]["loss_mask"][0] == [1] * 12 and lines[0]["position_ids"][0] == list(range(12)), log
        assert lines[0]["document_starts"][1] == [0] * 12 and "tokens" not in lines[0]
        for wrong in ("token", "tokens,tokens"):
            code, _, log = execute(run, folder, "train", 0, 1, ["--data-path", "data"], "--fields", wrong)
            assert code == 1 and "--fields" in log and "loss_mask" in log, log


for test in (one_prefix, several_prefixes, fields_of_a_batch):
    test()
    print(f"passed: {test.__name__}")
