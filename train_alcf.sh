#!/usr/bin/env bash
# Trains a model as the environment and the flags say (docs/environment.md). On a fresh machine it
# first installs, builds and prepares a small corpus. Thin on purpose: all logic is in the program.
#   VARIABLE=value ... bash train_alcf.sh [flags of `borealis train`]
set -euo pipefail
if [ -n "${DEBUG:-}" ]; then set -x; fi
unset CDPATH
home=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# sbatch and qsub run a copy of this file, far from the others.
[ -d "$home/scripts" ] || home=${BOREALIS_HOME:-${SLURM_SUBMIT_DIR:-${PBS_O_WORKDIR:-$home}}}
if ! [ -e "$home/scripts/build.sh" ]; then
  echo "$home is no checkout of Borealis: submit from the checkout, or set BOREALIS_HOME to it" >&2
  exit 3
fi
# PBS begins a batch job in the home directory; Slurm where it was told to.
if [ -n "${PBS_O_WORKDIR:-}" ] && [ "$PWD" -ef "${HOME:-/}" ]; then cd "$PBS_O_WORKDIR"; fi
export BOREALIS_HOME=$home

bash "$home/scripts/install_packages.sh" run
bash "$home/scripts/install_packages.sh" cuda || echo "going on without cuDNN's attention" >&2
# Several ranks need an MPI library: the site's, and where there is none Debian's.
if [ "${NGPU_PER_HOST:-1}" != 1 ] || [ "${WORLD_SIZE:-1}" != 1 ] || [ -n "${HOSTFILE:-}" ] ||
  [ -n "${PBS_NODEFILE:-}" ] || [ "${SLURM_NTASKS:-1}" != 1 ] || [ "${SLURM_JOB_NUM_NODES:-1}" != 1 ] ||
  [ -e /dev/nvidia1 ]; then
  # Debian's wrappers are there without the headers, too.
  mpicc=$(command -v mpicc || true)
  if [ -z "$mpicc" ] || [ "$mpicc" -ef /usr/bin/opal_wrapper ]; then
    bash "$home/scripts/install_packages.sh" mpi || echo "going on without Debian's MPI library" >&2
  fi
fi
bash "$home/scripts/build.sh" release
export BOREALIS=$home/build/release/borealis

# The report's command names .../<machine>/books.txt, which exists on few machines; the program then
# takes the list of the default corpus, as it does where no list is named.
default_list=$home/ALCF/data-lists/books.txt
list=${DATA_FILE_LIST:-$default_list}
data_given=${DATA_PATH:-}
for argument in "$@"; do
  case $argument in --mock-data | --data-path | --data-path=* | --data-file-list | --data-file-list=*) data_given=yes ;; esac
done
if [ -z "$data_given" ] && [ "$(basename "$list")" = books.txt ] && { [ ! -e "$list" ] || [ "$list" -ef "$default_list" ]; }; then
  bash "$home/scripts/install_packages.sh" corpus
  bash "$home/scripts/prepare_default_corpus.sh"
  if [ -n "${TOKENIZER_MODEL:-}" ]; then
    own_list=$(bash "$home/scripts/tokenize_default_corpus.sh")
    if [ -n "$own_list" ]; then export DATA_FILE_LIST=$own_list; fi
  fi
fi

# It knows PBS, Slurm and host files; a single rank it becomes itself.
exec "$BOREALIS" launch train "$@"
