"""Every TOKENIZER_TYPE against its peer: SentencePiece models against the `sentencepiece` package, GPT-2's two files against
`tokenizers`; and checkpoints of each kind opened again, by `borealis generate` and, where it is installed, by transformers.

Each part is skipped by name where its package is not installed."""

import io
import json
import os
import pathlib
import random
import struct
import subprocess
import tempfile


def package(name):
    try:
        return __import__(name)
    except ImportError:
        print(f"skipped: the Python package '{name}' is not installed")
        return None


BOREALIS = os.environ["BOREALIS"]
SOURCE = pathlib.Path(os.environ["BOREALIS_SOURCE_DIR"])
sentencepiece = package("sentencepiece")
tokenizers = package("tokenizers")

TEXTS = ["the cat sat on the mat", " two  spaces   three\n\nlines\ttabs \r\n", "naïve café — 東京都", "مرحبا बाद", "👍🏽 👨‍👩‍👧 é", "▁ is ▁▁ it", "<s> </s> <unk> <0x41>",
         "   ", "don't WE'LL 1234567.89, 50%", "return nullptr; // int main() {", "x" * 3000, "ab " * 5000, "ﬁ ① Ａ \u00a0 \u3000 \u200b", "\x00\x01"]


def corpus():
    lines = [line for path in sorted((SOURCE / "src").rglob("*.cpp"))[:80] for line in path.read_text().splitlines()]
    return lines + ["naïve café — 東京都", "the cat sat on the mat", "  two  spaces   three"] * 20


def random_texts(seed, count):
    generator = random.Random(seed)
    pools = [range(0x20, 0x7F), range(0xA0, 0x250), range(0x370, 0x530), range(0x4E00, 0x4F00), range(0x1F300, 0x1F650), range(0x300, 0x36F),
             range(0xFF00, 0xFFEF), [9, 10, 13, 32, 32, 32, 0xA0, 0x2028, 0x3000, 0x200B, 0xFEFF, 0x2581]]
    return ["".join(chr(generator.choice(generator.choice(pools))) for _ in range(generator.randrange(1, 60))) for _ in range(count)]


def run(*arguments, env=None, output=subprocess.DEVNULL):
    return subprocess.run([BOREALIS, *map(str, arguments)], check=True, stdout=output, env={**os.environ, **(env or {})}, text=True).stdout


def tokenize(folder, texts, *options):
    (folder / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    run("data", "tokenize", "--input", folder / "texts.jsonl", "--output-prefix", folder / "out", "--overwrite", *options)
    index = (folder / "out.idx").read_bytes()
    count, = struct.unpack_from("<Q", index, 18)
    tokens = memoryview((folder / "out.bin").read_bytes()).cast("H" if index[17] == 8 else "i").tolist()
    documents = []
    for length in struct.unpack_from(f"<{count}i", index, 34):
        documents.append(tokens[:length])
        tokens = tokens[length:]
    return documents


def train_sentencepiece(path, **options):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(corpus()), model_writer=model, minloglevel=2, **options)
    path.parent.mkdir()
    path.write_bytes(model.getvalue())
    return sentencepiece.SentencePieceProcessor(model_file=str(path))


AS_IT_IS = {"byte_fallback": True, "normalization_rule_name": "identity", "remove_extra_whitespaces": False, "allow_whitespace_only_pieces": True}
MODELS = {
    "bpe": {"model_type": "bpe", "vocab_size": 1000, "split_digits": True, **AS_IT_IS},
    "unigram": {"model_type": "unigram", "vocab_size": 1000, **AS_IT_IS},
    "defaults": {"vocab_size": 500},
    "gemma-like": {"model_type": "bpe", "vocab_size": 1000, "add_dummy_prefix": False, "pad_id": 0, "eos_id": 1, "bos_id": 2, "unk_id": 3,
                   "user_defined_symbols": ["<2mass>", "\n\n"], **AS_IT_IS},
}


def is_tie(peer, ours, theirs):
    """Two segmentations that a unigram model finds equally likely: which one wins is up to the library's release."""
    def score(ids):
        return sum(map(peer.get_score, ids))
    return ours != theirs and peer.decode(ours) == peer.decode(theirs) and abs(score(ours) - score(theirs)) < 1e-4 * len(ours)


def check_sentencepiece(folder):
    texts = TEXTS + corpus()[:300] + random_texts(1, 1000)
    for name, options in MODELS.items():
        peer = train_sentencepiece(folder / name / "tokenizer.model", **options)
        bos, eos = peer.bos_id(), peer.eos_id()
        for kind, before, where in (("GPTSentencePieceTokenizer", [], "tokenizer.model"), ("Llama2Tokenizer", [bos], "."), ("HFTokenizer", [bos], ".")):
            documents = tokenize(folder, texts, "--tokenizer", folder / name / where, "--tokenizer-type", kind)
            # A text of no characters is no document, nor is one of no tokens.
            expected = [before + peer.encode(text) + [eos] for text in texts if text and before + peer.encode(text)]
            assert len(documents) == len(expected), (name, kind, len(documents), len(expected))
            ties = 0
            for ours, theirs in zip(documents, expected):
                tie = options.get("model_type", "unigram") == "unigram" and is_tie(peer, ours, theirs)
                ties += tie
                assert ours == theirs or tie, (name, kind, peer.decode(theirs), ours[:20], theirs[:20])
            assert ties < len(expected) // 50, f"{name}: {ties} ties"
        print(f"SentencePiece, {name}: {len(expected)} texts, the same ids in 3 types" + (f" ({ties} texts have two best segmentations)" if ties else ""))


def check_gpt2(folder):
    texts = TEXTS + corpus()[:300] + random_texts(2, 1000) + ["x<|endoftext|>y"]
    trained = tokenizers.Tokenizer(tokenizers.models.BPE())
    trained.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.train_from_iterator(corpus(), tokenizers.trainers.BpeTrainer(
        vocab_size=2000, special_tokens=["<|endoftext|>"], show_progress=False, initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet()))
    files = folder / "gpt2"
    files.mkdir()
    trained.model.save(str(files))
    peer = tokenizers.Tokenizer(tokenizers.models.BPE.from_file(str(files / "vocab.json"), str(files / "merges.txt")))
    peer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    end = trained.token_to_id("<|endoftext|>")
    expected = [encoding.ids + [end] for encoding in peer.encode_batch([text for text in texts if text])]
    assert tokenize(folder, texts, "--tokenizer", files, "--tokenizer-type", "gpt2") == expected
    two_files = ("--vocab-file", files / "vocab.json", "--merge-file", files / "merges.txt", "--tokenizer-type", "GPT2BPETokenizer")
    assert tokenize(folder, texts, *two_files) == expected
    print(f"GPT-2, two files: {len(texts)} texts, the same ids")


def check_numbers(folder):
    assert tokenize(folder, ["1 2 3", " 785\n0"], "--tokenizer-type", "NullTokenizer", "--vocab-size", 786) == [[1, 2, 3, 786], [785, 0, 786]]
    print("numbers: as they are written")


SMALL = {"NLAYERS": "1", "HIDDEN": "32", "HEADS": "2", "NUM_KV_HEAD": "1", "FFN_HIDDEN_SIZE": "64", "SEQ": "16", "MICRO_BATCH": "1", "TRAIN_ITERS": "1",
         "GRAD_ACC_STEPS": "1", "EVAL_INTERVAL": "1000", "EVAL_ITERS": "1", "TRAIN_SPLIT": "1", "VAL_SPLIT": "0", "DTYPE": "fp32"}


def train(folder, name, kind, options, variables, texts):
    """A checkpoint of one step on these texts."""
    tokenize(folder, texts, *options)
    (folder / "list.txt").write_text(f"1 {folder / 'out'} c\n")
    run("train", "--no-progress", *(options if "--vocab-size" in options and "--tokenizer" not in options else []),
        env=SMALL | variables | {"DATA_FILE_LIST": str(folder / "list.txt"), "CKPT_DIR": str(folder / f"ckpt-{name}-{kind}"), "TOKENIZER_TYPE": kind})
    return next((folder / f"ckpt-{name}-{kind}").glob("**/config.json")).parent


def check_with_transformers(checkpoint, before, encode, texts):
    from transformers import AutoTokenizer
    theirs = AutoTokenizer.from_pretrained(str(checkpoint))
    for text in texts:
        assert theirs.encode(text) == before + encode(text), (checkpoint, text, theirs.encode(text)[:20], (before + encode(text))[:20])


def check_checkpoints(folder):
    texts = [text for text in TEXTS if text.strip() and not text.startswith("<s>")]
    transformers = package("transformers")
    protobuf = transformers and package("google.protobuf")  # by which transformers reads SentencePiece
    kinds = [("bpe", "Llama2Tokenizer"), ("unigram", "GPTSentencePieceTokenizer"), ("bpe", "SentencePieceTokenizer")] if sentencepiece else []
    for name, kind in kinds:
        peer = sentencepiece.SentencePieceProcessor(model_file=str(folder / name / "tokenizer.model"))
        options = ("--tokenizer", folder / name, "--tokenizer-type", kind)
        checkpoint = train(folder, name, kind, options, {"TOKENIZER_MODEL": str(folder / name)}, texts * 5)
        before = [peer.bos_id()] if kind == "Llama2Tokenizer" else []
        # Opened by its files alone the folder is the tokenizer of the type.
        assert tokenize(folder, texts, "--tokenizer", checkpoint) == tokenize(folder, texts, *options), (name, kind)
        assert run("generate", "--model", checkpoint, "--prompt", "the cat", "--max-new-tokens", 4, output=subprocess.PIPE).startswith("the cat")
        if protobuf:
            check_with_transformers(checkpoint, before, peer.encode, texts)
        print(f"checkpoint of {kind}, {name}: opened again")
    if tokenizers:
        checkpoint = train(folder, "gpt2", "gpt2", ("--tokenizer", folder / "gpt2", "--tokenizer-type", "gpt2"), {"DATA_PARENT": str(folder / "gpt2")},
                           texts * 5)
        assert run("generate", "--model", checkpoint, "--prompt", "the cat", "--max-new-tokens", 4, output=subprocess.PIPE).startswith("the cat")
        peer = tokenizers.ByteLevelBPETokenizer(str(folder / "gpt2/vocab.json"), str(folder / "gpt2/merges.txt"))
        if transformers:
            check_with_transformers(checkpoint, [], lambda text: peer.encode(text).ids, texts)
        print("checkpoint of GPT2BPETokenizer: opened again")
    checkpoint = train(folder, "numbers", "NullTokenizer", ("--tokenizer-type", "NullTokenizer", "--vocab-size", 786), {}, ["1 2 3 4 5 6 7 8"] * 20)
    text = run("generate", "--model", checkpoint, "--prompt", "1 2", "--max-new-tokens", 4, output=subprocess.PIPE)
    assert text.startswith("1 2") and all(word.isdigit() for word in text.split()), text
    print("checkpoint of NullTokenizer: opened again")


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        if sentencepiece:
            check_sentencepiece(folder)
        if tokenizers:
            check_gpt2(folder)
        check_numbers(folder)
        check_checkpoints(folder)


main()
