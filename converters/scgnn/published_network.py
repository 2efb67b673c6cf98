"""The published form as a graph for new cells: what the rounds end with, frozen.

    X̂ = impute(X),   Z = encode(X),   B = [Z > mean Z],   H = relu(Â B W₅),   G = Â H W₆

The last round's encoder was trained on what the round before reconstructed of the training cells,
which nobody has of a new cell: it is given X, and so were the training cells whose tables are the
frozen reference. X̂ goes out as counts at the cell's own depth; no level is set (`network.Level`),
since the paper sets none.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from converters.scgnn.network import FeatureAutoencoder, GraphAutoencoder, LogNormalization
from converters.scgnn.reference import FrozenReference, Joined
from converters.typicality import Typicality


class Centres(nn.Module):
    """k-means centres in the space that was clustered."""

    places: Tensor

    def __init__(self, places: Tensor) -> None:
        super().__init__()
        self.register_buffer("places", places)

    def forward(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Cluster int64 [cells] and distance [cells] from its centre, of values [cells, dims]."""
        distance = ((values[:, None, :] - self.places) ** 2).sum(dim=2).sqrt()
        nearest = distance.min(dim=1)
        return nearest.indices, nearest.values


class PublishedModel(nn.Module):
    """Counts to graph embedding, imputation, cluster and distance from the training cells."""

    threshold: Tensor

    def __init__(
        self,
        normalization: LogNormalization,
        imputer: FeatureAutoencoder,
        encoder: FeatureAutoencoder,
        *,
        threshold: Tensor,
        graph: GraphAutoencoder | None,
        reference: FrozenReference,
        centres: Centres,
        typicality: Typicality,
    ) -> None:
        super().__init__()
        self.normalization, self.imputer, self.encoder = normalization, imputer, encoder
        self.graph_autoencoder, self.reference = graph, reference
        self.centres, self.typicality = centres, typicality
        self.register_buffer("threshold", threshold)

    def forward(self, counts: Tensor, gene_present: Tensor) -> tuple[Tensor, ...]:
        """`embedding, imputed, cluster, cluster_distance, ref_distance, ood_z, ood_p`."""
        x, z = self.encode(counts, gene_present)
        imputed = torch.expm1(x) * self.normalization.depth(counts, gene_present)
        joined = self.reference.join(z)
        embedding = self.embed(z, joined)
        distance = joined.distance.mean(dim=1)
        return (
            embedding, imputed, *self.centres(embedding), distance, *self.typicality(distance)
        )  # fmt: skip

    def encode(self, counts: Tensor, gene_present: Tensor) -> tuple[Tensor, Tensor]:
        """X̂ [cells, genes] and Z [cells, dims]."""
        x = self.normalization(counts, gene_present)
        return self.imputer(x)[0], self.encoder.encode(x)

    def embed(self, z: Tensor, joined: Joined) -> Tensor:
        """G, or Z itself where clusters are made without the graph autoencoder."""
        if self.graph_autoencoder is None:
            return z
        h = self.graph_autoencoder.hide(
            joined.sum((z > self.threshold).float(), self.reference.features)
        )
        return self.graph_autoencoder.embed(joined.sum(h, self.reference.hidden))
