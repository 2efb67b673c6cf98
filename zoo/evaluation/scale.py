"""The scale on which methods are compared: log-normalized counts, or transformed intensities.

Counts are brought to counts per 10,000 of the model's genes and their logarithm is taken,
log(1 + x); intensities are read as arcsinh(x / 5), as is usual for CyTOF.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from zoo.block import Float32
from zoo.card import ValueKind

COFACTOR = np.float32(5)
TARGET = np.float32(1e4)
_WHOLE_SHARE = 0.9


@dataclass(frozen=True)
class Scale:
    """One of the two scales."""

    kind: Literal["counts", "intensity"]

    @classmethod
    def of_kinds(cls, value_kinds: Sequence[ValueKind]) -> Scale:
        """The scale for a model that takes these values."""
        return cls("intensity" if tuple(value_kinds) == ("intensity",) else "counts")

    @classmethod
    def of_values(cls, counts: Float32) -> Scale:
        """The scale by the values themselves: whole numbers are counts.

        Counts that were restored from log-normalized values may keep a few fractions.
        """
        values = counts[: min(len(counts), 1000)]
        values = values[values != 0]
        whole = bool(len(values) == 0 or (np.rint(values) == values).mean() >= _WHOLE_SHARE)
        negative = bool(len(values) and values.min() < 0)
        return cls("counts" if whole and not negative else "intensity")

    @property
    def name(self) -> str:
        """For conditions of rows: `log1p CP10K` or `arcsinh(x/5)`."""
        return "log1p CP10K" if self.kind == "counts" else "arcsinh(x/5)"

    def linear(self, counts: Float32, totals: Float32 | None = None) -> Float32:
        """Counts per 10,000, [cells, genes]; intensities as they are.

        Parameters
        ----------
        totals
            float32 [cells, 1]: what to divide by; by default each cell's own sum.

        """
        if self.kind == "intensity":
            return counts
        by = counts.sum(axis=1, keepdims=True) if totals is None else totals
        return np.asarray(counts / np.maximum(by, 1) * TARGET, dtype=np.float32)

    def transformed(self, linear: Float32) -> Float32:
        """The logarithm, or for intensities arcsinh."""
        if self.kind == "intensity":
            return np.asarray(np.arcsinh(linear / COFACTOR), dtype=np.float32)
        return np.asarray(np.log1p(np.maximum(linear, 0)), dtype=np.float32)

    def inverse(self, values: Float32) -> Float32:
        """Back from `transformed`."""
        if self.kind == "intensity":
            return np.asarray(np.sinh(values) * COFACTOR, dtype=np.float32)
        return np.asarray(np.expm1(values), dtype=np.float32)

    def values(self, counts: Float32) -> Float32:
        """What baselines read, [cells, genes]."""
        return self.transformed(self.linear(counts))
