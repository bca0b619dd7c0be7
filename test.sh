#!/usr/bin/env bash
# Installs what the tests need, builds, runs every test; the unit tests also under AddressSanitizer and UBSan.
#   ./test.sh [--fast]      --fast leaves the sanitizers out
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
bash scripts/install_packages.sh test
python3 scripts/check_includes.py
if command -v clang-format >/dev/null; then bash scripts/format.sh --check; fi

bash scripts/build.sh ci all
BOREALIS=$PWD/build/ci/borealis bash scripts/prepare_default_corpus.sh
if [ "${1:-}" != --fast ]; then
  bash scripts/build.sh dev all
  # Leak detection is off: oneDNN and OpenMP keep what they have to the end by design.
  ASAN_OPTIONS=detect_leaks=0 ctest --test-dir build/dev -L unit --output-on-failure -j "$(nproc)" --timeout 600
fi
ctest --test-dir build/ci --output-on-failure --timeout 900
