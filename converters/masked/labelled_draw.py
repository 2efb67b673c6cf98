"""Few labelled cells, drawn at random from each class."""

from __future__ import annotations

import numpy as np

from converters.training_cells import Int64


def draw_labelled(labels: Int64, per_class: int, rng: np.random.Generator) -> Int64:
    """Ascending rows of at most so many cells of each class; labels below 0 are none."""
    drawn = []
    for k in np.unique(labels[labels >= 0]):
        rows = np.flatnonzero(labels == k)
        drawn.append(rng.choice(rows, size=min(per_class, len(rows)), replace=False))
    return np.sort(np.concatenate(drawn))
