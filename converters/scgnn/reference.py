"""The frozen reference graph: how a single new cell joins a graph that no longer changes.

A cell is linked to its k nearest reference cells, pruned as the graph was, and sums over them with
the weights of Â that it would have as their last neighbour. The reference cells do not see it, so
the answers of a batch do not depend on each other.
"""

from __future__ import annotations

import torch
from scipy import sparse
from torch import Tensor, nn

from converters.scgnn.cell_graph import degrees, kept, nearest


class FrozenReference(nn.Module):
    """Tables of the reference cells: no counts, only what two layers of a network made of them.

    Attributes
    ----------
    z
        float32 [refs, dims]: embeddings, among which neighbours are sought.
    features
        float32 [refs, features]: what the first graph layer sums.
    hidden
        float32 [refs, hidden]: what the second one sums.
    degree
        float32 [refs]: neighbours of each in the frozen graph, itself included.

    """

    z: Tensor
    features: Tensor
    hidden: Tensor
    degree: Tensor

    def __init__(self, refs: int, dims: int, features: int, hidden: int, *, k: int) -> None:
        super().__init__()
        self.k = min(k, refs)
        self.register_buffer("z", torch.zeros(refs, dims))
        self.register_buffer("features", torch.zeros(refs, features))
        self.register_buffer("hidden", torch.zeros(refs, hidden))
        self.register_buffer("degree", torch.ones(refs))

    def set_graph(self, z: Tensor, features: Tensor, graph: sparse.csr_matrix) -> None:
        """Freeze embeddings, features and the graph's degrees."""
        self.z, self.features = z.detach().clone(), features.detach().clone()
        self.degree = torch.from_numpy(degrees(graph))

    def join(self, z: Tensor, place: Tensor | None = None) -> Joined:
        """Links of cells z [cells, dims] to the reference.

        Parameters
        ----------
        place
            int64 [cells]: where a cell is in the reference itself, -1 where it is not; in training
            it must not find itself.

        """
        found, distance = nearest(z, self.z, self.k, apart_from=place)
        return Joined.of(found, distance, self.degree)


class Joined:
    """Cells with their frozen neighbours.

    Attributes
    ----------
    found
        int64 [cells, k]: positions among the reference cells.
    distance
        float32 [cells, k].
    weight
        float32 [cells, k]: entries of Â; 0 for a neighbour that was pruned.
    own
        float32 [cells, 1]: Â's entry of the cell with itself.

    """

    def __init__(self, found: Tensor, distance: Tensor, weight: Tensor, own: Tensor) -> None:
        self.found, self.distance, self.weight, self.own = found, distance, weight, own

    @classmethod
    def of(cls, found: Tensor, distance: Tensor, degree: Tensor) -> Joined:
        """Weights 1 / √(d_cell · d_ref) of the neighbours that are kept, 1 / d_cell for itself."""
        keep = kept(distance).float()
        d = 1 + keep.sum(dim=1, keepdim=True)  # (cells, 1)
        return cls(found, distance, keep / (d * degree[found]).sqrt(), 1 / d)

    def sum(self, own: Tensor, table: Tensor) -> Tensor:
        """Â · values: the cell's own [cells, f] and its neighbours' rows of table [refs, f]."""
        return self.own * own + (self.weight[:, :, None] * table[self.found]).sum(dim=1)
