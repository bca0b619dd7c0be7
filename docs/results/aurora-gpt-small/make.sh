#!/usr/bin/env bash
# Measures a scaled-down copy of the report's two families until memory ends, and makes the report in
# this folder: some ten minutes on two cores. The machine should have nothing else to do.
# At the end it prints the table and, where the original is at hand, the audit that README.md shows.
#   make.sh [AURORA_GPT_SMALL_MD]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
export BOREALIS_HOME=$root
borealis=${BOREALIS:-$root/build/release/borealis}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# Shapes and limit are chosen so that memory ends where it did: behind 14 layers and behind 18.
export MEMORY_LIMIT=910MiB GRAD_ACC_STEPS=2 MICRO_BATCH=1 LR_DECAY_STYLE=constant
common=(--mock-data --vocab-size 32000 --seq-length 1024)
"$borealis" sweep --arch llama3-3B --nlayers 4:16:2 --repeat 3 --output llama3 -- "${common[@]}" \
  --hidden-size 384 --num-attention-heads 6 --num-key-value-heads 2 --ffn-hidden-size 1024
"$borealis" sweep --arch smollm3-3B --nlayers 8:20:2 --repeat 3 --output smollm3 -- "${common[@]}" \
  --hidden-size 256 --num-attention-heads 4 --num-key-value-heads 1 --ffn-hidden-size 1664
"$borealis" report llama3 smollm3 --output report
python3 "$root/scripts/recompute_report.py" report
cp report/report.* report/*.svg "$here"

unset MEMORY_LIMIT
TOKENIZER_MODEL=google/gemma-7b ZERO_STAGE=0 "$borealis" plan --machine aurora-pvc-tile --arch llama3-3B \
  --nlayers 4:16:2 --hosts 2 --json > "$work/plan-llama3.json"
TOKENIZER_MODEL=google/gemma-7b ZERO_STAGE=0 "$borealis" plan --machine aurora-pvc-tile --arch smollm3-3B \
  --nlayers 8:20:2 --hosts 2 --json > "$work/plan-smollm3.json"
python3 "$here/beside.py" report/report.csv "$work/plan-llama3.json" "$work/plan-smollm3.json"
if [ $# -gt 0 ]; then
  cd "$(dirname "$1")"
  "$borealis" report --check "$(basename "$1")" || [ $? -eq 4 ]
fi
