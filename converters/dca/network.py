"""The networks of DCA, bottom-up: size factors, autoencoder, whole graph.

Source: Eraslan et al. 2019, doi:10.1038/s41467-018-07931-2. Symbols: s the size factor of a cell,
x̄ its normalized input, B the bottleneck, D the decoder's last layer.

    x̄ = z-score(log(1 + c / s)),     E = relu(bn(x̄ W_E)),   B = E W_B
    D = relu(bn(relu(bn(B)) W_D)),   M = exp(D W_μ),   Θ = softplus(D W_θ),   Π = sigmoid(D W_π)

and the mean of the likelihood is s · M.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from converters.dca.likelihood import nb_deviance, nb_log_likelihood, zinb_log_likelihood
from converters.typicality import Typicality

MEAN_RANGE = (1e-5, 1e6)
DISPERSION_RANGE = (1e-4, 1e4)


class SizeFactors(nn.Module):
    """Counts to the network's input, and the size factor of each cell.

    As published, s is a cell's counts over the median of the training cells', and the input is
    log(1 + c / s) with mean 0 and variance 1 for each gene. In a file that lacks genes (m is
    `gene_present`) the counts stand for the share p of a training cell that they were in training,
    s = Σ(m·c) / Σ(m·p) / median, and a missing gene enters as its training mean, which is 0.
    """

    share: Tensor
    median: Tensor
    mean: Tensor
    sd: Tensor

    def __init__(self, genes: int) -> None:
        super().__init__()
        self.register_buffer("share", torch.full((genes,), 1 / genes))
        self.register_buffer("median", torch.ones(()))
        self.register_buffer("mean", torch.zeros(genes))
        self.register_buffer("sd", torch.ones(genes))

    def fit(self, counts: Tensor) -> None:
        """Take shares, median, means and deviations from training cells [cells, genes]."""
        total = counts.sum(dim=1, keepdim=True)
        self.median = total[total > 0].median()
        self.share = (counts / total.clamp(min=1)).mean(dim=0)
        self.share = self.share / self.share.sum()
        logs = self.logs(counts, self.factor(counts, torch.ones_like(self.share)))
        self.mean = logs.mean(dim=0)
        sd = logs.std(dim=0)
        self.sd = torch.where(sd > 0, sd, 1.0)

    def factor(self, counts: Tensor, present: Tensor) -> Tensor:
        """s [cells, 1]; 0 for a cell without counts."""
        known = (present * self.share).sum()
        total = (counts * present).sum(dim=1, keepdim=True)
        return total / (self.median * torch.where(known > 0, known, 1.0))

    def logs(self, counts: Tensor, factor: Tensor) -> Tensor:
        """log(1 + c / s) [cells, genes], finite for a cell without counts."""
        return torch.log1p(counts / torch.where(factor > 0, factor, 1.0))

    def forward(self, counts: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """x̄ [cells, genes] and s [cells, 1]."""
        factor = self.factor(counts, present)
        return present * (self.logs(counts, factor) - self.mean) / self.sd, factor


class _Normalized(nn.Sequential):
    """Batch normalization with an offset and no scale, then ReLU."""

    def __init__(self, width: int) -> None:
        # Keras's defaults, of which torch has others.
        norm = nn.BatchNorm1d(width, eps=1e-3, momentum=0.01)
        norm.weight.requires_grad_(False)
        super().__init__(norm, nn.ReLU())


class CountAutoencoder(nn.Module):
    """genes → hidden → bottleneck → hidden → mean, dispersion and dropout of each gene.

    Parameters
    ----------
    dropout
        Whether there is a Π: zero inflation.
    conditional
        Whether the dispersion is of a gene in a cell, or of a gene.
    input_dropout
        Share of the inputs set to 0 in training.

    """

    def __init__(
        self,
        genes: int,
        hidden: int,
        bottleneck: int,
        *,
        dropout: bool,
        conditional: bool,
        input_dropout: float,
    ) -> None:
        super().__init__()
        self.input_dropout = nn.Dropout(input_dropout)
        self.w_e = nn.Linear(genes, hidden)
        self.norm_e = _Normalized(hidden)
        self.w_b = nn.Linear(hidden, bottleneck)
        self.norm_b = _Normalized(bottleneck)
        self.w_d = nn.Linear(bottleneck, hidden)
        self.norm_d = _Normalized(hidden)
        self.w_mean = nn.Linear(hidden, genes)
        self.w_dispersion = nn.Linear(hidden, genes) if conditional else None
        self.theta = None if conditional else nn.Parameter(torch.zeros(genes))
        self.w_dropout = nn.Linear(hidden, genes) if dropout else None
        for layer in self.children():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)

    def encode(self, x: Tensor) -> Tensor:
        """B [cells, bottleneck] of x̄ [cells, genes], before its normalization, as published."""
        return self.w_b(self.norm_e(self.w_e(self.input_dropout(x))))

    def decode(self, b: Tensor) -> Tensor:
        """D [cells, hidden]."""
        return self.norm_d(self.w_d(self.norm_b(b)))

    def means(self, d: Tensor) -> Tensor:
        """M [cells, genes]: for a cell with a size factor of 1."""
        return torch.exp(self.w_mean(d)).clamp(*MEAN_RANGE)

    def dispersions(self, d: Tensor) -> Tensor:
        """Θ [cells, genes]."""
        if self.w_dispersion is not None:
            return functional.softplus(self.w_dispersion(d)).clamp(*DISPERSION_RANGE)
        assert self.theta is not None, "a dispersion is of a cell or of a gene"
        of_genes = functional.softplus(self.theta).clamp(*DISPERSION_RANGE)
        return of_genes.expand(d.shape[0], -1)

    def dropout_logits(self, d: Tensor) -> Tensor | None:
        """Logits of Π [cells, genes]; None without zero inflation."""
        return None if self.w_dropout is None else self.w_dropout(d)

    def loss(self, x: Tensor, factor: Tensor, counts: Tensor) -> Tensor:
        """Mean negative log likelihood of counts [cells, genes], given x̄ and s."""
        d = self.decode(self.encode(x))
        mean, dispersion, logits = (
            factor * self.means(d),
            self.dispersions(d),
            self.dropout_logits(d),
        )
        if logits is None:
            return -nb_log_likelihood(counts, mean, dispersion).mean()
        return -zinb_log_likelihood(counts, mean, dispersion, logits).mean()


class CountModel(nn.Module):
    """The whole graph: counts to `imputed`, the parameters of the likelihood and the bottleneck."""

    def __init__(self, size_factors: SizeFactors, network: CountAutoencoder) -> None:
        super().__init__()
        self.size_factors, self.network = size_factors, network
        self.typicality = Typicality()

    def forward(self, counts: Tensor, gene_present: Tensor) -> tuple[Tensor, ...]:
        """`imputed`, `mean`, `dispersion`, `dropout_prob` (of ZINB), `embedding`, …"""
        x, factor = self.size_factors(counts, gene_present)
        b = self.network.encode(x)
        d = self.network.decode(b)
        mean, dispersion = factor * self.network.means(d), self.network.dispersions(d)
        imputed, dropout = mean, ()
        if (logits := self.network.dropout_logits(d)) is not None:
            dropout_prob = torch.sigmoid(logits)
            # What is expected to be counted: of a share Π of the entries nothing is.
            imputed, dropout = (1 - dropout_prob) * mean, (dropout_prob,)
        error = _error(counts, gene_present, imputed, dispersion)
        return (imputed, mean, dispersion, *dropout, b, error, *self.typicality(error))


def _error(counts: Tensor, present: Tensor, mean: Tensor, dispersion: Tensor) -> Tensor:
    """[cells]: mean deviance of the genes that are there."""
    deviance = nb_deviance(counts * present, mean, dispersion) * present
    return deviance.sum(dim=1) / present.sum().clamp(min=1)
