"""Measured by likelihood: how well a model of counts foretells molecules that it has not seen.

Each molecule of a cell is put into one of two halves by the toss of a coin. The model sees the
first half; `mean`, `dispersion` and `dropout_prob`, which then stand for a cell of half the depth,
say how likely the counts of the second half are, zeros included. Source: molecular
cross-validation, Batson, Royer & Webber 2019, doi:10.1101/786269.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from zoo.block import Float32
from zoo.evaluation.asked import Asked
from zoo.evaluation.neighbours import nearest
from zoo.evaluation.principal_axes import PrincipalAxes
from zoo.evaluation.robustness import thinned

MOST_CELLS = 2_000
NEIGHBOURS = 15
_NEEDED = {"mean", "dispersion"}
_PARAMETERS = ("mean", "dispersion", "dropout_prob")
_HALF = np.float32(0.5)
_DISPERSIONS = (1e-2, 1e4)
_lgamma = np.frompyfunc(math.lgamma, 1, 1)


def measure_likelihood(asked: Asked) -> None:
    """Row `log_likelihood`: mean over cells and genes of the unseen half, in nats.

    Baselines: negative binomials around the `gene_mean` of the training cells (of the very cells,
    `gene_mean_refit`, where no training cells are at hand), and around the mean of the 15 nearest
    cells and the gene mean (`knn_smoothing`); the dispersion of each gene is that by which its
    seen half varies.
    """
    if asked.brief or not set(asked.subject.output_names) >= _NEEDED or not len(asked.cells):
        return
    asked = asked.sample(MOST_CELLS)
    told = asked.setting.part("", "half of the molecules seen, the other half foretold")
    asked = replace(asked, setting=told)
    placed = asked.cells.placed
    whole = np.rint(placed.counts)
    seen = thinned(np.asarray(whole, np.float32), 0.5, np.random.default_rng(asked.seed))
    totals = placed.total_counts
    half = replace(placed, counts=seen, total_counts=None if totals is None else totals * _HALF)
    names = tuple(name for name in _PARAMETERS if name in asked.subject.output_names)
    of_model = asked.subject.ask(half, names)
    parameters = [of_model[name] for name in names]
    _add(asked, log_likelihood(whole - seen, *parameters), "model")
    for method, mean in _guesses(asked, seen):
        _add(asked, log_likelihood(whole - seen, mean, _dispersion(seen, mean)), method)


def _add(asked: Asked, found: Float32, method: str) -> None:
    """Keep the mean over genes that are there and over cells."""
    of_cells = found[:, asked.cells.placed.present > 0].mean(axis=1)
    asked.add("log_likelihood", asked.sampling.mean(of_cells, asked.seed), method)


def log_likelihood(
    counts: Float32, mean: Float32, dispersion: Float32, dropout_prob: Float32 | None = None
) -> Float32:
    """log NB, or with `dropout_prob` log ZINB, of whole counts; all are [cells, genes]."""
    mean = np.maximum(mean, 1e-8).astype(np.float64)
    theta = np.broadcast_to(dispersion, counts.shape).astype(np.float64)
    found = theta * -np.log1p(mean / theta)  # of a count of 0
    some = counts > 0
    x, m, t = counts[some].astype(np.float64), mean[some], theta[some]
    of_counts = _lgamma(x + t) - _lgamma(t) - _lgamma(x + 1)
    found[some] += np.asarray(of_counts, np.float64) + x * (np.log(m) - np.log(t + m))
    if dropout_prob is not None:
        p = np.clip(dropout_prob.astype(np.float64), 1e-12, 1 - 1e-12)
        found += np.log1p(-p)
        found = np.where(some, found, np.logaddexp(np.log(p), found))
    return np.asarray(found, dtype=np.float32)


def _guesses(asked: Asked, seen: Float32) -> Iterator[tuple[str, Float32]]:
    """The mean [cells, genes] of each baseline, at half the depth."""
    scale, trained = asked.scale, asked.baselines
    depth = seen.sum(axis=1, keepdims=True)
    linear = scale.linear(seen)
    gene_mean, name = linear.mean(axis=0), "gene_mean_refit"
    if trained is not None:
        gene_mean, name = trained.gene_mean * asked.cells.placed.present, "gene_mean"
    share = gene_mean / max(gene_mean.sum(), 1e-12)
    yield name, depth * share
    values = scale.transformed(linear)
    points = PrincipalAxes.of(values, seed=asked.seed).project(values)
    found = nearest(points, max(1, min(NEIGHBOURS, len(points) - 1)))
    # The gene mean weighs as one more neighbour: nothing is impossible.
    smoothed = np.broadcast_to(share * np.float32(1e4), linear.shape)
    for rank in range(found.shape[1]):
        smoothed = smoothed + linear[found[:, rank]]
    yield "knn_smoothing", depth * smoothed / np.maximum(smoothed.sum(axis=1, keepdims=True), 1e-12)


def _dispersion(counts: Float32, mean: Float32) -> Float32:
    """float32 [genes]: θ by moments, variance = mean + mean²/θ."""
    excess = (np.square(counts - mean) - mean).sum(axis=0)
    theta = np.square(mean).sum(axis=0) / np.maximum(excess, 1e-12)
    return np.asarray(np.clip(theta, *_DISPERSIONS), dtype=np.float32)
