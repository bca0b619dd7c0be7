"""Tokenizers against the `tokenizers` package: the same ids, and from the same text the same vocabulary.

Skipped where the package is not installed; the parts that need Llama 3's file are skipped where it is absent."""

import json
import os
import pathlib
import random
import struct
import subprocess
import sys
import tempfile

try:
    import tokenizers
    from tokenizers import models, pre_tokenizers, trainers
except ImportError:
    print("skipped: the Python package 'tokenizers' is not installed")
    sys.exit(0)

BOREALIS = os.environ["BOREALIS"]
SOURCE = pathlib.Path(os.environ["BOREALIS_SOURCE_DIR"])
LLAMA3 = SOURCE / "../shared/tokenizers/llama-3"
END = "<|endoftext|>"

MIXED = ["naïve café — 東京都", "مرحبا بالعالم नमस्ते दुनिया", "👍🏽 👨‍👩‍👧 é", "don't WE'LL 'ſ 'K", "price: $1234567.89, 50%",
         " Hello  world", "    indented\n        more", "\x00\x01\t\r\n  x ", "a\u180eb  \u180e c\x85d", " \n\n \n x", "\r\n\r\n", " ", "   \n  \n",
         f"{END}x{END}", "<|begin_of_text|>hi<|end_of_text|><|eot_id|>", "x" * 3000, "ab" * 20000, " " * 20000 + "x", "\n" * 20000]


def random_texts(seed, count):
    """Strings from many scripts, with every kind of white space and the letters whose case folding is odd."""
    pools = [range(0x20, 0x7F), range(0xA0, 0x250), range(0x370, 0x530), range(0x600, 0x700), range(0x900, 0xA00), range(0x4E00, 0x4F00),
             range(0x1F300, 0x1F650), range(0x300, 0x36F), range(0x30, 0x3A), [0xB2, 0xBD, 0x2160, 0x665], [0x17F, 0x212A, 39, 115, 83, 116, 0x2019],
             [9, 10, 11, 12, 13, 0x85, 0xA0, 0x1680, 0x180E, 0x2000, 0x200A, 0x200B, 0x2028, 0x202F, 0x3000, 0xFEFF, 0, 0x1C, 0x1F, 32, 32, 32]]
    generator = random.Random(seed)

    def text():
        runs = (generator.choice(pools) for _ in range(generator.randrange(1, 30)))
        return "".join(chr(generator.choice(pool)) for pool in runs for _ in range(generator.randrange(1, 6)))

    return [text() for _ in range(count)]


def corpus():
    """The sources of the program itself and some random text: enough for a few thousand merges."""
    return [path.read_text() for path in sorted((SOURCE / "src").rglob("*.cpp"))[:60]] + random_texts(2, 1000)


def run(*arguments):
    subprocess.run([BOREALIS, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)


def write_jsonl(path, texts):
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


def read_dataset(prefix):
    index = pathlib.Path(f"{prefix}.idx").read_bytes()
    count, = struct.unpack_from("<Q", index, 18)
    lengths = struct.unpack_from(f"<{count}i", index, 34)
    tokens = memoryview(pathlib.Path(f"{prefix}.bin").read_bytes()).cast("H" if index[17] == 8 else "i").tolist()
    documents, begin = [], 0
    for length in lengths:
        documents.append(tokens[begin:begin + length])
        begin += length
    assert begin == len(tokens)
    return documents


def check(folder, name, tokenizer, texts):
    run("data", "tokenize", "--input", write_jsonl(folder / "texts.jsonl", texts), "--tokenizer", tokenizer, "--output-prefix", folder / "out",
        "--no-append-eod")
    peer = tokenizers.Tokenizer.from_file(str(tokenizer))
    expected = [(text, encoding.ids) for text, encoding in zip(texts, peer.encode_batch(texts)) if encoding.ids]
    documents = read_dataset(folder / "out")
    assert len(documents) == len(expected), (name, len(documents), len(expected))
    for ids, (text, peer_ids) in zip(documents, expected):
        assert ids == peer_ids, f"{name}: ids differ for {text[:80]!r}: {ids[:20]} instead of {peer_ids[:20]}"
    print(f"{name}: {len(texts)} texts, the same ids")


def check_training(folder):
    texts = corpus()
    run("tokenizer", "train", "--input", write_jsonl(folder / "corpus.jsonl", texts), "--vocab-size", 3000, "--output", folder / "trained")
    peer = tokenizers.Tokenizer(models.BPE())
    peer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    peer.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=3000, min_frequency=2, special_tokens=[END], show_progress=False,
                                                        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    ours = json.loads((folder / "trained/tokenizer.json").read_text())["model"]
    theirs = json.loads(peer.to_str())["model"]
    spelled = [merge if isinstance(merge, str) else " ".join(merge) for merge in theirs["merges"]]
    assert ours["vocab"] == theirs["vocab"] and ours["merges"] == spelled, "the trained vocabularies differ"
    print(f"training: the same {len(spelled)} merges")
    return folder / "trained/tokenizer.json"


def token(number, content, **flags):
    return {"id": number, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True} | flags


def split(pattern, behavior, invert=False):
    return {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}


BYTES_ONLY = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}


def with_flags(file):
    file["added_tokens"] += [token(3000, "<mask>", lstrip=True), token(3001, "<sep>", rstrip=True),
                             token(3002, "qwordq", single_word=True, special=False), token(3003, "qnormq", normalized=True), token(3004, "qnormqal")]


def with_prefix_space(file):
    file["pre_tokenizer"]["add_prefix_space"] = True


def with_digits(file):
    file["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, file["pre_tokenizer"]]}


def with_inverted_split(file):
    file["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [split({"Regex": "[A-Za-z]+|[^A-Za-z]"}, "Removed", True), BYTES_ONLY]}


def with_splits(file):
    file["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [split({"String": "e."}, "Isolated"), split({"Regex": "\\d"}, "Isolated"),
                                                                   file["pre_tokenizer"]]}


def with_template(file):
    end = {"SpecialToken": {"id": END, "type_id": 0}}
    file["post_processor"] = {"type": "TemplateProcessing", "single": [end, {"Sequence": {"id": "A", "type_id": 0}}, end],
                              "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                              "special_tokens": {END: {"id": END, "ids": [0], "tokens": [END]}}}


def with_missing_bytes(file):
    model = file["model"]
    for piece in ("x", "Ġ"):
        del model["vocab"][piece]
    model["merges"] = [merge for merge in model["merges"] if not set("xĠ") & set(merge)]


def with_unknown(file):
    with_missing_bytes(file)
    file["model"] |= {"unk_token": END, "fuse_unk": True}


def with_ignored_merges(file):
    file["model"]["ignore_merges"] = True


def check_variants(folder, trained):
    flagged = ["a <mask> b <sep>  c qwordqs qwordq. sqwordq qwordq", "qnormqal qnormq abqnormqal <mask>",
               "\u2003<mask><sep>\u2003x é qwordq qwordq2 qwordqé",
               "qnormq\n<mask>\n<sep>\n"]
    texts = MIXED + corpus()[:20] + random_texts(5, 300) + flagged + ["12 345 ½² x1y22", "e. e.e. 3", "xx  xyz x"]
    for change in (with_flags, with_prefix_space, with_digits, with_inverted_split, with_splits, with_template, with_missing_bytes, with_unknown,
                   with_ignored_merges):
        file = json.loads(trained.read_text())
        change(file)
        path = folder / f"{change.__name__}.json"
        path.write_text(json.dumps(file))
        check(folder, change.__name__, path, texts)


def check_invalid_utf8(folder, tokenizer):
    generator = random.Random(9)
    raw = [b"ab\xff\xe2\x82 cd \xf0\x9f\x98 x \xed\xa0\x80 \xc0\xaf\xe2", b"\x80\x80abc\xf4\x90\x80\x80"]
    raw += [bytes(generator.choice([generator.randrange(256), *b"ab \xe2\x82\xf0\x9f\xc3\xa9"]) for _ in range(200)) for _ in range(30)]
    files = []
    for number, text in enumerate(raw):
        files.append(folder / f"raw{number}.txt")
        files[-1].write_bytes(text)
    run("data", "tokenize", "--input", *files, "--tokenizer", tokenizer, "--output-prefix", folder / "out", "--no-append-eod")
    peer = tokenizers.Tokenizer.from_file(str(tokenizer))
    expected = [peer.encode(text.decode("utf-8", errors="replace")).ids for text in raw]
    assert read_dataset(folder / "out") == expected, "invalid UTF-8 is not replaced as Python does"
    print(f"invalid UTF-8: {len(raw)} texts, replaced as Python does")


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        trained = check_training(folder)
        check(folder, "trained", trained, MIXED + corpus() + random_texts(3, 3000))
        check_variants(folder, trained)
        check_invalid_utf8(folder, trained)
        if not LLAMA3.exists():
            print(f"skipped: no Llama 3 tokenizer at {LLAMA3}")
            return
        check(folder, "llama-3", LLAMA3 / "tokenizer.json", MIXED + corpus() + random_texts(4, 3000))
        check_invalid_utf8(folder, LLAMA3 / "tokenizer.json")


main()
