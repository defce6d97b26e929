#!/usr/bin/env bash
# bench_arm64.sh BIN [--out FILE]: count instructions on AArch64 under qemu, write docs/measured/arm64.json.
#
# PROGRAM=bench/resnet18_arm64.py writes docs/measured/resnet18-arm64.json.
#
# Needs Debian's g++-aarch64-linux-gnu, libc6-dev-arm64-cross and qemu-user; llvm-19 for the cycles.
set -euo pipefail
bin=$1
build=build/arm64
tools/arm64_package.sh "$build"
if [ ! -e "$build/peers/complete" ]; then
  "$build/python/pip/bin/pip" install --quiet --target "$build/peers" --only-binary=:all: \
    --platform manylinux2014_aarch64 --platform manylinux_2_27_aarch64 \
    --platform manylinux_2_28_aarch64 --implementation cp \
    --python-version "$("$build/python/python" -c 'import platform; print(platform.python_version())')" \
    onnxruntime
  touch "$build/peers/complete"
fi
# onnxruntime looks at /proc and /sys, where qemu shows it the x86 host, and dies of it: show it one Cortex-A76.
root=$build/python/sysroot
mkdir -p "$root/proc" "$root/sys/devices/system/cpu"
printf '%s\t: %s\n' processor 0 BogoMIPS 50.00 \
  Features 'fp asimd aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp' \
  'CPU implementer' 0x41 'CPU architecture' 8 'CPU variant' 0x1 'CPU part' 0xd0b 'CPU revision' 0 \
  > "$root/proc/cpuinfo"
for list in present possible online; do echo 0 > "$root/sys/devices/system/cpu/$list"; done
"$bin/python" "${PROGRAM:-bench/arm64.py}" "$build" "${@:2}"
