#!/usr/bin/env bash
# check_wheel.sh DIR: build the wheel into DIR; it is small and works with NumPy alone.
set -euo pipefail
dir=$1
max_bytes=1500000
rm -rf "$dir"
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" wheel --quiet --no-deps --wheel-dir "$dir" .
wheel=$(echo "$dir"/bifast-*.whl)
bytes=$(stat -c %s "$wheel")
echo "$(basename "$wheel"): $bytes bytes (at most $max_bytes)"
[ "$bytes" -le "$max_bytes" ]

"$dir/venv/bin/pip" install --quiet "$wheel"
"$dir/venv/bin/pip" list
cd "$dir"  # away from the sources
venv/bin/bifast demo
