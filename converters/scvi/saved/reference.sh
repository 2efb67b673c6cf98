#!/usr/bin/env bash
# What scvi-tools itself says, to hold the importer against. By hand: it makes an environment of its
# own (torch, scvi-tools: about 2 GB), trains on real cells for some minutes, converts and compares.
#
#   converters/scvi/saved/reference.sh pancreas_baron_human_3donors.h5ad OUT [GENES HIDDEN LATENT EPOCHS]
set -euo pipefail
data=$1 out=$2
here=$(cd "$(dirname "$0")" && pwd)
environment=${SCVI_ENVIRONMENT:-$out/environment}
if [ ! -x "$environment/bin/python" ]; then
  python3 -m venv "$environment"
  "$environment/bin/pip" install --quiet torch==2.13.0
  "$environment/bin/pip" install --quiet scvi-tools==1.4.2
fi
"$environment/bin/python" "$here/reference.py" "$data" "$out" "${@:3}"
for name in scvi scanvi scvi-plain scvi-arches scanvi-arches; do
  batch=()
  case $name in *-arches) batch=(--set batch=human1) ;; esac
  zoo convert scvi "$out/$name" -o "$out/model-$name" --sample "$out/sample.h5ad" \
    --reference "$out/$name.h5" "${batch[@]}" --overwrite
done
