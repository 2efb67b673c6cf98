"""One-to-one orthologs: the genes of a mouse file under the names of their human counterparts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from zoo.errors import FileMissing, InvalidModelFile, InvalidOrthologs
from zoo.table import parse_table

Strings = npt.NDArray[np.str_]


@dataclass(frozen=True)
class Orthologs:
    """Mouse symbol → human symbol."""

    human_of: Mapping[str, str]

    @classmethod
    def read(cls, path: Path) -> Orthologs:
        """Read a tab-separated table with the columns `human` and `mouse`.

        Raises
        ------
        FileMissing, InvalidOrthologs

        """
        if not path.is_file():
            raise FileMissing(str(path))
        try:
            table = parse_table(path.read_bytes(), ("human", "mouse"), model="", file=path.name)
        except InvalidModelFile as error:
            raise InvalidOrthologs(str(path), error.detail) from error
        pairs = list(zip(table["mouse"], table["human"], strict=True))
        for names, species in zip(zip(*pairs, strict=True), ("mouse", "human"), strict=False):
            if len(set(names)) != len(names):
                raise InvalidOrthologs(str(path), f"column {species!r} names a gene twice")
        return cls(dict(pairs))

    def translated(self, columns: Mapping[str, Strings]) -> dict[str, Strings]:
        """Candidate columns of gene names, empty where a gene has no counterpart."""
        return {
            column: np.array([self.human_of.get(name, "") for name in names.tolist()], dtype=str)
            for column, names in columns.items()
        }
