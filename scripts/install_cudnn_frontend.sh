#!/usr/bin/env bash
# install_cudnn_frontend.sh: the headers of cudnn-frontend, which attention on a GPU is built with, in
# build/cudnn-frontend, from PyPI's nvidia-cudnn-frontend. Does nothing where nvcc is missing or the
# headers are there.
set -euo pipefail
cd "$(dirname "$0")/.."
version=1.32.0
target=build/cudnn-frontend

nvcc=$(command -v nvcc || true)
for toolkit in "${CUDA_PATH:-}" "${CUDA_HOME:-}" /usr/local/cuda; do
  if [ -z "$nvcc" ] && [ -x "$toolkit/bin/nvcc" ]; then nvcc=$toolkit/bin/nvcc; fi
done
[ -n "$nvcc" ] || exit 0
for include in "$target" /usr /usr/local "$(dirname "$(dirname "$nvcc")")"; do
  [ ! -e "$include/include/cudnn_frontend.h" ] || exit 0
done

echo "installing the headers of cudnn-frontend $version in $target"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
pip=(python3 -m pip)
if ! "${pip[@]}" --version >/dev/null 2>&1; then
  bash scripts/install_packages.sh peers
  python3 -m venv "$work/python"
  pip=("$work/python/bin/pip")
fi
# Headers do not depend on the Python that the wheel is for. Where nothing answers, once is enough.
"${pip[@]}" download --retries 0 --timeout 15 --quiet --disable-pip-version-check --no-deps --only-binary :all: --python-version 3.12 \
  --platform manylinux_2_27_x86_64 --dest "$work" "nvidia-cudnn-frontend==$version"
python3 -m zipfile -e "$work"/*.whl "$work/wheel"
rm -rf "$target" "$target.partial"
mkdir -p "$target.partial"
mv "$work/wheel/include" "$target.partial/"
mv "$target.partial" "$target"
