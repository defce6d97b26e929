#!/usr/bin/env bash
# bench.sh BIN [SECONDS [PAGE]]: run the benchmarks on one core, each row so long, and write docs/performance.md.
set -euo pipefail
bin=$1
seconds=${2:-0.1}
page=${3:-docs/performance.md}
out=build/bench
mkdir -p "$out"
# One thread everywhere: the peers' libraries read these before they start.
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
pin=()
command -v taskset > /dev/null && pin=(taskset -c 0)
# Three short passes rather than a long one: what else the machine does hits them differently.
for pass in 1 2 3; do
  "${pin[@]}" "$bin/python" -m pytest bench --quiet --benchmark-json="$out/pass$pass.json" \
    --benchmark-min-rounds=30 --benchmark-max-time="$seconds" --benchmark-warmup=on \
    --benchmark-disable-gc --benchmark-columns=median,iqr,rounds --benchmark-sort=fullname
done
"${pin[@]}" "$bin/python" bench/import_time.py --json "$out/import_time.json"
"$bin/python" bench/report.py "$out/import_time.json" "$page" "$out"/pass?.json
