"""A study file: how a model is explained and what its explanation is measured on."""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import Field, ValidationError

from zoo.card import CardModel, Line
from zoo.card_file import problems_of
from zoo.errors import FileMissing, InvalidStudy
from zoo.evaluation.data_set import EvaluationData
from zoo.explaining.explainer import STEPS
from zoo.explaining.storage import Storage


class ExplainedCells(EvaluationData):
    """Cells to measure an explanation on, under `[[cells]]`; their labels are not needed."""

    file: str = ""
    sample: bool = False
    """Take the model's own sample instead of a file."""
    part: str | None = None
    """Only the cells with this value in the column `by`."""


class ExplanationStudy(CardModel):
    """How one model is explained."""

    steps: int = STEPS
    storage: Storage = "int8"
    reference_cell: Line | None = None
    """The reference cell in words, where more is known of it than the graph tells."""
    markers: str | None = None
    """A table of marker genes beside this file: columns label, gene, source."""
    maximum_cells: int = 1000
    """Take a random sample of so many cells of a larger set."""
    cells: list[ExplainedCells] = Field(min_length=1)

    @classmethod
    def read(cls, path: Path) -> ExplanationStudy:
        """Read a study file.

        Raises
        ------
        FileMissing, InvalidStudy

        """
        if not path.is_file():
            raise FileMissing(str(path))
        try:
            return cls.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InvalidStudy(str(path), f"it is no TOML: {error}") from error
        except ValidationError as error:
            raise InvalidStudy(str(path), problems_of(error)) from error
