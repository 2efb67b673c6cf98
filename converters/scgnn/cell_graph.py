"""The cell graph: k nearest neighbours in the embedding, far ones pruned; Â; its communities.

The published code computes mean ± one standard deviation of a cell's k distances and cuts what is
above mean + sd; near neighbours stay, as here.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from torch import Tensor

# A distance that equals the limit stays, whatever the rounding.
_SLACK = 1 + 1e-5
_ROWS_AT_ONCE = 1024


def kept(distance: Tensor) -> Tensor:
    """bool [cells, k]: distances [cells, k] that are at most mean + sd of their row."""
    limit = distance.mean(dim=1, keepdim=True) + distance.std(dim=1, keepdim=True, correction=0)
    return distance <= limit * _SLACK


def nearest(
    z: Tensor, reference: Tensor, k: int, *, apart_from: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Positions and Euclidean distances [cells, k] of the nearest of reference [refs, dims].

    Candidates are ranked by the expanded square; their distances are then taken from direct
    differences, which do not lose precision where cells are close.

    Parameters
    ----------
    apart_from
        int64 [cells]: a position that each cell must not find, -1 for none.

    """
    square = (reference**2).sum(dim=1) - 2 * z @ reference.T  # |z|² ranks nothing
    if apart_from is not None:
        square[torch.arange(len(z))[apart_from >= 0], apart_from[apart_from >= 0]] = torch.inf
    found = torch.topk(-square, k, dim=1).indices
    distance = ((z[:, None, :] - reference[found]) ** 2).sum(dim=2).sqrt()
    return found, distance


def neighbours_within(z: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Positions and distances [cells, k] of each cell's nearest others among z [cells, dims]."""
    rows = torch.arange(len(z)).split(_ROWS_AT_ONCE)
    found, distance = zip(*(nearest(z[i], z, k, apart_from=i) for i in rows), strict=True)
    return torch.cat(found), torch.cat(distance)


def pruned_graph(z: Tensor, k: int) -> sparse.csr_matrix:
    """A [cells, cells] of 0 and 1: symmetric, without self-loops.

    Parameters
    ----------
    z
        [cells, dims]; k is cut to the number of other cells.

    """
    k = min(k, len(z) - 1)
    found, distance = neighbours_within(z, k)
    keep = kept(distance).numpy().ravel()
    rows = np.repeat(np.arange(len(z)), k)[keep]
    columns = found.numpy().ravel()[keep]
    links = sparse.coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(z), len(z)))
    linked = ((links + links.T) > 0).astype(np.float32)
    return sparse.csr_matrix(linked)


def degrees(graph: sparse.csr_matrix) -> npt.NDArray[np.float32]:
    """float32 [cells]: number of neighbours, the cell itself included."""
    return np.asarray(graph.sum(axis=1), dtype=np.float32).ravel() + 1


def normalized(graph: sparse.csr_matrix) -> Tensor:
    """Â = D^-½ (A + I) D^-½ as a sparse tensor [cells, cells]."""
    scale = sparse.diags(1 / np.sqrt(degrees(graph)))
    a = sparse.coo_matrix(scale @ (graph + sparse.eye(graph.shape[0])) @ scale)
    positions = torch.from_numpy(np.stack([a.row, a.col]).astype(np.int64))
    values = torch.from_numpy(a.data.astype(np.float32))
    return torch.sparse_coo_tensor(positions, values, a.shape, check_invariants=False).coalesce()


def communities(graph: sparse.csr_matrix, seed: int) -> int:
    """Number of communities by Louvain's method (networkx, which torch brings along)."""
    import networkx

    cells = networkx.from_scipy_sparse_array(graph)
    return len(networkx.algorithms.community.louvain_communities(cells, seed=seed))
