"""The pretrained form: encode a cell, let it join the frozen reference graph, decode both views.

    Z = encode(X),   H = relu(Â Z W₅),   G = Â H W₆,   X̂ = relu(relu(Z W₃ + G U) W₄)

Without the graph Â is the identity: the same network, whose cells know no neighbours.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from converters.scgnn.network import FeatureAutoencoder, GraphAutoencoder, Level, LogNormalization
from converters.scgnn.reference import FrozenReference, Joined
from converters.typicality import Typicality


class ReferenceNetwork(nn.Module):
    """What is trained: everything between log expression and its imputation."""

    def __init__(
        self, autoencoder: FeatureAutoencoder, graph: GraphAutoencoder, *, linked: bool
    ) -> None:
        super().__init__()
        self.autoencoder, self.graph, self.linked = autoencoder, graph, linked
        hidden = autoencoder.w3.out_features
        self.u = nn.Linear(graph.w6.shape[1], hidden, bias=False)
        nn.init.zeros_(self.u.weight)  # begins as the feature autoencoder alone

    def graph_embedding(self, z: Tensor, reference: FrozenReference, joined: Joined) -> Tensor:
        """G [cells, dims] of cells z that joined the reference."""
        if not self.linked:
            return self.graph.embed(self.graph.hide(z))
        h = self.graph.hide(joined.sum(z, reference.features))
        return self.graph.embed(joined.sum(h, reference.hidden))

    def decode(self, z: Tensor, g: Tensor) -> Tensor:
        """X̂ [cells, genes]."""
        h = functional.relu(self.autoencoder.w3(z) + self.u(g))
        return functional.relu(self.autoencoder.w4(h))


class ReferenceModel(nn.Module):
    """The whole graph: counts to G, imputation and distance from the reference."""

    def __init__(
        self,
        normalization: LogNormalization,
        network: ReferenceNetwork,
        reference: FrozenReference,
    ) -> None:
        super().__init__()
        self.normalization, self.network, self.reference = normalization, network, reference
        self.level = Level(len(normalization.share))
        self.typicality = Typicality()

    def forward(
        self, counts: Tensor, gene_present: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """`embedding`, `imputed`, `ref_distance`, `ood_z`, `ood_p`."""
        embedding, x, distance = self.answers(counts, gene_present)
        imputed = self.level(x) * self.normalization.depth(counts, gene_present)
        return (embedding, imputed, distance, *self.typicality(distance))

    def answers(self, counts: Tensor, gene_present: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """G, X̂ and the mean distance to the neighbours: all that needs no calibration."""
        z = self.network.autoencoder.encode(self.normalization(counts, gene_present))
        joined = self.reference.join(z)
        g = self.network.graph_embedding(z, self.reference, joined)
        return g, self.network.decode(z, g), joined.distance.mean(dim=1)
