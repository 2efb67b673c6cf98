#!/usr/bin/env bash
# converters/celltypist/reference.sh DATA OUT: train a model with CellTypist itself and keep its own
# answers, in a throw-away environment. Run by hand; compare with
#   python -m converters.celltypist.comparison OUT
# DATA is the folder with pbmc3k_10x.h5ad.
set -euo pipefail
data=$1 out=$2
mkdir -p "$out"
test -x "$out/env/bin/python" || {
  python3 -m venv "$out/env"
  "$out/env/bin/pip" install --quiet celltypist==1.7.1 'scikit-learn==1.7.2' h5py
}
"$out/env/bin/python" "$(dirname "$0")/reference.py" "$data" "$out"
