#!/usr/bin/env bash
# check_wheel.sh DIR: build the wheel into DIR; with one model it is small, and it works with NumPy alone.
set -euo pipefail
dir=$1
max_bytes=1500000
rm -rf "$dir"
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" wheel --quiet --no-deps --wheel-dir "$dir" .
wheel=$(echo "$dir"/bifast-*.whl)
bytes=$(python3 - "$wheel" <<'PYTHON'
import sys, zipfile
from pathlib import Path

spare = (
    entry.compress_size
    for entry in zipfile.ZipFile(sys.argv[1]).infolist()
    if entry.filename.endswith(".bifast") and not entry.filename.endswith("/bifsmn.bifast")
)
print(Path(sys.argv[1]).stat().st_size - sum(spare))
PYTHON
)
echo "$(basename "$wheel"): $bytes bytes with its default model alone (at most $max_bytes)"
[ "$bytes" -le "$max_bytes" ]

"$dir/venv/bin/pip" install --quiet "$wheel"
"$dir/venv/bin/pip" list
cd "$dir"  # away from the sources
venv/bin/bifast demo
