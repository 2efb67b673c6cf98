"""The network: panel-sum normalization that knows which genes are missing, then an MLP ensemble.

Symbols: x counts, m gene_present, s share of each gene in a training cell, μ and σ mean and
standard deviation of the normalized training cells.

    z = m · (log(1 + T · Σ(m·s) · x / Σ(m·x)) − μ) / σ
    h = dropout(gelu(layer_norm(z W₁)));  e = h W₂ + b₂;  logits = dropout(gelu(e)) W₃ + b₃

A missing gene enters as the training mean (z = 0), and the panel sum is held against the share of
the genes that are there, so a cell looks the same through another gene list. A few dominant genes
(ferritin, MALAT1, ribosomal) stay out of both sums: they differ most between chemistries and would
set the scale of all others. Layer norm takes out what is left of the scale. The members share their
batches and differ in initialisation, dropout and bootstrap weights.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from converters.celltype.recipe import CellTypeSettings


class PanelNormalization(nn.Module):
    """Counts to standardised log values; a cell's scale and its missing genes are taken out."""

    share: Tensor
    summed: Tensor
    mean: Tensor
    sd: Tensor

    def __init__(self, genes: int, *, target: float, clip: float) -> None:
        super().__init__()
        self.target = target
        self.clip = clip
        self.register_buffer("share", torch.full((genes,), 1 / genes))
        self.register_buffer("summed", torch.ones(genes))
        self.register_buffer("mean", torch.zeros(genes))
        self.register_buffer("sd", torch.ones(genes))

    def fit(self, counts: Tensor, *, dominant_share: float, sd_floor: float) -> None:
        """Take shares, means and standard deviations from training cells."""
        fractions = counts / counts.sum(dim=1, keepdim=True).clamp(min=1)
        self.summed = (fractions.mean(dim=0) <= dominant_share).float()
        fractions = counts / (counts @ self.summed)[:, None].clamp(min=1)
        logs = torch.log1p(fractions * self.target)
        self.share = fractions.mean(dim=0) * self.summed
        self.mean = logs.mean(dim=0)
        self.sd = logs.std(dim=0).clamp(min=sd_floor)

    def forward(self, counts: Tensor, present: Tensor, error: Tensor | None = None) -> Tensor:
        """Normalize.

        Parameters
        ----------
        counts
            float32 [cells, genes].
        present
            float32 [genes], or [cells, genes] in training.
        error
            float32 [cells, 1]: factor on the scale, in training.

        """
        x = counts * present
        total = (x * self.summed).sum(dim=1, keepdim=True)  # (cells, 1)
        share = (present * self.share).sum(dim=-1, keepdim=True)
        # A cell without counts gets scale × 0 = 0, so log(1) = 0: finite, never 0 / 0.
        scale = self.target * share / torch.where(total > 0, total, torch.ones_like(total))
        if error is not None:
            scale = scale * error
        z = (torch.log1p(x * scale) - self.mean) / self.sd
        return z.clamp(-self.clip, self.clip) * present


class Ensemble(nn.Module):
    """Members with one hidden layer and a narrow embedding, computed side by side."""

    def __init__(self, genes: int, classes: int, settings: CellTypeSettings) -> None:
        super().__init__()
        m, h, e = settings.members, settings.hidden, settings.embedding
        self.members, self.hidden = m, h
        self.dropout, self.embedding_dropout = settings.dropout, settings.embedding_dropout
        self.w1 = nn.Parameter(torch.randn(genes, m * h) / genes**0.5)
        self.gain = nn.Parameter(torch.ones(m, h))
        self.bias = nn.Parameter(torch.zeros(m, h))
        self.w2 = nn.Parameter(torch.randn(m, h, e) / h**0.5)
        self.b2 = nn.Parameter(torch.zeros(m, 1, e))
        self.w3 = nn.Parameter(torch.randn(m, e, classes) / e**0.5)
        self.b3 = nn.Parameter(torch.zeros(m, 1, classes))

    def embed(self, z: Tensor) -> Tensor:
        """[cells, genes] → [members, cells, embedding]."""
        h = (z @ self.w1).view(-1, self.members, self.hidden)
        h = functional.layer_norm(h, (self.hidden,)) * self.gain + self.bias
        h = functional.dropout(functional.gelu(h), self.dropout, self.training)
        return h.transpose(0, 1) @ self.w2 + self.b2

    def classify(self, e: Tensor) -> Tensor:
        """[members, cells, embedding] → logits [members, cells, classes]."""
        e = functional.dropout(functional.gelu(e), self.embedding_dropout, self.training)
        return e @ self.w3 + self.b3


class CellTypeNetwork(nn.Module):
    """Normalization and ensemble: counts to logits and embedding."""

    def __init__(self, genes: int, classes: int, settings: CellTypeSettings) -> None:
        super().__init__()
        self.normalization = PanelNormalization(genes, target=settings.target, clip=settings.clip)
        self.ensemble = Ensemble(genes, classes, settings)

    def forward(self, counts: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [cells, classes], the members' mean, and embedding [cells, members × dims]."""
        e = self.ensemble.embed(self.normalization(counts, present))
        logits = self.ensemble.classify(e).mean(dim=0)
        return logits, e.transpose(0, 1).flatten(1)

    def gene_weight(self, counts: Tensor, labels: Tensor) -> Tensor:
        """float32 [genes]: share of what tells the classes apart that each gene brings.

        A gene's part is the squared norm of its first weights times the variance of its mean
        normalized value between the classes of the training cells, float32 [cells, genes]. A gene
        that varies within the classes only is worth nothing, however many the file has of them.
        """
        z = self.normalization(counts, torch.ones(counts.shape[1]))
        means = torch.stack([z[labels == label].mean(dim=0) for label in labels.unique()])
        energy = (self.ensemble.w1.detach() ** 2).sum(dim=1) * means.var(dim=0)
        return energy / energy.sum()
