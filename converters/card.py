"""Filling a card from measurements: sources, claims and prose take their numbers from rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from converters.datasets import Study
from zoo.card import Claim, DataSource, Row
from zoo.digest import sha256_of

_PLACEHOLDER = re.compile(r"\{\{\s*([^{}]+?)\s*\}\}")


@dataclass(frozen=True)
class Numbers:
    """Measured rows by id, and how they read in a sentence."""

    rows: Mapping[str, Row]

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Numbers:
        """Rows by their ids."""
        return cls({row.id: row for row in rows})

    def number(self, row_id: str) -> str:
        """The value alone: `0.93`."""
        return f"{self.rows[row_id].value:.2f}"

    def sentence(self, row_id: str) -> str:
        """The value with n and interval: `0.93 (n = 395, 0.90–0.95)`."""
        row = self.rows[row_id]
        interval = f", {row.interval[0]:.2f}–{row.interval[1]:.2f}" if row.interval else ""
        return f"{row.value:.2f} (n = {row.n}{interval})"

    def claim(self, template: str) -> Claim:
        """A claim whose numbers are `{{row id}}` in its text; those rows back it."""
        ids = _PLACEHOLDER.findall(template)
        statement = _PLACEHOLDER.sub(lambda match: self.sentence(match.group(1)), template)
        return Claim(statement=statement, rows=list(dict.fromkeys(ids)))

    def fill(self, template: str, tables: Mapping[str, Callable[[], str]]) -> str:
        """Prose whose `{{row id}}` become numbers and `{{table:name}}` tables."""

        def filled(match: re.Match[str]) -> str:
            name = match.group(1)
            if name.startswith("table:"):
                return tables[name.removeprefix("table:")]()
            return self.sentence(name)

        return _PLACEHOLDER.sub(filled, template)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def source(
    study: Study, role: Literal["training", "calibration", "evaluation", "reference"], cells: int
) -> DataSource:
    """A study as the card names it."""
    return DataSource(
        name=study.name,
        role=role,
        accession=study.accession,
        source=study.source,
        sha256=study.sha256,
        license=study.license,
        attribution=study.attribution,
        cells=cells,
        donors=study.donors,
        label_mapping=dict(study.label_mapping),
    )


def code_digest(*folders: Path) -> str:
    """Sha256 over the names and contents of the Python and data files of a recipe's folders."""
    files = [
        path
        for folder in folders
        for path in sorted(folder.iterdir())
        if path.suffix in (".py", ".tsv")
    ]
    return sha256_of(b"".join(path.name.encode() + b"\n" + path.read_bytes() for path in files))
