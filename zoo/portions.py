"""Portions: the cells of a file that are predicted together.

A cell is predicted by its own counts alone, so most models take a file by blocks of consecutive
cells. A spatial model reads a spot among its neighbours, so its portions are whole slides, each
with its graph. A spatial slide is one graph: memory then depends on the largest slide, or, where
slides take turns in the file, on those that are begun and not yet complete.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from zoo.block import Block
from zoo.card import GraphRecipe
from zoo.count_stream import CountStream
from zoo.slides import COORDINATES, Slides

Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Portion:
    """Cells that are predicted together.

    Attributes
    ----------
    rows
        int64 [cells], ascending: where the cells lie in the file.
    block
        Their counts.
    inputs
        What the graph takes besides counts: `edge_index` and `edge_weight` of a slide.

    """

    rows: npt.NDArray[np.int64]
    block: Block
    inputs: Arrays = field(default_factory=dict)


class Portions(Protocol):
    """A way to divide a file, and what the result says of it."""

    @property
    def side_by_side(self) -> int | None:
        """Most portions to predict at a time; None for as many as there are threads."""

    @property
    def columns(self) -> Arrays:
        """Columns of obs to add, each [cells]; int32 codes where there are categories."""

    @property
    def categories(self) -> Mapping[str, list[str]]:
        """Categories of those columns."""

    @property
    def obsm(self) -> Arrays:
        """Arrays of obsm to add, each [cells, dims]."""

    def of(self, stream: CountStream) -> Iterator[Portion]:
        """The portions of a file; together they hold each cell once."""

    def facts(self) -> dict[str, Any]:
        """What the provenance says of the division, once all portions were made."""


@dataclass(frozen=True)
class Blocks:
    """Consecutive cells, `cells` at a time."""

    cells: int
    side_by_side: int | None = None
    columns: Arrays = field(default_factory=dict)
    categories: Mapping[str, list[str]] = field(default_factory=dict)
    obsm: Arrays = field(default_factory=dict)

    def of(self, stream: CountStream) -> Iterator[Portion]:
        """The blocks in order."""
        for block in stream.blocks(self.cells):
            yield Portion(np.arange(block.start, block.start + block.cells), block)

    def facts(self) -> dict[str, Any]:
        """Nothing: results do not depend on the size of a block."""
        return {}


@dataclass(frozen=True)
class WholeSlides:
    """Whole slides with their graphs; the file is read `cells` at a time."""

    slides: Slides
    recipe: GraphRecipe
    cells: int
    # One slide may fill the memory.
    side_by_side: int | None = 1
    _drawn: list[dict[str, Any]] = field(default_factory=list)

    @property
    def columns(self) -> Arrays:
        """`slide`, where a column of the file names the slides."""
        return {"slide": self.slides.codes} if self.slides.names else {}

    @property
    def categories(self) -> Mapping[str, list[str]]:
        """Names of the slides."""
        return {"slide": list(self.slides.names)}

    @property
    def obsm(self) -> Arrays:
        """The coordinates."""
        return {COORDINATES: self.slides.coordinates}

    def of(self, stream: CountStream) -> Iterator[Portion]:
        """Each slide as soon as its last cell has been read."""
        waiting: dict[int, list[Block]] = {}
        missing = dict(enumerate(self.slides.sizes))
        for block in stream.blocks(self.cells):
            codes = self.slides.codes[block.start : block.start + block.cells]
            for slide in np.unique(codes).tolist():
                rows = np.flatnonzero(codes == slide)
                waiting.setdefault(slide, []).append(block.take(rows))
                missing[slide] -= len(rows)
                if missing[slide] == 0:
                    yield self._portion(slide, Block.joined(waiting.pop(slide)))

    def facts(self) -> dict[str, Any]:
        """`slide_key`, and spots, edges and length of each slide as JSON."""
        drawn = sorted(self._drawn, key=lambda entry: str(entry["slide"]))
        return {"slide_key": self.slides.key, "slides": json.dumps(drawn, ensure_ascii=False)}

    def _portion(self, slide: int, block: Block) -> Portion:
        graph = self.slides.graph(slide, self.recipe)
        self._drawn.append(
            {
                "slide": self.slides.name(slide),
                "spots": block.cells,
                "edges": graph.edges,
                "length": round(graph.length, 6),
            }
        )
        inputs: Arrays = {"edge_index": graph.edge_index, "edge_weight": graph.edge_weight}
        return Portion(np.flatnonzero(self.slides.codes == slide), block, inputs)


def portions_of(slides: Slides | None, recipe: GraphRecipe | None, cells: int) -> Portions:
    """Whole slides for a model with a graph recipe, else blocks of `cells`."""
    if slides is None or recipe is None:
        return Blocks(cells)
    return WholeSlides(slides, recipe, cells)
