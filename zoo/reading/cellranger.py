"""Cell Ranger's HDF5 matrices, which lie column by column of features × barcodes: CSR by cell.

version 3   /matrix/{data, indices, indptr, shape, barcodes, features/{id, name, feature_type}}
version 2   /<genome>/{data, indices, indptr, shape, barcodes, genes, gene_names}
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from zoo.block import Block
from zoo.errors import CorruptMatrix, UnsupportedEncoding
from zoo.reading import csr
from zoo.reading.csr import Compressed
from zoo.reading.dataset import DEFAULT_BLOCK_CELLS, Strings
from zoo.reading.elements import Array, Group, array_at, whole
from zoo.reading.feature_barcode import TYPES, FeatureBarcodeMatrix, Features

MEMBERS = {"data", "indices", "indptr", "shape", "barcodes"}
# Column of features → our name for it, as scanpy has it.
COLUMNS = {"name": "gene_symbols", "feature_type": TYPES, "genome": "genome"}


def matrix_groups(root: Group) -> list[Group]:
    """The groups of a file that hold a feature-barcode matrix."""
    groups = (root.get(name) for name in root.members())
    return [g for g in groups if isinstance(g, Group) and set(g.members()) >= MEMBERS]


class CellRangerFile(FeatureBarcodeMatrix):
    """A `filtered_feature_bc_matrix.h5` or the older `filtered_gene_bc_matrices_h5.h5`."""

    file_format = "10x_h5"

    def __init__(
        self, matrix: Compressed, features: Features, barcodes: Array, close: Callable[[], object]
    ) -> None:
        self.path, self.close = matrix.path, close
        self.features, self._matrix, self._barcodes = features, matrix, barcodes
        self.cells, self.entries = matrix.shape[0], matrix.entries

    @classmethod
    def read(cls, root: Group, *, close: Callable[[], object] = lambda: None) -> CellRangerFile:
        """Read sizes and features, and prove that features and barcodes fit the matrix.

        Raises
        ------
        UnsupportedEncoding, CorruptMatrix, NoValues

        """
        groups = matrix_groups(root)
        if len(groups) != 1:
            named = ", ".join(group.key for group in groups)
            raise UnsupportedEncoding(root.path, "/", f"it holds several genomes ({named})")
        group = groups[0]
        shape = [int(length) for length in whole(array_at(group, "shape"))]
        if len(shape) != 2 or min(shape) < 0:
            raise CorruptMatrix(root.path, group.key, f"its shape is {shape}")
        rows, cells = shape
        barcodes, features = array_at(group, "barcodes"), _features(group)
        for count, length, what in (
            (features.total, rows, "features"),
            (barcodes.shape[0], cells, "barcodes"),
        ):
            if count != length:
                detail = f"{count:,} {what} named where its shape says {length:,}"
                raise CorruptMatrix(root.path, group.key, detail)
        return cls(Compressed.of(group, (cells, rows)), features, barcodes, close)

    def cell_names(self, start: int, stop: int) -> Strings:
        """Str [stop - start]: consecutive barcodes."""
        return self._barcodes.read(start, min(stop, self.cells))

    def blocks(
        self,
        source: str,
        *,
        cells: int = DEFAULT_BLOCK_CELLS,
        order: Sequence[int] | None = None,
    ) -> Iterator[Block]:
        """All cells in order, `cells` rows at a time; features that are no genes are left out."""
        self.demand(source)
        return csr.blocks(self._matrix, cells, keep=self.features.keep, order=order)


def _features(group: Group) -> Features:
    features = group.get("features")
    if not isinstance(features, Group):
        symbols = {"gene_symbols": whole(array_at(group, "gene_names"))}
        return Features.of(group.path, whole(array_at(group, "genes")), symbols)
    columns = {}
    for name, ours in COLUMNS.items():
        column = features.get(name)
        if isinstance(column, Array):
            columns[ours] = whole(column)
    return Features.of(group.path, whole(array_at(features, "id")), columns)
