"""Fewest counts and smallest gene coverage at which a cell keeps its place in the embedding."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from converters.augment import panel_of_coverage, panel_order, thin
from converters.celltype.limits import first_acceptable
from converters.scvi.network import ScviNetwork
from converters.scvi.recipe import ScviSettings
from converters.training_cells import TrainingCells
from zoo.card import Thresholds
from zoo.evaluation.robustness import COVERAGES, PANEL_COUNTS

_REPEATS = 3
_MOST_CELLS = 1000


def embedding_limits(
    network: ScviNetwork,
    weight: Tensor,
    cells: TrainingCells,
    settings: ScviSettings,
    generator: torch.Generator,
) -> tuple[float, Thresholds, dict[str, float]]:
    """Gene coverage, thresholds and what they follow from, from cells held out from training.

    Along each grid, the smallest step from which on the cells keep `acceptable_agreement` of the
    embedding's variance: 1 − Σ‖z' − z‖² / Σ‖z − mean‖² of disturbed cells z'.
    """
    counts = torch.from_numpy(cells.where(np.arange(len(cells)) < _MOST_CELLS).dense())
    everything = torch.ones(counts.shape[1])
    whole = network(counts, everything)

    def at_counts(number: float) -> float:
        # A cell that has fewer counts than that keeps them all.
        fraction = (number / counts.sum(dim=1, keepdim=True).clamp(min=1)).clamp(max=1)
        return kept_variance(whole, network(thin(counts, fraction, generator), everything))

    def at_coverage(coverage: float) -> float:
        order = panel_order(torch.zeros(len(weight)), 0.0, generator)
        return kept_variance(whole, network(counts, panel_of_coverage(order, weight, coverage)))

    by_counts = {n: float(np.mean([at_counts(n) for _ in range(_REPEATS)])) for n in PANEL_COUNTS}
    by_coverage = {c: float(np.mean([at_coverage(c) for _ in range(_REPEATS)])) for c in COVERAGES}
    facts = {f"variance kept at {n:g} counts": kept for n, kept in by_counts.items()}
    facts |= {f"variance kept at coverage {c:g}": kept for c, kept in by_coverage.items()}
    accept = settings.acceptable_agreement
    thresholds = Thresholds(
        min_counts=first_acceptable(PANEL_COUNTS, list(by_counts.values()), accept)
    )
    return first_acceptable(COVERAGES, list(by_coverage.values()), accept), thresholds, facts


def kept_variance(whole: Tensor, disturbed: Tensor) -> float:
    """Share of the variance of z [cells, latent] that disturbed cells keep; may be negative."""
    lost = (disturbed - whole).square().sum()
    return float(1 - lost / (whole - whole.mean(dim=0)).square().sum().clamp(min=1e-12))
