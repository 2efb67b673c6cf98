"""The networks of scGNN, bottom-up: normalization, feature autoencoder, graph autoencoder.

Source: Wang et al. 2021, doi:10.1038/s41467-021-22197-x; the graph autoencoder is that of Kipf &
Welling 2016 (arXiv:1611.07308). Symbols: X log expression, Z its embedding, A the cell graph,
Â = D^-½ (A + I) D^-½, H the hidden layer of the graph.

    Z = relu(relu(X W₁) W₂),   X̂ = relu(relu(Z W₃) W₄)
    H = relu(Â Z W₅),          G = Â H W₆,          Â' = sigmoid(G Gᵀ)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

TARGET = 1e4
LARGEST_FACTOR = 20.0


class LogNormalization(nn.Module):
    """Counts to X = log(1 + counts per 10,000), for files that lack some of the genes, too.

    m is `gene_present`, s the share of each gene in a training cell, μ the mean of X in training:

        X = m · log(1 + 10⁴ · Σ(m·s) · c / Σ(m·c)) + (1 − m) · μ

    A missing gene enters as the training mean, and what is there counts as the share of a cell that
    it was in training.
    """

    share: Tensor
    mean: Tensor

    def __init__(self, genes: int) -> None:
        super().__init__()
        self.register_buffer("share", torch.full((genes,), 1 / genes))
        self.register_buffer("mean", torch.zeros(genes))

    def fit(self, counts: Tensor) -> None:
        """Take shares and means from training cells [cells, genes]."""
        self.share = (counts / counts.sum(dim=1, keepdim=True).clamp(min=1)).mean(dim=0)
        self.share = self.share / self.share.sum()
        self.mean = self(counts, torch.ones_like(self.share)).mean(dim=0)

    def forward(self, counts: Tensor, present: Tensor) -> Tensor:
        """X [cells, genes] of counts [cells, genes] and `gene_present` [genes]."""
        depth = self.depth(counts, present)
        # A cell without counts gets log(1 + 0): finite, never 0 / 0.
        x = torch.log1p(counts * present / torch.where(depth > 0, depth, 1.0))
        return x + (1 - present) * self.mean

    def depth(self, counts: Tensor, present: Tensor) -> Tensor:
        """[cells, 1]: how many counts one of the 10,000 stands for; 0 of a cell without counts."""
        share = (present * self.share).sum()
        total = (counts * present).sum(dim=1, keepdim=True)
        return total / (TARGET * torch.where(share > 0, share, 1.0))


class Level(nn.Module):
    """X̂ back to counts per 10,000: exp(X̂) − 1, times a factor a for each gene.

    The mean of logarithms says less than the logarithm of the mean. With a = mean(counts per
    10,000) / mean(exp(X̂) − 1) over the training cells ("smearing", Duan 1983,
    doi:10.1080/01621459.1983.10478017) a gene's imputed values have the mean of its counts.
    """

    factor: Tensor

    def __init__(self, genes: int) -> None:
        super().__init__()
        self.register_buffer("factor", torch.ones(genes))

    def fit(self, counts: Tensor, x: Tensor) -> None:
        """Set the factors by training cells: counts and X̂ [cells, genes]."""
        linear = counts / counts.sum(dim=1, keepdim=True).clamp(min=1) * TARGET
        means = torch.expm1(x).mean(dim=0).clamp(min=1e-6)
        self.factor = (linear.mean(dim=0) / means).clamp(1 / LARGEST_FACTOR, LARGEST_FACTOR)

    def forward(self, x: Tensor) -> Tensor:
        """Counts per 10,000 [cells, genes]."""
        return torch.expm1(x) * self.factor


class FeatureAutoencoder(nn.Module):
    """genes → hidden → embedding → hidden → genes, ReLU after each layer."""

    def __init__(self, genes: int, hidden: int, embedding: int) -> None:
        super().__init__()
        self.w1 = nn.Linear(genes, hidden)
        self.w2 = nn.Linear(hidden, embedding)
        self.w3 = nn.Linear(embedding, hidden)
        self.w4 = nn.Linear(hidden, genes)

    def encode(self, x: Tensor) -> Tensor:
        """[cells, genes] → [cells, embedding]."""
        return functional.relu(self.w2(functional.relu(self.w1(x))))

    def decode(self, z: Tensor) -> Tensor:
        """[cells, embedding] → [cells, genes]."""
        return functional.relu(self.w4(functional.relu(self.w3(z))))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """X̂ [cells, genes] and Z [cells, embedding]."""
        z = self.encode(x)
        return self.decode(z), z


class GraphAutoencoder(nn.Module):
    """Two graph convolutions; what the second gives is the graph embedding.

    Neighbours are summed by whoever calls: `Â @ values` over a whole graph, or over the frozen
    neighbours of a cell that joins it.
    """

    def __init__(self, features: int, hidden: int, embedding: int) -> None:
        super().__init__()
        self.w5 = nn.Parameter(nn.init.xavier_uniform_(torch.empty(features, hidden)))
        self.w6 = nn.Parameter(nn.init.xavier_uniform_(torch.empty(hidden, embedding)))
        self.w_variance = nn.Parameter(nn.init.xavier_uniform_(torch.empty(hidden, embedding)))

    def hide(self, summed: Tensor) -> Tensor:
        """H [cells, hidden] of Â Z [cells, features]."""
        return functional.relu(summed @ self.w5)

    def embed(self, summed: Tensor) -> Tensor:
        """G [cells, embedding] of Â H [cells, hidden]."""
        return summed @ self.w6

    def log_sd(self, summed: Tensor) -> Tensor:
        """Log standard deviation of G, in the variational form; of Â H [cells, hidden]."""
        return summed @ self.w_variance


def link_loss(logits: Tensor, linked: Tensor) -> Tensor:
    """Cross-entropy of G Gᵀ against the graph, links and non-links weighing the same in sum.

    Both arguments are [cells, cells], or [batch, cells] of some rows.
    """
    pairs, links = linked.numel(), linked.sum().clamp(min=1)
    positive = (pairs - links) / links
    norm = pairs / (2 * (pairs - links).clamp(min=1))
    return norm * functional.binary_cross_entropy_with_logits(
        logits, linked, weight=1 + linked * (positive - 1)
    )
