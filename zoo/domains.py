"""Domains: groups of cells of a result that the model's embedding puts together.

A step of its own after the run, since it needs all cells of a slide at once: k-means on
`obsm['X_embedding']`. Each slide is divided by itself; domain 0 of one slide has nothing to do with
domain 0 of another.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.clustering import kmeans
from zoo.errors import (
    CorruptMatrix,
    DomainNumber,
    FileMissing,
    NoEmbedding,
    NoSlides,
    NotAResult,
    OutputIsInput,
    UnknownOutputFormat,
)
from zoo.reading.confined import opened
from zoo.reading.elements import Array, Group, is_number, whole
from zoo.reading.frames import frame_at
from zoo.writing.destination import ensure_writable
from zoo.writing.domain_copy import write_domain_copy

EMBEDDING = "obsm/X_embedding"


@dataclass(frozen=True)
class Domains:
    """Domains of the cells of a result.

    Attributes
    ----------
    domain
        int32 [cells]: numbers from 0, the largest domain of a slide first.
    provenance
        `k`, `seed`, `slide_key`, `inertia` (summed over slides) and `date`.

    """

    domain: npt.NDArray[np.int32]
    provenance: Mapping[str, Any]

    def sizes(self) -> dict[str, int]:
        """Cells by domain."""
        return {str(number): int(cells) for number, cells in enumerate(np.bincount(self.domain))}


def default_output(result: Path) -> Path:
    """`my.brain.domains.h5ad` in the current folder for `…/my.brain.h5ad`."""
    return Path(f"{result.name.removesuffix('.h5ad')}.domains.h5ad")


def add_domains(
    result: Path,
    output: Path,
    *,
    k: int,
    slide_key: str | None = None,
    seed: int = 0,
    overwrite: bool = False,
) -> Domains:
    """Find domains in a result file and write a copy of it that holds them.

    Parameters
    ----------
    k
        Domains of a slide.
    slide_key
        The column of the result's obs that names the slides; None takes all cells as one.

    Raises
    ------
    FileMissing, NotAResult, NotHdf5, TruncatedFile, UnsafeLink, CorruptMatrix, DeclaredSize
    NoEmbedding, NoSlides, DomainNumber
    OutputExists, OutputIsInput, OutputUnwritable, UnknownOutputFormat, DiskFull

    """
    if output.suffix != ".h5ad":
        raise UnknownOutputFormat(str(output), (".h5ad",))
    if not result.exists():
        raise FileMissing(str(result))
    if result.is_dir():
        raise NotAResult(str(result), "it is a folder")
    if output.exists() and os.path.samefile(result, output):
        raise OutputIsInput(str(output))
    ensure_writable(output, overwrite=overwrite)
    with opened(str(result)) as root:
        embedding, slides = _embedding(root), _slides(root, slide_key)
    found = find_domains(embedding, slides, k=k, seed=seed, slide_key=slide_key)
    write_domain_copy(result, output, found.domain, found.provenance, overwrite=overwrite)
    return found


def find_domains(
    embedding: npt.NDArray[np.floating],
    slides: npt.NDArray[np.str_] | None,
    *,
    k: int,
    seed: int = 0,
    slide_key: str | None = None,
) -> Domains:
    """Cluster an embedding [cells, dims], each slide by itself; slides is str [cells] or None.

    Raises
    ------
    DomainNumber
        If k is below 2 or above the number of cells of a slide.

    """
    domain = np.zeros(len(embedding), dtype=np.int32)
    inertia = 0.0
    for slide in [None] if slides is None else np.unique(slides).tolist():
        rows = np.arange(len(embedding)) if slide is None else np.flatnonzero(slides == slide)
        if not 2 <= k <= len(rows):
            raise DomainNumber(k, len(rows), slide)
        clustering = kmeans(embedding[rows], k, seed=seed)
        domain[rows] = clustering.labels
        inertia += clustering.inertia
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    facts = {"k": k, "seed": seed, "slide_key": slide_key, "inertia": inertia, "date": now}
    return Domains(domain, facts)


def _embedding(root: Group) -> npt.NDArray[Any]:
    """[cells, dims]: the embedding of a result, finite."""
    facts = root.get("uns/cellzoo")
    model = facts.get("model") if isinstance(facts, Group) else None
    if not isinstance(model, Array) or root.get("obs") is None:
        raise NotAResult(root.path, "it has no uns/cellzoo that names a model")
    element = root.get(EMBEDDING)
    if not isinstance(element, Array):
        raise NoEmbedding(root.path, str(model.scalar()))
    cells = frame_at(root, "obs").rows
    if len(element.shape) != 2 or element.shape[0] != cells or not is_number(element.dtype):
        detail = f"{element.dtype} {element.shape} for {cells:,} cells"
        raise CorruptMatrix(root.path, EMBEDDING, detail)
    values = whole(element)
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        raise CorruptMatrix(root.path, EMBEDDING, f"row {int(finite.argmin()):,} is not finite")
    return values


def _slides(root: Group, key: str | None) -> npt.NDArray[np.str_] | None:
    if key is None:
        return None
    obs = frame_at(root, "obs")
    if key not in obs.columns:
        raise NoSlides(root.path, key, list(obs.columns))
    return obs.column(key).astype(np.str_)
