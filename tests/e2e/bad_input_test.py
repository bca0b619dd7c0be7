"""What a user gets wrong, and what the program says: each case by its message and exit code. None may hang, print a stack
trace, or leave a half-written file under a final name."""

import gzip
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile

BOREALIS = os.environ["BOREALIS"]
USAGE, CONFIG, FILE, DATA, MEMORY, NUMERICS = 1, 2, 3, 4, 5, 6
SMALL = ["--num-layers", "1", "--hidden-size", "32", "--num-attention-heads", "2", "--num-key-value-heads", "1",
         "--ffn-hidden-size", "48", "--seq-length", "16", "--micro-batch-size", "1", "--train-iters", "1",
         "--eval-interval", "0", "--no-progress"]
MOCK = ["--mock-data", "--vocab-size", "128"]

failures = []
count = 0


def run(arguments, env=None, folder=None, prefix=()):
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder or "/tmp"), **(env or {})}
    return subprocess.run([*prefix, BOREALIS, *[str(a) for a in arguments]], capture_output=True, text=True, timeout=60,
                          env=environment, cwd=folder)


def expect(name, result, code, *words):
    global count
    count += 1
    text = result.stderr
    problems = [f"exit code {result.returncode}, not {code}"] if result.returncode != code else []
    problems += [f"does not say {word!r}" for word in words if word not in text]
    if code != 0 and not text.startswith("borealis: "):
        problems.append("the message does not start with 'borealis: '")
    for trace in ("terminate called", "Segmentation", "#0 ", "internal error"):
        if trace in text:
            problems.append(f"contains {trace!r}")
    if problems:
        failures.append(f"{name}: {'; '.join(problems)}\n  stderr: {text.strip()[:600]}")


def write_dataset(prefix, documents, bin_tokens=None):
    """A Megatron data set of u16 tokens."""
    lengths = [len(d) for d in documents]
    offsets = [2 * sum(lengths[:i]) for i in range(len(lengths))]
    tokens = [t for d in documents for t in d] if bin_tokens is None else bin_tokens
    n = len(lengths)
    index = b"MMIDIDX\0\0" + struct.pack("<QBQQ", 1, 8, n, n + 1)
    index += struct.pack(f"<{n}i", *lengths) + struct.pack(f"<{n}q", *offsets) + struct.pack(f"<{n + 1}q", *range(n + 1))
    pathlib.Path(f"{prefix}.idx").write_bytes(index)
    pathlib.Path(f"{prefix}.bin").write_bytes(struct.pack(f"<{len(tokens)}H", *tokens))


def configuration_cases(folder):
    def config(name, env, *words, arguments=(), code=CONFIG):
        expect(name, run(["train", *SMALL, *MOCK, *arguments], env, folder), code, *words)

    expect("unknown command", run(["trian"], folder=folder), USAGE, "'trian' is not a command", "train")
    expect("unknown command of a group", run(["tokenizer", "trian"], folder=folder), USAGE, "'tokenizer trian' is not a command", "train")
    for arguments, words in (
            (["checkpoint", "diff", "a"], "B is missing"),
            (["checkpoint", "diff", "a", "b", "c"], "c is not an argument or option of this command"),
            (["checkpoint", "diff", "a", "b", "-x", "c"], "are not arguments or options of this command"),
            (["eval", "--model"], "--model needs a value"),
            (["generate", "--model", "m"], "one of --prompt,--prompts has to be given"),
            (["generate", "--model", "m", "--prompt", "a", "--prompts", "b"], "only one of --prompt,--prompts can be given"),
            (["data", "verify", "--vocab-size", "3", "--tokenizer", "t", "p"], "--vocab-size and --tokenizer cannot be given together"),
            (["generate", "--model", "m", "--prompt", "a", "--temprature", "1"], "--temprature is not an option of this command; did you mean --temperature?"),
            (["eval", "--modle", "m", "--text", "a"], "--modle is not an option of this command; did you mean --model?")):
        expect(f"usage of {' '.join(arguments)}", run(arguments, {}, folder), USAGE, words, "--help")
    config("unknown architecture", {"MODEL_ARCH": "llama9-1T"}, "llama9-1T", "llama3-3B", "smollm3-3B", "SmolLM3-3B")
    config("unknown flag", {}, "--layerz", arguments=["--layerz", "3"], code=USAGE)
    config("flag without a value", {}, "--lr", arguments=["--lr"], code=USAGE)
    config("not a number", {"GRAD_ACC_STEPS": "two"}, "GRAD_ACC_STEPS", "two")
    config("global batch that does not divide", {"GLOBAL_BATCH": "7", "GRAD_ACC_STEPS": "2"}, "GLOBAL_BATCH")
    config("zero micro batch", {}, "--micro-batch-size 0", arguments=["--micro-batch-size", "0"])
    config("kv heads that do not divide", {}, "NUM_KV_HEAD", arguments=["--num-key-value-heads", "3"])
    config("dtype", {"DTYPE": "fp8"}, "DTYPE", "fp8")
    for name, value in (("TP", "2"), ("PP", "2"), ("ZERO_STAGE", "4"), ("WORLD_SIZE", "4"), ("NGPU_PER_HOST", "2"),
                        ("OPT", "muon"), ("CPU_OPTIMIZER", "1"), ("LAUNCH_WITH", "deepspeed")):
        config(f"{name} not available", {name: value}, name)
    config("ranks that share sequences without ranks", {"SP": "2", "TRAIN_TOKENS": "1000000000"}, "SP=2", "NGPU_PER_HOST")
    config("negative learning rate", {"LR": "-1"}, "LR")
    config("unknown schedule", {"LR_DECAY_STYLE": "sawtooth"}, "LR_DECAY_STYLE", "sawtooth", "cosine")
    config("infinite schedule without a floor", {"LR_DECAY_STYLE": "infinite-cosine"}, "min")
    config("memory limit", {"MEMORY_LIMIT": "lots"}, "MEMORY_LIMIT", "lots")
    config("several at once", {"TP": "2", "DTYPE": "fp8", "GRAD_ACC_STEPS": "x"}, "TP", "DTYPE", "GRAD_ACC_STEPS")
    config("a model that does not fit", {"MEMORY_LIMIT": "4M"}, "needs", "more than the 4.0 MiB", "MEMORY_LIMIT",
           "optimizer", code=MEMORY)


def folder_cases(folder):
    """Folders that are meant for something else, and what is missing in one."""
    def train(name, code, *words, arguments=(), env=None):
        expect(name, run(["train", *SMALL, *MOCK, *arguments], env, folder), code, *words)

    train("one folder for records and checkpoints", CONFIG, "--run-dir same is also the folder that checkpoints are saved to", arguments=["--run-dir", "same", "--save", "same"])
    train("the same, spelled otherwise", CONFIG, "is also the folder", arguments=["--run-dir", "./same/"], env={"SAVE": "same"})
    train("a run to take from", 0, arguments=["--save", "saved"])
    train("a folder of checkpoints for records", CONFIG, "--run-dir saved holds checkpoints", arguments=["--no-save", "--run-dir", "saved"])
    expect("its model", run(["checkpoint", "export", "--from", "saved", "--output", "model"], {}, folder), 0)
    train("a model that would be overwritten", CONFIG, "--finetune would save into model, which holds the model that it begins with", "save elsewhere",
          arguments=["--load", "model", "--save", "model", "--finetune"])
    train("the same without --finetune", CONFIG, "add --finetune", "save elsewhere", arguments=["--load", "model", "--save", "model"])
    shutil.copytree(folder / "saved", folder / "stateless")
    shutil.rmtree(folder / "stateless" / "global_step1" / "state")
    train("a checkpoint without its state", DATA, "--load stateless/global_step1 --finetune and another --save", arguments=["--save", "stateless"])
    train("and what that advises", 0, arguments=["--load", "stateless/global_step1", "--finetune", "--save", "from_stateless"])
    shutil.copytree(folder / "saved", folder / "unlisted")
    (folder / "unlisted" / "global_step1" / "checksums.xxh128").unlink()
    train("a checkpoint without checksums", DATA, "checksums.xxh128 is missing", arguments=["--save", "unlisted"])
    shutil.copytree(folder / "saved", folder / "flipped")
    weights = folder / "flipped" / "global_step1" / "model.safetensors"
    damaged = bytearray(weights.read_bytes())
    damaged[-100] ^= 1
    weights.write_bytes(damaged)
    expect("a text by damaged weights", run(["generate", "--model", "flipped", "--prompt", "1", "--max-new-tokens", "2", "--tokenizer-type", "NullTokenizer", "--vocab-size", "127"], {}, folder),
           DATA, "flipped/global_step1/model.safetensors is damaged")
    train("a step that is not there among those that would be saved over", CONFIG, "LOAD=saved/global_step7 does not exist", "leave LOAD out",
          arguments=["--load", "saved/global_step7", "--save", "saved"])
    (folder / "saved" / "latest").rename(folder / "named")
    expect("a model among checkpoints", run(["checkpoint", "import", "--from", "model", "--output", "saved"], {}, folder), FILE, "--output saved holds checkpoints already (global_step1)")
    expect("a model within a model", run(["checkpoint", "import", "--from", "model", "--output", "model"], {}, folder), FILE, "--output model holds a model already")
    (folder / "named").rename(folder / "saved" / "latest")
    shutil.copytree(folder / "saved", folder / "gone")
    shutil.rmtree(folder / "gone" / "global_step1")
    train("a checkpoint that `latest` names alone", DATA, "gone/global_step1 is missing, which gone/latest names", arguments=["--save", "gone"])
    (folder / "list_of_one.txt").write_text("# a comment\n1 nosuch corpus\n")
    expect("a prefix of a list", run(["train", *SMALL, "--vocab-size", "128", "--no-save", "--data-file-list", "list_of_one.txt"], {}, folder), FILE, "list_of_one.txt:2: nosuch.idx does not exist")
    expect("files of a tokenizer that are not there", run(["train", *SMALL, "--mock-data", "--no-save", "--tokenizer-type", "GPT2BPETokenizer", "--vocab-file", "no.json", "--merge-file", "no.txt"],
                                                          {}, folder), CONFIG, "--vocab-file no.json was not found")
    (folder / "stop").touch()
    stopped = run(["train", *SMALL, *MOCK, "--no-save", "--kill-switch-file", "stop"], {}, folder)
    if "not begun: --kill-switch-file stop exists; remove it to train" not in stopped.stdout + stopped.stderr:
        failures.append(f"a kill switch: {stopped.stdout[-300:]}")
    for limit, words in (("-s 64", "stacks of 64 KiB (ulimit -s) are too small"), ("-d 30000", "raise ulimit -d")):
        expect(f"ulimit {limit}", run(["train", *SMALL, *MOCK, "--no-save"], {}, folder, ["bash", "-c", f'ulimit {limit}; exec "$@"', "bash"]), MEMORY, words)
    expect("a limit of file sizes", run(["train", *SMALL, *MOCK, "--save", "small_files"], {}, folder, ["bash", "-c", 'ulimit -f 4; exec "$@"', "bash"]), FILE, "File too large; raise the limit of file sizes (ulimit -f)")


def data_cases(folder):
    def data(name, code, *words, documents=None, change=None, line=None, arguments=()):
        prefix = folder / "set"
        write_dataset(prefix, documents or [[i % 100 for i in range(40)] for _ in range(30)])
        if change:
            change(prefix)
        (folder / "list.txt").write_text(line or f"1.0 {prefix} corpus\n")
        expect(name, run(["train", *SMALL, "--vocab-size", "128", "--data-file-list", folder / "list.txt", "--no-save",
                          "--run-dir", folder / f"data_run{count}", *arguments], {}, folder), code, *words)

    def truncate(name, size):
        return lambda prefix: os.truncate(f"{prefix}.{name}", size)

    def patch(at, content):
        def change(prefix):
            path = pathlib.Path(f"{prefix}.idx")
            bytes_ = bytearray(path.read_bytes())
            bytes_[at:at + len(content)] = content
            path.write_bytes(bytes_)
        return change

    data("a good set", 0)
    data("missing index", FILE, "set.idx does not exist; check the prefix that was given", change=lambda p: os.remove(f"{p}.idx"))
    data("missing tokens", FILE, "set.bin", change=lambda p: os.remove(f"{p}.bin"))
    data("truncated index", DATA, "set.idx", change=truncate("idx", 200))
    data("index shorter than its header", DATA, "set.idx", change=truncate("idx", 10))
    data("tokens shorter than the index says", DATA, "set.bin", change=truncate("bin", 100))
    data("not an index", DATA, "set.idx", change=patch(0, b"PK\3\4"))
    data("index version", DATA, "set.idx", "version", change=patch(9, struct.pack("<Q", 7)))
    data("index type", DATA, "set.idx", change=patch(17, b"\x63"))
    data("negative length", DATA, "set.idx", change=patch(34, struct.pack("<i", -5)))
    data("token beyond the vocabulary", DATA, "set.bin", "document", "900",
         documents=[[5] * 10 + [900] + [6] * 29] * 30)
    data("empty corpus", DATA, documents=[[]])
    data("list line of two fields", CONFIG, "list.txt", line="1.0 prefix\n")
    data("weight that is no number", CONFIG, "list.txt", "heavy", line="heavy prefix corpus\n")
    data("empty list", CONFIG, "list.txt", line="\n\n")
    data("split of the wrong form", CONFIG, "plit", arguments=["--split", "9;1"])
    expect("missing list", run(["train", *SMALL, "--vocab-size", "128", "--data-file-list", folder / "nowhere.txt"], {},
                               folder), CONFIG, "nowhere.txt")


def output_cases(folder):
    train = ["train", *SMALL, *MOCK]
    blocked = folder / "a_file"
    blocked.write_text("not a folder")
    expect("log folder cannot be made", run([*train, "--no-save", "--run-dir", blocked / "run"], {}, folder), FILE, "a_file")
    if os.geteuid() == 0 and shutil.which("mount"):
        disk = folder / "disk"
        disk.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], capture_output=True).returncode == 0:
            try:
                good = [*train, "--run-dir", folder / "full_run", "--save", disk]
                expect("a save that fits", run(good, {}, folder), 0)
                before = {p: p.read_bytes() for p in disk.rglob("*") if p.is_file()}
                # Another model is another run, which does not go on from the first one's checkpoint.
                larger = [*[a if a != "48" else "4096" for a in train], "--run-dir", folder / "larger_run", "--save", disk / "larger"]
                expect("full disk while saving", run([*larger, "--train-iters", "2"], {}, folder), FILE, "a checkpoint takes")
                after = {p: p.read_bytes() for p in disk.rglob("*") if p.is_file()}
                if before != after:
                    failures.append("full disk while saving: the last good checkpoint changed")
                subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
                expect("read-only log folder", run([*train, "--no-save", "--run-dir", disk / "run"], {}, folder), FILE,
                       "disk/run")
            finally:
                subprocess.run(["umount", disk], check=False)
        else:
            print("skipped: full disk, read-only folder (no permission to mount)")
    else:
        print("skipped: full disk, read-only folder (not root)")
    expect("non-finite steps", run([*train, "--no-save", "--run-dir", folder / "nan", "--lr", "1e30", "--lr-warmup-fraction",
                                    "0", "--lr-decay-style", "constant", "--clip-grad", "0", "--train-iters", "40",
                                    "--max-skipped-steps", "3"], {}, folder), NUMERICS, "steps in a row")


def tool_cases(folder):
    (folder / "bad.jsonl").write_text('{"text": "good"}\n{"text": 5}\n')
    (folder / "broken.json").write_text("{")
    (folder / "empty.txt").write_text("")
    (folder / "good.txt").write_text("the cat sat on the mat. " * 20)
    tokenizer = ["tokenizer", "train", "--output", folder / "tok", "--input"]
    expect("train on a missing file", run([*tokenizer, folder / "none.txt"], folder=folder), FILE, "none.txt")
    expect("train on nothing", run([*tokenizer, folder / "empty.txt"], folder=folder), DATA, "no text")
    expect("vocabulary too small", run([*tokenizer, folder / "good.txt", "--vocab-size", "100"], folder=folder), CONFIG, "257")
    expect("a line without text", run([*tokenizer, folder / "bad.jsonl"], folder=folder), DATA, "bad.jsonl:2")
    expect("a good tokenizer", run([*tokenizer, folder / "good.txt", "--vocab-size", "270"], folder=folder), 0)
    made = (folder / "tok/tokenizer.json").read_bytes()
    again = [*tokenizer, folder / "bad.jsonl", "--json-key", "none"]
    expect("a tokenizer that is there", run([*tokenizer, folder / "good.txt"], folder=folder), USAGE, "tok/tokenizer.json exists", "--overwrite")
    expect("a tokenizer in place of one, in vain", run([*again, "--overwrite"], folder=folder), DATA, "bad.jsonl:1")
    if (folder / "tok/tokenizer.json").read_bytes() != made:
        failures.append("a tokenizer was lost")
    expect("a tokenizer in place of one", run([*tokenizer, folder / "good.txt", "--vocab-size", "270", "--overwrite"], folder=folder), 0)
    document_cases(folder)
    tokenize = ["data", "tokenize", "--output-prefix", folder / "out", "--input", folder / "good.txt", "--tokenizer"]
    expect("tokenize without a tokenizer", run([*tokenize, folder / "none"], folder=folder), FILE, "none")
    expect("a broken tokenizer", run([*tokenize, folder / "broken.json"], folder=folder), DATA, "broken.json")
    expect("generate without a model", run(["generate", "--model", folder, "--prompt", "x"], folder=folder), FILE, str(folder))
    expect("report of nothing", run(["report", folder], folder=folder), FILE, "summary.json")


def document_cases(folder):
    """Documents that are too long, by file, line and size."""
    lines = [json.dumps({"text": "x" * size}) + "\n" for size in (10, 70_000, 10)]
    (folder / "long.jsonl").write_text("".join(lines))
    (folder / "long.txt").write_text("x" * 70_000)
    with gzip.open(folder / "long.jsonl.gz", "wt") as file:
        file.write("".join(lines) + json.dumps({"text": "y" * 3_000_000}) + "\n")
    limit = ["--max-document-bytes", "64KiB"]
    for command in (["tokenizer", "train", "--output", folder / "t2"],
                    ["data", "tokenize", "--output-prefix", folder / "o2", "--tokenizer", folder / "tok"]):
        for name, words in (("long.jsonl", ["long.jsonl:2", "70012 bytes"]), ("long.txt", ["long.txt", "70000 bytes"]),
                            ("long.jsonl.gz", ["long.jsonl.gz"])):
            expect(f"{command[0]} with {name}", run([*command, *limit, "--input", folder / name], folder=folder), DATA, *words, "64.0 KiB",
                   "--max-document-bytes")
        expect(f"{command[0]} with a limit that is none", run([*command, "--max-document-bytes", "lots", "--input", folder / "long.txt"],
                                                              folder=folder), USAGE, "--max-document-bytes lots")


def out_of_memory_cases(folder):
    """Where the system refuses memory, what is advised fits the command."""
    (folder / "long.txt").write_text("0" * 30_000_000)
    expect("a tokenizer", run(["tokenizer", "train", "--input", folder / "long.txt", "--vocab-size", "270", "--output", folder / "tok"],
                              folder=folder), 0)
    result = run(["data", "tokenize", "--input", folder / "long.txt", "--tokenizer", folder / "tok", "--output-prefix", folder / "o",
                  "--threads", 1], folder=folder, prefix=["prlimit", f"--data={100_000_000}"])
    expect("data tokenize in too little memory", result, MEMORY, "refused an allocation", "--threads", "documents")
    if "model" in result.stderr:
        failures.append(f"data tokenize is advised to lower the model: {result.stderr}")


def evaluation_cases(folder):
    """A model with a tokenizer of 270 entries, one without any, and what `eval` says of texts that fit neither."""
    (folder / "good.txt").write_text("the cat sat on the mat. " * 20)
    (folder / "empty.txt").write_text("")
    (folder / "bad.jsonl").write_text('{"text": "good"}\n{"text": 5}\n')
    tokenizer = ["tokenizer", "train", "--input", folder / "good.txt", "--vocab-size"]
    expect("a tokenizer", run([*tokenizer, "270", "--output", folder / "tok"], folder=folder), 0)
    expect("data", run(["data", "tokenize", "--input", folder / "good.txt", "--tokenizer", folder / "tok", "--output-prefix",
                        folder / "set"], folder=folder), 0)
    (folder / "list.txt").write_text(f"1.0 {folder}/set corpus\n")
    expect("a model", run(["train", *SMALL, "--data-file-list", folder / "list.txt", "--tokenizer-model", folder / "tok", "--split",
                           "1,0,0", "--run-dir", folder / "run", "--save", folder / "ckpt"], {}, folder), 0)
    expect("a small model", run(["train", *SMALL, *MOCK, "--run-dir", folder / "run2", "--save", folder / "bare"], {}, folder), 0)

    def evaluate(name, code, *words, model="ckpt", arguments=("--text", folder / "good.txt")):
        expect(name, run(["eval", "--model", folder / model, *arguments], {}, folder), code, *words)

    evaluate("eval of a text", 0)
    evaluate("eval of a data set without a tokenizer", DATA, "token id", "vocabulary ends at 127", model="bare",
             arguments=["--data", folder / "set"])
    evaluate("eval without a text", USAGE, "--text", arguments=[])
    evaluate("eval of text and data", USAGE, arguments=["--text", folder / "good.txt", "--data", folder / "set"])
    evaluate("eval without a tokenizer", FILE, "tokenizer.json", "--tokenizer", model="bare")
    evaluate("eval with a tokenizer that is not there", FILE, "nowhere",
             arguments=["--text", folder / "good.txt", "--tokenizer", folder / "nowhere"])
    evaluate("eval with the tokenizer of another model", DATA, "token id", "vocabulary ends at 127", model="bare",
             arguments=["--text", folder / "good.txt", "--tokenizer", folder / "tok"])
    evaluate("eval of an empty text", DATA, "no token", arguments=["--text", folder / "empty.txt"])
    evaluate("eval of a text that is not there", FILE, "none.txt", arguments=["--text", folder / "none.txt"])
    evaluate("eval of a broken line", DATA, "bad.jsonl:2", arguments=["--text", folder / "bad.jsonl"])
    good = ("--text", folder / "good.txt")
    evaluate("eval beyond the positions", CONFIG, "--seq-length 17 is beyond the 16 positions", arguments=[*good, "--seq-length", 17])
    evaluate("eval with gaps", CONFIG, "--stride 17", arguments=[*good, "--seq-length", 16, "--stride", 17])
    evaluate("eval of no token", USAGE, "--max-tokens", arguments=[*good, "--max-tokens", 0])
    evaluate("eval that does not fit", MEMORY, "8.0 MiB", arguments=[*good, "--memory-limit", "8M"])
    evaluate("eval with a limit that is none", CONFIG, "lots", arguments=[*good, "--memory-limit", "lots"])
    evaluate("eval of no model", FILE, model="tok")
    generation_cases(folder)
    os.truncate(folder / "set.bin", 20)
    evaluate("eval of a truncated data set", DATA, "set.bin", arguments=["--data", folder / "set"])
    evaluate("eval of a missing data set", FILE, "nothing.idx", arguments=["--data", folder / "nothing"])
    weights = folder / "ckpt/global_step1/model.safetensors"
    os.truncate(weights, weights.stat().st_size - 100)
    evaluate("eval of damaged weights", DATA, "model.safetensors")


def make_model(folder):
    """A checkpoint of one step, from random tokens and without a tokenizer."""
    expect("a model", run(["train", *SMALL, *MOCK, "--run-dir", folder / "run", "--save", folder / "ckpt"], {}, folder), 0)
    return folder / "ckpt/global_step1"


def change_config(model, **changes):
    path = model / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def rewrite_tensor(path, name, dtype, data):
    """Gives the tensor of a safetensors file other elements; no checksum goes with the file any more."""
    raw = path.read_bytes()
    size = struct.unpack("<Q", raw[:8])[0]
    header, body, out = json.loads(raw[8 : 8 + size]), raw[8 + size :], b""
    for key in [key for key in header if key != "__metadata__"]:
        begin, end = header[key]["data_offsets"]
        part = data if key == name else body[begin:end]
        header[key].update({"dtype": dtype} if key == name else {}, data_offsets=[len(out), len(out) + len(part)])
        out += part
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + out)
    (path.parent / "checksums.xxh128").unlink(missing_ok=True)


def disagreement_cases(folder):
    """A config.json that asks for another model than the weights beside it are: nothing is cut in silence."""
    two = [word if word != "1" or SMALL[at - 1] != "--num-layers" else "2" for at, word in enumerate(SMALL)]
    expect("a model of two layers", run(["train", *two, *MOCK, "--run-dir", folder / "run", "--save", folder / "ckpt"], {}, folder), 0)
    (folder / "text").write_text("1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17")
    model = folder / "foreign"  # weights alone: of a training state the settings would be compared
    shutil.copytree(folder / "ckpt/global_step1", model, ignore=shutil.ignore_patterns("state", "checksums.*"))
    config = (model / "config.json").read_text()
    numbers = ["--tokenizer-type", "NullTokenizer", "--vocab-size", 64]

    def every_reader(words, **changes):
        (model / "config.json").write_text(json.dumps({**json.loads(config), **changes}))
        arch = ["--model-arch", model, *numbers, "--finetune", "--load", model, "--mock-data", "--train-iters", 1, "--no-save", "--seq-length", 16,
                "--run-dir", folder / "other_run", "--eval-interval", 0, "--no-progress"]
        for command in (["generate", "--model", model, "--prompt", "1 2", "--max-new-tokens", 2, *numbers], ["train", *arch],
                        ["eval", "--model", model, "--text", folder / "text", "--seq-length", 16, *numbers],
                        ["checkpoint", "export", "--from", model, "--output", folder / "o"],
                        ["checkpoint", "import", "--from", model, "--output", folder / "i"], ["checkpoint", "inspect", model]):
            expect(f"{command[:2]} of {changes}", run(command, {}, folder), DATA, "config.json promises", *words)

    every_reader(["unexpected model.layers.1."], num_hidden_layers=1)
    every_reader(["missing model.layers.2."], num_hidden_layers=3)
    every_reader(["unexpected lm_head.weight"], tie_word_embeddings=True)
    every_reader(["instead of [2"], intermediate_size=24)


def pipe_cases(folder):
    """A named pipe where a file should be: opening it would wait for a writer for ever."""
    model = make_model(folder)
    write_dataset(folder / "set", [[i % 100 for i in range(40)] for _ in range(30)])
    (folder / "list.txt").write_text(f"1.0 {folder / 'set'} corpus\n")
    (folder / "text.jsonl").write_text('{"text": "1 2 3"}\n' * 30)
    (folder / "prompts.txt").write_text("1 2\n")
    numbers = ["--tokenizer-type", "NullTokenizer", "--vocab-size", 64]
    train = ["train", *SMALL, "--vocab-size", 128, "--run-dir", folder / "piped"]
    resume = [*train, "--mock-data", "--train-iters", 2, "--save", folder / "ckpt"]
    generate = ["generate", "--model", model, "--max-new-tokens", 2, *numbers]
    for name, command in {
            "set.bin": [*train, "--data-file-list", folder / "list.txt", "--no-save"],
            "set.idx": [*train, "--data-file-list", folder / "list.txt", "--no-save"],
            "list.txt": [*train, "--data-file-list", folder / "list.txt", "--no-save"],
            "text.jsonl": ["data", "tokenize", "--input", folder / "text.jsonl", "--output-prefix", folder / "o", *numbers],
            "prompts.txt": [*generate, "--prompts", folder / "prompts.txt"],
            "ckpt/global_step1/config.json": [*generate, "--prompt", "1 2"],
            "ckpt/global_step1/model.safetensors": [*generate, "--prompt", "1 2"],
            "ckpt/global_step1/generation_config.json": [*generate, "--prompt", "1 2"],
            "ckpt/latest": ["checkpoint", "inspect", folder / "ckpt"],
            "ckpt/global_step1/state/state.json": ["checkpoint", "inspect", model],
            "ckpt/global_step1/checksums.xxh128": resume,
            "ckpt/global_step1/state/shard-00000-of-00001.safetensors": resume,
            "run/metrics.jsonl": ["report", folder / "run"],
            "run/summary.json": ["report", folder / "run"],
    }.items():
        path = folder / name
        kept = path.read_bytes()
        path.unlink()
        os.mkfifo(path)
        try:
            result = run(command, {}, folder)
            told = "named pipe" in result.stderr + result.stdout or "not a regular file" in result.stderr + result.stdout
            expect(f"a pipe as {name}", result, result.returncode if result.returncode in (CONFIG, FILE, DATA) else FILE)
            if not told:
                failures.append(f"a pipe as {name}: nothing says so\n  stderr: {result.stderr.strip()[:400]}")
        except subprocess.TimeoutExpired:
            failures.append(f"a pipe as {name}: hangs")
        path.unlink()
        path.write_bytes(kept)


def checkpoint_cases(folder):
    """What `checkpoint` says of folders that are no model, of damage, and of outputs that hold something."""
    model = make_model(folder)

    def checkpoint(name, code, *words, arguments):
        expect(name, run(["checkpoint", *arguments], {}, folder), code, *words)

    def export(name, code, *words, arguments=(), source=model, output="out"):
        checkpoint(name, code, *words, arguments=["export", "--from", source, "--output", folder / output, *arguments])

    def import_(name, code, *words, source, output="imported"):
        checkpoint(name, code, *words, arguments=["import", "--from", source, "--output", folder / output])

    checkpoint("checkpoint without a command", USAGE, "choose one of: export import inspect diff verify", arguments=["convert"])
    export("export of nothing", FILE, "nowhere is not a folder", source=folder / "nowhere")
    (folder / "empty").mkdir()
    export("export of an empty folder", FILE, "neither config.json nor latest", source=folder / "empty")
    export("export of a run's log folder", DATA, "has no model_type, so it is not the config.json", source=folder / "run")
    export("an export", 0)
    export("export onto an export", FILE, "exists and is not empty", "--overwrite")
    export("export in the place of an export", 0, arguments=["--overwrite"])
    (folder / "out/notes.txt").write_text("mine")
    export("export onto other files", FILE, "holds notes.txt, which is no part of an export", arguments=["--overwrite"])
    export("export onto a file", FILE, "out/notes.txt is not a folder", output="out/notes.txt")
    export("export onto the checkpoint", USAGE, "is the checkpoint", output="ckpt/global_step1", arguments=["--overwrite"])
    export("export of a larger vocabulary", USAGE, "--vocab-size 129 is more than the 128 rows", arguments=["--vocab-size", 129], output="o2")
    export("export to another type", USAGE, "--dtype", arguments=["--dtype", "fp8"], output="o2")
    export("export in shards of nothing", USAGE, "--max-shard-size 0 is not a size", arguments=["--max-shard-size", "0"], output="o2")
    export("export with a tokenizer that is not there", FILE, "none.json", arguments=["--tokenizer", folder / "none.json"], output="o2")

    checkpoint("import", 0, arguments=["import", "--from", folder / "ckpt", "--output", folder / "imported"])
    import_("import into checkpoints", FILE, "holds checkpoints already (latest)", source=model)
    checkpoint("import with a multiple of nothing", USAGE, "--pad-vocab-multiple",
               arguments=["import", "--from", model, "--output", folder / "i2", "--pad-vocab-multiple", "0"])
    copy = folder / "copy"
    shutil.copytree(model, copy)
    change_config(copy, num_hidden_layers=2)
    import_("import of a model with a layer too few", DATA, "does not hold the tensors that its config.json promises",
            "missing model.layers.1.input_layernorm.weight", "and 1 more", source=copy, output="i2")
    change_config(copy, num_hidden_layers=1, tie_word_embeddings=True)
    import_("import of a tied model with a head", DATA, "unexpected lm_head.weight", "tie_word_embeddings", source=copy, output="i2")
    change_config(copy, tie_word_embeddings=False, vocab_size=100)
    import_("import of another vocabulary", DATA, "model.embed_tokens.weight is [128, 32] instead of [100, 32]", source=copy, output="i2")
    change_config(copy, vocab_size=128, attention_bias=True)
    import_("import of biases", DATA, "attention_bias", source=copy, output="i2")
    change_config(copy, attention_bias=False)
    weights = copy / "model.safetensors"
    rewrite_tensor(weights, "model.norm.weight", "F64", struct.pack("<32d", *range(32)))
    import_("import of another type of elements", DATA, "model.norm.weight holds F64, not F32, F16 or BF16",
            "convert the model to fp32, bf16 or fp16 first", source=copy, output="i2")
    rewrite_tensor(weights, "model.norm.weight", "F32", struct.pack("<32f", *[float("nan")] * 3, *range(29)))
    result = run(["checkpoint", "import", "--from", copy, "--output", folder / "i3"], {}, folder)
    expect("import of weights that are no numbers", result, 0)
    if "copy holds 3 NaN and 0 infinities" not in result.stdout:
        failures.append(f"import of weights that are no numbers: nothing says so\n  stdout: {result.stdout.strip()[:600]}")
    pickled = folder / "pickled"
    pickled.mkdir()
    shutil.copy(model / "config.json", pickled)
    (pickled / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch opened'\ntR.")
    import_("import of a pickle", DATA, "pytorch_model.bin is a pickle", "safe_serialization=True", source=pickled, output="i2")
    (folder / "megatron/global_step9").mkdir(parents=True)
    (folder / "megatron/latest").write_text("global_step9")
    (folder / "megatron/global_step9/mp_rank_00_model_states.pt").write_text("")
    import_("import of a Megatron checkpoint", DATA, "mp_rank_00_model_states.pt", "exporter", source=folder / "megatron", output="i2")
    expect("generate with a Megatron checkpoint", run(["generate", "--model", folder / "megatron", "--prompt", "x"], {}, folder), DATA,
           "mp_rank_00_model_states.pt")
    if (folder / "opened").exists() or (folder / "i2").exists():
        failures.append("a refused import did something")

    checkpoint("verify", 0, arguments=["verify", folder / "ckpt"])
    checkpoint("verify all", 0, arguments=["verify", "--all", folder / "ckpt"])
    checkpoint("verify all of a step", FILE, "holds no global_step folders", arguments=["verify", "--all", model])
    checkpoint("diff of equals", 0, arguments=["diff", model, folder / "imported"])
    checkpoint("diff of nothing", FILE, "nowhere", arguments=["diff", model, folder / "nowhere"])
    checkpoint("inspect nothing", FILE, "nowhere", arguments=["inspect", folder / "nowhere"])
    state = folder / "state-damaged"
    shutil.copytree(folder / "ckpt", state)
    shard = state / "global_step1/state/shard-00000-of-00001.safetensors"
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    checkpoint("verify a damaged state", DATA, "1 of 1 checkpoint is damaged", arguments=["verify", state])
    export("export of damaged master weights", DATA, "shard-00000-of-00001.safetensors is damaged", source=state, output="o2",
           arguments=["--dtype", "fp32"])
    export("export of sound weights beside a damaged state", 0, source=state, output="o3")
    changed = run(["checkpoint", "diff", "--json", model, state], {}, folder)
    if changed.returncode != 1 or sum(t["different"] for t in json.loads(changed.stdout)["tensors"]) != 1:
        failures.append(f"diff does not find the one element that was changed: {changed.returncode}, {changed.stdout[:300]}")
    (state / "global_step1/state/state.json").write_text('{"version": 99}')
    checkpoint("inspect the state of a later version", DATA, "has version 99", arguments=["inspect", state])
    shutil.rmtree(state / "global_step1/state")
    checkpoint("verify without the state that has checksums", DATA, "1 of 1 checkpoint is damaged", arguments=["verify", state])
    (state / "global_step1/checksums.xxh128").write_text("nonsense\n")
    export("export with damaged checksums", DATA, "checksums.xxh128: line 1 is not a checksum", source=state, output="o2")
    (state / "global_step1/checksums.xxh128").unlink()
    checkpoint("verify of an old checkpoint", 0, arguments=["verify", state])
    checkpoint("inspect an old checkpoint", 0, arguments=["inspect", state])
    weights = model / "model.safetensors"
    os.truncate(weights, weights.stat().st_size - 100)
    checkpoint("verify damage", DATA, "1 of 1 checkpoint is damaged", arguments=["verify", model])
    document = json.loads(run(["checkpoint", "verify", "--json", model], {}, folder).stdout)
    named = [problem["file"] for problem in document["folders"][0]["problems"]]
    if str(weights) not in named:
        failures.append(f"verify does not name {weights}: {named}")
    checkpoint("diff with damage", DATA, "model.safetensors", arguments=["diff", model, folder / "imported"])


def architecture_cases(folder):
    """MODEL_ARCH as a folder with a config.json."""
    model = make_model(folder)

    def config(name, code, *words, arch, env=None, arguments=()):
        expect(name, run(["plan", "--mock-data", *arguments], {"MODEL_ARCH": str(arch), **(env or {})}, folder), code, *words)

    config("an architecture from a file", 0, arch=model)
    (folder / "empty").mkdir()
    config("an architecture from a folder without one", CONFIG, "no Hugging Face config.json was found (tried", arch=folder / "empty")
    config("an architecture from a run's log folder", CONFIG, "has no model_type", arch=folder / "run")
    config("an architecture from nowhere", CONFIG, "models/none: no Hugging Face config.json was found", arch="models/none")
    config("an architecture with its hidden size changed", CONFIG, "fixes HIDDEN at 32", arch=model, env={"HIDDEN": "64"})
    change_config(model, num_key_value_heads=3)
    config("an architecture of heads that do not divide", CONFIG, "not a multiple of its 3 key/value heads", arch=model)
    change_config(model, model_type="mistral")
    config("an architecture of another type", CONFIG, "a model of type 'mistral'", arch=model)
    (model / "config.json").write_text("{")
    config("an architecture from damage", CONFIG, "is not a JSON object", arch=model)


def generation_cases(folder):
    """What `generate` says, with the models of evaluation_cases: `ckpt` has 16 positions."""
    prompt = ("--prompt", "the cat")

    def generate(name, code, *words, model="ckpt", arguments=prompt):
        length = [] if "--max-new-tokens" in arguments else ["--max-new-tokens", 4]
        expect(name, run(["generate", "--model", folder / model, *length, *arguments], {}, folder), code, *words)

    def prompts(name, content, code, *words, suffix="jsonl", arguments=()):
        (folder / f"prompts.{suffix}").write_bytes(content)
        generate(name, code, *words, arguments=["--prompts", folder / f"prompts.{suffix}", *arguments])

    generate("generate", 0, "tokens/s")
    prompts("generate of lines", b"the cat\nthe mat\n", 0, suffix="txt")
    generate("generate without a prompt", USAGE, "--prompt", arguments=[])
    generate("generate of two kinds of prompts", USAGE, arguments=[*prompt, "--prompts", "x"])
    generate("generate of an empty prompt", DATA, "--prompt is empty", arguments=["--prompt", ""])
    generate("generate without a tokenizer", FILE, "tokenizer.json", "--tokenizer", model="bare")
    generate("generate with a foreign tokenizer", DATA, "token id", "vocabulary of 128", model="bare",
             arguments=["--prompt", "the cat sat on the mat", "--tokenizer", folder / "tok"])
    generate("generate from a missing file", FILE, "none.txt", arguments=["--prompts", folder / "none.txt"])
    prompts("generate from an empty file", b"", DATA, "prompts.txt holds no prompt", suffix="txt")
    prompts("generate from an empty line", b"the cat\n\nthe mat\n", DATA, "prompt 2 of", "is empty", suffix="txt")
    prompts("generate from a broken line", b'{"prompt": "the"}\n{"prompt": \n', DATA, "prompts.jsonl:2")
    prompts("generate from a line without a prompt", b'{"prompt": "the"}\n\n{"text": "cat"}\n', DATA, "prompts.jsonl:3", "prompt")
    prompts("generate from a prompt that is no text", b'{"prompt": 5}\n', DATA, "prompts.jsonl:1", "prompt")
    prompts("generate from lines that are no UTF-8", b"the c\xff\xfet\n", 0, suffix="txt", arguments=["--json"])
    long = b"the cat sat on the mat. " * 400
    prompts("generate behind all positions", b"a\n" + long, DATA, "prompt 2 of", "16 positions", suffix="txt")
    generate("generate beyond the positions", 0, "--max-new-tokens 400", "16 positions", "1 of 1",
             arguments=["--prompt", "a", "--greedy", "--ignore-eos", "--max-new-tokens", 400])
    for flag, value, *words in (("--max-new-tokens", 0), ("--max-new-tokens", "many"), ("--batch-size", 0), ("--threads", -1),
                                ("--temperature", -1), ("--temperature", "nan"), ("--top-k", -1), ("--top-p", 1.5), ("--min-p", -0.5),
                                ("--repetition-penalty", 0), ("--seed", "x"), ("--seed", -1), ("--dtype", "fp8"), ("--stop", "")):
        generate(f"generate {flag} {value}", USAGE, flag, arguments=[*prompt, flag, value])
    numbers(lambda *option: ["generate", "--model", folder / "ckpt", *prompt, *option],
            {"--max-new-tokens": [0, -1, 2**31, "1e3", "nan"], "--batch-size": [0, -1, 4097, 2**64], "--threads": [-1, 1025, 2**64],
             "--temperature": [-1, "nan", "inf", "-inf", "1e400", "hot", "1x"], "--top-k": [-1, 2**63, 2**64 + 1, 1.5, "nan"],
             "--top-p": [-0.1, 2, "nan", "inf"], "--min-p": [-0.5, 1.5, "nan"], "--repetition-penalty": [0, -1, "nan", "inf"],
             "--seed": [-1, 2**63, 2**64 + 1, "x", 0.5]}, folder)
    weights_that_are_not_finite(folder)
    generate("generate greedy and hot", USAGE, "--greedy", "--temperature", arguments=[*prompt, "--greedy", "--temperature", 1])
    generate("generate that does not fit", MEMORY, "8.0 MiB", "key/value cache", arguments=[*prompt, "--memory-limit", "8M"])
    generate("generate with a limit that is none", CONFIG, "lots", arguments=[*prompt, "--memory-limit", "lots"])


def weights_that_are_not_finite(folder):
    shutil.copytree(folder / "ckpt/global_step1", folder / "nan")
    (folder / "nan/checksums.xxh128").unlink()  # or it would be refused as damaged
    path = folder / "nan/model.safetensors"
    data = bytearray(path.read_bytes())
    header, = struct.unpack_from("<Q", data)
    begin, end = json.loads(data[8:8 + header])["model.norm.weight"]["data_offsets"]
    data[8 + header + begin:8 + header + end] = b"\xff\x7f" * ((end - begin) // 2)  # NaN in bf16, and in fp32
    path.write_bytes(data)
    for arguments in (["--greedy"], ["--temperature", 1], ["--json"], ["--dtype", "fp32"]):
        result = run(["generate", "--model", folder / "nan", "--prompt", "the", "--max-new-tokens", 8, *arguments], {}, folder)
        expect(f"generate {arguments[0]} with weights that are NaN", result, NUMERICS, str(folder / "nan"), "not finite", "position 1 of prompt 1")
        expect_lines(f"generate {arguments[0]} with weights that are NaN", result, "" if "--json" in arguments else "the\n")


def expect_lines(name, result, stdout):
    if result.stdout != stdout:
        failures.append(f"{name}: stdout is {result.stdout!r:.300}, not {stdout!r}")


def numbers(command, options, folder):
    """Numbers out of an option's range, and what is none: refused in a short line that names the option and the value."""
    for flag, values in options.items():
        for value in values:
            result = run(command(flag, value), {}, folder)
            name = f"{command()[0]} {flag} {value}"
            expect(name, result, USAGE, flag, str(value))
            if len(result.stderr) > 200 or result.stderr.count("\n") != 1:
                failures.append(f"{name}: the message is long: {result.stderr!r:.300}")


def number_cases(folder):
    (folder / "good.txt").write_text("the cat sat on the mat. " * 20)
    text = ["--input", folder / "good.txt"]
    count = [0, -1, 2**63, 2**64 + 1, "nan", "1.5", "x"]
    commands = {
        ("tokenizer", "train", *text, "--output", folder / "t"): {"--vocab-size": count, "--min-frequency": count, "--threads": [-1, 1025, "x"]},
        ("data", "tokenize", *text, "--output-prefix", folder / "o", "--tokenizer", folder / "t"): {
            "--shard-tokens": count, "--checkpoint-interval": [-1, "nan", "inf", "1e400", "x"], "--vocab-size": [*count, 2**31]},
        ("data", "inspect", folder / "o"): {"--samples": count[1:], "--sample-tokens": count},
        ("data", "verify", folder / "o"): {"--vocab-size": count, "--threads": [-1, 1025, "x"]},
        ("eval", "--model", folder / "m", "--text", folder / "good.txt"): {
            flag: count for flag in ("--seq-length", "--stride", "--batch-size", "--max-tokens")},
        ("checkpoint", "export", "--from", folder / "m", "--output", folder / "e"): {"--vocab-size": count},
        ("checkpoint", "import", "--from", folder / "m", "--output", folder / "e"): {"--pad-vocab-multiple": [*count, 2**20 + 1]},
    }
    for command, options in commands.items():
        numbers(lambda *option, command=command: [*command, *option], options, folder)
    for path in ("t", "o.bin", "e"):
        if (folder / path).exists():
            failures.append(f"{path} was written in spite of a wrong option")


def main():
    for cases in (configuration_cases, folder_cases, data_cases, output_cases, tool_cases, number_cases, out_of_memory_cases, evaluation_cases, disagreement_cases, pipe_cases,
                  checkpoint_cases, architecture_cases):
        with tempfile.TemporaryDirectory() as folder:
            cases(pathlib.Path(folder))
            left = [str(p) for p in pathlib.Path(folder).rglob("*.partial.*")]
            if left:
                failures.append(f"{cases.__name__}: partial files left behind: {left}")
    for failure in failures:
        print("FAILED", failure)
    print(f"{count} cases, {len(failures)} failures")
    sys.exit(1 if failures else 0)


main()
