"""The plan of an import: what weights cannot tell, in one TOML file.

`zoo convert FORMAT SOURCE -o DIR --config PLAN.toml` reads it; options of the command line win.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from converters.importing.agreement import AgreementData
from converters.importing.grouped import GroupedData
from converters.plan import InputsPlan, ScopePlan
from zoo.card import (
    Author,
    CardModel,
    Headline,
    Line,
    ModelName,
    Paper,
    Share,
    Task,
    Thresholds,
    Version,
)
from zoo.evaluation.data_set import DataTerms, EvaluationData
from zoo.importers import Values


class ImportedPlan(CardModel):
    """Where the weights come from; what is not said here is what the importer knows."""

    source: Line | None = None
    """Package and version, or address, and file."""
    license: Line | None = None
    attribution: Line | None = None
    known_training: Line | None = None
    reference: Line | None = None
    """Whose answers `--reference` holds, and how they were made; else what that file says."""


class TrainingPlan(CardModel):
    """What the makers tell of the training; what is not said stays open on the card."""

    cells: int | None = None
    donors: int | None = None
    split: Line = "not told"
    seed: int | None = None


class SamplePlan(DataTerms):
    """The cells of the sample."""

    file: str | None = None
    label: str | None = None
    """Column of obs to keep."""
    only: list[str] = []
    """Take cells with these labels alone."""
    cells: Annotated[int, Field(gt=0, le=100)] = 100
    """At most so many."""


class CalibrationPlan(DataTerms):
    """Labelled cells, unseen in training, for p-values and out-of-distribution scores."""

    file: str | None = None
    dataset: Line | None = None
    label: str | None = None
    mapping: dict[str, str] = {}
    group: str | None = None
    alpha: Share = 0.1


class ImportPlan(CardModel):
    """One imported model."""

    name: ModelName | None = None
    version: Version = "1.0.0"
    date: str | None = None
    summary: Line | None = None
    task: Task | None = None
    """Where it is not the importer's."""
    license: Line | None = None
    """Of the model folder; by default that of the weights."""
    authors: list[Author] = Field(default=[Author(name="The CellZoo authors")], min_length=1)
    paper: Paper | None = None
    imported: ImportedPlan = ImportedPlan()
    training: TrainingPlan = TrainingPlan()
    inputs: InputsPlan = InputsPlan(gene_release="as in the source")
    labels: dict[str, str] = {}
    """Labels of the model → Cell Ontology ids; also where a label is no cell type: empty."""
    values: Values | None = None
    target_sum: float | None = None
    settings: dict[str, Any] = {}
    """What only this importer takes."""
    gene_coverage: Share | None = None
    """Smallest accepted gene coverage."""
    thresholds: Thresholds = Thresholds(min_counts=1)
    scope: ScopePlan = ScopePlan()
    headline: Headline | None = None
    changes: list[Line] = ["First version."]
    prose: str | None = None
    """File beside the plan with the card's text; `{{row id}}` and `{{table:name}}` are filled."""
    sample: SamplePlan = SamplePlan()
    calibration: CalibrationPlan = CalibrationPlan()
    evaluation: list[EvaluationData] = []
    groups: dict[str, list[Line]] = {}
    """Groups of labels that data sets know, by the model's labels or patterns of them."""
    grouped: list[GroupedData] = []
    """Data sets whose labels are these groups."""
    agreement: list[AgreementData] = []
    """Whole files on which the source package was asked; needs `--reference`."""
