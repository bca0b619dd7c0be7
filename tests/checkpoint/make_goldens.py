#!/usr/bin/env python3
"""Makes tests/golden/checkpoint/ with the safetensors and transformers packages.

  peer.safetensors   one tensor of each kind, values as checkpoint/safetensors_file_test.cpp expects
  peer_model/        a two-layer SmolLM3 as transformers 5 saves it: new config keys, three shards
"""

import pathlib

import safetensors.torch
import torch
import transformers

GOLDEN_DIR = pathlib.Path(__file__).resolve().parents[1] / "golden" / "checkpoint"


def tensors():
    ramp = torch.arange(12, dtype=torch.float32)
    return {
        "f32": (ramp / 8 - 0.5).reshape(3, 4),
        "bf16": (ramp * 3 - 7).reshape(2, 6).to(torch.bfloat16),
        "f16": torch.tensor([1.0, -2.5, 2.0**-24, 65504.0, float("inf")], dtype=torch.float16),
        "i32": torch.tensor([[1, -2], [2**31 - 1, -(2**31)]], dtype=torch.int32),
        "bool": torch.tensor([True, False, True]),
        "scalar": torch.tensor(2.75),
        "empty": torch.zeros((0, 4)),
    }


def save_model(folder):
    config = transformers.SmolLM3Config(
        vocab_size=24, hidden_size=16, intermediate_size=20, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, rms_norm_eps=1e-5, rope_theta=1234.0,
        max_position_embeddings=77, no_rope_layers=[0, 1], tie_word_embeddings=True,
        bos_token_id=1, eos_token_id=2, pad_token_id=3)
    torch.manual_seed(7)
    model = transformers.SmolLM3ForCausalLM(config).to(torch.bfloat16)
    model.save_pretrained(folder, max_shard_size="4KB")


def main():
    GOLDEN_DIR.mkdir(parents=True, exist_ok=True)
    data = safetensors.torch.save(tensors(), metadata={"format": "pt", "note": "grüße"})
    (GOLDEN_DIR / "peer.safetensors").write_bytes(data)
    save_model(GOLDEN_DIR / "peer_model")


if __name__ == "__main__":
    main()
