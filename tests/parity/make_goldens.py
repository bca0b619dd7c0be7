#!/usr/bin/env python3
"""Makes the parity goldens in tests/golden/parity/ with PyTorch and transformers, or checks them.

    make_goldens.py            write tests/golden/parity/<name>/
    make_goldens.py --check    compute everything again and compare with what is committed

A golden is one small random model and what the peer computes with it, for fp32 and for bf16:

  config.json          Hugging Face form, older key names (both transformers 4 and 5 read them)
  model.safetensors    BF16; the values are exact in bf16, so both precisions start from one point
  golden.safetensors
    tokens             I32 [n, B, T+1]    micro-batches; input is [:, :, :-1], target [:, :, 1:]
    logits             F32 [B, T, V]      of micro-batch 0
    end_token          I32 [1]            only where it ends documents (see END_TOKENS)
    loss               F32 [1]            mean cross entropy of micro-batch 0
    grad.<tensor>      F32 [m]            its gradient: elements 0, s, 2s, ... in row-major order
    grad_stride.<tensor>  I32 [1]         that s (1: the whole gradient)
    grad_norm.<tensor>    F32 [1]         L2 norm of the whole gradient
    losses, grad_norms F32 [20]           of the AdamW steps; the norm is the one before clipping
    bf16.loss, bf16.grad.<tensor> (BF16), bf16.grad_norm.<tensor>, bf16.losses, bf16.grad_norms
  meta.json            versions of the peers, optimizer settings

Step s consumes micro-batches (2s) mod n and (2s+1) mod n. In bf16, weights and activations are
bf16, the head's logits, the loss and the accumulated gradients are fp32, and AdamW works on an fp32
master copy. RoPE's cos and sin are rounded to bf16; its frequencies are not.
"""

import argparse
import copy
import json
import pathlib
import sys

import numpy
import safetensors
import safetensors.torch
import torch
import transformers

GOLDEN_DIR = pathlib.Path(__file__).resolve().parents[1] / "golden" / "parity"
STEPS = 20
MICRO_BATCHES = 3
GRAD_ACCUM_STEPS = 2
MAX_GRADIENT_SAMPLES = 2048
OPTIMIZER = {
    "learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.95, "eps": 1e-5,
    "weight_decay": 0.1, "max_grad_norm": 1.0, "grad_accum_steps": GRAD_ACCUM_STEPS,
}

COMMON_CONFIG = {
    "hidden_act": "silu", "attention_bias": False, "mlp_bias": False, "attention_dropout": 0.0,
    "initializer_range": 0.02, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
    "use_cache": True, "torch_dtype": "float32", "rope_scaling": None,
}

# name: (config, T, B, seed)
MODELS = {
    "llama_gqa": (
        {
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 256,
            "hidden_size": 64, "intermediate_size": 176, "num_hidden_layers": 3,
            "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
            "rms_norm_eps": 1e-5, "max_position_embeddings": 64, "rope_theta": 50000.0,
            "tie_word_embeddings": False,
        }, 48, 2, 1001),
    "smollm3_nope": (
        {
            "architectures": ["SmolLM3ForCausalLM"], "model_type": "smollm3", "vocab_size": 320,
            "hidden_size": 96, "intermediate_size": 200, "num_hidden_layers": 5,
            "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 16,
            "rms_norm_eps": 1e-6, "max_position_embeddings": 64, "rope_theta": 5000000.0,
            "tie_word_embeddings": True, "no_rope_layers": [1, 1, 1, 0, 1],
            "no_rope_layer_interval": 4, "layer_types": ["full_attention"] * 5,
            "use_sliding_window": False, "sliding_window": None,
        }, 40, 2, 1002),
    # Nothing here is a multiple of a vector, a tile or the vocabulary's usual padding. The original
    # context of 32 puts this model's frequencies into all three bands of the llama3 scaling.
    "odd": (
        {
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 131,
            "hidden_size": 90, "intermediate_size": 101, "num_hidden_layers": 2,
            "num_attention_heads": 3, "num_key_value_heads": 1, "head_dim": 30,
            "rms_norm_eps": 1e-5, "max_position_embeddings": 256, "rope_theta": 10000.0,
            "rope_scaling": {
                "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                "high_freq_factor": 4.0, "original_max_position_embeddings": 32,
            },
            "tie_word_embeddings": False,
        }, 37, 3, 1003),
    # Several documents in a sequence, see END_TOKENS.
    "documents": (
        {
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 97,
            "hidden_size": 48, "intermediate_size": 80, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 12,
            "rms_norm_eps": 1e-5, "max_position_embeddings": 256, "rope_theta": 50000.0,
            "tie_word_embeddings": False,
        }, 150, 2, 1004),
}
# Where this token ends documents, attention stops (a block-diagonal mask), positions restart, and
# what follows the token has no loss.
END_TOKENS = {"documents": 2}


def full_config(name):
    return copy.deepcopy({**COMMON_CONFIG, **MODELS[name][0]})  # transformers edits what it gets


def build_model(config, end_token=None):
    """An uninitialised transformers model with eager attention, in fp32."""
    arguments = {key: value for key, value in config.items() if key != "architectures"}
    hf_config = transformers.AutoConfig.for_model(**arguments)
    hf_config._attn_implementation = "eager"
    model_class = getattr(transformers, config["architectures"][0])
    model = model_class(hf_config).float().train()
    # transformers hands pad_token_id to the embedding, which then keeps no gradient for that row;
    # in pretraining every id is an ordinary token.
    model.model.embed_tokens.padding_idx = None
    model.end_token = end_token
    return model


def random_weights(model, seed):
    """Matrices N(0, 0.08), norm gains 1 + N(0, 0.1), rounded to bf16; drawn in name order."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, parameter in sorted(model.named_parameters()):
        noise = torch.randn(parameter.shape, generator=generator)
        value = 1.0 + 0.1 * noise if parameter.dim() == 1 else 0.08 * noise
        weights[name] = value.to(torch.bfloat16)
    return weights


def random_tokens(vocab_size, batch, length, seed):
    """Skewed towards small ids, so that there is something to learn in twenty steps."""
    generator = torch.Generator().manual_seed(seed + 500)
    uniform = torch.rand((MICRO_BATCHES, batch, length + 1), generator=generator)
    return (uniform * uniform * vocab_size).to(torch.int32)


def load_weights(model, weights, dtype):
    model.load_state_dict({name: value.float() for name, value in weights.items()}, strict=False)
    rotary = model.model.rotary_emb
    inv_freq = rotary.inv_freq.clone()
    model.to(dtype)
    rotary.inv_freq = inv_freq  # .to() would round the frequencies as well


def document_inputs(inputs, end_token, dtype):
    """What the peer needs to keep the documents of inputs [B, T] apart."""
    ended = torch.nn.functional.pad((inputs == end_token).long(), (1, 0))[:, :-1]
    document = ended.cumsum(dim=1)  # its number, for every token
    place = torch.arange(inputs.shape[1]).expand_as(inputs)
    start = torch.where(ended.bool(), place, 0).cummax(dim=1).values
    causal = torch.ones(inputs.shape[1], inputs.shape[1]).tril().bool()
    visible = causal & (document[:, :, None] == document[:, None, :])
    mask = torch.zeros(visible.shape, dtype=dtype).masked_fill(~visible, torch.finfo(dtype).min)
    return {"position_ids": place - start, "attention_mask": mask[:, None]}


def forward(model, tokens):
    """Logits [B, T, V] in fp32 and the mean cross entropy of one micro-batch [B, T+1]."""
    tokens = tokens.long()
    inputs, apart, counts = tokens[:, :-1], {}, torch.ones_like(tokens[:, 1:], dtype=torch.bool)
    if model.end_token is not None:
        apart = document_inputs(inputs, model.end_token, next(model.parameters()).dtype)
        counts = inputs != model.end_token
    hidden = model.model(input_ids=inputs, use_cache=False, **apart).last_hidden_state
    head = model.get_output_embeddings().weight
    logits = hidden.float() @ head.float().T
    log_sum = torch.logsumexp(logits, dim=-1)
    target = logits.gather(-1, tokens[:, 1:, None]).squeeze(-1)
    return logits, (log_sum - target)[counts].mean()


def first_batch(model, tokens):
    """Logits, loss and every gradient of micro-batch 0."""
    model.zero_grad(set_to_none=True)
    logits, loss = forward(model, tokens[0])
    loss.backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
    return logits.detach(), loss.detach(), gradients


def train(model, tokens):
    """Losses and gradient norms (before clipping) of the AdamW steps, all state in fp32."""
    settings = OPTIMIZER
    parameters = dict(model.named_parameters())
    master = {name: p.detach().float().clone() for name, p in parameters.items()}
    moment1 = {name: torch.zeros_like(value) for name, value in master.items()}
    moment2 = {name: torch.zeros_like(value) for name, value in master.items()}
    losses, norms = [], []
    for step in range(1, STEPS + 1):
        gradients = {name: torch.zeros_like(value) for name, value in master.items()}
        loss_sum = 0.0
        for micro in range(GRAD_ACCUM_STEPS):
            model.zero_grad(set_to_none=True)
            _, loss = forward(model, tokens[((step - 1) * GRAD_ACCUM_STEPS + micro) % len(tokens)])
            (loss / GRAD_ACCUM_STEPS).backward()
            loss_sum += loss.item()
            for name, parameter in parameters.items():
                gradients[name] += parameter.grad.float()
        norm = torch.sqrt(sum((g * g).sum() for g in gradients.values())).item()
        factor = min(1.0, settings["max_grad_norm"] / (norm + 1e-6))
        with torch.no_grad():
            for name, parameter in parameters.items():
                weight, gradient = master[name], gradients[name] * factor
                adamw(weight, gradient, moment1[name], moment2[name], step, settings)
                parameter.copy_(weight)  # rounds when the model is bf16
        losses.append(loss_sum / GRAD_ACCUM_STEPS)
        norms.append(norm)
    return torch.tensor(losses), torch.tensor(norms)


def adamw(weight, gradient, m, v, step, settings):
    learning_rate, beta1, beta2 = (settings[k] for k in ("learning_rate", "beta1", "beta2"))
    if weight.dim() > 1:  # gains are not decayed
        weight.mul_(1.0 - learning_rate * settings["weight_decay"])
    m.mul_(beta1).add_(gradient, alpha=1.0 - beta1)
    v.mul_(beta2).add_(gradient * gradient, alpha=1.0 - beta2)
    m_hat = m / (1.0 - beta1**step)
    v_hat = v / (1.0 - beta2**step)
    weight.sub_(learning_rate * m_hat / (v_hat.sqrt() + settings["eps"]))


def sample_stride(shape):
    """Smallest stride that keeps at most MAX_GRADIENT_SAMPLES elements and visits every column."""
    count = int(numpy.prod(shape))
    stride = -(-count // MAX_GRADIENT_SAMPLES)
    while stride > 1 and numpy.gcd(stride, shape[-1]) != 1:
        stride += 1
    return stride


def add_gradients(golden, prefix, gradients):
    for name, gradient in gradients.items():
        stride = sample_stride(gradient.shape)
        golden[f"{prefix}grad.{name}"] = gradient.flatten()[::stride].contiguous()
        golden[f"grad_stride.{name}"] = torch.tensor([stride], dtype=torch.int32)
        golden[f"{prefix}grad_norm.{name}"] = gradient.float().norm().reshape(1)


def make_golden(name):
    """(weights, golden): two dictionaries of tensors."""
    config, length, batch, seed = full_config(name), *MODELS[name][1:]
    model = build_model(config)
    weights = random_weights(model, seed)
    tokens = random_tokens(config["vocab_size"], batch, length, seed)
    golden = {"tokens": tokens}
    if name in END_TOKENS:
        golden["end_token"] = torch.tensor([END_TOKENS[name]], dtype=torch.int32)
    for prefix, dtype in (("", torch.float32), ("bf16.", torch.bfloat16)):
        model = build_model(config, END_TOKENS.get(name))
        load_weights(model, weights, dtype)
        logits, loss, gradients = first_batch(model, tokens)
        if dtype == torch.float32:
            golden["logits"] = logits
        golden[f"{prefix}loss"] = loss.reshape(1)
        add_gradients(golden, prefix, gradients)
        golden[f"{prefix}losses"], golden[f"{prefix}grad_norms"] = train(model, tokens)
    return weights, golden


def meta(name):
    return {
        "made_by": "tests/parity/make_goldens.py", "seed": MODELS[name][3],
        "steps": STEPS, "optimizer": OPTIMIZER, "schedule": "constant, no warm-up",
        "torch": torch.__version__, "transformers": transformers.__version__,
        "safetensors": safetensors.__version__, "attention": "eager", "threads": 1,
    }


def write_golden(name):
    folder = GOLDEN_DIR / name
    folder.mkdir(parents=True, exist_ok=True)
    weights, golden = make_golden(name)
    (folder / "config.json").write_text(json.dumps(full_config(name), indent=2) + "\n")
    (folder / "meta.json").write_text(json.dumps(meta(name), indent=2) + "\n")
    for file, tensors in (("model", weights), ("golden", golden)):
        path = folder / f"{file}.safetensors"
        path.write_bytes(safetensors.torch.save(tensors, metadata={"format": "pt"}))
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"{name}: {size} bytes, loss {golden['losses'][0]:.6f} -> {golden['losses'][-1]:.6f}"
          f" (bf16 {golden['bf16.losses'][-1]:.6f})")


def tolerance(key):
    """Largest |new - old| / |old|, both as L2 norms over the tensor."""
    if key.startswith("bf16."):
        return 2e-3 if "loss" in key else 2e-2  # other instruction sets round other sums
    if key in ("losses", "grad_norms"):
        return 5e-6  # twenty steps amplify the last bit
    return 1e-6


def check_golden(name):
    """The problems found, as lines."""
    folder = GOLDEN_DIR / name
    problems = []
    if json.loads((folder / "config.json").read_text()) != full_config(name):
        problems.append(f"{name}: config.json differs from this script's table")
    for file, tensors in zip(("model", "golden"), make_golden(name)):
        old = safetensors.torch.load_file(folder / f"{file}.safetensors")
        if old.keys() != tensors.keys():
            problems.append(f"{name}/{file}: tensors differ: {sorted(old.keys() ^ tensors.keys())}")
        for key in sorted(old.keys() & tensors.keys()):
            problems += compare(f"{name}/{file}: {key}", old[key], tensors[key],
                                0.0 if file == "model" else tolerance(key))
    return problems


def compare(label, old, new, bound):
    if old.dtype != new.dtype or old.shape != new.shape:
        return [f"{label}: {old.dtype}{list(old.shape)} became {new.dtype}{list(new.shape)}"]
    if not old.dtype.is_floating_point:
        return [] if torch.equal(old, new) else [f"{label}: values differ"]
    difference = (new.float() - old.float()).norm().item()
    relative = difference / max(old.float().norm().item(), 1e-30)
    return [] if relative <= bound else [f"{label}: off by {relative:.2e}, allowed {bound:.0e}"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the committed files")
    parser.add_argument("names", nargs="*", help=f"of {', '.join(MODELS)}; default all")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    names = arguments.names or list(MODELS)
    if not arguments.check:
        for name in names:
            write_golden(name)
        return 0
    problems = [problem for name in names for problem in check_golden(name)]
    for problem in problems:
        print(problem)
    print(f"{len(names)} goldens checked, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
