"""Feature-barcode matrices of Cell Ranger and its kin: what the HDF5 and the text form share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from zoo.block import Block
from zoo.errors import MissingKey, NoValues
from zoo.reading.dataset import DEFAULT_BLOCK_CELLS, GeneTable, Matrix, Strings

GENE_EXPRESSION = "Gene Expression"
TYPES = "feature_types"


@dataclass(frozen=True)
class Features:
    """The features of a matrix, of which only genes are kept.

    Attributes
    ----------
    genes
        Ids as index, since symbols repeat; symbols and others as columns; of the kept alone.
    keep
        bool [features]: rows of type `Gene Expression`; None where every row is a gene.

    """

    genes: GeneTable
    keep: npt.NDArray[np.bool_] | None

    @classmethod
    def of(cls, path: str, ids: Strings, columns: Mapping[str, Strings]) -> Features:
        """Features by their ids and other columns, `feature_types` among them if there is one.

        Raises
        ------
        NoValues
            If types are given and none is `Gene Expression`.

        """
        types = columns.get(TYPES)
        if types is None or (types == GENE_EXPRESSION).all():
            return cls(GeneTable(ids, dict(columns)), None)
        keep = types == GENE_EXPRESSION
        if not keep.any():
            raise NoValues(path, [f"features of type {GENE_EXPRESSION!r}"])
        kept = {name: values[keep] for name, values in columns.items()}
        return cls(GeneTable(ids[keep], kept), keep)

    @property
    def total(self) -> int:
        """Number of features of all types."""
        return len(self.genes.index) if self.keep is None else len(self.keep)


class FeatureBarcodeMatrix(ABC):
    """One matrix of barcodes by genes, with nothing else; see `zoo.reading.dataset.Dataset`."""

    file_format: ClassVar[str]
    path: str
    cells: int
    features: Features
    entries: int
    close: Callable[[], object]

    @property
    def matrices(self) -> Sequence[Matrix]:
        """The one matrix. `entries` counts those of all features."""
        return [Matrix("X", "csr", len(self.features.genes.index), self.entries)]

    def genes(self, source: str) -> GeneTable:
        """The genes; features of other types are left out."""
        self.demand(source)
        return self.features.genes

    @abstractmethod
    def cell_names(self, start: int, stop: int) -> Strings:
        """Str [stop - start]: consecutive barcodes."""

    @abstractmethod
    def blocks(
        self,
        source: str,
        *,
        cells: int = DEFAULT_BLOCK_CELLS,
        order: Sequence[int] | None = None,
    ) -> Iterator[Block]:
        """All cells in order, `cells` rows at a time."""

    @property
    def obs_columns(self) -> Sequence[str]:
        """None: these files say nothing of cells."""
        return []

    def obs(self, column: str) -> npt.NDArray[Any]:
        """Raise MissingKey."""
        raise MissingKey(self.path, "obs", column, [])

    @property
    def obsm_keys(self) -> Sequence[str]:
        """None."""
        return []

    def obsm(self, key: str) -> npt.NDArray[Any]:
        """Raise MissingKey."""
        raise MissingKey(self.path, "obsm", key, [])

    @property
    def uns(self) -> Mapping[str, Any]:
        """Empty."""
        return {}

    def demand(self, source: str) -> None:
        """Raise NoValues for any source but X."""
        if source != "X":
            raise NoValues(self.path, [source])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
