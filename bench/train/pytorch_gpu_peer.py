"""Trains a Llama-type decoder with PyTorch on one GPU, as a careful user would make it fast: the peer that `borealis train` with
DEVICE=cuda is compared with (compare_gpu.py runs both). Prints what it measured as JSON.

The arithmetic is Borealis': weights and activations are bf16; gradients are summed over micro-batches in fp32, and the weights
that AdamW updates and its moments are fp32; 18 bytes a parameter. fp32 parameters under autocast have the same numerics, but
cast every weight in every micro-batch instead of once a step, and hold the casts beside 16 bytes a parameter. bf16 gradients
and moments would be leaner, and train another thing.

Fast here: each block through torch.compile (one compilation serves all), q, k, v and gate, up joined, cuDNN's attention, head
and loss by rows with the head's fp32 gradient summed inside the product, the embedding's gradient by rows, backward's other
bf16 gradients added to fp32 and freed as they come, clipping folded into fused AdamW."""

import argparse
import contextlib
import json
import math
import os
import pathlib
import resource
import statistics
import sys
import time

os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")  # read when torch starts

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.checkpoint import checkpoint

from pytorch_peer import DTYPES, MAX_GRAD_NORM, WEIGHT_DECAY, OneLineParser, flops_per_token, positive, rotate
from pytorch_peer import seconds_since_process_start

SHAPES = pathlib.Path(__file__).resolve().parents[1] / "inputs/gpu_train_shapes.txt"
SIZES = ("hidden", "heads", "kv_heads", "ffn", "vocab", "seq")
BETAS, EPS = (0.9, 0.95), 1e-5
ATTENTION = {"cudnn": SDPBackend.CUDNN_ATTENTION, "flash": SDPBackend.FLASH_ATTENTION, "any": None}


def read_models():
    rows = (line.split() for line in SHAPES.read_text().splitlines() if not line.startswith("#"))
    return {row[0]: dict(zip(SIZES, map(int, row[2:]), strict=True)) for row in rows if row}


def parse_arguments():
    models = read_models()
    parser = OneLineParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument("--model", choices=models, help="the sizes that are not given")
    parser.add_argument("--weights", type=pathlib.Path, metavar="FOLDER",
                        help="Hugging Face folder of a Llama or SmolLM3 model: all sizes but --seq, and the initial weights")
    for name in ("layers", *SIZES):
        parser.add_argument(f"--{name.replace('_', '-')}", type=positive)
    parser.add_argument("--rope-theta", type=float, help="[50000, or of --weights]")
    parser.add_argument("--no-rope-layer-interval", type=int, default=0, metavar="N",
                        help="every such layer has no position embedding, as SmolLM3's at 4; 0: all have one [0]")
    parser.add_argument("--steps", type=positive, default=10)
    parser.add_argument("--warmup", type=positive, default=2, help="first steps that are not measured [2]")
    parser.add_argument("--micro-batch", type=positive, default=1)
    parser.add_argument("--grad-acc", type=positive, default=2, help="micro-batches a step [2]")
    parser.add_argument("--tokens", type=pathlib.Path, metavar="FILE.npy",
                        help="int32 [steps x grad-acc x micro-batch, seq + 1] instead of random tokens")
    parser.add_argument("--lr", type=float, default=2e-4, help="[2e-4]")
    parser.add_argument("--lr-values", type=pathlib.Path, metavar="FILE", help="JSON list of each step's learning rate")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--dtype", choices=DTYPES, default="bf16")
    parser.add_argument("--attention", choices=ATTENTION, help="[cudnn; any with --device cpu or --dtype fp32]")
    parser.add_argument("--adamw", choices=("fused", "compiled"), default="fused",
                        help="torch's own, or one compiled kernel a matrix that writes the bf16 weights, too [fused]")
    parser.add_argument("--head-rows", type=positive, default=4096, help="tokens whose logits exist at a time [4096]")
    parser.add_argument("--recompute", action="store_true", help="keep only each block's input for backward")
    parser.add_argument("--float8", action="store_true", help="the blocks' products in float8, by torchao")
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, help="[on, off with --device cpu]")
    parser.add_argument("--seed", type=int, default=1234)
    parser.add_argument("--json", type=pathlib.Path, metavar="OUT", help="file for what is printed otherwise")
    args = parser.parse_args()
    complete(parser, args, models)
    return args


def complete(parser, args, models):
    """Fills in what is left open and refuses what can't run."""
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("there is no GPU that torch can use; --device cpu trains small shapes")
    if args.model and args.weights:
        parser.error("--model beside --weights, which has sizes of its own")
    args.norm_eps, args.no_rope_layers = 1e-5, set()
    if args.weights:
        read_config(parser, args)
    else:
        for name, value in (models[args.model] if args.model else {}).items():
            setattr(args, name, getattr(args, name) or value)
        if args.no_rope_layer_interval and args.layers:
            args.no_rope_layers = set(range(args.no_rope_layer_interval - 1, args.layers, args.no_rope_layer_interval))
    args.rope_theta = args.rope_theta or 50000.0
    missing = [f"--{name.replace('_', '-')}" for name in ("layers", *SIZES) if getattr(args, name) is None]
    if missing:
        parser.error(f"{', '.join(missing)} missing")
    if args.heads % args.kv_heads:
        parser.error(f"--heads {args.heads} is not a multiple of --kv-heads {args.kv_heads}")
    if args.hidden % (2 * args.heads):
        parser.error(f"--hidden {args.hidden} does not divide into --heads {args.heads} of an even size")
    if args.steps <= args.warmup:
        parser.error(f"--steps {args.steps} leaves nothing to measure after --warmup {args.warmup}")
    if args.attention is None:
        args.attention = "cudnn" if args.device == "cuda" and args.dtype == "bf16" else "any"
    if args.compile is None:
        args.compile = args.device == "cuda"
    args.head_dim = args.hidden // args.heads


def read_config(parser, args):
    config = json.loads((args.weights / "config.json").read_text())
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if config.get("tie_word_embeddings", True) or rope.get("rope_type", "default") != "default":
        parser.error(f"--weights {args.weights}: tied embeddings and scaled RoPE are not supported")
    names = {"layers": "num_hidden_layers", "hidden": "hidden_size", "heads": "num_attention_heads",
             "kv_heads": "num_key_value_heads", "ffn": "intermediate_size", "vocab": "vocab_size"}
    for name, key in names.items():
        if getattr(args, name) not in (None, config[key]):
            parser.error(f"--{name.replace('_', '-')} {getattr(args, name)}: --weights has {config[key]}")
        setattr(args, name, config[key])
    if config.get("head_dim", args.hidden // args.heads) != args.hidden // args.heads:
        parser.error(f"--weights {args.weights}: only heads of hidden / heads are supported")
    args.rope_theta = args.rope_theta or rope.get("rope_theta") or config.get("rope_theta")
    args.norm_eps = config["rms_norm_eps"]
    if config.get("model_type") == "smollm3":
        with_rope = config.get("no_rope_layers") or [(i + 1) % 4 for i in range(args.layers)]  # 1: the layer has RoPE
        args.no_rope_layers = {i for i, has_rope in enumerate(with_rope) if not has_rope}


class Block(nn.Module):
    def __init__(self, args, rotary):
        super().__init__()
        D, kv = args.hidden, args.head_dim * args.kv_heads
        dtype = DTYPES[args.dtype]

        def linear(columns, rows):
            return nn.Linear(columns, rows, bias=False, dtype=dtype)

        self.heads = args.heads, args.kv_heads, args.kv_heads
        self.head_dim, self.eps, self.rotary = args.head_dim, args.norm_eps, rotary
        self.attention_norm = nn.Parameter(torch.empty(D, dtype=dtype))
        self.qkv, self.o = linear(D, D + 2 * kv), linear(D, D)
        self.ffn_norm = nn.Parameter(torch.empty(D, dtype=dtype))
        self.gate_up, self.down = linear(D, 2 * args.ffn), linear(args.ffn, D)

    def forward(self, x, cos, sin):
        y = F.rms_norm(x, x.shape[-1:], self.attention_norm, self.eps)
        q, k, v = self.qkv(y).unflatten(-1, (-1, self.head_dim)).split(self.heads, -2)
        if self.rotary:
            q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        mixed = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), is_causal=True,
                                               enable_gqa=True)
        x = x + self.o(mixed.transpose(1, 2).flatten(2))
        y = F.rms_norm(x, x.shape[-1:], self.ffn_norm, self.eps)
        gate, up = self.gate_up(y).chunk(2, -1)
        return x + self.down(F.silu(gate) * up)


class Decoder(nn.Module):
    """From rows of the embedding to the head's input. Embedding and head get their gradients outside of autograd."""

    def __init__(self, args):
        super().__init__()
        dtype = DTYPES[args.dtype]
        self.embedding = nn.Parameter(torch.empty(args.vocab, args.hidden, dtype=dtype), requires_grad=False)
        self.blocks = nn.ModuleList(Block(args, i not in args.no_rope_layers) for i in range(args.layers))
        self.norm = nn.Parameter(torch.empty(args.hidden, dtype=dtype))
        self.head = nn.Parameter(torch.empty(args.vocab, args.hidden, dtype=dtype), requires_grad=False)
        self.eps, self.recompute = args.norm_eps, args.recompute
        angles = torch.outer(torch.arange(args.seq, dtype=torch.float64),
                             args.rope_theta ** (-torch.arange(0, args.head_dim, 2, dtype=torch.float64) / args.head_dim))
        self.cos, self.sin = (x.to(dtype)[:, None] for x in (angles.cos(), angles.sin()))  # [T, 1, C / 2]

    def initialize(self):
        std = math.sqrt(2 / (5 * self.embedding.shape[1]))
        for name, parameter in self.named_parameters():
            if parameter.dim() == 1:
                nn.init.ones_(parameter)
            else:
                adds_to_residual = name.endswith((".o.weight", ".down.weight"))
                nn.init.normal_(parameter, std=std / math.sqrt(2 * len(self.blocks)) if adds_to_residual else std)

    def forward(self, x):
        for block in self.blocks:
            if self.recompute:
                x = checkpoint(block, x, self.cos, self.sin, use_reentrant=False, preserve_rng_state=False)
            else:
                x = block(x, self.cos, self.sin)
        return F.rms_norm(x, x.shape[-1:], self.norm, self.eps).flatten(0, 1)


def read_weights(folder, model):
    """The folder's tensors by this model's names, on the CPU, of the type that they have there."""
    from safetensors.torch import load_file

    files = sorted(folder.glob("*.safetensors"))
    found = {name: tensor for file in files for name, tensor in load_file(file).items()}
    layer_names = {"attention_norm": ["input_layernorm"], "ffn_norm": ["post_attention_layernorm"],
                   "qkv.weight": ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"], "o.weight": ["self_attn.o_proj"],
                   "gate_up.weight": ["mlp.gate_proj", "mlp.up_proj"], "down.weight": ["mlp.down_proj"]}
    names = {"embedding": ["model.embed_tokens.weight"], "norm": ["model.norm.weight"], "head": ["lm_head.weight"]}
    for i in range(len(model.blocks)):
        names |= {f"blocks.{i}.{name}": [f"model.layers.{i}.{part}.weight" for part in parts]
                  for name, parts in layer_names.items()}
    missing = {part for parts in names.values() for part in parts} - set(found)
    if missing:
        sys.exit(f"pytorch_gpu_peer: {folder}: no tensor {min(missing)} in {len(files)} safetensors files")
    return {name: torch.cat([found[part] for part in parts]) for name, parts in names.items()}


def cross_entropy(logits, labels, scale):
    """The sum of the rows' cross entropies. logits [rows, V] become `scale` times the gradient of that sum; labels [rows, 1].
    Compiled, it reads bf16 and computes in fp32 without holding any of it."""
    x = logits.float()
    largest = x.amax(1, keepdim=True)  # spelled out so that inductor finds maximum and sum in one pass
    log_sum = largest + (x - largest).exp().sum(1, keepdim=True).log()
    loss = (log_sum - x.gather(1, labels)).sum()
    is_label = torch.arange(x.shape[1], device=x.device) == labels
    logits.copy_(scale * ((x - log_sum).exp() - is_label.float()))
    return loss


class HeadLoss(torch.autograd.Function):
    """`scale` times the summed cross entropy of the head's logits. Gradients are made in forward, so that logits exist for some
    rows only and are computed once: weight_grad (fp32) takes `beta` times itself plus the weight's. The loss must be what
    backward() is called on."""

    @staticmethod
    def forward(ctx, hidden, weight, labels, weight_grad, beta, scale, head):
        hidden_grad = torch.empty_like(hidden)
        loss = torch.zeros((), device=hidden.device)
        buffer = hidden.new_empty(min(head.rows, len(labels)), len(weight))
        for start in range(0, len(labels), head.rows):
            rows = hidden[start:start + head.rows]
            logits = torch.mm(rows, weight.t(), out=buffer[:len(rows)])
            loss += head.cross_entropy(logits, labels[start:start + head.rows, None], scale)
            torch.mm(logits, weight, out=hidden_grad[start:start + head.rows])
            head.add_product(weight_grad, logits, rows, 1 if start else beta)
        ctx.save_for_backward(hidden_grad)
        return loss * scale

    @staticmethod
    def backward(ctx, _):
        return *ctx.saved_tensors, None, None, None, None, None, None


class Head:
    """How HeadLoss computes."""

    def __init__(self, args):
        self.rows = args.head_rows
        self.cross_entropy = torch.compile(cross_entropy, dynamic=False) if args.compile else cross_entropy
        self.add_product = sum_in_product if multiplies_into_fp32(args) else sum_after_product


def sum_in_product(total, left, right, beta):
    """total = beta total + left^T right, of bf16 into fp32."""
    if beta:
        torch.addmm(total, left.t(), right, out_dtype=torch.float32, beta=beta, out=total)
    else:
        torch.mm(left.t(), right, out_dtype=torch.float32, out=total)


def sum_after_product(total, left, right, beta):
    product = left.t() @ right
    total.add_(product) if beta else total.copy_(product)


def multiplies_into_fp32(args):
    """Whether this torch has such a product: on GPUs only, and the sum not in the first versions."""
    if args.device != "cuda" or args.dtype != "bf16":
        return False
    left, right = (torch.ones(16, 16, device=args.device, dtype=torch.bfloat16) for _ in range(2))
    total = torch.ones(16, 16, device=args.device)
    try:
        sum_in_product(total, left, right, 0)
        sum_in_product(total, left, right, 1)
    except (RuntimeError, TypeError):
        return False
    return total[0, 0].item() == 32


class FusedAdamW:
    def __init__(self, masters, weights):
        groups = [{"params": [m for m in masters if m.dim() > 1], "weight_decay": WEIGHT_DECAY},
                  {"params": [m for m in masters if m.dim() == 1], "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, betas=BETAS, eps=EPS, fused=True)
        self.masters, self.weights = masters, weights

    def step(self, learning_rate, divisor):
        """An update with gradients / divisor; the kernel divides when it is told so as by torch.amp.GradScaler."""
        self.optimizer.grad_scale = divisor
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.step()
        torch._foreach_copy_(self.weights, [master.detach() for master in self.masters])


def adamw_update(weight, master, grad, mean, square, divisor, rates, decay):
    """rates: learning rate, 1 - beta1^t, 1 - beta2^t."""
    grad = grad / divisor
    mean.lerp_(grad, 1 - BETAS[0])
    square.lerp_(grad * grad, 1 - BETAS[1])
    update = mean / rates[1] / ((square / rates[2]).sqrt() + EPS)
    master.copy_(master * (1 - rates[0] * decay) - rates[0] * update)
    weight.copy_(master)


class CompiledAdamW:
    """8 bytes a parameter less traffic than FusedAdamW: gradients are not written back, fp32 weights not read again."""

    def __init__(self, masters, weights):
        self.update = torch.compile(adamw_update, dynamic=False)  # a kernel a size, of which there are six
        self.tensors = [[x.detach().view(-1) for x in (weight, master, master.grad)] +
                        [torch.zeros_like(master).detach().view(-1) for _ in range(2)]
                        for weight, master in zip(weights, masters)]
        self.decays = [torch.tensor(WEIGHT_DECAY * (master.dim() > 1), device=master.device) for master in masters]
        self.steps = 0

    @torch.no_grad()
    def step(self, learning_rate, divisor):
        self.steps += 1
        rates = torch.tensor([learning_rate, 1 - BETAS[0] ** self.steps, 1 - BETAS[1] ** self.steps]).to(divisor.device)
        for tensors, decay in zip(self.tensors, self.decays):
            self.update(*tensors, divisor, rates, decay)


class Training:
    """A model with fp32 masters of its weights, and their gradients; in fp32, too, which is for checks only."""

    def __init__(self, args, model, initial):
        self.model, self.head, self.grad_acc = model, Head(args), args.grad_acc
        self.first = True  # the step's first micro-batch, which overwrites the gradients
        named = dict(model.named_parameters())
        self.masters = {name: self.master_of(weight, initial.get(name)) for name, weight in named.items()}
        adamw = CompiledAdamW if args.adamw == "compiled" else FusedAdamW
        self.optimizer = adamw(list(self.masters.values()), [weight.detach() for weight in named.values()])

    def master_of(self, weight, initial):
        master = nn.Parameter(weight.detach().clone().float() if initial is None else initial.to(weight.device).float())
        master.grad = torch.zeros_like(master)

        def take_gradient(weight):
            master.grad.copy_(weight.grad) if self.first else master.grad.add_(weight.grad)
            weight.grad = None

        if weight.requires_grad:
            weight.register_post_accumulate_grad_hook(take_gradient)
        return master

    def step(self, micro_batches, learning_rate):
        """One update on grad_acc of [B, T + 1] tokens; the loss and the gradient's norm before it, on the device."""
        losses = [self.accumulate(tokens, i == 0) for i, tokens in enumerate(micro_batches)]
        norm = nn.utils.get_total_norm([master.grad for master in self.masters.values()], foreach=True)
        self.optimizer.step(learning_rate, ((norm + 1e-6) / MAX_GRAD_NORM).clamp(min=1))
        return torch.stack(losses).sum(), norm

    def accumulate(self, tokens, first):
        self.first = first
        inputs, labels = tokens[:, :-1], tokens[:, 1:].flatten()
        x = F.embedding(inputs, self.model.embedding).requires_grad_()
        loss = HeadLoss.apply(self.model(x), self.model.head, labels, self.masters["head"].grad, 0 if first else 1,
                              1 / (len(labels) * self.grad_acc), self.head)
        loss.backward()
        embedding_grad = self.masters["embedding"].grad
        if first:
            embedding_grad.zero_()
        embedding_grad.index_add_(0, inputs.flatten(), x.grad.flatten(0, 1).float())
        return loss.detach()


def make_training(args):
    with torch.device(args.device):
        model = Decoder(args)
        if args.weights:
            initial = read_weights(args.weights, model)
            model.load_state_dict(initial)
        else:
            initial = {}
            model.initialize()
    if args.float8:
        use_float8(model)
    if args.compile:
        for block in model.blocks:
            block.compile()
    return Training(args, model, initial)


def use_float8(model):
    try:
        from torchao.float8 import convert_to_float8_training
    except ImportError:
        sys.exit("pytorch_gpu_peer: --float8 needs the Python package torchao, which is not installed")
    convert_to_float8_training(model.blocks)


def read_batches(args):
    """[steps, grad_acc, B, T + 1] tokens on the CPU."""
    shape = args.steps, args.grad_acc, args.micro_batch, args.seq + 1
    if not args.tokens:
        return torch.randint(args.vocab, shape)
    import numpy

    tokens = torch.from_numpy(numpy.load(args.tokens).astype("int64"))
    rows = args.steps * args.grad_acc * args.micro_batch
    if tokens.dim() != 2 or len(tokens) < rows or tokens.shape[1] != args.seq + 1:
        sys.exit(f"pytorch_gpu_peer: --tokens {args.tokens}: {list(tokens.shape)}, not [{rows}, {args.seq + 1}]")
    if tokens.min() < 0 or tokens.max() >= args.vocab:
        sys.exit(f"pytorch_gpu_peer: --tokens {args.tokens}: tokens from {tokens.min()} to {tokens.max()}, vocabulary {args.vocab}")
    return tokens[:rows].view(shape)


def read_learning_rates(args):
    if not args.lr_values:
        return [args.lr] * args.steps
    rates = json.loads(args.lr_values.read_text())
    if len(rates) < args.steps:
        sys.exit(f"pytorch_gpu_peer: --lr-values {args.lr_values}: {len(rates)} values for {args.steps} steps")
    return rates[:args.steps]


def memory(args):
    if args.device == "cpu":
        return {"peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}
    free, total = torch.cuda.mem_get_info()
    return {"peak_memory_bytes": torch.cuda.max_memory_allocated(), "reserved_memory_bytes": torch.cuda.max_memory_reserved(),
            "device_memory_bytes": total - free}  # other processes' on the card, too


def train(args):
    torch.manual_seed(args.seed)
    batches, learning_rates = read_batches(args), read_learning_rates(args)
    training = make_training(args)
    step_ms, losses, norms = [], [], []
    for batch, learning_rate in zip(batches, learning_rates):
        started = time.perf_counter()
        loss, norm = training.step(batch.to(args.device), learning_rate)
        losses.append(loss.item())  # waits for the update, which was queued before
        norms.append(norm.item())
        if args.device == "cuda":
            torch.cuda.synchronize()
        step_ms.append(1e3 * (time.perf_counter() - started))
        if len(step_ms) == 1:
            first_step_done_s = seconds_since_process_start()
    median_ms = statistics.median(step_ms[args.warmup:])
    tokens_per_s = args.grad_acc * args.micro_batch * args.seq / median_ms * 1e3
    return {"tokens_per_s": tokens_per_s, "tflops": tokens_per_s * flops_per_token(args) * 1e-12, **memory(args),
            "first_step_done_s": first_step_done_s, "median_step_ms": median_ms, "step_ms": step_ms, "losses": losses,
            "grad_norms": norms, "learning_rates": learning_rates,
            "parameters": sum(weight.numel() for weight in training.model.parameters()),
            "head_gradient": training.head.add_product.__name__}


def main():
    args = parse_arguments()
    attention = ATTENTION[args.attention]
    with sdpa_kernel(attention) if attention else contextlib.nullcontext():
        measured = train(args)
    settings = ("model", "layers", *SIZES, "rope_theta", "micro_batch", "grad_acc", "warmup", "dtype", "attention", "adamw",
                "head_rows", "recompute", "float8", "compile")
    document = measured | {"card": torch.cuda.get_device_name() if args.device == "cuda" else "cpu",
                           "torch": torch.__version__} | {name: getattr(args, name) for name in settings}
    text = json.dumps(document, indent=2) + "\n"
    args.json.write_text(text) if args.json else sys.stdout.write(text)


if __name__ == "__main__":
    main()
