#!/usr/bin/env bash
# arm64_root.sh DIR: an AArch64 Python with its packages in DIR, unpacked from Debian's packages and wheels.
#
# Needs no chroot and no foreign architecture in the system's own apt. Leaves DIR/python, a program that
# runs the interpreter under qemu with DIR/site and $ARM64_PYTHONPATH on its path.
set -euo pipefail
mkdir -p "$1"
dir=$(cd "$1" && pwd)
root=$dir/sysroot
state=$dir/apt
[ ! -e "$dir/complete" ] || exit 0

mkdir -p "$root" "$state/lists/partial" "$state/cache/archives/partial"
: > "$state/status"
apt=(apt-get -q -y
  -o APT::Architecture=arm64 -o APT::Architectures::=arm64 -o APT::Sandbox::User=root
  -o APT::Install-Recommends=false -o Dir::State="$state" -o Dir::State::lists="$state/lists"
  -o Dir::State::status="$state/status" -o Dir::Cache="$state/cache")
"${apt[@]}" update
"${apt[@]}" --download-only install python3 libpython3-dev libstdc++6 libgomp1
for package in "$state"/cache/archives/*.deb; do
  dpkg-deb --fsys-tarfile "$package" | tar -x -C "$root"
done

version=$(basename "$(readlink "$root/usr/bin/python3")" | sed 's/^python//')
python3 -m venv "$dir/pip"
"$dir/pip/bin/pip" install --quiet --target "$dir/site" --only-binary=:all: \
  --platform manylinux2014_aarch64 --platform manylinux_2_28_aarch64 \
  --implementation cp --python-version "$version" numpy pytest hypothesis
"$dir/pip/bin/pip" install --quiet pybind11

# cortex-a76: on qemu's default CPU NumPy takes its SVE path and warns of overflows that are not there.
# -0: sys.executable is this program, so that tests can start a Python of their own.
cat > "$dir/python" <<END
#!/bin/sh
QEMU_CPU=\${QEMU_CPU:-cortex-a76} PYTHONHOME=$root/usr PYTHONPATH=$dir/site:\$ARM64_PYTHONPATH \\
  exec qemu-aarch64 -L $root -0 $dir/python $root/usr/bin/python$version "\$@"
END
chmod +x "$dir/python"
touch "$dir/complete"
