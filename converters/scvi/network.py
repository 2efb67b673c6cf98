"""scVI and scANVI, bottom-up: encoder, decoder, classifier, and the two halves of scANVI's latent.

Lopez et al. 2018, doi:10.1038/s41592-018-0229-2; Xu et al. 2021, doi:10.15252/msb.20209620;
reference implementation: https://github.com/scverse/scvi-tools (scvi/module/_vae.py, _scanvae.py).

Symbols: x counts, m gene_present, s share of each gene in a training cell, D depth of a training
cell, μ mean of its log values, b batch, ℓ counts of a cell, ρ share of a gene in it.

    v = m · log(1 + D · Σ(m·s) · x / Σ(m·x)) + (1 − m) · μ            what the encoder sees
    q(z|x) = N(encoder(v));   ρ, π = decoder(z, b);   x ~ ZINB(ℓ ρ, θ, π)
    q(y|z) = classifier(z);   q(z₂|z, y), p(z|z₂, y)                   scANVI

The encoder does not see the batch, so cells of a new donor need none. Layer norm stands where the
default of the reference has batch norm: its users turn to it for transfer to other data, and it has
no statistics of a batch that a graph would have to freeze.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_SMALLEST_VARIANCE = 1e-4


def hidden_layer(inputs: int, hidden: int, dropout: float) -> nn.Sequential:
    """Linear, layer norm, ReLU, dropout."""
    norm = nn.LayerNorm(hidden, elementwise_affine=False)
    return nn.Sequential(nn.Linear(inputs, hidden), norm, nn.ReLU(), nn.Dropout(dropout))


class DepthNormalization(nn.Module):
    """Counts to log(1 + counts at the depth of a training cell), [cells, genes].

    scVI takes log(1 + x) of the counts as they are: this is the same for a cell of the usual depth
    with all its genes. The sum is held against the share of the genes that are there, and absent
    genes enter as the training mean. Dominant genes (insulin) stay out of both sums.
    """

    share: Tensor
    summed: Tensor
    mean: Tensor
    depth: Tensor

    def __init__(self, genes: int) -> None:
        super().__init__()
        self.register_buffer("share", torch.full((genes,), 1 / genes))
        self.register_buffer("summed", torch.ones(genes))
        self.register_buffer("mean", torch.zeros(genes))
        self.register_buffer("depth", torch.ones(()))

    def fit(self, counts: Tensor, *, dominant_share: float) -> None:
        """Take shares, depth and means from training cells [cells, genes]."""
        fractions = counts / counts.sum(dim=1, keepdim=True).clamp(min=1)
        self.summed = (fractions.mean(dim=0) <= dominant_share).float()
        totals = counts @ self.summed
        self.depth = totals.median()
        self.share = (counts / totals[:, None].clamp(min=1)).mean(dim=0) * self.summed
        self.mean = self(counts, torch.ones(counts.shape[1])).mean(dim=0)

    def forward(self, counts: Tensor, present: Tensor) -> Tensor:
        """Values of counts [cells, genes]; present [genes], or [cells, genes] in training."""
        x = counts * present
        total = (x * self.summed).sum(dim=1, keepdim=True)  # (cells, 1)
        share = (present * self.share).sum(dim=-1, keepdim=True)
        # A cell without counts gets scale × 0 = 0: finite, never 0 / 0.
        scale = self.depth * share / torch.where(total > 0, total, torch.ones_like(total))
        return torch.log1p(x * scale) + (1 - present) * self.mean


class Gaussian(nn.Module):
    """A hidden layer, then mean and variance of a normal distribution."""

    def __init__(self, inputs: int, hidden: int, latent: int, dropout: float) -> None:
        super().__init__()
        self.hidden = hidden_layer(inputs, hidden, dropout)
        self.mean = nn.Linear(hidden, latent)
        self.log_variance = nn.Linear(hidden, latent)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance [cells, latent]."""
        h = self.hidden(x)
        return self.mean(h), self.log_variance(h).exp() + _SMALLEST_VARIANCE


class Decoder(nn.Module):
    """Latent and batch to the share of each gene and the logit of its dropout."""

    def __init__(self, latent: int, batches: int, hidden: int, genes: int) -> None:
        super().__init__()
        self.batches = batches
        self.hidden = hidden_layer(latent + batches, hidden, 0.0)
        self.share = nn.Linear(hidden, genes)
        self.dropout = nn.Linear(hidden, genes)
        self.log_theta = nn.Parameter(torch.randn(genes))

    def forward(self, z: Tensor, batch: Tensor) -> tuple[Tensor, Tensor]:
        """ρ and π [cells, genes] of z [cells, latent] and one-hot batch [cells, batches]."""
        h = self.hidden(torch.cat([z, batch], dim=1))
        return functional.softmax(self.share(h), dim=1), self.dropout(h)


class ScviNetwork(nn.Module):
    """Normalization, encoder and decoder."""

    def __init__(
        self, genes: int, *, batches: int, hidden: int, latent: int, dropout: float
    ) -> None:
        super().__init__()
        self.normalization = DepthNormalization(genes)
        self.encoder = Gaussian(genes, hidden, latent, dropout)
        self.decoder = Decoder(latent, batches, hidden, genes)

    def forward(self, counts: Tensor, present: Tensor) -> Tensor:
        """Mean of z, [cells, latent]: the part that becomes the graph."""
        z: Tensor = self.encoder(self.normalization(counts, present))[0]
        return z

    def gene_weight(self, counts: Tensor, labels: Tensor | None = None) -> Tensor:
        """float32 [genes]: share of what the encoder sees that each gene brings.

        The squared norm of a gene's first weights times the variance of its values between cells,
        or between the classes' means where labels are known.
        """
        v = self.normalization(counts, torch.ones(counts.shape[1]))
        if labels is not None:
            v = torch.stack([v[labels == label].mean(dim=0) for label in labels.unique()])
        linear = self.encoder.hidden[0]
        energy = linear.weight.detach().square().sum(dim=0) * v.var(dim=0)
        return energy / energy.sum()


class ScanviNetwork(nn.Module):
    """scVI with a classifier on z, and z itself explained by the class and a second latent."""

    def __init__(
        self, scvi: ScviNetwork, *, classes: int, hidden: int, latent: int, dropout: float
    ) -> None:
        super().__init__()
        self.scvi, self.classes = scvi, classes
        self.classifier = nn.Sequential(
            hidden_layer(latent, hidden, dropout), nn.Linear(hidden, classes)
        )
        self.encoder_z2 = Gaussian(latent + classes, hidden, latent, dropout)
        self.decoder_z = Gaussian(latent + classes, hidden, latent, dropout)

    def forward(self, counts: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [cells, classes] and mean of z [cells, latent]: what becomes the graph."""
        z = self.scvi(counts, present)
        return self.classifier(z), z
