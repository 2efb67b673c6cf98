#!/usr/bin/env bash
# reference.sh CELLS.h5ad ANSWERS.h5: what STCAT's own functions say of these cells.
# It gets an environment of its own: it pins scikit-learn 1.2.2, numpy 1.26 and 46 other packages.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
environment=${CELLZOO_REFERENCE:-${TMPDIR:-/tmp}/cellzoo-reference}/stcat
if [ ! -x "$environment/bin/python" ]; then
  "${PYTHON310:-python3.10}" -m venv "$environment"
  "$environment/bin/python" -m pip install --quiet "STCAT==1.1.2"
fi
"$environment/bin/python" "$here/reference.py" "$@"
