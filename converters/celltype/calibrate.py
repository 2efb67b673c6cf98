"""Calibration: fills the tables of `confidence` from cells that training has not seen.

Each coverage level below 1 sees the cells through random gene lists of that coverage, with random
gene gains, since a file with another gene list usually comes from another chemistry as well. The
top level sees them as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from converters.augment import panel_of_coverage, panel_order
from converters.celltype.confidence import (
    Confidence,
    Tables,
    log_distance,
    log_odds_against,
)
from converters.celltype.labelled_counts import LabelledCounts
from converters.celltype.network import CellTypeNetwork
from converters.celltype.recipe import CellTypeSettings
from converters.celltype.train import gene_salience, random_gains

FAR_AWAY = 1e4


@dataclass(frozen=True)
class Seen:
    """Cells as the network sees them through some gene lists, each cell `repeats` times."""

    logits: Tensor
    embedding: Tensor
    labels: Tensor
    repeats: int


def calibrate(
    network: CellTypeNetwork,
    training: LabelledCounts,
    held_out: LabelledCounts,
    *,
    settings: CellTypeSettings,
    seed: int,
) -> Confidence:
    """Measure the tables of every coverage level.

    Parameters
    ----------
    network
        A trained network.
    training
        Its training cells: class centres and covariance come from them.
    held_out
        Calibration cells: temperature, scores and distances come from them.
    settings
        Levels, repeats, table sizes.
    seed
        Seed of the gene lists.

    """
    generator = torch.Generator().manual_seed(1000 + seed)
    weight = network.gene_weight(training.counts, training.labels)
    salience = gene_salience(training.counts, settings)
    levels = []
    for coverage in settings.coverage_levels:
        eyes = Eyes(network, weight, salience, coverage, settings, generator)
        levels.append(calibrate_level(eyes.see(training), eyes.see(held_out), settings))
    stacked = {name: torch.stack([level[name] for level in levels]) for name in levels[0]}
    tables = Tables(levels=torch.tensor(settings.coverage_levels), **stacked)
    return Confidence(tables, weight, settings.alpha)


@dataclass(frozen=True)
class Eyes:
    """A network looking at cells through random gene lists of one coverage."""

    network: CellTypeNetwork
    weight: Tensor
    salience: Tensor
    coverage: float
    settings: CellTypeSettings
    generator: torch.Generator

    @torch.no_grad()
    def see(self, cells: LabelledCounts) -> Seen:
        """Each cell once at full coverage, else in every repeat, in chunks with a list each."""
        if self.coverage >= 1:
            present = torch.ones(len(self.weight))
            return Seen(*self.network(cells.counts, present), cells.labels, 1)
        logits, embeddings, labels = [], [], []
        for _ in range(self.settings.calibration_repeats):
            order = torch.randperm(len(cells.labels), generator=self.generator)
            for rows in order.split(64):
                counts, present = self.through_a_list(cells.counts[rows])
                logit, embedding = self.network(counts, present)
                logits.append(logit)
                embeddings.append(embedding)
                labels.append(cells.labels[rows])
        repeats = self.settings.calibration_repeats
        return Seen(torch.cat(logits), torch.cat(embeddings), torch.cat(labels), repeats)

    def through_a_list(self, counts: Tensor) -> tuple[Tensor, Tensor]:
        """Counts with random gains, and the presence of the genes of a random list."""
        tilt = float(torch.rand(1, generator=self.generator)) * self.settings.panel_tilt
        order = panel_order(self.salience, tilt, self.generator)
        gains = random_gains(len(self.weight), self.settings, self.generator)
        return counts * gains, panel_of_coverage(order, self.weight, self.coverage)


def calibrate_level(
    training: Seen, held_out: Seen, settings: CellTypeSettings
) -> dict[str, Tensor]:
    """The tables of one coverage level, by name."""
    classes = held_out.logits.shape[1]
    geometry = class_geometry(training, classes, settings.shrinkage)
    distance = log_distance(held_out.embedding, *(part[None] for part in geometry))
    distances, distance_count = padded_statistics(distance, settings.table_size * 4)
    return {
        "temperature": temperature(held_out.logits, held_out.labels),
        **score_tables(held_out, classes, settings),
        "centers": geometry[0],
        "whitening": geometry[1],
        "radius": geometry[2],
        "distances": distances,
        "distance_counts": distance_count,
        "distance_mean": distance.mean(),
        "distance_sd": distance.std(),
    }


def temperature(logits: Tensor, labels: Tensor) -> Tensor:
    """The temperature with the smallest cross entropy, on a fine grid."""
    grid = torch.exp(torch.linspace(-1.5, 1.5, 301))
    losses = [torch.nn.functional.cross_entropy(logits / t, labels) for t in grid]
    return grid[torch.stack(losses).argmin()]


def score_tables(held_out: Seen, classes: int, settings: CellTypeSettings) -> dict[str, Tensor]:
    """Sorted scores [classes, table] of each class's own cells, those of all cells, and counts.

    Classes with fewer than `own_scores_from` cells take the scores of all cells.
    """
    all_scores = log_odds_against(held_out.logits, torch.eye(classes) * 1e9)
    own = all_scores.gather(1, held_out.labels[:, None]).squeeze(1)
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
    one_hot = torch.nn.functional.one_hot(labels, classes).float()
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
