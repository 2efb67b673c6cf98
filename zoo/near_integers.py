"""Near-integers: what remains of counts once a logarithm is undone and a cell's scale is taken out.

A cell's values are divided by its smallest nonzero one, times a small multiple where the smallest
count of the cell is not 1. The share of ratios that lie near an integer tells how well a candidate
(a base, or no logarithm at all) fits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from zoo.block import Block, Int64

Float64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]
Base = Literal["e", "2", "10"]

BASES: tuple[Base, ...] = ("e", "2", "10")
LINEAR = "linear"  # no logarithm to undo: CPM and the like

SHARE = 0.9  # of near-integers, from which a base is taken as found
TOLERANCE = 0.03  # distance from an integer; by chance 6% of values are as near
RATIOS = (1.05, 10.5)  # outside, a ratio says nothing: trivially near, or blurred by rounding
MULTIPLES = (1, 2, 3, 4, 5)  # what the smallest count of a cell may be
LARGEST = 1e12  # no count is larger once the logarithm is undone


@dataclass(frozen=True)
class NonzeroCells:
    """Nonzero values of those cells that have any: cell i begins at `starts[i]`."""

    values: Float64
    starts: Int64
    is_half: bool

    @classmethod
    def of(cls, block: Block, limit: int | None = None) -> NonzeroCells:
        """All cells of a block, or `limit` of them spread evenly."""
        indptr, data = block.indptr, block.data
        if limit is not None and block.cells > limit:
            rows = np.linspace(0, block.cells - 1, limit).astype(np.int64)
            data = np.concatenate([data[indptr[row] : indptr[row + 1]] for row in rows])
            lengths = np.diff(indptr)[rows]
            indptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        before = np.concatenate([np.zeros(1, np.int64), np.cumsum(data != 0)])[indptr]
        starts = before[:-1][np.diff(before) > 0]
        is_half = data.dtype == np.float16
        return cls(data[data != 0].astype(np.float64), starts, is_half)

    @property
    def lengths(self) -> Int64:
        """Int64 [cells]: number of values of each cell."""
        return np.diff(np.append(self.starts, len(self.values)))


@dataclass(frozen=True)
class Fit:
    """Cells after undoing one candidate: ratios to the smallest value, times a small multiple."""

    ratios: Float64
    deviations: Float64  # from the nearest integer
    is_informative: Bool
    is_integer: Bool  # per cell

    @classmethod
    def of(cls, cells: NonzeroCells, candidate: str) -> Fit:
        """Undo a candidate and divide each cell by its smallest value."""
        linear = undo(cells.values, candidate)
        lengths = cells.lengths
        smallest = np.minimum.reduceat(linear, cells.starts)
        # A subnormal smallest value would make infinite ratios; they are informative of nothing.
        with np.errstate(over="ignore"):
            ratios = linear / np.repeat(smallest, lengths)
        low, high = RATIOS
        high = high / 2 if cells.is_half else high
        multiple = np.ones(len(cells.starts))
        is_integer = np.zeros(len(cells.starts), dtype=bool)
        for candidate_multiple in MULTIPLES:
            scaled = ratios * candidate_multiple
            near = np.abs(scaled - np.rint(scaled)) <= TOLERANCE
            useful = (ratios >= low) & (scaled <= high)
            known = np.add.reduceat(useful.astype(np.int64), cells.starts)
            hits = np.add.reduceat((useful & near).astype(np.int64), cells.starts)
            # A larger multiple must show itself in several values: it fits more by chance.
            enough = known >= (0 if candidate_multiple == 1 else 5)
            newly = ~is_integer & enough & (hits >= SHARE * known)
            multiple[newly], is_integer = candidate_multiple, is_integer | newly
            if is_integer.all():
                break
        ratios = ratios * np.repeat(multiple, lengths)
        useful = (ratios >= low * np.repeat(multiple, lengths)) & (ratios <= high)
        with np.errstate(invalid="ignore"):
            deviations = np.abs(ratios - np.rint(ratios))
        if candidate != LINEAR:
            # Integers become integers whenever 2 or 10 is raised to them: no evidence of a log.
            useful &= np.trunc(cells.values) != cells.values
            # Values that no logarithm of a count can have speak against this one.
            is_capped = linear >= LARGEST
            useful |= is_capped
            deviations[is_capped] = 0.5
        return cls(ratios, deviations, useful, is_integer)


@dataclass
class Tally:
    """Near-integers and cell sums under one candidate, over blocks."""

    informative: int = 0
    near: int = 0
    distance: float = 0.0
    cells: int = 0
    smallest_sum: float = np.inf
    largest_sum: float = 0.0

    def add(self, cells: NonzeroCells, candidate: str) -> None:
        """Take cells into account."""
        if not len(cells.starts):
            return
        fit = Fit.of(cells, candidate)
        deviations = fit.deviations[fit.is_informative]
        self.informative += len(deviations)
        self.near += int((deviations <= TOLERANCE).sum())
        self.distance += float(deviations.sum())
        if candidate != LINEAR:  # linear sums are taken of all cells, integers or not
            self.add_sums(undo(cells.values, candidate), cells.starts)

    def add_sums(self, values: Float64, starts: Int64) -> None:
        """Take the sums of cells into account."""
        if len(starts):
            sums = np.add.reduceat(values, starts)
            self.cells += len(sums)
            self.smallest_sum = min(self.smallest_sum, float(sums.min()))
            self.largest_sum = max(self.largest_sum, float(sums.max()))

    @property
    def share(self) -> float:
        """Share of the informative values that are near an integer."""
        return self.near / self.informative if self.informative else 0.0

    @property
    def deviation(self) -> float:
        """Mean distance of the informative values from an integer."""
        return self.distance / self.informative if self.informative else 1.0


def undo(values: Float64, candidate: str) -> Float64:
    """Values before the logarithm; those too large for it are capped at `LARGEST`."""
    if candidate == LINEAR:
        return values
    scale = {"e": 1.0, "2": np.log(2.0), "10": np.log(10.0)}[candidate]
    undone: Float64 = np.expm1(np.minimum(values * scale, np.log1p(LARGEST) + 1e-9))
    return undone
