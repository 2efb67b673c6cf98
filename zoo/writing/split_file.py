"""A copy of a file with a split: every object of the input as it is, obs['split'] and the log."""

from __future__ import annotations

import datetime
from pathlib import Path

import h5py
import numpy as np

from zoo.splitting import PARTS, Split
from zoo.version import __version__
from zoo.writing import elements
from zoo.writing.extended_copy import extended_copy

COLUMN = "split"


def write_split(source: Path, split: Split, path: Path, *, overwrite: bool = False) -> None:
    """Copy an `.h5ad` file object by object and add a split; one that is there is replaced.

    obs['split'] becomes a categorical of train, validation and test, and uns['cellzoo']['split']
    says how it was made.

    Raises
    ------
    UnsupportedEncoding
        If obs is in the form that anndata wrote before version 0.7.
    OutputExists, OutputUnwritable, DiskFull

    """
    with extended_copy(source, path, overwrite=overwrite) as copy:
        _set_column(copy["obs"], split)
        log = elements.mapping_at(elements.mapping_at(copy, "uns"), "cellzoo")
        if COLUMN in log:
            del log[COLUMN]
        elements.write_mapping(log, COLUMN, _log(split, str(source)))


def _set_column(obs: h5py.Group, split: Split) -> None:
    # Below `__categories` anndata 0.7 kept the categories of a column.
    for old in (COLUMN, f"__categories/{COLUMN}"):
        if old in obs:
            del obs[old]
    elements.write_categorical(obs, COLUMN, split.codes.astype(np.int8), PARTS)
    order = elements.columns_of(obs)
    if COLUMN not in order:
        order.append(COLUMN)
    elements.finish_frame(obs, order, index=elements.index_of(obs))


def _log(split: Split, source: str) -> dict[str, object]:
    return {
        **split.as_json(),
        "input": source,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "zoo_version": __version__,
    }
