"""Types that the model was not taught: each class in turn is left out of everything but the end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from converters.celltype.answers import measured
from converters.celltype.export import outputs_of
from converters.celltype.fitting import fit_counts
from converters.celltype.recipe import LABELS, Recipe
from converters.celltype.training_cells import (
    TrainingCells,
    choose_genes,
)
from converters.vocabulary import Int64
from zoo.evaluation import metrics
from zoo.evaluation.measurements import Measurements, Setting


def without(cells: TrainingCells, label: int, recipe: Recipe) -> TrainingCells:
    """The cells with one type moved into a part of its own, `unseen`, and genes chosen anew."""
    part = np.where(cells.label == label, "unseen", cells.part)
    return replace(cells, part=part, genes=choose_genes(cells.cells, cells.label, part, recipe))


def detect_unseen(cells: TrainingCells, recipe: Recipe, into: Measurements) -> None:
    """Leave out each type: share of its cells that are found, against held-out known cells."""
    for label, name in enumerate(LABELS):
        measure_left_out(without(cells, label, recipe), label, name, recipe, into)


def measure_left_out(
    left: TrainingCells, label: int, name: str, recipe: Recipe, into: Measurements
) -> None:
    """Train without one type and measure how it is found."""
    (training, held_out), classes = parts_without(left, label), len(LABELS) - 1
    model = fit_counts(training, held_out, classes, recipe, into.seed).model
    present = np.ones(len(left.genes), dtype=np.float32)
    known, unseen = (outputs_of(model, left.counts(part), present) for part in ("test", "unseen"))
    setting = Setting(
        key=f"unseen-{name}",
        dataset="pbmc3k",
        role="shift",
        condition=f"{name} left out of training",
        donor_independent=False,
        study_independent=False,
        gene_coverage=1.0,
    )
    into.add(setting, "out_share", metrics.share(unseen["ood_p"] < 0.01))
    into.add(setting, "ood_p_below_0.05", metrics.share(unseen["ood_p"] < 0.05))
    not_in = (unseen["ood_p"] < 0.05) | (unseen["in_set"].sum(axis=1) != 1)
    into.add(setting, "not_in_share", metrics.share(not_in))
    n = len(unseen["ood_z"])
    auroc = metrics.detection_auroc(known["ood_z"], unseen["ood_z"])
    into.add(setting, "ood_auroc", measured(auroc, n))
    by_prob = metrics.detection_auroc(-known["prob"].max(axis=1), -unseen["prob"].max(axis=1))
    into.add(setting.by("maximum_probability"), "ood_auroc", measured(by_prob, n))


def parts_without(left: TrainingCells, label: int) -> Iterator[tuple[np.ndarray, Int64]]:
    """Training and calibration counts with labels that skip the left-out one."""
    for part in ("train", "calibration"):
        labels = left.labels(part)
        yield left.counts(part), labels - (labels > label)
