"""The organism of a file: what it says of itself, and what its gene names look like."""

from __future__ import annotations

import re
from collections import Counter
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
    """The organism by Ensembl ids, else by what the file declares, else by how symbols are written.

    Parameters
    ----------
    gene_names
        Candidate columns of gene names, each str [genes].
    declared
        What `uns` or `obs` says, if anything.

    """
    columns = list(gene_names)
    for look in (_by_ensembl_ids, lambda _: _by_declaration(declared), _by_symbols):
        for names in columns:
            if (found := look(names)) is not None:
                return found
    return OrganismEvidence(None, "neither gene names nor metadata tell")


def _by_declaration(declared: str | None) -> OrganismEvidence | None:
    if not declared:
        return None
    return OrganismEvidence(canonical_organism(declared), f"the file says {declared!r}")


def _by_ensembl_ids(names: npt.NDArray[np.str_]) -> OrganismEvidence | None:
    matches = (_ENSEMBL.fullmatch(name) for name in names.tolist())
    prefixes = Counter(match.group(1) for match in matches if match)
    for prefix, count in prefixes.most_common(1):
        if count > _DECISIVE * len(names) and prefix in _ENSEMBL_PREFIXES:
            sentence = f"{count:,} of {len(names):,} gene ids begin with {prefix}"
            return OrganismEvidence(_ENSEMBL_PREFIXES[prefix], sentence)
    return None


def _by_symbols(names: npt.NDArray[np.str_]) -> OrganismEvidence | None:
    total = len(names)
    for organism, pattern, kind in (
        ("Mus musculus", _TITLE, "mouse"),
        ("Homo sapiens", _CAPITALS, "human"),
    ):
        count = sum(bool(pattern.fullmatch(name)) for name in names.tolist())
        if count > _DECISIVE * total:
            sentence = f"{count:,} of {total:,} symbols are written as in {kind}"
            return OrganismEvidence(organism, sentence)
    return None
