"""Fitted torch modules as subjects of an evaluation, before they are exported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from converters.recipe import Fitted
from zoo.card import GraphRecipe, Thresholds
from zoo.evaluation.cells import Placed
from zoo.vocabulary import GeneVocabulary

Arrays = dict[str, npt.NDArray[Any]]
_AT_ONCE = 512


@dataclass(frozen=True)
class TorchSubject:
    """A fitted module with its vocabulary."""

    fitted: Fitted
    vocabulary: GeneVocabulary
    graph_recipe: GraphRecipe | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of its classes."""
        return self.fitted.labels

    @property
    def output_names(self) -> tuple[str, ...]:
        """Outputs that it gives."""
        return tuple(output.name for output in self.fitted.outputs)

    @property
    def thresholds(self) -> Thresholds:
        """Limits from which verdicts follow."""
        return self.fitted.thresholds

    @torch.no_grad()
    def ask(self, placed: Placed, outputs: tuple[str, ...] | None = None) -> Arrays:
        """Answers for cells; spots slide by slide with their graphs."""
        wanted = self.output_names if outputs is None else outputs
        found: dict[str, npt.NDArray[Any]] = {}
        for rows, graph in _portions(placed, self.graph_recipe):
            answers = self._ask(placed, rows, graph)
            for name in wanted:
                if name not in found:
                    shape = (len(placed), *answers[name].shape[1:])
                    found[name] = np.zeros(shape, dtype=answers[name].dtype)
                found[name][rows] = answers[name]
        return found

    def _ask(self, placed: Placed, rows: npt.NDArray[np.int64], graph: Mapping[str, Any]) -> Arrays:
        feed: dict[str, Any] = {
            "counts": placed.counts[rows],
            "gene_present": placed.present,
            **graph,
        }
        if placed.total_counts is not None:
            feed["total_counts"] = placed.total_counts[rows]
        tensors = [torch.from_numpy(feed[name]) for name in self.fitted.inputs]
        values = self.fitted.module(*tensors)
        return {name: value.numpy() for name, value in zip(self.output_names, values, strict=True)}


@dataclass(frozen=True)
class FoldedSubject:
    """Several models, each asked about the cells that it has not seen (`Placed.fold`).

    Its vocabulary is the union of theirs, since each chose its genes from its own training cells.
    """

    subjects: tuple[TorchSubject, ...]
    vocabulary: GeneVocabulary

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes, the same for all."""
        return self.subjects[0].labels

    @property
    def output_names(self) -> tuple[str, ...]:
        """Outputs that can be pooled: an axis of an embedding means nothing in another model."""
        own = ("embedding", "cluster", "cluster_distance", "imputed")
        return tuple(name for name in self.subjects[0].output_names if name not in own)

    @property
    def thresholds(self) -> Thresholds:
        """Limits of the first."""
        return self.subjects[0].thresholds

    @property
    def graph_recipe(self) -> GraphRecipe | None:
        """How slides become graphs."""
        return self.subjects[0].graph_recipe

    def ask(self, placed: Placed, outputs: tuple[str, ...] | None = None) -> Arrays:
        """Answers for cells, each from the model that has not seen it."""
        assert placed.fold is not None, "cells of a folded evaluation say their fold"
        wanted = self.output_names if outputs is None else outputs
        found: Arrays = {}
        position = {name: i for i, name in enumerate(self.vocabulary.names.tolist())}
        for number, subject in enumerate(self.subjects):
            keep = placed.fold == number
            if not keep.any():
                continue
            columns = [position[name] for name in subject.vocabulary.names.tolist()]
            part = placed.where(keep)
            own = Placed(
                part.counts[:, columns], part.present[columns],
                float(subject.vocabulary.weight @ part.present[columns]),
                part.total_counts, part.slides,
            )  # fmt: skip
            for name, values in subject.ask(own, wanted).items():
                shape = (len(placed), *values.shape[1:])
                found.setdefault(name, np.zeros(shape, dtype=values.dtype))[keep] = values
        return found


def _portions(
    placed: Placed, recipe: GraphRecipe | None
) -> list[tuple[npt.NDArray[np.int64], dict[str, Any]]]:
    """Rows that are asked about together, with the graph of a slide."""
    everyone = np.arange(len(placed))
    if recipe is None:
        return [(everyone[i : i + _AT_ONCE], {}) for i in range(0, len(placed), _AT_ONCE)]
    assert placed.slides is not None, "spatial models are asked about slides"
    portions = []
    for slide in np.unique(placed.slides.codes).tolist():
        graph = placed.slides.graph(slide, recipe)
        edges = {"edge_index": graph.edge_index, "edge_weight": graph.edge_weight}
        portions.append((np.flatnonzero(placed.slides.codes == slide), edges))
    return portions
