"""Graphs of several slides as one: spots in the order of the cells, no edge between slides."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from zoo.card import GraphRecipe
from zoo.slides import Slides


def joined_graph(slides: Slides, recipe: GraphRecipe) -> tuple[Tensor, Tensor]:
    """Edges of all slides.

    Returns
    -------
    edge_index
        int64 [2, edges]: rows of `slides`, receivers and sources.
    edge_weight
        float32 [edges].

    Raises
    ------
    NotCoordinates, CoordinatesNotFinite, SingleSpot, CoincidentSpots

    """
    indices, weights = [], []
    for slide in np.unique(slides.codes).tolist():
        rows = np.flatnonzero(slides.codes == slide)
        graph = slides.graph(slide, recipe)
        indices.append(rows[graph.edge_index])
        weights.append(graph.edge_weight)
    edge_index = torch.from_numpy(np.concatenate(indices, axis=1).astype(np.int64))
    return edge_index, torch.from_numpy(np.concatenate(weights))
