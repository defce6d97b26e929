#!/usr/bin/env bash
# make_venv.sh PYTHON VENV: make the environment, or say in one line which system packages are missing.
set -euo pipefail
python=$1 venv=$2

stop() {
  echo "bifast: $*" >&2
  exit 1
}

missing=()
if ! command -v "$python" > /dev/null; then
  missing+=(python3 python3-venv python3-dev)
else
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    stop "needs Python 3.10 or newer, got $("$python" --version); name another: make PYTHON=python3.12"
  "$python" -c 'import ensurepip, venv' 2> /dev/null || missing+=(python3-venv)
  [ -e "$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" ] ||
    missing+=(python3-dev)
fi
command -v "${CXX:-c++}" > /dev/null || missing+=(build-essential)
[ ${#missing[@]} -eq 0 ] || stop "missing system packages; run: apt-get install ${missing[*]}"

[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
# scikit-build-core finds CMake on the PATH or as a wheel; some platforms have no wheel.
command -v cmake > /dev/null ||
  "$venv/bin/python" -m pip install --quiet --only-binary=:all: cmake ninja ||
  stop "no CMake here and no wheel of it; run: apt-get install cmake"
