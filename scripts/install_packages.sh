#!/usr/bin/env bash
# install_packages.sh run|test: installs what scripts/packages.txt lists and is missing; does nothing
# when nothing is. As root or through sudo; waits for other users of apt.
set -euo pipefail
purpose=${1:?usage: install_packages.sh run|test}
list=$(dirname "$0")/packages.txt

wanted=$(sed -n 's/^run: //p' "$list")
if [ "$purpose" = test ]; then wanted+=" $(sed -n 's/^test: //p' "$list")"; fi
missing=()
for package in $wanted; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "missing packages: ${missing[*]}; install them as root: apt-get install ${missing[*]}" >&2
    exit 3
  fi
  as_root=(sudo)
fi
echo "installing: ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 -y "$@" >"$log" 2>&1; }
if ! { apt update && apt install --no-install-recommends "${missing[@]}"; }; then
  tail -n 20 "$log" >&2
  echo "could not install ${missing[*]}; the end of apt's own words is above" >&2
  exit 3
fi
