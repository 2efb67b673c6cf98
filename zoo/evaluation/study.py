"""A study file: data sets to evaluate with, one TOML table `[[evaluation]]` each.

A plan of `zoo train` is a study file too: whatever else it holds is not looked at.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from zoo.card_file import problems_of
from zoo.errors import FileMissing, InvalidStudy
from zoo.evaluation.data_set import EvaluationData

SUFFIX = ".toml"


class Study(BaseModel):
    """Data sets to evaluate with."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    evaluation: list[EvaluationData] = Field(min_length=1)

    @classmethod
    def read(cls, path: Path) -> Study:
        """Read a study file.

        Raises
        ------
        FileMissing, InvalidStudy

        """
        if not path.is_file():
            raise FileMissing(str(path))
        try:
            study = cls.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InvalidStudy(str(path), f"it is no TOML: {error}") from error
        except ValidationError as error:
            raise InvalidStudy(str(path), problems_of(error)) from error
        ensure_own_keys(study.evaluation, str(path))
        return study


def ensure_own_keys(sets: list[EvaluationData], path: str) -> None:
    """Refuse two data sets with one key: their rows would have the same ids.

    Raises
    ------
    InvalidStudy

    """
    keys = [data.key for data in sets]
    if twice := sorted({key for key in keys if keys.count(key) > 1}):
        raise InvalidStudy(path, f"two data sets have the key {twice[0]!r}")
