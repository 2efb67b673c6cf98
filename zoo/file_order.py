"""File order: results that come by portions leave in the order of the file's cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Arrays = Mapping[str, npt.NDArray[Any]]
Tables = tuple[Arrays, ...]
Int64 = npt.NDArray[np.int64]


@dataclass
class FileOrder:
    """Results of cells that wait for those before them in the file.

    Results of consecutive cells pass through at once; those of slides that take turns in the file
    are held until the gaps are filled.
    """

    cells: int
    _next: int = 0
    _arrived: npt.NDArray[np.bool_] = field(init=False)
    _held: list[tuple[Int64, Tables]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._arrived = np.zeros(self.cells, dtype=bool)

    def put(self, rows: Int64, *tables: Arrays) -> Iterator[tuple[int, int, Tables]]:
        """Add results and draw what is complete.

        Parameters
        ----------
        rows
            int64 [cells], ascending: where the cells lie in the file.
        tables
            Results by name, each [cells, …]; every portion brings the same tables and names.

        Yields
        ------
        First row, the row after the last, and the tables between them.

        """
        self._arrived[rows] = True
        self._held.append((rows, tables))
        start, stop = self._next, self._first_gap()
        if stop == start:
            return
        self._next = stop
        yield start, stop, self._assembled(start, stop)
        self._held = [held for held in self._held if held[0][-1] >= stop]

    def _first_gap(self) -> int:
        """The first row without results, the number of cells if there is none."""
        waiting = self._arrived[self._next :]
        first = int(waiting.argmin()) if len(waiting) else 0
        return self.cells if waiting[first : first + 1].all() else self._next + first

    def _assembled(self, start: int, stop: int) -> Tables:
        rows, tables = self._held[0]
        if len(self._held) == 1 and len(rows) == stop - start:
            return tables
        whole = tuple(
            {
                name: np.empty((stop - start, *values.shape[1:]), dtype=values.dtype)
                for name, values in table.items()
            }
            for table in tables
        )
        for rows, tables in self._held:
            chosen = slice(*np.searchsorted(rows, (start, stop)))
            for target, table in zip(whole, tables, strict=True):
                for name, values in table.items():
                    target[name][rows[chosen] - start] = values[chosen]
        return whole
