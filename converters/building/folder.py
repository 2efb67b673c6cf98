"""The files of a model folder: graph, genes, labels, sample and expected outputs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch

from converters.building import samples
from converters.building.fits import Fit
from converters.building.order import Order
from converters.building.samples import Sample
from converters.building.subject import TorchSubject
from converters.onnx_export import to_onnx
from converters.ontology import labels_table
from converters.parity import measured_tolerances, run_graph, write_expected
from converters.training_cells import TrainingCells
from zoo.card import Tolerance
from zoo.evaluation.cells import Placed
from zoo.manifest import FILE_NAME as MANIFEST
from zoo.manifest import Manifest
from zoo.staging import write_atomically

_EXAMPLE_CELLS = 8  # torch specialises on 0, 1 and sometimes 2


@dataclass(frozen=True)
class Written:
    """What was written, and how ONNX Runtime compares with torch on the sample."""

    sample: Sample
    placed: Placed
    tolerances: dict[str, Tolerance]
    feed: dict[str, npt.NDArray[Any]]


def write_files(
    folder: Path, fit: Fit, subject: TorchSubject, cells: TrainingCells, order: Order
) -> Written:
    """Write everything but the card.

    Raises
    ------
    ValueError
        If ONNX Runtime differs from torch by more than the recipe's tolerances.

    """
    (folder / "genes.tsv").write_bytes(fit.table)
    if fit.fitted.labels:
        ids = label_ids(fit.fitted.labels, cells, order)
        (folder / "labels.tsv").write_bytes(labels_table(fit.fitted.labels, ids))
    for name, content in fit.fitted.files.items():
        (folder / name).write_bytes(content)
    sample = samples.draw_sample(cells, fit.columns, order)
    samples.write_sample(folder / "sample.h5ad", sample, order)
    own = None if order.plan.sample == "simulated" else fit.columns
    placed = samples.placed(sample, own, len(fit.columns))
    feed = inputs_of(placed, fit, subject)
    graph = to_onnx(
        fit.fitted.module,
        {name: torch.from_numpy(array) for name, array in _example(feed).items()},
        subject.output_names,
        name=order.name,
        version=order.plan.version,
        genes_table=fit.table,
    )
    (folder / "model.onnx").write_bytes(graph)
    expected = subject.ask(placed)
    write_expected(folder / "expected.h5", expected, made_with=f"torch {torch.__version__}")
    found = run_graph(graph, feed)
    tolerances = measured_tolerances(found, expected, fit.fitted.tolerances)
    return Written(sample, placed, tolerances, feed)


def label_ids(labels: tuple[str, ...], cells: TrainingCells, order: Order) -> list[str]:
    """The Cell Ontology id of each label: the plan's, else the file's, else empty."""
    told = cells.facts.get("label_ids", {})
    return [order.plan.labels.get(label, told.get(label, "")) for label in labels]


def inputs_of(placed: Placed, fit: Fit, subject: TorchSubject) -> dict[str, npt.NDArray[Any]]:
    """The graph's inputs for the sample, which is one slide where the model is spatial."""
    feed: dict[str, npt.NDArray[Any]] = {"counts": placed.counts, "gene_present": placed.present}
    if placed.total_counts is not None:
        feed["total_counts"] = placed.total_counts
    if subject.graph_recipe is not None:
        assert placed.slides is not None, "the sample of a spatial model has places"
        graph = placed.slides.graph(0, subject.graph_recipe)
        feed |= {"edge_index": graph.edge_index, "edge_weight": graph.edge_weight}
    return {name: feed[name] for name in fit.fitted.inputs}


def _example(feed: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """A few cells to trace with; a slide as it is, since edges point to its spots."""
    if "edge_index" in feed:
        return feed
    per_cell = ("counts", "total_counts")
    return {
        name: array[:_EXAMPLE_CELLS] if name in per_cell else array for name, array in feed.items()
    }


def write_manifest(folder: Path) -> None:
    """Make `manifest.json` from the card and the files."""
    write_atomically(folder / MANIFEST, Manifest.of_folder(folder).render())
