"""bench/train/pytorch_gpu_peer.py, on the CPU: that what Borealis is compared with on GPUs trains right. Its head's gradients
are autograd's; from the weights of a Llama and a SmolLM3 model of transformers and the same tokens, its losses and gradient
norms in fp32 are those of transformers with torch's plain AdamW, with activations recomputed or not; bf16 stays near.
compare_gpu.py runs both programs. Skipped where torch or transformers is not installed."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import types

SOURCE = pathlib.Path(os.environ["BOREALIS_SOURCE_DIR"])
PEERS = pathlib.Path(os.environ.get("BOREALIS_PEERS", SOURCE / "build/peers"))
sys.path.insert(0, str(SOURCE / "bench/train"))

try:
    import numpy
    import safetensors
    import torch
    import transformers
except ImportError as missing:
    python = PEERS / "bin/python"
    if python.exists() and pathlib.Path(sys.prefix).resolve() != PEERS.resolve():
        sys.exit(subprocess.run([python, __file__]).returncode)
    print(f"skipped: the Python package '{missing.name}' is not installed")
    sys.exit(77)

import pytorch_gpu_peer

transformers.utils.logging.disable_progress_bar()
SEQ, VOCAB, STEPS, GRAD_ACC, BATCH = 24, 131, 5, 2, 2
RATES = [0.0, 1e-3, 3e-3, 2e-3, 1e-3]
SHAPE = {"hidden_size": 48, "intermediate_size": 100, "num_hidden_layers": 4, "num_attention_heads": 4,
         "num_key_value_heads": 2, "vocab_size": VOCAB, "max_position_embeddings": 64, "tie_word_embeddings": False,
         "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": None, "attn_implementation": "eager"}
MODELS = {
    "llama": (transformers.LlamaConfig, {"rms_norm_eps": 1e-5, "rope_parameters": {"rope_theta": 50000.0, "rope_type": "default"}}),
    "smollm3": (transformers.SmolLM3Config, {"rms_norm_eps": 1e-6, "no_rope_layers": [1, 1, 0, 1],
                                             "rope_parameters": {"rope_theta": 2e6, "rope_type": "default"}}),
}


def check_head():
    """Gradients of head and hidden rows against autograd; the last chunk is shorter."""
    hidden, weight = torch.randn(10, 8), torch.randn(VOCAB, 8)
    labels = torch.randint(VOCAB, (10,))
    before = torch.randn_like(weight)
    args = types.SimpleNamespace(head_rows=4, compile=False, device="cpu", dtype="fp32")
    ours = hidden.clone().requires_grad_()
    weight_grad = before.clone()
    loss = pytorch_gpu_peer.HeadLoss.apply(ours, weight, labels, weight_grad, 1, 0.05, pytorch_gpu_peer.Head(args))
    loss.backward()
    hidden, weight = hidden.requires_grad_(), weight.requires_grad_()
    expected = 0.05 * torch.nn.functional.cross_entropy(hidden @ weight.t(), labels, reduction="sum")
    expected.backward()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(ours.grad, hidden.grad)
    torch.testing.assert_close(weight_grad, before + weight.grad)


def make_model(folder, name):
    config_class, more = MODELS[name]
    torch.manual_seed(7)
    model = transformers.AutoModelForCausalLM.from_config(config_class(**SHAPE, **more)).float()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.08) if parameter.dim() > 1 else parameter.normal_(mean=1, std=0.1)
    model.save_pretrained(folder)
    return model


def train_plainly(model, tokens):
    """Losses and gradient norms of transformers' model with torch's AdamW, one tensor at a time."""
    groups = [{"params": [p for p in model.parameters() if p.dim() > 1], "weight_decay": 0.1},
              {"params": [p for p in model.parameters() if p.dim() == 1], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.95), eps=1e-5, foreach=False, fused=False)
    losses, norms = [], []
    for batch, rate in zip(tokens.view(STEPS, GRAD_ACC, BATCH, SEQ + 1), RATES):
        optimizer.zero_grad()
        losses.append(0.0)
        for rows in batch:
            logits = model(rows[:, :-1]).logits
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten()) / GRAD_ACC
            loss.backward()
            losses[-1] += loss.item()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0).item())
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
    return losses, norms


def peer(folder, *options, code=0):
    command = [sys.executable, SOURCE / "bench/train/pytorch_gpu_peer.py", "--device", "cpu", *options]
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, cwd=folder)
    assert result.returncode == code, f"{command}: {result.returncode}\n{result.stdout}{result.stderr}"
    return json.loads(result.stdout) if code == 0 else result.stderr


def check_training(folder, name):
    model = make_model(folder / name, name)
    tokens = torch.randint(VOCAB, (STEPS * GRAD_ACC * BATCH, SEQ + 1))
    numpy.save(folder / "tokens.npy", tokens.numpy().astype("int32"))
    (folder / "rates.json").write_text(json.dumps(RATES))
    losses, norms = train_plainly(model, tokens)
    assert max(norms) > 1, f"nothing is clipped: {norms}"
    options = ["--weights", folder / name, "--tokens", folder / "tokens.npy", "--lr-values", folder / "rates.json", "--seq", SEQ,
               "--steps", STEPS, "--grad-acc", GRAD_ACC, "--micro-batch", BATCH, "--head-rows", 20]
    for more, tolerance in ([("--dtype", "fp32"), 2e-5], [("--dtype", "fp32", "--recompute"), 2e-5], [("--dtype", "bf16"), 2e-2]):
        found = peer(folder, *options, *more)
        for what, expected in (("losses", losses), ("grad_norms", norms)):
            worst = max(abs(a - b) / b for a, b in zip(found[what], expected, strict=True))
            print(f"{name} {' '.join(more)}: {what} differ by {worst:.1e}")
            assert worst < tolerance, (found[what], expected)


def check_refusals(folder):
    smoke = ["--model", "smoke", "--layers", 1, "--steps", 3]
    if not torch.cuda.is_available():
        assert "there is no GPU" in peer(folder, *smoke, "--device", "cuda", code=1)
    assert "--hidden, --heads" in peer(folder, "--layers", 1, code=1)
    numpy.save(folder / "short.npy", numpy.zeros((3, 129), "int32"))
    assert "[3, 129], not [6, 129]" in peer(folder, *smoke, "--tokens", folder / "short.npy", code=1)
    try:
        import torchao  # noqa: F401
    except ImportError:
        assert "torchao, which is not installed" in peer(folder, *smoke, "--float8", code=1)


def check_comparison(folder):
    command = [sys.executable, SOURCE / "bench/train/compare_gpu.py", "--device", "cpu", "--borealis", os.environ["BOREALIS"],
               "--python", sys.executable, "--rows", "smoke:2", "--rounds", "1", "--steps", "4", "--output", folder / "out"]
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    report = json.loads((folder / "out.json").read_text())
    assert [run["variant"] for run in report["runs"]] == ["borealis", "pytorch"] and len(report["ratios"]) == 1, result.stderr
    for run in report["runs"]:
        assert "error" not in run, run["error"]
        assert run["tokens_per_s"] > 0 and run["tflops"] > 0 and run["peak_memory_bytes"] > 0, run
    flops = [run["tflops"] / run["tokens_per_s"] for run in report["runs"]]
    assert abs(flops[0] / flops[1] - 1) < 1e-9, f"FLOPs per token differ: {flops}"
    assert "| smoke:2 | pytorch | 1 |" in (folder / "out.md").read_text()


def main():
    check_head()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for model in MODELS:
            check_training(folder, model)
        check_refusals(folder)
        check_comparison(folder)


if __name__ == "__main__":
    main()
