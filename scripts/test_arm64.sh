#!/usr/bin/env bash
# test_arm64.sh FOLDER [CTEST_FLAG...]: builds HEAD for 64-bit Arm and runs its unit tests there, on an x86
# Debian machine: FOLDER becomes an arm64 Debian (3 GB), whose programs the kernel runs by QEMU. Its
# compiler alone is this machine's cross compiler: emulated, it would take hours. As root. On 2 cores a
# quarter of an hour the first time to build; all tests take hours (ZeroTest up to eight minutes
# each): -R chooses.
set -euo pipefail
root=$(realpath -m "${1:?usage: test_arm64.sh FOLDER [CTEST_FLAG...]}")
shift
cd "$(dirname "$0")/.."
cross=/opt/cross gcc=aarch64-linux-gnu-g++-12 formats=/proc/sys/fs/binfmt_misc

apt-get install -y -q debootstrap qemu-user-static g++-12-aarch64-linux-gnu ninja-build git >/dev/null
[ -e $formats/register ] || mount -t binfmt_misc binfmt_misc $formats
# F opens the emulator now, so that it is found from inside. The text is the head of an ELF file for Arm.
head='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
[ -e $formats/qemu-aarch64 ] || echo ":qemu-aarch64:M::$head:$mask:/usr/bin/qemu-aarch64-static:F" >$formats/register

inside() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive "$@"; }
if ! [ -e "$root/etc/debian_version" ]; then
  debootstrap --arch=arm64 --variant=minbase bookworm "$root"
fi
for folder in proc dev sys; do
  mountpoint -q "$root/$folder" || mount --bind "/$folder" "$root/$folder"
done
trap 'for folder in proc dev sys; do umount "$root/$folder"; done' EXIT
log=$root/root/packages.log
# shellcheck disable=SC2046  # words
{ inside apt-get update && inside apt-get install -y --no-install-recommends \
  $(sed -nE 's/^(run|test): //p' scripts/packages.txt); } >"$log" 2>&1 || { tail -n 20 "$log" >&2; exit 3; }

# The cross compiler and ninja with what they are linked with; of Arm's the headers and libraries of
# C++'s own, since those of the system are inside.
native="/usr/bin/ninja $($gcc -print-prog-name=cc1plus) $($gcc -print-prog-name=as) $($gcc -print-prog-name=ld)"
mkdir -p "$root$cross/bin" "$root$cross/lib" "$root$cross/aarch64-linux-gnu/include" "$root$cross/aarch64-linux-gnu/lib" \
  "$root/lib64" "$root/lib/x86_64-linux-gnu"
cp -a /usr/bin/aarch64-linux-gnu-* "$root$cross/bin"
cp -a /usr/lib/gcc-cross "$root$cross/lib"
cp -a /usr/aarch64-linux-gnu/bin "$root$cross/aarch64-linux-gnu"
cp -a /usr/aarch64-linux-gnu/include/c++ "$root$cross/aarch64-linux-gnu/include"
# shellcheck disable=SC2086  # words
ldd $native | awk '/=>/ { print $3 }' | sort -u | xargs cp -Lt "$root/lib/x86_64-linux-gnu"
cp -L --remove-destination /lib64/ld-linux-x86-64.so.2 "$root/lib64"
cp -L --remove-destination /usr/bin/ninja "$root/usr/bin"

checkout=/root/borealis
[ -d "$root$checkout/.git" ] || git clone -q --no-checkout . "$root$checkout"
git -C "$root$checkout" fetch -q "$PWD" HEAD
git -C "$root$checkout" checkout -q --force --detach FETCH_HEAD
inside bash -c "cd $checkout && cmake --preset ci -DCMAKE_CXX_COMPILER=$cross/bin/$gcc \
  -DCMAKE_C_COMPILER=$cross/bin/aarch64-linux-gnu-gcc-12 >/dev/null && ninja -C build/ci all"
# QEMU itself fails at a thread of 64 TiB, and does not tell when a process began.
inside OMP_WAIT_POLICY=passive ctest --test-dir $checkout/build/ci -L unit -j "$(nproc)" --timeout 1500 \
  -E 'SideTask.IsIdleWhereTheSystem|ProcessMark.OneThatNobody' "$@"
