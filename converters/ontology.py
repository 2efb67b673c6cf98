"""Cell Ontology: the ancestors that a call may fall back to, and `labels.tsv`.

CELLxGENE curates which cell types biologists group cells by; of its lists we leave out classes by
lineage stage or trait, which would win over the type that people look for.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

ROOT = "CL:0000000"

NOT_A_GROUP = frozenset(
    {
        "CL:0011026",  # progenitor cell: an ancestor of monocyte, since monocytes differentiate
        "CL:0011115",  # precursor cell
        "CL:0000219",  # motile cell
        "CL:0000234",  # phagocyte
        "CL:0000325",  # stuff accumulating cell
        "CL:0000151",  # secretory cell
    }
)

ALSO_A_GROUP = frozenset(
    {
        "CL:0000113",  # mononuclear phagocyte: monocytes, macrophages and dendritic cells
    }
)


def labels_table(labels: Sequence[str], label_ids: Sequence[str]) -> bytes:
    """Content of `labels.tsv`: label, Cell Ontology id, ancestors from the most specific up.

    A label that is no cell type has an empty id and no ancestors.
    """
    lines = ["label\tlabel_id\tancestors"]
    for label, label_id in zip(labels, label_ids, strict=True):
        above = groups_above(label_id) if label_id else []
        entries = ";".join(f"{term}|{name(term)}" for term in above)
        lines.append(f"{label}\t{label_id}\t{entries}")
    return ("\n".join(lines) + "\n").encode("utf-8")


def groups_above(term: str) -> list[str]:
    """The term itself and those of its ancestors that people group cells by, deepest first.

    Depth falls from a term to each of its ancestors, and ties are broken by id, so the order is
    one and the same for all terms: the first shared entry of two lists is the most specific one.
    """
    kept = {
        ancestor
        for ancestor in _parser().get_term_ancestors(term, include_self=True)
        if ancestor == term or (ancestor in _curated() and ancestor not in NOT_A_GROUP)
    }
    return sorted(kept, key=lambda ancestor: (-depth(ancestor), ancestor))


@cache
def depth(term: str) -> int:
    """Steps of the longest path from the ontology's root, `cell` (0), down to the term."""
    if term == ROOT:
        return 0
    parents = [p for p in _parser().get_term_parents(term) if p.startswith("CL:")]
    return 1 + max((depth(parent) for parent in parents), default=-1)


def is_a(term: str, ancestor: str) -> bool:
    """Whether a term is the other one or a descendant of it."""
    return ancestor in _parser().get_term_ancestors(term, include_self=True)


def name(term: str) -> str:
    """The ontology's name of a term."""
    return str(_parser().get_term_label(term))


@cache
def _parser() -> Any:
    from cellxgene_ontology_guide.ontology_parser import OntologyParser

    return OntologyParser()


@cache
def _curated() -> frozenset[str]:
    from cellxgene_ontology_guide.curated_ontology_term_lists import (
        get_curated_ontology_term_list,
    )
    from cellxgene_ontology_guide.entities import CuratedOntologyTermList

    curated = {
        term
        for kind in (CuratedOntologyTermList.CELL_CLASS, CuratedOntologyTermList.CELL_SUBCLASS)
        for term in get_curated_ontology_term_list(kind)
    }
    return frozenset(curated) | ALSO_A_GROUP
