"""A copy of a result file with domains added."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from zoo.writing import elements
from zoo.writing.extended_copy import extended_copy

COLUMN = "domain"


def write_domain_copy(
    source: Path,
    path: Path,
    domain: npt.NDArray[np.int32],
    provenance: Mapping[str, Any],
    *,
    overwrite: bool = False,
) -> None:
    """Copy a result file object by object and add `obs['domain']` and its provenance.

    Domains of an earlier step are replaced; nothing else changes.

    Parameters
    ----------
    source
        A result file, already looked at for links to other files.
    domain
        int32 [cells]: numbers from 0.
    provenance
        What `uns['cellzoo']['domains']` holds.

    Raises
    ------
    OutputExists, OutputUnwritable, DiskFull

    """
    with extended_copy(source, path, overwrite=overwrite) as copy:
        _add_column(copy["obs"], domain)
        facts = copy["uns/cellzoo"]
        if "domains" in facts:
            del facts["domains"]
        elements.write_mapping(facts, "domains", provenance)


def _add_column(obs: h5py.Group, domain: npt.NDArray[np.int32]) -> None:
    order = [str(name) for name in obs.attrs["column-order"]]
    if COLUMN in obs:
        del obs[COLUMN]
    categories = [str(number) for number in range(int(domain.max(initial=-1)) + 1)]
    elements.write_categorical(obs, COLUMN, domain, categories)
    names = order if COLUMN in order else [*order, COLUMN]
    index = obs.attrs["_index"]
    elements.finish_frame(obs, names, index.decode() if isinstance(index, bytes) else str(index))
