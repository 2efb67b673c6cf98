"""Spots of one or more slides as tensors, and the folds by which they are held out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from converters.spagcn.slide_graph import joined_graph
from converters.training_cells import TrainingCells
from zoo.card import GraphRecipe
from zoo.slides import Slides

TILES = 4
"""Folds of a single group: its slide is cut into TILES × TILES tiles."""


@dataclass(frozen=True)
class Spots:
    """Spots with their graph.

    Attributes
    ----------
    counts
        float32 [spots, genes].
    label
        int64 [spots]: -1 for a spot without one; such a spot is still heard by its neighbours.
    group, slide
        int64 [spots]: patient (or batch, or slide), and slide.
    edge_index, edge_weight
        Of all slides together; none between two slides.

    """

    counts: Tensor
    label: Tensor
    group: Tensor
    slide: Tensor
    edge_index: Tensor
    edge_weight: Tensor

    @classmethod
    def of(cls, cells: TrainingCells, recipe: GraphRecipe) -> Spots:
        """Take spots from training cells; without a batch, each slide is a group."""
        assert cells.slides is not None
        assert cells.label is not None
        slide = _numbered(cells.slides.codes)
        group = slide if cells.batch is None else _numbered(cells.batch)
        edge_index, edge_weight = joined_graph(cells.slides, recipe)
        label = torch.from_numpy(cells.label.astype(np.int64))
        counts = torch.from_numpy(cells.dense())
        return cls(counts, label, group, slide, edge_index, edge_weight)

    def __len__(self) -> int:
        return len(self.label)

    def where(self, keep: Tensor) -> Spots:
        """Whole slides whose spots `keep` [spots] marks, numbered anew."""
        number = torch.cumsum(keep, 0) - 1
        kept = keep[self.edge_index[0]] & keep[self.edge_index[1]]
        return Spots(
            self.counts[keep],
            self.label[keep],
            self.group[keep],
            self.slide[keep].unique(return_inverse=True)[1],
            number[self.edge_index[:, kept]],
            self.edge_weight[kept],
        )

    def on(self, device: torch.device) -> Spots:
        """The same on a device."""
        return Spots(*(value.to(device) for value in vars(self).values()))


@dataclass(frozen=True)
class Fold:
    """What is held out together.

    Attributes
    ----------
    name
        For progress.
    held_out
        bool [spots].
    whole
        Whether held-out spots are whole groups, which training then does not see at all. Tiles of
        a slide stay in its graph: only their labels are hidden.

    """

    name: str
    held_out: Tensor
    whole: bool


def folds(spots: Spots, slides: Slides) -> Iterator[Fold]:
    """Each group that has labels once; for a single group, tiles of its slides."""
    groups = spots.group[spots.label >= 0].unique()
    if len(groups) > 1:
        for one in groups.tolist():
            yield Fold(f"without-group-{one}", spots.group == one, whole=True)
        return
    tile = torch.from_numpy(tiles(slides))
    for one in range(TILES):
        yield Fold(f"without-tiles-{one}", tile == one, whole=False)


def tiles(slides: Slides) -> npt.NDArray[np.int64]:
    """int64 [spots]: 0 … TILES − 1, tiles of each slide in a Latin pattern.

    Tiles hold about as many spots each; every fold has tiles from all along both axes, so no layer
    of a tissue lies in one fold alone.
    """
    fold = np.zeros(len(slides.codes), dtype=np.int64)
    for slide in np.unique(slides.codes):
        rows = np.flatnonzero(slides.codes == slide)
        ranks = slides.coordinates[rows].argsort(axis=0, kind="stable").argsort(axis=0)
        column, row = (ranks[:, axis] * TILES // len(rows) for axis in (0, 1))
        fold[rows] = (column + row) % TILES
    return fold


def _numbered(codes: npt.NDArray[np.integer]) -> Tensor:
    return torch.from_numpy(np.unique(codes, return_inverse=True)[1].astype(np.int64))
