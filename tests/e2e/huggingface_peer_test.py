"""Models that transformers makes, imported, and models made here, exported, against transformers.

Random models (Llama and SmolLM3; tied and untied; heads of a width unlike hidden / heads; llama3 scaling of RoPE in both
spellings; layers without RoPE; one file and shards; fp32, bf16, fp16) give Hugging Face's logits within 1e-4 in fp32, go out
again with the same names, shapes, types and bits, and train for ten steps with torch's losses. A model trained here loads in
transformers with no name missing or unexpected and gives our logits; fp32 exports hold the master weights. Skipped where torch or transformers is not installed."""

import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile

try:
    import numpy
    import safetensors.torch
    import torch
    import transformers
except ImportError as missing:
    print(f"skipped: the Python package '{missing.name}' is not installed")
    sys.exit(77)

transformers.utils.logging.disable_progress_bar()
BOREALIS = os.environ["BOREALIS"]
LOGITS_DRIVER = pathlib.Path(BOREALIS).with_name("tests") / "logits_driver"
TOLERANCE = 1e-4  # absolute, on logits of about 1: f32 sums of a hundred products in another order
STORED = {torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16"}

LLAMA3_SCALING = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                  "original_max_position_embeddings": 32}
SHAPE = {"hidden_size": 48, "intermediate_size": 100, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2,
         "max_position_embeddings": 256, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": None}

# name: (class, what its configuration has besides, dtype, largest shard)
MODELS = {
    "llama_scaled_wide_heads": ("Llama", {"vocab_size": 131, "head_dim": 20, "rms_norm_eps": 1e-5, "tie_word_embeddings": False,
                                          "rope_parameters": {"rope_theta": 10000.0, **LLAMA3_SCALING}}, torch.float32, "5GB"),
    "llama_tied_sharded": ("Llama", {"vocab_size": 128, "rms_norm_eps": 1e-6, "tie_word_embeddings": True,
                                     "rope_parameters": {"rope_theta": 500000.0, "rope_type": "default"}}, torch.bfloat16, "30KB"),
    "llama_half": ("Llama", {"vocab_size": 97, "rms_norm_eps": 1e-5, "tie_word_embeddings": False,
                             "rope_parameters": {"rope_theta": 50000.0, "rope_type": "default"}}, torch.float16, "5GB"),
    "smollm3_tied": ("SmolLM3", {"vocab_size": 130, "rms_norm_eps": 1e-6, "tie_word_embeddings": True, "no_rope_layers": [1, 1, 0],
                                 "rope_parameters": {"rope_theta": 5000000.0, "rope_type": "default"}}, torch.float32, "40KB"),
    "smollm3_untied": ("SmolLM3", {"vocab_size": 131, "head_dim": 16, "rms_norm_eps": 1e-6, "tie_word_embeddings": False,
                                   "no_rope_layers": [0, 1, 1], "rope_parameters": {"rope_theta": 2000000.0, "rope_type": "default"}},
                       torch.bfloat16, "5GB"),
}


def borealis(*arguments, folder, code=0, env=None):
    command = [BOREALIS, *[str(a) for a in arguments]]
    result = subprocess.run(command, capture_output=True, text=True, cwd=folder, env={"PATH": os.environ["PATH"], **(env or {})})
    assert result.returncode == code, f"{command}: {result.returncode}\n{result.stdout}{result.stderr}"
    return result.stdout


def make_model(folder, name):
    """A random model in `folder`; matrices N(0, 0.08), norm gains 1 + N(0, 0.1)."""
    kind, more, dtype, shard = MODELS[name]
    config = getattr(transformers, f"{kind}Config")(**{**SHAPE, **more})
    model = getattr(transformers, f"{kind}ForCausalLM")(config)
    generator = torch.Generator().manual_seed(len(name))
    with torch.no_grad():
        for _, parameter in sorted(model.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(1 + 0.1 * noise if parameter.dim() == 1 else 0.08 * noise)
    model.to(dtype).save_pretrained(folder, max_shard_size=shard)


def spell_as_transformers_4(folder):
    path = folder / "config.json"
    config = json.loads(path.read_text())
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    config["rope_scaling"] = rope if rope["rope_type"] != "default" else None
    config["torch_dtype"] = config.pop("dtype")
    path.write_text(json.dumps(config))


def load(folder):
    """In fp32, which holds every stored value; no name may be missing or unexpected."""
    model, report = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"] and not report["mismatched_keys"], report
    return model.eval()


def their_logits(model, tokens):
    with torch.no_grad():
        return model(torch.from_numpy(tokens).long()).logits.numpy()


def our_logits(folder, tokens, vocab_size):
    data = struct.pack("<II", *tokens.shape) + tokens.astype("<i4").tobytes()
    result = subprocess.run([LOGITS_DRIVER, folder], input=data, capture_output=True)
    assert result.returncode == 0, result.stderr.decode()
    return numpy.frombuffer(result.stdout, "<f4").reshape(*tokens.shape, vocab_size)


def stored_tensors(folder):
    tensors = {}
    for file in sorted(folder.glob("*.safetensors")):
        tensors.update(safetensors.torch.load_file(file))
    return tensors


def vocab_size_of(folder):
    return json.loads((folder / "config.json").read_text())["vocab_size"]


def random_tokens(vocab_size):
    return numpy.random.default_rng(5).integers(0, vocab_size, size=(2, 60), dtype=numpy.int32)


def largest_difference(a, b):
    return float(numpy.abs(a.astype(numpy.float64) - b).max())


def check_import(folder, name, source, multiple=1):
    """The imported model gives the logits; its further rows of the vocabulary are the mean of the others."""
    borealis("checkpoint", "import", "--from", source, "--output", name, "--pad-vocab-multiple", multiple, folder=folder)
    checkpoint = folder / name / (folder / name / "latest").read_text()
    assert checkpoint.name == "global_step0"
    borealis("checkpoint", "verify", name, folder=folder)
    size, padded = vocab_size_of(source), vocab_size_of(checkpoint)
    assert padded == -(-size // multiple) * multiple, (size, padded)
    tokens = random_tokens(size)
    theirs, ours = their_logits(load(source), tokens), our_logits(checkpoint, tokens, padded)
    assert theirs.std() > 0.1, theirs.std()
    difference = largest_difference(theirs, ours[..., :size])
    assert difference < TOLERANCE, (name, difference)
    for tensor, values in stored_tensors(checkpoint).items():
        if values.shape[0] == padded and padded > size:
            mean = values[:size].double().mean(dim=0)
            assert (values[size:].double() - mean).abs().max() < 1e-3 * values.double().std(), tensor
    return checkpoint, difference


def check_export(folder, checkpoint, source, name, *arguments):
    """Out again: the same names, shapes, types and bits, and transformers loads it."""
    target = folder / f"{name}-exported"
    borealis("checkpoint", "export", "--from", checkpoint, "--output", target, *arguments, folder=folder)
    before, after = stored_tensors(source), stored_tensors(target)
    assert before.keys() == after.keys(), before.keys() ^ after.keys()
    for tensor, values in before.items():
        assert values.dtype == after[tensor].dtype and torch.equal(values, after[tensor]), tensor
    tokens = random_tokens(vocab_size_of(source))
    assert largest_difference(their_logits(load(source), tokens), their_logits(load(target), tokens)) == 0
    borealis("checkpoint", "diff", source, target, folder=folder)


def check_conversion(folder, checkpoint):
    """Every type against torch's own rounding, and the difference that `diff` finds."""
    before = stored_tensors(checkpoint)
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)):
        target = folder / f"as-{name}"
        borealis("checkpoint", "export", "--from", checkpoint, "--output", target, "--dtype", name, folder=folder)
        largest = 0.0
        for tensor, values in stored_tensors(target).items():
            assert torch.equal(values, before[tensor].to(dtype)), tensor
            largest = max(largest, (before[tensor].float() - values.float()).abs().max().item())
        report = json.loads(borealis("checkpoint", "diff", checkpoint, target, "--json", folder=folder, code=0 if largest == 0 else 1))
        assert report["equal"] == (largest == 0) and report["dtype_b"] == STORED[dtype], report
        assert abs(max(t["max_absolute"] for t in report["tensors"]) - largest) < 1e-12, report
        assert json.loads((target / "config.json").read_text())["torch_dtype"] == str(dtype).removeprefix("torch.")


def check_trained_model(folder, source, name):
    """An architecture of Hugging Face's, trained here from new weights, read by transformers."""
    borealis("train", "--model-arch", source, "--seq-length", 32, "--mock-data", "--micro-batch-size", 2, "--train-iters", 4, "--lr", "1e-3",
             "--dtype", "fp32", "--eval-interval", 0, "--run-dir", f"{name}-train-run", "--save", f"{name}-trained", "--no-progress", folder=folder)
    target = folder / f"{name}-trained-exported"
    borealis("checkpoint", "export", "--from", f"{name}-trained", "--output", target, "--max-shard-size", "100KB", folder=folder)
    assert {n: v.shape for n, v in stored_tensors(target).items()} == {n: v.shape for n, v in stored_tensors(source).items()}
    trained, given = json.loads((target / "config.json").read_text()), json.loads((source / "config.json").read_text())
    given.setdefault("head_dim", given["hidden_size"] // given["num_attention_heads"])
    for key in ("hidden_size", "head_dim", "vocab_size", "tie_word_embeddings", "rms_norm_eps", "max_position_embeddings"):
        assert trained[key] == given[key], (key, trained[key], given[key])
    tokens = random_tokens(vocab_size_of(target))
    model = folder / f"{name}-trained" / "global_step4"
    difference = largest_difference(their_logits(load(target), tokens), our_logits(model, tokens, vocab_size_of(target)))
    assert difference < TOLERANCE, (name, difference)
    return difference


def write_dataset(prefix, vocab_size):
    """A Megatron data set of u16 tokens, skewed towards small ids, so that there is something to learn."""
    generator = numpy.random.default_rng(9)
    lengths = [200] * 40
    tokens = (generator.random(sum(lengths)) ** 2 * vocab_size).astype("<u2")
    n, offsets = len(lengths), [400 * i for i in range(len(lengths))]
    index = b"MMIDIDX\0\0" + struct.pack("<QBQQ", 1, 8, n, n + 1)
    index += struct.pack(f"<{n}i", *lengths) + struct.pack(f"<{n}q", *offsets) + struct.pack(f"<{n + 1}q", *range(n + 1))
    pathlib.Path(f"{prefix}.idx").write_bytes(index)
    pathlib.Path(f"{prefix}.bin").write_bytes(tokens.tobytes())


def train_with_torch(model, batches):
    """Losses and norms of AdamW steps: no decay of tensors of one dimension, the norm clipped at 1 (contract sections 3.3 to 3.5)."""
    groups = [{"params": [p for p in model.parameters() if p.dim() > 1], "weight_decay": 0.1},
              {"params": [p for p in model.parameters() if p.dim() == 1], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.95), eps=1e-5)
    model.model.embed_tokens.padding_idx = None
    losses, norms = [], []
    for tokens in batches:
        tokens = torch.tensor(tokens)
        logits = model(tokens[:, :-1]).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0).item())
        optimizer.step()
        losses.append(loss.item())
    return losses, norms


def check_training(folder, checkpoint, source, name):
    """Ten steps from the imported weights: torch's losses, norms and weights; then out again, with what was imported but values."""
    write_dataset(folder / "set", vocab_size_of(source))
    (folder / "list.txt").write_text("1.0 set corpus\n")
    data = ["--model-arch", checkpoint, "--data-file-list", "list.txt", "--seq-length", 32, "--micro-batch-size", 2,
            "--grad-acc-steps", 2, "--train-iters", 10, "--dtype", "fp32"]
    lines = borealis("data", "batches", *data, "--steps", 10, folder=folder, env={"TRAIN_SPLIT": "1", "VAL_SPLIT": "0"}).splitlines()
    batches = [json.loads(line)["tokens"] for line in lines]
    assert len(batches) == 10 and len(batches[0]) == 4 and len(batches[0][0]) == 33, (len(batches), len(batches[0]))
    borealis("train", *data, "--load", name, "--finetune", "--lr", "1e-3", "--lr-decay-style", "constant", "--lr-warmup-fraction", 0,
             "--eval-interval", 0, "--run-dir", f"{name}-run", "--save", f"{name}-tuned", "--no-progress", folder=folder,
             env={"TRAIN_SPLIT": "1", "VAL_SPLIT": "0"})
    steps = [json.loads(line) for line in (folder / f"{name}-run" / "metrics.jsonl").read_text().splitlines()]
    model = load(checkpoint)
    losses, norms = train_with_torch(model, batches)
    for step, loss, norm in zip(steps, losses, norms, strict=True):
        assert abs(step["lm_loss"] - loss) < 1e-5 * loss, (name, step["iteration"], step["lm_loss"], loss)
        assert abs(step["grad_norm"] - norm) < 1e-4 * norm, (name, step["iteration"], step["grad_norm"], norm)
    assert losses[-1] < losses[0] - 0.01, losses
    target = folder / f"{name}-tuned-exported"
    borealis("checkpoint", "export", "--from", f"{name}-tuned", "--output", target, folder=folder)
    before, after = stored_tensors(checkpoint), stored_tensors(target)
    assert {n: v.shape for n, v in before.items()} == {n: v.shape for n, v in after.items()}
    tokens = random_tokens(vocab_size_of(checkpoint))
    assert largest_difference(their_logits(model, tokens), their_logits(load(target), tokens)) < TOLERANCE
    return max(abs(step["lm_loss"] - loss) for step, loss in zip(steps, losses))


def peak_memory_bytes(*arguments, folder):
    """Of one command: a child of its own counts its children's peak."""
    code = ("import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, capture_output=True); "
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)")
    result = subprocess.run([sys.executable, "-c", code, BOREALIS, *[str(a) for a in arguments]], capture_output=True, text=True, cwd=folder)
    assert result.returncode == 0, result.stderr
    return int(result.stdout) * 1024


def check_master_weights(folder):
    """Of a bf16 run fp32 exports hold more than the rounded weights: all bits of the state."""
    borealis("train", "--mock-data", "--vocab-size", 128, "--num-layers", 2, "--hidden-size", 64, "--num-attention-heads", 4,
             "--num-key-value-heads", 2, "--ffn-hidden-size", 96, "--seq-length", 32, "--micro-batch-size", 2, "--train-iters", 3, "--lr", "1e-3",
             "--eval-interval", 0, "--run-dir", "bf16-run", "--save", "bf16", "--no-progress", folder=folder)
    said = borealis("checkpoint", "export", "--from", "bf16", "--output", "masters", "--dtype", "fp32", folder=folder)
    assert "from the f32 master weights of state/" in said, said
    exported, rounded = stored_tensors(folder / "masters"), stored_tensors(folder / "bf16" / "global_step3")
    state = stored_tensors(folder / "bf16" / "global_step3" / "state")
    for tensor, values in exported.items():
        pieces = sorted((int(name.rsplit(":", 1)[1]), values) for name, values in state.items() if name.startswith(f"fp32:{tensor}:"))
        assert torch.equal(values.flatten(), torch.cat([piece for _, piece in pieces])), tensor
        # A master weight half-way between two bf16 rounds away from zero, where torch rounds to even.
        error = (values - rounded[tensor].float()).abs()
        assert (error <= values.abs() * 2**-8).all(), tensor
    assert any(not torch.equal(values, rounded[tensor].float()) for tensor, values in exported.items())


def check_memory(folder):
    """Weights of 160 MB pass through in a fraction of that."""
    source = folder / "large"
    config = transformers.LlamaConfig(**{**SHAPE, "vocab_size": 400000, "num_hidden_layers": 1, "tie_word_embeddings": False})
    transformers.LlamaForCausalLM(config).save_pretrained(source)
    weights = (source / "model.safetensors").stat().st_size
    for arguments in (["import", "--from", source, "--output", "large-ckpt", "--pad-vocab-multiple", 999],
                      ["export", "--from", "large-ckpt", "--output", "large-out", "--vocab-size", 400000],
                      ["diff", source, "large-out"], ["verify", "large-ckpt"]):
        peak = peak_memory_bytes("checkpoint", *arguments, folder=folder)
        assert peak < 0.4 * weights, (arguments[0], peak, weights)
        print(f"checkpoint {arguments[0]} of {weights / 1e6:.0f} MB: peak memory {peak / 1e6:.0f} MB")


def main():
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        for name, (_, _, dtype, _) in MODELS.items():
            source = folder / f"{name}-source"
            make_model(source, name)
            checkpoint, difference = check_import(folder, name, source)
            check_export(folder, checkpoint, source, name)
            padded, _ = check_import(folder, f"{name}-padded", source, multiple=64)
            check_export(folder, padded, source, f"{name}-cut", "--vocab-size", vocab_size_of(source))
            spell_as_transformers_4(source)
            check_import(folder, f"{name}-older", source)
            trained = check_trained_model(folder, source, name)
            tuned = check_training(folder, checkpoint, source, name)
            print(f"{name}, {STORED[dtype]}: logits within {difference:.1e} of transformers', a model trained here within {trained:.1e}; "
                  f"losses of ten steps within {tuned:.1e}")
        check_conversion(folder, folder / "llama_scaled_wide_heads" / "global_step0")
        check_master_weights(folder)
        check_memory(folder)


if __name__ == "__main__":
    main()
