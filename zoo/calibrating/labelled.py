"""Labelled cells: which cells of a file have a label of the model, and what it says of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.calibrating.evidence import Evidence, Flags, Int64, logits_of
from zoo.card import ValueKind
from zoo.categories import Categories
from zoo.count_stream import CountStream
from zoo.digest import sha256_of_file
from zoo.errors import (
    GroupPerCell,
    InvalidOption,
    OneGroup,
    OneLabel,
    TooFewLabelledCells,
    UngroupedCells,
    UnknownLabels,
)
from zoo.examination import Examination, examine
from zoo.inference import Inference
from zoo.labels import LabelTable
from zoo.parts import ModelParts
from zoo.portions import portions_of
from zoo.reading import Dataset, open_dataset
from zoo.run_options import DEFAULT_BATCH_SIZE
from zoo.session import Session
from zoo.validation import raise_first

MINIMUM_CELLS = 20
"""Labelled cells without which nothing is fitted."""

_LONGEST_LINE = 300
NEEDED = ("label", "prob", "conformal_p", "in_set", "ood_z", "ood_p")
_ORIGIN = {
    "license": ("cellzoo/license", "license", "licence"),
    "source": ("cellzoo/source", "source", "citation", "doi"),
}


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Where a file says what its cells are.

    Attributes
    ----------
    label
        Column of obs with the labels.
    mapping
        Labels of the file → labels of the model; one that is mapped to nothing is left out.
    group
        Column of obs with the donor, sample or slide of each cell; None for the slides of a spatial
        model, else for no groups.
    slide_key, source, value_kind
        As for a run.

    """

    label: str
    mapping: Mapping[str, str]
    group: str | None = None
    slide_key: str | None = None
    source: str | None = None
    value_kind: ValueKind | None = None


@dataclass(frozen=True)
class LabelledCells:
    """The usable labelled cells of a file.

    Attributes
    ----------
    path, sha256
        The file; of a folder, the digest of what was read.
    evidence
        Cells whose label the model knows.
    strangers
        Cells by label, of labels that the model does not know.
    strangers_outputs
        The graph's outputs for those cells, each [cells, …].
    unlabelled, empty
        Cells without a label, and labelled ones with too few counts to be judged.
    groups, group_column
        Names of the groups of the evidence, and where they come from.
    mapping
        Labels of the file that were read as another label of the model.
    gene_coverage
        Of the file.
    origin
        What the file says of its `license` and `source`.
    left_over
        Usable cells that were not used, as others were enough.

    """

    path: str
    sha256: str
    evidence: Evidence
    strangers: Mapping[str, int]
    strangers_outputs: dict[str, npt.NDArray[Any]]
    unlabelled: int
    empty: int
    groups: tuple[str, ...]
    group_column: str | None
    mapping: Mapping[str, str]
    gene_coverage: float
    origin: Mapping[str, str]
    left_over: int = 0

    def sampled(self, most: int, seed: int) -> LabelledCells:
        """At most so many cells, taken at random."""
        n = len(self.evidence)
        if n <= most:
            return self
        keep = np.zeros(n, dtype=bool)
        keep[np.random.default_rng(seed).permutation(n)[:most]] = True
        return replace(self, evidence=self.evidence.where(keep), left_over=n - most)

    @property
    def name(self) -> str:
        """The file without its folder."""
        return plain_line(Path(self.path).resolve().name)


def read_labelled(
    parts: ModelParts, path: str, columns: Columns, needed: Collection[str] = NEEDED
) -> LabelledCells:
    """Read a file, and ask the model about its labelled cells.

    Parameters
    ----------
    needed
        Outputs to keep, of those that the model has.

    Raises
    ------
    UnknownLabels, TooFewLabelledCells, OneLabel, OneGroup, GroupPerCell, UngroupedCells
    InvalidOption
        If a mapping names what the file or the model does not have.
    DataError, OutOfScope
        What stops a run on this file.

    """
    assert parts.labels is not None, "a classifier has labels"
    with open_dataset(path) as dataset:
        examination = examine(
            dataset,
            parts,
            source=columns.source,
            value_kind=columns.value_kind,
            slide_key=columns.slide_key,
        )
        raise_first(examination.findings, force=False)
        found = Categories.of(dataset.obs(columns.label), path=dataset.path, column=columns.label)
        class_of = _classes_of(found, parts.labels, columns.mapping)
        label = np.append(class_of, -1)[found.codes]  # (cells); the code -1 takes the last
        _ensure_known(found, label, parts.labels)
        asked = np.flatnonzero(found.codes >= 0)
        answers = _ask(parts, dataset, examination, asked, needed)
        label, named = label[asked], found.codes[asked]
        known = (label >= 0) & ~answers.empty
        stranger = (label < 0) & ~answers.empty
        _ensure_enough(found, label[known], parts.labels)
        grouped = _groups(dataset, columns, asked[known])
        outputs = {name: values[known] for name, values in answers.outputs.items()}
        kind = parts.card.prob_kind or "softmax"
        assert examination.alignment is not None, "an examination with a model aligns"
        return LabelledCells(
            path=path,
            sha256=sha256_of_file(Path(path)) if Path(path).is_file() else answers.digest,
            evidence=Evidence(
                labels=parts.labels,
                outputs=outputs,
                logits=logits_of(outputs["prob"], kind),
                truth=label[known],
                group=None if grouped is None else grouped.codes,
            ),
            strangers=_counted(found, named[stranger]),
            strangers_outputs={name: v[stranger] for name, v in answers.outputs.items()},
            unlabelled=found.missing,
            empty=int((answers.empty & (label >= 0)).sum()),
            groups=tuple(map(plain_line, grouped.names)) if grouped else (),
            group_column=plain_line(grouped.column) if grouped else None,
            mapping=_used(found, class_of, parts.labels),
            gene_coverage=examination.alignment.gene_coverage,
            origin=_origin(dataset),
        )


# -- labels and groups ---------------------------------------------------------------------------


def _classes_of(found: Categories, labels: LabelTable, mapping: Mapping[str, str]) -> Int64:
    """int64 [names]: the class that each label of the file stands for, -1 for none.

    A label stands for the class that it is mapped to, whose name it is, or whose Cell Ontology id.
    """
    for name, target in mapping.items():
        if name not in found.names:
            raise InvalidOption("--map", f"{name}={target}", [f"{n}=…" for n in found.names])
        if target and target not in labels.names:
            raise InvalidOption("--map", f"{name}={target}", [f"…={n}" for n in labels.names])
    ids = [term.id for term in labels.labels]
    classes = {id_: k for k, id_ in enumerate(ids) if id_ and ids.count(id_) == 1}
    classes |= {name: k for k, name in enumerate(labels.names)}
    return np.array([classes.get(mapping.get(name, name), -1) for name in found.names], np.int64)


def _ensure_known(found: Categories, label: Int64, labels: LabelTable) -> None:
    if not (label >= 0).any():
        raise UnknownLabels(found.path, found.column, found.names, labels.names)


def _ensure_enough(found: Categories, label: Int64, labels: LabelTable) -> None:
    if len(label) < MINIMUM_CELLS:
        raise TooFewLabelledCells(found.path, found.column, len(label), MINIMUM_CELLS)
    if len(np.unique(label)) == 1:
        raise OneLabel(found.path, found.column, labels.names[label[0]], len(label))


def _groups(dataset: Dataset, columns: Columns, rows: Int64) -> Categories | None:
    """The groups of the cells at `rows`; None where there are none to hold apart."""
    column = columns.group or columns.slide_key
    if column is None:
        return None
    groups = Categories.of(dataset.obs(column)[rows], path=dataset.path, column=column)
    if columns.group is None and len(groups.names) < 2:  # a single slide, nobody asked for more
        return None
    if groups.missing:
        raise UngroupedCells(dataset.path, column, groups.missing)
    if len(groups.names) == 1:
        raise OneGroup(dataset.path, column, groups.names[0])
    if len(groups.names) == len(rows):
        raise GroupPerCell(dataset.path, column, len(groups.names))
    return groups


def _counted(found: Categories, codes: Int64) -> dict[str, int]:
    number = np.bincount(codes, minlength=len(found.names)).tolist()
    return {plain_line(name): n for name, n in zip(found.names, number, strict=True) if n}


def _used(found: Categories, class_of: Int64, labels: LabelTable) -> dict[str, str]:
    return {
        name: labels.names[k]
        for name, k in zip(found.names, class_of.tolist(), strict=True)
        if k >= 0 and labels.names[k] != name
    }


def _origin(dataset: Dataset) -> dict[str, str]:
    said = {
        what: next((str(dataset.uns[key]) for key in keys if dataset.uns.get(key)), "")
        for what, keys in _ORIGIN.items()
    }
    return {what: plain_line(text) for what, text in said.items() if text.strip()}


def plain_line(text: str) -> str:
    """Text of a file as a card may hold it: one line, not too long, nothing unprintable."""
    printable = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(printable.split())[:_LONGEST_LINE] or "?"


# -- the model -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Asked:
    """The graph's outputs for the cells that were asked about, and which are too empty."""

    outputs: dict[str, npt.NDArray[Any]]
    empty: Flags
    digest: str


def _ask(
    parts: ModelParts,
    dataset: Dataset,
    examination: Examination,
    asked: Int64,
    needed: Collection[str],
) -> _Asked:
    """Run the graph on the portions of a file that hold one of the rows `asked`."""
    assert examination.alignment is not None, "an examination with a model aligns"
    assert examination.evidence is not None, "nothing red was found"
    session = Session.open(parts.graph, card=parts.card, genes=parts.genes, device="cpu")
    inference = Inference(parts, session, examination.alignment, frozenset())
    stream = CountStream(dataset, examination.source, examination.evidence)
    recipe = parts.card.inputs.graph_recipe
    fewest = max(parts.card.thresholds.min_counts, float(np.finfo(np.float32).tiny))
    place = np.full(dataset.cells, -1, dtype=np.int64)
    place[asked] = np.arange(len(asked))
    outputs: dict[str, npt.NDArray[Any]] = {}
    empty = np.zeros(len(asked), dtype=bool)
    for portion in portions_of(examination.slides, recipe, DEFAULT_BATCH_SIZE).of(stream):
        here = place[portion.rows]
        if not (here >= 0).any():
            continue
        given, counts = inference.predict(portion)
        empty[here[here >= 0]] = counts[here >= 0] < fewest
        for name, values in given.items():
            if name in needed:
                shape = (len(asked), *values.shape[1:])
                whole = outputs.setdefault(name, np.zeros(shape, dtype=values.dtype))
                whole[here[here >= 0]] = values[here >= 0]
    return _Asked(outputs, empty, stream.digest.hexdigest())
