#!/usr/bin/env bash
# reference.sh CELLS.h5ad ANSWERS.h5 [GENES.tsv]: what actinn-jax itself says of these cells.
# It gets an environment of its own, since it needs jax, which nothing else here does.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
environment=${CELLZOO_REFERENCE:-${TMPDIR:-/tmp}/cellzoo-reference}/actinn-jax
if [ ! -x "$environment/bin/python" ]; then
  python3 -m venv "$environment"
  "$environment/bin/python" -m pip install --quiet "actinn-jax==0.3.1"
fi
"$environment/bin/python" "$here/reference.py" "$@"
