"""The default kind of tokenizer against the `tokenizers` package: same ids on mixed text."""

import os
import pathlib
import subprocess
import sys
import tempfile

try:
    import tokenizers
except ImportError:
    print("skipped: the Python package 'tokenizers' is not installed")
    sys.exit(0)

BOREALIS = os.environ["BOREALIS"]
SOURCE = pathlib.Path(os.environ["BOREALIS_SOURCE_DIR"])

MIXED = ["naïve café — 東京都", "مرحبا بالعالم नमस्ते दुनिया", "👍🏽 👨‍👩‍👧 é", "don't WE'LL 1234567.89", "\x00\x01\t\r\n  x ",
         "def f(x):\n    return {'a': [1, 2]}  # done\n", "a" * 50000, "<|endoftext|>x<|endoftext|>", " ", "   \n  \n"]


def main():
    texts = MIXED + [p.read_text() for p in sorted((SOURCE / "src").rglob("*.cpp"))[:40]]
    corpus = SOURCE / "data/bible-kjv/bible.jsonl"
    if corpus.exists():
        import json
        texts += [json.loads(line)["text"] for line in corpus.read_text().splitlines()[:300]]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        import json
        (folder / "texts.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in texts))
        subprocess.run([BOREALIS, "tokenizer", "train", "--input", folder / "texts.jsonl", "--vocab-size", "2000",
                        "--output", folder / "tok"], check=True, stdout=subprocess.DEVNULL)
        subprocess.run([BOREALIS, "data", "tokenize", "--input", folder / "texts.jsonl", "--tokenizer", folder / "tok",
                        "--output-prefix", folder / "out", "--no-append-eod"], check=True, stdout=subprocess.DEVNULL)
        ids = memoryview((folder / "out.bin").read_bytes()).cast("H").tolist()
        peer = tokenizers.Tokenizer.from_file(str(folder / "tok/tokenizer.json"))
        at = 0
        for text in texts:
            expected = peer.encode(text).ids
            assert ids[at:at + len(expected)] == expected, f"ids differ for {text[:60]!r}"
            special = "<|endoftext|>" in text
            assert special or peer.decode(expected) == text, f"decoding differs for {text[:60]!r}"
            at += len(expected)
        assert at == len(ids), (at, len(ids))
    print(f"{len(texts)} texts, {at} tokens: the same ids")


main()
