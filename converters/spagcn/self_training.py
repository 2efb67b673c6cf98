"""The published method: a graph layer that sharpens its own clusters, on one slide.

Hu et al. 2021, with the defaults of the published code. Symbols as there: h output of the graph
layer, μ_k centres, α = 0.2,

    q_ik ∝ (1 + ‖h_i − μ_k‖² / α)^-(α + 1)          p_ik ∝ q_ik² / Σ_i q_ik

(the code's exponent is α + 1, since its `/ 2` stands outside the power and cancels) and the loss is
KL(p ‖ q), with p renewed every third step. Training is over once hardly a spot changes its cluster.

The first clusters come from k-means on h, one of the two starts that the published code offers. Its
default is Louvain, whose resolution the tutorial searches for until the number of clusters is the
one that was wanted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from converters.fit_run import FitRun
from converters.recipe import Fitted
from converters.spagcn.components import Components
from converters.spagcn.graph_layer import GraphConvolution
from converters.spagcn.recipe import CLUSTER_OUTPUTS, SelfTrainingSettings
from converters.spagcn.slide_graph import joined_graph
from converters.training_cells import TrainingCells
from zoo.card import GraphRecipe
from zoo.clustering import kmeans
from zoo.errors import TooFewCells

ALPHA = 0.2
RESTARTS = 20
TOLERANCES: Mapping[str, tuple[float, float]] = {
    "cluster": (0, 0),
    "cluster_distance": (1e-3, 1e-3),
    "embedding": (1e-3, 1e-3),
}


class SelfTrained(nn.Module):
    """The graph layer and the centres."""

    centres: nn.Parameter

    def __init__(self, components: int, clusters: int) -> None:
        super().__init__()
        self.convolution = GraphConvolution(components, components)
        self.centres = nn.Parameter(torch.zeros(clusters, components))

    def forward(self, y: Tensor, edge_index: Tensor, edge_weight: Tensor) -> tuple[Tensor, Tensor]:
        """h [spots, components] and squared distances [spots, clusters] of y."""
        h = self.convolution(y, edge_index, edge_weight)
        return h, (h[:, None, :] - self.centres).square().sum(dim=2)


class SlideDomains(nn.Module):
    """The whole graph: counts and edges to cluster, distance and embedding."""

    def __init__(self, components: Components, network: SelfTrained) -> None:
        super().__init__()
        self.components, self.network = components, network

    def forward(
        self, counts: Tensor, edge_index: Tensor, edge_weight: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Outputs in the order of `CLUSTER_OUTPUTS`."""
        y = self.components(counts, torch.ones_like(self.components.share))
        h, squared = self.network(y, edge_index, edge_weight)
        return squared.argmin(dim=1), torch.sqrt(squared.amin(dim=1)), h


def assignment(squared: Tensor) -> Tensor:
    """q [spots, clusters] of squared distances."""
    q = (1 + squared / ALPHA) ** -(ALPHA + 1)
    return q / q.sum(dim=1, keepdim=True)


def target(q: Tensor) -> Tensor:
    """p [spots, clusters]: sharper than q, and not in favour of large clusters."""
    p = q**2 / q.sum(dim=0)
    return p / p.sum(dim=1, keepdim=True)


def divergence(p: Tensor, q: Tensor) -> Tensor:
    """Mean over the spots of KL(p ‖ q)."""
    return (p * (torch.log(p.clamp(min=1e-12)) - torch.log(q + 1e-6))).sum(dim=1).mean()


def fit_slide(
    cells: TrainingCells, settings: SelfTrainingSettings, recipe: GraphRecipe, run: FitRun
) -> Fitted:
    """Self-train on all spots.

    Raises
    ------
    TooFewCells
        If there are not more spots than clusters.

    """
    if len(cells) <= settings.clusters:
        raise TooFewCells(cells.path, "whole", len(cells), settings.clusters + 1)
    assert cells.slides is not None
    edges = joined_graph(cells.slides, recipe)
    counts = torch.from_numpy(cells.dense())
    torch.manual_seed(run.seed)
    components = Components(counts.shape[1], min(settings.components, *counts.shape))
    components.fit(counts)
    with torch.no_grad():
        y = components(counts, torch.ones(counts.shape[1]))
    network = SelfTrained(y.shape[1], settings.clusters)
    first = start(network, y, edges, settings, run.seed)
    steps = self_train(network.to(run.device), y, edges, first, settings, run)
    module = SlideDomains(components, network.cpu()).eval()
    with torch.no_grad():
        last = module(counts, *edges)[0].numpy()
    logs = components.logs(counts, torch.ones(counts.shape[1]))
    weight = (components.axes @ network.convolution.weight.detach()).square().sum(dim=1)
    weight = weight * logs.var(dim=0)
    return Fitted(
        module=module,
        inputs=("counts", "edge_index", "edge_weight"),
        outputs=CLUSTER_OUTPUTS,
        tolerances=TOLERANCES,
        gene_weight=(weight / weight.sum()).numpy().astype(np.float32),
        # The slide that it was trained on has all of the genes.
        gene_coverage=0.99,
        facts={
            "steps": steps,
            "clusters_kept": len(np.unique(last)),
            "spots_moved": float((last != first).mean()),
        },
    )


@torch.no_grad()
def start(
    network: SelfTrained,
    y: Tensor,
    edges: tuple[Tensor, Tensor],
    settings: SelfTrainingSettings,
    seed: int,
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The first clusters, int64 [spots]; their means in h become the centres."""
    h, _ = network(y, *edges)
    points = h if settings.spatial_start else y
    labels = kmeans(points.numpy(), settings.clusters, seed=seed, restarts=RESTARTS).labels
    for k in range(settings.clusters):
        if (labels == k).any():
            network.centres[k] = h[torch.from_numpy(labels == k)].mean(dim=0)
    return labels.astype(np.int64)


def self_train(
    network: SelfTrained,
    y: Tensor,
    edges: tuple[Tensor, Tensor],
    first: np.ndarray[Any, np.dtype[np.int64]],
    settings: SelfTrainingSettings,
    run: FitRun,
) -> int:
    """Train until the clusters stand still; the number of steps comes back."""
    optimizer = torch.optim.Adam(
        network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay
    )
    y, edge_index, edge_weight = (part.to(run.device) for part in (y, *edges))
    before = torch.from_numpy(first).to(run.device)
    keep = {"network": network, "optimizer": optimizer}
    steps, p = 0, None
    for step in run.epochs("self-training", settings.epochs, keep=keep):
        if p is None or step % settings.update_interval == 0:
            with torch.no_grad():
                p = target(assignment(network(y, edge_index, edge_weight)[1]))
        q = assignment(network(y, edge_index, edge_weight)[1])
        loss = divergence(p, q)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        run.report(float(loss.detach()))
        now, steps = q.argmax(dim=1), step + 1
        moved = float((now != before).float().mean())
        before = now
        if step > 0 and (step - 1) % settings.update_interval == 0 and moved < settings.tolerance:
            break
    return steps
