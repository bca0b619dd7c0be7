"""A checkpoint that `borealis train` wrote, read by the `safetensors` package and, where it is
installed, by transformers: names, shapes, dtypes, config.json, and that the model predicts."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

try:
    import safetensors
except ImportError:
    print("skipped: the Python package 'safetensors' is not installed")
    sys.exit(77)

BOREALIS = os.environ["BOREALIS"]
HIDDEN, LAYERS, HEADS, KV_HEADS, FFN, VOCAB = 64, 4, 4, 2, 96, 256


def train(folder, dtype, extra):
    """A few steps on random tokens; the folder of the checkpoint."""
    command = [BOREALIS, "train", "--mock-data", "--run-dir", folder / "run", "--save", folder / "ckpt",
               "--num-layers", LAYERS, "--hidden-size", HIDDEN, "--num-attention-heads", HEADS,
               "--num-key-value-heads", KV_HEADS, "--ffn-hidden-size", FFN, "--seq-length", 32,
               "--vocab-size", VOCAB, "--micro-batch-size", 2, "--train-iters", 3, "--eval-interval", 0,
               "--dtype", dtype, "--no-progress", *extra]
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True, cwd=folder)
    assert result.returncode == 0, result.stdout + result.stderr
    latest = (folder / "ckpt" / "latest").read_text()
    assert latest == "global_step3", latest
    assert (folder / "ckpt" / "latest_checkpointed_iteration.txt").read_text() == "3"
    return folder / "ckpt" / latest


def expected_shapes(tied):
    shapes = {"model.embed_tokens.weight": [VOCAB, HIDDEN], "model.norm.weight": [HIDDEN]}
    if not tied:
        shapes["lm_head.weight"] = [VOCAB, HIDDEN]
    head_dim = HIDDEN // HEADS
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}."
        for name in ("input_layernorm", "post_attention_layernorm"):
            shapes[f"{prefix}{name}.weight"] = [HIDDEN]
        for name, rows in (("q", HEADS * head_dim), ("k", KV_HEADS * head_dim), ("v", KV_HEADS * head_dim)):
            shapes[f"{prefix}self_attn.{name}_proj.weight"] = [rows, HIDDEN]
        shapes[f"{prefix}self_attn.o_proj.weight"] = [HIDDEN, HEADS * head_dim]
        for name in ("gate", "up"):
            shapes[f"{prefix}mlp.{name}_proj.weight"] = [FFN, HIDDEN]
        shapes[f"{prefix}mlp.down_proj.weight"] = [HIDDEN, FFN]
    return shapes


def check_tensors(model, dtype, tied):
    with safetensors.safe_open(model / "model.safetensors", framework="numpy") as file:
        assert file.metadata() == {"format": "pt"}, file.metadata()
        slices = {name: file.get_slice(name) for name in file.keys()}
        shapes = {name: part.get_shape() for name, part in slices.items()}
        assert shapes == expected_shapes(tied), shapes
        assert {part.get_dtype() for part in slices.values()} == {dtype}
    assert [path.name for path in model.parent.iterdir() if "partial" in path.name] == []


def check_transformers(model):
    """The weights load without a missing or an unexpected name and give finite, unequal logits."""
    try:
        import torch
        import transformers
    except ImportError:
        return "transformers not installed"
    network, report = transformers.AutoModelForCausalLM.from_pretrained(
        model, dtype=torch.float32, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"], report
    with torch.no_grad():
        logits = network(torch.arange(40)[None]).logits
    assert logits.shape == (1, 40, VOCAB) and torch.isfinite(logits).all() and logits.std() > 1e-3
    return type(network).__name__


def main():
    cases = [("bf16", "BF16", False, []), ("fp32", "F32", False, []),
             ("bf16", "BF16", True, ["--tie-word-embeddings", "--no-rope-layer-interval", 4])]
    for dtype, stored, tied, extra in cases:
        with tempfile.TemporaryDirectory() as name:
            model = train(pathlib.Path(name), dtype, extra)
            config = json.loads((model / "config.json").read_text())
            assert config["tie_word_embeddings"] is tied and config["vocab_size"] == VOCAB, config
            if tied:
                assert config["no_rope_layers"] == [1, 1, 1, 0], config
            check_tensors(model, stored, tied)
            print(f"{dtype} {'tied, NoPE' if tied else 'untied'}: read by safetensors; {check_transformers(model)}")


if __name__ == "__main__":
    main()
