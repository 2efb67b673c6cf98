"""Nearest neighbours by looking at all pairs, a block of points at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_POINTS_AT_ONCE = 1024


def nearest(
    points: npt.NDArray[np.floating], k: int, allowed: npt.NDArray[np.int64] | None = None
) -> npt.NDArray[np.int64]:
    """int64 [points, k]: the nearest other points, nearest first, by Euclidean distance.

    Parameters
    ----------
    points
        [points, dims]; their number squared is looked at, a block at a time.
    k
        At most the number of points that any point may choose from.
    allowed
        int64 [points]: a group for each point, which then chooses among other groups alone.

    """
    values = points.astype(np.float32)
    square = np.square(values).sum(axis=1)
    found = np.empty((len(values), k), dtype=np.int64)
    for start in range(0, len(values), _POINTS_AT_ONCE):
        rows = np.arange(start, min(start + _POINTS_AT_ONCE, len(values)))
        distance = square - 2 * values[rows] @ values.T  # (rows, points), less a constant a row
        if allowed is None:
            distance[np.arange(len(rows)), rows] = np.inf
        else:
            distance[allowed[rows][:, None] == allowed[None, :]] = np.inf
        near = np.argpartition(distance, k - 1, axis=1)[:, :k]
        order = np.argsort(np.take_along_axis(distance, near, axis=1), axis=1, kind="stable")
        found[rows] = np.take_along_axis(near, order, axis=1)
    return found
