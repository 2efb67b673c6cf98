"""The rounds of the published method: graph, cell types, an autoencoder for each, and again.

Every autoencoder is trained on the whole of its cells at once, with sums over cells and genes as
published: γ · Σ (X − X̂)² + λ₁ · Σ |weights|.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from torch.optim import Optimizer

from converters.fit_run import FitRun
from converters.scgnn.cell_graph import normalized, pruned_graph
from converters.scgnn.clusters import Int64, agreement, cell_types
from converters.scgnn.network import FeatureAutoencoder, GraphAutoencoder, link_loss

if TYPE_CHECKING:
    from converters.scgnn.recipe import PublishedSettings

GRAPH_LEARNING_RATE = 0.01


class Rounds:
    """Where the rounds stand; kept as a whole in a checkpoint.

    Attributes
    ----------
    network
        The feature autoencoder.
    x
        [cells, genes]: what the last round reconstructed.
    labels
        int64 [cells]: its cell types.
    done, converged
        Rounds so far, and whether the last two gave the same cell types.

    """

    def __init__(
        self, network: FeatureAutoencoder, x: Tensor, settings: PublishedSettings, run: FitRun
    ) -> None:
        self.network, self.x, self.settings, self.run = network, x, settings, run
        self.labels: Int64 = np.zeros(len(x), dtype=np.int64)
        self.done, self.converged, self.similarity = 0, False, 0.0

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {
            "network": self.network.state_dict(),
            "x": self.x,
            "labels": torch.from_numpy(self.labels),
            "course": [self.done, int(self.converged), self.similarity],
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """From a checkpoint."""
        self.network.load_state_dict(state_dict["network"])
        self.x, self.labels = state_dict["x"], state_dict["labels"].numpy()
        done, converged, self.similarity = state_dict["course"]
        self.done, self.converged = int(done), bool(converged)

    def go(self) -> float:
        """One round; gives its mean squared error."""
        settings = self.settings
        with torch.no_grad():
            z = self.network.encode(self.x)
        cells = pruned_graph(z, settings.neighbours)
        values = embed(z, cells, settings, self.run)[0] if settings.graph_embedding_used else z
        labels = cell_types(values, cells, self.run.seed).labels.astype(np.int64)
        given = self.x
        self.x = self._by_type(labels)
        optimizer = torch.optim.Adam(self.network.parameters(), lr=settings.learning_rate)
        target = self.x
        loss = 0.0
        for _ in range(settings.round_epochs):
            loss = step(self.network, optimizer, target, None, settings)
        with torch.no_grad():
            self.x = self.network(target)[0]
        self.similarity = agreement(self.labels, labels)
        self.converged = self.similarity > settings.converged
        self.labels, self.done = labels, self.done + 1
        return loss / given.numel()

    def _by_type(self, labels: Int64) -> Tensor:
        """What an autoencoder of each cell type, begun from the shared one, reconstructs."""
        settings = self.settings
        x = torch.zeros_like(self.x)
        for label in np.unique(labels):
            rows = torch.from_numpy(np.flatnonzero(labels == label))
            network = copy.deepcopy(self.network)
            optimizer = torch.optim.Adam(network.parameters(), lr=settings.learning_rate)
            for _ in range(settings.cluster_epochs):
                step(network, optimizer, self.x[rows], None, settings)
            with torch.no_grad():
                x[rows] = network(self.x[rows])[0]
        return x


def step(
    network: FeatureAutoencoder,
    optimizer: Optimizer,
    x: Tensor,
    weight: Tensor | None,
    settings: PublishedSettings,
) -> float:
    """One step on all cells x [cells, genes]; gives the sum of squared errors.

    Parameters
    ----------
    weight
        [cells]: of each cell's squared error; None for γ.

    """
    error = ((network(x)[0] - x) ** 2).sum(dim=1)
    fit = settings.reconstruction * error.sum() if weight is None else (weight * error).sum()
    size = torch.stack([p.abs().sum() for p in network.parameters()]).sum()
    optimizer.zero_grad()
    (fit + settings.l1 * size).backward()
    optimizer.step()
    return float(error.sum().item())


def imputation_weight(
    graph: sparse.csr_matrix, labels: Int64, settings: PublishedSettings
) -> Tensor:
    """float32 [cells]: weight of each cell's squared error when imputing.

    The published regularisers are Σ A E and Σ B E with the squared errors E [cells, genes], the
    graph A and B = 1 for cells of one type. Both sums come down to a weight of each cell: its
    number of neighbours, and the size of its type.
    """
    neighbours = np.asarray(graph.sum(axis=0)).ravel()
    peers = np.bincount(labels)[labels]
    weight = (
        settings.imputation_reconstruction
        + settings.graph_weight * neighbours
        + settings.type_weight * peers
    )
    return torch.from_numpy(weight.astype(np.float32))


def embed(
    z: Tensor, cells: sparse.csr_matrix, settings: PublishedSettings, run: FitRun
) -> tuple[Tensor, GraphAutoencoder]:
    """Graph embedding [cells, dims] of Z, and the variational graph autoencoder that gave it.

    Its input is whether each value lies above its mean over the cells, as published.
    """
    features = (z > z.mean(dim=0)).float()
    network = GraphAutoencoder(z.shape[1], settings.graph_hidden, settings.graph_embedding)
    optimizer = torch.optim.Adam(network.parameters(), lr=GRAPH_LEARNING_RATE)
    spread = normalized(cells)
    linked = torch.from_numpy((cells + sparse.eye(len(z))).toarray().astype(np.float32))
    summed = torch.sparse.mm(spread, features)
    for _ in range(settings.graph_epochs):
        hidden = torch.sparse.mm(spread, network.hide(summed))
        mean, log_sd = network.embed(hidden), network.log_sd(hidden)
        noise = torch.randn(mean.shape, generator=run.generator)
        drawn = mean + noise * log_sd.exp()
        divergence = (mean**2 + (2 * log_sd).exp() - 1 - 2 * log_sd).sum(dim=1).mean() / 2
        loss = link_loss(drawn @ drawn.T, linked) + divergence / len(z)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        hidden = torch.sparse.mm(spread, network.hide(summed))
        return network.embed(hidden), network
