"""`borealis data` as a user drives it. What it writes is read here by Python alone, with struct and array."""

import array
import gzip
import hashlib
import json
import os
import pathlib
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

BOREALIS = os.path.abspath(os.environ["BOREALIS"])
USAGE, CONFIG, FILE, DATA = 1, 2, 3, 4
SYLLABLES = ("ka", "lo", "mi", "ne", "the", "un", "ra", "s", "ted", "ning", "é", "東")
WORDS = [a + b + c for a in SYLLABLES for b in SYLLABLES for c in ("", "s", "er", "ly")]
SUFFIXES = (".bin", ".idx", ".meta.json")


def run(*arguments, code=0, limit_bytes=None, env=None, folder=None):
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

    result = subprocess.run([BOREALIS, *map(str, arguments)], capture_output=True, text=True, timeout=300, cwd=folder,
                            preexec_fn=limit if limit_bytes else None,
                            env={"PATH": os.environ["PATH"], "HOME": str(folder or "/tmp"), **(env or {})})
    assert result.returncode == code, f"{arguments}: exit code {result.returncode}, not {code}\n{result.stdout[-2000:]}\n{result.stderr[-2000:]}"
    return result


def run_json(*arguments, code=0):
    return json.loads(run(*arguments, "--json", code=code).stdout)


class Pair:
    """A .bin/.idx pair by the description of its format, every field checked."""

    def __init__(self, prefix):
        index = pathlib.Path(f"{prefix}.idx").read_bytes()
        magic, version, code, sequences, entries = struct.unpack_from("<9sQBQQ", index)
        assert magic == b"MMIDIDX\0\0" and version == 1 and code in (4, 8), (prefix, magic, version, code)
        assert len(index) == 34 + 12 * sequences + 8 * entries, prefix
        self.lengths = struct.unpack_from(f"<{sequences}i", index, 34)
        self.offsets = struct.unpack_from(f"<{sequences}q", index, 34 + 4 * sequences)
        self.documents = struct.unpack_from(f"<{entries}q", index, 34 + 12 * sequences)
        tokens = array.array("H" if code == 8 else "i", pathlib.Path(f"{prefix}.bin").read_bytes())
        assert sum(self.lengths) == len(tokens), prefix
        end = 0
        for length, offset in zip(self.lengths, self.offsets):
            assert offset == end * tokens.itemsize, prefix
            end += length
        assert self.documents == tuple(range(sequences + 1)), prefix
        self.tokens = tokens
        self.texts = [tokens[o // tokens.itemsize:o // tokens.itemsize + n].tolist() for n, o in zip(self.lengths, self.offsets)]
        self.record = json.loads(pathlib.Path(f"{prefix}.meta.json").read_text())


class Decoder:
    """Ids to text by a byte-level tokenizer.json."""

    def __init__(self, path):
        file = json.loads(path.read_text())
        self.pieces = {number: piece for piece, number in file["model"]["vocab"].items()}
        printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
        self.bytes = {chr(b): b for b in printable}
        self.bytes |= {chr(256 + i): b for i, b in enumerate(b for b in range(256) if b not in printable)}

    def text(self, ids):
        return bytes(self.bytes[c] for i in ids for c in self.pieces[i]).decode()


def make_texts(seed, count):
    generator = random.Random(seed)
    return ["" if generator.random() < 0.02 else " ".join(generator.choices(WORDS, k=generator.randrange(1, 150))) for _ in range(count)]


def json_lines(texts, key="text"):
    return "".join(json.dumps({"id": i, key: text}, ensure_ascii=i % 2 == 0) + "\n" for i, text in enumerate(texts))


def content(prefix):
    return [pathlib.Path(f"{prefix}{suffix}").read_bytes() for suffix in SUFFIXES[:2]]


class Tools:
    def __init__(self, folder):
        self.folder = folder
        self.texts = make_texts(1, 12000)
        self.lines = json_lines(self.texts)
        self.input = folder / "in.jsonl"
        self.input.write_text(self.lines)
        self.tokenizer = folder / "tok"
        run("tokenizer", "train", "--input", self.input, "--vocab-size", 600, "--output", self.tokenizer)
        self.tokenize(self.input, "whole")
        self.whole = Pair(folder / "whole")

    def arguments(self, inputs, name, *options):
        inputs = inputs if isinstance(inputs, list) else [inputs]
        return ["data", "tokenize", "--input", *inputs, "--tokenizer", self.tokenizer, "--output-prefix", self.folder / name, *options]

    def tokenize(self, inputs, name, *options, **how):
        return run(*self.arguments(inputs, name, "--overwrite", *options), **how)

    def write(self, name, data):
        path = self.folder / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    def zstd(self, name, data, *options):
        packed = subprocess.run(["zstd", "-q", "-c", *options], input=data.encode(), capture_output=True, check=True).stdout
        return self.write(name, packed)

    # What follows are the tests, in order.

    def test_documents_come_back(self):
        decoder = Decoder(self.tokenizer / "tokenizer.json")
        end = self.whole.record["tokenizer"]["end_token"]
        expected = [text for text in self.texts if text]
        assert len(self.whole.texts) == len(expected)
        for ids, text in zip(self.whole.texts, expected):
            assert ids[-1] == end and end not in ids[:-1]
            assert decoder.text(ids[:-1]) == text
        self.tokenize(self.input, "endless", "--no-append-eod")
        endless = Pair(self.folder / "endless")
        assert [ids[:-1] for ids in self.whole.texts] == endless.texts and endless.record["end_token_appended"] is False

    def test_record_names_tokenizer_and_sources(self):
        record = self.whole.record
        assert record["tokenizer"]["sha256"] == hashlib.sha256((self.tokenizer / "tokenizer.json").read_bytes()).hexdigest()
        assert record["tokenizer"]["vocab_size"] == 600 and record["dtype"] == "u16"
        assert record["documents"] == len(self.whole.texts) and record["tokens"] == len(self.whole.tokens)
        source, = record["sources"]
        status = self.input.stat()
        assert source == {"path": str(self.input), "file_bytes": status.st_size, "modified_ns": status.st_mtime_ns, "from_byte": 0, "to_byte": None}

    def test_threads_do_not_change_the_files(self):
        for threads in (1, 2, 3, 7):
            self.tokenize(self.input, "threads", "--threads", threads)
            assert content(self.folder / "threads") == content(self.folder / "whole"), threads

    def test_compressed_inputs_equal_plain_ones(self):
        half = self.lines.index("\n", len(self.lines) // 2) + 1
        cut = half // 2 + 3  # in the middle of a line
        packed = {"a.jsonl.gz": gzip.compress(self.lines.encode()),
                  "members.jsonl.gz": gzip.compress(self.lines[:cut].encode()) + gzip.compress(b"") + gzip.compress(self.lines[cut:].encode()) + b"\0" * 512}
        inputs = [self.write(name, data) for name, data in packed.items()]
        if shutil.which("zstd"):
            inputs.append(self.zstd("a.jsonl.zst", self.lines))
            inputs.append(self.zstd("long.jsonl.zst", self.lines, "--long=27", "--no-content-size"))
            frames = [self.zstd(f"frame{i}", part).read_bytes() for i, part in enumerate((self.lines[:cut], self.lines[cut:]))]
            inputs.append(self.write("frames.ndjson.zst", b"\x50\x2a\x4d\x18\x04\0\0\0skip" + b"".join(frames)))
        else:
            print("skipped: zst inputs (no zstd program)")
        for path in inputs:
            self.tokenize(path, "packed")
            assert content(self.folder / "packed") == content(self.folder / "whole"), path
        # Several files one after the other, plain and packed.
        parts = [self.write("part1.jsonl", self.lines[:half]), self.write("part2.jsonl.gz", gzip.compress(self.lines[half:].encode()))]
        self.tokenize(parts, "packed")
        assert content(self.folder / "packed") == content(self.folder / "whole")

    def test_patterns_and_formats(self):
        (self.folder / "text").mkdir()
        for name, text in (("b.txt", "bbb"), ("a.txt", "aaa"), ("c.txt.gz", None), ("d.md", "no")):
            path = self.folder / "text" / name
            path.write_bytes(gzip.compress(b"ccc") if text is None else text.encode())
        decoder = Decoder(self.tokenizer / "tokenizer.json")
        texts = lambda name: [decoder.text(ids[:-1]) for ids in Pair(self.folder / name).texts]
        self.tokenize(self.folder / "text/*.txt*", "text")
        assert texts("text") == ["aaa", "bbb", "ccc"]
        body = self.write("body.txt", json_lines(["one", "two"], "body"))
        self.tokenize(body, "body", "--format", "jsonl", "--json-key", "body")
        assert texts("body") == ["one", "two"]
        self.tokenize(body, "body", "--format", "text")
        assert len(texts("body")) == 1
        assert "no file matches the pattern" in self.tokenize(self.folder / "text/*.zip", "none", code=FILE).stderr

    def test_shards_and_merge(self):
        result = run_json(*self.arguments(self.input, "shard", "--shard-tokens", 100000, "--corpus", "books"))
        assert result["pairs"] == [str(self.folder / f"shard-{i:05}") for i in range(len(result["pairs"]))] and len(result["pairs"]) > 4
        shards = [Pair(prefix) for prefix in result["pairs"]]
        assert all(len(shard.tokens) <= 100000 for shard in shards) and all(len(shard.tokens) > 99000 for shard in shards[:-1])
        assert [ids for shard in shards for ids in shard.texts] == self.whole.texts
        lines = [line.split() for line in pathlib.Path(result["data_list"]).read_text().splitlines()]
        assert lines == [[str(len(shard.tokens)), f"shard-{i:05}", "books"] for i, shard in enumerate(shards)]
        run("data", "merge", self.folder / "shard-*.idx", "--output-prefix", self.folder / "merged")
        assert content(self.folder / "merged") == content(self.folder / "whole")
        assert Pair(self.folder / "merged").record == self.whole.record
        self.shards = result["pairs"]

    def test_kill_and_restart(self):
        self.large = self.write("large.jsonl", self.lines * 12)
        for options in ([], ["--shard-tokens", "150000"]):
            expected = {}
            started = time.monotonic()
            self.tokenize(self.large, "killed", *options)
            usual_s = time.monotonic() - started
            for path in self.folder.glob("killed*"):
                expected[path.name] = path.read_bytes()
                path.unlink()
            generator = random.Random(len(options))
            command = [BOREALIS, *map(str, self.arguments(self.large, "killed", *options, "--checkpoint-interval", "0"))]
            kills = 0
            while True:
                process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
                try:
                    process.wait(generator.uniform(0.1, 0.6 if kills else 0.2) * usual_s * (1 + kills / 20))
                    assert process.returncode == 0, process.stdout.read()
                    break
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                    kills += 1
                    # Between its last rename and its end; started again it would find what is there.
                    journal = self.folder / "killed.tokenizing"
                    if {path.name for path in self.folder.glob("killed*") if path != journal} == set(expected) and not (journal / "progress.json").exists():
                        shutil.rmtree(journal, ignore_errors=True)
                        break
                for pair in self.folder.glob("killed*.idx"):
                    Pair(str(pair)[:-4])  # what has a final name is whole
            found = {path.name: path.read_bytes() for path in self.folder.glob("killed*")}
            assert found == expected, (kills, sorted(found), sorted(expected))
            assert kills > 0
            print(f"killed {kills} times: the same bytes")
            for path in self.folder.glob("killed*"):
                path.unlink()

    def start_and_signal(self, name, *options):
        """A run that is stopped by SIGINT after its first checkpoint; False if it was faster."""
        arguments = self.arguments(self.large, name, *options, "--checkpoint-interval", "0")
        process = subprocess.Popen([BOREALIS, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        while process.poll() is None and not (self.folder / f"{name}.tokenizing/progress.json").exists():
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
        return process.returncode, output

    def test_signal_says_how_to_go_on(self):
        self.tokenize(self.large, "large")
        code, output = self.start_and_signal("stopped")
        assert code == 130 and "stopped by SIGINT" in output and "stopped.tokenizing: the same command goes on" in output, (code, output)
        assert not (self.folder / "stopped.bin").exists()
        # Another request is refused by what differs, and --start-over does it.
        message = self.tokenize(self.large, "stopped", "--no-append-eod", code=CONFIG).stderr
        assert "append_eod was true, now it is false" in message and "--start-over" in message, message
        message = self.tokenize([self.large, self.input], "stopped", code=CONFIG).stderr
        assert "there were 1 input files, now there are 2" in message, message
        result = run_json(*self.arguments(self.large, "stopped"))
        assert 0 < result["earlier_bytes"] < result["bytes"] == self.large.stat().st_size
        assert content(self.folder / "stopped") == content(self.folder / "large")
        assert not (self.folder / "stopped.tokenizing").exists()
        code, _ = self.start_and_signal("stopped2")
        os.utime(self.large, ns=(1, 1))
        assert "large.jsonl has changed" in self.tokenize(self.large, "stopped2", code=CONFIG).stderr
        self.tokenize(self.large, "stopped2", "--start-over")
        assert content(self.folder / "stopped2") == content(self.folder / "large")

    def test_full_disk_leaves_nothing_half_written(self):
        size = (self.folder / "whole.bin").stat().st_size
        for limit in (1000, size // 2, size - 1):
            message = self.tokenize(self.input, "full", limit_bytes=limit, code=FILE).stderr
            assert "File too large" in message, message
            assert not list(self.folder.glob("full.*i*")), list(self.folder.glob("full*"))
        shutil.rmtree(self.folder / "full.tokenizing", ignore_errors=True)
        run("data", "merge", self.folder / "whole", self.folder / "whole", "--output-prefix", self.folder / "full", limit_bytes=size, code=FILE)
        assert not list(self.folder.glob("full*")), list(self.folder.glob("full*"))
        # An earlier good pair survives, and the run goes on once there is room.
        self.tokenize(self.input, "full")
        self.tokenize(self.input, "full", "--shard-tokens", 60000, "--checkpoint-interval", "0", limit_bytes=100000, code=FILE)
        assert content(self.folder / "full") == content(self.folder / "whole")
        disk = self.folder / "disk"
        disk.mkdir()
        if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size // 2}", "tmpfs", disk], capture_output=True).returncode:
            print("skipped: a full tmpfs (no permission to mount)")
            return
        try:
            message = self.tokenize(self.input, "disk/out", "--checkpoint-interval", "0", code=FILE).stderr
            assert "No space left" in message, message
            assert [path.name for path in disk.iterdir()] == ["out.tokenizing"]
            subprocess.run(["mount", "-o", f"remount,size={8 * size}", disk], check=True)
            result = run_json(*self.arguments(self.input, "disk/out", "--checkpoint-interval", "0"))
            assert result["earlier_bytes"] > 0 and content(disk / "out") == content(self.folder / "whole")
        finally:
            subprocess.run(["umount", disk], check=False)

    def test_damaged_inputs_are_named(self):
        packed = gzip.compress(self.lines.encode())
        cut = self.write("cut.jsonl.gz", packed[:len(packed) // 2])
        assert "cut.jsonl.gz is truncated" in self.tokenize(cut, "bad", code=DATA).stderr
        flipped = bytearray(packed)
        flipped[len(packed) // 2] ^= 0x55
        assert "flipped.jsonl.gz" in self.tokenize(self.write("flipped.jsonl.gz", bytes(flipped)), "bad", code=DATA).stderr
        no_gzip = self.write("plain.jsonl.gz", self.lines)
        assert "does not start as a gzip file" in self.tokenize(no_gzip, "bad", code=DATA).stderr
        bad_line = self.write("bad.jsonl.gz", gzip.compress((self.lines + "{\n").encode()))
        assert f"bad.jsonl.gz:{len(self.texts) + 1}: not JSON" in self.tokenize(bad_line, "bad", code=DATA).stderr
        assert not list(self.folder.glob("bad.*i*")) and not (self.folder / "bad.tokenizing").exists()

    def test_verify_finds_each_damage(self):
        def damaged(suffix, change):
            for each in SUFFIXES:
                shutil.copy(self.folder / f"whole{each}", self.folder / f"v{each}")
            path = self.folder / f"v{suffix}"
            data = bytearray(path.read_bytes())
            data = change(data) or data
            path.write_bytes(data)
            result = run("data", "verify", self.folder / "v", "--json", code=DATA)
            problems = json.loads(result.stdout)["pairs"][0]["problems"]
            assert result.stderr.count("borealis: data: 1 of 1 pair is damaged") == 1, result.stderr
            return [problem["class"] for problem in problems]

        def put(form, offset, value):
            return lambda data: struct.pack_into(form, data, offset, value)

        n = len(self.whole.lengths)
        offsets, documents = 34 + 4 * n, 34 + 12 * n
        pair, = run_json("data", "verify", self.folder / "whole")["pairs"]
        assert pair["sound"] and pair["tokens"] == len(self.whole.tokens) and pair["highest_id"] == max(self.whole.tokens) and pair["vocab_size"] == 600
        cases = [("bad-magic", ".idx", put("<B", 0, 0)), ("unknown-version", ".idx", put("<Q", 9, 2)), ("unknown-type", ".idx", put("<B", 17, 9)),
                 ("truncated-header", ".idx", lambda d: d[:20]), ("truncated-index", ".idx", lambda d: d[:-1]),
                 ("trailing-index-bytes", ".idx", lambda d: d + b"x"), ("multimodal-index", ".idx", lambda d: d + b"\0" * n),
                 ("negative-length", ".idx", put("<i", 34 + 40, -1)), ("descending-offsets", ".idx", put("<q", offsets + 80, 0)),
                 ("document-index-start", ".idx", put("<q", documents, 1)), ("document-index-order", ".idx", put("<q", documents + 80, 2)),
                 ("document-index-end", ".idx", put("<q", documents + 8 * n, n - 1)), ("short-tokens", ".bin", lambda d: d[:-1]),
                 ("trailing-token-bytes", ".bin", lambda d: d + b"\0\0\0"), ("foreign-token", ".bin", put("<H", 10, 600)),
                 ("damaged-record", ".meta.json", lambda d: d[:-10]), ("record-mismatch", ".meta.json", lambda d: d.replace(b'"documents": 1', b'"documents": 2'))]
        for name, suffix, change in cases:
            assert damaged(suffix, change) == [name], name
        # Two damages at once: all that can be told is told.
        assert "gap-in-tokens" in damaged(".idx", put("<i", 34 + 40, self.whole.lengths[10] - 1))
        assert "overlapping-sequences" in damaged(".idx", put("<i", 34 + 40, self.whole.lengths[10] + 1))
        os.remove(self.folder / "v.idx")
        assert "v.idx does not exist" in run("data", "verify", self.folder / "v", code=FILE).stderr
        run("data", "verify", self.folder / "whole", "--vocab-size", max(self.whole.tokens), code=DATA)

    def test_verify_knows_data_of_another_tokenizer(self):
        """Though all ids are within its vocabulary: the record tells."""
        larger = self.folder / "larger"
        run("tokenizer", "train", "--input", self.input, "--vocab-size", 620, "--output", larger)
        run("data", "verify", self.folder / "whole", "--tokenizer", self.tokenizer)
        result = run("data", "verify", self.folder / "whole", "--tokenizer", larger, code=DATA)
        assert "foreign-token: made with the tokenizer" in result.stdout, result.stdout
        assert "1 of 1 pair has tokens of another tokenizer" in result.stderr, result.stderr

    def test_the_default_corpus_by_another_tokenizer(self):
        """As train_alcf.sh asks for it: made once, made again if the tokenizer is another, left where there is none."""
        home = self.folder / "home"
        corpus = home / "data/bible-kjv"
        (home / "scripts").mkdir(parents=True)
        shutil.copy(pathlib.Path(os.environ["BOREALIS_SOURCE_DIR"]) / "scripts/tokenize_default_corpus.sh", home / "scripts")
        shutil.copytree(self.tokenizer, corpus)
        shutil.copy(self.input, corpus / "bible.jsonl")
        for suffix in SUFFIXES:
            shutil.copy(self.folder / f"whole{suffix}", corpus / f"bible_text_document{suffix}")

        def ask(model):
            result = subprocess.run(["bash", home / "scripts/tokenize_default_corpus.sh"], capture_output=True, text=True, timeout=300,
                                    env={"PATH": os.environ["PATH"], "HOME": "/none", "BOREALIS": BOREALIS, "TOKENIZER_MODEL": str(model)})
            assert result.returncode == 0, result.stderr
            return result.stdout, result.stderr

        assert ask(self.tokenizer) == ("", "")  # it is the corpus' own
        other = self.folder / "a tokenizer/of 500"
        run("tokenizer", "train", "--input", self.input, "--vocab-size", 500, "--output", other)
        named, told = ask(other)
        listed = pathlib.Path(named.strip())
        assert listed.name == "books.txt" and corpus in listed.parents and "documents" in told, (named, told)
        run("data", "verify", listed.parent / "bible_text_document", "--tokenizer", other)
        made = (listed.parent / "bible_text_document.bin").stat().st_mtime_ns
        assert ask(other) == (named, "") and (listed.parent / "bible_text_document.bin").stat().st_mtime_ns == made
        run("tokenizer", "train", "--input", self.input, "--vocab-size", 490, "--output", other, "--overwrite")
        assert ask(other)[0] == named
        run("data", "verify", listed.parent / "bible_text_document", "--tokenizer", other)
        named, told = ask("nobody/nothing")
        assert named == "" and "no tokenizer" in told and "as its own tokenizer" in told, told

    def test_damage_is_told_by_who_opens_the_data(self):
        """A pointer that is off by one byte."""
        for suffix in SUFFIXES:
            shutil.copy(self.folder / f"whole{suffix}", self.folder / f"off{suffix}")
        path = self.folder / "off.idx"
        data = bytearray(path.read_bytes())
        at = 34 + 4 * len(self.whole.lengths) + 8 * 10
        struct.pack_into("<q", data, at, struct.unpack_from("<q", data, at)[0] + 1)
        path.write_bytes(data)
        (self.folder / "off.list").write_text(f"1 {self.folder}/off mine\n")
        problems = json.loads(run("data", "inspect", self.folder / "off", "--json").stdout)["problems"]
        assert {problem["class"] for problem in problems} == {"gap-in-tokens", "overlapping-sequences"}, problems
        settings = ["--data-file-list", self.folder / "off.list", "--seq-length", 16, "--train-iters", 1]
        for command in (["data", "inspect", self.folder / "off"], ["data", "batches", *settings], ["data", "blend", *settings]):
            message = run(*command, folder=self.folder).stderr
            assert "gap-in-tokens" in message and "sequence 10 starts" in message and "`borealis data verify" in message, message
        output = self.train("off.list", self.tokenizer).stdout
        assert output.count("gap-in-tokens") == 1, output
        message = run("data", "merge", self.folder / "whole", self.folder / "off", "--output-prefix", self.folder / "no", code=DATA).stderr
        assert "off is damaged (gap-in-tokens)" in message and not list(self.folder.glob("no.*")), message

    def test_inspect(self):
        report = run_json("data", "inspect", self.folder / "whole.bin", "--tokenizer", self.tokenizer, "--samples", 5, "--sample-tokens", 10000)
        ordered = sorted(self.whole.lengths)
        lengths = report["lengths"]
        assert report["documents"] == len(ordered) and report["tokens"] == sum(ordered) and report["record"] == self.whole.record
        assert lengths["shortest"] == ordered[0] and lengths["longest"] == ordered[-1] and lengths["median"] == ordered[(len(ordered) + 1) // 2 - 1]
        assert abs(lengths["mean"] - sum(ordered) / len(ordered)) < 1e-9
        for bucket in lengths["histogram"]:
            inside = [n for n in ordered if bucket["from"] <= n <= bucket["to"]]
            assert bucket["documents"] == len(inside) and bucket["tokens"] == sum(inside)
        texts = [text for text in self.texts if text]
        assert len(report["samples"]) == 5
        for sample in report["samples"]:
            assert sample["ids"] == self.whole.texts[sample["document"]] and sample["text"] == texts[sample["document"]] + "<|endoftext|>"
        plain = run("data", "inspect", self.folder / "whole").stdout
        assert "####" in plain and "median" in plain

    def train(self, list_name, tokenizer, code=0):
        return run("train", "--num-layers", 1, "--hidden-size", 32, "--num-attention-heads", 2, "--num-key-value-heads", 1, "--ffn-hidden-size", 48,
                   "--seq-length", 16, "--micro-batch-size", 1, "--train-iters", 1, "--eval-interval", 0, "--no-progress", "--no-save",
                   "--data-file-list", self.folder / list_name, "--tokenizer-model", tokenizer, code=code, folder=self.folder)

    def test_train_checks_the_tokenizer(self):
        run("tokenizer", "train", "--input", self.input, "--vocab-size", 500, "--output", self.folder / "other")
        assert "no record" not in self.train("shard.list", self.tokenizer).stdout
        message = self.train("shard.list", self.folder / "other", code=CONFIG).stderr
        assert "shard-00000.bin was made with the tokenizer" in message and "600 entries" in message and "500 entries" in message, message
        for prefix in self.shards[1:]:
            os.remove(f"{prefix}.meta.json")
        output = self.train("shard.list", self.tokenizer).stdout
        assert output.count("no record of the tokenizer") == 1 and f"{len(self.shards) - 1} of {len(self.shards)} data files" in output
        assert "no record" not in run("train", "--mock-data", "--vocab-size", 128, "--num-layers", 1, "--hidden-size", 32, "--num-attention-heads", 2,
                                      "--num-key-value-heads", 1, "--ffn-hidden-size", 48, "--seq-length", 16, "--micro-batch-size", 1, "--train-iters", 1,
                                      "--eval-interval", 0, "--no-progress", "--no-save", folder=self.folder).stdout

    def test_merge_refuses_other_tokenizers(self):
        run("data", "tokenize", "--input", self.input, "--tokenizer", self.folder / "other", "--output-prefix", self.folder / "foreign")
        message = run("data", "merge", self.folder / "whole", self.folder / "foreign", "--output-prefix", self.folder / "no", code=CONFIG).stderr
        assert "cannot be merged" in message and "600 entries" in message and "500 entries" in message, message
        assert not list(self.folder.glob("no.*"))
        # Nothing is replaced unasked.
        before = content(self.folder / "whole")
        small = self.write("small.jsonl", json_lines(["a"]))
        assert "whole.bin exists (" in run(*self.arguments(small, "whole"), code=USAGE).stderr
        message = run("data", "merge", self.folder / "large", "--output-prefix", self.folder / "whole", code=USAGE).stderr
        assert "whole.bin exists (" in message and "--overwrite" in message and content(self.folder / "whole") == before, message
        run("data", "merge", self.folder / "large", "--output-prefix", self.folder / "replaced")
        run("data", "merge", self.folder / "whole", "--output-prefix", self.folder / "replaced", "--overwrite")
        assert content(self.folder / "replaced") == before
        # An output that would replace an input is refused, too.
        own = self.write("own.meta.json", self.lines)
        assert "own.meta.json would be overwritten" in self.tokenize(own, "own", code=USAGE).stderr
        assert own.read_text() == self.lines
        run("data", "merge", self.folder / "whole", self.folder / "large", "--output-prefix", self.folder / "whole", code=USAGE)

    def test_usage(self):
        assert "tokenize" in run("data", "--help").stdout
        for command in ("tokenize", "inspect", "merge", "verify", "blend", "batches"):
            assert command in run("data", "--help").stdout and "--help" in run("data", command, "--help").stdout
        assert "'data tokenise' is not a command" in run("data", "tokenise", code=USAGE).stderr


def main():
    with tempfile.TemporaryDirectory() as name:
        tools = Tools(pathlib.Path(name).resolve())
        tests = [test for test in vars(Tools) if test.startswith("test_")]
        for test in tests:
            getattr(tools, test)()
            print(f"ok: {test}", flush=True)
        left = [str(path) for path in pathlib.Path(name).rglob("*.partial.*")]
        left = [path for path in left if "killed" not in path]
        assert not left, left
        print(f"{len(tests)} tests")


main()
