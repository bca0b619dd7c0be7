#!/usr/bin/env bash
# build.sh PRESET [TARGET...]: configures and builds build/PRESET (default target: borealis). Shows
# how far it is and, if something is wrong, the errors; the rest goes to build/PRESET/build.log.
set -euo pipefail
preset=${1:?usage: build.sh PRESET [TARGET...]}
shift
targets=("${@:-borealis}")
cd "$(dirname "$0")/.."
build=build/$preset
log=$build/build.log
mkdir -p "$build"

fail() {
  { grep -v '^\[[0-9]*/' "$log" | grep -E -A6 'error:|Error|FAILED|undefined reference' || tail -n 20 "$log"; } |
    head -n 40 >&2
  echo "$1 $preset failed; the whole log is $PWD/$log" >&2
  exit 3
}

# Ninja's "[12/80] ..." as one line that counts on a terminal, as a line per fifth elsewhere.
show_progress() {
  local terminal=0
  [ -t 1 ] && terminal=1
  awk -v preset="$preset" -v terminal="$terminal" '
    match($0, /^\[[0-9]+\/[0-9]+\]/) {
      split(substr($0, 2, RLENGTH - 2), step, "/")
      if (step[2] < 5) next
      if (terminal) { printf "\rbuilding %s: %d of %d ", preset, step[1], step[2]; shown = 1 }
      else if (int(5 * step[1] / step[2]) > fifths) {
        fifths = int(5 * step[1] / step[2])
        printf "building %s: %d of %d\n", preset, step[1], step[2]
      }
      fflush()
    }
    END { if (shown) print "" }'
}

# A checkout that was copied or moved has a build of another place, which CMake refuses.
home=$(sed -n 's/^CMAKE_HOME_DIRECTORY:INTERNAL=//p' "$build/CMakeCache.txt" 2>/dev/null || true)
if [ -n "$home" ] && [ "$home" != "$PWD" ]; then
  echo "build/$preset is of $home: building anew"
  rm -rf "$build/CMakeCache.txt" "$build/CMakeFiles"
fi

launcher=()
if command -v ccache >/dev/null; then
  launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache -DCMAKE_CUDA_COMPILER_LAUNCHER=ccache)
  # What one checkout compiled serves all others.
  export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=true
fi
cmake --preset "$preset" "${launcher[@]}" >"$log" 2>&1 || fail configuring
cmake --build "$build" --target "${targets[@]}" 2>&1 | tee -a "$log" | show_progress || fail building
