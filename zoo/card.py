"""The model card, version 1: what a model is, what it takes and gives, and how well it works.

A card is the `README.md` of a model folder: Hugging Face front matter (YAML) with one `cellzoo:`
block, then prose for people. This module holds the block's schema; `zoo.card_file` reads and writes
the file. Numbers in a card are written by the command that measured them.
"""

from __future__ import annotations

from itertools import repeat
from math import isfinite
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

_DEEPEST = 16


def _ensure_plain(value: Any, depth: int = 0) -> Any:
    """Refuse what JSON cannot say again, and what is nested without need."""
    if depth > _DEEPEST:
        raise ValueError(f"nested more than {_DEEPEST} deep")
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise ValueError("a key is no text")
        list(map(_ensure_plain, value.values(), repeat(depth + 1)))
    elif isinstance(value, list | tuple):
        list(map(_ensure_plain, value, repeat(depth + 1)))
    elif isinstance(value, float) and not isfinite(value):
        raise ValueError(f"{value} is no number of JSON")
    elif isinstance(value, int) and abs(value) >> 63:
        raise ValueError("an integer of more than 64 bits")
    elif not (value is None or isinstance(value, str | int | float | bool)):
        raise ValueError(f"a {type(value).__name__} is neither text nor number")
    return value


# -- words --------------------------------------------------------------------------------------

Line = Annotated[
    str,
    StringConstraints(
        min_length=1,
        max_length=2000,
        pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]+$",
    ),
]
"""One line of text without control characters, nor such as turn the direction of writing: what a
terminal or a page shows is what it says."""

Plain = Annotated[dict[str, Any], AfterValidator(_ensure_plain)]
"""A mapping of free form that JSON can hold."""
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
ModelName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)]
Version = Annotated[str, StringConstraints(pattern=r"^\d{1,5}\.\d{1,5}\.\d{1,5}$")]
Share = Annotated[float, Field(ge=0, le=1)]
"""A proportion from 0 to 1."""

ValueKind = Literal["counts", "log_normalized", "intensity"]
GeneIdKind = Literal["symbol", "ensembl_id", "marker"]
Modality = Literal["rna", "protein", "spatial"]
Task = Literal[
    "cell_type_annotation",
    "embedding",
    "imputation",
    "clustering",
    "spatial_domains",
    "tumor_detection",
    "perturbation_response",
]
OutputName = Literal[
    "label", "prob", "conformal_p", "in_set", "ood_z", "ood_p", "embedding", "cluster",
    "cluster_distance", "recon_error", "ref_distance", "imputed", "predicted", "mean",
    "dispersion", "dropout_prob", "attribution", "mask", "pathway_attention",
]  # fmt: skip
ProbKind = Literal["softmax", "independent"]
Role = Literal["validation", "test", "external", "shift", "ablation", "robustness"]


RESERVED_NAMES = frozenset({"prepared", "split", "domains"})
"""Keys of `uns['cellzoo']` that log steps other than a model's run."""


class CardModel(BaseModel):
    """Base of all parts of a card: no unknown field, no change after reading."""

    # JSON has no word for NaN and infinity: a manifest that held one could not be written again.
    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


# -- who and what -------------------------------------------------------------------------------


class Author(CardModel):
    """A person or group to credit."""

    name: Line
    affiliation: Line | None = None
    orcid: Annotated[str, StringConstraints(pattern=r"^(\d{4}-){3}\d{3}[\dX]$")] | None = None


class Paper(CardModel):
    """A publication of the method."""

    title: Line
    doi: Line | None = None
    url: Line | None = None


class Change(CardModel):
    """What a version changed."""

    version: Version
    date: Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    changes: list[Line] = Field(min_length=1)


# -- what goes in and comes out -----------------------------------------------------------------


class GraphRecipe(CardModel):
    """How the runner builds the spatial graph from `obsm['spatial']`."""

    kernel: Literal["gaussian"]
    neighbourhood_share: Annotated[float, Field(gt=0, lt=1)]
    """Mean contribution of the neighbours to a spot, from which the kernel's length is found."""
    minimum_weight: Annotated[float, Field(gt=0, lt=1)]
    """Edges below this weight are cut."""


class Inputs(CardModel):
    """What a file must hold for this model."""

    modality: Modality
    organism: Line
    """Scientific name, e.g. `Homo sapiens`."""
    tissues: list[Line]
    assays: list[Line]
    genes: Annotated[int, Field(gt=0)]
    """Size of the gene vocabulary."""
    gene_id_kinds: list[GeneIdKind] = Field(min_length=1)
    gene_release: Line
    """The gene annotation from which symbols and ids were taken."""
    gene_coverage: Share
    """Smallest accepted gene coverage, weighted by what each gene contributes to the model."""
    value_kinds: list[ValueKind] = Field(min_length=1)
    total_counts: bool = False
    """Whether the graph takes each cell's counts over all genes of the file: log values whose genes
    were filtered afterwards are then refused, since their sums are no longer known."""
    graph_recipe: GraphRecipe | None = None


class Output(CardModel):
    """One output of the graph."""

    name: OutputName
    description: Line
    unit: Line
    """What the numbers are counted in, e.g. `probability`, `class index`, `standard deviations`."""


class Tolerance(CardModel):
    """Accepted difference of an output from the stored one: |a - b| <= atol + rtol * |b|."""

    atol: Annotated[float, Field(ge=0)]
    rtol: Annotated[float, Field(ge=0)]
    measured: Annotated[float, Field(ge=0)]
    """Largest absolute difference between the source framework and ONNX Runtime on the sample."""


# -- how well it works --------------------------------------------------------------------------


class Row(CardModel):
    """One measured number."""

    id: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.:+-]*$", max_length=160)]
    """Unique in the card; claims refer to it."""
    dataset: Line
    role: Role
    condition: Line
    """The part of the data set, and what was done to it."""
    method: Line = "model"
    """`model`, or the name of the baseline that this row measures."""
    donor_independent: bool | None
    """Whether no donor of this row was seen in training; null where that is not known."""
    study_independent: bool | None
    gene_coverage: Share | None
    """Weighted gene coverage of the data set."""
    metric: Line
    value: float
    n: Annotated[int, Field(ge=0)]
    """Number of cells (or other units, named in the condition) behind the value."""
    interval: tuple[float, float] | None
    """95% interval."""
    interval_method: (
        Literal["bootstrap", "wilson", "range over seeds", "range over draws"] | None
    ) = None
    seeds: list[int] = []
    """Seeds over which the value was repeated; `value` is the shipped one's."""
    spread: tuple[float, float] | None = None
    """Smallest and largest value over the seeds."""


class Claim(CardModel):
    """A statement about where the model works, with the rows that back it."""

    statement: Line
    rows: list[Line] = Field(min_length=1)


class Headline(CardModel):
    """The number that a catalogue shows, with the best baseline of the same cells."""

    row: Line
    """Id of the row."""
    baseline: Line | None
    """Id of the best baseline's row; null where there is nothing to compare with."""


class Scope(CardModel):
    """Where the model should and should not be used."""

    intended: list[Line] = Field(min_length=1)
    out_of_scope: list[Line] = Field(min_length=1)
    works_well: list[Claim]
    works_poorly: list[Claim]


class Calibration(CardModel):
    """How probabilities and p-values were calibrated."""

    method: Line
    data: Line
    cells: Annotated[int, Field(gt=0)]
    alpha: Share
    """Error level of the conformal sets."""
    pooled_classes: list[Line] = []
    """Classes with too few calibration cells for scores of their own."""


class Thresholds(CardModel):
    """Limits from which the verdict of a cell follows."""

    min_counts: Annotated[float, Field(ge=0)] = 0
    """Fewer counts in the vocabulary's genes than this: `out`."""
    ood_out: Share = 0.01
    ood_borderline: Share = 0.05


class Explanation(CardModel):
    """How `explain.onnx` explains an answer, and how faithful it was found to be."""

    method: Line
    """E.g. `integrated gradients`."""
    of: Line
    """What is explained, e.g. the log-odds of a class."""
    reference_cell: Line
    """The cell with which a cell is compared."""
    steps: Annotated[int, Field(gt=0)]
    """Steps of the integral."""
    crowding: Annotated[int, Field(gt=0)] = 1
    """How much the steps crowd at the reference cell: a = u to this power; 1 is evenly."""
    storage: Literal["float32", "float16", "int8"]
    """How the weights of `explain.onnx` are stored."""
    markers: Line | None = None
    """The list of marker genes that it was held against, with its sources."""
    rows: list[Row]
    """What was measured: completeness, agreement with unrounded weights, the deletion test, recall
    of marker genes."""


# -- how it was made ----------------------------------------------------------------------------


class DataSource(CardModel):
    """A data set that was used, with its terms."""

    name: Line
    role: Literal["training", "calibration", "evaluation", "reference"]
    accession: Line
    source: Line
    sha256: Sha256
    license: Line
    attribution: Line
    cells: Annotated[int, Field(ge=0)]
    donors: Annotated[int, Field(ge=0)] | None
    label_mapping: dict[str, str] = {}
    """Labels of the data set → labels of the model, for evaluation."""


class Imported(CardModel):
    """Where weights that others trained were taken from."""

    format: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)]
    """The importer: `zoo convert FORMAT`."""
    source: Line
    """What was converted: package and version, or address, and file."""
    sha256: Sha256
    """Of that file."""
    license: Line
    attribution: Line
    known_training: Line
    """What its makers tell of the training."""
    reference: Line
    """Whose answers the stored expected outputs are, and how they were made."""


class Training(CardModel):
    """How the weights came to be; null where the makers of imported weights do not tell."""

    cells: Annotated[int, Field(gt=0)] | None
    donors: Annotated[int, Field(gt=0)] | None
    split: Line
    code: Line
    """Python module that trains it, or that imported it."""
    code_sha256: Sha256
    recipe: Line | None = None
    """Name of the recipe, for `zoo train RECIPE --like NAME`."""
    data_plan: Plain = {}
    """How the recipe read its training file: columns, label mapping, split."""
    seed: int | None
    hyper_parameters: Plain
    wall_seconds: Annotated[float, Field(ge=0)] | None


class Compute(CardModel):
    """Measured use of resources."""

    machine: Line
    runtime: Line
    cells_per_second: Annotated[float, Field(gt=0)]
    peak_memory_mb: Annotated[float, Field(gt=0)]
    parameters: Annotated[int, Field(gt=0)]
    model_bytes: Annotated[int, Field(gt=0)]


# -- the block ----------------------------------------------------------------------------------


class CellZooBlock(CardModel):
    """The `cellzoo:` block of a card's front matter."""

    card_version: Literal[1]
    contract: Literal[1]
    name: ModelName
    version: Version
    summary: Line
    task: Task
    architecture: Line
    license: Line
    authors: list[Author] = Field(min_length=1)
    paper: Paper | None = None
    inputs: Inputs
    outputs: list[Output] = Field(min_length=1)
    prob_kind: ProbKind | None = None
    """Whether the probabilities of a cell sum to 1 or each class has one of its own."""
    headline: Headline | None = None
    scope: Scope
    thresholds: Thresholds = Thresholds()
    calibration: Calibration | None = None
    tolerances: dict[OutputName, Tolerance]
    data: list[DataSource]
    """Data sets that it was trained on and measured with; may be empty for imported weights."""
    imported: Imported | None = None
    training: Training
    evaluation: list[Row]
    robustness: list[Row] = []
    explanation: Explanation | None = None
    """Of classifiers with `explain.onnx`."""
    compute: Compute
    changelog: list[Change] = Field(min_length=1)

    @property
    def reference(self) -> str:
        """`name@version`."""
        return f"{self.name}@{self.version}"

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the graph's outputs."""
        return tuple(output.name for output in self.outputs)

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if self.name in RESERVED_NAMES:
            raise ValueError(f"{self.name!r} is the name of a step's log in uns['cellzoo']")
        explained = self.explanation.rows if self.explanation else []
        ids = [row.id for row in (*self.evaluation, *self.robustness, *explained)]
        if len(set(ids)) != len(ids):
            raise ValueError("row ids are not unique")
        for claim in (*self.scope.works_well, *self.scope.works_poorly):
            if missing := set(claim.rows) - set(ids):
                raise ValueError(f"a scope claim names rows that do not exist: {sorted(missing)}")
        if self.headline:
            named = {self.headline.row, self.headline.baseline or self.headline.row}
            if missing := named - set(ids):
                raise ValueError(f"the headline names rows that do not exist: {sorted(missing)}")
        if ("prob" in self.output_names) != (self.prob_kind is not None):
            raise ValueError("prob_kind is for models with the output prob, and for all of them")
        training = self.training
        untold = None in (training.cells, training.seed, training.wall_seconds)
        if untold and self.imported is None:
            raise ValueError("only the training of imported weights may have untold fields")
        if not self.data and self.imported is None:
            raise ValueError("only imported weights may be without a data set")
        if missing := set(self.output_names) - set(self.tolerances):
            raise ValueError(f"outputs without a tolerance: {sorted(missing)}")
        if "conformal_p" in self.output_names and self.calibration is None:
            raise ValueError("conformal_p is an output, but there is no calibration")
        if self.version not in {change.version for change in self.changelog}:
            raise ValueError(f"the changelog has no entry for version {self.version}")
        return self
