"""Every part of a tokenizer.json that is supported, in small files, against the `tokenizers` package: the same ids and the
same text back.

Skipped where the package is not installed."""

import itertools
import json
import pathlib
import tempfile

from tokenizer_peer import CODE, END, MIXED, SCRIPTS, SOURCE, compare, random_texts, real_lines, tokenizers
from tokenizers import models, pre_tokenizers, trainers

SPACE = "▁"
BYTES_ONLY = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
BYTE_LEVEL = BYTES_ONLY | {"use_regex": True}
FLAGGED = ["a <mask> b <sep>  c qwordqs qwordq. sqwordq qwordq", "qnormqal qnormq abqnormqal <mask>", "\u2003<mask><sep>\u2003x é qwordq qwordq2 qwordqé",
           "qnormq\n<mask>\n<sep>\n", "<sep> \n \n\nx<mask>", "qwordq\u24d0 qwordq\u0301 \u00aaqwordq _qwordq qwordq\u200d", " q sp q  q sp qx"]


def token(number, content, **flags):
    return {"id": number, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True} | flags


def split(pattern, behavior, invert=False):
    return {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}


def sequence(key, *parts):
    return {"type": "Sequence", key: list(parts)}


def replace(pattern, content):
    return {"type": "Replace", "pattern": {"String": pattern}, "content": content}


def metaspace(**fields):
    return {"type": "Metaspace", "replacement": SPACE} | fields


def strip(start, stop):
    return {"type": "Strip", "content": " ", "start": start, "stop": stop}


def add_flagged_tokens(file):
    size = len(file["model"]["vocab"])
    tokens = [("<mask>", {"lstrip": True}), ("<sep>", {"rstrip": True}), ("qwordq", {"single_word": True, "special": False}),
              ("qnormq", {"normalized": True}), ("qnormqal", {}), ("q sp q", {"normalized": True, "special": False})]
    runs = [(run, {"special": False}) for run in ("\n\n", "\n", SPACE * 2, "é", "Ġx") if run not in file["model"]["vocab"]]
    file["added_tokens"] += [token(size + i, content, **flags) for i, (content, flags) in enumerate(tokens + runs)]


def template(token_id, content, both_ends):
    one = {"SpecialToken": {"id": content, "type_id": 0}}
    return {"type": "TemplateProcessing", "single": [one, {"Sequence": {"id": "A", "type_id": 0}}] + [one] * both_ends,
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {content: {"id": content, "ids": [token_id], "tokens": [content]}}}


def byte_level_file(texts):
    peer = tokenizers.Tokenizer(models.BPE())
    peer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    peer.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=3000, min_frequency=2, special_tokens=[END], show_progress=False,
                                                        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return json.loads(peer.to_str()) | {"pre_tokenizer": BYTE_LEVEL, "post_processor": BYTE_LEVEL, "decoder": BYTE_LEVEL}


def without(file, *pieces):
    """The file without pieces of one character, and without what is made of them."""
    model = file["model"]
    merges = [merge if isinstance(merge, list) else merge.split(" ") for merge in model["merges"]]
    model["merges"] = [merge for merge in merges if not set("".join(merge)) & set(pieces)]
    left = [piece for piece in sorted(model["vocab"], key=model["vocab"].get) if not set(piece) & set(pieces) or piece == END]
    model["vocab"] = {piece: number for number, piece in enumerate(left)}


def byte_level_variants(texts):
    """(name, tokenizer.json)"""
    text = json.dumps(byte_level_file(texts))

    def variant(name, model=(), missing=(), **parts):
        file = json.loads(text) | parts
        without(file, *missing)
        file["model"] |= dict(model)
        add_flagged_tokens(file)
        return name, file

    yield variant("byte level")
    yield variant("prefix space", pre_tokenizer=BYTE_LEVEL | {"add_prefix_space": True})
    yield variant("no words", pre_tokenizer=BYTES_ONLY)
    for each in (True, False):
        yield variant(f"digits, {each}", pre_tokenizer=sequence("pretokenizers", {"type": "Digits", "individual_digits": each}, BYTE_LEVEL))
    patterns = [{"String": "e"}, {"Regex": "\\s+|[a-e]"}, {"Regex": "(?=[A-Z])"}, {"Regex": "x*"}]
    behaviors = ["Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"]
    for pattern, behavior, invert in itertools.product(patterns, behaviors, (False, True)):
        yield variant(f"split {pattern}, {behavior}, {invert}",
                      pre_tokenizer=sequence("pretokenizers", split(pattern, behavior, invert), BYTES_ONLY))
    qwen2 = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
    for words in (qwen2, qwen2.replace("\\p{N}|", "\\p{N}{1,3}|"), qwen2.replace("\\p{N}|", "\\p{N}{1,2}|"), "[A-Za-z]+|[^A-Za-z]"):
        yield variant(f"words {words[-40:]}", pre_tokenizer=sequence("pretokenizers", split({"Regex": words}, "Removed", True), BYTES_ONLY))
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        yield variant(form, normalizer={"type": form})
    yield variant("normalizers", normalizer=sequence("normalizers", {"type": "Replace", "pattern": {"Regex": "[aeiou]{2,}"}, "content": "_"},
                                                     sequence("normalizers"), replace("the", "THE"), replace("z", "")))
    yield variant("template", post_processor=sequence("processors", BYTE_LEVEL, template(0, END, True)))
    yield variant("missing bytes", missing=("x", "Ġ"))
    yield variant("unknown bytes", {"unk_token": END}, ("x", "Ġ"))
    yield variant("unknown bytes in one", {"unk_token": END, "fuse_unk": True}, ("x", "Ġ"))
    yield variant("ignored merges", {"ignore_merges": True})
    yield variant("no decoder", decoder=None)
    yield variant("byte-level and more", decoder=sequence("decoders", BYTE_LEVEL, strip(1, 0), replace("he", "_")))


def character_file(texts, bytes_from):
    """A SentencePiece-like model: pieces that begin with U+2581, and as merges every pair that makes a piece, in its order."""
    peer = tokenizers.Tokenizer(models.BPE())
    peer.pre_tokenizer = pre_tokenizers.Metaspace()
    peer.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=2500, min_frequency=2, show_progress=False, limit_alphabet=150))
    names = ["<unk>", "<s>", "</s>"]
    learnt = [piece for piece, _ in sorted(peer.get_vocab().items(), key=lambda entry: entry[1])]
    runs = [SPACE * 2, SPACE * 4, "\n\n", "\n\n\n"]
    pieces = names + [f"<0x{byte:02X}>" for byte in range(bytes_from, 256)] + sorted({*learnt, *runs, "\n"}, key=(learnt + runs + ["\n"]).index)
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    merges = [[piece[:cut], piece[cut:]] for piece in learnt + runs for cut in range(1, len(piece))
              if piece[:cut] in vocabulary and piece[cut:] in vocabulary]
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [token(i, name) for i, name in enumerate(names)],
            "normalizer": None, "pre_tokenizer": None, "post_processor": template(1, "<s>", False), "decoder": None,
            "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None, "end_of_word_suffix": None,
                      "fuse_unk": True, "byte_fallback": True, "ignore_merges": False, "vocab": vocabulary, "merges": merges}}


def character_variants(texts):
    whole, partial = json.dumps(character_file(texts, 0)), json.dumps(character_file(texts, 0xC4))
    llama2 = sequence("normalizers", {"type": "Prepend", "prepend": SPACE}, replace(" ", SPACE))
    gemma = replace(" ", SPACE)
    fallback = [replace(SPACE, " "), {"type": "ByteFallback"}, {"type": "Fuse"}]
    llama2_decoder = sequence("decoders", *fallback, strip(1, 0))

    def variant(name, model=(), base=whole, **parts):
        file = json.loads(base) | {"decoder": sequence("decoders", *fallback)} | parts
        file["model"] |= dict(model)
        add_flagged_tokens(file)
        return name, file

    yield variant("Llama 2", normalizer=llama2, decoder=llama2_decoder)
    yield variant("Gemma", normalizer=gemma)
    for behavior in ("MergedWithPrevious", "MergedWithNext", "Isolated", "Contiguous", "Removed"):
        yield variant(f"Gemma 2, {behavior}", normalizer=gemma, pre_tokenizer=split({"String": " "}, behavior))
    for scheme, words in itertools.product(("always", "first", "never"), (True, False)):
        spaces = metaspace(prepend_scheme=scheme, split=words)
        yield variant(f"Metaspace {scheme}, {words}", pre_tokenizer=spaces, decoder=spaces)
        yield variant(f"Mistral {scheme}, {words}", pre_tokenizer=spaces, decoder=llama2_decoder)
    old = metaspace(add_prefix_space=True)
    yield variant("old Metaspace", pre_tokenizer=old, decoder=old)
    both = metaspace(add_prefix_space=False, prepend_scheme="never")
    yield variant("old and new Metaspace", pre_tokenizer=both, decoder=both)
    yield variant("Metaspace in a sequence",
                  pre_tokenizer=sequence("pretokenizers", split({"Regex": "[,.]"}, "Isolated"), metaspace(prepend_scheme="first"),
                                         {"type": "Digits", "individual_digits": True}))
    for fuse in (True, False):
        yield variant(f"no byte fallback, {fuse}", model={"byte_fallback": False, "fuse_unk": fuse}, normalizer=llama2)
        yield variant(f"few bytes, {fuse}", {"fuse_unk": fuse}, partial, normalizer=llama2)
    yield variant("few bytes and no unknown", {"unk_token": None}, partial, normalizer=gemma)
    yield variant("neither bytes nor unknown", {"unk_token": None, "byte_fallback": False}, normalizer=gemma)
    yield variant("ignored merges", {"ignore_merges": True}, pre_tokenizer=metaspace(prepend_scheme="always"))
    yield variant("normal form", normalizer=sequence("normalizers", {"type": "NFKC"}, gemma))
    yield variant("no decoder", normalizer=gemma, decoder=None)
    for steps in ([{"type": "Fuse"}], [{"type": "ByteFallback"}], [strip(0, 1)], [replace(SPACE + "t", "T"), {"type": "Fuse"}, replace("the", "_")],
                  [{"type": "Fuse"}, replace("▁t", "<>"), strip(2, 0)], [metaspace(), {"type": "ByteFallback"}, {"type": "Fuse"}],
                  [{"type": "ByteFallback"}, {"type": "Fuse"}, metaspace(prepend_scheme="always")]):
        yield variant(f"decoders {[step['type'] for step in steps]}", normalizer=gemma, decoder=sequence("decoders", *steps))


def main():
    sources = [path.read_text() for path in sorted((SOURCE / "src").rglob("*.cpp"))[:60]]
    training = sources + real_lines(4000) + random_texts(2, 1000)
    texts = [text[:2000] for text in MIXED + SCRIPTS + CODE] + FLAGGED + sources[:6] + real_lines(60_000)[::300] + random_texts(5, 300)
    with tempfile.TemporaryDirectory() as name:
        path = pathlib.Path(name) / "tokenizer.json"
        for variant, file in itertools.chain(byte_level_variants(training), character_variants(training)):
            path.write_text(json.dumps(file))
            compare(variant, path, texts)


main()
