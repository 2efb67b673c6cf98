"""What is evaluated: anything that answers as a model's graph does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy.typing as npt

from zoo.card import GraphRecipe, Thresholds
from zoo.evaluation.cells import Placed
from zoo.vocabulary import GeneVocabulary

Outputs = Mapping[str, npt.NDArray[Any]]


class Subject(Protocol):
    """A model under evaluation: a model folder's graph, or a torch module before its export."""

    @property
    def vocabulary(self) -> GeneVocabulary:
        """The genes that it reads, in order, with their weights."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of its classes in the order of `prob`; empty without classes."""

    @property
    def output_names(self) -> tuple[str, ...]:
        """Outputs that it can give."""

    @property
    def thresholds(self) -> Thresholds:
        """Limits from which verdicts follow."""

    @property
    def graph_recipe(self) -> GraphRecipe | None:
        """How slides become graphs, for spatial models."""

    def ask(self, placed: Placed, outputs: tuple[str, ...] | None = None) -> Outputs:
        """Answers for cells, each [cells, ...]; spots slide by slide with their graphs.

        Parameters
        ----------
        outputs
            Those to compute; None for all.

        """
