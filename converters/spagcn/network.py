"""SpaGCN's graph layer with a supervised head: what the lent labels teach, and the whole graph.

Symbols: y components of a spot, ȳ their mean over the slide, A the spatial adjacency.

    h = A ((y − ȳ) W) + b          the published layer, one for all slides
    logits = dropout(gelu(h)) U + c

The published method takes its components from each slide alone, so it sees a spot against the mean
of its slide. Here the axes come from the training slides and only the mean from the slide itself:
patients and sections differ by an offset that no threshold survives. A slide is one graph, and it
is always given whole, so this mean is as well defined as its edges.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from converters.spagcn.components import Components
from converters.spagcn.confidence import Confidence
from converters.spagcn.graph_layer import GraphConvolution

OUTPUTS = ("label", "prob", "conformal_p", "in_set", "ood_z", "ood_p", "embedding")


class HeadNetwork(nn.Module):
    """Components of the spots to hidden values and logits."""

    def __init__(
        self, components: int, classes: int, *, hidden: int, dropout: float, graph: bool
    ) -> None:
        super().__init__()
        self.convolution = GraphConvolution(components, hidden)
        self.head = nn.Linear(hidden, classes)
        self.dropout, self.graph = dropout, graph

    def forward(self, y: Tensor, edge_index: Tensor, edge_weight: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [spots, classes] and h [spots, hidden] of components [spots, components]."""
        if not self.graph:  # the same network, in which every spot hears itself alone
            edge_weight = edge_weight * (edge_index[0] == edge_index[1]).float()
        h = self.convolution(y, edge_index, edge_weight)
        active = functional.dropout(functional.gelu(h), self.dropout, self.training)
        return self.head(active), h


def centred(y: Tensor, slide: Tensor) -> Tensor:
    """y − ȳ for spots [spots, components] of several slides, slide int64 [spots] from 0."""
    slides = int(slide.max()) + 1
    sums = torch.zeros(slides, y.shape[1], device=y.device).index_add(0, slide, y)
    sizes = torch.bincount(slide, minlength=slides).clamp(min=1)
    return y - (sums / sizes[:, None])[slide]


class SpatialClassifier(nn.Module):
    """The whole graph, for one slide: counts and edges to every output of the contract."""

    def __init__(
        self, components: Components, network: HeadNetwork, confidence: Confidence, centre: bool
    ) -> None:
        super().__init__()
        self.components, self.network, self.confidence = components, network, confidence
        self.centre = centre

    def forward(
        self, counts: Tensor, gene_present: Tensor, edge_index: Tensor, edge_weight: Tensor
    ) -> tuple[Tensor, ...]:
        """All of `OUTPUTS`, in their order."""
        y = self.components(counts, gene_present)
        if self.centre:
            y = y - y.mean(dim=0, keepdim=True)
        logits, h = self.network(y, edge_index, edge_weight)
        prob, p, in_set, ood_z, ood_p = self.confidence(logits, h)
        return prob.argmax(dim=1), prob, p, in_set, ood_z, ood_p, h
