"""Preparing a file: repairs that need no guess, each one logged into the file.

Ensembl version suffixes are removed, names of one id kind are used throughout (by the model's own
vocabulary), duplicate genes are summed, and counts are taken from where the file keeps them. The
input is never changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from zoo.alignment import align
from zoo.block import Block, Int64
from zoo.card import GeneIdKind
from zoo.examination import Examination, examine
from zoo.parts import ModelParts
from zoo.reading import Dataset
from zoo.validation import duplicated_names, strip_version
from zoo.value_kind import ensure_finite
from zoo.vocabulary import GeneVocabulary
from zoo.writing.destination import destination
from zoo.writing.prepared_file import write_prepared

Strings = npt.NDArray[np.str_]

_BLOCK_CELLS = 512


@dataclass(frozen=True)
class GeneRepair:
    """New names for the gene axis, and where each old gene goes.

    Attributes
    ----------
    names
        str [new genes].
    columns
        Further columns of var, each str [new genes].
    position
        int64 [old genes]: the new gene of each old one.
    changes
        What was done, in sentences.

    """

    names: Strings
    columns: dict[str, Strings]
    position: Int64
    changes: tuple[str, ...]

    def apply(self, block: Block) -> Block:
        """The block on the new axis, entries that meet in one gene summed."""
        flat = block.rows * len(self.names) + self.position[block.indices]
        places, which = np.unique(flat, return_inverse=True)
        data = np.bincount(which, weights=block.data, minlength=len(places))
        rows, columns = np.divmod(places, len(self.names))
        indptr = np.searchsorted(rows, np.arange(block.cells + 1)).astype(np.int64)
        return Block(block.start, indptr, columns, data.astype(np.float32), len(self.names))


def prepare(
    dataset: Dataset, output: Path, parts: ModelParts | None = None, *, overwrite: bool = False
) -> list[str]:
    """Write a repaired copy of a data set; returns the changes in sentences.

    Raises
    ------
    DataError
        If the values are neither counts nor log-normalized counts, or names of cells repeat:
        to mend these would be a guess.
    OutputError
        If the copy cannot be written.

    """
    examination = examine(dataset, parts)
    for finding in examination.findings:
        if finding.error is not None and finding.code in ("value_kind", "cell_names"):
            raise finding.error
    repair = plan_genes(examination, parts.vocabulary if parts else None)
    changes = [*_value_changes(dataset, examination), *repair.changes]
    with destination(output, overwrite=overwrite) as staging:
        write_prepared(
            staging,
            dataset,
            (repair.apply(block) for block in _blocks(dataset, examination)),
            names=repair.names,
            columns=repair.columns,
            changes=changes,
        )
    return changes


def plan_genes(examination: Examination, vocabulary: GeneVocabulary | None) -> GeneRepair:
    """Decide the new gene axis."""
    changes: list[str] = []
    columns = {
        column: np.array([strip_version(name) for name in names.tolist()], dtype=np.str_)
        for column, names in examination.columns.items()
    }
    column = "index"
    if vocabulary is not None:
        column = align(columns, vocabulary).column
    names, before = columns[column], examination.columns[column]
    if column != "index":
        changes.append(f"gene ids: taken from var[{column!r}] in place of the index")
    if stripped := int((names != before).sum()):
        changes.append(f"gene ids: version suffix removed from {stripped:,} Ensembl ids")
    if vocabulary is not None:
        names, renamed = _one_kind(names, vocabulary)
        changes += renamed
    unique, first, position = np.unique(names, return_index=True, return_inverse=True)
    # np.unique sorts; keep the file's own order of genes.
    order = np.argsort(first)
    rank = np.empty(len(unique), dtype=np.int64)
    rank[order] = np.arange(len(unique))
    if repeated := duplicated_names(names):
        changes.append(
            f"duplicate genes: {len(names) - len(unique):,} columns summed into the first of "
            f"their name ({', '.join(repeated[:5])}{', …' if len(repeated) > 5 else ''})"
        )
    kept = np.sort(first)
    others = {name: values[kept] for name, values in columns.items() if name != column}
    if column != "index":
        others = {"index_before": examination.columns["index"][kept], **others}
        others.pop("index", None)
    if vocabulary is not None:
        others |= _vocabulary_columns(unique[order], vocabulary)
    return GeneRepair(unique[order], others, rank[position], tuple(changes))


def _one_kind(names: Strings, vocabulary: GeneVocabulary) -> tuple[Strings, list[str]]:
    """Rename genes that are given by another id kind than most."""
    matches = {
        kind: np.array([name in known for name in names.tolist()])
        for kind, known in vocabulary.positions.items()
    }
    main = max(matches, key=lambda kind: int(matches[kind].sum()))
    renamed, changes = names.tolist(), []
    for kind, found in matches.items():
        rows = np.flatnonzero(found & ~matches[main]) if kind != main else np.array([], np.int64)
        targets = [_translate(renamed[row], kind, main, vocabulary) for row in rows]
        moved = [(row, target) for row, target in zip(rows, targets, strict=True) if target]
        for row, target in moved:
            renamed[row] = target
        if moved:
            changes.append(
                f"gene ids: {len(moved):,} given as {kind} renamed to {main} by the model's "
                "vocabulary"
            )
    return np.array(renamed, dtype=np.str_), changes


def _translate(name: str, kind: GeneIdKind, target: GeneIdKind, vocabulary: GeneVocabulary) -> str:
    return str(vocabulary.ids[target][vocabulary.positions[kind][name]])


def _vocabulary_columns(names: Strings, vocabulary: GeneVocabulary) -> dict[str, Strings]:
    """The other ids of the genes that the model knows, as columns; empty for the rest."""
    columns: dict[str, Strings] = {}
    for kind, known in vocabulary.positions.items():
        rows = [known.get(name, -1) for name in names.tolist()]
        if sum(row >= 0 for row in rows) < len(vocabulary) / 100:
            continue
        for other in vocabulary.ids:
            if other != kind:
                ids = vocabulary.ids[other].tolist()
                found = [ids[row] if row >= 0 else "" for row in rows]
                columns[other] = np.array(found, dtype=np.str_)
    return columns


def _value_changes(dataset: Dataset, examination: Examination) -> list[str]:
    first = dataset.matrices[0].source
    if examination.source == first:
        return []
    return [f"values: counts taken from {examination.source} in place of {first}"]


def _blocks(dataset: Dataset, examination: Examination) -> Iterator[Block]:
    """Blocks as stored: log-normalized values stay what they are."""
    for block in dataset.blocks(examination.source, cells=_BLOCK_CELLS):
        ensure_finite(block, dataset.path, examination.source)
        yield block
