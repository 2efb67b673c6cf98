"""The slides of a file: which spot lies where, and on which slide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.card import GraphRecipe
from zoo.errors import CoordinatesNotFinite, SpotsWithoutSlide
from zoo.spatial_graph import SpatialGraph, ensure_spread, spatial_graph

COORDINATES = "spatial"
"""The key of obsm under which scanpy, squidpy and CellZoo keep coordinates."""

# Columns of obs that name slides in published files; one of them left unused is worth a word.
USUAL_KEYS = ("slide", "library_id", "sample", "batch")


@dataclass(frozen=True)
class Slides:
    """Spots with coordinates, divided into slides.

    Attributes
    ----------
    path
        The file, for messages.
    key
        The column of obs that names the slides; None where the whole file is one slide.
    names
        Names of the slides; empty without a key.
    codes
        int32 [cells]: the slide of each cell, an index into `names`; 0 without a key.
    coordinates
        [cells, 2 or 3].

    """

    path: str
    key: str | None
    names: tuple[str, ...]
    codes: npt.NDArray[np.int32]
    coordinates: npt.NDArray[Any]

    @classmethod
    def of(
        cls,
        path: str,
        coordinates: npt.NDArray[Any],
        key: str | None = None,
        column: npt.NDArray[Any] | None = None,
    ) -> Slides:
        """Divide spots by a column [cells], or take them all as one slide.

        Raises
        ------
        SpotsWithoutSlide
            If the column is empty for some.

        """
        if key is None or column is None:
            return cls(path, None, (), np.zeros(len(coordinates), dtype=np.int32), coordinates)
        values = column.astype(np.str_)
        unknown = (values == "") | ((values == "nan") if column.dtype.kind == "f" else False)
        if unknown.any():
            raise SpotsWithoutSlide(path, key, int(unknown.sum()))
        names, codes = np.unique(values, return_inverse=True)
        return cls(path, key, tuple(names.tolist()), codes.astype(np.int32), coordinates)

    @property
    def sizes(self) -> Sequence[int]:
        """Number of spots of each slide."""
        sizes: list[int] = np.bincount(self.codes, minlength=max(1, len(self.names))).tolist()
        return sizes

    def where(self, keep: npt.NDArray[np.bool_]) -> Slides:
        """The spots for which `keep` [cells] is true; every slide keeps its code."""
        return replace(self, codes=self.codes[keep], coordinates=self.coordinates[keep])

    def name(self, slide: int) -> str | None:
        """The name of a slide; None where the file is one."""
        return self.names[slide] if self.names else None

    def ensure_spread(self, recipe: GraphRecipe) -> None:
        """Make sure that every slide has a graph.

        Raises
        ------
        NotCoordinates, CoordinatesNotFinite, SingleSpot, CoincidentSpots

        """
        finite = np.isfinite(self.coordinates).all(axis=1)
        if not finite.all():  # said of the row in the file, not on the slide
            raise CoordinatesNotFinite(self.path, int(finite.argmin()))
        for slide in range(len(self.sizes)):
            places = self.coordinates[self.codes == slide]
            ensure_spread(places, recipe, path=self.path, slide=self.name(slide))

    def graph(self, slide: int, recipe: GraphRecipe) -> SpatialGraph:
        """The graph of one slide, its spots counted from 0 in the file's order."""
        places = self.coordinates[self.codes == slide]
        return spatial_graph(places, recipe, path=self.path, slide=self.name(slide))
