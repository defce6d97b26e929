#!/usr/bin/env bash
# pip_install.sh BIN REQUIREMENT...: install into the environment whose programs are in BIN.
set -euo pipefail
bin=$1
shift
# A CMake installed as a wheel serves the build.
export PATH="$PWD/$bin:$PATH"
exec "$bin/python" -m pip install --quiet --disable-pip-version-check \
  --constraint tools/constraints.txt "$@"
