"""Measured rows put into a model folder: card, measurements, figures and manifest, all or nothing.

Rows with the id of an old row replace it; all others stay. The card's text gets a section with
tables of what was measured afterwards. The graph is not touched, and so the version stays: whoever
has published it publishes the folder with its new card as a new version.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from zoo.card import CellZooBlock, Compute, DataSource, Row
from zoo.card_file import ModelCard, problems_of
from zoo.errors import ClaimedRow, InvalidCard
from zoo.evaluation import figures, measurements
from zoo.evaluation.evaluating import EvaluatedData
from zoo.evaluation.measurements import on_card
from zoo.evaluation.tables import key_of, markdown, tables
from zoo.headline import headline_of
from zoo.manifest import FILE_NAME, Manifest
from zoo.writing.model_folder import model_folder

_CARD, _ROWS, _FIGURES = "README.md", "measurements.json", "figures"
_BEGIN, _END = "<!-- zoo evaluate: begin -->", "<!-- zoo evaluate: end -->"
_SECTION = re.compile(rf"\n*{re.escape(_BEGIN)}.*?{re.escape(_END)}\n*", re.S)
_DIGITS = 1e-5  # rows are rounded to these


@dataclass(frozen=True)
class Measured:
    """What an evaluation found.

    Attributes
    ----------
    rows
        The numbers.
    data
        The data sets behind them.
    compute
        Resource use, if it was measured.

    """

    rows: Sequence[Row]
    data: Sequence[EvaluatedData]
    compute: Compute | None = None


def rewrite(folder: Path, measured: Measured) -> None:
    """Put measured rows into a model folder.

    Raises
    ------
    ClaimedRow
        If a claim of the card quotes a number that is another now.
    InvalidCard, InvalidManifest, InvalidModelFile
        If the folder, or what would become of it, is not sound.
    OutputUnwritable, DiskFull, MissingExtra

    """
    card = ModelCard.read(folder / _CARD)
    old_rows, facts = _old_rows(folder, card.block)
    _ensure_claims_hold(card.block, measured.rows)
    rows = _merged(old_rows, measured.rows)
    keys = [*facts.get("evaluated", []), *(key_of(row) for row in measured.rows)]
    facts = {**facts, "evaluated": list(dict.fromkeys(keys))}
    try:
        block = _block(card.block, measured)
        with model_folder(folder, overwrite=True) as staging:
            shutil.copytree(folder, staging, dirs_exist_ok=True)
            measurements.write(staging / _ROWS, rows, facts)
            drawn = figures.draw(staging / _FIGURES, rows)
            prose = _prose(card.prose, block, set(facts["evaluated"]), drawn)
            (staging / _CARD).write_text(ModelCard(block, prose).render(), encoding="utf-8")
            (staging / FILE_NAME).write_bytes(Manifest.of_folder(staging).render())
    except ValidationError as error:
        raise InvalidCard(str(folder / _CARD), problems_of(error, "cellzoo")) from error


def _old_rows(folder: Path, block: CellZooBlock) -> tuple[list[Row], dict[str, Any]]:
    """Rows and facts of `measurements.json`, which holds more rows than the card, where it is."""
    if (folder / _ROWS).is_file():
        return measurements.read(folder / _ROWS)
    return [*block.evaluation, *block.robustness], {}


def _merged(old: Sequence[Row], new: Sequence[Row]) -> list[Row]:
    """Old rows with new ones in the place of those with the same id, then the others."""
    by_id = {row.id: row for row in old} | {row.id: row for row in new}
    return list(by_id.values())


def _ensure_claims_hold(block: CellZooBlock, new: Sequence[Row]) -> None:
    old = {row.id: row for row in (*block.evaluation, *block.robustness)}
    found = {row.id: row for row in new}
    for claim in (*block.scope.works_well, *block.scope.works_poorly):
        for name in claim.rows:
            if name in found and abs(found[name].value - old[name].value) > _DIGITS:
                raise ClaimedRow(name, claim.statement, old[name].value, found[name].value)


def _block(block: CellZooBlock, measured: Measured) -> CellZooBlock:
    """The card's block with the rows, validated anew: every claim must still have its row."""
    kept = [row for row in measured.rows if on_card(row)]
    disturbed = [row for row in kept if row.role == "robustness"]
    others = [row for row in kept if row.role != "robustness"]
    sources = {source.name: source for source in block.data}
    files = {source.sha256 for source in block.data}  # under whatever name
    for done in measured.data:
        if done.data.dataset not in sources and done.sha256 not in files:
            sources[done.data.dataset] = _source(done)
    evaluation = _merged(block.evaluation, others)
    changed = {
        **block.model_dump(),
        "headline": headline_of(evaluation, block.task),
        "evaluation": [row.model_dump() for row in evaluation],
        "robustness": [row.model_dump() for row in _merged(block.robustness, disturbed)],
        "data": [source.model_dump() for source in sources.values()],
    }
    if measured.compute is not None:
        changed["compute"] = measured.compute.model_dump()
    return CellZooBlock.model_validate(changed)


def _source(done: EvaluatedData) -> DataSource:
    data = done.data
    assert done.sha256 is not None, "only files are put on cards"
    return DataSource(
        name=data.dataset,
        role="evaluation",
        accession=data.accession,
        source=data.source,
        sha256=done.sha256,
        license=data.license,
        attribution=data.attribution,
        cells=done.cells,
        donors=data.donors,
        label_mapping=data.mapping,
    )


def _prose(prose: str, block: CellZooBlock, keys: set[str], drawn: Sequence[Path]) -> str:
    """The card's text with the section of what was measured afterwards."""
    rows = [row for row in (*block.evaluation, *block.robustness) if key_of(row) in keys]
    parts = [
        _BEGIN,
        "## Measured afterwards",
        "By `zoo evaluate`, on data sets that were not part of making this model. Values with 95% "
        "intervals; `model` beside the baselines.",
        *(markdown(table) for table in tables(rows)),
        *(
            f"![{path.stem}]({_FIGURES}/{path.name})"
            for path in drawn
            if f"{_FIGURES}/{path.name}" not in _SECTION.sub("\n", prose)
        ),
        _END,
    ]
    return _SECTION.sub("\n", prose).rstrip("\n") + "\n\n" + "\n\n".join(parts) + "\n"
