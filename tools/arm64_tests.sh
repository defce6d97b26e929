#!/usr/bin/env bash
# arm64_tests.sh BUILD_DIR PYTEST_ARGUMENT...: cross-build the Python extension, run its tests under qemu.
set -euo pipefail
tools/arm64_package.sh "$1"
build=$(cd "$1" && pwd)
shift
export ARM64_PYTHONPATH=$build/package:$PWD/tools
"$build/python/python" -m pytest -p no:cacheprovider -p pytest_sample "$@"
