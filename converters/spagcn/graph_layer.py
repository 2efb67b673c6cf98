"""The graph convolution of SpaGCN over an edge list.

Hu et al. 2021 (doi:10.1038/s41592-021-01255-8): H = A X W + b with the adjacency of
`zoo.spatial_graph` as it is: exp(-d²/2l²), 1 on the diagonal, rows not normalised. The published
code multiplies a dense n × n matrix; here each receiver adds up what its edges bring, which is the
same sum.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def heard(values: Tensor, edge_index: Tensor, edge_weight: Tensor) -> Tensor:
    """A X: what each spot hears of itself and its neighbours.

    Parameters
    ----------
    values
        float32 [spots, dims].
    edge_index
        int64 [2, edges]: row 0 the receiver, row 1 the source; a spot's own edge included.
    edge_weight
        float32 [edges].

    """
    receiver, source = edge_index[0], edge_index[1]
    messages = values[source] * edge_weight[:, None]  # (edges, dims)
    # values * 0 has the spots' free axis; index_add exports to ScatterND(add) and is exact.
    return torch.index_add(values * 0, 0, receiver, messages)


class GraphConvolution(nn.Module):
    """H = A (X W) + b."""

    def __init__(self, dims_in: int, dims_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(dims_in, dims_out))
        self.bias = nn.Parameter(torch.empty(dims_out))
        bound = dims_out**-0.5  # as the published layer begins
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor) -> Tensor:
        """[spots, dims_in] → [spots, dims_out]."""
        return heard(x @ self.weight, edge_index, edge_weight) + self.bias
