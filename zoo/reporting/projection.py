"""A picture of the embedding: its first two principal components.

The covariance is summed up block by block, so memory depends on the number of dimensions, not of
cells; only the cells that are drawn keep their coordinates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

# The covariance of this many dimensions takes 32 MB and a few seconds.
DIMENSIONS_LIMIT = 2048
_BLOCK_VALUES = 2**21

Floats = npt.NDArray[np.float64]


class Rows(Protocol):
    """An array [cells, dims] that is read by rows."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Cells and dims."""

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """[stop - start, dims]: consecutive rows."""


@dataclass(frozen=True)
class Projection:
    """Cells in two dimensions.

    Attributes
    ----------
    rows
        int64 [points]: the cells that are drawn.
    xy
        float64 [points, 2]: their coordinates.
    explained
        Share of the variance that each axis holds.

    """

    rows: npt.NDArray[np.int64]
    xy: Floats
    explained: tuple[float, float]


def sampled_rows(cells: int, limit: int) -> npt.NDArray[np.int64]:
    """int64 [at most limit], ascending: all cells, or the same random ones every time."""
    if cells <= limit:
        return np.arange(cells, dtype=np.int64)
    return np.sort(np.random.default_rng(0).choice(cells, limit, replace=False)).astype(np.int64)


def project(embedding: Rows, rows: npt.NDArray[np.int64]) -> Projection | None:
    """Project some rows on the first two principal components of all rows.

    Rows with NaN or infinity are left out. None where there is nothing to draw: no two cells, no
    dimension, more than `DIMENSIONS_LIMIT`, or values whose squares are no numbers.
    """
    if len(embedding.shape) != 2 or not 0 < embedding.shape[1] <= DIMENSIONS_LIMIT:
        return None
    mean, covariance, count = _moments(embedding)
    if count < 2 or not np.isfinite(covariance).all():
        return None
    # Ascending eigenvalues: the last two columns are the axes.
    variances, vectors = np.linalg.eigh(covariance)
    axes = vectors[:, ::-1][:, :2]
    # An axis has no direction of its own: let its largest loading be positive.
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    kept, points = [], []
    for start, block in _blocks(embedding):
        first, last = np.searchsorted(rows, (start, start + len(block)))
        chosen = rows[first:last]
        values = block[chosen - start]
        finite = np.isfinite(values).all(axis=1)
        kept.append(chosen[finite])
        points.append((values[finite] - mean) @ axes)
    xy = np.concatenate(points)
    if xy.shape[1] == 1:  # an embedding of one dimension lies on a line
        xy = np.column_stack([xy[:, 0], np.zeros(len(xy))])
    shares = np.maximum(variances[::-1], 0) / max(float(variances.sum()), 1e-300)
    return Projection(
        np.concatenate(kept), xy, (float(shares[0]), float(shares[1]) if len(shares) > 1 else 0.0)
    )


def _moments(embedding: Rows) -> tuple[Floats, Floats, int]:
    """Mean [dims] and covariance [dims, dims] of the finite rows, and their number."""
    dims = embedding.shape[1]
    # Sums are taken around a row near the data: the difference of two large sums loses digits.
    shift: Floats | None = None
    total, products, count = np.zeros(dims), np.zeros((dims, dims)), 0
    for _, block in _blocks(embedding):
        finite = block[np.isfinite(block).all(axis=1)]
        if not len(finite):
            continue
        shift = finite[0] if shift is None else shift
        with np.errstate(over="ignore", invalid="ignore"):
            centred = finite - shift
            total += centred.sum(axis=0)
            products += centred.T @ centred
        count += len(finite)
    if count == 0 or shift is None:
        return total, products, 0
    offset = total / count
    with np.errstate(over="ignore", invalid="ignore"):
        return shift + offset, products / count - np.outer(offset, offset), count


def _blocks(embedding: Rows) -> Iterator[tuple[int, Floats]]:
    cells, dims = embedding.shape
    size = max(1, _BLOCK_VALUES // dims)
    for start in range(0, cells, size):
        yield start, embedding.read(start, min(start + size, cells)).astype(np.float64)
