"""The graph: whole-library normalization, scaling, one regression for each class.

Symbols: x counts, t counts over the whole library, m gene_present, μ and σ mean and standard
deviation of the normalized training cells, V principal axes of the scaled training cells.

    z = m · min((log(1 + T x / t) − μ) / σ, clip)
    logits = z W + b;  prob_k = 1 / (1 + exp(−logits_k));  e = z V

A missing gene is 0 after scaling, as in CellTypist, which drops its coefficients: it enters as the
training mean.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from converters.celltype.confidence import Confidence

Arrays = npt.NDArray[np.float32]


class Scaling(nn.Module):
    """Counts to log-normalized values in standard deviations of the training cells."""

    mean: Tensor
    sd: Tensor

    def __init__(self, genes: int, *, target: float, clip: float) -> None:
        super().__init__()
        self.target, self.clip = target, clip
        self.register_buffer("mean", torch.zeros(genes))
        self.register_buffer("sd", torch.ones(genes))

    def fit(self, counts: Tensor, totals: Tensor) -> None:
        """Take means and standard deviations (over n, as scikit-learn does) of training cells."""
        logs = self.logs(counts, totals).double()
        self.mean = logs.mean(dim=0).float()
        sd = logs.std(dim=0, correction=0).float()
        # A gene without spread in training has nothing to say, and no unit either.
        self.sd = torch.where(sd > 0, sd, torch.ones_like(sd))

    def logs(self, counts: Tensor, totals: Tensor) -> Tensor:
        """log(1 + counts per `target` of the whole library), [cells, genes]."""
        # A cell without counts gets 0 / 1.
        return torch.log1p(counts * (self.target / torch.where(totals > 0, totals, 1.0)))

    def forward(self, counts: Tensor, present: Tensor, totals: Tensor) -> Tensor:
        """Scaled values z [cells, genes]."""
        z = (self.logs(counts, totals) - self.mean) / self.sd
        return z.clamp(max=self.clip) * present


class LogisticNetwork(nn.Module):
    """Scaling, coefficients and principal axes."""

    weight: Tensor
    bias: Tensor
    axes: Tensor

    def __init__(
        self, genes: int, classes: int, embedding: int, *, target: float, clip: float
    ) -> None:
        super().__init__()
        self.scaling = Scaling(genes, target=target, clip=clip)
        self.register_buffer("weight", torch.zeros(genes, classes))
        self.register_buffer("bias", torch.zeros(classes))
        self.register_buffer("axes", torch.zeros(genes, embedding))

    def forward(self, counts: Tensor, present: Tensor, totals: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [cells, classes] and embedding [cells, components]."""
        z = self.scaling(counts, present, totals)
        return z @ self.weight + self.bias, z @ self.axes

    def gene_weight(self, z: Tensor, labels: Tensor) -> Tensor:
        """float32 [genes]: share of what tells the classes apart that each gene brings.

        The squared norm of its coefficients times the variance of its mean scaled value between
        the classes of the training cells, z [cells, genes].
        """
        means = torch.stack([z[labels == label].mean(dim=0) for label in labels.unique()])
        energy = (self.weight**2).sum(dim=1) * means.var(dim=0)
        return energy / energy.sum()


class LogisticModel(nn.Module):
    """The whole graph: counts to every output of `converters.celltype.confidence`."""

    def __init__(self, network: LogisticNetwork, confidence: Confidence) -> None:
        super().__init__()
        self.network = network
        self.confidence = confidence

    def forward(
        self, counts: Tensor, gene_present: Tensor, total_counts: Tensor
    ) -> tuple[Tensor, ...]:
        """Label, probabilities, p-values, sets, out-of-distribution scores and embedding."""
        logits, embedding = self.network(counts, gene_present, total_counts)
        prob, p, in_set, ood_z, ood_p = self.confidence(logits, embedding, gene_present)
        return logits.argmax(dim=1), prob, p, in_set, ood_z, ood_p, embedding

    @torch.no_grad()
    def labels_of(self, counts: Arrays, present: Arrays, totals: Arrays) -> dict[str, Any]:
        """`label` [cells], for counts [cells, genes], presence [genes] and totals [cells, 1]."""
        inputs = (torch.from_numpy(values) for values in (counts, present, totals))
        return {"label": self(*inputs)[0].numpy()}
