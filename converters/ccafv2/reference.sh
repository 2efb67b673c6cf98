#!/usr/bin/env bash
# reference.sh CELLS.h5ad ANSWERS.h5: what ccAFv2 itself says of these cells.
# It gets an environment of its own: its weights were saved by Keras 2, which TensorFlow 2.15 had last.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
environment=${CELLZOO_REFERENCE:-${TMPDIR:-/tmp}/cellzoo-reference}/ccafv2
if [ ! -x "$environment/bin/python" ]; then
  "${PYTHON310:-python3.10}" -m venv "$environment"
  "$environment/bin/python" -m pip install --quiet \
    "tensorflow-cpu==2.15.1" "numpy<1.24" "pandas<1.5" "anndata<0.10" "scanpy<1.10" \
    "scipy<1.12" "matplotlib<3.9" "scikit-learn<1.6"
  "$environment/bin/python" -m pip install --quiet --no-deps "ccAFv2==2.0.6"
fi
"$environment/bin/python" "$here/reference.py" "$@"
