"""`zoo convert ccafv2`: cell-cycle states by ccAFv2 (O'Connor et al. 2024).

The package standardizes each gene over the cells that it is asked about, so its answer for a cell
depends on the others. A graph answers for one cell: mean and sd are taken once, from the file that
`--set cells=FILE` names, and stay in the graph. For that file the answers are the package's.

    z = (log(1 + 10⁴ counts / counts of the cell) − mean) / sd
    a gene that a file lacks, or that no cell of FILE had, is the smallest z of FILE
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from converters.ccafv2.keras_file import Dense, read_layers
from converters.importing.importer import CLASSIFIER, ImportedModel, Importer, Provenance, Source
from converters.importing.layers import (
    declare_classes,
    dense,
    new_graph,
    normalized,
    normalized_by_numpy,
    scaled,
    softmax,
)
from converters.importing.names import GeneTable, checked_labels, read_lines
from zoo.card import Paper
from zoo.errors import FileMissing, InvalidOption, MissingWeights, UnequalLengths
from zoo.evaluation.cells import Placed
from zoo.evaluation.data_set import EvaluationData
from zoo.evaluation.loading import read_cells
from zoo.onnx_graph import OnnxGraph, Tensor
from zoo.vocabulary import GeneVocabulary

TARGET_SUM = 1e4
_MODEL, _GENES, _CLASSES = "ccAFv2_model.h5", "ccAFv2_genes.csv", "ccAFv2_classes.txt"
_SPECIES = ("human", "mouse")

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Standard:
    """How genes are standardized.

    Attributes
    ----------
    seen
        float32 [genes]: 1 where a cell of the file had the gene.
    least
        Smallest standardized value of the file: what absent genes are set to.

    """

    mean: Float64
    sd: Float64
    seen: npt.NDArray[np.float32]
    least: float

    @classmethod
    def of(cls, placed: Placed) -> Standard:
        """Mean and sd (of the population) of the cells of a file."""
        x = normalized_by_numpy("library_log1p", TARGET_SUM, placed.counts, placed.total_counts)
        seen = x.any(axis=0)
        mean, sd = x.mean(axis=0), x.std(axis=0)
        sd = np.where(sd > 0, sd, 1.0)
        least = float(((x - mean) / sd)[:, seen].min())
        return cls(mean, sd, seen.astype(np.float32), least)


class CcAFv2(Importer):
    """A dense network of Keras over 861 genes: seven states of the cell cycle."""

    name: ClassVar[str] = "ccafv2"
    summary: ClassVar[str] = f"the package's folder ccAFv2/ ({_MODEL}, {_GENES}, {_CLASSES})"
    settings: ClassVar = {
        "cells": "file of cells over which genes are standardized; needed",
        "species": "human (default) or mouse: whose gene names are taken",
    }
    paper: ClassVar[Paper | None] = Paper(
        title="Neural network-based classification of cell cycle states", url="https://github.com/"
        "plaisier-lab/ccAFv2_py",
    )  # fmt: skip

    def read(self, source: Source) -> ImportedModel:
        """Read the network and write it behind the standardization of the given cells.

        Raises
        ------
        FileMissing, UnreadableWeights, UnsupportedWeights, MissingWeights, UnequalLengths
        WeightsNotFinite, RepeatedNames
        InvalidOption
            If no file of cells was named, or a species that the source does not have.

        """
        layers = read_layers(source.path / _MODEL, source.format)
        inputs, classes = len(layers[0].weight), len(layers[-1].bias)
        genes = source.genes_for(inputs, "inputs of the first layer", _genes(source))
        told = checked_labels(read_lines(source.path / _CLASSES, self.name), str(source.path))
        labels = source.labels_for(classes, "outputs of the last layer", told)
        standard = _standard(source, genes)
        graph = new_graph(inputs, total_counts=True, gene_present=True)
        hidden = _write(graph, standard, layers, classes)
        return ImportedModel(
            graph=graph,
            genes=genes,
            gene_weight=np.abs(layers[0].weight).mean(axis=1).astype(np.float32),
            architecture="Dense layers "
            + "-".join(str(len(layer.weight)) for layer in layers)
            + f"-{classes} with ReLU and a softmax, on standardized log values",
            outputs=CLASSIFIER,
            labels=labels,
            prob_kind="softmax",
            value_kinds=("counts", "log_normalized"),
            features=hidden,
            answers=lambda placed: _answers(placed, standard, layers),
            hyper_parameters={"standardized_over": Path(str(source.settings["cells"])).name},
            provenance=Provenance(
                source="ccAFv2",
                license="GPL-3.0 in its LICENSE file, AGPL-3 in its classifiers",
                attribution="Plaisier laboratory, Arizona State University",
            ),
            weights=source.path / _MODEL,
        )


def _genes(source: Source) -> GeneTable:
    path = source.path / _GENES
    species = str(source.settings.get("species", "human"))
    if species not in _SPECIES:
        raise InvalidOption("--set", f"species={species}", [f"species={s}" for s in _SPECIES])
    rows = list(csv.DictReader(read_lines(path, source.format)))
    columns = [f"{species}_symbol", f"{species}_ensembl"]
    for column in columns:
        if not rows or column not in rows[0]:
            raise MissingWeights(str(path), source.format, column)
    symbols, ids = (tuple(row[column] or "" for row in rows) for column in columns)
    return GeneTable(_once(symbols), _once(ids)).checked(str(path))


def _once(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names that are there once; two genes of one name cannot be told apart in a file."""
    return tuple(name if names.count(name) == 1 else "" for name in names)


def _standard(source: Source, genes: GeneTable) -> Standard:
    named = source.settings.get("cells")
    if named is None:
        raise InvalidOption("--set", "cells", ["cells=FILE.h5ad, over which to standardize genes"])
    path = Path(str(named))
    if not path.exists():
        raise FileMissing(str(path))
    table = genes.render(np.ones(len(genes), dtype=np.float32))
    vocabulary = GeneVocabulary.parse(table, model=source.format)
    if len(vocabulary) != len(genes):
        raise UnequalLengths(
            str(source.path), first="genes", first_length=len(genes),
            second="rows of the table", second_length=len(vocabulary),
        )  # fmt: skip
    data = EvaluationData(key="cells", file=str(path.resolve()), dataset="cells")
    kinds = ("counts", "log_normalized")
    ((_, cells),) = read_cells(data, Path(), vocabulary=vocabulary, labels=(), value_kinds=kinds)
    return Standard.of(cells.placed)


def _write(graph: OnnxGraph, standard: Standard, layers: list[Dense], classes: int) -> Tensor:
    """Nodes from `counts` to `label` and `prob`; returns the last hidden layer."""
    x = normalized(graph, "library_log1p", TARGET_SUM)
    z = scaled(graph, x, standard.mean, standard.sd)
    there = graph.node("Mul", "gene_present", graph.constant(standard.seen))
    known = graph.node("Greater", there, graph.constant(np.float32(0)))
    h = graph.node("Where", known, z, graph.constant(np.float32(standard.least)))
    hidden = h
    for layer in layers:
        hidden = h
        h = dense(graph, h, layer.weight, layer.bias)
        if layer.activation != "linear":
            softmax_ = layer.activation == "softmax"
            h = graph.node("Softmax", h, axis=1) if softmax_ else graph.node("Relu", h)
    declare_classes(graph, h, classes)
    return hidden


def _answers(
    placed: Placed, standard: Standard, layers: list[Dense]
) -> dict[str, npt.NDArray[np.generic]]:
    x = normalized_by_numpy("library_log1p", TARGET_SUM, placed.counts, placed.total_counts)
    known = (placed.present * standard.seen) > 0
    h = np.where(known, (x - standard.mean) / standard.sd, standard.least)
    for layer in layers:
        h = h @ layer.weight + layer.bias
        if layer.activation == "relu":
            h = np.maximum(h, 0)
        elif layer.activation == "softmax":
            h = softmax(h)
    return {"label": h.argmax(axis=1), "prob": h.astype(np.float32)}
