#!/usr/bin/env bash
# install_packages.sh PURPOSE...: installs what scripts/packages.txt lists for these purposes (run,
# mpi, corpus, test, peers, fuzz) and is missing; does nothing where nothing is. As root or through sudo; waits up to
# ten minutes for others that use apt. The purpose cuda is headers that no package has:
# install_cudnn_frontend.sh.
set -euo pipefail
list=$(dirname "$0")/packages.txt
lock_wait_s=600

purposes=()
for purpose in "${@:?usage: install_packages.sh PURPOSE...}"; do
  if [ "$purpose" = cuda ]; then
    bash "$(dirname "$0")/install_cudnn_frontend.sh"
  else
    purposes+=("$purpose")
  fi
done
[ ${#purposes[@]} -eq 0 ] && exit 0

if ! command -v dpkg-query >/dev/null; then
  echo "no dpkg on this machine: taking for granted that what $list names is there" >&2
  exit 0
fi
missing=()
for purpose in "${purposes[@]}"; do
  # shellcheck disable=SC2013  # words, not lines
  for package in $(sed -n "s/^$purpose: //p" "$list"); do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q ' ok installed' ||
      missing+=("$package")
  done
done
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "missing packages: ${missing[*]}" >&2
    echo "this user can't install them; as root: apt-get install ${missing[*]}" >&2
    exit 3
  fi
  as_root=(sudo)
fi

proxies=()  # which sudo takes away
for name in http_proxy https_proxy no_proxy; do
  if [ -n "${!name:-}" ]; then proxies+=("$name=${!name}"); fi
done

log=$(mktemp)
trap 'rm -f "$log"' EXIT

# apt's own option waits for dpkg's lock only; for its two other locks it gives up at once.
run_apt() {
  local deadline=$((SECONDS + lock_wait_s)) told=
  until "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive LC_ALL=C "${proxies[@]}" \
    apt-get -o DPkg::Lock::Timeout="$lock_wait_s" -y "$@" >"$log" 2>&1; do
    if ! grep -q 'Could not get lock' "$log" || [ "$SECONDS" -ge "$deadline" ]; then
      tail -n 20 "$log" >&2
      if [ "$1" = update ]; then  # of one broken list: the others may have all that is needed
        echo "apt-get update does not succeed; its end is above. Trying to install all the same" >&2
        return
      fi
      echo "could not install ${missing[*]}: the end of what apt-get $1 says is above" >&2
      echo "as root: apt-get install ${missing[*]}" >&2
      exit 3
    fi
    [ -n "$told" ] || echo "waiting for another program that uses apt"
    told=yes
    sleep 3
  done
}

echo "installing ${missing[*]}"
run_apt update
run_apt install --no-install-recommends "${missing[@]}"
