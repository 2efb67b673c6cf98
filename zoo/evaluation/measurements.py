"""Measured numbers as rows of a card, collected over seeds and kept as `measurements.json`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from zoo.card import Role, Row
from zoo.digest import sha256_of
from zoo.errors import OutputUnwritable
from zoo.evaluation.metrics import Measure
from zoo.json_text import json_text
from zoo.staging import write_atomically

_LONGEST_KEY = 48


@dataclass(frozen=True)
class Setting:
    """What was measured on: everything in a row that is not the number.

    Attributes
    ----------
    dataset, condition
        As people read them; row ids are made from them.
    key
        Short name of data set and condition for row ids, e.g. `kang-control`.

    """

    key: str
    dataset: str
    role: Role
    condition: str
    donor_independent: bool | None
    study_independent: bool | None
    gene_coverage: float | None
    method: str = "model"

    def by(self, method: str) -> Setting:
        """The same setting, for a baseline."""
        return replace(self, method=method)

    def part(self, key: str, condition: str) -> Setting:
        """A narrower setting: `key` is appended to the key, `condition` to the condition."""
        told = f"{self.condition}; {condition}" if condition else self.condition
        return replace(self, key=f"{self.key}{key}", condition=told)

    def row(self, metric: str, measure: Measure, seed: int) -> Row:
        """One measured number."""
        coverage = self.gene_coverage
        return Row(
            id=row_id(self.key, self.method, metric),
            dataset=line(self.dataset),
            role=self.role,
            condition=line(self.condition),
            method=self.method,
            donor_independent=self.donor_independent,
            study_independent=self.study_independent,
            gene_coverage=None if coverage is None else round(min(coverage, 1.0), 4),
            metric=line(metric),
            value=round(measure.value, 5),
            n=measure.n,
            interval=None if measure.interval is None else _rounded(measure.interval),
            interval_method=measure.interval_method,
            seeds=[seed],
        )


@dataclass
class Measurements:
    """Rows of one seed, or of several after `over_seeds`."""

    seed: int
    rows: list[Row] = field(default_factory=list)

    def add(self, setting: Setting, metric: str, measure: Measure) -> None:
        """Keep one number."""
        self.rows.append(setting.row(metric, measure, self.seed))


def on_card(row: Row) -> bool:
    """Whether a row stands on the card itself; `measurements.json` holds all.

    Recalls of single labels would make a card too long to read.
    """
    return ":" not in row.metric


def line(text: str) -> str:
    """A name from a file as a card may hold it: one line without control characters."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)[:2000]


def row_id(key: str, method: str, metric: str) -> str:
    """`kang-control.model.accuracy`, or of one group of it `kang:donor-1.model.accuracy`."""
    keys = ":".join(row_key(part) for part in key.split(":"))
    return ".".join((keys, row_key(method), row_key(metric)))


def row_key(part: str) -> str:
    """A name as it stands in row ids.

    A name that loses letters or its end by it gets a digest, so that two names stay two.
    """
    key = re.sub(r"[^a-z0-9_+-]+", "-", part.lower())
    if part.isascii() and len(key) <= _LONGEST_KEY:
        return key
    return f"{key[: _LONGEST_KEY - 9]}-{sha256_of(part.encode())[:8]}"


def over_seeds(runs: Sequence[Iterable[Row]]) -> list[Row]:
    """The first run's rows with seeds and spread of the same rows in the others."""
    found: dict[str, list[Row]] = {}
    for run in runs:
        for row in run:
            found.setdefault(row.id, []).append(row)
    merged = []
    for rows in found.values():
        values = [row.value for row in rows]
        changes: dict[str, Any] = {"seeds": [seed for row in rows for seed in row.seeds]}
        if len(rows) > 1:
            changes["spread"] = (min(values), max(values))
        merged.append(rows[0].model_copy(update=changes))
    return merged


def write(path: Path, rows: Iterable[Row], facts: dict[str, Any]) -> None:
    """Write `measurements.json`: single facts (times, sizes, thresholds), and rows as a table.

    A model has hundreds of rows, and the names of their fields would be most of the file.
    """
    columns = list(Row.model_fields)
    told = [row.model_dump(mode="json") for row in rows]
    table = [[row[column] for column in columns] for row in told]
    content = {"facts": facts, "columns": columns, "rows": table}
    path.write_text(json_text(content), encoding="utf-8")


def save(path: Path, rows: Iterable[Row]) -> None:
    """Write rows where a user wants them, each with its names: the whole file or nothing.

    Raises
    ------
    OutputUnwritable

    """
    content = {"rows": [row.model_dump(mode="json") for row in rows]}
    try:
        write_atomically(path, json_text(content).encode())
    except OSError as error:
        raise OutputUnwritable(str(path), error.strerror or str(error)) from error


def read(path: Path) -> tuple[list[Row], dict[str, Any]]:
    """Read what `write` wrote."""
    content = json.loads(path.read_text(encoding="utf-8"))
    columns = content["columns"]
    rows = [dict(zip(columns, row, strict=True)) for row in content["rows"]]
    return [Row.model_validate(row) for row in rows], content["facts"]


def _rounded(interval: tuple[float, float]) -> tuple[float, float]:
    return round(interval[0], 5), round(interval[1], 5)
