"""Trains a Llama-type decoder on random tokens with PyTorch on the CPU, as a careful user would make it fast: the peer that
`borealis train --mock-data` is compared with (compare_pytorch.py runs both).

The arithmetic is Borealis': with bf16, weights and activations are bf16, and the gradient, the weights that AdamW updates and
its moments are fp32; with fp32, everything is. Same optimizer, clipping and exemption of the norms from weight decay."""

import argparse
import json
import math
import os
import pathlib
import resource
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

LOGIT_ROWS = 1024  # tokens whose logits exist at a time
ATTENTION_ROWS = 512  # query positions in a block of blockwise attention
ROPE_THETA, NORM_EPS = 10000, 1e-5
LEARNING_RATE, WEIGHT_DECAY, MAX_GRAD_NORM = 2e-4, 0.1, 1.0
DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}


class OneLineParser(argparse.ArgumentParser):
    def error(self, message):
        sys.exit(f"{pathlib.Path(self.prog).stem}: {message}")


def positive(text):
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"'{text}' is not a positive whole number")
    return int(text)


def parse_arguments():
    parser = OneLineParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    for name in ("layers", "hidden", "heads", "kv-heads", "ffn", "vocab", "seq", "micro-batch", "steps"):
        parser.add_argument(f"--{name}", type=positive, required=True)
    parser.add_argument("--dtype", choices=DTYPES, default="bf16")
    parser.add_argument("--threads", type=positive, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--attention", choices=("sdpa", "blockwise"), default="sdpa")
    parser.add_argument("--compile", action="store_true", help="the layers through torch.compile")
    parser.add_argument("--json", type=pathlib.Path, required=True, metavar="OUT", help="file that the measurements go to")
    args = parser.parse_args()
    if args.heads % args.kv_heads:
        parser.error(f"--heads {args.heads} is not a multiple of --kv-heads {args.kv_heads}")
    if args.hidden % (2 * args.heads):
        parser.error(f"--hidden {args.hidden} does not divide into --heads {args.heads} of an even size")
    if args.steps < 2:
        parser.error("--steps 1 leaves nothing to measure: the first step is not counted")
    if not args.json.parent.is_dir():
        parser.error(f"--json {args.json}: there is no folder {args.json.parent}")
    return args


def blockwise_attention(q, k, v):
    """Causal attention by matrix products of a block of queries with every key up to it. Scores are rounded to bf16, which
    sdpa's are not, and kept for backward; on CPUs that multiply bf16 the products are what counts, and theirs are faster."""
    B, H, T, C = q.shape
    K = k.shape[1]
    future = torch.ones(ATTENTION_ROWS, ATTENTION_ROWS, dtype=torch.bool).triu(1)
    blocks = []
    for start in range(0, T, ATTENTION_ROWS):
        end = min(start + ATTENTION_ROWS, T)
        rows = end - start
        queries = (q[:, :, start:end] / math.sqrt(C)).reshape(B * K, H // K * rows, C)
        keys, values = (x[:, :, :end].reshape(B * K, end, C) for x in (k, v))
        scores = torch.bmm(queries, keys.transpose(1, 2)).view(B * K, H // K, rows, end)
        scores[..., start:].masked_fill_(future[:rows, :rows], -torch.inf)
        blocks.append(torch.bmm(scores.softmax(-1).view(B * K, -1, end), values).view(B, H, rows, C))
    return torch.cat(blocks, 2)


def sdpa(q, k, v):
    return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)


class Layer(nn.Module):
    """Separate products for q, k, v, gate and up: joined ones were no faster here."""

    def __init__(self, args, dtype):
        super().__init__()

        def matrix(rows, columns):
            return nn.Parameter(torch.empty(rows, columns, dtype=dtype))

        D, kv = args.hidden, args.hidden // args.heads * args.kv_heads
        self.head_dim = D // args.heads
        self.attention = sdpa if args.attention == "sdpa" else blockwise_attention
        self.attention_norm = nn.Parameter(torch.empty(D, dtype=dtype))
        self.q, self.k, self.v, self.o = matrix(D, D), matrix(kv, D), matrix(kv, D), matrix(D, D)
        self.ffn_norm = nn.Parameter(torch.empty(D, dtype=dtype))
        self.gate, self.up, self.down = matrix(args.ffn, D), matrix(args.ffn, D), matrix(D, args.ffn)

    def heads(self, x, weight):
        return F.linear(x, weight).unflatten(-1, (-1, self.head_dim))

    def forward(self, x, cos, sin):
        y = F.rms_norm(x, x.shape[-1:], self.attention_norm, NORM_EPS)
        q, k = rotate(self.heads(y, self.q), cos, sin), rotate(self.heads(y, self.k), cos, sin)
        mixed = self.attention(q.transpose(1, 2), k.transpose(1, 2), self.heads(y, self.v).transpose(1, 2))
        x = x + F.linear(mixed.transpose(1, 2).flatten(2), self.o)
        y = F.rms_norm(x, x.shape[-1:], self.ffn_norm, NORM_EPS)
        return x + F.linear(F.silu(F.linear(y, self.gate)) * F.linear(y, self.up), self.down)


def rotate(x, cos, sin):
    left, right = x.chunk(2, -1)
    return torch.cat((left * cos - right * sin, right * cos + left * sin), -1)


class Decoder(nn.Module):
    def __init__(self, args):
        super().__init__()
        dtype = DTYPES[args.dtype]
        self.embedding = nn.Parameter(torch.empty(args.vocab, args.hidden, dtype=dtype))
        self.layers = nn.ModuleList(Layer(args, dtype) for _ in range(args.layers))
        self.norm = nn.Parameter(torch.empty(args.hidden, dtype=dtype))
        self.head = nn.Parameter(torch.empty(args.vocab, args.hidden, dtype=dtype))
        for parameter in self.parameters():
            if parameter.dim() == 1:
                nn.init.ones_(parameter)
            else:
                nn.init.normal_(parameter, std=math.sqrt(2 / (5 * args.hidden)))
        size = args.hidden // args.heads
        angles = torch.outer(torch.arange(args.seq), ROPE_THETA ** (-torch.arange(0, size, 2) / size))[:, None]
        self.cos, self.sin = angles.cos().to(dtype), angles.sin().to(dtype)  # [T, 1, C / 2]

    def forward(self, tokens):
        x = F.embedding(tokens, self.embedding)
        for layer in self.layers:
            x = layer(x, self.cos, self.sin)
        return F.rms_norm(x, x.shape[-1:], self.norm, NORM_EPS).flatten(0, 1)


class HeadLoss(torch.autograd.Function):
    """Mean cross entropy of the output head; its gradients are made beside it, so that logits exist for LOGIT_ROWS tokens
    only and are not computed twice. Faster here than F.linear_cross_entropy, whose loss is rounded to bf16, too.
    The gradients are those of the loss itself: it must be what backward() is called on."""

    @staticmethod
    def forward(ctx, hidden, weight, targets):
        tokens = len(targets)
        hidden_grad, weight_grad = torch.empty_like(hidden), torch.empty_like(weight)
        loss = torch.zeros(())
        for start in range(0, tokens, LOGIT_ROWS):
            rows, labels = hidden[start:start + LOGIT_ROWS], targets[start:start + LOGIT_ROWS, None]
            probabilities = torch.softmax(rows @ weight.t(), 1)
            loss -= probabilities.gather(1, labels).float().log().sum()
            logits_grad = probabilities.scatter_add_(1, labels, probabilities.new_full(labels.shape, -1))
            torch.mm(logits_grad, weight, out=hidden_grad[start:start + LOGIT_ROWS])
            weight_grad.addmm_(logits_grad.t(), rows / tokens, beta=1 if start else 0)
        ctx.save_for_backward(hidden_grad.div_(tokens), weight_grad)
        return loss / tokens

    @staticmethod
    def backward(ctx, _):
        return *ctx.saved_tensors, None


class Training:
    """A model with its optimizer. A bf16 model has an fp32 master of each weight; gradients go to fp32 as backward makes
    them, so that no second set of them is held. There is one micro-batch a step: accumulation is a copy."""

    def __init__(self, model):
        self.model = model
        parameters = list(model.parameters())
        self.masters = [master_of(p) for p in parameters] if parameters[0].dtype != torch.float32 else parameters
        groups = [{"params": [m for m in self.masters if m.dim() > 1], "weight_decay": WEIGHT_DECAY},
                  {"params": [m for m in self.masters if m.dim() == 1], "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=(0.9, 0.95), eps=1e-5, fused=True)

    def step(self, tokens):
        """One update on [B, T + 1] tokens; the loss before it."""
        loss = HeadLoss.apply(self.model(tokens[:, :-1]), self.model.head, tokens[:, 1:].flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(self.masters, MAX_GRAD_NORM)
        self.optimizer.step()
        with torch.no_grad():
            for parameter, master in zip(self.model.parameters(), self.masters):
                parameter.grad = None
                if parameter is not master:
                    parameter.copy_(master)
        return loss.item()


def master_of(parameter):
    master = nn.Parameter(parameter.detach().float())
    master.grad = torch.empty_like(master)

    def take_gradient(parameter):
        master.grad.copy_(parameter.grad)
        parameter.grad = None

    parameter.register_post_accumulate_grad_hook(take_gradient)
    return master


def flops_per_token(args):
    """flops_per_token of src/model/accounting.cpp: attention counted over the full square."""
    D, kv = args.hidden, args.hidden // args.heads * args.kv_heads
    layer = 2 * D * D + 2 * D * kv + 3 * D * args.ffn + 2 * D * args.seq
    return 6 * (args.layers * layer + args.vocab * D)


def seconds_since_process_start():
    """From the kernel's clock, because importing torch is a part of starting up."""
    after_name = pathlib.Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(after_name[19]) / os.sysconf("SC_CLK_TCK")


def main():
    args = parse_arguments()
    torch.set_num_threads(args.threads)
    torch.manual_seed(1234)
    model = Decoder(args)
    if args.compile:
        for layer in model.layers:
            layer.compile()
    training = Training(model)
    step_ms, losses = [], []
    for _ in range(args.steps):
        started = time.perf_counter()
        losses.append(training.step(torch.randint(args.vocab, (args.micro_batch, args.seq + 1))))
        step_ms.append(1e3 * (time.perf_counter() - started))
        if len(step_ms) == 1:
            first_step_done_s = seconds_since_process_start()
    tokens_per_s = args.micro_batch * args.seq / statistics.median(step_ms[1:]) * 1e3
    args.json.write_text(json.dumps({
        "tokens_per_s": tokens_per_s,
        "tflops": tokens_per_s * flops_per_token(args) * 1e-12,
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "first_step_done_s": first_step_done_s,
        "step_ms": step_ms,
        "losses": losses,
        "torch": torch.__version__,
        "dtype": args.dtype,
        "threads": args.threads,
        "attention": args.attention,
        "compiled": args.compile,
    }, indent=2) + "\n")


if __name__ == "__main__":
    main()
