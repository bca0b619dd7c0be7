#!/usr/bin/env bash
# Trains a model as the environment and the flags say (docs/environment.md). On a fresh machine it
# first installs, builds and prepares a small corpus. Thin on purpose: all logic is in the program.
#   VARIABLE=value ... bash train_alcf.sh [flags of `borealis train`]
set -euo pipefail
if [ -n "${DEBUG:-}" ]; then set -x; fi
home=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# sbatch and qsub run a copy of this file, far from the others.
[ -d "$home/scripts" ] || home=${SLURM_SUBMIT_DIR:-${PBS_O_WORKDIR:-$home}}
cd "${PBS_O_WORKDIR:-${SLURM_SUBMIT_DIR:-$PWD}}"
export BOREALIS_HOME=$home

bash "$home/scripts/install_packages.sh" run
bash "$home/scripts/install_packages.sh" cuda || echo "going on without cuDNN's attention" >&2
# Several ranks need an MPI library: the site's, and where there is none Debian's.
if [ "${NGPU_PER_HOST:-1}" != 1 ] || [ "${WORLD_SIZE:-1}" != 1 ] || [ -n "${HOSTFILE:-}" ] ||
  [ "${SLURM_NTASKS:-1}" != 1 ] || [ "${SLURM_JOB_NUM_NODES:-1}" != 1 ]; then
  command -v mpicc mpicc.openmpi mpicc.mpich >/dev/null ||
    bash "$home/scripts/install_packages.sh" mpi
fi
bash "$home/scripts/build.sh" release
export BOREALIS=$home/build/release/borealis

# The report's command names .../<machine>/books.txt, which exists on few machines; the program then
# takes the list of the default corpus, as it does where no list is named.
default_list=$home/ALCF/data-lists/books.txt
list=${DATA_FILE_LIST:-$default_list}
if [ -z "${DATA_PATH:-}" ] && [ "$(basename "$list")" = books.txt ] && { [ ! -e "$list" ] || [ "$list" -ef "$default_list" ]; }; then
  bash "$home/scripts/install_packages.sh" corpus
  bash "$home/scripts/prepare_default_corpus.sh"
  if [ -n "${TOKENIZER_MODEL:-}" ]; then
    own_list=$(bash "$home/scripts/tokenize_default_corpus.sh")
    if [ -n "$own_list" ]; then export DATA_FILE_LIST=$own_list; fi
  fi
fi

# It knows PBS, Slurm and host files; a single rank it becomes itself.
exec "$BOREALIS" launch train "$@"
