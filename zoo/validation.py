"""Findings about a file: what is right, what is doubtful and what stops a model.

A finding that stops a run *is* the error that the run would raise: `zoo check` prints what
`zoo run` would say. Everything here is pure: `zoo.examination` reads the facts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from zoo.alignment import Alignment
from zoo.card import CellZooBlock
from zoo.errors import (
    DuplicateCells,
    DuplicateGenes,
    LowGeneCoverage,
    NoSharedGenes,
    OnlyEmptyCells,
    OutOfScope,
    UnknownLibrary,
    VersionedGeneIds,
    WrongOrganism,
    WrongValueKind,
    ZooError,
)
from zoo.organism import OrganismEvidence
from zoo.slides import COORDINATES, Slides
from zoo.value_kind import Evidence
from zoo.vocabulary import GeneVocabulary

Level = Literal["green", "yellow", "red"]
Strings = npt.NDArray[np.str_]

_ENSEMBL = re.compile(r"ENS[A-Z]*G\d{11}")
_VERSIONED = re.compile(r"ENS[A-Z]*G\d{11}\.\d+(_PAR_Y)?")
# Below this weighted coverage a run is allowed (the card's minimum is lower) but worth a word.
_COMFORTABLE_COVERAGE = 0.5
NOT_STATED = "not stated"
ALL_TISSUES = "all tissues"
"""The organism of imported weights whose makers do not tell it."""
_SAY_ORGANISM = "Say it in the file: uns['organism'], e.g. 'Homo sapiens' or 'Mus musculus'."


@dataclass(frozen=True)
class Finding:
    """One statement about a file.

    Attributes
    ----------
    level
        `green` right, `yellow` doubtful, `red` a model refuses it.
    code
        A stable word for programs, e.g. `gene_coverage`.
    error
        For a red finding, what a run raises.

    """

    level: Level
    code: str
    message: str
    hint: str = ""
    error: ZooError | None = field(default=None, compare=False)

    @classmethod
    def of_error(cls, code: str, error: ZooError) -> Finding:
        """The red finding behind an error."""
        return cls("red", code, error.message, error.hint, error)

    def as_json(self) -> dict[str, str]:
        """Level, code, message and hint."""
        return {
            "level": self.level, "code": self.code, "message": self.message, "hint": self.hint,
        }  # fmt: skip


def scope_verdict(findings: Sequence[Finding]) -> str:
    """`in` if all is green, `out` if anything is red, else `borderline`."""
    levels = {finding.level for finding in findings}
    return "out" if "red" in levels else "borderline" if "yellow" in levels else "in"


def raise_first(findings: Sequence[Finding], *, force: bool) -> bool:
    """Raise what stops a run; with `force` an `OutOfScope` is passed over and True returned."""
    forced = False
    for finding in findings:
        if finding.error is not None:
            if not (force and isinstance(finding.error, OutOfScope)):
                raise finding.error
            forced = True
    return forced


# -- cells ---------------------------------------------------------------------------------------


def cell_findings(path: str, cells: int, duplicated: Sequence[str], count: int) -> list[Finding]:
    """Findings about the cells' names and number; `duplicated` are the first repeated names."""
    findings = []
    if count:
        findings.append(Finding.of_error("cell_names", DuplicateCells(path, duplicated, count)))
    else:
        findings.append(Finding("green", "cell_names", f"{cells:,} cells with unique names."))
    return findings


def empty_cell_findings(path: str, source: str, empty: int, cells: int) -> list[Finding]:
    """A finding about cells without any count."""
    if empty == cells:
        return [Finding.of_error("empty_cells", OnlyEmptyCells(path, source, cells))]
    if not empty:
        return [Finding("green", "empty_cells", "No cell is empty.")]
    return [
        Finding(
            "yellow",
            "empty_cells",
            f"{empty:,} of {cells:,} cells are all zero; their verdict will be 'out'.",
            "Filter them out (scanpy: pp.filter_cells) if they are not wanted.",
        )
    ]


def spatial_findings(obsm_keys: Sequence[str]) -> list[Finding]:
    """A finding about coordinates where no model needs them."""
    if COORDINATES in obsm_keys:
        return [Finding("green", "spatial", "obsm['spatial'] holds coordinates.")]
    return [Finding("green", "spatial", "No coordinates; only spatial models need them.")]


def slide_findings(
    slides: Slides | None, fault: ZooError | None, unused: Sequence[str]
) -> list[Finding]:
    """A finding about the slides that a spatial model reads.

    Parameters
    ----------
    slides
        Coordinates and slides; None where there is a fault.
    fault
        What keeps slides from being graphs.
    unused
        Columns of obs that look as if they named slides, where no column was given.

    """
    if fault is not None:
        return [Finding.of_error("spatial", fault)]
    assert slides is not None, "without a fault there are slides"
    if slides.names:
        message = f"{len(slides.names):,} slide(s) by obs[{slides.key!r}], one graph each."
        return [Finding("green", "spatial", message)]
    if not unused:
        return [Finding("green", "spatial", "The whole file is one slide.")]
    columns = " and ".join(f"obs[{name!r}]" for name in unused)
    return [
        Finding(
            "yellow",
            "spatial",
            f"The whole file is taken as one slide, yet {columns} may name several.",
            f"If it does, give it: --slide-key {unused[0]}.",
        )
    ]


# -- genes ---------------------------------------------------------------------------------------


def gene_id_kind_of(names: Strings) -> str:
    """`ensembl_id`, `ensembl_id_versioned` or `symbol`: what most of the names look like."""
    listed = names.tolist()
    versioned = sum(bool(_VERSIONED.fullmatch(name)) for name in listed)
    plain = sum(bool(_ENSEMBL.fullmatch(name)) for name in listed)
    if versioned + plain > len(listed) / 2:
        return "ensembl_id_versioned" if versioned > plain else "ensembl_id"
    return "symbol"


def strip_version(name: str) -> str:
    """An Ensembl id without its version suffix; any other name as it is."""
    return name.partition(".")[0] if _VERSIONED.fullmatch(name) else name


def duplicated_names(names: Strings) -> list[str]:
    """Names that occur more than once, each once, in order."""
    values, counts = np.unique(names, return_counts=True)
    return [str(name) for name in values[counts > 1]]


def gene_name_findings(path: str, column: str, names: Strings) -> list[Finding]:
    """Findings about the gene ids of one column: uniqueness and version suffixes."""
    findings = []
    kind = gene_id_kind_of(names)
    if kind == "ensembl_id_versioned":
        versioned = [name for name in names.tolist() if _VERSIONED.fullmatch(name)]
        error = VersionedGeneIds(path, versioned[:3], len(versioned))
        findings.append(Finding.of_error("gene_id_kind", error))
    else:
        message = f"Gene ids ({column}) are of kind {kind}."
        findings.append(Finding("green", "gene_id_kind", message))
    if repeated := duplicated_names(names):
        error_ = DuplicateGenes(path, repeated[:3], len(repeated))
        findings.append(Finding.of_error("gene_names", error_))
    else:
        findings.append(Finding("green", "gene_names", f"{len(names):,} genes, each once."))
    return findings


# -- a model's scope -----------------------------------------------------------------------------


def organism_findings(path: str, card: CellZooBlock, evidence: OrganismEvidence) -> list[Finding]:
    """A finding about the organism against a card."""
    if evidence.organism is None:
        return [
            Finding(
                "yellow",
                "organism",
                f"The organism is not known: {evidence.sentence}. The model is for "
                f"{card.inputs.organism}.",
                _SAY_ORGANISM,
            )
        ]
    if card.inputs.organism == NOT_STATED:
        return [
            Finding(
                "yellow",
                "organism",
                f"{evidence.organism}: {evidence.sentence}. Nobody knows the model's organism.",
                "Ask whoever made the model; genes of another organism may share its symbols.",
            )
        ]
    if evidence.organism != card.inputs.organism:
        error = WrongOrganism(
            path,
            card.name,
            organism=card.inputs.organism,
            found=evidence.organism,
            evidence=evidence.sentence,
        )
        return [Finding.of_error("organism", error)]
    return [Finding("green", "organism", f"{evidence.organism}: {evidence.sentence}.")]


def described_organism(evidence: OrganismEvidence) -> list[Finding]:
    """A finding about the organism where there is no card to hold it against."""
    if evidence.organism is None:
        hint = _SAY_ORGANISM
        return [Finding("yellow", "organism", f"Not known: {evidence.sentence}.", hint)]
    return [Finding("green", "organism", f"{evidence.organism}: {evidence.sentence}.")]


def library_findings(
    path: str, source: str, card: CellZooBlock, evidence: Evidence | None
) -> list[Finding]:
    """A finding where a model needs a cell's counts over all genes, and log values lost them."""
    if not card.inputs.total_counts or evidence is None:
        return []
    if evidence.value_kind != "log_normalized" or evidence.target_sum is not None:
        return []
    error = UnknownLibrary(path, source, card.name, evidence=evidence.sentence())
    return [Finding.of_error("total_counts", error)]


def coverage_findings(
    path: str, card: CellZooBlock, alignment: Alignment, names: Strings, vocabulary: GeneVocabulary
) -> list[Finding]:
    """A finding about how much of the model the file's genes cover."""
    coverage, minimum = alignment.gene_coverage, card.inputs.gene_coverage
    if alignment.shared == 0:
        error: ZooError = NoSharedGenes(
            path, card.name, names[:3].tolist(), vocabulary.names[:3].tolist()
        )
        return [Finding.of_error("gene_coverage", error)]
    if coverage < minimum:
        error = LowGeneCoverage(
            path,
            card.name,
            shared=alignment.shared,
            genes=len(vocabulary),
            gene_coverage=coverage,
            minimum=minimum,
            gene_id_kind=alignment.gene_id_kind,
        )
        return [Finding.of_error("gene_coverage", error)]
    if otherwise := _named_otherwise(alignment, names, vocabulary):
        return [
            Finding(
                "yellow",
                "gene_coverage",
                f"Gene ids are mixed: {alignment.shared:,} genes were matched as "
                f"{alignment.gene_id_kind}, and {otherwise:,} more of the model's genes are here "
                "under another kind of id and would be left out.",
                f"'zoo prepare FILE -o OUT.h5ad --model {card.name}' gives all genes one kind.",
            )
        ]
    plain = alignment.shared / len(vocabulary)
    message = (
        f"{alignment.shared:,} of the model's {len(vocabulary):,} genes are here (matched "
        f"{alignment.column} as {alignment.gene_id_kind}): {plain:.1%} plain, {coverage:.1%} "
        f"weighted; the card's minimum is {minimum:.1%} weighted."
    )
    if coverage < _COMFORTABLE_COVERAGE:
        hint = "The card says how accuracy falls as genes are missing: 'zoo info NAME'."
        return [Finding("yellow", "gene_coverage", message, hint)]
    return [Finding("green", "gene_coverage", message)]


def _named_otherwise(alignment: Alignment, names: Strings, vocabulary: GeneVocabulary) -> int:
    """Genes of the model that the file names by another id kind than the matched one."""
    unmatched = names[alignment.position < 0].tolist()
    return max(
        (
            sum(alignment.gene_present[known[name]] == 0 for name in unmatched if name in known)
            for kind, known in vocabulary.positions.items()
            if kind != alignment.gene_id_kind
        ),
        default=0,
    )


_NEVER_SEEN = (
    "Cells of types that the model never saw should come out as 'out'; the card says how many of "
    "them do."
)
_NOTHING_TELLS = (
    "The model has no out-of-distribution score: cells of types that it never saw get a label too."
)


def tissue_findings(card: CellZooBlock, tissue: str | None) -> list[Finding]:
    """A finding about the tissue that the file declares, if it declares one."""
    if not tissue:
        return []
    known, said = [name.lower() for name in card.inputs.tissues], tissue.lower()
    if ALL_TISSUES in known or any(name in said or said in name for name in known):
        return [Finding("green", "tissue", f"The file says {tissue!r}.")]
    return [
        Finding(
            "yellow",
            "tissue",
            f"The file says {tissue!r}, the card {', '.join(map(repr, card.inputs.tissues))}.",
            _NEVER_SEEN if "ood_p" in card.output_names else _NOTHING_TELLS,
        )
    ]


def described_values(source: str, evidence: Evidence) -> Finding:
    """A finding about values of a known kind: doubtful if declared, binarized or like TPM."""
    message = f"{source} holds {evidence.value_kind}: {evidence.sentence()}."
    if evidence.is_doubtful:
        return Finding("yellow", "value_kind", message, "Models are made for raw counts.")
    return Finding("green", "value_kind", message)


def value_kind_findings(
    path: str, source: str, card: CellZooBlock, value_kind: str, evidence: Evidence
) -> list[Finding]:
    """A finding about the value kind against a card."""
    if value_kind in card.inputs.value_kinds:
        return [described_values(source, evidence)]
    error = WrongValueKind(
        path,
        source,
        model=card.name,
        value_kind=value_kind,
        value_kinds=card.inputs.value_kinds,
        evidence=evidence.sentence(),
    )
    return [Finding.of_error("value_kind", error)]
