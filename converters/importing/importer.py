"""An importer: what one form of weights adds to the making of a model folder.

It reads a source as data and says what graph, genes and labels it makes. A folder of `converters/`,
or any installed package, adds one by an entry point in the group `cellzoo.importers` that names a
class of this kind.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from converters.importing.names import GeneTable
from zoo.card import Output, Paper, ProbKind, Task, ValueKind
from zoo.errors import MissingExtra, NoGeneNames, NoLabelNames, NoValueConvention, UnequalLengths
from zoo.evaluation.cells import Placed
from zoo.importers import ConvertReport, ConvertRequest, Values
from zoo.onnx_graph import OnnxGraph, Tensor
from zoo.recipes import DescribedSetting

Arrays = Mapping[str, npt.NDArray[Any]]

LABEL = Output(name="label", description="class with the largest output", unit="class index")
PROB = Output(name="prob", description="probability of each class", unit="probability")
CLASSIFIER = (LABEL, PROB)

TOLERANCES: Mapping[str, tuple[float, float]] = {"label": (0.0, 0.0), "prob": (1e-4, 1e-4)}
"""(atol, rtol) of outputs for which an importer says nothing else."""
USUAL_TOLERANCE = (1e-4, 1e-3)
TARGET_SUM = 1e4


@dataclass(frozen=True, kw_only=True)
class Source:
    """What an importer is given.

    Attributes
    ----------
    path
        File or folder of the weights.
    format
        Name of the importer.
    genes, labels
        What the user says; None where the source must say it.
    values, target_sum
        What the weights were trained on, if the user says it.
    settings
        What only this importer takes.

    """

    path: Path
    format: str
    genes: GeneTable | None = None
    labels: tuple[str, ...] | None = None
    values: Values | None = None
    target_sum: float = TARGET_SUM
    settings: Mapping[str, Any] = field(default_factory=dict)

    def genes_for(self, count: int, what: str, own: GeneTable | None = None) -> GeneTable:
        """The user's genes, else the source's own; `count` of them, as there are weights.

        Raises
        ------
        NoGeneNames, UnequalLengths

        """
        genes = self.genes or own
        if genes is None:
            raise NoGeneNames(str(self.path), self.format, count)
        if len(genes) != count:
            raise UnequalLengths(
                str(self.path), first="genes", first_length=len(genes),
                second=what, second_length=count,
            )  # fmt: skip
        return genes

    def labels_for(
        self, count: int, what: str, own: tuple[str, ...] | None = None
    ) -> tuple[str, ...]:
        """The user's labels, else the source's own; `count` of them, as there are outputs.

        Raises
        ------
        NoLabelNames, UnequalLengths

        """
        labels = self.labels or own
        if not labels:
            raise NoLabelNames(str(self.path), self.format, count)
        if len(labels) != count:
            raise UnequalLengths(
                str(self.path), first="labels", first_length=len(labels),
                second=what, second_length=count,
            )  # fmt: skip
        return labels

    def values_or_raise(self) -> Values:
        """What the weights were trained on, where only the user can know.

        Raises
        ------
        NoValueConvention

        """
        if self.values is None:
            raise NoValueConvention(str(self.path), ["library_log1p", "panel_log1p", "counts"])
        return self.values


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What an importer knows of the weights; a plan's `[imported]` wins."""

    source: str = "not stated"
    license: str = "not stated"
    attribution: str = "not stated"
    known_training: str = "not stated"


@dataclass(frozen=True, kw_only=True)
class ImportedModel:
    """A model as an importer leaves it.

    Attributes
    ----------
    graph
        With the inputs of the contract (`counts` first) and a node for each output; outputs are
        declared, metadata are not set.
    outputs
        Names of the contract with what they mean, in the graph's order.
    genes, gene_weight
        In the order of `counts`, and float32 [genes] the share of the model that each carries; None
        for all alike.
    labels, label_ids
        Classes in the order of `prob`, and the Cell Ontology id of those where the source says it.
    prob_kind
        Whether `prob` sums to 1; None for a model without it.
    features
        A tensor [cells, n] of the graph in which cells of one type lie together: scaled values or
        the last hidden layer. Out-of-distribution scores are measured in it; None for no scores.
    answers
        The same answers without the graph, in numpy: what the graph is held against where the
        source package's own are not at hand. Gives any of the outputs, each [cells, ...].
    answered_by
        Whose answers these are.
    tolerances
        (atol, rtol) of outputs; others have the usual ones.
    weights
        The file whose digest the card names; None for the source.

    """

    graph: OnnxGraph
    genes: GeneTable
    architecture: str
    outputs: tuple[Output, ...] = CLASSIFIER
    gene_weight: npt.NDArray[np.float32] | None = None
    labels: tuple[str, ...] = ()
    label_ids: Mapping[str, str] = field(default_factory=dict)
    prob_kind: ProbKind | None = None
    task: Task = "cell_type_annotation"
    value_kinds: tuple[ValueKind, ...] = ("counts",)
    features: Tensor | None = None
    answers: Callable[[Placed], Arrays] | None = None
    answered_by: str = "the weights, computed by numpy"
    tolerances: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    hyper_parameters: Mapping[str, Any] = field(default_factory=dict)
    provenance: Provenance = field(default_factory=Provenance)
    weights: Path | None = None

    def tolerance(self, output: str) -> tuple[float, float]:
        """(atol, rtol) of an output."""
        return self.tolerances.get(output, TOLERANCES.get(output, USUAL_TOLERANCE))


class Importer(ABC):
    """One form of weights.

    Attributes
    ----------
    name
        As on the command line; the entry point has the same name.
    summary
        One line for `zoo convert --list`.
    settings
        Name → meaning of what it takes with `--set`.
    paper
        Where the method was published.

    """

    name: ClassVar[str]
    summary: ClassVar[str]
    settings: ClassVar[Mapping[str, str]] = {}
    paper: ClassVar[Paper | None] = None

    @abstractmethod
    def read(self, source: Source) -> ImportedModel:
        """Read the weights as data, and write their graph.

        Raises
        ------
        UnreadableWeights, ForbiddenGlobal, OtherFormat, MissingWeights, UnsupportedWeights
        UnequalLengths, WeightsNotFinite, RepeatedNames, NoGeneNames, NoLabelNames

        """

    def describe(self) -> list[DescribedSetting]:
        """What it takes with `--set`."""
        return [DescribedSetting(name, None, meaning) for name, meaning in self.settings.items()]

    def convert(self, request: ConvertRequest, notice: Callable[[str], None]) -> ConvertReport:
        """Write a complete model folder, or nothing: `converters.importing.converting`.

        Raises
        ------
        MissingExtra
            And all that the source, the plan and the writing may raise.

        """
        try:
            from converters.importing.converting import convert
        except ModuleNotFoundError as error:
            raise MissingExtra("convert", f"convert {self.name!r} weights") from error

        return convert(self, request, notice)
