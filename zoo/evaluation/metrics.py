"""Measures of predictions against the truth, each with a 95% interval.

Labels are int64 [cells]; probabilities float32 [cells, classes]; sets bool [cells, classes].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from zoo.confidence import wilson_interval

Int64 = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Array = npt.NDArray[Any]

_RESAMPLES = 500
_BINS = 15


@dataclass(frozen=True)
class Measure:
    """A number with its sample size and interval."""

    value: float
    n: int
    interval: tuple[float, float] | None
    interval_method: Literal["bootstrap", "wilson", "range over draws"] | None


def share(flags: Flags) -> Measure:
    """How many of the cells, with Wilson's interval."""
    n, k = len(flags), int(flags.sum())
    return Measure(k / max(n, 1), n, wilson_interval(k, n), "wilson")


def accuracy(truth: Int64, predicted: Int64) -> Measure:
    """Share of cells with the right label."""
    return share(truth == predicted)


def macro_f1(truth: Int64, predicted: Int64) -> float:
    """Mean F1 over the classes that occur in the truth."""
    scores = []
    for label in np.unique(truth):
        hits = int(((truth == label) & (predicted == label)).sum())
        named = int((truth == label).sum()) + int((predicted == label).sum())
        scores.append(2 * hits / named)
    return float(np.mean(scores))


def expected_calibration_error(truth: Int64, prob: Array) -> float:
    """Mean gap between the top probability and accuracy over 15 bins (Guo et al. 2017)."""
    top, right = prob.max(axis=1), prob.argmax(axis=1) == truth
    bins = np.minimum((top * _BINS).astype(int), _BINS - 1)
    gaps = [
        abs(top[bins == b].mean() - right[bins == b].mean()) * (bins == b).mean()
        for b in np.unique(bins)
    ]
    return float(np.sum(gaps))


def reliability(truth: Int64, prob: Array, bins: int = 10) -> Array:
    """Mean top probability, accuracy and number of cells of each occupied bin, [bins, 3]."""
    top, right = prob.max(axis=1), prob.argmax(axis=1) == truth
    which = np.minimum((top * bins).astype(int), bins - 1)
    return np.array(
        [
            (top[which == b].mean(), right[which == b].mean(), (which == b).sum())
            for b in np.unique(which)
        ]
    )


def covered(truth: Int64, in_set: Flags) -> Measure:
    """Share of cells whose conformal set holds the true label."""
    return share(in_set[np.arange(len(truth)), truth])


def detection_auroc(inside: Array, outside: Array) -> float:
    """Probability that a cell from outside scores higher than one from inside; ties count half."""
    ordered = np.sort(inside)
    below = np.searchsorted(ordered, outside, side="left")
    not_above = np.searchsorted(ordered, outside, side="right")
    return float((below + not_above).mean() / 2 / len(inside))


def balanced_accuracy(truth: Int64, predicted: Int64) -> float:
    """Mean recall over the classes that occur in the truth."""
    return float(np.mean([(predicted[truth == k] == k).mean() for k in np.unique(truth)]))


def average_precision(positive: Flags, score: Array) -> float:
    """Precision averaged over the recall gained at each distinct score; NaN without positives."""
    order = np.argsort(-score, kind="stable")
    hits = np.cumsum(positive[order])
    last = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)  # of equal scores
    if not hits[-1]:
        return float("nan")
    gained = np.diff(hits[last], prepend=0)
    return float((gained * hits[last] / (last + 1)).sum() / hits[-1])


def auroc(positive: Flags, score: Array) -> float:
    """Area under the ROC curve; NaN if only one kind is there."""
    if positive.all() or not positive.any():
        return float("nan")
    return detection_auroc(score[~positive], score[positive])


def adjusted_rand_index(a: Int64, b: Int64) -> float:
    """Agreement of two groupings, 0 by chance (Hubert & Arabie 1985, doi:10.1007/BF01908075)."""
    pairs = np.unique(np.stack([a, b]), axis=1, return_counts=True)[1]
    together = _pairs(pairs)
    in_a, in_b = (_pairs(np.unique(x, return_counts=True)[1]) for x in (a, b))
    expected = in_a * in_b / max(_pairs(np.array([len(a)])), 1)
    most = (in_a + in_b) / 2
    return 1.0 if most == expected else float((together - expected) / (most - expected))


def _pairs(sizes: Int64) -> float:
    return float((sizes * (sizes - 1.0) / 2).sum())


def bootstrapped(measure: Callable[..., float], *arrays: Array, seed: int = 0) -> Measure:
    """A measure of aligned arrays, with the percentile interval over resampled cells.

    Where cells come from several donors, `zoo.evaluation.sampling` draws whole donors.
    """
    n = len(arrays[0])
    rng = np.random.default_rng(seed)
    draws = [rng.integers(0, n, n) for _ in range(_RESAMPLES)]
    values = [measure(*(array[draw] for array in arrays)) for draw in draws]
    low, high = np.percentile(values, [2.5, 97.5])
    return Measure(measure(*arrays), n, (float(low), float(high)), "bootstrap")
