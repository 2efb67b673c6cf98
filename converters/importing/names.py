"""Names of genes and labels, from the source or from a user's file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from converters.vocabulary import genes_table, unversioned
from zoo.errors import FileMissing, RepeatedNames, UnreadableWeights
from zoo.evaluation.measurements import line

_ENSEMBL = re.compile(r"ENS[A-Z]*G\d{11}(\.\d+)?")
_MOSTLY = 0.6
_LONGEST_FILE = 50_000_000


@dataclass(frozen=True)
class GeneTable:
    """Genes in the order of the weights.

    Attributes
    ----------
    symbols, ensembl_ids
        One of them may be empty; an entry of either may be "" where a gene has no such name.

    """

    symbols: tuple[str, ...] = ()
    ensembl_ids: tuple[str, ...] = ()

    @classmethod
    def of(cls, names: Sequence[str], origin: str) -> GeneTable:
        """Names of one kind: Ensembl ids, without their version, if most look like it.

        Raises
        ------
        RepeatedNames

        """
        told = tuple(str(name) for name in names)
        ensembl = sum(_ENSEMBL.fullmatch(name) is not None for name in told)
        if told and ensembl > _MOSTLY * len(told):
            return cls((), tuple(map(unversioned, told))).checked(origin)
        return cls(told).checked(origin)

    @classmethod
    def read(cls, path: Path) -> GeneTable:
        """Read one name a line, or a table with the columns `symbol` and `ensembl_id`.

        Raises
        ------
        FileMissing, UnreadableWeights, RepeatedNames

        """
        lines = read_lines(path, "genes")
        header = lines[0].split("\t") if lines else []
        if not {"symbol", "ensembl_id"} & set(header):
            return cls.of([entry.split("\t")[0] for entry in lines], str(path))
        rows = [entry.split("\t") for entry in lines[1:]]
        if any(len(row) != len(header) for row in rows):
            raise UnreadableWeights(str(path), "genes", "its lines differ in their fields")
        columns = {name: tuple(row[i] for row in rows) for i, name in enumerate(header)}
        ids = tuple(map(unversioned, columns.get("ensembl_id", ())))
        return cls(columns.get("symbol", ()), ids).checked(str(path))

    def checked(self, origin: str) -> GeneTable:
        """The table, if each name is there once.

        Raises
        ------
        RepeatedNames

        """
        for names in (self.symbols, self.ensembl_ids):
            ensure_unique(names, "genes", origin)
        return self

    def __len__(self) -> int:
        return max(len(self.symbols), len(self.ensembl_ids))

    @property
    def kinds(self) -> list[str]:
        """Kinds of names that it has, as the card says them."""
        found = {"symbol": self.symbols, "ensembl_id": self.ensembl_ids}
        return [kind for kind, names in found.items() if any(names)]

    def render(self, weight: npt.NDArray[np.float32]) -> bytes:
        """Content of `genes.tsv`, with the share of the model that each gene carries."""
        share = (weight / max(float(weight.sum()), 1e-12)).astype(np.float32)
        if not any(self.symbols):
            return genes_table(np.array(self.ensembl_ids), None, share, kind="ensembl_id")
        ids = np.array(self.ensembl_ids) if any(self.ensembl_ids) else None
        return genes_table(np.array(self.symbols), ids, share)


def read_labels(path: Path) -> tuple[str, ...]:
    """One label a line, or the column `label` of a table.

    Raises
    ------
    FileMissing, UnreadableWeights, RepeatedNames

    """
    lines = read_lines(path, "labels")
    header = lines[0].split("\t") if lines else []
    names = [entry.split("\t")[0] for entry in lines]
    if "label" in header and len(lines) > 1:
        place = header.index("label")
        names = [(entry.split("\t") + [""] * len(header))[place] for entry in lines[1:]]
    return checked_labels(names, str(path))


def checked_labels(names: Sequence[str], origin: str) -> tuple[str, ...]:
    """Labels as a table may hold them, each once.

    Raises
    ------
    RepeatedNames

    """
    told = tuple(line(str(name)).strip() for name in names)
    ensure_unique(told, "labels", origin)
    return told


def ensure_unique(names: Sequence[str], what: str, origin: str) -> None:
    """Refuse names that are there twice; an empty name is none.

    Raises
    ------
    RepeatedNames

    """
    repeated = [name for name, times in Counter(names).items() if name and times > 1]
    if repeated:
        raise RepeatedNames(origin, what, repeated)


def read_lines(path: Path, what: str) -> list[str]:
    """Lines of a UTF-8 text, without empty ones at its end.

    Raises
    ------
    FileMissing, UnreadableWeights

    """
    if not path.is_file():
        raise FileMissing(str(path))
    if path.stat().st_size > _LONGEST_FILE:
        raise UnreadableWeights(str(path), what, f"it is larger than {_LONGEST_FILE:,} bytes")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UnreadableWeights(str(path), what, "it is no UTF-8 text") from error
    return [entry.rstrip("\r") for entry in text.rstrip("\n").split("\n")]
