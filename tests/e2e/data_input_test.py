"""What `borealis data tokenize` makes of text that is not as it should be: bad records, units of plain text, and a folder of an
unfinished run that was damaged meanwhile. Expected texts are stated here; ids come from a tokenizer of bytes alone."""

import gzip
import json
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import tempfile
import time

BOREALIS = os.path.abspath(os.environ["BOREALIS"])
USAGE, CONFIG, FILE, DATA = 1, 2, 3, 4


def run(*arguments, code=0, env=None, folder=None):
    result = subprocess.run([BOREALIS, *map(str, arguments)], capture_output=True, text=True, timeout=300, cwd=folder,
                            env={"PATH": os.environ["PATH"], "HOME": str(folder or "/tmp"), **(env or {})})
    assert result.returncode == code, f"{arguments}: exit code {result.returncode}, not {code}\n{result.stdout[-2000:]}\n{result.stderr[-2000:]}"
    return result


def documents_of(prefix):
    """Token ids of every document, read by the description of the format alone."""
    index = pathlib.Path(f"{prefix}.idx").read_bytes()
    _, _, code, sequences, _ = struct.unpack_from("<9sQBQQ", index)
    lengths = struct.unpack_from(f"<{sequences}i", index, 34)
    offsets = struct.unpack_from(f"<{sequences}q", index, 34 + 4 * sequences)
    data = pathlib.Path(f"{prefix}.bin").read_bytes()
    assert code == 8
    return [list(struct.unpack_from(f"<{n}H", data, o)) for n, o in zip(lengths, offsets)]


class Inputs:
    def __init__(self, folder):
        self.folder = folder
        (folder / "seed.txt").write_text("a")
        # 256 bytes and the end of a text: every id is a byte.
        run("tokenizer", "train", "--input", folder / "seed.txt", "--vocab-size", 257, "--output", folder / "bytes")
        vocabulary = json.loads((folder / "bytes/tokenizer.json").read_text())["model"]["vocab"]
        printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
        letters = {chr(b): b for b in printable} | {chr(256 + i): b for i, b in enumerate(b for b in range(256) if b not in printable)}
        self.bytes = {number: letters[piece] for piece, number in vocabulary.items() if piece in letters}

    def tokenize(self, name, data, output, *options, code=0):
        path = self.folder / name
        path.write_bytes(data)
        return run("data", "tokenize", "--input", path, "--tokenizer", self.folder / "bytes", "--output-prefix", self.folder / output, *options, code=code)

    def texts(self, output):
        return [bytes(self.bytes[i] for i in ids[:-1]).decode() for ids in documents_of(self.folder / output)]

    LINES = [(b'{"text": "one"}', "one"), (json.dumps({"text": "x\ud83dy"}).encode(), "x\ufffdy"),
             (json.dumps({"text": "two", "score": float("nan"), "more": [float("inf"), -float("inf")]}).encode(), "two"),
             (b'{"text": "caf\xe9"}', "caf\ufffd"), (b'{"body": "no text"}', None), (b"not JSON", None), (b'{"text": 3}', None),
             (json.dumps({"text": "\U0001f600 \ud83d\ude00"}).encode(), "\U0001f600 \U0001f600"), (b'{"text": "end"}', "end")]
    SOUND = ["one", "\U0001f600 \U0001f600", "end"]

    def test_bad_records(self):
        data = b"\n".join(line for line, _ in self.LINES)
        message = self.tokenize("in.jsonl", data, "bad", code=DATA).stderr
        assert "in.jsonl:2: not JSON" in message and "--on-bad-record skip" in message and "--on-bad-record repair" in message, message
        assert message.count("\n") == 1 and not list(self.folder.glob("bad.*")), message
        result = self.tokenize("in.jsonl", data, "skipped", "--on-bad-record", "skip")
        assert self.texts("skipped") == self.SOUND
        for number in (2, 3, 4, 5, 6):
            assert f"in.jsonl:{number}: " in result.stdout, result.stdout
        assert "in.jsonl:7:" not in result.stdout and "6 bad records: 6 left out, 0 repaired; 1 not UTF-8" in result.stdout, result.stdout
        for name, content in (("in.jsonl", data), ("in.jsonl.gz", gzip.compress(data))):
            summary = json.loads(self.tokenize(name, content, "repaired-" + name, "--on-bad-record", "repair", "--json").stdout)
            assert self.texts("repaired-" + name) == [text for _, text in self.LINES if text is not None]
            assert (summary["skipped_records"], summary["repaired_records"], summary["invalid_utf8_records"]) == (3, 3, 1), summary
        # All of them bad: the run says so and writes nothing.
        assert "no documents with text" in self.tokenize("none.jsonl", b"x\ny\n", "none", "--on-bad-record", "skip", code=DATA).stderr

    def test_text_that_is_not_utf8(self):
        data = b"good\nb\xffd\n\nlast\n"
        message = self.tokenize("in.txt", data, "latin", code=DATA).stderr
        assert "in.txt:2: the byte 0xff is not UTF-8" in message and "iconv" in message and "--on-bad-record" in message, message
        self.tokenize("in.txt", data, "latin-lines", "--on-bad-record", "skip", "--document-per", "line")
        assert self.texts("latin-lines") == ["good", "last"]
        result = self.tokenize("in.txt", data, "latin-mended", "--on-bad-record", "repair")
        assert self.texts("latin-mended") == ["good\nb\ufffdd\n\nlast\n"] and "1 bad record: 0 left out, 1 repaired" in result.stdout
        # The same rules where a tokenizer is trained.
        run("tokenizer", "train", "--input", self.folder / "in.txt", "--vocab-size", 257, "--output", self.folder / "t", code=DATA)
        trained = run("tokenizer", "train", "--input", self.folder / "in.txt", "--vocab-size", 257, "--output", self.folder / "t", "--on-bad-record", "skip",
                      "--document-per", "line")
        assert "1 bad record: 1 left out" in trained.stdout, trained.stdout

    def test_document_per(self):
        text = "Title\n\nFirst line\nsecond line\n \t\n\n  indented\r\n\r\nlast"
        expected = {"file": [text], "line": ["Title", "First line", "second line", "  indented", "last"],
                    "paragraph": ["Title", "First line\nsecond line", "  indented", "last"]}
        for unit, texts in expected.items():
            for name, data in (("units.txt", text.encode()), ("units.txt.gz", gzip.compress(text.encode()))):
                self.tokenize(name, data, f"unit-{unit}-{name}", "--document-per", unit)
                assert self.texts(f"unit-{unit}-{name}") == texts, (unit, name)

    def train(self, name, *options, code=0):
        return run("train", "--data-path", self.folder / name, "--tokenizer-model", self.folder / "bytes", "--num-layers", 1, "--hidden-size", 32,
                   "--num-attention-heads", 2, "--num-key-value-heads", 1, "--ffn-hidden-size", 48, "--seq-length", 16, "--micro-batch-size", 1,
                   "--eval-interval", 2, "--eval-iters", 1, "--no-progress", "--run-dir", self.folder / f"{name}-run", "--save", self.folder / f"{name}-model",
                   *options, code=code, folder=self.folder)

    def test_own_text_ends_in_a_model(self):
        """One text file, as one document and as three: there is nothing to validate on, and that is no obstacle."""
        text = b"The first paragraph.\n\nAnd the second one.\n\nThe last.\n"
        for unit in ("file", "paragraph"):
            self.tokenize("book.txt", text, f"own-{unit}", "--document-per", unit)
            output = self.train(f"own-{unit}", "--train-iters", 4, "--split", "969,30,1").stdout
            assert "leaves no document for the validation" in output and "leaves no document for the test" in output, output
            assert list((self.folder / f"own-{unit}-model").rglob("model.safetensors")), unit
            # For longer: the state knows what there is no data of.
            output = self.train(f"own-{unit}", "--train-iters", 9, "--split", "969,30,1").stdout
            assert "iteration=       5/" in output and "iteration=       4/" not in output, output
        # Many documents are validated on, by shares of any form.
        self.tokenize("lines.txt", b"a line of text\n" * 100, "lines", "--document-per", "line")
        output = self.train("lines", "--train-iters", 2, "--split", "0.9,0.1").stdout
        assert "validation loss at iteration 2" in output and "90 documents" in output, output
        message = self.train("lines", "--train-iters", 2, "--split", "0.001,0.999", "--no-load", "--no-save", code=DATA).stderr
        assert "leaves no document for training" in message, message
        message = self.train("lines", "--train-iters", 2, "--train-data-exact-num-epochs", 3, "--no-load", "--no-save", code=CONFIG).stderr
        assert "--train-data-exact-num-epochs 3" in message and "give 1" in message, message

    def test_plan_reads_no_data(self):
        """A data list whose files are not there, one with a damaged file, and none at all: the plan stands, and says what it took."""
        (self.folder / "absent.txt").write_text("1 nowhere/data web\n")
        (self.folder / "broken.idx").write_bytes(b"no index")
        (self.folder / "broken.bin").write_bytes(b"")
        sizes = {"MODEL_ARCH": "llama3-3B", "NLAYERS": "4", "TRAIN_ITERS": "1000", "SEQ": "8192", "DATA_CACHE_PATH": "cache"}
        plan = lambda **data: json.loads(run("plan", "--json", env={**sizes, **data}, folder=self.folder).stdout)
        index = lambda document: sum(c["bytes"] for c in document["memory"]["classes"] if "sample index" in c["name"])
        for data in ({"DATA_FILE_LIST": "absent.txt"}, {"DATA_PATH": str(self.folder / "broken")}, {"DATA_PATH": "nowhere/data"}, {}):
            document = plan(**data)
            assert [note for note in document["notes"] if "its sample index is arithmetic" in note], document["notes"]
            # Working memory of an index in files: both orders and the corpus order, 12 bytes a sample, are the least.
            assert index(document) >= 12 * 1000 - 4 * 1000 * ("DATA_PATH" in data), index(document)
        text = run("plan", env={**sizes, "DATA_PATH": "nowhere/data"}, folder=self.folder).stdout
        assert "note: the data is not at hand" in text and "nowhere/data.idx does not exist" in text and "It " in text, text
        # With the data there it is looked at, and no such note is needed.
        self.tokenize("plan.txt", b"a line of text\n" * 100, "plan", "--document-per", "line")
        assert not [note for note in plan(DATA_PATH=str(self.folder / "plan"))["notes"] if "arithmetic" in note]

    def test_folders_are_called_folders(self):
        (self.folder / "lists").mkdir()
        message = run("train", "--data-file-list", self.folder / "lists", "--vocab-size", 300, code=CONFIG, folder=self.folder).stderr
        assert "lists is a folder; name a file whose lines read `weight prefix corpus`" in message, message
        message = run("data", "batches", "--data-path", self.folder / "lists", code=FILE, folder=self.folder).stderr
        assert "lists is a folder, and" in message and "name the prefix" in message, message
        message = run("data", "tokenize", "--input", self.folder / "lists", "--tokenizer", self.folder / "bytes", "--output-prefix", self.folder / "x",
                      code=FILE).stderr
        assert "Is a directory; name a file, not a folder" in message, message

    def test_unreadable_input_is_not_a_matter_of_writing(self):
        if os.geteuid() == 0:
            return print("skipped: nothing is unreadable to root")
        path = self.folder / "secret.txt"
        path.write_text("a")
        path.chmod(0)
        message = run("data", "tokenize", "--input", path, "--tokenizer", self.folder / "bytes", "--output-prefix", self.folder / "x", code=FILE).stderr
        assert "name one that this user may read" in message and "write" not in message, message

    def test_counts_survive_a_stop(self):
        data = b"".join(b'{"text": "%d of some text and more of it"}\n' % i + (b"bad\n" if i % 100 == 0 else b"") for i in range(60000))
        self.tokenize("large.jsonl", data, "whole", "--on-bad-record", "skip", "--shard-tokens", 300000)
        arguments = ["data", "tokenize", "--input", self.folder / "large.jsonl", "--tokenizer", self.folder / "bytes", "--output-prefix",
                     self.folder / "stopped", "--on-bad-record", "skip", "--shard-tokens", 300000, "--checkpoint-interval", 0, "--json"]
        stops = 0
        while True:
            process = subprocess.Popen([BOREALIS, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            time.sleep(0.05 * (1 + stops))
            process.send_signal(signal.SIGKILL if stops % 2 else signal.SIGINT)
            output, _ = process.communicate(timeout=60)
            if process.returncode == 0:
                break
            stops += 1
            if not (self.folder / "stopped.tokenizing" / "progress.json").exists() and (self.folder / "stopped.list").exists():
                for path in self.folder.glob("stopped*"):  # killed behind its last step: it has told nothing
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
        assert json.loads(output)["skipped_records"] == 600, output
        assert self.texts("stopped-00000") == self.texts("whole-00000")
        print(f"stopped {stops} times")


def main():
    with tempfile.TemporaryDirectory() as name:
        inputs = Inputs(pathlib.Path(name).resolve())
        tests = [test for test in vars(Inputs) if test.startswith("test_")]
        for test in tests:
            getattr(inputs, test)()
            print(f"ok: {test}", flush=True)


main()
