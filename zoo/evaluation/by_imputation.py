"""Measured by imputation: what a model says of entries that were hidden from it.

10% of the nonzero entries are set to 0 in the input, `total_counts` stays as it was, and the
model's `imputed` is compared with the truth at these entries alone. `imputed` holds expected
counts at the cell's own depth (counts, as if as many molecules were read as in the input), or for
intensities the intensity. Truth and all methods are brought to log(1 + counts per 10,000) with one
factor for each cell, from the counts that are left in the input; intensities to arcsinh(x / 5).

Source of the three measures: scGNN (Wang et al. 2021, doi:10.1038/s41467-021-22197-x) reports
median L1 distance and cosine similarity; the metric decides which method wins, so all are told.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from zoo.block import Float32, Int64
from zoo.evaluation.asked import Asked
from zoo.evaluation.cells import Placed
from zoo.evaluation.neighbours import nearest
from zoo.evaluation.principal_axes import PrincipalAxes
from zoo.evaluation.sampling import Sampling

HIDDEN = 0.1
NEIGHBOURS = 15
MOST_CELLS = 2_000
_RESAMPLES = 200  # each looks at every hidden entry


@dataclass(frozen=True)
class _Hidden:
    """Cells with hidden entries.

    Attributes
    ----------
    placed
        What the model sees.
    rows, columns
        int64 [entries]: which entries were hidden, by rows.
    truth
        float32 [entries]: what they held, in the input's units.
    totals
        float32 [cells, 1]: counts that are left.

    """

    placed: Placed
    rows: Int64
    columns: Int64
    truth: Float32
    totals: Float32

    @classmethod
    def of(cls, placed: Placed, seed: int) -> _Hidden:
        rows, columns = np.nonzero(placed.counts)
        chosen = np.random.default_rng(seed).random(len(rows)) < HIDDEN
        rows, columns = rows[chosen], columns[chosen]
        counts = placed.counts.copy()
        truth = counts[rows, columns]
        counts[rows, columns] = 0
        totals = counts.sum(axis=1, keepdims=True)
        return cls(replace(placed, counts=counts), rows, columns, truth, totals)


def measure_imputation(asked: Asked) -> None:
    """Rows `median_l1`, `mse` and `cosine` on hidden entries.

    Baselines: `gene_mean` of the training cells (`gene_mean_refit` of the masked cells themselves
    where no training cells are at hand), and `knn_smoothing`: the mean of the 15 nearest cells by
    32 principal components of the masked cells. Both average counts per 10,000; their siblings
    `gene_mean_log` and `knn_smoothing_log` average logarithms, as a network that is trained on
    logarithms does: the hidden entries are nonzero ones, so whatever guesses higher fares better,
    and like is to be compared with like.
    """
    if "imputed" not in asked.subject.output_names or not len(asked.cells):
        return
    if asked.subject.graph_recipe is None:
        asked = asked.sample(MOST_CELLS)
    asked = replace(asked, setting=asked.setting.part("", "10% of the nonzero entries hidden"))
    hidden = _Hidden.of(asked.cells.placed, asked.seed)
    if not len(hidden.rows):
        return
    scale = asked.scale
    linear = scale.linear(hidden.placed.counts)
    imputed = asked.subject.ask(hidden.placed, ("imputed",))["imputed"]
    found = imputed[hidden.rows, hidden.columns].astype(np.float32)
    factor = hidden.totals[hidden.rows, 0]
    truth = scale.transformed(_linear(asked, hidden.truth, factor))
    found = scale.transformed(_linear(asked, found, factor))
    _measure_entries(asked, hidden, truth, found, "model")
    values = scale.transformed(linear)
    for name, guess in _guesses(asked, hidden, linear, values):
        _measure_entries(asked, hidden, truth, guess, name)


def _guesses(
    asked: Asked, hidden: _Hidden, linear: Float32, values: Float32
) -> Iterator[tuple[str, Float32]]:
    """What each baseline says of the hidden entries, on the scale of the comparison."""
    scale, trained = asked.scale, asked.baselines
    means = (linear.mean(axis=0), values.mean(axis=0))
    if trained is not None:
        factor = _share_of_present(asked, trained.gene_mean)
        logs = scale.transformed(scale.inverse(trained.axes.mean) / factor)
        means = (trained.gene_mean / factor, logs)
    suffix = "" if trained is not None else "_refit"
    yield f"gene_mean{suffix}", scale.transformed(means[0])[hidden.columns]
    yield f"gene_mean_log{suffix}", means[1][hidden.columns]
    points = PrincipalAxes.of(values, seed=asked.seed).project(values)
    neighbours = nearest(points, max(1, min(NEIGHBOURS, len(points) - 1)))
    yield "knn_smoothing", scale.transformed(_smoothed(hidden, neighbours, linear))
    yield "knn_smoothing_log", _smoothed(hidden, neighbours, values)


def _share_of_present(asked: Asked, gene_mean: Float32) -> np.float32:
    """What of the training cells' counts lies in the genes that the data set has.

    Counts are scaled by the genes that are there, so means over all genes must be, too.
    """
    if asked.scale.kind == "intensity":
        return np.float32(1)
    share = (gene_mean * asked.cells.placed.present).sum() / max(gene_mean.sum(), 1e-12)
    return np.float32(max(share, 1e-6))


def _linear(asked: Asked, values: Float32, totals: Float32) -> Float32:
    """Values of single entries on the linear scale."""
    linear: Float32 = asked.scale.linear(values[:, None], totals[:, None])[:, 0]
    return linear


def _smoothed(hidden: _Hidden, neighbours: Int64, values: Float32) -> Float32:
    """float32 [entries]: mean over the nearest cells."""
    total = np.zeros(len(hidden.rows), dtype=np.float64)
    for rank in range(neighbours.shape[1]):
        total += values[neighbours[hidden.rows, rank], hidden.columns]
    return np.asarray(total / neighbours.shape[1], dtype=np.float32)


def _measure_entries(
    asked: Asked, hidden: _Hidden, truth: Float32, found: Float32, method: str
) -> None:
    """The three measures of one method, with intervals over cells or donors."""
    bounds = np.searchsorted(hidden.rows, np.arange(len(asked.cells) + 1))
    sampling = Sampling.of(len(asked.cells), asked.cells.group)
    distance = np.abs(truth - found)
    # Sums over the entries of each cell, of which the mean and the cosine are made.
    sums = np.stack(
        [
            np.bincount(hidden.rows, weights, minlength=len(asked.cells))
            for weights in (np.square(distance), truth * found, np.square(truth), np.square(found))
        ]
    )
    sizes = np.diff(bounds)

    def median(cells: Int64) -> float:
        lengths = sizes[cells]
        if not lengths.sum():
            return float("nan")
        starts = np.repeat(bounds[:-1][cells] - np.cumsum(lengths) + lengths, lengths)
        return float(np.median(distance[starts + np.arange(int(lengths.sum()))]))

    def mean_square(cells: Int64) -> float:
        return float(sums[0, cells].sum() / max(sizes[cells].sum(), 1))

    def cosine(cells: Int64) -> float:
        dot, a, b = sums[1:, cells].sum(axis=1)
        return float(dot / np.sqrt(max(a * b, 1e-30)))

    for name, value in (("median_l1", median), ("mse", mean_square), ("cosine", cosine)):
        measured = sampling.measure(value, asked.seed, times=_RESAMPLES)
        asked.add(name, measured, method)
