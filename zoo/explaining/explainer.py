"""`explain.onnx` from `model.onnx`: integrated gradients of a class's log-odds.

For a cell with normalized values x, the reference cell r and the log-odds f of a class, gene g gets

    attribution_g = (x_g - r_g) · mean over a in (0, 1) of ∂f/∂x_g at r + a (x - r)

(Sundararajan et al. 2017, arXiv:1703.01365). Their sum is f(x) - f(r). The mean is taken by
Gauss-Legendre quadrature over a fixed number of steps, which lie along the batch axis: no loop.
The class is the input `label` [cells], so the graph explains what `model.onnx` said, or any other
class. A gene that the file lacks is the same in cell and reference and gets 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.card import CellZooBlock
from zoo.digest import sha256_of
from zoo.errors import Unexplainable
from zoo.explaining.backward import Tape
from zoo.explaining.path import Path, Replay
from zoo.explaining.recording import Recording
from zoo.explaining.storage import Storage, shrink
from zoo.explaining.target import Target, independent_logits
from zoo.gate.graph import GRAPH_SHA256
from zoo.onnx_graph import OnnxGraph, Tensor, ensure_plain, require_onnx
from zoo.session import Session

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Inputs = Mapping[str, npt.NDArray[Any]]

STEPS = 32
CROWDINGS = (1, 2, 4, 6)
"""Tried in this order; 1 spreads the steps evenly."""
METHOD = "integrated gradients"
_FEWEST_CELLS = 5


@dataclass(frozen=True)
class Explainer:
    """An explanation of a graph.

    Attributes
    ----------
    content
        Bytes of `explain.onnx`.
    draft
        The same with the outputs `log_odds` and `reference_log_odds` [cells, 1], to measure with.
    steps, crowding
        Steps of the integral (1 where what is explained is affine in the genes), and how much they
        crowd at the reference cell.
    gap
        Mean difference between the sum of a cell's attributions and the log-odds that it should
        account for, on the cells that it was made with.
    reference
        float32 [genes]: the reference cell where the path begins.
    reference_cell
        What it is, in words.

    """

    content: bytes
    draft: bytes
    steps: int
    crowding: int
    gap: float
    reference: Float32
    reference_cell: str


def make_explainer(
    graph: bytes,
    card: CellZooBlock,
    cells: Inputs,
    *,
    steps: int = STEPS,
    storage: Storage = "float32",
) -> Explainer:
    """Make the explanation of a classifier.

    Parameters
    ----------
    graph
        Bytes of `model.onnx`.
    cells
        Inputs of the contract for some cells (at least five): the graph is observed on them, and
        the steps are placed where they leave the smallest gap. Where the graph has no value of its
        own for genes that a file lacks, the mean of these cells is the reference cell.
    steps
        Steps of the integral.
    storage
        How weights are stored.

    Raises
    ------
    Unexplainable
        If the model has no classes, or reads a cell among its neighbours.
    NoBackwardRule
        If an operator between the genes and the probabilities has no backward rule.
    InvalidGraph, MissingExtra

    """
    ensure_explainable(card)
    if len(cells["counts"]) < _FEWEST_CELLS:
        number = len(cells["counts"])
        detail = f"{number} cells to observe it on; at least {_FEWEST_CELLS} are needed"
        raise Unexplainable(card.reference, detail)
    made = [
        _made(graph, card, cells, steps=steps, crowding=crowding, storage=storage)
        for crowding in CROWDINGS
    ]
    return min(made, key=lambda explainer: explainer.gap)


def _made(
    graph: bytes,
    card: CellZooBlock,
    cells: Inputs,
    *,
    steps: int,
    crowding: int,
    storage: Storage,
) -> Explainer:
    onnx = require_onnx("convert", "make explain.onnx")
    model = onnx.load_from_string(graph)
    ensure_plain(model, card.reference)
    built = OnnxGraph(onnx, model, prefix="explain")
    for name in ("label", "attribution"):
        built.set_aside(name)
    kind = card.prob_kind or "softmax"
    logits = independent_logits(built, "prob") if kind == "independent" else None
    recording = _recorded(built, cells)
    target = Target.of(recording, "prob", kind, logits)
    path = Path.through(recording, target.tensor, card.inputs.genes)
    reference, told = _reference(built, path, cells)
    if path.is_straight and target.form == "sigmoid":
        steps, crowding = 1, 1
    writer = _Writer(built, path, target, steps, crowding, card)
    writer.append(reference)
    shrink(built, storage)
    draft = built.showing(("attribution", "log_odds", "reference_log_odds"))
    built.keep_only(["attribution"])
    return Explainer(
        content=built.finish({GRAPH_SHA256: sha256_of(graph)}),
        draft=draft,
        steps=steps,
        crowding=crowding,
        gap=float(gaps(draft, graph, cells).mean()),
        reference=reference,
        reference_cell=told,
    )


def gaps(draft: bytes, graph: bytes, cells: Inputs) -> Float64:
    """float64 [cells]: how far the attributions of a cell miss what they should sum to."""
    label = Session.of_draft(graph).run(cells, ("label",))["label"]
    names = ("attribution", "log_odds", "reference_log_odds")
    found = Session.of_draft(draft).run({**cells, "label": label}, names)
    total = found["attribution"].sum(axis=1, dtype=np.float64)
    due = (found["log_odds"] - found["reference_log_odds"])[:, 0].astype(np.float64)
    return np.asarray(np.abs(total - due))


def ensure_explainable(card: CellZooBlock) -> None:
    """Refuse a model of which attributions of genes would say nothing.

    Raises
    ------
    Unexplainable

    """
    if "prob" not in card.output_names:
        detail = "it has no classes; explanations are of a class"
        raise Unexplainable(card.reference, detail)
    if card.inputs.graph_recipe is not None:
        detail = (
            "it reads a spot among its neighbours, and what the genes of other spots bring is no "
            "attribution of the spot's own genes"
        )
        raise Unexplainable(card.reference, detail)


def _recorded(graph: OnnxGraph, cells: Inputs) -> Recording:
    smaller, larger = _first(cells, 3), _first(cells, _FEWEST_CELLS)
    return Recording.of(graph, smaller, larger)


def _first(cells: Inputs, number: int) -> dict[str, npt.NDArray[Any]]:
    return {name: value[:number] if name in ("counts", "total_counts") else value
            for name, value in cells.items()}  # fmt: skip


# -- the reference cell --------------------------------------------------------------------------


def _reference(graph: OnnxGraph, path: Path, cells: Inputs) -> tuple[Float32, str]:
    """The reference cell as the network takes it, and what it is."""
    session = Session.of_draft(graph.showing([path.genes]))
    if "gene_present" in session.inputs and path.genes != "counts":
        nothing = {**cells, "gene_present": np.zeros_like(cells["gene_present"])}
        absent = session.run(nothing, (path.genes,))[path.genes]
        if np.isfinite(absent).all() and np.ptp(absent, axis=0).max() == 0:
            return absent[0], "what the graph takes for a gene that a file lacks"
    values = cells["counts"]
    if path.genes != "counts":
        values = session.run(cells, (path.genes,))[path.genes]
    return values.mean(axis=0, dtype=np.float64).astype(np.float32), (
        f"the mean of {len(values):,} cells"
    )


def quadrature(steps: int, crowding: int) -> tuple[Float64, Float64]:
    """Points and weights [steps] of an integral over (0, 1).

    Gauss-Legendre in u with a = u^crowding: the steps crowd at the reference cell. There a network
    with layer normalization, which takes out the scale of a cell, changes most: far from it, going
    on in the same direction changes nothing.
    """
    points, weights = np.polynomial.legendre.leggauss(steps)
    u = (points + 1) / 2
    return u**crowding, weights / 2 * crowding * u ** (crowding - 1)


# -- the graph -----------------------------------------------------------------------------------


@dataclass
class _Writer:
    """Appends the explanation to the graph of a model."""

    graph: OnnxGraph
    path: Path
    target: Target
    steps: int
    crowding: int
    card: CellZooBlock

    def append(self, reference: Float32) -> None:
        """`attribution`, and for the draft the log-odds at both ends of the path."""
        graph, path, types = self.graph, self.path, self.graph.onnx.TensorProto
        cells, genes = graph.cells, self.card.inputs.genes
        label = graph.add_input("label", types.INT64, [cells])
        start = self._start(graph.constant(reference[None, :]))  # (cells, genes)
        away = graph.node("Sub", path.genes, start)
        bent_start = Replay(graph, path.recording, path.genes, path.bend).of(start)
        slope = self._mean_slope(bent_start, label)
        slope = self._before_the_bend(slope)
        graph.node("Mul", away, slope, name="attribution")
        graph.declare("attribution", types.FLOAT, [cells, genes])
        self.target.log_odds(graph, self.target.tensor, label, name="log_odds")
        at_start = Replay(graph, path.recording, path.genes, self.target.tensor).of(start)
        self.target.log_odds(graph, at_start, label, name="reference_log_odds")

    def _start(self, reference: Tensor) -> Tensor:
        """The reference cell for each cell; genes that the file lacks are as in the cell."""
        graph, genes = self.graph, self.path.genes
        if "gene_present" not in self.path.recording.values:
            return graph.node("Expand", reference, graph.node("Shape", genes))
        zero = graph.constant(np.float32(0))
        there = graph.node("Greater", "gene_present", zero)
        return graph.node("Where", there, reference, genes)

    def _mean_slope(self, start: Tensor, label: Tensor) -> Tensor:
        """The gradient at the bend, averaged over the steps: [cells, …]."""
        graph, path = self.graph, self.path
        inner = list(path.recording.shapes[path.bend][1:])
        points, weights = quadrature(self.steps, self.crowding)
        each = (self.steps, *(1,) * (len(inner) + 1))  # one number for each step
        share = graph.constant(points.astype(np.float32).reshape(each))
        away = graph.node("Sub", path.bend, start)
        stacked = graph.node("Add", start, graph.node("Mul", share, away))  # (steps, cells, …)
        rows = graph.constant(np.array([-1, *inner], dtype=np.int64))
        points_of = graph.node("Reshape", stacked, rows)  # (steps · cells, …)
        replay = Replay(graph, path.recording, path.bend, self.target.tensor, self.steps)
        answers = replay.of(points_of)
        labels = graph.node("Tile", label, graph.axis(self.steps))
        seed = self.target.seed(graph, answers, labels)
        slope = seed if path.is_straight else self._back(replay, answers, seed, points_of)
        apart = graph.constant(np.array([self.steps, -1, *inner], dtype=np.int64))
        weight = graph.constant(weights.astype(np.float32).reshape(each))
        weighted = graph.node("Mul", graph.node("Reshape", slope, apart), weight)
        return graph.node("ReduceSum", weighted, graph.axis(0), keepdims=0)

    def _back(self, replay: Replay, answers: Tensor, seed: Tensor, at: Tensor) -> Tensor:
        return replay.tape(self.card.reference).gradient({answers: seed}, at)

    def _before_the_bend(self, slope: Tensor) -> Tensor:
        """From the gradient at the bend to that at the genes."""
        path = self.path
        if path.bend == path.genes:
            return slope
        recording = path.recording
        nodes = recording.needed(path.bend, until=path.genes)
        tape = Tape(self.graph, nodes, recording.shapes, recording.values, recording.varying,
                    self.card.reference)  # fmt: skip
        return tape.gradient({path.bend: slope}, path.genes)
