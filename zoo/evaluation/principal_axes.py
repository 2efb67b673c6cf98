"""Principal axes of values, the plainest embedding there is: what an encoder has to beat.

Randomized subspace iteration (Halko, Martinsson & Tropp 2011, doi:10.1137/090771806, algorithm 4.4,
orthogonalised once an iteration), since a full decomposition of thousands of cells by thousands of
genes takes a minute.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from zoo.block import Float32

COMPONENTS = 32
_OVERSAMPLED = 10
_ITERATIONS = 5


@dataclass(frozen=True)
class PrincipalAxes:
    """The first principal axes of some cells.

    Attributes
    ----------
    mean
        float32 [genes].
    axes
        float32 [genes, components], orthonormal.

    """

    mean: Float32
    axes: Float32

    @classmethod
    def of(cls, values: Float32, components: int = COMPONENTS, seed: int = 0) -> Self:
        """The axes of values [cells, genes]; fewer than asked for where there is no more."""
        mean = np.asarray(values.mean(axis=0), dtype=np.float32)
        centred = values - mean
        components = min(components, *values.shape)
        width = min(components + _OVERSAMPLED, *values.shape)
        start = np.random.default_rng(seed).normal(size=(values.shape[1], width))
        basis: Any = np.linalg.qr(centred @ start.astype(np.float32))[0]  # (cells, width)
        for _ in range(_ITERATIONS):
            basis = np.linalg.qr(centred @ (centred.T @ basis))[0]
        right: Any = np.linalg.svd(basis.T @ centred, full_matrices=False)[2]
        return cls(mean, np.ascontiguousarray(right[:components].T))

    def project(self, values: Float32) -> Float32:
        """float32 [cells, components] of values [cells, genes]."""
        return np.asarray((values - self.mean) @ self.axes, dtype=np.float32)
