#!/usr/bin/env bash
# build.sh PRESET [TARGET...]: configures and builds build/PRESET (default target: borealis). Shows
# how far it is and, if something is wrong, the errors; the rest goes to build/PRESET/build.log.
set -euo pipefail
preset=${1:?usage: build.sh PRESET [TARGET...]}
shift
targets=("${@:-borealis}")
cd -P "$(dirname "$0")/.."  # one folder may have several names
build=build/$preset
log=$build/build.log
mkdir -p "$build" 2>/dev/null || true
if ! [ -w "$build" ] || { [ -e "$log" ] && ! [ -w "$log" ]; }; then
  owner=$(stat -c %U "$build" 2>/dev/null || echo another)
  if [ -x "$build/borealis" ] && [ "${targets[*]}" = borealis ]; then
    echo "taking $build/borealis as it is: it is $owner's, and this user cannot build there"
    exit 0
  fi
  echo "this user cannot write to $PWD/$build, which is $owner's: build in a checkout of your own" >&2
  exit 3
fi
# Jobs that begin together build once.
exec 9>"$build/.lock"
if command -v flock >/dev/null && ! flock -n 9; then
  echo "waiting for another build of $PWD/$build"
  flock 9 || true  # a file system without locks
fi

fail() {
  { grep -v '^\[[0-9]*/' "$log" | grep -E -A6 'error:|Error|FAILED|undefined reference' || tail -n 20 "$log"; } |
    head -n 40 >&2 || true  # of more than that the writers end by a signal
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
if [ -n "$home" ] && ! [ "$home" -ef . ]; then
  echo "build/$preset is of $home: building anew"
  rm -rf "$build/CMakeCache.txt" "$build/CMakeFiles"
fi
# A compiler stays what it was when a build was first configured, unless it is told.
known=$(sed -n 's/^CMAKE_CXX_COMPILER:[A-Z]*=//p' "$build/CMakeCache.txt" 2>/dev/null || true)
named=$(sed -n "/\"name\": \"$preset\"/,/}/s/.*\"CMAKE_CXX_COMPILER\": \"\([^\"]*\)\".*/\1/p" CMakePresets.json | head -n 1)
now=$(command -v "${named:-${CXX:-c++}}" || true)
if [ "${known:0:1}" = / ] && [ -n "$now" ] && ! [ "$known" -ef "$now" ]; then
  echo "build/$preset was configured for $known, and the compiler is $now: building anew"
  rm -rf "$build/CMakeCache.txt" "$build/CMakeFiles"
fi

# Given each time, lest one be kept that is not there any more.
launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER= -DCMAKE_CUDA_COMPILER_LAUNCHER=)
if command -v ccache >/dev/null && mkdir -p "$(ccache -k cache_dir 2>/dev/null || echo /nowhere/ccache)" 2>/dev/null; then
  launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache -DCMAKE_CUDA_COMPILER_LAUNCHER=ccache)
  # What one checkout compiled serves all others.
  export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=true
fi
cmake --preset "$preset" "${launcher[@]}" >"$log" 2>&1 || fail configuring
# As many compilers at once as there are cores, if the memory is enough: one takes up to 1.2 GiB.
jobs=()
fit=$(awk '/^MemAvailable:/ { print int($2 / 1250000) }' /proc/meminfo 2>/dev/null || true)
if [ -n "$fit" ] && [ "$fit" -lt "$(nproc)" ]; then jobs=(--parallel "$((fit > 1 ? fit : 1))"); fi
cmake --build "$build" "${jobs[@]}" --target "${targets[@]}" 2>&1 | tee -a "$log" | show_progress || fail building
