#!/usr/bin/env bash
# arm64_package.sh BUILD_DIR: cross-build the Python extension; leaves BUILD_DIR/package and BUILD_DIR/python.
set -euo pipefail
mkdir -p "$1"
build=$(cd "$1" && pwd)
tools/arm64_root.sh "$build/python"
headers=$(echo "$build"/python/sysroot/usr/include/python3.*)
abi=cpython-3${headers##*python3.}
host=$build/python/pip/bin/python
package=$build/package

cmake -S . -B "$build/extension" -DSKBUILD=ON -DBIFAST_WERROR=ON \
  -DCMAKE_TOOLCHAIN_FILE="$PWD/toolchains/aarch64-linux-gnu.cmake" \
  -Dpybind11_DIR="$("$host" -m pybind11 --cmakedir)" -DPYBIND11_FINDPYTHON=ON \
  -DPython_EXECUTABLE="$host" -DPython_INCLUDE_DIR="$headers" \
  -DPYTHON_MODULE_EXTENSION=".$abi-aarch64-linux-gnu.so" \
  -DCMAKE_CXX_FLAGS="-idirafter $build/python/sysroot/usr/include" > "$build/configure.log"
cmake --build "$build/extension" --parallel "$(nproc)"
rm -rf "$package" && mkdir -p "$package" && cp -r python/bifast "$package/"
cmake --install "$build/extension" --prefix "$package"

