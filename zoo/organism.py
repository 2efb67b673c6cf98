"""The organism of a file: what it says of itself, and what its gene names look like."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_SYNONYMS = {
    "homo sapiens": "Homo sapiens",
    "human": "Homo sapiens",
    "h. sapiens": "Homo sapiens",
    "ncbitaxon:9606": "Homo sapiens",
    "mus musculus": "Mus musculus",
    "mouse": "Mus musculus",
    "m. musculus": "Mus musculus",
    "ncbitaxon:10090": "Mus musculus",
    "rattus norvegicus": "Rattus norvegicus",
    "rat": "Rattus norvegicus",
    "ncbitaxon:10116": "Rattus norvegicus",
    "danio rerio": "Danio rerio",
    "zebrafish": "Danio rerio",
    "ncbitaxon:7955": "Danio rerio",
}
_ENSEMBL_PREFIXES = {
    "ENSG": "Homo sapiens",
    "ENSMUSG": "Mus musculus",
    "ENSRNOG": "Rattus norvegicus",
    "ENSDARG": "Danio rerio",
}
_ENSEMBL = re.compile(r"(ENS[A-Z]*G)\d{11}(\.\d+)?")
# Human symbols are capitals (C1orf112 and LOC… aside); mouse and rat ones capitalise one letter.
_CAPITALS = re.compile(r"[A-Z][A-Z0-9]+(-[A-Z0-9]+)*(orf\d+)?")
_TITLE = re.compile(r"[A-Z][a-z][a-z0-9]*(-[a-z0-9]+)*")
_DECISIVE = 0.6

ORGANISM_KEYS = ("organism", "species", "organism_ontology_term_id")


@dataclass(frozen=True)
class OrganismEvidence:
    """What the organism seems to be.

    Attributes
    ----------
    organism
        Scientific name, or None where nothing says.
    sentence
        Why, in plain words.

    """

    organism: str | None
    sentence: str


def canonical_organism(name: str) -> str:
    """The scientific name behind a common name or taxon id; an unknown name as it is."""
    return _SYNONYMS.get(name.strip().lower(), name.strip())


def infer_organism(
    gene_names: Iterable[npt.NDArray[np.str_]], declared: str | None
) -> OrganismEvidence:
    """The organism by gene names, else by what the file declares.

    Gene names weigh more than a declaration: they are what the model reads.

    Parameters
    ----------
    gene_names
        Candidate columns of gene names, each str [genes].
    declared
        What `uns` or `obs` says, if anything.

    """
    for names in gene_names:
        if (found := _by_names(names)) is not None:
            return found
    if declared:
        return OrganismEvidence(canonical_organism(declared), f"the file says {declared!r}")
    return OrganismEvidence(None, "neither gene names nor metadata tell")


def _by_names(names: npt.NDArray[np.str_]) -> OrganismEvidence | None:
    total = len(names)
    prefixes: dict[str, int] = {}
    capitals = title = 0
    for name in names.tolist():
        if match := _ENSEMBL.fullmatch(name):
            prefixes[match.group(1)] = prefixes.get(match.group(1), 0) + 1
        elif _CAPITALS.fullmatch(name):
            capitals += 1
        elif _TITLE.fullmatch(name):
            title += 1
    for prefix, count in prefixes.items():
        if count > _DECISIVE * total and prefix in _ENSEMBL_PREFIXES:
            organism = _ENSEMBL_PREFIXES[prefix]
            return OrganismEvidence(
                organism, f"{count:,} of {total:,} gene ids begin with {prefix}"
            )
    if title > _DECISIVE * total:
        return OrganismEvidence(
            "Mus musculus", f"{title:,} of {total:,} symbols are written as in mouse"
        )
    if capitals > _DECISIVE * total:
        return OrganismEvidence(
            "Homo sapiens", f"{capitals:,} of {total:,} symbols are written as in human"
        )
    return None
