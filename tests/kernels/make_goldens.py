#!/usr/bin/env python3
"""Writes tests/golden/kernels/: what Hugging Face's RoPE tables and PyTorch's AdamW give.

Needs torch and transformers. Numbers are hexadecimal floats: a second run writes the same bytes.
"""
import pathlib

import torch
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

OUT = pathlib.Path(__file__).resolve().parent.parent / "golden" / "kernels"


def hexes(tensor):
    return " ".join(float(v).hex() for v in tensor.flatten())


def rope_case(name, theta, head_dim, positions, scaling):
    """A line of settings, then a line of cos and one of sin, [positions, head_dim / 2]."""
    rope = {"rope_type": "llama3", **scaling} if scaling else {"rope_type": "default"}
    config = LlamaConfig(hidden_size=head_dim, num_attention_heads=1, head_dim=head_dim,
                         max_position_embeddings=131072,
                         rope_parameters={"rope_theta": theta, **rope})
    embedding = LlamaRotaryEmbedding(config)
    lines = []
    for dtype in (torch.float32, torch.bfloat16):
        cos, sin = embedding(torch.zeros(1, dtype=dtype), torch.tensor([positions]))
        half = head_dim // 2
        lines += [hexes(cos[0, :, :half].float()), hexes(sin[0, :, :half].float())]
    values = [scaling[k] for k in ("factor", "low_freq_factor", "high_freq_factor",
                                   "original_max_position_embeddings")] if scaling else [0, 0, 0, 0]
    head = [name, theta, head_dim, *values, len(positions), *positions]
    return " ".join(map(str, head)) + "\n" + "\n".join(lines) + "\n"


def adamw_case():
    """Settings, then initial weights, then for each step: gradients, weights, m, v."""
    torch.manual_seed(7)
    n, steps = 21, 6
    weight = torch.nn.Parameter(torch.randn(n))
    settings = dict(lr=3e-3, betas=(0.9, 0.95), eps=1e-5, weight_decay=0.1)
    optimizer = torch.optim.AdamW([weight], foreach=False, fused=False, **settings)
    lines = [f"{n} {steps} 0.003 0.9 0.95 1e-05 0.1", hexes(weight.detach())]
    for _ in range(steps):
        weight.grad = torch.randn(n) * 10 ** torch.empty(n).uniform_(-6, 1)
        optimizer.step()
        state = optimizer.state[weight]
        lines += [hexes(t) for t in
                  (weight.grad, weight.detach(), state["exp_avg"], state["exp_avg_sq"])]
    return "\n".join(lines) + "\n"


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    llama31 = dict(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                   original_max_position_embeddings=8192)
    llama32 = {**llama31, "factor": 32.0}
    near, far = [0, 1, 2, 31], [0, 1, 77, 255]
    cases = [
        rope_case("contract", 50000.0, 10, near, None),
        rope_case("llama3.1", 500000.0, 128, far, llama31),
        rope_case("llama3.2", 500000.0, 64, far, llama32),
    ]
    (OUT / "rope.txt").write_text("".join(cases))
    (OUT / "adamw.txt").write_text(adamw_case())


if __name__ == "__main__":
    main()
