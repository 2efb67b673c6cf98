"""Calibration, conformal p-values and out-of-distribution scores as one module of the graph.

A file that lacks genes makes every embedding less certain, so each table exists once per coverage
level, and the graph takes the level nearest (in the logarithm) to the weighted gene coverage.

    prob         softmax(logits / T), or sigmoid(logits / T) where classes are independent
    s_k          log odds against class k: logsumexp_{j≠k}(logits_j) − logits_k
    conformal_p  the larger of (1 + #{calibration cells of class k with a score ≥ s_k}) / (n_k + 1)
                 and the same over the calibration cells of all classes
    d            min_k ‖(e − c_k) L‖ / r_k: distance to the nearest class centre
    ood_z        (log d − mean) / sd of the calibration cells
    ood_p        (1 + #{calibration cells with a distance ≥ d}) / (n + 1)

The first p-value is valid within each class (Mondrian conformal prediction, Vovk 2012), the second
over all cells, so their maximum is valid in both senses. It keeps a sharply calibrated class from
being rejected, with no other class left, as soon as a shift makes its cells a little less sure.
The Mahalanobis distance follows Lee et al. 2018.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from converters.celltype.network import CellTypeNetwork
from zoo.card import Output

OUTPUTS = (
    Output(name="label", description="most probable class", unit="class index"),
    Output(name="prob", description="calibrated probability of each class", unit="probability"),
    Output(
        name="conformal_p",
        description="p-value of each class: high = typical of it, small = the class is rejected",
        unit="p-value",
    ),
    Output(name="in_set", description="classes not rejected at alpha", unit="yes or no"),
    Output(
        name="ood_z",
        description="log distance to the nearest class against calibration cells",
        unit="standard deviations",
    ),
    Output(
        name="ood_p",
        description="share of calibration cells at least as far from every class",
        unit="p-value",
    ),
    Output(
        name="embedding",
        description="the members' embeddings side by side: classes lie apart, distances say little",
        unit="arbitrary",
    ),
)

# label, in_set and p-values are steps: exact, unless a score ties with a calibration cell's.
TOLERANCES = {
    "label": (0.0, 0.0),
    "prob": (1e-5, 1e-4),
    "conformal_p": (1e-6, 0.0),
    "in_set": (0.0, 0.0),
    "ood_z": (1e-4, 1e-4),
    "ood_p": (1e-6, 0.0),
    "embedding": (1e-4, 1e-4),
}

METHOD = (
    "temperature scaling; split-conformal p-values, the larger of by class and over all classes; "
    "Mahalanobis distance to the nearest class; each by level of gene coverage"
)


@dataclass(frozen=True)
class Tables:
    """What calibration measured, by coverage level.

    Attributes
    ----------
    levels
        [levels]: weighted gene coverage of each level.
    temperature
        [levels].
    scores
        [levels, classes, table]: sorted calibration scores, padded with -inf.
    score_counts
        [levels, classes]: number of scores that are not padding.
    pooled_scores
        [levels, table]: sorted scores of the calibration cells of all classes, padded with -inf.
    pooled_counts
        [levels]: number of them that are not padding.
    centers, whitening, radius
        [levels, classes, dims], [levels, dims, dims], [levels, classes].
    distances
        [levels, table]: sorted log distances of the calibration cells, padded with -inf.
    distance_counts
        [levels]: number of distances that are not padding.
    distance_mean, distance_sd
        [levels].

    """

    levels: Tensor
    temperature: Tensor
    scores: Tensor
    score_counts: Tensor
    pooled_scores: Tensor
    pooled_counts: Tensor
    centers: Tensor
    whitening: Tensor
    radius: Tensor
    distances: Tensor
    distance_counts: Tensor
    distance_mean: Tensor
    distance_sd: Tensor


class Confidence(nn.Module):
    """Tables of one model and how to read them."""

    def __init__(
        self, tables: Tables, gene_weight: Tensor, alpha: float, *, independent: bool = False
    ) -> None:
        super().__init__()
        self.alpha, self.independent = alpha, independent
        self.register_buffer("gene_weight", gene_weight)
        for name, value in vars(tables).items():
            self.register_buffer(name, value)
        classes = tables.scores.shape[1]
        self.register_buffer("itself", torch.eye(classes) * 1e9)

    def level(self, present: Tensor) -> Tensor:
        """int64 [1]: the coverage level nearest to the coverage of the genes that are present."""
        coverage = (present * self.gene_weight).sum().clamp(min=1e-6)
        gap = (torch.log(self.levels) - torch.log(coverage)).abs()
        return gap.argmin(dim=0, keepdim=True)

    def temperature_for(self, present: npt.NDArray[np.float32]) -> float:
        """The temperature that cells with these genes get."""
        return float(self.temperature[self.level(torch.from_numpy(present))])

    def forward(self, logits: Tensor, embedding: Tensor, present: Tensor) -> tuple[Tensor, ...]:
        """`prob`, `conformal_p`, `in_set`, `ood_z`, `ood_p` of cells with these genes."""
        level = self.level(present)
        scaled = logits / self.temperature[level]
        prob = torch.sigmoid(scaled) if self.independent else torch.softmax(scaled, dim=1)
        score = log_odds_against(logits, self.itself)
        within_class = conformal_p(score, self.scores[level], self.score_counts[level])
        among_all = conformal_p(score, self.pooled_scores[level], self.pooled_counts[level])
        p = torch.maximum(within_class, among_all)
        distance = log_distance(
            embedding, self.centers[level], self.whitening[level], self.radius[level]
        )
        ood_z = (distance - self.distance_mean[level]) / self.distance_sd[level]
        table = self.distances[level]  # (1, table)
        above = (table >= distance[:, None]).float().sum(dim=1)
        return prob, p, p > self.alpha, ood_z, (above + 1) / (self.distance_counts[level] + 1)


def log_odds_against(logits: Tensor, itself: Tensor) -> Tensor:
    """[cells, classes]: log odds that a cell is any other class; large = unlike the class.

    Unlike 1 - prob, it does not round to 0 for sure cells, so no ties arise.
    """
    others = logits[:, None, :] - itself  # (cells, class, other); the class itself at -1e9
    return torch.logsumexp(others, dim=2) - logits


def conformal_p(score: Tensor, table: Tensor, count: Tensor) -> Tensor:
    """p-values [cells, classes] of scores, from a table [1, (classes,) table] and counts."""
    at_least = (table >= score[:, :, None]).float().sum(dim=2)
    return (at_least + 1) / (count + 1)


def log_distance(e: Tensor, centers: Tensor, whitening: Tensor, radius: Tensor) -> Tensor:
    """[cells]: log of the Mahalanobis distance to the nearest class, in the class's own radii."""
    offset = e @ whitening[0] - (centers[0] @ whitening[0])[:, None, :]  # (classes, cells, dims)
    square = (offset**2).sum(dim=2)  # (classes, cells)
    scaled = square / radius[0][:, None] ** 2
    return 0.5 * torch.log(scaled.amin(dim=0) + 1e-12)


def tolerances_of(confidence: Confidence) -> dict[str, tuple[float, float]]:
    """(atol, rtol) of each output: p-values may differ by the rank of one calibration cell."""
    scores = float(confidence.score_counts.clamp(min=1).min())
    distances = float(confidence.distance_counts.min())
    steps = {"conformal_p": 1.01 / (scores + 1), "ood_p": 1.01 / (distances + 1)}
    return TOLERANCES | {name: (step, 0.0) for name, step in steps.items()}


class CellTypeModel(nn.Module):
    """The whole graph: counts to every output of the contract."""

    def __init__(self, network: CellTypeNetwork, confidence: Confidence) -> None:
        super().__init__()
        self.network = network
        self.confidence = confidence

    def forward(self, counts: Tensor, gene_present: Tensor) -> tuple[Tensor, ...]:
        """All of `OUTPUTS`, in their order."""
        logits, embedding = self.network(counts, gene_present)
        prob, p, in_set, ood_z, ood_p = self.confidence(logits, embedding, gene_present)
        return logits.argmax(dim=1), prob, p, in_set, ood_z, ood_p, embedding

    @property
    def gene_weight(self) -> npt.NDArray[np.float32]:
        """float32 [genes]: share of the model that each gene carries."""
        weight: npt.NDArray[np.float32] = self.confidence.gene_weight.numpy()
        return weight

    @torch.no_grad()
    def answers(
        self, counts: npt.NDArray[np.float32], present: npt.NDArray[np.float32]
    ) -> dict[str, npt.NDArray[Any]]:
        """All outputs by name, for counts [cells, genes] and the presence of genes [genes]."""
        values = self(torch.from_numpy(counts), torch.from_numpy(present))
        return {output.name: value.numpy() for output, value in zip(OUTPUTS, values, strict=True)}
