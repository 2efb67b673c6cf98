"""Examining a file: reading the facts from which findings follow, with or without a model.

`zoo check` prints an examination of the whole file; `zoo run` makes one of its head, raises what
stops a run, and watches the rest while it streams.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zoo import validation
from zoo.alignment import Alignment, align
from zoo.card import CellZooBlock, GraphRecipe, ValueKind
from zoo.errors import MissingKey, NoCells, NoCoordinates, NoGenes, NoValues, ZooError
from zoo.organism import ORGANISM_KEYS, OrganismEvidence, infer_organism
from zoo.parts import ModelParts
from zoo.reading import Dataset
from zoo.slides import COORDINATES, USUAL_KEYS, Slides
from zoo.validation import Finding
from zoo.value_kind import Evidence, ValueKindDetector, ensure

Strings = npt.NDArray[np.str_]

# Blocks of the head that must hold a value before the kind is said to be unknown.
_HEAD_BLOCKS = 4
_NAMES_AT_ONCE = 65536


@dataclass(frozen=True)
class Examination:
    """What was found in a file.

    Attributes
    ----------
    source
        The matrix that a run reads: `X`, `raw/X` or `layers/<name>`.
    evidence
        Value kind with its evidence; None if the values are of no known kind.
    columns
        Candidate names of the genes, by column.
    alignment
        The match with the model's vocabulary; None without a model.
    findings
        In the order in which a run raises them.
    slides
        Coordinates by slide, for a spatial model.

    """

    source: str
    evidence: Evidence | None
    columns: Mapping[str, Strings]
    organism: OrganismEvidence
    alignment: Alignment | None
    findings: tuple[Finding, ...]
    slides: Slides | None = None

    @property
    def verdict(self) -> str:
        """The scope verdict that follows from the findings."""
        return validation.scope_verdict(self.findings)

    @property
    def gene_id_kind(self) -> str:
        """`symbol`, `ensembl_id` or `ensembl_id_versioned`: what the names look like."""
        return validation.gene_id_kind_of(self.gene_names)

    @property
    def gene_names(self) -> Strings:
        """str [genes]: the names by which a run would match the genes."""
        column = self.alignment.column if self.alignment else next(iter(self.columns))
        return self.columns[column]


def examine(
    dataset: Dataset,
    parts: ModelParts | None = None,
    *,
    source: str | None = None,
    value_kind: ValueKind | None = None,
    slide_key: str | None = None,
    whole: bool = False,
    unique_cells: bool = True,
) -> Examination:
    """Examine a file, against a model if one is given.

    Parameters
    ----------
    source
        The matrix to read; by default the first that holds counts, else log-normalized counts.
    value_kind
        What the user declares; evidence is then only reported.
    slide_key
        The column of obs that names the slides, for a spatial model; None takes the file as one.
    whole
        Look at every value instead of the first blocks.
    unique_cells
        Whether a repeated cell name is a fault.

    Raises
    ------
    NoCells, NoGenes, NoValues, MissingKey
        If there is nothing to examine. What stops a run is a red finding, not an exception.

    """
    _ensure_not_empty(dataset, source)
    chosen, evidence, fault, empty = _values(dataset, source, value_kind, whole)
    table = dataset.genes(chosen)
    columns = {"index": table.index, **table.columns}
    organism = infer_organism(columns, _declared(dataset, ORGANISM_KEYS))
    alignment = align(columns, parts.vocabulary) if parts else None
    names = columns[alignment.column if alignment else "index"]

    findings = list(_cell_findings(dataset)) if unique_cells else []
    findings += _value_findings(dataset.path, chosen, evidence, fault, parts)
    findings += validation.gene_name_findings(
        dataset.path, alignment.column if alignment else "index", names
    )
    if parts and alignment:
        findings += validation.library_findings(dataset.path, chosen, parts.card, evidence)
        findings += validation.organism_findings(dataset.path, parts.card, organism)
        findings += validation.coverage_findings(
            dataset.path, parts.card, alignment, names, parts.vocabulary
        )
        findings += validation.tissue_findings(parts.card, _declared(dataset, ("tissue",)))
    else:
        findings += validation.described_organism(organism)
    slides = None
    if parts and parts.card.inputs.graph_recipe is not None:
        slides, misplaced = _slides(dataset, parts.card, parts.card.inputs.graph_recipe, slide_key)
        unused = _unused_slide_keys(dataset) if slide_key is None else []
        findings += validation.slide_findings(slides, misplaced, unused)
    elif whole:
        findings += validation.spatial_findings(dataset.obsm_keys)
    if whole:
        findings += validation.empty_cell_findings(dataset.path, chosen, empty, dataset.cells)
    return Examination(chosen, evidence, columns, organism, alignment, tuple(findings), slides)


def _ensure_not_empty(dataset: Dataset, source: str | None) -> None:
    matrices = {matrix.source: matrix for matrix in dataset.matrices}
    if not matrices:
        raise NoValues(dataset.path, ("X", "raw/X", "layers"))
    if source is not None and source not in matrices:
        raise MissingKey(dataset.path, "its matrices", source, list(matrices))
    widest = max(matrix.genes for matrix in matrices.values())
    if dataset.cells == 0:
        raise NoCells(dataset.path, widest)
    if widest == 0:
        raise NoGenes(dataset.path, dataset.cells)


# -- values --------------------------------------------------------------------------------------


def _values(
    dataset: Dataset, source: str | None, declared: ValueKind | None, whole: bool
) -> tuple[str, Evidence | None, ZooError | None, int]:
    """The matrix to read, its evidence or the error it gives, and its empty cells (if `whole`)."""
    offered = [matrix.source for matrix in dataset.matrices if matrix.genes > 0]
    candidates = [source] if source else offered
    found: dict[str, Evidence] = {}
    for candidate in candidates:
        found[candidate], _ = _detect(dataset, candidate, whole=False)
        if found[candidate].value_kind == "counts":
            break
    chosen = min(found, key=lambda name: _PREFERENCE.index(found[name].value_kind))
    evidence, empty = _detect(dataset, chosen, whole=True) if whole else (found[chosen], 0)
    try:
        ensure(evidence, dataset.path, chosen, declared=declared)
    except ZooError as error:
        return chosen, None, error, empty
    return chosen, evidence.declared_as(declared) if declared else evidence, None, empty


_PREFERENCE: tuple[ValueKind | None, ...] = ("counts", "log_normalized", "intensity", None)


def _detect(dataset: Dataset, source: str, *, whole: bool) -> tuple[Evidence, int]:
    """The evidence of a matrix and the number of its empty cells in what was looked at."""
    detector, empty = ValueKindDetector(), 0
    for number, block in enumerate(dataset.blocks(source), start=1):
        detector.update(block)
        empty += int((block.sums() == 0).sum()) if whole else 0
        if not whole and (block.data.any() or number >= _HEAD_BLOCKS):
            break
    return detector.evidence(), empty


def _value_findings(
    path: str,
    source: str,
    evidence: Evidence | None,
    fault: ZooError | None,
    parts: ModelParts | None,
) -> list[Finding]:
    if fault is not None:
        return [Finding.of_error("value_kind", fault)]
    assert evidence is not None, "without a fault there is evidence"
    assert evidence.value_kind is not None, "ensure() raises for an unknown kind"
    if parts is None:
        return [validation.described_values(source, evidence)]
    return validation.value_kind_findings(path, source, parts.card, evidence.value_kind, evidence)


# -- cells and metadata --------------------------------------------------------------------------


def _cell_findings(dataset: Dataset) -> list[Finding]:
    """Find repeated cell names by 64-bit hashes (8 bytes a cell), then by name."""
    hashes = np.empty(dataset.cells, dtype=np.int64)
    for start, names in _all_names(dataset):
        hashes[start : start + len(names)] = [hash(name) for name in names.tolist()]
    values, counts = np.unique(hashes, return_counts=True)
    suspects = values[counts > 1]
    repeated: list[str] = []
    if len(suspects):
        seen: set[str] = set()
        for start, names in _all_names(dataset):
            rows = np.flatnonzero(np.isin(hashes[start : start + len(names)], suspects))
            for name in names[rows].tolist():
                if name in seen and name not in repeated:
                    repeated.append(name)
                seen.add(name)
    return validation.cell_findings(dataset.path, dataset.cells, repeated[:3], len(repeated))


def _all_names(dataset: Dataset) -> Iterator[tuple[int, Strings]]:
    for start in range(0, dataset.cells, _NAMES_AT_ONCE):
        yield start, dataset.cell_names(start, min(start + _NAMES_AT_ONCE, dataset.cells))


def _slides(
    dataset: Dataset, card: CellZooBlock, recipe: GraphRecipe, key: str | None
) -> tuple[Slides | None, ZooError | None]:
    """The slides of a file, or the error that keeps them from being graphs."""
    try:
        if COORDINATES not in dataset.obsm_keys:
            raise NoCoordinates(dataset.path, card.name, dataset.obsm_keys)
        column = None if key is None else dataset.obs(key)
        slides = Slides.of(dataset.path, dataset.obsm(COORDINATES), key, column)
        slides.ensure_spread(recipe)
    except ZooError as error:
        return None, error
    return slides, None


def _unused_slide_keys(dataset: Dataset) -> list[str]:
    """Columns of obs that are named as slides are, and hold more than one value."""
    named = [key for key in USUAL_KEYS if key in dataset.obs_columns]
    return [key for key in named if len(np.unique(dataset.obs(key).astype(str))) > 1]


def _declared(dataset: Dataset, keys: tuple[str, ...]) -> str | None:
    """What uns or a constant obs column says under one of the keys."""
    for key in keys:
        value = dataset.uns.get(key)
        if isinstance(value, str) and value.strip():
            return value
        if key in dataset.obs_columns:
            values = np.unique(dataset.obs(key).astype(str))
            if len(values) == 1 and values[0].strip():
                return str(values[0])
    return None
