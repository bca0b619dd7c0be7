#!/usr/bin/env python3
"""Enforces the order of inclusion in src/ (ARCHITECTURE.md): a module includes only modules of lower
layers, and some headers and calls belong to one module alone.

    check_includes.py              print every violation; exit 1 if there is one
    check_includes.py --self-test  check the checker on a small tree that breaks every rule
"""

import pathlib
import re
import sys
import tempfile

LAYERS = [
    ["base"],
    ["device"],
    ["tensor", "config"],
    ["kernels", "comm", "tokenizer"],
    ["parallel", "data", "telemetry"],
    ["model", "optim", "checkpoint"],
    ["train", "planner", "launch", "doctor"],
    ["report", "sweep"],
    ["publish", "watch"],
    ["cli"],
]
LAYER_OF = {module: depth for depth, layer in enumerate(LAYERS) for module in layer}
OWNED = [  # pattern, where alone it may stand
    (re.compile(r'#\s*include\s*[<"]mpi\.h'), "comm/"),
    (re.compile(r'#\s*include\s*[<"](oneapi/dnnl/)?dnnl'), "kernels/onednn/"),
    (re.compile(r'#\s*include\s*[<"](cuda_|cublas|cudnn|cub/)'), "kernels/cuda/"),
    (re.compile(r'#\s*include\s*[<"](ncursesw/)?n?curses'), "watch/"),
    (re.compile(r"\b(secure_)?getenv\s*\("), "config/"),
    (re.compile(r"\bstd::[io]?fstream\b|\bfopen\s*\("), "base/"),
]
INCLUDE = re.compile(r'\s*#\s*include\s*"([^"]+)"')


def include_violation(module, header):
    """What is wrong with `module` including "header", or None."""
    other, slash, _ = header.partition("/")
    if not slash:
        return f'includes "{header}" without its module'
    if other not in LAYER_OF:
        return f"includes the unknown module '{other}'"
    if other != module and LAYER_OF[other] >= LAYER_OF[module]:
        return f"{module} may not include {other}"
    return None


def violations(root):
    for path in sorted(root.rglob("*")):
        if path.suffix not in (".h", ".cpp", ".cu", ".cuh"):
            continue
        name = path.relative_to(root).as_posix()
        module = name.split("/")[0]
        if module not in LAYER_OF:
            yield f"{name}: '{module}' is not a module of the layer list"
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            code = line.split("//")[0]
            include = INCLUDE.match(code)
            problem = include and include_violation(module, include[1])
            if problem:
                yield f"{name}:{number}: {problem}"
            for pattern, place in OWNED:
                if pattern.search(code) and not name.startswith(place):
                    yield f"{name}:{number}: belongs in {place} only: {line.strip()}"


def self_test():
    """Each file of a small tree with the violations that it must cause."""
    cases = {
        "base/a.h": ('#include <vector>\n#include "base/b.h"\nstd::ifstream file;', []),
        "tensor/a.h": ('#include "base/a.h"\n#include "config/a.h"', ["tensor may not include config"]),
        "kernels/a.cpp": ("#include <dnnl.hpp>", ["belongs in kernels/onednn/ only"]),
        "kernels/cpu/a.cpp": ("#include <cuda_runtime.h>", ["belongs in kernels/cuda/ only"]),
        "kernels/cuda/a.cu": ("#include <cuda_runtime.h>\n#include <cublasLt.h>", []),
        "model/c.cpp": ("#include <cudnn_frontend.h>", ["belongs in kernels/cuda/ only"]),
        "kernels/onednn/a.cpp": ('#include <dnnl.hpp>\n#include "kernels/a.h"', []),
        "config/a.cpp": ('std::getenv("HOME");', []),
        "model/a.cpp": ('getenv("HOME");  // no', ["belongs in config/ only"]),
        "model/b.cpp": ('// getenv("HOME")\n#include "optim/a.h"', ["model may not include optim"]),
        "data/a.cpp": ("#include <mpi.h>", ["belongs in comm/ only"]),
        "data/b.cpp": ("std::ofstream file;", ["belongs in base/ only"]),
        "train/a.h": ('#include "cli/a.h"\n#include "c.h"',
                      ["train may not include cli", "without its module"]),
        "cli/a.cpp": ('#include "train/a.h"\n#include "other/a.h"', ["unknown module 'other'"]),
        "device/a.cpp": ('#include "base/a.h"\n#include "tensor/a.h"', ["device may not include tensor"]),
        "train/b.cpp": ('#include "telemetry/a.h"\n#include "report/a.h"', ["train may not include report"]),
        "report/a.cpp": ('#include "planner/a.h"\n#include "sweep/a.h"', ["report may not include sweep"]),
        "watch/a.cpp": ('#include <curses.h>\n#include "publish/a.h"', ["watch may not include publish"]),
        "cli/b.cpp": ("#include <ncurses.h>", ["belongs in watch/ only"]),
        "utils/a.h": ("", ["'utils' is not a module"]),
    }
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name, (text, _) in cases.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        found = list(violations(root))
    failures = 0
    for name, (_, expected) in cases.items():
        got = [line for line in found if line.startswith(f"{name}:")]
        if len(got) != len(expected) or not all(e in g for e, g in zip(expected, got)):
            failures += 1
            print(f"self-test: {name}: expected {expected}, got {got}")
    print(f"include check, self-test: {len(cases)} files, {failures} failures")
    return 1 if failures else 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    found = list(violations(pathlib.Path(__file__).resolve().parents[1] / "src"))
    for violation in found:
        print(violation)
    print(f"include order: {len(found)} violations")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
