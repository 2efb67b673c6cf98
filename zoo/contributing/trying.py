"""Trying a model out: its contract, its stored answers, its numbers on this machine."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from zoo.evaluation import compute
from zoo.evaluation.metrics import accuracy
from zoo.inference import PER_GENE
from zoo.parity import check_parity, sample_outputs
from zoo.parts import ModelParts
from zoo.pull import PulledModel
from zoo.reading import open_dataset
from zoo.session import Session

Arrays = dict[str, npt.NDArray[Any]]
Told = tuple[Literal["passed", "failed", "note"], str, str]

SCALES = (0.3, 7.0)
"""Factors by which a cell is multiplied to prove that its scale does not matter."""
_SLOWER = 5.0


def contract(parts: ModelParts) -> Session:
    """Load the graph and ask it about one cell and about three.

    Raises
    ------
    InvalidGraph

    """
    session = Session.open(parts.graph, card=parts.card, genes=parts.genes, device="cpu")
    for cells in (1, 3):
        session.run(made_up(session, parts, cells), session.outputs)
    return session


def made_up(session: Session, parts: ModelParts, cells: int) -> Arrays:
    """Inputs for cells with random small counts; a spot is its own neighbour."""
    genes = parts.card.inputs.genes
    counts = np.random.default_rng(0).poisson(1.0, (cells, genes)).astype(np.float32)
    counts[:, 0] += 1
    everything: Arrays = {
        "counts": counts,
        "gene_present": np.ones(genes, np.float32),
        "total_counts": counts.sum(axis=1, keepdims=True),
        "edge_index": np.tile(np.arange(cells), (2, 1)),
        "edge_weight": np.ones(cells, np.float32),
    }
    return {name: everything[name] for name in session.inputs}


def scale(session: Session, parts: ModelParts) -> Told:
    """Whether answers stay when cells are multiplied: what log-normalized input rests on."""
    feed = made_up(session, parts, 8)
    names = tuple(name for name in session.outputs if name not in PER_GENE)
    once = session.run(feed, names)
    worst = 0.0
    for factor in SCALES:
        scaled = {
            name: array * np.float32(factor) if name in ("counts", "total_counts") else array
            for name, array in feed.items()
        }
        again = session.run(scaled, names)
        for name in names:
            allowed = parts.card.tolerances[name]  # type: ignore[index]
            a, b = again[name].astype(float), once[name].astype(float)
            excess = np.abs(a - b) - (10 * allowed.atol + 10 * allowed.rtol * np.abs(b))
            worst = max(worst, float(excess.max(initial=-1.0)))
    factors = " and ".join(f"{factor:g}" for factor in SCALES)
    if worst > 0:
        remedy = "take log_normalized out of inputs.value_kinds, or normalize inside the graph"
        return "failed", f"answers change when a cell is multiplied by {factors}", remedy
    return "passed", f"the same answers when a cell is multiplied by {factors}", ""


def parity(pulled: PulledModel) -> Told:
    """The stored answers, within the card's tolerances."""
    results = check_parity(pulled)
    failed = [result.sentence() for result in results if not result.holds]
    if failed:
        return "failed", "; ".join(failed), "zoo test shows every output"
    return "passed", f"the stored answers for {len(results)} outputs", ""


def sample_labels(pulled: PulledModel) -> Told:
    """How often the sample's own labels are found, if it has any of the model's."""
    parts = ModelParts.of(pulled)
    assert parts.labels is not None, "asked of classifiers only"
    names = list(parts.labels.names)
    with tempfile.TemporaryDirectory(prefix="zoo-validate-") as folder:
        path = Path(folder) / "sample.h5ad"
        path.write_bytes(pulled.read("sample"))
        truth = _labels_of(path, names)
        if truth is None:
            return "note", "the sample has no column with the model's labels", ""
        label = sample_outputs(parts, path)["label"]
    known = truth >= 0
    found = accuracy(truth[known], label[known])
    low, high = found.interval or (0.0, 1.0)
    told = f"accuracy {found.value:.2f} ({low:.2f}–{high:.2f}), n {found.n:,}"
    detail = f"the sample's own labels: {told}"
    if high < 1 / len(names):
        return "failed", f"{detail}: worse than guessing", "labels.tsv may be in another order"
    return "passed", detail, ""


def _labels_of(path: Path, names: list[str]) -> npt.NDArray[np.int64] | None:
    """The column of obs with most of the model's labels, as their places; -1 for others."""
    best: npt.NDArray[np.int64] | None = None
    with open_dataset(path) as dataset:
        for column in dataset.obs_columns:
            values = dataset.obs(column)
            found = np.array([names.index(str(v)) if str(v) in names else -1 for v in values])
            if (found >= 0).any() and (best is None or (found >= 0).sum() > (best >= 0).sum()):
                best = found
    return best


def resources(pulled: PulledModel) -> Told:
    """Speed and memory here, beside those of the card."""
    parts = ModelParts.of(pulled)
    told = parts.card.compute
    session = Session.of_draft(parts.graph)
    feed = made_up(session, parts, 64)
    found = compute.measure(parts.graph, feed, known=told.parameters)
    detail = (
        f"{found.cells_per_second:,.0f} cells/s and {found.peak_memory_mb:,.0f} MB here; the card "
        f"says {told.cells_per_second:,.0f} and {told.peak_memory_mb:,.0f}"
    )
    if found.cells_per_second * _SLOWER < told.cells_per_second:
        return "note", f"{detail}: much slower than the card says", ""
    return "passed", detail, ""
