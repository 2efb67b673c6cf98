"""A column of obs as categories: names once, and a code for each cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.block import Int64


@dataclass(frozen=True)
class Categories:
    """Which value of a column each cell has.

    Attributes
    ----------
    path, column
        Where the values come from, for messages.
    names
        The values that occur, sorted.
    codes
        int64 [cells]: position in `names`, -1 where the cell has no value.

    """

    path: str
    column: str
    names: tuple[str, ...]
    codes: Int64

    @classmethod
    def of(cls, values: npt.NDArray[Any], *, path: str, column: str) -> Categories:
        """Categories of a column as a reader gives it; empty strings and NaN are no value."""
        is_float = values.dtype.kind == "f"
        missing = np.isnan(values) if is_float else values.astype(np.str_) == ""
        names, found = np.unique(values[~missing].astype(np.str_), return_inverse=True)
        codes = np.full(len(values), -1, dtype=np.int64)
        codes[~missing] = found
        return cls(path, column, tuple(names.tolist()), codes)

    @property
    def missing(self) -> int:
        """Number of cells without a value."""
        return int((self.codes < 0).sum())

    @property
    def cells(self) -> Int64:
        """int64 [names]: number of cells of each value."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.names))
