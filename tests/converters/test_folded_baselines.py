"""Baselines of several folds: each cell is asked of the fold that left it out."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("torch")

from converters.building.subject import FoldedBaselines
from zoo.evaluation.cells import LabelledCells, Placed
from zoo.evaluation.trained_baselines import TrainedBaselines

LABELS = ("beta", "ductal")


def cells(seed):
    """Two types, told by the halves of eight genes."""
    label = np.arange(40) % 2
    rate = np.ones((40, 8))
    rate[np.arange(8)[None, :] // 4 == label[:, None]] = 9
    counts = np.random.default_rng(seed).poisson(rate).astype(np.float32)
    return LabelledCells(Placed(counts, np.ones(8, np.float32), 1.0), LABELS, label)


def test_each_fold_answers_for_the_cells_that_it_left_out():
    asked = cells(1)
    columns = (np.arange(8), np.arange(1, 8))
    folds = []
    for seed, own in enumerate(columns):
        shown = cells(seed + 2)
        placed = Placed(shown.placed.counts[:, own], np.ones(len(own), np.float32), 1.0)
        folds.append(TrainedBaselines.of(replace(shown, placed=placed), ("counts",)))
    joined = FoldedBaselines.joined(folds, columns)
    fold = np.arange(40) % 4 // 2
    codes, scores = joined.predict("logistic_regression", replace(asked.placed, fold=fold), LABELS)
    assert (codes == asked.label).mean() > 0.9
    assert np.isfinite(scores).all()
    assert not joined.can_share(asked.placed)
