"""The card's limits, found on calibration cells: how few counts and genes still give an answer.

Rule, fixed beforehand: the smallest step of the grid from which on accuracy is at least
`acceptable_accuracy`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from converters.celltype.confidence import CellTypeModel
from converters.celltype.export import outputs_of
from converters.celltype.recipe import Recipe
from converters.celltype.training_cells import TrainingCells
from converters.vocabulary import Float32
from zoo.card import Thresholds
from zoo.evaluation import metrics
from zoo.evaluation.measurements import Measurements, Setting
from zoo.evaluation.robustness import COVERAGES, PANEL_COUNTS, gene_list, thinned_to

_LISTS = 5


@dataclass(frozen=True)
class Limits:
    """Thresholds of a cell's verdict, and the smallest gene coverage that a file needs."""

    thresholds: Thresholds
    gene_coverage: float


def find_limits(
    model: CellTypeModel, cells: TrainingCells, recipe: Recipe, into: Measurements
) -> Limits:
    """Measure accuracy on calibration cells along both grids and apply the rule."""
    counts, truth = cells.counts("calibration"), cells.labels("calibration")
    weight = model.confidence.gene_weight.numpy()
    rng = np.random.default_rng(into.seed)
    everything = np.ones(len(weight), dtype=np.float32)

    def accuracy_with(shown: Float32, present: Float32) -> float:
        return float((outputs_of(model, shown, present)["label"] == truth).mean())

    by_counts = [accuracy_with(thinned_to(counts, n, rng), everything) for n in PANEL_COUNTS]
    by_coverage = []
    for coverage in COVERAGES:
        lists = [gene_list(weight, coverage, rng) for _ in range(_LISTS)]
        by_coverage.append(float(np.mean([accuracy_with(counts, present) for present in lists])))
    keep(into, "counts", "counts a cell in the model's genes", PANEL_COUNTS, by_counts, truth)
    keep(into, "coverage", "weighted gene coverage, mean of 5 lists", COVERAGES, by_coverage, truth)
    return Limits(
        thresholds=Thresholds(
            min_counts=first_acceptable(PANEL_COUNTS, by_counts, recipe.acceptable_accuracy)
        ),
        gene_coverage=first_acceptable(COVERAGES, by_coverage, recipe.acceptable_accuracy),
    )


def first_acceptable(grid: Sequence[float], accuracy: Sequence[float], acceptable: float) -> float:
    """The smallest step from which on every accuracy is acceptable; the last one if none is."""
    for step in range(len(grid)):
        if min(accuracy[step:]) >= acceptable:
            return float(grid[step])
    return float(grid[-1])


def keep(
    into: Measurements,
    key: str,
    what: str,
    grid: Sequence[float],
    accuracy: Sequence[float],
    truth: np.ndarray[tuple[int], np.dtype[np.int64]],
) -> None:
    """Keep the accuracies from which a limit was found."""
    for step, value in zip(grid, accuracy, strict=True):
        setting = Setting(
            key=f"pbmc3k-calibration-{key}-{step:g}",
            dataset="pbmc3k",
            role="validation",
            condition=f"calibration cells with {step:g} {what}",
            donor_independent=False,
            study_independent=False,
            gene_coverage=step if key == "coverage" else 1.0,
        )
        into.add(setting, "accuracy", metrics.Measure(value, len(truth), None, None))
