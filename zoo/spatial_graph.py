"""The spatial graph of one slide: which spots a spot hears, and how loudly.

SpaGCN (Hu et al. 2021, doi:10.1038/s41592-021-01255-8): spots at distance d weigh exp(-d²/2l²). The
length l is found so that the neighbours of a spot contribute `neighbourhood_share` on average (the
paper's p: the mean over spots of the summed weights, less the 1 that a spot gives itself). All
pairs count for l; edges below `minimum_weight` are cut afterwards, and nothing is normalised again.
A spot's own edge, with weight 1, is part of the list, as the published adjacency has 1 on its
diagonal.

No n × n matrix is made: spots are hashed into a grid whose cells are as wide as the reach of the
kernel, and only pairs in neighbouring cells are looked at, a block at a time.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zoo.card import GraphRecipe
from zoo.errors import CoincidentSpots, CoordinatesNotFinite, NotCoordinates, SingleSpot

Floats = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

DIMENSIONS = (2, 3)

# Pairs whose weight is below this add nothing to the share that float64 and a mean would show.
_NEGLIGIBLE = 1e-10
_REACH = float(np.sqrt(-2 * np.log(_NEGLIGIBLE)))
# Pairs that are looked at together: about 100 MB with everything that is computed of them.
_PAIRS_AT_ONCE = 1 << 20
_HALVINGS = 48


@dataclass(frozen=True)
class SpatialGraph:
    """Weighted edges between the spots of a slide, a spot's own included.

    Attributes
    ----------
    edge_index
        int64 [2, edges]: row 0 the receiver, row 1 the source; sorted by receiver, then source.
    edge_weight
        float32 [edges]: exp(-d²/2l²), from the recipe's `minimum_weight` to 1.
    length
        l, in the unit of the coordinates.

    """

    edge_index: Int64
    edge_weight: npt.NDArray[np.float32]
    length: float

    @property
    def edges(self) -> int:
        """Number of edges, each direction and a spot's own counted."""
        return int(self.edge_index.shape[1])


def spatial_graph(
    coordinates: npt.NDArray[np.floating | np.integer],
    recipe: GraphRecipe,
    *,
    path: str = "<array>",
    slide: str | None = None,
) -> SpatialGraph:
    """Build the graph of one slide.

    Parameters
    ----------
    coordinates
        [spots, 2 or 3], in any unit that is the same along each axis.
    recipe
        The card's: share of the neighbours, smallest weight.
    path, slide
        Names for messages.

    Raises
    ------
    NotCoordinates, CoordinatesNotFinite, SingleSpot, CoincidentSpots

    """
    ensure_spread(coordinates, recipe, path=path, slide=slide)
    xy = coordinates.astype(np.float64)
    length = kernel_length(xy, recipe.neighbourhood_share)
    radius = length * float(np.sqrt(-2 * np.log(recipe.minimum_weight)))
    receivers, sources, weights = [], [], []
    for receiver, source, squared in _pairs(xy, radius * (1 + 1e-9)):
        weight = np.exp(squared / (-2 * length**2))
        kept = weight >= recipe.minimum_weight
        receivers.append(receiver[kept])
        sources.append(source[kept])
        weights.append(weight[kept].astype(np.float32))
    edge_index = np.stack([np.concatenate(receivers), np.concatenate(sources)])
    order = np.lexsort((edge_index[1], edge_index[0]))
    return SpatialGraph(edge_index[:, order], np.concatenate(weights)[order], length)


def ensure_spread(
    coordinates: npt.NDArray[np.floating | np.integer],
    recipe: GraphRecipe,
    *,
    path: str = "<array>",
    slide: str | None = None,
) -> None:
    """Make sure that the spots of a slide have a graph.

    Raises
    ------
    NotCoordinates
        If they have neither 2 nor 3 coordinates.
    CoordinatesNotFinite
        If one is NaN or infinite.
    SingleSpot
        If there is only one spot.
    CoincidentSpots
        If so many spots lie at one place that their share is above the recipe's at any length.

    """
    spots = len(coordinates)
    if coordinates.ndim != 2 or coordinates.shape[1] not in DIMENSIONS:
        raise NotCoordinates(path, coordinates.shape)
    finite = np.isfinite(coordinates).all(axis=1)
    if not finite.all():
        raise CoordinatesNotFinite(path, int(finite.argmin()))
    if spots < 2:
        raise SingleSpot(path, slide)
    _, together = np.unique(coordinates, axis=0, return_counts=True)
    # At length 0 a spot still hears those at its own place.
    if float((together * (together - 1.0)).sum()) / spots >= recipe.neighbourhood_share:
        raise CoincidentSpots(path, slide, spots, len(together))


def kernel_length(xy: Floats, share: float) -> float:
    """The length l at which the neighbours of a spot contribute `share` on average.

    Parameters
    ----------
    xy
        float64 [spots, dims]; fewer than `share` others lie at a spot's own place on average.
    share
        Between 0 and 1: two spots far apart from all others reach any such value.

    """
    target = share * len(xy)
    low = float(np.ptp(xy, axis=0).max()) / (4 * len(xy))
    while _exceeds(xy, low, target):
        low /= 2
    while not _exceeds(xy, 2 * low, target):
        low *= 2
    high = 2 * low
    # One list of squared distances serves every step between the two.
    near = [squared[receiver != source] for receiver, source, squared in _pairs(xy, high * _REACH)]
    distances = np.concatenate(near)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if np.exp(distances / (-2 * middle**2)).sum() > target:
            high = middle
        else:
            low = middle
    return (low + high) / 2


def _exceeds(xy: Floats, length: float, target: float) -> bool:
    """Whether the weights of all pairs sum to more; known before all pairs have been seen."""
    total = 0.0
    for receiver, source, squared in _pairs(xy, length * _REACH):
        total += float(np.exp(squared[receiver != source] / (-2 * length**2)).sum())
        if total > target:
            return True
    return False


# -- pairs of near spots -------------------------------------------------------------------------


def _pairs(xy: Floats, radius: float) -> Iterator[tuple[Int64, Int64, Floats]]:
    """Receiver, source and squared distance of all pairs within a radius, own ones included."""
    keys, strides = _cell_keys(xy, radius)
    order = np.argsort(keys, kind="stable")
    sorted_keys, places = keys[order], xy[order]
    # Cells that follow each other along the last axis lie together: one stretch covers three.
    for offset in itertools.product((-1, 0, 1), repeat=xy.shape[1] - 1):
        middle = sorted_keys + int(np.dot(offset, strides[:-1]))
        first = np.searchsorted(sorted_keys, middle - 1, "left")
        counts = np.searchsorted(sorted_keys, middle + 1, "right") - first
        for start, stop in _stretches(counts):
            row = np.repeat(np.arange(start, stop), counts[start:stop])
            ends = np.cumsum(counts[start:stop])
            begins = first[start:stop] - (ends - counts[start:stop])
            column = np.arange(len(row)) + np.repeat(begins, counts[start:stop])
            squared = np.square(places[row] - places[column]).sum(axis=1)
            near = squared <= radius**2
            yield order[row[near]], order[column[near]], squared[near]


def _cell_keys(xy: Floats, radius: float) -> tuple[Int64, Int64]:
    """int64 [spots]: one number for each spot's cell of the grid; and the strides of the axes.

    Empty stretches of the grid are folded to one cell, so a spot far away costs nothing.
    """
    folded = []
    for axis in np.floor((xy - xy.min(axis=0)) / radius).T:
        filled, place = np.unique(axis, return_inverse=True)
        steps = np.minimum(np.diff(filled, prepend=filled[0]), 2).astype(np.int64)
        folded.append(np.cumsum(steps)[place])
    sizes = np.array([axis.max() + 3 for axis in folded], dtype=np.int64)
    strides = np.append(np.cumprod(sizes[:0:-1])[::-1], 1).astype(np.int64)
    return (np.stack(folded, axis=1) * strides).sum(axis=1), strides


def _stretches(counts: Int64) -> Iterator[tuple[int, int]]:
    """Consecutive spots with at most `_PAIRS_AT_ONCE` pairs, or one spot with more."""
    ends, start = np.cumsum(counts), 0
    while start < len(counts):
        done = ends[start - 1] if start else 0
        stop = int(np.searchsorted(ends, done + _PAIRS_AT_ONCE, "right"))
        yield start, max(stop, start + 1)
        start = max(stop, start + 1)
