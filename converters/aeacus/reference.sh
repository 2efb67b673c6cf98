#!/usr/bin/env bash
# reference.sh CELLS.h5ad ANSWERS.h5: what aeacus itself says of these cells.
# It gets an environment of its own with the torch that it was compared under.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
environment=${CELLZOO_REFERENCE:-${TMPDIR:-/tmp}/cellzoo-reference}/aeacus
if [ ! -x "$environment/bin/python" ]; then
  python3 -m venv "$environment"
  "$environment/bin/python" -m pip install --quiet "torch==2.13.0"
  "$environment/bin/python" -m pip install --quiet "aeacus==0.6.0"
fi
"$environment/bin/python" "$here/reference.py" "$@"
