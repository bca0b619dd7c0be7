#!/usr/bin/env bash
# Trains a model as the environment and the flags say (docs/environment.md); on a fresh machine it first installs, builds
# and prepares a small corpus. Thin on purpose: all logic is in the program.
#   bash train_alcf.sh [flags of `borealis train`]
set -euo pipefail
[ -n "${DEBUG:-}" ] && set -x
home=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "${PBS_O_WORKDIR:-${SLURM_SUBMIT_DIR:-$PWD}}"
export BOREALIS_HOME=$home

bash "$home/scripts/install_packages.sh" run
bash "$home/scripts/build.sh" release
export BOREALIS=$home/build/release/borealis
# The default corpus is wanted where no other list is named.
case "${DATA_FILE_LIST:-books.txt}" in
  *books.txt) [ -e "${DATA_FILE_LIST:-}" ] && [ ! "${DATA_FILE_LIST:-}" -ef "$home/ALCF/data-lists/books.txt" ] ||
    bash "$home/scripts/prepare_default_corpus.sh" ;;
esac
exec "$BOREALIS" train "$@"
