"""What an interval is drawn over: single cells, or whole donors, patients or slides.

Cells of one donor resemble each other, so where a data set has three groups or more, groups are
drawn again with all their cells (cluster bootstrap), and the interval says how far another set of
donors may differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zoo.block import Int64
from zoo.evaluation.metrics import Measure, share

FEWEST_GROUPS = 3
RESAMPLES = 500
_FEWER_RESAMPLES = 100
_MANY_CELLS = 20_000

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Sampling:
    """Cells to resample.

    Attributes
    ----------
    cells
        How many there are.
    groups
        int64 arrays of the rows of each group; empty if single cells are drawn.

    """

    cells: int
    groups: tuple[Int64, ...] = ()

    @classmethod
    def of(cls, cells: int, group: Int64 | None = None) -> Sampling:
        """By groups where there are at least three; a cell without one is a group of its own."""
        if group is None:
            return cls(cells)
        named = [np.flatnonzero(group == code) for code in np.unique(group[group >= 0])]
        if len(named) < FEWEST_GROUPS:
            return cls(cells)
        return cls(cells, (*named, *np.flatnonzero(group < 0)[:, None]))

    def measure(
        self, value: Callable[[Int64], float], seed: int = 0, *, times: int = RESAMPLES
    ) -> Measure:
        """A number of some rows, with the percentile interval over resampled rows.

        Resamples for which the number does not exist (NaN: no cell of a class was drawn) are left
        out.
        """
        if not self.cells:
            return Measure(float("nan"), 0, None, None)
        if self.cells > _MANY_CELLS:
            times = min(times, _FEWER_RESAMPLES)
        values = np.array([value(rows) for rows in self.draws(times, seed)])
        low, high = np.nanpercentile(values, [2.5, 97.5])
        measured = value(np.arange(self.cells))
        return Measure(measured, self.cells, (float(low), float(high)), "bootstrap")

    def share(self, flags: Flags, seed: int = 0) -> Measure:
        """How many of the cells: Wilson's interval, or the bootstrap over groups."""
        if not self.groups:
            return share(flags)
        return self.measure(lambda rows: float(flags[rows].mean()), seed)

    def mean(self, values: npt.NDArray[np.floating], seed: int = 0) -> Measure:
        """The mean of a value of each cell."""
        return self.measure(lambda rows: float(values[rows].mean()), seed)

    def draws(self, times: int, seed: int = 0) -> Iterator[Int64]:
        """Rows of so many resamples."""
        rng = np.random.default_rng(seed)
        for _ in range(times):
            yield self._draw(rng)

    def _draw(self, rng: np.random.Generator) -> Int64:
        if not self.groups:
            return rng.integers(0, self.cells, self.cells)
        drawn = rng.integers(0, len(self.groups), len(self.groups))
        return np.concatenate([self.groups[number] for number in drawn])
