#!/usr/bin/env bash
# build.sh PRESET [target ...]: configures and builds build/PRESET, quietly; shows what went wrong.
set -euo pipefail
preset=${1:?usage: build.sh PRESET [target ...]}
shift
root=$(cd "$(dirname "$0")/.." && pwd)
targets=("${@:-borealis}")
build=$root/build/$preset
mkdir -p "$build"
log=$build/build.log
launcher=()
command -v ccache >/dev/null && launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
[ -e "$build/build.ninja" ] || echo "building $preset (a few minutes the first time; log: $log)"
cd "$root"
if ! cmake --preset "$preset" "${launcher[@]}" >"$log" 2>&1; then
  tail -n 30 "$log" >&2
  echo "configuring $preset failed; the whole log is $log" >&2
  exit 3
fi
if ! cmake --build "$build" --target "${targets[@]}" >>"$log" 2>&1; then
  grep -E -A5 'error|FAILED' "$log" | head -n 40 >&2
  echo "building $preset failed; the whole log is $log" >&2
  exit 3
fi
