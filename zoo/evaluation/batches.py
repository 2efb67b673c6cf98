"""Batches of placed cells as a graph takes them, and the answers put in order again.

Most models take cells in any division; a spatial one takes whole slides, each with its graph. A
subject of another framework needs only a function from the inputs of one batch to its outputs:

    answers = ask_in_batches(placed, recipe, run)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.block import Int64
from zoo.card import GraphRecipe
from zoo.errors import NoCoordinates
from zoo.evaluation.cells import Placed

Arrays = dict[str, npt.NDArray[Any]]
BATCH_CELLS = 512


@dataclass(frozen=True)
class Batch:
    """Cells that are asked about together.

    Attributes
    ----------
    rows
        int64 [cells], ascending: where they lie among the placed cells.
    inputs
        Every input of the contract that can be given: `counts` [cells, genes], `gene_present`
        [genes], `total_counts` [cells, 1] (counts in the model's genes where the file's are not
        known), and a slide's `edge_index` and `edge_weight`.

    """

    rows: Int64
    inputs: Arrays


def batches(
    placed: Placed, recipe: GraphRecipe | None = None, *, cells: int = BATCH_CELLS
) -> Iterator[Batch]:
    """Blocks of `cells`, or with a graph recipe the slides that occur.

    Raises
    ------
    NoCoordinates
        If there is a recipe and the cells have no place.
    SingleSpot, CoincidentSpots, NotCoordinates, CoordinatesNotFinite

    """
    if recipe is None:
        for start in range(0, len(placed), cells):
            yield _batch(placed, np.arange(start, min(start + cells, len(placed))))
        return
    slides = placed.slides
    if slides is None:
        raise NoCoordinates("<cells>", "the model", ())
    for slide in np.unique(slides.codes).tolist():
        graph = slides.graph(slide, recipe)
        edges: Arrays = {"edge_index": graph.edge_index, "edge_weight": graph.edge_weight}
        yield _batch(placed, np.flatnonzero(slides.codes == slide), edges)


def ask_in_batches(
    placed: Placed,
    recipe: GraphRecipe | None,
    run: Callable[[Arrays], Mapping[str, npt.NDArray[Any]]],
    *,
    cells: int = BATCH_CELLS,
) -> Arrays:
    """The answers for all cells in their order, each [cells, ...].

    Parameters
    ----------
    run
        From the inputs of a batch to its outputs; it takes the inputs that it knows.

    """
    if not len(placed):
        return {name: array[:0] for name, array in run(_one_cell(placed)).items()}
    answers: Arrays = {}
    for batch in batches(placed, recipe, cells=cells):
        for name, array in run(batch.inputs).items():
            if name not in answers:
                answers[name] = np.empty((len(placed), *array.shape[1:]), dtype=array.dtype)
            answers[name][batch.rows] = array
    return answers


def _batch(placed: Placed, rows: Int64, edges: Arrays | None = None) -> Batch:
    counts = np.ascontiguousarray(placed.counts[rows], dtype=np.float32)
    totals = placed.total_counts
    inputs: Arrays = {
        "counts": counts,
        "gene_present": placed.present.astype(np.float32),
        "total_counts": counts.sum(axis=1, keepdims=True) if totals is None else totals[rows],
        **(edges or {}),
    }
    return Batch(rows, inputs)


def _one_cell(placed: Placed) -> Arrays:
    """Inputs of a cell without counts, for the shapes of the outputs."""
    return {
        "counts": np.zeros((1, placed.counts.shape[1]), dtype=np.float32),
        "gene_present": placed.present.astype(np.float32),
        "total_counts": np.zeros((1, 1), dtype=np.float32),
        "edge_index": np.zeros((2, 1), dtype=np.int64),
        "edge_weight": np.ones(1, dtype=np.float32),
    }
