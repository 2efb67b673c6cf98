"""A recipe: what one architecture adds to the making of a model.

A recipe names the genes that it reads, fits a torch module whose forward pass is the model's graph,
and says what comes out. Reading, splits, seeds, export, parity, samples, evaluation and the card
are the same for all and live in `converters.building`. A folder of `converters/`, or any installed
package, adds a recipe by an entry point in the group `cellzoo.recipes` that names a class of this
kind. Its module imports torch only inside `fit`.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import textwrap
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt

from converters.training_cells import TrainingCells
from zoo.card import (
    Calibration,
    DataSource,
    GraphRecipe,
    Modality,
    Output,
    Paper,
    ProbKind,
    Task,
    Thresholds,
    ValueKind,
)
from zoo.errors import MissingExtra, UnknownSetting
from zoo.recipes import DescribedSetting, TrainReport, TrainRequest, TrainWatch

if TYPE_CHECKING:
    from torch import nn

    from converters.building.subject import TorchSubject
    from converters.fit_run import FitRun
    from zoo.evaluation.asked import Measurer
    from zoo.evaluation.cells import LabelledCells

Need = Literal["label", "batch", "slide_key", "coordinates", "perturbation"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Hyper-parameters of a recipe: subclasses add theirs, each with a default and a docstring."""

    epochs: int = 100
    """Most passes over the training cells."""

    @classmethod
    def of(cls, recipe: str, values: Mapping[str, Any]) -> Self:
        """The defaults with some values changed; lists become tuples.

        Raises
        ------
        UnknownSetting
            If there is no such hyper-parameter, or its value has another type.

        """
        known = {f.name: f for f in dataclasses.fields(cls)}
        changes = {}
        for name, value in values.items():
            if name not in known:
                detail = f"the recipe has: {', '.join(sorted(known))}"
                raise UnknownSetting(recipe, name, detail)
            default = getattr(cls(), name)
            changes[name] = _converted(recipe, name, value, default)
        return cls(**changes)

    def as_json(self) -> dict[str, Any]:
        """The hyper-parameters as plain data, for the card."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }

    @classmethod
    def describe(cls) -> list[DescribedSetting]:
        """Every hyper-parameter with its default and what stands below it in the source."""
        meanings: dict[str, str] = {}
        for kind in reversed(cls.__mro__):
            if dataclasses.is_dataclass(kind):
                meanings |= _texts_below_fields(kind)
        defaults = cls().as_json()
        return [DescribedSetting(name, defaults[name], meanings.get(name, "")) for name in defaults]

    def changed(self, **changes: Any) -> Self:
        """The same with some values changed."""
        return dataclasses.replace(self, **changes)


def _texts_below_fields(kind: type) -> dict[str, str]:
    """The string below each field of a class, as editors and documentation tools read it."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(tree, ast.ClassDef), "a class's source is a class"
    texts = {}
    for field_, text in itertools.pairwise(tree.body):
        is_field = isinstance(field_, ast.AnnAssign) and isinstance(field_.target, ast.Name)
        is_text = isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
        if is_field and is_text:
            texts[field_.target.id] = " ".join(str(text.value.value).split())  # type: ignore
    return texts


def _converted(recipe: str, name: str, value: Any, default: Any) -> Any:
    """A value in the type of the default; `None` defaults take anything."""
    if isinstance(default, tuple) and isinstance(value, list | tuple):
        return tuple(value)
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if default is not None and type(value) is not type(default):
        raise UnknownSetting(
            recipe, name, f"it takes a {type(default).__name__}, and {value!r} is none"
        )
    return value


@dataclass(frozen=True)
class Fitted:
    """A model as a recipe leaves it.

    Attributes
    ----------
    module
        On the CPU, in evaluation mode. Its forward pass takes the tensors of `inputs` in order and
        gives a tuple in the order of `outputs`: the whole graph, normalization included.
    inputs
        `counts`, then any of `gene_present`, `total_counts`, `edge_index`, `edge_weight`.
    outputs
        Names of the contract with what they mean.
    tolerances
        (atol, rtol) of each output, between torch and ONNX Runtime.
    gene_weight
        float32 [genes]: share of the model that each gene carries; sums to 1.
    labels
        Names of the classes in the order of `prob`; empty for a model without.
    thresholds, gene_coverage
        Limits from which verdicts and refusals follow.
    prob_kind
        Whether `prob` sums to 1 over the classes, for a model with that output.
    calibration
        How p-values were calibrated; needed where `conformal_p` is an output.
    facts
        Single numbers that the fit found and a card may quote, by name.
    files
        Further files of the model folder by name, such as `pathways.tsv`.
    sources
        What the fit used beside the training cells, with its terms.

    """

    module: nn.Module
    inputs: tuple[str, ...]
    outputs: tuple[Output, ...]
    tolerances: Mapping[str, tuple[float, float]]
    gene_weight: npt.NDArray[np.float32]
    labels: tuple[str, ...] = ()
    thresholds: Thresholds = field(default_factory=Thresholds)
    gene_coverage: float = 0.0
    prob_kind: ProbKind = "softmax"
    calibration: Calibration | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    sources: tuple[DataSource, ...] = ()


class Recipe(ABC):
    """How models of one architecture are made.

    Attributes
    ----------
    name
        As on the command line; the entry point has the same name.
    summary
        One line for `zoo train --help`.
    architecture, task, modality, value_kinds, paper
        As the card says them.
    settings
        The class of the hyper-parameters.
    needs
        Which columns a training file must have for this recipe.
    graph_recipe
        How the runner builds the spatial graph, for spatial models.
    minimum_cells
        Fewest cells to train with.

    """

    name: ClassVar[str]
    summary: ClassVar[str]
    architecture: ClassVar[str]
    task: ClassVar[Task]
    modality: ClassVar[Modality] = "rna"
    value_kinds: ClassVar[tuple[ValueKind, ...]] = ("counts",)
    paper: ClassVar[Paper | None] = None
    settings: ClassVar[type[Settings]]
    needs: ClassVar[frozenset[Need]] = frozenset()
    graph_recipe: ClassVar[GraphRecipe | None] = None
    other_graphs: ClassVar[Mapping[str, GraphRecipe]] = {}
    """Graphs to ask the same fits with, by a name for the rows that tell how far answers move."""
    minimum_cells: ClassVar[int] = 50
    holds_out: ClassVar[bool] = True
    """Whether cells are held out; a fit of one file's own cells is measured on them and says so."""
    intended: ClassVar[Sequence[str]] = ()
    """Sentences for the scope of a card that says nothing else."""
    out_of_scope: ClassVar[Sequence[str]] = ()

    @abstractmethod
    def genes(self, cells: TrainingCells, settings: Any) -> npt.NDArray[np.int64]:
        """Choose the vocabulary: ascending columns of `cells`, which are training cells alone."""

    @abstractmethod
    def fit(self, cells: TrainingCells, settings: Any, run: FitRun) -> Fitted:
        """Fit a model.

        Parameters
        ----------
        cells
            Cells of the parts `train` and `validation` with the vocabulary's genes alone, in the
            order of the graph's input. No test cell is among them. `validation` is for early
            stopping and for calibration, never for weights.
        settings
            An instance of `settings`.
        run
            Seed, device, progress, checkpoints and early stopping.

        """

    def neighbours(self, settings: Any) -> Mapping[str, Settings]:
        """One neighbouring setting of each main hyper-parameter, by a name such as `hidden=32`."""
        return {}

    def measurer(
        self, subject: TorchSubject, training: LabelledCells, settings: Any
    ) -> Measurer | None:
        """What takes rows of this recipe's own, beside those that every recipe has.

        Asked once for a fit, then called for each data set that the fit is measured on, though not
        for steps of a disturbance. Where groups are left out in turn, only other data sets come.

        Parameters
        ----------
        subject
            The fit.
        training
            All cells that are not held out, in the order of its vocabulary.
        settings
            Those of the fit.

        """
        return None

    def describe(self) -> list[DescribedSetting]:
        """The hyper-parameters with their defaults and meanings."""
        return self.settings.describe()

    def train(self, request: TrainRequest, watch: TrainWatch) -> TrainReport:
        """Write a complete model folder.

        Raises
        ------
        MissingExtra
            And all that the data, the plan and the writing may raise.

        """
        try:
            from converters.building.build import build
        except ModuleNotFoundError as error:
            raise MissingExtra("train", f"train with {self.name!r}") from error

        return build(self, request, watch)
