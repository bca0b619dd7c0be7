"""Tokenizers against the `tokenizers` package on every assigned code point: the same ids, and the same text back, for kinds of tokenizers that
differ in what they must know of Unicode: general categories and scripts in split expressions, normal forms, word characters.

BOREALIS_UNICODE_TEXTS=100000 sets the number of texts (1500), among which all code points are spread; fewer texts are longer ones.
Skipped where the package is not installed."""

import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile

from tokenizer_peer import SHARED, SOURCE, compare, tokenizers
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, trainers

sys.path.insert(0, str(SOURCE / "tests/tokenizer"))
from make_unicode_ranges import EVERY, code_points_of  # noqa: E402

TEXTS = int(os.environ.get("BOREALIS_UNICODE_TEXTS", 1500))
CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
QWEN2 = rf"{CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = QWEN2.replace(r"\p{N}|", r"\p{N}{1,3}|")
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
GPT4O = (rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+{CONTRACTIONS}?|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*{CONTRACTIONS}?|"
         r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK = [r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+",
            r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"]
# Each alone, so that a wrong one shows: a category, its complement, both within classes; scripts.
CATEGORIES = "L M N P S Z C Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Cc Cf Co Cn".split()
COMPLEMENTS = "".join(rf"\p{{{name}}}\P{{{name}}}{{1,3}}|\p{{^{name}}}\p{{{name}}}{{2}}|" for name in "L M N P S Lo So".split())
WITHIN_CLASSES = r"[a\P{L}]\d|[^b\P{Mn}]{2}|[\D]\p{Lu}|[\P{S}x]\p{So}|[^\p{^P}]+"
SCRIPTS = r"\p{Han}+|\p{Hiragana}+|[\p{Katakana}x]+|\p{Latin}+|\p{Arabic}+|\p{Cyrillic}{2}|\p{Devanagari}+|\p{Kannada}+|\p{Egyptian_Hieroglyphs}+"


def every_pair():
    """Any two bytes or pairs of a word may come together, in no order that words have: how a text is cut shows in the ids."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [(a, b) for a in alphabet for b in alphabet]
    random.Random(6).shuffle(merges)
    return models.BPE(vocab={piece: i for i, piece in enumerate(alphabet + [a + b for a, b in merges])}, merges=merges)


def cut_by(*expressions, normalizer=None, behavior="isolated"):
    peer = tokenizers.Tokenizer(every_pair())
    splits = [pre_tokenizers.Split(Regex(expression), behavior) for expression in expressions]
    peer.pre_tokenizer = pre_tokenizers.Sequence([*splits, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not splits)])
    peer.decoder = decoders.ByteLevel()
    if normalizer:
        peer.normalizer = normalizer
    return peer


def by_characters(texts, normalizer, pre_tokenizer=None):
    """Llama 2's kind: characters, and bytes for those that are no pieces."""
    special = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
    peer = tokenizers.Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    peer.normalizer = normalizer
    if pre_tokenizer:
        peer.pre_tokenizer = pre_tokenizer
    peer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    peer.train_from_iterator(texts[::7], trainers.BpeTrainer(vocab_size=6000, special_tokens=special, limit_alphabet=4000, show_progress=False))
    file = json.loads(peer.to_str())
    file["added_tokens"] = file["added_tokens"][:1]  # byte tokens are pieces as others
    return tokenizers.Tokenizer.from_str(json.dumps(file))


def words_that_stand_alone():
    peer = cut_by()
    peer.add_tokens([AddedToken("a", single_word=True), AddedToken("1", single_word=True, lstrip=True), AddedToken("'s", rstrip=True)])
    return peer


def kinds(texts):
    yield "GPT-2's expression", cut_by()
    yield "Llama 3's expression", cut_by(LLAMA3)
    yield "Qwen 2's expression, NFC", cut_by(QWEN2, normalizer=normalizers.NFC())
    yield "GPT-4o's expression", cut_by(GPT4O)
    yield "DeepSeek's expressions", cut_by(*DEEPSEEK)
    yield "a category after the other", cut_by("|".join(rf"\p{{{name}}}+" for name in CATEGORIES[7:]))
    yield "complements of categories", cut_by(COMPLEMENTS + r"\d+|\D")
    yield "complements within classes", cut_by(WITHIN_CLASSES)
    yield "scripts", cut_by(SCRIPTS, behavior="merged_with_next")
    yield "NFD", cut_by(normalizer=normalizers.NFD())
    yield "NFKC", cut_by(normalizer=normalizers.NFKC())
    yield "NFKD, digits one by one", cut_by(r"\p{Nd}", normalizer=normalizers.NFKD())
    yield "words that stand alone", words_that_stand_alone()
    yield "SentencePiece's kind, NFKC", by_characters(texts, normalizers.NFKC(), pre_tokenizers.Metaspace())
    yield "Llama 2's kind", by_characters(texts, normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]))


def texts_of_every_code_point(count):
    generator = random.Random(16)
    points = sorted(set(EVERY) - set(code_points_of(r"\p{Cn}")))
    marks = [p for p in code_points_of(r"\p{M}")]
    glue = ["", "", "", " ", "a", "Z", "1", "'s", "\n", "  ", "-", "é", "e\u0301", "東", "\u0323\u0301", "\u1100\u1161\u11a8"]
    generator.shuffle(points)
    texts = []
    for i in range(count):
        parts = []
        for point in points[i * len(points) // count:(i + 1) * len(points) // count]:
            beside = generator.random()
            mark = chr(generator.choice(marks)) if beside < 0.3 else ""
            parts += [chr(point) * (1 + (beside > 0.8)), mark, generator.choice(glue)]
        texts.append("".join(parts))
    # Neighbours of a block, marks of all classes in a row, and what no version has assigned.
    texts += ["".join(map(chr, EVERY[begin:begin + 256])) for begin in range(0, len(EVERY), max(256, len(EVERY) // max(count // 10, 1)))]
    texts += ["".join(chr(generator.choice(marks)) for _ in range(12)) for _ in range(count // 10)]
    texts += ["x" + "".join(chr(generator.choice(EVERY)) for _ in range(20)) for _ in range(count // 10)]
    print(f"{len(points)} code points in {len(texts)} texts, {sum(map(len, texts))} characters")
    return texts


def check_tables():
    maker = SOURCE / "tests/tokenizer/make_unicode_ranges.py"
    code = subprocess.run([sys.executable, maker, "--check"]).returncode
    assert code in (0, 77), f"{maker} would write other tables"


def main():
    check_tables()
    texts = texts_of_every_code_point(TEXTS)
    with tempfile.TemporaryDirectory() as folder:
        for name, peer in kinds(texts):
            path = pathlib.Path(folder) / "tokenizer.json"
            peer.save(str(path))
            compare(name, path, texts)
    for name in ("llama-3", "gemma-7b"):
        if (SHARED / name).exists():
            compare(name, SHARED / name / "tokenizer.json", texts)
        else:
            print(f"skipped: no tokenizer at {SHARED / name}")


main()
