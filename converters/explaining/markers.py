"""Canonical marker genes of labels, and how many of them an explanation finds."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from zoo.errors import FileMissing, NoMarkers

COLUMNS = ("label", "gene", "source")


@dataclass(frozen=True)
class Markers:
    """Marker genes by label.

    Attributes
    ----------
    genes
        Symbols by label.
    sources
        Where they were taken from.

    """

    genes: dict[str, tuple[str, ...]]
    sources: tuple[str, ...]

    @classmethod
    def read(cls, path: Path, labels: tuple[str, ...]) -> Markers:
        """Read a table with the columns label, gene and source.

        Raises
        ------
        FileMissing, NoMarkers

        """
        if not path.is_file():
            raise FileMissing(str(path))
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, delimiter="\t")
            if tuple(reader.fieldnames or ()) != COLUMNS:
                raise NoMarkers(path.name, f"its columns are {reader.fieldnames}")
            rows = list(reader)
        genes: dict[str, list[str]] = {}
        for row in rows:
            genes.setdefault(row["label"], []).append(row["gene"])
        known = {label: tuple(found) for label, found in genes.items() if label in labels}
        if not known:
            raise NoMarkers(path.name, "none of its labels is one of the model's")
        sources = dict.fromkeys(part.strip() for row in rows for part in row["source"].split(";"))
        return cls(known, tuple(sources))

    def positions(
        self, label: str, vocabulary: npt.NDArray[np.str_], present: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.int64]:
        """Places in the vocabulary of those markers that model and data set both have."""
        place = {plain(name): number for number, name in enumerate(vocabulary.tolist())}
        found = [place[plain(gene)] for gene in self.genes[label] if plain(gene) in place]
        return np.array([number for number in found if present[number] > 0], dtype=np.int64)


def plain(symbol: str) -> str:
    """A symbol as it is compared: R writes `HLA.DRA` for `HLA-DRA`."""
    return symbol.upper().replace(".", "-")
