#!/usr/bin/env bash
# format.sh [--check]: clang-format over our sources; with --check only says what would change.
set -euo pipefail
cd "$(dirname "$0")/.."
mapfile -t files < <(git ls-files 'src/*.h' 'src/*.cpp' 'src/*.cu' 'src/*.cuh' 'tests/*.cuh' 'tests/*.h' 'tests/*.cpp' 'tests/*.c' 'bench/*.h' 'bench/*.cpp')
if [ ${#files[@]} -eq 0 ]; then
  echo "no git checkout: nothing to format" >&2
  exit 0
fi
if [ "${1:-}" = --check ]; then
  clang-format --dry-run --Werror "${files[@]}"
else
  clang-format -i "${files[@]}"
fi
