"""The organism of a file: what it says of itself, and what its gene names look like."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
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
_WRITTEN = {
    "Homo sapiens": (re.compile(r"[A-Z][A-Z0-9]+(-[A-Z0-9]+)*(orf\d+)?"), "human"),
    "Mus musculus": (re.compile(r"[A-Z][a-z][a-z0-9]*(-[A-Za-z0-9]+)*"), "mouse"),
}
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
    gene_names: Mapping[str, npt.NDArray[np.str_]], declared: str | None
) -> OrganismEvidence:
    """The organism of a file, by the strongest evidence there is.

    Ensembl ids say it; symbols written as in mouse are no human ones, whatever the file declares;
    then the declaration counts; symbols in capitals come last, since orthologs are written so too.

    Parameters
    ----------
    gene_names
        Candidate columns of gene names by column, each str [genes].
    declared
        What `uns` or `obs` says, if anything.

    """
    declaration = _by_declaration(declared)
    claims_human = declaration is None or declaration.organism == "Homo sapiens"
    columns = gene_names.items()
    found = [_by_ensembl_ids(column, names) for column, names in columns]
    if claims_human:
        found += [_by_symbols(column, names, "Mus musculus") for column, names in columns]
    found.append(declaration)
    found += [_by_symbols(column, names, "Homo sapiens") for column, names in columns]
    nothing = OrganismEvidence(None, "neither gene names nor metadata tell")
    return next((evidence for evidence in found if evidence), nothing)


def _by_declaration(declared: str | None) -> OrganismEvidence | None:
    if not declared:
        return None
    return OrganismEvidence(canonical_organism(declared), f"the file says {declared!r}")


def _by_ensembl_ids(column: str, names: npt.NDArray[np.str_]) -> OrganismEvidence | None:
    matches = (_ENSEMBL.fullmatch(name) for name in names.tolist())
    prefixes = Counter(match.group(1) for match in matches if match)
    for prefix, count in prefixes.most_common(1):
        if count > _DECISIVE * len(names) and prefix in _ENSEMBL_PREFIXES:
            sentence = (
                f"{count:,} of {len(names):,} gene ids in {_place(column)} begin with {prefix}"
            )
            return OrganismEvidence(_ENSEMBL_PREFIXES[prefix], sentence)
    return None


def _by_symbols(column: str, names: npt.NDArray[np.str_], organism: str) -> OrganismEvidence | None:
    pattern, kind = _WRITTEN[organism]
    count = sum(bool(pattern.fullmatch(name)) for name in names.tolist())
    if count <= _DECISIVE * len(names):
        return None
    sentence = f"{count:,} of {len(names):,} symbols in {_place(column)} are written as in {kind}"
    return OrganismEvidence(organism, sentence)


def _place(column: str) -> str:
    return "the index" if column == "index" else f"var[{column!r}]"
