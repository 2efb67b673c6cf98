"""Cell types of a round: k-means, its k from the communities of the cell graph (`LouvainK`)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse
from torch import Tensor

from converters.scgnn.cell_graph import communities
from zoo.clustering import Clustering, kmeans

Int64 = npt.NDArray[np.int64]

LARGEST = 30
"""Most clusters, as published; smaller ones beyond them join the nearest cluster."""
_SMALL_DATA = 2000


def cell_types(values: Tensor, graph: sparse.csr_matrix, seed: int) -> Clustering:
    """Clusters of values [cells, dims].

    k is the number of Louvain communities times 0.8, or 0.5 from 2,000 cells on: the published
    resolution. With fewer than 3 of them it is 2, and at most `LARGEST`.
    """
    share = 0.8 if len(values) < _SMALL_DATA else 0.5
    k = int(communities(graph, seed) * share)
    return kmeans(values.numpy(), min(k, LARGEST) if k >= 3 else 2, seed=seed)


def agreement(first: Int64, second: Int64) -> float:
    """Adjusted Rand index of two clusterings [cells]."""
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(first, second))
