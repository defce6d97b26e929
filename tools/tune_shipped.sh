#!/bin/sh
# Gives the shipped models with several depths the margins of depth `auto`; run it whenever one of them is replaced.
#
#     BIFAST_DATA=DIR tools/tune_shipped.sh [PYTHON]
#
# Thresholds stay as they are. Tuned on the data's validation clips and on the speech and noise that are not for
# testing; the figures that are printed are of the testing part.
set -eu
cd "$(dirname "$0")/.."
plots=$(mktemp -d)
trap 'rm -rf "$plots"' EXIT
for name in bifsmn bifast-kws; do
  "${1:-python3}" -m bifast tune "$name" --positives "$BIFAST_DATA" --margins-only \
    --out "python/bifast/models/$name.bifast" --plot "$plots/$name.png"
done
