"""Tokenizers against the `tokenizers` package: the same ids and the same text back, on a hundred thousand lines of real text
and on what is hard; and from the same text the same vocabulary.

Skipped where the package is not installed; the parts that need Gemma's or Llama 3's file are skipped where it is absent."""

import json
import pathlib
import subprocess
import sys
import tempfile

from tokenizer_peer import (BOREALIS, CODE, END, MIXED, SCRIPTS, SHARED, SOURCE, compare, invalid_utf8, random_texts, real_documents, real_lines,
                            tokenizers, without_a_space)
from tokenizers import models, pre_tokenizers, trainers

LINES = 100_000


def check_training(folder, texts, vocab_size):
    corpus = folder / "corpus.jsonl"
    corpus.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    target = folder / f"trained-{vocab_size}"
    subprocess.run([BOREALIS, "tokenizer", "train", "--input", corpus, "--vocab-size", str(vocab_size), "--output", target], check=True,
                   stdout=subprocess.DEVNULL)
    peer = tokenizers.Tokenizer(models.BPE())
    peer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    peer.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=vocab_size, min_frequency=2, special_tokens=[END], show_progress=False,
                                                        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    ours = json.loads((target / "tokenizer.json").read_text())["model"]
    theirs = json.loads(peer.to_str())["model"]
    spelled = [merge if isinstance(merge, str) else " ".join(merge) for merge in theirs["merges"]]
    assert ours["vocab"] == theirs["vocab"] and ours["merges"] == spelled, "the trained vocabularies differ"
    print(f"training: the same {len(spelled)} merges")
    return target / "tokenizer.json"


def with_all_of_gemmas_added_tokens(folder, path):
    """The file of the model repository has newline runs, runs of U+2581 and HTML tags as added tokens; a file at hand may not."""
    file = json.loads(path.read_text())
    vocabulary = file["model"]["vocab"]
    known = {token["content"] for token in file["added_tokens"]}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False}
    extra = [piece for piece, number in vocabulary.items() if number <= 216 and piece not in known]
    file["added_tokens"] += [{"id": vocabulary[piece], "content": piece} | flags for piece in extra]
    target = folder / "gemma-added.json"
    target.write_text(json.dumps(file))
    print(f"Gemma: {len(file['added_tokens'])} added tokens")
    return target


def main():
    hard = MIXED + SCRIPTS + CODE + ["\n".join(SCRIPTS + CODE)] + random_texts(3, 3000) + invalid_utf8()
    lines = real_lines(LINES)
    documents = [document for _, document in zip(range(120), real_documents())]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        sources = [path.read_text() for path in sorted((SOURCE / "src").rglob("*.cpp"))[:60]]
        small = check_training(folder, sources + random_texts(2, 1000), 3000)
        large = check_training(folder, documents, 32000)  # as many as GPT-2 has would take more text than there is
        everything = hard + lines + documents[1:] + without_a_space()
        compare("trained, 3000 entries", small, hard + lines[::20])
        compare("trained, 32000 entries", large, everything)
        if (SHARED / "llama-3").exists():
            compare("Llama 3", SHARED / "llama-3/tokenizer.json", everything)
        else:
            print(f"skipped: no Llama 3 tokenizer at {SHARED}/llama-3")
        if (SHARED / "gemma-7b").exists():
            compare("Gemma", SHARED / "gemma-7b/tokenizer.json", everything)
            added = with_all_of_gemmas_added_tokens(folder, SHARED / "gemma-7b/tokenizer.json")
            compare("Gemma with all added tokens", added, hard + lines[::20] + documents[1:20])
        else:
            print(f"skipped: no Gemma tokenizer at {SHARED}/gemma-7b")


main()
