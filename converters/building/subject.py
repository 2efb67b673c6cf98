"""Fitted torch modules as subjects of an evaluation, before they are exported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from converters.recipe import Fitted
from zoo.card import GraphRecipe, Thresholds
from zoo.evaluation.baselines import Method
from zoo.evaluation.batches import ask_in_batches
from zoo.evaluation.cells import Placed
from zoo.evaluation.trained_baselines import TrainedBaselines
from zoo.inference import PER_GENE
from zoo.vocabulary import GeneVocabulary

Arrays = dict[str, npt.NDArray[Any]]


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

        def run(inputs: Arrays) -> Arrays:
            tensors = [torch.from_numpy(inputs[name]) for name in self.fitted.inputs]
            values = zip(self.output_names, self.fitted.module(*tensors), strict=True)
            return {name: value.numpy() for name, value in values if name in wanted}

        return ask_in_batches(placed, self.graph_recipe, run)


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
        own = {"embedding", "cluster", "cluster_distance", *(PER_GENE - {"predicted"})}
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
            columns = np.array([position[name] for name in subject.vocabulary.names.tolist()])
            own = with_columns(placed.where(keep), columns)
            for name, values in subject.ask(own, wanted).items():
                if name in PER_GENE:
                    values = _spread(values, columns, len(position))
                shape = (len(placed), *values.shape[1:])
                found.setdefault(name, np.zeros(shape, dtype=values.dtype))[keep] = values
        return found


@dataclass(frozen=True)
class FoldedBaselines(TrainedBaselines):
    """Baselines of several folds, each asked about the cells that it has not seen."""

    folds: tuple[TrainedBaselines, ...] = ()
    columns: tuple[npt.NDArray[np.int64], ...] = ()

    @classmethod
    def joined(
        cls, folds: Sequence[TrainedBaselines], columns: Sequence[npt.NDArray[np.int64]]
    ) -> FoldedBaselines:
        """Baselines by fold, and the columns of the union of the genes that each reads."""
        first = folds[0]
        return cls(
            first.value_kinds, first.scale, first.axes, first.gene_mean, first.labels,
            first.classifiers, change=first.change, folds=tuple(folds), columns=tuple(columns),
        )  # fmt: skip

    def change_for(self, placed: Placed) -> npt.NDArray[np.float32] | None:
        """The mean response of the fold that left these cells out; NaN for genes it lacks."""
        assert placed.fold is not None, "cells of a folded evaluation say their fold"
        number = int(placed.fold[0])  # cells of one label and group are of one fold
        change = self.folds[number].change
        genes = placed.counts.shape[1]
        return None if change is None else _spread(change, self.columns[number], genes)

    def predict(
        self, method: Method, placed: Placed, labels: Sequence[str]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """What a classifier says of cells, each from the fold that left it out."""
        assert placed.fold is not None, "cells of a folded evaluation say their fold"
        codes = np.full(len(placed), -1, dtype=np.int64)
        scores = np.full((len(placed), len(labels)), -np.inf, dtype=np.float32)
        for number, (fold, columns) in enumerate(zip(self.folds, self.columns, strict=True)):
            keep = placed.fold == number
            if keep.any():
                part = with_columns(placed.where(keep), columns)
                codes[keep], scores[keep] = fold.predict(method, part, labels)
        return codes, scores


def _spread(values: npt.NDArray[Any], columns: npt.NDArray[np.int64], genes: int) -> Any:
    """Values [..., own genes] at their places among all; NaN for genes that a model lacks."""
    spread = np.full((*values.shape[:-1], genes), np.nan, dtype=np.float32)
    spread[..., columns] = values
    return spread


def with_columns(placed: Placed, columns: npt.NDArray[np.int64]) -> Placed:
    """The same cells with some of the genes."""
    return replace(placed, counts=placed.counts[:, columns], present=placed.present[columns])
