"""An annotated copy: the whole input file, with the results added under the model's name."""

from __future__ import annotations

from pathlib import Path

import h5py

from zoo.errors import UnsupportedEncoding
from zoo.slides import COORDINATES
from zoo.writing import elements
from zoo.writing.destination import destination
from zoo.writing.h5_output import h5_output
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
    with (
        destination(path, overwrite=overwrite) as staging,
        h5py.File(source, "r") as original,
        h5_output(staging) as copy,
    ):
        if not isinstance(original["obs"], h5py.Group):
            raise UnsupportedEncoding(
                str(source), "obs", "a table as anndata wrote it before 0.7 cannot be added to"
            )
        for name, value in original.attrs.items():
            copy.attrs[name] = value
        for name in original:
            original.copy(name, copy)
        _add_columns(copy["obs"], result, prefix)
        _add_arrays(copy, result, prefix)
        _add_provenance(copy, result, prefix)
    return [path]


def _add_columns(obs: h5py.Group, result: ResultReader, prefix: str) -> None:
    order = [str(name) for name in obs.attrs.get("column-order", [])]
    for column in result.columns:
        name = f"{prefix}_{column}"
        if name in obs:
            del obs[name]
        result.h5["obs"].copy(column, obs, name=name)
        if name not in order:
            order.append(name)
    elements.finish_frame(obs, order, index=_index_of(obs))


def _index_of(obs: h5py.Group) -> str:
    index = obs.attrs.get("_index", "_index")
    return index.decode() if isinstance(index, bytes) else str(index)


def _add_arrays(copy: h5py.File, result: ResultReader, prefix: str) -> None:
    obsm = _mapping(copy, "obsm")
    for key in result.h5["obsm"]:
        if key == COORDINATES:  # they are the input's own
            continue
        name = f"X_{prefix}" if key == "X_embedding" else f"{prefix}_{key}"
        if name in obsm:
            del obsm[name]
        result.h5["obsm"].copy(key, obsm, name=name)


def _add_provenance(copy: h5py.File, result: ResultReader, prefix: str) -> None:
    cellzoo = _mapping(_mapping(copy, "uns"), "cellzoo")
    if prefix in cellzoo:
        del cellzoo[prefix]
    elements.write_mapping(cellzoo, prefix, result.provenance)


def _mapping(parent: h5py.Group, name: str) -> h5py.Group:
    if name not in parent:
        elements.set_encoding(parent.create_group(name), "dict", "0.1.0")
    return parent[name]
