#!/usr/bin/env python3
"""Whole runs with DEVICE=cuda where there is no GPU, by the program with one of its own making (tests/support/emulated_gpu.cpp): its
kernels are the CPU's, so that runs have a CPU's bits, and its memory is the plan's to the byte. And by the program with its CUDA part
on emulated devices (tests/cuda/emulated), which is slower: what that part tells of a device and of its memory."""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

from mpi_launchers import AS_ROOT, LAUNCHERS, found_libraries

ON_GPU, ON_CUDA, ON_CPU = os.environ["BOREALIS_ON_GPU"], os.environ["BOREALIS_ON_CUDA"], os.environ["BOREALIS"]
LIBRARY_BYTES = {ON_GPU: 0, ON_CUDA: 48 << 20}  # planned for cuBLASLt and cuDNN, which the emulated devices do without
GPU_NAMES = {ON_GPU: "a fake GPU", ON_CUDA: "an emulated device"}
SHAPE = ["--num-layers", "2", "--hidden-size", "64", "--num-attention-heads", "4", "--num-key-value-heads", "2", "--ffn-hidden-size",
         "96", "--seq-length", "32", "--mock-data", "--vocab-size", "256"]
TRAIN = ["train", *SHAPE, "--no-progress", "--log-interval", "1", "--eval-interval", "0"]
NUMBERS = ["--tokenizer-type", "NullTokenizer", "--vocab-size", "255"]
CONFIG = 2
failures = []


def check(name, condition, told=""):
    print(("ok      " if condition else "FAILED  ") + name + ("" if condition else f": {told}"), flush=True)
    if not condition:
        failures.append(name)


def run(folder, program, *arguments, **variables):
    kept = {name: os.environ[name] for name in ("PATH",) if name in os.environ}
    device = "cpu" if program == ON_CPU else "cuda"
    environment = {**kept, "HOME": str(folder), "OMP_WAIT_POLICY": "passive", "OMP_NUM_THREADS": "1", "DEVICE": device, **AS_ROOT, **variables}
    return subprocess.run([program, *map(str, arguments)], cwd=folder, env={name: str(value) for name, value in environment.items()},
                          capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)


def computed(folder, run_dir):
    lines = (folder / run_dir / "metrics.jsonl").read_text().splitlines()
    return [(step["iteration"], step["lm_loss"], step["grad_norm"]) for step in map(json.loads, lines)]


def summary(folder, run_dir):
    return json.loads((folder / run_dir / "summary.json").read_text())


def trains(folder):
    """The CPU's losses, in the memory that was planned, and on from each other's checkpoints."""
    options = ["--train-iters", "6", "--save-interval", "3"]
    for dtype in ("fp32", "bf16"):
        train = [*TRAIN, "--dtype", dtype]
        whole = run(folder, ON_CPU, *train, *options, "--run-dir", f"cpu-{dtype}", CKPT_DIR=f"of-cpu-{dtype}")
        result = run(folder, ON_GPU, *train, *options, "--run-dir", f"gpu-{dtype}", CKPT_DIR=f"of-gpu-{dtype}")
        check(f"{dtype}: trains", whole.returncode == 0 and result.returncode == 0, result.stderr)
        expected = computed(folder, f"cpu-{dtype}")
        check(f"{dtype}: a CPU's bits", computed(folder, f"gpu-{dtype}") == expected, computed(folder, f"gpu-{dtype}"))
        told = summary(folder, f"gpu-{dtype}")
        planned, peak = told["planned_memory_bytes"], told["peak_memory_bytes"]
        check(f"{dtype}: memory", planned and abs(planned / peak - 1) < 0.001, (planned, peak))
        check(f"{dtype}: names it", GPU_NAMES[ON_GPU] in result.stdout, result.stdout)
        for first, second in ((ON_GPU, ON_CPU), (ON_CPU, ON_GPU)):
            name = f"{dtype}: from {'GPU' if first == ON_GPU else 'CPU'} on"
            checkpoints = f"{dtype}-{first == ON_GPU}"
            run(folder, first, *train, "--train-iters", "6", "--exit-interval", "3", "--run-dir", f"{checkpoints}-first", CKPT_DIR=checkpoints)
            rest = run(folder, second, *train, "--train-iters", "6", "--run-dir", f"{checkpoints}-rest", CKPT_DIR=checkpoints)
            check(name, rest.returncode == 0 and computed(folder, f"{checkpoints}-rest")[-3:] == expected[3:], rest.stderr + rest.stdout[-3000:])


def write_byte_tokenizer(folder):
    """A tokenizer.json with a token a byte, in GPT-2's alphabet."""
    folder.mkdir()
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in shown]
    vocabulary = {chr(byte): byte for byte in shown} | {chr(256 + i): byte for i, byte in enumerate(others)}
    bytes_only = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    (folder / "tokenizer.json").write_text(json.dumps({
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None, "pre_tokenizer": bytes_only,
        "post_processor": None, "decoder": bytes_only, "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                                                                 "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
                                                                 "vocab": vocabulary, "merges": []}}))


def shows_a_sample(folder):
    """What the trained model makes of a prompt, by the GPU, in memory that training has done with."""
    write_byte_tokenizer(folder / "bytes")
    (folder / "text.jsonl").write_text("".join(json.dumps({"text": f"In the beginning there were {i} of them. " * 5}) + "\n" for i in range(40)))
    made = run(folder, ON_CPU, "data", "tokenize", "--input", "text.jsonl", "--tokenizer", "bytes", "--no-append-eod", "--output-prefix", "text")
    check("sample: data", made.returncode == 0, made.stderr)
    (folder / "list.txt").write_text("1.0 text corpus\n")
    shape = [word for word in SHAPE if word != "--mock-data"]
    samples = []
    for program, name in ((ON_CPU, "cpu"), (ON_GPU, "gpu")):
        result = run(folder, program, "train", *shape, "--data-file-list", "list.txt", "--split", "90,10,0", "--no-progress", "--eval-interval", "0", "--no-save",
                     "--train-iters", "4", "--dtype", "fp32", "--run-dir", f"sample-{name}", TOKENIZER_TYPE="HFTokenizer", TOKENIZER_MODEL="bytes")
        check(f"sample: trains on {name}", result.returncode == 0, result.stderr)
        told = summary(folder, f"sample-{name}")
        samples.append((told["sample_prompt"], told["sample_text"]))
    check("sample: a CPU's text", samples[0] == samples[1] and samples[1][0] == "In the beginning" and samples[1][1], samples)
    planned, peak = told["planned_memory_bytes"], told["peak_memory_bytes"]
    check("sample: in the memory planned", abs(planned / peak - 1) < 0.001, (planned, peak))


def uses_a_model(folder):
    """`generate` and `eval`, of the checkpoint that trains() left."""
    model = folder / "of-gpu-fp32/global_step6"
    (folder / "text.txt").write_text(" ".join(str(7 * i % 200) for i in range(120)))
    commands = {"generate": ["--prompt", "1 2 3", "--max-new-tokens", 8, "--json"], "eval": ["--text", "text.txt", "--seq-length", 32, "--json"]}
    for command, options in commands.items():
        told = [run(folder, program, command, "--model", model, *NUMBERS, *options, "--device", device)
                for program, device in ((ON_GPU, "cuda"), (ON_CPU, "cpu"))]
        check(f"{command}: runs", all(result.returncode == 0 for result in told), [result.stderr for result in told])
        if any(result.returncode != 0 for result in told):
            continue
        on_gpu, on_cpu = (json.loads(result.stdout) for result in told)
        if command == "generate":
            texts = [[text["tokens"] for text in one["texts"]] for one in (on_gpu, on_cpu)]
            check("generate: a CPU's tokens", texts[0] == texts[1] and len(texts[0][0]) == 8, texts)
        else:
            check("eval: a CPU's loss", on_gpu["loss"] == on_cpu["loss"] > 0, (on_gpu, on_cpu))
        planned, peak = on_gpu["planned_memory_bytes"], on_gpu["peak_memory_bytes"]
        check(f"{command}: memory", abs(planned / peak - 1) < 0.001, (planned, peak))


def refuses(folder):
    """By the GPU's memory, before anything is allocated; what somebody else has taken is found as it is."""
    result = run(folder, ON_GPU, *TRAIN, "--run-dir", "small", "--no-save", "--train-iters", "1", EMULATED_GPU_BYTES=40 << 20)
    check("refused by the plan", result.returncode == 5 and "the GPU's memory allows" in result.stderr, result.stderr)
    check("refused before it begins", not (folder / "small").exists())
    result = run(folder, ON_GPU, *TRAIN, "--run-dir", "taken", "--no-save", "--train-iters", "1", EMULATED_GPU_TAKEN=(1 << 30) - (40 << 20))
    check("refused by the device", result.returncode == 5 and result.stderr.startswith("borealis: memory: "), result.stderr)


def sweeps(folder, program=ON_GPU):
    """Until the GPU's memory ends, which is what is planned for."""
    folder = folder / f"sweep-{pathlib.Path(program).name}"
    folder.mkdir()
    flags = ["--", *SHAPE[2:], "--ffn-hidden-size", "1024"]  # layers that differ by more than what is kept free
    grid = ["sweep", "--nlayers", "2:8:2", "--steps", 2, "--warmup", 1, "--output", "sweep"]

    def points(*options, **variables):
        result = run(folder, program, *grid, *options, "--json", *flags, **variables, MICRO_BATCH=1, GLOBAL_BATCH=1)
        if result.returncode != 0:
            check("sweep", False, result.stderr)
            return []
        return json.loads(result.stdout)["points"]

    planned = [point["planned_bytes"] for point in points("--dry-run")]
    check("planned for", len(planned) == 4 and planned == sorted(planned), planned)
    if len(planned) != 4:
        return
    memory = (planned[1] + planned[2]) // 2
    swept = points(EMULATED_GPU_BYTES=memory)
    check("states", [point["state"] for point in swept] == ["done", "done", "does_not_fit", "beyond_memory"], swept)
    check("limit", all(point["limit_bytes"] == memory for point in swept[:3]), swept)
    check("key", all(GPU_NAMES[program] in point["key"]["machine"] for point in swept), swept)
    for point in swept[:2]:
        told = summary(folder / "sweep", point["runs"][0])
        check(f"{point['name']}: planned", told["planned_memory_bytes"] == point["planned_bytes"], (told["planned_memory_bytes"], point))
    # Others have so much of the card that the second point's allocation fails, though its plan fits.
    grid[grid.index("sweep", 1)] = "taken"
    taken = (1 << 30) - (planned[0] + planned[1]) // 2 + LIBRARY_BYTES[program]
    swept = points(EMULATED_GPU_TAKEN=taken)
    check("told apart", [point["state"] for point in swept] == ["done", "out_of_memory", "beyond_memory", "beyond_memory"], swept)
    check("reason", re.match("borealis: memory: .* (GPU|refused by CUDA)", swept[1]["reason"]), swept[1])
    result = run(folder, program, "report", "taken", "--output", "report")
    ends = json.loads((folder / "report/report.json").read_text())["out_of_memory"] if result.returncode == 0 else []
    check("report", [end["kind"] for end in ends] == ["out_of_memory", "beyond_memory", "beyond_memory"], result.stderr)
    check("sentence", "(an allocation failed: " in (folder / "report/report.md").read_text())
    swept = points()
    check("tried again", [point["state"] for point in swept] == ["done"] * 4, swept)


def examines(folder, program=ON_GPU):
    result = run(folder, program, "doctor", *SHAPE, "--json")
    check("doctor", result.returncode == 0, result.stderr)
    (rank,) = json.loads(result.stdout)["ranks"]
    check("doctor: GPU", rank["gpu"] == GPU_NAMES[program] and 0 < rank["gpu_free_bytes"] <= 1 << 30, rank)
    check("doctor: rates", rank["gemm_flops_per_s"] > 0 and rank["memory_bytes_per_s"] > 0, rank)
    text = run(folder, program, "doctor", *SHAPE).stdout
    check("doctor: text", f"computing on {GPU_NAMES[program]}" in text and "all is well" in text, text)


def by_cuda(folder):
    """Losses of CUDA's kernels, whose sums have another order; what CUDA refuses; and, as above, a sweep and the doctor."""
    options = [*TRAIN, "--dtype", "fp32", "--no-save", "--train-iters", "3"]
    batch = {"MICRO_BATCH": 1, "GLOBAL_BATCH": 2}
    results = [run(folder, program, *options, "--run-dir", f"by-{name}", **batch) for program, name in ((ON_CPU, "cpu"), (ON_CUDA, "cuda"))]
    check("by CUDA: trains", all(result.returncode == 0 for result in results), [result.stderr for result in results])
    losses = [[loss for _, loss, _ in computed(folder, f"by-{name}")] for name in ("cpu", "cuda")]
    check("by CUDA: a CPU's losses", len(losses[1]) == 3 and all(abs(a / b - 1) < 1e-5 for a, b in zip(*losses, strict=True)), losses)
    rates = [line for line in results[1].stdout.splitlines() if "GEMM rate: " in line]
    check("by CUDA: a rate, once", len(rates) == 1 and summary(folder, "by-cuda")["gemm_tflops"] > 0, rates)
    result = run(folder, ON_CUDA, *options, "--run-dir", "refused-by-cuda", **batch, EMULATED_GPU_TAKEN=(1 << 30) - (40 << 20))
    refusal = r"borealis: memory: .* left on an emulated device for .* are refused by CUDA; something else uses the device"
    check("by CUDA: refused", result.returncode == 5 and re.match(refusal, result.stderr), result.stderr)
    sweeps(folder, ON_CUDA)
    examines(folder, ON_CUDA)


def has_ranks(folder, library):
    """Two that share the GPU have two CPUs' bits; what needs a way between GPUs is refused."""
    options = ["launch", *TRAIN, "--train-iters", "3", "--no-save"]
    ranks = {"NGPU_PER_HOST": 2, "MPIEXEC": LAUNCHERS[library][0], "MICRO_BATCH": 1, "GLOBAL_BATCH": 4}
    for stage in (0, 1):
        for program, name in ((ON_CPU, "cpu"), (ON_GPU, "gpu")):
            result = run(folder, program, *options, "--run-dir", f"{library}-{name}{stage}", ZERO_STAGE=stage, **ranks)
            check(f"{library}: two ranks on {name}, stage {stage}", result.returncode == 0, result.stderr)
        same = computed(folder, f"{library}-gpu{stage}") == computed(folder, f"{library}-cpu{stage}")
        check(f"{library}: their bits, stage {stage}", same)
    for stage in (2, 3):
        result = run(folder, ON_GPU, *options, "--run-dir", "refused", ZERO_STAGE=stage, **ranks)
        lines = [line for line in result.stderr.splitlines() if line.startswith("borealis: ")]
        check(f"{library}: stage {stage} is refused", result.returncode == CONFIG and len(lines) == 1 and f"ZERO_STAGE={stage} with 2 ranks" in lines[0],
              result.stderr)
    result = run(folder, ON_GPU, *options, "--run-dir", "refused", SP=2, **ranks | {"GLOBAL_BATCH": 2})
    lines = [line for line in result.stderr.splitlines() if line.startswith("borealis: ")]
    check(f"{library}: ranks that share sequences are refused", result.returncode == CONFIG and len(lines) == 1 and "SP=2 on GPUs" in lines[0], result.stderr)
    result = run(folder, ON_GPU, "launch", "doctor", *SHAPE, "--json", **ranks)
    told = json.loads(result.stdout) if result.returncode == 0 else {"ranks": []}
    check(f"{library}: doctor", [rank["exchange"] for rank in told["ranks"]] == ["MPI", "MPI"] and not told["all_reduce_between_gpus"], result.stderr)


def main():
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        for part in (trains, shows_a_sample, uses_a_model, refuses, sweeps, examines, by_cuda):
            part(folder)
        for library in [] if failures else found_libraries():
            has_ranks(folder, library)
    return 1 if failures else 0


sys.exit(main())
