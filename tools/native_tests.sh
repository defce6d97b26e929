#!/usr/bin/env bash
# native_tests.sh BUILD_DIR [CMAKE_OPTION...]: build the C++ core with its tests and run them.
set -euo pipefail
build=$1
shift
export PATH="$PATH:$PWD/.venv/bin"  # CMake as a wheel, where the system has none
mkdir -p "$build"
cmake -S . -B "$build" -DBIFAST_TESTS=ON "$@" > "$build/configure.log" 2>&1 || {
  cat "$build/configure.log"
  exit 1
}
cmake --build "$build" --parallel "$(nproc)"
ctest --test-dir "$build" --output-on-failure
