#!/usr/bin/env python3
"""Enforces the order of inclusion (ARCHITECTURE.md): a module includes only modules of lower layers, and some headers and
calls belong to one module alone. Prints every violation and exits 1 if there is one."""

import pathlib
import re
import sys

LAYERS = [
    ["base"],
    ["tensor", "config"],
    ["kernels", "comm", "tokenizer"],
    ["parallel", "data", "telemetry"],
    ["model", "optim", "checkpoint"],
    ["train", "planner"],
    ["sweep"],
    ["cli"],
]
LAYER_OF = {module: depth for depth, layer in enumerate(LAYERS) for module in layer}
OWNED = [  # pattern, where it may stand
    (re.compile(r"#include\s*[<\"]mpi\.h"), "comm/"),
    (re.compile(r"#include\s*[<\"]dnnl"), "kernels/onednn/"),
    (re.compile(r"\b(?:std::)?(?:secure_)?getenv\s*\("), "config/"),
]


def violations(root):
    for path in sorted(root.rglob("*")):
        if path.suffix not in (".h", ".cpp"):
            continue
        name = path.relative_to(root).as_posix()
        module = name.split("/")[0]
        if module not in LAYER_OF:
            yield f"{name}: '{module}' is not a module of the layer list"
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            include = re.match(r'#include "([a-z_]+)/', line)
            if include and include[1] != module:
                other = include[1]
                if other not in LAYER_OF:
                    yield f"{name}:{number}: includes unknown module '{other}'"
                elif LAYER_OF[other] >= LAYER_OF[module]:
                    yield f"{name}:{number}: {module} may not include {other}"
            for pattern, place in OWNED:
                if pattern.search(line) and not name.startswith(place):
                    yield f"{name}:{number}: belongs in {place} only: {line.strip()}"


def main():
    root = pathlib.Path(__file__).resolve().parents[1] / "src"
    found = list(violations(root))
    for violation in found:
        print(violation)
    print(f"include order: {len(found)} violations")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
