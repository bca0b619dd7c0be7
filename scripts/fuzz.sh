#!/usr/bin/env bash
# fuzz.sh READER|all [SECONDS]: fuzzes a reader of tests/fuzz under AddressSanitizer and UBSan, from its
# seeds and from what earlier runs found interesting (build/fuzz/found/READER). An input that
# crashes it, hangs it or takes too much memory is kept as build/fuzz/crash-READER-*, and the exit code is not 0.
set -euo pipefail
reader=${1:?usage: fuzz.sh READER|all [SECONDS]}
seconds=${2:-300}
cd "$(dirname "$0")/.."
mapfile -t readers < <(basename -a -s _fuzz.cpp tests/fuzz/*_fuzz.cpp)
if [ "$reader" != all ]; then
  if [ ! -e "tests/fuzz/${reader}_fuzz.cpp" ]; then
    echo "there is no tests/fuzz/${reader}_fuzz.cpp; readers: all ${readers[*]}" >&2
    exit 1
  fi
  readers=("$reader")
fi
bash scripts/install_packages.sh run test fuzz
bash scripts/build.sh fuzz "${readers[@]/#/fuzz_}"

failed=()
for reader in "${readers[@]}"; do
  found=build/fuzz/found/$reader
  log=build/fuzz/$reader.log
  mkdir -p "$found"
  echo "fuzzing $reader for $seconds s; log: $log"
  # Leaks are not looked for: OpenMP keeps what it has to the end by design.
  ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 "build/fuzz/tests/fuzz/fuzz_$reader" \
    -max_total_time="$seconds" -timeout=10 -rss_limit_mb=4096 -print_final_stats=1 \
    -artifact_prefix="build/fuzz/crash-$reader-" "$found" "tests/fuzz/corpus/$reader" >"$log" 2>&1 || {
    failed+=("$reader")
    grep -E -A12 'ERROR|runtime error|ALARM|terminate called' "$log" | head -n 40 >&2
  }
  grep -E 'number_of_executed_units|average_exec_per_sec|peak_rss_mb|Test unit written' "$log" || true
done
if [ ${#failed[@]} -gt 0 ]; then
  echo "FAILED: ${failed[*]}" >&2
  exit 1
fi
