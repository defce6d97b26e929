#!/usr/bin/env bash
# bench.sh BIN: run the benchmarks on one core and write docs/performance.md.
set -euo pipefail
bin=$1
out=build/bench
mkdir -p "$out"
# One thread everywhere: the peers' libraries read these before they start.
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
pin=()
command -v taskset > /dev/null && pin=(taskset -c 0)
# Three short passes rather than a long one: what else the machine does hits them differently.
for pass in 1 2 3; do
  "${pin[@]}" "$bin/python" -m pytest bench --quiet --benchmark-json="$out/pass$pass.json" \
    --benchmark-min-rounds=30 --benchmark-max-time=0.2 --benchmark-warmup=on \
    --benchmark-disable-gc --benchmark-columns=median,iqr,rounds --benchmark-sort=fullname
done
"${pin[@]}" "$bin/python" bench/import_time.py --json "$out/import_time.json"
"$bin/python" bench/report.py "$out/import_time.json" docs/performance.md "$out"/pass?.json
