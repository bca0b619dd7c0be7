#!/usr/bin/env bash
# Trains every row of the "AuroraGPT-v1 (Small)" report on this machine's GPU, by the report's settings, with and without deterministic
# attention; then both models in full depth, and as deep as they fit, with and without recompute. Writes rows.jsonl, log.txt and
# table.md into OUTPUT. Some 15 minutes on an H100; given again it goes on with what is left.
#   report_on_gpu.sh OUTPUT [flags of borealis train]      such as: results --mock-data --vocab-size 256000
# Data and tokenizer: DATA_FILE_LIST and TOKENIZER_MODEL, as the report's command has them, or the flags.
#   BOREALIS     the program [build/release/borealis]
#   ROWS         of rows, full, deepest: what to run [all three]
#   LLAMA3_LAYERS, SMOLLM3_LAYERS    of the rows [4:16:2, 8:20:2]
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
export BOREALIS_HOME=${BOREALIS_HOME:-$root}
borealis=${BOREALIS:-$root/build/release/borealis}
if [ $# -lt 1 ] || [[ $1 == -* ]]; then sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 2; fi
output=$(mkdir -p "$1" && cd "$1" && pwd)
shift
flags=("$@")
export DEVICE=cuda GRAD_ACC_STEPS=2 MICRO_BATCH=1 ZERO_STAGE=0 OPT=adamw LR_DECAY_STYLE=constant
declare -A rows=([llama3-3B]=${LLAMA3_LAYERS:-4:16:2} [smollm3-3B]=${SMOLLM3_LAYERS:-8:20:2})
declare -A full=([llama3-3B]=28 [smollm3-3B]=36)

# measure NAME ARCH LAYERS [--set ...]: a sweep of ten steps a point, of which one is for warming up
measure() {
  local name=$1 arch=$2 layers=$3
  shift 3
  echo "report_on_gpu: $name, $arch, $layers layers" >&2
  "$borealis" sweep --arch "$arch" --nlayers "$layers" --steps 10 --warmup 1 --output "$output/points/$name-$arch" "$@" \
    -- "${flags[@]}" >> "$output/sweeps.log" 2>&1 || echo "report_on_gpu: exit code $?, see $output/sweeps.log" >&2
}

fits() {  # ARCH LAYERS RECOMPUTE
  MODEL_ARCH=$1 NLAYERS=$2 USE_ACTIVATION_CHECKPOINTING=$3 "$borealis" plan --json "${flags[@]}" 2>> "$output/sweeps.log" |
    python3 -c 'import json, sys; sys.exit(not json.load(sys.stdin)["fits"])'
}
deepest() {  # ARCH RECOMPUTE: by halves; the answer is [low, high)
  local low=1 high=512 middle
  while [ $((high - low)) -gt 1 ]; do
    middle=$(((low + high) / 2))
    if fits "$1" $middle "$2"; then low=$middle; else high=$middle; fi
  done
  echo $low
}

for what in ${ROWS:-rows full deepest}; do
  for arch in llama3-3B smollm3-3B; do
    case $what in
      rows) measure rows $arch "${rows[$arch]}" --set DETERMINISTIC=1,0 ;;
      full) measure full $arch "${full[$arch]}" --set USE_ACTIVATION_CHECKPOINTING=0,1 ;;
      deepest)
        for recompute in 0 1; do
          measure deepest-$recompute $arch "$(deepest $arch $recompute)" --set USE_ACTIVATION_CHECKPOINTING=$recompute
        done ;;
      *) echo "report_on_gpu: ROWS: '$what' is none of rows, full, deepest" >&2; exit 2 ;;
    esac
  done
done
python3 "$root/bench/train/report_on_gpu.py" "$output"
