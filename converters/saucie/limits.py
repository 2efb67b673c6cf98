"""Fewest counts and smallest gene coverage at which a cell keeps its cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from converters.augment import panel_of_coverage, panel_order, thin
from converters.training_cells import TrainingCells
from zoo.card import Thresholds

if TYPE_CHECKING:
    from converters.saucie.network import SaucieModel
    from converters.saucie.recipe import SaucieSettings

COUNTS = (10, 20, 50, 100, 200, 400)
COVERAGES = (0.02, 0.05, 0.1, 0.2, 0.4, 0.7)
_REPEATS = 3
_MOST_CELLS = 500


def limits(
    model: SaucieModel,
    cells: TrainingCells,
    settings: SaucieSettings,
    generator: torch.Generator,
    intensities: bool,
) -> tuple[float, Thresholds]:
    """Gene coverage and thresholds, from validation cells with less and less left of them.

    Intensities need all markers and have no count of molecules.
    """
    if intensities:
        return 0.99, Thresholds()
    counts = torch.from_numpy(cells.where(_first(len(cells))).dense())
    present = torch.ones(counts.shape[1])
    whole = _clusters(model, counts, present)
    weight = model.network.encoder[0].weight.float().square().sum(dim=0)
    weight = weight * model.normalization(counts, present).var(dim=0)

    def with_counts(number: float) -> float:
        deep = counts.sum(dim=1) >= number
        if not deep.any():
            return 1.0
        fraction = number / counts[deep].sum(dim=1, keepdim=True)
        thinned = thin(counts[deep], fraction, generator)
        return _agreement(whole[deep], _clusters(model, thinned, present))

    def with_coverage(coverage: float) -> float:
        order = panel_order(torch.zeros(len(weight)), 0.0, generator)
        panel = panel_of_coverage(order, weight / weight.sum(), coverage)
        return _agreement(whole, _clusters(model, counts, panel))

    accept = settings.acceptable_agreement
    return (
        _least(COVERAGES, with_coverage, accept),
        Thresholds(min_counts=_least(COUNTS, with_counts, accept)),
    )


def _least(levels: tuple[float, ...], agreement, accept: float) -> float:  # noqa: ANN001
    """The smallest level from which on all reach the agreement; the largest where none does."""
    least = float(levels[-1])
    for level in reversed(levels):
        if np.mean([agreement(level) for _ in range(_REPEATS)]) < accept:
            break
        least = float(level)
    return least


def _clusters(model: SaucieModel, counts: Tensor, present: Tensor) -> Tensor:
    return model(counts, present)[2]


def _agreement(one: Tensor, other: Tensor) -> float:
    return float((one == other).float().mean())


def _first(cells: int) -> np.ndarray:
    return np.arange(cells) < _MOST_CELLS
