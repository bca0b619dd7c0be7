"""`borealis eval` against transformers: the same checkpoint, the same text, the windows cut once more in Python; and the
tokens, bytes and memory that it reports.

fp32: equal within 1e-4 of the loss. bf16: within 4e-3, for weights and activations are rounded to 8 bits at other places than
in the fp32 model that transformers runs here on the same bf16 weights. Skipped where torch or transformers is not installed."""

import json
import math
import os
import pathlib
import random
import subprocess
import sys
import tempfile

try:
    import torch
    import transformers
except ImportError as missing:
    print(f"skipped: the Python package '{missing.name}' is not installed")
    sys.exit(77)

BOREALIS = os.environ["BOREALIS"]
TOLERANCE = {"fp32": 1e-4, "bf16": 4e-3}
WORDS = "the cat sat on a mat and saw that no dog was near it, so she slept: naïve, happy – and warm.".split()


def borealis(*arguments, folder):
    command = [BOREALIS, *[str(a) for a in arguments]]
    result = subprocess.run(command, capture_output=True, text=True, cwd=folder, env={"PATH": os.environ["PATH"]})
    assert result.returncode == 0, f"{command}\n{result.stdout}{result.stderr}"
    return result.stdout


def make_texts(folder):
    generator = random.Random(4)
    texts = [" ".join(generator.choice(WORDS) for _ in range(generator.choice([1, 2, 30, 200, 900]))) for _ in range(40)]
    (folder / "texts.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in texts))
    (folder / "text.txt").write_text("\n".join(texts))
    return texts


def train(folder):
    """A model that has learnt something, and the same texts as a data set with end-of-text tokens."""
    borealis("tokenizer", "train", "--input", "texts.jsonl", "--vocab-size", 300, "--output", "tok", folder=folder)
    borealis("data", "tokenize", "--input", "texts.jsonl", "--tokenizer", "tok", "--output-prefix", "set", folder=folder)
    (folder / "list.txt").write_text("1.0 set corpus\n")
    borealis("train", "--data-file-list", "list.txt", "--tokenizer-model", "tok", "--split", "1,0,0", "--num-layers", 3, "--hidden-size", 64,
             "--num-attention-heads", 4, "--num-key-value-heads", 2, "--ffn-hidden-size", 160, "--seq-length", 64, "--micro-batch-size", 4,
             "--no-rope-layer-interval", 3, "--train-iters", 60, "--lr", "3e-3", "--eval-interval", 0, "--run-dir", "run", "--save", "ckpt",
             "--no-progress", folder=folder)


def loss_of_windows(model, documents, length, stride):
    """Nats and tokens: windows of `length` inputs, `stride` apart; of each only what the one before did not reach."""
    nats, tokens = 0.0, 0
    for ids in documents:
        reached = 0
        for begin in range(0, len(ids), stride):
            end = min(begin + length, len(ids) - 1)
            if end <= reached:
                break
            with torch.no_grad():
                logits = model(torch.tensor([ids[begin:end]])).logits[0].double()
            loss = torch.nn.functional.cross_entropy(logits, torch.tensor(ids[begin + 1:end + 1]), reduction="none")
            nats += loss[reached - begin:].sum().item()
            tokens += end - reached
            reached = end
    return nats, tokens


def check(name, model, documents, text_bytes, *arguments, folder, length=64, stride=64, dtypes=("fp32", "bf16")):
    nats, tokens = loss_of_windows(model, documents, length, stride)
    for dtype in dtypes:
        report = json.loads(borealis("eval", "--model", "ckpt", "--seq-length", length, "--stride", stride, "--dtype", dtype, "--json",
                                     *arguments, folder=folder))
        difference = abs(report["loss"] - nats / tokens) / (nats / tokens)
        assert difference < TOLERANCE[dtype], f"{name}, {dtype}: {report['loss']} against {nats / tokens}"
        assert report["tokens"] == tokens and report["bytes"] == text_bytes, (name, report, tokens, text_bytes)
        bits = report["loss"] * tokens / math.log(2) / text_bytes
        assert math.isclose(report["bits_per_byte"], bits, rel_tol=1e-9), report
        assert math.isclose(report["perplexity"], math.exp(report["loss"]), rel_tol=1e-9), report
        # A model of half a megabyte: what allocator and libraries take is most of it, and differs by a few MB between machines.
        assert abs(report["peak_memory_bytes"] - report["planned_memory_bytes"]) < 0.05 * report["planned_memory_bytes"] + 8e6, report
        print(f"{name}, {dtype}: {report['loss']:.6f} nats a token, {difference:.1e} from transformers")


def check_guide(model, encode, folder):
    """The loss that transformers itself gives for labels=input_ids, without any window."""
    ids = encode((folder / "text.txt").read_text())[:65]
    with torch.no_grad():
        theirs = model(torch.tensor([ids]), labels=torch.tensor([ids])).loss.item()
    ours = json.loads(borealis("eval", "--model", "ckpt", "--text", "text.txt", "--no-start-token", "--max-tokens", 64, "--seq-length", 64,
                               "--dtype", "fp32", "--json", folder=folder))
    assert ours["tokens"] == 64 and abs(ours["loss"] - theirs) < 1e-4 * theirs, (ours, theirs)


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        texts = make_texts(folder)
        train(folder)
        checkpoint = folder / "ckpt" / (folder / "ckpt/latest").read_text()
        config = json.loads((checkpoint / "config.json").read_text())
        # Windows longer than what was trained on: of both sides, so a user's own decision.
        (checkpoint / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 1024}))
        model = transformers.AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).eval()
        tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(checkpoint / "tokenizer.json"))
        end = tokenizer.convert_tokens_to_ids("<|endoftext|>")
        text = (folder / "text.txt").read_text()

        def encode(document):
            return tokenizer(document, add_special_tokens=False)["input_ids"]

        size = sum(len(t.encode()) for t in texts)
        documents = [[end, *encode(t)] for t in texts]
        shared = {"folder": folder}
        check("documents", model, documents, size, "--text", "texts.jsonl", **shared)
        check("documents, one at a time", model, documents, size, "--text", "texts.jsonl", "--batch-size", 1, "--threads", 1, **shared)
        check("overlapping windows", model, documents, size, "--text", "texts.jsonl", stride=24, **shared)
        check("long windows", model, documents, size, "--text", "texts.jsonl", length=500, stride=500, **shared)
        check("a text", model, [[end, *encode(text)]], len(text.encode()), "--text", "text.txt", **shared)
        first = len(tokenizer.decode(encode(text)[:1]).encode())
        check("a text without start token", model, [encode(text)], len(text.encode()) - first, "--text", "text.txt", "--no-start-token",
              **shared)
        check("a data set", model, [[*d, end] for d in documents], size, "--data", "set", **shared)
        check("a part", model, [documents[0] if len(documents[0]) > 500 else [end, *encode(text)][:501]],
              len(tokenizer.decode(encode(text)[:500]).encode()), "--text", "text.txt", "--max-tokens", 500, **shared)
        check_guide(model, encode, folder)


if __name__ == "__main__":
    main()
