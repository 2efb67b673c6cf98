"""An annotated copy: the whole input file, with the results added under the model's name."""

from __future__ import annotations

from pathlib import Path

import h5py

from zoo.slides import COORDINATES
from zoo.writing import elements
from zoo.writing.extended_copy import extended_copy
from zoo.writing.result_reader import ResultReader


def key_prefix(name: str) -> str:
    """The prefix of a model's columns: `pbmc-celltype` → `pbmc_celltype`."""
    return name.replace("-", "_")


def write_annotated_copy(
    source: Path, result: ResultReader, path: Path, *, prefix: str, overwrite: bool
) -> list[Path]:
    """Copy an `.h5ad` file object by object and add the results.

    Columns become `obs['<prefix>_<column>']`, arrays `obsm['X_<prefix>']` (the embedding) and
    `obsm['<prefix>_<output>']`, the provenance `uns['cellzoo'][prefix]`. What an earlier run of the
    same model added is replaced; nothing else of the input changes.

    Raises
    ------
    UnsupportedEncoding
        If obs is in the form that anndata wrote before version 0.7.
    OutputExists, OutputUnwritable, DiskFull

    """
    with extended_copy(source, path, overwrite=overwrite) as copy:
        _add_columns(copy["obs"], result, prefix)
        _add_arrays(copy, result, prefix)
        _add_provenance(copy, result, prefix)
    return [path]


def _add_columns(obs: h5py.Group, result: ResultReader, prefix: str) -> None:
    order = elements.columns_of(obs)
    for column in result.columns:
        name = f"{prefix}_{column}"
        if name in obs:
            del obs[name]
        result.h5["obs"].copy(column, obs, name=name)
        if name not in order:
            order.append(name)
    elements.finish_frame(obs, order, index=elements.index_of(obs))


def _add_arrays(copy: h5py.File, result: ResultReader, prefix: str) -> None:
    obsm = elements.mapping_at(copy, "obsm")
    for key in result.h5["obsm"]:
        if key == COORDINATES:  # they are the input's own
            continue
        name = f"X_{prefix}" if key == "X_embedding" else f"{prefix}_{key}"
        if name in obsm:
            del obsm[name]
        result.h5["obsm"].copy(key, obsm, name=name)


def _add_provenance(copy: h5py.File, result: ResultReader, prefix: str) -> None:
    cellzoo = elements.mapping_at(elements.mapping_at(copy, "uns"), "cellzoo")
    if prefix in cellzoo:
        del cellzoo[prefix]
    elements.write_mapping(cellzoo, prefix, result.provenance)
