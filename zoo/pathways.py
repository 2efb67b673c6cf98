"""The pathways of a model whose attention is over gene sets: their names, genes and terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from zoo.errors import InvalidModelFile
from zoo.table import parse_table

_COLUMNS = ("pathway", "source", "license", "genes")


@dataclass(frozen=True)
class Pathway:
    """One gene set.

    Attributes
    ----------
    source, license
        Where it comes from, and its terms.
    genes
        Symbols, as the source has them.

    """

    name: str
    source: str
    license: str
    genes: tuple[str, ...]


@dataclass(frozen=True)
class PathwayTable:
    """Pathways in the order of `mask` and `pathway_attention`."""

    pathways: tuple[Pathway, ...]

    @classmethod
    def parse(cls, content: bytes, *, model: str) -> PathwayTable:
        """Read `pathways.tsv`: columns `pathway`, `source`, `license`, `genes` (by spaces).

        Raises
        ------
        InvalidModelFile

        """
        table = parse_table(content, _COLUMNS, model=model, file="pathways.tsv")
        rows = zip(*(table[column] for column in _COLUMNS), strict=True)
        pathways = tuple(Pathway(n, s, terms, tuple(genes.split())) for n, s, terms, genes in rows)
        if not pathways or len({pathway.name for pathway in pathways}) != len(pathways):
            raise InvalidModelFile(model, "pathways.tsv", "pathways are missing or not unique")
        return cls(pathways)

    def __len__(self) -> int:
        return len(self.pathways)

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each pathway."""
        return tuple(pathway.name for pathway in self.pathways)


def pathways_table(pathways: Sequence[Pathway]) -> bytes:
    """Content of `pathways.tsv`."""
    lines = ["\t".join(_COLUMNS)]
    lines += ["\t".join((p.name, p.source, p.license, " ".join(p.genes))) for p in pathways]
    return ("\n".join(lines) + "\n").encode("utf-8")
