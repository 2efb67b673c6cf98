"""The network of SAUCIE and the graph around it: raw values in, embedding and all else out.

Amodio et al. 2019, doi:10.1038/s41592-019-0576-7. Symbols: x normalized values, z embedding,
h activations of the clustering layer ("layer c"), x̂ reconstruction.

    encoder  x → 512 → 256 → 128 → z        leaky ReLU of slope 0.2, z linear
    decoder  z → 128 → 256 → 512 = h → x̂    h is a ReLU where λc > 0, x̂ linear
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from converters.typicality import Typicality

SLOPE = 0.2
_SD_FLOOR = 0.1
_CLIP = 8.0


class CountNormalization(nn.Module):
    """Counts to standardised log values; a cell's scale and its missing genes are taken out.

        x = m · (log(1 + T · Σ(m·s) · c / Σ(m·c)) − μ) / σ

    c counts, m gene_present, s share of each gene in a training cell, μ and σ mean and standard
    deviation of the logs. Sums run over all but a few dominant genes. A missing gene enters as the
    training mean, 0.
    """

    share: Tensor
    summed: Tensor
    mean: Tensor
    sd: Tensor

    def __init__(self, genes: int, *, target: float) -> None:
        super().__init__()
        self.target = target
        self.register_buffer("share", torch.full((genes,), 1 / genes))
        self.register_buffer("summed", torch.ones(genes))
        self.register_buffer("mean", torch.zeros(genes))
        self.register_buffer("sd", torch.ones(genes))

    def fit(self, counts: Tensor, *, dominant_share: float) -> None:
        """Take shares, means and standard deviations from training cells [cells, genes]."""
        fractions = counts / counts.sum(dim=1, keepdim=True).clamp(min=1)
        summed = (fractions.mean(dim=0) <= dominant_share).float()
        self.summed = summed if summed.any() else torch.ones_like(summed)
        self.share = _fractions(counts, self.summed).mean(dim=0) * self.summed
        logs = torch.log1p(_fractions(counts, self.summed) * self.target)
        self.mean, self.sd = logs.mean(dim=0), logs.std(dim=0).clamp(min=_SD_FLOOR)

    def scale(self, counts: Tensor, present: Tensor) -> Tensor:
        """float32 [cells, 1]: the factor that brings a cell to T counts."""
        total = (counts * present * self.summed).sum(dim=1, keepdim=True)  # (cells, 1)
        share = (present * self.share).sum(dim=-1, keepdim=True)
        # A cell without counts is multiplied by something finite, never by 1 / 0.
        return self.target * share / torch.where(total > 0, total, torch.ones_like(total))

    def forward(self, counts: Tensor, present: Tensor) -> Tensor:
        """Normalize counts [cells, genes], with `present` [genes] or [cells, genes]."""
        logs = torch.log1p(counts * present * self.scale(counts, present))
        return ((logs - self.mean) / self.sd).clamp(-_CLIP, _CLIP) * present

    def undone(self, x: Tensor, counts: Tensor, present: Tensor) -> Tensor:
        """Counts at the cell's own depth behind normalized values [cells, genes], at least 0."""
        logs = x.clamp(-_CLIP, _CLIP) * self.sd + self.mean
        # A panel without any gene that is summed has scale 0.
        scale = self.scale(counts, present).clamp(min=1e-6)
        return torch.expm1(logs).clamp(min=0) / scale


class IntensityNormalization(nn.Module):
    """Intensities to standardised arcsinh values: x = m · (arcsinh(c / cofactor) − μ) / σ."""

    mean: Tensor
    sd: Tensor

    def __init__(self, genes: int, *, cofactor: float) -> None:
        super().__init__()
        self.cofactor = cofactor
        self.register_buffer("mean", torch.zeros(genes))
        self.register_buffer("sd", torch.ones(genes))

    def fit(self, values: Tensor) -> None:
        """Take means and standard deviations from training cells [cells, markers]."""
        arcsinh = torch.asinh(values / self.cofactor)
        self.mean, self.sd = arcsinh.mean(dim=0), arcsinh.std(dim=0).clamp(min=_SD_FLOOR)

    def forward(self, values: Tensor, present: Tensor) -> Tensor:
        """Normalize intensities [cells, markers], with `present` [markers] or [cells, markers]."""
        x = (torch.asinh(values / self.cofactor) - self.mean) / self.sd
        return x.clamp(-_CLIP, _CLIP) * present

    def undone(self, x: Tensor, values: Tensor, present: Tensor) -> Tensor:
        """Intensities behind normalized values [cells, markers], at least 0."""
        arcsinh = x.clamp(-_CLIP, _CLIP) * self.sd + self.mean
        return (torch.sinh(arcsinh) * self.cofactor).clamp(min=0)


class SaucieNetwork(nn.Module):
    """The autoencoder."""

    def __init__(
        self, genes: int, *, layers: Sequence[int], embedding: int, relu_codes: bool
    ) -> None:
        super().__init__()
        widths = (genes, *layers, embedding)
        self.encoder = nn.ModuleList(_linear(a, b) for a, b in pairwise(widths))
        self.decoder = nn.ModuleList(_linear(a, b) for a, b in pairwise(widths[::-1]))
        self.relu_codes = relu_codes

    def encode(self, x: Tensor) -> Tensor:
        """[cells, genes] → z [cells, embedding]."""
        *hidden, last = self.encoder
        for layer in hidden:
            x = functional.leaky_relu(layer(x), SLOPE)
        return last(x)

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Z [cells, embedding] → h [cells, layers[0]] and x̂ [cells, genes]."""
        *hidden, before, last = self.decoder
        for layer in hidden:
            z = functional.leaky_relu(layer(z), SLOPE)
        slope = 0.0 if self.relu_codes else SLOPE
        h = functional.leaky_relu(before(z), slope)
        return h, last(h)


class NearestCentroid(nn.Module):
    """Clusters as frozen k-means centroids of the training cells' embedding."""

    centroids: Tensor

    def __init__(self, centroids: Tensor) -> None:
        """Keep centroids, float32 [clusters, embedding]."""
        super().__init__()
        self.register_buffer("centroids", centroids)

    def forward(self, z: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Nearest centroid, int64 [cells], and the Euclidean distance to it, float32 [cells]."""
        distance = (z[:, None, :] - self.centroids).square().sum(dim=2).sqrt()
        return distance.argmin(dim=1), distance.min(dim=1).values


class BinaryCodes(nn.Module):
    """Clusters as published: cells whose binarised activations of the clustering layer agree.

    Codes that many training cells share are frozen, and so is the largest training activation,
    which the published code takes from whatever data set it is given.
    """

    codes: Tensor
    threshold: Tensor

    def __init__(self, h: Tensor, *, smallest: int) -> None:
        """Take the codes that more than `smallest` of the training cells [cells, units] have."""
        super().__init__()
        self.register_buffer("threshold", 1e-6 * h.max())
        codes, counts = torch.unique((h > self.threshold).float(), dim=0, return_counts=True)
        # A code that no cell can have stands in where none is frequent enough.
        kept = codes[counts > smallest]
        self.found = len(kept)
        self.register_buffer("codes", kept if self.found else torch.full_like(codes[:1], 2.0))

    def forward(self, z: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Index of the cell's code, −1 for none of them, and bits by which it misses the next."""
        bits = (h > self.threshold).float()
        differing = (bits[:, None, :] - self.codes).square().sum(dim=2)  # (cells, codes)
        least, nearest = differing.min(dim=1)
        return torch.where(least < 0.5, nearest, torch.full_like(nearest, -1)), least


class SaucieModel(nn.Module):
    """The graph: normalization, autoencoder, clusters, and how typical the error is."""

    gene_error: Tensor
    retransformation: Tensor

    def __init__(
        self,
        normalization: CountNormalization | IntensityNormalization,
        network: SaucieNetwork,
        clusters: NearestCentroid | BinaryCodes,
    ) -> None:
        super().__init__()
        self.normalization, self.network, self.clusters = normalization, network, clusters
        self.typicality = Typicality()
        self.register_buffer("gene_error", torch.ones_like(normalization.mean))
        # A mean of logarithms, undone, is less than the mean count: by this factor for each gene
        # (ratio form of Duan's smearing estimate, JASA 78:605, 1983).
        self.register_buffer("retransformation", torch.ones_like(normalization.mean))

    def reconstruction_error(self, x: Tensor, reconstruction: Tensor, present: Tensor) -> Tensor:
        """float32 [cells]: mean squared error over all genes, as far as the present ones tell it.

        With `gene_error` e, a training cell's error of each gene: mean(e) · Σ m(x − x̂)² / Σ m·e.
        """
        e = self.gene_error
        errors = ((x - reconstruction).square() * present).sum(dim=1)
        return errors * e.mean() / (present * e).sum().clamp(min=1e-12)

    def forward(self, counts: Tensor, gene_present: Tensor) -> tuple[Tensor, ...]:
        """embedding, imputed, cluster, cluster_distance, recon_error, ood_z, ood_p.

        Parameters
        ----------
        counts
            float32 [cells, genes]: raw counts or intensities.
        gene_present
            float32 [genes]: 1 where the file has the gene.

        """
        x = self.normalization(counts, gene_present)
        z = self.network.encode(x)
        h, reconstruction = self.network.decode(z)
        imputed = self.normalization.undone(reconstruction, counts, gene_present)
        imputed = imputed * self.retransformation
        cluster, distance = self.clusters(z, h)
        error = self.reconstruction_error(x, reconstruction, gene_present)
        ood_z, ood_p = self.typicality(error)
        return z, imputed, cluster, distance, error, ood_z, ood_p


class HalfLinear(nn.Module):
    """A linear layer whose weights are stored in half and used in single precision."""

    weight: Tensor
    bias: Tensor

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.register_buffer("weight", layer.weight.detach().half())
        self.register_buffer("bias", layer.bias.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """[cells, in] → [cells, out]."""
        return functional.linear(x, self.weight.float(), self.bias)


def halved(network: SaucieNetwork) -> SaucieNetwork:
    """The network with its weights in half precision: half the size of the model's file."""
    network.encoder = nn.ModuleList(HalfLinear(layer) for layer in network.encoder)
    network.decoder = nn.ModuleList(HalfLinear(layer) for layer in network.decoder)
    return network


def _linear(inputs: int, outputs: int) -> nn.Linear:
    """A layer that starts as the published code's layers do (Glorot uniform, no bias)."""
    layer = nn.Linear(inputs, outputs)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def _fractions(counts: Tensor, summed: Tensor) -> Tensor:
    return counts / (counts @ summed)[:, None].clamp(min=1)
