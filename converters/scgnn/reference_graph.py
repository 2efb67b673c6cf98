"""The reference graph while its layers are trained: training cells join it as new ones would."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from converters.scgnn.cell_graph import normalized, pruned_graph
from converters.scgnn.masking import MaskedCells
from converters.scgnn.network import link_loss
from converters.scgnn.reference import FrozenReference
from converters.scgnn.reference_network import ReferenceNetwork

if TYPE_CHECKING:
    from converters.scgnn.recipe import ReferenceSettings


class ReferenceGraph:
    """Frozen graph of some training cells, with the losses of the layers above it.

    Parameters
    ----------
    z
        [training cells, dims]: their embeddings.
    chosen
        [refs]: which of them are in the graph, ascending.

    """

    def __init__(
        self, z: Tensor, chosen: Tensor, network: ReferenceNetwork, settings: ReferenceSettings
    ) -> None:
        self.network, self.settings = network, settings
        cells = pruned_graph(z[chosen], settings.neighbours)
        dims = z.shape[1]
        self.reference = FrozenReference(
            len(chosen), dims, dims, settings.graph_hidden, k=settings.neighbours
        )
        self.reference.set_graph(z[chosen], z[chosen], cells)
        self.spread = normalized(cells)
        self.summed = torch.sparse.mm(self.spread, z[chosen])  # Â Z, which no longer changes
        self.place = torch.full((len(z),), -1).scatter(0, chosen, torch.arange(len(chosen)))

    def losses(self, cells: MaskedCells, rows: Tensor | None) -> tuple[Tensor, Tensor]:
        """Imputation loss, and the graph autoencoder's own with its weight."""
        network, reference, settings = self.network, self.reference, self.settings
        z = network.autoencoder.encode(cells.shown)
        reference.hidden = network.graph.hide(self.summed)
        joined = reference.join(z, None if rows is None else self.place[rows])
        g = network.graph_embedding(z, reference, joined)
        imputation = cells.loss(network.decode(z, g), settings.masked_weight)
        if not (settings.graph and settings.link_weight):
            return imputation, torch.zeros(())
        others = network.graph.embed(torch.sparse.mm(self.spread, reference.hidden))
        kept = (joined.weight > 0).float()
        linked = torch.zeros(len(g), len(others)).scatter(1, joined.found, kept)
        return imputation, settings.link_weight * link_loss(g @ others.T, linked)

    def frozen(self) -> FrozenReference:
        """The reference with the hidden layer of the trained network."""
        self.reference.hidden = self.network.graph.hide(self.summed).detach()
        return self.reference
