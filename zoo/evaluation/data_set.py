"""A data set to evaluate with: which file, what its labels mean, and how independent it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from zoo.block import Int64
from zoo.card import CardModel, Line, Role, Sha256, ValueKind
from zoo.categories import Categories
from zoo.errors import UnknownPerturbation

Condition = Literal["thinning", "dropout", "genes_removed", "gene_lists", "few_counts"]
"""A disturbance of the robustness grid; `zoo.evaluation.robustness` draws its steps."""


class DataTerms(CardModel):
    """Where a data set comes from, and on which terms."""

    sha256: Sha256 | None = None
    """The file that the card's numbers were measured with; another one is refused."""
    accession: Line = "not stated"
    source: Line = "not stated"
    license: Line = "not established"
    attribution: Line = "not stated"
    donors: int | None = None


class Perturbation(CardModel):
    """Which cells were stimulated: what a model of responses learns from and is measured by."""

    column: str
    """Column of obs with the condition of each cell."""
    control: str
    """Its value for cells as they were."""
    stimulated: str
    """Its value for stimulated cells; cells with a third value take no part."""

    def codes(self, conditions: Categories) -> Int64:
        """int64 [cells]: 0 for control cells, 1 for stimulated ones, -1 for others.

        Raises
        ------
        UnknownPerturbation
            If no cell has one of the two values.

        """
        for value in (self.control, self.stimulated):
            if value not in conditions.names:
                raise UnknownPerturbation(conditions.path, self.column, value, conditions.names)
        of_name = {self.control: 0, self.stimulated: 1}
        of_code = [of_name.get(name, -1) for name in conditions.names]
        return np.array([*of_code, -1], dtype=np.int64)[conditions.codes]


class EvaluationData(DataTerms):
    """One data set, as a plan lists it under `[[evaluation]]` and `zoo evaluate` takes it."""

    key: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_+-]*$")]
    """Short name for row ids."""
    file: str
    """Path, relative to the folder of the training data where it is not absolute."""
    dataset: Line
    role: Role = "external"
    condition: Line = "as published"
    label: str | None = None
    """Column of obs with the truth."""
    mapping: dict[str, str] = {}
    """Labels of the data set → labels of the model; labels that are not named here and that the
    model does not have are left out of what is right or wrong, and measured apart. An empty name
    leaves a label out altogether. A model without classes takes the data set's own names."""
    by: str | None = None
    """Column of obs whose groups are reported apart (chemistry, condition)."""
    group: str | None = None
    """Column of obs with the donor, patient, slide or batch of each cell."""
    slide_key: str | None = None
    perturbation: Perturbation | None = None
    """Which cells were stimulated, for models that predict a response."""
    value_kind: ValueKind | None = None
    orthologs: str | None = None
    """A table of one-to-one orthologs (TSV, columns `human` and `mouse`), by which the genes of a
    mouse file are read as human ones; relative to the same folder as `file`."""
    donor_independent: bool | None = None
    study_independent: bool | None = None
    conditions: list[Condition] = []
    maximum_cells: int | None = None
    """Take a random sample of so many cells of a larger file (with seed 0); not for spatial models,
    whose spots would lose their neighbours."""

    def path(self, folder: Path) -> Path:
        """Where the file lies, for files that are named relative to a folder."""
        return folder / self.file
