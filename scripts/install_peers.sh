#!/usr/bin/env bash
# install_peers.sh [--torch]: a Python environment in build/peers with the packages that end-to-end
# tests compare with: tokenizers, sentencepiece, safetensors, numpy, tensorboard, wandb (the last version that reads its files in
# Python); with --torch (gigabytes) also torch and transformers (and protobuf, by which it reads SentencePiece), which
# tests/*/make_goldens.py need. Does nothing where they are there.
set -euo pipefail
cd "$(dirname "$0")/.."
packages=(tokenizers sentencepiece safetensors numpy tensorboard 'wandb<0.28')
if [ "${1:-}" = --torch ]; then packages+=(torch transformers protobuf); fi

names=("${packages[@]%%<*}")
imports=$(IFS=,; echo "${names[*]/#protobuf/google.protobuf}")
if [ -x build/peers/bin/python ] && build/peers/bin/python -c "import $imports" 2>/dev/null; then exit 0; fi
bash scripts/install_packages.sh peers
echo "installing the Python packages ${packages[*]} in build/peers"
mkdir -p build
python3 -m venv build/peers
build/peers/bin/pip install --quiet --disable-pip-version-check "${packages[@]}"
