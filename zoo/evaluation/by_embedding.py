"""Measured by an embedding: do cells of a label lie together, and do cells of batches mix?

Mixing alone can be had by destroying biology, so it is told beside label transfer.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from zoo.block import Int64
from zoo.clustering import kmeans
from zoo.evaluation import metrics
from zoo.evaluation.asked import Asked
from zoo.evaluation.neighbours import nearest
from zoo.evaluation.principal_axes import PrincipalAxes

NEIGHBOURS = 15
MOST_CELLS = 5_000
_FEWEST_CELLS = 30
_RESTARTS, _FEWER_RESTARTS = 10, 3

Points = npt.NDArray[np.floating]


def measure_embedding(asked: Asked) -> None:
    """The embedding and 32 principal components, both on the same cells.

    Rows: `ari_kmeans` (k = number of labels), `knn_label_accuracy` (15 neighbours, leave one out);
    with two groups or more `label_transfer` (15 neighbours of other groups vote) and
    `batch_mixing` (share of a cell's 15 neighbours from other groups, over what chance gives). The
    baseline is `pca32` with the axes of the training cells, or `pca32_refit` with those of the very
    cells where no training cells are at hand. Slides have an `ari_kmeans` of their own.
    """
    if "embedding" not in asked.outputs:
        return
    asked = asked.sample(MOST_CELLS)
    if len(asked.cells) < _FEWEST_CELLS:
        return
    components, method = _components(asked)
    for points, name in ((asked.outputs["embedding"], "model"), (components, method)):
        _measure_points(asked, points, name)
    if not asked.brief:
        for part in asked.by_slide():
            _measure_kmeans(part, part.outputs["embedding"], "model")


def measure_clusters(asked: Asked) -> None:
    """The graph's own clusters: `ari_cluster` where labels are known, and how many `clusters`."""
    if "cluster" not in asked.outputs:
        return
    cluster = asked.outputs["cluster"].astype(np.int64)
    found = len(np.unique(cluster))
    asked.add("clusters", metrics.Measure(float(found), len(cluster), None, None))
    if not asked.known.any():
        return
    known = asked.where(asked.known)
    _add_ari(known, cluster[asked.known], "ari_cluster", "model")


def _components(asked: Asked) -> tuple[Points, str]:
    values = asked.scale.values(asked.cells.placed.counts)
    if asked.baselines is not None:
        return asked.baselines.axes.project(values), "pca32"
    return PrincipalAxes.of(values, seed=asked.seed).project(values), "pca32_refit"


def _measure_points(asked: Asked, points: Points, method: str) -> None:
    known, label, group = asked.known, asked.cells.label, asked.cells.group
    if known.sum() >= _FEWEST_CELLS and label is not None:
        labelled = asked.where(known)
        _measure_kmeans(labelled, points[known], method)
        neighbours = nearest(points[known], _k(len(points[known])))
        right = _votes(neighbours, label[known]) == label[known]
        sampling = labelled.sampling
        asked.add("knn_label_accuracy", sampling.share(right, asked.seed), method)
    if group is None or asked.brief:
        return
    grouped = group >= 0
    if len(np.unique(group[grouped])) > 1:
        _measure_transfer(asked, points, method)
        _measure_mixing(asked.where(grouped), points[grouped], method)


def _measure_kmeans(asked: Asked, points: Points, method: str) -> None:
    known = asked.known
    assert asked.cells.label is not None, "labelled cells have labels"
    k = len(np.unique(asked.cells.label[known]))
    if k < 2 or known.sum() < _FEWEST_CELLS:
        return
    restarts = _FEWER_RESTARTS if asked.brief else _RESTARTS
    groups = kmeans(points[known], k, seed=asked.seed, restarts=restarts).labels
    _add_ari(asked.where(known), groups.astype(np.int64), "ari_kmeans", method)


def _add_ari(asked: Asked, groups: Int64, metric: str, method: str) -> None:
    """The index with an interval over cells or donors; the grouping itself is not made again."""
    truth = asked.cells.label
    assert truth is not None, "labelled cells have labels"
    index = metrics.adjusted_rand_index
    measured = asked.sampling.measure(lambda rows: index(truth[rows], groups[rows]), asked.seed)
    asked.add(metric, measured, method)


def _measure_transfer(asked: Asked, points: Points, method: str) -> None:
    """Labels from other groups, for cells whose label occurs in another group."""
    label, group = asked.cells.label, asked.cells.group
    if label is None or group is None:
        return
    keep = (label >= 0) & (group >= 0)
    for name in np.unique(label[keep]):
        if len(np.unique(group[keep & (label == name)])) < 2:
            keep &= label != name
    if keep.sum() < _FEWEST_CELLS or len(np.unique(group[keep])) < 2:
        return
    sizes = np.bincount(group[keep])
    neighbours = nearest(points[keep], _k(int(keep.sum() - sizes.max()) + 1), group[keep])
    right = _votes(neighbours, label[keep]) == label[keep]
    asked.add("label_transfer", asked.where(keep).sampling.share(right, asked.seed), method)


def _measure_mixing(asked: Asked, points: Points, method: str) -> None:
    group = asked.cells.group
    assert group is not None, "grouped cells have groups"
    neighbours = nearest(points, _k(len(points)))
    other = (group[neighbours] != group[:, None]).mean(axis=1)
    sizes = np.bincount(group)
    chance = (len(group) - sizes[group]) / (len(group) - 1)
    expected = float(chance.mean())
    measured = asked.sampling.measure(
        lambda rows: float(other[rows].mean() / max(chance[rows].mean(), 1e-12)), asked.seed
    )
    if expected > 0:
        asked.add("batch_mixing", measured, method)


def _k(points: int) -> int:
    return max(1, min(NEIGHBOURS, points - 1))


def _votes(neighbours: Int64, label: Int64) -> Int64:
    """int64 [points]: the label that most neighbours have; the nearer ones decide a tie."""
    k = neighbours.shape[1]
    votes = np.zeros((len(neighbours), int(label.max()) + 1))
    rows = np.arange(len(neighbours))
    for rank in range(k):
        np.add.at(votes, (rows, label[neighbours[:, rank]]), 1 + (k - rank) * 1e-3)
    return np.asarray(votes.argmax(axis=1), dtype=np.int64)
