"""k-means in NumPy: Lloyd's iterations from k-means++ starts, the best of several.

Sources: Lloyd 1982 (doi:10.1109/TIT.1982.1056489); Arthur & Vassilvitskii 2007 (k-means++).
scikit-learn has all of this and more, but it would bring SciPy and 100 MB into the base install for
these few lines. Distances are made for a block of points at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

RESTARTS = 10
ITERATIONS = 300
_DISTANCES_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class Clustering:
    """Points in k groups, numbered from the largest to the smallest.

    Attributes
    ----------
    labels
        int32 [points]: the group of each point.
    centres
        float64 [k, dims].
    inertia
        Sum of squared distances of the points from their centres.

    """

    labels: npt.NDArray[np.int32]
    centres: Floats
    inertia: float


def kmeans(
    points: npt.NDArray[np.floating], k: int, *, seed: int = 0, restarts: int = RESTARTS
) -> Clustering:
    """Divide points into k groups; the same seed gives the same groups.

    Parameters
    ----------
    points
        [points, dims], finite; at least k of them.
    k
        At least 1. Fewer groups come out where fewer than k points differ.
    restarts
        Starts, of which the one with the smallest inertia is kept.

    """
    values = points.astype(np.float64)
    values -= values.mean(axis=0)
    random = np.random.default_rng(seed)
    runs = (_lloyd(values, _spread_start(values, k, random)) for _ in range(restarts))
    labels, centres, inertia = min(runs, key=lambda run: run[2])
    order = np.argsort(-np.bincount(labels, minlength=k), kind="stable")
    number = np.empty(k, dtype=np.int32)
    number[order] = np.arange(k, dtype=np.int32)
    return Clustering(number[labels], centres[order] + points.mean(axis=0), inertia)


def _spread_start(values: Floats, k: int, random: np.random.Generator) -> Floats:
    """float64 [k, dims]: points, each drawn in proportion to its squared distance from the rest."""
    chosen = [int(random.integers(len(values)))]
    nearest = np.square(values - values[chosen[0]]).sum(axis=1)
    while len(chosen) < k:
        total = nearest.sum()
        share = nearest / total if total > 0 else np.full(len(values), 1 / len(values))
        chosen.append(int(random.choice(len(values), p=share)))
        nearest = np.minimum(nearest, np.square(values - values[chosen[-1]]).sum(axis=1))
    return values[chosen]


def _lloyd(values: Floats, centres: Floats) -> tuple[npt.NDArray[np.int64], Floats, float]:
    """Labels, centres and inertia once no point changes its group."""
    labels, squared = _assigned(values, centres)
    for _ in range(ITERATIONS):
        centres = _centres(values, labels, squared, len(centres))
        previous = labels
        labels, squared = _assigned(values, centres)
        if np.array_equal(labels, previous):
            break
    return labels, centres, float(squared.sum())


def _assigned(values: Floats, centres: Floats) -> tuple[npt.NDArray[np.int64], Floats]:
    """The nearest centre of each point and the squared distance from it."""
    labels = np.empty(len(values), dtype=np.int64)
    squared = np.empty(len(values))
    sizes = np.square(centres).sum(axis=1)
    for part in _blocks(len(values), len(centres)):
        # |x|² is the same for every centre, so it does not decide which is nearest.
        relative = sizes - 2 * values[part] @ centres.T  # (points, k)
        labels[part] = relative.argmin(axis=1)
        squared[part] = np.square(values[part] - centres[labels[part]]).sum(axis=1)
    return labels, squared


def _centres(values: Floats, labels: npt.NDArray[np.int64], squared: Floats, k: int) -> Floats:
    """Means of the groups; an empty group begins again at the point that fits its own worst."""
    counts = np.bincount(labels, minlength=k)
    sums = np.stack([np.bincount(labels, axis, minlength=k) for axis in values.T], axis=1)
    centres: Floats = sums / np.maximum(counts, 1)[:, None]
    empty = np.flatnonzero(counts == 0)
    centres[empty] = values[np.argsort(-squared, kind="stable")[: len(empty)]]
    return centres


def _blocks(points: int, k: int) -> Iterator[slice]:
    size = max(1, _DISTANCES_AT_ONCE // k)
    for start in range(0, points, size):
        yield slice(start, min(start + size, points))
