"""Reading a data set to evaluate with: counts in the order of a vocabulary, with the truth.

Memory: cells × genes of the vocabulary (float32), whatever the size of the file; it is read as a
run reads it, block by block, with the value kind found by evidence.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from zoo import validation
from zoo.alignment import Alignment, align
from zoo.block import Float32, Int64
from zoo.card import ValueKind
from zoo.categories import Categories
from zoo.count_stream import CountStream
from zoo.digest import sha256_of_file
from zoo.errors import (
    NoKnownLabels,
    NoSharedGenes,
    OtherDataFile,
    UnknownModelLabel,
    WrongValueKind,
)
from zoo.evaluation.cells import Flags, LabelledCells, Placed
from zoo.evaluation.data_set import EvaluationData
from zoo.evaluation.orthologs import Orthologs
from zoo.examination import Examination, examine
from zoo.reading import Dataset, open_dataset
from zoo.slides import COORDINATES, Slides
from zoo.validation import raise_first
from zoo.vocabulary import GeneVocabulary

_CELLS_AT_ONCE = 1024


def read_cells(
    data: EvaluationData,
    folder: Path,
    *,
    vocabulary: GeneVocabulary,
    labels: Sequence[str],
    value_kinds: Sequence[ValueKind],
) -> list[tuple[str | None, LabelledCells]]:
    """Read a data set, one entry for each value of its column `by` (None without one).

    Parameters
    ----------
    folder
        Where files lie that are not named absolutely.
    vocabulary, labels, value_kinds
        The model's; without labels, the data set's own names are the labels.

    Raises
    ------
    OtherDataFile
        If the file is not the one whose sha256 the data set names.
    MissingKey
        If a column is not there.
    UnknownPerturbation
        If a condition that the data set names is not there.
    NoKnownLabels, UnknownModelLabel
        If labels do not meet.
    WrongValueKind, NoSharedGenes, DuplicateGenes, VersionedGeneIds, InvalidOrthologs
        If values or genes cannot be read; besides all that `zoo.reading.open_dataset` raises.

    """
    path = data.path(folder)
    ensure_digest(data, path)
    with open_dataset(path) as dataset:
        declared = data.value_kind
        if declared is None and tuple(value_kinds) == ("intensity",):
            declared = "intensity"  # real numbers alone cannot tell
        examination = examine(dataset, value_kind=declared, unique_cells=False)
        raise_first([f for f in examination.findings if f.code == "value_kind"], force=False)
        _ensure_kind(dataset, examination, value_kinds)
        alignment = _aligned(dataset, examination, data, folder, vocabulary)
        rows = _rows(dataset.cells, data.maximum_cells)
        placed = _placed(dataset, examination, alignment, rows)
        cells = _labelled(dataset, data, rows, labels, placed)
        cells = _with_groups(cells, dataset, data, rows)
        if data.perturbation is not None:
            conditions = _categories(dataset, data.perturbation.column, rows)
            cells = replace(cells, stimulated=data.perturbation.codes(conditions))
        return list(_by_value(cells, dataset, data, rows))


def ensure_digest(data: EvaluationData, path: Path) -> None:
    """Refuse another file than the one that the data set names, where it names one.

    Raises
    ------
    OtherDataFile

    """
    if data.sha256 is None or not path.is_file():
        return
    if (actual := sha256_of_file(path)) != data.sha256:
        raise OtherDataFile(str(path), data.sha256, actual)


def _rows(cells: int, maximum: int | None) -> Int64:
    """int64 [cells taken], ascending."""
    if maximum is None or cells <= maximum:
        return np.arange(cells)
    return np.sort(np.random.default_rng(0).choice(cells, maximum, replace=False))


# -- values and genes ----------------------------------------------------------------------------


def _ensure_kind(
    dataset: Dataset, examination: Examination, value_kinds: Sequence[ValueKind]
) -> None:
    evidence = examination.evidence
    assert evidence is not None, "without a red finding there is evidence"
    if evidence.value_kind not in value_kinds:
        raise WrongValueKind(
            dataset.path,
            examination.source,
            model="the model",
            value_kind=str(evidence.value_kind),
            value_kinds=value_kinds,
            evidence=evidence.sentence(),
        )


def _aligned(
    dataset: Dataset,
    examination: Examination,
    data: EvaluationData,
    folder: Path,
    vocabulary: GeneVocabulary,
) -> Alignment:
    columns = examination.columns
    if data.orthologs is not None:
        columns = Orthologs.read(folder / data.orthologs).translated(columns)
    alignment = align(columns, vocabulary)
    names = examination.columns[alignment.column]
    raise_first(validation.gene_name_findings(dataset.path, alignment.column, names), force=False)
    if alignment.shared == 0:
        raise NoSharedGenes(
            dataset.path, "the model", names[:3].tolist(), vocabulary.names[:3].tolist()
        )
    return alignment


def _placed(
    dataset: Dataset, examination: Examination, alignment: Alignment, rows: Int64
) -> Placed:
    """Counts of the chosen rows, with the sums over all genes of the file."""
    assert examination.evidence is not None, "without a red finding there is evidence"
    counts: Float32 = np.zeros((len(rows), len(alignment.gene_present)), dtype=np.float32)
    totals = np.zeros((len(rows), 1), dtype=np.float32)
    stream = CountStream(dataset, examination.source, examination.evidence)
    for block in stream.blocks(_CELLS_AT_ONCE):
        first, last = np.searchsorted(rows, (block.start, block.start + block.cells))
        taken = block.take(rows[first:last] - block.start)
        counts[first:last] = alignment.counts(taken)
        totals[first:last, 0] = taken.sums()
    return Placed(counts, alignment.gene_present, alignment.gene_coverage, totals)


# -- truth and groups ----------------------------------------------------------------------------


def _categories(dataset: Dataset, column: str, rows: Int64) -> Categories:
    """A column of the chosen rows.

    Raises
    ------
    MissingKey

    """
    return Categories.of(dataset.obs(column)[rows], path=dataset.path, column=column)


def _labelled(
    dataset: Dataset, data: EvaluationData, rows: Int64, labels: Sequence[str], placed: Placed
) -> LabelledCells:
    """Cells with their labels in the model's words, or in the data set's own."""
    if data.label is None:
        return LabelledCells(placed, tuple(labels))
    own = _categories(dataset, data.label, rows)
    words = [data.mapping.get(name, name) for name in own.names]
    names = tuple(labels) or tuple(sorted({word for word in words if word}))
    if labels:
        for word in data.mapping.values():
            if word and word not in names:
                raise UnknownModelLabel(word, names)
    position = [names.index(word) if word in names else -1 for word in words]
    strange = [place < 0 and word != "" for place, word in zip(position, words, strict=True)]
    if data.role != "shift" and max(position, default=-1) < 0:
        raise NoKnownLabels(dataset.path, data.label, own.names, names)
    # Cells without any value have the code -1, which takes the last entry.
    return LabelledCells(
        placed,
        names,
        np.array([*position, -1], dtype=np.int64)[own.codes],
        stranger=np.array([*strange, False], dtype=bool)[own.codes],
    )


def _with_groups(
    cells: LabelledCells, dataset: Dataset, data: EvaluationData, rows: Int64
) -> LabelledCells:
    """Cells with their donors, patients or batches, and their places on slides."""
    slides = None
    if COORDINATES in dataset.obsm_keys:
        column = None if data.slide_key is None else dataset.obs(data.slide_key)[rows]
        coordinates = dataset.obsm(COORDINATES)[rows]
        slides = Slides.of(dataset.path, coordinates, data.slide_key, column)
    cells = replace(cells, placed=replace(cells.placed, slides=slides))
    group = data.group or (data.slide_key if slides is not None else None)
    if group is None:
        return cells
    groups = _categories(dataset, group, rows)
    return replace(cells, groups=groups.names, group=groups.codes)


def _by_value(
    cells: LabelledCells, dataset: Dataset, data: EvaluationData, rows: Int64
) -> Iterator[tuple[str | None, LabelledCells]]:
    if data.by is None:
        yield None, cells
        return
    parts = _categories(dataset, data.by, rows)
    for code, name in enumerate(parts.names):
        keep: Flags = parts.codes == code
        yield name, cells.where(keep)
