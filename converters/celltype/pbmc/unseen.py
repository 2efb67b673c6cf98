"""Types that the model was not taught: each class in turn is left out of everything but the end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from converters.celltype.fitting import fit_model
from converters.celltype.labelled_counts import LabelledCounts
from converters.celltype.pbmc.answers import measured
from converters.celltype.pbmc.choices import LABELS, Choices
from converters.celltype.pbmc.pbmc_cells import (
    PbmcCells,
    genes_of,
)
from converters.fit_run import FitRun
from zoo.evaluation import metrics
from zoo.evaluation.measurements import Measurements, Setting


def without(cells: PbmcCells, label: int, choices: Choices) -> PbmcCells:
    """The cells with one type moved into a part of its own, `unseen`, and genes chosen anew."""
    part = np.where(cells.label == label, "unseen", cells.part)
    return replace(cells, part=part, genes=genes_of(cells.cells, cells.label, part, choices))


def detect_unseen(cells: PbmcCells, choices: Choices, into: Measurements) -> None:
    """Leave out each type: share of its cells that are found, against held-out known cells."""
    for label, name in enumerate(LABELS):
        measure_left_out(without(cells, label, choices), label, name, choices, into)


def measure_left_out(
    left: PbmcCells, label: int, name: str, choices: Choices, into: Measurements
) -> None:
    """Train without one type and measure how it is found."""
    (training, held_out), classes = parts_without(left, label), len(LABELS) - 1
    model = fit_model(training, held_out, classes, choices.settings, FitRun(into.seed))
    present = np.ones(len(left.genes), dtype=np.float32)
    known, unseen = (model.answers(left.counts(part), present) for part in ("test", "unseen"))
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


def parts_without(left: PbmcCells, label: int) -> Iterator[LabelledCounts]:
    """Training and calibration counts with labels that skip the left-out one."""
    for part in ("train", "calibration"):
        labels = left.labels(part)
        yield LabelledCounts.of(left.counts(part), labels - (labels > label))
