"""Hostile inputs to every command, by table and by seeded mutation: numbers, texts, paths, damaged files of every kind, limits,
signals, environments. Each is judged by the same rules (Lab.judge): it ends in time, by itself, with a documented exit code and
one message that names what is wrong; what is accepted gives the right result; nothing half-written has a final name; inputs stay
as they are. What the program is known to do wrong is in KNOWN, which is reported and does not fail.

One input in HOSTILE_SHARE (8) is given, 1 gives all. HOSTILE_PART=name runs one part, HOSTILE_ONLY=word the cases whose names contain it; HOSTILE_ALL=1 shows each message."""

import gzip
import json
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import stat
import struct
import subprocess
import sys
import tempfile
import time
import unicodedata
import zlib

BOREALIS = os.path.abspath(os.environ["BOREALIS"])
ONLY = os.environ.get("HOSTILE_ONLY", "")
PART = os.environ.get("HOSTILE_PART", "")
SHOW = bool(os.environ.get("HOSTILE_ALL"))
SHARE = int(os.environ.get("HOSTILE_SHARE", "8"))  # one input in so many is given, by its name; 1: all
USAGE, CONFIG, FILE, DATA, MEMORY, NUMERICS = 1, 2, 3, 4, 5, 6
REFUSED = (USAGE, CONFIG, FILE, DATA, MEMORY)
TIMEOUT_S = 60
GIB = 1 << 30
SHAPE = ["--num-layers", 1, "--hidden-size", 32, "--num-attention-heads", 2, "--num-key-value-heads", 1, "--ffn-hidden-size", 48,
         "--seq-length", 16, "--micro-batch-size", 1, "--no-progress", "--threads", 1]
TRACES = (b"internal error", b"terminate called", b"AddressSanitizer", b"runtime error:", b"libgomp", b"Segmentation", b"Assertion",
          b"std::", b"basic_string", b"nlohmann", b"vector::", b"map::at", b"stoi", b"CLI11", b"bad_alloc")

# name of a case (* stands for anything) -> why it is wrong
KNOWN = {
    "limits: -d 16M, *": "libgomp ends the process with exit code 1 and its own words",
    "environments: without values, *": "libgomp writes its own complaint about an empty OMP_NUM_THREADS",
    "environments: OMP_*": "libgomp writes its own complaint in front of the program's message, or where all goes well",
    "environments: GOMP_CPU_AFFINITY=99999, *": "libgomp writes its own complaint",
}

failures, known, skipped = [], {}, []
counts = {}


def known_reason(name):
    for key, reason in KNOWN.items():
        if re.fullmatch(".*".join(map(re.escape, key.split("*"))), name, re.DOTALL):
            return key, reason
    return None, None


def report(name, problems, result=None):
    part = name.split(":")[0]
    counts[part] = counts.get(part, 0) + 1
    if not problems:
        return
    key, reason = known_reason(name)
    severe = [problem for problem in problems if re.match("hangs|killed by|exit code 1[0-9][0-9]|inputs changed|accepted", problem)]
    if key is not None and (not severe or reason.startswith(("SIGABRT", "taken", "hangs", "exit code"))):
        known.setdefault(key, []).append(name)
        return
    text = "" if result is None else f"\n    stderr: {result.stderr[:700]!r}\n    stdout: {result.stdout[-200:]!r}"
    failures.append(f"{name}: {'; '.join(problems)}{text}")


def skip(name, why):
    skipped.append(f"{name} ({why})")


def tree(folder):
    """What lies below a folder, to see whether anything there changed."""
    found = {}
    for at, folders, files in os.walk(os.fsencode(folder)):
        for file in files + folders:
            status = os.lstat(os.path.join(at, file))
            changes = (status.st_size, status.st_mtime_ns, status.st_ino) if not stat.S_ISDIR(status.st_mode) else ()
            found[os.path.join(at, file)] = (status.st_mode, *changes)
    return found


def limited(limits):
    """What a child is held to: never more than 4 GiB, no core files, no file of more than 512 MiB."""
    limits = {resource.RLIMIT_AS: 4 * GIB, resource.RLIMIT_FSIZE: GIB // 2, resource.RLIMIT_CORE: 0} | limits

    def apply():
        for kind, value in limits.items():
            resource.setrlimit(kind, (value, value))
    return apply


def encoded(argument):
    return argument if isinstance(argument, bytes) else os.fsencode(str(argument))


def raw_controls(text):
    """Control characters that a terminal would obey."""
    return sorted({c for c in text.decode(errors="replace") if unicodedata.category(c) == "Cc" and c not in "\n\t"})


def messages(stderr):
    """The message of a failed command: what is no line of the log."""
    lines = [line for line in stderr.decode(errors="replace").split("\n") if line and not re.match(r"\[\d{4}-\d\d-\d\d ", line)]
    return lines


class Lab:
    def __init__(self, folder):
        self.folder = folder
        self.inputs = folder / "in"
        self.out = folder / "out"
        self.out.mkdir()
        self.inputs.mkdir()
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
        self.guarded = {}
        self.make_inputs()
        self.guard()

    def guard(self, *folders):
        self.guarded = {folder: tree(folder) for folder in (self.inputs, *folders)}

    def run(self, arguments, env=None, cwd=None, stdin=b"", limits=None, whole_env=None, before=None, timeout=TIMEOUT_S, **streams):
        """A finished process; returncode None after a hang."""
        environment = self.environment | (env or {}) if whole_env is None else whole_env
        environment = {encoded(name): encoded(value) for name, value in environment.items() if value is not None}
        apply = limited(limits or {})

        def prepare():
            apply()
            if before:
                before()
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | streams
        command = [encoded(a) for a in ([BOREALIS, *arguments])]
        process = subprocess.Popen(command, cwd=cwd or self.folder, env=environment, stdin=subprocess.PIPE, preexec_fn=prepare, **streams)
        try:
            out, err = process.communicate(stdin, timeout=timeout)
            code = process.returncode
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            code = None
        return subprocess.CompletedProcess(arguments, code, out or b"", err or b"")

    def good(self, *arguments, **how):
        result = self.run(arguments, **how)
        assert result.returncode == 0, (arguments, result)
        return result

    def clear(self):
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.mkdir()

    def case(self, name, arguments, codes=(0, *REFUSED), words=(), same=None, left=(), signals=(), lines=8, check=None, make=None,
             **how):
        """One input. `codes`: what it may end with. `words`: what a failure has to say, a tuple among them: one of those. `same`:
        (reader, value): what an accepted input gives. `left`: patterns of what may be in the output folder after a failure."""
        if left_out(name):
            return None
        self.clear()
        if make:
            make()
        result = self.run(arguments, **how)
        problems = self.judge(result, codes, words, same, left, signals, lines)
        if check:
            problems += check(result)
        if SHOW:
            print(f"{name}: {result.returncode} {(result.stderr or result.stdout)[-300:]!r}")
        report(name, problems, result)
        return result

    def judge(self, result, codes, words, same, left, signals, lines):
        code, both = result.returncode, result.stdout + result.stderr
        if code is None:
            return ["hangs"]
        problems = [f"killed by {signal.Signals(-code).name}"] if code < 0 and -code not in signals else []
        if code > NUMERICS and code - 128 not in signals:
            problems.append(f"exit code {code} is none that is documented")
        elif code >= 0 and code not in codes and code - 128 not in signals:
            problems.append(f"exit code {code}, not one of {codes}")
        problems += [f"says {trace.decode()!r}" for trace in TRACES if trace in both]
        if controls := raw_controls(result.stderr):
            problems.append(f"raw control characters {controls} on the standard error")
        if 0 < code <= NUMERICS:
            problems += self.message_problems(result, words, lines)
        if code != 0:
            problems += self.leftover_problems(left)
        elif same and not problems:
            reader, value = same
            got = reader(result)
            if got != value:
                problems.append(f"accepted, and gives {str(got)[:200]!r} for {str(value)[:200]!r}")
        for folder, before in self.guarded.items():
            after = tree(folder)
            # A run whose data is named otherwise has sample indices of its own.
            changed = [name for name in before | after if before.get(name) != after.get(name) and not (b"/cache/" in name and name not in before)]
            if changed:
                problems.append(f"inputs changed: {changed[:3]}")
                self.guarded[folder] = after
        return problems

    @staticmethod
    def message_problems(result, words, most_lines):
        lines = messages(result.stderr)
        starts = [line for line in lines if line.startswith("borealis: ")]
        problems = []
        if len(starts) != 1:
            problems.append(f"{len(starts)} messages that start with 'borealis: '")
        elif not lines[0].startswith("borealis: "):
            problems.append(f"there is text before the message: {lines[0][:100]!r}")
        if len(lines) > most_lines:
            problems.append(f"a message of {len(lines)} lines")
        if len(result.stderr) > 20000:
            problems.append(f"a message of {len(result.stderr)} bytes")
        text = (result.stdout + result.stderr).decode(errors="replace")  # the log may name the file
        for word in words:
            choices = word if isinstance(word, tuple) else (word,)
            if not any(choice in text for choice in choices):
                problems.append(f"does not say {' or '.join(map(repr, choices))}")
        return problems

    def leftover_problems(self, left):
        found = [path.relative_to(self.out) for path in self.out.rglob("*") if not path.is_dir() or re.search(r"\.(partial|old)\.", path.name)]
        found = [str(path) for path in found if not any(path.match(pattern) or any(p.match(pattern) for p in path.parents) for pattern in left)]
        return [f"left behind: {found[:4]}"] if found else []

    # The inputs: text, a tokenizer, data, checkpoints, a run.

    def make_inputs(self):
        generator = random.Random(1)
        words = "the cat sat on a mat and dog ran in rain".split()
        texts = [" ".join(generator.choices(words, k=generator.randrange(8, 30))) for _ in range(40)]
        i = self.inputs
        (i / "text.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        (i / "good.txt").write_text("the cat sat on the mat and the dog ran in the rain. " * 10)
        (i / "prompts.jsonl").write_text('{"prompt": "the cat"}\n{"prompt": "a dog"}\n')
        (i / "prompts.txt").write_text("the cat\na dog\n")
        (i / "numbers.txt").write_text("1 2 3 4 5 6 7 8 9 10 11 12\n")
        self.good("tokenizer", "train", "--input", i / "text.jsonl", "--vocab-size", 270, "--output", i / "tok")
        self.good("data", "tokenize", "--input", i / "text.jsonl", "--tokenizer", i / "tok", "--output-prefix", i / "set")
        (i / "list.txt").write_text(f"1.0 {i}/set corpus\n")
        made = json.loads((i / "tok/tokenizer.json").read_text())
        (i / "gpt2").mkdir()
        (i / "gpt2/vocab.json").write_text(json.dumps(made["model"]["vocab"]))
        merges = [m if isinstance(m, str) else " ".join(m) for m in made["model"]["merges"]]
        (i / "gpt2/merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
        self.good(*self.train_arguments(4), "--eval-interval", 2, "--eval-iters", 1, "--save-interval", 4, "--run-dir", i / "run", "--save",
                  i / "ckpt", "--profile", "--profile-step-start", 2, "--profile-step-end", 3, cwd=i)
        self.model = i / "ckpt/global_step4"
        self.good("checkpoint", "export", "--from", i / "ckpt", "--output", i / "sharded", "--max-shard-size", 30000)

    def train_arguments(self, iterations=4, cache=None):
        i = self.inputs
        return ["train", *SHAPE, "--data-file-list", i / "list.txt", "--tokenizer-model", i / "tok", "--split", "8,1,1", "--train-iters", iterations,
                "--data-cache-path", cache or self.out / "cache"]


def left_out(name):
    if ONLY or PART:
        return ONLY not in name
    return zlib.crc32(name.encode()) % SHARE != 0


def document(result):
    return json.loads(result.stdout)


def evaluated(result):
    found = document(result)
    return {key: found[key] for key in ("loss", "documents", "tokens", "bytes", "windows")}


def without_times(found):
    """A document without what differs from run to run."""
    if isinstance(found, dict):
        changing = re.compile(r"seconds|per_s|peak_memory|planned_memory|free|limit|written|version|_ms$|program|^memory$|^notes$")
        return {key: without_times(value) for key, value in found.items() if not changing.search(key)}
    return [without_times(value) for value in found] if isinstance(found, list) else found


def stable(result):
    """What a command printed, without what differs from run to run."""
    try:
        return without_times(document(result))
    except ValueError:
        return re.sub(rb"\[\d{4}-[^]]*\]", b"", re.sub(rb"[\d.]+ (s|MB/s)\b", b"", result.stdout))


# Numbers: each text is refused by the option's name, or means what it says.

NUMBERS = ["", " ", "abc", "-", "+", "0x10", "0X1p3", "0b11", "012", "08", "+5", " 5", "5 ", "5\n", "5\t", "1_0", "1'0", "1,5", "1.5", "2.0", "1e1", "1e308", "1e309",
           "-1e309", "1e-400", "nan", "-nan", "NaN", "nan(1)", "inf", "-inf", "Infinity", "-0", "-1", "0", "00000000000000000000000005", "2147483647", "2147483648",
           "4294967297", "9223372036854775807", "9223372036854775808", "18446744073709551617", "-9223372036854775809", "9" * 400, "\uff15", "\u0665", "5\u00a0", "\u00bd",
           "5\x1b[31m", b"5\xff", "5;id", "$(id)", "5%s%n", "true", "None", "0.1.2", "--", "--json"]


def meaning(text, whole):
    """The plain spelling of a number, None if it is none."""
    text = text.decode(errors="replace") if isinstance(text, bytes) else text
    plain = text.strip(" \t\n")
    if not plain.isascii():
        return None
    if re.fullmatch(r"[+-]?\d+", plain):
        return str(int(plain))
    if whole:
        return str(int(plain, 16)) if re.fullmatch(r"0[xX][0-9a-fA-F]+", plain) else None
    if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", plain):
        value = float(plain)
        return repr(value) if abs(value) != float("inf") else None
    return repr(float.fromhex(plain)) if re.fullmatch(r"0[xX][0-9a-fA-F.]+([pP][+-]?\d+)?", plain) else None


def numbers(lab):
    i, out = lab.inputs, lab.out
    null = ["--tokenizer-type", "NullTokenizer"]
    text = ["--text", i / "good.txt", "--json"]
    prompt = ["--prompt", "the cat", "--json"]
    batches = ["--data-file-list", i / "list.txt", "--tokenizer-model", i / "tok", "--split-", "8,1,1", "--seq-length", 16, "--train-iters", 4, "--data-cache-path", out / "c"]
    batches[4:6] = []
    tokenize = ["data", "tokenize", "--input", i / "text.jsonl", "--output-prefix", out / "o", "--json"]
    numbered = ["data", "tokenize", "--input", i / "numbers.txt", "--output-prefix", out / "o", "--json", *null]
    commands = {  # options of whole numbers, and of other ones
        "data inspect": (["data", "inspect", i / "set", "--json"], "--samples --sample-tokens", ""),
        "data tokenize": ([*tokenize, "--tokenizer", i / "tok"], "--threads --shard-tokens", "--checkpoint-interval"),
        "data tokenize null": (numbered, "--vocab-size", ""),
        "data verify": (["data", "verify", i / "set", "--json"], "--vocab-size --threads", ""),
        "data batches": (["data", "batches", *batches], "--steps --consumed-samples --world-size", ""),
        "data blend": (["data", "blend", "--json", *batches], "--world-size", ""),
        "tokenizer train": (["tokenizer", "train", "--input", i / "text.jsonl", "--output", out / "t", "--json"], "--vocab-size --min-frequency --threads", ""),
        "generate": (["generate", "--model", lab.model, *prompt], "--max-new-tokens --top-k --seed --batch-size --threads",
                     "--temperature --top-p --min-p --repetition-penalty"),
        "eval": (["eval", "--model", lab.model, *text], "--seq-length --stride --batch-size --max-tokens --threads", ""),
        "checkpoint export": (["checkpoint", "export", "--from", lab.model, "--output", out / "e"], "--vocab-size", ""),
        "checkpoint import": (["checkpoint", "import", "--from", i / "sharded", "--output", out / "i"], "--pad-vocab-multiple", ""),
    }
    for command, (arguments, whole, other) in commands.items():
        for option in whole.split():
            number_cases(lab, f"numbers: {command} {option}", arguments, option, True)
        for option in other.split():
            number_cases(lab, f"numbers: {command} {option}", arguments, option, False)


def some_numbers(seed, count):
    """Those that were found to be taken wrong somewhere, and some others."""
    always = ["012", "", "nan", "9223372036854775807"]
    return [*always, *random.Random(seed).sample([text for text in NUMBERS if text not in always], count)]


def number_cases(lab, name, arguments, option, whole):
    reference = {}
    for text in some_numbers(name, 7):
        plain = meaning(text, whole)
        shown = text if isinstance(text, str) else text.decode(errors="replace")
        case = f"{name} {shown[:30]!r}"
        if left_out(case):
            continue
        if plain is None:
            lab.case(case, [*arguments, option, text], codes=(USAGE, CONFIG), words=[option])
            continue
        if plain not in reference:
            lab.clear()
            result = lab.run([*arguments, option, plain])
            reference[plain] = (result.returncode, stable(result))
        code, value = reference[plain]
        # What the plain spelling is refused for, or a stricter reader, is no fault.
        lab.case(case, [*arguments, option, text], codes=(0, *REFUSED) if code else (0, USAGE, CONFIG), words=[] if code > CONFIG else [option],
                 same=(stable, value) if code == 0 else None, left=["o.tokenizing/*", "c/*"],
                 check=(lambda result: [f"accepted, unlike {plain}"] if result.returncode == 0 else []) if code else None)


WHOLE_SETTINGS = """NLAYERS HIDDEN HEADS NUM_KV_HEAD FFN_HIDDEN_SIZE SEQ MICRO_BATCH GRAD_ACC_STEPS GLOBAL_BATCH ACT_CKPT_NUM_LAYERS LR_DECAY_ITERS
    TRAIN_TOKENS TRAIN_ITERS EVAL_INTERVAL EVAL_ITERS SAVE_INTERVAL LOG_INTERVAL TIMING_LOG_LEVEL TP WORLD_SIZE ZERO_STAGE
    --num-layers --kv-channels --vocab-size --no-rope-layer-interval --max-skipped-steps --skip-grad-norm-window --exit-interval --seed --eod-token-id
    --keep-last --keep-every --profile-step-start --profile-step-end --threads --train-iters-to-skip""".split()
OTHER_SETTINGS = """TRAIN_SPLIT VAL_SPLIT ROPE_THETA LR LR_WARMUP_FRAC WEIGHT_DECAY ADAM_BETA1 ADAM_BETA2 ADAM_EPS CLIP_GRAD --rms-norm-eps --init-method-std --min-lr
    --lr_constant_plus_cooldown_frac --constant-lr --cooldown-fraction --constant-fraction --skip-grad-norm-factor --exit-duration-in-mins""".split()


def settings(lab):
    """Of `plan`, which reads the settings of `train`: some numbers of each, another choice for every setting."""
    base = ["plan", "--json", "--mock-data", "--memory-limit", "1GiB"]
    given = {"NLAYERS": "1", "HIDDEN": "32", "HEADS": "2", "NUM_KV_HEAD": "1", "FFN_HIDDEN_SIZE": "48", "SEQ": "16", "TRAIN_ITERS": "4", "VOCAB": None}
    for number, setting in enumerate(WHOLE_SETTINGS + OTHER_SETTINGS):
        whole = setting in WHOLE_SETTINGS
        for text in some_numbers(number, 3):
            environment = {key: value for key, value in given.items() if not (key == "TRAIN_ITERS" and setting == "TRAIN_TOKENS")}
            arguments = [*base, *([] if setting == "--vocab-size" else ["--vocab-size", 128])]
            plain = meaning(text, whole)
            named = [(setting, "layers" if "layers" in setting else setting)]

            def put(value, arguments=arguments, environment=environment, setting=setting):
                if setting.startswith("--"):
                    return {"arguments": [*arguments, setting, value], "env": environment}
                return {"arguments": arguments, "env": environment | {setting: value}}
            shown = text if isinstance(text, str) else text.decode(errors="replace")
            name = f"settings: {setting} {shown[:30]!r}"
            if left_out(name):
                continue
            if isinstance(text, str) and not text.strip() and not setting.startswith("--"):  # an empty variable is an unset one
                unset = stable(lab.run(base + ["--vocab-size", 128], env=environment | {setting: None}))
                lab.case(name, **put(text), codes=(0,), same=(stable, unset))
                continue
            if plain is None:
                lab.case(name, **put(text), codes=(USAGE, CONFIG), words=named, lines=12)
                continue
            reference = lab.run(**put(plain))
            lab.case(name, **put(text), codes=(0, USAGE, CONFIG, MEMORY), words=[] if reference.returncode == MEMORY else named, lines=60,
                     same=(stable, stable(reference)) if reference.returncode == 0 else None,
                     check=(lambda result: ["accepted, unlike the plain number"] if result.returncode == 0 else []) if reference.returncode else None)


# Texts.

TEXTS = {
    "empty": "", "space": " ", "megabyte": "x" * 120_000, "newlines": "a\nb\r\nc\n", "forged message": "x\nborealis: file: forged",
    "forged log": "x\n[2026-01-01 00:00:00,000000][E][a.cpp:1:f] forged", "escaped NUL": "a\\0b\\x00", "invalid UTF-8": b"\xff\xfe\xc3(", "cut UTF-8": b"ab\xe2\x82",
    "surrogates": b"\xed\xa0\x80", "overlong": b"\xc0\x80", "ESC": "\x1b[31mred\x1b]0;title\x07", "C1": "\u009b31m", "right to left": "\u202egnp.exe", "DEL": "a\x7fb",
    "shell": "$(touch pwned);`id`|&>x", "format": "%s%n%d{}{0}{:d}", "quotes": "'\"\\'\"", "option": "--help", "equals": "a=b=c", "comma": ",,,", "glob": "[*?",
    "braces": "{a,b}", "at": "@file", "tilde": "~", "json": '{"a":1}', "unicode": "naïve-東-🙂", "zero width": "a\u200bb", "backspace": "abc\b\b\bxyz", "star": "*",
}


def texts(lab):
    """Where a name or a choice is meant: refused by the option's name, or taken as it is."""
    i, out = lab.inputs, lab.out
    tokenize = ["data", "tokenize", "--input", i / "text.jsonl", "--tokenizer", i / "tok", "--output-prefix", out / "o"]
    plan = ["plan", "--mock-data", "--vocab-size", 128, "--json", "--memory-limit", "1GiB"]
    model = ["--model", lab.model]
    data = ["--data-file-list", i / "list.txt", "--seq-length", 16, "--train-iters", 4, "--tokenizer-model", i / "tok", "--data-cache-path", out / "c"]
    choices = [("plan", [*plan, option]) for option in ("--dtype", "--model-arch", "--lr-decay-style", "--optimizer", "--init", "--loss-mean", "--log-level", "--memory-limit",
                                                        "--split", "--distributed-backend", "--tie-word-embeddings", "--train-range-to-skip", "--cpu-isa")]
    choices += [("generate", ["generate", *model, "--prompt", "the cat", option]) for option in ("--dtype", "--memory-limit", "--tokenizer-type")]
    choices += [("eval", ["eval", *model, "--text", i / "good.txt", option]) for option in ("--dtype", "--format", "--tokenizer-type")]
    choices += [("data tokenize", [*tokenize, option]) for option in ("--format", "--tokenizer-type")]
    choices += [("data batches", ["data", "batches", *data, option]) for option in ("--split", "--tokens")]
    choices += [("data blend", ["data", "blend", *data, "--split"])]
    choices += [("checkpoint export", ["checkpoint", "export", "--from", i / "ckpt", "--output", out / "e", option]) for option in ("--dtype", "--max-shard-size", "--tokenizer-type")]
    choices += [(command or "borealis", [*command.split()]) for command in ("", "data", "checkpoint", "tokenizer", "plan", "report", "data inspect")]
    for number, (command, arguments) in enumerate(choices):
        option = str(arguments[-1]) if len(arguments) > 2 else ""
        for label in random.Random(number).sample(list(TEXTS), 5):
            if label == "option" or (option.startswith("--tokenizer-type") or option == "--tie-word-embeddings") and label == "empty":
                continue
            words = [option] if option and command != "plan" else []
            lab.case(f"texts: {command} {option} {label}", [*arguments, TEXTS[label]], codes=REFUSED, words=words, left=["c/*"], lines=12,
                     **({"cwd": out} if not option else {}))
    for label, text in TEXTS.items():  # Settings of a plain text, in the environment.
        for number, name in enumerate(("MODEL_ARCH", "DTYPE", "OPT", "LR_DECAY_STYLE", "TOKENIZER_TYPE", "MEMORY_LIMIT", "LAUNCH_WITH", "WANDB_MODE", "LOG_LEVEL", "CCL")):
            if (len(label) + number) % 4 or label in ("empty", "space"):
                continue
            lab.case(f"texts: {name} {label}", ["plan", "--mock-data", "--json"], env={name: text}, codes=(CONFIG,), words=[name], lines=12)
    # Texts that are taken as they are.
    for label, text in TEXTS.items():
        lab.case(f"texts: --prompt {label}", ["generate", *model, "--prompt", text, "--max-new-tokens", 2, "--greedy", "--json"], codes=(0, USAGE, DATA, FILE), words=["--prompt"] if label != "megabyte" else [],
                 check=lambda result, text=text: prompt_problems(result, text))
        lab.case(f"texts: --stop {label}", ["generate", *model, "--prompt", "the cat", "--max-new-tokens", 2, "--stop", text, "--json"], codes=(0, USAGE), words=["--stop"])
        lab.case(f"texts: --corpus {label}", [*tokenize, "--shard-tokens", 400, "--corpus", text], codes=(0, USAGE, CONFIG, FILE), words=["--corpus"],
                 check=lambda result: list_problems(lab, result))
        lab.case(f"texts: --json-key {label}", ["eval", *model, "--text", write_key(lab, text), "--json-key", text, "--json"], codes=(0, USAGE, DATA),
                 words=["--json-key"] if label == "empty" else [], check=lambda result: [] if result.returncode == 0 or text_is_bad(result) else [])


def text_is_bad(result):
    return b"--json-key" in result.stderr


def write_key(lab, text):
    """A line whose only key is this text, where JSON can say it."""
    path = lab.folder / "key.jsonl"
    key = text if isinstance(text, str) else text.decode(errors="replace")
    path.write_text(json.dumps({key: "the cat sat on the mat"}) + "\n")
    return path


def prompt_problems(result, text):
    if result.returncode != 0:
        return []
    found = document(result)["texts"][0]["prompt"]
    expected = text if isinstance(text, str) else text.decode(errors="replace")
    return [] if found == expected else [f"the prompt comes back as {found[:80]!r}"]


def list_problems(lab, result):
    """The list that `data tokenize` writes is one that can be read."""
    if result.returncode != 0:
        return []
    blend = lab.run(["data", "blend", "--data-file-list", lab.out / "o.list", "--seq-length", 16, "--train-iters", 4, "--split-", "1,0,0"][:-2]
                    + ["--tokenizer-model", lab.inputs / "tok", "--json"], env={"VAL_SPLIT": "0", "TRAIN_SPLIT": "1"}, cwd=lab.out)
    return [] if blend.returncode == 0 else [f"its list cannot be read: {blend.stderr.decode(errors='replace')[:200]}"]


# Paths.

def hostile_paths(lab, good):
    """(label, path, whether it is the good input by another name) in place of a good path."""
    here = lab.folder / "paths"
    shutil.rmtree(here, ignore_errors=True)
    here.mkdir()
    for name, target in (("dangling", here / "nowhere"), ("cycle", here / "cycle"), ("link", good)):
        (here / name).symlink_to(target)
    (here / "folder").mkdir()
    (here / "file").write_text("x\n")
    name = good.name
    copies = {"spaces": f"with  two spaces {name}", "newline": f"line\nborealis: file: no {name}", "non-UTF-8": b"\xff\xfe" + os.fsencode(name), "ESC": f"\x1b[2J{name}",
              "quotes": f"'\"$(id) {name}", "glob": f"[a-c]*? {name}", "leading dash": f"-{name}"}
    found = [("missing", here / "none", False), ("missing ESC", str(here / "\x1b[2Jnone"), False), ("missing newline", str(here / "a\nborealis: data: forged"), False),
             ("missing non-UTF-8", os.fsencode(here) + b"/\xff\xfe", False), ("missing C1", str(here / "\u009b2J"), False), ("dangling link", here / "dangling", False),
             ("cyclic link", here / "cycle", False), ("empty", "", False), ("longer than PATH_MAX", "a/" * 2500 + "x", False), ("longer than NAME_MAX", str(here / ("n" * 300)), False),
             ("below a file", here / "file/x", False), ("/dev/null", "/dev/null", False), ("/dev/zero", "/dev/zero", False), ("/dev/full", "/dev/full", False),
             ("/proc/self/mem", "/proc/self/mem", False), ("/proc/self", "/proc/self", False), ("/proc/kmsg", "/proc/self/fd/0", False), ("root", "/", False), ("an empty folder", here / "folder", False),
             ("a file of a byte", here / "file", False), ("~", "~/none", False), ("dot", ".", False),
             ("by ..", str(here / ".." / good.relative_to(lab.folder)), True), ("a link", here / "link", True), ("twice slashed", str(good).replace("/", "//"), True)]
    for label, copy in copies.items():
        target = os.path.join(os.fsencode(here), encoded(copy))
        (shutil.copytree if good.is_dir() else shutil.copy)(os.fsencode(good), target)
        found.append((f"named with {label}", target, True))
    return found


def paths(lab):
    i, out = lab.inputs, lab.out
    data = ["--seq-length", 16, "--train-iters", 4, "--data-cache-path", out / "c"]
    P = object()  # the place of the path
    numbers = ["--tokenizer-type", "GPT2BPETokenizer"]
    commands = {
        "data tokenize --input": (["data", "tokenize", "--input", P, "--format", "jsonl", "--tokenizer", i / "tok", "--output-prefix", out / "o", "--json"], i / "text.jsonl"),
        "data tokenize --tokenizer": (["data", "tokenize", "--input", i / "text.jsonl", "--tokenizer", P, "--output-prefix", out / "o", "--json"], i / "tok"),
        "data tokenize --vocab-file": (["data", "tokenize", "--input", i / "text.jsonl", *numbers, "--vocab-file", P, "--merge-file", i / "gpt2/merges.txt", "--output-prefix",
                                        out / "o", "--json"], i / "gpt2/vocab.json"),
        "data tokenize --merge-file": (["data", "tokenize", "--input", i / "text.jsonl", *numbers, "--merge-file", P, "--vocab-file", i / "gpt2/vocab.json", "--output-prefix",
                                        out / "o", "--json"], i / "gpt2/merges.txt"),
        "data inspect": (["data", "inspect", "--json", P], i / "set.idx"),
        "data inspect --tokenizer": (["data", "inspect", "--json", i / "set", "--tokenizer", P], i / "tok/tokenizer.json"),
        "data merge": (["data", "merge", "--json", P, "--output-prefix", out / "o", "--without-record"], i / "set.idx"),
        "data verify": (["data", "verify", "--json", P, "--vocab-size", 270], i / "set.idx"),
        "data batches --data-file-list": (["data", "batches", *data, "--data-file-list", P, "--tokenizer-model", i / "tok"], i / "list.txt"),
        "data blend --data-file-list": (["data", "blend", "--json", *data, "--data-file-list", P, "--tokenizer-model", i / "tok"], i / "list.txt"),
        "tokenizer train --input": (["tokenizer", "train", "--json", "--format", "jsonl", "--vocab-size", 270, "--input", P, "--output", out / "t"], i / "text.jsonl"),
        "generate --model": (["generate", "--json", "--greedy", "--max-new-tokens", 2, "--prompt", "a", "--model", P], lab.model),
        "generate --prompts": (["generate", "--json", "--greedy", "--max-new-tokens", 2, "--model", lab.model, "--prompts", P], i / "prompts.txt"),
        "generate --tokenizer": (["generate", "--json", "--greedy", "--max-new-tokens", 2, "--model", lab.model, "--prompt", "a", "--tokenizer", P], i / "tok"),
        "eval --model": (["eval", "--json", "--text", i / "good.txt", "--model", P], i / "sharded"),
        "eval --text": (["eval", "--json", "--format", "text", "--model", lab.model, "--text", P], i / "good.txt"),
        "eval --data": (["eval", "--json", "--model", lab.model, "--data", P], i / "set.idx"),
        "checkpoint export --from": (["checkpoint", "export", "--output", out / "e", "--from", P], lab.model),
        "checkpoint export --tokenizer": (["checkpoint", "export", "--output", out / "e", "--from", lab.model, "--tokenizer", P], i / "tok"),
        "checkpoint import": (["checkpoint", "import", "--output", out / "m", "--from", P], i / "sharded"),
        "checkpoint inspect": (["checkpoint", "inspect", "--json", P], lab.model),
        "checkpoint diff": (["checkpoint", "diff", "--json", i / "sharded", P], lab.model),
        "checkpoint verify": (["checkpoint", "verify", "--json", P], lab.model),
        "plan --model-arch": (["plan", "--json", "--mock-data", "--model-arch", P], i / "sharded"),
    }
    for command, (arguments, good) in commands.items():
        how = {"stdin": b""}
        place = arguments.index(P)
        lab.clear()
        base = lab.run([good if a is P else a for a in arguments], **how)
        assert base.returncode == 0, (command, base)
        value = path_free(base)
        for label, path, is_good in hostile_paths(lab, good):
            given = [path if a is P else a for a in arguments]
            if "prefix" not in command and good.suffix == ".idx" and is_good:
                # A pair has two files: its other names need both, and the record.
                base_name = encoded(path)[:-4] if encoded(path).endswith(b".idx") else None
                if base_name is None:
                    continue
                for suffix in (b".bin", b".meta.json"):
                    if not os.path.exists(base_name + suffix):
                        shutil.copy(os.fsencode(i / "set") + suffix, base_name + suffix)
            if label == "named with leading dash" or label == "empty" and command in ("data tokenize --tokenizer", "generate --tokenizer", "data inspect --tokenizer",
                                                                                  "checkpoint export --tokenizer", "plan --model-arch", "data blend --tokenizer-model", "data blend --data-file-list", "data batches --data-file-list"):
                continue
            option = str(arguments[place - 1])
            shown = encoded(path).rsplit(b"/", 1)[-1].decode(errors="replace")
            plain = shown.isprintable() and 0 < len(shown) < 40
            # What has no size reads as an empty file, and of several inputs none is named for that.
            named = [tuple({shown, option, "usage:"})] if plain and label not in ("root", "dot", "/proc/kmsg", "/proc/self/mem") else []
            codes = (0, USAGE) if is_good else (0, *REFUSED) if label == "a file of a byte" and command in ("eval --text", "generate --prompts") else REFUSED
            lab.case(f"paths: {command} {label}", given, codes=codes, words=named, left=["c/*"], lines=10, **how,
                     same=(path_free, value) if is_good else None)


def path_free(result):
    found = stable(result)
    if isinstance(found, bytes):
        return len(re.findall(rb"(?:wrote|merged)", found))
    for name in ("notes", "prefix", "model", "source", "a", "b", "folder", "files", "record", "file_list", "problems", "path", "pairs", "folders", "inputs", "sources", "file", "corpora", "name", "architecture", "run", "list", "data_file_list"):
        found.pop(name, None)
    return found


# Outputs in hostile places.

def outputs(lab):
    i, out = lab.inputs, lab.out
    P = object()
    train = [*lab.train_arguments(1), "--eval-interval", 0]
    commands = {
        "data tokenize": ["data", "tokenize", "--input", i / "text.jsonl", "--tokenizer", i / "tok", "--output-prefix", P],
        "data merge": ["data", "merge", i / "set", "--output-prefix", P],
        "tokenizer train": ["tokenizer", "train", "--input", i / "text.jsonl", "--vocab-size", 270, "--output", P],
        "checkpoint export": ["checkpoint", "export", "--from", lab.model, "--output", P],
        "checkpoint export --overwrite": ["checkpoint", "export", "--from", lab.model, "--overwrite", "--output", P],
        "checkpoint import": ["checkpoint", "import", "--from", i / "sharded", "--output", P],
        "train --run-dir": [*train, "--no-save", "--run-dir", P],
        "train --save": [*train, "--run-dir", out / "run", "--save", P],
        "train --data-cache-path": [a if a != out / "cache" else P for a in train] + ["--no-save", "--run-dir", out / "run"],
    }
    for command, arguments in commands.items():
        prefix = command.startswith("data")
        heavy = command.startswith("train")
        places = {"empty": "", "below a file": i / "good.txt/x", "longer than PATH_MAX": "a/" * 2500 + "x", "longer than NAME_MAX": out / ("n" * 300), "a tokenizer": out / "taken",
                  "the input": i / "set" if command == "data merge" else i / "good.txt", "/proc": "/proc/borealis-test", "dangling": out / "dangling",
                  "cycle": out / "cycle", "null": out / "null", "occupied": out / "occupied", "read-only by name": "/proc/self/x"}
        for label, place in places.items():
            if heavy and label in ("empty", "longer than PATH_MAX") or prefix and label == "null" or label == "the input" and command == "data tokenize":
                continue
            refused = (USAGE, CONFIG, FILE, DATA)
            codes = (0, *refused) if label in ("dangling", "occupied", "a tokenizer") or prefix and label == "cycle" or command == "train --data-cache-path" else refused

            def before(label=label):
                (out / "dangling").symlink_to(out / "target")
                (out / "cycle").symlink_to(out / "cycle")
                if os.geteuid() == 0:
                    os.mknod(out / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
                shutil.copytree(i / "tok", out / "taken")
                (out / "taken/tokenizer_config.json").write_bytes((i / "tok/tokenizer_config.json").read_bytes().rstrip() + b"\n\n")
                (out / "occupied").mkdir()
                (out / "occupied/mine.txt").write_text("mine")

            def check(result, command=command):
                problems = [] if (out / "occupied/mine.txt").read_text() == "mine" else ["a file of the user's is gone"]
                if os.geteuid() == 0 and not stat.S_ISCHR(os.lstat(out / "null").st_mode):
                    problems.append("a device is no device any more")
                kept = (out / "taken/tokenizer_config.json").read_bytes().endswith(b"\n\n")
                if command.startswith("checkpoint") and not kept:
                    problems.append("another's tokenizer was replaced")
                return problems + ([] if (out / "cycle").is_symlink() else ["a link was replaced"])
            if label == "null" and os.geteuid() != 0:
                skip(f"outputs: {command} null", "needs root to make a device")
                continue
            lab.case(f"outputs: {command} {label}", [place if a is P else a for a in arguments], codes=codes, check=check, make=before,
                     left=["dangling", "cycle", "null", "occupied", "mine.txt", "taken", "taken/*", "run", "cache", "target", "*.tokenizing", "*.tokenizing/*"])
        names = {"spaces": "two  words", "newline": "a\nb", "non-UTF-8": b"\xff\xfe", "ESC": "\x1b[2Jx", "quotes": "'\"$(id)", "glob": "[a]*?", "percent": "%s%n", "html": "<b>&amp;"}
        for label, name in names.items():
            if heavy and label in ("glob", "quotes"):
                continue
            place = os.fsencode(out) + b"/" + encoded(name)
            lab.case(f"outputs: {command} named with {label}", [place if a is P else a for a in arguments], codes=(0, USAGE, CONFIG, FILE), left=["run", "cache", "run/*", "*.tokenizing/*"],
                     check=lambda result, place=place, prefix=prefix: [] if result.returncode or os.path.exists(place + (b".bin" if prefix else b"")) else ["nothing is there"])
    # What data tokenize writes, data blend reads.
    for name in ("two words", "a.bin", "naïve", "#x", "-x", "a\tb"):
        lab.case(f"outputs: shards named {name!r}", ["data", "tokenize", "--input", i / "text.jsonl", "--tokenizer", i / "tok", "--output-prefix", out / name, "--shard-tokens", 400],
                 codes=(0, USAGE, CONFIG, FILE), check=lambda result, name=name: named_list_problems(lab, result, name))


def named_list_problems(lab, result, name):
    if result.returncode:
        return []
    blend = lab.run(["data", "blend", "--data-file-list", lab.out / f"{name}.list", "--seq-length", 16, "--train-iters", 4, "--tokenizer-model", lab.inputs / "tok"],
                    env={"VAL_SPLIT": "0", "TRAIN_SPLIT": "1"}, cwd=lab.out)
    return [] if blend.returncode == 0 else [f"its list cannot be read: {blend.stderr.decode(errors='replace')[:200]}"]


# Damaged files.

JSON_TYPES = {"null": None, "true": True, "zero": 0, "negative": -1, "fraction": 0.5, "huge": 1e308, "2^63": 1 << 63, "empty text": "", "text": "x\x1b[31m", "number as text": "1", "list": [],
              "list of lists": [[[]]], "object": {}}


def places(value, path=()):
    """Every place of a JSON document; of a list the first and the last element."""
    if isinstance(value, dict):
        for key in value:
            yield (*path, key)
            yield from places(value[key], (*path, key))
    elif isinstance(value, list):
        for at in {0, len(value) - 1} if value else ():
            yield (*path, at)
            yield from places(value[at], (*path, at))


def replaced(value, path, new):
    copy = json.loads(json.dumps(value))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    if new is places:  # leave it out
        del inner[path[-1]]
    else:
        inner[path[-1]] = new
    return copy


def same_type(a, b):
    number = (int, float)
    return type(a) is type(b) or isinstance(a, number) and isinstance(b, number) and not isinstance(a, bool) and not isinstance(b, bool)


def json_structures(content):
    """(label, bytes, whether it still means the same)"""
    text = content.decode()
    value = json.loads(text)
    yield "deep nesting", b"[" * 200_000, False
    yield "deep nesting in a field", text.rstrip()[:-1].encode() + b', "x": ' + b'[' * 100_000 + b"]" * 100_000 + b"}", True
    yield "BOM", b"\xef\xbb\xbf" + content, True
    yield "CRLF", json.dumps(value, indent=1).replace("\n", "\r\n").encode(), True
    yield "UTF-16", text.encode("utf-16"), False
    yield "a second document", content + content, False
    yield "a NUL behind", content + b"\0", False
    yield "a list", b"[" + content + b"]", False
    yield "a text", json.dumps(text).encode(), False
    yield "null", b"null", False
    yield "nothing", b"", False
    yield "blanks", b" \n\t ", False
    yield "an empty object", b"{}", False
    yield "a comment", b"// hello\n" + content, False
    yield "NaN", text.rstrip()[:-1].encode() + b', "x": NaN}', False
    yield "a huge number", text.rstrip()[:-1].encode() + b', "x": ' + b"9" * 5000 + b"}", True
    yield "a huge exponent", text.rstrip()[:-1].encode() + b', "x": 1e99999}', False
    yield "invalid UTF-8", text.rstrip()[:-1].encode() + b', "x": "\xff\xfe"}', False
    yield "a lone surrogate", text.rstrip()[:-1].encode() + b', "x": "\\ud800"}', False
    yield "a trailing comma", text.rstrip()[:-1].encode() + b",}", False
    yield "single quotes", text.replace('"', "'").encode(), False
    yield "zeros", bytes(len(content)), False
    if isinstance(value, dict) and value:
        first = next(iter(value))
        yield "duplicate keys", b"{" + json.dumps({first: 5})[1:-1].encode() + b", " + text.strip()[1:].encode(), True


def json_fields(content, seed, most):
    value = json.loads(content)
    generator = random.Random(seed)
    found = []
    for path in places(value):
        old = value
        for key in path:
            old = old[key]
        for label, new in {**JSON_TYPES, "left out": places}.items():
            if new is places or not same_type(old, new) or label in ("huge", "2^63", "negative", "text") and not isinstance(old, bool):
                found.append((path, label, new, old))
    for path, label, new, old in generator.sample(found, min(most, len(found))):
        meaningful = new is places or new is None or same_type(old, new)  # another value, or the default
        yield f"{'.'.join(map(str, path))[-60:]} is {label}", json.dumps(replaced(value, path, new)).encode(), meaningful


def cuts(content, seed, most):
    generator = random.Random(seed)
    sizes = {0, 1, 7, 8, 9, len(content) // 2, len(content) - 1, *(generator.randrange(len(content)) for _ in range(most))}
    for size in sorted(size for size in sizes if 0 <= size < len(content)):
        yield f"cut to {size}", content[:size]


def flips(content, seed, most, span=None):
    generator = random.Random(seed)
    for _ in range(most):
        at, bit = generator.randrange(span or len(content)), generator.randrange(8)
        changed = bytearray(content)
        changed[at] ^= 1 << bit
        yield f"bit {bit} of byte {at}", bytes(changed)


class Damage:
    """A file of a copy of the inputs, and the commands that read it."""

    def __init__(self, lab, part, place, file, readers, after=lambda: None):
        self.after = after  # what makes the rest of the folder fit the damage
        self.lab, self.part, self.place, self.readers = lab, part, place, readers
        self.path = place / file
        self.file = file
        self.content = self.path.read_bytes()
        self.values = {}
        for name, (arguments, reader, _) in readers.items():
            lab.clear()
            result = lab.run(arguments)
            assert result.returncode == 0, (arguments, result)
            self.values[name] = reader(result)

    def one(self, label, content, meaning, codes=(0, *REFUSED)):
        """`meaning`: "same": it may be taken, as what it was; "other": it may mean something else; "none": it has to be refused."""
        self.path.write_bytes(content)
        self.after()
        for name, (arguments, reader, options) in self.readers.items():
            allowed = codes if meaning != "none" or "lax" in options else tuple(code for code in codes if code)
            words = [pathlib.Path(self.file).name] if "silent" not in options else []
            self.lab.guard(self.place)
            self.lab.case(f"{self.part}: {self.file} {label}, {name}", arguments, codes=allowed, words=words, left=options.get("left", ()),
                          same=(reader, self.values[name]) if meaning == "same" else None, limits={resource.RLIMIT_AS: options.get("memory", 4 * GIB)})
        self.path.write_bytes(self.content)
        self.after()

    def json(self, fields=40, structures=True, some=8):
        if structures:
            for label, content, same in json_structures(self.content):
                self.one(label, content, "same" if same else "none" if label != "an empty object" else "other")
        for label, content, meaningful in json_fields(self.content, self.file, fields):
            self.one(label, content, "other" if meaningful else "same")
        self.bytes(some, "other")

    def bytes(self, some, meaning="none", span=None):
        for label, content in cuts(self.content, self.file, some):
            try:
                whole = meaning == "other" and json.loads(content) == json.loads(self.content)
            except ValueError:
                whole = False
            self.one(label, content, "same" if whole else "none")
        for label, content in flips(self.content, self.file, some, span):
            wanted = meaning
            if meaning == "other":
                try:
                    json.loads(content.decode())
                except ValueError:
                    wanted = "none"
            self.one(label, content, wanted)


def copied(lab, name, sources):
    place = lab.folder / name
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    for source in sources:
        (shutil.copytree if source.is_dir() else shutil.copy)(source, place / source.name)
    return place


def damaged_models(lab):
    i, out = lab.inputs, lab.out
    place = copied(lab, "models", [i / "ckpt", i / "sharded"])
    shutil.rmtree(place / "ckpt/.cache", ignore_errors=True)
    model, sharded = place / "ckpt/global_step4", place / "sharded"
    generate = (["generate", "--json", "--greedy", "--max-new-tokens", 3, "--prompt", "the cat", "--model", sharded], lambda r: document(r)["texts"][0]["tokens"], {"silent": 1})
    evaluate = (["eval", "--json", "--text", i / "good.txt", "--model", sharded], evaluated, {"silent": 1})
    inspect = (["checkpoint", "inspect", "--json", sharded], lambda r: document(r)["architecture"], {"lax": 1, "silent": 1})
    import_ = (["checkpoint", "import", "--from", sharded, "--output", out / "m"], lambda r: (out / "m/global_step0/model.safetensors").read_bytes(), {"silent": 1})
    verify = (["checkpoint", "verify", model], lambda r: r.returncode, {"silent": 1})
    Damage(lab, "models", place, "sharded/config.json", {"generate": generate}).json(50)
    Damage(lab, "models", place, "sharded/config.json", {"import": import_}).json(20, structures=False, some=3)
    Damage(lab, "models", place, "sharded/generation_config.json", {"generate": generate}).json(14)
    Damage(lab, "models", place, "sharded/tokenizer_config.json", {"generate": generate}).json(30)
    Damage(lab, "models", place, "sharded/tokenizer.json", {"generate": generate}).json(50)
    Damage(lab, "models", place, "sharded/model.safetensors.index.json", {"generate": generate, "import": import_}).json(24)
    shards = sorted(path.name for path in sharded.glob("*.safetensors"))
    header = 8 + struct.unpack("<Q", (sharded / shards[0]).read_bytes()[:8])[0]
    damage = Damage(lab, "models", place, f"sharded/{shards[0]}", {"eval": evaluate})
    for label, content in [*cuts(damage.content, 1, 8), *((f"header of {n}", struct.pack("<Q", n) + damage.content[8:]) for n in (0, 1, header - 9, header - 7, 1 << 31, 1 << 40, (1 << 63) - 8, (1 << 64) - 1))]:
        damage.one(label, content, "none")
    tensors = json.loads(damage.content[8:header])
    for label, changed, meaningful in json_fields(json.dumps(tensors).encode(), 2, 40):
        damage.one(label, struct.pack("<Q", len(changed)) + changed + damage.content[header:], "same")
    for label, changed, same in json_structures(json.dumps(tensors).encode()):
        if label != "nothing":
            damage.one(label, struct.pack("<Q", len(changed)) + changed + damage.content[header:], "same" if same else "none")
    for label, content in flips(damage.content, 3, 30, header):
        damage.one(label, content, "other")
    # What has checksums: every bit counts.
    for file in ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors", "state/state.json", "checksums.xxh128", "state/shard-00000-of-00001.safetensors"):
        Damage(lab, "models", place, f"ckpt/global_step4/{file}", {"verify": verify}).bytes(3)
    inspect = (["checkpoint", "inspect", "--json", place / "ckpt"], lambda r: document(r)["architecture"], {"silent": 1})
    latest = Damage(lab, "models", place, "ckpt/latest", {"inspect": inspect, "verify": (["checkpoint", "verify", place / "ckpt"], lambda r: r.returncode, {"silent": 1, "memory": GIB // 4})})
    for label, content in {"empty": b"", "blanks": b" \n", "BOM": b"\xef\xbb\xbfglobal_step4", "CRLF": b"global_step4\r\n", "UTF-16": "global_step4".encode("utf-16"), "two lines": b"global_step4\nglobal_step5\n",
                           "up": b"../../etc", "absolute": b"/etc", "dot": b".", "ESC": b"\x1b[31mglobal_step4", "invalid UTF-8": b"\xff\xfe", "NUL": b"global_step4\0", "megabyte": b"g" * 1_000_000,
                           "negative": b"global_step-4", "huge": b"global_step99999999999999999999", "zeros": b"global_step0004", "itself": b"latest", "slash": b"global_step4/", "newline path": b"a\nborealis: x"}.items():
        latest.one(label, content, "same")


def damaged_states(lab):
    """state.json, which `inspect` and a resumed run read, where no checksum speaks first."""
    i, out = lab.inputs, lab.out
    place = copied(lab, "states", [i / "ckpt"])
    checksums = place / "ckpt/global_step4/checksums.xxh128"
    kept = checksums.read_bytes()
    checksums.unlink()
    inspect = (["checkpoint", "inspect", "--json", place / "ckpt"], 
               lambda r: {key: value for key, value in document(r)["state"].items() if key not in ("bytes", "configuration", "written_at", "version", "run_dir")}, {})
    state = Damage(lab, "states", place, "ckpt/global_step4/state/state.json", {"inspect": inspect})
    state.json(60)
    resume = ([*lab.train_arguments(5, place / "cache"), "--eval-interval", 0, "--load", place / "ckpt", "--save", out / "s", "--run-dir", out / "run"],
              lambda r: (out / "s/global_step5/model.safetensors").read_bytes(), {"silent": 1, "left": ["run", "cache", "s", "run/*", "s/*"]})
    if shutil.which("xxh128sum"):
        def agree():
            files = [line.split(None, 1)[1] for line in kept.decode().splitlines()]
            checksums.write_bytes(subprocess.run(["xxh128sum", *files], cwd=checksums.parent, capture_output=True, check=True).stdout)
        checksums.write_bytes(kept)
        state = Damage(lab, "states", place, "ckpt/global_step4/state/state.json", {"resume": resume}, after=agree)
        for label, content, meaningful in json_fields(state.content, "resume", 44):
            if not label.startswith("run.") and "configuration." not in label:
                state.one(label, content, "other" if meaningful else "same")
        for label, content, same in list(json_structures(state.content))[::3]:
            state.one(label, content, "same" if same else "none")
    else:
        skip("damaged_states: resume", "needs the program xxh128sum")
    checksums.write_bytes(kept)
    shard = "ckpt/global_step4/state/shard-00000-of-00001.safetensors"
    content = (place / shard).read_bytes()
    header = 8 + struct.unpack("<Q", content[:8])[0]
    damage = Damage(lab, "states", place, shard, {"verify": (["checkpoint", "verify", place / "ckpt"], lambda r: r.returncode, {"silent": 1})})
    for label, changed in cuts(content, 5, 5):
        damage.one(label, changed, "none")
    for label, changed in flips(content, 6, 12, header):
        damage.one(label, changed, "other")


def damaged_data(lab):
    i, out = lab.inputs, lab.out
    place = copied(lab, "data", [*i.glob("set.*"), i / "list.txt", i / "text.jsonl"])
    (place / "list.txt").write_text("1.0 data/set corpus\n")
    tokenizer = ["--tokenizer-model", i / "tok"]
    cache = ["--seq-length", 16, "--train-iters", 4, "--split-"][:-1]
    batches = (["data", "batches", "--data-file-list", place / "list.txt", *cache, *tokenizer, "--micro-batch-size", 4, "--steps", 2, "--data-cache-path", out / "c"], lambda r: r.stdout, {"silent": 1, "left": ["c/*"]})
    verify = (["data", "verify", place / "set"], lambda r: r.returncode, {})
    inspect = (["data", "inspect", "--json", place / "set"], lambda r: {**document(r), "record": 0}, {})
    index = Damage(lab, "data", place, "set.idx", {"verify": verify})
    for label, content in [*cuts(index.content, 7, 40), *flips(index.content, 7, 45)]:
        # The document index may be another one that is as good.
        index.one(label, content, "other" if " of byte " in label and int(label.split()[-1]) >= 34 + 12 * 40 else "none")
    index = Damage(lab, "data", place, "set.idx", {"batches": batches})
    for label, content in cuts(index.content, 9, 6):
        index.one(label, content, "none")
    for number in (0, 1, 39, 41, 1 << 31, 1 << 40, (1 << 63) - 1, (1 << 64) - 1):
        for at in (18, 26):
            content = bytearray(index.content)
            struct.pack_into("<Q", content, at, number)
            index.one(f"count at {at} is {number}", bytes(content), "none" if number != 41 or at == 18 else "same")
    tokens = Damage(lab, "data", place, "set.bin", {"verify": verify, "batches": batches})
    for label, content in [*cuts(tokens.content, 4, 5), ("an odd byte", tokens.content + b"x"), ("foreign", b"\xff\xff" * (len(tokens.content) // 2))]:
        tokens.one(label, content, "same" if label == "an odd byte" else "other" if label == "foreign" else "none")
    record = Damage(lab, "data", place, "set.meta.json", {"inspect": inspect, "verify": verify})
    record.json(50)
    merge = (["data", "merge", place / "set", "--output-prefix", out / "o"], lambda r: (out / "o.bin").read_bytes() + (out / "o.idx").read_bytes(), {})
    record = Damage(lab, "data", place, "set.meta.json", {"merge": merge})
    record.json(25, structures=False, some=3)
    record = Damage(lab, "data", place, "set.meta.json", {"blend": (["data", "blend", "--json", *batches[0][2:5], *tokenizer, *cache][:2] + ["--data-file-list", place / "list.txt", *tokenizer, *cache],
                                                                   lambda r: 0, {"silent": 1, "lax": 1})})
    record.json(10, structures=False, some=3)
    lines = Damage(lab, "data", place, "list.txt", {"batches": batches})
    good = b"1.0 data/set corpus\n"
    for label, content, meaning in [
            ("nan", b"nan data/set corpus\n", "none"), ("inf", b"inf data/set corpus\n", "none"), ("negative", b"-1 data/set corpus\n", "none"), ("zero", b"0 data/set corpus\n", "none"),
            ("1e309", b"1e309 data/set corpus\n", "none"), ("1e308 twice", b"1e308 data/set corpus\n" * 2, "other"), ("tiny", b"1e-320 data/set corpus\n", "same"), ("hex", b"0x1p0 data/set corpus\n", "same"),
            ("comma", b"1,0 data/set corpus\n", "none"), ("trailing", b"1.0x data/set corpus\n", "none"), ("plus", b"+1.0 data/set corpus\n", "same"), ("BOM", b"\xef\xbb\xbf" + good, "same"), ("CRLF", good.replace(b"\n", b"\r\n"), "same"),
            ("CR", good.replace(b"\n", b"\r"), "other"), ("UTF-16", good.decode().encode("utf-16"), "none"), ("NUL", b"1.0 data/set\0x corpus\n", "none"), ("tabs", good.replace(b" ", b"\t"), "same"), ("no end", good[:-1], "same"),
            ("comment", b"# hello there you\n" + good, "other"), ("blank lines", b"\n\n" + good + b"\n", "same"), ("megabyte", b"1.0 " + b"x" * 1_000_000 + b" corpus\n", "none"), ("ESC", b"1.0 \x1b[31m corpus\n", "none"),
            ("invalid UTF-8", b"1.0 data/\xff corpus\n", "none"), ("label ESC", b"1.0 data/set \x1b[31m\n", "same"), ("label invalid UTF-8", b"1.0 data/set \xff\n", "same"), ("forged", b"1.0 x\x0bborealis: y corpus\n", "none"),
            ("up and down", b"1.0 data/../data/set corpus\n", "same"), ("folder", b"1.0 data corpus\n", "none"), ("with .bin", b"1.0 data/set.bin corpus\n", "same"), ("itself", b"1.0 data/list.txt corpus\n", "none"),
            ("binary", bytes(range(256)) * 20, "none"), ("100000 lines", b"1.0 data/none corpus\n" * 100_000, "none"), ("a thousand times", good * 1000, "other"), ("nothing", b"", "none")]:
        lines.one(label, content, meaning)
    # Caches: rebuilt or refused, never believed.
    (place / "list.txt").write_text("1.0 data/set corpus\n")
    cached = ([*batches[0][:-1], place / "cache"], batches[1], {"silent": 1})
    lab.good(*cached[0])
    files = sorted(str(path.relative_to(place)) for path in (place / "cache").iterdir())
    kept = {file: (place / file).read_bytes() for file in files}
    expected = lab.good(*cached[0]).stdout
    for number, file in enumerate(files):
        content = kept[file]
        for label, changed in [*cuts(content, number, 2), *flips(content, number, 5), ("twice", content * 2), ("huge shape", content.replace(b"shape': (", b"shape': (99999999999999"))]:
            for name, kept_content in kept.items():
                (place / name).write_bytes(kept_content)
            (place / file).write_bytes(changed)
            lab.guard()
            lab.case(f"data: cache {number % 100} {file[-20:]} {label}", cached[0], codes=(0, FILE, DATA), same=(lambda r: r.stdout, expected))


def damaged_texts(lab):
    """What is tokenized, trained on, evaluated, and continued."""
    i, out = lab.inputs, lab.out
    place = copied(lab, "texts", [i / "text.jsonl"])
    content = (i / "text.jsonl").read_bytes()
    lines = content.splitlines(True)
    tokenize = ["data", "tokenize", "--tokenizer", i / "tok", "--output-prefix", out / "o", "--json", "--input"]
    lab.good(*tokenize, i / "text.jsonl")
    value = (out / "o.bin").read_bytes()
    packed = gzip.compress(content)
    zipped = subprocess.run(["zstd", "-q", "-c"], input=content, capture_output=True).stdout if shutil.which("zstd") else b""
    deep = b'{"text": ' + b"[" * 500_000 + b"\n"
    cases = [("BOM", b"\xef\xbb\xbf" + content, 1), ("CRLF", content.replace(b"\n", b"\r\n"), 1), ("UTF-16", content.decode().encode("utf-16"), 0), ("CR", content.replace(b"\n", b"\r"), 0), ("a NUL", content[:200] + b"\0" + content[200:], 0),
             ("no last newline", content[:-1], 1), ("blank lines", content.replace(b"\n", b"\n\n"), 1), ("deep", content + deep, 0), ("deep beside", content[:-2] + b', "x": ' + b"[" * 50_000 + b"]" * 50_000 + b"}\n", 1),
             ("duplicate keys", content + b'{"text": "a", "text": "b"}\n', 2), ("a list", content + b'["text"]\n', 0), ("null text", content + b'{"text": null}\n', 0), ("list text", content + b'{"text": []}\n', 0),
             ("number", content + b"5\n", 0), ("lone surrogate", content + b'{"text": "\\ud800"}\n', 2), ("invalid UTF-8", content + b'{"text": "\xff"}\n', 2), ("NaN", content + b'{"text": NaN}\n', 0), ("huge number", content + b'{"x": 1e99999, "text": "a"}\n', 2),
             ("two on a line", content + b'{"text": "a"}{"text": "b"}\n', 0), ("escaped NUL", content + b'{"text": "a\\u0000b"}\n', 2), ("nothing", b"", 0), ("blanks", b"\n \n\n", 0), ("zeros", bytes(5000), 0), ("cut", content[:-5], 0),
             ("controls in the key", content + b'{"te\x1bxt": 5}\n', 0), ("ESC as a line", content + b"\x1b]0;title\x07\n", 0), ("newline in a text", content[:-2] + b' \n"}\n', 0), ("a line of 30 MB", content + b'{"text": "' + b"ab " * 10_000_000 + b'"}\n', 2)]
    cases += [(f"gz {label}", changed, 0) for label, changed in [*cuts(packed, 1, 4), *flips(packed, 1, 6)] if label not in ("cut to 0",)]
    cases += [("gz behind", packed + b"junk", 0), ("gz zeros behind", packed + bytes(100), 1), ("gz in gz", gzip.compress(packed), 0)]
    if zipped:
        cases += [(f"zst {label}", changed, 0) for label, changed in [*cuts(zipped, 1, 4), *flips(zipped, 1, 6)] if label not in ("cut to 0",)]
        cases += [("zst behind", zipped + b"junk", 0), ("zst window", b"\x28\xb5\x2f\xfd\x00\xff" + zipped[6:], 0)]
        cases += [("zst bomb", subprocess.run(["zstd", "-q", "-c", "-19"], input=bytes(200 << 20), capture_output=True).stdout, 0)]
    else:
        skip("damaged_texts: zst", "needs the program zstd")
    for label, changed, outcome in cases:
        (place / "text.jsonl").write_bytes(changed)
        lab.guard(place)
        # A header's time, name or system may be changed without a change of what is in it.
        harmless = label.startswith("gz bit") and int(label.split()[-1]) in (4, 5, 6, 7, 8, 9) or label.startswith("zst bit")
        codes = (0, *REFUSED) if harmless or outcome else REFUSED
        lab.case(f"texts read: {label}, tokenize", [*tokenize, place / "text.jsonl"], codes=codes, words=["text.jsonl" if changed.strip(b"\n ") else "input"], left=["o.tokenizing/*"], lines=4,
                 same=(lambda r: (out / "o.bin").read_bytes(), value) if outcome == 1 or harmless else None)
        if random.Random(label).random() < 0.35 and "30 MB" not in label:
            lab.case(f"texts read: {label}, eval", ["eval", "--json", "--model", lab.model, "--text", place / "text.jsonl"], codes=codes, words=["text.jsonl"] if changed.strip(b"\n ") else [], lines=4)
            lab.case(f"texts read: {label}, tokenizer train", ["tokenizer", "train", "--input", place / "text.jsonl", "--vocab-size", 270, "--output", out / "t"], codes=codes,
                     words=["text.jsonl"] if changed.strip(b"\n ") else [], lines=4)
    prompts = ["generate", "--json", "--greedy", "--max-new-tokens", 2, "--model", lab.model, "--prompts"]
    for label, changed, codes in [("BOM", b'\xef\xbb\xbf{"prompt": "a"}\n', (0, DATA)), ("CRLF", b'{"prompt": "a"}\r\n', (0,)), ("UTF-16", '{"prompt": "a"}\n'.encode("utf-16"), (DATA,)), ("deep", b"[" * 300_000, (DATA,)),
                                  ("null", b'{"prompt": null}\n', (DATA,)), ("object", b'{"prompt": {}}\n', (DATA,)), ("surrogate", b'{"prompt": "\\ud800"}\n', (0, DATA)), ("NUL", b'{"prompt": "a\\u0000b"}\n', (0,)),
                                  ("raw NUL", b'{"prompt": "a\0b"}\n', (DATA,)), ("cut", b'{"prompt": "a', (DATA,)), ("list", b'["a"]\n', (DATA,)), ("zeros", bytes(3000), (DATA,)), ("twice", b'{"prompt": "a", "prompt": "b"}\n', (0, DATA)),
                                  ("ESC", b"\x1b[31m\n", (DATA,)), ("gzip", gzip.compress(b'{"prompt": "a"}\n'), (0, DATA)), ("megabyte", b'{"prompt": "' + b"a " * 500_000 + b'"}\n', (DATA,)), ("invalid UTF-8", b'{"prompt": "\xff\xfe"}\n', (0, DATA))]:
        (place / "p.jsonl").write_bytes(changed)
        lab.guard(place)
        lab.case(f"texts read: prompts {label}", [*prompts, place / "p.jsonl"], codes=codes, words=["p.jsonl"], lines=4)
    for label, stdin in (("nothing", b""), ("NUL", b"a\0b\n"), ("invalid UTF-8", b"\xff\xfe\n"), ("ESC", b"\x1b[2J\n"), ("blank", b"\n"), ("CRLF", b"the cat\r\n")):
        lab.case(f"texts read: standard input {label}", [*prompts, "-"], stdin=stdin, codes=(0, DATA), lines=4)
    (place / "numbers.txt").write_text("")
    for label, changed in (("negative", "1 -2"), ("plus", "1 +2"), ("hex", "0x1"), ("huge", "1 99999999999999999999"), ("fraction", "1.5"), ("unicode digits", "１ ２"), ("commas", "1,2"), ("NUL", "1\0 2"), ("no-break space", "1\u00a02"), ("ESC", "\x1b[1m")):
        (place / "numbers.txt").write_text(changed)
        lab.guard(place)
        lab.case(f"texts read: numbers {label}", ["data", "tokenize", "--input", place / "numbers.txt", "--output-prefix", out / "o", "--tokenizer-type", "NullTokenizer", "--vocab-size", 100],
                 codes=(DATA,), words=["numbers.txt"], left=["o.tokenizing/*"])


def damaged_tokenizers(lab):
    i, out = lab.inputs, lab.out
    place = copied(lab, "tokenizers", [i / "gpt2", i / "tok"])
    how = ["--input", i / "text.jsonl", "--output-prefix", out / "o"]
    gpt2 = (["data", "tokenize", *how, "--tokenizer-type", "GPT2BPETokenizer", "--tokenizer", place / "gpt2"], lambda r: (out / "o.bin").read_bytes(), {"left": ["o.tokenizing/*"]})
    made = (["data", "tokenize", *how, "--tokenizer", place / "tok"], gpt2[1], {"left": ["o.tokenizing/*"]})
    vocab = Damage(lab, "tokenizers", place, "gpt2/vocab.json", {"gpt2": gpt2})
    vocab.json(12, some=5)
    merges = Damage(lab, "tokenizers", place, "gpt2/merges.txt", {"gpt2": gpt2})
    good = merges.content
    for label, content, meaning in [("BOM", b"\xef\xbb\xbf" + good, "other"), ("CRLF", good.replace(b"\n", b"\r\n"), "same"), ("UTF-16", good.decode().encode("utf-16"), "none"), ("nothing", b"", "other"), ("one piece", good + b"abc\n", "none"),
                                    ("three pieces", good + b"a b c\n", "none"), ("foreign pieces", good + b"qqq zzz\n", "none"), ("twice", good + good, "other"), ("NUL", good + b"\0 \0\n", "none"), ("invalid UTF-8", good + b"\xff \xfe\n", "none"),
                                    ("megabyte", good + b"x" * 1_000_000 + b"\n", "none"), ("ESC", good + b"\x1b[31m x\n", "none"), ("blank lines", good + b"\n\n", "same"), ("two blanks", good.replace(b" ", b"  "), "none"), ("zeros", bytes(500), "none")]:
        merges.one(label, content, meaning)
    Damage(lab, "tokenizers", place, "tok/tokenizer_config.json", {"tokenize": made}).json(20, some=4)
    file = Damage(lab, "tokenizers", place, "tok/tokenizer.json", {"tokenize": made})
    value = json.loads(file.content)
    patterns = {"(a+)+$": "same", "(": "none", "(?R)": "none", "[": "none", "a{99999999}": "none", "(?<=a*)b": "none", "\\": "none", "": "other", "(?:)": "other", "(*VERB)": "none", "\\C": "other", "(.*)*x": "other", "x" * 70_000: "other"}
    for pattern in patterns:
        file.one(f"pattern {pattern[:20]!r}", json.dumps(value | {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}, {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}]}}).encode(), "other")
    for label, change in {"id of 2^31": 1 << 31, "id of 2^32": 1 << 32, "id of 10^9": 10**9, "negative id": -1, "shared id": 5, "fraction": 1.5, "text": "1"}.items():
        broken = json.loads(file.content)
        broken["model"]["vocab"]["zz"] = change
        file.one(label, json.dumps(broken).encode(), "none")
    sentencepiece = place / "sp"
    sentencepiece.mkdir()
    for label, content in {"empty": b"", "zeros": bytes(1000), "text": b"hello\n", "random": random.Random(5).randbytes(3000), "length bomb": b"\x0a\xff\xff\xff\xff\x0f" + b"x" * 50, "endless varint": b"\xff" * 100,
                           "one piece": b"\x0a\x0e\x0a\x05<unk>\x15\0\0\0\0\x18\x02", "deep groups": b"\x0b" * 5000, "piece of no bytes": b"\x0a\0" * 50, "nan score": b"\x0a\x07\x0a\x01a\x15\0\0\xc0\x7f"}.items():
        (sentencepiece / "tokenizer.model").write_bytes(content)
        for kind in ("SentencePieceTokenizer", "GPTSentencePieceTokenizer", "Llama2Tokenizer", "HFTokenizer"):
            lab.guard(place)
            lab.case(f"tokenizers: tokenizer.model {label}, {kind}", ["data", "tokenize", *how, "--tokenizer-type", kind, "--tokenizer", sentencepiece], codes=(DATA, CONFIG), words=["tokenizer.model"], left=["o.tokenizing/*"])


def damaged_runs(lab):
    """What `report` makes of damage: a report, or a message; never a page that runs a script."""
    i = lab.inputs
    place = copied(lab, "runs", [i / "run"])
    run = place / "run"
    files = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}  # not those of trackers
    outputs = {"report.html", "report.md", "loss.svg", "roofline.svg"}

    def one(label, file, content, codes=(0, FILE, DATA), check=None):
        for name, kept in files.items():
            (run / name).write_bytes(kept)
        for name in outputs:
            (run / name).unlink(missing_ok=True)
        (run / file).write_bytes(content)
        before = {name: (run / name).read_bytes() for name in files if name not in outputs}

        def problems(result):
            found = [f"{name} changed" for name in before if (run / name).read_bytes() != before[name]]
            found += [f"left behind: {path.name}" for path in run.iterdir() if ".partial." in path.name]
            pages = [run / name for name in outputs if (run / name).exists()]
            for page in pages:
                text = page.read_bytes() if page.suffix != ".md" else re.sub(rb"^(`{3,})[^`\n]*\n.*?^\1`*$|`[^`\n]*`", b"", page.read_bytes(), flags=re.DOTALL | re.MULTILINE)
                found += [f"{page.name}: {word!r}" for word in (b"<script>alert", b"<img src=x", b"\x1b") if word in text]
                if page.suffix in (".html",) and not text.rstrip().endswith(b"</html>"):
                    found.append("a report without an end")
                if page.suffix == ".svg":
                    try:
                        __import__("xml.etree.ElementTree").etree.ElementTree.fromstring(text.decode(errors="replace"))
                    except Exception as error:
                        found.append(f"{page.name} is no XML: {error}")
            if controls := raw_controls(result.stdout):
                found.append(f"raw control characters {controls} on the standard output")
            return found + (check(result) if check else [])
        lab.guard()
        lab.case(f"runs: {file} {label}", ["report", run], codes=codes, words=[file], check=problems)
    for file, fields in (("summary.json", 50), ("config.json", 25), ("profile.json", 25)):
        for label, content, same in json_structures(files[file]):
            one(label, file, content)
        for label, content, _ in json_fields(files[file], file, fields):
            one(label, file, content)
        for label, content in [*cuts(files[file], file, 3), *flips(files[file], file, 5)]:
            one(label, file, content)
    for file in ("metrics.jsonl", "validation.jsonl", "test.jsonl"):
        lines = files[file].splitlines()
        for label, content, _ in json_fields(lines[0], file, 24):
            one(label, file, content + b"\n" + b"\n".join(lines[1:]) + b"\n")
        for label, content, _ in json_structures(lines[0]):
            if label != "CRLF":
                one(label, file, content + b"\n" + b"\n".join(lines[1:]) + b"\n")
        for label, content in cuts(files[file], file, 3):
            one(label, file, content)
    summary = json.loads(files["summary.json"])
    for place_, attack in {"model_name": "<script>alert(1)</script>", "model_note": "<img src=x onerror=alert(1)>", "sample_text": "</pre><script>alert(1)</script>\x1b[31m", "sample_prompt": "<script>alert(1)</script>",
                           "failure": "<script>alert(1)</script>", "dtype": "\"><script>alert(1)</script>", "version": "<script>alert(1)</script>", "started_at": "\x1b[31m", "isa": "|a|b|\n# title"}.items():
        one(f"{place_} is {attack[:12]!r}", "summary.json", json.dumps(summary | {place_: attack}).encode())
    one("sample_text leaves its fence", "summary.json", json.dumps(summary | {"sample_text": "\n```\n<script>alert(1)</script>\n"}).encode())
    for key in ("configuration", "architecture", "machine"):
        one(f"{key} with a script", "summary.json", json.dumps(summary | {key: summary[key] | {"<script>alert(2)</script>": "<script>alert(1)</script>"}}).encode())


# A device, a folder or a link without end where a file is read.

def no_files(lab):
    i, out = lab.inputs, lab.out
    place = copied(lab, "nofiles", [*i.glob("set.*"), i / "ckpt", i / "sharded", i / "tok", i / "gpt2", i / "run", i / "text.jsonl", i / "prompts.jsonl"])
    (place / "list.txt").write_text("1.0 nofiles/set corpus\n")
    (place / "hosts").write_text("localhost\n")
    model, run = place / "ckpt/global_step4", place / "run"
    tokenize = ["data", "tokenize", "--input", place / "text.jsonl", "--output-prefix", out / "o", "--tokenizer"]
    gpt2 = [*tokenize[:-1], "--tokenizer-type", "GPT2BPETokenizer", "--tokenizer", place / "gpt2"]
    generate = ["generate", "--max-new-tokens", 2, "--model"]
    cache = place / "cache"
    batches = ["data", "batches", "--data-file-list", place / "list.txt", "--tokenizer-model", i / "tok", "--seq-length", 16, "--train-iters", 4, "--data-cache-path", cache]
    lab.good(*batches)
    resume = [*[a if a != i / "list.txt" else place / "list.txt" for a in lab.train_arguments(5, cache)], "--eval-interval", 0, "--load", place / "ckpt", "--no-save", "--run-dir", out / "run"]
    report_ = ["report", run]
    plan = ["plan", "--mock-data", "--vocab-size", 128]
    may_go_on = {"cache", "run/validation.jsonl", "run/test.jsonl", "run/profile.json", "run/config.json", "run/metrics.jsonl", "set.meta.json", "ckpt/global_step4/generation_config.json",
                 "sharded/generation_config.json", "ckpt/global_step4/tokenizer_config.json", "ckpt/global_step4/checksums.xxh128", "tok/tokenizer_config.json", "sharded/tokenizer_config.json"}
    readers = [("set.idx", batches), ("set.bin", batches), ("list.txt", batches), ("set.meta.json", ["data", "inspect", place / "set"]), ("text.jsonl", [*tokenize, i / "tok"]), ("tok/tokenizer.json", [*tokenize, place / "tok"]),
               ("tok/tokenizer_config.json", [*tokenize, place / "tok"]), ("gpt2/vocab.json", gpt2), ("gpt2/merges.txt", gpt2), ("prompts.jsonl", [*generate, model, "--prompts", place / "prompts.jsonl"]),
               ("ckpt/latest", ["checkpoint", "verify", place / "ckpt"]), ("sharded/config.json", ["checkpoint", "import", "--from", place / "sharded", "--output", out / "m"]),
               ("sharded/model.safetensors.index.json", [*generate, place / "sharded", "--prompt", "a"]), ("sharded/model-00001-of-00003.safetensors", [*generate, place / "sharded", "--prompt", "a"]),
               ("sharded/generation_config.json", [*generate, place / "sharded", "--prompt", "a"]), ("sharded/tokenizer_config.json", [*generate, place / "sharded", "--prompt", "a"]),
               ("sharded/config.json", [*plan, "--model-arch", place / "sharded"]), ("hosts", plan)]
    readers += [(f"ckpt/global_step4/{name}", ["checkpoint", "verify", model]) for name in ("config.json", "model.safetensors", "checksums.xxh128", "state/state.json", "state/shard-00000-of-00001.safetensors", "tokenizer.json")]
    readers += [(f"ckpt/global_step4/{name}", ["checkpoint", "export", "--from", model, "--output", out / "e"]) for name in ("config.json", "model.safetensors", "checksums.xxh128", "tokenizer.json", "generation_config.json")]
    readers += [(f"ckpt/global_step4/{name}", resume) for name in ("state/state.json", "checksums.xxh128")] + [("ckpt/latest", resume)]
    readers += [(f"run/{name}", report_) for name in ("summary.json", "metrics.jsonl", "validation.jsonl", "profile.json", "config.json", "test.jsonl")]
    readers += [(f"cache/{path.name}", batches) for path in sorted(cache.iterdir())[:5]]
    for number, (file, command) in enumerate(readers):
        path = place / file
        kept = path.read_bytes()
        for label, target in {"/dev/zero": "/dev/zero", "a folder": None, "a link to itself": path.name, "/proc/self/mem": "/proc/self/mem", "a dangling link": "nowhere", "100 GB": "large"}.items():
            if command is resume and label not in ("/dev/zero", "a folder") or label == "100 GB" and (
                    file in ("text.jsonl", "prompts.jsonl") or command[1] == "verify" and "step4" in file and "config" not in file):  # all of it would be read
                continue
            path.unlink()
            if label == "100 GB":
                path.touch()
                os.truncate(path, 10**11)
            else:
                path.mkdir() if target is None else path.symlink_to(target)
            lax = file in may_go_on or file.startswith("cache/") or label == "a dangling link" and "checksums" in file or command is resume
            environment = {"HOSTFILE": place / "hosts"} if file == "hosts" else {}
            words = [] if lax or label == "/proc/self/mem" and file == "text.jsonl" or label == "a dangling link" and "latest" in file or file.startswith("ckpt") or file == "list.txt" else [path.name.removesuffix(".safetensors")]
            lab.guard()
            lab.case(f"no files: {label} as {file}, {' '.join(map(str, command[:2])) if command[0] in ('data', 'checkpoint') else command[0]} {number}", command, env=environment, codes=(0, *REFUSED) if lax else REFUSED, words=words, lines=60 if command is resume else 8,
                     left=["o.tokenizing/*", "run", "run/*", "c/*"], limits={resource.RLIMIT_AS: GIB},
                     check=lambda result: ["memory was eaten"] if result.returncode == MEMORY else [])
            (shutil.rmtree if path.is_dir() and not path.is_symlink() else pathlib.Path.unlink)(path)
            path.write_bytes(kept)


# Limits, signals, streams, environments, folders, clocks.

def some_commands(lab):
    """Of every command one that does its work, with its output, by name."""
    i, out = lab.inputs, lab.out
    data = ["--data-file-list", i / "list.txt", "--tokenizer-model", i / "tok", "--seq-length", 16, "--train-iters", 4, "--data-cache-path", out / "c"]
    return {
        "data tokenize": ["data", "tokenize", "--input", i / "text.jsonl", "--tokenizer", i / "tok", "--output-prefix", out / "o"],
        "data inspect": ["data", "inspect", i / "set"],
        "data merge": ["data", "merge", i / "set", i / "set", "--output-prefix", out / "o"],
        "data verify": ["data", "verify", i / "set"],
        "data batches": ["data", "batches", *data],
        "data blend": ["data", "blend", *data],
        "tokenizer train": ["tokenizer", "train", "--input", i / "text.jsonl", "--vocab-size", 270, "--output", out / "t"],
        "generate": ["generate", "--model", lab.model, "--prompt", "the cat", "--max-new-tokens", 4, "--greedy"],
        "eval": ["eval", "--model", lab.model, "--text", i / "good.txt"],
        "checkpoint export": ["checkpoint", "export", "--from", lab.model, "--output", out / "e"],
        "checkpoint import": ["checkpoint", "import", "--from", i / "sharded", "--output", out / "m"],
        "checkpoint inspect": ["checkpoint", "inspect", lab.model],
        "checkpoint diff": ["checkpoint", "diff", lab.model, i / "sharded"],
        "checkpoint verify": ["checkpoint", "verify", lab.model],
        "plan": ["plan", "--mock-data", "--vocab-size", 128],
        "report": ["report", out / "run"],
        "train": [*lab.train_arguments(2), "--eval-interval", 0, "--run-dir", out / "run", "--save", out / "s"],
    }


LEFT = ["run", "run/*", "cache/*", "c/*", "s", "s/*", "o.tokenizing/*"]  # what a command that failed may leave


def with_run(lab):
    def make():
        shutil.copytree(lab.inputs / "run", lab.out / "run")
    return make


def whole_outputs(lab):
    """What has a final name is whole, whatever happened."""
    out, problems = lab.out, []
    for suffix in (".idx", ".bin"):
        if (out / f"o{suffix}").exists() and not (out / "o.idx").exists():
            problems.append(f"o{suffix} without an index")
    if (out / "o.idx").exists() and lab.run(["data", "verify", out / "o"]).returncode:
        problems.append("the pair o is damaged")
    for folder in (out / "e", out / "m/global_step0", *(out / "s").glob("global_step?")):
        if folder.exists() and lab.run(["checkpoint", "verify", folder]).returncode:
            problems.append(f"{folder.name} is damaged")
    if (out / "t/tokenizer.json").exists() and lab.run(["data", "tokenize", "--input", lab.inputs / "good.txt", "--tokenizer", out / "t", "--output-prefix", lab.folder / "probe", "--overwrite"]).returncode:
        problems.append("the tokenizer is damaged")
    return problems


def limits(lab):
    def case(name, command, arguments, limits, signals=(), codes=(0, *REFUSED)):
        train = command == "train"
        lab.case(f"limits: {name}, {command}", arguments, limits=limits, codes=codes, signals=signals, left=LEFT, make=with_run(lab) if command == "report" else None, lines=60 if train or name.startswith("-v") else 8,
                 check=lambda result: whole_outputs(lab))
    for command, arguments in some_commands(lab).items():
        light = command != "train"
        for number in (4, 5, 7, 12) if light else (5, 8):  # 3 are too few for the loader
            case(f"-n {number}", command, arguments, {resource.RLIMIT_NOFILE: number})
        for size in (0, 1, 600, 4096) if light else (1000,):
            case(f"-f {size} bytes", command, arguments, {resource.RLIMIT_FSIZE: size})
        for megabytes in (90, 100, 120, 150, 200, 300) if light else (100, 160, 250):  # below, the loader, libgomp or what libraries do at their start may end it
            case(f"-v {megabytes}M", command, arguments, {resource.RLIMIT_AS: megabytes << 20})
        for kilobytes in (128, 512):
            case(f"-s {kilobytes}K", command, arguments, {resource.RLIMIT_STACK: kilobytes << 10})
        case("-d 16M", command, arguments, {resource.RLIMIT_DATA: 16 << 20})
        case("-l 0", command, arguments, {resource.RLIMIT_MEMLOCK: 0}, codes=(0, 1) if "diff" in command else (0,))
        if "inspect" not in command and light:
            case("-t 0", command, arguments, {resource.RLIMIT_CPU: 0}, signals=(signal.SIGXCPU, signal.SIGKILL))


def nobody():
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)


def strangers(lab):
    """Another user: what is not ours to read or write, limits of processes, a folder that cannot be left."""
    if os.geteuid() != 0:
        return skip("strangers", "needs root to become nobody")
    try:
        if subprocess.run([BOREALIS, "--version"], preexec_fn=nobody, capture_output=True).returncode:
            return skip("strangers", "nobody cannot run the program")
    except OSError:
        return skip("strangers", "nobody cannot run the program")
    place = copied(lab, "secret", [lab.inputs / "text.jsonl"])
    i, out = lab.inputs, lab.out
    os.chmod(out, 0o755)
    for command, arguments in some_commands(lab).items():
        writes = any(str(out) in str(argument) for argument in arguments) and command not in ("data blend", "plan", "data batches")
        lab.case(f"strangers: output of another's, {command}", arguments, before=nobody, codes=(FILE,) if writes else (0, 1), make=with_run(lab) if command == "report" else None, left=LEFT,
                 words=["ermission denied"] if writes else [], lines=60)

        def open_out():
            os.chmod(out, 0o777)
            if command == "report":
                shutil.copytree(i / "run", out / "run")
                os.chmod(out / "run", 0o777)

        def few_processes():
            resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
            nobody()
        threads = [a for a in arguments if a not in ("--threads", 1)] if command == "train" else arguments
        lab.case(f"strangers: ulimit -u 1, {command}", threads, before=few_processes, codes=(0, 1, MEMORY), make=open_out, left=LEFT, lines=60, env={"OMP_NUM_THREADS": "4"}, check=lambda result: whole_outputs(lab))
    locked = {"file": i / "text.jsonl", "folder": i / "tok", "set": i / "set.bin", "index": i / "set.idx", "record": i / "set.meta.json", "weights": lab.model / "model.safetensors", "config": lab.model / "config.json",
              "tokenizer": lab.model / "tokenizer.json", "list": i / "list.txt", "state": lab.model / "state", "step": lab.model, "prompts": i / "prompts.txt", "checksums": lab.model / "checksums.xxh128"}
    readers = {"file": ["data tokenize", "tokenizer train"], "folder": ["data tokenize"], "set": ["data merge", "data inspect", "data verify", "data batches"], "index": ["data merge", "data inspect", "data blend"], "record": ["data merge", "data inspect", "data verify"],
               "weights": ["generate", "eval", "checkpoint verify", "checkpoint export", "checkpoint diff"], "config": ["generate", "checkpoint inspect", "checkpoint verify"], "tokenizer": ["generate", "eval", "checkpoint export"],
               "list": ["data blend", "data batches", "train"], "state": ["checkpoint verify", "checkpoint inspect"], "step": ["checkpoint inspect", "generate"], "checksums": ["checkpoint verify", "checkpoint export"], "prompts": []}
    commands = some_commands(lab)
    for label, path in locked.items():
        mode = path.stat().st_mode
        for command in readers[label]:
            def make(path=path):
                os.chmod(out, 0o777)
                os.chmod(path, 0)
                lab.guard()
            lab.case(f"strangers: unreadable {label}, {command}", commands[command], before=nobody, make=make, codes=(CONFIG, FILE, DATA), words=[("ermission denied", path.name)], left=LEFT, lines=60)
            os.chmod(path, mode)
    lab.guard()
    # An empty --output is refused; as nobody, since / was once taken for it.
    for command, option in (("checkpoint import", "--output"), ("checkpoint export", "--output"), ("tokenizer train", "--output"), ("data tokenize", "--output-prefix"), ("data merge", "--output-prefix"), ("train", "--run-dir")):
        arguments = list(commands[command])
        arguments[arguments.index(option) + 1] = ""
        lab.case(f"strangers: empty {option}, {command}", arguments, before=nobody, codes=(USAGE, CONFIG, FILE), words=[option], left=LEFT, cwd=out, make=lambda: os.chmod(out, 0o777))


def signals(lab):
    """SIGINT, SIGTERM, SIGHUP, SIGPIPE at random moments: nothing half-written has a final name, and again it works."""
    i, out = lab.inputs, lab.out
    large = lab.folder / "large.jsonl"
    generator = random.Random(7)
    letters = "abcdefghij"
    large.write_text("".join(json.dumps({"text": " ".join("".join(generator.choices(letters, k=5)) for _ in range(60))}) + "\n" for _ in range(6000)))
    commands = some_commands(lab)
    lab.good("data", "tokenize", "--input", large, "--tokenizer", i / "tok", "--output-prefix", lab.folder / "big")
    commands["data tokenize"] = ["data", "tokenize", "--input", large, "--tokenizer", i / "tok", "--output-prefix", out / "o", "--checkpoint-interval", 0]
    commands["data merge"] = ["data", "merge", *[lab.folder / "big"] * 20, "--output-prefix", out / "o"]
    commands["data verify"] = ["data", "verify", *[lab.folder / "big"] * 20]
    commands["tokenizer train"] = ["tokenizer", "train", "--input", large, "--vocab-size", 700, "--output", out / "t"]
    commands["eval"] = ["eval", "--model", lab.model, "--text", large, "--max-tokens", 60000]
    commands["generate"] = ["generate", "--model", lab.model, "--prompts", lab.folder / "many.txt"]
    (lab.folder / "many.txt").write_text("the cat\n" * 300)
    for command in ("data tokenize", "data merge", "data verify", "tokenizer train", "eval", "generate", "checkpoint export", "checkpoint import", "checkpoint diff", "report", "data batches"):
        arguments = commands[command]
        lab.clear()
        make = with_run(lab) if command == "report" else None
        if make:
            make()
        begun = time.monotonic()
        lab.run(arguments)
        usual = time.monotonic() - begun
        for number, kind in enumerate((signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGINT, signal.SIGTERM)):
            name = f"signals: {kind.name} {number}, {command}"
            if left_out(name):
                continue
            lab.clear()
            if make:
                make()
            process = subprocess.Popen([BOREALIS, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, env=lab.environment, cwd=lab.folder, preexec_fn=limited({}))
            try:
                process.wait(generator.uniform(0, 1.1) * usual)
            except subprocess.TimeoutExpired:
                process.send_signal(kind)
            try:
                stdout, stderr = process.communicate(timeout=TIMEOUT_S)
                code = process.returncode
            except subprocess.TimeoutExpired:
                process.kill()
                stdout, stderr = process.communicate()
                code = None
            result = subprocess.CompletedProcess(arguments, code, stdout, stderr)
            partial = ["*.partial.*", "*/*.partial.*", "o.tokenizing", "run", "c", "t", "m", "o.*", "e"]
            problems = lab.judge(result, (0, 1) if "diff" in command else (0,), (), None, partial, (kind,), 8) + whole_outputs(lab)
            if code != 0:
                again = lab.run(arguments)
                # The signal may have come behind the program's last word: then there is something to refuse.
                done = result.stdout and again.returncode == FILE and any(word in again.stderr for word in (b" exists", b"holds checkpoints already"))
                if again.returncode not in ((0, 1) if "diff" in command else (0,)) and not done:
                    problems.append(f"again: {again.returncode} {again.stderr[:200]!r}")
                left = [path.name for path in out.rglob("*.partial.*")]
                if left:
                    problems.append(f"left behind after the same command again: {left[:3]}")
            report(name, problems, result)


def streams(lab):
    commands = some_commands(lab)
    shells = {"all closed": '"$@" <&- >&- 2>&-', "output and errors closed": '"$@" >&- 2>&-', "input and output closed": '"$@" <&- >&-', "errors closed": '"$@" 2>&-', "input closed": '"$@" <&-', "full": '"$@" >/dev/full',
              "errors full": '"$@" 2>/dev/full', "both full": '"$@" >/dev/full 2>&1', "input a folder": '"$@" </', "read-only output": '"$@" 1</dev/null', "reader gone": 'set -o pipefail; "$@" | true; exit ${PIPESTATUS[0]}'}
    for command, arguments in commands.items():
        for label, shell in shells.items():
            if command == "train" and label in ("both full", "input closed", "read-only output"):
                continue
            for json_too in (False,) if command in ("data batches", "train") or "checkpoint export" in command or "import" in command else (False, True):
                if json_too and label not in ("full", "reader gone", "read-only output"):
                    continue
                given = [*arguments, *(["--json"] if json_too else [])]
                lost = label in ("all closed", "output and errors closed", "input and output closed", "full", "both full", "read-only output")
                name = f"streams: {label}{' --json' if json_too else ''}, {command}"
                if left_out(name):
                    continue
                lab.clear()
                if command == "report":
                    with_run(lab)()
                process = subprocess.run(["bash", "-c", shell, "bash", BOREALIS, *map(str, given)], capture_output=True, env=lab.environment, cwd=lab.folder, timeout=TIMEOUT_S, preexec_fn=limited({}))
                code = process.returncode
                normal = (0,)
                allowed = (FILE,) if lost else (*normal, FILE, 128 + signal.SIGPIPE) if label == "reader gone" else (*normal, FILE) if "errors" in label else normal
                problems = [] if code in allowed else [f"exit code {code}, not one of {allowed}"]
                problems += [f"says {trace!r}" for trace in TRACES if trace in process.stdout + process.stderr]
                if lost and "closed" not in label.split("and errors")[-1] and b"standard output" not in process.stderr and label in ("full", "read-only output", "input and output closed"):
                    problems.append("does not say that the standard output is lost")
                lab.guard()
                report(name, problems + whole_outputs(lab), process)


def environments(lab):
    i, out = lab.inputs, lab.out
    commands = some_commands(lab)
    base = dict(lab.environment)
    normal = {}
    del commands["train"]
    for command, arguments in commands.items():
        lab.clear()
        if command == "report":
            with_run(lab)()
        result = lab.run(arguments)
        normal[command] = (result.returncode, stable(result))
    odd = {"empty": {}, "HOME unset": {"PATH": "/bin"}, "HOME missing": base | {"HOME": "/nowhere"}, "HOME a file": base | {"HOME": i / "good.txt"}, "HOME relative": base | {"HOME": "../.."}, "HOME empty": base | {"HOME": ""},
           "TMPDIR missing": base | {"TMPDIR": "/nowhere"}, "LC_ALL de_DE": base | {"LC_ALL": "de_DE.UTF-8", "LC_NUMERIC": "de_DE.UTF-8"}, "LC_ALL damaged": base | {"LC_ALL": "\x1b[31m", "LANG": "/dev/zero"}, "TZ": base | {"TZ": ":/dev/null"},
           "TZ long": base | {"TZ": "x" * 5000}, "TERM": base | {"TERM": "\x1b", "COLUMNS": "-1", "LINES": "99999999999"}, "HF": base | {"HF_HOME": "/dev/null", "HF_HUB_CACHE": "\x1b", "XDG_CACHE_HOME": "x" * 5000},
           "GPU": base | {"CUDA_VISIBLE_DEVICES": "-1,,x", "ROCR_VISIBLE_DEVICES": "all"}, "without values": base | {"OMP_NUM_THREADS": ""}, "oneDNN": base | {"ONEDNN_VERBOSE": "x", "ONEDNN_MAX_CPU_ISA": "nonsense", "DNNL_JIT_DUMP": "0"},
           "invalid UTF-8": base | {"X": b"\xff\xfe", "SEED": "x"}, "many": base | {f"X{n}": "y" * 100 for n in range(2000)}}
    for value in ("0", "-1", "1,2", "2,1", "x", "99999999999999999999", "1025", " 1", "1 ", "1;2", "1.5", ",", "0x1", "4294967297"):
        odd[f"OMP_NUM_THREADS={value}"] = base | {"OMP_NUM_THREADS": value}
    for name, value in (("OMP_STACKSIZE", "x"), ("OMP_STACKSIZE", "1B"), ("OMP_PROC_BIND", "x"), ("OMP_PLACES", "{"), ("OMP_SCHEDULE", "x"), ("OMP_WAIT_POLICY", "x"), ("GOMP_CPU_AFFINITY", "99999"), ("OMP_DYNAMIC", "x"), ("OMP_DISPLAY_ENV", "x"),
                        ("MEMORY_LIMIT", "x"), ("BOREALIS_CPU_ISA", "avx9"), ("BOREALIS_HOME", "/nowhere"), ("MALLOC_ARENA_MAX", "-1"), ("GLIBC_TUNABLES", "x")):
        odd[f"{name}={value}"] = base | {name: value}
    settled = {"plan": ("OMP_NUM_THREADS", "MEMORY_LIMIT", "BOREALIS_CPU_ISA"), "data batches": ("OMP_NUM_THREADS", "MEMORY_LIMIT", "BOREALIS_CPU_ISA"), "data blend": ("OMP_NUM_THREADS", "MEMORY_LIMIT", "BOREALIS_CPU_ISA"), "generate": ("MEMORY_LIMIT",), "eval": ("MEMORY_LIMIT",)}
    for number, (label, environment) in enumerate(odd.items()):
        chosen = random.Random(number).sample(list(commands), 3) + ["plan", "generate"]
        for command in dict.fromkeys(chosen):
            code, value = normal[command]
            may_refuse = any(label.startswith(name) for name in settled.get(command, ()))
            lab.case(f"environments: {label}, {command}", commands[command], whole_env=environment, codes=(code, CONFIG) if may_refuse else (code,), make=with_run(lab) if command == "report" else None,
                     words=[label.split("=")[0]] if may_refuse and code == 0 else [], left=LEFT,
                     same=(lambda r, c=command: 0 if c in ("plan", "eval", "data verify", "data blend", "data batches") else stable(r), 0 if command in ("plan", "eval", "data verify", "data blend", "data batches") else value) if code == 0 else None,
                     check=lambda result: [f"the environment makes noise: {result.stderr[:150]!r}"] if b"OMP:" in result.stderr or b"nvalid value" in result.stderr else [])
    for value in ("0", "-1", "1,2", "x", "2;1", "99999999999999999999", "1.5"):
        lab.case(f"environments: OMP_NUM_THREADS={value}, train", ["train", *SHAPE[:-2], "--mock-data", "--vocab-size", 128, "--train-iters", 1, "--eval-interval", 0, "--no-save", "--run-dir", out / "run"], env={"OMP_NUM_THREADS": value},
                 codes=(0,) if value in ("1,2",) else (CONFIG,), words=["OMP_NUM_THREADS"], left=LEFT)
    # Working folders.
    gone = lab.folder / "gone"
    for command, arguments in commands.items():
        gone.mkdir(exist_ok=True)
        code, value = normal[command]
        lab.case(f"environments: deleted folder, {command}", arguments, cwd=gone, before=lambda: os.rmdir(gone), codes=(code, FILE), words=["cannot"] if code == 0 else [], make=with_run(lab) if command == "report" else None, left=LEFT)
    gone.mkdir(exist_ok=True)
    lab.case("environments: deleted folder, a relative path", ["data", "tokenize", "--input", i / "text.jsonl", "--tokenizer", i / "tok", "--output-prefix", "o"], cwd=gone, before=lambda: os.rmdir(gone), codes=(FILE,))
    gone.mkdir(exist_ok=True)
    lab.case("environments: deleted folder, train", [a if a != lab.out / "cache" else "cache" for a in lab.train_arguments(1)] + ["--no-save"], cwd=gone, before=lambda: os.rmdir(gone), codes=(FILE,), lines=60, left=LEFT)
    # Clocks: files of other times; a time zone that is none.
    place = copied(lab, "times", [i / "text.jsonl", i / "tok", lab.model, i / "run"])
    for label, when in (("1901", -(1 << 31)), ("1969", -1), ("2106", 1 << 32), ("2446", 15032385535)):
        for path in place.rglob("*"):
            os.utime(path, (when, when))
        lab.guard(place)
        lab.case(f"environments: times of {label}, data tokenize", ["data", "tokenize", "--input", place / "text.jsonl", "--tokenizer", place / "tok", "--output-prefix", out / "o"], codes=(0,))
        lab.case(f"environments: times of {label}, inspect", ["checkpoint", "inspect", place / lab.model.name], codes=(0,))
        lab.case(f"environments: times of {label}, export", ["checkpoint", "export", "--from", place / lab.model.name, "--output", out / "e"], codes=(0,))
        lab.guard()
        lab.case(f"environments: times of {label}, report", ["report", place / "run"], codes=(0,))


def memory_disk():
    """A folder where fsync costs nothing, if there is one with room."""
    disk = "/dev/shm"
    return disk if os.access(disk, os.W_OK) and shutil.disk_usage(disk).free > GIB else None


def main():
    started = time.monotonic()
    for name in ("BOREALIS", "LC_ALL", "LANG"):
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory(prefix="borealis-hostile-", dir=memory_disk()) as name:
        os.chmod(name, 0o755)
        folder = pathlib.Path(name).resolve() / "lab"
        folder.mkdir()
        lab = Lab(folder)
        print(f"inputs made in {time.monotonic() - started:.1f} s", flush=True)
        for part in PARTS:
            if PART and part.__name__ != PART:
                continue
            begun = time.monotonic()
            lab.clear()
            lab.guard()
            part(lab)
            print(f"{part.__name__}: {time.monotonic() - begun:.1f} s", flush=True)
    for failure in failures:
        print("FAILED", failure)
    for key, names in known.items():
        print(f"known: {key} ({len(names)}): {KNOWN[key]}")
    for key in KNOWN:
        if key not in known and not ONLY and not PART and SHARE == 1:
            print(f"known, but not seen this time: {key}")
    for name in skipped:
        print("SKIPPED by name:", name)
    print(f"{sum(counts.values())} inputs {counts}, {len(failures)} failures, {sum(map(len, known.values()))} known, "
          f"{time.monotonic() - started:.0f} s")
    sys.exit(1 if failures else 0)


PARTS = [numbers, settings, texts, paths, outputs, damaged_models, damaged_states, damaged_data, damaged_texts, damaged_tokenizers, damaged_runs, no_files, limits, strangers, signals, streams, environments]

main()
