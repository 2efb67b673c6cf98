"""How a classifier's p-values and limits are made: shared by the recipes that name cell types."""

from __future__ import annotations

from dataclasses import dataclass

from converters.recipe import Settings


@dataclass(frozen=True, kw_only=True)
class ConfidenceSettings(Settings):
    """Hyper-parameters of calibration, and of the foreign chemistries that it imagines."""

    coverage_levels: tuple[float, ...] = (0.05, 0.1, 0.2, 0.4, 0.7, 1.0)
    """Weighted gene coverages for which tables of calibration are made."""
    calibration_repeats: int = 4
    """Random gene lists through which each calibration cell is seen, at each level."""
    alpha: float = 0.1
    """Error level of the conformal sets."""
    own_scores_from: int = 20
    """Classes with fewer calibration cells than this share pooled scores."""
    table_size: int = 256
    """Most calibration scores that are kept for each class."""
    tie_margin: float = 1e-3
    """Scores and log distances that are as near to a calibration cell's count as equal to it, so
    that rounding, which differs between runtimes, does not decide."""
    shrinkage: float = 0.1
    """Share of the mean variance in the covariance of the embedding."""
    acceptable_accuracy: float = 0.75
    """Accuracy on calibration cells that sets `min_counts` and the smallest gene coverage; 90% of
    the accuracy with all genes and counts, where that is less."""
    panel_tilt: float = 2.0
    """How much random gene lists favour variable genes."""
    gain_sd: float = 1.2
    """Spread of the log factor by which another chemistry sees each gene more or less."""
    dead_share: float = 0.2
    """Largest share of listed genes that a pipeline lost: always 0."""
