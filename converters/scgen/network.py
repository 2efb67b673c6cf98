"""The networks of scGen, bottom-up: variational autoencoder, whole graph.

Source: Lotfollahi et al. 2019, doi:10.1038/s41592-019-0494-8. Symbols: x log expression, z its
latent vector (the mean of q(z|x)), δ the mean difference between the latent vectors of stimulated
and of control cells.

    z = μ(x),    x̂_stimulated = decode(z + δ)              as published
                 x̂_stimulated = x + decode(z + δ) − decode(z)   residual

The residual form keeps what the decoder cannot tell of a cell, and adds what it says of the change.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from converters.scgnn.network import LogNormalization
from converters.typicality import Typicality


def _hidden(inputs: int, outputs: int, dropout: float) -> nn.Sequential:
    """Linear, batch normalization, leaky ReLU and dropout, as every hidden layer of scGen."""
    norm = nn.BatchNorm1d(outputs, eps=1e-3, momentum=0.01)
    return nn.Sequential(nn.Linear(inputs, outputs), norm, nn.LeakyReLU(), nn.Dropout(dropout))


class Vae(nn.Module):
    """x → two hidden layers → q(z|x) → two hidden layers → x̂."""

    def __init__(self, genes: int, hidden: int, latent: int, dropout: float) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            _hidden(genes, hidden, dropout), _hidden(hidden, hidden, dropout)
        )
        self.mean = nn.Linear(hidden, latent)
        self.log_variance = nn.Linear(hidden, latent)
        self.decoder = nn.Sequential(
            _hidden(latent, hidden, dropout), _hidden(hidden, hidden, dropout)
        )
        self.output = nn.Linear(hidden, genes)

    def encode(self, x: Tensor) -> Tensor:
        """Mean of q(z|x) [cells, latent]."""
        mean: Tensor = self.mean(self.encoder(x))
        return mean

    def decode(self, z: Tensor) -> Tensor:
        """x̂ [cells, genes]; log expression is never negative."""
        return functional.relu(self.output(self.decoder(z)))

    def loss(self, x: Tensor, kl_weight: float, generator: torch.Generator | None) -> Tensor:
        """Half the squared error, summed over genes, and of the divergence from N(0, 1).

        Without a generator z is the mean: for validation cells.
        """
        h = self.encoder(x)
        mean, log_variance = self.mean(h), self.log_variance(h).clamp(-20, 20)
        z = mean
        if generator is not None:
            noise = torch.randn(mean.shape, generator=generator)
            z = mean + torch.exp(log_variance / 2) * noise
        divergence = (mean**2 + log_variance.exp() - 1 - log_variance).sum(dim=1) / 2
        error = ((self.decode(z) - x) ** 2).sum(dim=1)
        return (error / 2 + kl_weight * divergence / 2).mean()


class ResponseModel(nn.Module):
    """The whole graph: counts of control cells to their expected counts once stimulated."""

    delta: Tensor

    def __init__(
        self, normalization: LogNormalization, network: Vae, delta: Tensor, *, residual: bool
    ) -> None:
        super().__init__()
        self.normalization, self.network, self.residual = normalization, network, residual
        self.register_buffer("delta", delta)
        self.typicality = Typicality()

    def forward(self, counts: Tensor, gene_present: Tensor) -> tuple[Tensor, ...]:
        """`predicted`, `embedding`, `recon_error`, `ood_z`, `ood_p`."""
        x = self.normalization(counts, gene_present)
        z = self.network.encode(x)
        own, stimulated = self.network.decode(z), self.network.decode(z + self.delta)
        error = (gene_present * (own - x) ** 2).sum(dim=1) / gene_present.sum().clamp(min=1)
        if self.residual:
            stimulated = functional.relu(x + stimulated - own)
        predicted = torch.expm1(stimulated) * self.normalization.depth(counts, gene_present)
        return (predicted, z, error, *self.typicality(error))
