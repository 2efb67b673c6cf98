"""A model folder under evaluation: its graph is asked as the runner asks it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from zoo.card import GraphRecipe, Thresholds, ValueKind
from zoo.evaluation.batches import Arrays, ask_in_batches
from zoo.evaluation.cells import Placed
from zoo.labels import LabelTable
from zoo.parts import ModelParts
from zoo.session import Device, Session, available_threads
from zoo.vocabulary import GeneVocabulary


@dataclass(frozen=True)
class ModelSubject:
    """The graph of a model folder, loaded when it is first asked.

    Attributes
    ----------
    parts
        The verified model.
    device
        Where it runs.

    """

    parts: ModelParts
    device: Device = "cpu"

    @property
    def vocabulary(self) -> GeneVocabulary:
        """The genes that it reads."""
        return self.parts.vocabulary

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of its classes; empty without classes."""
        return self.parts.labels.names if self.parts.labels else ()

    @property
    def label_table(self) -> LabelTable | None:
        """Cell Ontology ids and ancestors of the classes, by which calls are judged."""
        return self.parts.labels

    @property
    def output_names(self) -> tuple[str, ...]:
        """Outputs of the graph."""
        return self.parts.card.output_names

    @property
    def thresholds(self) -> Thresholds:
        """Limits from which verdicts follow."""
        return self.parts.card.thresholds

    @property
    def graph_recipe(self) -> GraphRecipe | None:
        """How slides become graphs, for spatial models."""
        return self.parts.card.inputs.graph_recipe

    @property
    def value_kinds(self) -> tuple[ValueKind, ...]:
        """The values that it takes."""
        return tuple(self.parts.card.inputs.value_kinds)

    def ask(self, placed: Placed, outputs: tuple[str, ...] | None = None) -> Arrays:
        """Answers for cells, each [cells, ...]; spots slide by slide with their graphs.

        Raises
        ------
        InvalidGraph, DeviceUnavailable
            If the graph cannot be loaded.
        NoCoordinates, SingleSpot, CoincidentSpots, NotCoordinates, CoordinatesNotFinite
            If spots have no graph.

        """
        names = self.output_names if outputs is None else outputs
        session = self._session
        return ask_in_batches(placed, self.graph_recipe, lambda inputs: session.run(inputs, names))

    @cached_property
    def _session(self) -> Session:
        return Session.open(
            self.parts.graph,
            card=self.parts.card,
            genes=self.parts.genes,
            device=self.device,
            threads=available_threads(),
        )
