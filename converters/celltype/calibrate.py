"""Calibration: fills the tables of `confidence` from cells that training has not seen.

Each coverage level below 1 sees the cells through random gene lists of that coverage, with random
gene gains, since a file with another gene list usually comes from another chemistry as well. The
top level sees them as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from converters.augment import panel_of_coverage, panel_order
from converters.celltype.chemistry import gene_salience, random_gains
from converters.celltype.confidence import (
    Confidence,
    Tables,
    log_distance,
    log_odds_against,
)
from converters.celltype.confidence_settings import ConfidenceSettings
from converters.celltype.labelled_counts import LabelledCounts

FAR_AWAY = 1e4

Look = Callable[[LabelledCounts, Tensor], tuple[Tensor, Tensor]]
"""Cells and the presence of genes [genes] to logits [cells, classes] and embedding."""


@dataclass(frozen=True)
class Seen:
    """Cells as the network sees them through some gene lists, each cell `repeats` times."""

    logits: Tensor
    embedding: Tensor
    labels: Tensor
    repeats: int


def calibrate(
    look: Look,
    weight: Tensor,
    training: LabelledCounts,
    held_out: LabelledCounts,
    *,
    settings: ConfidenceSettings,
    seed: int,
    independent: bool = False,
) -> Confidence:
    """Measure the tables of every coverage level.

    Parameters
    ----------
    look
        A trained network.
    weight
        float32 [genes]: share of the model that each gene carries.
    training
        Its training cells: class centres and covariance come from them.
    held_out
        Calibration cells: temperature, scores and distances come from them.
    settings
        Levels, repeats, table sizes.
    seed
        Seed of the gene lists.
    independent
        Whether each class has a probability of its own instead of a share of one.

    """
    generator = torch.Generator().manual_seed(1000 + seed)
    salience = gene_salience(training.counts)
    levels = []
    for coverage in settings.coverage_levels:
        eyes = Eyes(look, weight, salience, coverage, settings, generator)
        levels.append(
            calibrate_level(eyes.see(training), eyes.see(held_out), settings, independent)
        )
    stacked = {name: torch.stack([level[name] for level in levels]) for name in levels[0]}
    tables = Tables(levels=torch.tensor(settings.coverage_levels), **stacked)
    return Confidence(tables, weight, settings.alpha, independent=independent)


@dataclass(frozen=True)
class Eyes:
    """A network looking at cells through random gene lists of one coverage."""

    look: Look
    weight: Tensor
    salience: Tensor
    coverage: float
    settings: ConfidenceSettings
    generator: torch.Generator

    @torch.no_grad()
    def see(self, cells: LabelledCounts) -> Seen:
        """Each cell once at full coverage, else in every repeat, in chunks with a list each."""
        if self.coverage >= 1:
            present = torch.ones(len(self.weight))
            return Seen(*self.look(cells, present), cells.labels, 1)
        logits, embeddings, labels = [], [], []
        for _ in range(self.settings.calibration_repeats):
            order = torch.randperm(len(cells.labels), generator=self.generator)
            for rows in order.split(64):
                logit, embedding = self.look(*self.through_a_list(cells.rows(rows)))
                logits.append(logit)
                embeddings.append(embedding)
                labels.append(cells.labels[rows])
        repeats = self.settings.calibration_repeats
        return Seen(torch.cat(logits), torch.cat(embeddings), torch.cat(labels), repeats)

    def through_a_list(self, cells: LabelledCounts) -> tuple[LabelledCounts, Tensor]:
        """Cells with random gains, and the presence of the genes of a random list."""
        tilt = float(torch.rand(1, generator=self.generator)) * self.settings.panel_tilt
        order = panel_order(self.salience, tilt, self.generator)
        gains = random_gains(len(self.weight), self.settings, self.generator)
        present = panel_of_coverage(order, self.weight, self.coverage)
        return replace(cells, counts=cells.counts * gains), present


def calibrate_level(
    training: Seen, held_out: Seen, settings: ConfidenceSettings, independent: bool = False
) -> dict[str, Tensor]:
    """The tables of one coverage level, by name."""
    classes = held_out.logits.shape[1]
    geometry = class_geometry(training, classes, settings.shrinkage)
    distance = log_distance(held_out.embedding, *(part[None] for part in geometry))
    shown = distance + settings.tie_margin
    distances, distance_count = padded_statistics(shown, settings.table_size * 4)
    return {
        "temperature": temperature(held_out.logits, held_out.labels, independent),
        **score_tables(held_out, classes, settings),
        "centers": geometry[0],
        "whitening": geometry[1],
        "radius": geometry[2],
        "distances": distances,
        "distance_counts": distance_count,
        "distance_mean": distance.mean(),
        "distance_sd": distance.std(),
    }


def temperature(logits: Tensor, labels: Tensor, independent: bool = False) -> Tensor:
    """The temperature with the smallest cross entropy, on a fine grid."""
    grid = torch.exp(torch.linspace(-1.5, 1.5, 301))
    if independent:
        truth = functional.one_hot(labels, logits.shape[1]).float()
        losses = [functional.binary_cross_entropy_with_logits(logits / t, truth) for t in grid]
    else:
        losses = [functional.cross_entropy(logits / t, labels) for t in grid]
    return grid[torch.stack(losses).argmin()]


def score_tables(held_out: Seen, classes: int, settings: ConfidenceSettings) -> dict[str, Tensor]:
    """Sorted scores [classes, table] of each class's own cells, those of all cells, and counts.

    Classes with fewer than `own_scores_from` cells take the scores of all cells.
    """
    all_scores = log_odds_against(held_out.logits, torch.eye(classes) * 1e9)
    own = all_scores.gather(1, held_out.labels[:, None]).squeeze(1) + settings.tie_margin
    few = pooled_classes(held_out.labels, classes, settings.own_scores_from, held_out.repeats)
    rows = [
        padded_statistics(own if k in few else own[held_out.labels == k], settings.table_size)
        for k in range(classes)
    ]
    pooled, pooled_count = padded_statistics(own, settings.table_size * 2)
    return {
        "scores": torch.stack([row for row, _ in rows]),
        "score_counts": torch.stack([count for _, count in rows]),
        "pooled_scores": pooled,
        "pooled_counts": pooled_count,
    }


def pooled_classes(labels: Tensor, classes: int, own_from: int, repeats: int = 1) -> list[int]:
    """Classes with too few calibration cells for scores of their own."""
    size = torch.bincount(labels, minlength=classes) // repeats
    return [k for k in range(classes) if size[k] < own_from]


def padded_statistics(values: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The values sorted, or as many evenly spaced ones as fit, padded with -inf; and how many."""
    kept = values.sort().values
    if len(kept) > size:
        middle = (torch.arange(size) + 0.5) * len(kept) / size
        kept = kept[middle.long()]
    table = torch.full((size,), -torch.inf)
    table[: len(kept)] = kept
    return table, torch.tensor(float(len(kept)))


def class_geometry(seen: Seen, classes: int, shrinkage: float) -> tuple[Tensor, Tensor, Tensor]:
    """Class centres, whitening of the pooled covariance, and each class's mean radius.

    The covariance is shrunk towards its mean variance (Ledoit and Wolf's target), the radius of a
    class towards the mean radius as if 20 average cells had been added to it.
    """
    e, labels = seen.embedding, seen.labels
    one_hot = functional.one_hot(labels, classes).float()
    size = one_hot.sum(dim=0)
    centers = (one_hot.T @ e) / size.clamp(min=1)[:, None]
    # A class that only held-out cells have (a donor's own rare type) lies near nothing.
    centers[size == 0] = FAR_AWAY
    residual = e - centers[labels]
    covariance = residual.T @ residual / (len(e) - classes)
    dims = e.shape[1]
    covariance = (1 - shrinkage) * covariance + shrinkage * covariance.trace() / dims * torch.eye(
        dims
    )
    whitening = torch.linalg.inv(torch.linalg.cholesky(covariance)).T
    radius = (residual @ whitening).norm(dim=1)
    mean = radius.mean()
    radii = (one_hot.T @ radius + 20 * mean) / (size + 20)
    return centers, whitening, radii / mean
