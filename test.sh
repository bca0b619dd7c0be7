#!/usr/bin/env bash
# Installs what the tests need, builds, and runs every test; the unit tests also under
# AddressSanitizer and UBSan. Exits 0 only if all of them pass.
#   ./test.sh [--fast]      --fast leaves the sanitizers out
# End-to-end tests compare with Python packages where scripts/install_peers.sh has put them (or
# where the environment BOREALIS_PEERS is), and are skipped elsewhere.
set -euo pipefail
if [ -n "${DEBUG:-}" ]; then set -x; fi
cd "$(dirname "${BASH_SOURCE[0]}")"
case "${1:-}" in
  "" | --fast) ;;
  *) echo "usage: ./test.sh [--fast]" >&2 && exit 1 ;;
esac

bash scripts/install_packages.sh run corpus test
bash scripts/install_packages.sh cuda || echo "going on without cuDNN's attention" >&2
failed=()
python3 scripts/check_includes.py --self-test || failed+=("include check's self-test")
python3 scripts/check_includes.py || failed+=("include order")
if command -v clang-format >/dev/null; then bash scripts/format.sh --check || failed+=("format"); fi

peers=${BOREALIS_PEERS:-build/peers}
if [ -x "$peers/bin/python" ]; then
  PYTHONPATH=$("$peers/bin/python" -c 'import site; print(site.getsitepackages()[0])')
  export PYTHONPATH
fi
# Several tests run at once, each with its threads: waiting threads must not hold a core.
export OMP_WAIT_POLICY=passive

# run_ctest PRESET [ctest option...]
run_ctest() {
  local preset=$1
  shift
  echo "== tests of build/$preset"
  ctest --test-dir "build/$preset" --output-on-failure -j "$(nproc)" "$@" | tee "build/$preset/ctest.log" |
    { grep -v '^ *Start ' || true; } || failed+=("tests of build/$preset")
}

bash scripts/build.sh ci all
BOREALIS=$PWD/build/ci/borealis bash scripts/prepare_default_corpus.sh
run_ctest ci --timeout 900
if [ "${1:-}" != --fast ]; then
  bash scripts/build.sh dev unit_tests
  # Leaks are not looked for: oneDNN and OpenMP keep what they have to the end by design.
  ASAN_OPTIONS=detect_leaks=0 run_ctest dev -L unit --timeout 900
fi

# What failed comes last: a log that is cut at its beginning still says it.
# print_failures LOG: the failed tests with the end of what each printed.
print_failures() {
  grep -v '^ *Start ' "$1" | awk '
    function flush_lines() { for (i = n > 60 ? n - 60 : 0; i < n; ++i) print lines[i]; n = 0 }
    / Test +#[0-9]+: / || /tests passed/ { flush_lines(); failing = /\*\*\*[A-Z]/ && !/\*\*\*Skipped/ }
    failing { lines[n++] = $0 }
    END { flush_lines() }'
}

echo "== summary"
for log in build/ci/ctest.log build/dev/ctest.log; do
  [ "$log" = build/dev/ctest.log ] && [ "${1:-}" = --fast ] && continue
  print_failures "$log"
  echo "$log: $(grep 'tests passed' "$log")"
done
if [ ${#failed[@]} -gt 0 ]; then
  printf 'FAILED: %s\n' "${failed[@]}"
  exit 1
fi
echo "all passed"
