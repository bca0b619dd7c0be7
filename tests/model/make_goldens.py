#!/usr/bin/env python3
"""Writes tests/golden/model/sampling.json: distributions that Hugging Face's generate() draws from, by the logits processors that
it makes of a GenerationConfig, in its own order.

Needs torch and transformers. `--check` compares instead of writing."""
import json
import pathlib
import sys

import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

OUT = pathlib.Path(__file__).resolve().parent.parent / "golden" / "model" / "sampling.json"
VOCABULARY = 48
SETTINGS = [
    {},
    {"temperature": 0.7},
    {"temperature": 2.5},
    {"top_k": 5},
    {"top_p": 0.6},
    {"top_p": 0.02},
    {"min_p": 0.15},
    {"repetition_penalty": 1.3},
    {"repetition_penalty": 0.8},
    {"temperature": 0.8, "top_k": 20, "top_p": 0.9},
    {"temperature": 1.7, "top_p": 0.95, "min_p": 0.1},
    {"temperature": 0.6, "top_k": 12, "top_p": 0.8, "min_p": 0.05, "repetition_penalty": 1.2},
    {"temperature": 1.4, "top_k": 30, "top_p": 0.97, "min_p": 0.02, "repetition_penalty": 2.0},
    {"top_k": 1, "temperature": 3.0},
]


def distribution(model, logits, seen, settings):
    config = GenerationConfig(do_sample=True, **{"temperature": 1.0, "top_k": 0, "top_p": 1.0, **settings})
    processors = model._get_logits_processor(generation_config=config, input_ids_seq_length=len(seen))
    scores = processors(torch.tensor([seen]), logits[None].clone())
    return torch.softmax(scores[0].double(), -1).tolist()


def text():
    model = LlamaForCausalLM(LlamaConfig(vocab_size=VOCABULARY, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
                                         num_attention_heads=1, num_key_value_heads=1))
    cases = []
    for number, settings in enumerate(SETTINGS):
        torch.manual_seed(number)
        logits = torch.round(torch.randn(VOCABULARY) * 2 * 65536) / 65536  # exact in decimal
        if len(set(logits.tolist())) != VOCABULARY:
            raise SystemExit(f"case {number} has equal logits, whose order nobody defines")
        seen = torch.randint(VOCABULARY, (9,)).tolist()
        cases.append({"settings": settings, "logits": logits.tolist(), "seen": seen,
                      "probabilities": [float(f"{p:.9g}") for p in distribution(model, logits, seen, settings)]})
    return "[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n"


if __name__ == "__main__":
    if "--check" in sys.argv:
        same = OUT.read_text() == text()
        print("as committed" if same else f"{OUT} differs from what is made now")
        sys.exit(0 if same else 1)
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(text())
