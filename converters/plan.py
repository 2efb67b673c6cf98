"""A plan: everything that makes one published model, in one TOML file beside its recipe.

`zoo train RECIPE DATA -o DIR --config PLAN.toml` reads it. Options of the command line win over the
plan, and what neither says is a default of the recipe.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field, ValidationError

from zoo.card import Author, CardModel, Line, ModelName, Paper, Task, Version
from zoo.card_file import problems_of
from zoo.errors import FileMissing, InvalidPlan
from zoo.evaluation.data_set import Condition, DataTerms, EvaluationData, Perturbation


class TrainingDataPlan(DataTerms):
    """The file that the model learns from, with its terms."""

    file: str | None = None
    """Its name, for a reader of the plan; the command line says where it is."""
    key: str = "training"
    """Short name for row ids: `<key>-test` holds what was measured on cells held out."""
    dataset: Line | None = None
    label: str | None = None
    mapping: dict[str, str] = {}
    """Published labels → the model's; if not empty, cells with other labels are left out."""
    leave_out: list[str] = []
    """Labels whose cells are left out."""
    batch: str | None = None
    split: str | None = None
    hold_out: list[str] = []
    """Groups of that column (else of `batch`) that are the test; `test` is then not used."""
    leave_one_out: bool = False
    """Leave out each group in turn; with a `perturbation`, each label of each group."""
    perturbation: Perturbation | None = None
    """Which cells were stimulated, for recipes that learn a response."""
    slide_key: str | None = None
    validation: float = 0.2
    test: float = 0.2
    conditions: list[Condition] = []
    """Disturbances of the test cells."""
    maximum_cells: int | None = None
    """Take a random sample of so many cells of a larger file (with seed 0)."""


class InputsPlan(CardModel):
    """What the card says of the inputs."""

    organism: Line = "not stated"
    tissues: list[Line] = []
    assays: list[Line] = []
    gene_release: Line = "as in the training data"


class ScopePlan(CardModel):
    """Sentences of the scope; in claims, `{{row id}}` becomes the measured number."""

    intended: list[Line] = []
    out_of_scope: list[Line] = []
    works_well: list[Line] = []
    works_poorly: list[Line] = []


class Plan(CardModel):
    """One model."""

    name: ModelName | None = None
    version: Version = "1.0.0"
    date: str | None = None
    summary: Line | None = None
    task: Task | None = None
    """Where it is not the recipe's."""
    license: Line = "other"
    authors: list[Author] = Field(default=[Author(name="The CellZoo authors")], min_length=1)
    paper: Paper | None = None
    data: TrainingDataPlan = TrainingDataPlan()
    inputs: InputsPlan = InputsPlan()
    labels: dict[str, str] = {}
    """Labels of the model → Cell Ontology ids; also where a label is no cell type: empty."""
    settings: dict[str, Any] = {}
    seeds: list[int] = Field(default=[0], min_length=1)
    neighbours: bool = False
    scope: ScopePlan = ScopePlan()
    changes: list[Line] = ["First version."]
    prose: str | None = None
    """File beside the plan with the card's text; `{{row id}}` and `{{table:name}}` are filled."""
    sample_cells: int = 200
    sample: str = "real"
    """`real`: held-out cells of the training data; `simulated` where these may not be shared."""
    evaluation: list[EvaluationData] = []

    @classmethod
    def read(cls, path: Path) -> Plan:
        """Read a plan.

        Raises
        ------
        FileMissing, InvalidPlan

        """
        return read_plan(path, cls)


PlanKind = TypeVar("PlanKind", bound=CardModel)


def read_plan(path: Path, kind: type[PlanKind]) -> PlanKind:
    """Read a plan of some kind.

    Raises
    ------
    FileMissing, InvalidPlan

    """
    if not path.is_file():
        raise FileMissing(str(path))
    try:
        return kind.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidPlan(str(path), f"it is no TOML: {error}") from error
    except ValidationError as error:
        raise InvalidPlan(str(path), problems_of(error)) from error
