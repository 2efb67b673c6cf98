"""A card's limits, found on calibration cells: how few counts and genes still give an answer.

Rule, fixed beforehand: the smallest step of the grid from which on accuracy is at least
`acceptable_accuracy`, or 90% of the accuracy with all genes and counts where that is less.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from converters.celltype.labelled_counts import LabelledCounts
from converters.training_cells import Float32
from zoo.card import Thresholds
from zoo.evaluation.robustness import COVERAGES, PANEL_COUNTS, gene_list, thinned_to

_LISTS = 5
_OF_THE_BEST = 0.9

Answer = Callable[[Float32, Float32], Mapping[str, npt.NDArray[Any]]]
"""Counts [cells, genes] and the presence of genes [genes] to the graph's outputs."""


class LimitSettings(Protocol):
    """What the rule needs to know."""

    @property
    def acceptable_accuracy(self) -> float:
        """Accuracy that the rule asks for."""


@dataclass(frozen=True)
class Limits:
    """Thresholds of a cell's verdict, and the smallest gene coverage that a file needs.

    Attributes
    ----------
    by_counts, by_coverage
        Accuracy on calibration cells at each step of the grids, from which the limits follow.

    """

    thresholds: Thresholds
    gene_coverage: float
    by_counts: Mapping[float, float]
    by_coverage: Mapping[float, float]

    def facts(self) -> dict[str, float]:
        """The accuracies by name, e.g. `accuracy at 50 counts`."""
        counts = {f"accuracy at {step:g} counts": value for step, value in self.by_counts.items()}
        coverage = {
            f"accuracy at coverage {step:g}": value for step, value in self.by_coverage.items()
        }
        return {**counts, **coverage}


def find_limits(
    answer: Answer, weight: Float32, held_out: LabelledCounts, settings: LimitSettings, seed: int
) -> Limits:
    """Measure accuracy on calibration cells along both grids and apply the rule.

    Parameters
    ----------
    answer
        The model.
    weight
        float32 [genes]: share of the model that each gene carries.
    held_out
        Calibration cells.
    settings
        With the acceptable accuracy.
    seed
        Of what is taken from the cells.

    """
    counts, truth = held_out.counts.numpy(), held_out.labels.numpy()
    rng = np.random.default_rng(seed)
    everything = np.ones(len(weight), dtype=np.float32)

    def accuracy_with(shown: Float32, present: Float32) -> float:
        return float((answer(shown, present)["label"] == truth).mean())

    by_counts = [accuracy_with(thinned_to(counts, n, rng), everything) for n in PANEL_COUNTS]
    by_coverage = []
    for coverage in COVERAGES:
        lists = [gene_list(weight, coverage, rng) for _ in range(_LISTS)]
        by_coverage.append(float(np.mean([accuracy_with(counts, present) for present in lists])))
    best = accuracy_with(counts, everything)
    acceptable = min(settings.acceptable_accuracy, _OF_THE_BEST * best)
    return Limits(
        thresholds=Thresholds(min_counts=first_acceptable(PANEL_COUNTS, by_counts, acceptable)),
        gene_coverage=first_acceptable(COVERAGES, by_coverage, acceptable),
        by_counts=dict(zip(PANEL_COUNTS, by_counts, strict=True)),
        by_coverage=dict(zip(COVERAGES, by_coverage, strict=True)),
    )


def first_acceptable(grid: Sequence[float], accuracy: Sequence[float], acceptable: float) -> float:
    """The smallest step from which on every accuracy is acceptable; the last one if none is."""
    for step in range(len(grid)):
        if min(accuracy[step:]) >= acceptable:
            return float(grid[step])
    return float(grid[-1])
