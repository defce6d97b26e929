#!/usr/bin/env bash
# lint.sh BIN: style and types of the Python and C++ sources, with the programs in BIN.
set -euo pipefail
bin=$1
"$bin/ruff" check .
"$bin/ruff" format --check .
"$bin/mypy"
find csrc examples tests \( -name '*.cpp' -o -name '*.h' -o -name '*.c' \) -print0 |
  xargs -0 "$bin/clang-format" --dry-run -Werror
